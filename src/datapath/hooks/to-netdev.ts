// Hook "to-netdev": a packet leaves the node. Answers of backends that no pod hook has translated back are translated here.
// Input: context with packet and meta. Output: a verdict. Walks: the reverse half of Cilium's handle_nat_fwd (nodeport.h).
// Invariant: at most 2 conntrack probes. Masquerading is not built. Twin: native/bpf/hooks/to_netdev.h.
import { CT_KEY, CT_STATUS, FEATURE } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as connections from '../stages/conntrack.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as nat from '../stages/nat.ts';
import * as parseStage from '../stages/parse.ts';
import * as serviceStage from '../stages/service.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { conntrack } = connections;
const { toStack } = forwardStage;
const { fragment } = fragmentStage;
const { translateFromBackend } = nat;
const { parse } = parseStage;
const { isBalanced } = serviceStage;
const { CONTINUE } = verdicts;

const NODE_PORT = FEATURE.NODE_PORT;
const NODE = CT_KEY.NODE;
const { NEW, REPLY, NONE } = CT_STATUS;

/** Runs the hook. */
export function toNetdev(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & NODE_PORT) === 0) return toStack(cx);
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  if (!isBalanced(cx)) return toStack(cx);
  cx.ownerIsSource = 1;
  cx.ownerFlags = NODE;
  conntrack(cx, tables);
  if (cx.ctStatus === REPLY) translateFromBackend(cx, tables, cx.ctFlags >>> 16, false);
  // What the node has no entry for is not new to anybody: this hook makes none.
  if (cx.ctStatus === NEW) cx.ctStatus = NONE;
  return toStack(cx);
}
