// The nodes of a cluster: their numbers, their addresses, and the labels of their `host` and `remote-node` identities.
// Input: ClusterState, settings. Output: NodeView[], sorted by name. Invariant: a node that only a pod names is a node, too.
import { cidrLabel, type Label, LabelSet, reservedLabel } from './labels.ts';
import { hostPrefix, type PrefixSet } from './prefix.ts';
import type { CompileSettings } from './settings.ts';
import type { ClusterState, IpAddress, Node } from './state.ts';
import type { StickyIds } from './sticky-ids.ts';

/** One node. */
export interface NodeView {
  readonly name: string;
  /** 1..; 0 when the range is full. */
  readonly id: number;
  /** The object; undefined for a node that only pods name. */
  readonly node: Node | undefined;
  readonly addresses: readonly NodeAddressView[];
  /** What `reserved:host` means to this node's pods. */
  readonly hostLabels: LabelSet;
  /** What a `nodeSelector` selects: `reserved:host` and the Node's labels that are part of identities (Cilium's host endpoint). */
  readonly endpointLabels: LabelSet;
}

/** One address of a node with the labels that other nodes' pods see. */
export interface NodeAddressView {
  readonly address: IpAddress;
  readonly labels: LabelSet;
}

/** Label source for addresses that a block of addresses may match besides the world's (see Peer). */
export const IP_BLOCK_SOURCE = 'ipblock';

/** Labels of the prefixes that cover an address, for addresses that are not of the world. */
export function blockLabels(address: IpAddress, prefixes: PrefixSet, source: string): Label[] {
  return prefixes.covering(hostPrefix(address)).map((prefix) => ({ ...cidrLabel(prefix), source }));
}

/** What gives nodes' addresses labels besides their own entity. */
export interface NodeLabelling {
  /** Prefixes that label nodes with policy-cidr-match-mode=nodes. */
  readonly prefixes: PrefixSet;
  /** Prefixes that label them in any mode. */
  readonly blocks: PrefixSet;
  /** The Node's labels are part of its identity. */
  readonly nodeLabels: boolean;
  /** Canonical addresses. */
  readonly kubeApiservers: ReadonlySet<string>;
}

/** Reads the nodes. */
export function readNodes(
  state: ClusterState,
  settings: CompileSettings,
  labelling: NodeLabelling,
  numbers: StickyIds,
): { readonly nodes: readonly NodeView[]; readonly refused: readonly string[] } {
  const objects = new Map<string, Node>();
  const addresses = new Map<string, Map<string, IpAddress>>();
  const touch = (name: string): Map<string, IpAddress> => {
    let own = addresses.get(name);
    if (own === undefined) addresses.set(name, (own = new Map()));
    return own;
  };
  for (const node of state.nodes) {
    objects.set(node.name, node);
    const own = touch(node.name);
    for (const { address } of node.addresses) own.set(address.text, address);
  }
  for (const pod of state.pods) {
    if (pod.nodeName === undefined) continue;
    const own = touch(pod.nodeName);
    if (pod.hostNetwork) for (const address of pod.podIPs) own.set(address.text, address);
  }
  for (const slice of state.endpointSlices) {
    for (const { nodeName } of slice.endpoints) if (nodeName !== undefined) touch(nodeName);
  }
  const { ids, refused } = numbers.assign(addresses.keys());
  const nodes = [...addresses.keys()].sort().map((name): NodeView => {
    const node = objects.get(name);
    const list = [...addresses.get(name)!.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
    const shared = labelling.nodeLabels ? nodeLabels(node) : [];
    const views = list.map((address): NodeAddressView => {
      const labels = [reservedLabel('remote-node'), ...shared, ...addressLabels(address, settings, labelling)];
      if (labelling.kubeApiservers.has(address.text)) labels.push(reservedLabel('kube-apiserver'));
      return { address, labels: new LabelSet(labels) };
    });
    const host = views.flatMap(({ labels }) => labels.labels.filter((label) => label.key !== 'remote-node'));
    return {
      name,
      id: ids.get(name) ?? 0,
      node,
      addresses: views,
      hostLabels: new LabelSet([reservedLabel('host'), ...shared, ...host]),
      endpointLabels: new LabelSet([reservedLabel('host'), ...endpointLabels(node, settings)]),
    };
  });
  return { nodes, refused };
}

function addressLabels(address: IpAddress, settings: CompileSettings, { prefixes, blocks }: NodeLabelling): Label[] {
  const labels = blockLabels(address, blocks, IP_BLOCK_SOURCE);
  if (settings.cidrMatchNodes) labels.push(...blockLabels(address, prefixes, 'cidr'));
  return labels;
}

function endpointLabels(node: Node | undefined, { labelFilter }: CompileSettings): Label[] {
  return [...(node?.labels ?? [])]
    .filter(([key]) => labelFilter('k8s', key))
    .map(([key, value]) => ({ source: 'k8s', key, value }));
}

function nodeLabels(node: Node | undefined): Label[] {
  return [...(node?.labels ?? [])].map(([key, value]) => ({ source: 'node', key, value }));
}
