// The control plane at size: reading, compiling and changing a cluster of 10,000 pods, 500 namespaces and 2,000 policies.
// Input: rounds. Output: a result with medians; an operation is the whole cluster, one pod or one policy. Invariant: reading is no
// part of compiling; what comes goes again before the next one.
import process from 'node:process';
import { Compiler } from '../src/control/compile.ts';
import { defaultConfig } from '../src/control/config/index.ts';
import { readManifests } from '../src/control/manifest/manifests.ts';
import type { AnyPolicy } from '../src/control/policy/normalise.ts';
import type { ClusterState, Pod } from '../src/control/state.ts';
import type { RowChanges } from '../src/control/row-changes.ts';
import { type BenchResult, median } from './harness.ts';
import { type BenchSizes, FULL } from './sizes.ts';
import { makePod, makePolicy, makePolicyWorld } from './world/policies.ts';

const read = (objects: readonly object[]): ClusterState => {
  const text = objects.map((object) => JSON.stringify(object)).join('\n');
  const { state, problems } = readManifests([{ file: 'cluster.json', text }]);
  if (state === undefined) throw new Error(problems.map(({ message }) => message).join('\n'));
  return state;
};

const timed = <T>(times: number[], work: () => T): T => {
  const start = performance.now();
  const result = work();
  times.push((performance.now() - start) * 1e6);
  return result;
};

const text = (n: number): string => n.toLocaleString('en');

/** Runs the benchmark. */
export function runClusterBench({ cluster: { rounds, size } }: BenchSizes = FULL): BenchResult {
  const objects = makePolicyWorld(size);
  const load: number[] = [];
  const compile: number[] = [];
  const known: number[] = [];
  const fresh: number[] = [];
  const policies: number[] = [];
  const policiesLess: number[] = [];
  let writes: readonly number[] = [];
  let summary = '';
  for (let round = 0; round < rounds; round++) {
    const state = timed(load, () => read(objects));
    const compiler = new Compiler(defaultConfig());
    const compiled = timed(compile, () => compiler.compile(state));
    const { endpoints, identities, policyEntries } = compiled.summary;
    summary = `${endpoints} endpoints, ${identities} identities, ${policyEntries} policy entries`;
    const plane = compiler.plane();
    if (plane === undefined) throw new Error('no plane over this cluster');
    const count = (come: RowChanges | undefined, go: RowChanges | undefined): number => {
      if (come === undefined || go === undefined) throw new Error('a change was refused');
      return [...come.values()].reduce((sum, rows) => sum + rows.length, 0);
    };
    const change = (times: number[], pod: Pod): number =>
      count(
        timed(times, () => plane.change(undefined, pod)),
        plane.change(pod, undefined),
      );
    const changePolicy = (policy: AnyPolicy): number =>
      count(
        timed(policies, () => plane.changePolicy(undefined, policy)),
        timed(policiesLess, () => plane.changePolicy(policy, undefined)),
      );
    for (let i = 0; i < 20; i++) {
      const more = [makePod(size.pods + i, size), makePod(size.pods + 100 + i, size, { canary: 'yes' })];
      const [twin, other] = read(more).pods;
      const { networkPolicies, ciliumPolicies } = read([makePolicy(size.policies + i, size)]);
      const [policy] = [...networkPolicies, ...ciliumPolicies];
      writes = [change(known, twin!), change(fresh, other!), changePolicy(policy!)];
    }
  }
  const cases = (
    [
      ['read', load],
      ['compile', compile],
      ['one more pod, labels as others', known],
      ['one more pod, labels of its own', fresh],
      ['one more policy', policies],
      ['one policy less', policiesLess],
    ] as const
  ).map(([name, times]) => ({ name, ns: median(times), bestNs: Math.min(...times) }));
  const target = (of: string): BenchResult['targets'][number] => {
    const ns = (name: string): number => cases.find((c) => c.name === name)!.ns;
    const ratio = ns(of) / ns('compile');
    return { of, against: 'compile', atMost: 0.01, ratio, met: ratio <= 0.01 };
  };
  return {
    suite: `${text(size.pods)} pods, ${text(size.namespaces)} namespaces, ${text(size.policies)} policies`,
    rounds,
    cases,
    targets: [
      'one more pod, labels as others',
      'one more pod, labels of its own',
      'one more policy',
      'one policy less',
    ].map(target),
    note: `${summary}; one more pod: ${writes[0]} writes, with labels of its own ${writes[1]}, one more policy ${writes[2]}; resident ${Math.round(process.memoryUsage().rss / 1e6)} MB`,
  };
}
