// A client, a balancer and two machines on one switch. The balancer's own stack forwards nothing: what reaches a machine
// went through weir_xdp. Input: a folder. Output: the network with its servers, the cluster, what Maglev says of a client.
// Invariant: machines answer the client directly; no station asks for another's address.
import { tupleHash4, tupleHash6 } from '../../../src/datapath/jhash.ts';
import { DEFAULT_MAGLEV_SEED, maglevLookup, maglevTable, parseMaglevSeed } from '../../../src/control/maglev/index.ts';
import { checked, XDP_MODE } from '../../../src/dataplane/xdp/index.ts';
import type { MapWrite } from '../../../src/maps/index.ts';
import { backendKey, MAPS, NEXT_HOP, nextHopValue } from '../../../src/schema/index.ts';
import { addressBytes } from '../../support/packets.ts';
import { theAddon } from '../kernel.ts';
import { type Cluster, loadLabPrograms, readCluster } from './cluster.ts';
import { Network } from './network.ts';
import { serve } from './traffic.ts';

/** Addresses by machine, IPv4 and IPv6. */
export const ADDRESS = {
  client: ['10.77.0.10', 'fd77::10'],
  balancer: ['10.77.0.2', 'fd77::2'],
  backend1: ['10.77.0.21', 'fd77::21'],
  backend2: ['10.77.0.22', 'fd77::22'],
} as const;
type Machine = keyof typeof ADDRESS;
const MACHINES = Object.keys(ADDRESS) as Machine[];
export const BACKENDS = ['backend1', 'backend2'] as const;

/** The Service's addresses as a client sees them. */
export const FRONTENDS = [
  { name: 'LoadBalancer', family: 4, address: '203.0.113.80', port: 80 },
  { name: 'externalIP', family: 4, address: '198.51.100.80', port: 80 },
  { name: 'NodePort', family: 4, address: ADDRESS.balancer[0], port: 30080 },
  { name: 'LoadBalancer', family: 6, address: '2001:db8:113::80', port: 80 },
  { name: 'externalIP', family: 6, address: '2001:db8:51::80', port: 80 },
  { name: 'NodePort', family: 6, address: ADDRESS.balancer[1], port: 30080 },
] as const;

const socket = (family: number, address: string, port: number): string =>
  family === 4 ? `${address}:${port}` : `[${address}]:${port}`;

/** URL of a frontend. */
export const urlOf = ({ family, address, port }: (typeof FRONTENDS)[number]): string =>
  `http://${socket(family, address, port)}/`;

const SIZE = 1021; // values.yaml

/** The machine that Maglev chooses for a client's port; the Service's own port counts, its address does not. */
export function chosen(family: 4 | 6, clientPort: number, servicePort: number): (typeof BACKENDS)[number] {
  const seed = parseMaglevSeed(DEFAULT_MAGLEV_SEED);
  if (typeof seed === 'string') throw new Error(seed);
  const at = family === 4 ? 0 : 1;
  const backends = BACKENDS.map((name, id) => ({ id, address: ADDRESS[name][at], port: 80, protocol: 'TCP' }));
  const table = maglevTable(backends, { size: SIZE, seed: seed.murmur });
  const raw = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);
  const ports = raw(clientPort) | (raw(servicePort) << 16);
  const bytes = addressBytes(ADDRESS.client[at]);
  const word = (i: number): number => new DataView(bytes.buffer, bytes.byteOffset).getInt32(4 * i, true);
  const hash =
    family === 4
      ? tupleHash4(word(0), ports, 6, seed.hash4)
      : tupleHash6(word(0), word(1), word(2), word(3), ports, 6, seed.hash6);
  return BACKENDS[maglevLookup(table, hash)!.backendId]!;
}

/** Interfaces of the balancer, and the switch's ends of them. Clients reach it by the first. */
export const PORT_OF = { eth0: 'to-balancer', eth1: 'to-balancer-1' } as const;
/** See {@link PORT_OF}. */
export type BalancerDevice = keyof typeof PORT_OF;

/** A running lab. */
export interface NorthSouth {
  readonly network: Network;
  readonly cluster: Cluster;
  /** `address:port` of a machine as a backend. */
  readonly backendSocket: (family: 4 | 6, machine: (typeof BACKENDS)[number]) => string;
  /** Next hops of the balancer by one of its interfaces: a write for each backend. */
  readonly nextHops: (device: BalancerDevice) => readonly MapWrite[];
  close(): Promise<void>;
}

/** Builds it; on failure nothing is left. */
export async function startNorthSouth(folder: string): Promise<NorthSouth> {
  const network = new Network();
  const programs = loadLabPrograms(folder);
  const links: number[] = [];
  const addon = theAddon();
  const close = async (): Promise<void> => {
    for (const link of links) addon.close(link);
    programs.close();
    await network.close();
  };
  try {
    wire(network);
    const attach = (program: number, machine: string, device: string): void => {
      const { ifindex } = network.device(machine, device);
      const link = addon.linkXdp(program, ifindex, XDP_MODE.NATIVE, network.path(machine));
      links.push(checked(link, 'attach', `${device} of ${machine}`));
    };
    // A veth sends by XDP_TX or XDP_REDIRECT only towards a far end that receives by XDP, too.
    for (const port of Object.values(PORT_OF)) attach(programs.pass, 'switch', port);
    for (const backend of BACKENDS) attach(programs.decapsulate, backend, 'eth0');
    const listen = FRONTENDS.map(({ family, address, port }) => socket(family, address, port));
    for (const backend of BACKENDS) await serve(network, backend, folder, listen);
    const cluster = await readCluster('balancer', 'values.yaml', 'north-south.yaml');
    const backendSocket = (family: 4 | 6, machine: (typeof BACKENDS)[number]): string =>
      socket(family, ADDRESS[machine][family === 4 ? 0 : 1], 80);
    const nextHops = (device: BalancerDevice): MapWrite[] => {
      const own = network.device('balancer', device);
      return BACKENDS.flatMap((machine) =>
        ([4, 6] as const).map((family): MapWrite => {
          const destinationMac = network.device(machine, 'eth0').mac;
          const key = backendKey.encode({ id: cluster.backend(backendSocket(family, machine)) });
          const hop = { ifindex: own.ifindex, mtu: 1500, flags: NEXT_HOP.KNOWN, destinationMac, sourceMac: own.mac };
          return { map: MAPS[`nextHops${family}`].name, op: 'update', key, value: nextHopValue.encode(hop) };
        }),
      );
    };
    return { network, cluster, backendSocket, nextHops, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Machines on a switch; every address that one may need is told, so that only the test's packets travel. */
function wire(network: Network): void {
  network.add('switch', ...MACHINES);
  network.ip('switch', ['link add br0 type bridge stp_state 0 mcast_snooping 0', 'link set br0 up']);
  for (const machine of MACHINES) {
    network.join(machine, 'eth0', 'switch', `to-${machine}`);
    network.ip('switch', [`link set to-${machine} master br0`]);
    const [four, six] = ADDRESS[machine];
    network.ip(machine, [`addr add ${four}/24 dev eth0`, `addr add ${six}/64 dev eth0 nodad`]);
  }
  network.join('balancer', 'eth1', 'switch', PORT_OF.eth1);
  network.ip('switch', [`link set ${PORT_OF.eth1} master br0`]);
  for (const machine of MACHINES)
    for (const other of MACHINES) {
      if (other === machine) continue;
      const { macText } = network.device(other, 'eth0');
      network.ip(
        machine,
        ADDRESS[other].map((address) => `neigh replace ${address} lladdr ${macText} dev eth0 nud permanent`),
      );
    }
  for (const { name, family, address } of FRONTENDS) {
    const prefix = `${address}/${family === 4 ? 32 : 128}`;
    for (const backend of BACKENDS) network.ip(backend, [`addr add ${prefix} dev lo${family === 6 ? ' nodad' : ''}`]);
    if (name !== 'NodePort')
      network.ip('client', [`route add ${prefix} via ${ADDRESS.balancer[family === 4 ? 0 : 1]}`]);
  }
}
