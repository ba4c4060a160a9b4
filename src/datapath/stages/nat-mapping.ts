// Translations of sources: finding one, making one, and making one half again from the other when it was evicted.
// Input: the packet's tuple, the address to put in place (`cx.nat0…3`). Output: a raw port, or what an answer is for.
// Invariant: a packet is translated only while both halves agree, so that no translation serves two connections. At most
// BOUND.NAT_ATTEMPTS ports are tried. Twin: native/bpf/nat_mapping.h.
import { BOUND, DIRECTION, DROP, METRIC, NAT_WAY, TRACE } from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import * as jhash from '../jhash.ts';
import * as metrics from '../metrics.ts';
import type { Tables } from '../tables.ts';
import * as keys from './nat-key.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_NAT_PORTS, CONFIG_RANDOM_SEED } = config;
const { chance4, chance6 } = jhash;
const { count } = metrics;
const { swap16 } = wire;
const {
  backPorts,
  NAT_PORT4,
  NAT_PORT6,
  NAT_REVERSE,
  outPorts,
  removeNat,
  seekNat,
  setAnswerKey,
  setOutKey,
  storeNat,
  traceNat,
  traceNatLookup,
} = keys;

const { OUT, BACK } = NAT_WAY;
const ATTEMPTS = BOUND.NAT_ATTEMPTS;
const { CSUM_L4, NAT_NO_MAPPING } = DROP;
const { NAT_COLLISION, NAT_RESTORED } = METRIC;
const EGRESS = DIRECTION.EGRESS;
const INGRESS = DIRECTION.INGRESS;
const NAT_CREATE = TRACE.NAT_CREATE;
const SCTP = 132;
/** The stride between ports that are tried is 1 to this. */
const STRIDES = 1024;

/** Whose an answer's key is. */
const OWNER = { NOBODY: 0, OWN: 1, OTHER: 2 } as const;
const { NOBODY, OWN, OTHER } = OWNER;

// The same for what this module exports itself.
const seekOut = findOut;

/** Whether a raw port is one that source NAT gives out. */
export function isNatPort(tables: Tables, port: number): boolean {
  const range = tables.config.words[CONFIG_NAT_PORTS]!;
  const number = swap16(port);
  return number >= (range & 0xffff) && number <= range >>> 16;
}

/** Whose the answers to the raw port are. Leaves the key set. */
const ownerOf = (cx: Context, tables: Tables, ports: number, port: number): number => {
  setAnswerKey(cx, ports, port);
  const at = seekNat(cx, tables);
  if (at < 0) return NOBODY;
  const h = cx.headers;
  if (h.family === 4) {
    const { words } = tables.nat4;
    return words[at] === h.s0 && (words[at + NAT_PORT4]! & 0xffff) === (ports & 0xffff) ? OWN : OTHER;
  }
  const { words } = tables.nat6;
  const same =
    ((words[at]! ^ h.s0) | (words[at + 1]! ^ h.s1) | (words[at + 2]! ^ h.s2) | (words[at + 3]! ^ h.s3)) === 0;
  return same && (words[at + NAT_PORT6]! & 0xffff) === (ports & 0xffff) ? OWN : OTHER;
};

/** Stores the answers' half under the current key: they are for the packet's source. Whether there was room. */
const claim = (cx: Context, tables: Tables, ports: number, flags: number, reverseNat: number): boolean => {
  const h = cx.headers;
  return storeNat(cx, tables, h.s0, h.s1, h.s2, h.s3, ports & 0xffff, flags, reverseNat) >= 0;
};

/**
 * The translation that the packet's connection has from `cx.nat`: its raw port, -1 = none. Answers whose half was evicted
 * are claimed again; where somebody else has them by now, there is no translation any more.
 */
export function findOut(cx: Context, tables: Tables): number {
  const h = cx.headers;
  const ports = outPorts(cx);
  setOutKey(cx, ports);
  const at = seekNat(cx, tables);
  if (cx.tracing !== 0) traceNatLookup(cx, tables, at);
  if (at < 0) return -1;
  const four = h.family === 4;
  const words = four ? tables.nat4.words : tables.nat6.words;
  if (words[at] !== cx.nat0) return -1;
  if (!four && ((words[at + 1]! ^ cx.nat1) | (words[at + 2]! ^ cx.nat2) | (words[at + 3]! ^ cx.nat3)) !== 0) return -1;
  const rest = at + (four ? NAT_PORT4 : NAT_PORT6);
  const portWord = words[rest]!;
  const reverseNat = words[rest + NAT_REVERSE]! & 0xffff;
  const port = portWord & 0xffff;
  const owner = ownerOf(cx, tables, ports, port);
  if (owner === OWN) return port;
  if (owner === OTHER || !claim(cx, tables, ports, portWord >>> 16, reverseNat)) return -1;
  count(cx, tables, NAT_RESTORED, EGRESS);
  return port;
}

/**
 * The raw port by which the packet leaves from `cx.nat`: that of its translation, or of a new one. The source's own port is
 * kept when it is in the range and free; else ports are tried from a start and by a stride that are a hash of the flow.
 * SCTP's checksum covers the ports and cannot be adjusted: its port is kept or the packet dropped.
 * @param flags NAT_FLAG of a new translation
 * @returns a raw port, or minus a DROP number
 */
export function mapOut(cx: Context, tables: Tables, flags: number): number {
  const port = seekOut(cx, tables);
  return port >= 0 ? port : allocate(cx, tables, flags);
}

/** Bits 16.. of a hash's half times a bound: 0..bound-1. */
const scaled = (half: number, bound: number): number => Math.imul(half, bound) >>> 16;

const allocate = (cx: Context, tables: Tables, flags: number): number => {
  const h = cx.headers;
  const ports = outPorts(cx);
  const { words } = tables.config;
  const range = words[CONFIG_NAT_PORTS]!;
  const first = range & 0xffff;
  const last = range >>> 16;
  const size = (last - first + 1) | 0;
  if (size <= 0) return -NAT_NO_MAPPING;
  const wanted = swap16(ports & 0xffff);
  const kept = wanted >= first && wanted <= last;
  const sctp = h.protocol === SCTP;
  if (sctp && !kept) return -CSUM_L4;
  const seed = words[CONFIG_RANDOM_SEED]!;
  const hash =
    h.family === 4
      ? chance4(h.s0, h.d0, ports, h.protocol, 0, seed)
      : chance6(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, ports, h.protocol, 0, seed);
  const stride = (1 + scaled(hash & 0xffff, size <= STRIDES ? size - 1 : STRIDES)) | 0;
  let next = (first + scaled(hash >>> 16, size)) | 0;
  let number = kept ? wanted : next;
  for (let i = 0; i < ATTEMPTS; i++) {
    const port = swap16(number);
    const owner = ownerOf(cx, tables, ports, port);
    if (owner === OWN || (owner === NOBODY && claim(cx, tables, ports, flags, cx.reverseNat))) {
      return settle(cx, tables, ports, port, flags, i + 1);
    }
    count(cx, tables, NAT_COLLISION, EGRESS);
    if (sctp) return -CSUM_L4;
    if (i !== 0 || !kept) {
      next = (next + stride) | 0;
      if (next > last) next = (next - size) | 0;
    }
    number = next;
  }
  return -NAT_NO_MAPPING;
};

/** The other half of a new translation, by a port whose answers are the packet's own by now. */
const settle = (cx: Context, tables: Tables, ports: number, port: number, flags: number, attempts: number): number => {
  setOutKey(cx, ports);
  const at = storeNat(cx, tables, cx.nat0, cx.nat1, cx.nat2, cx.nat3, port, flags, cx.reverseNat);
  if (cx.tracing !== 0) traceNat(cx, tables, NAT_CREATE, cx.probe !== 0 ? -1 : at, attempts);
  if (at >= 0) return port;
  setAnswerKey(cx, ports, port);
  removeNat(cx, tables);
  return -NAT_NO_MAPPING;
};

/**
 * What an answer is for: fills `cx.nat0…3`, `natPort`, `natFlags` and `natReverse` from the translation of the given tuple.
 * The other half is made again where it was evicted.
 * @param ports raw, the answering end's in the low half
 * @returns whether there is a translation
 */
export function findBack(
  cx: Context,
  tables: Tables,
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
): boolean {
  const four = cx.headers.family === 4;
  setKey(cx, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol | (BACK << 8));
  const at = seekNat(cx, tables);
  if (cx.tracing !== 0) traceNatLookup(cx, tables, at);
  if (at < 0) return false;
  const words = four ? tables.nat4.words : tables.nat6.words;
  cx.nat0 = words[at]!;
  cx.nat1 = four ? 0 : words[at + 1]!;
  cx.nat2 = four ? 0 : words[at + 2]!;
  cx.nat3 = four ? 0 : words[at + 3]!;
  const rest = at + (four ? NAT_PORT4 : NAT_PORT6);
  cx.natPort = words[rest]! & 0xffff;
  cx.natFlags = words[rest]! >>> 16;
  cx.natReverse = words[rest + NAT_REVERSE]! & 0xffff;
  const turned = cx.natPort | (ports << 16);
  setKey(cx, cx.nat0, cx.nat1, cx.nat2, cx.nat3, s0, s1, s2, s3, turned, protocol | (OUT << 8));
  const out = seekNat(cx, tables);
  if (out < 0) {
    storeNat(cx, tables, d0, d1, d2, d3, ports >>> 16, cx.natFlags, cx.natReverse);
    count(cx, tables, NAT_RESTORED, INGRESS);
    return true;
  }
  const there = four ? tables.nat4.words : tables.nat6.words;
  let different = (there[out]! ^ d0) | ((there[out + (four ? NAT_PORT4 : NAT_PORT6)]! & 0xffff) ^ (ports >>> 16));
  if (!four) different |= (there[out + 1]! ^ d1) | (there[out + 2]! ^ d2) | (there[out + 3]! ^ d3);
  if (different === 0) return true;
  // The connection leaves otherwise by now, its own half having been evicted once: this one is of no use any more.
  setKey(cx, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol | (BACK << 8));
  if (cx.probe === 0) removeNat(cx, tables);
  return false;
}

/**
 * The translation of a tuple towards the outside, for what an ICMP error quotes: fills `cx.nat0…3` and `natPort`. Nothing is made.
 * @param ports raw, the original source's in the low half
 */
export function seekOutOf(
  cx: Context,
  tables: Tables,
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
): boolean {
  const four = cx.headers.family === 4;
  setKey(cx, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol | (OUT << 8));
  const at = seekNat(cx, tables);
  if (cx.tracing !== 0) traceNatLookup(cx, tables, at);
  if (at < 0) return false;
  const words = four ? tables.nat4.words : tables.nat6.words;
  cx.nat0 = words[at]!;
  cx.nat1 = four ? 0 : words[at + 1]!;
  cx.nat2 = four ? 0 : words[at + 2]!;
  cx.nat3 = four ? 0 : words[at + 3]!;
  cx.natPort = words[at + (four ? NAT_PORT4 : NAT_PORT6)]! & 0xffff;
  return true;
}

/** {@link findBack} for the packet itself. */
export function findBackOfPacket(cx: Context, tables: Tables): boolean {
  const h = cx.headers;
  return findBack(cx, tables, h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, backPorts(cx), h.protocol);
}

const setKey = (
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
  rest: number,
): void => {
  cx.k0 = s0;
  if (cx.headers.family === 4) {
    cx.k1 = d0;
    cx.k2 = ports;
    cx.k3 = rest;
    return;
  }
  cx.k1 = s1;
  cx.k2 = s2;
  cx.k3 = s3;
  cx.k4 = d0;
  cx.k5 = d1;
  cx.k6 = d2;
  cx.k7 = d3;
  cx.k8 = ports;
  cx.k9 = rest;
};
