// SPDX-License-Identifier: Apache-2.0
// Entry of weir_reference.node, the C++ that benchmarks compare with. A new file registers itself here and in
// registry.h.
#include "registry.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  registerMap(env, exports);
#ifdef __linux__
  registerPipeline(env, exports);
#endif
  return exports;
}

NODE_API_MODULE(weir_reference, init)
