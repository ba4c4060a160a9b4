// Which rules stand behind a map entry: cookie ↔ set of rules. Input: rules in a deterministic order. Output: cookies, and for
// each cookie its rules with file and line. Invariant: a cookie is never used for another set, and keeps its own until nothing has
// spoken of it for long; a rule that moves to another line keeps its number, and the table then tells the new line.

/** One rule as a user would point at it. */
export interface RuleRef {
  /** `NetworkPolicy`, `CiliumNetworkPolicy`, `CiliumClusterwideNetworkPolicy`, or `builtin` for what no manifest says. */
  readonly kind: string;
  /** Absent for cluster-wide policies and builtin rules. */
  readonly namespace?: string;
  readonly name: string;
  /** `ingress[0]`, `egressDeny[1]`, `specs[0].ingress[0]`; of a default deny the direction alone: `ingress`. */
  readonly rule: string;
  /** Empty for builtin rules. */
  readonly file: string;
  /** 1-based line on which the rule item begins; of a default deny the policy's own line; 0 for builtin rules. */
  readonly line: number;
}

/** The side table as plain data. */
export interface ProvenanceData {
  readonly nextRule: number;
  readonly nextCookie: number;
  readonly rules: readonly (RuleRef & { readonly id: number })[];
  /** Cookie and the ids of its rules, ascending. */
  readonly cookies: readonly (readonly [number, readonly number[]])[];
}

const nameOf = (rule: RuleRef): string => JSON.stringify([rule.kind, rule.namespace ?? null, rule.name, rule.rule]);

/** Cookies that no policy has any more and that are still explained: what was decided a while ago may be asked about. */
const RESTING = 4096;

/** The registry; one for the life of the maps. */
export class Provenance {
  private readonly resting: number;
  /** Cookies and rules that there may be before those out of use are looked for. */
  private most: number;
  private readonly idByName = new Map<string, number>();
  private readonly rules = new Map<number, RuleRef>();
  private readonly cookieBySet = new Map<string, number>();
  private readonly sets = new Map<number, readonly number[]>();
  private nextRule = 1;
  private nextCookie = 1;

  /** @param resting how many cookies that are out of use are kept, the youngest */
  constructor(resting = RESTING) {
    this.resting = resting;
    this.most = 4 * resting;
  }

  /** Takes up a table that was persisted beside pinned maps. */
  static from(data: ProvenanceData): Provenance {
    const registry = new Provenance();
    for (const { id, ...rule } of data.rules) {
      registry.idByName.set(nameOf(rule), id);
      registry.rules.set(id, rule);
    }
    for (const [cookie, ids] of data.cookies) {
      registry.cookieBySet.set(ids.join(','), cookie);
      registry.sets.set(cookie, ids);
    }
    registry.nextRule = data.nextRule;
    registry.nextCookie = data.nextCookie;
    registry.raise();
    return registry;
  }

  /** The number of a rule, 1..; file and line are brought up to date. */
  register(rule: RuleRef): number {
    const name = nameOf(rule);
    let id = this.idByName.get(name);
    if (id === undefined) {
      id = this.nextRule++;
      this.idByName.set(name, id);
    }
    this.rules.set(id, rule);
    return id;
  }

  /** The cookie of a set of rules, given by number in any order, doubles allowed; 0 for no rule. */
  cookieOf(ruleIds: readonly number[]): number {
    if (ruleIds.length === 0) return 0;
    const ids = [...new Set(ruleIds)].sort((a, b) => a - b);
    const name = ids.join(',');
    let cookie = this.cookieBySet.get(name);
    if (cookie === undefined) {
      cookie = this.nextCookie++;
      this.cookieBySet.set(name, cookie);
      this.sets.set(cookie, ids);
    }
    return cookie;
  }

  /** The rules behind a cookie, in the order in which they were registered first; none for 0 and for a stranger. */
  rulesOf(cookie: number): readonly RuleRef[] {
    return (this.sets.get(cookie) ?? []).map((id) => this.rules.get(id)!);
  }

  /** Whether so much has come since the last {@link tidy} that it is time for the next one: what it costs is spread over what came. */
  get isFull(): boolean {
    return this.sets.size + this.rules.size > this.most;
  }

  /** Forgets cookies and rules out of use, but for the youngest cookies. Their numbers are not given out again. */
  tidy({ cookies, rules }: { readonly cookies: Iterable<number>; readonly rules: Iterable<RuleRef> }): void {
    const used = new Set(cookies);
    const unused = [...this.sets.keys()].filter((cookie) => !used.has(cookie)).sort((a, b) => a - b);
    for (const cookie of unused.slice(0, Math.max(0, unused.length - this.resting))) {
      this.cookieBySet.delete(this.sets.get(cookie)!.join(','));
      this.sets.delete(cookie);
    }
    const known = new Set([...this.sets.values()].flat());
    for (const rule of rules) {
      const id = this.idByName.get(nameOf(rule));
      if (id !== undefined) known.add(id);
    }
    for (const [id, rule] of this.rules) {
      if (known.has(id) || rule.kind === 'builtin') continue;
      this.rules.delete(id);
      this.idByName.delete(nameOf(rule));
    }
    this.raise();
  }

  private raise(): void {
    this.most = this.sets.size + this.rules.size + 4 * this.resting;
  }

  /** The whole table, to be persisted before the maps are written. */
  toJSON(): ProvenanceData {
    return {
      nextRule: this.nextRule,
      nextCookie: this.nextCookie,
      rules: [...this.rules].map(([id, rule]) => ({ id, ...rule })),
      cookies: [...this.sets],
    };
  }
}

/** Sets of rule numbers while entries are merged: numbered, so that equal sets are made once. 0 is the empty set. */
export class RuleSets {
  private readonly sets: (readonly number[])[] = [[]];
  private readonly byText = new Map<string, number>([['', 0]]);
  private readonly sums = new Map<string, number>();

  /** The set that holds one rule more. */
  add(set: number, rule: number): number {
    const members = this.sets[set]!;
    if (members.includes(rule)) return set;
    const step = `${set}+${rule}`;
    let sum = this.sums.get(step);
    if (sum === undefined) {
      const sorted = [...members, rule].sort((a, b) => a - b);
      const text = sorted.join(',');
      sum = this.byText.get(text);
      if (sum === undefined) {
        sum = this.sets.length;
        this.sets.push(sorted);
        this.byText.set(text, sum);
      }
      this.sums.set(step, sum);
    }
    return sum;
  }

  /** Rule numbers of a set, ascending. */
  members(set: number): readonly number[] {
    return this.sets[set]!;
  }
}
