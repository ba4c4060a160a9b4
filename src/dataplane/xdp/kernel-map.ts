// A map in the kernel as a ByteMap. Input: the addon, a spec, a handle. Output: the promises of ByteMap, which are the kernel's own.
// Invariant: one system call an operation, nothing allocated for lookup, update and delete but a per-CPU value's expansion;
// after close everything answers as a map that is gone.
import type { ByteMap, MapStats } from '../../maps/index.ts';
import { ERRNO, type MapKind, type MapSpec, UPDATE, type UpdateFlag, valueBytes } from '../../schema/index.ts';
import { type BpfAddon, type Handle, MAP_FLAG, MAP_TYPE } from './addon.ts';
import { BpfError, checked } from './error.ts';

/** Entries as the kernel gave them: keys and values back to back. */
export interface MapDump {
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

const TYPES: Readonly<Record<MapKind, number>> = {
  hash: MAP_TYPE.HASH,
  'lru-hash': MAP_TYPE.LRU_HASH,
  array: MAP_TYPE.ARRAY,
  'percpu-array': MAP_TYPE.PERCPU_ARRAY,
  'lpm-trie': MAP_TYPE.LPM_TRIE,
  'array-of-arrays': MAP_TYPE.ARRAY_OF_MAPS,
  ring: MAP_TYPE.RINGBUF,
};

/** Who wants to know of writes to a map. */
export interface MapWatch {
  /** Before an update. @param keys back to back */
  writing?(keys: Uint8Array): void;
  /** Behind every write, also one that failed. @param deleted keys that were to be removed */
  written(deleted: number): void;
}

const UNWATCHED: MapWatch = { written: () => undefined };

/** Entries of one step of a walk. */
const CHUNK = 1024;
const END = 2;

/** Bytes of a value as the system calls have it: of a per-CPU map one, rounded up to 8, a CPU. */
const rawBytes = (spec: MapSpec, cpus: number): number =>
  spec.kind === 'percpu-array' ? ((spec.value.bytes + 7) & ~7) * cpus : spec.value.bytes;

/** A map in the kernel. */
export class KernelMap implements ByteMap {
  readonly spec: MapSpec;
  readonly handle: Handle;
  private readonly addon: BpfAddon;
  private readonly perCpu: boolean;
  private readonly tables: boolean;
  /** A per-CPU value: ours for the first CPU, zero for the others. */
  private readonly raw: Uint8Array;
  private refused = 0;
  private readonly watch: MapWatch;

  /** Takes the handle over. */
  constructor(addon: BpfAddon, spec: MapSpec, handle: Handle, watch: MapWatch = UNWATCHED) {
    this.watch = watch;
    this.addon = addon;
    this.spec = spec;
    this.handle = handle;
    this.perCpu = spec.kind === 'percpu-array';
    this.tables = spec.kind === 'array-of-arrays';
    this.raw = new Uint8Array(this.perCpu ? rawBytes(spec, addon.cpus()) : 0);
  }

  get size(): number {
    return Math.max(0, this.addon.mapCount(this.handle));
  }

  get stats(): MapStats {
    // The kernel does not count what an LRU gives up.
    return { refused: this.refused, evicted: 0 };
  }

  /**
   * As ByteMap says. Throws BpfError where the kernel does not answer: of a map of tables EPERM without CAP_SYS_ADMIN, which
   * reading an inner map by its number needs (CAP_BPF is enough to write it).
   */
  lookup(key: Uint8Array, value: Uint8Array): boolean {
    const errno = this.perCpu
      ? this.addon.mapLookupSum(this.handle, key, value)
      : this.tables
        ? this.addon.mapLookupInner(this.handle, key, value)
        : this.addon.mapLookup(this.handle, key, value);
    // Absent; a key or value of another size; a map that is gone.
    if (errno < 0 && errno !== ERRNO.ENOENT && errno !== ERRNO.EINVAL && errno !== ERRNO.EBADF)
      throw new BpfError('look up in', this.spec.name, errno);
    return errno === 0;
  }

  update(key: Uint8Array, value: Uint8Array, flags: UpdateFlag = UPDATE.ANY): number {
    this.watch.writing?.(key);
    const errno = this.write(key, value, flags);
    this.watch.written(0);
    if (errno === ERRNO.E2BIG || errno === ERRNO.ENOSPC || errno === ERRNO.ENOMEM) this.refused++;
    return errno;
  }

  private write(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (this.tables) return this.addon.mapUpdateInner(this.handle, key, value, flags);
    if (!this.perCpu) return this.addon.mapUpdate(this.handle, key, value, flags);
    if (value.length !== this.spec.value.bytes) return ERRNO.EINVAL;
    this.raw.set(value);
    return this.addon.mapUpdate(this.handle, key, this.raw, flags);
  }

  delete(key: Uint8Array): number {
    const errno = this.addon.mapDelete(this.handle, key);
    this.watch.written(1);
    return errno;
  }

  nextKey(after: Uint8Array | undefined, out: Uint8Array): boolean {
    return this.addon.mapNext(this.handle, after, out) === 0;
  }

  *entries(): IterableIterator<[Uint8Array, Uint8Array]> {
    const keyBytes = this.spec.key.bytes;
    const { count, keys } = this.walk(false);
    for (let at = 0; at < count * keyBytes; at += keyBytes) {
      const key = keys.slice(at, at + keyBytes);
      const value = new Uint8Array(valueBytes(this.spec));
      if (this.lookup(key, value)) yield [key, value];
    }
  }

  /** All entries of this moment. Keys in the kernel's order. */
  dump(): MapDump {
    return this.walk(true);
  }

  /** Walks the map in chunks; a per-CPU value as its sum, a table as its content. */
  private walk(withValues: boolean): MapDump {
    const { addon, handle, spec } = this;
    const keyBytes = spec.key.bytes;
    const wanted = valueBytes(spec);
    const raw = rawBytes(spec, addon.cpus());
    // Where values are read one by one, the walk only brings keys.
    const single = this.perCpu || this.tables;
    const position = new Uint8Array(Math.max(4, keyBytes) + 1);
    let chunk = Math.min(CHUNK, spec.maxEntries);
    let keyChunk = new Uint8Array(chunk * keyBytes);
    let valueChunk = new Uint8Array(chunk * raw);
    let keys: Uint8Array = keyChunk.slice(0, 0);
    let values: Uint8Array = keys;
    let count = 0;
    while (position[0] !== END) {
      const got = addon.mapBatch(handle, position, keyChunk, valueChunk, chunk);
      if (got === ERRNO.ENOSPC && chunk < 1 << 24) {
        chunk *= 2; // a bucket with more entries than that
        keyChunk = new Uint8Array(chunk * keyBytes);
        valueChunk = new Uint8Array(chunk * raw);
        continue;
      }
      if (got < 0) {
        if (got === ERRNO.EBADF) break;
        throw new BpfError('walk', spec.name, got);
      }
      keys = room(keys, (count + got) * keyBytes);
      keys.set(keyChunk.subarray(0, got * keyBytes), count * keyBytes);
      if (withValues && !single) {
        values = room(values, (count + got) * wanted);
        values.set(valueChunk.subarray(0, got * wanted), count * wanted);
      }
      count += got;
    }
    if (withValues && single) {
      values = new Uint8Array(count * wanted);
      let kept = 0;
      for (let n = 0; n < count; n++) {
        const key = keys.subarray(n * keyBytes, (n + 1) * keyBytes);
        if (!this.lookup(key, values.subarray(kept * wanted))) continue;
        keys.copyWithin(kept * keyBytes, n * keyBytes, (n + 1) * keyBytes);
        kept++;
      }
      count = kept;
    }
    return { count, keys: keys.subarray(0, count * keyBytes), values: values.subarray(0, count * wanted) };
  }

  /**
   * Many updates in order, stopping at the first that fails.
   * @param keys back to back, as `values`
   * @param done gets the number of updates made
   * @returns 0 or the negative errno of the one that failed
   */
  updateMany(keys: Uint8Array, values: Uint8Array, count: number, done: Int32Array): number {
    this.watch.writing?.(keys.subarray(0, count * this.spec.key.bytes));
    const errno = this.writeMany(keys, values, count, done);
    this.watch.written(0);
    if (errno === ERRNO.E2BIG || errno === ERRNO.ENOSPC || errno === ERRNO.ENOMEM) this.refused++;
    return errno;
  }

  private writeMany(keys: Uint8Array, values: Uint8Array, count: number, done: Int32Array): number {
    if (this.tables) return this.addon.mapUpdateInnerBatch(this.handle, keys, values, count, done);
    if (!this.perCpu) return this.addon.mapUpdateBatch(this.handle, keys, values, count, UPDATE.ANY, done);
    const { raw } = this;
    const size = this.spec.value.bytes;
    const all = new Uint8Array(count * raw.length);
    for (let n = 0; n < count; n++) all.set(values.subarray(n * size, (n + 1) * size), n * raw.length);
    return this.addon.mapUpdateBatch(this.handle, keys, all, count, UPDATE.ANY, done);
  }

  /** As updateMany; an absent key counts as deleted. */
  deleteMany(keys: Uint8Array, count: number, done: Int32Array): number {
    const errno = this.addon.mapDeleteBatch(this.handle, keys, count, done);
    this.watch.written(count);
    return errno;
  }

  /** Lets go of the map; the kernel frees it when it is pinned nowhere and no program uses it. */
  close(): void {
    this.addon.close(this.handle);
  }
}

function room(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length >= size) return bytes;
  const larger = new Uint8Array(Math.max(size, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

/** How a map of a spec is made. */
export interface KernelMapOptions {
  /** Further BPF_F_* flags. */
  readonly flags?: number;
}

/** Makes a map in the kernel for a spec of any kind but `ring`. Throws BpfError. */
export function createKernelMap(addon: BpfAddon, spec: MapSpec, options: KernelMapOptions = {}): KernelMap {
  const flags = (options.flags ?? 0) | (spec.kind === 'lpm-trie' ? MAP_FLAG.NO_PREALLOC : 0);
  const name = spec.name.slice(0, 15); // the kernel's limit
  let inner = 0;
  if (spec.kind === 'array-of-arrays') {
    inner = checked(
      addon.mapCreate(MAP_TYPE.ARRAY, '', 4, spec.value.bytes, spec.innerEntries ?? 0, 0, 0),
      'create inner map',
      spec.name,
    );
  }
  const bytes = spec.kind === 'array-of-arrays' ? 4 : spec.value.bytes;
  const handle = addon.mapCreate(TYPES[spec.kind], name, spec.key.bytes, bytes, spec.maxEntries, flags, inner);
  if (inner !== 0) addon.close(inner);
  return new KernelMap(addon, spec, checked(handle, 'create map', spec.name));
}
