// The traps of NetworkPolicy: rules that a straightforward reading gets wrong, each named by its number.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkPolicy, TrapWorld } from '../../support/trap-world.ts';

const KUBERNETES = { semantics: 'kubernetes' } as const;

test('without policies everything passes and no endpoint has a policy', () => {
  const world = new TrapWorld('');
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1 n2 world');
  assert.equal(world.compiled.maps.policy.size, 0);
});

test('T-01 own node: ingress from the local host always passes; Kubernetes lets egress to it pass, Cilium polices it', () => {
  const deny = networkPolicy('{podSelector: {}, policyTypes: [Ingress, Egress]}');
  const cilium = new TrapWorld(deny);
  assert.equal(cilium.reaching('x/a'), 'n1');
  assert.equal(cilium.reaching('x/b'), 'n2');
  assert.equal(cilium.reachedBy('x/a'), '');
  const kubernetes = new TrapWorld(deny, KUBERNETES);
  assert.equal(kubernetes.reaching('x/a'), 'n1');
  assert.equal(kubernetes.reachedBy('x/a'), 'n1');
});

test('T-02 NotIn and DoesNotExist match objects that lack the key; In needs it; Exists ignores the value', () => {
  const from = (expression: string): string =>
    new TrapWorld(
      networkPolicy(
        `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [${expression}]}}]}]}`,
      ),
    ).reaching('x/a');
  assert.equal(from('{key: tier, operator: NotIn, values: [web]}'), 'x/b y/a y/b n1');
  assert.equal(from('{key: tier, operator: DoesNotExist}'), 'x/b y/a y/b n1');
  assert.equal(from('{key: tier, operator: In, values: [web]}'), 'n1');
  assert.equal(from('{key: pod, operator: Exists}'), 'x/b y/a y/b n1');
  assert.equal(from('{key: pod, operator: NotIn, values: [a]}'), 'x/b y/b n1');
});

test('T-03 egress rules without policyTypes also deny ingress', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {matchLabels: {pod: a}}, egress: [{}]}'));
  assert.equal(world.reaching('x/a'), 'n1');
  assert.equal(world.reachedBy('x/a'), 'x/b y/a y/b n1 n2 world');
});

test('T-04 an empty egress list without policyTypes leaves egress alone', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {matchLabels: {pod: a}}, egress: [], ingress: [{}]}'));
  assert.equal(world.reachedBy('x/a'), 'x/b y/a y/b n1 n2 world');
});

test('T-05 rules under a direction that is not listed are ignored; a listed direction without rules denies', () => {
  const world = new TrapWorld(
    networkPolicy(
      '{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}',
    ),
  );
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1 n2 world');
  assert.equal(world.reachedBy('x/a'), '');
});

test('T-06 ingress [{}] allows everything', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {}, ingress: [{}]}'));
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1 n2 world');
});

test('T-07 a peer podSelector {} is the policy’s own namespace', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}'));
  assert.equal(world.reaching('x/a'), 'x/b n1');
});

test('T-08 both selectors in one item are ANDed, in two items ORed', () => {
  const both = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]}',
  );
  const either = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]}',
  );
  assert.equal(new TrapWorld(both).reaching('x/a'), 'y/b n1');
  assert.equal(new TrapWorld(either).reaching('x/a'), 'x/b y/a y/b n1');
});

test('T-09 an exception limits only its own item', () => {
  const world = new TrapWorld(
    networkPolicy(
      '{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25]}}, {ipBlock: {cidr: 203.0.113.8/29}}]}]}',
    ),
  );
  assert.equal(
    world.reaching('x/a', '80', ['203.0.113.9', '203.0.113.20', '203.0.113.200', 'elsewhere']),
    '203.0.113.9 203.0.113.200',
  );
});

test('T-10 an ipBlock matches pods and nodes in Kubernetes, never in Cilium', () => {
  const policy = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.2.12/32]}}, {ipBlock: {cidr: 172.18.0.12/32}}]}]}',
  );
  assert.equal(new TrapWorld(policy).reaching('x/a'), 'n1');
  assert.equal(new TrapWorld(policy, KUBERNETES).reaching('x/a'), 'x/b y/a n1 n2');
});

test('T-10 families never cross', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}'));
  assert.equal(world.allows('x/a', 'world'), true);
  assert.equal(world.allows('x/a', 'world6'), false);
});

test('T-11 an empty port item is all of TCP, not everything', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {}, ingress: [{ports: [{}]}]}'));
  assert.equal(world.reaching('x/a', '9999'), 'x/b y/a y/b n1 n2 world');
  assert.equal(world.reaching('x/a', '80/UDP'), 'n1');
  assert.equal(world.reaching('x/a', '8/ICMP'), 'n1');
});

test('T-12 a named port is the destination pod’s: other numbers on other pods, nothing outside the cluster', () => {
  const egress = new TrapWorld(
    networkPolicy('{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}'),
  );
  assert.equal(egress.reachedBy('x/a', '80'), 'y/a');
  assert.equal(egress.reachedBy('x/a', '81'), 'x/b y/b');
  assert.equal(egress.reachedBy('x/a', '80/UDP'), '');
  const ingress = new TrapWorld(networkPolicy('{podSelector: {}, ingress: [{ports: [{port: http}]}]}'));
  assert.equal(ingress.allows('world', 'x/a', '80'), true);
  assert.equal(ingress.allows('world', 'x/a', '81'), false);
  assert.equal(ingress.allows('world', 'x/b', '81'), true);
  const wrong = new TrapWorld(
    networkPolicy('{podSelector: {}, ingress: [{ports: [{port: http, protocol: UDP}, {port: nothing}]}]}'),
  );
  assert.equal(wrong.reaching('x/a', '80'), 'n1');
});

test('T-12 pods that share labels but not ports: Kubernetes tells them apart, Cilium means each number and says so', () => {
  const twin = `{apiVersion: v1, kind: Pod, metadata: {name: b2, namespace: y, labels: {pod: b}}, spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080, protocol: TCP}]}]}, status: {podIP: 10.244.2.13}}`;
  const policy = networkPolicy('{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}');
  const kubernetes = new TrapWorld(`${twin}\n---\n${policy}`, KUBERNETES);
  assert.deepEqual(
    ['81', '8080'].map((port) => kubernetes.reachedBy('x/a', port, ['y/b', '10.244.2.13'])),
    ['y/b', '10.244.2.13'],
  );
  const cilium = new TrapWorld(`${twin}\n---\n${policy}`);
  assert.equal(cilium.reachedBy('x/a', '8080', ['y/b', '10.244.2.13']), 'y/b 10.244.2.13');
  assert.match(cilium.compiled.problems.map((p) => p.message).join(), /port name http means different numbers/);
});

test('a port range is the union of its ports', () => {
  const world = new TrapWorld(networkPolicy('{podSelector: {}, ingress: [{ports: [{port: 79, endPort: 1030}]}]}'));
  const open = [1, 78, 79, 80, 127, 128, 1023, 1024, 1030, 1031, 65535].filter((p) =>
    world.allows('world', 'x/a', String(p)),
  );
  assert.deepEqual(open, [79, 80, 127, 128, 1023, 1024, 1030]);
});

test('several policies are a union', () => {
  const world = new TrapWorld(
    `${networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}', 'one')}---\n${networkPolicy('{podSelector: {}, ingress: [{from: [{podSelector: {}}]}, {from: [{namespaceSelector: {}}]}]}', 'two')}`,
  );
  assert.equal(world.reaching('x/a'), 'x/b y/a y/b n1');
});

test('labels of a namespace that no manifest holds are missing, and that is said where they matter', () => {
  const stranger = `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: z}, spec: {containers: [{name: c}]}, status: {podIP: 10.244.3.11}}`;
  const said = (selector: string): string =>
    new TrapWorld(
      `${stranger}\n---\n${networkPolicy(`{podSelector: {}, ingress: [{from: [{namespaceSelector: ${selector}}]}]}`)}`,
    ).compiled.problems
      .map((p) => p.message)
      .join();
  assert.match(said('{matchLabels: {ns: y}}'), /not among the manifests: z/);
  assert.equal(said('{matchLabels: {kubernetes.io/metadata.name: z}}'), '');
});
