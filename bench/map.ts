// How fast are the in-memory maps? Hits and misses of 16-byte keys against C++ on the same memory and layout, against a Map
// with built string keys, and against lru-cache. Output: suites for the harness. All peers look up the same keys in the
// same order and must find the same values.
import './v8-flags.ts';
import { LRUCache } from 'lru-cache';
import { Hash4, Lru4, type WordMap } from '../src/maps/index.ts';
import { bytes, struct, u32 } from '../src/layout/index.ts';
import type { MapKind, MapSpec } from '../src/schema/map-spec.ts';
import { type BenchSizes, FULL } from './sizes.ts';
import { isMain, loadReference, runSuites, type BenchCase, type BenchSuite } from './harness.ts';

const BATCH = 1 << 14;

const specOf = (kind: MapKind, valueBytes: number, maxEntries: number): MapSpec => ({
  name: 'weir_bench',
  kind,
  doc: 'Benchmark.',
  key: struct('weir_bench_key', 'Key.', { data: bytes(16, 'an IPv4 five-tuple in size') }),
  value: struct('weir_bench_value', 'Value.', { n: u32('number'), rest: bytes(valueBytes - 4, 'rest') }),
  maxEntries,
});

/** Random numbers that are the same every time (xorshift32). */
function randomWords(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x;
  };
}

/** Keys as 4 words each: addresses and ports of one cluster, so that most bits are alike. */
function makeKeys(count: number, seed: number, mark: number): Int32Array {
  const random = randomWords(seed);
  const keys = new Int32Array(count * 4);
  for (let i = 0; i < count; i++) {
    keys[4 * i] = 0x0a | ((i & 0xffff) << 16);
    keys[4 * i + 1] = 0x600a | ((random() & 0xff) << 24);
    keys[4 * i + 2] = random();
    keys[4 * i + 3] = 6 | mark | ((i >>> 16) << 8);
  }
  return keys;
}

/** `count` (rounded up to whole batches) draws of the given keys in random order. */
function draw(keys: Int32Array, count: number): Int32Array {
  const random = randomWords(99);
  const total = Math.max(Math.ceil(count / BATCH), 1) * BATCH;
  const out = new Int32Array(total * 4);
  for (let i = 0; i < total; i++) {
    const from = ((random() >>> 0) % (keys.length / 4)) * 4;
    for (let j = 0; j < 4; j++) out[4 * i + j] = keys[from + j]!;
  }
  return out;
}

function fill(map: Hash4 | Lru4, keys: Int32Array): void {
  for (let i = 0; i < keys.length; i += 4) {
    const at = map.insert(keys[i]!, keys[i + 1]!, keys[i + 2]!, keys[i + 3]!);
    map.words[at] = i >>> 2;
  }
}

/** A case over the queries, a batch at a time; `sum` looks up queries [from, from + count). */
function over(name: string, queries: Int32Array, sum: (from: number, count: number) => number): BenchCase {
  const total = queries.length / 4;
  let from = 0;
  return {
    name,
    batch: BATCH,
    run(): number {
      const result = sum(from, BATCH);
      from = from + BATCH === total ? 0 : from + BATCH;
      return result;
    },
    checksum: () => sum(0, total),
  };
}

function hashIndependent(map: Hash4, q: Int32Array, from: number, count: number): number {
  let sum = 0;
  for (let i = from * 4, end = i + count * 4; i < end; i += 4) {
    const at = map.find(q[i]!, q[i + 1]!, q[i + 2]!, q[i + 3]!);
    sum = (sum + (at < 0 ? -1 : map.words[at]!)) | 0;
  }
  return sum;
}

function hashDependent(map: Hash4, q: Int32Array, from: number, count: number): number {
  let sum = 0;
  let last = 0;
  for (let i = from * 4, end = i + count * 4; i < end; i += 4) {
    const at = map.find(q[i]! ^ (last >>> 31), q[i + 1]!, q[i + 2]!, q[i + 3]!);
    last = at < 0 ? 0x7fffffff : map.words[at]!;
    sum = (sum + last) | 0;
  }
  return sum;
}

function lruIndependent(map: Lru4, q: Int32Array, from: number, count: number): number {
  let sum = 0;
  for (let i = from * 4, end = i + count * 4; i < end; i += 4) {
    const at = map.find(q[i]!, q[i + 1]!, q[i + 2]!, q[i + 3]!);
    sum = (sum + (at < 0 ? -1 : map.words[at]!)) | 0;
  }
  return sum;
}

function lruDependent(map: Lru4, q: Int32Array, from: number, count: number): number {
  let sum = 0;
  let last = 0;
  for (let i = from * 4, end = i + count * 4; i < end; i += 4) {
    const at = map.find(q[i]! ^ (last >>> 31), q[i + 1]!, q[i + 2]!, q[i + 3]!);
    last = at < 0 ? 0x7fffffff : map.words[at]!;
    sum = (sum + last) | 0;
  }
  return sum;
}

/** The key as a string of 8 code units: the cheapest string that holds all of it. */
const text = (q: Int32Array, i: number): string =>
  String.fromCharCode(
    q[i]! & 0xffff,
    q[i]! >>> 16,
    q[i + 1]! & 0xffff,
    q[i + 1]! >>> 16,
    q[i + 2]! & 0xffff,
    q[i + 2]! >>> 16,
    q[i + 3]! & 0xffff,
    q[i + 3]! >>> 16,
  );

type Loop = (table: object, keys: Int32Array, from: number, count: number, dependent: boolean) => number;

const multipliersOf = ({ a0, b0, a1, b1, a2, b2, a3, b3 }: Hash4 | Lru4): Int32Array =>
  Int32Array.of(a0, b0, a1, b1, a2, b2, a3, b3);

/** What the C++ needs to see of a map. */
const tableOf = (map: (Hash4 | Lru4) & WordMap): object => {
  const { words, stride, shift } = map;
  const own = map instanceof Hash4 ? { end: map.end } : { index: map.index, state: map.state };
  return { words, stride, shift, multipliers: multipliersOf(map), ...own };
};

const NO_REFERENCE = 'C++ left out: run npm run build:native';

function nativeSuites(count: number, hash: Hash4, lru: Lru4, keys: Int32Array): BenchSuite[] {
  const native = loadReference() as { hash4: Loop; lru4: Loop } | undefined;
  const hits = draw(keys, count);
  const misses = draw(makeKeys(count, 3, 0x40), count);
  const note = native === undefined ? { note: NO_REFERENCE } : {};
  const peer = (loop: Loop | undefined, map: Hash4 | Lru4, queries: Int32Array, dependent: boolean): BenchCase[] => {
    if (loop === undefined) return [];
    const table = tableOf(map);
    return [over('C++', queries, (from, n) => loop(table, queries, from, n, dependent))];
  };
  const suite = (name: string, js: BenchCase, cpp: BenchCase[], atMost: number): BenchSuite => ({
    name: `${name}, ${count} entries`,
    cases: [js, ...cpp],
    targets: [{ of: 'Weir', against: 'C++', atMost }],
    ...note,
  });
  return [
    suite(
      'hash, dependent hits',
      over('Weir', hits, (f, n) => hashDependent(hash, hits, f, n)),
      peer(native?.hash4, hash, hits, true),
      1.4,
    ),
    suite(
      'hash, independent hits',
      over('Weir', hits, (f, n) => hashIndependent(hash, hits, f, n)),
      peer(native?.hash4, hash, hits, false),
      2.8,
    ),
    suite(
      'hash, misses',
      over('Weir', misses, (f, n) => hashIndependent(hash, misses, f, n)),
      peer(native?.hash4, hash, misses, false),
      2.8,
    ),
    suite(
      'lru-hash, dependent hits',
      over('Weir', hits, (f, n) => lruDependent(lru, hits, f, n)),
      peer(native?.lru4, lru, hits, true),
      1.5,
    ),
    suite(
      'lru-hash, independent hits',
      over('Weir', hits, (f, n) => lruIndependent(lru, hits, f, n)),
      peer(native?.lru4, lru, hits, false),
      3.5,
    ),
    suite(
      'lru-hash, misses',
      over('Weir', misses, (f, n) => lruIndependent(lru, misses, f, n)),
      peer(native?.lru4, lru, misses, false),
      2.8,
    ),
  ];
}

/** Hits against what JavaScript offers: keys must be built there, values are numbers, or objects for 64-byte entries. */
function peerSuites(count: number, hash: Hash4, lru: Lru4, keys: Int32Array): BenchSuite[] {
  const queries = draw(keys, count);
  const small = new Lru4(specOf('lru-hash', 8, count), { seed: 1 });
  fill(small, keys);
  const map = new Map<string, number>();
  const cache = new LRUCache<string, number>({ max: count });
  const entries = new LRUCache<string, { n: number; words: Int32Array }>({ max: count });
  for (let i = 0; i < keys.length; i += 4) {
    map.set(text(keys, i), i >>> 2);
    cache.set(text(keys, i), i >>> 2);
    entries.set(text(keys, i), { n: i >>> 2, words: new Int32Array(15) });
  }
  const sumOf = (get: (key: string) => number | undefined) => (from: number, n: number) => {
    let sum = 0;
    for (let i = from * 4, end = i + n * 4; i < end; i += 4) sum = (sum + (get(text(queries, i)) ?? -1)) | 0;
    return sum;
  };
  const cacheName = 'lru-cache, built string keys';
  return [
    {
      name: `hits against Map and lru-cache, values of 8 bytes, ${count} entries`,
      cases: [
        over('Weir hash', queries, (f, n) => hashIndependent(hash, queries, f, n)),
        over('Weir lru-hash', queries, (f, n) => lruIndependent(small, queries, f, n)),
        over(
          'Map, built string keys',
          queries,
          sumOf((key) => map.get(key)),
        ),
        over(
          cacheName,
          queries,
          sumOf((key) => cache.get(key)),
        ),
      ],
      targets: [
        { of: 'Weir hash', against: 'Map, built string keys', atMost: 1 / 6 },
        { of: 'Weir hash', against: cacheName, atMost: 1 / 8 },
        { of: 'Weir lru-hash', against: cacheName, atMost: 1 / 6 },
      ],
    },
    {
      name: `hits against lru-cache, values of 64 bytes, ${count} entries`,
      cases: [
        over('Weir lru-hash', queries, (f, n) => lruIndependent(lru, queries, f, n)),
        over(
          cacheName,
          queries,
          sumOf((key) => entries.get(key)?.n),
        ),
      ],
      targets: [{ of: 'Weir lru-hash', against: cacheName, atMost: 1 / 6 }],
    },
    evictionSuite(count),
  ];
}

/** Get or insert at capacity, from four times as many keys of which some are much more frequent. */
function evictionSuite(capacity: number): BenchSuite {
  const keys = makeKeys(capacity * 4, 5, 0);
  const random = randomWords(17);
  const total = BATCH * 64;
  const queries = new Int32Array(total * 4);
  for (let i = 0; i < total; i++) {
    const u = (random() >>> 0) / 0x100000000;
    const from = Math.floor(u * u * u * capacity * 4) * 4;
    for (let j = 0; j < 4; j++) queries[4 * i + j] = keys[from + j]!;
  }
  const flat = new Lru4(specOf('lru-hash', 64, capacity), { seed: 2 });
  const cache = new LRUCache<string, { n: number }>({ max: capacity });
  const weir = (from: number, n: number): number => {
    let made = 0;
    for (let i = from * 4, end = i + n * 4; i < end; i += 4) {
      const at = flat.insert(queries[i]!, queries[i + 1]!, queries[i + 2]!, queries[i + 3]!);
      if (flat.created) made++;
      flat.words[at]!++;
    }
    return made;
  };
  const peer = (from: number, n: number): number => {
    let made = 0;
    for (let i = from * 4, end = i + n * 4; i < end; i += 4) {
      const key = text(queries, i);
      const entry = cache.get(key);
      if (entry === undefined) {
        made++;
        cache.set(key, { n: 1 });
      } else entry.n++;
    }
    return made;
  };
  weir(0, total);
  peer(0, total);
  const made = [weir(0, total), peer(0, total)].map((n) => (1 - n / total).toFixed(3));
  const open = ({ name, batch, run }: BenchCase): BenchCase => ({ name, batch, run });
  return {
    name: `get or insert in a full LRU of ${capacity}`,
    cases: [open(over('Weir lru-hash', queries, weir)), open(over('lru-cache, built string keys', queries, peer))],
    targets: [{ of: 'Weir lru-hash', against: 'lru-cache, built string keys', atMost: 1 / 6 }],
    note: `share of hits: Weir ${made[0]!}, lru-cache ${made[1]!}`,
  };
}

/** All suites, made one after the other so that only one table of each kind is alive. */
export function* suites({ maps: sizes, mapPeers }: BenchSizes = FULL): Generator<BenchSuite> {
  for (const count of sizes) {
    const keys = makeKeys(count, 7, 0);
    const hash = new Hash4(specOf('hash', 8, count), { seed: 1 });
    const lru = new Lru4(specOf('lru-hash', 64, count), { seed: 1 });
    fill(hash, keys);
    fill(lru, keys);
    yield* nativeSuites(count, hash, lru, keys);
    if (count === mapPeers) yield* peerSuites(count, hash, lru, keys);
  }
}

if (isMain(import.meta.url)) runSuites(suites());
