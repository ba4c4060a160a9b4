/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a run: decision record, counters, events. Twin: src/datapath/outcome.ts. Input: the
 * verdict and what the stages left. Output: weir_record when recording, weir_metrics, weir_events.
 * Invariant: once a run; a probe writes only the record. */
#pragma once
#include "jhash.h"
#include "metrics.h"

#define POINT_TO_ENDPOINT 0
#define POINT_TO_PROXY 1
#define POINT_TO_HOST 2
#define POINT_TO_STACK 3
#define POINT_TO_NETWORK 11
#define NANOSECONDS 1000000000ULL

/* Cilium's trace observation points, for a packet that passed. */
INLINE __u32 point_of(const struct weir_context *cx) {
  if (cx->hook == WEIR_HOOK_TO_CONTAINER)
    return POINT_TO_ENDPOINT;
  if (cx->hook == WEIR_HOOK_TO_HOST && cx->action == WEIR_ACTION_STACK)
    return POINT_TO_HOST;
  switch (cx->action) {
  case WEIR_ACTION_STACK:
    return POINT_TO_STACK;
  case WEIR_ACTION_REDIRECT:
  case WEIR_ACTION_TX:
    return POINT_TO_NETWORK;
  case WEIR_ACTION_PROXY:
    return POINT_TO_PROXY;
  default:
    return 0;
  }
}

INLINE void write_event(const struct weir_context *cx, __u8 type, __u8 subtype) {
  struct weir_event *event = bpf_ringbuf_reserve(&weir_events, sizeof(*event), 0);
  if (!event) {
    __u32 zero = 0;
    struct weir_lost *lost = bpf_map_lookup_elem(&weir_events_lost, &zero);
    if (lost)
      lost->events++;
    return;
  }
  __u64 time =
      weir_load.clock_from_map ? cx->seconds * NANOSECONDS + cx->nanoseconds : bpf_ktime_get_ns();
  event->type = type;
  event->subtype = subtype;
  event->hook = cx->hook;
  event->stage = cx->stage;
  event->time_low = time;
  event->time_high = time >> 32;
  event->flow_hash = cx->family == 4
                         ? chance4(cx->source[0], cx->destination[0], cx->ports, cx->protocol, 0, 0)
                         : chance6(cx->source, cx->destination, cx->ports, cx->protocol, 0, 0);
  event->source_identity = cx->source_identity;
  event->destination_identity = cx->destination_identity;
  event->cookie = cx->cookie;
  event->ifindex = cx->out_ifindex ? cx->out_ifindex : cx->ifindex;
  event->family = cx->family;
  event->protocol = cx->protocol;
  event->tcp_flags = cx->tcp_flags;
  event->ct_status = cx->ct_status;
  event->source_port = cx->ports;
  event->destination_port = cx->ports >> 16;
  __builtin_memcpy(event->source, cx->source, 16);
  __builtin_memcpy(event->destination, cx->destination, 16);
  event->endpoint_id = cx->endpoint_id;
  event->flags = cx->record_flags;
  event->wire_bytes = cx->wire_bytes;
  bpf_ringbuf_submit(event, 0);
}

/* Every drop; every decision that policy was asked for; of packets that passed those that conntrack
 * wants reported, or that have no connection. At xdp only what it decided for the first time: the
 * rest is for tc's hooks to tell. */
RARE int report(struct weir_context *cx) {
  if (!cx)
    return 0;
  bool dropped = cx->verdict == WEIR_VERDICT_DROPPED;
  if (dropped)
    write_event(cx, WEIR_EVENT_DROP, cx->drop_reason);
  if (cx->record_flags & WEIR_RECORD_FLAG_POLICY_LOOKED_UP)
    write_event(cx, WEIR_EVENT_VERDICT, cx->policy_match);
  if (dropped || cx->action == WEIR_ACTION_LOCAL || cx->action == WEIR_ACTION_HOST)
    return 0;
  if (cx->monitor || (cx->ct_status == WEIR_CT_NONE && cx->hook != WEIR_HOOK_XDP))
    write_event(cx, WEIR_EVENT_TRACE, point_of(cx));
  return 0;
}

/* Whether report() has anything to say: asked before, so that most packets do not pay for the call.
 */
INLINE bool is_reported(const struct weir_context *cx) {
  return cx->verdict == WEIR_VERDICT_DROPPED || cx->monitor ||
         (cx->record_flags & WEIR_RECORD_FLAG_POLICY_LOOKED_UP) ||
         (cx->ct_status == WEIR_CT_NONE && cx->hook != WEIR_HOOK_XDP);
}

INLINE void write_record(const struct weir_context *cx) {
  __u32 zero = 0;
  struct weir_decision *record = bpf_map_lookup_elem(&weir_record, &zero);
  if (!record)
    return;
  record->verdict = cx->verdict;
  record->drop_reason = cx->drop_reason;
  record->stage = cx->stage;
  record->hook = cx->hook;
  record->action = cx->action;
  record->ct_status = cx->ct_status;
  record->policy_match = cx->policy_match;
  record->unknown_reason = 0;
  record->flags = cx->record_flags;
  record->source_identity = cx->source_identity;
  record->destination_identity = cx->destination_identity;
  record->cookie = cx->cookie;
  record->backend_id = cx->backend_id;
  record->reverse_nat = cx->reverse_nat;
  record->proxy_port = cx->proxy_port;
  record->out_ifindex = cx->out_ifindex;
  record->endpoint_id = cx->endpoint_id;
  __builtin_memset(record->pad, 0, sizeof(record->pad));
  __builtin_memcpy(record->destination_mac, cx->macs, 12);
  record->departure_seconds = cx->departure_seconds;
  record->departure_nanoseconds = cx->departure_nanoseconds;
}

/* Ends a run: settles the verdict (audit mode), writes the record, counts, reports, gives the meta
 * back. `plain`: a run that reports for itself and left the meta alone. */
INLINE void finish_of(struct weir_context *cx, int given, const bool plain) {
  __u32 verdict = cx->audited && given == WEIR_VERDICT_FORWARDED ? WEIR_VERDICT_AUDIT : given;
  __u32 flags = cx->record_flags;
  if (cx->ct_status == WEIR_CT_NEW)
    flags |= WEIR_RECORD_FLAG_NEW;
  if (cx->audited)
    flags |= WEIR_RECORD_FLAG_AUDITED;
  if (cx->egress)
    flags |= WEIR_RECORD_FLAG_EGRESS;
  if (cx->family == 6)
    flags |= WEIR_RECORD_FLAG_IPV6;
  cx->record_flags = flags;
  cx->verdict = verdict;
  if (weir_load.recording)
    write_record(cx);
  if (weir_load.clock_from_map && !plain)
    give_back(cx);
  count(cx, cx->drop_reason, cx->egress ? WEIR_DIRECTION_EGRESS : WEIR_DIRECTION_INGRESS);
  if (!plain && HAS(cx, WEIR_FEATURE_EVENTS) && is_reported(cx) && !probing(cx))
    report(cx);
}

INLINE void finish(struct weir_context *cx, int given) { finish_of(cx, given, false); }
