// Keys of the NAT maps, in natural order, and what is stored under them. Input: a tuple. Output: `cx.k0…k9`, offsets in the
// map of the packet's family. Invariant: towards the outside an ICMP echo's id is the source port and the other port is 0;
// on the way back the other way round. Twin: native/bpf/nat_key.h.
import { NAT_WAY, natEntry4, natEntry6, TRACE, STAGE, traceMapNumber } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';

const { OUT, BACK } = NAT_WAY;
const NAT = STAGE.NAT;
const NAT_LOOKUP = TRACE.NAT_LOOKUP;
const ICMP = 1;
const ICMPV6 = 58;
/** Word of a NAT entry's port (low half) and flags, by family. */
export const NAT_PORT4 = natEntry4.at.port >>> 2;
export const NAT_PORT6 = natEntry6.at.port >>> 2;
/** Words from there to the second in which the entry was made, and to its reverse NAT index: the same in both families. */
export const NAT_CREATED = (natEntry4.at.created >>> 2) - NAT_PORT4;
export const NAT_REVERSE = (natEntry4.at.reverseNat >>> 2) - NAT_PORT4;
const WORDS4 = natEntry4.bytes >>> 2;
const WORDS6 = natEntry6.bytes >>> 2;
const MAP4 = traceMapNumber('nat4');
const MAP6 = traceMapNumber('nat6');

/** Raw ports of the packet's tuple as NAT has them, towards the outside. */
export function outPorts(cx: Context): number {
  const { protocol } = cx.headers;
  return protocol === ICMP || protocol === ICMPV6 ? cx.ports & 0xffff : cx.ports;
}

/** As {@link outPorts} for an answer. */
export function backPorts(cx: Context): number {
  const { protocol } = cx.headers;
  return protocol === ICMP || protocol === ICMPV6 ? cx.ports & ~0xffff : cx.ports;
}

/** Key from the packet's source towards its destination. `ports`: raw, the source's in the low half. */
export function setOutKey(cx: Context, ports: number): void {
  const h = cx.headers;
  cx.k0 = h.s0;
  if (h.family === 4) {
    cx.k1 = h.d0;
    cx.k2 = ports;
    cx.k3 = h.protocol | (OUT << 8);
    return;
  }
  cx.k1 = h.s1;
  cx.k2 = h.s2;
  cx.k3 = h.s3;
  cx.k4 = h.d0;
  cx.k5 = h.d1;
  cx.k6 = h.d2;
  cx.k7 = h.d3;
  cx.k8 = ports;
  cx.k9 = h.protocol | (OUT << 8);
}

/** Key of the answers to what leaves to the packet's destination from `cx.nat` and the raw port. `ports`: the packet's. */
export function setAnswerKey(cx: Context, ports: number, port: number): void {
  const h = cx.headers;
  const turned = (ports >>> 16) | (port << 16);
  cx.k0 = h.d0;
  if (h.family === 4) {
    cx.k1 = cx.nat0;
    cx.k2 = turned;
    cx.k3 = h.protocol | (BACK << 8);
    return;
  }
  cx.k1 = h.d1;
  cx.k2 = h.d2;
  cx.k3 = h.d3;
  cx.k4 = cx.nat0;
  cx.k5 = cx.nat1;
  cx.k6 = cx.nat2;
  cx.k7 = cx.nat3;
  cx.k8 = turned;
  cx.k9 = h.protocol | (BACK << 8);
}

/** Key of what the packet's destination answers it, towards the outside. */
export function setReplyKey(cx: Context): void {
  const h = cx.headers;
  const turned = (cx.ports >>> 16) | (cx.ports << 16);
  cx.k0 = h.d0;
  if (h.family === 4) {
    cx.k1 = h.s0;
    cx.k2 = turned;
    cx.k3 = h.protocol | (OUT << 8);
    return;
  }
  cx.k1 = h.d1;
  cx.k2 = h.d2;
  cx.k3 = h.d3;
  cx.k4 = h.s0;
  cx.k5 = h.s1;
  cx.k6 = h.s2;
  cx.k7 = h.s3;
  cx.k8 = turned;
  cx.k9 = h.protocol | (OUT << 8);
}

/** One counted lookup of the current key: word offset of the entry, or -1. A probe leaves no mark of use. */
export function seekNat(cx: Context, tables: Tables): number {
  cx.probesNat = (cx.probesNat + 1) | 0;
  if (cx.headers.family === 4) {
    const map = tables.nat4;
    return cx.probe === 0 ? map.find(cx.k0, cx.k1, cx.k2, cx.k3) : map.peek(cx.k0, cx.k1, cx.k2, cx.k3);
  }
  const map = tables.nat6;
  return cx.probe === 0
    ? map.find(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9)
    : map.peek(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9);
}

/**
 * Stores an entry under the current key. A probe stores nothing and succeeds.
 * @param port raw
 * @param flags NAT_FLAG
 * @returns word offset, or a negative errno; 0 of a probe
 */
export function storeNat(
  cx: Context,
  tables: Tables,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  port: number,
  flags: number,
  reverseNat: number,
): number {
  if (cx.probe !== 0) return 0;
  const four = cx.headers.family === 4;
  const at = four
    ? tables.nat4.insert(cx.k0, cx.k1, cx.k2, cx.k3)
    : tables.nat6.insert(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9);
  if (at < 0) return at;
  const words = four ? tables.nat4.words : tables.nat6.words;
  words[at] = a0;
  let rest = at + NAT_PORT4;
  if (!four) {
    words[at + 1] = a1;
    words[at + 2] = a2;
    words[at + 3] = a3;
    rest = at + NAT_PORT6;
  }
  words[rest] = port | (flags << 16);
  words[rest + NAT_CREATED] = cx.now;
  words[rest + NAT_REVERSE] = reverseNat;
  return at;
}

/** Removes the current key. */
export function removeNat(cx: Context, tables: Tables): void {
  if (cx.headers.family === 4) tables.nat4.remove(cx.k0, cx.k1, cx.k2, cx.k3);
  else tables.nat6.remove(cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9);
}

/** Appends a record about the current key and the entry at `at`, if it is not negative. */
export function traceNat(cx: Context, tables: Tables, kind: number, at: number, result: number): void {
  const four = cx.headers.family === 4;
  const t = cx.trace
    .open(kind, NAT, result, four ? MAP4 : MAP6)
    .key(cx.k0)
    .key(cx.k1)
    .key(cx.k2)
    .key(cx.k3);
  if (!four) t.key(cx.k4).key(cx.k5).key(cx.k6).key(cx.k7).key(cx.k8).key(cx.k9);
  t.values(four ? tables.nat4.words : tables.nat6.words, at, four ? WORDS4 : WORDS6);
}

/** Appends a record about a lookup of the current key. */
export function traceNatLookup(cx: Context, tables: Tables, at: number): void {
  traceNat(cx, tables, NAT_LOOKUP, at, at >= 0 ? 1 : 0);
}
