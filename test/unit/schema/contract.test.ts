// The contract's own rules: key and value sizes, names, numbers that are Cilium's, aggregates, and the C header as a
// compiler sees it (where one is present).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  aggregateOf,
  allStructs,
  BOUND,
  ctEntry,
  decisionRecord,
  DROP,
  dropName,
  emitHeader,
  HOOK,
  HOOK_NAME,
  MAPS,
  STAGE,
  STAGE_NAME,
  UNKNOWN_REASON,
  UNKNOWN_TEXT,
  VERDICT,
  VERDICT_NAME,
} from '../../../src/schema/index.ts';

describe('schema', () => {
  it('keys and values are whole 32-bit words, so that maps can hold them as such', () => {
    for (const spec of Object.values(MAPS)) {
      assert.equal(spec.key.bytes % 4, 0, `${spec.name} key`);
      assert.equal(spec.value.bytes % 4, 0, `${spec.name} value`);
      assert.match(spec.name, /^weir_[a-z0-9_]{1,14}$/, 'pin names are short, lower case and ours');
    }
  });

  it('a conntrack entry is one cache line', () => {
    assert.equal(ctEntry.bytes, 64);
  });

  it('names exist for every number', () => {
    assert.equal(HOOK_NAME.length, Object.keys(HOOK).length);
    assert.equal(STAGE_NAME.length, Object.keys(STAGE).length);
    assert.equal(VERDICT_NAME.length, Object.keys(VERDICT).length);
    assert.equal(UNKNOWN_TEXT.length, Object.keys(UNKNOWN_REASON).length);
    for (const [key, reason] of Object.entries(DROP))
      if (reason !== 0) assert.notEqual(dropName(reason), `${reason}`, key);
  });

  it('drop reasons keep Cilium’s numbers and names', () => {
    assert.equal(dropName(133), 'Policy denied');
    assert.equal(dropName(181), 'Policy denied by denylist');
    assert.equal(dropName(158), 'Service backend not found');
    assert.equal(dropName(250), '250');
    assert.equal(DROP.POLICY, 133);
    assert.equal(new Set(Object.values(DROP)).size, Object.keys(DROP).length);
  });

  it('a policy lookup can never pass the probe bound', () => {
    assert.ok(BOUND.POLICY_SHAPES * 3 <= BOUND.POLICY_PROBES);
  });

  it('aggregates follow the scope', () => {
    const table: [number, number][] = [
      [0, 0],
      [1, 0],
      [2, 0],
      [99, 0],
      [256, 11],
      [65535, 11],
      [65536, 12],
      [0x01000001, 13],
      [0x02000001, 14],
      [0x01ffffff, 13],
    ];
    for (const [identity, aggregate] of table) assert.equal(aggregateOf(identity), aggregate, `${identity}`);
  });

  it('struct names are unique', () => {
    const names = allStructs().map((s) => s.name);
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.includes(decisionRecord.name));
  });

  const cc = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0);
  it('the C header compiles with every static assert', { skip: cc ? false : 'no C compiler' }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-header-'));
    writeFileSync(join(folder, 'layout.gen.h'), emitHeader());
    writeFileSync(join(folder, 'check.c'), '#include "layout.gen.h"\nint main(void) { return 0; }\n');
    const run = spawnSync(cc!, ['-std=c11', '-Wall', '-Wpadded', '-Werror', '-fsyntax-only', join(folder, 'check.c')], {
      encoding: 'utf8',
    });
    rmSync(folder, { recursive: true });
    assert.equal(run.status, 0, run.stderr);
  });

  it('a field moved in the header fails the build', { skip: cc ? false : 'no C compiler' }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-header-'));
    const broken = emitHeader().replace(
      '\t__u32 lifetime;',
      '\t__u16 lifetime;\n\t__u16 moved;\n\t__u16 more;\n\t__u16 most;',
    );
    assert.notEqual(broken, emitHeader());
    writeFileSync(join(folder, 'check.c'), `${broken}\nint main(void) { return 0; }\n`);
    const run = spawnSync(cc!, ['-std=c11', '-fsyntax-only', join(folder, 'check.c')], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    assert.notEqual(run.status, 0);
    assert.match(run.stderr, /static assertion failed/i);
  });
});
