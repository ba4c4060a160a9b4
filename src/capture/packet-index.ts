// Where the records of a pcap file are, with a glance at each packet: made ahead of the reader, on another thread.
// Input: the file's bytes, piece by piece in order. Output: INDEX_WORDS words a packet. Invariant: only what PcapDecoder's
// short way would read the same; at a record that it would not, the index ends for good, and the decoder goes on alone.
import * as wire from '../wire/index.ts';
import { maxPacketBytes } from './decoder.ts';

// A constant of this module: what is used through an import costs V8 a load and a check each time.
const { glance } = wire;

/**
 * Words of a packet: where its record and its first byte are in the chunk, captured bytes, wire bytes (u32), seconds (u32),
 * nanoseconds, then the words of wire's `glance`.
 */
export const INDEX = { RECORD: 0, DATA: 1, CAPTURED: 2, WIRE: 3, SECONDS: 4, NANOSECONDS: 5, GLANCE: 6 } as const;
export const INDEX_WORDS = 6 + wire.GLANCE_WORDS;

const { RECORD, DATA, CAPTURED, WIRE, SECONDS, NANOSECONDS } = INDEX;
const GLANCE_AT = INDEX.GLANCE;
const ETHERNET = 1;

/** What a plain pcap file's header says: little-endian records of Ethernet frames, lengths in today's order. */
export interface PlainPcap {
  /** 10^6 or 10^9. */
  readonly perSecond: number;
  /** Of a record. */
  readonly headerBytes: number;
  /** Of the file: where the first record is. */
  readonly firstRecord: number;
}

/** The packets of a chunk that were indexed: the first ones of it, after what belongs to a record of the chunk before. */
export interface PacketIndex {
  readonly words: Int32Array;
  readonly count: number;
}

/** Walks over the records of one file. */
export class PacketIndexer {
  /** Position in the file of the next record; -1: the index has ended. */
  next: number;
  private readonly perSecond: number;
  private readonly nanosPerUnit: number;
  private readonly headerBytes: number;
  private readonly maxPacket: number = maxPacketBytes(ETHERNET);

  constructor(file: PlainPcap) {
    this.perSecond = file.perSecond;
    this.nanosPerUnit = 1e9 / file.perSecond;
    this.headerBytes = file.headerBytes;
    this.next = file.firstRecord;
  }

  /**
   * Indexes the whole records that begin in `bytes[from]` to `bytes[end - 1]`, from where the last call ended.
   * @param from index in `bytes` of the byte at `position` of the file
   * @param words gets the packets from number `count` on, as many as fit; others are passed over
   * @returns packets in `words` now
   */
  index(bytes: Uint8Array, from: number, end: number, position: number, words: Int32Array, count: number): number {
    if (this.next < position) return count;
    const { perSecond, nanosPerUnit, headerBytes, maxPacket } = this;
    const room = Math.floor(words.length / INDEX_WORDS);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let record = from + (this.next - position);
    for (;;) {
      const data = record + headerBytes;
      if (data > end) break;
      const captured = view.getInt32(record + 8, true);
      const fraction = view.getInt32(record + 4, true);
      if (captured < 0 || captured > maxPacket || fraction < 0 || fraction >= perSecond) {
        this.next = -1;
        return count;
      }
      if (data + captured > end) break;
      if (count < room) {
        const at = Math.imul(count, INDEX_WORDS);
        const wireBytes = view.getUint32(record + 12, true);
        words[at + RECORD] = record;
        words[at + DATA] = data;
        words[at + CAPTURED] = captured;
        words[at + WIRE] = wireBytes;
        words[at + SECONDS] = view.getInt32(record, true);
        words[at + NANOSECONDS] = Math.imul(fraction, nanosPerUnit);
        glance(bytes, data, captured, wireBytes < captured ? captured : wireBytes, words, at + GLANCE_AT);
        count++;
      }
      record = data + captured;
    }
    this.next = position + (record - from);
    return count;
  }

  /** Passes over the record at `next`, which a chunk's end cuts. `header`: its first bytes, as many as the file has. */
  pass(header: Uint8Array): void {
    const view = new DataView(header.buffer, header.byteOffset, header.length);
    const captured = header.length < this.headerBytes ? -1 : view.getInt32(8, true);
    this.next = captured < 0 || captured > this.maxPacket ? -1 : this.next + this.headerBytes + captured;
  }
}
