// TCP header (RFC 9293): offsets, flags, readers, options, the value TcpRepr, parse and emit.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; emit writes a whole header or nothing; the checksum is the caller's (checksum.ts).

import { fits, readBe16, readBe32, readRaw16, writeBe16, writeBe32, writeBytes, writeRaw16 } from './bytes.ts';

/** Size of the header without options. */
export const TCP_BYTES = 20;
/** Offset of the sequence number, be32. */
export const TCP_SEQUENCE = 4;
/** Offset of the acknowledgement number, be32. */
export const TCP_ACKNOWLEDGEMENT = 8;
/** Offset of the byte with the data offset in its upper 4 bits. */
export const TCP_DATA_OFFSET = 12;
/** Offset of the flags byte. */
export const TCP_FLAGS = 13;
/** Offset of the window, be16. */
export const TCP_WINDOW = 14;
/** Offset of the checksum. */
export const TCP_CHECKSUM = 16;
/** Offset of the urgent pointer, be16. */
export const TCP_URGENT = 18;

/** Bits of the flags byte. */
export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;

/** Option kinds. */
export const TCP_OPTION = {
  END: 0,
  NOP: 1,
  MSS: 2,
  WINDOW_SCALE: 3,
  SACK_PERMITTED: 4,
  SACK: 5,
  TIMESTAMPS: 8,
} as const;

/** A TCP header; numbers in host order, sequence numbers 0–4,294,967,295, the checksum raw. */
export interface TcpRepr {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  /** {@link TCP_FLAG} bits. */
  readonly flags: number;
  readonly window: number;
  readonly checksum: number;
  readonly urgentPointer: number;
  /** Option bytes with their padding: a multiple of 4, at most 40. */
  readonly options: Uint8Array;
}

/** Header length in bytes by the data offset; unchecked. */
export function readTcpHeaderBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at + TCP_DATA_OFFSET]! >>> 4) << 2;
}

/** Sequence number as int32 (compare by difference); unchecked. */
export function readTcpSequence(bytes: Uint8Array, at: number): number {
  return readBe32(bytes, at + TCP_SEQUENCE);
}

/** Acknowledgement number as int32; unchecked. */
export function readTcpAcknowledgement(bytes: Uint8Array, at: number): number {
  return readBe32(bytes, at + TCP_ACKNOWLEDGEMENT);
}

/**
 * Absolute offset of the first option of a kind, or -1. Reads only inside [at, end), at most 40 steps.
 * @param at absolute offset of the header, its fixed 20 bytes captured
 * @param end absolute end of the captured bytes
 */
export function findTcpOption(bytes: Uint8Array, at: number, end: number, kind: number): number {
  const headerEnd = at + readTcpHeaderBytes(bytes, at);
  const stop = headerEnd < end ? headerEnd : end;
  let option = at + TCP_BYTES;
  while (option < stop) {
    const found = bytes[option]!;
    if (found === TCP_OPTION.END) return -1;
    if (found === TCP_OPTION.NOP) {
      if (kind === TCP_OPTION.NOP) return option;
      option++;
      continue;
    }
    const size = option + 1 < stop ? bytes[option + 1]! : 0;
    if (size < 2 || option + size > stop) return -1;
    if (found === kind) return option;
    option += size;
  }
  return -1;
}

/** Parses the header at `at`; `undefined` when the data offset is below 5 or the header ends behind `end`. */
export function parseTcp(bytes: Uint8Array, at: number, end: number): TcpRepr | undefined {
  if (at + TCP_BYTES > end) return undefined;
  const headerBytes = readTcpHeaderBytes(bytes, at);
  if (headerBytes < TCP_BYTES || at + headerBytes > end) return undefined;
  return {
    sourcePort: readBe16(bytes, at),
    destinationPort: readBe16(bytes, at + 2),
    sequence: readTcpSequence(bytes, at) >>> 0,
    acknowledgement: readTcpAcknowledgement(bytes, at) >>> 0,
    flags: bytes[at + TCP_FLAGS]!,
    window: readBe16(bytes, at + TCP_WINDOW),
    checksum: readRaw16(bytes, at + TCP_CHECKSUM),
    urgentPointer: readBe16(bytes, at + TCP_URGENT),
    options: bytes.slice(at + TCP_BYTES, at + headerBytes),
  };
}

/** Writes the header; returns its size, or 0 (nothing written) when it does not fit or the options are not a multiple of 4 up to 40. */
export function emitTcp(out: Uint8Array, at: number, repr: TcpRepr): number {
  const headerBytes = TCP_BYTES + repr.options.length;
  if (!fits(out, at, headerBytes) || headerBytes > 60 || (headerBytes & 3) !== 0) return 0;
  writeBe16(out, at, repr.sourcePort);
  writeBe16(out, at + 2, repr.destinationPort);
  writeBe32(out, at + TCP_SEQUENCE, repr.sequence);
  writeBe32(out, at + TCP_ACKNOWLEDGEMENT, repr.acknowledgement);
  out[at + TCP_DATA_OFFSET] = headerBytes << 2;
  out[at + TCP_FLAGS] = repr.flags;
  writeBe16(out, at + TCP_WINDOW, repr.window);
  writeRaw16(out, at + TCP_CHECKSUM, repr.checksum);
  writeBe16(out, at + TCP_URGENT, repr.urgentPointer);
  writeBytes(out, at + TCP_BYTES, repr.options);
  return headerBytes;
}
