/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "conntrack". Twin: src/datapath/stages/conntrack.ts. Input: the tuple, who owns the entry,
 * what the service stage found. Output: ct_status, ct_found, what the entry says. Invariant: an
 * answered connection is only ever found in the answered maps; an entry past its lifetime is
 * absent; at most two lookups, and a third where both found nothing: meanwhile another processor
 * may have moved the connection. */
#pragma once
#include "conntrack_entry.h"
#include "verdict.h"

#define EEXIST_ 17

INLINE void not_met(struct weir_context *cx) {
  cx->ct_status = WEIR_CT_NEW;
  cx->monitor = 1;
}

/* The epoch of an entry's policy decision, read before flags, identity and cookie, which were
 * written before it (policy.h, renew_of): with the new epoch come the new ones. BPF of clang 14 has
 * no load that acquires: this keeps the compiler from turning them round, the verifier and the JIT
 * keep the order, and so do processors with x86's ordering of loads. On others a processor could
 * still see the new epoch before the rest, for the packet that it has at hand just then. */
INLINE __u32 decision_epoch(const struct weir_ct_entry *entry) {
  __u32 epoch = *(const volatile __u32 *)&entry->policy_epoch;
  asm volatile("" ::: "memory");
  return epoch;
}

INLINE void take_entry(struct weir_context *cx, const struct weir_ct_entry *entry, bool answered,
                       int status) {
  cx->ct_status = status;
  cx->ct_found = answered ? 2 : 1;
  cx->ct_epoch = decision_epoch(entry);
  cx->ct_flags = entry->flags | ((__u32)entry->reverse_nat << 16);
  cx->ct_identity = entry->remote_identity;
  cx->ct_cookie = entry->cookie;
}

/* Whether a packet in this direction goes against that of some connection between the twin's ends.
 */
INLINE bool is_backward(const struct weir_ct_entry *entry, bool towards_owner) {
  return (entry->flags & WEIR_CT_FLAG_BOTH_WAYS) ||
         !!(entry->flags & WEIR_CT_FLAG_INBOUND) != towards_owner;
}

INLINE void conntrack_related_of(struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  if (!config)
    return;
  set_related_key(cx, family);
  bool towards_owner = !cx->owner_is_source;
  struct weir_ct_entry *answered = seek(cx, false, true, family);
  if (answered && is_expired(cx, answered))
    answered = NULL;
  struct weir_ct_entry *entry = answered;
  bool is_answered = true;
  bool backward = entry && is_backward(entry, towards_owner);
  if (!backward) {
    struct weir_ct_entry *fresh = seek(cx, false, false, family);
    if (fresh && !is_expired(cx, fresh)) {
      bool against = is_backward(fresh, towards_owner);
      if (against || !answered) {
        entry = fresh;
        is_answered = false;
        backward = against;
      }
    }
  }
  if (!entry) {
    entry = seek(cx, false, true, family);
    if (!entry || is_expired(cx, entry)) {
      not_met(cx);
      return;
    }
    is_answered = true;
    backward = is_backward(entry, towards_owner);
  }
  track(cx, config, entry, towards_owner, false, false);
  take_entry(cx, entry, is_answered, backward ? WEIR_CT_RELATED : WEIR_CT_ESTABLISHED);
}

/* ICMP errors are matched on their outer addresses with the twin that every connection leaves. */
RARE int conntrack_related(struct weir_context *cx) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    conntrack_related_of(cx, 4);
  else
    conntrack_related_of(cx, 6);
  return 0;
}

/* Whether the entry belongs to another connection: at hooks that translate, the forward direction
 * must come through the same frontend (or none), and what was just sent to a backend cannot be the
 * answer to something. */
INLINE bool is_foreign(const struct weir_context *cx, __u32 reverse_nat, bool forward,
                       const int hook) {
  if (hook != WEIR_HOOK_FROM_CONTAINER && hook != WEIR_HOOK_FROM_NETDEV)
    return false;
  return forward ? reverse_nat != cx->reverse_nat : cx->reverse_nat != 0;
}

/* Whether a packet against the opener's direction is an answer: any but a reset, or a SYN that
 * opens anew. */
INLINE bool is_answer(const struct weir_context *cx, __u32 flags, bool tcp) {
  if (!tcp)
    return true;
  if (cx->tcp_flags & TCP_RST)
    return false;
  return !(flags & CT_BOTH_CLOSING) || !opens(cx);
}

/* Behind a look at both maps that found nothing, at the unanswered last: the connection may have
 * been moved in between. Not for a SYN that opens, to which an answer is not on its way yet, but
 * where the service entry has kept the answered ones from being asked at all. */
INLINE struct weir_ct_entry *seek_moved(struct weir_context *cx, bool tcp, const int family) {
  bool unasked = cx->service_entry == SERVICE_ENTRY_UNANSWERED;
  if (!unasked && opens(cx))
    return NULL;
  struct weir_ct_entry *entry = seek(cx, tcp, true, family);
  bool expired = entry && is_expired(cx, entry);
  if (unasked)
    cx->ct_stale = expired;
  return expired ? NULL : entry;
}

/* Finds the connection and applies the packet to it. */
INLINE void conntrack(struct weir_context *cx, const struct weir_config *config, const int hook,
                      const int family) {
  if (unlikely(cx->related)) {
    conntrack_related(cx);
    return;
  }
  bool tcp = cx->protocol == IPPROTO_TCP_;
  bool answered = false;
  struct weir_ct_entry *entry = NULL;
  set_tuple_key(cx, cx->owner_is_source, cx->owner_flags, family);
  if (cx->service_entry != SERVICE_ENTRY_UNANSWERED) {
    entry = seek(cx, tcp, true, family);
    if (entry) {
      if (is_expired(cx, entry)) {
        entry = NULL;
        cx->ct_stale = 1;
      } else
        answered = true;
    }
  } else
    cx->ct_stale = 1;
  if (!entry && cx->service_entry != SERVICE_ENTRY_ABSENT) {
    entry = seek(cx, tcp, false, family);
    if (entry && is_expired(cx, entry))
      entry = NULL;
    if (!entry) {
      cx->ct_missed = 1;
      entry = seek_moved(cx, tcp, family);
      answered = entry;
    }
  }
  if (!entry) {
    not_met(cx);
    return;
  }
  __u32 flags = entry->flags | ((__u32)entry->reverse_nat << 16);
  bool towards_owner = !cx->owner_is_source;
  bool forward = !!(flags & WEIR_CT_FLAG_INBOUND) == towards_owner;
  if (is_foreign(cx, flags >> 16, forward, hook)) {
    if (answered)
      cx->ct_stale = 1;
    not_met(cx);
    return;
  }
  if (!forward && !answered && !probing(cx) && is_answer(cx, flags, tcp)) {
    promote(cx, flags);
    entry = seek(cx, tcp, true, family);
    if (!entry)
      entry = seek(cx, tcp, false, family);
    answered = true;
  }
  if (forward && answered && cx->service_entry >= SERVICE_ENTRY_UNANSWERED && !probing(cx)) {
    rejoin_service(cx, flags);
    entry = seek(cx, tcp, true, family);
  }
  if (!entry) {
    not_met(cx);
    return;
  }
  if (track(cx, config, entry, towards_owner, tcp, false)) {
    if (answered)
      cx->ct_stale = 1;
    cx->ct_status = WEIR_CT_NEW;
    return;
  }
  take_entry(cx, entry, answered, forward ? WEIR_CT_ESTABLISHED : WEIR_CT_REPLY);
}

/* Whether a packet belongs to a TCP connection that must have begun before. */
INLINE bool is_midway(const struct weir_context *cx) {
  return cx->protocol == IPPROTO_TCP_ && !(cx->tcp_flags & TCP_SYN);
}

/* Writes a whole new entry into cx->entry. A TCP connection begins with the SYN lifetime, whatever
 * its first packet. */
INLINE void fill(struct weir_context *cx, const struct weir_config *config, __u32 direction,
                 bool tcp) {
  struct weir_ct_entry *entry = scratch_entry(cx);
  __builtin_memset(entry, 0, sizeof(*entry));
  __u32 flags = direction;
  if (cx->loopback)
    flags |= WEIR_CT_FLAG_LOOPBACK;
  if (cx->audited)
    flags |= WEIR_CT_FLAG_AUDITED;
  if (cx->proxy_port)
    flags |= WEIR_CT_FLAG_PROXY_REDIRECT;
  /* What the node opens itself has no frontend. */
  if (!cx->owner_is_source &&
      (cx->owner_flags == WEIR_CT_KEY_NODE || (cx->reverse_nat && !cx->loopback)))
    flags |= WEIR_CT_FLAG_NODE_PORT;
  entry->flags = flags;
  entry->reverse_nat = cx->reverse_nat;
  entry->remote_identity = cx->remote_identity;
  entry->policy_epoch = cx->epoch;
  entry->cookie = cx->cookie;
  if (HAS(cx, WEIR_FEATURE_CT_ACCOUNTING)) {
    entry->packets = 1;
    entry->bytes = cx->wire_bytes;
  }
  prolong(cx, config, entry, tcp ? config->ct_syn_lifetime : config->ct_any_lifetime,
          !cx->owner_is_source, tcp ? TCP_SYN : 0);
}

INLINE int create_connection_of(struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  if (!config)
    return CONTINUE;
  bool tcp = cx->protocol == IPPROTO_TCP_;
  __u32 inbound = cx->owner_is_source ? 0 : WEIR_CT_FLAG_INBOUND;
  if (!cx->owner_flags) {
    set_related_key(cx, family);
    struct weir_ct_entry *before = seek(cx, false, false, family);
    __u64 how = before ? BPF_ANY : BPF_NOEXIST;
    __u32 both = 0;
    if (before && !is_expired(cx, before)) {
      both = before->flags & WEIR_CT_FLAG_BOTH_WAYS;
      if ((before->flags & WEIR_CT_FLAG_INBOUND) != inbound)
        both = WEIR_CT_FLAG_BOTH_WAYS;
    }
    fill(cx, config, inbound | both, !cx->related && tcp);
    int failed = store(cx, false, false, how, family);
    if (failed == -EEXIST_) {
      /* Of another connection between these two, which began at the same time. */
      before = seek(cx, false, false, family);
      if (before && (before->flags & WEIR_CT_FLAG_INBOUND) != inbound)
        add_flags(before, WEIR_CT_FLAG_BOTH_WAYS);
    } else if (failed)
      return drop(cx, WEIR_DROP_CT_CREATE_FAILED, WEIR_STAGE_CONNTRACK);
    if (cx->related)
      return CONTINUE;
  } else if (!cx->owner_is_source && !is_midway(cx)) {
    /* To the pod a new connection through a frontend of the node may look like an older one, which
     * came otherwise: that goes, so that the pod's hook asks anew where this one came through. */
    set_tuple_key(cx, cx->owner_is_source, 0, family);
    forget(cx, tcp, true, family);
    forget(cx, tcp, false, family);
  }
  set_tuple_key(cx, cx->owner_is_source, cx->owner_flags, family);
  if (cx->ct_stale)
    forget(cx, tcp, true, family);
  fill(cx, config, inbound, tcp);
  int failed = store(cx, tcp, false, cx->ct_missed ? BPF_NOEXIST : BPF_ANY, family);
  if (failed == -EEXIST_) {
    /* One past its lifetime; or one that a processor has made since, which has more to tell. */
    struct weir_ct_entry *other = seek(cx, tcp, false, family);
    failed = other && !is_expired(cx, other) ? 0 : store(cx, tcp, false, BPF_ANY, family);
  }
  return failed ? drop(cx, WEIR_DROP_CT_CREATE_FAILED, WEIR_STAGE_CONNTRACK) : CONTINUE;
}

/* Makes the entry of a NEW connection that policy let pass, and its related twin. 155 when there is
 * no memory. */
RARE int create_connection(struct weir_context *cx) {
  if (!cx || probing(cx))
    return CONTINUE;
  return cx->family == 4 ? create_connection_of(cx, 4) : create_connection_of(cx, 6);
}

/* Makes the service entry that remembers a backend. The current key must be the service key.
 * Output: cx->backend_id, which is another where a processor has just made the entry of this flow.
 */
INLINE int create_service_entry(struct weir_context *cx, const struct weir_config *config,
                                __u32 backend, const int family) {
  cx->backend_id = backend;
  if (probing(cx))
    return CONTINUE;
  bool tcp = cx->protocol == IPPROTO_TCP_;
  if (cx->service_entry == SERVICE_ENTRY_ANSWERED)
    forget(cx, tcp, true, family);
  struct weir_ct_entry *entry = scratch_entry(cx);
  __builtin_memset(entry, 0, sizeof(*entry));
  entry->reverse_nat = cx->reverse_nat;
  entry->backend = backend;
  prolong(cx, config, entry, tcp ? config->ct_syn_lifetime : config->ct_service_any_lifetime, false,
          tcp ? TCP_SYN : 0);
  bool absent = cx->service_entry == SERVICE_ENTRY_ABSENT;
  int failed = store(cx, tcp, false, absent ? BPF_NOEXIST : BPF_ANY, family);
  if (failed == -EEXIST_) {
    struct weir_ct_entry *other = seek(cx, tcp, false, family);
    if (other && !is_expired(cx, other) && other->reverse_nat == cx->reverse_nat) {
      cx->backend_id = other->backend;
      return CONTINUE;
    }
    failed = store(cx, tcp, false, BPF_ANY, family);
  }
  return failed ? drop(cx, WEIR_DROP_CT_CREATE_FAILED, WEIR_STAGE_CONNTRACK) : CONTINUE;
}

/* At to-container, for a NEW packet: whether it came through a frontend of the node. */
INLINE void find_node_connection(struct weir_context *cx, const int family) {
  bool tcp = cx->protocol == IPPROTO_TCP_;
  set_tuple_key(cx, false, WEIR_CT_KEY_NODE, family);
  struct weir_ct_entry *entry =
      is_midway(cx) ? seek(cx, tcp, true, family) : seek(cx, tcp, false, family);
  if (entry && !is_expired(cx, entry))
    cx->reverse_nat = entry->reverse_nat;
}
