// Hook "from-netdev": a packet arrives from outside. Neighbours' questions, frontends, translation, local delivery.
// Input: context with packet and meta. Output: a verdict. Walks: Cilium's nodeport_lb4 and handle_ipv4 (bpf_host.c).
// Invariant: at most 3 conntrack probes. What goes on to a backend on another node gets this node's address (191 where that is
// unknown); only what may be an answer to that is looked up in the NAT maps. Twin: native/bpf/hooks/from_netdev.h.
import {
  ACTION,
  CT_KEY,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  endpointValue,
  FEATURE,
  IDENTITY,
  META_FLAG,
  NAT_FLAG,
  SERVICE_FLAG,
  STAGE,
} from '../../schema/index.ts';
import { ETHER_TYPE } from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import * as announce from '../stages/announce.ts';
import * as connections from '../stages/conntrack.ts';
import * as directReturn from '../stages/direct-return.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as hostStage from '../stages/host.ts';
import * as identity from '../stages/identity.ts';
import * as ipip from '../stages/ipip.ts';
import * as nat from '../stages/nat.ts';
import * as natError from '../stages/nat-error.ts';
import * as overlay from '../stages/overlay.ts';
import * as parseStage from '../stages/parse.ts';
import * as serviceStage from '../stages/service.ts';
import * as snat from '../stages/snat.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as fromContainerHook from './from-container.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_NODE } = config;
const { answerArp, answerSolicitation, isSolicitation } = announce;
const { conntrack, createConnection } = connections;
const { returnDirectly, takeDirectReturn } = directReturn;
const { forwardOut, toEndpoint, toStack } = forwardStage;
const { fragment } = fragmentStage;
const { unparsedToHost } = hostStage;
const { findDestinationEndpoint, identityOfSource, isLocalBackend, nodeOfBackend } = identity;
const { translateFromBackend, translateToBackend } = nat;
const { errorBack } = natError;
const { markDone, mayBeAnswer, takeNodeAddress, translateBack, translateOut } = snat;
const { parse } = parseStage;
const { serviceFromOutside } = serviceStage;
const { CONTINUE, drop, forwarded } = verdicts;
const { backendAt } = fromContainerHook;
const { encapsulateByRoute, openIpip } = ipip;
const { forwardBeyond } = overlay;
// The same for what this module exports itself.
const arriveAt = arrive;

const { L2_RESPONDER, NODE_PORT, VLAN_FILTER, MASQUERADE_V4, MASQUERADE_V6, DSR_OPTION, DSR_GENEVE } = FEATURE;
const { DSR_IPIP_NETDEV, IPIP_TERMINATION } = FEATURE;
const DSR = DSR_OPTION | DSR_GENEVE;
const WORLD = IDENTITY.WORLD;
const TRANSLATING = NODE_PORT | MASQUERADE_V4 | MASQUERADE_V6;
const SKIP_SERVICE = META_FLAG.SKIP_SERVICE;
const { HOST_PORT, FORWARD_DSR } = SERVICE_FLAG;
const NODE = CT_KEY.NODE;
const { NEW, REPLY, NONE } = CT_STATUS;
const { NEEDS_CT, NODE_PORT: OF_FRONTEND } = NAT_FLAG;
const IS_HOST = ENDPOINT_FLAG.HOST;
const EP_FLAGS = endpointValue.at.flags >>> 2;
const LOCAL = ACTION.LOCAL;
const { PARSE, NAT } = STAGE;
const ARP = ETHER_TYPE.ARP;
/** XDP metadata: the service lookup was made there. */
const SERVICE_DONE = 1;

/** Runs "from-netdev". */
export function fromNetdev(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (cx.headers.vlanCount !== 0) return leaveTagged(cx, tables);
  if ((cx.features & L2_RESPONDER) !== 0) {
    const answered = neighbourQuestion(cx, tables, verdict);
    if (answered !== CONTINUE) return answered;
  }
  if (verdict !== CONTINUE) {
    if ((cx.features & IPIP_TERMINATION) !== 0) verdict = openIpip(cx, tables, verdict);
    if (verdict !== CONTINUE) return unparsedToHost(cx, tables, verdict);
  }
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  cx.sourceIdentity = identityOfSource(cx, tables);
  return arriveAt(cx, tables, DSR_OPTION);
}

/**
 * What a packet from outside this node meets here, its sender's identity being known: frontends, endpoints, source NAT's way back.
 * @param direct feature by which packets here tell of direct return
 */
export function arrive(cx: Context, tables: Tables, direct: number): number {
  let verdict = balanceFromOutside(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  const at = findDestinationEndpoint(cx, tables);
  if (at >= 0) {
    if ((cx.features & direct) !== 0 && cx.backendId === 0) {
      verdict = takeDirectReturn(cx, tables);
      if (verdict !== CONTINUE) return verdict;
    }
    const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
    if ((words[at + EP_FLAGS]! & IS_HOST) === 0) return toEndpoint(cx, tables, at, LOCAL);
  }
  // What is for a frontend of the node itself is no answer to it.
  if ((cx.features & TRANSLATING) !== 0 && cx.backendId === 0) return fromTranslated(cx, tables, at);
  return at >= 0 ? toEndpoint(cx, tables, at, LOCAL) : toStack(cx);
}

/** Answers the question of a neighbour for an announced address. CONTINUE: the packet is none, or none to be answered. */
const neighbourQuestion = (cx: Context, tables: Tables, parsed: number): number => {
  if (cx.headers.etherType === ARP) return answerArp(cx, tables);
  return parsed === CONTINUE && isSolicitation(cx) ? answerSolicitation(cx, tables) : CONTINUE;
};

/**
 * A tagged frame, whatever is in it, is not for pods, which would get it with its tag. With the filter on, VLANs that are not
 * listed are dropped (182; Cilium's allow_vlan); whoever the tag is for gets the others from the stack as they came. VLAN 0 is a
 * priority tag and no VLAN (IEEE 802.1Q §9.6).
 */
const leaveTagged = (cx: Context, tables: Tables): number => {
  const id = cx.headers.vlanTci0 & 0xfff;
  cx.dropReason = 0;
  // Nobody here reads on: what of the frame was cut is not missed.
  cx.unknownReason = 0;
  if ((cx.features & VLAN_FILTER) !== 0 && id !== 0 && tables.vlans.find(id) < 0) {
    return drop(cx, DROP.VLAN_FILTERED, PARSE);
  }
  return forwarded(cx, ACTION.STACK, PARSE);
};

/**
 * What may be an answer to something whose source was translated (Cilium: nodeport_rev_dnat_ingress): back to the client of a
 * frontend, to the masqueraded pod, to the node itself. Anything else is the stack's.
 * @param at offset of the host's endpoint whose address the packet has, or -1
 */
function fromTranslated(cx: Context, tables: Tables, at: number): number {
  const found = cx.related !== 0 ? errorBack(cx, tables) : mayBeAnswer(cx, tables) && translateBack(cx, tables);
  if (!found) return at >= 0 ? toEndpoint(cx, tables, at, LOCAL) : toStack(cx);
  const { natFlags } = cx;
  if ((natFlags & OF_FRONTEND) !== 0) {
    if (cx.related === 0) answerOfBackend(cx, tables);
    markDone(cx);
    return forwardOut(cx, tables);
  }
  if ((natFlags & NEEDS_CT) !== 0 && cx.related === 0) {
    cx.ownerIsSource = 0;
    cx.ownerFlags = NODE;
    conntrack(cx, tables);
    if (cx.ctStatus === NEW) cx.ctStatus = NONE;
  }
  const to = findDestinationEndpoint(cx, tables);
  return to >= 0 ? toEndpoint(cx, tables, to, LOCAL) : toStack(cx);
}

/** The frontend becomes the source again: that of the connection, or where its entry was lost that of the translation. */
function answerOfBackend(cx: Context, tables: Tables): void {
  cx.ownerIsSource = 1;
  cx.ownerFlags = NODE;
  conntrack(cx, tables);
  const reply = cx.ctStatus === REPLY;
  if (!reply) cx.ctStatus = NONE;
  translateFromBackend(cx, tables, reply ? cx.ctFlags >>> 16 : cx.natReverse, false);
}

/** Service lookup, translation and the node's conntrack entry, unless that was done before. CONTINUE: deliver as it is now. */
function balanceFromOutside(cx: Context, tables: Tables): number {
  if ((cx.features & NODE_PORT) === 0) return CONTINUE;
  if ((cx.metaFlags & SKIP_SERVICE) !== 0) return CONTINUE;
  if ((cx.xdpMetadata & SERVICE_DONE) !== 0) return CONTINUE;
  let verdict = serviceFromOutside(cx, tables);
  if (verdict !== CONTINUE || cx.backendId === 0) return verdict;
  const at = backendAt(cx, tables);
  let local = isLocalBackend(cx, tables, at);
  if (!local) {
    if ((cx.serviceFlags & HOST_PORT) !== 0) return drop(cx, DROP.INVALID, NAT);
    if ((cx.features & DSR) !== 0 && (cx.serviceFlags & FORWARD_DSR) !== 0) {
      return (cx.features & DSR_IPIP_NETDEV) === DSR_IPIP_NETDEV
        ? encapsulateByRoute(cx, tables, at)
        : returnDirectly(cx, tables, at);
    }
    // One dataplane for every node has no address of its own: the backend's node is here, too.
    local = (tables.config.words[CONFIG_NODE]! & 0xffff) === 0 && nodeOfBackend(cx, tables, at) !== 0;
    if (!local && !takeNodeAddress(cx, tables, 0, true)) return drop(cx, DROP.SNAT_NO_MAP_FOUND, NAT);
  }
  verdict = translateToBackend(cx, tables, at);
  if (verdict !== CONTINUE) return verdict;
  cx.ownerIsSource = 0;
  cx.ownerFlags = NODE;
  cx.remoteIdentity = cx.sourceIdentity;
  conntrack(cx, tables);
  if (cx.ctStatus === NEW) verdict = createConnection(cx, tables);
  if (local || verdict !== CONTINUE) return verdict;
  verdict = translateOut(cx, tables, OF_FRONTEND);
  if (verdict !== CONTINUE) return verdict;
  markDone(cx);
  return forwardBeyond(cx, tables, WORLD);
}
