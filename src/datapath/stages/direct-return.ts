// Stage "direct return" (DSR by option or Geneve): the balancer tells the backend's node in the packet itself which frontend the client
// asked, and the pod answers as that. Input: a packet for a frontend with FORWARD_DSR; one that carries the option; an answer.
// Output: the option in the grown frame; DSR_INTERNAL connections and their translations; the answer's source rewritten.
// Invariant: TCP tells it in its SYN alone; the option is added whole or the packet dropped. No twin in C yet: see
// SIMULATOR_FEATURES.
import {
  CT_FLAG,
  CT_KEY,
  CT_STATUS,
  DROP,
  FEATURE,
  HOOK,
  NAT_FLAG,
  RECORD_FLAG,
  STAGE,
  TRACE,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as connections from './conntrack.ts';
import * as entries from './conntrack-entry.ts';
import * as keys from './conntrack-key.ts';
import * as encapsulateStage from './encapsulate.ts';
import * as forwardStage from './forward.ts';
import * as nat from './nat.ts';
import * as natKeys from './nat-key.ts';
import * as overlay from './overlay.ts';
import * as serviceStage from './service.ts';
import * as snat from './snat.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { adjust32, extensionHeaderBytes, MAX_EXTENSION_HEADERS } = wire;
const { readBe16, readRaw16, readRaw32, swap16, swap32, writeBe16, writeRaw16, writeRaw32 } = wire;
const { CONTINUE, drop } = verdicts;
const { conntrack, createConnection } = connections;
const { ENTRY_BACKEND, ENTRY_SEEN } = entries;
const { removeEntry, setTupleKey } = keys;
const { openGap } = encapsulateStage;
const { forwardLonger } = forwardStage;
const { setSource, translateToBackend } = nat;
const { NAT_PORT4, NAT_PORT6, outPorts, seekNat, setOutKey, setReplyKey, storeNat, traceNatLookup } = natKeys;
const { enterOverlay, findTunnel, readTunnelOption } = overlay;
const { isBalanced } = serviceStage;
const { markDone } = snat;

const { NAT } = STAGE;
const { DSR_OPTION, DSR_GENEVE } = FEATURE;
const DSR = DSR_OPTION | DSR_GENEVE;
const FROM_OVERLAY = HOOK.FROM_OVERLAY;
const { DSR_INTERNAL, ANSWERED } = CT_FLAG;
const NODE = CT_KEY.NODE;
const { NEW, ESTABLISHED, NONE } = CT_STATUS;
const OF_DSR = NAT_FLAG.DSR;
const REVERSE_NAT = RECORD_FLAG.REVERSE_NAT;
const TCP = 6;
const SYN = 2;

/** IPv4 option: copied into fragments, control class, number 26 (Cilium's DSR_IPV4_OPT_TYPE); 8 bytes with port and address. */
const OPTION4 = 0x9a;
const OPTION4_BYTES = 8;
/** Option of a destination options header: skipped by whoever does not know it (Cilium's DSR_IPV6_OPT_TYPE). */
const OPTION6 = 0x1b;
/** Bytes of its data: address, port, padding. */
const OPTION6_DATA = 20;
const OPTION6_BYTES = 24;
/** The header's length field: units of 8 bytes behind the first. */
const OPTION6_UNITS = 2;
/** The Geneve option, for traces: see stage overlay. */
const GENEVE4_BYTES = 12;
const GENEVE6_BYTES = 24;
const DESTINATION_OPTIONS = 60;
const HEADER4 = 20;
const HEADER6 = 40;
/** Longest IPv4 header. */
const HEADER4_MOST = 60;
/** Longest packet that a header's length field can name. */
const LENGTH_MOST = 0xffff;

/** Whether packets of a TCP connection tell what the stage is about: the SYN alone, as in Cilium. Others always do. */
const tells = (cx: Context): boolean => cx.headers.protocol !== TCP || (cx.headers.tcpFlags & SYN) !== 0;

/**
 * Sends a client's packet on to the backend at `at` of the backend array, on another node (Cilium: dsr_set_opt4, dsr_set_ext6):
 * the destination becomes the backend, the source stays the client, and the frontend goes along as an option. Without room for it: 135
 * (IPv4 options), 156 (extension headers), 136 (length, MTU of the route: answered with path MTU discovery on).
 */
export function returnDirectly(cx: Context, tables: Tables, at: number): number {
  const h = cx.headers;
  const four = h.family === 4;
  takeFrontend(cx);
  let verdict = translateToBackend(cx, tables, at);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & DSR_GENEVE) !== 0) return throughOverlay(cx, tables);
  const more = !tells(cx) ? 0 : four ? OPTION4_BYTES : OPTION6_BYTES;
  if (more !== 0) {
    if (four && h.ipHeaderBytes + more > HEADER4_MOST) return drop(cx, DROP.CT_INVALID_HEADER, NAT);
    if (!four && h.extensionHeaders >= MAX_EXTENSION_HEADERS) return drop(cx, DROP.INVALID_EXTENSION_HEADER, NAT);
    if (h.l3Length + more - (four ? 0 : HEADER6) > LENGTH_MOST) return drop(cx, DROP.FRAG_NEEDED, NAT);
  }
  markDone(cx);
  verdict = forwardLonger(cx, tables, more);
  if (cx.dropReason !== 0) return verdict;
  if (cx.tracing !== 0) traceFrontend(cx, TRACE.DIRECT_RETURN).value(more);
  if (more === 0) return verdict;
  if (!openGap(cx, h.l3 - cx.offset + (four ? HEADER4 : HEADER6), more)) return drop(cx, DROP.WRITE_ERROR, NAT);
  if (four) writeOption4(cx);
  else writeOption6(cx);
  return verdict;
}

/** By Geneve every packet goes through the overlay, and those that tell have the option there (Cilium: encap_geneve_dsr_opt4). */
const throughOverlay = (cx: Context, tables: Tables): number => {
  const at = findTunnel(cx, tables);
  if (at < 0) return drop(cx, DROP.NO_TUNNEL_ENDPOINT, NAT);
  const told = tells(cx);
  const bytes = cx.headers.family === 4 ? GENEVE4_BYTES : GENEVE6_BYTES;
  if (cx.tracing !== 0) traceFrontend(cx, TRACE.DIRECT_RETURN).value(told ? bytes : 0);
  return enterOverlay(cx, tables, at, cx.sourceIdentity, told);
};

/** The packet's destination, which is the frontend still, into `cx.nat` and `cx.natPort`. */
const takeFrontend = (cx: Context): void => {
  const h = cx.headers;
  cx.nat0 = h.d0;
  cx.nat1 = h.d1;
  cx.nat2 = h.d2;
  cx.nat3 = h.d3;
  cx.natPort = cx.ports >>> 16;
};

/**
 * Cilium writes port and address of the IPv4 option through one byte swap too many, so that on little-endian machines, which
 * all of its nodes are, they are little-endian on the wire.
 */
const writeOption4 = (cx: Context): void => {
  const { grown, headers: h } = cx;
  const ip = h.l3 - cx.offset;
  const before = readRaw32(grown, ip);
  grown[ip] = grown[ip]! + (OPTION4_BYTES >>> 2);
  writeBe16(grown, ip + 2, h.l3Length + OPTION4_BYTES);
  const option = ip + HEADER4;
  grown[option] = OPTION4;
  grown[option + 1] = OPTION4_BYTES;
  writeRaw16(grown, option + 2, swap16(cx.natPort));
  writeRaw32(grown, option + 4, swap32(cx.nat0));
  let check = adjust32(readRaw16(grown, ip + 10), before, readRaw32(grown, ip));
  check = adjust32(check, 0, readRaw32(grown, option));
  writeRaw16(grown, ip + 10, adjust32(check, 0, readRaw32(grown, option + 4)));
};

/** A destination options header of its own, before any other. No checksum covers it. */
const writeOption6 = (cx: Context): void => {
  const { grown, headers: h } = cx;
  const ip = h.l3 - cx.offset;
  const option = ip + HEADER6;
  grown[option] = grown[ip + 6]!;
  grown[ip + 6] = DESTINATION_OPTIONS;
  writeBe16(grown, ip + 4, h.l3Length + OPTION6_BYTES - HEADER6);
  grown[option + 1] = OPTION6_UNITS;
  grown[option + 2] = OPTION6;
  grown[option + 3] = OPTION6_DATA;
  writeRaw32(grown, option + 4, cx.nat0);
  writeRaw32(grown, option + 8, cx.nat1);
  writeRaw32(grown, option + 12, cx.nat2);
  writeRaw32(grown, option + 16, cx.nat3);
  writeRaw16(grown, option + 20, cx.natPort);
  writeRaw16(grown, option + 22, 0);
};

/**
 * At the backend's node, for a packet to an endpoint of it (Cilium: nodeport_extract_dsr_v4, nodeport_dsr_ingress_ipv4): what it
 * tells becomes a connection of the node's and a translation of the answers. Further packets of such a connection keep it alive; a
 * SYN that tells nothing ends it. CONTINUE, or 155, 167.
 */
export function takeDirectReturn(cx: Context, tables: Tables): number {
  if (!isBalanced(cx)) return CONTINUE;
  const told = tells(cx) && (cx.hook === FROM_OVERLAY ? readTunnelOption(cx) : findOption(cx));
  if (!told && cx.headers.protocol !== TCP) return CONTINUE;
  return rememberDirectReturn(cx, tables, told);
}

/**
 * The connection's part of {@link takeDirectReturn}.
 * @param told whether `cx.nat` and `cx.natPort` are what the packet tells
 */
export function rememberDirectReturn(cx: Context, tables: Tables, told: boolean): number {
  cx.ownerIsSource = 0;
  cx.ownerFlags = NODE;
  cx.remoteIdentity = cx.sourceIdentity;
  conntrack(cx, tables);
  const direct = cx.ctAt >= 0 && (cx.ctFlags & DSR_INTERNAL) !== 0;
  if (!told) {
    if (direct && cx.ctStatus === ESTABLISHED && (cx.headers.tcpFlags & SYN) === 0) return CONTINUE;
    // A new connection that did not come this way: the pod answers it as itself.
    if (direct && cx.probe === 0) forget(cx, tables);
    unask(cx);
    return CONTINUE;
  }
  if (cx.tracing !== 0) traceFrontend(cx, TRACE.DIRECT_RETURN_TOLD);
  if (cx.ctStatus !== NEW && cx.ctStatus !== ESTABLISHED) {
    unask(cx);
    return CONTINUE;
  }
  if (cx.ctStatus === ESTABLISHED) {
    if (direct && isFrontendOf(cx)) return CONTINUE;
    // Through another frontend by now.
    cx.ctStale = (cx.ctFlags & ANSWERED) !== 0 ? 1 : 0;
  }
  cx.directReturn = 1;
  const verdict = createConnection(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  setReplyKey(cx);
  const stored = storeNat(cx, tables, cx.nat0, cx.nat1, cx.nat2, cx.nat3, cx.natPort, OF_DSR, 0);
  return stored < 0 ? drop(cx, DROP.NAT_NO_MAPPING, NAT) : CONTINUE;
}

/** As if conntrack had not been asked: the packet has nothing to do with what it found. */
const unask = (cx: Context): void => {
  cx.ctStatus = NONE;
  cx.ctAt = -1;
  cx.ctFlags = 0;
  cx.ctStale = 0;
  cx.monitor = 0;
};

/** Removes the node's and the pod's entries of the packet's tuple. */
const forget = (cx: Context, tables: Tables): void => {
  for (let flags = 0; flags <= NODE; flags += NODE) {
    setTupleKey(cx, 0, flags);
    removeEntry(cx, tables, true);
    removeEntry(cx, tables, false);
  }
};

/** Whether the entry met is of the frontend in `cx.nat`. */
const isFrontendOf = (cx: Context): boolean => {
  const { ctWords: words, ctAt } = cx;
  const at = ctAt + ENTRY_BACKEND;
  const different =
    (words[at]! ^ cx.nat0) |
    (words[at + 1]! ^ cx.nat1) |
    (words[at + 2]! ^ cx.nat2) |
    (words[at + 3]! ^ cx.nat3) |
    ((words[ctAt + ENTRY_SEEN]! & 0xffff) ^ cx.natPort);
  return different === 0;
};

/** Reads the option of the packet, if it has one, into `cx.nat` and `cx.natPort`. */
const findOption = (cx: Context): boolean => {
  const { bytes, headers: h } = cx;
  if (h.family === 4) {
    const option = h.l3 + HEADER4;
    if (h.ipHeaderBytes < HEADER4 + OPTION4_BYTES || readBe16(bytes, option) !== ((OPTION4 << 8) | OPTION4_BYTES)) {
      return false;
    }
    cx.natPort = swap16(readRaw16(bytes, option + 2));
    cx.nat0 = swap32(readRaw32(bytes, option + 4));
    cx.nat1 = 0;
    cx.nat2 = 0;
    cx.nat3 = 0;
    return true;
  }
  const option = findOption6(cx);
  if (option < 0) return false;
  cx.nat0 = readRaw32(bytes, option + 4);
  cx.nat1 = readRaw32(bytes, option + 8);
  cx.nat2 = readRaw32(bytes, option + 12);
  cx.nat3 = readRaw32(bytes, option + 16);
  cx.natPort = readRaw16(bytes, option + 20);
  return true;
};

/** Absolute offset of the destination options header that holds the option, or -1. The parser has seen every header's end. */
const findOption6 = (cx: Context): number => {
  const { bytes, headers: h } = cx;
  let kind = bytes[h.l3 + 6]!;
  let at = h.l3 + HEADER6;
  for (let i = 0; i < h.extensionHeaders && i < MAX_EXTENSION_HEADERS; i++) {
    const units = bytes[at + 1]!;
    const fits = kind === DESTINATION_OPTIONS && units === OPTION6_UNITS;
    if (fits && bytes[at + 2] === OPTION6 && bytes[at + 3] === OPTION6_DATA) return at;
    const size = extensionHeaderBytes(kind, units);
    kind = bytes[at]!;
    at += size;
  }
  return -1;
};

/** An answer, or an ICMP error about one, of the connection just met, which is DSR_INTERNAL: its source becomes the frontend. */
export function answerDirectly(cx: Context): void {
  const { ctWords: words, ctAt: at } = cx;
  const port = cx.related !== 0 ? cx.ports & 0xffff : words[at + ENTRY_SEEN]! & 0xffff;
  answerAs(
    cx,
    words[at + ENTRY_BACKEND]!,
    words[at + ENTRY_BACKEND + 1]!,
    words[at + ENTRY_BACKEND + 2]!,
    words[at + ENTRY_BACKEND + 3]!,
    port,
  );
}

/**
 * The same by the translation alone, for an answer whose connection conntrack has lost: whether there was one.
 * Without DSR nothing is looked up.
 */
export function answerByTranslation(cx: Context, tables: Tables): boolean {
  if ((cx.features & DSR) === 0) return false;
  setOutKey(cx, outPorts(cx));
  const at = seekNat(cx, tables);
  if (cx.tracing !== 0) traceNatLookup(cx, tables, at);
  if (at < 0) return false;
  const four = cx.headers.family === 4;
  const words = four ? tables.nat4.words : tables.nat6.words;
  const rest = words[at + (four ? NAT_PORT4 : NAT_PORT6)]!;
  if (((rest >>> 16) & OF_DSR) === 0) return false;
  answerAs(
    cx,
    words[at]!,
    four ? 0 : words[at + 1]!,
    four ? 0 : words[at + 2]!,
    four ? 0 : words[at + 3]!,
    rest & 0xffff,
  );
  return true;
}

const answerAs = (cx: Context, a0: number, a1: number, a2: number, a3: number, port: number): void => {
  const h = cx.headers;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.DIRECT_ANSWER, NAT, 1, 0).key(h.s0).key(h.s1).key(h.s2).key(h.s3).key(cx.ports);
    t.value(a0)
      .value(a1)
      .value(a2)
      .value(a3)
      .value((cx.ports & ~0xffff) | port);
  }
  cx.recordFlags |= REVERSE_NAT;
  setSource(cx, a0, a1, a2, a3, port);
};

const traceFrontend = (cx: Context, kind: number): Context['trace'] =>
  cx.trace.open(kind, NAT, 1, 0).key(cx.nat0).key(cx.nat1).key(cx.nat2).key(cx.nat3).key(cx.natPort);
