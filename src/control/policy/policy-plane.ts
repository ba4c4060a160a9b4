// The policies of a running cluster while pods come and go. Input: a finished compile, pods with new and lost identities.
// Output: the policy each pod has, and the entries that change. Invariant: after each step the blocks are what a compile of
// all pods would make; an identity that comes or goes touches its own entries alone.
import type { PodIdentity } from '../identity.ts';
import type { LabelSet } from '../labels.ts';
import type { StickyIds } from '../sticky-ids.ts';
import type { CompiledPolicies, PolicyCompiler, Sides } from './compile-policies.ts';
import { ENTRY_WORDS, identityClass, type PolicyBlock } from './entries.ts';
import { isEgressWord, shapeOfWord } from './ports.ts';

/** A policy before and after; undefined: it is not there. */
export interface BlockChange {
  readonly before: PolicyBlock | undefined;
  readonly after: PolicyBlock | undefined;
  /** All that differs is about this identity; undefined: the whole policy. */
  readonly identity: number | undefined;
}

interface Held {
  block: PolicyBlock;
  pods: number;
  readonly pod: PodIdentity;
}

/** Pods with the same labels. */
interface Subject {
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
    for (const [text, sides] of compiler.selectSubjects(pods)) this.subjects.set(text, { sides, pods: 0 });
    pods.forEach((pod, i) => {
      this.subjects.get(pod.labels.text)!.pods++;
      const block = blocks.get(compiled.policyIds[i]!);
      if (block !== undefined) this.hold(this.keyOf(pod), pod, block);
    });
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
    const { text } = pod.labels;
    let subject = this.subjects.get(text);
    if (subject === undefined) {
      subject = { sides: this.compiler.selectSubjects([pod]).get(text)!, pods: 0 };
      this.subjects.set(text, subject);
    }
    subject.pods++;
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
    this.held.delete(key);
    this.numbers.release(key);
    for (const rule of rulesOf(subject.sides)) {
      const keys = this.keysOfRule.get(rule)!;
      keys.delete(key);
      if (keys.size === 0) this.keysOfRule.delete(rule);
    }
    this.compiler.forgetPorts(subject.sides.ingress.rules, pod);
    return { before: held.block, after: undefined, identity: undefined };
  }
}

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
