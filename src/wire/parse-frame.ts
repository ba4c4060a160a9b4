// Dissects a captured frame of any known link type: link header, VLAN tags, then IP and L4.
// Input: link type, bytes, absolute frame offset, captured end and wire end. Output: a WIRE status, Headers filled.
// Invariant: no byte at or behind capturedEnd is read; every field of Headers is set on every return.

import * as loads from './bytes.ts';
import * as results from './headers.ts';
import { type Headers, WIRE } from './headers.ts';
import * as ip from './parse-ip.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { readBe16 } = loads;
const { clearNetwork, setLink } = results;
const { parseIp, parseIpv4Packet, parseIpv6Packet } = ip;

const CUT = WIRE.CUT;
const BAD_LINK = WIRE.BAD_LINK;
const BAD_ETHERTYPE = WIRE.BAD_ETHERTYPE;
const NOT_IP = WIRE.NOT_IP;

const ETHERNET = 1;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const VLAN = 0x8100;
const QINQ = 0x88a8;
const QINQ_OLD = 0x9100;

/** VLAN tags that are read before a frame is given up: a bound that the verifier sets for the twin. */
export const MAX_VLAN_TAGS = 2;

/**
 * Dissects one frame.
 *
 * Link types: 1 Ethernet; 12, 14, 101 raw IP; 228 IPv4; 229 IPv6; 0 BSD loopback in either byte order; 108 OpenBSD
 * loopback; 113 and 276 Linux cooked v1 and v2. VLAN tags (0x8100, 0x88a8, 0x9100) may follow Ethernet and cooked headers.
 *
 * @param h result, filled anew
 * @param linkType number from the capture file (LINKTYPE_*)
 * @param offset absolute offset of the frame's first byte
 * @param capturedEnd absolute offset behind the last captured byte, at most `bytes.length`
 * @param wireEnd absolute offset behind the last byte that was on the wire; taken as `capturedEnd` when smaller
 * @returns a {@link WIRE} status
 */
export function parseFrame(
  h: Headers,
  linkType: number,
  bytes: Uint8Array,
  offset: number,
  capturedEnd: number,
  wireEnd: number,
): number {
  if (linkType === ETHERNET) {
    const l3 = offset + 14;
    if (l3 <= capturedEnd) {
      const etherType = readBe16(bytes, offset + 12);
      setLink(h, 14, etherType);
      if (etherType === IPV4) return parseIpv4Packet(h, bytes, l3, capturedEnd, wireEnd);
      if (etherType === IPV6) return parseIpv6Packet(h, bytes, l3, capturedEnd, wireEnd);
      return parseTagged(h, bytes, offset, l3, etherType, capturedEnd, wireEnd);
    }
    return shortLink(h, l3, wireEnd);
  }
  return parseOtherLink(h, linkType, bytes, offset, capturedEnd, wireEnd);
}

/** Every link type except Ethernet. */
function parseOtherLink(
  h: Headers,
  linkType: number,
  bytes: Uint8Array,
  offset: number,
  capturedEnd: number,
  wireEnd: number,
): number {
  let l3 = offset;
  switch (linkType) {
    case 12:
    case 14:
    case 101:
      setLink(h, 0, 0);
      return parseIp(h, bytes, offset, capturedEnd, wireEnd);
    case 228:
      setLink(h, 0, 0);
      return parseIpv4Packet(h, bytes, offset, capturedEnd, wireEnd);
    case 229:
      setLink(h, 0, 0);
      return parseIpv6Packet(h, bytes, offset, capturedEnd, wireEnd);
    case 0:
    case 108:
      l3 = offset + 4;
      if (l3 > capturedEnd) return shortLink(h, l3, wireEnd);
      setLink(h, 4, 0);
      return parseLoopback(h, bytes, offset, capturedEnd, wireEnd);
    case 113:
      l3 = offset + 16;
      if (l3 > capturedEnd) return shortLink(h, l3, wireEnd);
      return parseTagged(h, bytes, offset, l3, readBe16(bytes, offset + 14), capturedEnd, wireEnd);
    case 276:
      l3 = offset + 20;
      if (l3 > capturedEnd) return shortLink(h, l3, wireEnd);
      return parseTagged(h, bytes, offset, l3, readBe16(bytes, offset), capturedEnd, wireEnd);
    default:
      setLink(h, 0, 0);
      clearNetwork(h, 0);
      return WIRE.UNSUPPORTED_LINK_TYPE;
  }
}

/** The link header or a VLAN tag ends behind the captured bytes. */
function shortLink(h: Headers, neededEnd: number, wireEnd: number): number {
  setLink(h, 0, 0);
  clearNetwork(h, 0);
  return neededEnd > wireEnd ? BAD_LINK : CUT;
}

/**
 * BSD loopback: a protocol family in the capturing machine's byte order (link type 0) or network order (108). The family
 * is a small number, so a value that is large in one order is taken in the other, for both types. IPv6's number differs by system.
 */
function parseLoopback(h: Headers, bytes: Uint8Array, offset: number, capturedEnd: number, wireEnd: number): number {
  const low = bytes[offset]! | (bytes[offset + 1]! << 8);
  const high = readBe16(bytes, offset + 2);
  const family = high === 0 ? low : low === 0 ? high : 0;
  const l3 = offset + 4;
  if (family === 2) return parseIpv4Packet(h, bytes, l3, capturedEnd, wireEnd);
  if (family === 24 || family === 28 || family === 30) return parseIpv6Packet(h, bytes, l3, capturedEnd, wireEnd);
  clearNetwork(h, l3);
  return NOT_IP;
}

/**
 * From an Ethernet type on: at most {@link MAX_VLAN_TAGS} VLAN tags (IEEE 802.1Q, 802.1ad), then the network layer.
 * @param l3 absolute offset behind the type
 */
function parseTagged(
  h: Headers,
  bytes: Uint8Array,
  offset: number,
  l3: number,
  etherType: number,
  capturedEnd: number,
  wireEnd: number,
): number {
  let count = 0;
  let tci0 = 0;
  let tci1 = 0;
  while (count < MAX_VLAN_TAGS && isVlanType(etherType)) {
    if (l3 + 4 > capturedEnd) return shortLink(h, l3 + 4, wireEnd);
    if (count === 0) tci0 = readBe16(bytes, l3);
    else tci1 = readBe16(bytes, l3);
    count++;
    etherType = readBe16(bytes, l3 + 2);
    l3 += 4;
  }
  h.linkHeaderBytes = l3 - offset;
  h.etherType = etherType;
  h.vlanCount = count;
  h.vlanTci0 = tci0;
  h.vlanTci1 = tci1;
  if (etherType === IPV4) return parseIpv4Packet(h, bytes, l3, capturedEnd, wireEnd);
  if (etherType === IPV6) return parseIpv6Packet(h, bytes, l3, capturedEnd, wireEnd);
  clearNetwork(h, l3);
  if (isVlanType(etherType)) return WIRE.TOO_MANY_VLAN_TAGS;
  return etherType < 0x600 ? BAD_ETHERTYPE : NOT_IP;
}

/** Whether an Ethernet type (host order) announces a VLAN tag: 0x8100, 0x88a8 or the older 0x9100. */
export function isVlanType(etherType: number): boolean {
  return etherType === VLAN || etherType === QINQ || etherType === QINQ_OLD;
}
