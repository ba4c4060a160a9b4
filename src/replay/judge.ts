// Judge: says what each packet of a capture is, and its verdict. The rules are replay.md's, "Each packet, in order".
// Input: packets in the order of the capture, each with its vantage point. Output: one Outcome a packet, reused.
// Invariants: every packet gets exactly one verdict; the packet may be rewritten in place; nothing is allocated per packet.
import { Packet } from '../datapath/index.ts';
import { type Dataplane, reportsEvents } from '../dataplane/index.ts';
import type { ByteMap } from '../maps/index.ts';
import { DROP, HOOK, type Hook, UNKNOWN_REASON } from '../schema/index.ts';
import { FRAGMENT, Headers, parseFrame, parseIp, WIRE } from '../wire/index.ts';
import { AT, INT_STRIDE, REAL, REAL_STRIDE, ROLE, STATE } from './connection-record.ts';
import { Connections } from './connections.ts';
import { Copies } from './copies.ts';
import { Departure } from './departure.ts';
import type { Directory } from './directory.ts';
import { EntryHook } from './entry-hook.ts';
import { FirstFragments } from './first-fragments.ts';
import { isEcho, isIcmpError, isNeighbourDiscovery } from './icmp-kind.ts';
import { Openings } from './openings.ts';
import { Originals } from './originals.ts';
import { Settled, type SettledRun } from './settled.ts';
import type { NamedDoubt } from './name-learning.ts';
import { OBSERVED_AS, OUTCOME, Outcome, WAY, WEIGHT } from './outcome.ts';
import { Stations } from './stations.ts';
import type { Vantage } from './vantage.ts';
import { packRun, RUN, RUN_OF, Way } from './way.ts';

const { ASKED, OUTPUT, NONE } = ROLE;
const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;
const FIN = 1;
const RST = 4;
/** FIN, SYN, RST, ACK. */
const OPENING_FLAGS = 0x17;
const SYN = 2;
/** Seconds after which a silent connection is another one (Cilium's conntrack lifetimes). */
const TCP_IDLE = 8000;
const ANY_IDLE = 60;

/** Drop reason of a header that is wrong, by WIRE status. */
const DROP_OF_WIRE = new Int32Array(16);
DROP_OF_WIRE[WIRE.BAD_LINK] = DROP.INVALID;
DROP_OF_WIRE[WIRE.BAD_IP] = DROP.INVALID;
DROP_OF_WIRE[WIRE.BAD_EXTENSION] = DROP.INVALID_EXTENSION_HEADER;
DROP_OF_WIRE[WIRE.BAD_L4] = DROP.CT_INVALID_HEADER;

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
  readonly headers = new Headers();
  readonly outcome = new Outcome();
  readonly connections: Connections;
  readonly way: Way;
  private readonly directory: Directory;
  /** Whether packets and bytes of each connection are counted. */
  private readonly counting: boolean;
  private readonly entry: EntryHook;
  private readonly openings: Openings;
  private readonly copies = new Copies();
  private readonly fragments = new FirstFragments();
  private readonly stations = new Stations();
  private readonly inner = new Headers();
  private readonly originals: Originals;
  private readonly settled: Settled;
  private readonly doubt: NamedDoubt | undefined;
  /**
   * Whether packets that cannot change anything are counted without running their hooks again (settled.ts). Only where nobody
   * looks at single packets or connections, and while no conntrack map has evicted anything.
   */
  settling = false;
  /** Whether hooks ran for the packet and let it pass: an output whose original was seen just before needs none. */
  private ran = true;
  // The packet being judged.
  private packet = new Packet();
  private vantage!: Vantage;
  private interfaceNumber = 0;
  private copyInterface = 0;
  private blind = false;
  private capture = 0;
  private number = 0;
  private now = 0;
  /** Ports as the tuple has them: of ICMP the echo id twice. */
  private ports = 0;

  constructor(options: JudgeOptions) {
    const { dataplane, directory, maps } = options;
    this.directory = directory;
    this.counting = options.onForgotten !== undefined;
    this.way = new Way(dataplane, new Departure(directory, options.features ?? 0, options.node));
    this.entry = new EntryHook(directory, options.masquerade ?? { ipv4: false, ipv6: false }, options.node);
    this.connections = new Connections({
      ...(options.maxConnections === undefined ? {} : { maxRecords: options.maxConnections }),
      ...(options.expected === undefined ? {} : { expected: options.expected }),
      ...(options.onForgotten === undefined ? {} : { onForgotten: options.onForgotten }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
    });
    this.openings = new Openings(this.way, this.connections, this.entry, directory, maps);
    this.originals = new Originals(this.way, this.connections, this.entry);
    this.settled = new Settled(this.connections, reportsEvents(dataplane));
    this.doubt = options.doubt;
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
    const { outcome: out, headers: h } = this;
    out.reset();
    this.packet = packet;
    this.vantage = vantage;
    this.interfaceNumber = interfaceNumber;
    this.copyInterface = copyInterface;
    this.blind = blind;
    this.capture = capture;
    this.number = number;
    this.now = packet.seconds * 1e9 + packet.nanoseconds;
    const status = parseFrame(h, packet.linkType, packet.bytes, packet.offset, packet.capturedEnd, packet.wireEnd);
    out.wire = status;
    if (status === WIRE.OK || status === WIRE.UNKNOWN_L4) this.judgeIp(status);
    else this.judgeOther(status);
    if (out.connection !== 0) this.note(out.connection);
    return out;
  }

  /** Everything that is not a whole IP packet of a known link type. */
  private judgeOther(status: number): void {
    const { outcome: out, headers: h } = this;
    if (status === WIRE.CUT) return this.cannotTell(UNKNOWN_REASON.TRUNCATED);
    if (status === WIRE.UNSUPPORTED_LINK_TYPE) return this.cannotTell(UNKNOWN_REASON.LINK_TYPE);
    const drop = DROP_OF_WIRE[status]!;
    if (drop === 0) return this.judgeLink();
    out.verdict = OUTCOME.DROPPED;
    out.drop = drop;
    let hook: Hook = this.vantage.kind === 'pod' ? HOOK.TO_CONTAINER : HOOK.XDP;
    if (h.family !== 0 && !this.directory.empty) {
      this.chooseEntry();
      hook = this.entry.hook;
    }
    out.hook = hook;
    out.path = hook;
  }

  /** No IP at all: the stack's business, but for a pod's hooks. */
  private judgeLink(): void {
    const { outcome: out, vantage, packet } = this;
    if (vantage.kind !== 'pod') {
      out.verdict = OUTCOME.FORWARDED;
      out.hook = HOOK.FROM_NETDEV;
      out.path = HOOK.FROM_NETDEV;
      return;
    }
    const sent = this.stations.isSender(packet, vantage.owner);
    this.way.run(sent ? HOOK.FROM_CONTAINER : HOOK.TO_CONTAINER, packet, RUN.FIRST_ONLY, out);
  }

  private cannotTell(reason: number): void {
    const { outcome: out } = this;
    out.verdict = OUTCOME.UNKNOWN;
    out.unknown = reason;
    out.hook = 0;
    out.path = 0;
  }

  /** Takes the hook for this packet from its addresses. */
  private chooseEntry(): void {
    this.entry.chooseOf(this.vantage, this.headers, this.ports);
  }

  private find(h: Headers, ports: number): number {
    const { connections } = this;
    if (h.family === 4) return connections.find4(h.s0, h.d0, ports, h.protocol);
    return connections.find6(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, ports, h.protocol);
  }

  private judgeIp(status: number): void {
    const { headers: h, vantage, packet } = this;
    if (vantage.kind === 'pod' && packet.linkType === 1) this.stations.learn(packet, this.directory, h, vantage.owner);
    this.ports = h.ports;
    let loose = status === WIRE.UNKNOWN_L4;
    if (h.fragment === FRAGMENT.LATER && !loose) return this.judgeLaterFragment();
    if (h.protocol === ICMP || h.protocol === ICMPV6) {
      const echo = isEcho(h);
      this.ports = echo ? h.icmpId | (h.icmpId << 16) : (h.icmpType << 8) | h.icmpCode;
      loose ||= !echo;
      if (!echo && vantage.kind !== 'pod' && isNeighbourDiscovery(h)) return this.neighbourDiscovery();
    }
    let connection = this.find(h, this.ports);
    if (connection !== 0 && this.isOver(connection)) {
      this.connections.forget(connection);
      connection = 0;
      this.connections.role = NONE;
    }
    if (connection !== 0 && this.connections.role === OUTPUT) connection = this.ofAnother(connection);
    if (loose) this.judgeLoose(connection);
    else if (connection !== 0) this.judgeKnown(connection);
    else this.judgeFirst();
    if (h.fragment === FRAGMENT.FIRST) this.rememberFragment();
  }

  /** Router and neighbour discovery: forwarded to the stack wherever no pod's hook is passed. */
  private neighbourDiscovery(): void {
    const { outcome: out } = this;
    if (this.directory.empty) return this.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    out.verdict = OUTCOME.FORWARDED;
    out.hook = HOOK.FROM_NETDEV;
    out.path = HOOK.FROM_NETDEV;
  }

  /**
   * A source port of the node may be another connection's in the capture than in the simulator, or by now: the first translated
   * packet of each, and every SYN, is told by its content. Whose it is.
   */
  private ofAnother(connection: number): number {
    const { connections, headers: h } = this;
    const { int } = connections;
    const state = int[connection * INT_STRIDE + AT.STATE]!;
    if ((state & STATE.MASQUERADED) === 0 || !connections.forward) return connection;
    const opens = h.protocol === TCP && (h.tcpFlags & OPENING_FLAGS) === SYN;
    if ((state & STATE.CONFIRMED) !== 0 && !opens) return connection;
    const { sourcePorts } = this.openings;
    const own = sourcePorts.isFirst(connection, h, this.packet);
    if (!own && sourcePorts.adopt(h, this.ports, this.packet)) return this.find(h, this.ports);
    int[connection * INT_STRIDE + AT.STATE]! |= STATE.CONFIRMED;
    return connection;
  }

  /** Whether this packet cannot belong to the connection that its tuple last meant. */
  private isOver(connection: number): boolean {
    const { connections, headers: h } = this;
    const { int } = connections;
    const state = int[connection * INT_STRIDE + AT.STATE]!;
    const idle = this.packet.seconds - int[connection * INT_STRIDE + AT.LAST_SECONDS]!;
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
    const { headers: h, packet, settled } = this;
    const verdict = settled.passes(connection, forward, h, this.interfaceNumber, packet.seconds, packet.nanoseconds);
    if (verdict >= 0) {
      out.verdict = verdict;
      // All that is to be noted of it is noted.
      out.connection = 0;
      return;
    }
    this.ran = true;
    this.judgeState(connection, role, forward, state);
    // Copies are judged by all packets, so under `any` none may be left out.
    const ran = this.ran && this.vantage.kind !== 'any';
    settled.settle(connection, forward, h, out.verdict, ran, packet.seconds);
  }

  private judgeState(connection: number, role: number, forward: boolean, state: number): void {
    const { connections, outcome: out } = this;
    if (role === OUTPUT ? forward : !forward && (state & STATE.TRANSLATED) !== 0) {
      if ((state & STATE.DROPPED) !== 0) return this.asTheOpening(connection);
      out.verdict = OUTCOME.OBSERVED;
      out.observed = OBSERVED_AS.OUTPUT;
      out.backend = connections.int[connection * INT_STRIDE + AT.BACKEND]!;
      out.reverseNat = connections.int[connection * INT_STRIDE + AT.REVERSE_NAT]! & 0xffff;
      return this.refresh(connection, forward);
    }
    if (!forward && (state & STATE.DROPPED) !== 0) return this.asTheOpening(connection);
    if (this.isCopy()) return;
    if ((state & STATE.UNKNOWN) !== 0) {
      const reason = connections.int[connection * INT_STRIDE + AT.DECISION]! >>> 24;
      // A name may have been resolved since.
      if (!forward || reason !== UNKNOWN_REASON.DNS_NAME) return this.cannotTell(reason);
      connections.int[connection * INT_STRIDE + AT.STATE]! &= ~(STATE.UNKNOWN | STATE.DECIDED);
    }
    this.input(connection, forward);
  }

  /** Rule 3. */
  private isCopy(): boolean {
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
  private asTheOpening(connection: number): void {
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

  /** Rules 4 and 5. */
  private input(connection: number, forward: boolean): void {
    const { connections, outcome: out, packet } = this;
    const { int } = connections;
    const base = connection * INT_STRIDE;
    if (int[base + AT.INTERFACE] !== this.interfaceNumber + 1) this.cacheEntry(connection);
    const entry = connections.int[base + AT.ENTRY]!;
    const state = connections.int[base + AT.STATE]!;
    if ((state & STATE.UNKNOWN) !== 0) return this.cannotTell(connections.int[base + AT.DECISION]! >>> 24);
    if (forward) {
      const run = RUN_OF[(entry >>> 16) & 0xff]!;
      this.way.run((entry & 0xff) as Hook, packet, run, out);
      if (this.doubt !== undefined && out.drop === DROP.POLICY && this.hangsOnName(connection, this.doubt)) return;
      this.openings.learn(connection, entry & 0xff, out, packet, this.headers.l3, this.headers.l4, this.vantage);
      const after = connections.int[base + AT.STATE]!;
      if ((after & (STATE.MASQUERADED | STATE.PRINTED | STATE.DROPPED)) === STATE.MASQUERADED) {
        this.openings.sourcePorts.remember(connection, this.headers, packet);
      }
      if ((after & STATE.TRANSLATED) !== 0) {
        connections.real[connection * REAL_STRIDE + REAL.FORWARD_INPUT] = this.now;
      }
      return;
    }
    const run = (RUN_OF[entry >>> 24]! & ~RUN.SKIP_SERVICE) | ((state & STATE.ORIGINATED) === 0 ? RUN.FIRST_ONLY : 0);
    this.way.run(((entry >>> 8) & 0xff) as Hook, packet, run, out);
    connections.int[base + AT.STATE]! |= STATE.ANSWERED;
    if ((state & STATE.TRANSLATED) !== 0) connections.real[connection * REAL_STRIDE + REAL.REPLY_INPUT] = this.now;
  }

  /** Whether the drop on the way out of a pod hangs on a name that was never resolved: the verdict is UNKNOWN then. */
  private hangsOnName(connection: number, doubt: NamedDoubt): boolean {
    const { outcome: out } = this;
    if (out.hook !== HOOK.FROM_CONTAINER) return false;
    const cookie = doubt.cookie(this.headers, out.destinationIdentity);
    if (cookie === 0) return false;
    const { hook, path } = out;
    this.openings.give(connection, UNKNOWN_REASON.DNS_NAME);
    this.cannotTell(UNKNOWN_REASON.DNS_NAME);
    out.drop = 0;
    out.hook = hook;
    out.path = path;
    out.egressCookie = cookie;
    this.openings.keep(connection, out);
    return true;
  }

  /** Works out by which hooks the connection's packets enter at this interface. */
  private cacheEntry(connection: number): void {
    const { int } = this.connections;
    const { entry, vantage } = this;
    const base = connection * INT_STRIDE;
    const family = (int[base + AT.STATE]! & STATE.IPV6) === 0 ? 4 : 6;
    const protocol = int[base + AT.PROTOCOL]!;
    const ports = int[base + AT.PORTS]!;
    entry.chooseAt(vantage, family, int, base + AT.SOURCE, base + AT.DESTINATION, ports, protocol);
    let packed = entry.hook | (packRun(entry.run) << 16);
    if (entry.unknown !== 0) this.openings.give(connection, entry.unknown);
    // A reply comes from the backend, translated or not, to whom the translated packet was from.
    const out = int[base + AT.OUT_PORTS]!;
    const turned = (out << 16) | (out >>> 16);
    entry.chooseAt(vantage, family, int, base + AT.OUT_DESTINATION, base + AT.OUT_SOURCE, turned, protocol);
    packed |= (entry.hook << 8) | (packRun(entry.run) << 24);
    int[base + AT.ENTRY] = packed;
    int[base + AT.INTERFACE] = this.interfaceNumber + 1;
  }

  private refresh(connection: number, forward: boolean): void {
    this.ran = this.originals.refresh(
      connection,
      forward,
      this.headers,
      this.packet,
      this.vantage,
      this.interfaceNumber,
      this.now,
    );
  }

  /** A packet whose tuple nobody knows. */
  private judgeFirst(): void {
    const { headers: h, openings } = this;
    // Rule 1 again: the output of a connection for which another backend was chosen than the simulator did.
    if (this.vantage.kind !== 'pod' && openings.adopt(h, this.ports, this.vantage, this.packet)) {
      return this.judgeKnown(this.find(h, this.ports));
    }
    if (this.isCopy()) return;
    const connection = openings.begin(h, this.ports, this.vantage, this.packet);
    // The tuple tells the direction now.
    const found = this.find(h, this.ports);
    if (found !== connection) this.connections.forward = openings.asSeen;
    this.entered(connection);
    this.outcome.connection = connection;
    if (this.directory.empty) {
      openings.give(connection, UNKNOWN_REASON.NO_MANIFESTS);
      this.outcome.direction = openings.asSeen ? WAY.FORWARD : WAY.REPLY;
      return this.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    }
    this.judgeBegun(connection);
  }

  /** As `judgeKnown`, but this packet is entered among the copies already. */
  private judgeBegun(connection: number): void {
    const { connections, outcome: out } = this;
    const { forward } = connections;
    const base = connection * INT_STRIDE;
    const state = connections.int[base + AT.STATE]!;
    out.direction = forward ? WAY.FORWARD : WAY.REPLY;
    if ((state & STATE.UNKNOWN) !== 0) {
      out.direction = WAY.UNKNOWN;
      return this.cannotTell(connections.int[base + AT.DECISION]! >>> 24);
    }
    if (!forward && (state & STATE.DROPPED) !== 0) return this.asTheOpening(connection);
    if (!forward && (state & STATE.TRANSLATED) !== 0 && connections.role === ASKED) {
      out.verdict = OUTCOME.OBSERVED;
      out.observed = OBSERVED_AS.OUTPUT;
      out.backend = connections.int[base + AT.BACKEND]!;
      out.reverseNat = connections.int[base + AT.REVERSE_NAT]! & 0xffff;
      return this.refresh(connection, false);
    }
    this.input(connection, forward);
  }

  /** First packet of a connection: where it was seen. */
  private entered(connection: number): void {
    const { int, real } = this.connections;
    const base = connection * INT_STRIDE;
    int[base + AT.CAPTURE] = this.capture;
    int[base + AT.FIRST] = this.number;
    int[base + AT.FIRST_NANOSECONDS] = this.packet.nanoseconds;
    int[base + AT.FIRST_INTERFACE] = this.interfaceNumber + 1;
    int[base + AT.ICMP] = (this.headers.icmpType << 8) | this.headers.icmpCode;
    real[connection * REAL_STRIDE + REAL.FIRST_SECONDS] = this.packet.seconds;
  }

  /** ICMP errors and protocols that nothing answers: every packet is an input. */
  private judgeLoose(known: number): void {
    const { outcome: out, headers: h, openings, entry } = this;
    const answered = this.directory.empty ? 0 : this.judgeError();
    if (answered === 2) return;
    if (this.isCopy()) {
      out.connection = known;
      return;
    }
    let connection = known;
    if (connection === 0) {
      connection = openings.beginLoose(h, this.ports);
      this.entered(connection);
    }
    out.connection = connection;
    if (this.directory.empty) {
      openings.give(connection, UNKNOWN_REASON.NO_MANIFESTS);
      return this.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    }
    this.chooseEntry();
    if (entry.unknown !== 0) return this.cannotTell(entry.unknown);
    this.way.run(entry.hook, this.packet, answered === 1 ? entry.run | RUN.FIRST_ONLY : entry.run, out);
  }

  /**
   * An ICMP error about a packet of a known connection: 2 when the connection decides, 1 when only the first hook knows it,
   * else 0.
   */
  private judgeError(): number {
    const { headers: h, inner, packet, connections, outcome: out } = this;
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
    const found = this.find(inner, echo ? inner.icmpId | (inner.icmpId << 16) : inner.ports);
    if (found === 0) return 0;
    const { role, forward } = connections;
    const state = connections.int[found * INT_STRIDE + AT.STATE]!;
    // The error goes against the packet that it is about.
    out.direction = forward ? WAY.REPLY : WAY.FORWARD;
    if ((state & STATE.UNKNOWN) !== 0) {
      this.cannotTell(connections.int[found * INT_STRIDE + AT.DECISION]! >>> 24);
      out.connection = found;
      return 2;
    }
    if (forward && (state & STATE.DROPPED) !== 0) {
      this.asTheOpening(found);
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
  private judgeLaterFragment(): void {
    const { fragments, headers: h, outcome: out, connections, entry } = this;
    const known = fragments.find(h);
    if (known && fragments.generation === connections.int[fragments.connection * INT_STRIDE + AT.GENERATION]) {
      out.connection = fragments.connection;
      out.direction = fragments.direction;
      if (fragments.verdict === OUTCOME.OBSERVED) {
        out.verdict = OUTCOME.OBSERVED;
        out.observed = fragments.observed;
        return;
      }
      if (fragments.verdict === OUTCOME.UNKNOWN) return this.cannotTell(fragments.unknown);
      if (fragments.counterfactual === 1) return this.asTheOpening(fragments.connection);
    }
    if (this.isCopy()) return;
    if (this.directory.empty) return this.cannotTell(UNKNOWN_REASON.NO_MANIFESTS);
    this.chooseEntry();
    if (entry.unknown !== 0) return this.cannotTell(entry.unknown);
    const state = out.connection === 0 ? 0 : connections.int[out.connection * INT_STRIDE + AT.STATE]!;
    const only = out.direction === WAY.REPLY && (state & STATE.ORIGINATED) === 0;
    this.way.run(entry.hook, this.packet, only ? entry.run | RUN.FIRST_ONLY : entry.run, out);
  }

  private rememberFragment(): void {
    const { outcome: out } = this;
    if (out.connection === 0) return;
    this.fragments.remember(this.headers, out, this.connections.int[out.connection * INT_STRIDE + AT.GENERATION]!);
  }

  /** Counts the packet in its connection, and keeps the heaviest verdict's facts. */
  private note(connection: number): void {
    const { outcome: out, connections, packet, headers: h } = this;
    const { int, real } = connections;
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
