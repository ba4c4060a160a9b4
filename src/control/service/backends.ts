// The backends of each Service port, from EndpointSlices or Endpoints, kept up to date object by object.
// Input: slices and Endpoints as they come and go. Output: ServiceBackend lists. Invariant: an address, port and protocol is
// one backend however many slices list it; a backend's state follows Cilium's reading of the conditions: ready overrides
// everything, maintenance is neither ready nor terminating.
import { BACKEND_STATE } from '../../schema/index.ts';
import { objectKey } from '../pods.ts';
import type {
  ClusterState,
  EndpointPort,
  Endpoints,
  EndpointSlice,
  IpAddress,
  L4Protocol,
  Service,
  SliceEndpoint,
} from '../state.ts';

/** One destination of a Service port. */
export interface ServiceBackend {
  /** `address|port|PROTOCOL`: what its id is kept by. */
  readonly key: string;
  readonly address: IpAddress;
  readonly port: number;
  readonly protocol: L4Protocol;
  /** BACKEND_STATE. */
  readonly state: number;
  /** May stand in when no backend is active: terminating and still serving. */
  readonly serving: boolean;
  /** Maglev weight. */
  readonly weight: number;
  readonly nodeName: string | undefined;
  readonly zone: string | undefined;
  /** Zones that it is meant for. */
  readonly hints: readonly string[];
}

/** A backend with the name of its slice port. */
export interface PortBackend {
  readonly portName: string;
  readonly backend: ServiceBackend;
}

interface Sources {
  readonly slices: Map<string, EndpointSlice>;
  endpoints: Endpoints | undefined;
}

/** What a backend's id is kept by. */
export const backendKeyOf = (address: string, port: number, protocol: string): string =>
  `${address}|${port}|${protocol}`;

/** Backends of all Services. */
export class BackendIndex {
  private readonly byService = new Map<string, Sources>();
  private readonly serviceOfSlice = new Map<string, string>();

  /** Takes a slice, or takes it away (undefined). Returns the Services (`namespace/name`) that it touches. */
  putSlice(key: string, slice: EndpointSlice | undefined): string[] {
    const touched: string[] = [];
    const before = this.serviceOfSlice.get(key);
    const owner =
      slice?.serviceName === undefined || slice.addressType === 'FQDN'
        ? undefined
        : `${slice.namespace}/${slice.serviceName}`;
    if (before !== undefined) {
      touched.push(before);
      const sources = this.byService.get(before);
      if (owner !== before) sources?.slices.delete(key);
      this.tidy(before);
    }
    if (owner === undefined) {
      this.serviceOfSlice.delete(key);
      return touched;
    }
    this.serviceOfSlice.set(key, owner);
    this.sourcesOf(owner).slices.set(key, slice!);
    if (owner !== before) touched.push(owner);
    return touched;
  }

  /** The same for an Endpoints object; `key` is `namespace/name`, the Service's too. */
  putEndpoints(key: string, endpoints: Endpoints | undefined): string[] {
    this.sourcesOf(key).endpoints = endpoints;
    this.tidy(key);
    return [key];
  }

  private sourcesOf(service: string): Sources {
    let sources = this.byService.get(service);
    if (sources === undefined) this.byService.set(service, (sources = { slices: new Map(), endpoints: undefined }));
    return sources;
  }

  private tidy(service: string): void {
    const sources = this.byService.get(service);
    if (sources?.slices.size === 0 && sources.endpoints === undefined) this.byService.delete(service);
  }

  /** True when a slice or Endpoints object belongs to the Service (`namespace/name`). */
  knows(service: string): boolean {
    return this.byService.has(service);
  }

  /** Services that have slices or Endpoints. */
  services(): IterableIterator<string> {
    return this.byService.keys();
  }

  /** Every backend of a Service, doubles included. Slices win over Endpoints. */
  all(service: string, publishNotReady: boolean): PortBackend[] {
    const sources = this.byService.get(service);
    if (sources === undefined) return [];
    if (sources.slices.size > 0)
      return [...sources.slices.values()].flatMap((slice) => sliceBackends(slice, publishNotReady));
    return sources.endpoints === undefined ? [] : endpointsBackends(sources.endpoints, publishNotReady);
  }
}

/** The index of a whole state. */
export function backendIndexOf(state: ClusterState): BackendIndex {
  const index = new BackendIndex();
  for (const slice of state.endpointSlices) index.putSlice(objectKey(slice), slice);
  for (const endpoints of state.endpoints) index.putEndpoints(objectKey(endpoints), endpoints);
  return index;
}

/**
 * Backends of one port in one family, by address and port. A Service's only, unnamed port takes ports of any name, and a port
 * of a slice that has no name is behind any port of its protocol, as the agent has it.
 */
export function backendsOfPort(
  all: readonly PortBackend[],
  service: Service,
  port: { readonly name: string; readonly protocol: L4Protocol },
  family: 4 | 6,
): ServiceBackend[] {
  const anyName = port.name === '' && service.ports.length === 1;
  return uniqueBackends(
    all.flatMap(({ portName, backend }) =>
      (anyName || portName === '' || portName === port.name) &&
      backend.protocol === port.protocol &&
      backend.address.family === family
        ? [backend]
        : [],
    ),
  );
}

/** One reading of each backend, by address and port. */
export function uniqueBackends(backends: readonly ServiceBackend[]): ServiceBackend[] {
  const unique = new Map<string, ServiceBackend>();
  for (const backend of backends) {
    const known = unique.get(backend.key);
    unique.set(backend.key, known === undefined ? backend : betterOf(known, backend));
  }
  return [...unique.values()].sort(byAddress);
}

/** Order of slots: address, then port. */
export function byAddress(a: ServiceBackend, b: ServiceBackend): number {
  for (let i = 0; i < a.address.bytes.length; i++) {
    const difference = a.address.bytes[i]! - b.address.bytes[i]!;
    if (difference !== 0) return difference;
  }
  return a.port - b.port;
}

/** The better of two readings of one backend: the livelier, else the one that names a node, has more weight, has hints. */
export function betterOf(a: ServiceBackend, b: ServiceBackend): ServiceBackend {
  const order =
    a.state - b.state ||
    Number(b.serving) - Number(a.serving) ||
    compare(a.nodeName, b.nodeName) ||
    b.weight - a.weight ||
    compare(a.zone, b.zone) ||
    b.hints.length - a.hints.length;
  return order <= 0 ? a : b;
}

/** A text before none, texts in order. */
function compare(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return 1;
  return b === undefined || a < b ? -1 : 1;
}

interface Condition {
  readonly state: number;
  readonly serving: boolean;
}

/** Not a backend: the operator of Ingress and Gateway API puts it into slices so that older agents look at their Services. */
const DUMMY = { address: '192.192.192.192', port: 9999 } as const;

const ACTIVE: Condition = { state: BACKEND_STATE.ACTIVE, serving: true };
const IDLE: Condition = { state: BACKEND_STATE.MAINTENANCE, serving: false };
const NONE: readonly string[] = [];

function conditionOf(endpoint: SliceEndpoint, weight: number | undefined, publishNotReady: boolean): Condition {
  const ready = endpoint.ready ?? true;
  if (weight === 0) return IDLE;
  if (ready || publishNotReady) return ACTIVE;
  if (endpoint.terminating === true) return { state: BACKEND_STATE.TERMINATING, serving: endpoint.serving ?? false };
  return IDLE;
}

function sliceBackends(slice: EndpointSlice, publishNotReady: boolean): PortBackend[] {
  const found: PortBackend[] = [];
  for (const endpoint of slice.endpoints) {
    const condition = conditionOf(endpoint, slice.weight, publishNotReady);
    const { nodeName, zone } = endpoint;
    const hints = endpoint.hints?.forZones ?? NONE;
    for (const address of endpoint.addresses) {
      for (const port of slice.ports) {
        const made = backendOf(address, port, condition, slice.weight ?? 1, nodeName, zone, hints);
        if (made !== undefined) found.push(made);
      }
    }
  }
  return found;
}

function endpointsBackends(endpoints: Endpoints, publishNotReady: boolean): PortBackend[] {
  const found: PortBackend[] = [];
  for (const { addresses, notReadyAddresses, ports } of endpoints.subsets) {
    for (const port of ports) {
      for (const [list, condition] of [
        [addresses, ACTIVE],
        [notReadyAddresses, publishNotReady ? ACTIVE : IDLE],
      ] as const) {
        for (const { ip, nodeName } of list) {
          const made = backendOf(ip, port, condition, 1, nodeName, undefined, NONE);
          if (made !== undefined) found.push(made);
        }
      }
    }
  }
  return found;
}

function backendOf(
  address: IpAddress,
  { name, protocol, port }: EndpointPort,
  condition: Condition,
  weight: number,
  nodeName: string | undefined,
  zone: string | undefined,
  hints: readonly string[],
): PortBackend | undefined {
  if (port === undefined) return undefined; // "every port" is for Services without ports of their own, that is, headless ones
  if (port === DUMMY.port && address.text === DUMMY.address) return undefined;
  const key = backendKeyOf(address.text, port, protocol);
  return {
    portName: name,
    backend: { key, address, port, protocol, ...condition, weight, nodeName, zone, hints },
  };
}
