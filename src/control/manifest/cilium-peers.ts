// The layer-3 peers of a Cilium rule item. In: a Reader and the item's tree. Out: the peer lists, prefix cut off
// (`fromCIDR` and `toCIDR` are both `cidrs`). Invariant: a list that is there but empty stays an empty list;
// at most one kind of peer is not empty, as the agent demands.
import type {
  CiliumCidrSet,
  CiliumEntity,
  CiliumEntityPeer,
  CiliumFqdnPeer,
  CiliumRuleItem,
  CiliumServicePeer,
} from '../state.ts';
import { containsAddress } from './address.ts';
import { readSelector, selectorField } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode, TreeNode } from './tree.ts';

type Peers = Pick<
  CiliumRuleItem,
  'endpoints' | 'requires' | 'cidrs' | 'cidrSets' | 'entities' | 'nodes' | 'groups' | 'services' | 'fqdns'
>;

const entityNames: readonly CiliumEntity[] = [
  'all',
  'world',
  'world-ipv4',
  'world-ipv6',
  'cluster',
  'host',
  'init',
  'ingress',
  'unmanaged',
  'remote-node',
  'health',
  'none',
  'kube-apiserver',
];

/** All peer lists of one item. */
export function readPeers(
  reader: Reader,
  item: MapNode,
  path: string,
  direction: 'ingress' | 'egress',
  deny: boolean,
): Peers {
  const prefix = direction === 'ingress' ? 'from' : 'to';
  onlyOneKind(reader, item, path, prefix, direction, deny);
  const selectors = (key: string) =>
    reader.each(item, key, path, (node, nodePath) => readSelector(reader, node, nodePath, true));
  const endpoints = selectors(`${prefix}Endpoints`);
  const requires = selectors(`${prefix}Requires`);
  const nodes = selectors(`${prefix}Nodes`);
  const cidrs = reader.each(item, `${prefix}CIDR`, path, (node, nodePath) => reader.asPrefix(node, nodePath, true));
  const cidrSets = reader.eachMap(item, `${prefix}CIDRSet`, path, (map, mapPath) => readCidrSet(reader, map, mapPath));
  const entities = reader.each(item, `${prefix}Entities`, path, (node, nodePath) => readEntity(reader, node, nodePath));
  const groups = reader.eachMap(item, `${prefix}Groups`, path, (map) => ({
    value: reader.data(map),
    origin: reader.origin(map.offset),
  }));
  const services =
    direction === 'egress'
      ? reader.eachMap(item, 'toServices', path, (map, mapPath) => readServicePeer(reader, map, mapPath))
      : undefined;
  const fqdns =
    direction === 'egress' && !deny
      ? reader.eachMap(item, 'toFQDNs', path, (map, mapPath) => readFqdn(reader, map, mapPath))
      : undefined;
  return {
    ...(endpoints !== undefined && { endpoints }),
    ...(requires !== undefined && { requires }),
    ...(cidrs !== undefined && { cidrs }),
    ...(cidrSets !== undefined && { cidrSets }),
    ...(entities !== undefined && { entities }),
    ...(nodes !== undefined && { nodes }),
    ...(groups !== undefined && { groups }),
    ...(services !== undefined && { services }),
    ...(fqdns !== undefined && { fqdns }),
  };
}

/** "Combining X and Y is not supported yet", says the agent. `…Requires` only narrows `…Endpoints` and does not count. */
function onlyOneKind(
  reader: Reader,
  item: MapNode,
  path: string,
  prefix: string,
  direction: string,
  deny: boolean,
): void {
  const kinds = ['Endpoints', 'CIDR', 'CIDRSet', 'Entities', 'Nodes', 'Groups'].map((kind) => prefix + kind);
  if (direction === 'egress') kinds.push('toServices', ...(deny ? [] : ['toFQDNs']));
  const used = item.keys.filter((key, i) => {
    const value = item.values[i]!;
    return kinds.includes(key) && value.kind === 'sequence' && value.items.length > 0;
  });
  if (used.length > 1)
    reader.error(
      item.keyOffsets[item.keys.indexOf(used[1]!)]!,
      `${path}: ${used.join(' and ')} cannot be combined in one rule; write one rule for each`,
    );
}

function readCidrSet(reader: Reader, map: MapNode, path: string): CiliumCidrSet | undefined {
  reader.onlyFields(map, path, ['cidr', 'cidrGroupRef', 'cidrGroupSelector', 'except']);
  const used = ['cidr', 'cidrGroupRef', 'cidrGroupSelector'].filter((key) => {
    const node = reader.field(map, key);
    return node !== undefined && !(node.kind === 'scalar' && node.value === '');
  });
  if (used.length !== 1)
    return reader.error(
      map.offset,
      `${path}: exactly one of cidr, cidrGroupRef and cidrGroupSelector is needed${used.length === 0 ? '' : `, got ${used.join(' and ')}`}`,
    );
  const cidr = used[0] === 'cidr' ? reader.prefix(map, 'cidr', path) : undefined;
  const cidrGroupRef = reader.name(map, 'cidrGroupRef', path);
  const cidrGroupSelector = selectorField(reader, map, 'cidrGroupSelector', path, true);
  const except = reader.each(map, 'except', path, (node, nodePath) => {
    const prefix = reader.asPrefix(node, nodePath, false);
    // The agent looks at the address only, so an except may be as wide as its cidr, or wider with the same start.
    if (prefix !== undefined && cidr !== undefined && !containsAddress(cidr, prefix))
      return reader.error(node.offset, `${nodePath}: ${prefix.text} is not inside ${cidr.text}`);
    return prefix;
  });
  return {
    origin: reader.origin(map.offset),
    except: except ?? [],
    ...(cidr !== undefined && {
      cidr: { family: cidr.family, text: cidr.text, bytes: cidr.bytes, prefixLen: cidr.prefixLen },
    }),
    ...(cidrGroupRef !== undefined && { cidrGroupRef }),
    ...(cidrGroupSelector !== undefined && { cidrGroupSelector }),
  };
}

function readEntity(reader: Reader, node: TreeNode, path: string): CiliumEntityPeer | undefined {
  const entity = reader.asChoice(node, path, entityNames);
  return entity && { entity, origin: reader.origin(node.offset) };
}

function readServicePeer(reader: Reader, map: MapNode, path: string): CiliumServicePeer | undefined {
  reader.onlyFields(map, path, ['k8sService', 'k8sServiceSelector']);
  const byName = reader.child(map, 'k8sService', path);
  const bySelector = reader.child(map, 'k8sServiceSelector', path);
  if (byName !== undefined && bySelector !== undefined)
    return reader.error(map.offset, `${path}: k8sService and k8sServiceSelector cannot both be set`);
  const origin = reader.origin(map.offset);
  if (byName !== undefined) {
    reader.onlyFields(byName, `${path}.k8sService`, ['serviceName', 'namespace']);
    const serviceName = reader.name(byName, 'serviceName', `${path}.k8sService`);
    const namespace = reader.name(byName, 'namespace', `${path}.k8sService`);
    if (serviceName === undefined) return reader.error(byName.offset, `${path}.k8sService.serviceName: required`);
    return { origin, serviceName, ...(namespace !== undefined && { namespace }) };
  }
  if (bySelector !== undefined) {
    reader.onlyFields(bySelector, `${path}.k8sServiceSelector`, ['selector', 'namespace']);
    const selector = selectorField(reader, bySelector, 'selector', `${path}.k8sServiceSelector`, true);
    const namespace = reader.name(bySelector, 'namespace', `${path}.k8sServiceSelector`);
    if (selector === undefined) return reader.error(bySelector.offset, `${path}.k8sServiceSelector.selector: required`);
    return { origin, selector, ...(namespace !== undefined && { namespace }) };
  }
  const any = reader.field(map, 'k8sService') ?? reader.field(map, 'k8sServiceSelector');
  return any === undefined
    ? reader.error(map.offset, `${path}: k8sService or k8sServiceSelector is required`)
    : undefined;
}

function readFqdn(reader: Reader, map: MapNode, path: string): CiliumFqdnPeer | undefined {
  reader.onlyFields(map, path, ['matchName', 'matchPattern']);
  const matchName = reader.name(map, 'matchName', path);
  const matchPattern = reader.name(map, 'matchPattern', path);
  if (matchName === undefined && matchPattern === undefined)
    return reader.error(map.offset, `${path}: matchName or matchPattern is required`);
  if (matchName !== undefined && matchPattern !== undefined)
    return reader.error(map.offset, `${path}: only one of matchName and matchPattern is allowed`);
  if (matchName !== undefined && (matchName.length > 255 || !/^[-a-zA-Z0-9_.]+$/.test(matchName)))
    return reader.error(
      reader.field(map, 'matchName')!.offset,
      `${path}.matchName: ${JSON.stringify(matchName)} is not a DNS name`,
    );
  if (matchPattern !== undefined && (matchPattern.length > 255 || !/^[-a-zA-Z0-9_.*]+$/.test(matchPattern)))
    return reader.error(
      reader.field(map, 'matchPattern')!.offset,
      `${path}.matchPattern: ${JSON.stringify(matchPattern)} is not a DNS pattern`,
    );
  const plain = (text: string): string => text.toLowerCase().replace(/\.$/, '');
  return {
    origin: reader.origin(map.offset),
    ...(matchName !== undefined && { matchName: plain(matchName) }),
    ...(matchPattern !== undefined && { matchPattern: plain(matchPattern) }),
  };
}
