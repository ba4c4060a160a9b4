// Stage "nat": rewrites addresses and ports in the packet, with checksums adjusted, never recomputed (RFC 1624).
// Input: the parsed packet, what to put in place. Output: the bytes and the headers changed alike.
// Invariant: a right checksum stays right, a wrong one stays wrong by the same amount; partial checksums (the field holds the
// pseudo-header's sum), UDP's "no checksum" and later fragments (no L4 header) are kept so. Twin: native/bpf/nat.h.
import {
  backendValue4,
  backendValue6,
  DROP,
  RECORD_FLAG,
  reverseNatValue4,
  reverseNatValue6,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_LOOPBACK4, CONFIG_LOOPBACK6 } = config;
const { CONTINUE, drop } = verdicts;
const {
  adjust16,
  adjust32,
  adjustPartial32,
  adjustPartialWords,
  adjustWords,
  readRaw16,
  udpRule,
  writeRaw16,
  writeRaw32,
} = wire;

// The same for what this module exports itself.
const putDestination = setDestination;
const putSource = setSource;

const NAT = STAGE.NAT;
const { DNAT, REVERSE_NAT, LOOPBACK } = RECORD_FLAG;
const BACKEND_PORT4 = backendValue4.at.port >>> 2;
const BACKEND_PORT6 = backendValue6.at.port >>> 2;
const FRONTEND_PORT4 = reverseNatValue4.at.port >>> 2;
const FRONTEND_PORT6 = reverseNatValue6.at.port >>> 2;
const REVERSE_NAT4 = traceMapNumber('reverseNat4');
const REVERSE_NAT6 = traceMapNumber('reverseNat6');
/** Flag "in use" of a reverse NAT entry, in the word of its port. */
const IN_USE = 1 << 16;
const TCP = 6;
const UDP = 17;
const SCTP = 132;

/** Whether the packet has ports of its own: TCP, UDP or SCTP, and not a later fragment. */
const hasPorts = (cx: Context): boolean => {
  const h = cx.headers;
  const { protocol } = h;
  return (protocol === TCP || protocol === UDP || protocol === SCTP) && h.fragment !== 2;
};

/** Stores a new L4 checksum, by UDP's rule where it is one (as the kernel's BPF_F_MARK_MANGLED_0, for partial ones too). */
const storeL4 = (cx: Context, at: number, before: number, after: number): void => {
  writeRaw16(cx.bytes, at, cx.headers.protocol === UDP ? udpRule(before, after) : after);
};

/** Adjusts the L4 checksum for a 16-bit field that is not in the pseudo-header: a port. */
const adjustPort = (cx: Context, before: number, after: number): void => {
  const at = cx.headers.l4ChecksumOffset;
  if (at === 0 || cx.partial !== 0) return;
  const check = readRaw16(cx.bytes, at);
  storeL4(cx, at, check, adjust16(check, before, after));
};

/** Replaces an IPv4 address at absolute offset `at` in header, checksums included. ICMP has no pseudo-header. */
const replaceAddress4 = (cx: Context, at: number, before: number, after: number): void => {
  const { bytes, headers: h } = cx;
  writeRaw32(bytes, at, after);
  const ip = h.l3 + 10;
  writeRaw16(bytes, ip, adjust32(readRaw16(bytes, ip), before, after));
  const l4 = h.l4ChecksumOffset;
  if (l4 === 0 || (h.protocol !== TCP && h.protocol !== UDP)) return;
  const check = readRaw16(bytes, l4);
  const adjusted = cx.partial !== 0 ? adjustPartial32(check, before, after) : adjust32(check, before, after);
  storeL4(cx, l4, check, adjusted);
};

/** Replaces an IPv6 address; ICMPv6 has a pseudo-header (RFC 4443 §2.3). */
const replaceAddress6 = (
  cx: Context,
  at: number,
  b0: number,
  b1: number,
  b2: number,
  b3: number,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): void => {
  const { bytes, headers: h } = cx;
  writeRaw32(bytes, at, a0);
  writeRaw32(bytes, at + 4, a1);
  writeRaw32(bytes, at + 8, a2);
  writeRaw32(bytes, at + 12, a3);
  const l4 = h.l4ChecksumOffset;
  if (l4 === 0) return;
  const check = readRaw16(bytes, l4);
  const adjusted =
    cx.partial !== 0
      ? adjustPartialWords(check, b0, b1, b2, b3, a0, a1, a2, a3)
      : adjustWords(check, b0, b1, b2, b3, a0, a1, a2, a3);
  storeL4(cx, l4, check, adjusted);
};

/** Puts another destination in place, in the packet, the headers and the tuple. `port` is raw; words 1..3 are IPv6's. */
export function setDestination(cx: Context, a0: number, a1: number, a2: number, a3: number, port: number): void {
  const h = cx.headers;
  if (h.family === 4) replaceAddress4(cx, h.l3 + 16, h.d0, a0);
  else replaceAddress6(cx, h.l3 + 24, h.d0, h.d1, h.d2, h.d3, a0, a1, a2, a3);
  h.d0 = a0;
  h.d1 = a1;
  h.d2 = a2;
  h.d3 = a3;
  const before = cx.ports >>> 16;
  if (port === before) return;
  cx.ports = (cx.ports & 0xffff) | (port << 16);
  if (!hasPorts(cx)) return;
  h.ports = cx.ports;
  writeRaw16(cx.bytes, h.l4 + 2, port);
  adjustPort(cx, before, port);
}

/** Puts another source in place, without or with its port. */
export function setSource(cx: Context, a0: number, a1: number, a2: number, a3: number, port: number): void {
  const h = cx.headers;
  if (h.family === 4) replaceAddress4(cx, h.l3 + 12, h.s0, a0);
  else replaceAddress6(cx, h.l3 + 8, h.s0, h.s1, h.s2, h.s3, a0, a1, a2, a3);
  h.s0 = a0;
  h.s1 = a1;
  h.s2 = a2;
  h.s3 = a3;
  const before = cx.ports & 0xffff;
  if (port === before) return;
  cx.ports = (cx.ports & ~0xffff) | port;
  if (!hasPorts(cx)) return;
  h.ports = cx.ports;
  writeRaw16(cx.bytes, h.l4, port);
  adjustPort(cx, before, port);
}

/** Puts another identifier (raw) into an ICMP echo, packet, headers and tuple. */
export function setEchoId(cx: Context, id: number): void {
  const h = cx.headers;
  const before = h.icmpId;
  if (id === before) return;
  cx.ports = id | (id << 16);
  h.icmpId = id;
  writeRaw16(cx.bytes, h.l4 + 4, id);
  adjustPort(cx, before, id);
}

/**
 * Translates the destination from the frontend to `cx.backendId` (whose offset in the backend array is `at`), and the source
 * to the loopback address when the backend is the client itself, so that the answer comes back through the datapath.
 * SCTP's checksum covers the ports and cannot be adjusted: a frontend that changes the port drops (154), as in Cilium.
 */
export function translateToBackend(cx: Context, tables: Tables, at: number): number {
  const h = cx.headers;
  const four = h.family === 4;
  const { words } = four ? tables.backends4 : tables.backends6;
  let port = words[at + (four ? BACKEND_PORT4 : BACKEND_PORT6)]! & 0xffff;
  if (port === 0) port = cx.ports >>> 16;
  if (h.protocol === SCTP && port !== cx.ports >>> 16) return drop(cx, DROP.CSUM_L4, NAT);
  const b0 = words[at]!;
  const b1 = four ? 0 : words[at + 1]!;
  const b2 = four ? 0 : words[at + 2]!;
  const b3 = four ? 0 : words[at + 3]!;
  if (cx.tracing !== 0) traceDestination(cx, b0, b1, b2, b3, port);
  if (cx.egress !== 0 && h.s0 === b0 && h.s1 === b1 && h.s2 === b2 && h.s3 === b3) loopBack(cx, tables);
  putDestination(cx, b0, b1, b2, b3, port);
  cx.recordFlags |= DNAT;
  return CONTINUE;
}

const traceDestination = (cx: Context, b0: number, b1: number, b2: number, b3: number, port: number): void => {
  const h = cx.headers;
  const t = cx.trace.open(TRACE.DNAT, NAT, 1, 0).key(h.d0).key(h.d1).key(h.d2).key(h.d3).key(cx.ports);
  t.value(b0)
    .value(b1)
    .value(b2)
    .value(b3)
    .value((cx.ports & 0xffff) | (port << 16));
};

/** A pod that reaches itself through its service: its address becomes the loopback address of the configuration. */
const loopBack = (cx: Context, tables: Tables): void => {
  const config = tables.config.words;
  const h = cx.headers;
  const four = h.family === 4;
  const at = four ? CONFIG_LOOPBACK4 : CONFIG_LOOPBACK6;
  const a1 = four ? 0 : config[at + 1]!;
  const a2 = four ? 0 : config[at + 2]!;
  const a3 = four ? 0 : config[at + 3]!;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.LOOPBACK, NAT, 1, 0).key(h.s0).key(h.s1).key(h.s2).key(h.s3);
    t.value(config[at]!).value(a1).value(a2).value(a3);
  }
  putSource(cx, config[at]!, a1, a2, a3, cx.ports & 0xffff);
  cx.loopback = 1;
  cx.recordFlags |= LOOPBACK;
};

/**
 * Translates a reply's source from the backend back to the frontend of `reverseNat`; an unknown index leaves it (as Cilium).
 * The answer of a hairpin also gets its destination back: the pod itself, whose address is the reply's source.
 */
export function translateFromBackend(cx: Context, tables: Tables, reverseNat: number, hairpin: boolean): void {
  const h = cx.headers;
  const four = h.family === 4;
  const map = four ? tables.reverseNat4 : tables.reverseNat6;
  const at = map.find(reverseNat);
  const { words } = map;
  const portWord = at < 0 ? 0 : words[at + (four ? FRONTEND_PORT4 : FRONTEND_PORT6)]!;
  const known = (portWord & IN_USE) !== 0;
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.REVERSE_NAT, NAT, known ? 1 : 0, four ? REVERSE_NAT4 : REVERSE_NAT6).key(reverseNat);
    cx.trace.values(words, at, four ? reverseNatValue4.bytes >>> 2 : reverseNatValue6.bytes >>> 2);
  }
  if (!known) return;
  cx.reverseNat = reverseNat;
  cx.recordFlags |= REVERSE_NAT;
  if (hairpin) {
    putDestination(cx, h.s0, h.s1, h.s2, h.s3, cx.ports >>> 16);
    cx.recordFlags |= LOOPBACK;
  }
  // An ICMP error has no port of its own: only its outer source changes.
  const port = cx.related !== 0 ? cx.ports & 0xffff : portWord & 0xffff;
  putSource(cx, words[at]!, four ? 0 : words[at + 1]!, four ? 0 : words[at + 2]!, four ? 0 : words[at + 3]!, port);
}

/**
 * Gives a packet whose destination was translated to a backend its frontend back (`cx.reverseNat`), for an answer to its
 * sender. An unknown index leaves it.
 */
export function restoreDestination(cx: Context, tables: Tables): void {
  const four = cx.headers.family === 4;
  const map = four ? tables.reverseNat4 : tables.reverseNat6;
  const at = map.find(cx.reverseNat);
  const { words } = map;
  const portWord = at < 0 ? 0 : words[at + (four ? FRONTEND_PORT4 : FRONTEND_PORT6)]!;
  if ((portWord & IN_USE) === 0) return;
  const port = portWord & 0xffff;
  setDestination(cx, words[at]!, four ? 0 : words[at + 1]!, four ? 0 : words[at + 2]!, four ? 0 : words[at + 3]!, port);
}

/** Takes one from the time to live or hop limit, with the IPv4 header checksum. False when nothing is left: 0 or 1 before. */
export function takeHop(cx: Context): boolean {
  const { bytes, headers: h } = cx;
  if (h.ttl <= 1) return false;
  h.ttl = (h.ttl - 1) | 0;
  if (h.family === 6) {
    bytes[h.l3 + 7] = h.ttl;
    return true;
  }
  const before = readRaw16(bytes, h.l3 + 8);
  bytes[h.l3 + 8] = h.ttl;
  const check = h.l3 + 10;
  // The low byte of the word was 2 at least, so one less borrows nothing from the protocol above it.
  writeRaw16(bytes, check, adjust16(readRaw16(bytes, check), before, before - 1));
  return true;
}
