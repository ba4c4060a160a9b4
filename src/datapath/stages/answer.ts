// Stage "answer": what the datapath itself sends back to the sender of a packet that it drops: ICMP errors (RFC 792, 1122, 1812,
// 4443) and TCP resets (RFC 9293 §3.10.7.1). Input: a drop with `cx.answer`. Output: the answer in `cx.grown`, ACTION.TX.
// Invariant: never an answer to an answer, an error, a later fragment or a group; so many a second and interface.
// Twin: native/bpf/answer.h.
import {
  ACTION,
  ANSWER,
  ANSWERED,
  BOUND,
  DIRECTION,
  DROP,
  RATE_LIMIT_USAGE,
  rateLimitValue,
  RECORD_FLAG,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import { count } from '../metrics.ts';
import type { Tables } from '../tables.ts';
import * as nat from './nat.ts';
import { grownBuffer } from './encapsulate.ts';

const { LINK_TYPE, pseudoHeaderSum4, pseudoHeaderSum6, readRaw16, readRaw32, swap16, writeBe16 } = wire;
const { writeChecksum, writeRaw16, writeRaw32 } = wire;
const { CONFIG_ROUTER4, CONFIG_ROUTER6 } = config;
const { restoreDestination } = nat;

const FORWARD = STAGE.FORWARD;
const ETHERNET = LINK_TYPE.ETHERNET;
const { RESET, TIME_EXCEEDED, TOO_BIG } = ANSWER;
const { LOOPBACK, REVERSE_NAT, SNAT, DNAT } = RECORD_FLAG;
const TRANSLATED_SOURCE = LOOPBACK | REVERSE_NAT | SNAT;
const LAST_TOP_UP = rateLimitValue.at.lastTopUp >>> 2;
const TOKENS = rateLimitValue.at.tokens >>> 2;
const RATE_LIMIT = traceMapNumber('rateLimit');
const { QUOTE_IPV4, QUOTE_IPV6, ANSWERS_PER_SECOND, ANSWERS_BURST } = BOUND;
/** Seconds after which any bucket is full. */
const FULL_AFTER = ANSWERS_BURST / ANSWERS_PER_SECOND;
const TTL = 64;
const ICMP = 1;
const TCP = 6;
const ICMPV6 = 58;
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const TCP_BYTES = 20;
const ICMP_BYTES = 8;
/** ICMP type and code of each ANSWER, in two bytes. */
const CODES4: readonly number[] = [0, 0x0303, 0x030d, 0, 0x0b00, 0x0304];
const CODES6: readonly number[] = [0, 0x0104, 0x0101, 0, 0x0300, 0x0200];

/**
 * Answers the packet that was just dropped, if it may be answered. The record's verdict and reason stay; its action becomes
 * TX and its flags get ANSWERED. Without an answer nothing changes.
 *
 * @returns bytes of the answer in `cx.grown`, 0 = none
 */
export function answer(cx: Context, tables: Tables): number {
  const { answer: kind } = cx;
  const own = kind === TIME_EXCEEDED || kind === TOO_BIG;
  let result: number = ANSWERED.MUST_NOT;
  let length = 0;
  if (mayAnswer(cx, tables, own)) {
    result = ANSWERED.LIMITED;
    if (takeToken(cx, tables)) {
      result = ANSWERED.YES;
      // The quote is what the sender sent: before its destination was translated.
      if ((cx.recordFlags & DNAT) !== 0) restoreDestination(cx, tables);
      length = write(cx, tables, own);
    } else count(cx, tables, DROP.RATE_LIMITED, cx.egress !== 0 ? DIRECTION.EGRESS : DIRECTION.INGRESS);
  }
  if (cx.tracing !== 0) traceAnswer(cx, tables, result, own);
  return length;
}

/** RFC 1122 §3.2.2, RFC 1812 §4.3.2.7, RFC 4443 §2.4 e. */
const mayAnswer = (cx: Context, tables: Tables, own: boolean): boolean => {
  const h = cx.headers;
  const { protocol } = h;
  if (h.fragment === 2 || (cx.recordFlags & TRANSLATED_SOURCE) !== 0) return false;
  if (cx.answer === RESET && (h.fragment !== 0 || (h.tcpFlags & RST) !== 0)) return false;
  if (cx.linkType === ETHERNET && (cx.bytes[cx.offset]! & 1) !== 0) return false;
  if (h.family === 4) {
    if (protocol === ICMP && h.icmpType !== 8) return false;
    if (own && tables.config.words[CONFIG_ROUTER4] === 0) return false;
    const source = h.s0 & 0xff;
    return source !== 0 && source !== 127 && source < 224 && (h.d0 & 0xff) < 224;
  }
  if (protocol === ICMPV6 && h.icmpType !== 128) return false;
  if (own && !isAddress6(tables.config.words, CONFIG_ROUTER6)) return false;
  if ((h.s0 & 0xff) === 0xff || (h.d0 & 0xff) === 0xff) return false;
  // Neither :: nor ::1.
  return (h.s0 | h.s1 | h.s2 | (h.s3 & 0xffffff)) !== 0 || h.s3 >>> 24 > 1;
};

const isAddress6 = (words: Int32Array, at: number): boolean =>
  (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) !== 0;

/** Takes one from the interface's bucket, which gets ANSWERS_PER_SECOND each second (Cilium's ratelimit_check_and_take). */
const takeToken = (cx: Context, tables: Tables): boolean => {
  const { now } = cx;
  const map = tables.rateLimit;
  const at =
    cx.probe === 0 ? map.find(RATE_LIMIT_USAGE.ANSWERS, cx.ifindex) : map.peek(RATE_LIMIT_USAGE.ANSWERS, cx.ifindex);
  let tokens: number = ANSWERS_PER_SECOND;
  let last = now;
  if (at >= 0) {
    tokens = map.words[at + TOKENS]!;
    if (tokens < 0 || tokens > ANSWERS_BURST) tokens = ANSWERS_BURST;
    last = map.words[at + LAST_TOP_UP]!;
    const elapsed = (now - last) | 0;
    if (elapsed > 0) {
      tokens = elapsed >= FULL_AFTER ? ANSWERS_BURST : tokens + elapsed * ANSWERS_PER_SECOND;
      last = now;
    }
    if (tokens > ANSWERS_BURST) tokens = ANSWERS_BURST;
    if (tokens === 0) return false;
  }
  if (cx.probe !== 0) return true;
  const to = at >= 0 ? at : map.insert(RATE_LIMIT_USAGE.ANSWERS, cx.ifindex);
  if (to < 0) return false;
  map.words[to + LAST_TOP_UP] = last;
  map.words[to + TOKENS] = tokens - 1;
  return true;
};

/** Puts the answer together. 0 when the captured bytes do not reach. */
const write = (cx: Context, tables: Tables, own: boolean): number => {
  const { bytes, offset, headers: h } = cx;
  const four = h.family === 4;
  const reset = cx.answer === RESET;
  const link = h.l3 - offset;
  const header = four ? 20 : 40;
  let quoted = 0;
  if (!reset) {
    quoted = h.l3Length;
    const most = four ? QUOTE_IPV4 : QUOTE_IPV6;
    if (quoted > most) quoted = most;
    if (h.l3 + quoted > cx.capturedEnd) quoted = cx.capturedEnd - h.l3;
  }
  const grown = grownBuffer(cx);
  for (let i = 0; i < link; i++) grown[i] = bytes[offset + i]!;
  if (cx.linkType === ETHERNET) turnMacs(cx, grown);
  const l4 = link + header;
  const end = l4 + (reset ? TCP_BYTES : ICMP_BYTES + quoted);
  if (four) writeHeader4(cx, tables, grown, link, end, own);
  else writeHeader6(cx, tables, grown, link, end, own);
  if (reset) writeReset(cx, grown, l4);
  else {
    writeBe16(grown, l4, (four ? CODES4 : CODES6)[cx.answer]!);
    writeRaw32(grown, l4 + 4, 0);
    if (cx.answer === TOO_BIG) writeBe16(grown, l4 + 6, cx.answerMtu);
    for (let i = 0; i < quoted; i++) grown[l4 + ICMP_BYTES + i] = bytes[h.l3 + i]!;
  }
  const protocol = reset ? TCP : four ? ICMP : ICMPV6;
  let sum = 0;
  if (!four) {
    const at = link + 8;
    sum = pseudoHeaderSum6(
      readRaw32(grown, at),
      readRaw32(grown, at + 4),
      readRaw32(grown, at + 8),
      readRaw32(grown, at + 12),
      h.s0,
      h.s1,
      h.s2,
      h.s3,
      protocol,
      end - l4,
    );
  } else if (reset) sum = pseudoHeaderSum4(h.d0, h.s0, TCP, TCP_BYTES);
  writeChecksum(grown, l4, end, l4 + (reset ? 16 : 2), sum, false);
  cx.action = ACTION.TX;
  cx.recordFlags |= RECORD_FLAG.ANSWERED;
  return end;
};

/** The frame goes back: its MACs change places, in the record, too. */
const turnMacs = (cx: Context, grown: Uint8Array): void => {
  const d0 = readRaw32(grown, 0);
  const d1 = readRaw16(grown, 4);
  const s0 = readRaw16(grown, 6);
  const s1 = readRaw32(grown, 8);
  cx.mac0 = s0 | (s1 << 16);
  cx.mac1 = (s1 >>> 16) | (d0 << 16);
  cx.mac2 = (d0 >>> 16) | (d1 << 16);
  writeRaw32(grown, 0, cx.mac0);
  writeRaw32(grown, 4, cx.mac1);
  writeRaw32(grown, 8, cx.mac2);
};

const writeHeader4 = (cx: Context, tables: Tables, grown: Uint8Array, ip: number, end: number, own: boolean): void => {
  const h = cx.headers;
  writeRaw32(grown, ip, 0x45);
  writeBe16(grown, ip + 2, end - ip);
  writeRaw32(grown, ip + 4, 0);
  grown[ip + 8] = TTL;
  grown[ip + 9] = cx.answer === RESET ? TCP : ICMP;
  writeRaw32(grown, ip + 12, own ? tables.config.words[CONFIG_ROUTER4]! : h.d0);
  writeRaw32(grown, ip + 16, h.s0);
  writeChecksum(grown, ip, ip + 20, ip + 10, 0, false);
};

const writeHeader6 = (cx: Context, tables: Tables, grown: Uint8Array, ip: number, end: number, own: boolean): void => {
  const h = cx.headers;
  const { words } = tables.config;
  writeRaw32(grown, ip, 0x60);
  writeBe16(grown, ip + 4, end - ip - 40);
  grown[ip + 6] = cx.answer === RESET ? TCP : ICMPV6;
  grown[ip + 7] = TTL;
  writeRaw32(grown, ip + 8, own ? words[CONFIG_ROUTER6]! : h.d0);
  writeRaw32(grown, ip + 12, own ? words[CONFIG_ROUTER6 + 1]! : h.d1);
  writeRaw32(grown, ip + 16, own ? words[CONFIG_ROUTER6 + 2]! : h.d2);
  writeRaw32(grown, ip + 20, own ? words[CONFIG_ROUTER6 + 3]! : h.d3);
  writeRaw32(grown, ip + 24, h.s0);
  writeRaw32(grown, ip + 28, h.s1);
  writeRaw32(grown, ip + 32, h.s2);
  writeRaw32(grown, ip + 36, h.s3);
};

/** A reset that the sender accepts: its own acknowledgement as sequence number, or, without one, an acknowledgement of what it sent. */
const writeReset = (cx: Context, grown: Uint8Array, at: number): void => {
  const { bytes, headers: h } = cx;
  const flags = h.tcpFlags;
  writeRaw32(grown, at, (cx.ports >>> 16) | (cx.ports << 16));
  const acknowledged = (flags & ACK) !== 0;
  writeRaw32(grown, at + 4, acknowledged ? readRaw32(bytes, h.l4 + 8) : 0);
  let next = 0;
  if (!acknowledged) {
    const data = h.l3 + h.l3Length - h.payload;
    const sent = (data + ((flags & SYN) !== 0 ? 1 : 0) + ((flags & FIN) !== 0 ? 1 : 0)) | 0;
    const sequence = (swap16(readRaw16(bytes, h.l4 + 4)) << 16) | swap16(readRaw16(bytes, h.l4 + 6));
    next = (sequence + sent) | 0;
  }
  writeBe16(grown, at + 8, next >>> 16);
  writeBe16(grown, at + 10, next & 0xffff);
  writeBe16(grown, at + 12, 0x5000 | (acknowledged ? RST : RST | ACK));
  // Window, checksum (written behind), urgent pointer.
  writeRaw16(grown, at + 14, 0);
  writeRaw32(grown, at + 16, 0);
};

const traceAnswer = (cx: Context, tables: Tables, result: number, own: boolean): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const { words } = tables.config;
  const t = cx.trace.open(TRACE.ANSWER, FORWARD, result, result === ANSWERED.LIMITED ? RATE_LIMIT : 0);
  if (four)
    t.key(own ? words[CONFIG_ROUTER4]! : h.d0)
      .key(0)
      .key(0)
      .key(0);
  else if (own) for (let i = 0; i < 4; i++) t.key(words[CONFIG_ROUTER6 + i]!);
  else t.key(h.d0).key(h.d1).key(h.d2).key(h.d3);
  t.key(h.s0).key(h.s1).key(h.s2).key(h.s3).value(cx.answer).value(cx.answerMtu);
};
