// An array of arrays of u32 (Maglev tables by service): an index, inner tables in one pool.
// Input: whole tables, or what makes them when they are first looked for. Output: base offsets into `pool`. Invariant: equal
// tables (of the lazy: the same object) share one place in the pool, which counts its users and is reused when the last one
// goes; so memory is bounded by maxEntries tables and grows with distinct ones.
import { ERRNO, UPDATE, type MapSpec, type UpdateFlag } from '../schema/map-spec.ts';
import type { LazyBytes } from './map-write.ts';
import { WordMap, readWords, refuseSpec, writeWords } from './word-map.ts';

const MAX_WORDS = 0x40000000;
const FIRST_PLACES = 16;
/** Places are handed out in order, and pages that nobody has touched cost nothing: so few, large steps. */
const GROWTH = 4;
/** Instead of a place: no table, or one that nobody has looked for yet. */
const NONE = 0;
const LAZY = -1;

/** Array of arrays. `pool` is REPLACED when it grows: take it after `findTable`, and keep neither over the next `findTable` or update. */
export class ArrayOfArrays extends WordMap {
  /** The tables, each `tableWords` long. */
  pool: Uint32Array = new Uint32Array(0);
  /** Words of a table: innerEntries, or more if an element is longer than a u32. */
  readonly tableWords: number = 0;
  /** Place of each index, counted from 1; NONE, LAZY. */
  private readonly places: Int32Array;
  /** Tables that nobody has looked for yet, by index. */
  private readonly lazy = new Map<number, LazyBytes>();
  /** Those that somebody has looked for: their places, and what is in these. */
  private readonly placeOfLazy = new Map<LazyBytes, number>();
  private readonly lazyAt = new Map<number, LazyBytes>();
  /** Outer entries that use each place. */
  private uses: Int32Array = new Int32Array(0);
  private hashes: Int32Array = new Int32Array(0);
  /** Places in use by hash of their content; without the lazy. */
  private readonly byContent = new Map<number, number[]>();
  private readonly freePlaces: number[] = [];
  private readonly incoming: Uint32Array;

  constructor(spec: MapSpec) {
    super(spec);
    if (spec.kind !== 'array-of-arrays' || spec.innerEntries === undefined) refuseSpec(spec, 'not a array-of-arrays');
    if (this.keyWords !== 1) refuseSpec(spec, 'outer keys have one word');
    if (spec.value.bytes % 4 !== 0) refuseSpec(spec, 'elements are whole words');
    this.tableWords = this.valueWords;
    this.incoming = new Uint32Array(this.tableWords);
    this.places = new Int32Array(spec.maxEntries);
  }

  /** Base word offset in `pool` of the table of key `k0`, or -1. A lazy one is made now (-1 where there is no memory for it). */
  findTable(k0: number): number {
    const { places } = this;
    if (k0 >>> 0 >= places.length) return -1;
    const place = places[k0]!;
    if (place > 0) return Math.imul(place - 1, this.tableWords);
    return place === NONE ? -1 : this.makeTable(k0);
  }

  /** Distinct tables in the pool. */
  get tables(): number {
    return this.uses.length - this.freePlaces.length;
  }

  /**
   * Replaces or creates the table of an index. A reader sees the old table or the new one, never a mixture. No flag but
   * ANY: EINVAL, as in the kernel.
   */
  override update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UPDATE.ANY): number {
    if (flags !== UPDATE.ANY || value.length !== this.valueBytes || !this.takeKey(key)) return ERRNO.EINVAL;
    const k0 = this.key[0]!;
    if (!this.hasIndex(k0)) return ERRNO.E2BIG;
    readWords(value, 0, this.valueBytes, this.incoming, 0);
    return this.put(k0);
  }

  /** The table is made when it is first looked for. */
  updateLazily(key: Uint8Array, value: LazyBytes): number {
    if (value.length !== this.valueBytes || !this.takeKey(key)) return ERRNO.EINVAL;
    const k0 = this.key[0]!;
    if (!this.hasIndex(k0)) return ERRNO.E2BIG;
    this.leave(k0);
    this.places[k0] = LAZY;
    this.lazy.set(k0, value);
    this.count++;
    return 0;
  }

  private hasIndex(k0: number): boolean {
    if (k0 >>> 0 < this.places.length) return true;
    this.refused++;
    return false;
  }

  /** Makes `incoming` the table of an index. 0 or ENOMEM. */
  private put(k0: number): number {
    const old = this.places[k0]! - 1;
    const hash = contentHash(this.incoming);
    const equal = this.placeOf(hash);
    if (equal < 0 && old >= 0 && this.uses[old] === 1) {
      this.forget(old);
      this.fill(old, hash);
      return 0;
    }
    const place = equal < 0 ? this.claim() : equal;
    if (place < 0) return place;
    if (equal < 0) this.fill(place, hash);
    this.move(k0, place);
    return 0;
  }

  /** As findTable, for an index whose table is lazy. */
  private makeTable(k0: number): number {
    const table = this.lazy.get(k0)!;
    let place = this.placeOfLazy.get(table) ?? -1;
    if (place < 0) {
      place = this.claim();
      if (place < 0) return -1;
      table.copyTo(new Uint8Array(this.pool.buffer, 4 * place * this.tableWords, table.length));
      this.placeOfLazy.set(table, place);
      this.lazyAt.set(place, table);
    }
    this.move(k0, place);
    return this.findTable(k0);
  }

  /** Lets an index have the table in a place. */
  private move(k0: number, place: number): void {
    this.uses[place]!++;
    this.leave(k0);
    this.places[k0] = place + 1;
    this.count++;
  }

  /** Gives up what an index holds; the caller says what it holds now. */
  private leave(k0: number): void {
    const place = this.places[k0]!;
    if (place === NONE) return;
    if (place === LAZY) this.lazy.delete(k0);
    else this.release(place - 1);
    this.count--;
  }

  /** ENOENT: no table there; E2BIG: no such index. */
  override delete(key: Uint8Array): number {
    if (this.takeKey(key) && this.key[0]! >>> 0 >= this.places.length) return ERRNO.E2BIG;
    return super.delete(key);
  }

  /** The place that holds the same words as `incoming`, or -1. */
  private placeOf(hash: number): number {
    const { pool, incoming, tableWords } = this;
    for (const place of this.byContent.get(hash) ?? []) {
      const base = place * tableWords;
      let i = 0;
      while (i < tableWords && pool[base + i] === incoming[i]) i++;
      if (i === tableWords) return place;
    }
    return -1;
  }

  /** A place that nobody uses yet, or ENOMEM. */
  private claim(): number {
    if (this.freePlaces.length === 0 && !this.grow()) {
      this.refused++;
      return ERRNO.ENOMEM;
    }
    return this.freePlaces.pop()!;
  }

  /** Puts `incoming` into a place. */
  private fill(place: number, hash: number): void {
    this.pool.set(this.incoming, place * this.tableWords);
    this.hashes[place] = hash;
    const same = this.byContent.get(hash);
    if (same === undefined) this.byContent.set(hash, [place]);
    else same.push(place);
  }

  private forget(place: number): void {
    const lazy = this.lazyAt.get(place);
    if (lazy !== undefined) {
      this.lazyAt.delete(place);
      this.placeOfLazy.delete(lazy);
      return;
    }
    const hash = this.hashes[place]!;
    const rest = this.byContent.get(hash)!.filter((p) => p !== place);
    if (rest.length === 0) this.byContent.delete(hash);
    else this.byContent.set(hash, rest);
  }

  private release(place: number): void {
    if (--this.uses[place]! > 0) return;
    this.forget(place);
    this.freePlaces.push(place);
  }

  /** More places, at most maxEntries. */
  private grow(): boolean {
    const old = this.uses.length;
    const places = Math.min(
      Math.max(old * GROWTH, FIRST_PLACES),
      this.maxEntries,
      Math.floor(MAX_WORDS / this.tableWords),
    );
    if (places <= old) return false;
    try {
      const pool = new Uint32Array(places * this.tableWords);
      const uses = new Int32Array(places);
      const hashes = new Int32Array(places);
      pool.set(this.pool);
      uses.set(this.uses);
      hashes.set(this.hashes);
      this.pool = pool;
      this.uses = uses;
      this.hashes = hashes;
    } catch {
      return false;
    }
    for (let place = places - 1; place >= old; place--) this.freePlaces.push(place);
    return true;
  }

  nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean {
    if (out.length < 4) return false;
    const { places } = this;
    const known = after !== undefined && this.takeKey(after) && this.key[0]! >>> 0 < places.length;
    let next = known ? this.key[0]! + 1 : 0;
    while (next < places.length && places[next] === NONE) next++;
    if (next >= places.length) return false;
    out[0] = next;
    out[1] = next >> 8;
    out[2] = next >> 16;
    out[3] = next >> 24;
    return true;
  }

  protected override readValue(at: number, out: Uint8Array): void {
    writeWords(this.pool, at, this.valueBytes, out);
  }

  protected findKey(): number {
    return this.findTable(this.key[0]!);
  }

  protected insertKey(): number {
    return ERRNO.EINVAL; // a table has no place before its content is known: see update
  }

  protected removeKey(): boolean {
    const k0 = this.key[0]!;
    if (this.places[k0] === NONE) return false;
    this.leave(k0);
    this.places[k0] = NONE;
    return true;
  }

  protected collectKeys(): Uint8Array {
    const keys = new Uint8Array(this.size * this.keyBytes);
    const key = new Uint8Array(this.keyBytes);
    for (let to = 0, more = this.nextKey(undefined, key); more; to += this.keyBytes, more = this.nextKey(key, key))
      keys.set(key, to);
    return keys;
  }
}

/** Hash that finds equal tables. Not keyed: tables come from control, never from traffic. */
function contentHash(words: Uint32Array): number {
  let hash = words.length | 0;
  for (let i = 0; i < words.length; i++) {
    hash = Math.imul(hash ^ words[i]!, 0x21f0aaad);
    hash ^= hash >>> 15;
  }
  return hash;
}
