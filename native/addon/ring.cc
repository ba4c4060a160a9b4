// SPDX-License-Identifier: Apache-2.0
// Reads a BPF ring buffer from its memory, and tells JavaScript when there is something to read.
// Input: a map of that kind. Output: records, each a u32 length and its bytes, padded to 4. Invariant: records are
// taken by the JavaScript thread alone; the watching thread only waits and knocks, and is gone before its environment
// is.
#include "call.h"
#include "map.h"
#include <atomic>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <thread>

namespace weir {
namespace {

constexpr uint64_t kRecordHeader = 8;

/** Waits on a thread of its own for a ring to fill, and calls a function in the thread of its environment. */
class Watcher : public std::enable_shared_from_this<Watcher> {
public:
  ~Watcher() { stop(); }

  /** 0 or -errno. */
  int start(napi_env env, napi_value callback, int ringFd, bool keepAlive) {
    env_ = env;
    const int copy = duplicate(ringFd);
    if (copy < 0)
      return copy;
    ring_ = Fd(copy);
    wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    if (!wake_ || !epoll_)
      return -errno;
    epoll_event woken{};
    woken.events = EPOLLIN;
    woken.data.u32 = 1;
    epoll_event readable{};
    readable.events = EPOLLIN | EPOLLONESHOT;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &woken) < 0 ||
        epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, ring_.get(), &readable) < 0)
      return -errno;
    napi_value name;
    if (napi_create_string_utf8(env, "weir:ring", NAPI_AUTO_LENGTH, &name) != napi_ok)
      return -EIO;
    auto *self = new std::shared_ptr<Watcher>(shared_from_this());
    if (napi_create_threadsafe_function(env, callback, nullptr, name, 0, 1, self, finalize, self, knock, &function_) !=
        napi_ok) {
      delete self;
      return -EIO;
    }
    if (!keepAlive)
      napi_unref_threadsafe_function(env, function_);
    // Hooks run last in, first out: the thread is joined before Node lets go of the function that it calls.
    if (napi_add_env_cleanup_hook(env, cleanup, this) == napi_ok)
      hooked_ = true;
    active_ = true;
    try {
      thread_ = std::thread([this] { wait(); });
    } catch (...) {
      stop();
      return -EAGAIN;
    }
    return 0;
  }

  /** Ends the thread; no call begins after this. Idempotent. */
  void stop() noexcept {
    if (!active_)
      return;
    active_ = false;
    stopping_ = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
    if (thread_.joinable())
      thread_.join();
    if (hooked_)
      napi_remove_env_cleanup_hook(env_, cleanup, this);
    hooked_ = false;
    napi_release_threadsafe_function(function_, napi_tsfn_abort);
  }

private:
  /** The thread. */
  void wait() noexcept {
    for (;;) {
      epoll_event event{};
      const int count = epoll_wait(epoll_.get(), &event, 1, -1);
      if (stopping_ || (count < 0 && errno != EINTR))
        return;
      if (count == 1 && event.data.u32 == 0 &&
          napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking) == napi_closing)
        return;
    }
  }

  static void knock(napi_env env, napi_value callback, void *context, void *) {
    // Node empties the queue without an environment, after it has finalised the context.
    if (env == nullptr || callback == nullptr)
      return;
    // Held, since the callback may stop the watcher.
    const std::shared_ptr<Watcher> self = *static_cast<std::shared_ptr<Watcher> *>(context);
    if (!self->active_)
      return;
    napi_value undefined;
    if (napi_get_undefined(env, &undefined) == napi_ok)
      napi_call_function(env, undefined, callback, 0, nullptr, nullptr);
    bool thrown = false;
    napi_value error;
    // What it throws is an uncaught exception of the process, as from a timer.
    if (napi_is_exception_pending(env, &thrown) == napi_ok && thrown &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
      napi_fatal_exception(env, error);
    if (!self->active_)
      return;
    epoll_event readable{};
    readable.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(self->epoll_.get(), EPOLL_CTL_MOD, self->ring_.get(), &readable);
  }

  static void finalize(napi_env, void *data, void *) { delete static_cast<std::shared_ptr<Watcher> *>(data); }
  static void cleanup(void *self) {
    auto *watcher = static_cast<Watcher *>(self);
    watcher->hooked_ = false;
    watcher->stop();
  }

  napi_env env_ = nullptr;
  napi_threadsafe_function function_ = nullptr;
  Fd ring_, wake_, epoll_;
  std::thread thread_;
  /** Touched by the JavaScript thread alone. */
  bool active_ = false;
  bool hooked_ = false;
  std::atomic<bool> stopping_{false};
};

class Ring final : public Handle {
public:
  static constexpr Kind kKind = Kind::Ring;
  Ring() : Handle(kKind) {}
  ~Ring() override {
    if (watcher)
      watcher->stop();
    if (consumer != MAP_FAILED)
      munmap(consumer, page);
    if (producer != MAP_FAILED)
      munmap(producer, page + 2 * size);
  }
  Fd fd;
  size_t page = 0;
  size_t size = 0;
  /** One page: how far we have read. */
  void *consumer = MAP_FAILED;
  /** One page: how far the kernel has written; then the data, twice in a row. */
  void *producer = MAP_FAILED;
  std::shared_ptr<Watcher> watcher;
};

/** ringOpen(map): a handle for reading. The map may be closed. */
int64_t ringOpen(Call &call) {
  const Map *map = call.handle<Map>(0);
  if (map == nullptr)
    return -EBADF;
  if (map->type != BPF_MAP_TYPE_RINGBUF)
    return -EINVAL;
  auto ring = std::make_unique<Ring>();
  const int fd = duplicate(map->fd.get());
  if (fd < 0)
    return fd;
  ring->fd = Fd(fd);
  ring->page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  ring->size = map->maxEntries;
  ring->consumer = mmap(nullptr, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ring->consumer == MAP_FAILED)
    return -errno;
  ring->producer =
      mmap(nullptr, ring->page + 2 * ring->size, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(ring->page));
  if (ring->producer == MAP_FAILED)
    return -errno;
  return call.instance->handles.add(std::move(ring));
}

/**
 * ringConsume(ring, out): moves records to `out` until it is full or there are none; bytes written. -ENOSPC when the
 * next record alone does not fit, -EIO when the ring's memory makes no sense.
 */
int64_t ringConsume(Call &call) {
  Ring *ring = call.handle<Ring>(0);
  Bytes out;
  if (ring == nullptr)
    return -EBADF;
  if (!call.bytes(1, &out))
    return -EINVAL;
  auto *consumed = static_cast<uint64_t *>(ring->consumer);
  const auto *produced = static_cast<const uint64_t *>(ring->producer);
  const auto *data = static_cast<const uint8_t *>(ring->producer) + ring->page;
  size_t written = 0;
  uint64_t at = __atomic_load_n(consumed, __ATOMIC_ACQUIRE);
  while (at < __atomic_load_n(produced, __ATOMIC_ACQUIRE)) {
    const uint8_t *record = data + (at & (ring->size - 1));
    const uint32_t header = __atomic_load_n(reinterpret_cast<const uint32_t *>(record), __ATOMIC_ACQUIRE);
    if ((header & BPF_RINGBUF_BUSY_BIT) != 0)
      break;
    const uint64_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    if (length + kRecordHeader > ring->size || (at & 7) != 0)
      return -EIO;
    if ((header & BPF_RINGBUF_DISCARD_BIT) == 0) {
      const size_t padded = (length + 3) & ~size_t{3};
      if (out.size - written < padded + 4) {
        if (written == 0)
          return -ENOSPC;
        break;
      }
      const uint32_t size = static_cast<uint32_t>(length);
      memcpy(out.data + written, &size, 4);
      memcpy(out.data + written + 4, record + kRecordHeader, length);
      memset(out.data + written + 4 + length, 0, padded - length);
      written += padded + 4;
    }
    at += (length + kRecordHeader + 7) & ~uint64_t{7};
    __atomic_store_n(consumed, at, __ATOMIC_RELEASE);
  }
  return static_cast<int64_t>(written);
}

/**
 * ringWatch(ring, callback, keepAlive): calls back, from the event loop, when there is something to consume; the
 * callback must consume all of it, or is called again. `keepAlive`: whether the process waits for it. -EALREADY: is
 * watched.
 */
int64_t ringWatch(Call &call) {
  Ring *ring = call.handle<Ring>(0);
  bool keepAlive;
  if (ring == nullptr)
    return -EBADF;
  if (!call.function(1) || !call.boolean(2, &keepAlive))
    return -EINVAL;
  if (ring->watcher)
    return -EALREADY;
  auto watcher = std::make_shared<Watcher>();
  const int err = watcher->start(call.env, call.raw(1), ring->fd.get(), keepAlive);
  if (err == 0)
    ring->watcher = std::move(watcher);
  return err;
}

/** ringUnwatch(ring): no callback begins after this. */
int64_t ringUnwatch(Call &call) {
  Ring *ring = call.handle<Ring>(0);
  if (ring == nullptr)
    return -EBADF;
  if (ring->watcher)
    ring->watcher->stop();
  ring->watcher.reset();
  return 0;
}

} // namespace

void registerRing(Napi::Env env, Napi::Object exports, Instance *instance) {
  add(env, exports, instance, "ringOpen", entry<ringOpen>);
  add(env, exports, instance, "ringConsume", entry<ringConsume>);
  add(env, exports, instance, "ringWatch", entry<ringWatch>);
  add(env, exports, instance, "ringUnwatch", entry<ringUnwatch>);
}

} // namespace weir
