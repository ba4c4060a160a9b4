/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "to-netdev": a packet leaves the node; answers of backends that no pod hook has translated
 * back are translated here, and what pods send to the outside gets the node's address, and its time
 * to leave where a limit says so; what the node itself sends is policed where there is a host
 * firewall. Twin:
 * src/datapath/hooks/to-netdev.ts. */
#pragma once
#include "../bandwidth.h"
#include "../masquerade.h"
#include "from_netdev.h"

/* Cilium's mark of what the node has put into its overlay. */
#define MARK_OVERLAY 0x0400
#define MASQUERADING (WEIR_FEATURE_MASQUERADE_V4 | WEIR_FEATURE_MASQUERADE_V6)

INLINE int to_netdev_of(struct __sk_buff *skb, struct weir_context *cx,
                        const struct weir_config *config, const int family) {
  cx->nat_flags = 0;
  if (HAS(cx, WEIR_FEATURE_NODE_PORT) && is_balanced(cx)) {
    cx->owner_is_source = 1;
    cx->owner_flags = WEIR_CT_KEY_NODE;
    conntrack(cx, config, WEIR_HOOK_TO_NETDEV, family);
    if (cx->ct_status == WEIR_CT_REPLY) {
      translate_from_backend(skb, cx, cx->ct_flags >> 16, false, family);
      return to_stack(cx);
    }
  }
  if (HAS(cx, MASQUERADING)) {
    int verdict = masquerade(skb, cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  /* What the node has no entry for is not new to anybody, but for what it opened itself. */
  if (cx->ct_status == WEIR_CT_NEW && cx->nat_flags != WEIR_NAT_FLAG_NEEDS_CT)
    cx->ct_status = WEIR_CT_NONE;
  return to_stack(cx);
}

/* The node's own policy, then translation. */
INLINE int police_to_netdev(struct __sk_buff *skb, struct weir_context *cx,
                            const struct weir_config *config) {
  int verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  __u32 status = WEIR_CT_NONE;
  if (HAS(cx, WEIR_FEATURE_HOST_FIREWALL)) {
    if ((cx->mark & MARK_MASK) != MARK_OVERLAY)
      verdict = host_egress(cx, -1);
    if (verdict != CONTINUE)
      return verdict;
    if (!HAS(cx, TRANSLATING))
      return to_stack(cx);
    /* What the node says of its own connection stands in the record. */
    status = cx->ct_status;
    cx->ct_status = WEIR_CT_NONE;
    cx->ct_found = 0;
    cx->ct_flags = 0;
    cx->ct_stale = 0;
    cx->ct_missed = 0;
  }
  verdict = cx->family == 4 ? to_netdev_of(skb, cx, config, 4) : to_netdev_of(skb, cx, config, 6);
  if (status != WEIR_CT_NONE)
    cx->ct_status = status;
  return verdict;
}

INLINE int run_to_netdev(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_TO_NETDEV);
  if (!cx)
    return TC_ACT_SHOT;
  int verdict = parse_skb(skb, cx);
  /* Before anything is kept of a packet that does not leave. */
  int paced = CONTINUE;
  if (verdict == CONTINUE && cx->aggregate && HAS(cx, WEIR_FEATURE_BANDWIDTH))
    paced = pace(skb, cx);
  if (paced != CONTINUE)
    verdict = paced;
  else if (verdict != CONTINUE)
    verdict = host_unparsed(cx, verdict, true);
  else if (!HAS(cx, TRANSLATING | WEIR_FEATURE_HOST_FIREWALL) || is_marked_done(cx))
    verdict = to_stack(cx);
  else
    verdict = police_to_netdev(skb, cx, config);
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_to_netdev(struct __sk_buff *skb) { return run_to_netdev(skb); }
