// The benchmark's node: frontends with a Maglev table each, backends here and elsewhere, pods with a policy, and the flows'
// entries in the controls' maps. Input: a loaded object. Output: filled maps. Invariant: the same content on every machine.
import { type ByteMap, typedMap, typedTables } from '../../src/maps/index.ts';
import {
  ALGORITHM,
  BACKEND_STATE,
  CT_FLAG,
  FEATURE,
  MAGLEV_SLOT,
  MAPS,
  NEXT_HOP,
  POLICY_FLAG,
  SERVICE_FLAG,
} from '../../src/schema/index.ts';
import { checked } from '../../src/dataplane/xdp/index.ts';
import type { BenchObject } from './object.ts';

/** Flows of the larger cases. */
export const FLOWS = 100_000;
export const PORT = 80;
/** First client outside; first pod. Host order. */
export const CLIENTS = 0x0b000000;
export const PODS = 0x0a000001;
/** Frontends: a settled table; one whose flows move; backends on this node; backends on other nodes; none. */
export const FRONTEND = {
  settled: 0x0a600001,
  moving: 0x0a600002,
  local: 0x0a600003,
  remote: 0x0a600004,
  absent: 0x0c600001,
} as const;

const TCP = 6;
const BACKEND_PORT = 8080;
const BACKENDS = 100;
const OTHER_FRONTENDS = 5000;
const POD_COUNT = 8;
const LOOPBACK_IFINDEX = 1; // that of a test run
const UPLINK_IFINDEX = 2;
const NODE = 0xac120000;
const FLOW_SPREAD = 37;
const PORTS_A_POD = 1 << 14;
const FIRST_PORT = 1024;
const LPM_PREFIXES = 10_000;

/** What a node without the optional features has on. Events are measured apart. */
export const FEATURES =
  FEATURE.IPV4 |
  FEATURE.ICMP_FRAG_NEEDED |
  FEATURE.ICMP_RULES |
  FEATURE.FRAGMENTS_V4 |
  FEATURE.SOURCE_CHECK |
  FEATURE.NO_BACKEND_REJECT |
  FEATURE.NODE_PORT |
  FEATURE.DSR_IPIP;

function check(errno: number): void {
  if (errno < 0) throw new Error(`a map refused the benchmark's content: ${errno}`);
}

const mac = (kind: number, n: number): Uint8Array => Uint8Array.of(2, 0, 0, kind, (n >>> 8) & 255, n & 255);

/** Fills the datapath's maps. @param features the configuration's FEATURE bits */
export function fillNode({ maps }: BenchObject, features: number): void {
  const config = {
    features,
    globalEpoch: 0,
    algorithm: ALGORITHM.MAGLEV,
    maglevSize: MAPS.maglev4.innerEntries ?? 0,
    hashSeed4: 0x5eed,
    hashSeed6: 0,
    randomSeed: 1,
    ctTcpLifetime: 8000,
    ctAnyLifetime: 60,
    ctServiceTcpLifetime: 8000,
    ctServiceAnyLifetime: 60,
    ctSynLifetime: 3600, // no entry may expire while the benchmark runs
    ctCloseLifetime: 10,
    ctServiceGrace: 60,
    reportInterval: 5,
    nodePortFirst: 30000,
    nodePortLast: 32767,
    loopback4: 0xa9fe2a01,
    loopback6: new Uint8Array(16),
    nodeId: 1,
    tunnelPort: 0,
    flowLifetime: 8000,
    encapSource4: 0xac100000,
    encapSource6: new Uint8Array(16),
    encapPrefix4: 16,
    encapPrefix6: 128,
    routerAddress4: 0,
    routerAddress6: new Uint8Array(16),
    natPortFirst: 32768,
    natPortLast: 65535,
  };
  check(typedMap(MAPS.config, maps.config).set({ index: 0 }, config));
  fillFrontends(maps);
  fillPods(maps);
}

type Maps = BenchObject['maps'];

function fillFrontends(maps: Maps): void {
  const services = typedMap(MAPS.services4, maps.services4);
  const reverse = typedMap(MAPS.reverseNat4, maps.reverseNat4);
  const tables = typedTables(MAPS.maglev4, maps.maglev4);
  const backends = typedMap(MAPS.backends4, maps.backends4);
  const hops = typedMap(MAPS.nextHops4, maps.nextHops4);
  const endpoints = typedMap(MAPS.endpoints4, maps.endpoints4);
  const slots = MAPS.maglev4.innerEntries ?? 0;
  const plan = [
    { address: FRONTEND.settled, first: 1, moving: 0 },
    { address: FRONTEND.moving, first: 1, moving: MAGLEV_SLOT.MOVING },
    { address: FRONTEND.local, first: 1001, moving: 0 },
    { address: FRONTEND.remote, first: 2001, moving: 0 },
  ];
  const master = { target: 0, count: BACKENDS, drainCount: 0, flags: SERVICE_FLAG.ROUTABLE | SERVICE_FLAG.FORWARD_DSR };
  for (const [i, { address, first, moving }] of plan.entries()) {
    const reverseNat = i + 1;
    const key = { address, port: PORT, protocol: TCP, scope: 0, slot: 0 };
    const table = Uint32Array.from({ length: slots }, (_, s) => first + ((s * 7919) % BACKENDS) + moving);
    check(tables.set({ reverseNat }, table));
    check(reverse.set({ index: reverseNat }, { address, port: PORT, flags: 1 }));
    check(services.set(key, { ...master, reverseNat }));
    for (let n = 0; n < BACKENDS; n++) {
      const id = first + n;
      // One /24 a node, as pods have.
      const local = first === 1001;
      const backend = local ? 0x0a000101 + n : 0x0a010001 + (first << 8) + (n << 8);
      const value = { address: backend, port: BACKEND_PORT, protocol: TCP, state: BACKEND_STATE.ACTIVE };
      check(backends.set({ id }, { ...value, nodeId: local ? 1 : 2 + n, zone: 0, flags: 0 }));
      const hop = { ifindex: 0, mtu: 1500, flags: NEXT_HOP.KNOWN, destinationMac: mac(3, n), sourceMac: mac(3, 999) };
      check(hops.set({ id }, hop));
      if (!local) continue;
      const ids = { ifindex: 100 + n, endpointId: 100 + n, nodeId: 1, identity: 2000, policyId: 0, epoch: 1, flags: 0 };
      check(endpoints.set({ address: backend }, { ...ids, mac: mac(1, n), nodeMac: mac(2, n) }));
    }
  }
  for (let n = 0; n < OTHER_FRONTENDS; n++) {
    const key = { address: 0x0a610000 + n, port: PORT, protocol: TCP, scope: 0, slot: 0 };
    check(services.set(key, { ...master, reverseNat: 100 + n }));
  }
}

function fillPods(maps: Maps): void {
  const endpoints = typedMap(MAPS.endpoints4, maps.endpoints4);
  for (let n = 0; n < POD_COUNT; n++) {
    const ids = { endpointId: 1 + n, nodeId: 1, identity: 1000, policyId: 1, epoch: 1, flags: 0 };
    const macs = { mac: mac(1, 500 + n), nodeMac: mac(2, 500 + n) };
    check(endpoints.set({ address: PODS + n }, { ...ids, ...macs, ifindex: LOOPBACK_IFINDEX }));
  }
  const ipcache = typedMap(MAPS.ipcache4, maps.ipcache4);
  const pods = { prefixLength: 32 + 8, clusterId: 0, address: 0x0a000000 };
  check(ipcache.set(pods, { identity: 2000, nodeId: 1, flags: 0, key: 0, tunnelEndpoint: new Uint8Array(16) }));
  const shapes = { ingressShapes: [0, 0, 0], egressShapes: [1 << 16, 0, 0] };
  const meta = { flags: POLICY_FLAG.ENFORCE_EGRESS, ingressCookie: 0, egressCookie: 7, ...shapes };
  check(typedMap(MAPS.policyMeta, maps.policyMeta).set({ policyId: 1 }, meta));
  const key = { policyId: 1, identity: 2000, protocol: TCP, port: BACKEND_PORT, shape: 0x80 | 16 };
  const allow = { precedence: 0xffff01, cookie: 9, proxyPort: 0, flags: 0 };
  check(typedMap(MAPS.policy, maps.policy).set(key, allow));
  const routes = typedMap(MAPS.routes4, maps.routes4);
  const neighbours = typedMap(MAPS.neighbours4, maps.neighbours4);
  for (let n = 0; n < BACKENDS; n++) {
    const gateway = new Uint8Array(16);
    new DataView(gateway.buffer).setUint32(0, NODE + n);
    const address = (0x0a010000 + (2001 << 8) + (n << 8)) & ~255;
    check(routes.set({ prefixLength: 24, address }, { ifindex: UPLINK_IFINDEX, mtu: 1500, flags: 0, gateway }));
    const macs = { destination: mac(3, n), source: mac(3, 999) };
    check(neighbours.set({ ifindex: UPLINK_IFINDEX, address: NODE + n }, macs));
  }
}

/**
 * Makes every unanswered connection an answered one, as its first answer does: connections, their service entries and
 * the twins for ICMP errors move, in the order of the flows. How many moved.
 */
export function answerAll({ maps }: BenchObject): number {
  let moved = 0;
  for (const [from, to] of [
    [maps.ctTcpNew4, maps.ctTcp4],
    [maps.ctAnyNew4, maps.ctAny4],
  ] as const) {
    const { count, keys, values } = from.dump();
    const { flags, reverseNat } = MAPS.ctTcp4.value.at;
    const [keyBytes, size] = [from.spec.key.bytes, from.spec.value.bytes];
    const keyView = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
    const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
    const flowOf = (n: number): number => {
      const low = keyView.getUint32(n * keyBytes) - PODS;
      const end = low >= 0 && low < POD_COUNT ? 0 : 1;
      const pod = keyView.getUint32(n * keyBytes + 4 * end) - PODS;
      const port = keyView.getUint16(n * keyBytes + 8 + 2 * end);
      const frontend = view.getUint16(n * size + reverseNat, true);
      return frontend * 2 ** 20 + pod * PORTS_A_POD + port;
    };
    const order = Array.from({ length: count }, (_, n) => ({ n, flow: flowOf(n) })).sort((a, b) => a.flow - b.flow);
    const sortedKeys = new Uint8Array(keys.length);
    const sortedValues = new Uint8Array(values.length);
    for (const [place, { n }] of order.entries()) {
      view.setUint16(n * size + flags, view.getUint16(n * size + flags, true) | CT_FLAG.ANSWERED, true);
      sortedKeys.set(keys.subarray(n * keyBytes, (n + 1) * keyBytes), place * keyBytes);
      sortedValues.set(values.subarray(n * size, (n + 1) * size), place * size);
    }
    const done = new Int32Array(1);
    check(to.updateMany(sortedKeys, sortedValues, count, done));
    check(from.deleteMany(keys, count, done));
    moved += count;
  }
  return moved;
}

/** Fills the controls' maps with the flows of `flow.h`. */
export function fillControls(object: BenchObject): void {
  const { addon } = object;
  const put = (map: string, keys: Uint8Array, keyBytes: number, values: Uint8Array): void => {
    const done = new Int32Array(1);
    const count = keys.length / keyBytes;
    checked(addon.mapUpdateBatch(object.map(map), keys, values.subarray(0, count * 16), count, 0, done), 'fill', map);
  };
  const values = new Uint8Array(131072 * 16).fill(1);
  put('control_array', new Uint8Array(Uint32Array.from({ length: 131072 }, (_, i) => i).buffer), 4, values);
  const keys = new Uint8Array(FLOWS * 20);
  const view = new DataView(keys.buffer);
  for (let flow = 0; flow < FLOWS; flow++) {
    const at = flow * 20;
    view.setUint32(at, CLIENTS + ((flow * FLOW_SPREAD) & 0xffffff));
    view.setUint32(at + 4, FRONTEND.settled);
    view.setUint16(at + 8, FIRST_PORT + (flow & (PORTS_A_POD - 1)));
    view.setUint16(at + 10, PORT);
    view.setUint32(at + 12, TCP, true);
  }
  put('control_hash', keys, 20, values);
  put('control_lru', keys, 20, values);
  // One network of all clients, and as many smaller ones as there is room for.
  const prefixes = new DataView(new ArrayBuffer(LPM_PREFIXES * 8));
  prefixes.setUint32(0, 8, true);
  prefixes.setUint32(4, CLIENTS);
  for (let n = 1; n < LPM_PREFIXES; n++) {
    prefixes.setUint32(n * 8, 24, true);
    prefixes.setUint32(n * 8 + 4, CLIENTS + (n << 8));
  }
  put('control_lpm', new Uint8Array(prefixes.buffer), 8, values);
}

/** Entries of a map. */
export const count = (map: ByteMap): number => map.size;
