// The kinds of objects that a running control plane holds: in which list of a state each is, and to what an object matters
// besides services. Input: objects. Output: keys, yes or no. Invariant: a list of a state whose kinds are not here does not compile.
import { objectKey } from './pods.ts';
import type { ClusterObject, ClusterState } from './state.ts';

/** Kind of an object. */
export type ObjectKind = ClusterObject['kind'];

/** What an object is known by: `namespace/name`, or the name of one without a namespace. */
export const controlKey = (object: { readonly namespace?: string; readonly name: string }): string =>
  object.namespace === undefined ? object.name : objectKey(object);

/** Parts of a state that are lists of objects. */
export type ObjectLists = {
  readonly [L in keyof ClusterState as ClusterState[L] extends readonly ClusterObject[] ? L : never]: ClusterState[L];
};

/** Every list of a state, and the kinds in it: one that is left out does not compile. */
export const KINDS = {
  namespaces: ['Namespace'],
  nodes: ['Node'],
  pods: ['Pod'],
  endpointSlices: ['EndpointSlice'],
  endpoints: ['Endpoints'],
  services: ['Service'],
  networkPolicies: ['NetworkPolicy'],
  adminPolicies: ['ClusterNetworkPolicy', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy'],
  ciliumPolicies: ['CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy'],
  ciliumEndpoints: ['CiliumEndpoint'],
  ciliumIdentities: ['CiliumIdentity'],
  ciliumCIDRGroups: ['CiliumCIDRGroup'],
  l2AnnouncementPolicies: ['CiliumL2AnnouncementPolicy'],
  leases: ['Lease'],
} as const satisfies { readonly [L in keyof ObjectLists]: readonly ObjectKind[] };

/** Names of those lists. */
export const OBJECT_LISTS = Object.keys(KINDS) as (keyof ObjectLists)[];

/** Whether an object matters to more than services by itself. */
export function concernsCluster(object: ClusterObject): boolean {
  if (object.kind === 'EndpointSlice') return object.namespace === 'default' && object.serviceName === 'kubernetes';
  if (object.kind === 'Endpoints') return object.namespace === 'default' && object.name === 'kubernetes';
  return !['Service', 'CiliumL2AnnouncementPolicy', 'Lease'].includes(object.kind);
}

/** Nodes that a slice's endpoints are on. */
export const namedBy = (object: ClusterObject | undefined): ReadonlySet<string> =>
  new Set(
    object?.kind === 'EndpointSlice'
      ? object.endpoints.flatMap(({ nodeName }) => (nodeName === undefined ? [] : [nodeName]))
      : [],
  );
