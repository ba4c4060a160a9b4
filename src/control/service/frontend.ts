// A frontend: an address and port that is translated, with its backends in slot order; and who may have an address.
// Input: nothing (types and orders). Invariant: one frontend for an address, port, protocol and scope; families never mix;
// a frontend may have no backends.
import { SERVICE_FLAG } from '../../schema/index.ts';
import type { IpAddress, IpPrefix, L4Protocol, Origin } from '../state.ts';
import type { Slots } from './selection.ts';

/** Where a frontend's address comes from. */
export type FrontendType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalIPs' | 'HostPort';

/** Whose frontend it is: a Service, or what a pod or a health check makes by itself. */
export interface FrontendOwner {
  readonly namespace: string;
  /** A Service's name, `POD:host-port:PORT:UID`, `SERVICE:healthserver`. */
  readonly name: string;
  /** `k8s`, `local` or `api`. */
  readonly source: string;
  /** `metadata.creationTimestamp`, where known: the older owner keeps an address that two claim. */
  readonly created: string | undefined;
  readonly origin: Origin;
}

/** One service address. */
export interface Frontend extends Slots {
  /** `address|port|PROTOCOL|scope`: what its id is kept by. */
  readonly key: string;
  readonly owner: FrontendOwner;
  /** Name of the Service port; empty where it has none. */
  readonly portName: string;
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
  /** A Maglev table is due, should there be a backend. */
  readonly maglev: boolean;
  readonly sourceRanges: readonly IpPrefix[];
  readonly scaleToZero: boolean;
  /** Its address swallows what no frontend of it takes. */
  readonly wildcard: boolean;
  /** A node's own address instead of the zero address that stands for all: no row of the desired table. */
  readonly expanded: boolean;
  /** False: desired, but not put into the maps (a load-balancer address without kube-proxy replacement). */
  readonly programmed: boolean;
}

/** What a frontend's id is kept by. */
export const frontendKey = (address: string, port: number, protocol: string, scope: number): string =>
  `${address}|${port}|${protocol}|${scope}`;

/** The flag of each type. */
export const TYPE_FLAG: { readonly [T in FrontendType]: number } = {
  ClusterIP: 0,
  NodePort: SERVICE_FLAG.NODE_PORT,
  LoadBalancer: SERVICE_FLAG.LOAD_BALANCER,
  ExternalIPs: SERVICE_FLAG.EXTERNAL_IP,
  HostPort: SERVICE_FLAG.HOST_PORT,
};

/** Who wins an address: a Service's own, then node ports, then host ports. */
const RANK: { readonly [T in FrontendType]: number } = {
  ClusterIP: 0,
  LoadBalancer: 0,
  ExternalIPs: 0,
  NodePort: 1,
  HostPort: 2,
};

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Order of claims to one key, the winner first: type, then age, then name, so that no newcomer takes an address away. */
export function compareClaims(a: Frontend, b: Frontend): number {
  const age =
    a.owner.created === undefined || b.owner.created === undefined ? 0 : compareText(a.owner.created, b.owner.created);
  return (
    RANK[a.type] - RANK[b.type] ||
    age ||
    compareText(a.owner.namespace, b.owner.namespace) ||
    compareText(a.owner.name, b.owner.name)
  );
}

/** The address that stands for every address of a node. */
export const ZERO: { readonly [family in 4 | 6]: IpAddress } = {
  4: { family: 4, text: '0.0.0.0', bytes: new Uint8Array(4) },
  6: { family: 6, text: '::', bytes: new Uint8Array(16) },
};

/** `address:port`, IPv6 in brackets. */
export const endpointText = (address: IpAddress, port: number): string =>
  address.family === 4 ? `${address.text}:${port}` : `[${address.text}]:${port}`;
