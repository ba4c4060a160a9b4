// The peer that many would write first: one object a packet, addresses as strings, a Map of string keys for every table.
// Input: the benchmark's node, frames. Output: the same verdicts, backends and interfaces as the simulator, frames rewritten.
// For benchmarks; it knows TCP over IPv4 from a pod through ClusterIPs, which is all that the benchmark sends.
import { tupleHash4 } from '../../src/datapath/index.ts';
import { VERDICT } from '../../src/schema/index.ts';
import * as node from '../world/packets.ts';

const { NODE } = node;

interface TcpPacket {
  readonly frame: Uint8Array;
  readonly view: DataView;
  readonly source: string;
  destination: string;
  readonly sourcePort: number;
  destinationPort: number;
  readonly protocol: string;
  readonly flags: { readonly syn: boolean; readonly ack: boolean; readonly fin: boolean; readonly rst: boolean };
  readonly ttl: number;
  readonly length: number;
}

interface Backend {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  readonly active: boolean;
}

interface Service {
  readonly name: string;
  readonly backends: ReadonlyMap<number, Backend>;
  readonly table: Uint32Array;
}

interface Connection {
  readonly key: string;
  readonly backend: Backend | undefined;
  expires: number;
  established: boolean;
  rule: Rule | undefined;
  identity: number;
  epoch: number;
}

interface Rule {
  readonly action: 'allow' | 'deny';
  readonly cookie: number;
}

interface Endpoint {
  readonly ifindex: number;
  readonly identity: number;
  readonly policy: ReadonlyMap<string, Rule> | undefined;
  readonly epoch: number;
  readonly mac: Uint8Array;
  readonly nodeMac: Uint8Array;
}

interface Route {
  readonly ifindex: number;
  readonly mtu: number;
  readonly gateway: string;
}

/** What a run answers. */
export interface Outcome {
  readonly verdict: number;
  readonly reason?: string;
  readonly backend?: Backend;
  readonly ifindex: number;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  readonly cookie: number;
}

const text = (a: number): string => `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
const textAt = (bytes: Uint8Array, at: number): string =>
  `${bytes[at]!}.${bytes[at + 1]!}.${bytes[at + 2]!}.${bytes[at + 3]!}`;
const octets = (address: string): number[] => address.split('.').map(Number);

/** The pipeline over objects. */
export class ObjectPipeline {
  private readonly services = new Map<string, Service>();
  private readonly endpoints = new Map<string, Endpoint>();
  private readonly identities = new Map<string, number>();
  private readonly routes = new Map<string, Route>();
  private readonly neighbours = new Map<string, { destination: Uint8Array; source: Uint8Array }>();
  private readonly connections = new Map<string, Connection>();
  private readonly hashSeed: number;

  /**
   * @param tableOf Maglev table of a service
   * @param hashSeed seed of the flow hash
   */
  constructor(tableOf: (service: number) => Uint32Array, hashSeed: number) {
    this.hashSeed = hashSeed;
    const policies = Array.from({ length: NODE.roles }, (_, role) => {
      const policy = new Map<string, Rule>();
      for (let s = 0; s < NODE.services; s++) {
        if (!node.isAllowed(role, s)) continue;
        policy.set(`${node.serviceIdentity(s)}:8080/TCP`, { action: 'allow', cookie: node.allowCookie(role, s) });
      }
      policy.set('cluster:22/TCP', { action: 'deny', cookie: 2_000_000 + role });
      return policy.set('any:53/TCP', { action: 'allow', cookie: 3_000_000 + role });
    });
    for (let c = 0; c < NODE.clients; c++) {
      const address = text(node.clientAddress(c));
      const role = node.roleOf(c);
      this.addEndpoint(address, node.clientIfindex(c), node.roleIdentity(role), policies[role]);
    }
    for (let s = 0; s < NODE.services; s++) {
      const backends = new Map<number, Backend>();
      for (let i = 1; i <= NODE.backendsPerService; i++) {
        const id = s * NODE.backendsPerService + i;
        const address = text(node.backendAddress(id));
        backends.set(id, { id, address, port: 8080, active: true });
        this.identities.set(address, node.serviceIdentity(s));
        if (id % NODE.nodes === 0) {
          this.addEndpoint(address, node.outIfindexOf(id), node.serviceIdentity(s), undefined);
        }
      }
      const frontend = `${text(node.frontendAddress(s))}:80/TCP`;
      this.services.set(frontend, { name: `service-${s}`, backends, table: tableOf(s) });
    }
    for (let n = 1; n < NODE.nodes; n++) {
      this.routes.set(`10.244.${n}`, { ifindex: 2, mtu: 1500, gateway: `node-${n}` });
      this.neighbours.set(`2:node-${n}`, { destination: node.nodeMac(n), source: node.nodeMac(0) });
    }
  }

  private addEndpoint(address: string, ifindex: number, identity: number, policy: Endpoint['policy']): void {
    const macs = { mac: node.podMac(ifindex), nodeMac: node.hostMac(ifindex) };
    this.endpoints.set(address, { ifindex, identity, policy, epoch: 1, ...macs });
    this.identities.set(address, identity);
  }

  /** Forgets all connections. */
  clear(): void {
    this.connections.clear();
  }

  /** Runs one frame that a pod sent through `ifindex` at `now` seconds. */
  run(frame: Uint8Array, ifindex: number, now: number): Outcome {
    const packet = parse(frame);
    if (packet === undefined) return dropped('Invalid packet');
    const sender = this.endpoints.get(packet.source);
    if (sender === undefined || sender.ifindex !== ifindex) return dropped('Invalid source ip');
    const { source, sourcePort, protocol } = packet;

    const frontend = `${packet.destination}:${packet.destinationPort}/${protocol}`;
    const service = this.services.get(frontend);
    let backend: Backend | undefined;
    if (service !== undefined) {
      const key = `${source}:${sourcePort}->${frontend}`;
      const known = this.find(key, now);
      backend = known?.backend ?? this.choose(service, packet);
      if (backend === undefined || !backend.active) return dropped('Service backend not found');
      if (known === undefined) this.create({ key, backend, rule: undefined, identity: 0, epoch: 0 }, now);
      else this.touch(known, packet, now);
      rewriteDestination(packet, backend);
    }

    const key = `${source}:${sourcePort}->${packet.destination}:${packet.destinationPort}/${protocol}`;
    const known = this.find(key, now);
    let rule = known?.rule;
    let identity = known?.identity ?? 0;
    if (known === undefined || known.epoch !== sender.epoch) {
      identity = this.identities.get(packet.destination) ?? 2;
      if (sender.policy !== undefined) {
        rule = evaluate(sender.policy, identity, packet);
        if (rule?.action !== 'allow') {
          const reason = rule === undefined ? 'Policy denied' : 'Policy denied by denylist';
          return { ...dropped(reason), ...(backend && { backend }), sourceIdentity: sender.identity };
        }
      }
      if (known === undefined) this.create({ key, backend, rule, identity, epoch: sender.epoch }, now);
    }
    if (known !== undefined) this.touch(known, packet, now);
    const out = this.forward(packet);
    const sourceIdentity = sender.identity;
    const decision = { sourceIdentity, destinationIdentity: identity, cookie: rule?.cookie ?? 0 };
    return { verdict: VERDICT.FORWARDED, ...(backend && { backend }), ifindex: out, ...decision };
  }

  private find(key: string, now: number): Connection | undefined {
    const connection = this.connections.get(key);
    return connection === undefined || connection.expires < now ? undefined : connection;
  }

  private create(connection: Omit<Connection, 'expires' | 'established'>, now: number): void {
    this.connections.set(connection.key, { ...connection, expires: now + 60, established: false });
  }

  private touch(connection: Connection, packet: TcpPacket, now: number): void {
    if (!packet.flags.syn) connection.established = true;
    connection.expires = now + (connection.established ? 8000 : 60);
  }

  private choose(service: Service, { source, sourcePort, destinationPort }: TcpPacket): Backend | undefined {
    const [a, b, c, d] = octets(source) as [number, number, number, number];
    const raw = (port: number): number => ((port & 255) << 8) | (port >>> 8);
    const ports = raw(sourcePort) | (raw(destinationPort) << 16);
    const hash = tupleHash4(a | (b << 8) | (c << 16) | (d << 24), ports, 6, this.hashSeed) >>> 0;
    return service.backends.get(service.table[hash % service.table.length]!);
  }

  private forward(packet: TcpPacket): number {
    const local = this.endpoints.get(packet.destination);
    if (local !== undefined) {
      rewriteHop(packet, local.mac, local.nodeMac);
      return local.ifindex;
    }
    const route = this.routes.get(packet.destination.slice(0, packet.destination.lastIndexOf('.')));
    if (route === undefined || packet.length > route.mtu) return 0;
    const neighbour = this.neighbours.get(`${route.ifindex}:${route.gateway}`);
    if (neighbour === undefined) return 0;
    rewriteHop(packet, neighbour.destination, neighbour.source);
    return route.ifindex;
  }
}

function dropped(reason: string): Outcome {
  return { verdict: VERDICT.DROPPED, reason, ifindex: 0, sourceIdentity: 0, destinationIdentity: 0, cookie: 0 };
}

/** The rule that decides: of the identity, of its class, of anybody; a denial wins. */
function evaluate(policy: ReadonlyMap<string, Rule>, identity: number, packet: TcpPacket): Rule | undefined {
  const target = `${packet.destinationPort}/${packet.protocol}`;
  const peers = [String(identity), identity < 65536 ? 'cluster' : 'world', 'any'];
  const rules = peers.map((peer) => policy.get(`${peer}:${target}`)).filter((rule) => rule !== undefined);
  return rules.find(({ action }) => action === 'deny') ?? rules[0];
}

function parse(frame: Uint8Array): TcpPacket | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.byteLength < 54 || view.getUint16(12) !== 0x0800 || view.getUint8(23) !== 6) return undefined;
  const length = view.getUint16(16);
  if (length > view.byteLength - 14) return undefined;
  const bits = view.getUint8(47);
  return {
    frame,
    view,
    source: textAt(frame, 26),
    destination: textAt(frame, 30),
    sourcePort: view.getUint16(34),
    destinationPort: view.getUint16(36),
    protocol: 'TCP',
    flags: { syn: (bits & 2) !== 0, ack: (bits & 16) !== 0, fin: (bits & 1) !== 0, rst: (bits & 4) !== 0 },
    ttl: view.getUint8(22),
    length,
  };
}

/** Adjusts the checksum at `at` for 16-bit words that changed. */
function adjust(view: DataView, at: number, before: readonly number[], after: readonly number[]): void {
  let sum = ~view.getUint16(at) & 0xffff;
  before.forEach((word, i) => (sum += (~word & 0xffff) + after[i]!));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at, ~sum);
}

function rewriteDestination(packet: TcpPacket, backend: Backend): void {
  const { view } = packet;
  const before = [view.getUint16(30), view.getUint16(32)];
  octets(backend.address).forEach((octet, i) => view.setUint8(30 + i, octet));
  const after = [view.getUint16(30), view.getUint16(32)];
  adjust(view, 24, before, after);
  adjust(view, 50, [...before, view.getUint16(36)], [...after, backend.port]);
  view.setUint16(36, backend.port);
  packet.destination = backend.address;
  packet.destinationPort = backend.port;
}

function rewriteHop({ frame, view, ttl }: TcpPacket, destination: Uint8Array, source: Uint8Array): void {
  const before = [view.getUint16(22)];
  view.setUint8(22, ttl - 1);
  adjust(view, 24, before, [view.getUint16(22)]);
  frame.set(destination, 0);
  frame.set(source, 6);
}
