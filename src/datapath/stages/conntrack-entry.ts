// What a packet does to a conntrack entry that it met: lifetimes, closing, resets, reports; and how an answered
// connection moves. Input: an entry's words. Output: the same words changed. Rows: Cilium's bpf/lib/conntrack.h.
// Invariant: a probe changes nothing but gets the same answer. Twin: native/bpf/conntrack_entry.h.
import { CT_FLAG, CT_KEY, FEATURE, reverseNatValue4, STAGE, TRACE } from '../../schema/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import * as metrics from '../metrics.ts';
import type { Tables } from '../tables.ts';
import * as keys from './conntrack-key.ts';
import * as layout from './entry-layout.ts';

export {
  ENTRY_WORDS,
  ENTRY_PACKETS,
  ENTRY_BYTES,
  ENTRY_LIFETIME,
  ENTRY_FLAGS,
  ENTRY_IDENTITY,
  ENTRY_EPOCH,
  ENTRY_COOKIE,
  ENTRY_BACKEND,
  ENTRY_SEEN,
  ENTRY_LAST_TX,
  ENTRY_LAST_RX,
} from './entry-layout.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const {
  CONFIG_CT_ANY,
  CONFIG_CT_CLOSE,
  CONFIG_CT_GRACE,
  CONFIG_CT_SERVICE_ANY,
  CONFIG_CT_SERVICE_TCP,
  CONFIG_CT_SYN,
  CONFIG_CT_TCP,
  CONFIG_REPORT_INTERVAL,
} = config;
const { addU64 } = metrics;
const {
  ENTRY_WORDS,
  ENTRY_PACKETS,
  ENTRY_BYTES,
  ENTRY_LIFETIME,
  ENTRY_FLAGS,
  ENTRY_BACKEND,
  ENTRY_SEEN,
  ENTRY_LAST_TX,
  ENTRY_LAST_RX,
} = layout;
const {
  insertEntry,
  removeEntry,
  seekAnswered,
  seekUnanswered,
  setKey4,
  setKey6,
  setRelatedKey,
  setTupleKey,
  traceConntrackMap,
  traceKey,
} = keys;
// The same for what this module exports itself.
const hasExpired = isExpired;
const isOpening = opens;
const lengthen = prolong;
const move = moveToAnswered;

const { RX_CLOSING, TX_CLOSING, SEEN_NON_SYN, ANSWERED, INBOUND, BOTH_WAYS, NODE_PORT, LOOPBACK } = CT_FLAG;
const BOTH_CLOSING = RX_CLOSING | TX_CLOSING;
const { SERVICE, NODE } = CT_KEY;
const ACCOUNTING = FEATURE.CT_ACCOUNTING;
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const TX_SHIFT = 16;
const RX_SHIFT = 24;
const REVERSE_NAT_USED = 1 << 16;
const REVERSE_NAT_PORT = reverseNatValue4.at.port >>> 2;

/** Whether an entry is past its lifetime: it counts as absent, collected or not. */
export function isExpired(cx: Context, words: Int32Array, at: number): boolean {
  return words[at + ENTRY_LIFETIME]! < cx.now;
}

/** Takes the frontend of a DSR_INTERNAL entry at `at` of `cx.ctWords`, for an entry that is made beside it. */
export function takeFrontendOf(cx: Context, at: number): void {
  const { ctWords: words } = cx;
  cx.directReturn = 1;
  cx.nat0 = words[at + ENTRY_BACKEND]!;
  cx.nat1 = words[at + ENTRY_BACKEND + 1]!;
  cx.nat2 = words[at + ENTRY_BACKEND + 2]!;
  cx.nat3 = words[at + ENTRY_BACKEND + 3]!;
  cx.natPort = words[at + ENTRY_SEEN]! & 0xffff;
}

/** Whether the packet is a SYN that opens (no ACK, and neither FIN nor RST, which close). */
export function opens(cx: Context): boolean {
  return (cx.headers.tcpFlags & (SYN | ACK | FIN | RST)) === SYN;
}

/** Whether the packet closes its direction. */
const closes = (cx: Context): boolean => {
  return (cx.headers.tcpFlags & (FIN | RST)) !== 0;
};

/**
 * Applies the packet to an entry (Cilium's __ct_lookup behind a match). Answers true when the packet opens the connection
 * anew, so that the caller must treat it as NEW: a SYN on a closing entry, whose closing bits and seen flags are reset. A
 * service entry is only reset and keeps its backend, but for one that has been closing for the grace period (left alone).
 *
 * @param towardsOwner the packet goes to the owner; service entries only see the client's direction, from the owner
 * @param tcp the entry is a TCP connection's, and the packet's flags are its
 * @param service the entry is a service entry
 */
export function track(
  cx: Context,
  tables: Tables,
  at: number,
  towardsOwner: boolean,
  tcp: boolean,
  service: boolean,
): boolean {
  const words = cx.ctWords;
  const flags = words[at + ENTRY_FLAGS]!;
  const closing = (flags & BOTH_CLOSING) !== 0;
  if (service && tcp && closing && (cx.headers.tcpFlags & SYN) !== 0) {
    const last = words[at + ENTRY_LAST_TX]!;
    if (((last + tables.config.words[CONFIG_CT_GRACE]!) | 0) <= cx.now) return true;
  }
  const reopens = tcp && closing && isOpening(cx);
  const anew = reopens && !service;
  if (cx.probe !== 0) return anew;
  if ((cx.features & ACCOUNTING) !== 0) {
    addU64(words, at + ENTRY_PACKETS, 1);
    addU64(words, at + ENTRY_BYTES, cx.wireBytes);
  }
  if ((flags & BOTH_CLOSING) !== BOTH_CLOSING) refresh(cx, tables, words, at, flags, towardsOwner, tcp, service);
  if (!tcp) return false;
  if (closes(cx)) close(cx, tables, words, at, towardsOwner, service);
  else if (reopens) {
    const reset = words[at + ENTRY_FLAGS]! & ~(BOTH_CLOSING | SEEN_NON_SYN);
    words[at + ENTRY_FLAGS] = reset;
    words[at + ENTRY_SEEN] = words[at + ENTRY_SEEN]! & 0xffff;
    refresh(cx, tables, words, at, reset, towardsOwner, tcp, service);
    cx.monitor = 1;
  }
  return anew;
}

/** Prolongs an entry, whose flags are given, by the lifetime of its state and notes the flags seen (Cilium's ct_update_timeout). */
const refresh = (
  cx: Context,
  tables: Tables,
  words: Int32Array,
  at: number,
  flags: number,
  towardsOwner: boolean,
  tcp: boolean,
  service: boolean,
): void => {
  const config = tables.config.words;
  let seconds = config[service ? CONFIG_CT_SERVICE_ANY : CONFIG_CT_ANY]!;
  let seen = 0;
  if (tcp) {
    seen = cx.headers.tcpFlags;
    let established = (flags & SEEN_NON_SYN) !== 0;
    if (!established && (seen & SYN) === 0) {
      words[at + ENTRY_FLAGS] = flags | SEEN_NON_SYN;
      established = true;
    }
    seconds = config[established ? (service ? CONFIG_CT_SERVICE_TCP : CONFIG_CT_TCP) : CONFIG_CT_SYN]!;
  }
  lengthen(cx, tables, words, at, seconds, towardsOwner, seen);
};

/** Sets the lifetime; notes flags and the time of the report when there is something to report. */
export function prolong(
  cx: Context,
  tables: Tables,
  words: Int32Array,
  at: number,
  seconds: number,
  towardsOwner: boolean,
  seen: number,
): void {
  const { now } = cx;
  words[at + ENTRY_LIFETIME] = (now + seconds) | 0;
  const last = at + (towardsOwner ? ENTRY_LAST_RX : ENTRY_LAST_TX);
  const shift = towardsOwner ? RX_SHIFT : TX_SHIFT;
  const before = words[at + ENTRY_SEEN]!;
  const after = before | (seen << shift);
  if (before !== after || ((words[last]! + tables.config.words[CONFIG_REPORT_INTERVAL]!) | 0) < now) {
    words[at + ENTRY_SEEN] = after;
    words[last] = now;
    cx.monitor = 1;
  }
}

/**
 * FIN or RST: closes the packet's direction; both directions for a service entry, which sees only one of them, and for a RST
 * before SYNs were seen both ways. With both closed the entry lives for the close timeout.
 */
const close = (
  cx: Context,
  tables: Tables,
  words: Int32Array,
  at: number,
  towardsOwner: boolean,
  service: boolean,
): void => {
  const seen = words[at + ENTRY_SEEN]!;
  const bothSyns = ((seen >>> TX_SHIFT) & (seen >>> RX_SHIFT) & SYN) !== 0;
  const aborted = (cx.headers.tcpFlags & RST) !== 0 && !bothSyns;
  let flags = words[at + ENTRY_FLAGS]!;
  flags |= service || aborted ? BOTH_CLOSING : towardsOwner ? RX_CLOSING : TX_CLOSING;
  words[at + ENTRY_FLAGS] = flags;
  cx.monitor = 1;
  if ((flags & BOTH_CLOSING) === BOTH_CLOSING) {
    lengthen(cx, tables, words, at, tables.config.words[CONFIG_CT_CLOSE]!, towardsOwner, cx.headers.tcpFlags);
  }
};

/**
 * Moves a connection that was just answered to the map of answered ones: with it its related twin, its service entry, and
 * behind a node port the node's own entries. The current key must be the connection's, and is so again afterwards.
 *
 * @param at offset of the entry in `cx.ctWords`, in the map of unanswered connections
 * @returns its offset in `cx.ctWords` now: where it was when there is no memory
 */
export function promote(cx: Context, tables: Tables, at: number): number {
  const flags = cx.ctWords[at + ENTRY_FLAGS]!;
  const reverseNat = flags >>> 16;
  if (cx.ownerFlags === 0) {
    setRelatedKey(cx);
    move(cx, tables);
  }
  if (reverseNat !== 0) promoteService(cx, tables, reverseNat, flags, false);
  if ((flags & NODE_PORT) !== 0 && cx.ownerFlags === 0) {
    setTupleKey(cx, cx.ownerIsSource, NODE);
    move(cx, tables);
  }
  setTupleKey(cx, cx.ownerIsSource, cx.ownerFlags);
  let now = move(cx, tables);
  // Unreachable while no other packet runs in between; the caller may rely on an offset.
  if (now < 0) now = insertEntry(cx, tables, true);
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.CT_PROMOTE, STAGE.CONNTRACK, 1, traceConntrackMap(cx, true));
    traceKey(cx);
    cx.trace.values(cx.ctWords, now, ENTRY_WORDS);
  }
  return now;
}

/**
 * Moves the entry of the current key, if there is one. Twins merge with one that is there: both directions then count.
 * @returns its offset in `cx.ctWords`, wherever it ended, or -1 when there is none
 */
export function moveToAnswered(cx: Context, tables: Tables): number {
  const from = seekUnanswered(cx, tables);
  if (from < 0 || hasExpired(cx, cx.ctWords, from)) return -1;
  const source = cx.ctWords;
  const { scratch } = cx;
  for (let i = 0; i < ENTRY_WORDS; i++) scratch[i] = source[from + i]!;
  const known = seekAnswered(cx, tables);
  if (known >= 0 && !hasExpired(cx, cx.ctWords, known)) {
    const there = cx.ctWords[known + ENTRY_FLAGS]!;
    if (((there ^ scratch[ENTRY_FLAGS]!) & INBOUND) !== 0) scratch[ENTRY_FLAGS] = scratch[ENTRY_FLAGS]! | BOTH_WAYS;
    scratch[ENTRY_FLAGS] = scratch[ENTRY_FLAGS]! | (there & BOTH_WAYS);
  }
  const at = insertEntry(cx, tables, true);
  if (at < 0) return seekUnanswered(cx, tables);
  const words = cx.ctWords;
  for (let i = 0; i < ENTRY_WORDS; i++) words[at + i] = scratch[i]!;
  words[at + ENTRY_FLAGS] = words[at + ENTRY_FLAGS]! | ANSWERED;
  removeEntry(cx, tables, false);
  return at;
}

/**
 * Moves the service entry of the answered connection at `at` to the answered map, too. The packet goes client → backend.
 * @returns offset of the connection in `cx.ctWords` now
 */
export function rejoinService(cx: Context, tables: Tables, at: number): number {
  const flags = cx.ctWords[at + ENTRY_FLAGS]!;
  promoteService(cx, tables, flags >>> 16, flags, true);
  setTupleKey(cx, cx.ownerIsSource, cx.ownerFlags);
  return seekAnswered(cx, tables);
}

/**
 * Moves the service entry of an answered connection: client → frontend, the frontend from the reverse NAT map.
 * @param forward the packet at hand goes client → backend; else backend → client. Of a hairpin the client is the pod, which
 * stands where otherwise the backend does
 */
const promoteService = (cx: Context, tables: Tables, reverseNat: number, flags: number, forward: boolean): void => {
  const h = cx.headers;
  const node = cx.ownerFlags | ((flags & NODE_PORT) !== 0 ? NODE : 0);
  const ownerIsSource = node !== 0 ? 0 : 1;
  const fromSource = forward !== ((flags & LOOPBACK) !== 0);
  const clientPort = forward ? cx.ports & 0xffff : cx.ports >>> 16;
  if (h.family === 4) {
    const at = tables.reverseNat4.find(reverseNat);
    const { words } = tables.reverseNat4;
    if (at < 0 || (words[at + REVERSE_NAT_PORT]! & REVERSE_NAT_USED) === 0) return;
    const ports = clientPort | (words[at + REVERSE_NAT_PORT]! << 16);
    setKey4(cx, fromSource ? h.s0 : h.d0, words[at]!, ports, h.protocol, ownerIsSource, SERVICE | node);
  } else {
    const at = tables.reverseNat6.find(reverseNat);
    const { words } = tables.reverseNat6;
    if (at < 0 || (words[at + 4]! & REVERSE_NAT_USED) === 0) return;
    const ports = clientPort | (words[at + 4]! << 16);
    const c0 = fromSource ? h.s0 : h.d0;
    const c1 = fromSource ? h.s1 : h.d1;
    const c2 = fromSource ? h.s2 : h.d2;
    const c3 = fromSource ? h.s3 : h.d3;
    setKey6(
      cx,
      c0,
      c1,
      c2,
      c3,
      words[at]!,
      words[at + 1]!,
      words[at + 2]!,
      words[at + 3]!,
      ports,
      h.protocol,
      ownerIsSource,
      SERVICE | node,
    );
  }
  move(cx, tables);
};
