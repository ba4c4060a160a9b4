// Services, slices, pods and nodes in few words, as JSON manifests. Input: what differs. Output: documents that the loader reads.
// The Service is `web/store` at 172.30.1.1:7000, its backends are 10.20.N.M:9000; the node is `home` at 198.18.0.1.

type Json = Record<string, unknown>;
const json = (object: Json): string => JSON.stringify(object);

/** Options of a Service. */
export interface ServiceOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly annotations?: Json;
  readonly labels?: Json;
  /** Merged over the spec. */
  readonly spec?: Json;
  /** Load-balancer addresses, or whole ingress entries. */
  readonly ingress?: readonly (string | Json)[];
}

/** A port of TCP. */
export const tcp = (name: string, port: number, targetPort: number, nodePort?: number): Json => ({
  name,
  port,
  targetPort,
  protocol: 'TCP',
  ...(nodePort === undefined ? {} : { nodePort }),
});
/** The same port of another protocol. */
export const as = (protocol: string, port: Json): Json => ({ ...port, protocol });

/** A Service. */
export function svc({
  name = 'store',
  namespace = 'web',
  annotations = {},
  labels = {},
  spec = {},
  ingress,
}: ServiceOptions = {}): string {
  return json({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, annotations, labels },
    spec: {
      type: ingress === undefined ? 'ClusterIP' : 'LoadBalancer',
      clusterIP: '172.30.1.1',
      ports: [tcp('http', 7000, 9000)],
      ...spec,
    },
    ...(ingress === undefined
      ? {}
      : { status: { loadBalancer: { ingress: ingress.map((i) => (typeof i === 'string' ? { ip: i } : i)) } } }),
  });
}

/** One endpoint; conditions are ready/serving/terminating. */
export const ep = (address: string, conditions = '1/1/0', more: Json = {}): Json => {
  const [ready, serving, terminating] = conditions.split('/').map((bit) => bit === '1');
  return { addresses: [address], conditions: { ready, serving, terminating }, ...more };
};
/** An endpoint on a node. */
export const on = (node: string, address: string, conditions = '1/1/0'): Json =>
  ep(address, conditions, { nodeName: node });

/** Options of a slice. */
export interface SliceOptions {
  readonly name?: string;
  readonly of?: string;
  readonly namespace?: string;
  readonly ports?: readonly Json[];
  readonly weight?: number;
  readonly six?: boolean;
}

/** An EndpointSlice. Endpoints are addresses or whole entries. */
export function eps(endpoints: readonly (string | Json)[], options: SliceOptions = {}): string {
  const { of = 'store', name = `${of}-a`, namespace = 'web', weight, six = false } = options;
  return json({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name,
      namespace,
      labels: { 'kubernetes.io/service-name': of },
      ...(weight === undefined ? {} : { annotations: { 'service.cilium.io/weight': String(weight) } }),
    },
    addressType: six ? 'IPv6' : 'IPv4',
    endpoints: endpoints.map((endpoint) => (typeof endpoint === 'string' ? ep(endpoint) : endpoint)),
    ports: options.ports ?? [{ name: 'http', port: 9000, protocol: 'TCP' }],
  });
}

/** The node, with addresses: `198.18.0.1`, or `[type, address]`. */
export const node = (
  addresses: readonly (string | readonly [string, string])[] = ['198.18.0.1'],
  labels: Json = {},
): string =>
  json({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'home', labels },
    status: {
      addresses: addresses.map((entry) =>
        typeof entry === 'string' ? { type: 'InternalIP', address: entry } : { type: entry[0], address: entry[1] },
      ),
    },
  });

/** A pod on the node. */
export const pod = (
  name: string,
  address: string,
  ports: readonly Json[],
  { spec = {}, phase = 'Running' }: { readonly spec?: Json; readonly phase?: string } = {},
): string =>
  json({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'web', uid: `${name}-uid` },
    spec: { nodeName: 'home', containers: [{ name: 'c', image: 'i', ports }], ...spec },
    status: { phase, podIP: address, podIPs: [{ ip: address }] },
  });
