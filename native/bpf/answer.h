/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "answer": ICMP errors and TCP resets that the datapath itself sends back to the sender of a
 * packet that it drops. Twin: src/datapath/stages/answer.ts. Input: a drop with cx->answer. Output:
 * the skb rewritten, ACTION TX. Invariant: never an answer to an answer, an error, a later fragment
 * or a group; so many a second and interface. */
#pragma once
#include "metrics.h"
#include "nat.h"

#define ANSWER_TTL 64
#define QUOTE_MOST WEIR_BOUND_QUOTE_IPV6
#define QUOTE_CHUNK 512
#define TCP_WORDS 5
#define TRANSLATED_SOURCE                                                                          \
  (WEIR_RECORD_FLAG_LOOPBACK | WEIR_RECORD_FLAG_REVERSE_NAT | WEIR_RECORD_FLAG_SNAT)

/* Whether the answer comes from the node itself and not from whom the packet was for. */
INLINE bool answers_itself(const struct weir_context *cx) {
  return cx->answer == WEIR_ANSWER_TIME_EXCEEDED || cx->answer == WEIR_ANSWER_TOO_BIG;
}

/* RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 e. */
INLINE bool may_answer(struct __sk_buff *skb, const struct weir_context *cx,
                       const struct weir_config *config, const int family) {
  __u8 first;
  if (cx->fragment == 2 || (cx->record_flags & TRANSLATED_SOURCE))
    return false;
  if (cx->answer == WEIR_ANSWER_RESET && (cx->fragment || (cx->tcp_flags & TCP_RST)))
    return false;
  if (bpf_skb_load_bytes(skb, 0, &first, 1) || (first & 1))
    return false;
  if (family == 4) {
    if (cx->protocol == IPPROTO_ICMP_ && cx->icmp_type != 8)
      return false;
    if (answers_itself(cx) && !config->router_address4)
      return false;
    __u32 source = cx->source[0] & 0xff;
    return source != 0 && source != 127 && source < 224 && (cx->destination[0] & 0xff) < 224;
  }
  if (cx->protocol == IPPROTO_ICMPV6_ && cx->icmp_type != 128)
    return false;
  const __u32 *own = (const __u32 *)config->router_address6;
  if (answers_itself(cx) && !(own[0] | own[1] | own[2] | own[3]))
    return false;
  if ((cx->source[0] & 0xff) == 0xff || (cx->destination[0] & 0xff) == 0xff)
    return false;
  /* Neither :: nor ::1. */
  return (cx->source[0] | cx->source[1] | cx->source[2] | (cx->source[3] & 0xffffff)) ||
         cx->source[3] >> 24 > 1;
}

/* Takes one from the interface's bucket (Cilium's ratelimit_check_and_take). */
INLINE bool take_token(const struct weir_context *cx) {
  __u32 key[2] = {WEIR_RATE_LIMIT_USAGE_ANSWERS, cx->ifindex};
  struct weir_rate_limit *bucket = bpf_map_lookup_elem(&weir_rate_limit, key);
  struct weir_rate_limit next = {.last_top_up = cx->now, .tokens = WEIR_BOUND_ANSWERS_PER_SECOND};
  if (bucket) {
    next.tokens = bucket->tokens;
    next.last_top_up = bucket->last_top_up;
    if (next.tokens > WEIR_BOUND_ANSWERS_BURST)
      next.tokens = WEIR_BOUND_ANSWERS_BURST;
    __s32 elapsed = cx->now - next.last_top_up;
    if (elapsed > 0) {
      next.tokens = elapsed >= WEIR_BOUND_ANSWERS_BURST / WEIR_BOUND_ANSWERS_PER_SECOND
                        ? WEIR_BOUND_ANSWERS_BURST
                        : next.tokens + elapsed * WEIR_BOUND_ANSWERS_PER_SECOND;
      next.last_top_up = cx->now;
    }
    if (next.tokens > WEIR_BOUND_ANSWERS_BURST)
      next.tokens = WEIR_BOUND_ANSWERS_BURST;
    if (!next.tokens)
      return false;
  }
  if (probing(cx))
    return true;
  next.tokens--;
  return !bpf_map_update_elem(&weir_rate_limit, key, &next, BPF_ANY);
}

/* The quote is what the sender sent: before its destination was translated. */
INLINE void restore_destination(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  __u32 index = cx->reverse_nat;
  if (family == 4) {
    struct weir_reverse_nat4 *frontend = bpf_map_lookup_elem(&weir_reverse_nat4, &index);
    if (frontend && (frontend->flags & 1))
      rewrite(skb, cx, false, (const __u32 *)&frontend->address, frontend->port, family);
  } else {
    struct weir_reverse_nat6 *frontend = bpf_map_lookup_elem(&weir_reverse_nat6, &index);
    if (frontend && (frontend->flags & 1))
      rewrite(skb, cx, false, (const __u32 *)frontend->address, frontend->port, family);
  }
}

/* Sum of the quoted bytes, whose last word is padded with zeros. */
INLINE __u32 sum_quote(struct weir_answer *buffer, __u32 padded) {
  __u32 sum = 0;
#pragma unroll
  for (__u32 from = 0; from < QUOTE_MOST; from += QUOTE_CHUNK) {
    const __u32 most = QUOTE_MOST - from < QUOTE_CHUNK ? QUOTE_MOST - from : QUOTE_CHUNK;
    if (padded <= from)
      continue;
    __u32 size = padded - from;
    HIDE(size);
    if (size > most)
      size = most;
    sum += fold(bpf_csum_diff(NULL, 0, (void *)buffer->quote + from, size, 0));
  }
  return sum;
}

/* The type and code of an ICMP error, as its first two bytes lie in memory. */
INLINE __u32 icmp_kind(__u32 answer, const int family) {
  switch (answer) {
  case WEIR_ANSWER_NO_SERVICE:
    return family == 4 ? 0x0303 : 0x0401;
  case WEIR_ANSWER_PROHIBITED:
    return family == 4 ? 0x0d03 : 0x0101;
  case WEIR_ANSWER_TIME_EXCEEDED:
    return family == 4 ? 0x000b : 0x0003;
  default:
    return family == 4 ? 0x0403 : 0x0002;
  }
}

/* A reset that the sender accepts: its own acknowledgement as sequence number, or, without one, an
 * acknowledgement of what it sent. */
INLINE bool make_reset(struct __sk_buff *skb, const struct weir_context *cx, __u32 *word) {
  __u32 tcp[3];
  if (bpf_skb_load_bytes(skb, cx->l4 & L4_MASK, tcp, sizeof(tcp)))
    return false;
  bool acknowledged = cx->tcp_flags & TCP_ACK;
  __u32 data = cx->l3 + cx->l3_length - cx->payload;
  __u32 sent = data + !!(cx->tcp_flags & TCP_SYN) + !!(cx->tcp_flags & TCP_FIN);
  word[0] = (cx->ports >> 16) | (cx->ports << 16);
  word[1] = acknowledged ? tcp[2] : 0;
  word[2] = acknowledged ? 0 : bpf_htonl(bpf_ntohl(tcp[1]) + sent);
  word[3] = 0x50 | ((acknowledged ? TCP_RST : TCP_RST | TCP_ACK) << 8);
  word[4] = 0;
  return true;
}

/* Puts the answer in place of the packet. */
INLINE int write_answer(struct __sk_buff *skb, struct weir_context *cx,
                        const struct weir_config *config, const int family) {
  const int ip = family == 4 ? 5 : 10;
  const __u32 most = family == 4 ? WEIR_BOUND_QUOTE_IPV4 : WEIR_BOUND_QUOTE_IPV6;
  bool reset = cx->answer == WEIR_ANSWER_RESET;
  __u32 zero = 0, quoted = 0, sum = 0;
  struct weir_answer *buffer = bpf_map_lookup_elem(&weir_answers, &zero);
  /* Link header, with its MACs turned. */
  __u16 link[12];
  __u32 link_bytes = cx->l3 & L3_MASK;
  HIDE(link_bytes);
  if (!buffer || link_bytes < 14 || link_bytes > 22 || bpf_skb_load_bytes(skb, 0, link, link_bytes))
    return 0;
  for (int i = 0; i < 3; i++) {
    __u16 mac = link[i];
    link[i] = link[3 + i];
    link[3 + i] = mac;
  }
  __u32 words[10 + TCP_WORDS];
  __u32 *l4 = words + ip;
  __u32 l4_bytes;
  if (reset) {
    if (!make_reset(skb, cx, l4))
      return 0;
    l4_bytes = 4 * TCP_WORDS;
    for (int i = 0; i < TCP_WORDS; i++)
      sum += halves(l4[i]);
  } else {
    quoted = cx->l3_length;
    if (quoted > most)
      quoted = most;
    HIDE(quoted);
    __u32 last = (quoted + 3) / 4 - 1;
    if (quoted < 1 || quoted > QUOTE_MOST || last >= QUOTE_MOST / 4)
      return 0;
    buffer->quote[last] = 0;
    if (bpf_skb_load_bytes(skb, link_bytes, buffer->quote, quoted))
      return 0;
    l4[0] = icmp_kind(cx->answer, family);
    l4[1] = cx->answer == WEIR_ANSWER_TOO_BIG ? (__u32)bpf_htons(cx->answer_mtu) << 16 : 0;
    l4_bytes = 8 + quoted;
    sum = halves(l4[0]) + halves(l4[1]) + sum_quote(buffer, (last + 1) * 4);
  }
  __u32 protocol = reset ? IPPROTO_TCP_ : family == 4 ? IPPROTO_ICMP_ : IPPROTO_ICMPV6_;
  const __u32 *own = family == 4 ? (const __u32 *)&config->router_address4
                                 : (const __u32 *)config->router_address6;
  bool itself = answers_itself(cx);
  if (family == 4) {
    words[0] = 0x45 | ((__u32)bpf_htons(20 + l4_bytes) << 16);
    words[1] = 0;
    words[2] = ANSWER_TTL | (protocol << 8);
    words[3] = itself ? own[0] : cx->destination[0];
    words[4] = cx->source[0];
    __u32 header = 0;
    for (int i = 0; i < 5; i++)
      header += halves(words[i]);
    words[2] |= (__u32)(__u16)~fold(header) << 16;
  } else {
    words[0] = 0x60;
    words[1] = bpf_htons(l4_bytes) | (protocol << 16) | ((__u32)ANSWER_TTL << 24);
    for (int i = 0; i < 4; i++) {
      words[2 + i] = itself ? own[i] : cx->destination[i];
      words[6 + i] = cx->source[i];
    }
  }
  /* ICMP has no pseudo-header, the others have. */
  if (family == 6 || reset) {
    sum += bpf_htons(l4_bytes) + (protocol << 8);
    for (int i = family == 4 ? 3 : 2; i < ip; i++)
      sum += halves(words[i]);
  }
  __u32 check = (__u16)~fold(sum);
  if (reset)
    l4[4] = check;
  else
    l4[0] |= check << 16;
  if (bpf_skb_change_tail(skb, link_bytes + 4 * ip + l4_bytes, 0))
    return 0;
  bpf_skb_store_bytes(skb, 0, link, link_bytes, 0);
  if (reset) {
    bpf_skb_store_bytes(skb, link_bytes, words, 4 * (ip + TCP_WORDS), BPF_F_RECOMPUTE_CSUM);
  } else {
    bpf_skb_store_bytes(skb, link_bytes, words, 4 * (ip + 2), BPF_F_RECOMPUTE_CSUM);
    HIDE(quoted);
    if (quoted >= 1 && quoted <= QUOTE_MOST)
      bpf_skb_store_bytes(skb, link_bytes + 4 * (ip + 2), buffer->quote, quoted,
                          BPF_F_RECOMPUTE_CSUM);
  }
  for (int i = 0; i < 3; i++)
    cx->macs[i] = link[2 * i] | ((__u32)link[2 * i + 1] << 16);
  cx->action = WEIR_ACTION_TX;
  cx->record_flags |= WEIR_RECORD_FLAG_ANSWERED;
  return 0;
}

INLINE int answer_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  if (!config || !may_answer(skb, cx, config, family))
    return 0;
  if (!take_token(cx)) {
    count(cx, WEIR_DROP_RATE_LIMITED, cx->egress ? WEIR_DIRECTION_EGRESS : WEIR_DIRECTION_INGRESS);
    return 0;
  }
  if (cx->record_flags & WEIR_RECORD_FLAG_DNAT)
    restore_destination(skb, cx, family);
  return write_answer(skb, cx, config, family);
}

/* Answers the packet that was just dropped, if it may be answered. */
RARE int answer(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return 0;
  return cx->family == 4 ? answer_of(skb, cx, 4) : answer_of(skb, cx, 6);
}
