// SPDX-License-Identifier: Apache-2.0
// Exposes map.h: hash4(table, keys, from, count, dependent) and lru4(...), each a loop of lookups that returns a sum.
// Input: an object with the fields of the JavaScript map and its `multipliers`. Output: an int32 sum, equal to
// JavaScript's.
#include "map.h"
#include "registry.h"

namespace {

uint32_t *wordsOf(const Napi::Object &table, const char *name) {
  return reinterpret_cast<uint32_t *>(table.Get(name).As<Napi::Int32Array>().Data());
}

uint32_t numberOf(const Napi::Object &table, const char *name) {
  return table.Get(name).As<Napi::Number>().Uint32Value();
}

template <typename Map> Napi::Value run(const Napi::CallbackInfo &info, const Map &map) {
  const auto keys = info[1].As<Napi::Int32Array>();
  const uint32_t from = info[2].As<Napi::Number>().Uint32Value();
  const uint32_t count = info[3].As<Napi::Number>().Uint32Value();
  const auto *words = reinterpret_cast<const uint32_t *>(keys.Data()) + from * 4;
  const uint32_t sum =
      info[4].ToBoolean() ? weir::sumDependent(map, words, count) : weir::sumIndependent(map, words, count);
  return Napi::Number::New(info.Env(), static_cast<int32_t>(sum));
}

Napi::Value hash4(const Napi::CallbackInfo &info) {
  const auto table = info[0].As<Napi::Object>();
  return run(info, weir::Hash4{wordsOf(table, "words"), wordsOf(table, "multipliers"), numberOf(table, "stride"),
                               numberOf(table, "end"), numberOf(table, "shift")});
}

Napi::Value lru4(const Napi::CallbackInfo &info) {
  const auto table = info[0].As<Napi::Object>();
  const auto index = table.Get("index").As<Napi::Int32Array>();
  return run(info, weir::Lru4{wordsOf(table, "words"), wordsOf(table, "multipliers"),
                              reinterpret_cast<const uint32_t *>(index.Data()),
                              table.Get("state").As<Napi::Uint8Array>().Data(), numberOf(table, "stride"),
                              static_cast<uint32_t>(index.ElementLength()) - 1, numberOf(table, "shift")});
}

/** Where a typed array lies modulo a cache line: tells whether entries are aligned. */
Napi::Value addressModulo64(const Napi::CallbackInfo &info) {
  const auto address = reinterpret_cast<uintptr_t>(info[0].As<Napi::Int32Array>().Data());
  return Napi::Number::New(info.Env(), static_cast<double>(address % 64));
}

} // namespace

void registerMap(Napi::Env env, Napi::Object exports) {
  exports.Set("hash4", Napi::Function::New(env, hash4));
  exports.Set("lru4", Napi::Function::New(env, lru4));
  exports.Set("addressModulo64", Napi::Function::New(env, addressModulo64));
}
