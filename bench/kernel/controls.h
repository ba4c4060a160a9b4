/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Controls: bare lookups of every kind in maps of their own, for the same flows as the hooks. What
 * a machine makes of them says what its figures of the hooks are worth elsewhere. Input: `bench`,
 * maps filled with every flow. Output: XDP_PASS when all was found. */
#pragma once
#include "flow.h"

struct control_key {
  __u32 source;
  __u32 destination;
  __u32 ports;
  __u32 protocol;
  __u32 zero;
};

struct control_value {
  __u64 words[2];
};

struct control_prefix {
  __u32 length;
  __u32 address;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 131072);
  __type(key, __u32);
  __type(value, struct control_value);
} control_array SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 262144);
  __type(key, struct control_key);
  __type(value, struct control_value);
} control_hash SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 262144);
  __type(key, struct control_key);
  __type(value, struct control_value);
} control_lru SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 10000);
  __type(key, struct control_prefix);
  __type(value, struct control_value);
  __uint(map_flags, BPF_F_NO_PREALLOC);
} control_lpm SEC(".maps");

#define WITH_ARRAY 1
#define WITH_HASH 2
#define WITH_LRU 4
#define WITH_LPM 8

/* Ethernet, IPv4, TCP: the least that a program must check before it may look anything up. */
INLINE int control(struct xdp_md *xdp, const int lookups) {
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  __u32 flow = next_flow();
  if (!put_flow(data, end, outside_address(flow), flow_ports(flow)))
    return XDP_ABORTED;
  if (*(p16 *)(data + 12) != bpf_htons(0x0800) || *(p8 *)(data + 14) != 0x45 ||
      (*(p16 *)(data + 20) & bpf_htons(0x3fff)) || *(p8 *)(data + 23) != IPPROTO_TCP_)
    return XDP_ABORTED;
  struct control_key key = {.source = *(p32 *)(data + 26),
                            .destination = *(p32 *)(data + 30),
                            .ports = *(p32 *)(data + 34),
                            .protocol = IPPROTO_TCP_};
  bool found = key.ports != 0;
  if (lookups & WITH_ARRAY) {
    struct control_value *value = bpf_map_lookup_elem(&control_array, &flow);
    found &= value && value->words[0];
  }
  if (lookups & WITH_HASH) {
    struct control_value *value = bpf_map_lookup_elem(&control_hash, &key);
    found &= value && value->words[0];
  }
  if (lookups & WITH_LRU) {
    struct control_value *value = bpf_map_lookup_elem(&control_lru, &key);
    found &= value && value->words[0];
  }
  if (lookups & WITH_LPM) {
    struct control_prefix prefix = {.length = 32, .address = key.source};
    struct control_value *value = bpf_map_lookup_elem(&control_lpm, &prefix);
    found &= value && value->words[0];
  }
  return counted(XDP_PASS, found);
}

SEC("xdp")
int control_drop(struct xdp_md *xdp) { return XDP_DROP; }

SEC("xdp")
int control_parse(struct xdp_md *xdp) { return control(xdp, 0); }

SEC("xdp")
int control_arrays(struct xdp_md *xdp) { return control(xdp, WITH_ARRAY); }

SEC("xdp")
int control_hashes(struct xdp_md *xdp) { return control(xdp, WITH_HASH); }

SEC("xdp")
int control_lrus(struct xdp_md *xdp) { return control(xdp, WITH_LRU); }

SEC("xdp")
int control_lpms(struct xdp_md *xdp) { return control(xdp, WITH_LPM); }

SEC("xdp")
int control_four(struct xdp_md *xdp) {
  return control(xdp, WITH_ARRAY | WITH_HASH | WITH_LRU | WITH_LPM);
}
