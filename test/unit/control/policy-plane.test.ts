// Policies of a running cluster, without the control plane around them: whom a policy that comes concerns, what is left of what
// went, numbers that run out. Input: manifests. Output: blocks, policy ids, sizes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildIdentities, IdentityNumbers, type PodIdentity } from '../../../src/control/identity.ts';
import { PolicyCompiler } from '../../../src/control/policy/compile-policies.ts';
import { normalisePolicies, policyPrefixes } from '../../../src/control/policy/normalise.ts';
import { PolicyPlane } from '../../../src/control/policy/policy-plane.ts';
import type { NormalPolicies } from '../../../src/control/policy/rule.ts';
import { Provenance } from '../../../src/control/provenance.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { StickyIds } from '../../../src/control/sticky-ids.ts';
import { sizesOf } from '../../support/collection-sizes.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, clusterPolicy, networkPolicy } from '../../support/trap-world.ts';

const pod = (name: string, label: string, port: number, ip: string): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: x, labels: {pod: ${label}}}, spec: {nodeName: n, containers: [{name: c, ports: [{name: http, containerPort: ${port}}]}]}, status: {podIP: ${ip}}}`;
/** Two pods with the same labels, one with others. */
const WORLD = [
  '{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: 172.18.0.11}]}}',
  '{apiVersion: v1, kind: Namespace, metadata: {name: x}}',
  pod('a1', 'a', 80, '10.0.0.1'),
  pod('a2', 'a', 80, '10.0.0.2'),
  pod('b', 'b', 81, '10.0.0.3'),
];

/** A plane over some pods (all of them, if `there` does not say how many) and a policy, or none. There are numbers 1..`last`. */
class World {
  readonly plane: PolicyPlane;
  /** By name. */
  readonly pods: Readonly<Record<string, PodIdentity>>;
  /** Those that have come and not gone. */
  private readonly there: Set<PodIdentity>;
  /** How many blocks the last change of a policy has changed. */
  changed = 0;
  private readonly compiler: PolicyCompiler;
  private readonly numbers: StickyIds;
  private readonly settings;

  constructor(policy = '', { there = 3, last = 65535, hosts = false } = {}) {
    const state = stateOf([...WORLD, policy].join('\n---\n'));
    this.settings = settingsOf(configWith({ 'hostFirewall.enabled': hosts }), state);
    const normal = normalisePolicies(state, this.settings, []);
    const { all: prefixes, blocks } = policyPrefixes(normal);
    const demand = { prefixes, blocks, nodeLabels: false };
    const view = buildIdentities(state, this.settings, demand, new IdentityNumbers(), []);
    this.compiler = new PolicyCompiler(view, normal, this.settings, new Provenance(), []);
    this.numbers = new StickyIds(1, last);
    this.pods = Object.fromEntries(view.pods.map((own) => [own.pod.name, own]));
    this.there = new Set(view.pods.slice(0, there));
    const compiled = this.compiler.compile([...this.there], this.numbers);
    this.plane = new PolicyPlane(this.compiler, compiled, [...this.there], this.numbers);
  }

  /** A pod comes: its policy id; undefined: there is no number for it. */
  come(name: string): number | undefined {
    this.there.add(this.pods[name]!);
    const told = this.plane.add(this.pods[name]!);
    assert.ok(told === undefined || told.policyId !== undefined);
    return told?.policyId;
  }

  /** A pod goes: the policy that goes with it, or undefined. */
  go(name: string): number | undefined {
    this.there.delete(this.pods[name]!);
    return this.plane.remove(this.pods[name]!)?.before?.policyId;
  }

  /** How much there is of everything, once what pods and policies need is worked out; provenance has a memory of its own. */
  sizes(): Map<string, number> {
    this.compiler.compile([...this.there], this.numbers);
    // Numbers that are free are kept.
    const kept = /provenance|numbers|table\.(slots|free|places)/;
    return new Map([...sizesOf(this.plane)].filter(([path]) => !kept.test(path)));
  }

  /** A policy comes, goes or changes: the ids of the pods that it speaks of. What has changed has to be what a compile makes. */
  change(name: string, before: string | undefined, after: string | undefined): Record<string, number> | undefined {
    const normal = (text: string | undefined): NormalPolicies | undefined =>
      text === undefined ? undefined : normalisePolicies(stateOf(text), this.settings, []);
    const told = this.plane.changePolicy(name, normal(before), normal(after), this.there);
    if (told === undefined) return undefined;
    this.changed = told.changes.length;
    const { blocks } = this.compiler.compile([...this.there], this.numbers);
    for (const { after: own } of told.changes) {
      const whole = blocks.find(({ policyId }) => policyId === own?.policyId);
      assert.deepEqual(own, whole);
    }
    return Object.fromEntries([...told.policyIds].map(([{ pod }, id]) => [pod.name, id]));
  }
}

const ALL = networkPolicy('{podSelector: {}, ingress: [{ports: [{port: http}]}]}', 'all');
const FOR_A = networkPolicy('{podSelector: {matchLabels: {pod: a}}, egress: [{to: [{podSelector: {}}]}]}', 'for-a');

test('a policy that comes concerns the pods that it selects, every one, and nobody else', () => {
  const world = new World(ALL);
  assert.deepEqual(world.change('NetworkPolicy x/for-a', undefined, FOR_A), { a1: 1, a2: 1 });
  assert.equal(world.go('a1'), undefined, 'the other one has the policy, too');
  assert.equal(world.go('a2'), 1);
});

test('a policy that changes nothing for a pod leaves its block as it is, whichever part of it would change', () => {
  const first = '{podSelector: {}, ingress: [{ports: [{port: 80}]}], egress: [{}], policyTypes: ';
  const forms = [
    networkPolicy(`${first}[Ingress]}`, 'all'),
    // Other flags and another egress cookie, then other words, then the same words about something else.
    networkPolicy(`${first}[Ingress, Egress]}`, 'all'),
    networkPolicy(`${first}[Egress]}`, 'all'),
    networkPolicy('{podSelector: {}, egress: [{ports: [{port: 80}]}], policyTypes: [Egress]}', 'all'),
  ];
  const world = new World(forms[0]);
  forms.forEach((form, i) => {
    const policy = 'NetworkPolicy x/all';
    world.change(policy, forms[i - 1] ?? form, form);
    assert.equal(world.changed, i === 0 ? 0 : 2, form);
    world.change(policy, form, form);
    assert.equal(world.changed, 0, form);
  });
});

test('a policy that selects nodes concerns no pod, and its rules for nodes are no rules for pods', () => {
  const hosts = '{nodeSelector: {}, ingress: [{fromEntities: [world]}]}';
  const pods = '{endpointSelector: {matchLabels: {pod: b}}, ingress: [{fromEntities: [health]}]}';
  const both = clusterPolicy('').replace('spec: ', `specs: [${hosts}, ${pods}]`);
  const world = new World('', { hosts: true });
  const policy = 'CiliumClusterwideNetworkPolicy /p';
  assert.deepEqual(world.change(policy, undefined, clusterPolicy(hosts)), {});
  assert.deepEqual(world.change(policy, clusterPolicy(hosts), both), { b: 1 });
});

test('nothing is left of pods and policies that have gone', () => {
  const world = new World(ALL, { there: 1 });
  const before = world.sizes();
  const grown = (): string[] =>
    [...world.sizes()].flatMap(([path, size]) => (size > (before.get(path) ?? 0) ? [path] : []));
  world.come('a2');
  world.come('b');
  assert.notDeepEqual(grown(), []);
  assert.deepEqual([world.go('b'), world.go('a2')], [2, undefined]);
  assert.deepEqual(grown(), [], 'of pods');
  world.change('NetworkPolicy x/for-a', undefined, FOR_A);
  assert.notDeepEqual(grown(), []);
  world.change('NetworkPolicy x/for-a', FOR_A, undefined);
  assert.deepEqual(grown(), [], 'of a policy');
  world.come('b');
  world.change('NetworkPolicy x/all', ALL, undefined);
  assert.equal(world.go('b'), undefined);
  assert.deepEqual(grown(), [], 'of a pod whose policy went first');
});

test('without a number for one more policy there is none, neither for a pod that comes nor with a policy', () => {
  const one = new World(ALL, { there: 1, last: 1 });
  assert.deepEqual([one.come('a2'), one.come('b')], [1, undefined]);
  const all = ciliumPolicy('{endpointSelector: {}, ingress: [{}]}');
  assert.equal(new World('', { last: 1 }).change('CiliumNetworkPolicy x/p', undefined, all), undefined);
  assert.deepEqual(new World('', { last: 2 }).change('CiliumNetworkPolicy x/p', undefined, all), {
    a1: 1,
    a2: 1,
    b: 2,
  });
});
