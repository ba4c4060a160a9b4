// What a change of backends does to the flows of a Maglev table. Input: backends before and after, sizes. Output: shares, and
// the smallest table that keeps the surplus low. Invariant: backends are compared by what they are, not by their ids.
import { MAGLEV_SIZES } from './seed.ts';
import { type MaglevBackend, maglevName, maglevTable } from './table.ts';

/** A change in numbers. Shares are of all slots, which is of all flows, since the hash of a flow picks its slot evenly. */
export interface MaglevChange {
  readonly size: number;
  /** Slots whose backend is another one. */
  readonly moved: number;
  readonly share: number;
  /** The share that has to move whatever the table: what leavers had and joiners are due. */
  readonly unavoidable: number;
}

/** A backend's due share by its name; weights count as the table counts them. */
function dueShares(backends: readonly MaglevBackend[]): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const backend of backends) if ((backend.weight ?? 1) > 0) weights.set(maglevName(backend), backend.weight ?? 1);
  const sum = [...weights.values()].reduce((a, b) => a + b, 0);
  const weighted = Math.floor(sum / weights.size) > 1;
  return new Map([...weights].map(([name, weight]) => [name, weighted ? weight / sum : 1 / weights.size]));
}

/** Compares the tables of two lists of backends. `seed`: MaglevSeed.murmur. */
export function maglevChange(
  before: readonly MaglevBackend[],
  after: readonly MaglevBackend[],
  { size, seed }: { readonly size: number; readonly seed: number },
): MaglevChange {
  const numbered = (list: readonly MaglevBackend[]): MaglevBackend[] => list.map((b, id) => ({ ...b, id }));
  const a = maglevTable(numbered(before), { size, seed });
  const b = maglevTable(numbered(after), { size, seed });
  const from = before.map(maglevName);
  const to = after.map(maglevName);
  let moved = 0;
  for (let slot = 0; slot < size; slot++) {
    const one = a.length === 0 ? undefined : from[a[slot]!];
    const other = b.length === 0 ? undefined : to[b[slot]!];
    if (one !== other) moved++;
  }
  const due = dueShares(after);
  let unavoidable = 0;
  for (const [name, share] of dueShares(before)) unavoidable += Math.max(0, share - (due.get(name) ?? 0));
  // From nothing to something, and back, everything moves.
  if ((a.length === 0) !== (b.length === 0)) unavoidable = 1;
  return { size, moved, share: moved / size, unavoidable };
}

/** Slots a backend that a table should have: at 100 shares differ by at most 1 % (Maglev, NSDI 2016, §5.3; Cilium's advice). */
const SLOTS_PER_BACKEND = 100;

/** The smallest table with 100 slots for each backend, the largest there is where none has. */
export function suggestedSize(backends: number): number {
  return MAGLEV_SIZES.find((size) => size >= backends * SLOTS_PER_BACKEND) ?? MAGLEV_SIZES.at(-1)!;
}
