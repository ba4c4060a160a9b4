// What decides where no policy speaks, by the names under which verdicts show it, and the limits of a compile's policies.
// Input: small worlds. Output: the rules behind verdicts; problems. Invariant: a limit is told as an error, never silently cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compiler } from '../../../src/control/compile.ts';
import { buildIdentities, IdentityNumbers } from '../../../src/control/identity.ts';
import { PolicyCompiler } from '../../../src/control/policy/compile-policies.ts';
import { normalisePolicies, policyPrefixes } from '../../../src/control/policy/normalise.ts';
import type { Problem } from '../../../src/control/problem.ts';
import { Provenance } from '../../../src/control/provenance.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { StickyIds } from '../../../src/control/sticky-ids.ts';
import { IDENTITY, policyKey } from '../../../src/schema/index.ts';
import { configWith, lookupIdentity, rulesBehind, sideVerdict, stateOf } from '../../support/policy-world.ts';
import {
  ADDRESS,
  ciliumPolicy,
  clusterPolicy,
  networkPolicy,
  tierPolicy,
  TrapWorld,
} from '../../support/trap-world.ts';

/** Rules behind x/a's gate towards a peer, ingress and egress. */
const behind = ({ compiled }: TrapWorld, peer: string): string =>
  [false, true]
    .map((egress) =>
      rulesBehind(compiled, sideVerdict(compiled, ADDRESS['x/a']!, ADDRESS[peer]!, egress, 6, 80)).join(),
    )
    .join(' | ');

test('builtin rules go by their names: enforcement always, the own node in either semantics, no default deny', () => {
  const always = new TrapWorld('', {}, { policyEnforcementMode: 'always' });
  assert.equal(behind(always, 'world'), 'enforcement-always ingress | enforcement-always egress');
  assert.equal(behind(always, 'n1'), 'allow-localhost ingress | enforcement-always egress');
  const isolated = networkPolicy('{podSelector: {}, policyTypes: [Ingress, Egress]}');
  const kubernetes = new TrapWorld(isolated, { semantics: 'kubernetes' });
  assert.equal(behind(kubernetes, 'n1'), 'allow-own-node ingress | allow-own-node egress');
  assert.equal(behind(kubernetes, 'n2'), 'p ingress | p egress');
});

test('an endpoint that waits for its labels is enforced in any mode, by a rule called init', () => {
  const init = `
{apiVersion: v1, kind: Namespace, metadata: {name: x}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {nodeName: n1, containers: [{name: c}]}, status: {podIP: 10.0.0.1}}
---
{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {name: a, namespace: x}, status: {identity: {id: 5, labels: ["reserved:init"]}}}`;
  for (const [mode, name] of [
    ['default', 'init'],
    ['always', 'enforcement-always'],
  ] as const) {
    const compiled = new Compiler(configWith({ policyEnforcementMode: mode })).compile(stateOf(init));
    const rules = [false, true].map((egress) =>
      rulesBehind(compiled, sideVerdict(compiled, '10.0.0.1', '8.8.8.8', egress, 6, 80)),
    );
    assert.deepEqual(rules, [[`${name} ingress`], [`${name} egress`]]);
    assert.deepEqual(
      compiled.provenance.toJSON().rules.map(({ kind, file, line }) => `${kind} ${file}:${line}`)[0],
      'builtin :0',
    );
  }
});

test('a name that a rule gives the own node is the pod’s own on ingress, and nothing on egress', () => {
  const world = new TrapWorld(
    ciliumPolicy(
      '{endpointSelector: {}, ingress: [{fromEntities: [host], toPorts: [{ports: [{port: http}]}]}], egress: [{toEntities: [host], toPorts: [{ports: [{port: http}]}]}]}',
    ),
    {},
    { 'allow-localhost': 'policy' },
  );
  const ports = (from: string, to: string): string[] => ['80', '81'].filter((port) => world.allows(from, to, port));
  assert.deepEqual([ports('n1', 'x/a'), ports('n2', 'x/b'), ports('x/a', 'n1')], [['80'], ['81'], []]);
});

test('a pod without a node has a policy like any other, its own node is any host', () => {
  const pod =
    '{apiVersion: v1, kind: Pod, metadata: {name: late, namespace: x, labels: {pod: late}}, spec: {containers: [{name: c}]}, status: {podIP: 10.244.1.99}}\n---\n';
  const world = new TrapWorld(
    pod + ciliumPolicy('{endpointSelector: {matchLabels: {pod: late}}, ingress: [{fromEndpoints: [{}]}]}'),
  );
  assert.equal(world.reaching('10.244.1.99'), 'x/a x/b');
  assert.deepEqual(world.compiled.problems, []);
  const host = 'ingress: [{fromEndpoints: [{matchLabels: {"reserved:host": ""}}]}]';
  const { compiled } = new TrapWorld(
    pod + ciliumPolicy(`{endpointSelector: {matchLabels: {pod: late}}, ${host}}`),
    {},
    { 'allow-localhost': 'policy' },
  );
  const identities = [...compiled.maps.policy].map(([key]) => policyKey.decode(key).identity);
  assert.deepEqual(identities, [IDENTITY.HOST]);
});

test('pods of one identity that name different ports alike: each is meant, and the rule is told', () => {
  const other =
    '{apiVersion: v1, kind: Pod, metadata: {name: b2, namespace: x, labels: {pod: b}}, spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.244.1.99}}\n---\n';
  const policy = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: 7}, {port: http}]}]}',
  );
  const world = new TrapWorld(other + policy);
  const { compiled } = world;
  assert.deepEqual(
    ['7', '80', '81', '8080', '9'].filter((port) => world.allows('x/a', 'x/b', port)),
    ['7', '81', '8080'],
  );
  const identity = lookupIdentity(compiled, '10.244.1.99')!.identity;
  assert.deepEqual(
    compiled.problems.map(({ severity, line, message }) => [severity, line > 0, message]),
    [
      [
        'warning',
        true,
        `port name http means different numbers on pods of identity ${identity}: each of them is meant`,
      ],
    ],
  );
});

const text = ({ severity, file, message }: Problem): string => `${severity} ${file} ${message}`;

test('more policies than there are numbers: the last get none, and it is an error that tells how many', () => {
  const pods = ['a', 'b', 'c'].map(
    (name, i) =>
      `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: x, labels: {pod: ${name}}}, spec: {containers: [{name: c}]}, status: {podIP: 10.0.0.${i}}}`,
  );
  const state = stateOf([...pods, networkPolicy('{podSelector: {}}')].join('\n---\n'));
  const settings = settingsOf(configWith(), state, {});
  const compiled = (last: number): { policyIds: readonly number[]; said: string[] } => {
    const problems: Problem[] = [];
    const normal = normalisePolicies(state, settings, problems);
    const { all: prefixes, blocks } = policyPrefixes(normal);
    const demand = { prefixes, blocks, nodeLabels: false };
    const view = buildIdentities(state, settings, demand, new IdentityNumbers(), problems);
    const compiler = new PolicyCompiler(view, normal, settings, new Provenance(), problems);
    const { policyIds } = compiler.compile(view.pods, new StickyIds(1, last));
    return { policyIds: [...policyIds].sort(), said: problems.map(text) };
  };
  assert.deepEqual(compiled(3), { policyIds: [1, 2, 3], said: [] });
  assert.deepEqual(compiled(1), {
    policyIds: [0, 0, 1],
    said: ['error cluster no room for 2 more policies: at most 65535 sets of endpoints'],
  });
});

test('a policy of as many entries as bpf.policyMapMax fits, one more is an error that names its pod or node', () => {
  const ports = (count: number): string =>
    Array.from({ length: count }, (_, i) => `{ports: [{port: ${2 * i + 1}}]}`).join(', ');
  const said = (count: number): string[] => {
    const policy = networkPolicy(`{podSelector: {matchLabels: {pod: a}}, ingress: [${ports(count)}]}`);
    return new TrapWorld(policy, {}, { 'bpf.policyMapMax': 256 }).compiled.problems.map(text);
  };
  // One entry is the own node's.
  assert.deepEqual(said(255), []);
  assert.deepEqual(said(256), [
    'error cluster the policy of pod x/a has 257 entries, more than bpf.policyMapMax (256)',
  ]);
  const items = Array.from({ length: 7 }, (_, item) => {
    const list = Array.from({ length: 40 }, (_port, i) => `{port: "${2 * (40 * item + i) + 1}", protocol: TCP}`);
    return `{toPorts: [{ports: [${list.join(', ')}]}]}`;
  });
  const host = clusterPolicy(`{nodeSelector: {matchLabels: {pool: n1}}, ingress: [${items.join(', ')}]}`);
  const world = new TrapWorld(host, {}, { 'bpf.policyMapMax': 256, 'hostFirewall.enabled': true });
  assert.deepEqual(world.compiled.problems.map(text), [
    'error cluster the policy of node n1 has 280 entries, more than bpf.policyMapMax (256)',
  ]);
});

test('more rules at one priority of a tier than it has room for are an error that names the pod', () => {
  const policies = (count: number): string =>
    Array.from({ length: Math.ceil(count / 25) }, (_, i) => {
      const rules = Array.from(
        { length: Math.min(25, count - 25 * i) },
        () => '{action: Deny, from: [{namespaces: {matchLabels: {ns: y}}}]}',
      );
      const subject =
        'subject: {pods: {podSelector: {matchLabels: {pod: a}}, namespaceSelector: {matchLabels: {ns: x}}}}';
      return tierPolicy(`{tier: Baseline, priority: 1, ${subject}, ingress: [${rules.join(', ')}]}`, `p${i}`);
    }).join('---\n');
  const next = tierPolicy(
    '{tier: Baseline, priority: 2, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}',
    'next',
  );
  const said = (count: number): string[] =>
    new TrapWorld(`${policies(count)}---\n${next}`).compiled.problems
      .filter(({ severity }) => severity === 'error')
      .map(text);
  assert.deepEqual(said(256), []);
  assert.deepEqual(said(257), ['error cluster pod x/a: too many rules of the admin tiers at one priority']);
});
