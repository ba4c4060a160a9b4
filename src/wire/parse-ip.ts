// Dissects IPv4 and IPv6 packets with the fixed part of their L4 header into Headers.
// Input: bytes, the absolute offset of the IP header, captured end and wire end. Output: a WIRE status, Headers filled.
// Invariant: no byte at or behind capturedEnd is read; a check on a value comes after the check that it was captured.
// Twin: the parse stage in C makes the same checks in the same order.

import * as loads from './bytes.ts';
import { clearNetwork, type Headers, WIRE } from './headers.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { readBe16, readRaw16, readRaw32 } = loads;
// The same for its own functions, which V8 otherwise takes for variables.
const readIpv4 = readIpv4Fields;
const readTransport = parseTransport;

const OK = WIRE.OK;
const CUT = WIRE.CUT;
const BAD_IP = WIRE.BAD_IP;
const BAD_EXTENSION = WIRE.BAD_EXTENSION;
const BAD_L4 = WIRE.BAD_L4;
const UNKNOWN_L4 = WIRE.UNKNOWN_L4;

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
const SCTP = 132;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT_HEADER = 44;
const AUTHENTICATION = 51;
const NO_NEXT_HEADER = 59;
const DESTINATION_OPTIONS = 60;

/** IPv6 extension headers that are walked before a packet is given up: a bound that the verifier sets for the twin. */
export const MAX_EXTENSION_HEADERS = 4;

/**
 * Dissects an IP packet whose version is only known from its first nibble (raw link types, tunnels).
 *
 * @param h result; the network layer and everything behind it is set, the link layer's fields are left alone
 * @param l3 absolute offset of the IP header
 * @param capturedEnd absolute offset behind the last captured byte, at most `bytes.length`
 * @param wireEnd absolute offset behind the last byte that was on the wire; taken as `capturedEnd` when smaller
 * @returns OK, CUT, BAD_IP, BAD_EXTENSION, BAD_L4 or UNKNOWN_L4
 */
export function parseIp(h: Headers, bytes: Uint8Array, l3: number, capturedEnd: number, wireEnd: number): number {
  if (l3 < capturedEnd) {
    const version = bytes[l3]! >>> 4;
    if (version === 4) return parseIpv4Packet(h, bytes, l3, capturedEnd, wireEnd);
    if (version === 6) return parseIpv6Packet(h, bytes, l3, capturedEnd, wireEnd);
    clearNetwork(h, l3);
    return BAD_IP;
  }
  clearNetwork(h, l3);
  return l3 < wireEnd ? CUT : BAD_IP;
}

/**
 * Dissects an IPv4 packet (RFC 791) and its L4 header. Parameters and statuses as {@link parseIp}, but no extensions.
 *
 * Version, header length, total length and the fit of the L4 header inside the total length are checked here because
 * the kernel's own IP layer (`ip_rcv_core`) drops what fails them; Cilium's programs read on without looking, so for
 * such packets Weir drops where Cilium would decide on garbage. The header checksum is not checked, as in Cilium.
 * Bytes behind the total length are Ethernet padding and never looked at. A total length of 0 is what a capture of a
 * segmentation-offloaded packet shows: the length then comes from the wire.
 */
export function parseIpv4Packet(
  h: Headers,
  bytes: Uint8Array,
  l3: number,
  capturedEnd: number,
  wireEnd: number,
): number {
  if (wireEnd < capturedEnd) wireEnd = capturedEnd;
  const room = wireEnd - l3;
  if (l3 + 20 > capturedEnd) return reject(h, l3, 0, room < 20 ? BAD_IP : CUT);
  const first = bytes[l3]!;
  const headerBytes = (first & 15) << 2;
  const length = readBe16(bytes, l3 + 2) || room;
  if (first >>> 4 !== 4) return reject(h, l3, 0, BAD_IP);
  if (headerBytes < 20 || length < headerBytes || length > room) return reject(h, l3, 4, BAD_IP);
  readIpv4(h, bytes, l3);
  h.l3Length = length;
  return readTransport(h, bytes, l3 + headerBytes, h.protocol, capturedEnd, l3 + length, ICMP);
}

/** Clears the network layer of a packet whose IP header is not usable, and passes the status on. */
function reject(h: Headers, l3: number, family: number, status: number): number {
  clearNetwork(h, l3);
  h.family = family;
  return status;
}

/**
 * Reads the fixed IPv4 header into the result: `l3` and everything of the network layer but `l4` and `l3Length`.
 * Unchecked: the caller has checked that 20 bytes at `l3` were captured.
 */
export function readIpv4Fields(h: Headers, bytes: Uint8Array, l3: number): void {
  const fragmentField = readBe16(bytes, l3 + 6);
  h.l3 = l3;
  h.family = 4;
  h.ipHeaderBytes = (bytes[l3]! & 15) << 2;
  h.tos = bytes[l3 + 1]!;
  h.fragId = readRaw16(bytes, l3 + 4);
  h.fragment = (fragmentField & 0x3fff) === 0 ? 0 : (fragmentField & 0x1fff) === 0 ? 1 : 2;
  h.ttl = bytes[l3 + 8]!;
  h.protocol = bytes[l3 + 9]!;
  h.s0 = readRaw32(bytes, l3 + 12);
  h.s1 = 0;
  h.s2 = 0;
  h.s3 = 0;
  h.d0 = readRaw32(bytes, l3 + 16);
  h.d1 = 0;
  h.d2 = 0;
  h.d3 = 0;
  h.extensionHeaders = 0;
}

/**
 * Dissects an IPv6 packet (RFC 8200), at most {@link MAX_EXTENSION_HEADERS} extension headers and its L4 header.
 * Parameters and statuses as {@link parseIp}.
 *
 * A payload length of 0 means "take the wire length" when a hop-by-hop header follows (jumbogram, RFC 2675; Linux BIG
 * TCP) or when more than 65,535 bytes follow (newer BIG TCP, without that header); otherwise it means 0.
 * "No next header" is BAD_EXTENSION as in Cilium, and the order of extension headers is not checked, as in Cilium.
 */
export function parseIpv6Packet(
  h: Headers,
  bytes: Uint8Array,
  l3: number,
  capturedEnd: number,
  wireEnd: number,
): number {
  if (wireEnd < capturedEnd) wireEnd = capturedEnd;
  const room = wireEnd - l3;
  if (l3 + 40 > capturedEnd) return reject(h, l3, 0, room < 40 ? BAD_IP : CUT);
  if (bytes[l3]! >>> 4 !== 6) return reject(h, l3, 0, BAD_IP);
  let length = readBe16(bytes, l3 + 4) + 40;
  if (length === 40 && (bytes[l3 + 6] === HOP_BY_HOP || room > 65575)) length = room;
  if (length > room) return reject(h, l3, 6, BAD_IP);
  readIpv6Fields(h, bytes, l3);
  h.l3Length = length;
  const l3End = l3 + length;
  let l4 = l3 + 40;
  if (isExtensionHeader(h.protocol)) {
    const status = walkExtensions(h, bytes, l4, capturedEnd, l3End);
    l4 = h.l4;
    if (status !== OK) return withoutTransport(h, l4, status);
  }
  return readTransport(h, bytes, l4, h.protocol, capturedEnd, l3End, ICMPV6);
}

/**
 * Reads the fixed IPv6 header into the result: `l3` and everything of the network layer but `l4` and `l3Length`;
 * `protocol` is the first next header. Unchecked: the caller has checked that 40 bytes at `l3` were captured.
 */
export function readIpv6Fields(h: Headers, bytes: Uint8Array, l3: number): void {
  h.l3 = l3;
  h.family = 6;
  h.ipHeaderBytes = 40;
  h.tos = ((bytes[l3]! & 15) << 4) | (bytes[l3 + 1]! >>> 4);
  h.fragId = 0;
  h.fragment = 0;
  h.ttl = bytes[l3 + 7]!;
  h.protocol = bytes[l3 + 6]!;
  h.s0 = readRaw32(bytes, l3 + 8);
  h.s1 = readRaw32(bytes, l3 + 12);
  h.s2 = readRaw32(bytes, l3 + 16);
  h.s3 = readRaw32(bytes, l3 + 20);
  h.d0 = readRaw32(bytes, l3 + 24);
  h.d1 = readRaw32(bytes, l3 + 28);
  h.d2 = readRaw32(bytes, l3 + 32);
  h.d3 = readRaw32(bytes, l3 + 36);
  h.extensionHeaders = 0;
}

/**
 * Walks IPv6 extension headers from `at`, beginning with the kind in `h.protocol` (RFC 8200 §4). Sets `protocol`, `l4`,
 * `ipHeaderBytes`, `extensionHeaders`, `fragment` and `fragId`; stops behind the header of a later fragment.
 *
 * @param at absolute offset of the first extension header, or of the L4 header when there is none
 * @param l3End absolute end of the IP packet; nothing behind it counts
 * @returns OK, CUT or BAD_EXTENSION
 */
export function walkExtensions(h: Headers, bytes: Uint8Array, at: number, capturedEnd: number, l3End: number): number {
  let next = h.protocol;
  let count = 0;
  let status: number = OK;
  while (isExtensionHeader(next)) {
    if (count === MAX_EXTENSION_HEADERS || at + 8 > l3End) {
      status = BAD_EXTENSION;
      break;
    }
    if (at + 8 > capturedEnd) {
      status = CUT;
      break;
    }
    const kind = next;
    const size = extensionHeaderBytes(kind, bytes[at + 1]!);
    if (at + size > l3End) {
      status = BAD_EXTENSION;
      break;
    }
    next = bytes[at]!;
    count++;
    if (kind === FRAGMENT_HEADER) {
      const field = readBe16(bytes, at + 2);
      if (h.fragment === 0) h.fragId = readRaw32(bytes, at + 4);
      if ((field & 0xfff8) !== 0) {
        h.fragment = 2;
        at += size;
        break;
      }
      if ((field & 1) !== 0) h.fragment = 1;
    }
    at += size;
  }
  h.protocol = next;
  h.extensionHeaders = count;
  h.l4 = at;
  h.ipHeaderBytes = at - h.l3;
  return status;
}

/** Whether an IPv6 next-header number names an extension header that is walked: 0, 43, 44, 51 or 60. */
export function isExtensionHeader(next: number): boolean {
  return (
    next === HOP_BY_HOP ||
    next === ROUTING ||
    next === FRAGMENT_HEADER ||
    next === AUTHENTICATION ||
    next === DESTINATION_OPTIONS
  );
}

/**
 * Size in bytes of an extension header. The fragment header's is fixed, the authentication header counts 4-byte units
 * less 2 (RFC 4302 §2.2), the others 8-byte units less 1.
 */
export function extensionHeaderBytes(kind: number, lengthField: number): number {
  if (kind === FRAGMENT_HEADER) return 8;
  return kind === AUTHENTICATION ? (lengthField + 2) << 2 : (lengthField + 1) << 3;
}

/**
 * Dissects the L4 header. The whole fixed header (TCP 20, UDP and ICMP 8, SCTP 12 bytes) must be inside the IP packet
 * and captured, so that after OK a caller may rewrite ports and checksum without another check.
 * TCP options need not be captured; that they fit is checked except in a first fragment.
 *
 * @param icmp the protocol number that counts as ICMP in this family: 1 or 58
 * @returns OK, CUT, BAD_L4, UNKNOWN_L4, or BAD_EXTENSION for "no next header"
 */
function parseTransport(
  h: Headers,
  bytes: Uint8Array,
  l4: number,
  protocol: number,
  capturedEnd: number,
  l3End: number,
  icmp: number,
): number {
  if (protocol === TCP && h.fragment !== 2 && l4 + 20 <= capturedEnd && l4 + 20 <= l3End) {
    const headerBytes = (bytes[l4 + 12]! >>> 4) << 2;
    let payload = l4 + headerBytes;
    if (payload > l3End && h.fragment === 1) payload = l3End;
    if (headerBytes < 20 || payload > l3End) return withoutTransport(h, l4, BAD_L4);
    h.l4 = l4;
    h.payload = payload;
    h.ports = readRaw32(bytes, l4);
    h.tcpFlags = bytes[l4 + 13]!;
    h.icmpType = 0;
    h.icmpCode = 0;
    h.icmpId = 0;
    h.l4ChecksumOffset = l4 + 16;
    return OK;
  }
  if (protocol === UDP && h.fragment !== 2 && l4 + 8 <= capturedEnd && l4 + 8 <= l3End) {
    h.l4 = l4;
    h.payload = l4 + 8;
    h.ports = readRaw32(bytes, l4);
    h.tcpFlags = 0;
    h.icmpType = 0;
    h.icmpCode = 0;
    h.icmpId = 0;
    h.l4ChecksumOffset = l4 + 6;
    return OK;
  }
  return parseRareTransport(h, bytes, l4, protocol, capturedEnd, l3End, icmp);
}

/** The rest of {@link parseTransport}: later fragments, ICMP, SCTP, and headers that are cut, wrong or unknown. */
function parseRareTransport(
  h: Headers,
  bytes: Uint8Array,
  l4: number,
  protocol: number,
  capturedEnd: number,
  l3End: number,
  icmp: number,
): number {
  withoutTransport(h, l4, OK);
  let needed = 8;
  if (protocol === TCP) needed = 20;
  else if (protocol === SCTP) needed = 12;
  else if (protocol !== UDP && protocol !== icmp) {
    if (l4 > capturedEnd) return CUT;
    return protocol === NO_NEXT_HEADER && icmp === ICMPV6 ? BAD_EXTENSION : UNKNOWN_L4;
  }
  if (h.fragment === 2) return l4 > capturedEnd ? CUT : OK;
  if (l4 + needed > l3End) return BAD_L4;
  if (l4 + needed > capturedEnd) {
    // Ports that were captured are kept for printing.
    if (protocol !== icmp && l4 + 4 <= capturedEnd) h.ports = readRaw32(bytes, l4);
    return CUT;
  }
  h.payload = l4 + needed;
  if (protocol === icmp) {
    h.icmpType = bytes[l4]!;
    h.icmpCode = bytes[l4 + 1]!;
    h.icmpId = readRaw16(bytes, l4 + 4);
    h.l4ChecksumOffset = l4 + 2;
  } else {
    h.ports = readRaw32(bytes, l4);
  }
  return OK;
}

/** Sets the L4 fields to "no header read": `l4` and `payload` as given, the others 0. */
export function withoutTransport(h: Headers, l4: number, status: number): number {
  h.l4 = l4;
  h.payload = l4;
  h.ports = 0;
  h.tcpFlags = 0;
  h.icmpType = 0;
  h.icmpCode = 0;
  h.icmpId = 0;
  h.l4ChecksumOffset = 0;
  return status;
}
