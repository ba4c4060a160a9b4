// Whose policy is compiled: a pod, or a node itself where there is a host firewall. Input: pods and nodes with identities.
// Output: PolicySubject. Invariant: the labels of a node's subject hold `reserved:host`, so that no pod's are equal to them;
// whether a rule selects pods or nodes is said by the rule, never by labels.
import type { LabelSet } from '../labels.ts';
import type { NodeView } from '../nodes.ts';
import type { Pod } from '../state.ts';

/** One endpoint as policies see it. */
export interface PolicySubject {
  readonly labels: LabelSet;
  /** See PodView; a node has no container ports. */
  readonly namedPorts: string;
  readonly node: NodeView | undefined;
  /** Undefined: the node itself. */
  readonly pod: Pod | undefined;
}

/** A node as the subject of host policies. */
export interface HostSubject extends PolicySubject {
  readonly node: NodeView;
  readonly pod: undefined;
}

/** The nodes whose host policies are compiled: none without a host firewall, one where a node is compiled for. */
export const hostSubjects = (
  nodes: readonly NodeView[],
  { hostFirewall, node }: { readonly hostFirewall: boolean; readonly node: string | undefined },
): readonly HostSubject[] =>
  hostFirewall
    ? nodes
        .filter(({ name }) => node === undefined || name === node)
        .map((view) => ({ labels: view.endpointLabels, namedPorts: '', node: view, pod: undefined }))
    : [];

/** What a node's endpoint is known by among pods' `namespace/name`: no pod has an empty namespace. */
export const hostKey = (node: string): string => `/${node}`;

/** `pod ns/name` or `node name`. */
export const subjectName = ({ pod, node }: PolicySubject): string =>
  pod === undefined ? `node ${node?.name ?? ''}` : `pod ${pod.namespace}/${pod.name}`;
