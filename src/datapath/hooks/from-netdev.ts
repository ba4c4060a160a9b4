// Hook "from-netdev": a packet arrives from outside. Frontends reachable from there, translation, local delivery.
// Input: context with packet and meta. Output: a verdict. Walks: Cilium's nodeport_lb4 and handle_ipv4 (bpf_host.c).
// Invariant: at most 3 conntrack probes. A backend on another node needs source NAT, which is not built: such a packet is
// dropped (191), never sent on untranslated. Twin: native/bpf/hooks/from_netdev.h.
import { ACTION, CT_KEY, CT_STATUS, DROP, FEATURE, META_FLAG, SERVICE_FLAG, STAGE } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import * as connections from '../stages/conntrack.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as identity from '../stages/identity.ts';
import * as nat from '../stages/nat.ts';
import * as parseStage from '../stages/parse.ts';
import * as serviceStage from '../stages/service.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as fromContainerHook from './from-container.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { conntrack, createConnection } = connections;
const { toEndpoint, toStack } = forwardStage;
const { fragment } = fragmentStage;
const { findDestinationEndpoint, identityOfSource, isLocalBackend } = identity;
const { translateToBackend } = nat;
const { parse } = parseStage;
const { serviceFromOutside } = serviceStage;
const { CONTINUE, drop, forwarded } = verdicts;
const { backendAt } = fromContainerHook;

const { NODE_PORT, VLAN_FILTER } = FEATURE;
const SKIP_SERVICE = META_FLAG.SKIP_SERVICE;
const HOST_PORT = SERVICE_FLAG.HOST_PORT;
const NODE = CT_KEY.NODE;
const NEW = CT_STATUS.NEW;
const LOCAL = ACTION.LOCAL;
const { PARSE, NAT } = STAGE;
/** XDP metadata: the service lookup was made there. */
const SERVICE_DONE = 1;

/** Runs "from-netdev". */
export function fromNetdev(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (cx.headers.vlanCount !== 0) return leaveTagged(cx);
  if (verdict !== CONTINUE) return verdict;
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  cx.sourceIdentity = identityOfSource(cx, tables);
  verdict = balanceFromOutside(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  const at = findDestinationEndpoint(cx, tables);
  return at >= 0 ? toEndpoint(cx, tables, at, LOCAL) : toStack(cx);
}

/**
 * A tagged frame is not for pods, which would get it with its tag: dropped (182), or whoever the tag is for gets it from the
 * stack as it came (Cilium's cil_from_netdev behind allow_vlan).
 */
const leaveTagged = (cx: Context): number => {
  if ((cx.features & VLAN_FILTER) !== 0) return drop(cx, DROP.VLAN_FILTERED, PARSE);
  cx.dropReason = 0;
  return forwarded(cx, ACTION.STACK, PARSE);
};

/** Service lookup, translation and the node's conntrack entry, unless that was done before. CONTINUE: deliver as it is now. */
function balanceFromOutside(cx: Context, tables: Tables): number {
  if ((cx.features & NODE_PORT) === 0) return CONTINUE;
  if ((cx.metaFlags & SKIP_SERVICE) !== 0) return CONTINUE;
  if ((cx.xdpMetadata & SERVICE_DONE) !== 0) return CONTINUE;
  let verdict = serviceFromOutside(cx, tables);
  if (verdict !== CONTINUE || cx.backendId === 0) return verdict;
  const at = backendAt(cx, tables);
  if (!isLocalBackend(cx, tables, at)) {
    return drop(cx, (cx.serviceFlags & HOST_PORT) !== 0 ? DROP.INVALID : DROP.SNAT_NO_MAP_FOUND, NAT);
  }
  verdict = translateToBackend(cx, tables, at);
  if (verdict !== CONTINUE) return verdict;
  cx.ownerIsSource = 0;
  cx.ownerFlags = NODE;
  cx.remoteIdentity = cx.sourceIdentity;
  conntrack(cx, tables);
  return cx.ctStatus === NEW ? createConnection(cx, tables) : CONTINUE;
}
