// Two desired contents → the writes that lead from one to the other, in an order in which no reader meets a dangling reference.
// Input: what the maps hold (or nothing), what they should hold. Output: MapWrite[]. Invariant: applying the writes to the
// old content gives the new; what is referred to is written before, and removed after, what refers to it.
import { bytesOf, type LazyBytes, type MapWrite } from '../maps/map-write.ts';
import { policyKey, policyMetaKey, serviceKey4, serviceKey6 } from '../schema/index.ts';
import type { CompiledMapName, DesiredMap, DesiredMaps } from './desired-map.ts';

/** What has to be done to one map. */
export interface MapChanges {
  readonly upserts: readonly MapWrite[];
  readonly deletes: readonly MapWrite[];
}

/** A step: some of the changes of some maps. */
interface Phase {
  readonly op: 'upserts' | 'deletes';
  readonly maps: readonly CompiledMapName[];
  readonly only?: (write: MapWrite, policyStays: (key: Uint8Array) => boolean) => boolean;
}

const SLOT_AT = { weir_services4: serviceKey4.at, weir_services6: serviceKey6.at } as const;

/** Which role an entry of a services map plays. */
function role({ map, key }: MapWrite): 'slot' | 'wildcard' | 'external' | 'internal' {
  const at = SLOT_AT[map as keyof typeof SLOT_AT];
  const slot = key[at.slot]! | (key[at.slot + 1]! << 8);
  if (slot !== 0) return 'slot';
  if (key[at.protocol] === 0) return 'wildcard';
  return key[at.scope] === 0 ? 'external' : 'internal';
}

const isRole =
  (wanted: ReturnType<typeof role>) =>
  (write: MapWrite): boolean =>
    role(write) === wanted;

/** True for an entry of a policy that goes on: it disappears before the endpoints learn of the change, others after. */
const policyGoesOn = ({ key }: MapWrite, policyStays: (key: Uint8Array) => boolean): boolean =>
  policyStays(key.subarray(policyKey.at.policyId, policyKey.at.policyId + policyMetaKey.bytes));

const SERVICES: readonly CompiledMapName[] = ['services4', 'services6'];

/** The order of decision: referred-to before referring, publishing last; removals the other way round; epochs after policies. */
const PHASES: readonly Phase[] = [
  { op: 'upserts', maps: ['policy'] },
  { op: 'upserts', maps: ['policyMeta'] },
  { op: 'upserts', maps: ['ipcache4', 'ipcache6'] },
  { op: 'deletes', maps: ['policy'], only: policyGoesOn },
  { op: 'upserts', maps: ['limits'] },
  { op: 'upserts', maps: ['endpoints4', 'endpoints6'] },
  { op: 'upserts', maps: ['nodes4', 'nodes6', 'noMasquerade4', 'noMasquerade6'] },
  { op: 'upserts', maps: ['neighbours4', 'neighbours6'] },
  { op: 'upserts', maps: ['routes4', 'routes6'] },
  { op: 'upserts', maps: ['backends4', 'backends6'] },
  { op: 'upserts', maps: SERVICES, only: isRole('slot') },
  { op: 'upserts', maps: ['maglevPrevious4', 'maglevPrevious6'] },
  {
    op: 'upserts',
    maps: [
      'maglev4',
      'maglev6',
      'sourceRange4',
      'sourceRange6',
      'reverseNat4',
      'reverseNat6',
      'affinityMatch',
      'scaleToZero',
    ],
  },
  { op: 'upserts', maps: SERVICES, only: isRole('internal') },
  { op: 'upserts', maps: SERVICES, only: isRole('external') },
  { op: 'upserts', maps: SERVICES, only: isRole('wildcard') },
  { op: 'upserts', maps: ['announced4', 'announced6'] },
  { op: 'deletes', maps: ['announced4', 'announced6'] },
  { op: 'deletes', maps: SERVICES, only: isRole('external') },
  { op: 'deletes', maps: SERVICES, only: isRole('internal') },
  { op: 'deletes', maps: SERVICES, only: isRole('wildcard') },
  { op: 'deletes', maps: ['affinityMatch', 'maglev4', 'maglev6', 'sourceRange4', 'sourceRange6', 'scaleToZero'] },
  { op: 'deletes', maps: ['maglevPrevious4', 'maglevPrevious6'] },
  { op: 'deletes', maps: SERVICES, only: isRole('slot') },
  { op: 'deletes', maps: ['reverseNat4', 'reverseNat6'] },
  { op: 'deletes', maps: ['backends4', 'backends6'] },
  { op: 'deletes', maps: ['endpoints4', 'endpoints6'] },
  { op: 'deletes', maps: ['limits'] },
  { op: 'deletes', maps: ['noMasquerade4', 'noMasquerade6', 'nodes4', 'nodes6'] },
  { op: 'deletes', maps: ['routes4', 'routes6'] },
  { op: 'deletes', maps: ['neighbours4', 'neighbours6'] },
  { op: 'deletes', maps: ['ipcache4', 'ipcache6'] },
  { op: 'deletes', maps: ['policyMeta'] },
  { op: 'deletes', maps: ['policy'], only: (write, policyStays) => !policyGoesOn(write, policyStays) },
  { op: 'upserts', maps: ['vlans'] },
  { op: 'upserts', maps: ['config'] },
  { op: 'deletes', maps: ['vlans'] },
];

/**
 * The writes that lead from `old` (undefined: empty maps) to `next`. An entry that an array map loses is overwritten with
 * zeros, since arrays cannot delete.
 */
export function diff(old: DesiredMaps | undefined, next: DesiredMaps): MapWrite[] {
  const changes = new Map<CompiledMapName, MapChanges>();
  for (const name of Object.keys(next) as CompiledMapName[]) changes.set(name, changesOf(old?.[name], next[name]));
  return orderChanges(changes, (key) => next.policyMeta.get(key) !== undefined);
}

/**
 * The changes of some maps as writes, in the order in which no reader meets a dangling reference.
 * @param policyStays whether a policy (by its policyMeta key) is there after the changes
 */
export function orderChanges(
  changes: ReadonlyMap<CompiledMapName, MapChanges>,
  policyStays: (policyMetaKey: Uint8Array) => boolean,
): MapWrite[] {
  const writes: MapWrite[] = [];
  for (const { op, maps, only } of PHASES) {
    for (const name of maps) {
      for (const write of changes.get(name)?.[op] ?? [])
        if (only === undefined || only(write, policyStays)) writes.push(write);
    }
  }
  return writes;
}

/** A write whose value may be lazy: its bytes are made when somebody reads them. */
export const updateOf = (map: string, key: Uint8Array, value: Uint8Array | LazyBytes): MapWrite =>
  value instanceof Uint8Array
    ? { map, op: 'update', key, value }
    : {
        map,
        op: 'update',
        key,
        get value(): Uint8Array {
          return bytesOf(value);
        },
        lazy: value,
      };

/** One walk over both maps in key order: what leads from one to the other. */
export function changesOf(old: DesiredMap | undefined, next: DesiredMap): MapChanges {
  const upserts: MapWrite[] = [];
  const deletes: MapWrite[] = [];
  const { name } = next.spec;
  const isArray = next.spec.kind === 'array';
  const remove = (index: number): void => {
    const key = old!.keyAt(index);
    if (isArray) deletes.push({ map: name, op: 'update', key, value: new Uint8Array(next.spec.value.bytes) });
    else deletes.push({ map: name, op: 'delete', key });
  };
  const oldSize = old?.size ?? 0;
  let i = 0;
  let j = 0;
  while (i < oldSize || j < next.size) {
    const order = i >= oldSize ? 1 : j >= next.size ? -1 : old!.compareKeys(i, next, j);
    if (order < 0) {
      remove(i++);
      continue;
    }
    const value = next.keptAt(j);
    if (order > 0 || !sameValue(old!.keptAt(i), value)) upserts.push(updateOf(name, next.keyAt(j), value));
    if (order === 0) i++;
    j++;
  }
  return { upserts, deletes };
}

/** Whether two values are the same bytes; the same lazy object is without looking. */
export function sameValue(a: Uint8Array | LazyBytes, b: Uint8Array | LazyBytes): boolean {
  if (a === b) return true;
  return sameBytes(bytesOf(a), bytesOf(b));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
