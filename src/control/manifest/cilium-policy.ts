// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy from their trees: the object, its rules and their items.
// In: a Reader and the object's root. Out: the policy, or undefined. Invariant: absent and empty lists stay apart;
// the checks are the CRD's schema and the agent's (pkg/policy/api, rule validation). With `keepRefused`, a rule with
// errors stays, marked with the reasons, since a live cluster holds such objects and enforces nothing for them.
import type { CiliumPolicy, CiliumRule, CiliumRuleItem } from '../state.ts';
import { readPeers } from './cilium-peers.ts';
import { readIcmps, readPortRules } from './cilium-ports.ts';
import { readMeta, selectorField } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode, TreeNode } from './tree.ts';

type Kind = CiliumPolicy['kind'];
type RuleList = 'ingress' | 'ingressDeny' | 'egress' | 'egressDeny';

const ruleFields = [
  'endpointSelector',
  'nodeSelector',
  'ingress',
  'ingressDeny',
  'egress',
  'egressDeny',
  'enableDefaultDeny',
  'labels',
  'description',
  'log',
];
const ingressPeers = [
  'fromEndpoints',
  'fromRequires',
  'fromCIDR',
  'fromCIDRSet',
  'fromEntities',
  'fromGroups',
  'fromNodes',
];
const egressPeers = [
  'toEndpoints',
  'toRequires',
  'toCIDR',
  'toCIDRSet',
  'toEntities',
  'toServices',
  'toGroups',
  'toNodes',
];
const itemFields: { readonly [list in RuleList]: readonly string[] } = {
  ingress: [...ingressPeers, 'toPorts', 'icmps', 'authentication'],
  ingressDeny: [...ingressPeers, 'toPorts', 'icmps'],
  egress: [...egressPeers, 'toFQDNs', 'toPorts', 'icmps', 'authentication'],
  egressDeny: [...egressPeers, 'toPorts', 'icmps'],
};

/** cilium.io CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy. */
export function readCiliumPolicy(
  reader: Reader,
  root: MapNode,
  kind: Kind,
  keepRefused: boolean,
): CiliumPolicy | undefined {
  const meta = readMeta(reader, root, kind);
  if (meta === undefined) return undefined;
  const spec = reader.field(root, 'spec');
  const specs = reader.items(root, 'specs', '');
  if (spec === undefined && reader.field(root, 'specs') === undefined)
    return reader.error(root.offset, 'spec or specs: required');
  const rules: CiliumRule[] = [];
  const add = (node: TreeNode, path: string): void => {
    const rule = readRule(reader, node, path, kind, keepRefused);
    if (rule !== undefined) rules.push(rule);
  };
  if (spec !== undefined) add(spec, 'spec');
  specs?.forEach((node, i) => {
    add(node, `specs[${i}]`);
  });
  const base = { name: meta.name, labels: meta.labels, annotations: meta.annotations, origin: meta.origin, rules };
  if (kind === 'CiliumNetworkPolicy') return { kind, ...base, namespace: meta.namespace ?? 'default' };
  if (meta.namespace !== undefined)
    reader.warning(meta.meta.offset, 'metadata.namespace: a clusterwide policy has no namespace, this one is ignored');
  return { kind, ...base };
}

function readRule(
  reader: Reader,
  node: TreeNode,
  path: string,
  kind: Kind,
  keepRefused: boolean,
): CiliumRule | undefined {
  const refusals: string[] = [];
  if (keepRefused) reader.refusals = refusals;
  const rule = readAcceptedRule(reader, node, path, kind);
  reader.refusals = undefined;
  if (rule === undefined)
    return refusals.length === 0 ? undefined : { path, origin: reader.origin(node.offset), rejected: refusals };
  return { ...rule, rejected: refusals };
}

function readAcceptedRule(reader: Reader, node: TreeNode, path: string, kind: Kind): CiliumRule | undefined {
  const map = reader.asMap(node, path);
  if (map === undefined) return undefined;
  reader.onlyFields(map, path, ruleFields);
  const hasNode = reader.field(map, 'nodeSelector') !== undefined;
  const hasEndpoint = reader.field(map, 'endpointSelector') !== undefined;
  if (hasNode && hasEndpoint) reader.error(map.offset, `${path}: endpointSelector and nodeSelector cannot both be set`);
  else if (!hasNode && !hasEndpoint) reader.error(map.offset, `${path}: endpointSelector or nodeSelector is required`);
  else if (hasNode && kind === 'CiliumNetworkPolicy')
    reader.error(
      reader.field(map, 'nodeSelector')!.offset,
      `${path}.nodeSelector: only a CiliumClusterwideNetworkPolicy can select nodes`,
    );
  const endpointSelector = selectorField(reader, map, 'endpointSelector', path, true);
  const nodeSelector = selectorField(reader, map, 'nodeSelector', path, true);
  const lists: { [list in RuleList]?: CiliumRuleItem[] } = {};
  for (const list of ['ingress', 'ingressDeny', 'egress', 'egressDeny'] as const) {
    const items = reader.eachMap(map, list, path, (item, itemPath, index) =>
      readItem(reader, item, itemPath, index, list, hasNode),
    );
    if (items !== undefined) lists[list] = items;
  }
  if (Object.values(lists).every((items) => items.length === 0))
    reader.warning(map.offset, `${path}: no ingress or egress rules, so it has no effect`);
  const defaultDeny = reader.child(map, 'enableDefaultDeny', path);
  if (defaultDeny !== undefined) reader.onlyFields(defaultDeny, `${path}.enableDefaultDeny`, ['ingress', 'egress']);
  const defaultDenyIngress = defaultDeny && reader.flag(defaultDeny, 'ingress', `${path}.enableDefaultDeny`);
  const defaultDenyEgress = defaultDeny && reader.flag(defaultDeny, 'egress', `${path}.enableDefaultDeny`);
  const description = reader.name(map, 'description', path);
  const log = reader.child(map, 'log', path);
  const logValue = log && reader.name(log, 'value', `${path}.log`);
  return {
    path,
    origin: reader.origin(map.offset),
    rejected: [],
    ...lists,
    ...(endpointSelector !== undefined && { endpointSelector }),
    ...(nodeSelector !== undefined && { nodeSelector }),
    ...(defaultDenyIngress !== undefined && { defaultDenyIngress }),
    ...(defaultDenyEgress !== undefined && { defaultDenyEgress }),
    ...(description !== undefined && { description }),
    ...(logValue !== undefined && { logValue }),
  };
}

function readItem(
  reader: Reader,
  item: MapNode,
  path: string,
  index: number,
  list: RuleList,
  host: boolean,
): CiliumRuleItem {
  const direction = list.startsWith('ingress') ? 'ingress' : 'egress';
  const deny = list.endsWith('Deny');
  reader.onlyFields(item, path, itemFields[list]);
  const peers = readPeers(reader, item, path, direction, deny);
  const toPorts = readPortRules(reader, item, path, { direction, deny, host });
  const icmps = readIcmps(reader, item, path);
  const portsNode = reader.field(item, 'toPorts');
  const icmpsNode = reader.field(item, 'icmps');
  const filled = (node: TreeNode | undefined): boolean => node?.kind === 'sequence' && node.items.length > 0;
  if (filled(portsNode) && filled(icmpsNode))
    reader.error(icmpsNode!.offset, `${path}: icmps and toPorts cannot be combined in one rule; write two rules`);
  const authentication = deny ? undefined : reader.child(item, 'authentication', path);
  const authenticationMode =
    authentication &&
    reader.choice(authentication, 'mode', `${path}.authentication`, [
      'disabled',
      'required',
      'test-always-fail',
    ] as const);
  return {
    direction,
    deny,
    index,
    path,
    origin: reader.origin(item.offset),
    ...peers,
    ...(toPorts !== undefined && { toPorts }),
    ...(icmps !== undefined && { icmps }),
    ...(authenticationMode !== undefined && { authenticationMode }),
  };
}
