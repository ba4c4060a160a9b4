// Two clients and two servers, pods of one node, whose pairs end in the node's namespace. The node's own stack has no routes
// to them: what reaches a pod went through Weir's tc programs. Input: a folder. Output: the network, the cluster.
// Invariant: pods are wired as a CNI plugin would: one address, everything else by way of the node's end of the pair.
import type { MapWrite } from '../../../src/maps/index.ts';
import { endpointValue } from '../../../src/schema/index.ts';
import { addressBytes } from '../../support/packets.ts';
import { type Cluster, readCluster } from './cluster.ts';
import { Network } from './network.ts';
import { serve } from './traffic.ts';

/** Pods with their addresses. */
export const POD = {
  client: ['10.78.0.11', 'fd78::11'],
  stranger: ['10.78.0.12', 'fd78::12'],
  'web-1': ['10.78.0.21', 'fd78::21'],
  'web-2': ['10.78.0.22', 'fd78::22'],
} as const;
export type PodName = keyof typeof POD;
export const PODS = Object.keys(POD) as PodName[];
export const SERVERS = ['web-1', 'web-2'] as const;
/** The node's end of a pod's pair. */
export const hostEnd = (pod: PodName): string => `lxc-${pod}`;

/** The Service's addresses. */
export const CLUSTER_IP = ['10.96.0.80', 'fd96::80'] as const;
/** The node's address as pods route by it. */
const GATEWAY = ['10.78.0.1', 'fd78::1'] as const;

/** A running lab. */
export interface EastWest {
  readonly network: Network;
  readonly cluster: Cluster;
  /** The endpoints with the interfaces and stations that they have here. */
  readonly endpoints: readonly MapWrite[];
  close(): Promise<void>;
}

/** Builds it; on failure nothing is left. */
export async function startEastWest(folder: string): Promise<EastWest> {
  const network = new Network();
  try {
    network.add('node', ...PODS);
    for (const pod of PODS) wire(network, pod);
    for (const server of SERVERS) {
      const [four, six] = POD[server];
      await serve(network, server, folder, [`${four}:8080`, `[${six}]:8080`]);
    }
    const cluster = await readCluster('n1', 'values.yaml', 'east-west.yaml', 'policies.yaml');
    const endpoints = [cluster.compiled.maps.endpoints4, cluster.compiled.maps.endpoints6].flatMap((map) =>
      [...map].map(([key, value]): MapWrite => {
        const pod = PODS.find((name) => POD[name].some((address) => addressBytes(address).join() === key.join()));
        if (pod === undefined) throw new Error(`no pod of the lab has the address ${key.join()}`);
        const here = network.device('node', hostEnd(pod));
        const { mac } = network.device(pod, 'eth0');
        const filled = { ...endpointValue.decode(value), ifindex: here.ifindex, mac, nodeMac: here.mac };
        return { map: map.spec.name, op: 'update', key, value: endpointValue.encode(filled) };
      }),
    );
    return { network, cluster, endpoints, close: () => network.close() };
  } catch (error) {
    await network.close();
    throw error;
  }
}

/** One pod: its pair, its addresses, its way out. */
function wire(network: Network, pod: PodName): void {
  network.join(pod, 'eth0', 'node', hostEnd(pod));
  const { macText } = network.device('node', hostEnd(pod));
  const [four, six] = POD[pod];
  network.ip(pod, [
    `addr add ${four}/32 dev eth0`,
    `addr add ${six}/128 dev eth0 nodad`,
    ...GATEWAY.flatMap((gateway) => [
      `neigh replace ${gateway} lladdr ${macText} dev eth0 nud permanent`,
      `route add ${gateway} dev eth0`,
      `route add default via ${gateway}`,
    ]),
  ]);
}
