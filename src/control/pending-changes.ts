// What a plane may take up without a whole compile and has changed since the last settle. Input: objects before and after, as they
// come, change and go. Output: what a plane makes of it all. Invariant: of an object the first `before` counts, and what is there
// when it is taken up; the order of the changes does not matter.
import { type ClusterPlane, MOST_AT_ONCE } from './cluster-plane.ts';
import { controlKey, type ObjectKind } from './object-kinds.ts';
import type { AnyPolicy } from './policy/normalise.ts';
import type { RowChanges } from './row-changes.ts';
import type { ClusterObject, Namespace, Pod } from './state.ts';

/** Objects that a plane may take up without a whole compile. */
export type PlannedObject = Pod | Namespace | AnyPolicy;
const PLANNED: readonly ObjectKind[] = [
  'Namespace',
  'Pod',
  'NetworkPolicy',
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
  'ClusterNetworkPolicy',
  'AdminNetworkPolicy',
  'BaselineAdminNetworkPolicy',
] satisfies readonly PlannedObject['kind'][];
/** True for an object of these kinds. */
export const isPlanned = (object: ClusterObject): object is PlannedObject => PLANNED.includes(object.kind);

/** Namespaces come first, then pods and policies that go: what they had is free then. */
const rankOf = (kind: ObjectKind | undefined, goes: boolean): number =>
  kind === 'Namespace' ? 0 : (kind === 'Pod' ? 1 : 3) + (goes ? 0 : 1);

/** See the head of this file. */
export class PendingChanges {
  /** By kind and key: what was there before. */
  private readonly changed = new Map<string, PlannedObject | undefined>();

  /** How many objects. */
  get size(): number {
    return this.changed.size;
  }

  /** More than are taken up one by one. */
  get isMany(): boolean {
    return this.changed.size > MOST_AT_ONCE;
  }

  /** An object has come, gone or changed. */
  note(object: PlannedObject, before: PlannedObject | undefined): void {
    const key = `${object.kind} ${controlKey(object)}`;
    if (!this.changed.has(key)) this.changed.set(key, before);
  }

  /** Forgets them: they are taken up. */
  clear(): void {
    this.changed.clear();
  }

  /**
   * Everything at once, with one epoch. Undefined: something reaches further; the plane must not be used again.
   * @param now the object of a kind and key as it is
   */
  takeUp(
    plane: ClusterPlane,
    now: (kind: ObjectKind, key: string) => ClusterObject | undefined,
  ): readonly RowChanges[] | undefined {
    const all: RowChanges[] = [];
    const steps = [...this.changed].map(([key, before]) => {
      const [kind, name] = split(key);
      const after = now(kind, name) as PlannedObject | undefined;
      return { before, after, name, rank: rankOf((after ?? before)?.kind, after === undefined) };
    });
    steps.sort((a, b) => a.rank - b.rank);
    const done = plane.together(() =>
      steps.every(({ before, after, name }) => {
        if (before === undefined && after === undefined) return true;
        const told = takeUp(plane, name, before, after);
        for (const one of told ?? []) all.push(one);
        return told !== undefined;
      }),
    );
    return done ? all : undefined;
  }
}

/** What a plane makes of one object; undefined: it reaches further. */
function takeUp(
  plane: ClusterPlane,
  name: string,
  before: PlannedObject | undefined,
  after: PlannedObject | undefined,
): readonly RowChanges[] | undefined {
  const { kind } = (after ?? before)!;
  if (kind === 'Namespace') return plane.changeNamespace(name, (after as Namespace | undefined)?.labels);
  const told =
    kind === 'Pod'
      ? plane.change(before as Pod | undefined, after as Pod | undefined)
      : plane.changePolicy(before as AnyPolicy | undefined, after as AnyPolicy | undefined);
  return told && [told];
}

const split = (key: string): readonly [ObjectKind, string] => {
  const blank = key.indexOf(' ');
  return [key.slice(0, blank) as ObjectKind, key.slice(blank + 1)];
};
