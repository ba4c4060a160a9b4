/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "announce": who asks for the MAC of an announced service address (ARP request, RFC 826;
 * neighbour solicitation, RFC 4861) gets that of the interface. Twin:
 * src/datapath/stages/announce.ts. Input: a question at from-netdev. Output: the answer in place of
 * the packet, ACTION TX. Invariant: nothing is answered that is malformed, claims the address
 * itself, or asks for what is not announced here. */
#pragma once
#include "answer.h"
#include "parse.h"

/* Halves of an Ethernet frame with an ARP message, and where its parts begin. */
#define ARP_HALVES 21
#define ARP_HARDWARE 7
#define ARP_PROTOCOL 8
#define ARP_LENGTHS 9
#define ARP_OPERATION 10
#define ARP_SENDER_MAC 11
#define ARP_SENDER 14
#define ARP_TARGET_MAC 16
#define ARP_TARGET 19
#define ARP_REQUEST 1
#define ARP_REPLY 2
/* Raw: lengths 6 and 4. */
#define ARP_LENGTHS_RAW 0x0406

#define NDP_BYTES 24
#define NDP_SOLICITATION 135
#define NDP_ADVERTISEMENT 136
#define NDP_OVERRIDE 0x20
#define NDP_SOLICITED 0x40
/* Raw: the option for the target's address, one unit long. */
#define NDP_TARGET_ADDRESS 0x0102
#define ADVERTISEMENT_BYTES 32
#define ADVERTISEMENT_WORDS 8
#define HEADER6_WORDS 10
#define LINK_HALVES 7
/* Raw words of solicited-node multicast ff02::1:ff00:0/104 (the last one's first byte), of ff02::1,
 * and halves of its group's MAC. */
#define GROUP0 0x000002ff
#define GROUP2 0x01000000
#define ALL_NODES3 0x01000000
#define ALL_NODES_MAC 0x3333
#define ALL_NODES_MAC_END 0x0100

/* Whether the packet may be a neighbour's question. */
INLINE bool is_question(const struct weir_context *cx, int verdict) {
  return cx->ether_type == ETHERTYPE_ARP ||
         (verdict == CONTINUE && cx->family == 6 && cx->protocol == IPPROTO_ICMPV6_ &&
          cx->icmp_type == NDP_SOLICITATION);
}

INLINE bool is_own_mac(const __u16 *at, const p16 *mac) {
  return at[0] == mac[0] && at[1] == mac[1] && at[2] == mac[2];
}

/* From another station, to the interface itself or to a group. */
INLINE bool may_answer_station(const __u16 *link, const p16 *mac) {
  if ((link[3] & 1) || is_own_mac(link + 3, mac))
    return false;
  return (link[0] & 1) || is_own_mac(link, mac);
}

INLINE int answered_neighbour(struct weir_context *cx, const __u16 *link) {
  for (int i = 0; i < 3; i++)
    cx->macs[i] = link[2 * i] | ((__u32)link[2 * i + 1] << 16);
  count(cx, WEIR_METRIC_NEIGHBOUR_ANSWERED, WEIR_DIRECTION_INGRESS);
  cx->record_flags |= WEIR_RECORD_FLAG_ANSWERED;
  cx->out_ifindex = cx->ifindex;
  return forwarded(cx, WEIR_ACTION_TX, WEIR_STAGE_FORWARD);
}

INLINE int answer_arp(struct __sk_buff *skb, struct weir_context *cx) {
  __u16 frame[ARP_HALVES];
  if (bpf_skb_load_bytes(skb, 0, frame, sizeof(frame)))
    return CONTINUE;
  if (frame[ARP_HARDWARE] != bpf_htons(1) || frame[ARP_PROTOCOL] != bpf_htons(ETHERTYPE_IPV4) ||
      frame[ARP_LENGTHS] != ARP_LENGTHS_RAW || frame[ARP_OPERATION] != bpf_htons(ARP_REQUEST))
    return CONTINUE;
  struct weir_announced_key4 key = {
      .address = frame[ARP_TARGET] | ((__u32)frame[ARP_TARGET + 1] << 16),
      .ifindex = cx->ifindex,
  };
  struct weir_announced *announced = bpf_map_lookup_elem(&weir_announced4, &key);
  if (!announced)
    return CONTINUE;
  const p16 *mac = (const p16 *)announced->mac;
  /* A sender that has the address itself announces it: no question. */
  if ((frame[ARP_SENDER] == frame[ARP_TARGET] && frame[ARP_SENDER + 1] == frame[ARP_TARGET + 1]) ||
      (frame[ARP_SENDER_MAC] & 1) || !may_answer_station(frame, mac))
    return CONTINUE;
  __u16 sender[2] = {frame[ARP_SENDER], frame[ARP_SENDER + 1]};
  for (int i = 0; i < 2; i++)
    frame[ARP_SENDER + i] = frame[ARP_TARGET + i];
  for (int i = 0; i < 3; i++) {
    frame[i] = frame[3 + i];
    frame[3 + i] = mac[i];
    frame[ARP_TARGET_MAC + i] = frame[ARP_SENDER_MAC + i];
    frame[ARP_SENDER_MAC + i] = mac[i];
  }
  for (int i = 0; i < 2; i++)
    frame[ARP_TARGET + i] = sender[i];
  frame[ARP_OPERATION] = bpf_htons(ARP_REPLY);
  bpf_skb_store_bytes(skb, 0, frame, ETHERNET_BYTES, 0);
  bpf_skb_store_bytes(skb, ETHERNET_BYTES, frame + LINK_HALVES, sizeof(frame) - ETHERNET_BYTES,
                      BPF_F_RECOMPUTE_CSUM);
  return answered_neighbour(cx, frame);
}

INLINE int answer_solicitation(struct __sk_buff *skb, struct weir_context *cx) {
  __u32 at = cx->l4 & OFFSET_MASK;
  __u16 link[LINK_HALVES];
  struct weir_announced_key6 key = {.ifindex = cx->ifindex};
  __u32 *target = (__u32 *)key.address;
  if (cx->icmp_code || cx->ttl != 255 || at + NDP_BYTES > cx->l3 + cx->l3_length)
    return CONTINUE;
  if (bpf_skb_load_bytes(skb, at + 8, key.address, sizeof(key.address)) ||
      bpf_skb_load_bytes(skb, 0, link, sizeof(link)))
    return CONTINUE;
  struct weir_announced *announced = bpf_map_lookup_elem(&weir_announced6, &key);
  if (!announced)
    return CONTINUE;
  const p16 *mac = (const p16 *)announced->mac;
  const __u32 *s = cx->source;
  const __u32 *d = cx->destination;
  /* From no address: somebody wants to know whether the address is free (RFC 4862 5.4.2). */
  bool detection = !(s[0] | s[1] | s[2] | s[3]);
  bool to_group = d[0] == GROUP0 && !d[1] && d[2] == GROUP2 && (d[3] & 0xff) == 0xff;
  bool claims = s[0] == target[0] && s[1] == target[1] && s[2] == target[2] && s[3] == target[3];
  if (claims || (detection ? !to_group : (s[0] & 0xff) == 0xff) || !may_answer_station(link, mac))
    return CONTINUE;
  __u32 words[HEADER6_WORDS + ADVERTISEMENT_WORDS] = {
      0x60, bpf_htons(ADVERTISEMENT_BYTES) | (IPPROTO_ICMPV6_ << 16) | (255u << 24)};
  __u32 *icmp = words + HEADER6_WORDS;
  for (int i = 0; i < 4; i++) {
    words[2 + i] = target[i];
    words[6 + i] = s[i];
    icmp[2 + i] = target[i];
  }
  if (detection) {
    words[6] = GROUP0;
    words[9] = ALL_NODES3;
  }
  icmp[0] = NDP_ADVERTISEMENT;
  icmp[1] = detection ? NDP_OVERRIDE : NDP_OVERRIDE | NDP_SOLICITED;
  icmp[6] = NDP_TARGET_ADDRESS | ((__u32)mac[0] << 16);
  icmp[7] = mac[1] | ((__u32)mac[2] << 16);
  __u32 sum = bpf_htons(ADVERTISEMENT_BYTES) + (IPPROTO_ICMPV6_ << 8);
  for (int i = 2; i < HEADER6_WORDS + ADVERTISEMENT_WORDS; i++)
    sum += halves(words[i]);
  icmp[0] |= (__u32)(__u16)~fold(sum) << 16;
  for (int i = 0; i < 3; i++) {
    link[i] = detection ? (i < 1 ? ALL_NODES_MAC : i < 2 ? 0 : ALL_NODES_MAC_END) : link[3 + i];
    link[3 + i] = mac[i];
  }
  link[6] = bpf_htons(ETHERTYPE_IPV6);
  if (bpf_skb_change_tail(skb, ETHERNET_BYTES + sizeof(words), 0))
    return CONTINUE;
  bpf_skb_store_bytes(skb, 0, link, ETHERNET_BYTES, 0);
  bpf_skb_store_bytes(skb, ETHERNET_BYTES, words, sizeof(words), BPF_F_RECOMPUTE_CSUM);
  return answered_neighbour(cx, link);
}

/* Answers a neighbour's question. CONTINUE: it is none, or none to be answered. */
RARE int answer_neighbour(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return CONTINUE;
  return cx->ether_type == ETHERTYPE_ARP ? answer_arp(skb, cx) : answer_solicitation(skb, cx);
}
