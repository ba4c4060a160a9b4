// Timestamp units of pcapng (if_tsresol) and their exact division into seconds and nanoseconds.
// Input: a 64-bit count of units as two unsigned words. Output: whole seconds and 0..999,999,999.
// Invariant: no rounding up and no drift: every product and quotient stays below 2^53, else BigInt is used.

/** How an interface counts time. `perSecond` is 0 where only BigInt is exact. */
export interface Clock {
  /** Units per second, at most 2^30; 0 = take `exact`. */
  readonly perSecond: number;
  /** Nanoseconds per unit; exact, also as a binary fraction. */
  readonly nanosPerUnit: number;
  /** Units per second without limit. */
  readonly exact: bigint;
  /** if_tsoffset: seconds to add. */
  readonly offsetSeconds: number;
  /**
   * The second met last: its first unit as two words (the upper one -1: none), and what it is. Packets of the same second
   * need no division.
   */
  lastHigh: number;
  lastLow: number;
  lastSeconds: number;
}

/** A time as two numbers: what `splitUnits` writes. */
export interface MutableTime {
  seconds: number;
  nanoseconds: number;
}

/**
 * The clock for `base` to the power of `-exponent` seconds per unit. `offsetSeconds` (if_tsoffset) is exact within ±2^53,
 * beyond that the nearest double.
 */
export function clockOf(base: 2 | 10, exponent: number, offsetSeconds: bigint): Clock {
  const exact = BigInt(base) ** BigInt(exponent);
  // Decimal up to 10^9: the remainder times a whole number of nanoseconds. Binary up to 2^30: the remainder has 30 bits and
  // 10^9 = 2^9 · 5^9 has 21 significant ones, so the product is exact.
  const fast = base === 10 ? exponent <= 9 : exponent <= 30;
  const perSecond = fast ? Number(exact) : 0;
  return {
    perSecond,
    nanosPerUnit: fast ? 1e9 / perSecond : 0,
    exact,
    offsetSeconds: Number(offsetSeconds),
    lastHigh: -1,
    lastLow: 0,
    lastSeconds: 0,
  };
}

/** Writes the time of `high · 2^32 + low` units (both unsigned 32-bit) into `out`. */
export function splitUnits(clock: Clock, high: number, low: number, out: MutableTime): void {
  const since = low - clock.lastLow;
  if (high === clock.lastHigh && since >= 0 && since < clock.perSecond) {
    out.seconds = clock.lastSeconds;
    out.nanoseconds = Math.floor(since * clock.nanosPerUnit);
    return;
  }
  divideUnits(clock, high, low, out);
}

function divideUnits(clock: Clock, high: number, low: number, out: MutableTime): void {
  const d = clock.perSecond;
  if (d === 0) {
    splitExactly(clock, high, low, out);
    return;
  }
  // Schoolbook division in base 2^16: each dividend is below d · 2^16 ≤ 2^46, so floor(x / d) is exact.
  const q0 = Math.floor(high / d);
  const x1 = (high - q0 * d) * 65536 + (low >>> 16);
  const q1 = Math.floor(x1 / d);
  const x2 = (x1 - q1 * d) * 65536 + (low & 0xffff);
  const q2 = Math.floor(x2 / d);
  const units = x2 - q2 * d;
  out.seconds = q0 * 4294967296 + (q1 * 65536 + q2) + clock.offsetSeconds;
  out.nanoseconds = Math.floor(units * clock.nanosPerUnit);
  clock.lastHigh = high;
  // Negative when the second began under the upper word before: `low - lastLow` is right all the same.
  clock.lastLow = low - units;
  clock.lastSeconds = out.seconds;
}

/** Finer than nanoseconds, or binary beyond 2^22: rare in files, so allocating BigInts is fine. */
function splitExactly(clock: Clock, high: number, low: number, out: MutableTime): void {
  const units = (BigInt(high) << 32n) | BigInt(low);
  out.seconds = Number(units / clock.exact) + clock.offsetSeconds;
  out.nanoseconds = Number(((units % clock.exact) * 1_000_000_000n) / clock.exact);
}
