// EndpointSlice and Endpoints from their trees. In: a Reader and the object's root. Out: state objects or undefined.
// Invariant: conditions stay as written (absent is not false); an absent slice port means every port.
import type {
  EndpointPort,
  Endpoints,
  EndpointsAddress,
  EndpointSlice,
  EndpointSubset,
  ObjectRef,
  SliceEndpoint,
} from '../state.ts';
import { readMeta, readProtocol } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode } from './tree.ts';

const addressTypes = ['IPv4', 'IPv6', 'FQDN'] as const;
const WEIGHT = 'service.cilium.io/weight';

/** discovery.k8s.io EndpointSlice. */
export function readEndpointSlice(reader: Reader, root: MapNode): EndpointSlice | undefined {
  const meta = readMeta(reader, root, 'EndpointSlice');
  if (meta === undefined) return undefined;
  const addressType =
    reader.field(root, 'addressType') === undefined
      ? reader.error(root.offset, 'addressType: required')
      : reader.choice(root, 'addressType', '', addressTypes);
  if (addressType === undefined) return undefined;
  const serviceName = meta.labels.get('kubernetes.io/service-name');
  const weight = readWeight(reader, meta.meta, meta.annotations.get(WEIGHT));
  return {
    kind: 'EndpointSlice',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    addressType,
    endpoints:
      reader.eachMap(root, 'endpoints', '', (item, path) => readEndpoint(reader, item, path, addressType)) ?? [],
    ports: reader.eachMap(root, 'ports', '', (item, path) => readPort(reader, item, path)) ?? [],
    ...(serviceName !== undefined && { serviceName }),
    ...(weight !== undefined && { weight }),
  };
}

function readWeight(reader: Reader, meta: MapNode, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
  return reader.warning(
    meta.offset,
    `metadata.annotations.${WEIGHT}: ${JSON.stringify(text)} is not a weight (0–65535) and is ignored`,
  );
}

function readEndpoint(
  reader: Reader,
  item: MapNode,
  path: string,
  addressType: 'IPv4' | 'IPv6' | 'FQDN',
): SliceEndpoint {
  const conditions = reader.child(item, 'conditions', path);
  const ready = conditions && reader.flag(conditions, 'ready', `${path}.conditions`);
  const serving = conditions && reader.flag(conditions, 'serving', `${path}.conditions`);
  const terminating = conditions && reader.flag(conditions, 'terminating', `${path}.conditions`);
  const family = addressType === 'IPv4' ? 4 : 6;
  const addresses = reader.each(item, 'addresses', path, (node, addressPath) => {
    if (addressType === 'FQDN') return undefined;
    const address = reader.asAddress(node, addressPath);
    if (address !== undefined && address.family !== family)
      return reader.error(node.offset, `${addressPath}: ${address.text} is not of addressType ${addressType}`);
    return address;
  });
  if (reader.field(item, 'addresses') === undefined) reader.error(item.offset, `${path}.addresses: required`);
  const nodeName = reader.name(item, 'nodeName', path);
  const zone = reader.name(item, 'zone', path);
  const hostname = reader.name(item, 'hostname', path);
  const targetRef = readRef(reader, item, path);
  const hintMap = reader.child(item, 'hints', path);
  const forZones = hintMap && readNames(reader, hintMap, 'forZones', `${path}.hints`);
  const forNodes = hintMap && readNames(reader, hintMap, 'forNodes', `${path}.hints`);
  return {
    origin: reader.origin(item.offset),
    addresses: addresses ?? [],
    ...(ready !== undefined && { ready }),
    ...(serving !== undefined && { serving }),
    ...(terminating !== undefined && { terminating }),
    ...(nodeName !== undefined && { nodeName }),
    ...(zone !== undefined && { zone }),
    ...(hostname !== undefined && { hostname }),
    ...(targetRef !== undefined && { targetRef }),
    ...(hintMap !== undefined && {
      hints: { ...(forZones !== undefined && { forZones }), ...(forNodes !== undefined && { forNodes }) },
    }),
  };
}

function readNames(reader: Reader, map: MapNode, key: string, path: string): string[] | undefined {
  return reader.eachMap(map, key, path, (item, itemPath) => reader.text(item, 'name', itemPath));
}

function readRef(reader: Reader, item: MapNode, path: string): ObjectRef | undefined {
  const ref = reader.child(item, 'targetRef', path);
  const kind = ref && reader.text(ref, 'kind', `${path}.targetRef`);
  const name = ref && reader.text(ref, 'name', `${path}.targetRef`);
  if (ref === undefined || kind === undefined || name === undefined) return undefined;
  const namespace = reader.name(ref, 'namespace', `${path}.targetRef`);
  return { kind, name, ...(namespace !== undefined && { namespace }) };
}

function readPort(reader: Reader, item: MapNode, path: string): EndpointPort | undefined {
  const protocol = readProtocol(reader, item, path);
  const port = reader.integer(item, 'port', path, 0, 65535);
  const appProtocol = reader.name(item, 'appProtocol', path);
  const name = reader.text(item, 'name', path) ?? '';
  if (protocol === undefined) return undefined;
  return {
    name,
    protocol,
    origin: reader.origin(item.offset),
    ...(port !== undefined && { port }),
    ...(appProtocol !== undefined && { appProtocol }),
  };
}

/** v1 Endpoints. */
export function readEndpoints(reader: Reader, root: MapNode): Endpoints | undefined {
  const meta = readMeta(reader, root, 'Endpoints');
  if (meta === undefined) return undefined;
  const address = (item: MapNode, path: string): EndpointsAddress | undefined => {
    const ip = reader.address(item, 'ip', path);
    if (ip === undefined)
      return reader.field(item, 'ip') === undefined ? reader.error(item.offset, `${path}.ip: required`) : undefined;
    const hostname = reader.name(item, 'hostname', path);
    const nodeName = reader.name(item, 'nodeName', path);
    const targetRef = readRef(reader, item, path);
    return {
      ip,
      origin: reader.origin(item.offset),
      ...(hostname !== undefined && { hostname }),
      ...(nodeName !== undefined && { nodeName }),
      ...(targetRef !== undefined && { targetRef }),
    };
  };
  const subsets = reader.eachMap(root, 'subsets', '', (item, path): EndpointSubset => ({
    origin: reader.origin(item.offset),
    addresses: reader.eachMap(item, 'addresses', path, address) ?? [],
    notReadyAddresses: reader.eachMap(item, 'notReadyAddresses', path, address) ?? [],
    ports: reader.eachMap(item, 'ports', path, (port, portPath) => readPort(reader, port, portPath)) ?? [],
  }));
  return {
    kind: 'Endpoints',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    subsets: subsets ?? [],
  };
}
