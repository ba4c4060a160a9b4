// Random Services with EndpointSlices, as manifests. Input: fast-check. Output: JSON documents that the loader reads.
import fc from 'fast-check';

const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const object = (entries: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));

const endpoint = fc.record({
  host: fc.integer({ min: 1, max: 6 }),
  ready: optional(fc.boolean()),
  serving: optional(fc.boolean()),
  terminating: optional(fc.boolean()),
  node: optional(fc.constantFrom('n1', 'n2')),
});
type Endpoint = typeof endpoint extends fc.Arbitrary<infer T> ? T : never;

const plan = fc.record({
  type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
  dual: fc.boolean(),
  headless: fc.constantFrom(false, false, false, true),
  affinity: fc.boolean(),
  external: fc.constantFrom('Cluster', 'Local'),
  internal: fc.constantFrom('Cluster', 'Local'),
  ranges: fc.boolean(),
  externalIP: fc.boolean(),
  ports: fc.subarray(['web', 'tls', 'dns'], { minLength: 1 }),
  four: fc.uniqueArray(endpoint, { maxLength: 4, selector: (e) => e.host }),
  six: fc.uniqueArray(endpoint, { maxLength: 3, selector: (e) => e.host }),
  weight: optional(fc.constantFrom(0, 1, 30)),
});
type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

const PORT: Record<string, { port: number; targetPort: number; protocol: string }> = {
  web: { port: 80, targetPort: 8080, protocol: 'TCP' },
  tls: { port: 443, targetPort: 8443, protocol: 'TCP' },
  dns: { port: 443, targetPort: 8443, protocol: 'UDP' },
};

function documents(given: Plan, i: number): Record<string, unknown>[] {
  const external = given.type !== 'ClusterIP';
  const ports = given.ports.map((name, p) =>
    object({ name, ...PORT[name]!, nodePort: external ? 30000 + i * 10 + p : undefined }),
  );
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `s${i}`, namespace: 'x' },
    spec: object({
      type: given.type,
      ...(given.headless && !external
        ? { clusterIP: 'None' }
        : {
            clusterIP: `10.96.0.${i + 1}`,
            clusterIPs: [`10.96.0.${i + 1}`, ...(given.dual ? [`fd96::${i + 1}`] : [])],
          }),
      ports,
      sessionAffinity: given.affinity ? 'ClientIP' : undefined,
      externalTrafficPolicy: external ? given.external : undefined,
      internalTrafficPolicy: given.internal,
      externalIPs: given.externalIP ? [`192.0.2.${i + 1}`] : undefined,
      loadBalancerSourceRanges:
        given.type === 'LoadBalancer' && given.ranges ? ['10.0.0.0/8', '203.0.113.0/24'] : undefined,
    }),
    status: given.type === 'LoadBalancer' ? { loadBalancer: { ingress: [{ ip: `198.51.100.${i + 1}` }] } } : {},
  };
  return [service, slice(given, i, 4), slice(given, i, 6)];
}

function slice(given: Plan, i: number, family: 4 | 6): Record<string, unknown> {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: object({
      name: `s${i}-${family}`,
      namespace: 'x',
      labels: { 'kubernetes.io/service-name': `s${i}` },
      annotations: given.weight === undefined ? undefined : { 'service.cilium.io/weight': String(given.weight) },
    }),
    addressType: family === 4 ? 'IPv4' : 'IPv6',
    endpoints: (family === 4 ? given.four : given.six).map(({ host, ready, serving, terminating, node }: Endpoint) =>
      object({
        addresses: [family === 4 ? `10.244.9.${host}` : `fd00:9::${host}`],
        conditions: object({ ready, serving, terminating }),
        nodeName: node,
      }),
    ),
    ports: given.ports.map((name) => ({ name, port: PORT[name]!.targetPort, protocol: PORT[name]!.protocol })),
  };
}

/** Some Services, each with a slice a family; a number left out is a Service that is not there. */
export const services: fc.Arbitrary<readonly Record<string, unknown>[]> = fc
  .array(optional(plan), { maxLength: 4 })
  .map((plans) => plans.flatMap((given, i) => (given === undefined ? [] : documents(given, i))));
