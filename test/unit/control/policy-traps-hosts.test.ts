// Host policies: traps T-nn where a node is an end, and the rules that only they have. Each is a small world with verdicts that
// were worked out by hand. Columns: who reaches whom, with the host firewall on unless a test says otherwise.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Judge, PolicyWorld } from '../../../src/analysis/index.ts';
import { Compiler } from '../../../src/control/compile.ts';
import { resolveConfig } from '../../../src/control/config/index.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { ENDPOINT_FLAG, FEATURE, configValue, IDENTITY } from '../../../src/schema/index.ts';
import { configWith, endpointOf, rulesBehind, sideVerdict, stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, clusterPolicy, networkPolicy, tierPolicy, TrapWorld } from '../../support/trap-world.ts';

const ON = { 'hostFirewall.enabled': true } as const;
const N1 = '172.18.0.11';
const N2 = '172.18.0.12';
const world = (policies: string, config: object = {}, facts: object = {}): TrapWorld =>
  new TrapWorld(policies, {}, { ...ON, ...config }, facts);
const host = (spec: string, name = 'p'): string => clusterPolicy(`{nodeSelector: {}, ${spec}}`, name);
const TCP22 = 'toPorts: [{ports: [{port: "22", protocol: TCP}]}]';
const said = (w: TrapWorld): string => w.compiled.problems.map(({ message }) => message).join('\n');

test('a host policy isolates the nodes that it selects by their labels, and only those', () => {
  const w = world(
    clusterPolicy(`{nodeSelector: {matchLabels: {pool: n1}}, ingress: [{fromEntities: [world], ${TCP22}}]}`),
  );
  assert.equal(w.reaching('n1', '22'), 'world');
  assert.equal(w.reaching('n1', '80'), '');
  assert.equal(w.reaching('n2', '80'), 'x/a x/b y/a y/b n1 world');
  // Egress of the selected node, and pods, stay as they were.
  assert.equal(w.reachedBy('n1'), 'x/a x/b y/a y/b n2 world');
  assert.equal(w.reachedBy('x/a', '80', ['y/a', 'n2', 'world']), 'y/a n2 world');
});

test('egress host policies: DNS only', () => {
  const w = world(host('egress: [{toEntities: [world], toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]'));
  assert.equal(w.reachedBy('n1', '53/UDP'), 'world');
  assert.equal(w.reachedBy('n1', '53'), '');
  assert.equal(w.reaching('n1'), 'x/a x/b y/a y/b world', 'n2 may not send, everybody may come in');
});

test('T-01 the localhost exemption is for pods: their node always gets in, but they get into their node only as its policy says', () => {
  const w = world(
    host(`ingress: [{fromEndpoints: [{matchLabels: {pod: a}}], ${TCP22}}]`) +
      '---\n' +
      networkPolicy('{podSelector: {}, ingress: []}', 'closed'),
  );
  assert.ok(w.allows('n1', 'x/a'), 'own node to its pod');
  assert.ok(!w.allows('n2', 'x/a'), 'another node');
  assert.equal(w.reaching('n1', '22'), 'x/a y/a');
  assert.ok(!w.allows('x/a', 'n1', '80'), 'and the pod to its own node on another port');
});

test('T-13 a hostNetwork pod has no policy of its own but that of its node', () => {
  const pod =
    '{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: x, labels: {app: agent}}, spec: {nodeName: n1, hostNetwork: true, containers: [{name: c, ports: [{name: metrics, containerPort: 9100}]}]}, status: {podIP: 172.18.0.11}}\n---\n';
  const select = '{endpointSelector: {matchLabels: {app: agent}}, ingress: [{fromEndpoints: [{}]}]}';
  assert.ok(world(pod + ciliumPolicy(select)).allows('world', 'n1'), 'a selector of pods does not see it');
  assert.ok(!world(pod + host('ingress: [{fromEntities: [cluster]}]')).allows('world', 'n1'));
  // Nor do its port names mean anything to a host policy.
  const named = world(
    pod + host('ingress: [{fromEntities: [all], toPorts: [{ports: [{port: metrics, protocol: TCP}]}]}]'),
  );
  assert.equal(named.reaching('n1', '9100'), '');
});

test('endpointSelector {} never selects nodes, and nodeSelector {} never selects pods', () => {
  const pods = world(clusterPolicy('{endpointSelector: {}, ingress: [{}]}'));
  assert.equal(pods.reaching('n1'), 'x/a x/b y/a y/b n2 world');
  assert.equal(pods.reaching('x/b', '80', ['x/a', 'world']), '');
  const nodes = world(host('ingress: [{}]'));
  assert.equal(nodes.reaching('n1'), '');
  assert.equal(nodes.reaching('x/b', '80', ['x/a', 'world']), 'x/a world');
});

test('NetworkPolicies and admin tiers never select nodes', () => {
  const rules = `${networkPolicy('{podSelector: {}, ingress: [], egress: []}')}---\n${tierPolicy('{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}], egress: [{action: Deny, to: [{namespaces: {}}]}]}', 't')}`;
  const w = world(rules);
  assert.equal(w.reaching('n1', '80', ['n2', 'world']), 'n2 world');
  assert.equal(w.reachedBy('n1', '80', ['n2', 'world']), 'n2 world');
});

test('T-20, T-21 default deny of hosts: [{}] allows nobody, denies alone deny the rest, [] and enableDefaultDeny false do not isolate', () => {
  assert.equal(world(host('ingress: [{}]')).reaching('n1'), '');
  assert.equal(world(host('ingressDeny: [{fromEntities: [world]}]')).reaching('n1'), '');
  assert.equal(world(host('ingress: []')).reaching('n1'), 'x/a x/b y/a y/b n2 world');
  const soft = world(host('enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEntities: [world]}]'));
  assert.equal(soft.reaching('n1'), 'x/a x/b y/a y/b n2');
});

test('T-22, T-23 no peer with ports is everybody, an empty list of peers nobody', () => {
  assert.equal(world(host(`ingress: [{${TCP22}}]`)).reaching('n1', '22'), 'x/a x/b y/a y/b n2 world');
  assert.equal(world(host(`ingress: [{fromEndpoints: [], ${TCP22}}]`)).reaching('n1', '22'), '');
});

test('T-26 fromEndpoints [{}] of a host policy is any pod, no node and no world', () => {
  assert.equal(world(host('ingress: [{fromEndpoints: [{}]}]')).reaching('n1'), 'x/a x/b y/a y/b');
});

test('T-27 CIDR rules of a host policy see the world only, nodes with policy-cidr-match-mode=nodes', () => {
  const all = host('ingress: [{fromCIDR: [0.0.0.0/0]}]');
  assert.equal(world(all).reaching('n1'), 'world');
  assert.equal(world(all, { policyCIDRMatchMode: ['nodes'] }).reaching('n1'), 'n2 world');
  assert.equal(world(host('egress: [{toCIDR: [10.244.0.0/16, 203.0.113.0/24]}]')).reachedBy('n1'), 'world');
});

test('T-28 host and remote-node are relative: to a node, host is itself and every other node is remote-node', () => {
  assert.equal(world(host('ingress: [{fromEntities: [host]}]')).reaching('n1'), '');
  const remote = world(host('ingress: [{fromEntities: [remote-node]}]'));
  assert.equal(remote.reaching('n1'), 'n2');
  assert.equal(remote.reaching('n2'), 'n1');
  assert.equal(world(host('ingress: [{fromEntities: [cluster]}]')).reaching('n1'), 'x/a x/b y/a y/b n2');
  assert.equal(world(host('ingress: [{fromEntities: [all]}]')).reaching('n1'), 'x/a x/b y/a y/b n2 world');
});

test('T-30, T-31 ports of hosts: ANY is TCP, UDP and SCTP without ICMP; a deny cuts a hole', () => {
  const any = world(host('ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "22"}]}]}]'));
  for (const port of ['22', '22/UDP', '22/SCTP']) assert.ok(any.allows('world', 'n1', port), port);
  assert.ok(!any.allows('world', 'n1', '8/ICMP'));
  const hole = world(host(`ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [world], ${TCP22}}]`));
  assert.equal(hole.reaching('n1', '22'), 'x/a x/b y/a y/b n2');
  assert.equal(hole.reaching('n1', '23'), 'x/a x/b y/a y/b n2 world');
  const pings = world(host('ingress: [{fromEntities: [world], icmps: [{fields: [{type: 8, family: IPv4}]}]}]'));
  assert.ok(pings.allows('world', 'n1', '8/ICMP'));
  assert.ok(!pings.allows('world', 'n1', '0/ICMP'));
});

test('kube-apiserver and health as peers of a node', () => {
  const facts = {
    entities: new Map([
      [N2, ['kube-apiserver']],
      ['203.0.113.9', ['kube-apiserver']],
      ['10.244.1.200', ['health']],
    ]),
  };
  assert.equal(world(host('ingress: [{fromEntities: [kube-apiserver]}]'), {}, facts).reaching('n1'), 'n2 world');
  assert.equal(world(host('egress: [{toEntities: [kube-apiserver]}]'), {}, facts).reachedBy('n1'), 'n2 world');
  const health = world(host('ingress: [{fromEntities: [health]}]'), {}, facts);
  assert.ok(health.allows('10.244.1.200', 'n1'));
  assert.equal(health.reaching('n1'), '');
});

test('fromNodes of a host policy: other nodes by label', () => {
  const w = world(host('ingress: [{fromNodes: [{matchLabels: {pool: n2}}]}]'), { nodeSelectorLabels: true });
  assert.equal(w.reaching('n1'), 'n2');
  assert.equal(w.reaching('n2'), '');
});

test('labels that are no part of identities select no node, and a warning says so', () => {
  const policy = clusterPolicy('{nodeSelector: {matchLabels: {kubernetes.io/hostname: n1}}, ingress: [{}]}');
  const node =
    '{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {kubernetes.io/hostname: n1}}, status: {addresses: [{type: InternalIP, address: 172.18.0.13}]}}\n---\n';
  const filtered = world(node + policy);
  assert.ok(filtered.allows('world', '172.18.0.13'));
  assert.match(said(filtered), /label kubernetes\.io\/hostname is no part of Cilium's identities/);
  const kept = world(node + policy, {
    labels: resolveConfig({ sets: ['labels=kubernetes\\.io/hostname'] }).config.labels,
  });
  assert.ok(!kept.allows('world', '172.18.0.13'));
});

test('policyEnforcementMode: always isolates every node, never none', () => {
  assert.equal(world('', { policyEnforcementMode: 'always' }).reaching('n1'), '');
  const open = world(host('ingress: [{}]'), { policyEnforcementMode: 'never' });
  assert.equal(open.reaching('n1', '80', ['x/a', 'world']), 'x/a world');
});

test('audit mode of one host policy: what it denies is shown, not dropped', () => {
  const policy = `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: p, annotations: {weir.dev/policy-audit-mode: enabled}}, spec: {nodeSelector: {}, ingress: [{fromEndpoints: [{}]}]}}\n`;
  const { compiled } = world(policy);
  assert.equal(sideVerdict(compiled, N1, '203.0.113.9', false, 6, 80).verdict, 'audited');
  assert.equal(sideVerdict(compiled, N1, '10.244.1.11', false, 6, 80).verdict, 'allowed');
});

test('without hostFirewall.enabled nothing of a host policy is enforced or written, and a warning with its line says so', () => {
  const w = new TrapWorld(host('ingress: [{}], egress: [{}]'));
  assert.equal(w.reaching('n1'), 'x/a x/b y/a y/b n2 world');
  assert.equal(endpointOf(w.compiled, N1), undefined);
  assert.equal(configValue.decode(w.compiled.maps.config.valueAt(0)).features & FEATURE.HOST_FIREWALL, 0);
  const [problem] = w.compiled.problems.filter(({ message }) => message.includes('host policies'));
  assert.match(problem?.message ?? '', /host policies are not enforced without hostFirewall\.enabled/);
  assert.ok(problem !== undefined && problem.file === 'file1.yaml' && problem.line > 0);
});

test('layer 7 in a host policy is rejected, and then enforces nothing', () => {
  const l7 = 'toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]';
  assert.throws(() => world(host(`ingress: [{fromEntities: [all], ${l7}}]`)), /L7|layer|host/i);
});

test('the node’s entry: identity host, its flag, a policy; rules are known by file and line', () => {
  const { compiled } = world(
    host(`ingress: [{fromEntities: [remote-node]}, {fromEntities: [world], ${TCP22}}]`, 'nodes'),
  );
  const entry = endpointOf(compiled, N1)!;
  assert.deepEqual([entry.identity, entry.flags, entry.ifindex], [IDENTITY.HOST, ENDPOINT_FLAG.HOST, 0]);
  assert.ok(entry.policyId > 0 && entry.endpointId > 0 && entry.nodeId > 0);
  const open = sideVerdict(compiled, N1, '203.0.113.9', false, 6, 22);
  assert.deepEqual(rulesBehind(compiled, open), ['nodes ingress[1]']);
  const shut = sideVerdict(compiled, N1, '203.0.113.9', false, 6, 23);
  assert.deepEqual([shut.reason, rulesBehind(compiled, shut)], ['default', ['nodes ingress']]);
  assert.ok(compiled.provenance.rulesOf(open.cookie)[0]!.line > 0);
});

test('with --node only that node is an endpoint', () => {
  const w = new TrapWorld(host('ingress: [{}]'), { node: 'n1' }, ON);
  assert.notEqual(endpointOf(w.compiled, N1), undefined);
  assert.equal(endpointOf(w.compiled, N2), undefined);
});

test('a node that talks to itself has no gate; nodes with equal policies share one', () => {
  const state = stateOf(
    `{apiVersion: v1, kind: Node, metadata: {name: a}, status: {addresses: [{type: InternalIP, address: 172.18.0.1}, {type: ExternalIP, address: 203.0.113.1}]}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}}\n---\n${host('ingress: [{}]')}`,
  );
  const config = configWith(ON);
  const compiled = new Compiler(config).compile(state);
  const judge = new Judge(new PolicyWorld({ state, settings: settingsOf(config, state), compiled, dnsKnown: true }));
  const verdict = (from: string, to: string): string => {
    const result = judge.ask({ from, to, protocol: 'TCP', port: 80 });
    return 'answer' in result ? result.answer.verdict : result.problem;
  };
  assert.equal(verdict('ip:172.18.0.1', 'ip:203.0.113.1'), 'allowed');
  assert.equal(verdict('node:a', 'node:b'), 'denied');
  assert.equal(verdict('entity:host', 'node:a'), 'allowed');
  assert.equal(verdict('entity:world', 'node:a'), 'denied');
  assert.equal(endpointOf(compiled, '172.18.0.1')!.policyId, endpointOf(compiled, '172.18.0.2')!.policyId);
});
