// SPDX-License-Identifier: Apache-2.0
// Entry of weir_bpf.node: libbpf for JavaScript. It knows sizes, never fields; every export answers with 0 or more, or
// with -errno, and JavaScript makes errors of them (src/dataplane/xdp). One Instance an environment, so workers may use
// it, too.
#include "call.h"
#include <bpf/libbpf.h>

namespace weir {
namespace {

/** close(handle): 0, also when it was closed before; -EBADF for a number that was never a handle. */
int64_t closeHandle(Call &call) {
  int64_t number;
  return call.integer(0, INT64_MIN / 1024, (int64_t{1} << 53) - 1, &number) ? call.instance->handles.close(number)
                                                                            : -EINVAL;
}

/** openHandles(): how many handles this environment has open. */
int64_t openHandles(Call &call) { return static_cast<int64_t>(call.instance->handles.size()); }

/** libbpfVersion(): as libbpf says it. */
napi_value libbpfVersion(Call &call) { return call.text(libbpf_version_string()); }

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto *instance = new (std::nothrow) Instance();
  if (instance == nullptr)
    return exports;
  env.SetInstanceData(instance); // deleted with the environment
  add(env, exports, instance, "close", entry<closeHandle>);
  add(env, exports, instance, "openHandles", entry<openHandles>);
  add(env, exports, instance, "libbpfVersion", entry<libbpfVersion>);
  registerMap(env, exports, instance);
  registerMapBatch(env, exports, instance);
  registerObject(env, exports, instance);
  registerProgram(env, exports, instance);
  registerLink(env, exports, instance);
  registerRing(env, exports, instance);
  return exports;
}

} // namespace
} // namespace weir

static Napi::Object init(Napi::Env env, Napi::Object exports) { return weir::init(env, exports); }

NODE_API_MODULE(weir_bpf, init)
