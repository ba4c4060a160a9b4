/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stage "fragment". Twin: src/datapath/stages/fragment.ts. The first fragment's ports are recorded,
 * later fragments look them up. Output: cx->ports, or cx->portless. Invariant: a packet that is no
 * fragment costs one comparison. */
#pragma once
#include "identity.h"
#include "metrics.h"
#include "verdict.h"

/* Cilium's metrics reasons. */
#define METRIC_FRAGMENTED 9
#define METRIC_FRAGMENT_UPDATE_FAILED 10

/* Pod hooks count by their own direction, node hooks as the service lookup that wants the ports. */
INLINE __u32 fragment_direction(const struct weir_context *cx) {
  if (cx->egress)
    return WEIR_DIRECTION_EGRESS;
  return cx->hook == WEIR_HOOK_TO_CONTAINER ? WEIR_DIRECTION_INGRESS : WEIR_DIRECTION_SERVICE;
}

/* Key of the datagram: 3 words for IPv4, 10 for IPv6. */
INLINE void set_fragment_key(struct weir_context *cx) {
  __u32 *key = cx->other_key;
  if (cx->family == 4) {
    key[0] = cx->source[0];
    key[1] = cx->destination[0];
    key[2] = (cx->fragment_id & 0xffff) | ((__u32)cx->protocol << 16);
    return;
  }
  for (int i = 0; i < 4; i++) {
    key[i] = cx->source[i];
    key[4 + i] = cx->destination[i];
  }
  key[8] = cx->fragment_id;
  key[9] = cx->protocol;
}

/* Gives a fragment its ports. A later fragment whose first was not seen is dropped: 175, or 207
 * from the world. */
RARE int handle_fragment(struct weir_context *cx) {
  if (!cx)
    return CONTINUE;
  __u32 direction = fragment_direction(cx);
  count(cx, METRIC_FRAGMENTED, direction);
  bool four = cx->family == 4;
  if (four ? !HAS(cx, WEIR_FEATURE_FRAGMENTS_V4) : !HAS(cx, WEIR_FEATURE_FRAGMENTS_V6)) {
    if (cx->egress)
      return drop(cx, WEIR_DROP_FRAG_NO_SUPPORT, WEIR_STAGE_PARSE);
    if (cx->fragment == 2)
      cx->portless = 1;
    return CONTINUE;
  }
  set_fragment_key(cx);
  if (cx->fragment == 1) {
    if (probing(cx))
      return CONTINUE;
    long failed;
    if (four) {
      failed = bpf_map_update_elem(&weir_fragments4, cx->other_key, &cx->ports, BPF_ANY);
      APART(failed);
    } else
      failed = bpf_map_update_elem(&weir_fragments6, cx->other_key, &cx->ports, BPF_ANY);
    if (failed)
      count(cx, METRIC_FRAGMENT_UPDATE_FAILED, direction);
    return CONTINUE;
  }
  const __u32 *ports;
  if (four) {
    ports = bpf_map_lookup_elem(&weir_fragments4, cx->other_key);
    APART(ports);
  } else
    ports = bpf_map_lookup_elem(&weir_fragments6, cx->other_key);
  if (ports) {
    cx->ports = *ports;
    return CONTINUE;
  }
  bool from_world = false;
  if (!cx->egress) {
    __u32 source = identity_of_source(cx);
    cx->source_identity = source;
    from_world = source == WEIR_IDENTITY_WORLD || source == WEIR_IDENTITY_WORLD_IPV4 ||
                 source == WEIR_IDENTITY_WORLD_IPV6;
  }
  return drop(cx, from_world ? WEIR_DROP_FRAG_NOT_FOUND_FROM_WORLD : WEIR_DROP_FRAG_NOT_FOUND,
              WEIR_STAGE_PARSE);
}

INLINE int fragment(struct weir_context *cx) {
  return likely(!cx->fragment) ? CONTINUE : handle_fragment(cx);
}
