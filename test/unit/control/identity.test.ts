// Identities: numbers that do not depend on the input's order and stay, labels of prefixes, nodes, reserved ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Compiled, Compiler } from '../../../src/control/compile.ts';
import { identityLabel } from '../../../src/control/label-filter.ts';
import { parsePrefix } from '../../../src/control/manifest/address.ts';
import { PrefixSet } from '../../../src/control/prefix.ts';
import { HashedIds, StickyIds } from '../../../src/control/sticky-ids.ts';
import { configWith, lookupIdentity, sideVerdict, stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, networkPolicy } from '../../support/trap-world.ts';

const pod = (name: string, ip: string, labels: string, more = ''): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: x, labels: ${labels}}, spec: {nodeName: n1, containers: [{name: c}]${more}}, status: {podIP: '${ip}'}}`;
const node = (name: string, ip: string): string =>
  `{apiVersion: v1, kind: Node, metadata: {name: ${name}, labels: {pool: ${name}}}, status: {addresses: [{type: InternalIP, address: ${ip}}]}}`;
const NAMESPACE = '{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {team: red}}}';
const documents = (...list: string[]): string => list.join('\n---\n');
const compile = (...list: string[]): Compiled => new Compiler(configWith()).compile(stateOf(documents(...list)));
const identityOf = (compiled: Compiled, ip: string): number => lookupIdentity(compiled, ip)!.identity;

const A = pod('a', '10.0.0.1', '{app: a}');
const B = pod('b', '10.0.0.2', '{app: b}');
const LABELS_A =
  'k8s:app=a k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=x k8s:io.cilium.k8s.namespace.labels.team=red k8s:io.cilium.k8s.policy.cluster=default k8s:io.cilium.k8s.policy.serviceaccount=default k8s:io.kubernetes.pod.namespace=x';

test('a pod’s identity is its labels, its namespace’s and Cilium’s own', () => {
  const compiled = compile(NAMESPACE, A);
  const identity = identityOf(compiled, '10.0.0.1');
  assert.ok(identity >= 256 && identity <= 65535);
  assert.equal(compiled.names.identities.get(identity)?.join(' '), LABELS_A);
  assert.deepEqual(compiled.names.pods.get('10.0.0.1'), { namespace: 'x', pod: 'a' });
});

test('pods with equal labels share an identity; labels that vary with each pod take no part', () => {
  const compiled = compile(NAMESPACE, A, pod('a2', '10.0.0.9', '{app: a, pod-template-hash: "7d4"}'), B);
  assert.equal(identityOf(compiled, '10.0.0.1'), identityOf(compiled, '10.0.0.9'));
  assert.notEqual(identityOf(compiled, '10.0.0.1'), identityOf(compiled, '10.0.0.2'));
  assert.deepEqual(
    [
      'app',
      'app.kubernetes.io/name',
      'pod-template-hash',
      'controller-revision-hash',
      'kubernetes.io/x',
      'topology.kubernetes.io/zone',
      'statefulset.kubernetes.io/pod-name',
    ].map((key) => identityLabel('k8s', key)),
    [true, true, false, false, false, true, false],
  );
});

test('numbers are the same in every order of the input, and stay when others come and go', () => {
  const [one, two] = [compile(NAMESPACE, A, B), compile(B, NAMESPACE, A)];
  assert.equal(identityOf(one, '10.0.0.1'), identityOf(two, '10.0.0.1'));
  const compiler = new Compiler(configWith());
  const step = (...list: string[]): Compiled => compiler.compile(stateOf(documents(...list)));
  const before = identityOf(step(NAMESPACE, B), '10.0.0.2');
  assert.equal(identityOf(step(NAMESPACE, A, B), '10.0.0.2'), before);
  step(NAMESPACE, A);
  assert.equal(identityOf(step(NAMESPACE, A, B), '10.0.0.2'), before);
});

test('CiliumIdentity and CiliumEndpoint give their numbers, unless their labels are not the pod’s', () => {
  const labels = `{"k8s:app": a, "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": x, "k8s:io.cilium.k8s.namespace.labels.team": red, "k8s:io.cilium.k8s.policy.cluster": default, "k8s:io.cilium.k8s.policy.serviceaccount": default, "k8s:io.kubernetes.pod.namespace": x}`;
  const identity = `{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: "33333"}, security-labels: ${labels}}`;
  assert.equal(identityOf(compile(NAMESPACE, A, B, identity), '10.0.0.1'), 33333);
  const endpoint = (text: string): string =>
    `{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {name: a, namespace: x}, status: {identity: {id: 44444, labels: [${text}]}}}`;
  const list = LABELS_A.split(' ')
    .map((label) => `"${label}"`)
    .join(', ');
  assert.equal(identityOf(compile(NAMESPACE, A, endpoint(list)), '10.0.0.1'), 44444);
  const stale = compile(NAMESPACE, A, endpoint('"k8s:app=old"'));
  assert.notEqual(identityOf(stale, '10.0.0.1'), 44444);
  assert.match(stale.problems.map((p) => p.message).join(), /identity 44444 of x\/a has other labels/);
  const health = compile(NAMESPACE, A, endpoint(list).replace('44444', '4'));
  assert.ok(identityOf(health, '10.0.0.1') >= 256);
  assert.deepEqual(health.names.identities.get(4), ['reserved:health']);
  const init = compile(NAMESPACE, A, endpoint('"reserved:init"').replace('44444', '5'));
  assert.equal(identityOf(init, '10.0.0.1'), 5);
  // Endpoints that have no labels yet are enforced without any policy.
  assert.equal(sideVerdict(init, '10.0.0.1', '8.8.8.8', true, 6, 80).verdict, 'denied');
  // Without the Namespace object the endpoint knows more labels than the manifests do.
  assert.equal(identityOf(compile(A, endpoint('"k8s:app=a", "k8s:other=b"')), '10.0.0.1'), 44444);
});

test('nodes are remote nodes with a number, the API server’s node is 7; hostNetwork pods are their node', () => {
  const apiserver =
    '{apiVersion: v1, kind: Endpoints, metadata: {name: kubernetes, namespace: default}, subsets: [{addresses: [{ip: 172.18.0.2}, {ip: 192.0.2.50}], ports: [{port: 6443}]}]}';
  const host =
    '{apiVersion: v1, kind: Pod, metadata: {name: h, namespace: x}, spec: {nodeName: n3, hostNetwork: true, containers: [{name: c}]}, status: {podIP: 172.18.0.3}}';
  const compiled = compile(NAMESPACE, node('n1', '172.18.0.1'), node('n2', '172.18.0.2'), host, apiserver);
  assert.deepEqual(
    ['172.18.0.1', '172.18.0.2', '172.18.0.3'].map((ip) => lookupIdentity(compiled, ip)),
    [
      { identity: 6, nodeId: 1 },
      { identity: 7, nodeId: 2 },
      { identity: 6, nodeId: 3 },
    ],
  );
  const external = identityOf(compiled, '192.0.2.50');
  assert.equal(external >>> 24, 1);
  assert.ok(compiled.names.identities.get(external)?.includes('reserved:kube-apiserver'));
  assert.equal(compiled.names.nodes.get(3), 'n3');
});

test('prefixes have identities with the labels of every covering prefix; the longest wins', () => {
  const policy = ciliumPolicy(
    '{endpointSelector: {}, egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.9.0.0/16]}]}, {toCIDR: ["2001:db8::/32", 0.0.0.0/0]}]}',
  );
  const compiled = compile(NAMESPACE, A, policy);
  const hole = identityOf(compiled, '10.9.1.1');
  assert.equal(
    compiled.names.identities.get(hole)?.join(' '),
    'cidr:0.0.0.0/0 cidr:10.0.0.0/8 cidr:10.9.0.0/16 reserved:world reserved:world-ipv4',
  );
  assert.notEqual(identityOf(compiled, '10.8.0.1'), hole);
  assert.ok(compiled.names.identities.get(identityOf(compiled, '2001:db8::1'))?.includes('cidr:2001-db8--0/32'));
  assert.equal(identityOf(compiled, '203.0.113.1'), 2);
  assert.equal(identityOf(compile(NAMESPACE, A, policy), '10.9.1.1'), hole);
  assert.deepEqual(
    [...compiled.names.identities.keys()].filter((id) => id >>> 24 === 1),
    [0x01000001, 0x01000002, 0x01000003],
  );
});

test('the world has an identity a family where both are on', () => {
  const dual = new Compiler(configWith({ 'ipv6.enabled': true })).compile(stateOf(A));
  assert.deepEqual(
    ['8.8.8.8', '2620::1'].map((ip) => identityOf(dual, ip)),
    [9, 10],
  );
});

test('a finished pod has no address; two pods with one address are a problem', () => {
  const done = pod('done', '10.0.0.1', '{app: z}').replace('status: {', 'status: {phase: Succeeded, ');
  assert.deepEqual(compile(NAMESPACE, done, A).problems, []);
  const twice = compile(NAMESPACE, A, pod('z', '10.0.0.1', '{app: z}'));
  assert.equal(twice.names.pods.get('10.0.0.1')?.pod, 'a');
  assert.match(
    twice.problems.map((p) => `${p.file}:${p.line} ${p.message}`).join(),
    /file1.yaml:5 pod x\/z has the address 10.0.0.1 of pod x\/a/,
  );
});

test('Kubernetes’ semantics: pods of one workload inside and outside an ipBlock are told apart', () => {
  const policy = networkPolicy('{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/29}}]}]}');
  const text = documents(NAMESPACE, A, pod('a2', '10.0.0.200', '{app: a}'), node('n1', '10.0.0.3'), policy);
  const split = new Compiler(configWith(), { semantics: 'kubernetes' }).compile(stateOf(text));
  assert.notEqual(identityOf(split, '10.0.0.1'), identityOf(split, '10.0.0.200'));
  assert.equal(identityOf(split, '10.0.0.3') >>> 24, 2);
  const joined = compile(text);
  assert.equal(identityOf(joined, '10.0.0.1'), identityOf(joined, '10.0.0.200'));
});

test('sticky numbers: kept by name, freed ones rest until the range has gone round, a full range refuses', () => {
  const ids = new StickyIds(1, 3);
  const numbers = (...names: string[]): unknown => Object.fromEntries(ids.assign(names).ids);
  assert.deepEqual(numbers('b', 'a'), { a: 1, b: 2 });
  assert.deepEqual(numbers('b'), { b: 2 });
  assert.deepEqual(numbers('b', 'c'), { b: 2, c: 3 });
  assert.deepEqual(numbers('b', 'c', 'd'), { b: 2, c: 3, d: 1 });
  assert.deepEqual(ids.assign(['b', 'c', 'd', 'e', 'f']).refused, ['e', 'f']);
});

test('hashed numbers: fixed ones win, collisions go to the next free one, a full range refuses', () => {
  const ids = new HashedIds(256, 259);
  const first = ids.assign(['a', 'b', 'c'], new Map());
  assert.equal(new Set(first.ids.values()).size, 3);
  const taken = first.ids.get('a')!;
  const second = ids.assign(['a', 'b', 'c', 'd'], new Map([['d', taken]]));
  assert.equal(second.ids.get('d'), taken);
  assert.equal(new Set(second.ids.values()).size, 4);
  assert.deepEqual([second.ids.get('b'), second.ids.get('c')], [first.ids.get('b'), first.ids.get('c')]);
  assert.deepEqual(ids.assign(['a', 'b', 'c', 'd', 'e'], new Map()).refused, ['e']);
});

test('covering prefixes come from the shortest to the longest, families apart', () => {
  const prefix = (text: string): Parameters<PrefixSet['add']>[0] => {
    const parsed = parsePrefix(text, true);
    if (!parsed.ok) throw new Error(parsed.reason);
    return parsed.value;
  };
  const set = new PrefixSet();
  for (const text of ['10.1.2.3/32', '0.0.0.0/0', '10.1.0.0/16', '10.0.0.0/9', '::/0', 'fd00::/8'])
    set.add(prefix(text));
  const covering = (text: string): string =>
    set
      .covering(prefix(text))
      .map((p) => p.text)
      .join(' ');
  assert.equal(covering('10.1.2.3'), '0.0.0.0/0 10.0.0.0/9 10.1.0.0/16 10.1.2.3/32');
  assert.equal(covering('10.1.0.0/15'), '0.0.0.0/0 10.0.0.0/9');
  assert.equal(covering('10.128.0.1'), '0.0.0.0/0');
  assert.equal(covering('fd12::1'), '::/0 fd00::/8');
});
