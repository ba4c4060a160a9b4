/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Jenkins' lookup3 hash as Linux and Cilium use it. Twin: src/datapath/jhash.ts.
 * Input: raw words of a tuple, a seed. Output: the hash. Invariant: bit for bit Cilium's
 * hash_from_tuple_v4 and _v6. */
#pragma once
#include "context.h"

#define JHASH_INITIAL 0xdeadbeefu

INLINE __u32 rotate(__u32 word, int bits) { return (word << bits) | (word >> (32 - bits)); }

INLINE __u32 jhash_finish(__u32 a, __u32 b, __u32 c) {
  c = (c ^ b) - rotate(b, 14);
  a = (a ^ c) - rotate(c, 11);
  b = (b ^ a) - rotate(a, 25);
  c = (c ^ b) - rotate(b, 16);
  a = (a ^ c) - rotate(c, 4);
  b = (b ^ a) - rotate(a, 14);
  return (c ^ b) - rotate(b, 24);
}

INLINE __u32 jhash3(__u32 a, __u32 b, __u32 c, __u32 seed) {
  __u32 initial = JHASH_INITIAL + 12 + seed;
  return jhash_finish(a + initial, b + initial, c + initial);
}

#define JHASH_MIX(a, b, c)                                                                         \
  do {                                                                                             \
    a = (a - c) ^ rotate(c, 4);                                                                    \
    c += b;                                                                                        \
    b = (b - a) ^ rotate(a, 6);                                                                    \
    a += c;                                                                                        \
    c = (c - b) ^ rotate(b, 8);                                                                    \
    b += a;                                                                                        \
    a = (a - c) ^ rotate(c, 16);                                                                   \
    c += b;                                                                                        \
    b = (b - a) ^ rotate(a, 19);                                                                   \
    a += c;                                                                                        \
    c = (c - b) ^ rotate(b, 4);                                                                    \
    b += a;                                                                                        \
  } while (0)

/* Two mixing rounds over three blocks of words, and the end. */
INLINE __u32 jhash_blocks(__u32 a, __u32 b, __u32 c, __u32 a1, __u32 b1, __u32 c1, __u32 a2,
                          __u32 b2, __u32 c2) {
  JHASH_MIX(a, b, c);
  a += a1;
  b += b1;
  c += c1;
  JHASH_MIX(a, b, c);
  a += a2;
  b += b2;
  c += c2;
  return jhash_finish(a, b, c);
}

/* What selects the Maglev slot of a flow; the destination address is not in it. */
INLINE __u32 tuple_hash4(__u32 source, __u32 ports, __u32 protocol, __u32 seed) {
  return jhash3(source, ports, protocol, seed);
}

INLINE __u32 tuple_hash6(const __u32 *s, __u32 ports, __u32 protocol, __u32 seed) {
  return jhash_blocks(s[0], s[1], s[2], s[3], ports, protocol, seed, 0, 0);
}

/* Chance: a hash of the whole flow, the attempt and the seed. */
INLINE __u32 chance4(__u32 source, __u32 destination, __u32 ports, __u32 protocol, __u32 attempt,
                     __u32 seed) {
  return jhash3(source, ports, destination, seed + (attempt << 8) + protocol);
}

INLINE __u32 chance6(const __u32 *s, const __u32 *d, __u32 ports, __u32 protocol, __u32 attempt,
                     __u32 seed) {
  return jhash_blocks(s[0], s[1], s[2], s[3], d[0], d[1], d[2], d[3],
                      ports ^ jhash3(attempt, protocol, 0, seed));
}
