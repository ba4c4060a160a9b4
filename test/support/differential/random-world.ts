// Random worlds: configuration, endpoints, identities, services, policies, routes, as entries of maps.
// Input: chance, the features that the engines were loaded with. Output: entries in the order in which they are written.
// Invariant: depends on nothing but the stream it is given; whatever a field can hold is drawn now and then.
import {
  ENDPOINT_FLAG,
  IDENTITY,
  MAPS,
  NO_MASQUERADE,
  POLICY_DIRECTION,
  SHAPE_ANY_PROTOCOL,
} from '../../../src/schema/index.ts';
import { type Cast, everyone, maskedTo, ofFamily, randomCast } from './cast.ts';
import { type Config, randomConfig } from './random-config.ts';
import type { Random } from './random.ts';
import { addPolicies } from './random-policies.ts';
import { addServices } from './random-services.ts';
import {
  BACKENDS,
  be32,
  REVERSE_NATS,
  TABLE_SLOTS,
  type TableEntry,
  type TableName,
  type WorldEntry,
} from './world.ts';

/** A world: what is in it, and who. */
export interface RandomWorld {
  readonly cast: Cast;
  readonly config: Config;
  readonly entries: readonly WorldEntry[];
}

/** Draws a world, with a cast of its own where none is given. */
export function randomWorld(random: Random, features: number, given?: Cast): RandomWorld {
  const cast = given ?? randomCast(random);
  const config = randomConfig(random, features, cast);
  const entries: WorldEntry[] = [{ map: 'config', key: { index: 0 }, value: config }];
  addEndpoints(random, cast, entries);
  addIdentities(random, cast, entries);
  addPolicies(random, entries);
  addServices(random, cast, entries);
  addRoutes(random, cast, entries);
  addNodes(random, cast, entries);
  addAnnouncements(random, cast, entries);
  addLimits(random, entries);
  for (const id of [5, 100, 4095])
    if (random.chance(30)) entries.push({ map: 'vlans', key: { id }, value: { present: 1 } });
  return { cast, config, entries };
}

/** A MAC as endpoints and neighbours have it: mostly there, at times zero or only half zero. */
const mac = (random: Random): Uint8Array =>
  random.chance(20)
    ? new Uint8Array(6)
    : random.chance(10)
      ? random.pick([Uint8Array.of(0, 0, 0, 0, 0, 7), Uint8Array.of(2, 7, 0, 0, 0, 0), Uint8Array.of(0, 0, 0, 0, 9, 0)])
      : Uint8Array.of(2, random.below(256), 0, random.below(256), 0, random.below(256));

function addEndpoints(random: Random, cast: Cast, entries: WorldEntry[]): void {
  let id = 1;
  for (const member of [...cast.pods, ...cast.hosts]) {
    const host = member.identity === IDENTITY.HOST;
    id++;
    if (random.chance(host ? 25 : 8)) continue;
    const value = {
      ifindex: member.ifindex,
      endpointId: random.chance(5) ? 0xffff : id,
      nodeId: random.pick(host ? [1, 2, 3, 0] : [1, 1, 2, 3, 0]),
      identity: member.identity,
      policyId: host
        ? random.pick([0, 1, 2, 3, 4])
        : random.chance(4)
          ? random.pick([64, 100, 0xffffffff])
          : random.pick([0, 1, 1, 2, 3, 4, 63]),
      epoch: random.pick([0, 1, 2, 0xffffffff]),
      flags:
        (host ? ENDPOINT_FLAG.HOST : 0) |
        (random.chance(10) ? ENDPOINT_FLAG.NO_SOURCE_CHECK : 0) |
        (random.chance(3) ? ENDPOINT_FLAG.HOST : 0) |
        (random.chance(14) ? ENDPOINT_FLAG.LIMITED : 0) |
        (random.chance(3) ? random.u32() & 0x6 : 0),
      mac: mac(random),
      nodeMac: mac(random),
    };
    if (member.family === 4) entries.push({ map: 'endpoints4', key: { address: be32(member.address) }, value });
    else entries.push({ map: 'endpoints6', key: { address: member.address }, value });
  }
}

/** Identities that peers have: pods', reserved, CIDRs', remote nodes', other clusters', and out of every range. */
export const IDENTITIES: readonly number[] = [
  1000, 1001, 1002, 1003, 1004, 1, 2, 6, 7, 9, 10, 300, 0x01000005, 0x02000003, 70000, 0xffffffff, 0,
];

function addPrefix(random: Random, entries: WorldEntry[], address: Uint8Array, bits: number, identity: number): void {
  const value = {
    identity,
    nodeId: random.pick([0, 1, 2, 3]),
    flags: random.chance(5) ? random.below(16) : 0,
    key: random.chance(5) ? 3 : 0,
    tunnelEndpoint: new Uint8Array(16),
  };
  const clusterId = random.chance(3) ? random.pick([1, 256]) : 0;
  const masked = maskedTo(address, bits);
  const prefixLength = 32 + bits;
  if (address.length === 4)
    entries.push({ map: 'ipcache4', key: { prefixLength, clusterId, address: be32(masked) }, value });
  else entries.push({ map: 'ipcache6', key: { prefixLength, clusterId, address: masked }, value });
}

/** Prefix lengths of a family, the extremes often. */
const prefixBits = (random: Random, address: Uint8Array): number =>
  address.length === 4 ? random.pick([0, 1, 8, 16, 24, 31, 32, 32]) : random.pick([0, 1, 16, 32, 64, 65, 96, 127, 128]);

function addIdentities(random: Random, cast: Cast, entries: WorldEntry[]): void {
  for (const member of [...cast.pods, ...cast.hosts]) {
    if (random.chance(92)) addPrefix(random, entries, member.address, member.address.length * 8, member.identity);
  }
  for (const address of [...cast.remotes, ...cast.outside]) {
    if (random.chance(60)) addPrefix(random, entries, address, address.length * 8, random.pick(IDENTITIES));
  }
  const all = everyone(cast);
  for (let i = random.below(6); i > 0; i--) {
    const address = random.pick(all);
    addPrefix(random, entries, address, prefixBits(random, address), random.pick(IDENTITIES));
  }
}

/** The addresses of nodes, mostly the hosts', and destinations that see pods as they are. */
function addNodes(random: Random, cast: Cast, entries: WorldEntry[]): void {
  const all = everyone(cast);
  const hosts = cast.hosts.map((host) => host.address);
  for (const id of [0, 1, 2, 3]) {
    for (const family of [4, 6] as const) {
      if (random.chance(50)) continue;
      const address = ofFamily(random, random.chance(85) ? hosts : all, family);
      const none = new Uint8Array(address.length);
      const gateway = random.chance(60) ? none : ofFamily(random, random.chance(60) ? hosts : all, family);
      if (family === 4) {
        const value = { address: random.chance(4) ? 0 : be32(address), gateway: be32(gateway) };
        entries.push({ map: 'nodes4', key: { id }, value });
      } else
        entries.push({ map: 'nodes6', key: { id }, value: { address: random.chance(4) ? none : address, gateway } });
    }
  }
  for (let i = random.below(3); i > 0; i--) {
    const address = random.pick(all);
    const bits = prefixBits(random, address);
    const value = { reason: random.pick([NO_MASQUERADE.NATIVE_ROUTING, NO_MASQUERADE.AGENT, 0, 0, 0]) };
    const masked = maskedTo(address, bits);
    if (address.length === 4)
      entries.push({ map: 'noMasquerade4', key: { prefixLength: bits, address: be32(masked) }, value });
    else entries.push({ map: 'noMasquerade6', key: { prefixLength: bits, address: masked }, value });
  }
}

/** Addresses that interfaces answer for: frontends', and of others. The MAC is mostly the one that frames are sent to. */
function addAnnouncements(random: Random, cast: Cast, entries: WorldEntry[]): void {
  const all = [...cast.frontends.map(({ address }) => address), ...cast.outside, ...cast.hosts.map((h) => h.address)];
  for (const address of all) {
    for (const ifindex of [3, 4, 0]) {
      if (random.chance(30)) continue;
      const value = { mac: random.chance(70) ? Uint8Array.of(2, 0, 0, 0, 0, 2) : mac(random) };
      if (address.length === 4) entries.push({ map: 'announced4', key: { address: be32(address), ifindex }, value });
      else entries.push({ map: 'announced6', key: { address, ifindex }, value });
    }
  }
}

/** Limits of endpoints, from a byte a second to more than any device has, and when their last packets were to leave. */
function addLimits(random: Random, entries: WorldEntry[]): void {
  for (let endpointId = 0; endpointId < 12; endpointId++) {
    if (random.chance(20)) continue;
    const bytesPerSecond = random.pick([0n, 1n, 50n, 100n, 300n, 1000n, 125000n, 0x100000005n, 0x1fffffffffffffn]);
    const horizon = random.pick([0n, 1n, 1000000000n, 2000000000n, 2000000000n, 60000000000n, 0x1fffffffffffffn]);
    entries.push({ map: 'limits', key: { endpointId }, value: { bytesPerSecond, horizon } });
    const seconds = random.pick([0, 0, 1, 2, -1, -60, 0x7fffffff, -0x80000000]);
    const nanoseconds = random.chance(10) ? random.u32() : random.below(1_000_000_000);
    entries.push({ map: 'departures', key: { endpointId }, value: { seconds, nanoseconds } });
  }
}

function addRoutes(random: Random, cast: Cast, entries: WorldEntry[]): void {
  if (random.chance(30)) return;
  const all = everyone(cast);
  const gateways: Uint8Array[] = [];
  for (let i = random.between(1, 6); i > 0; i--) {
    const address = random.pick(all);
    const bits = random.chance(40) ? 0 : prefixBits(random, address);
    const ifindex = random.pick([3, 4]);
    const gateway = new Uint8Array(16);
    const hop = random.chance(40) ? undefined : random.pick(all.filter((other) => other.length === address.length));
    if (hop !== undefined) gateway.set(hop);
    gateways.push(hop ?? address);
    const value = {
      ifindex,
      mtu: random.pick([0, 0, 0, 0, 1500, 28, 40, 48, 60, 68, 100]),
      flags: random.chance(80) ? 1 : random.below(8),
      gateway,
    };
    const masked = maskedTo(address, bits);
    if (address.length === 4)
      entries.push({ map: 'routes4', key: { prefixLength: bits, address: be32(masked) }, value });
    else entries.push({ map: 'routes6', key: { prefixLength: bits, address: masked }, value });
  }
  for (const address of [...gateways, ...all]) {
    if (random.chance(35)) continue;
    const value = { destination: mac(random), source: mac(random) };
    const ifindex = random.pick([3, 4]);
    if (address.length === 4) entries.push({ map: 'neighbours4', key: { ifindex, address: be32(address) }, value });
    else entries.push({ map: 'neighbours6', key: { ifindex, address }, value });
  }
}

/** Pods whose policy lets everything pass, most of the time because a rule says so. */
export function openDoors(random: Random, cast: Cast): WorldEntry[] {
  const entries: WorldEntry[] = [];
  const policyId = 4;
  const all = 1 << SHAPE_ANY_PROTOCOL;
  const meta = { ingressShapes: [0, 0, all], egressShapes: [0, 0, all], ingressCookie: 0, egressCookie: 0 };
  entries.push({ map: 'policyMeta', key: { policyId }, value: { flags: random.pick([3, 3, 3, 2, 0]), ...meta } });
  for (const direction of [POLICY_DIRECTION.INGRESS, POLICY_DIRECTION.EGRESS]) {
    const key = { policyId, identity: 0, port: 0, protocol: 0, shape: SHAPE_ANY_PROTOCOL | direction };
    const precedence = ((0xffff << 8) | 1) >>> 0;
    entries.push({ map: 'policy', key, value: { precedence, cookie: random.below(50), proxyPort: 0, flags: 0 } });
  }
  for (const [i, { address, family, ifindex, identity }] of cast.pods.entries()) {
    const rest = { endpointId: i + 2, nodeId: 1, identity, policyId, epoch: random.below(3), flags: 0 };
    const value = { ifindex, ...rest, mac: mac(random), nodeMac: mac(random) };
    if (family === 4) entries.push({ map: 'endpoints4', key: { address: be32(address) }, value });
    else entries.push({ map: 'endpoints6', key: { address }, value });
  }
  return entries;
}

/** Default routes with a neighbour behind them, and backends that are reached by them. */
export function wayOut(random: Random, cast: Cast): WorldEntry[] {
  const entries: WorldEntry[] = [];
  const away = [...cast.remotes, ...cast.outside];
  for (const family of [4, 6] as const) {
    const hop = ofFamily(random, away, family);
    const gateway = new Uint8Array(16);
    gateway.set(hop);
    const route = { ifindex: 3, mtu: random.pick([0, 0, 1500, 60, 68, 88, 100]), flags: 0, gateway };
    const neighbour = { destination: mac(random), source: mac(random) };
    if (family === 4) {
      entries.push({ map: 'routes4', key: { prefixLength: 0, address: 0 }, value: route });
      entries.push({ map: 'neighbours4', key: { ifindex: 3, address: be32(hop) }, value: neighbour });
    } else {
      entries.push({ map: 'routes6', key: { prefixLength: 0, address: new Uint8Array(16) }, value: route });
      entries.push({ map: 'neighbours6', key: { ifindex: 3, address: hop }, value: neighbour });
    }
    for (let id = 1; id < BACKENDS; id++) {
      if (random.chance(10)) continue;
      const address = ofFamily(random, away, family);
      const nodeId = random.pick([2, 2, 3, 3, 0]);
      const rest = { port: random.pick([80, 8080, 0]), protocol: 6, state: 1, nodeId, zone: 0, flags: 0 };
      if (family === 4) entries.push({ map: 'backends4', key: { id }, value: { address: be32(address), ...rest } });
      else entries.push({ map: 'backends6', key: { id }, value: { address, ...rest } });
    }
  }
  return entries;
}

/** Whether the node itself has an address of a family to put in place of others. */
export const hasNodeAddress = (entries: readonly WorldEntry[], family: 4 | 6): boolean =>
  entries.some((entry) => {
    if ((entry.map !== 'nodes4' && entry.map !== 'nodes6') || !('value' in entry)) return false;
    if (entry.map !== `nodes${family}` || entry.key.id !== 0) return false;
    const { address } = entry.value;
    return typeof address === 'number' ? address !== 0 : address.some((byte) => byte !== 0);
  });

/**
 * Maglev tables, which outlive a world: to replace one takes the kernel a grace period. They name backends that a world may
 * not have, and slots with bit 31.
 */
export function randomTables(random: Random): TableEntry[] {
  const entries: TableEntry[] = [];
  const names = (Object.keys(MAPS) as (keyof typeof MAPS)[]).filter((name): name is TableName =>
    name.startsWith('maglev'),
  );
  for (const map of names) {
    for (let reverseNat = 1; reverseNat <= REVERSE_NATS; reverseNat++) {
      if (random.chance(35)) continue;
      const table = Array.from({ length: random.pick([1, 3, 7, 40, TABLE_SLOTS]) }, () => {
        const id = random.chance(2) ? random.pick([0, 63, 64, 0x7fffffff]) : random.below(BACKENDS);
        return random.chance(15) ? (id | 0x80000000) >>> 0 : id;
      });
      entries.push({ map, key: { reverseNat }, table });
    }
  }
  return entries;
}
