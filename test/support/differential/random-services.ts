// Random services: frontends of every kind that the datapath reads, slots, backends in every state, reverse NAT, affinity,
// source ranges, wildcards. Input: chance, the cast. Output: entries; the cast learns its frontends.
// Invariant: most services work; each reference is at times missing, since a datapath meets that, too.
import { ALGORITHM, SERVICE_FLAG } from '../../../src/schema/index.ts';
import {
  type Cast,
  everyone,
  type Family,
  four,
  type Frontend,
  maskedTo,
  ofFamily,
  PORTED,
  SERVICE_PORTS,
  six,
} from './cast.ts';
import type { Random } from './random.ts';
import { BACKENDS, be32, type PlainEntry, REVERSE_NATS, type WorldEntry } from './world.ts';

type ServiceEntry = Extract<PlainEntry, { map: 'services4' }>;
type ServiceValue = ServiceEntry['value'];

interface SlotKey {
  readonly port: number;
  readonly slot: number;
  readonly protocol: number;
  readonly scope: number;
}

function putService(entries: WorldEntry[], address: Uint8Array, key: SlotKey, value: ServiceValue): void {
  if (address.length === 4) entries.push({ map: 'services4', key: { address: be32(address), ...key }, value });
  else entries.push({ map: 'services6', key: { address, ...key }, value });
}

/** One backend, mostly one of the pods. */
export function randomBackend(random: Random, cast: Cast, id: number, family: Family): WorldEntry {
  const pods = cast.pods.map((pod) => pod.address);
  const address = ofFamily(random, random.chance(68) ? pods : everyone(cast), family);
  const rest = {
    port: random.pick([80, 8080, 8080, 0, 53, 0x8000]),
    protocol: random.pick(PORTED),
    state: random.pick([1, 1, 1, 1, 1, 1, 2, 3, 4, 0, 7]),
    nodeId: random.pick([0, 0, 1, 2, 2, 3]),
    zone: random.chance(5) ? 1 : 0,
    flags: 0,
  };
  return family === 4
    ? { map: 'backends4', key: { id }, value: { address: be32(address), ...rest } }
    : { map: 'backends6', key: { id }, value: { address, ...rest } };
}

function addBackends(random: Random, cast: Cast, entries: WorldEntry[]): void {
  for (const family of [4, 6] as const) {
    for (let id = 1; id < BACKENDS; id++) {
      if (random.chance(12)) continue;
      entries.push(randomBackend(random, cast, id, family));
      if (random.chance(15)) continue;
      const value = {
        ifindex: random.pick([0, 3, 4, 11]),
        mtu: random.pick([0, 30, 48, 48, 60, 60, 68, 88]),
        flags: random.pick([1, 1, 1, 0, 3, 0xffff]),
        destinationMac: random.fill(new Uint8Array(6)),
        sourceMac: random.fill(new Uint8Array(6)),
      };
      if (family === 4) entries.push({ map: 'nextHops4', key: { id }, value });
      else entries.push({ map: 'nextHops6', key: { id }, value });
    }
  }
}

const flagsOf = (random: Random): number => {
  let flags = random.chance(94) ? SERVICE_FLAG.ROUTABLE : 0;
  const some = (percent: number, flag: number): void => {
    if (random.chance(percent)) flags |= flag;
  };
  some(98, SERVICE_FLAG.FORWARD_DSR);
  some(20, SERVICE_FLAG.AFFINITY);
  some(10, SERVICE_FLAG.SOURCE_RANGE);
  some(6, SERVICE_FLAG.L7LB);
  some(8, SERVICE_FLAG.TWO_SCOPES);
  some(10, SERVICE_FLAG.EXT_LOCAL);
  some(6, SERVICE_FLAG.INT_LOCAL);
  some(12, SERVICE_FLAG.LOOPBACK);
  some(8, SERVICE_FLAG.HOST_PORT);
  some(20, SERVICE_FLAG.NODE_PORT);
  some(8, SERVICE_FLAG.DENY_OR_QUARANTINED);
  some(4, SERVICE_FLAG.LOCAL_REDIRECT | SERVICE_FLAG.NAT46X64);
  return flags;
};

/** The entries of one frontend in one scope: master, slots. */
function addScope(random: Random, entries: WorldEntry[], f: Frontend, reverseNat: number, scope: number): void {
  const count = random.pick([0, 1, 1, 2, 2, 3, 5]);
  const flags = flagsOf(random);
  const affine = (flags & SERVICE_FLAG.AFFINITY) !== 0;
  const key = { port: f.port, protocol: f.protocol, scope };
  const timeout = affine ? random.pick([1, 2, 5, 10, 60, 0, 0xffffff]) : 0;
  const algorithm = random.pick([
    0,
    ALGORITHM.RANDOM,
    ALGORITHM.FIRST,
    ALGORITHM.RANDOM,
    ALGORITHM.MAGLEV,
    ALGORITHM.MAGLEV,
    ALGORITHM.FIRST,
    9,
    0x90,
  ]);
  const l7 = (flags & SERVICE_FLAG.L7LB) !== 0;
  const target = l7 ? random.pick([12345, 0, 0x10050]) : ((algorithm << 24) | timeout) >>> 0;
  const drainCount = random.chance(10) ? 1 : 0;
  putService(entries, f.address, { ...key, slot: 0 }, { target, count, reverseNat, flags, drainCount });
  for (let slot = 1; slot <= count; slot++) {
    if (random.chance(4)) continue;
    const id = random.chance(2) ? random.pick([0, 63, 64, 0xffffffff]) : random.between(1, BACKENDS - 1);
    putService(entries, f.address, { ...key, slot }, { target: id, count: 0, reverseNat, flags: 0, drainCount: 0 });
    if (affine && random.chance(85)) {
      entries.push({ map: 'affinityMatch', key: { backendId: id, reverseNat }, value: { present: 1 } });
    }
  }
  if ((flags & SERVICE_FLAG.TWO_SCOPES) !== 0 && scope === 0 && random.chance(80))
    addScope(random, entries, f, reverseNat, 1);
}

function addReverseNat(random: Random, entries: WorldEntry[], f: Frontend, reverseNat: number): void {
  // Behind the end of the array nothing can be written, and nothing is found.
  if (reverseNat >= 64 || random.chance(6)) return;
  const rest = { port: f.port, flags: random.chance(4) ? random.below(3) : 1 };
  if (f.family === 4)
    entries.push({ map: 'reverseNat4', key: { index: reverseNat }, value: { address: be32(f.address), ...rest } });
  else entries.push({ map: 'reverseNat6', key: { index: reverseNat }, value: { address: f.address, ...rest } });
}

function addSourceRanges(random: Random, cast: Cast, entries: WorldEntry[], f: Frontend, reverseNat: number): void {
  for (let i = random.below(3); i > 0; i--) {
    const client = ofFamily(random, everyone(cast), f.family);
    const bits = f.family === 4 ? random.pick([0, 8, 24, 31, 32]) : random.pick([0, 16, 64, 127, 128]);
    const prefixLength = 32 + bits;
    const address = maskedTo(client, bits);
    const value = { present: 1 };
    if (f.family === 4)
      entries.push({ map: 'sourceRange4', key: { prefixLength, reverseNat, address: be32(address) }, value });
    else entries.push({ map: 'sourceRange6', key: { prefixLength, reverseNat, address }, value });
  }
}

/** Adds backends and frontends. */
export function addServices(random: Random, cast: Cast, entries: WorldEntry[]): void {
  addBackends(random, cast, entries);
  const addresses: Uint8Array[] = [
    ...[1, 2, 200].map((n) => four(172, 16, 0, n)),
    ...[1, 2, 200].map((n) => six(0xfd, 0x10, 0, n)),
    ...cast.hosts.map((host) => host.address),
  ];
  const wanted = [...cast.frontends];
  for (let i = random.between(3, 9); i > 0; i--) {
    const drawn = random.pick(addresses);
    const reverseNat = random.chance(4) ? random.pick([0, 63, 64, 65535]) : random.between(1, REVERSE_NATS);
    const f: Frontend =
      wanted.length > 0 && random.chance(85)
        ? { ...random.pick(wanted), reverseNat }
        : {
            address: drawn,
            family: drawn.length === 4 ? 4 : 6,
            port: random.pick(SERVICE_PORTS),
            protocol: random.pick(PORTED),
            reverseNat,
          };
    const { address } = f;
    cast.frontends.push(f);
    addScope(random, entries, f, reverseNat, 0);
    addReverseNat(random, entries, f, reverseNat);
    addSourceRanges(random, cast, entries, f, reverseNat);
    if (random.chance(20)) {
      const value = { target: 0, count: 0, reverseNat: 0, flags: 0, drainCount: 0 };
      putService(entries, address, { port: 0, slot: 0, protocol: 0, scope: 0 }, value);
    }
  }
}
