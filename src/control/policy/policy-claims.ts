// What single policies share with others: prefixes that rules name, priorities of the admin tiers, what peers refer to. Input: a
// policy before and after. Output: its normal form, or that it cannot come or go alone. Invariant: what is taken alone leaves
// identities and warnings as they are, whatever other policies there are.
import { type CiliumReferences, ciliumReferences } from './cilium-peers.ts';
import { type AnyPolicy, isAdminPolicy, normalisePolicy, priorityPlace } from './normalise.ts';
import { PrefixDemand } from './prefix-demand.ts';
import type { NormalPolicies, PolicyRule } from './rule.ts';
import { namesServices } from './service-peers.ts';
import type { CompileSettings } from '../settings.ts';
import type { ClusterState } from '../state.ts';

/** A policy before and after in normal form; undefined: it is not there. */
export type LonePolicy = readonly [NormalPolicies | undefined, NormalPolicies | undefined];

/** See the head of this file. */
export class PolicyClaims {
  private readonly settings: CompileSettings;
  private readonly references: CiliumReferences;
  private readonly prefixes: PrefixDemand;
  /** See priorityPlace: how many policies stand there. */
  private readonly priorities = new Map<string, number>();

  /** @param rules those of all policies of the state */
  constructor(
    state: ClusterState,
    settings: CompileSettings,
    rules: { eachRule(take: (rule: PolicyRule) => void): void },
  ) {
    this.settings = settings;
    this.references = ciliumReferences(state, settings);
    this.prefixes = new PrefixDemand((take) => {
      rules.eachRule(take);
    });
    for (const policy of state.adminPolicies) {
      const place = priorityPlace(policy);
      this.priorities.set(place, (this.priorities.get(place) ?? 0) + 1);
    }
  }

  /** Takes a policy that comes, goes or changes. Undefined: not alone; nothing more can be asked then. */
  replace(before: AnyPolicy | undefined, after: AnyPolicy | undefined): LonePolicy | undefined {
    const old = before && this.normalise(before);
    const next = after && this.normalise(after);
    if ((before !== undefined && old === undefined) || (after !== undefined && next === undefined)) return undefined;
    if (!this.replacePriority(before, after)) return undefined;
    return this.prefixes.replace(old?.rules ?? [], next?.rules ?? []) ? [old, next] : undefined;
  }

  /** Undefined for a policy that more than its own entries hang on. */
  private normalise(policy: AnyPolicy): NormalPolicies | undefined {
    // Services change without a word to who takes policies.
    if ('rules' in policy && namesServices(policy)) return undefined;
    const normal = normalisePolicy(policy, this.settings, this.references);
    const { problems, nodeLabels, requires } = normal;
    return problems.length > 0 || nodeLabels || requires.length > 0 ? undefined : normal;
  }

  /** False: a policy of the admin tiers stood or stands where another one does, which is warned about. */
  private replacePriority(before: AnyPolicy | undefined, after: AnyPolicy | undefined): boolean {
    const [from, to] = [before, after].map((policy) =>
      policy === undefined || !isAdminPolicy(policy) ? undefined : priorityPlace(policy),
    );
    const { priorities } = this;
    if (from !== undefined) {
      if (priorities.get(from) !== 1) return false;
      priorities.delete(from);
    }
    if (to !== undefined) {
      if (priorities.has(to)) return false;
      priorities.set(to, 1);
    }
    return true;
  }
}
