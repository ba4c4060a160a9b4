// The order in which the rules of one endpoint decide, as precedences of map entries. Input: rungs, first to last; of a rung
// all layers stand side by side and deny wins. Output: entries. Invariant: of the entries that a packet meets, the one of the
// highest precedence is what walking down the rungs would decide; a pass or an audited denial is resolved here, by placing
// what comes after it once more, above the rungs that it overrules.
import { POLICY_ENTRY, POLICY_TIER, PRECEDENCE } from '../../schema/index.ts';
import { intersect, type Region } from './region.ts';
import type { RuleVerdict } from './rule.ts';

/** One rule's say about a region. */
export interface Layer {
  readonly region: Region;
  readonly verdict: RuleVerdict;
  /** Provenance numbers. */
  readonly rules: readonly number[];
  /** The rule's policy is in audit mode. */
  readonly audited: boolean;
}

/** Rules of equal standing, or one rule of an ordered tier. */
export interface Rung {
  readonly layers: readonly Layer[];
  /** Where it stands, see priorityOf. */
  readonly priority: number;
  /** Where a pass goes on: index of the next tier's first rung. */
  readonly next: number;
  /** Placed only where a pass or an audited denial has led: a default deny that else follows from no match at all. */
  readonly implicit?: boolean;
}

/** Takes an entry: the region, its precedence, the rules behind it, flags. */
export type Place = (region: Region, precedence: number, rules: readonly number[], flags: number) => void;

/** Priorities of one priority number of a tier: room for its rules and what their passes place again. */
const STEP = { admin: 4096, baseline: 256 } as const;

/** The first priority (0 is the highest, 24 bits) of a tier, or of one of its priority numbers. */
export function priorityOf(tier: 'admin' | 'normal' | 'baseline' | 'default', priority = 0): number {
  switch (tier) {
    case 'admin':
      return POLICY_TIER.ADMIN * 0x10000 + priority * STEP.admin;
    case 'normal':
      return POLICY_TIER.NORMAL * 0x10000;
    case 'baseline':
      return POLICY_TIER.BASELINE * 0x10000 + priority * STEP.baseline;
    case 'default':
      return POLICY_TIER.DEFAULT * 0x10000;
  }
}

/** Precedence of a verdict at a priority (see weir_policy.precedence), u32. */
export const precedenceOf = (priority: number, verdict: number): number =>
  (POLICY_TIER.LOWEST - priority) * 256 + verdict;

const VERDICT_BYTE = {
  allow: PRECEDENCE.ALLOW,
  // Cilium gives listeners priorities within 2..254; Weir has no proxy of its own, and one number keeps redirects equal.
  redirect: 128,
  deny: PRECEDENCE.DENY,
} as const;

/** How far one reading of the policies has come: it goes on at a rung, or has settled. */
type View =
  { readonly from: number } | { readonly verdict: Exclude<RuleVerdict, 'pass'>; readonly rules: readonly number[] };

const START: View = { from: 0 };

/**
 * Places the entries of one direction. Two readings walk down together: the one in force, without the policies in audit mode,
 * and the one with them. Where the first allows and the second denies, the denial is shown.
 */
export class Ladder {
  private readonly rungs: readonly Rung[];
  private readonly place: Place;
  private at = 0;

  constructor(rungs: readonly Rung[], place: Place) {
    this.rungs = rungs;
    this.place = place;
  }

  /** Places every rung. False: some rules share a priority number with more rules than it has room for. */
  build(): boolean {
    let fits = true;
    this.rungs.forEach((rung, i) => {
      if (rung.implicit === true) return;
      this.at = Math.max(this.at, rung.priority);
      for (const layer of rung.layers) {
        // Nothing of the tier is left to be overruled by a pass of its last rung.
        if (layer.verdict === 'pass' && rung.next === i + 1) continue;
        this.say(layer.region, layer, i, START, START);
      }
      this.at++;
      const after = this.rungs.slice(i + 1).find(({ priority }) => priority > rung.priority);
      if (this.at > (after?.priority ?? POLICY_TIER.LOWEST)) fits = false;
    });
    return fits;
  }

  /** What a layer of rung `index` says about a region to both readings. */
  private say(region: Region, layer: Layer, index: number, force: View, all: View): void {
    const inForce = layer.audited ? force : this.read(layer, index, force);
    const inAll = this.read(layer, index, all);
    if ('verdict' in inForce && (inForce.verdict === 'deny' || 'verdict' in inAll)) {
      if ('verdict' in inAll && inAll.verdict === 'deny' && inForce.verdict !== 'deny') {
        this.put(region, 'deny', inAll.rules, POLICY_ENTRY.AUDIT);
      } else this.put(region, inForce.verdict, inForce.rules, 0);
    } else this.descend(region, index + 1, inForce, inAll);
  }

  /** One reading after a layer: unmoved if it has settled or waits for a later rung. */
  private read(layer: Layer, index: number, view: View): View {
    if ('verdict' in view || view.from > index) return view;
    if (layer.verdict === 'pass') return { from: this.rungs[index]!.next };
    return { verdict: layer.verdict, rules: layer.rules };
  }

  /** Walks down the rungs from `from` with a part of the traffic. */
  private descend(region: Region, from: number, force: View, all: View): void {
    const waits = (view: View, index: number): boolean => 'verdict' in view || view.from > index;
    for (let i = from; i < this.rungs.length; i++) {
      if (waits(force, i) && waits(all, i)) continue;
      for (const layer of this.rungs[i]!.layers) {
        if (layer.audited && waits(all, i)) continue;
        const common = intersect(region, layer.region);
        if (common.length > 0) this.say(common, layer, i, force, all);
      }
      this.at++;
    }
  }

  private put(region: Region, verdict: Exclude<RuleVerdict, 'pass'>, rules: readonly number[], flags: number): void {
    this.place(region, precedenceOf(this.at, VERDICT_BYTE[verdict]), rules, flags);
  }
}
