// Stage "overlay": puts frames into VXLAN (RFC 7348) or Geneve (RFC 8926) packets to other nodes, and takes them out again.
// Input: a frame, the tunnel endpoint of its destination, the sender's identity. Output: the outer packet in `cx.grown`, routed;
// or the context moved to the inner frame. Invariant: the inner frame is unchanged; the network identifier is the identity as far
// as other nodes know it; a header that is not whole is 147. No twin in C yet: see SIMULATOR_FEATURES.
import {
  ACTION,
  ANSWER,
  DROP,
  FEATURE,
  IDENTITY,
  IPCACHE_FLAG,
  ipcacheValue,
  MARK,
  nodeValue4,
  RECORD_FLAG,
  STAGE,
  TRACE,
  traceMapNumber,
  UNKNOWN_REASON,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import * as jhash from '../jhash.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as encapsulateStage from './encapsulate.ts';
import * as forwardStage from './forward.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { finishSum, LINK_TYPE, readBe16, readBe24, readRaw16, readRaw32, sumBytes } = wire;
const { writeBe16, writeBe24, writeRaw16, writeRaw32 } = wire;
const { CONFIG_NODE } = config;
const { chance4, chance6 } = jhash;
const { CONTINUE, drop, forwarded, unknown } = verdicts;
const { openGap } = encapsulateStage;
const { findWay, forwardOut, isFragmentable, toStack } = forwardStage;
// The same for what this module exports itself.
const seekTunnel = findTunnel;
const enter = enterOverlay;

const { FORWARD, PARSE } = STAGE;
const { STACK, REDIRECT } = ACTION;
const { OVERLAY: OVERLAY_FEATURE, GENEVE, PMTU_DISCOVERY, IPV4, IPV6 } = FEATURE;
const { ENCAPSULATED, OVERLAY } = RECORD_FLAG;
const { SKIP_TUNNEL, HAS_TUNNEL_ENDPOINT, IPV6_TUNNEL_ENDPOINT } = IPCACHE_FLAG;
const { HOST, WORLD, WORLD_IPV4, WORLD_IPV6, REMOTE_NODE, KUBE_APISERVER } = IDENTITY;
const { MASK, OVERLAY: OVERLAY_MARK } = MARK;
const ETHERNET = LINK_TYPE.ETHERNET;
const IPCACHE_IDENTITY = ipcacheValue.at.identity >>> 2;
/** Low half: node; third byte: flags. */
const IPCACHE_NODE = ipcacheValue.at.nodeId >>> 2;
const IPCACHE_ENDPOINT = ipcacheValue.at.tunnelEndpoint >>> 2;
const IPCACHE_WORDS = ipcacheValue.bytes >>> 2;
const IPCACHE4 = traceMapNumber('ipcache4');
const IPCACHE6 = traceMapNumber('ipcache6');
const NODE_ADDRESS = nodeValue4.at.address >>> 2;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
/** Of VXLAN's header and of Geneve's without options. */
const TUNNEL_BYTES = 8;
const HEADER4 = 20;
const HEADER6 = 40;
const UDP = 17;
const TTL = 64;
const LENGTH_MOST = 0xffff;
const ETHERTYPE4 = 0x0800;
const ETHERTYPE6 = 0x86dd;
const VXLAN_FLAGS = 0x08;
/** Ethernet type of a frame in Geneve. */
const BRIDGED = 0x6558;
const GENEVE_CRITICAL = 0x40;
/** Class and type of the option that tells the backend's node which frontend was asked (Cilium's DSR_GENEVE_OPT_*). */
const OPTION_CLASS = 0x014b;
const OPTION_TYPE = 0x81;
const OPTION_HEADER = 4;
/** Words of its data: address, port, padding. */
const OPTION_WORDS4 = 2;
const OPTION_WORDS6 = 5;
/** First of the source ports and how many: Linux’s ephemeral ones (udp_flow_src_port with the default range). */
const FIRST_PORT = 32768;
const PORTS = 28232;

/** Word offset of the ipcache entry whose tunnel endpoint the packet's destination is behind, or -1. */
export function findTunnel(cx: Context, tables: Tables): number {
  const h = cx.headers;
  const four = h.family === 4;
  cx.probesRoute = (cx.probesRoute + 1) | 0;
  const at = four ? tables.ipcache4.find(0, h.d0) : tables.ipcache6.find(0, h.d0, h.d1, h.d2, h.d3);
  const words = four ? tables.ipcache4.words : tables.ipcache6.words;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.IPCACHE, FORWARD, at >= 0 ? 1 : 0, four ? IPCACHE4 : IPCACHE6).key(h.d0);
    if (!four) t.key(h.d1).key(h.d2).key(h.d3);
    t.values(words, at, IPCACHE_WORDS);
  }
  if (at < 0) return -1;
  const flags = words[at + IPCACHE_NODE]! >>> 16;
  return (flags & (HAS_TUNNEL_ENDPOINT | SKIP_TUNNEL)) === HAS_TUNNEL_ENDPOINT ? at : -1;
}

/**
 * Where a packet goes that no endpoint here is to get: through the overlay where its destination is behind it, else as
 * forwardOut says.
 * @param identity of the sender
 */
export function forwardBeyond(cx: Context, tables: Tables, identity: number): number {
  if ((cx.features & OVERLAY_FEATURE) === 0) return forwardOut(cx, tables);
  const at = seekTunnel(cx, tables);
  return at < 0 ? forwardOut(cx, tables) : enter(cx, tables, at, identity, false);
}

/** The network identifier for an identity: what other nodes can make something of (Cilium: get_tunnel_id). */
const tunnelId = (identity: number): number => {
  if (identity === HOST) return REMOTE_NODE;
  const scope = identity >>> 24;
  if (identity === WORLD_IPV4 || identity === WORLD_IPV6 || scope === 1) return WORLD;
  return scope === 2 ? REMOTE_NODE : identity & 0xffffff;
};

/** Source port by a hash of the flow, so that a network spreads flows over its links. */
const sourcePort = (cx: Context): number => {
  const h = cx.headers;
  const hash =
    h.family === 4
      ? chance4(h.s0, h.d0, cx.ports, h.protocol, 0, 0)
      : chance6(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol, 0, 0);
  return (FIRST_PORT + (Math.imul(hash >>> 16, PORTS) >>> 16)) | 0;
};

/**
 * Puts the frame into a packet to the tunnel endpoint of the ipcache entry at `at`, from this node's own address, and routes that.
 * Without an own address, or without an Ethernet header to carry, the stack's overlay device has to do it. Over the MTU of the route
 * the kernel fragments the outer packet, unless the sender is to discover it or the packet tells of direct return: 136.
 *
 * @param identity of the sender
 * @param tells whether the frontend in `cx.nat` and `cx.natPort` goes along as a Geneve option; then there is no other way: 160
 */
export function enterOverlay(cx: Context, tables: Tables, at: number, identity: number, tells: boolean): number {
  const h = cx.headers;
  const { words } = h.family === 4 ? tables.ipcache4 : tables.ipcache6;
  const four = ((words[at + IPCACHE_NODE]! >>> 16) & IPV6_TUNNEL_ENDPOINT) === 0;
  const e = at + IPCACHE_ENDPOINT;
  const node = tables.config.words[CONFIG_NODE]! & 0xffff;
  const own = (four ? tables.nodes4 : tables.nodes6).find(node);
  const ownWords = (four ? tables.nodes4 : tables.nodes6).words;
  const known = own >= 0 && isSet(ownWords, own + NODE_ADDRESS, four ? 1 : 4);
  if (!known || cx.linkType !== ETHERNET) return tells ? drop(cx, DROP.NO_TUNNEL_ENDPOINT, FORWARD) : toStack(cx);
  const option = !tells ? 0 : OPTION_HEADER + 4 * (h.family === 4 ? OPTION_WORDS4 : OPTION_WORDS6);
  const outer = (four ? HEADER4 : HEADER6) + UDP_BYTES + TUNNEL_BYTES + option;
  const link = h.l3 - cx.offset;
  const total = (outer + link + h.l3Length) | 0;
  const way = findWay(
    cx,
    tables,
    four,
    words[e]!,
    four ? 0 : words[e + 1]!,
    four ? 0 : words[e + 2]!,
    four ? 0 : words[e + 3]!,
  );
  const mtu = cx.wayMtu;
  const size = cx.gsoSize !== 0 ? (outer + link + cx.gsoSize + h.payload - h.l3) | 0 : total;
  const fits = mtu === 0 || size <= mtu;
  if (total - (four ? 0 : HEADER6) > LENGTH_MOST) return drop(cx, DROP.FRAG_NEEDED, FORWARD);
  if (!fits) {
    const discovery = (cx.features & PMTU_DISCOVERY) !== 0;
    if (tells || (discovery && !isFragmentable(cx))) {
      if (discovery) cx.answer = ANSWER.TOO_BIG;
      cx.answerMtu = (mtu - outer - link) | 0;
      return drop(cx, DROP.FRAG_NEEDED, FORWARD);
    }
  }
  if (!openGap(cx, 0, ETHERNET_BYTES + outer)) return drop(cx, DROP.WRITE_ERROR, FORWARD);
  writeLink(cx, four);
  if (four) writeHeader4(cx, ownWords, own, words, e, total);
  else writeHeader6(cx, ownWords, own, words, e, total);
  const udp = ETHERNET_BYTES + (four ? HEADER4 : HEADER6);
  writeUdp(cx, tables, udp, total - (udp - ETHERNET_BYTES));
  const vni = tunnelId(identity);
  writeTunnel(cx, udp + UDP_BYTES, vni, option);
  if (tells) writeOption(cx, udp + UDP_BYTES + TUNNEL_BYTES, option);
  cx.recordFlags |= ENCAPSULATED | OVERLAY;
  cx.mark = (cx.mark & ~MASK) | OVERLAY_MARK;
  const action = way && fits ? REDIRECT : STACK;
  if (action === STACK) cx.outIfindex = 0;
  if (cx.tracing !== 0) traceOverlay(cx, TRACE.OVERLAY_ENTER, four, udp, vni).value(total).value(action);
  return forwarded(cx, action, FORWARD);
}

const isSet = (words: Int32Array, at: number, n: number): boolean => {
  let all = 0;
  for (let i = 0; i < n; i++) all |= words[at + i]!;
  return all !== 0;
};

/** MACs of the way; zeros where the stack has to find them. */
const writeLink = (cx: Context, four: boolean): void => {
  const { grown } = cx;
  writeRaw32(grown, 0, cx.mac0);
  writeRaw32(grown, 4, cx.mac1);
  writeRaw32(grown, 8, cx.mac2);
  writeBe16(grown, 12, four ? ETHERTYPE4 : ETHERTYPE6);
};

/** ECN bits of the outer header (RFC 6040; Linux's INET_ECN_encapsulate): the inner ones, but ECT(0) for a mark of congestion. */
const outerTos = (tos: number): number => ((tos & 3) === 3 ? 2 : tos & 3);

const writeHeader4 = (
  cx: Context,
  source: Int32Array,
  own: number,
  destination: Int32Array,
  endpoint: number,
  total: number,
): void => {
  const { grown } = cx;
  const ip = ETHERNET_BYTES;
  grown[ip] = 0x45;
  grown[ip + 1] = outerTos(cx.headers.tos);
  writeBe16(grown, ip + 2, total);
  writeRaw32(grown, ip + 4, 0);
  grown[ip + 8] = TTL;
  grown[ip + 9] = UDP;
  writeRaw16(grown, ip + 10, 0);
  writeRaw32(grown, ip + 12, source[own + NODE_ADDRESS]!);
  writeRaw32(grown, ip + 16, destination[endpoint]!);
  writeRaw16(grown, ip + 10, finishSum(sumBytes(grown, ip, ip + HEADER4, 0)));
};

const writeHeader6 = (
  cx: Context,
  source: Int32Array,
  own: number,
  destination: Int32Array,
  endpoint: number,
  total: number,
): void => {
  const { grown } = cx;
  const ip = ETHERNET_BYTES;
  const tos = outerTos(cx.headers.tos);
  grown[ip] = 0x60 | (tos >>> 4);
  grown[ip + 1] = (tos & 15) << 4;
  writeRaw16(grown, ip + 2, 0);
  writeBe16(grown, ip + 4, total - HEADER6);
  grown[ip + 6] = UDP;
  grown[ip + 7] = TTL;
  for (let i = 0; i < 4; i++) {
    writeRaw32(grown, ip + 8 + 4 * i, source[own + NODE_ADDRESS + i]!);
    writeRaw32(grown, ip + 24 + 4 * i, destination[endpoint + i]!);
  }
};

/** No checksum, as Cilium asks for: over IPv4 that is UDP's own choice, over IPv6 a tunnel's (RFC 6935). */
const writeUdp = (cx: Context, tables: Tables, at: number, length: number): void => {
  const { grown } = cx;
  writeBe16(grown, at, sourcePort(cx));
  writeRaw16(grown, at + 2, tables.config.words[CONFIG_NODE]! >>> 16);
  writeBe16(grown, at + 4, length);
  writeRaw16(grown, at + 6, 0);
};

const writeTunnel = (cx: Context, at: number, vni: number, option: number): void => {
  const { grown } = cx;
  const geneve = (cx.features & GENEVE) !== 0;
  grown[at] = geneve ? option >>> 2 : VXLAN_FLAGS;
  grown[at + 1] = option !== 0 ? GENEVE_CRITICAL : 0;
  writeBe16(grown, at + 2, geneve ? BRIDGED : 0);
  writeBe24(grown, at + 4, vni);
  grown[at + 7] = 0;
};

const writeOption = (cx: Context, at: number, bytes: number): void => {
  const { grown } = cx;
  const six = cx.headers.family === 6;
  writeBe16(grown, at, OPTION_CLASS);
  grown[at + 2] = OPTION_TYPE;
  grown[at + 3] = (bytes - OPTION_HEADER) >>> 2;
  writeRaw32(grown, at + 4, cx.nat0);
  if (six) {
    writeRaw32(grown, at + 8, cx.nat1);
    writeRaw32(grown, at + 12, cx.nat2);
    writeRaw32(grown, at + 16, cx.nat3);
  }
  const port = at + (six ? 20 : 8);
  writeRaw16(grown, port, cx.natPort);
  writeRaw16(grown, port + 2, 0);
};

/**
 * Moves the context from an outer packet, which is parsed, to the frame in it: CONTINUE, to be parsed next. `cx.tunnelId` and
 * `cx.tunnelOption` (the absolute offset of a whole option about direct return, or 0) are what the header says, `cx.tunnelTos` the outer traffic class. Not of this node's
 * overlay: the stack's. Not whole, or of a form that the device does not read: 147; cut by the capture: unknown.
 */
export function leaveOverlay(cx: Context, tables: Tables): number {
  const { bytes, headers: h } = cx;
  const port = tables.config.words[CONFIG_NODE]! >>> 16;
  if (h.protocol !== UDP || h.fragment !== 0 || h.ports >>> 16 !== port) return toStack(cx);
  const header = h.l4 + UDP_BYTES;
  const l3End = h.l3 + h.l3Length;
  const end = h.l4 + readBe16(bytes, h.l4 + 4);
  if (end > l3End || end < header + TUNNEL_BYTES) return drop(cx, DROP.NO_TUNNEL_KEY, PARSE);
  if (header + TUNNEL_BYTES > cx.capturedEnd) return unknown(cx, UNKNOWN_REASON.TRUNCATED, PARSE);
  let inner = header + TUNNEL_BYTES;
  if ((cx.features & GENEVE) === 0) {
    if ((bytes[header]! & VXLAN_FLAGS) === 0) return drop(cx, DROP.NO_TUNNEL_KEY, PARSE);
  } else {
    if (bytes[header]! >>> 6 !== 0 || readBe16(bytes, header + 2) !== BRIDGED) {
      return drop(cx, DROP.NO_TUNNEL_KEY, PARSE);
    }
    inner += (bytes[header]! & 63) << 2;
  }
  if (end < inner) return drop(cx, DROP.NO_TUNNEL_KEY, PARSE);
  if (inner > cx.capturedEnd) return unknown(cx, UNKNOWN_REASON.TRUNCATED, PARSE);
  cx.tunnelId = readBe24(bytes, header + 4);
  cx.tunnelTos = h.tos;
  cx.tunnelOption =
    inner > header + TUNNEL_BYTES && isDirectReturn(bytes, header + TUNNEL_BYTES, inner) ? header + 8 : 0;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.OVERLAY_LEAVE, PARSE, 1, 0);
    t.key(h.s0).key(h.s1).key(h.s2).key(h.s3).key(h.d0).key(h.d1).key(h.d2).key(h.d3);
    t.value(cx.tunnelId).value(h.ports & 0xffff);
  }
  cx.offset = inner;
  if (cx.capturedEnd > end) cx.capturedEnd = end;
  cx.wireEnd = end;
  cx.linkType = ETHERNET;
  cx.moved = 1;
  cx.recordFlags |= OVERLAY;
  return CONTINUE;
}

/** Whether the first option is the one about direct return, whole. (As in Cilium, which reads one.) */
const isDirectReturn = (bytes: Uint8Array, at: number, end: number): boolean => {
  if (end - at < OPTION_HEADER + 4 * OPTION_WORDS4) return false;
  const words = bytes[at + 3]! & 31;
  return readBe16(bytes, at) === OPTION_CLASS && bytes[at + 2] === OPTION_TYPE && at + OPTION_HEADER + 4 * words <= end;
};

/** What the option at `cx.tunnelOption` tells of the inner packet's family, into `cx.nat` and `cx.natPort`. */
export function readTunnelOption(cx: Context): boolean {
  const { bytes, tunnelOption: at } = cx;
  const six = cx.headers.family === 6;
  if (at === 0 || (bytes[at + 3]! & 31) !== (six ? OPTION_WORDS6 : OPTION_WORDS4)) return false;
  cx.nat0 = readRaw32(bytes, at + 4);
  cx.nat1 = six ? readRaw32(bytes, at + 8) : 0;
  cx.nat2 = six ? readRaw32(bytes, at + 12) : 0;
  cx.nat3 = six ? readRaw32(bytes, at + 16) : 0;
  cx.natPort = readRaw16(bytes, at + (six ? 20 : 8));
  return true;
}

/**
 * The identity that the tunnel's network identifier stands for, of the inner packet, which is parsed (Cilium: get_id_from_tunnel_id). The
 * world is asked for by address, since identities of prefixes stay on their node; any other answer is source NAT's and says nothing. Another node is asked for by address, too, which tells API servers and labelled nodes. -1: one that must not come: 171.
 */
export function identityOfTunnel(cx: Context, tables: Tables): number {
  const id = cx.tunnelId;
  if (id === HOST) return -1;
  const h = cx.headers;
  const four = h.family === 4;
  if (id !== WORLD && id !== REMOTE_NODE) return id;
  cx.probesSourceIdentity = (cx.probesSourceIdentity + 1) | 0;
  const at = four ? tables.ipcache4.find(0, h.s0) : tables.ipcache6.find(0, h.s0, h.s1, h.s2, h.s3);
  const words = four ? tables.ipcache4.words : tables.ipcache6.words;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.IPCACHE, STAGE.POLICY, at >= 0 ? 1 : 0, four ? IPCACHE4 : IPCACHE6).key(h.s0);
    if (!four) t.key(h.s1).key(h.s2).key(h.s3);
    t.values(words, at, IPCACHE_WORDS);
  }
  const told = at < 0 ? 0 : words[at + IPCACHE_IDENTITY]!;
  const isNode = told === REMOTE_NODE || told === KUBE_APISERVER || told >>> 24 === 2;
  if (id === REMOTE_NODE) return isNode ? told : REMOTE_NODE;
  if (told >>> 24 === 1) return told;
  if ((cx.features & (IPV4 | IPV6)) !== (IPV4 | IPV6)) return WORLD;
  return four ? WORLD_IPV4 : WORLD_IPV6;
}

const traceOverlay = (cx: Context, kind: number, four: boolean, udp: number, vni: number): Context['trace'] => {
  const { grown } = cx;
  const source = ETHERNET_BYTES + (four ? 12 : 8);
  const t = cx.trace.open(kind, FORWARD, 1, 0);
  for (let i = 0; i < 4; i++) t.key(four && i > 0 ? 0 : readRaw32(grown, source + 4 * i));
  for (let i = 0; i < 4; i++) t.key(four && i > 0 ? 0 : readRaw32(grown, source + (four ? 4 : 16) + 4 * i));
  return t.value(vni).value(readRaw16(grown, udp));
};
