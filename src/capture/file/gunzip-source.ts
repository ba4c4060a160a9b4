// Decompresses gzip (RFC 1952; also several members one after the other) on the way into a reader.
// Input: a ByteSource of gzip data. Output: a ByteSource of what is in it.
// Invariants: one piece of input at a time, so what waits here is bounded by what that piece expands to (1,032 times); when the
// data is cut or a checksum is wrong, all that was decompressed comes first, then one error. node:zlib's own gunzip would
// drop that last piece, and all of a small file; so the framing is done here, and only the deflate data by zlib.
import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import type { ByteSource } from '../packet-source.ts';

/** Expands to at most 16.5 MB. */
const INPUT_BYTES = 16 << 10;
/** zlib drops the output piece in which it meets broken deflate data: small ones, so little is lost. */
const OUTPUT_BYTES = 16 << 10;

const CUT = 'the gzip data ends early';

/** See the head of this file. Owns its source. */
export class GunzipSource implements ByteSource {
  private readonly source: ByteSource;
  private readonly input = new Uint8Array(INPUT_BYTES);
  private inputAt = 0;
  private inputEnd = 0;
  /** Decompressed, not yet read. */
  private readonly waiting: Uint8Array[] = [];
  private inflate: InflateRaw | undefined = undefined;
  private crc = 0;
  private size = 0;
  private failure: string | undefined = undefined;
  private finished = false;
  private closed = false;

  constructor(source: ByteSource) {
    this.source = source;
  }

  async read(into: Uint8Array, at: number, length: number): Promise<number> {
    while (this.waiting.length === 0) {
      if (this.failure !== undefined) throw new Error(this.failure);
      if (this.finished || this.closed) return 0;
      if (this.inflate === undefined) await this.beginMember();
      else await this.continueMember(this.inflate);
    }
    let copied = 0;
    let taken = 0;
    for (const piece of this.waiting) {
      const part = piece.subarray(0, length - copied);
      into.set(part, at + copied);
      copied += part.length;
      if (part.length < piece.length) {
        this.waiting[taken] = piece.subarray(part.length);
        break;
      }
      taken++;
    }
    this.waiting.splice(0, taken);
    return copied;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.inflate?.destroy();
    await this.source.close();
  }

  /** The next compressed byte; -1 at the end. */
  private async byte(): Promise<number> {
    if (this.inputAt === this.inputEnd && !(await this.refill())) return -1;
    return this.input[this.inputAt++]!;
  }

  /** Reads the next piece; false at the end. */
  private async refill(): Promise<boolean> {
    this.inputAt = 0;
    this.inputEnd = await this.source.read(this.input, 0, INPUT_BYTES);
    return this.inputEnd > 0;
  }

  /** Reads a member's header (RFC 1952 §2.3). What follows the last member and is none is ignored, as gzip does. */
  private async beginMember(): Promise<void> {
    const first = await this.byte();
    const second = first === 0x1f ? await this.byte() : 0;
    if (first !== 0x1f || (second !== 0x8b && second !== -1)) {
      this.finished = true;
      return;
    }
    const method = await this.byte();
    const flags = await this.byte();
    let last = await this.skip(6);
    if (last >= 0 && (flags & 4) !== 0) last = await this.skip((await this.byte()) + (await this.byte()) * 256);
    for (let strings = flags & 0x18; last >= 0 && strings !== 0; strings &= strings - 1) {
      do last = await this.byte();
      while (last > 0);
    }
    if (last >= 0 && (flags & 2) !== 0) last = await this.skip(2);
    if (last < 0) this.failure = CUT;
    else if (method !== 8 || (flags & 0xe0) !== 0) this.failure = 'the gzip data is damaged: its header is not known';
    else this.beginInflate();
  }

  /** Passes over bytes; negative when the data ends before. */
  private async skip(count: number): Promise<number> {
    let last = 0;
    for (let i = 0; i < count && last >= 0; i++) last = await this.byte();
    return last;
  }

  private beginInflate(): void {
    this.crc = 0;
    this.size = 0;
    const inflate = createInflateRaw({ chunkSize: OUTPUT_BYTES });
    inflate.on('data', (piece: Uint8Array) => {
      this.crc = crc32(piece, this.crc);
      this.size += piece.length;
      this.waiting.push(piece);
    });
    inflate.on('error', (error: Error) => (this.failure ??= `the gzip data is damaged: ${error.message}`));
    this.inflate = inflate;
  }

  /** Decompresses one piece of input. */
  private async continueMember(inflate: InflateRaw): Promise<void> {
    if (this.inputAt === this.inputEnd && !(await this.refill())) {
      this.failure = CUT;
      return;
    }
    const piece = this.input.subarray(this.inputAt, this.inputEnd);
    const before = inflate.bytesWritten;
    // Events are delivered before a later turn of the loop begins; the callback alone may come before the last 'data'.
    await new Promise((resolve) => inflate.write(piece, () => setImmediate(resolve)));
    if (this.failure !== undefined || this.closed) return;
    const consumed = inflate.bytesWritten - before;
    this.inputAt += consumed;
    // zlib leaves input only at the end of the deflate data. When that is the end of the piece, the next one shows it.
    if (consumed < piece.length) await this.endMember();
  }

  /** Checks the member's trailer: CRC-32 and length, both little-endian. */
  private async endMember(): Promise<void> {
    this.inflate?.destroy();
    this.inflate = undefined;
    const trailer = new DataView(new ArrayBuffer(8));
    for (let i = 0; i < 8; i++) {
      const value = await this.byte();
      if (value < 0) {
        this.failure = CUT;
        return;
      }
      trailer.setUint8(i, value);
    }
    if (trailer.getUint32(0, true) !== this.crc) this.failure = 'the gzip data is damaged: its checksum is wrong';
    else if (trailer.getUint32(4, true) !== this.size % 4294967296) {
      this.failure = 'the gzip data is damaged: its length is wrong';
    }
  }
}
