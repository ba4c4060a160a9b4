// The doors of a node: what operators and the cluster come in by, and what a node asks of others. Owns the list alone.

/** A port that a node's policies had better leave open. */
export interface HostDoor {
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
  readonly what: string;
}

/** Destination port of DNS, whose other side may be a pod. */
export const DNS_PORT = 53;

const API_SERVER: HostDoor = { port: 6443, protocol: 'TCP', what: 'the API server' };

/** See the head of this file. */
export const HOST_DOORS = {
  ingress: [
    { port: 22, protocol: 'TCP', what: 'ssh' },
    API_SERVER,
    { port: 2379, protocol: 'TCP', what: 'etcd clients' },
    { port: 2380, protocol: 'TCP', what: 'etcd peers' },
    { port: 10250, protocol: 'TCP', what: 'the kubelet' },
  ],
  egress: [API_SERVER, { port: DNS_PORT, protocol: 'UDP', what: 'DNS' }],
} as const satisfies Readonly<Record<'ingress' | 'egress', readonly HostDoor[]>>;
