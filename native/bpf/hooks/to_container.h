/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "to-container": a packet reaches a pod. Twin: src/datapath/hooks/to-container.ts. */
#pragma once
#include "../pod_error.h"
#include "tc.h"

INLINE int to_container_of(struct __sk_buff *skb, struct weir_context *cx,
                           const struct weir_config *config, const int family) {
  int verdict;
  if (family == 6 && is_neighbour_discovery(cx))
    return forwarded(cx, WEIR_ACTION_DELIVER, WEIR_STAGE_PARSE);
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  if (!endpoint)
    return drop(cx, WEIR_DROP_UNKNOWN_TARGET, WEIR_STAGE_FORWARD);
  take_endpoint(cx, config, endpoint);
  cx->destination_identity = cx->endpoint_identity;
  verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  conntrack(cx, config, WEIR_HOOK_TO_CONTAINER, family);
  __u32 status = cx->ct_status;
  if (status == WEIR_CT_NEW) {
    if (HAS(cx, WEIR_FEATURE_NODE_PORT) && !cx->related)
      find_node_connection(cx, family);
  } else if (cx->ct_found) {
    __u32 reverse_nat = cx->ct_flags >> 16;
    if (status == WEIR_CT_REPLY && reverse_nat &&
        !(cx->ct_flags & (WEIR_CT_FLAG_NODE_PORT | WEIR_CT_FLAG_LOOPBACK)))
      translate_from_backend(skb, cx, reverse_nat, false, family);
    cx->reverse_nat = reverse_nat;
  }
  verdict = policy(cx);
  cx->source_identity = cx->remote_identity;
  if (verdict != CONTINUE)
    return verdict;
  if (status == WEIR_CT_NEW) {
    verdict = create_connection(cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  if (cx->proxy_port)
    return to_proxy(cx);
  if (unlikely(cx->related))
    translate_pod_error(skb, cx);
  cx->out_ifindex = cx->endpoint_ifindex;
  return forwarded(cx, WEIR_ACTION_DELIVER, WEIR_STAGE_FORWARD);
}

INLINE int run_to_container(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_TO_CONTAINER);
  if (!cx)
    return TC_ACT_SHOT;
  int verdict = parse_skb(skb, cx);
  if (verdict == CONTINUE)
    verdict =
        cx->family == 4 ? to_container_of(skb, cx, config, 4) : to_container_of(skb, cx, config, 6);
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_to_container(struct __sk_buff *skb) { return run_to_container(skb); }
