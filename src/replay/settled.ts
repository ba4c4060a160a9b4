// Settled connections: packets of an answered TCP connection that can change nothing, so that only their verdict is counted.
// Input: packets, what was judged of the ones before. Output: their verdict; times in the connection's record.
// Invariants: such a packet's hooks would find the same entries, refresh them to the same second and say the same; only where
// nobody looks at single packets or connections; a property compares every counter and entry with a replay without it.
import * as capture from '../capture/index.ts';
import * as wire from '../wire/index.ts';
import { AT, INT_STRIDE, REAL, REAL_STRIDE, ROLE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { Directory } from './directory.ts';
import { OUTCOME } from './outcome.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { FRAGMENT, readRaw32, glance } = wire;
const ASKED = ROLE.ASKED;
const { OBSERVED, FORWARDED } = OUTCOME;
const { TRANSLATED, ANSWERED, MASQUERADED } = STATE;
const STATE_AT = AT.STATE;
const SETTLED = AT.SETTLED;
const SETTLED_FLAGS = AT.SETTLED_FLAGS;
const INTERFACE = AT.INTERFACE;
const LAST_SECONDS = AT.LAST_SECONDS;
const LAST_NANOSECONDS = AT.LAST_NANOSECONDS;
const FORWARD_INPUT = REAL.FORWARD_INPUT;
const NO_FRAGMENT = FRAGMENT.NONE;
const { SOURCE, DESTINATION, PORTS, INFO } = wire.GLANCE;
const { CAPTURED, WIRE, SECONDS, NANOSECONDS } = capture.INDEX;
const GLANCE_AT = capture.INDEX.GLANCE;
const INDEX_WORDS = capture.INDEX_WORDS;
const TCP = 6;
/** FIN, SYN, RST. */
const OPENING_OR_CLOSING = 7;
const SYN = 2;
const ETHERNET = 1;
/** Ethernet, IPv6 and TCP without options. */
const SHORT_BYTES6 = 74;

/** All other flags: conntrack only notes that it saw them, and reads that for reports alone. */
const OTHER_FLAGS = 0xff & ~OPENING_OR_CLOSING;

/** Where in an index a run of packets stands, and what it came to so far. */
export class SettledRun {
  /** Offset of the first packet that is not passed over. */
  at = 0;
  /** Whether that one was looked at: it is plain TCP, and may change something. */
  seen = false;
  /** Of the last packet, since the start of its second. */
  nanoseconds = 0;
  forwarded = 0;
  observed = 0;
  /** On the wire. */
  bytes = 0;
  /** In the file. */
  fileBytes = 0;
}

/** See the head of this file. */
export class Settled {
  private readonly connections: Connections;
  private readonly directory: Directory;
  /** Flags that change nothing that anybody reads. */
  private readonly indifferent: number;
  /** A glance at the packet. */
  private readonly words = new Int32Array(wire.GLANCE_WORDS);

  /** @param reporting whether the datapath reports events: then the first packet with a flag is one. */
  constructor(connections: Connections, directory: Directory, reporting: boolean) {
    this.connections = connections;
    this.directory = directory;
    this.indifferent = reporting ? 0 : OTHER_FLAGS;
  }

  /**
   * The verdict (OUTCOME) of a packet straight from its bytes if it is TCP on Ethernet, without VLAN tags, IP options, extension
   * headers or fragmentation, and can change nothing; -1: judge it the long way. Only where no vantage point learns from
   * link addresses (not at a pod).
   *
   * @param wireBytes length on the wire, at least `capturedBytes`
   * @param seconds time since the start of the replay
   */
  shortWay(
    bytes: Uint8Array,
    offset: number,
    capturedBytes: number,
    wireBytes: number,
    linkType: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    if (linkType !== ETHERNET) return -1;
    glance(bytes, offset, capturedBytes, wireBytes, this.words, 0);
    if (this.words[INFO] !== 0) return this.glanced(this.words, 0, interfaceNumber, seconds, nanoseconds);
    return this.shortWay6(bytes, offset, capturedBytes, wireBytes, interfaceNumber, seconds, nanoseconds);
  }

  /** The same from a glance at it (wire's `glance`): four words of `words` at `at`. */
  private glanced(
    words: Int32Array,
    at: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    const { connections } = this;
    const info = words[at + INFO]!;
    if (info === 0 || (info & OPENING_OR_CLOSING) !== 0) return -1;
    const connection = connections.find4(words[at + SOURCE]!, words[at + DESTINATION]!, words[at + PORTS]!, TCP);
    if (connection === 0 || connections.role !== ASKED) return -1;
    const ttl = (info >>> 8) & 0xff;
    return this.pass(connection, connections.forward, info & 0xff, ttl, interfaceNumber, seconds, nanoseconds);
  }

  /**
   * Passes over the packets of an index (capture's packet-index.ts) from `run.at` to `end`, as long as each can change nothing
   * and is of the same second, no earlier than the one before. Counts them in `run`.
   * @param clock the second as the index has it
   * @param seconds the same, since the start of the replay
   */
  passRun(
    run: SettledRun,
    words: Int32Array,
    end: number,
    interfaceNumber: number,
    clock: number,
    seconds: number,
  ): void {
    let { at, nanoseconds } = run;
    let forwarded = 0;
    let observed = 0;
    let bytes = 0;
    let fileBytes = 0;
    run.seen = false;
    for (; at < end; at += INDEX_WORDS) {
      const now = words[at + NANOSECONDS]!;
      if (words[at + SECONDS] !== clock || now < nanoseconds) break;
      const verdict = this.glanced(words, at + GLANCE_AT, interfaceNumber, seconds, now);
      if (verdict < 0) {
        run.seen = words[at + GLANCE_AT + INFO] !== 0;
        break;
      }
      nanoseconds = now;
      if (verdict === FORWARDED) forwarded++;
      else observed++;
      const captured = words[at + CAPTURED]!;
      const wireBytes = words[at + WIRE]! >>> 0;
      bytes += wireBytes < captured ? captured : wireBytes;
      fileBytes += captured + 16;
    }
    run.at = at;
    run.nanoseconds = nanoseconds;
    run.forwarded = forwarded;
    run.observed = observed;
    run.bytes = bytes;
    run.fileBytes = fileBytes;
  }

  private shortWay6(
    bytes: Uint8Array,
    offset: number,
    capturedBytes: number,
    wireBytes: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    if (capturedBytes < SHORT_BYTES6 || bytes[offset + 12] !== 0x86 || bytes[offset + 13] !== 0xdd) return -1;
    if (bytes[offset + 14]! >>> 4 !== 6 || bytes[offset + 20] !== TCP) return -1;
    const room = (bytes[offset + 18]! << 8) | bytes[offset + 19]!;
    const l4 = offset + 54;
    // What parse would refuse is not settled: lengths that do not fit, a TCP header that is none.
    const tcpBytes = (bytes[l4 + 12]! >>> 4) << 2;
    if (room > wireBytes - 54 || tcpBytes < 20 || room < tcpBytes) return -1;
    if ((bytes[l4 + 13]! & OPENING_OR_CLOSING) !== 0) return -1;
    const { connections } = this;
    const connection = connections.find6(
      readRaw32(bytes, offset + 22),
      readRaw32(bytes, offset + 26),
      readRaw32(bytes, offset + 30),
      readRaw32(bytes, offset + 34),
      readRaw32(bytes, offset + 38),
      readRaw32(bytes, offset + 42),
      readRaw32(bytes, offset + 46),
      readRaw32(bytes, offset + 50),
      readRaw32(bytes, l4),
      TCP,
    );
    if (connection === 0 || connections.role !== ASKED) return -1;
    const ttl = bytes[offset + 21]!;
    return this.pass(connection, connections.forward, bytes[l4 + 13]!, ttl, interfaceNumber, seconds, nanoseconds);
  }

  /** The same for a packet that has been parsed and found; `connections.role` is that of the find. */
  passes(
    connection: number,
    forward: boolean,
    h: wire.Headers,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    if (h.fragment !== NO_FRAGMENT || this.connections.role !== ASKED) return -1;
    return this.pass(connection, forward, h.tcpFlags, h.ttl, interfaceNumber, seconds, nanoseconds);
  }

  /**
   * In the same second, at the same interface and in the same direction a packet of this connection went through (or was seen
   * as output), and this one brings no TCP flag that was not seen then, or none that matters. Flags that open or close are
   * never among those.
   */
  private pass(
    connection: number,
    forward: boolean,
    flags: number,
    ttl: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    const { int, real } = this.connections;
    const base = connection * INT_STRIDE;
    if (int[base + SETTLED] !== seconds + 1 || int[base + INTERFACE] !== interfaceNumber + 1) return -1;
    const seen = forward ? int[base + SETTLED_FLAGS]! & 0xff : int[base + SETTLED_FLAGS]! >>> 8;
    if (seen === 0 || (flags & ~seen) !== 0 || ttl <= 1) return -1;
    int[base + LAST_SECONDS] = seconds;
    int[base + LAST_NANOSECONDS] = nanoseconds;
    if ((int[base + STATE_AT]! & TRANSLATED) === 0) return FORWARDED;
    if (!forward) return OBSERVED;
    real[connection * REAL_STRIDE + FORWARD_INPUT] = seconds * 1e9 + nanoseconds;
    return FORWARDED;
  }

  /**
   * A SYN and ACK went through: what the other side sends behind the initiator's answer, in the same second and at the same
   * interface, will find the entries that the answer refreshes, and bring nothing but flags that nobody reads. Not where the
   * initiator is a frontend: to the hooks, what is sent to it opens a connection of its own.
   */
  private greeted(base: number, h: wire.Headers, interfaceNumber: number, seconds: number): void {
    const { int } = this.connections;
    const known = (int[base + STATE_AT]! & (ANSWERED | MASQUERADED)) === ANSWERED;
    if (this.indifferent === 0 || !known || this.connections.role !== ASKED) return;
    if (this.directory.isFrontend(h.family, h.d0, h.d1, h.d2, h.d3, h.ports >>> 16, TCP)) return;
    int[base + SETTLED] = -seconds - 1;
    int[base + SETTLED_FLAGS] = interfaceNumber + 1;
  }

  /**
   * Remembers that the packet just judged went through without opening or closing anything.
   * @param verdict OUTCOME of the packet
   * @param ran whether hooks ran for it and let it pass: an output whose original was seen just before needs none
   */
  settle(
    connection: number,
    forward: boolean,
    h: wire.Headers,
    verdict: number,
    ran: boolean,
    interfaceNumber: number,
    seconds: number,
  ): void {
    const { connections } = this;
    const { int } = connections;
    const base = connection * INT_STRIDE;
    const state = int[base + STATE_AT]!;
    const went = (state & TRANSLATED) !== 0 && !forward ? verdict === OBSERVED : verdict === FORWARDED;
    const quiet = h.protocol === TCP && (h.tcpFlags & OPENING_OR_CLOSING) === 0 && h.tcpFlags !== 0;
    if (!went || !quiet) {
      int[base + SETTLED] = 0;
      if (went && !forward && ran && (h.tcpFlags & OPENING_OR_CLOSING) === SYN)
        this.greeted(base, h, interfaceNumber, seconds);
      return;
    }
    if ((state & ANSWERED) === 0 || connections.role !== ASKED || !ran) return;
    if (int[base + SETTLED] !== seconds + 1) {
      const greeted =
        forward && int[base + SETTLED] === -seconds - 1 && int[base + SETTLED_FLAGS] === int[base + INTERFACE];
      int[base + SETTLED] = seconds + 1;
      int[base + SETTLED_FLAGS] = greeted ? OTHER_FLAGS << 8 : 0;
    }
    const flags = h.tcpFlags | this.indifferent;
    int[base + SETTLED_FLAGS]! |= forward ? flags : flags << 8;
  }
}
