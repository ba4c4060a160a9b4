// Fills buffers from a pcap file and indexes the packets in them: what the thread of index-worker.ts does.
// Input: buffers to fill from a position on, in file order. Output: how far each was filled, and its packets.
// Invariant: after a read that failed nothing is indexed any more; what was read before it counts.
import { PacketIndexer, type PlainPcap } from '../packet-index.ts';
import type { ReadNow } from './read-ahead.ts';

/** Data ends at `end`, the index has `count` packets; `failure`: why no more could be read. */
export interface Filled {
  readonly end: number;
  readonly count: number;
  readonly failure?: string;
}

/** Read at once: what was read is still in this processor's cache when it is indexed. */
const PIECE_BYTES = 512 << 10;

/** See the head of this file. */
export class IndexedFile {
  private readonly read: ReadNow;
  private readonly indexer: PacketIndexer;
  private readonly header: Uint8Array;
  private readonly pieceBytes: number;

  constructor(read: ReadNow, file: PlainPcap, pieceBytes: number = PIECE_BYTES) {
    this.read = read;
    this.indexer = new PacketIndexer(file);
    this.header = new Uint8Array(file.headerBytes);
    this.pieceBytes = pieceBytes;
  }

  /** Fills `bytes` from `start` with the file from `position` on, and `words` with the packets there. */
  fill(bytes: Uint8Array, start: number, words: Int32Array, position: number): Filled {
    const { indexer, header } = this;
    let end = start;
    let count = 0;
    try {
      for (let read = 1; read > 0 && end < bytes.length; end += read) {
        read = this.read(bytes, end, Math.min(this.pieceBytes, bytes.length - end), position + end - start);
        count = indexer.index(bytes, start, end + read, position, words, count);
      }
      // The record that the end of this buffer cuts: where the next one is, its header tells.
      if (indexer.next >= 0 && indexer.next < position + end - start) {
        let have = 0;
        for (let read = 1; read > 0 && have < header.length; have += read)
          read = this.read(header, have, header.length - have, indexer.next + have);
        indexer.pass(header.subarray(0, have));
      }
    } catch (cause) {
      indexer.next = -1;
      return { end, count, failure: cause instanceof Error ? cause.message : String(cause) };
    }
    return { end, count };
  }
}
