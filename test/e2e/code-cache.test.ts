// The cache of compiled code beside the bundled command: taken when it fits, and without effect when it is missing or damaged.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cachePath } from '../../src/cli/program-chunks.ts';
import { ROOT } from '../support/repository.ts';

const bundle = join(ROOT, 'dist/bundle');
const skip = existsSync(cachePath(bundle)) ? false : 'dist/bundle has no cache: npm run build';

/** The bundle in a folder of its own, at its usual place in a package. */
function copyOfBundle(t: { after: (end: () => void) => void }): string {
  const root = mkdtempSync(join(tmpdir(), 'weir-cache-'));
  t.after(() => rmSync(root, { recursive: true }));
  const folder = join(root, 'dist', 'bundle');
  mkdirSync(folder, { recursive: true });
  cpSync(bundle, folder, { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(root, 'package.json'));
  return folder;
}

const replay = (folder: string) =>
  spawnSync(
    process.execPath,
    [join(folder, 'weir.js'), 'replay', 'shop.pcapng', '-m', 'manifests', '--values', 'values.yaml', '-o', 'json'],
    { cwd: join(ROOT, 'fixtures', 'demo'), encoding: 'utf8' },
  );

test('a replay prints the same with its cache, without it, and with a damaged one', { skip }, (t) => {
  const folder = copyOfBundle(t);
  const file = cachePath(folder);
  const whole = readFileSync(file);
  const expected = replay(folder);
  assert.equal(expected.status, 0, expected.stderr);
  assert.ok(expected.stdout.length > 1000);
  const flipped = Buffer.from(whole);
  flipped[whole.length >> 1]! ^= 0x40;
  const other = Buffer.from(whole);
  other[0]! ^= 1;
  for (const bytes of [flipped, other, whole.subarray(0, 1000), whole.subarray(0, 8), Buffer.alloc(0), undefined]) {
    if (bytes === undefined) rmSync(file);
    else writeFileSync(file, bytes);
    const { status, stdout } = replay(folder);
    assert.equal(status, 0);
    assert.equal(stdout, expected.stdout);
    // Nothing is repaired in passing: a command writes only what it was asked to.
    assert.equal(existsSync(file) ? readFileSync(file).length : undefined, bytes?.length);
  }
});

test('the cache is taken as it was made, and refused for a program that was changed', { skip }, (t) => {
  const folder = copyOfBundle(t);
  const compiled = join(ROOT, 'dist/src/cli');
  // In a process of its own, since V8 refuses code that was made under other flags than its own.
  const text = `import '${compiled}/v8-flags.js'; import { loadProgram } from '${compiled}/program-chunks.js';
    console.log(loadProgram(${JSON.stringify(folder)}).cached);`;
  const cached = () =>
    spawnSync(process.execPath, ['--input-type=module', '--eval', text], { encoding: 'utf8' }).stdout.trim();
  assert.equal(cached(), 'true');
  // As long as before, which is all that V8 itself would look at.
  const program = join(folder, 'program.cjs');
  writeFileSync(program, readFileSync(program, 'latin1').replace('no such file', 'no such pile'), 'latin1');
  assert.equal(cached(), 'false');
});
