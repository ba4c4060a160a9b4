/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "parse". Twin: src/datapath/stages/parse.ts, src/wire/parse-frame.ts, src/wire/parse-ip.ts:
 * the same checks in the same order. Input: the frame's linear bytes and its length. Output: header
 * fields of the context; CONTINUE or a verdict. Invariant: after CONTINUE the fixed L4 header lies
 * in the linear bytes (a later fragment has none). */
#pragma once
#include "verdict.h"

/* What a parser says; numbers of src/wire/headers.ts. CUT: the bytes are there, but not in the
 * linear part. */
#define WIRE_OK 0
#define WIRE_CUT 1
#define WIRE_BAD_LINK 2
#define WIRE_BAD_ETHERTYPE 4
#define WIRE_NOT_IP 5
#define WIRE_TOO_MANY_VLAN_TAGS 6
#define WIRE_BAD_IP 7
#define WIRE_BAD_EXTENSION 8
#define WIRE_BAD_L4 9
#define WIRE_UNKNOWN_L4 10

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_QINQ_OLD 0x9100
#define ETHERNET_BYTES 14

#define EXT_HOP_BY_HOP 0
#define EXT_ROUTING 43
#define EXT_FRAGMENT 44
#define EXT_AUTHENTICATION 51
#define EXT_NO_NEXT 59
#define EXT_DESTINATION 60

/* An L4 offset is at most 22 + 40 + 4 * 2048: the mask tells the verifier so when one comes from
 * the context. */
#define OFFSET_MASK 0x3fff

INLINE __u32 read_be16(const void *at) { return bpf_ntohs(*(const p16 *)at); }

INLINE bool is_vlan_type(__u32 type) {
  return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_OLD;
}

INLINE bool is_extension_header(__u32 next) {
  return next == EXT_HOP_BY_HOP || next == EXT_ROUTING || next == EXT_FRAGMENT ||
         next == EXT_AUTHENTICATION || next == EXT_DESTINATION;
}

INLINE int without_transport(struct weir_context *cx, __u32 l4, int status) {
  cx->l4 = l4;
  cx->payload = l4;
  return status;
}

/* Later fragments, ICMP, SCTP, and headers that are cut, wrong or unknown. */
INLINE int parse_rare_transport(struct weir_context *cx, void *data, void *end, __u32 l4,
                                __u32 protocol, __u32 l3_end, const __u32 icmp) {
  void *at = data + l4;
  __u32 needed = 8;
  without_transport(cx, l4, WIRE_OK);
  if (protocol == IPPROTO_TCP_)
    needed = 20;
  else if (protocol == IPPROTO_SCTP_)
    needed = 12;
  else if (protocol != IPPROTO_UDP_ && protocol != icmp) {
    if (at > end)
      return WIRE_CUT;
    return protocol == EXT_NO_NEXT && icmp == IPPROTO_ICMPV6_ ? WIRE_BAD_EXTENSION
                                                              : WIRE_UNKNOWN_L4;
  }
  if (cx->fragment == 2)
    return at > end ? WIRE_CUT : WIRE_OK;
  if (l4 + needed > l3_end)
    return WIRE_BAD_L4;
  /* Eight bytes are all that is read here; the rest must be linear, too. */
  if (at + 8 > end || at + needed > end)
    return WIRE_CUT;
  cx->payload = l4 + needed;
  if (protocol == icmp) {
    cx->icmp_type = *(p8 *)at;
    cx->icmp_code = *(p8 *)(at + 1);
    cx->icmp_id = *(p16 *)(at + 4);
    cx->l4_checksum = l4 + 2;
  } else
    cx->header_ports = *(p32 *)at;
  return WIRE_OK;
}

INLINE int parse_transport(struct weir_context *cx, void *data, void *end, __u32 l4, __u32 protocol,
                           __u32 l3_end, const __u32 icmp) {
  void *at = data + l4;
  bool first_or_whole = cx->fragment != 2;
  if (protocol == IPPROTO_TCP_ && first_or_whole && at + 20 <= end && l4 + 20 <= l3_end) {
    __u32 header = (*(p8 *)(at + 12) >> 4) << 2;
    __u32 payload = l4 + header;
    if (payload > l3_end && cx->fragment == 1)
      payload = l3_end;
    if (header < 20 || payload > l3_end)
      return without_transport(cx, l4, WIRE_BAD_L4);
    cx->l4 = l4;
    cx->payload = payload;
    cx->header_ports = *(p32 *)at;
    cx->tcp_flags = *(p8 *)(at + 13);
    cx->l4_checksum = l4 + 16;
    return WIRE_OK;
  }
  if (protocol == IPPROTO_UDP_ && first_or_whole && at + 8 <= end && l4 + 8 <= l3_end) {
    cx->l4 = l4;
    cx->payload = l4 + 8;
    cx->header_ports = *(p32 *)at;
    cx->l4_checksum = l4 + 6;
    return WIRE_OK;
  }
  return parse_rare_transport(cx, data, end, l4, protocol, l3_end, icmp);
}

INLINE int parse_ip4(struct weir_context *cx, void *data, void *end, __u32 l3, __u32 wire) {
  void *ip = data + l3;
  __u32 room = wire - l3;
  cx->l3 = l3;
  if (ip + 20 > end)
    return room < 20 ? WIRE_BAD_IP : WIRE_CUT;
  __u32 first = *(p8 *)ip;
  if (first >> 4 != 4)
    return WIRE_BAD_IP;
  __u32 header = (first & 15) << 2;
  __u32 length = read_be16(ip + 2);
  if (!length)
    length = room;
  cx->family = 4;
  if (header < 20 || length < header || length > room)
    return WIRE_BAD_IP;
  __u32 field = read_be16(ip + 6);
  __u32 protocol = *(p8 *)(ip + 9);
  cx->tos = *(p8 *)(ip + 1);
  cx->fragment_id = *(p16 *)(ip + 4);
  cx->fragment = !(field & 0x3fff) ? 0 : !(field & 0x1fff) ? 1 : 2;
  cx->ttl = *(p8 *)(ip + 8);
  cx->protocol = protocol;
  cx->source[0] = *(p32 *)(ip + 12);
  cx->destination[0] = *(p32 *)(ip + 16);
  cx->l3_length = length;
  return parse_transport(cx, data, end, l3 + header, protocol, l3 + length, IPPROTO_ICMP_);
}

/* Walks extension headers from cx->l4 on, beginning with the kind in cx->protocol. */
INLINE int walk_extensions(struct weir_context *cx, void *data, void *end, __u32 l3_end) {
  for (int i = 0; i <= WEIR_BOUND_EXTENSION_HEADERS; i++) {
    __u32 kind = cx->protocol;
    if (!is_extension_header(kind))
      return WIRE_OK;
    /* Through the context, so that the verifier forgets how the offset came about: one state an
     * iteration. */
    __u32 l4 = cx->l4 & OFFSET_MASK;
    HIDE(l4);
    l4 &= OFFSET_MASK;
    void *at = data + l4;
    if (i == WEIR_BOUND_EXTENSION_HEADERS || l4 + 8 > l3_end)
      return WIRE_BAD_EXTENSION;
    if (at + 8 > end)
      return WIRE_CUT;
    __u32 units = *(p8 *)(at + 1);
    __u32 size = kind == EXT_FRAGMENT         ? 8
                 : kind == EXT_AUTHENTICATION ? (units + 2) << 2
                                              : (units + 1) << 3;
    if (l4 + size > l3_end)
      return WIRE_BAD_EXTENSION;
    cx->protocol = *(p8 *)at;
    cx->l4 = l4 + size;
    if (kind == EXT_FRAGMENT) {
      __u32 field = read_be16(at + 2);
      if (cx->fragment == 0)
        cx->fragment_id = *(p32 *)(at + 4);
      if (field & 0xfff8) {
        cx->fragment = 2;
        return WIRE_OK;
      }
      if (field & 1)
        cx->fragment = 1;
    }
  }
  return WIRE_BAD_EXTENSION;
}

INLINE int parse_ip6(struct weir_context *cx, void *data, void *end, __u32 l3, __u32 wire) {
  void *ip = data + l3;
  __u32 room = wire - l3;
  cx->l3 = l3;
  if (ip + 40 > end)
    return room < 40 ? WIRE_BAD_IP : WIRE_CUT;
  if (*(p8 *)ip >> 4 != 6)
    return WIRE_BAD_IP;
  __u32 next = *(p8 *)(ip + 6);
  __u32 length = read_be16(ip + 4) + 40;
  if (length == 40 && (next == EXT_HOP_BY_HOP || room > 65575))
    length = room;
  cx->family = 6;
  if (length > room)
    return WIRE_BAD_IP;
  cx->tos = ((*(p8 *)ip & 15) << 4) | (*(p8 *)(ip + 1) >> 4);
  cx->ttl = *(p8 *)(ip + 7);
  cx->protocol = next;
  for (int i = 0; i < 4; i++) {
    cx->source[i] = *(p32 *)(ip + 8 + 4 * i);
    cx->destination[i] = *(p32 *)(ip + 24 + 4 * i);
  }
  cx->l3_length = length;
  __u32 l3_end = l3 + length;
  __u32 l4 = l3 + 40;
  if (unlikely(is_extension_header(next))) {
    cx->l4 = l4;
    int status = walk_extensions(cx, data, end, l3_end);
    l4 = cx->l4 & OFFSET_MASK;
    HIDE(l4);
    l4 &= OFFSET_MASK;
    next = cx->protocol;
    if (status != WIRE_OK)
      return without_transport(cx, l4, status);
  }
  return parse_transport(cx, data, end, l4, next, l3_end, IPPROTO_ICMPV6_);
}

/* Link header and VLAN tags, then IP. The context's header fields must be clear. */
INLINE int parse_frame(struct weir_context *cx, void *data, void *end, __u32 wire) {
  cx->wire_bytes = wire;
  if (data + ETHERNET_BYTES > end)
    return wire < ETHERNET_BYTES ? WIRE_BAD_LINK : WIRE_CUT;
  __u32 type = read_be16(data + 12);
  __u32 l3 = ETHERNET_BYTES;
  if (unlikely(is_vlan_type(type))) {
    if (data + 18 > end)
      return wire < 18 ? WIRE_BAD_LINK : WIRE_CUT;
    type = read_be16(data + 16);
    l3 = 18;
    if (is_vlan_type(type)) {
      if (data + 22 > end)
        return wire < 22 ? WIRE_BAD_LINK : WIRE_CUT;
      type = read_be16(data + 20);
      l3 = 22;
    }
    cx->vlan_count = l3 == 18 ? 1 : 2;
  }
  cx->ether_type = type;
  if (type == ETHERTYPE_IPV4)
    return parse_ip4(cx, data, end, l3, wire);
  if (type == ETHERTYPE_IPV6)
    return parse_ip6(cx, data, end, l3, wire);
  cx->l3 = l3;
  if (is_vlan_type(type))
    return WIRE_TOO_MANY_VLAN_TAGS;
  return type < 0x600 ? WIRE_BAD_ETHERTYPE : WIRE_NOT_IP;
}

INLINE bool is_pod_hook(const struct weir_context *cx) {
  return cx->hook == WEIR_HOOK_FROM_CONTAINER || cx->hook == WEIR_HOOK_TO_CONTAINER;
}

INLINE int not_ip(struct weir_context *cx) {
  bool into_pod = cx->hook == WEIR_HOOK_TO_CONTAINER;
  if (!is_pod_hook(cx) || cx->ether_type == ETHERTYPE_ARP)
    return forwarded(cx, into_pod ? WEIR_ACTION_DELIVER : WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
  return drop(cx, WEIR_DROP_UNKNOWN_L3, WEIR_STAGE_PARSE);
}

INLINE int unknown_transport(struct weir_context *cx) {
  return is_pod_hook(cx) ? drop(cx, WEIR_DROP_CT_UNKNOWN_PROTOCOL, WEIR_STAGE_PARSE)
                         : forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
}

/* A frame that did not parse. */
RARE int refuse_frame(struct weir_context *cx, int status) {
  if (!cx)
    return WEIR_VERDICT_ERROR;
  switch (status) {
  case WIRE_BAD_ETHERTYPE:
    return is_pod_hook(cx) ? drop(cx, WEIR_DROP_UNSUPPORTED_L2, WEIR_STAGE_PARSE)
                           : forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
  case WIRE_NOT_IP:
  case WIRE_TOO_MANY_VLAN_TAGS:
    return not_ip(cx);
  case WIRE_BAD_EXTENSION:
    return drop(cx, WEIR_DROP_INVALID_EXTENSION_HEADER, WEIR_STAGE_PARSE);
  case WIRE_BAD_L4:
    return drop(cx, WEIR_DROP_CT_INVALID_HEADER, WEIR_STAGE_PARSE);
  case WIRE_UNKNOWN_L4:
    return unknown_transport(cx);
  default:
    return drop(cx, WEIR_DROP_INVALID, WEIR_STAGE_PARSE);
  }
}

/* An echo's id stands at both ports; errors are matched on their outer addresses; a fragment of
 * ICMP is invalid. */
INLINE int icmp_tuple(struct weir_context *cx) {
  if (cx->fragment)
    return is_pod_hook(cx) ? drop(cx, WEIR_DROP_INVALID, WEIR_STAGE_PARSE)
                           : forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_PARSE);
  __u32 type = cx->icmp_type;
  bool echo = cx->family == 4 ? type == 8 || type == 0 : type == 128 || type == 129;
  bool error = cx->family == 4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
  if (echo)
    cx->ports = cx->icmp_id | ((__u32)cx->icmp_id << 16);
  else if (error)
    cx->related = 1;
  return CONTINUE;
}

/* What a status of the parser means at this hook; sets the tuple's ports. */
INLINE int judge_frame(struct weir_context *cx, int status) {
  __u32 family = cx->family;
  if ((family == 4 && !HAS(cx, WEIR_FEATURE_IPV4)) || (family == 6 && !HAS(cx, WEIR_FEATURE_IPV6)))
    return not_ip(cx);
  if (unlikely(status != WIRE_OK))
    return refuse_frame(cx, status);
  __u32 protocol = cx->protocol;
  if (protocol == IPPROTO_TCP_ || protocol == IPPROTO_UDP_) {
    cx->ports = cx->header_ports;
    return CONTINUE;
  }
  if (protocol == IPPROTO_SCTP_) {
    cx->ports = cx->header_ports;
    return HAS(cx, WEIR_FEATURE_SCTP) ? CONTINUE : unknown_transport(cx);
  }
  return icmp_tuple(cx);
}

/* Forgets what an earlier look at the frame has written. */
INLINE void clear_headers(struct weir_context *cx) {
  __builtin_memset(cx, 0, offsetof(struct weir_context, hook));
}

/* Linear bytes that nearly all headers need: link header with two tags, IPv6, TCP with options. */
#define HEADER_BYTES 128

/* Pulls headers that are not in the linear part of the skb there, and parses anew: as much as
 * headers need nearly always, then, for long chains of extension headers, as much as they can ever
 * need. */
RARE int pull_headers(struct __sk_buff *skb, struct weir_context *cx) {
  int status = WIRE_CUT;
  if (!cx)
    return WIRE_BAD_IP;
  for (int i = 0; i < 2 && status == WIRE_CUT; i++) {
    __u32 wanted = i == 0 ? HEADER_BYTES : OFFSET_MASK;
    if (bpf_skb_pull_data(skb, wanted < skb->len ? wanted : skb->len))
      break;
    clear_headers(cx);
    status = parse_frame(cx, DATA(skb), DATA_END(skb), skb->len);
  }
  return status == WIRE_CUT ? WIRE_BAD_IP : status;
}

/* Parses the frame of an skb. */
INLINE int parse_skb(struct __sk_buff *skb, struct weir_context *cx) {
  int status = parse_frame(cx, DATA(skb), DATA_END(skb), skb->len);
  if (unlikely(status == WIRE_CUT))
    status = pull_headers(skb, cx);
  return judge_frame(cx, status);
}

/* Whether the packet is neighbour discovery (RFC 4861), which is not policed. */
INLINE bool is_neighbour_discovery(const struct weir_context *cx) {
  return cx->family == 6 && cx->protocol == IPPROTO_ICMPV6_ && cx->icmp_type >= 133 &&
         cx->icmp_type <= 137 && cx->ttl == 255;
}
