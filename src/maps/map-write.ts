// MapWrite: one change of one map, the only thing that control hands to a dataplane; and how a list of them is applied.
// Input: maps by name, writes in order. Output: how many were applied, and the first that failed.
// Invariant: writes are applied in the given order and stop at the first failure, so that the order's promises hold.
import { ERRNO, valueBytes } from '../schema/map-spec.ts';
import type { ByteMap } from './byte-map.ts';

/** One change. Key and value are bytes of the sizes in the map's spec. */
export interface MapWrite {
  /** Name in the map's spec. */
  readonly map: string;
  readonly op: 'update' | 'delete';
  readonly key: Uint8Array;
  /** Of an update: the whole value. */
  readonly value?: Uint8Array;
  /** The same, where its bytes are made when somebody reads them. */
  readonly lazy?: LazyBytes;
}

/** Bytes that are made when they are asked for. They never change: the same object stands for the same bytes. */
export interface LazyBytes {
  /** How many. */
  readonly length: number;
  /** Makes them in an array of the caller's: of that length, on a whole word. */
  copyTo(out: Uint8Array): void;
}

/** The bytes of a value, made anew where it is lazy. */
export function bytesOf(value: Uint8Array | LazyBytes): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const bytes = new Uint8Array(value.length);
  value.copyTo(bytes);
  return bytes;
}

/** What became of a list of writes. */
export interface AppliedWrites {
  /** Writes done, counted from the first. */
  readonly applied: number;
  /** The write that failed, if one did; those behind it were not tried. */
  readonly failed?: { readonly index: number; readonly errno: number };
}

/**
 * Applies writes in order. To delete what is absent is no failure: the entry is gone, as wanted (an LRU map may have evicted
 * it). EBADF for a map that does not exist, EINVAL for an update without a value, otherwise as ByteMap.
 */
export function applyWrites(maps: ReadonlyMap<string, ByteMap>, writes: Iterable<MapWrite>): AppliedWrites {
  if (Array.isArray(writes)) makeRoom(maps, writes as readonly MapWrite[]);
  const scratch = new Scratch();
  let applied = 0;
  for (const write of writes) {
    const errno = applyWrite(maps.get(write.map), write, scratch);
    if (errno < 0) return { applied, failed: { index: applied, errno } };
    applied++;
  }
  return { applied };
}

/** From this number of updates on, a map grows in one step. */
const MANY = 256;

/** Tells maps how many entries are to come. */
function makeRoom(maps: ReadonlyMap<string, ByteMap>, writes: readonly MapWrite[]): void {
  if (writes.length < MANY) return;
  const updates = new Map<string, number>();
  for (const { map, op } of writes) if (op === 'update') updates.set(map, (updates.get(map) ?? 0) + 1);
  for (const [name, count] of updates) {
    const map = maps.get(name);
    if (count >= MANY && map !== undefined) map.expect?.(map.size + count);
  }
}

/** Where values are made that are read once. */
class Scratch {
  private bytes = new Uint8Array(0);

  of(length: number): Uint8Array {
    if (this.bytes.length < length) this.bytes = new Uint8Array(length);
    return this.bytes.length === length ? this.bytes : this.bytes.subarray(0, length);
  }
}

function applyWrite(map: ByteMap | undefined, write: MapWrite, scratch: Scratch): number {
  const { op, key, lazy } = write;
  if (map === undefined) return ERRNO.EBADF;
  if (op === 'delete') {
    const errno = map.delete(key);
    return errno === ERRNO.ENOENT ? 0 : errno;
  }
  if (lazy !== undefined) {
    if (lazy.length !== valueBytes(map.spec)) return ERRNO.EINVAL;
    if (map.updateLazily !== undefined) return map.updateLazily(key, lazy);
    const value = scratch.of(lazy.length);
    lazy.copyTo(value);
    return map.update(key, value);
  }
  const { value } = write;
  return value === undefined ? ERRNO.EINVAL : map.update(key, value);
}
