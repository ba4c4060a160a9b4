// v1 Service from its tree. In: a Reader and the object's root. Out: Service or undefined.
// Invariant: what the API server would default is filled in (type, protocol, targetPort, policies, affinity time).
import type { IpAddress, LoadBalancerIngress, Service, ServicePort } from '../state.ts';
import { readCreated, readMeta, readPortOrName, readProtocol } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode } from './tree.ts';

const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;
const policies = ['Cluster', 'Local'] as const;
const families = ['IPv4', 'IPv6'] as const;

/** Seconds that session affinity lasts by default (API server). */
const AFFINITY_DEFAULT = 10800;

/** v1 Service. */
export function readService(reader: Reader, root: MapNode): Service | undefined {
  const meta = readMeta(reader, root, 'Service');
  if (meta === undefined) return undefined;
  const created = readCreated(reader, meta.meta);
  const spec = reader.child(root, 'spec', '');
  if (spec === undefined)
    return reader.field(root, 'spec') === undefined ? reader.error(root.offset, 'spec: required') : undefined;
  const type = reader.choice(spec, 'type', 'spec', types) ?? 'ClusterIP';
  const cluster = readClusterIPs(reader, spec);
  const affinity = reader.child(spec, 'sessionAffinityConfig', 'spec');
  const clientIP = affinity && reader.child(affinity, 'clientIP', 'spec.sessionAffinityConfig');
  const loadBalancerIP = reader.address(spec, 'loadBalancerIP', 'spec');
  const loadBalancerClass = reader.name(spec, 'loadBalancerClass', 'spec');
  const sourceRanges = reader.each(spec, 'loadBalancerSourceRanges', 'spec', (node, path) =>
    // The API server trims these before it parses them.
    reader.asPrefix(
      node.kind === 'scalar' && typeof node.value === 'string' ? { ...node, value: node.value.trim() } : node,
      path,
      false,
    ),
  );
  const allocate = reader.flag(spec, 'allocateLoadBalancerNodePorts', 'spec');
  const healthCheckNodePort = reader.integer(spec, 'healthCheckNodePort', 'spec', 0, 65535);
  const ipFamilies = reader.each(spec, 'ipFamilies', 'spec', (node, path) => reader.asChoice(node, path, families));
  const ipFamilyPolicy = reader.choice(spec, 'ipFamilyPolicy', 'spec', [
    'SingleStack',
    'PreferDualStack',
    'RequireDualStack',
  ] as const);
  const externalName = reader.name(spec, 'externalName', 'spec');
  const trafficDistribution = reader.name(spec, 'trafficDistribution', 'spec');
  const selector = reader.strings(spec, 'selector', 'spec');
  const ports = readPorts(reader, spec);
  const portsNode = reader.field(spec, 'ports');
  const noPorts = portsNode === undefined || (portsNode.kind === 'sequence' && portsNode.items.length === 0);
  if (noPorts && type !== 'ExternalName' && !cluster.headless) reader.error(spec.offset, 'spec.ports: required');
  return {
    kind: 'Service',
    name: meta.name,
    namespace: meta.namespace ?? 'default',
    labels: meta.labels,
    annotations: meta.annotations,
    origin: meta.origin,
    type,
    headless: cluster.headless,
    clusterIPs: cluster.addresses,
    ports,
    externalIPs: reader.each(spec, 'externalIPs', 'spec', (node, path) => reader.asAddress(node, path)) ?? [],
    loadBalancerIngress: readIngress(reader, root),
    externalTrafficPolicy: reader.choice(spec, 'externalTrafficPolicy', 'spec', policies) ?? 'Cluster',
    internalTrafficPolicy: reader.choice(spec, 'internalTrafficPolicy', 'spec', policies) ?? 'Cluster',
    sessionAffinity: reader.choice(spec, 'sessionAffinity', 'spec', ['None', 'ClientIP'] as const) ?? 'None',
    sessionAffinityTimeoutSeconds:
      (clientIP && reader.integer(clientIP, 'timeoutSeconds', 'spec.sessionAffinityConfig.clientIP', 1, 86400)) ??
      AFFINITY_DEFAULT,
    publishNotReadyAddresses: reader.flag(spec, 'publishNotReadyAddresses', 'spec') ?? false,
    ...(created !== undefined && { created }),
    ...(selector !== undefined && { selector }),
    ...(loadBalancerIP !== undefined && { loadBalancerIP }),
    ...(loadBalancerClass !== undefined && { loadBalancerClass }),
    ...(sourceRanges !== undefined && {
      loadBalancerSourceRanges: sourceRanges.map(({ family, text, bytes, prefixLen }) => ({
        family,
        text,
        bytes,
        prefixLen,
      })),
    }),
    ...(allocate !== undefined && { allocateLoadBalancerNodePorts: allocate }),
    ...(healthCheckNodePort !== undefined && healthCheckNodePort > 0 && { healthCheckNodePort }),
    ...(ipFamilies !== undefined && { ipFamilies }),
    ...(ipFamilyPolicy !== undefined && { ipFamilyPolicy }),
    ...(externalName !== undefined && { externalName }),
    ...(trafficDistribution !== undefined && { trafficDistribution }),
  };
}

function readClusterIPs(reader: Reader, spec: MapNode): { headless: boolean; addresses: IpAddress[] } {
  // The API server takes None only; Cilium compares without case.
  const isNone = (text: unknown): boolean => typeof text === 'string' && text.toLowerCase() === 'none';
  const single = reader.field(spec, 'clusterIP');
  let headless = single?.kind === 'scalar' && isNone(single.value);
  const list = reader.each(spec, 'clusterIPs', 'spec', (node, path) => {
    if (node.kind === 'scalar' && isNone(node.value)) {
      headless = true;
      return undefined;
    }
    return reader.asAddress(node, path);
  });
  if (headless) return { headless, addresses: [] };
  const one = reader.address(spec, 'clusterIP', 'spec');
  const addresses = list !== undefined && list.length > 0 ? list : one === undefined ? [] : [one];
  if (one !== undefined && addresses[0]!.text !== one.text)
    reader.error(
      single!.offset,
      `spec.clusterIP: ${one.text} is not the first of spec.clusterIPs (${addresses[0]!.text})`,
    );
  return { headless, addresses };
}

function readPorts(reader: Reader, spec: MapNode): ServicePort[] {
  const names = new Set<string>();
  const numbers = new Set<string>();
  const list = reader.field(spec, 'ports');
  const count = list?.kind === 'sequence' ? list.items.length : 0;
  const ports = reader.eachMap(spec, 'ports', 'spec', (item, path): ServicePort | undefined => {
    const name = reader.text(item, 'name', path) ?? '';
    const protocol = readProtocol(reader, item, path);
    const port =
      reader.field(item, 'port') === undefined
        ? reader.error(item.offset, `${path}.port: required`)
        : reader.integer(item, 'port', path, 1, 65535);
    const targetNode = reader.field(item, 'targetPort');
    // 0 and "" are Go's zero values: not set.
    const unset =
      targetNode === undefined || (targetNode.kind === 'scalar' && (targetNode.value === 0 || targetNode.value === ''));
    const targetPort = unset ? port : readPortOrName(reader, targetNode, `${path}.targetPort`);
    const nodePort = reader.integer(item, 'nodePort', path, 0, 65535);
    const appProtocol = reader.name(item, 'appProtocol', path);
    if (name === '' && count > 1)
      reader.error(item.offset, `${path}.name: required when a Service has more than one port`);
    if (name !== '' && names.has(name))
      reader.error(item.offset, `${path}.name: duplicate port name ${JSON.stringify(name)}`);
    names.add(name);
    if (protocol === undefined || port === undefined || targetPort === undefined) return undefined;
    if (numbers.has(`${port}/${protocol}`)) reader.error(item.offset, `${path}: duplicate port ${port}/${protocol}`);
    numbers.add(`${port}/${protocol}`);
    return {
      name,
      protocol,
      port,
      targetPort,
      origin: reader.origin(item.offset),
      ...(nodePort !== undefined && nodePort > 0 && { nodePort }),
      ...(appProtocol !== undefined && { appProtocol }),
    };
  });
  return ports ?? [];
}

function readIngress(reader: Reader, root: MapNode): LoadBalancerIngress[] {
  const status = reader.child(root, 'status', '');
  const balancer = status && reader.child(status, 'loadBalancer', 'status');
  const list =
    balancer &&
    reader.eachMap(balancer, 'ingress', 'status.loadBalancer', (item, path): LoadBalancerIngress => {
      const ip = reader.address(item, 'ip', path);
      const hostname = reader.name(item, 'hostname', path);
      const ipMode = reader.choice(item, 'ipMode', path, ['VIP', 'Proxy'] as const);
      return {
        origin: reader.origin(item.offset),
        ...(ip !== undefined && { ip }),
        ...(hostname !== undefined && { hostname }),
        ...(ipMode !== undefined && { ipMode }),
      };
    });
  return list ?? [];
}
