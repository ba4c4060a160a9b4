// SPDX-License-Identifier: Apache-2.0
// An object file from its bytes to programs in the kernel: open, set sizes and constants, reuse maps, load, find.
// Input: bytes of an ELF object, names. Output: handles or -errno; what libbpf and the verifier said is in lastLog().
#include "call.h"
#include "log.h"
#include "map.h"
#include "program.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <csignal>
#include <elf.h>
#include <sys/resource.h>
#include <sys/wait.h>

namespace weir {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxObject = 64u << 20;
/** What opening may take: it takes milliseconds. */
constexpr unsigned kOpenSeconds = 10;

class Object final : public Handle {
public:
  static constexpr Kind kKind = Kind::Object;
  Object() : Handle(kKind) {}
  ~Object() override { bpf_object__close(object); }
  bpf_object *object = nullptr;
  bool loaded = false;
  /** Load was tried: libbpf allows one attempt. */
  bool tried = false;
  uint32_t logLevel = 0;
  std::string name;
  /** libbpf reads from these bytes, aligned, for as long as it likes. */
  std::vector<uint64_t> bytes;
  /** How inner maps look, by name of the outer map: libbpf forgets it when it loads. */
  struct Pattern {
    std::string outer;
    Inner inner;
    /** The template, where it is not libbpf's own. */
    Fd fd;
  };
  std::vector<Pattern> patterns;

  Pattern *patternOf(const std::string &outer) {
    for (auto &pattern : patterns) {
      if (pattern.outer == outer)
        return &pattern;
    }
    return nullptr;
  }
};

/** Whether the bytes are a little-endian BPF object, so far as its header tells. */
bool looksLikeBpf(const Bytes &bytes) {
  Elf64_Ehdr header;
  if (bytes.size < sizeof header)
    return false;
  memcpy(&header, bytes.data, sizeof header);
  return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_type == ET_REL &&
         (header.e_machine == EM_BPF || header.e_machine == EM_NONE);
}

/**
 * Whether libbpf survives the bytes. It trusts what it reads (1.1 and others die of a damaged object), so a child
 * process tries first. 0, -EINVAL when the child died or took too long, or why there was no child.
 */
int tryInChild(const void *bytes, size_t size, const bpf_object_open_opts *options) {
  const pid_t child = fork();
  if (child < 0)
    return -errno;
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM})
      std::signal(signal, SIG_DFL);
    const rlimit none{};
    setrlimit(RLIMIT_CORE, &none);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
    alarm(kOpenSeconds);
    libbpf_set_print(nullptr);
    bpf_object__close(bpf_object__open_mem(bytes, size, options));
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR)
      return -errno;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

Inner describe(const bpf_map *map) {
  return {static_cast<uint32_t>(bpf_map__type(map)), bpf_map__key_size(map), bpf_map__value_size(map),
          bpf_map__max_entries(map), bpf_map__map_flags(map)};
}

/**
 * objectOpen(bytes, name, logLevel): a handle. logLevel 0: the verifier's log is kept when it refuses; 1, 2: always; 4:
 * its statistics.
 */
int64_t objectOpen(Call &call) {
  Bytes bytes;
  auto made = std::make_unique<Object>();
  if (!call.bytes(0, &bytes) || !call.string(1, kMaxName, &made->name) || !call.integer(2, 0, 7, &made->logLevel) ||
      bytes.size > kMaxObject)
    return -EINVAL;
  if (!looksLikeBpf(bytes))
    return -ENOEXEC;
  made->bytes.resize((bytes.size + 7) / 8);
  memcpy(made->bytes.data(), bytes.data, bytes.size);
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = made->name.c_str(), .kernel_log_level = made->logLevel);
  const int err = tryInChild(made->bytes.data(), bytes.size, &options);
  if (err < 0) {
    call.instance->log = "libbpf does not survive this object: it is damaged\n";
    return err;
  }
  Listening listening(call.instance->log, made->logLevel != 0);
  made->object = bpf_object__open_mem(made->bytes.data(), bytes.size, &options);
  if (made->object == nullptr)
    return errno > 0 ? -errno : -EINVAL;
  bpf_map *map;
  bpf_object__for_each_map(map, made->object) {
    const bpf_map *inner = bpf_map__inner_map(map);
    if (inner != nullptr)
      made->patterns.push_back({bpf_map__name(map), describe(inner), Fd()});
  }
  return call.instance->handles.add(std::move(made));
}

/** lastLog(): what libbpf said during the last objectOpen or objectLoad of this thread. */
napi_value lastLog(Call &call) { return call.text(call.instance->log); }

/** objectNames(object, what): names of its maps (0) or programs (1), one a line. */
napi_value objectNames(Call &call) {
  const Object *object = call.handle<Object>(0);
  uint32_t what;
  if (object == nullptr)
    return call.number(-EBADF);
  if (!call.integer(1, 0, 1, &what))
    return call.number(-EINVAL);
  std::string names;
  if (what == 0) {
    const bpf_map *map;
    bpf_object__for_each_map(map, object->object) names.append(bpf_map__name(map)).append("\n");
  } else {
    bpf_program *program;
    bpf_object__for_each_program(program, object->object) names.append(bpf_program__name(program)).append("\n");
  }
  return call.text(names);
}

/** The object of argument 0 before it is loaded, and the name of argument 1. */
int unloaded(Call &call, Object **object, std::string *name) {
  *object = call.handle<Object>(0);
  if (*object == nullptr)
    return -EBADF;
  if (!call.string(1, kMaxName, name))
    return -EINVAL;
  return (*object)->tried ? -EBUSY : 0;
}

int mapOf(Call &call, Object **object, bpf_map **map) {
  std::string name;
  const int err = unloaded(call, object, &name);
  if (err < 0)
    return err;
  *map = bpf_object__find_map_by_name((*object)->object, name.c_str());
  if (*map == nullptr)
    return -ENOENT;
  // libbpf has mapped these into memory, and unmaps by the size that they have then (1.1).
  return bpf_map__is_internal(*map) ? -EINVAL : 0;
}

/** objectSetMax(object, map, maxEntries). */
int64_t objectSetMax(Call &call) {
  Object *object;
  bpf_map *map;
  uint32_t max;
  const int err = mapOf(call, &object, &map);
  if (err < 0)
    return err;
  if (!call.integer(2, 1, UINT32_MAX, &max))
    return -EINVAL;
  return bpf_map__set_max_entries(map, max);
}

/** objectSetInner(object, map, maxEntries): size of the inner arrays of a map of maps. Once a map. */
int64_t objectSetInner(Call &call) {
  Object *object;
  bpf_map *map;
  const int err = mapOf(call, &object, &map);
  if (err < 0)
    return err;
  Object::Pattern *pattern = object->patternOf(bpf_map__name(map));
  if (pattern == nullptr || pattern->fd)
    return -EINVAL;
  Inner inner = pattern->inner;
  if (!call.integer(2, 1, 1 << 24, &inner.maxEntries))
    return -EINVAL;
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = inner.flags);
  Fd fd(bpf_map_create(static_cast<bpf_map_type>(inner.type), nullptr, inner.keySize, inner.valueSize, inner.maxEntries,
                       &options));
  if (!fd)
    return -errno;
  const int set = bpf_map__set_inner_map_fd(map, fd.get());
  if (set < 0)
    return set;
  pattern->inner = inner;
  pattern->fd = std::move(fd);
  return 0;
}

/** objectSetConstant(object, variable, bytes): a `const volatile` variable of .rodata, whole. */
int64_t objectSetConstant(Call &call) {
  Object *object;
  std::string name;
  Bytes bytes;
  const int err = unloaded(call, &object, &name);
  if (err < 0)
    return err;
  if (!call.bytes(2, &bytes))
    return -EINVAL;
  const btf *types = bpf_object__btf(object->object);
  if (types == nullptr)
    return -ENOENT;
  const int section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (section < 0)
    return -ENOENT;
  bpf_map *map;
  bpf_object__for_each_map(map, object->object) {
    const char *mapName = bpf_map__name(map);
    const char *dot = mapName == nullptr ? nullptr : strrchr(mapName, '.');
    if (!bpf_map__is_internal(map) || dot == nullptr || strcmp(dot, ".rodata") != 0)
      continue;
    size_t size = 0;
    auto *value = static_cast<uint8_t *>(const_cast<void *>(bpf_map__initial_value(map, &size)));
    if (value == nullptr)
      return -ENOENT;
    const btf_type *type = btf__type_by_id(types, static_cast<uint32_t>(section));
    const btf_var_secinfo *variable = btf_var_secinfos(type);
    for (int at = 0; at < btf_vlen(type); at++, variable++) {
      const btf_type *var = btf__type_by_id(types, variable->type);
      const char *is = var == nullptr ? nullptr : btf__name_by_offset(types, var->name_off);
      if (is == nullptr || name != is)
        continue;
      if (bytes.size != variable->size || variable->offset > size || size - variable->offset < bytes.size)
        return -EINVAL;
      memcpy(value + variable->offset, bytes.data, bytes.size);
      return 0;
    }
  }
  return -ENOENT;
}

/** objectReuse(object, map, handle): the object uses that map instead of making its own; -EINVAL when it differs. */
int64_t objectReuse(Call &call) {
  Object *object;
  bpf_map *map;
  const int err = mapOf(call, &object, &map);
  if (err < 0)
    return err;
  const Map *other = call.handle<Map>(2);
  if (other == nullptr)
    return -EBADF;
  const Inner wanted = describe(map);
  if (wanted.type != other->type || wanted.keySize != other->keySize || wanted.valueSize != other->valueSize ||
      wanted.maxEntries != other->maxEntries || wanted.flags != other->flags)
    return -EINVAL;
  return bpf_map__reuse_fd(map, other->fd.get());
}

/** objectProgram{Autoload,AttachType}: see below. */
int programOf(Call &call, Object **object, bpf_program **program) {
  std::string name;
  const int err = unloaded(call, object, &name);
  if (err < 0)
    return err;
  *program = bpf_object__find_program_by_name((*object)->object, name.c_str());
  return *program == nullptr ? -ENOENT : 0;
}

/** objectAutoload(object, program, on): whether load takes it along. */
int64_t objectAutoload(Call &call) {
  Object *object;
  bpf_program *program;
  bool on;
  const int err = programOf(call, &object, &program);
  if (err < 0)
    return err;
  return call.boolean(2, &on) ? bpf_program__set_autoload(program, on) : -EINVAL;
}

/** objectAttachType(object, program, type): the attach type to load it for (tcx: 46 ingress, 47 egress). */
int64_t objectAttachType(Call &call) {
  Object *object;
  bpf_program *program;
  uint32_t type;
  const int err = programOf(call, &object, &program);
  if (err < 0)
    return err;
  return call.integer(2, 0, 1023, &type)
             ? bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(type))
             : -EINVAL;
}

/** objectLoad(object): maps and programs into the kernel; once. On failure lastLog() has the verifier's whole log. */
int64_t objectLoad(Call &call) {
  Object *object = call.handle<Object>(0);
  if (object == nullptr)
    return -EBADF;
  if (object->tried)
    return -EBUSY;
  object->tried = true;
  Listening listening(call.instance->log, object->logLevel != 0);
  const int err = bpf_object__load(object->object);
  object->loaded = err == 0;
  return err;
}

/** objectMap(object, name): a handle of a map of a loaded object. */
int64_t objectMap(Call &call) {
  Object *object = call.handle<Object>(0);
  std::string name;
  if (object == nullptr)
    return -EBADF;
  if (!call.string(1, kMaxName, &name))
    return -EINVAL;
  if (!object->loaded)
    return -EBUSY;
  const bpf_map *map = bpf_object__find_map_by_name(object->object, name.c_str());
  if (map == nullptr)
    return -ENOENT;
  const Object::Pattern *pattern = object->patternOf(name);
  const int fd = bpf_map__fd(map);
  if (fd < 0)
    return -ENOENT;
  const int copy = duplicate(fd);
  return copy < 0 ? copy : addMap(*call.instance, Fd(copy), pattern == nullptr ? nullptr : &pattern->inner);
}

/** objectProgram(object, name): a handle of a program of a loaded object. */
int64_t objectProgram(Call &call) {
  const Object *object = call.handle<Object>(0);
  std::string name;
  if (object == nullptr)
    return -EBADF;
  if (!call.string(1, kMaxName, &name))
    return -EINVAL;
  if (!object->loaded)
    return -EBUSY;
  const bpf_program *program = bpf_object__find_program_by_name(object->object, name.c_str());
  const int fd = program == nullptr ? -ENOENT : bpf_program__fd(program);
  if (fd < 0)
    return -ENOENT;
  const int copy = duplicate(fd);
  return copy < 0 ? copy : addProgram(*call.instance, Fd(copy));
}

} // namespace

void registerObject(Napi::Env env, Napi::Object exports, Instance *instance) {
  listenToLibbpf();
  add(env, exports, instance, "objectOpen", entry<objectOpen>);
  add(env, exports, instance, "lastLog", entry<lastLog>);
  add(env, exports, instance, "objectNames", entry<objectNames>);
  add(env, exports, instance, "objectSetMax", entry<objectSetMax>);
  add(env, exports, instance, "objectSetInner", entry<objectSetInner>);
  add(env, exports, instance, "objectSetConstant", entry<objectSetConstant>);
  add(env, exports, instance, "objectReuse", entry<objectReuse>);
  add(env, exports, instance, "objectAutoload", entry<objectAutoload>);
  add(env, exports, instance, "objectAttachType", entry<objectAttachType>);
  add(env, exports, instance, "objectLoad", entry<objectLoad>);
  add(env, exports, instance, "objectMap", entry<objectMap>);
  add(env, exports, instance, "objectProgram", entry<objectProgram>);
}

} // namespace weir
