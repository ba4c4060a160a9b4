// Hook "to-host": the node's own stack is about to get a packet, from a pod or from the network. The node's ingress policy.
// Input: context with packet and meta. Output: a verdict. Walks: Cilium's to_host and ipv4_host_policy_ingress (host_firewall.h).
// Invariant: only with a host firewall; at most 2 conntrack probes, one ipcache lookup. Twin: native/bpf/hooks/to_host.h.
import { ENDPOINT_FLAG, endpointValue, FEATURE } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as forwardStage from '../stages/forward.ts';
import * as hostStage from '../stages/host.ts';
import * as identity from '../stages/identity.ts';
import * as parseStage from '../stages/parse.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { toStack } = forwardStage;
const { hostIngress, unparsedToHost } = hostStage;
const { findDestinationEndpoint, takeEndpoint } = identity;
const { parse } = parseStage;
const { CONTINUE } = verdicts;

const HOST_FIREWALL = FEATURE.HOST_FIREWALL;
const IS_HOST = ENDPOINT_FLAG.HOST;
const EP_FLAGS = endpointValue.at.flags >>> 2;

/** Runs the hook. */
export function toHost(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return unparsedToHost(cx, tables, verdict);
  if ((cx.features & HOST_FIREWALL) === 0) return toStack(cx);
  const at = findDestinationEndpoint(cx, tables);
  if (at < 0) return toStack(cx);
  const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  if ((words[at + EP_FLAGS]! & IS_HOST) === 0) return toStack(cx);
  takeEndpoint(cx, tables, at);
  cx.destinationIdentity = cx.endpointIdentity;
  verdict = hostIngress(cx, tables);
  return verdict === CONTINUE ? toStack(cx) : verdict;
}
