// Applies MapWrites to kernel maps: in order, and where several in a row go to the same map, in one system call.
// Input: maps by name, writes. Output: what applyWrites would have answered. Invariant: the same writes are done, in the same
// order, up to the same first failure; whatever a batch cannot hold exactly is written by itself.
import { type AppliedWrites, applyWrites, type MapWrite } from '../../maps/index.ts';
import { valueBytes } from '../../schema/index.ts';
import type { KernelMap } from './kernel-map.ts';

/** Entries and bytes that are collected at most: as much as one system call may take, and as little as memory asks for. */
const MOST = 1024;
const MOST_BYTES = 4 << 20;

/** Collects writes of one kind to one map. Reused; holds no write after `flush`. */
export class WriteBatch {
  private readonly maps: ReadonlyMap<string, KernelMap>;
  private readonly done = new Int32Array(1);
  private keys = new Uint8Array(0);
  private values = new Uint8Array(0);
  private map: KernelMap | undefined;
  private op: MapWrite['op'] = 'update';
  private count = 0;
  private limit = 0;

  constructor(maps: ReadonlyMap<string, KernelMap>) {
    this.maps = maps;
  }

  /** As applyWrites. */
  apply(writes: Iterable<MapWrite>): AppliedWrites {
    let applied = 0;
    for (const write of writes) {
      const map = this.maps.get(write.map);
      const alike = map !== undefined && map === this.map && write.op === this.op && this.count < this.limit;
      if (!alike) {
        const errno = this.flush();
        applied += this.done[0]!;
        if (errno < 0) return { applied, failed: { index: applied, errno } };
      }
      if (map === undefined || !fits(map, write)) {
        // Also what is wrong with a write is answered by the one that answers it for every engine.
        const errno = this.flush();
        applied += this.done[0]!;
        if (errno < 0) return { applied, failed: { index: applied, errno } };
        const single = applyWrites(this.maps, [write]);
        if (single.failed !== undefined) return { applied, failed: { index: applied, errno: single.failed.errno } };
        applied++;
        continue;
      }
      if (this.count === 0) this.begin(map, write.op);
      this.add(map, write);
    }
    const errno = this.flush();
    applied += this.done[0]!;
    return errno < 0 ? { applied, failed: { index: applied, errno } } : { applied };
  }

  private begin(map: KernelMap, op: MapWrite['op']): void {
    this.map = map;
    this.op = op;
    const each = map.spec.key.bytes + (op === 'update' ? valueBytes(map.spec) : 0);
    this.limit = Math.max(1, Math.min(MOST, Math.floor(MOST_BYTES / each)));
    const keyBytes = this.limit * map.spec.key.bytes;
    const allValues = op === 'update' ? this.limit * valueBytes(map.spec) : 0;
    if (this.keys.length < keyBytes) this.keys = new Uint8Array(keyBytes);
    if (this.values.length < allValues) this.values = new Uint8Array(allValues);
  }

  private add(map: KernelMap, { key, value }: MapWrite): void {
    this.keys.set(key, this.count * key.length);
    if (this.op === 'update' && value !== undefined) this.values.set(value, this.count * valueBytes(map.spec));
    this.count++;
  }

  /** Writes what was collected; `done[0]` = how many of them. */
  private flush(): number {
    const { map, count, done } = this;
    this.map = undefined;
    this.count = 0;
    done[0] = 0;
    if (map === undefined || count === 0) return 0;
    return this.op === 'update'
      ? map.updateMany(this.keys, this.values, count, done)
      : map.deleteMany(this.keys, count, done);
  }
}

const fits = (map: KernelMap, { op, key, value }: MapWrite): boolean =>
  key.length === map.spec.key.bytes &&
  (op === 'delete' || (op === 'update' && value !== undefined && value.length === valueBytes(map.spec)));
