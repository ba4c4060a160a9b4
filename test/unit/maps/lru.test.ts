// The word-level side of the LRU maps: marks, eviction within bounds, stable offsets, reuse of entries.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Lru1, Lru4, type LruTable, createMap } from '../../../src/maps/index.ts';
import { BIAS, COLD, FREE, HOT } from '../../../src/maps/lru-table.ts';
import { LRUS } from '../../../src/maps/lru.gen.ts';
import { fromNumber, specOf } from '../../support/maps/specs.ts';

type AnyLru = LruTable & {
  find(...k: number[]): number;
  peek(...k: number[]): number;
  insert(...k: number[]): number;
  remove(...k: number[]): boolean;
};

/** Number of the entry whose value is at `at`. */
const entryAt = (map: LruTable, at: number): number => (at - map.keyWords - BIAS) / map.stride;

describe('LRU maps, word level', () => {
  for (let n = 1; n < LRUS.length; n++) {
    test(`Lru${n}: every key word counts, in find, peek, insert and remove`, () => {
      const map = createMap(specOf('lru-hash', 4 * n, 8, 1000), { seed: n }) as AnyLru;
      assert.equal(map.constructor.name, `Lru${n}`);
      const base = Array.from({ length: n }, (_, i) => i * 3);
      const keys = [base, ...base.map((_, i) => base.map((k, j) => (i === j ? k ^ 0x40000000 : k)))];
      keys.forEach((key, i) => {
        const at = map.insert(...key);
        assert.equal(map.created, true);
        assert.deepEqual([map.words[at], map.words[at + 1]], [0, 0]);
        map.words[at] = i + 1;
      });
      keys.forEach((key, i) => {
        const at = map.peek(...key);
        assert.equal(map.words[at], i + 1);
        assert.deepEqual([...map.words.subarray(at - n, at)], key, 'the key lies before its value');
        assert.equal(map.state[entryAt(map, at)], COLD);
        assert.equal(map.find(...key), at);
        assert.equal(map.state[entryAt(map, at)], HOT);
        assert.equal(map.insert(...key), at);
        assert.equal(map.created, false);
      });
      for (const key of keys.slice(1)) {
        const at = map.peek(...key);
        assert.equal(map.remove(...key), true);
        assert.equal(map.state[entryAt(map, at)], FREE);
        assert.equal(map.remove(...key), false);
        assert.equal(map.find(...key), -1);
        assert.equal(map.peek(...key), -1);
      }
      const again = map.insert(...keys[1]!);
      assert.deepEqual([map.words[again], map.words[again + 1]], [0, 0], 'nothing of the former value is left');
    });
  }

  test('what is found stays, what is not found goes', () => {
    const map = new Lru1(specOf('lru-hash', 4, 4, 100), { seed: 1 });
    for (let i = 0; i < 100; i++) map.insert(i);
    for (let i = 100; i < 5000; i++) {
      for (let hot = 0; hot < 20; hot++) assert.notEqual(map.find(hot), -1, `${hot} was evicted`);
      map.insert(i);
      assert.equal(map.size, 100);
      assert.equal(map.evicted, i - 99);
    }
    for (let i = 20; i < 4900; i++) assert.equal(map.peek(i), -1);
  });

  test('a glance by peek or by bytes is not a use', () => {
    const map = new Lru1(specOf('lru-hash', 4, 4, 10), { seed: 1 });
    for (let i = 0; i < 10; i++) map.insert(i);
    for (let i = 10; i < 40; i++) {
      map.peek(0);
      map.lookup(fromNumber(0, 4), new Uint8Array(4));
      map.insert(i);
    }
    assert.equal(map.peek(0), -1);
  });

  test('evicts although every entry was used, in bounded time', () => {
    const map = new Lru1(specOf('lru-hash', 4, 4, 5000), { seed: 1 });
    for (let i = 0; i < 5000; i++) map.insert(i);
    for (let i = 0; i < 5000; i++) map.find(i);
    map.insert(5000);
    assert.equal(map.size, 5000);
    assert.equal(map.evicted, 1);
    const cooled = map.state.reduce((sum, state) => sum + (state === COLD ? 1 : 0), 0);
    assert.ok(cooled <= 1025, `the hand passed ${cooled} entries`);
    assert.notEqual(map.peek(5000), -1);
  });

  test('offsets outlive growth and other entries, memory follows use', () => {
    const map = new Lru4(specOf('lru-hash', 16, 64, 100_000), { seed: 2 });
    assert.ok(map.words.byteLength < 4096);
    const offsets: number[] = [];
    for (let i = 0; i < 3000; i++) {
      const at = map.insert(i, -i, i << 8, 6);
      map.words[at + 15] = i;
      offsets.push(at);
    }
    for (let i = 0; i < 3000; i += 3) map.remove(i, -i, i << 8, 6);
    for (let i = 0; i < 3000; i++) {
      if (i % 3 === 0) continue;
      assert.equal(map.find(i, -i, i << 8, 6), offsets[i]);
      assert.equal(map.words[offsets[i]! + 15], i);
    }
    assert.ok(map.words.byteLength <= 4096 * map.stride * 4 + 1024);
    const before = map.words.length;
    for (let i = 0; i < 1000; i++) map.insert(i + 10_000, 0, 0, 0);
    assert.equal(map.words.length, before, 'free entries are used first');
    assert.ok(map.count * 2 <= map.index.length);
  });

  test('entries of 64 bytes take 64, longer ones do not waste more than a quarter', () => {
    const strideOf = (key: number, value: number): number =>
      (createMap(specOf('lru-hash', key, value, 10)) as LruTable).stride;
    assert.equal(strideOf(16, 48), 16);
    assert.equal(strideOf(12, 40), 16);
    assert.equal(strideOf(16, 64), 20);
    assert.equal(strideOf(40, 64), 32);
    assert.equal(strideOf(4, 4), 4);
  });

  test('a map of one entry', () => {
    const map = new Lru1(specOf('lru-hash', 4, 4, 1));
    for (let i = 0; i < 50; i++) {
      const at = map.insert(i);
      map.words[at] = i;
      assert.equal(map.words[map.find(i)], i);
      assert.equal(map.size, 1);
    }
    assert.equal(map.remove(49), true);
    assert.equal(map.size, 0);
    map.insert(7);
    assert.equal(map.evicted, 49);
  });
});
