// Hook "from-host": the node's own stack sends towards a pod. Who sends is told by the mark; the pod's own hook decides.
// Input: context with packet and meta. Output: a verdict; META FROM_HOST for the next hook when the host itself sends.
// Walks: Cilium's from_host (bpf_host.c). Invariant: no conntrack, no policy here. Twin: native/bpf/hooks/from_host.h.
import { ACTION, endpointValue, IDENTITY, META_FLAG } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as forwardStage from '../stages/forward.ts';
import * as identity from '../stages/identity.ts';
import * as parseStage from '../stages/parse.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { toEndpoint, toStack } = forwardStage;
const { findDestinationEndpoint, identityOfSource } = identity;
const { parse } = parseStage;
const { CONTINUE } = verdicts;

const LOCAL = ACTION.LOCAL;
const HOST = IDENTITY.HOST;
const FROM_HOST = META_FLAG.FROM_HOST;
const EP_IDS = endpointValue.at.endpointId >>> 2;

/** Runs the hook. */
export function fromHost(cx: Context, tables: Tables): number {
  const verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  const at = findDestinationEndpoint(cx, tables);
  if (at < 0) {
    cx.sourceIdentity = identityOfSource(cx, tables);
    return toStack(cx);
  }
  // The node rule needs to know on which node the pod is: the sender is that node's stack.
  const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  cx.endpointNode = words[at + EP_IDS]! >>> 16;
  cx.sourceIdentity = identityOfSource(cx, tables);
  const result = toEndpoint(cx, tables, at, LOCAL);
  if (cx.sourceIdentity === HOST && cx.action === LOCAL) cx.metaFlags |= FROM_HOST;
  return result;
}
