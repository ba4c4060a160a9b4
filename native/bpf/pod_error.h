/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors that reach or leave a pod, about connections through a frontend: who has talked to
 * the frontend is told about the packet as it sent it. Twin: src/datapath/stages/pod-error.ts.
 * Input: an error that may pass. Output: the backend in what is quoted, and as the error's own
 * source, replaced by the frontend. Invariant: the connection that is quoted decides; where the
 * quote does not tell it, or it has ended, the source alone is translated, by the twin. */
#pragma once
#include "conntrack_entry.h"
#include "nat_error.h"

/* Flags of the quoted connection's entry, its reverse NAT index in the high half; the pod is one
 * end of it. Of none that is known: as of a hairpin, whose quote is left alone. */
INLINE __u32 quoted_connection(struct weir_context *cx, const struct quote *quote,
                               const int family) {
  bool out = cx->egress;
  bool tcp = quote->protocol == IPPROTO_TCP_;
  /* Its own packet is quoted to a pod; a pod quotes what it was sent. */
  if (!is_same_address(out ? quote->destination : quote->source, out ? cx->source : cx->destination,
                       family))
    return WEIR_CT_FLAG_LOOPBACK;
  /* No service balances echoes. */
  if (is_icmp(quote->protocol))
    return 0;
  set_key(cx, quote->source, quote->destination, quote->ports, quote->protocol, !out, 0, family);
  struct weir_ct_entry *entry = seek(cx, tcp, true, family);
  if (!entry || is_expired(cx, entry))
    entry = seek(cx, tcp, false, family);
  return entry && !is_expired(cx, entry) ? entry->flags | ((__u32)entry->reverse_nat << 16)
                                         : WEIR_CT_FLAG_LOOPBACK;
}

INLINE void translate_pod_error_of(struct __sk_buff *skb, struct weir_context *cx,
                                   const int family) {
  struct quote *quote = quote_of(cx);
  const __u32 both = WEIR_CT_FLAG_NODE_PORT | WEIR_CT_FLAG_LOOPBACK;
  bool out = cx->egress;
  __u32 quoted = read_quote(skb, cx, quote, family) ? quoted_connection(cx, quote, family)
                                                    : WEIR_CT_FLAG_LOOPBACK;
  if (!(quoted & WEIR_CT_FLAG_LOOPBACK)) {
    if (quoted >> 16 && !!(quoted & WEIR_CT_FLAG_NODE_PORT) == out)
      frontend_in_quote(skb, cx, quote, quoted >> 16, false, family);
    return;
  }
  if (cx->ct_status != WEIR_CT_RELATED)
    return;
  __u32 flags = cx->ct_flags;
  if (out ? flags & both : !(flags & both) && flags >> 16)
    translate_from_backend(skb, cx, flags >> 16, false, family);
}

/* Translates an ICMP error at a pod's hook, behind policy: to a pod the frontend that it talks to,
 * from a pod the frontend of the node that it was reached through. */
RARE int translate_pod_error(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    translate_pod_error_of(skb, cx, 4);
  else
    translate_pod_error_of(skb, cx, 6);
  return 0;
}
