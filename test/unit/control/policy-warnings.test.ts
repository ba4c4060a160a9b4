// What normalising says about policies that compile, but not as somebody may think: each with severity, place and words, and once.
// Input: policies of the traps' world. Output: its problems.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compiler } from '../../../src/control/compile.ts';
import { readManifests } from '../../../src/control/manifest/index.ts';
import { IDENTITY } from '../../../src/schema/index.ts';
import type { CompileOptions } from '../../../src/control/settings.ts';
import { configWith, lookupIdentity, stateOf } from '../../support/policy-world.ts';
import {
  ADDRESS,
  ciliumPolicy,
  clusterPolicy,
  networkPolicy,
  tierPolicy,
  TrapWorld,
} from '../../support/trap-world.ts';

const A = 'endpointSelector: {matchLabels: {pod: a}}';
const join = (...list: string[]): string => list.join('---\n');

/** `severity message` of every problem; each has a file, a line and a column. */
function said(policies: string, options: CompileOptions = {}): string[] {
  return new TrapWorld(policies, options).compiled.problems.map(({ severity, file, line, column, message }) => {
    assert.ok(file !== '' && line > 0 && column > 0, message);
    return `${severity} ${message}`;
  });
}

test('a rule that the agent would refuse enforces nothing, every reason is told', () => {
  const text = clusterPolicy(
    `{${A}, ingress: [{fromCIDR: [10.0.0.0/33], toPorts: [{ports: [{port: "80", protocol: QUIC}]}]}], egressDeny: [{toEntities: [world]}]}`,
  );
  const { state } = readManifests([{ file: 'p.yaml', text }], { keepRefused: true });
  assert.equal(state!.ciliumPolicies[0]!.rules[0]!.rejected.length, 2);
  const { problems } = new Compiler(configWith()).compile(state!);
  assert.deepEqual(
    problems.map(({ severity, file, message }) => `${severity} ${file} ${message}`),
    [
      `warning p.yaml CiliumClusterwideNetworkPolicy p spec enforces nothing: ${state!.ciliumPolicies[0]!.rules[0]!.rejected.join('; ')}`,
    ],
  );
});

test('what a Cilium rule asks for in vain is a warning that names policy, rule and reason', () => {
  const own = (more: string): string => ciliumPolicy(`{${A}, ingress: [{fromEndpoints: [{}]${more}}]}`);
  assert.deepEqual(said(own('')), []);
  assert.deepEqual(said(own(', authentication: {mode: disabled}')), []);
  assert.deepEqual(said(own(', authentication: {mode: required}')), [
    'warning CiliumNetworkPolicy x/p spec.ingress[0]: authentication mode required is not enforced',
  ]);
  assert.deepEqual(said(clusterPolicy('{nodeSelector: {}, ingress: [{}]}')), [
    'warning CiliumClusterwideNetworkPolicy p spec selects nodes: host policies are not enforced without hostFirewall.enabled',
  ]);
});

test('enableDefaultDeny is told for each direction apart', () => {
  const world = (which: string): string[] => {
    const { compiled } = new TrapWorld(
      ciliumPolicy(
        `{${A}, enableDefaultDeny: {${which}}, ingress: [{fromEndpoints: [{matchLabels: {pod: c}}]}], egress: [{toEndpoints: [{matchLabels: {pod: c}}]}]}`,
      ),
    );
    return compiled.policies.isolations.map(({ direction }) => direction);
  };
  assert.deepEqual(world('ingress: true, egress: true'), ['ingress', 'egress']);
  assert.deepEqual(world('ingress: false, egress: true'), ['egress']);
  assert.deepEqual(world('ingress: true, egress: false'), ['ingress']);
  assert.deepEqual(world('ingress: false, egress: false'), []);
});

test('labels that identities do not carry: once a policy and label, in Cilium’s semantics only', () => {
  const label = 'matchLabels: {pod-template-hash: abc}';
  const policy = networkPolicy(
    `{podSelector: {${label}}, ingress: [{from: [{podSelector: {${label}}}]}, {from: [{podSelector: {${label}}}]}]}`,
  );
  const other = policy.replace('namespace: x', 'namespace: y');
  const message = 'warning label pod-template-hash is no part of Cilium’s identities: nothing carries it'.replace(
    '’',
    "'",
  );
  assert.deepEqual(said(policy), [message]);
  assert.deepEqual(said(join(policy, other)), [message, message]);
  assert.deepEqual(said(policy, { semantics: 'kubernetes' }), []);
});

test('two policies at one priority of a tier, and an audit annotation that means nothing', () => {
  const tier = (name: string, more = ''): string =>
    tierPolicy(
      '{tier: Admin, priority: 7, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}',
      name,
    ).replace('metadata: {', `metadata: {${more}`);
  assert.deepEqual(said(join(tier('q'), tier('p'))), [
    'warning ClusterNetworkPolicy q: priority 7 is that of ClusterNetworkPolicy p, too; which decides first is undefined, Weir goes by kind and name',
  ]);
  assert.deepEqual(said(tier('p', 'annotations: {weir.dev/policy-audit-mode: "on"}, ')), [
    'warning ClusterNetworkPolicy p: annotation weir.dev/policy-audit-mode: "on" is neither enabled nor disabled: the policy is enforced',
  ]);
});

test('namespace labels, while pods are in namespaces that no manifest holds: the first five by name', () => {
  const pods = (count: number): string =>
    Array.from(
      { length: count },
      (_, i) =>
        `{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: m${9 - i}, labels: {pod: a}}, spec: {containers: [{name: c}]}, status: {podIP: 10.0.0.${i + 1}}}\n---\n`,
    ).join('');
  const policy = networkPolicy(
    '{podSelector: {}, ingress: [{from: [{podSelector: {}}]}, {from: [{namespaceSelector: {matchLabels: {team: a}}}]}]}',
  );
  const missing = (count: number): string[] =>
    new Compiler(configWith())
      .compile(stateOf(pods(count) + policy))
      .problems.map(({ severity, message }) => `${severity} ${message}`);
  const message = 'warning selects by namespace labels, but these namespaces are not among the manifests: ';
  assert.deepEqual(missing(0), []);
  assert.deepEqual(missing(1), [`${message}m9`]);
  assert.deepEqual(missing(5), [`${message}m5, m6, m7, m8, m9`]);
  assert.deepEqual(missing(6), [`${message}m4, m5, m6, m7, m8, …`]);
});

test('the admin tiers: named ports of the destination for TCP, UDP and SCTP', () => {
  const world = new TrapWorld(
    tierPolicy(
      '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]}]}',
    ),
  );
  assert.equal(world.reachedBy('x/a', '80'), 'x/b y/b n1 n2 world');
  assert.equal(world.reachedBy('x/a', '81'), 'y/a n1 n2 world');
  assert.deepEqual(world.compiled.policies.rules[0]!.ports, [
    { kind: 'named', name: 'http', protocols: ['TCP', 'UDP', 'SCTP'] },
  ]);
});

test('the admin tiers: a domain name is that name, its addresses in the cluster are not meant', () => {
  const dnsNames = new Map(
    [
      ['api.example.org', [203, 0, 113, 9]],
      ['xapi.example.org', [198, 51, 100, 7]],
      ['in.example.org', [10, 244, 2, 11]],
    ].map(([name, bytes]) => [
      name as string,
      [{ family: 4 as const, text: (bytes as number[]).join('.'), bytes: Uint8Array.from(bytes as number[]) }],
    ]),
  );
  const reached = (name: string): string => {
    const rules = tierPolicy(
      `{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: [${name}]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]}`,
    );
    return new TrapWorld(rules, {}, {}, { dnsNames }).reachedBy('x/a', '443', ['y/a', 'world', 'elsewhere']);
  };
  assert.equal(reached('api.example.org'), 'world');
  assert.equal(reached('in.example.org'), '');
  assert.equal(reached('"*.example.org"'), 'world elsewhere');
});

test('requirements of Cilium policies narrow neither nodes nor pods of the admin tiers', () => {
  const rules = tierPolicy(
    '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{nodes: {matchLabels: {pool: n2}}}, {pods: {podSelector: {matchLabels: {pod: b}}}}]}]}',
  );
  const requires = ciliumPolicy(`{${A}, egress: [{toRequires: [{matchLabels: {pod: c}}]}]}`, 'q');
  assert.equal(new TrapWorld(join(rules, requires)).reachedBy('x/a'), 'x/b y/b n2');
});

test('nodes have identities of their own only where a rule tells them apart', () => {
  const identity = (peer: string): number => {
    const rule = `{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [${peer}]}]}`;
    return lookupIdentity(new TrapWorld(tierPolicy(rule)).compiled, ADDRESS['n2']!)!.identity;
  };
  assert.equal(identity('{namespaces: {}}'), IDENTITY.REMOTE_NODE);
  assert.equal(identity('{nodes: {matchLabels: {pool: n2}}}') >>> 24, IDENTITY.SCOPE_REMOTE_NODE >>> 24);
});

test('a prefix of a Cilium rule does not mean pods, even where the admin tiers name it as a network', () => {
  const networks = tierPolicy(
    '{tier: Admin, priority: 1, subject: {pods: {podSelector: {matchLabels: {pod: z}}}}, egress: [{action: Accept, to: [{networks: [10.244.2.0/24]}]}]}',
  );
  const cidr = ciliumPolicy(`{${A}, egress: [{toCIDR: [10.244.2.0/24]}]}`, 'q');
  assert.equal(new TrapWorld(join(networks, cidr)).reachedBy('x/a'), '');
});
