// Which rules select an endpoint, by direction. Input: rules and isolations by number. Output: the lists that a policy is built from.
// Invariant: all subjects with the same labels share one.
import type { Direction, Requires } from './rule.ts';
import type { Isolators } from './rungs.ts';

/** Everything that holds for all subjects with the same labels, in one direction. */
export interface SubjectSide extends Isolators {
  readonly rules: number[];
  readonly isolations: number[];
  readonly audited: number[];
  readonly requires: Requires[];
}

/** Both directions of a subject. */
export type Sides = Readonly<Record<Direction, SubjectSide>>;

/** Directions in the order in which they are built. */
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

const emptySide = (): SubjectSide => ({ rules: [], isolations: [], audited: [], requires: [] });

/** Of a subject that nothing selects. */
export const emptySides = (): Sides => ({ ingress: emptySide(), egress: emptySide() });

/** Whether anything selects the subject in this direction. */
export const isEnforced = ({ rules, isolations, audited }: SubjectSide): boolean =>
  rules.length + isolations.length + audited.length > 0;

/** Takes rules, and what isolates (by provenance number), out of a subject's lists. */
export function forget(sides: Sides, rules: ReadonlySet<number>, isolations: ReadonlySet<number>): void {
  for (const direction of DIRECTIONS) {
    const side = sides[direction];
    keep(side.rules, (index) => !rules.has(index));
    keep(side.isolations, (id) => !isolations.has(id));
    keep(side.audited, (id) => !isolations.has(id));
  }
}

/** Keeps some of a list in place. */
function keep(list: number[], wanted: (item: number) => boolean): void {
  let kept = 0;
  for (const item of list) if (wanted(item)) list[kept++] = item;
  list.length = kept;
}
