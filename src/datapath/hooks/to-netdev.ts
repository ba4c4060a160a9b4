// Hook "to-netdev": a packet leaves the node. Answers of backends that no pod hook has translated back are translated here;
// what pods send to the outside gets the node's address, and its time to leave where a limit says so; what the node itself sends is
// policed where there is a host firewall.
// Input: context with packet and meta. Output: a verdict. Walks: Cilium's to_netdev and handle_nat_fwd (nodeport.h). Invariant: at
// most 2 conntrack probes, 2 more where pods are masqueraded, 2 more for a policed host; what an earlier hook translated is left alone. Twin: native/bpf/hooks/to_netdev.h.
import { CT_FLAG, CT_KEY, CT_STATUS, FEATURE, MARK, NAT_FLAG } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as bandwidth from '../stages/bandwidth.ts';
import * as connections from '../stages/conntrack.ts';
import * as directReturn from '../stages/direct-return.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as hostStage from '../stages/host.ts';
import * as masquerading from '../stages/masquerade.ts';
import * as nat from '../stages/nat.ts';
import * as parseStage from '../stages/parse.ts';
import * as serviceStage from '../stages/service.ts';
import * as snat from '../stages/snat.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { pace } = bandwidth;
const { conntrack } = connections;
const { answerByTranslation, answerDirectly } = directReturn;
const { toStack } = forwardStage;
const { fragment } = fragmentStage;
const { hostEgress, unparsedFromHost } = hostStage;
const { masquerade } = masquerading;
const { translateFromBackend } = nat;
const { parse } = parseStage;
const { isBalanced } = serviceStage;
const { isMarkedDone } = snat;
const { CONTINUE } = verdicts;

const { BANDWIDTH, NODE_PORT, MASQUERADE_V4, MASQUERADE_V6, HOST_FIREWALL } = FEATURE;
const OVERLAYS = FEATURE.OVERLAY | FEATURE.DSR_GENEVE;
const TRANSLATING = NODE_PORT | MASQUERADE_V4 | MASQUERADE_V6;
const MASQUERADING = MASQUERADE_V4 | MASQUERADE_V6;
const NEEDS_CT = NAT_FLAG.NEEDS_CT;
const NODE = CT_KEY.NODE;
const { NEW, REPLY, NONE } = CT_STATUS;
const DSR_INTERNAL = CT_FLAG.DSR_INTERNAL;
const { MASK: MARK_MASK, OVERLAY: MARK_OVERLAY } = MARK;

/** Whether an earlier hook of this node has made the packet, for the overlay. */
const isOfOverlay = (cx: Context): boolean => (cx.features & OVERLAYS) !== 0 && (cx.mark & MARK_MASK) === MARK_OVERLAY;

/** Runs the hook. */
export function toNetdev(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return unparsedFromHost(cx, tables, verdict);
  // Before anything is kept of a packet that does not leave.
  if (cx.aggregate !== 0 && (cx.features & BANDWIDTH) !== 0) {
    verdict = pace(cx, tables);
    if (verdict !== CONTINUE) return verdict;
  }
  if ((cx.features & (TRANSLATING | HOST_FIREWALL)) === 0 || isMarkedDone(cx) || isOfOverlay(cx)) return toStack(cx);
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & HOST_FIREWALL) === 0) return translate(cx, tables);
  if ((cx.mark & MARK_MASK) !== MARK_OVERLAY) verdict = hostEgress(cx, tables, -1);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & TRANSLATING) === 0) return toStack(cx);
  // What the node says of its own connection stands in the record.
  const { ctStatus } = cx;
  cx.ctStatus = NONE;
  cx.ctAt = -1;
  cx.ctFlags = 0;
  cx.ctStale = 0;
  verdict = translate(cx, tables);
  if (ctStatus !== NONE) cx.ctStatus = ctStatus;
  return verdict;
}

/** Answers of backends get their frontend back, what leaves the cluster the node's address. */
const translate = (cx: Context, tables: Tables): number => {
  cx.natFlags = 0;
  if ((cx.features & NODE_PORT) !== 0 && isBalanced(cx)) {
    cx.ownerIsSource = 1;
    cx.ownerFlags = NODE;
    conntrack(cx, tables);
    if (cx.ctStatus === REPLY) {
      if ((cx.ctFlags & DSR_INTERNAL) !== 0) answerDirectly(cx);
      else translateFromBackend(cx, tables, cx.ctFlags >>> 16, false);
      return toStack(cx);
    }
    if (answerByTranslation(cx, tables)) {
      cx.ctStatus = NONE;
      return toStack(cx);
    }
  }
  if ((cx.features & MASQUERADING) !== 0) {
    const verdict = masquerade(cx, tables);
    if (verdict !== CONTINUE) return verdict;
  }
  // What the node has no entry for is not new to anybody, but for what it opened itself.
  if (cx.ctStatus === NEW && cx.natFlags !== NEEDS_CT) cx.ctStatus = NONE;
  return toStack(cx);
};
