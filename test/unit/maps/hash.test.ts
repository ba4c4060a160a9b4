// The word-level side of the hash maps: offsets, new and old entries, growth, and the layout that C++ twins rely on.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FlatHash, Hash1, Hash4, createMap } from '../../../src/maps/index.ts';
import { MIX } from '../../../src/maps/hash-key.ts';
import { HASHES } from '../../../src/maps/hash.gen.ts';
import { ERRNO } from '../../../src/schema/map-spec.ts';
import { specOf } from '../../support/maps/specs.ts';

type AnyHash = FlatHash & {
  find(...k: number[]): number;
  insert(...k: number[]): number;
  remove(...k: number[]): boolean;
};

describe('hash maps, word level', () => {
  for (let n = 1; n < HASHES.length; n++) {
    test(`Hash${n}: every key word counts, in find, insert and remove`, () => {
      const map = createMap(specOf('hash', 4 * n, 8, 1000), { seed: n }) as AnyHash;
      assert.equal(map.constructor.name, `Hash${n}`);
      const base = Array.from({ length: n }, (_, i) => i * 3);
      const keys = [base, ...base.map((_, i) => base.map((k, j) => (i === j ? k ^ 0x40000000 : k)))];
      keys.forEach((key, i) => {
        const at = map.insert(...key);
        assert.equal(map.created, true);
        assert.deepEqual([map.words[at], map.words[at + 1]], [0, 0], 'a new value is zero');
        map.words[at] = i + 1;
        map.words[at + 1] = ~i;
      });
      keys.forEach((key, i) => {
        const at = map.find(...key);
        assert.deepEqual([map.words[at], map.words[at + 1]], [i + 1, ~i]);
        assert.deepEqual([...map.words.subarray(at - n, at)], key, 'the key lies before its value');
        assert.equal(map.insert(...key), at);
        assert.equal(map.created, false);
      });
      assert.equal(map.size, n + 1);
      for (const key of keys.slice(1)) {
        assert.equal(map.remove(...key), true);
        assert.equal(map.remove(...key), false);
        assert.equal(map.find(...key), -1);
        assert.equal(map.words[map.find(...base)], 1);
      }
      assert.equal(map.words[map.insert(...keys[1]!)], 0, 'nothing of the former value is left');
    });
  }

  test('the slot holds the hash that hash-key.ts describes, at or behind its home', () => {
    const map = new Hash4(specOf('hash', 16, 4, 1000), { seed: 5 });
    const m = [map.a0, map.b0, map.a1, map.b1, map.a2, map.b2, map.a3, map.b3];
    for (let i = 0; i < 500; i++) {
      const key = [i, i << 20, -i, ~i];
      const at = map.insert(key[0]!, key[1]!, key[2]!, key[3]!) - 5;
      let sum = 0;
      key.forEach((k, j) => {
        sum += Math.imul(k, m[2 * j]!) + Math.imul((k << 16) | (k >>> 16), m[2 * j + 1]!);
        sum |= 0;
      });
      const hash = Math.imul(sum ^ (sum >>> 16), MIX) | 1;
      assert.equal(map.words[at], hash);
      const home = (hash >>> map.shift) * map.stride;
      for (let slot = home; slot !== at; slot = (slot + map.stride) % map.end)
        assert.notEqual(map.words[slot], 0, 'no gap before the slot');
    }
  });

  test('arguments may be u32 or int32: the same key', () => {
    const map = new Hash1(specOf('hash', 4, 4, 10));
    const at = map.insert(0xffffffff);
    assert.equal(map.created, true);
    assert.equal(map.find(-1), at);
    assert.equal(map.insert(-1), at);
    assert.equal(map.created, false);
    assert.equal(map.find(0xffffffff), at);
    assert.equal(map.size, 1);
  });

  test('grows by doubling from a few slots, at most half full, and keeps every value', () => {
    const map = new Hash1(specOf('hash', 4, 8, 5000), { seed: 3 });
    const first = map.words;
    assert.ok(first.byteLength < 256, 'an empty map is small');
    let tables = 1;
    let last = first;
    for (let i = 0; i < 5000; i++) {
      const at = map.insert(i);
      if (map.words !== last) {
        assert.equal(map.words.length, last.length * 2);
        last = map.words;
        tables++;
      }
      map.words[at] = i;
      map.words[at + 1] = ~i;
      const slots = map.end / map.stride;
      assert.ok(map.count * 2 <= slots);
    }
    assert.equal(tables, Math.log2(16384 / 8) + 1);
    for (let i = 0; i < 5000; i++) {
      const at = map.find(i);
      assert.deepEqual([map.words[at], map.words[at + 1]], [i, ~i]);
    }
    assert.equal(map.insert(5000), ERRNO.E2BIG);
    assert.equal(map.created, false);
    assert.equal(map.find(5000), -1);
    assert.deepEqual(map.stats, { refused: 1, evicted: 0 });
    assert.equal(map.words, last, 'a refused insertion does not grow the table');
  });

  test('removal leaves no tombstones: an emptied table is all zero', () => {
    for (const options of [{ seed: 1 }, { multipliers: new Int32Array(2) }]) {
      const map = new Hash1(specOf('hash', 4, 8, 64), options);
      for (let i = 0; i < 64; i++) {
        const at = map.insert(i);
        map.words[at] = -1;
      }
      for (let i = 63; i >= 0; i -= 2) map.remove(i);
      for (let i = 0; i < 64; i += 2) assert.equal(map.words[map.find(i)], -1);
      for (let i = 0; i < 64; i += 2) map.remove(i);
      assert.ok(map.words.every((word) => word === 0));
    }
  });

  test('copying a map into another of the same seed does not pile entries up', () => {
    const spec = specOf('hash', 4, 4, 20000);
    const from = new Hash1(spec, { seed: 4 });
    for (let i = 0; i < 20000; i++) from.insert(i);
    const to = new Hash1(spec, { seed: 4 });
    const keys = Array.from(from.entries(), ([key]) => new DataView(key.buffer).getUint32(0, true));
    for (const [i, key] of keys.entries()) {
      const at = to.insert(key) - 2;
      if (i % 97 !== 0) continue;
      const home = (to.words[at]! >>> to.shift) * to.stride;
      const slots = (at - home + (at < home ? to.end : 0)) / to.stride;
      assert.ok(slots < 100, `entry ${i} lies ${slots} slots behind its home`);
    }
  });
});
