// Runs compiled tests with Node's own runner. Arguments: folders or files below test/ (default: all but test/kernel, whose
// tests npm run test:kernel runs one by one); --update rewrites golden files instead of comparing with them.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const asked = process.argv.slice(2).filter((arg) => arg !== '--update');
const env = process.argv.includes('--update') ? { ...process.env, WEIR_UPDATE_GOLDEN: '1' } : process.env;
const all = readdirSync(join(root, 'test')).filter((name) => !['kernel', 'support', 'golden'].includes(name));
const places = asked.length > 0 ? asked : all.map((name) => join('test', name));

function* tests(path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) {
    yield path;
    return;
  }
  for (const name of readdirSync(path).sort()) {
    const child = join(path, name);
    if (statSync(child).isDirectory()) yield* tests(child);
    else if (name.endsWith('.test.js')) yield child;
  }
}

const files = places.flatMap((place) => [...tests(join(root, 'dist', place.replace(/\.ts$/, '.js')))]);
if (files.length === 0) {
  process.stderr.write(`no tests below ${places.join(', ')}\n`);
  process.exit(1);
}
const seed =
  process.env.WEIR_SEED === undefined
    ? []
    : ['--import', pathToFileURL(join(root, 'scripts', 'property-seed.mjs')).href];
const { status } = spawnSync(
  process.execPath,
  ['--enable-source-maps', ...seed, '--test', '--test-concurrency=2', '--test-reporter=spec', ...files],
  { cwd: root, stdio: 'inherit', env },
);
process.exit(status ?? 1);
