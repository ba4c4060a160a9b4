/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a packet that leaves the node gets the node's address, and that it gets it. Twin:
 * src/datapath/stages/masquerade.ts. Input: a packet at to-netdev. Output: CONTINUE, rewritten or
 * not; or a drop. Invariant: a connection that has a translation keeps it; answers to what came
 * from outside never get one. */
#pragma once
#include "conntrack.h"
#include "identity.h"
#include "nat_error.h"

INLINE bool tracks_fragments(const struct weir_context *cx, const int family) {
  return family == 4 ? HAS(cx, WEIR_FEATURE_FRAGMENTS_V4) : HAS(cx, WEIR_FEATURE_FRAGMENTS_V6);
}

/* The node's own connection from a port that pods' could be given: reserved, and translated only
 * where a pod's has it already. */
INLINE int reserve(struct __sk_buff *skb, struct weir_context *cx, const struct weir_config *config,
                   const int family) {
  if (!has_tuple(cx) && !is_echo(cx, false))
    return CONTINUE;
  if (!is_nat_port(config, cx->ports & 0xffff))
    return CONTINUE;
  if (cx->fragment && !tracks_fragments(cx, family))
    return CONTINUE;
  int port = map_out(cx, WEIR_NAT_FLAG_NEEDS_CT);
  if (port < 0)
    return drop(cx, -port, WEIR_STAGE_NAT);
  cx->nat_flags = WEIR_NAT_FLAG_NEEDS_CT;
  if (cx->ct_status == WEIR_CT_NONE) {
    cx->owner_is_source = 1;
    cx->owner_flags = WEIR_CT_KEY_NODE;
    conntrack(cx, config, WEIR_HOOK_TO_NETDEV, family);
  }
  if (cx->ct_status == WEIR_CT_NEW) {
    int verdict = create_connection(cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  apply_out(skb, cx, port);
  return CONTINUE;
}

/* Whether the pod answers a connection that was opened from outside: by its own entry. */
INLINE bool answers_outside(struct weir_context *cx, const int family) {
  bool tcp = cx->protocol == IPPROTO_TCP_;
  set_tuple_key(cx, true, 0, family);
  struct weir_ct_entry *entry = seek(cx, tcp, true, family);
  if (entry && !is_expired(cx, entry))
    return entry->flags & WEIR_CT_FLAG_INBOUND;
  entry = seek(cx, tcp, false, family);
  return entry && !is_expired(cx, entry) && (entry->flags & WEIR_CT_FLAG_INBOUND);
}

/* Why the pod keeps its address towards this destination: WEIR_NO_MASQUERADE. */
INLINE __u32 exception(struct weir_context *cx, const int family) {
  struct weir_no_masq *range;
  struct weir_ipcache *entry;
  if (family == 4) {
    struct weir_no_masq_key4 prefix = {.prefix_length = 32, .address = cx->destination[0]};
    range = bpf_map_lookup_elem(&weir_no_masq4, &prefix);
  } else {
    struct weir_no_masq_key6 prefix = {.prefix_length = 128};
    __builtin_memcpy(prefix.address, cx->destination, 16);
    range = bpf_map_lookup_elem(&weir_no_masq6, &prefix);
  }
  if (range)
    return range->reason;
  if (family == 4) {
    struct weir_ipcache_key4 key = {.prefix_length = 64, .address = cx->destination[0]};
    entry = bpf_map_lookup_elem(&weir_ipcache4, &key);
  } else {
    struct weir_ipcache_key6 key = {.prefix_length = 160};
    __builtin_memcpy(key.address, cx->destination, 16);
    entry = bpf_map_lookup_elem(&weir_ipcache6, &key);
  }
  if (!entry)
    return WEIR_NO_MASQUERADE_NONE;
  __u32 identity = entry->identity;
  __u32 flags = entry->flags;
  bool tunnel = HAS(cx, WEIR_FEATURE_TUNNEL);
  if (identity == WEIR_IDENTITY_REMOTE_NODE || identity == WEIR_IDENTITY_KUBE_APISERVER ||
      identity >> 24 == 2)
    return tunnel && !(flags & WEIR_IPCACHE_FLAG_SKIP_TUNNEL) ? WEIR_NO_MASQUERADE_NONE
                                                              : WEIR_NO_MASQUERADE_NODE;
  if (entry->node_id)
    return WEIR_NO_MASQUERADE_POD;
  return tunnel && (flags &
                    (WEIR_IPCACHE_FLAG_HAS_TUNNEL_ENDPOINT | WEIR_IPCACHE_FLAG_SKIP_TUNNEL)) ==
                       WEIR_IPCACHE_FLAG_HAS_TUNNEL_ENDPOINT
             ? WEIR_NO_MASQUERADE_POD
             : WEIR_NO_MASQUERADE_NONE;
}

INLINE int masquerade_of(struct __sk_buff *skb, struct weir_context *cx,
                         const struct weir_config *config, const int family) {
  bool own = take_node_address(cx, config, 0, false, family);
  if (own && is_same_address(cx->source, cx->nat_address, family))
    return reserve(skb, cx, config, family);
  struct weir_endpoint *endpoint = find_endpoint(cx->source, family);
  if (!endpoint)
    return CONTINUE;
  if (endpoint->flags & (WEIR_ENDPOINT_FLAG_HOST | WEIR_ENDPOINT_FLAG_SKIP_MASQUERADE))
    return CONTINUE;
  /* One dataplane may stand for every node: a pod's own one counts. */
  __u32 node = endpoint->node_id;
  if (node ? !take_node_address(cx, config, node, false, family) : !own)
    return CONTINUE;
  if (cx->related) {
    error_out(skb, cx);
    return CONTINUE;
  }
  if (cx->fragment && !tracks_fragments(cx, family))
    return drop(cx, WEIR_DROP_FRAG_NO_SUPPORT, WEIR_STAGE_NAT);
  if (answers_outside(cx, family))
    return CONTINUE;
  bool translated = has_tuple(cx) || is_echo(cx, false);
  int port = translated ? find_out(cx) : -1;
  if (port < 0) {
    if (exception(cx, family) != WEIR_NO_MASQUERADE_NONE || is_echo(cx, true))
      return CONTINUE;
    if (!translated)
      return drop(cx, WEIR_DROP_NAT_UNSUPPORTED_PROTOCOL, WEIR_STAGE_NAT);
    port = map_out(cx, 0);
    if (port < 0)
      return drop(cx, -port, WEIR_STAGE_NAT);
  }
  apply_out(skb, cx, port);
  return CONTINUE;
}

/* Masquerades what leaves, if that is to be. */
RARE int masquerade(struct __sk_buff *skb, struct weir_context *cx) {
  struct weir_config *config = config_of();
  if (!cx || !config)
    return CONTINUE;
  if (cx->family == 4)
    return HAS(cx, WEIR_FEATURE_MASQUERADE_V4) ? masquerade_of(skb, cx, config, 4) : CONTINUE;
  return HAS(cx, WEIR_FEATURE_MASQUERADE_V6) ? masquerade_of(skb, cx, config, 6) : CONTINUE;
}
