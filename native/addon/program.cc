// SPDX-License-Identifier: Apache-2.0
// Loaded programs: open pinned ones, pin, ask about them, and run them on packets from memory.
// Input: handles, packets, contexts. Output: 0, a handle or -errno; results of a run in an Int32Array.
#include "program.h"
#include "call.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/limits.h>
#include <sched.h>

namespace weir {

int64_t addProgram(Instance &instance, Fd fd) noexcept {
  if (!fdIs(fd.get(), "bpf-prog"))
    return -EINVAL;
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  const int err = bpf_obj_get_info_by_fd(fd.get(), &info, &size);
  if (err < 0)
    return err;
  std::unique_ptr<Program> program(new (std::nothrow) Program(std::move(fd)));
  if (!program)
    return -ENOMEM;
  program->type = info.type;
  return instance.handles.add(std::move(program));
}

namespace {

/** Repeats of one test run: the thread cannot be interrupted meanwhile. */
constexpr uint32_t kMaxRepeat = 10000000;
/** The kernel takes a packet and its fragments; more than this is never right. */
constexpr size_t kMaxPacket = 1u << 20;
/** What a program can put in front of a packet. */
constexpr size_t kMaxGrowth = 4096;

/** programOpen(path): a handle of a pinned program. */
int64_t programOpen(Call &call) {
  std::string path;
  if (!call.string(0, PATH_MAX, &path))
    return -EINVAL;
  const int fd = bpf_obj_get(path.c_str());
  return fd < 0 ? fd : addProgram(*call.instance, Fd(fd));
}

/** programPin(program, path). */
int64_t programPin(Call &call) {
  const Program *program = call.handle<Program>(0);
  std::string path;
  if (program == nullptr)
    return -EBADF;
  if (!call.string(1, PATH_MAX, &path))
    return -EINVAL;
  return bpf_obj_pin(program->fd.get(), path.c_str());
}

/** programInfo(program, words): type, id, instructions that the verifier processed, bytes translated and of machine
 * code, maps. */
int64_t programInfo(Call &call) {
  const Program *program = call.handle<Program>(0);
  Bytes out;
  if (program == nullptr)
    return -EBADF;
  if (!call.words(1, &out) || out.size < 6)
    return -EINVAL;
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  const int err = bpf_obj_get_info_by_fd(program->fd.get(), &info, &size);
  if (err < 0)
    return err;
  const uint32_t words[6] = {info.type,           info.id,        info.verified_insns, info.xlated_prog_len,
                             info.jited_prog_len, info.nr_map_ids};
  memcpy(out.data, words, sizeof words);
  return 0;
}

/** Keeps the thread on one CPU while it lives. */
class OnCpu {
public:
  explicit OnCpu(int cpu) {
    if (cpu < 0)
      return;
    cpu_set_t one;
    CPU_ZERO(&one);
    if (cpu >= CPU_SETSIZE) {
      err = -EINVAL;
      return;
    }
    CPU_SET(static_cast<size_t>(cpu), &one);
    if (sched_getaffinity(0, sizeof before_, &before_) < 0 || sched_setaffinity(0, sizeof one, &one) < 0)
      err = -errno;
    else
      moved_ = true;
  }
  ~OnCpu() {
    if (moved_)
      sched_setaffinity(0, sizeof before_, &before_);
  }
  int err = 0;

private:
  bool moved_ = false;
  cpu_set_t before_;
};

/**
 * programRun(program, data, dataOut, context, contextOut, repeat, cpu, result): BPF_PROG_TEST_RUN. `dataOut`, `context`
 * and `contextOut` may be undefined; cpu -1 = any. result: return value, bytes of the packet after it, bytes of the
 * context after it, nanoseconds a repeat. -ENOSPC when `dataOut` is too short: result[1] says how much there is.
 */
int64_t programRun(Call &call) {
  const Program *program = call.handle<Program>(0);
  Bytes in, out, contextIn, contextOut, result;
  uint32_t repeat;
  int cpu;
  if (program == nullptr)
    return -EBADF;
  if (!call.bytes(1, &in) || (!call.absent(2) && !call.bytes(2, &out)) ||
      (!call.absent(3) && !call.bytes(3, &contextIn)) || (!call.absent(4) && !call.bytes(4, &contextOut)) ||
      !call.integer(5, 1, kMaxRepeat, &repeat) || !call.integer(6, -1, CPU_SETSIZE - 1, &cpu) ||
      !call.words(7, &result) || result.size < 4 || in.size > kMaxPacket || contextIn.size > kMaxPacket)
    return -EINVAL;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = in.data;
  options.data_size_in = static_cast<uint32_t>(in.size);
  options.data_out = out.data;
  options.data_size_out = static_cast<uint32_t>(std::min<size_t>(out.size, UINT32_MAX));
  options.ctx_in = contextIn.data;
  options.ctx_size_in = static_cast<uint32_t>(contextIn.size);
  options.ctx_out = contextOut.data;
  options.ctx_size_out = static_cast<uint32_t>(std::min<size_t>(contextOut.size, UINT32_MAX));
  options.repeat = static_cast<int>(repeat);
  if (program->type == BPF_PROG_TYPE_RAW_TRACEPOINT) {
    // These take no repeat, and are moved to a CPU by the kernel itself.
    options.repeat = 0;
    if (cpu >= 0) {
      options.flags = BPF_F_TEST_RUN_ON_CPU;
      options.cpu = static_cast<uint32_t>(cpu);
    }
    cpu = -1;
  }
  OnCpu onCpu(cpu);
  if (onCpu.err < 0)
    return onCpu.err;
  const int err = bpf_prog_test_run_opts(program->fd.get(), &options);
  if (err == 0 || err == -ENOSPC) {
    const uint32_t words[4] = {options.retval, options.data_size_out, options.ctx_size_out, options.duration};
    memcpy(result.data, words, sizeof words);
  }
  return err;
}

/**
 * programRunInPlace(program, bytes, from, to, other, result, flags): one test run of the packet that lies in `bytes`
 * between two offsets. One that keeps its length is put back there; one of another length is put at the start of
 * `other`, and `bytes` stays as it was. result: return value, length, 1 = it is in `other`. flags: the kernel's
 * BPF_F_TEST_*; may be undefined. -ENOSPC when `other` is too short.
 */
int64_t programRunInPlace(Call &call) {
  const Program *program = call.handle<Program>(0);
  Bytes bytes, other, result;
  size_t from, to;
  uint32_t flags = 0;
  if (program == nullptr)
    return -EBADF;
  if (!call.bytes(1, &bytes) || !call.integer(2, 0, INT32_MAX, &from) || !call.integer(3, 0, INT32_MAX, &to) ||
      !call.bytes(4, &other) || !call.words(5, &result) || result.size < 3 || from > to || to > bytes.size ||
      to - from > kMaxPacket || (!call.absent(6) && !call.u32(6, &flags)))
    return -EINVAL;
  std::vector<uint8_t> &out = call.instance->packet;
  out.resize(kMaxPacket + kMaxGrowth);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = bytes.data + from;
  options.data_size_in = static_cast<uint32_t>(to - from);
  options.data_out = out.data();
  options.data_size_out = static_cast<uint32_t>(out.size());
  options.repeat = 1;
  options.flags = flags;
  const int err = bpf_prog_test_run_opts(program->fd.get(), &options);
  if (err < 0)
    return err;
  const size_t length = options.data_size_out;
  const bool moved = length != to - from;
  if (moved && length > other.size)
    return -ENOSPC;
  memcpy(moved ? other.data : bytes.data + from, out.data(), length);
  const uint32_t words[3] = {options.retval, static_cast<uint32_t>(length), moved ? 1u : 0u};
  memcpy(result.data, words, sizeof words);
  return 0;
}

} // namespace

void registerProgram(Napi::Env env, Napi::Object exports, Instance *instance) {
  add(env, exports, instance, "programOpen", entry<programOpen>);
  add(env, exports, instance, "programPin", entry<programPin>);
  add(env, exports, instance, "programInfo", entry<programInfo>);
  add(env, exports, instance, "programRun", entry<programRun>);
  add(env, exports, instance, "programRunInPlace", entry<programRunInPlace>);
}

} // namespace weir
