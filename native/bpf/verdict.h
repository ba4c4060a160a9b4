/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a stage ends a run. Twin: src/datapath/verdict.ts. Input: a reason. Output: a WEIR_VERDICT.
 * Invariant: CONTINUE is the only number below zero; whoever returns another has set stage, action
 * and reason. */
#pragma once
#include "context.h"

INLINE int drop(struct weir_context *cx, int reason, int stage) {
  cx->drop_reason = reason;
  cx->stage = stage;
  cx->action = WEIR_ACTION_DROP;
  cx->out_ifindex = 0;
  return WEIR_VERDICT_DROPPED;
}

INLINE int forwarded(struct weir_context *cx, int action, int stage) {
  cx->action = action;
  cx->stage = stage;
  return WEIR_VERDICT_FORWARDED;
}
