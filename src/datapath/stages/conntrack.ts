// Stage "conntrack": finds the packet's connection in at most two probes, and one more where a service entry misled; makes
// its entry once policy has passed it.
// Input: headers, `cx.ports`, who owns the entry (`ownerIsSource`, `ownerFlags`), what the service stage found.
// Output: `cx.ctStatus`, `cx.ctAt`, `cx.ctFlags`. Invariant: an answered connection is only ever found in the answered maps,
// an entry past its lifetime is absent. Twin: native/bpf/conntrack.h, which besides looks again for what another processor
// may have moved or made between two steps: here nothing runs in between.
import { CT_FLAG, CT_KEY, CT_STATUS, DROP, FEATURE, HOOK, STAGE, TRACE } from '../../schema/index.ts';
import * as config from '../config.ts';
import { type Context, SERVICE_ENTRY } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as entries from './conntrack-entry.ts';
import * as keys from './conntrack-key.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_CT_ANY, CONFIG_CT_SERVICE_ANY, CONFIG_CT_SYN } = config;
const { CONTINUE, drop } = verdicts;
const {
  ENTRY_BACKEND,
  ENTRY_BYTES,
  ENTRY_COOKIE,
  ENTRY_EPOCH,
  ENTRY_FLAGS,
  ENTRY_IDENTITY,
  ENTRY_PACKETS,
  ENTRY_SEEN,
  ENTRY_WORDS,
  isExpired,
  opens,
  prolong,
  promote,
  rejoinService,
  takeFrontendOf,
  track,
} = entries;
const {
  insertEntry,
  removeEntry,
  seekAnswered,
  seekUnanswered,
  setRelatedKey,
  setTupleKey,
  traceConntrackMap,
  traceKey,
} = keys;
// The same for what this module exports itself.
const askAnswered = probeAnswered;
const askUnanswered = probeUnanswered;

const { NEW, ESTABLISHED, REPLY, RELATED } = CT_STATUS;
const CONNTRACK = STAGE.CONNTRACK;
const { INBOUND, BOTH_WAYS, NODE_PORT, RX_CLOSING, TX_CLOSING, AUDITED, PROXY_REDIRECT, DSR_INTERNAL } = CT_FLAG;
const LOOPBACK = CT_FLAG.LOOPBACK;
const CLOSING = RX_CLOSING | TX_CLOSING;
const NODE = CT_KEY.NODE;
const ACCOUNTING = FEATURE.CT_ACCOUNTING;
const FROM_CONTAINER = HOOK.FROM_CONTAINER;
const FROM_NETDEV = HOOK.FROM_NETDEV;
const XDP = HOOK.XDP;
const { ANSWERED: SERVICE_ANSWERED, UNANSWERED: SERVICE_UNANSWERED, ABSENT: SERVICE_ABSENT } = SERVICE_ENTRY;
const TCP = 6;
const SYN = 2;
const RST = 4;

/** One counted probe of the answered map for the current key: offset, -1; -2 for an entry past its lifetime. */
export function probeAnswered(cx: Context, tables: Tables): number {
  cx.probesConntrack = (cx.probesConntrack + 1) | 0;
  const at = seekAnswered(cx, tables);
  const expired = at >= 0 && isExpired(cx, cx.ctWords, at);
  if (cx.tracing !== 0) traceLookup(cx, at, expired, true);
  return expired ? -2 : at;
}

/** As {@link probeAnswered} for the map of unanswered connections. */
export function probeUnanswered(cx: Context, tables: Tables): number {
  cx.probesConntrack = (cx.probesConntrack + 1) | 0;
  const at = seekUnanswered(cx, tables);
  const expired = at >= 0 && isExpired(cx, cx.ctWords, at);
  if (cx.tracing !== 0) traceLookup(cx, at, expired, false);
  return expired ? -2 : at;
}

/**
 * Finds the connection. Always CONTINUE.
 *
 * The answered map is asked first, then the other. Behind a service the service entry has already told: found among the
 * answered → the same two; among the unanswered → only there; nowhere → only among the answered. With the service's own
 * probes that is three at most. A fourth: the service entry is among the unanswered, the connection is not. Then it is
 * answered already (it was moved since, or the service entry is a new one), and the service entry follows it.
 */
export function conntrack(cx: Context, tables: Tables): number {
  if (cx.related !== 0) return conntrackRelated(cx, tables);
  setTupleKey(cx, cx.ownerIsSource, cx.ownerFlags);
  const { serviceEntry } = cx;
  let at = -1;
  let answered = false;
  if (serviceEntry !== SERVICE_UNANSWERED) {
    at = askAnswered(cx, tables);
    if (at >= 0) answered = true;
    else if (at === -2) cx.ctStale = 1;
  } else cx.ctStale = 1;
  if (at < 0 && serviceEntry !== SERVICE_ABSENT) at = askUnanswered(cx, tables);
  if (at < 0 && serviceEntry === SERVICE_UNANSWERED) {
    at = askAnswered(cx, tables);
    cx.ctStale = at === -2 ? 1 : 0;
    answered = at >= 0;
  }
  if (at < 0) {
    cx.ctStatus = NEW;
    cx.monitor = 1;
    return CONTINUE;
  }
  return meet(cx, tables, at, answered);
}

/** The packet met the entry at `at`: which direction it goes, and what that does to the entry. */
const meet = (cx: Context, tables: Tables, at: number, answered: boolean): number => {
  const flags = cx.ctWords[at + ENTRY_FLAGS]!;
  const towardsOwner = cx.ownerIsSource === 0;
  const forward = ((flags & INBOUND) !== 0) === towardsOwner;
  const tcp = cx.headers.protocol === TCP;
  if (isForeign(cx, flags, forward)) {
    // An entry of another connection under the same tuple: made anew, as Cilium recreates it.
    if (answered) cx.ctStale = 1;
    cx.ctStatus = NEW;
    cx.monitor = 1;
    return CONTINUE;
  }
  if (!forward && !answered && cx.probe === 0 && isAnswer(cx, flags, tcp)) {
    at = promote(cx, tables, at);
    answered = true;
  }
  if (forward && answered && cx.serviceEntry >= SERVICE_UNANSWERED && cx.probe === 0) {
    // The service entry was lost and has been made anew among the unanswered: it belongs beside its connection.
    at = rejoinService(cx, tables, at);
  }
  if (track(cx, tables, at, towardsOwner, tcp, false)) {
    if (answered) cx.ctStale = 1;
    cx.ctStatus = NEW;
    return CONTINUE;
  }
  cx.ctStatus = forward ? ESTABLISHED : REPLY;
  cx.ctAt = at;
  cx.ctFlags = cx.ctWords[at + ENTRY_FLAGS]!;
  return CONTINUE;
};

/**
 * Whether the entry belongs to another connection: at hooks that translate, the forward direction must come through the same
 * frontend (or none), and what was just sent to a backend cannot be the answer to something.
 */
const isForeign = (cx: Context, flags: number, forward: boolean): boolean => {
  const { hook } = cx;
  if (hook !== FROM_CONTAINER && hook !== FROM_NETDEV && hook !== XDP) return false;
  return forward ? flags >>> 16 !== cx.reverseNat : cx.reverseNat !== 0;
};

/** Whether a packet against the opener's direction is an answer: any but a TCP reset, or a SYN that opens anew. */
const isAnswer = (cx: Context, flags: number, tcp: boolean): boolean => {
  if (!tcp) return true;
  if ((cx.headers.tcpFlags & RST) !== 0) return false;
  return (flags & CLOSING) === 0 || !opens(cx);
};

/**
 * ICMP errors are matched on their outer addresses with the twin that every connection leaves. Against the opener's
 * direction → RELATED; along it → ESTABLISHED, which policy then judges as it judges any packet (Cilium's SCOPE_BIDIR).
 */
const conntrackRelated = (cx: Context, tables: Tables): number => {
  setRelatedKey(cx);
  const towardsOwner = cx.ownerIsSource === 0;
  let found = -1;
  let at = askAnswered(cx, tables);
  if (at >= 0) {
    found = at;
    if (isBackward(cx.ctWords[at + ENTRY_FLAGS]!, towardsOwner)) return takeRelated(cx, tables, at, towardsOwner, true);
  }
  const words = cx.ctWords;
  at = askUnanswered(cx, tables);
  if (at >= 0) {
    const backward = isBackward(cx.ctWords[at + ENTRY_FLAGS]!, towardsOwner);
    if (backward || found < 0) return takeRelated(cx, tables, at, towardsOwner, backward);
  }
  if (found >= 0) {
    cx.ctWords = words;
    return takeRelated(cx, tables, found, towardsOwner, false);
  }
  cx.ctStatus = NEW;
  cx.monitor = 1;
  return CONTINUE;
};

/** Whether a packet in this direction goes against that of some connection between the twin's ends. */
const isBackward = (flags: number, towardsOwner: boolean): boolean => {
  return (flags & BOTH_WAYS) !== 0 || ((flags & INBOUND) !== 0) !== towardsOwner;
};

const takeRelated = (cx: Context, tables: Tables, at: number, towardsOwner: boolean, backward: boolean): number => {
  track(cx, tables, at, towardsOwner, false, false);
  cx.ctStatus = backward ? RELATED : ESTABLISHED;
  cx.ctAt = at;
  cx.ctFlags = cx.ctWords[at + ENTRY_FLAGS]!;
  return CONTINUE;
};

/**
 * Makes the entry of a NEW connection that policy let pass, and its related twin. 155 when there is no memory.
 * The node's own entries have no twin: the pod's are made when the packet reaches it.
 */
export function createConnection(cx: Context, tables: Tables): number {
  if (cx.probe !== 0) return CONTINUE;
  const inbound = cx.ownerIsSource === 0 ? INBOUND : 0;
  if (cx.ownerFlags === 0) {
    setRelatedKey(cx);
    const at = insertEntry(cx, tables, false);
    if (at < 0) return drop(cx, DROP.CT_CREATE_FAILED, CONNTRACK);
    const before = cx.ctWords[at + ENTRY_FLAGS]!;
    const alive = cx.ctCreated === 0 && !isExpired(cx, cx.ctWords, at);
    const both = alive ? (before & BOTH_WAYS) | ((before & INBOUND) !== inbound ? BOTH_WAYS : 0) : 0;
    fill(cx, tables, at, inbound | both, cx.related === 0 && cx.headers.protocol === TCP);
    if (cx.related !== 0) return CONTINUE;
  } else if (cx.ownerIsSource === 0 && !isMidway(cx)) forgetPodConnection(cx, tables);
  setTupleKey(cx, cx.ownerIsSource, cx.ownerFlags);
  if (cx.ctStale !== 0) removeEntry(cx, tables, true);
  const at = insertEntry(cx, tables, false);
  if (at < 0) return drop(cx, DROP.CT_CREATE_FAILED, CONNTRACK);
  fill(cx, tables, at, inbound, cx.headers.protocol === TCP);
  if (cx.tracing !== 0) traceCreate(cx, at);
  return CONTINUE;
}

/** Whether a packet belongs to a TCP connection that must have begun before. */
const isMidway = (cx: Context): boolean => {
  return cx.headers.protocol === TCP && (cx.headers.tcpFlags & SYN) === 0;
};

/**
 * A new connection through a frontend of the node may have the tuple of an older one of the pod, which came directly or through
 * another frontend; to the pod they look alike. The older entry goes, so that the pod's hook asks anew where this one came through.
 * The other order, directly after through a frontend while that entry lives, cannot be told by anybody, Cilium included.
 */
const forgetPodConnection = (cx: Context, tables: Tables): void => {
  setTupleKey(cx, cx.ownerIsSource, 0);
  removeEntry(cx, tables, true);
  removeEntry(cx, tables, false);
};

/** Writes a whole new entry. A TCP connection begins with the SYN lifetime, whatever its first packet (ct_create). */
const fill = (cx: Context, tables: Tables, at: number, direction: number, tcp: boolean): void => {
  const words = cx.ctWords;
  for (let i = 0; i < ENTRY_WORDS; i++) words[at + i] = 0;
  let flags = direction;
  if (cx.loopback !== 0) flags |= LOOPBACK;
  if (cx.audited !== 0) flags |= AUDITED;
  if (cx.proxyPort !== 0) flags |= PROXY_REDIRECT;
  // What the node opens itself has no frontend.
  if (cx.ownerIsSource === 0 && (cx.ownerFlags === NODE || (cx.reverseNat !== 0 && cx.loopback === 0))) {
    flags |= NODE_PORT;
  }
  if (cx.directReturn !== 0) {
    flags |= NODE_PORT | DSR_INTERNAL;
    words[at + ENTRY_BACKEND] = cx.nat0;
    words[at + ENTRY_BACKEND + 1] = cx.nat1;
    words[at + ENTRY_BACKEND + 2] = cx.nat2;
    words[at + ENTRY_BACKEND + 3] = cx.nat3;
    words[at + ENTRY_SEEN] = cx.natPort;
  }
  words[at + ENTRY_FLAGS] = flags | (cx.reverseNat << 16);
  words[at + ENTRY_IDENTITY] = cx.remoteIdentity;
  words[at + ENTRY_EPOCH] = cx.epoch;
  words[at + ENTRY_COOKIE] = cx.cookie;
  if ((cx.features & ACCOUNTING) !== 0) {
    words[at + ENTRY_PACKETS] = 1;
    words[at + ENTRY_BYTES] = cx.wireBytes;
  }
  const seconds = tables.config.words[tcp ? CONFIG_CT_SYN : CONFIG_CT_ANY]!;
  prolong(cx, tables, words, at, seconds, cx.ownerIsSource === 0, tcp ? SYN : 0);
};

/**
 * Makes the service entry that remembers a backend. The current key must be the service key. 155 when there is no memory:
 * the lookup fails closed, as in Cilium.
 */
export function createServiceEntry(cx: Context, tables: Tables, backendId: number, reverseNat: number): number {
  if (cx.probe !== 0) return CONTINUE;
  if (cx.serviceEntry === SERVICE_ANSWERED) removeEntry(cx, tables, true);
  const at = insertEntry(cx, tables, false);
  if (at < 0) return drop(cx, DROP.CT_CREATE_FAILED, CONNTRACK);
  const words = cx.ctWords;
  for (let i = 0; i < ENTRY_WORDS; i++) words[at + i] = 0;
  words[at + ENTRY_FLAGS] = reverseNat << 16;
  words[at + ENTRY_BACKEND] = backendId;
  const tcp = cx.headers.protocol === TCP;
  const seconds = tables.config.words[tcp ? CONFIG_CT_SYN : CONFIG_CT_SERVICE_ANY]!;
  prolong(cx, tables, words, at, seconds, false, tcp ? SYN : 0);
  if (cx.tracing !== 0) traceCreate(cx, at);
  return CONTINUE;
}

/**
 * At `to-container`, for a NEW packet: whether it came through a frontend of the node (one probe of the node's own entries).
 * Then the pod's entry remembers the frontend, and `from-container` translates the answers back.
 * A SYN, and whatever is no TCP, is new to the node as well; a TCP packet amidst a connection belongs to an answered one.
 */
export function findNodeConnection(cx: Context, tables: Tables): void {
  setTupleKey(cx, 0, NODE);
  const at = isMidway(cx) ? askAnswered(cx, tables) : askUnanswered(cx, tables);
  if (at < 0) return;
  const flags = cx.ctWords[at + ENTRY_FLAGS]!;
  cx.reverseNat = flags >>> 16;
  if ((flags & DSR_INTERNAL) !== 0) takeFrontendOf(cx, at);
}

const traceLookup = (cx: Context, at: number, expired: boolean, answered: boolean): void => {
  cx.trace.open(TRACE.CT_LOOKUP, CONNTRACK, at < 0 ? 0 : expired ? 2 : 1, traceConntrackMap(cx, answered));
  traceKey(cx);
  cx.trace.values(cx.ctWords, at, ENTRY_WORDS);
};

const traceCreate = (cx: Context, at: number): void => {
  cx.trace.open(TRACE.CT_CREATE, CONNTRACK, 0, traceConntrackMap(cx, false));
  traceKey(cx);
  cx.trace.values(cx.ctWords, at, ENTRY_WORDS);
};
