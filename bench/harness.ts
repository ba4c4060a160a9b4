// Runs benchmarks fairly on a machine that is not quiet: one cycle of each case in turn, many rounds, and ratios of cases
// taken within a round. Input: suites of cases. Output: a table on stdout and results that can be compared and stored.
// Invariant: a suite whose cases disagree in their checksums is an error, not a result.
import Benchmark from 'benchmark';
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** One way to do the work. */
export interface BenchCase {
  readonly name: string;
  /** Operations that one call of `run` performs. */
  readonly batch: number;
  /** Makes everything as it was before `run`, outside the measured time; a cycle is then one call of `run`. */
  prepare?(): void;
  /** Does one batch. What it returns is kept, so that the work cannot be left out. */
  run(): number;
  /** A number that all cases of the suite must agree on, computed once before timing. Left out where there is none. */
  checksum?(): number;
}

/** A bound on the ratio of two cases, in time an operation: `of` / `against`. */
export interface BenchTarget {
  readonly of: string;
  readonly against: string;
  readonly atMost: number;
}

/** One question. */
export interface BenchSuite {
  readonly name: string;
  readonly cases: readonly BenchCase[];
  readonly targets?: readonly BenchTarget[];
  /** Why cases are missing, if some are. */
  readonly note?: string;
}

/** What came out of a suite. Times are medians over rounds, in nanoseconds an operation. */
export interface BenchResult {
  readonly suite: string;
  readonly rounds: number;
  readonly cases: readonly { readonly name: string; readonly ns: number; readonly bestNs: number }[];
  readonly targets: readonly (BenchTarget & { readonly ratio: number; readonly met: boolean })[];
  readonly note?: string;
}

export interface BenchOptions {
  /** Measured rounds; 11 unless said. Figures that are quoted need at least 9. */
  readonly rounds?: number;
  /** Rounds before them that are not counted. */
  readonly warmUp?: number;
  /** Least time of one cycle, in seconds. */
  readonly cycleSeconds?: number;
  /** Whether times are held against targets; true unless said. */
  readonly judged?: boolean;
}

/** Middle of the sorted values, or the mean of the two in the middle. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

let sink = 0;

// Otherwise `setup` is compiled anew from its text, where it does not see its closure.
Benchmark.support.decompilation = false;

/** Runs one suite: rounds of one cycle a case, in turn. Throws when checksums differ. */
export function runSuite(suite: BenchSuite, options: BenchOptions = {}): BenchResult {
  const rounds = options.rounds ?? 11;
  const warmUp = options.warmUp ?? 3;
  const sums = suite.cases.flatMap(({ name, checksum }) => (checksum === undefined ? [] : [{ name, sum: checksum() }]));
  for (const { name, sum } of sums) {
    if (sum !== sums[0]!.sum)
      throw new Error(`${suite.name}: "${name}" found ${sum}, "${sums[0]!.name}" ${sums[0]!.sum}`);
  }
  const runs = suite.cases.map((one) => {
    const bench = new Benchmark(
      one.name,
      () => {
        sink = (sink + one.run()) | 0;
      },
      {
        minTime: one.prepare === undefined ? (options.cycleSeconds ?? 0.04) : 1e-9,
        maxTime: -1,
        minSamples: 1,
        setup: () => one.prepare?.(),
      },
    );
    return { one, bench, times: [] as number[] };
  });
  for (let round = -warmUp; round < rounds; round++) {
    for (const { one, bench, times } of runs) {
      bench.run({ async: false });
      const { error } = bench as { error?: Error };
      if (error !== undefined) throw error;
      (bench as { initCount?: number }).initCount = bench.count; // the next run needs no search for the number of calls
      if (round >= 0) times.push((bench.stats.mean * 1e9) / one.batch);
    }
  }
  const timesOf = (name: string): readonly number[] | undefined => runs.find(({ one }) => one.name === name)?.times;
  const targets = (options.judged === false ? [] : (suite.targets ?? [])).flatMap((target) => {
    const of = timesOf(target.of);
    const against = timesOf(target.against);
    if (of === undefined || against === undefined) return [];
    const ratio = median(of.map((time, i) => time / against[i]!));
    return [{ ...target, ratio, met: ratio <= target.atMost }];
  });
  const cases = runs.map(({ one, times }) => ({ name: one.name, ns: median(times), bestNs: Math.min(...times) }));
  return { suite: suite.name, rounds, cases, targets, ...(suite.note === undefined ? {} : { note: suite.note }) };
}

/** A result as lines of text. */
export function formatResult(result: BenchResult): string {
  const width = Math.max(...result.cases.map(({ name }) => name.length));
  const lines = [`${result.suite} (${result.rounds} rounds)`];
  for (const { name, ns, bestNs } of result.cases) {
    lines.push(`  ${name.padEnd(width)}  ${ns.toFixed(1).padStart(9)} ns   best ${bestNs.toFixed(1).padStart(8)}`);
  }
  for (const { of, against, ratio, atMost, met } of result.targets) {
    lines.push(`  ${met ? 'ok  ' : 'MISS'} ${of} / ${against} = ${ratio.toFixed(3)} (at most ${atMost.toFixed(3)})`);
  }
  if (result.note !== undefined) lines.push(`  ${result.note}`);
  return lines.join('\n');
}

/** Runs suites, prints each result as it comes, and returns them all with the machine they were taken on. */
export function runSuites(
  suites: Iterable<BenchSuite>,
  options: BenchOptions = {},
): { machine: string; results: BenchResult[] } {
  const results: BenchResult[] = [];
  for (const suite of suites) {
    const result = runSuite(suite, options);
    results.push(result);
    process.stdout.write(formatResult(result) + '\n\n');
  }
  const machine = `${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.cpus().length} CPUs, ${os.type()} ${os.release()}, Node ${process.version}`;
  return { machine, results };
}

/** The C++ reference addon, or undefined where it was not built. WEIR_REFERENCE names another file, or with no name none. */
export function loadReference(): Record<string, (...args: never[]) => number> | undefined {
  const places = ['../', '../../'].flatMap((up) =>
    ['build-cmake/Release/', 'build/Release/'].map((folder) =>
      fileURLToPath(new URL(`${up}${folder}weir_reference.node`, import.meta.url)),
    ),
  );
  const given = process.env['WEIR_REFERENCE'];
  const file = given ?? places.find((place) => existsSync(place));
  return file === undefined || file === ''
    ? undefined
    : (createRequire(import.meta.url)(file) as Record<string, (...args: never[]) => number>);
}

/** Whether a module is the one that was started. */
export const isMain = (url: string): boolean => process.argv[1] !== undefined && fileURLToPath(url) === process.argv[1];
