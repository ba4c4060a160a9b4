/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tc hooks share: how a run begins and ends at an skb. Input: an skb. Output: TC_ACT_*.
 * Invariant: a test run that records redirects nothing; it tells in the record what it would have
 * done. */
#pragma once
#include "../answer.h"
#include "../fragment.h"
#include "../forward.h"
#include "../outcome.h"
#include "../parse.h"
#include "../policy.h"
#include "../service.h"

/* Cilium's mark of a packet for the proxy: its raw port in the upper half. */
#define MARK_TO_PROXY 0x0200

/* What comes with the packet besides its bytes; in a test run also its time. */
INLINE void take_meta(struct __sk_buff *skb, struct weir_context *cx) {
  if (weir_load.clock_from_map)
    begin_told(cx);
  else {
    cx->ifindex = skb->ifindex;
    cx->mark = skb->mark;
    cx->gso_size = skb->gso_size;
    if (weir_load.features & WEIR_FEATURE_BANDWIDTH)
      cx->aggregate = skb->queue_mapping;
  }
}

/* Time, where a test run has not told it. */
INLINE void take_seconds(struct weir_context *cx) {
  if (!weir_load.clock_from_map)
    cx->now = kernel_seconds();
}

INLINE struct weir_context *begin_skb(struct __sk_buff *skb, const struct weir_config *config,
                                      const int hook) {
  struct weir_context *cx = context_slot();
  if (!cx)
    return NULL;
  begin(cx, config, hook);
  take_meta(skb, cx);
  take_seconds(cx);
  return cx;
}

/* The hook before the node's stack (to_host.h), for the hooks that lead there. */
RARE int deliver_to_host(struct __sk_buff *skb);

/* In place of a TC_ACT: to-host is next (into_host()). */
#define ON_TO_HOST 100

/* Carries out what to-host has decided. */
INLINE int carry_in(struct __sk_buff *skb, const struct weir_context *cx) {
  if (!weir_load.clock_from_map && cx->mark != skb->mark)
    skb->mark = cx->mark;
  if (cx->action == WEIR_ACTION_PROXY)
    return weir_load.recording ? TC_ACT_OK : TC_ACT_SHOT;
  return cx->action == WEIR_ACTION_DROP ? TC_ACT_SHOT : TC_ACT_OK;
}

/* Carries out what a run has decided. */
INLINE int carry_out(struct __sk_buff *skb, const struct weir_context *cx) {
  __u32 action = cx->action;
  if (!weir_load.clock_from_map) {
    __u32 mark = cx->mark;
    /* What the next hook of this packet is told by its meta in a test run, the mark tells it here.
     */
    if (cx->meta_flags & WEIR_META_FLAG_FROM_HOST)
      mark = (mark & ~MARK_MASK) | MARK_HOST;
    if (action == WEIR_ACTION_PROXY)
      mark = MARK_TO_PROXY | ((__u32)cx->proxy_port << 16);
    if (mark != skb->mark)
      skb->mark = mark;
  }
  switch (action) {
  case WEIR_ACTION_DROP:
    return TC_ACT_SHOT;
  case WEIR_ACTION_PROXY:
    /* No proxy is there to take it, and behind to-container the pod itself would get it. */
    return weir_load.recording ? TC_ACT_OK : TC_ACT_SHOT;
  case WEIR_ACTION_TX:
    return weir_load.recording ? TC_ACT_REDIRECT : bpf_redirect(skb->ifindex, 0);
  case WEIR_ACTION_REDIRECT:
  case WEIR_ACTION_LOCAL:
    if (weir_load.recording)
      return TC_ACT_REDIRECT;
    /* Past to-container there is only the way into the pod's own device. */
    if (action == WEIR_ACTION_REDIRECT && (cx->record_flags & WEIR_RECORD_FLAG_LOOPBACK))
      return bpf_redirect_peer(cx->out_ifindex, 0);
    return bpf_redirect(cx->out_ifindex, 0);
  case WEIR_ACTION_HOST:
    return ON_TO_HOST;
  default:
    return TC_ACT_OK;
  }
}

/* Ends a run and carries it out. */
INLINE int finish_skb(struct __sk_buff *skb, struct weir_context *cx, int verdict) {
  finish(cx, verdict);
  return carry_out(skb, cx);
}

/* The same at a hook whose drops may be answered. */
INLINE int finish_answered(struct __sk_buff *skb, struct weir_context *cx, int verdict) {
  if (unlikely(cx->answer))
    answer(skb, cx);
  return finish_skb(skb, cx, verdict);
}

/* The end of a program whose packet may be for the node itself: to-host decides then, in a test run
 * as a run of its own. Called from the outermost function, because frames on the stack add up. */
INLINE int into_host(struct __sk_buff *skb, int action) {
  if (action != ON_TO_HOST)
    return action;
  if (weir_load.recording || !(weir_load.features & WEIR_FEATURE_HOST_FIREWALL))
    return TC_ACT_OK;
  return deliver_to_host(skb);
}
