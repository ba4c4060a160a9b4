// ICMP for IPv4 (RFC 792): offsets, types, the value IcmpRepr, parse and emit. The packet quoted by an error is icmp-error.ts's.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; emit writes a whole header or nothing; the checksum is the caller's (no pseudo-header).

import { fits, readBe16, readRaw16, writeBe16, writeRaw16 } from './bytes.ts';

/** Size of the header of every type that Weir handles. ICMPv6's is the same. */
export const ICMP_BYTES = 8;
/** Offset of the checksum. */
export const ICMP_CHECKSUM = 2;
/** Offset of the identifier (echo), be16. */
export const ICMP_IDENTIFIER = 4;
/** Offset of the sequence number (echo) or the next-hop MTU (type 3 code 4), be16. */
export const ICMP_SEQUENCE = 6;

/** ICMP types. */
export const ICMP_TYPE = {
  ECHO_REPLY: 0,
  UNREACHABLE: 3,
  SOURCE_QUENCH: 4,
  REDIRECT: 5,
  ECHO_REQUEST: 8,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
} as const;

/** An ICMP or ICMPv6 header. For errors `identifier` and `sequence` are the two halves of the unused word or the MTU. */
export interface IcmpRepr {
  readonly type: number;
  readonly code: number;
  /** Raw. */
  readonly checksum: number;
  /** Host order. */
  readonly identifier: number;
  /** Host order. */
  readonly sequence: number;
}

/** Whether a type is an error that quotes a packet: 3, 4, 5, 11, 12. */
export function isIcmpError(type: number): boolean {
  return type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
}

/** Next-hop MTU of "fragmentation needed" (RFC 1191), host order; unchecked. */
export function readIcmpMtu(bytes: Uint8Array, at: number): number {
  return readBe16(bytes, at + ICMP_SEQUENCE);
}

/** Parses the header at `at`; `undefined` when it ends behind `end`. */
export function parseIcmp(bytes: Uint8Array, at: number, end: number): IcmpRepr | undefined {
  if (at + ICMP_BYTES > end) return undefined;
  return {
    type: bytes[at]!,
    code: bytes[at + 1]!,
    checksum: readRaw16(bytes, at + ICMP_CHECKSUM),
    identifier: readBe16(bytes, at + ICMP_IDENTIFIER),
    sequence: readBe16(bytes, at + ICMP_SEQUENCE),
  };
}

/** Writes the header; returns 8, or 0 (nothing written) when it does not fit. */
export function emitIcmp(out: Uint8Array, at: number, repr: IcmpRepr): number {
  if (!fits(out, at, ICMP_BYTES)) return 0;
  out[at] = repr.type;
  out[at + 1] = repr.code;
  writeRaw16(out, at + ICMP_CHECKSUM, repr.checksum);
  writeBe16(out, at + ICMP_IDENTIFIER, repr.identifier);
  writeBe16(out, at + ICMP_SEQUENCE, repr.sequence);
  return ICMP_BYTES;
}
