// Judge: says what each packet of a capture is, and its verdict. The rules are replay.md's, "Each packet, in order".
// Input: packets in the order of the capture, each with its vantage point. Output: one Outcome a packet, reused.
// Invariants: every packet gets exactly one verdict; the packet may be rewritten in place; nothing is allocated per packet.
import type { Packet } from '../datapath/index.ts';
import { type Dataplane, reportsEvents } from '../dataplane/index.ts';
import type { ByteMap } from '../maps/index.ts';
import { FEATURE, UNKNOWN_REASON } from '../schema/index.ts';
import { FRAGMENT, type Headers, parseFrame, WIRE } from '../wire/index.ts';
import { AT, INT_STRIDE, ROLE, STATE } from './connection-record.ts';
import { Connections } from './connections.ts';
import { Departure } from './departure.ts';
import type { Directory } from './directory.ts';
import { EntryHook } from './entry-hook.ts';
import { isEcho, isNeighbourDiscovery } from './icmp-kind.ts';
import { Inputs } from './inputs.ts';
import { Ledger } from './ledger.ts';
import { LoosePackets } from './loose-packets.ts';
import type { NamedDoubt } from './name-learning.ts';
import { Openings } from './openings.ts';
import { type Outcome, WAY } from './outcome.ts';
import { Present } from './present.ts';
import { Settled, type SettledRun } from './settled.ts';
import { Unconnected } from './unconnected.ts';
import type { Vantage } from './vantage.ts';
import { Way } from './way.ts';

const { ASKED, OUTPUT, NONE } = ROLE;
const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;
/** FIN, SYN, RST, ACK. */
const OPENING_FLAGS = 0x17;
const SYN = 2;
/** Seconds after which a silent connection is another one (Cilium's conntrack lifetimes). */
const TCP_IDLE = 8000;
const ANY_IDLE = 60;

/** Settings of a Judge. */
export interface JudgeOptions {
  readonly dataplane: Dataplane;
  readonly maps: ReadonlyMap<string, ByteMap>;
  readonly directory: Directory;
  /** Whether nodes masquerade pods towards the outside. */
  readonly masquerade?: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** The node that the dataplane was compiled for; undefined: the whole cluster. */
  readonly node?: string;
  /** FEATURE bits of the configuration: whether what leaves a node is masqueraded there. */
  readonly features?: number;
  /** Number of the interface of the node by that of the capture, 0 = unknown: what announced addresses are asked by. */
  readonly ifindexOf?: (interfaceNumber: number) => number;
  readonly maxConnections?: number;
  /** Connections to come, roughly. */
  readonly expected?: number;
  /** Told before a connection's record is forgotten. Without it, packets and bytes of each connection are not counted. */
  readonly onForgotten?: (number: number) => void;
  /** Seed of the tables' hashes. */
  readonly seed?: number;
  /** Tells drops that hang on a name which was never resolved. */
  readonly doubt?: NamedDoubt;
}

/** At a pod every packet tells something of stations, and `any` compares all packets with each other. */
const passesUnseen = ({ kind }: Vantage): boolean => kind !== 'pod' && kind !== 'any';

/** See the head of this file. */
export class Judge {
  /** The packet's headers as captured. */
  readonly headers: Headers;
  readonly outcome: Outcome;
  readonly connections: Connections;
  readonly way: Way;
  private readonly directory: Directory;
  private readonly present: Present;
  private readonly openings: Openings;
  private readonly inputs: Inputs;
  private readonly loose: LoosePackets;
  private readonly unconnected: Unconnected;
  private readonly ledger: Ledger;
  private readonly settled: Settled;
  /**
   * Whether packets that cannot change anything are counted without running their hooks again (settled.ts). Only where nobody
   * looks at single packets or connections, and while no conntrack map has evicted anything.
   */
  settling = false;

  constructor(options: JudgeOptions) {
    const { dataplane, directory, maps } = options;
    this.directory = directory;
    const way = (this.way = new Way(dataplane, new Departure(directory, options.features ?? 0, options.node)));
    const entry = new EntryHook(directory, options.masquerade ?? { ipv4: false, ipv6: false }, options.node);
    const connections = (this.connections = new Connections({
      ...(options.maxConnections === undefined ? {} : { maxRecords: options.maxConnections }),
      ...(options.expected === undefined ? {} : { expected: options.expected }),
      ...(options.onForgotten === undefined ? {} : { onForgotten: options.onForgotten }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
    }));
    const present = (this.present = new Present(connections, directory));
    this.headers = present.headers;
    this.outcome = present.outcome;
    const ifindexOf = ((options.features ?? 0) & FEATURE.L2_RESPONDER) === 0 ? undefined : options.ifindexOf;
    const openings = (this.openings = new Openings(way, connections, entry, directory, maps));
    const ledger = (this.ledger = new Ledger(present, connections, openings, options.onForgotten !== undefined));
    this.inputs = new Inputs(present, way, connections, entry, openings, options.doubt);
    this.loose = new LoosePackets(present, way, connections, entry, openings, ledger, directory);
    this.unconnected = new Unconnected(present, way, entry, directory, ifindexOf);
    this.settled = new Settled(connections, directory, reportsEvents(dataplane));
  }

  /** Connections whose backend in the capture was another one than the simulator's. */
  get adoptions(): number {
    return this.openings.adoptions;
  }

  /** Connections whose port behind source NAT in the capture was another one than the simulator's. */
  get portAdoptions(): number {
    return this.openings.sourcePorts.adoptions;
  }

  /**
   * The verdict (OUTCOME) of a packet that can change nothing, from its bytes alone, or -1: call `judge`. Parameters as there.
   * @param wireBytes length on the wire, at least `capturedBytes`
   */
  quickly(
    bytes: Uint8Array,
    offset: number,
    capturedBytes: number,
    wireBytes: number,
    linkType: number,
    vantage: Vantage,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): number {
    if (!this.settling || !passesUnseen(vantage)) return -1;
    const { settled } = this;
    return settled.shortWay(bytes, offset, capturedBytes, wireBytes, linkType, interfaceNumber, seconds, nanoseconds);
  }

  /** Passes over indexed packets that can change nothing: see Settled.passRun. */
  passRun(
    run: SettledRun,
    words: Int32Array,
    end: number,
    vantage: Vantage,
    interfaceNumber: number,
    clock: number,
    seconds: number,
  ): boolean {
    if (!this.settling || !passesUnseen(vantage)) return false;
    this.settled.passRun(run, words, end, interfaceNumber, clock, seconds);
    return true;
  }

  /**
   * Judges one packet.
   * @param packet its bytes and its time since the start of the replay; rewritten in place
   * @param interfaceNumber unique among all captures
   * @param copyInterface what tells interfaces apart for copies
   * @param blind nothing tells them apart: one interface only, or a cooked capture of version 1
   * @param capture index of the capture
   * @param number of the packet in it
   */
  judge(
    packet: Packet,
    vantage: Vantage,
    interfaceNumber: number,
    copyInterface: number,
    blind: boolean,
    capture: number,
    number: number,
  ): Outcome {
    const { present, outcome: out, headers: h } = this;
    out.reset();
    present.packet = packet;
    present.vantage = vantage;
    present.interfaceNumber = interfaceNumber;
    present.copyInterface = copyInterface;
    present.blind = blind;
    present.capture = capture;
    present.number = number;
    present.now = packet.seconds * 1e9 + packet.nanoseconds;
    const status = parseFrame(h, packet.linkType, packet.bytes, packet.offset, packet.capturedEnd, packet.wireEnd);
    out.wire = status;
    present.ports = h.ports;
    if (status === WIRE.OK || status === WIRE.UNKNOWN_L4) this.judgeIp(status);
    else this.unconnected.judge(status);
    if (out.connection !== 0) this.ledger.note(out.connection);
    return out;
  }

  private judgeIp(status: number): void {
    const { present, headers: h } = this;
    this.unconnected.learn();
    let loose = status === WIRE.UNKNOWN_L4;
    if (h.fragment === FRAGMENT.LATER && !loose) return this.loose.judgeLaterFragment();
    if (h.protocol === ICMP || h.protocol === ICMPV6) {
      const echo = isEcho(h);
      present.ports = echo ? h.icmpId | (h.icmpId << 16) : (h.icmpType << 8) | h.icmpCode;
      loose ||= !echo;
      if (!echo && present.vantage.kind !== 'pod' && isNeighbourDiscovery(h))
        return this.unconnected.neighbourDiscovery();
    }
    let connection = present.find(h, present.ports);
    if (connection !== 0 && this.isOver(connection)) {
      this.connections.forget(connection);
      connection = 0;
      this.connections.role = NONE;
    }
    if (connection !== 0 && this.connections.role === OUTPUT) connection = this.ofAnother(connection);
    if (loose) this.loose.judge(connection);
    else if (connection !== 0) this.judgeKnown(connection);
    else this.judgeFirst();
    if (h.fragment === FRAGMENT.FIRST) this.loose.rememberFragment();
  }

  /**
   * A source port of the node may be another connection's in the capture than in the simulator, or by now: the first translated
   * packet of each, and every SYN, is told by its content. Whose it is.
   */
  private ofAnother(connection: number): number {
    const { connections, present, headers: h } = this;
    const { int } = connections;
    const state = int[connection * INT_STRIDE + AT.STATE]!;
    if ((state & STATE.MASQUERADED) === 0 || !connections.forward) return connection;
    const opens = h.protocol === TCP && (h.tcpFlags & OPENING_FLAGS) === SYN;
    if ((state & STATE.CONFIRMED) !== 0 && !opens) return connection;
    const { sourcePorts } = this.openings;
    const own = sourcePorts.isFirst(connection, h, present.packet);
    if (!own && sourcePorts.adopt(h, present.ports, present.packet)) return present.find(h, present.ports);
    int[connection * INT_STRIDE + AT.STATE]! |= STATE.CONFIRMED;
    return connection;
  }

  /** Whether this packet cannot belong to the connection that its tuple last meant. */
  private isOver(connection: number): boolean {
    const { connections, headers: h } = this;
    const { int } = connections;
    const state = int[connection * INT_STRIDE + AT.STATE]!;
    const idle = this.present.packet.seconds - int[connection * INT_STRIDE + AT.LAST_SECONDS]!;
    if (idle > (h.protocol === TCP ? TCP_IDLE : ANY_IDLE)) return true;
    if (h.protocol !== TCP || (h.tcpFlags & OPENING_FLAGS) !== SYN || connections.role !== ASKED) return false;
    // A SYN from the other side opens a connection of its own; one from the same side a new one behind an old one's end.
    if (!connections.forward) return true;
    const closed =
      (state & STATE.RESET) !== 0 ||
      (state & (STATE.FIN_FORWARD | STATE.FIN_REPLY)) === (STATE.FIN_FORWARD | STATE.FIN_REPLY);
    return closed || (state & STATE.UNKNOWN) !== 0;
  }

  /** A packet whose tuple is known: rules 1 to 5. */
  private judgeKnown(connection: number): void {
    const { connections, outcome: out } = this;
    const { role, forward } = connections;
    const state = connections.int[connection * INT_STRIDE + AT.STATE]!;
    out.connection = connection;
    out.direction = forward ? WAY.FORWARD : WAY.REPLY;
    if (!this.settling) return this.judgeState(connection, role, forward, state);
    const { headers: h, inputs, settled } = this;
    const { packet, vantage, interfaceNumber } = this.present;
    const verdict = settled.passes(connection, forward, h, interfaceNumber, packet.seconds, packet.nanoseconds);
    if (verdict >= 0) {
      out.verdict = verdict;
      // All that is to be noted of it is noted.
      out.connection = 0;
      return;
    }
    inputs.ran = true;
    this.judgeState(connection, role, forward, state);
    // Copies are judged by all packets, so under `any` none may be left out.
    const ran = inputs.ran && vantage.kind !== 'any';
    settled.settle(connection, forward, h, out.verdict, ran, interfaceNumber, packet.seconds);
  }

  private judgeState(connection: number, role: number, forward: boolean, state: number): void {
    const { connections, present } = this;
    if (role === OUTPUT ? forward : !forward && (state & STATE.TRANSLATED) !== 0) {
      if ((state & STATE.DROPPED) !== 0) return present.asTheOpening(connection);
      present.isOutput(connection);
      return this.inputs.refresh(connection, forward);
    }
    if (!forward && (state & STATE.DROPPED) !== 0) return present.asTheOpening(connection);
    if (present.isCopy()) return;
    if ((state & STATE.UNKNOWN) !== 0) {
      const reason = connections.int[connection * INT_STRIDE + AT.DECISION]! >>> 24;
      // A name may have been resolved since.
      if (!forward || reason !== UNKNOWN_REASON.DNS_NAME) return present.cannotTell(reason);
      connections.int[connection * INT_STRIDE + AT.STATE]! &= ~(STATE.UNKNOWN | STATE.DECIDED);
    }
    this.inputs.input(connection, forward);
  }

  /** A packet whose tuple nobody knows. */
  private judgeFirst(): void {
    const { present, headers: h, openings } = this;
    const { vantage, packet, ports } = present;
    // Rule 1 again: the output of a connection for which another backend was chosen than the simulator did.
    if (vantage.kind !== 'pod' && openings.adopt(h, ports, vantage, packet)) {
      return this.judgeKnown(present.find(h, ports));
    }
    if (present.isCopy()) return;
    const connection = openings.begin(h, ports, vantage, packet);
    // The tuple tells the direction now.
    const found = present.find(h, ports);
    if (found !== connection) this.connections.forward = openings.asSeen;
    this.ledger.entered(connection);
    this.outcome.connection = connection;
    if (this.directory.empty) {
      openings.give(connection, UNKNOWN_REASON.NO_MANIFESTS);
      this.outcome.direction = openings.asSeen ? WAY.FORWARD : WAY.REPLY;
      return present.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    }
    this.judgeBegun(connection);
  }

  /** As `judgeKnown`, but this packet is entered among the copies already. */
  private judgeBegun(connection: number): void {
    const { connections, present, outcome: out } = this;
    const { forward } = connections;
    const base = connection * INT_STRIDE;
    const state = connections.int[base + AT.STATE]!;
    out.direction = forward ? WAY.FORWARD : WAY.REPLY;
    if ((state & STATE.UNKNOWN) !== 0) {
      out.direction = WAY.UNKNOWN;
      return present.cannotTell(connections.int[base + AT.DECISION]! >>> 24);
    }
    if (!forward && (state & STATE.DROPPED) !== 0) return present.asTheOpening(connection);
    if (!forward && (state & STATE.TRANSLATED) !== 0 && connections.role === ASKED) {
      present.isOutput(connection);
      return this.inputs.refresh(connection, false);
    }
    this.inputs.input(connection, forward);
  }
}
