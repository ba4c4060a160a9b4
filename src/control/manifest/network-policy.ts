// networking.k8s.io/v1 NetworkPolicy from its tree. In: a Reader and the object's root. Out: NetworkPolicy or undefined.
// Invariant: absent and empty lists stay apart; the checks are the API server's (pkg/apis/networking/validation).
import type { IpBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule } from '../state.ts';
import { containsPrefix } from './address.ts';
import { readMeta, readPortOrName, readProtocol, selectorField } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode } from './tree.ts';

/** networking.k8s.io/v1 NetworkPolicy. */
export function readNetworkPolicy(reader: Reader, root: MapNode): NetworkPolicy | undefined {
  const meta = readMeta(reader, root, 'NetworkPolicy');
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  if (spec === undefined)
    return reader.field(root, 'spec') === undefined ? reader.error(root.offset, 'spec: required') : undefined;
  reader.onlyFields(spec, 'spec', ['podSelector', 'ingress', 'egress', 'policyTypes']);
  if (reader.field(spec, 'podSelector') === undefined)
    reader.warning(
      spec.offset,
      'spec.podSelector: absent, which selects every pod of the namespace; write {} if that is meant',
    );
  const podSelector = selectorField(reader, spec, 'podSelector', 'spec', false);
  const policyTypes = reader.each(spec, 'policyTypes', 'spec', (node, path) =>
    reader.asChoice(node, path, ['Ingress', 'Egress'] as const),
  );
  if (policyTypes !== undefined && policyTypes.length > 2)
    reader.error(reader.field(spec, 'policyTypes')!.offset, 'spec.policyTypes: at most two items');
  const ingress = readRules(reader, spec, 'ingress');
  const egress = readRules(reader, spec, 'egress');
  return {
    kind: 'NetworkPolicy',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    podSelector: podSelector ?? { origin: reader.origin(spec.offset) },
    ...(policyTypes !== undefined && { policyTypes }),
    ...(ingress !== undefined && { ingress }),
    ...(egress !== undefined && { egress }),
  };
}

function readRules(reader: Reader, spec: MapNode, direction: 'ingress' | 'egress'): NetworkPolicyRule[] | undefined {
  const peerKey = direction === 'ingress' ? 'from' : 'to';
  return reader.eachMap(spec, direction, 'spec', (item, path, index): NetworkPolicyRule => {
    reader.onlyFields(item, path, [peerKey, 'ports']);
    const peers = reader.eachMap(item, peerKey, path, (peer, peerPath) => readPeer(reader, peer, peerPath));
    const ports = reader.eachMap(item, 'ports', path, (port, portPath) => readPort(reader, port, portPath));
    return {
      direction,
      index,
      origin: reader.origin(item.offset),
      ...(peers !== undefined && { peers }),
      ...(ports !== undefined && { ports }),
    };
  });
}

function readPeer(reader: Reader, item: MapNode, path: string): NetworkPolicyPeer | undefined {
  reader.onlyFields(item, path, ['podSelector', 'namespaceSelector', 'ipBlock']);
  const podSelector = selectorField(reader, item, 'podSelector', path, false);
  const namespaceSelector = selectorField(reader, item, 'namespaceSelector', path, false);
  const blockMap = reader.child(item, 'ipBlock', path);
  const has = (key: string): boolean => reader.field(item, key) !== undefined;
  if (has('ipBlock') && (has('podSelector') || has('namespaceSelector')))
    return reader.error(
      item.offset,
      `${path}: ipBlock cannot be combined with podSelector or namespaceSelector in one peer`,
    );
  if (!has('ipBlock') && !has('podSelector') && !has('namespaceSelector'))
    return reader.error(item.offset, `${path}: a peer needs podSelector, namespaceSelector or ipBlock`);
  const ipBlock = blockMap && readBlock(reader, blockMap, `${path}.ipBlock`);
  return {
    origin: reader.origin(item.offset),
    ...(podSelector !== undefined && { podSelector }),
    ...(namespaceSelector !== undefined && { namespaceSelector }),
    ...(ipBlock !== undefined && { ipBlock }),
  };
}

function readBlock(reader: Reader, map: MapNode, path: string): IpBlock | undefined {
  reader.onlyFields(map, path, ['cidr', 'except']);
  const cidr =
    reader.field(map, 'cidr') === undefined
      ? reader.error(map.offset, `${path}.cidr: required`)
      : reader.prefix(map, 'cidr', path);
  const except = reader.each(map, 'except', path, (node, exceptPath) => {
    const prefix = reader.asPrefix(node, exceptPath, false);
    if (prefix === undefined || cidr === undefined) return undefined;
    // Strictly inside: an except as wide as the block would leave nothing.
    if (!containsPrefix(cidr, prefix) || prefix.prefixLen === cidr.prefixLen)
      return reader.error(node.offset, `${exceptPath}: ${prefix.text} is not strictly inside ${cidr.text}`);
    return prefix;
  });
  return cidr && { cidr, except: except ?? [], origin: reader.origin(map.offset) };
}

function readPort(reader: Reader, item: MapNode, path: string): NetworkPolicyPort | undefined {
  reader.onlyFields(item, path, ['protocol', 'port', 'endPort']);
  const protocol = readProtocol(reader, item, path);
  const portNode = reader.field(item, 'port');
  const port = portNode && readPortOrName(reader, portNode, `${path}.port`);
  const endNode = reader.field(item, 'endPort');
  const endPort = endNode && reader.asInteger(endNode, `${path}.endPort`, 1, 65535);
  if (protocol === undefined || (portNode !== undefined && port === undefined)) return undefined;
  if (endNode !== undefined && portNode === undefined)
    return reader.error(endNode.offset, `${path}.endPort: needs a port`);
  if (endNode !== undefined && typeof port === 'string')
    return reader.error(endNode.offset, `${path}.endPort: not allowed with a named port`);
  if (endPort !== undefined && typeof port === 'number' && endPort < port)
    return reader.error(endNode!.offset, `${path}.endPort: ${endPort} is below port ${port}`);
  return {
    protocol,
    origin: reader.origin(item.offset),
    ...(port !== undefined && { port }),
    ...(endPort !== undefined && { endPort }),
  };
}
