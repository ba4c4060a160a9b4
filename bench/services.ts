// What services cost: 10,000 of them with 10 backends each, from text to map writes, and one endpoint's change after that.
// Output: results, and the peak memory of a process that does this alone: each case has one of its own (this file is its program:
// node dist/bench/services.js CASE full|smoke).
import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { resolveConfig } from '../src/control/config/index.ts';
import { Controller } from '../src/control/controller.ts';
import { readManifests } from '../src/control/manifest/index.ts';
import type { ClusterState, EndpointSlice } from '../src/control/state.ts';
import { type BenchResult, median } from './harness.ts';
import { FULL, type ServicesSize, SMOKE } from './sizes.ts';

const NODES = 10;
/** Bounds: ten seconds from text to writes, five milliseconds a change, 1.5 GB. */
const LOAD_NS = 10e9;
const CHANGE_NS = 5e6;
const MEMORY_BYTES = 1.5e9;

const address = (n: number): string => `10.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;

function objects({ services, backends }: ServicesSize): object[] {
  return Array.from({ length: services }, (_, s) => s).flatMap((s) => {
    const metadata = { name: `svc-${s}`, namespace: `ns-${s % 50}` };
    const clusterIP = `172.${16 + (s >>> 16)}.${(s >>> 8) & 255}.${s & 255}`;
    const ports = [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }];
    return [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata,
        spec: { type: 'ClusterIP', clusterIP, clusterIPs: [clusterIP], ports },
      },
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { ...metadata, name: `svc-${s}-1`, labels: { 'kubernetes.io/service-name': `svc-${s}` } },
        addressType: 'IPv4',
        endpoints: Array.from({ length: backends }, (_, b) => ({
          addresses: [address(s * backends + b + 256)],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: `n${b % NODES}`,
        })),
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      },
    ];
  });
}

const SETS = ['kubeProxyReplacement=true', 'bpf.lbMapMax=262144'];

function load(
  text: string,
  sets: readonly string[],
): { readonly controller: Controller; readonly state: ClusterState } {
  const { state } = readManifests([{ file: 'services', text }]);
  if (state === undefined) throw new Error('the services of the benchmark cannot be read');
  const controller = new Controller(resolveConfig({ sets }).config);
  controller.replaceAll(state);
  const { problems } = controller.settle();
  const error = problems.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new Error(error.message);
  return { controller, state };
}

/** One endpoint stops being ready, and comes back. */
function flip(slice: EndpointSlice, ready: boolean): EndpointSlice {
  return { ...slice, endpoints: slice.endpoints.map((e, i) => (i === 3 ? { ...e, ready, serving: ready } : e)) };
}

const MAGLEV = [...SETS, 'loadBalancer.algorithm=maglev', 'bpf.lbExternalClusterIP=true'];

const write = {
  json: (all: readonly object[]): string => all.map((object) => JSON.stringify(object)).join('\n'),
  yaml: (all: readonly object[]): string => all.map((object) => stringify(object)).join('---\n'),
};

const CASES = [
  { name: 'JSON', written: write.json, sets: SETS },
  { name: 'YAML', written: write.yaml, sets: SETS },
  { name: 'JSON, a Maglev table each', written: write.json, sets: MAGLEV },
] as const;

/** One result: a time against its bound. */
function against(name: string, ns: number, bound: number, what: string, note: string): BenchResult {
  const target = { of: what, against: 'the bound', atMost: 1, ratio: ns / bound, met: ns <= bound };
  return { suite: name, rounds: 1, cases: [{ name: what, ns, bestNs: ns }], targets: [target], note };
}

/** Loads, compiles, changes. */
function runCase({ name, written, sets }: (typeof CASES)[number], smoke: boolean): BenchResult[] {
  const { changes, size } = (smoke ? SMOKE : FULL).services;
  const text = written(objects(size));
  const timed = <T>(run: () => T): { readonly ns: number; readonly value: T } => {
    const began = performance.now();
    const value = run();
    return { ns: (performance.now() - began) * 1e6, value };
  };
  const { ns, value } = timed(() => load(text, sets));
  const memory = process.resourceUsage().maxRSS * 1024;
  const { controller, state } = value;
  const times: number[] = [];
  let writes = 0;
  for (let i = 0; i < changes; i++) {
    const slice = state.endpointSlices[(i * 37) % state.endpointSlices.length]!;
    controller.upsert(flip(slice, false));
    const change = timed(() => controller.settle());
    times.push(change.ns);
    writes = Math.max(writes, change.value.writes.length);
    controller.upsert(slice);
    times.push(timed(() => controller.settle()).ns);
  }
  const what = `${size.services} services, ${size.backends} backends each, ${name}`;
  const within = memory <= MEMORY_BYTES ? 'within' : 'OVER';
  const note = `${(memory / 1e6).toFixed(0)} MB at most, ${within} ${MEMORY_BYTES / 1e6} MB`;
  return [
    against(`from text to writes: ${what}`, ns, LOAD_NS, 'load and compile', note),
    against(`one endpoint's change: ${what}`, median(times), CHANGE_NS, 'change', `at most ${writes} writes`),
  ];
}

/** Runs every case in a process of its own. Throws when one fails. */
export function runServicesBench(smoke: boolean): BenchResult[] {
  const program = fileURLToPath(import.meta.url);
  return CASES.flatMap((_, at) => {
    const args = [program, String(at), smoke ? 'smoke' : 'full'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`the benchmark of services failed: ${stderr}`);
    return JSON.parse(stdout) as BenchResult[];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = CASES[Number(process.argv[2])];
  if (asked === undefined) throw new Error('which case?');
  process.stdout.write(JSON.stringify(runCase(asked, process.argv[3] === 'smoke')));
}
