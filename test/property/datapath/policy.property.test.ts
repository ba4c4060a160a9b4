// The policy stage against a naive evaluator: a list of rules, every one compared. Input: random policies and packets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { aggregateOf, BOUND, DROP, VERDICT } from '../../../src/schema/index.ts';
import { type Rule, World } from '../../support/datapath-world.ts';

const PEERS = { '10.0.2.1': 2000, '10.0.2.2': 2001, '192.0.2.1': 0x01000005, '192.0.2.2': 6 } as const;
const PORTS = [0, 79, 80, 81, 443, 8080, 0x7fff, 0x8000, 65535];

const rule = fc.record({
  identity: fc.constantFrom(0, 2000, 2001, 0x01000005, 6, 11, 13),
  protocol: fc.constantFrom('any', 'tcp', 'udp'),
  port: fc.constantFrom(...PORTS),
  prefix: fc.constantFrom(0, 1, 8, 15, 16),
  verdict: fc.constantFrom('allow', 'deny'),
  priority: fc.constantFrom(100, 200, 201, 0, 0xfffffe),
}) as fc.Arbitrary<Required<Pick<Rule, 'identity' | 'protocol' | 'port' | 'prefix' | 'verdict' | 'priority'>>>;

interface Winner {
  readonly precedence: number;
  readonly length: number;
  readonly specificity: number;
  readonly deny: boolean;
  readonly cookie: number;
}

/** The first of all matching rules by (precedence, prefix length, how much the identity says). */
function naive(
  rules: readonly (Rule & { cookie: number })[],
  identity: number,
  protocol: string,
  port: number,
): Winner | undefined {
  const matching: Winner[] = [];
  for (const r of rules) {
    const specificity =
      r.identity === identity ? 2 : r.identity === 0 ? 0 : r.identity === aggregateOf(identity) ? 1 : -1;
    const any = r.protocol === 'any';
    const covers = port >> (16 - r.prefix!) === r.port! >> (16 - r.prefix!);
    if (specificity < 0 || (!any && (r.protocol !== protocol || !covers))) continue;
    const deny = r.verdict === 'deny';
    const precedence = (0xffffff - r.priority!) * 256 + (deny ? 255 : 1);
    matching.push({ precedence, length: any ? -1 : r.prefix!, specificity, deny, cookie: r.cookie });
  }
  return matching.sort(
    (a, b) => b.precedence - a.precedence || b.length - a.length || b.specificity - a.specificity,
  )[0];
}

test('the policy stage decides as a list of all rules would', () => {
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 12 }),
      fc.array(
        fc.record({
          peer: fc.constantFrom(...(Object.keys(PEERS) as (keyof typeof PEERS)[])),
          protocol: fc.constantFrom('tcp' as const, 'udp' as const),
          port: fc.constantFrom(...PORTS),
          ingress: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      (drawn, packets) => {
        const world = new World();
        world.endpoint('10.0.1.1', { policyId: 3, node: 1 });
        for (const [address, identity] of Object.entries(PEERS)) world.identity(address, identity, 2);
        // One key holds one entry: of rules with equal keys the last one counts.
        const byKey = new Map<string, Rule & { cookie: number }>();
        drawn.forEach((r, i) => {
          const any = r.protocol === 'any';
          const kept = any ? 0 : (r.port >> (16 - r.prefix)) << (16 - r.prefix);
          byKey.set(`${r.identity} ${r.protocol} ${kept} ${any ? '' : r.prefix}`, { ...r, cookie: i + 1 });
        });
        const rules = [...byKey.values()];
        world.policy(3, { ingress: rules, egress: rules, ingressCookie: 500, egressCookie: 600 });
        packets.forEach(({ peer, protocol, port, ingress }, i) => {
          const ends = ingress ? { source: peer, destination: '10.0.1.1' } : { source: '10.0.1.1', destination: peer };
          const result = world.run(ingress ? 'TO_CONTAINER' : 'FROM_CONTAINER', {
            protocol,
            ...ends,
            sourcePort: 10000 + i,
            destinationPort: port,
          });
          const winner = naive(rules, PEERS[peer], protocol, port);
          const expected =
            winner === undefined
              ? [VERDICT.DROPPED, DROP.POLICY, ingress ? 500 : 600]
              : winner.deny
                ? [VERDICT.DROPPED, DROP.POLICY_DENY, winner.cookie]
                : [VERDICT.FORWARDED, 0, winner.cookie];
          assert.deepEqual([result.verdict, result.record.dropReason, result.record.cookie], expected);
          assert.ok(world.sim.context.probesPolicy <= BOUND.POLICY_PROBES);
        });
      },
    ),
    { numRuns: 300 },
  );
});
