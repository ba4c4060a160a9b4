// CaptureReader: the packets of one capture (pcap or pcapng), from any source of bytes.
// Input: a ByteSource or ChunkSource. Output: the PacketSource fields, overwritten by each next().
// Invariants: no allocation per packet; memory constant but for one large record; file content never throws: damage ends
// the packets and sets `error` once, with the offset of the record that could not be read.
import { ByteWindow, DEFAULT_BUFFER_BYTES } from './byte-window.ts';
import type { FormatDecoder } from './decoder.ts';
import { FormatDetector } from './format.ts';
import { INDEX, INDEX_WORDS } from './packet-index.ts';
import type {
  ByteSource,
  CaptureError,
  CaptureInterface,
  Chunk,
  ChunkSource,
  PacketOptions,
  PacketSource,
} from './packet-source.ts';

const NO_WORDS = new Int32Array(0);
const { RECORD, DATA, CAPTURED } = INDEX;

/** Settings of a reader. */
export interface CaptureReaderOptions {
  /** Size of the buffer to begin with, at least 64; 512 KiB unless told. A file read ahead has three, of 6 MiB unless told. */
  readonly bufferBytes?: number;
}

/** Reads one capture: see PacketSource. Own its source: `close()` closes it. */
export class CaptureReader implements PacketSource {
  bytes: Uint8Array;
  offset = 0;
  capturedBytes = 0;
  wireBytes = 0;
  seconds = 0;
  nanoseconds = 0;
  linkType = 0;
  interfaceId = 0;
  number = 0;
  index: Int32Array = NO_WORDS;
  indexEnd = 0;
  error: CaptureError | undefined = undefined;
  readonly interfaces: CaptureInterface[] = [];
  /** For decoders: the bytes in memory. */
  readonly window: ByteWindow;
  /** For decoders: where in `index` the words of the next packet are that the chunk's index has. */
  indexAt = 0;
  /** For decoders: what decodes from here on. */
  decoder: FormatDecoder = new FormatDetector();
  private readonly source: ByteSource | ChunkSource;
  /** The chunk that the window is, or was until a large record outgrew it. */
  private held: Chunk | undefined = undefined;
  private wanted = 1;
  private wantedFor = 'its header';
  private ended = false;

  constructor(source: ByteSource | ChunkSource, options: CaptureReaderOptions = {}) {
    this.source = source;
    // Chunks bring their own buffers.
    const bytes = 'nextChunk' in source ? 0 : (options.bufferBytes ?? DEFAULT_BUFFER_BYTES);
    this.window = new ByteWindow(Math.max(64, bytes));
    this.bytes = this.window.bytes;
  }

  next(): boolean {
    return this.error === undefined && this.decoder.next(this);
  }

  indexed(): number {
    const { index, indexEnd } = this;
    const { start } = this.window;
    // Records may have been read without it: the first is read with the file's header, another was cut by a chunk's end.
    while (this.indexAt < indexEnd && index[this.indexAt + RECORD]! < start) this.indexAt += INDEX_WORDS;
    return this.indexAt < indexEnd && index[this.indexAt + RECORD] === start ? this.indexAt : -1;
  }

  pass(at: number): void {
    const { index } = this;
    const last = at - INDEX_WORDS;
    this.number += (at - this.indexAt) / INDEX_WORDS;
    this.indexAt = at;
    this.window.start = index[last + DATA]! + index[last + CAPTURED]!;
  }

  async fill(): Promise<boolean> {
    const { source, window } = this;
    do {
      if (this.ended || this.error !== undefined) return false;
      let more = false;
      try {
        more = 'nextChunk' in source ? await this.takeChunk(source) : await this.readBytes(source);
      } catch (cause) {
        this.ended = true;
        this.damage(cause instanceof Error ? cause.message : String(cause));
        return false;
      }
      // Closed meanwhile.
      if (this.ended) return false;
      this.bytes = window.bytes;
      if (!more) {
        this.ended = true;
        this.checkEnd();
        return false;
      }
    } while (window.end - window.start < this.wanted);
    return true;
  }

  packetOptions(): PacketOptions {
    return this.decoder.packetOptions(this);
  }

  async close(): Promise<void> {
    this.ended = true;
    await this.source.close();
  }

  /** For decoders: the record at `window.start` needs `total` bytes; `what` names it should the file end before. */
  want(total: number, what: string): false {
    this.wanted = total;
    this.wantedFor = what;
    return false;
  }

  /** For decoders: reading ends at the record at `window.start`. */
  damage(message: string): false {
    const offset = this.window.fileOffset + this.window.start;
    this.error ??= { offset, message: `${message} (at byte ${offset})`, capture: 0 };
    return false;
  }

  private async readBytes(source: ByteSource): Promise<boolean> {
    const window = this.window;
    const room = window.room();
    const count = await source.read(window.bytes, window.end, room);
    window.end += count;
    return count > 0;
  }

  private async takeChunk(source: ChunkSource): Promise<boolean> {
    const chunk = await source.nextChunk();
    if (chunk === undefined) return false;
    this.indexAt = this.indexEnd = 0;
    if (this.window.adopt(chunk)) {
      if (chunk.index !== undefined) {
        this.index = chunk.index.words;
        this.indexEnd = chunk.index.count * INDEX_WORDS;
      }
      if (this.held !== undefined) source.recycle(this.held);
      this.held = chunk;
    } else {
      this.window.append(chunk);
      source.recycle(chunk);
    }
    return true;
  }

  private checkEnd(): void {
    const left = this.window.end - this.window.start;
    if (this.window.fileOffset + this.window.end === 0) this.damage('the file is empty');
    else if (left > 0) this.damage(`the file ends within ${this.wantedFor}: ${left} of ${this.wanted} bytes are there`);
  }
}
