/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "host": the policy of the node itself, the host firewall. Twin:
 * src/datapath/stages/host.ts. Input: a packet that the node's stack gets or sends. Output:
 * CONTINUE or a verdict; conntrack entries of the node as of any endpoint. Invariant: run only
 * where HOST_FIREWALL is on; what a node sends itself is not judged. */
#pragma once
#include "forward.h"
#include "fragment.h"
#include "policy.h"

#define HOST_POLICED 0
#define HOST_PASSES 1
#define HOST_FORBIDDEN 2

/* ICMPv6 that a node cannot do without passes, what has no business at a node is forbidden, an echo
 * is the policies' affair (RFC 4890). */
INLINE int host_icmpv6(const struct weir_context *cx) {
  if (cx->protocol != IPPROTO_ICMPV6_ || cx->family != 6)
    return HOST_POLICED;
  __u32 type = cx->icmp_type;
  if (type == 128 || type == 129)
    return HOST_POLICED;
  if ((type >= 1 && type <= 4) || (type >= 130 && type <= 136) || type == 138 ||
      (type >= 141 && type <= 143) || type == 148 || type == 149 || (type >= 151 && type <= 153))
    return HOST_PASSES;
  return HOST_FORBIDDEN;
}

/* Finds the host's connection. */
RARE int host_conntrack(struct weir_context *cx) {
  struct weir_config *config = config_of();
  if (!cx || !config)
    return 0;
  if (cx->family == 4)
    conntrack(cx, config, WEIR_HOOK_TO_HOST, 4);
  else
    conntrack(cx, config, WEIR_HOOK_TO_HOST, 6);
  return 0;
}

/* A packet that may pass: a new connection gets its entry, a redirected one goes to its proxy. */
INLINE int host_admit(struct weir_context *cx) {
  if (cx->ct_status == WEIR_CT_NEW) {
    int verdict = create_connection(cx);
    if (verdict != CONTINUE)
      return verdict;
  }
  return cx->proxy_port ? to_proxy(cx) : CONTINUE;
}

/* Ingress of the host whose endpoint is the context's. */
INLINE int host_ingress(struct weir_context *cx) {
  int message = host_icmpv6(cx);
  if (message == HOST_PASSES)
    return CONTINUE;
  if (message == HOST_FORBIDDEN)
    return drop(cx, WEIR_DROP_FORBIDDEN_ICMP6, WEIR_STAGE_PARSE);
  int verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  cx->owner_is_source = 0;
  host_conntrack(cx);
  verdict = policy(cx);
  cx->source_identity = cx->remote_identity;
  return verdict == CONTINUE ? host_admit(cx) : verdict;
}

/* Egress of the host, if the source is one. What only bears its address (its mark tells) is not
 * judged, but gets an entry, so that its answers are no new connections to the node. `to_host`: the
 * node of the destination, if that is a host, else -1. */
INLINE int host_egress_of(struct weir_context *cx, int to_host, const int family) {
  struct weir_config *config = config_of();
  struct weir_endpoint *endpoint = find_endpoint(cx->source, family);
  if (!config || !endpoint || !(endpoint->flags & WEIR_ENDPOINT_FLAG_HOST))
    return CONTINUE;
  take_endpoint(cx, config, endpoint);
  if (to_host == cx->endpoint_node)
    return CONTINUE;
  int message = host_icmpv6(cx);
  if (message == HOST_PASSES)
    return CONTINUE;
  if (message == HOST_FORBIDDEN)
    return drop(cx, WEIR_DROP_FORBIDDEN_ICMP6, WEIR_STAGE_PARSE);
  cx->owner_is_source = 1;
  cx->owner_flags = 0;
  cx->egress = 1;
  host_conntrack(cx);
  if ((cx->mark & MARK_MASK) != MARK_IDENTITY) {
    cx->source_identity = WEIR_IDENTITY_HOST;
    int verdict = policy(cx);
    cx->destination_identity = cx->remote_identity;
    if (verdict != CONTINUE)
      return verdict;
  } else if (cx->ct_status == WEIR_CT_NEW)
    cx->remote_identity = identity_of_destination(cx);
  return host_admit(cx);
}

RARE int host_egress(struct weir_context *cx, int to_host) {
  if (!cx)
    return CONTINUE;
  return cx->family == 4 ? host_egress_of(cx, to_host, 4) : host_egress_of(cx, to_host, 6);
}

/* What parsing has handed to the stack although it is IP: a node with a policy neither gets nor
 * sends it, since no policy could be asked. `source`: whether the source is the node in question,
 * else the destination. */
INLINE int host_unparsed(struct weir_context *cx, int verdict, const bool source) {
  if (!HAS(cx, WEIR_FEATURE_HOST_FIREWALL) || verdict != WEIR_VERDICT_FORWARDED)
    return verdict;
  struct weir_endpoint *endpoint = NULL;
  if (cx->family == 4 && HAS(cx, WEIR_FEATURE_IPV4))
    endpoint = find_endpoint(source ? cx->source : cx->destination, 4);
  else if (cx->family == 6 && HAS(cx, WEIR_FEATURE_IPV6))
    endpoint = find_endpoint(source ? cx->source : cx->destination, 6);
  if (!endpoint || !(endpoint->flags & WEIR_ENDPOINT_FLAG_HOST) || !endpoint->policy_id)
    return verdict;
  bool icmp = cx->protocol == IPPROTO_ICMP_ || cx->protocol == IPPROTO_ICMPV6_;
  return drop(cx, icmp ? WEIR_DROP_INVALID : WEIR_DROP_CT_UNKNOWN_PROTOCOL, WEIR_STAGE_PARSE);
}
