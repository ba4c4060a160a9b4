// The object file in the kernel: its maps with the sizes of a configuration, its constants, its programs.
// Input: bytes of an object, sizes, constants, pinned maps to take over. Output: handles by name. Throws BpfError with the
// verifier's whole log. Invariant: a load that fails leaves nothing open.
import type { SizeOverrides, StoredMapName } from '../../datapath/index.ts';
import { MAPS, OBJECT_MAPS, type MapName, type MapSpec, loadConstants, ringBytes } from '../../schema/index.ts';
import type { ValueOf } from '../../layout/index.ts';
import type { BpfAddon, Handle } from './addon.ts';
import { BpfError, checked } from './error.ts';
import { KernelMap, type MapWatch } from './kernel-map.ts';
import { WildcardFilter } from './wildcard-filter.ts';

/** Maps of the object that are no part of the contract. */
export type ObjectMapName = keyof typeof OBJECT_MAPS;

/** What a load is made of. */
export interface ObjectOptions {
  /** The object file. */
  readonly object: Uint8Array;
  /** Bounds that differ from the schema's. */
  readonly specs?: SizeOverrides;
  /** The load's constants. */
  readonly constants: ValueOf<typeof loadConstants>;
  /** Programs to load, by name in the object; undefined: all. One that the object lacks is an error. */
  readonly programs?: readonly string[];
  /** Attach types to load programs for (TCX), by name. */
  readonly attachTypes?: ReadonlyMap<string, number>;
  /** Maps to use instead of new ones, by their spec's name: handles that stay the caller's. */
  readonly reuse?: ReadonlyMap<string, Handle>;
  /** Of the verifier: 0 nothing unless it refuses, 1 and 2 everything, 4 statistics. */
  readonly logLevel?: number;
}

/** An object in the kernel. */
export interface LoadedObject {
  /** Maps that hold entries. */
  readonly maps: Readonly<Record<StoredMapName, KernelMap>>;
  readonly own: Readonly<Record<ObjectMapName, KernelMap>>;
  /** The event ring's map. */
  readonly events: Handle;
  /** Loaded programs by name. */
  readonly programs: ReadonlyMap<string, Handle>;
  /** What libbpf and the verifier said. */
  readonly log: string;
  close(): void;
}

/** A spec with the sizes that a configuration gives it. */
export const sized = (name: MapName, specs: SizeOverrides = {}): MapSpec => ({ ...MAPS[name], ...specs[name] });

/** Names of the maps of an opened object (what libbpf makes of sections included) or of its programs. */
function namesOf(addon: BpfAddon, object: Handle, what: 0 | 1): string[] {
  const names = addon.objectNames(object, what);
  return typeof names === 'number' ? [] : names.split('\n').filter((name) => name !== '');
}

/**
 * Places a processor for what from-container remembers of packets: as many as there may be connections, shared among
 * the processors; a power of two, from 4 to 2^20.
 */
export const recentPlaces = (connections: number, cpus: number): number =>
  2 ** Math.min(20, Math.max(2, Math.floor(Math.log2(Math.max(1, connections / Math.max(1, cpus))))));

/** Entries of the maps that hold them. IPv6 has half as many, of twice the size. */
export function recentSizes(
  addon: BpfAddon,
  { recentPlaces: places, recording }: Pick<ValueOf<typeof loadConstants>, 'recentPlaces' | 'recording'>,
): readonly (readonly [ObjectMapName, number])[] {
  const all = Math.max(2, places * addon.cpus());
  const told = recording === 0 ? 2 : all;
  return [
    ['recent4', all],
    ['recent6', all >>> 1],
    ['recentTold4', told],
    ['recentTold6', told >>> 1],
  ];
}

/**
 * Makes the contract's maps such that the object's own ones follow their writes: what the programs remember of packets is
 * void behind each (weir_generation), and the filter of wildcard entries knows them (weir_wildcards).
 */
export function watches(
  generation: ArrayBuffer,
  filter: WildcardFilter,
): (name: MapName, make: (watch: MapWatch) => KernelMap) => KernelMap {
  const changes = new Int32Array(generation, 0, 1);
  const written = (): void => {
    Atomics.add(changes, 0, 1);
  };
  return (name, make) => {
    if (name !== 'services4' && name !== 'services6') return make({ written });
    const map = make(filter.watch(MAPS[name].key.bytes, written));
    filter.guard(map);
    return map;
  };
}

/** Opens, configures and loads an object. */
export function loadObject(addon: BpfAddon, options: ObjectOptions): LoadedObject {
  const object = addon.objectOpen(options.object, 'weir', options.logLevel ?? 0);
  if (object < 0) throw new BpfError('open', 'weir.bpf.o', object, addon.lastLog());
  const opened: Handle[] = [object];
  const close = (): void => {
    for (const handle of opened.splice(0)) addon.close(handle);
  };
  try {
    configure(addon, object, options);
    const errno = addon.objectLoad(object);
    const log = addon.lastLog();
    if (errno < 0) throw new BpfError('load', 'weir.bpf.o', errno, log);
    const keep = (handle: number, operation: string, name: string): Handle => {
      opened.push(checked(handle, operation, name));
      return handle;
    };
    const mapOf = (spec: MapSpec, watch?: MapWatch): KernelMap =>
      new KernelMap(addon, spec, keep(addon.objectMap(object, spec.name), 'find map', spec.name), watch);
    const own: Partial<Record<ObjectMapName, KernelMap>> = {};
    for (const name of Object.keys(OBJECT_MAPS) as ObjectMapName[]) own[name] = mapOf(OBJECT_MAPS[name]);
    const memory = (map: KernelMap): ArrayBuffer => {
      const bytes = addon.mapMemory(map.handle);
      if (typeof bytes === 'number') throw new BpfError('map into memory', map.spec.name, bytes);
      return bytes;
    };
    const watchOf = watches(memory(own.generation!), new WildcardFilter(memory(own.wildcards!)));
    const maps: Partial<Record<StoredMapName, KernelMap>> = {};
    for (const name of Object.keys(MAPS) as MapName[]) {
      if (name === 'events') continue;
      const spec = sized(name, options.specs);
      maps[name] = watchOf(name, (watch) => mapOf(spec, watch));
    }
    const programs = new Map<string, Handle>();
    for (const name of options.programs ?? namesOf(addon, object, 1)) {
      programs.set(name, keep(addon.objectProgram(object, name), 'find program', name));
    }
    const events = keep(addon.objectMap(object, MAPS.events.name), 'find map', MAPS.events.name);
    // The handles hold maps and programs; libbpf's own copy of the object is not needed any more.
    addon.close(object);
    return {
      maps: maps as Record<StoredMapName, KernelMap>,
      own: own as Record<ObjectMapName, KernelMap>,
      events,
      programs,
      log,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function configure(addon: BpfAddon, object: Handle, options: ObjectOptions): void {
  for (const name of Object.keys(MAPS) as MapName[]) {
    const spec = sized(name, options.specs);
    const size = spec.kind === 'ring' ? ringBytes(spec) : spec.maxEntries;
    checked(addon.objectSetMax(object, spec.name, size), 'set size of', spec.name);
    if (spec.innerEntries !== undefined && spec.innerEntries !== MAPS[name as 'maglev4'].innerEntries) {
      checked(addon.objectSetInner(object, spec.name, spec.innerEntries), 'set inner size of', spec.name);
    }
    const other = options.reuse?.get(spec.name);
    if (other !== undefined) checked(addon.objectReuse(object, spec.name, other), 'reuse', spec.name);
  }
  for (const [name, entries] of recentSizes(addon, options.constants)) {
    checked(addon.objectSetMax(object, OBJECT_MAPS[name].name, entries), 'set size of', OBJECT_MAPS[name].name);
  }
  const constants = loadConstants.encode(options.constants);
  checked(addon.objectSetConstant(object, loadConstants.name, constants), 'set constants', loadConstants.name);
  const wanted = options.programs;
  for (const name of namesOf(addon, object, 1)) {
    if (wanted !== undefined && !wanted.includes(name)) {
      checked(addon.objectAutoload(object, name, false), 'leave out', name);
      continue;
    }
    const type = options.attachTypes?.get(name);
    if (type !== undefined) checked(addon.objectAttachType(object, name, type), 'set attach type of', name);
  }
}
