// How connections begin: who opened one, what the opening was translated to, and what its verdict was.
// Input: first packets, decided openings. Output: records in Connections. Invariants: replay.md, rules 1 (adoption) and 6;
// a connection whose opening was not captured is opened in the simulator before its first packet is judged.
import type { Packet } from '../datapath/index.ts';
import { be32, bytes, struct, u32 } from '../layout/index.ts';
import { type ByteMap, Lru2, Lru5 } from '../maps/index.ts';
import { HOOK, type MapSpec, RECORD_FLAG, UNKNOWN_REASON } from '../schema/index.ts';
import { type Headers, readRaw16, readRaw32 } from '../wire/index.ts';
import { AT, INT_STRIDE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { Directory } from './directory.ts';
import type { EntryHook } from './entry-hook.ts';
import { Opening } from './opening.ts';
import { OUTCOME, Outcome, WAY } from './outcome.ts';
import { ServiceBackends } from './service-backends.ts';
import { SourcePorts } from './source-ports.ts';
import type { Vantage } from './vantage.ts';
import { PURPOSE, RUN, type Way } from './way.ts';

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const ICMP = 1;
const ICMPV6 = 58;
const SNAT = RECORD_FLAG.SNAT;
const TRANSLATING = RECORD_FLAG.DNAT | RECORD_FLAG.SNAT | RECORD_FLAG.LOOPBACK;

const clientValue = struct('weir_replay_client', 'Connection of a client', {
  connection: u32('record'),
  generation: u32('its generation'),
});
const clientKey4 = struct('weir_replay_client_key4', 'Client', {
  address: be32('address'),
  port: u32('port, protocol'),
});
const clientKey6 = struct('weir_replay_client_key6', 'Client', {
  address: bytes(16, 'address'),
  port: u32('port, protocol'),
});
const clientSpec = (name: string, key: MapSpec['key']): MapSpec => ({
  name: `weir_replay_${name}`,
  kind: 'lru-hash',
  doc: 'clients of services',
  key,
  value: clientValue,
  maxEntries: 1 << 20,
});

/** Who opened a connection. */
const BY = { SOURCE: 1, DESTINATION: 2, NOBODY_KNOWS: 0 } as const;

/** See the head of this file. */
export class Openings {
  /** Connections whose backend in the capture was another than the simulator's. */
  adoptions = 0;
  /** Of the last `begin`: the packet goes the initiator's way. */
  asSeen = true;
  private readonly way: Way;
  private readonly connections: Connections;
  private readonly entry: EntryHook;
  private readonly directory: Directory;
  private readonly backends: ServiceBackends;
  readonly sourcePorts: SourcePorts;
  private readonly opening = new Opening();
  private readonly opened = new Outcome();
  private readonly clients4 = new Lru2(clientSpec('clients4', clientKey4));
  private readonly clients6 = new Lru5(clientSpec('clients6', clientKey6));

  constructor(
    way: Way,
    connections: Connections,
    entry: EntryHook,
    directory: Directory,
    maps: ReadonlyMap<string, ByteMap>,
  ) {
    this.way = way;
    this.connections = connections;
    this.entry = entry;
    this.directory = directory;
    this.backends = new ServiceBackends(maps);
    this.sourcePorts = new SourcePorts(connections, maps);
  }

  /** A record for the connection of a packet whose tuple is new, opened if its opening was not captured. */
  begin(h: Headers, ports: number, vantage: Vantage, packet: Packet): number {
    const { connections } = this;
    const by = this.directory.empty ? BY.SOURCE : this.openedBy(h, ports, vantage, packet);
    this.asSeen = by !== BY.DESTINATION;
    const connection = connections.begin();
    this.fill(connection, h, ports, this.asSeen);
    connections.enter(connection);
    // As `find` would say of this packet.
    connections.role = 1;
    connections.forward = this.asSeen;
    if (this.directory.empty) return connection;
    if (by === BY.NOBODY_KNOWS) this.give(connection, this.whyNobody(h, ports, vantage));
    else if (!this.asSeen || (h.protocol === TCP && (h.tcpFlags & 0x17) !== 2)) this.open(connection, vantage, packet);
    return connection;
  }

  /** A record for packets that nothing answers. */
  beginLoose(h: Headers, ports: number): number {
    const { connections } = this;
    const connection = connections.begin();
    this.asSeen = true;
    this.fill(connection, h, ports, true);
    connections.int[connection * INT_STRIDE + AT.STATE]! |= STATE.LOOSE;
    connections.enter(connection);
    return connection;
  }

  /** Marks a connection whose packets are all UNKNOWN, and says why. */
  give(connection: number, reason: number): void {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    int[base + AT.STATE]! |= STATE.UNKNOWN | STATE.DECIDED;
    int[base + AT.DECISION] = OUTCOME.UNKNOWN | (reason << 24);
  }

  /** Keeps a decision as the connection's own. */
  keep(connection: number, out: Outcome): void {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    const reply = out.direction === WAY.REPLY;
    int[base + AT.STATE]! |= STATE.DECIDED;
    int[base + AT.DECISION] = out.verdict | (out.drop << 8) | (out.hook << 16) | (out.unknown << 24);
    int[base + AT.MATCH] = out.match | (out.matchHook << 8) | (out.action << 16) | (out.ct << 24);
    int[base + AT.PATH] = out.path;
    int[base + AT.EGRESS_COOKIE] = out.egressCookie;
    int[base + AT.INGRESS_COOKIE] = out.ingressCookie;
    int[base + AT.SOURCE_IDENTITY] = reply ? out.destinationIdentity : out.sourceIdentity;
    int[base + AT.DESTINATION_IDENTITY] = reply ? out.sourceIdentity : out.destinationIdentity;
    if (out.backend !== 0) int[base + AT.BACKEND] = out.backend;
    int[base + AT.REVERSE_NAT] = (int[base + AT.REVERSE_NAT]! & 0xffff) | (out.proxyPort << 16);
    if (out.reverseNat !== 0) int[base + AT.REVERSE_NAT] = out.reverseNat | (out.proxyPort << 16);
  }

  /**
   * Takes in what became of a packet that went the initiator's way: dropped or not, and what it was translated to.
   * @param hook by which it entered
   * @param l3 offset of its IP header in the packet's bytes; `l4` of what is behind
   */
  learn(
    connection: number,
    hook: number,
    out: Outcome,
    packet: Packet,
    l3: number,
    l4: number,
    vantage: Vantage,
  ): void {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    let state = int[base + AT.STATE]!;
    if (hook === HOOK.FROM_CONTAINER || hook === HOOK.FROM_HOST) state |= STATE.ORIGINATED;
    if (out.verdict === OUTCOME.DROPPED) state |= STATE.DROPPED;
    else state &= ~STATE.DROPPED;
    int[base + AT.STATE] = state;
    let known = (state & STATE.TRANSLATED) !== 0 && out.backend === int[base + AT.BACKEND];
    // A mapping that was evicted is made again, maybe with another port.
    if (known && (out.flags & SNAT) !== 0) {
      known = outPorts(int[base + AT.PROTOCOL]!, packet.bytes, l4) === int[base + AT.OUT_PORTS];
    }
    if ((out.flags & TRANSLATING) !== 0 && !known) this.translate(connection, out, packet.bytes, l3, l4, vantage);
  }

  private translate(connection: number, out: Outcome, b: Uint8Array, l3: number, l4: number, vantage: Vantage): void {
    const { connections } = this;
    const { int } = connections;
    const base = connection * INT_STRIDE;
    const six = (int[base + AT.STATE]! & STATE.IPV6) !== 0;
    const words = six ? 4 : 1;
    const from = l3 + (six ? 8 : 12);
    // The output that was predicted before is not one any more.
    if ((int[base + AT.STATE]! & STATE.TRANSLATED) !== 0) connections.leaveOutput(connection);
    let changed = false;
    for (let i = 0; i < words; i++) {
      const s = readRaw32(b, from + 4 * i);
      const d = readRaw32(b, from + 4 * (words + i));
      changed ||= s !== int[base + AT.SOURCE + i] || d !== int[base + AT.DESTINATION + i];
      int[base + AT.OUT_SOURCE + i] = s;
      int[base + AT.OUT_DESTINATION + i] = d;
    }
    const protocol = int[base + AT.PROTOCOL]!;
    const ports = outPorts(protocol, b, l4);
    changed ||= ports !== int[base + AT.PORTS];
    int[base + AT.OUT_PORTS] = ports;
    int[base + AT.BACKEND] = out.backend;
    int[base + AT.REVERSE_NAT] = (int[base + AT.REVERSE_NAT]! & ~0xffff) | out.reverseNat;
    // The reply's hook depends on the backend.
    int[base + AT.INTERFACE] = 0;
    if (!changed) return;
    int[base + AT.STATE]! &= ~(STATE.MASQUERADED | STATE.PRINTED | STATE.CONFIRMED);
    int[base + AT.STATE]! |= STATE.TRANSLATED | ((out.flags & SNAT) !== 0 ? STATE.MASQUERADED : 0);
    connections.enterOutput(connection);
    if (vantage.kind !== 'pod' && out.backend !== 0) this.enterClient(connection, six);
  }

  private enterClient(connection: number, six: boolean): void {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    const s = base + AT.OUT_SOURCE;
    const port = ((int[base + AT.OUT_PORTS]! & 0xffff) << 16) | int[base + AT.PROTOCOL]!;
    const table = six ? this.clients6 : this.clients4;
    const at = six
      ? this.clients6.insert(int[s]!, int[s + 1]!, int[s + 2]!, int[s + 3]!, port)
      : this.clients4.insert(int[s]!, port);
    if (at < 0) return;
    table.words[at] = connection;
    table.words[at + 1] = int[base + AT.GENERATION]!;
  }

  /** Fills in the tuple, the initiator first. */
  private fill(connection: number, h: Headers, ports: number, asSeen: boolean): void {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    const s = base + (asSeen ? AT.SOURCE : AT.DESTINATION);
    const d = base + (asSeen ? AT.DESTINATION : AT.SOURCE);
    int[s] = h.s0;
    int[s + 1] = h.s1;
    int[s + 2] = h.s2;
    int[s + 3] = h.s3;
    int[d] = h.d0;
    int[d + 1] = h.d1;
    int[d + 2] = h.d2;
    int[d + 3] = h.d3;
    int[base + AT.PORTS] = asSeen ? ports : (ports << 16) | (ports >>> 16);
    int[base + AT.PROTOCOL] = h.protocol;
    int[base + AT.STATE] = h.family === 4 ? STATE.MET : STATE.IPV6 | STATE.MET;
    int.copyWithin(base + AT.OUT_SOURCE, base + AT.SOURCE, base + AT.PORTS + 1);
  }

  /** Rule 6. */
  private openedBy(h: Headers, ports: number, vantage: Vantage, packet: Packet): number {
    const { protocol } = h;
    if (protocol === ICMP || protocol === ICMPV6)
      return h.icmpType === 0 || h.icmpType === 129 ? BY.DESTINATION : BY.SOURCE;
    if (protocol === TCP) {
      const flags = h.tcpFlags & 0x17;
      if (flags === 2) return BY.SOURCE;
      if (flags === 0x12) return BY.DESTINATION;
    }
    const { directory } = this;
    const source = directory.isDeclared(h.family, h.s0, h.s1, h.s2, h.s3, ports & 0xffff, protocol);
    const destination = directory.isDeclared(h.family, h.d0, h.d1, h.d2, h.d3, ports >>> 16, protocol);
    if (source !== destination) return destination ? BY.SOURCE : BY.DESTINATION;
    if (protocol !== TCP) return BY.SOURCE;
    const one = this.probe(h, ports, true, vantage, packet);
    const other = this.probe(h, ports, false, vantage, packet);
    return one === other && one !== -1 ? BY.SOURCE : BY.NOBODY_KNOWS;
  }

  /** What is missing where neither orientation was better: the packet may not be the cluster's at all. */
  private whyNobody(h: Headers, ports: number, vantage: Vantage): number {
    const { entry } = this;
    entry.chooseOf(vantage, h, ports);
    return entry.unknown !== 0 ? entry.unknown : UNKNOWN_REASON.BEGAN_BEFORE;
  }

  /** What the datapath would say of an opening one way or the other: verdict and drop reason; -1 = it cannot tell. */
  private probe(h: Headers, ports: number, asSeen: boolean, vantage: Vantage, packet: Packet): number {
    const { entry, opening, way, opened } = this;
    const { family, protocol } = h;
    const p = asSeen ? ports : (ports << 16) | (ports >>> 16);
    const { seconds, nanoseconds } = packet;
    let made: Packet;
    if (asSeen) {
      entry.choose(vantage, family, h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, p, protocol);
      made = opening.make(family, h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, p, protocol, seconds, nanoseconds);
    } else {
      entry.choose(vantage, family, h.d0, h.d1, h.d2, h.d3, h.s0, h.s1, h.s2, h.s3, p, protocol);
      made = opening.make(family, h.d0, h.d1, h.d2, h.d3, h.s0, h.s1, h.s2, h.s3, p, protocol, seconds, nanoseconds);
    }
    if (entry.unknown !== 0) return -1;
    opened.reset();
    way.purpose = PURPOSE.PROBE;
    way.run(entry.hook, made, entry.run | RUN.PROBE, opened);
    way.purpose = PURPOSE.INPUT;
    return opened.verdict === OUTCOME.UNKNOWN ? -1 : opened.verdict | (opened.drop << 8);
  }

  /** Sends the opening that was not captured its way, at this packet's time. */
  private open(connection: number, vantage: Vantage, packet: Packet): void {
    const { entry, opening, way, opened } = this;
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    const family = (int[base + AT.STATE]! & STATE.IPV6) === 0 ? 4 : 6;
    const protocol = int[base + AT.PROTOCOL]!;
    const s = base + AT.SOURCE;
    const d = base + AT.DESTINATION;
    const ports = int[base + AT.PORTS]!;
    entry.chooseAt(vantage, family, int, s, d, ports, protocol);
    if (entry.unknown !== 0) return this.give(connection, entry.unknown);
    const made = opening.make(
      family,
      int[s]!,
      int[s + 1]!,
      int[s + 2]!,
      int[s + 3]!,
      int[d]!,
      int[d + 1]!,
      int[d + 2]!,
      int[d + 3]!,
      ports,
      protocol,
      packet.seconds,
      packet.nanoseconds,
    );
    opened.reset();
    way.purpose = PURPOSE.OPENING;
    way.run(entry.hook, made, entry.run, opened);
    way.purpose = PURPOSE.INPUT;
    opened.direction = WAY.FORWARD;
    // Learnt first: `keep` overwrites the backend by which a change is noticed.
    this.learn(connection, entry.hook, opened, made, 0, family === 4 ? 20 : 40, vantage);
    this.keep(connection, opened);
  }

  /**
   * Rule 1 where the capture's backend is not the simulator's: when one end is a client of a service and the other one a
   * backend of it, the connection goes on with that backend. Whether the packet belongs to a connection now.
   */
  adopt(h: Headers, ports: number, vantage: Vantage, packet: Packet): boolean {
    const { protocol } = h;
    if (this.sourcePorts.adopt(h, ports, packet)) return true;
    if (protocol !== TCP && protocol !== UDP && protocol !== SCTP) return false;
    return this.adoptFor(h, ports, true, vantage, packet) || this.adoptFor(h, ports, false, vantage, packet);
  }

  private adoptFor(h: Headers, ports: number, clientIsSource: boolean, vantage: Vantage, packet: Packet): boolean {
    const { connections } = this;
    const six = h.family === 6;
    const clientPort = clientIsSource ? ports & 0xffff : ports >>> 16;
    const k = (clientPort << 16) | h.protocol;
    const { clients4, clients6 } = this;
    const at = six
      ? clientIsSource
        ? clients6.find(h.s0, h.s1, h.s2, h.s3, k)
        : clients6.find(h.d0, h.d1, h.d2, h.d3, k)
      : clients4.find(clientIsSource ? h.s0 : h.d0, k);
    if (at < 0) return false;
    const { words } = six ? clients6 : clients4;
    const connection = words[at]!;
    const { int } = connections;
    const base = connection * INT_STRIDE;
    if (int[base + AT.GENERATION] !== words[at + 1] || (int[base + AT.STATE]! & STATE.TRANSLATED) === 0) return false;
    const address = clientIsSource ? [h.d0, h.d1, h.d2, h.d3] : [h.s0, h.s1, h.s2, h.s3];
    const port = clientIsSource ? ports >>> 16 : ports & 0xffff;
    const family = six ? 6 : 4;
    const backend = this.backends.find(family, int[base + AT.REVERSE_NAT]! & 0xffff, address, port);
    if (backend === 0 || backend === int[base + AT.BACKEND]) return false;
    if (!this.chooseBackend(connection, family, backend)) return false;
    this.open(connection, vantage, packet);
    if (int[base + AT.BACKEND] !== backend) return false;
    this.adoptions++;
    return true;
  }

  private chooseBackend(connection: number, family: 4 | 6, backend: number): boolean {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    const words = (at: number): number[] => [...int.subarray(base + at, base + at + 4)];
    const ports = int[base + AT.PORTS]!;
    const source = { address: words(AT.SOURCE), port: ports & 0xffff };
    const destination = { address: words(AT.DESTINATION), port: ports >>> 16 };
    const protocol = int[base + AT.PROTOCOL]!;
    return (
      this.backends.choose(family, source, destination, protocol, backend) +
        this.backends.choose(family, destination, source, protocol, backend) >
      0
    );
  }
}

/** Ports of a translated packet as tuples have them: of ICMP the echo id twice. */
function outPorts(protocol: number, b: Uint8Array, l4: number): number {
  if (protocol !== ICMP && protocol !== ICMPV6) return readRaw32(b, l4);
  const id = readRaw16(b, l4 + 4);
  return id | (id << 16);
}
