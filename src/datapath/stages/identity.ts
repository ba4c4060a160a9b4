// Who the ends of a packet are: local endpoints by address, identities of everything else by longest prefix.
// Input: addresses in the headers, meta. Output: endpoint fields of the context, identity numbers.
// Invariant: at most one ipcache lookup a side; a miss is the world. Twin: native/bpf/identity.h.
import {
  backendValue4,
  backendValue6,
  endpointValue,
  FEATURE,
  IDENTITY,
  ipcacheValue,
  META_FLAG,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_GLOBAL_EPOCH, CONFIG_NODE } = config;

const EP = endpointValue.at;
const EP_IFINDEX = EP.ifindex >>> 2;
/** Low half: endpoint id; high half: node id. */
const EP_IDS = EP.endpointId >>> 2;
const EP_IDENTITY = EP.identity >>> 2;
const EP_POLICY = EP.policyId >>> 2;
const EP_EPOCH = EP.epoch >>> 2;
const EP_FLAGS = EP.flags >>> 2;
const EP_WORDS = endpointValue.bytes >>> 2;
const IPCACHE_IDENTITY = ipcacheValue.at.identity >>> 2;
const IPCACHE_NODE = ipcacheValue.at.nodeId >>> 2;
const IPCACHE_WORDS = ipcacheValue.bytes >>> 2;
/** Words of a backend whose low half is the node. */
const NODE4 = backendValue4.at.nodeId >>> 2;
const NODE6 = backendValue6.at.nodeId >>> 2;

const { IPV4, IPV6 } = FEATURE;
const { HOST, WORLD, WORLD_IPV4, WORLD_IPV6, REMOTE_NODE, KUBE_APISERVER } = IDENTITY;
const FROM_HOST = META_FLAG.FROM_HOST;
const ENDPOINTS4 = traceMapNumber('endpoints4');
const ENDPOINTS6 = traceMapNumber('endpoints6');
const IPCACHE4 = traceMapNumber('ipcache4');
const IPCACHE6 = traceMapNumber('ipcache6');

/** Cilium's skb mark: what the low byte's upper half and the next half-byte mean. */
const MARK_MASK = 0x0f00;
const MARK_HOST = 0x0c00;
const MARK_IDENTITY = 0x0f00;

/** The mark that carries an identity of up to 24 bits to the next hook (Cilium's MARK_MAGIC_IDENTITY). */
export function identityMark(identity: number): number {
  return (identity << 16) | ((identity >>> 16) & 0xff) | MARK_IDENTITY;
}

/** Word offset of the endpoint that has the packet's source address, in the endpoint map of its family, or -1. */
export function findSourceEndpoint(cx: Context, tables: Tables): number {
  const h = cx.headers;
  cx.probesEndpoint = (cx.probesEndpoint + 1) | 0;
  const at = h.family === 4 ? tables.endpoints4.find(h.s0) : tables.endpoints6.find(h.s0, h.s1, h.s2, h.s3);
  if (cx.tracing !== 0) traceEndpoint(cx, tables, at, true);
  return at;
}

/** As {@link findSourceEndpoint} for the destination address. */
export function findDestinationEndpoint(cx: Context, tables: Tables): number {
  const h = cx.headers;
  cx.probesEndpoint = (cx.probesEndpoint + 1) | 0;
  const at = h.family === 4 ? tables.endpoints4.find(h.d0) : tables.endpoints6.find(h.d0, h.d1, h.d2, h.d3);
  if (cx.tracing !== 0) traceEndpoint(cx, tables, at, false);
  return at;
}

/** Takes the endpoint at `at` as the one whose hook this is. Reads its epoch, which must happen before any policy probe. */
export function takeEndpoint(cx: Context, tables: Tables, at: number): void {
  const words = cx.headers.family === 4 ? tables.endpoints4.words : tables.endpoints6.words;
  const ids = words[at + EP_IDS]!;
  cx.endpointIfindex = words[at + EP_IFINDEX]!;
  cx.endpointId = ids & 0xffff;
  cx.endpointNode = ids >>> 16;
  cx.endpointIdentity = words[at + EP_IDENTITY]!;
  cx.endpointPolicy = words[at + EP_POLICY]!;
  cx.endpointFlags = words[at + EP_FLAGS]!;
  cx.epoch = (words[at + EP_EPOCH]! + tables.config.words[CONFIG_GLOBAL_EPOCH]!) | 0;
}

/**
 * Identity of the packet's source where the hook is not the source's own: META FROM_HOST → host; a mark that carries one
 * (0xC00 host, 0xF00 identity); else the ipcache, with the node rule of {@link refine}.
 */
export function identityOfSource(cx: Context, tables: Tables): number {
  if ((cx.metaFlags & FROM_HOST) !== 0) return HOST;
  const magic = cx.mark & MARK_MASK;
  if (magic === MARK_HOST) return HOST;
  if (magic === MARK_IDENTITY) return ((cx.mark & 0xff) << 16) | (cx.mark >>> 16);
  const h = cx.headers;
  cx.probesSourceIdentity = (cx.probesSourceIdentity + 1) | 0;
  if (h.family === 4) {
    const at = tables.ipcache4.find(0, h.s0);
    if (cx.tracing !== 0) {
      cx.trace.open(TRACE.IPCACHE, STAGE.POLICY, at >= 0 ? 1 : 0, IPCACHE4).key(h.s0);
      cx.trace.values(tables.ipcache4.words, at, IPCACHE_WORDS);
    }
    return refine(cx, tables.ipcache4.words, at);
  }
  const at = tables.ipcache6.find(0, h.s0, h.s1, h.s2, h.s3);
  if (cx.tracing !== 0) {
    cx.trace
      .open(TRACE.IPCACHE, STAGE.POLICY, at >= 0 ? 1 : 0, IPCACHE6)
      .key(h.s0)
      .key(h.s1)
      .key(h.s2)
      .key(h.s3);
    cx.trace.values(tables.ipcache6.words, at, IPCACHE_WORDS);
  }
  return refine(cx, tables.ipcache6.words, at);
}

/** Identity of the packet's destination by the ipcache, with the node rule of {@link refine}. */
export function identityOfDestination(cx: Context, tables: Tables): number {
  const h = cx.headers;
  cx.probesDestinationIdentity = (cx.probesDestinationIdentity + 1) | 0;
  if (h.family === 4) {
    const at = tables.ipcache4.find(0, h.d0);
    if (cx.tracing !== 0) {
      cx.trace.open(TRACE.IPCACHE, STAGE.POLICY, at >= 0 ? 1 : 0, IPCACHE4).key(h.d0);
      cx.trace.values(tables.ipcache4.words, at, IPCACHE_WORDS);
    }
    return refine(cx, tables.ipcache4.words, at);
  }
  const at = tables.ipcache6.find(0, h.d0, h.d1, h.d2, h.d3);
  if (cx.tracing !== 0) {
    cx.trace
      .open(TRACE.IPCACHE, STAGE.POLICY, at >= 0 ? 1 : 0, IPCACHE6)
      .key(h.d0)
      .key(h.d1)
      .key(h.d2)
      .key(h.d3);
    cx.trace.values(tables.ipcache6.words, at, IPCACHE_WORDS);
  }
  return refine(cx, tables.ipcache6.words, at);
}

/**
 * The identity of an ipcache entry as the endpoint of this hook sees it: a miss is the world (by family on a dual-stack
 * node); a node that the endpoint runs on is its host. One set of entries thus serves the endpoints of every node.
 */
const refine = (cx: Context, words: Int32Array, at: number): number => {
  if (at < 0) {
    if ((cx.features & (IPV4 | IPV6)) !== (IPV4 | IPV6)) return WORLD;
    return cx.headers.family === 4 ? WORLD_IPV4 : WORLD_IPV6;
  }
  const identity = words[at + IPCACHE_IDENTITY]!;
  if (identity === REMOTE_NODE || identity === KUBE_APISERVER || identity >>> 24 === 2) {
    const node = words[at + IPCACHE_NODE]! & 0xffff;
    if (node !== 0 && node === cx.endpointNode) return HOST;
  }
  return identity;
};

const traceEndpoint = (cx: Context, tables: Tables, at: number, source: boolean): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const t = cx.trace.open(
    TRACE.ENDPOINT,
    source ? STAGE.PARSE : STAGE.FORWARD,
    at >= 0 ? 1 : 0,
    four ? ENDPOINTS4 : ENDPOINTS6,
  );
  t.key(source ? h.s0 : h.d0);
  if (!four)
    t.key(source ? h.s1 : h.d1)
      .key(source ? h.s2 : h.d2)
      .key(source ? h.s3 : h.d3);
  t.values(four ? tables.endpoints4.words : tables.endpoints6.words, at, EP_WORDS);
};

/** Whether the backend at offset `at` of its array has an address that is in the endpoint map: a pod's or the host's. */
export function isEndpoint(cx: Context, tables: Tables, at: number): boolean {
  cx.probesEndpoint = (cx.probesEndpoint + 1) | 0;
  if (cx.headers.family === 4) return tables.endpoints4.find(tables.backends4.words[at]!) >= 0;
  const { words } = tables.backends6;
  return tables.endpoints6.find(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!) >= 0;
}

/** The node that the backend at offset `at` of its array is on; 0: nobody has said. */
export function nodeOfBackend(cx: Context, tables: Tables, at: number): number {
  const word = cx.headers.family === 4 ? tables.backends4.words[at + NODE4]! : tables.backends6.words[at + NODE6]!;
  return word & 0xffff;
}

/**
 * Whether the backend at offset `at` of its array is on this node: an endpoint, or a process of the node itself, which only has an
 * endpoint where the host is policed. (Cilium's endpoint map always has the node's addresses.)
 */
export function isLocalBackend(cx: Context, tables: Tables, at: number): boolean {
  if (isEndpoint(cx, tables, at)) return true;
  const own = tables.config.words[CONFIG_NODE]! & 0xffff;
  return own !== 0 && nodeOfBackend(cx, tables, at) === own;
}
