// The byte side of the in-memory maps: everything that is not hot and does not depend on the kind of map.
// Input: bytes. Output: calls of a few word-level operations, which the kinds implement on Int32Arrays.
// Invariant: keys and values are whole little-endian words; odd sizes are padded with zero bytes that no caller sees.
import { ERRNO, UPDATE, valueBytes, type MapSpec, type UpdateFlag } from '../schema/map-spec.ts';
import type { ByteMap, MapStats } from './byte-map.ts';

/** Options of the in-memory kinds. */
export interface MapOptions {
  /**
   * Seed of the hash: the same seed gives the same memory layout. Without one, the multipliers come from
   * `crypto.getRandomValues`, which is what traffic from strangers needs.
   */
  readonly seed?: number;
  /** The hash's multipliers themselves. All zero makes every key collide, which is how tests reach the worst case. */
  readonly multipliers?: Int32Array;
}

/** Number of 32-bit words that hold `bytes` bytes. */
export const wordsFor = (bytes: number): number => (bytes + 3) >>> 2;

/** From this size on a view is worth its allocation: Maglev tables, not keys. Hosts are little-endian (layout/). */
const MANY_BYTES = 1024;

/** Reads little-endian words from `bytes` at `from` into `out`; a last partial word is padded with zero. */
export function readWords(
  bytes: Uint8Array,
  from: number,
  size: number,
  out: Int32Array | Uint32Array,
  at: number,
): void {
  const whole = size & ~3;
  if (whole >= MANY_BYTES && ((bytes.byteOffset + from) & 3) === 0) {
    out.set(new Int32Array(bytes.buffer, bytes.byteOffset + from, whole >>> 2), at);
    at += whole >>> 2;
  } else {
    for (let i = 0; i < whole; i += 4) {
      const b = from + i;
      out[at++] = bytes[b]! | (bytes[b + 1]! << 8) | (bytes[b + 2]! << 16) | (bytes[b + 3]! << 24);
    }
  }
  if (whole !== size) {
    let word = 0;
    for (let i = whole; i < size; i++) word |= bytes[from + i]! << (8 * (i - whole));
    out[at] = word;
  }
}

/** Writes `size` bytes of the little-endian words at `at` to the front of `out`. */
export function writeWords(words: Int32Array | Uint32Array, at: number, size: number, out: Uint8Array, to = 0): void {
  const whole = size & ~3;
  for (let i = 0; i < whole; i += 4) {
    const word = words[at++]!;
    const b = to + i;
    out[b] = word;
    out[b + 1] = word >> 8;
    out[b + 2] = word >> 16;
    out[b + 3] = word >> 24;
  }
  if (whole !== size) {
    const word = words[at]!;
    for (let i = whole; i < size; i++) out[to + i] = word >> (8 * (i - whole));
  }
}

/** Fails for a spec that the class cannot hold: a mistake in the program, not in its input. */
export function refuseSpec(spec: MapSpec, why: string): never {
  throw new TypeError(`map ${spec.name} (${spec.kind}): ${why}`);
}

/**
 * Base of all in-memory kinds. `words` holds the values (for most kinds the keys, too); it is REPLACED when the map
 * grows, and entries may move whenever an entry of the same map is inserted or removed. So take `words` after the
 * `find` or `insert` that gave the offset, and keep neither over another insertion or removal in the same map:
 *
 *     const at = map.insert(k0, k1);
 *     map.words[at] = value; // right
 *     map.words[map.insert(k0, k1)] = value; // WRONG: JavaScript reads `words` before it calls `insert`
 */
export abstract class WordMap implements ByteMap {
  // Numbers get a value where they are declared: a field that was ever undefined is never again a plain integer for V8.
  readonly spec: MapSpec;
  words: Int32Array = new Int32Array(0);
  readonly maxEntries: number = 0;
  readonly keyBytes: number = 0;
  readonly valueBytes: number = 0;
  readonly keyWords: number = 0;
  readonly valueWords: number = 0;
  /** Entries held. */
  count = 0;
  /** Whether the last `insert` made a new entry. */
  created = false;
  refused = 0;
  evicted = 0;
  /** The key being worked on, as words. */
  protected readonly key: Int32Array;

  protected constructor(spec: MapSpec) {
    this.spec = spec;
    this.maxEntries = spec.maxEntries;
    this.keyBytes = spec.key.bytes;
    this.valueBytes = valueBytes(spec);
    this.keyWords = wordsFor(this.keyBytes);
    this.valueWords = wordsFor(this.valueBytes);
    this.key = new Int32Array(this.keyWords);
    if (!Number.isInteger(spec.maxEntries) || spec.maxEntries < 1)
      refuseSpec(spec, 'maxEntries must be a positive integer');
  }

  get size(): number {
    return this.count;
  }

  get stats(): MapStats {
    return { refused: this.refused, evicted: this.evicted };
  }

  /** Value offset of `this.key`, or -1. Must not count as use. */
  protected abstract findKey(): number;
  /** Value offset of a new or existing entry for `this.key`, or a negative errno. */
  protected abstract insertKey(): number;
  protected abstract removeKey(): boolean;
  /** All keys, packed, in any order. */
  protected abstract collectKeys(): Uint8Array;
  abstract nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean;

  /** Takes a key in; false when its size is wrong. */
  protected takeKey(key: Uint8Array): boolean {
    if (key.length !== this.keyBytes) return false;
    readWords(key, 0, this.keyBytes, this.key, 0);
    return true;
  }

  protected readValue(at: number, out: Uint8Array): void {
    writeWords(this.words, at, this.valueBytes, out);
  }

  protected writeValue(at: number, value: Uint8Array): void {
    readWords(value, 0, this.valueBytes, this.words, at);
  }

  lookup(key: Uint8Array, value: Uint8Array): boolean {
    if (value.length < this.valueBytes || !this.takeKey(key)) return false;
    const at = this.findKey();
    if (at < 0) return false;
    this.readValue(at, value);
    return true;
  }

  update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UPDATE.ANY): number {
    if (flags !== UPDATE.ANY && flags !== UPDATE.NOEXIST && flags !== UPDATE.EXIST) return ERRNO.EINVAL;
    if (value.length !== this.valueBytes || !this.takeKey(key)) return ERRNO.EINVAL;
    if (flags !== UPDATE.ANY) {
      const present = this.findKey() >= 0;
      if (present && flags === UPDATE.NOEXIST) return ERRNO.EEXIST;
      if (!present && flags === UPDATE.EXIST) return ERRNO.ENOENT;
    }
    const at = this.insertKey();
    if (at < 0) return at;
    this.writeValue(at, value);
    return 0;
  }

  delete(key: Uint8Array): number {
    if (!this.takeKey(key)) return ERRNO.EINVAL;
    return this.removeKey() ? 0 : ERRNO.ENOENT;
  }

  *entries(): IterableIterator<[Uint8Array, Uint8Array]> {
    const keys = this.collectKeys();
    for (let at = 0; at < keys.length; at += this.keyBytes) {
      const key = keys.slice(at, at + this.keyBytes);
      const value = new Uint8Array(this.valueBytes);
      if (this.lookup(key, value)) yield [key, value];
    }
  }
}
