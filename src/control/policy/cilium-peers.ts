// Peers of a Cilium rule item that refer to something else: prefixes, CIDR groups, entities, nodes, Services, DNS names.
// Input: the item and an index of what it may refer to. Output: peers; what refers to nothing grants nothing, and says so.
import { objectKey } from '../pods.ts';
import { hostPrefix } from '../prefix.ts';
import { ciliumSelector, labelExists, selectorOf } from '../selector.ts';
import type {
  CiliumCidrSet,
  CiliumFqdnPeer,
  CiliumRuleItem,
  CiliumServicePeer,
  ClusterState,
  IpAddress,
  IpPrefix,
  LabelSelector,
  Service,
} from '../state.ts';
import { servicePods } from './cilium-scope.ts';
import { namePattern } from './name-pattern.ts';
import type { FqdnPeer, Peer } from './rule.ts';
import { meansService, selectsObject, selectsPods } from './service-peers.ts';

/** What peers may refer to. */
export interface CiliumReferences {
  readonly state: ClusterState;
  /** `nodeSelectorLabels`: nodes have identities with their labels. */
  readonly nodeSelectorLabels: boolean;
  /** `hostFirewall.enabled`: policies that select nodes are enforced. */
  readonly hostFirewall: boolean;
  /** `namespace/name` of a Service → addresses of its endpoints. */
  readonly serviceAddresses: ReadonlyMap<string, readonly IpAddress[]>;
}

/** Collects what peers may refer to. */
export function ciliumReferences(
  state: ClusterState,
  { nodeSelectorLabels, hostFirewall }: Pick<CiliumReferences, 'nodeSelectorLabels' | 'hostFirewall'>,
): CiliumReferences {
  const serviceAddresses = new Map<string, IpAddress[]>();
  const add = (key: string, addresses: readonly IpAddress[]): void => {
    serviceAddresses.set(key, [...(serviceAddresses.get(key) ?? []), ...addresses]);
  };
  for (const slice of state.endpointSlices) {
    if (slice.serviceName === undefined) continue;
    add(
      `${slice.namespace}/${slice.serviceName}`,
      slice.endpoints.flatMap(({ addresses }) => addresses),
    );
  }
  for (const endpoints of state.endpoints) {
    add(
      objectKey(endpoints),
      endpoints.subsets.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)),
    );
  }
  return { state, nodeSelectorLabels, hostFirewall, serviceAddresses };
}

const cidr = (prefix: IpPrefix, except: readonly IpPrefix[] = []): Peer => ({
  kind: 'cidr',
  prefix,
  except,
  block: false,
});

/** Every peer of an item but its endpoint selectors. */
export function referencedPeers(
  item: CiliumRuleItem,
  references: CiliumReferences,
  complain: (message: string) => void,
): { readonly peers: readonly Peer[]; readonly fqdns: readonly FqdnPeer[] } {
  const peers: Peer[] = [];
  for (const prefix of item.cidrs ?? []) peers.push(cidr(prefix));
  for (const set of item.cidrSets ?? []) peers.push(...cidrSetPeers(set, references, complain));
  for (const { entity } of item.entities ?? []) peers.push({ kind: 'entity', entity });
  if ((item.nodes?.length ?? 0) > 0 && !references.nodeSelectorLabels) {
    complain('nodes cannot be selected without nodeSelectorLabels: nobody is');
  } else {
    for (const nodes of item.nodes ?? []) peers.push(nodePeer(nodes));
  }
  if ((item.groups?.length ?? 0) > 0) complain('cloud groups are not resolved: nobody is selected');
  for (const service of item.services ?? []) peers.push(...servicePeers(service, references, complain));
  const fqdns: FqdnPeer[] = [];
  for (const name of item.fqdns ?? []) {
    const addresses = learntAddresses(name, references.state.facts.dnsNames);
    peers.push(...addresses.map((address) => cidr(hostPrefix(address))));
    fqdns.push({ pattern: name.matchName ?? name.matchPattern ?? '', addresses: addresses.length });
  }
  return { peers, fqdns };
}

function cidrSetPeers(set: CiliumCidrSet, { state }: CiliumReferences, complain: (message: string) => void): Peer[] {
  if (set.cidr !== undefined) return [cidr(set.cidr, set.except)];
  const selector = set.cidrGroupSelector;
  const groups = state.ciliumCIDRGroups.filter((group) =>
    selector === undefined ? group.name === set.cidrGroupRef : selectsObject(selector, group.labels),
  );
  if (groups.length === 0) complain(`no CiliumCIDRGroup ${set.cidrGroupRef ?? 'with such labels'}: nobody is selected`);
  return groups.flatMap(({ externalCIDRs }) => externalCIDRs.map((prefix) => cidr(prefix, set.except)));
}

/** `fromNodes` / `toNodes`: other nodes by their labels (the agent adds that they must be remote nodes). */
function nodePeer(written: LabelSelector): Peer {
  const { requirements } = ciliumSelector(written);
  return {
    kind: 'selector',
    selector: selectorOf([...requirements, labelExists('reserved', 'remote-node')]),
    required: false,
  };
}

function servicePeers(
  peer: CiliumServicePeer,
  { state, serviceAddresses }: CiliumReferences,
  complain: (message: string) => void,
): Peer[] {
  const selected = state.services.filter((service) => meansService(peer, service));
  if (selected.length === 0) complain(`no Service ${peer.serviceName ?? 'with such labels'}: nobody is selected`);
  return selected.flatMap((service) => backendsOf(service, serviceAddresses));
}

/** A Service with a selector stands for the pods it selects; one without for the addresses of its endpoints. */
function backendsOf(service: Service, serviceAddresses: ReadonlyMap<string, readonly IpAddress[]>): Peer[] {
  if (selectsPods(service)) {
    return [{ kind: 'selector', selector: servicePods(service.namespace, service.selector!), required: false }];
  }
  return (serviceAddresses.get(objectKey(service)) ?? []).map((address) => cidr(hostPrefix(address)));
}

/** Addresses learnt for a `toFQDNs` peer. */
function learntAddresses(peer: CiliumFqdnPeer, learnt: ReadonlyMap<string, readonly IpAddress[]>): IpAddress[] {
  if (peer.matchName !== undefined) return [...(learnt.get(peer.matchName) ?? [])];
  const { matches } = namePattern(peer.matchPattern ?? '');
  return [...learnt].filter(([name]) => matches(name)).flatMap(([, addresses]) => [...addresses]);
}
