// The packet being judged: its headers, where it was seen, and what is said of it.
// Input: a packet of a capture. Output: its Outcome, for verdicts that need no hook. Invariant: made once, filled again for each
// packet; allocates nothing.
import { Packet } from '../datapath/index.ts';
import { Headers } from '../wire/index.ts';
import { AT, INT_STRIDE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import { Copies } from './copies.ts';
import type { Directory } from './directory.ts';
import { OBSERVED_AS, OUTCOME, Outcome, WAY } from './outcome.ts';
import type { Vantage } from './vantage.ts';

/** See the head of this file. */
export class Present {
  /** The packet's headers as captured. */
  readonly headers = new Headers();
  readonly outcome = new Outcome();
  packet = new Packet();
  vantage!: Vantage;
  /** Unique among all captures. */
  interfaceNumber = 0;
  /** What tells interfaces apart for copies. */
  copyInterface = 0;
  /** Nothing tells them apart. */
  blind = false;
  /** Index of the capture. */
  capture = 0;
  /** Of the packet in it. */
  number = 0;
  /** Nanoseconds since the start of the replay. */
  now = 0;
  /** Ports as the tuple has them: of ICMP the echo id twice. */
  ports = 0;
  private readonly connections: Connections;
  private readonly directory: Directory;
  private readonly copies = new Copies();

  constructor(connections: Connections, directory: Directory) {
    this.connections = connections;
    this.directory = directory;
  }

  /** Connection of a tuple, or 0: see Connections.find4. */
  find(h: Headers, ports: number): number {
    const { connections } = this;
    if (h.family === 4) return connections.find4(h.s0, h.d0, ports, h.protocol);
    return connections.find6(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, ports, h.protocol);
  }

  /** No verdict: a fact is missing (UNKNOWN_REASON). */
  cannotTell(reason: number): void {
    const { outcome: out } = this;
    out.verdict = OUTCOME.UNKNOWN;
    out.unknown = reason;
    out.hook = 0;
    out.path = 0;
  }

  /** The datapath's own output of a connection. */
  isOutput(connection: number): void {
    const { connections, outcome: out } = this;
    const base = connection * INT_STRIDE;
    out.verdict = OUTCOME.OBSERVED;
    out.observed = OBSERVED_AS.OUTPUT;
    out.backend = connections.int[base + AT.BACKEND]!;
    out.reverseNat = connections.int[base + AT.REVERSE_NAT]! & 0xffff;
  }

  /** Rule 3. */
  isCopy(): boolean {
    const { outcome: out, packet } = this;
    if (this.vantage.kind !== 'any' || this.directory.empty) return false;
    if (
      !this.copies.seen(
        this.headers,
        packet.bytes,
        packet.capturedEnd,
        this.copyInterface,
        this.blind,
        packet.seconds,
        packet.nanoseconds,
      )
    )
      return false;
    out.verdict = OUTCOME.OBSERVED;
    out.observed = OBSERVED_AS.COPY;
    return true;
  }

  /** Rule 2: the packet would not exist. */
  asTheOpening(connection: number): void {
    const { outcome: out } = this;
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    const decision = int[base + AT.DECISION]!;
    out.verdict = decision & 0xff;
    out.drop = (decision >>> 8) & 0xff;
    out.hook = (decision >>> 16) & 0xff;
    out.path = int[base + AT.PATH]!;
    out.egressCookie = int[base + AT.EGRESS_COOKIE]!;
    out.ingressCookie = int[base + AT.INGRESS_COOKIE]!;
    // The identities are those of this packet's ends.
    out.sourceIdentity = int[base + AT.DESTINATION_IDENTITY]!;
    out.destinationIdentity = int[base + AT.SOURCE_IDENTITY]!;
    if (out.direction === WAY.FORWARD) {
      out.sourceIdentity = int[base + AT.SOURCE_IDENTITY]!;
      out.destinationIdentity = int[base + AT.DESTINATION_IDENTITY]!;
    }
    out.backend = int[base + AT.BACKEND]!;
    out.reverseNat = int[base + AT.REVERSE_NAT]! & 0xffff;
    const match = int[base + AT.MATCH]!;
    out.match = match & 0xff;
    out.matchHook = (match >>> 8) & 0xff;
    out.counterfactual = 1;
  }
}
