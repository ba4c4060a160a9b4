// What has changed in the desired content since a whole compile: rows over maps that stay as they are. Input: row changes, the
// maps below. Output: writes, and the content with the rows in it. Invariant: a row is written only where it differs from what is
// desired already.
import { MAPS } from '../schema/index.ts';
import type { ClusterMaps } from './compile.ts';
import { type CompiledMapName, type DesiredMap, MapBuilder } from './desired-map.ts';
import { type MapChanges, sameValue, updateOf } from './diff.ts';
import type { RowChanges } from './row-changes.ts';
import type { MapWrite } from '../maps/map-write.ts';

type ClusterMapName = keyof ClusterMaps;

interface Row {
  readonly key: Uint8Array;
  /** Undefined: it is gone. */
  readonly value: Uint8Array | undefined;
}

/** See the head of this file. */
export class DesiredOverlay {
  /** By map and the key's bytes as text. */
  private readonly maps = new Map<ClusterMapName, Map<string, Row>>();
  private merged: { readonly below: ClusterMaps; readonly content: ClusterMaps } | undefined;

  /** Forgets everything: the maps below are up to date. */
  clear(): void {
    this.maps.clear();
    this.merged = undefined;
  }

  /** Takes changes that follow each other, and tells what they come to. */
  take(below: ClusterMaps, all: readonly RowChanges[]): Map<CompiledMapName, MapChanges> {
    const last = new Map<ClusterMapName, Map<string, Row>>();
    for (const changes of all) {
      for (const [map, rows] of changes) {
        const name = map as ClusterMapName;
        let own = last.get(name);
        if (own === undefined) last.set(name, (own = new Map()));
        for (const { key, after } of rows) own.set(key.join(), { key, value: after });
      }
    }
    const told = new Map<CompiledMapName, MapChanges>();
    for (const [name, rows] of last) {
      const upserts: MapWrite[] = [];
      const deletes: MapWrite[] = [];
      const { kind, name: map, value: layout } = MAPS[name];
      for (const [text, row] of rows) {
        const before = this.get(below, name, row.key, text);
        if (row.value === undefined ? before === undefined : before !== undefined && sameValue(before, row.value))
          continue;
        if (row.value !== undefined) upserts.push(updateOf(map, row.key, row.value));
        else if (kind === 'array') deletes.push(updateOf(map, row.key, new Uint8Array(layout.bytes)));
        else deletes.push({ map, op: 'delete', key: row.key });
        this.put(below, name, text, row);
      }
      told.set(name, { upserts, deletes });
    }
    return told;
  }

  /** Whether an entry is desired. */
  has(below: ClusterMaps, name: ClusterMapName, key: Uint8Array): boolean {
    return this.get(below, name, key, key.join()) !== undefined;
  }

  /** The whole content. */
  over(below: ClusterMaps): ClusterMaps {
    if (this.maps.size === 0) return below;
    if (this.merged?.below !== below) {
      const own = [...this.maps].map(([name, rows]) => [name, merge(below[name], rows)] as const);
      this.merged = { below, content: { ...below, ...Object.fromEntries(own) } };
    }
    return this.merged.content;
  }

  private get(below: ClusterMaps, name: ClusterMapName, key: Uint8Array, text: string): Uint8Array | undefined {
    const row = this.maps.get(name)?.get(text);
    return row === undefined ? below[name].get(key) : row.value;
  }

  /** A row that says what the map below says is none. */
  private put(below: ClusterMaps, name: ClusterMapName, text: string, row: Row): void {
    const beneath = below[name].get(row.key);
    const same =
      row.value === undefined || beneath === undefined ? row.value === beneath : sameValue(beneath, row.value);
    let own = this.maps.get(name);
    if (own === undefined) this.maps.set(name, (own = new Map()));
    if (same) own.delete(text);
    else own.set(text, row);
    if (own.size === 0) this.maps.delete(name);
    this.merged = undefined;
  }
}

function merge(below: DesiredMap, rows: ReadonlyMap<string, Row>): DesiredMap {
  const builder = new MapBuilder(below.spec);
  for (const [key, value] of below) if (!rows.has(key.join())) builder.set(key, value);
  for (const { key, value } of rows.values()) if (value !== undefined) builder.set(key, value);
  return builder.finish();
}
