/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "nat": rewrites addresses and ports, with checksums adjusted, never recomputed (RFC 1624).
 * Twin: src/datapath/stages/nat.ts, src/wire/checksum.ts. Input: the parsed skb, what to put in
 * place. Invariant: a right checksum stays right, a wrong one stays wrong by the same amount. L4
 * checksums go through bpf_l4_csum_replace, which alone knows partial and complete ones; only a
 * test run's word that a sum is partial is followed here. Where a device has summed up the whole
 * packet (CHECKSUM_COMPLETE), that sum stays right: what the IPv4 header's checksum makes up for
 * leaves it as it is, the rest is told to it. It begins at the IP header: MACs are not in it. */
#pragma once
#include "service_map.h"
#include "verdict.h"

#ifndef BPF_F_IPV6
/* Kernel 6.16: the address of an IPv6 pseudo-header changed, so that a complete checksum stays as
 * it is. */
#define BPF_F_IPV6 (1ULL << 7)
#endif

#define L3_MASK 0x1f
#define L4_MASK 0x3fff

INLINE __u32 fold(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

INLINE __u32 halves(__u32 word) { return (word & 0xffff) + (word >> 16); }

INLINE __u16 adjust16(__u32 check, __u32 before, __u32 after) {
  return ~fold((~check & 0xffff) + (~before & 0xffff) + (after & 0xffff));
}

INLINE __u16 adjust32(__u32 check, __u32 before, __u32 after) {
  return ~fold((~check & 0xffff) + halves(~before) + halves(after));
}

/* UDP's rule around an adjustment (BPF_F_MARK_MANGLED_0). */
INLINE __u16 udp_rule(__u16 before, __u16 adjusted) {
  return before == 0 ? 0 : adjusted == 0 ? 0xffff : adjusted;
}

/* Whether the packet has ports of its own. */
INLINE bool has_ports(const struct weir_context *cx) {
  __u32 protocol = cx->protocol;
  return (protocol == IPPROTO_TCP_ || protocol == IPPROTO_UDP_ || protocol == IPPROTO_SCTP_) &&
         cx->fragment != 2;
}

/* A test run says that the field holds the pseudo-header's sum: addresses are in it, ports are not.
 */
INLINE void adjust_partial(struct __sk_buff *skb, const struct weir_context *cx,
                           const __u32 *before, const __u32 *after, const int family) {
  void *data = DATA(skb);
  __u32 at = cx->l4_checksum & L4_MASK;
  HIDE(at);
  at &= L4_MASK;
  p16 *field = data + at;
  if ((void *)(field + 1) > DATA_END(skb))
    return;
  __u32 check = *field;
  __u32 sum = check;
  for (int i = 0; i < (family == 4 ? 1 : 4); i++)
    sum += halves(~before[i]) + halves(after[i]);
  sum = fold(sum);
  *field = cx->protocol == IPPROTO_UDP_ ? udp_rule(check, sum) : sum;
}

/* Whether a UDP packet has no checksum, which then is not adjusted either. */
INLINE bool is_unchecked(struct __sk_buff *skb, const struct weir_context *cx) {
  if (cx->protocol != IPPROTO_UDP_)
    return false;
  void *data = DATA(skb);
  __u32 at = cx->l4_checksum & L4_MASK;
  HIDE(at);
  at &= L4_MASK;
  p16 *field = data + at;
  return (void *)(field + 1) <= DATA_END(skb) && !*field;
}

/* Adjusts the L4 checksum for an address, and for a port where `port_before` differs from
 * `port_after`. */
INLINE void adjust_l4(struct __sk_buff *skb, const struct weir_context *cx, const __u32 *before,
                      const __u32 *after, __u32 port_before, __u32 port_after, const int family) {
  __u32 at = cx->l4_checksum;
  __u32 protocol = cx->protocol;
  __u64 mangled = protocol == IPPROTO_UDP_ ? BPF_F_MARK_MANGLED_0 : 0;
  /* ICMP has no pseudo-header, ICMPv6 has. */
  bool pseudo = family == 6 || protocol == IPPROTO_TCP_ || protocol == IPPROTO_UDP_;
  if (told_partial(cx)) {
    if (pseudo && at)
      adjust_partial(skb, cx, before, after, family);
    return;
  }
  bool adjusted = at && !is_unchecked(skb, cx);
  if (family == 4) {
    if (pseudo && adjusted)
      bpf_l4_csum_replace(skb, at, before[0], after[0], BPF_F_PSEUDO_HDR | mangled | 4);
  } else {
    __s64 difference = bpf_csum_diff((__be32 *)before, 16, (__be32 *)after, 16, 0);
    if (!adjusted)
      bpf_csum_update(skb, difference);
    else if (bpf_l4_csum_replace(skb, at, 0, difference, BPF_F_PSEUDO_HDR | BPF_F_IPV6 | mangled)) {
      /* Before 6.16: takes the difference from a complete sum although the address adds it. */
      bpf_l4_csum_replace(skb, at, 0, difference, BPF_F_PSEUDO_HDR | mangled);
      bpf_csum_update(skb, difference);
    }
  }
  if (port_before != port_after) {
    if (adjusted)
      bpf_l4_csum_replace(skb, at, port_before, port_after, mangled | 2);
    else {
      __u32 sum = port_after + ~port_before;
      bpf_csum_update(skb, sum + (sum < port_after));
    }
  }
}

/* Puts another source (or destination) in place: packet, context, tuple. `port` is raw. */
INLINE void rewrite(struct __sk_buff *skb, struct weir_context *cx, const bool source,
                    const __u32 *after, __u32 port, const int family) {
  __u32 *address = source ? cx->source : cx->destination;
  __u32 before_port = source ? cx->ports & 0xffff : cx->ports >> 16;
  bool moved = port != before_port;
  bool carried = moved && has_ports(cx);
  adjust_l4(skb, cx, address, after, carried ? before_port : 0, carried ? port : 0, family);
  void *data = DATA(skb);
  void *end = DATA_END(skb);
  __u32 l3 = cx->l3 & L3_MASK;
  HIDE(l3);
  l3 &= L3_MASK;
  void *ip = data + l3;
  if (family == 4) {
    if (ip + 20 > end)
      return;
    p16 *check = ip + 10;
    *(p32 *)(ip + (source ? 12 : 16)) = after[0];
    *check = adjust32(*check, address[0], after[0]);
    address[0] = after[0];
  } else {
    if (ip + 40 > end)
      return;
    for (int i = 0; i < 4; i++) {
      __u32 word = after[i];
      *(p32 *)(ip + (source ? 8 : 24) + 4 * i) = word;
      address[i] = word;
    }
  }
  if (!moved)
    return;
  cx->ports = source ? (cx->ports & 0xffff0000) | port : (cx->ports & 0xffff) | (port << 16);
  if (!carried)
    return;
  __u32 l4 = cx->l4 & L4_MASK;
  HIDE(l4);
  l4 &= L4_MASK;
  void *at = data + l4;
  if (at + 4 > end)
    return;
  cx->header_ports = cx->ports;
  *(p16 *)(at + (source ? 0 : 2)) = port;
}

/* Puts another identifier (raw) into an ICMP echo, packet and tuple. */
INLINE void set_echo_id(struct __sk_buff *skb, struct weir_context *cx, __u32 id) {
  __u32 before = cx->icmp_id;
  if (id == before)
    return;
  cx->ports = id | (id << 16);
  cx->icmp_id = id;
  if (cx->l4_checksum && !told_partial(cx))
    bpf_l4_csum_replace(skb, cx->l4_checksum, before, id, 2);
  void *data = DATA(skb);
  __u32 l4 = cx->l4 & L4_MASK;
  HIDE(l4);
  l4 &= L4_MASK;
  void *at = data + l4;
  if (at + 6 <= DATA_END(skb))
    *(p16 *)(at + 4) = id;
}

/* A pod that reaches itself through its service: its address becomes the loopback address of the
 * configuration. */
INLINE void loop_back_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  if (!config)
    return;
  const __u32 *address =
      family == 4 ? (const __u32 *)&config->loopback4 : (const __u32 *)config->loopback6;
  rewrite(skb, cx, true, address, cx->ports & 0xffff, family);
  cx->loopback = 1;
  cx->record_flags |= WEIR_RECORD_FLAG_LOOPBACK;
}

RARE int loop_back(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    loop_back_of(skb, cx, 4);
  else
    loop_back_of(skb, cx, 6);
  return 0;
}

INLINE bool is_same_address(const __u32 *a, const __u32 *b, const int family) {
  if (family == 4)
    return a[0] == b[0];
  return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

/* Translates the destination from the frontend to the backend, and the source when the backend is
 * the client itself. SCTP's checksum covers the ports and cannot be adjusted: a frontend that
 * changes the port drops (154). */
INLINE int translate_to_backend(struct __sk_buff *skb, struct weir_context *cx,
                                const struct backend *backend, const int family) {
  __u32 port = backend->port;
  if (!port)
    port = cx->ports >> 16;
  if (cx->protocol == IPPROTO_SCTP_ && port != cx->ports >> 16)
    return drop(cx, WEIR_DROP_CSUM_L4, WEIR_STAGE_NAT);
  if (cx->egress && is_same_address(cx->source, backend->address, family))
    loop_back(skb, cx);
  rewrite(skb, cx, false, backend->address, port, family);
  cx->record_flags |= WEIR_RECORD_FLAG_DNAT;
  return CONTINUE;
}

/* Translates a reply's source from the backend back to the frontend; an unknown index leaves it.
 * The answer of a hairpin also gets its destination back: the pod itself, whose address is the
 * reply's source. */
INLINE void translate_from_backend(struct __sk_buff *skb, struct weir_context *cx,
                                   __u32 reverse_nat, bool hairpin, const int family) {
  const __u32 *address;
  __u32 port;
  if (family == 4) {
    struct weir_reverse_nat4 *frontend = bpf_map_lookup_elem(&weir_reverse_nat4, &reverse_nat);
    if (!frontend || !(frontend->flags & 1))
      return;
    address = (const __u32 *)&frontend->address;
    port = frontend->port;
  } else {
    struct weir_reverse_nat6 *frontend = bpf_map_lookup_elem(&weir_reverse_nat6, &reverse_nat);
    if (!frontend || !(frontend->flags & 1))
      return;
    address = (const __u32 *)frontend->address;
    port = frontend->port;
  }
  cx->reverse_nat = reverse_nat;
  cx->record_flags |= WEIR_RECORD_FLAG_REVERSE_NAT;
  if (hairpin) {
    __u32 pod[4] = {cx->source[0]};
    if (family == 6)
      for (int i = 1; i < 4; i++)
        pod[i] = cx->source[i];
    rewrite(skb, cx, false, pod, cx->ports >> 16, family);
    cx->record_flags |= WEIR_RECORD_FLAG_LOOPBACK;
  }
  /* An ICMP error has no port of its own: only its outer source changes. */
  rewrite(skb, cx, true, address, cx->related ? cx->ports & 0xffff : port, family);
}

/* Takes one from the time to live or hop limit. False when nothing is left: 0 or 1 before. */
INLINE bool take_hop(struct __sk_buff *skb, struct weir_context *cx) {
  void *data = DATA(skb);
  __u32 l3 = cx->l3 & L3_MASK;
  HIDE(l3);
  l3 &= L3_MASK;
  void *ip = data + l3;
  if (cx->ttl <= 1)
    return false;
  cx->ttl--;
  if (ip + 20 > DATA_END(skb))
    return true;
  if (cx->family == 6) {
    *(p8 *)(ip + 7) = cx->ttl;
    /* Minus one in the upper byte of its half word: nothing in an IPv6 header makes up for it. */
    bpf_csum_update(skb, ~0x100u);
    return true;
  }
  __u16 before = *(p16 *)(ip + 8);
  *(p8 *)(ip + 8) = cx->ttl;
  __u16 after = (before & 0xff00) | cx->ttl;
  *(p16 *)(ip + 10) = adjust16(*(p16 *)(ip + 10), before, after);
  return true;
}
