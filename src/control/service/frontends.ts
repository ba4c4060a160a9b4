// The frontends of each Service: addresses and ports that are translated, each with its backends in slot order.
// Input: Services, backends, nodes, settings. Output: Frontend[] in a deterministic order, wildcard addresses, problems.
// Invariant: one frontend for an address, port, protocol and scope; families never mix; a frontend may have no backends.
import { ALGORITHM, BACKEND_STATE, SCOPE, SERVICE_FLAG } from '../../schema/index.ts';
import type { NodeView } from '../nodes.ts';
import { objectKey } from '../pods.ts';
import type { Problem } from '../problem.ts';
import type { CompileSettings } from '../settings.ts';
import type { ClusterState, IpAddress, IpPrefix, L4Protocol, Service, ServicePort } from '../state.ts';
import { BackendIndex, type ServiceBackend } from './backends.ts';

/** Where a frontend's address comes from. */
export type FrontendType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalIPs';

/** One service address. */
export interface Frontend {
  /** `address|port|PROTOCOL|scope`: what its id is kept by. */
  readonly key: string;
  readonly service: Service;
  readonly type: FrontendType;
  readonly address: IpAddress;
  readonly port: number;
  readonly protocol: L4Protocol;
  /** SCOPE. */
  readonly scope: number;
  /** SERVICE_FLAG bits of the master entry. */
  readonly flags: number;
  /** ALGORITHM that the Service names; DEFAULT where it names none. */
  readonly algorithm: number;
  /** Seconds; 0 without affinity. */
  readonly affinitySeconds: number;
  /** Selectable, in slot order. */
  readonly backends: readonly ServiceBackend[];
  /** Only for connections that have them already, in slot order. */
  readonly draining: readonly ServiceBackend[];
  /** In maintenance: no slot, but known. */
  readonly idle: readonly ServiceBackend[];
  /** A Maglev table is due, should there be a choice. */
  readonly maglev: boolean;
  readonly sourceRanges: readonly IpPrefix[];
}

/** A service address that swallows what no frontend of it takes. */
export interface Wildcard {
  readonly address: IpAddress;
  readonly flags: number;
}

/** All frontends. */
export interface Frontends {
  readonly frontends: readonly Frontend[];
  readonly wildcards: readonly Wildcard[];
}

const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const ANNOTATION = 'service.cilium.io/';
const ALGORITHM_ANNOTATION = `${ANNOTATION}lb-algorithm`;
const RANGES_ANNOTATION = `${ANNOTATION}src-ranges-policy`;
/** Classes whose addresses Cilium announces itself. */
const OWN_CLASSES = new Set([undefined, 'io.cilium/bgp-control-plane', 'io.cilium/l2-announcer']);

const ZERO: { readonly [family in 4 | 6]: IpAddress } = {
  4: { family: 4, text: '0.0.0.0', bytes: new Uint8Array(4) },
  6: { family: 6, text: '::', bytes: new Uint8Array(16) },
};

/** Reads the frontends of a state. */
export function readFrontends(
  state: ClusterState,
  settings: CompileSettings,
  nodes: readonly NodeView[],
  problems: Problem[],
): Frontends {
  const reader = new FrontendReader(state, settings, nodes, problems);
  const services = [...state.services].sort((a, b) => (objectKey(a) < objectKey(b) ? -1 : 1));
  for (const service of services) reader.read(service);
  if (settings.kubeProxyReplacement) warnAboutHostPorts(state, problems);
  return reader.result();
}

/** HostPorts are frontends of their own in Cilium; said once, at the first. */
function warnAboutHostPorts({ pods }: ClusterState, problems: Problem[]): void {
  const ports = pods.flatMap((pod) =>
    pod.hostNetwork ? [] : pod.ports.filter(({ hostPort }) => hostPort !== undefined),
  );
  const first = ports[0]?.origin;
  if (first === undefined) return;
  const { file, line, column } = first;
  const message = `hostPort is not served (${ports.length} of them): connections to it reach the node itself`;
  problems.push({ severity: 'warning', file, line, column, message });
}

/** A place where a Service can be reached, before scopes. */
interface Place {
  readonly type: FrontendType;
  readonly address: IpAddress;
  readonly port: number;
  readonly routable: boolean;
}

class FrontendReader {
  private readonly settings: CompileSettings;
  private readonly problems: Problem[];
  private readonly backends: BackendIndex;
  private readonly nodeAddresses: readonly IpAddress[];
  private readonly nodeAddressTexts: ReadonlySet<string>;
  private readonly frontends = new Map<string, Frontend>();
  private readonly wildcards = new Map<string, Wildcard>();

  constructor(state: ClusterState, settings: CompileSettings, nodes: readonly NodeView[], problems: Problem[]) {
    this.settings = settings;
    this.problems = problems;
    this.backends = new BackendIndex(state);
    const own = settings.node === undefined ? nodes : nodes.filter(({ name }) => name === settings.node);
    this.nodeAddresses = own.flatMap((node) => node.addresses.map(({ address }) => address));
    this.nodeAddressTexts = new Set(nodes.flatMap((node) => node.addresses.map(({ address }) => address.text)));
  }

  read(service: Service): void {
    if (service.type === 'ExternalName' || service.headless || service.labels.has(HEADLESS_LABEL)) return;
    this.warnAboutAnnotations(service);
    if ((service.selector?.size ?? 0) > 0 && !this.backends.knows(service)) {
      this.warn(service, 'has a selector, but no EndpointSlice or Endpoints object tells its backends');
    }
    const local = service.externalTrafficPolicy === 'Local' || service.internalTrafficPolicy === 'Local';
    if (local && this.settings.node === undefined) {
      this.warn(service, 'has a traffic policy Local: without a node of its own, backends of every node are offered');
    }
    for (const port of service.ports) {
      for (const place of this.places(service, port)) this.place(service, port, place);
    }
    this.placeWildcards(service);
  }

  result(): Frontends {
    const byKey = (a: string, b: string): number => (a < b ? -1 : 1);
    return {
      frontends: [...this.frontends.values()].sort((a, b) => byKey(a.key, b.key)),
      wildcards: [...this.wildcards.values()].sort((a, b) => byKey(a.address.text, b.address.text)),
    };
  }

  private warn(service: Service, message: string): void {
    const { file, line, column } = service.origin;
    this.problems.push({
      severity: 'warning',
      file,
      line,
      column,
      message: `Service ${objectKey(service)} ${message}`,
    });
  }

  private warnAboutAnnotations(service: Service): void {
    for (const key of service.annotations.keys()) {
      if (!key.startsWith(ANNOTATION) || key === RANGES_ANNOTATION) continue;
      if (key === ALGORITHM_ANNOTATION && this.settings.algorithmAnnotation) continue;
      this.warn(service, `has the annotation ${key}, which is not honoured`);
    }
  }

  /** Addresses and ports of a Service port. */
  private places(service: Service, { port, nodePort }: ServicePort): Place[] {
    const { kubeProxyReplacement, externalIPs, externalClusterIP } = this.settings;
    const places: Place[] = service.clusterIPs.map((address) => ({
      type: 'ClusterIP',
      address,
      port,
      routable: externalClusterIP,
    }));
    if (nodePort !== undefined && service.type !== 'ClusterIP' && kubeProxyReplacement) {
      for (const family of familiesOf(service)) {
        places.push({ type: 'NodePort', address: ZERO[family], port: nodePort, routable: false });
        for (const address of this.nodeAddresses) {
          if (address.family === family) places.push({ type: 'NodePort', address, port: nodePort, routable: true });
        }
      }
    }
    if (service.type === 'LoadBalancer' && kubeProxyReplacement) {
      for (const address of virtualAddresses(service))
        places.push({ type: 'LoadBalancer', address, port, routable: true });
    }
    if (externalIPs) {
      for (const address of service.externalIPs) places.push({ type: 'ExternalIPs', address, port, routable: true });
    }
    return places;
  }

  private place(service: Service, port: ServicePort, place: Place): void {
    const { nodePortFirst, nodePortLast, node } = this.settings;
    const reserved =
      place.port >= nodePortFirst && place.port <= nodePortLast && this.nodeAddressTexts.has(place.address.text);
    if (place.type === 'LoadBalancer' && reserved) {
      this.warn(
        service,
        `cannot have ${place.address.text}:${place.port}: a node's address and the range of node ports`,
      );
      return;
    }
    const all = this.backends.of(service, port, place.address.family);
    const external = service.externalTrafficPolicy;
    const internal = service.internalTrafficPolicy;
    const offered = (policy: 'Cluster' | 'Local'): ServiceBackend[] =>
      policy === 'Local' && node !== undefined ? all.filter(({ nodeName }) => nodeName === node) : all;
    if (place.type === 'ClusterIP') {
      this.add(service, port, place, SCOPE.EXTERNAL, offered(internal), 0);
    } else if (external === internal || node === undefined) {
      this.add(service, port, place, SCOPE.EXTERNAL, offered(external), 0);
    } else {
      this.add(service, port, place, SCOPE.EXTERNAL, offered(external), SERVICE_FLAG.TWO_SCOPES);
      this.add(service, port, place, SCOPE.INTERNAL, offered(internal), SERVICE_FLAG.TWO_SCOPES);
    }
  }

  private add(
    service: Service,
    { protocol }: ServicePort,
    place: Place,
    scope: number,
    offered: readonly ServiceBackend[],
    scopes: number,
  ): void {
    const { type, address, port, routable } = place;
    const key = `${address.text}|${port}|${protocol}|${scope}`;
    const other = this.frontends.get(key);
    if (other !== undefined) {
      if (scope === SCOPE.EXTERNAL && other.service !== service) {
        this.warn(
          service,
          `cannot have ${address.text}:${port}/${protocol}: Service ${objectKey(other.service)} has it`,
        );
      }
      return;
    }
    const algorithm = this.algorithmOf(service);
    const affinity = service.sessionAffinity === 'ClientIP';
    const ranges = service.type === 'LoadBalancer' ? (service.loadBalancerSourceRanges ?? []) : [];
    const sourceRanges = ranges.filter(({ family }) => family === address.family);
    const guarded =
      ranges.length > 0 && (type === 'LoadBalancer' || type === 'ExternalIPs' || this.settings.sourceRangeAllTypes);
    let flags = TYPE_FLAG[type] | scopes;
    if (routable) flags |= SERVICE_FLAG.ROUTABLE;
    if (affinity) flags |= SERVICE_FLAG.AFFINITY;
    if (service.type !== 'ClusterIP' && service.externalTrafficPolicy === 'Local') flags |= SERVICE_FLAG.EXT_LOCAL;
    if (service.internalTrafficPolicy === 'Local') flags |= SERVICE_FLAG.INT_LOCAL;
    if (guarded) {
      flags |= SERVICE_FLAG.SOURCE_RANGE;
      if (service.annotations.get(RANGES_ANNOTATION) === 'deny') flags |= SERVICE_FLAG.DENY_OR_QUARANTINED;
    }
    const named = algorithm !== ALGORITHM.DEFAULT;
    const wantsMaglev = named ? algorithm === ALGORITHM.MAGLEV : this.settings.algorithm === 'maglev';
    const zero = address === ZERO[address.family];
    this.frontends.set(key, {
      key,
      service,
      type,
      address,
      port,
      protocol,
      scope,
      flags,
      algorithm,
      affinitySeconds: affinity ? service.sessionAffinityTimeoutSeconds : 0,
      ...slotsOf(offered),
      maglev: wantsMaglev && !zero && (type !== 'ClusterIP' || this.settings.externalClusterIP || named),
      sourceRanges,
    });
  }

  private algorithmOf(service: Service): number {
    const named = service.annotations.get(ALGORITHM_ANNOTATION);
    if (named === undefined || !this.settings.algorithmAnnotation) return ALGORITHM.DEFAULT;
    if (named === 'maglev') return ALGORITHM.MAGLEV;
    if (named === 'random') return ALGORITHM.RANDOM;
    this.warn(service, `names the load-balancing algorithm ${named}, which is neither maglev nor random`);
    return ALGORITHM.DEFAULT;
  }

  /** ClusterIPs and load-balancer addresses that Cilium announces itself take everything: what no frontend serves is dropped. */
  private placeWildcards(service: Service): void {
    if (!this.settings.wildcardEntries || !OWN_CLASSES.has(service.loadBalancerClass)) return;
    const put = (address: IpAddress, type: FrontendType): void => {
      if (this.nodeAddressTexts.has(address.text) || this.wildcards.has(address.text)) return;
      this.wildcards.set(address.text, { address, flags: TYPE_FLAG[type] });
    };
    for (const address of service.clusterIPs) put(address, 'ClusterIP');
    if (service.type !== 'LoadBalancer' || !this.settings.kubeProxyReplacement) return;
    for (const address of virtualAddresses(service)) put(address, 'LoadBalancer');
  }
}

const TYPE_FLAG: { readonly [T in FrontendType]: number } = {
  ClusterIP: 0,
  NodePort: SERVICE_FLAG.NODE_PORT,
  LoadBalancer: SERVICE_FLAG.LOAD_BALANCER,
  ExternalIPs: SERVICE_FLAG.EXTERNAL_IP,
};

function familiesOf(service: Service): readonly (4 | 6)[] {
  if (service.ipFamilies !== undefined) return service.ipFamilies.map((family) => (family === 'IPv4' ? 4 : 6));
  const used = new Set(service.clusterIPs.map(({ family }) => family));
  return used.size === 0 ? [4] : [...used].sort();
}

const virtualAddresses = (service: Service): IpAddress[] =>
  service.loadBalancerIngress.flatMap(({ ip, ipMode }) => (ip !== undefined && ipMode !== 'Proxy' ? [ip] : []));

/** Active backends are selectable; without one, those that still serve while they terminate. */
function slotsOf(offered: readonly ServiceBackend[]): Pick<Frontend, 'backends' | 'draining' | 'idle'> {
  const active = offered.filter(({ state }) => state === BACKEND_STATE.ACTIVE);
  const terminating = offered.filter(({ state }) => state === BACKEND_STATE.TERMINATING);
  const idle = offered.filter(({ state }) => state === BACKEND_STATE.MAINTENANCE);
  if (active.length > 0) return { backends: active, draining: terminating, idle };
  return {
    backends: terminating.filter(({ serving }) => serving),
    draining: terminating.filter(({ serving }) => !serving),
    idle,
  };
}
