// A client, a balancer and a backend's node with one pod, each node a simulator of its own. Input: features, what the client
// sends. Output: every hook's result on the way, and what the client sees in the end. What is on the wire between the nodes is
// taken over byte for byte; nothing else passes between them.
import { ACTION, FEATURE, SERVICE_FLAG } from '../../src/schema/index.ts';
import { type Config, type Result, World } from './datapath-world.ts';
import type { PacketSpec } from './packets.ts';

export type Family = 4 | 6;

/** Addresses of the scene, by family. */
export const AT = {
  client: { 4: '110.0.11.1', 6: '2001:db8::11' },
  vip: { 4: '172.16.10.1', 6: 'fd10::1' },
  balancer: { 4: '10.0.10.1', 6: 'fd0a::1' },
  node: { 4: '10.0.10.2', 6: 'fd0a::2' },
  /** Addresses of the nodes inside the overlay. */
  gateway: { 4: '192.168.1.254', 6: 'fd01::fe' },
  otherGateway: { 4: '192.168.2.254', 6: 'fd02::fe' },
  /** A pod on the balancer's node. */
  neighbour: { 4: '192.168.1.7', 6: 'fd01::7' },
  pod: { 4: '192.168.2.1', 6: 'fd02::1' },
} as const;
export const CLIENT_PORT = 11111;
export const FRONTEND_PORT = 80;
export const POD_IFINDEX = 25;
const REVERSE_NAT = 7;

export interface Scene {
  readonly features?: readonly number[];
  /** Flags of the frontend besides ROUTABLE. */
  readonly flags?: number;
  readonly protocol?: 'tcp' | 'udp' | 'sctp';
  /** SCTP's port cannot change. */
  readonly targetPort?: number;
  readonly config?: Partial<Config>;
  /** Behind the overlay, by the nodes' addresses of this family. */
  readonly underlay?: Family;
}

export const POD_IDENTITY = 3000;
export const NEIGHBOUR_IDENTITY = 4000;

/** See the head of this file. */
export class TwoNodes {
  readonly balancer: World;
  readonly backend: World;
  readonly family: Family;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly targetPort: number;

  constructor(family: Family, scene: Scene = {}) {
    this.family = family;
    this.protocol = scene.protocol ?? 'tcp';
    this.targetPort = scene.targetPort ?? (this.protocol === 'sctp' ? FRONTEND_PORT : 8080);
    this.balancer = this.world(1, scene);
    this.backend = this.world(2, scene);
    this.backend.endpoint(AT.pod[family], { node: 2, ifindex: POD_IFINDEX, identity: POD_IDENTITY });
    this.balancer.endpoint(AT.neighbour[family], { node: 1, ifindex: POD_IFINDEX, identity: NEIGHBOUR_IDENTITY });
    const { underlay } = scene;
    const balancer = underlay && AT.balancer[underlay];
    const node = underlay && AT.node[underlay];
    this.balancer.identity(AT.pod[family], POD_IDENTITY, 2, node).identity(AT.otherGateway[family], 6, 2, node);
    this.backend
      .identity(AT.neighbour[family], NEIGHBOUR_IDENTITY, 1, balancer)
      .identity(AT.gateway[family], 6, 1, balancer);
  }

  private world(nodeId: number, scene: Scene): World {
    const { family } = this;
    const w = new World({}, { nodeId, ...scene.config });
    w.enable(FEATURE.NODE_PORT, ...(scene.features ?? []));
    for (const either of [4, 6] as const) {
      w.node(1, AT.balancer[either], AT.gateway[either]).node(2, AT.node[either], AT.otherGateway[either]);
    }
    const own = nodeId === 1 ? AT.balancer : AT.node;
    w.endpoint(own[family], { identity: 1, flags: 1, ifindex: 2, node: nodeId });
    w.backend(1, AT.pod[family], this.targetPort, 1, this.protocol);
    const flags = SERVICE_FLAG.ROUTABLE | (scene.flags ?? SERVICE_FLAG.FORWARD_DSR);
    w.service(AT.vip[family], FRONTEND_PORT, {
      backends: [1],
      flags,
      protocol: this.protocol,
      reverseNat: REVERSE_NAT,
    });
    return w;
  }

  /** What the client sends. */
  request(more: Partial<PacketSpec> = {}): PacketSpec {
    return {
      protocol: this.protocol,
      source: AT.client[this.family],
      destination: AT.vip[this.family],
      sourcePort: CLIENT_PORT,
      destinationPort: FRONTEND_PORT,
      ...more,
    };
  }

  /** What the pod answers to whoever it was asked by. */
  reply(more: Partial<PacketSpec> = {}): PacketSpec {
    return {
      protocol: this.protocol,
      source: AT.pod[this.family],
      destination: AT.client[this.family],
      sourcePort: this.targetPort,
      destinationPort: CLIENT_PORT,
      flags: 'SA',
      ...more,
    };
  }

  /** The balancer's device: in, and out again. */
  balance(more: Partial<PacketSpec> = {}): Result {
    const { balancer } = this;
    return balancer.next('TO_NETDEV', balancer.run('FROM_NETDEV', this.request(more)));
  }

  /** The backend's node: from the wire into the pod. */
  deliver(wire: Result): Result {
    const { backend } = this;
    const arrived = backend.runBytes('FROM_NETDEV', wire.bytes);
    return backend.next('TO_CONTAINER', arrived);
  }

  /** The backend's node: from the wire through the overlay into the pod. */
  deliverThroughOverlay(wire: Result): Result {
    const { backend } = this;
    const inner = this.leave(backend, wire);
    return backend.next('TO_CONTAINER', inner);
  }

  /** What a node makes of a packet of the overlay: the device passes it on, and the overlay's hook takes the frame out. */
  leave(w: World, wire: Result): Result {
    const arrived = w.runBytes('FROM_NETDEV', wire.bytes);
    if (arrived.record.action !== ACTION.STACK) throw new Error('the device does not leave the packet to the stack');
    w.meta.reset();
    return w.next('FROM_OVERLAY', arrived);
  }

  /** The pod's answer as it leaves its node. */
  answer(more: Partial<PacketSpec> = {}): Result {
    const { backend } = this;
    return backend.next('TO_NETDEV', backend.run('FROM_CONTAINER', this.reply(more)));
  }
}
