// Stage "parse": dissects the frame, answers for what is not an IP packet with a known L4 header, sets the tuple's ports.
// Input: the packet in the context. Output: `cx.headers`, `cx.ports`, `cx.related`; CONTINUE or a verdict.
// Invariant: after CONTINUE the fixed L4 header was captured, so that later stages rewrite it without another check
// (a later fragment has none). Twin: native/bpf/parse.h.
import { ACTION, DROP, FEATURE, HOOK, STAGE, TRACE, UNKNOWN_REASON } from '../../schema/index.ts';
import { ETHER_TYPE, WIRE } from '../../wire/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { parseFrame } = wire;
const { CONTINUE, drop, forwarded, unknown } = verdicts;

const OK = WIRE.OK;
const PARSE = STAGE.PARSE;
const FROM_CONTAINER = HOOK.FROM_CONTAINER;
const TO_CONTAINER = HOOK.TO_CONTAINER;
const { IPV4, IPV6, SCTP: SCTP_FEATURE } = FEATURE;
const TRACE_PARSED = TRACE.PARSED;

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const ARP = ETHER_TYPE.ARP;

/** What lets a packet pass that the datapath does not judge: on to the stack, or into the endpoint. */
export const passAction = (cx: Context): number => (cx.hook === TO_CONTAINER ? ACTION.DELIVER : ACTION.STACK);

/** Whether this is a hook of a pod, where Cilium's rules for what is not IP apply. */
const isPodHook = (cx: Context): boolean => cx.hook === FROM_CONTAINER || cx.hook === TO_CONTAINER;

/** Parses the packet. Verdicts: see `refuse`; IP of a family that is switched off counts as not IP. */
export function parse(cx: Context): number {
  const h = cx.headers;
  const status = parseFrame(h, cx.linkType, cx.bytes, cx.offset, cx.capturedEnd, cx.wireEnd);
  if (cx.tracing !== 0) traceParsed(cx, status);
  const { family } = h;
  const off = family === 6 ? IPV6 : family === 4 ? IPV4 : 0;
  if (off !== 0 && (cx.features & off) === 0) return notIp(cx);
  if (status !== OK) return refuse(cx, status);
  const { protocol } = h;
  if (protocol === TCP || protocol === UDP) {
    cx.ports = h.ports;
    return CONTINUE;
  }
  if (protocol === SCTP) {
    cx.ports = h.ports;
    return (cx.features & SCTP_FEATURE) !== 0 ? CONTINUE : unknownTransport(cx);
  }
  return icmpTuple(cx);
}

/**
 * ICMP: an echo's id stands at both ports so that request and answer meet on one key; errors are matched on their outer
 * addresses with ports 0 (Cilium's TUPLE_F_RELATED); every other type has ports 0. A fragment of ICMP is invalid (134).
 */
const icmpTuple = (cx: Context): number => {
  const h = cx.headers;
  if (h.fragment !== 0) return isPodHook(cx) ? drop(cx, DROP.INVALID, PARSE) : forwarded(cx, ACTION.STACK, PARSE);
  const type = h.icmpType;
  if (h.family === 4) {
    if (type === 8 || type === 0) cx.ports = h.icmpId | (h.icmpId << 16);
    else if (type === 3 || type === 11 || type === 12) cx.related = 1;
  } else if (type === 128 || type === 129) cx.ports = h.icmpId | (h.icmpId << 16);
  else if (type >= 1 && type <= 4) cx.related = 1;
  return CONTINUE;
};

/**
 * A frame that did not parse. Cut by the snap length → UNKNOWN, never a drop. Malformed → the drop that Cilium gives.
 * What is not IP, or of an L4 protocol nobody tracks: at pod hooks a drop (ARP passes), elsewhere the stack's business.
 */
const refuse = (cx: Context, status: number): number => {
  switch (status) {
    case WIRE.CUT:
      return unknown(cx, UNKNOWN_REASON.TRUNCATED, PARSE);
    case WIRE.UNSUPPORTED_LINK_TYPE:
      return unknown(cx, UNKNOWN_REASON.LINK_TYPE, PARSE);
    case WIRE.BAD_ETHERTYPE:
      return isPodHook(cx) ? drop(cx, DROP.UNSUPPORTED_L2, PARSE) : forwarded(cx, ACTION.STACK, PARSE);
    case WIRE.NOT_IP:
    case WIRE.TOO_MANY_VLAN_TAGS:
      return notIp(cx);
    case WIRE.BAD_EXTENSION:
      return drop(cx, DROP.INVALID_EXTENSION_HEADER, PARSE);
    case WIRE.BAD_L4:
      return drop(cx, DROP.CT_INVALID_HEADER, PARSE);
    case WIRE.UNKNOWN_L4:
      return unknownTransport(cx);
    default:
      return drop(cx, DROP.INVALID, PARSE);
  }
};

const notIp = (cx: Context): number => {
  if (!isPodHook(cx) || cx.headers.etherType === ARP) return forwarded(cx, passAction(cx), PARSE);
  return drop(cx, DROP.UNKNOWN_L3, PARSE);
};

const unknownTransport = (cx: Context): number => {
  return isPodHook(cx) ? drop(cx, DROP.CT_UNKNOWN_PROTOCOL, PARSE) : forwarded(cx, ACTION.STACK, PARSE);
};

/**
 * Whether the packet is neighbour discovery (RFC 4861: types 133 to 137), which is not policed. Only with a hop limit of 255,
 * which no router lets through and no packet that was routed has (RFC 4861 §7.1): otherwise it would be a way past policy.
 */
export function isNeighbourDiscovery(cx: Context): boolean {
  const h = cx.headers;
  return h.family === 6 && h.protocol === 58 && h.icmpType >= 133 && h.icmpType <= 137 && h.ttl === 255;
}

const traceParsed = (cx: Context, status: number): void => {
  const h = cx.headers;
  const t = cx.trace.open(TRACE_PARSED, PARSE, status, 0);
  t.key(h.s0).key(h.s1).key(h.s2).key(h.s3).key(h.d0).key(h.d1).key(h.d2).key(h.d3).key(h.ports);
  t.value(h.family).value(h.protocol).value(h.fragment).value(h.tcpFlags).value(h.icmpType).value(h.icmpCode);
};
