// SPDX-License-Identifier: Apache-2.0
// libbpf's print callback is one for the process; the text is kept per thread. See log.h.
#include "log.h"
#include <bpf/libbpf.h>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <new>

namespace weir {
namespace {

/** A verifier's log may have megabytes; what is longer than this is cut at its end. */
constexpr size_t kMaxLog = 64u << 20;
thread_local std::string *current = nullptr;
thread_local bool debugging = false;

int print(libbpf_print_level level, const char *format, va_list arguments) {
  if (current == nullptr || (level == LIBBPF_DEBUG && !debugging))
    return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0 || current->size() + static_cast<size_t>(length) > kMaxLog)
    return 0;
  try {
    const size_t at = current->size();
    current->resize(at + static_cast<size_t>(length) + 1);
    vsnprintf(&(*current)[at], static_cast<size_t>(length) + 1, format, arguments);
    current->resize(at + static_cast<size_t>(length));
  } catch (const std::bad_alloc &) {
    return 0;
  }
  return length;
}

} // namespace

Listening::Listening(std::string &log, bool verbose) noexcept {
  log.clear();
  current = &log;
  debugging = verbose;
}

Listening::~Listening() {
  current = nullptr;
  debugging = false;
}

void listenToLibbpf() noexcept {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(print); });
}

} // namespace weir
