/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "from-netdev": a packet arrives from outside. Twin: src/datapath/hooks/from-netdev.ts. */
#pragma once
#include "../announce.h"
#include "../host.h"
#include "../nat_error.h"
#include "tc.h"

#define TRANSLATING                                                                                \
  (WEIR_FEATURE_NODE_PORT | WEIR_FEATURE_MASQUERADE_V4 | WEIR_FEATURE_MASQUERADE_V6)
/* XDP metadata: the service lookup was made there. */
#define SERVICE_DONE 1
/* The identifier in a tag. */
#define VLAN_ID 0xfff

/* Service lookup, translation and the node's conntrack entry, unless that was done before. */
INLINE int balance_from_outside(struct __sk_buff *skb, struct weir_context *cx,
                                const struct weir_config *config, const int family) {
  if (!HAS(cx, WEIR_FEATURE_NODE_PORT) || (cx->meta_flags & WEIR_META_FLAG_SKIP_SERVICE) ||
      (cx->xdp_metadata & SERVICE_DONE))
    return CONTINUE;
  struct weir_service *master;
  int verdict = frontend_from_outside(cx, &master, family);
  if (verdict != CONTINUE || !master)
    return verdict;
  struct backend backend = {};
  cx->owner_is_source = 0;
  verdict = balance(cx, config, master, cx->ports >> 16, WEIR_SCOPE_EXTERNAL, WEIR_CT_KEY_NODE,
                    &backend, family);
  if (verdict != CONTINUE || !backend.address)
    return verdict;
  bool local = is_local_backend(config, backend.address, backend.node, family);
  if (!local) {
    if (cx->service_flags & WEIR_SERVICE_FLAG_HOST_PORT)
      return drop(cx, WEIR_DROP_INVALID, WEIR_STAGE_NAT);
    /* One dataplane for every node has no address of its own: the backend's node is here, too. */
    local = !config->node_id && backend.node;
    if (!local && !take_node_address(cx, config, 0, true, family))
      return drop(cx, WEIR_DROP_SNAT_NO_MAP_FOUND, WEIR_STAGE_NAT);
  }
  verdict = translate_to_backend(skb, cx, &backend, family);
  if (verdict != CONTINUE)
    return verdict;
  cx->owner_is_source = 0;
  cx->owner_flags = WEIR_CT_KEY_NODE;
  cx->remote_identity = cx->source_identity;
  conntrack(cx, config, WEIR_HOOK_FROM_NETDEV, family);
  if (cx->ct_status == WEIR_CT_NEW)
    verdict = create_connection(cx);
  if (local || verdict != CONTINUE)
    return verdict;
  verdict = translate_out(skb, cx, WEIR_NAT_FLAG_NODE_PORT);
  if (verdict != CONTINUE)
    return verdict;
  mark_done(cx);
  return forward_out(skb, cx);
}

/* The frontend becomes the source again: that of the connection, or where its entry was lost that
 * of the translation. */
INLINE void answer_of_backend(struct __sk_buff *skb, struct weir_context *cx,
                              const struct weir_config *config, const int family) {
  cx->owner_is_source = 1;
  cx->owner_flags = WEIR_CT_KEY_NODE;
  conntrack(cx, config, WEIR_HOOK_FROM_NETDEV, family);
  bool reply = cx->ct_status == WEIR_CT_REPLY;
  if (!reply)
    cx->ct_status = WEIR_CT_NONE;
  translate_from_backend(skb, cx, reply ? cx->ct_flags >> 16 : cx->nat_reverse, false, family);
}

INLINE int from_translated_of(struct __sk_buff *skb, struct weir_context *cx,
                              const struct weir_config *config, const int family) {
  bool found =
      cx->related ? error_back(skb, cx) : may_be_answer(cx, config) && translate_back(skb, cx);
  if (!found)
    return CONTINUE;
  __u32 flags = cx->nat_flags;
  if (flags & WEIR_NAT_FLAG_NODE_PORT) {
    if (!cx->related)
      answer_of_backend(skb, cx, config, family);
    mark_done(cx);
    return forward_out(skb, cx);
  }
  if ((flags & WEIR_NAT_FLAG_NEEDS_CT) && !cx->related) {
    cx->owner_is_source = 0;
    cx->owner_flags = WEIR_CT_KEY_NODE;
    conntrack(cx, config, WEIR_HOOK_FROM_NETDEV, family);
    if (cx->ct_status == WEIR_CT_NEW)
      cx->ct_status = WEIR_CT_NONE;
  }
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  return endpoint ? to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL) : to_stack(cx);
}

/* What may be an answer to something whose source was translated: back to the client of a frontend,
 * to the masqueraded pod, to the node itself. CONTINUE: it is not. */
RARE int from_translated(struct __sk_buff *skb, struct weir_context *cx) {
  struct weir_config *config = config_of();
  if (!cx || !config)
    return CONTINUE;
  return cx->family == 4 ? from_translated_of(skb, cx, config, 4)
                         : from_translated_of(skb, cx, config, 6);
}

INLINE int from_netdev_of(struct __sk_buff *skb, struct weir_context *cx,
                          const struct weir_config *config, const int family) {
  int verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  cx->source_identity = identity_of_source(cx);
  verdict = balance_from_outside(skb, cx, config, family);
  if (verdict != CONTINUE)
    return verdict;
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  /* What is for a frontend of the node itself is no answer to it. */
  if ((!endpoint || (endpoint->flags & WEIR_ENDPOINT_FLAG_HOST)) && HAS(cx, TRANSLATING) &&
      !cx->backend_id) {
    verdict = from_translated(skb, cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  return endpoint ? to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL) : to_stack(cx);
}

/* Tagged frames, whatever is in them: with the filter on, VLANs that are not listed are dropped.
 * Whoever the tag is for gets the others from the stack as they came. VLAN 0 is a priority tag and
 * no VLAN. */
INLINE int leave_tagged(struct __sk_buff *skb, struct weir_context *cx) {
  __u16 tag = 0;
  __u32 id = skb->vlan_tci & VLAN_ID;
  cx->drop_reason = 0;
  if (!HAS(cx, WEIR_FEATURE_VLAN_FILTER))
    return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
  if (!skb->vlan_present)
    id = bpf_skb_load_bytes(skb, ETHERNET_BYTES, &tag, 2) ? 0 : bpf_ntohs(tag) & VLAN_ID;
  return !id || bpf_map_lookup_elem(&weir_vlans, &id)
             ? forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE)
             : drop(cx, WEIR_DROP_VLAN_FILTERED, WEIR_STAGE_PARSE);
}

INLINE int run_from_netdev(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  if (!config)
    return TC_ACT_SHOT;
  struct weir_context *cx = begin_skb(skb, config, WEIR_HOOK_FROM_NETDEV);
  if (!cx)
    return TC_ACT_SHOT;
  int verdict = parse_skb(skb, cx);
  /* Not for pods, which would get it with its tag; one that the device has taken out of the frame
   * counts, too. */
  if (cx->vlan_count || skb->vlan_present)
    verdict = leave_tagged(skb, cx);
  else {
    if (HAS(cx, WEIR_FEATURE_L2_RESPONDER) && is_question(cx, verdict)) {
      int answered = answer_neighbour(skb, cx);
      if (answered != CONTINUE)
        return finish_skb(skb, cx, answered);
    }
    if (verdict == CONTINUE)
      verdict =
          cx->family == 4 ? from_netdev_of(skb, cx, config, 4) : from_netdev_of(skb, cx, config, 6);
    else
      verdict = host_unparsed(cx, verdict, false);
  }
  return finish_answered(skb, cx, verdict);
}

SEC("tc")
int weir_from_netdev(struct __sk_buff *skb) { return into_host(skb, run_from_netdev(skb)); }
