// IPv4 header (RFC 791): offsets, readers, options, the value Ipv4Repr, parse and emit. Dissection is in parse-ip.ts.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; emit writes a whole header with its checksum, or nothing.

import { fits, readBe16, readRaw16, readRaw32, writeBe16, writeBytes, writeRaw32 } from './bytes.ts';
import { isChecksumRight, writeChecksum } from './checksum.ts';

/** Size of the header without options. */
export const IPV4_BYTES = 20;
/** Most option bytes that a header can hold. */
export const IPV4_MAX_OPTION_BYTES = 40;
/** Offset of the type of service. */
export const IPV4_TOS = 1;
/** Offset of the total length, be16. */
export const IPV4_TOTAL_LENGTH = 2;
/** Offset of the identification, be16. */
export const IPV4_IDENTIFICATION = 4;
/** Offset of flags and fragment offset, be16. */
export const IPV4_FRAGMENT = 6;
/** Offset of the time to live; with the protocol it makes one 16-bit checksum word. */
export const IPV4_TTL = 8;
/** Offset of the protocol. */
export const IPV4_PROTOCOL = 9;
/** Offset of the header checksum. */
export const IPV4_CHECKSUM = 10;
/** Offset of the source address. */
export const IPV4_SOURCE = 12;
/** Offset of the destination address. */
export const IPV4_DESTINATION = 16;

/** An IPv4 header. Addresses raw; numbers in host order. The header checksum is computed, never given. */
export interface Ipv4Repr {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly ttl: number;
  readonly tos: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In bytes, a multiple of 8 below 65,536. */
  readonly fragmentOffset: number;
  /** Option bytes with their padding: a multiple of 4, at most 40. */
  readonly options: Uint8Array;
  /** Bytes behind the header, as the total length says. */
  readonly payloadBytes: number;
}

/** Header length in bytes by the IHL field; unchecked. */
export function readIpv4HeaderBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at]! & 15) << 2;
}

/** Total length in bytes; unchecked. */
export function readIpv4TotalLength(bytes: Uint8Array, at: number): number {
  return readBe16(bytes, at + IPV4_TOTAL_LENGTH);
}

/** Fragment offset in bytes; unchecked. */
export function readIpv4FragmentOffset(bytes: Uint8Array, at: number): number {
  return (readBe16(bytes, at + IPV4_FRAGMENT) & 0x1fff) << 3;
}

/** Header checksum, raw; unchecked. */
export function readIpv4Checksum(bytes: Uint8Array, at: number): number {
  return readRaw16(bytes, at + IPV4_CHECKSUM);
}

/** Whether the header checksum is right; unchecked bounds. */
export function isIpv4ChecksumRight(bytes: Uint8Array, at: number): boolean {
  return isChecksumRight(bytes, at, at + readIpv4HeaderBytes(bytes, at), 0);
}

/**
 * Absolute offset of the first option of a kind, or -1. Reads only inside the header, at most 40 steps.
 * @param at absolute offset of a header whose `readIpv4HeaderBytes` bytes were captured
 * @param kind the whole option type byte, copy flag included (0x9a for Cilium's DSR option)
 */
export function findIpv4Option(bytes: Uint8Array, at: number, kind: number): number {
  const end = at + readIpv4HeaderBytes(bytes, at);
  let option = at + IPV4_BYTES;
  while (option < end) {
    const found = bytes[option]!;
    if (found === 0) return -1;
    if (found === 1) {
      if (kind === 1) return option;
      option++;
      continue;
    }
    const size = option + 1 < end ? bytes[option + 1]! : 0;
    if (size < 2 || option + size > end) return -1;
    if (found === kind) return option;
    option += size;
  }
  return -1;
}

/** Parses the header at `at`; `undefined` when the version, a length or the end is wrong. The checksum is not checked. */
export function parseIpv4Header(bytes: Uint8Array, at: number, end: number): Ipv4Repr | undefined {
  if (at + IPV4_BYTES > end || bytes[at]! >>> 4 !== 4) return undefined;
  const headerBytes = readIpv4HeaderBytes(bytes, at);
  const total = readIpv4TotalLength(bytes, at);
  if (headerBytes < IPV4_BYTES || at + headerBytes > end || total < headerBytes) return undefined;
  const fragment = readBe16(bytes, at + IPV4_FRAGMENT);
  return {
    source: readRaw32(bytes, at + IPV4_SOURCE),
    destination: readRaw32(bytes, at + IPV4_DESTINATION),
    protocol: bytes[at + IPV4_PROTOCOL]!,
    ttl: bytes[at + IPV4_TTL]!,
    tos: bytes[at + IPV4_TOS]!,
    identification: readBe16(bytes, at + IPV4_IDENTIFICATION),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) << 3,
    options: bytes.slice(at + IPV4_BYTES, at + headerBytes),
    payloadBytes: total - headerBytes,
  };
}

/**
 * Writes the header with its checksum. Returns its size, or 0 (nothing written) when it does not fit, the options are
 * longer than 40 bytes or not a multiple of 4, or the fragment offset or the total length is not representable.
 */
export function emitIpv4(out: Uint8Array, at: number, repr: Ipv4Repr): number {
  const headerBytes = IPV4_BYTES + repr.options.length;
  const total = headerBytes + repr.payloadBytes;
  if (!fits(out, at, headerBytes) || headerBytes > 60 || (headerBytes & 3) !== 0) return 0;
  if ((repr.fragmentOffset & ~0xfff8) !== 0 || repr.payloadBytes < 0 || total > 0xffff) return 0;
  out[at] = 0x40 | (headerBytes >>> 2);
  out[at + IPV4_TOS] = repr.tos;
  writeBe16(out, at + IPV4_TOTAL_LENGTH, total);
  writeBe16(out, at + IPV4_IDENTIFICATION, repr.identification);
  const flags = (repr.dontFragment ? 0x4000 : 0) | (repr.moreFragments ? 0x2000 : 0);
  writeBe16(out, at + IPV4_FRAGMENT, flags | (repr.fragmentOffset >>> 3));
  out[at + IPV4_TTL] = repr.ttl;
  out[at + IPV4_PROTOCOL] = repr.protocol;
  writeRaw32(out, at + IPV4_SOURCE, repr.source);
  writeRaw32(out, at + IPV4_DESTINATION, repr.destination);
  writeBytes(out, at + IPV4_BYTES, repr.options);
  writeChecksum(out, at, at + headerBytes, at + IPV4_CHECKSUM, 0, false);
  return headerBytes;
}
