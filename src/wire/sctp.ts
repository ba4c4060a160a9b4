// SCTP common header (RFC 9260 §3.1) and its CRC32c: offsets, readers, the value SctpRepr, parse and emit.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: the checksum covers the whole packet, so it cannot be adjusted like the internet checksum (Cilium: 154).

import { fits, readBe16, readBe32, readRaw32, writeBe16, writeBe32, writeRaw32 } from './bytes.ts';

/** Size of the common header. */
export const SCTP_BYTES = 12;
/** Offset of the verification tag, be32. */
export const SCTP_TAG = 4;
/** Offset of the CRC32c. */
export const SCTP_CHECKSUM = 8;

/** A common header; ports and tag (0–4,294,967,295) in host order, the CRC raw as int32. */
export interface SctpRepr {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly verificationTag: number;
  readonly checksum: number;
}

/** Parses the header at `at`; `undefined` when it ends behind `end`. */
export function parseSctp(bytes: Uint8Array, at: number, end: number): SctpRepr | undefined {
  if (at + SCTP_BYTES > end) return undefined;
  return {
    sourcePort: readBe16(bytes, at),
    destinationPort: readBe16(bytes, at + 2),
    verificationTag: readBe32(bytes, at + SCTP_TAG) >>> 0,
    checksum: readRaw32(bytes, at + SCTP_CHECKSUM),
  };
}

/** Writes the header; returns 12, or 0 (nothing written) when it does not fit. */
export function emitSctp(out: Uint8Array, at: number, repr: SctpRepr): number {
  if (!fits(out, at, SCTP_BYTES)) return 0;
  writeBe16(out, at, repr.sourcePort);
  writeBe16(out, at + 2, repr.destinationPort);
  writeBe32(out, at + SCTP_TAG, repr.verificationTag);
  writeRaw32(out, at + SCTP_CHECKSUM, repr.checksum);
  return SCTP_BYTES;
}

/** CRC32c (Castagnoli, reflected polynomial 0x82f63b78) of bytes[start, end), as int32. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  return ~updateCrc(-1, bytes, start, end);
}

/**
 * The checksum of an SCTP packet, raw as int32: the CRC with its own field taken as 0 (RFC 9260 §6.8, appendix A).
 * The field holds it least significant byte first, which is what a raw store writes.
 */
export function sctpChecksum(bytes: Uint8Array, at: number, end: number): number {
  let crc = updateCrc(-1, bytes, at, at + SCTP_CHECKSUM);
  for (let i = 0; i < 4; i++) crc = CRC_TABLE[crc & 255]! ^ (crc >>> 8);
  return ~updateCrc(crc, bytes, at + SCTP_BYTES, end);
}

function updateCrc(crc: number, bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) crc = CRC_TABLE[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return crc;
}

const CRC_TABLE = makeCrcTable();

function makeCrcTable(): Int32Array {
  const table = new Int32Array(256);
  for (let n = 0; n < 256; n++) {
    let crc = n;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? 0x82f63b78 ^ (crc >>> 1) : crc >>> 1;
    table[n] = crc;
  }
  return table;
}
