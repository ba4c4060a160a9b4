/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "nat", the source's side: the node's address in place of a packet's source, and the
 * original back in place of an answer's destination. Twin: src/datapath/stages/snat.ts. Invariant:
 * a packet that keeps its address and port is not written to. */
#pragma once
#include "nat_mapping.h"

/* Takes the address that a node puts in place. `node` 0: the node that this dataplane is. `inside`:
 * towards a backend behind the overlay, the gateway's. Whether there is one. */
INLINE bool take_node_address(struct weir_context *cx, const struct weir_config *config, __u32 node,
                              const bool inside, const int family) {
  __u32 id = node ? node : config->node_id;
  bool overlay = inside && HAS(cx, WEIR_FEATURE_TUNNEL);
  if (family == 4) {
    struct weir_node4 *found = bpf_map_lookup_elem(&weir_nodes4, &id);
    if (!found)
      return false;
    cx->nat_address[0] = overlay && found->gateway ? found->gateway : found->address;
    return cx->nat_address[0];
  }
  struct weir_node6 *found = bpf_map_lookup_elem(&weir_nodes6, &id);
  if (!found)
    return false;
  const __u32 *gateway = (const __u32 *)found->gateway;
  const __u32 *address = (const __u32 *)found->address;
  if (overlay && (gateway[0] | gateway[1] | gateway[2] | gateway[3]))
    address = gateway;
  __u32 any = 0;
  for (int i = 0; i < 4; i++) {
    cx->nat_address[i] = address[i];
    any |= address[i];
  }
  return any;
}

/* Says in the mark that the packet's source was translated: to-netdev leaves it alone. */
INLINE void mark_done(struct weir_context *cx) {
  cx->mark = (cx->mark & ~WEIR_MARK_MASK) | WEIR_MARK_SNAT_DONE;
}

INLINE bool is_marked_done(const struct weir_context *cx) {
  return (cx->mark & WEIR_MARK_MASK) == WEIR_MARK_SNAT_DONE;
}

/* Whether the packet is an ICMP echo request, or its answer. */
INLINE bool is_echo(const struct weir_context *cx, const bool answer) {
  return cx->family == 4 ? cx->protocol == IPPROTO_ICMP_ && cx->icmp_type == (answer ? 0 : 8)
                         : cx->protocol == IPPROTO_ICMPV6_ && cx->icmp_type == (answer ? 129 : 128);
}

/* Whether the packet is of a protocol with ports, and has them. */
INLINE bool has_tuple(const struct weir_context *cx) {
  __u32 protocol = cx->protocol;
  return (protocol == IPPROTO_TCP_ || protocol == IPPROTO_UDP_ || protocol == IPPROTO_SCTP_) &&
         !cx->portless;
}

INLINE void apply_out_of(struct __sk_buff *skb, struct weir_context *cx, __u32 port,
                         const int family) {
  if (is_same_address(cx->source, cx->nat_address, family) && (cx->ports & 0xffff) == port)
    return;
  cx->record_flags |= WEIR_RECORD_FLAG_SNAT;
  bool echo = !has_tuple(cx);
  rewrite(skb, cx, true, cx->nat_address, echo ? cx->ports & 0xffff : port, family);
  if (echo)
    set_echo_id(skb, cx, port);
}

/* Puts cx->nat_address and the raw port in place of the source. */
RARE int apply_out(struct __sk_buff *skb, struct weir_context *cx, __u32 port) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    apply_out_of(skb, cx, port, 4);
  else
    apply_out_of(skb, cx, port, 6);
  return 0;
}

/* A client's packet that goes on to a backend on another node gets this node's address. */
INLINE int translate_out(struct __sk_buff *skb, struct weir_context *cx, __u32 flags) {
  int port = map_out(cx, flags);
  if (port < 0)
    return drop(cx, -port, WEIR_STAGE_NAT);
  apply_out(skb, cx, port);
  return CONTINUE;
}

/* Whether an answer to something that source NAT sent may look like this packet. */
INLINE bool may_be_answer(const struct weir_context *cx, const struct weir_config *config) {
  if (!has_tuple(cx) && !is_echo(cx, true))
    return false;
  return is_nat_port(config, cx->ports >> 16);
}

INLINE bool translate_back_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  set_tuple(cx, cx->source, cx->destination, back_ports(cx), cx->protocol, family);
  if (!find_back(cx))
    return false;
  __u32 port = cx->nat_port;
  if (is_same_address(cx->destination, cx->nat_address, family) && cx->ports >> 16 == port)
    return true;
  cx->record_flags |= WEIR_RECORD_FLAG_SNAT;
  bool echo = !has_tuple(cx);
  rewrite(skb, cx, false, cx->nat_address, echo ? cx->ports >> 16 : port, family);
  if (echo)
    set_echo_id(skb, cx, port);
  return true;
}

/* Puts the original back in place of an answer's destination. Whether there was a translation. */
RARE int translate_back(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return 0;
  return cx->family == 4 ? translate_back_of(skb, cx, 4) : translate_back_of(skb, cx, 6);
}
