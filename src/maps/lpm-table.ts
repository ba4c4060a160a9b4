// Base of the longest-prefix-match maps: one linear-probing table whose key is (prefix length, masked data words), and the
// list of lengths that occur. Input: data words as they lie in memory (network order). Output: value offsets.
// Invariant: stored data is masked to its prefix; `lengths[0 … present-1]` is descending and names just the lengths in use.
// One table serves all lengths (the length is hashed, too), so an offset needs no second number to say where it points.
import { ERRNO, UPDATE, type MapSpec, type UpdateFlag } from '../schema/map-spec.ts';
import { FlatHash } from './flat-hash.ts';
import { refuseSpec } from './word-map.ts';

/**
 * Mask of the first `bits` bits of a word in memory order, as the little-endian integer of its four bytes: bits are counted
 * from the most significant bit of the first byte. Less than 1 gives 0, more than 31 gives all.
 */
export function maskWord(bits: number): number {
  if (bits <= 0) return 0;
  if (bits >= 32) return -1;
  const be = -1 << (32 - bits);
  return (be << 24) | ((be & 0xff00) << 8) | ((be >>> 8) & 0xff00) | (be >>> 24);
}

/** Longest prefix match. A lookup probes once for each length that occurs, from the longest. */
export abstract class LpmTable extends FlatHash {
  /** Bits of a key's data. */
  readonly maxPrefix: number = 0;
  /** Number of lengths in use. */
  present = 0;
  /** Lengths in use, longest first. */
  lengths: Int32Array;
  /** What the length adds to the hash, for each entry of `lengths`. */
  salts: Int32Array;
  /** Masks of the data words, for each entry of `lengths`. */
  masks: Int32Array;
  /** Prefixes of each length. */
  private readonly uses: Int32Array;
  private readonly dataWords: number = 0;

  protected constructor(spec: MapSpec, dataWords: number) {
    super(spec, dataWords + 1, ERRNO.ENOSPC);
    if (spec.kind !== 'lpm-trie') refuseSpec(spec, 'not an lpm-trie');
    this.dataWords = dataWords;
    this.maxPrefix = (this.keyBytes - 4) * 8;
    this.uses = new Int32Array(this.maxPrefix + 1);
    this.lengths = new Int32Array(this.maxPrefix + 1);
    this.salts = new Int32Array(this.maxPrefix + 1);
    this.masks = new Int32Array((this.maxPrefix + 1) * dataWords);
  }

  /** Value offset of the longest match of `this.key`, or -1. */
  protected abstract matchKey(): number;

  /** Position in `lengths` of the first length that is at most `prefixLen`. */
  protected firstLength(prefixLen: number): number {
    let i = 0;
    while (i < this.present && this.lengths[i]! > prefixLen) i++;
    return i;
  }

  protected addLength(prefixLen: number, salt: number): void {
    if (this.uses[prefixLen]!++ > 0) return;
    const { lengths, salts, masks, dataWords } = this;
    const at = this.firstLength(prefixLen);
    lengths.copyWithin(at + 1, at, this.present);
    salts.copyWithin(at + 1, at, this.present);
    masks.copyWithin((at + 1) * dataWords, at * dataWords, this.present * dataWords);
    lengths[at] = prefixLen;
    salts[at] = salt;
    for (let i = 0; i < dataWords; i++) masks[at * dataWords + i] = maskWord(prefixLen - 32 * i);
    this.present++;
  }

  protected dropLength(prefixLen: number): void {
    if (--this.uses[prefixLen]! > 0) return;
    const { lengths, salts, masks, dataWords } = this;
    const at = this.firstLength(prefixLen);
    lengths.copyWithin(at, at + 1, this.present);
    salts.copyWithin(at, at + 1, this.present);
    masks.copyWithin(at * dataWords, (at + 1) * dataWords, this.present * dataWords);
    this.present--;
  }

  /** False for a prefix length out of bounds, which the kernel refuses before all else. */
  private takePrefix(key: Uint8Array): boolean {
    return this.takeKey(key) && this.key[0]! >>> 0 <= this.maxPrefix;
  }

  override lookup(key: Uint8Array, value: Uint8Array): boolean {
    if (value.length < this.valueBytes || !this.takePrefix(key)) return false;
    const at = this.matchKey();
    if (at < 0) return false;
    this.readValue(at, value);
    return true;
  }

  override update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UPDATE.ANY): number {
    return this.takePrefix(key) ? super.update(key, value, flags) : ERRNO.EINVAL;
  }

  override delete(key: Uint8Array): number {
    if (!this.takePrefix(key)) return ERRNO.EINVAL;
    return this.removeKey() ? 0 : ERRNO.ENOENT;
  }
}
