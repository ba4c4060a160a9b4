// SPDX-License-Identifier: Apache-2.0
// What src/maps does, in C++ on the same memory: lookups in the tables of Hash4 and Lru4 with the same layout and hash.
// Input: views of the typed arrays that a JavaScript map holds. Output: value offsets, as `find` gives them.
// Invariant: reads only, but for the state byte that an LRU hit sets. For benchmarks; the product never calls it.
#pragma once
#include <cstdint>

namespace weir {

constexpr uint32_t kMix = 0x21f0aaad;
constexpr int32_t kBias = -4;
constexpr uint8_t kHot = 2;

inline uint32_t swap16(uint32_t k) { return k << 16 | k >> 16; }

/** Hash of four key words; multipliers in the order a0, b0, a1, b1, ... (hash-key.ts). */
inline uint32_t hash4(const uint32_t *m, uint32_t k0, uint32_t k1, uint32_t k2, uint32_t k3) {
  const uint32_t t0 = k0 * m[0] + swap16(k0) * m[1];
  const uint32_t t1 = k1 * m[2] + swap16(k1) * m[3];
  const uint32_t t2 = k2 * m[4] + swap16(k2) * m[5];
  const uint32_t t3 = k3 * m[6] + swap16(k3) * m[7];
  const uint32_t h = (t0 + t1) + (t2 + t3);
  return (h ^ h >> 16) * kMix;
}

/** FlatHash: slots [hash | key | value] of `stride` words, linear probing, `end` words in all. */
struct Hash4 {
  const uint32_t *words;
  const uint32_t *multipliers;
  uint32_t stride;
  uint32_t end;
  uint32_t shift;

  int32_t find(uint32_t k0, uint32_t k1, uint32_t k2, uint32_t k3) const {
    const uint32_t h = hash4(multipliers, k0, k1, k2, k3) | 1;
    uint32_t at = (h >> shift) * stride;
    for (;;) {
      const uint32_t *slot = words + at;
      if (slot[0] == h && slot[1] == k0 && slot[2] == k1 && slot[3] == k2 && slot[4] == k3)
        return at + 5;
      if (slot[0] == 0)
        return -1;
      at += stride;
      if (at == end)
        at = 0;
    }
  }
  uint32_t value(int32_t at) const { return words[at]; }
};

/** LruTable: an index of (tag << 24 | entry) over dense entries [key | value]. */
struct Lru4 {
  const uint32_t *words;
  const uint32_t *multipliers;
  const uint32_t *index;
  uint8_t *state;
  uint32_t stride;
  uint32_t mask;
  uint32_t shift;

  int32_t find(uint32_t k0, uint32_t k1, uint32_t k2, uint32_t k3) const {
    const uint32_t h = hash4(multipliers, k0, k1, k2, k3);
    uint32_t slot = h >> shift;
    for (;;) {
      const uint32_t word = index[slot];
      if (word == 0)
        return -1;
      if ((word ^ h << 24) >> 24 == 0) {
        const uint32_t entry = word & 0xffffff;
        const uint32_t at = entry * stride + kBias;
        const uint32_t *key = words + at;
        if (key[0] == k0 && key[1] == k1 && key[2] == k2 && key[3] == k3) {
          state[entry] = kHot;
          return at + 4;
        }
      }
      slot = (slot + 1) & mask;
    }
  }
  uint32_t value(int32_t at) const { return words[at]; }
};

/** Sum of the first value words found by `count` lookups; a miss adds -1. */
template <typename Map> uint32_t sumIndependent(const Map &map, const uint32_t *keys, uint32_t count) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < count; i++, keys += 4) {
    const int32_t at = map.find(keys[0], keys[1], keys[2], keys[3]);
    sum += at < 0 ? 0xffffffffu : map.value(at);
  }
  return sum;
}

/** The same where each key waits for the value found before (values are below 2^31, so the key is unchanged). */
template <typename Map> uint32_t sumDependent(const Map &map, const uint32_t *keys, uint32_t count) {
  uint32_t sum = 0;
  uint32_t last = 0;
  for (uint32_t i = 0; i < count; i++, keys += 4) {
    const int32_t at = map.find(keys[0] ^ last >> 31, keys[1], keys[2], keys[3]);
    last = at < 0 ? 0x7fffffffu : map.value(at);
    sum += last;
  }
  return sum;
}

} // namespace weir
