// Connections as the capture shows them: what was decided at their opening, and which tuples are their translated output.
// Input: tuples (raw words). Output: record numbers; fields are read and written in `int` and `real` by the names below.
// Invariants: bounded, the clock forgets what was not met for long; nothing is allocated per packet; record 0 is nobody; a
// tuple that is entered means a record in use.
import { be16, be32, bytes, struct, u32, u8 } from '../layout/index.ts';
import { Hash10, Hash4 } from '../maps/index.ts';
import type { MapSpec } from '../schema/index.ts';

/** Words of `int` a connection. */
export const INT_STRIDE = 48;
/** Numbers of `real` a connection. */
export const REAL_STRIDE = 8;

/**
 * Words before the first record; the numbers in AT begin with it. Large typed arrays begin 16 bytes behind a page (the
 * allocator's header), so this puts the records on cache lines.
 */
const FRONT = 12;

/** Word offsets in `int`, from `number * INT_STRIDE`. Addresses and ports are raw. */
export const AT = {
  // The first cache line: all that a packet needs which can change nothing.
  /** Counts uses of the record, so that a tuple knows whether it still means the same connection. */
  GENERATION: 12,
  /** STATE bits; of a free record the next free one. */
  STATE: 13,
  /** Interface that ENTRY is for, + 1. */
  INTERFACE: 14,
  /** Second, + 1, in which packets went through without a change of state; see settled.ts. */
  SETTLED: 15,
  /** TCP flags of those packets: from the initiator in bits 0 to 7, from the other side in bits 8 to 15. */
  SETTLED_FLAGS: 16,
  /** Time of the last packet, since start. */
  LAST_NANOSECONDS: 17,
  LAST_SECONDS: 18,
  /**
   * The initiator's own tuple: source, destination as it was asked for; source port low half, destination port high half.
   * In the order of OUT_SOURCE and on, to which it is copied in one piece.
   */
  SOURCE: 19,
  DESTINATION: 23,
  PORTS: 27,
  // The second: what every other packet of a known connection needs.
  /** Hooks by which its packets enter and how they are run: forward HOOK, reply HOOK, forward RUN, reply RUN, a byte each. */
  ENTRY: 28,
  /** The heaviest verdict so far (OUTCOME), its drop reason, hook and unknown reason, a byte each from the lowest. */
  DECISION: 29,
  /** Packets by OUTCOME: six counters. */
  COUNTS: 30,
  /** Number of the connection in the order of first packets; 0 = the record is free. */
  FLOW: 36,
  /** The tuple after translation; equal where nothing is translated. */
  OUT_SOURCE: 37,
  OUT_DESTINATION: 41,
  OUT_PORTS: 45,
  /** Of the heaviest verdict: POLICY_MATCH + 1 and the hook that looked, its action, its conntrack status: a byte each. */
  MATCH: 46,
  /** Its hooks, as Outcome.path. */
  PATH: 47,
  /** Its rule sets of the egress and of the ingress hook. */
  EGRESS_COOKIE: 48,
  INGRESS_COOKIE: 49,
  SOURCE_IDENTITY: 50,
  DESTINATION_IDENTITY: 51,
  /** First packet: capture index, number in it, nanoseconds. */
  CAPTURE: 52,
  FIRST: 53,
  FIRST_NANOSECONDS: 54,
  /** ICMP: type << 8 | code of the first packet. */
  ICMP: 55,
  PROTOCOL: 56,
  /** Interface of the first packet, + 1. */
  FIRST_INTERFACE: 57,
  /** Backend id; reverse NAT index low half, proxy port (raw) high half. */
  BACKEND: 58,
  REVERSE_NAT: 59,
} as const;

/** Offsets in `real`, from `number * REAL_STRIDE`. */
export const REAL = {
  FIRST_SECONDS: 0,
  /** Counted only where somebody asks for connections. */
  FORWARD_PACKETS: 1,
  REPLY_PACKETS: 2,
  FORWARD_BYTES: 3,
  REPLY_BYTES: 4,
  /** Time of the last input each way, nanoseconds since start; of translated connections only. */
  FORWARD_INPUT: 5,
  REPLY_INPUT: 6,
} as const;

/** Bits of `AT.STATE`. */
export const STATE = {
  IPV6: 1,
  /** Translated: the tuple that was asked for is not the one that goes on. */
  TRANSLATED: 2,
  /** The opening was dropped. */
  DROPPED: 4,
  /** No verdict can be told: every packet is UNKNOWN, for the reason in AT.UNKNOWN. */
  UNKNOWN: 8,
  /** Its opening went through the initiator's own hook, so that the initiator's conntrack knows it. */
  ORIGINATED: 16,
  /** A FIN was seen from the initiator, from the other side; a RST from either. */
  FIN_FORWARD: 32,
  FIN_REPLY: 64,
  RESET: 128,
  /** The other side has answered. */
  ANSWERED: 256,
  /** No two ends that answer each other: ICMP errors and the like. Every packet is an input. */
  LOOSE: 512,
  /** Service lookup is skipped: seen behind the translation. */
  SKIP_SERVICE: 1024,
  /** It has a decision of its own (AT.DECISION …). */
  DECIDED: 2048,
  /** Met since the clock hand last passed. */
  MET: 4096,
} as const;

/** What `find` found. */
export const ROLE = { NONE: 0, ASKED: 1, OUTPUT: 2 } as const;

const TCP = 6;
/** Connections met lately, by a hash of their tuple: a power of two that fits a processor's second-level cache. */
const RECENT_LOG2 = 16;
const RECENT = 1 << RECENT_LOG2;

/** Bits of a tuple's value. */
const INITIATOR_LOW = 4;

const tupleValue = struct('weir_replay_tuple', 'Connection of a tuple', {
  connection: u32('number of the record'),
  role: u32('ROLE, bit 2: the initiator is the lower end'),
  pad: u32('makes a slot of an IPv4 tuple half a cache line'),
});
const tupleKey4 = struct('weir_replay_tuple_key4', 'Canonical tuple', {
  low: be32('lower address'),
  high: be32('higher address'),
  lowPort: be16('port'),
  highPort: be16('port'),
  protocol: u32('protocol'),
});
const tupleKey6 = struct('weir_replay_tuple_key6', 'Canonical tuple', {
  low: bytes(16, 'lower address'),
  high: bytes(16, 'higher address'),
  lowPort: be16('port'),
  highPort: be16('port'),
  protocol: u8('protocol'),
  pad1: u8('zero'),
  pad2: be16('zero'),
});

const spec = (name: string, key: MapSpec['key'], maxEntries: number): MapSpec => ({
  name: `weir_replay_${name}`,
  kind: 'hash',
  doc: 'tuples of a replay',
  key,
  value: tupleValue,
  maxEntries,
});

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
  private readonly onForgotten: OnForgotten | undefined;
  private readonly tuples4: Hash4;
  private readonly tuples6: Hash10;
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
    options: { readonly maxRecords?: number; readonly onForgotten?: OnForgotten; readonly seed?: number } = {},
  ) {
    this.maxRecords = Math.max(1, Math.min(options.maxRecords ?? 1_000_000, 8_000_000));
    this.onForgotten = options.onForgotten;
    const seed = options.seed === undefined ? {} : { seed: options.seed };
    const tuples = 2 * this.maxRecords;
    this.tuples4 = new Hash4(spec('tuples4', tupleKey4, tuples), seed);
    this.tuples6 = new Hash10(spec('tuples6', tupleKey6, tuples), seed);
    const room = Math.min(1024, this.maxRecords) + 1;
    this.int = new Int32Array(FRONT + room * INT_STRIDE);
    this.real = new Float64Array(room * REAL_STRIDE);
    this.room = room;
  }

  /**
   * The TCP connection of an IPv4 tuple if it was met lately under the tuple that was asked for, or 0: ask `find4`. Sets
   * `role` and `forward` where it is found.
   */
  recall4(s: number, d: number, ports: number): number {
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
  recall6(
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
    const sourcePort = ports & 0xffff;
    const destinationPort = ports >>> 16;
    const low = s < d || (s === d && sourcePort <= destinationPort);
    const { tuples4 } = this;
    const at = low
      ? tuples4.find(s, d, ports, protocol)
      : tuples4.find(d, s, (ports << 16) | destinationPort, protocol);
    if (at < 0) return this.none();
    const number = this.found(tuples4.words, at, low);
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
    const low = lower6(s0, s1, s2, s3, d0, d1, d2, d3, ports);
    const { tuples6 } = this;
    const turned = (ports << 16) | (ports >>> 16);
    const at = low
      ? tuples6.find(s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol)
      : tuples6.find(d0, d1, d2, d3, s0, s1, s2, s3, turned, protocol);
    if (at < 0) return this.none();
    const number = this.found(tuples6.words, at, low);
    if (protocol === TCP && this.role === ROLE.ASKED)
      this.recent6[recentAt(s0 ^ s1 ^ s2 ^ s3, d0 ^ d1 ^ d2 ^ d3, ports)] = number;
    return number;
  }

  private none(): number {
    this.role = ROLE.NONE;
    this.forward = false;
    return 0;
  }

  private found(words: Int32Array, at: number, low: boolean): number {
    const number = words[at]!;
    const role = words[at + 1]!;
    const state = number * INT_STRIDE + AT.STATE;
    const { int } = this;
    if ((int[state]! & STATE.MET) === 0) int[state]! |= STATE.MET;
    this.role = role & 3;
    this.forward = ((role & INITIATOR_LOW) !== 0) === low;
    return number;
  }

  /**
   * A record for a new connection, zero throughout but for its generation and number; the clock forgets one when all
   * are in use. The caller fills in the tuple and calls `enter`.
   */
  begin(): number {
    let number = this.free;
    if (number !== 0) {
      this.free = this.int[number * INT_STRIDE + AT.STATE]!;
    } else if (this.used < this.maxRecords) {
      number = ++this.used;
      if (number >= this.room) this.grow();
    } else {
      number = this.evict();
    }
    const at = number * INT_STRIDE;
    const generation = (this.int[at + AT.GENERATION]! + 1) | 0;
    this.int.fill(0, FRONT + at, FRONT + at + INT_STRIDE);
    this.real.fill(0, number * REAL_STRIDE, (number + 1) * REAL_STRIDE);
    this.int[at + AT.GENERATION] = generation;
    this.int[at + AT.FLOW] = ++this.begun | 0;
    this.count++;
    return number;
  }

  /** Ends a connection: its tuples mean nothing any more, and `onForgotten` is told. */
  forget(number: number): void {
    this.onForgotten?.(number);
    this.leave(number, AT.SOURCE, AT.DESTINATION, AT.PORTS);
    this.leave(number, AT.OUT_SOURCE, AT.OUT_DESTINATION, AT.OUT_PORTS);
    const at = number * INT_STRIDE;
    this.int[at + AT.GENERATION]! += 1;
    this.int[at + AT.STATE] = this.free;
    this.int[at + AT.FLOW] = 0;
    this.free = number;
    this.count--;
  }

  /** Enters the tuple that the initiator asked for (AT.SOURCE …), and the translated one where it differs. */
  enter(number: number): void {
    this.enterTuple(number, AT.SOURCE, AT.DESTINATION, AT.PORTS, ROLE.ASKED);
    if ((this.int[number * INT_STRIDE + AT.STATE]! & STATE.TRANSLATED) !== 0) this.enterOutput(number);
  }

  /** Enters the translated tuple (AT.OUT_SOURCE …). */
  enterOutput(number: number): void {
    this.enterTuple(number, AT.OUT_SOURCE, AT.OUT_DESTINATION, AT.OUT_PORTS, ROLE.OUTPUT);
  }

  /** Takes the translated tuple out before it is changed. */
  leaveOutput(number: number): void {
    this.leave(number, AT.OUT_SOURCE, AT.OUT_DESTINATION, AT.OUT_PORTS);
  }

  private enterTuple(number: number, source: number, destination: number, portsAt: number, role: number): void {
    const { int } = this;
    const base = number * INT_STRIDE;
    const s = base + source;
    const d = base + destination;
    const ports = int[base + portsAt]!;
    const protocol = int[base + AT.PROTOCOL]!;
    const turned = (ports << 16) | (ports >>> 16);
    const six = (int[base + AT.STATE]! & STATE.IPV6) !== 0;
    let words: Int32Array;
    let at: number;
    let low: boolean;
    if (six) {
      this.forgetRecent6(s, d, ports);
      low = lower6(
        int[s]!,
        int[s + 1]!,
        int[s + 2]!,
        int[s + 3]!,
        int[d]!,
        int[d + 1]!,
        int[d + 2]!,
        int[d + 3]!,
        ports,
      );
      const a = low ? s : d;
      const b = low ? d : s;
      const t = this.tuples6;
      at = t.insert(
        int[a]!,
        int[a + 1]!,
        int[a + 2]!,
        int[a + 3]!,
        int[b]!,
        int[b + 1]!,
        int[b + 2]!,
        int[b + 3]!,
        low ? ports : turned,
        protocol,
      );
      words = t.words;
    } else {
      low = int[s]! < int[d]! || (int[s] === int[d] && (ports & 0xffff) <= ports >>> 16);
      this.recent[recentAt(int[s]!, int[d]!, ports)] = 0;
      const a = low ? s : d;
      const b = low ? d : s;
      at = this.tuples4.insert(int[a]!, int[b]!, low ? ports : turned, protocol);
      words = this.tuples4.words;
    }
    if (at < 0) return;
    words[at] = number;
    words[at + 1] = role | (low ? INITIATOR_LOW : 0);
  }

  private forgetRecent6(s: number, d: number, ports: number): void {
    const { int } = this;
    const source = int[s]! ^ int[s + 1]! ^ int[s + 2]! ^ int[s + 3]!;
    const destination = int[d]! ^ int[d + 1]! ^ int[d + 2]! ^ int[d + 3]!;
    this.recent6[recentAt(source, destination, ports)] = 0;
  }

  /** Takes a tuple of a record out, unless it means another connection by now. */
  private leave(number: number, source: number, destination: number, portsAt: number): void {
    const { int, tuples4, tuples6 } = this;
    const base = number * INT_STRIDE;
    const s = base + source;
    const d = base + destination;
    const ports = int[base + portsAt]!;
    const protocol = int[base + AT.PROTOCOL]!;
    const turned = (ports << 16) | (ports >>> 16);
    if ((int[base + AT.STATE]! & STATE.IPV6) === 0) {
      const low = int[s]! < int[d]! || (int[s] === int[d] && (ports & 0xffff) <= ports >>> 16);
      this.recent[recentAt(int[s]!, int[d]!, ports)] = 0;
      const a = int[low ? s : d]!;
      const b = int[low ? d : s]!;
      const p = low ? ports : turned;
      const at = tuples4.find(a, b, p, protocol);
      if (at >= 0 && tuples4.words[at] === number) tuples4.remove(a, b, p, protocol);
      return;
    }
    this.forgetRecent6(s, d, ports);
    const low = lower6(
      int[s]!,
      int[s + 1]!,
      int[s + 2]!,
      int[s + 3]!,
      int[d]!,
      int[d + 1]!,
      int[d + 2]!,
      int[d + 3]!,
      ports,
    );
    const a = low ? s : d;
    const b = low ? d : s;
    const p = low ? ports : turned;
    const at = tuples6.find(
      int[a]!,
      int[a + 1]!,
      int[a + 2]!,
      int[a + 3]!,
      int[b]!,
      int[b + 1]!,
      int[b + 2]!,
      int[b + 3]!,
      p,
      protocol,
    );
    if (at < 0 || tuples6.words[at] !== number) return;
    tuples6.remove(
      int[a]!,
      int[a + 1]!,
      int[a + 2]!,
      int[a + 3]!,
      int[b]!,
      int[b + 1]!,
      int[b + 2]!,
      int[b + 3]!,
      p,
      protocol,
    );
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
    const room = Math.min((this.room - 1) * 8, this.maxRecords) + 1;
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

/** Whether the source is the lower end: addresses word by word as signed numbers, then ports. */
function lower6(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  ports: number,
): boolean {
  if (s0 !== d0) return s0 < d0;
  if (s1 !== d1) return s1 < d1;
  if (s2 !== d2) return s2 < d2;
  if (s3 !== d3) return s3 < d3;
  return (ports & 0xffff) <= ports >>> 16;
}
