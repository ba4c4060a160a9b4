// CiliumEndpoint, CiliumIdentity, CiliumCIDRGroup and the cilium-config ConfigMap from their trees.
// In: a Reader and the object's root. Out: state objects or undefined. Invariant: status fields that Weir does not
// read are not looked at, since these objects come from live clusters and their status grows from release to release.
import type { CiliumCIDRGroup, CiliumConfigMap, CiliumEndpoint, CiliumIdentity, IpAddress, Origin } from '../state.ts';
import { readMeta } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode } from './tree.ts';

/** Numeric identities are 24 bits plus a scope byte. */
const MAX_IDENTITY = 0xffffffff;

/** cilium.io CiliumEndpoint. */
export function readCiliumEndpoint(reader: Reader, root: MapNode): CiliumEndpoint | undefined {
  const meta = readMeta(reader, root, 'CiliumEndpoint');
  if (meta === undefined) return undefined;
  const status = reader.child(root, 'status', '');
  const identityMap = status && reader.child(status, 'identity', 'status');
  const networking = status && reader.child(status, 'networking', 'status');
  const endpointId = status && reader.integer(status, 'id', 'status', 0, 0xffff);
  const identity = identityMap && reader.integer(identityMap, 'id', 'status.identity', 0, MAX_IDENTITY);
  const identityLabels = identityMap && reader.texts(identityMap, 'labels', 'status.identity');
  const nodeIP = networking && reader.address(networking, 'node', 'status.networking');
  const addresses: IpAddress[] = [];
  if (networking !== undefined) {
    reader.eachMap(networking, 'addressing', 'status.networking', (item, path) => {
      for (const key of ['ipv4', 'ipv6']) {
        const address = reader.address(item, key, path);
        if (address !== undefined) addresses.push(address);
      }
      return undefined;
    });
  }
  const namedPorts =
    status &&
    reader.eachMap(status, 'named-ports', 'status', (item, path) => {
      const name = reader.name(item, 'name', path);
      const port = reader.integer(item, 'port', path, 0, 65535);
      return name === undefined || port === undefined
        ? undefined
        : { name, port, protocol: reader.name(item, 'protocol', path) ?? 'TCP' };
    });
  return {
    kind: 'CiliumEndpoint',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    addresses,
    namedPorts: namedPorts ?? [],
    ...(endpointId !== undefined && { endpointId }),
    ...(identity !== undefined && { identity }),
    ...(identityLabels !== undefined && { identityLabels }),
    ...(nodeIP !== undefined && { nodeIP }),
  };
}

/** cilium.io CiliumIdentity. */
export function readCiliumIdentity(reader: Reader, root: MapNode): CiliumIdentity | undefined {
  const meta = readMeta(reader, root, 'CiliumIdentity');
  if (meta === undefined) return undefined;
  if (!/^[1-9][0-9]{0,9}$/.test(meta.name) || Number(meta.name) > MAX_IDENTITY)
    return reader.error(
      reader.field(meta.meta, 'name')!.offset,
      `metadata.name: ${JSON.stringify(meta.name)} is not an identity number`,
    );
  const securityLabels = reader.strings(root, 'security-labels', '') ?? new Map<string, string>();
  return {
    kind: 'CiliumIdentity',
    name: meta.name,
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    id: Number(meta.name),
    securityLabels,
  };
}

/** cilium.io CiliumCIDRGroup. */
export function readCidrGroup(reader: Reader, root: MapNode): CiliumCIDRGroup | undefined {
  const meta = readMeta(reader, root, 'CiliumCIDRGroup');
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  if (spec !== undefined) reader.onlyFields(spec, 'spec', ['externalCIDRs']);
  const externalCIDRs =
    spec && reader.each(spec, 'externalCIDRs', 'spec', (node, path) => reader.asPrefix(node, path, true));
  return {
    kind: 'CiliumCIDRGroup',
    name: meta.name,
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    externalCIDRs: externalCIDRs ?? [],
  };
}

/** v1 ConfigMap named `cilium-config`; undefined for every other ConfigMap. */
export function readConfigMap(reader: Reader, root: MapNode): CiliumConfigMap | 'other' | undefined {
  const nameNode = reader.child(root, 'metadata', '');
  const name = nameNode && reader.field(nameNode, 'name');
  if (name?.kind !== 'scalar' || name.value !== 'cilium-config') return 'other';
  const meta = readMeta(reader, root, 'ConfigMap');
  if (meta === undefined) return undefined;
  const data = new Map<string, { value: string; origin: Origin }>();
  reader.strings(root, 'data', '', (key, value, node) => {
    data.set(key, { value, origin: reader.origin(node.offset) });
  });
  return { namespace: meta.namespace ?? 'default', name: meta.name, origin: meta.origin, data };
}
