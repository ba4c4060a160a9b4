// npm run bench: every suite, each figure beside its peer, results as JSON in build/bench.json.
// npm run bench -- map|pipeline|policy|cluster|capture|replay …: only these. --save makes the result the committed baseline;
// npm run bench:compare shows how far the ratios moved from it. --smoke: everything once and tiny, results not kept: whether it
// still runs.
import './v8-flags.ts';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import os from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { runCaptureBench } from './capture.ts';
import { runClusterBench } from './cluster-change.ts';
import { type BenchResult, formatResult, runSuites } from './harness.ts';
import { makeInputs } from './make-capture.ts';
import { suites as mapSuites } from './map.ts';
import { suites as pipelineSuites } from './pipeline.ts';
import { runPolicyBench } from './policy.ts';
import { runReplayBench } from './replay.ts';
import { runServicesBench } from './services.ts';
import { FULL, SMOKE } from './sizes.ts';

interface Report {
  readonly date: string;
  readonly machine: string;
  readonly results: readonly BenchResult[];
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const BASELINE = join(root, 'bench', 'baseline.json');
const PARTS = ['map', 'pipeline', 'policy', 'cluster', 'capture', 'replay', 'services'] as const;

const args = process.argv.slice(2);
const asked = args.filter((arg) => !arg.startsWith('--'));
const unknown = asked.find((name) => !(PARTS as readonly string[]).includes(name));
if (unknown !== undefined) {
  process.stderr.write(`no benchmark "${unknown}": ${PARTS.join(', ')}\n`);
  process.exit(2);
}
const wanted = (part: string): boolean => asked.length === 0 || asked.includes(part);

const smoke = args.includes('--smoke');
const sizes = smoke ? SMOKE : FULL;
const results: BenchResult[] = [];
const say = (result: BenchResult): void => {
  results.push(result);
  process.stdout.write(`${formatResult(smoke ? { ...result, targets: [] } : result)}\n\n`);
};
const machine = `${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.cpus().length} CPUs, ${os.type()} ${os.release()}, Node ${process.version}`;
process.stdout.write(`${machine}\n\n`);
if (wanted('map')) results.push(...runSuites(mapSuites(sizes), sizes.harness).results);
if (wanted('pipeline')) results.push(...runSuites(pipelineSuites('', sizes), sizes.harness).results);
if (wanted('policy')) for (const result of runPolicyBench(sizes)) say(result);
if (wanted('cluster')) say(runClusterBench(sizes));
if (wanted('services')) for (const result of runServicesBench(smoke)) say(result);
if (wanted('capture') || wanted('replay')) {
  const folder = process.env['WEIR_BENCH_FOLDER'] ?? join(root, 'build', 'bench');
  process.stdout.write(`writing the capture into ${folder} (${sizes.traffic.bytes / 1e6} MB, once)\n`);
  const inputs = makeInputs(folder, sizes.traffic);
  if (wanted('capture'))
    for (const result of await runCaptureBench({ capture: inputs.capture, rounds: sizes.captureRounds })) say(result);
  if (wanted('replay')) say(runReplayBench(inputs, sizes.replayRounds));
}

if (smoke) process.exit(0);
const report: Report = { date: new Date().toISOString(), machine, results };
mkdirSync(join(root, 'build'), { recursive: true });
writeFileSync(join(root, 'build', 'bench.json'), `${JSON.stringify(report, null, 1)}\n`);
if (args.includes('--save')) {
  // Parts that were not run keep their place in the baseline.
  const kept = existsSync(BASELINE)
    ? (JSON.parse(readFileSync(BASELINE, 'utf8')) as Report).results.filter((old) =>
        results.every(({ suite }) => suite !== old.suite),
      )
    : [];
  writeFileSync(BASELINE, `${JSON.stringify({ ...report, results: [...kept, ...results] }, null, 1)}\n`);
}
if (args.includes('--compare')) compare(report);

/** Ratios now against the baseline's, suite by suite. */
function compare(now: Report): void {
  if (!existsSync(BASELINE)) {
    process.stdout.write('no baseline: npm run bench -- --save\n');
    return;
  }
  const old = JSON.parse(readFileSync(BASELINE, 'utf8')) as Report;
  process.stdout.write(`baseline of ${old.date} on ${old.machine}\n`);
  for (const result of now.results) {
    const before = old.results.find(({ suite }) => suite === result.suite);
    for (const target of result.targets) {
      const then = before?.targets.find(({ of, against }) => of === target.of && against === target.against);
      const drift =
        then === undefined
          ? 'new'
          : `${((target.ratio / then.ratio - 1) * 100).toFixed(0).padStart(4)} %  (was ${then.ratio.toFixed(3)})`;
      process.stdout.write(
        `  ${target.ratio.toFixed(3).padStart(8)}  ${drift.padEnd(22)} ${target.of} / ${target.against}, ${result.suite}\n`,
      );
    }
  }
}
