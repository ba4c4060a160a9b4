// Random objects of every kind that a running control plane takes, few enough of each to collide: names, addresses, ports, nodes.
// Input: fast-check. Output: manifests as plain objects. Invariant: the loader accepts each by itself.
import fc from 'fast-check';

/** A manifest. */
export type Manifest = Record<string, unknown> & {
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string; readonly namespace?: string };
};

const pick = fc.constantFrom;
const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const defined = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const service = fc
  .record({
    name: pick('s0', 's1', 's2'),
    namespace: pick('x', 'y'),
    type: pick('ClusterIP', 'ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
    ip: upTo(4),
    families: pick('4', '46', '6'),
    external: fc.option(upTo(3), { nil: undefined }),
    ingress: fc.option(upTo(3), { nil: undefined }),
    nodePort: pick(30000, 30001),
    protocol: pick('TCP', 'UDP'),
    port: pick(80, 443, 30000),
    targetPort: pick(8080, 'web', 'http'),
    local: fc.boolean(),
    headless: pick(false, false, true),
    unready: fc.boolean(),
    created: pick('2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z', undefined),
    annotations: pick(
      {},
      {},
      { 'service.cilium.io/type': 'ClusterIP' },
      { 'service.cilium.io/scope': 'external-only' },
    ),
  })
  .map((g): Manifest => {
    const all = [`10.96.0.${g.ip}`, `fd96::${g.ip}`];
    const clusterIPs = g.families === '4' ? all.slice(0, 1) : g.families === '6' ? all.slice(1) : all;
    const isExternal = g.type === 'NodePort' || g.type === 'LoadBalancer';
    const addresses =
      g.type === 'ExternalName'
        ? { externalName: 'a.example' }
        : g.headless && !isExternal
          ? { clusterIP: 'None' }
          : { clusterIP: clusterIPs[0], clusterIPs };
    const port = { name: 'web', port: g.port, targetPort: g.targetPort, protocol: g.protocol };
    return {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: g.name,
        namespace: g.namespace,
        annotations: g.annotations,
        ...defined({ creationTimestamp: g.created }),
      },
      spec: defined({
        type: g.type,
        ...addresses,
        ports: g.type === 'ExternalName' ? [] : [{ ...port, ...(isExternal ? { nodePort: g.nodePort } : {}) }],
        externalIPs: g.external === undefined ? undefined : [`192.0.2.${g.external}`],
        externalTrafficPolicy: isExternal && g.local ? 'Local' : undefined,
        publishNotReadyAddresses: g.unready,
      }),
      status:
        g.type === 'LoadBalancer' && g.ingress !== undefined
          ? { loadBalancer: { ingress: [{ ip: `192.0.2.${g.ingress}` }] } }
          : {},
    };
  });

const maybe = fc.option(fc.boolean(), { nil: undefined });
const endpoint = fc.record({
  host: upTo(5),
  ready: maybe,
  serving: maybe,
  terminating: maybe,
  nodeName: pick(undefined, 'n1', 'n2', 'n3'),
});
const slice = fc
  .record({
    name: pick('e0', 'e1', 'e2'),
    namespace: pick('x', 'y', 'default'),
    of: pick('s0', 's1', 's2', 'kubernetes', undefined),
    six: fc.boolean(),
    endpoints: fc.array(endpoint, { maxLength: 3 }),
    portName: pick('web', 'http', ''),
    protocol: pick('TCP', 'UDP'),
  })
  .map((g): Manifest => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: g.name,
      namespace: g.namespace,
      labels: g.of === undefined ? {} : { 'kubernetes.io/service-name': g.of },
    },
    addressType: g.six ? 'IPv6' : 'IPv4',
    ports: [{ name: g.portName, port: 8080, protocol: g.protocol }],
    endpoints: g.endpoints.map(({ host, nodeName, ...conditions }) =>
      defined({ addresses: [g.six ? `fd00::${host}` : `10.0.0.${host}`], conditions: defined(conditions), nodeName }),
    ),
  }));

const endpoints = fc
  .record({ name: pick('s0', 's1'), namespace: pick('x', 'y'), hosts: fc.uniqueArray(upTo(5), { maxLength: 3 }) })
  .map((g): Manifest => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: g.name, namespace: g.namespace },
    subsets:
      g.hosts.length === 0
        ? []
        : [{ addresses: g.hosts.map((host) => ({ ip: `10.0.0.${host}` })), ports: [{ name: 'web', port: 8080 }] }],
  }));

const pod = fc
  .record({
    name: pick('p0', 'p1', 'p2'),
    namespace: pick('x', 'y'),
    nodeName: pick('n1', 'n2', undefined),
    ip: fc.option(upTo(5), { nil: undefined }),
    six: fc.boolean(),
    hostNetwork: pick(false, false, true),
    hostPort: pick(undefined, 8080, 9999, 30000),
    phase: pick('Running', 'Running', 'Pending', 'Succeeded', 'Failed'),
    app: pick('a', 'b'),
    uid: pick('u1', 'u2', undefined),
  })
  .map((g): Manifest => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: g.name, namespace: g.namespace, labels: { app: g.app }, ...defined({ uid: g.uid }) },
    spec: defined({
      nodeName: g.nodeName,
      hostNetwork: g.hostNetwork,
      containers: [{ name: 'c', ports: [defined({ name: 'http', containerPort: 80, hostPort: g.hostPort })] }],
    }),
    status: {
      phase: g.phase,
      podIPs:
        g.ip === undefined
          ? []
          : [
              { ip: g.hostNetwork ? `198.18.0.${g.ip}` : `10.0.0.${g.ip}` },
              ...(g.six ? [{ ip: `fd00::${g.ip}` }] : []),
            ],
    },
  }));

const node = fc
  .record({
    name: pick('n1', 'n2', 'n3'),
    hosts: fc.uniqueArray(upTo(5), { maxLength: 2 }),
    amongPods: fc.boolean(),
    cidr: fc.boolean(),
  })
  .map((g): Manifest => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: g.name },
    spec: g.cidr ? { podCIDRs: ['10.0.0.0/24'] } : {},
    status: {
      addresses: g.hosts.map((host) => ({
        type: host % 2 === 0 ? 'ExternalIP' : 'InternalIP',
        address: g.amongPods ? `10.0.0.${host}` : `198.18.0.${host}`,
      })),
    },
  }));

const cluster = pick<Manifest>(
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } },
  {
    apiVersion: 'policy.networking.k8s.io/v1alpha1',
    kind: 'AdminNetworkPolicy',
    metadata: { name: 'a' },
    spec: { priority: 5, subject: { namespaces: {} }, ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }] },
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'n', namespace: 'x' },
    spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }] },
  },
  {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: 'c', namespace: 'x' },
    spec: {
      endpointSelector: {},
      egress: [{ toCIDRSet: [{ cidrGroupRef: 'g' }] }, { toEntities: ['kube-apiserver'] }],
    },
  },
  {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumCIDRGroup',
    metadata: { name: 'g' },
    spec: { externalCIDRs: ['203.0.113.0/24'] },
  },
);

/** One object. */
export const manifest: fc.Arbitrary<Manifest> = fc.oneof(
  { weight: 4, arbitrary: service },
  { weight: 4, arbitrary: slice },
  { weight: 1, arbitrary: endpoints },
  { weight: 3, arbitrary: pod },
  { weight: 2, arbitrary: node },
  { weight: 1, arbitrary: cluster },
);
