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
  emitMap,
  emitMaps,
  HOOK,
  HOOK_NAME,
  MAPS,
  OBJECT_MAPS,
  ringBytes,
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
      assert.match(spec.name, /^weir_[a-z0-9_]{1,16}$/, 'pin names are short, lower case and ours');
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

  it('every map is defined once for the kernel, under its name, with its kind, key and value', () => {
    const text = emitMaps();
    const specs = [...Object.values(MAPS), ...Object.values(OBJECT_MAPS)];
    assert.equal(new Set(specs.map(({ name }) => name)).size, specs.length);
    for (const spec of specs) {
      assert.equal(text.split(`} ${spec.name} SEC(".maps");`).length, 2, spec.name);
      const one = emitMap(spec);
      assert.ok(text.includes(one), spec.name);
      if (spec.kind === 'hash' || spec.kind === 'lru-hash' || spec.kind === 'lpm-trie')
        assert.ok(one.includes(`__type(key, struct ${spec.key.name});`), spec.name);
      if (spec.kind !== 'ring' && spec.kind !== 'array-of-arrays')
        assert.ok(one.includes(`__type(value, struct ${spec.value.name});`), spec.name);
      assert.equal(one.includes('BPF_F_NO_PREALLOC'), spec.kind === 'lpm-trie', spec.name);
    }
    assert.match(emitMap(MAPS.flows4), /BPF_MAP_TYPE_LRU_HASH[^]*max_entries, 262144/);
    assert.match(emitMap(MAPS.maglev4), /BPF_MAP_TYPE_ARRAY_OF_MAPS[^]*BPF_MAP_TYPE_ARRAY[^]*max_entries, 16381/);
    assert.match(emitMap(OBJECT_MAPS.clock), /BPF_F_MMAPABLE/);
  });

  it('a ring is a power of two of bytes that holds its records with their headers', () => {
    for (const maxEntries of [1, 51, 64, 16384]) {
      const spec = { ...MAPS.events, maxEntries };
      const size = ringBytes(spec);
      assert.equal(Math.log2(size) % 1, 0);
      assert.ok(size >= maxEntries * (spec.value.bytes + 8) && size >= 4096);
      assert.ok(size === 4096 || size / 2 < maxEntries * (spec.value.bytes + 15));
    }
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
