// Makes a failing sequence small: fewer steps, fewer entries, fewer features, shorter and plainer packets.
// Input: a sequence, a test that says whether it still fails. Output: a sequence that fails and is small.
// Invariant: bounded by a number of attempts; the result fails whenever the given one does.
import { FEATURE } from '../../../src/schema/index.ts';
import { NO_META, type PacketStep, type Sequence, type Step } from './step.ts';
import type { WorldEntry } from './world.ts';

/** Attempts after which shrinking ends with what it has. */
const ATTEMPTS = 4000;

/** Cuts a failing sequence down. */
export function shrink(given: Sequence, fails: (sequence: Sequence) => boolean): Sequence {
  let best = given;
  let left = ATTEMPTS;
  const attempt = (candidate: Sequence): boolean => {
    if (left-- <= 0 || !fails(candidate)) return false;
    best = candidate;
    return true;
  };
  /** Drops runs of list elements, long ones first. */
  const thin = <T>(
    list: () => readonly T[],
    with_: (list: readonly T[]) => Sequence,
    keep: (item: T) => boolean,
  ): void => {
    for (let size = Math.max(1, list().length >> 1); size >= 1; size >>= 1) {
      for (let at = list().length - size; at >= 0; at -= size) {
        const now = list();
        const rest = now.filter((item, i) => i < at || i >= at + size || keep(item));
        if (rest.length < now.length) attempt(with_(rest));
        if (left <= 0) return;
      }
    }
  };
  let before: Sequence;
  do {
    before = best;
    thin<Step>(
      () => best.steps,
      (steps) => ({ ...best, steps }),
      () => false,
    );
    thin<WorldEntry>(
      () => best.world,
      (world) => ({ ...best, world }),
      (entry) => entry.map === 'config',
    );
    thin(
      () => best.tables,
      (tables) => ({ ...best, tables }),
      () => false,
    );
    simplifyTables(() => best, attempt);
    simplifyConfig(() => best, attempt);
    simplifyValues(() => best, attempt);
    simplifyPackets(() => best, attempt);
  } while (best !== before && left > 0);
  return best;
}

type Attempt = (candidate: Sequence) => boolean;

/** Every step's time, meta and bytes, one after the other. */
function simplifyPackets(best: () => Sequence, attempt: Attempt): void {
  for (let i = 0; i < best().steps.length; i++) {
    const change = (make: (step: PacketStep) => PacketStep): void => {
      const now = best();
      const step = now.steps[i]!;
      if ('writes' in step) return;
      const next = make(step);
      if (JSON.stringify(next) === JSON.stringify(step)) return;
      attempt({ ...now, steps: now.steps.map((other, j) => (j === i ? next : other)) });
    };
    const step = best().steps[i]!;
    if ('writes' in step) {
      for (let n = step.writes.length - 1; n >= 0 && step.writes.length > 1; n--) {
        const now = best();
        const rest = (now.steps[i] as typeof step).writes.filter((_, j) => j !== n);
        if (rest.length > 0)
          attempt({ ...now, steps: now.steps.map((other, j) => (j === i ? { writes: rest } : other)) });
      }
      continue;
    }
    change((s) => ({ ...s, nanoseconds: 0 }));
    change((s) => ({ ...s, seconds: 0 }));
    change((s) => ({ ...s, meta: NO_META }));
    for (const field of ['ifindex', 'mark', 'xdpMetadata', 'gsoSize', 'flags'] as const) {
      change((s) => ({ ...s, meta: { ...s.meta, [field]: 0 } }));
    }
    change((s) => ({ ...s, meta: { ...s.meta, cb: NO_META.cb } }));
    for (let at = step.bytes.length - 1; at >= 14; at--) {
      change((s) => {
        if (s.bytes[at] === 0) return s;
        const bytes = s.bytes.slice();
        bytes[at] = 0;
        return { ...s, bytes };
      });
    }
  }
}

function simplifyTables(best: () => Sequence, attempt: Attempt): void {
  for (let i = 0; i < best().tables.length; i++) {
    const now = best();
    const entry = now.tables[i]!;
    if (entry.table.length === 1) continue;
    for (const id of new Set(entry.table)) {
      const tables = now.tables.map((other, j) => (j === i ? { ...entry, table: [id] } : other));
      if (attempt({ ...now, tables })) break;
    }
  }
}

function simplifyConfig(best: () => Sequence, attempt: Attempt): void {
  for (const bit of Object.values(FEATURE)) {
    withConfig(best, attempt, (value) => ({ ...value, features: value.features & ~bit }));
  }
}

type ConfigEntry = Extract<WorldEntry, { map: 'config'; value: unknown }>;

function withConfig(
  best: () => Sequence,
  attempt: Attempt,
  make: (value: ConfigEntry['value']) => ConfigEntry['value'],
): void {
  const now = best();
  const world = now.world.map((entry): WorldEntry => {
    return entry.map === 'config' && 'value' in entry ? { ...entry, value: make(entry.value) } : entry;
  });
  if (JSON.stringify(world, plain) !== JSON.stringify(now.world, plain)) attempt({ ...now, world });
}

const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);

/** Number fields of the world's values become zero where that does not matter. */
function simplifyValues(best: () => Sequence, attempt: Attempt): void {
  for (let i = 0; i < best().world.length; i++) {
    const entry = best().world[i]!;
    if (!('value' in entry)) continue;
    for (const field of Object.keys(entry.value)) {
      const now = best();
      const current = now.world[i]! as { value: Record<string, unknown> };
      const value = current.value[field];
      const zero =
        typeof value === 'number'
          ? 0
          : typeof value === 'bigint'
            ? 0n
            : value instanceof Uint8Array
              ? new Uint8Array(value.length)
              : value;
      const same = value instanceof Uint8Array ? value.every((byte) => byte === 0) : value === zero;
      if (same || field === 'features') continue;
      const next = { ...now.world[i]!, value: { ...current.value, [field]: zero } } as WorldEntry;
      attempt({ ...now, world: now.world.map((other, j) => (j === i ? next : other)) });
    }
  }
}
