/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "forward": a local endpoint, a proxy, a route's next hop, or the stack. Twin:
 * src/datapath/stages/forward.ts. Input: the translated packet. Output: action, interface, next-hop
 * MACs; hop count and MACs of the packet. Routes and neighbours are the contract's own maps
 * (weir_routes, weir_neighbours), read as the simulator reads them, and not bpf_fib_lookup: so both
 * engines send a packet the same way without a network namespace that must mirror the maps. */
#pragma once
#include "bandwidth.h"
#include "identity.h"
#include "nat.h"

#define ROUTE_LOCAL_OR_TUNNEL (WEIR_ROUTE_FLAG_LOCAL | WEIR_ROUTE_FLAG_TUNNEL)
/* In the byte of an IPv4 header's flags. */
#define DONT_FRAGMENT_BYTE 0x40

INLINE int to_stack(struct weir_context *cx) {
  return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_FORWARD);
}

/* Hands the packet to the proxy whose raw port is in cx->proxy_port. */
INLINE int to_proxy(struct weir_context *cx) {
  forwarded(cx, WEIR_ACTION_PROXY, WEIR_STAGE_FORWARD);
  return WEIR_VERDICT_REDIRECTED;
}

/* Puts the next hop's MAC and the own one in place; zeros mean "unchanged". */
INLINE void rewrite_macs(struct __sk_buff *skb, struct weir_context *cx, const void *macs) {
  const p16 *from = macs;
  __u32 w0 = from[0] | ((__u32)from[1] << 16);
  __u32 w1 = from[2] | ((__u32)from[3] << 16);
  __u32 w2 = from[4] | ((__u32)from[5] << 16);
  if (!(w0 | w1 | w2))
    return;
  cx->macs[0] = w0;
  cx->macs[1] = w1;
  cx->macs[2] = w2;
  void *data = DATA(skb);
  if (data + 12 > DATA_END(skb))
    return;
  if (w0 | (w1 & 0xffff)) {
    *(p32 *)data = w0;
    *(p16 *)(data + 4) = w1;
  }
  if ((w1 >> 16) | w2) {
    *(p16 *)(data + 6) = w1 >> 16;
    *(p32 *)(data + 8) = w2;
  }
}

/* The sender is told, where the node has an address for that. */
INLINE int no_hop_left(struct weir_context *cx) {
  cx->answer = WEIR_ANSWER_TIME_EXCEEDED;
  return drop(cx, WEIR_DROP_TTL_EXCEEDED, WEIR_STAGE_FORWARD);
}

/* A packet over the MTU of its route. The stack fragments what may be; with path MTU discovery the
 * sender of what may not be is told (136). */
INLINE int too_big(struct __sk_buff *skb, struct weir_context *cx, __u32 mtu, const int family) {
  __u8 flags = DONT_FRAGMENT_BYTE;
  if (family == 4)
    bpf_skb_load_bytes(skb, (cx->l3 & L3_MASK) + 6, &flags, 1);
  if (!HAS(cx, WEIR_FEATURE_PMTU_DISCOVERY) || !(flags & DONT_FRAGMENT_BYTE))
    return to_stack(cx);
  cx->answer = WEIR_ANSWER_TOO_BIG;
  cx->answer_mtu = mtu;
  return drop(cx, WEIR_DROP_FRAG_NEEDED, WEIR_STAGE_FORWARD);
}

/* Delivers to a local endpoint: one hop is taken, the MACs become the endpoint's. The host's own
 * address: the stack, or to-host where it has a policy. `action`: LOCAL, or REDIRECT past
 * to-container. */
INLINE int to_endpoint(struct __sk_buff *skb, struct weir_context *cx,
                       const struct weir_endpoint *endpoint, int action) {
  if (!cx->destination_identity)
    cx->destination_identity = endpoint->identity;
  if (endpoint->flags & WEIR_ENDPOINT_FLAG_HOST)
    return HAS(cx, WEIR_FEATURE_HOST_FIREWALL) ? forwarded(cx, WEIR_ACTION_HOST, WEIR_STAGE_FORWARD)
                                               : to_stack(cx);
  if (!take_hop(skb, cx))
    return no_hop_left(cx);
  /* Nobody limits what stays on the node, and its device has other queues. */
  set_aggregate(skb, cx, 0);
  cx->out_ifindex = endpoint->ifindex;
  rewrite_macs(skb, cx, endpoint->mac);
  return forwarded(cx, action, WEIR_STAGE_FORWARD);
}

INLINE int to_route_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct weir_route *route;
  if (family == 4) {
    __u32 key[2] = {32, cx->destination[0]};
    route = bpf_map_lookup_elem(&weir_routes4, key);
  } else {
    __u32 key[5] = {128, cx->destination[0], cx->destination[1], cx->destination[2],
                    cx->destination[3]};
    route = bpf_map_lookup_elem(&weir_routes6, key);
  }
  if (!route)
    return to_stack(cx);
  __u32 mtu = route->mtu;
  __u32 size = cx->gso_size ? cx->gso_size + cx->payload - cx->l3 : cx->l3_length;
  if (route->flags & ROUTE_LOCAL_OR_TUNNEL)
    return to_stack(cx);
  if (mtu && (__s32)size > (__s32)mtu)
    return too_big(skb, cx, mtu, family);
  __u32 gateway[4];
  __builtin_memcpy(gateway, route->gateway, 16);
  bool on_link = !(gateway[0] | gateway[1] | gateway[2] | gateway[3]);
  struct weir_neighbour *hop;
  __u32 ifindex = route->ifindex;
  if (family == 4) {
    __u32 key[2] = {ifindex, on_link ? cx->destination[0] : gateway[0]};
    hop = bpf_map_lookup_elem(&weir_neighbours4, key);
  } else {
    __u32 key[5] = {ifindex};
    for (int i = 0; i < 4; i++)
      key[1 + i] = on_link ? cx->destination[i] : gateway[i];
    hop = bpf_map_lookup_elem(&weir_neighbours6, key);
  }
  if (!hop)
    return to_stack(cx);
  if (!take_hop(skb, cx))
    return no_hop_left(cx);
  cx->out_ifindex = ifindex;
  rewrite_macs(skb, cx, hop);
  return forwarded(cx, WEIR_ACTION_REDIRECT, WEIR_STAGE_FORWARD);
}

/* Redirects by route and neighbour. No route, a local or tunnel one, no neighbour: the stack. */
RARE int to_route(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return WEIR_VERDICT_ERROR;
  return cx->family == 4 ? to_route_of(skb, cx, 4) : to_route_of(skb, cx, 6);
}

/* Where a packet goes that no endpoint here is to get: by the route table, or to the stack. */
INLINE int forward_out(struct __sk_buff *skb, struct weir_context *cx) { return to_route(skb, cx); }

/* Where a packet of a pod goes: a local endpoint; else by the route table; else the stack. */
INLINE int forward_from_pod(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct weir_endpoint *endpoint = find_endpoint(cx->destination, family);
  return endpoint ? to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL) : to_route(skb, cx);
}
