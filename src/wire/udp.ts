// UDP header (RFC 768): offsets, readers, the value UdpRepr, parse and emit.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; emit writes a whole header or nothing; the checksum is the caller's (checksum.ts).

import { fits, readBe16, readRaw16, writeBe16, writeRaw16 } from './bytes.ts';

/** Size of the header. */
export const UDP_BYTES = 8;
/** Offset of the length, be16. */
export const UDP_LENGTH = 4;
/** Offset of the checksum. */
export const UDP_CHECKSUM = 6;

/** A UDP header; ports and length (header included) in host order, the checksum raw, 0 for none. */
export interface UdpRepr {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly length: number;
  readonly checksum: number;
}

/** Length of header and payload in bytes as the header says; unchecked. */
export function readUdpLength(bytes: Uint8Array, at: number): number {
  return readBe16(bytes, at + UDP_LENGTH);
}

/** Parses the header at `at`; `undefined` when it ends behind `end`. The length is not judged: offloads set it to anything. */
export function parseUdp(bytes: Uint8Array, at: number, end: number): UdpRepr | undefined {
  if (at + UDP_BYTES > end) return undefined;
  return {
    sourcePort: readBe16(bytes, at),
    destinationPort: readBe16(bytes, at + 2),
    length: readUdpLength(bytes, at),
    checksum: readRaw16(bytes, at + UDP_CHECKSUM),
  };
}

/** Writes the header; returns 8, or 0 (nothing written) when it does not fit. */
export function emitUdp(out: Uint8Array, at: number, repr: UdpRepr): number {
  if (!fits(out, at, UDP_BYTES)) return 0;
  writeBe16(out, at, repr.sourcePort);
  writeBe16(out, at + 2, repr.destinationPort);
  writeBe16(out, at + UDP_LENGTH, repr.length);
  writeRaw16(out, at + UDP_CHECKSUM, repr.checksum);
  return UDP_BYTES;
}
