/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hooks, called for one flow after the other, with the packet restored between repeats; and the
 * same without the hook. Input: `bench`, the datapath's maps. Output: counts in `bench`. Invariant:
 * the hooks are those of native/bpf, compiled into these programs unchanged. */
#include "controls.h"

/* Encapsulated: the outer header is taken off again. */
INLINE bool shorten(struct xdp_md *xdp, int verdict) {
  return verdict != XDP_TX || !bpf_xdp_adjust_head(xdp, 20);
}

SEC("xdp")
int bench_xdp(struct xdp_md *xdp) {
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  __u32 flow = next_flow();
  if (!put_flow(data, end, outside_address(flow), flow_ports(flow)))
    return XDP_ABORTED;
  int verdict = run_xdp(xdp);
  return counted(verdict, shorten(xdp, verdict) && verdict == (int)bench.expected);
}

/* The wrapper alone. */
SEC("xdp")
int bench_xdp_empty(struct xdp_md *xdp) {
  void *data = (void *)(long)xdp->data;
  void *end = (void *)(long)xdp->data_end;
  __u32 flow = next_flow();
  if (!put_flow(data, end, outside_address(flow), flow_ports(flow)))
    return XDP_ABORTED;
  bool grown = !bpf_xdp_adjust_head(xdp, -20);
  return counted(XDP_TX, grown && shorten(xdp, XDP_TX));
}

/* A packet that the hook leaves alone needs no more than its verdict counted. */
SEC("xdp")
int bench_xdp_pass(struct xdp_md *xdp) {
  int verdict = run_xdp(xdp);
  return counted(verdict, verdict == (int)bench.expected);
}

/* 16384 connections a pod; pods have addresses in a row. */
INLINE __u32 pod_address(__u32 flow) { return bpf_htonl(bench.address + (flow >> 14)); }

INLINE int container(struct __sk_buff *skb) {
  void *data = DATA(skb);
  void *end = DATA_END(skb);
  __u32 flow = next_flow();
  if (!put_headers(data, end, pod_address(flow), flow_ports(flow)))
    return TC_ACT_SHOT;
  int verdict = run_from_container(skb);
  data = DATA(skb);
  end = DATA_END(skb);
  if (data + 54 > end)
    return TC_ACT_SHOT;
  return counted(verdict,
                 verdict == (int)bench.expected && *(p32 *)(data + 30) != bench.destination);
}

SEC("tc")
int bench_container(struct __sk_buff *skb) { return container(skb); }

/* Every packet is its connection's first since the maps changed: it is looked up anew. */
SEC("tc")
int bench_container_first(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct weir_generation *generation = bpf_map_lookup_elem(&weir_generation, &zero);
  if (generation)
    generation->changes++;
  return container(skb);
}

SEC("tc")
int bench_container_empty(struct __sk_buff *skb) {
  void *data = DATA(skb);
  void *end = DATA_END(skb);
  __u32 flow = next_flow();
  if (!put_headers(data, end, pod_address(flow), flow_ports(flow)))
    return TC_ACT_SHOT;
  return counted(TC_ACT_OK, true);
}

char _license[] SEC("license") = "Dual BSD/GPL";
