// SPDX-License-Identifier: Apache-2.0
// The table of handles, and what can be told about a file descriptor. See handle.h.
#include "handle.h"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>

namespace weir {

int64_t Handles::add(std::unique_ptr<Handle> handle) noexcept {
  try {
    if (slots_.empty())
      slots_.emplace_back(); // place 0 stays empty: no handle is 0
    uint32_t place;
    if (free_.empty()) {
      if (slots_.size() > kPlaceMask)
        return -EMFILE;
      free_.reserve(slots_.size() + 1); // so that closing never needs memory
      slots_.emplace_back();
      place = static_cast<uint32_t>(slots_.size() - 1);
    } else {
      place = free_.back();
      free_.pop_back();
    }
    Slot &slot = slots_[place];
    slot.handle = std::move(handle);
    open_++;
    return static_cast<int64_t>((slot.generation << kPlaceBits) | place);
  } catch (const std::bad_alloc &) {
    return -ENOMEM;
  }
}

int Handles::close(int64_t number) noexcept {
  const uint64_t place = static_cast<uint64_t>(number) & kPlaceMask;
  if (number <= 0 || place == 0 || place >= slots_.size())
    return -EBADF;
  const uint64_t generation = static_cast<uint64_t>(number) >> kPlaceBits;
  Slot &slot = slots_[place];
  if (generation > slot.generation || (generation == slot.generation && !slot.handle))
    return -EBADF;
  if (generation < slot.generation)
    return 0;
  // Out of the table before it is destroyed, so that nothing met on the way finds half a handle.
  std::unique_ptr<Handle> gone = std::move(slot.handle);
  slot.generation++;
  // JavaScript's exact integers end at 2^53: a place that was used 2^32 times is left unused.
  if (slot.generation < (uint64_t{1} << 32))
    free_.push_back(static_cast<uint32_t>(place));
  open_--;
  return 0;
}

bool fdIs(int fd, const char *what) noexcept {
  char path[40];
  char target[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0)
    return false;
  target[length] = 0;
  return strstr(target, what) != nullptr;
}

int duplicate(int fd) noexcept {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? -errno : copy;
}

} // namespace weir
