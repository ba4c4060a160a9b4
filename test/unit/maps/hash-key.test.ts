// The keyed hash: same seed, same multipliers; keys of everyday and of hostile shapes spread like random ones.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Hash4 } from '../../../src/maps/index.ts';
import { multipliersFor } from '../../../src/maps/hash-key.ts';
import { specOf } from '../../support/maps/specs.ts';

const swapBytes = (x: number): number => (x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);

/** Families of 4096 keys: counters, addresses, ports, and differences that only touch the top bits of several words. */
const families: Record<string, (i: number) => readonly [number, number, number, number]> = {
  counter: (i) => [i, 0, 0, 0],
  'counter in the last word': (i) => [0, 0, 0, i],
  'top bits of one word': (i) => [0, 0, 0, i << 20],
  'addresses of a subnet': (i) => [swapBytes(0x0a000000 + i), 0x600a, 0x5000, 6],
  'source ports': (i) => [swapBytes(0x0a000001), 0x600a, swapBytes(i) | 0x5000, 6],
  'top bits of two words': (i) => [(i & 63) << 26, (i >>> 6) << 26, 0, 0],
  'top bytes of two words': (i) => [(i & 63) << 24, (i >>> 6) << 24, 0, 0],
  'a grid': (i) => [i & 63, i >>> 6, 0, 0],
  'the same in all words': (i) => [i, i, i, i],
  opposite: (i) => [i, -i, 0, 0],
  'single bits': (i) => [1 << (i & 31), 1 << ((i >>> 5) & 31), (i >>> 10) << 30, 0],
};

/** Mean distance of entries from their homes, in slots, and the number of hashes that occur more than once. */
function spread(
  key: (i: number) => readonly [number, number, number, number],
  seed: number,
): { mean: number; equal: number } {
  const map = new Hash4(specOf('hash', 16, 4, 4096), { seed });
  for (let i = 0; i < 4096; i++) {
    const [a, b, c, d] = key(i);
    map.insert(a, b, c, d);
  }
  let distance = 0;
  const hashes = new Set<number>();
  for (let at = 0; at < map.end; at += map.stride) {
    const hash = map.words[at]!;
    if (hash === 0) continue;
    hashes.add(hash);
    const home = (hash >>> map.shift) * map.stride;
    distance += (at - home + (at < home ? map.end : 0)) / map.stride;
  }
  return { mean: distance / map.count, equal: map.count - hashes.size };
}

describe('the keyed hash', () => {
  test('a seed decides the multipliers; without one they differ from map to map; all are odd', () => {
    assert.deepEqual(multipliersFor(4, { seed: 9 }), multipliersFor(4, { seed: 9 }));
    assert.notDeepEqual(multipliersFor(4, { seed: 9 }), multipliersFor(4, { seed: 10 }));
    assert.notDeepEqual(multipliersFor(4, {}), multipliersFor(4, {}));
    for (const m of [multipliersFor(12, { seed: 0 }), multipliersFor(12, {})]) {
      assert.equal(m.length, 24);
      assert.equal(new Set(m).size, 24);
      assert.ok(m.every((word) => (word & 1) === 1));
    }
    assert.deepEqual([...multipliersFor(2, { multipliers: Int32Array.of(1, 2, 3, 4, 5, 6) })], [1, 2, 3, 4]);
  });

  for (const [name, key] of Object.entries(families)) {
    test(`spreads ${name}`, () => {
      // A half full table of random hashes has a mean distance of 0.5.
      const found = Array.from({ length: 12 }, (_, seed) => spread(key, seed * 7919));
      const mean = found.reduce((sum, { mean: one }) => sum + one, 0) / found.length;
      assert.ok(mean < 0.65, `mean distance ${mean}`);
      for (const { mean: one } of found) assert.ok(one < 2.5, `mean distance ${one} under one seed`);
      assert.ok(
        found.every(({ equal }) => equal <= 8),
        'hardly any equal hashes',
      );
    });
  }

  test('keys that differ in one half of one word never have equal sums', () => {
    // The last step is a bijection but for the lowest bit, so sums are compared through pairs of hashes.
    for (let seed = 0; seed < 200; seed++) {
      const [a, b] = multipliersFor(1, { seed });
      for (const shift of [0, 16]) {
        for (const difference of [1, 0x8000, 0x4000, 0xffff, 0x1234]) {
          const d = difference << shift;
          const change = (Math.imul(d, a!) + Math.imul((d << 16) | (d >>> 16), b!)) | 0;
          assert.notEqual(change, 0);
        }
      }
    }
  });
});
