// A small cluster and hand-made captures for tests of replay: YAML in, records out.
// Input: steps (a packet, a time, an interface). Output: the records of a replay, in order.
// Invariant: everything is made in memory; addresses are written out so that a test can be read alone.
import { memorySource, CaptureReader, PcapngWriter } from '../../src/capture/index.ts';
import { Compiler } from '../../src/control/compile.ts';
import { type ClusterState, readManifests, resolveConfig } from '../../src/control/index.ts';
import type { CompileOptions } from '../../src/control/settings.ts';
import { diff } from '../../src/control/diff.ts';
import { createSim, type Sim } from '../../src/dataplane/sim/index.ts';
import type { ConnectionRecord, PacketRecord } from '../../src/flow/index.ts';
import { replay, type ReplayOptions, type ReplayResult } from '../../src/replay/index.ts';

/** Node n1: pods a (10.0.1.1, client), c (10.0.1.3, nothing allowed out). Node n2: web-1, web-2 (10.0.2.1, .2, port 8080), d. */
export const CLUSTER = `
apiVersion: v1
kind: Node
metadata: { name: n1, labels: { role: guarded } }
spec: { podCIDRs: [10.0.1.0/24, "fd00:1::/64"] }
status: { addresses: [{ type: InternalIP, address: 192.168.0.1 }] }
---
apiVersion: v1
kind: Node
metadata: { name: n2 }
spec: { podCIDRs: [10.0.2.0/24, "fd00:2::/64"] }
status: { addresses: [{ type: InternalIP, address: 192.168.0.2 }] }
---
apiVersion: v1
kind: Namespace
metadata: { name: x }
---
apiVersion: v1
kind: Pod
metadata: { name: a, namespace: x, labels: { app: a } }
spec: { nodeName: n1, containers: [{ name: c }] }
status: { phase: Running, podIPs: [{ ip: 10.0.1.1 }, { ip: "fd00:1::1" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: c, namespace: x, labels: { app: c } }
spec: { nodeName: n1, containers: [{ name: c }] }
status: { phase: Running, podIPs: [{ ip: 10.0.1.3 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: x, labels: { app: web } }
spec: { nodeName: n2, containers: [{ name: c, ports: [{ containerPort: 8080 }] }] }
status: { phase: Running, podIPs: [{ ip: 10.0.2.1 }, { ip: "fd00:2::1" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-2, namespace: x, labels: { app: web } }
spec: { nodeName: n2, containers: [{ name: c, ports: [{ containerPort: 8080 }] }] }
status: { phase: Running, podIPs: [{ ip: 10.0.2.2 }, { ip: "fd00:2::2" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: d, namespace: x, labels: { app: d } }
spec: { nodeName: n2, containers: [{ name: c }] }
status: { phase: Running, podIPs: [{ ip: 10.0.2.4 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: x }
spec:
  type: NodePort
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1]
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, namespace: x, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ name: "", port: 8080, protocol: TCP }]
endpoints:
- { addresses: [10.0.2.1], nodeName: n2, conditions: { ready: true } }
- { addresses: [10.0.2.2], nodeName: n2, conditions: { ready: true } }
---
apiVersion: v1
kind: Service
metadata: { name: dns, namespace: x }
spec:
  clusterIP: 10.96.0.53
  clusterIPs: [10.96.0.53]
  selector: { app: d }
  ports: [{ port: 53, targetPort: 53, protocol: UDP }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: dns-1, namespace: x, labels: { kubernetes.io/service-name: dns } }
addressType: IPv4
ports: [{ name: "", port: 53, protocol: UDP }]
endpoints: [{ addresses: [10.0.2.4], nodeName: n2, conditions: { ready: true } }]
`;

/** Pods a and c are isolated on ingress; c has no egress; web takes a only, on 8080. Lines matter to tests of `by`. */
export const POLICIES = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: quiet, namespace: x }
spec:
  podSelector: { matchExpressions: [{ key: app, operator: In, values: [a, c] }] }
  policyTypes: [Ingress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: mute, namespace: x }
spec:
  podSelector: { matchLabels: { app: c } }
  policyTypes: [Egress]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web, namespace: x }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
  - from: [{ podSelector: { matchLabels: { app: a } } }]
    ports: [{ port: 8080, protocol: TCP }]
`;

/** A cluster in a simulator. */
export interface TestWorld {
  readonly state: ClusterState;
  readonly sim: Sim;
  readonly compiled: ReturnType<Compiler['compile']>;
  /** Compiles the cluster with other facts; numbers stay. */
  readonly compile: (state: ClusterState) => ReturnType<Compiler['compile']>;
}

/** Compiles manifests; kube-proxy replacement and Maglev are on unless `sets` says otherwise. */
export function makeWorld(
  options: { readonly policies?: string; readonly sets?: readonly string[]; readonly compile?: CompileOptions } = {},
): TestWorld {
  const { state, problems } = readManifests([
    { file: 'cluster.yaml', text: CLUSTER },
    { file: 'policies.yaml', text: options.policies ?? POLICIES },
  ]);
  if (state === undefined) throw new Error(JSON.stringify(problems));
  const sets = ['kubeProxyReplacement=true', 'loadBalancer.algorithm=maglev', ...(options.sets ?? [])];
  const compiler = new Compiler(resolveConfig({ sets }).config, options.compile);
  const compiled = compiler.compile(state);
  const sim = createSim({ specs: compiled.sizes, seed: 1 });
  const applied = sim.apply(diff(undefined, compiled.maps));
  if (applied.failed !== undefined) throw new Error(JSON.stringify(applied));
  return { state, sim, compiled, compile: (other) => compiler.compile(other) };
}

/** One packet of a hand-made capture. */
export interface Step {
  readonly frame: Uint8Array;
  /** Milliseconds since the first packet; 1 ms behind the packet before unless told. */
  readonly ms?: number;
  /** Name of the interface; `eth0` unless told. */
  readonly on?: string;
  /** LINKTYPE_ number; 1 unless told. All packets of an interface have the same. */
  readonly link?: number;
  /** Length on the wire, where the capture cut the packet. */
  readonly wire?: number;
}

/** Seconds since 1970 of the first packet of a hand-made capture: 2026-01-02T03:04:05Z. */
export const BEGAN = 1_767_323_045;

/** Steps as a pcapng file. */
export function captureOf(steps: readonly Step[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  const writer = new PcapngWriter({ write: (bytes) => void pieces.push(bytes.slice()) });
  const ids = new Map<string, number>();
  let ms = -1;
  for (const { frame, ms: told, on = 'eth0', link = 1, wire } of steps) {
    ms = told ?? ms + 1;
    let id = ids.get(on);
    if (id === undefined) ids.set(on, (id = writer.addInterface({ name: on, linkType: link })));
    const seconds = BEGAN + Math.floor(ms / 1000);
    writer.packet(
      id,
      frame,
      0,
      frame.length,
      wire ?? frame.length,
      seconds,
      Math.round((ms - Math.floor(ms / 1000) * 1000) * 1e6),
    );
  }
  writer.flush();
  return new Uint8Array(Buffer.concat(pieces));
}

/** What a replay of a hand-made capture gave. */
export interface Replayed {
  readonly packets: readonly PacketRecord[];
  readonly connections: readonly ConnectionRecord[];
  readonly result: ReplayResult;
}

/** Replays captures (each a list of steps) through a world; undefined: without manifests. */
export async function replayed(
  world: TestWorld | undefined,
  captures: readonly (readonly Step[])[],
  options: Partial<
    Pick<
      ReplayOptions,
      'at' | 'merge' | 'maxConnections' | 'masquerade' | 'inspection' | 'learning' | 'interfaces' | 'node'
    >
  > = {},
): Promise<Replayed> {
  const packets: PacketRecord[] = [];
  const connections: ConnectionRecord[] = [];
  const result = await replay(
    {
      captures: captures.map((steps, i) => ({
        path: `${'abc'[i]}.pcapng`,
        source: new CaptureReader(memorySource([captureOf(steps)])),
      })),
      dataplane: world?.sim ?? createSim({ seed: 1 }),
      state: world?.state,
      rulesOf: (cookie) => world?.compiled.provenance.rulesOf(cookie) ?? [],
      seed: 1,
      ...options,
    },
    { packet: (judged) => void packets.push(judged.record()), connection: (record) => void connections.push(record) },
  );
  return { packets, connections, result };
}
