// Every in-memory kind against a model, over key sizes, bounds and hashes: random, and such that all or many keys collide.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ArrayOfArrays, createMap, type LazyBytes, type MapOptions } from '../../../src/maps/index.ts';
import { ERRNO, UPDATE, type UpdateFlag } from '../../../src/schema/map-spec.ts';
import { fromNumber, specOf } from '../../support/maps/specs.ts';
import { operations, runAgainstModel } from './map-model.ts';

/** Any seed; all keys in one run; or multipliers that keep only the top bits of what they see. */
const options: fc.Arbitrary<MapOptions> = fc.oneof(
  fc.record({ seed: fc.integer() }),
  fc.constant({ multipliers: new Int32Array(32) }),
  fc.integer({ min: 26, max: 31 }).map((bit) => ({ multipliers: new Int32Array(32).fill(1 << bit) })),
);

/** Keys 0 … in bytes: small numbers, extremes, numbers whose top bits differ. */
const keyOf =
  (size: number) =>
  (n: number): Uint8Array => {
    if (n === 0) return new Uint8Array(size);
    if (n === 1) return new Uint8Array(size).fill(0xff);
    if (n % 3 === 0) return fromNumber(n, size).reverse();
    return fromNumber(n, size);
  };

/** Takes every second value lazily, equal ones as the same object. */
class SometimesLazy extends ArrayOfArrays {
  private readonly known = new Map<number, LazyBytes>();

  override update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UPDATE.ANY): number {
    const first = value[0]!;
    if (first % 2 === 0 || flags !== UPDATE.ANY) return super.update(key, value, flags);
    let lazy = this.known.get(first);
    if (lazy === undefined) {
      const bytes = value.slice();
      this.known.set(first, (lazy = { length: bytes.length, copyTo: (out) => out.set(bytes) }));
    }
    return this.updateLazily(key, lazy);
  }
}

describe('maps against a model', () => {
  for (const size of [4, 7, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48]) {
    test(`hash, keys of ${size} bytes`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), options, operations(48), (maxEntries, how, ops) => {
          const map = createMap(specOf('hash', size, 6, maxEntries), how);
          runAgainstModel(
            map,
            { maxEntries, full: ERRNO.E2BIG, keyOf: keyOf(size), valueOf: (n) => fromNumber(n, 6) },
            ops,
          );
        }),
        { numRuns: 60 },
      );
    });

    test(`lru-hash, keys of ${size} bytes`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), options, operations(48), (maxEntries, how, ops) => {
          const map = createMap(specOf('lru-hash', size, 6, maxEntries), how);
          runAgainstModel(
            map,
            { maxEntries, full: undefined, keyOf: keyOf(size), valueOf: (n) => fromNumber(n, 6) },
            ops,
          );
        }),
        { numRuns: 60 },
      );
    });
  }

  for (const [title, full] of [
    ['hash', ERRNO.E2BIG],
    ['lru-hash', undefined],
  ] as const) {
    test(`${title}, long runs that grow`, () => {
      fc.assert(
        fc.property(options, operations(600, 1500), (how, ops) => {
          const map = createMap(specOf(title, 16, 64, 500), how);
          runAgainstModel(map, { maxEntries: 500, full, keyOf: keyOf(16), valueOf: (n) => fromNumber(n, 64) }, ops);
        }),
        { numRuns: 12 },
      );
    });
  }

  test('array-of-arrays, tables of which many are equal', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), operations(14), (maxEntries, ops) => {
        const map = createMap(specOf('array-of-arrays', 4, 0, maxEntries, 3));
        const bytes = { keyOf: (n: number) => fromNumber(n, 4), valueOf: (n: number) => fromNumber(n % 4, 12) };
        runAgainstModel(map, { maxEntries, full: ERRNO.E2BIG, indexed: true, ...bytes }, ops);
      }),
      { numRuns: 300 },
    );
  });

  test('array-of-arrays, some tables as bytes and some lazy', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), operations(14), (maxEntries, ops) => {
        const map = new SometimesLazy(specOf('array-of-arrays', 4, 0, maxEntries, 3));
        const bytes = { keyOf: (n: number) => fromNumber(n, 4), valueOf: (n: number) => fromNumber(n % 6, 12) };
        runAgainstModel(map, { maxEntries, full: ERRNO.E2BIG, indexed: true, ...bytes }, ops);
        assert.ok(map.pool.length <= maxEntries * map.tableWords);
        assert.ok(map.tables <= map.size);
      }),
      { numRuns: 300 },
    );
  });
});
