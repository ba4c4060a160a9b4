// One direction of a TCP connection, put in order (RFC 9293 §3.4, RFC 1982 comparison). In: segments as captured, in any order,
// repeated, overlapping, cut by the snap length. Out: each byte once, in order, or the number of bytes that nobody captured.
// Invariant: holds at most `limit` bytes (of memory) in MOST_SEGMENTS pieces; what does not fit makes a gap, never a wrong byte.

/** Where a stream's bytes go. The chunk is valid during the call only. */
export interface StreamSink {
  /** The next bytes in order. */
  data(chunk: Uint8Array): void;
  /** `bytes` that were sent here are not in the capture; 0: how many is not known (the stream began before it). */
  gap(bytes: number): void;
}

/** Pieces held at once while an earlier one is missing. */
export const MOST_SEGMENTS = 256;

/** What a piece takes beside its bytes, roughly. */
const PIECE_OVERHEAD = 200;

/** A piece that waits: its first sequence number, its bytes, and how many more were on the wire but not captured. */
interface Piece {
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly missing: number;
}

/** Serial-number difference, signed: below 0 when `a` comes before `b`. */
const distance = (a: number, b: number): number => (a - b) | 0;

/** See the head of this file. */
export class TcpStream {
  /** Times that bytes were given up: not captured, or no room to wait for them. */
  gaps = 0;
  /** Bytes that came twice. */
  repeated = 0;
  private readonly sink: StreamSink;
  private readonly limit: number;
  private next = 0;
  private begun = false;
  private waiting: Piece[] = [];
  private held = 0;

  /** @param limit most memory kept while an earlier piece is missing, bytes */
  constructor(sink: StreamSink, limit: number = 256 * 1024) {
    this.sink = sink;
    this.limit = limit;
  }

  /** Memory of what waits for an earlier piece, bytes. */
  get waitingBytes(): number {
    return this.held;
  }

  /** The direction's SYN: data begins behind it. A second one with another number begins anew. */
  syn(seq: number): void {
    const first = (seq + 1) | 0;
    if (this.begun && this.next === first) return;
    this.next = first;
    this.begun = true;
    this.waiting = [];
    this.held = 0;
  }

  /**
   * A segment's payload.
   * @param seq sequence number of its first byte, as int32
   * @param bytes what was captured; copied when it has to wait
   * @param wireBytes what was sent
   */
  segment(seq: number, bytes: Uint8Array, wireBytes: number): void {
    if (wireBytes <= 0) return;
    const missing = Math.max(0, wireBytes - bytes.length);
    if (!this.begun) {
      this.begun = true;
      this.next = seq | 0;
      this.gaps++;
      this.sink.gap(0);
    }
    if (distance(seq, this.next) > 0) this.wait({ seq: seq | 0, bytes: bytes.slice(), missing });
    else this.take(seq, bytes, missing);
    this.release();
  }

  /** No more will come: what waits is told, with its gaps. */
  end(): void {
    while (this.waiting.length > 0) this.skip();
  }

  private take(seq: number, bytes: Uint8Array, missing: number): void {
    const known = -distance(seq, this.next);
    const total = bytes.length + missing;
    if (known >= total) {
      this.repeated += total;
      return;
    }
    this.repeated += known;
    if (known < bytes.length) this.sink.data(known === 0 ? bytes : bytes.subarray(known));
    const lost = Math.min(missing, total - known);
    this.next = (this.next + (total - known)) | 0;
    if (lost > 0) {
      this.gaps++;
      this.sink.gap(lost);
    }
  }

  private wait(piece: Piece): void {
    let at = this.waiting.length;
    while (at > 0 && distance(piece.seq, this.waiting[at - 1]!.seq) < 0) at--;
    const before = this.waiting[at - 1];
    // The same piece again.
    const total = piece.bytes.length + piece.missing;
    if (
      before !== undefined &&
      before.seq === piece.seq &&
      before.bytes.length >= piece.bytes.length &&
      before.bytes.length + before.missing >= total
    ) {
      this.repeated += piece.bytes.length;
      return;
    }
    this.waiting.splice(at, 0, piece);
    this.held += piece.bytes.length + PIECE_OVERHEAD;
    while (this.held > this.limit || this.waiting.length > MOST_SEGMENTS) this.skip();
  }

  /** Gives up what is missing before the first piece that waits. */
  private skip(): void {
    const piece = this.waiting.shift()!;
    this.held -= piece.bytes.length + PIECE_OVERHEAD;
    const lost = distance(piece.seq, this.next);
    if (lost > 0) {
      this.next = piece.seq;
      this.gaps++;
      this.sink.gap(lost);
    }
    this.take(piece.seq, piece.bytes, piece.missing);
    this.release();
  }

  private release(): void {
    while (this.waiting.length > 0 && distance(this.waiting[0]!.seq, this.next) <= 0) {
      const piece = this.waiting.shift()!;
      this.held -= piece.bytes.length + PIECE_OVERHEAD;
      this.take(piece.seq, piece.bytes, piece.missing);
    }
  }
}
