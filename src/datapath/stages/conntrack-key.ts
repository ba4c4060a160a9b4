// Conntrack keys and the probes that use them. A key is canonical: the lower end first, a flag says which end owns it.
// Input: ends, ports, protocol, CT_KEY flags. Output: `cx.k0…k9`; word offsets, with the map's words in `cx.ctWords`.
// Invariant: both directions of a connection give the same key words (see schema/conntrack.ts).
// Twin: native/bpf/conntrack_key.h.
import { CT_KEY, traceMapNumber } from '../../schema/index.ts';
import type { Lru10 } from '../../maps/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';

// The same for what this module exports itself.
const putKey4 = setKey4;
const putKey6 = setKey6;

const OWNER_HIGH = CT_KEY.OWNER_HIGH;
const RELATED = CT_KEY.RELATED;
const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;

/**
 * Key of an IPv4 pair of ends.
 * @param ports raw ports, the source's in the low half
 * @param ownerIsSource 1: the source end owns the entry; 0: the destination end
 * @param flags CT_KEY flags besides OWNER_HIGH
 */
export function setKey4(
  cx: Context,
  source: number,
  destination: number,
  ports: number,
  protocol: number,
  ownerIsSource: number,
  flags: number,
): void {
  // Without branches: which end is the lower one is chance, and a branch on it would be guessed wrong every other time.
  // All ones where source < destination: the sign of the difference, corrected where it overflowed.
  const difference = (source - destination) | 0;
  let low = (difference ^ ((source ^ destination) & (difference ^ source))) >> 31;
  if (source === destination) low = (ports & 0xffff) <= ports >>> 16 ? -1 : 0;
  const turned = (ports >>> 16) | (ports << 16);
  const swap = (source ^ destination) & low;
  cx.k0 = destination ^ swap;
  cx.k1 = source ^ swap;
  cx.k2 = turned ^ ((turned ^ ports) & low);
  cx.k3 = protocol | ((flags | (-((ownerIsSource ^ low) & 1) & OWNER_HIGH)) << 8);
}

/** Sign of the comparison of two addresses, word by word as signed integers; 0 = equal. */
const compareWords = (
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  b0: number,
  b1: number,
  b2: number,
  b3: number,
): number => {
  if (a0 !== b0) return a0 < b0 ? -1 : 1;
  if (a1 !== b1) return a1 < b1 ? -1 : 1;
  if (a2 !== b2) return a2 < b2 ? -1 : 1;
  return a3 === b3 ? 0 : a3 < b3 ? -1 : 1;
};

/** As {@link setKey4} for IPv6. */
export function setKey6(
  cx: Context,
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  ports: number,
  protocol: number,
  ownerIsSource: number,
  flags: number,
): void {
  const order = compareWords(s0, s1, s2, s3, d0, d1, d2, d3);
  const sourceLow = order < 0 || (order === 0 && (ports & 0xffff) <= ports >>> 16);
  const ownerHigh = (ownerIsSource !== 0) === sourceLow ? 0 : OWNER_HIGH;
  cx.k0 = sourceLow ? s0 : d0;
  cx.k1 = sourceLow ? s1 : d1;
  cx.k2 = sourceLow ? s2 : d2;
  cx.k3 = sourceLow ? s3 : d3;
  cx.k4 = sourceLow ? d0 : s0;
  cx.k5 = sourceLow ? d1 : s1;
  cx.k6 = sourceLow ? d2 : s2;
  cx.k7 = sourceLow ? d3 : s3;
  cx.k8 = sourceLow ? ports : (ports >>> 16) | (ports << 16);
  cx.k9 = protocol | ((flags | ownerHigh) << 8);
}

/** Key of the packet's own tuple, as it stands in the headers now. */
export function setTupleKey(cx: Context, ownerIsSource: number, flags: number): void {
  const h = cx.headers;
  if (h.family === 4) putKey4(cx, h.s0, h.d0, cx.ports, h.protocol, ownerIsSource, flags);
  else putKey6(cx, h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol, ownerIsSource, flags);
}

/** Key of the twin that lets ICMP errors between the packet's addresses pass. */
export function setRelatedKey(cx: Context): void {
  const h = cx.headers;
  const flags = cx.ownerFlags | RELATED;
  if (h.family === 4) putKey4(cx, h.s0, h.d0, 0, ICMP, cx.ownerIsSource, flags);
  else putKey6(cx, h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, 0, ICMPV6, cx.ownerIsSource, flags);
}

/** The protocol whose pair of maps holds the current key: TCP's, or everyone else's. */
const isTcpKey = (cx: Context): boolean => {
  return ((cx.headers.family === 4 ? cx.k3 : cx.k9) & 0xff) === TCP;
};

/** Whether a packet may leave marks of use in the LRU maps: a probe may not. */
const leavesMarks = (cx: Context): boolean => cx.probe === 0;

/** What IPv6 does apart, so that the IPv4 path stays small enough for V8 to inline it. */
const seek6 = (cx: Context, map: Lru10): number => {
  const at = leavesMarks(cx)
    ? map.find(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9)
    : map.peek(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9);
  cx.ctWords = map.words;
  return at;
};

/** Finds the current key among answered connections: word offset in `cx.ctWords`, or -1. Not counted as a probe. */
export function seekAnswered(cx: Context, tables: Tables): number {
  const tcp = isTcpKey(cx);
  if (cx.headers.family === 4) {
    const map = tcp ? tables.ctTcp4 : tables.ctAny4;
    const at = leavesMarks(cx) ? map.find(cx.k0, cx.k1, cx.k2, cx.k3) : map.peek(cx.k0, cx.k1, cx.k2, cx.k3);
    cx.ctWords = map.words;
    return at;
  }
  return seek6(cx, tcp ? tables.ctTcp6 : tables.ctAny6);
}

/** As {@link seekAnswered} among connections that nobody has answered. */
export function seekUnanswered(cx: Context, tables: Tables): number {
  const tcp = isTcpKey(cx);
  if (cx.headers.family === 4) {
    const map = tcp ? tables.ctTcpNew4 : tables.ctAnyNew4;
    const at = leavesMarks(cx) ? map.find(cx.k0, cx.k1, cx.k2, cx.k3) : map.peek(cx.k0, cx.k1, cx.k2, cx.k3);
    cx.ctWords = map.words;
    return at;
  }
  return seek6(cx, tcp ? tables.ctTcpNew6 : tables.ctAnyNew6);
}

/** Inserts the current key: offset of its 16 words in `cx.ctWords` (`cx.ctCreated`: it is new), or a negative errno. */
export function insertEntry(cx: Context, tables: Tables, answered: boolean): number {
  const tcp = isTcpKey(cx);
  if (cx.headers.family === 4) {
    const map = answered ? (tcp ? tables.ctTcp4 : tables.ctAny4) : tcp ? tables.ctTcpNew4 : tables.ctAnyNew4;
    const at = map.insert(cx.k0, cx.k1, cx.k2, cx.k3);
    cx.ctCreated = map.created ? 1 : 0;
    cx.ctWords = map.words;
    return at;
  }
  const map = answered ? (tcp ? tables.ctTcp6 : tables.ctAny6) : tcp ? tables.ctTcpNew6 : tables.ctAnyNew6;
  const at = map.insert(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9);
  cx.ctCreated = map.created ? 1 : 0;
  cx.ctWords = map.words;
  return at;
}

/** Removes the current key, if it is there. */
export function removeEntry(cx: Context, tables: Tables, answered: boolean): void {
  const tcp = isTcpKey(cx);
  if (cx.headers.family === 4) {
    const map = answered ? (tcp ? tables.ctTcp4 : tables.ctAny4) : tcp ? tables.ctTcpNew4 : tables.ctAnyNew4;
    map.remove(cx.k0, cx.k1, cx.k2, cx.k3);
    return;
  }
  const map = answered ? (tcp ? tables.ctTcp6 : tables.ctAny6) : tcp ? tables.ctTcpNew6 : tables.ctAnyNew6;
  map.remove(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9);
}

/** Appends the current key to a trace record that was just opened. */
export function traceKey(cx: Context): void {
  const t = cx.trace.key(cx.k0).key(cx.k1).key(cx.k2).key(cx.k3);
  if (cx.headers.family !== 4) t.key(cx.k4).key(cx.k5).key(cx.k6).key(cx.k7).key(cx.k8).key(cx.k9);
}

/** Number, for trace records, of the map that holds the current key. */
export function traceConntrackMap(cx: Context, answered: boolean): number {
  return CT_MAPS[(cx.headers.family === 4 ? 0 : 4) + (answered ? 0 : 2) + (isTcpKey(cx) ? 0 : 1)]!;
}

const CT_MAPS: readonly number[] = [
  traceMapNumber('ctTcp4'),
  traceMapNumber('ctAny4'),
  traceMapNumber('ctTcpNew4'),
  traceMapNumber('ctAnyNew4'),
  traceMapNumber('ctTcp6'),
  traceMapNumber('ctAny6'),
  traceMapNumber('ctTcpNew6'),
  traceMapNumber('ctAnyNew6'),
];
