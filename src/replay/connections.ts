// Connections as the capture shows them: what was decided at their opening, and which tuples are their translated output.
// Input: tuples (raw words). Output: record numbers; fields are read and written in `int` and `real` by the names below.
// Invariants: bounded, the clock forgets what was not met for long; nothing is allocated per packet; record 0 is nobody; a
// tuple that is entered means a record in use.
import { AT, FRONT, INT_STRIDE, REAL_STRIDE, ROLE, STATE } from './connection-record.ts';
import { TupleTable } from './tuple-table.ts';

const TCP = 6;
/** Connections met lately, by a hash of their tuple: a power of two that fits a processor's second-level cache. */
const RECENT_LOG2 = 16;
const RECENT = 1 << RECENT_LOG2;

/** Told before a record is forgotten or used anew, while its fields can still be read. */
export type OnForgotten = (number: number) => void;

/** The table of connections. */
export class Connections {
  int: Int32Array;
  real: Float64Array;
  /** Records in use. */
  count = 0;
  /** Records given up for others. */
  evicted = 0;
  /** Connections begun so far. */
  begun = 0;
  /** Of the last `find`: ROLE; and whether the packet goes the initiator's way. */
  role: number = ROLE.NONE;
  forward = false;
  private readonly maxRecords: number;
  private readonly expected: number;
  private readonly onForgotten: OnForgotten | undefined;
  private readonly tuples: TupleTable;
  /** Records whose memory exists, record 0 included. */
  private room: number;
  private hand = 1;
  /** Highest record number handed out. */
  private used = 0;
  private free = 0;
  /**
   * Records of IPv4 TCP tuples met lately, by `recentAt`: only while the tuple means the record, and as it was asked for.
   * Packets come in trains; this spares most of them the way through the large table.
   */
  private readonly recent = new Int32Array(RECENT);
  /** The same of IPv6. */
  private readonly recent6 = new Int32Array(RECENT);

  constructor(
    options: {
      readonly maxRecords?: number;
      readonly onForgotten?: OnForgotten;
      readonly seed?: number;
      /** Connections to come, roughly. */
      readonly expected?: number;
    } = {},
  ) {
    this.maxRecords = Math.max(1, Math.min(options.maxRecords ?? 1_000_000, 8_000_000));
    this.onForgotten = options.onForgotten;
    this.tuples = new TupleTable(2 * this.maxRecords, options.seed);
    this.expected = Math.min(options.expected ?? 0, this.maxRecords);
    this.tuples.expect(2 * this.expected);
    const room = Math.min(1024, this.maxRecords) + 1;
    this.int = new Int32Array(FRONT + room * INT_STRIDE);
    this.real = new Float64Array(room * REAL_STRIDE);
    this.room = room;
  }

  /**
   * The TCP connection of an IPv4 tuple if it was met lately under the tuple that was asked for, or 0: ask `find4`. Sets
   * `role` and `forward` where it is found.
   */
  private recall4(s: number, d: number, ports: number): number {
    const number = this.recent[recentAt(s, d, ports)]!;
    if (number === 0) return 0;
    const { int } = this;
    const base = number * INT_STRIDE;
    const asked = int[base + AT.PORTS]!;
    const source = int[base + AT.SOURCE]!;
    const destination = int[base + AT.DESTINATION]!;
    if (asked === ports && source === s && destination === d) this.forward = true;
    else if (asked === ((ports << 16) | (ports >>> 16)) && source === d && destination === s) this.forward = false;
    else return 0;
    this.role = ROLE.ASKED;
    if ((int[base + AT.STATE]! & STATE.MET) === 0) int[base + AT.STATE]! |= STATE.MET;
    return number;
  }

  /** The same for IPv6. */
  private recall6(
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
  ): number {
    const number = this.recent6[recentAt(s0 ^ s1 ^ s2 ^ s3, d0 ^ d1 ^ d2 ^ d3, ports)]!;
    if (number === 0) return 0;
    const { int } = this;
    const base = number * INT_STRIDE;
    const s = base + AT.SOURCE;
    const d = base + AT.DESTINATION;
    const asked = int[base + AT.PORTS]!;
    let other =
      (asked ^ ports) |
      (int[s]! ^ s0) |
      (int[s + 1]! ^ s1) |
      (int[s + 2]! ^ s2) |
      (int[s + 3]! ^ s3) |
      (int[d]! ^ d0) |
      (int[d + 1]! ^ d1) |
      (int[d + 2]! ^ d2) |
      (int[d + 3]! ^ d3);
    this.forward = other === 0;
    if (other !== 0) {
      other =
        (asked ^ ((ports << 16) | (ports >>> 16))) |
        (int[s]! ^ d0) |
        (int[s + 1]! ^ d1) |
        (int[s + 2]! ^ d2) |
        (int[s + 3]! ^ d3) |
        (int[d]! ^ s0) |
        (int[d + 1]! ^ s1) |
        (int[d + 2]! ^ s2) |
        (int[d + 3]! ^ s3);
      if (other !== 0) return 0;
    }
    this.role = ROLE.ASKED;
    if ((int[base + AT.STATE]! & STATE.MET) === 0) int[base + AT.STATE]! |= STATE.MET;
    return number;
  }

  /** Connection of an IPv4 tuple as a packet has it, or 0. Sets `role` and `forward`. */
  find4(s: number, d: number, ports: number, protocol: number): number {
    if (protocol === TCP) {
      const recent = this.recall4(s, d, ports);
      if (recent !== 0) return recent;
    }
    const number = this.met(this.tuples.find4(this.int, s, d, ports, protocol));
    if (protocol === TCP && this.role === ROLE.ASKED) this.recent[recentAt(s, d, ports)] = number;
    return number;
  }

  /** The same for IPv6: source words, destination words. */
  find6(
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): number {
    if (protocol === TCP) {
      const recent = this.recall6(s0, s1, s2, s3, d0, d1, d2, d3, ports);
      if (recent !== 0) return recent;
    }
    const number = this.met(this.tuples.find6(this.int, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol));
    if (protocol === TCP && this.role === ROLE.ASKED)
      this.recent6[recentAt(s0 ^ s1 ^ s2 ^ s3, d0 ^ d1 ^ d2 ^ d3, ports)] = number;
    return number;
  }

  /** Takes over what the table found. */
  private met(number: number): number {
    this.role = this.tuples.role;
    this.forward = this.tuples.forward;
    if (number === 0) return 0;
    const { int } = this;
    const state = number * INT_STRIDE + AT.STATE;
    if ((int[state]! & STATE.MET) === 0) int[state]! |= STATE.MET;
    return number;
  }

  /**
   * A record for a new connection, zero throughout but for its generation and number; the clock forgets one when all
   * are in use. The caller fills in the tuple and calls `enter`.
   */
  begin(): number {
    let number = this.free;
    if (number === 0 && this.used < this.maxRecords) {
      // Memory that nobody has used is zero.
      number = ++this.used;
      if (number >= this.room) this.grow();
      this.int[number * INT_STRIDE + AT.GENERATION] = 1;
    } else {
      if (number === 0) number = this.evict();
      else this.free = this.int[number * INT_STRIDE + AT.STATE]!;
      this.clear(number);
    }
    const at = number * INT_STRIDE;
    this.int[at + AT.FLOW] = ++this.begun | 0;
    this.count++;
    return number;
  }

  /** Zero throughout, but for its generation. */
  private clear(number: number): void {
    const at = number * INT_STRIDE;
    const generation = (this.int[at + AT.GENERATION]! + 1) | 0;
    this.int.fill(0, FRONT + at, FRONT + at + INT_STRIDE);
    this.real.fill(0, number * REAL_STRIDE, (number + 1) * REAL_STRIDE);
    this.int[at + AT.GENERATION] = generation;
  }

  /** Ends a connection: its tuples mean nothing any more, and `onForgotten` is told. */
  forget(number: number): void {
    this.onForgotten?.(number);
    this.leave(number, AT.SOURCE);
    this.leave(number, AT.OUT_SOURCE);
    const at = number * INT_STRIDE;
    this.int[at + AT.GENERATION]! += 1;
    this.int[at + AT.STATE] = this.free;
    this.int[at + AT.FLOW] = 0;
    this.free = number;
    this.count--;
  }

  /** Enters the tuple that the initiator asked for (AT.SOURCE …), and the translated one where it differs. */
  enter(number: number): void {
    this.enterTuple(number, AT.SOURCE);
    if ((this.int[number * INT_STRIDE + AT.STATE]! & STATE.TRANSLATED) !== 0) this.enterOutput(number);
  }

  /** Enters the translated tuple (AT.OUT_SOURCE …). */
  enterOutput(number: number): void {
    this.enterTuple(number, AT.OUT_SOURCE);
  }

  /** Takes the translated tuple out before it is changed. */
  leaveOutput(number: number): void {
    this.leave(number, AT.OUT_SOURCE);
  }

  private enterTuple(number: number, source: number): void {
    const { int } = this;
    const base = number * INT_STRIDE;
    const six = (int[base + AT.STATE]! & STATE.IPV6) !== 0;
    this.forgetRecent(six, base + source);
    this.tuples.enter(int, six, number, source);
  }

  /** Takes a tuple of a record out, unless it means another connection by now. */
  private leave(number: number, source: number): void {
    const { int } = this;
    const base = number * INT_STRIDE;
    const six = (int[base + AT.STATE]! & STATE.IPV6) !== 0;
    this.forgetRecent(six, base + source);
    this.tuples.leave(int, six, number, source);
  }

  private forgetRecent(six: boolean, s: number): void {
    const { int } = this;
    const d = s + (AT.DESTINATION - AT.SOURCE);
    const ports = int[s + (AT.PORTS - AT.SOURCE)]!;
    if (!six) {
      this.recent[recentAt(int[s]!, int[d]!, ports)] = 0;
      return;
    }
    const source = int[s]! ^ int[s + 1]! ^ int[s + 2]! ^ int[s + 3]!;
    const destination = int[d]! ^ int[d + 1]! ^ int[d + 2]! ^ int[d + 3]!;
    this.recent6[recentAt(source, destination, ports)] = 0;
  }

  /** Records in use, in the order of their numbers of connection; a copy. */
  *numbers(): IterableIterator<number> {
    const live: number[] = [];
    for (let number = 1; number <= this.used; number++)
      if (this.int[number * INT_STRIDE + AT.FLOW] !== 0) live.push(number);
    live.sort((a, b) => this.int[a * INT_STRIDE + AT.FLOW]! - this.int[b * INT_STRIDE + AT.FLOW]!);
    yield* live;
  }

  private grow(): void {
    // Records are handed out in order, and pages that nobody has touched cost nothing: so few, large steps.
    const room = Math.min(Math.max((this.room - 1) * 8, this.expected), this.maxRecords) + 1;
    const int = new Int32Array(FRONT + room * INT_STRIDE);
    const real = new Float64Array(room * REAL_STRIDE);
    int.set(this.int);
    real.set(this.real);
    this.int = int;
    this.real = real;
    this.room = room;
  }

  /** A record that was not met since the clock hand last passed; after 1,024 that were, the next one. */
  private evict(): number {
    const { int } = this;
    let steps = 0;
    while ((int[this.hand * INT_STRIDE + AT.STATE]! & STATE.MET) !== 0 && steps++ < 1024) {
      int[this.hand * INT_STRIDE + AT.STATE]! &= ~STATE.MET;
      this.hand = this.hand === this.used ? 1 : this.hand + 1;
    }
    const number = this.hand;
    this.hand = this.hand === this.used ? 1 : this.hand + 1;
    this.evicted++;
    this.forget(number);
    this.free = this.int[number * INT_STRIDE + AT.STATE]!;
    return number;
  }
}

/** Place of a tuple among the recent ones: the same for both directions. */
function recentAt(s: number, d: number, ports: number): number {
  const mixed = Math.imul(s ^ d ^ Math.imul((ports ^ (ports >>> 16)) & 0xffff, 0x9e3779b1), 0x85ebca6b);
  return mixed >>> (32 - RECENT_LOG2);
}
