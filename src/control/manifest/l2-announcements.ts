// CiliumL2AnnouncementPolicy and the Leases by which nodes agree on who announces a Service, from their trees.
// In: a Reader and the object's root. Out: state objects or undefined. Invariant: of Leases only those of announcements are kept.
import type { AnnouncementLease, L2AnnouncementPolicy, LabelSelector } from '../state.ts';
import { readMeta, readSelector } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode } from './tree.ts';

/** Names of the Leases: this, the Service's namespace, `-`, its name. */
export const LEASE_PREFIX = 'cilium-l2announce-';
const FIELDS = ['serviceSelector', 'nodeSelector', 'interfaces', 'externalIPs', 'loadBalancerIPs'];

/** cilium.io CiliumL2AnnouncementPolicy. */
export function readL2AnnouncementPolicy(reader: Reader, root: MapNode): L2AnnouncementPolicy | undefined {
  const meta = readMeta(reader, root, 'CiliumL2AnnouncementPolicy');
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  if (spec !== undefined) reader.onlyFields(spec, 'spec', FIELDS);
  const selector = (key: string): LabelSelector | undefined => {
    const node = spec && reader.field(spec, key);
    return node === undefined || (node.kind === 'scalar' && node.value === null)
      ? undefined
      : readSelector(reader, node, `spec.${key}`, false);
  };
  const serviceSelector = selector('serviceSelector');
  const nodeSelector = selector('nodeSelector');
  return {
    kind: 'CiliumL2AnnouncementPolicy',
    name: meta.name,
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    interfaces: (spec && reader.texts(spec, 'interfaces', 'spec')) ?? [],
    externalIPs: (spec && reader.flag(spec, 'externalIPs', 'spec')) ?? false,
    loadBalancerIPs: (spec && reader.flag(spec, 'loadBalancerIPs', 'spec')) ?? false,
    ...(serviceSelector !== undefined && { serviceSelector }),
    ...(nodeSelector !== undefined && { nodeSelector }),
  };
}

/** coordination.k8s.io Lease; undefined for every one that is not an announcement's. */
export function readLease(reader: Reader, root: MapNode): AnnouncementLease | undefined {
  const metaNode = reader.child(root, 'metadata', '');
  const name = metaNode && reader.field(metaNode, 'name');
  if (name?.kind !== 'scalar' || !String(name.value).startsWith(LEASE_PREFIX)) return undefined;
  const meta = readMeta(reader, root, 'Lease');
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  const holder = spec && reader.name(spec, 'holderIdentity', 'spec');
  return {
    kind: 'Lease',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    ...(holder !== undefined && { holder }),
  };
}
