// A capture whose every packet comes with the vantage point of its interface: looks ahead where that has to be inferred.
// Input: a PacketSource. Output: the same packets in the same order, with `vantage`. Invariants: an interface is decided before
// its first packet is handed out; what is held meanwhile is bounded (VANTAGE_PACKETS, VANTAGE_BYTES).
import { INDEX, INDEX_WORDS, type PacketSource } from '../capture/index.ts';
import { Headers, parseFrame } from '../wire/index.ts';
import type { Directory } from './directory.ts';
import { HeldPackets, type PacketAt } from './held-packets.ts';
import { type Vantage, VantageObserver, VANTAGE_BYTES } from './vantage.ts';

const { DATA, CAPTURED, WIRE } = INDEX;

/** See the head of this file. */
export class VantageSource {
  /** The packet that the last `next()` reached: the source itself, or what was held of it. */
  packet: PacketAt;
  /** By interface. */
  readonly vantages: (Vantage | undefined)[] = [];
  private readonly source: PacketSource & PacketAt;
  private readonly directory: Directory;
  private readonly told: Vantage | undefined;
  private readonly onVantage: (interfaceId: number, vantage: Vantage) => void;
  private readonly headers = new Headers();
  private readonly observers = new Map<number, VantageObserver>();
  /** Packets that wait for a decision, or were decided and are handed out. */
  private held: HeldPackets | undefined = undefined;
  private deciding = false;

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
    this.packet = source;
    this.directory = directory;
    this.told = told;
    this.onVantage = onVantage;
  }

  /** Vantage point of the current packet's interface. */
  get vantage(): Vantage {
    return this.vantages[this.packet.interfaceId]!;
  }

  /** Whether packets are held that come before the source's next. */
  get holding(): boolean {
    return this.held !== undefined;
  }

  /** The next packet in memory; false: call `fill()`. */
  next(): boolean {
    if (this.held !== undefined) return this.nextHeld(this.held);
    const { source } = this;
    if (!source.next()) return false;
    if (this.vantages[source.interfaceId] !== undefined) return true;
    if (this.told !== undefined) {
      this.put(source.interfaceId, this.told);
      return true;
    }
    if (this.decideByIndex()) return true;
    const held = (this.held = new HeldPackets());
    this.deciding = true;
    this.hold(held);
    return this.nextHeld(held);
  }

  /** Reads more, or ends the look-ahead at the end of the capture. False: the end. */
  async fill(): Promise<boolean> {
    if (await this.source.fill()) return true;
    if (!this.deciding) return false;
    this.decide();
    return true;
  }

  private nextHeld(held: HeldPackets): boolean {
    if (this.deciding) {
      while (!this.enough(held)) {
        if (!this.source.next()) return false;
        this.hold(held);
      }
      this.decide();
    }
    this.packet = held;
    if (held.next()) return true;
    this.held = undefined;
    this.packet = this.source;
    return this.next();
  }

  /**
   * Decides at the first packet, without holding any, where an index has as many behind it as that takes. Files that are
   * indexed have one interface.
   */
  private decideByIndex(): boolean {
    const { source } = this;
    const { bytes, index, indexEnd } = source;
    const from = source.indexed();
    if (from < 0 || this.vantages.length > 0) return false;
    const observer = new VantageObserver(this.directory, source.linkType);
    this.show(observer, source.linkType, bytes, source.offset, source.capturedBytes, source.wireBytes);
    for (let at = from; at < indexEnd && !observer.satisfied; at += INDEX_WORDS) {
      this.show(observer, source.linkType, bytes, index[at + DATA]!, index[at + CAPTURED]!, index[at + WIRE]! >>> 0);
    }
    if (observer.satisfied) this.put(source.interfaceId, observer.infer());
    return observer.satisfied;
  }

  private hold(held: HeldPackets): void {
    const { source } = this;
    const { linkType, interfaceId, wireBytes } = source;
    held.add(source);
    if (this.vantages[interfaceId] !== undefined) return;
    let observer = this.observers.get(interfaceId);
    if (observer === undefined)
      this.observers.set(interfaceId, (observer = new VantageObserver(this.directory, linkType)));
    this.show(observer, linkType, held.bytes, held.offset, held.capturedBytes, wireBytes);
  }

  private show(
    observer: VantageObserver,
    linkType: number,
    bytes: Uint8Array,
    offset: number,
    capturedBytes: number,
    wireBytes: number,
  ): void {
    const wireEnd = offset + Math.max(wireBytes, capturedBytes);
    parseFrame(this.headers, linkType, bytes, offset, offset + capturedBytes, wireEnd);
    observer.observe(this.headers);
  }

  private enough(held: HeldPackets): boolean {
    if (held.size >= VANTAGE_BYTES || held.count >= 1 << 20) return true;
    for (const observer of this.observers.values()) if (!observer.satisfied) return false;
    return true;
  }

  private decide(): void {
    for (const [interfaceId, observer] of this.observers) this.put(interfaceId, observer.infer());
    this.observers.clear();
    this.deciding = false;
  }

  private put(interfaceId: number, vantage: Vantage): void {
    this.vantages[interfaceId] = vantage;
    this.onVantage(interfaceId, vantage);
  }
}
