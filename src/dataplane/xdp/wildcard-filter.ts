// The filter in front of wildcard entries: a bit for each hash of an address that may have one. Most packets at xdp are for
// no service and no such address, and need no second lookup to know it. Input: keys that are about to be written to a service
// map, deletions. Output: bits in weir_wildcards, which plain_service.h asks. Invariant: the bit of a wildcard entry is set
// before the entry is there; a bit without an entry costs a lookup, never the answer, so bits go in bulk.
import { WILDCARD_BITS } from '../../schema/index.ts';
import type { KernelMap, MapWatch } from './kernel-map.ts';

/** Deletions after which the bits are made anew. */
const MANY = 1024;

/** The bit of an address: `count` raw words from `at`. */
function bitOf(words: Int32Array, at: number, count: number): number {
  let hash = Math.imul(words[at]!, 0x9e3779b1);
  if (count === 4) {
    hash += Math.imul(words[at + 1]!, 0x85ebca6b);
    hash += Math.imul(words[at + 2]!, 0xc2b2ae35);
    hash += Math.imul(words[at + 3]!, 0x27d4eb2f);
  }
  return (hash >>> 0) >>> (32 - WILDCARD_BITS);
}

/** The bits, and who keeps them. */
export class WildcardFilter {
  private readonly bits: Int32Array;
  private readonly maps: KernelMap[] = [];
  private deletions = 0;

  /** @param memory the values of weir_wildcards */
  constructor(memory: ArrayBuffer) {
    this.bits = new Int32Array(memory, 0, 2 ** WILDCARD_BITS / 32);
  }

  /** What a service map is to tell. @param written what else is to be told of its writes */
  watch(keyBytes: number, written: () => void): MapWatch {
    return {
      writing: (keys) => {
        set(this.bits, keys, keyBytes);
      },
      written: (deleted) => {
        this.deletions += deleted;
        if (this.deletions >= MANY) this.renew();
        written();
      },
    };
  }

  /** The maps whose entries the bits stand for. */
  guard(...maps: KernelMap[]): void {
    this.maps.push(...maps);
  }

  /** Leaves the bits of what is there. */
  private renew(): void {
    this.deletions = 0;
    const fresh = new Int32Array(this.bits.length);
    for (const map of this.maps) {
      const { count, keys } = map.dump();
      set(fresh, keys.subarray(0, count * map.spec.key.bytes), map.spec.key.bytes);
    }
    this.bits.set(fresh);
  }
}

/** Sets the bits of the wildcard entries among service keys, back to back: address, port and slot 0, protocol 0. */
function set(bits: Int32Array, keys: Uint8Array, keyBytes: number): void {
  const whole = keys.length - (keys.length % keyBytes);
  const words = new Int32Array(keys.slice(0, whole).buffer);
  const size = keyBytes >>> 2;
  for (let at = 0; at < words.length; at += size) {
    if (words[at + size - 2] !== 0 || words[at + size - 1] !== 0) continue;
    const bit = bitOf(words, at, size - 2);
    bits[bit >>> 5]! |= 1 << (bit & 31);
  }
}
