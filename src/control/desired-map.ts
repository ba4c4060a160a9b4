// What a map should hold: entries as bytes, sorted by key, in flat arrays. Input: keys and values as they lie in the map.
// Output: DesiredMap, which can be searched, walked and compared with another in one pass.
// Invariant: keys are unique; bytes handed out are views of the map's own and must not be changed.
import { bytesOf, type LazyBytes } from '../maps/map-write.ts';
import type { MapSpec } from '../schema/index.ts';

/** The desired content of one map. */
export class DesiredMap {
  readonly spec: MapSpec;
  readonly size: number;
  /** Keys in ascending order of their 32-bit words, one after the other. */
  private readonly keys: Uint8Array;
  private readonly keyWords: Uint32Array;
  private readonly values: readonly (Uint8Array | LazyBytes)[] | Uint8Array;

  constructor(spec: MapSpec, keys: Uint8Array, values: readonly (Uint8Array | LazyBytes)[] | Uint8Array) {
    this.spec = spec;
    this.size = keys.length / spec.key.bytes;
    this.keys = keys;
    this.keyWords = new Uint32Array(keys.buffer, keys.byteOffset, keys.length >>> 2);
    this.values = values;
  }

  /** The key at a place, 0..size-1. */
  keyAt(index: number): Uint8Array {
    const { bytes } = this.spec.key;
    return this.keys.subarray(index * bytes, (index + 1) * bytes);
  }

  /** The value at a place. */
  valueAt(index: number): Uint8Array {
    const { values } = this;
    if (!(values instanceof Uint8Array)) return bytesOf(values[index]!);
    const { bytes } = this.spec.value;
    return values.subarray(index * bytes, (index + 1) * bytes);
  }

  /** The value as it is kept: of an array-of-arrays it may be lazy. */
  keptAt(index: number): Uint8Array | LazyBytes {
    const { values } = this;
    return values instanceof Uint8Array ? this.valueAt(index) : values[index]!;
  }

  /** The value of a key, or undefined. */
  get(key: Uint8Array): Uint8Array | undefined {
    const words = wordsOf(key);
    const width = words.length;
    let low = 0;
    let high = this.size - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = compareWords(this.keyWords, middle * width, words, 0, width);
      if (order === 0) return this.valueAt(middle);
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** Entries in key order. */
  *[Symbol.iterator](): IterableIterator<readonly [Uint8Array, Uint8Array]> {
    for (let i = 0; i < this.size; i++) yield [this.keyAt(i), this.valueAt(i)];
  }

  /** Order of the key at `index` and another map's key at `otherIndex`: negative, 0 or positive. */
  compareKeys(index: number, other: DesiredMap, otherIndex: number): number {
    const width = this.spec.key.bytes >>> 2;
    return compareWords(this.keyWords, index * width, other.keyWords, otherIndex * width, width);
  }
}

function wordsOf(key: Uint8Array): Uint32Array {
  return new Uint32Array(key.slice().buffer);
}

function compareWords(a: Uint32Array, at: number, b: Uint32Array, bt: number, width: number): number {
  for (let i = 0; i < width; i++) {
    const difference = a[at + i]! - b[bt + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Collects entries in any order. A key that is set again takes the last value. */
export class MapBuilder {
  private readonly spec: MapSpec;
  private readonly wide: boolean;
  private keys: Uint32Array;
  private values: Uint8Array;
  private readonly arrays: (Uint8Array | LazyBytes)[] = [];
  private count = 0;

  constructor(spec: MapSpec) {
    this.spec = spec;
    this.wide = spec.kind === 'array-of-arrays';
    this.keys = new Uint32Array(16 * (spec.key.bytes >>> 2));
    this.values = new Uint8Array(this.wide ? 0 : 16 * spec.value.bytes);
  }

  get size(): number {
    return this.count;
  }

  /** Adds an entry. The value of an array-of-arrays is kept, not copied, and may be lazy; others are copied. */
  set(key: Uint8Array, value: Uint8Array | LazyBytes): void {
    this.reserve();
    const width = this.spec.key.bytes;
    new Uint8Array(this.keys.buffer).set(key.subarray(0, width), this.count * width);
    if (this.wide) this.arrays.push(value);
    else this.values.set(bytesOf(value).subarray(0, this.spec.value.bytes), this.count * this.spec.value.bytes);
    this.count++;
  }

  private reserve(): void {
    const width = this.spec.key.bytes >>> 2;
    if ((this.count + 1) * width <= this.keys.length) return;
    const keys = new Uint32Array(this.keys.length * 2);
    keys.set(this.keys);
    this.keys = keys;
    if (this.wide) return;
    const values = new Uint8Array(this.values.length * 2);
    values.set(this.values);
    this.values = values;
  }

  /** The map, sorted. */
  finish(): DesiredMap {
    const { spec } = this;
    const width = spec.key.bytes >>> 2;
    const order = this.order(width);
    const keys = new Uint32Array(order.length * width);
    order.forEach((from, to) => keys.set(this.keys.subarray(from * width, (from + 1) * width), to * width));
    const keyBytes = new Uint8Array(keys.buffer);
    if (this.wide)
      return new DesiredMap(
        spec,
        keyBytes,
        [...order].map((from) => this.arrays[from]!),
      );
    const { bytes } = spec.value;
    const values = new Uint8Array(order.length * bytes);
    order.forEach((from, to) => values.set(this.values.subarray(from * bytes, (from + 1) * bytes), to * bytes));
    return new DesiredMap(spec, keyBytes, values);
  }

  /** Places of the entries in key order; of equal keys the last. */
  private order(width: number): Uint32Array {
    const order = new Uint32Array(this.count);
    let sorted = true;
    for (let i = 0; i < this.count; i++) {
      order[i] = i;
      if (i > 0 && compareWords(this.keys, (i - 1) * width, this.keys, i * width, width) >= 0) sorted = false;
    }
    if (sorted) return order;
    order.sort((a, b) => compareWords(this.keys, a * width, this.keys, b * width, width) || a - b);
    return order.filter(
      (place, i) =>
        i + 1 === order.length || compareWords(this.keys, place * width, this.keys, order[i + 1]! * width, width) !== 0,
    );
  }
}

/** The maps that control owns. */
export type CompiledMapName =
  | 'config'
  | 'vlans'
  | 'announced4'
  | 'announced6'
  | 'limits'
  | 'services4'
  | 'services6'
  | 'backends4'
  | 'backends6'
  | 'reverseNat4'
  | 'reverseNat6'
  | 'maglev4'
  | 'maglev6'
  | 'maglevPrevious4'
  | 'maglevPrevious6'
  | 'affinityMatch'
  | 'nodes4'
  | 'nodes6'
  | 'noMasquerade4'
  | 'noMasquerade6'
  | 'routes4'
  | 'routes6'
  | 'neighbours4'
  | 'neighbours6'
  | 'sourceRange4'
  | 'sourceRange6'
  | 'scaleToZero'
  | 'policy'
  | 'policyMeta'
  | 'ipcache4'
  | 'ipcache6'
  | 'endpoints4'
  | 'endpoints6';

/** Desired content by map. A map's spec tells its bounds, Maglev's table size included. */
export type DesiredMaps = { readonly [M in CompiledMapName]: DesiredMap };
