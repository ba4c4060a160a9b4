// GRE header, version 0 (RFC 2784, RFC 2890): optional checksum, key and sequence number.
// Input: bytes and the absolute offset of the header. Output: a value, sizes, or bytes written.
// Invariant: version 1 (PPTP) and source routing (RFC 1701) are refused; emit writes everything or nothing.

import { fits, readBe16, readBe32, readRaw16, writeBe16, writeBe32, writeRaw16 } from './bytes.ts';

/** Size of the header without optional fields. */
export const GRE_BYTES = 4;
/** Bits of the first 16, host order. Routing and the version are refused when set. */
export const GRE_FLAG = { CHECKSUM: 0x8000, ROUTING: 0x4000, KEY: 0x2000, SEQUENCE: 0x1000, VERSION: 0x0007 } as const;

/** A GRE header; an absent optional field is `undefined`. */
export interface GreRepr {
  /** Ethernet type of what follows, host order. */
  readonly protocol: number;
  /** Raw. */
  readonly checksum?: number | undefined;
  /** Host order, 0–4,294,967,295. */
  readonly key?: number | undefined;
  /** Host order, 0–4,294,967,295. */
  readonly sequence?: number | undefined;
}

/** Header length in bytes by its flags (host order): 4 to 16; 0 for a form that this room does not read. */
export function greHeaderBytes(flags: number): number {
  if ((flags & (GRE_FLAG.ROUTING | GRE_FLAG.VERSION)) !== 0) return 0;
  const checksum = (flags & GRE_FLAG.CHECKSUM) !== 0 ? 4 : 0;
  const key = (flags & GRE_FLAG.KEY) !== 0 ? 4 : 0;
  const sequence = (flags & GRE_FLAG.SEQUENCE) !== 0 ? 4 : 0;
  return GRE_BYTES + checksum + key + sequence;
}

/** Parses the header at `at`; `undefined` for a form that is not read or when it ends behind `end`. */
export function parseGre(bytes: Uint8Array, at: number, end: number): GreRepr | undefined {
  if (at + GRE_BYTES > end) return undefined;
  const flags = readBe16(bytes, at);
  const size = greHeaderBytes(flags);
  if (size === 0 || at + size > end) return undefined;
  let cursor = at + GRE_BYTES;
  let checksum: number | undefined;
  let key: number | undefined;
  let sequence: number | undefined;
  if ((flags & GRE_FLAG.CHECKSUM) !== 0) {
    checksum = readRaw16(bytes, cursor);
    cursor += 4;
  }
  if ((flags & GRE_FLAG.KEY) !== 0) {
    key = readBe32(bytes, cursor) >>> 0;
    cursor += 4;
  }
  if ((flags & GRE_FLAG.SEQUENCE) !== 0) sequence = readBe32(bytes, cursor) >>> 0;
  return { protocol: readBe16(bytes, at + 2), checksum, key, sequence };
}

/** Writes the header; returns its size, or 0 (nothing written) when it does not fit. */
export function emitGre(out: Uint8Array, at: number, repr: GreRepr): number {
  let flags = 0;
  if (repr.checksum !== undefined) flags |= GRE_FLAG.CHECKSUM;
  if (repr.key !== undefined) flags |= GRE_FLAG.KEY;
  if (repr.sequence !== undefined) flags |= GRE_FLAG.SEQUENCE;
  const size = greHeaderBytes(flags);
  if (!fits(out, at, size)) return 0;
  writeBe16(out, at, flags);
  writeBe16(out, at + 2, repr.protocol);
  let cursor = at + GRE_BYTES;
  if (repr.checksum !== undefined) {
    writeRaw16(out, cursor, repr.checksum);
    writeBe16(out, cursor + 2, 0);
    cursor += 4;
  }
  if (repr.key !== undefined) {
    writeBe32(out, cursor, repr.key);
    cursor += 4;
  }
  if (repr.sequence !== undefined) writeBe32(out, cursor, repr.sequence);
  return size;
}
