// Identities, endpoints and policies of a running cluster while pods and policies come and go. Input: a finished compile, pods
// and policies before and after, namespaces with other labels. Output: what changes in each map. Invariant: the content is what
// a compile of all objects would make, with the same numbers; a change that reaches further than its own pod, or than the
// endpoints that its policy selects, is refused, so that the caller compiles the whole.
import { configValue, policyMeta, policyMetaKey } from '../schema/index.ts';
import {
  addressTexts,
  type EndpointEpoch,
  type EndpointNumbers,
  type EndpointPlace,
  type IpcacheRow,
  ipcacheRow,
  keepsEpoch,
  noteEndpoint,
} from './endpoint-tables.ts';
import type { IdentityDemand, IdentityNumbers, IdentityView, PodIdentity } from './identity.ts';
import type { LabelSet } from './labels.ts';
import { livingAddresses, PodClaims } from './pod-claims.ts';
import { PodViews } from './pod-views.ts';
import { objectKey, type PodView } from './pods.ts';
import type { CompiledPolicies, PolicyCompiler } from './policy/compile-policies.ts';
import { ENTRY_WORDS, type PolicyBlock, withinProbeBudget } from './policy/entries.ts';
import type { AnyPolicy } from './policy/normalise.ts';
import { type BlockChange, PolicyPlane } from './policy/policy-plane.ts';
import type { NormalPolicies } from './policy/rule.ts';
import { hasNames, policyName } from './policy/rule-table.ts';
import { hostPrefix } from './prefix.ts';
import { PolicyClaims } from './policy/policy-claims.ts';
import type { Problem } from './problem.ts';
import { entryChanges, type RowChanges, RowRecorder } from './row-changes.ts';
import type { CompileSettings } from './settings.ts';
import type { ClusterState, Labels, Pod } from './state.ts';
import type { Tunnels } from './tunnels.ts';

/** What a compile leaves for a plane to go on from. */
export interface ClusterParts {
  readonly state: ClusterState;
  readonly settings: CompileSettings;
  readonly view: IdentityView;
  readonly demand: IdentityDemand;
  readonly compiler: PolicyCompiler;
  readonly policies: CompiledPolicies;
  /** Pods that `policies` is about. */
  readonly local: readonly PodIdentity[];
  readonly identityNumbers: IdentityNumbers;
  readonly endpointNumbers: EndpointNumbers;
  /** Problems of the compile, to which building policies adds. */
  readonly problems: Problem[];
  readonly tunnels: Tunnels | undefined;
  /** The one value of the configuration map. */
  readonly config: Uint8Array;
}

/** Changes that are taken up one by one: of more each would cost what it touches, all of them more than the whole. */
export const MOST_AT_ONCE = 256;

interface HeldIdentity {
  readonly identity: number;
  pods: number;
}

/** See the head of this file. */
export class ClusterPlane {
  private readonly parts: ClusterParts;
  private readonly policies: PolicyPlane;
  private readonly pods = new Map<string, PodIdentity>();
  /** By the text of the labels. */
  private readonly held = new Map<string, HeldIdentity>();
  private readonly claims: PodClaims;
  private readonly views: PodViews;
  private config: Uint8Array;
  /** Worked out with the first policy that changes. */
  private policyClaims: PolicyClaims | undefined;
  /** Something has come up that only a whole compile may say. */
  private failed = false;
  /** Of the changes that are told together: one number for their epochs, and whether the global one has moved. */
  private batch: { readonly generation: number; moved: boolean } | undefined;

  private constructor(parts: ClusterParts) {
    const { view, local, state, endpointNumbers } = parts;
    this.parts = parts;
    this.config = parts.config;
    this.policies = new PolicyPlane(parts.compiler, parts.policies, local, endpointNumbers.policies);
    this.views = new PodViews(state, parts.settings, parts.demand, view);
    this.claims = new PodClaims(state.pods);
    for (const pod of view.pods) {
      this.pods.set(objectKey(pod.pod), pod);
      for (const { identity } of pod.identities) this.hold(view.labels.get(identity)!.text, identity);
    }
  }

  /**
   * A plane over a compile, or undefined where pods depend on each other: in Kubernetes' semantics (named ports), with identities
   * that the cluster has numbered, without enforcement, or with a compile that did not fit.
   */
  static over(parts: ClusterParts): ClusterPlane | undefined {
    const { settings, state, view, local, endpointNumbers } = parts;
    if (settings.semantics !== 'cilium' || settings.policyEnforcement === 'never') return undefined;
    if (state.ciliumEndpoints.length + state.ciliumIdentities.length > 0) return undefined;
    if (view.pods.some(({ identities }) => identities.some(({ identity }) => !view.labels.has(identity))))
      return undefined;
    if (local.some(({ pod }) => !endpointNumbers.epochs.has(objectKey(pod)))) return undefined;
    return new ClusterPlane(parts);
  }

  /**
   * A pod has come (`before` undefined), gone (`after` undefined) or changed. Undefined: it reaches further than itself; the
   * plane must not be used again.
   */
  change(before: Pod | undefined, after: Pod | undefined): RowChanges | undefined {
    const key = objectKey((after ?? before)!);
    const old = this.pods.get(key);
    if (![before, after].every((pod) => pod === undefined || this.views.isPlain(pod))) return undefined;
    if (!this.claims.isAlone(before, after)) return undefined;
    const addresses = after === undefined ? [] : livingAddresses(after);
    const next = after === undefined || addresses.length === 0 ? undefined : this.views.of(after, addresses);
    const labels = next === undefined ? [] : addresses.map((address) => this.views.labelsAt(next, address));
    const known = labels.flatMap(({ text }) => this.held.get(text)?.identity ?? []);
    if (next !== undefined && !known.every((identity) => this.policies.knowsPorts(identity, next.namedPorts)))
      return undefined;
    // Where pods of an identity disagree about a name, it means something else without one of them.
    if (old?.identities.every(({ identity }) => this.policies.knowsPorts(identity, old.namedPorts)) === false)
      return undefined;
    const problems = this.parts.problems.length;
    const changes = this.replace(key, old, next, labels);
    if (this.parts.problems.length > problems) this.failed = true;
    if (changes === undefined || this.failed) return undefined;
    this.claims.change(before, after);
    return changes;
  }

  /**
   * A namespace has other labels: its pods have. `after` undefined: it has no object any more. Undefined: some pod reaches further
   * than itself; the plane must not be used again.
   */
  changeNamespace(name: string, after: Labels | undefined): readonly RowChanges[] | undefined {
    const { namespaces } = this.views;
    const before = namespaces.get(name);
    // Pods of a namespace without an object have labels that only a whole compile knows.
    if ((before === undefined || after === undefined) && this.claims.populates(name)) return undefined;
    if (after === undefined) namespaces.delete(name);
    else namespaces.set(name, after);
    if (before === undefined || after === undefined || sameLabels(before, after)) return [];
    const pods = [...this.pods.values()].filter(({ pod }) => pod.namespace === name);
    if (pods.length > MOST_AT_ONCE) return undefined;
    return this.together(() => {
      const all: RowChanges[] = [];
      for (const { pod } of pods) {
        const changes = this.change(pod, pod);
        if (changes === undefined) return undefined;
        all.push(changes);
      }
      return all;
    });
  }

  /**
   * A policy has come (`before` undefined), gone (`after` undefined) or changed. Undefined: it reaches further than the policies of
   * the pods that it selects; the plane must not be used again.
   */
  changePolicy(before: AnyPolicy | undefined, after: AnyPolicy | undefined): RowChanges | undefined {
    const { settings, state, problems } = this.parts;
    // Pods of unknown namespaces are warned about at one rule of all.
    if (!this.claims.isWithin(this.views.namespaces)) return undefined;
    this.policyClaims ??= new PolicyClaims(state, settings, this.policies);
    const alone = this.policyClaims.replace(before, after);
    if (alone === undefined) return undefined;
    const [old, next] = alone;
    // What was said about a port name may be over.
    if (old?.rules.some(hasNames) === true && problems.length > 0) return undefined;
    return this.together(() => this.replacePolicy(policyName((after ?? before)!), old, next));
  }

  private replacePolicy(
    policy: string,
    before: NormalPolicies | undefined,
    after: NormalPolicies | undefined,
  ): RowChanges | undefined {
    const { endpointNumbers, problems } = this.parts;
    const known = problems.length;
    const changes = new RowRecorder();
    const local = [...this.pods.values()].filter((pod) => this.views.isLocal(pod));
    const told = this.policies.changePolicy(policy, before, after, local);
    if (told === undefined || problems.length > known) return undefined;
    const changed = new Set<number>();
    for (const change of told.changes) {
      this.writeBlock(change, changes);
      if (change.after !== undefined) changed.add(change.after.policyId);
    }
    if (this.failed) return undefined;
    for (const [pod, policyId] of told.policyIds) {
      const key = objectKey(pod.pod);
      const had = endpointNumbers.epochs.get(key)!;
      const stays = had.policyId === policyId && !changed.has(policyId);
      if (stays) continue;
      const epoch = this.batch!.generation;
      endpointNumbers.epochs.set(key, { ...had, policyId, epoch });
      const endpointId = endpointNumbers.ids.claim(key)!;
      noteEndpoint(changes, pod, { endpointId, policyId: had.policyId, epoch: had.epoch }, undefined);
      noteEndpoint(changes, pod, undefined, { endpointId, policyId, epoch });
    }
    return changes.finish();
  }

  /** Runs changes that count as one: what they move has one epoch. */
  together<T>(work: () => T): T {
    if (this.batch !== undefined) return work();
    this.batch = { generation: ++this.parts.endpointNumbers.generation, moved: false };
    try {
      return work();
    } finally {
      this.batch = undefined;
    }
  }

  private hold(text: string, identity: number): void {
    const held = this.held.get(text);
    if (held === undefined) this.held.set(text, { identity, pods: 1 });
    else held.pods++;
  }

  private replace(
    key: string,
    old: PodIdentity | undefined,
    next: PodView | undefined,
    labels: readonly LabelSet[],
  ): RowChanges | undefined {
    const { identityNumbers, endpointNumbers } = this.parts;
    const changes = new RowRecorder();
    const fresh = [...new Map(labels.map((own) => [own.text, own])).values()].filter(
      ({ text }) => !this.held.has(text),
    );
    if ([...fresh, ...this.leaving(old)].some((own) => this.policies.meetsPass(own))) return undefined;
    const claimed = new Map<string, number>();
    for (const { text } of fresh) {
      const identity = identityNumbers.pods.claim(text);
      if (identity === undefined) {
        for (const name of claimed.keys()) identityNumbers.pods.release(name);
        return undefined;
      }
      claimed.set(text, identity);
    }
    const after: PodIdentity | undefined = next && {
      ...next,
      identities: next.addresses.map((address, i) => {
        const { text } = labels[i]!;
        const identity = this.held.get(text)?.identity ?? claimed.get(text)!;
        return { address, identity };
      }),
    };
    const generation = this.batch?.generation ?? ++endpointNumbers.generation;
    if (after !== undefined) {
      this.policies.joinPorts(after);
      for (const own of fresh) this.introduce(claimed.get(own.text)!, own, after, changes);
      labels.forEach(({ text }, i) => {
        this.hold(text, after.identities[i]!.identity);
      });
    }
    const place =
      after !== undefined && this.views.isLocal(after) ? this.settle(key, after, generation, changes) : undefined;
    if (old !== undefined) {
      this.leave(key, old, this.views.isLocal(old), place !== undefined, changes);
      this.policies.leavePorts(old);
      for (const { identity } of old.identities) this.letGo(identity, old, changes);
    }
    this.writeAddresses(old, after, changes);
    if (after === undefined) this.pods.delete(key);
    else this.pods.set(key, after);
    if (place !== undefined) noteEndpoint(changes, after!, undefined, place);
    return changes.finish();
  }

  /** Labels of the identities that may go with a pod. */
  private leaving(old: PodIdentity | undefined): LabelSet[] {
    if (old === undefined) return [];
    return [...new Set(old.identities.map(({ identity }) => identity))]
      .map((identity) => this.parts.view.labels.get(identity)!)
      .filter(({ text }) => (this.held.get(text)?.pods ?? 0) <= old.identities.length);
  }

  /** A new identity: everybody who can tell it from others learns of it. */
  private introduce(identity: number, labels: LabelSet, pod: PodIdentity, changes: RowRecorder): void {
    const { view, endpointNumbers } = this.parts;
    (view.labels as Map<number, LabelSet>).set(identity, labels);
    view.index.add(identity, labels);
    endpointNumbers.live.set(identity, labels.text);
    for (const change of this.policies.identityChanged(identity, labels, pod, true)) this.writeBlock(change, changes);
  }

  /** One pod less for an identity; with the last it goes. */
  private letGo(identity: number, pod: PodIdentity, changes: RowRecorder): void {
    const { view, identityNumbers, endpointNumbers } = this.parts;
    const labels = view.labels.get(identity)!;
    const held = this.held.get(labels.text)!;
    if (--held.pods > 0) return;
    this.held.delete(labels.text);
    identityNumbers.pods.release(labels.text);
    (view.labels as Map<number, LabelSet>).delete(identity);
    view.index.remove(identity);
    endpointNumbers.live.delete(identity);
    for (const change of this.policies.identityChanged(identity, labels, pod, false)) this.writeBlock(change, changes);
  }

  /** Policy, number and epoch of a pod. */
  private settle(key: string, pod: PodIdentity, generation: number, changes: RowRecorder): EndpointPlace | undefined {
    const { endpointNumbers } = this.parts;
    const added = this.policies.add(pod);
    const endpointId = endpointNumbers.ids.claim(key);
    if (added?.change !== undefined) this.writeBlock(added.change, changes);
    if (endpointId === undefined || added === undefined) {
      this.failed = true;
      return undefined;
    }
    const { policyId } = added;
    const before = endpointNumbers.epochs.get(key);
    const addresses = addressTexts(pod);
    const kept = added.change === undefined && keepsEpoch(before, policyId, addresses);
    const epoch = kept ? before.epoch : generation;
    this.previous = before;
    endpointNumbers.epochs.set(key, { policyId, epoch, addresses });
    return { endpointId, policyId, epoch };
  }

  /** What the pod being replaced had. */
  private previous: EndpointEpoch | undefined;

  private leave(key: string, old: PodIdentity, wasLocal: boolean, stays: boolean, changes: RowRecorder): void {
    const { endpointNumbers } = this.parts;
    if (!wasLocal) return;
    const had = stays ? this.previous : endpointNumbers.epochs.get(key);
    const endpointId = endpointNumbers.ids.claim(key)!;
    noteEndpoint(changes, old, { endpointId, policyId: had?.policyId ?? 0, epoch: had?.epoch ?? 0 }, undefined);
    const change = this.policies.remove(old);
    if (change !== undefined) this.writeBlock(change, changes);
    if (stays) return;
    endpointNumbers.ids.release(key);
    endpointNumbers.epochs.delete(key);
  }

  private writeAddresses(old: PodIdentity | undefined, after: PodIdentity | undefined, changes: RowRecorder): void {
    const { endpointNumbers } = this.parts;
    const rows = (pod: PodIdentity | undefined): (IpcacheRow & { readonly text: string })[] =>
      (pod?.identities ?? []).map(({ address, identity }) => {
        const prefix = hostPrefix(address);
        return { ...ipcacheRow({ prefix, identity, nodeId: pod!.nodeId }, this.parts.tunnels), text: prefix.text };
      });
    const seen = new Map<string, string>();
    for (const row of rows(old)) {
      seen.set(row.text, row.place);
      changes.note(row.family === 4 ? 'ipcache4' : 'ipcache6', row.key, row.value, undefined);
      endpointNumbers.identities.delete(row.text);
    }
    let moved = false;
    for (const row of rows(after)) {
      if (seen.get(row.text) !== row.place) moved = true;
      seen.delete(row.text);
      changes.note(row.family === 4 ? 'ipcache4' : 'ipcache6', row.key, undefined, row.value);
      endpointNumbers.identities.set(row.text, row.place);
    }
    if (moved || seen.size > 0) this.bumpGlobalEpoch(changes);
  }

  private bumpGlobalEpoch(changes: RowRecorder): void {
    if (this.batch?.moved === true) return;
    if (this.batch !== undefined) this.batch.moved = true;
    const before = this.config;
    const globalEpoch = ++this.parts.endpointNumbers.globalEpoch;
    this.config = configValue.encode({ ...configValue.decode(before), globalEpoch });
    changes.note('config', new Uint8Array(4), before, this.config);
  }

  private writeBlock({ before, after }: BlockChange, changes: RowRecorder): void {
    const { blocks } = this.parts.endpointNumbers;
    const policyId = (after ?? before)!.policyId;
    if (after === undefined) blocks.delete(policyId);
    else blocks.set(policyId, after);
    if (after !== undefined && !this.fits(after)) this.failed = true;
    const meta = (block: PolicyBlock | undefined): Uint8Array | undefined => block && policyMeta.encode(block.meta);
    changes.note('policyMeta', policyMetaKey.encode({ policyId }), meta(before), meta(after));
    for (const [key, was, is] of entryChanges(before?.words, after?.words)) {
      changes.note('policy', key, was, is);
    }
  }

  private fits(block: PolicyBlock): boolean {
    return withinProbeBudget(block) && block.words.length / ENTRY_WORDS <= this.parts.settings.policyMapMax;
  }
}

const sameLabels = (a: Labels, b: Labels): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
