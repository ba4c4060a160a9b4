/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every benchmark program shares: which flow comes next, and the packet's headers as they were
 * before the last repeat. Input: `bench`, written before a test run. Output: headers in the packet,
 * counts in `bench`. Invariant: a program counts each repeat whose verdict was the expected one. */
#pragma once
#include "hooks/from_container.h"
#include "hooks/to_host.h"
#include "hooks/xdp.h"

#define FLOW_SPREAD 37

/* Plan and result of one test run. */
struct bench {
  __u32 next;        /* flow of the next repeat */
  __u32 flows;       /* how many there are */
  __u32 stride;      /* from one to the next */
  __u32 address;     /* of the first flow's client, host order */
  __u32 destination; /* raw */
  __u32 ports_high;  /* destination port, raw, in the high half */
  __u32 expected;    /* verdict */
  __u32 zero;
  __u64 good;
};
struct bench bench;

INLINE __u32 next_flow(void) {
  __u32 flow = bench.next;
  __u32 after = flow + bench.stride;
  if (after >= bench.flows)
    after -= bench.flows;
  bench.next = after;
  return flow;
}

INLINE int counted(int verdict, bool good) {
  if (good)
    bench.good++;
  return verdict;
}

/* A client outside: one address a flow, spread over /24 networks. */
INLINE __u32 outside_address(__u32 flow) {
  return bpf_htonl(bench.address + (flow * FLOW_SPREAD & 0xffffff));
}

INLINE __u32 flow_ports(__u32 flow) {
  return (__u32)bpf_htons(1024 + (flow & 0x3fff)) | bench.ports_high;
}

/* The flow's source and ports, and the link header that an encapsulation has written over. False
 * only for the verifier. */
INLINE bool put_flow(void *data, void *end, __u32 source, __u32 ports) {
  if (data + 54 > end)
    return false;
  *(p32 *)data = 0x00000002;
  *(p32 *)(data + 4) = 0x00020100;
  *(p32 *)(data + 8) = 0x02000000;
  *(p16 *)(data + 12) = bpf_htons(0x0800);
  *(p32 *)(data + 26) = source;
  *(p32 *)(data + 34) = ports;
  return true;
}

/* The same, and what a translation has changed: hop count, checksums, destination. */
INLINE bool put_headers(void *data, void *end, __u32 source, __u32 ports) {
  if (!put_flow(data, end, source, ports))
    return false;
  *(p32 *)(data + 22) = 64 | (IPPROTO_TCP_ << 8) | 0x12340000;
  *(p32 *)(data + 30) = bench.destination;
  *(p16 *)(data + 50) = 0x4321;
  return true;
}
