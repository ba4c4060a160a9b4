// The kernel engine for packets of captures: other link types, packets cut by the snap length, packets longer than a test run
// takes. Input: any packet. Output: what the programs say of it, in the packet's own form.
// Invariant: whole Ethernet frames of a size that a test run takes go through untouched; of all others the headers are as captured,
// and only what no stage reads is made up: a link header of zeros, zeros behind the captured bytes, a shorter IP length; of a frame
// with no room for its IP header, what keeps it invalid.
import { type Meta, Packet, type StoredMapName } from '../../datapath/index.ts';
import type { AppliedWrites, ByteMap, MapWrite } from '../../maps/index.ts';
import { ACTION, CT_STATUS, decisionRecord, HOOK, STAGE, UNKNOWN_REASON, VERDICT } from '../../schema/index.ts';
import { Headers, parseFrame, WIRE } from '../../wire/index.ts';
import type { Dataplane, Decision, Events, Metric } from '../dataplane.ts';
import { FRAME_BOUNDS, leastBytes, runnable } from './xdp.ts';

const ETHERNET = 1;
const ETHERNET_BYTES = 14;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
/** EtherType of what has none: local experimental (IEEE 802), no IP to the programs. */
const NO_IP = 0x88b5;
const IPV4_LENGTH = 2;
const IPV6_LENGTH = 4;
const IPV6_HEADER = 40;
const MOST = Math.max(FRAME_BOUNDS.XDP.most, FRAME_BOUNDS.TC.most);
const R_ACTION = decisionRecord.at.action >>> 2;

/** See the head of this file. */
export class FramedDataplane implements Dataplane {
  readonly trace = undefined;
  readonly record: Uint8Array;
  readonly recordWords: Int32Array;
  private readonly engine: Dataplane;
  private readonly headers = new Headers();
  private readonly frame = new Uint8Array(MOST);
  private readonly framed = new Packet();
  private grown: Uint8Array = new Uint8Array(0);

  constructor(engine: Dataplane) {
    this.engine = engine;
    this.record = engine.record;
    this.recordWords = engine.recordWords;
  }

  get name(): string {
    return this.engine.name;
  }

  get maps(): Readonly<Record<StoredMapName, ByteMap>> {
    return this.engine.maps;
  }

  get events(): Events {
    return this.engine.events;
  }

  apply(writes: Iterable<MapWrite>): AppliedWrites {
    return this.engine.apply(writes);
  }

  decision(): Decision {
    return this.engine.decision();
  }

  metrics(): Metric[] {
    return this.engine.metrics();
  }

  close(): void {
    this.engine.close();
  }

  run(hook: number, packet: Packet, meta: Meta): number {
    const { offset, capturedEnd, wireEnd, linkType } = packet;
    const captured = capturedEnd - offset;
    if (linkType === ETHERNET && wireEnd <= capturedEnd && runnable(hook, packet.bytes, offset, capturedEnd))
      return this.engine.run(hook, packet, meta);
    const h = this.headers;
    const status = parseFrame(h, linkType, packet.bytes, offset, capturedEnd, wireEnd);
    if (status === WIRE.CUT) return this.unknown(hook, UNKNOWN_REASON.TRUNCATED);
    if (status === WIRE.UNSUPPORTED_LINK_TYPE) return this.unknown(hook, UNKNOWN_REASON.LINK_TYPE);

    if (linkType === ETHERNET && captured < ETHERNET_BYTES) return this.engine.run(hook, packet, meta);

    const { frame, framed } = this;
    const network = linkType === ETHERNET ? ETHERNET_BYTES : h.linkHeaderBytes;
    const most = hook === HOOK.XDP ? FRAME_BOUNDS.XDP.most : FRAME_BOUNDS.TC.most;
    const room = most - ETHERNET_BYTES;
    const known = Math.min(Math.max(0, captured - network), room);
    const length = Math.min(Math.max(known, Math.max(wireEnd, capturedEnd) - offset - network), room);
    this.writeLink(packet, status);
    for (let i = 0; i < known; i++) frame[ETHERNET_BYTES + i] = packet.bytes[offset + network + i]!;
    frame.fill(0, ETHERNET_BYTES + known, ETHERNET_BYTES + length);
    // Of a packet that does not fit, the headers stay and the length says what is there.
    const l3 = ETHERNET_BYTES + h.l3 - offset - network;
    const at = h.family === 6 ? l3 + IPV6_LENGTH : l3 + IPV4_LENGTH;
    const told = h.family === 0 ? 0 : (frame[at]! << 8) | frame[at + 1]!;
    const fits = ETHERNET_BYTES + length - l3 - (h.family === 6 ? IPV6_HEADER : 0);
    const shortened = told > fits;
    if (shortened) write16(frame, at, fits);

    // One that has no room for its own IP header is invalid, and stays so with a version that there is not.
    const first = frame[ETHERNET_BYTES]!;
    const least = leastBytes(hook, (frame[ETHERNET_BYTES - 2]! << 8) | frame[ETHERNET_BYTES - 1]!);
    const tooShort = ETHERNET_BYTES + length < least;
    if (tooShort) {
      frame.fill(0, ETHERNET_BYTES + length, least);
      frame[ETHERNET_BYTES] = 0;
    }
    const frameEnd = tooShort ? least : ETHERNET_BYTES + length;
    framed.view(frame, 0, frameEnd, frameEnd, ETHERNET, packet.seconds, packet.nanoseconds);
    const verdict = this.engine.run(hook, framed, meta);
    if (framed.bytes !== frame) {
      this.takeGrown(packet, network);
      return verdict;
    }
    if (tooShort) frame[ETHERNET_BYTES] = first;
    if (shortened) write16(frame, at, told);
    for (let i = 0; i < known; i++) packet.bytes[offset + network + i] = frame[ETHERNET_BYTES + i]!;
    if (linkType === ETHERNET) for (let i = 0; i < ETHERNET_BYTES; i++) packet.bytes[offset + i] = frame[i]!;
    return verdict;
  }

  /** The Ethernet header: the packet's own, or zeros and the type that its link header says. */
  private writeLink(packet: Packet, status: number): void {
    const { frame, headers: h } = this;
    if (packet.linkType === ETHERNET) {
      const there = Math.min(ETHERNET_BYTES, packet.capturedEnd - packet.offset);
      for (let i = 0; i < ETHERNET_BYTES; i++) frame[i] = i < there ? packet.bytes[packet.offset + i]! : 0;
      return;
    }
    frame.fill(0, 0, ETHERNET_BYTES);
    const version = packet.bytes[packet.offset + h.linkHeaderBytes]! >>> 4;
    // What cannot be read as IP is still refused as such: a wrong version under IPv4's type.
    const byVersion = status === WIRE.NOT_IP ? NO_IP : version === 6 ? IPV6 : IPV4;
    write16(frame, ETHERNET_BYTES - 2, h.etherType === 0 ? byVersion : h.etherType);
  }

  /** A packet that was encapsulated: behind its own link header. */
  private takeGrown(packet: Packet, network: number): void {
    const { framed } = this;
    const inside = framed.capturedEnd - framed.offset - ETHERNET_BYTES;
    const length = network + inside;
    if (this.grown.length < length) this.grown = new Uint8Array(length);
    const { grown } = this;
    const link = packet.linkType === ETHERNET ? framed.bytes : packet.bytes;
    const linkAt = packet.linkType === ETHERNET ? framed.offset : packet.offset;
    for (let i = 0; i < network; i++) grown[i] = link[linkAt + i]!;
    for (let i = 0; i < inside; i++) grown[network + i] = framed.bytes[framed.offset + ETHERNET_BYTES + i]!;
    packet.bytes = grown;
    packet.offset = 0;
    packet.capturedEnd = length;
    packet.wireEnd = length;
  }

  /** A packet of which too little is known to ask the programs. */
  private unknown(hook: number, reason: number): number {
    const { recordWords } = this;
    recordWords.fill(0);
    recordWords[0] = VERDICT.UNKNOWN | (STAGE.PARSE << 16) | (hook << 24);
    recordWords[R_ACTION] = ACTION.STACK | (CT_STATUS.NONE << 8) | (reason << 24);
    return VERDICT.UNKNOWN;
  }
}

/** Writes a u16 in network order. */
function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
