// SPDX-License-Identifier: Apache-2.0
// Many entries a call: dump, update, delete, and whole inner arrays of maps of maps. Where the kernel has no batch
// operation for a kind of map, the same is done one entry at a time.
// Input: keys and values back to back. Output: counts or -errno. Invariant: writes happen in order and stop at the
// first failure.
#include "call.h"
#include "map.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace weir {
namespace {

/** What the kernel says for a batch operation that a map does not have; it has no name outside the kernel. */
constexpr int kNotSupported = 524;
/** First byte of a walk's position. */
enum Position : uint8_t { Start = 0, Middle = 1, End = 2 };
/** Inner maps made before the outer map is written; bounds open descriptors. */
constexpr uint32_t kInnerBatch = 64;

bool noBatch(int err) { return err == -kNotSupported || err == -EOPNOTSUPP || err == -ENOTSUP; }

/** Fills keys and values by walking; `token` is the last key. */
int64_t walk(const Map &map, uint8_t *position, const Bytes &keys, const Bytes &values, uint32_t count) {
  uint8_t *token = position + 1;
  uint32_t done = 0;
  while (done < count) {
    uint8_t *key = keys.data + static_cast<size_t>(done) * map.keySize;
    int err = nextKey(map, position[0] == Start ? nullptr : token, key);
    if (err == -ENOENT) {
      position[0] = End;
      break;
    }
    if (err < 0)
      return err;
    memcpy(token, key, map.keySize);
    position[0] = Middle;
    err = bpf_map_lookup_elem(map.fd.get(), key, values.data + done * map.rawValueSize);
    if (err == -ENOENT)
      continue; // deleted meanwhile
    if (err < 0)
      return err;
    done++;
  }
  return done;
}

/**
 * mapBatch(map, position, keys, values, count): up to `count` entries of a walk; how many, or -errno (-ENOSPC: more
 * room is needed to go on). `position` has max(4, key size) + 1 bytes, all zero before the first call; its first byte
 * is 2 after the last.
 */
int64_t mapBatch(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes position, keys, values;
  uint32_t count;
  if (map == nullptr)
    return -EBADF;
  if (!call.bytes(1, &position) || !call.bytes(2, &keys) || !call.bytes(3, &values) || !call.u32(4, &count) ||
      count == 0 || map->keySize == 0 || position.size < std::max<size_t>(4, map->keySize) + 1 ||
      keys.size / map->keySize < count || map->rawValueSize == 0 || values.size / map->rawValueSize < count)
    return -EINVAL;
  if (position.data[0] == End)
    return 0;
  if (position.data[0] > End)
    return -EINVAL;
  // The kernel's token is written only when it has one, and must not be the memory that is read.
  std::vector<uint8_t> next(position.size - 1);
  uint32_t done = count;
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  const int err = bpf_map_lookup_batch(map->fd.get(), position.data[0] == Start ? nullptr : position.data + 1,
                                       next.data(), keys.data, values.data, &done, &options);
  // Before Linux 6.15 a batch gives up at an index that holds nothing.
  if (noBatch(err) || (err == -EINTR && map->hasGaps()))
    return walk(*map, position.data, keys, values, count);
  if (err < 0 && err != -ENOENT)
    return err;
  if (done > count)
    return -EIO;
  memcpy(position.data + 1, next.data(), next.size());
  position.data[0] = err == -ENOENT ? End : Middle;
  return done;
}

/** mapCount(map): entries held; of an array its size. */
int64_t mapCount(Call &call) {
  const Map *map = call.handle<Map>(0);
  if (map == nullptr)
    return -EBADF;
  if (map->keySize == 0)
    return -EINVAL;
  if (map->isArray())
    return map->maxEntries;
  std::vector<uint8_t> key(map->keySize), next(map->keySize);
  int64_t count = 0;
  int err = nextKey(*map, nullptr, next.data());
  while (err == 0) {
    // More keys than the map can hold: somebody changes it while it is walked, and walks may begin again.
    if (++count > int64_t{map->maxEntries} + 1)
      return map->maxEntries;
    key.swap(next);
    err = nextKey(*map, key.data(), next.data());
  }
  return err == -ENOENT ? count : err;
}

struct Batch {
  const Map *map;
  Bytes keys;
  Bytes values;
  Bytes done;
  uint32_t count;
};

void report(const Batch &batch, uint32_t done) {
  const int32_t word = static_cast<int32_t>(done);
  memcpy(batch.done.data, &word, sizeof word);
}

/** mapUpdateBatch(map, keys, values, count, flags, done): 0 or the first failure's -errno; done[0] = updates before it.
 */
int64_t mapUpdateBatch(Call &call) {
  Batch batch{};
  uint32_t flags;
  batch.map = call.handle<Map>(0);
  if (batch.map == nullptr)
    return -EBADF;
  const Map &map = *batch.map;
  if (!call.bytes(1, &batch.keys) || !call.bytes(2, &batch.values) || !call.u32(3, &batch.count) ||
      !call.u32(4, &flags) || !call.words(5, &batch.done) || batch.done.size < 1 || map.keySize == 0 ||
      map.rawValueSize == 0 || map.isOfMaps() || batch.keys.size / map.keySize < batch.count ||
      batch.values.size / map.rawValueSize < batch.count)
    return -EINVAL;
  report(batch, 0);
  if (batch.count == 0)
    return 0;
  uint32_t done = batch.count;
  int err = -kNotSupported;
  if (flags == BPF_ANY) { // the kernel's batches know no other flag
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    err = bpf_map_update_batch(map.fd.get(), batch.keys.data, batch.values.data, &done, &options);
    // A refusal of the whole batch leaves the count as it was given.
    if (err < 0 && done >= batch.count)
      done = 0;
  }
  if (noBatch(err)) {
    for (done = 0, err = 0; done < batch.count; done++) {
      err = bpf_map_update_elem(map.fd.get(), batch.keys.data + static_cast<size_t>(done) * map.keySize,
                                batch.values.data + done * map.rawValueSize, flags);
      if (err < 0)
        break;
    }
  }
  report(batch, done);
  return err;
}

/** mapDeleteBatch(map, keys, count, done): as mapUpdateBatch; what is absent counts as deleted. */
int64_t mapDeleteBatch(Call &call) {
  Batch batch{};
  batch.map = call.handle<Map>(0);
  if (batch.map == nullptr)
    return -EBADF;
  const Map &map = *batch.map;
  if (!call.bytes(1, &batch.keys) || !call.u32(2, &batch.count) || !call.words(3, &batch.done) || batch.done.size < 1 ||
      map.keySize == 0 || batch.keys.size / map.keySize < batch.count)
    return -EINVAL;
  report(batch, 0);
  const auto key = [&](uint32_t at) { return batch.keys.data + static_cast<size_t>(at) * map.keySize; };
  uint32_t done = 0;
  int err = 0;
  bool batches = true;
  while (done < batch.count) {
    uint32_t now = batch.count - done;
    if (batches) {
      LIBBPF_OPTS(bpf_map_batch_opts, options);
      err = bpf_map_delete_batch(map.fd.get(), key(done), &now, &options);
      if (noBatch(err)) {
        batches = false;
        continue;
      }
      if (err < 0 && now >= batch.count - done)
        now = 0; // refused as a whole; an absent key is counted below
    } else {
      err = bpf_map_delete_elem(map.fd.get(), key(done));
      now = err == 0 ? 1 : 0;
    }
    done += now;
    if (err == -ENOENT) {
      done++;
      err = 0;
    }
    if (err < 0)
      break;
  }
  report(batch, done);
  return err;
}

const uint32_t *indices(Instance &instance, size_t count) {
  while (instance.indices.size() < count)
    instance.indices.push_back(static_cast<uint32_t>(instance.indices.size()));
  return instance.indices.data();
}

/** A new inner map that holds `bytes`; its descriptor or -errno. */
int makeInner(Instance &instance, const Inner &inner, const uint8_t *bytes) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = inner.flags);
  Fd fd(bpf_map_create(static_cast<bpf_map_type>(inner.type), nullptr, inner.keySize, inner.valueSize, inner.maxEntries,
                       &options));
  if (!fd)
    return -errno;
  uint32_t count = inner.maxEntries;
  LIBBPF_OPTS(bpf_map_batch_opts, batch);
  const int err = bpf_map_update_batch(fd.get(), indices(instance, count), bytes, &count, &batch);
  return err < 0 ? err : fd.release();
}

/** -EINVAL unless inner maps are known and are arrays. */
bool innerKnown(const Map &map) {
  return map.isOfMaps() && map.inner.type == BPF_MAP_TYPE_ARRAY && map.inner.keySize == 4 && map.innerBytes() > 0;
}

/** mapUpdateInner(map, key, bytes, flags): makes an inner array that holds `bytes` and puts it under the key. */
int64_t mapUpdateInner(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes key, bytes;
  uint32_t flags;
  if (map == nullptr)
    return -EBADF;
  if (!innerKnown(*map) || !call.bytes(1, &key) || !call.bytes(2, &bytes) || !call.u32(3, &flags) ||
      key.size != map->keySize || bytes.size != map->innerBytes())
    return -EINVAL;
  if (flags > BPF_EXIST)
    return -EINVAL;
  const int made = makeInner(*call.instance, map->inner, bytes.data);
  if (made < 0)
    return made;
  Fd fd(made);
  return bpf_map_update_elem(map->fd.get(), key.data, &made, flags);
}

/** mapUpdateInnerBatch(map, keys, bytes, count, done): many of them; the kernel waits for its readers once a batch. */
int64_t mapUpdateInnerBatch(Call &call) {
  Batch batch{};
  batch.map = call.handle<Map>(0);
  if (batch.map == nullptr)
    return -EBADF;
  const Map &map = *batch.map;
  if (!innerKnown(map) || !call.bytes(1, &batch.keys) || !call.bytes(2, &batch.values) || !call.u32(3, &batch.count) ||
      !call.words(4, &batch.done) || batch.done.size < 1 || batch.keys.size / map.keySize < batch.count ||
      batch.values.size / map.innerBytes() < batch.count)
    return -EINVAL;
  report(batch, 0);
  uint32_t done = 0;
  while (done < batch.count) {
    const uint32_t now = std::min(kInnerBatch, batch.count - done);
    std::vector<Fd> fds;
    std::vector<int> numbers;
    int err = 0;
    while (numbers.size() < now) {
      const int made =
          makeInner(*call.instance, map.inner, batch.values.data + (done + numbers.size()) * map.innerBytes());
      if (made < 0) {
        err = made;
        break;
      }
      fds.emplace_back(made);
      numbers.push_back(made);
    }
    // Those that were made are written even when a later one could not be: the order is kept.
    uint32_t written = 0;
    const uint32_t made = static_cast<uint32_t>(numbers.size());
    uint8_t *keys = batch.keys.data + static_cast<size_t>(done) * map.keySize;
    if (made > 0) {
      written = made;
      LIBBPF_OPTS(bpf_map_batch_opts, options);
      int failed = bpf_map_update_batch(map.fd.get(), keys, numbers.data(), &written, &options);
      if (failed < 0 && written >= made)
        written = 0;
      if (noBatch(failed)) {
        for (failed = 0, written = 0; written < made; written++) {
          failed = bpf_map_update_elem(map.fd.get(), keys + static_cast<size_t>(written) * map.keySize,
                                       &numbers[written], BPF_ANY);
          if (failed < 0)
            break;
        }
      }
      if (failed < 0)
        err = failed;
    }
    done += written;
    report(batch, done);
    if (err < 0)
      return err;
  }
  return 0;
}

/** mapLookupInner(map, key, out): the whole inner array of a key. */
int64_t mapLookupInner(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes key, out;
  if (map == nullptr)
    return -EBADF;
  if (!innerKnown(*map) || !call.bytes(1, &key) || !call.bytes(2, &out) || key.size != map->keySize ||
      out.size < map->innerBytes())
    return -EINVAL;
  for (int attempt = 0; attempt < 8; attempt++) {
    uint32_t id = 0;
    int err = bpf_map_lookup_elem(map->fd.get(), key.data, &id);
    if (err < 0)
      return err;
    Fd fd(bpf_map_get_fd_by_id(id));
    if (!fd) {
      if (errno != ENOENT)
        return -errno;
      continue; // replaced between the two calls
    }
    // What was declared may not be what is there; the kernel writes as much as there is.
    struct bpf_map_info info = {};
    uint32_t length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &length) < 0)
      return -errno;
    if (info.type != map->inner.type || info.key_size != map->inner.keySize ||
        info.value_size != map->inner.valueSize || info.max_entries != map->inner.maxEntries)
      return -EINVAL;
    uint32_t count = map->inner.maxEntries;
    uint32_t token = 0;
    std::vector<uint32_t> keys(count);
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    err = bpf_map_lookup_batch(fd.get(), nullptr, &token, keys.data(), out.data, &count, &options);
    if (err < 0 && err != -ENOENT)
      return err;
    return count == map->inner.maxEntries ? 0 : -EIO;
  }
  return -EAGAIN;
}

} // namespace

void registerMapBatch(Napi::Env env, Napi::Object exports, Instance *instance) {
  add(env, exports, instance, "mapBatch", entry<mapBatch>);
  add(env, exports, instance, "mapCount", entry<mapCount>);
  add(env, exports, instance, "mapUpdateBatch", entry<mapUpdateBatch>);
  add(env, exports, instance, "mapDeleteBatch", entry<mapDeleteBatch>);
  add(env, exports, instance, "mapUpdateInner", entry<mapUpdateInner>);
  add(env, exports, instance, "mapUpdateInnerBatch", entry<mapUpdateInnerBatch>);
  add(env, exports, instance, "mapLookupInner", entry<mapLookupInner>);
}

} // namespace weir
