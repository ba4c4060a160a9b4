// How often policies name each prefix. Input: rules as they come and go. Output: whether a change leaves the set of prefixes as
// it is. Invariant: a prefix has an identity exactly while some rule names it, so a change of the set reaches every prefix.
import { rulePrefixes } from './normalise.ts';
import type { PolicyRule } from './rule.ts';

/** See the head of this file. */
export class PrefixDemand {
  private readonly counts = new Map<string, number>();

  /** Rules that are there already. */
  constructor(rules: (take: (rule: PolicyRule) => void) => void) {
    rules((rule) => {
      for (const name of names(rule)) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    });
  }

  /** Rules go and others come: true when the set of prefixes stays, and then that has happened. */
  replace(before: readonly PolicyRule[], after: readonly PolicyRule[]): boolean {
    const changes = new Map<string, number>();
    for (const name of before.flatMap(names)) changes.set(name, (changes.get(name) ?? 0) - 1);
    for (const name of after.flatMap(names)) changes.set(name, (changes.get(name) ?? 0) + 1);
    for (const [name, by] of changes) {
      const count = this.counts.get(name) ?? 0;
      if (count === 0 || count + by <= 0) return false;
    }
    for (const [name, by] of changes) this.counts.set(name, this.counts.get(name)! + by);
    return true;
  }
}

const names = (rule: PolicyRule): string[] =>
  rulePrefixes(rule).map(({ prefix, block }) => `${block ? 'block' : 'world'} ${prefix.text}`);
