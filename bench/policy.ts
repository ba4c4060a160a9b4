// How fast are questions about a large cluster: 10,000 pods, 2,000 policies? Verdicts a second (addresses looked up, both
// gates, rules named), against the whole reach and diff. Output: results; times are per verdict, per reach, per diff.
import { performance } from 'node:perf_hooks';
import { diffWorlds, Judge, PolicyWorld, reach } from '../src/analysis/index.ts';
import { Compiler } from '../src/control/compile.ts';
import { defaultConfig } from '../src/control/config/index.ts';
import { readManifests } from '../src/control/manifest/index.ts';
import { settingsOf } from '../src/control/settings.ts';
import { type BenchResult, median } from './harness.ts';
import { type BenchSizes, FULL } from './sizes.ts';
import { type ClusterSize, namespaceName, podName, policyCluster } from './world/policy-cluster.ts';

/** Nanoseconds that a verdict may take: 100,000 a second. */
const VERDICT_NS = 10_000;
/** Nanoseconds that a whole reach may take: a minute. */
const REACH_NS = 60e9;

/** Compiles the cluster and asks. */
export function runPolicyBench({ policy: { rounds, questions, cluster: size } }: BenchSizes = FULL): BenchResult[] {
  const { state } = readManifests([{ file: 'cluster.yaml', text: policyCluster(size) }]);
  if (state === undefined) throw new Error('the cluster of the benchmark cannot be read');
  const config = defaultConfig();
  const compile = (): PolicyWorld =>
    new PolicyWorld({
      state,
      settings: settingsOf(config, state),
      compiled: new Compiler(config).compile(state),
      dnsKnown: true,
    });
  const world = compile();
  const pods = (size.namespaces * size.podsEach).toLocaleString('en');
  const policies = (size.namespaces * size.policiesEach).toLocaleString('en');
  const on = `${pods} pods and ${policies} policies`;
  const results: BenchResult[] = [];
  const verdicts: number[] = [];
  for (let round = -1; round < rounds; round++) {
    // Anew each round: nothing that a round before learnt may help.
    const judge = new Judge(world);
    const began = performance.now();
    let allowed = 0;
    for (let i = 0; i < questions; i++) {
      const result = judge.ask(questionOf(i, size));
      if ('answer' in result && result.answer.verdict === 'allowed') allowed++;
    }
    const ns = ((performance.now() - began) * 1e6) / questions;
    if (allowed === 0 || allowed === questions)
      throw new Error('the questions of the benchmark are all answered alike');
    if (round >= 0) verdicts.push(ns);
  }
  results.push(result(`a verdict on ${on}`, verdicts, VERDICT_NS));
  const reaches: number[] = [];
  const diffs: number[] = [];
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    reaches.push(timed(() => reach(compile())));
    diffs.push(timed(() => diffWorlds(world, compile())));
  }
  results.push(result(`the whole reach of ${on}, compile included`, reaches, REACH_NS));
  results.push(result(`a diff of ${on}, one compile included`, diffs, REACH_NS));
  return results;
}

/** Nanoseconds of one call. */
function timed(work: () => unknown): number {
  const began = performance.now();
  work();
  return (performance.now() - began) * 1e6;
}

/** A spread of pairs that is the same each time. */
function questionOf(i: number, { namespaces, podsEach }: ClusterSize): Parameters<Judge['ask']>[0] {
  const a = Math.imul(i, 0x9e3779b1) >>> 0;
  const b = Math.imul(i + 7, 0x85ebca6b) >>> 0;
  const near = i % 3 === 0;
  const from = a % namespaces;
  const to = near ? from : b % namespaces;
  return {
    from: `pod:${namespaceName(from)}/${podName((a >>> 12) % podsEach)}`,
    to: `pod:${namespaceName(to)}/${podName((b >>> 12) % podsEach)}`,
    protocol: 'TCP',
    port: [8080, 5432, 53, 9095][i & 3]!,
  };
}

/** A result with a bound in nanoseconds. */
function result(suite: string, times: readonly number[], atMost: number): BenchResult {
  const ns = median(times);
  return {
    suite,
    rounds: times.length,
    cases: [{ name: suite, ns, bestNs: Math.min(...times) }],
    targets: [{ of: suite, against: `${atMost} ns`, ratio: ns / atMost, atMost: 1, met: ns <= atMost }],
  };
}
