// Stage "service": finds the frontend that a packet is for, and the backend that serves it.
// Input: headers and tuple before translation. Output: `cx.backendId`, `cx.reverseNat`, `cx.serviceFlags`,
// `cx.serviceEntry`, `cx.loopback`; the packet is not touched yet (stage nat does that). CONTINUE or a verdict.
// Invariant: at most two master lookups, one slot, one table, two conntrack probes. Twin: native/bpf/service.h.
import { CT_KEY, DROP, SCOPE, SERVICE_FLAG, serviceValue, STAGE, TRACE, traceMapNumber } from '../../schema/index.ts';
import { swap16 } from '../../wire/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as backends from './service-backend.ts';
import * as serviceMap from './service-map.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONTINUE, drop } = verdicts;
const { balance } = backends;
const { findService, serviceWords } = serviceMap;
// The same for what this module exports itself.
const canBalance = isBalanced;
const seekFrontend = frontendFromOutside;

const SERVICE = STAGE.SERVICE;
const { EXTERNAL, INTERNAL } = SCOPE;
const { TWO_SCOPES, L7LB, SOURCE_RANGE, ROUTABLE, DENY_OR_QUARANTINED } = SERVICE_FLAG;
const NODE = CT_KEY.NODE;
const SOURCE_RANGE4 = traceMapNumber('sourceRange4');
const SOURCE_RANGE6 = traceMapNumber('sourceRange6');
const TARGET = serviceValue.at.target >>> 2;
/** Low half count, high half reverse NAT index. */
const COUNT = serviceValue.at.count >>> 2;
/** Low half SERVICE_FLAG. */
const FLAGS = serviceValue.at.flags >>> 2;

const TCP = 6;
const UDP = 17;
const SCTP = 132;

/** Whether packets of this protocol can be for a service. (SCTP that is switched off ended in stage parse.) */
export function isBalanced(cx: Context): boolean {
  const { protocol } = cx.headers;
  return (protocol === TCP || protocol === UDP || protocol === SCTP) && cx.portless === 0;
}

/**
 * Per-packet load balancing at `from-container` (Cilium: __per_packet_lb_svc_xlate_4): the exact frontend, external scope,
 * then internal where there are two. No wildcard east–west. No frontend → CONTINUE.
 */
export function service(cx: Context, tables: Tables): number {
  if (!canBalance(cx)) return CONTINUE;
  const port = cx.ports >>> 16;
  const { protocol } = cx.headers;
  let scope: number = EXTERNAL;
  let at = findService(cx, tables, port, protocol | (EXTERNAL << 8));
  if (at < 0) return CONTINUE;
  if ((serviceWords(cx, tables)[at + FLAGS]! & TWO_SCOPES) !== 0) {
    scope = INTERNAL;
    at = findService(cx, tables, port, protocol | (INTERNAL << 8));
    if (at < 0) return CONTINUE;
  }
  const words = serviceWords(cx, tables);
  const flags = words[at + FLAGS]! & 0xffff;
  cx.serviceFlags = flags;
  cx.ownerIsSource = 1;
  if ((flags & L7LB) !== 0) {
    // The destination stays the frontend's: the proxy balances. Policy is the proxy's, too.
    cx.l7Port = swap16(words[at + TARGET]! & 0xffff);
    cx.proxyPort = cx.l7Port;
    return CONTINUE;
  }
  return balance(cx, tables, words[at + TARGET]!, words[at + COUNT]!, port, scope, 0);
}

/**
 * North–south lookup at `from-netdev` (Cilium: nodeport_lb4): the exact frontend, else a wildcard entry of its
 * address, which drops (158); source ranges (177); a ClusterIP that is not routable from outside (174).
 * CONTINUE without a backend: not for a service.
 */
export function serviceFromOutside(cx: Context, tables: Tables): number {
  const verdict = seekFrontend(cx, tables);
  const at = cx.frontendAt;
  if (verdict !== CONTINUE || at < 0) return verdict;
  const words = serviceWords(cx, tables);
  cx.ownerIsSource = 0;
  return balance(cx, tables, words[at + TARGET]!, words[at + COUNT]!, cx.ports >>> 16, EXTERNAL, NODE);
}

/** The frontend of {@link serviceFromOutside}: its master entry's word offset in `cx.frontendAt`, -1 = none. */
export function frontendFromOutside(cx: Context, tables: Tables): number {
  cx.frontendAt = -1;
  if (!canBalance(cx)) return CONTINUE;
  const port = cx.ports >>> 16;
  const { protocol } = cx.headers;
  const at = findService(cx, tables, port, protocol | (EXTERNAL << 8));
  if (at < 0) {
    return findService(cx, tables, 0, EXTERNAL << 8) < 0 ? CONTINUE : drop(cx, DROP.NO_SERVICE, SERVICE);
  }
  const words = serviceWords(cx, tables);
  const flags = words[at + FLAGS]! & 0xffff;
  cx.serviceFlags = flags;
  if ((flags & SOURCE_RANGE) !== 0 && !isSourceAllowed(cx, tables, words[at + COUNT]! >>> 16, flags)) {
    return drop(cx, DROP.NOT_IN_SOURCE_RANGE, SERVICE);
  }
  if ((flags & ROUTABLE) === 0) return drop(cx, DROP.IS_CLUSTER_IP, SERVICE);
  cx.frontendAt = at;
  return CONTINUE;
}

/** Cilium's lb4_src_range_ok: a range that covers the client allows, or denies where the ranges are deny ranges. */
const isSourceAllowed = (cx: Context, tables: Tables, reverseNat: number, flags: number): boolean => {
  const h = cx.headers;
  const four = h.family === 4;
  const at = four
    ? tables.sourceRange4.find(reverseNat, h.s0)
    : tables.sourceRange6.find(reverseNat, h.s0, h.s1, h.s2, h.s3);
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.SOURCE_RANGE, SERVICE, at >= 0 ? 1 : 0, four ? SOURCE_RANGE4 : SOURCE_RANGE6);
    t.key(reverseNat).key(h.s0);
    if (!four) t.key(h.s1).key(h.s2).key(h.s3);
    t.values(four ? tables.sourceRange4.words : tables.sourceRange6.words, at, 1);
  }
  return at >= 0 === ((flags & DENY_OR_QUARANTINED) === 0);
};
