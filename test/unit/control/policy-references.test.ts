// What peers of a Cilium rule refer to: implicit scopes of selectors, Services by name and by label, CIDR groups; and what is said
// of a reference that leads nowhere. Input: manifests of the traps' world. Output: who is reached, what is complained of.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AUDIT_ANNOTATION, auditProblem, isAudited } from '../../../src/control/policy/audit.ts';
import { ciliumPortGroups } from '../../support/policy-part-inputs.ts';
import { ciliumPolicy, clusterPolicy, TrapWorld } from '../../support/trap-world.ts';

const A = 'endpointSelector: {matchLabels: {pod: a}}';
const PLACES = ['x/a', 'x/b', 'y/a', 'y/b', 'n1', 'n2', 'world', 'elsewhere'];

const service = (namespace: string, name: string, selector: string | undefined, role = name): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: ${namespace}, labels: {role: ${role}}}, spec: {clusterIP: None, ports: [{port: 80}]${selector === undefined ? '' : `, selector: ${selector}`}}}
---
`;
const endpoints = (namespace: string, name: string, ip: string): string =>
  `{apiVersion: v1, kind: Endpoints, metadata: {name: ${name}, namespace: ${namespace}}, subsets: [{addresses: [{ip: ${ip}}], ports: [{port: 80}]}]}\n---\n`;

/** Whom x/a reaches under one egress item, and every message of a warning. */
function egress(item: string, objects = '', namespaced = true, more = ''): { reached: string; said: string[] } {
  const policy = namespaced ? ciliumPolicy : clusterPolicy;
  const spec = `{endpointSelector: {matchLabels: {pod: a}}, egress: [${item}]}`;
  const { compiled, ...world } = asked(objects + policy(spec) + more);
  return { reached: world.reached, said: compiled.problems.map(({ message }) => message) };
}
function asked(objects: string): { compiled: TrapWorld['compiled']; reached: string } {
  const world = new TrapWorld(objects);
  return { compiled: world.compiled, reached: world.reachedBy('x/a', '80', PLACES) };
}

test('toServices by name: any namespace where none is written, for a cluster-wide policy, too', () => {
  const services = service('x', 'db', '{pod: b}') + service('y', 'db', '{pod: b}');
  const inDefault = service('default', 'db', undefined) + endpoints('default', 'db', '203.0.113.9');
  const to = (name: string, namespace = ''): string =>
    `{toServices: [{k8sService: {serviceName: ${name}${namespace}}}]}`;
  assert.deepEqual(egress(to('db'), services), { reached: 'x/b y/b', said: [] });
  assert.deepEqual(egress(to('db', ', namespace: y'), services), { reached: 'y/b', said: [] });
  assert.deepEqual(egress(to('db'), services + inDefault, false), { reached: 'x/b y/b world', said: [] });
});

test('toServices by label: any namespace where none is written', () => {
  const services = service('x', 'db', '{pod: b}') + service('y', 'data', '{pod: b}', 'db');
  const to = (namespace = ''): string =>
    `{toServices: [{k8sServiceSelector: {selector: {matchLabels: {role: db}}${namespace}}}]}`;
  assert.deepEqual(egress(to(), services), { reached: 'x/b y/b', said: [] });
  assert.deepEqual(egress(to(', namespace: y'), services), { reached: 'y/b', said: [] });
  const sourced = '{toServices: [{k8sServiceSelector: {selector: {matchLabels: {"k8s:role": db}}}}]}';
  assert.deepEqual(egress(sourced, services), { reached: 'x/b y/b', said: [] });
});

test('a Service with an empty selector has none: its endpoints’ addresses are meant', () => {
  const objects = service('x', 'out', '{}') + endpoints('x', 'out', '198.51.100.7');
  const { reached } = egress('{toServices: [{k8sService: {serviceName: out}}]}', objects);
  assert.equal(reached, 'elsewhere');
});

test('an EndpointSlice without a Service is no Service’s, not even that of one named `undefined`', () => {
  const slice = (labels: string, ip: string): string =>
    `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s${ip.length}, namespace: x, labels: ${labels}}, addressType: IPv4, endpoints: [{addresses: [${ip}]}], ports: [{port: 80}]}\n---\n`;
  const objects =
    service('x', 'undefined', '{}') +
    slice('{}', '203.0.113.9') +
    slice('{kubernetes.io/service-name: undefined}', '198.51.100.7');
  assert.equal(egress('{toServices: [{k8sService: {serviceName: undefined}}]}', objects).reached, 'elsewhere');
});

test('a Service or CIDR group that is not there is said, one that is there is not', () => {
  const group =
    '{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: g, labels: {role: db}}, spec: {externalCIDRs: [203.0.113.0/24]}}\n---\n';
  const objects = group + service('x', 'db', '{pod: b}');
  const about = 'CiliumNetworkPolicy x/p spec.egress[0]: ';
  const cases: readonly (readonly [item: string, said: readonly string[]])[] = [
    ['{toServices: [{k8sService: {serviceName: db}}]}', []],
    [
      '{toServices: [{k8sService: {serviceName: gone, namespace: x}}]}',
      [`${about}no Service gone: nobody is selected`],
    ],
    [
      '{toServices: [{k8sServiceSelector: {selector: {matchLabels: {role: gone}}}}]}',
      [`${about}no Service with such labels: nobody is selected`],
    ],
    ['{toCIDRSet: [{cidrGroupRef: g}, {cidrGroupSelector: {matchLabels: {role: db}}}]}', []],
    ['{toCIDRSet: [{cidrGroupRef: gone}]}', [`${about}no CiliumCIDRGroup gone: nobody is selected`]],
    [
      '{toCIDRSet: [{cidrGroupSelector: {matchLabels: {role: gone}}}]}',
      [`${about}no CiliumCIDRGroup with such labels: nobody is selected`],
    ],
  ];
  for (const [item, said] of cases) assert.deepEqual(egress(item, objects).said, said, item);
});

test('toRequires narrows toEndpoints alone: neither nodes nor Services', () => {
  const requires = `---\n${ciliumPolicy(`{${A}, egress: [{toRequires: [{matchLabels: {pod: a}}]}]}`, 'q')}`;
  const objects = service('x', 'db', '{pod: b}');
  assert.equal(egress('{toEndpoints: [{}]}', '', true, requires).reached, '');
  assert.equal(egress('{toServices: [{k8sService: {serviceName: db}}]}', objects, true, requires).reached, 'x/b');
  const nodes = new TrapWorld(
    ciliumPolicy(`{${A}, egress: [{toNodes: [{matchLabels: {pool: n2}}]}]}`) + requires,
    {},
    { nodeSelectorLabels: true },
  );
  assert.equal(nodes.reachedBy('x/a'), 'n2');
});

test('the scope of a peer selector: none with a reserved label, with the pod’s namespace or with namespace labels', () => {
  const to = (selector: string, namespaced = true): string =>
    egress(`{toEndpoints: [${selector}]}`, '', namespaced).reached;
  assert.equal(to('{matchLabels: {pod: b}}'), 'x/b');
  assert.equal(to('{matchLabels: {pod: b}}', false), 'x/b y/b');
  assert.equal(to('{matchLabels: {"reserved:remote-node": ""}}'), 'n2');
  assert.equal(to('{matchLabels: {"reserved:remote-node": ""}}', false), 'n2');
  assert.equal(to('{matchExpressions: [{key: "reserved:world", operator: Exists}]}'), 'world elsewhere');
  for (const source of ['k8s:', 'any:', '']) {
    assert.equal(to(`{matchLabels: {"${source}io.kubernetes.pod.namespace": y}}`), 'y/a y/b', source);
    const label = `${source}io.cilium.k8s.namespace.labels.ns`;
    assert.equal(to(`{matchLabels: {"${label}": y}}`), 'y/a y/b', source);
    assert.equal(to(`{matchExpressions: [{key: "${label}", operator: Exists}]}`), 'x/b y/a y/b', source);
  }
  // Other sources name other labels: the policy's namespace stays forced in.
  assert.equal(to('{matchExpressions: [{key: "cidr:io.kubernetes.pod.namespace", operator: DoesNotExist}]}'), 'x/b');
  assert.equal(
    to('{matchExpressions: [{key: "cidr:io.cilium.k8s.namespace.labels.ns", operator: DoesNotExist}]}'),
    'x/b',
  );
});

test('toPorts without ports is every port of TCP, UDP and SCTP; a name for a protocol without ports is nothing', () => {
  assert.deepEqual(
    ['{}', '{ports: []}'].map((item) => ciliumPortGroups(item).groups),
    ['{}', '{ports: []}'].map(() => [
      {
        verdict: 'allow',
        ports: [6, 17, 132].map((protocol) => ({ kind: 'ports', protocol, first: 0, last: 65535 })),
      },
    ]),
  );
  assert.deepEqual(ciliumPortGroups('{ports: [{port: web, protocol: ICMP}]}').groups, []);
  assert.deepEqual(ciliumPortGroups('{ports: [{port: web, protocol: SCTP}]}').groups, [
    { verdict: 'allow', ports: [{ kind: 'named', name: 'web', protocols: ['SCTP'] }] },
  ]);
  assert.deepEqual(ciliumPortGroups('{ports: [{port: "5", protocol: VRRP}]}').groups[0]?.ports, [
    { kind: 'ports', protocol: 112, first: 0, last: 65535 },
  ]);
});

test('the audit annotation: enabled, disabled, and what is neither is enforced and said', () => {
  const of = (...values: string[]): Parameters<typeof isAudited>[0] => ({
    annotations: new Map(values.map((value) => [AUDIT_ANNOTATION, value])),
  });
  assert.deepEqual([of(), of('enabled'), of('disabled'), of('yes'), of('')].map(isAudited), [
    false,
    true,
    false,
    false,
    false,
  ]);
  assert.deepEqual([of(), of('enabled'), of('disabled')].map(auditProblem), [undefined, undefined, undefined]);
  for (const text of ['', 'Enabled', 'true']) {
    assert.equal(
      auditProblem(of(text)),
      `annotation weir.dev/policy-audit-mode: ${JSON.stringify(text)} is neither enabled nor disabled: the policy is enforced`,
    );
  }
});

test('entities: each is its own identities, cluster all but the world’s', () => {
  const places: Readonly<Record<string, string>> = {
    health: '10.9.0.1',
    ingress: '10.9.0.2',
    init: '10.9.0.3',
    unmanaged: '10.9.0.4',
    'kube-apiserver': '203.0.113.50',
  };
  const facts = { entities: new Map(Object.entries(places).map(([entity, address]) => [address, [entity]])) };
  const names = [...Object.keys(places), 'world', 'world6', 'n2', 'x/b'];
  const reached = (entity: string): string => {
    const policy = ciliumPolicy(`{${A}, egress: [{toEntities: [${entity}]}]}`);
    const world = new TrapWorld(policy, {}, { 'ipv6.enabled': true }, facts);
    return names.filter((name) => world.allows('x/a', places[name] ?? name)).join(' ');
  };
  for (const entity of Object.keys(places)) assert.equal(reached(entity), entity);
  assert.equal(reached('none'), '');
  assert.equal(reached('remote-node'), 'n2');
  // The API server is outside the cluster here, and the world’s as well.
  assert.equal(reached('world-ipv4'), 'kube-apiserver world');
  assert.equal(reached('world-ipv6'), 'world6');
  assert.equal(reached('world'), 'kube-apiserver world world6');
  assert.equal(reached('cluster'), 'health ingress init unmanaged kube-apiserver n2 x/b');
  assert.equal(reached('all'), names.join(' '));
});
