// Whether a denial hangs on a DNS name that nobody has resolved. Input: the rule about the name, the rules that refuse.
// Output: true where the rule would win if the name had the address. Invariant: the order is that of the tiers (see
// policy/ladder.ts); a pass that leads from one tier to the next is not followed, so that in doubt the answer is true.
import { compareRules, type RuleOrder } from './policy/rule.ts';
import type { RuleRef } from './provenance.ts';
import type { ClusterState } from './state.ts';

interface Standing extends RuleOrder {
  /** 0 admin, 1 policies, 2 their default deny, 3 baseline. */
  readonly tier: number;
}

/** True when `rule`, which allows a name, stands above all of `denying`. */
export function mayOverrule(
  { adminPolicies }: Pick<ClusterState, 'adminPolicies'>,
  rule: RuleRef,
  denying: readonly RuleRef[],
): boolean {
  const own = standingOf(adminPolicies, rule);
  return denying.every((ref) => compareStandings(own, standingOf(adminPolicies, ref)) < 0);
}

function standingOf(policies: ClusterState['adminPolicies'], ref: RuleRef): Standing {
  const { kind, name, rule } = ref;
  const policy = policies.find((one) => one.kind === kind && one.name === name);
  if (policy === undefined) {
    // What isolates is known by its direction alone; of equals the denial wins.
    return { tier: rule.endsWith(']') ? 1 : 2, priority: 0, ref: { kind: '', name: '' }, position: 0 };
  }
  const { tier, priority } = policy;
  const position = Number(rule.slice(rule.indexOf('[') + 1, -1));
  return { tier: tier === 'admin' ? 0 : 3, priority, ref, position };
}

const compareStandings = (a: Standing, b: Standing): number => a.tier - b.tier || compareRules(a, b);
