// What the maps of a closed dataplane are: empty, and every change is EBADF. Input: a spec. Output: error values.
import type { ByteMap, MapStats } from '../maps/index.ts';
import { ERRNO, type MapSpec } from '../schema/index.ts';

/** A map that is gone. */
export class ClosedMap implements ByteMap {
  readonly spec: MapSpec;
  readonly size = 0;
  readonly stats: MapStats = { refused: 0, evicted: 0 };

  constructor(spec: MapSpec) {
    this.spec = spec;
  }

  lookup(): boolean {
    return false;
  }

  update(): number {
    return ERRNO.EBADF;
  }

  delete(): number {
    return ERRNO.EBADF;
  }

  nextKey(): boolean {
    return false;
  }

  *entries(): IterableIterator<[Uint8Array, Uint8Array]> {
    yield* [];
  }
}
