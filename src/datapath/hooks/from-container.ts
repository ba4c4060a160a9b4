// Hook "from-container": a pod sends. Source check, service, conntrack, egress policy, translation back, forwarding.
// Input: context with packet and meta. Output: a verdict. Walks: Cilium's handle_ipv4_from_lxc (bpf_lxc.c).
// Invariant: at most 2 conntrack probes, 1 more behind a service; one ipcache lookup. Twin: native/bpf/hooks/from_container.h.
import {
  ACTION,
  CT_FLAG,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  FEATURE,
  META_FLAG,
  RECORD_FLAG,
  STAGE,
} from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as connections from '../stages/conntrack.ts';
import * as directReturn from '../stages/direct-return.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as identity from '../stages/identity.ts';
import * as nat from '../stages/nat.ts';
import * as overlay from '../stages/overlay.ts';
import * as parseStage from '../stages/parse.ts';
import * as podError from '../stages/pod-error.ts';
import * as policyStage from '../stages/policy.ts';
import * as serviceStage from '../stages/service.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { conntrack, createConnection } = connections;
const { answerDirectly } = directReturn;
const { forwardFromPod, toEndpoint, toProxy } = forwardStage;
const { fragment } = fragmentStage;
const { findDestinationEndpoint, findSourceEndpoint, identityMark, takeEndpoint } = identity;
const { translateFromBackend, translateToBackend } = nat;
const { forwardBeyond } = overlay;
const { isNeighbourDiscovery, parse } = parseStage;
const { translatePodError } = podError;
const { policy } = policyStage;
const { service } = serviceStage;
const { CONTINUE, drop, forwarded } = verdicts;
// The same for what this module exports itself.
const offsetOfBackend = backendAt;

const { NEW, REPLY } = CT_STATUS;
const { LOOPBACK, NODE_PORT, DSR_INTERNAL } = CT_FLAG;
const { STACK, LOCAL, REDIRECT, HOST } = ACTION;
const { PARSE, FORWARD } = STAGE;
const { SOURCE_CHECK, OVERLAY } = FEATURE;
const ENCAPSULATED = RECORD_FLAG.ENCAPSULATED;
const { LIMITED, NO_SOURCE_CHECK } = ENDPOINT_FLAG;
const SKIP_SERVICE = META_FLAG.SKIP_SERVICE;

/** Runs the hook. */
export function fromContainer(cx: Context, tables: Tables): number {
  cx.egress = 1;
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  if (isNeighbourDiscovery(cx)) return forwarded(cx, STACK, PARSE);
  verdict = sender(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  cx.ownerIsSource = 1;
  if ((cx.metaFlags & SKIP_SERVICE) === 0) {
    verdict = service(cx, tables);
    if (verdict !== CONTINUE) return verdict;
    if (cx.backendId !== 0) {
      verdict = translateToBackend(cx, tables, offsetOfBackend(cx, tables));
      if (verdict !== CONTINUE) return verdict;
      // A hairpin's connection belongs to the pod as the backend that it is: `to-container` and the answer find the same entry.
      if (cx.loopback !== 0) cx.ownerIsSource = 0;
    }
  }
  conntrack(cx, tables);
  verdict = policy(cx, tables);
  cx.destinationIdentity = cx.remoteIdentity;
  if (verdict !== CONTINUE) return verdict;
  if (cx.ctStatus === NEW) {
    verdict = createConnection(cx, tables);
    if (verdict !== CONTINUE) return verdict;
  }
  if (cx.proxyPort !== 0) return toProxy(cx);
  if (cx.related !== 0) translatePodError(cx, tables);
  else if (cx.ctStatus === REPLY && (cx.ctFlags & (LOOPBACK | NODE_PORT)) !== 0) {
    if ((cx.ctFlags & DSR_INTERNAL) !== 0) {
      answerDirectly(cx);
      return leave(cx, tables);
    }
    const hairpin = (cx.ctFlags & LOOPBACK) !== 0;
    translateFromBackend(cx, tables, cx.ctFlags >>> 16, hairpin);
    if (hairpin) return backToItself(cx, tables);
  }
  return leave(cx, tables);
}

/** As forwardFromPod, but for what is behind the overlay. */
const forwardThrough = (cx: Context, tables: Tables): number => {
  const at = findDestinationEndpoint(cx, tables);
  return at >= 0 ? toEndpoint(cx, tables, at, LOCAL) : forwardBeyond(cx, tables, cx.sourceIdentity);
};

/** To wherever the packet goes now. */
const leave = (cx: Context, tables: Tables): number => {
  const verdict = (cx.features & OVERLAY) === 0 ? forwardFromPod(cx, tables) : forwardThrough(cx, tables);
  const { action } = cx;
  if (action === LOCAL || action === HOST || (action === STACK && (cx.recordFlags & ENCAPSULATED) === 0)) {
    cx.mark = identityMark(cx.sourceIdentity);
  }
  return verdict;
};

/**
 * The endpoint that sends, found by the packet's source address. Unknown, or behind another interface: 132 when sources are
 * checked. An unknown sender cannot be judged in any case: without the check it is 172.
 */
const sender = (cx: Context, tables: Tables): number => {
  const checked = (cx.features & SOURCE_CHECK) !== 0;
  const at = findSourceEndpoint(cx, tables);
  if (at < 0) return drop(cx, checked ? DROP.INVALID_SOURCE_IP : DROP.UNKNOWN_SENDER, PARSE);
  takeEndpoint(cx, tables, at);
  if (checked && cx.ifindex !== 0 && cx.ifindex !== cx.endpointIfindex && (cx.endpointFlags & NO_SOURCE_CHECK) === 0) {
    cx.endpointId = 0;
    return drop(cx, DROP.INVALID_SOURCE_IP, PARSE);
  }
  cx.sourceIdentity = cx.endpointIdentity;
  cx.aggregate = (cx.endpointFlags & LIMITED) !== 0 ? cx.endpointId : 0;
  return CONTINUE;
};

/** Offset of `cx.backendId` in the backend array of the packet's family; the service stage has seen that it exists. */
export function backendAt(cx: Context, tables: Tables): number {
  return cx.headers.family === 4 ? tables.backends4.find(cx.backendId) : tables.backends6.find(cx.backendId);
}

/** The answer of a hairpin goes straight to the pod, past its ingress policy: its source is the frontend now. */
const backToItself = (cx: Context, tables: Tables): number => {
  const at = findDestinationEndpoint(cx, tables);
  return at >= 0 ? toEndpoint(cx, tables, at, REDIRECT) : drop(cx, DROP.UNKNOWN_TARGET, FORWARD);
};
