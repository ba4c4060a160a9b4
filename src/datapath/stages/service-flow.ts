// Backend selection without conntrack, at xdp: by the Maglev table alone, by affinity, or by a memory of flows.
// Input: the master entry of a frontend. Output: `cx.backendId`, `cx.reverseNat`; CONTINUE or a verdict.
// Invariant: a flow whose Maglev slot is settled reads and writes no state; only flows of slots on the move and of frontends
// without a table are remembered; the same flow, maps and time give the same backend. Twin: native/bpf/service_flow.h.
import {
  ALGORITHM,
  BACKEND_STATE,
  flowValue,
  MAGLEV_SLOT,
  SERVICE_FLAG,
  serviceValue,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import * as jhash from '../jhash.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as backends from './service-backend.ts';
import * as serviceMap from './service-map.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_ALGORITHM, CONFIG_FLOW_LIFETIME, CONFIG_HASH_SEED4, CONFIG_HASH_SEED6, CONFIG_MAGLEV_SIZE } = config;
const { tupleHash4, tupleHash6 } = jhash;
const { CONTINUE } = verdicts;
const { findBackend } = backends;
const { choose, noBackend, randomSlot, remember, remembered, stateOf } = backends.selection;
const { findService, serviceWords } = serviceMap;

const SERVICE = STAGE.SERVICE;
const AFFINITY = SERVICE_FLAG.AFFINITY;
const { MAGLEV, FIRST } = ALGORITHM;
const { ACTIVE, TERMINATING } = BACKEND_STATE;
const SLOT_BACKEND = MAGLEV_SLOT.BACKEND;
const TARGET = serviceValue.at.target >>> 2;
/** Low half count, high half reverse NAT index. */
const COUNT = serviceValue.at.count >>> 2;
const FLOW_BACKEND = flowValue.at.backendId >>> 2;
const FLOW_LAST_SEEN = flowValue.at.lastSeen >>> 2;
const FLOW_WORDS = flowValue.bytes >>> 2;
const MAGLEV4 = traceMapNumber('maglev4');
const MAGLEV6 = traceMapNumber('maglev6');
const PREVIOUS4 = traceMapNumber('maglevPrevious4');
const PREVIOUS6 = traceMapNumber('maglevPrevious6');
const FLOWS4 = traceMapNumber('flows4');
const FLOWS6 = traceMapNumber('flows6');
const TCP = 6;
const SYN = 2;
const ACK = 16;

/**
 * Chooses the backend of a packet for the frontend whose master entry is at `at`.
 *
 * A Maglev slot whose bit 31 is clear names it. A slot on the move, or a frontend without a table, asks the memory of flows;
 * a flow that is not there, or whose backend may not serve any more, goes to the slot's new backend if its packet opens, and
 * otherwise to the one that the table before the change names, as long as that may serve; the choice is remembered. With
 * affinity the client's backend is the memory. Nothing that may serve: as a frontend with nothing behind it.
 */
export function selectBackend(cx: Context, tables: Tables, at: number): number {
  const words = serviceWords(cx, tables);
  const target = words[at + TARGET]!;
  const count = words[at + COUNT]! & 0xffff;
  const reverseNat = words[at + COUNT]! >>> 16;
  cx.reverseNat = reverseNat;
  if ((cx.serviceFlags & AFFINITY) !== 0) return selectAffine(cx, tables, target, count, reverseNat);
  const algorithm = target >>> 24 || tables.config.words[CONFIG_ALGORITHM]!;
  let fresh = 0;
  let hasTable = false;
  if (algorithm === MAGLEV) {
    const slot = tableSlot(cx, tables, reverseNat, false);
    hasTable = slot >= 0;
    if (hasTable) {
      const word = (cx.headers.family === 4 ? tables.maglev4 : tables.maglev6).pool[slot]!;
      fresh = word & SLOT_BACKEND;
      if (word === fresh) {
        if (count === 0 || !mayServe(cx, tables, fresh)) return noBackend(cx);
        cx.backendId = fresh;
        cx.monitor = opens(cx) ? 1 : 0;
        return CONTINUE;
      }
    }
  }
  if (!hasTable && count !== 0) fresh = slotBackend(cx, tables, algorithm, count);
  return rememberFlow(cx, tables, count === 0 ? 0 : fresh, hasTable);
}

/** Whether the packet opens a connection: a TCP SYN without ACK. */
const opens = (cx: Context): boolean => {
  return cx.headers.protocol === TCP && (cx.headers.tcpFlags & (SYN | ACK)) === SYN;
};

/** Whether a backend may serve this packet: active, or draining for packets that do not open. */
const mayServe = (cx: Context, tables: Tables, id: number): boolean => {
  const at = findBackend(cx, tables, id);
  if (at < 0) return false;
  const state = stateOf(cx, tables, at);
  return state === ACTIVE || (state === TERMINATING && !opens(cx));
};

/** Word offset of the flow's slot in the pool of a frontend's table (or of the table before), or -1 where there is none. */
const tableSlot = (cx: Context, tables: Tables, reverseNat: number, previous: boolean): number => {
  const h = cx.headers;
  const words = tables.config.words;
  const four = h.family === 4;
  const map = four
    ? previous
      ? tables.maglevPrevious4
      : tables.maglev4
    : previous
      ? tables.maglevPrevious6
      : tables.maglev6;
  const base = map.findTable(reverseNat);
  let size = words[CONFIG_MAGLEV_SIZE]! >>> 0;
  let slot = -1;
  if (base >= 0 && size !== 0) {
    if (size > map.tableWords) size = map.tableWords;
    const hash = four
      ? tupleHash4(h.s0, cx.ports, h.protocol, words[CONFIG_HASH_SEED4]!)
      : tupleHash6(h.s0, h.s1, h.s2, h.s3, cx.ports, h.protocol, words[CONFIG_HASH_SEED6]!);
    slot = (hash >>> 0) % size;
  }
  if (cx.tracing !== 0) {
    const number = four ? (previous ? PREVIOUS4 : MAGLEV4) : previous ? PREVIOUS6 : MAGLEV6;
    const t = cx.trace.open(TRACE.MAGLEV_SLOT, SERVICE, slot < 0 ? 0 : 1, number).key(reverseNat);
    t.key(slot < 0 ? 0 : slot);
    if (slot >= 0) {
      const word = map.pool[base + slot]!;
      t.value(word & SLOT_BACKEND).value(word >>> 31);
    }
  }
  return slot < 0 ? -1 : base + slot;
};

/** The backend of a frontend without a table: by chance, or the first one. 0 = the slot names none. */
const slotBackend = (cx: Context, tables: Tables, algorithm: number, count: number): number => {
  const slot = algorithm === FIRST ? 1 : randomSlot(cx, tables, count);
  const at = findService(cx, tables, (cx.ports >>> 16) | (slot << 16), cx.headers.protocol);
  return at < 0 ? 0 : serviceWords(cx, tables)[at + TARGET]!;
};

/** A flow that its slot alone does not tell. `fresh`: the backend of a new one. */
const rememberFlow = (cx: Context, tables: Tables, fresh: number, hasTable: boolean): number => {
  const { now } = cx;
  const map = cx.headers.family === 4 ? tables.flows4 : tables.flows6;
  const at = findFlow(cx, tables);
  if (at >= 0) {
    const expires = (map.words[at + FLOW_LAST_SEEN]! + tables.config.words[CONFIG_FLOW_LIFETIME]!) | 0;
    const known = map.words[at + FLOW_BACKEND]!;
    const honoured = expires > now && mayServe(cx, tables, known);
    if (cx.tracing !== 0) traceFlow(cx, TRACE.FLOW, honoured ? 1 : 2, map.words, at);
    if (honoured) {
      if (map.words[at + FLOW_LAST_SEEN] !== now && cx.probe === 0) map.words[at + FLOW_LAST_SEEN] = now;
      cx.backendId = known;
      return CONTINUE;
    }
  } else if (cx.tracing !== 0) traceFlow(cx, TRACE.FLOW, 0, map.words, -1);
  let id = 0;
  if (hasTable && !opens(cx)) {
    const slot = tableSlot(cx, tables, cx.reverseNat, true);
    const tablesBefore = cx.headers.family === 4 ? tables.maglevPrevious4 : tables.maglevPrevious6;
    const before = slot < 0 ? 0 : tablesBefore.pool[slot]! & SLOT_BACKEND;
    if (before !== 0 && mayServe(cx, tables, before)) id = before;
  }
  if (id === 0) {
    if (!mayServe(cx, tables, fresh)) return noBackend(cx);
    id = fresh;
  }
  cx.backendId = id;
  cx.monitor = 1;
  if (cx.probe === 0) writeFlow(cx, tables, id);
  return CONTINUE;
};

/** Word offset of the flow's value, or -1. A probe leaves no mark of use. */
const findFlow = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  cx.probesFlow = (cx.probesFlow + 1) | 0;
  if (h.family === 4) {
    const { flows4 } = tables;
    return cx.probe === 0
      ? flows4.find(h.s0, h.d0, cx.ports, h.protocol)
      : flows4.peek(h.s0, h.d0, cx.ports, h.protocol);
  }
  const { flows6 } = tables;
  return cx.probe === 0
    ? flows6.find(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol)
    : flows6.peek(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol);
};

/** Remembers the flow. Without memory it is not: the packet goes on. */
const writeFlow = (cx: Context, tables: Tables, id: number): void => {
  const h = cx.headers;
  const map = h.family === 4 ? tables.flows4 : tables.flows6;
  const at =
    h.family === 4
      ? tables.flows4.insert(h.s0, h.d0, cx.ports, h.protocol)
      : tables.flows6.insert(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol);
  if (at < 0) return;
  map.words[at + FLOW_BACKEND] = id;
  map.words[at + FLOW_LAST_SEEN] = cx.now;
  if (cx.tracing !== 0) traceFlow(cx, TRACE.FLOW_CREATE, 1, map.words, at);
};

/** A frontend with affinity: what the client had, if it may serve; else a choice by the algorithm, which is remembered. */
const selectAffine = (cx: Context, tables: Tables, target: number, count: number, reverseNat: number): number => {
  if (count === 0) return noBackend(cx);
  let id = remembered(cx, tables, target & 0xffffff, reverseNat);
  if (id !== 0 && !mayServe(cx, tables, id)) id = 0;
  if (id === 0) {
    id = choose(cx, tables, target, count, reverseNat, cx.ports >>> 16, 0);
    if (!mayServe(cx, tables, id)) return noBackend(cx);
    cx.monitor = 1;
  }
  if (cx.probe === 0) remember(cx, tables, id, reverseNat);
  cx.backendId = id;
  return CONTINUE;
};

const traceFlow = (cx: Context, kind: number, result: number, words: Int32Array, at: number): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const t = cx.trace.open(kind, SERVICE, result, four ? FLOWS4 : FLOWS6).key(h.s0);
  if (four) t.key(h.d0);
  else t.key(h.s1).key(h.s2).key(h.s3).key(h.d0).key(h.d1).key(h.d2).key(h.d3);
  t.key(cx.ports).key(h.protocol).values(words, at, FLOW_WORDS);
};
