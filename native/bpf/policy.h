/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "policy": whether the endpoint's policy lets the packet pass. Twin:
 * src/datapath/stages/policy.ts. Input: the endpoint, the other end's identity, tuple, what
 * conntrack found. Output: cookie, match, proxy port, audited; CONTINUE or a drop. Invariant: at
 * most WEIR_BOUND_POLICY_PROBES probes. */
#pragma once
#include "conntrack.h"
#include "identity.h"

#define ANY_SHAPE WEIR_BOUND_SHAPE_ANY_PROTOCOL
#define ANY_BIT (1u << ANY_SHAPE)
#define SHAPES (ANY_BIT | 0x1ffff)
/* Shapes that do not look at the port. */
#define PORTLESS_SHAPES (ANY_BIT | 1u)
#define AUTHENTICATION 0x7f
/* Port prefixes of 1 to 15 bits: rare. */
#define MIDDLE_SHAPES 0xfffeu

/* The aggregate of an identity: one number that stands for its class in policy keys. */
INLINE __u32 aggregate_of(__u32 identity) {
  __u32 scope = identity >> 24;
  if (scope == 1)
    return WEIR_IDENTITY_AGGREGATE_WORLD;
  if (scope == 2)
    return WEIR_IDENTITY_AGGREGATE_REMOTE_NODE;
  if (identity < 100)
    return 0;
  return identity <= WEIR_IDENTITY_CLUSTER_LAST ? WEIR_IDENTITY_AGGREGATE_CLUSTER
                                                : WEIR_IDENTITY_AGGREGATE_CLUSTERMESH;
}

INLINE __u32 match_of(bool named, __u32 shape) {
  if (shape == ANY_SHAPE)
    return named ? WEIR_MATCH_L3_ONLY : WEIR_MATCH_ALL;
  if (shape == 0)
    return named ? WEIR_MATCH_L3_PROTO : WEIR_MATCH_PROTO_ONLY;
  return named ? WEIR_MATCH_L3_L4 : WEIR_MATCH_L4_ONLY;
}

/* The best entry so far; in the context's spare key, so that the verifier need not tell one round
 * from another by it. */
struct best {
  __u32 precedence;
  __u32 cookie;
  __s32 rank;
  __u16 proxy_port;
  __u16 flags;
  __u32 found;
};

/* One probe: the entry of this peer and shape; kept if it is better than the best so far. */
INLINE void probe_policy(struct weir_context *cx, struct best *best, __u32 peer, __u32 shape,
                         __u32 port, __u32 direction) {
  __u32 target = (shape | direction) << 24;
  if (shape != ANY_SHAPE) {
    __u32 masked = port & (0xffff << (16 - shape)) & 0xffff;
    target |= bpf_htons(masked) | ((__u32)cx->protocol << 16);
  }
  __u32 key[3] = {cx->endpoint_policy, peer, target};
  struct weir_policy *entry = bpf_map_lookup_elem(&weir_policy, key);
  if (!entry)
    return;
  __u32 precedence = entry->precedence;
  /* A verdict byte of 0 (pass) decides nothing: control has resolved it. */
  if (!(precedence & 0xff))
    return;
  __s32 rank = shape == ANY_SHAPE ? 0 : shape + 1;
  if (best->found && precedence <= best->precedence &&
      (precedence != best->precedence || rank <= best->rank))
    return;
  best->found = 1;
  best->precedence = precedence;
  best->rank = rank;
  best->cookie = entry->cookie;
  best->proxy_port = entry->proxy_port;
  best->flags = entry->flags;
  cx->policy_match = match_of(peer != 0, shape);
}

/* Only shapes that exist are probed, for the identity, its aggregate and 0; the highest precedence
 * wins, then the longer port prefix, then the more specific identity. */
INLINE void search_policy(struct weir_context *cx, struct best *best, const __u32 *bitmaps,
                          __u32 direction) {
  __u32 protocol = cx->protocol;
  __u32 port = bpf_ntohs(cx->ports >> 16);
  __u32 usable = SHAPES;
  if (protocol == IPPROTO_ICMP_ || protocol == IPPROTO_ICMPV6_) {
    port = cx->icmp_type;
    if (!HAS(cx, WEIR_FEATURE_ICMP_RULES))
      usable = PORTLESS_SHAPES;
  } else if (cx->portless)
    usable = PORTLESS_SHAPES;
  __u32 identity = cx->remote_identity;
  for (int kind = 0; kind < 3; kind++) {
    __u32 peer = kind == 0 ? identity : kind == 1 ? aggregate_of(identity) : 0;
    /* A kind that names identity 0 is left to the last, so that nothing is probed twice. */
    if (kind != 2 && peer == 0)
      continue;
    __u32 shapes = bitmaps[kind] & usable;
    /* Port prefixes from the longest to none, then any protocol. Clang 14 has no count of leading
     * zeros for BPF. */
    for (__u32 n = 0; n < WEIR_BOUND_POLICY_SHAPES && shapes; n++) {
      if (n == 1 && !(shapes & MIDDLE_SHAPES))
        n = 16;
      __u32 shape = n == 17 ? ANY_SHAPE : 16 - n;
      if (shapes & (1u << shape))
        probe_policy(cx, best, peer, shape, port, direction);
    }
  }
}

/* A drop by policy; in audit mode the packet passes and says so. */
INLINE int refuse_policy(struct weir_context *cx, int reason, __u32 flags, __u32 cookie) {
  cx->cookie = cookie;
  if (HAS(cx, WEIR_FEATURE_AUDIT) || (flags & WEIR_POLICY_FLAG_AUDIT))
    cx->audited = 1;
  if (cx->audited)
    return CONTINUE;
  /* policyDenyResponse: what a pod may not send is answered. */
  if (cx->egress && HAS(cx, WEIR_FEATURE_POLICY_DENY_ICMP | WEIR_FEATURE_POLICY_DENY_RESET))
    cx->answer = cx->protocol == IPPROTO_TCP_ && HAS(cx, WEIR_FEATURE_POLICY_DENY_RESET)
                     ? WEIR_ANSWER_RESET
                     : WEIR_ANSWER_PROHIBITED;
  return drop(cx, reason, WEIR_STAGE_POLICY);
}

/* The endpoint's policy in the packet's direction for cx->remote_identity. */
INLINE int evaluate(struct weir_context *cx) {
  bool egress = cx->egress;
  if (cx->protocol == IPPROTO_ICMP_ && cx->icmp_type == 3 && cx->icmp_code == 4 &&
      HAS(cx, WEIR_FEATURE_ICMP_FRAG_NEEDED))
    return CONTINUE;
  if (egress && cx->protocol == IPPROTO_UDP_ && HAS(cx, WEIR_FEATURE_TUNNEL) &&
      !(cx->endpoint_flags & WEIR_ENDPOINT_FLAG_HOST)) {
    /* Nobody but the node itself may inject into the overlay. */
    struct weir_config *config = config_of();
    if (config && cx->ports >> 16 == config->tunnel_port)
      return drop(cx, WEIR_DROP_ENCAP_PROHIBITED, WEIR_STAGE_POLICY);
  }
  __u32 id = cx->endpoint_policy;
  if (!id)
    return CONTINUE;
  struct weir_policy_meta *meta = bpf_map_lookup_elem(&weir_policy_meta, &id);
  if (!meta)
    return drop(cx, WEIR_DROP_ENDPOINT_NOT_READY, WEIR_STAGE_POLICY);
  __u32 flags = meta->flags;
  if (!(flags & (egress ? WEIR_POLICY_FLAG_ENFORCE_EGRESS : WEIR_POLICY_FLAG_ENFORCE_INGRESS)))
    return CONTINUE;
  cx->record_flags |= WEIR_RECORD_FLAG_POLICY_LOOKED_UP | WEIR_RECORD_FLAG_ENFORCED;
  struct best *best = (struct best *)cx->other_key;
  __builtin_memset(best, 0, sizeof(*best));
  search_policy(cx, best, egress ? meta->egress_shapes : meta->ingress_shapes,
                egress ? WEIR_POLICY_DIRECTION_EGRESS : 0);
  if (!best->found)
    return refuse_policy(cx, cx->portless ? WEIR_DROP_FRAG_NO_SUPPORT : WEIR_DROP_POLICY, flags,
                         egress ? meta->egress_cookie : meta->ingress_cookie);
  if ((best->precedence & 0xff) == WEIR_PRECEDENCE_DENY) {
    if (best->flags & WEIR_POLICY_ENTRY_AUDIT)
      flags |= WEIR_POLICY_FLAG_AUDIT;
    return refuse_policy(cx, WEIR_DROP_POLICY_DENY, flags, best->cookie);
  }
  /* No authentication map exists, so a rule that wants it is never satisfied. */
  if (best->flags & AUTHENTICATION)
    return refuse_policy(cx, WEIR_DROP_POLICY_AUTH_REQUIRED, flags, best->cookie);
  if (best->proxy_port && cx->protocol != IPPROTO_TCP_ && cx->protocol != IPPROTO_UDP_)
    return refuse_policy(cx, WEIR_DROP_PROXY_UNKNOWN_PROTOCOL, flags, best->cookie);
  cx->cookie = best->cookie;
  cx->proxy_port = best->proxy_port;
  return CONTINUE;
}

/* While a decision is being written, the entry's epoch is 2^31 away from all that exist. */
#define EPOCH_CLAIMED 0x80000000u

/* Whether an epoch is a claim: the real ones of a time are near to each other. */
INLINE bool is_claim(__u32 seen, __u32 now) { return (seen - now + (1u << 30)) >> 31; }

/* Writes the decision into the entry. Other processors may read it meanwhile, or have decided, too,
 * perhaps under another epoch: who turns the epoch that it has seen into a claim writes alone; the
 * others leave it, as their packets are judged. Flags, identity and cookie come first, the epoch
 * last: whoever reads that (decision_epoch) gets the rest of the same decision. Memory ordering: a
 * BPF atomic that returns a value, as compare-and-exchange and exchange do, orders everything
 * before and behind it; plain stores have no order but the compiler's and the processor's. */
INLINE void renew_of(struct weir_context *cx, const int family) {
  bool tcp = is_tcp_key(cx, family);
  struct weir_ct_entry *entry =
      cx->ct_found == 2 ? seek(cx, tcp, true, family) : seek(cx, tcp, false, family);
  __u32 seen = cx->ct_epoch;
  __u32 epoch = cx->epoch;
  if (!entry || is_claim(seen, epoch) ||
      __sync_val_compare_and_swap(&entry->policy_epoch, seen, epoch ^ EPOCH_CLAIMED) != seen)
    return;
  __u32 decided = 0;
  if (cx->audited)
    decided |= WEIR_CT_FLAG_AUDITED;
  if (cx->proxy_port)
    decided |= WEIR_CT_FLAG_PROXY_REDIRECT;
  clear_flags(entry, (WEIR_CT_FLAG_AUDITED | WEIR_CT_FLAG_PROXY_REDIRECT) & ~decided);
  add_flags(entry, decided);
  entry->remote_identity = cx->remote_identity;
  entry->cookie = cx->cookie;
  __sync_lock_test_and_set(&entry->policy_epoch, epoch);
}

/* Asks the policy, and writes the decision into the entry of an established connection, whose key
 * is the current one. */
RARE int ask_policy(struct weir_context *cx) {
  if (!cx)
    return CONTINUE;
  __u32 remote = cx->egress ? identity_of_destination(cx) : identity_of_source(cx);
  if (cx->loopback)
    remote = cx->endpoint_identity;
  cx->remote_identity = remote;
  if (cx->loopback || cx->l7_port)
    return CONTINUE;
  int verdict = evaluate(cx);
  if (verdict == CONTINUE && cx->ct_found && !cx->related && !probing(cx)) {
    if (cx->family == 4)
      renew_of(cx, 4);
    else
      renew_of(cx, 6);
  }
  return verdict;
}

/* Whether the entry can answer for every packet of the connection: not for a redirect, nor for an
 * ICMP error, nor where rules tell ICMP types apart. */
INLINE bool is_settled(const struct weir_context *cx) {
  if (cx->related || (cx->ct_flags & WEIR_CT_FLAG_PROXY_REDIRECT))
    return false;
  return !HAS(cx, WEIR_FEATURE_ICMP_RULES) ||
         (cx->protocol != IPPROTO_ICMP_ && cx->protocol != IPPROTO_ICMPV6_);
}

/* Decides. Replies and related packets pass; so does a pod that reaches itself through its service.
 * An established connection whose entry carries the current epoch keeps its decision without a
 * lookup. */
INLINE int policy(struct weir_context *cx) {
  if (cx->ct_found) {
    __u32 status = cx->ct_status;
    bool kept = status == WEIR_CT_REPLY || status == WEIR_CT_RELATED ||
                (cx->ct_flags & WEIR_CT_FLAG_LOOPBACK);
    bool settled = status == WEIR_CT_ESTABLISHED && is_settled(cx) && cx->ct_epoch == cx->epoch;
    if (kept || settled) {
      cx->remote_identity = cx->ct_identity;
      cx->cookie = cx->ct_cookie;
      if (!kept && (cx->ct_flags & WEIR_CT_FLAG_AUDITED))
        cx->audited = 1;
      return CONTINUE;
    }
  }
  return ask_policy(cx);
}
