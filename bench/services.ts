// What services cost: 10,000 of them with 10 backends each, from text to map writes, and one endpoint's change after that.
// Output: results and the process's memory. Run alone (`npm run bench -- services`): the memory is the whole process's.
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { stringify } from 'yaml';
import { resolveConfig } from '../src/control/config/index.ts';
import { Controller } from '../src/control/controller.ts';
import { readManifests } from '../src/control/manifest/index.ts';
import type { ClusterState, EndpointSlice } from '../src/control/state.ts';
import { type BenchResult, median } from './harness.ts';
import { type BenchSizes, FULL } from './sizes.ts';

/** Sizes of the cluster. */
export interface ServicesSize {
  readonly services: number;
  readonly backends: number;
}

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

/** Loads, compiles, changes. */
export function runServicesBench({ services: { changes, size } }: BenchSizes = FULL): BenchResult[] {
  const all = objects(size);
  const json = all.map((object) => JSON.stringify(object)).join('\n');
  const yaml = all.map((object) => stringify(object)).join('---\n');

  const results: BenchResult[] = [];
  const say = (name: string, ns: number, bound: number, what: string, note?: string): void => {
    const target = { of: what, against: 'the bound', atMost: 1, ratio: ns / bound, met: ns <= bound };
    const cases = [{ name: what, ns, bestNs: ns }];
    results.push({ suite: name, rounds: 1, cases, targets: [target], ...(note === undefined ? {} : { note }) });
  };
  const timed = <T>(run: () => T): { readonly ns: number; readonly value: T } => {
    const began = performance.now();
    const value = run();
    return { ns: (performance.now() - began) * 1e6, value };
  };
  const maglev = [...SETS, 'loadBalancer.algorithm=maglev', 'bpf.lbExternalClusterIP=true'];
  for (const [name, text, sets] of [
    ['JSON', json, SETS],
    ['YAML', yaml, SETS],

    ['JSON, a Maglev table each', json, maglev],
  ] as const) {
    const { ns, value } = timed(() => load(text, sets));
    const memory = process.resourceUsage().maxRSS * 1024;
    const size1 = `${size.services} services, ${size.backends} backends each, ${name}`;
    say(
      `from text to writes: ${size1}`,
      ns,
      LOAD_NS,
      'load and compile',
      `${(memory / 1e6).toFixed(0)} MB at most so far, ${memory <= MEMORY_BYTES ? 'within' : 'OVER'} ${MEMORY_BYTES / 1e6} MB`,
    );
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
    say(`one endpoint's change: ${size1}`, median(times), CHANGE_NS, 'change', `at most ${writes} writes`);
  }
  return results;
}
