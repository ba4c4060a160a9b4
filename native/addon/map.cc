// SPDX-License-Identifier: Apache-2.0
// One map, one entry at a time: create, open, pin, look up, update, delete, walk, map into memory.
// Input: handles, keys and values of exactly the kernel's sizes. Output: 0, a handle, or -errno.
#include "map.h"
#include "call.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace weir {

int possibleCpus() noexcept {
  static const int cpus = [] {
    const int count = libbpf_num_possible_cpus();
    return count > 0 ? count : 0;
  }();
  return cpus;
}

int Map::inspect() noexcept {
  if (!fdIs(fd.get(), "bpf-map"))
    return -EINVAL;
  bpf_map_info info{};
  uint32_t size = sizeof info;
  const int err = bpf_obj_get_info_by_fd(fd.get(), &info, &size);
  if (err < 0)
    return err;
  type = info.type;
  keySize = info.key_size;
  valueSize = info.value_size;
  maxEntries = info.max_entries;
  flags = info.map_flags;
  id = info.id;
  if (isPerCpu() && possibleCpus() == 0)
    return -EOPNOTSUPP; // how much the kernel would write is not known
  rawValueSize =
      isPerCpu() ? (static_cast<size_t>(valueSize) + 7) / 8 * 8 * static_cast<size_t>(possibleCpus()) : valueSize;
  return 0;
}

int64_t addMap(Instance &instance, Fd fd, const Inner *inner) noexcept {
  std::unique_ptr<Map> map(new (std::nothrow) Map(std::move(fd)));
  if (!map)
    return -ENOMEM;
  const int err = map->inspect();
  if (err < 0)
    return err;
  if (inner != nullptr)
    map->inner = *inner;
  return instance.handles.add(std::move(map));
}

bool onBpfFs(const std::string &path) {
  struct statfs info {};
  return statfs(path.c_str(), &info) == 0 && static_cast<uint32_t>(info.f_type) == BPF_FS_MAGIC;
}

int unpin(const std::string &path) {
  // By its folder: a link elsewhere that leads to a pin is not one, and neither is a link beside the pins.
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    return -EINVAL;
  const Fd place(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place)
    return -errno;
  struct stat pin {};
  if (fstatat(place.get(), name.c_str(), &pin, AT_SYMLINK_NOFOLLOW) < 0)
    return -errno;
  struct statfs info {};
  if (fstatfs(place.get(), &info) < 0)
    return -errno;
  if (static_cast<uint32_t>(info.f_type) != BPF_FS_MAGIC || !S_ISREG(pin.st_mode))
    return -EINVAL;
  return unlinkat(place.get(), name.c_str(), 0) < 0 ? -errno : 0;
}

namespace {

/** A map larger than this is refused before the kernel sets out to find the memory. */
constexpr uint64_t kMaxMapBytes = uint64_t{1} << 32;
/** What an entry costs besides its key and value, about. */
constexpr uint64_t kEntryOverhead = 64;
constexpr size_t kMaxName = 255;
/** What can be mapped into JavaScript's memory: every version of Node has buffers so long. */
constexpr uint64_t kMaxMemory = uint64_t{1} << 30;

uint64_t roundUp(uint64_t size) { return (size + 7) & ~uint64_t{7}; }

/** mapCreate(type, name, keySize, valueSize, maxEntries, flags, inner): a handle. `inner` is a template map's handle or
 * 0. */
int64_t mapCreate(Call &call) {
  uint32_t type, keySize, valueSize, maxEntries, flags;
  std::string name;
  int64_t innerNumber;
  if (!call.u32(0, &type) || !call.string(1, kMaxName, &name) || !call.u32(2, &keySize) || !call.u32(3, &valueSize) ||
      !call.u32(4, &maxEntries) || !call.u32(5, &flags) || !call.integer(6, 0, int64_t{1} << 53, &innerNumber))
    return -EINVAL;
  const bool perCpu =
      type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const uint64_t each =
      kEntryOverhead + roundUp(keySize) + roundUp(valueSize) * static_cast<uint64_t>(perCpu ? possibleCpus() : 1);
  if (each > kMaxMapBytes || (maxEntries != 0 && each > kMaxMapBytes / maxEntries))
    return -E2BIG;
  Inner inner;
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  if (innerNumber != 0) {
    const Map *pattern = call.handle<Map>(6);
    if (pattern == nullptr)
      return -EBADF;
    inner = {pattern->type, pattern->keySize, pattern->valueSize, pattern->maxEntries, pattern->flags};
    options.inner_map_fd = static_cast<uint32_t>(pattern->fd.get());
  }
  const int fd = bpf_map_create(static_cast<bpf_map_type>(type), name.empty() ? nullptr : name.c_str(), keySize,
                                valueSize, maxEntries, &options);
  if (fd < 0)
    return fd;
  return addMap(*call.instance, Fd(fd), &inner);
}

/** mapOpen(path): a handle of a pinned map; -EINVAL when something else is pinned there. */
int64_t mapOpen(Call &call) {
  std::string path;
  if (!call.string(0, PATH_MAX, &path))
    return -EINVAL;
  const int fd = bpf_obj_get(path.c_str());
  return fd < 0 ? fd : addMap(*call.instance, Fd(fd));
}

/** mapById(id): a handle of the map with that kernel id. */
int64_t mapById(Call &call) {
  uint32_t id;
  if (!call.u32(0, &id))
    return -EINVAL;
  const int fd = bpf_map_get_fd_by_id(id);
  return fd < 0 ? fd : addMap(*call.instance, Fd(fd));
}

/** mapSetInner(map, type, keySize, valueSize, maxEntries, flags): says how inner maps look; needed after mapOpen. */
int64_t mapSetInner(Call &call) {
  Map *map = call.handle<Map>(0);
  Inner inner;
  if (map == nullptr)
    return -EBADF;
  if (!map->isOfMaps() || !call.u32(1, &inner.type) || !call.u32(2, &inner.keySize) || !call.u32(3, &inner.valueSize) ||
      !call.u32(4, &inner.maxEntries) || !call.u32(5, &inner.flags))
    return -EINVAL;
  if (inner.type != BPF_MAP_TYPE_ARRAY || inner.keySize != 4 || inner.valueSize == 0 ||
      inner.valueSize > kMaxMapBytes / (uint64_t{inner.maxEntries} + 1))
    return -EINVAL;
  map->inner = inner;
  return 0;
}

/** mapInfo(map, words): type, key size, value size, max entries, flags, id, bytes of a lookup, CPUs of a value. */
int64_t mapInfo(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes out;
  if (map == nullptr)
    return -EBADF;
  if (!call.words(1, &out) || out.size < 8)
    return -EINVAL;
  const uint32_t words[8] = {map->type,
                             map->keySize,
                             map->valueSize,
                             map->maxEntries,
                             map->flags,
                             map->id,
                             static_cast<uint32_t>(map->rawValueSize),
                             map->isPerCpu() ? static_cast<uint32_t>(possibleCpus()) : 1};
  memcpy(out.data, words, sizeof words);
  return 0;
}

/** mapPin(map, path). */
int64_t mapPin(Call &call) {
  const Map *map = call.handle<Map>(0);
  std::string path;
  if (map == nullptr)
    return -EBADF;
  if (!call.string(1, PATH_MAX, &path))
    return -EINVAL;
  return bpf_obj_pin(map->fd.get(), path.c_str());
}

/** unpin(path): of a map, program or link; refuses whatever lies outside a BPF file system, links to pins too. */
int64_t unpinPath(Call &call) {
  std::string path;
  return call.string(0, PATH_MAX, &path) ? unpin(path) : -EINVAL;
}

/** isBpfFs(path): 1 or 0. */
int64_t isBpfFs(Call &call) {
  std::string path;
  return call.string(0, PATH_MAX, &path) ? onBpfFs(path) : -EINVAL;
}

/** mapLookup(map, key, value): 0; `value` is at least as long as a lookup's result (mapInfo's seventh word). */
int64_t mapLookup(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes key, value;
  if (map == nullptr)
    return -EBADF;
  if (!call.bytes(1, &key) || !call.bytes(2, &value) || key.size != map->keySize || value.size < map->rawValueSize)
    return -EINVAL;
  return bpf_map_lookup_elem(map->fd.get(), key.data, value.data);
}

/**
 * mapLookupSum(map, key, value): the sum over all CPUs of a per-CPU value seen as little-endian u64 (a last odd u32 as
 * u32).
 */
int64_t mapLookupSum(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes key, value;
  if (map == nullptr)
    return -EBADF;
  if (!map->isPerCpu() || !call.bytes(1, &key) || !call.bytes(2, &value) || key.size != map->keySize ||
      value.size < map->valueSize)
    return -EINVAL;
  const size_t stride = map->rawValueSize / possibleCpus();
  std::vector<uint64_t> all(map->rawValueSize / 8);
  const int err = bpf_map_lookup_elem(map->fd.get(), key.data, all.data());
  if (err < 0)
    return err;
  for (size_t word = 0; word * 8 < stride; word++) {
    uint64_t sum = 0;
    for (int cpu = 0; cpu < possibleCpus(); cpu++)
      sum += all[static_cast<size_t>(cpu) * (stride / 8) + word];
    memcpy(value.data + word * 8, &sum, std::min<size_t>(8, map->valueSize - word * 8));
  }
  return 0;
}

/** mapUpdate(map, key, value, flags): sizes exactly as the kernel has them. */
int64_t mapUpdate(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes key, value;
  uint32_t flags;
  if (map == nullptr)
    return -EBADF;
  if (!call.bytes(1, &key) || !call.bytes(2, &value) || !call.u32(3, &flags) || key.size != map->keySize ||
      value.size != map->rawValueSize || map->isOfMaps())
    return -EINVAL;
  return bpf_map_update_elem(map->fd.get(), key.data, value.data, flags);
}

/** mapDelete(map, key). */
int64_t mapDelete(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes key;
  if (map == nullptr)
    return -EBADF;
  if (!call.bytes(1, &key) || key.size != map->keySize)
    return -EINVAL;
  return bpf_map_delete_elem(map->fd.get(), key.data);
}

} // namespace

int nextKey(const Map &map, const uint8_t *after, uint8_t *out) {
  uint32_t inner;
  int err = bpf_map_get_next_key(map.fd.get(), after, out);
  while (err == 0 && map.hasGaps() && bpf_map_lookup_elem(map.fd.get(), out, &inner) < 0) {
    uint32_t index;
    memcpy(&index, out, sizeof index);
    err = bpf_map_get_next_key(map.fd.get(), &index, out);
  }
  return err;
}

namespace {

/** mapNext(map, after, out): the key that follows; `after` undefined: the first; -ENOENT at the end. */
int64_t mapNext(Call &call) {
  const Map *map = call.handle<Map>(0);
  Bytes after, out;
  if (map == nullptr)
    return -EBADF;
  if (!call.bytes(2, &out) || out.size < map->keySize || map->keySize == 0)
    return -EINVAL;
  if (call.absent(1))
    return nextKey(*map, nullptr, out.data);
  if (!call.bytes(1, &after) || after.size != map->keySize)
    return -EINVAL;
  return nextKey(*map, after.data, out.data);
}

struct Mapping {
  void *at;
  size_t size;
};

void unmap(napi_env, void *, void *hint) {
  auto *mapping = static_cast<Mapping *>(hint);
  munmap(mapping->at, mapping->size);
  delete mapping;
}

/**
 * mapMemory(map): the values of an array made with BPF_F_MMAPABLE as an ArrayBuffer, each value rounded up to 8 bytes.
 * It stays mapped as long as somebody holds the buffer, whatever happens to the handle. -E2BIG: more than 1 GiB.
 */
napi_value mapMemory(Call &call) {
  const Map *map = call.handle<Map>(0);
  if (map == nullptr)
    return call.number(-EBADF);
  if (map->type != BPF_MAP_TYPE_ARRAY || (map->flags & BPF_F_MMAPABLE) == 0)
    return call.number(-EINVAL);
  const uint64_t used = roundUp(map->valueSize) * map->maxEntries;
  // With a longer one Node would throw, and have run the finaliser by then.
  if (used > kMaxMemory)
    return call.number(-E2BIG);
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t size = (used + page - 1) / page * page;
  auto mapping = std::make_unique<Mapping>();
  mapping->size = size;
  mapping->at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd.get(), 0);
  if (mapping->at == MAP_FAILED)
    return call.number(-errno);
  napi_value out = nullptr;
  const napi_status status = napi_create_external_arraybuffer(call.env, mapping->at, used, unmap, mapping.get(), &out);
  if (status != napi_ok) {
    // A runtime without external memory says so in this status and leaves no exception behind.
    munmap(mapping->at, mapping->size);
    return status == napi_no_external_buffers_allowed ? call.number(-EOPNOTSUPP) : call.number(-ENOMEM);
  }
  mapping.release();
  return out;
}

/** cpus(): how many CPUs a per-CPU value has a place for. */
int64_t cpus(Call &) { return possibleCpus(); }

} // namespace

void registerMap(Napi::Env env, Napi::Object exports, Instance *instance) {
  add(env, exports, instance, "mapCreate", entry<mapCreate>);
  add(env, exports, instance, "mapOpen", entry<mapOpen>);
  add(env, exports, instance, "mapById", entry<mapById>);
  add(env, exports, instance, "mapSetInner", entry<mapSetInner>);
  add(env, exports, instance, "mapInfo", entry<mapInfo>);
  add(env, exports, instance, "mapPin", entry<mapPin>);
  add(env, exports, instance, "unpin", entry<unpinPath>);
  add(env, exports, instance, "isBpfFs", entry<isBpfFs>);
  add(env, exports, instance, "mapLookup", entry<mapLookup>);
  add(env, exports, instance, "mapLookupSum", entry<mapLookupSum>);
  add(env, exports, instance, "mapUpdate", entry<mapUpdate>);
  add(env, exports, instance, "mapDelete", entry<mapDelete>);
  add(env, exports, instance, "mapNext", entry<mapNext>);
  add(env, exports, instance, "mapMemory", entry<mapMemory>);
  add(env, exports, instance, "cpus", entry<cpus>);
}

} // namespace weir
