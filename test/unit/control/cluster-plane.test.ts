// Pods that come and go where policies name ports, pass or isolate: which steps a plane may take, and that what it writes
// is what lies between two whole compiles (the walk checks that). Input: a small world, steps. Output: taken or compiled again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Step, walk } from '../../support/plane-walk.ts';
import { stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy, networkPolicy, tierPolicy } from '../../support/trap-world.ts';

const pod = (name: string, label: string, ip: string, http: number, ports = ''): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: x, labels: {pod: ${label}}}, spec: {nodeName: n1, containers: [{name: c, ports: [${http === 0 ? '' : `{name: http, containerPort: ${http}}`}${ports}]}]}, status: {podIP: ${ip}}}`;
const world = (pods: readonly string[], ...policies: string[]): Parameters<typeof walk>[0] =>
  stateOf(
    [
      ...['n1', 'n2'].map(
        (name, i) =>
          `{apiVersion: v1, kind: Node, metadata: {name: ${name}}, status: {addresses: [{type: InternalIP, address: 172.18.0.1${i}}]}}`,
      ),
      '{apiVersion: v1, kind: Namespace, metadata: {name: x}}',
      ...pods,
      ...policies,
    ].join('\n---\n'),
  );
const PODS = [pod('p0', 'a', '10.244.1.10', 80), pod('p1', 'b', '10.244.1.11', 82)];
/** `add 0 c`: as the pod at that place, labelled `pod: c`; its port http is 80 for `a`, else 81. */
const steps = (...texts: string[]): Step[] =>
  texts.map((text) => {
    const [kind, at, value] = text.split(' ') as [Step['kind'], string, string?];
    return { kind, pod: Number(at), value: value ?? 'a', node: 'n2' };
  });

test('a name on egress is each identity’s own port, whoever the rule is about', () => {
  for (const to of ['', 'to: [{podSelector: {}}], ', 'to: [{namespaceSelector: {}}], ']) {
    const policy = networkPolicy(
      `{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{${to}ports: [{port: http}, {port: 90}]}]}`,
    );
    // A label makes an identity; a pod of it comes with another port once the last one is gone.
    const list = steps('label 1 a', 'label 1 b', 'remove 1', 'add 0 c', 'add 0 c', 'remove 1', 'remove 1', 'add 0 d');
    assert.deepEqual(
      walk(world(PODS, policy), list),
      Array.from(list, () => true),
      to,
    );
  }
});

test('an identity whose last pod had a named port may come back without, or with another', () => {
  const policy = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}',
  );
  const plain = pod('p2', 'z', '10.244.1.12', 0);
  // `pod: b` had http = 82; the first to come back has 81, the next has none.
  const list = steps('remove 1', 'add 0 b', 'remove 2', 'add 1 b', 'remove 2', 'add 0 b');
  assert.deepEqual(
    walk(world([...PODS, plain], policy), list),
    Array.from(list, () => true),
  );
});

test('a pod that names its ports otherwise than its identity’s others is compiled whole, where a rule names ports', () => {
  const named = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}',
  );
  const numbered = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}',
  );
  const list = steps('add 1 b', 'add 1 a');
  // After the whole compile the two of `pod: b` disagree; `pod: a` has 80 on both.
  assert.deepEqual(walk(world(PODS, named), list), [false, true]);
  assert.deepEqual(walk(world(PODS, numbered), list), [true, true]);
});

test('named ports on ingress part the policies of pods with equal labels', () => {
  const policy = networkPolicy('{podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}]}');
  const list = steps('add 0 c', 'add 1 c', 'label 0 a', 'remove 1', 'label 1 a', 'add 2 e', 'remove 0');
  assert.deepEqual(
    walk(world(PODS, policy), list),
    Array.from(list, () => true),
  );
});

test('only what a pass is about makes an identity reach further than itself', () => {
  const rules = (who: string): string =>
    tierPolicy(
      `{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{pods: {podSelector: {matchLabels: {pod: ${who}}}}}]}, {action: Deny, from: [{pods: {podSelector: {matchLabels: {pod: c}}}}]}]}`,
    );
  assert.deepEqual(walk(world(PODS, rules('d')), steps('add 0 c', 'add 0 d', 'remove 2', 'remove 2')), [
    true,
    false,
    true,
    false,
  ]);
  // Any pod is one class, to which another pod adds nothing.
  const anybody = tierPolicy(
    '{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}, {action: Deny, from: [{pods: {podSelector: {matchLabels: {pod: c}}}}]}]}',
  );
  assert.deepEqual(walk(world(PODS, anybody), steps('add 0 c', 'add 0 d', 'remove 2', 'remove 2')), [
    true,
    true,
    true,
    true,
  ]);
});

test('what requirements leave of any pod, or of everybody, is told apart when a pod comes', () => {
  const required = ciliumPolicy(
    '{endpointSelector: {matchLabels: {pod: a}}, ingress: [{fromRequires: [{matchLabels: {pod: c}}]}]}',
    'q',
  );
  const anyPod = '{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}';
  const policies = [
    ciliumPolicy(`{endpointSelector: {matchLabels: {pod: a}}, ingress: [{fromEndpoints: [${anyPod}]}]}`),
    networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: [{}]}'),
    networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}'),
  ];
  for (const policy of policies) {
    const list = steps('add 0 c', 'add 1 d', 'remove 2');
    assert.deepEqual(walk(world(PODS, policy, required), list), [true, true, true], policy);
  }
});

test('the last pod of a policy takes it away, the next that has it brings it back', () => {
  const policies = [
    networkPolicy('{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {}}]}]}', 'p'),
    ciliumPolicy('{endpointSelector: {matchLabels: {tier: a}}, egressDeny: [{toEntities: [world]}]}', 'q'),
  ];
  const list = steps('add 1 b', 'remove 1', 'remove 1', 'label 0 a', 'add 0 b', 'label 0 b', 'remove 0', 'end 0');
  assert.deepEqual(
    walk(world(PODS, ...policies), list),
    Array.from(list, () => true),
  );
});

test('a policy stays while one of its pods does, of those that were there at the start, too', () => {
  const twin = pod('p2', 'b', '10.244.1.12', 82);
  const policy = networkPolicy('{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {}}]}]}');
  const list = steps('remove 1', 'add 0 c', 'remove 1', 'add 0 b');
  assert.deepEqual(
    walk(world([...PODS, twin], policy), list),
    Array.from(list, () => true),
  );
});

test('pods of one identity are counted, those of the start and those that come', () => {
  const twin = pod('p2', 'a', '10.244.1.12', 80);
  const policy = networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}');
  const lists = [
    steps('add 0 a', 'add 0 a', 'remove 0', 'remove 0', 'remove 0'),
    steps('add 0 a', 'remove 0', 'remove 0', 'remove 0'),
    steps('add 0 c', 'add 0 c', 'add 0 c', 'remove 2', 'remove 2', 'remove 2'),
  ];
  for (const list of lists) {
    for (const pods of [PODS, [...PODS, twin]]) {
      assert.deepEqual(
        walk(world(pods, policy), list),
        Array.from(list, () => true),
      );
    }
  }
});

test('a pod within a network of the admin tiers is one of its identities', () => {
  const networks = tierPolicy(
    '{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [10.244.9.0/30]}]}, {action: Accept, to: [{networks: [10.244.0.0/16]}]}]}',
  );
  // The n-th step’s pod has the address 10.244.9.n.
  const list = steps('add 0 c', 'add 1 c', 'label 0 a', 'add 0 c', 'remove 1', 'remove 0');
  assert.deepEqual(
    walk(world(PODS, networks), list),
    Array.from(list, () => true),
  );
});
