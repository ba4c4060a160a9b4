// Random policies: entries of every shape and their meta, audit, deny, redirect, authentication, pass.
// Input: chance. Output: entries of `policy` and `policyMeta`. Invariant: meta mostly names the shapes that exist, at times
// one too many or one too few, which both engines must read alike.
import { POLICY_DIRECTION, SHAPE_ANY_PROTOCOL } from '../../../src/schema/index.ts';
import { ICMP, ICMPV6, SCTP, SERVICE_PORTS, TCP, UDP } from './cast.ts';
import type { Random } from './random.ts';
import type { PlainEntry, WorldEntry } from './world.ts';

type PolicyEntry = Extract<PlainEntry, { map: 'policy' }>;

const PEERS: readonly number[] = [
  0, 0, 1000, 1001, 1002, 1003, 1004, 11, 12, 13, 14, 1, 2, 6, 9, 10, 300, 0x01000005, 70000,
];
const PRIORITIES: readonly number[] = [0, 100, 200, 200, 200, 201, 255, 0xfffffe, 0xffffff];

/** One rule of a policy in a direction. */
export function randomRule(random: Random, policyId: number, direction: number): PolicyEntry {
  const any = random.chance(20);
  const shape = any ? SHAPE_ANY_PROTOCOL : random.pick([16, 16, 16, 0, 0, 15, 9, 8, 1]);
  const protocol = any ? 0 : random.pick([TCP, TCP, TCP, UDP, UDP, SCTP, ICMP, ICMPV6]);
  const icmp = protocol === ICMP || protocol === ICMPV6;
  const port = icmp ? random.pick([0, 3, 8, 128, 129, 1]) : random.pick([...SERVICE_PORTS, 1024, 40000]);
  const verdict = random.pick([1, 1, 1, 1, 2, 100, 254, 255, 255, 0]);
  const redirect = verdict >= 2 && verdict <= 254;
  return {
    map: 'policy',
    key: {
      policyId,
      identity: random.pick(PEERS),
      port: any ? 0 : port & (0xffff << (16 - shape)) & 0xffff,
      protocol,
      shape: shape | direction,
    },
    value: {
      precedence: random.chance(2) ? random.u32() : (((0xffffff - random.pick(PRIORITIES)) << 8) | verdict) >>> 0,
      cookie: random.pick([0, random.between(1, 50), 0xffffffff]),
      proxyPort: redirect !== random.chance(8) ? random.between(10000, 20000) : 0,
      flags: random.chance(20) ? random.pick([1, 0x7f, 0x80, 0x181, 0x100, 0x100]) : 0,
    },
  };
}

/** Adds policies 1..4 and 63; the ids of endpoints name others, too. */
export function addPolicies(random: Random, entries: WorldEntry[]): void {
  for (const policyId of [1, 2, 3, 4, 63]) {
    if (random.chance(5)) continue;
    const shapes = [
      [0, 0, 0],
      [0, 0, 0],
    ];
    for (const [way, direction] of [POLICY_DIRECTION.INGRESS, POLICY_DIRECTION.EGRESS].entries()) {
      for (let i = random.pick([0, 2, 4, 8, 14, 20]); i > 0; i--) {
        const rule = randomRule(random, policyId, direction);
        entries.push(rule);
        const { identity, shape } = rule.key;
        const kind = identity === 0 ? 2 : identity >= 11 && identity <= 14 ? 1 : 0;
        shapes[way]![kind]! |= 1 << (shape & 0x7f);
      }
    }
    if (random.chance(10)) shapes[random.below(2)]![random.below(3)] = random.u32() >>> random.pick([0, 8, 14]);
    entries.push({
      map: 'policyMeta',
      key: { policyId },
      value: {
        flags: random.pick([3, 3, 3, 3, 3, 3, 1, 2, 0, 7, 0xfb]),
        ingressShapes: shapes[0]!,
        egressShapes: shapes[1]!,
        ingressCookie: random.between(100, 120),
        egressCookie: random.between(200, 220),
      },
    });
  }
}
