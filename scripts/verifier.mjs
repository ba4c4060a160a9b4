// What the verifier thinks of the programs: instructions that it processed, sizes after translation and as machine code, stack;
// as they are loaded for real traffic and for test runs, against native/bpf/verifier-baseline.json. --update rewrites that.
// Exit code 1: refused, or a figure is more than a quarter above the baseline of the same kernel and clang; 2: cannot run here.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, release } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const BASELINE = join(root, 'native', 'bpf', 'verifier-baseline.json');
const TOLERANCE = 1.25;
/** Sizes do not matter to the verifier; memory does to the machine. */
const ENTRIES = 1024;
const FIGURES = ['instructions', 'translated', 'machine', 'stack'];

spawnSync(process.execPath, [join(root, 'scripts', 'install-native.mjs')], { cwd: root, stdio: 'inherit' });
const module = (...path) => import(pathToFileURL(join(root, 'dist', 'src', ...path)).href);
const { attachTypes, builtObject, BpfError, kernelUnavailable, loadAddon, loadObject } = await module(
  'dataplane',
  'xdp',
  'index.js',
);
const { MAPS } = await module('schema', 'index.js');

const missing = kernelUnavailable();
if (missing !== undefined) {
  process.stderr.write(`verifier: needs ${missing.feature}: ${missing.reason}\n`);
  process.exit(process.env.REQUIRE_KERNEL === '1' ? 1 : 2);
}
const addon = loadAddon();
const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, { maxEntries }]) => [name, { maxEntries: Math.min(maxEntries, ENTRIES) }]),
);
const LOADS = {
  traffic: {
    features: 0xffffffff,
    recording: 0,
    clockFromMap: 0,
    hz: 250,
    maglevSlots: 16381,
    recentPlaces: 262144,
    wildcardFilter: 1,
  },
  'test runs': {
    features: 0xffffffff,
    recording: 1,
    clockFromMap: 1,
    hz: 0,
    maglevSlots: 16381,
    recentPlaces: 262144,
    wildcardFilter: 1,
  },
};

/** Stack of the function that takes most, by program, from libbpf’s log: "stack depth 96+0+128" lists functions. */
function stacks(log) {
  const depths = new Map();
  for (const [, name, text] of log.matchAll(
    /prog '(\w+)': -- BEGIN PROG LOAD LOG --\n([^]*?)-- END PROG LOAD LOG --/g,
  )) {
    const depth = /stack depth ([\d+]+)/.exec(text)?.[1];
    if (depth !== undefined) depths.set(name, Math.max(...depth.split('+').map(Number)));
  }
  return depths;
}

function measure(constants) {
  const loaded = loadObject(addon, {
    object: builtObject(),
    specs,
    constants,
    attachTypes: attachTypes(),
    logLevel: 4,
  });
  const depths = stacks(loaded.log);
  const figures = {};
  for (const [name, program] of loaded.programs) {
    const words = new Int32Array(6);
    addon.programInfo(program, words);
    figures[name] = { instructions: words[2], translated: words[3], machine: words[4], stack: depths.get(name) ?? 0 };
  }
  loaded.close();
  return figures;
}

const machine = {
  kernel: release().split('-', 1)[0], // of which build is the distributor's business
  arch: arch(),
  clang: /version (\S+)/.exec(spawnSync('clang', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1] ?? 'unknown',
};
const now = {};
try {
  for (const [load, constants] of Object.entries(LOADS)) now[load] = measure(constants);
} catch (error) {
  if (!(error instanceof BpfError)) throw error;
  process.stderr.write(`${error.log}\nverifier: ${error.message}\n`);
  process.exit(1);
}
if (process.argv.includes('--update')) {
  writeFileSync(BASELINE, `${JSON.stringify({ machine, loads: now }, undefined, 2)}\n`);
  process.stdout.write('wrote native/bpf/verifier-baseline.json\n');
}
const baseline = existsSync(BASELINE) ? JSON.parse(readFileSync(BASELINE, 'utf8')) : { machine: {}, loads: {} };
const comparable = baseline.machine.kernel === machine.kernel && baseline.machine.clang === machine.clang;
let worse = 0;
process.stdout.write(
  `kernel ${machine.kernel}, clang ${machine.clang}; baseline: kernel ${baseline.machine.kernel ?? 'none'}, clang ${baseline.machine.clang ?? 'none'}\n`,
);
for (const [load, programs] of Object.entries(now)) {
  process.stdout.write(`\nas loaded for ${load}\n`);
  process.stdout.write(`${'program'.padEnd(22)}${FIGURES.map((name) => name.padStart(21)).join('')}\n`);
  for (const [name, figures] of Object.entries(programs)) {
    const cells = FIGURES.map((figure) => {
      const before = baseline.loads[load]?.[name]?.[figure];
      const value = figures[figure];
      if (before === undefined || before === 0) return `${value}`.padStart(21);
      if (comparable && value > before * TOLERANCE) worse++;
      const change = ((value - before) / before) * 100;
      return `${value} (${change >= 0 ? '+' : ''}${change.toFixed(1)} %)`.padStart(21);
    });
    process.stdout.write(`${name.padEnd(22)}${cells.join('')}\n`);
  }
}
process.stdout.write(
  '\ninstructions: processed by the verifier (limit 1000000); translated, machine: bytes; stack: bytes, of the function that takes most\n',
);
if (worse > 0) {
  process.stderr.write(`verifier: ${worse} figures are more than a quarter above the baseline\n`);
  process.exit(1);
}
