// The benchmark's node and its packets: map content for 5,000 ClusterIPs with 10 backends each, and frames of clients'
// TCP connections to them. Input: sizes. Output: map content as schema values, frames in one buffer.
// Invariant: the same sizes give the same bytes.
import { type ByteMap, typedMap } from '../../src/maps/index.ts';
import {
  ALGORITHM,
  BACKEND_STATE,
  FEATURE,
  IDENTITY,
  MAPS,
  POLICY_DIRECTION,
  POLICY_FLAG,
  POLICY_TIER,
  PRECEDENCE,
} from '../../src/schema/index.ts';
import { DEFAULT_MAGLEV_SEED, type MaglevSeed, maglevTable, parseMaglevSeed } from '../../src/control/maglev/index.ts';

/** Sizes of the node. */
export const NODE = {
  services: 5000,
  backendsPerService: 10,
  maglevSize: 16381,
  clients: 1000,
  /** Kinds of clients: each has an identity and a policy of its own. */
  roles: 50,
  nodes: 200,
} as const;

const SERVICE_PORT = 80;
const BACKEND_PORT = 8080;
const TCP = 6;
const FIRST_FRONTEND = 0x0a60000a; // 10.96.0.10
const FIRST_CLIENT = 0x0af50002; // 10.245.0.2
const BACKENDS = 0x0af40000; // 10.244.0.0/16, a /24 a node
const NODE_ADDRESSES = 0xac120000; // 172.18.0.0/16
const FIRST_CLIENT_IFINDEX = 10;
const UPLINK_IFINDEX = 2;

/** Address of a frontend, a client, a backend (ids from 1) and a node; host order. */
export const frontendAddress = (service: number): number => FIRST_FRONTEND + service;
export const clientAddress = (client: number): number => FIRST_CLIENT + client;
export const backendAddress = (id: number): number =>
  BACKENDS + ((id % NODE.nodes) << 8) + 2 + Math.floor(id / NODE.nodes);
const nodeAddress = (node: number): number => NODE_ADDRESSES + 2 + node;

/** The service that a backend serves; its identity; the role of a client, its identity, its policy. */
export const serviceOf = (backend: number): number => Math.floor((backend - 1) / NODE.backendsPerService);
export const serviceIdentity = (service: number): number => 1000 + service;
export const roleOf = (client: number): number => client % NODE.roles;
export const roleIdentity = (role: number): number => IDENTITY.CLUSTER_FIRST + role;
export const rolePolicy = (role: number): number => role + 1;
/** Whether a role's policy lets it reach a service: 15 of 16. */
export const isAllowed = (role: number, service: number): boolean => (service * 7 + role) % 16 !== 0;
/** Rule set of the entry that allows, and of the policy's default deny. */
export const allowCookie = (role: number, service: number): number => 1 + role * NODE.services + service;
export const denyCookie = (role: number): number => 1_000_000 + role;
/** Interface of a client; of a backend on this node. */
export const clientIfindex = (client: number): number => FIRST_CLIENT_IFINDEX + client;
const backendIfindex = (id: number): number => FIRST_CLIENT_IFINDEX + NODE.clients + id / NODE.nodes;
/** MACs of a pod, of the host's side of its device, and of a node. */
export const podMac = (ifindex: number): Uint8Array => Uint8Array.of(2, 0, 0, 1, ifindex >>> 8, ifindex & 255);
export const hostMac = (ifindex: number): Uint8Array => Uint8Array.of(2, 0, 0, 2, ifindex >>> 8, ifindex & 255);
export const nodeMac = (node: number): Uint8Array => Uint8Array.of(2, 0, 0, 3, 0, node);
/** Interfaces towards a local endpoint, and out of the node. */
export const outIfindexOf = (backend: number): number =>
  backend % NODE.nodes === 0 ? backendIfindex(backend) : UPLINK_IFINDEX;

/** Maglev table of a service as control makes it. */
function tableOf(service: number, size: number): Uint32Array {
  const first = service * NODE.backendsPerService + 1;
  const backends = Array.from({ length: NODE.backendsPerService }, (_, i) => {
    const id = first + i;
    const a = backendAddress(id);
    const address = `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
    return { id, address, port: BACKEND_PORT, protocol: 'TCP' };
  });
  return maglevTable(backends, { size, seed: MAGLEV_SEED.murmur });
}

/** The default seeds of Maglev tables and of the flow hash. */
export const MAGLEV_SEED = parseMaglevSeed(DEFAULT_MAGLEV_SEED) as MaglevSeed;

/** Maps of the node that are written, by their names in MAPS. */
export type NodeMaps = Readonly<
  Record<
    | 'config'
    | 'services4'
    | 'backends4'
    | 'reverseNat4'
    | 'maglev4'
    | 'endpoints4'
    | 'ipcache4'
    | 'policy'
    | 'policyMeta'
    | 'routes4'
    | 'neighbours4',
    ByteMap
  >
>;

function check(errno: number): void {
  if (errno < 0) throw new Error(`a map refused the benchmark's content: ${errno}`);
}

/** Writes the node's maps. @param maglevSize elements of a Maglev table, as many as the map's own hold */
export function fillMaps(maps: NodeMaps, maglevSize: number = NODE.maglevSize): void {
  fillConfig(maps, maglevSize);
  fillServices(maps, maglevSize);
  fillEndpoints(maps);
  fillPolicy(maps);
  fillRoutes(maps);
}

function fillConfig(maps: NodeMaps, maglevSize: number): void {
  const { IPV4, ICMP_FRAG_NEEDED, ICMP_RULES, EVENTS, FRAGMENTS_V4, SOURCE_CHECK, NO_BACKEND_REJECT, NODE_PORT } =
    FEATURE;
  const value = {
    features:
      IPV4 | ICMP_FRAG_NEEDED | ICMP_RULES | EVENTS | FRAGMENTS_V4 | SOURCE_CHECK | NO_BACKEND_REJECT | NODE_PORT,
    globalEpoch: 0,
    algorithm: ALGORITHM.MAGLEV,
    maglevSize,
    hashSeed4: MAGLEV_SEED.hash4,
    hashSeed6: MAGLEV_SEED.hash6,
    randomSeed: 1,
    ctTcpLifetime: 8000,
    ctAnyLifetime: 60,
    ctServiceTcpLifetime: 8000,
    ctServiceAnyLifetime: 60,
    ctSynLifetime: 60,
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
    encapSource4: 0,
    encapSource6: new Uint8Array(16),
    encapPrefix4: 32,
    encapPrefix6: 128,
    routerAddress4: 0,
    routerAddress6: new Uint8Array(16),
    natPortFirst: 32768,
    natPortLast: 65535,
  };
  check(typedMap(MAPS.config, maps.config).set({ index: 0 }, value));
}

function fillServices(maps: NodeMaps, maglevSize: number): void {
  const services = typedMap(MAPS.services4, maps.services4);
  const backends = typedMap(MAPS.backends4, maps.backends4);
  const reverse = typedMap(MAPS.reverseNat4, maps.reverseNat4);
  for (let s = 0; s < NODE.services; s++) {
    const reverseNat = s + 1;
    const key = { address: frontendAddress(s), port: SERVICE_PORT, protocol: TCP, scope: 0 };
    const value = { reverseNat, flags: 0, drainCount: 0 };
    for (let slot = 1; slot <= NODE.backendsPerService; slot++) {
      const id = s * NODE.backendsPerService + slot;
      const backend = { address: backendAddress(id), port: BACKEND_PORT, protocol: TCP, state: BACKEND_STATE.ACTIVE };
      check(backends.set({ id }, { ...backend, nodeId: (id % NODE.nodes) + 1, zone: 0, flags: 0 }));
      check(services.set({ ...key, slot }, { ...value, target: id, count: 0 }));
    }
    check(reverse.set({ index: reverseNat }, { address: key.address, port: SERVICE_PORT, flags: 1 }));
    check(
      maps.maglev4.update(
        new Uint8Array(Uint32Array.of(reverseNat).buffer),
        new Uint8Array(tableOf(s, maglevSize).buffer),
      ),
    );
    check(services.set({ ...key, slot: 0 }, { ...value, target: 0, count: NODE.backendsPerService }));
  }
}

function fillEndpoints(maps: NodeMaps): void {
  const endpoints = typedMap(MAPS.endpoints4, maps.endpoints4);
  const add = (address: number, ifindex: number, identity: number, policyId: number): void => {
    const ids = { ifindex, endpointId: ifindex, nodeId: 1, identity, policyId, epoch: 1, flags: 0 };
    check(endpoints.set({ address }, { ...ids, mac: podMac(ifindex), nodeMac: hostMac(ifindex) }));
  };
  for (let c = 0; c < NODE.clients; c++) {
    add(clientAddress(c), clientIfindex(c), roleIdentity(roleOf(c)), rolePolicy(roleOf(c)));
  }
  for (let id = NODE.nodes; id <= NODE.services * NODE.backendsPerService; id += NODE.nodes) {
    add(backendAddress(id), backendIfindex(id), serviceIdentity(serviceOf(id)), 0);
  }
}

function fillPolicy(maps: NodeMaps): void {
  const ipcache = typedMap(MAPS.ipcache4, maps.ipcache4);
  const addIdentity = (address: number, bits: number, identity: number, nodeId: number): void => {
    const value = { identity, nodeId, flags: 0, key: 0, tunnelEndpoint: new Uint8Array(16) };
    check(ipcache.set({ prefixLength: 32 + bits, clusterId: 0, address }, value));
  };
  addIdentity(0, 0, IDENTITY.WORLD, 0);
  for (let n = 0; n < NODE.nodes; n++) addIdentity(nodeAddress(n), 32, IDENTITY.REMOTE_NODE, n + 1);
  for (let c = 0; c < NODE.clients; c++) addIdentity(clientAddress(c), 32, roleIdentity(roleOf(c)), 1);
  for (let id = 1; id <= NODE.services * NODE.backendsPerService; id++) {
    addIdentity(backendAddress(id), 32, serviceIdentity(serviceOf(id)), (id % NODE.nodes) + 1);
  }
  const policy = typedMap(MAPS.policy, maps.policy);
  const meta = typedMap(MAPS.policyMeta, maps.policyMeta);
  const precedence = (verdict: number): number => (POLICY_TIER.LOWEST - POLICY_TIER.NORMAL) * 256 + verdict;
  const exact = POLICY_DIRECTION.EGRESS | 16;
  for (let role = 0; role < NODE.roles; role++) {
    const policyId = rolePolicy(role);
    const key = { policyId, protocol: TCP, shape: exact };
    const value = { proxyPort: 0, flags: 0 };
    for (let s = 0; s < NODE.services; s++) {
      if (!isAllowed(role, s)) continue;
      const allow = { ...value, precedence: precedence(PRECEDENCE.ALLOW), cookie: allowCookie(role, s) };
      check(policy.set({ ...key, identity: serviceIdentity(s), port: BACKEND_PORT }, allow));
    }
    // Nobody may open ssh to the cluster; anybody may ask for names. No packet here does either.
    const deny = { ...value, precedence: precedence(PRECEDENCE.DENY), cookie: 2_000_000 + role };
    check(policy.set({ ...key, identity: IDENTITY.AGGREGATE_CLUSTER, port: 22 }, deny));
    const names = { ...value, precedence: precedence(PRECEDENCE.ALLOW), cookie: 3_000_000 + role };
    check(policy.set({ ...key, identity: 0, port: 53 }, names));
    const shapes = { ingressShapes: [0, 0, 0], egressShapes: [1 << 16, 1 << 16, 1 << 16] };
    const cookies = { ingressCookie: 0, egressCookie: denyCookie(role) };
    check(meta.set({ policyId }, { flags: POLICY_FLAG.ENFORCE_EGRESS, ...shapes, ...cookies }));
  }
}

function fillRoutes(maps: NodeMaps): void {
  const routes = typedMap(MAPS.routes4, maps.routes4);
  const neighbours = typedMap(MAPS.neighbours4, maps.neighbours4);
  for (let n = 1; n < NODE.nodes; n++) {
    const gateway = new Uint8Array(16);
    new DataView(gateway.buffer).setUint32(0, nodeAddress(n));
    const route = { ifindex: UPLINK_IFINDEX, mtu: 1500, flags: 0, gateway };
    check(routes.set({ prefixLength: 24, address: BACKENDS + (n << 8) }, route));
    const macs = { destination: nodeMac(n), source: nodeMac(0) };
    check(neighbours.set({ ifindex: UPLINK_IFINDEX, address: nodeAddress(n) }, macs));
  }
}

/** Sizes of the traffic. */
export interface PacketSizes {
  readonly packets: number;
  readonly flows: number;
  /** Mixed frames of 60, 590 and 1514 bytes (7 : 4 : 1), or only the smallest. */
  readonly mixed: boolean;
}

/** Frames in one buffer, in the order of arrival. */
export interface Packets {
  readonly count: number;
  readonly bytes: Uint8Array;
  /** Start and length of each frame. Starts are multiples of 4. */
  readonly places: Uint32Array;
  /** Interface that each frame comes from. */
  readonly ifindexes: Uint16Array;
  /** Makes all headers as they were. */
  restore(): void;
}

/** Bytes at the front of a frame that a run may change: Ethernet, IPv4, TCP. */
const REWRITTEN_WORDS = 14;

/** Makes the frames: flows drawn uniformly, the first packet of each a SYN. */
export function makePackets(sizes: PacketSizes): Packets {
  let state = 0x2545f491;
  const random = (n: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  const { flows, packets: count } = sizes;
  const client = Uint16Array.from({ length: flows }, () => random(NODE.clients));
  const service = Uint16Array.from({ length: flows }, () => random(NODE.services));
  const port = Uint16Array.from({ length: flows }, () => 1024 + random(60000));
  const seen = new Uint8Array(flows);
  const flowOf = Uint32Array.from({ length: count }, () => random(flows));
  const places = new Uint32Array(2 * count);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const draw = sizes.mixed && seen[flowOf[i]!] === 1 ? random(12) : 0;
    seen[flowOf[i]!] = 1;
    places[2 * i] = total;
    places[2 * i + 1] = draw < 7 ? 60 : draw < 11 ? 590 : 1514;
    total += (places[2 * i + 1]! + 3) & ~3;
  }
  const bytes = new Uint8Array(total);
  const ifindexes = new Uint16Array(count);
  seen.fill(0);
  for (let i = 0; i < count; i++) {
    const flow = flowOf[i]!;
    ifindexes[i] = clientIfindex(client[flow]!);
    const length = places[2 * i + 1]!;
    const frame = bytes.subarray(places[2 * i], places[2 * i]! + length);
    writeFrame(frame, client[flow]!, service[flow]!, port[flow]!, seen[flow] === 0, i);
    seen[flow] = 1;
  }
  const words = new Uint32Array(bytes.buffer);
  const pristine = new Uint32Array(count * REWRITTEN_WORDS);
  for (let i = 0; i < count; i++) {
    for (let w = 0; w < REWRITTEN_WORDS; w++) pristine[i * REWRITTEN_WORDS + w] = words[(places[2 * i]! >>> 2) + w]!;
  }
  const restore = (): void => {
    for (let i = 0; i < count; i++) {
      const from = i * REWRITTEN_WORDS;
      const to = places[2 * i]! >>> 2;
      for (let w = 0; w < REWRITTEN_WORDS; w++) words[to + w] = pristine[from + w]!;
    }
  };
  return { count, bytes, places, ifindexes, restore };
}

/** One frame with right checksums: a SYN, or data of zeros. */
function writeFrame(frame: Uint8Array, client: number, service: number, port: number, syn: boolean, n: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const ifindex = clientIfindex(client);
  frame.set(hostMac(ifindex), 0);
  frame.set(podMac(ifindex), 6);
  view.setUint16(12, 0x0800);
  const length = syn ? 40 : frame.length === 60 ? 41 : frame.length - 14;
  view.setUint16(14, 0x4500);
  view.setUint16(16, length);
  view.setUint16(18, n & 0xffff);
  view.setUint16(20, 0x4000);
  view.setUint16(22, 0x4006);
  view.setUint32(26, clientAddress(client));
  view.setUint32(30, frontendAddress(service));
  view.setUint16(34, port);
  view.setUint16(36, SERVICE_PORT);
  view.setUint32(38, syn ? 0 : n);
  view.setUint32(42, syn ? 0 : 1);
  view.setUint16(46, 0x5000 | (syn ? 0x02 : 0x18));
  view.setUint16(48, 502);
  const sum = (from: number, end: number, start: number): number => {
    let s = start;
    for (let at = from; at < end; at += 2) s += view.getUint16(at);
    s = (s & 0xffff) + (s >>> 16);
    return ~((s & 0xffff) + (s >>> 16)) & 0xffff;
  };
  view.setUint16(24, sum(14, 34, 0));
  view.setUint16(50, sum(26, 54, TCP + length - 20)); // what follows the header is zero
}
