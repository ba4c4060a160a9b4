// Typed objects: what is filled in, what stays as written, absent against empty.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readManifests } from '../../../src/control/manifest/index.ts';
import { formatProblem } from '../../../src/control/problem.ts';
import type { ClusterState } from '../../../src/control/state.ts';

function load(text: string): ClusterState {
  const { state, problems } = readManifests([{ file: 'f', text }]);
  assert.deepEqual(problems.map(formatProblem), []);
  assert.ok(state !== undefined);
  return state;
}

test('Namespace: the name label is always there and cannot be overridden', () => {
  const { namespaces } = load(
    '{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {ns: x, kubernetes.io/metadata.name: other}}}',
  );
  assert.deepEqual(
    namespaces[0]?.labels,
    new Map([
      ['ns', 'x'],
      ['kubernetes.io/metadata.name', 'x'],
    ]),
  );
});

test('Node: IP addresses and pod ranges; names are left out', () => {
  const { nodes } = load(`apiVersion: v1
kind: Node
metadata: {name: n1, labels: {pool: work}}
spec: {podCIDR: 10.244.1.7/24}
status:
  addresses:
    - {type: InternalIP, address: 172.18.0.11}
    - {type: InternalIP, address: 'FD00:0:0::1'}
    - {type: Hostname, address: n1}
`);
  assert.deepEqual(
    nodes[0]?.addresses.map((a) => [a.type, a.address.text, a.address.family, a.origin.line]),
    [
      ['InternalIP', '172.18.0.11', 4, 7],
      ['InternalIP', 'fd00::1', 6, 8],
    ],
  );
  assert.deepEqual(nodes[0].podCIDRs, [
    { family: 4, text: '10.244.1.0/24', bytes: Uint8Array.of(10, 244, 1, 0), prefixLen: 24 },
  ]);
  const both = load(
    '{apiVersion: v1, kind: Node, metadata: {name: n}, spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, "fd00::/64"]}}',
  );
  assert.deepEqual(
    both.nodes[0]?.podCIDRs.map((p) => p.text),
    ['10.1.0.0/24', 'fd00::/64'],
  );
});

test('Pod: sidecar ports count, plain init containers’ do not; defaults', () => {
  const { pods } = load(`apiVersion: v1
kind: Pod
metadata: {name: a, uid: u-1, deletionTimestamp: 2026-01-01T00:00:00Z}
spec:
  nodeName: n1
  hostNetwork: true
  serviceAccountName: robot
  containers:
    - name: c
      ports:
        - {name: web, containerPort: 8080, hostPort: 80, hostIP: 127.0.0.1}
  initContainers:
    - name: plain
      ports: [{name: init, containerPort: 1}]
    - name: side
      restartPolicy: Always
      ports: [{containerPort: 53, protocol: UDP}]
status:
  phase: Running
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
  conditions: [{type: Ready, status: 'False'}]
`);
  const pod = pods[0]!;
  assert.equal(pod.namespace, 'default');
  assert.deepEqual(
    [pod.uid, pod.nodeName, pod.hostNetwork, pod.serviceAccount, pod.phase, pod.ready, pod.terminating],
    ['u-1', 'n1', true, 'robot', 'Running', false, true],
  );
  assert.deepEqual(
    pod.podIPs.map((ip) => ip.text),
    ['10.0.0.1', 'fd00::1'],
  );
  assert.deepEqual(
    pod.ports.map((p) => [p.container, p.sidecar, p.name, p.containerPort, p.protocol, p.hostPort, p.hostIP?.text]),
    [
      ['c', false, 'web', 8080, 'TCP', 80, '127.0.0.1'],
      ['side', true, undefined, 53, 'UDP', undefined, undefined],
    ],
  );
  const bare = load('{apiVersion: v1, kind: Pod, metadata: {name: b}}').pods[0]!;
  assert.deepEqual(
    [bare.serviceAccount, bare.hostNetwork, bare.podIPs, bare.ready, bare.phase, bare.terminating, 'ready' in bare],
    ['default', false, [], undefined, undefined, false, false],
  );
});

test('Service: defaults as the API server fills them', () => {
  const service = load(
    '{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 172.20.0.1, ports: [{port: 80}]}}',
  ).services[0]!;
  assert.deepEqual(
    [
      service.type,
      service.headless,
      service.clusterIPs.map((a) => a.text),
      service.sessionAffinity,
      service.sessionAffinityTimeoutSeconds,
      service.externalTrafficPolicy,
      service.internalTrafficPolicy,
      service.publishNotReadyAddresses,
    ],
    ['ClusterIP', false, ['172.20.0.1'], 'None', 10800, 'Cluster', 'Cluster', false],
  );
  assert.deepEqual(
    service.ports.map((p) => [p.name, p.protocol, p.port, p.targetPort, 'nodePort' in p]),
    [['', 'TCP', 80, 80, false]],
  );
  for (const key of ['selector', 'loadBalancerSourceRanges', 'ipFamilies', 'loadBalancerClass'])
    assert.equal(key in service, false, key);
});

test('Service: every field that load balancing reads', () => {
  const service = load(`apiVersion: v1
kind: Service
metadata:
  name: shop
  namespace: lab
  annotations: {service.cilium.io/lb-algorithm: maglev}
spec:
  type: LoadBalancer
  clusterIP: 172.20.7.10
  clusterIPs: [172.20.7.10, 'fd77::10']
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  externalIPs: [192.0.2.77]
  loadBalancerSourceRanges: [' 10.128.0.0/9 ']
  loadBalancerClass: io.cilium/node
  allocateLoadBalancerNodePorts: false
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  healthCheckNodePort: 31999
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 75}}
  publishNotReadyAddresses: true
  trafficDistribution: PreferClose
  selector: {}
  ports:
    - {name: web, port: 8000, protocol: TCP, targetPort: 8080, nodePort: 30080, appProtocol: http}
    - {name: dns, port: 8000, protocol: UDP, targetPort: dns}
status:
  loadBalancer:
    ingress:
      - {ip: 203.0.113.20, ipMode: Proxy}
      - hostname: lb.example
`).services[0]!;
  assert.deepEqual(
    [
      service.type,
      service.loadBalancerClass,
      service.allocateLoadBalancerNodePorts,
      service.externalTrafficPolicy,
      service.internalTrafficPolicy,
    ],
    ['LoadBalancer', 'io.cilium/node', false, 'Local', 'Local'],
  );
  assert.deepEqual(
    [
      service.healthCheckNodePort,
      service.sessionAffinity,
      service.sessionAffinityTimeoutSeconds,
      service.publishNotReadyAddresses,
      service.trafficDistribution,
    ],
    [31999, 'ClientIP', 75, true, 'PreferClose'],
  );
  assert.deepEqual(service.selector, new Map());
  assert.deepEqual(
    service.loadBalancerSourceRanges?.map((p) => p.text),
    ['10.128.0.0/9'],
  );
  assert.deepEqual(
    service.ports.map((p) => [p.name, p.port, p.protocol, p.targetPort, p.nodePort, p.appProtocol, p.origin.line]),
    [
      ['web', 8000, 'TCP', 8080, 30080, 'http', 26],
      ['dns', 8000, 'UDP', 'dns', undefined, undefined, 27],
    ],
  );
  assert.deepEqual(
    service.loadBalancerIngress.map((i) => [i.ip?.text, i.hostname, i.ipMode]),
    [
      ['203.0.113.20', undefined, 'Proxy'],
      [undefined, 'lb.example', undefined],
    ],
  );
  assert.equal(service.annotations.get('service.cilium.io/lb-algorithm'), 'maglev');
  const headless = load(
    '{apiVersion: v1, kind: Service, metadata: {name: h}, spec: {clusterIP: None, clusterIPs: [None]}}',
  ).services[0]!;
  assert.deepEqual([headless.headless, headless.clusterIPs, headless.ports], [true, [], []]);
});

test('EndpointSlice and Endpoints', () => {
  const state = load(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: shop-1
  namespace: lab
  labels: {kubernetes.io/service-name: shop}
  annotations: {service.cilium.io/weight: '70'}
addressType: IPv4
endpoints:
  - addresses: [10.61.1.4]
    conditions: {ready: false, serving: true, terminating: true}
    nodeName: n-home
    zone: amber
    targetRef: {kind: Pod, namespace: lab, name: p}
    hints: {forZones: [{name: amber}], forNodes: [{name: n-home}]}
  - addresses: [10.61.1.5]
ports:
  - {name: web, port: 8080}
  - {name: '', protocol: UDP}
---
apiVersion: v1
kind: Endpoints
metadata: {name: ext, namespace: x}
subsets:
  - addresses: [{ip: 192.0.2.1}]
    notReadyAddresses: [{ip: 192.0.2.2, nodeName: n1}]
    ports: [{port: 443}]
`);
  const slice = state.endpointSlices[0]!;
  assert.deepEqual([slice.serviceName, slice.addressType, slice.weight], ['shop', 'IPv4', 70]);
  assert.deepEqual(
    slice.endpoints.map((e) => [
      e.addresses.map((a) => a.text),
      e.ready,
      e.serving,
      e.terminating,
      e.nodeName,
      e.zone,
      e.hints,
      e.targetRef?.name,
    ]),
    [
      [['10.61.1.4'], false, true, true, 'n-home', 'amber', { forZones: ['amber'], forNodes: ['n-home'] }, 'p'],
      [['10.61.1.5'], undefined, undefined, undefined, undefined, undefined, undefined, undefined],
    ],
  );
  assert.deepEqual(
    slice.ports.map((p) => [p.name, p.protocol, p.port]),
    [
      ['web', 'TCP', 8080],
      ['', 'UDP', undefined],
    ],
  );
  const subset = state.endpoints[0]!.subsets[0]!;
  assert.deepEqual(
    [subset.addresses[0]?.ip.text, subset.notReadyAddresses[0]?.nodeName, subset.ports[0]?.port],
    ['192.0.2.1', 'n1', 443],
  );
});

/** One NetworkPolicy with this spec in flow style. */
const policy = (spec: string) =>
  load(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: ${spec}}`)
    .networkPolicies[0]!;

test('NetworkPolicy T-06: absent, null, empty and [{}] stay apart', () => {
  assert.equal('ingress' in policy('{podSelector: {}}'), false);
  assert.equal('ingress' in policy('{podSelector: {}, ingress: null}'), false);
  assert.deepEqual(policy('{podSelector: {}, ingress: []}').ingress, []);
  const [rule] = policy('{podSelector: {}, ingress: [{}]}').ingress!;
  assert.deepEqual([rule?.direction, rule?.index, 'peers' in rule!, 'ports' in rule!], ['ingress', 0, false, false]);
  assert.deepEqual(
    policy('{podSelector: {}, egress: [{to: [], ports: []}]}').egress?.map((r) => [r.peers, r.ports]),
    [[[], []]],
  );
  assert.equal('policyTypes' in policy('{podSelector: {}}'), false);
  assert.deepEqual(policy('{podSelector: {}, policyTypes: []}').policyTypes, []);
});

test('NetworkPolicy: selectors, blocks with host bits, ports', () => {
  const [rule] = policy(
    '{podSelector: {}, ingress: [{from: [{podSelector: {}}, {namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x, ""]}]}, podSelector: {matchLabels: {a: b}}}, {ipBlock: {cidr: 10.1.2.3/8, except: [10.2.0.0/16]}}], ports: [{}, {port: http, protocol: SCTP}, {port: 80, endPort: 90}]}]}',
  ).ingress!;
  const [own, both, block] = rule!.peers!;
  assert.deepEqual([own?.podSelector?.matchLabels, own?.namespaceSelector], [undefined, undefined]);
  assert.deepEqual(
    both?.namespaceSelector?.matchExpressions?.map((e) => [e.key, e.operator, e.values]),
    [['ns', 'NotIn', ['x', '']]],
  );
  assert.deepEqual(both?.podSelector?.matchLabels, new Map([['a', 'b']]));
  assert.deepEqual(
    [block?.ipBlock?.cidr.text, block?.ipBlock?.except.map((e) => e.text)],
    ['10.0.0.0/8', ['10.2.0.0/16']],
  );
  assert.deepEqual(
    rule?.ports?.map((p) => [p.protocol, p.port, p.endPort]),
    [
      ['TCP', undefined, undefined],
      ['SCTP', 'http', undefined],
      ['TCP', 80, 90],
    ],
  );
});

/** One CiliumNetworkPolicy with this spec in flow style. */
const cilium = (spec: string) =>
  load(`{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: x}, spec: ${spec}}`)
    .ciliumPolicies[0]!.rules[0]!;

test('Cilium T-20, T-22, T-23: absent, null, empty and [{}] stay apart', () => {
  const [nobody] = cilium('{endpointSelector: {}, ingress: [{}]}').ingress!;
  assert.deepEqual(
    ['endpoints' in nobody!, 'toPorts' in nobody!, nobody!.deny, nobody!.path],
    [false, false, false, 'spec.ingress[0]'],
  );
  const [empty] = cilium(
    '{endpointSelector: {}, ingress: [{fromEndpoints: [], fromCIDR: null, toPorts: []}]}',
  ).ingress!;
  assert.deepEqual([empty?.endpoints, 'cidrs' in empty!, empty!.toPorts], [[], false, []]);
  const rule = cilium('{endpointSelector: {}, ingress: [{}], egressDeny: []}');
  assert.deepEqual(['ingressDeny' in rule, rule.egressDeny, 'egress' in rule], [false, [], false]);
  assert.deepEqual(
    [
      'defaultDenyIngress' in rule,
      cilium('{endpointSelector: {}, ingressDeny: [{}], enableDefaultDeny: {ingress: false}}').defaultDenyIngress,
    ],
    [false, false],
  );
});

test('Cilium: every kind of peer', () => {
  const rule = cilium(`{endpointSelector: {matchLabels: {'k8s:app': a}}, egress: [
    {toEndpoints: [{}, {matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: Exists}]}]},
    {toCIDR: [192.0.2.1, 10.0.0.0/8, '2001:db8::/32']},
    {toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidrGroupRef: g}, {cidrGroupSelector: {matchLabels: {a: b}}}]},
    {toEntities: [world, kube-apiserver]},
    {toNodes: [{matchLabels: {pool: work}}]},
    {toServices: [{k8sService: {serviceName: s, namespace: n}}, {k8sServiceSelector: {selector: {matchLabels: {a: b}}}}]},
    {toFQDNs: [{matchName: Example.COM.}, {matchPattern: '*.example.com'}]},
    {toGroups: [{aws: {securityGroupsIds: [sg-1]}}]}
  ], egressDeny: [{toEntities: [host], toPorts: [{ports: [{port: '22', protocol: TCP}]}]}]}`);
  const items = rule.egress!;
  assert.deepEqual(
    items[0]?.endpoints?.map((s) => s.matchExpressions?.[0]?.key),
    [undefined, 'k8s:io.kubernetes.pod.namespace'],
  );
  assert.deepEqual(
    items[1]?.cidrs?.map((p) => p.text),
    ['192.0.2.1/32', '10.0.0.0/8', '2001:db8::/32'],
  );
  assert.deepEqual(
    items[2]?.cidrSets?.map((p) => [
      p.cidr?.text,
      p.except.map((e) => e.text),
      p.cidrGroupRef,
      p.cidrGroupSelector?.matchLabels?.get('a'),
    ]),
    [
      ['10.0.0.0/8', ['10.1.0.0/16'], undefined, undefined],
      [undefined, [], 'g', undefined],
      [undefined, [], undefined, 'b'],
    ],
  );
  assert.deepEqual(
    items[3]?.entities?.map((e) => e.entity),
    ['world', 'kube-apiserver'],
  );
  assert.equal(items[4]?.nodes?.[0]?.matchLabels?.get('pool'), 'work');
  assert.deepEqual(
    items[5]?.services?.map((s) => [s.serviceName, s.namespace, s.selector?.matchLabels?.get('a')]),
    [
      ['s', 'n', undefined],
      [undefined, undefined, 'b'],
    ],
  );
  assert.deepEqual(
    items[6]?.fqdns?.map((f) => [f.matchName, f.matchPattern]),
    [
      ['example.com', undefined],
      [undefined, '*.example.com'],
    ],
  );
  assert.equal(JSON.stringify(items[7]?.groups?.[0]?.value), '{"aws":{"securityGroupsIds":["sg-1"]}}');
  assert.deepEqual(
    rule.egressDeny?.map((item) => [item.deny, item.direction, item.path]),
    [[true, 'egress', 'spec.egressDeny[0]']],
  );
  assert.deepEqual(rule.rejected, []);
});

test('Cilium: ports, layer 7 and ICMP', () => {
  const [tcp, l7, icmp] = cilium(`{endpointSelector: {}, ingress: [
    {toPorts: [{ports: [{port: '80'}, {port: '0', protocol: UDP}, {port: 'DNS-tcp', protocol: TCP}, {port: '100', endPort: 200, protocol: SCTP}, {port: '100', endPort: 100, protocol: ''}]}, {}]},
    {toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: []}}]},
    {icmps: [{fields: [{type: 8}, {type: EchoRequest, family: IPv6}, {type: '3'}]}]}
  ]}`).ingress!;
  assert.deepEqual(
    tcp?.toPorts?.[0]?.ports?.map((p) => [p.port, p.name, p.endPort, p.protocol]),
    [
      [80, undefined, undefined, 'ANY'],
      [0, undefined, undefined, 'UDP'],
      [undefined, 'dns-tcp', undefined, 'TCP'],
      [100, undefined, 200, 'SCTP'],
      [100, undefined, undefined, 'ANY'],
    ],
  );
  assert.equal('ports' in tcp.toPorts[1]!, false);
  assert.deepEqual([l7?.toPorts?.[0]?.l7, JSON.stringify(l7?.toPorts?.[0]?.rules?.value)], ['http', '{"http":[]}']);
  assert.deepEqual(
    icmp?.icmps?.[0]?.fields.map((f) => [f.family, f.type]),
    [
      [4, 8],
      [6, 128],
      [4, 3],
    ],
  );
});

test('Cilium: specs, clusterwide policies, identities, groups, endpoints, config', () => {
  const state = load(`apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {}
  ingress: [{fromEntities: [all]}]
specs:
  - endpointSelector: {}
    egress: [{}]
---
{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: '12345'}, security-labels: {'k8s:app': web}}
---
{apiVersion: cilium.io/v2alpha1, kind: CiliumCIDRGroup, metadata: {name: g, labels: {a: b}}, spec: {externalCIDRs: [10.0.0.0/8, 192.0.2.1]}}
---
apiVersion: cilium.io/v2
kind: CiliumEndpoint
metadata: {name: pod, namespace: x}
status:
  id: 77
  identity: {id: 12345, labels: ['k8s:app=web']}
  networking: {addressing: [{ipv4: 10.0.0.1, ipv6: 'fd00::1'}], node: 172.18.0.11}
  named-ports: [{name: http, port: 80, protocol: TCP}]
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config, namespace: kube-system}, data: {enable-policy: always}}
`);
  const policy = state.ciliumPolicies[0]!;
  assert.deepEqual(
    [policy.kind, 'namespace' in policy, policy.rules.map((r) => [r.path, r.origin.line])],
    [
      'CiliumClusterwideNetworkPolicy',
      false,
      [
        ['spec', 5],
        ['specs[0]', 8],
      ],
    ],
  );
  assert.deepEqual(
    [state.ciliumIdentities[0]?.id, state.ciliumIdentities[0]?.securityLabels],
    [12345, new Map([['k8s:app', 'web']])],
  );
  assert.deepEqual(
    state.ciliumCIDRGroups[0]?.externalCIDRs.map((p) => p.text),
    ['10.0.0.0/8', '192.0.2.1/32'],
  );
  const endpoint = state.ciliumEndpoints[0]!;
  assert.deepEqual(
    [
      endpoint.endpointId,
      endpoint.identity,
      endpoint.identityLabels,
      endpoint.addresses.map((a) => a.text),
      endpoint.nodeIP?.text,
      endpoint.namedPorts,
    ],
    [77, 12345, ['k8s:app=web'], ['10.0.0.1', 'fd00::1'], '172.18.0.11', [{ name: 'http', port: 80, protocol: 'TCP' }]],
  );
  assert.deepEqual(state.ciliumConfig?.data.get('enable-policy'), {
    value: 'always',
    origin: { file: 'f', line: 24, column: 114 },
  });
});

test('a refused Cilium rule can be kept: it is marked, and only a warning', () => {
  const text = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: x}
specs:
  - endpointSelector: {}
    ingress: [{fromCIDR: [10.0.0.0/8], fromEntities: [world]}]
  - endpointSelector: {}
    ingress: [{fromEntities: [world]}]
  - 7
`;
  assert.equal(readManifests([{ file: 'f', text }]).state, undefined);
  const { state, problems } = readManifests([{ file: 'f', text }], { keepRefused: true });
  assert.deepEqual(
    state?.ciliumPolicies[0]?.rules.map((rule) => [rule.path, rule.rejected.length]),
    [
      ['specs[0]', 1],
      ['specs[1]', 0],
      ['specs[2]', 1],
    ],
  );
  assert.deepEqual(
    problems.map((p) => [p.severity, p.line]),
    [
      ['warning', 6],
      ['warning', 9],
    ],
  );
  // Only rules can be refused: what the API server itself would not take stays an error.
  assert.equal(
    readManifests([{ file: 'f', text: text.replace('name: p', 'name: P_') }], { keepRefused: true }).state,
    undefined,
  );
});
