// Word-level use of arrays, longest-prefix maps and tables; and how maps are made from specs.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ArrayMap,
  Hash4,
  ArrayOfArrays,
  Lpm1,
  Lpm4,
  type LazyBytes,
  Lru4,
  asKind,
  createMap,
  createMaps,
} from '../../../src/maps/index.ts';
import { ERRNO, type MapKind } from '../../../src/schema/map-spec.ts';
import { MAPS } from '../../../src/schema/maps.ts';
import { fromNumber, specOf } from '../../support/maps/specs.ts';

/** An IPv4 address as a raw word: its bytes in network order, loaded little-endian. */
const ip = (a: number, b: number, c: number, d: number): number => a | (b << 8) | (c << 16) | (d << 24);

describe('arrays', () => {
  test('find gives offsets within bounds only', () => {
    const map = new ArrayMap(specOf('array', 4, 10, 3));
    assert.deepEqual(
      [0, 1, 2].map((i) => map.find(i)),
      [0, 3, 6],
      'values of ten bytes take three words',
    );
    for (const wrong of [3, -1, 0xffffffff, 0x80000000]) assert.equal(map.find(wrong), -1);
    map.words[map.find(1)] = 0x04030201;
    const out = new Uint8Array(10);
    assert.equal(map.lookup(fromNumber(1, 4), out), true);
    assert.deepEqual([...out.subarray(0, 5)], [1, 2, 3, 4, 0]);
  });
});

describe('maps that are told how many entries are to come', () => {
  test('grow to them in one step, beyond them as ever, and find every entry', () => {
    for (const bound of [5000, 700]) {
      for (const map of [
        new Hash4(specOf('hash', 16, 4, bound), { seed: 1 }),
        new Lru4(specOf('lru-hash', 16, 4, bound), { seed: 1 }),
      ]) {
        map.expect(1000);
        const grown = new Set<Int32Array>();
        for (let i = 1; i <= 1500; i++) {
          const at = map.insert(i, -i, i * 7, 0);
          if (at < 0) continue;
          map.words[at] = i;
          if (i <= 1000) grown.add(map.words);
        }
        assert.ok(grown.size === 2, `${map.spec.kind} of ${bound}: ${grown.size} tables`);
        assert.equal(map.size, Math.min(bound, 1500));
        let found = 0;
        for (let i = 1; i <= 1500; i++) {
          const at = map.find(i, -i, i * 7, 0);
          if (at < 0) continue;
          found++;
          assert.equal(map.words[at], i);
        }
        assert.equal(found, map.size);
      }
    }
  });
});

describe('longest prefix match', () => {
  test('raw words are matched from the first byte on', () => {
    const map = new Lpm1(specOf('lpm-trie', 8, 4, 100));
    const put = (bits: number, word: number, value: number): void => {
      const at = map.insert(bits, word);
      map.words[at] = value;
    };
    put(8, ip(10, 0, 0, 0), 1);
    put(9, ip(10, 128, 0, 0), 2);
    put(24, ip(10, 1, 2, 0), 3);
    put(32, ip(10, 1, 2, 3), 4);
    put(31, ip(192, 168, 0, 2), 5);
    const at = (word: number): number => map.words[map.find(word)] ?? -1;
    assert.equal(at(ip(10, 0, 0, 1)), 1);
    assert.equal(at(ip(10, 127, 255, 255)), 1);
    assert.equal(at(ip(10, 128, 0, 0)), 2);
    assert.equal(at(ip(10, 1, 2, 4)), 3);
    assert.equal(at(ip(10, 1, 2, 3)), 4);
    assert.equal(at(ip(192, 168, 0, 3)), 5);
    assert.equal(map.find(ip(192, 168, 0, 4)), -1);
    assert.equal(map.find(ip(11, 0, 0, 0)), -1);
    assert.equal(map.words[map.findUpTo(24, ip(10, 1, 2, 3))], 3);
    assert.equal(map.words[map.exact(9, ip(10, 255, 9, 9))], 2);
    assert.equal(map.exact(10, ip(10, 128, 0, 0)), -1);
    assert.equal(map.remove(24, ip(10, 1, 2, 99)), true);
    assert.equal(at(ip(10, 1, 2, 4)), 1);
    assert.deepEqual([...map.lengths.subarray(0, map.present)], [32, 31, 9, 8]);
  });

  test('lengths out of bounds are refused', () => {
    const map = new Lpm4(specOf('lpm-trie', 20, 4, 100));
    for (const bits of [-1, 129, 0xffffffff]) {
      assert.equal(map.insert(bits, 0, 0, 0, 0), ERRNO.EINVAL);
      assert.equal(map.created, false);
      assert.equal(map.exact(bits, 0, 0, 0, 0), -1);
      assert.equal(map.remove(bits, 0, 0, 0, 0), false);
    }
    assert.equal(map.size, 0);
  });

  test('offsets are right after growth, and a new value is zero', () => {
    const map = new Lpm1(specOf('lpm-trie', 8, 8, 3000), { seed: 1 });
    for (let i = 0; i < 3000; i++) {
      const at = map.insert(8 + (i % 25), ip(i & 255, i >>> 8, i & 127, i));
      assert.ok(at > 0);
      if (map.created) assert.deepEqual([map.words[at], map.words[at + 1]], [0, 0]);
      map.words[at] = i;
      map.words[at + 1] = -1;
    }
    for (let i = 2999; i > 2900; i--)
      assert.equal(map.words[map.exact(8 + (i % 25), ip(i & 255, i >>> 8, i & 127, i))], i);
  });
});

describe('array of arrays', () => {
  const table = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
  const key = (n: number): Uint8Array => fromNumber(n, 4);
  const make = (maxEntries = 100): ArrayOfArrays => new ArrayOfArrays(specOf('array-of-arrays', 4, 0, maxEntries, 2));
  const read = (map: ArrayOfArrays, n: number): number[] => {
    const base = map.findTable(n);
    return base < 0 ? [] : [...map.pool.subarray(base, base + map.tableWords)];
  };

  test('equal tables share one place', () => {
    const map = make();
    for (let n = 0; n < 100; n++) map.update(key(n), table(n % 3, 0xffffffff));
    assert.equal(map.tables, 3);
    assert.equal(map.findTable(1), map.findTable(4));
    for (let n = 0; n < 100; n++) assert.deepEqual(read(map, n), [n % 3, 0xffffffff]);
    assert.equal(map.update(key(1), table(9, 9)), 0);
    assert.deepEqual(read(map, 1), [9, 9]);
    assert.deepEqual(read(map, 4), [1, 0xffffffff]);
    assert.equal(map.update(key(1), table(2, 0xffffffff)), 0, 'joins another place');
    assert.equal(map.findTable(1), map.findTable(2));
    assert.equal(map.tables, 3);
    for (let n = 0; n < 100; n++) map.delete(key(n));
    assert.equal(map.tables, 0);
    assert.equal(map.findTable(1), -1);
  });

  test('memory is bounded by maxEntries, whatever is replaced', () => {
    const map = make(5);
    for (let round = 0; round < 50; round++) {
      for (let n = 0; n < 5; n++) assert.equal(map.update(key(n), table(round, round % 3 === 0 ? 0 : n)), 0);
      assert.equal(map.update(key(5), table(1, 1)), ERRNO.E2BIG);
      assert.ok(map.pool.length <= 5 * 2);
      const { byContent } = map as unknown as { byContent: ReadonlyMap<number, readonly number[]> };
      assert.equal([...byContent.values()].flat().length, map.tables, 'the index of contents names each table once');
    }
    assert.equal(map.stats.refused, 50);
  });

  test('tables of equal content hash are told apart', () => {
    // The content hash is not keyed: the second word can be chosen so that two tables collide.
    const step = (hash: number, word: number): number => {
      const h = Math.imul(hash ^ word, 0x21f0aaad);
      return h ^ (h >>> 15);
    };
    const first = [1, 100] as const;
    const second = [2, (100 ^ step(2, 1) ^ step(2, 2)) >>> 0] as const;
    assert.equal(step(step(2, first[0]), first[1]), step(step(2, second[0]), second[1]), 'the two collide');
    const map = make();
    map.update(key(1), table(...first));
    map.update(key(2), table(...second));
    assert.equal(map.tables, 2);
    assert.deepEqual(read(map, 1), first);
    assert.deepEqual(read(map, 2), second);
    map.delete(key(1));
    map.update(key(3), table(...second));
    assert.equal(map.tables, 1);
    assert.deepEqual(read(map, 3), second);
  });

  test('a lazy table is made once, when somebody looks for it, and never if nobody does', () => {
    const map = make();
    let made = 0;
    const lazy = (...words: number[]): LazyBytes => ({
      length: 8,
      copyTo: (out) => {
        made++;
        out.set(table(...words));
      },
    });
    const shared = lazy(7, 8);
    for (const n of [1, 2, 3]) assert.equal(map.updateLazily(key(n), shared), 0);
    assert.equal(map.updateLazily(key(4), lazy(9, 10)), 0);
    assert.deepEqual([map.size, map.tables, map.pool.length, made], [4, 0, 0, 0]);
    for (const n of [1, 2, 2, 3]) assert.deepEqual(read(map, n), [7, 8]);
    assert.deepEqual([map.size, map.tables, made], [4, 1, 1]);
    assert.equal(map.update(key(4), table(1, 1)), 0);
    assert.equal(map.delete(key(3)), 0);
    assert.deepEqual([map.size, map.tables, made], [3, 2, 1]);
    assert.equal(map.delete(key(1)), 0);
    assert.equal(map.updateLazily(key(2), lazy(5, 6)), 0);
    assert.deepEqual([map.size, map.tables], [2, 1], 'the shared table is gone with its last user');
    assert.deepEqual(read(map, 2), [5, 6]);
  });

  test('a lazy table is refused as one of bytes is', () => {
    const map = make(5);
    const lazy = (length: number): LazyBytes => ({ length, copyTo: () => assert.fail('nobody looked') });
    assert.equal(map.updateLazily(key(5), lazy(8)), ERRNO.E2BIG);
    assert.equal(map.updateLazily(key(1), lazy(4)), ERRNO.EINVAL);
    assert.equal(map.updateLazily(new Uint8Array(3), lazy(8)), ERRNO.EINVAL);
    assert.deepEqual([map.size, map.stats.refused], [0, 1]);
    assert.equal(map.updateLazily(key(1), lazy(8)), 0);
    const first = new Uint8Array(4);
    assert.ok(map.nextKey(undefined, first));
    assert.deepEqual(first, key(1));
  });
});

describe('making maps', () => {
  test('every map of the contract can be made, empty ones take little memory', () => {
    const maps = createMaps(Object.values(MAPS), { seed: 1 });
    assert.equal(maps.size, Object.values(MAPS).filter(({ kind }) => kind !== 'ring').length);
    for (const [name, map] of maps) {
      assert.equal(map.spec.name, name);
      const isArray = map.spec.kind.endsWith('array');
      assert.equal(map.size, isArray ? map.spec.maxEntries : 0);
      if (!isArray) assert.ok(map.words.byteLength < 8192, name);
    }
  });

  test('maps of one seed do not share their hash', () => {
    const maps = [...createMaps([specOf('hash', 16, 4, 10), specOf('hash', 16, 4, 10)], { seed: 1 }).values()];
    assert.notEqual(asKind(maps[0], Hash4).a0, asKind(maps[1], Hash4).a0);
  });

  test('asKind narrows or says what is wrong', () => {
    const map = createMap(specOf('lru-hash', 16, 4, 10));
    assert.equal(asKind(map, Lru4), map);
    assert.throws(() => asKind(map, Hash4), /is not a Hash4/);
    assert.throws(() => asKind(undefined, Hash4), /no such map/);
  });

  test('specs that no class can hold are refused by name', () => {
    const bad: [MapKind, number, number, number, RegExp][] = [
      ['ring', 4, 4, 10, /events/],
      ['hash', 52, 4, 10, /13 words/],
      ['lru-hash', 52, 4, 10, /13 words/],
      ['lru-hash', 4, 4, 0x1000000, /at most 16777215/],
      ['lpm-trie', 32, 4, 10, /7 data words/],
      ['array-of-arrays', 4, 4, 10, /not a array-of-arrays/],
      ['hash', 4, 4, 0, /positive/],
      ['hash', 4, 4, 1.5, /positive/],
    ];
    for (const [kind, keyBytes, valueBytes, maxEntries, message] of bad) {
      const spec = specOf(kind, keyBytes, valueBytes, maxEntries);
      assert.throws(
        () => createMap(spec),
        (error: Error) => message.test(error.message) && error.message.includes(spec.name),
      );
    }
    assert.throws(() => new Hash4(specOf('hash', 12, 4, 10)), /3 words, not 4/);
    assert.throws(() => new Hash4(specOf('lru-hash', 16, 4, 10)), /not a hash/);
    assert.throws(() => new Lru4(specOf('hash', 16, 4, 10)), /not an lru-hash/);
    assert.throws(() => new ArrayMap(specOf('hash', 4, 4, 10)), /not an array/);
    assert.throws(() => new Lpm1(specOf('hash', 8, 4, 10)), /not an lpm-trie/);
  });
});
