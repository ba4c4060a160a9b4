// How the pods of a running cluster look to its policies, each by itself. Input: what a compile found; pods, namespaces as they
// change. Output: views of pods, their labels. Invariant: only pods that depend on nothing but their namespace and node are seen.
import type { IdentityDemand, IdentityView } from './identity.ts';
import { type LabelSet, podLabels } from './labels.ts';
import { parseAddress } from './manifest/address.ts';
import { blockLabels, IP_BLOCK_SOURCE, type NodeView } from './nodes.ts';
import { livingAddresses, prefixText } from './pod-claims.ts';
import { namedPortsText, type PodView } from './pods.ts';
import { hostPrefix } from './prefix.ts';
import type { CompileSettings } from './settings.ts';
import type { ClusterState, IpAddress, Labels, Pod } from './state.ts';

/** See the head of this file. */
export class PodViews {
  /** Labels of the namespaces that are objects; the caller keeps them. */
  readonly namespaces: Map<string, Labels>;
  private readonly settings: CompileSettings;
  private readonly demand: IdentityDemand;
  private readonly nodes: ReadonlyMap<string, NodeView>;
  /** Prefixes that are not pods', or would not be without them: nodes, prefixes of policies, facts. */
  private readonly foreign = new Set<string>();

  constructor(
    { namespaces, facts }: ClusterState,
    settings: CompileSettings,
    demand: IdentityDemand,
    { nodes, pods, addresses }: IdentityView,
  ) {
    this.settings = settings;
    this.demand = demand;
    this.namespaces = new Map(namespaces.map(({ name, labels }) => [name, labels]));
    this.nodes = new Map(nodes.map((node) => [node.name, node]));
    const owned = new Set(pods.flatMap(({ identities }) => identities.map(({ address }) => prefixText(address))));
    for (const { prefix } of addresses) if (!owned.has(prefix.text)) this.foreign.add(prefix.text);
    for (const text of facts.entities.keys()) {
      const parsed = parseAddress(text);
      if (parsed.ok) this.foreign.add(prefixText(parsed.value));
    }
  }

  /** True when namespace and node are known objects, and nobody but pods can have its addresses: it is a pod like others. */
  isPlain(pod: Pod): boolean {
    const { namespace, nodeName, hostNetwork } = pod;
    if (hostNetwork || !this.namespaces.has(namespace)) return false;
    // A node that only pods name comes and goes with them.
    if (nodeName !== undefined && this.nodes.get(nodeName)?.node === undefined) return false;
    return livingAddresses(pod).every(
      (address) => !this.foreign.has(prefixText(address)) && !this.demand.prefixes.has(hostPrefix(address)),
    );
  }

  /** A plain pod with those of its addresses that live. */
  of(pod: Pod, addresses: readonly IpAddress[]): PodView {
    const { settings } = this;
    const node = pod.nodeName === undefined ? undefined : this.nodes.get(pod.nodeName);
    const source = {
      namespace: pod.namespace,
      labels: pod.labels,
      serviceAccount: pod.serviceAccount,
      namespaceLabels: this.namespaces.get(pod.namespace)!,
      cluster: settings.clusterName,
    };
    return {
      pod,
      labels: podLabels(source, settings.labelFilter),
      fixedIdentity: undefined,
      nodeId: node?.id ?? 0,
      node,
      addresses,
      namedPorts: namedPortsText(pod),
    };
  }

  /** Its labels at one of its addresses, with those of the ipBlocks that hold it. */
  labelsAt({ labels }: PodView, address: IpAddress): LabelSet {
    const more = blockLabels(address, this.demand.blocks, IP_BLOCK_SOURCE);
    return more.length === 0 ? labels : labels.with(more);
  }

  /** Whether the pod is on the node that is compiled for; on any, where it is for none. */
  isLocal({ pod }: PodView): boolean {
    const { node } = this.settings;
    return node === undefined || pod.nodeName === node;
  }
}
