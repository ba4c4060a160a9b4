// The benchmark's cluster as manifests: nodes, namespaces, pods, services with EndpointSlices, policies.
// Input: sizes. Output: plain objects (JSON is YAML) and the addresses that the traffic generator needs.
// Invariant: the same sizes give the same cluster.

/** Sizes of the benchmark's cluster. */
export interface ClusterSize {
  readonly services: number;
  readonly pods: number;
  readonly nodes: number;
  /** Pods that serve the same thing; every service selects one group. */
  readonly groups: number;
  readonly namespaces: number;
}

/** The cluster that the figures are quoted for. */
export const DEFAULT_SIZE: ClusterSize = { services: 200, pods: 500, nodes: 4, groups: 50, namespaces: 10 };

/** What traffic needs to know. Addresses are host-order numbers. */
export interface World {
  readonly manifests: readonly object[];
  /** Pods of the first node: they open connections. */
  readonly clients: readonly number[];
  /** Clients that no policy lets in: their connections are never answered. */
  readonly refused: ReadonlySet<number>;
  readonly services: readonly {
    readonly address: number;
    readonly port: number;
    readonly backends: readonly number[];
  }[];
}

const text = (a: number): string => `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;

/** Makes the cluster. Pods of node 1 are clients in namespace `clients`; all others serve, spread over groups. */
export function makeWorld(size: ClusterSize = DEFAULT_SIZE): World {
  const manifests: object[] = [];
  const perNode = Math.ceil(size.pods / size.nodes);
  const bitsPerNode = perNode < 250 ? 8 : 12;
  const nodeBase = (n: number): number => (0x0af40000 + ((n + 1) << bitsPerNode)) >>> 0;
  for (let n = 0; n < size.nodes; n++) {
    manifests.push({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `n${n + 1}`, labels: { 'kubernetes.io/hostname': `n${n + 1}` } },
      spec: {
        podCIDR: `${text(nodeBase(n))}/${32 - bitsPerNode}`,
        podCIDRs: [`${text(nodeBase(n))}/${32 - bitsPerNode}`],
      },
      status: { addresses: [{ type: 'InternalIP', address: `172.18.0.${11 + n}` }] },
    });
  }
  const spaces = ['clients', ...Array.from({ length: size.namespaces }, (_, i) => `ns-${i}`)];
  for (const name of spaces) {
    manifests.push({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name, team: `t${name.length}` } },
    });
  }
  const clients: number[] = [];
  const refused = new Set<number>();
  const groups: { address: number; name: string; node: number }[][] = Array.from({ length: size.groups }, () => []);
  for (let p = 0; p < size.pods; p++) {
    const node = Math.floor(p / perNode);
    const address = nodeBase(node) + 2 + (p % perNode);
    const client = node === 0;
    const group = p % size.groups;
    const namespace = client ? 'clients' : `ns-${group % size.namespaces}`;
    if (client) {
      clients.push(address);
      if (p % 8 === 7) refused.add(address);
    } else groups[group]!.push({ address, name: `pod-${p}`, node });
    manifests.push({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `pod-${p}`,
        namespace,
        labels: client ? { role: `r${p % 8}` } : { group: `g${group}`, pod: `pod-${p}` },
      },
      spec: {
        nodeName: `n${node + 1}`,
        containers: [{ name: 'c', ports: client ? [] : [{ name: 'http', containerPort: 8080, protocol: 'TCP' }] }],
      },
      status: { phase: 'Running', podIP: text(address), podIPs: [{ ip: text(address) }] },
    });
  }
  const services: { address: number; port: number; backends: number[] }[] = [];
  for (let s = 0; s < size.services; s++) {
    const g = s % size.groups;
    const namespace = `ns-${g % size.namespaces}`;
    const address = 0x0a600000 + 10 + s;
    services.push({ address, port: 80, backends: groups[g]!.map((b) => b.address) });
    manifests.push({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `svc-${s}`, namespace },
      spec: {
        type: 'ClusterIP',
        clusterIP: text(address),
        clusterIPs: [text(address)],
        selector: { group: `g${g}` },
        ports: [
          { name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' },
          { name: 'dns', port: 53, targetPort: 5353, protocol: 'UDP' },
        ],
      },
    });
    manifests.push({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `svc-${s}-1`, namespace, labels: { 'kubernetes.io/service-name': `svc-${s}` } },
      addressType: 'IPv4',
      endpoints: groups[g]!.map((b) => ({
        addresses: [text(b.address)],
        conditions: { ready: true },
        nodeName: `n${b.node + 1}`,
        targetRef: { kind: 'Pod', name: b.name, namespace },
      })),
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: 'dns', port: 5353, protocol: 'UDP' },
      ],
    });
  }
  for (let g = 0; g < size.groups; g++) {
    manifests.push({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `allow-g${g}`, namespace: `ns-${g % size.namespaces}` },
      spec: {
        podSelector: { matchLabels: { group: `g${g}` } },
        policyTypes: ['Ingress'],
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'clients' } },
                podSelector: { matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['r7'] }] },
              },
            ],
            ports: [
              { protocol: 'TCP', port: 'http' },
              { protocol: 'UDP', port: 5353 },
            ],
          },
        ],
      },
    });
  }
  manifests.push({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: 'clients-egress', namespace: 'clients' },
    spec: {
      endpointSelector: {},
      egress: [
        {
          toEntities: ['cluster'],
          toPorts: [
            {
              ports: [
                { port: '8080', protocol: 'TCP' },
                { port: '5353', protocol: 'UDP' },
              ],
            },
          ],
        },
      ],
      egressDeny: [
        {
          toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'ns-9' } }],
          toPorts: [{ ports: [{ port: '5353', protocol: 'UDP' }] }],
        },
      ],
    },
  });
  return { manifests, clients, refused, services };
}
