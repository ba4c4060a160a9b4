// npm run mutation: does any test notice when the policy compiler, the policy stage or conntrack are changed? One pass without a
// change tells which mutants each test could notice; then every mutant of a standard operator set is tried against those, cheapest
// first. Arguments: --only TEXT (files whose path holds it), --sample N (every Nth mutant), --survivors (only what no
// test noticed last time), --resume (only what was not tried yet), --budget MS, --plan (what tests cost), --report (no run: the
// last one into docs/mutation.md). Out: a line for each survivor, shares, build/mutation.json (written as it goes).
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { report } from './mutation/report.mjs';
import { mutate } from './mutation/mutants.mjs';
import { Worker } from './mutation/workers.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'build', 'mutation');
const resultFile = join(root, 'build', 'mutation.json');
const option = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const only = option('--only') ?? '';
const sample = Number(option('--sample') ?? 1);
/** Milliseconds of tests, as they take without a change, that a mutant gets: what no test notices by then has survived. */
const BUDGET = Number(option('--budget') ?? 6000);
const env = { WEIR_RUNS: process.env.WEIR_RUNS ?? '12' };

const FILES = [
  ...tree('src/datapath/stages').filter((file) => /\/(policy|conntrack[^/]*)\.ts$/.test(file)),
  ...tree('src/control/policy'),
];
const LEFT_OUT =
  /allocation|flow-consistency|packets|connections.property|label-filter|kernel|manifest|yaml|json|bandwidth.property|controller(?!-p)|maglev|upkeep|collection|replay.property|topology|map-sizes|inspector/;
/**
 * Tests that may reach them. Left out: what counts allocations, which the changed text would upset; what needs more runs of a
 * property; what has to be the first to load expressions; what is about something else and takes seconds.
 */
const TESTS = [
  ...['control', 'datapath', 'dataplane', 'replay', 'analysis', 'l7'].flatMap((room) => tests(`test/unit/${room}`)),
  ...['control', 'datapath', 'replay', 'analysis'].flatMap((room) => tests(`test/property/${room}`)),
  ...tests('test/conformance').filter((file) => file.includes('cases')),
].filter((file) => !LEFT_OUT.test(file));

function tests(folder) {
  return tree(folder).filter((file) => file.endsWith('.test.ts'));
}

function tree(folder) {
  return readdirSync(join(root, folder))
    .sort()
    .flatMap((name) => {
      const path = `${folder}/${name}`;
      if (statSync(join(root, path)).isDirectory()) return tree(path);
      return name.endsWith('.ts') && !name.endsWith('.gen.ts') ? [path] : [];
    });
}

function* compiled(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* compiled(path);
    else if (name.endsWith('.js')) yield path;
  }
}

const compilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
};

/** A copy of the compiled code with every mutant in it, and tests that register instead of running. */
function prepare(files) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const name of ['src', 'test']) cpSync(join(root, 'dist', name), join(out, name), { recursive: true });
  const registry = JSON.stringify(join(root, 'scripts', 'mutation', 'registry.mjs'));
  for (const path of compiled(join(out, 'test'))) {
    const text = readFileSync(path, 'utf8');
    if (text.includes("'node:test'")) writeFileSync(path, text.replaceAll("'node:test'", registry));
  }
  const all = [];
  for (const file of files) {
    const { text, mutants } = mutate(readFileSync(join(root, file), 'utf8'), file, all.length + 1);
    all.push(...mutants);
    const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: file });
    writeFileSync(join(out, file.replace(/\.ts$/, '.js')), outputText);
  }
  return all;
}

/** What names a mutant beyond this run: where it is, what it changes, the how-manieth such. */
function nameAll(mutants) {
  const count = new Map();
  for (const mutant of mutants) {
    mutant.original = mutant.original.replaceAll(/\s+/g, ' ');
    if (mutant.original.length > 100) mutant.original = `${mutant.original.slice(0, 99)}…`;
    const key = `${mutant.file} ${mutant.place}: ${mutant.operator}: ${mutant.original} → ${mutant.replacement}`;
    const before = count.get(key) ?? 0;
    count.set(key, before + 1);
    mutant.key = before === 0 ? key : `${key} (${String(before + 1)})`;
  }
}

const load = (names, mutant = 0) => ({
  word: 'load',
  mutants: mutants.length,
  mutant,
  files: names.map((name) => ({ name, path: join(out, name.replace(/\.ts$/, '.js')) })),
});

async function started(names, mutant = 0) {
  const worker = new Worker(env);
  const message = await worker.send(load(names, mutant));
  return { worker, message };
}

if (process.argv.includes('--report')) {
  const file = join(root, 'docs', 'mutation.md');
  const reasons = readFileSync(join(root, 'scripts', 'mutation', 'harmless.yaml'), 'utf8');
  const results = JSON.parse(readFileSync(resultFile, 'utf8'));
  const { text, unexplained, stale } = report(readFileSync(file, 'utf8'), results, reasons);
  writeFileSync(file, text);
  for (const line of unexplained) process.stdout.write(`no reason: ${line}\n`);
  for (const line of stale) process.stdout.write(`fits no survivor: ${line}\n`);
  process.exit(unexplained.length + stale.length === 0 ? 0 : 1);
}

const mutants = prepare(FILES.filter((file) => file.includes(only)));
nameAll(mutants);
const results = new Map();
function told(mutant, by, why) {
  results.set(mutant.key, { ...mutant, by: by ?? null, why: why ?? null });
  if (by === undefined) process.stdout.write(`${mutant.file}:${mutant.line}:${mutant.column} ${mutant.key}\n`);
}
function save() {
  writeFileSync(resultFile, `${JSON.stringify([...results.values()], null, 1)}\n`);
}

// What each test costs and can notice.
const { worker: planner, message: loaded } = await started(TESTS);
if (loaded.word !== 'loaded') fail(`tests cannot be read: ${loaded.why}`);
const planned = await planner.send({ word: 'plan' });
if (planned.word !== 'planned') fail(`tests cannot be run: ${planned.why}`);
const failed = planned.tests.filter(({ failed }) => failed !== undefined);
if (failed.length > 0) fail(`fails without any mutant: ${failed.map(({ failed }) => failed).join('\n')}`);
await planner.end();
const whileLoading = new Set(loaded.differed);
const noticing = new Map(mutants.map(({ id }) => [id, []]));
for (const test of planned.tests) {
  test.kills = 0;
  for (const id of test.differed) noticing.get(id).push(test);
}
const reaching = planned.tests.filter(({ differed }) => differed.length > 0);
const names = TESTS.filter((file) => reaching.some((test) => test.file === file));
if (process.argv.includes('--plan')) {
  for (const { ms, file, name, differed } of [...planned.tests].sort((a, b) => b.ms - a.ms).slice(0, 60)) {
    process.stdout.write(`${Math.round(ms)} ms, ${differed.length} mutants: ${file}: ${name}\n`);
  }
}
const ms = planned.tests.reduce((sum, test) => sum + test.ms, 0);
process.stderr.write(
  `${mutants.length} mutants, ${planned.tests.length} tests in ${Math.round(ms)} ms, ${reaching.length} of them reach a mutant\n`,
);

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** The order to ask in: cheap tests first, and those that have noticed other mutants of late; no more than the budget pays. */
function inOrder(tests) {
  let left = BUDGET;
  return [...tests]
    .sort((a, b) => (a.ms + 0.2) / (1 + a.kills) - (b.ms + 0.2) / (1 + b.kills))
    .filter(({ ms }) => (left -= ms) > 0 || ms < 20)
    .map(({ file, number, steps }) => ({ file, number, steps }));
}

function noticed(mutant, { file, number, name, why }) {
  for (const test of planned.tests) {
    // Neighbours are noticed by the same test as a rule, those far away are not.
    test.kills = test.file === file && test.number === number ? test.kills + 1 : test.kills * 0.95;
  }
  told(mutant, `${file}: ${name}`, why);
}

const earlier = new Map();
const resumes = process.argv.includes('--resume');
if (resumes || process.argv.includes('--survivors')) {
  for (const result of JSON.parse(readFileSync(resultFile, 'utf8'))) earlier.set(result.key, result);
}
const byName = new Map(planned.tests.map((test) => [`${test.file}: ${test.name}`, test]));
for (const { by } of earlier.values()) {
  const test = byName.get(by);
  if (test !== undefined) test.kills = Math.min(20, test.kills + 1);
}
let chosen = mutants.filter(({ id }) => id % sample === 0);
for (const mutant of chosen) {
  const before = earlier.get(mutant.key);
  if (before !== undefined && before.by !== null)
    results.set(mutant.key, { ...mutant, by: before.by, why: before.why });
}
chosen = chosen.filter(({ key }) => !results.has(key));

let worker;
let saved = Date.now();
let again = [];
for (const mutant of chosen) {
  if (Date.now() - saved > 10_000) {
    saved = Date.now();
    save();
  }
  const tests = inOrder(noticing.get(mutant.id));
  if (mutant.atLoad || (tests.length === 0 && whileLoading.has(mutant.id))) {
    again.push(mutant);
    continue;
  }
  if (tests.length === 0) {
    told(mutant);
    continue;
  }
  for (let turn = 0; turn < 2; turn++) {
    worker ??= (await started(names)).worker;
    const answer = await worker.send({ word: 'try', mutant: mutant.id, tests });
    if (answer.word === 'ended') {
      worker = undefined;
      noticed(mutant, { file: 'no end', name: '', why: answer.why });
    } else if (answer.word === 'spoilt') {
      // What a mutant before left behind may have failed it: once more in a new process.
      worker = undefined;
      if (turn === 0) continue;
      noticed(mutant, answer);
    } else if (answer.word !== 'tried') {
      fail(answer.why);
    } else if (answer.file !== undefined) {
      noticed(mutant, answer);
    } else if (whileLoading.has(mutant.id)) {
      again.push(mutant);
    } else told(mutant);
    break;
  }
}
await worker?.end();

// What runs when a module is loaded has to be on before: a process each.
const inFile = (file) => {
  const own = new Set(mutants.filter((other) => other.file === file).map(({ id }) => id));
  return reaching.filter(({ differed }) => differed.some((id) => own.has(id)));
};
for (const mutant of again) {
  const tests = inOrder(inFile(mutant.file));
  const { worker, message } = await started([...new Set(tests.map(({ file }) => file))], mutant.id);
  if (message.word !== 'loaded') noticed(mutant, { file: 'does not load', name: '', why: message.why });
  else {
    const answer = await worker.send({ word: 'try', mutant: mutant.id, tests });
    if (answer.word !== 'tried') noticed(mutant, { file: 'no end', name: '', why: answer.why });
    else if (answer.file !== undefined) noticed(mutant, answer);
    else told(mutant);
  }
  await worker.end();
  save();
}
save();

const byFile = new Map();
for (const result of results.values()) byFile.set(result.file, [...(byFile.get(result.file) ?? []), result]);
const share = (list) => {
  const killed = list.filter(({ by }) => by !== null).length;
  return `${killed}/${list.length} ${((killed / Math.max(1, list.length)) * 100).toFixed(1)} %`;
};
for (const [file, list] of byFile) process.stdout.write(`${share(list)} ${file}\n`);
process.stdout.write(`${share([...results.values()])} of all mutants killed\n`);
