// Jenkins' lookup3 hash as Linux and Cilium use it (include/linux/jhash.h, bpf/lib/jhash.h), on int32 words.
// Input: raw words of a tuple, a seed. Output: the hash as int32 (`>>> 0` gives the u32). Bit for bit Cilium's.
// Invariant: no allocation; the same numbers in native/bpf/jhash.h.

/** Linux's JHASH_INITVAL. */
const INITIAL = 0xdeadbeef | 0;
// A constant of this module: what it uses through its own export costs V8 a load and a check each time.
const hash3 = jhash3;

/** The final mixing of lookup3; answers `c`. */
const finish = (a: number, b: number, c: number): number => {
  c = ((c ^ b) - ((b << 14) | (b >>> 18))) | 0;
  a = ((a ^ c) - ((c << 11) | (c >>> 21))) | 0;
  b = ((b ^ a) - ((a << 25) | (a >>> 7))) | 0;
  c = ((c ^ b) - ((b << 16) | (b >>> 16))) | 0;
  a = ((a ^ c) - ((c << 4) | (c >>> 28))) | 0;
  b = ((b ^ a) - ((a << 14) | (a >>> 18))) | 0;
  return ((c ^ b) - ((b << 24) | (b >>> 8))) | 0;
};

/** jhash_3words(a, b, c, seed) of Linux: the initial value is 0xdeadbeef + 12 + seed. */
export function jhash3(a: number, b: number, c: number, seed: number): number {
  const initial = (INITIAL + 12 + seed) | 0;
  return finish((a + initial) | 0, (b + initial) | 0, (c + initial) | 0);
}

/**
 * Cilium's hash_from_tuple_v4: what selects the Maglev slot of an IPv4 flow. The destination address is not in it.
 * @param source raw address
 * @param ports raw ports, source in the low half; the source port 0 where the service has affinity
 */
export function tupleHash4(source: number, ports: number, protocol: number, seed: number): number {
  return hash3(source, ports, protocol, seed);
}

/** The mixing step of lookup3, continued by {@link tupleHash6}'s second block: both blocks in one, unrolled. */
const mixTwice = (
  a: number,
  b: number,
  c: number,
  a1: number,
  b1: number,
  c1: number,
  a2: number,
  b2: number,
  c2: number,
): number => {
  for (let round = 0; round < 2; round++) {
    a = ((a - c) ^ ((c << 4) | (c >>> 28))) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ ((a << 6) | (a >>> 26))) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ ((b << 8) | (b >>> 24))) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ ((c << 16) | (c >>> 16))) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ ((a << 19) | (a >>> 13))) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ ((b << 4) | (b >>> 28))) | 0;
    b = (b + a) | 0;
    if (round === 0) {
      a = (a + a1) | 0;
      b = (b + b1) | 0;
      c = (c + c1) | 0;
    } else {
      a = (a + a2) | 0;
      b = (b + b2) | 0;
      c = (c + c2) | 0;
    }
  }
  return finish(a, b, c);
};

/**
 * Cilium's hash_from_tuple_v6: source words 0..2, mix, word 3, ports and protocol, mix, seed, final.
 * Words and ports are raw, as in {@link tupleHash4}.
 */
export function tupleHash6(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  ports: number,
  protocol: number,
  seed: number,
): number {
  return mixTwice(s0, s1, s2, s3, ports, protocol, seed, 0, 0);
}

/**
 * Chance for an IPv4 flow: a hash of the whole flow, the attempt and the seed, so that both engines draw the same.
 * @param attempt number of the try, from 0
 */
export function chance4(
  source: number,
  destination: number,
  ports: number,
  protocol: number,
  attempt: number,
  seed: number,
): number {
  return hash3(source, ports, destination, (seed + (attempt << 8) + protocol) | 0);
}

/** As {@link chance4} for IPv6: source, destination words and ports in three blocks. */
export function chance6(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  ports: number,
  protocol: number,
  attempt: number,
  seed: number,
): number {
  return mixTwice(s0, s1, s2, s3, d0, d1, d2, d3, (ports ^ hash3(attempt, protocol, 0, seed)) | 0);
}
