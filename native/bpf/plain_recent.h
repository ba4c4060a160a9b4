/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The quickest way through from-container: that of the connection's packet before, in the same
 * second (recent.h). Input: the skb. Output: TC_ACT_*, or GIVE_UP with nothing changed: then
 * plain_connection.h looks at the packet. Invariant: the same answer, bytes and counters as the
 * stages'; they would write nothing. */
#pragma once
#include "hooks/tc.h"
#include "plain_parse.h"
#include "recent.h"

/* Parses a packet that neither opens nor closes and may be forwarded. False: something else. */
INLINE bool begin_connection(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  begin_bare(cx, WEIR_HOOK_FROM_CONTAINER);
  void *data = DATA(skb);
  if (data + PLAIN_BYTES(family) > DATA_END(skb))
    return false;
  take_meta(skb, cx);
  cx->egress = 1;
  return !probing(cx) && !(cx->meta_flags & WEIR_META_FLAG_SKIP_SERVICE) &&
         parse_plain(cx, data, skb->len, family) &&
         !(cx->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) && cx->ttl > 1;
}

/* Ends a run that went its way. */
INLINE int end_plain(struct __sk_buff *skb, struct weir_context *cx, int verdict) {
  if (cx->action == WEIR_ACTION_LOCAL || cx->action == WEIR_ACTION_STACK ||
      cx->action == WEIR_ACTION_HOST)
    cx->mark = identity_mark(cx->source_identity);
  finish_of(cx, verdict, true);
  if (weir_load.clock_from_map)
    give_back(cx);
  return carry_out(skb, cx);
}

/* The place of the connection's way, or NULL. */
INLINE void *find_recent(const struct weir_context *cx, __u32 *at, const int family) {
  struct recent recent;
  if (!recent_begin(recent_client(cx, family), &recent))
    return NULL;
  __u64 time = recent_time(cx);
  struct recent_places both = recent_places(cx, family);
  __u32 index = both.first;
  void *place = recent_place(index, family);
  if (unlikely(!place || !is_recent_way(place, &recent, time, cx, family))) {
    index = both.second;
    place = recent_place(index, family);
    if (!place || !is_recent_way(place, &recent, time, cx, family))
      return NULL;
  }
  *at = index;
  return RECENT(place, action, family) == WEIR_ACTION_LOCAL ||
                 recent_size(cx) <= RECENT(place, size, family)
             ? place
             : NULL;
}

INLINE int follow(struct __sk_buff *skb, const int family) {
  /* On the stack, as far as this way reads it: without keys. */
  __u64 quick[(offsetof(struct weir_context, key) + 7) / 8];
  struct weir_context *cx = (struct weir_context *)quick;
  __u32 at = 0;
  if (!weir_load.recent_places || !begin_connection(skb, cx, family))
    return GIVE_UP;
  const void *place = find_recent(cx, &at, family);
  if (!place)
    return GIVE_UP;
  set_aggregate(skb, cx, 0);
  cx->ct_status = WEIR_CT_ESTABLISHED;
  cx->source_identity = RECENT(place, source_identity, family);
  const struct weir_recent_record *record = recent_record(at, family);
  if (record) {
    cx->destination_identity = record->destination_identity;
    cx->cookie = record->cookie;
    cx->backend_id = record->backend_id;
    cx->reverse_nat = record->reverse_nat;
    cx->endpoint_id = record->endpoint_id;
  }
  rewrite(skb, cx, false, RECENT_WORDS(place, backend, family), RECENT(place, port, family),
          family);
  cx->record_flags |= WEIR_RECORD_FLAG_DNAT;
  take_hop(skb, cx);
  cx->out_ifindex = RECENT(place, out_ifindex, family);
  rewrite_macs(skb, cx, RECENT_WORDS(place, macs, family));
  return end_plain(skb, cx, forwarded(cx, RECENT(place, action, family), WEIR_STAGE_FORWARD));
}

static __attribute__((noinline)) int follow4(struct __sk_buff *skb) { return follow(skb, 4); }

static __attribute__((noinline)) int follow6(struct __sk_buff *skb) { return follow(skb, 6); }
