// The packet that an ICMP or ICMPv6 error quotes: addresses and ports of the connection it is about.
// Input: the error's own Headers and bytes. Output: a WIRE status and a second Headers.
// Invariant: needs 8 bytes of the quoted L4 header (RFC 792); the quoted total length may exceed what is there.

import { readBe16, readRaw16, readRaw32 } from './bytes.ts';
import { clearNetwork, type Headers, setLink, WIRE } from './headers.ts';
import { isIcmpError } from './icmp.ts';
import { isIcmpv6Error } from './icmpv6.ts';
import { readIpv4Fields, readIpv6Fields, walkExtensions, withoutTransport } from './parse-ip.ts';

const OK = WIRE.OK;
const CUT = WIRE.CUT;
const BAD_IP = WIRE.BAD_IP;

/**
 * Dissects the packet quoted by an ICMP error (types 3, 4, 5, 11, 12) or ICMPv6 error (1–4).
 *
 * Of the L4 header only the first 8 bytes are asked for; with them come the ports, or an echo's type and identifier.
 * TCP flags and the checksum offset are given when the quote reaches them and they were captured, else 0. A router
 * quotes what it received, so `l3Length` is what the quoted header says, beyond the quote's end.
 *
 * @param inner result, another object than `outer`
 * @param outer the error packet, parsed with status OK
 * @param capturedEnd absolute end of the captured bytes
 * @param wireEnd absolute end of the frame on the wire; the quote ends no later than the outer IP packet
 * @returns OK; CUT; BAD_IP, BAD_EXTENSION, BAD_L4 for a quote that is wrong or too short; UNKNOWN_L4; NO_INNER when
 *   `outer` is no ICMP error or a fragment
 */
export function parseIcmpInner(
  inner: Headers,
  outer: Headers,
  bytes: Uint8Array,
  capturedEnd: number,
  wireEnd: number,
): number {
  setLink(inner, 0, 0);
  clearNetwork(inner, 0);
  const four = outer.family === 4 && outer.protocol === 1 && isIcmpError(outer.icmpType);
  const six = outer.family === 6 && outer.protocol === 58 && isIcmpv6Error(outer.icmpType);
  if ((!four && !six) || outer.fragment !== 0) return WIRE.NO_INNER;
  if (wireEnd < capturedEnd) wireEnd = capturedEnd;
  const outerEnd = outer.l3 + outer.l3Length;
  const end = outerEnd < wireEnd ? outerEnd : wireEnd;
  const l3 = outer.payload;
  inner.l3 = l3;
  return four ? parseQuoted4(inner, bytes, l3, capturedEnd, end) : parseQuoted6(inner, bytes, l3, capturedEnd, end);
}

function parseQuoted4(h: Headers, bytes: Uint8Array, l3: number, capturedEnd: number, end: number): number {
  if (l3 + 20 > end) return BAD_IP;
  if (l3 + 20 > capturedEnd) return CUT;
  if (bytes[l3]! >>> 4 !== 4 || (bytes[l3]! & 15) < 5) return BAD_IP;
  readIpv4Fields(h, bytes, l3);
  h.l3Length = readBe16(bytes, l3 + 2);
  return parseQuotedTransport(h, bytes, l3 + h.ipHeaderBytes, capturedEnd, end, 1);
}

function parseQuoted6(h: Headers, bytes: Uint8Array, l3: number, capturedEnd: number, end: number): number {
  if (l3 + 40 > end) return BAD_IP;
  if (l3 + 40 > capturedEnd) return CUT;
  if (bytes[l3]! >>> 4 !== 6) return BAD_IP;
  readIpv6Fields(h, bytes, l3);
  h.l3Length = readBe16(bytes, l3 + 4) + 40;
  const status = walkExtensions(h, bytes, l3 + 40, capturedEnd, end);
  if (status !== OK) return withoutTransport(h, h.l4, status);
  return parseQuotedTransport(h, bytes, h.l4, capturedEnd, end, 58);
}

/** The first 8 bytes of the quoted L4 header, and what lies behind them where it is there. */
function parseQuotedTransport(
  h: Headers,
  bytes: Uint8Array,
  l4: number,
  capturedEnd: number,
  end: number,
  icmp: number,
): number {
  withoutTransport(h, l4, OK);
  if (l4 > end) return BAD_IP;
  if (l4 > capturedEnd) return CUT;
  const protocol = h.protocol;
  const ports = protocol === 6 || protocol === 17 || protocol === 132;
  if (!ports && protocol !== icmp) return WIRE.UNKNOWN_L4;
  if (h.fragment === 2) return OK;
  if (l4 + 8 > end) return WIRE.BAD_L4;
  if (l4 + 8 > capturedEnd) return CUT;
  const reach = end < capturedEnd ? end : capturedEnd;
  if (ports) {
    h.ports = readRaw32(bytes, l4);
    if (protocol === 17) h.l4ChecksumOffset = l4 + 6;
    if (protocol === 6 && l4 + 14 <= reach) h.tcpFlags = bytes[l4 + 13]!;
    if (protocol === 6 && l4 + 18 <= reach) h.l4ChecksumOffset = l4 + 16;
  } else {
    h.icmpType = bytes[l4]!;
    h.icmpCode = bytes[l4 + 1]!;
    h.icmpId = readRaw16(bytes, l4 + 4);
    h.l4ChecksumOffset = l4 + 2;
  }
  h.payload = l4 + 8;
  return OK;
}
