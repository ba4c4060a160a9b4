// The pods that have an address of their own, with their labels, node and named ports. Input: ClusterState. Output: PodView[]
// sorted by namespace and name, and which address belongs to whom. Invariant: an address has at most one owner.
import { IDENTITY } from '../schema/index.ts';
import { type Label, LabelSet, NAMESPACE_NAME, podLabels, reservedLabel } from './labels.ts';
import type { NodeView } from './nodes.ts';
import type { Problem } from './problem.ts';
import type { CompileSettings } from './settings.ts';
import type { CiliumEndpoint, ClusterState, IpAddress, Labels, Pod } from './state.ts';

/** A pod that is alive, not on the host's network, and has an address. */
export interface PodView {
  readonly pod: Pod;
  /** What policies select: its identity's labels without those that only an address has. */
  readonly labels: LabelSet;
  /** Number that a CiliumEndpoint or CiliumIdentity gives for these labels. */
  readonly fixedIdentity: number | undefined;
  /** Number of its node; 0 = unknown. */
  readonly nodeId: number;
  readonly node: NodeView | undefined;
  readonly addresses: readonly IpAddress[];
  /** `name/PROTO=port;` of each named port, sorted; equal texts resolve equally. */
  readonly namedPorts: string;
}

/** `namespace/name`. */
export const objectKey = (object: { readonly namespace?: string; readonly name: string }): string =>
  `${object.namespace ?? ''}/${object.name}`;

/** `name/PROTO=port;` of each named port of a pod, sorted. */
export function namedPortsText(pod: Pod): string {
  const names = new Set<string>();
  for (const { name, protocol, containerPort } of pod.ports) {
    if (name !== undefined) names.add(`${name.toLowerCase()}/${protocol}=${containerPort};`);
  }
  return [...names].sort().join('');
}

/** Labels of each namespace; a namespace without an object has its name alone, as the API server would have it. */
export function namespaceLabels(state: ClusterState): (namespace: string) => Labels {
  const known = new Map<string, Labels>(state.namespaces.map(({ name, labels }) => [name, labels]));
  return (namespace) => {
    let labels = known.get(namespace);
    if (labels === undefined) known.set(namespace, (labels = new Map([[NAMESPACE_NAME, namespace]])));
    return labels;
  };
}

const parseLabel = (text: string): Label => {
  const colon = text.indexOf(':');
  const equals = text.indexOf('=', colon + 1);
  const key = equals < 0 ? text.slice(colon + 1) : text.slice(colon + 1, equals);
  return { source: colon < 0 ? 'unspec' : text.slice(0, colon), key, value: equals < 0 ? '' : text.slice(equals + 1) };
};

/** Reads the pods. Two living pods with one address are a problem; the first by name keeps it. */
export function readPods(
  state: ClusterState,
  settings: CompileSettings,
  nodes: readonly NodeView[],
  problems: Problem[],
): readonly PodView[] {
  const labelsOf = namespaceLabels(state);
  const declared = new Set(state.namespaces.map(({ name }) => name));
  const nodeByName = new Map(nodes.map((node) => [node.name, node]));
  const nodeAddresses = new Set(nodes.flatMap((node) => node.addresses.map(({ address }) => address.text)));
  const endpoints = new Map(state.ciliumEndpoints.map((endpoint) => [objectKey(endpoint), endpoint]));
  const identities = readCiliumIdentities(state);
  const relevant = settings.semantics === 'cilium' ? settings.labelFilter : (): boolean => true;

  const owner = new Map<string, Pod>();
  const views: PodView[] = [];
  const sorted = [...state.pods].sort(byLifeAndName);
  for (const pod of sorted) {
    if (pod.hostNetwork || pod.phase === 'Succeeded' || pod.phase === 'Failed') continue;
    const addresses = pod.podIPs.filter((address) => {
      const other = owner.get(address.text);
      if (other !== undefined) {
        problems.push(at(pod, `pod ${objectKey(pod)} has the address ${address.text} of pod ${objectKey(other)}`));
        return false;
      }
      if (nodeAddresses.has(address.text)) {
        problems.push(at(pod, `pod ${objectKey(pod)} has a node's address ${address.text} without hostNetwork`));
        return false;
      }
      owner.set(address.text, pod);
      return true;
    });
    if (addresses.length === 0) continue;
    const computed = podLabels(
      {
        namespace: pod.namespace,
        labels: pod.labels,
        serviceAccount: pod.serviceAccount,
        namespaceLabels: labelsOf(pod.namespace),
        cluster: settings.clusterName,
      },
      relevant,
    );
    const endpoint = endpoints.get(objectKey(pod));
    const named = nameIdentity(pod, computed, endpoint, identities, declared.has(pod.namespace), problems);
    const node = pod.nodeName === undefined ? undefined : nodeByName.get(pod.nodeName);
    views.push({
      pod,
      labels: named.labels,
      fixedIdentity: named.identity,
      nodeId: node?.id ?? 0,
      node,
      addresses,
      namedPorts: namedPortsText(pod),
    });
  }
  return views.sort((a, b) => compareText(objectKey(a.pod), objectKey(b.pod)));
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function byLifeAndName(a: Pod, b: Pod): number {
  if (a.terminating !== b.terminating) return a.terminating ? 1 : -1;
  return compareText(objectKey(a), objectKey(b));
}

const at = ({ origin }: Pod | CiliumEndpoint, message: string): Problem => ({
  severity: 'warning',
  file: origin.file,
  line: origin.line,
  column: origin.column,
  message,
});

/** Numbers that a pod of this cluster may have: reserved identities and other scopes keep their meaning. */
const isPodIdentity = (id: number): boolean => id >= FIRST_POD_IDENTITY && id <= IDENTITY.CLUSTER_LAST;
/** Below are the reserved identities; well-known ones of the cluster's own pods begin here. */
const FIRST_POD_IDENTITY = 100;

interface KnownIdentities {
  readonly byText: ReadonlyMap<string, number>;
  readonly byNumber: ReadonlyMap<number, LabelSet>;
}

function readCiliumIdentities(state: ClusterState): KnownIdentities {
  const byText = new Map<string, number>();
  const byNumber = new Map<number, LabelSet>();
  for (const { id, securityLabels } of [...state.ciliumIdentities].sort((a, b) => a.id - b.id)) {
    if (!isPodIdentity(id)) continue;
    const labels = new LabelSet([...securityLabels].map(([key, value]) => parseLabel(`${key}=${value}`)));
    byNumber.set(id, labels);
    if (!byText.has(labels.text)) byText.set(labels.text, id);
  }
  return { byText, byNumber };
}

/**
 * The labels and number of a pod. The manifests' labels win, so that a change of labels shows before the cluster has seen
 * it; an endpoint's labels count only where the manifests do not hold the namespace (whose labels are part of them).
 */
function nameIdentity(
  pod: Pod,
  computed: LabelSet,
  endpoint: CiliumEndpoint | undefined,
  known: KnownIdentities,
  namespaceDeclared: boolean,
  problems: Problem[],
): { readonly labels: LabelSet; readonly identity: number | undefined } {
  const number = endpoint?.identity;
  if (number === IDENTITY.INIT) return { labels: new LabelSet([reservedLabel('init')]), identity: undefined };
  if (endpoint === undefined || number === undefined || !isPodIdentity(number)) {
    return { labels: computed, identity: known.byText.get(computed.text) };
  }
  const told =
    endpoint.identityLabels === undefined
      ? known.byNumber.get(number)
      : new LabelSet(endpoint.identityLabels.map(parseLabel));
  if (told === undefined || told.text === computed.text) return { labels: computed, identity: number };
  if (!namespaceDeclared) return { labels: told, identity: number };
  problems.push(
    at(endpoint, `identity ${number} of ${objectKey(pod)} has other labels than the pod; Weir numbers the pod itself`),
  );
  return { labels: computed, identity: known.byText.get(computed.text) };
}
