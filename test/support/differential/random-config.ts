// Random configurations, and the sets of features that a run goes through (a kernel program is loaded for one set).
// Input: chance, a seed. Output: features, a value of `weir_config`. Invariant: every field is drawn, those that are newer
// than this file included.
import { ALGORITHM, configValue, FEATURE, SIMULATOR_FEATURES } from '../../../src/schema/index.ts';
import type { Cast } from './cast.ts';
import { Random } from './random.ts';
import { be32, TABLE_SLOTS } from './world.ts';

export type Config = ReturnType<typeof configValue.decode>;

const BASE =
  FEATURE.IPV4 |
  FEATURE.IPV6 |
  FEATURE.SCTP |
  FEATURE.FRAGMENTS_V4 |
  FEATURE.FRAGMENTS_V6 |
  FEATURE.SOURCE_CHECK |
  FEATURE.NO_BACKEND_DROP |
  FEATURE.ICMP_FRAG_NEEDED |
  FEATURE.EVENTS |
  FEATURE.CT_ACCOUNTING |
  FEATURE.L2_RESPONDER |
  FEATURE.BANDWIDTH |
  FEATURE.NODE_PORT;
/** Every feature that both engines have. */
export const ALL_FEATURES = Object.values(FEATURE).reduce((all, bit) => all | bit, 0) & ~SIMULATOR_FEATURES;

/** Sets of features that a run goes through: engines are loaded once for each. */
export const FEATURE_SETS = 8;

/** The features of set `number`. The first are chosen so that each feature is off and on somewhere, the others random. */
export function featuresOf(seed: number, number: number): number {
  switch (number) {
    case 0:
      return (
        (BASE & ~FEATURE.CT_ACCOUNTING) |
        FEATURE.HOST_FIREWALL |
        FEATURE.DSR_IPIP |
        FEATURE.POLICY_DENY_ICMP |
        FEATURE.POLICY_DENY_RESET |
        FEATURE.MASQUERADE_V4 |
        FEATURE.MASQUERADE_V6
      );
    case 1:
      return (
        BASE |
        FEATURE.DSR_IPIP |
        FEATURE.TUNNEL |
        FEATURE.ICMP_RULES |
        FEATURE.NO_BACKEND_REJECT |
        FEATURE.PMTU_DISCOVERY |
        FEATURE.MASQUERADE_V4 |
        FEATURE.MASQUERADE_V6
      );
    case 2:
      return (
        (BASE |
          FEATURE.DSR_IPIP |
          FEATURE.VLAN_FILTER |
          FEATURE.POLICY_DENY_ICMP |
          FEATURE.MASQUERADE_V4 |
          FEATURE.MASQUERADE_V6) &
        ~(FEATURE.FRAGMENTS_V4 | FEATURE.FRAGMENTS_V6 | FEATURE.NO_BACKEND_DROP | FEATURE.SCTP | FEATURE.CT_ACCOUNTING)
      );
    case 3:
      return (
        (BASE | FEATURE.DSR_IPIP | FEATURE.MASQUERADE_V4 | FEATURE.EXTERNAL_CLUSTER_IP | FEATURE.NO_BACKEND_REJECT) &
        ~FEATURE.IPV6
      );
    case 4:
      return (
        (BASE |
          FEATURE.DSR_IPIP |
          FEATURE.AUDIT |
          FEATURE.HOST_FIREWALL |
          FEATURE.VLAN_FILTER |
          FEATURE.POLICY_DENY_ICMP |
          FEATURE.MASQUERADE_V6) &
        ~(FEATURE.IPV4 | FEATURE.CT_ACCOUNTING)
      );
    case 5:
      return (
        (BASE | FEATURE.TUNNEL | FEATURE.MASQUERADE_V4 | FEATURE.MASQUERADE_V6 | FEATURE.HOST_FIREWALL) &
        ~(
          FEATURE.SOURCE_CHECK |
          FEATURE.NODE_PORT |
          FEATURE.EVENTS |
          FEATURE.CT_ACCOUNTING |
          FEATURE.L2_RESPONDER |
          FEATURE.BANDWIDTH
        )
      );
    default:
      return flipped(new Random(seed, 0xfea, number), BASE);
  }
}

/** A third of the features flipped, a family in few cases; one family stays. */
function flipped(random: Random, features: number): number {
  let out = features;
  for (let bit = 1; bit > 0 && bit <= ALL_FEATURES; bit *= 2) {
    if ((ALL_FEATURES & bit) !== 0 && random.chance(bit === FEATURE.IPV4 || bit === FEATURE.IPV6 ? 10 : 33)) out ^= bit;
  }
  return (out & (FEATURE.IPV4 | FEATURE.IPV6)) === 0 ? out | FEATURE.IPV4 : out;
}

const seconds = (random: Random): number =>
  random.chance(3)
    ? random.pick([0, 0x7fffffff, 0x80000000, 0xffffffff])
    : random.pick([1, 2, 3, 5, 10, 20, 60, 60, 300, 8000]);

/** What a field that this generator does not know by name gets: mostly zero. */
function unknownField(random: Random, field: (typeof configValue.fields)[number]): unknown {
  if (field.type.kind === 'bytes')
    return random.chance(50) ? new Uint8Array(field.bytes) : random.fill(new Uint8Array(field.bytes));
  const n = random.chance(40) ? 0 : random.u32();
  return field.bytes === 1 ? n & 0xff : field.bytes === 2 ? n & 0xffff : n;
}

/** Ports of source NAT: at times so few that they run out, at times none. */
function natPorts(random: Random): { readonly natPortFirst: number; readonly natPortLast: number } {
  const [natPortFirst, natPortLast] = random.pick([
    [32768, 65535],
    [1024, 65535],
    [1024, 1026],
    [1024, 1028],
    [39999, 40003],
    [39998, 40004],
    [39998, 40004],
    [65535, 65535],
    [40000, 40000],
    [1024, 1024],
    [1025, 1024],
    [40000, 39999],
    [40000, 39999],
    [50000, 49999],
    [0, 65535],
  ] as const);
  return { natPortFirst, natPortLast };
}

/** A configuration with the given features. */
export function randomConfig(random: Random, features: number, cast: Cast): Config {
  const value = configValue.decode(new Uint8Array(configValue.bytes)) as Record<string, unknown>;
  const known: Record<string, unknown> = {
    features,
    globalEpoch: random.below(4),
    algorithm: random.pick([ALGORITHM.RANDOM, ALGORITHM.MAGLEV, ALGORITHM.MAGLEV, ALGORITHM.FIRST, 0, 9]),
    maglevSize: random.pick([TABLE_SLOTS, TABLE_SLOTS, TABLE_SLOTS, 127, 1, 0, 1000, 0xffffffff]),
    hashSeed4: random.u32(),
    hashSeed6: random.u32(),
    randomSeed: random.u32(),
    ctTcpLifetime: seconds(random),
    ctAnyLifetime: seconds(random),
    ctServiceTcpLifetime: seconds(random),
    ctServiceAnyLifetime: seconds(random),
    ctSynLifetime: seconds(random),
    ctCloseLifetime: seconds(random),
    ctServiceGrace: seconds(random),
    reportInterval: seconds(random),
    nodePortFirst: 30000,
    nodePortLast: 32767,
    loopback4: be32(cast.loopback4),
    loopback6: cast.loopback6,
    nodeId: random.pick([0, 1, 1, 1, 1, 2, 4]),
    tunnelPort: random.pick([8472, 53, 8080]),
    flowLifetime: seconds(random),
    ...natPorts(random),
    encapPrefix4: random.pick([1, 8, 16, 24, 31, 32]),
    encapPrefix6: random.pick([96, 97, 112, 120, 127, 128]),
    encapSource4: be32(Uint8Array.of(10, 0, 0, 9)),
    encapSource6: Uint8Array.of(0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
  };
  for (const field of configValue.fields) {
    if (field.type.kind === 'pad') continue;
    value[field.name] = field.name in known ? known[field.name] : unknownField(random, field);
  }
  return value as Config;
}
