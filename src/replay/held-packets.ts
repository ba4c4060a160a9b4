// Packets kept in memory to be handed out later: what is read before their vantage point is known.
// Input: a PacketSource at a packet. Output: the same packets in the same order. Invariant: bytes and facts are copies.
import type { PacketSource } from '../capture/index.ts';

/** A packet as a capture hands it out, and of merged captures which one it is from. */
export type PacketAt = Pick<
  PacketSource,
  'bytes' | 'offset' | 'capturedBytes' | 'wireBytes' | 'seconds' | 'nanoseconds' | 'linkType' | 'interfaceId' | 'number'
> & { readonly capture?: number };

/** Numbers a packet: offset, captured, wire, link type, interface, number, nanoseconds, capture, seconds. */
const WIDTH = 9;

/** See the head of this file. The fields describe the packet that the last `next()` reached. */
export class HeldPackets implements PacketAt {
  bytes: Uint8Array = new Uint8Array(1 << 16);
  offset = 0;
  capturedBytes = 0;
  wireBytes = 0;
  seconds = 0;
  nanoseconds = 0;
  linkType = 0;
  interfaceId = 0;
  number = 0;
  capture = 0;
  /** Packets held. */
  count = 0;
  /** Their bytes. */
  size = 0;
  private readonly facts: number[] = [];
  private served = 0;

  /** Takes in the packet that a source stands at; `offset` and `capturedBytes` say where it is in `bytes`. */
  add(source: PacketAt): void {
    const { offset, capturedBytes: length } = source;
    if (this.size + length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.size + length));
      larger.set(this.bytes.subarray(0, this.size));
      this.bytes = larger;
    }
    this.bytes.set(source.bytes.subarray(offset, offset + length), this.size);
    this.facts.push(
      this.size,
      length,
      source.wireBytes,
      source.linkType,
      source.interfaceId,
      source.number,
      source.nanoseconds,
      source.capture ?? 0,
      source.seconds,
    );
    this.offset = this.size;
    this.capturedBytes = length;
    this.size += length;
    this.count++;
  }

  /** Goes to the next packet; false at the end. */
  next(): boolean {
    if (this.served === this.count) return false;
    const { facts } = this;
    const at = this.served++ * WIDTH;
    this.offset = facts[at]!;
    this.capturedBytes = facts[at + 1]!;
    this.wireBytes = facts[at + 2]!;
    this.linkType = facts[at + 3]!;
    this.interfaceId = facts[at + 4]!;
    this.number = facts[at + 5]!;
    this.nanoseconds = facts[at + 6]!;
    this.capture = facts[at + 7]!;
    this.seconds = facts[at + 8]!;
    return true;
  }
}
