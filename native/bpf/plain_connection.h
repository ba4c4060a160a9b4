/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The quick way through from-container: a packet of an answered connection through a ClusterIP,
 * which neither opens nor closes, and whose policy decision stands. Input: the skb. Output:
 * TC_ACT_*, or GIVE_UP with nothing changed: then the packet goes through the stages with all care.
 * Invariant: the same answer and the same map writes as theirs; the context is local, so that what
 * it holds is in registers. */
#pragma once
#include "plain_recent.h"
#include "sender.h"

/* An answered entry of the current key through this frontend that nothing is about to end. */
INLINE struct weir_ct_entry *seek_plain(struct weir_context *cx, bool tcp, const int family) {
  struct weir_ct_entry *entry = seek(cx, tcp, true, family);
  return entry && !is_expired(cx, entry) && entry->reverse_nat == cx->reverse_nat &&
                 !(entry->flags & CT_BOTH_CLOSING)
             ? entry
             : NULL;
}

/* Whether the owner's packet makes conntrack want a report. */
INLINE bool is_report_due(const struct weir_context *cx, const struct weir_config *config,
                          const struct weir_ct_entry *entry, bool tcp) {
  __u8 seen = tcp ? cx->tcp_flags : 0;
  return (seen & ~entry->tx_flags) ||
         (__s32)(entry->last_tx_report + config->report_interval) < (__s32)cx->now;
}

/* What track() does for a packet that neither opens nor closes. */
INLINE void track_plain(struct weir_context *cx, const struct weir_config *config,
                        struct weir_ct_entry *entry, bool tcp, const bool service) {
  if (HAS(cx, WEIR_FEATURE_CT_ACCOUNTING)) {
    __sync_fetch_and_add(&entry->packets, 1);
    __sync_fetch_and_add(&entry->bytes, cx->wire_bytes);
  }
  refresh(cx, config, entry, false, tcp, service);
}

INLINE int connection_plain(struct __sk_buff *skb, struct weir_context *cx,
                            const struct weir_config *config, const struct recent *recent,
                            const int family) {
  const __u32 careful =
      WEIR_SERVICE_FLAG_TWO_SCOPES | WEIR_SERVICE_FLAG_L7LB | WEIR_SERVICE_FLAG_AFFINITY;
  bool tcp = cx->protocol == IPPROTO_TCP_;
  if (sender(cx, config, family) != CONTINUE || (cx->endpoint_flags & WEIR_ENDPOINT_FLAG_LIMITED))
    return GIVE_UP;
  struct weir_service *master = find_service(cx, cx->ports >> 16, cx->protocol, family);
  if (!master || (master->flags & careful))
    return GIVE_UP;
  cx->reverse_nat = master->reverse_nat;
  void *place = NULL;
  __u32 at = 0;
  /* With accounting every packet has something to write. */
  if (recent && !HAS(cx, WEIR_FEATURE_CT_ACCOUNTING))
    place = recent_claim(cx, recent, &at, family);
  set_tuple_key(cx, true, WEIR_CT_KEY_SERVICE, family);
  struct weir_ct_entry *memory = seek_plain(cx, tcp, family);
  struct backend backend;
  if (!memory || !find_backend(memory->backend, &backend, family) ||
      is_same_address(cx->source, backend.address, family))
    return GIVE_UP;
  __u32 id = memory->backend;
  __u32 port = backend.port ? backend.port : cx->ports >> 16;
  set_key(cx, cx->source, backend.address, (cx->ports & 0xffff) | (port << 16), cx->protocol, true,
          0, family);
  struct weir_ct_entry *entry = seek_plain(cx, tcp, family);
  const __u32 special = WEIR_CT_FLAG_INBOUND | WEIR_CT_FLAG_LOOPBACK | WEIR_CT_FLAG_PROXY_REDIRECT |
                        WEIR_CT_FLAG_AUDITED;
  /* The epoch first: decision_epoch() says why. */
  if (!entry || decision_epoch(entry) != cx->epoch || (entry->flags & special))
    return GIVE_UP;
  if (HAS(cx, WEIR_FEATURE_EVENTS) &&
      (is_report_due(cx, config, memory, tcp) || is_report_due(cx, config, entry, tcp)))
    return GIVE_UP;
  struct weir_endpoint *endpoint = find_endpoint(backend.address, family);
  /* A packet over the MTU of its route is dropped then, and answered: not from here. */
  if (!endpoint && HAS(cx, WEIR_FEATURE_PMTU_DISCOVERY))
    return GIVE_UP;
  /* From here on there is no way back. */
  set_aggregate(skb, cx, 0);
  track_plain(cx, config, memory, tcp, true);
  track_plain(cx, config, entry, tcp, false);
  cx->ct_status = WEIR_CT_ESTABLISHED;
  cx->cookie = entry->cookie;
  cx->destination_identity = entry->remote_identity;
  cx->backend_id = id;
  rewrite(skb, cx, false, backend.address, port, family);
  cx->record_flags |= WEIR_RECORD_FLAG_DNAT;
  int verdict =
      endpoint ? to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL) : to_route_of(skb, cx, family);
  /* A lifetime that is over at once leaves nothing for the next packet to find. */
  if (place && !is_expired(cx, memory) && !is_expired(cx, entry))
    recent_keep(cx, place, at, family);
  return end_plain(skb, cx, verdict);
}

/* A packet of one family behind an untagged Ethernet header. */
INLINE int run_connection_plain(struct __sk_buff *skb, const int family) {
  const __u32 needed = family == 4 ? WEIR_FEATURE_IPV4 : WEIR_FEATURE_IPV6;
  /* On the stack, as far as this way reads it: without room for other keys, translations, entries.
   */
  __u64 quick[(offsetof(struct weir_context, other_key) + 7) / 8];
  struct weir_context *cx = (struct weir_context *)quick;
  struct weir_config *config = config_of();
  if (!config || !begin_connection(skb, cx, family))
    return GIVE_UP;
  struct recent recent = {};
  bool remembers = weir_load.recent_places && recent_begin(recent_client(cx, family), &recent);
  cx->features = config->features & weir_load.features;
  if (!(cx->features & needed))
    return GIVE_UP;
  take_seconds(cx);
  return connection_plain(skb, cx, config, remembers ? &recent : NULL, family);
}

/* Functions of their own: the stack of a program is that of its deepest calls. */
static __attribute__((noinline)) int connection_plain4(struct __sk_buff *skb) {
  return run_connection_plain(skb, 4);
}

static __attribute__((noinline)) int connection_plain6(struct __sk_buff *skb) {
  return run_connection_plain(skb, 6);
}
