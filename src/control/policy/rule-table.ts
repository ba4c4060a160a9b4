// The rules of all policies by number, while policies come and go. Input: policies in normal form. Output: numbers of rules.
// Invariant: a rule keeps its number while its policy is there; a number that is free may be another rule's later.
import type { RuleRef } from '../provenance.ts';
import type { Isolation, NormalPolicies, PolicyRule, Requires } from './rule.ts';

/** What a policy is known by: `kind namespace/name`. */
export const policyName = ({ kind, namespace, name }: Pick<RuleRef, 'kind' | 'namespace' | 'name'>): string =>
  `${kind} ${namespace ?? ''}/${name}`;

/** Kubernetes' own policies come before Cilium's, see normalisePolicies. */
const orderName = (ref: RuleRef): string => `${ref.kind === 'NetworkPolicy' ? 0 : 1} ${policyName(ref)}`;

/** True when a rule speaks of ports by name. */
export const hasNames = (rule: PolicyRule): boolean => rule.ports.some(({ kind }) => kind === 'named');

/** What was taken out of the table. */
export interface RemovedRules {
  readonly rules: readonly number[];
  readonly isolations: readonly Isolation[];
}

/** See the head of this file. */
export class RuleTable {
  private readonly slots: (PolicyRule | undefined)[] = [];
  private readonly free: number[] = [];
  /** Place of each rule within its policy. */
  private readonly places: number[] = [];
  private readonly byPolicy = new Map<string, { readonly rules: number[]; readonly isolations: Isolation[] }>();
  readonly requires: readonly Requires[];
  private named = 0;
  private passes = 0;

  constructor(normal: NormalPolicies) {
    this.requires = normal.requires;
    this.add(normal);
  }

  /** Whether some rule speaks of ports by name. */
  get namesPorts(): boolean {
    return this.named > 0;
  }

  /** Whether some rule is a pass. */
  get hasPasses(): boolean {
    return this.passes > 0;
  }

  /** The rule of a number that is in use. */
  at(index: number): PolicyRule {
    return this.slots[index]!;
  }

  /** Order of two rules of the normal tier, which shows only where some are in audit mode: that of NormalPolicies. */
  compare(a: number, b: number): number {
    const [one, other] = [orderName(this.at(a).ref), orderName(this.at(b).ref)];
    return one < other ? -1 : one > other ? 1 : this.places[a]! - this.places[b]!;
  }

  /** Every rule with its number, in the order of the numbers. */
  forEach(take: (rule: PolicyRule, index: number) => void): void {
    this.slots.forEach((rule, index) => {
      if (rule !== undefined) take(rule, index);
    });
  }

  /** The rules of all policies. */
  *rules(): IterableIterator<PolicyRule> {
    for (const rule of this.slots) if (rule !== undefined) yield rule;
  }

  /** Isolations of all policies. */
  *isolations(): IterableIterator<Isolation> {
    for (const { isolations } of this.byPolicy.values()) yield* isolations;
  }

  /** Takes rules and isolations; of their policies nothing may be there already. Returns the rules' numbers. */
  add({ rules, isolations }: Pick<NormalPolicies, 'rules' | 'isolations'>): readonly number[] {
    for (const isolation of isolations) this.of(isolation.ref).isolations.push(isolation);
    return rules.map((rule) => {
      const index = this.free.pop() ?? this.slots.length;
      this.slots[index] = rule;
      const own = this.of(rule.ref).rules;
      this.places[index] = own.length;
      own.push(index);
      this.count(rule, 1);
      return index;
    });
  }

  /** Takes a policy away. */
  remove(policy: string): RemovedRules {
    const own = this.byPolicy.get(policy);
    if (own === undefined) return { rules: [], isolations: [] };
    this.byPolicy.delete(policy);
    for (const index of own.rules) {
      this.count(this.slots[index]!, -1);
      this.slots[index] = undefined;
      this.free.push(index);
    }
    return own;
  }

  private of(ref: RuleRef): { readonly rules: number[]; readonly isolations: Isolation[] } {
    const name = policyName(ref);
    let own = this.byPolicy.get(name);
    if (own === undefined) this.byPolicy.set(name, (own = { rules: [], isolations: [] }));
    return own;
  }

  private count(rule: PolicyRule, by: 1 | -1): void {
    if (hasNames(rule)) this.named += by;
    if (rule.verdict === 'pass') this.passes += by;
  }
}
