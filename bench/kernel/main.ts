// npm run bench:kernel: the hooks in the kernel, by test runs of wrappers, interleaved with bare programs; each figure beside
// its target, results as JSON in build/bench-kernel.json. --rounds N, --events, --scattered, --save (the committed baseline),
// --compare FOLDER (the same hooks from other sources, in the same rounds). --smoke: each once, briefly, results not kept: whether
// it still runs. Exit code 2: cannot run here.
// Invariant: every repeat's verdict is counted, and a run whose verdicts are not all as expected is an error, not a figure.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { type BpfAddon, kernelUnavailable, loadAddon, PACKAGE } from '../../src/dataplane/xdp/index.ts';
import { FEATURE } from '../../src/schema/index.ts';
import { median } from '../harness.ts';
import { CONTROLS, FLOOR_CASE, FOUR, HOOKS, type KernelCase, openingOf } from './cases.ts';
import { BenchObject, compile, compilerMissing, SOURCES } from './object.ts';
import { answerAll, FEATURES, fillControls, fillNode, FLOWS } from './world.ts';

/** Ratios of the four lookups to XDP_DROP where the targets come from: an EPYC guest with retpolines, floor 23 ns. */
const REFERENCE_FOUR = { one: 7.0, many: 26.1 } as const;
const BASELINE = join(PACKAGE, 'bench', 'kernel', 'baseline.json');
/** Coprime to the flows: neighbours in time are far apart in memory. */
const SCATTERED = 61_803;

const args = process.argv.slice(2);
const valueOf = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const smoke = args.includes('--smoke');
/** Repeats of a run are divided by it. */
const scale = smoke ? 1000 : 1;
const rounds = smoke ? 1 : Math.max(Number(valueOf('--rounds') ?? 11), 9);
const only = valueOf('--only') ?? '';
const cpu = os.availableParallelism() - 1;

/** Results of one case. */
interface Row {
  readonly one: KernelCase;
  readonly object: BenchObject;
  readonly label: string;
  readonly times: number[];
}

const NO_CLANG = { feature: 'clang', reason: 'The wrappers cannot be compiled', command: 'npm run setup:kernel' };
const missing = kernelUnavailable('maps') ?? (compilerMissing() ? NO_CLANG : undefined);
if (missing !== undefined) {
  const mend = missing.command === undefined ? '' : ` (${missing.command})`;
  process.stderr.write(`bench:kernel needs ${missing.feature}: ${missing.reason}${mend}\n`);
  process.exit(process.env['REQUIRE_KERNEL'] === '1' ? 1 : 2);
}

/** An Ethernet frame of 64 bytes, TCP over IPv4; the wrappers fill in the rest. */
const frameOf = ({ plan }: KernelCase): Uint8Array => {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 6, 0x34, 0x12]);
  view.setUint32(26, plan.address);
  view.setUint32(30, plan.destination);
  view.setUint16(34, 1024);
  view.setUint16(36, plan.port);
  bytes.set([0x50, plan.tcpFlags], 46);
  return bytes;
};

let fresh = 1;
/** One run; nanoseconds a repeat. */
function measure({ one, object }: Row): number {
  const { plan, program } = one;
  const repeat = one.repeat / scale;
  const stride = plan.flows === FLOWS && args.includes('--scattered') ? SCATTERED : plan.stride;
  const now = { ...plan, stride, next: one.alwaysNew === true && plan.flows > 1 ? fresh : 0 };
  if (one.alwaysNew === true) fresh = (fresh + repeat) % 0x7fffffff;
  if (one.warm === true) object.run(program, frameOf(one), now, plan.flows, cpu);
  const { fine, good } = object.run(program, frameOf(one), now, repeat, cpu);
  if (one.counts && good !== repeat) throw new Error(`${one.name}: ${good} of ${repeat} verdicts as expected`);
  return fine;
}

/** Compiles, loads and fills. Connections are opened by the hook itself. */
function prepare(addon: BpfAddon, sources: string): BenchObject {
  const features = args.includes('--events') ? FEATURES | FEATURE.EVENTS : FEATURES;
  const object = new BenchObject(addon, compile(sources), features);
  fillNode(object, features);
  fillControls(object);
  for (const one of HOOKS.filter(({ program }) => program === 'bench_container')) {
    const { good } = object.run(
      one.program,
      frameOf({ ...one, plan: openingOf(one) }),
      openingOf(one),
      one.plan.flows,
      cpu,
    );
    if (good !== one.plan.flows) throw new Error(`${one.name}: ${good} connections opened`);
  }
  answerAll(object);
  return object;
}

/** What the maps must say of hits and misses, once everything ran. */
function confirm({ maps }: BenchObject, before: number): string[] {
  const opened = maps.ctTcpNew4.size + maps.ctAnyNew4.size;
  const after = maps.ctTcp4.size;
  if (opened !== 0 || after !== before)
    throw new Error(`connections were missed: ${opened} new ones, ${after} of ${before} left`);
  return [`${after} conntrack entries before and after, none made: every from-container packet hit`];
}

const addon = loadAddon() as BpfAddon;
const objects = [{ label: '', object: prepare(addon, SOURCES) }];
const other = valueOf('--compare');
if (other !== undefined) objects.push({ label: ' (compared)', object: prepare(addon, other) });
const notes: string[] = [];
const rows: Row[] = [];
for (const one of [...CONTROLS, ...HOOKS]) {
  if (one !== FLOOR_CASE && !one.name.includes(FOUR) && !one.name.includes(only)) continue;
  for (const { label, object } of one.control ? objects.slice(0, 1) : objects)
    rows.push({ one, object, label, times: [] });
}
const connections = objects.map(({ object }) => object.maps.ctTcp4.size);
// Frontends whose table is settled must leave no trace.
const stateless = rows.filter(({ one }) => one.program === 'bench_xdp' && !/while the table/.test(one.name));
for (const row of stateless) measure(row);
for (const { object } of objects) {
  const flows = object.maps.flows4.size;
  if (flows !== 0) throw new Error(`xdp remembered ${flows} flows of a settled table`);
}
notes.push('0 flows remembered by xdp while the table is settled');
for (let round = smoke ? 0 : -1; round < rounds; round++) {
  if (!smoke) process.stderr.write(`\rround ${round + 1} of ${rounds} `);
  for (const row of rows) {
    const time = measure(row);
    if (round >= 0) row.times.push(time);
  }
}
if (!smoke) process.stderr.write('\n');
for (const [i, { object }] of objects.entries()) notes.push(...confirm(object, connections[i]!));
notes.push(`${objects[0]!.object.maps.flows4.size} flows remembered while the table changes`);

if (smoke) {
  for (const { one, times } of rows)
    process.stdout.write(
      `${one.name}: ran ${times.length} x ${one.repeat / scale}${one.counts ? ', all as expected' : ''}\n`,
    );
  process.stdout.write(`${notes.join('\n')}\n`);
  for (const { object } of objects) object.close();
  process.exit(0);
}

const find = (name: string): Row => rows.find(({ one }) => one.name === name)!;
const floor = find(FLOOR_CASE.name);
const four = { one: find(`${FOUR}, 1 flow`), many: find(`${FOUR}, 100k flows`) };
const against = (row: Row, by: Row): number => median(row.times.map((time, i) => time / by.times[i]!));
const results = rows.map((row) => {
  const { one, label, times } = row;
  const which = /1 flow$/.test(one.name) || one.program === 'bench_xdp_pass' || one === FLOOR_CASE ? 'one' : 'many';
  const ratio = against(row, floor);
  const inFours = against(row, four[which]);
  const scaled = one.atMost === undefined ? undefined : one.atMost / REFERENCE_FOUR[which];
  return {
    name: `${one.name}${label}`,
    ns: median(times),
    bestNs: Math.min(...times),
    ratio,
    inFours,
    ...(one.atMost === undefined ? {} : { atMost: one.atMost, met: ratio <= one.atMost }),
    ...(scaled === undefined ? {} : { atMostFours: scaled, metFours: inFours <= scaled }),
  };
});
const machine = `${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.cpus().length} CPUs, ${os.type()} ${os.release()}`;
const sizes = Object.fromEntries(
  ['bench_xdp', 'bench_container'].map((name) => [name, objects[0]!.object.sizes(name)] as const),
);
const report = { date: new Date().toISOString(), machine, rounds, results, sizes, notes };

const old = existsSync(BASELINE) ? (JSON.parse(readFileSync(BASELINE, 'utf8')) as typeof report) : undefined;
const width = Math.max(...results.map(({ name }) => name.length));
const head = `${''.padEnd(width)}       ns     best   x DROP   at most         x four   at most         baseline`;
process.stdout.write(`${machine}, ${rounds} rounds, CPU ${cpu}\n${head}\n`);
for (const { name, ns, bestNs, ratio, inFours, atMost, met, atMostFours, metFours } of results) {
  const was = old?.results.find((one) => one.name === name);
  const cell = (value: number | undefined, digits: number, size: number): string =>
    (value === undefined ? '' : value.toFixed(digits)).padStart(size);
  const mark = (ok: boolean | undefined): string => (ok === undefined ? '    ' : ok ? 'ok  ' : 'MISS');
  process.stdout.write(
    `${name.padEnd(width)} ${cell(ns, 1, 8)} ${cell(bestNs, 1, 8)} ${cell(ratio, 2, 8)} ${cell(atMost, 1, 8)} ${mark(met)} ` +
      `${cell(inFours, 2, 8)} ${cell(atMostFours, 2, 8)} ${mark(metFours)}${was === undefined ? '' : cell(was.ratio, 2, 9)}\n`,
  );
}
process.stdout.write(
  [
    '',
    ...notes,
    'x DROP: median of per-round ratios to a bare XDP_DROP; x four: to the bare four lookups of as many flows.',
    `The second target is the first one, divided by what four lookups cost where it was set (${REFERENCE_FOUR.one} and ${REFERENCE_FOUR.many} x DROP).`,
    ...(old === undefined ? [] : [`baseline: x DROP of ${old.date} on ${old.machine}`]),
    '',
  ].join('\n'),
);
mkdirSync(join(PACKAGE, 'build'), { recursive: true });
writeFileSync(join(PACKAGE, 'build', 'bench-kernel.json'), `${JSON.stringify(report, undefined, 2)}\n`);
if (args.includes('--save')) writeFileSync(BASELINE, `${JSON.stringify(report, undefined, 2)}\n`);
for (const { object } of objects) object.close();
