// Sets of ends in words and in JSON: `shop/api (2 pods)`, `all pods except shop/db`, `10.0.0.0/8 except 10.1.0.0/16`.
// Input: classes, and all units of the cluster. Output: EndSet. Invariant: the JSON is complete; the words may end in "and 3 more".
import { identityText } from '../flow/index.ts';
import type { EndClass } from './end-classes.ts';
import type { EndUnit } from './end-units.ts';

/** A set of ends. Lists are complete: pods by name, or by terms where they are many. */
export interface EndSet {
  readonly name: string;
  /** `namespace/name`, sorted; absent where there are none or more than fifty. */
  readonly pods?: readonly string[];
  /** Instead of `pods`: `all`, `namespace:NS`, `workload:NS/APP`, `pod:NS/NAME`, and what to leave out of it. */
  readonly podTerms?: readonly string[];
  readonly exceptPods?: readonly string[];
  readonly podCount?: number;
  /** `host` (a pod's own node), `remote-node`, `health` … */
  readonly entities?: readonly string[];
  /** Names of nodes, as other nodes see them. */
  readonly nodes?: readonly string[];
  /** Prefixes; the longest that holds an address decides. */
  readonly cidrs?: readonly string[];
  readonly exceptCidrs?: readonly string[];
  /** DNS names and patterns that are not resolved. */
  readonly names?: readonly string[];
}

const MOST_LISTED = 50;
const MOST_IN_NAME = 6;

/** Names sets of one cluster, or of two. */
export class EndNames {
  private readonly pods: ReadonlySet<string>;
  private readonly namespaces = new Map<string, Set<string>>();
  private readonly workloads = new Map<string, Set<string>>();
  private readonly workloadOf = new Map<string, string>();
  private readonly worldUnits: readonly EndUnit[];
  private readonly nodeNames: ReadonlySet<string>;
  private readonly known = new Map<string, EndSet>();
  private readonly numbers = new WeakMap<EndClass, number>();
  private next = 0;

  constructor(units: readonly EndUnit[]) {
    this.pods = new Set(units.filter(({ kind }) => kind === 'pod').map(({ name }) => name));
    for (const { kind, name, workload } of units) {
      if (kind !== 'pod') continue;
      add(this.namespaces, name.slice(0, name.indexOf('/')), name);
      add(this.workloads, workload!, name);
      this.workloadOf.set(name, workload!);
    }
    this.worldUnits = units.filter(({ kind }) => kind === 'world');
    this.nodeNames = new Set(units.filter(({ kind }) => kind === 'node').map(({ name }) => name));
  }

  /** The set of some classes. */
  of(classes: readonly EndClass[]): EndSet {
    const key = classes.map((one) => this.numberOf(one)).join();
    let set = this.known.get(key);
    if (set === undefined) this.known.set(key, (set = this.make(classes)));
    return set;
  }

  private numberOf(one: EndClass): number {
    let number = this.numbers.get(one);
    if (number === undefined) this.numbers.set(one, (number = this.next++));
    return number;
  }

  private make(classes: readonly EndClass[]): EndSet {
    const units = (kind: EndClass['kind']): readonly EndUnit[] =>
      classes.flatMap((one) => (one.kind === kind ? one.members : []));
    const parts: string[] = [];
    const set: { -readonly [K in keyof EndSet]: EndSet[K] } = { name: '' };
    const pods = [...new Set(units('pods').map(({ name }) => name))].sort();
    if (pods.length > 0) {
      const { terms, except } = this.podTerms(new Set(pods));
      parts.push(podWords(terms, except, this.sizeOf(terms, pods.length), pods.length));
      set.podCount = pods.length;
      if (pods.length <= MOST_LISTED) set.pods = pods;
      else {
        set.podTerms = terms;
        if (except.length > 0) set.exceptPods = except;
      }
    }
    const entities: string[] = [];
    if (units('own-node').length > 0) entities.push('host');
    const nodes = [...new Set(units('nodes').map(({ name }) => name))].sort();
    if (nodes.length > 0 && nodes.length === this.nodeNames.size) entities.push('remote-node');
    else if (nodes.length > 0) set.nodes = nodes;
    if (entities.includes('host')) parts.push('own node');
    if (entities.includes('remote-node')) parts.push('other nodes');
    else if (nodes.length > 0) parts.push(listed(nodes.map((name) => `node ${name}`)));
    for (const { name, facts } of units('reserved')) {
      const entity = identityText(facts.find((fact) => fact !== undefined)?.identity ?? 0).replace(/^reserved:/, '');
      entities.push(`${entity} ${name}`);
      parts.push(`${entity} ${name}`);
    }
    if (entities.length > 0) set.entities = entities;
    const world = units('world');
    if (world.length > 0) {
      const { cidrs, except } = this.cidrs(world);
      set.cidrs = cidrs;
      if (except.length > 0) set.exceptCidrs = except;
      parts.push(cidrWords(cidrs, except, this.worldUnits));
    }
    const names = units('name').map(({ name }) => name);
    if (names.length > 0) {
      set.names = names;
      parts.push(listed(names.map((name) => `${name} (DNS)`)));
    }
    set.name = parts.join(', ');
    return set;
  }

  /** Terms whose union, less the exceptions, is the set. */
  private podTerms(pods: ReadonlySet<string>): { terms: string[]; except: string[] } {
    if (pods.size === this.pods.size && pods.size > 1) return { terms: ['all'], except: [] };
    const terms = this.unionTerms(pods);
    if (pods.size > this.pods.size / 2 && pods.size > 2) {
      const except = this.unionTerms(new Set([...this.pods].filter((name) => !pods.has(name))));
      if (except.length < terms.length) return { terms: ['all'], except };
    }
    return { terms, except: [] };
  }

  private unionTerms(pods: ReadonlySet<string>): string[] {
    const terms: string[] = [];
    const rest = new Set(pods);
    const take = (
      groups: ReadonlyMap<string, ReadonlySet<string>>,
      of: (pod: string) => string,
      word: string,
    ): void => {
      for (const name of new Set([...rest].map(of))) {
        const members = groups.get(name)!;
        if (members.size < 2 || ![...members].every((pod) => rest.has(pod))) continue;
        terms.push(`${word}:${name}`);
        for (const pod of members) rest.delete(pod);
      }
    };
    take(this.namespaces, (pod) => pod.slice(0, pod.indexOf('/')), 'namespace');
    take(this.workloads, (pod) => this.workloadOf.get(pod)!, 'workload');
    terms.push(...[...rest].map((pod) => `pod:${pod}`));
    return terms.sort();
  }

  /** Pods of the only term, where it is one. */
  private sizeOf(terms: readonly string[], all: number): number {
    return terms.length === 1 ? all : 0;
  }

  /** Prefixes of a set of atoms: those that no parent in the set covers, and atoms inside that are not in the set. */
  private cidrs(world: readonly EndUnit[]): { cidrs: string[]; except: string[] } {
    const inSet = new Set(world.map(({ name }) => name));
    const known = new Set(this.worldUnits.map(({ name }) => name));
    // A single address that was asked for is no atom of the cluster.
    const strangers = world.filter(({ name }) => !known.has(name)).map(({ name }) => name);
    const cidrs: string[] = [...strangers];
    const except: string[] = [];
    const path: EndUnit[] = [];
    for (const unit of this.worldUnits) {
      while (path.length > 0 && !inside(unit, path.at(-1)!)) path.pop();
      const parent = path.at(-1);
      const parentIn = parent !== undefined && inSet.has(parent.name);
      const isIn = inSet.has(unit.name);
      if (isIn && !parentIn) cidrs.push(unit.name);
      else if (!isIn && parentIn) except.push(unit.name);
      path.push(unit);
    }
    return { cidrs, except };
  }
}

function add(groups: Map<string, Set<string>>, key: string, pod: string): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, new Set([pod]));
  else group.add(pod);
}

function inside({ prefix: a }: EndUnit, { prefix: b }: EndUnit): boolean {
  if (a === undefined || b === undefined || a.family !== b.family || a.prefixLen < b.prefixLen) return false;
  for (let bit = 0; bit < b.prefixLen; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((a.bytes[bit >> 3]! ^ b.bytes[bit >> 3]!) & mask) !== 0) return false;
  }
  return true;
}

const listed = (texts: readonly string[], most = MOST_IN_NAME): string =>
  texts.length <= most ? texts.join(', ') : `${texts.slice(0, most).join(', ')} and ${texts.length - most} more`;

const termWords = (term: string): string =>
  term === 'all'
    ? 'all pods'
    : term.startsWith('namespace:')
      ? `namespace ${term.slice(10)}`
      : term.replace(/^(?:workload|pod):/, '');

function podWords(terms: readonly string[], except: readonly string[], size: number, count: number): string {
  const words = listed(terms.map(termWords));
  const number = count > 1 && terms[0] !== 'all' && (size > 0 || terms.length > 1) ? ` (${count} pods)` : '';
  return except.length === 0 ? `${words}${number}` : `${words} except ${listed(except.map(termWords))}`;
}

function cidrWords(cidrs: readonly string[], except: readonly string[], all: readonly EndUnit[]): string {
  const whole = all.filter(({ prefix }) => prefix?.prefixLen === 0).map(({ name }) => name);
  const everything = whole.length > 0 && whole.every((name) => cidrs.includes(name));
  const rest = everything ? cidrs.filter((cidr) => !whole.includes(cidr)) : cidrs;
  const words = listed([...(everything ? ['world'] : []), ...rest]);
  return except.length === 0 ? words : `${words} except ${listed(except)}`;
}
