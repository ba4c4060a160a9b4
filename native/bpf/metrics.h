/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters by reason and direction. Twin: src/datapath/metrics.ts. Invariant: a probe counts
 * nothing. */
#pragma once
#include "context.h"

INLINE void count(const struct weir_context *cx, __u32 reason, __u32 direction) {
  if (probing(cx))
    return;
  __u32 index = reason * 4 + direction;
  struct weir_metrics *counter = bpf_map_lookup_elem(&weir_metrics, &index);
  if (!counter)
    return;
  counter->packets++;
  counter->bytes += cx->wire_bytes;
}
