// The kernel's maps pass the ByteMap suite, and do what only they have to: dumps, batches, sums over CPUs, pins.
import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, rmdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createKernelMap, KernelMap, MAP_FLAG, MAP_TYPE } from '../../src/dataplane/xdp/index.ts';
import { ERRNO, type MapKind, type MapSpec, UPDATE } from '../../src/schema/index.ts';
import { runByteMapSuite } from '../conformance/byte-map.ts';
import { fromNumber, prefixKey, specOf, textOf } from '../support/maps/specs.ts';
import { mountBpfFs, skipMaps, theAddon } from './kernel.ts';

const skip = skipMaps();
if (skip !== false) test('maps of the kernel', { skip });
else {
  runByteMapSuite({
    name: 'kernel',
    make: (spec) => createKernelMap(theAddon(), spec),
    dispose: (map) => {
      (map as KernelMap).close();
    },
  });
}

const withMap = (spec: MapSpec, body: (map: KernelMap) => void): void => {
  const map = createKernelMap(theAddon(), spec);
  try {
    body(map);
  } finally {
    map.close();
  }
};

const pack = (parts: readonly Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

const KINDS: readonly (readonly [MapKind, MapSpec, (n: number) => Uint8Array, (n: number) => Uint8Array])[] = [
  ['hash', specOf('hash', 12, 7, 5000), (n) => fromNumber(n, 12), (n) => fromNumber(n, 7)],
  ['lru-hash', specOf('lru-hash', 16, 64, 20000), (n) => fromNumber(n, 16), (n) => fromNumber(n, 64)],
  [
    'lpm-trie',
    specOf('lpm-trie', 8, 4, 5000),
    (n) => prefixKey(32, [10, n >>> 16, n >>> 8, n]),
    (n) => fromNumber(n, 4),
  ],
  ['array', specOf('array', 4, 12, 5000), (n) => fromNumber(n, 4), (n) => fromNumber(n, 12)],
  ['percpu-array', specOf('percpu-array', 4, 16, 5000), (n) => fromNumber(n, 4), (n) => fromNumber(n, 16)],
  ['array-of-arrays', specOf('array-of-arrays', 4, 0, 300, 3), (n) => fromNumber(n, 4), (n) => fromNumber(n, 12)],
];

describe('maps of the kernel, many entries at once', { skip }, () => {
  for (const [kind, spec, key, value] of KINDS) {
    const count = kind === 'array-of-arrays' ? 200 : 5000;
    const full = Array.from({ length: count }, (_, n) => n);

    test(`${kind}: updateMany, dump, deleteMany`, () => {
      withMap(spec, (map) => {
        const done = new Int32Array(1);
        assert.equal(map.updateMany(pack(full.map(key)), pack(full.map(value)), count, done), 0);
        assert.equal(done[0], count);
        const { count: held, keys, values } = map.dump();
        assert.equal(held, count);
        const [k, v] = [spec.key.bytes, values.length / count];
        const seen = new Map(
          full.map((n) => [textOf(keys.subarray(n * k, n * k + k)), textOf(values.subarray(n * v, n * v + v))]),
        );
        for (const n of full) assert.equal(seen.get(textOf(key(n))), textOf(value(n)));
        if (kind === 'array' || kind === 'percpu-array') {
          assert.equal(map.deleteMany(pack(full.map(key)), count, done), ERRNO.EINVAL);
          assert.equal(done[0], 0);
          return;
        }
        // Absent ones at the start, in the middle and at the end count as deleted.
        for (const n of [0, 1, count >>> 1, count - 1]) assert.equal(map.delete(key(n)), 0);
        assert.equal(map.deleteMany(pack(full.map(key)), count, done), 0);
        assert.equal(done[0], count);
        assert.equal(map.size, 0);
        assert.equal(map.dump().count, 0);
      });
    });
  }

  test('updateMany stops at the first failure and says how many were done', () => {
    for (const [kind, bytes] of [
      ['hash', 4],
      ['array-of-arrays', 12],
    ] as const) {
      const spec = specOf(kind, 4, kind === 'hash' ? 4 : 0, 100, ...(kind === 'hash' ? [] : [3]));
      withMap(spec, (map) => {
        const done = new Int32Array(1);
        const numbers = Array.from({ length: 150 }, (_, n) => n);
        const keys = pack(numbers.map((n) => fromNumber(n, 4)));
        const values = pack(numbers.map((n) => fromNumber(n, bytes)));
        assert.equal(map.updateMany(keys, values, 150, done), ERRNO.E2BIG);
        assert.equal(done[0], 100);
        assert.equal(map.size, 100);
        assert.equal(map.stats.refused, 1);
        assert.equal(map.updateMany(keys, values, 151, done), ERRNO.EINVAL, 'more than there are');
      });
    }
    withMap(specOf('lpm-trie', 8, 4, 10), (map) => {
      const done = new Int32Array(1);
      const keys = pack([prefixKey(8, [1, 0, 0, 0]), prefixKey(99, [2, 0, 0, 0]), prefixKey(8, [3, 0, 0, 0])]);
      assert.equal(map.updateMany(keys, new Uint8Array(12), 3, done), ERRNO.EINVAL);
      assert.equal(done[0], 1);
      assert.equal(map.size, 1);
      map.update(prefixKey(8, [3, 0, 0, 0]), new Uint8Array(4));
      assert.equal(map.deleteMany(keys, 3, done), ERRNO.EINVAL);
      assert.equal(done[0], 1);
    });
  });

  test('crowded buckets are dumped whole', () => {
    // One bucket a few entries: a chunk smaller than a bucket must grow, whatever the hash.
    withMap(specOf('hash', 4, 4, 2), (map) => {
      map.update(fromNumber(1, 4), fromNumber(1, 4));
      map.update(fromNumber(2, 4), fromNumber(2, 4));
      assert.equal(map.dump().count, 2);
      assert.equal([...map.entries()].length, 2);
    });
  });

  test('a closed map answers as one that is gone', () => {
    const map = createKernelMap(theAddon(), specOf('hash', 4, 4, 2));
    map.update(fromNumber(1, 4), fromNumber(1, 4));
    map.close();
    map.close();
    assert.equal(map.lookup(fromNumber(1, 4), new Uint8Array(4)), false);
    assert.equal(map.update(fromNumber(1, 4), fromNumber(1, 4)), ERRNO.EBADF);
    assert.equal(map.delete(fromNumber(1, 4)), ERRNO.EBADF);
    assert.equal(map.nextKey(undefined, new Uint8Array(4)), false);
    assert.equal(map.size, 0);
    assert.deepEqual([...map.entries()], []);
  });
});

describe('maps of the kernel, what else the addon does with them', { skip }, () => {
  test('a per-CPU value is the sum of what the CPUs hold', () => {
    const addon = theAddon();
    const cpus = addon.cpus();
    assert.ok(cpus >= 1);
    const spec = specOf('percpu-array', 4, 16, 2);
    withMap(spec, (map) => {
      const all = new BigUint64Array(2 * cpus);
      for (let cpu = 0; cpu < cpus; cpu++) {
        all[cpu * 2] = BigInt(cpu + 1);
        all[cpu * 2 + 1] = 0xffffffffn;
      }
      const key = fromNumber(1, 4);
      assert.equal(addon.mapUpdate(map.handle, key, new Uint8Array(all.buffer), UPDATE.ANY), 0);
      const value = new Uint8Array(16);
      assert.equal(map.lookup(key, value), true);
      const [first, second] = new BigUint64Array(value.buffer);
      assert.equal(first, BigInt((cpus * (cpus + 1)) / 2));
      assert.equal(second, 0xffffffffn * BigInt(cpus));
      const raw = new Uint8Array(16 * cpus);
      assert.equal(addon.mapLookup(map.handle, key, raw), 0);
      assert.deepEqual(raw, new Uint8Array(all.buffer));
      assert.equal(addon.mapLookup(map.handle, key, raw.subarray(1)), ERRNO.EINVAL, 'one byte short');
      const info = new Int32Array(8);
      assert.equal(addon.mapInfo(map.handle, info), 0);
      assert.deepEqual([...info.subarray(0, 4), info[6], info[7]], [MAP_TYPE.PERCPU_ARRAY, 4, 16, 2, 16 * cpus, cpus]);
    });
  });

  test('memory of an array: seen on both sides, and still there when the map is closed', () => {
    const addon = theAddon();
    const map = addon.mapCreate(MAP_TYPE.ARRAY, 'weir_memory', 4, 12, 3, MAP_FLAG.MMAPABLE, 0);
    const memory = addon.mapMemory(map);
    assert.ok(memory instanceof ArrayBuffer);
    assert.equal(memory.byteLength, 48);
    const bytes = new Uint8Array(memory);
    assert.equal(addon.mapUpdate(map, fromNumber(2, 4), fromNumber(77, 12), 0), 0);
    assert.deepEqual(bytes.subarray(32, 44), fromNumber(77, 12));
    bytes[16] = 5;
    const value = new Uint8Array(12);
    assert.equal(addon.mapLookup(map, fromNumber(1, 4), value), 0);
    assert.equal(value[0], 5);
    assert.equal(addon.close(map), 0);
    bytes.fill(9);
    assert.equal(bytes[47], 9);
    const plain = addon.mapCreate(MAP_TYPE.ARRAY, '', 4, 12, 3, 0, 0);
    assert.equal(addon.mapMemory(plain), ERRNO.EINVAL);
    addon.close(plain);
  });

  test('pinned, opened again by path and by id, unpinned; nothing outside a BPF file system is touched', () => {
    const addon = theAddon();
    const fs = mountBpfFs();
    try {
      const path = `${fs.path}/weir_pinned`;
      assert.equal(addon.isBpfFs(fs.path), 1);
      assert.equal(addon.isBpfFs('/'), 0);
      const spec = specOf('hash', 4, 4, 8);
      const map = createKernelMap(addon, spec);
      map.update(fromNumber(3, 4), fromNumber(33, 4));
      assert.equal(addon.mapPin(map.handle, path), 0);
      assert.equal(addon.mapPin(map.handle, path), ERRNO.EEXIST);
      const info = new Int32Array(8);
      addon.mapInfo(map.handle, info);
      map.close();
      for (const handle of [addon.mapOpen(path), addon.mapById(info[5]!)]) {
        assert.ok(handle > 0);
        const again = new KernelMap(addon, spec, handle);
        const value = new Uint8Array(4);
        assert.equal(again.lookup(fromNumber(3, 4), value), true);
        assert.deepEqual(value, fromNumber(33, 4));
        again.close();
      }
      assert.equal(addon.programOpen(path), ERRNO.EINVAL, 'a map is no program');
      assert.equal(addon.linkOpen(path), ERRNO.EINVAL);
      const outside = mkdtempSync(join(tmpdir(), 'weir-links-'));
      for (const link of [join(outside, 'to-pin'), join(fs.path, 'beside')]) {
        symlinkSync(path, link);
        assert.equal(addon.unpin(link), ERRNO.EINVAL, link);
        assert.ok(lstatSync(link).isSymbolicLink() && addon.close(addon.mapOpen(path)) === 0);
        unlinkSync(link);
      }
      rmdirSync(outside);
      for (const none of [fs.path, `${fs.path}/`, `${fs.path}/.`, `${fs.path}/..`, ''])
        assert.equal(addon.unpin(none), ERRNO.EINVAL, none);
      assert.equal(addon.unpin(path), 0);
      assert.equal(addon.unpin(path), ERRNO.ENOENT);
      assert.equal(addon.mapOpen(path), ERRNO.ENOENT);
      assert.equal(addon.unpin('/etc/hostname'), ERRNO.EINVAL);
    } finally {
      fs.remove();
    }
  });

  test('a table map opened by path must be told how its tables look', () => {
    const addon = theAddon();
    const spec = specOf('array-of-arrays', 4, 0, 3, 4);
    withMap(spec, (map) => {
      assert.equal(map.update(fromNumber(1, 4), fromNumber(5, 16)), 0);
      const info = new Int32Array(8);
      addon.mapInfo(map.handle, info);
      const again = new KernelMap(addon, spec, addon.mapById(info[5]!));
      const table = new Uint8Array(16);
      assert.equal(again.lookup(fromNumber(1, 4), table), false);
      assert.equal(again.update(fromNumber(1, 4), table), ERRNO.EINVAL);
      assert.equal(addon.mapSetInner(again.handle, MAP_TYPE.ARRAY, 4, 4, 4, 0), 0);
      assert.equal(again.lookup(fromNumber(1, 4), table), true);
      assert.deepEqual(table, fromNumber(5, 16));
      again.close();
    });
  });

  test('handles are never given out twice, and closing is idempotent', () => {
    const addon = theAddon();
    const before = addon.openHandles();
    const seen = new Set<number>();
    for (let n = 0; n < 100; n++) {
      const map = addon.mapCreate(MAP_TYPE.ARRAY, '', 4, 4, 1, 0, 0);
      assert.ok(map > 0 && !seen.has(map));
      seen.add(map);
      assert.equal(addon.close(map), 0);
      assert.equal(addon.close(map), 0);
      assert.equal(addon.mapDelete(map, fromNumber(0, 4)), ERRNO.EBADF);
    }
    assert.equal(addon.openHandles(), before);
    for (const none of [0, -1, 1e15, 2 ** 53 - 1]) assert.equal(addon.close(none), ERRNO.EBADF);
    assert.equal(addon.close(0.5), ERRNO.EINVAL);
  });

  test('maps beyond all memory are refused without trying', () => {
    const addon = theAddon();
    assert.equal(addon.mapCreate(MAP_TYPE.ARRAY, '', 4, 8, 2 ** 32 - 1, 0, 0), ERRNO.E2BIG);
    assert.equal(addon.mapCreate(MAP_TYPE.HASH, '', 4, 2 ** 31, 2, 0, 0), ERRNO.E2BIG);
  });
});
