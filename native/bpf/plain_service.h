/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The quick way through xdp: a whole TCP or UDP packet for no service, or for a frontend whose
 * settled Maglev slot names a serving backend on another node. Input: the frame. Output: XDP_*, or
 * GIVE_UP with nothing changed: then the packet goes through the stages with all care. Invariant:
 * the same answer as theirs; the context is local, so that what it holds is in registers. */
#pragma once
#include "encapsulate.h"
#include "identity.h"
#include "outcome.h"
#include "plain_parse.h"
#include "service_flow.h"

/* Sends on what is for no service. */
INLINE int pass_plain(struct weir_context *cx) {
  finish_of(cx, to_stack(cx), true);
  return XDP_PASS;
}

INLINE int balance_plain(struct xdp_md *xdp, struct weir_context *cx,
                         const struct weir_config *config, const struct weir_service *master,
                         const int family) {
  const __u32 careful = WEIR_SERVICE_FLAG_SOURCE_RANGE | WEIR_SERVICE_FLAG_EXT_LOCAL |
                        WEIR_SERVICE_FLAG_L7LB | WEIR_SERVICE_FLAG_AFFINITY;
  __u32 algorithm = master->target >> 24;
  if (!algorithm)
    algorithm = config->algorithm;
  const __u32 needed = WEIR_SERVICE_FLAG_ROUTABLE | WEIR_SERVICE_FLAG_FORWARD_DSR;
  if ((master->flags & (careful | needed)) != needed || algorithm != WEIR_ALGORITHM_MAGLEV ||
      !master->count || !HAS(cx, WEIR_FEATURE_DSR_IPIP))
    return GIVE_UP;
  __u32 reverse_nat = master->reverse_nat;
  __u32 hash = maglev_hash(cx, config, family);
  /* Now, beside the lookup that follows, and not behind it. */
  HIDE(hash);
  __s64 slot = family == 4 ? maglev_slot(bpf_map_lookup_elem(&weir_maglev4, &reverse_nat), hash,
                                         maglev_slots(config))
                           : maglev_slot(bpf_map_lookup_elem(&weir_maglev6, &reverse_nat), hash,
                                         maglev_slots(config));
  struct backend backend;
  if (slot < 0 || (slot & WEIR_MAGLEV_SLOT_MOVING) || !may_serve(cx, slot, &backend, family))
    return GIVE_UP;
  __u32 own = config->node_id;
  if (own ? own == backend.node : !!find_endpoint(backend.address, family))
    return GIVE_UP;
  cx->reverse_nat = reverse_nat;
  cx->backend_id = slot;
  if (!weir_load.clock_from_map)
    cx->ifindex = xdp->ingress_ifindex;
  int verdict = encapsulate(xdp, cx, config, &backend, family);
  /* A drop, which is reported: the packet is as it was. */
  if (verdict != WEIR_VERDICT_FORWARDED)
    return GIVE_UP;
  finish_of(cx, verdict, true);
  /* The first decision of a flow is what xdp reports. */
  if (HAS(cx, WEIR_FEATURE_EVENTS) && is_opening(cx) && !probing(cx))
    write_event(cx, WEIR_EVENT_TRACE, point_of(cx));
  return cx->action == WEIR_ACTION_TX ? XDP_TX
         : weir_load.recording        ? XDP_REDIRECT
                                      : bpf_redirect(cx->out_ifindex, 0);
}

/* Whether the destination may have a wildcard entry: by a bit of its address's hash. */
INLINE bool may_be_wildcard(const struct weir_context *cx, const int family) {
  const __u32 *address = cx->destination;
  if (!weir_load.wildcard_filter)
    return true;
  __u32 hash = address[0] * 0x9e3779b1u;
  if (family == 6)
    hash += address[1] * 0x85ebca6bu + address[2] * 0xc2b2ae35u + address[3] * 0x27d4eb2fu;
  __u32 word = hash >> 24;
  struct weir_wildcard_bits *bits = bpf_map_lookup_elem(&weir_wildcards, &word);
  return !bits || (bits->bits >> ((hash >> 18) & 63) & 1);
}

/* A packet of one family behind an untagged Ethernet header. */
INLINE int run_plain(struct xdp_md *xdp, const struct weir_config *config, const int family) {
  const __u32 needed =
      WEIR_FEATURE_NODE_PORT | (family == 4 ? WEIR_FEATURE_IPV4 : WEIR_FEATURE_IPV6);
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  struct weir_context quick;
  struct weir_context *cx = &quick;
  begin(cx, config, WEIR_HOOK_XDP);
  if ((cx->features & needed) != needed || data + PLAIN_BYTES(family) > end)
    return GIVE_UP;
  if (weir_load.clock_from_map) {
    begin_told(cx);
    if (cx->meta_flags & WEIR_META_FLAG_SKIP_SERVICE)
      return GIVE_UP;
  }
  if (!parse_plain(cx, data, end - data, family))
    return GIVE_UP;
  struct weir_service *master = find_service(cx, cx->ports >> 16, cx->protocol, family);
  if (master)
    return balance_plain(xdp, cx, config, master, family);
  return may_be_wildcard(cx, family) && find_service(cx, 0, 0, family) ? GIVE_UP : pass_plain(cx);
}
