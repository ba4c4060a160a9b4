// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces: XDP and tcx links, and tc's older clsact filters where a kernel has no tcx.
// Input: a program, an interface number, perhaps the path of a network namespace. Output: a link's handle or -errno.
// Invariant: closing the last descriptor of a link takes the program off; a filter's handle does the same when it is
// closed.
#include "call.h"
#include "filter.h"
#include "program.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <thread>

namespace weir {
namespace {

// Of Linux 6.6; headers of Debian 12 do not have them.
constexpr uint32_t kTcxIngress = 46;
constexpr uint32_t kTcxEgress = 47;

/** A network namespace by its path; empty path: no descriptor, which stands for this one. 0 or -errno. */
int openSpace(const std::string &path, Fd *out) {
  if (path.empty())
    return 0;
  // Not opened before it is known to be one: opening a pipe would wait, and opening a device may do anything.
  const Fd place(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct statfs info {};
  if (!place || fstatfs(place.get(), &info) < 0)
    return -errno;
  if (static_cast<uint32_t>(info.f_type) != NSFS_MAGIC)
    return -EINVAL;
  *out = Fd(open(("/proc/self/fd/" + std::to_string(place.get())).c_str(), O_RDONLY | O_CLOEXEC));
  return *out ? 0 : -errno;
}

/** Runs a body in another network namespace, on a thread of its own: this one never moves. No descriptor: here. */
template <typename Body> int inNamespace(const Fd &space, Body body) {
  if (!space)
    return body();
  int result = -EIO;
  std::thread other([&] {
    // Nothing may be thrown out of a thread.
    try {
      result = setns(space.get(), CLONE_NEWNET) < 0 ? -errno : body();
    } catch (...) {
      result = -ENOMEM;
    }
  });
  other.join();
  return result;
}

int removeFilter(int ifindex, bpf_tc_attach_point point, uint32_t handle, uint32_t priority) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = priority);
  return bpf_tc_detach(&hook, &options);
}

/** Number and name of a program. */
int identify(int program, uint32_t *id, std::string *name) {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  const int err = bpf_obj_get_info_by_fd(program, &info, &size);
  if (err < 0)
    return err;
  *id = info.id;
  *name = std::string(info.name, strnlen(info.name, sizeof info.name));
  return 0;
}

class Link final : public Handle {
public:
  static constexpr Kind kKind = Kind::Link;
  Link() : Handle(kKind) {}
  ~Link() override { detach(); }

  /** Of a filter: takes it off, unless another has been put in its place. */
  int detach() noexcept {
    if (!filter)
      return 0; // the descriptor does it
    filter = false;
    try {
      return inNamespace(space, [&]() -> int {
        std::vector<Filter> there;
        const int err = listFilters(ifindex, point == BPF_TC_EGRESS, &there);
        if (err < 0)
          return err;
        for (const Filter &one : there)
          if (one.handle == filterHandle && one.priority == priority && one.programId == programId)
            return removeFilter(ifindex, point, one.handle, one.priority);
        return -ENOENT;
      });
    } catch (...) {
      return -ENOMEM;
    }
  }

  Fd fd;
  /** Whether this is a clsact filter, which has no descriptor. */
  bool filter = false;
  int ifindex = 0;
  bpf_tc_attach_point point = BPF_TC_INGRESS;
  uint32_t filterHandle = 0;
  uint32_t priority = 0;
  uint32_t programId = 0;
  /** Of a filter: the namespace it is in. Its path may lead to another one by the time it is taken off. */
  Fd space;
};

int createLink(int program, int ifindex, uint32_t attachType, uint32_t flags) {
  // Not libbpf's call: the one of Debian 12 does not know tcx.
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.link_create.prog_fd = static_cast<uint32_t>(program);
  attributes.link_create.target_fd = static_cast<uint32_t>(ifindex);
  attributes.link_create.attach_type = attachType;
  attributes.link_create.flags = flags;
  const long fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attributes, sizeof attributes);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

struct Target {
  const Program *program = nullptr;
  int ifindex = 0;
  std::string space;
};

/** Arguments 0 and 1, and the namespace in argument 3. */
int target(Call &call, Target *out) {
  out->program = call.handle<Program>(0);
  if (out->program == nullptr)
    return -EBADF;
  if (!call.integer(1, 1, INT32_MAX, &out->ifindex) || (!call.absent(3) && !call.string(3, PATH_MAX, &out->space)))
    return -EINVAL;
  return 0;
}

int64_t linkOf(Call &call, const Target &on, uint32_t attachType, uint32_t flags) {
  auto link = std::make_unique<Link>();
  const int program = on.program->fd.get();
  Fd space;
  const int err = openSpace(on.space, &space);
  if (err < 0)
    return err;
  const int fd = inNamespace(space, [&] { return createLink(program, on.ifindex, attachType, flags); });
  if (fd < 0)
    return fd;
  link->fd = Fd(fd);
  link->ifindex = on.ifindex;
  return call.instance->handles.add(std::move(link));
}

/** linkXdp(program, ifindex, mode, netns): mode 0 = as the driver can, 1 = native, 2 = generic. */
int64_t linkXdp(Call &call) {
  Target on;
  uint32_t mode;
  const int err = target(call, &on);
  if (err < 0)
    return err;
  if (!call.integer(2, 0, 2, &mode))
    return -EINVAL;
  const uint32_t flags[] = {0, XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
  return linkOf(call, on, BPF_XDP, flags[mode]);
}

/** linkTcx(program, ifindex, egress, netns): behind the programs that are there; -EINVAL on kernels before 6.6. */
int64_t linkTcx(Call &call) {
  Target on;
  bool egress;
  const int err = target(call, &on);
  if (err < 0)
    return err;
  if (!call.boolean(2, &egress))
    return -EINVAL;
  return linkOf(call, on, egress ? kTcxEgress : kTcxIngress, 0);
}

/**
 * linkClsact(program, ifindex, egress, netns): a direct-action filter; makes the clsact qdisc when there is none.
 * Filters of a datapath's program of that name, which a process that was killed has left, or one that runs, go when it
 * is there.
 */
int64_t linkClsact(Call &call) {
  Target on;
  bool egress;
  const int err = target(call, &on);
  if (err < 0)
    return err;
  if (!call.boolean(2, &egress))
    return -EINVAL;
  auto link = std::make_unique<Link>();
  link->ifindex = on.ifindex;
  link->point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
  std::string name;
  int known = openSpace(on.space, &link->space);
  if (known == 0)
    known = identify(on.program->fd.get(), &link->programId, &name);
  if (known < 0)
    return known;
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = on.ifindex, .attach_point = link->point);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = on.program->fd.get());
  const int attached = inNamespace(link->space, [&]() -> int {
    const int made = bpf_tc_hook_create(&hook);
    if (made < 0 && made != -EEXIST)
      return made;
    const int err = bpf_tc_attach(&hook, &options);
    std::vector<Filter> there;
    if (err < 0 || !isOurs(name) || listFilters(on.ifindex, egress, &there) < 0)
      return err;
    for (const Filter &one : there)
      if (one.program() == name && (one.handle != options.handle || one.priority != options.priority))
        removeFilter(on.ifindex, link->point, one.handle, one.priority);
    return 0;
  });
  if (attached < 0)
    return attached;
  link->filter = true;
  link->filterHandle = options.handle;
  link->priority = options.priority;
  return call.instance->handles.add(std::move(link));
}

/** linkUpdate(link, program): puts another program in place, with no packet in between that meets none. */
int64_t linkUpdate(Call &call) {
  Link *link = call.handle<Link>(0);
  const Program *program = call.handle<Program>(1);
  if (link == nullptr || program == nullptr)
    return -EBADF;
  if (!link->filter)
    return link->fd ? bpf_link_update(link->fd.get(), program->fd.get(), nullptr) : -EBADF;
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex, .attach_point = link->point);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program->fd.get(), .flags = BPF_TC_F_REPLACE,
              .handle = link->filterHandle, .priority = link->priority);
  uint32_t id;
  std::string name;
  int err = identify(program->fd.get(), &id, &name);
  if (err == 0)
    err = inNamespace(link->space, [&] { return bpf_tc_attach(&hook, &options); });
  if (err == 0)
    link->programId = id;
  return err;
}

/** linkDetach(link): takes the program off, also a pinned link's. */
int64_t linkDetach(Call &call) {
  Link *link = call.handle<Link>(0);
  if (link == nullptr)
    return -EBADF;
  return link->fd ? bpf_link_detach(link->fd.get()) : link->detach();
}

/** linkPin(link, path); -EOPNOTSUPP for a filter, which has nothing to pin. */
int64_t linkPin(Call &call) {
  const Link *link = call.handle<Link>(0);
  std::string path;
  if (link == nullptr)
    return -EBADF;
  if (!call.string(1, PATH_MAX, &path))
    return -EINVAL;
  return link->fd ? bpf_obj_pin(link->fd.get(), path.c_str()) : -EOPNOTSUPP;
}

/** linkOpen(path): a handle of a pinned link. */
int64_t linkOpen(Call &call) {
  std::string path;
  if (!call.string(0, PATH_MAX, &path))
    return -EINVAL;
  auto link = std::make_unique<Link>();
  link->fd = Fd(bpf_obj_get(path.c_str()));
  if (!link->fd)
    return -errno;
  // Kernels write the name both ways.
  if (!fdIs(link->fd.get(), "bpf_link") && !fdIs(link->fd.get(), "bpf-link"))
    return -EINVAL;
  return call.instance->handles.add(std::move(link));
}

/** linkInfo(link, words): link id, program id, kind (0 filter, else BPF_LINK_TYPE_*), interface. Interface 0: it is
 * gone. */
int64_t linkInfo(Call &call) {
  const Link *link = call.handle<Link>(0);
  Bytes out;
  if (link == nullptr)
    return -EBADF;
  if (!call.words(1, &out) || out.size < 4)
    return -EINVAL;
  uint32_t words[4] = {0, 0, 0, static_cast<uint32_t>(link->ifindex)};
  if (link->fd) {
    bpf_link_info info{};
    uint32_t size = sizeof info;
    const int err = bpf_obj_get_info_by_fd(link->fd.get(), &info, &size);
    if (err < 0)
      return err;
    words[0] = info.id;
    words[1] = info.prog_id;
    words[2] = info.type;
    words[3] = info.xdp.ifindex; // at the same place for tcx
  }
  memcpy(out.data, words, sizeof words);
  return 0;
}

/** interfaceIndex(name, netns): the number of an interface. */
int64_t interfaceIndex(Call &call) {
  std::string name, space;
  if (!call.string(0, IFNAMSIZ - 1, &name) || (!call.absent(1) && !call.string(1, PATH_MAX, &space)))
    return -EINVAL;
  Fd there;
  const int err = openSpace(space, &there);
  if (err < 0)
    return err;
  return inNamespace(there, [&]() -> int {
    const unsigned index = if_nametoindex(name.c_str());
    return index == 0 ? -errno : static_cast<int>(index);
  });
}

/**
 * tcFilters(netns): the datapath's clsact filters in a network namespace, a line each: interface, "ingress" or
 * "egress", priority, handle, program id, program; or -errno.
 */
napi_value tcFilters(Call &call) {
  std::string path, text;
  if (!call.absent(0) && !call.string(0, PATH_MAX, &path))
    return call.number(-EINVAL);
  Fd space;
  int err = openSpace(path, &space);
  if (err == 0)
    err = inNamespace(space, [&]() -> int {
      struct if_nameindex *all = if_nameindex();
      if (all == nullptr)
        return -errno;
      int failed = 0;
      for (const struct if_nameindex *one = all; one->if_index != 0 && failed == 0; one++) {
        for (const bool egress : {false, true}) {
          std::vector<Filter> there;
          failed = listFilters(static_cast<int>(one->if_index), egress, &there);
          for (const Filter &filter : there)
            if (isOurs(filter.program()))
              text += std::string(one->if_name) + (egress ? " egress " : " ingress ") +
                      std::to_string(filter.priority) + " " + std::to_string(filter.handle) + " " +
                      std::to_string(filter.programId) + " " + filter.program() + "\n";
        }
      }
      if_freenameindex(all);
      return failed;
    });
  return err < 0 ? call.number(err) : call.text(text);
}

} // namespace

void registerLink(Napi::Env env, Napi::Object exports, Instance *instance) {
  add(env, exports, instance, "linkXdp", entry<linkXdp>);
  add(env, exports, instance, "linkTcx", entry<linkTcx>);
  add(env, exports, instance, "linkClsact", entry<linkClsact>);
  add(env, exports, instance, "linkUpdate", entry<linkUpdate>);
  add(env, exports, instance, "linkDetach", entry<linkDetach>);
  add(env, exports, instance, "linkPin", entry<linkPin>);
  add(env, exports, instance, "linkOpen", entry<linkOpen>);
  add(env, exports, instance, "linkInfo", entry<linkInfo>);
  add(env, exports, instance, "interfaceIndex", entry<interfaceIndex>);
  add(env, exports, instance, "tcFilters", entry<tcFilters>);
}

} // namespace weir
