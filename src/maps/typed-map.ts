// TypedMap: a ByteMap seen through the codecs of its spec, for control, tests and the command line. Never on a hot path.
// Input: decoded keys and values. Output: the same, or a negative errno. Invariant: adds nothing to the map's own promises.
import type { StructType, ValueOf } from '../layout/index.ts';
import { valueBytes, type MapSpec, type UpdateFlag } from '../schema/map-spec.ts';
import type { ByteMap } from './byte-map.ts';
import { readWords, writeWords } from './word-map.ts';

/** A map of decoded keys and values. */
export interface TypedMap<K, V> extends Iterable<[K, V]> {
  readonly map: ByteMap;
  readonly size: number;
  /** The decoded value of a key; undefined where there is none. */
  get(key: K): V | undefined;
  /** Whether there is an entry. */
  has(key: K): boolean;
  /** 0 or a negative errno, as ByteMap.update. */
  set(key: K, value: V, flags?: UpdateFlag): number;
  /** 0 or a negative errno, as ByteMap.delete. */
  delete(key: K): number;
}

class CodecMap<K, V> implements TypedMap<K, V> {
  readonly map: ByteMap;
  private readonly encodeKey: (key: K) => Uint8Array;
  private readonly decodeKey: (bytes: Uint8Array) => K;
  private readonly encodeValue: (value: V) => Uint8Array;
  private readonly decodeValue: (bytes: Uint8Array) => V;

  constructor(
    map: ByteMap,
    encodeKey: (key: K) => Uint8Array,
    decodeKey: (bytes: Uint8Array) => K,
    encodeValue: (value: V) => Uint8Array,
    decodeValue: (bytes: Uint8Array) => V,
  ) {
    this.map = map;
    this.encodeKey = encodeKey;
    this.decodeKey = decodeKey;
    this.encodeValue = encodeValue;
    this.decodeValue = decodeValue;
  }

  get size(): number {
    return this.map.size;
  }

  get(key: K): V | undefined {
    const value = new Uint8Array(valueBytes(this.map.spec));
    return this.map.lookup(this.encodeKey(key), value) ? this.decodeValue(value) : undefined;
  }

  has(key: K): boolean {
    return this.map.lookup(this.encodeKey(key), new Uint8Array(valueBytes(this.map.spec)));
  }

  set(key: K, value: V, flags?: UpdateFlag): number {
    return this.map.update(this.encodeKey(key), this.encodeValue(value), flags);
  }

  delete(key: K): number {
    return this.map.delete(this.encodeKey(key));
  }

  *[Symbol.iterator](): IterableIterator<[K, V]> {
    for (const [key, value] of this.map.entries()) yield [this.decodeKey(key), this.decodeValue(value)];
  }
}

/** `map` with the key and value structs of `spec`, whose type carries them. Throws if the two are not the same map. */
export function typedMap<K extends StructType, V extends StructType>(
  spec: MapSpec<K, V>,
  map: ByteMap,
): TypedMap<ValueOf<K>, ValueOf<V>> {
  if (spec.innerEntries !== undefined) throw new TypeError(`map ${spec.name}: its values are tables, use typedTables`);
  checkSame(spec, map);
  return new CodecMap<ValueOf<K>, ValueOf<V>>(
    map,
    (key) => spec.key.encode(key as never),
    (bytes) => spec.key.decode(bytes) as ValueOf<K>,
    (value) => spec.value.encode(value as never),
    (bytes) => spec.value.decode(bytes) as ValueOf<V>,
  );
}

/** A array-of-arrays with decoded keys; values are whole tables, whose length must be the spec's (else EINVAL). */
export function typedTables<K extends StructType>(spec: MapSpec<K>, map: ByteMap): TypedMap<ValueOf<K>, Uint32Array> {
  if (spec.innerEntries === undefined) throw new TypeError(`map ${spec.name}: its values are structs, use typedMap`);
  checkSame(spec, map);
  return new CodecMap<ValueOf<K>, Uint32Array>(
    map,
    (key) => spec.key.encode(key as never),
    (bytes) => spec.key.decode(bytes) as ValueOf<K>,
    (table) => {
      const bytes = new Uint8Array(table.length * 4);
      writeWords(table, 0, bytes.length, bytes);
      return bytes;
    },
    (bytes) => {
      const table = new Uint32Array(bytes.length >>> 2);
      readWords(bytes, 0, bytes.length, table, 0);
      return table;
    },
  );
}

function checkSame(spec: MapSpec, map: ByteMap): void {
  const is = map.spec;
  if (is.key.bytes !== spec.key.bytes || valueBytes(is) !== valueBytes(spec)) {
    throw new TypeError(`map ${is.name}: not a map of ${spec.name}'s keys and values`);
  }
}
