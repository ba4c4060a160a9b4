// Geneve header (RFC 8926) with options: behind UDP, before a frame or a packet.
// Input: bytes and the absolute offset of the header. Output: fields, a value, an offset, or bytes written.
// Invariant: readers are unchecked; parse accepts version 0 only; emit writes everything or nothing.

import { fits, readBe16, readBe24, writeBe16, writeBe24, writeBytes } from './bytes.ts';

/** Size of the header without options. */
export const GENEVE_BYTES = 8;
/** Destination port, host order. */
export const GENEVE_PORT = 6081;
/** Most option bytes: the length field counts up to 63 words. */
export const GENEVE_MAX_OPTION_BYTES = 252;

/** A Geneve header. */
export interface GeneveRepr {
  /** Control packet flag. */
  readonly control: boolean;
  /** Critical options flag. */
  readonly critical: boolean;
  /** Ethernet type of what follows, host order: 0x6558 for a frame. */
  readonly protocol: number;
  /** 24 bits. */
  readonly vni: number;
  /** Option bytes as they are: a multiple of 4, at most 252. */
  readonly options: Uint8Array;
}

/** Header length in bytes, options included; unchecked. */
export function readGeneveHeaderBytes(bytes: Uint8Array, at: number): number {
  return GENEVE_BYTES + ((bytes[at]! & 63) << 2);
}

/** Network identifier; unchecked. */
export function readGeneveVni(bytes: Uint8Array, at: number): number {
  return readBe24(bytes, at + 4);
}

/**
 * Absolute offset of the first option of a class and type (its 4-byte header), or -1. Reads only inside [at, end).
 * @param optionClass host order (0x014b for Cilium)
 * @param type type byte with its critical bit (0x81 for Cilium's DSR option)
 */
export function findGeneveOption(
  bytes: Uint8Array,
  at: number,
  end: number,
  optionClass: number,
  type: number,
): number {
  if (at + GENEVE_BYTES > end) return -1;
  const headerEnd = at + readGeneveHeaderBytes(bytes, at);
  const stop = headerEnd < end ? headerEnd : end;
  let option = at + GENEVE_BYTES;
  while (option + 4 <= stop) {
    const size = 4 + ((bytes[option + 3]! & 31) << 2);
    if (option + size > stop) return -1;
    if (readBe16(bytes, option) === optionClass && bytes[option + 2] === type) return option;
    option += size;
  }
  return -1;
}

/** Parses the header at `at`; `undefined` for another version or when it ends behind `end`. */
export function parseGeneve(bytes: Uint8Array, at: number, end: number): GeneveRepr | undefined {
  if (at + GENEVE_BYTES > end || bytes[at]! >>> 6 !== 0) return undefined;
  const headerBytes = readGeneveHeaderBytes(bytes, at);
  if (at + headerBytes > end) return undefined;
  return {
    control: (bytes[at + 1]! & 0x80) !== 0,
    critical: (bytes[at + 1]! & 0x40) !== 0,
    protocol: readBe16(bytes, at + 2),
    vni: readGeneveVni(bytes, at),
    options: bytes.slice(at + GENEVE_BYTES, at + headerBytes),
  };
}

/** Writes the header; returns its size, or 0 (nothing written) when it does not fit or the options are not a multiple of 4 up to 252. */
export function emitGeneve(out: Uint8Array, at: number, repr: GeneveRepr): number {
  const optionBytes = repr.options.length;
  const size = GENEVE_BYTES + optionBytes;
  if (!fits(out, at, size) || (optionBytes & 3) !== 0 || optionBytes > GENEVE_MAX_OPTION_BYTES) return 0;
  out[at] = optionBytes >>> 2;
  out[at + 1] = (repr.control ? 0x80 : 0) | (repr.critical ? 0x40 : 0);
  writeBe16(out, at + 2, repr.protocol);
  writeBe24(out, at + 4, repr.vni);
  out[at + 7] = 0;
  writeBytes(out, at + GENEVE_BYTES, repr.options);
  return size;
}
