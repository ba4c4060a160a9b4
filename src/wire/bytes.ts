// Unchecked loads and stores of multi-byte fields at any alignment, and the two byte orders of this room.
// "be" = the value in host order of network-order bytes; "raw" = the same bytes as a little-endian load reads them.
// Invariant: results are int32 (32-bit loads may be negative; `>>> 0` gives the unsigned value). The caller has
// checked the bounds: behind the buffer's end a load yields 0 bytes and a store does nothing; neither throws.

/** Four words of an IPv6 address, raw, in the order of the address. */
export type Ipv6Words = readonly [number, number, number, number];

/** 16-bit network-order value in host order. */
export function readBe16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** 24-bit network-order value in host order (VXLAN and Geneve network identifiers). */
export function readBe24(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

/** 32-bit network-order value in host order, as int32. */
export function readBe32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** 16-bit raw value. */
export function readRaw16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** 32-bit raw value, as int32. */
export function readRaw32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** Stores a host-order value as 16-bit network order. */
export function writeBe16(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 8;
  out[at + 1] = value;
}

/** Stores a host-order value as 24-bit network order. */
export function writeBe24(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 16;
  out[at + 1] = value >>> 8;
  out[at + 2] = value;
}

/** Stores a host-order value as 32-bit network order. */
export function writeBe32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

/** Stores a raw 16-bit value. */
export function writeRaw16(out: Uint8Array, at: number, value: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
}

/** Stores a raw 32-bit value. */
export function writeRaw32(out: Uint8Array, at: number, value: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
  out[at + 2] = value >>> 16;
  out[at + 3] = value >>> 24;
}

/** Swaps the two bytes of a 16-bit value: host order to raw and back. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** Swaps the four bytes of a 32-bit value: host order to raw and back; the result is int32. */
export function swap32(value: number): number {
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}

/** Reads a raw IPv6 address of 16 bytes. Allocates; the hot path reads the words one by one. */
export function readIpv6Words(bytes: Uint8Array, at: number): Ipv6Words {
  return [readRaw32(bytes, at), readRaw32(bytes, at + 4), readRaw32(bytes, at + 8), readRaw32(bytes, at + 12)];
}

/** Stores a raw IPv6 address of 16 bytes. */
export function writeIpv6Words(out: Uint8Array, at: number, words: Ipv6Words): void {
  writeRaw32(out, at, words[0]);
  writeRaw32(out, at + 4, words[1]);
  writeRaw32(out, at + 8, words[2]);
  writeRaw32(out, at + 12, words[3]);
}

/** Copies `source` to `out` from `at` on, as far as it fits. Never throws, unlike `Uint8Array.set`. */
export function writeBytes(out: Uint8Array, at: number, source: Uint8Array): void {
  for (let i = 0; i < source.length; i++) out[at + i] = source[i]!;
}

/** Whether `needed` bytes from `at` on are inside the buffer. */
export function fits(out: Uint8Array, at: number, needed: number): boolean {
  return at >= 0 && at + needed <= out.length;
}
