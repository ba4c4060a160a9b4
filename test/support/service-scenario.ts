// Manifests of the load-balancer scenarios, in the fewest words, and the compiler that they are given to. Input: what varies.
// Output: YAML documents and the service maps as text.
import { type Compiled, Compiler } from '../../src/control/compile.ts';
import type { Config } from '../../src/control/config/index.ts';
import { configWith, stateOf } from './policy-world.ts';
import { serviceLines } from './service-view.ts';

/** Kube-proxy replacement and the small table of the scenarios. */
export const KPR: Partial<Config> = { kubeProxyReplacement: true, 'maglev.tableSize': 1021 };
/** Maglev everywhere, ClusterIPs reachable from outside. */
export const MAGLEV: Partial<Config> = { ...KPR, 'loadBalancer.algorithm': 'maglev', 'bpf.lbExternalClusterIP': true };
/** The node with the address that node ports are opened on. */
export const NODE =
  '{apiVersion: v1, kind: Node, metadata: {name: n-home}, status: {addresses: [{type: InternalIP, address: 198.51.100.7}]}}';

/** A Service in namespace lab. */
export const service = (name: string, spec: string, more = ''): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: lab${more}}, spec: ${spec}}`;
/** The ClusterIP Service that most scenarios are about. */
export const shop = (more = ''): string =>
  service(
    'shop',
    `{type: ClusterIP, clusterIP: 172.20.7.10, clusterIPs: [172.20.7.10], ports: [{name: web, port: 8000, protocol: TCP, targetPort: 8080}]${more}}`,
  );
/** Session affinity of 75 seconds. */
export const AFFINE = ', sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 75}}';
interface SliceOptions {
  readonly of?: string;
  readonly ports?: string;
  readonly type?: string;
  readonly weight?: number;
}
/** One endpoint; conditions are ready/serving/terminating. */
export const endpoint = (address: string, conditions = '1/1/0', node = ''): string => {
  const [ready, serving, terminating] = conditions.split('/').map((bit) => bit === '1');
  return `{addresses: ['${address}'], conditions: {ready: ${ready}, serving: ${serving}, terminating: ${terminating}}${node && `, nodeName: ${node}`}}`;
};
/** An EndpointSlice. */
export const slice = (
  name: string,
  endpoints: readonly string[],
  { of = 'shop', ports = '[{name: web, port: 8080, protocol: TCP}]', type = 'IPv4', weight }: SliceOptions = {},
): string =>
  `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: ${name}, namespace: lab, labels: {kubernetes.io/service-name: ${of}}${weight === undefined ? '' : `, annotations: {service.cilium.io/weight: '${weight}'}`}}, addressType: ${type}, endpoints: [${endpoints.join(', ')}], ports: ${ports}}`;

/** A slice with a single backend. */
export const one = slice('shop-1', [endpoint('10.61.1.4')]);
/** Compiles documents one state after the other, with the same numbers. */
export const compiler = (changes: Partial<Config> = KPR, node?: string): ((...documents: string[]) => Compiled) => {
  const made = new Compiler(configWith(changes), node === undefined ? {} : { node });
  return (...documents) => made.compile(stateOf(documents.length === 0 ? '' : documents.join('\n---\n')));
};
/** The service maps as text. */
export const lines = (compiled: Compiled): string => serviceLines(compiled).join('\n');
/** Expected lines in any order. */
export const expect = (...wanted: string[]): string => [...wanted].sort().join('\n');

const BALANCED =
  '{type: LoadBalancer, clusterIP: 172.20.7.10, clusterIPs: [172.20.7.10], ports: [{name: web, port: 8000, protocol: TCP, targetPort: 8080}]';
/** A load-balancer address. */
export const INGRESS = 'status: {loadBalancer: {ingress: [{ip: 203.0.113.20}]}}';
/** The Service as a LoadBalancer. */
export const balanced = (more = '', metadata = '', status = INGRESS): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: lab${metadata}}, spec: ${BALANCED}${more}}, ${status}}`;
/** A NodePort Service. */
export const tap = (metadata: string, name: string, ip: number, port: number): string =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: lab${metadata}}, spec: {type: NodePort, clusterIP: 172.20.7.${ip}, clusterIPs: [172.20.7.${ip}], ports: [{name: web, nodePort: ${port}, port: 8000, protocol: TCP, targetPort: 8080}]}}`;
