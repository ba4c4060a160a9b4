// The internet checksum: full sums (RFC 1071), pseudo-headers, and incremental adjustment (RFC 1624).
// Input and output are raw (memory-order) values: one's complement addition commutes with swapping bytes (RFC 1071 §2 B),
// so sums over little-endian loads give the checksum as it is stored, without a byte swap.
// Invariant: no allocation; every intermediate stays far below 2^31.

import { readRaw16, swap16, writeRaw16 } from './bytes.ts';

// A constant of this module: what it uses through its own export V8 takes for a variable.
const fold = foldSum;

/** Bytes summed between two folds: 8,192 words of at most 0xffff stay below 2^29. */
const BLOCK_BYTES = 16384;

/** Folds a sum of at most 31 bits to 16 bits with end-around carry. 0 only for a sum of 0; 0xffff stands for the other zero. */
export function foldSum(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/**
 * One's complement sum of bytes[start, end), added to a folded sum.
 *
 * The range must begin at an even position of the checksummed message; its offset in the buffer may be odd. An odd last
 * byte counts as if a zero byte followed. To continue behind an odd length, sum the rest alone and add it with {@link addOddSum}.
 *
 * @param sum folded sum to start from, for instance of a pseudo-header; 0 for none
 * @returns folded sum, raw order, not complemented
 */
export function sumBytes(bytes: Uint8Array, start: number, end: number, sum: number): number {
  let at = start;
  while (at < end) {
    const blockEnd = end - at > BLOCK_BYTES ? at + BLOCK_BYTES : end;
    const pairsEnd = blockEnd - 1;
    while (at < pairsEnd) {
      sum += readRaw16(bytes, at);
      at += 2;
    }
    if (at < blockEnd) sum += bytes[at++]!;
    sum = fold(sum);
  }
  return sum;
}

/** Adds the sum of a block that begins at an odd position of the message: its bytes are swapped first (RFC 1071 §2 B). */
export function addOddSum(sum: number, oddSum: number): number {
  return fold(sum + swap16(oddSum));
}

/** The checksum of a folded sum, raw: what is stored in the field. */
export function finishSum(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/** As {@link finishSum} for UDP, where a computed 0 is sent as 0xffff because 0 says "no checksum" (RFC 768). */
export function finishUdpSum(sum: number): number {
  return ~fold(sum) & 0xffff || 0xffff;
}

/**
 * Folded sum of the IPv4 pseudo-header (RFC 793 §3.1).
 * @param source raw address
 * @param destination raw address
 * @param protocol IP protocol number
 * @param l4Bytes L4 header and payload in bytes; more than 65,535 (a segmentation-offloaded packet) wraps by carry
 */
export function pseudoHeaderSum4(source: number, destination: number, protocol: number, l4Bytes: number): number {
  return fold(halves(source) + halves(destination) + (protocol << 8) + swappedHalves(l4Bytes));
}

/** Folded sum of the IPv6 pseudo-header (RFC 8200 §8.1); raw address words, the 32-bit length in bytes. */
export function pseudoHeaderSum6(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  protocol: number,
  l4Bytes: number,
): number {
  const source = halves(s0) + halves(s1) + halves(s2) + halves(s3);
  const destination = halves(d0) + halves(d1) + halves(d2) + halves(d3);
  return fold(source + destination + (protocol << 8) + swappedHalves(l4Bytes));
}

/** Sum of the two 16-bit halves of a raw word. */
const halves = (word: number): number => (word & 0xffff) + (word >>> 16);

/** Sum of the two halves of a host-order 32-bit number, each in raw order. */
function swappedHalves(value: number): number {
  return swap16(value & 0xffff) + swap16(value >>> 16);
}

/**
 * Computes and stores the checksum of a message whose pseudo-header sum is known. The field is zeroed first.
 *
 * @param start absolute start of the summed bytes (L4 header; IPv4 header with `pseudoSum` 0)
 * @param end absolute end of the summed bytes
 * @param field absolute offset of the checksum field, inside the range and at an even distance from `start`
 * @param pseudoSum folded pseudo-header sum, 0 for none (ICMP, IPv4 header)
 * @param udp whether a computed 0 becomes 0xffff
 */
export function writeChecksum(
  out: Uint8Array,
  start: number,
  end: number,
  field: number,
  pseudoSum: number,
  udp: boolean,
): void {
  writeRaw16(out, field, 0);
  const sum = sumBytes(out, start, end, pseudoSum);
  writeRaw16(out, field, udp ? finishUdpSum(sum) : finishSum(sum));
}

/** Whether the checksum inside bytes[start, end) is right: with it, everything sums to 0xffff. A UDP field of 0 is the caller's. */
export function isChecksumRight(bytes: Uint8Array, start: number, end: number, pseudoSum: number): boolean {
  return sumBytes(bytes, start, end, pseudoSum) === 0xffff;
}

/**
 * The checksum after one 16-bit field at an even position changed: HC' = ~(~HC + ~m + m'), RFC 1624 eqn. 3.
 * Starting from a checksum as {@link finishSum} makes it, the result is the one a full recompute gives, also where
 * eqn. 4 of that RFC would yield the other zero.
 * One exception, the kernel's as well: a message that becomes all zeros, which only ICMP's echo reply without data can,
 * as there is no pseudo-header; it gets 0 instead of 0xffff.
 *
 * @param check raw checksum field
 * @param before raw old value
 * @param after raw new value
 * @returns raw new checksum field
 */
export function adjust16(check: number, before: number, after: number): number {
  return ~fold((~check & 0xffff) + (~before & 0xffff) + (after & 0xffff)) & 0xffff;
}

/** As {@link adjust16} for a raw 32-bit field at an even position: an IPv4 address, or both ports at once. */
export function adjust32(check: number, before: number, after: number): number {
  return ~fold((~check & 0xffff) + halves(~before) + halves(after)) & 0xffff;
}

/** As {@link adjust16} for four raw words: an IPv6 address `b0..b3` replaced by `a0..a3`. */
export function adjustWords(
  check: number,
  b0: number,
  b1: number,
  b2: number,
  b3: number,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): number {
  return ~fold((~check & 0xffff) + difference(b0, b1, b2, b3, a0, a1, a2, a3)) & 0xffff;
}

/** Unfolded sum of ~before + after over four words: at most 16 × 0xffff. */
function difference(
  b0: number,
  b1: number,
  b2: number,
  b3: number,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): number {
  const removed = halves(~b0) + halves(~b1) + halves(~b2) + halves(~b3);
  return removed + halves(a0) + halves(a1) + halves(a2) + halves(a3);
}

/**
 * UDP's rule around an adjustment, the kernel's BPF_F_MARK_MANGLED_0: a field of 0 had no checksum and keeps none (IPv4;
 * over IPv6 zero is only legal in tunnels, RFC 6935, and is kept as well); a result of 0 becomes 0xffff.
 *
 * @param before the field before the adjustment, raw
 * @param adjusted what {@link adjust16}, {@link adjust32} or {@link adjustWords} gave
 */
export function udpRule(before: number, adjusted: number): number {
  if (before === 0) return 0;
  return adjusted === 0 ? 0xffff : adjusted;
}

/**
 * The checksum field of a packet with CHECKSUM_PARTIAL after an IPv4 address changed.
 *
 * There the field holds the folded pseudo-header sum, *not* complemented: the device adds the L4 bytes and complements
 * later. So the adjustment is sum' = sum + ~m + m', without the complements, and only for what the pseudo-header holds:
 * addresses, protocol, length. A port is not in it, so a port change leaves the field as it is
 * (Linux `inet_proto_csum_replace4` with `pseudohdr` true and false).
 */
export function adjustPartial32(sum: number, before: number, after: number): number {
  return fold((sum & 0xffff) + halves(~before) + halves(after));
}

/** As {@link adjustPartial32} for an IPv6 address. */
export function adjustPartialWords(
  sum: number,
  b0: number,
  b1: number,
  b2: number,
  b3: number,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): number {
  return fold((sum & 0xffff) + difference(b0, b1, b2, b3, a0, a1, a2, a3));
}

/** As {@link adjustPartial32} for a 16-bit pseudo-header field, such as the length (raw). */
export function adjustPartial16(sum: number, before: number, after: number): number {
  return fold((sum & 0xffff) + (~before & 0xffff) + (after & 0xffff));
}
