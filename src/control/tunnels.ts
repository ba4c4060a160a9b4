// Nodes → tunnel endpoints: which node's address the overlay's packets to an address go to. Input: NodeView[], the id of the node that
// is compiled for. Output: an address, or undefined. Invariant: nodes' own addresses are reached outside of the overlay, their
// addresses inside of it (CiliumInternalIP) through it; what is on the own node has no tunnel endpoint.
import type { NodeView } from './nodes.ts';
import type { IpAddress, IpPrefix } from './state.ts';

/** See the head of this file. */
export class Tunnels {
  private readonly endpoints = new Map<number, IpAddress>();
  private readonly outside = new Set<string>();

  /** @param own id of the node that is compiled for */
  constructor(nodes: readonly NodeView[], own: number) {
    for (const { id, node, addresses } of nodes) {
      const inside = new Set<string>();
      for (const { type, address } of node?.addresses ?? []) if (type === 'CiliumInternalIP') inside.add(address.text);
      for (const { address } of addresses) if (!inside.has(address.text)) this.outside.add(address.text);
      if (id === own || id === 0) continue;
      const internal = (node?.addresses ?? []).filter(({ type }) => type === 'InternalIP');
      // Cilium's underlay is IPv4 where there is any (`underlayProtocol`).
      const endpoint = internal.find(({ address }) => address.family === 4) ?? internal[0];
      if (endpoint !== undefined) this.endpoints.set(id, endpoint.address);
    }
  }

  /** The tunnel endpoint of a prefix on a node. */
  of(prefix: IpPrefix, nodeId: number): IpAddress | undefined {
    const slash = prefix.text.indexOf('/');
    if (this.outside.has(slash < 0 ? prefix.text : prefix.text.slice(0, slash))) return undefined;
    return this.endpoints.get(nodeId);
  }
}
