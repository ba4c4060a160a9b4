// SPDX-License-Identifier: Apache-2.0
// The hook from-container (src/datapath/hooks/from-container.ts) in C++: what benchmarks compare the simulator with.
// Input: views of the maps that a JavaScript simulator holds, frames. Output: the same verdicts, decision records,
// events, counters and bytes. It reads the simulator's own memory and keeps connections and events in tables of the
// same layout. Stages have the names of their twins. Written for TCP over IPv4 from a pod that opens connections,
// through ClusterIPs with Maglev tables or straight; whatever else arrives gives kUnsupported, counted, never guessed.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "map.h"
#define _Static_assert static_assert
#include "bpf/layout.gen.h"
#undef _Static_assert

namespace weir {

constexpr int kContinue = -1;
constexpr int kUnsupported = -2;

constexpr uint32_t kSyn = 2;
constexpr uint32_t kAck = 16;
constexpr uint32_t kFinOrRst = 1 | 4;
constexpr uint32_t kTcp = 6;
constexpr uint32_t kIcmp = 1;

// --- Unaligned loads and stores, and the internet checksum (src/wire).
// -------------------------------------------------

template <typename T> T load(const void *at) {
  T value;
  memcpy(&value, at, sizeof value);
  return value;
}
template <typename T> void store(void *at, T value) { memcpy(at, &value, sizeof value); }

inline uint32_t be16(uint32_t raw) { return (raw & 0xff) << 8 | (raw >> 8 & 0xff); }
inline uint32_t halves(uint32_t word) { return (word & 0xffff) + (word >> 16); }
inline uint32_t fold(uint32_t sum) { return halves(halves(sum)); }

/** The checksum at `at` after a field of 16 or 32 bits changed (RFC 1624). */
inline void adjust(uint8_t *at, uint32_t before, uint32_t after, uint32_t mask) {
  const uint32_t check = load<uint16_t>(at);
  store<uint16_t>(at, ~fold((~check & 0xffff) + halves(~before & mask) + halves(after & mask)));
}
inline void adjust16(uint8_t *at, uint32_t before, uint32_t after) { adjust(at, before, after, 0xffff); }
inline void adjust32(uint8_t *at, uint32_t before, uint32_t after) { adjust(at, before, after, 0xffffffff); }

// --- Jenkins' lookup3 (src/datapath/jhash.ts).
// -------------------------------------------------------------------------

inline uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

inline uint32_t jhash3(uint32_t a, uint32_t b, uint32_t c, uint32_t seed) {
  const uint32_t initial = 0xdeadbeef + 12 + seed;
  a += initial, b += initial, c += initial;
  c = (c ^ b) - rotate(b, 14);
  a = (a ^ c) - rotate(c, 11);
  b = (b ^ a) - rotate(a, 25);
  c = (c ^ b) - rotate(b, 16);
  a = (a ^ c) - rotate(c, 4);
  b = (b ^ a) - rotate(a, 14);
  return (c ^ b) - rotate(b, 24);
}

// --- Maps (src/maps), read from the simulator's memory.
// ----------------------------------------------------------------

template <typename... K> inline uint32_t hashOf(const uint32_t *m, K... key) {
  uint32_t sum = 0;
  ((sum += key * m[0] + swap16(key) * m[1], m += 2), ...);
  return (sum ^ sum >> 16) * kMix;
}
template <typename... K> inline bool isKey(const uint32_t *at, K... key) {
  uint32_t difference = 0;
  ((difference |= *at++ ^ key), ...);
  return difference == 0;
}

/** FlatHash: slots [hash | key | value], linear probing. */
struct FlatTable {
  const uint32_t *words;
  const uint32_t *multipliers;
  uint32_t stride;
  uint32_t end;
  uint32_t shift;

  /** The value words of the slot with this hash (never 0) and key, or nullptr. */
  template <typename... K> const uint32_t *probe(uint32_t hash, K... key) const {
    for (uint32_t at = (hash >> shift) * stride;;) {
      const uint32_t *slot = words + at;
      if (slot[0] == hash && isKey(slot + 1, key...))
        return slot + 1 + sizeof...(key);
      if (slot[0] == 0)
        return nullptr;
      at += stride;
      if (at == end)
        at = 0;
    }
  }
};

template <typename Value> struct HashView : FlatTable {
  template <typename... K> const Value *find(K... key) const {
    return reinterpret_cast<const Value *>(probe(hashOf(multipliers, key...) | 1, key...));
  }
};

/** LpmTable: the same slots; the key begins with the prefix length. One probe for each length in use, from the longest.
 */
template <typename Value> struct LpmView : FlatTable {
  const uint32_t *lengths;
  const uint32_t *salts;
  const uint32_t *masks;
  uint32_t present;

  const Value *find(uint32_t w1) const {
    const uint32_t *m = multipliers + 2;
    for (uint32_t i = 0; i < present; i++) {
      const uint32_t k1 = w1 & masks[i];
      const uint32_t sum = salts[i] + k1 * m[0] + swap16(k1) * m[1];
      const uint32_t *value = probe((sum ^ sum >> 16) * kMix | 1, lengths[i], k1);
      if (value)
        return reinterpret_cast<const Value *>(value);
    }
    return nullptr;
  }
  const Value *find(uint32_t w1, uint32_t w2) const {
    const uint32_t *m = multipliers + 2;
    for (uint32_t i = 0; i < present; i++) {
      const uint32_t k1 = w1 & masks[2 * i], k2 = w2 & masks[2 * i + 1];
      const uint32_t sum = salts[i] + k1 * m[0] + swap16(k1) * m[1] + k2 * m[2] + swap16(k2) * m[3];
      const uint32_t *value = probe((sum ^ sum >> 16) * kMix | 1, lengths[i], k1, k2);
      if (value)
        return reinterpret_cast<const Value *>(value);
    }
    return nullptr;
  }
};

/** LruTable, looked at without a mark of use. */
template <typename Value> struct LruView {
  const uint32_t *words;
  const uint32_t *multipliers;
  const uint32_t *index;
  uint32_t stride;
  uint32_t mask;
  uint32_t shift;

  template <typename... K> const Value *peek(K... key) const {
    const uint32_t hash = hashOf(multipliers, key...);
    for (uint32_t slot = hash >> shift;; slot = (slot + 1) & mask) {
      const uint32_t word = index[slot];
      if (word == 0)
        return nullptr;
      if ((word ^ hash << 24) >> 24 != 0)
        continue;
      const uint32_t *at = words + (word & 0xffffff) * stride + kBias;
      if (isKey(at, key...))
        return reinterpret_cast<const Value *>(at + sizeof...(key));
    }
  }
};

/** An LruTable of our own: the same arrays, growth, clock and free list. Keys of four words. */
template <typename Value> class LruTable {
public:
  static constexpr uint32_t kKeyWords = 4;
  static constexpr uint32_t kStride = (kKeyWords + sizeof(Value) / 4 + 3) & ~3u;
  static constexpr uint32_t kEntry = 0xffffff;
  enum State : uint8_t { kFree, kCold, kUsed };

  LruTable(const uint32_t *multipliers, uint32_t maxEntries) : multipliers_(multipliers), maxEntries_(maxEntries) {
    index_.resize(1u << 5);
    resizeEntries(maxEntries < 16 ? maxEntries : 16);
  }

  uint32_t count() const { return count_; }

  Value *find(const uint32_t *key) {
    const uint32_t hash = hashOf(multipliers_, key[0], key[1], key[2], key[3]);
    const uint32_t entry = entryOf(hash, key);
    if (entry == 0)
      return nullptr;
    state_[entry] = kUsed;
    return valueOf(entry);
  }

  /** The value of a new or known entry; a new one is zero throughout. */
  Value *insert(const uint32_t *key, bool &created) {
    const uint32_t hash = hashOf(multipliers_, key[0], key[1], key[2], key[3]);
    uint32_t entry = entryOf(hash, key);
    created = entry == 0;
    if (!created) {
      state_[entry] = kUsed;
      return valueOf(entry);
    }
    entry = allocate(hash);
    memcpy(keyOf(entry), key, kKeyWords * 4);
    memset(valueOf(entry), 0, sizeof(Value));
    return valueOf(entry);
  }

  /** Forgets all entries, keeps the memory. */
  void clear() {
    std::fill(index_.begin(), index_.end(), 0);
    std::fill(state_.begin(), state_.end(), kFree);
    count_ = used_ = free_ = 0;
    hand_ = 1;
  }

private:
  uint32_t *keyOf(uint32_t entry) { return words_.data() + entry * kStride + kBias; }
  Value *valueOf(uint32_t entry) { return reinterpret_cast<Value *>(keyOf(entry) + kKeyWords); }
  uint32_t mask() const { return static_cast<uint32_t>(index_.size()) - 1; }

  uint32_t entryOf(uint32_t hash, const uint32_t *key) {
    const uint32_t *index = index_.data();
    for (uint32_t slot = hash >> shift_;; slot = (slot + 1) & mask()) {
      const uint32_t word = index[slot];
      if (word == 0)
        return 0;
      if ((word ^ hash << 24) >> 24 != 0)
        continue;
      const uint32_t entry = word & kEntry;
      if (isKey(keyOf(entry), key[0], key[1], key[2], key[3]))
        return entry;
    }
  }

  void resizeEntries(uint32_t room) {
    words_.resize((room + 1) * kStride);
    state_.resize(room + 1);
    hashes_.resize(room + 1);
    room_ = room;
  }

  void growIndex() {
    std::vector<uint32_t> grown(index_.size() * 2);
    shift_--;
    const uint32_t mask = static_cast<uint32_t>(grown.size()) - 1;
    for (const uint32_t word : index_) {
      if (word == 0)
        continue;
      uint32_t slot = hashes_[word & kEntry] >> shift_;
      while (grown[slot] != 0)
        slot = (slot + 1) & mask;
      grown[slot] = word;
    }
    index_ = std::move(grown);
  }

  uint32_t allocate(uint32_t hash) {
    if (count_ >= maxEntries_)
      evict();
    else if (free_ == 0 && used_ == room_)
      resizeEntries(room_ * 2 < maxEntries_ ? room_ * 2 : maxEntries_);
    if (count_ * 2 >= index_.size())
      growIndex();
    uint32_t entry = free_;
    if (entry == 0)
      entry = ++used_;
    else
      free_ = hashes_[entry];
    uint32_t slot = hash >> shift_;
    while (index_[slot] != 0)
      slot = (slot + 1) & mask();
    index_[slot] = hash << 24 | entry;
    hashes_[entry] = hash;
    state_[entry] = kCold;
    count_++;
    return entry;
  }

  void evict() {
    for (int steps = 0; steps < 1024 && state_[hand_] == kUsed; steps++) {
      state_[hand_] = kCold;
      hand_ = hand_ == maxEntries_ ? 1 : hand_ + 1;
    }
    const uint32_t victim = hand_;
    hand_ = victim == maxEntries_ ? 1 : victim + 1;
    uint32_t hole = hashes_[victim] >> shift_;
    while ((index_[hole] & kEntry) != victim)
      hole = (hole + 1) & mask();
    for (uint32_t next = (hole + 1) & mask(); index_[next] != 0; next = (next + 1) & mask()) {
      const uint32_t home = hashes_[index_[next] & kEntry] >> shift_;
      if (((next - home) & mask()) < ((next - hole) & mask()))
        continue;
      index_[hole] = index_[next];
      hole = next;
    }
    index_[hole] = 0;
    state_[victim] = kFree;
    hashes_[victim] = free_;
    free_ = victim;
    count_--;
  }

  const uint32_t *multipliers_;
  uint32_t maxEntries_;
  std::vector<uint32_t> words_, index_, hashes_;
  std::vector<uint8_t> state_;
  uint32_t shift_ = 32 - 5, room_ = 0, used_ = 0, free_ = 0, hand_ = 1, count_ = 0;
};

// --- The maps of one simulator.
// ----------------------------------------------------------------------------------------

struct Tables {
  const weir_config *config;
  HashView<weir_service> services;
  const weir_backend4 *backends;
  uint32_t backendsMax;
  const uint32_t *maglevPlaces; ///< by reverse NAT index: place in the pool plus 1, 0 = no table
  uint32_t maglevCount;
  const uint32_t *maglevPool;
  uint32_t maglevWords;
  HashView<weir_endpoint> endpoints;
  LpmView<weir_ipcache> ipcache;
  HashView<weir_policy> policy;
  const weir_policy_meta *policyMeta;
  uint32_t policyMetaMax;
  LpmView<weir_route> routes;
  bool anyRoutes;
  LruView<weir_neighbour> neighbours;
};

/** One packet: a whole frame in memory, the interface it came from, its time. */
struct Frame {
  uint8_t *bytes;
  uint32_t length;
  uint32_t ifindex;
  uint32_t seconds;
  uint32_t nanoseconds;
};

/** Multipliers and bounds of the simulator's three tables of IPv4 connections that this hook uses. */
struct ConnectionSizes {
  const uint32_t *answered, *unanswered, *related;
  uint32_t answeredMax, unansweredMax, relatedMax;
};

// --- The hook.
// ---------------------------------------------------------------------------------------------------------

class Pipeline {
public:
  weir_decision record; ///< of the last run
  uint32_t mark;        ///< meta: what the next hook reads

  Pipeline(const Tables &tables, const ConnectionSizes &sizes)
      : tables_(tables), answered_(sizes.answered, sizes.answeredMax),
        unanswered_(sizes.unanswered, sizes.unansweredMax), related_(sizes.related, sizes.relatedMax),
        events_(WEIR_BOUND_EVENTS), metrics_(1024) {}

  uint32_t connections() const { return answered_.count() + unanswered_.count() + related_.count(); }
  uint64_t events() const { return eventsWritten_; }
  /** Packets and bytes counted under a reason for packets that leave endpoints. */
  const weir_metrics &metrics(uint32_t reason) const { return metrics_[reason * 4 + WEIR_DIRECTION_EGRESS]; }

  /** Forgets all connections, as if nothing had run. */
  void clear() {
    answered_.clear();
    unanswered_.clear();
    related_.clear();
    std::fill(metrics_.begin(), metrics_.end(), weir_metrics{});
    eventsWritten_ = 0;
  }

  /** Runs the hook: a VERDICT, or kUnsupported. */
  int run(const Frame &frame) {
    Context cx{};
    cx.bytes = frame.bytes;
    cx.length = frame.length;
    cx.ifindex = frame.ifindex;
    cx.seconds = frame.seconds;
    cx.nanoseconds = frame.nanoseconds;
    clock_ = frame.seconds > clock_ ? frame.seconds : clock_;
    cx.now = clock_;
    record = weir_decision{};
    record.hook = WEIR_HOOK_FROM_CONTAINER;
    record.ct_status = WEIR_CT_NONE;
    mark = 0;
    const int verdict = fromContainer(cx);
    if (verdict >= 0)
      finish(cx, verdict);
    return verdict;
  }

private:
  using Entry = weir_ct_entry;
  enum class ServiceEntry { kNotAsked, kAnswered, kUnanswered, kAbsent };

  struct Context {
    uint8_t *bytes;
    uint8_t *ip;
    uint8_t *tcp;
    uint32_t length, ifindex, seconds, nanoseconds, now;
    uint32_t source, destination, ports, tcpFlags, l3Length;
    const weir_endpoint *endpoint;
    uint32_t epoch, remoteIdentity;
    const weir_backend4 *backend;
    ServiceEntry serviceEntry;
    Entry *entry;
    bool stale, monitor;
    uint32_t key[4];
  };

  int drop(uint32_t reason, uint32_t stage) {
    record.drop_reason = reason;
    record.stage = stage;
    record.action = WEIR_ACTION_DROP;
    record.out_ifindex = 0;
    return WEIR_VERDICT_DROPPED;
  }
  int forwarded(uint32_t action) {
    record.action = action;
    record.stage = WEIR_STAGE_FORWARD;
    return WEIR_VERDICT_FORWARDED;
  }

  int fromContainer(Context &cx) {
    int verdict = parse(cx);
    if (verdict == kContinue)
      verdict = sender(cx);
    if (verdict == kContinue)
      verdict = service(cx);
    if (verdict == kContinue && cx.backend)
      verdict = translateToBackend(cx);
    if (verdict == kContinue)
      verdict = conntrack(cx);
    if (verdict != kContinue)
      return verdict;
    verdict = policy(cx);
    record.destination_identity = cx.remoteIdentity;
    if (verdict != kContinue)
      return verdict;
    if (record.ct_status == WEIR_CT_NEW)
      createConnection(cx);
    verdict = forwardFromPod(cx);
    if (record.action == WEIR_ACTION_LOCAL || record.action == WEIR_ACTION_STACK) {
      const uint32_t identity = record.source_identity;
      mark = identity << 16 | (identity >> 16 & 0xff) | 0x0f00;
    }
    return verdict;
  }

  /** Ethernet, IPv4, a whole TCP header, no fragment: checked as src/wire checks it. */
  int parse(Context &cx) {
    if (cx.length < 14 + 20 || load<uint16_t>(cx.bytes + 12) != 0x0008)
      return kUnsupported;
    if ((tables_.config->features & WEIR_FEATURE_IPV4) == 0)
      return kUnsupported;
    uint8_t *ip = cx.bytes + 14;
    const uint32_t room = cx.length - 14;
    const uint32_t headerBytes = (ip[0] & 15) << 2;
    uint32_t length = be16(load<uint16_t>(ip + 2));
    if (length == 0)
      length = room;
    if (ip[0] >> 4 != 4 || headerBytes < 20 || length < headerBytes || length > room)
      return kUnsupported;
    if ((be16(load<uint16_t>(ip + 6)) & 0x3fff) != 0 || ip[9] != kTcp || headerBytes + 20 > length)
      return kUnsupported;
    uint8_t *tcp = ip + headerBytes;
    const uint32_t tcpBytes = (tcp[12] >> 4) << 2;
    if (tcpBytes < 20 || headerBytes + tcpBytes > length)
      return kUnsupported;
    cx.ip = ip;
    cx.tcp = tcp;
    cx.l3Length = length;
    cx.source = load<uint32_t>(ip + 12);
    cx.destination = load<uint32_t>(ip + 16);
    cx.ports = load<uint32_t>(tcp);
    cx.tcpFlags = tcp[13];
    return kContinue;
  }

  int sender(Context &cx) {
    const bool checked = (tables_.config->features & WEIR_FEATURE_SOURCE_CHECK) != 0;
    const weir_endpoint *endpoint = tables_.endpoints.find(cx.source);
    if (!endpoint)
      return drop(checked ? WEIR_DROP_INVALID_SOURCE_IP : WEIR_DROP_UNKNOWN_SENDER, WEIR_STAGE_FORWARD);
    cx.endpoint = endpoint;
    cx.epoch = endpoint->epoch + tables_.config->global_epoch;
    if (checked && cx.ifindex != 0 && cx.ifindex != endpoint->ifindex &&
        (endpoint->flags & WEIR_ENDPOINT_FLAG_NO_SOURCE_CHECK) == 0)
      return drop(WEIR_DROP_INVALID_SOURCE_IP, WEIR_STAGE_FORWARD);
    record.endpoint_id = endpoint->endpoint_id;
    record.source_identity = endpoint->identity;
    return kContinue;
  }

  // Stage service: the frontend, and the backend that its entry remembers or its Maglev table chooses.
  int service(Context &cx) {
    const uint32_t port = cx.ports >> 16;
    const weir_service *master = tables_.services.find(cx.destination, port, kTcp | WEIR_SCOPE_EXTERNAL << 8);
    if (!master)
      return kContinue;
    constexpr uint32_t kOther = WEIR_SERVICE_FLAG_TWO_SCOPES | WEIR_SERVICE_FLAG_L7LB | WEIR_SERVICE_FLAG_AFFINITY;
    if ((master->flags & kOther) != 0)
      return kUnsupported;
    const uint32_t reverseNat = master->reverse_nat;
    record.reverse_nat = reverseNat;
    setKey(cx, cx.ports, kTcp, WEIR_CT_KEY_SERVICE);
    Entry *entry = findServiceEntry(cx, reverseNat);
    if (entry) {
      if (track(cx, *entry, true))
        return kUnsupported;
      record.backend_id = entry->backend;
    } else {
      if (master->count == 0)
        return kUnsupported;
      const int64_t id = maglev(cx, *master, reverseNat);
      if (id <= 0)
        return kUnsupported;
      record.backend_id = static_cast<uint32_t>(id);
    }
    if (record.backend_id >= tables_.backendsMax)
      return kUnsupported;
    const weir_backend4 *backend = tables_.backends + record.backend_id;
    if (backend->state != WEIR_BACKEND_STATE_ACTIVE)
      return kUnsupported;
    cx.backend = backend;
    if (!entry)
      createServiceEntry(cx, reverseNat);
    return kContinue;
  }

  Entry *findServiceEntry(Context &cx, uint32_t reverseNat) {
    Entry *entry = live(cx, answered_.find(cx.key));
    if (entry && entry->reverse_nat == reverseNat) {
      cx.serviceEntry = ServiceEntry::kAnswered;
      return entry;
    }
    entry = live(cx, unanswered_.find(cx.key));
    const bool found = entry && entry->reverse_nat == reverseNat;
    cx.serviceEntry = found ? ServiceEntry::kUnanswered : ServiceEntry::kAbsent;
    return found ? entry : nullptr;
  }

  int64_t maglev(const Context &cx, const weir_service &master, uint32_t reverseNat) const {
    const uint32_t algorithm = master.target >> 24 ? master.target >> 24 : tables_.config->algorithm;
    const uint32_t place = reverseNat < tables_.maglevCount ? tables_.maglevPlaces[reverseNat] : 0;
    if (algorithm != WEIR_ALGORITHM_MAGLEV || place == 0 || tables_.config->maglev_size == 0)
      return -1;
    uint32_t size = tables_.config->maglev_size;
    if (size > tables_.maglevWords)
      size = tables_.maglevWords;
    const uint32_t hash = jhash3(cx.source, cx.ports, kTcp, tables_.config->hash_seed4);
    return tables_.maglevPool[(place - 1) * tables_.maglevWords + hash % size];
  }

  void createServiceEntry(Context &cx, uint32_t reverseNat) {
    bool created;
    Entry &entry = *unanswered_.insert(cx.key, created);
    memset(&entry, 0, sizeof entry);
    entry.reverse_nat = reverseNat;
    entry.backend = record.backend_id;
    prolong(cx, entry, tables_.config->ct_syn_lifetime, kSyn);
  }

  // Stage nat.
  int translateToBackend(Context &cx) {
    const uint32_t address = cx.backend->address;
    const uint32_t before = cx.ports >> 16;
    const uint32_t port = cx.backend->port != 0 ? cx.backend->port : before;
    if (cx.source == address)
      return kUnsupported; // a pod that reaches itself
    store(cx.ip + 16, address);
    adjust32(cx.ip + 10, cx.destination, address);
    adjust32(cx.tcp + 16, cx.destination, address);
    cx.destination = address;
    if (port != before) {
      cx.ports = (cx.ports & 0xffff) | port << 16;
      store<uint16_t>(cx.tcp + 2, port);
      adjust16(cx.tcp + 16, before, port);
    }
    record.flags |= WEIR_RECORD_FLAG_DNAT;
    return kContinue;
  }

  // Stage conntrack.

  /** The canonical key of the packet's addresses, owned by its source. */
  static void setKey(Context &cx, uint32_t ports, uint32_t protocol, uint32_t flags) {
    const auto source = static_cast<int32_t>(cx.source), destination = static_cast<int32_t>(cx.destination);
    const bool sourceLow = source < destination || (source == destination && (ports & 0xffff) <= ports >> 16);
    cx.key[0] = sourceLow ? cx.source : cx.destination;
    cx.key[1] = sourceLow ? cx.destination : cx.source;
    cx.key[2] = sourceLow ? ports : swap16(ports);
    cx.key[3] = protocol | (flags | (sourceLow ? 0 : WEIR_CT_KEY_OWNER_HIGH)) << 8;
  }

  Entry *live(const Context &cx, Entry *entry) const {
    if (!entry || static_cast<int32_t>(entry->lifetime) >= static_cast<int32_t>(cx.now))
      return entry;
    sawExpired_ = true;
    return nullptr;
  }

  int conntrack(Context &cx) {
    setKey(cx, cx.ports, kTcp, 0);
    Entry *entry = nullptr;
    if (cx.serviceEntry != ServiceEntry::kUnanswered)
      entry = live(cx, answered_.find(cx.key));
    if (!entry && cx.serviceEntry != ServiceEntry::kAbsent)
      entry = live(cx, unanswered_.find(cx.key));
    if (sawExpired_)
      return kUnsupported;
    if (!entry) {
      record.ct_status = WEIR_CT_NEW;
      cx.monitor = true;
      return kContinue;
    }
    if ((entry->flags & WEIR_CT_FLAG_INBOUND) != 0 || entry->reverse_nat != record.reverse_nat)
      return kUnsupported;
    if (track(cx, *entry, false))
      return kUnsupported;
    record.ct_status = WEIR_CT_ESTABLISHED;
    cx.entry = entry;
    return kContinue;
  }

  /** Applies the packet to an entry; true for what this peer does not do: connections that close. */
  bool track(Context &cx, Entry &entry, bool service) {
    constexpr uint32_t kClosing = WEIR_CT_FLAG_RX_CLOSING | WEIR_CT_FLAG_TX_CLOSING;
    if ((entry.flags & kClosing) != 0 || (cx.tcpFlags & kFinOrRst) != 0)
      return true;
    if ((tables_.config->features & WEIR_FEATURE_CT_ACCOUNTING) != 0) {
      entry.packets++;
      entry.bytes += cx.length;
    }
    if ((cx.tcpFlags & kSyn) == 0)
      entry.flags |= WEIR_CT_FLAG_SEEN_NON_SYN;
    const bool established = (entry.flags & WEIR_CT_FLAG_SEEN_NON_SYN) != 0;
    const weir_config &config = *tables_.config;
    const uint32_t lifetime = service ? config.ct_service_tcp_lifetime : config.ct_tcp_lifetime;
    prolong(cx, entry, established ? lifetime : config.ct_syn_lifetime, cx.tcpFlags);
    return false;
  }

  /** Sets the lifetime; notes flags and the time of the report when there is something to report. */
  void prolong(Context &cx, Entry &entry, uint32_t seconds, uint32_t seen) {
    entry.lifetime = cx.now + seconds;
    const uint32_t after = entry.tx_flags | seen;
    if (after != entry.tx_flags || entry.last_tx_report + tables_.config->report_interval < cx.now) {
      entry.tx_flags = after;
      entry.last_tx_report = cx.now;
      cx.monitor = true;
    }
  }

  /** The entry of a new connection, and the twin that lets ICMP errors pass. */
  void createConnection(Context &cx) {
    bool created;
    setKey(cx, 0, kIcmp, WEIR_CT_KEY_RELATED);
    Entry *twin = related_.insert(cx.key, created);
    const uint32_t kept = twin->flags, both = WEIR_CT_FLAG_BOTH_WAYS;
    const bool alive = !created && static_cast<int32_t>(twin->lifetime) >= static_cast<int32_t>(cx.now);
    fill(cx, *twin, !alive ? 0 : (kept & both) | ((kept & WEIR_CT_FLAG_INBOUND) != 0 ? both : 0));
    setKey(cx, cx.ports, kTcp, 0);
    fill(cx, *unanswered_.insert(cx.key, created), 0);
  }

  void fill(Context &cx, Entry &entry, uint32_t flags) {
    memset(&entry, 0, sizeof entry);
    entry.flags = flags;
    entry.reverse_nat = record.reverse_nat;
    entry.remote_identity = cx.remoteIdentity;
    entry.policy_epoch = cx.epoch;
    entry.cookie = record.cookie;
    if ((tables_.config->features & WEIR_FEATURE_CT_ACCOUNTING) != 0) {
      entry.packets = 1;
      entry.bytes = cx.length;
    }
    prolong(cx, entry, tables_.config->ct_syn_lifetime, kSyn);
  }

  // Stage policy.
  int policy(Context &cx) {
    Entry *entry = cx.entry;
    if (entry && entry->policy_epoch == cx.epoch) {
      if ((entry->flags & (WEIR_CT_FLAG_PROXY_REDIRECT | WEIR_CT_FLAG_AUDITED)) != 0)
        return kUnsupported;
      cx.remoteIdentity = entry->remote_identity;
      record.cookie = entry->cookie;
      return kContinue;
    }
    cx.remoteIdentity = identityOfDestination(cx);
    const int verdict = evaluate(cx);
    if (verdict == kContinue && entry) {
      entry->remote_identity = cx.remoteIdentity;
      entry->policy_epoch = cx.epoch;
      entry->cookie = record.cookie;
    }
    return verdict;
  }

  uint32_t identityOfDestination(const Context &cx) const {
    const weir_ipcache *found = tables_.ipcache.find(0, cx.destination);
    if (!found) {
      constexpr uint32_t kDual = WEIR_FEATURE_IPV4 | WEIR_FEATURE_IPV6;
      return (tables_.config->features & kDual) == kDual ? WEIR_IDENTITY_WORLD_IPV4 : WEIR_IDENTITY_WORLD;
    }
    const uint32_t identity = found->identity;
    const bool node =
        identity == WEIR_IDENTITY_REMOTE_NODE || identity == WEIR_IDENTITY_KUBE_APISERVER || identity >> 24 == 2;
    return node && found->node_id != 0 && found->node_id == cx.endpoint->node_id ? WEIR_IDENTITY_HOST : identity;
  }

  static uint32_t aggregateOf(uint32_t identity) {
    if (identity >> 24 == 1)
      return WEIR_IDENTITY_AGGREGATE_WORLD;
    if (identity >> 24 == 2)
      return WEIR_IDENTITY_AGGREGATE_REMOTE_NODE;
    if (identity < 100)
      return 0;
    return identity <= 65535 ? WEIR_IDENTITY_AGGREGATE_CLUSTER : WEIR_IDENTITY_AGGREGATE_CLUSTERMESH;
  }

  int evaluate(Context &cx) {
    const uint32_t policyId = cx.endpoint->policy_id;
    if (policyId == 0)
      return kContinue;
    if (policyId >= tables_.policyMetaMax)
      return kUnsupported;
    const weir_policy_meta &meta = tables_.policyMeta[policyId];
    if ((meta.flags & WEIR_POLICY_FLAG_AUDIT) != 0 || (tables_.config->features & WEIR_FEATURE_AUDIT) != 0)
      return kUnsupported;
    if ((meta.flags & WEIR_POLICY_FLAG_ENFORCE_EGRESS) == 0)
      return kContinue;
    record.flags |= WEIR_RECORD_FLAG_POLICY_LOOKED_UP | WEIR_RECORD_FLAG_ENFORCED;
    const weir_policy *best = search(cx, meta, policyId);
    record.cookie = best ? best->cookie : meta.egress_cookie;
    if (!best)
      return drop(WEIR_DROP_POLICY, WEIR_STAGE_POLICY);
    if ((best->precedence & 0xff) == WEIR_PRECEDENCE_DENY)
      return drop(WEIR_DROP_POLICY_DENY, WEIR_STAGE_POLICY);
    return (best->flags & 0x7f) != 0 || best->proxy_port != 0 ? kUnsupported : kContinue;
  }

  /** The entry that decides: highest precedence, then the longer port prefix, then the more specific identity. */
  const weir_policy *search(const Context &cx, const weir_policy_meta &meta, uint32_t policyId) {
    constexpr uint32_t kAnyBit = 1u << WEIR_BOUND_SHAPE_ANY_PROTOCOL;
    const uint32_t port = be16(cx.ports >> 16);
    const uint32_t peers[3] = {cx.remoteIdentity, aggregateOf(cx.remoteIdentity), 0};
    const weir_policy *best = nullptr;
    int bestRank = -1;
    for (int kind = 0; kind < 3; kind++) {
      const uint32_t peer = peers[kind];
      if (kind != 2 && peer == 0)
        continue;
      for (uint32_t shapes = meta.egress_shapes[kind] & (kAnyBit | 0x1ffff); shapes != 0;) {
        const uint32_t exact = shapes & ~kAnyBit;
        const uint32_t shape = exact ? 31 - __builtin_clz(exact) : WEIR_BOUND_SHAPE_ANY_PROTOCOL;
        shapes &= ~(1u << shape);
        const bool any = shape == WEIR_BOUND_SHAPE_ANY_PROTOCOL;
        uint32_t target = (shape | WEIR_POLICY_DIRECTION_EGRESS) << 24;
        if (!any)
          target |= be16(port & 0xffff << (16 - shape)) | kTcp << 16;
        const weir_policy *entry = tables_.policy.find(policyId, peer, target);
        if (!entry || (entry->precedence & 0xff) == WEIR_PRECEDENCE_PASS)
          continue;
        const int rank = any ? 0 : static_cast<int>(shape) + 1;
        if (best && entry->precedence <= best->precedence && (entry->precedence < best->precedence || rank <= bestRank))
          continue;
        best = entry;
        bestRank = rank;
        record.policy_match = matchOf(peer != 0, any, shape);
      }
    }
    return best;
  }

  static uint8_t matchOf(bool named, bool any, uint32_t shape) {
    if (any)
      return named ? WEIR_MATCH_L3_ONLY : WEIR_MATCH_ALL;
    if (shape == 0)
      return named ? WEIR_MATCH_L3_PROTO : WEIR_MATCH_PROTO_ONLY;
    return named ? WEIR_MATCH_L3_L4 : WEIR_MATCH_L4_ONLY;
  }

  // Stage forward.
  int forwardFromPod(Context &cx) {
    const weir_endpoint *local = tables_.endpoints.find(cx.destination);
    if (local) {
      record.destination_identity = local->identity;
      if ((local->flags & WEIR_ENDPOINT_FLAG_HOST) != 0)
        return forwarded(WEIR_ACTION_STACK);
      if (!takeHop(cx))
        return drop(WEIR_DROP_TTL_EXCEEDED, WEIR_STAGE_FORWARD);
      record.out_ifindex = local->ifindex;
      rewriteMacs(cx, local->mac, local->node_mac);
      return forwarded(WEIR_ACTION_LOCAL);
    }
    const weir_route *route = tables_.anyRoutes ? tables_.routes.find(cx.destination) : nullptr;
    if (!route || (route->flags & 6) != 0 || (route->mtu != 0 && cx.l3Length > route->mtu))
      return forwarded(WEIR_ACTION_STACK);
    const bool onLink = load<uint64_t>(route->gateway) == 0 && load<uint64_t>(route->gateway + 8) == 0;
    const uint32_t nextHop = onLink ? cx.destination : load<uint32_t>(route->gateway);
    const weir_neighbour *hop = tables_.neighbours.peek(static_cast<uint32_t>(route->ifindex), nextHop);
    if (!hop)
      return forwarded(WEIR_ACTION_STACK);
    if (!takeHop(cx))
      return drop(WEIR_DROP_TTL_EXCEEDED, WEIR_STAGE_FORWARD);
    record.out_ifindex = route->ifindex;
    rewriteMacs(cx, hop->destination, hop->source);
    return forwarded(WEIR_ACTION_REDIRECT);
  }

  static bool takeHop(Context &cx) {
    const uint32_t before = load<uint16_t>(cx.ip + 8);
    if (cx.ip[8] <= 1)
      return false;
    cx.ip[8]--;
    adjust16(cx.ip + 10, before, load<uint16_t>(cx.ip + 8));
    return true;
  }

  void rewriteMacs(Context &cx, const uint8_t *destination, const uint8_t *source) {
    static const uint8_t kZero[6] = {};
    memcpy(record.destination_mac, destination, 6);
    memcpy(record.source_mac, source, 6);
    if (memcmp(destination, kZero, 6) != 0)
      memcpy(cx.bytes, destination, 6);
    if (memcmp(source, kZero, 6) != 0)
      memcpy(cx.bytes + 6, source, 6);
  }

  // The end of a run: record, counters, events.
  void finish(const Context &cx, int verdict) {
    record.verdict = verdict;
    record.flags |= WEIR_RECORD_FLAG_EGRESS | (record.ct_status == WEIR_CT_NEW ? WEIR_RECORD_FLAG_NEW : 0);
    weir_metrics &counters = metrics_[record.drop_reason * 4 + WEIR_DIRECTION_EGRESS];
    counters.packets++;
    counters.bytes += cx.length;
    if ((tables_.config->features & WEIR_FEATURE_EVENTS) == 0)
      return;
    if (verdict == WEIR_VERDICT_DROPPED)
      report(cx, WEIR_EVENT_DROP, record.drop_reason);
    if ((record.flags & WEIR_RECORD_FLAG_POLICY_LOOKED_UP) != 0)
      report(cx, WEIR_EVENT_VERDICT, record.policy_match);
    if (verdict == WEIR_VERDICT_DROPPED || record.action == WEIR_ACTION_LOCAL)
      return;
    if (cx.monitor || record.ct_status == WEIR_CT_NONE)
      report(cx, WEIR_EVENT_TRACE, record.action == WEIR_ACTION_STACK ? 3 : 11);
  }

  void report(const Context &cx, uint8_t type, uint8_t subtype) {
    weir_event &event = events_[eventsWritten_++ % WEIR_BOUND_EVENTS];
    const uint64_t time = cx.seconds * 1000000000ull + cx.nanoseconds;
    event = weir_event{};
    event.type = type;
    event.subtype = subtype;
    event.hook = WEIR_HOOK_FROM_CONTAINER;
    event.stage = record.stage;
    event.time_low = static_cast<uint32_t>(time);
    event.time_high = static_cast<uint32_t>(time >> 32);
    event.flow_hash = jhash3(cx.source, cx.ports, cx.destination, kTcp);
    event.source_identity = record.source_identity;
    event.destination_identity = record.destination_identity;
    event.cookie = record.cookie;
    event.ifindex = record.out_ifindex != 0 ? record.out_ifindex : cx.ifindex;
    event.family = 4;
    event.protocol = kTcp;
    event.tcp_flags = cx.tcpFlags;
    event.ct_status = record.ct_status;
    event.source_port = cx.ports;
    event.destination_port = cx.ports >> 16;
    store(event.source, cx.source);
    store(event.destination, cx.destination);
    event.endpoint_id = record.endpoint_id;
    event.flags = record.flags;
    event.wire_bytes = cx.length;
  }

  Tables tables_;
  LruTable<Entry> answered_, unanswered_, related_;
  std::vector<weir_event> events_;
  std::vector<weir_metrics> metrics_;
  uint64_t eventsWritten_ = 0;
  uint32_t clock_ = 0;
  mutable bool sawExpired_ = false;
};

} // namespace weir
