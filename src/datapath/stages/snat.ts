// Stage "nat", the source's side: the node's address in place of a packet's source, and the original back in place of an
// answer's destination. Input: the parsed packet. Output: the packet rewritten, RECORD_FLAG.SNAT; a verdict where it cannot be.
// Invariant: a packet that keeps its address and port is not written to. Twin: native/bpf/snat.h.
import { FEATURE, MARK, nodeValue4, nodeValue6, RECORD_FLAG, STAGE, TRACE } from '../../schema/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as nat from './nat.ts';
import * as mapping from './nat-mapping.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_NODE } = config;
const { CONTINUE, drop } = verdicts;
const { setDestination, setEchoId, setSource } = nat;
const { findBackOfPacket, isNatPort, mapOut } = mapping;
// The same for what this module exports itself.
const apply = applyOut;

const NAT = STAGE.NAT;
const SNAT = RECORD_FLAG.SNAT;
const TRACE_SNAT = TRACE.SNAT;
const TRACE_BACK = TRACE.NAT_BACK;
const TUNNEL = FEATURE.TUNNEL;
const { MASK, SNAT_DONE } = MARK;
const GATEWAY4 = nodeValue4.at.gateway >>> 2;
const GATEWAY6 = nodeValue6.at.gateway >>> 2;
const TCP = 6;
const UDP = 17;
const SCTP = 132;

/**
 * Takes the address that a node puts in place into `cx.nat0…3`. Whether there is one.
 * @param node its id; 0: the node that this dataplane is
 * @param inside towards a backend behind the overlay: the gateway's address, where there is one
 */
export function takeNodeAddress(cx: Context, tables: Tables, node: number, inside: boolean): boolean {
  const id = node !== 0 ? node : tables.config.words[CONFIG_NODE]! & 0xffff;
  const overlay = inside && (cx.features & TUNNEL) !== 0;
  if (cx.headers.family === 4) {
    const at = tables.nodes4.find(id);
    if (at < 0) return false;
    const { words } = tables.nodes4;
    const gateway = overlay ? words[at + GATEWAY4]! : 0;
    cx.nat0 = gateway !== 0 ? gateway : words[at]!;
    return cx.nat0 !== 0;
  }
  let at = tables.nodes6.find(id);
  if (at < 0) return false;
  const { words } = tables.nodes6;
  const g = at + GATEWAY6;
  if (overlay && (words[g]! | words[g + 1]! | words[g + 2]! | words[g + 3]!) !== 0) at = g;
  cx.nat0 = words[at]!;
  cx.nat1 = words[at + 1]!;
  cx.nat2 = words[at + 2]!;
  cx.nat3 = words[at + 3]!;
  return (cx.nat0 | cx.nat1 | cx.nat2 | cx.nat3) !== 0;
}

/** Says in the mark that the packet's source was translated: `to-netdev` leaves it alone. */
export function markDone(cx: Context): void {
  cx.mark = (cx.mark & ~MASK) | SNAT_DONE;
}

/** Whether an earlier hook of this packet has translated its source. */
export function isMarkedDone(cx: Context): boolean {
  return (cx.mark & MASK) === SNAT_DONE;
}

/** Whether the packet is an ICMP echo request or its answer, whose id stands for the ports. */
export function isEcho(cx: Context, answer: boolean): boolean {
  const h = cx.headers;
  return h.family === 4
    ? h.protocol === 1 && h.icmpType === (answer ? 0 : 8)
    : h.protocol === 58 && h.icmpType === (answer ? 129 : 128);
}

/** Whether the packet is of a protocol with ports, and has them. */
export function hasTuple(cx: Context): boolean {
  const { protocol } = cx.headers;
  return (protocol === TCP || protocol === UDP || protocol === SCTP) && cx.portless === 0;
}

/** Puts `cx.nat` and the raw port in place of the source. Nothing happens where both are there already. */
export function applyOut(cx: Context, port: number): void {
  const h = cx.headers;
  const same4 = h.s0 === cx.nat0;
  const same = h.family === 4 ? same4 : same4 && h.s1 === cx.nat1 && h.s2 === cx.nat2 && h.s3 === cx.nat3;
  if (same && (cx.ports & 0xffff) === port) return;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE_SNAT, NAT, 1, 0).key(h.s0).key(h.s1).key(h.s2).key(h.s3).key(cx.ports);
    t.value(cx.nat0).value(h.family === 4 ? 0 : cx.nat1);
    t.value(h.family === 4 ? 0 : cx.nat2).value(h.family === 4 ? 0 : cx.nat3);
    t.value((cx.ports & ~0xffff) | port);
  }
  cx.recordFlags |= SNAT;
  const echo = !hasTuple(cx);
  const put = echo ? cx.ports & 0xffff : port;
  if (h.family === 4) setSource(cx, cx.nat0, 0, 0, 0, put);
  else setSource(cx, cx.nat0, cx.nat1, cx.nat2, cx.nat3, put);
  if (echo) setEchoId(cx, port);
}

/**
 * A client's packet that goes on to a backend on another node gets `cx.nat`, this node's address, so that the answer comes
 * back here (Cilium: nodeport_nat_egress). No free port: 167; SCTP whose port cannot stay: 154.
 * @param flags NAT_FLAG of a new translation
 */
export function translateOut(cx: Context, tables: Tables, flags: number): number {
  const port = mapOut(cx, tables, flags);
  if (port < 0) return drop(cx, -port, NAT);
  apply(cx, port);
  return CONTINUE;
}

/**
 * Whether an answer to something that source NAT sent may look like this packet: by its port, or its echo id. Only those
 * are looked up.
 */
export function mayBeAnswer(cx: Context, tables: Tables): boolean {
  if (!hasTuple(cx) && !isEcho(cx, true)) return false;
  return isNatPort(tables, cx.ports >>> 16);
}

/**
 * Puts the original back in place of an answer's destination (Cilium: snat_v4_rev_nat): `cx.natFlags` and `natReverse` say
 * of what kind it is. False: there is no translation for it.
 */
export function translateBack(cx: Context, tables: Tables): boolean {
  if (!findBackOfPacket(cx, tables)) return false;
  const h = cx.headers;
  const same4 = h.d0 === cx.nat0;
  const same = h.family === 4 ? same4 : same4 && h.d1 === cx.nat1 && h.d2 === cx.nat2 && h.d3 === cx.nat3;
  const port = cx.natPort;
  if (same && cx.ports >>> 16 === port) return true;
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE_BACK, NAT, 1, 0).key(h.d0).key(h.d1).key(h.d2).key(h.d3).key(cx.ports);
    t.value(cx.nat0).value(cx.nat1).value(cx.nat2).value(cx.nat3);
    t.value((cx.ports & 0xffff) | (port << 16));
  }
  cx.recordFlags |= SNAT;
  const echo = !hasTuple(cx);
  setDestination(cx, cx.nat0, cx.nat1, cx.nat2, cx.nat3, echo ? cx.ports >>> 16 : port);
  if (echo) setEchoId(cx, port);
  return true;
}
