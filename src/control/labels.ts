// Labels with sources, as Cilium has them: `k8s:app=web`, `reserved:world`, `cidr:10.0.0.0/8`.
// Input: pods, nodes, prefixes. Output: LabelSet, immutable, with a canonical text that identities are allocated for.
import type { IpPrefix, Labels } from './state.ts';

/** One label. Reserved and cidr labels have an empty value. */
export interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/** Label keys that Cilium adds to pods (pkg/k8s/apis/cilium.io/const.go). */
export const POD_NAMESPACE = 'io.kubernetes.pod.namespace';
export const NAMESPACE_LABEL_PREFIX = 'io.cilium.k8s.namespace.labels.';
export const SERVICE_ACCOUNT = 'io.cilium.k8s.policy.serviceaccount';
export const POLICY_CLUSTER = 'io.cilium.k8s.policy.cluster';
/** The label of every Namespace that holds its name. */
export const NAMESPACE_NAME = 'kubernetes.io/metadata.name';

/** A set of labels; at most one value for a source and key. */
export class LabelSet {
  /** Sorted by source and key, bytewise. */
  readonly labels: readonly Label[];
  /** `source:key=value;` of each label in order (Cilium's SortedList): the canonical name of the set. */
  readonly text: string;
  private readonly byKey: ReadonlyMap<string, readonly Label[]>;

  constructor(labels: Iterable<Label>) {
    const unique = new Map<string, Label>();
    for (const label of labels) unique.set(`${label.source}:${label.key}`, label);
    const names = [...unique.keys()].sort();
    const sorted = names.map((name) => unique.get(name)!);
    const byKey = new Map<string, Label[]>();
    for (const label of sorted) {
      const same = byKey.get(label.key);
      if (same === undefined) byKey.set(label.key, [label]);
      else same.push(label);
    }
    this.labels = sorted;
    this.text = names.map((name, i) => `${name}=${sorted[i]!.value};`).join('');
    this.byKey = byKey;
  }

  /** Labels with this key, of one source or of `any`. */
  find(source: string, key: string): readonly Label[] {
    const same = this.byKey.get(key);
    if (same === undefined) return NONE;
    return source === 'any' ? same : same.filter((label) => label.source === source);
  }

  /** True when a label of exactly this source and key is there. */
  has(source: string, key: string): boolean {
    return this.find(source, key).length > 0;
  }

  /** This set and more; later labels replace earlier ones of the same source and key. */
  with(more: Iterable<Label>): LabelSet {
    return new LabelSet([...this.labels, ...more]);
  }
}

const NONE: readonly Label[] = [];

/** `reserved:<name>`. */
export const reservedLabel = (name: string): Label => ({ source: 'reserved', key: name, value: '' });

/** `cidr:<prefix>`, colons of IPv6 written as dashes and never one at either end of the address (Cilium's label keys allow neither). */
export function cidrLabel(prefix: IpPrefix): Label {
  if (prefix.family === 4) return { source: 'cidr', key: prefix.text, value: '' };
  const slash = prefix.text.indexOf('/');
  let address = prefix.text.slice(0, slash).replaceAll(':', '-');
  if (address.startsWith('-')) address = `0${address}`;
  if (address.endsWith('-')) address = `${address}0`;
  return { source: 'cidr', key: address + prefix.text.slice(slash), value: '' };
}

/** What the labels of a pod's identity are made of. */
export interface PodLabelSource {
  readonly namespace: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly namespaceLabels: Labels;
  readonly cluster: string;
}

/** The labels of a pod's identity: those that `keeps` (Cilium's label filter) says are part of it. */
export function podLabels(pod: PodLabelSource, keeps: (source: string, key: string) => boolean): LabelSet {
  const labels: Label[] = [];
  const add = (key: string, value: string): void => {
    if (keeps('k8s', key)) labels.push({ source: 'k8s', key, value });
  };
  for (const [key, value] of pod.labels) add(key, value);
  for (const [key, value] of pod.namespaceLabels) add(NAMESPACE_LABEL_PREFIX + key, value);
  add(SERVICE_ACCOUNT, pod.serviceAccount);
  add(POLICY_CLUSTER, pod.cluster);
  add(POD_NAMESPACE, pod.namespace);
  return new LabelSet(labels);
}
