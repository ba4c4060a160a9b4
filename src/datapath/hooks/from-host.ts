// Hook "from-host": the node's own stack sends towards a pod. Who sends is told by the mark; the pod's own hook decides, and before
// it the node's own policy where there is a host firewall. Input: context with packet and meta. Output: a verdict; META FROM_HOST for
// the next hook when the host itself sends. Walks: Cilium's from_host (bpf_host.c). Invariant: without a host firewall no
// conntrack and no policy. Twin: native/bpf/hooks/from_host.h.
import { ACTION, endpointValue, ENDPOINT_FLAG, FEATURE, IDENTITY, META_FLAG } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as hostStage from '../stages/host.ts';
import * as identity from '../stages/identity.ts';
import * as overlay from '../stages/overlay.ts';
import * as parseStage from '../stages/parse.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as toOverlayHook from './to-overlay.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { toEndpoint, toStack } = forwardStage;
const { fragment } = fragmentStage;
const { hostEgress, unparsedFromHost } = hostStage;
const { findDestinationEndpoint, identityOfSource } = identity;
const { enterOverlay, findTunnel } = overlay;
const { parse } = parseStage;
const { CONTINUE } = verdicts;
const { answerFromNode } = toOverlayHook;

const { LOCAL, HOST: TO_NODE } = ACTION;
const HOST_FIREWALL = FEATURE.HOST_FIREWALL;
const IS_HOST = ENDPOINT_FLAG.HOST;
const HOST = IDENTITY.HOST;
const FROM_HOST = META_FLAG.FROM_HOST;
const OVERLAY = FEATURE.OVERLAY;
const EP_IDS = endpointValue.at.endpointId >>> 2;
const EP_FLAGS = endpointValue.at.flags >>> 2;

/** Runs the hook. */
export function fromHost(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return unparsedFromHost(cx, tables, verdict);
  const at = findDestinationEndpoint(cx, tables);
  if ((cx.features & HOST_FIREWALL) !== 0) {
    verdict = fragment(cx, tables);
    if (verdict !== CONTINUE) return verdict;
    verdict = hostEgress(cx, tables, at);
    if (verdict !== CONTINUE) return verdict;
  }
  // The node of the host that sends, where it has been looked for.
  const own = cx.endpointNode;
  if (at < 0) {
    cx.sourceIdentity = identityOfSource(cx, tables);
    if ((cx.features & OVERLAY) === 0) return toStack(cx);
    const tunnel = findTunnel(cx, tables);
    if (tunnel < 0) return toStack(cx);
    if ((cx.features & HOST_FIREWALL) === 0) {
      verdict = fragment(cx, tables);
      if (verdict !== CONTINUE) return verdict;
    }
    answerFromNode(cx, tables);
    return enterOverlay(cx, tables, tunnel, cx.sourceIdentity, false);
  }
  // The node rule needs to know on which node the pod is: the sender is that node's stack.
  const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  cx.endpointNode = words[at + EP_IDS]! >>> 16;
  cx.sourceIdentity = identityOfSource(cx, tables);
  // A node that talks to itself.
  if (own !== 0 && own === cx.endpointNode && (words[at + EP_FLAGS]! & IS_HOST) !== 0) return toStack(cx);
  const result = toEndpoint(cx, tables, at, LOCAL);
  if (cx.sourceIdentity === HOST && cx.action === LOCAL) cx.metaFlags |= FROM_HOST;
  // No mark crosses the wire: to another node this is a packet from the network.
  if (own !== 0 && cx.action === TO_NODE) cx.mark = 0;
  return result;
}
