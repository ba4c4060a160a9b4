// IPv6 header and extension headers (RFC 8200): offsets, readers, values, parse and emit. Dissection is in parse-ip.ts.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; emit writes a whole header or nothing.

import {
  fits,
  type Ipv6Words,
  readBe16,
  readBe32,
  readIpv6Words,
  writeBe16,
  writeBe32,
  writeBytes,
  writeIpv6Words,
} from './bytes.ts';
import { extensionHeaderBytes } from './parse-ip.ts';

/** Size of the fixed header. */
export const IPV6_BYTES = 40;
/** Offset of the payload length, be16. */
export const IPV6_PAYLOAD_LENGTH = 4;
/** Offset of the next header number. */
export const IPV6_NEXT_HEADER = 6;
/** Offset of the hop limit. */
export const IPV6_HOP_LIMIT = 7;
/** Offset of the source address. */
export const IPV6_SOURCE = 8;
/** Offset of the destination address. */
export const IPV6_DESTINATION = 24;
/** Size of the fragment header. */
export const IPV6_FRAGMENT_BYTES = 8;

/** The fixed IPv6 header; raw addresses, numbers in host order. */
export interface Ipv6Repr {
  readonly source: Ipv6Words;
  readonly destination: Ipv6Words;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly trafficClass: number;
  /** 20 bits. */
  readonly flowLabel: number;
  /** Bytes behind the fixed header, extension headers included; 0–65,535. */
  readonly payloadBytes: number;
}

/** The fragment header (next header 44). */
export interface Ipv6FragmentRepr {
  readonly nextHeader: number;
  /** In bytes, a multiple of 8 below 65,536. */
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  /** Host order, 0–4,294,967,295. */
  readonly identification: number;
}

/** A hop-by-hop, routing, destination options or authentication header: the next number, and the bytes behind the first 2. */
export interface Ipv6ExtensionRepr {
  readonly nextHeader: number;
  /** Body behind next header and length: 8n − 2 bytes; for the authentication header 4n − 2, at least 6. */
  readonly body: Uint8Array;
}

/** Payload length in bytes as the header says; unchecked. */
export function readIpv6PayloadLength(bytes: Uint8Array, at: number): number {
  return readBe16(bytes, at + IPV6_PAYLOAD_LENGTH);
}

/** Flow label, 20 bits; unchecked. */
export function readIpv6FlowLabel(bytes: Uint8Array, at: number): number {
  return readBe32(bytes, at) & 0xfffff;
}

/** Parses the fixed header at `at`; `undefined` when the version is wrong or it ends behind `end`. */
export function parseIpv6Header(bytes: Uint8Array, at: number, end: number): Ipv6Repr | undefined {
  if (at + IPV6_BYTES > end || bytes[at]! >>> 4 !== 6) return undefined;
  return {
    source: readIpv6Words(bytes, at + IPV6_SOURCE),
    destination: readIpv6Words(bytes, at + IPV6_DESTINATION),
    nextHeader: bytes[at + IPV6_NEXT_HEADER]!,
    hopLimit: bytes[at + IPV6_HOP_LIMIT]!,
    trafficClass: (readBe16(bytes, at) >>> 4) & 0xff,
    flowLabel: readIpv6FlowLabel(bytes, at),
    payloadBytes: readIpv6PayloadLength(bytes, at),
  };
}

/** Writes the fixed header; returns 40, or 0 (nothing written) when it does not fit or the payload length is not representable. */
export function emitIpv6(out: Uint8Array, at: number, repr: Ipv6Repr): number {
  if (!fits(out, at, IPV6_BYTES) || repr.payloadBytes < 0 || repr.payloadBytes > 0xffff) return 0;
  writeBe32(out, at, 0x60000000 | ((repr.trafficClass & 0xff) << 20) | (repr.flowLabel & 0xfffff));
  writeBe16(out, at + IPV6_PAYLOAD_LENGTH, repr.payloadBytes);
  out[at + IPV6_NEXT_HEADER] = repr.nextHeader;
  out[at + IPV6_HOP_LIMIT] = repr.hopLimit;
  writeIpv6Words(out, at + IPV6_SOURCE, repr.source);
  writeIpv6Words(out, at + IPV6_DESTINATION, repr.destination);
  return IPV6_BYTES;
}

/** Parses a fragment header at `at`; `undefined` when it ends behind `end`. */
export function parseIpv6Fragment(bytes: Uint8Array, at: number, end: number): Ipv6FragmentRepr | undefined {
  if (at + IPV6_FRAGMENT_BYTES > end) return undefined;
  const field = readBe16(bytes, at + 2);
  return {
    nextHeader: bytes[at]!,
    fragmentOffset: field & 0xfff8,
    moreFragments: (field & 1) !== 0,
    identification: readBe32(bytes, at + 4) >>> 0,
  };
}

/** Writes a fragment header; returns 8, or 0 (nothing written) when it does not fit or the offset is not representable. */
export function emitIpv6Fragment(out: Uint8Array, at: number, repr: Ipv6FragmentRepr): number {
  if (!fits(out, at, IPV6_FRAGMENT_BYTES) || (repr.fragmentOffset & ~0xfff8) !== 0) return 0;
  out[at] = repr.nextHeader;
  out[at + 1] = 0;
  writeBe16(out, at + 2, repr.fragmentOffset | (repr.moreFragments ? 1 : 0));
  writeBe32(out, at + 4, repr.identification);
  return IPV6_FRAGMENT_BYTES;
}

/**
 * Parses an extension header of a kind other than the fragment header; `undefined` when it ends behind `end`.
 * @param kind its own number (0, 43, 51, 60), which decides the unit of its length
 */
export function parseIpv6Extension(
  bytes: Uint8Array,
  at: number,
  end: number,
  kind: number,
): Ipv6ExtensionRepr | undefined {
  if (at + 8 > end) return undefined;
  const size = extensionHeaderBytes(kind, bytes[at + 1]!);
  if (at + size > end) return undefined;
  return { nextHeader: bytes[at]!, body: bytes.slice(at + 2, at + size) };
}

/** Writes an extension header; returns its size, or 0 (nothing written) when it does not fit or its size is not representable. */
export function emitIpv6Extension(out: Uint8Array, at: number, repr: Ipv6ExtensionRepr, kind: number): number {
  const size = repr.body.length + 2;
  if (!fits(out, at, size) || size < 8) return 0;
  const lengthField = kind === 51 ? (size >>> 2) - 2 : (size >>> 3) - 1;
  if (lengthField > 255 || extensionHeaderBytes(kind, lengthField) !== size) return 0;
  out[at] = repr.nextHeader;
  out[at + 1] = lengthField;
  writeBytes(out, at + 2, repr.body);
  return size;
}

/**
 * Absolute offset of the first option of a kind inside a hop-by-hop or destination options header, or -1.
 * Reads only inside [at, end): at most 255 × 8 bytes.
 *
 * @param at absolute offset of the extension header
 * @param end absolute end of the captured bytes
 * @param option option type byte (0x1b for Cilium's DSR option)
 */
export function findIpv6Option(bytes: Uint8Array, at: number, end: number, option: number): number {
  if (at + 8 > end) return -1;
  const headerEnd = at + extensionHeaderBytes(60, bytes[at + 1]!);
  const stop = headerEnd < end ? headerEnd : end;
  let cursor = at + 2;
  while (cursor < stop) {
    const found = bytes[cursor]!;
    if (found === 0) {
      if (option === 0) return cursor;
      cursor++;
      continue;
    }
    if (cursor + 2 > stop) return -1;
    const size = bytes[cursor + 1]! + 2;
    if (cursor + size > stop) return -1;
    if (found === option) return cursor;
    cursor += size;
  }
  return -1;
}
