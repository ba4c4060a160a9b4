/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "to-netdev": a packet leaves the node; answers of backends that no pod hook has translated
 * back are translated here, and what pods send to the outside gets the node's address. Twin:
 * src/datapath/hooks/to-netdev.ts. */
#pragma once
#include "../masquerade.h"
#include "from_netdev.h"

#define MASQUERADING (WEIR_FEATURE_MASQUERADE_V4 | WEIR_FEATURE_MASQUERADE_V6)

INLINE int to_netdev_of(struct __sk_buff *skb, struct weir_context *cx,
                        const struct weir_config *config, const int family) {
  int verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
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
    verdict = masquerade(skb, cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  /* What the node has no entry for is not new to anybody, but for what it opened itself. */
  if (cx->ct_status == WEIR_CT_NEW && cx->nat_flags != WEIR_NAT_FLAG_NEEDS_CT)
    cx->ct_status = WEIR_CT_NONE;
  return to_stack(cx);
}

INLINE int run_to_netdev(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_TO_NETDEV);
  if (!cx)
    return TC_ACT_SHOT;
  int verdict = parse_skb(skb, cx);
  if (verdict == CONTINUE) {
    if (!HAS(cx, TRANSLATING) || is_marked_done(cx))
      verdict = to_stack(cx);
    else
      verdict =
          cx->family == 4 ? to_netdev_of(skb, cx, config, 4) : to_netdev_of(skb, cx, config, 6);
  }
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_to_netdev(struct __sk_buff *skb) { return run_to_netdev(skb); }
