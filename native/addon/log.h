// SPDX-License-Identifier: Apache-2.0
// What libbpf prints, caught for the call that made it print. Input: libbpf's callback. Output: text of the calling
// thread. Invariant: outside of a Listening scope nothing is kept, and nothing ever reaches the process's standard
// error.
#pragma once
#include <string>

namespace weir {

/** Collects into `log` what libbpf says on this thread while it lives. Verbose: also what it calls debugging. */
class Listening {
public:
  Listening(std::string &log, bool verbose) noexcept;
  ~Listening();
  Listening(const Listening &) = delete;
  Listening &operator=(const Listening &) = delete;
};

/** Takes libbpf's output over. Once a process is enough. */
void listenToLibbpf() noexcept;

} // namespace weir
