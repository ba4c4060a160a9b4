// SPDX-License-Identifier: Apache-2.0
// A map as the addon knows it: a descriptor and sizes. Input: a descriptor of a map. Output: class Map.
// Invariant: the sizes are those that the kernel reports, so every check against them protects a system call.
#pragma once
#include "handle.h"
#include <linux/bpf.h>

namespace weir {

/** How the inner maps of a map of maps look; valueSize 0 = unknown. */
struct Inner {
  uint32_t type = 0;
  uint32_t keySize = 0;
  uint32_t valueSize = 0;
  uint32_t maxEntries = 0;
  uint32_t flags = 0;
};

class Map final : public Handle {
public:
  static constexpr Kind kKind = Kind::Map;
  explicit Map(Fd fd) : Handle(kKind), fd(std::move(fd)) {}
  /** Reads sizes from the kernel. 0 or -errno; -EINVAL for a descriptor that is no map. */
  int inspect() noexcept;

  bool isArray() const { return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY; }
  bool isPerCpu() const {
    return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  }
  bool isOfMaps() const { return type == BPF_MAP_TYPE_HASH_OF_MAPS || type == BPF_MAP_TYPE_ARRAY_OF_MAPS; }
  /** Whether walks by key meet indices that hold nothing. */
  bool hasGaps() const { return type == BPF_MAP_TYPE_ARRAY_OF_MAPS; }
  /** Bytes of a whole inner array. */
  size_t innerBytes() const { return static_cast<size_t>(inner.valueSize) * inner.maxEntries; }

  Fd fd;
  uint32_t type = 0;
  uint32_t keySize = 0;
  uint32_t valueSize = 0;
  uint32_t maxEntries = 0;
  uint32_t flags = 0;
  uint32_t id = 0;
  /** Bytes that a lookup writes: of a per-CPU map one value, rounded up to 8, for each possible CPU. */
  size_t rawValueSize = 0;
  Inner inner;
};

/** Adds a map with the descriptor; its number or -errno. */
int64_t addMap(Instance &instance, Fd fd, const Inner *inner = nullptr) noexcept;

/** The key that follows `after` (null: the first) and holds something; 0 or -errno, -ENOENT at the end. */
int nextKey(const Map &map, const uint8_t *after, uint8_t *out);

/** CPUs that a per-CPU value has a place for; 0 when the system does not tell. */
int possibleCpus() noexcept;

/** Whether a path lies on a BPF file system (of a path that does not exist yet: its folder). */
bool onBpfFs(const std::string &path);
/** Removes a pin; -EINVAL for a path outside a BPF file system, which is never touched. */
int unpin(const std::string &path);

} // namespace weir
