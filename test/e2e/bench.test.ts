// npm run bench still runs: every part, once and tiny (--smoke), with all its checks of equal checksums. No time is asserted.
// Input: the compiled benchmarks. Output: the suites that each part told of, and its peers. A peer that is not here is said to
// be left out.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, test } from 'node:test';
import { ROOT } from '../support/repository.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-bench-smoke-'));
after(() => rmSync(folder, { recursive: true }));

function bench(parts: readonly string[], env: Record<string, string> = {}): { status: number | null; stdout: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', join(ROOT, 'dist', 'bench', 'main.js'), '--smoke', ...parts],
    { encoding: 'utf8', env: { ...process.env, WEIR_BENCH_FOLDER: folder, ...env } },
  );
  assert.equal(status, 0, stderr);
  return { status, stdout };
}

const reference = ['build-cmake', 'build'].some((name) =>
  existsSync(join(ROOT, name, 'Release', 'weir_reference.node')),
);
const LEFT_OUT = /C\+\+ left out: run npm run build:native/g;

test('every part runs, and keeps no results', () => {
  const kept = join(ROOT, 'build', 'bench.json');
  const before = existsSync(kept) ? statSync(kept).mtimeMs : 0;
  const { stdout } = bench([]);
  assert.equal(existsSync(kept) ? statSync(kept).mtimeMs : 0, before);
  for (const [suite, times] of [
    [/^(lru-)?hash, (in|)dependent hits, 1000 entries/gm, 4],
    [/^(lru-)?hash, misses, 1000 entries/gm, 2],
    [/^hits against .*lru-cache, values of (8|64) bytes, 1000 entries/gm, 2],
    [/^get or insert in a full LRU of 1000/gm, 1],
    [/^pipeline: 5,000 packets, 500 flows, 5k services, cold/gm, 1],
    [/^pipeline: 2,000 packets of 60 bytes, 100 flows, 5k services, hot/gm, 1],
    [/^pipeline against objects: 2,000 packets/gm, 1],
    [/^(a verdict|the whole reach|a diff) (on|of) 200 pods and 40 policies/gm, 3],
    [/^200 pods, 10 namespaces, 40 policies/gm, 1],
    [/^(from text to writes|one endpoint's change): 20 services/gm, 6],
    [/^capture: \d+ packets read/gm, 1],
    [/^replay: \d+ packets, 200 connections/gm, 1],
  ] as const) {
    assert.equal([...stdout.matchAll(suite)].length, times, `${suite.source}\n${stdout}`);
  }
  // Times of so little work are held against nothing.
  assert.doesNotMatch(stdout, /^ {2}(ok|MISS) /m);
  // What the C++ does is what is compared with, or the figures say that it is not there.
  const parts = 8;
  const compared = [...stdout.matchAll(/^ {2}C\+\+( -O2)? .* ns/gm)].length;
  assert.equal(compared, reference ? parts : 0);
  assert.equal([...stdout.matchAll(LEFT_OUT)].length, reference ? 0 : parts);
  if (reference) assert.equal([...stdout.matchAll(/checksum JavaScript (\w+), C\+\+ \1;/g)].length, 2);
});

test('without the C++ peer, the part says so', () => {
  const { stdout } = bench(['map'], { WEIR_REFERENCE: '' });
  assert.equal([...stdout.matchAll(LEFT_OUT)].length, 6);
  assert.match(stdout, /^ {2}Map, built string keys .* ns/m);
});
