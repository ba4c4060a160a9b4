// Originals of packets that are the datapath's own output: made again from the output, and sent their way, so that conntrack
// learns what the capture shows (replay.md, rule 1). Input: an output packet and its connection. Output: refreshed entries.
// Invariant: the captured packet is not touched; allocates nothing.
import { Packet } from '../datapath/index.ts';
import { HOOK, type Hook } from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import { AT, INT_STRIDE, REAL, REAL_STRIDE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { EntryHook } from './entry-hook.ts';
import { OUTCOME, Outcome } from './outcome.ts';
import type { Vantage } from './vantage.ts';
import { PURPOSE, RUN, RUN_OF, type Way } from './way.ts';

const ICMP = 1;
const ICMPV6 = 58;
/** An input this close before its output has refreshed conntrack already: nanoseconds. */
const JUST_BEFORE = 10_000_000;
/** Bytes copied behind the L4 header: the beginning of what an ICMP error quotes. */
const BEHIND_HEADERS = 8;
/** For originals of a pod's translated replies: they entered where their own source is. */
const ANYWHERE: Vantage = { kind: 'any', owner: 0, text: 'any', evidence: '' };

const turned = (ports: number): number => (ports << 16) | (ports >>> 16);

/** See the head of this file. */
export class Originals {
  private readonly way: Way;
  private readonly connections: Connections;
  private readonly entry: EntryHook;
  private readonly scratch = new Packet();
  private readonly scratchBytes = new Uint8Array(512);
  private readonly scratchView = new DataView(this.scratchBytes.buffer);
  private readonly refreshed = new Outcome();

  constructor(way: Way, connections: Connections, entry: EntryHook) {
    this.way = way;
    this.connections = connections;
    this.entry = entry;
  }

  /**
   * Rule 1: the output refreshes conntrack as its original did. Where the original itself was seen just before, it has done so
   * already; else it is made again from the output, in a scratch copy, and sent its way. Whether that was done, and it went
   * through.
   */
  refresh(
    connection: number,
    forward: boolean,
    h: Headers,
    packet: Packet,
    vantage: Vantage,
    interfaceNumber: number,
    now: number,
  ): boolean {
    const { connections, scratchBytes } = this;
    const last = connections.real[connection * REAL_STRIDE + (forward ? REAL.FORWARD_INPUT : REAL.REPLY_INPUT)]!;
    if (last !== 0 && now - last >= 0 && now - last <= JUST_BEFORE) return false;
    // Headers only: no stage reads further, and a whole copy would cost more than the hooks.
    const length = Math.min(packet.capturedEnd, h.payload + BEHIND_HEADERS) - h.l3;
    if (length > scratchBytes.length) return false;
    for (let i = 0; i < length; i++) scratchBytes[i] = packet.bytes[h.l3 + i]!;
    const base = connection * INT_STRIDE;
    const { int } = connections;
    // From what was asked for back to it, or from the translated ends: whichever this packet's other form has.
    const source = forward ? AT.SOURCE : AT.OUT_DESTINATION;
    const destination = forward ? AT.DESTINATION : AT.OUT_SOURCE;
    const ports = forward ? int[base + AT.PORTS]! : turned(int[base + AT.OUT_PORTS]!);
    const view = this.scratchView;
    const words = h.family === 4 ? 1 : 4;
    const at = h.family === 4 ? 12 : 8;
    for (let i = 0; i < words; i++) {
      view.setInt32(at + 4 * i, int[base + source + i]!, true);
      view.setInt32(at + 4 * (i + words), int[base + destination + i]!, true);
    }
    const l4 = h.l4 - h.l3;
    if (h.protocol === ICMP || h.protocol === ICMPV6) view.setUint16(l4 + 4, ports & 0xffff, true);
    else view.setInt32(l4, ports, true);
    const { entry } = this;
    let { hook, run } = entry;
    if (vantage.kind !== 'pod' && int[base + AT.INTERFACE] === interfaceNumber + 1) {
      // Worked out for this interface already.
      const known = forward ? int[base + AT.ENTRY]! : int[base + AT.ENTRY]! >>> 8;
      hook = (known & 0xff) as Hook;
      run = RUN_OF[(known >>> 16) & 0xff]!;
    } else {
      const where = vantage.kind === 'pod' ? ANYWHERE : vantage;
      entry.chooseAt(where, h.family, int, base + source, base + destination, ports, h.protocol);
      ({ hook, run } = entry);
    }
    run &= ~RUN.SKIP_SERVICE;
    const originated = (int[base + AT.STATE]! & STATE.ORIGINATED) !== 0;
    this.scratch.view(scratchBytes, 0, length, packet.wireEnd - h.l3, 101, packet.seconds, packet.nanoseconds);
    // A backend outside of the cluster answers at the node's device; of a pod's capture only the pod's own hook is known.
    // An answer to a pod refreshes what the pod's own hook holds: the hooks of the node before it hold nothing of it.
    // What is for a node's address is translated back on the way.
    const pod = vantage.kind === 'pod' || originated;
    const masqueraded = (int[base + AT.STATE]! & STATE.MASQUERADED) !== 0;
    if (!forward && hook !== HOOK.FROM_CONTAINER && pod && !masqueraded) hook = HOOK.TO_CONTAINER;
    this.way.purpose = PURPOSE.ORIGINAL;
    this.way.run(hook, this.scratch, forward || originated ? run : run | RUN.FIRST_ONLY, this.refreshed);
    this.way.purpose = PURPOSE.INPUT;
    if (!forward) connections.int[base + AT.STATE]! |= STATE.ANSWERED;
    return this.refreshed.verdict === OUTCOME.FORWARDED;
  }
}
