// Structs: placement, refusal of implicit padding, encoding byte for byte, emitted C.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  array,
  be16,
  be32,
  bytes,
  emitConstants,
  emitStruct,
  pad,
  struct,
  u16,
  u32,
  u64,
  u8,
} from '../../../src/layout/index.ts';

const sample = struct('weir_sample', 'A sample', {
  wide: u64('wide'),
  address: be32('address'),
  port: be16('port'),
  kind: u8('kind'),
  pad: pad(1),
  mac: bytes(6, 'mac'),
  small: u16('small'),
  list: array('u32', 2, 'list'),
});

const value = {
  wide: 0x0102030405060708n,
  address: 0x0a000001,
  port: 80,
  kind: 7,
  mac: Uint8Array.of(1, 2, 3, 4, 5, 6),
  small: 0x1234,
  list: [1, 0xfffffffe],
};

describe('struct', () => {
  it('places fields in order and sums their sizes', () => {
    assert.deepEqual(
      { ...sample.at },
      { wide: 0, address: 8, port: 12, kind: 14, pad: 15, mac: 16, small: 22, list: 24 },
    );
    assert.equal(sample.bytes, 32);
    assert.equal(sample.align, 8);
  });

  it('encodes host order little-endian, be fields in network order, padding as zero', () => {
    const out = new Uint8Array(40).fill(0xa5);
    sample.encode(value, out, 3);
    const hex = Array.from(out, (b) => b.toString(16).padStart(2, '0')).join('');
    assert.equal(
      hex,
      'a5a5a5' +
        '0807060504030201' +
        '0a000001' +
        '0050' +
        '07' +
        '00' +
        '010203040506' +
        '3412' +
        '01000000feffffff' +
        'a5a5a5a5a5',
    );
    assert.deepEqual(sample.decode(out, 3), value);
  });

  it('refuses implicit padding, inside and at the end', () => {
    assert.throws(() => struct('weir_gap', '', { a: u8(''), b: u32('') }), /weir_gap\.b: offset 1 needs 3 bytes/);
    assert.throws(() => struct('weir_tail', '', { a: u32(''), b: u8('') }), /size 5 is not a multiple of 4/);
    assert.throws(() => struct('weir_name', '', { Bad_Name: u8('') }), /camelCase/);
  });

  it('emits C with asserts on size and every offset', () => {
    const c = emitStruct(sample);
    assert.match(c, /struct weir_sample \{\n\t__u64 wide;/);
    assert.match(c, /__be32 address;/);
    assert.match(c, /__u32 list\[2\];/);
    assert.match(c, /_Static_assert\(sizeof\(struct weir_sample\) == 32,/);
    assert.equal(c.match(/__builtin_offsetof/g)?.length, 8);
    assert.equal(
      emitConstants('P', 'd', { ONE: 1, BIG: 0xffffffff, NEG: -2 }),
      '/* d */\n#define P_ONE 1\n#define P_BIG 0xffffffffu\n#define P_NEG (-2)\n',
    );
  });
});
