// The rules of all policies by number: what is there after policies came and went, and the order of two rules. Input: manifests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalisePolicies } from '../../../src/control/policy/normalise.ts';
import type { NormalPolicies } from '../../../src/control/policy/rule.ts';
import { policyName, RuleTable } from '../../../src/control/policy/rule-table.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, networkPolicy, tierPolicy } from '../../support/trap-world.ts';

function normal(...policies: string[]): NormalPolicies {
  const state = stateOf(policies.join('---\n'));
  return normalisePolicies(state, settingsOf(configWith(), state), []);
}
const KUBERNETES = networkPolicy('{podSelector: {}, ingress: [{}, {}]}', 'z');
const NAMED = ciliumPolicy('{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: http}]}]}]}', 'b');
const PASS = tierPolicy(
  '{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}',
  'c',
);
const rulesOf = (table: RuleTable): string[] => [...table.rules()].map(({ ref }) => `${ref.name} ${ref.rule}`).sort();

test('a policy’s rules, isolations, names and passes go with it; a number that is free is used again', () => {
  const table = new RuleTable(normal(KUBERNETES, NAMED, PASS));
  assert.deepEqual(rulesOf(table), ['b ingress[0]', 'c ingress[0]', 'z ingress[0]', 'z ingress[1]']);
  assert.deepEqual([table.namesPorts, table.hasPasses, [...table.isolations()].length], [true, true, 2]);
  const gone = table.remove('NetworkPolicy x/z');
  assert.deepEqual([gone.rules.length, gone.isolations.length], [2, 1]);
  assert.deepEqual(rulesOf(table), ['b ingress[0]', 'c ingress[0]']);
  const seen: number[] = [];
  table.forEach((rule, index) => {
    assert.equal(table.at(index), rule);
    seen.push(index);
  });
  assert.equal(seen.length, 2);
  assert.deepEqual(table.remove('NetworkPolicy x/z'), { rules: [], isolations: [] });
  assert.deepEqual([...table.add(normal(KUBERNETES))].sort(), [...gone.rules].sort());
  table.remove(policyName({ kind: 'ClusterNetworkPolicy', name: 'c' }));
  assert.deepEqual([table.namesPorts, table.hasPasses], [true, false]);
  table.remove('CiliumNetworkPolicy x/b');
  assert.deepEqual([table.namesPorts, rulesOf(table)], [false, ['z ingress[0]', 'z ingress[1]']]);
  assert.deepEqual([new RuleTable(normal(NAMED)).hasPasses, new RuleTable(normal(PASS)).namesPorts], [false, false]);
});

test('the order of rules: Kubernetes’ policies, then Cilium’s, by name, then by place', () => {
  const other = ciliumPolicy('{endpointSelector: {}, ingress: [{}]}', 'a');
  const table = new RuleTable({ rules: [], isolations: [], requires: [], nodeLabels: false });
  const [named] = table.add(normal(NAMED)) as [number];
  const [first, second] = table.add(normal(KUBERNETES)) as [number, number];
  const [cilium] = table.add(normal(other)) as [number];
  const order = (a: number, b: number): number => Math.sign(table.compare(a, b));
  assert.deepEqual([order(first, named), order(named, first)], [-1, 1]);
  assert.deepEqual([order(cilium, named), order(named, cilium)], [-1, 1]);
  assert.deepEqual([order(first, second), order(second, first), order(first, first)], [-1, 1, 0]);
});
