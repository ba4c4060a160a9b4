// The rungs of an endpoint in one direction, in the order in which they decide: what Ladder places. Input: layers of the rules that
// select it, what isolates it. Output: rungs. Invariant: within `normal` the order of the rules says nothing, but in audit mode, where
// it only chooses which of them is told.
import { IDENTITY } from '../../schema/index.ts';
import { type Layer, priorityOf, type Rung } from './ladder.ts';
import { anyProtocolWord } from './ports.ts';
import type { Region } from './region.ts';
import { compareRules, type Direction, type PolicyRule, type RuleTier } from './rule.ts';

/** A rule that selects the endpoint, and what it says there. */
export interface RuleLayer {
  readonly rule: PolicyRule;
  readonly layer: Layer;
}

/** Provenance numbers of what isolates an endpoint, and of what would if it were not in audit mode. */
export interface Isolators {
  readonly isolations: readonly number[];
  readonly audited: readonly number[];
}

/**
 * See the head of this file.
 * @param open provenance number of "nothing isolates it", asked for where that is so
 * @param compare order of rules of the normal tier, where some of them are in audit mode
 */
export function rungsOf<R extends RuleLayer>(
  rules: readonly R[],
  { isolations, audited }: Isolators,
  direction: Direction,
  open: () => number,
  compare: (a: R, b: R) => number,
): Rung[] {
  const tier = (wanted: RuleTier): R[] => rules.filter(({ rule }) => rule.tier === wanted);
  const ordered = (wanted: 'admin' | 'baseline', next: (rungs: number) => number): Rung[] => {
    const list = tier(wanted).sort((a, b) => compareRules(a.rule, b.rule));
    return list.map(({ rule, layer }) => ({
      layers: [layer],
      priority: priorityOf(wanted, rule.priority),
      next: next(list.length),
    }));
  };
  const region: Region = [{ identities: [IDENTITY.UNKNOWN], shapes: [anyProtocolWord(direction)] }];
  const isolated = isolations.length > 0;
  const normal = tier('normal');
  if (normal.some(({ rule }) => rule.audited)) normal.sort(compare);
  const rungs = ordered('admin', (count) => count);
  rungs.push(
    ...normalRungs(
      normal.map(({ layer }) => layer),
      isolated,
    ),
  );
  if (isolated) {
    rungs.push(normalRung([{ region, verdict: 'deny', rules: isolations, audited: false }], true));
    return rungs;
  }
  if (audited.length > 0) {
    rungs.push(normalRung([{ region, verdict: 'deny', rules: audited, audited: true }], false));
  }
  const before = rungs.length;
  rungs.push(...ordered('baseline', (count) => before + count));
  const layer: Layer = { region, verdict: 'allow', rules: [open()], audited: false };
  rungs.push({ layers: [layer], priority: priorityOf('default'), next: 0 });
  return rungs;
}

const normalRung = (layers: readonly Layer[], implicit: boolean): Rung => ({
  layers,
  priority: priorityOf('normal'),
  next: 0,
  implicit,
});

/**
 * The tier of NetworkPolicies and Cilium's: one rung where deny wins. What policies in audit mode say stands on rungs of its
 * own, denials before what is allowed; what they allow changes nothing where an enforced policy isolates.
 */
function normalRungs(layers: readonly Layer[], isolated: boolean): Rung[] {
  const audited = layers.filter((layer) => layer.audited);
  if (audited.length === 0) return [normalRung(layers, false)];
  const of = (list: readonly Layer[], denies: boolean): Layer[] =>
    list.filter(({ verdict }) => (verdict === 'deny') === denies);
  const enforced = layers.filter((layer) => !layer.audited);
  return [
    normalRung(of(enforced, true), false),
    ...of(audited, true).map((layer) => normalRung([layer], false)),
    normalRung(of(enforced, false), false),
    ...of(audited, false).map((layer) => normalRung([layer], isolated)),
  ];
}
