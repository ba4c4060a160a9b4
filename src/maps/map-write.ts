// MapWrite: one change of one map, the only thing that control hands to a dataplane; and how a list of them is applied.
// Input: maps by name, writes in order. Output: how many were applied, and the first that failed.
// Invariant: writes are applied in the given order and stop at the first failure, so that the order's promises hold.
import { ERRNO } from '../schema/map-spec.ts';
import type { ByteMap } from './byte-map.ts';

/** One change. Key and value are bytes of the sizes in the map's spec. */
export interface MapWrite {
  /** Name in the map's spec. */
  readonly map: string;
  readonly op: 'update' | 'delete';
  readonly key: Uint8Array;
  /** Of an update: the whole value. */
  readonly value?: Uint8Array;
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
  let applied = 0;
  for (const write of writes) {
    const errno = applyWrite(maps.get(write.map), write);
    if (errno < 0) return { applied, failed: { index: applied, errno } };
    applied++;
  }
  return { applied };
}

function applyWrite(map: ByteMap | undefined, { op, key, value }: MapWrite): number {
  if (map === undefined) return ERRNO.EBADF;
  if (op === 'delete') {
    const errno = map.delete(key);
    return errno === ERRNO.ENOENT ? 0 : errno;
  }
  return value === undefined ? ERRNO.EINVAL : map.update(key, value);
}
