// Which rules a proxy asks about a connection: direction, port, peer, requirements, names, and what lifts an inspection.
// Input: policies of the traps' world (own node of x/a: n1; http is 80 on pods a, 81 on pods b). Output: rules by their names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InspectedConnection, InspectedRuleTable } from '../../../src/control/policy/inspected-rules.ts';
import { IDENTITY } from '../../../src/schema/index.ts';
import { lookupIdentity } from '../../support/policy-world.ts';
import { ADDRESS, ciliumPolicy, clusterPolicy, TrapWorld } from '../../support/trap-world.ts';

const A = 'endpointSelector: {matchLabels: {pod: a}}';
const HTTP = 'toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]';
const PLAIN = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]';

interface Question extends Partial<Pick<InspectedConnection, 'direction' | 'protocol' | 'port' | 'peer'>> {
  readonly from?: string;
  readonly subject?: string;
}

/** `rules | what lifts`, each as `policy rule`; asked of x/a about a connection with x/b to port 80 unless said otherwise. */
function asker(policies: string, config: ConstructorParameters<typeof TrapWorld>[2] = {}): (q?: Question) => string {
  const { compiled } = new TrapWorld(policies, {}, config);
  const table = new InspectedRuleTable(compiled.policies, compiled.identities);
  return ({ from = 'x/b', subject = 'x/a', direction = 'ingress', protocol = 6, port = 80, peer } = {}) => {
    const peerAddress = ADDRESS[from] ?? from;
    const identity = peer ?? lookupIdentity(compiled, peerAddress)?.identity ?? IDENTITY.WORLD;
    const { rules, lifted } = table.find({
      subject: ADDRESS[subject] ?? subject,
      direction,
      peer: identity,
      peerAddress,
      protocol,
      port,
    });
    const name = ({ ref }: (typeof rules)[number]): string => `${ref.name} ${ref.rule}`;
    return `${rules.map(name).join(', ')} | ${lifted === undefined ? '' : name(lifted)}`;
  };
}

test('a table is empty where no rule redirects', () => {
  const empty = (policy: string): boolean => {
    const { compiled } = new TrapWorld(policy);
    return new InspectedRuleTable(compiled.policies, compiled.identities).empty;
  };
  assert.equal(empty(''), true);
  assert.equal(empty(ciliumPolicy(`{${A}, ingress: [{${PLAIN}}]}`)), true);
  assert.equal(empty(ciliumPolicy(`{${A}, ingress: [{${PLAIN}}, {${HTTP}}]}`)), false);
});

test('a rule is asked in its direction, of the pods that it selects, about its port and protocol', () => {
  const ask = asker(ciliumPolicy(`{${A}, ingress: [{${HTTP}}]}`));
  assert.equal(ask(), 'p ingress[0] | ');
  assert.equal(ask({ direction: 'egress' }), ' | ');
  assert.equal(ask({ subject: 'x/b' }), ' | ');
  assert.equal(ask({ subject: '203.0.113.9' }), ' | ');
  assert.equal(ask({ protocol: 17 }), ' | ');
  assert.deepEqual(
    [79, 81].map((port) => ask({ port })),
    [' | ', ' | '],
  );
  const range = asker(
    ciliumPolicy(
      `{${A}, egress: [{toPorts: [{ports: [{port: "80", endPort: 90, protocol: TCP}], rules: {http: [{}]}}]}]}`,
    ),
  );
  const asked = (port: number): string => range({ direction: 'egress', port });
  assert.deepEqual([79, 80, 85, 90, 91].map(asked), [
    ' | ',
    'p egress[0] | ',
    'p egress[0] | ',
    'p egress[0] | ',
    ' | ',
  ]);
});

test('a named port is the subject’s on ingress, on egress the peer’s', () => {
  const named = 'toPorts: [{ports: [{port: http, protocol: TCP}], rules: {http: [{}]}}]';
  const ask = asker(ciliumPolicy(`{${A}, ingress: [{${named}}], egress: [{${named}}]}`));
  const ports = (question: Question): string =>
    [80, 81].map((port) => (ask({ ...question, port }) === ' | ' ? '-' : `${port}`)).join(' ');
  assert.equal(ports({ from: 'x/b' }), '80 -');
  assert.equal(ports({ from: 'world' }), '80 -');
  assert.equal(ports({ from: 'x/b', direction: 'egress' }), '- 81');
  assert.equal(ports({ from: 'y/a', direction: 'egress' }), '80 -');
  assert.equal(ports({ from: 'world', direction: 'egress' }), '- -');
  assert.equal(ask({ protocol: 17 }), ' | ');
});

test('an allow for the same port and peer lifts; everything, ICMP, denials, other peers and directions do not', () => {
  const lifting = (more: string, where = 'ingress'): string => {
    const own = where === 'ingress' ? `ingress: [{${HTTP}}, ${more}]` : `ingress: [{${HTTP}}], ${where}: [${more}]`;
    return asker(ciliumPolicy(`{${A}, ${own}}`))();
  };
  assert.equal(lifting(`{fromEndpoints: [{}], ${PLAIN}}`), 'p ingress[0] | p ingress[1]');
  assert.equal(
    lifting('{toPorts: [{ports: [{port: "70", endPort: 80, protocol: TCP}]}]}'),
    'p ingress[0] | p ingress[1]',
  );
  for (const [more, where] of [
    ['{fromEndpoints: [{}]}'],
    ['{icmps: [{fields: [{type: 8}]}]}'],
    [`{fromEndpoints: [{matchLabels: {pod: c}}], ${PLAIN}}`],
    ['{toPorts: [{ports: [{port: "70", endPort: 79, protocol: TCP}]}]}'],
    ['{toPorts: [{ports: [{port: "80", protocol: UDP}]}]}'],
    [`{${PLAIN}}`, 'ingressDeny'],
    [`{${PLAIN}}`, 'egress'],
  ] as const) {
    assert.equal(lifting(more, where), 'p ingress[0] | ', `${where ?? 'ingress'} ${more}`);
  }
  // Nothing to lift.
  assert.equal(asker(ciliumPolicy(`{${A}, ingress: [{${PLAIN}}]}`))(), ' | ');
});

test('rules for nodes are not asked about pods, whatever labels they select', () => {
  const host = clusterPolicy(`{nodeSelector: {}, ingress: [{${PLAIN}}]}`, 'h');
  const ask = asker(`${ciliumPolicy(`{${A}, ingress: [{${HTTP}}]}`)}---\n${host}`, { 'hostFirewall.enabled': true });
  assert.equal(ask(), 'p ingress[0] | ');
});

test('requirements narrow the peers: of the subject, in the direction, not those for nodes', () => {
  const l7 = ciliumPolicy(
    `{${A}, ingress: [{fromEndpoints: [{}, {matchLabels: {"io.kubernetes.pod.namespace": y}}], ${HTTP}}]}`,
  );
  const requires = (spec: string): string => {
    const ask = asker(`${l7}---\n${spec}`, { 'hostFirewall.enabled': true });
    return ['x/b', 'y/a', 'y/b'].filter((from) => ask({ from }) !== ' | ').join(' ');
  };
  const b = '[{matchLabels: {pod: b}}]';
  const inY = '[{matchLabels: {"io.kubernetes.pod.namespace": y}}]';
  assert.equal(requires(''), 'x/b y/a y/b');
  assert.equal(requires(ciliumPolicy(`{${A}, ingress: [{fromRequires: ${inY}}]}`, 'q')), 'y/a y/b');
  assert.equal(
    requires(ciliumPolicy(`{${A}, ingress: [{fromRequires: ${inY}}], egress: [{toRequires: ${b}}]}`, 'q')),
    'y/a y/b',
  );
  assert.equal(
    requires(ciliumPolicy(`{endpointSelector: {matchLabels: {pod: b}}, ingress: [{fromRequires: ${inY}}]}`, 'q')),
    'x/b y/a y/b',
  );
  assert.equal(requires(clusterPolicy(`{nodeSelector: {}, ingress: [{fromRequires: ${inY}}]}`, 'q')), 'x/b y/a y/b');
  assert.equal(requires(ciliumPolicy(`{${A}, ingressDeny: [{fromRequires: ${inY}}]}`, 'q')), 'x/b y/a y/b');
});

test('the own node is what its labels say: the API server’s on one node, none where the pod has no node yet', () => {
  const pod =
    '{apiVersion: v1, kind: Pod, metadata: {name: late, namespace: x, labels: {pod: late}}, spec: {containers: [{name: c}]}, status: {podIP: 10.244.1.99}}\n---\n';
  const asked = (from: string): number[] => {
    const policy = ciliumPolicy(`{endpointSelector: {}, ingress: [{${from}, ${HTTP}}]}`);
    const facts = { entities: new Map([[ADDRESS['n1']!, ['kube-apiserver']]]) };
    const { compiled } = new TrapWorld(pod + policy, {}, {}, facts);
    const table = new InspectedRuleTable(compiled.policies, compiled.identities);
    return ['x/a', 'x/b', '10.244.1.99'].map((subject) => {
      const address = ADDRESS[subject] ?? subject;
      const connection = { direction: 'ingress', peer: IDENTITY.HOST, protocol: 6, port: 80 } as const;
      return table.find({ ...connection, subject: address, peerAddress: ADDRESS['n1']! }).rules.length;
    });
  };
  assert.deepEqual(asked('fromEntities: [kube-apiserver]'), [1, 0, 0]);
  assert.deepEqual(asked('fromEndpoints: [{matchLabels: {"reserved:host": ""}}]'), [1, 1, 1]);
});

test('peers: everybody, entities that stand for classes, single identities, the own node', () => {
  const asked = (peers: string): string => {
    const ask = asker(ciliumPolicy(`{${A}, ingress: [{${peers}${HTTP}}]}`));
    const places = ['x/b', 'n2', 'world'].filter((from) => ask({ from }) !== ' | ');
    if (ask({ peer: IDENTITY.HOST, from: 'n1' }) !== ' | ') places.unshift('host');
    return places.join(' ');
  };
  assert.equal(asked(''), 'host x/b n2 world');
  // Identity 0 of the map covers the own node, too.
  assert.equal(asked('fromEntities: [all], '), 'host x/b n2 world');
  assert.equal(asked('fromEntities: [host], '), 'host');
  assert.equal(asked('fromEntities: [cluster], '), 'host x/b n2');
  assert.equal(asked('fromEntities: [remote-node], '), 'n2');
  assert.equal(asked('fromEntities: [world], '), 'world');
  assert.equal(asked('fromCIDR: [203.0.113.0/24], '), 'world');
  assert.equal(asked('fromEndpoints: [{matchLabels: {pod: b}}], '), 'x/b');
});
