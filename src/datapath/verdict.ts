// How a stage ends a run, and how it does not. Input: the context and a reason. Output: a verdict number.
// Invariant: CONTINUE is the only number below zero; whoever returns something else has set stage, action and reason.
import { ACTION, TRACE, type UNKNOWN_REASON, VERDICT } from '../schema/index.ts';
import type { Context } from './context.ts';

/** "Go on with the next stage". Any other return value of a stage is a VERDICT and ends the run. */
export const CONTINUE = -1;

const { UNKNOWN, DROPPED, FORWARDED } = VERDICT;
const ACTION_DROP = ACTION.DROP;
const TRACE_DROP = TRACE.DROP;

/**
 * Ends the run with a drop.
 * @param reason DROP number
 * @param stage STAGE in which it fell
 */
export function drop(cx: Context, reason: number, stage: number): number {
  cx.dropReason = reason;
  cx.stage = stage;
  cx.action = ACTION_DROP;
  cx.outIfindex = 0;
  // A filter may drop what a stage before could not read.
  cx.unknownReason = 0;
  if (cx.tracing !== 0) cx.trace.open(TRACE_DROP, stage, reason, 0);
  return DROPPED;
}

/**
 * Ends the run with "unknown", naming the missing fact. The packet goes to the stack: nothing was decided about it.
 * @param reason UNKNOWN_REASON number
 */
export function unknown(
  cx: Context,
  reason: (typeof UNKNOWN_REASON)[keyof typeof UNKNOWN_REASON],
  stage: number,
): number {
  cx.unknownReason = reason;
  cx.stage = stage;
  cx.action = ACTION.STACK;
  return UNKNOWN;
}

/**
 * Ends the run with "forwarded".
 * @param action ACTION number
 */
export function forwarded(cx: Context, action: number, stage: number): number {
  cx.action = action;
  cx.stage = stage;
  return FORWARDED;
}
