// Makes a checkout ready to run: installs dependencies when they are missing or older than the lock file, and compiles
// TypeScript and joins it into bundles when a source is newer than its output. `npm run demo` and `npm test` begin here, so that a fresh clone
// needs no other command. Plain JavaScript on purpose: it runs before anything is built.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const buildOnly = process.argv.includes('--build-only');
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 17)) {
  fail(`weir needs Node.js 20.17 or newer; this is ${process.version}`);
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function install() {
  const installed = modified(join(root, 'node_modules', '.package-lock.json'));
  const complete = existsSync(join(root, 'node_modules', 'typescript'));
  if (complete && installed >= modified(join(root, 'package-lock.json'))) return;
  process.stderr.write('Installing dependencies (npm ci) …\n');
  // npm is run through its own JavaScript entry where it told us, so that no shell is involved on any platform.
  const npm = process.env.npm_execpath;
  const run = npm?.endsWith('.js') || npm?.endsWith('.cjs') ? [process.execPath, npm] : ['npm'];
  const { status, error } = spawnSync(run[0], [...run.slice(1), 'ci', '--include=dev', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, WEIR_ENSURING: '1' },
    shell: run.length === 1 && process.platform === 'win32',
  });
  if (error || status !== 0) fail(`npm ci failed${error ? `: ${error.message}` : ''}`);
}

/** Every file below `folder` for which `keep` is true. */
function* walk(folder, keep) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== 'node_modules') yield* walk(path, keep);
    } else if (entry.isFile() && keep(entry.name)) yield path;
  }
}

const sources = () => [
  ...['src', 'test', 'bench', 'scripts', 'fixtures'].flatMap((d) => [
    ...walk(join(root, d), (n) => n.endsWith('.ts') && !n.endsWith('.d.ts')),
  ]),
];

/** Written behind each compile: `tsc --noEmit` renews .tsbuildinfo as well, without what it tells of. */
const COMPILED = join(root, 'dist', '.compiled');

function stale() {
  const stamp = modified(COMPILED);
  if (stamp === 0 || modified(join(root, 'tsconfig.json')) > stamp) return true;
  return sources().some((path) => modified(path) > stamp);
}

/** Outputs whose source is gone would still be tested and shipped: remove them. */
function prune() {
  const dist = join(root, 'dist');
  for (const path of walk(dist, (n) => /\.(js|d\.ts|js\.map)$/.test(n))) {
    if (path.startsWith(join(dist, 'bundle'))) continue;
    const source = join(root, relative(dist, path)).replace(/\.(js\.map|d\.ts|js)$/, '.ts');
    if (!existsSync(source)) rmSync(path);
  }
}

function build() {
  prune();
  if (stale()) compile();
  const stamp = modified(COMPILED);
  const bundled = join(root, 'dist', 'bundle', 'weir.js');
  if (modified(bundled) >= Math.max(stamp, modified(join(root, 'scripts', 'bundle.mjs')))) return;
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'bundle.mjs')], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) fail('the bundle failed');
}

function compile() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(tsc)) fail('typescript is not installed: run npm install');
  process.stderr.write('Building …\n');
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.json')], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) fail('the build failed');
  writeFileSync(COMPILED, '');
}

if (!buildOnly) install();
// As a dependency the package arrives built and without its sources.
if (existsSync(join(root, 'src')) && existsSync(join(root, 'tsconfig.json'))) build();
