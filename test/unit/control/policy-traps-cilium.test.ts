// The traps of Cilium's policies at L3/L4, each named by its number.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address } from '../../support/policy-world.ts';
import type { CompileOptions } from '../../../src/control/settings.ts';
import { ciliumPolicy, clusterPolicy, networkPolicy, TrapWorld } from '../../support/trap-world.ts';

const A = 'endpointSelector: {matchLabels: {pod: a}}';
const EVERYBODY = 'x/b y/a y/b n1 n2 world';

test('T-13 a hostNetwork pod is its node', () => {
  const host = `{apiVersion: v1, kind: Pod, metadata: {name: h, namespace: x, labels: {pod: b}}, spec: {nodeName: n2, hostNetwork: true, containers: [{name: c}]}, status: {podIP: 172.18.0.12}}\n---\n`;
  const byLabel = new TrapWorld(host + ciliumPolicy(`{${A}, ingress: [{fromEndpoints: [{matchLabels: {pod: b}}]}]}`));
  assert.equal(byLabel.reaching('x/a'), 'x/b n1');
  const byEntity = new TrapWorld(host + ciliumPolicy(`{${A}, ingress: [{fromEntities: [remote-node]}]}`));
  assert.equal(byEntity.reaching('x/a'), 'n1 n2');
});

test('T-14 the policy’s namespace is forced in: a k8s: namespace in matchLabels is overwritten, elsewhere it stays', () => {
  const rules = 'ingress: [{}]';
  const labels = new TrapWorld(
    ciliumPolicy(`{endpointSelector: {matchLabels: {pod: a, "k8s:io.kubernetes.pod.namespace": y}}, ${rules}}`),
  );
  assert.equal(labels.reaching('x/a'), 'n1');
  assert.equal(labels.reaching('y/a'), 'x/a x/b y/b n1 n2 world');
  assert.match(labels.compiled.problems.map((p) => p.message).join(), /namespace y in endpointSelector is ignored/);
  for (const stays of [
    '{matchLabels: {"io.kubernetes.pod.namespace": y}}',
    '{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: In, values: [y]}]}',
  ]) {
    const nobody = new TrapWorld(ciliumPolicy(`{endpointSelector: ${stays}, ${rules}}`));
    assert.equal(nobody.reaching('x/a'), EVERYBODY);
  }
});

test('T-20 an absent or empty list has no effect; [{}] denies everybody', () => {
  assert.equal(
    new TrapWorld(ciliumPolicy(`{${A}, ingress: [], egress: [{toEntities: [all]}]}`)).reaching('x/a'),
    EVERYBODY,
  );
  assert.equal(new TrapWorld(ciliumPolicy(`{${A}, ingress: [{}]}`)).reaching('x/a'), 'n1');
});

test('T-21 deny rules alone also deny everything else by default', () => {
  const world = new TrapWorld(ciliumPolicy(`{${A}, ingressDeny: [{fromEndpoints: [{matchLabels: {pod: b}}]}]}`));
  assert.equal(world.reaching('x/a'), 'n1');
  const nobody = new TrapWorld(ciliumPolicy(`{${A}, ingressDeny: [{}]}`));
  assert.equal(nobody.reaching('x/a'), 'n1');
  const open = new TrapWorld(
    ciliumPolicy(
      `{${A}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEndpoints: [{matchLabels: {pod: b}}]}]}`,
    ),
  );
  assert.equal(open.reaching('x/a'), 'y/a y/b n1 n2 world');
});

test('T-22 without any peer field: ports mean everybody, no ports mean nobody', () => {
  assert.equal(
    new TrapWorld(ciliumPolicy(`{${A}, ingress: [{toPorts: [{ports: [{port: "80"}]}]}]}`)).reaching('x/a'),
    EVERYBODY,
  );
  assert.equal(
    new TrapWorld(ciliumPolicy(`{${A}, ingress: [{icmps: [{fields: [{type: 8}]}]}]}`)).reaching('x/a', '8/ICMP'),
    EVERYBODY,
  );
  assert.equal(new TrapWorld(ciliumPolicy(`{${A}, ingress: [{toPorts: []}]}`)).reaching('x/a'), 'n1');
});

test('T-23 a peer list that is present but empty selects nobody, even with ports', () => {
  const world = new TrapWorld(
    ciliumPolicy(`{${A}, ingress: [{fromEndpoints: [], toPorts: [{ports: [{port: "80"}]}]}]}`),
  );
  assert.equal(world.reaching('x/a'), 'n1');
  const absent = new TrapWorld(
    ciliumPolicy(`{${A}, ingress: [{fromEndpoints: null, toPorts: [{ports: [{port: "80"}]}]}]}`),
  );
  assert.equal(absent.reaching('x/a'), EVERYBODY);
});

test('T-24 a namespace that must exist means every pod of every namespace', () => {
  const world = new TrapWorld(
    ciliumPolicy(
      `{${A}, ingress: [{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}]}]}`,
    ),
  );
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1');
});

test('T-25 fromEndpoints [{}] is the policy’s own namespace', () => {
  assert.equal(new TrapWorld(ciliumPolicy(`{${A}, ingress: [{fromEndpoints: [{}]}]}`)).reaching('x/a'), 'x/b n1');
});

test('T-26 in a cluster-wide policy [{}] is any pod, neither the world nor nodes', () => {
  assert.equal(
    new TrapWorld(clusterPolicy(`{${A}, ingress: [{fromEndpoints: [{}]}]}`)).reaching('x/a'),
    'x/b y/a y/b n1',
  );
});

test('T-27 prefixes match neither pods nor nodes', () => {
  const all = new TrapWorld(ciliumPolicy(`{${A}, ingress: [{fromCIDR: [0.0.0.0/0]}]}`));
  assert.equal(all.reaching('x/a'), 'n1 world');
  const exact = new TrapWorld(
    ciliumPolicy(`{${A}, ingress: [{fromCIDR: [10.244.1.12, 172.18.0.12/32, 203.0.113.9]}]}`),
  );
  assert.equal(exact.reaching('x/a'), 'n1 world');
  const nodes = new TrapWorld(
    ciliumPolicy(`{${A}, ingress: [{fromCIDR: [172.18.0.0/16]}]}`),
    {},
    { policyCIDRMatchMode: ['nodes'] },
  );
  assert.equal(nodes.reaching('x/a'), 'n1 n2');
});

test('T-28 host is the subject’s own node', () => {
  const world = new TrapWorld(ciliumPolicy('{endpointSelector: {}, egress: [{toEntities: [host]}]}'));
  assert.equal(world.reachedBy('x/a'), 'n1');
  assert.equal(world.reachedBy('x/b'), 'n2');
});

test('T-29 a named port on egress is each destination’s', () => {
  const world = new TrapWorld(
    ciliumPolicy(`{${A}, egress: [{toEntities: [cluster], toPorts: [{ports: [{port: HTTP}]}]}]}`),
  );
  assert.equal(world.reachedBy('x/a', '80'), 'y/a');
  assert.equal(world.reachedBy('x/a', '81'), 'x/b y/b');
});

test('T-30 a port without protocol is TCP, UDP and SCTP, but not ICMP', () => {
  for (const protocol of ['', ', protocol: ANY', ', protocol: ""']) {
    const world = new TrapWorld(ciliumPolicy(`{${A}, ingress: [{toPorts: [{ports: [{port: "80"${protocol}}]}]}]}`));
    assert.deepEqual(
      ['80', '80/UDP', '80/SCTP', '80/ICMP'].map((port) => world.allows('world', 'x/a', port)),
      [true, true, true, false],
    );
  }
  const zero = new TrapWorld(ciliumPolicy(`{${A}, ingress: [{toPorts: [{ports: [{port: "0", protocol: UDP}]}]}]}`));
  assert.deepEqual(
    ['9/UDP', '65535/UDP', '9'].map((port) => zero.allows('world', 'x/a', port)),
    [true, true, false],
  );
});

test('T-31 a broad deny beats a narrower allow; a port deny cuts a hole and leaves ICMP', () => {
  const broad = new TrapWorld(
    ciliumPolicy(
      `{${A}, ingress: [{fromEndpoints: [{matchLabels: {pod: b}}], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}], ingressDeny: [{fromEntities: [all]}]}`,
    ),
  );
  assert.equal(broad.reaching('x/a'), 'n1');
  const hole = new TrapWorld(
    ciliumPolicy(
      `{${A}, ingress: [{fromEndpoints: [{}]}], ingressDeny: [{fromEntities: [all], toPorts: [{ports: [{port: "80"}]}]}]}`,
    ),
  );
  assert.deepEqual(
    ['80', '81', '8/ICMP'].map((port) => hole.allows('x/b', 'x/a', port)),
    [false, true, true],
  );
});

test('T-32 a deny of a cluster-wide policy beats a NetworkPolicy', () => {
  const world = new TrapWorld(
    `${networkPolicy('{podSelector: {}, ingress: [{}]}', 'n')}---\n${clusterPolicy(`{${A}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEntities: [world]}]}`)}`,
  );
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1 n2');
});

test('denying the host on ingress does not cut the own node: the exemption has top precedence', () => {
  const world = new TrapWorld(ciliumPolicy(`{${A}, ingressDeny: [{fromEntities: [host, all]}]}`));
  assert.equal(world.reaching('x/a'), 'n1');
  const policed = new TrapWorld(ciliumPolicy(`{${A}, ingress: [{}]}`), {}, { 'allow-localhost': 'policy' });
  assert.equal(policed.reaching('x/a'), '');
});

test('fromRequires narrows the endpoint peers of every rule that selects the subject, not entities', () => {
  const world = new TrapWorld(
    `${ciliumPolicy(`{${A}, ingress: [{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}]}, {fromEntities: [world]}]}`)}---\n${ciliumPolicy(`{${A}, ingress: [{fromRequires: [{matchLabels: {pod: b}}]}]}`, 'q')}`,
  );
  assert.equal(world.reaching('x/a'), 'x/b n1 world');
});

test('fromRequires narrows the peers of NetworkPolicies, too: selectors and everybody, not blocks', () => {
  const requires = `---\n${ciliumPolicy(`{${A}, ingress: [{fromRequires: [{matchLabels: {pod: b}}]}]}`, 'q')}`;
  const anyPod = '{podSelector: {}, namespaceSelector: {}}';
  const reaching = (rule: string, more = requires, semantics: CompileOptions['semantics'] = 'cilium'): string =>
    new TrapWorld(networkPolicy(`{podSelector: {matchLabels: {pod: a}}, ingress: [${rule}]}`) + more, {
      semantics,
    }).reaching('x/a');
  assert.equal(reaching(`{from: [${anyPod}]}`, ''), 'x/b y/a y/b n1');
  assert.equal(reaching(`{from: [${anyPod}]}`), 'x/b n1');
  assert.equal(reaching('{}'), 'x/b n1');
  assert.equal(reaching('{from: []}'), 'x/b n1');
  assert.equal(reaching('{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}'), 'n1 world');
  assert.equal(reaching('{}', requires, 'kubernetes'), 'x/b y/a y/b n1 n2 world');
  assert.equal(reaching(`{from: [${anyPod}]}`, requires, 'kubernetes'), 'x/b y/a y/b n1');
});

test('toRequires narrows a NetworkPolicy on egress; the own node may be among those that remain', () => {
  const world = (required: string): TrapWorld =>
    new TrapWorld(
      `${networkPolicy('{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{}]}')}---\n${ciliumPolicy(`{${A}, egress: [{toRequires: [${required}]}]}`, 'q')}`,
    );
  assert.equal(world('{matchLabels: {pod: b}}').reachedBy('x/a'), 'x/b');
  assert.equal(world('{matchLabels: {"reserved:host": ""}}').reachedBy('x/a'), 'n1');
  assert.equal(world('{matchLabels: {"reserved:world": ""}}').reachedBy('x/a'), 'world');
});

test('what a deny rule requires narrows deny rules alone, and the other way round', () => {
  const b = '[{matchLabels: {pod: b}}]';
  const peers = '{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}]}';
  const reaching = (more: string): string =>
    new TrapWorld(
      `${ciliumPolicy(`{${A}, ingress: [{fromEntities: [cluster]}, ${peers}], ingressDeny: [${peers}]}`)}---\n${ciliumPolicy(`{${A}, ${more}}`, 'q')}`,
    ).reaching('x/a');
  assert.equal(reaching('ingress: [{}]'), 'n1 n2');
  assert.equal(reaching(`ingress: [{fromRequires: ${b}}]`), 'n1 n2');
  assert.equal(reaching(`ingressDeny: [{fromRequires: ${b}}]`), 'y/a y/b n1 n2');
  // A rule for everybody that names ports alone has no selector to narrow.
  const ports = '{toPorts: [{ports: [{port: "80"}]}]}';
  const open = (more: string): string =>
    new TrapWorld(
      `${ciliumPolicy(`{${A}, ingress: [${ports}]}`)}---\n${ciliumPolicy(`{${A}, ${more}}`, 'q')}`,
    ).reaching('x/a');
  assert.equal(open(`ingress: [{fromRequires: ${b}}]`), 'x/b y/a y/b n1 n2 world');
});

test('an empty fromRequires requires nothing: ports alone are open to everybody, or closed', () => {
  const ports = 'toPorts: [{ports: [{port: "80"}]}]';
  const item = `{fromRequires: [], ${ports}}`;
  assert.equal(new TrapWorld(ciliumPolicy(`{${A}, ingress: [${item}]}`)).reaching('x/a'), EVERYBODY);
  const denied = `{${A}, ingress: [{fromEntities: [all]}], ingressDeny: [${item}]}`;
  assert.equal(new TrapWorld(ciliumPolicy(denied)).reaching('x/a'), 'n1');
});

test('enforcement modes: always isolates every endpoint, never none', () => {
  assert.equal(new TrapWorld('', {}, { policyEnforcementMode: 'always' }).reaching('x/a'), 'n1');
  const never = new TrapWorld(
    ciliumPolicy(`{${A}, ingressDeny: [{fromEntities: [all]}]}`),
    {},
    { policyEnforcementMode: 'never' },
  );
  assert.equal(never.reaching('x/a'), EVERYBODY);
});

test('an L7 rule redirects, a wider allow does not take that away, a deny does', () => {
  const l7 = `{fromEndpoints: [{}], toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}`;
  const world = new TrapWorld(ciliumPolicy(`{${A}, ingress: [${l7}, {fromEndpoints: [{}]}]}`));
  assert.equal(world.allows('x/b', 'x/a'), true);
  assert.deepEqual(world.compiled.problems, []);
  const redirects = world.compiled.policies.rules.filter(({ verdict }) => verdict === 'redirect');
  assert.deepEqual(
    redirects.map(({ inspected }) => inspected?.l7),
    ['http'],
  );
  const denied = new TrapWorld(ciliumPolicy(`{${A}, ingress: [${l7}], ingressDeny: [{fromEndpoints: [{}]}]}`));
  assert.equal(denied.allows('x/b', 'x/a'), false);
});

test('toFQDNs grants the addresses that are known, and tells the names that a verdict hangs on', () => {
  const policy = ciliumPolicy(
    `{${A}, egress: [{toFQDNs: [{matchName: "api.example.org"}, {matchPattern: "*.example.net"}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]}`,
  );
  const world = new TrapWorld(policy);
  assert.equal(world.reachedBy('x/a', '443'), '');
  assert.deepEqual(
    world.compiled.namedRules.map(({ pattern, addresses, rule }) => [pattern, addresses, rule.rule]),
    [
      ['api.example.org', 0, 'egress[0]'],
      ['*.example.net', 0, 'egress[0]'],
    ],
  );
});

test('toFQDNs: patterns match label by label; an address in the cluster is never meant', () => {
  const dnsNames = new Map([
    ['api.example.org', [address('203.0.113.9'), address('10.244.2.11')]],
    ['a.b.example.net', [address('198.51.100.7')]],
  ]);
  const reached = (name: string): string =>
    new TrapWorld(ciliumPolicy(`{${A}, egress: [{toFQDNs: [{${name}}]}]}`), {}, {}, { dnsNames }).reachedBy(
      'x/a',
      '443',
      ['y/a', 'world', 'elsewhere'],
    );
  assert.equal(reached('matchName: api.example.org'), 'world');
  assert.equal(reached('matchPattern: "*.example.org"'), 'world');
  assert.equal(reached('matchPattern: "*.example.net"'), '');
  assert.equal(reached('matchPattern: "**.example.net"'), 'elsewhere');
  assert.equal(reached('matchPattern: "*"'), 'world elsewhere');
});

test('CIDR groups by name and by label, with exceptions', () => {
  const group =
    '{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: g, labels: {role: db}}, spec: {externalCIDRs: [203.0.113.0/24, 198.51.100.0/24]}}\n---\n';
  const reached = (set: string): string =>
    new TrapWorld(group + ciliumPolicy(`{${A}, egress: [{toCIDRSet: [${set}]}]}`)).reachedBy('x/a', '443', [
      'y/a',
      'world',
      'elsewhere',
    ]);
  assert.equal(reached('{cidrGroupRef: g}'), 'world elsewhere');
  assert.equal(reached('{cidrGroupRef: other}'), '');
  assert.equal(reached('{cidrGroupSelector: {matchLabels: {role: db}}, except: [203.0.113.0/25]}'), 'elsewhere');
});

test('toNodes selects other nodes by label where nodes have labelled identities', () => {
  const policy = ciliumPolicy('{endpointSelector: {}, egress: [{toNodes: [{matchLabels: {pool: n2}}]}]}');
  const world = new TrapWorld(policy, {}, { nodeSelectorLabels: true });
  assert.equal(world.reachedBy('x/a'), 'n2');
  assert.equal(world.reachedBy('x/b'), '');
});

test('kube-apiserver: a node, the own node, or outside the cluster', () => {
  const facts = {
    entities: new Map([
      ['172.18.0.12', ['kube-apiserver']],
      ['203.0.113.9', ['kube-apiserver']],
    ]),
  };
  const world = new TrapWorld(
    ciliumPolicy('{endpointSelector: {}, egress: [{toEntities: [kube-apiserver]}]}'),
    {},
    {},
    facts,
  );
  assert.equal(world.reachedBy('x/a'), 'n2 world');
  assert.equal(world.reachedBy('x/b'), 'n2 world');
  const remote = new TrapWorld(
    ciliumPolicy('{endpointSelector: {}, egress: [{toEntities: [remote-node]}]}'),
    {},
    {},
    facts,
  );
  assert.equal(remote.reachedBy('x/a'), 'n2');
});

test('an empty list of requirements is none: a rule of ports alone means everybody', () => {
  const ports = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]';
  const world = new TrapWorld(ciliumPolicy(`{${A}, ingress: [{fromRequires: [], ${ports}}]}`));
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1 n2 world');
});

test('toServices: a Service with a selector is its pods, one without is its endpoints’ addresses', () => {
  const services = `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: y}
spec: {clusterIP: 10.96.0.10, selector: {pod: b}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: out, namespace: y}
spec: {clusterIP: 10.96.0.11, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: out, namespace: y}
subsets: [{addresses: [{ip: 198.51.100.7}], ports: [{port: 80}]}]
---
`;
  const to = (service: string): string =>
    new TrapWorld(
      services +
        ciliumPolicy(`{${A}, egress: [{toServices: [{k8sService: {serviceName: ${service}, namespace: y}}]}]}`),
    ).reachedBy('x/a', '80', ['x/b', 'y/a', 'y/b', 'n1', 'world', 'elsewhere']);
  assert.equal(to('db'), 'y/b');
  assert.equal(to('out'), 'elsewhere');
});

test('what is not enforced is said with file and line', () => {
  const said = (policy: string): string => {
    const { problems } = new TrapWorld(policy).compiled;
    return problems.map((p) => `${p.file}:${p.line > 0} ${p.message}`).join('\n');
  };
  assert.match(
    said(clusterPolicy('{nodeSelector: {}, ingress: [{}]}')),
    /file1.yaml:true .*host policies are not enforced/,
  );
  assert.match(
    said(ciliumPolicy(`{${A}, ingress: [{fromEndpoints: [{}], authentication: {mode: required}}]}`)),
    /authentication mode required/,
  );
  assert.match(
    said(ciliumPolicy(`{${A}, egress: [{toGroups: [{aws: {securityGroupsIds: [sg-1]}}]}]}`)),
    /cloud groups are not resolved/,
  );
  assert.match(said(ciliumPolicy(`{${A}, egress: [{toNodes: [{}]}]}`)), /without nodeSelectorLabels/);
  assert.match(
    said(networkPolicy('{podSelector: {matchLabels: {pod-template-hash: abc}}, ingress: [{}]}')),
    /label pod-template-hash is no part/,
  );
});
