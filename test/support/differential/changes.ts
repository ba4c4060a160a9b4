// What control changes while connections live: epochs, policies, backends, services, identities.
// Input: chance, the world as it stands. Output: entries to write, as a step. Invariant: features stay, and so do Maglev
// tables, whose replacement costs the kernel a grace period.
import { BACKEND_STATE } from '../../../src/schema/index.ts';
import { randomRule } from './random-policies.ts';
import { IDENTITIES } from './random-world.ts';
import type { Random } from './random.ts';
import type { PlainEntry, Removal, WorldEntry } from './world.ts';

const isPlain = (entry: WorldEntry): entry is PlainEntry => 'value' in entry;

/** Beginnings of the names of maps that control changes most. */
const OFTEN: readonly string[] = [
  'endpoints',
  'backends',
  'backends',
  'backends',
  'services',
  'policy',
  'ipcache',
  'config',
];

/** One entry changed. */
function changed(random: Random, entry: PlainEntry): WorldEntry | undefined {
  switch (entry.map) {
    case 'config':
      return { ...entry, value: { ...entry.value, globalEpoch: (entry.value.globalEpoch + 1) >>> 0 } };
    case 'endpoints4':
    case 'endpoints6': {
      const { value } = entry;
      const next = random.chance(70)
        ? { ...value, epoch: (value.epoch + 1) >>> 0 }
        : { ...value, policyId: random.pick([0, 1, 2, 3, 4]), epoch: (value.epoch + 1) >>> 0 };
      return { ...entry, value: next } as WorldEntry;
    }
    case 'backends4':
    case 'backends6':
      return {
        ...entry,
        value: {
          ...entry.value,
          state: random.pick([BACKEND_STATE.ACTIVE, BACKEND_STATE.TERMINATING, BACKEND_STATE.TERMINATING, 3, 4, 0]),
        },
      } as WorldEntry;
    case 'services4':
    case 'services6':
      return entry.key.slot !== 0
        ? undefined
        : ({ ...entry, value: { ...entry.value, count: random.pick([0, 1, 2, 3]) } } as WorldEntry);
    case 'policy':
      return { ...entry, value: randomRule(random, entry.key.policyId, entry.key.shape & 0x80).value };
    case 'policyMeta':
      return { ...entry, value: { ...entry.value, flags: random.below(8) } };
    case 'ipcache4':
    case 'ipcache6':
      return { ...entry, value: { ...entry.value, identity: random.pick(IDENTITIES) } } as WorldEntry;
    default:
      return undefined;
  }
}

/** A new epoch for everybody: what was decided before is decided anew. Updates `entries`. */
export function turn(random: Random, entries: WorldEntry[]): WorldEntry[] {
  const at = entries.findIndex((entry) => entry.map === 'config');
  const entry = entries[at];
  const next = entry !== undefined && isPlain(entry) ? changed(random, entry) : undefined;
  if (next === undefined) return [];
  entries[at] = next;
  return [next];
}

/** One to three writes, or none when the world holds nothing to change. Updates `entries`, the world as control knows it. */
export function change(random: Random, entries: WorldEntry[]): WorldEntry[] {
  const writes: WorldEntry[] = [];
  for (let n = random.pick([1, 1, 2, 3]); n > 0; n--) {
    const wanted = random.chance(25) ? '' : random.pick(OFTEN);
    const candidates = entries.flatMap((entry, i) => (entry.map.startsWith(wanted) ? [i] : []));
    if (candidates.length === 0) continue;
    const at = random.pick(candidates);
    const entry = entries[at]!;
    if (!isPlain(entry)) continue;
    if (entry.map !== 'config' && random.chance(20)) {
      entries.splice(at, 1);
      writes.push({ map: entry.map, key: entry.key, removed: true } as Removal);
      continue;
    }
    const next = changed(random, entry);
    if (next === undefined) continue;
    entries[at] = next;
    writes.push(next);
  }
  return writes;
}
