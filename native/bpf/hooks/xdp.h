/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hook "xdp": services reached from outside. Twin: src/datapath/hooks/xdp.ts. Input: an XDP frame.
 * Output: XDP_*. Invariant: no conntrack, no identity; what is not sent to another node goes to the
 * stack untouched. */
#pragma once
#include "../encapsulate.h"
#include "../fragment.h"
#include "../forward.h"
#include "../identity.h"
#include "../outcome.h"
#include "../parse.h"
#include "../plain_service.h"
#include "../service_flow.h"

INLINE int xdp_of(struct xdp_md *xdp, struct weir_context *cx, const struct weir_config *config,
                  const int family) {
  int verdict;
  if (!is_balanced(cx))
    return to_stack(cx);
  verdict = fragment(cx);
  if (verdict != CONTINUE)
    return verdict;
  struct weir_service *master;
  verdict = frontend_from_outside(cx, &master, family);
  if (verdict != CONTINUE)
    return verdict;
  if (!master)
    return to_stack(cx);
  /* externalTrafficPolicy Local and proxies are judged behind XDP, where the stack can still
   * answer. */
  if (cx->service_flags & (WEIR_SERVICE_FLAG_EXT_LOCAL | WEIR_SERVICE_FLAG_L7LB))
    return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_SERVICE);
  if (!HAS(cx, WEIR_FEATURE_DSR_IPIP) || !(cx->service_flags & WEIR_SERVICE_FLAG_FORWARD_DSR))
    return to_stack(cx);
  if (!weir_load.clock_from_map)
    cx->now = kernel_seconds();
  struct backend backend = {};
  verdict = select_backend(cx, config, master, &backend, family);
  if (verdict != CONTINUE)
    return verdict;
  __u32 own = config->node_id;
  if (own ? own == backend.node : !!find_endpoint(backend.address, family))
    return to_stack(cx);
  return encapsulate(xdp, cx, config, &backend, family);
}

/* Any packet, through all stages. */
RARE int run_with_care(struct xdp_md *xdp) {
  struct weir_config *config = config_of();
  struct weir_context *cx = context_slot();
  if (!config || !cx)
    return XDP_PASS;
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  begin(cx, config, WEIR_HOOK_XDP);
  if (weir_load.clock_from_map)
    begin_told(cx);
  else
    cx->ifindex = xdp->ingress_ifindex;
  int verdict = judge_frame(cx, parse_frame(cx, data, end, end - data));
  if (verdict == CONTINUE) {
    if (!HAS(cx, WEIR_FEATURE_NODE_PORT) || (cx->meta_flags & WEIR_META_FLAG_SKIP_SERVICE))
      verdict = to_stack(cx);
    else
      verdict = cx->family == 4 ? xdp_of(xdp, cx, config, 4) : xdp_of(xdp, cx, config, 6);
  }
  finish(cx, verdict);
  switch (cx->action) {
  case WEIR_ACTION_DROP:
    return XDP_DROP;
  case WEIR_ACTION_TX:
    return XDP_TX;
  case WEIR_ACTION_REDIRECT:
    return weir_load.recording ? XDP_REDIRECT : bpf_redirect(cx->out_ifindex, 0);
  default:
    return XDP_PASS;
  }
}

INLINE int run_xdp(struct xdp_md *xdp) {
  struct weir_config *config = config_of();
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  int action = GIVE_UP;
  if (!config)
    return XDP_PASS;
  if (data + ETHERNET_BYTES <= end) {
    __u32 type = *(p16 *)(data + 12);
    if (type == bpf_htons(ETHERTYPE_IPV4))
      action = run_plain(xdp, config, 4);
    else if (type == bpf_htons(ETHERTYPE_IPV6))
      action = run_plain(xdp, config, 6);
  }
  return likely(action != GIVE_UP) ? action : run_with_care(xdp);
}

SEC("xdp")
int weir_xdp(struct xdp_md *xdp) { return run_xdp(xdp); }
