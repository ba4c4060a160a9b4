// Entries of maps that change. Input: entries before and after, in the order in which things happen. Output: what that comes to, by
// map. Invariant: an entry that is in the end what it was is none of the changes.
import type { CompiledMapName } from './desired-map.ts';
import { ENTRY_WORDS } from './policy/entries.ts';

/** An entry of a map before and after; undefined: it is not there. */
export interface RowChange {
  readonly key: Uint8Array;
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
}

/** Changes by map. */
export type RowChanges = ReadonlyMap<CompiledMapName, readonly RowChange[]>;

/** Collects changes; of several to one entry the first `before` and the last `after` count. */
export class RowRecorder {
  private readonly maps = new Map<CompiledMapName, Map<string, RowChange>>();

  note(map: CompiledMapName, key: Uint8Array, before: Uint8Array | undefined, after: Uint8Array | undefined): void {
    let rows = this.maps.get(map);
    if (rows === undefined) this.maps.set(map, (rows = new Map()));
    const name = key.join(',');
    const known = rows.get(name);
    rows.set(name, { key, before: known === undefined ? before : known.before, after });
  }

  finish(): RowChanges {
    const changes = new Map<CompiledMapName, RowChange[]>();
    for (const [map, rows] of this.maps) {
      const list = [...rows.values()].filter(({ before, after }) => !sameBytes(before, after));
      if (list.length > 0) changes.set(map, list);
    }
    return changes;
  }
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

const NONE = new Uint32Array(0);

/** Keys with their values before and after, of two lists of entries in key order; equal entries are left out. */
export function* entryChanges(
  before: Uint32Array = NONE,
  after: Uint32Array = NONE,
): Generator<readonly [Uint8Array, Uint8Array | undefined, Uint8Array | undefined]> {
  const bytes = (words: Uint32Array, at: number): Uint8Array => new Uint8Array(words.slice(at, at + 3).buffer);
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const order =
      i >= before.length
        ? 1
        : j >= after.length
          ? -1
          : before[i + 1]! - after[j + 1]! || before[i + 2]! - after[j + 2]!;
    if (order < 0) yield [bytes(before, i), bytes(before, i + 3), undefined];
    else if (order > 0) yield [bytes(after, j), undefined, bytes(after, j + 3)];
    else if ([3, 4, 5].some((k) => before[i + k] !== after[j + k])) {
      yield [bytes(after, j), bytes(before, i + 3), bytes(after, j + 3)];
    }
    if (order <= 0) i += ENTRY_WORDS;
    if (order >= 0) j += ENTRY_WORDS;
  }
}
