// ByteMap: the interface of one map as bytes, which every engine's maps implement (in memory here, in the kernel elsewhere).
// Input and output: keys and values as byte arrays of exactly the sizes of the spec. Invariant: errors are negative errno,
// absence is a value, nothing throws. The promises below are those of Linux's bpf(2), checked by test/conformance/byte-map.ts.
import type { MapSpec, UpdateFlag } from '../schema/map-spec.ts';
import type { LazyBytes } from './map-write.ts';

/** What a map did because of its bounds. */
export interface MapStats {
  /** Insertions refused because the map was full (or memory ran out). */
  readonly refused: number;
  /** Entries an LRU map gave up to admit others. */
  readonly evicted: number;
}

/**
 * One map as bytes. Keys have `spec.key.bytes` bytes, values `valueBytes(spec)`; whatever has another size is refused
 * (`false` or `EINVAL`). Byte order is the struct's own: nothing is converted.
 */
export interface ByteMap {
  readonly spec: MapSpec;
  /** Entries held now; of an array always `maxEntries`. */
  readonly size: number;
  /**
   * Copies the value of `key` into the front of `value` (at least as long as a value). Allocates nothing. As in the
   * kernel, a lookup from here does not mark an LRU entry as used. An LPM trie answers with the longest prefix that
   * matches the key's bits and is not longer than the key's own prefix length.
   */
  lookup(key: Uint8Array, value: Uint8Array): boolean;
  /**
   * Creates or replaces, as `flags` (UPDATE.ANY if absent) allow. Returns 0 or a negative errno: EEXIST (NOEXIST and
   * present; NOEXIST on any array), ENOENT (EXIST and absent), E2BIG (full hash; index of an array or array-of-arrays out of
   * bounds), ENOSPC (full LPM trie), ENOMEM, EINVAL (sizes, flags, prefix length).
   */
  update(key: Uint8Array, value: Uint8Array, flags?: UpdateFlag): number;
  /** `update` without flags, of a map that makes a value's bytes when somebody first looks for them. `value` has a value's length. */
  updateLazily?(key: Uint8Array, value: LazyBytes): number;
  /** Removes. 0, ENOENT, or EINVAL (sizes, any array, a prefix length out of bounds). */
  delete(key: Uint8Array): number;
  /**
   * Writes the key that follows `after` into `out` and answers true, or answers false at the end. Without `after`, or when
   * `after` is not in the map, it starts from the first key, as the kernel does; so a walk must ask for the next key before
   * it deletes the current one.
   */
  nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean;
  /**
   * Every entry, in copies. The map may be changed during the walk: entries that are not touched meanwhile are seen
   * exactly once in memory (the kernel promises at least once); removed ones not any more, added ones perhaps.
   */
  entries(): IterableIterator<[Uint8Array, Uint8Array]>;
  readonly stats: MapStats;
  /** Says how many entries there will be, roughly: a map that grows then does so in one step. */
  expect?(entries: number): void;
}
