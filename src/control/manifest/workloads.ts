// Namespace, Node and Pod from their trees. In: a Reader and an object's root. Out: state objects or undefined.
// Invariant: only fields that Weir reads are looked at; what the API server would default is filled in.
import type { ContainerPort, IpAddress, IpPrefix, Namespace, Node, NodeAddress, Pod } from '../state.ts';
import { portNameProblem, readCreated, readMeta, readProtocol } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode } from './tree.ts';

const phases = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;

/** v1 Namespace. */
export function readNamespace(reader: Reader, root: MapNode): Namespace | undefined {
  const meta = readMeta(reader, root, 'Namespace');
  if (meta === undefined) return undefined;
  const labels = new Map(meta.labels);
  // The API server sets this label and lets nobody override it.
  labels.set('kubernetes.io/metadata.name', meta.name);
  return { kind: 'Namespace', name: meta.name, labels, annotations: meta.annotations, origin: meta.origin };
}

/** v1 Node. */
export function readNode(reader: Reader, root: MapNode): Node | undefined {
  const meta = readMeta(reader, root, 'Node');
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  const status = reader.child(root, 'status', '');
  const addresses =
    status && reader.eachMap(status, 'addresses', 'status', (item, path) => readNodeAddress(reader, item, path));
  const podCIDRs = spec && reader.each(spec, 'podCIDRs', 'spec', (node, path) => reader.asPrefix(node, path, false));
  const single = spec && podCIDRs === undefined ? reader.prefix(spec, 'podCIDR', 'spec') : undefined;
  return {
    kind: 'Node',
    name: meta.name,
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    addresses: addresses ?? [],
    podCIDRs: podCIDRs?.map(plainPrefix) ?? (single === undefined ? [] : [plainPrefix(single)]),
  };
}

function plainPrefix({ family, text, bytes, prefixLen }: IpPrefix): IpPrefix {
  return { family, text, bytes, prefixLen };
}

function readNodeAddress(reader: Reader, item: MapNode, path: string): NodeAddress | undefined {
  const type = reader.text(item, 'type', path);
  // Hostname, InternalDNS and ExternalDNS hold names.
  if (type === undefined || !type.endsWith('IP')) return undefined;
  const address = reader.address(item, 'address', path);
  return address && { type, address, origin: reader.origin(item.offset) };
}

/** v1 Pod. */
export function readPod(reader: Reader, root: MapNode): Pod | undefined {
  const meta = readMeta(reader, root, 'Pod');
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  const status = reader.child(root, 'status', '');
  const ports: ContainerPort[] = [];
  if (spec !== undefined) {
    reader.eachMap(spec, 'containers', 'spec', (item, path) => readContainer(reader, item, path, false, ports));
    reader.eachMap(spec, 'initContainers', 'spec', (item, path) => readContainer(reader, item, path, true, ports));
  }
  const created = readCreated(reader, meta.meta);
  const uid = reader.name(meta.meta, 'uid', 'metadata');
  const nodeName = spec && reader.name(spec, 'nodeName', 'spec');
  const phase = status && reader.choice(status, 'phase', 'status', phases);
  const ready = status && readReady(reader, status);
  return {
    kind: 'Pod',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    podIPs: status === undefined ? [] : readPodIPs(reader, status),
    hostNetwork: (spec && reader.flag(spec, 'hostNetwork', 'spec')) ?? false,
    serviceAccount:
      (spec && (reader.name(spec, 'serviceAccountName', 'spec') ?? reader.name(spec, 'serviceAccount', 'spec'))) ??
      'default',
    terminating: reader.field(meta.meta, 'deletionTimestamp') !== undefined,
    ports,
    ...(created !== undefined && { created }),
    ...(uid !== undefined && { uid }),
    ...(nodeName !== undefined && { nodeName }),
    ...(phase !== undefined && { phase }),
    ...(ready !== undefined && { ready }),
  };
}

function readPodIPs(reader: Reader, status: MapNode): IpAddress[] {
  const list = reader.eachMap(status, 'podIPs', 'status', (item, path) => reader.address(item, 'ip', path));
  if (list !== undefined && list.length > 0) return list;
  const single = reader.address(status, 'podIP', 'status');
  return single === undefined ? [] : [single];
}

function readReady(reader: Reader, status: MapNode): boolean | undefined {
  let ready: boolean | undefined;
  reader.eachMap(status, 'conditions', 'status', (item, path) => {
    if (reader.text(item, 'type', path) === 'Ready') ready = reader.text(item, 'status', path) === 'True';
    return undefined;
  });
  return ready;
}

function readContainer(reader: Reader, item: MapNode, path: string, init: boolean, ports: ContainerPort[]): undefined {
  // Of the init containers only native sidecars run beside the pod's containers, so only their ports are reachable.
  if (init && reader.text(item, 'restartPolicy', path) !== 'Always') return;
  const container = reader.text(item, 'name', path) ?? '';
  reader.eachMap(item, 'ports', path, (port, portPath) => {
    const protocol = readProtocol(reader, port, portPath);
    const containerPort =
      reader.field(port, 'containerPort') === undefined
        ? reader.error(port.offset, `${portPath}.containerPort: required`)
        : reader.integer(port, 'containerPort', portPath, 1, 65535);
    const name = reader.name(port, 'name', portPath);
    const problem = name === undefined ? undefined : portNameProblem(name);
    if (problem !== undefined) reader.error(reader.field(port, 'name')!.offset, `${portPath}.name: ${problem}`);
    const hostPort = reader.integer(port, 'hostPort', portPath, 0, 65535);
    const hostIP = reader.address(port, 'hostIP', portPath);
    if (protocol === undefined || containerPort === undefined) return undefined;
    ports.push({
      container,
      sidecar: init,
      containerPort,
      protocol,
      origin: reader.origin(port.offset),
      ...(name !== undefined && { name }),
      ...(hostPort !== undefined && hostPort > 0 && { hostPort }),
      ...(hostIP !== undefined && { hostIP }),
    });
    return undefined;
  });
}
