// The bytes of a reader: those between `start` and `end` are read from the file and not yet consumed.
// Input: a ByteSource's reads go straight to `end`; a ChunkSource's buffer becomes the window. Output: decoders read from
// `start` and advance it.
// Invariant: grows only when one record fills it, by doubling, so a false length costs no memory; never beyond that limit
// by more than a chunk.
import type { Chunk } from './packet-source.ts';

/** Buffer size to begin with: with a 1 GB pcap in the page cache, 256 and 512 KiB are fastest, 4 MiB takes a fifth longer. */
export const DEFAULT_BUFFER_BYTES = 512 << 10;

/** Most bytes that one record may have (a packet with its header, a pcapng block), and so the most a buffer grows to. */
export const MAX_RECORD_BYTES = 256 << 20;

/** A growable window over a file. `fileOffset + start` is the position in the file of the next byte to decode. */
export class ByteWindow {
  bytes: Uint8Array;
  view: DataView;
  start = 0;
  end = 0;
  /** Position in the file of `bytes[0]`. */
  fileOffset = 0;

  constructor(initialBytes: number) {
    this.bytes = new Uint8Array(initialBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room after `end`; returns the free bytes there, 0 when a single record fills the largest buffer allowed. */
  room(): number {
    const size = this.bytes.length;
    const tail = this.end - this.start;
    // Moving costs `tail` bytes; waiting until as much is free keeps tiny reads from moving a long record again and again.
    if (this.start > 0 && (tail <= this.start || this.end === size)) this.moveToFront();
    if (this.end === size && size < MAX_RECORD_BYTES) this.grow(Math.min(size * 2, MAX_RECORD_BYTES));
    return this.bytes.length - this.end;
  }

  /** Makes `chunk` the window, with the unread bytes copied to before its data; false when there is no room for them. */
  adopt(chunk: Chunk): boolean {
    const start = chunk.start - (this.end - this.start);
    if (start < 0) return false;
    chunk.bytes.set(this.bytes.subarray(this.start, this.end), start);
    this.fileOffset += this.start - start;
    this.bytes = chunk.bytes;
    this.view = chunk.view;
    this.start = start;
    this.end = chunk.end;
    return true;
  }

  /** Copies the data of `chunk` to the end of the window, which grows as far as it must. */
  append(chunk: Chunk): void {
    const count = chunk.end - chunk.start;
    if (this.start > 0 && this.end + count > this.bytes.length) this.moveToFront();
    if (this.end + count > this.bytes.length) {
      this.grow(Math.max(this.end + count, Math.min(this.bytes.length * 2, MAX_RECORD_BYTES)));
    }
    this.bytes.set(chunk.bytes.subarray(chunk.start, chunk.end), this.end);
    this.end += count;
  }

  private moveToFront(): void {
    this.bytes.copyWithin(0, this.start, this.end);
    this.fileOffset += this.start;
    this.end -= this.start;
    this.start = 0;
  }

  private grow(size: number): void {
    const bigger = new Uint8Array(size);
    bigger.set(this.bytes.subarray(0, this.end));
    this.bytes = bigger;
    this.view = new DataView(bigger.buffer);
  }
}
