// HostPorts: frontends that pods make by themselves. Input: pods, the node, settings. Output: Frontend[] a pod.
// Invariant: only a pod that lives, runs on the node and has a network of its own owns a HostPort; ports of the range of node
// ports are refused, as in Cilium.
import { ALGORITHM, BACKEND_STATE, SCOPE, SERVICE_FLAG } from '../../schema/index.ts';
import { objectKey } from '../pods.ts';
import type { Problem } from '../problem.ts';
import type { ContainerPort, IpAddress, Pod } from '../state.ts';
import { backendKeyOf, type ServiceBackend } from './backends.ts';
import { type Frontend, frontendKey, type FrontendOwner, TYPE_FLAG, ZERO } from './frontend.ts';
import { type FrontendWorld, NOTHING_WANTED, type Wanted } from './service-frontends.ts';

/** True for a pod that can own host ports at all. */
export const hasHostPorts = (pod: Pod): boolean =>
  !pod.hostNetwork &&
  (pod.phase === undefined || pod.phase === 'Running' || pod.phase === 'Unknown') &&
  pod.ports.some(({ hostPort }) => hostPort !== undefined);

/** Reads the frontends of a pod. */
export function hostPortFrontends(pod: Pod, world: FrontendWorld): Wanted {
  const { settings } = world;
  if (!hasHostPorts(pod) || !settings.kubeProxyReplacement) return NOTHING_WANTED;
  if (settings.node !== undefined && pod.nodeName !== settings.node) return NOTHING_WANTED;
  const frontends: Frontend[] = [];
  const problems: Problem[] = [];
  for (const port of pod.ports) {
    const { hostPort } = port;
    if (hostPort === undefined) continue;
    if (hostPort >= settings.nodePortFirst && hostPort <= settings.nodePortLast) {
      const { file, line, column } = port.origin;
      const message = `Pod ${objectKey(pod)}: hostPort ${hostPort} is in the range of node ports and is not served`;
      problems.push({ severity: 'warning', file, line, column, message });
      continue;
    }
    const owner: FrontendOwner = {
      namespace: pod.namespace,
      name: `${pod.name}:host-port:${hostPort}:${pod.uid ?? ''}`,
      source: 'k8s',
      created: pod.created,
      origin: port.origin,
    };
    for (const podIP of pod.podIPs) {
      if (!(podIP.family === 4 ? settings.ipv4 : settings.ipv6)) continue;
      for (const place of placesOf(port, podIP.family, world, pod.nodeName))
        frontends.push(frontendOf(owner, port, hostPort, podIP, place));
    }
  }
  return { frontends, problems, dependsOnNode: true };
}

interface HostPlace {
  readonly address: IpAddress;
  readonly flags: number;
  readonly expanded: boolean;
}

/** A port without a host address is open on all of the node's; one on loopback on the node itself only. */
function placesOf({ hostIP }: ContainerPort, family: 4 | 6, { nodes }: FrontendWorld, nodeName?: string): HostPlace[] {
  const zero = { address: ZERO[family], flags: 0, expanded: false };
  const isZero = hostIP?.bytes.every((byte) => byte === 0) === true;
  if (hostIP !== undefined && hostIP.family !== family) return [];
  if (hostIP !== undefined && !isZero) {
    if (isLoopback(hostIP)) return [{ ...zero, flags: SERVICE_FLAG.LOOPBACK }];
    return [{ address: hostIP, flags: SERVICE_FLAG.ROUTABLE, expanded: false }];
  }
  const own = nodes.nodePortAddresses(family, nodeName);
  return [zero, ...own.map((address) => ({ address, flags: SERVICE_FLAG.ROUTABLE, expanded: true }))];
}

const isLoopback = ({ family, bytes, text }: IpAddress): boolean => (family === 4 ? bytes[0] === 127 : text === '::1');

function frontendOf(
  owner: FrontendOwner,
  { protocol, containerPort, name }: ContainerPort,
  hostPort: number,
  podIP: IpAddress,
  { address, flags, expanded }: HostPlace,
): Frontend {
  const backend: ServiceBackend = {
    key: backendKeyOf(podIP.text, containerPort, protocol),
    address: podIP,
    port: containerPort,
    protocol,
    state: BACKEND_STATE.ACTIVE,
    serving: true,
    weight: 1,
    nodeName: undefined,
    zone: undefined,
    hints: [],
  };
  return {
    key: frontendKey(address.text, hostPort, protocol, SCOPE.EXTERNAL),
    owner,
    portName: name ?? '',
    type: 'HostPort',
    address,
    port: hostPort,
    protocol,
    scope: SCOPE.EXTERNAL,
    flags: TYPE_FLAG.HostPort | flags,
    algorithm: ALGORITHM.DEFAULT,
    affinitySeconds: 0,
    backends: [backend],
    draining: [],
    idle: [],
    maglev: false,
    sourceRanges: [],
    scaleToZero: false,
    wildcard: false,
    expanded,
    programmed: true,
  };
}
