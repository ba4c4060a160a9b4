// Vectors of Cilium's tests for the hashes that select Maglev slots, and what chance promises.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chance4, chance6, jhash3, tupleHash4, tupleHash6 } from '../../../src/datapath/index.ts';
import { addressBytes } from '../../support/packets.ts';

const raw = (text: string): number => new DataView(addressBytes(text).buffer).getInt32(0, true);
const rawPort = (port: number): number => ((port & 0xff) << 8) | (port >> 8);

test('jhash_3words gives the numbers of Cilium’s jhash_test', () => {
  assert.equal(jhash3(123, 234, 345, 456) >>> 0, 2698615579);
  assert.equal(jhash3(0, 0, 0, 0) >>> 0, 459859287);
});

test('an IPv4 client with affinity hashes to Cilium’s slot, whatever its source port', () => {
  // Table of 20, seed 0xcafe; affinity: the source port counts as 0.
  const slot = (client: string): number => (tupleHash4(raw(client), rawPort(80) << 16, 6, 0xcafe) >>> 0) % 20;
  assert.equal(slot('110.0.11.1'), 12);
  assert.equal(slot('130.0.13.3'), 13);
});

test('hash_from_tuple_v6 equals a plain transcription of Cilium’s C', () => {
  const rol = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (32n - n))) & 0xffffffffn;
  const u = (x: bigint): bigint => x & 0xffffffffn;
  const mix = ([a, b, c]: [bigint, bigint, bigint]): [bigint, bigint, bigint] => {
    for (const [n, m] of [
      [4n, 6n],
      [8n, 16n],
      [19n, 4n],
    ] as const) {
      a = u(u(a - c) ^ rol(c, n));
      c = u(c + b);
      b = u(u(b - a) ^ rol(a, m));
      a = u(a + c);
      // The three variables change roles after two steps: (a, b, c) → (c, a, b).
      [a, b, c] = [c, a, b];
    }
    // After three pairs the roles are where they began.
    return [a, b, c];
  };
  const final = ([a, b, c]: [bigint, bigint, bigint]): bigint => {
    c = u((c ^ b) - rol(b, 14n));
    a = u((a ^ c) - rol(c, 11n));
    b = u((b ^ a) - rol(a, 25n));
    c = u((c ^ b) - rol(b, 16n));
    a = u((a ^ c) - rol(c, 4n));
    b = u((b ^ a) - rol(a, 14n));
    return u((c ^ b) - rol(b, 24n));
  };
  const reference = (s: readonly number[], ports: number, protocol: number, seed: number): bigint => {
    const w = (x: number): bigint => BigInt(x >>> 0);
    let [a, b, c] = mix([w(s[0]!), w(s[1]!), w(s[2]!)]);
    [a, b, c] = mix([u(a + w(s[3]!)), u(b + w(ports)), u(c + w(protocol))]);
    return final([u(a + w(seed)), b, c]);
  };
  const samples = [
    [[1, 2, 3, 4], 0x50001f90, 6, 0x92505688],
    [[-1, 0x7fffffff, -0x80000000, 0], 0, 17, 0],
    [[0, 0, 0, 0], 0, 0, 0],
  ] as const;
  for (const [s, ports, protocol, seed] of samples) {
    const hash = tupleHash6(s[0], s[1], s[2], s[3], ports, protocol, seed) >>> 0;
    assert.equal(hash, Number(reference(s, ports, protocol, seed)));
  }
});

test('chance depends on every part of the flow, on the attempt and on the seed', () => {
  const base = [1, 2, 3, 6, 0, 7] as const;
  const first = chance4(...base);
  assert.equal(chance4(...base), first);
  for (let i = 0; i < base.length; i++) {
    const other = [...base] as [number, number, number, number, number, number];
    other[i]! += 1;
    assert.notEqual(chance4(...other), first, `part ${i}`);
  }
  const six = [1, 2, 3, 4, 5, 6, 7, 8, 9, 6, 0, 7] as const;
  const firstSix = chance6(...six);
  for (let i = 0; i < six.length; i++) {
    const other = [...six] as unknown as Parameters<typeof chance6>;
    other[i]! += 1;
    assert.notEqual(chance6(...other), firstSix, `part ${i}`);
  }
});
