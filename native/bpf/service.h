/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "service". Twin: src/datapath/stages/service.ts. Input: headers and tuple before
 * translation. Output: the backend, or none; the packet is not touched. CONTINUE or a verdict.
 * Invariant: at most two master lookups. */
#pragma once
#include "service_backend.h"

/* Whether packets of this protocol can be for a service. */
INLINE bool is_balanced(const struct weir_context *cx) {
  __u32 protocol = cx->protocol;
  return (protocol == IPPROTO_TCP_ || protocol == IPPROTO_UDP_ || protocol == IPPROTO_SCTP_) &&
         !cx->portless;
}

/* Per-packet load balancing at from-container: the exact frontend, external scope, then internal
 * where there are two. */
INLINE int service(struct weir_context *cx, const struct weir_config *config,
                   struct backend *backend, const int family) {
  if (!is_balanced(cx))
    return CONTINUE;
  __u32 port = cx->ports >> 16;
  __u32 scope = WEIR_SCOPE_EXTERNAL;
  struct weir_service *master = find_service(cx, port, cx->protocol, family);
  if (!master)
    return CONTINUE;
  if (master->flags & WEIR_SERVICE_FLAG_TWO_SCOPES) {
    scope = WEIR_SCOPE_INTERNAL;
    master = find_service(cx, port, cx->protocol | (WEIR_SCOPE_INTERNAL << 8), family);
    if (!master)
      return CONTINUE;
  }
  cx->service_flags = master->flags;
  cx->owner_is_source = 1;
  if (master->flags & WEIR_SERVICE_FLAG_L7LB) {
    /* The destination stays the frontend's: the proxy balances. */
    cx->l7_port = bpf_htons(master->target);
    cx->proxy_port = cx->l7_port;
    return CONTINUE;
  }
  return balance(cx, config, master, port, scope, 0, backend, family);
}

INLINE bool source_allowed(const struct weir_context *cx, __u32 reverse_nat, __u32 flags,
                           const int family) {
  void *range;
  if (family == 4) {
    struct weir_source_range_key4 key = {
        .prefix_length = 64, .reverse_nat = reverse_nat, .address = cx->source[0]};
    range = bpf_map_lookup_elem(&weir_source_range4, &key);
  } else {
    struct weir_source_range_key6 key = {.prefix_length = 160, .reverse_nat = reverse_nat};
    __builtin_memcpy(key.address, cx->source, 16);
    range = bpf_map_lookup_elem(&weir_source_range6, &key);
  }
  return !!range == !(flags & WEIR_SERVICE_FLAG_DENY_OR_QUARANTINED);
}

/* Cilium's lb4_src_range_ok: a range that covers the client allows, or denies where the ranges are
 * deny ranges. */
RARE int is_source_allowed(struct weir_context *cx, __u32 reverse_nat, __u32 flags) {
  if (!cx)
    return 0;
  return cx->family == 4 ? source_allowed(cx, reverse_nat, flags, 4)
                         : source_allowed(cx, reverse_nat, flags, 6);
}

/* North-south lookup: the exact frontend, else a wildcard entry of its address, which drops (158);
 * source ranges (177); a ClusterIP that is not routable from outside (174). CONTINUE with *master
 * NULL: not for a service. */
INLINE int frontend_from_outside(struct weir_context *cx, struct weir_service **found,
                                 const int family) {
  *found = NULL;
  if (!is_balanced(cx))
    return CONTINUE;
  struct weir_service *master = find_service(cx, cx->ports >> 16, cx->protocol, family);
  if (!master)
    return find_service(cx, 0, 0, family) ? drop(cx, WEIR_DROP_NO_SERVICE, WEIR_STAGE_SERVICE)
                                          : CONTINUE;
  __u32 flags = master->flags;
  cx->service_flags = flags;
  if ((flags & WEIR_SERVICE_FLAG_SOURCE_RANGE) &&
      !is_source_allowed(cx, master->reverse_nat, flags))
    return drop(cx, WEIR_DROP_NOT_IN_SOURCE_RANGE, WEIR_STAGE_SERVICE);
  if (!(flags & WEIR_SERVICE_FLAG_ROUTABLE))
    return drop(cx, WEIR_DROP_IS_CLUSTER_IP, WEIR_STAGE_SERVICE);
  *found = master;
  return CONTINUE;
}
