// Addresses and prefixes: strictness, masking, canonical text (checked against two other parsers).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { isIP, BlockList } from 'node:net';
import fc from 'fast-check';
import { Address6 } from 'ip-address';
import {
  containsAddress,
  containsPrefix,
  formatAddress,
  parseAddress,
  parsePrefix,
} from '../../../src/control/manifest/index.ts';
import type { IpPrefix } from '../../../src/control/state.ts';

const address = (text: string) => {
  const result = parseAddress(text);
  return result.ok ? result.value.text : `refused: ${result.reason}`;
};
const prefix = (text: string): IpPrefix => {
  const result = parsePrefix(text, true);
  assert.ok(result.ok, text);
  return result.value;
};

test('addresses that are read, and their canonical text', () => {
  for (const [text, canonical] of [
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ] as const)
    assert.equal(address(text), canonical);
});

test('addresses that are refused', () => {
  for (const text of [
    '',
    ' 10.0.0.1',
    '10.0.0.1 ',
    '010.0.0.1',
    '10.0.0.00',
    '256.1.1.1',
    '10.0.0',
    '10.0.0.1.2',
    '1e1.0.0.1',
    '10.0.0.1/8',
    'fe80::1%eth0',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    '::ffff:010.0.0.1',
    '1::2::3',
    ':::',
    '12345::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'g::',
    '[::1]',
    '::1.2.3',
    'localhost',
    '1'.repeat(500),
    `${'0:'.repeat(300)}:`,
  ])
    assert.match(address(text), /^refused: /, text);
});

test('prefixes: host bits are masked, lengths checked', () => {
  assert.deepEqual(parsePrefix('10.1.2.3/12', false), {
    ok: true,
    value: { family: 4, text: '10.0.0.0/12', bytes: Uint8Array.of(10, 0, 0, 0), prefixLen: 12 },
  });
  assert.equal(prefix('2001:db8:ffff::1/33').text, '2001:db8:8000::/33');
  assert.equal(prefix('10.1.2.3').text, '10.1.2.3/32');
  assert.equal(prefix('1.2.3.4/0').text, '0.0.0.0/0');
  for (const text of [
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '/8',
    '10.0.0.0/ 8',
    '::ffff:10.0.0.0/104',
    '10.0.0.0/1e1',
  ])
    assert.equal(parsePrefix(text, false).ok, false, text);
});

test('families never cross', () => {
  assert.equal(containsPrefix(prefix('0.0.0.0/0'), prefix('::/0')), false);
  assert.equal(containsAddress(prefix('::/0'), prefix('10.0.0.0/8')), false);
});

test('text of any address: canonical as ip-address has it, accepted by node:net, and read back', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((b) => Uint8Array.from(b)),
      ),
      (bytes) => {
        const text = formatAddress(bytes);
        assert.equal(isIP(text), bytes.length === 4 ? 4 : 6);
        if (bytes.length === 16) assert.equal(new Address6(text).correctForm(), text);
        const result = parseAddress(text);
        const mapped =
          bytes.length === 16 && bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 255 && bytes[11] === 255;
        if (mapped) assert.equal(result.ok, false);
        else assert.deepEqual(result.ok && result.value.bytes, bytes);
      },
    ),
  );
});

test('a prefix contains an address exactly when node:net says so', () => {
  const byte = fc.constantFrom(0, 1, 10, 127, 128, 255);
  fc.assert(
    fc.property(
      fc.array(byte, { minLength: 4, maxLength: 4 }),
      fc.array(byte, { minLength: 4, maxLength: 4 }),
      fc.nat({ max: 32 }),
      (a, b, length) => {
        const list = new BlockList();
        list.addSubnet(a.join('.'), length);
        const inner = prefix(b.join('.'));
        assert.equal(containsAddress(prefix(`${a.join('.')}/${length}`), inner), list.check(b.join('.')));
      },
    ),
    { numRuns: 300 },
  );
});
