// Base of the hash maps with inline slots: [hash | key words | value words], linear probing, no tombstones.
// Input: hashes made by the generated subclasses. Output: slots; growth by doubling, at most half full.
// Invariant: a slot's home is the top bits of its hash, so that keys ordered by hash are in the same order at any size;
// hash word 0 means empty, and an empty slot is zero throughout.
import { ERRNO, type MapSpec } from '../schema/map-spec.ts';
import { WordMap, refuseSpec, writeWords } from './word-map.ts';

const FIRST_SLOTS_LOG2 = 3;
/** Largest number of words in one table: 4 GiB, what a typed array may hold on every supported platform. */
const MAX_WORDS = 0x40000000;

/** Linear-probing table. See WordMap for how long an offset is good. */
export abstract class FlatHash extends WordMap {
  /** Words a slot. */
  readonly stride: number = 0;
  /** Home slot = hash >>> shift. */
  shift = 32 - FIRST_SLOTS_LOG2;
  /** Words in the table: slots * stride. */
  end = 0;
  /** Entries at which an insertion must grow the table or be refused. */
  limit = 0;
  /** What an insertion into a full map returns. */
  protected readonly fullErrno: number = 0;
  private expected = 0;

  protected constructor(spec: MapSpec, keyWords: number, fullErrno: number = ERRNO.E2BIG) {
    super(spec);
    if (this.keyWords !== keyWords) refuseSpec(spec, `key has ${this.keyWords} words, not ${keyWords}`);
    this.stride = 1 + this.keyWords + this.valueWords;
    this.fullErrno = fullErrno;
    this.setTable(1 << FIRST_SLOTS_LOG2, new Int32Array(this.stride << FIRST_SLOTS_LOG2));
  }

  private setTable(slots: number, words: Int32Array): void {
    this.words = words;
    this.end = words.length;
    this.shift = Math.clz32(slots) + 1;
    this.limit = Math.min(slots >>> 1, this.maxEntries);
  }

  /** How many entries are to come, roughly: the next growth makes room for them at once. */
  expect(entries: number): void {
    this.expected = Math.min(entries, this.maxEntries);
  }

  /** Hash of `this.key`, as stored. Leaves `this.key` as the map stores it. */
  protected abstract hashKey(): number;

  /** Makes room for one more entry: 0, or why not. Called when `count` has reached `limit`. */
  protected makeRoom(): number {
    if (this.count >= this.maxEntries) {
      this.refused++;
      return this.fullErrno;
    }
    const { words, stride } = this;
    let length = words.length * 2;
    while (length / stride < 2 * this.expected && length <= MAX_WORDS / 2) length *= 2;
    if (length > MAX_WORDS) {
      this.refused++;
      return ERRNO.ENOMEM;
    }
    let grown: Int32Array;
    try {
      grown = new Int32Array(length);
    } catch {
      this.refused++;
      return ERRNO.ENOMEM;
    }
    const shift = Math.clz32(length / stride) + 1;
    for (let from = 0; from < words.length; from += stride) {
      const hash = words[from]!;
      if (hash === 0) continue;
      let to = (hash >>> shift) * stride;
      while (grown[to] !== 0) {
        to += stride;
        if (to === length) to = 0;
      }
      for (let i = 0; i < stride; i++) grown[to + i] = words[from + i]!;
    }
    this.setTable(length / stride, grown);
    return 0;
  }

  /** Empties the slot at word offset `at`, moving later entries of the run back so that no probe is cut short. */
  protected removeSlot(at: number): void {
    const { words, stride, shift, end } = this;
    let hole = at;
    let next = at;
    for (;;) {
      next += stride;
      if (next === end) next = 0;
      const hash = words[next]!;
      if (hash === 0) break;
      const home = (hash >>> shift) * stride;
      const fromHome = next >= home ? next - home : next - home + end;
      const fromHole = next >= hole ? next - hole : next - hole + end;
      if (fromHome >= fromHole) {
        for (let i = 0; i < stride; i++) words[hole + i] = words[next + i]!;
        hole = next;
      }
    }
    for (let i = 0; i < stride; i++) words[hole + i] = 0;
    this.count--;
  }

  /**
   * Slot of the first entry in (hash, key) order that comes after (`hash`, `key`), or the very first if hash is 0.
   * That order depends neither on the table's size nor on what was removed, so a walk by keys survives any change.
   */
  private slotAfter(hash: number, key: Int32Array): number {
    const { words, stride, shift, end } = this;
    const slots = end / stride;
    for (let home = hash >>> shift; home < slots; home++) {
      let best = -1;
      for (let at = home * stride; words[at] !== 0;) {
        if (words[at]! >>> shift === home && (hash === 0 || this.order(at, hash, key) > 0)) {
          if (best < 0 || this.order(at, words[best]!, words, best + 1) < 0) best = at;
        }
        at += stride;
        if (at === end) at = 0;
      }
      if (best >= 0) return best;
    }
    return -1;
  }

  /** Sign of the comparison of the slot at `at` with (hash, key words). */
  private order(at: number, hash: number, key: Int32Array, keyAt = 0): number {
    const { words } = this;
    if (words[at] !== hash) return words[at]! >>> 0 > hash >>> 0 ? 1 : -1;
    for (let i = 0; i < this.keyWords; i++) {
      const a = words[at + 1 + i]!;
      const b = key[keyAt + i]!;
      if (a !== b) return a > b ? 1 : -1;
    }
    return 0;
  }

  nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean {
    if (out.length < this.keyBytes) return false;
    const known = after !== undefined && this.takeKey(after) && this.findKey() >= 0;
    const hash = known ? this.hashKey() : 0;
    const at = this.slotAfter(hash, this.key);
    if (at < 0) return false;
    writeWords(this.words, at + 1, this.keyBytes, out);
    return true;
  }

  protected collectKeys(): Uint8Array {
    const { words, stride, end, keyBytes } = this;
    const keys = new Uint8Array(this.count * keyBytes);
    const slots = end / stride;
    // Not in slot order: whoever copies one map into another with the same seed would otherwise fill it from one end,
    // and every insertion would walk through all the entries before it. Golden steps spread any first part evenly.
    const step = Math.floor(slots * 0.6180339887) | 1;
    for (let i = 0, slot = 0, to = 0; i < slots; i++, slot = (slot + step) & (slots - 1)) {
      if (words[slot * stride] === 0) continue;
      writeWords(words, slot * stride + 1, keyBytes, keys, to);
      to += keyBytes;
    }
    return keys;
  }
}
