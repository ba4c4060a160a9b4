// What the service compiler knows of nodes: which addresses are the node's own, which of them node ports are opened on, its
// zone and labels. Input: nodes, the node that is compiled for. Output: NodeFacts. Invariant: without a node of its own, a
// compile serves every node at once.
import { containsAddress } from '../manifest/address.ts';
import type { CompileSettings } from '../settings.ts';
import type { IpAddress, Labels, Node } from '../state.ts';

/** One address of a node. */
export interface ServiceNodeAddress {
  readonly address: IpAddress;
  /** Node ports and host ports are opened on it. */
  readonly nodePort: boolean;
}

/** One node. */
export interface ServiceNode {
  readonly name: string;
  /** undefined: no Node object is there, only pods that name it. */
  readonly labels: Labels | undefined;
  readonly addresses: readonly ServiceNodeAddress[];
}

const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** A Node object as the service compiler sees it. `nodePort.addresses` decides where node ports are opened, if it is set. */
export function serviceNodeOf(node: Node, settings: CompileSettings): ServiceNode {
  const allowed = settings.nodePortAddresses;
  return {
    name: node.name,
    labels: node.labels,
    addresses: node.addresses.map(({ type, address }) => ({
      address,
      nodePort:
        allowed.length > 0
          ? allowed.some((prefix) => containsAddress(prefix, address))
          : type === 'InternalIP' || type === 'ExternalIP',
    })),
  };
}

/** The nodes, seen from the one that is compiled for. */
export class NodeFacts {
  /** Name of the node that is compiled for; undefined: all of them. */
  readonly node: string | undefined;
  private readonly own: readonly ServiceNode[];
  private readonly texts: ReadonlySet<string>;

  constructor(nodes: Iterable<ServiceNode>, node: string | undefined) {
    this.node = node;
    const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.own = node === undefined ? sorted : sorted.filter(({ name }) => name === node);
    this.texts = new Set(this.own.flatMap(({ addresses }) => addresses.map(({ address }) => address.text)));
  }

  /** Names of the nodes in question whose objects have been seen: that which is compiled for, or all. */
  get seen(): readonly string[] {
    return this.own.flatMap(({ name, labels }) => (labels === undefined ? [] : [name]));
  }

  get zone(): string | undefined {
    return this.node === undefined ? undefined : this.own[0]?.labels?.get(ZONE_LABEL);
  }

  /** Labels of each of them. */
  get labels(): readonly Labels[] {
    return this.own.flatMap(({ labels }) => (labels === undefined ? [] : [labels]));
  }

  /** True for an address of the node (of any node, without one of its own). */
  isOwn(address: IpAddress): boolean {
    return this.texts.has(address.text);
  }

  /** Addresses of a family that node ports are opened on. `of`: on this node only. */
  nodePortAddresses(family: 4 | 6, of?: string): IpAddress[] {
    const found = new Map<string, IpAddress>();
    for (const { name, addresses } of this.own) {
      if (of !== undefined && name !== of) continue;
      for (const { address, nodePort } of addresses)
        if (nodePort && address.family === family) found.set(address.text, address);
    }
    return [...found.values()];
  }

  /** Equal texts mean that nothing which frontends depend on is different. Labels besides the zone are not part of it. */
  get text(): string {
    return JSON.stringify([
      this.zone ?? null,
      this.own.map(({ name, addresses }) => [name, addresses.map(({ address, nodePort }) => [address.text, nodePort])]),
    ]);
  }
}
