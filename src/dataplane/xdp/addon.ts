// The native addon as TypeScript sees it, and how it is found. Input: build-cmake/Release or build/Release of the package.
// Output: BpfAddon. Invariant: its functions never throw; they answer 0 or more, or a negative errno, for whatever arguments.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A map, program, link, object or ring of the addon: a positive integer that is never given out twice. */
export type Handle = number;

/** BPF_MAP_TYPE_* of the kinds in use. */
export const MAP_TYPE = {
  HASH: 1,
  ARRAY: 2,
  PERCPU_ARRAY: 6,
  LRU_HASH: 9,
  LPM_TRIE: 11,
  ARRAY_OF_MAPS: 12,
  HASH_OF_MAPS: 13,
  RINGBUF: 27,
} as const;

/** BPF_F_* of a map. */
export const MAP_FLAG = { NO_PREALLOC: 1, MMAPABLE: 1024 } as const;

/** expected_attach_type of tcx (Linux 6.6). */
export const TCX = { INGRESS: 46, EGRESS: 47 } as const;

/**
 * BPF_F_TEST_* of a test run. SKB_CHECKSUM_COMPLETE (Linux 6.16): the skb comes with a sum of its bytes from the IP header on,
 * as from a device, and -EBADMSG when the program has not kept it right.
 */
export const TEST_RUN = { SKB_CHECKSUM_COMPLETE: 4 } as const;

/** How an XDP program is attached: as the driver can, in the driver, in the stack. */
export const XDP_MODE = { ANY: 0, NATIVE: 1, GENERIC: 2 } as const;

/**
 * `weir_bpf.node`. Numbers are integers; whatever else is given, and every key or value of another size than the kernel's,
 * is -EINVAL; a handle that is none, -EBADF.
 */
export interface BpfAddon {
  /** 0, also for a handle that was closed before; -EBADF for a number that never was one. A link that is not pinned goes. */
  close(handle: Handle): number;
  /** Handles that are open in the process: what a test of leaks asks. */
  openHandles(): number;
  /** Of the library that the addon was linked with, as in `1.1`. */
  libbpfVersion(): string;
  /** CPUs that a per-CPU value has a place for; 0 = unknown. */
  cpus(): number;
  /** 1 or 0. */
  isBpfFs(path: string): number;
  /** Removes a pin; -EINVAL for whatever lies outside a BPF file system, and for links. */
  unpin(path: string): number;

  /** A handle. `inner` is a template map for maps of maps, otherwise 0. -E2BIG beyond 4 GiB. */
  mapCreate(
    type: number,
    name: string,
    keyBytes: number,
    valueBytes: number,
    maxEntries: number,
    flags: number,
    inner: Handle | 0,
  ): number;
  /** A handle of a pinned map. */
  mapOpen(path: string): number;
  /** A handle of a loaded map by the kernel's number of it. */
  mapById(id: number): number;
  /** How the inner arrays of a map of maps look, where it was opened by path or id. */
  mapSetInner(
    map: Handle,
    type: number,
    keyBytes: number,
    valueBytes: number,
    maxEntries: number,
    flags: number,
  ): number;
  /** Fills type, key bytes, value bytes, max entries, flags, id, bytes of a lookup, CPUs of a value: 8 words. */
  mapInfo(map: Handle, out: Int32Array): number;
  /** Pins a map at a path of a BPF file system. */
  mapPin(map: Handle, path: string): number;
  /** Copies the value of a key into `value`; -ENOENT where there is none. */
  mapLookup(map: Handle, key: Uint8Array, value: Uint8Array): number;
  /** Per-CPU maps: the sum over the CPUs, value seen as little-endian u64. */
  mapLookupSum(map: Handle, key: Uint8Array, value: Uint8Array): number;
  /** Stores a value. `flags`: UPDATE, with the kernel's -EEXIST, -ENOENT and -E2BIG. */
  mapUpdate(map: Handle, key: Uint8Array, value: Uint8Array, flags: number): number;
  /** Takes a key away; -ENOENT where it was not there. */
  mapDelete(map: Handle, key: Uint8Array): number;
  /** The key behind `after` (the first one for undefined) into `out`; -ENOENT at the end. */
  mapNext(map: Handle, after: Uint8Array | undefined, out: Uint8Array): number;
  /** The values of an array with MAP_FLAG.MMAPABLE, each rounded up to 8 bytes; mapped as long as the buffer is held. */
  mapMemory(map: Handle): ArrayBuffer | number;
  /** Entries held: a walk over all of them. */
  mapCount(map: Handle): number;
  /** Up to `count` entries of a walk. `position`: max(4, key) + 1 bytes, zero at first; its first byte is 2 at the end. */
  mapBatch(map: Handle, position: Uint8Array, keys: Uint8Array, values: Uint8Array, count: number): number;
  /** 0 or the first failure; `done[0]` = updates before it. */
  mapUpdateBatch(
    map: Handle,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
    done: Int32Array,
  ): number;
  /** As mapUpdateBatch; an absent key counts as deleted. */
  mapDeleteBatch(map: Handle, keys: Uint8Array, count: number, done: Int32Array): number;
  /** Makes an inner array with that content and puts it under the key. */
  mapUpdateInner(map: Handle, key: Uint8Array, table: Uint8Array, flags: number): number;
  /** As mapUpdateInner for `count` keys, up to the first failure; `done[0]` = tables before it. */
  mapUpdateInnerBatch(map: Handle, keys: Uint8Array, tables: Uint8Array, count: number, done: Int32Array): number;
  /** Copies an inner array's content into `out`, which must hold all of it; -ENOENT where the key has none. */
  mapLookupInner(map: Handle, key: Uint8Array, out: Uint8Array): number;

  /** logLevel 0: the verifier's log when it refuses; 1, 2: always; 4: statistics. */
  objectOpen(bytes: Uint8Array, name: string, logLevel: number): number;
  /** What libbpf and the verifier said during the last objectOpen or objectLoad of this thread. */
  lastLog(): string;
  /** Names of the maps (0) or programs (1), one a line. */
  objectNames(object: Handle, what: 0 | 1): string | number;
  /** Entries of a map, before the object is loaded. */
  objectSetMax(object: Handle, map: string, maxEntries: number): number;
  /** Entries of the inner arrays of a map of maps, before the object is loaded. */
  objectSetInner(object: Handle, map: string, maxEntries: number): number;
  /** A `const volatile` variable of .rodata, whole. */
  objectSetConstant(object: Handle, variable: string, bytes: Uint8Array): number;
  /** Has the object use a map that exists instead of its own, before it is loaded. */
  objectReuse(object: Handle, map: string, handle: Handle): number;
  /** Whether a program is loaded with the object. */
  objectAutoload(object: Handle, program: string, on: boolean): number;
  /** BPF_* attach type that a program is loaded for: TCX, say. */
  objectAttachType(object: Handle, program: string, type: number): number;
  /** Creates the maps and loads the programs. What the verifier said: lastLog(). */
  objectLoad(object: Handle): number;
  /** A handle of a map of a loaded object, by its name there. */
  objectMap(object: Handle, name: string): number;
  /** A handle of a program of a loaded object, by its name there. */
  objectProgram(object: Handle, name: string): number;

  /** A handle of a pinned program. */
  programOpen(path: string): number;
  /** Pins a program at a path of a BPF file system. */
  programPin(program: Handle, path: string): number;
  /** Fills type, id, instructions verified, bytes translated, bytes of machine code, maps: 6 words. */
  programInfo(program: Handle, out: Int32Array): number;
  /** BPF_PROG_TEST_RUN; `result`: return value, packet bytes out, context bytes out, ns a repeat. */
  programRun(
    program: Handle,
    data: Uint8Array,
    dataOut: Uint8Array | undefined,
    context: Uint8Array | undefined,
    contextOut: Uint8Array | undefined,
    repeat: number,
    cpu: number,
    result: Int32Array,
  ): number;
  /**
   * One test run of the packet between two offsets of `bytes`. One that keeps its length is put back there, one of another
   * length at the start of `other`. `result`: return value, length, 1 = it is in `other`: 3 words. `flags`: TEST_RUN.
   */
  programRunInPlace(
    program: Handle,
    bytes: Uint8Array,
    from: number,
    to: number,
    other: Uint8Array,
    result: Int32Array,
    flags?: number,
  ): number;

  /** `mode`: XDP_MODE. `netns`: path of a network namespace; undefined = this one. */
  linkXdp(program: Handle, ifindex: number, mode: number, netns: string | undefined): number;
  /** A tcx link (Linux 6.6): -EINVAL where the kernel does not know the attach type. */
  linkTcx(program: Handle, ifindex: number, egress: boolean, netns: string | undefined): number;
  /** Filters of the same program name that were there (of a process that was killed) go. */
  linkClsact(program: Handle, ifindex: number, egress: boolean, netns: string | undefined): number;
  /** Puts another program in place, with no packet in between that meets none. */
  linkUpdate(link: Handle, program: Handle): number;
  /** Takes the program off, a pinned link's, too; the handle stays open. */
  linkDetach(link: Handle): number;
  /** Pins a link, so that the program stays beyond the process; -EOPNOTSUPP for a clsact filter. */
  linkPin(link: Handle, path: string): number;
  /** A handle of a pinned link. */
  linkOpen(path: string): number;
  /** Fills link id, program id, BPF_LINK_TYPE_* (0: a clsact filter), interface: 4 words. */
  linkInfo(link: Handle, out: Int32Array): number;
  /** Number of an interface by its name; -ENODEV where there is none. */
  interfaceIndex(name: string, netns: string | undefined): number;
  /**
   * The datapath's clsact filters in a network namespace, a line each: interface, `ingress` or `egress`, priority, handle,
   * program id, program name (15 bytes at most).
   */
  tcFilters(netns: string | undefined): string | number;

  /** A handle that reads a ring buffer's records. */
  ringOpen(map: Handle): number;
  /** Moves records to `out`: u32 length, bytes, padded to 4. How many bytes were written. */
  ringConsume(ring: Handle, out: Uint8Array): number;
  /** Calls back from the event loop when there is something; `keepAlive`: the process waits for it. */
  ringWatch(ring: Handle, callback: () => void, keepAlive: boolean): number;
  /** Ends ringWatch: no callback comes after it. */
  ringUnwatch(ring: Handle): number;
}

/** The folder of the package, whether this runs from sources or compiled. */
export const PACKAGE = ((): string => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
})();

const PLACES = ['build-cmake/Release', 'build/Release'];

/** A file of the native build, or undefined. */
export const builtFile = (name: string): string | undefined =>
  PLACES.map((place) => join(PACKAGE, place, name)).find((path) => existsSync(path));

/** The programs of the kernel engine as they were compiled, or undefined when they were not. */
export function builtObject(): Uint8Array | undefined {
  const path = builtFile('weir.bpf.o');
  return path === undefined ? undefined : readFileSync(path);
}

let loaded: BpfAddon | Error | undefined;

/** The addon, or the error that loading it gave: it was not built, or its libbpf is gone. */
export function loadAddon(): BpfAddon | Error {
  if (loaded !== undefined) return loaded;
  const path = builtFile('weir_bpf.node');
  if (path === undefined) {
    loaded = new Error('weir_bpf.node is not built');
    return loaded;
  }
  try {
    loaded = createRequire(import.meta.url)(path) as BpfAddon;
  } catch (error) {
    loaded = error instanceof Error ? error : new Error(String(error));
  }
  return loaded;
}
