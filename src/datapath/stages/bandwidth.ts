// Stage "bandwidth": when a packet of an endpoint with a limit may leave: the earliest departure time (Cilium's
// edt_sched_departure). Input: the packet at to-netdev, `cx.aggregate` by from-container. Output: the departure in the record, or a
// drop (162) of what would have to wait beyond the horizon. Invariant: departures of an endpoint never go back, and what leaves until
// any time is at most what the limit lets, and one packet; an endpoint without a limit has no lookup. Twin: native/bpf/bandwidth.h.
import { BOUND, departureValue, DROP, limitValue, STAGE, TRACE, traceMapNumber } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

const { CONTINUE, drop } = verdicts;

const FORWARD = STAGE.FORWARD;
const RATE = limitValue.at.bytesPerSecond >>> 2;
const HORIZON = limitValue.at.horizon >>> 2;
const LIMIT_WORDS = limitValue.bytes >>> 2;
const SECONDS = departureValue.at.seconds >>> 2;
const NANOSECONDS = departureValue.at.nanoseconds >>> 2;
const LIMITS = traceMapNumber('limits');
const MOST_BYTES = BOUND.LIMITED_BYTES;
const SECOND = 1e9;
const HIGH = 2 ** 32;
/** Seconds of difference beyond which it makes none how far: every delay is shorter. */
const FAR = 1 << 21;
/** Results of TRACE.LIMIT. */
const UNLIMITED = 0;
const AT_ONCE = 1;
const LATER = 2;
const BEYOND = 3;

/**
 * Gives the packet its departure. All sums are of integers below 2^53, so that doubles are exact: the delay of the longest packet
 * at one byte a second is 2^20 · 10^9.
 */
export function pace(cx: Context, tables: Tables): number {
  const id = cx.aggregate;
  const { limits, departures } = tables;
  const at = limits.find(id);
  const last = departures.find(id);
  if (at < 0 || last < 0) return CONTINUE;
  const rate = (limits.words[at + RATE]! >>> 0) + (limits.words[at + RATE + 1]! >>> 0) * HIGH;
  if (rate === 0) {
    if (cx.tracing !== 0) tracePace(cx, tables, at, UNLIMITED);
    return CONTINUE;
  }
  const horizon = (limits.words[at + HORIZON]! >>> 0) + (limits.words[at + HORIZON + 1]! >>> 0) * HIGH;
  const { words } = departures;
  // Where time has gone back, it is the beginning of the latest second.
  const nanoseconds = cx.seconds === cx.now ? cx.nanoseconds : 0;
  const bytes = cx.wireBytes < MOST_BYTES ? cx.wireBytes : MOST_BYTES;
  let apart = (words[last + SECONDS]! - cx.now) | 0;
  if (apart > FAR) apart = FAR;
  if (apart < -FAR) apart = -FAR;
  const wait =
    apart * SECOND + (words[last + NANOSECONDS]! >>> 0) - (nanoseconds >>> 0) + Math.floor((bytes * SECOND) / rate);
  if (wait > 0 && wait >= horizon) {
    if (cx.tracing !== 0) tracePace(cx, tables, at, BEYOND);
    return drop(cx, DROP.EDT_HORIZON, FORWARD);
  }
  let seconds = cx.now;
  let within = nanoseconds;
  if (wait > 0) {
    const sum = wait + (nanoseconds >>> 0);
    const whole = Math.floor(sum / SECOND);
    seconds = (seconds + whole) | 0;
    within = (sum - whole * SECOND) | 0;
    cx.departureSeconds = seconds;
    cx.departureNanoseconds = within;
  }
  if (cx.probe === 0) {
    words[last + SECONDS] = seconds;
    words[last + NANOSECONDS] = within;
  }
  if (cx.tracing !== 0) tracePace(cx, tables, at, wait > 0 ? LATER : AT_ONCE);
  return CONTINUE;
}

const tracePace = (cx: Context, tables: Tables, at: number, result: number): void => {
  cx.trace
    .open(TRACE.LIMIT, FORWARD, result, LIMITS)
    .key(cx.aggregate)
    .values(tables.limits.words, at, LIMIT_WORDS)
    .value(cx.departureSeconds)
    .value(cx.departureNanoseconds)
    .value(cx.wireBytes);
};
