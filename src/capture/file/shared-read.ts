// Reads a large regular file with two processors: while a thread fills a chunk (read-worker.ts), its reader reads and decodes a share
// of small pieces that lie before that chunk. Copying takes most of the time of reading, and into a piece, which stays in the
// second-level cache until it is decoded, it takes less. Input: a file, a thread. Output: chunks in file order.
// Invariants: a buffer that was handed out is not touched until it is recycled; memory is constant; what cannot be read is reported
// after all that could; close() waits until the thread reads no more; where the thread ends, the reader goes on alone.
import type { Chunk, ChunkSource } from '../packet-source.ts';
import { HEADROOM_BYTES, type ReadNow } from './read-ahead.ts';
import type { ReadThread } from './read-thread.ts';
import { CONTROL, type ReadJob } from './read-job.ts';

/** Bytes of a chunk that the thread fills, and of a piece. */
const SHARED_CHUNK_BYTES = 6 << 20;
const PIECE_BYTES = 128 << 10;
/** One is decoded while one is filled, and one waits. */
const CHUNKS = 3;
/** Pieces between two chunks: to begin with, and at most. */
const FIRST_SHARE = 12;
const LARGEST_SHARE = 64;
/** Looks at a chunk that is not there before the event loop gets its turn; fewer than some hundreds are no wait. */
const LOOKS = 20_000;
const NO_WAIT = 300;
/** Bytes behind which the event loop gets its turn in any case, in chunks. */
const TURN = 16;

const { HERE, GO, STOP, WAITED_FOR, SHARE, RETURNED, FILLED } = CONTROL;

class Buffered implements Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  end: number;
  /** Of a chunk that the thread fills; -1: a piece. */
  readonly number: number;

  constructor(start: number, buffer: ArrayBufferLike, number: number) {
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.start = start;
    this.end = start;
    this.number = number;
  }
}

/** Sizes, for tests; in bytes. */
export interface SharedReadSizes {
  readonly chunk?: number;
  readonly piece?: number;
}

/** See the head of this file. `closeFile` is called once, when nothing is being read. */
export class SharedRead implements ChunkSource {
  private readonly thread: ReadThread;
  private readonly readNow: ReadNow;
  private readonly closeFile: () => Promise<void>;
  private readonly job: ReadJob;
  private readonly chunks: readonly Buffered[];
  /** Memory of chunks that the reader has: it may look at the last one after it closed. */
  private readonly handedOut = new Set<ArrayBufferLike>();
  private readonly chunkBytes: number;
  private readonly pieceBytes: number;
  private readonly start: number;
  /** Pieces that nobody has; two are made. */
  private readonly pieces: Buffered[] = [];
  private begun = false;
  /** The thread reads: chunks come from it, and pieces up to `until` from here. */
  private going = false;
  private share = FIRST_SHARE;
  private position = 0;
  /** Where the event loop gets its turn. */
  private turnAt: number;
  private until = Infinity;
  /** Where in FILLED the next chunk is told; and how many there were. */
  private turn = 0;
  private taken = 0;
  private finished = false;
  private failure: unknown = undefined;
  private closing: Promise<void> | undefined = undefined;

  /** @param thread this source's until it is closed */
  constructor(
    descriptor: number,
    readNow: ReadNow,
    closeFile: () => Promise<void>,
    thread: ReadThread,
    sizes: SharedReadSizes = {},
  ) {
    this.readNow = readNow;
    this.closeFile = closeFile;
    this.thread = thread;
    const chunkBytes = (this.chunkBytes = sizes.chunk ?? SHARED_CHUNK_BYTES);
    this.turnAt = TURN * chunkBytes;
    this.pieceBytes = sizes.piece ?? PIECE_BYTES;
    const start = (this.start = Math.min(chunkBytes, HEADROOM_BYTES));
    this.chunks = thread
      .buffers(CHUNKS, start + chunkBytes)
      .map((buffer, number) => new Buffered(start, buffer, number));
    this.job = {
      descriptor,
      control: new Int32Array(new SharedArrayBuffer(4 * (FILLED + CHUNKS))),
      positions: new Float64Array(new SharedArrayBuffer(8 * (1 + CHUNKS))),
      ends: new Int32Array(new SharedArrayBuffer(4 * CHUNKS)),
      slots: this.chunks.map(({ bytes }) => bytes),
      free: new Int32Array(new SharedArrayBuffer(4 * CHUNKS)).fill(1),
      start,
    };
  }

  /** Starts to read, before the first chunk is asked for. */
  begin(): void {
    if (this.finished) return;
    this.prepare();
    this.go(0);
  }

  async nextChunk(): Promise<Chunk | undefined> {
    const buffered = this.finished ? undefined : await this.next();
    if (this.closing !== undefined) return undefined;
    if (buffered !== undefined && buffered.end > buffered.start) return buffered;
    if (this.failure !== undefined) throw this.failure;
    return undefined;
  }

  recycle(chunk: Chunk): void {
    const buffered = chunk as Buffered;
    if (buffered.number < 0) {
      this.pieces.push(buffered);
      return;
    }
    this.handedOut.delete(buffered.bytes.buffer);
    const { control, free } = this.job;
    Atomics.store(free, buffered.number, 1);
    Atomics.add(control, RETURNED, 1);
    Atomics.notify(control, RETURNED);
  }

  close(): Promise<void> {
    this.finished = true;
    this.closing ??= this.stop().then(this.closeFile);
    return this.closing;
  }

  private async stop(): Promise<void> {
    const { control } = this.job;
    Atomics.store(control, STOP, 1);
    // Whatever it waits for has to change, or it might look at STOP just before and sleep just after.
    for (const word of [GO, RETURNED]) {
      Atomics.add(control, word, 1);
      Atomics.notify(control, word);
    }
    if (this.begun) await this.thread.over();
    this.thread.release(this.handedOut);
  }

  /** Gives the thread the file; it begins when it is told where. */
  private prepare(): void {
    if (this.begun) return;
    this.begun = true;
    this.thread.start(this.job);
  }

  /** The thread begins at `position`. */
  private go(position: number): void {
    if (this.going) return;
    this.going = true;
    this.until = position;
    const { control, positions } = this.job;
    positions[0] = position;
    Atomics.store(control, SHARE, this.share * this.pieceBytes);
    Atomics.store(control, GO, 1);
    Atomics.notify(control, GO);
  }

  private async next(): Promise<Buffered | undefined> {
    this.prepare();
    // Until it is there, the reader is alone.
    if (!this.going && Atomics.load(this.job.control, HERE) !== 0 && this.thread.alive)
      this.go(this.position + this.share * this.pieceBytes);
    if (this.position >= this.turnAt) {
      this.turnAt = this.position + TURN * this.chunkBytes;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (this.closing !== undefined) return undefined;
    if (this.position < this.until) return this.piece();
    this.taken++;
    const there = await this.arrival();
    // Closed meanwhile: neither the file nor the thread is this source's any more.
    if (this.closing !== undefined) return undefined;
    if (there) return this.chunk();
    // The thread is gone: from here on the reader is alone.
    this.until = Infinity;
    return this.piece();
  }

  /** Whether the next chunk is there, which may take a while; false: it will not come. */
  private async arrival(): Promise<boolean> {
    const { control } = this.job;
    const word = FILLED + this.turn;
    let looks = 0;
    while (looks < LOOKS && Atomics.load(control, word) === 0) looks++;
    // The first one nobody had time to read. Who had to wait does more before the next one, and else less.
    if (this.taken > 1) this.share = Math.max(0, Math.min(LARGEST_SHARE, this.share + (looks > NO_WAIT ? 1 : -1)));
    Atomics.store(control, SHARE, this.share * this.pieceBytes);
    while (Atomics.load(control, word) === 0 && this.thread.alive && this.closing === undefined) {
      Atomics.store(control, WAITED_FOR, 1);
      await this.thread.news(() => Atomics.load(control, word) !== 0);
    }
    return Atomics.load(control, word) !== 0;
  }

  private async chunk(): Promise<Buffered> {
    const { control, ends, positions } = this.job;
    const number = Atomics.exchange(control, FILLED + this.turn, 0) - 1;
    this.turn = (this.turn + 1) % CHUNKS;
    const chunk = this.chunks[number]!;
    this.handedOut.add(chunk.bytes.buffer);
    const end = ends[number]!;
    const short = end < chunk.bytes.length;
    if (short) await this.thread.over();
    this.position = this.until + end - chunk.start;
    this.until = positions[1 + number]!;
    if (short && !this.thread.alive && this.closing === undefined) {
      // Why it is short was lost with the thread: what the reader finds behind it by itself tells.
      this.until = Infinity;
      chunk.end = end;
      return end > chunk.start ? chunk : this.piece();
    }
    this.take(chunk, end, this.thread.failure);
    return chunk;
  }

  /** The next piece, read now. */
  private piece(): Buffered {
    const piece = this.pieces.pop() ?? this.newPiece();
    let at = piece.start;
    let failure: unknown;
    try {
      for (let count = 1; count > 0 && at < piece.bytes.length; at += count)
        count = this.readNow(piece.bytes, at, piece.bytes.length - at, this.position + at - piece.start);
    } catch (cause) {
      failure = cause;
    }
    this.position += this.pieceBytes;
    this.take(piece, at, failure);
    return piece;
  }

  private newPiece(): Buffered {
    return new Buffered(this.start, new ArrayBuffer(this.start + this.pieceBytes), -1);
  }

  /** The end of the file as this read met it is the end: what later reads found, in a file that grows, would leave a gap. */
  private take(buffered: Buffered, end: number, failure: unknown): void {
    buffered.end = end;
    if (end === buffered.bytes.length) return;
    this.finished = true;
    this.failure = failure;
  }
}
