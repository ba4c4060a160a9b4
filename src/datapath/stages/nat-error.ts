// ICMP errors about translated connections: what they quote is rewritten like the packet itself, and every checksum with it.
// Input: an error (`cx.related`), the NAT maps. Output: the error as the original sender understands it, or as the outside
// does. Invariant: a quote that is cut, a later fragment, behind too many extension headers, or of a connection that is not
// translated stays as it is. Twin: native/bpf/nat_error.h.
import { reverseNatValue4, reverseNatValue6, RECORD_FLAG, STAGE, TRACE } from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as nat from './nat.ts';
import * as mapping from './nat-mapping.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { adjust16, adjust32, adjustWords, isExtensionHeader, readRaw16, readRaw32, udpRule } = wire;
const { MAX_EXTENSION_HEADERS, writeRaw16, writeRaw32 } = wire;
const { setDestination, setSource } = nat;
const { findBack, isNatPort, seekOutOf } = mapping;

const NAT = STAGE.NAT;
const { SNAT, REVERSE_NAT } = RECORD_FLAG;
const TRACE_ERROR = TRACE.NAT_ERROR;
const FRONTEND_PORT4 = reverseNatValue4.at.port >>> 2;
const FRONTEND_PORT6 = reverseNatValue6.at.port >>> 2;
const IN_USE = 1 << 16;
const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
const SCTP = 132;
const FRAGMENT = 44;
const AUTHENTICATION = 51;

const turned = (ports: number): number => (ports >>> 16) | (ports << 16);
// The same for what this module exports itself.
const putInQuote = putFrontendInQuote;

/** Reads what the error quotes into `cx.quoted…`. False where it cannot be read or is not translated by tuple. */
export function readQuote(cx: Context): boolean {
  const { bytes, headers: h } = cx;
  const l3 = (h.l4 + 8) | 0;
  const own = (h.l3 + h.l3Length) | 0;
  const end = own < cx.capturedEnd ? own : cx.capturedEnd;
  let l4 = (l3 + 40) | 0;
  let protocol = 0;
  if (h.family === 4) {
    if (l3 + 20 > end || bytes[l3]! >>> 4 !== 4) return false;
    const header = (bytes[l3]! & 15) << 2;
    // The low five bits of the first byte and the next byte: a later fragment has no L4 header.
    if (header < 20 || ((bytes[l3 + 6]! & 0x1f) | bytes[l3 + 7]!) !== 0) return false;
    l4 = (l3 + header) | 0;
    protocol = bytes[l3 + 9]!;
    cx.quotedS0 = readRaw32(bytes, l3 + 12);
    cx.quotedD0 = readRaw32(bytes, l3 + 16);
  } else {
    if (l3 + 40 > end || bytes[l3]! >>> 4 !== 6) return false;
    protocol = bytes[l3 + 6]!;
    for (let count = 0; isExtensionHeader(protocol); count++) {
      if (count === MAX_EXTENSION_HEADERS || l4 + 8 > end) return false;
      // A later fragment has no L4 header.
      if (protocol === FRAGMENT && (bytes[l4 + 2]! | (bytes[l4 + 3]! & 0xf8)) !== 0) return false;
      const units = bytes[l4 + 1]!;
      const size = protocol === FRAGMENT ? 8 : protocol === AUTHENTICATION ? (units + 2) << 2 : (units + 1) << 3;
      protocol = bytes[l4]!;
      l4 = (l4 + size) | 0;
    }
    cx.quotedS0 = readRaw32(bytes, l3 + 8);
    cx.quotedS1 = readRaw32(bytes, l3 + 12);
    cx.quotedS2 = readRaw32(bytes, l3 + 16);
    cx.quotedS3 = readRaw32(bytes, l3 + 20);
    cx.quotedD0 = readRaw32(bytes, l3 + 24);
    cx.quotedD1 = readRaw32(bytes, l3 + 28);
    cx.quotedD2 = readRaw32(bytes, l3 + 32);
    cx.quotedD3 = readRaw32(bytes, l3 + 36);
  }
  if (l4 + 8 > end) return false;
  cx.quotedL3 = l3;
  cx.quotedL4 = l4;
  cx.quotedProtocol = protocol;
  cx.quotedChecksum = 0;
  if (protocol === TCP || protocol === UDP || protocol === SCTP) {
    cx.quotedPorts = readRaw32(bytes, l4);
    if (protocol === UDP) cx.quotedChecksum = (l4 + 6) | 0;
    else if (protocol === TCP && l4 + 18 <= end) cx.quotedChecksum = (l4 + 16) | 0;
    return true;
  }
  if (protocol !== (h.family === 4 ? ICMP : ICMPV6)) return false;
  const type = bytes[l4]!;
  const id = readRaw16(bytes, l4 + 4);
  const [request, reply] = h.family === 4 ? ECHO4 : ECHO6;
  if (type !== request && type !== reply) return false;
  cx.quotedPorts = type === request ? id : id << 16;
  cx.quotedChecksum = (l4 + 2) | 0;
  return true;
}

const ECHO4 = [8, 0] as const;
const ECHO6 = [128, 129] as const;

/** Adjusts the error's own checksum for a 16-bit field of the quote. */
const adjustOuter16 = (cx: Context, before: number, after: number): void => {
  const at = cx.headers.l4ChecksumOffset;
  if (at === 0 || cx.partial !== 0) return;
  writeRaw16(cx.bytes, at, adjust16(readRaw16(cx.bytes, at), before, after));
};

/** Stores another checksum of the quoted packet's L4 header, by UDP's rule where it is one. */
const storeQuoted = (cx: Context, before: number, adjusted: number): number => {
  const after = cx.quotedProtocol === UDP ? udpRule(before, adjusted) : adjusted;
  writeRaw16(cx.bytes, cx.quotedChecksum, after);
  adjustOuter16(cx, before, after);
  return after;
};

/** Another address at `at` in the quote: its own IP and L4 checksums, and the error's. */
const replaceQuoted = (cx: Context, at: number, a0: number, a1: number, a2: number, a3: number): void => {
  const { bytes, headers: h } = cx;
  const outer = cx.partial !== 0 ? 0 : h.l4ChecksumOffset;
  const check = cx.quotedChecksum;
  const b0 = readRaw32(bytes, at);
  writeRaw32(bytes, at, a0);
  if (h.family === 4) {
    if (outer !== 0) writeRaw16(bytes, outer, adjust32(readRaw16(bytes, outer), b0, a0));
    const ip = (cx.quotedL3 + 10) | 0;
    const before = readRaw16(bytes, ip);
    const after = adjust32(before, b0, a0);
    writeRaw16(bytes, ip, after);
    adjustOuter16(cx, before, after);
    if (check === 0 || cx.quotedProtocol === ICMP) return;
    const l4 = readRaw16(bytes, check);
    storeQuoted(cx, l4, adjust32(l4, b0, a0));
    return;
  }
  const b1 = readRaw32(bytes, at + 4);
  const b2 = readRaw32(bytes, at + 8);
  const b3 = readRaw32(bytes, at + 12);
  writeRaw32(bytes, at + 4, a1);
  writeRaw32(bytes, at + 8, a2);
  writeRaw32(bytes, at + 12, a3);
  if (outer !== 0) writeRaw16(bytes, outer, adjustWords(readRaw16(bytes, outer), b0, b1, b2, b3, a0, a1, a2, a3));
  if (check === 0) return;
  const l4 = readRaw16(bytes, check);
  storeQuoted(cx, l4, adjustWords(l4, b0, b1, b2, b3, a0, a1, a2, a3));
};

/** Another raw port, or echo id, at `at` in the quote. */
const replaceQuotedPort = (cx: Context, at: number, port: number): void => {
  const { bytes } = cx;
  const before = readRaw16(bytes, at);
  if (before === port) return;
  writeRaw16(bytes, at, port);
  adjustOuter16(cx, before, port);
  const check = cx.quotedChecksum;
  if (check === 0) return;
  const l4 = readRaw16(bytes, check);
  storeQuoted(cx, l4, adjust16(l4, before, port));
};

const isQuotedEcho = (cx: Context): boolean => cx.quotedProtocol === ICMP || cx.quotedProtocol === ICMPV6;

/** Puts another source (or destination) into the quote. */
export function rewriteQuote(
  cx: Context,
  source: boolean,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  port: number,
): void {
  const four = cx.headers.family === 4;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE_ERROR, NAT, 1, 0).key(cx.quotedS0).key(cx.quotedS1).key(cx.quotedS2).key(cx.quotedS3);
    t.key(cx.quotedD0).key(cx.quotedD1).key(cx.quotedD2).key(cx.quotedD3).key(cx.quotedPorts);
    t.value(source ? 1 : 0)
      .value(a0)
      .value(a1)
      .value(a2)
      .value(a3)
      .value(port);
  }
  replaceQuoted(cx, (cx.quotedL3 + (four ? (source ? 12 : 16) : source ? 8 : 24)) | 0, a0, a1, a2, a3);
  replaceQuotedPort(cx, (cx.quotedL4 + (isQuotedEcho(cx) ? 4 : source ? 0 : 2)) | 0, port);
}

/**
 * An error from outside about something that source NAT sent: the original becomes its destination and the source of what it
 * quotes; behind a frontend of the node the frontend becomes the quote's destination, and the error's source where the
 * backend itself sent it. False: it is about something else. Fills `cx.natFlags`.
 */
export function errorBack(cx: Context, tables: Tables): boolean {
  if (!readQuote(cx)) return false;
  const h = cx.headers;
  const four = h.family === 4;
  if (cx.quotedS0 !== h.d0) return false;
  if (!four && (cx.quotedS1 !== h.d1 || cx.quotedS2 !== h.d2 || cx.quotedS3 !== h.d3)) return false;
  if (!isNatPort(tables, cx.quotedPorts & 0xffff)) return false;
  const { quotedD0: d0, quotedD1: d1, quotedD2: d2, quotedD3: d3, quotedProtocol } = cx;
  const ports = turned(cx.quotedPorts);
  const { quotedS0: s0, quotedS1: s1, quotedS2: s2, quotedS3: s3 } = cx;
  if (!findBack(cx, tables, d0, d1, d2, d3, s0, s1, s2, s3, ports, quotedProtocol)) return false;
  rewriteQuote(cx, true, cx.nat0, cx.nat1, cx.nat2, cx.nat3, cx.natPort);
  setDestination(cx, cx.nat0, cx.nat1, cx.nat2, cx.nat3, 0);
  cx.recordFlags |= SNAT;
  if (cx.natReverse !== 0) frontendInQuote(cx, tables, cx.natReverse, false);
  return true;
}

/**
 * Puts the frontend of a reverse NAT index in place of the backend in what an error quotes, and of the error's own source
 * where that is the backend. An index that is not in use leaves them.
 * @param source the backend is the source of what is quoted; else its destination
 */
export function frontendInQuote(cx: Context, tables: Tables, reverseNat: number, source: boolean): void {
  const h = cx.headers;
  const four = h.family === 4;
  const map = four ? tables.reverseNat4 : tables.reverseNat6;
  const at = map.find(reverseNat);
  const { words } = map;
  const portWord = at < 0 ? 0 : words[at + (four ? FRONTEND_PORT4 : FRONTEND_PORT6)]!;
  if ((portWord & IN_USE) === 0) return;
  const a1 = four ? 0 : words[at + 1]!;
  const a2 = four ? 0 : words[at + 2]!;
  const a3 = four ? 0 : words[at + 3]!;
  putInQuote(cx, source, words[at]!, a1, a2, a3, portWord & 0xffff);
  cx.reverseNat = reverseNat;
}

/** The same for a frontend that is given; `port` is raw. */
export function putFrontendInQuote(
  cx: Context,
  source: boolean,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  port: number,
): void {
  const h = cx.headers;
  const four = h.family === 4;
  const b0 = source ? cx.quotedS0 : cx.quotedD0;
  let other = b0 ^ h.s0;
  if (!four) {
    other |= (source ? cx.quotedS1 : cx.quotedD1) ^ h.s1;
    other |= (source ? cx.quotedS2 : cx.quotedD2) ^ h.s2;
    other |= (source ? cx.quotedS3 : cx.quotedD3) ^ h.s3;
  }
  rewriteQuote(cx, source, a0, a1, a2, a3, port);
  if (other === 0) setSource(cx, a0, a1, a2, a3, 0);
  cx.recordFlags |= REVERSE_NAT;
}

/**
 * An error that a masqueraded pod sends about an answer that it was given: to the outside it comes from the node, about the
 * packet as it was before it was translated back. False: it is about something else.
 */
export function errorOut(cx: Context, tables: Tables): boolean {
  if (!readQuote(cx)) return false;
  const h = cx.headers;
  if (cx.quotedD0 !== h.s0) return false;
  if (h.family !== 4 && (cx.quotedD1 !== h.s1 || cx.quotedD2 !== h.s2 || cx.quotedD3 !== h.s3)) return false;
  const { quotedD0: d0, quotedD1: d1, quotedD2: d2, quotedD3: d3, quotedProtocol } = cx;
  const { quotedS0: s0, quotedS1: s1, quotedS2: s2, quotedS3: s3 } = cx;
  if (!seekOutOf(cx, tables, d0, d1, d2, d3, s0, s1, s2, s3, turned(cx.quotedPorts), quotedProtocol)) return false;
  rewriteQuote(cx, false, cx.nat0, cx.nat1, cx.nat2, cx.nat3, cx.natPort);
  setSource(cx, cx.nat0, cx.nat1, cx.nat2, cx.nat3, 0);
  cx.recordFlags |= SNAT;
  return true;
}
