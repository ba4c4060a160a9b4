// Reads a regular file ahead of its reader: while one chunk is decoded, the next ones are read on other threads.
// Input: a way to read at a position. Output: chunks in file order, each in a buffer with room before the data.
// Invariants: a buffer that was handed out is not touched until it is recycled; memory is constant; what cannot be read is
// reported after all that could; close() waits for reads that are under way, so no descriptor is reused beneath them.
import { read, readSync } from 'node:fs';
import type { PacketIndex } from '../packet-index.ts';
import type { Chunk, ChunkSource } from '../packet-source.ts';

/** Reads now: the bytes read into `into` from `at`, 0 at the end of the file. Throws as the system does. */
export type ReadNow = (into: Uint8Array, at: number, length: number, position: number) => number;

/** Resolves to the bytes read into `into` from `at`, 1..`length`; 0 at the end of the file. Rejects as the system does. */
export type PositionalRead = (into: Uint8Array, at: number, length: number, position: number) => Promise<number>;

/**
 * Bytes of a chunk. Measured with 1 GB in the page cache on two cores, every packet parsed: on a quiet machine three of 6 MiB, each
 * read in two halves at once, take 0.95 of the time of three of 8 MiB read in one go, and these 0.9 of four of 2 MiB; on a busy
 * machine smaller ones do better (waking threads against the second-level cache).
 */
export const READ_AHEAD_BYTES = 6 << 20;

/** One is decoded while two are read, or wait. */
const CHUNKS = 3;

/** Room before the data: the largest packet of most link types and its record header; longer tails are copied. */
export const HEADROOM_BYTES = 262_144 + 64;

/** A buffer of the ring, and what its last read came to. */
export class Slot implements Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly start: number;
  end: number;
  index: PacketIndex | undefined = undefined;
  failure: unknown = undefined;
  /** Never rejects: a failure waits in `failure` for its turn. */
  loaded: Promise<void> = Promise.resolve();

  constructor(headroom: number, buffer: ArrayBufferLike) {
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(this.bytes.buffer);
    this.start = headroom;
    this.end = headroom;
  }
}

/** Who fills slots instead, and says where packets are: another thread. */
export interface SlotFiller {
  /** Makes a slot. */
  slot(headroom: number, size: number): Slot;
  /** Fills one of its slots from a position on, in file order; false when it cannot any more. Never rejects. */
  fill(slot: Slot, position: number): Promise<boolean>;
  /** Waits until nothing of the file is being read. */
  close(): Promise<void>;
}

/** How far a part of a slot was filled, and why no further. */
interface ReadRange {
  readonly end: number;
  readonly failure: unknown;
}

/** See the head of this file. `closeFile` is called once, when no read is under way. */
export class ReadAhead implements ChunkSource {
  private readonly readAt: PositionalRead;
  private readonly closeFile: () => Promise<void>;
  private readonly chunkBytes: number;
  private readonly filler: SlotFiller | undefined;
  /** Being read, or read and waiting: in file order. */
  private readonly ahead: Slot[] = [];
  private slots = 0;
  private position = 0;
  private finished = false;
  private failure: unknown = undefined;
  private closing: Promise<void> | undefined = undefined;

  /** @param filler fills the slots as long as it can */
  constructor(
    readAt: PositionalRead,
    closeFile: () => Promise<void>,
    chunkBytes: number = READ_AHEAD_BYTES,
    filler?: SlotFiller,
  ) {
    this.filler = filler;
    this.readAt = readAt;
    this.closeFile = closeFile;
    this.chunkBytes = chunkBytes;
  }

  /** Starts to read, before the first chunk is asked for. */
  begin(): void {
    while (this.slots < CHUNKS && !this.finished) {
      this.slots++;
      this.load(this.slot(Math.min(this.chunkBytes, HEADROOM_BYTES), this.chunkBytes));
    }
  }

  async nextChunk(): Promise<Chunk | undefined> {
    this.begin();
    const slot = this.finished ? undefined : this.ahead[0];
    if (slot !== undefined) {
      await slot.loaded;
      if (this.closing !== undefined) return undefined;
      this.ahead.shift();
      if (slot.end < slot.bytes.length) {
        // The end of the file as this read met it: what later reads found, in a file that grows, would leave a gap.
        this.finished = true;
        this.failure = slot.failure;
      }
      if (slot.end > slot.start) return slot;
    }
    if (this.failure !== undefined) throw this.failure;
    return undefined;
  }

  recycle(chunk: Chunk): void {
    if (!this.finished) this.load(chunk as Slot);
  }

  close(): Promise<void> {
    this.finished = true;
    this.closing ??= Promise.all([this.filler?.close(), ...this.ahead.map((slot) => slot.loaded)]).then(this.closeFile);
    return this.closing;
  }

  private slot(headroom: number, size: number): Slot {
    if (this.filler !== undefined) return this.filler.slot(headroom, size);
    // Not cleared: only what was read is handed out, and so the thread that reads meets the pages first, not this one.
    return new Slot(headroom, Buffer.allocUnsafeSlow(headroom + size).buffer);
  }

  private load(slot: Slot): void {
    slot.loaded = this.fillSlot(slot, this.position);
    this.position += this.chunkBytes;
    this.ahead.push(slot);
  }

  private async fillSlot(slot: Slot, position: number): Promise<void> {
    slot.end = slot.start;
    slot.index = undefined;
    if (this.filler !== undefined && ((await this.filler.fill(slot, position)) || this.closing !== undefined)) return;
    // In two halves at once: while the reader waits for this chunk, both processors copy.
    const middle = slot.start + Math.ceil(this.chunkBytes / 2);
    const [first, second] = await Promise.all([
      this.readRange(slot, slot.start, middle, position),
      this.readRange(slot, middle, slot.bytes.length, position),
    ]);
    // Where the first half ends early, what the second found came later, to a file that grows.
    const { end, failure } = first.end < middle ? first : second;
    slot.end = end;
    slot.failure = failure;
  }

  /** Reads what belongs from `at` to `end` of a slot whose data begins at `position`. Never rejects. */
  private async readRange(slot: Slot, at: number, end: number, position: number): Promise<ReadRange> {
    try {
      for (let count = 1; count > 0 && at < end; at += count) {
        count = await this.readAt(slot.bytes, at, end - at, position + at - slot.start);
      }
    } catch (cause) {
      return { end: at, failure: cause };
    }
    return { end: at, failure: undefined };
  }
}

/** Reads from an open file on libuv's threads; the file's own position does not matter and does not change. */
export function positionalRead(descriptor: number): PositionalRead {
  return (into, at, length, position) =>
    new Promise((resolve, reject) => {
      read(descriptor, into, at, length, position, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
}

/** The same before it returns. */
export function readNow(descriptor: number): ReadNow {
  return (into, at, length, position) => readSync(descriptor, into, at, length, position);
}
