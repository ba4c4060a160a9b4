// Several captures as one, by time: what `--merge` reads.
// Input: sources in the order given. Output: a PacketSource whose packet is always the earliest of the sources' next ones.
// Invariants: each capture keeps its own order, and ties go to the one given first; bytes are not copied; a damaged capture
// ends by itself, the others go on.
import type { CaptureError, CaptureInterface, PacketOptions, PacketSource } from './packet-source.ts';

/** Reads several captures by time: see PacketSource. Owns its sources: `close()` closes them. */
export class MergedCapture implements PacketSource {
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  capturedBytes = 0;
  wireBytes = 0;
  seconds = 0;
  nanoseconds = 0;
  linkType = 0;
  interfaceId = 0;
  number = 0;
  readonly index: Int32Array = new Int32Array(0);
  readonly indexEnd = 0;
  readonly interfaces: CaptureInterface[] = [];
  /** What ended captures early, at most one each, in the order met. */
  readonly errors: CaptureError[] = [];
  /** Which of the captures the packet is from, in the order given. */
  capture = -1;
  private readonly sources: readonly PacketSource[];
  /** Captures that stand at a packet not yet handed out: a heap, the earliest first. */
  private readonly heap: Int32Array;
  private heapSize = 0;
  /** Captures whose next packet is not in memory: they must be filled before anything can be handed out. */
  private readonly starved: number[] = [];
  /** Per capture: its interface numbers here. */
  private readonly interfaceIds: number[][];

  constructor(sources: readonly PacketSource[]) {
    this.sources = sources;
    this.heap = new Int32Array(sources.length);
    this.interfaceIds = sources.map(() => []);
    for (let i = 0; i < sources.length; i++) this.starved.push(i);
  }

  /** The first of `errors`. */
  get error(): CaptureError | undefined {
    return this.errors[0];
  }

  next(): boolean {
    // The packet handed out last is at the top still: its bytes had to stay, and its capture goes on only now.
    const last = this.capture;
    if (last >= 0) {
      this.capture = -1;
      if (this.sources[last]!.next()) {
        this.siftDown(0);
      } else {
        this.starved.push(last);
        this.heap[0] = this.heap[--this.heapSize]!;
        this.siftDown(0);
      }
    }
    if (this.starved.length !== 0 || this.heapSize === 0) return false;
    this.take(this.heap[0]!);
    return true;
  }

  indexed(): number {
    return -1;
  }

  pass(): void {
    // Nothing is indexed.
  }

  async fill(): Promise<boolean> {
    for (let index = this.starved.pop(); index !== undefined; index = this.starved.pop()) {
      const source = this.sources[index]!;
      let there = source.next();
      while (!there && (await source.fill())) there = source.next();
      if (there) this.push(index);
      else if (source.error !== undefined) this.errors.push({ ...source.error, capture: index });
    }
    return this.heapSize > 0;
  }

  packetOptions(): PacketOptions {
    return this.capture < 0 ? { comments: [], hashes: [], verdicts: [] } : this.sources[this.capture]!.packetOptions();
  }

  async close(): Promise<void> {
    await Promise.all(this.sources.map((source) => source.close()));
  }

  private take(index: number): void {
    const source = this.sources[index]!;
    this.capture = index;
    this.bytes = source.bytes;
    this.offset = source.offset;
    this.capturedBytes = source.capturedBytes;
    this.wireBytes = source.wireBytes;
    this.seconds = source.seconds;
    this.nanoseconds = source.nanoseconds;
    this.linkType = source.linkType;
    this.interfaceId = this.interfaceIds[index]![source.interfaceId] ?? this.adopt(index, source.interfaceId);
    this.number++;
  }

  /** Lists an interface of a capture here, when its first packet comes. */
  private adopt(index: number, sourceId: number): number {
    const id = this.interfaces.length;
    this.interfaces.push({ ...this.sources[index]!.interfaces[sourceId]!, id, capture: index });
    this.interfaceIds[index]![sourceId] = id;
    return id;
  }

  private isBefore(a: number, b: number): boolean {
    const first = this.sources[a]!;
    const second = this.sources[b]!;
    if (first.seconds !== second.seconds) return first.seconds < second.seconds;
    if (first.nanoseconds !== second.nanoseconds) return first.nanoseconds < second.nanoseconds;
    return a < b;
  }

  private push(index: number): void {
    const heap = this.heap;
    let at = this.heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.isBefore(index, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = index;
  }

  private siftDown(from: number): void {
    const heap = this.heap;
    const size = this.heapSize;
    if (from >= size) return;
    const index = heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.isBefore(heap[child]!, index)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = index;
  }
}
