// Nodes and settings → what source NAT reads: each node's addresses, and the destinations that see pods as they are.
// Input: NodeView[], settings, the id of the node that is compiled for (0 = every node). Output: entries of the nodes and
// no_masq maps. Invariant: a prefix that does not parse is a problem and nothing else.
import {
  MAPS,
  NO_MASQUERADE,
  nodeKey,
  nodeValue4,
  nodeValue6,
  noMasqueradeKey4,
  noMasqueradeKey6,
  noMasqueradeValue,
} from '../schema/index.ts';
import { type DesiredMap, MapBuilder } from './desired-map.ts';
import { be32Of, parsePrefix } from './manifest/address.ts';
import type { NodeView } from './nodes.ts';
import type { CompileSettings } from './settings.ts';
import type { IpPrefix } from './state.ts';

/** The maps of source NAT that control owns. */
export interface NatTables {
  readonly nodes4: DesiredMap;
  readonly nodes6: DesiredMap;
  readonly noMasquerade4: DesiredMap;
  readonly noMasquerade6: DesiredMap;
}

/** Builds them. `complain` is told of a prefix that is none. */
export function buildNatTables(
  nodes: readonly NodeView[],
  settings: CompileSettings,
  complain: (message: string) => void,
): NatTables {
  const builders = {
    nodes4: new MapBuilder(MAPS.nodes4),
    nodes6: new MapBuilder(MAPS.nodes6),
    noMasquerade4: new MapBuilder(MAPS.noMasquerade4),
    noMasquerade6: new MapBuilder(MAPS.noMasquerade6),
  };
  for (const node of nodes) if (node.id !== 0) addNode(builders, node, node.id);
  // A cluster of one node: it is the one that clients reach, also where the dataplane stands for the whole cluster.
  if (nodes.length === 1) addNode(builders, nodes[0]!, 0);
  if (settings.masquerade4 || settings.masquerade6) addExceptions(builders, nodes, settings, complain);
  return {
    nodes4: builders.nodes4.finish(),
    nodes6: builders.nodes6.finish(),
    noMasquerade4: builders.noMasquerade4.finish(),
    noMasquerade6: builders.noMasquerade6.finish(),
  };
}

type Builders = { readonly [K in keyof NatTables]: MapBuilder };

/** A node's InternalIP (else any address of it), and its address inside the overlay. */
function addNode({ nodes4, nodes6 }: Builders, { node, addresses }: NodeView, id: number): void {
  const of = (family: 4 | 6, type: string): Uint8Array | undefined =>
    node?.addresses.find((a) => a.type === type && a.address.family === family)?.address.bytes;
  const any = (family: 4 | 6): Uint8Array | undefined =>
    addresses.find(({ address }) => address.family === family)?.address.bytes;
  const four = of(4, 'InternalIP') ?? any(4);
  const six = of(6, 'InternalIP') ?? any(6);
  if (four !== undefined) {
    const gateway = be32Of(of(4, 'CiliumInternalIP') ?? new Uint8Array(4));
    nodes4.set(nodeKey.encode({ id }), nodeValue4.encode({ address: be32Of(four), gateway }));
  }
  if (six !== undefined) {
    const gateway = of(6, 'CiliumInternalIP') ?? new Uint8Array(16);
    nodes6.set(nodeKey.encode({ id }), nodeValue6.encode({ address: six, gateway }));
  }
}

function addExceptions(
  { noMasquerade4, noMasquerade6 }: Builders,
  nodes: readonly NodeView[],
  settings: CompileSettings,
  complain: (message: string) => void,
): void {
  const put = ({ family, bytes, prefixLen }: IpPrefix, reason: number): void => {
    const value = noMasqueradeValue.encode({ reason });
    if (family === 4) {
      noMasquerade4.set(noMasqueradeKey4.encode({ prefixLength: prefixLen, address: be32Of(bytes) }), value);
    } else noMasquerade6.set(noMasqueradeKey6.encode({ prefixLength: prefixLen, address: bytes }), value);
  };
  const parsed = (texts: readonly string[], what: string): IpPrefix[] =>
    texts.flatMap((text) => {
      const prefix = parsePrefix(text, false);
      if (prefix.ok) return [prefix.value];
      complain(`${what}: ${text} is no prefix`);
      return [];
    });
  if (settings.masqueradeAgent) {
    for (const prefix of parsed(settings.masqueradeExempt, 'ipMasqAgent')) put(prefix, NO_MASQUERADE.AGENT);
  }
  const native = parsed(settings.nativeRouting, 'native routing');
  for (const prefix of native) put(prefix, NO_MASQUERADE.NATIVE_ROUTING);
  for (const family of [4, 6] as const) {
    if (native.some((prefix) => prefix.family === family)) continue;
    for (const { node } of nodes) {
      for (const prefix of node?.podCIDRs ?? []) {
        if (prefix.family === family) put(prefix, NO_MASQUERADE.NATIVE_ROUTING);
      }
    }
  }
}
