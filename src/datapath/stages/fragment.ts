// Stage "fragment": the first fragment's ports are recorded, later fragments look them up.
// Input: headers of a parsed packet. Output: `cx.ports`, or `cx.portless` where tracking is off.
// Invariant: a packet that is no fragment costs one comparison. Twin: native/bpf/fragment.h.
import { DIRECTION, DROP, FEATURE, HOOK, IDENTITY, STAGE, TRACE, traceMapNumber } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import { count } from '../metrics.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import { identityOfSource } from './identity.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONTINUE, drop } = verdicts;

const PARSE = STAGE.PARSE;
const { FRAGMENTS_V4, FRAGMENTS_V6 } = FEATURE;
const MAP4 = traceMapNumber('fragments4');
const MAP6 = traceMapNumber('fragments6');
/** Cilium's metrics reasons: "Fragmented packet" and "Fragmented packet entry update failed". */
const FRAGMENTED = 9;
const UPDATE_FAILED = 10;

/**
 * Gives a fragment its ports (Cilium: ipv4_handle_fragmentation). A later fragment whose first was not seen is dropped: 175,
 * or 207 when it comes from the world. With tracking off a pod sends no fragments (157), and elsewhere a fragment has no ports.
 */
export function fragment(cx: Context, tables: Tables): number {
  return cx.headers.fragment === 0 ? CONTINUE : handleFragment(cx, tables);
}

const handleFragment = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  count(cx, tables, FRAGMENTED, fragmentDirection(cx));
  if ((cx.features & (h.family === 4 ? FRAGMENTS_V4 : FRAGMENTS_V6)) === 0) {
    if (cx.egress !== 0) return drop(cx, DROP.FRAG_NO_SUPPORT, PARSE);
    if (h.fragment === 2) cx.portless = 1;
    return CONTINUE;
  }
  return h.fragment === 1 ? record(cx, tables) : lookUp(cx, tables);
};

/** Pod hooks count by their own direction, node hooks as the service lookup that wants the ports. */
const fragmentDirection = (cx: Context): number => {
  if (cx.egress !== 0) return DIRECTION.EGRESS;
  return cx.hook === HOOK.TO_CONTAINER ? DIRECTION.INGRESS : DIRECTION.SERVICE;
};

const record = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  const { ports } = cx;
  if (cx.probe === 0) {
    const map = h.family === 4 ? tables.fragments4 : tables.fragments6;
    const at =
      h.family === 4
        ? tables.fragments4.insert(h.s0, h.d0, (h.fragId & 0xffff) | (h.protocol << 16))
        : tables.fragments6.insert(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, h.fragId, h.protocol);
    if (at >= 0) map.words[at] = ports;
    else count(cx, tables, UPDATE_FAILED, fragmentDirection(cx));
  }
  if (cx.tracing !== 0) traceFragment(cx, 2, ports);
  return CONTINUE;
};

const lookUp = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  cx.probesFragment = (cx.probesFragment + 1) | 0;
  const map = h.family === 4 ? tables.fragments4 : tables.fragments6;
  const at = seekFragment(cx, tables);
  if (at >= 0) {
    cx.ports = map.words[at]!;
    if (cx.tracing !== 0) traceFragment(cx, 1, cx.ports);
    return CONTINUE;
  }
  if (cx.tracing !== 0) traceFragment(cx, 0, 0);
  let fromWorld = false;
  if (cx.egress === 0) {
    cx.sourceIdentity = identityOfSource(cx, tables);
    fromWorld =
      cx.sourceIdentity === IDENTITY.WORLD ||
      cx.sourceIdentity === IDENTITY.WORLD_IPV4 ||
      cx.sourceIdentity === IDENTITY.WORLD_IPV6;
  }
  return drop(cx, fromWorld ? DROP.FRAG_NOT_FOUND_FROM_WORLD : DROP.FRAG_NOT_FOUND, PARSE);
};

/** The datagram's ports: offset of the value, or -1. A probe leaves no mark of use. */
const seekFragment = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  if (h.family === 4) {
    const { fragments4 } = tables;
    const rest = (h.fragId & 0xffff) | (h.protocol << 16);
    return cx.probe === 0 ? fragments4.find(h.s0, h.d0, rest) : fragments4.peek(h.s0, h.d0, rest);
  }
  const { fragments6 } = tables;
  return cx.probe === 0
    ? fragments6.find(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, h.fragId, h.protocol)
    : fragments6.peek(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, h.fragId, h.protocol);
};

const traceFragment = (cx: Context, result: number, ports: number): void => {
  const h = cx.headers;
  const t = cx.trace.open(TRACE.FRAGMENT, PARSE, result, h.family === 4 ? MAP4 : MAP6);
  if (h.family === 4) {
    t.key(h.s0)
      .key(h.d0)
      .key((h.fragId & 0xffff) | (h.protocol << 16));
  } else {
    t.key(h.s0).key(h.s1).key(h.s2).key(h.s3).key(h.d0).key(h.d1).key(h.d2).key(h.d3).key(h.fragId).key(h.protocol);
  }
  t.value(ports);
};
