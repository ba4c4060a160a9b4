// Stage "ipip": at from-netdev, a client's packet into an IPIP packet to its backend on another node (direct server return), and a
// balancer's IPIP packet opened again. Input: a packet for a frontend with FORWARD_DSR; an IPIP packet around one for a load balancer.
// Output: the outer packet in `cx.grown`, routed; or the context moved to the inner packet. Invariant: the inner packet is
// unchanged. No twin in C yet: see SIMULATOR_FEATURES (xdp has encapsulate.ts, with its twin).
import {
  ACTION,
  ANSWER,
  DROP,
  FEATURE,
  RECORD_FLAG,
  SERVICE_FLAG,
  serviceValue,
  STAGE,
  TRACE,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as encapsulateStage from './encapsulate.ts';
import * as forwardStage from './forward.ts';
import * as parseStage from './parse.ts';
import * as serviceMap from './service-map.ts';
import * as serviceStage from './service.ts';
import * as snat from './snat.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { LINK_TYPE, parseFrame, writeRaw32 } = wire;
const OK = wire.WIRE.OK;
const { drop, forwarded } = verdicts;
const { openGap, writeOuter4, writeOuter6 } = encapsulateStage;
const { findWay } = forwardStage;
const { parse } = parseStage;
const { findService, serviceWords } = serviceMap;
const { isBalanced } = serviceStage;
const { markDone } = snat;

const FORWARD = STAGE.FORWARD;
const PARSE = STAGE.PARSE;
const { STACK, REDIRECT } = ACTION;
const { ENCAPSULATED, DECAPSULATED } = RECORD_FLAG;
const LOAD_BALANCER = SERVICE_FLAG.LOAD_BALANCER;
const PMTU_DISCOVERY = FEATURE.PMTU_DISCOVERY;
/** Low half SERVICE_FLAG of a master entry. */
const FLAGS = serviceValue.at.flags >>> 2;
const ETHERNET = LINK_TYPE.ETHERNET;
const OUTER4 = 20;
const OUTER6 = 40;
const IPV4_IN = 4;
const IPV6_IN = 41;
const RAW_IPV4 = 228;
const RAW_IPV6 = 229;
const LENGTH_MOST = 0xffff;

/**
 * Sends the packet to the backend at `at` of the backend array inside IPIP, by route and neighbour of the backend (Cilium redirects to
 * its IPIP device with the backend as the tunnel's remote end). Too long for a header or for the route: 136.
 */
export function encapsulateByRoute(cx: Context, tables: Tables, at: number): number {
  const h = cx.headers;
  const four = h.family === 4;
  const { words } = four ? tables.backends4 : tables.backends6;
  const outer = four ? OUTER4 : OUTER6;
  const total = h.l3Length + outer;
  if ((four ? total : h.l3Length) > LENGTH_MOST) return drop(cx, DROP.FRAG_NEEDED, FORWARD);
  const way = findWay(
    cx,
    tables,
    four,
    words[at]!,
    four ? 0 : words[at + 1]!,
    four ? 0 : words[at + 2]!,
    four ? 0 : words[at + 3]!,
  );
  const mtu = cx.wayMtu;
  const size = cx.gsoSize !== 0 ? (cx.gsoSize + h.payload - h.l3 + outer) | 0 : total;
  if (mtu !== 0 && size > mtu) {
    if ((cx.features & PMTU_DISCOVERY) !== 0) cx.answer = ANSWER.TOO_BIG;
    cx.answerMtu = (mtu - outer) | 0;
    return drop(cx, DROP.FRAG_NEEDED, FORWARD);
  }
  if (!openGap(cx, h.l3 - cx.offset, outer)) return drop(cx, DROP.WRITE_ERROR, FORWARD);
  if (four) writeOuter4(cx, tables, at, total);
  else writeOuter6(cx, tables, at);
  if (way && cx.linkType === ETHERNET) {
    const { grown } = cx;
    writeRaw32(grown, 0, cx.mac0);
    writeRaw32(grown, 4, cx.mac1);
    writeRaw32(grown, 8, cx.mac2);
  }
  cx.recordFlags |= ENCAPSULATED;
  markDone(cx);
  if (cx.tracing !== 0) {
    const t = cx.trace.open(TRACE.ENCAPSULATE, FORWARD, 1, 0).key(0).key(0).key(0).key(0);
    for (let i = 0; i < 4; i++) t.key(four && i > 0 ? 0 : words[at + i]!);
    t.value(total)
      .value(way ? REDIRECT : STACK)
      .value(cx.outIfindex);
  }
  return forwarded(cx, way ? REDIRECT : STACK, FORWARD);
}

/**
 * Opens an IPIP packet whose inner one is for a load-balancer frontend (Cilium: decap_ipip, enable-ipip-termination, there for IPv4
 * alone): CONTINUE, with the inner packet parsed in the context. Anything else stays as it is, with the verdict it had.
 * @param verdict of the outer packet's parse
 */
export function openIpip(cx: Context, tables: Tables, verdict: number): number {
  const h = cx.headers;
  const four = h.family === 4;
  if (h.fragment !== 0 || h.protocol !== (four ? IPV4_IN : IPV6_IN)) return verdict;
  const { offset } = cx;
  const link = h.l3 - offset;
  const inner = h.l4;
  if (inner >= cx.capturedEnd) return verdict;
  const { bytes } = cx;
  const status = parseFrame(h, four ? RAW_IPV4 : RAW_IPV6, bytes, inner, cx.capturedEnd, cx.wireEnd);
  if (status === OK && isForLoadBalancer(cx, tables)) {
    // The link header moves up to the inner packet; it is as long, and says the same.
    for (let i = link - 1; i >= 0; i--) bytes[inner - link + i] = bytes[offset + i]!;
    cx.offset = inner - link;
    cx.recordFlags |= DECAPSULATED;
    cx.moved = 1;
    if (cx.tracing !== 0) cx.trace.open(TRACE.IPIP_OPENED, PARSE, 1, 0).value(inner - offset - link);
  }
  return parse(cx);
}

const isForLoadBalancer = (cx: Context, tables: Tables): boolean => {
  if (!isBalanced(cx) || cx.headers.fragment === 2) return false;
  const at = findService(cx, tables, cx.headers.ports >>> 16, cx.headers.protocol);
  return at >= 0 && (serviceWords(cx, tables)[at + FLAGS]! & LOAD_BALANCER) !== 0;
};
