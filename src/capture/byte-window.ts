// The one buffer of a reader: bytes between `start` and `end` are read from the file and not yet consumed.
// Input: a ByteSource's reads go straight to `end`. Output: decoders read from `start` and advance it.
// Invariant: grows only when one record fills it, by doubling, so a false length costs no memory; never beyond `limit`.

/** Buffer size to begin with: with a 1 GB pcap in the page cache, 0.5 and 1 MiB are fastest, 4 MiB takes a fifth longer. */
export const DEFAULT_BUFFER_BYTES = 1 << 20;

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
