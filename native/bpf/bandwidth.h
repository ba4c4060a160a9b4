/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "bandwidth": when a packet of an endpoint with a limit may leave: the earliest departure
 * time. Twin: src/datapath/stages/bandwidth.ts. Input: the packet at to-netdev, cx->aggregate by
 * from-container. Output: the departure in the record and the skb, whose device's queueing
 * discipline (fq) keeps it; a drop (162) beyond the horizon. Invariant: departures of an endpoint
 * never go back. Two processors that send for one endpoint at once may give out one departure
 * twice, as Cilium's do. */
#pragma once
#include "verdict.h"

#define SECOND_NS 1000000000LL
/* Seconds of difference beyond which it makes none how far: every delay is shorter. */
#define FAR_SECONDS (1 << 21)

/* Names the endpoint whose limit applies when the packet leaves: in real traffic by the queue
 * mapping, which crosses the stack. */
INLINE void set_aggregate(struct __sk_buff *skb, struct weir_context *cx, __u32 endpoint) {
  cx->aggregate = endpoint;
  if (!weir_load.clock_from_map && (weir_load.features & WEIR_FEATURE_BANDWIDTH))
    skb->queue_mapping = endpoint;
}

/* Gives the packet its departure. */
RARE int pace(struct __sk_buff *skb, struct weir_context *cx) {
  if (!cx)
    return CONTINUE;
  __u32 id = cx->aggregate;
  struct weir_limit *limit = bpf_map_lookup_elem(&weir_limits, &id);
  struct weir_departure *last = bpf_map_lookup_elem(&weir_departures, &id);
  if (!limit || !last)
    return CONTINUE;
  __u64 rate = limit->bytes_per_second;
  if (!rate)
    return CONTINUE;
  __u32 seconds = cx->now;
  /* Where time has gone back, it is the beginning of the latest second. */
  __u32 nanoseconds = cx->seconds == cx->now ? cx->nanoseconds : 0;
  __u64 bytes = cx->wire_bytes;
  __u64 now = 0;
  /* What the sender itself has put off (a socket's pacing). */
  __s64 ahead = 0;
  if (!weir_load.clock_from_map) {
    now = bpf_ktime_get_ns();
    seconds = now / SECOND_NS;
    nanoseconds = now % SECOND_NS;
    bytes = skb->wire_len;
    if (skb->tstamp > now)
      ahead = skb->tstamp - now;
  }
  if (bytes > WEIR_BOUND_LIMITED_BYTES)
    bytes = WEIR_BOUND_LIMITED_BYTES;
  __s64 apart = (__s32)(last->seconds - seconds);
  if (apart > FAR_SECONDS)
    apart = FAR_SECONDS;
  if (apart < -FAR_SECONDS)
    apart = -FAR_SECONDS;
  __s64 wait = apart * SECOND_NS + last->nanoseconds - nanoseconds +
               (__s64)(bytes * (__u64)SECOND_NS / rate);
  if (wait > ahead) {
    if ((__u64)wait >= limit->horizon)
      return drop(cx, WEIR_DROP_EDT_HORIZON, WEIR_STAGE_FORWARD);
    if (!weir_load.clock_from_map)
      skb->tstamp = now + wait;
  } else
    wait = ahead;
  __u64 sum = (__u64)wait + nanoseconds;
  struct weir_departure next = {.seconds = seconds, .nanoseconds = nanoseconds};
  if (wait > 0) {
    next.seconds = seconds + sum / SECOND_NS;
    next.nanoseconds = sum % SECOND_NS;
    cx->departure_seconds = next.seconds;
    cx->departure_nanoseconds = next.nanoseconds;
  }
  /* In one store. */
  if (!probing(cx))
    *(volatile __u64 *)last = next.seconds | ((__u64)next.nanoseconds << 32);
  return CONTINUE;
}
