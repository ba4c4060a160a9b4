// Random connections: who sends what to whom, as the description of a first packet with every trait that a header can have.
// Input: chance, a cast. Output: FrameSpecs. Invariant: source and destination are of the family asked for.
import {
  type Cast,
  CLIENT_PORTS,
  everyone,
  type Family,
  ICMP,
  ICMPV6,
  ofFamily,
  PORTED,
  SCTP,
  SERVICE_PORTS,
} from './cast.ts';
import { type FrameSpec, PLAIN } from './frame.ts';
import type { Random } from './random.ts';
import { ACK, FIN, payload, PSH, RST, SYN } from './replies.ts';

/** Extension headers, up to one more than the bound; a hop-by-hop header mostly stands first. */
const extensionsOf = (random: Random): number[] => {
  const list = Array.from({ length: random.between(1, 5) }, () => random.pick([0, 43, 44, 51, 60]));
  if (random.chance(40)) list[0] = 0;
  return list;
};

/** TCP flags of packets that need not open a connection. */
export const SEGMENTS: readonly number[] = [
  ACK,
  ACK,
  ACK | PSH,
  FIN | ACK,
  FIN,
  RST,
  RST | ACK,
  SYN,
  SYN | ACK,
  SYN | 0xc0,
  0,
  0xff,
];

/** First packet of a connection. */
export function randomFlow(random: Random, cast: Cast, family: Family): FrameSpec {
  const pods = cast.pods.map((pod) => pod.address);
  const all = everyone(cast);
  const outside = random.chance(32);
  const source = ofFamily(random, outside ? cast.outside : random.chance(80) ? pods : all, family);
  const front = random.chance(outside ? 78 : 50) ? cast.frontends.filter((f) => f.family === family) : [];
  const sourcePort = random.pick(CLIENT_PORTS);
  if (front.length > 0) {
    const { address, port, protocol } = random.pick(front);
    // A frontend's wildcard is met by a port or protocol that is none of its own.
    const other = random.chance(10);
    const destinationPort = other ? random.pick([81, 53]) : port;
    return described(random, source, address, protocol, sourcePort, destinationPort);
  }
  const destination = ofFamily(random, random.chance(70) ? pods : all, family);
  const icmp = random.chance(18);
  const protocol = icmp
    ? family === 4
      ? ICMP
      : ICMPV6
    : random.chance(3)
      ? random.pick([47, 2, 50, 59, 1, 58, 255])
      : random.pick(PORTED);
  return described(random, source, destination, protocol, sourcePort, random.pick(SERVICE_PORTS));
}

/** First packet of a connection that leaves the node: of a pod, or of the host, to somebody outside or elsewhere. */
export function leavingFlow(random: Random, cast: Cast, family: Family): FrameSpec {
  const inside = [...(random.chance(70) ? cast.pods : cast.hosts)].map((member) => member.address);
  const source = ofFamily(random, inside, family);
  const destination = ofFamily(random, random.chance(75) ? cast.outside : cast.remotes, family);
  const icmp = random.chance(42);
  const protocol = icmp ? (family === 4 ? ICMP : ICMPV6) : random.pick(PORTED);
  const spec = described(random, source, destination, protocol, random.pick(CLIENT_PORTS), random.pick(SERVICE_PORTS));
  // A timestamp request, or the like: nothing that source NAT can tell apart.
  if (icmp && random.chance(82)) return { ...spec, type: family === 4 ? 13 : 130 };
  // What an error quotes may have options, too.
  if (!random.chance(20)) return spec;
  return family === 4
    ? { ...spec, options: new Uint8Array(random.pick([4, 40])).fill(1) }
    : { ...spec, extensions: extensionsOf(random) };
}

/** First packet of a client outside who asks for a frontend, of somebody else where there is none. */
export function arrivingFlow(random: Random, cast: Cast, family: Family): FrameSpec {
  const fronts = cast.frontends.filter((front) => front.family === family);
  if (fronts.length === 0) return randomFlow(random, cast, family);
  const { address, port, protocol } = random.pick(fronts);
  return described(random, ofFamily(random, cast.outside, family), address, protocol, random.pick(CLIENT_PORTS), port);
}

/** First packet of a connection that the node itself has, with what no policy is asked about, too. */
export function hostFlow(random: Random, cast: Cast, family: Family): FrameSpec {
  const host = ofFamily(
    random,
    cast.hosts.map((member) => member.address),
    family,
  );
  const other = ofFamily(random, everyone(cast), family);
  const [source, destination] = random.chance(60) ? [other, host] : [host, other];
  const icmp = family === 4 ? ICMP : ICMPV6;
  const protocol = random.chance(48) ? icmp : random.chance(8) ? random.pick([47, 2, 50, 255]) : random.pick(PORTED);
  const spec = described(random, source, destination, protocol, random.pick(CLIENT_PORTS), random.pick(SERVICE_PORTS));
  const types = [1, 4, 127, 130, 136, 137, 138, 139, 140, 141, 143, 144, 148, 149, 150, 151, 153, 154, 200, 255];
  return protocol === ICMPV6 && random.chance(80) ? { ...spec, type: random.pick(types) } : spec;
}

/** A first packet between two ends, with traits of chance. */
export function described(
  random: Random,
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  sourcePort: number,
  destinationPort: number,
): FrameSpec {
  const four = source.length === 4;
  const echo =
    protocol === ICMP ? random.pick([8, 8, 8, 0, 13, 13, 13, 3]) : random.pick([128, 128, 128, 129, 1, 200, 200, 200]);
  return {
    ...PLAIN,
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    tcpFlags: random.chance(82) ? SYN : random.pick(SEGMENTS),
    type: protocol === ICMP || protocol === ICMPV6 ? echo : protocol === SCTP ? 1 : 0,
    code: random.chance(10) ? random.below(5) : 0,
    id: random.pick([0, 7, 0x8001]),
    payload: payload(random),
    ttl: random.chance(6) ? random.pick([0, 1, 2, 255]) : 64,
    tos: random.chance(5) ? random.below(256) : 0,
    tags: random.chance(11)
      ? Array.from(
          { length: random.pick([1, 1, 2, 2, 3]) },
          () => [random.pick([0x8100, 0x88a8, 0x9100]), random.pick([5, 100, 0, 0x2005, random.below(65536)])] as const,
        )
      : [],
    options: four && random.chance(5) ? random.fill(new Uint8Array(random.pick([4, 8, 40]))) : PLAIN.options,
    extensions: four || !random.chance(8) ? [] : extensionsOf(random),
    noChecksum: random.chance(8),
    dontFragment: random.chance(20),
    zeroLength: random.chance(3),
    padding: random.chance(8) ? random.between(1, 20) : 0,
  };
}
