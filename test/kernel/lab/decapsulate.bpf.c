/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the lab's machines run besides Weir: a backend takes the outer header of an IPIP packet off
 * (4 in 4, 6 in 6), and the far end of a pair lets everything pass, so that the near end may send
 * with XDP_TX. Input: frames. Output: XDP_PASS; XDP_DROP for an outer header that is not sound.
 * Frames of another kind are not touched. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PROTOCOL_IPIP 4
#define PROTOCOL_IPV6 41

/* Whether an IPv4 header of 20 bytes is one that a stack would take: sum and length agree. */
static __always_inline int is_sound(const unsigned char *ip, const unsigned char *end) {
  const __u16 *word = (const void *)ip;
  __u32 sum = 0;
  for (int i = 0; i < 10; i++)
    sum += word[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff && bpf_ntohs(word[1]) == end - ip;
}

SEC("xdp")
int decapsulate(struct xdp_md *xdp) {
  unsigned char *data = (void *)(long)xdp->data;
  unsigned char *end = (void *)(long)xdp->data_end;
  int outer;
  if (data + ETH_HLEN + 40 > end)
    return XDP_PASS;
  __u16 type = *(__u16 *)(data + 12);
  unsigned char *ip = data + ETH_HLEN;
  if (type == bpf_htons(ETH_P_IP) && ip[0] == 0x45 && ip[9] == PROTOCOL_IPIP) {
    if (!is_sound(ip, end))
      return XDP_DROP;
    outer = 20;
  } else if (type == bpf_htons(ETH_P_IPV6) && ip[6] == PROTOCOL_IPV6) {
    if (bpf_ntohs(*(__u16 *)(ip + 4)) + 40 != end - ip)
      return XDP_DROP;
    outer = 40;
  } else {
    return XDP_PASS;
  }
  __u16 link[7];
  __builtin_memcpy(link, data, sizeof(link));
  if (bpf_xdp_adjust_head(xdp, outer))
    return XDP_DROP;
  data = (void *)(long)xdp->data;
  end = (void *)(long)xdp->data_end;
  if (data + sizeof(link) > end)
    return XDP_DROP;
  __builtin_memcpy(data, link, sizeof(link));
  return XDP_PASS;
}

SEC("xdp")
int pass(struct xdp_md *xdp) { return XDP_PASS; }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
