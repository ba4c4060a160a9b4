/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "from-container": a pod sends. Twin: src/datapath/hooks/from-container.ts. */
#pragma once
#include "tc.h"

/* The endpoint that sends, found by the packet's source address. */
INLINE int sender(struct weir_context *cx, const struct weir_config *config, const int family) {
  bool checked = HAS(cx, WEIR_FEATURE_SOURCE_CHECK);
  struct weir_endpoint *endpoint = find_endpoint(cx->source, family);
  if (!endpoint)
    return drop(cx, checked ? WEIR_DROP_INVALID_SOURCE_IP : WEIR_DROP_UNKNOWN_SENDER,
                WEIR_STAGE_PARSE);
  take_endpoint(cx, config, endpoint);
  if (checked && cx->ifindex && cx->ifindex != cx->endpoint_ifindex &&
      !(cx->endpoint_flags & WEIR_ENDPOINT_FLAG_NO_SOURCE_CHECK)) {
    cx->endpoint_id = 0;
    return drop(cx, WEIR_DROP_INVALID_SOURCE_IP, WEIR_STAGE_PARSE);
  }
  cx->source_identity = cx->endpoint_identity;
  return CONTINUE;
}

INLINE int from_container_of(struct __sk_buff *skb, struct weir_context *cx,
                             const struct weir_config *config, const int family) {
  int verdict;
  if (family == 6 && is_neighbour_discovery(cx))
    return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
  verdict = sender(cx, config, family);
  if (verdict != CONTINUE)
    return verdict;
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
  bool answers = cx->ct_status == WEIR_CT_REPLY || cx->ct_status == WEIR_CT_RELATED;
  if (answers && (cx->ct_flags & (WEIR_CT_FLAG_LOOPBACK | WEIR_CT_FLAG_NODE_PORT))) {
    bool hairpin = cx->ct_status == WEIR_CT_REPLY && (cx->ct_flags & WEIR_CT_FLAG_LOOPBACK);
    translate_from_backend(skb, cx, cx->ct_flags >> 16, hairpin, family);
    if (hairpin) {
      /* Straight to the pod, past its ingress policy: its source is the frontend now. */
      struct weir_endpoint *pod = find_endpoint(cx->destination, family);
      return pod ? to_endpoint(skb, cx, pod, WEIR_ACTION_REDIRECT)
                 : drop(cx, WEIR_DROP_UNKNOWN_TARGET, WEIR_STAGE_FORWARD);
    }
  }
  verdict = forward_from_pod(skb, cx, family);
  if (cx->action == WEIR_ACTION_LOCAL || cx->action == WEIR_ACTION_STACK)
    cx->mark = identity_mark(cx->source_identity);
  return verdict;
}

INLINE int run_from_container(struct __sk_buff *skb) {
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
  return finish_skb(skb, cx, verdict);
}

SEC("tc")
int weir_from_container(struct __sk_buff *skb) { return run_from_container(skb); }
