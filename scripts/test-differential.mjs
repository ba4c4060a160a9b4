// The differential run of the simulator and the kernel's programs: arguments as dist/test/differential/main.js takes them.
// --faults [--only TEXT or numbers, as in 3,17]: instead builds the programs with each committed one-line fault and demands
// that the run finds it.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bpfClang, bpfIncludes } from './bpf-compiler.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const built = join(root, 'dist/test/differential');
const args = process.argv.slice(2);

const run = (more, options) =>
  spawnSync(process.execPath, ['--enable-source-maps', join(built, 'main.js'), ...more], { cwd: root, ...options });

// Programs older than their sources would differ from the simulator.
spawnSync(process.execPath, [join(root, 'scripts', 'install-native.mjs')], { cwd: root, stdio: 'inherit' });
if (!args.includes('--faults')) process.exit(run(args, { stdio: 'inherit' }).status ?? 1);

const valueOf = (name, otherwise) => (args.includes(name) ? args[args.indexOf(name) + 1] : otherwise);
const packets = valueOf('--packets', '200000');
const seed = valueOf('--seed', '1');
const only = valueOf('--only', '');
const numbers = /^\d+(,\d+)*$/.test(only) ? only.split(',').map(Number) : undefined;
const { FAULTS, lineText } = await import(pathToFileURL(join(built, 'faults.js')).href);

const clang = bpfClang();
if (clang === undefined) {
  process.stderr.write('--faults needs clang: npm run setup:kernel\n');
  process.exit(process.env.REQUIRE_KERNEL === '1' ? 1 : 2);
}
const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-w'];
const includes = bpfIncludes(clang).flatMap((folder) => ['-I', folder]);

/** Compiles a copy of native/bpf. Undefined, or why it failed. */
function compile(folder, object) {
  const { status, stderr, error } = spawnSync(
    clang,
    [...flags, '-I', folder, ...includes, '-c', join(folder, 'weir.bpf.c'), '-o', object],
    { encoding: 'utf8' },
  );
  return error ? error.message : status === 0 ? undefined : stderr;
}

const folder = mkdtempSync(join(tmpdir(), 'weir-faults-'));
let failures = 0;
let ran = 0;
try {
  const copy = join(folder, 'bpf');
  const object = join(folder, 'weir.bpf.o');
  for (const [i, { file, before, after }] of FAULTS.entries()) {
    const name = `${file}: ${before} → ${after}`;
    if (numbers === undefined ? !name.includes(only) : !numbers.includes(i + 1)) continue;
    cpSync(join(root, 'native/bpf'), copy, { recursive: true });
    const path = join(copy, file);
    const lines = readFileSync(path, 'utf8').split('\n');
    const at = lines.findIndex((line) => lineText(line) === before);
    let verdict;
    if (at < 0) verdict = 'NOT APPLICABLE: no such line';
    else {
      lines[at] = after;
      writeFileSync(path, lines.join('\n'));
      const refused = compile(copy, object);
      if (refused !== undefined) verdict = `NOT COMPILED: ${refused}`;
      else {
        const { status, stdout, stderr } = run(['--object', object, '--packets', packets, '--seed', seed, '--quick'], {
          encoding: 'utf8',
        });
        const found = /^Sequence (\d+) .* differs: (\w+)/m.exec(stdout);
        if (found !== null) verdict = `found in sequence ${found[1]} (${found[2]})`;
        else if (status === 2) {
          process.stdout.write(stdout);
          process.exitCode = 2;
          break;
        } else if (/BpfError/.test(stderr))
          verdict = `NOT LOADED: ${stderr.split('\n').find((line) => /BpfError/.test(line))}`;
        else if (!/packets pass parse/.test(stdout))
          verdict = `NOT RUN: ${stderr.split('\n').find((line) => /Error/.test(line)) ?? `exit code ${status}`}`;
        else verdict = `NOT FOUND in ${packets} packets`;
      }
    }
    ran++;
    if (!verdict.startsWith('found')) failures++;
    process.stdout.write(`${String(i + 1).padStart(2)}  ${name}\n    ${verdict}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(`${ran - failures} of ${ran} faults were found\n`);
if (failures > 0 || ran === 0) process.exitCode ||= 1;
