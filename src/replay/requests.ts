// The requests of a replay: hands the payloads of redirected connections to an inspection and counts what it says. In: each judged packet.
// Out: `found` for the packet just judged, counts by connection and in all. Invariant: only packets that the proxy would see are
// handed on: inputs on the way there, anything but copies on the way back.
import type { Packet } from '../datapath/index.ts';
import type { FlowRequest } from '../flow/index.ts';
import { HOOK } from '../schema/index.ts';
import { FRAGMENT, type Headers, readTcpSequence } from '../wire/index.ts';
import { AT, INT_STRIDE } from './connection-record.ts';
import type { Describer } from './describe.ts';
import type { Judge } from './judge.ts';
import type { NameLearning } from './name-learning.ts';
import { OBSERVED_AS, OUTCOME, type Outcome, WAY } from './outcome.ts';
import type { PayloadInspection } from './payload-inspection.ts';

/** Requests by verdict. */
export type RequestCounts = Partial<Record<FlowRequest['verdict'], number>>;

const TCP = 6;
const NONE: readonly FlowRequest[] = [];

/** See the head of this file. */
export class Requests {
  /** Of the packet that was looked at last. */
  found: readonly FlowRequest[] = NONE;
  readonly counts: RequestCounts = {};
  private readonly byConnection = new Map<number, RequestCounts>();
  private readonly inspection: PayloadInspection;
  private readonly learning: NameLearning | undefined;

  constructor(inspection: PayloadInspection, learning: NameLearning | undefined) {
    this.inspection = inspection;
    this.learning = learning;
  }

  /** Counts of a connection's requests; undefined where it had none. */
  of(connection: number): RequestCounts | undefined {
    return this.byConnection.get(connection);
  }

  /** The record of a connection is used for another from now on. */
  forget(connection: number): void {
    this.inspection.forget(connection);
    this.byConnection.delete(connection);
  }

  /** Looks at the packet that `judge` judged last. */
  look(judge: Judge, packet: Packet, describer: Describer, second: number): void {
    this.found = NONE;
    const { outcome: out, headers: h, connections } = judge;
    const { connection } = out;
    if (connection === 0 || out.counterfactual !== 0 || out.observed === OBSERVED_AS.COPY) return;
    if (h.fragment !== FRAGMENT.NONE || out.direction === WAY.UNKNOWN) return;
    const forward = out.direction === WAY.FORWARD;
    const generation = connections.int[connection * INT_STRIDE + AT.GENERATION]!;
    const known = this.inspection.knows(connection, generation);
    if (forward) {
      if (out.verdict !== OUTCOME.REDIRECTED) return;
      if (!known) this.begin(connection, generation, out, h, describer);
    } else if (!known || out.verdict === OUTCOME.DROPPED || out.verdict === OUTCOME.UNKNOWN) return;
    const wireEnd = Math.min(h.l3 + h.l3Length, packet.wireEnd);
    const end = Math.min(wireEnd, packet.capturedEnd);
    const tcp = h.protocol === TCP;
    const { requests, answers } = this.inspection.packet(connection, {
      forward,
      seq: tcp ? readTcpSequence(packet.bytes, h.l4) : 0,
      flags: tcp ? h.tcpFlags : 0,
      payload: packet.bytes.subarray(Math.min(h.payload, end), end),
      wireBytes: wireEnd - h.payload,
    });
    for (const answer of answers) this.learning?.learn(answer, second);
    if (requests.length === 0) return;
    this.found = requests;
    let own = this.byConnection.get(connection);
    if (own === undefined) this.byConnection.set(connection, (own = {}));
    for (const { verdict } of requests) {
      own[verdict] = (own[verdict] ?? 0) + 1;
      this.counts[verdict] = (this.counts[verdict] ?? 0) + 1;
    }
  }

  private begin(connection: number, generation: number, out: Outcome, h: Headers, describer: Describer): void {
    this.byConnection.delete(connection);
    const { source, destination } = describer.connection(connection);
    const passed = (hook: number): boolean => {
      for (let rest = out.path; rest !== 0; rest >>>= 4) if ((rest & 15) === hook) return true;
      return false;
    };
    this.inspection.begin(connection, generation, {
      source: source.ip ?? '',
      destination: destination.behind?.ip ?? destination.ip ?? '',
      sourceIdentity: out.sourceIdentity,
      destinationIdentity: out.destinationIdentity,
      protocol: h.protocol,
      port: destination.behind?.port ?? destination.port ?? 0,
      egress: passed(HOOK.FROM_CONTAINER),
      ingress: passed(HOOK.TO_CONTAINER),
    });
  }
}
