// No misuse from JavaScript ends or stops the process: 100,000 calls with anything, also from workers that are ended midway.
// Input: fuzz-child. Output: its exit. The seed is new each time and printed when it fails; WEIR_SEED repeats one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compileFixture, commandMissing, mountBpfFs, skipFixture, skipFor } from './kernel.ts';

const skip = skipFixture() || skipFor(commandMissing('unshare'));
const CALLS = 100_000;
/** Generous: a process that hangs is told from one on a slow machine. */
const PATIENCE_MS = 600_000;
const child = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './fuzz-child.ts' : './fuzz-child.js', import.meta.url),
);

describe('the addon survives any call', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-fuzz-'));
  const pins = skip === false ? mountBpfFs() : undefined;
  after(() => {
    pins?.remove();
    rmSync(folder, { recursive: true });
  });

  const fuzz = (mode: string, seed: number): string => {
    const objects = ['tiny', 'refused'].map((name) => {
      const path = join(folder, `${name}.o`);
      writeFileSync(path, compileFixture(name));
      return path;
    });
    const args = [...process.execArgv, '--expose-gc', child, mode, String(seed), String(CALLS), pins!.path, ...objects];
    const { status, signal, stdout, stderr } = spawnSync('unshare', ['--net', process.execPath, ...args], {
      encoding: 'utf8',
      cwd: folder,
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    });
    assert.deepEqual([status, signal], [0, null], `seed ${seed}, mode ${mode}: ${stderr.slice(-4000)}`);
    return stdout;
  };
  const seed = Number(process.env['WEIR_SEED'] ?? 1 + (Date.now() % 1e9));

  test(`${CALLS} calls`, (t) => {
    const said = fuzz('main', seed);
    t.diagnostic(`seed ${seed}: ${said.trim()}`);
    // Chance may leave one out; calls that never get past their arguments would prove nothing.
    const missed = /^calls 100000, never succeeded: (.*)\n$/.exec(said)?.[1]?.split(', ') ?? [];
    assert.ok(missed.length >= 1 && missed.length <= 3, said);
  });

  // Workers of Node 20 do not take the TypeScript loader along.
  const compiled = child.endsWith('.js') ? false : 'runs compiled';
  test('workers that are ended midway', { skip: compiled }, (t) => {
    const said = fuzz('workers', seed);
    t.diagnostic(said.trim());
    assert.match(said, /workers ended midway: 24/);
  });
});
