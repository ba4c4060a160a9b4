/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "from-host": the node's own stack sends towards a pod; the node's own policy where there is
 * a host firewall. Twin: src/datapath/hooks/from-host.ts. */
#pragma once
#include "../host.h"
#include "tc.h"

INLINE int from_host_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  bool to_host = endpoint && (endpoint->flags & WEIR_ENDPOINT_FLAG_HOST);
  if (HAS(cx, WEIR_FEATURE_HOST_FIREWALL)) {
    int verdict = fragment(cx);
    if (verdict != CONTINUE)
      return verdict;
    verdict = host_egress(cx, to_host ? endpoint->node_id : -1);
    if (verdict != CONTINUE)
      return verdict;
  }
  /* The node of the host that sends, where it has been looked for. */
  __u32 own = cx->endpoint_node;
  if (!endpoint) {
    cx->source_identity = identity_of_source(cx);
    return to_stack(cx);
  }
  /* The node rule needs to know on which node the pod is: the sender is that node's stack. */
  cx->endpoint_node = endpoint->node_id;
  cx->source_identity = identity_of_source(cx);
  /* A node that talks to itself. */
  if (own && own == cx->endpoint_node && to_host)
    return to_stack(cx);
  int verdict = to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL);
  if (cx->source_identity == WEIR_IDENTITY_HOST && cx->action == WEIR_ACTION_LOCAL)
    cx->meta_flags |= WEIR_META_FLAG_FROM_HOST;
  /* No mark crosses the wire: to another node this is a packet from the network. */
  if (own && cx->action == WEIR_ACTION_HOST)
    cx->mark = 0;
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
  else
    verdict = host_unparsed(cx, verdict, true);
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_from_host(struct __sk_buff *skb) { return into_host(skb, run_from_host(skb)); }
