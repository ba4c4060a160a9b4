// SPDX-License-Identifier: Apache-2.0
// A loaded program as the addon knows it. Input: a descriptor of a program. Output: class Program.
#pragma once
#include "handle.h"

namespace weir {

class Program final : public Handle {
public:
  static constexpr Kind kKind = Kind::Program;
  explicit Program(Fd fd) : Handle(kKind), fd(std::move(fd)) {}
  Fd fd;
  /** BPF_PROG_TYPE_*. */
  uint32_t type = 0;
};

/** Adds a program with the descriptor; its number or -errno. */
int64_t addProgram(Instance &instance, Fd fd) noexcept;

} // namespace weir
