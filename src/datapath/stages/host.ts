// Stage "host": the policy of the node itself, the host firewall. Input: a packet that the node's stack gets or sends. Output: CONTINUE
// or a verdict; conntrack entries of the node as of any endpoint. Walks: Cilium's host_firewall.h and icmp6_host_handle.
// Invariant: run only where HOST_FIREWALL is on; at most 2 conntrack probes; what a node sends itself is not judged.
// Twin: native/bpf/host.h.
import {
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  endpointValue,
  FEATURE,
  IDENTITY,
  STAGE,
  VERDICT,
} from '../../schema/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as connections from './conntrack.ts';
import * as forwardStage from './forward.ts';
import * as fragmentStage from './fragment.ts';
import * as identities from './identity.ts';
import * as policyStage from './policy.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { conntrack, createConnection } = connections;
const { toProxy } = forwardStage;
const { fragment } = fragmentStage;
const { findDestinationEndpoint, findSourceEndpoint, identityOfDestination, takeEndpoint } = identities;
const { policy } = policyStage;
const { CONTINUE, drop } = verdicts;

const NEW = CT_STATUS.NEW;
const IS_HOST = ENDPOINT_FLAG.HOST;
const EP_IDS = endpointValue.at.endpointId >>> 2;
const EP_FLAGS = endpointValue.at.flags >>> 2;
const HOST = IDENTITY.HOST;
const PARSE = STAGE.PARSE;
const FORWARDED = VERDICT.FORWARDED;
const { IPV4, IPV6, HOST_FIREWALL } = FEATURE;
const EP_POLICY = endpointValue.at.policyId >>> 2;
const ICMP = 1;
const ICMPV6 = 58;
const MARK_MASK = 0x0f00;
const MARK_IDENTITY = 0x0f00;

/** How an ICMPv6 message fares before any policy. */
const POLICED = 0;
const PASSES = 1;
const FORBIDDEN = 2;

/**
 * ICMPv6 that a node cannot do without passes, what has no business at a node is forbidden (176), an echo is the policies' affair
 * (RFC 4890 §4.4; Cilium's icmp6_host_handle).
 */
const icmpv6 = (cx: Context): number => {
  const h = cx.headers;
  if (h.protocol !== ICMPV6 || h.family !== 6) return POLICED;
  const type = h.icmpType;
  if (type === 128 || type === 129) return POLICED;
  if (type >= 1 && type <= 4) return PASSES;
  if ((type >= 130 && type <= 136) || type === 138) return PASSES;
  if ((type >= 141 && type <= 143) || type === 148 || type === 149) return PASSES;
  return type >= 151 && type <= 153 ? PASSES : FORBIDDEN;
};

/** Ingress of the host whose endpoint is the context's. */
export function hostIngress(cx: Context, tables: Tables): number {
  const message = icmpv6(cx);
  if (message === PASSES) return CONTINUE;
  if (message === FORBIDDEN) return drop(cx, DROP.FORBIDDEN_ICMP6, PARSE);
  let verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  cx.ownerIsSource = 0;
  conntrack(cx, tables);
  verdict = policy(cx, tables);
  cx.sourceIdentity = cx.remoteIdentity;
  return verdict === CONTINUE ? admit(cx, tables) : verdict;
}

/**
 * Egress of the host, if the source is one. What only bears its address (a pod's connection that the stack has masqueraded; its
 * mark tells) is not judged, but gets an entry, so that its answers are no new connections to the node.
 *
 * The ports of fragments are known by then.
 *
 * @param to offset of the destination in the endpoint map, or -1
 */
export function hostEgress(cx: Context, tables: Tables, to: number): number {
  const at = findSourceEndpoint(cx, tables);
  if (at < 0) return CONTINUE;
  const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  if ((words[at + EP_FLAGS]! & IS_HOST) === 0) return CONTINUE;
  takeEndpoint(cx, tables, at);
  if (to >= 0 && (words[to + EP_FLAGS]! & IS_HOST) !== 0 && words[to + EP_IDS]! >>> 16 === cx.endpointNode)
    return CONTINUE;
  const message = icmpv6(cx);
  if (message === PASSES) return CONTINUE;
  if (message === FORBIDDEN) return drop(cx, DROP.FORBIDDEN_ICMP6, PARSE);
  cx.ownerIsSource = 1;
  cx.ownerFlags = 0;
  cx.egress = 1;
  conntrack(cx, tables);
  if ((cx.mark & MARK_MASK) !== MARK_IDENTITY) {
    cx.sourceIdentity = HOST;
    const verdict = policy(cx, tables);
    cx.destinationIdentity = cx.remoteIdentity;
    if (verdict !== CONTINUE) return verdict;
  } else if (cx.ctStatus === NEW) cx.remoteIdentity = identityOfDestination(cx, tables);
  return admit(cx, tables);
}

/** A packet that may pass: a new connection gets its entry, a redirected one goes to its proxy. */
const admit = (cx: Context, tables: Tables): number => {
  if (cx.ctStatus === NEW) {
    const verdict = createConnection(cx, tables);
    if (verdict !== CONTINUE) return verdict;
  }
  return cx.proxyPort === 0 ? CONTINUE : toProxy(cx);
};

/**
 * What parsing has handed to the stack although it is IP: a protocol without ports that conntrack knows, or a piece of an ICMP
 * message. A node with a policy does not get it (137, 134), since no policy could be asked.
 */
export function unparsedToHost(cx: Context, tables: Tables, verdict: number): number {
  if (verdict !== FORWARDED || !isPoliced(cx)) return verdict;
  return refuse(cx, tables, findDestinationEndpoint(cx, tables), verdict);
}

/** The same for what a node with a policy sends. */
export function unparsedFromHost(cx: Context, tables: Tables, verdict: number): number {
  if (verdict !== FORWARDED || !isPoliced(cx)) return verdict;
  return refuse(cx, tables, findSourceEndpoint(cx, tables), verdict);
}

/** IP of a family that is on, at a node with a host firewall. */
const isPoliced = ({ features, headers: { family } }: Context): boolean => {
  if ((features & HOST_FIREWALL) === 0) return false;
  return family === 4 ? (features & IPV4) !== 0 : family === 6 && (features & IPV6) !== 0;
};

const refuse = (cx: Context, tables: Tables, at: number, verdict: number): number => {
  if (at < 0) return verdict;
  const h = cx.headers;
  const words = h.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  if ((words[at + EP_FLAGS]! & IS_HOST) === 0 || words[at + EP_POLICY] === 0) return verdict;
  return drop(cx, h.protocol === ICMP || h.protocol === ICMPV6 ? DROP.INVALID : DROP.CT_UNKNOWN_PROTOCOL, PARSE);
};
