// Arrays: values by index, all there from the start. Per-CPU arrays are the same here, where there is one CPU.
// Input: an index. Output: a word offset. Invariant: `words` is never replaced; entries are never made or removed.
import { ERRNO, UPDATE, type MapSpec, type UpdateFlag } from '../schema/map-spec.ts';
import { WordMap, refuseSpec } from './word-map.ts';

/** An array map: `maxEntries` values, zero at the start. */
export class ArrayMap extends WordMap {
  constructor(spec: MapSpec) {
    super(spec);
    if (spec.kind !== 'array' && spec.kind !== 'percpu-array') refuseSpec(spec, 'not an array');
    if (this.keyBytes !== 4) refuseSpec(spec, 'the key of an array is a u32 index');
    this.words = new Int32Array(this.maxEntries * this.valueWords);
    this.count = this.maxEntries;
  }

  /** Word offset in `words` of the value at `index`, or -1. */
  find(index: number): number {
    return index >>> 0 < this.maxEntries ? Math.imul(index, this.valueWords) : -1;
  }

  override update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UPDATE.ANY): number {
    if (flags !== UPDATE.ANY && flags !== UPDATE.NOEXIST && flags !== UPDATE.EXIST) return ERRNO.EINVAL;
    if (value.length !== this.valueBytes || !this.takeKey(key)) return ERRNO.EINVAL;
    const at = this.findKey();
    if (at < 0) {
      this.refused++;
      return ERRNO.E2BIG;
    }
    if (flags === UPDATE.NOEXIST) return ERRNO.EEXIST;
    this.writeValue(at, value);
    return 0;
  }

  override delete(_key: Uint8Array): number {
    return ERRNO.EINVAL;
  }

  nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean {
    if (out.length < 4) return false;
    const known = after !== undefined && this.takeKey(after) && this.findKey() >= 0;
    const next = known ? this.key[0]! + 1 : 0;
    if (next >= this.maxEntries) return false;
    out[0] = next;
    out[1] = next >> 8;
    out[2] = next >> 16;
    out[3] = next >> 24;
    return true;
  }

  protected findKey(): number {
    return this.find(this.key[0]!);
  }

  protected insertKey(): number {
    return this.findKey();
  }

  protected removeKey(): boolean {
    return false;
  }

  protected collectKeys(): Uint8Array {
    return new Uint8Array(Uint32Array.from({ length: this.maxEntries }, (_, i) => i).buffer);
  }
}
