// Manifests and topology → routes and neighbours of the node that is compiled for. Input: NodeView[], pods, settings.
// Output: entries of the route and neighbour maps; all empty without a topology. Invariant: what the topology says itself wins
// over what manifests tell, and that over what an interface's addresses tell.
import {
  MAPS,
  neighbourKey4,
  neighbourKey6,
  neighbourValue,
  ROUTE_FLAG,
  routeKey4,
  routeKey6,
  routeValue,
} from '../schema/index.ts';
import { type DesiredMap, MapBuilder } from './desired-map.ts';
import type { PodIdentity } from './identity.ts';
import { be32Of } from './manifest/address.ts';
import type { NodeView } from './nodes.ts';
import { hostPrefix, PrefixSet } from './prefix.ts';
import type { CompileSettings } from './settings.ts';
import type { IpAddress, IpPrefix } from './state.ts';
import type { Interface, Topology } from './topology.ts';

/** The maps of forwarding that control owns. */
export interface RouteTables {
  readonly routes4: DesiredMap;
  readonly routes6: DesiredMap;
  readonly neighbours4: DesiredMap;
  readonly neighbours6: DesiredMap;
}

/** Where a prefix is, before it is bytes. */
interface Way {
  readonly flags: number;
  readonly interface?: Interface | undefined;
  readonly mtu?: number;
  readonly gateway?: IpAddress | undefined;
}

const LOCAL: Way = { flags: ROUTE_FLAG.LOCAL };
const ANYWHERE = new Uint8Array(16);
const NO_MAC = new Uint8Array(6);

/** Builds them for `settings.node`. */
export function buildRouteTables(
  nodes: readonly NodeView[],
  pods: readonly PodIdentity[],
  settings: CompileSettings,
): RouteTables {
  const routes = { 4: new MapBuilder(MAPS.routes4), 6: new MapBuilder(MAPS.routes6) };
  const neighbours = { 4: new MapBuilder(MAPS.neighbours4), 6: new MapBuilder(MAPS.neighbours6) };
  const { topology } = settings;
  if (topology !== undefined) {
    const links = new Links(topology);
    // A key that is set again takes the last value: from the least certain to the most.
    for (const [to, way] of [
      ...links.ways(),
      ...nodeWays(nodes, pods, settings, links),
      ...topology.routes.map(
        ({ to, type, via, interface: through, mtu }) =>
          [to, { flags: FLAGS[type] | onLink(type, via), interface: through, mtu, gateway: via }] as const,
      ),
    ]) {
      routes[to.family].set(keyOf(to), valueOf(way));
    }
    for (const { address, interface: at, mac } of topology.neighbours) {
      const { ifindex } = at;
      const key =
        address.family === 4
          ? neighbourKey4.encode({ ifindex, address: be32Of(address.bytes) })
          : neighbourKey6.encode({ ifindex, address: address.bytes });
      neighbours[address.family].set(key, neighbourValue.encode({ destination: mac, source: at.mac ?? NO_MAC }));
    }
  }
  return {
    routes4: routes[4].finish(),
    routes6: routes[6].finish(),
    neighbours4: neighbours[4].finish(),
    neighbours6: neighbours[6].finish(),
  };
}

const FLAGS = { unicast: 0, local: ROUTE_FLAG.LOCAL, tunnel: ROUTE_FLAG.TUNNEL } as const;
const onLink = (type: keyof typeof FLAGS, via: IpAddress | undefined): number =>
  type === 'unicast' && via === undefined ? ROUTE_FLAG.ON_LINK : 0;

/** What is on link, and where. */
class Links {
  private readonly prefixes = new PrefixSet();
  private readonly at = new Map<string, Interface>();
  private readonly own: IpAddress[] = [];

  constructor({ interfaces }: Topology) {
    for (const candidate of interfaces) {
      for (const { address, prefix } of candidate.addresses) {
        this.prefixes.add(prefix);
        this.at.set(prefix.text, candidate);
        this.own.push(address);
      }
    }
  }

  /** The interface on whose link an address is. */
  of(address: IpAddress): Interface | undefined {
    const prefix = this.prefixes.covering(hostPrefix(address)).at(-1);
    return prefix && this.at.get(prefix.text);
  }

  /** Prefixes on link, then own addresses, which are within them. */
  ways(): (readonly [IpPrefix, Way])[] {
    return [
      ...this.prefixes.members().map((prefix) => {
        const through = this.at.get(prefix.text)!;
        return [prefix, { flags: ROUTE_FLAG.ON_LINK, interface: through, mtu: through.mtu }] as const;
      }),
      ...this.own.map((address) => [hostPrefix(address), LOCAL] as const),
    ];
  }
}

/**
 * What the manifests tell: the node's own addresses and pod networks are its stack's (its pods are endpoints and found before any
 * route); other nodes' pod networks are behind the overlay, or natively behind the node's InternalIP where that is on link.
 * Where it is not, somebody else routes: the topology's own routes decide (Cilium: direct-routing-skip-unreachable).
 */
function* nodeWays(
  nodes: readonly NodeView[],
  pods: readonly PodIdentity[],
  settings: CompileSettings,
  links: Links,
): Generator<readonly [IpPrefix, Way]> {
  const { tunnel, node: own } = settings;
  const networks = new Map<string, PrefixSet>();
  const hosts = new Map<string, NodeView>();
  for (const view of nodes) {
    hosts.set(view.name, view);
    const podCIDRs = view.node?.podCIDRs ?? [];
    if (view.name === own) {
      for (const { address } of view.addresses) yield [hostPrefix(address), LOCAL];
      for (const prefix of podCIDRs) yield [prefix, LOCAL];
      continue;
    }
    const set = new PrefixSet();
    for (const prefix of podCIDRs) {
      set.add(prefix);
      const gateway = internalAddress(view, prefix.family);
      const through = gateway && links.of(gateway);
      if (tunnel) yield [prefix, { flags: ROUTE_FLAG.TUNNEL, gateway }];
      else if (through !== undefined) yield [prefix, { flags: 0, interface: through, mtu: through.mtu, gateway }];
    }
    networks.set(view.name, set);
  }
  if (!tunnel) return;
  // A pod that is not in its node's networks is behind the overlay all the same.
  for (const { pod, addresses } of pods) {
    const { nodeName } = pod;
    if (nodeName === undefined || nodeName === own || pod.hostNetwork) continue;
    for (const address of addresses) {
      const prefix = hostPrefix(address);
      if (networks.get(nodeName)?.covering(prefix).length) continue;
      yield [prefix, { flags: ROUTE_FLAG.TUNNEL, gateway: internalAddress(hosts.get(nodeName), address.family) }];
    }
  }
}

const internalAddress = (view: NodeView | undefined, family: 4 | 6): IpAddress | undefined =>
  view?.node?.addresses.find(({ type, address }) => type === 'InternalIP' && address.family === family)?.address;

const keyOf = ({ family, bytes, prefixLen }: IpPrefix): Uint8Array =>
  family === 4
    ? routeKey4.encode({ prefixLength: prefixLen, address: be32Of(bytes) })
    : routeKey6.encode({ prefixLength: prefixLen, address: bytes });

function valueOf({ flags, interface: through, mtu = 0, gateway }: Way): Uint8Array {
  const hop = ANYWHERE.slice();
  if (gateway !== undefined) hop.set(gateway.bytes);
  return routeValue.encode({ ifindex: through?.ifindex ?? 0, mtu, flags, gateway: hop });
}
