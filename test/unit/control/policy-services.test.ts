// `toServices`: which Services a peer means, and that a running control plane takes up what such a Service stands for, in
// whatever order policies, Services, slices and Endpoints come and go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Compiled } from '../../../src/control/compile.ts';
import { Controller } from '../../../src/control/controller.ts';
import { ServicePeers } from '../../../src/control/policy/service-peers.ts';
import type { ClusterObject, ClusterState, Service } from '../../../src/control/state.ts';
import { sizesOf } from '../../support/collection-sizes.ts';
import { configWith, connectionVerdict, stateOf } from '../../support/policy-world.ts';
import { ADDRESS, ciliumPolicy, clusterPolicy, TrapWorld } from '../../support/trap-world.ts';

const service = (namespace: string, name: string, spec: string, labels = ''): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: ${namespace}, labels: {${labels}}}, spec: {clusterIP: 10.96.0.9, ports: [{port: 80}]${spec}}}`;
const endpoints = (namespace: string, name: string, address: string): string =>
  `{apiVersion: v1, kind: Endpoints, metadata: {name: ${name}, namespace: ${namespace}}, subsets: [{addresses: [{ip: ${address}}], ports: [{port: 80}]}]}`;
const slice = (namespace: string, name: string, address: string): string =>
  `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ${name}-1, namespace: ${namespace}, labels: {kubernetes.io/service-name: ${name}}}, addressType: IPv4, endpoints: [{addresses: [${address}]}], ports: [{port: 80}]}`;
const to = (peer: string): string =>
  ciliumPolicy(`{endpointSelector: {matchLabels: {pod: a}}, egress: [{toServices: [${peer}]}]}`);
const OUT = '198.51.100.7';
const WORLD = '203.0.113.9';

const SERVICES = [
  service('x', 'out', '', 'kind: far'),
  endpoints('x', 'out', OUT),
  service('y', 'out', ''),
  slice('y', 'out', WORLD),
  service('y', 'db', ', selector: {pod: b}', 'kind: near'),
].join('\n---\n');

const PEERS: readonly (readonly [peer: string, reached: string])[] = [
  ['{k8sService: {serviceName: out, namespace: x}}', 'elsewhere'],
  ['{k8sService: {serviceName: out, namespace: y}}', 'world'],
  // Without a namespace: of every namespace, not of the policy's.
  ['{k8sService: {serviceName: out}}', 'world elsewhere'],
  ['{k8sService: {serviceName: out, namespace: ""}}', 'world elsewhere'],
  ['{k8sService: {serviceName: db}}', 'y/b'],
  ['{k8sService: {serviceName: db, namespace: x}}', ''],
  ['{k8sServiceSelector: {selector: {matchLabels: {kind: near}}}}', 'y/b'],
  // The labels of a Service have no sources: those of the selector do not matter.
  ['{k8sServiceSelector: {selector: {matchLabels: {"k8s:kind": near}}}}', 'y/b'],
  ['{k8sServiceSelector: {selector: {matchExpressions: [{key: "k8s:kind", operator: DoesNotExist}]}}}', 'world'],
  [
    '{k8sServiceSelector: {selector: {matchExpressions: [{key: kind, operator: NotIn, values: [near]}]}}}',
    'world elsewhere',
  ],
  ['{k8sServiceSelector: {selector: {}, namespace: y}}', 'y/b world'],
];
for (const [peer, reached] of PEERS) {
  test(`toServices ${peer}`, () => {
    const world = new TrapWorld(`${SERVICES}\n---\n${to(peer)}`);
    assert.equal(world.reachedBy('x/a', '80', ['x/b', 'y/a', 'y/b', 'n2', 'world', 'elsewhere']), reached);
  });
}

test('cidrGroupSelector: labels of a group have no sources, either', () => {
  const groups = `
{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: far, labels: {kind: far}}, spec: {externalCIDRs: [${OUT}/32]}}
---
{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: other}, spec: {externalCIDRs: [${WORLD}/32]}}
---
`;
  const reached = (selector: string): string =>
    new TrapWorld(
      groups +
        ciliumPolicy(
          `{endpointSelector: {matchLabels: {pod: a}}, egress: [{toCIDRSet: [{cidrGroupSelector: ${selector}}]}]}`,
        ),
    ).reachedBy('x/a', '80', ['x/b', 'world', 'elsewhere']);
  assert.equal(reached('{matchLabels: {kind: far}}'), 'elsewhere');
  assert.equal(reached('{matchExpressions: [{key: "k8s:kind", operator: DoesNotExist}]}'), 'world');
});

/** Every object of documents. */
const objectsOf = (...documents: string[]): ClusterObject[] =>
  Object.values(stateOf(documents.join('\n---\n')) satisfies ClusterState).flatMap((list: unknown) =>
    Array.isArray(list) ? (list as ClusterObject[]) : [],
  );

test('what peers take notice of: policies by kind, namespace and name, Services that they mean, addresses that differ', () => {
  const peers = new ServicePeers();
  const [out] = objectsOf(service('y', 'out', '')) as [Service];
  const note = (before: string, after: string, serviceOf = (): Service => out): boolean => {
    const one = (text: string): ClusterObject | undefined => (text === '' ? undefined : objectsOf(text)[0]);
    return peers.note(one(before), one(after), serviceOf);
  };
  const policy = to('{k8sService: {serviceName: out, namespace: y}}');
  const elsewhere = policy.replace('namespace: x', 'namespace: z');
  const clusterwide = clusterPolicy(
    '{endpointSelector: {}, egress: [{toServices: [{k8sService: {serviceName: db}}]}]}',
  );
  const known = slice('y', 'out', OUT);

  assert.equal(note('', known), false, 'nobody asks');
  assert.deepEqual([note('', policy), note('', elsewhere)], [false, false]);
  assert.deepEqual([note('', known), note(known, slice('y', 'out', WORLD)), note(known, '')], [true, true, true]);
  assert.equal(note(known, `${known} `), false, 'the same addresses');
  const [pods] = objectsOf(service('y', 'out', ', selector: {pod: b}')) as [Service];
  assert.equal(
    note('', known, () => pods),
    false,
    'a Service of pods',
  );

  const plain = service('y', 'out', '');
  assert.equal(note(plain, service('y', 'out', '', 'kind: far')), false, 'nothing that a peer asks for');
  assert.equal(note(plain, service('y', 'out', ', selector: {pod: b}')), true);
  assert.deepEqual([note('', service('y', 'db', '')), note(plain, ''), note('', plain)], [false, true, true]);

  note(policy, '');
  assert.equal(note('', known), true, 'the policy of the other namespace has such a peer, too');
  note(elsewhere, '');
  assert.deepEqual([note('', known), note('', plain)], [false, false]);
  note('', clusterwide);
  assert.equal(note('', service('y', 'db', '')), true);
  const other = clusterwide.replace('serviceName: db', 'serviceName: other');
  note(clusterwide, other);
  assert.equal(note('', service('y', 'db', '')), false);
  note('', ciliumPolicy('{endpointSelector: {}, ingress: [{}]}', 'without'));
  assert.deepEqual([...sizesOf(peers).values()], [1, 1], 'one policy with one peer');
  note(other, '');
  assert.deepEqual([...sizesOf(peers).values()], [0], 'nothing is left of policies that have gone');
});

class Plane {
  private readonly controller = new Controller(configWith());

  put(...documents: string[]): this {
    for (const object of objectsOf(...documents)) this.controller.upsert(object);
    this.controller.settle();
    return this;
  }

  drop(kind: ClusterObject['kind'], key: string): this {
    this.controller.remove(kind, key);
    this.controller.settle();
    return this;
  }

  /** Whom pod x/a reaches. */
  get reached(): string {
    const compiled = { maps: this.controller.content() } as unknown as Compiled;
    return ['y/b', 'world', 'elsewhere']
      .filter((name) => {
        const connection = { source: ADDRESS['x/a']!, destination: ADDRESS[name]!, protocol: 6, port: 80 };
        return connectionVerdict(compiled, connection).allowed;
      })
      .join(' ');
  }
}

const pod = (namespace: string, name: string): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: ${namespace}, labels: {pod: ${name}}}, spec: {nodeName: n1, containers: [{name: c}]}, status: {podIP: ${ADDRESS[`${namespace}/${name}`]}}}`;

test('a running control plane: the policy comes first, then what its Service stands for, which then changes', () => {
  const plane = new Plane().put(pod('x', 'a'), pod('y', 'b'), to('{k8sService: {serviceName: out, namespace: y}}'));
  assert.equal(plane.reached, '');
  assert.equal(plane.put(endpoints('y', 'out', OUT)).reached, '');
  assert.equal(plane.put(service('y', 'out', '')).reached, 'elsewhere');
  assert.equal(plane.put(slice('y', 'out', WORLD)).reached, 'world elsewhere');
  assert.equal(plane.put(slice('y', 'else', WORLD), slice('y', 'out', '192.0.2.1')).reached, 'elsewhere');
  assert.equal(plane.drop('Endpoints', 'y/out').reached, '');
  assert.equal(plane.put(slice('y', 'out', WORLD)).reached, 'world');
  assert.equal(plane.put(service('y', 'out', ', selector: {pod: b}')).reached, 'y/b');
  assert.equal(plane.put(slice('y', 'out', OUT)).reached, 'y/b');
  assert.equal(plane.put(service('y', 'out', ', selector: {pod: c}')).reached, '');
  assert.equal(plane.put(service('y', 'out', '')).reached, 'elsewhere');
  assert.equal(plane.drop('Service', 'y/out').reached, '');
});

test('a running control plane: a peer that means Services by label, and a slice that moves to another Service', () => {
  const near = '{k8sServiceSelector: {selector: {matchLabels: {kind: near}}}}';
  const plane = new Plane().put(
    pod('x', 'a'),
    pod('y', 'b'),
    service('y', 'one', '', 'kind: near'),
    service('y', 'two', ''),
    slice('y', 'one', OUT),
    to(near),
  );
  assert.equal(plane.reached, 'elsewhere');
  const moved = slice('y', 'one', OUT).replace('service-name: one', 'service-name: two');
  assert.equal(plane.put(moved).reached, '');
  assert.equal(plane.put(service('y', 'two', '', 'kind: near')).reached, 'elsewhere');
  assert.equal(plane.put(service('y', 'two', '', 'kind: far')).reached, '');
  assert.equal(plane.put(slice('y', 'one', WORLD)).reached, 'world');
  // The policy goes: nothing is enforced, and nothing is looked at any more.
  assert.equal(plane.drop('CiliumNetworkPolicy', 'x/p').reached, 'y/b world elsewhere');
  assert.equal(plane.put(service('y', 'one', '')).reached, 'y/b world elsewhere');
});
