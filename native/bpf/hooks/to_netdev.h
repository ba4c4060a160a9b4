/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "to-netdev": a packet leaves the node; answers of backends that no pod hook has translated
 * back are translated here. Twin: src/datapath/hooks/to-netdev.ts. */
#pragma once
#include "tc.h"

INLINE int to_netdev_of(struct __sk_buff *skb, struct weir_context *cx,
                        const struct weir_config *config, const int family) {
  int verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  if (!is_balanced(cx))
    return to_stack(cx);
  cx->owner_is_source = 1;
  cx->owner_flags = WEIR_CT_KEY_NODE;
  conntrack(cx, config, WEIR_HOOK_TO_NETDEV, family);
  if (cx->ct_status == WEIR_CT_REPLY)
    translate_from_backend(skb, cx, cx->ct_flags >> 16, false, family);
  /* What the node has no entry for is not new to anybody: this hook makes none. */
  if (cx->ct_status == WEIR_CT_NEW)
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
    if (!HAS(cx, WEIR_FEATURE_NODE_PORT))
      verdict = to_stack(cx);
    else
      verdict =
          cx->family == 4 ? to_netdev_of(skb, cx, config, 4) : to_netdev_of(skb, cx, config, 6);
  }
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_to_netdev(struct __sk_buff *skb) { return run_to_netdev(skb); }
