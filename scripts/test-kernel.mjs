// Runs the compiled kernel tests (dist/test/kernel) with Node's own runner, one file at a time: they share one kernel.
// Arguments: files or folders below test/kernel (default: all). A skip names the missing feature; REQUIRE_KERNEL=1 makes
// it a failure. What can be built natively is built first.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
spawnSync(process.execPath, [join(root, 'scripts', 'install-native.mjs')], { cwd: root, stdio: 'inherit' });

function* tests(path) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) yield path;
  else {
    for (const name of readdirSync(path).sort()) {
      const child = join(path, name);
      if (statSync(child).isDirectory()) yield* tests(child);
      else if (name.endsWith('.test.js')) yield child;
    }
  }
}

const asked = process.argv.slice(2);
const places = asked.length > 0 ? asked : [join('test', 'kernel')];
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
  ['--enable-source-maps', ...seed, '--test', '--test-concurrency=1', '--test-reporter=spec', ...files],
  { cwd: root, stdio: 'inherit' },
);
process.exit(status ?? 1);
