// A large cluster with policies, as manifests: 500 namespaces, 10,000 pods of 2,000 workloads, 2,000 policies of four kinds.
// Input: sizes. Output: manifests as text, one JSON document a line. Invariant: no chance: the same sizes, the same text.

/** How large. */
export interface ClusterSize {
  readonly namespaces: number;
  readonly podsEach: number;
  readonly policiesEach: number;
  readonly nodes: number;
}

/** What the project's figures are given for. */
export const LARGE: ClusterSize = { namespaces: 500, podsEach: 20, policiesEach: 4, nodes: 100 };

const APPS = ['web', 'api', 'db', 'worker'] as const;

/** Name of the `i`th namespace. */
export const namespaceName = (i: number): string => `team-${i}`;

/** Name of the `j`th pod of a namespace. */
export const podName = (j: number): string => `${APPS[j % APPS.length]}-${Math.floor(j / APPS.length)}`;

/** The cluster as documents, one a line, between `---`. */
export function policyCluster(size: ClusterSize = LARGE): string {
  const documents: unknown[] = [];
  for (let n = 0; n < size.nodes; n++) {
    documents.push({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `node-${n}` },
      status: { addresses: [{ type: 'InternalIP', address: `172.16.${n >> 8}.${n & 255}` }] },
    });
  }
  let address = 0;
  for (let i = 0; i < size.namespaces; i++) {
    const namespace = namespaceName(i);
    documents.push({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { division: `d${i % 10}`, tier: i % 7 === 0 ? 'gold' : 'plain' } },
    });
    for (let j = 0; j < size.podsEach; j++) {
      address++;
      documents.push({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: podName(j), namespace, labels: { app: APPS[j % APPS.length], release: 'stable' } },
        spec: {
          nodeName: `node-${address % size.nodes}`,
          containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }],
        },
        status: { podIP: `10.${1 + (address >> 16)}.${(address >> 8) & 255}.${address & 255}` },
      });
    }
    for (let p = 0; p < size.policiesEach; p++) documents.push(POLICIES[p % POLICIES.length]!(namespace, i, p));
  }
  return documents.map((document) => JSON.stringify(document)).join('\n---\n');
}

type Make = (namespace: string, i: number, p: number) => unknown;

const meta = (namespace: string, p: number, name: string): unknown => ({ name: `${name}-${p}`, namespace });

/** What teams write: isolate and allow within, an API for a division, egress to DNS and a partner, a deny. */
const POLICIES: readonly Make[] = [
  (namespace, _i, p) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: meta(namespace, p, 'within'),
    spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
  }),
  (namespace, i, p) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: meta(namespace, p, 'division'),
    spec: {
      podSelector: { matchLabels: { app: 'api' } },
      ingress: [
        {
          from: [
            {
              namespaceSelector: { matchLabels: { division: `d${i % 10}` } },
              podSelector: { matchLabels: { app: 'web' } },
            },
          ],
          ports: [{ port: 8080 }, { port: 9090, endPort: 9099 }],
        },
      ],
    },
  }),
  (namespace, i, p) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: meta(namespace, p, 'egress'),
    spec: {
      endpointSelector: { matchLabels: { app: 'worker' } },
      egress: [
        { toEntities: ['cluster'], toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }] }] },
        { toEndpoints: [{}] },
        {
          toCIDRSet: [
            { cidr: `198.${18 + (i & 1)}.${i & 255}.0/24`, except: [`198.${18 + (i & 1)}.${i & 255}.128/25`] },
          ],
          toPorts: [{ ports: [{ port: '443', protocol: 'TCP' }] }],
        },
      ],
    },
  }),
  (namespace, _i, p) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: meta(namespace, p, 'guard'),
    spec: {
      endpointSelector: { matchLabels: { app: 'db' } },
      ingress: [
        { fromEndpoints: [{ matchLabels: { app: 'api' } }], toPorts: [{ ports: [{ port: '5432', protocol: 'TCP' }] }] },
      ],
      ingressDeny: [{ fromEndpoints: [{ matchLabels: { app: 'worker' } }] }],
    },
  }),
];
