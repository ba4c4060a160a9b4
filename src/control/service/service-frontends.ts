// The frontends of one Service. Input: a Service, its backends, the node, settings. Output: Frontend[], problems.
// Invariant: pure; what depends on the node is asked of NodeFacts; conflicts with others are not this file's business.
import { ALGORITHM, SCOPE, SERVICE_FLAG } from '../../schema/index.ts';
import { objectKey } from '../pods.ts';
import type { Problem } from '../problem.ts';
import type { CompileSettings } from '../settings.ts';
import type { IpAddress, IpPrefix, Service, ServicePort } from '../state.ts';
import { type PortBackend, backendsOfPort, type ServiceBackend } from './backends.ts';
import { type Frontend, frontendKey, type FrontendOwner, type FrontendType, TYPE_FLAG, ZERO } from './frontend.ts';
import type { NodeFacts } from './node-view.ts';
import { preferNode, preferZone, slotsOf } from './selection.ts';
import { hasFrontends, readTraits, type ServiceTraits } from './traits.ts';

/** What frontends are made with. */
export interface FrontendWorld {
  readonly settings: CompileSettings;
  readonly nodes: NodeFacts;
  /** Backends (by key) that health checks have found dead behind a frontend of a Service. */
  readonly quarantined: (service: string, frontend: string) => ReadonlySet<string>;
}

/** Classes whose addresses Cilium announces itself. */
const OWN_CLASSES = new Set([undefined, 'io.cilium/bgp-control-plane', 'io.cilium/l2-announcer']);

/** What one owner wants. */
export interface Wanted {
  readonly frontends: readonly Frontend[];
  readonly problems: readonly Problem[];
  /** Something of the node was asked for: a change of it concerns this owner. */
  readonly dependsOnNode: boolean;
}

/** Nothing wanted. */
export const NOTHING_WANTED: Wanted = { frontends: [], problems: [], dependsOnNode: false };

/** Reads the frontends of a Service. `known`: a slice or Endpoints object belongs to it. */
export function serviceFrontends(
  service: Service,
  all: readonly PortBackend[],
  known: boolean,
  source: string,
  world: FrontendWorld,
): Wanted {
  if (!hasFrontends(service, world.settings)) return NOTHING_WANTED;
  const reader = new ServiceReader(service, all, source, world);
  reader.read(known);
  return { frontends: reader.frontends, problems: reader.problems, dependsOnNode: reader.dependsOnNode };
}

/** A place where a Service can be reached, before scopes. */
interface Place {
  readonly type: FrontendType;
  readonly address: IpAddress;
  readonly port: number;
  readonly routable: boolean;
  readonly expanded?: boolean;
  readonly programmed?: boolean;
}

class ServiceReader {
  readonly frontends: Frontend[] = [];
  readonly problems: Problem[] = [];
  dependsOnNode = false;
  private readonly service: Service;
  private readonly key: string;
  private readonly owner: FrontendOwner;
  private readonly all: readonly PortBackend[];
  private readonly world: FrontendWorld;
  private readonly traits: ServiceTraits;

  constructor(service: Service, all: readonly PortBackend[], source: string, world: FrontendWorld) {
    this.service = service;
    this.key = objectKey(service);
    this.all = all;
    this.world = world;
    this.owner = {
      namespace: service.namespace,
      name: service.name,
      source,
      created: service.created,
      origin: service.origin,
    };
    this.traits = readTraits(service, world.settings, (message) => this.warn(message));
  }

  read(known: boolean): void {
    const { service } = this;
    const { settings } = this.world;
    if ((service.selector?.size ?? 0) > 0 && !known)
      this.warn('has a selector, but no EndpointSlice or Endpoints object tells its backends');
    const local = service.externalTrafficPolicy === 'Local' || service.internalTrafficPolicy === 'Local';
    if (local && settings.node === undefined)
      this.warn('has a traffic policy Local: without a node of its own, backends of every node are offered');
    for (const port of service.ports) for (const place of this.places(port)) this.place(port, place);
    this.healthCheck();
  }

  private warn(message: string): void {
    const { file, line, column } = this.service.origin;
    this.problems.push({ severity: 'warning', file, line, column, message: `Service ${this.key} ${message}` });
  }

  private get nodes(): NodeFacts {
    this.dependsOnNode = true;
    return this.world.nodes;
  }

  private exposes(type: FrontendType): boolean {
    return this.traits.types === undefined || this.traits.types.has(type);
  }

  /** Addresses and ports of a Service port, of the families that are on. */
  private places(servicePort: ServicePort): Place[] {
    const { ipv4, ipv6 } = this.world.settings;
    return this.allPlaces(servicePort).filter(({ address: { family } }) => (family === 4 ? ipv4 : ipv6));
  }

  private allPlaces({ port, nodePort }: ServicePort): Place[] {
    const { service } = this;
    const { kubeProxyReplacement, externalClusterIP } = this.world.settings;
    const places: Place[] = [];
    if (this.exposes('ClusterIP')) {
      for (const address of service.clusterIPs)
        places.push({ type: 'ClusterIP', address, port, routable: externalClusterIP });
    }
    if (nodePort !== undefined && service.type !== 'ClusterIP' && kubeProxyReplacement && this.exposes('NodePort')) {
      for (const family of familiesOf(service)) {
        places.push({ type: 'NodePort', address: ZERO[family], port: nodePort, routable: false });
        for (const address of this.nodes.nodePortAddresses(family))
          places.push({ type: 'NodePort', address, port: nodePort, routable: true, expanded: true });
      }
    }
    if (service.type === 'LoadBalancer' && this.exposes('LoadBalancer')) {
      for (const address of virtualAddresses(service))
        places.push({ type: 'LoadBalancer', address, port, routable: true, programmed: kubeProxyReplacement });
    }
    for (const address of this.traits.externalIPs) places.push({ type: 'ExternalIPs', address, port, routable: true });
    return places;
  }

  private place(port: ServicePort, place: Place): void {
    const { nodePortFirst, nodePortLast } = this.world.settings;
    if (place.type === 'LoadBalancer' && place.port >= nodePortFirst && place.port <= nodePortLast) {
      if (this.nodes.isOwn(place.address)) {
        this.warn(`cannot have ${place.address.text}:${place.port}: a node's address and the range of node ports`);
        return;
      }
    }
    const { service, traits } = this;
    const all = backendsOfPort(this.all, service, port, place.address.family);
    const offered = (policy: 'Cluster' | 'Local'): readonly ServiceBackend[] =>
      policy === 'Local' ? this.localOf(all) : this.preferred(all);
    const external = service.externalTrafficPolicy;
    const internal = service.internalTrafficPolicy;
    const add = (scope: number, policy: 'Cluster' | 'Local', flags: number): void =>
      this.add(place, port, scope, offered(policy), flags);
    if (place.type === 'ClusterIP') return add(SCOPE.EXTERNAL, internal, 0);
    if (external === internal || this.world.settings.node === undefined) return add(SCOPE.EXTERNAL, external, 0);
    add(SCOPE.EXTERNAL, external, SERVICE_FLAG.TWO_SCOPES);
    // An external IP has the external scope alone, in Cilium, too.
    if (!traits.externalOnly && place.type !== 'ExternalIPs') add(SCOPE.INTERNAL, internal, SERVICE_FLAG.TWO_SCOPES);
  }

  /** Backends on the node, those that name no node (as the agent has it), with delegation those that have an address of it. */
  private localOf(all: readonly ServiceBackend[]): readonly ServiceBackend[] {
    const { node } = this.world.settings;
    if (node === undefined) return all;
    return all.filter(
      ({ nodeName, address }) =>
        nodeName === undefined || nodeName === node || (this.traits.delegate && this.nodes.isOwn(address)),
    );
  }

  private preferred(all: readonly ServiceBackend[]): readonly ServiceBackend[] {
    const { node } = this.world.settings;
    if (node === undefined || this.traits.prefers === undefined) return all;
    return this.traits.prefers === 'node' ? preferNode(all, node) : preferZone(all, this.nodes.zone);
  }

  private add(
    place: Place,
    { name, protocol }: ServicePort,
    scope: number,
    offered: readonly ServiceBackend[],
    scopes: number,
  ): void {
    const { service, traits } = this;
    const { settings } = this.world;
    const { type, address, port } = place;
    const { algorithm } = traits;
    const key = frontendKey(address.text, port, protocol, scope);
    const affinity = service.sessionAffinity === 'ClientIP';
    const ranges = this.ranges();
    const named = algorithm !== ALGORITHM.DEFAULT;
    const wantsMaglev = named ? algorithm === ALGORITHM.MAGLEV : settings.algorithm === 'maglev';
    const zero = address === ZERO[address.family];
    this.frontends.push({
      key,
      owner: this.owner,
      portName: name,
      type,
      address,
      port,
      protocol,
      scope,
      flags: this.flags(place, protocol, ranges) | scopes,
      algorithm,
      affinitySeconds: affinity ? service.sessionAffinityTimeoutSeconds : 0,
      ...slotsOf(offered, this.world.quarantined(this.key, key)),
      maglev: wantsMaglev && !zero && (type !== 'ClusterIP' || settings.externalClusterIP || named),
      sourceRanges: ranges.filter(({ family }) => family === address.family),
      scaleToZero: traits.scaleToZero,
      wildcard:
        settings.wildcardEntries &&
        (type === 'ClusterIP' || type === 'LoadBalancer') &&
        OWN_CLASSES.has(service.loadBalancerClass) &&
        !this.nodes.isOwn(address),
      expanded: place.expanded ?? false,
      programmed: place.programmed ?? true,
    });
  }

  private ranges(): readonly IpPrefix[] {
    return this.service.type === 'LoadBalancer' ? (this.service.loadBalancerSourceRanges ?? []) : [];
  }

  private flags({ type, routable }: Place, protocol: string, ranges: readonly IpPrefix[]): number {
    const { service, traits } = this;
    const { settings } = this.world;
    let flags = TYPE_FLAG[type];
    if (routable) flags |= SERVICE_FLAG.ROUTABLE;
    if (service.sessionAffinity === 'ClientIP') flags |= SERVICE_FLAG.AFFINITY;
    if (service.type !== 'ClusterIP' && service.externalTrafficPolicy === 'Local') flags |= SERVICE_FLAG.EXT_LOCAL;
    if (service.internalTrafficPolicy === 'Local') flags |= SERVICE_FLAG.INT_LOCAL;
    if (traits.delegate) flags |= SERVICE_FLAG.L7_DELEGATE;
    const { mode } = settings;
    if (traits.directReturn ?? (mode === 'dsr' || (mode === 'hybrid' && protocol === 'TCP')))
      flags |= SERVICE_FLAG.FORWARD_DSR;
    if (ranges.length > 0 && (type === 'LoadBalancer' || type === 'ExternalIPs' || settings.sourceRangeAllTypes)) {
      flags |= SERVICE_FLAG.SOURCE_RANGE;
      if (traits.rangesDeny) flags |= SERVICE_FLAG.DENY_OR_QUARANTINED;
    }
    return flags;
  }

  /** Load balancers probe a port of the node for local backends; on a load-balancer address it needs a frontend of its own. */
  private healthCheck(): void {
    const { service } = this;
    const { settings } = this.world;
    const port = healthCheckPort(service, settings);
    if (port === undefined || !settings.kubeProxyReplacement || !this.exposes('LoadBalancer')) return;
    for (const address of virtualAddresses(service)) {
      if (!(address.family === 4 ? settings.ipv4 : settings.ipv6)) continue;
      const own = this.nodes.nodePortAddresses(address.family)[0];
      if (own === undefined) continue;
      const backend: ServiceBackend = {
        key: `${own.text}|${port}|TCP`,
        address: own,
        port,
        protocol: 'TCP',
        state: 1,
        serving: true,
        weight: 1,
        nodeName: settings.node,
        zone: undefined,
        hints: [],
      };
      const place: Place = { type: 'LoadBalancer', address, port, routable: true };
      this.frontends.push({
        key: frontendKey(address.text, port, 'TCP', SCOPE.EXTERNAL),
        owner: { ...this.owner, name: `${service.name}:healthserver`, source: 'local' },
        portName: '',
        type: 'LoadBalancer',
        address,
        port,
        protocol: 'TCP',
        scope: SCOPE.EXTERNAL,
        flags: this.flags(place, 'TCP', []) & ~SERVICE_FLAG.AFFINITY,
        algorithm: ALGORITHM.DEFAULT,
        affinitySeconds: 0,
        backends: [backend],
        draining: [],
        idle: [],
        maglev: false,
        sourceRanges: [],
        scaleToZero: false,
        wildcard: false,
        expanded: false,
        programmed: true,
      });
    }
  }
}

/** The port on which a node tells load balancers how many local backends a Service has; undefined: none. */
export function healthCheckPort(service: Service, settings: CompileSettings): number | undefined {
  if (!settings.healthCheckNodePort || settings.node === undefined) return undefined;
  if (service.type !== 'LoadBalancer' || service.externalTrafficPolicy !== 'Local') return undefined;
  return service.healthCheckNodePort;
}

function familiesOf(service: Service): readonly (4 | 6)[] {
  if (service.ipFamilies !== undefined) return service.ipFamilies.map((family) => (family === 'IPv4' ? 4 : 6));
  const used = new Set(service.clusterIPs.map(({ family }) => family));
  return used.size === 0 ? [4] : [...used].sort();
}

const virtualAddresses = (service: Service): IpAddress[] =>
  service.loadBalancerIngress.flatMap(({ ip, ipMode }) => (ip !== undefined && ipMode !== 'Proxy' ? [ip] : []));
