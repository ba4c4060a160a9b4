// pcapng: a chain of blocks in sections that each choose their byte order (draft-ietf-opsawg-pcapng).
// Input: bytes of the reader's window. Output: the reader's packet fields, and its interfaces.
// Invariants: a block is looked at once it is whole; blocks without packets are checked for framing and skipped; per packet
// nothing is allocated (but by timestamps finer than nanoseconds).
import { MAX_RECORD_BYTES } from './byte-window.ts';
import { type FormatDecoder, maxPacketBytes, NO_OPTIONS } from './decoder.ts';
import type { CaptureInterface, PacketOptions } from './packet-source.ts';
import { decodePacketOptions, interfaceOptions } from './pcapng-options.ts';
import type { CaptureReader } from './reader.ts';
import { type Clock, clockOf, splitUnits } from './timestamp.ts';

/** Block type of a section header: the same in both byte orders, and so the magic number of the format. */
export const SECTION_HEADER = 0x0a0d0d0a;

/** Most interfaces that a file may describe: each costs memory for as long as the file is read. */
export const MAX_INTERFACES = 65_536;

const INTERFACE_DESCRIPTION = 1;
const PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const BYTE_ORDER_SWAPPED = 0x4d3c2b1a;

/** What decoding a packet needs to know of its interface. */
interface PacketInterface {
  readonly clock: Clock;
  readonly linkType: number;
  readonly snapLength: number;
  readonly maxPacket: number;
}

/** Decodes a pcapng file from its first byte. */
export class PcapngDecoder implements FormatDecoder {
  private littleEndian = true;
  private section = -1;
  /** Global index of the section's first interface. */
  private firstInterface = 0;
  /** All interfaces of the file, as `reader.interfaces`. */
  private readonly described: PacketInterface[] = [];
  private optionsAt = 0;
  private optionsEnd = 0;

  next(reader: CaptureReader): boolean {
    const window = reader.window;
    for (;;) {
      const at = window.start;
      const have = window.end - at;
      if (have < 12) return reader.want(12, 'a block');
      const view = window.view;
      const type = view.getUint32(at, this.littleEndian);
      if (type === SECTION_HEADER && !this.beginSection(reader, view.getUint32(at + 8, true))) return false;
      const littleEndian = this.littleEndian;
      const stated = view.getUint32(at + 4, littleEndian);
      if (stated < 12 || stated > MAX_RECORD_BYTES) return this.badLength(reader, type, stated);
      // Lengths should be multiples of 4; like Wireshark (and unlike libpcap), take what is not as unpadded.
      const total = (stated + 3) & ~3;
      if (have < total) return reader.want(total, this.nameOf(reader, type));
      if (((view.getUint32(at + total - 4, littleEndian) + 3) & ~3) !== total) {
        return reader.damage(`damaged at ${this.nameOf(reader, type)}: its two lengths differ`);
      }
      if (type === ENHANCED_PACKET) {
        if (total < 32) return this.badLength(reader, type, total);
        return this.packet(reader, view.getUint32(at + 8, littleEndian), at, total);
      }
      if (type === PACKET) {
        if (total < 32) return this.badLength(reader, type, total);
        return this.packet(reader, view.getUint16(at + 8, littleEndian), at, total);
      }
      if (type === SIMPLE_PACKET) {
        if (total < 16) return this.badLength(reader, type, total);
        return this.simplePacket(reader, at, total);
      }
      if (type === SECTION_HEADER) {
        if (!this.readSectionHeader(reader, at, total)) return false;
      } else if (type === INTERFACE_DESCRIPTION) {
        if (!this.readInterface(reader, at, total)) return false;
      }
      window.start = at + total;
    }
  }

  packetOptions(reader: CaptureReader): PacketOptions {
    if (this.optionsEnd - this.optionsAt < 4) return NO_OPTIONS;
    return decodePacketOptions(reader.bytes, reader.window.view, this.optionsAt, this.optionsEnd, this.littleEndian);
  }

  /** Enhanced Packet Block and obsolete Packet Block: alike from byte 12 on. */
  private packet(reader: CaptureReader, localId: number, at: number, total: number): boolean {
    const view = reader.window.view;
    const littleEndian = this.littleEndian;
    const id = this.firstInterface + localId;
    const on = this.described[id];
    if (on === undefined) return this.noInterface(reader, localId);
    const captured = view.getUint32(at + 20, littleEndian);
    if (captured > total - 32)
      return reader.damage(`damaged at packet ${reader.number + 1}: it is longer than its block`);
    if (captured > on.maxPacket) return this.tooLong(reader, captured, on.maxPacket);
    splitUnits(on.clock, view.getUint32(at + 12, littleEndian), view.getUint32(at + 16, littleEndian), reader);
    reader.wireBytes = view.getUint32(at + 24, littleEndian);
    this.deliver(reader, id, on.linkType, at + 28, captured);
    this.optionsAt = at + 28 + ((captured + 3) & ~3);
    this.optionsEnd = at + total - 4;
    reader.window.start = at + total;
    return true;
  }

  /** A Simple Packet Block is of the section's first interface and has no time; its captured length is implied. */
  private simplePacket(reader: CaptureReader, at: number, total: number): boolean {
    const on = this.described[this.firstInterface];
    if (on === undefined) return this.noInterface(reader, 0);
    const wire = reader.window.view.getUint32(at + 8, this.littleEndian);
    let captured = wire;
    if (on.snapLength !== 0 && on.snapLength < captured) captured = on.snapLength;
    if (captured > total - 16) captured = total - 16;
    if (captured > on.maxPacket) return this.tooLong(reader, captured, on.maxPacket);
    reader.seconds = 0;
    reader.nanoseconds = 0;
    reader.wireBytes = wire;
    this.deliver(reader, this.firstInterface, on.linkType, at + 12, captured);
    this.optionsAt = 0;
    this.optionsEnd = 0;
    reader.window.start = at + total;
    return true;
  }

  private deliver(reader: CaptureReader, id: number, linkType: number, offset: number, captured: number): void {
    reader.interfaceId = id;
    reader.linkType = linkType;
    reader.offset = offset;
    reader.capturedBytes = captured;
    reader.number++;
  }

  /** The byte order counts for the section header's own length, too. `magic` was read as little-endian. */
  private beginSection(reader: CaptureReader, magic: number): boolean {
    if (magic === BYTE_ORDER_MAGIC) this.littleEndian = true;
    else if (magic === BYTE_ORDER_SWAPPED) this.littleEndian = false;
    else return reader.damage('damaged at a section header: its byte-order magic is wrong');
    return true;
  }

  private readSectionHeader(reader: CaptureReader, at: number, total: number): boolean {
    if (total < 28) return this.badLength(reader, SECTION_HEADER, total);
    const view = reader.window.view;
    const major = view.getUint16(at + 12, this.littleEndian);
    const minor = view.getUint16(at + 14, this.littleEndian);
    // Minor 2 was written for a while and is the same format (draft-ietf-opsawg-pcapng §4.1).
    if (major !== 1 || (minor !== 0 && minor !== 2)) {
      return reader.damage(`pcapng version ${major}.${minor} is not supported, only 1.0 and 1.2`);
    }
    this.section++;
    this.firstInterface = this.described.length;
    return true;
  }

  private readInterface(reader: CaptureReader, at: number, total: number): boolean {
    if (total < 20) return this.badLength(reader, INTERFACE_DESCRIPTION, total);
    const id = this.described.length;
    if (id >= MAX_INTERFACES) return reader.damage(`the file describes more than ${MAX_INTERFACES} interfaces`);
    const view = reader.window.view;
    const littleEndian = this.littleEndian;
    const linkType = view.getUint16(at + 8, littleEndian);
    const snapLength = view.getUint32(at + 12, littleEndian);
    const options = interfaceOptions(reader.bytes, view, at + 16, at + total - 4, littleEndian);
    const { base, exponent } = options.resolution;
    const clock = clockOf(base, exponent, options.offsetSeconds);
    this.described.push({ clock, linkType, snapLength, maxPacket: maxPacketBytes(linkType) });
    const description: CaptureInterface = { id, capture: 0, section: this.section, linkType, snapLength, ...options };
    reader.interfaces.push(description);
    return true;
  }

  private nameOf(reader: CaptureReader, type: number): string {
    if (type === ENHANCED_PACKET || type === PACKET || type === SIMPLE_PACKET) return `packet ${reader.number + 1}`;
    if (type === SECTION_HEADER) return 'a section header';
    if (type === INTERFACE_DESCRIPTION) return 'an interface description';
    return `a block of type 0x${type.toString(16)}`;
  }

  private badLength(reader: CaptureReader, type: number, total: number): false {
    return reader.damage(`damaged at ${this.nameOf(reader, type)}: its block cannot be ${total} bytes long`);
  }

  private tooLong(reader: CaptureReader, captured: number, most: number): false {
    return reader.damage(
      `damaged at packet ${reader.number + 1}: it claims ${captured} captured bytes, but at most ${most} are possible`,
    );
  }

  private noInterface(reader: CaptureReader, localId: number): false {
    return reader.damage(`damaged at packet ${reader.number + 1}: its interface ${localId} is not described`);
  }
}
