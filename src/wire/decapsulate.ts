// Finds the packet inside a tunnel: VXLAN, Geneve, GRE, IP in IP in every combination of families.
// Input: the outer packet's Headers and bytes. Output: a WIRE status and a Tunnel saying where and what the inner one is.
// Invariant: one step; the caller parses the inner packet into another Headers and bounds the depth with MAX_TUNNELS.

import { readBe16, readBe24, readBe32 } from './bytes.ts';
import { GENEVE_PORT, readGeneveHeaderBytes } from './geneve.ts';
import { GRE_FLAG, greHeaderBytes } from './gre.ts';
import { type Headers, WIRE } from './headers.ts';
import { parseFrame } from './parse-frame.ts';
import { readUdpLength } from './udp.ts';
import { VXLAN_FLAG_VNI, VXLAN_PORT } from './vxlan.ts';

/** Tunnels inside tunnels that a caller follows. */
export const MAX_TUNNELS = 4;

/** Kinds of tunnels. */
export const TUNNEL = { NONE: 0, VXLAN: 1, GENEVE: 2, IP: 3, GRE: 4 } as const;

/** Link type numbers of the inner packet, as {@link parseFrame} takes them. */
const ETHERNET = 1;
const RAW_IPV4 = 228;
const RAW_IPV6 = 229;

/** Where a tunnel's inner packet is. Made once and filled by each call; all fields are int32. */
export class Tunnel {
  /** One of {@link TUNNEL}. */
  kind = 0;
  /** Link type of the inner packet: 1 Ethernet, 228 IPv4, 229 IPv6. */
  linkType = 0;
  /** Absolute offset of the inner packet's first byte. */
  offset = 0;
  /** Absolute end of the inner packet on the wire: the `wireEnd` for its own parse. */
  end = 0;
  /** VXLAN or Geneve network identifier, GRE key as int32; 0 when absent. */
  key = 0;
  /** 1 when `key` was in the packet. */
  hasKey = 0;
  /** Absolute offset of the tunnel header; equal to `offset` for IP in IP. */
  header = 0;
}

/**
 * Recognises one tunnel layer.
 *
 * VXLAN by UDP destination port 8472 or 4789, Geneve by 6081, IP in IP by protocol 4 or 41 (either outer family),
 * GRE by protocol 47 with an IPv4, IPv6 or Ethernet payload. Fragments are never looked into.
 *
 * @param tunnel result
 * @param outer a packet parsed with status OK or UNKNOWN_L4
 * @param capturedEnd absolute end of the captured bytes
 * @returns OK; CUT; BAD_TUNNEL when the header does not fit or is of a form that is not read; NO_INNER when no tunnel
 */
export function decapsulate(tunnel: Tunnel, outer: Headers, bytes: Uint8Array, capturedEnd: number): number {
  tunnel.kind = TUNNEL.NONE;
  tunnel.linkType = 0;
  tunnel.offset = 0;
  tunnel.end = 0;
  tunnel.key = 0;
  tunnel.hasKey = 0;
  tunnel.header = 0;
  if (outer.fragment !== 0) return WIRE.NO_INNER;
  const end = outer.l3 + outer.l3Length;
  switch (outer.protocol) {
    case 4:
      return inner(tunnel, TUNNEL.IP, outer.l4, RAW_IPV4, outer.l4, end);
    case 41:
      return inner(tunnel, TUNNEL.IP, outer.l4, RAW_IPV6, outer.l4, end);
    case 47:
      return decapsulateGre(tunnel, bytes, outer.l4, capturedEnd, end);
    case 17: {
      const port = (((outer.ports >>> 16) & 0xff) << 8) | (outer.ports >>> 24);
      const known = port === VXLAN_PORT.LINUX || port === VXLAN_PORT.IANA || port === GENEVE_PORT;
      // Without ports the UDP header was not read: nothing to look into.
      if (!known || outer.payload === outer.l4) return WIRE.NO_INNER;
      const length = readUdpLength(bytes, outer.l4);
      const udpEnd = length >= 8 && outer.l4 + length < end ? outer.l4 + length : end;
      if (port === GENEVE_PORT) return decapsulateGeneve(tunnel, bytes, outer.payload, capturedEnd, udpEnd);
      return decapsulateVxlan(tunnel, bytes, outer.payload, capturedEnd, udpEnd);
    }
    default:
      return WIRE.NO_INNER;
  }
}

/**
 * Dissects the inner packet that {@link decapsulate} found, into a Headers of its own.
 * @returns as {@link parseFrame}
 */
export function parseInner(inner: Headers, tunnel: Tunnel, bytes: Uint8Array, capturedEnd: number): number {
  const innerCaptured = capturedEnd < tunnel.end ? capturedEnd : tunnel.end;
  return parseFrame(inner, tunnel.linkType, bytes, tunnel.offset, innerCaptured, tunnel.end);
}

function inner(tunnel: Tunnel, kind: number, header: number, linkType: number, offset: number, end: number): number {
  tunnel.kind = kind;
  tunnel.linkType = linkType;
  tunnel.offset = offset;
  tunnel.end = end;
  tunnel.header = header;
  return WIRE.OK;
}

/** What is missing when a header's `neededEnd` is behind the captured bytes or the packet; OK when it is there. */
function missing(neededEnd: number, capturedEnd: number, end: number): number {
  if (neededEnd > end) return WIRE.BAD_TUNNEL;
  return neededEnd > capturedEnd ? WIRE.CUT : WIRE.OK;
}

/** Link type for an Ethernet type in a Geneve or GRE header, host order; 0 for one that is not read. */
function innerLinkType(protocol: number): number {
  if (protocol === 0x6558) return ETHERNET;
  if (protocol === 0x0800) return RAW_IPV4;
  return protocol === 0x86dd ? RAW_IPV6 : 0;
}

function decapsulateVxlan(tunnel: Tunnel, bytes: Uint8Array, at: number, capturedEnd: number, end: number): number {
  const status = missing(at + 8, capturedEnd, end);
  if (status !== WIRE.OK) return status;
  if ((bytes[at]! & VXLAN_FLAG_VNI) === 0) return WIRE.BAD_TUNNEL;
  tunnel.key = readBe24(bytes, at + 4);
  tunnel.hasKey = 1;
  return inner(tunnel, TUNNEL.VXLAN, at, ETHERNET, at + 8, end);
}

function decapsulateGeneve(tunnel: Tunnel, bytes: Uint8Array, at: number, capturedEnd: number, end: number): number {
  let status = missing(at + 8, capturedEnd, end);
  if (status !== WIRE.OK) return status;
  const linkType = innerLinkType(readBe16(bytes, at + 2));
  if (bytes[at]! >>> 6 !== 0 || linkType === 0) return WIRE.BAD_TUNNEL;
  const offset = at + readGeneveHeaderBytes(bytes, at);
  status = missing(offset, capturedEnd, end);
  if (status !== WIRE.OK) return status;
  tunnel.key = readBe24(bytes, at + 4);
  tunnel.hasKey = 1;
  return inner(tunnel, TUNNEL.GENEVE, at, linkType, offset, end);
}

function decapsulateGre(tunnel: Tunnel, bytes: Uint8Array, at: number, capturedEnd: number, end: number): number {
  let status = missing(at + 4, capturedEnd, end);
  if (status !== WIRE.OK) return status;
  const flags = readBe16(bytes, at);
  const size = greHeaderBytes(flags);
  const linkType = innerLinkType(readBe16(bytes, at + 2));
  if (size === 0 || linkType === 0) return WIRE.BAD_TUNNEL;
  status = missing(at + size, capturedEnd, end);
  if (status !== WIRE.OK) return status;
  if ((flags & GRE_FLAG.KEY) !== 0) {
    tunnel.key = readBe32(bytes, at + ((flags & GRE_FLAG.CHECKSUM) !== 0 ? 8 : 4));
    tunnel.hasKey = 1;
  }
  return inner(tunnel, TUNNEL.GRE, at, linkType, at + size, end);
}
