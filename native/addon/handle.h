// SPDX-License-Identifier: Apache-2.0
// What JavaScript holds of the kernel: numbers for maps, programs, links, objects and rings, one table per environment.
// Input: owned handles. Output: numbers, and handles by number. Invariant: a number is never given out twice, so a
// closed one is told from every open one; whatever is still open when the environment ends is closed then.
#pragma once
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace weir {

/** A file descriptor with an owner. */
class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd &operator=(Fd &&other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

private:
  int fd_ = -1;
};

enum class Kind : uint8_t { Map, Program, Link, Object, Ring };

/** Base of everything that a number stands for. */
class Handle {
public:
  explicit Handle(Kind kind) : kind(kind) {}
  Handle(const Handle &) = delete;
  Handle &operator=(const Handle &) = delete;
  virtual ~Handle() = default;
  const Kind kind;
};

/** Handles by number. A number is generation * 2^20 + place; places are used again, generations are not. */
class Handles {
public:
  /** The number, or -ENOMEM, -EMFILE. Takes the handle over in any case. */
  int64_t add(std::unique_ptr<Handle> handle) noexcept;
  /** 0 for an open handle and for one that was closed before, -EBADF for a number that was never given out. */
  int close(int64_t number) noexcept;
  /** The handle of that number if it is open and of that kind. */
  Handle *find(int64_t number, Kind kind) const noexcept {
    const uint64_t place = static_cast<uint64_t>(number) & kPlaceMask;
    if (number <= 0 || place >= slots_.size())
      return nullptr;
    const Slot &slot = slots_[place];
    if (slot.generation != static_cast<uint64_t>(number) >> kPlaceBits || !slot.handle || slot.handle->kind != kind)
      return nullptr;
    return slot.handle.get();
  }
  size_t size() const noexcept { return open_; }

private:
  static constexpr unsigned kPlaceBits = 20;
  static constexpr uint64_t kPlaceMask = (1u << kPlaceBits) - 1;
  struct Slot {
    std::unique_ptr<Handle> handle;
    uint64_t generation = 0;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  size_t open_ = 0;
};

/** State of one environment: a main thread's or a worker's. Touched by that thread alone. */
struct Instance {
  Handles handles;
  /** What libbpf said during the last call that can be refused by the verifier. */
  std::string log;
  /** 0, 1, 2 …: keys of a whole array. */
  std::vector<uint32_t> indices;
  /** A packet on its way back from a test run. */
  std::vector<uint8_t> packet;
};

/** Where in `/proc/self/fd` the kernel says what a descriptor is: `bpf-map`, `bpf-prog`, `bpf_link`. */
bool fdIs(int fd, const char *what) noexcept;
/** A second descriptor of the same thing, closed on exec; -errno on failure. */
int duplicate(int fd) noexcept;

} // namespace weir
