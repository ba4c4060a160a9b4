// The small world of the policy traps: namespaces x and y with pods a and b, two nodes, a hostNetwork pod, the world.
// Input: policies as YAML. Output: a question "may this reach that". Invariant: port 80 is named `http` on pods a, 81 on pods b.
import type { Config } from '../../src/control/config/index.ts';
import type { CompileOptions } from '../../src/control/settings.ts';
import { type Compiled, Compiler } from '../../src/control/compile.ts';
import type { Facts } from '../../src/control/state.ts';
import { configWith, connectionVerdict, stateOf } from './policy-world.ts';

/** Addresses by the names that tests use. */
export const ADDRESS: Readonly<Record<string, string>> = {
  'x/a': '10.244.1.11',
  'x/b': '10.244.1.12',
  'y/a': '10.244.2.11',
  'y/b': '10.244.2.12',
  n1: '172.18.0.11',
  n2: '172.18.0.12',
  world: '203.0.113.9',
  elsewhere: '198.51.100.7',
  world6: '2001:db8::9',
};

const pod = (namespace: string, name: string, node: string, port: number): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {pod: ${name}}}
spec:
  nodeName: ${node}
  containers:
    - name: c
      ports: [{name: http, containerPort: ${port}, protocol: TCP}]
status: {podIP: ${ADDRESS[`${namespace}/${name}`]}}
`;

const WORLD = [
  ...['n1', 'n2'].map(
    (name) => `
apiVersion: v1
kind: Node
metadata: {name: ${name}, labels: {pool: ${name}}}
status: {addresses: [{type: InternalIP, address: ${ADDRESS[name]}}]}
`,
  ),
  ...['x', 'y'].map((name) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${name}, labels: {ns: ${name}}}}`),
  pod('x', 'a', 'n1', 80),
  pod('x', 'b', 'n2', 81),
  pod('y', 'a', 'n1', 80),
  pod('y', 'b', 'n2', 81),
].join('\n---\n');

/** The compiled traps world with some policies, and questions to it. */
export class TrapWorld {
  readonly compiled: Compiled;

  constructor(
    policies: string,
    options: CompileOptions = {},
    config: Partial<Config> = {},
    facts: Partial<Facts> = {},
  ) {
    const state = stateOf(`${WORLD}\n---\n${policies}`);
    this.compiled = new Compiler(configWith(config), options).compile({
      ...state,
      facts: { ...state.facts, ...facts },
    });
  }

  /** True when both sides allow. `port`: `80`, `80/UDP`, `8/ICMP`. */
  allows(from: string, to: string, port = '80'): boolean {
    const [number, protocol = 'TCP'] = port.split('/') as [string, string?];
    return connectionVerdict(this.compiled, {
      source: ADDRESS[from] ?? from,
      destination: ADDRESS[to] ?? to,
      protocol: { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58 }[protocol]!,
      port: Number(number),
    }).allowed;
  }

  /** Which of these reach `to`, space-separated. */
  reaching(to: string, port = '80', from = ['x/a', 'x/b', 'y/a', 'y/b', 'n1', 'n2', 'world']): string {
    return from.filter((name) => name !== to && this.allows(name, to, port)).join(' ');
  }

  /** Which of these `from` reaches, space-separated. */
  reachedBy(from: string, port = '80', to = ['x/a', 'x/b', 'y/a', 'y/b', 'n1', 'n2', 'world']): string {
    return to.filter((name) => name !== from && this.allows(from, name, port)).join(' ');
  }
}

/** A NetworkPolicy `p` in namespace x; `spec` is YAML flow. */
export const networkPolicy = (spec: string, name = 'p'): string =>
  `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: ${name}, namespace: x}, spec: ${spec}}\n`;

/** A CiliumNetworkPolicy in namespace x. */
export const ciliumPolicy = (spec: string, name = 'p'): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ${name}, namespace: x}, spec: ${spec}}\n`;

/** A CiliumClusterwideNetworkPolicy. */
export const clusterPolicy = (spec: string, name = 'p'): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: ${name}}, spec: ${spec}}\n`;

/** A ClusterNetworkPolicy. */
export const tierPolicy = (spec: string, name = 'p'): string =>
  `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: ${name}}, spec: ${spec}}\n`;
