// SPDX-License-Identifier: Apache-2.0
// tc's clsact filters as the kernel lists them. Input: an interface, a direction. Output: direct-action BPF filters.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct Filter {
  uint32_t handle = 0;
  uint32_t priority = 0;
  uint32_t programId = 0;
  /** As tc shows it: libbpf writes "program name:[program id]". */
  std::string name;

  /** The program's name, which the kernel cuts to 15 bytes. */
  std::string program() const { return name.substr(0, name.find(':')); }
};

/** BPF filters of one direction of an interface of this network namespace; 0 or -errno. None where there is no clsact.
 */
int listFilters(int ifindex, bool egress, std::vector<Filter> *out);

/** Whether a program is one of the datapath's, by its name. */
inline bool isOurs(const std::string &program) { return program.rfind("weir_", 0) == 0; }

} // namespace weir
