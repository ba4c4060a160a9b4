/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet does to a conntrack entry that it met, and how an answered connection moves.
 * Twin: src/datapath/stages/conntrack-entry.ts. Input: an entry. Output: the same, changed.
 * Invariant: a probe changes nothing but gets the same answer. */
#pragma once
#include "conntrack_key.h"

#define CT_BOTH_CLOSING (WEIR_CT_FLAG_RX_CLOSING | WEIR_CT_FLAG_TX_CLOSING)

/* The entry that is being made or moved. */
INLINE struct weir_ct_entry *scratch_entry(struct weir_context *cx) {
  return (struct weir_ct_entry *)cx->entry;
}

INLINE bool is_expired(const struct weir_context *cx, const struct weir_ct_entry *entry) {
  return (__s32)entry->lifetime < (__s32)cx->now;
}

/* An entry is met by several processors at once: both directions of a connection, or one direction
 * spread over queues. Whole words that are written anew (lifetime, last report) may be written by
 * anybody; bits are only ever set and cleared by atomic operations on their word, so that nobody
 * undoes what another has just noted. They are 32 bits wide at least: flags share a word with the
 * reverse NAT index, the TCP flags seen with the NAT port. */
#define CT_FLAGS_WORD(entry) ((p32 *)((void *)(entry) + offsetof(struct weir_ct_entry, flags)))
#define CT_SEEN_WORD(entry) ((p32 *)((void *)(entry) + offsetof(struct weir_ct_entry, nat_port)))
_Static_assert(offsetof(struct weir_ct_entry, flags) % 4 == 0, "a word of its own");
_Static_assert(offsetof(struct weir_ct_entry, nat_port) % 4 == 0, "a word of its own");
#define CT_TX_SHIFT 16
#define CT_RX_SHIFT 24

/* Sets flags; answers what they are then. */
INLINE __u32 add_flags(struct weir_ct_entry *entry, __u32 bits) {
  return __sync_fetch_and_or(CT_FLAGS_WORD(entry), bits) | bits;
}

INLINE void clear_flags(struct weir_ct_entry *entry, __u32 bits) {
  __sync_fetch_and_and(CT_FLAGS_WORD(entry), ~bits);
}

/* Whether the packet is a SYN that opens. */
INLINE bool opens(const struct weir_context *cx) {
  return (cx->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN;
}

/* Sets the lifetime; notes flags and the time of the report when there is something to report. */
INLINE void prolong(struct weir_context *cx, const struct weir_config *config,
                    struct weir_ct_entry *entry, __u32 seconds, bool towards_owner, __u8 seen) {
  __u32 now = cx->now;
  /* Unchanged within a second: the line stays clean. */
  if (entry->lifetime != now + seconds)
    entry->lifetime = now + seconds;
  __u8 before = towards_owner ? entry->rx_flags : entry->tx_flags;
  __u32 last = towards_owner ? entry->last_rx_report : entry->last_tx_report;
  if (before != (before | seen) || (__s32)(last + config->report_interval) < (__s32)now) {
    if (before != (before | seen))
      __sync_fetch_and_or(CT_SEEN_WORD(entry),
                          (__u32)seen << (towards_owner ? CT_RX_SHIFT : CT_TX_SHIFT));
    if (towards_owner)
      entry->last_rx_report = now;
    else
      entry->last_tx_report = now;
    cx->monitor = 1;
  }
}

/* Prolongs an entry by the lifetime of its state and notes the flags seen. */
INLINE void refresh(struct weir_context *cx, const struct weir_config *config,
                    struct weir_ct_entry *entry, bool towards_owner, bool tcp, const bool service) {
  __u32 seconds = service ? config->ct_service_any_lifetime : config->ct_any_lifetime;
  __u8 seen = 0;
  if (tcp) {
    seen = cx->tcp_flags;
    if (!(seen & TCP_SYN) && !(entry->flags & WEIR_CT_FLAG_SEEN_NON_SYN))
      add_flags(entry, WEIR_CT_FLAG_SEEN_NON_SYN);
    if (!(entry->flags & WEIR_CT_FLAG_SEEN_NON_SYN))
      seconds = config->ct_syn_lifetime;
    else
      seconds = service ? config->ct_service_tcp_lifetime : config->ct_tcp_lifetime;
  }
  prolong(cx, config, entry, seconds, towards_owner, seen);
}

/* FIN or RST: closes the packet's direction, or both. */
INLINE void close_entry(struct weir_context *cx, const struct weir_config *config,
                        struct weir_ct_entry *entry, bool towards_owner, const bool service) {
  bool both_syns = entry->tx_flags & entry->rx_flags & TCP_SYN;
  bool aborted = (cx->tcp_flags & TCP_RST) && !both_syns;
  __u32 flags = add_flags(entry, service || aborted ? CT_BOTH_CLOSING
                                 : towards_owner    ? WEIR_CT_FLAG_RX_CLOSING
                                                    : WEIR_CT_FLAG_TX_CLOSING);
  cx->monitor = 1;
  if ((flags & CT_BOTH_CLOSING) != CT_BOTH_CLOSING)
    return;
  prolong(cx, config, entry, config->ct_close_lifetime, towards_owner, cx->tcp_flags);
  if (is_expired(cx, entry))
    disturb(cx);
}

/* Applies the packet to an entry. Answers true when the packet opens the connection anew. */
INLINE bool track(struct weir_context *cx, const struct weir_config *config,
                  struct weir_ct_entry *entry, bool towards_owner, bool tcp, const bool service) {
  __u16 flags = entry->flags;
  bool closing = flags & CT_BOTH_CLOSING;
  if (service && tcp && closing && (cx->tcp_flags & TCP_SYN)) {
    if ((__s32)(entry->last_tx_report + config->ct_service_grace) <= (__s32)cx->now)
      return true;
  }
  bool reopens = tcp && closing && opens(cx);
  bool anew = reopens && !service;
  if (probing(cx))
    return anew;
  if (HAS(cx, WEIR_FEATURE_CT_ACCOUNTING)) {
    __sync_fetch_and_add(&entry->packets, 1);
    __sync_fetch_and_add(&entry->bytes, cx->wire_bytes);
  }
  if ((flags & CT_BOTH_CLOSING) != CT_BOTH_CLOSING)
    refresh(cx, config, entry, towards_owner, tcp, service);
  if (!tcp)
    return false;
  if (unlikely(cx->tcp_flags & (TCP_FIN | TCP_RST)))
    close_entry(cx, config, entry, towards_owner, service);
  else if (unlikely(reopens)) {
    clear_flags(entry, CT_BOTH_CLOSING | WEIR_CT_FLAG_SEEN_NON_SYN);
    __sync_fetch_and_and(CT_SEEN_WORD(entry), (1u << CT_TX_SHIFT) - 1);
    refresh(cx, config, entry, towards_owner, tcp, service);
    cx->monitor = 1;
    disturb(cx);
  }
  return anew;
}

/* Moves the entry of the current key to the answered map, if there is one. Twins merge with one
 * that is there. Put there before it is taken away here: whoever looks among the unanswered first
 * and then among the answered cannot miss it. Another processor may do the same at this moment: of
 * two that see no entry there one stores, and who finds none here any more has copied what is no
 * longer this connection's. */
INLINE void move_to_answered(struct weir_context *cx, const int family) {
  bool tcp = is_tcp_key(cx, family);
  struct weir_ct_entry *from = seek(cx, tcp, false, family);
  if (!from || is_expired(cx, from))
    return;
  struct weir_ct_entry *moved = scratch_entry(cx);
  __builtin_memcpy(moved, from, sizeof(*moved));
  struct weir_ct_entry *known = seek(cx, tcp, true, family);
  if (known && !is_expired(cx, known)) {
    if ((known->flags ^ moved->flags) & WEIR_CT_FLAG_INBOUND)
      moved->flags |= WEIR_CT_FLAG_BOTH_WAYS;
    moved->flags |= known->flags & WEIR_CT_FLAG_BOTH_WAYS;
  }
  moved->flags |= WEIR_CT_FLAG_ANSWERED;
  if (!seek(cx, tcp, false, family))
    return;
  int failed = store(cx, tcp, true, known ? BPF_ANY : BPF_NOEXIST, family);
  if (known)
    disturb(cx);
  if (!failed)
    forget(cx, tcp, false, family);
}

/* Moves the service entry of an answered connection: client to frontend, the frontend from the
 * reverse NAT map. */
INLINE void promote_service(struct weir_context *cx, __u32 reverse_nat, __u32 flags,
                            const bool forward, const int family) {
  __u32 node = cx->owner_flags | (flags & WEIR_CT_FLAG_NODE_PORT ? WEIR_CT_KEY_NODE : 0);
  bool owner_is_source = !node;
  bool from_source = forward != !!(flags & WEIR_CT_FLAG_LOOPBACK);
  __u32 client_port = forward ? cx->ports & 0xffff : cx->ports >> 16;
  const __u32 *client = from_source ? cx->source : cx->destination;
  if (family == 4) {
    struct weir_reverse_nat4 *frontend = bpf_map_lookup_elem(&weir_reverse_nat4, &reverse_nat);
    if (!frontend || !(frontend->flags & 1))
      return;
    __u32 ports = client_port | ((__u32)frontend->port << 16);
    __u32 address = frontend->address;
    set_key(cx, client, &address, ports, cx->protocol, owner_is_source, WEIR_CT_KEY_SERVICE | node,
            4);
  } else {
    struct weir_reverse_nat6 *frontend = bpf_map_lookup_elem(&weir_reverse_nat6, &reverse_nat);
    if (!frontend || !(frontend->flags & 1))
      return;
    __u32 ports = client_port | ((__u32)frontend->port << 16);
    set_key(cx, client, (const __u32 *)frontend->address, ports, cx->protocol, owner_is_source,
            WEIR_CT_KEY_SERVICE | node, 6);
  }
  move_to_answered(cx, family);
}

INLINE void promote_of(struct weir_context *cx, __u32 flags, const int family) {
  __u32 reverse_nat = flags >> 16;
  if (!cx->owner_flags) {
    set_related_key(cx, family);
    move_to_answered(cx, family);
  }
  if (reverse_nat)
    promote_service(cx, reverse_nat, flags, false, family);
  if ((flags & WEIR_CT_FLAG_NODE_PORT) && !cx->owner_flags) {
    set_tuple_key(cx, cx->owner_is_source, WEIR_CT_KEY_NODE, family);
    move_to_answered(cx, family);
  }
  set_tuple_key(cx, cx->owner_is_source, cx->owner_flags, family);
  move_to_answered(cx, family);
}

/* Moves a connection that was just answered, its related twin, its service entry, and behind a node
 * port the node's own entries. `flags`: the entry's flags, its reverse NAT index in the high half.
 * The current key is the connection's again afterwards. */
RARE int promote(struct weir_context *cx, __u32 flags) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    promote_of(cx, flags, 4);
  else
    promote_of(cx, flags, 6);
  return 0;
}

/* Moves the service entry of an answered connection, too. The packet goes from client to backend.
 */
RARE int rejoin_service(struct weir_context *cx, __u32 flags) {
  if (!cx)
    return 0;
  if (cx->family == 4) {
    promote_service(cx, flags >> 16, flags, true, 4);
    set_tuple_key(cx, cx->owner_is_source, cx->owner_flags, 4);
  } else {
    promote_service(cx, flags >> 16, flags, true, 6);
    set_tuple_key(cx, cx->owner_is_source, cx->owner_flags, 6);
  }
  return 0;
}
