// Who takes part in a random world: addresses by role, ports, frontends. Input: chance. Output: lists that the world's maps
// and its packets draw from, so that packets meet what the maps hold. Invariant: plain values, no map is known here.
import type { Random } from './random.ts';

export type Family = 4 | 6;

/** A pod, or the host. */
export interface Member {
  readonly address: Uint8Array;
  readonly family: Family;
  readonly ifindex: number;
  readonly identity: number;
}

/** A service address with a port. */
export interface Frontend {
  readonly address: Uint8Array;
  readonly family: Family;
  readonly port: number;
  readonly protocol: number;
  /** Its reverse NAT index, once it has one. */
  readonly reverseNat: number;
}

/** Everybody. */
export interface Cast {
  readonly pods: readonly Member[];
  readonly hosts: readonly Member[];
  /** Pods and nodes elsewhere in the cluster. */
  readonly remotes: readonly Uint8Array[];
  readonly outside: readonly Uint8Array[];
  readonly frontends: Frontend[];
  readonly loopback4: Uint8Array;
  readonly loopback6: Uint8Array;
}

export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;
export const ICMP = 1;
export const ICMPV6 = 58;

export const PORTED: readonly number[] = [TCP, TCP, TCP, UDP, UDP, SCTP];
export const SERVICE_PORTS: readonly number[] = [80, 443, 53, 8080, 0x8000];
export const CLIENT_PORTS: readonly number[] = [1024, 1025, 0x8000, 40000, 65535, 80];
/** Last bytes of addresses: of both signs where the byte is the top one of a little-endian load. */
const LAST: readonly number[] = [1, 2, 3, 64, 127, 128, 129, 200, 254, 255];

export const four = (a: number, b: number, c: number, d: number): Uint8Array => Uint8Array.of(a, b, c, d);

/** An IPv6 address from its first and last bytes, and a byte in the middle. */
export function six(first: number, second: number, middle: number, last: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = first;
  bytes[1] = second;
  bytes[7] = middle;
  bytes[15] = last;
  return bytes;
}

export const familyOf = (address: Uint8Array): Family => (address.length === 4 ? 4 : 6);

const shuffled = <T>(random: Random, list: readonly T[]): T[] => {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = out[i]!;
    out[i] = out[j]!;
    out[j] = held;
  }
  return out;
};

/** Draws who takes part. */
export function randomCast(random: Random): Cast {
  const pods: Member[] = [];
  const count = random.between(2, 4);
  const last = shuffled(random, LAST);
  for (let i = 0; i < count; i++) {
    const identity = random.chance(20) ? 1000 : 1001 + i;
    pods.push({ address: four(10, 0, 1, last[i]!), family: 4, ifindex: 11 + i, identity });
    pods.push({ address: six(0xfd, 0, random.pick([0, 0x80]), last[i + 4]!), family: 6, ifindex: 11 + i, identity });
  }
  const hosts: Member[] = [
    { address: four(10, 0, 0, last[9]!), family: 4, ifindex: 2, identity: 1 },
    { address: six(0xfd, 1, 0, last[9]!), family: 6, ifindex: 2, identity: 1 },
  ];
  const remotes = [four(10, 0, 9, last[8]!), four(10, 2, 0, 200), six(0xfd, 9, 0, last[8]!), six(0xfd, 9, 1, 200)];
  const outside = [
    four(203, 0, 113, last[7]!),
    four(198, 51, 100, last[6]!),
    four(8, 8, 8, 8),
    six(0x20, 1, 0x80, last[7]!),
    six(0x20, 2, 0, last[6]!),
  ];
  return {
    pods,
    hosts,
    remotes,
    outside,
    frontends: [],
    loopback4: four(169, 254, 42, random.pick([1, 254])),
    loopback6: six(0xfd, 0xff, 0, random.pick([1, 254])),
  };
}

/** Everybody's address. */
export const everyone = (cast: Cast): Uint8Array[] => [
  ...cast.pods.map((pod) => pod.address),
  ...cast.hosts.map((host) => host.address),
  ...cast.remotes,
  ...cast.outside,
  cast.loopback4,
  cast.loopback6,
];

/** An address of a family out of a list that has one. */
export function ofFamily(random: Random, list: readonly Uint8Array[], family: Family): Uint8Array {
  return random.pick(list.filter((address) => familyOf(address) === family));
}

/** The first `bits` bits of an address, the rest zero. */
export function maskedTo(address: Uint8Array, bits: number): Uint8Array {
  const out = new Uint8Array(address.length);
  for (let i = 0; i < out.length; i++) {
    const kept = Math.min(8, Math.max(0, bits - i * 8));
    out[i] = address[i]! & (0xff << (8 - kept));
  }
  return out;
}
