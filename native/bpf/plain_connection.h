/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The quick way through from-container: a packet of an answered connection through a ClusterIP,
 * which neither opens nor closes, and whose policy decision stands. Input: the skb. Output:
 * TC_ACT_*, or GIVE_UP with nothing changed: then the packet goes through the stages with all care.
 * Invariant: the same answer and the same map writes as theirs; the context is local, so that what
 * it holds is in registers. */
#pragma once
#include "hooks/tc.h"
#include "plain_parse.h"
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
                            const struct weir_config *config, const int family) {
  const __u32 careful =
      WEIR_SERVICE_FLAG_TWO_SCOPES | WEIR_SERVICE_FLAG_L7LB | WEIR_SERVICE_FLAG_AFFINITY;
  bool tcp = cx->protocol == IPPROTO_TCP_;
  if (tcp && (cx->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)))
    return GIVE_UP;
  if (sender(cx, config, family) != CONTINUE || cx->ttl <= 1)
    return GIVE_UP;
  struct weir_service *master = find_service(cx, cx->ports >> 16, cx->protocol, family);
  if (!master || (master->flags & careful))
    return GIVE_UP;
  cx->reverse_nat = master->reverse_nat;
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
  if (cx->action == WEIR_ACTION_LOCAL || cx->action == WEIR_ACTION_STACK)
    cx->mark = identity_mark(cx->source_identity);
  finish_of(cx, verdict, true);
  if (weir_load.clock_from_map)
    give_back(cx);
  return carry_out(skb, cx);
}

/* A packet of one family behind an untagged Ethernet header. */
INLINE int run_connection_plain(struct __sk_buff *skb, const struct weir_config *config,
                                const int family) {
  const __u32 needed = family == 4 ? WEIR_FEATURE_IPV4 : WEIR_FEATURE_IPV6;
  /* On the stack, as far as this way reads it: without room for other keys, translations, entries.
   */
  __u64 quick[(offsetof(struct weir_context, other_key) + 7) / 8];
  struct weir_context *cx = (struct weir_context *)quick;
  begin(cx, config, WEIR_HOOK_FROM_CONTAINER);
  void *data = DATA(skb);
  if (!(cx->features & needed) || data + PLAIN_BYTES(family) > DATA_END(skb))
    return GIVE_UP;
  take_meta(skb, cx);
  cx->egress = 1;
  if (probing(cx) || (cx->meta_flags & WEIR_META_FLAG_SKIP_SERVICE) ||
      !parse_plain(cx, data, skb->len, family))
    return GIVE_UP;
  return connection_plain(skb, cx, config, family);
}

/* Functions of their own: the stack of a program is that of its deepest calls. */
static __attribute__((noinline)) int connection_plain4(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  return config ? run_connection_plain(skb, config, 4) : GIVE_UP;
}

static __attribute__((noinline)) int connection_plain6(struct __sk_buff *skb) {
  struct weir_config *config = config_of();
  return config ? run_connection_plain(skb, config, 6) : GIVE_UP;
}
