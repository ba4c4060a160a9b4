/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who sends, at from-container. Twin: src/datapath/hooks/from-container.ts. Input: source address
 * and interface. Output: endpoint fields of the context, the source's identity; CONTINUE or a drop.
 */
#pragma once
#include "identity.h"
#include "verdict.h"

/* The endpoint that sends, found by the packet's source address. */
INLINE int sender(struct weir_context *cx, const struct weir_config *config, const int family) {
  bool checked = HAS(cx, WEIR_FEATURE_SOURCE_CHECK);
  struct weir_endpoint *endpoint = find_endpoint(cx->source, family);
  if (!endpoint)
    return drop(cx, checked ? WEIR_DROP_INVALID_SOURCE_IP : WEIR_DROP_UNKNOWN_SENDER,
                WEIR_STAGE_PARSE);
  take_endpoint(cx, config, endpoint);
  if (checked && cx->ifindex && cx->ifindex != cx->endpoint_ifindex &&
      !(cx->endpoint_flags & WEIR_ENDPOINT_FLAG_NO_SOURCE_CHECK)) {
    cx->endpoint_id = 0;
    return drop(cx, WEIR_DROP_INVALID_SOURCE_IP, WEIR_STAGE_PARSE);
  }
  cx->source_identity = cx->endpoint_identity;
  return CONTINUE;
}
