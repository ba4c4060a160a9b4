// Which service addresses a node's interfaces answer for. Input: policies, Leases, Services, a topology. Output: the announced
// maps, of a compile and of a running controller, and what is warned about.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Compiler } from '../../../src/control/compile.ts';
import { Controller } from '../../../src/control/controller.ts';
import { formatProblem, loadLabelExpressions, readManifests, resolveConfig } from '../../../src/control/index.ts';
import { formatAddress } from '../../../src/control/manifest/index.ts';
import type { ClusterState } from '../../../src/control/state.ts';
import { readTopology } from '../../../src/control/topology.ts';
import type { DesiredMap } from '../../../src/control/desired-map.ts';
import { announcedKey4, announcedKey6, announcedValue, FEATURE, configValue } from '../../../src/schema/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { diff } from '../../../src/control/diff.ts';

const TOPOLOGY = `
node: n1
interfaces:
- { name: eth0, ifindex: 2, mac: 02:00:00:00:00:01, addresses: [192.168.0.1/24] }
- { name: eth1, ifindex: 3, mac: 02:00:00:00:00:02 }
- { name: dummy0, ifindex: 4 }
`;
const CLUSTER = `
apiVersion: v1
kind: List
items:
- { apiVersion: v1, kind: Node, metadata: { name: n1, labels: { zone: a } } }
- { apiVersion: v1, kind: Node, metadata: { name: n2, labels: { zone: b } } }
- apiVersion: v1
  kind: Service
  metadata: { name: web, namespace: x, labels: { tier: front } }
  spec:
    type: LoadBalancer
    clusterIP: 10.96.0.1
    externalIPs: [198.51.100.1, "2001:db8::1"]
    ports: [{ port: 80 }]
  status: { loadBalancer: { ingress: [{ ip: 203.0.113.1 }, { ip: 203.0.113.9, ipMode: Proxy }, { hostname: a.example }] } }
- apiVersion: v1
  kind: Service
  metadata: { name: db, namespace: y }
  spec: { type: LoadBalancer, clusterIP: 10.96.0.2, ports: [{ port: 80 }] }
  status: { loadBalancer: { ingress: [{ ip: 203.0.113.2 }] } }
- apiVersion: v1
  kind: Service
  metadata: { name: other, namespace: y }
  spec: { type: LoadBalancer, loadBalancerClass: example.com/other, clusterIP: 10.96.0.3, ports: [{ port: 80 }] }
  status: { loadBalancer: { ingress: [{ ip: 203.0.113.3 }] } }
- apiVersion: v1
  kind: Service
  metadata: { name: none, namespace: y }
  spec: { clusterIP: None, externalIPs: [198.51.100.4], ports: [{ port: 80 }] }
`;

const policy = (spec: string, name = 'p'): string =>
  `apiVersion: cilium.io/v2alpha1\nkind: CiliumL2AnnouncementPolicy\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const lease = (service: string, holder: string): string =>
  `apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: { name: cilium-l2announce-${service}, namespace: kube-system }\nspec: { holderIdentity: ${holder} }\n`;

function stateOf(...documents: string[]): ClusterState {
  const { state, problems } = readManifests([{ file: 'm.yaml', text: [CLUSTER, ...documents].join('---\n') }]);
  assert.deepEqual(problems, []);
  return state!;
}
const configOf = (...sets: string[]): ReturnType<typeof resolveConfig>['config'] => {
  const { config, problems } = resolveConfig({
    sets: ['kubeProxyReplacement=true', 'l2announcements.enabled=true', ...sets],
  });
  assert.deepEqual(problems, []);
  return config;
};
const topology = (text = TOPOLOGY): NonNullable<ReturnType<typeof readTopology>['topology']> =>
  readTopology(text, 't.yaml').topology!;

function linesOf(four: DesiredMap, six: DesiredMap): string[] {
  const lines: string[] = [];
  for (const [map, key] of [[four, announcedKey4] as const, [six, announcedKey6] as const]) {
    for (let i = 0; i < map.size; i++) {
      const { address, ifindex } = key.decode(map.keyAt(i));
      const bytes =
        typeof address === 'number' ? Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address) : address;
      const { mac } = announcedValue.decode(map.valueAt(i));
      lines.push(`${formatAddress(bytes)} at ${ifindex} (${mac[5]})`);
    }
  }
  return lines.sort();
}

function announced(
  documents: readonly string[],
  sets: readonly string[] = [],
  local: object = { topology: topology() },
) {
  const compiled = new Compiler(configOf(...sets), { node: 'n1', ...local }).compile(stateOf(...documents));
  return {
    lines: linesOf(compiled.maps.announced4, compiled.maps.announced6),
    warnings: compiled.problems.map(formatProblem).filter((line) => line.includes('L2')),
    compiled,
  };
}
const lines = (...documents: string[]): string[] => announced(documents).lines;

before(loadLabelExpressions);

describe('policies', () => {
  test('load-balancer addresses, external addresses, or neither', () => {
    assert.deepEqual(lines(policy('{ interfaces: [eth1], loadBalancerIPs: true }')), [
      '203.0.113.1 at 3 (2)',
      '203.0.113.2 at 3 (2)',
    ]);
    assert.deepEqual(lines(policy('{ interfaces: [eth1], externalIPs: true }')), [
      '198.51.100.1 at 3 (2)',
      '2001:db8::1 at 3 (2)',
    ]);
    assert.deepEqual(lines(policy('{}')), []);
    assert.deepEqual(lines(), []);
  });
  test('selectors: labels, and the name and namespace of the Service', () => {
    const selected = (selector: string): string[] =>
      lines(policy(`{ interfaces: [eth1], loadBalancerIPs: true, serviceSelector: ${selector} }`));
    assert.deepEqual(selected('{ matchLabels: { tier: front } }'), ['203.0.113.1 at 3 (2)']);
    assert.deepEqual(selected('{ matchLabels: { io.kubernetes.service.namespace: y } }'), ['203.0.113.2 at 3 (2)']);
    assert.deepEqual(selected('{ matchExpressions: [{ key: tier, operator: DoesNotExist }] }'), [
      '203.0.113.2 at 3 (2)',
    ]);
    assert.deepEqual(selected('{ matchLabels: { io.kubernetes.service.name: web, tier: back } }'), []);
    assert.equal(selected('{}').length, 2);
    assert.equal(selected('null').length, 2);
  });
  test('nodes', () => {
    const on = (zone: string): string[] =>
      lines(policy(`{ loadBalancerIPs: true, interfaces: [eth1], nodeSelector: { matchLabels: { zone: ${zone} } } }`));
    assert.equal(on('a').length, 2);
    assert.deepEqual(on('b'), []);
  });
  test('interfaces by expression; without any every one that has a mac', () => {
    const at = (interfaces: string): string[] =>
      lines(
        policy(
          `{ externalIPs: false, loadBalancerIPs: true, serviceSelector: { matchLabels: { tier: front } }, interfaces: ${interfaces} }`,
        ),
      );
    assert.deepEqual(at('["^eth[0-9]+$"]'), ['203.0.113.1 at 2 (1)', '203.0.113.1 at 3 (2)']);
    assert.deepEqual(at('["^eth1$", "^et"]'), ['203.0.113.1 at 2 (1)', '203.0.113.1 at 3 (2)']);
    assert.deepEqual(at('["^th"]'), []);
    assert.deepEqual(at('["th"]').length, 2);
    assert.deepEqual(at('[]').length, 2);
  });
  test('what cannot be done is warned about, and the rest is done', () => {
    const { warnings, lines: found } = announced([
      policy('{ loadBalancerIPs: true, interfaces: ["(", dummy0, eth0] }'),
    ]);
    assert.equal(found.length, 2);
    assert.equal(warnings.length, 2);
    assert.match(warnings.join(), /has no effect at interfaces "\(".*cannot announce at dummy0/);
    const none = announced([policy('{ loadBalancerIPs: true }')], [], { topology: undefined });
    assert.deepEqual(none.lines, []);
    assert.match(none.warnings.join(), /no interface is known without a topology/);
  });
  test('several policies add up', () => {
    assert.equal(
      lines(
        policy('{ loadBalancerIPs: true, interfaces: [eth0] }', 'a'),
        policy('{ loadBalancerIPs: true, interfaces: [eth] }', 'b'),
      ).length,
      4,
    );
  });
  test('configuration', () => {
    const documents = [policy('{ loadBalancerIPs: true, externalIPs: true, interfaces: [eth1] }')];
    const off = announced(documents, ['l2announcements.enabled=false']);
    assert.deepEqual([off.lines, off.warnings], [[], []]);
    assert.equal(announced(documents, ['enable-external-ips=false']).lines.length, 2);
    const features = (compiled: typeof off.compiled): number =>
      configValue.decode(compiled.maps.config.valueAt(0)).features;
    assert.equal(features(off.compiled) & FEATURE.L2_RESPONDER, 0);
    assert.notEqual(features(announced(documents).compiled) & FEATURE.L2_RESPONDER, 0);
  });
});

test('who holds the Lease announces; without one the node that is compiled for', () => {
  const p = policy('{ loadBalancerIPs: true, interfaces: [eth1] }');
  assert.deepEqual(lines(p, lease('x-web', 'n2')), ['203.0.113.2 at 3 (2)']);
  assert.equal(lines(p, lease('x-web', 'n1')).length, 2);
  // Other Leases are nobody's business here.
  assert.equal(stateOf(lease('x-web', 'n2').replace('cilium-l2announce-x-web', 'n1')).leases.length, 0);
});

test('a running controller announces what a fresh compile does, whatever comes and goes', () => {
  const p = policy('{ loadBalancerIPs: true, externalIPs: true, interfaces: [eth1] }');
  const documents = [
    [p],
    [p, lease('x-web', 'n2')],
    [p, lease('x-web', 'n1')],
    [],
    [policy('{ loadBalancerIPs: true, interfaces: [dummy0] }')],
    [p],
  ];
  const options = { node: 'n1', topology: topology() };
  const controller = new Controller(configOf(), options);
  const sim = createSim();
  for (const some of documents) {
    const state = stateOf(...some);
    controller.replaceAll(state);
    const { writes, problems } = controller.settle();
    assert.equal(sim.apply(writes).failed, undefined);
    const fresh = new Compiler(configOf(), options).compile(state);
    assert.deepEqual(problems.map(formatProblem), fresh.problems.map(formatProblem));
    const { announced4, announced6 } = controller.content();
    const wanted = linesOf(fresh.maps.announced4, fresh.maps.announced6);
    assert.deepEqual(linesOf(announced4!, announced6!), wanted);
    assert.equal(sim.maps.announced4.size + sim.maps.announced6.size, wanted.length);
  }
  // One Service alone.
  const state = stateOf(p);
  const web = state.services.find(({ name }) => name === 'web')!;
  controller.remove('Service', 'x/web');
  assert.deepEqual(
    controller
      .settle()
      .writes.filter(({ map }) => map.startsWith('weir_announced'))
      .map(({ op }) => op),
    ['delete', 'delete', 'delete'],
  );
  controller.upsert(web);
  assert.equal(controller.settle().writes.filter(({ map }) => map.startsWith('weir_announced')).length, 3);
  controller.upsert(web);
  assert.deepEqual(controller.settle().writes, []);
});

test('an address is answered for only while its frontends are there', () => {
  const p = policy('{ loadBalancerIPs: true, interfaces: [eth1] }');
  const { maps } = announced([p]).compiled;
  const order = diff(undefined, maps).map(({ map }) => map);
  assert.ok(order.indexOf('weir_announced4') > order.lastIndexOf('weir_services4'));
});
