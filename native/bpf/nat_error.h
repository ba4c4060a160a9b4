/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors about translated connections: what they quote is rewritten like the packet itself,
 * and every checksum with it. Twin: src/datapath/stages/nat-error.ts. Invariant: a quote that is
 * cut, a later fragment, or of a connection that is not translated stays as it is. */
#pragma once
#include "snat.h"

/* What an error quotes; `ports`: an echo's id as NAT has it. In cx->entry, which no error needs
 * meanwhile: the stacks of nested calls add up. */
struct quote {
  __u32 source[4];
  __u32 destination[4];
  __u32 l3;
  __u32 l4;
  __u32 protocol;
  __u32 ports;
  /* Offset of the L4 checksum, 0 = none. */
  __u32 checksum;
};

_Static_assert(sizeof(struct quote) <= sizeof(((struct weir_context *)0)->entry), "fits the slot");

INLINE struct quote *quote_of(struct weir_context *cx) { return (struct quote *)cx->entry; }

/* Goes over the extension headers of an IPv6 quote to its L4 header; false where there is none. */
INLINE bool walk_quoted(struct __sk_buff *skb, struct quote *quote, __u32 end) {
  for (int i = 0; i < WEIR_BOUND_EXTENSION_HEADERS; i++) {
    __u8 bytes[8];
    __u32 kind = quote->protocol;
    __u32 at = quote->l4;
    if (at + 8 > end || bpf_skb_load_bytes(skb, at, bytes, 8))
      return false;
    /* A later fragment. */
    if (kind == EXT_FRAGMENT && (bytes[2] | (bytes[3] & 0xf8)))
      return false;
    quote->protocol = bytes[0];
    quote->l4 = at + (kind == EXT_FRAGMENT         ? 8
                      : kind == EXT_AUTHENTICATION ? (bytes[1] + 2) << 2
                                                   : (bytes[1] + 1) << 3);
    if (!is_extension_header(quote->protocol))
      return true;
  }
  return false;
}

/* Reads what the error quotes. */
INLINE bool read_quote(struct __sk_buff *skb, const struct weir_context *cx, struct quote *quote,
                       const int family) {
  __u32 header[10];
  __u32 body[2];
  __u32 l3 = cx->l4 + 8;
  __u32 end = cx->l3 + cx->l3_length;
  if (end > skb->len)
    end = skb->len;
  const __u32 size = family == 4 ? 20 : 40;
  if (l3 + size > end || bpf_skb_load_bytes(skb, l3, header, size))
    return false;
  const __u8 *bytes = (const __u8 *)header;
  if (bytes[0] >> 4 != family)
    return false;
  if (family == 4) {
    __u32 length = (bytes[0] & 15) << 2;
    if (length < 20 || (bytes[6] & 0x1f) | bytes[7])
      return false;
    quote->l4 = l3 + length;
    quote->protocol = bytes[9];
    quote->source[0] = header[3];
    quote->destination[0] = header[4];
  } else {
    quote->l4 = l3 + 40;
    quote->protocol = bytes[6];
    for (int i = 0; i < 4; i++) {
      quote->source[i] = header[2 + i];
      quote->destination[i] = header[6 + i];
    }
    if (is_extension_header(quote->protocol) && !walk_quoted(skb, quote, end))
      return false;
  }
  quote->l3 = l3;
  __u32 l4 = quote->l4;
  if (l4 + 8 > end || bpf_skb_load_bytes(skb, l4, body, 8))
    return false;
  quote->checksum = 0;
  switch (quote->protocol) {
  case IPPROTO_TCP_:
    quote->checksum = l4 + 18 <= end ? l4 + 16 : 0;
    quote->ports = body[0];
    return true;
  case IPPROTO_UDP_:
    quote->checksum = l4 + 6;
    quote->ports = body[0];
    return true;
  case IPPROTO_SCTP_:
    quote->ports = body[0];
    return true;
  }
  if (quote->protocol != (family == 4 ? IPPROTO_ICMP_ : IPPROTO_ICMPV6_))
    return false;
  __u32 type = body[0] & 0xff;
  __u32 id = body[1] & 0xffff;
  if (type != (family == 4 ? 8 : 128) && type != (family == 4 ? 0 : 129))
    return false;
  quote->ports = type == (family == 4 ? 8 : 128) ? id : id << 16;
  quote->checksum = l4 + 2;
  return true;
}

/* Adjusts the error's own checksum for a 16-bit field of the quote. */
INLINE void adjust_outer16(struct __sk_buff *skb, const struct weir_context *cx, __u32 before,
                           __u32 after) {
  if (cx->l4_checksum && !told_partial(cx))
    bpf_l4_csum_replace(skb, cx->l4_checksum, before, after, 2);
}

INLINE __u32 load16(struct __sk_buff *skb, __u32 at) {
  __u16 field = 0;
  bpf_skb_load_bytes(skb, at, &field, 2);
  return field;
}

INLINE void store16(struct __sk_buff *skb, __u32 at, __u16 field) {
  bpf_skb_store_bytes(skb, at, &field, 2, 0);
}

/* Stores another checksum of the quoted packet's L4 header. */
INLINE void store_quoted(struct __sk_buff *skb, const struct weir_context *cx,
                         const struct quote *quote, __u32 before, __u16 adjusted) {
  __u16 after = quote->protocol == IPPROTO_UDP_ ? udp_rule(before, adjusted) : adjusted;
  store16(skb, quote->checksum, after);
  adjust_outer16(skb, cx, before, after);
}

/* Another address at `at` in the quote: its own IP and L4 checksums, and the error's. */
INLINE void replace_quoted(struct __sk_buff *skb, const struct weir_context *cx,
                           const struct quote *quote, __u32 at, const __u32 *after,
                           const int family) {
  __u32 before[4];
  __u32 address[4];
  const __u32 size = family == 4 ? 4 : 16;
  bool outer = cx->l4_checksum && !told_partial(cx);
  if (bpf_skb_load_bytes(skb, at, before, size))
    return;
  __builtin_memcpy(address, after, size);
  bpf_skb_store_bytes(skb, at, address, size, 0);
  if (family == 4) {
    if (outer)
      bpf_l4_csum_replace(skb, cx->l4_checksum, before[0], address[0], 4);
    __u32 ip = load16(skb, quote->l3 + 10);
    __u16 adjusted = adjust32(ip, before[0], address[0]);
    store16(skb, quote->l3 + 10, adjusted);
    adjust_outer16(skb, cx, ip, adjusted);
    if (!quote->checksum || quote->protocol == IPPROTO_ICMP_)
      return;
    __u32 l4 = load16(skb, quote->checksum);
    store_quoted(skb, cx, quote, l4, adjust32(l4, before[0], address[0]));
    return;
  }
  if (outer)
    bpf_l4_csum_replace(skb, cx->l4_checksum, 0,
                        bpf_csum_diff((__be32 *)before, 16, (__be32 *)address, 16, 0), 0);
  if (!quote->checksum)
    return;
  __u32 l4 = load16(skb, quote->checksum);
  __u32 sum = ~l4 & 0xffff;
  for (int i = 0; i < 4; i++)
    sum += halves(~before[i]) + halves(address[i]);
  store_quoted(skb, cx, quote, l4, ~fold(sum));
}

/* Puts another source (or destination) into the quote; the echo's id stands for either port. */
INLINE void rewrite_quote(struct __sk_buff *skb, const struct weir_context *cx,
                          const struct quote *quote, const bool source, const __u32 *address,
                          __u32 port, const int family) {
  __u32 offset = family == 4 ? (source ? 12 : 16) : (source ? 8 : 24);
  replace_quoted(skb, cx, quote, quote->l3 + offset, address, family);
  __u32 at = quote->l4 + (is_icmp(quote->protocol) ? 4 : source ? 0 : 2);
  __u32 before = load16(skb, at);
  if (before == port)
    return;
  store16(skb, at, port);
  adjust_outer16(skb, cx, before, port);
  if (!quote->checksum)
    return;
  __u32 l4 = load16(skb, quote->checksum);
  store_quoted(skb, cx, quote, l4, adjust16(l4, before, port));
}

/* Puts the frontend of a reverse NAT index in place of the backend that is the quote's destination,
 * and of the error's own source where that is the backend. */
INLINE void frontend_in_quote(struct __sk_buff *skb, struct weir_context *cx,
                              const struct quote *quote, __u32 reverse_nat, const bool source,
                              const int family) {
  __u32 address[4] = {};
  __u32 port;
  if (family == 4) {
    struct weir_reverse_nat4 *frontend = bpf_map_lookup_elem(&weir_reverse_nat4, &reverse_nat);
    if (!frontend || !(frontend->flags & 1))
      return;
    address[0] = frontend->address;
    port = frontend->port;
  } else {
    struct weir_reverse_nat6 *frontend = bpf_map_lookup_elem(&weir_reverse_nat6, &reverse_nat);
    if (!frontend || !(frontend->flags & 1))
      return;
    __builtin_memcpy(address, frontend->address, 16);
    port = frontend->port;
  }
  bool own = is_same_address(source ? quote->source : quote->destination, cx->source, family);
  rewrite_quote(skb, cx, quote, source, address, port, family);
  if (own)
    rewrite(skb, cx, true, address, 0, family);
  cx->reverse_nat = reverse_nat;
  cx->record_flags |= WEIR_RECORD_FLAG_REVERSE_NAT;
}

INLINE bool error_back_of(struct __sk_buff *skb, struct weir_context *cx,
                          const struct weir_config *config, const int family) {
  struct quote *quote = quote_of(cx);
  if (!read_quote(skb, cx, quote, family) ||
      !is_same_address(quote->source, cx->destination, family) ||
      !is_nat_port(config, quote->ports & 0xffff))
    return false;
  set_tuple(cx, quote->destination, quote->source, turned(quote->ports), quote->protocol, family);
  if (!find_back(cx))
    return false;
  rewrite_quote(skb, cx, quote, true, cx->nat_address, cx->nat_port, family);
  rewrite(skb, cx, false, cx->nat_address, 0, family);
  cx->record_flags |= WEIR_RECORD_FLAG_SNAT;
  if (cx->nat_reverse)
    frontend_in_quote(skb, cx, quote, cx->nat_reverse, false, family);
  return true;
}

/* An error from outside about something that source NAT sent. Whether it is that. */
RARE int error_back(struct __sk_buff *skb, struct weir_context *cx) {
  struct weir_config *config = config_of();
  if (!cx || !config)
    return 0;
  return cx->family == 4 ? error_back_of(skb, cx, config, 4) : error_back_of(skb, cx, config, 6);
}

INLINE void error_out_of(struct __sk_buff *skb, struct weir_context *cx, const int family) {
  struct quote *quote = quote_of(cx);
  if (!read_quote(skb, cx, quote, family) ||
      !is_same_address(quote->destination, cx->source, family))
    return;
  set_tuple(cx, quote->destination, quote->source, turned(quote->ports), quote->protocol, family);
  if (!seek_out_of(cx, family))
    return;
  rewrite_quote(skb, cx, quote, false, cx->nat_address, cx->nat_port, family);
  rewrite(skb, cx, true, cx->nat_address, 0, family);
  cx->record_flags |= WEIR_RECORD_FLAG_SNAT;
}

/* An error that a masqueraded pod sends about an answer that it was given. */
RARE int error_out(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    error_out_of(skb, cx, 4);
  else
    error_out_of(skb, cx, 6);
  return 0;
}
