// Random small clusters and policies, as manifests. Input: fast-check. Output: JSON documents that the loader reads.
// Invariant: pods with equal labels have equal named ports, since Cilium knows ports by identity only.
import fc from 'fast-check';

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const NAMESPACES = ['x', 'y'] as const;
const values = fc.constantFrom('a', 'b', 'c');
const keys = fc.constantFrom('pod', 'tier', 'zone');
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

/** Leaves out keys without a value. */
const object = (entries: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));

const expression = (key: fc.Arbitrary<string>, value: fc.Arbitrary<string>): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.record({
      key,
      operator: fc.constantFrom('In', 'NotIn'),
      values: fc.uniqueArray(value, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
  );

const selector = (key: fc.Arbitrary<string>, value: fc.Arbitrary<string>): fc.Arbitrary<Record<string, unknown>> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant({}) },
    {
      weight: 3,
      arbitrary: fc.record({ key, value }).map(({ key: k, value: v }) => ({ matchLabels: { [k]: v } })),
    },
    { weight: 2, arbitrary: expression(key, value).map((e) => ({ matchExpressions: [e] })) },
  );

const podSelector = selector(keys, values);
const namespaceSelector = selector(fc.constantFrom('ns', 'kubernetes.io/metadata.name'), fc.constantFrom('x', 'y'));

/** What policies name. */
export const PREFIXES: readonly { readonly cidr: string; readonly except: readonly string[] }[] = [
  { cidr: '0.0.0.0/0', except: ['203.0.113.0/24'] },
  { cidr: '203.0.113.0/24', except: ['203.0.113.128/25'] },
  { cidr: '203.0.113.9/32', except: [] },
  { cidr: '10.244.0.0/16', except: ['10.244.1.0/24'] },
  { cidr: '172.18.0.0/16', except: ['172.18.0.11/32'] },
  { cidr: '2001:db8::/32', except: ['2001:db8:1::/48'] },
  { cidr: '::/0', except: [] },
];
const prefixes = fc.constantFrom(...PREFIXES);
const withSomeExcept = fc
  .record({ block: prefixes, use: fc.boolean() })
  .map(({ block, use }) =>
    object({ cidr: block.cidr, except: use && block.except.length > 0 ? block.except : undefined }),
  );

// ---- NetworkPolicy ----

const kubernetesPort = fc.oneof(
  fc.record({ protocol: optional(fc.constantFrom(...PROTOCOLS)) }).map(object),
  fc
    .record({
      protocol: optional(fc.constantFrom(...PROTOCOLS)),
      port: fc.constantFrom(80, 81, 443),
      span: fc.constantFrom(0, 0, 1, 400),
    })
    .map(({ protocol, port, span }) => object({ protocol, port, endPort: span > 0 ? port + span : undefined })),
  fc.record({ protocol: optional(fc.constantFrom(...PROTOCOLS)), port: fc.constantFrom('http', 'dns') }).map(object),
);
const kubernetesPeer = fc.oneof(
  podSelector.map((s) => ({ podSelector: s })),
  namespaceSelector.map((s) => ({ namespaceSelector: s })),
  fc.record({ podSelector, namespaceSelector }),
  withSomeExcept.map((ipBlock) => ({ ipBlock })),
);
const kubernetesRule = (peers: 'from' | 'to'): fc.Arbitrary<unknown> =>
  fc
    .record({
      [peers]: optional(fc.array(kubernetesPeer, { maxLength: 2 })),
      ports: optional(fc.array(kubernetesPort, { maxLength: 2 })),
    })
    .map(object);
const networkPolicy = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    podSelector,
    policyTypes: optional(fc.subarray(['Ingress', 'Egress'])),
    ingress: optional(fc.array(kubernetesRule('from'), { maxLength: 2 })),
    egress: optional(fc.array(kubernetesRule('to'), { maxLength: 2 })),
  })
  .map(({ namespace, ...spec }) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace },
    spec: object(spec),
  }));

// ---- Cilium ----

const sourcedKeys = fc.oneof(
  keys,
  keys.map((key) => `k8s:${key}`),
  keys.map((key) => `any:${key}`),
  fc.constantFrom(
    'k8s:io.kubernetes.pod.namespace',
    'io.kubernetes.pod.namespace',
    'k8s:io.cilium.k8s.namespace.labels.ns',
  ),
);
const ciliumValues = fc.oneof(values, fc.constantFrom('x', 'y'));
const ciliumSelector = fc.oneof(
  { weight: 6, arbitrary: selector(sourcedKeys, ciliumValues) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('reserved:host', 'reserved:remote-node', 'reserved:world')
      .map((key) => ({ matchExpressions: [{ key, operator: 'Exists' }] })),
  },
);
const entities = fc.constantFrom(
  'all',
  'world',
  'cluster',
  'host',
  'remote-node',
  'kube-apiserver',
  'health',
  'none',
  'world-ipv4',
  'world-ipv6',
);

const ciliumPort = fc.oneof(
  fc
    .record({
      port: fc.constantFrom(0, 80, 81, 443),
      span: fc.constantFrom(0, 0, 3, 400),
      protocol: optional(fc.constantFrom('ANY', ...PROTOCOLS)),
    })
    .map(({ port, span, protocol }) =>
      object({ port: String(port), endPort: port > 0 && span > 0 ? port + span : undefined, protocol }),
    ),
  fc
    .record({ port: fc.constantFrom('http', 'dns'), protocol: optional(fc.constantFrom('ANY', ...PROTOCOLS)) })
    .map(object),
);
const toPorts = fc.array(
  fc.array(ciliumPort, { minLength: 1, maxLength: 2 }).map((ports) => ({ ports })),
  { maxLength: 2 },
);
const icmps = fc
  .array(fc.constantFrom({ type: 8, family: 'IPv4' }, { type: 0 }, { type: 128, family: 'IPv6' }), {
    minLength: 1,
    maxLength: 2,
  })
  .map((fields) => [{ fields }]);
const level4 = fc.oneof(
  fc.constant({}),
  toPorts.map((ports) => ({ toPorts: ports })),
  icmps.map((list) => ({ icmps: list })),
);

/** `requires`: of 13, how many narrow the peers of every rule. */
const ciliumItem = (prefix: 'from' | 'to', requires = 1): fc.Arbitrary<unknown> =>
  fc
    .record({
      peers: fc.oneof(
        { weight: 2, arbitrary: fc.constant({}) },
        {
          weight: 5,
          arbitrary: fc.array(ciliumSelector, { maxLength: 2 }).map((list) => ({ [`${prefix}Endpoints`]: list })),
        },
        {
          weight: 3,
          arbitrary: fc
            .array(entities, { minLength: 1, maxLength: 2 })
            .map((list) => ({ [`${prefix}Entities`]: list })),
        },
        {
          weight: 2,
          arbitrary: fc
            .array(prefixes, { minLength: 1, maxLength: 2 })
            .map((list) => ({ [`${prefix}CIDR`]: list.map((p) => p.cidr) })),
        },
        {
          weight: 2,
          arbitrary: fc
            .array(withSomeExcept, { minLength: 1, maxLength: 2 })
            .map((list) => ({ [`${prefix}CIDRSet`]: list })),
        },
      ),
      required: fc.oneof(
        { weight: 12, arbitrary: fc.constant(undefined) },
        { weight: requires, arbitrary: fc.array(ciliumSelector, { maxLength: 2 }) },
      ),
      level4,
    })
    .map(({ peers, required, level4: ports }) => object({ ...peers, [`${prefix}Requires`]: required, ...ports }));
const ciliumSpec = fc
  .record({
    endpointSelector: fc.oneof(podSelector, selector(sourcedKeys, ciliumValues)),
    ingress: optional(fc.array(ciliumItem('from'), { maxLength: 2 })),
    ingressDeny: optional(fc.array(ciliumItem('from'), { maxLength: 1 })),
    egress: optional(fc.array(ciliumItem('to'), { maxLength: 2 })),
    egressDeny: optional(fc.array(ciliumItem('to'), { maxLength: 1 })),
    enableDefaultDeny: optional(
      fc.record({ ingress: optional(fc.boolean()), egress: optional(fc.boolean()) }).map(object),
    ),
  })
  .map(object);
/** A host policy. It enforces nothing where there is no host firewall. */
const hostSpec = fc
  .record({
    nodeSelector: fc.oneof(
      fc.constant({}),
      selector(fc.constantFrom('pool', 'k8s:pool', 'kubernetes.io/hostname'), fc.constantFrom('n1', 'n2')),
    ),
    ingress: optional(fc.array(ciliumItem('from'), { maxLength: 3 })),
    ingressDeny: optional(fc.array(ciliumItem('from'), { maxLength: 1 })),
    egress: optional(fc.array(ciliumItem('to'), { maxLength: 3 })),
    egressDeny: optional(fc.array(ciliumItem('to'), { maxLength: 1 })),
    enableDefaultDeny: optional(
      fc.record({ ingress: optional(fc.boolean()), egress: optional(fc.boolean()) }).map(object),
    ),
  })
  .map(object);
const hostPolicy = hostSpec.map((spec) => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumClusterwideNetworkPolicy',
  metadata: {},
  spec,
}));
const ciliumPolicy = fc.oneof(
  fc.record({ namespace: fc.constantFrom(...NAMESPACES), spec: ciliumSpec }).map(({ namespace, spec }) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { namespace },
    spec,
  })),
  fc.array(ciliumSpec, { minLength: 1, maxLength: 2 }).map((specs) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: {},
    specs,
  })),
);

// ---- the admin tiers ----

const adminPods = fc.oneof(
  namespaceSelector.map((namespaces) => ({ namespaces })),
  fc.record({ namespaceSelector: optional(namespaceSelector), podSelector }).map((pods) => ({ pods: object(pods) })),
);
const networks = fc
  .uniqueArray(prefixes, { minLength: 1, maxLength: 2, selector: ({ cidr }) => cidr })
  .map((list) => ({ networks: list.map(({ cidr }) => cidr) }));
const nodes = selector(fc.constant('pool'), fc.constantFrom('n1', 'n2')).map((s) => ({ nodes: s }));
const adminPort = fc.oneof(
  fc
    .record({
      protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
      port: fc.constantFrom(80, 81, 443),
      span: fc.constantFrom(0, 0, 1, 400),
    })
    .map(({ protocol, port, span }) => ({
      [protocol]: { destinationPort: span > 0 ? { range: { start: port, end: port + span } } : { number: port } },
    })),
  fc.constantFrom('http', 'dns').map((name) => ({ destinationNamedPort: name })),
);
const adminRule = (field: 'from' | 'to'): fc.Arbitrary<unknown> =>
  fc
    .record({
      action: fc.constantFrom('Accept', 'Deny', 'Pass', 'Pass'),
      peers: fc.array(
        field === 'from'
          ? fc.oneof({ weight: 9, arbitrary: adminPods }, { weight: 1, arbitrary: fc.constant({}) })
          : fc.oneof(
              { weight: 6, arbitrary: adminPods },
              { weight: 3, arbitrary: networks },
              { weight: 2, arbitrary: nodes },
              { weight: 1, arbitrary: fc.constant({}) },
            ),
        { minLength: 1, maxLength: 2 },
      ),
      protocols: optional(fc.array(adminPort, { minLength: 1, maxLength: 2 })),
    })
    .map(({ action, peers, protocols }) => {
      // Names are of pods: the API refuses them together with networks and nodes.
      const others = peers.some((peer) => 'networks' in peer || 'nodes' in peer);
      const ports = others ? protocols?.filter((port) => !('destinationNamedPort' in port)) : protocols;
      return object({ action, [field]: peers, protocols: ports?.length === 0 ? undefined : ports });
    });
const adminPolicy = fc
  .record({
    tier: fc.constantFrom('Admin', 'Admin', 'Baseline'),
    priority: fc.constantFrom(0, 7, 7, 1000),
    subject: adminPods,
    ingress: optional(fc.array(adminRule('from'), { maxLength: 3 })),
    egress: optional(fc.array(adminRule('to'), { maxLength: 3 })),
  })
  .map((spec) => ({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: {},
    spec: object(spec),
  }));

const annotations = fc.constantFrom(undefined, undefined, undefined, { 'weir.dev/policy-audit-mode': 'enabled' });

const named = (
  policy: fc.Arbitrary<Record<string, unknown> & { readonly metadata: object }>,
): fc.Arbitrary<readonly Record<string, unknown>[]> =>
  fc
    .array(fc.tuple(policy, annotations), { minLength: 1, maxLength: 4 })
    .map((list) =>
      list.map(([p, notes], i) => ({ ...p, metadata: object({ ...p.metadata, name: `p${i}`, annotations: notes }) })),
    );

/** Policies with distinct names, of any kind, some in audit mode. */
export const policies: fc.Arbitrary<readonly Record<string, unknown>[]> = named(
  fc.oneof(networkPolicy, ciliumPolicy, adminPolicy),
);

/** The same with host policies among them. */
export const policiesWithHosts: fc.Arbitrary<readonly Record<string, unknown>[]> = named(
  fc.oneof({ weight: 2, arbitrary: hostPolicy }, ciliumPolicy, networkPolicy),
);

/** The admin tiers above all, with passes, over policies of the other kinds. */
export const tieredPolicies: fc.Arbitrary<readonly Record<string, unknown>[]> = named(
  fc.oneof({ weight: 3, arbitrary: adminPolicy }, networkPolicy, ciliumPolicy),
);

/** The same without requirements of peers: laws about a rule hold where no other narrows it. */
export const unnarrowed = (
  list: fc.Arbitrary<readonly Record<string, unknown>[]>,
): fc.Arbitrary<readonly Record<string, unknown>[]> =>
  list.map((documents) =>
    documents.map(
      (document) =>
        JSON.parse(
          JSON.stringify(document, (key, value: unknown) => (/^(from|to)Requires$/.test(key) ? undefined : value)),
        ) as Record<string, unknown>,
    ),
  );

interface PodPlan {
  readonly namespace: string;
  readonly pod: string;
  readonly tier: string | undefined;
  readonly node: string;
  readonly hostNetwork: boolean;
}

const podPlan: fc.Arbitrary<PodPlan> = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  pod: values,
  tier: optional(values),
  node: fc.constantFrom('n1', 'n2'),
  hostNetwork: fc.constantFrom(false, false, false, false, true),
});

/** Addresses of nodes and of the world that connections are tried with. */
export const OUTSIDE = [
  '172.18.0.11',
  '172.18.0.12',
  '203.0.113.9',
  '203.0.113.200',
  '8.8.8.8',
  '2001:db8::9',
  '2001:db8:1::9',
  '2620::1',
];

/** The cluster: two nodes, two namespaces, some pods with two addresses each. */
export const cluster: fc.Arbitrary<readonly Record<string, unknown>[]> = fc
  .array(podPlan, { minLength: 2, maxLength: 5 })
  .map((plans) => [...BASE, ...plans.map(podOf)]);

const BASE = [
  ...['n1', 'n2'].map((name, i) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { pool: name, 'kubernetes.io/hostname': name } },
    status: { addresses: [{ type: 'InternalIP', address: `172.18.0.1${i + 1}` }] },
  })),
  ...NAMESPACES.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ns: name } } })),
];

function podOf({ namespace, pod, tier, node, hostNetwork }: PodPlan, i: number): Record<string, unknown> {
  const http = pod === 'a' ? 80 : 81;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod${i}`, namespace, labels: object({ pod, tier }) },
    spec: {
      nodeName: node,
      hostNetwork,
      containers: [
        {
          name: 'c',
          ports: [
            { name: 'http', containerPort: http, protocol: 'TCP' },
            { name: 'dns', containerPort: 443, protocol: 'UDP' },
          ],
        },
      ],
    },
    status: hostNetwork
      ? { podIP: node === 'n1' ? '172.18.0.11' : '172.18.0.12' }
      : { podIPs: [{ ip: `10.244.${(i % 2) + 1}.${10 + i}` }, { ip: `fd00::${10 + i}` }] },
  };
}

/** Documents as one text. */
export const asText = (documents: readonly unknown[]): string =>
  documents.map((d) => JSON.stringify(d)).join('\n---\n');

// ---- single policies, for laws that add one ----

const items = (direction: 'ingress' | 'egress'): fc.Arbitrary<unknown[]> =>
  fc.array(ciliumItem(direction === 'ingress' ? 'from' : 'to', 0), { minLength: 1, maxLength: 2 });
const clusterwide = (name: string, spec: object): Record<string, unknown> => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumClusterwideNetworkPolicy',
  metadata: { name },
  spec,
});

/** A policy that only denies. */
export const denyPolicy: fc.Arbitrary<Record<string, unknown>> = fc
  .record({ endpointSelector: podSelector, ingressDeny: items('ingress'), egressDeny: items('egress') })
  .map((spec) => clusterwide('added', spec));

/** A Cilium policy that only allows, and isolates or not. */
export const allowPolicy = (isolates: boolean): fc.Arbitrary<Record<string, unknown>> =>
  fc.record({ endpointSelector: podSelector, ingress: items('ingress'), egress: items('egress') }).map((spec) =>
    clusterwide('added', {
      ...spec,
      ...(isolates ? {} : { enableDefaultDeny: { ingress: false, egress: false } }),
    }),
  );

/** A NetworkPolicy, which cannot but allow. */
export const kubernetesPolicy: fc.Arbitrary<Record<string, unknown>> = networkPolicy.map((policy) => ({
  ...policy,
  metadata: { ...policy.metadata, name: 'added' },
}));
