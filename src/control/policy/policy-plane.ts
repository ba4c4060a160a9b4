// The policies of a running cluster while pods come and go. Input: a finished compile, pods with new and lost identities.
// Output: the policy each pod has, and the entries that change. Invariant: after each step the blocks are what a compile of
// all pods would make; an identity that comes or goes touches its own entries alone.
import type { PodIdentity } from '../identity.ts';
import type { LabelSet } from '../labels.ts';
import { selects } from '../selector.ts';
import type { StickyIds } from '../sticky-ids.ts';
import type { CompiledPolicies, PolicyCompiler } from './compile-policies.ts';
import { ENTRY_WORDS, identityClass, type PolicyBlock } from './entries.ts';
import { isEgressWord, shapeOfWord } from './ports.ts';
import type { NormalPolicies, PolicyRule } from './rule.ts';
import type { Sides } from './subject-sides.ts';

/** A policy before and after; undefined: it is not there. */
export interface BlockChange {
  readonly before: PolicyBlock | undefined;
  readonly after: PolicyBlock | undefined;
  /** All that differs is about this identity; undefined: the whole policy. */
  readonly identity: number | undefined;
}

/** What a policy that came, went or changed has changed. */
export interface ChangedPolicies {
  readonly changes: readonly BlockChange[];
  /** 0: nothing enforced. */
  readonly policyIds: ReadonlyMap<PodIdentity, number>;
}

interface Held {
  block: PolicyBlock;
  pods: number;
  readonly pod: PodIdentity;
}

/** Pods with the same labels. */
interface Subject {
  readonly labels: LabelSet;
  readonly sides: Sides;
  pods: number;
}

/** See the head of this file. */
export class PolicyPlane {
  private readonly compiler: PolicyCompiler;
  private readonly numbers: StickyIds;
  /** By the text of the labels. */
  private readonly subjects = new Map<string, Subject>();
  /** By policy key, see PolicyCompiler.policyKey. */
  private readonly held = new Map<string, Held>();
  private readonly keysOfRule = new Map<number, Set<string>>();

  constructor(compiler: PolicyCompiler, compiled: CompiledPolicies, pods: readonly PodIdentity[], numbers: StickyIds) {
    this.compiler = compiler;
    this.numbers = numbers;
    const blocks = new Map(compiled.blocks.map((block) => [block.policyId, block]));
    const selected = compiler.selectSubjects(pods);
    pods.forEach((pod, i) => {
      this.join(pod, () => selected.get(pod.labels.text)!);
      const block = blocks.get(compiled.policyIds[i]!);
      if (block !== undefined) this.hold(this.keyOf(pod), pod, block);
    });
  }

  /** One more pod with its labels. */
  private join({ labels }: PodIdentity, sidesOf: () => Sides): Subject {
    let subject = this.subjects.get(labels.text);
    if (subject === undefined) this.subjects.set(labels.text, (subject = { labels, sides: sidesOf(), pods: 0 }));
    subject.pods++;
    return subject;
  }

  /** The policy key of a pod, or '' where nothing is enforced. */
  private keyOf(pod: PodIdentity): string {
    return this.compiler.policyKey(pod, this.sidesOf(pod));
  }

  private sidesOf(pod: PodIdentity): Sides {
    return this.subjects.get(pod.labels.text)!.sides;
  }

  private hold(key: string, pod: PodIdentity, block: PolicyBlock): void {
    const held = this.held.get(key);
    if (held !== undefined) {
      held.pods++;
      return;
    }
    this.held.set(key, { block, pods: 1, pod });
    for (const rule of rulesOf(this.sidesOf(pod))) {
      const keys = this.keysOfRule.get(rule);
      if (keys === undefined) this.keysOfRule.set(rule, new Set([key]));
      else keys.add(key);
    }
  }

  /** Every rule of every policy. */
  eachRule(take: (rule: PolicyRule) => void): void {
    this.compiler.table.forEach(take);
  }

  /** See PolicyCompiler.meetsPass. */
  meetsPass(labels: LabelSet): boolean {
    return this.compiler.meetsPass(labels);
  }

  /** See PolicyCompiler.knowsPorts. */
  knowsPorts(identity: number, namedPorts: string): boolean {
    return this.compiler.knowsPorts(identity, namedPorts);
  }

  /** A pod comes: what names mean on its identities. Before anything else about it. */
  joinPorts(pod: PodIdentity): void {
    this.compiler.namedPorts.join(pod);
  }

  /** A pod goes. */
  leavePorts(pod: PodIdentity): void {
    this.compiler.namedPorts.leave(pod);
  }

  /** An identity has come (`isThere`) or gone with a pod: the policies that tell it from others. */
  identityChanged(identity: number, labels: LabelSet, { namedPorts }: PodIdentity, isThere: boolean): BlockChange[] {
    const keys = new Set<string>();
    for (const rule of this.compiler.touch(labels, namedPorts !== '')) {
      for (const key of this.keysOfRule.get(rule) ?? []) keys.add(key);
    }
    const changes: BlockChange[] = [];
    for (const key of keys) {
      const held = this.held.get(key)!;
      const before = held.block;
      const slice = isThere
        ? this.compiler.build(before.policyId, held.pod, this.sidesOf(held.pod), [], identity)
        : undefined;
      const after = withSlice(before, identity, slice?.words ?? new Uint32Array(0));
      if (after === before) continue;
      held.block = after;
      changes.push({ before, after, identity });
    }
    return changes;
  }

  /** Gives a pod its policy: the id (0: nothing enforced), and the policy itself where it is new. Undefined: no number is left. */
  add(pod: PodIdentity): { readonly policyId: number; readonly change?: BlockChange } | undefined {
    const subject = this.join(pod, () => this.compiler.selectSubjects([pod]).get(pod.labels.text)!);
    const key = this.keyOf(pod);
    if (key === '') return { policyId: 0 };
    const known = this.held.get(key);
    if (known !== undefined) {
      known.pods++;
      return { policyId: known.block.policyId };
    }
    const policyId = this.numbers.claim(key);
    if (policyId === undefined) return undefined;
    const after = this.compiler.build(policyId, pod, subject.sides, []);
    this.hold(key, pod, after);
    return { policyId, change: { before: undefined, after, identity: undefined } };
  }

  /** Takes a pod's policy away with its last pod. */
  remove(pod: PodIdentity): BlockChange | undefined {
    const { text } = pod.labels;
    const subject = this.subjects.get(text)!;
    const key = this.keyOf(pod);
    const held = this.held.get(key);
    // Worked out again when such a pod comes back.
    if (--subject.pods === 0) this.subjects.delete(text);
    if (held === undefined || --held.pods > 0) return undefined;
    this.drop(key, subject.sides);
    this.numbers.release(key);
    this.compiler.forgetPorts(subject.sides.ingress.rules, pod);
    return { before: held.block, after: undefined, identity: undefined };
  }

  private drop(key: string, sides: Sides): void {
    this.held.delete(key);
    for (const rule of rulesOf(sides)) {
      const keys = this.keysOfRule.get(rule)!;
      keys.delete(key);
      if (keys.size === 0) this.keysOfRule.delete(rule);
    }
  }

  /**
   * A policy (see policyName) has come, gone or changed. `pods`: all that have policies here. Returns what changes, and the policy id
   * of each pod that the policy speaks of; undefined: no number is left.
   */
  changePolicy(
    policy: string,
    before: NormalPolicies | undefined,
    after: NormalPolicies | undefined,
    pods: Iterable<PodIdentity>,
  ): ChangedPolicies | undefined {
    const touched = new Map<string, Subject>();
    for (const [text, subject] of this.subjects)
      if ([before, after].some((normal) => normal !== undefined && selectsSubject(normal, subject.labels)))
        touched.set(text, subject);
    const own = [...pods].filter(({ labels }) => touched.has(labels.text));
    const old = new Map<string, PolicyBlock>();
    for (const pod of own) {
      const key = this.keyOf(pod);
      const held = this.held.get(key);
      if (held === undefined) continue;
      // All pods with a key have the same labels.
      old.set(key, held.block);
      this.drop(key, this.sidesOf(pod));
      this.compiler.forgetPorts(this.sidesOf(pod).ingress.rules, pod);
    }
    this.compiler.dropPolicy(
      policy,
      [...touched.values()].map(({ sides }) => sides),
    );
    if (after !== undefined) this.compiler.takePolicy(after, touched.values());

    const byKey = new Map<string, PodIdentity[]>();
    for (const pod of own) {
      const key = this.keyOf(pod);
      const others = byKey.get(key);
      if (others === undefined) byKey.set(key, [pod]);
      else others.push(pod);
    }
    const changes: BlockChange[] = [];
    for (const [key, block] of old) {
      if (byKey.has(key)) continue;
      this.numbers.release(key);
      changes.push({ before: block, after: undefined, identity: undefined });
    }
    const policyIds = new Map<PodIdentity, number>();
    for (const key of [...byKey.keys()].sort()) {
      const list = byKey.get(key)!;
      const policyId = key === '' ? 0 : this.numbers.claim(key);
      if (policyId === undefined) return undefined;
      for (const pod of list) policyIds.set(pod, policyId);
      if (key === '') continue;
      const known = old.get(key);
      const made = this.compiler.build(policyId, list[0]!, this.sidesOf(list[0]!), []);
      const block = known !== undefined && sameBlock(known, made) ? known : made;
      for (const pod of list) this.hold(key, pod, block);
      if (block !== known) changes.push({ before: known, after: block, identity: undefined });
    }
    return { changes, policyIds };
  }
}

/** Whether a policy says something about pods with these labels as its subjects. */
const selectsSubject = ({ rules, isolations }: NormalPolicies, labels: LabelSet): boolean =>
  [...rules, ...isolations].some(({ subject, host }) => host !== true && selects(subject, labels));

const sameBlock = (a: PolicyBlock, b: PolicyBlock): boolean =>
  a.meta.flags === b.meta.flags &&
  a.meta.ingressCookie === b.meta.ingressCookie &&
  a.meta.egressCookie === b.meta.egressCookie &&
  a.words.length === b.words.length &&
  a.words.every((word, i) => word === b.words[i]);

const rulesOf = ({ ingress, egress }: Sides): readonly number[] => [...ingress.rules, ...egress.rules];

/** A policy with other entries for one identity; the same object when they are what they were. */
function withSlice(block: PolicyBlock, identity: number, slice: Uint32Array): PolicyBlock {
  const { words } = block;
  let from = 0;
  while (from < words.length && words[from + 1]! < identity) from += ENTRY_WORDS;
  let to = from;
  while (to < words.length && words[to + 1] === identity) to += ENTRY_WORDS;
  if (to === from && slice.length === 0) return block;
  const next = new Uint32Array(words.length - (to - from) + slice.length);
  next.set(words.subarray(0, from));
  next.set(slice, from);
  next.set(words.subarray(to), from + slice.length);
  const ingressShapes = [0, 0, 0];
  const egressShapes = [0, 0, 0];
  for (let at = 0; at < next.length; at += ENTRY_WORDS) {
    const bitmaps = isEgressWord(next[at + 2]!) ? egressShapes : ingressShapes;
    bitmaps[identityClass(next[at + 1]!)]! |= 1 << shapeOfWord(next[at + 2]!);
  }
  return { ...block, words: next, meta: { ...block.meta, ingressShapes, egressShapes } };
}
