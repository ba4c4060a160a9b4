// Whether a packet leaves its node behind a hook, so that `to-netdev` of that node is next (replay.md, rule 5).
// Input: the packet as the hook left it. Output: a boolean. Invariant: asked only where the configuration lets nodes
// masquerade, or limits pods; what stays on a link (multicast, neighbour discovery) never leaves; allocates nothing.
import type { Packet } from '../datapath/index.ts';
import { FEATURE } from '../schema/index.ts';
import { Headers, parseFrame, WIRE } from '../wire/index.ts';
import type { Directory } from './directory.ts';
import { isNeighbourDiscovery } from './icmp-kind.ts';

const { BANDWIDTH, MASQUERADE_V4, MASQUERADE_V6 } = FEATURE;

/** See the head of this file. */
export class Departure {
  /** Whether nodes masquerade IPv4 or IPv6 in the datapath. */
  readonly masquerading: boolean;
  /** Whether `to-netdev` has anything to say: else nothing is asked. */
  readonly asked: boolean;
  private readonly directory: Directory;
  private readonly node: string | undefined;
  private readonly headers = new Headers();

  /**
   * @param features FEATURE bits of the dataplane's configuration
   * @param node the node that the dataplane stands for; undefined: the whole cluster
   */
  constructor(directory: Directory, features: number, node: string | undefined) {
    this.directory = directory;
    this.masquerading = (features & (MASQUERADE_V4 | MASQUERADE_V6)) !== 0;
    this.asked = this.masquerading || (features & BANDWIDTH) !== 0;
    this.node = node;
  }

  /** Whether the packet goes to somebody beyond its sender's node. */
  leaves(packet: Packet): boolean {
    const { headers: h, directory } = this;
    const { linkType, bytes, offset, capturedEnd, wireEnd } = packet;
    const status = parseFrame(h, linkType, bytes, offset, capturedEnd, wireEnd);
    if ((status !== WIRE.OK && status !== WIRE.UNKNOWN_L4) || isNeighbourDiscovery(h)) return false;
    // Multicast, IPv4's broadcast, and addresses of the link.
    const first = h.d0 & 0xff;
    if (h.family === 4 ? first >= 224 : first === 0xff || (h.d0 & 0xc0ff) === 0x80fe) return false;
    const owner = directory.owners[directory.ownerOf(h.family, h.d0, h.d1, h.d2, h.d3)];
    if (owner === undefined) return true;
    if (owner.kind === 'pod') return this.node !== undefined && owner.node !== this.node;
    const sender = directory.owners[directory.ownerOf(h.family, h.s0, h.s1, h.s2, h.s3)];
    return owner.name !== (sender?.node ?? this.node);
  }
}
