/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "encapsulate": puts a packet into an IPIP packet (4 in 4, 6 in 6; RFC 2003, RFC 2473)
 * towards its backend, at xdp. Twin: src/datapath/stages/encapsulate.ts. Input: the parsed frame,
 * the backend, its next hop. Output: the frame, grown by an outer header; action, interface, MACs.
 * Invariant: the inner packet is unchanged. */
#pragma once
#include "nat.h"

#define OUTER_TTL 64
#define PROTOCOL_IPIP 4
#define PROTOCOL_IPV6 41
#define DONT_FRAGMENT 0x4000
#define HASH_32 0x61C88647u

/* Linux's hash_32: the upper `bits` bits of a product; bits 1..32. */
INLINE __u32 hash_32(__u32 value, __u32 bits) { return (value * HASH_32) >> ((32 - bits) & 31); }

/* One raw word of an outer source: its kept bits, and a hash of client and ports in the rest, so
 * that receivers spread flows over their queues (Cilium's rss_gen_src4). `free_bits`: 0..32. */
INLINE __u32 spread(__u32 source, __u32 client, __u32 ports, __u32 free_bits) {
  if (free_bits == 0)
    return source;
  if (free_bits > 32)
    free_bits = 32;
  __u32 mask = free_bits == 32 ? 0xffffffff : (1u << (free_bits & 31)) - 1;
  return (source & ~bpf_htonl(mask)) | bpf_htonl(hash_32(client ^ ports, free_bits));
}

/* Encapsulates and says where the packet goes. */
INLINE int encapsulate(struct xdp_md *xdp, struct weir_context *cx,
                       const struct weir_config *config, const struct backend *backend,
                       const int family) {
  const int outer = family == 4 ? 20 : 40;
  __u32 id = cx->backend_id;
  struct weir_next_hop *hop = family == 4 ? bpf_map_lookup_elem(&weir_next_hops4, &id)
                                          : bpf_map_lookup_elem(&weir_next_hops6, &id);
  bool known = hop && (hop->flags & WEIR_NEXT_HOP_KNOWN);
  __u32 length = cx->l3_length;
  __u32 total = length + outer;
  if ((known && hop->mtu && total > hop->mtu) || (family == 4 ? total : length) > 0xffff)
    return drop(cx, WEIR_DROP_FRAG_NEEDED, WEIR_STAGE_FORWARD);
  __u32 link = cx->l3;
  if (bpf_xdp_adjust_head(xdp, -outer))
    return drop(cx, WEIR_DROP_WRITE_ERROR, WEIR_STAGE_FORWARD);
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  /* The longest link header and the outer header: whoever was parsed has more than that. */
  if (data + outer + 22 > end)
    return drop(cx, WEIR_DROP_WRITE_ERROR, WEIR_STAGE_FORWARD);
  p16 *to = data;
  const p16 *from = data + outer;
  /* Destination and source MAC; unknown: back to the sender. */
  __u32 macs[3];
  if (known) {
    const p32 *both = (const p32 *)hop->destination_mac;
    for (int i = 0; i < 3; i++)
      macs[i] = both[i];
  } else {
    macs[0] = from[3] | ((__u32)from[4] << 16);
    macs[1] = from[5] | ((__u32)from[0] << 16);
    macs[2] = from[1] | ((__u32)from[2] << 16);
  }
  void *ip = data + ETHERNET_BYTES;
  to[6] = from[6];
  if (unlikely(link != ETHERNET_BYTES)) {
    to[7] = from[7];
    to[8] = from[8];
    ip = data + 18;
    if (link == 22) {
      to[9] = from[9];
      to[10] = from[10];
      ip = data + 22;
    }
  }
  if (ip + outer > end)
    return drop(cx, WEIR_DROP_WRITE_ERROR, WEIR_STAGE_FORWARD);
  for (int i = 0; i < 3; i++) {
    ((p32 *)data)[i] = macs[i];
    cx->macs[i] = macs[i];
  }
  p32 *word = ip;
  if (family == 4) {
    __u32 source = spread(config->encap_source4, cx->source[0], cx->ports,
                          config->encap_prefix4 < 32 ? 32 - config->encap_prefix4 : 0);
    __u32 words[5] = {0x45 | ((__u32)cx->tos << 8) | ((__u32)bpf_htons(total) << 16),
                      (__u32)bpf_htons(DONT_FRAGMENT) << 16, OUTER_TTL | (PROTOCOL_IPIP << 8),
                      source, backend->address[0]};
    __u32 sum = 0;
    for (int i = 0; i < 5; i++)
      sum += halves(words[i]);
    words[2] |= (__u32)(__u16)~fold(sum) << 16;
    for (int i = 0; i < 5; i++)
      word[i] = words[i];
  } else {
    __u32 tos = cx->tos;
    word[0] = 0x60 | (tos >> 4) | ((tos & 15) << 12);
    word[1] = bpf_htons(length) | (PROTOCOL_IPV6 << 16) | ((__u32)OUTER_TTL << 24);
    const __u32 *source = (const __u32 *)config->encap_source6;
    for (int i = 0; i < 3; i++)
      word[2 + i] = source[i];
    word[5] = spread(source[3], cx->source[3], cx->ports,
                     config->encap_prefix6 < 128 ? 128 - config->encap_prefix6 : 0);
    for (int i = 0; i < 4; i++)
      word[6 + i] = backend->address[i];
  }
  cx->record_flags |= WEIR_RECORD_FLAG_ENCAPSULATED;
  __u32 ifindex = known ? hop->ifindex : 0;
  cx->out_ifindex = ifindex;
  bool back = !ifindex || !cx->ifindex || ifindex == cx->ifindex;
  return forwarded(cx, back ? WEIR_ACTION_TX : WEIR_ACTION_REDIRECT, WEIR_STAGE_FORWARD);
}
