// Addresses as text: RFC 5952's rules, what is refused, MACs; and properties of the round trip.
import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac } from '../../../src/wire/index.ts';
import { hex } from './frames.ts';

/** Canonical text of an IPv6 address, or undefined. */
function canonical(text: string): string | undefined {
  const words = parseIpv6(text);
  return words === undefined ? undefined : formatIpv6(...words);
}

const int32 = fc.oneof(fc.constantFrom(0, -1, 1, 0x0100, -65536), fc.integer());
const near = fc.string({ unit: fc.constantFrom(...'0019afAF:::..%/[] x'), maxLength: 24 });

describe('IPv4 text', () => {
  it('is dotted decimal of the bytes in memory order', () => {
    assert.equal(formatIpv4(0x0100000a), '10.0.0.1');
    assert.equal(formatIpv4(-1), '255.255.255.255');
    assert.equal(formatIpv4(0), '0.0.0.0');
    assert.equal(parseIpv4('10.0.0.1'), 0x0100000a);
    assert.equal(parseIpv4('1.2.3.255'), 0xff030201 | 0);
  });

  it('refuses everything else', () => {
    const bad = [
      '',
      '1',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.',
      '.1.2.3',
      '1..2.3',
      '256.0.0.1',
      '01.2.3.4',
      '1.2.3.00',
      '1.2.3.4 ',
      ' 1.2.3.4',
      '1.2.3.4/8',
      '1.2.3.-4',
      '1.2.3.4a',
      '0x1.2.3.4',
      '1.2.3.0004',
      '+1.2.3.4',
      '١.2.3.4',
    ];
    for (const text of bad) assert.equal(parseIpv4(text), undefined, text);
  });

  it('round-trips, and agrees with the platform on what is an address', () => {
    fc.assert(fc.property(int32, (raw) => assert.equal(parseIpv4(formatIpv4(raw)), raw | 0)));
    const four = fc.array(fc.oneof(fc.nat(300).map(String), fc.constantFrom('00', '', '1 ')), {
      minLength: 3,
      maxLength: 5,
    });
    const text = fc.oneof(
      four.map((parts) => parts.join('.')),
      near,
    );
    fc.assert(
      fc.property(text, (t) => assert.equal(parseIpv4(t) !== undefined, isIPv4(t), t)),
      { numRuns: 3000 },
    );
  });
});

describe('IPv6 text', () => {
  it('follows RFC 5952', () => {
    for (const [text, expected] of [
      ['::', '::'],
      ['::1', '::1'],
      ['1::', '1::'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['2001:0DB8::0001', '2001:db8::1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['1:0:0:0:0:0:0:0', '1::'],
      ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
      ['0:0:3:4:5:6:7:8', '::3:4:5:6:7:8'],
      ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
      ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
      ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
      ['::ffff:a00:1', '::ffff:10.0.0.1'],
      ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
      ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
      ['::1.2.3.4', '::102:304'],
      ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ] as const) {
      assert.equal(canonical(text), expected, text);
    }
    assert.deepEqual(parseIpv6('fd00::1:2'), [0xfd, 0, 0, 0x0200_0100]);
  });

  it('refuses everything else', () => {
    const bad = [
      '',
      ':',
      ':::',
      '1',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '::1:2:3:4:5:6:7:8',
      '1::2::3',
      ':1',
      '1:',
      '12345::',
      'g::',
      '::1%eth0',
      '::1/64',
      '[::1]',
      '1.2.3.4',
      '1.2.3.4::',
      '::1.2.3',
      '::1.2.3.4:5',
      '1:2:3:4:5:6:7:1.2.3.4',
      '::01.2.3.4',
      ' ::1',
      '::1 ',
      '::-1',
      '0x1::',
    ];
    for (const text of bad) assert.equal(parseIpv6(text), undefined, text);
    assert.equal(parseIpv6(':'.repeat(100_000)), undefined);
    assert.equal(parseIpv6(`::${'1:'.repeat(100_000)}`), undefined);
  });

  it('round-trips, is canonical, and agrees with the platform on what is an address', () => {
    fc.assert(
      fc.property(int32, int32, int32, int32, (...words) => {
        const text = formatIpv6(...words);
        assert.ok(isIPv6(text), text);
        assert.deepEqual(
          parseIpv6(text),
          words.map((word) => word | 0),
        );
        assert.equal(canonical(text), text);
        // The platform's own serialiser; it writes mapped addresses in hexadecimal.
        if (!text.startsWith('::ffff:')) assert.equal(text, new URL(`http://[${text}]/`).hostname.slice(1, -1));
      }),
      { numRuns: 2000 },
    );
    const groups = fc.array(fc.constantFrom('', '0', '1', 'ff', 'ABCD', '00001', '1.2.3.4', 'g'), { maxLength: 10 });
    const text = fc.oneof(
      groups.map((parts) => parts.join(':')),
      near.filter((t) => !t.includes('%')),
    );
    fc.assert(
      fc.property(text, (t) => assert.equal(parseIpv6(t) !== undefined, isIPv6(t), t)),
      { numRuns: 5000 },
    );
  });
});

describe('MAC text', () => {
  it('formats, parses, and refuses', () => {
    const bytes = hex('00 02 0a ff 10 ab 77');
    assert.equal(formatMac(bytes, 0), '00:02:0a:ff:10:ab');
    assert.equal(formatMac(bytes, 1), '02:0a:ff:10:ab:77');
    assert.deepEqual(parseMac('00:02:0A:ff:10:ab'), bytes.slice(0, 6));
    assert.deepEqual(parseMac('00-02-0a-ff-10-ab'), bytes.slice(0, 6));
    for (const text of [
      '',
      '00:02:0a:ff:10',
      '00:02:0a:ff:10:ab:77',
      '00:02-0a:ff:10:ab',
      '0:02:0a:ff:10:ab',
      '00:02:0a:ff:10:ag',
      '00020affl0ab',
    ]) {
      assert.equal(parseMac(text), undefined, text);
    }
  });
});
