// npm run mutation: does any test notice when the policy compiler, the policy stage or conntrack are changed? Every mutant of a
// standard operator set is tried against the tests that are about its file. Arguments: --only TEXT (files whose path holds
// it), --sample N (every Nth mutant). Out: a line for each survivor, the share, build/mutation.json.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { mutate } from './mutation/mutants.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'build', 'mutation');
const option = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const only = option('--only') ?? '';
const sample = Number(option('--sample') ?? 1);
/** A worker that says nothing for so long is in a loop: the mutant is noticed. */
const PATIENCE = Number(process.env.WEIR_MUTATION_PATIENCE ?? 60) * 1000;

const POLICY_TESTS = [
  'test/unit/control/policy-traps-kubernetes.test.js',
  'test/unit/control/policy-traps-cilium.test.js',
  'test/unit/control/policy-traps-tiers.test.js',
  'test/unit/control/compile.test.js',
  'test/unit/control/policy-parts.test.js',
  'test/unit/control/policy-edges.test.js',
  'test/unit/replay/requests.test.js',
  'test/conformance/policy-cases.test.js',
  'test/property/control/compile-policies.property.test.js',
  'test/property/control/policy-laws.property.test.js',
  'test/property/control/cluster-plane.property.test.js',
];
/** All of the datapath but what counts allocations, which the changed text would upset. */
const DATAPATH_TESTS = ['test/unit/datapath', 'test/property/datapath']
  .flatMap((folder) => tree(folder))
  .filter((file) => file.endsWith('.test.ts') && !file.includes('allocation'))
  .map((file) => file.replace(/\.ts$/, '.js'));
const GROUPS = [
  { files: tree('src/control/policy'), tests: POLICY_TESTS },
  { files: ['src/datapath/stages/policy.ts'], tests: DATAPATH_TESTS },
  {
    files: tree('src/datapath/stages').filter((file) => /\/conntrack[^/]*\.ts$/.test(file)),
    tests: DATAPATH_TESTS,
  },
];

function tree(folder) {
  return readdirSync(join(root, folder))
    .sort()
    .flatMap((name) => {
      const path = `${folder}/${name}`;
      if (statSync(join(root, path)).isDirectory()) return tree(path);
      return name.endsWith('.ts') && !name.endsWith('.gen.ts') ? [path] : [];
    });
}

const compilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
};

/** A copy of the compiled code with the mutants of these files in it, and tests that register instead of running. */
function prepare(files) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const name of ['src', 'test']) cpSync(join(root, 'dist', name), join(out, name), { recursive: true });
  const registry = join(root, 'scripts', 'mutation', 'registry.mjs');
  for (const test of walk(join(out, 'test'))) {
    const text = readFileSync(test, 'utf8');
    if (text.includes("'node:test'")) writeFileSync(test, text.replaceAll("'node:test'", JSON.stringify(registry)));
  }
  let first = 1;
  const all = [];
  for (const file of files) {
    const { text, mutants } = mutate(readFileSync(join(root, file), 'utf8'), file, first);
    first += mutants.length;
    all.push(...mutants);
    const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: file });
    writeFileSync(join(out, file.replace(/\.ts$/, '.js')), outputText);
  }
  return all;
}

function* walk(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* walk(path);
    else if (name.endsWith('.js')) yield path;
  }
}

/** Runs one worker over mutants; calls `told` for each. Resolves with those that were not reached. */
function work(mutants, tests, initial, told) {
  return new Promise((resolve, reject) => {
    const files = tests.map((test) => join(out, test)).filter((test) => statSync(test, { throwIfNoEntry: false }));
    const env = { ...process.env, WEIR_RUNS: process.env.WEIR_RUNS ?? '25', WEIR_MUTANT: String(initial) };
    const worker = join(root, 'scripts', 'mutation', 'worker.mjs');
    const child = spawn(process.execPath, [worker, mutants.map(({ id }) => id).join(','), ...files], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let left = [...mutants];
    let rest = '';
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
    };
    let broken;
    wait();
    child.stdout.on('data', (chunk) => {
      wait();
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const [word, what, ...more] = line.split(' ');
        if (word === 'broken') broken = line.slice(7);
        if (!/^\d+$/.test(word)) continue;
        told(Number(word), what === 'survived' ? undefined : more.join(' '));
        left = left.filter(({ id }) => id !== Number(word));
      }
    });
    child.on('close', () => {
      clearTimeout(timer);
      if (broken !== undefined && initial === 0) reject(new Error(`fails without any mutant: ${broken}`));
      else resolve(left);
    });
  });
}

const results = [];
for (const { files, tests } of GROUPS) {
  const chosen = files.filter((file) => file.includes(only));
  if (chosen.length === 0) continue;
  const mutants = prepare(chosen).filter(({ id }) => id % sample === 0);
  const byId = new Map(mutants.map((mutant) => [mutant.id, mutant]));
  const told = (id, by) => {
    const mutant = byId.get(id);
    results.push({ ...mutant, by: by ?? null });
    if (by === undefined) {
      const original = mutant.original.replaceAll(/\s+/g, ' ').slice(0, 60);
      process.stdout.write(
        `${mutant.file}:${mutant.line}:${mutant.column} ${mutant.operator}: ${original} → ${mutant.replacement}\n`,
      );
    }
  };
  let left = mutants.filter(({ atLoad }) => !atLoad);
  while (left.length > 0) {
    left = await work(left, tests, 0, told);
    // The first that is left hung its worker.
    const [hung, ...others] = left;
    if (hung !== undefined) told(hung.id, 'no end');
    left = others;
  }
  // What runs when a module is loaded has to be there before.
  for (const mutant of mutants.filter(({ atLoad }) => atLoad)) {
    let answered = false;
    await work([mutant], tests, mutant.id, (id, by) => {
      answered = true;
      told(id, by);
    });
    if (!answered) told(mutant.id, 'does not load, or no end');
  }
}
const killed = results.filter(({ by }) => by !== null).length;
mkdirSync(join(root, 'build'), { recursive: true });
writeFileSync(join(root, 'build', 'mutation.json'), `${JSON.stringify(results, null, 1)}\n`);
const byFile = new Map();
for (const result of results) byFile.set(result.file, [...(byFile.get(result.file) ?? []), result]);
for (const [file, list] of byFile) {
  process.stdout.write(`${list.filter(({ by }) => by !== null).length}/${list.length} ${relative('src', file)}\n`);
}
process.stdout.write(
  `${killed} of ${results.length} mutants killed: ${((killed / Math.max(1, results.length)) * 100).toFixed(1)} %\n`,
);
