/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "from-host": the node's own stack sends towards a pod. Twin:
 * src/datapath/hooks/from-host.ts. */
#pragma once
#include "tc.h"

INLINE int from_host_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  if (!endpoint) {
    cx->source_identity = identity_of_source(cx);
    return to_stack(cx);
  }
  /* The node rule needs to know on which node the pod is: the sender is that node's stack. */
  cx->endpoint_node = endpoint->node_id;
  cx->source_identity = identity_of_source(cx);
  int verdict = to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL);
  if (cx->source_identity == WEIR_IDENTITY_HOST && cx->action == WEIR_ACTION_LOCAL)
    cx->meta_flags |= WEIR_META_FLAG_FROM_HOST;
  return verdict;
}

INLINE int run_from_host(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_FROM_HOST);
  if (!cx)
    return TC_ACT_SHOT;
  int verdict = parse_skb(skb, cx);
  if (verdict == CONTINUE)
    verdict = cx->family == 4 ? from_host_of(skb, cx, 4) : from_host_of(skb, cx, 6);
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_from_host(struct __sk_buff *skb) { return run_from_host(skb); }
