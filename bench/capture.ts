// How fast is a capture read with its headers parsed? Against tcpdump copying the same file to /dev/null, both from the page
// cache: as whole processes (Node's start counts), and within this process once it is warm.
// Output: one result; times are per packet. Ratios are medians over rounds in which all ran, one after the other.
import './v8-flags.ts';
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type CaptureSum, sumCapture } from './capture-reader.ts';
import { type BenchResult, type BenchTarget, formatResult, isMain, median } from './harness.ts';

/** What to measure on. */
export interface CaptureBenchOptions {
  /** A pcap file: 1 GB for figures that are quoted. */
  readonly capture: string;
  /** Rounds measured, at least 1; one more before them warms up and is not counted. */
  readonly rounds: number;
}

const PROCESS = 'reader, whole process';
const WARM = 'reader, in process';
const PEER = 'tcpdump -w /dev/null';

/** In process, at least 2.5 times as fast as tcpdump; a whole process also pays for the start of Node and of its compiler. */
const TARGETS: readonly BenchTarget[] = [
  { of: WARM, against: PEER, atMost: 1 / 2.5 },
  { of: PROCESS, against: PEER, atMost: 1 },
];

/** Runs the rounds. Without tcpdump, the reader's own times come alone, with a note. Throws when a run fails. */
export async function runCaptureBench(options: CaptureBenchOptions): Promise<BenchResult[]> {
  const { capture } = options;
  const expected = await sumCapture(capture);
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const program = fileURLToPath(new URL(`./capture-reader.${extension}`, import.meta.url));
  const hasPeer = spawnSync('tcpdump', ['--version'], { stdio: 'ignore' }).error === undefined;

  const runs: { name: string; run: () => Promise<void> | void }[] = [
    { name: WARM, run: async () => check(await sumCapture(capture), expected) },
    {
      name: PROCESS,
      run: () =>
        check(
          JSON.parse(runProgram(process.execPath, [...process.execArgv, program, capture])) as CaptureSum,
          expected,
        ),
    },
  ];
  if (hasPeer) runs.push({ name: PEER, run: () => void runProgram('tcpdump', ['-r', capture, '-w', '/dev/null']) });

  const seconds = new Map(runs.map(({ name }) => [name, [] as number[]]));
  for (let round = -1; round < options.rounds; round++) {
    for (const { name, run } of runs) {
      const start = performance.now();
      await run();
      if (round >= 0) seconds.get(name)!.push((performance.now() - start) / 1000);
    }
  }

  const cases = runs.map(({ name }) => {
    const times = seconds.get(name)!.map((time) => (time * 1e9) / expected.packets);
    return { name, ns: median(times), bestNs: Math.min(...times) };
  });
  const targets = TARGETS.filter(() => hasPeer).map((target) => {
    const against = seconds.get(target.against)!;
    const ratio = median(seconds.get(target.of)!.map((time, round) => time / against[round]!));
    return { ...target, ratio, met: ratio <= target.atMost };
  });
  const suite = `capture: ${expected.packets} packets read, headers parsed; nanoseconds a packet`;
  const note = hasPeer
    ? `load average ${os.loadavg()[0]!.toFixed(1)} on ${os.cpus().length} CPUs`
    : 'skipped the comparison: tcpdump is not installed';
  return [{ suite, rounds: options.rounds, cases, targets, note }];
}

function check(found: CaptureSum, expected: CaptureSum): void {
  if (found.packets !== expected.packets || found.ports !== expected.ports) {
    throw new Error(`read ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  }
}

/** Runs a program to its end; its standard output. */
function runProgram(program: string, args: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: 'utf8' });
  if (done.error !== undefined) throw done.error;
  if (done.status !== 0) throw new Error(`${program}: ${done.stderr.trim()}`);
  return done.stdout;
}

if (isMain(import.meta.url)) {
  const [capture, rounds = '11'] = process.argv.slice(2);
  if (capture === undefined) throw new Error('usage: node dist/bench/capture.js FILE [ROUNDS]');
  for (const result of await runCaptureBench({ capture, rounds: Number(rounds) })) {
    process.stdout.write(`${formatResult(result)}\n`);
  }
}
