// The backends of each Service port, from EndpointSlices or Endpoints. Input: ClusterState. Output: ServiceBackend lists.
// Invariant: an address, port and protocol is one backend however many slices list it; a backend's state follows Cilium's
// reading of the conditions: ready overrides everything, maintenance is neither ready nor terminating.
import { BACKEND_STATE } from '../../schema/index.ts';
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
}

/** A backend with the name of its slice port. */
interface PortBackend {
  readonly portName: string;
  readonly backend: ServiceBackend;
}

/** Backends of all Services. */
export class BackendIndex {
  private readonly byService = new Map<string, PortBackend[]>();

  constructor(state: ClusterState) {
    const publish = new Set(
      state.services.filter((s) => s.publishNotReadyAddresses).map((s) => `${s.namespace}/${s.name}`),
    );
    for (const slice of state.endpointSlices) {
      if (slice.serviceName === undefined || slice.addressType === 'FQDN') continue;
      const service = `${slice.namespace}/${slice.serviceName}`;
      this.add(service, sliceBackends(slice, publish.has(service)));
    }
    for (const endpoints of state.endpoints) {
      const service = `${endpoints.namespace}/${endpoints.name}`;
      if (!this.byService.has(service)) this.add(service, endpointsBackends(endpoints, publish.has(service)));
    }
  }

  private add(service: string, backends: readonly PortBackend[]): void {
    this.byService.set(service, [...(this.byService.get(service) ?? []), ...backends]);
  }

  /** True when a slice or Endpoints object belongs to the Service. */
  knows(service: Service): boolean {
    return this.byService.has(`${service.namespace}/${service.name}`);
  }

  /** Backends of one port in one family, by address and port. A Service's only, unnamed port takes ports of any name. */
  of(
    service: Service,
    port: { readonly name: string; readonly protocol: L4Protocol },
    family: 4 | 6,
  ): ServiceBackend[] {
    const unique = new Map<string, ServiceBackend>();
    const anyName = port.name === '' && service.ports.length === 1;
    for (const { portName, backend } of this.byService.get(`${service.namespace}/${service.name}`) ?? []) {
      if (!anyName && portName !== port.name) continue;
      if (backend.protocol !== port.protocol || backend.address.family !== family) continue;
      const known = unique.get(backend.key);
      if (known === undefined || rank(backend) < rank(known)) unique.set(backend.key, backend);
    }
    return [...unique.values()].sort(byAddress);
  }
}

/** Order of slots: address, then port. */
export function byAddress(a: ServiceBackend, b: ServiceBackend): number {
  for (let i = 0; i < a.address.bytes.length; i++) {
    const difference = a.address.bytes[i]! - b.address.bytes[i]!;
    if (difference !== 0) return difference;
  }
  return a.port - b.port;
}

/** The better of two readings of one backend has the lower rank; equal readings are told apart by node and weight. */
function rank(backend: ServiceBackend): number {
  return backend.state * 2 + (backend.serving ? 0 : 1);
}

interface Condition {
  readonly state: number;
  readonly serving: boolean;
}

function conditionOf(endpoint: SliceEndpoint, weight: number | undefined, publishNotReady: boolean): Condition {
  const ready = endpoint.ready ?? true;
  const serving = endpoint.serving ?? ready;
  if (weight === 0) return { state: BACKEND_STATE.MAINTENANCE, serving: false };
  if (ready || publishNotReady) return { state: BACKEND_STATE.ACTIVE, serving: true };
  if (endpoint.terminating === true) return { state: BACKEND_STATE.TERMINATING, serving };
  return { state: BACKEND_STATE.MAINTENANCE, serving: false };
}

const keyOf = (address: IpAddress, port: number, protocol: string): string => `${address.text}|${port}|${protocol}`;

function sliceBackends(slice: EndpointSlice, publishNotReady: boolean): PortBackend[] {
  const found: PortBackend[] = [];
  for (const endpoint of slice.endpoints) {
    const condition = conditionOf(endpoint, slice.weight, publishNotReady);
    for (const address of endpoint.addresses) {
      for (const port of slice.ports) {
        const made = backendOf(address, port, condition, slice.weight ?? 1, endpoint.nodeName, endpoint.zone);
        if (made !== undefined) found.push(made);
      }
    }
  }
  return found;
}

function endpointsBackends(endpoints: Endpoints, publishNotReady: boolean): PortBackend[] {
  const found: PortBackend[] = [];
  const active = { state: BACKEND_STATE.ACTIVE, serving: true };
  const idle = publishNotReady ? active : { state: BACKEND_STATE.MAINTENANCE, serving: false };
  for (const { addresses, notReadyAddresses, ports } of endpoints.subsets) {
    for (const port of ports) {
      for (const [list, condition] of [
        [addresses, active],
        [notReadyAddresses, idle],
      ] as const) {
        for (const { ip, nodeName } of list) {
          const made = backendOf(ip, port, condition, 1, nodeName, undefined);
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
): PortBackend | undefined {
  if (port === undefined) return undefined; // "every port" is for Services without ports of their own, that is, headless ones
  return {
    portName: name,
    backend: { key: keyOf(address, port, protocol), address, port, protocol, ...condition, weight, nodeName, zone },
  };
}
