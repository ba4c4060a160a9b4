// ICMPv6 (RFC 4443): types, and the header, which has ICMP's layout; the checksum covers the IPv6 pseudo-header.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: as icmp.ts. Neighbour discovery messages are in ndp.ts.

import { readBe32 } from './bytes.ts';
import { emitIcmp, type IcmpRepr, parseIcmp } from './icmp.ts';

/** ICMPv6 types. */
export const ICMPV6_TYPE = {
  UNREACHABLE: 1,
  PACKET_TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAMETER_PROBLEM: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  ROUTER_SOLICITATION: 133,
  ROUTER_ADVERTISEMENT: 134,
  NEIGHBOUR_SOLICITATION: 135,
  NEIGHBOUR_ADVERTISEMENT: 136,
} as const;

/** Whether a type is an error that quotes a packet: 1–4. */
export function isIcmpv6Error(type: number): boolean {
  return type >= 1 && type <= 4;
}

/** MTU of "packet too big", host order as int32; unchecked. */
export function readIcmpv6Mtu(bytes: Uint8Array, at: number): number {
  return readBe32(bytes, at + 4);
}

/** Parses the header at `at`; `undefined` when it ends behind `end`. */
export function parseIcmpv6(bytes: Uint8Array, at: number, end: number): IcmpRepr | undefined {
  return parseIcmp(bytes, at, end);
}

/** Writes the header; returns 8, or 0 (nothing written) when it does not fit. */
export function emitIcmpv6(out: Uint8Array, at: number, repr: IcmpRepr): number {
  return emitIcmp(out, at, repr);
}
