// What a connection's record keeps of its packets: where it was seen first, counts, times, FINs and resets, the heaviest verdict.
// Input: the present packet, judged. Output: fields of the record. Invariant: counts of packets and bytes are kept only where
// somebody asks for connections.
import { AT, INT_STRIDE, REAL, REAL_STRIDE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { Openings } from './openings.ts';
import { WAY, WEIGHT } from './outcome.ts';
import type { Present } from './present.ts';

const TCP = 6;
const FIN = 1;
const RST = 4;

/** See the head of this file. */
export class Ledger {
  private readonly present: Present;
  private readonly connections: Connections;
  private readonly openings: Openings;
  /** Whether packets and bytes of each connection are counted. */
  private readonly counting: boolean;

  constructor(present: Present, connections: Connections, openings: Openings, counting: boolean) {
    this.present = present;
    this.connections = connections;
    this.openings = openings;
    this.counting = counting;
  }

  /** First packet of a connection: where it was seen. */
  entered(connection: number): void {
    const { int, real } = this.connections;
    const { present } = this;
    const base = connection * INT_STRIDE;
    int[base + AT.CAPTURE] = present.capture;
    int[base + AT.FIRST] = present.number;
    int[base + AT.FIRST_NANOSECONDS] = present.packet.nanoseconds;
    int[base + AT.FIRST_INTERFACE] = present.interfaceNumber + 1;
    int[base + AT.ICMP] = (present.headers.icmpType << 8) | present.headers.icmpCode;
    real[connection * REAL_STRIDE + REAL.FIRST_SECONDS] = present.packet.seconds;
  }

  /** Counts the packet in its connection, and keeps the heaviest verdict's facts. */
  note(connection: number): void {
    const { outcome: out, packet, headers: h } = this.present;
    const { int, real } = this.connections;
    const base = connection * INT_STRIDE;
    const at = connection * REAL_STRIDE;
    int[base + AT.COUNTS + out.verdict]! += 1;
    if (this.counting) {
      const bytes = packet.wireEnd - packet.offset;
      if (out.direction === WAY.REPLY) {
        real[at + REAL.REPLY_PACKETS]! += 1;
        real[at + REAL.REPLY_BYTES]! += bytes;
      } else {
        real[at + REAL.FORWARD_PACKETS]! += 1;
        real[at + REAL.FORWARD_BYTES]! += bytes;
      }
    }
    int[base + AT.LAST_SECONDS] = packet.seconds;
    int[base + AT.LAST_NANOSECONDS] = packet.nanoseconds;
    if (h.protocol === TCP && (h.tcpFlags & (FIN | RST)) !== 0) {
      if ((h.tcpFlags & RST) !== 0) int[base + AT.STATE]! |= STATE.RESET;
      else int[base + AT.STATE]! |= out.direction === WAY.REPLY ? STATE.FIN_REPLY : STATE.FIN_FORWARD;
    }
    const state = int[base + AT.STATE]!;
    const heaviest = (state & STATE.DECIDED) === 0 ? 0 : WEIGHT[int[base + AT.DECISION]! & 0xff]!;
    if (WEIGHT[out.verdict]! > heaviest && out.counterfactual === 0) this.openings.keep(connection, out);
  }
}
