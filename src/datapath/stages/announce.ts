// Stage "announce": who asks for the MAC of an announced service address (ARP request, RFC 826; neighbour solicitation, RFC 4861)
// gets that of the interface. Input: a question at from-netdev. Output: the answer in place of the packet, ACTION.TX.
// Invariant: nothing is answered that is malformed, claims the address itself, or asks for what is not announced here: the stack
// gets it as it came. Walk: Cilium's handle_l2_announcement (bpf_host.c). Twin: native/bpf/announce.h.
import {
  ACTION,
  ANSWER,
  announcedValue,
  DIRECTION,
  METRIC,
  RECORD_FLAG,
  STAGE,
  TRACE,
  traceMapNumber,
  UNKNOWN_REASON,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import * as metrics from '../metrics.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import { grownBuffer } from './encapsulate.ts';

const { ARP, ARP_BYTES, ARP_OPERATION, ARP_SENDER_ADDRESS, ARP_SENDER_MAC, ARP_TARGET_ADDRESS, ARP_TARGET_MAC } = wire;
const { isArp, LINK_TYPE, NDP_FLAG, NDP_OPTION, pseudoHeaderSum6, readArpOperation, readRaw16, readRaw32 } = wire;
const { writeBe16, writeChecksum, writeRaw16, writeRaw32 } = wire;
const { count } = metrics;
const { CONTINUE, forwarded, unknown } = verdicts;

const { FORWARD, PARSE } = STAGE;
const ETHERNET = LINK_TYPE.ETHERNET;
const MAC = announcedValue.at.mac >>> 2;
const VALUE_WORDS = announcedValue.bytes >>> 2;
const ANNOUNCED4 = traceMapNumber('announced4');
const ANNOUNCED6 = traceMapNumber('announced6');
/** Results of TRACE.ANNOUNCED. */
const ABSENT = 0;
const YES = 1;
const MUST_NOT = 2;
const LINK_BYTES = 14;
const HEADER6_BYTES = 40;
/** Fixed part of a solicitation and of an advertisement. */
const NDP_BYTES = 24;
/** An advertisement with its one option. */
const ADVERTISEMENT_BYTES = 32;
const TARGET = 8;
const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
/** Raw words of solicited-node multicast ff02::1:ff00:0/104 (the last one's first byte), of ff02::1, and of its group's MAC. */
const GROUP0 = 0x000002ff;
const GROUP2 = 0x01000000;
const ALL_NODES3 = 0x01000000;
const ALL_NODES_MAC = 0x00003333;
const ALL_NODES_MAC_END = 0x0100;

/** Whether the parsed packet is a neighbour solicitation that nobody routed here. */
export function isSolicitation(cx: Context): boolean {
  const h = cx.headers;
  return h.family === 6 && h.protocol === ICMPV6 && h.icmpType === SOLICITATION && h.icmpCode === 0 && h.ttl === 255;
}

/** Answers the ARP request in the frame, in place. CONTINUE: it is none, or none to be answered. */
export function answerArp(cx: Context, tables: Tables): number {
  const { bytes, offset, capturedEnd } = cx;
  const at = offset + LINK_BYTES;
  if (cx.linkType !== ETHERNET) return CONTINUE;
  if (at + ARP_BYTES > capturedEnd)
    return at + ARP_BYTES > cx.wireEnd ? CONTINUE : unknown(cx, UNKNOWN_REASON.TRUNCATED, PARSE);
  if (!isArp(bytes, at, capturedEnd) || readArpOperation(bytes, at) !== ARP.REQUEST) return CONTINUE;
  const target = readRaw32(bytes, at + ARP_TARGET_ADDRESS);
  const sender = readRaw32(bytes, at + ARP_SENDER_ADDRESS);
  const found = tables.announced4.find(target, cx.ifindex);
  const { words } = tables.announced4;
  // A sender that has the address itself announces it: no question (RFC 5227 §3).
  const may = found >= 0 && sender !== target && mayAnswer(cx, words, found) && (bytes[at + ARP_SENDER_MAC]! & 1) === 0;
  if (cx.tracing !== 0) {
    cx.trace
      .open(TRACE.ANNOUNCED, FORWARD, found < 0 ? ABSENT : may ? YES : MUST_NOT, ANNOUNCED4)
      .key(target)
      .key(cx.ifindex)
      .values(words, found, VALUE_WORDS);
  }
  if (!may) return CONTINUE;
  const mac0 = words[found + MAC]!;
  const mac1 = words[found + MAC + 1]! & 0xffff;
  const asker0 = readRaw32(bytes, at + ARP_SENDER_MAC);
  const asker1 = readRaw16(bytes, at + ARP_SENDER_MAC + 4);
  takeMacs(cx, readRaw32(bytes, offset + 6), readRaw16(bytes, offset + 10), mac0, mac1);
  writeMacs(cx, bytes, offset);
  writeBe16(bytes, at + ARP_OPERATION, ARP.REPLY);
  writeRaw32(bytes, at + ARP_SENDER_MAC, mac0);
  writeRaw16(bytes, at + ARP_SENDER_MAC + 4, mac1);
  writeRaw32(bytes, at + ARP_SENDER_ADDRESS, target);
  writeRaw32(bytes, at + ARP_TARGET_MAC, asker0);
  writeRaw16(bytes, at + ARP_TARGET_MAC + 4, asker1);
  writeRaw32(bytes, at + ARP_TARGET_ADDRESS, sender);
  return answered(cx, tables);
}

/** Answers the neighbour solicitation with an advertisement, in the context's buffer. CONTINUE: none to be answered. */
export function answerSolicitation(cx: Context, tables: Tables): number {
  const { bytes, offset, headers: h } = cx;
  const at = h.l4;
  if (cx.linkType !== ETHERNET || at + NDP_BYTES > h.l3 + h.l3Length) return CONTINUE;
  if (at + NDP_BYTES > cx.capturedEnd) return unknown(cx, UNKNOWN_REASON.TRUNCATED, PARSE);
  const t0 = readRaw32(bytes, at + TARGET);
  const t1 = readRaw32(bytes, at + TARGET + 4);
  const t2 = readRaw32(bytes, at + TARGET + 8);
  const t3 = readRaw32(bytes, at + TARGET + 12);
  const found = tables.announced6.find(t0, t1, t2, t3, cx.ifindex, 0);
  const { words } = tables.announced6;
  // From no address: somebody wants to know whether the address is free (RFC 4862 §5.4.2).
  const detection = (h.s0 | h.s1 | h.s2 | h.s3) === 0;
  const claims = h.s0 === t0 && h.s1 === t1 && h.s2 === t2 && h.s3 === t3;
  const toGroup = h.d0 === GROUP0 && h.d1 === 0 && h.d2 === GROUP2 && (h.d3 & 0xff) === 0xff;
  const sound = detection ? toGroup : (h.s0 & 0xff) !== 0xff;
  const may = found >= 0 && !claims && sound && mayAnswer(cx, words, found);
  if (cx.tracing !== 0) {
    cx.trace
      .open(TRACE.ANNOUNCED, FORWARD, found < 0 ? ABSENT : may ? YES : MUST_NOT, ANNOUNCED6)
      .key(t0)
      .key(t1)
      .key(t2)
      .key(t3)
      .key(cx.ifindex)
      .key(0)
      .values(words, found, VALUE_WORDS);
  }
  if (!may) return CONTINUE;
  const mac0 = words[found + MAC]!;
  const mac1 = words[found + MAC + 1]! & 0xffff;
  const grown = grownBuffer(cx);
  if (detection) takeMacs(cx, ALL_NODES_MAC, ALL_NODES_MAC_END, mac0, mac1);
  else takeMacs(cx, readRaw32(bytes, offset + 6), readRaw16(bytes, offset + 10), mac0, mac1);
  writeMacs(cx, grown, 0);
  writeBe16(grown, 12, 0x86dd);
  const ip = LINK_BYTES;
  writeRaw32(grown, ip, 0x60);
  writeBe16(grown, ip + 4, ADVERTISEMENT_BYTES);
  grown[ip + 6] = ICMPV6;
  grown[ip + 7] = 255;
  const d0 = detection ? GROUP0 : h.s0;
  const d3 = detection ? ALL_NODES3 : h.s3;
  writeWords(grown, ip + 8, t0, t1, t2, t3);
  writeWords(grown, ip + 24, d0, h.s1, h.s2, d3);
  const l4 = ip + HEADER6_BYTES;
  writeRaw32(grown, l4, ADVERTISEMENT);
  writeRaw32(grown, l4 + 4, detection ? NDP_FLAG.OVERRIDE : NDP_FLAG.OVERRIDE | NDP_FLAG.SOLICITED);
  writeWords(grown, l4 + TARGET, t0, t1, t2, t3);
  grown[l4 + NDP_BYTES] = NDP_OPTION.TARGET_LINK_ADDRESS;
  grown[l4 + NDP_BYTES + 1] = 1;
  writeRaw32(grown, l4 + NDP_BYTES + 2, mac0);
  writeRaw16(grown, l4 + NDP_BYTES + 6, mac1);
  const sum = pseudoHeaderSum6(t0, t1, t2, t3, d0, h.s1, h.s2, d3, ICMPV6, ADVERTISEMENT_BYTES);
  writeChecksum(grown, l4, l4 + ADVERTISEMENT_BYTES, l4 + 2, sum, false);
  cx.answer = ANSWER.NEIGHBOUR;
  cx.grownBytes = l4 + ADVERTISEMENT_BYTES;
  return answered(cx, tables);
}

/** From another station, to the interface itself or to a group. */
const mayAnswer = (cx: Context, words: Int32Array, found: number): boolean => {
  const { bytes, offset } = cx;
  if ((bytes[offset + 6]! & 1) !== 0 || isOwn(bytes, offset + 6, words, found)) return false;
  return (bytes[offset]! & 1) !== 0 || isOwn(bytes, offset, words, found);
};

/** Whether the MAC at `at` is the interface's. */
const isOwn = (bytes: Uint8Array, at: number, words: Int32Array, found: number): boolean =>
  readRaw32(bytes, at) === words[found + MAC]! && readRaw16(bytes, at + 4) === (words[found + MAC + 1]! & 0xffff);

/** The answer's MACs: to whom (four bytes, two bytes) and from whom. */
const takeMacs = (cx: Context, to0: number, to1: number, from0: number, from1: number): void => {
  cx.mac0 = to0;
  cx.mac1 = to1 | (from0 << 16);
  cx.mac2 = (from0 >>> 16) | (from1 << 16);
};

const writeMacs = (cx: Context, out: Uint8Array, at: number): void => {
  writeRaw32(out, at, cx.mac0);
  writeRaw32(out, at + 4, cx.mac1);
  writeRaw32(out, at + 8, cx.mac2);
};

const writeWords = (out: Uint8Array, at: number, w0: number, w1: number, w2: number, w3: number): void => {
  writeRaw32(out, at, w0);
  writeRaw32(out, at + 4, w1);
  writeRaw32(out, at + 8, w2);
  writeRaw32(out, at + 12, w3);
};

const answered = (cx: Context, tables: Tables): number => {
  count(cx, tables, METRIC.NEIGHBOUR_ANSWERED, DIRECTION.INGRESS);
  cx.recordFlags |= RECORD_FLAG.ANSWERED;
  cx.outIfindex = cx.ifindex;
  return forwarded(cx, ACTION.TX, FORWARD);
};
