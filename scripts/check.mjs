// npm run check: types (the build), lint with import boundaries, format, generated files fresh, nothing public without its docs, unit tests.
// Every step runs even when an earlier one failed, so that one run tells everything.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => join(root, 'node_modules', ...name.split('/'));
const steps = [
  ['types', [bin('typescript/bin/tsc'), '-p', '.', '--noEmit', '--incremental', 'false']],
  ['lint and import boundaries', [bin('eslint/bin/eslint.js'), '--max-warnings', '0', '.']],
  ['format', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.']],
  ['format of C and C++', [join(root, 'scripts', 'format-native.mjs'), '--check']],
  ['generated files fresh', [join(root, 'scripts', 'gen.mjs'), '--check']],
  ['API reference whole', [bin('typedoc/bin/typedoc'), '--emit', 'none']],
  ['unit tests', [join(root, 'scripts', 'run-tests.mjs'), 'test/unit', 'test/conformance']],
];
let failed = 0;
for (const [name, args] of steps) {
  process.stdout.write(`\n== ${name}\n`);
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    failed++;
    process.stdout.write(`== ${name}: FAILED\n`);
  }
}
process.stdout.write(failed === 0 ? '\ncheck: all fine\n' : `\ncheck: ${failed} of ${steps.length} steps failed\n`);
process.exit(failed === 0 ? 0 : 1);
