// Hook "to-netdev": a packet leaves the node. Answers of backends that no pod hook has translated back are translated here.
// Input: context with packet and meta. Output: a verdict. Walks: the reverse half of Cilium's handle_nat_fwd (nodeport.h).
// Invariant: at most 2 conntrack probes. Masquerading is not built. Twin: native/bpf/to_netdev.bpf.c.
import { CT_KEY, CT_STATUS, FEATURE } from '../../schema/index.ts';
import { type Context } from '../context.ts';
import { conntrack } from '../stages/conntrack.ts';
import { toStack } from '../stages/forward.ts';
import { fragment } from '../stages/fragment.ts';
import { translateFromBackend } from '../stages/nat.ts';
import { parse } from '../stages/parse.ts';
import { isBalanced } from '../stages/service.ts';
import { type Tables } from '../tables.ts';
import { CONTINUE } from '../verdict.ts';

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
