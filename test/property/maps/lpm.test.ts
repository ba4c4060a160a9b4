// The LPM maps against a naive reference that compares bit by bit, for data of one to six words.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LpmTable, createMap, maskWord } from '../../../src/maps/index.ts';
import { ERRNO, UPDATE, type UpdateFlag } from '../../../src/schema/map-spec.ts';
import { canonicalPrefix, fromNumber, prefixKey, specOf, textOf } from '../../support/maps/specs.ts';

const bitOf = (data: Uint8Array, i: number): number => (data[i >>> 3]! >>> (7 - (i & 7))) & 1;

/** Whether the first `bits` bits agree. */
function agree(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let i = 0; i < bits; i++) if (bitOf(a, i) !== bitOf(b, i)) return false;
  return true;
}

interface Prefix {
  readonly bits: number;
  readonly data: Uint8Array;
}

/** Prefixes that often share their beginnings: data bytes are few, lengths any. */
const prefixes = (dataBytes: number): fc.Arbitrary<Prefix> =>
  fc.record({
    bits: fc
      .oneof(fc.nat(dataBytes * 8), fc.constantFrom(0, 1, 7, 8, 9, 31, 32, dataBytes * 8 - 1, dataBytes * 8))
      .map((n) => Math.min(n, dataBytes * 8)),
    data: fc.uint8Array({ minLength: dataBytes, maxLength: dataBytes }).chain((random) =>
      fc.oneof(
        fc.constant(random),
        fc.constantFrom(0x00, 0xff, 0x0a).map((byte) => new Uint8Array(dataBytes).fill(byte)),
        fc.nat(dataBytes * 8 - 1).map((i) => {
          const one = new Uint8Array(dataBytes);
          one[i >>> 3] = 0x80 >>> (i & 7);
          return one;
        }),
      ),
    ),
  });

interface Step {
  readonly remove: boolean;
  readonly prefix: Prefix;
  readonly flags: UpdateFlag;
}

const steps = (dataBytes: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      remove: fc.constantFrom(false, false, false, true),
      prefix: prefixes(dataBytes),
      flags: fc.constantFrom<UpdateFlag>(UPDATE.ANY, UPDATE.ANY, UPDATE.ANY, UPDATE.NOEXIST, UPDATE.EXIST),
    }),
    { maxLength: 60, size: 'max' },
  );

describe('lpm-trie against bit-by-bit matching', () => {
  for (const dataBytes of [4, 8, 12, 16, 20, 24]) {
    test(`${dataBytes} data bytes`, () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.integer({ min: 1, max: 40 }),
          steps(dataBytes),
          fc.array(prefixes(dataBytes), { minLength: 1, maxLength: 20 }),
          (seed, maxEntries, script, queries) => {
            const map = createMap(
              specOf('lpm-trie', 4 + dataBytes, 4, maxEntries),
              seed % 4 === 0 ? { multipliers: new Int32Array(16) } : { seed },
            );
            assert.ok(map instanceof LpmTable);
            const model = new Map<string, { prefix: Prefix; value: number }>();
            const keyOf = ({ bits, data }: Prefix): Uint8Array => prefixKey(bits, [...data]);
            const ask = ({ bits, data }: Prefix): void => {
              let best: { prefix: Prefix; value: number } | undefined;
              for (const one of model.values()) {
                if (
                  one.prefix.bits <= bits &&
                  agree(one.prefix.data, data, one.prefix.bits) &&
                  (best === undefined || one.prefix.bits > best.prefix.bits)
                )
                  best = one;
              }
              const out = new Uint8Array(4).fill(0xa5);
              const hit = map.lookup(keyOf({ bits, data }), out);
              assert.equal(hit, best !== undefined);
              if (best !== undefined) assert.deepEqual(out, fromNumber(best.value, 4));
            };
            script.forEach(({ remove, prefix, flags }, i) => {
              const name = textOf(canonicalPrefix(keyOf(prefix)));
              const present = model.has(name);
              if (remove) {
                assert.equal(map.delete(keyOf(prefix)), present ? 0 : ERRNO.ENOENT);
                model.delete(name);
              } else {
                const got = map.update(keyOf(prefix), fromNumber(i, 4), flags);
                if (present && flags === UPDATE.NOEXIST) assert.equal(got, ERRNO.EEXIST);
                else if (!present && flags === UPDATE.EXIST) assert.equal(got, ERRNO.ENOENT);
                else if (!present && model.size >= maxEntries) assert.equal(got, ERRNO.ENOSPC);
                else {
                  assert.equal(got, 0);
                  model.set(name, { prefix, value: i });
                }
              }
              assert.equal(map.size, model.size);
              ask({ bits: dataBytes * 8, data: prefix.data });
            });
            for (const query of queries) {
              ask(query);
              ask({ bits: dataBytes * 8, data: query.data });
            }
            const lengths = new Set([...model.values()].map(({ prefix }) => prefix.bits));
            assert.deepEqual(
              [...map.lengths.subarray(0, map.present)],
              [...lengths].sort((a, b) => b - a),
              'the lengths in use, longest first',
            );
            assert.deepEqual(Array.from(map.entries(), ([k]) => textOf(k)).sort(), [...model.keys()].sort());
          },
        ),
        { numRuns: 150 },
      );
    });
  }

  test('maskWord is the mask of the bytes in order', () => {
    fc.assert(
      fc.property(fc.integer({ min: -40, max: 80 }), (bits) => {
        const mask = new Uint8Array(Int32Array.of(maskWord(bits)).buffer);
        for (let i = 0; i < 32; i++) assert.equal(bitOf(mask, i), i < bits ? 1 : 0);
      }),
    );
  });
});
