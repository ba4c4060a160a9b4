// Label selectors and an index over label sets. Input: Kubernetes and Cilium selectors. Output: Selector (a normal form
// with a canonical text) and the ids of the sets that it selects, memoised by that text.
// Invariant: a selector without requirements selects everything; absent selectors are the caller's business.
import { type Label, type LabelSet, POD_NAMESPACE } from './labels.ts';
import type { LabelRequirement, Labels } from './state.ts';

/** What a LabelSelector says, wherever it stands. */
export interface SelectorSource {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly Pick<LabelRequirement, 'key' | 'operator' | 'values'>[];
}

/** One condition on a label. `source` `any` looks at every source. */
export interface Requirement {
  readonly source: string;
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Sorted, without doubles; empty for Exists and DoesNotExist. */
  readonly values: readonly string[];
}

/** All requirements must hold. */
export interface Selector {
  readonly requirements: readonly Requirement[];
  /** Equal texts select the same. */
  readonly text: string;
}

/** Builds a selector from conditions in any order. */
export function selectorOf(requirements: Iterable<Requirement>): Selector {
  const byText = new Map<string, Requirement>();
  for (const given of requirements) {
    const values = [...new Set(given.values)].sort();
    const requirement: Requirement = { ...given, values };
    byText.set(JSON.stringify([given.source, given.key, given.operator, values]), requirement);
  }
  const texts = [...byText.keys()].sort();
  return { requirements: texts.map((text) => byText.get(text)!), text: texts.join('&') };
}

/** Both selectors. */
export const bothSelectors = (a: Selector, b: Selector): Selector => selectorOf([...a.requirements, ...b.requirements]);

/** Selects every label set. */
export const EVERYTHING: Selector = { requirements: [], text: '' };

/** `source:key` is the label, whatever its value. */
export const labelExists = (source: string, key: string): Requirement => ({
  source,
  key,
  operator: 'Exists',
  values: [],
});

/** `source:key` = value. */
export const labelEquals = (source: string, key: string, value: string): Requirement => ({
  source,
  key,
  operator: 'In',
  values: [value],
});

/** Pods of one namespace. */
export const inNamespace = (namespace: string): Selector => selectorOf([labelEquals('k8s', POD_NAMESPACE, namespace)]);

/** Pods of any namespace: what a Cilium selector of a cluster-wide policy is scoped to. */
export const ANY_POD: Selector = selectorOf([labelExists('k8s', POD_NAMESPACE)]);

/** Splits `source:key` at the first colon; without one the source is `any`. `$key` is `reserved:key` (Cilium's shorthand). */
export function parseSelectorKey(text: string): { source: string; key: string } {
  if (text.startsWith('$')) return { source: 'reserved', key: text.slice(1) };
  const colon = text.indexOf(':');
  if (colon < 0) return { source: 'any', key: text };
  const source = text.slice(0, colon);
  return { source: source === '' ? 'any' : source, key: text.slice(colon + 1) };
}

function requirementsOf(
  selector: SelectorSource,
  place: (key: string) => { source: string; key: string },
): Requirement[] {
  const found: Requirement[] = [];
  for (const [key, value] of selector.matchLabels ?? []) {
    found.push({ ...place(key), operator: 'In', values: [value] });
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const takesValues = operator === 'In' || operator === 'NotIn';
    found.push({ ...place(key), operator, values: takesValues ? values : [] });
  }
  return found;
}

/** metav1.LabelSelector over labels of one source; `prefix` is put before each key (namespace labels live under one). */
export function kubernetesSelector(selector: SelectorSource, prefix = '', source = 'k8s'): Selector {
  return selectorOf(requirementsOf(selector, (key) => ({ source, key: prefix + key })));
}

/** A Cilium endpoint selector: keys name their source. */
export function ciliumSelector(selector: SelectorSource): Selector {
  return selectorOf(requirementsOf(selector, parseSelectorKey));
}

/** True when one condition holds. NotIn and DoesNotExist hold for a set that lacks the key; In needs it. */
function holds(requirement: Requirement, labels: LabelSet): boolean {
  const found = labels.find(requirement.source, requirement.key);
  switch (requirement.operator) {
    case 'In':
      return found.some((label) => requirement.values.includes(label.value));
    case 'NotIn':
      return !found.some((label) => requirement.values.includes(label.value));
    case 'Exists':
      return found.length > 0;
    case 'DoesNotExist':
      return found.length === 0;
  }
}

/** True when the selector selects this label set. */
export function selects(selector: Selector, labels: LabelSet): boolean {
  for (const requirement of selector.requirements) if (!holds(requirement, labels)) return false;
  return true;
}

/** Label → ids of the sets that carry it. A question costs the shortest list that the selector names, once. */
export class LabelIndex {
  private readonly ids: number[] = [];
  private readonly sets = new Map<number, LabelSet>();
  private readonly postings = new Map<string, number[]>();
  private readonly answers = new Map<string, readonly number[]>();

  /** Adds a set under an id that is not in use; cheapest in ascending order. Answers given before stay as they were. */
  add(id: number, labels: LabelSet): void {
    insert(this.ids, id);
    this.sets.set(id, labels);
    for (const name of postingNames(labels)) {
      const list = this.postings.get(name);
      if (list === undefined) this.postings.set(name, [id]);
      else insert(list, id);
    }
    this.answers.clear();
  }

  /** Takes a set away. Nothing happens if it is not there. */
  remove(id: number): void {
    const labels = this.sets.get(id);
    if (labels === undefined) return;
    this.sets.delete(id);
    drop(this.ids, id);
    for (const name of postingNames(labels)) {
      const list = this.postings.get(name)!;
      drop(list, id);
      if (list.length === 0) this.postings.delete(name);
    }
    this.answers.clear();
  }

  /** Ids of the sets that the selector selects, ascending. The array is shared: do not change it. */
  select(selector: Selector): readonly number[] {
    const known = this.answers.get(selector.text);
    if (known !== undefined) return known;
    const answer = this.candidates(selector).filter((id) => selects(selector, this.sets.get(id)!));
    this.answers.set(selector.text, answer);
    return answer;
  }

  /** Forgets answers that were given: nobody asks with the selectors of a policy that is gone. */
  forgetAnswers(): void {
    this.answers.clear();
  }

  /** The shortest list of ids that holds every answer. */
  private candidates(selector: Selector): readonly number[] {
    let best: readonly number[] = this.ids;
    for (const { source, key, operator, values } of selector.requirements) {
      let list: readonly number[] | undefined;
      if (operator === 'Exists') {
        list = this.postings.get(`${source}\0${key}`) ?? [];
      } else if (operator === 'In') {
        const lists = values.map((value) => this.postings.get(valuePosting(source, { source, key, value })) ?? []);
        list = lists.length === 1 ? lists[0]! : [...new Set(lists.flat())].sort((a, b) => a - b);
      }
      if (list !== undefined && list.length < best.length) best = list;
    }
    return best;
  }
}

/** Names of the lists that a set belongs to, each once. */
function postingNames(labels: LabelSet): Set<string> {
  const names = new Set<string>();
  for (const label of labels.labels) {
    for (const source of [label.source, 'any']) {
      names.add(`${source}\0${label.key}`);
      names.add(valuePosting(source, label));
    }
  }
  return names;
}

/** Place of a number in an ascending list, or of the first one above it. */
export function placeIn(list: readonly number[], wanted: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insert(list: number[], id: number): void {
  if (list.length === 0 || list[list.length - 1]! < id) list.push(id);
  else list.splice(placeIn(list, id), 0, id);
}

function drop(list: number[], id: number): void {
  list.splice(placeIn(list, id), 1);
}

const valuePosting = (source: string, label: Label): string => `${source}\0${label.key}\0${label.value}`;
