// The benchmark's cluster for policies as manifests: nodes, namespaces, pods in workloads, policies of every kind.
// Input: sizes. Output: plain objects (JSON is YAML). Invariant: the same sizes give the same cluster.

/** Sizes of the cluster. */
export interface PolicySize {
  readonly nodes: number;
  readonly namespaces: number;
  readonly pods: number;
  readonly policies: number;
}

/** The cluster that the figures are quoted for. */
export const POLICY_SIZE: PolicySize = { nodes: 100, namespaces: 500, pods: 10_000, policies: 2_000 };

const APPS = ['web', 'api', 'worker', 'cache', 'db'] as const;

const namespaceName = (n: number): string => `team-${n}`;

/** One pod of the cluster; `i` beyond the size's pods is one more pod of its kind. */
export function makePod(i: number, size: PolicySize = POLICY_SIZE, labels: Record<string, string> = {}): object {
  const namespace = i % size.namespaces;
  const replica = Math.floor(i / size.namespaces);
  const app = APPS[replica % APPS.length]!;
  const node = i % size.nodes;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${app}-${replica}`,
      namespace: namespaceName(namespace),
      labels: {
        app,
        tier: app === 'db' || app === 'cache' ? 'data' : 'front',
        'pod-template-hash': String(i),
        ...labels,
      },
    },
    spec: {
      nodeName: `node-${node}`,
      serviceAccountName: app,
      containers: [
        { name: app, ports: [{ name: 'main', containerPort: 8000 + (replica % APPS.length), protocol: 'TCP' }] },
      ],
    },
    status: { phase: 'Running', podIP: `10.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}` },
  };
}

/** Makes the cluster. */
export function makePolicyWorld(size: PolicySize = POLICY_SIZE): object[] {
  const objects: object[] = [];
  for (let n = 0; n < size.nodes; n++) {
    objects.push({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `node-${n}`, labels: { zone: `zone-${n % 3}` } },
      status: { addresses: [{ type: 'InternalIP', address: `172.18.${n >> 8}.${n & 255}` }] },
    });
  }
  for (let n = 0; n < size.namespaces; n++) {
    const labels = { team: `t${n % 50}`, stage: n % 5 === 0 ? 'test' : 'live' };
    objects.push({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespaceName(n), labels } });
  }
  for (let i = 0; i < size.pods; i++) objects.push(makePod(i, size));
  for (let p = 0; p < size.policies; p++) objects.push(makePolicy(p, size));
  return objects;
}

/** Policies in turn: a default deny, a namespace's own, one for another team, one towards the world; one in 200 is cluster-wide. */
export function makePolicy(p: number, size: PolicySize = POLICY_SIZE): object {
  const n = Math.floor(p / 4) % size.namespaces;
  const metadata = { name: `p${p}`, namespace: namespaceName(n) };
  const app = APPS[Math.floor(p / 4) % APPS.length]!;
  if (p % 200 === 199) return clusterWide(p);
  switch (p % 4) {
    case 0:
      return kubernetes(metadata, {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        egress: [{ to: [{ podSelector: {} }] }],
      });
    case 1:
      return kubernetes(metadata, {
        podSelector: { matchLabels: { app } },
        ingress: [
          {
            from: [{ podSelector: { matchLabels: { tier: 'front' } } }],
            ports: [{ port: 'main' }, { port: 9000, endPort: 9100 }],
          },
        ],
      });
    case 2:
      return cilium(metadata, {
        endpointSelector: { matchLabels: { app } },
        ingress: [
          {
            fromEndpoints: [
              { matchLabels: { 'k8s:io.cilium.k8s.namespace.labels.team': `t${(n + 1) % 50}`, app: 'web' } },
            ],
            toPorts: [{ ports: [{ port: '8080', protocol: 'TCP' }] }],
          },
        ],
        ingressDeny: [{ fromEntities: ['world'], toPorts: [{ ports: [{ port: '22', protocol: 'TCP' }] }] }],
      });
    default:
      return cilium(metadata, {
        endpointSelector: {},
        egress: [
          {
            toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': namespaceName(0), app: 'api' } }],
            toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }] }],
          },
          { toCIDRSet: [{ cidr: `203.${n % 100}.0.0/16`, except: [`203.${n % 100}.7.0/24`] }] },
          { toEntities: ['kube-apiserver', 'host'] },
        ],
      });
  }
}

const kubernetes = (metadata: object, spec: object): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata,
  spec,
});
const cilium = (metadata: object, spec: object): object => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata,
  spec,
});

function clusterWide(p: number): object {
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name: `p${p}` },
    spec: {
      endpointSelector: { matchLabels: { app: APPS[p % APPS.length]! } },
      enableDefaultDeny: { ingress: false },
      ingressDeny: [
        {
          fromEndpoints: [{ matchLabels: { 'k8s:io.cilium.k8s.namespace.labels.team': `t${p % 50}` } }],
          toPorts: [{ ports: [{ port: String(9200 + p), protocol: 'TCP' }] }],
        },
      ],
    },
  };
}
