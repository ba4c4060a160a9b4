// Ports that source NAT took in the capture where the simulator took others: which connection's output a packet is, by what
// translation leaves alone, and the simulator's mapping moved to the port that was seen (replay.md, rule 1).
// Input: inputs whose source is translated, outputs that nobody predicted. Output: connection numbers, map updates.
// Invariant: bounded; only the first input of a translation is known again; nothing is guessed. Remembering allocates nothing.
import type { Packet } from '../datapath/index.ts';
import { struct, u32 } from '../layout/index.ts';
import { type ByteMap, Lru2 } from '../maps/index.ts';
import { MAPS, NAT_WAY, UPDATE } from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import { AT, INT_STRIDE, REAL, REAL_STRIDE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';

const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;
const imul = Math.imul;

const printKey = struct('weir_replay_print', 'What translation leaves alone', {
  content: u32('hash of the L4 content'),
  destination: u32('hash of destination and protocol'),
});
const printValue = struct('weir_replay_printed', 'Whose input it was', {
  connection: u32('record'),
  generation: u32('its generation'),
});

/** See the head of this file. */
export class SourcePorts {
  /** Connections whose port in the capture was another than the simulator's. */
  adoptions = 0;
  private readonly connections: Connections;
  private readonly nat4: ByteMap | undefined;
  private readonly nat6: ByteMap | undefined;
  private readonly prints = new Lru2({
    name: 'weir_replay_prints',
    kind: 'lru-hash',
    doc: 'inputs whose source is translated',
    key: printKey,
    value: printValue,
    maxEntries: 1 << 16,
  });

  constructor(connections: Connections, maps: ReadonlyMap<string, ByteMap>) {
    this.connections = connections;
    this.nat4 = maps.get(MAPS.nat4.name);
    this.nat6 = maps.get(MAPS.nat6.name);
  }

  /** Remembers the first input of a connection whose source is translated. `h`: its headers as captured. */
  remember(connection: number, h: Headers, packet: Packet): void {
    const { int } = this.connections;
    const base = connection * INT_STRIDE;
    int[base + AT.STATE]! |= STATE.PRINTED;
    const d = base + AT.OUT_DESTINATION;
    const ports = int[base + AT.OUT_PORTS]!;
    const destination = destinationHash(h, int[d]!, int[d + 1]!, int[d + 2]!, int[d + 3]!, ports);
    const content = contentHash(h, packet);
    this.connections.real[connection * REAL_STRIDE + REAL.CONTENT] = content;
    const { prints } = this;
    const at = prints.insert(content, destination);
    if (at < 0) return;
    const { words } = prints;
    // Two that are alike and both not seen yet cannot be told apart: neither is adopted.
    const other = prints.created ? 0 : words[at]!;
    const alive = other !== 0 && int[other * INT_STRIDE + AT.GENERATION] === words[at + 1];
    const unseen = alive && (int[other * INT_STRIDE + AT.STATE]! & STATE.CONFIRMED) === 0;
    words[at] = unseen && other !== connection ? 0 : connection;
    words[at + 1] = int[base + AT.GENERATION]!;
  }

  /** Whether the packet's content is that of the connection's first input. */
  isFirst(connection: number, h: Headers, packet: Packet): boolean {
    const { real } = this.connections;
    return real[connection * REAL_STRIDE + REAL.CONTENT] === contentHash(h, packet);
  }

  /**
   * Whether the packet is the output of a connection that the simulator gave another port. Then the mapping and the predicted
   * tuple have the packet's.
   */
  adopt(h: Headers, ports: number, packet: Packet): boolean {
    const { prints, connections } = this;
    if (prints.count === 0) return false;
    const destination = destinationHash(h, h.d0, h.d1, h.d2, h.d3, ports);
    const at = prints.find(contentHash(h, packet), destination);
    if (at < 0) return false;
    const connection = prints.words[at]!;
    if (connection === 0) return false;
    const { int } = connections;
    const base = connection * INT_STRIDE;
    if (int[base + AT.GENERATION] !== prints.words[at + 1]) return false;
    const state = int[base + AT.STATE]!;
    if ((state & STATE.MASQUERADED) === 0 || (state & STATE.DROPPED) !== 0) return false;
    if (((state & STATE.IPV6) === 0) !== (h.family === 4) || int[base + AT.PROTOCOL] !== h.protocol) return false;
    const s = base + AT.OUT_SOURCE;
    const d = base + AT.OUT_DESTINATION;
    if (((int[s]! ^ h.s0) | (int[d]! ^ h.d0)) !== 0) return false;
    const six = (int[s + 1]! ^ h.s1) | (int[s + 2]! ^ h.s2) | (int[s + 3]! ^ h.s3);
    if (six !== 0 || ((int[d + 1]! ^ h.d1) | (int[d + 2]! ^ h.d2) | (int[d + 3]! ^ h.d3)) !== 0) return false;
    const echo = h.protocol === ICMP || h.protocol === ICMPV6;
    if (!echo && (int[base + AT.OUT_PORTS]! ^ ports) >>> 16 !== 0) return false;
    if (int[base + AT.OUT_PORTS] === ports) return false;
    if (!this.move(base, h.family === 4, echo, ports & 0xffff)) return false;
    connections.leaveOutput(connection);
    int[base + AT.OUT_PORTS] = ports;
    connections.enterOutput(connection);
    int[base + AT.STATE]! |= STATE.CONFIRMED;
    this.adoptions++;
    return true;
  }

  /** Gives a connection's mapping the raw port `port`. Whoever had it before loses it: its halves do not agree any more. */
  private move(base: number, four: boolean, echo: boolean, port: number): boolean {
    const map = four ? this.nat4 : this.nat6;
    const { int } = this.connections;
    const { key, value } = four ? MAPS.nat4 : MAPS.nat6;
    if (map === undefined) return false;
    const k = new Uint8Array(key.bytes);
    const v = new Uint8Array(value.bytes);
    const keys = new DataView(k.buffer);
    const put = (from: number, to: number, ports: number, way: number): void => {
      for (let i = 0; i < (four ? 1 : 4); i++) {
        keys.setInt32(key.at.source + 4 * i, int[base + from + i]!, true);
        keys.setInt32(key.at.destination + 4 * i, int[base + to + i]!, true);
      }
      keys.setUint16(key.at.sourcePort, ports & 0xffff, true);
      keys.setUint16(key.at.destinationPort, ports >>> 16, true);
      k[key.at.protocol] = int[base + AT.PROTOCOL]!;
      k[key.at.flags] = way;
    };
    const there = echo ? 0 : int[base + AT.OUT_PORTS]! >>> 16;
    const own = int[base + AT.PORTS]! & 0xffff;
    put(AT.SOURCE, AT.OUT_DESTINATION, own | (there << 16), NAT_WAY.OUT);
    if (!map.lookup(k, v)) return false;
    const values = new DataView(v.buffer);
    const before = values.getUint16(value.at.port, true);
    values.setUint16(value.at.port, port, true);
    map.update(k, v, UPDATE.ANY);
    // The answers' half: the same but for whom they are for.
    for (let i = 0; i < (four ? 1 : 4); i++) {
      values.setInt32(value.at.address + 4 * i, int[base + AT.SOURCE + i]!, true);
    }
    values.setUint16(value.at.port, own, true);
    put(AT.OUT_DESTINATION, AT.OUT_SOURCE, there | (before << 16), NAT_WAY.BACK);
    const theirs = new Uint8Array(value.bytes);
    const end = value.at.port + 2;
    if (map.lookup(k, theirs) && theirs.subarray(0, end).every((byte, at) => byte === v[at])) map.delete(k);
    put(AT.OUT_DESTINATION, AT.OUT_SOURCE, there | (port << 16), NAT_WAY.BACK);
    map.update(k, v, UPDATE.ANY);
    return true;
  }
}

/** Destination, its port and protocol; of ICMP there is no port that stays. */
function destinationHash(h: Headers, d0: number, d1: number, d2: number, d3: number, ports: number): number {
  const { protocol } = h;
  const port = protocol === ICMP || protocol === ICMPV6 ? 0 : ports >>> 16;
  let a = imul(d0 ^ imul(port | (protocol << 16), 0x9e3779b1), 0x85ebca6b);
  a = imul(a ^ (a >>> 15) ^ d1, 0xc2b2ae35) ^ imul(d2, 0x27d4eb2f);
  return imul(a ^ (a >>> 13) ^ d3, 0x165667b1) | 0;
}

/**
 * The beginning of what no translation touches: TCP's sequence numbers and flags, a datagram's first bytes, an echo's sequence
 * number and first bytes, SCTP's tag and first chunk; and the packet's length.
 */
function contentHash(h: Headers, packet: Packet): number {
  const { protocol, l4 } = h;
  const { bytes } = packet;
  const end = Math.min(packet.capturedEnd, h.l3 + h.l3Length);
  const from =
    protocol === UDP ? l4 + 8 : protocol === ICMP || protocol === ICMPV6 ? l4 + 6 : protocol === TCP ? l4 + 4 : l4 + 12;
  const to = Math.min(end, from + (protocol === TCP ? 10 : 16));
  let a = imul((h.l3Length - (l4 - h.l3)) ^ protocol, 0x9e3779b1);
  for (let at = from; at < to; at++) a = imul(a ^ bytes[at]!, 0x01000193) ^ (a >>> 15);
  return a | 0;
}
