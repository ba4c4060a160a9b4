// What the datapath had remembered before a sequence began: connections, affinities, flows, fragments, in every state.
// Input: chance, a world. Output: entries of the maps that the datapath writes. Invariant: keys are canonical, as the
// datapath makes them; values hold whatever fits.
import { CT_FLAG, CT_KEY, NAT_FLAG, NAT_WAY } from '../../../src/schema/index.ts';
import { CLIENT_PORTS, everyone, type Frontend, ICMP, ICMPV6, ofFamily, PORTED, SERVICE_PORTS, TCP } from './cast.ts';
import type { FrameSpec } from './frame.ts';
import type { Random } from './random.ts';
import { described } from './random-flows.ts';
import { IDENTITIES, type RandomWorld } from './random-world.ts';
import { BACKENDS, be32, type PlainEntry, REVERSE_NATS, type WorldEntry } from './world.ts';

type Entry4 = Extract<PlainEntry, { map: 'ctTcp4' }>;

/** Sign of the comparison of two addresses as the contract orders them: signed little-endian words. */
export function orderOf(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i += 4) {
    const x = a[i]! | (a[i + 1]! << 8) | (a[i + 2]! << 16) | (a[i + 3]! << 24);
    const y = b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24);
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

/** Ports are compared as their bytes lie in memory. */
const raw16 = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);

const second = (random: Random): number => random.pick([0, 0, 1, 2, 5, 60, 300, -1, -1, -5, -60]);

function connection(random: Random): Entry4['value'] {
  const flags =
    (random.chance(25) ? CT_FLAG.RX_CLOSING : 0) |
    (random.chance(25) ? CT_FLAG.TX_CLOSING : 0) |
    (random.chance(20) ? CT_FLAG.LOOPBACK : 0) |
    (random.chance(60) ? CT_FLAG.SEEN_NON_SYN : 0) |
    (random.chance(20) ? CT_FLAG.NODE_PORT : 0) |
    (random.chance(15) ? CT_FLAG.PROXY_REDIRECT : 0) |
    (random.chance(50) ? CT_FLAG.INBOUND : 0) |
    (random.chance(10) ? CT_FLAG.AUDITED : 0) |
    (random.chance(15) ? CT_FLAG.BOTH_WAYS : 0);
  return {
    packets: BigInt(random.pick([0, 1, 0xffffffff])),
    bytes: BigInt(random.pick([0, 100, 0xffffffff, 0xffffffc0])),
    lifetime: random.pick([0, 0, 5, 60, 60, 300, 1000, -1]),
    flags,
    reverseNat: random.chance(50) ? 0 : random.between(1, REVERSE_NATS),
    remoteIdentity: random.pick(IDENTITIES),
    policyEpoch: random.below(5),
    cookie: random.below(20),
    backend: random.below(BACKENDS),
    natAddress: new Uint8Array(12),
    natPort: 0,
    txFlags: random.pick([0, 2, 2, 18, 0xff]),
    rxFlags: random.pick([0, 2, 18, 18]),
    lastTxReport: second(random),
    lastRxReport: second(random),
  };
}

/**
 * A translation of a connection, or one half of it, with the hosts' addresses in the place of the source; at times somebody else
 * has the answers. Answers what comes back.
 */
function addTranslation(
  random: Random,
  world: RandomWorld,
  entries: WorldEntry[],
  source: Uint8Array,
  destination: Uint8Array,
  ports: readonly [number, number],
  protocol: number,
): FrameSpec {
  const family = source.length === 4 ? 4 : 6;
  const node = ofFamily(
    random,
    world.cast.hosts.map((host) => host.address),
    family,
  );
  const natPort = random.chance(50) ? ports[0] : random.pick(CLIENT_PORTS);
  const rest = {
    flags: random.pick([0, NAT_FLAG.NEEDS_CT, NAT_FLAG.NODE_PORT, NAT_FLAG.NODE_PORT]),
    created: 0,
    reverseNat: random.chance(50) ? 0 : random.between(1, REVERSE_NATS),
  };
  const put = (
    from: Uint8Array,
    to: Uint8Array,
    sourcePort: number,
    destinationPort: number,
    flags: number,
    address: Uint8Array,
    port: number,
  ): void => {
    const key = { sourcePort, destinationPort, protocol, flags };
    if (family === 4) {
      const value = { address: be32(address), port, ...rest };
      entries.push({ map: 'nat4', key: { source: be32(from), destination: be32(to), ...key }, value });
    } else {
      entries.push({ map: 'nat6', key: { source: from, destination: to, ...key }, value: { address, port, ...rest } });
    }
  };
  const halves = random.pick([1, 2, 3, 3, 3]);
  if ((halves & 1) !== 0) put(source, destination, ports[0], ports[1], NAT_WAY.OUT, node, natPort);
  const owner = random.chance(15) ? ofFamily(random, everyone(world.cast), family) : source;
  if ((halves & 2) !== 0) put(destination, node, ports[1], natPort, NAT_WAY.BACK, owner, ports[0]);
  return described(random, destination, node, protocol, ports[1], natPort);
}

/** What was remembered, and of whom. */
export interface RandomState {
  readonly entries: readonly WorldEntry[];
  /** First packets of the connections, for traffic that meets them. */
  readonly flows: readonly FrameSpec[];
}

/** Entries of the maps that the datapath writes: in half of the worlds none. */
export function randomState(random: Random, world: RandomWorld): RandomState {
  const entries: WorldEntry[] = [];
  const flows: FrameSpec[] = [];
  if (random.chance(50)) addBuckets(random, entries);
  if (random.chance(50)) return { entries, flows };
  const { cast } = world;
  const all = everyone(cast);
  const pods = cast.pods.map((pod) => pod.address);
  for (let n = random.between(1, 14); n > 0; n--) {
    const family = random.pick([4, 6] as const);
    const source = ofFamily(random, random.chance(70) ? pods : all, family);
    const fronts = cast.frontends.filter((f) => f.family === family);
    const front = random.chance(45) && fronts.length > 0 ? random.pick(fronts) : undefined;
    const away = random.chance(40) ? [...cast.remotes, ...cast.outside] : pods;
    const destination = front?.address ?? ofFamily(random, away, family);
    const protocol = front?.protocol ?? random.pick([...PORTED, family === 4 ? ICMP : ICMPV6]);
    const icmp = protocol === ICMP || protocol === ICMPV6;
    const related = random.chance(20);
    const sourcePort = related ? 0 : icmp ? 7 : random.pick(CLIENT_PORTS);
    const destinationPort = related ? 0 : icmp ? 7 : (front?.port ?? random.pick(SERVICE_PORTS));
    if (!related && flows.length < 6) {
      const there = described(random, source, destination, protocol, sourcePort, destinationPort);
      const back = described(random, destination, source, protocol, destinationPort, sourcePort);
      flows.push(icmp ? { ...there, id: 7 } : random.chance(60) ? there : back);
    }
    const translated = !related && random.chance(40);
    if (translated) {
      const ports = [sourcePort, icmp ? 0 : destinationPort] as const;
      const back = addTranslation(random, world, entries, source, destination, ports, protocol);
      if (!icmp && flows.length < 8 && random.chance(50)) flows.push(back);
    }
    const order = orderOf(source, destination) || raw16(sourcePort) - raw16(destinationPort);
    const sourceLow = order <= 0;
    // What a client of a node port has: the node's entry, which the answer's translation meets.
    const served = translated && random.chance(40);
    const ownerIsSource = !served && random.chance(60);
    const flags =
      (ownerIsSource === sourceLow ? 0 : CT_KEY.OWNER_HIGH) |
      (related ? CT_KEY.RELATED : front !== undefined && !served && random.chance(80) ? CT_KEY.SERVICE : 0) |
      (served || random.chance(25) ? CT_KEY.NODE : 0);
    const rest = {
      lowPort: sourceLow ? sourcePort : destinationPort,
      highPort: sourceLow ? destinationPort : sourcePort,
      protocol: related ? (family === 4 ? ICMP : ICMPV6) : protocol,
      flags,
    };
    const low = sourceLow ? source : destination;
    const high = sourceLow ? destination : source;
    const answered = random.chance(50);
    const any = connection(random);
    const fronted = served && fronts.length > 0 ? { ...any, reverseNat: random.pick(fronts).reverseNat } : any;
    const made = served ? { ...fronted, lifetime: 60, flags: any.flags | CT_FLAG.INBOUND } : fronted;
    const drawn = front !== undefined && random.chance(75) ? { ...made, reverseNat: front.reverseNat } : made;
    const value = answered ? { ...drawn, flags: drawn.flags | CT_FLAG.ANSWERED } : drawn;
    const kind = `${protocol === TCP && !related ? 'Tcp' : 'Any'}${answered ? '' : 'New'}` as const;
    if (family === 4) {
      const key = { lowAddress: be32(low), highAddress: be32(high), ...rest };
      entries.push({ map: `ct${kind}4`, key, value } as WorldEntry);
    } else {
      const key = { lowAddress: low, highAddress: high, ...rest };
      entries.push({ map: `ct${kind}6`, key, value } as WorldEntry);
    }
    if (front !== undefined && random.chance(50)) addMemory(random, entries, source, front.address, sourcePort, front);
  }
  return { entries, flows };
}

/** Answers that interfaces may still give: often few, at times more than there can be. */
function addBuckets(random: Random, entries: WorldEntry[]): void {
  for (const ifindex of [0, 3, 4, 11, 12, 13, 14, 15, 16]) {
    if (random.chance(30)) continue;
    const value = {
      lastTopUp: random.chance(80) ? 0 : second(random),
      tokens: random.pick([0, 0, 0, 1, 2, 100, 1000, 1001, 0xffffffff]),
    };
    entries.push({ map: 'rateLimit', key: { usage: 1, ifindex }, value });
  }
}

/** A flow that xdp remembers, and an affinity, of this client. */
function addMemory(
  random: Random,
  entries: WorldEntry[],
  source: Uint8Array,
  destination: Uint8Array,
  sourcePort: number,
  front: Frontend,
): void {
  const backendId = random.below(BACKENDS);
  const rest = { sourcePort, destinationPort: front.port, protocol: front.protocol };
  const flow = { backendId, lastSeen: second(random) };
  const affinity = { backendId, lastUsed: second(random) };
  const { reverseNat } = front;
  if (source.length === 4) {
    entries.push({
      map: 'flows4',
      key: { source: be32(source), destination: be32(destination), ...rest },
      value: flow,
    });
    const word = (source[0]! | (source[1]! << 8) | (source[2]! << 16) | (source[3]! << 24)) >>> 0;
    entries.push({ map: 'affinity4', key: { client: [word, 0], reverseNat, isCookie: 0 }, value: affinity });
  } else {
    entries.push({ map: 'flows6', key: { source, destination, ...rest }, value: flow });
    entries.push({ map: 'affinity6', key: { client: source, reverseNat, isCookie: 0 }, value: affinity });
  }
}
