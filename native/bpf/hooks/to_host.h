/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "to-host": the node's own stack is about to get a packet, from a pod or from the network.
 * Twin: src/datapath/hooks/to-host.ts. Live, the hook before it calls it: nothing stands between
 * that and the stack. */
#pragma once
#include "../host.h"
#include "tc.h"

INLINE int to_host_of(struct weir_context *cx, const struct weir_config *config, const int family) {
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  if (!endpoint || !(endpoint->flags & WEIR_ENDPOINT_FLAG_HOST))
    return to_stack(cx);
  take_endpoint(cx, config, endpoint);
  cx->destination_identity = cx->endpoint_identity;
  int verdict = host_ingress(cx);
  return verdict == CONTINUE ? to_stack(cx) : verdict;
}

INLINE int run_to_host(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_TO_HOST);
  if (!cx)
    return TC_ACT_SHOT;
  int verdict = parse_skb(skb, cx);
  if (verdict != CONTINUE)
    verdict = host_unparsed(cx, verdict, false);
  else if (!HAS(cx, WEIR_FEATURE_HOST_FIREWALL))
    verdict = to_stack(cx);
  else
    verdict = cx->family == 4 ? to_host_of(cx, config, 4) : to_host_of(cx, config, 6);
  finish(cx, verdict);
  return carry_in(skb, cx);
}

/* The same behind another hook, of whose run nothing but the skb and its mark is left. */
RARE int deliver_to_host(struct __sk_buff *skb) { return run_to_host(skb); }

SEC("tc")
int weir_to_host(struct __sk_buff *skb) { return run_to_host(skb); }
