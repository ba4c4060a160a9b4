// SPDX-License-Identifier: Apache-2.0
// One call from JavaScript: its arguments, checked, and its answer. Every export is a body wrapped by `entry`.
// Input: numbers, Uint8Arrays, Int32Arrays, strings; nothing is converted and no property is read, so that no
// JavaScript runs while a call is under way. Output: a number. Invariant: no exception leaves; a wrong argument is
// -EINVAL.
#pragma once
#include "handle.h"
#include <cerrno>
#include <climits>
#include <cstring>
#include <napi.h>

namespace weir {

/** Memory of a typed array, valid during the call. */
struct Bytes {
  uint8_t *data = nullptr;
  size_t size = 0;
};

class Call {
public:
  static constexpr size_t kMaxArguments = 10;

  Call(napi_env env, napi_callback_info info) : env(env) {
    size_t count = kMaxArguments;
    void *data = nullptr;
    // Arguments that were not given are filled in as undefined.
    if (napi_get_cb_info(env, info, &count, arguments_, nullptr, &data) == napi_ok)
      instance = static_cast<Instance *>(data);
  }

  const napi_env env;
  Instance *instance = nullptr;

  napi_value raw(size_t at) const { return arguments_[at]; }

  /** An integer between two bounds, both included. */
  template <typename T> bool integer(size_t at, int64_t least, int64_t most, T *out) const {
    double value;
    if (napi_get_value_double(env, arguments_[at], &value) != napi_ok)
      return false;
    if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)))
      return false;
    const int64_t whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) != value)
      return false;
    *out = static_cast<T>(whole);
    return true;
  }
  bool u32(size_t at, uint32_t *out) const { return integer(at, 0, UINT32_MAX, out); }

  /** The open handle of kind T::kKind with that number. */
  template <typename T> T *handle(size_t at) const {
    int64_t number;
    if (!integer(at, 1, kMaxSafe, &number))
      return nullptr;
    return static_cast<T *>(instance->handles.find(number, T::kKind));
  }

  /** A Uint8Array (or Buffer). A detached one has no bytes. */
  bool bytes(size_t at, Bytes *out) const { return typed(at, napi_uint8_array, 1, out); }
  /** An Int32Array; `size` counts its words. */
  bool words(size_t at, Bytes *out) const { return typed(at, napi_int32_array, 4, out); }
  /** undefined or null. */
  bool absent(size_t at) const {
    napi_valuetype type;
    return napi_typeof(env, arguments_[at], &type) == napi_ok && (type == napi_undefined || type == napi_null);
  }
  bool boolean(size_t at, bool *out) const { return napi_get_value_bool(env, arguments_[at], out) == napi_ok; }
  bool function(size_t at) const {
    napi_valuetype type;
    return napi_typeof(env, arguments_[at], &type) == napi_ok && type == napi_function;
  }
  /** A string without zero bytes, at most `most` bytes of UTF-8. */
  bool string(size_t at, size_t most, std::string *out) const {
    size_t length = 0;
    if (napi_get_value_string_utf8(env, arguments_[at], nullptr, 0, &length) != napi_ok || length > most)
      return false;
    out->resize(length + 1);
    if (napi_get_value_string_utf8(env, arguments_[at], &(*out)[0], length + 1, &length) != napi_ok)
      return false;
    out->resize(length);
    return out->find('\0') == std::string::npos;
  }

  napi_value number(int64_t value) const {
    napi_value out = nullptr;
    if (value >= INT32_MIN && value <= INT32_MAX)
      napi_create_int32(env, static_cast<int32_t>(value), &out);
    else
      napi_create_int64(env, value, &out);
    return out;
  }
  napi_value text(const std::string &value) const {
    napi_value out = nullptr;
    napi_create_string_utf8(env, value.data(), value.size(), &out);
    return out;
  }

private:
  static constexpr int64_t kMaxSafe = (int64_t{1} << 53) - 1;

  bool typed(size_t at, napi_typedarray_type wanted, size_t unit, Bytes *out) const {
    bool is = false;
    if (napi_is_typedarray(env, arguments_[at], &is) != napi_ok || !is)
      return false;
    napi_typedarray_type type;
    void *data = nullptr;
    size_t length = 0;
    if (napi_get_typedarray_info(env, arguments_[at], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != wanted)
      return false;
    out->data = length == 0 ? nullptr : static_cast<uint8_t *>(data);
    out->size = length;
    return unit != 0;
  }

  napi_value arguments_[kMaxArguments] = {};
};

/** Body of an export whose answer is a number: 0 or more, or -errno. */
using NumberBody = int64_t (*)(Call &);
/** Body of an export whose answer is something else; nullptr stands for undefined. */
using ValueBody = napi_value (*)(Call &);

template <NumberBody body> napi_value entry(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (call.instance == nullptr)
    return call.number(-EIO);
  try {
    return call.number(body(call));
  } catch (const std::bad_alloc &) {
    return call.number(-ENOMEM);
  } catch (...) {
    return call.number(-EIO);
  }
}

template <ValueBody body> napi_value entry(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (call.instance == nullptr)
    return call.number(-EIO);
  try {
    return body(call);
  } catch (const std::bad_alloc &) {
    return call.number(-ENOMEM);
  } catch (...) {
    return call.number(-EIO);
  }
}

/** Adds one export. */
inline void add(Napi::Env env, Napi::Object exports, Instance *instance, const char *name, napi_callback callback) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, instance, &function) == napi_ok)
    napi_set_named_property(env, exports, name, function);
}

// One function a file, called when the addon is made for an environment.
void registerMap(Napi::Env env, Napi::Object exports, Instance *instance);
void registerMapBatch(Napi::Env env, Napi::Object exports, Instance *instance);
void registerObject(Napi::Env env, Napi::Object exports, Instance *instance);
void registerProgram(Napi::Env env, Napi::Object exports, Instance *instance);
void registerLink(Napi::Env env, Napi::Object exports, Instance *instance);
void registerRing(Napi::Env env, Napi::Object exports, Instance *instance);

} // namespace weir
