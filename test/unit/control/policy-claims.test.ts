// What single policies share with others: which ones come, go and change alone, and which ones change more than the policies of the
// pods that they select. Input: manifests. Output: normal forms, or undefined.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AnyPolicy, normalisePolicies } from '../../../src/control/policy/normalise.ts';
import { PolicyClaims } from '../../../src/control/policy/policy-claims.ts';
import { PrefixDemand } from '../../../src/control/policy/prefix-demand.ts';
import type { PolicyRule } from '../../../src/control/policy/rule.ts';
import { RuleTable } from '../../../src/control/policy/rule-table.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, clusterPolicy, networkPolicy, tierPolicy } from '../../support/trap-world.ts';

function policyOf(text: string): AnyPolicy {
  const { networkPolicies, adminPolicies, ciliumPolicies } = stateOf(text);
  const [policy] = [...networkPolicies, ...adminPolicies, ...ciliumPolicies];
  return policy!;
}

/** Whether policies come (no `before`), go (no `after`) and change alone, one after another, where `there` is. */
class Claims {
  private readonly claims: PolicyClaims;

  constructor(...there: string[]) {
    const state = stateOf(there.join('---\n'));
    const settings = settingsOf(configWith(), state);
    const table = new RuleTable(normalisePolicies(state, settings, []));
    const eachRule = (take: (rule: PolicyRule) => void): void => {
      table.forEach(take);
    };
    this.claims = new PolicyClaims(state, settings, { eachRule });
  }

  /** How many rules it has before and after; undefined: not alone. */
  replace(before: string | undefined, after: string | undefined): (number | undefined)[] | undefined {
    const policy = (text: string | undefined): AnyPolicy | undefined =>
      text === undefined ? undefined : policyOf(text);
    return this.claims.replace(policy(before), policy(after))?.map((normal) => normal?.rules.length);
  }
}

const TWO = networkPolicy('{podSelector: {}, ingress: [{}, {}]}');
const THREE = ciliumPolicy('{endpointSelector: {}, ingress: [{}, {}], egress: [{}]}');

test('policies that share nothing with others are alone: their normal forms before and after', () => {
  const claims = new Claims();
  assert.deepEqual(claims.replace(undefined, TWO), [undefined, 2]);
  assert.deepEqual(claims.replace(TWO, undefined), [2, undefined]);
  assert.deepEqual(claims.replace(undefined, THREE), [undefined, 3]);
  assert.deepEqual(claims.replace(THREE, ciliumPolicy('{endpointSelector: {}, egress: [{}]}')), [3, 1]);
});

test('a policy is not alone that names Services, requires something of peers, tells nodes apart or is warned about', () => {
  const service = '[{toServices: [{k8sService: {serviceName: s, namespace: x}}]}]';
  const shared = [
    ciliumPolicy(`{endpointSelector: {}, egress: ${service}}`),
    ciliumPolicy(`{endpointSelector: {}, egressDeny: ${service}}`),
    clusterPolicy('{endpointSelector: {}, ingress: [{fromRequires: [{matchLabels: {a: b}}]}]}'),
    tierPolicy(
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {a: b}}}]}]}',
    ),
    TWO.replace('name: p,', 'name: p, annotations: {weir.dev/policy-audit-mode: maybe},'),
  ];
  // The Service is there: nothing is warned about.
  const world =
    '{apiVersion: v1, kind: Service, metadata: {name: s, namespace: x}, spec: {selector: {a: b}, ports: [{port: 80}]}}\n';
  for (const policy of shared) {
    assert.equal(new Claims(world).replace(undefined, policy), undefined, policy);
    assert.equal(new Claims(world).replace(policy, undefined), undefined, policy);
    assert.equal(new Claims(world).replace(policy, TWO), undefined, policy);
    assert.equal(new Claims(world).replace(TWO, policy), undefined, policy);
  }
});

const at = (priority: number, tier = 'Admin', name = 'c'): string =>
  tierPolicy(
    `{tier: ${tier}, priority: ${priority}, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`,
    name,
  );

test('a priority of a tier that one policy has may go and come again, one that two have or would have is not taken alone', () => {
  const claims = new Claims(at(1), at(2, 'Admin', 'd'));
  assert.deepEqual(claims.replace(at(1), undefined), [1, undefined]);
  assert.deepEqual(claims.replace(at(2, 'Admin', 'd'), undefined), [1, undefined]);
  assert.deepEqual(claims.replace(undefined, at(1)), [undefined, 1]);
  assert.deepEqual(claims.replace(at(1), at(2)), [1, 1]);
  assert.deepEqual(claims.replace(at(2), at(2)), [1, 1]);
  assert.deepEqual(claims.replace(undefined, at(1)), [undefined, 1]);
  assert.deepEqual(claims.replace(undefined, at(1, 'Baseline', 'e')), [undefined, 1]);
  assert.equal(claims.replace(undefined, at(2)), undefined);
  assert.equal(new Claims(at(1), at(1, 'Admin', 'd')).replace(at(1), undefined), undefined);
  assert.equal(new Claims(at(1), at(1, 'Admin', 'd')).replace(at(1), at(3)), undefined);
  assert.equal(new Claims(at(1), at(2, 'Admin', 'd')).replace(at(1), at(2)), undefined);
});

/** `blocks`: also pods and nodes are told by it, as the networks of the admin tiers are. */
function rulesOn(cidr: string, blocks = false): readonly PolicyRule[] {
  const text = blocks
    ? tierPolicy(
        `{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [${cidr}]}]}]}`,
      )
    : ciliumPolicy(`{endpointSelector: {}, egress: [{toCIDR: [${cidr}]}]}`);
  const state = stateOf(text);
  return normalisePolicies(state, settingsOf(configWith(), state), []).rules;
}
const demandOf = (...rules: readonly PolicyRule[]): PrefixDemand =>
  new PrefixDemand((take) => {
    rules.forEach(take);
  });

test('the set of prefixes stays while somebody names each: neither the first nor the last to name one is alone', () => {
  const [one, other] = [rulesOn('192.0.2.0/24'), rulesOn('198.51.100.0/24')];
  const demand = demandOf(...one, ...other, ...other);
  assert.equal(demand.replace(one, []), false);
  assert.equal(demand.replace([], rulesOn('203.0.113.0/24')), false);
  assert.equal(demand.replace(other, []), true);
  assert.equal(demand.replace(other, []), false);
  assert.equal(demand.replace([], other), true);
  assert.equal(demand.replace(other, one), true);
  assert.equal(demand.replace(other, one), false);
  assert.equal(demand.replace([...one, ...one], other), false);
  assert.equal(demand.replace([...one, ...one], one), true);
  assert.equal(demand.replace(one, one), true);
  assert.equal(demand.replace(one, []), false);
});

test('a prefix that tells pods and nodes apart is another than the same one that does not', () => {
  const [world, block] = [rulesOn('192.0.2.0/24'), rulesOn('192.0.2.0/24', true)];
  assert.equal(demandOf(...world).replace([], block), false);
  assert.equal(demandOf(...block).replace([], world), false);
  assert.equal(demandOf(...world, ...block).replace(block, []), false);
  assert.equal(demandOf(...world, ...block, ...block).replace(block, world), true);
});
