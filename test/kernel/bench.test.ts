// npm run bench:kernel still runs: the wrappers compile around the hooks, load, and give every verdict that is expected of
// them. Input: the compiled benchmark (--smoke: each case once, briefly). Output: its cases. No time is asserted.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { CONTROLS, HOOKS } from '../../bench/kernel/cases.ts';
import { ROOT } from '../support/repository.ts';
import { skipFixture } from './kernel.ts';

test('every wrapper and every control runs and counts its verdicts', { skip: skipFixture() }, () => {
  const main = join(ROOT, 'dist', 'bench', 'kernel', 'main.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, '--smoke'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const lines = stdout.split('\n');
  for (const { name, counts } of [...CONTROLS, ...HOOKS]) {
    const line = lines.find((one) => one.startsWith(`${name}: ran 1 x `));
    assert.ok(line !== undefined, `${name}\n${stdout}`);
    assert.equal(line.endsWith(', all as expected'), counts, line);
  }
  assert.match(stdout, /^\d+ conntrack entries before and after, none made/m);
});

test('no program of the benchmark is left out', () => {
  const sources = ['wrappers.bpf.c', 'controls.h'].map((name) =>
    readFileSync(join(ROOT, 'bench', 'kernel', name), 'utf8'),
  );
  const programs = sources.flatMap((text) =>
    [...text.matchAll(/^int ((?:bench|control)_\w+)\(struct/gm)].map(([, name]) => name),
  );
  assert.ok(programs.length > 10);
  const run = new Set([...CONTROLS, ...HOOKS].map(({ program }) => program));
  for (const name of programs) assert.ok(run.has(name!), name);
});
