// What a differential sequence runs in: entries of maps as values, which become the same MapWrites for both engines.
// Input: entries. Output: MapWrites, and those that take everything away again. Invariant: an entry is plain data, so that a
// counterexample can be printed, cut down and committed.
import type { StoredMapName } from '../../../src/datapath/index.ts';
import type { SimOptions } from '../../../src/dataplane/sim/index.ts';
import type { StructType, ValueOf } from '../../../src/layout/index.ts';
import type { MapWrite } from '../../../src/maps/index.ts';
import { type MapSpec, MAPS } from '../../../src/schema/index.ts';

type Specs = typeof MAPS;

/** Maps whose values are whole tables. */
export type TableName = Extract<StoredMapName, `maglev${string}`>;
type PlainName = Exclude<StoredMapName, TableName>;

/** One entry of a map, decoded. */
export type PlainEntry = {
  [N in PlainName]: {
    readonly map: N;
    readonly key: ValueOf<Specs[N]['key']>;
    readonly value: ValueOf<Specs[N]['value']>;
  };
}[PlainName];

/** A Maglev table: the given elements, repeated over its slots. */
export interface TableEntry {
  readonly map: TableName;
  readonly key: { readonly reverseNat: number };
  readonly table: readonly number[];
}

/** Takes an entry away (of an array: makes it zero). */
export type Removal = {
  [N in PlainName]: { readonly map: N; readonly key: ValueOf<Specs[N]['key']>; readonly removed: true };
}[PlainName];

export type WorldEntry = PlainEntry | TableEntry | Removal;

/** Slots of a Maglev table here. */
export const TABLE_SLOTS = 251;

/** Reverse NAT indices that frontends use: few, so that tables can be shared by many worlds. */
export const REVERSE_NATS = 12;
/** Backend ids in use: 1 .. BACKENDS − 1. */
export const BACKENDS = 20;

/**
 * Bounds of every map here: small, so that content is compared quickly, and far more than a sequence fills, so that no LRU map
 * evicts (whom it evicts is the kernel's own business).
 */
export const SIZES: NonNullable<SimOptions['specs']> = Object.fromEntries(
  Object.entries(MAPS as Readonly<Record<string, MapSpec>>)
    .filter(([name]) => !['config', 'metrics', 'events'].includes(name))
    .map(([name, spec]) => [
      name,
      spec.kind === 'array'
        ? { maxEntries: 64 }
        : spec.kind === 'array-of-arrays'
          ? { maxEntries: 64, innerEntries: TABLE_SLOTS }
          : { maxEntries: 1024 },
    ]),
);

const specOf = (name: StoredMapName): MapSpec => MAPS[name];

/** Whether a map is an array, which cannot delete. */
export const isArray = (name: StoredMapName): boolean => specOf(name).kind === 'array';

/** Names of the maps that hold entries. */
export const STORED: readonly StoredMapName[] = (Object.keys(MAPS) as (keyof Specs)[]).filter(
  (name): name is StoredMapName => name !== 'events',
);

/** Maps by the name in their spec. */
const BY_SPEC_NAME = new Map<string, StoredMapName>(STORED.map((name) => [specOf(name).name, name]));

/** Name in MAPS of a map by its spec's. */
export const storedName = (specName: string): StoredMapName | undefined => BY_SPEC_NAME.get(specName);

/** Fields that hold a second since start: in entries they count from the sequence's own beginning. */
const SECONDS: readonly string[] = [
  'lifetime',
  'lastTxReport',
  'lastRxReport',
  'lastUsed',
  'lastSeen',
  'lastTopUp',
  'created',
  'seconds',
];
const TIMED = new Map<StoredMapName, readonly string[]>(
  STORED.filter((name) => specOf(name).kind === 'lru-hash' || name === 'departures').map((name) => [
    name,
    specOf(name)
      .value.fields.map((field) => field.name)
      .filter((field) => SECONDS.includes(field)),
  ]),
);

/** The value with its seconds moved by `base`. */
function timed(entry: PlainEntry, base: number): unknown {
  const fields = TIMED.get(entry.map);
  if (fields === undefined || fields.length === 0) return entry.value;
  const value: Record<string, unknown> = { ...entry.value };
  for (const field of fields) value[field] = ((value[field] as number) + base) >>> 0;
  return value;
}

/**
 * The MapWrite of an entry.
 * @param base second since start at which the sequence begins
 */
export function encodeEntry(entry: WorldEntry, base: number): MapWrite {
  const spec = specOf(entry.map) as MapSpec<StructType, StructType>;
  const key = spec.key.encode(entry.key as never);
  if ('table' in entry) {
    const value = new Uint8Array(TABLE_SLOTS * 4);
    const view = new DataView(value.buffer);
    for (let i = 0; i < TABLE_SLOTS; i++) view.setUint32(i * 4, entry.table[i % entry.table.length] ?? 0, true);
    return { map: spec.name, op: 'update', key, value };
  }
  if ('removed' in entry) {
    if (spec.kind === 'array') return { map: spec.name, op: 'update', key, value: new Uint8Array(spec.value.bytes) };
    return { map: spec.name, op: 'delete', key };
  }
  return { map: spec.name, op: 'update', key, value: spec.value.encode(timed(entry, base) as never) };
}

/** An IPv4 address as the be32 codec takes it. */
export const be32 = (address: Uint8Array): number =>
  ((address[0]! << 24) | (address[1]! << 16) | (address[2]! << 8) | address[3]!) >>> 0;

/** Bytes of hexadecimal text; what counterexamples are written in. */
export const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** Hexadecimal text of bytes. */
export const hexText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The configuration's entry: the given fields, the others zero. */
export const config = (fields: Partial<ValueOf<Specs['config']['value']>>): Extract<PlainEntry, { map: 'config' }> => ({
  map: 'config',
  key: { index: 0 },
  value: { ...MAPS.config.value.decode(new Uint8Array(MAPS.config.value.bytes)), ...fields },
});
