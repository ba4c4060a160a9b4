// The suite that every ByteMap passes, whichever engine it belongs to. It asserts what Linux promises (bpf(2), checked on
// kernel 6.18) and no more: LRU eviction is tested by bounds, never by victim; an LPM key's bits behind its prefix are not
// compared, since the kernel keeps them as given. Input: a way to make maps. Output: registered node:test tests.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ByteMap } from '../../src/maps/byte-map.ts';
import { ERRNO, UPDATE, type MapKind, type MapSpec, type UpdateFlag } from '../../src/schema/map-spec.ts';
import { canonicalPrefix, fromNumber, prefixKey, specOf, textOf } from '../support/maps/specs.ts';

/** What the suite needs of an engine. */
export interface ByteMapSuite {
  /** Name of the engine. */
  readonly name: string;
  make(spec: MapSpec): ByteMap;
  /** Gives a map back when its test is over. */
  dispose?(map: ByteMap): void;
  /** Tests, by full name, that this engine cannot pass, with the reason. */
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[];
}

const HASHES: readonly MapKind[] = ['hash', 'lru-hash'];
/** Key and value sizes in bytes: one word, odd ones, an IPv4 and an IPv6 connection. */
const SIZES: readonly (readonly [number, number])[] = [
  [4, 4],
  [4, 8],
  [6, 7],
  [8, 16],
  [12, 4],
  [16, 8],
  [20, 64],
  [36, 12],
  [40, 64],
  [48, 56],
];

function found(map: ByteMap, key: Uint8Array): Uint8Array | undefined {
  const value = new Uint8Array(sizeOfValue(map)).fill(0xa5);
  return map.lookup(key, value) ? value : undefined;
}

const sizeOfValue = ({ spec }: ByteMap): number => spec.value.bytes * (spec.innerEntries ?? 1);

/** Keys by nextKey, from the first; fails rather than walk for ever. */
function walk(map: ByteMap, bound: number): Uint8Array[] {
  const keys: Uint8Array[] = [];
  const out = new Uint8Array(map.spec.key.bytes);
  for (let after: Uint8Array | undefined; map.nextKey(after, out);) {
    after = out.slice();
    keys.push(after);
    assert.ok(keys.length <= bound, 'the walk does not end');
  }
  return keys;
}

const texts = (keys: Iterable<Uint8Array>): string[] => Array.from(keys, textOf).sort();

/** Registers the suite for one engine. */
export function runByteMapSuite(suite: ByteMapSuite): void {
  const reasons = new Map(suite.skip?.flatMap(({ reason, tests }) => tests.map((name) => [name, reason] as const)));
  const unused = new Set(reasons.keys());

  const check = (name: string, spec: MapSpec, body: (map: ByteMap, spec: MapSpec) => void): void => {
    const skip = reasons.get(name) ?? false;
    unused.delete(name);
    test(name, { skip }, () => {
      const map = suite.make(spec);
      try {
        body(map, spec);
      } finally {
        suite.dispose?.(map);
      }
    });
  };

  describe(`ByteMap: ${suite.name}`, () => {
    for (const kind of HASHES) {
      for (const [keyBytes, valueSize] of SIZES) hashTests(check, kind, keyBytes, valueSize);
      walkTests(
        check,
        kind,
        specOf(kind, 16, 8, 4096),
        (n) => fromNumber(n, 16),
        (n) => fromNumber(n, 8),
      );
    }
    fullHashTests(check);
    lruTests(check);
    for (const kind of ['array', 'percpu-array'] as const) arrayTests(check, kind);
    lpmTests(check);
    walkTests(
      check,
      'lpm-trie',
      specOf('lpm-trie', 8, 8, 4096),
      (n) => prefixKey(32, [10, n >>> 16, n >>> 8, n]),
      (n) => fromNumber(n, 8),
    );
    tableTests(check);
    walkTests(
      check,
      'array-of-arrays',
      specOf('array-of-arrays', 4, 0, 128, 3),
      (n) => fromNumber(n, 4),
      (n) => fromNumber(n % 5, 12),
      100,
    );

    test('every skipped test exists', () => {
      assert.deepEqual([...unused], []);
    });
  });
}

type Check = (name: string, spec: MapSpec, body: (map: ByteMap, spec: MapSpec) => void) => void;

function hashTests(check: Check, kind: MapKind, keyBytes: number, valueSize: number): void {
  const title = `${kind} ${keyBytes}/${valueSize}`;
  const key = (n: number): Uint8Array => fromNumber(n, keyBytes);
  const value = (n: number): Uint8Array => fromNumber(n, valueSize);

  check(`${title}: holds what was written, replaces and deletes`, specOf(kind, keyBytes, valueSize, 1024), (map) => {
    assert.equal(map.update(key(1), value(1)), 0);
    assert.equal(map.update(key(2), value(2)), 0);
    assert.deepEqual(found(map, key(1)), value(1));
    assert.deepEqual(found(map, key(2)), value(2));
    assert.equal(found(map, key(3)), undefined);
    assert.equal(map.update(key(1), value(9)), 0);
    assert.deepEqual(found(map, key(1)), value(9));
    assert.equal(map.size, 2);
    assert.equal(map.delete(key(1)), 0);
    assert.equal(map.delete(key(1)), ERRNO.ENOENT);
    assert.equal(found(map, key(1)), undefined);
    assert.deepEqual(found(map, key(2)), value(2));
    assert.equal(map.size, 1);
    assert.equal(map.update(key(1), new Uint8Array(valueSize)), 0);
    assert.deepEqual(found(map, key(1)), new Uint8Array(valueSize), 'nothing of the former value is left');
  });

  check(`${title}: every byte of the key counts`, specOf(kind, keyBytes, valueSize, 1024), (map) => {
    const base = key(0x5a5a5a5a);
    assert.equal(map.update(base, value(0)), 0);
    for (let i = 0; i < keyBytes; i++) {
      const other = base.slice();
      other[i]! ^= 0x80;
      assert.equal(found(map, other), undefined, `byte ${i}`);
      assert.equal(map.update(other, value(i + 1)), 0);
    }
    assert.equal(map.size, keyBytes + 1);
    assert.deepEqual(found(map, base), value(0));
    for (const extreme of [0, 0xff]) {
      const all = new Uint8Array(keyBytes).fill(extreme);
      assert.equal(map.update(all, value(extreme)), 0);
      assert.deepEqual(found(map, all), value(extreme));
    }
  });

  check(`${title}: update flags`, specOf(kind, keyBytes, valueSize, 1024), (map) => {
    assert.equal(map.update(key(1), value(1), UPDATE.EXIST), ERRNO.ENOENT);
    assert.equal(found(map, key(1)), undefined);
    assert.equal(map.update(key(1), value(1), UPDATE.NOEXIST), 0);
    assert.equal(map.update(key(1), value(2), UPDATE.NOEXIST), ERRNO.EEXIST);
    assert.deepEqual(found(map, key(1)), value(1));
    assert.equal(map.update(key(1), value(3), UPDATE.EXIST), 0);
    assert.deepEqual(found(map, key(1)), value(3));
    assert.equal(map.update(key(1), value(4), 3 as UpdateFlag), ERRNO.EINVAL);
    assert.deepEqual(found(map, key(1)), value(3));
  });

  check(`${title}: refuses other sizes`, specOf(kind, keyBytes, valueSize, 1024), (map) => {
    for (const wrong of [0, keyBytes - 1, keyBytes + 1]) {
      assert.equal(map.update(new Uint8Array(wrong), value(1)), ERRNO.EINVAL);
      assert.equal(map.delete(new Uint8Array(wrong)), ERRNO.EINVAL);
      assert.equal(found(map, new Uint8Array(wrong)), undefined);
    }
    for (const wrong of [0, valueSize - 1, valueSize + 1])
      assert.equal(map.update(key(1), new Uint8Array(wrong)), ERRNO.EINVAL);
    assert.equal(map.update(key(1), value(1)), 0);
    assert.equal(map.lookup(key(1), new Uint8Array(valueSize - 1)), false);
    const longer = new Uint8Array(valueSize + 3).fill(0xa5);
    assert.equal(map.lookup(key(1), longer), true);
    assert.deepEqual(longer.subarray(0, valueSize), value(1));
    assert.deepEqual([...longer.subarray(valueSize)], [0xa5, 0xa5, 0xa5]);
  });
}

/** Walks: `count` entries made by `key` and `value`, in a map that holds more. */
function walkTests(
  check: Check,
  title: string,
  spec: MapSpec,
  key: (n: number) => Uint8Array,
  value: (n: number) => Uint8Array,
  count = 1000,
): void {
  const fill = (map: ByteMap): void => {
    for (let n = 0; n < count; n++) assert.equal(map.update(key(n), value(n)), 0);
  };
  const all = texts(Array.from({ length: count }, (_, n) => key(n)));

  check(`${title}: nextKey visits every key once and ends`, spec, (map) => {
    const none = new Uint8Array(spec.key.bytes);
    assert.equal(map.nextKey(undefined, none), false, 'an empty map has no first key');
    fill(map);
    assert.equal(map.size, count);
    assert.deepEqual(texts(walk(map, count)), all);
  });

  check(`${title}: nextKey after a key that is gone starts again`, spec, (map) => {
    fill(map);
    const first = new Uint8Array(spec.key.bytes);
    const out = new Uint8Array(spec.key.bytes);
    assert.equal(map.nextKey(undefined, first), true);
    assert.equal(map.nextKey(key(4 * count), out), true);
    assert.deepEqual(out, first);
  });

  check(`${title}: a walk that asks for the next key and then deletes empties the map`, spec, (map) => {
    fill(map);
    let current = new Uint8Array(spec.key.bytes);
    let next = new Uint8Array(spec.key.bytes);
    let deleted = 0;
    for (let more = map.nextKey(undefined, current); more; deleted++) {
      more = map.nextKey(current, next);
      assert.equal(map.delete(current), 0);
      [current, next] = [next, current];
    }
    assert.equal(deleted, count);
    assert.equal(map.size, 0);
  });

  check(`${title}: entries gives every pair`, spec, (map) => {
    fill(map);
    const seen = new Map<string, string>();
    for (const [k, v] of map.entries()) seen.set(textOf(k), textOf(v));
    assert.equal(seen.size, count);
    for (let n = 0; n < count; n++) assert.equal(seen.get(textOf(key(n))), textOf(value(n)));
  });

  check(`${title}: untouched entries are seen while others are deleted and added`, spec, (map) => {
    fill(map);
    const untouched = new Set(all.filter((_, i) => i % 3 === 0));
    let added = 0;
    for (const [k] of map.entries()) {
      if (untouched.delete(textOf(k))) continue;
      if (added % 2 === 0) map.delete(k);
      if (++added < count / 10) map.update(key(count + added), value(added));
    }
    assert.deepEqual([...untouched], []);
  });

  check(`${title}: copies are the caller's`, spec, (map) => {
    const k = key(1);
    const v = value(1);
    assert.equal(map.update(k, v), 0);
    k.fill(0xee);
    v.fill(0xee);
    for (const [a, b] of map.entries()) {
      assert.deepEqual([a, b], [key(1), value(1)]);
      a.fill(0);
      b.fill(0);
    }
    assert.deepEqual(found(map, key(1)), value(1));
  });
}

function fullHashTests(check: Check): void {
  for (const max of [1, 2, 7, 64, 100]) {
    check(`hash: full at ${max}`, specOf('hash', 8, 4, max), (map) => {
      for (let n = 0; n < max; n++) assert.equal(map.update(fromNumber(n, 8), fromNumber(n, 4)), 0);
      assert.equal(map.update(fromNumber(max, 8), fromNumber(0, 4)), ERRNO.E2BIG);
      assert.equal(map.update(fromNumber(max, 8), fromNumber(0, 4), UPDATE.NOEXIST), ERRNO.E2BIG);
      assert.equal(map.update(fromNumber(max, 8), fromNumber(0, 4), UPDATE.EXIST), ERRNO.ENOENT);
      assert.equal(map.update(fromNumber(0, 8), fromNumber(77, 4)), 0, 'replacing needs no room');
      assert.equal(map.size, max);
      assert.deepEqual(found(map, fromNumber(0, 8)), fromNumber(77, 4));
      for (let n = 1; n < max; n++) assert.deepEqual(found(map, fromNumber(n, 8)), fromNumber(n, 4));
      assert.ok(map.stats.refused >= 1);
      assert.equal(map.delete(fromNumber(0, 8)), 0);
      assert.equal(map.update(fromNumber(max, 8), fromNumber(5, 4)), 0, 'room again');
    });
  }
}

function lruTests(check: Check): void {
  for (const max of [64, 1024]) {
    check(`lru-hash: admits everything at ${max}, holds at most that many`, specOf('lru-hash', 16, 8, max), (map) => {
      const total = max * 5;
      for (let n = 0; n < total; n++) {
        assert.equal(map.update(fromNumber(n, 16), fromNumber(n, 8)), 0);
        assert.deepEqual(found(map, fromNumber(n, 16)), fromNumber(n, 8), 'the newest is there');
      }
      let resident = 0;
      for (let n = 0; n < total; n++) {
        const value = found(map, fromNumber(n, 16));
        if (value === undefined) continue;
        resident++;
        assert.deepEqual(value, fromNumber(n, 8));
      }
      assert.ok(resident <= max, `${resident} of ${max}`);
      assert.ok(resident >= max / 4, `${resident} of ${max}`);
      assert.equal(walk(map, max).length, resident);
    });
  }
  check('lru-hash: flags in a full map', specOf('lru-hash', 16, 8, 64), (map) => {
    for (let n = 0; n < 200; n++) assert.equal(map.update(fromNumber(n, 16), fromNumber(n, 8)), 0);
    assert.equal(map.update(fromNumber(199, 16), fromNumber(1, 8), UPDATE.NOEXIST), ERRNO.EEXIST);
    assert.equal(map.update(fromNumber(500, 16), fromNumber(1, 8), UPDATE.EXIST), ERRNO.ENOENT);
    assert.equal(map.update(fromNumber(500, 16), fromNumber(1, 8), UPDATE.NOEXIST), 0);
  });
}

function arrayTests(check: Check, kind: 'array' | 'percpu-array'): void {
  const index = (n: number): Uint8Array => fromNumber(n, 4);
  check(`${kind}: zero at the start, every index there`, specOf(kind, 4, 12, 5), (map) => {
    assert.equal(map.size, 5);
    for (let n = 0; n < 5; n++) assert.deepEqual(found(map, index(n)), new Uint8Array(12));
    assert.equal(found(map, index(5)), undefined);
    assert.equal(found(map, index(0xffffffff)), undefined);
    assert.deepEqual(walk(map, 5), [0, 1, 2, 3, 4].map(index), 'in order');
    assert.deepEqual(
      Array.from(map.entries(), ([k]) => k),
      [0, 1, 2, 3, 4].map(index),
    );
  });
  check(`${kind}: updates, flags, no delete`, specOf(kind, 4, 12, 5), (map) => {
    assert.equal(map.update(index(3), fromNumber(9, 12)), 0);
    assert.equal(map.update(index(4), fromNumber(8, 12), UPDATE.EXIST), 0);
    assert.equal(map.update(index(3), fromNumber(7, 12), UPDATE.NOEXIST), ERRNO.EEXIST);
    assert.equal(map.update(index(5), fromNumber(7, 12)), ERRNO.E2BIG);
    assert.equal(map.update(index(5), fromNumber(7, 12), UPDATE.NOEXIST), ERRNO.E2BIG);
    assert.equal(map.update(index(0xffffffff), fromNumber(7, 12)), ERRNO.E2BIG);
    assert.equal(map.update(index(3), fromNumber(7, 12), 3 as UpdateFlag), ERRNO.EINVAL);
    assert.equal(map.update(index(3), fromNumber(7, 11)), ERRNO.EINVAL);
    assert.equal(map.update(new Uint8Array(3), fromNumber(7, 12)), ERRNO.EINVAL);
    assert.equal(map.delete(index(3)), ERRNO.EINVAL);
    assert.equal(map.delete(index(9)), ERRNO.EINVAL);
    assert.deepEqual(found(map, index(3)), fromNumber(9, 12));
    assert.deepEqual(found(map, index(4)), fromNumber(8, 12));
    assert.deepEqual(found(map, index(2)), new Uint8Array(12));
    const out = new Uint8Array(4);
    assert.equal(map.nextKey(index(4), out), false);
    assert.equal(map.nextKey(index(77), out), true);
    assert.deepEqual(out, index(0));
  });
}

function lpmTests(check: Check): void {
  const v = (n: number): Uint8Array => fromNumber(n, 4);
  check('lpm-trie: the longest prefix wins', specOf('lpm-trie', 8, 4, 64), (map) => {
    for (const [n, bits, data] of [
      [1, 8, [10, 0, 0, 0]],
      [2, 16, [10, 2, 0, 0]],
      [3, 32, [10, 2, 0, 1]],
      [4, 23, [10, 2, 4, 0]],
      [5, 0, [0, 0, 0, 0]],
    ] as const) {
      assert.equal(map.update(prefixKey(bits, data), v(n)), 0);
    }
    const at = (...data: number[]): number | undefined => found(map, prefixKey(32, data))?.[0];
    assert.equal(at(10, 2, 0, 1), 3);
    assert.equal(at(10, 2, 0, 2), 2);
    assert.equal(at(10, 2, 5, 255), 4);
    assert.equal(at(10, 2, 6, 0), 2);
    assert.equal(at(10, 3, 0, 0), 1);
    assert.equal(at(11, 2, 0, 1), 5);
    assert.equal(map.delete(prefixKey(0, [9, 9, 9, 9])), 0);
    assert.equal(at(11, 2, 0, 1), undefined);
    assert.equal(map.delete(prefixKey(16, [10, 2, 0, 0])), 0);
    assert.equal(at(10, 2, 0, 2), 1);
    assert.equal(map.delete(prefixKey(16, [10, 2, 0, 0])), ERRNO.ENOENT);
    assert.equal(map.delete(prefixKey(15, [10, 2, 0, 0])), ERRNO.ENOENT);
  });
  check('lpm-trie: a lookup goes no deeper than its own length', specOf('lpm-trie', 8, 4, 64), (map) => {
    map.update(prefixKey(8, [10, 0, 0, 0]), v(1));
    map.update(prefixKey(16, [10, 2, 0, 0]), v(2));
    map.update(prefixKey(32, [10, 2, 0, 1]), v(3));
    const upTo = (bits: number): number | undefined => found(map, prefixKey(bits, [10, 2, 0, 1]))?.[0];
    assert.deepEqual([32, 31, 16, 15, 8, 7, 0].map(upTo), [3, 2, 2, 1, 1, undefined, undefined]);
  });
  check('lpm-trie: bits behind the prefix do not matter', specOf('lpm-trie', 8, 4, 64), (map) => {
    assert.equal(map.update(prefixKey(12, [10, 0x2f, 1, 1]), v(1)), 0);
    assert.equal(map.update(prefixKey(12, [10, 0x20, 2, 2]), v(2), UPDATE.NOEXIST), ERRNO.EEXIST);
    assert.equal(map.update(prefixKey(12, [10, 0x23, 2, 2]), v(2), UPDATE.EXIST), 0);
    assert.equal(map.size, 1);
    assert.deepEqual(walk(map, 1).map(canonicalPrefix), [prefixKey(12, [10, 0x20, 0, 0])]);
    for (const junk of [0, 1, 0x7f, 0x80, 0xff]) {
      assert.equal(
        map.nextKey(prefixKey(12, [10, 0x2a, junk, junk]), new Uint8Array(8)),
        false,
        'the only key is the last',
      );
    }
    assert.equal(map.delete(prefixKey(12, [10, 0x2c, 0, 0])), 0);
    assert.equal(map.size, 0);
  });
  check('lpm-trie: bounds of length, flags and entries', specOf('lpm-trie', 8, 4, 2), (map) => {
    const ten = [10, 0, 0, 0];
    assert.equal(map.update(prefixKey(33, ten), v(1)), ERRNO.EINVAL);
    assert.equal(map.update(prefixKey(0xffffffff, ten), v(1), UPDATE.EXIST), ERRNO.EINVAL);
    assert.equal(map.delete(prefixKey(33, ten)), ERRNO.EINVAL);
    assert.equal(found(map, prefixKey(33, ten)), undefined);
    assert.equal(map.update(prefixKey(8, ten), v(1), 3 as UpdateFlag), ERRNO.EINVAL);
    assert.equal(map.update(prefixKey(8, ten), v(1), UPDATE.EXIST), ERRNO.ENOENT);
    assert.equal(map.update(prefixKey(8, ten), v(1)), 0);
    assert.equal(map.update(prefixKey(9, ten), v(2)), 0);
    assert.equal(map.update(prefixKey(10, ten), v(3)), ERRNO.ENOSPC);
    assert.equal(map.update(prefixKey(10, ten), v(3), UPDATE.NOEXIST), ERRNO.ENOSPC);
    assert.equal(map.update(prefixKey(10, ten), v(3), UPDATE.EXIST), ERRNO.ENOENT);
    assert.equal(map.update(prefixKey(9, ten), v(4)), 0);
    assert.deepEqual(found(map, prefixKey(32, ten)), v(4));
    assert.ok(map.stats.refused >= 1);
  });
  for (const dataBytes of [4, 8, 12, 16, 20, 24]) {
    check(`lpm-trie: every length of ${dataBytes} data bytes`, specOf('lpm-trie', 4 + dataBytes, 4, 256), (map) => {
      const ones = new Array<number>(dataBytes).fill(0xff);
      const bits = dataBytes * 8;
      for (let n = 0; n <= bits; n++) assert.equal(map.update(prefixKey(n, ones), v(n)), 0);
      for (let n = 0; n <= bits; n++) {
        const data = ones.slice();
        if (n < bits) data[n >>> 3]! ^= 0x80 >>> (n & 7); // the first n bits agree, no more
        assert.deepEqual(found(map, prefixKey(bits, data)), v(n), `${n} bits`);
      }
      for (let n = 0; n <= bits; n += 2) assert.equal(map.delete(prefixKey(n, ones)), 0);
      for (let n = 1; n < bits; n++) {
        const data = ones.slice();
        data[n >>> 3]! ^= 0x80 >>> (n & 7);
        assert.deepEqual(found(map, prefixKey(bits, data)), v(n % 2 === 1 ? n : n - 1), `${n} bits`);
      }
    });
  }
}

function tableTests(check: Check): void {
  const table = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
  const key = (n: number): Uint8Array => fromNumber(n, 4);
  check('array-of-arrays: whole tables, by index', specOf('array-of-arrays', 4, 0, 3, 4), (map) => {
    assert.equal(map.update(key(0), table(1, 2, 3, 0xffffffff)), 0);
    assert.equal(map.update(key(1), table(1, 2, 3, 0xffffffff)), 0);
    assert.equal(found(map, key(2)), undefined, 'an index without a table');
    assert.equal(map.size, 2);
    assert.equal(map.update(key(2), table(4, 3, 2, 1)), 0);
    assert.equal(map.size, 3);
    for (const beyond of [3, 0xffffffff]) {
      assert.equal(map.update(key(beyond), table(4, 3, 2, 1)), ERRNO.E2BIG);
      assert.equal(map.delete(key(beyond)), ERRNO.E2BIG);
      assert.equal(found(map, key(beyond)), undefined);
    }
    assert.equal(map.update(key(0), table(5, 5, 5, 5)), 0, 'replaced');
    assert.deepEqual(found(map, key(0)), table(5, 5, 5, 5));
    assert.deepEqual(found(map, key(1)), table(1, 2, 3, 0xffffffff), 'an equal table of another index stays');
    assert.equal(map.update(key(1), table(6, 6, 6, 6)), 0);
    assert.deepEqual(found(map, key(1)), table(6, 6, 6, 6));
    assert.equal(map.delete(key(2)), 0);
    assert.equal(map.delete(key(2)), ERRNO.ENOENT);
    assert.equal(found(map, key(2)), undefined);
    assert.equal(map.size, 2);
    assert.equal(map.update(key(2), table(7, 7, 7, 7)), 0);
    assert.deepEqual(found(map, key(2)), table(7, 7, 7, 7));
    assert.deepEqual(found(map, key(1)), table(6, 6, 6, 6));
  });
  check('array-of-arrays: walks pass over indices without a table', specOf('array-of-arrays', 4, 0, 300, 4), (map) => {
    for (const n of [299, 7, 150]) assert.equal(map.update(key(n), table(n, 0, 0, 0)), 0);
    assert.deepEqual(walk(map, 300), [key(7), key(150), key(299)]);
    assert.deepEqual(
      Array.from(map.entries(), ([, value]) => value),
      [table(7, 0, 0, 0), table(150, 0, 0, 0), table(299, 0, 0, 0)],
    );
    assert.equal(map.delete(key(150)), 0);
    assert.deepEqual(walk(map, 300), [key(7), key(299)]);
  });
  check('array-of-arrays: flags and sizes', specOf('array-of-arrays', 4, 0, 3, 4), (map) => {
    assert.equal(map.update(key(1), table(1, 1, 1, 1)), 0);
    for (const flag of [UPDATE.EXIST, UPDATE.NOEXIST, 3 as UpdateFlag])
      assert.equal(map.update(key(1), table(2, 1, 1, 1), flag), ERRNO.EINVAL);
    assert.equal(map.update(key(1), table(2, 1, 1), UPDATE.ANY), ERRNO.EINVAL);
    assert.equal(map.delete(new Uint8Array(8)), ERRNO.EINVAL);
    assert.deepEqual(found(map, key(1)), table(1, 1, 1, 1));
  });
}
