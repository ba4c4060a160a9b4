// HTTP/2 requests in cleartext (RFC 9113): gRPC among them. In: the client's bytes in order, connection preface first. Out: a finding for
// each request's header block. Invariant: nothing throws; keeps at most MAX_BLOCK bytes of header blocks and one frame of MAX_FRAME;
// data frames are passed over. A client's second block on a stream (trailers) is no request.
import { type HeaderField, HpackDecoder } from './hpack.ts';
import type { RequestReader, TakeFinding } from './request.ts';

/** What a client sends first (§3.4). */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** Longest frame whose content is kept, bytes; what the sender may use unless the server raised it (§6.5.2) is 16,384. */
const MAX_FRAME = 64 * 1024;
/** Longest header block over all its frames, bytes. */
export const MAX_BLOCK = 64 * 1024;
const FRAME_HEADER = 9;
const TYPE = { HEADERS: 1, PUSH_PROMISE: 5, CONTINUATION: 9 } as const;
const FLAG = { END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

/** See the head of this file. */
export class Http2Reader implements RequestReader {
  private readonly take: TakeFinding;
  private readonly hpack = new HpackDecoder();
  private pending: Uint8Array = new Uint8Array(0);
  /** Bytes of a frame without interest that are still to come. */
  private passing = 0;
  private prefaced = false;
  private broken = false;
  /** The header block so far stands at the beginning of this. */
  private block: Uint8Array = new Uint8Array(0);
  private blockBytes = 0;
  private blockStream = 0;
  /** Streams that have had their request: the highest, since a client's numbers ascend (§5.1.1). */
  private highest = 0;

  constructor(take: TakeFinding) {
    this.take = take;
  }

  get held(): number {
    return this.pending.length + this.block.length + this.hpack.held;
  }

  data(chunk: Uint8Array): void {
    if (this.broken) return;
    let bytes = chunk;
    if (this.passing > 0) {
      const part = Math.min(this.passing, bytes.length);
      this.passing -= part;
      bytes = bytes.subarray(part);
    }
    if (this.pending.length > 0) {
      const joined = new Uint8Array(this.pending.length + bytes.length);
      joined.set(this.pending);
      joined.set(bytes, this.pending.length);
      bytes = joined;
    }
    const used = this.frames(bytes);
    this.pending = this.broken ? new Uint8Array(0) : bytes.slice(used);
  }

  gap(bytes: number): void {
    if (this.broken) return;
    // Within a frame without interest nothing is lost.
    if (bytes > 0 && bytes <= this.passing) {
      this.passing -= bytes;
      return;
    }
    // The header table is built from every block before: one missing block loses all that follow.
    this.fail({ missing: 'a part of the HTTP/2 stream is not in the capture' });
  }

  private fail(finding: Parameters<TakeFinding>[0]): void {
    this.broken = true;
    this.take(finding);
  }

  /** Works through whole frames; the number of bytes used. */
  private frames(bytes: Uint8Array): number {
    let at = 0;
    if (!this.prefaced) {
      for (let i = 0; i < PREFACE.length && i < bytes.length; i++) {
        if (bytes[i] !== PREFACE.charCodeAt(i)) {
          this.fail({ malformed: 'not an HTTP/2 connection' });
          return bytes.length;
        }
      }
      if (bytes.length < PREFACE.length) return 0;
      this.prefaced = true;
      at = PREFACE.length;
    }
    while (!this.broken && at + FRAME_HEADER <= bytes.length) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      const type = bytes[at + 3]!;
      const wanted = type === TYPE.HEADERS || type === TYPE.CONTINUATION || type === TYPE.PUSH_PROMISE;
      // A header block is not interrupted by anything (§4.3).
      if (this.blockStream !== 0 && type !== TYPE.CONTINUATION) this.fail({ malformed: 'a header block cut in two' });
      else if (!wanted) {
        const there = Math.min(length, bytes.length - at - FRAME_HEADER);
        at += FRAME_HEADER + there;
        this.passing = length - there;
      } else if (length > MAX_FRAME) this.fail({ malformed: `a header frame above ${MAX_FRAME} bytes` });
      else {
        const end = at + FRAME_HEADER + length;
        if (end > bytes.length) break;
        const stream =
          ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
        this.frame(type, bytes[at + 4]!, stream, bytes.subarray(at + FRAME_HEADER, end));
        at = end;
      }
    }
    return at;
  }

  private frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    if (type === TYPE.PUSH_PROMISE) return this.fail({ malformed: 'a client must not promise' });
    if (stream === 0 || (type === TYPE.CONTINUATION && stream !== this.blockStream)) {
      return this.fail({ malformed: 'a header frame on a wrong stream' });
    }
    let fragment = payload;
    if (type === TYPE.HEADERS) {
      const padding = (flags & FLAG.PADDED) !== 0 ? (payload[0] ?? 0) + 1 : 0;
      const before = ((flags & FLAG.PADDED) !== 0 ? 1 : 0) + ((flags & FLAG.PRIORITY) !== 0 ? 5 : 0);
      const end = payload.length - (padding === 0 ? 0 : padding - 1);
      if (before > end) return this.fail({ malformed: 'a header frame whose padding lies' });
      fragment = payload.subarray(before, end);
      this.blockBytes = 0;
      this.blockStream = stream;
    }
    const end = this.blockBytes + fragment.length;
    if (end > MAX_BLOCK) return this.fail({ malformed: `a header block above ${MAX_BLOCK} bytes` });
    // One buffer: pieces of no bytes at all cost nothing to send, so they must cost nothing to keep.
    if (end > this.block.length) {
      const larger = new Uint8Array(Math.max(end, Math.min(MAX_BLOCK, 2 * this.block.length)));
      larger.set(this.block.subarray(0, this.blockBytes));
      this.block = larger;
    }
    this.block.set(fragment, this.blockBytes);
    this.blockBytes = end;
    if ((flags & FLAG.END_HEADERS) !== 0) this.endBlock();
  }

  private endBlock(): void {
    const stream = this.blockStream;
    this.blockStream = 0;
    const fields = this.hpack.decode(this.block.subarray(0, this.blockBytes));
    if (fields === undefined) return this.fail({ malformed: 'a header block that cannot be decompressed' });
    if (stream <= this.highest) return;
    this.highest = stream;
    this.request(fields);
  }

  private request(fields: readonly HeaderField[]): void {
    const pseudo = new Map<string, string>();
    const headers: HeaderField[] = [];
    for (const [name, value] of fields) {
      if (!name.startsWith(':')) headers.push([name.toLowerCase(), value]);
      else if (pseudo.has(name)) return this.take({ malformed: `${name} twice` });
      else pseudo.set(name, value);
    }
    const method = pseudo.get(':method');
    if (method === undefined) return this.take({ malformed: 'a request without :method' });
    const host = pseudo.get(':authority') ?? headers.find(([name]) => name === 'host')?.[1] ?? '';
    const path = pseudo.get(':path') ?? '';
    this.take({ request: { protocol: 'http', version: 'HTTP/2', method, path, host, headers } });
  }
}
