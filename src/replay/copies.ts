// Copies of one packet on several interfaces: the same addresses and L4 bytes within 10 ms (replay.md, rule 3).
// Input: dissected packets with time and interface. Output: whether one like it was seen just before, elsewhere.
// Invariant: fixed memory; a packet that another one displaced from its slot is not recognised, and nothing else happens.
import type { Headers } from '../wire/index.ts';

const SLOTS = 1 << 16;
const WINDOW_NANOSECONDS = 10_000_000;
const TCP = 6;
/** A TCP header with all the options that it can have. */
const TCP_BYTES = 60;
const imul = Math.imul;

/** Words a slot: two hashes, interface, seconds and nanoseconds, whether it is in use; padded so that a slot is within one cache line. */
const SLOT = 8;

/** See the head of this file. */
export class Copies {
  private readonly slots = new Int32Array(SLOTS * SLOT);
  private first = 0;
  private second = 0;

  /**
   * Whether the packet is a copy. If not, it is remembered.
   * @param interfaceNumber where it was seen
   * @param blind the capture does not tell its interfaces apart: then any packet within the window counts
   * @param seconds since start, with `nanoseconds`
   */
  seen(
    h: Headers,
    bytes: Uint8Array,
    capturedEnd: number,
    interfaceNumber: number,
    blind: boolean,
    seconds: number,
    nanoseconds: number,
  ): boolean {
    let end = Math.min(capturedEnd, h.l3 + h.l3Length);
    // Sequence numbers, flags, options and length tell segments apart: their payload need not be read.
    if (h.protocol === TCP && h.l4 + TCP_BYTES < end) end = h.l4 + TCP_BYTES;
    this.hash(h, bytes, end);
    const { slots, first, second } = this;
    const at = ((first ^ (first >>> 16)) & (SLOTS - 1)) * SLOT;
    if (slots[at] === first && slots[at + 1] === second && slots[at + 5] === 1) {
      const age = (seconds - slots[at + 3]!) * 1e9 + (nanoseconds - slots[at + 4]!);
      const near = age >= 0 && age <= WINDOW_NANOSECONDS;
      if (near && (blind || slots[at + 2] !== interfaceNumber)) return true;
    }
    slots[at] = first;
    slots[at + 1] = second;
    slots[at + 2] = interfaceNumber;
    slots[at + 3] = seconds;
    slots[at + 4] = nanoseconds;
    slots[at + 5] = 1;
    return false;
  }

  /** Two 32-bit hashes over addresses, protocol and everything behind the IP header but the L4 checksum. */
  private hash(h: Headers, bytes: Uint8Array, end: number): void {
    let a = imul(h.s0 ^ imul(h.d0, 0x9e3779b1), 0x85ebca6b) ^ h.s3;
    let b = imul(h.d0 ^ imul(h.s0, 0xc2b2ae35), 0x27d4eb2f) ^ h.d3;
    a = imul(a ^ h.s1 ^ imul(h.d2, 0x165667b1), 0x9e3779b1) ^ h.protocol;
    b = imul(b ^ h.d1 ^ imul(h.s2, 0x165667b1), 0x85ebca6b) ^ h.l3Length;
    const checksum = h.l4ChecksumOffset;
    let at = h.l4;
    const whole = end - 3;
    for (; at < whole; at += 4) {
      let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      if (checksum >= at && checksum < at + 4) word &= checksum === at ? 0xffff0000 : 0xffff;
      a = imul(a ^ word, 0x9e3779b1);
      a ^= a >>> 15;
      b = imul(b + word, 0x85ebca6b);
      b = (b << 13) | (b >>> 19);
    }
    for (; at < end; at++) {
      a = imul(a ^ bytes[at]!, 0x9e3779b1);
      b = imul(b + bytes[at]!, 0x85ebca6b) ^ (b >>> 13);
    }
    this.first = imul(a ^ (a >>> 16), 0x21f0aaad);
    this.second = imul(b ^ (b >>> 15), 0x735a2d97);
  }
}
