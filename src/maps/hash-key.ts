// The keyed hash of all in-memory maps: its secret multipliers and the constants that generated code repeats inline.
// Input: a seed, or the platform's randomness. Output: multipliers a0, b0, a1, b1, …: two odd ones a key word.
// Invariant: the hash of words k is mix(sum of a[i]*k[i] + b[i]*swap16(k[i])) modulo 2^32; mix is a bijection.
import type { MapOptions } from './word-map.ts';

// What can be claimed. For two different keys, fixed before the multipliers were drawn, the sums agree with a probability of
// at most 2^-16 whatever the keys are, and 2^-31 for most pairs; keys that differ in one 16-bit half of one word never agree.
// (Words whose difference d has t trailing zeros make a*d hit a given value with probability 2^-(31-t); swapping the halves
// for b keeps the smaller t of the two below 16. A single product would not do: a difference in the top bits of two words, the
// last octet of an address and the low byte of a port, would cancel under every seed.) The final mixing spreads
// arithmetic progressions, which a plain sum would place in runs; that part is heuristic, measured in the unit tests.
// Nothing is claimed against somebody who can measure how long lookups take and adapt.

/** Multiplier of the final mixing. */
export const MIX = 0x21f0aaad;

/** Multipliers for `keyWords` words: given ones, or derived from a seed, or random. */
export function multipliersFor(keyWords: number, options: MapOptions): Int32Array {
  const count = keyWords * 2;
  if (options.multipliers !== undefined) {
    const given = new Int32Array(count);
    given.set(options.multipliers.subarray(0, count));
    return given;
  }
  const out = new Int32Array(count);
  if (options.seed === undefined) {
    globalThis.crypto.getRandomValues(out);
  } else {
    let state = options.seed | 0;
    for (let i = 0; i < count; i++) {
      state = (state + 0x9e3779b9) | 0; // splitmix32
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      out[i] = z ^ (z >>> 15);
    }
  }
  for (let i = 0; i < count; i++) out[i]! |= 1;
  return out;
}
