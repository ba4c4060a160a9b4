// Which backend serves a packet: the one remembered by the service's conntrack entry, by affinity, or a new choice.
// Input: the master entry's words of a frontend. Output: `cx.backendId`, `cx.reverseNat`, `cx.serviceEntry`, `cx.loopback`.
// Rows: Cilium's lb4_local (bpf/lib/lb.h). Invariant: the same flow, maps and seed give the same backend in both engines.
// Twin: native/bpf/service_backend.h.
import {
  ACTION,
  ALGORITHM,
  ANSWER,
  affinityValue,
  BACKEND_STATE,
  backendValue4,
  backendValue6,
  CT_KEY,
  DROP,
  FEATURE,
  HOOK,
  MAGLEV_SLOT,
  SERVICE_FLAG,
  serviceValue,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as config from '../config.ts';
import { type Context, SERVICE_ENTRY } from '../context.ts';
import * as jhash from '../jhash.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as connections from './conntrack.ts';
import * as entries from './conntrack-entry.ts';
import * as keys from './conntrack-key.ts';
import * as serviceMap from './service-map.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_ALGORITHM, CONFIG_HASH_SEED4, CONFIG_HASH_SEED6, CONFIG_MAGLEV_SIZE, CONFIG_RANDOM_SEED } = config;
const { chance4, chance6, tupleHash4, tupleHash6 } = jhash;
const { CONTINUE, drop, forwarded } = verdicts;
const { createServiceEntry, probeAnswered, probeUnanswered } = connections;
const { ENTRY_BACKEND, ENTRY_FLAGS, moveToAnswered, track } = entries;
const { setTupleKey } = keys;
const { findService, serviceWords } = serviceMap;
// The same for what this module exports itself.
const seekBackend = findBackend;

const SERVICE = STAGE.SERVICE;
const SERVICE_KEY = CT_KEY.SERVICE;
const { AFFINITY, EXT_LOCAL, INT_LOCAL, FORWARD_DSR } = SERVICE_FLAG;
/** Ways of direct server return that keep their choice here. */
const DSR = FEATURE.DSR_OPTION | FEATURE.DSR_GENEVE;
const { NO_BACKEND_DROP, NO_BACKEND_REJECT } = FEATURE;
const NO_SERVICE = ANSWER.NO_SERVICE;
const XDP = HOOK.XDP;
const { MAGLEV, FIRST } = ALGORITHM;
const ACTIVE = BACKEND_STATE.ACTIVE;
const SLOT_BACKEND = MAGLEV_SLOT.BACKEND;
const NO_STATE = BACKEND_STATE.NONE;
const { ANSWERED, UNANSWERED, ABSENT } = SERVICE_ENTRY;
const TARGET = serviceValue.at.target >>> 2;
const LAST_USED = affinityValue.at.lastUsed >>> 2;
const REMEMBERED = affinityValue.at.backendId >>> 2;
/** Word of a backend that holds raw port, protocol and, in its top byte, the state. */
const PORT4 = backendValue4.at.port >>> 2;
const PORT6 = backendValue6.at.port >>> 2;
const BACKENDS4 = traceMapNumber('backends4');
const BACKENDS6 = traceMapNumber('backends6');
const MAGLEV4 = traceMapNumber('maglev4');
const MAGLEV6 = traceMapNumber('maglev6');
const AFFINITY4 = traceMapNumber('affinity4');
const AFFINITY6 = traceMapNumber('affinity6');
const TCP = 6;
const SYN = 2;
const RST = 4;
const ACK = 16;

/** Word offset of a backend's value in the array of the packet's family, or -1 for an id that is none (state 0). */
export function findBackend(cx: Context, tables: Tables, id: number): number {
  cx.probesBackend = (cx.probesBackend + 1) | 0;
  let at = -1;
  if (id !== 0) {
    at = cx.headers.family === 4 ? tables.backends4.find(id) : tables.backends6.find(id);
    if (at >= 0 && stateOf(cx, tables, at) === NO_STATE) at = -1;
  }
  if (cx.tracing !== 0) traceBackend(cx, tables, at, id);
  return at;
}

const traceBackend = (cx: Context, tables: Tables, at: number, id: number): void => {
  const four = cx.headers.family === 4;
  cx.trace.open(TRACE.BACKEND, SERVICE, at >= 0 ? 1 : 0, four ? BACKENDS4 : BACKENDS6).key(id);
  if (four) cx.trace.values(tables.backends4.words, at, backendValue4.bytes >>> 2);
  else cx.trace.values(tables.backends6.words, at, backendValue6.bytes >>> 2);
};

/** BACKEND_STATE of the backend at `at`. */
const stateOf = (cx: Context, tables: Tables, at: number): number => {
  return cx.headers.family === 4
    ? tables.backends4.words[at + PORT4]! >>> 24
    : tables.backends6.words[at + PORT6]! >>> 24;
};

/**
 * Finds the backend. A live service entry of the same frontend decides: its backend is kept while it is active, and while it
 * drains for packets that do not open a connection; otherwise a new choice is written into the entry. Without an entry:
 * affinity, then the algorithm, and an entry is made. Verdicts: nothing behind the frontend; 155.
 *
 * @param target of the master entry: algorithm and affinity timeout
 * @param countNat of the master entry: count in the low half, reverse NAT index in the high half
 * @param port raw frontend port
 * @param ownerFlags 0 at a pod, CT_KEY.NODE at the node
 */
export function balance(
  cx: Context,
  tables: Tables,
  target: number,
  countNat: number,
  port: number,
  scope: number,
  ownerFlags: number,
): number {
  const reverseNat = countNat >>> 16;
  const count = countNat & 0xffff;
  const affine = (cx.serviceFlags & AFFINITY) !== 0;
  cx.reverseNat = reverseNat;
  let id = 0;
  let entry = findEntry(cx, tables, reverseNat, ownerFlags);
  if (entry >= 0 && cx.serviceEntry === UNANSWERED && isAnsweredElsewhere(cx)) {
    entry = moveToAnswered(cx, tables);
    cx.serviceEntry = ANSWERED;
  }
  if (entry >= 0 && track(cx, tables, entry, false, cx.headers.protocol === TCP, true)) entry = -1;
  if (entry >= 0) {
    id = cx.ctWords[entry + ENTRY_BACKEND]!;
    const at = seekBackend(cx, tables, id);
    if (at < 0 || (stateOf(cx, tables, at) !== ACTIVE && isSyn(cx))) {
      id = count === 0 ? 0 : choose(cx, tables, target, count, reverseNat, port, scope);
      if (id === 0 || seekBackend(cx, tables, id) < 0) return noBackend(cx);
      if (cx.probe === 0) cx.ctWords[entry + ENTRY_BACKEND] = id;
    }
  } else {
    if (count === 0) return noBackend(cx);
    if (affine) id = remembered(cx, tables, target & 0xffffff, reverseNat);
    if (id === 0) {
      id = choose(cx, tables, target, count, reverseNat, port, scope);
      if (id === 0 || seekBackend(cx, tables, id) < 0) return noBackend(cx);
    }
    const made = createServiceEntry(cx, tables, id, reverseNat);
    if (made !== CONTINUE) return made;
  }
  if (affine && cx.probe === 0) remember(cx, tables, id, reverseNat);
  cx.backendId = id;
  return CONTINUE;
}

/** Whether a packet may not drain to a backend that is going: a TCP SYN (Cilium's state->syn; other protocols have none). */
const isSyn = (cx: Context): boolean => {
  return cx.headers.protocol === TCP && (cx.headers.tcpFlags & SYN) !== 0;
};

/**
 * Whether the packet shows that its connection was answered past this node, by direct server return: the client acknowledges. So
 * its entry leaves the map that a flood of SYNs washes out.
 */
const isAnsweredElsewhere = (cx: Context): boolean => {
  if ((cx.features & DSR) === 0 || (cx.serviceFlags & FORWARD_DSR) === 0 || cx.probe !== 0) return false;
  return cx.headers.protocol === TCP && (cx.headers.tcpFlags & (SYN | RST | ACK)) === ACK;
};

/** The live service entry of this client and this frontend, in at most two probes: its offset in `cx.ctWords`, or -1. */
const findEntry = (cx: Context, tables: Tables, reverseNat: number, ownerFlags: number): number => {
  setTupleKey(cx, cx.ownerIsSource, SERVICE_KEY | ownerFlags);
  let at = probeAnswered(cx, tables);
  if (at >= 0 && cx.ctWords[at + ENTRY_FLAGS]! >>> 16 === reverseNat) {
    cx.serviceEntry = ANSWERED;
    return at;
  }
  at = probeUnanswered(cx, tables);
  if (at >= 0 && cx.ctWords[at + ENTRY_FLAGS]! >>> 16 === reverseNat) {
    cx.serviceEntry = UNANSWERED;
    return at;
  }
  cx.serviceEntry = ABSENT;
  return -1;
};

/**
 * Chooses a backend by the frontend's algorithm, or the node's (0). A frontend without a Maglev table is balanced at random,
 * as Cilium balances pods' traffic to ClusterIPs. 0 = the slot names none.
 */
const choose = (
  cx: Context,
  tables: Tables,
  target: number,
  count: number,
  reverseNat: number,
  port: number,
  scope: number,
): number => {
  const algorithm = target >>> 24 || tables.config.words[CONFIG_ALGORITHM]!;
  if (algorithm === MAGLEV) {
    const id = maglev(cx, tables, reverseNat);
    if (id >= 0) return id;
  }
  const slot = algorithm === FIRST ? 1 : randomSlot(cx, tables, count);
  const at = findService(cx, tables, port | (slot << 16), cx.headers.protocol | (scope << 8));
  return at < 0 ? 0 : serviceWords(cx, tables)[at + TARGET]!;
};

/** 1..count by a hash of the flow. */
const randomSlot = (cx: Context, tables: Tables, count: number): number => {
  const h = cx.headers;
  const seed = tables.config.words[CONFIG_RANDOM_SEED]!;
  const hash =
    h.family === 4
      ? chance4(h.s0, h.d0, cx.ports, h.protocol, 0, seed)
      : chance6(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol, 0, seed);
  return ((hash >>> 0) % count) + 1;
};

/** The backend id in the flow's slot of the frontend's Maglev table, or -1 when it has no table. */
const maglev = (cx: Context, tables: Tables, reverseNat: number): number => {
  const h = cx.headers;
  const config = tables.config.words;
  const four = h.family === 4;
  const map = four ? tables.maglev4 : tables.maglev6;
  const base = map.findTable(reverseNat);
  // Unsigned, so that the remainder below is one of integers.
  let size = config[CONFIG_MAGLEV_SIZE]! >>> 0;
  if (base < 0 || size === 0) {
    if (cx.tracing !== 0)
      cx.trace
        .open(TRACE.MAGLEV_SLOT, SERVICE, 0, four ? MAGLEV4 : MAGLEV6)
        .key(reverseNat)
        .key(0);
    return -1;
  }
  // A table smaller than the configuration says must not be read past its end.
  if (size > map.tableWords) size = map.tableWords;
  // With affinity one client always hashes alike: its source port counts as 0.
  const ports = (cx.serviceFlags & AFFINITY) !== 0 ? cx.ports & ~0xffff : cx.ports;
  const hash = four
    ? tupleHash4(h.s0, ports, h.protocol, config[CONFIG_HASH_SEED4]!)
    : tupleHash6(h.s0, h.s1, h.s2, h.s3, ports, h.protocol, config[CONFIG_HASH_SEED6]!);
  const slot = (hash >>> 0) % size;
  // A slot on the move (bit 31) names its new backend: here conntrack remembers who stays.
  const id = map.pool[base + slot]! & SLOT_BACKEND;
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.MAGLEV_SLOT, SERVICE, 1, four ? MAGLEV4 : MAGLEV6);
    cx.trace.key(reverseNat).key(slot).value(id);
  }
  return id;
};

/**
 * The backend that this client is to keep, or 0. Valid for [last used, last used + timeout), while the backend still serves
 * the frontend (match entry) and exists; an entry that is not is removed.
 */
const remembered = (cx: Context, tables: Tables, timeout: number, reverseNat: number): number => {
  const h = cx.headers;
  const four = h.family === 4;
  const map = four ? tables.affinity4 : tables.affinity6;
  cx.probesAffinity = (cx.probesAffinity + 1) | 0;
  // A peek: what is honoured is written again below, which marks it as used; a probe must leave no mark.
  const at = four
    ? tables.affinity4.peek(h.s0, 0, reverseNat)
    : tables.affinity6.peek(h.s0, h.s1, h.s2, h.s3, reverseNat);
  let id = 0;
  if (at >= 0) {
    const expires = (map.words[at + LAST_USED]! + timeout) | 0;
    id = map.words[at + REMEMBERED]!;
    if (expires <= cx.now || tables.affinityMatch.find(id, reverseNat) < 0) id = 0;
    // A backend that is gone although its match entry is still there: forgotten by choosing anew, not removed.
    else if (seekBackend(cx, tables, id) < 0) return 0;
  }
  if (cx.tracing !== 0) traceAffinity(cx, map.words, at, reverseNat, at < 0 ? 0 : id === 0 ? 2 : 1);
  if (at >= 0 && id === 0 && cx.probe === 0) {
    if (four) tables.affinity4.remove(h.s0, 0, reverseNat);
    else tables.affinity6.remove(h.s0, h.s1, h.s2, h.s3, reverseNat);
  }
  return id;
};

/** Writes or refreshes the client's affinity. Without memory nothing is remembered: the packet goes on. */
const remember = (cx: Context, tables: Tables, id: number, reverseNat: number): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const map = four ? tables.affinity4 : tables.affinity6;
  const at = four
    ? tables.affinity4.insert(h.s0, 0, reverseNat)
    : tables.affinity6.insert(h.s0, h.s1, h.s2, h.s3, reverseNat);
  if (at < 0) return;
  map.words[at + LAST_USED] = cx.now;
  map.words[at + REMEMBERED] = id;
};

const traceAffinity = (cx: Context, words: Int32Array, at: number, reverseNat: number, result: number): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const t = cx.trace.open(TRACE.AFFINITY, SERVICE, result, four ? AFFINITY4 : AFFINITY6).key(h.s0);
  if (four) t.key(0);
  else t.key(h.s1).key(h.s2).key(h.s3);
  t.key(reverseNat).values(words, at, affinityValue.bytes >>> 2);
};

/**
 * A frontend with nothing behind it. `serviceNoBackendResponse: drop` and `reject` both drop with 158; `reject` also answers with
 * an ICMP error, for which xdp leaves the packet to from-netdev. With `enableNoServiceEndpointsRoutable: false` the stack gets the
 * packet at once, past conntrack and policy, unless the frontend is for local backends only.
 */
const noBackend = (cx: Context): number => {
  const { features } = cx;
  const routable = (features & (NO_BACKEND_DROP | NO_BACKEND_REJECT)) === 0;
  if (routable && (cx.serviceFlags & (EXT_LOCAL | INT_LOCAL)) === 0) return forwarded(cx, ACTION.STACK, SERVICE);
  if ((features & NO_BACKEND_REJECT) !== 0) {
    if (cx.hook === XDP) return forwarded(cx, ACTION.STACK, SERVICE);
    cx.answer = NO_SERVICE;
  }
  return drop(cx, DROP.NO_SERVICE, SERVICE);
};

/** Parts of the selection that xdp's own (service-flow.ts) shares. An object, so that they stay plain constants in here. */
export const selection = { choose, noBackend, randomSlot, remember, remembered, stateOf } as const;
