// From entries to what has to be written. Input: entries before and now; what a process before left. Output: map writes.
// Invariant: what is there already is not written again, and what nobody wants any more is deleted.
import type { LazyBytes, MapWrite } from '../../maps/map-write.ts';
import { MAPS, type MapSpec, valueBytes } from '../../schema/index.ts';
import { type MapChanges, sameValue, updateOf } from '../diff.ts';
import type { Entry, ServiceMapName } from './entries.ts';
import { bytesText, type InheritedEntries } from './restored.ts';

/** Changes by map. */
export type ServiceChanges = ReadonlyMap<ServiceMapName, MapChanges>;

/** What has to be written to get from some entries to others. */
export function difference(before: readonly Entry[], now: readonly Entry[], upserts: Entry[], deletes: Entry[]): void {
  if (before.length === 0) {
    for (const entry of now) upserts.push(entry);
    return;
  }
  const old = new Map<string, Entry>();
  for (const entry of before) old.set(`${entry.map} ${bytesText(entry.key)}`, entry);
  for (const entry of now) {
    const text = `${entry.map} ${bytesText(entry.key)}`;
    const known: Uint8Array | LazyBytes | undefined = old.get(text)?.value;
    if (known === undefined || !sameValue(known, entry.value)) upserts.push(entry);
    old.delete(text);
  }
  for (const entry of old.values()) deletes.push(entry);
}

/** The writes of entries; of what was inherited, those that are the same need none, and all that are named here are claimed. */
export function changesOf(
  upserts: readonly Entry[],
  deletes: Iterable<Pick<Entry, 'map' | 'key'>>,
  inherited: InheritedEntries,
): ServiceChanges {
  const changes = new Map<ServiceMapName, { upserts: MapWrite[]; deletes: MapWrite[] }>();
  const of = (map: ServiceMapName): { upserts: MapWrite[]; deletes: MapWrite[] } => {
    let own = changes.get(map);
    if (own === undefined) changes.set(map, (own = { upserts: [], deletes: [] }));
    return own;
  };
  for (const { map, key, value } of upserts) {
    const old = inherited.isEmpty ? undefined : inherited.take(map, key);
    if (old === undefined || !sameValue(old, value)) of(map).upserts.push(updateOf(MAPS[map].name, key, value));
  }
  for (const { map, key } of deletes) {
    inherited.take(map, key);
    of(map).deletes.push(deleteOf(MAPS[map], key));
  }
  return changes;
}

/** An entry of an array is deleted by zeros, since arrays cannot delete. */
const deleteOf = (spec: MapSpec, key: Uint8Array): MapWrite =>
  spec.kind === 'array'
    ? { map: spec.name, op: 'update', key, value: new Uint8Array(valueBytes(spec)) }
    : { map: spec.name, op: 'delete', key };
