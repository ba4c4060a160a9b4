// A capture whose every packet comes with the vantage point of its interface: looks ahead where that has to be inferred.
// Input: a PacketSource. Output: the same packets in the same order, with `vantage`. Invariants: an interface is decided before
// its first packet is handed out; what is held meanwhile is bounded (VANTAGE_PACKETS, VANTAGE_BYTES).
import type { PacketSource } from '../capture/index.ts';
import { Headers, parseFrame } from '../wire/index.ts';
import type { Directory } from './directory.ts';
import { type Vantage, VantageObserver, VANTAGE_BYTES } from './vantage.ts';

/** Words of `held` a packet: offset, captured, wire, link type, interface, number, nanoseconds, capture. */
const HELD = 8;

/** The fields describe the packet that the last `next()` reached, as in PacketSource. */
export class VantageSource {
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  capturedBytes = 0;
  wireBytes = 0;
  seconds = 0;
  nanoseconds = 0;
  linkType = 0;
  interfaceId = 0;
  number = 0;
  /** Which of merged captures, 0 when reading one. */
  capture = 0;
  /** By interface. */
  readonly vantages: (Vantage | undefined)[] = [];
  private readonly source: PacketSource & { readonly capture?: number };
  private readonly directory: Directory;
  private readonly told: Vantage | undefined;
  private readonly onVantage: (interfaceId: number, vantage: Vantage) => void;
  private readonly headers = new Headers();
  private readonly observers = new Map<number, VantageObserver>();
  private collecting = false;
  private buffer: Uint8Array = new Uint8Array(0);
  private bufferEnd = 0;
  private held: number[] = [];
  private heldSeconds: number[] = [];
  private serve = -1;

  /**
   * @param told the vantage point of all interfaces; undefined: infer
   * @param onVantage told once an interface, when it is decided
   */
  constructor(
    source: PacketSource & { readonly capture?: number },
    directory: Directory,
    told: Vantage | undefined,
    onVantage: (interfaceId: number, vantage: Vantage) => void,
  ) {
    this.source = source;
    this.directory = directory;
    this.told = told;
    this.onVantage = onVantage;
  }

  /** Vantage point of the current packet's interface. */
  get vantage(): Vantage {
    return this.vantages[this.interfaceId]!;
  }

  /** The next packet in memory; false: call `fill()`. */
  next(): boolean {
    if (this.serve >= 0) {
      if (this.serve < this.heldSeconds.length) {
        this.takeHeld(this.serve++);
        return true;
      }
      this.serve = -1;
      this.held = [];
      this.heldSeconds = [];
      this.bufferEnd = 0;
      this.buffer = new Uint8Array(0);
    }
    const { source } = this;
    while (source.next()) {
      if (this.collecting) {
        this.hold();
        if (this.enough()) {
          this.decide();
          return this.next();
        }
      } else if (this.vantages[source.interfaceId] !== undefined) {
        this.take();
        return true;
      } else if (this.told !== undefined) {
        this.put(source.interfaceId, this.told);
        this.take();
        return true;
      } else {
        this.collecting = true;
        this.hold();
        if (this.enough()) {
          this.decide();
          return this.next();
        }
      }
    }
    return false;
  }

  /** Reads more, or ends the look-ahead at the end of the capture. False: the end. */
  async fill(): Promise<boolean> {
    if (await this.source.fill()) return true;
    if (!this.collecting) return false;
    this.decide();
    return true;
  }

  private take(): void {
    const { source } = this;
    this.bytes = source.bytes;
    this.offset = source.offset;
    this.capturedBytes = source.capturedBytes;
    this.wireBytes = source.wireBytes;
    this.seconds = source.seconds;
    this.nanoseconds = source.nanoseconds;
    this.linkType = source.linkType;
    this.interfaceId = source.interfaceId;
    this.number = source.number;
    this.capture = source.capture ?? 0;
  }

  private takeHeld(index: number): void {
    const { held } = this;
    const at = index * HELD;
    this.bytes = this.buffer;
    this.offset = held[at]!;
    this.capturedBytes = held[at + 1]!;
    this.wireBytes = held[at + 2]!;
    this.linkType = held[at + 3]!;
    this.interfaceId = held[at + 4]!;
    this.number = held[at + 5]!;
    this.nanoseconds = held[at + 6]!;
    this.capture = held[at + 7]!;
    this.seconds = this.heldSeconds[index]!;
  }

  private hold(): void {
    const { source } = this;
    const { offset, capturedBytes: length, wireBytes, linkType, interfaceId } = source;
    if (this.bufferEnd + length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.bufferEnd + length, 1 << 16));
      larger.set(this.buffer.subarray(0, this.bufferEnd));
      this.buffer = larger;
    }
    this.buffer.set(source.bytes.subarray(offset, offset + length), this.bufferEnd);
    this.held.push(
      this.bufferEnd,
      length,
      wireBytes,
      linkType,
      interfaceId,
      source.number,
      source.nanoseconds,
      source.capture ?? 0,
    );
    this.heldSeconds.push(source.seconds);
    if (this.vantages[interfaceId] === undefined) {
      let observer = this.observers.get(interfaceId);
      if (observer === undefined)
        this.observers.set(interfaceId, (observer = new VantageObserver(this.directory, linkType)));
      parseFrame(
        this.headers,
        linkType,
        this.buffer,
        this.bufferEnd,
        this.bufferEnd + length,
        this.bufferEnd + Math.max(wireBytes, length),
      );
      observer.observe(this.headers);
    }
    this.bufferEnd += length;
  }

  private enough(): boolean {
    if (this.bufferEnd >= VANTAGE_BYTES || this.heldSeconds.length >= 1 << 20) return true;
    for (const observer of this.observers.values()) if (!observer.satisfied) return false;
    return true;
  }

  private decide(): void {
    for (const [interfaceId, observer] of this.observers) this.put(interfaceId, observer.infer());
    this.observers.clear();
    this.collecting = false;
    this.serve = 0;
  }

  private put(interfaceId: number, vantage: Vantage): void {
    this.vantages[interfaceId] = vantage;
    this.onVantage(interfaceId, vantage);
  }
}
