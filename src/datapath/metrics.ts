// Counters by reason and direction (`weir_metrics`). Input: a reason, a direction, bytes on the wire. Output: the map's
// words, two u64 each. Invariant: a probe counts nothing; an index outside the map is ignored.
import { metricsValue } from '../schema/index.ts';
import type { Context } from './context.ts';
import type { Tables } from './tables.ts';

// The same for what this module exports itself.
const add = addU64;

const BYTES = metricsValue.at.bytes >>> 2;
const SIGN = -0x80000000;

/**
 * Adds one packet.
 * @param reason 0, a metrics reason below 130, or a DROP number
 * @param direction DIRECTION number
 */
export function count(cx: Context, tables: Tables, reason: number, direction: number): void {
  if (cx.probe !== 0) return;
  const at = tables.metrics.find(reason * 4 + direction);
  if (at < 0) return;
  add(tables.metrics.words, at, 1);
  add(tables.metrics.words, at + BYTES, cx.wireBytes);
}

/** Adds a non-negative int32 to the u64 of two words (low first) at `at`. */
export function addU64(words: Int32Array, at: number, amount: number): void {
  const sum = (words[at]! + amount) | 0;
  words[at] = sum;
  // The low word wrapped when the sum, unsigned, is below what was added.
  if ((sum ^ SIGN) < (amount ^ SIGN)) words[at + 1] = (words[at + 1]! + 1) | 0;
}
