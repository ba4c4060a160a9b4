// Stage "forward": where a packet that may pass goes: a local endpoint, a proxy, a route's next hop, or the stack.
// Input: the translated packet. Output: `cx.action`, `cx.outIfindex`, next-hop MACs; the packet's hop count and MACs.
// Invariant: one endpoint lookup, one route lookup, one neighbour lookup at most. Twin: native/bpf/forward.h.
import {
  ACTION,
  ANSWER,
  DROP,
  ENDPOINT_FLAG,
  endpointValue,
  FEATURE,
  neighbourValue,
  ROUTE_FLAG,
  routeValue,
  STAGE,
  TRACE,
  traceMapNumber,
  VERDICT,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as identities from './identity.ts';
import * as nat from './nat.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { drop, forwarded } = verdicts;
const { findDestinationEndpoint } = identities;
const { takeHop } = nat;
const { LINK_TYPE, writeRaw16, writeRaw32 } = wire;
// The same for what this module exports itself.
const deliver = toEndpoint;
const leave = toStack;
const out = forwardOut;
const mayBeFragmented = isFragmentable;

const FORWARD = STAGE.FORWARD;
const { STACK, LOCAL, REDIRECT, PROXY, HOST } = ACTION;
const HOST_FIREWALL = FEATURE.HOST_FIREWALL;
const REDIRECTED = VERDICT.REDIRECTED;
const ETHERNET = LINK_TYPE.ETHERNET;
const EP_IFINDEX = endpointValue.at.ifindex >>> 2;
const EP_IDENTITY = endpointValue.at.identity >>> 2;
const EP_FLAGS = endpointValue.at.flags >>> 2;
/** First of three words: the endpoint's MAC and then the host side's, as the decision record has them, too. */
const EP_MAC = endpointValue.at.mac >>> 2;
const IS_HOST = ENDPOINT_FLAG.HOST;
const ROUTE_IFINDEX = routeValue.at.ifindex >>> 2;
/** Low half MTU, high half flags. */
const ROUTE_MTU = routeValue.at.mtu >>> 2;
const ROUTE_GATEWAY = routeValue.at.gateway >>> 2;
const ROUTE_WORDS = routeValue.bytes >>> 2;
const ROUTE_LOCAL_OR_TUNNEL = ROUTE_FLAG.LOCAL | ROUTE_FLAG.TUNNEL;
const PMTU_DISCOVERY = FEATURE.PMTU_DISCOVERY;
/** In the byte of an IPv4 header's flags. */
const DONT_FRAGMENT = 0x40;
const NEIGHBOUR_WORDS = neighbourValue.bytes >>> 2;
const ROUTES4 = traceMapNumber('routes4');
const ROUTES6 = traceMapNumber('routes6');
const NEIGHBOURS4 = traceMapNumber('neighbours4');
const NEIGHBOURS6 = traceMapNumber('neighbours6');

/** Hands the packet to the proxy whose raw port is in `cx.proxyPort`. */
export function toProxy(cx: Context): number {
  if (cx.tracing !== 0) traceForward(cx, PROXY, 0);
  forwarded(cx, PROXY, FORWARD);
  return REDIRECTED;
}

/** Hands the packet to the node's stack, unchanged from here on. */
export function toStack(cx: Context): number {
  if (cx.tracing !== 0) traceForward(cx, STACK, 0);
  return forwarded(cx, STACK, FORWARD);
}

/**
 * Delivers to a local endpoint if the destination is one (Cilium: ipv4_local_delivery): one hop is taken (196 when none is
 * left), the MACs become the endpoint's where it has any, `to-container` is next. The host's own address → the stack; where it
 * has a policy `to-host` is next.
 *
 * @param at offset of the endpoint in its map
 * @param action ACTION.LOCAL, or REDIRECT past `to-container`
 */
export function toEndpoint(cx: Context, tables: Tables, at: number, action: number): number {
  const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  if (cx.destinationIdentity === 0) cx.destinationIdentity = words[at + EP_IDENTITY]!;
  if ((words[at + EP_FLAGS]! & IS_HOST) !== 0) return toOwnNode(cx);
  if (!takeHop(cx)) return noHopLeft(cx);
  const ifindex = words[at + EP_IFINDEX]!;
  // Nobody limits what stays on the node.
  cx.aggregate = 0;
  cx.outIfindex = ifindex;
  rewriteMacs(cx, words[at + EP_MAC]!, words[at + EP_MAC + 1]!, words[at + EP_MAC + 2]!);
  if (cx.tracing !== 0) traceForward(cx, action, ifindex);
  return forwarded(cx, action, FORWARD);
}

/** The node itself is the destination. */
const toOwnNode = (cx: Context): number => {
  if ((cx.features & HOST_FIREWALL) === 0) return leave(cx);
  if (cx.tracing !== 0) traceForward(cx, HOST, 0);
  return forwarded(cx, HOST, FORWARD);
};

/**
 * Where a packet of a pod goes: a local endpoint; else by the route table, when a route, a neighbour and the MTU say so;
 * else the stack, which knows more. The endpoint map holds the endpoints that this dataplane is responsible for, of
 * however many nodes.
 */
export function forwardFromPod(cx: Context, tables: Tables): number {
  const at = findDestinationEndpoint(cx, tables);
  return at >= 0 ? deliver(cx, tables, at, LOCAL) : out(cx, tables);
}

/** Where a packet goes that no endpoint here is to get: by the route table, or to the stack. */
export function forwardOut(cx: Context, tables: Tables): number {
  return tables.routes4.count + tables.routes6.count === 0 ? leave(cx) : toRoute(cx, tables, 0);
}

/**
 * The same for a packet that is to get longer behind this. Where it does not fit then nobody can mend it: 136.
 * @param more bytes that it gets
 */
export function forwardLonger(cx: Context, tables: Tables, more: number): number {
  return tables.routes4.count + tables.routes6.count === 0 ? leave(cx) : toRoute(cx, tables, more);
}

/** Redirects by route and neighbour. A local or tunnel route or a missing neighbour → the stack. */
const toRoute = (cx: Context, tables: Tables, more: number): number => {
  const h = cx.headers;
  const four = h.family === 4;
  cx.probesRoute = (cx.probesRoute + 1) | 0;
  const at = four ? tables.routes4.find(h.d0) : tables.routes6.find(h.d0, h.d1, h.d2, h.d3);
  const words = four ? tables.routes4.words : tables.routes6.words;
  if (cx.tracing !== 0) traceRoute(cx, words, at);
  if (at < 0) return leave(cx);
  const limits = words[at + ROUTE_MTU]!;
  const mtu = limits & 0xffff;
  const size = cx.gsoSize !== 0 ? (cx.gsoSize + h.payload - h.l3) | 0 : h.l3Length;
  if (((limits >>> 16) & ROUTE_LOCAL_OR_TUNNEL) !== 0) return leave(cx);
  if (mtu !== 0 && size + more > mtu) return tooBig(cx, mtu, more);
  const ifindex = words[at + ROUTE_IFINDEX]!;
  const hop = findHop(cx, tables, ifindex, words, at + ROUTE_GATEWAY);
  if (hop < 0) return leave(cx);
  if (!takeHop(cx)) return noHopLeft(cx);
  const macs = four ? tables.neighbours4.words : tables.neighbours6.words;
  cx.outIfindex = ifindex;
  rewriteMacs(cx, macs[hop]!, macs[hop + 1]!, macs[hop + 2]!);
  if (cx.tracing !== 0) traceForward(cx, REDIRECT, ifindex);
  return forwarded(cx, REDIRECT, FORWARD);
};

/**
 * Where a packet of this node itself to an address leaves: `cx.outIfindex`, the MACs of the record, `cx.wayMtu`. False: the stack has
 * to find it.
 * @param four whether the address is IPv4
 */
export function findWay(
  cx: Context,
  tables: Tables,
  four: boolean,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
): boolean {
  cx.wayMtu = 0;
  if (tables.routes4.count + tables.routes6.count === 0) return false;
  cx.probesRoute = (cx.probesRoute + 1) | 0;
  const at = four ? tables.routes4.find(d0) : tables.routes6.find(d0, d1, d2, d3);
  const { words } = four ? tables.routes4 : tables.routes6;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.ROUTE, FORWARD, at >= 0 ? 1 : 0, four ? ROUTES4 : ROUTES6).key(d0);
    if (!four) t.key(d1).key(d2).key(d3);
    t.values(words, at, ROUTE_WORDS);
  }
  if (at < 0 || ((words[at + ROUTE_MTU]! >>> 16) & ROUTE_LOCAL_OR_TUNNEL) !== 0) return false;
  cx.wayMtu = words[at + ROUTE_MTU]! & 0xffff;
  const ifindex = words[at + ROUTE_IFINDEX]!;
  const g = at + ROUTE_GATEWAY;
  const onLink = (words[g]! | words[g + 1]! | words[g + 2]! | words[g + 3]!) === 0;
  const n0 = onLink ? d0 : words[g]!;
  const n1 = onLink ? d1 : words[g + 1]!;
  const n2 = onLink ? d2 : words[g + 2]!;
  const n3 = onLink ? d3 : words[g + 3]!;
  cx.probesRoute = (cx.probesRoute + 1) | 0;
  const hop = four ? tables.neighbours4.peek(ifindex, n0) : tables.neighbours6.peek(ifindex, n0, n1, n2, n3);
  const macs = (four ? tables.neighbours4 : tables.neighbours6).words;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.NEIGHBOUR, FORWARD, hop >= 0 ? 1 : 0, four ? NEIGHBOURS4 : NEIGHBOURS6);
    t.key(ifindex).key(n0);
    if (!four) t.key(n1).key(n2).key(n3);
    t.values(macs, hop, NEIGHBOUR_WORDS);
  }
  if (hop < 0) return false;
  cx.outIfindex = ifindex;
  cx.mac0 = macs[hop]!;
  cx.mac1 = macs[hop + 1]!;
  cx.mac2 = macs[hop + 2]!;
  return true;
}

/** Whether routers may fragment the packet: IPv4 without the flag that forbids it. */
export function isFragmentable(cx: Context): boolean {
  const h = cx.headers;
  return h.family === 4 && (cx.bytes[h.l3 + 6]! & DONT_FRAGMENT) === 0;
}

/** The sender is told, where the node has an address for that (RFC 1812 §5.3.1, RFC 4443 §3.3). */
const noHopLeft = (cx: Context): number => {
  cx.answer = ANSWER.TIME_EXCEEDED;
  return drop(cx, DROP.TTL_EXCEEDED, FORWARD);
};

/**
 * A packet over the MTU of its route. The stack fragments what may be; with path MTU discovery the sender of what may not be
 * is told (136; RFC 1191, RFC 8201).
 */
const tooBig = (cx: Context, mtu: number, more: number): number => {
  const discovery = (cx.features & PMTU_DISCOVERY) !== 0;
  if (more === 0 && (!discovery || mayBeFragmented(cx))) return leave(cx);
  if (discovery) cx.answer = ANSWER.TOO_BIG;
  cx.answerMtu = (mtu - more) | 0;
  return drop(cx, DROP.FRAG_NEEDED, FORWARD);
};

/** Offset of the neighbour entry of the gateway at `g` in `words`, or of the destination where the gateway is zero; or -1. */
const findHop = (cx: Context, tables: Tables, ifindex: number, words: Int32Array, g: number): number => {
  const h = cx.headers;
  cx.probesRoute = (cx.probesRoute + 1) | 0;
  const g0 = words[g]!;
  const onLink = (g0 | words[g + 1]! | words[g + 2]! | words[g + 3]!) === 0;
  const hop =
    h.family === 4
      ? tables.neighbours4.peek(ifindex, onLink ? h.d0 : g0)
      : onLink
        ? tables.neighbours6.peek(ifindex, h.d0, h.d1, h.d2, h.d3)
        : tables.neighbours6.peek(ifindex, g0, words[g + 1]!, words[g + 2]!, words[g + 3]!);
  if (cx.tracing !== 0) traceNeighbour(cx, tables, hop, ifindex, words, g, onLink);
  return hop;
};

const traceRoute = (cx: Context, words: Int32Array, at: number): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const t = cx.trace.open(TRACE.ROUTE, FORWARD, at >= 0 ? 1 : 0, four ? ROUTES4 : ROUTES6).key(h.d0);
  if (!four) t.key(h.d1).key(h.d2).key(h.d3);
  t.values(words, at, ROUTE_WORDS);
};

const traceNeighbour = (
  cx: Context,
  tables: Tables,
  hop: number,
  ifindex: number,
  words: Int32Array,
  g: number,
  onLink: boolean,
): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const t = cx.trace.open(TRACE.NEIGHBOUR, FORWARD, hop >= 0 ? 1 : 0, four ? NEIGHBOURS4 : NEIGHBOURS6);
  t.key(ifindex).key(onLink ? h.d0 : words[g]!);
  if (!four)
    t.key(onLink ? h.d1 : words[g + 1]!)
      .key(onLink ? h.d2 : words[g + 2]!)
      .key(onLink ? h.d3 : words[g + 3]!);
  t.values(four ? tables.neighbours4.words : tables.neighbours6.words, hop, NEIGHBOUR_WORDS);
};

/** Puts the next hop's MAC and the own one (six bytes each, in three words) in place; zeros mean "unchanged". */
const rewriteMacs = (cx: Context, w0: number, w1: number, w2: number): void => {
  if ((w0 | w1 | w2) === 0) return;
  cx.mac0 = w0;
  cx.mac1 = w1;
  cx.mac2 = w2;
  if (cx.linkType !== ETHERNET) return;
  const { bytes, offset } = cx;
  if ((w0 | (w1 & 0xffff)) !== 0) {
    writeRaw32(bytes, offset, w0);
    writeRaw16(bytes, offset + 4, w1 & 0xffff);
  }
  if ((w1 >>> 16 || w2) !== 0) {
    writeRaw16(bytes, offset + 6, w1 >>> 16);
    writeRaw32(bytes, offset + 8, w2);
  }
};

const traceForward = (cx: Context, action: number, ifindex: number): void => {
  const h = cx.headers;
  cx.trace.open(TRACE.FORWARD, FORWARD, 1, 0).key(h.d0).key(h.d1).key(h.d2).key(h.d3).value(action).value(ifindex);
};
