/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parser of the quick ways: a whole TCP or UDP packet without VLAN tags, options or extension
 * headers. Input: linear bytes. Output: what parse.h would write, or false: then parse.h is to look
 * at it. Invariant: it reads nothing that parse.h would refuse or see otherwise. */
#pragma once
#include "parse.h"

/* A plain packet needs more than its quick way offers; nothing has been changed yet. */
#define GIVE_UP (-2)

/* Linear bytes that a plain packet has at least: up to the end of a TCP header without options. */
#define PLAIN_BYTES(family) (ETHERNET_BYTES + (family == 4 ? 40 : 60))

/* The transport header of a packet that is no fragment: what parse_transport demands. `l4`: where
 * it begins; `length`: bytes of the packet from there on. The fixed TCP header is linear. */
INLINE bool parse_plain_transport(struct weir_context *cx, const void *at, __u32 l4, __u32 length) {
  cx->ports = *(const p32 *)at;
  cx->header_ports = cx->ports;
  cx->l4 = l4;
  if (likely(cx->protocol == IPPROTO_TCP_)) {
    __u32 header = (*(const p8 *)(at + 12) >> 4) << 2;
    cx->tcp_flags = *(const p8 *)(at + 13);
    cx->l4_checksum = l4 + 16;
    cx->payload = l4 + header;
    return header >= 20 && header <= length;
  }
  cx->l4_checksum = l4 + 6;
  cx->payload = l4 + 8;
  return cx->protocol == IPPROTO_UDP_ && length >= 8;
}

INLINE bool parse_plain4(struct weir_context *cx, const void *ip, __u32 room) {
  __u32 length = read_be16(ip + 2);
  if (*(const p8 *)ip != 0x45 || length < 20 || length > room || (read_be16(ip + 6) & 0x3fff))
    return false;
  cx->l3_length = length;
  cx->tos = *(const p8 *)(ip + 1);
  cx->ttl = *(const p8 *)(ip + 8);
  cx->protocol = *(const p8 *)(ip + 9);
  cx->source[0] = *(const p32 *)(ip + 12);
  cx->destination[0] = *(const p32 *)(ip + 16);
  return parse_plain_transport(cx, ip + 20, ETHERNET_BYTES + 20, length - 20);
}

INLINE bool parse_plain6(struct weir_context *cx, const void *ip, __u32 room) {
  __u32 payload = read_be16(ip + 4);
  if (*(const p8 *)ip >> 4 != 6 || !payload || payload + 40 > room)
    return false;
  cx->l3_length = payload + 40;
  cx->tos = ((*(const p8 *)ip & 15) << 4) | (*(const p8 *)(ip + 1) >> 4);
  cx->protocol = *(const p8 *)(ip + 6);
  cx->ttl = *(const p8 *)(ip + 7);
  for (int i = 0; i < 4; i++) {
    cx->source[i] = *(const p32 *)(ip + 8 + 4 * i);
    cx->destination[i] = *(const p32 *)(ip + 24 + 4 * i);
  }
  return parse_plain_transport(cx, ip + 40, ETHERNET_BYTES + 40, payload);
}

/* Parses a packet of one family behind an untagged Ethernet header, `wire` bytes with it, of which
 * the fixed headers are linear. False: something else. The context must be clear. */
INLINE bool parse_plain(struct weir_context *cx, const void *data, __u32 wire, const int family) {
  const void *ip = data + ETHERNET_BYTES;
  cx->family = family;
  cx->l3 = ETHERNET_BYTES;
  cx->wire_bytes = wire;
  return family == 4 ? parse_plain4(cx, ip, wire - ETHERNET_BYTES)
                     : parse_plain6(cx, ip, wire - ETHERNET_BYTES);
}
