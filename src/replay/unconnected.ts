// Packets that belong to no connection: no IP at all, headers that are cut or wrong, neighbour discovery.
// Input: the present packet and what parsing said. Output: its outcome. Invariant: such a packet runs at a pod's hooks, and at
// from-netdev where addresses are announced.
import { DROP, HOOK, type Hook, UNKNOWN_REASON } from '../schema/index.ts';
import { WIRE } from '../wire/index.ts';
import type { Directory } from './directory.ts';
import type { EntryHook } from './entry-hook.ts';
import { OUTCOME } from './outcome.ts';
import type { Present } from './present.ts';
import { Stations } from './stations.ts';
import { RUN, type Way } from './way.ts';

/** Drop reason of a header that is wrong, by WIRE status. */
const DROP_OF_WIRE = new Int32Array(16);
DROP_OF_WIRE[WIRE.BAD_LINK] = DROP.INVALID;
DROP_OF_WIRE[WIRE.BAD_IP] = DROP.INVALID;
DROP_OF_WIRE[WIRE.BAD_EXTENSION] = DROP.INVALID_EXTENSION_HEADER;
DROP_OF_WIRE[WIRE.BAD_L4] = DROP.CT_INVALID_HEADER;

/** See the head of this file. */
export class Unconnected {
  private readonly present: Present;
  private readonly way: Way;
  private readonly entry: EntryHook;
  private readonly directory: Directory;
  private readonly stations = new Stations();
  private readonly ifindexOf: ((interfaceNumber: number) => number) | undefined;

  /** @param ifindexOf the node's interface by the capture's, 0 = unknown; undefined: neighbours' questions are the stack's alone */
  constructor(
    present: Present,
    way: Way,
    entry: EntryHook,
    directory: Directory,
    ifindexOf?: (interfaceNumber: number) => number,
  ) {
    this.ifindexOf = ifindexOf;
    this.present = present;
    this.way = way;
    this.entry = entry;
    this.directory = directory;
  }

  /** At a pod: learns from an IP packet which station is the pod's, for packets that have no addresses. */
  learn(): void {
    const { packet, vantage, headers } = this.present;
    if (vantage.kind === 'pod' && packet.linkType === 1)
      this.stations.learn(packet, this.directory, headers, vantage.owner);
  }

  /** Everything that is not a whole IP packet of a known link type. */
  judge(status: number): void {
    const { present } = this;
    const { outcome: out, headers: h } = present;
    if (status === WIRE.CUT) return present.cannotTell(UNKNOWN_REASON.TRUNCATED);
    if (status === WIRE.UNSUPPORTED_LINK_TYPE) return present.cannotTell(UNKNOWN_REASON.LINK_TYPE);
    const drop = DROP_OF_WIRE[status]!;
    if (drop === 0) return this.judgeLink();
    out.verdict = OUTCOME.DROPPED;
    out.drop = drop;
    let hook: Hook = present.vantage.kind === 'pod' ? HOOK.TO_CONTAINER : HOOK.XDP;
    if (h.family !== 0 && !this.directory.empty) {
      this.entry.chooseOf(present.vantage, h, present.ports);
      hook = this.entry.hook;
    }
    out.hook = hook;
    out.path = hook;
  }

  /** No IP at all: the stack's business, but for a pod's hooks. */
  private judgeLink(): void {
    const { outcome: out, vantage, packet } = this.present;
    if (vantage.kind !== 'pod') return this.neighbours();
    const sent = this.stations.isSender(packet, vantage.owner);
    this.way.run(sent ? HOOK.FROM_CONTAINER : HOOK.TO_CONTAINER, packet, RUN.FIRST_ONLY, out);
  }

  /** Router and neighbour discovery: forwarded to the stack wherever no pod's hook is passed. */
  neighbourDiscovery(): void {
    if (this.directory.empty) return this.present.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    this.neighbours();
  }

  /** What stations on a link say to each other is the stack's business, but for questions about announced addresses. */
  private neighbours(): void {
    const { present, way } = this;
    const { outcome: out } = present;
    const ifindex = this.ifindexOf?.(present.interfaceNumber) ?? 0;
    if (ifindex === 0) {
      out.verdict = OUTCOME.FORWARDED;
      out.hook = HOOK.FROM_NETDEV;
      out.path = HOOK.FROM_NETDEV;
      return;
    }
    way.ifindex = ifindex;
    way.run(HOOK.FROM_NETDEV, present.packet, RUN.FIRST_ONLY, out);
    way.ifindex = 0;
  }
}
