// What a map is, before it exists: name, kind, key and value structs, bounds. Deterministic, no engine.
import type { StructType } from '../layout/index.ts';

/**
 * Map kinds, as the kernel has them: `hash` BPF_MAP_TYPE_HASH, `lru-hash` LRU_HASH, `array` ARRAY, `percpu-array`
 * PERCPU_ARRAY (one plain array in memory), `lpm-trie` LPM_TRIE (key begins with a u32 prefix length), `array-of-arrays`
 * ARRAY_OF_MAPS whose inner maps are arrays of u32 (an index without a table is absent; updates know no flag but ANY),
 * `ring` RINGBUF (events; no keys).
 */
export type MapKind = 'hash' | 'lru-hash' | 'array' | 'percpu-array' | 'lpm-trie' | 'array-of-arrays' | 'ring';

/** The blueprint of one map. */
export interface MapSpec<K extends StructType = StructType, V extends StructType = StructType> {
  /** Pin name, `weir_…`. */
  readonly name: string;
  readonly kind: MapKind;
  readonly doc: string;
  /** Key struct. Arrays take a u32 index. */
  readonly key: K;
  /** Value struct; of an array-of-arrays the whole inner array is the value, and this describes one element. */
  readonly value: V;
  /** Bound on entries (on outer entries of an array-of-arrays). */
  readonly maxEntries: number;
  /** Elements of each inner array of an array-of-arrays. */
  readonly innerEntries?: number;
  /** Cilium's map and the option that sizes it, where there is one. */
  readonly cilium?: string;
}

/** Size of a map's value in bytes: the struct, or a whole inner array. */
export const valueBytes = (spec: MapSpec): number => spec.value.bytes * (spec.innerEntries ?? 1);

/** Flags of an update, as in bpf(2): ANY creates or replaces, NOEXIST only creates, EXIST only replaces. */
export const UPDATE = { ANY: 0, NOEXIST: 1, EXIST: 2 } as const;
/** A number of UPDATE. */
export type UpdateFlag = (typeof UPDATE)[keyof typeof UPDATE];

/** Negative errno values that map operations return. */
export const ERRNO = {
  ENOENT: -2,
  E2BIG: -7,
  ENOMEM: -12,
  EEXIST: -17,
  EINVAL: -22,
  ENOSPC: -28,
  EBADF: -9,
  EOPNOTSUPP: -95,
} as const;
