// Reads a large regular file with two processors: while another thread fills a chunk, its reader reads and decodes a share of
// small pieces before that chunk itself. Copying takes most of the time of reading, and into a small buffer that stays in the
// second-level cache it takes less. Input: a way to read at a position, now and later. Output: chunks in file order.
// Invariants: a buffer that was handed out is not touched until it is recycled; memory is constant; what cannot be read is
// reported after all that could; close() waits for the read that is under way.
import type { Chunk, ChunkSource } from '../packet-source.ts';
import { HEADROOM_BYTES, type PositionalRead, type ReadNow, Slot } from './read-ahead.ts';

/**
 * Bytes of a chunk that the other thread fills, and of a piece. Measured with 1 GB in the page cache on two cores, every packet
 * parsed: 0.76 to 0.8 of the time that three chunks of 6 MiB take which others fill. Chunks of 4 MiB 0.87, of 2 MiB 0.99, of
 * 12 MiB 0.94; pieces of 64 KiB 0.83, of 256 KiB 0.79, of 512 KiB 0.89.
 */
export const SHARED_CHUNK_BYTES = 6 << 20;
const PIECE_BYTES = 128 << 10;

/** Pieces between two chunks: to begin with, and at most. */
const FIRST_SHARE = 14;
const LARGEST_SHARE = 128;
/** Who had to wait so long for a chunk does more before the next one, and else less, so that neither thread waits: milliseconds. */
const WAITED = 0.1;

/** What a read came to: data up to `end`, and why no more. */
interface ReadOutcome {
  readonly end: number;
  readonly failure: unknown;
}

/** See the head of this file. `closeFile` is called once, when no read is under way. */
export class SharedRead implements ChunkSource {
  private readonly readAt: PositionalRead;
  private readonly readNow: ReadNow;
  private readonly closeFile: () => Promise<void>;
  private readonly chunkBytes: number;
  private readonly pieceBytes: number;
  /** Buffers that nobody has; at most two of each were made. */
  private readonly pieces: Slot[] = [];
  private readonly chunks: Slot[] = [];
  /** The chunk that is being filled. */
  private loading: Slot | undefined = undefined;
  private loaded: Promise<ReadOutcome> = Promise.resolve({ end: 0, failure: undefined });
  /** Pieces before the next chunk, and how many of them are still to be read; where the next one begins in the file. */
  private share: number;
  private left = 0;
  private pieceAt = 0;
  /** Where in the file begins what nobody has taken on. */
  private position = 0;
  private finished = false;
  private failure: unknown = undefined;
  private closing: Promise<void> | undefined = undefined;

  /**
   * @param readNow what `readAt` does, before it returns
   * @param share pieces behind the first chunk; how many there are behind the next ones, the time tells that it takes to wait
   */
  constructor(
    readAt: PositionalRead,
    readNow: ReadNow,
    closeFile: () => Promise<void>,
    chunkBytes: number = SHARED_CHUNK_BYTES,
    share: number = FIRST_SHARE,
  ) {
    this.share = share;
    this.readAt = readAt;
    this.readNow = readNow;
    this.closeFile = closeFile;
    this.chunkBytes = chunkBytes;
    this.pieceBytes = Math.min(PIECE_BYTES, chunkBytes);
  }

  /** Starts to read, before the first chunk is asked for. */
  begin(): void {
    if (this.loading !== undefined || this.finished) return;
    // Whoever asks for it early has other work before the first one.
    this.left = this.position === 0 ? 0 : this.share;
    this.pieceAt = this.position;
    const at = this.position + this.left * this.pieceBytes;
    this.position = at + this.chunkBytes;
    const slot = (this.loading = this.chunks.pop() ?? this.slot(this.chunkBytes));
    this.loaded = this.fill(slot, at);
  }

  async nextChunk(): Promise<Chunk | undefined> {
    this.begin();
    const slot = this.finished ? undefined : this.left > 0 ? this.piece() : await this.chunk();
    if (this.closing !== undefined) return undefined;
    if (slot !== undefined && slot.end > slot.start) return slot;
    if (this.failure !== undefined) throw this.failure;
    return undefined;
  }

  recycle(chunk: Chunk): void {
    const list = chunk.bytes.length - chunk.start === this.chunkBytes ? this.chunks : this.pieces;
    list.push(chunk as Slot);
  }

  close(): Promise<void> {
    this.finished = true;
    this.closing ??= this.loaded.then(this.closeFile);
    return this.closing;
  }

  private slot(size: number): Slot {
    const headroom = Math.min(this.chunkBytes, HEADROOM_BYTES);
    // Not cleared: only what was read is handed out, and so the thread that reads meets the pages first, not this one.
    return new Slot(headroom, Buffer.allocUnsafeSlow(headroom + size).buffer);
  }

  /** The next piece, read now. */
  private piece(): Slot {
    const slot = this.pieces.pop() ?? this.slot(this.pieceBytes);
    let at = slot.start;
    let failure: unknown;
    try {
      for (let count = 1; count > 0 && at < slot.bytes.length; at += count)
        count = this.readNow(slot.bytes, at, slot.bytes.length - at, this.pieceAt + at - slot.start);
    } catch (cause) {
      failure = cause;
    }
    this.left--;
    this.pieceAt += this.pieceBytes;
    this.take(slot, { end: at, failure });
    return slot;
  }

  /** The chunk that is being filled, and another one begins to be. */
  private async chunk(): Promise<Slot> {
    const slot = this.loading!;
    const before = performance.now();
    const outcome = await this.loaded;
    const more = performance.now() - before > WAITED ? 1 : -1;
    // The first one nobody had time to read.
    if (this.position > this.chunkBytes) this.share = Math.max(0, Math.min(LARGEST_SHARE, this.share + more));
    this.loading = undefined;
    this.take(slot, outcome);
    this.begin();
    return slot;
  }

  /** The end of the file as this read met it is the end: what later reads found, in a file that grows, would leave a gap. */
  private take(slot: Slot, { end, failure }: ReadOutcome): void {
    slot.end = end;
    if (end === slot.bytes.length) return;
    this.finished = true;
    this.failure = failure;
  }

  /** Never rejects. */
  private async fill(slot: Slot, position: number): Promise<ReadOutcome> {
    const length = slot.bytes.length;
    let at = slot.start;
    try {
      for (let count = 1; count > 0 && at < length; at += count)
        count = await this.readAt(slot.bytes, at, length - at, position + at - slot.start);
    } catch (cause) {
      return { end: at, failure: cause };
    }
    return { end: at, failure: undefined };
  }
}
