// Hook "to-overlay": what the node's own stack sends to other nodes' pods through the overlay. Answers of backends on this node are
// translated back, then the packet is put into one of the overlay. Input: context with packet and meta. Output: a verdict.
// Walks: Cilium's cil_to_overlay (bpf_overlay.c), and behind it the device's work. Invariant: what an earlier hook has put into a packet
// of the overlay does not come here. No twin in C yet: see SIMULATOR_FEATURES.
import { CT_FLAG, CT_KEY, CT_STATUS, DROP, FEATURE, STAGE } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as connections from '../stages/conntrack.ts';
import * as directReturn from '../stages/direct-return.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as identity from '../stages/identity.ts';
import * as nat from '../stages/nat.ts';
import * as overlay from '../stages/overlay.ts';
import * as parseStage from '../stages/parse.ts';
import * as serviceStage from '../stages/service.ts';
import * as snat from '../stages/snat.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { conntrack } = connections;
const { answerDirectly } = directReturn;
const { toStack } = forwardStage;
const { fragment } = fragmentStage;
const { identityOfSource } = identity;
const { translateFromBackend } = nat;
const { enterOverlay, findTunnel } = overlay;
const { parse } = parseStage;
const { isBalanced } = serviceStage;
const { isMarkedDone } = snat;
const { CONTINUE, drop } = verdicts;
// The same for what this module exports itself.
const translateAnswer = answerFromNode;

const { NODE_PORT, OVERLAY } = FEATURE;
const NODE = CT_KEY.NODE;
const { REPLY, NONE } = CT_STATUS;
const DSR_INTERNAL = CT_FLAG.DSR_INTERNAL;
const FORWARD = STAGE.FORWARD;

/** Runs the hook. A destination behind no tunnel endpoint is 160. */
export function toOverlay(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & OVERLAY) === 0) return toStack(cx);
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  cx.sourceIdentity = identityOfSource(cx, tables);
  translateAnswer(cx, tables);
  const at = findTunnel(cx, tables);
  if (at < 0) return drop(cx, DROP.NO_TUNNEL_ENDPOINT, FORWARD);
  return enterOverlay(cx, tables, at, cx.sourceIdentity, false);
}

/**
 * An answer of a backend on this node that no hook has translated back gets its frontend (Cilium: handle_nat_fwd). What the node says
 * of its own connection stays in the record.
 */
export function answerFromNode(cx: Context, tables: Tables): void {
  if ((cx.features & NODE_PORT) === 0 || !isBalanced(cx) || isMarkedDone(cx)) return;
  const { ctStatus } = cx;
  cx.ctStatus = NONE;
  cx.ctAt = -1;
  cx.ctFlags = 0;
  cx.ctStale = 0;
  cx.ownerIsSource = 1;
  cx.ownerFlags = NODE;
  conntrack(cx, tables);
  if (cx.ctStatus !== REPLY) cx.ctStatus = NONE;
  else if ((cx.ctFlags & DSR_INTERNAL) !== 0) answerDirectly(cx);
  else translateFromBackend(cx, tables, cx.ctFlags >>> 16, false);
  if (ctStatus !== NONE) cx.ctStatus = ctStatus;
}
