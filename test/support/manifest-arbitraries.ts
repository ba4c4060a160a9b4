// Arbitrary Kubernetes and Cilium objects as plain data, valid unless said otherwise. In: nothing. Out: fast-check
// arbitraries. Invariant: names are unique within one generated set, so that loading it finds no duplicates.
import fc from 'fast-check';

/** Plain data of an object. */
export type Plain = { [key: string]: unknown };

const label = fc.constantFrom('app', 'tier', 'kubernetes.io/name', 'a.b/c-d_e');
const labelValue = fc.constantFrom('web', 'db', '', 'x1', '80', 'true', 'a.b_c-d');
const labels = fc.dictionary(label, labelValue, { maxKeys: 3 });
const requirement = fc.oneof(
  fc.record({
    key: label,
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.array(labelValue, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ key: label, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
);
const selector = fc.record(
  { matchLabels: labels, matchExpressions: fc.array(requirement, { maxLength: 2 }) },
  { requiredKeys: [] },
);
const cidr = fc.constantFrom('10.0.0.0/8', '192.0.2.7/24', 'fd00::/8', '0.0.0.0/0', '2001:db8::1/64');

const kubernetesPort = fc.oneof(
  fc.record(
    {
      protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
      port: fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom('http', 'serve-80-tcp')),
    },
    { requiredKeys: [] },
  ),
  fc.record({ port: fc.constant(80), endPort: fc.integer({ min: 80, max: 99 }) }),
);
const block = fc.constantFrom(
  { cidr: '10.0.0.0/8' },
  { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.2.0.0/16'] },
  { cidr: 'fd00::/8', except: [] },
);
const kubernetesPeer = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector: selector }),
  fc.record({ podSelector: selector, namespaceSelector: selector }),
  fc.record({ ipBlock: block }),
);
const rule = (peers: 'from' | 'to') =>
  fc.record(
    { [peers]: fc.array(kubernetesPeer, { maxLength: 3 }), ports: fc.array(kubernetesPort, { maxLength: 3 }) },
    { requiredKeys: [] },
  );

/** spec of a NetworkPolicy. */
export const networkPolicySpec: fc.Arbitrary<Plain> = fc.record(
  {
    podSelector: selector,
    policyTypes: fc.uniqueArray(fc.constantFrom('Ingress', 'Egress'), { maxLength: 2 }),
    ingress: fc.array(rule('from'), { maxLength: 3 }),
    egress: fc.array(rule('to'), { maxLength: 3 }),
  },
  { requiredKeys: ['podSelector'] },
);

const ciliumPort = fc.oneof(
  fc.record(
    {
      port: fc.constantFrom('0', '80', '65535', 'http', 'DNS'),
      protocol: fc.constantFrom('ANY', 'TCP', 'UDP', 'SCTP', ''),
    },
    { requiredKeys: ['port'] },
  ),
  fc.record({ port: fc.constant('100'), endPort: fc.integer({ min: 101, max: 200 }) }),
);
const toPorts = fc.array(fc.record({ ports: fc.array(ciliumPort, { maxLength: 3 }) }, { requiredKeys: [] }), {
  maxLength: 3,
});
const icmps = fc.array(
  fc.record({
    fields: fc.array(
      fc.record(
        {
          type: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constant('EchoRequest')),
          family: fc.constantFrom('IPv4', 'IPv6'),
        },
        { requiredKeys: ['type'] },
      ),
      { maxLength: 2 },
    ),
  }),
  { maxLength: 2 },
);
const peerLists = (direction: 'from' | 'to') =>
  fc.oneof(
    fc.constant({}),
    fc.record({ [`${direction}Endpoints`]: fc.array(selector, { maxLength: 2 }) }),
    fc.record({ [`${direction}CIDR`]: fc.array(fc.oneof(cidr, fc.constant('10.1.2.3')), { maxLength: 3 }) }),
    fc.record({
      [`${direction}CIDRSet`]: fc.array(
        fc.constantFrom(
          { cidr: '10.0.0.0/8', except: ['10.9.0.0/16'] },
          { cidr: 'fd00::/8' },
          { cidrGroupRef: 'group' },
        ),
        { maxLength: 2 },
      ),
    }),
    fc.record({
      [`${direction}Entities`]: fc.array(
        fc.constantFrom('all', 'world', 'cluster', 'host', 'remote-node', 'kube-apiserver'),
        { maxLength: 3 },
      ),
    }),
  );
const item = (direction: 'from' | 'to') =>
  fc
    .tuple(peerLists(direction), fc.oneof(fc.constant({}), fc.record({ toPorts }), fc.record({ icmps })))
    .map(([peers, ports]) => ({ ...peers, ...ports }));

/** A Cilium rule (`spec` or one of `specs`) of a namespaced policy. */
export const ciliumRule: fc.Arbitrary<Plain> = fc.record(
  {
    endpointSelector: selector,
    ingress: fc.array(item('from'), { maxLength: 3 }),
    ingressDeny: fc.array(item('from'), { maxLength: 2 }),
    egress: fc.array(item('to'), { maxLength: 3 }),
    egressDeny: fc.array(item('to'), { maxLength: 2 }),
    enableDefaultDeny: fc.record({ ingress: fc.boolean(), egress: fc.boolean() }, { requiredKeys: [] }),
  },
  { requiredKeys: ['endpointSelector'] },
);

const podSpec = fc.record({
  nodeName: fc.constantFrom('n1', 'n2'),
  containers: fc.array(
    fc.record({
      name: fc.constant('c'),
      ports: fc.array(
        fc.record(
          {
            name: fc.constantFrom('http', 'dns'),
            containerPort: fc.integer({ min: 1, max: 65535 }),
            protocol: fc.constantFrom('TCP', 'UDP'),
          },
          { requiredKeys: ['containerPort'] },
        ),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 2 },
  ),
});

const body: fc.Arbitrary<Plain> = fc.oneof(
  networkPolicySpec.map((spec) => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', spec })),
  ciliumRule.map((spec) => ({ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', spec })),
  fc
    .array(ciliumRule, { minLength: 1, maxLength: 3 })
    .map((specs) => ({ apiVersion: 'cilium.io/v2', kind: 'CiliumClusterwideNetworkPolicy', specs })),
  podSpec.map((spec) => ({ apiVersion: 'v1', kind: 'Pod', spec, status: { phase: 'Running', podIP: '10.0.0.1' } })),
  fc.constantFrom<Plain>(
    { apiVersion: 'v1', kind: 'Namespace' },
    {
      apiVersion: 'v1',
      kind: 'Node',
      status: {
        addresses: [
          { type: 'InternalIP', address: '192.0.2.1' },
          { type: 'Hostname', address: 'n1' },
        ],
      },
    },
    { apiVersion: 'v1', kind: 'Service', spec: { clusterIP: '172.20.0.1', ports: [{ port: 80, targetPort: 'http' }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
      ports: [{ name: '', port: 80 }],
    },
    { apiVersion: 'example.com/v1', kind: 'Widget', spec: { a: [1, 2, { b: null }] } },
  ),
);

const clusterScoped = new Set(['Namespace', 'Node', 'CiliumClusterwideNetworkPolicy', 'Widget']);

/** Several objects with different names. */
export const objects: fc.Arbitrary<Plain[]> = fc
  .array(fc.tuple(body, labels), { minLength: 1, maxLength: 6 })
  .map((parts) =>
    parts.map(([{ apiVersion, kind, ...rest }, objectLabels], i) => {
      const metadata = {
        name: `object-${i}`,
        ...(clusterScoped.has(kind as string) ? {} : { namespace: 'x' }),
        labels: objectLabels,
      };
      return { apiVersion, kind, metadata, ...rest };
    }),
  );
