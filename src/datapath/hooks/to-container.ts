// Hook "to-container": a packet reaches a pod. Conntrack, translation of answers back to the frontend, ingress policy.
// Input: context with packet and meta. Output: a verdict. Walks: Cilium's ipv4_policy (bpf_lxc.c).
// Invariant: at most 2 conntrack probes, 1 more for a new packet on a node with node ports; one ipcache lookup.
// Twin: native/bpf/hooks/to_container.h.
import { ACTION, CT_FLAG, CT_STATUS, DROP, FEATURE, STAGE } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as connections from '../stages/conntrack.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as identity from '../stages/identity.ts';
import * as nat from '../stages/nat.ts';
import * as parseStage from '../stages/parse.ts';
import * as podError from '../stages/pod-error.ts';
import * as policyStage from '../stages/policy.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { conntrack, createConnection, findNodeConnection } = connections;
const { toProxy } = forwardStage;
const { fragment } = fragmentStage;
const { findDestinationEndpoint, takeEndpoint } = identity;
const { translateFromBackend } = nat;
const { isNeighbourDiscovery, parse } = parseStage;
const { translatePodError } = podError;
const { policy } = policyStage;
const { CONTINUE, drop, forwarded } = verdicts;

const { NEW, REPLY } = CT_STATUS;
const { NODE_PORT, LOOPBACK } = CT_FLAG;
const DELIVER = ACTION.DELIVER;
const { PARSE, FORWARD } = STAGE;
const NODE_PORTS = FEATURE.NODE_PORT;

/** Runs the hook. */
export function toContainer(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  if (isNeighbourDiscovery(cx)) return forwarded(cx, DELIVER, PARSE);
  const at = findDestinationEndpoint(cx, tables);
  if (at < 0) return drop(cx, DROP.UNKNOWN_TARGET, FORWARD);
  takeEndpoint(cx, tables, at);
  cx.destinationIdentity = cx.endpointIdentity;
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  conntrack(cx, tables);
  const status = cx.ctStatus;
  if (status === NEW) {
    if ((cx.features & NODE_PORTS) !== 0 && cx.related === 0) findNodeConnection(cx, tables);
  } else if (cx.ctAt >= 0) {
    const reverseNat = cx.ctFlags >>> 16;
    if (status === REPLY && reverseNat !== 0 && (cx.ctFlags & (NODE_PORT | LOOPBACK)) === 0) {
      translateFromBackend(cx, tables, reverseNat, false);
    }
    cx.reverseNat = reverseNat;
  }
  verdict = policy(cx, tables);
  cx.sourceIdentity = cx.remoteIdentity;
  if (verdict !== CONTINUE) return verdict;
  if (status === NEW) {
    verdict = createConnection(cx, tables);
    if (verdict !== CONTINUE) return verdict;
  }
  if (cx.proxyPort !== 0) return toProxy(cx);
  if (cx.related !== 0) translatePodError(cx, tables);
  cx.outIfindex = cx.endpointIfindex;
  return forwarded(cx, DELIVER, FORWARD);
}
