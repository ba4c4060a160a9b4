// The desired tables of services as rows to look at: services, frontends, backends, health checks. Input: owners.
// Output: plain rows in a fixed order. Invariant: says what is desired, not what the maps hold: a node's own addresses are the
// zero address here, backends are there whether or not a Service uses them.
import { BACKEND_STATE } from '../../schema/index.ts';
import { objectKey } from '../pods.ts';
import type { CompileSettings } from '../settings.ts';
import { type ServiceBackend, uniqueBackends } from './backends.ts';
import { endpointText, type FrontendType } from './frontend.ts';
import { type HealthCheck, localAddresses } from './health-check.ts';
import type { Owners } from './owners.ts';
import { healthCheckPort } from './service-frontends.ts';

/** A Service, or what stands for one. */
export interface ServiceRow {
  /** `namespace/name`. */
  readonly name: string;
  readonly source: string;
}

/** A desired frontend. */
export interface FrontendRow {
  /** `10.96.0.10:80/TCP`, `…/i` for the internal scope. */
  readonly address: string;
  readonly type: FrontendType;
  /** `namespace/name`. */
  readonly service: string;
  readonly portName: string;
  /** Every backend it is associated with, by address. */
  readonly backends: readonly string[];
}

/** A known backend. */
export interface BackendRow {
  /** `10.244.1.2:8080/TCP`. */
  readonly address: string;
  /** `active`, `terminating`, `terminating-not-serving`, `maintenance`. */
  readonly state: string;
  /** `namespace/name` of each Service that it belongs to. */
  readonly services: readonly string[];
}

const backendText = ({ address, port, protocol }: ServiceBackend): string =>
  `${endpointText(address, port)}/${protocol}`;

/** Services with frontends or without, and the owners of host ports and health checks. */
export function serviceRows(owners: Owners): ServiceRow[] {
  const rows = new Map<string, ServiceRow>();
  for (const { service, source } of owners.exposedServices())
    rows.set(objectKey(service), { name: objectKey(service), source });
  for (const { owner } of owners.desired()) {
    const name = objectKey(owner);
    if (!rows.has(name)) rows.set(name, { name, source: owner.source });
  }
  return [...rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Desired frontends. */
export const frontendRows = (owners: Owners): FrontendRow[] =>
  owners
    .desired()
    .map(({ address, port, protocol, scope, type, owner, portName, backends, draining, idle }): FrontendRow => ({
      address: `${endpointText(address, port)}/${protocol}${scope === 0 ? '' : '/i'}`,
      type,
      service: objectKey(owner),
      portName,
      backends: uniqueBackends([...backends, ...draining, ...idle]).map(backendText),
    }));

/** Known backends. */
export function backendRows(owners: Owners, { ipv4, ipv6 }: CompileSettings): BackendRow[] {
  const known = new Map<string, { backends: ServiceBackend[]; services: Set<string> }>();
  const add = (service: string, backend: ServiceBackend): void => {
    if (!(backend.address.family === 4 ? ipv4 : ipv6)) return;
    const row = known.get(backend.key);
    if (row === undefined) known.set(backend.key, { backends: [backend], services: new Set([service]) });
    else {
      row.backends.push(backend);
      row.services.add(service);
    }
  };
  for (const service of owners.backends.services())
    for (const { backend } of owners.backendsBehind(service)) add(service, backend);
  for (const { owner, backends } of owners.desired())
    if (owner.name.includes(':')) for (const backend of backends) add(objectKey(owner), backend);
  return uniqueBackends([...known.values()].flatMap(({ backends }) => backends)).map((backend) => ({
    address: backendText(backend),
    state: stateText(backend),
    services: [...known.get(backend.key)!.services].sort(),
  }));
}

function stateText({ state, serving }: ServiceBackend): string {
  if (state === BACKEND_STATE.TERMINATING) return serving ? 'terminating' : 'terminating-not-serving';
  return state === BACKEND_STATE.ACTIVE ? 'active' : 'maintenance';
}

/** Ports that load balancers probe on the node. */
export function healthChecks(owners: Owners, settings: CompileSettings): HealthCheck[] {
  const { node } = settings;
  if (node === undefined) return [];
  return owners.exposedServices().flatMap(({ service }) => {
    const port = healthCheckPort(service, settings);
    if (port === undefined) return [];
    const all = owners.backendsBehind(objectKey(service));
    const localEndpoints = localAddresses(
      all.map(({ backend }) => backend),
      node,
    );
    return [{ port, namespace: service.namespace, name: service.name, localEndpoints }];
  });
}
