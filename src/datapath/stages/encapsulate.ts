// Stage "encapsulate": puts a packet into an IPIP packet (4 in 4, RFC 2003; 6 in 6, RFC 2473) towards its backend, at xdp.
// Input: the parsed packet, `cx.backendId`. Output: the grown frame in `cx.grown`; action, interface, MACs of the record.
// Invariant: the inner packet is unchanged, and so is the buffer that the packet came in. Twin: native/bpf/encapsulate.h.
import {
  ACTION,
  backendValue6,
  DROP,
  NEXT_HOP,
  nextHopValue,
  RECORD_FLAG,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { finishSum, LINK_TYPE, readRaw16, readRaw32, sumBytes, swap32, writeBe16, writeRaw16, writeRaw32 } = wire;
const { CONFIG_ENCAP_PREFIX, CONFIG_ENCAP_SOURCE4, CONFIG_ENCAP_SOURCE6 } = config;
const { drop, forwarded } = verdicts;

// The same for what this module exports itself.
const buffer = grownBuffer;
const gap = openGap;
const outer4 = writeOuter4;
const outer6 = writeOuter6;

const FORWARD = STAGE.FORWARD;
const { TX, REDIRECT } = ACTION;
const ENCAPSULATED = RECORD_FLAG.ENCAPSULATED;
const KNOWN = NEXT_HOP.KNOWN;
const ETHERNET = LINK_TYPE.ETHERNET;
const HOP_IFINDEX = nextHopValue.at.ifindex >>> 2;
/** Low half MTU, high half flags. */
const HOP_LIMITS = nextHopValue.at.mtu >>> 2;
/** First of three words: next hop's MAC, own MAC. */
const HOP_MAC = nextHopValue.at.destinationMac >>> 2;
const HOP_WORDS = nextHopValue.bytes >>> 2;
const ADDRESS6 = backendValue6.at.address >>> 2;
const NEXT_HOPS4 = traceMapNumber('nextHops4');
const NEXT_HOPS6 = traceMapNumber('nextHops6');
const OUTER4 = 20;
const OUTER6 = 40;
const OUTER_TTL = 64;
const IPIP = 4;
const IPV6 = 41;
const DONT_FRAGMENT = 0x4000;
/** Linux's GOLDEN_RATIO_32. */
const GOLDEN_RATIO = 0x61c88647;
/** Longest IP packet that an outer header can name. */
const MAX_LENGTH = 0xffff;
/** Room for the longest frame that a capture holds. */
const GROWN_BYTES = 0x40000;

/**
 * Encapsulates towards the backend at `at` of the backend array, and says where the packet goes: to a known next hop (136
 * where it does not fit its MTU), else back to the router that it came from.
 */
export function encapsulate(cx: Context, tables: Tables, at: number): number {
  const h = cx.headers;
  const four = h.family === 4;
  const hops = four ? tables.nextHops4 : tables.nextHops6;
  cx.probesRoute = (cx.probesRoute + 1) | 0;
  const hop = hops.find(cx.backendId);
  const limits = hop < 0 ? 0 : hops.words[hop + HOP_LIMITS]!;
  const known = ((limits >>> 16) & KNOWN) !== 0;
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.NEXT_HOP, FORWARD, known ? 1 : 0, four ? NEXT_HOPS4 : NEXT_HOPS6).key(cx.backendId);
    cx.trace.values(hops.words, hop, HOP_WORDS);
  }
  const mtu = limits & 0xffff;
  const total = h.l3Length + (four ? OUTER4 : OUTER6);
  if ((known && mtu !== 0 && total > mtu) || (four ? total : h.l3Length) > MAX_LENGTH) {
    return drop(cx, DROP.FRAG_NEEDED, FORWARD);
  }
  if (!gap(cx, h.l3 - cx.offset, four ? OUTER4 : OUTER6)) return drop(cx, DROP.WRITE_ERROR, FORWARD);
  if (four) outer4(cx, tables, at, total);
  else outer6(cx, tables, at);
  cx.recordFlags |= ENCAPSULATED;
  if (cx.linkType === ETHERNET) writeMacs(cx, known ? hops.words : undefined, hop + HOP_MAC);
  const ifindex = known ? hops.words[hop + HOP_IFINDEX]! : 0;
  cx.outIfindex = ifindex;
  const back = ifindex === 0 || cx.ifindex === 0 || ifindex === cx.ifindex;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.ENCAPSULATE, FORWARD, 1, 0);
    const { grown } = cx;
    const source = h.l3 - cx.offset + (four ? 12 : 8);
    for (let i = 0; i < 4; i++) t.key(four && i > 0 ? 0 : readRaw32(grown, source + 4 * i));
    for (let i = 0; i < 4; i++) t.key(four && i > 0 ? 0 : readRaw32(grown, source + (four ? 4 : 16) + 4 * i));
    t.value(total)
      .value(back ? TX : REDIRECT)
      .value(ifindex);
  }
  return forwarded(cx, back ? TX : REDIRECT, FORWARD);
}

/** The buffer of packets that a hook made longer or wrote itself; made once. */
export function grownBuffer(cx: Context): Uint8Array {
  if (cx.grown.length === 0) cx.grown = new Uint8Array(GROWN_BYTES);
  return cx.grown;
}

/**
 * Copies the frame into `cx.grown`, with `more` bytes free behind its first `at`. False for one that is too long.
 * The frame itself stays as it is, but where it lies in that buffer already.
 */
export function openGap(cx: Context, at: number, more: number): boolean {
  const { bytes, offset, capturedEnd } = cx;
  const length = capturedEnd - offset;
  if (length + more > GROWN_BYTES) return false;
  const grown = buffer(cx);
  if (bytes === grown) {
    grown.copyWithin(0, offset, capturedEnd);
    grown.copyWithin(at + more, at, length);
  } else {
    for (let i = 0; i < at; i++) grown[i] = bytes[offset + i]!;
    for (let i = at; i < length; i++) grown[more + i] = bytes[offset + i]!;
  }
  cx.grownBytes = more;
  return true;
}

/**
 * One raw word of an outer source: the kept bits of `source`, and a hash of client and ports in the others, so that a
 * receiver spreads flows over its queues (Cilium's rss_gen_src4; Linux's hash_32). The ports are raw, too.
 */
export function spread(source: number, client: number, ports: number, freeBits: number): number {
  if (freeBits <= 0) return source;
  const bits = freeBits > 32 ? 32 : freeBits;
  const mask = bits === 32 ? -1 : (1 << bits) - 1;
  const hash = Math.imul(client ^ ports, GOLDEN_RATIO) >>> ((32 - bits) & 31);
  return (source & ~swap32(mask)) | swap32(hash);
}

/** Writes the outer IPv4 header behind the link header of `cx.grown`; its destination is the backend at `at`. */
export function writeOuter4(cx: Context, tables: Tables, at: number, total: number): void {
  const { grown, headers: h } = cx;
  const words = tables.config.words;
  const ip = h.l3 - cx.offset;
  const freeBits = 32 - (words[CONFIG_ENCAP_PREFIX]! & 0xff);
  grown[ip] = 0x45;
  grown[ip + 1] = h.tos;
  writeBe16(grown, ip + 2, total);
  writeRaw16(grown, ip + 4, 0);
  writeBe16(grown, ip + 6, DONT_FRAGMENT);
  grown[ip + 8] = OUTER_TTL;
  grown[ip + 9] = IPIP;
  writeRaw16(grown, ip + 10, 0);
  writeRaw32(grown, ip + 12, spread(words[CONFIG_ENCAP_SOURCE4]!, h.s0, cx.ports, freeBits));
  writeRaw32(grown, ip + 16, tables.backends4.words[at]!);
  writeRaw16(grown, ip + 10, finishSum(sumBytes(grown, ip, ip + OUTER4, 0)));
}

/** The same for IPv6. */
export function writeOuter6(cx: Context, tables: Tables, at: number): void {
  const { grown, headers: h } = cx;
  const words = tables.config.words;
  const backends = tables.backends6.words;
  const ip = h.l3 - cx.offset;
  const freeBits = 128 - ((words[CONFIG_ENCAP_PREFIX]! >>> 8) & 0xff);
  grown[ip] = 0x60 | (h.tos >>> 4);
  grown[ip + 1] = (h.tos & 15) << 4;
  writeRaw16(grown, ip + 2, 0);
  writeBe16(grown, ip + 4, h.l3Length);
  grown[ip + 6] = IPV6;
  grown[ip + 7] = OUTER_TTL;
  for (let i = 0; i < 3; i++) writeRaw32(grown, ip + 8 + 4 * i, words[CONFIG_ENCAP_SOURCE6 + i]!);
  writeRaw32(grown, ip + 20, spread(words[CONFIG_ENCAP_SOURCE6 + 3]!, h.s3, cx.ports, freeBits));
  for (let i = 0; i < 4; i++) writeRaw32(grown, ip + 24 + 4 * i, backends[at + ADDRESS6 + i]!);
}

/** The next hop's MACs from words, or those of the frame the other way round. */
const writeMacs = (cx: Context, words: Int32Array | undefined, at: number): void => {
  const { grown } = cx;
  if (words === undefined) {
    const d0 = readRaw32(grown, 0);
    const d1 = readRaw16(grown, 4);
    const s0 = readRaw16(grown, 6);
    const s1 = readRaw32(grown, 8);
    cx.mac0 = s0 | (s1 << 16);
    cx.mac1 = (s1 >>> 16) | (d0 << 16);
    cx.mac2 = (d0 >>> 16) | (d1 << 16);
  } else {
    cx.mac0 = words[at]!;
    cx.mac1 = words[at + 1]!;
    cx.mac2 = words[at + 2]!;
  }
  writeRaw32(grown, 0, cx.mac0);
  writeRaw32(grown, 4, cx.mac1);
  writeRaw32(grown, 8, cx.mac2);
};
