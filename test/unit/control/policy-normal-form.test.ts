// The normal form of a state's policies: its order, and which labels it says are filtered. Input: manifests. Output: rules, warnings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ciliumReferences } from '../../../src/control/policy/cilium-peers.ts';
import { normalisePolicies, normalisePolicy } from '../../../src/control/policy/normalise.ts';
import { meansService } from '../../../src/control/policy/service-peers.ts';
import type { Problem } from '../../../src/control/problem.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, clusterPolicy, networkPolicy, tierPolicy } from '../../support/trap-world.ts';

const SPEC = '{podSelector: {matchLabels: {app: a}}, ingress: [{}]}';

test('policies are in the order of kind, namespace and name, whatever theirs was', () => {
  const inZ = networkPolicy(SPEC, 'a').replace('namespace: x', 'namespace: z');
  const list = [networkPolicy(SPEC, 'b'), networkPolicy(SPEC, 'a'), inZ, networkPolicy(SPEC, 'c')];
  for (const first of list) {
    for (const second of list.filter((one) => one !== first)) {
      for (const third of list.filter((one) => one !== first && one !== second)) {
        const fourth = list.filter((one) => ![first, second, third].includes(one));
        const state = stateOf([first, second, third, ...fourth].join('---\n'));
        const { rules } = normalisePolicies(state, settingsOf(configWith(), state), []);
        assert.deepEqual(
          rules.map(({ ref }) => `${ref.namespace}/${ref.name}`),
          ['x/a', 'x/b', 'x/c', 'z/a'],
        );
      }
    }
  }
  const cilium = '{endpointSelector: {}, ingress: [{}]}';
  const state = stateOf([ciliumPolicy(cilium, 'a'), clusterPolicy(cilium, 'b')].join('---\n'));
  const { rules } = normalisePolicies(state, settingsOf(configWith(), state), []);
  assert.deepEqual(
    rules.map(({ ref }) => ref.name),
    ['b', 'a'],
  );
});

test('labels of pods are looked for in the filter with the source that they have', () => {
  const state = stateOf(networkPolicy(SPEC));
  const said = (source: string): number => {
    const problems: Problem[] = [];
    const settings = settingsOf(configWith(), state);
    normalisePolicies(state, { ...settings, labelFilter: (asked) => asked === source }, problems);
    return problems.length;
  };
  assert.deepEqual([said('k8s'), said('')], [0, 2]);
});

test('a policy by itself is what it is in a state that has no other, in either semantics, warnings included', () => {
  const block = '{podSelector: {matchLabels: {app: a}}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}, {}]}';
  const tier =
    '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Pass, to: [{namespaces: {}}]}]}';
  const policies = [
    networkPolicy(block),
    networkPolicy(block).replace('name: p,', 'name: p, annotations: {weir.dev/policy-audit-mode: maybe},'),
    ciliumPolicy('{endpointSelector: {matchLabels: {app: a}}, ingress: [{fromRequires: [{matchLabels: {app: b}}]}]}'),
    tierPolicy(tier),
  ];
  const said = policies.map((text) =>
    (['cilium', 'kubernetes'] as const).map((semantics) => {
      const state = stateOf(text);
      const settings = { ...settingsOf(configWith(), state), semantics, labelFilter: (): boolean => false };
      const problems: Problem[] = [];
      const { rules, isolations, requires, nodeLabels } = normalisePolicies(state, settings, problems);
      const [policy] = [...state.networkPolicies, ...state.ciliumPolicies, ...state.adminPolicies];
      const alone = normalisePolicy(policy!, settings, ciliumReferences(state, settings));
      assert.deepEqual(alone, { rules, isolations, requires, nodeLabels, problems }, `${text} ${semantics}`);
      return problems.length;
    }),
  );
  // Labels that are no part of identities are said in Cilium's semantics, values of annotations in both.
  assert.deepEqual(said, [
    [2, 0],
    [3, 1],
    [2, 0],
    [1, 0],
  ]);
});

test('a peer with an empty namespace means Services of every namespace', () => {
  const service = { namespace: 'y', name: 'db', labels: new Map<string, string>() };
  const origin = { file: 'p.yaml', line: 1, column: 1, path: '' };
  const means = (namespace?: string): boolean =>
    meansService({ origin, serviceName: 'db', ...(namespace !== undefined && { namespace }) }, service);
  assert.deepEqual([means(), means(''), means('y'), means('x')], [true, true, true, false]);
});
