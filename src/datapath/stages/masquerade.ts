// Whether a packet that leaves the node gets the node's address (Cilium: snat_v4_needs_masquerade), and that it gets it.
// Input: a packet at to-netdev. Output: CONTINUE, rewritten or not; or a drop. Invariant: a connection that
// has a translation keeps it, whatever the exceptions say by now; answers to what came from outside never get one.
// Twin: native/bpf/masquerade.h.
import {
  CT_FLAG,
  CT_KEY,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  endpointValue,
  FEATURE,
  IDENTITY,
  IPCACHE_FLAG,
  ipcacheValue,
  NAT_FLAG,
  NO_MASQUERADE,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as connections from './conntrack.ts';
import * as entries from './conntrack-entry.ts';
import * as keys from './conntrack-key.ts';
import * as identity from './identity.ts';
import * as natError from './nat-error.ts';
import * as mapping from './nat-mapping.ts';
import * as snat from './snat.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONTINUE, drop } = verdicts;
const { conntrack, createConnection, probeAnswered, probeUnanswered } = connections;
const { ENTRY_FLAGS } = entries;
const { setTupleKey } = keys;
const { findSourceEndpoint } = identity;
const { errorOut } = natError;
const { findOut, isNatPort, mapOut } = mapping;
const { applyOut, hasTuple, isEcho, takeNodeAddress } = snat;

const { NAT } = STAGE;
const { MASQUERADE_V4, MASQUERADE_V6, TUNNEL, FRAGMENTS_V4, FRAGMENTS_V6 } = FEATURE;
const { NEEDS_CT } = NAT_FLAG;
const { NODE, POD, ANSWER, EXEMPT, NO_ADDRESS, NONE } = NO_MASQUERADE;
const { NEW, NONE: NOT_ASKED } = CT_STATUS;
const NODE_OWNS = CT_KEY.NODE;
const INBOUND = CT_FLAG.INBOUND;
const { HOST, SKIP_MASQUERADE } = ENDPOINT_FLAG;
const { SKIP_TUNNEL, HAS_TUNNEL_ENDPOINT } = IPCACHE_FLAG;
const { REMOTE_NODE, KUBE_APISERVER } = IDENTITY;
const EP_IDS = endpointValue.at.endpointId >>> 2;
const EP_FLAGS = endpointValue.at.flags >>> 2;
const IPCACHE_IDENTITY = ipcacheValue.at.identity >>> 2;
/** Low half: node; third byte: flags. */
const IPCACHE_NODE = ipcacheValue.at.nodeId >>> 2;
const IPCACHE_WORDS = ipcacheValue.bytes >>> 2;
const IPCACHE4 = traceMapNumber('ipcache4');
const IPCACHE6 = traceMapNumber('ipcache6');
const NO_MASQUERADE4 = traceMapNumber('noMasquerade4');
const NO_MASQUERADE6 = traceMapNumber('noMasquerade6');

/** Masquerades what leaves, if that is to be. */
export function masquerade(cx: Context, tables: Tables): number {
  const h = cx.headers;
  const four = h.family === 4;
  if ((cx.features & (four ? MASQUERADE_V4 : MASQUERADE_V6)) === 0) return CONTINUE;
  const own = takeNodeAddress(cx, tables, 0, false);
  if (own && h.s0 === cx.nat0 && (four || (h.s1 === cx.nat1 && h.s2 === cx.nat2 && h.s3 === cx.nat3))) {
    return reserve(cx, tables);
  }
  const at = findSourceEndpoint(cx, tables);
  if (at < 0) return CONTINUE;
  const words = four ? tables.endpoints4.words : tables.endpoints6.words;
  if ((words[at + EP_FLAGS]! & (HOST | SKIP_MASQUERADE)) !== 0) return keep(cx, EXEMPT);
  // One dataplane may stand for every node: a pod's own one counts.
  const node = words[at + EP_IDS]! >>> 16;
  if (!(node === 0 ? own : takeNodeAddress(cx, tables, node, false))) return keep(cx, NO_ADDRESS);
  if (cx.related !== 0) {
    errorOut(cx, tables);
    return CONTINUE;
  }
  if (h.fragment !== 0 && (cx.features & (four ? FRAGMENTS_V4 : FRAGMENTS_V6)) === 0) {
    return drop(cx, DROP.FRAG_NO_SUPPORT, NAT);
  }
  if (isAnswer(cx, tables)) return keep(cx, ANSWER);
  const translated = hasTuple(cx) || isEcho(cx, false);
  const known = translated ? findOut(cx, tables) : -1;
  if (known >= 0) {
    applyOut(cx, known);
    return CONTINUE;
  }
  const reason = exception(cx, tables);
  if (reason !== NONE) return keep(cx, reason);
  if (isEcho(cx, true)) return CONTINUE;
  if (!translated) return drop(cx, DROP.NAT_UNSUPPORTED_PROTOCOL, NAT);
  if (cx.tracing !== 0) traceDecision(cx, NONE);
  const port = mapOut(cx, tables, 0);
  if (port < 0) return drop(cx, -port, NAT);
  applyOut(cx, port);
  return CONTINUE;
}

/**
 * The node's own connection from a port that pods' could be given: it is reserved, and translated only where a pod's has it
 * already. A conntrack entry keeps the reservation alive.
 */
const reserve = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  if (!hasTuple(cx) && !isEcho(cx, false)) return CONTINUE;
  if (!isNatPort(tables, cx.ports & 0xffff)) return CONTINUE;
  if (h.fragment !== 0 && (cx.features & (h.family === 4 ? FRAGMENTS_V4 : FRAGMENTS_V6)) === 0) return CONTINUE;
  const port = mapOut(cx, tables, NEEDS_CT);
  if (port < 0) return drop(cx, -port, NAT);
  cx.natFlags = NEEDS_CT;
  if (cx.ctStatus === NOT_ASKED) {
    cx.ownerIsSource = 1;
    cx.ownerFlags = NODE_OWNS;
    conntrack(cx, tables);
  }
  if (cx.ctStatus === NEW) {
    const verdict = createConnection(cx, tables);
    if (verdict !== CONTINUE) return verdict;
  }
  applyOut(cx, port);
  return CONTINUE;
};

/** Whether the pod answers a connection that was opened from outside: by its own entry, in at most two probes. */
const isAnswer = (cx: Context, tables: Tables): boolean => {
  setTupleKey(cx, 1, 0);
  let at = probeAnswered(cx, tables);
  if (at < 0) at = probeUnanswered(cx, tables);
  return at >= 0 && (cx.ctWords[at + ENTRY_FLAGS]! & INBOUND) !== 0;
};

/** Why the pod keeps its address towards this destination: NO_MASQUERADE. */
const exception = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  const four = h.family === 4;
  const range = four ? tables.noMasquerade4.find(h.d0) : tables.noMasquerade6.find(h.d0, h.d1, h.d2, h.d3);
  const { words } = four ? tables.noMasquerade4 : tables.noMasquerade6;
  if (cx.tracing !== 0) traceLookup(cx, four ? NO_MASQUERADE4 : NO_MASQUERADE6, words, range, 1);
  if (range >= 0) return words[range]!;
  const at = four ? tables.ipcache4.find(0, h.d0) : tables.ipcache6.find(0, h.d0, h.d1, h.d2, h.d3);
  const ipcache = four ? tables.ipcache4.words : tables.ipcache6.words;
  if (cx.tracing !== 0) traceLookup(cx, four ? IPCACHE4 : IPCACHE6, ipcache, at, IPCACHE_WORDS);
  if (at < 0) return NONE;
  const id = ipcache[at + IPCACHE_IDENTITY]!;
  const nodeWord = ipcache[at + IPCACHE_NODE]!;
  const flags = (nodeWord >>> 16) & 0xff;
  const tunnel = (cx.features & TUNNEL) !== 0;
  if (id === REMOTE_NODE || id === KUBE_APISERVER || id >>> 24 === 2) {
    // Through the overlay's network pods are not routable, so that a node must be addressed by a node.
    return tunnel && (flags & SKIP_TUNNEL) === 0 ? NONE : NODE;
  }
  if ((nodeWord & 0xffff) !== 0) return POD;
  return tunnel && (flags & (HAS_TUNNEL_ENDPOINT | SKIP_TUNNEL)) === HAS_TUNNEL_ENDPOINT ? POD : NONE;
};

const keep = (cx: Context, reason: number): number => {
  if (cx.tracing !== 0) traceDecision(cx, reason);
  return CONTINUE;
};

const traceDecision = (cx: Context, reason: number): void => {
  const h = cx.headers;
  cx.trace
    .open(TRACE.MASQUERADE, NAT, reason === NONE ? 1 : 0, 0)
    .key(h.d0)
    .key(h.d1)
    .key(h.d2)
    .key(h.d3)
    .value(reason);
};

const traceLookup = (cx: Context, map: number, words: Int32Array, at: number, n: number): void => {
  const h = cx.headers;
  const kind = map === IPCACHE4 || map === IPCACHE6 ? TRACE.IPCACHE : TRACE.NO_MASQUERADE;
  const t = cx.trace.open(kind, NAT, at >= 0 ? 1 : 0, map).key(h.d0);
  if (h.family !== 4) t.key(h.d1).key(h.d2).key(h.d3);
  t.values(words, at, n);
};
