// Hook "from-overlay": a packet of another node's pod arrives inside one of the overlay. Input: context with the outer packet and
// meta. Output: a verdict; the packet is the inner frame then, its sender's identity in the mark where a pod or the node gets it.
// Walks: Cilium's cil_from_overlay (bpf_overlay.c), behind what there is the device's work. Invariant: as from-netdev, which judges
// what is inside alike. No twin in C yet: see SIMULATOR_FEATURES.
import { ACTION, DROP, FEATURE, STAGE } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as congestion from '../stages/congestion.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as forwardStage from '../stages/forward.ts';
import * as identity from '../stages/identity.ts';
import * as overlay from '../stages/overlay.ts';
import * as parseStage from '../stages/parse.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as fromNetdevHook from './from-netdev.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { takeCongestion } = congestion;
const { fragment } = fragmentStage;
const { toStack } = forwardStage;
const { identityMark } = identity;
const { identityOfTunnel, leaveOverlay } = overlay;
const { parse } = parseStage;
const { CONTINUE, drop } = verdicts;
const { arrive } = fromNetdevHook;

const { DSR_GENEVE, OVERLAY } = FEATURE;
const { LOCAL, HOST } = ACTION;
const PARSE = STAGE.PARSE;

/** Runs the hook. */
export function fromOverlay(cx: Context, tables: Tables): number {
  cx.tunnelId = 0;
  cx.tunnelOption = 0;
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & (OVERLAY | DSR_GENEVE)) === 0) return toStack(cx);
  verdict = leaveOverlay(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  verdict = takeCongestion(cx);
  if (verdict !== CONTINUE) return verdict;
  const sender = identityOfTunnel(cx, tables);
  if (sender < 0) return drop(cx, DROP.INVALID_IDENTITY, PARSE);
  cx.sourceIdentity = sender;
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  verdict = arrive(cx, tables, DSR_GENEVE);
  if (cx.action === LOCAL || cx.action === HOST) cx.mark = identityMark(sender);
  return verdict;
}
