// Packets without two ends that answer each other: ICMP errors, protocols without ports, later fragments.
// Input: the present packet. Output: its outcome: that of the connection it is about where that one decides, else a run of its own.
// Invariant: allocates nothing.
import { UNKNOWN_REASON } from '../schema/index.ts';
import { FRAGMENT, Headers, parseIp, WIRE } from '../wire/index.ts';
import { AT, INT_STRIDE, ROLE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { Directory } from './directory.ts';
import type { EntryHook } from './entry-hook.ts';
import { FirstFragments } from './first-fragments.ts';
import { isIcmpError } from './icmp-kind.ts';
import type { Ledger } from './ledger.ts';
import type { Openings } from './openings.ts';
import { OBSERVED_AS, OUTCOME, WAY } from './outcome.ts';
import type { Present } from './present.ts';
import { RUN, type Way } from './way.ts';

const { ASKED } = ROLE;
const ICMP = 1;
const ICMPV6 = 58;

/** See the head of this file. */
export class LoosePackets {
  private readonly present: Present;
  private readonly way: Way;
  private readonly connections: Connections;
  private readonly entry: EntryHook;
  private readonly openings: Openings;
  private readonly ledger: Ledger;
  private readonly directory: Directory;
  private readonly fragments = new FirstFragments();
  private readonly inner = new Headers();

  constructor(
    present: Present,
    way: Way,
    connections: Connections,
    entry: EntryHook,
    openings: Openings,
    ledger: Ledger,
    directory: Directory,
  ) {
    this.present = present;
    this.way = way;
    this.connections = connections;
    this.entry = entry;
    this.openings = openings;
    this.ledger = ledger;
    this.directory = directory;
  }

  /** ICMP errors and protocols that nothing answers: every packet is an input. */
  judge(known: number): void {
    const { present, openings, entry } = this;
    const { outcome: out, headers: h } = present;
    const answered = this.directory.empty ? 0 : this.judgeError();
    if (answered === 2) return;
    if (present.isCopy()) {
      out.connection = known;
      return;
    }
    let connection = known;
    if (connection === 0) {
      connection = openings.beginLoose(h, present.ports);
      this.ledger.entered(connection);
    }
    out.connection = connection;
    if (this.directory.empty) {
      openings.give(connection, UNKNOWN_REASON.NO_MANIFESTS);
      return present.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    }
    this.chooseEntry();
    if (entry.unknown !== 0) return present.cannotTell(entry.unknown);
    this.way.run(entry.hook, present.packet, answered === 1 ? entry.run | RUN.FIRST_ONLY : entry.run, out);
  }

  /**
   * An ICMP error about a packet of a known connection: 2 when the connection decides, 1 when only the first hook knows it,
   * else 0.
   */
  private judgeError(): number {
    const { present, inner, connections } = this;
    const { headers: h, packet, outcome: out } = present;
    if (!isIcmpError(h)) return 0;
    const status = parseIp(
      inner,
      packet.bytes,
      h.payload,
      packet.capturedEnd,
      Math.max(packet.wireEnd, h.payload + 65576),
    );
    if (inner.family !== h.family || (status !== WIRE.OK && status !== WIRE.CUT) || inner.fragment === FRAGMENT.LATER)
      return 0;
    const echo = inner.protocol === ICMP || inner.protocol === ICMPV6;
    const found = present.find(inner, echo ? inner.icmpId | (inner.icmpId << 16) : inner.ports);
    if (found === 0) return 0;
    const { role, forward } = connections;
    const state = connections.int[found * INT_STRIDE + AT.STATE]!;
    // The error goes against the packet that it is about.
    out.direction = forward ? WAY.REPLY : WAY.FORWARD;
    if ((state & STATE.UNKNOWN) !== 0) {
      present.cannotTell(connections.int[found * INT_STRIDE + AT.DECISION]! >>> 24);
      out.connection = found;
      return 2;
    }
    if (forward && (state & STATE.DROPPED) !== 0) {
      present.asTheOpening(found);
      out.connection = found;
      return 2;
    }
    if (forward && (state & STATE.TRANSLATED) !== 0 && role === ASKED) {
      out.verdict = OUTCOME.OBSERVED;
      out.observed = OBSERVED_AS.OUTPUT;
      out.connection = found;
      return 2;
    }
    return forward && (state & STATE.ORIGINATED) === 0 ? 1 : 0;
  }

  /** A fragment without ports: as its first fragment, where that one was no plain input. */
  judgeLaterFragment(): void {
    const { present, fragments, connections, entry } = this;
    const { headers: h, outcome: out } = present;
    const known = fragments.find(h);
    if (known && fragments.generation === connections.int[fragments.connection * INT_STRIDE + AT.GENERATION]) {
      out.connection = fragments.connection;
      out.direction = fragments.direction;
      if (fragments.verdict === OUTCOME.OBSERVED) {
        out.verdict = OUTCOME.OBSERVED;
        out.observed = fragments.observed;
        return;
      }
      if (fragments.verdict === OUTCOME.UNKNOWN) return present.cannotTell(fragments.unknown);
      if (fragments.counterfactual === 1) return present.asTheOpening(fragments.connection);
    }
    if (present.isCopy()) return;
    if (this.directory.empty) return present.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    this.chooseEntry();
    if (entry.unknown !== 0) return present.cannotTell(entry.unknown);
    const state = out.connection === 0 ? 0 : connections.int[out.connection * INT_STRIDE + AT.STATE]!;
    const only = out.direction === WAY.REPLY && (state & STATE.ORIGINATED) === 0;
    this.way.run(entry.hook, present.packet, only ? entry.run | RUN.FIRST_ONLY : entry.run, out);
  }

  /** Keeps the outcome of a first fragment for the later ones. */
  rememberFragment(): void {
    const { outcome: out, headers } = this.present;
    if (out.connection === 0) return;
    this.fragments.remember(headers, out, this.connections.int[out.connection * INT_STRIDE + AT.GENERATION]!);
  }

  /** Takes the hook for this packet from its addresses. */
  private chooseEntry(): void {
    const { vantage, headers, ports } = this.present;
    this.entry.chooseOf(vantage, headers, ports);
  }
}
