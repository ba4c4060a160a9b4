// Classic pcap: one file header, then records of a 16-byte header and the packet (draft-ietf-opsawg-pcap).
// Input: bytes of the reader's window. Output: the reader's packet fields.
// Invariant: the file header is checked once; per packet nothing is allocated.
import { type FormatDecoder, maxPacketBytes, NO_OPTIONS } from './decoder.ts';
import { INDEX, INDEX_WORDS, type PlainPcap } from './packet-index.ts';
import type { PacketOptions } from './packet-source.ts';
import type { CaptureReader } from './reader.ts';

const FILE_HEADER_BYTES = 24;
const { DATA, CAPTURED, WIRE, SECONDS, NANOSECONDS } = INDEX;
const ETHERNET = 1;

/** What a magic number says about the records that follow. */
export interface PcapVariant {
  readonly littleEndian: boolean;
  /** Fractions of a second per second: 10^6 or 10^9. */
  readonly perSecond: number;
  /** 16, or 24 with Alexey Kuznetzov's patch (interface index, protocol and packet type follow the lengths). */
  readonly recordHeaderBytes: number;
}

/** The variant of a file that begins with `magic` (its first four bytes as a big-endian number); undefined: not pcap. */
export function pcapVariant(magic: number): PcapVariant | undefined {
  switch (magic) {
    case 0xa1b2c3d4:
      return { littleEndian: false, perSecond: 1e6, recordHeaderBytes: 16 };
    case 0xd4c3b2a1:
      return { littleEndian: true, perSecond: 1e6, recordHeaderBytes: 16 };
    case 0xa1b23c4d:
      return { littleEndian: false, perSecond: 1e9, recordHeaderBytes: 16 };
    case 0x4d3cb2a1:
      return { littleEndian: true, perSecond: 1e9, recordHeaderBytes: 16 };
    case 0xa1b2cd34:
      return { littleEndian: false, perSecond: 1e6, recordHeaderBytes: 24 };
    case 0x34cdb2a1:
      return { littleEndian: true, perSecond: 1e6, recordHeaderBytes: 24 };
    default:
      return undefined;
  }
}

/** What the first bytes of a file say if it is a pcap file whose packets can be indexed; else undefined. */
export function plainPcap(head: Uint8Array): PlainPcap | undefined {
  if (head.length < FILE_HEADER_BYTES) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const variant = pcapVariant(view.getUint32(0));
  if (variant === undefined || !variant.littleEndian) return undefined;
  const major = view.getUint16(4, true);
  const network = view.getUint32(20, true);
  if (lengthOrder(major, view.getUint16(6, true)) !== 'never' || major < 2) return undefined;
  if ((network & 0x03ffffff) !== ETHERNET) return undefined;
  return {
    perSecond: variant.perSecond,
    headerBytes: variant.recordHeaderBytes,
    firstRecord: FILE_HEADER_BYTES,
  };
}

/** Goes to the next packet if it is indexed. */
function takeIndexed(reader: CaptureReader): boolean {
  const { index, window } = reader;
  const at = reader.indexed();
  if (at < 0) return false;
  const captured = index[at + CAPTURED]!;
  const offset = index[at + DATA]!;
  reader.seconds = index[at + SECONDS]! >>> 0;
  reader.nanoseconds = index[at + NANOSECONDS]!;
  reader.capturedBytes = captured;
  reader.wireBytes = index[at + WIRE]! >>> 0;
  reader.offset = offset;
  reader.indexAt = at + INDEX_WORDS;
  reader.number++;
  window.start = offset + captured;
  return true;
}

/** Whether records have the wire length before the captured length, by the file's version. */
function lengthOrder(major: number, minor: number): 'never' | 'always' | 'when-larger' {
  // 543.0 is DG/UX tcpdump: version 2, lengths swapped.
  if ((major === 543 && minor === 0) || (major === 2 && minor < 3)) return 'always';
  return major === 2 && minor === 3 ? 'when-larger' : 'never';
}

/** Decodes a pcap file from its first byte. */
export class PcapDecoder implements FormatDecoder {
  private readonly littleEndian: boolean;
  private readonly perSecond: number;
  private readonly nanosPerUnit: number;
  private readonly headerBytes: number;
  private maxPacket = 0;
  private headerRead = false;
  /** The file header is read, and records are little-endian with their lengths in today's order. */
  private plain = false;
  /** Old writers (before version 2.3; in 2.3 some) put the wire length before the captured length, as libpcap knows. */
  private swapped: 'never' | 'always' | 'when-larger' = 'never';

  constructor(variant: PcapVariant) {
    this.littleEndian = variant.littleEndian;
    this.perSecond = variant.perSecond;
    this.nanosPerUnit = 1e9 / variant.perSecond;
    this.headerBytes = variant.recordHeaderBytes;
  }

  /**
   * The short ways for whole packets of little-endian files as written today: from the chunk's index, from the record;
   * `nextOfAny` does everything else.
   */
  next(reader: CaptureReader): boolean {
    if (!this.plain) return this.nextOfAny(reader);
    const window = reader.window;
    const at = window.start;
    if (reader.indexEnd !== 0 && takeIndexed(reader)) return true;
    const data = at + this.headerBytes;
    if (data > window.end) return this.nextOfAny(reader);
    const view = window.view;
    const captured = view.getInt32(at + 8, true);
    const fraction = view.getInt32(at + 4, true);
    if (captured < 0 || captured > this.maxPacket) return this.nextOfAny(reader);
    const next = data + captured;
    if (next > window.end || fraction < 0 || fraction >= this.perSecond) return this.nextOfAny(reader);
    reader.seconds = view.getUint32(at, true);
    reader.nanoseconds = Math.imul(fraction, this.nanosPerUnit);
    reader.capturedBytes = captured;
    reader.wireBytes = view.getUint32(at + 12, true);
    reader.offset = data;
    reader.number++;
    window.start = next;
    return true;
  }

  packetOptions(): PacketOptions {
    return NO_OPTIONS;
  }

  private nextOfAny(reader: CaptureReader): boolean {
    if (!this.headerRead && !this.readFileHeader(reader)) return false;
    const window = reader.window;
    const at = window.start;
    const have = window.end - at;
    const header = this.headerBytes;
    if (have < header) return reader.want(header, `packet ${reader.number + 1}`);
    const view = window.view;
    const littleEndian = this.littleEndian;
    let captured = view.getUint32(at + 8, littleEndian);
    let wire = view.getUint32(at + 12, littleEndian);
    if (this.swapped !== 'never' && (this.swapped === 'always' || captured > wire)) {
      const first = captured;
      captured = wire;
      wire = first;
    }
    if (captured > this.maxPacket) return this.tooLong(reader, captured);
    if (have < header + captured) return reader.want(header + captured, `packet ${reader.number + 1}`);
    let seconds = view.getUint32(at, littleEndian);
    let fraction = view.getUint32(at + 4, littleEndian);
    if (fraction >= this.perSecond) {
      const carry = Math.floor(fraction / this.perSecond);
      seconds += carry;
      fraction -= carry * this.perSecond;
    }
    reader.seconds = seconds;
    reader.nanoseconds = fraction * this.nanosPerUnit;
    reader.capturedBytes = captured;
    reader.wireBytes = wire;
    reader.offset = at + header;
    reader.number++;
    window.start = at + header + captured;
    return true;
  }

  private tooLong(reader: CaptureReader, captured: number): false {
    return reader.damage(
      `damaged at packet ${reader.number + 1}: it claims ${captured} captured bytes, but at most ${this.maxPacket} are possible`,
    );
  }

  private readFileHeader(reader: CaptureReader): boolean {
    const { view, start, end } = reader.window;
    if (end - start < FILE_HEADER_BYTES) return reader.want(FILE_HEADER_BYTES, 'its header');
    const le = this.littleEndian;
    const major = view.getUint16(start + 4, le);
    const minor = view.getUint16(start + 6, le);
    // Wireshark reads every version from 2.0 on, and files exist with the version in the other byte order (512.1024).
    if (major < 2) return reader.damage(`pcap version ${major}.${minor} is not supported, only 2.0 and later`);
    this.swapped = lengthOrder(major, minor);
    const network = view.getUint32(start + 20, le);
    // The top six bits carry the length of the frame check sequence; the next ten are reserved, and libpcap refuses others.
    if ((network & 0x03ff0000) !== 0)
      return reader.damage(`reserved bits of the link type 0x${network.toString(16)} are set`);
    const linkType = network & 0xffff;
    this.maxPacket = maxPacketBytes(linkType);
    reader.interfaces.push({
      id: 0,
      capture: 0,
      section: 0,
      linkType,
      snapLength: view.getUint32(start + 16, le),
      resolution: { base: 10, exponent: this.perSecond === 1e9 ? 9 : 6 },
      offsetSeconds: 0n,
    });
    reader.linkType = linkType;
    reader.window.start = start + FILE_HEADER_BYTES;
    this.headerRead = true;
    this.plain = le && this.swapped === 'never';
    return true;
  }
}
