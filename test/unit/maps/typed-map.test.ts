// TypedMap, MapWrite, and byte access at odd places of larger buffers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applyWrites, createMap, typedMap, typedTables, type MapWrite } from '../../../src/maps/index.ts';
import { be16, be32, pad, struct, u32, u8, u64 } from '../../../src/layout/index.ts';
import { ERRNO, UPDATE, type MapSpec } from '../../../src/schema/map-spec.ts';
import { fromNumber, specOf } from '../../support/maps/specs.ts';

const keyStruct = struct('weir_test_frontend', 'Key.', {
  address: be32('address'),
  port: be16('port'),
  protocol: u8('number'),
  pad0: pad(1),
});
const valueStruct = struct('weir_test_counts', 'Value.', { packets: u64('packets'), id: u32('id'), pad0: pad(4) });
const spec = {
  name: 'weir_test_typed',
  kind: 'hash',
  doc: 'Test.',
  key: keyStruct,
  value: valueStruct,
  maxEntries: 2,
} satisfies MapSpec;

describe('TypedMap', () => {
  test('decoded keys and values over the bytes of the map', () => {
    const map = createMap(spec);
    const typed = typedMap(spec, map);
    const key = { address: 0x0a000001, port: 443, protocol: 6 };
    assert.equal(typed.get(key), undefined);
    assert.equal(typed.has(key), false);
    assert.equal(typed.set(key, { packets: 2n ** 40n, id: 7 }), 0);
    assert.deepEqual(typed.get(key), { packets: 2n ** 40n, id: 7 });
    assert.equal(typed.has(key), true);
    assert.equal(typed.set(key, { packets: 1n, id: 1 }, UPDATE.NOEXIST), ERRNO.EEXIST);
    assert.equal(typed.set({ ...key, port: 80 }, { packets: 1n, id: 1 }), 0);
    assert.equal(typed.set({ ...key, port: 81 }, { packets: 1n, id: 1 }), ERRNO.E2BIG);
    assert.equal(typed.size, 2);
    const bytes = new Uint8Array(16);
    assert.equal(map.lookup(Uint8Array.of(10, 0, 0, 1, 0x01, 0xbb, 6, 0), bytes), true, 'network order in the key');
    assert.deepEqual([...bytes], [0, 0, 0, 0, 0, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(
      [...typed].sort(([a], [b]) => a.port - b.port),
      [
        [
          { ...key, port: 80 },
          { packets: 1n, id: 1 },
        ],
        [key, { packets: 2n ** 40n, id: 7 }],
      ],
    );
    assert.equal(typed.delete(key), 0);
    assert.equal(typed.delete(key), ERRNO.ENOENT);
  });

  test('tables', () => {
    const key = struct('weir_test_index', 'Key.', { index: u32('number') });
    const tables = { ...specOf('array-of-arrays', 4, 0, 7, 3), key };
    const typed = typedTables(tables, createMap(tables));
    assert.equal(typed.set({ index: 5 }, Uint32Array.of(1, 2, 0xffffffff)), 0);
    assert.equal(typed.set({ index: 6 }, Uint32Array.of(1, 2)), ERRNO.EINVAL);
    assert.deepEqual(typed.get({ index: 5 }), Uint32Array.of(1, 2, 0xffffffff));
    assert.deepEqual([...typed], [[{ index: 5 }, Uint32Array.of(1, 2, 0xffffffff)]]);
    assert.equal(typed.get({ index: 6 }), undefined);
  });

  test('the wrong map or form is refused', () => {
    const tables = specOf('array-of-arrays', 4, 0, 4, 3);
    assert.throws(() => typedMap(tables, createMap(tables)), /typedTables/);
    assert.throws(() => typedTables(spec, createMap(spec)), /typedMap/);
    assert.throws(() => typedMap(spec, createMap(specOf('hash', 8, 12, 2))), /not a map of/);
  });
});

describe('bytes at odd places', () => {
  test('keys and values may be views into larger buffers, which are left alone around them', () => {
    for (const kind of ['hash', 'lru-hash'] as const) {
      const map = createMap(specOf(kind, 7, 10, 8));
      const arena = new Uint8Array(64).fill(0xa5);
      const key = arena.subarray(3, 10);
      const value = arena.subarray(21, 31);
      key.set(fromNumber(0x01020304, 7));
      value.set(fromNumber(0x0a0b0c0d, 10));
      assert.equal(map.update(key, value), 0);
      value.fill(0);
      assert.equal(map.lookup(fromNumber(0x01020304, 7), value), true);
      assert.deepEqual(value.slice(), fromNumber(0x0a0b0c0d, 10));
      const next = arena.subarray(41, 48);
      assert.equal(map.nextKey(undefined, next), true);
      assert.deepEqual(next.slice(), fromNumber(0x01020304, 7));
      for (const i of [2, 10, 20, 31, 40, 48]) assert.equal(arena[i], 0xa5, `byte ${i}`);
    }
  });
});

describe('applyWrites', () => {
  test('takes lazy values, and refuses those of another size', () => {
    const map = createMap(specOf('array-of-arrays', 4, 4, 10, 3));
    const key = (n: number): Uint8Array => Uint8Array.of(n, 0, 0, 0);
    const write = (n: number, length: number): MapWrite => ({
      map: 'a',
      op: 'update',
      key: key(n),
      lazy: { length, copyTo: (out) => void out.fill(n) },
    });
    const maps = new Map([['a', map]]);
    assert.deepEqual(applyWrites(maps, [write(1, 12), write(2, 12), write(3, 8), write(4, 12)]), {
      applied: 2,
      failed: { index: 2, errno: ERRNO.EINVAL },
    });
    const out = new Uint8Array(12);
    for (const n of [1, 2]) {
      assert.ok(map.lookup(key(n), out));
      assert.deepEqual([...out], new Array(12).fill(n));
    }
    assert.equal(map.size, 2);
  });

  const key = (n: number): Uint8Array => fromNumber(n, 8);
  const update = (n: number): MapWrite => ({ map: 'a', op: 'update', key: key(n), value: fromNumber(n, 4) });
  const make = (): Map<string, ReturnType<typeof createMap>> => new Map([['a', createMap(specOf('hash', 8, 4, 2))]]);

  test('in order; deleting what is absent is no failure', () => {
    const maps = make();
    const writes: MapWrite[] = [
      update(1),
      update(2),
      { map: 'a', op: 'delete', key: key(1) },
      { map: 'a', op: 'delete', key: key(1) },
      update(3),
    ];
    assert.deepEqual(applyWrites(maps, writes), { applied: 5 });
    assert.deepEqual(Array.from(maps.get('a')!.entries(), ([k]) => k[0]).sort(), [2, 3]);
  });

  test('stops at the first failure and says which', () => {
    const maps = make();
    assert.deepEqual(applyWrites(maps, [update(1), update(2), update(3), { map: 'a', op: 'delete', key: key(1) }]), {
      applied: 2,
      failed: { index: 2, errno: ERRNO.E2BIG },
    });
    assert.equal(maps.get('a')!.size, 2);
    assert.deepEqual(applyWrites(maps, [{ ...update(1), map: 'b' }]), {
      applied: 0,
      failed: { index: 0, errno: ERRNO.EBADF },
    });
    assert.deepEqual(applyWrites(maps, [{ map: 'a', op: 'update', key: key(1) }]), {
      applied: 0,
      failed: { index: 0, errno: ERRNO.EINVAL },
    });
    assert.deepEqual(applyWrites(maps, [{ map: 'a', op: 'delete', key: key(1).subarray(1) }]), {
      applied: 0,
      failed: { index: 0, errno: ERRNO.EINVAL },
    });
  });
});
