/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "from-container": a pod sends. Twin: src/datapath/hooks/from-container.ts. */
#pragma once
#include "../plain_connection.h"
#include "../pod_error.h"
#include "../sender.h"
#include "tc.h"

INLINE int from_container_of(struct __sk_buff *skb, struct weir_context *cx,
                             const struct weir_config *config, const int family) {
  int verdict;
  if (family == 6 && is_neighbour_discovery(cx))
    return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
  verdict = sender(cx, config, family);
  if (verdict != CONTINUE)
    return verdict;
  set_aggregate(skb, cx, cx->endpoint_flags & WEIR_ENDPOINT_FLAG_LIMITED ? cx->endpoint_id : 0);
  verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  cx->owner_is_source = 1;
  if (!(cx->meta_flags & WEIR_META_FLAG_SKIP_SERVICE)) {
    struct backend backend = {};
    verdict = service(cx, config, &backend, family);
    if (verdict != CONTINUE)
      return verdict;
    /* The address and not the id: the verifier sees that there is one. */
    if (backend.address) {
      verdict = translate_to_backend(skb, cx, &backend, family);
      if (verdict != CONTINUE)
        return verdict;
      /* A hairpin's connection belongs to the pod as the backend that it is. */
      if (cx->loopback)
        cx->owner_is_source = 0;
    }
  }
  conntrack(cx, config, WEIR_HOOK_FROM_CONTAINER, family);
  verdict = policy(cx);
  cx->destination_identity = cx->remote_identity;
  if (verdict != CONTINUE)
    return verdict;
  if (cx->ct_status == WEIR_CT_NEW) {
    verdict = create_connection(cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  if (cx->proxy_port)
    return to_proxy(cx);
  if (unlikely(cx->related))
    translate_pod_error(skb, cx);
  else if (cx->ct_status == WEIR_CT_REPLY &&
           (cx->ct_flags & (WEIR_CT_FLAG_LOOPBACK | WEIR_CT_FLAG_NODE_PORT))) {
    bool hairpin = cx->ct_flags & WEIR_CT_FLAG_LOOPBACK;
    translate_from_backend(skb, cx, cx->ct_flags >> 16, hairpin, family);
    if (hairpin) {
      /* Straight to the pod, past its ingress policy: its source is the frontend now. */
      struct weir_endpoint *pod = find_endpoint(cx->destination, family);
      return pod ? to_endpoint(skb, cx, pod, WEIR_ACTION_REDIRECT)
                 : drop(cx, WEIR_DROP_UNKNOWN_TARGET, WEIR_STAGE_FORWARD);
    }
  }
  verdict = forward_from_pod(skb, cx, family);
  if (cx->action == WEIR_ACTION_LOCAL || cx->action == WEIR_ACTION_STACK ||
      cx->action == WEIR_ACTION_HOST)
    cx->mark = identity_mark(cx->source_identity);
  return verdict;
}

/* Any packet, through all stages. */
RARE int from_container_with_care(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_FROM_CONTAINER);
  if (!cx)
    return TC_ACT_SHOT;
  cx->egress = 1;
  int verdict = parse_skb(skb, cx);
  if (verdict == CONTINUE)
    verdict = cx->family == 4 ? from_container_of(skb, cx, config, 4)
                              : from_container_of(skb, cx, config, 6);
  return finish_answered(skb, cx, verdict);
}

INLINE int run_from_container(struct __sk_buff *skb) {
  int action = GIVE_UP;
  void *data = DATA(skb);
  if (data + ETHERNET_BYTES <= DATA_END(skb)) {
    __u32 type = *(p16 *)(data + 12);
    if (type == bpf_htons(ETHERTYPE_IPV4)) {
      action = follow4(skb);
      if (unlikely(action == GIVE_UP))
        action = connection_plain4(skb);
    } else if (type == bpf_htons(ETHERTYPE_IPV6)) {
      action = follow6(skb);
      if (unlikely(action == GIVE_UP))
        action = connection_plain6(skb);
    }
  }
  return likely(action != GIVE_UP) ? action : from_container_with_care(skb);
}

SEC("tc")
int weir_from_container(struct __sk_buff *skb) { return into_host(skb, run_from_container(skb)); }
