// MurmurHash3 x64 128 over bytes, with 64-bit arithmetic on pairs of 32-bit words (no BigInt: it would allocate).
// Input: bytes and a 32-bit seed. Output: four words, low before high. Used for Maglev permutations only.

/** A 64-bit product's low half, as [low, high] in `out` at `at`. */
function multiply(out: Uint32Array, at: number, al: number, ah: number, bl: number, bh: number): void {
  const a0 = al & 0xffff;
  const a1 = al >>> 16;
  const b0 = bl & 0xffff;
  const b1 = bl >>> 16;
  const p00 = Math.imul(a0, b0) >>> 0;
  const p01 = Math.imul(a0, b1) >>> 0;
  const p10 = Math.imul(a1, b0) >>> 0;
  const p11 = Math.imul(a1, b1) >>> 0;
  // Each term is below 2^17, so the sum stays far inside 2^53.
  const middle = (p00 >>> 16) + (p01 & 0xffff) + (p10 & 0xffff);
  const carry = p11 + (p01 >>> 16) + (p10 >>> 16) + (middle >>> 16);
  out[at] = ((middle & 0xffff) << 16) | (p00 & 0xffff);
  out[at + 1] = (carry >>> 0) + Math.imul(al, bh) + Math.imul(ah, bl);
}

/** Rotates the word pair at `at` left by `bits`, 1..63. */
function rotate(s: Uint32Array, at: number, bits: number): void {
  let lo = s[at]!;
  let hi = s[at + 1]!;
  if (bits >= 32) {
    const swap = lo;
    lo = hi;
    hi = swap;
    bits -= 32;
  }
  if (bits === 0) {
    s[at] = lo;
    s[at + 1] = hi;
    return;
  }
  s[at] = (lo << bits) | (hi >>> (32 - bits));
  s[at + 1] = (hi << bits) | (lo >>> (32 - bits));
}

/** s[to] += s[from], 64 bits. */
function add(s: Uint32Array, to: number, from: number): void {
  const low = s[to]! + s[from]!;
  s[to] = low;
  s[to + 1] = s[to + 1]! + s[from + 1]! + (low > 0xffffffff ? 1 : 0);
}

/** s[at] = s[at] * 5 + constant, 64 bits. */
function timesFivePlus(s: Uint32Array, at: number, constant: number): void {
  const low = s[at]! * 5 + constant;
  s[at + 1] = s[at + 1]! * 5 + Math.floor(low / 0x100000000);
  s[at] = low;
}

function finalMix(s: Uint32Array, at: number): void {
  s[at]! ^= s[at + 1]! >>> 1; // x ^= x >>> 33: the high word shifted by 1 lands in the low word
  multiply(s, at, s[at]!, s[at + 1]!, 0xed558ccd, 0xff51afd7);
  s[at]! ^= s[at + 1]! >>> 1;
  multiply(s, at, s[at]!, s[at + 1]!, 0x1a85ec53, 0xc4ceb9fe);
  s[at]! ^= s[at + 1]! >>> 1;
}

// State words: h1 at 0, h2 at 2, k1 at 4, k2 at 6.
const H1 = 0;
const H2 = 2;
const K1 = 4;
const K2 = 6;

function mixK1(s: Uint32Array): void {
  multiply(s, K1, s[K1]!, s[K1 + 1]!, 0x114253d5, 0x87c37b91);
  rotate(s, K1, 31);
  multiply(s, K1, s[K1]!, s[K1 + 1]!, 0x2745937f, 0x4cf5ad43);
  s[H1]! ^= s[K1]!;
  s[H1 + 1]! ^= s[K1 + 1]!;
}

function mixK2(s: Uint32Array): void {
  multiply(s, K2, s[K2]!, s[K2 + 1]!, 0x2745937f, 0x4cf5ad43);
  rotate(s, K2, 33);
  multiply(s, K2, s[K2]!, s[K2 + 1]!, 0x114253d5, 0x87c37b91);
  s[H2]! ^= s[K2]!;
  s[H2 + 1]! ^= s[K2 + 1]!;
}

const read32 = (b: Uint8Array, at: number): number =>
  (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;

/**
 * MurmurHash3_x64_128 of `bytes` with `seed` (u32, the start of both halves). Returns [h1 low, h1 high, h2 low, h2 high].
 * Source: Austin Appleby's reference implementation, as Cilium's pkg/murmur3 ports it.
 */
export function murmur3x64128(bytes: Uint8Array, seed: number): Uint32Array {
  const s = new Uint32Array(8);
  s[H1] = seed;
  s[H2] = seed;
  const length = bytes.length;
  const blocks = length >>> 4;
  for (let i = 0; i < blocks; i++) {
    const at = i << 4;
    s[K1] = read32(bytes, at);
    s[K1 + 1] = read32(bytes, at + 4);
    s[K2] = read32(bytes, at + 8);
    s[K2 + 1] = read32(bytes, at + 12);
    mixK1(s);
    rotate(s, H1, 27);
    add(s, H1, H2);
    timesFivePlus(s, H1, 0x52dce729);
    mixK2(s);
    rotate(s, H2, 31);
    add(s, H2, H1);
    timesFivePlus(s, H2, 0x38495ab5);
  }
  const tail = blocks << 4;
  const rest = length & 15;
  s.fill(0, K1);
  for (let i = 0; i < rest; i++) s[K1 + (i >>> 2)]! |= bytes[tail + i]! << ((i & 3) << 3);
  if (rest > 8) mixK2(s);
  if (rest > 0) mixK1(s);
  s[H1]! ^= length;
  s[H2]! ^= length;
  add(s, H1, H2);
  add(s, H2, H1);
  finalMix(s, H1);
  finalMix(s, H2);
  add(s, H1, H2);
  add(s, H2, H1);
  return s.slice(0, 4);
}
