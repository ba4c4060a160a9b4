// Base of the LRU hash maps: an index of (tag, entry number) words over dense entries, and one state byte an entry (clock).
// Input: hashes made by the generated subclasses. Output: entry numbers, stable until the entry is removed or evicted.
// Invariant: index word 0 is empty, otherwise (hash << 24 | entry), 1 <= entry < 2^24, its home the top bits of the hash;
// the index is at most half full; while the map is full, every entry is in use.
import type { MapSpec } from '../schema/map-spec.ts';
import { WordMap, refuseSpec, writeWords } from './word-map.ts';

const FIRST_SLOTS_LOG2 = 5;
const FIRST_ENTRIES = 1 << (FIRST_SLOTS_LOG2 - 1);
const MAX_ENTRIES = 0xffffff;
const MAX_WORDS = 0x40000000;
/**
 * Entry 1 starts at word stride + BIAS. Large typed arrays begin 16 bytes behind a page (the allocator's header), so
 * this puts entries of 64 bytes on cache lines of 64 bytes.
 */
export const BIAS = -4;

/** States of an entry: not in use; in use; in use and found since the clock hand last passed. */
export const FREE = 0;
export const COLD = 1;
export const HOT = 2;

/** Entries are handed out in order, and pages that nobody has touched cost nothing: so few, large steps. */
const GROWTH = 4;

const INDEX_GROWTH_LOG2 = 2;

/** Entries the clock hand passes at most for one eviction; then it takes the next, found or not. */
const SWEEP = 1024;

/** Words an entry takes: whole cache lines where that wastes at most a quarter, otherwise a multiple of 4 words. */
function entryWords(words: number): number {
  const lines = (words + 15) & ~15;
  return lines - words <= words >>> 2 ? lines : (words + 3) & ~3;
}

/** Least-recently-used, approximately: `find` marks, a clock hand forgets. See WordMap for how long `words` is good. */
export abstract class LruTable extends WordMap {
  /** Words an entry. */
  readonly stride: number = 0;
  index: Int32Array = new Int32Array(1 << FIRST_SLOTS_LOG2);
  /** Home slot in the index = hash >>> shift. */
  shift = 32 - FIRST_SLOTS_LOG2;
  /** State of each entry: FREE, COLD or HOT. */
  state: Uint8Array = new Uint8Array(0);
  /** Hash of each entry; of a free one, the number of the next free entry. */
  private hashes: Int32Array = new Int32Array(0);
  /** Entries whose memory exists (numbers 1 … room). */
  private room = 0;
  /** Highest entry number handed out so far. */
  private used = 0;
  /** First entry of the free list, 0 if none. */
  private free = 0;
  /** Entry the clock looks at next. */
  private hand = 1;
  private expected = 0;

  protected constructor(spec: MapSpec, keyWords: number) {
    super(spec);
    if (spec.kind !== 'lru-hash') refuseSpec(spec, 'not an lru-hash');
    if (this.keyWords !== keyWords) refuseSpec(spec, `key has ${this.keyWords} words, not ${keyWords}`);
    if (spec.maxEntries > MAX_ENTRIES) refuseSpec(spec, `at most ${MAX_ENTRIES} entries`);
    this.stride = entryWords(this.keyWords + this.valueWords);
    this.resizeEntries(Math.min(FIRST_ENTRIES, this.maxEntries));
  }

  /** How many entries are to come, roughly: the next growth makes room for them at once. */
  expect(entries: number): void {
    this.expected = Math.min(entries, this.maxEntries);
  }

  private resizeEntries(room: number): boolean {
    const length = (room + 1) * this.stride;
    if (length > MAX_WORDS) return false;
    try {
      const words = new Int32Array(length);
      const state = new Uint8Array(room + 1);
      const hashes = new Int32Array(room + 1);
      words.set(this.words);
      state.set(this.state);
      hashes.set(this.hashes);
      this.words = words;
      this.state = state;
      this.hashes = hashes;
    } catch {
      return false;
    }
    this.room = room;
    return true;
  }

  private growIndex(): boolean {
    let growth = INDEX_GROWTH_LOG2;
    while (this.index.length * 2 ** growth < 2 * this.expected) growth++;
    let index: Int32Array;
    try {
      index = new Int32Array(this.index.length * 2 ** growth);
    } catch {
      return false;
    }
    const shift = this.shift - growth;
    const mask = index.length - 1;
    for (const word of this.index) {
      if (word === 0) continue;
      let slot = this.hashes[word & MAX_ENTRIES]! >>> shift;
      while (index[slot] !== 0) slot = (slot + 1) & mask;
      index[slot] = word;
    }
    this.index = index;
    this.shift = shift;
    return true;
  }

  /** An entry for a key that is not in the map, entered in the index under `hash`; 0 when there is no memory. */
  protected allocate(hash: number): number {
    if (this.count >= this.maxEntries) this.evict();
    else if (
      this.free === 0 &&
      this.used === this.room &&
      !this.resizeEntries(Math.min(Math.max(this.room * GROWTH, this.expected), this.maxEntries))
    ) {
      this.refused++;
      return 0;
    }
    if (this.count * 2 >= this.index.length && !this.growIndex()) {
      this.refused++;
      return 0;
    }
    let entry = this.free;
    if (entry === 0) entry = ++this.used;
    else this.free = this.hashes[entry]!;
    const { index } = this;
    const mask = index.length - 1;
    let slot = hash >>> this.shift;
    while (index[slot] !== 0) slot = (slot + 1) & mask;
    index[slot] = (hash << 24) | entry;
    this.hashes[entry] = hash;
    this.state[entry] = COLD;
    this.count++;
    return entry;
  }

  private evict(): void {
    const { state, maxEntries } = this;
    let { hand } = this;
    for (let steps = 0; steps < SWEEP && state[hand] === HOT; steps++) {
      state[hand] = COLD;
      hand = hand === maxEntries ? 1 : hand + 1;
    }
    this.hand = hand === maxEntries ? 1 : hand + 1;
    const mask = this.index.length - 1;
    let slot = this.hashes[hand]! >>> this.shift;
    while ((this.index[slot]! & MAX_ENTRIES) !== hand) slot = (slot + 1) & mask;
    this.release(slot, hand);
    this.evicted++;
  }

  /** Removes the entry that index slot `slot` names and puts it on the free list. */
  protected release(slot: number, entry: number): void {
    const { index, hashes, shift } = this;
    const mask = index.length - 1;
    let hole = slot;
    let next = slot;
    for (;;) {
      next = (next + 1) & mask;
      const word = index[next]!;
      if (word === 0) break;
      const home = hashes[word & MAX_ENTRIES]! >>> shift;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        index[hole] = word;
        hole = next;
      }
    }
    index[hole] = 0;
    this.state[entry] = FREE;
    hashes[entry] = this.free;
    this.free = entry;
    this.count--;
  }

  nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean {
    if (out.length < this.keyBytes) return false;
    let entry = 0;
    if (after !== undefined && this.takeKey(after)) {
      const at = this.findKey();
      if (at >= 0) entry = (at - this.keyWords - BIAS) / this.stride;
    }
    for (entry++; entry <= this.used; entry++) {
      if (this.state[entry] === FREE) continue;
      writeWords(this.words, entry * this.stride + BIAS, this.keyBytes, out);
      return true;
    }
    return false;
  }

  protected collectKeys(): Uint8Array {
    const keys = new Uint8Array(this.count * this.keyBytes);
    let to = 0;
    for (let entry = 1; entry <= this.used; entry++) {
      if (this.state[entry] === FREE) continue;
      writeWords(this.words, entry * this.stride + BIAS, this.keyBytes, keys, to);
      to += this.keyBytes;
    }
    return keys;
  }
}
