// Which Ethernet station a pod is, learnt from its packets, to tell the direction of frames that are not IP.
// Input: frames at a pod's vantage point. Output: whether the pod sent one. Invariant: one station an owner, the first seen.
import type { Packet } from '../datapath/index.ts';
import type { Headers } from '../wire/index.ts';
import type { Directory } from './directory.ts';

/** See the head of this file. */
export class Stations {
  /** By owner: high 16 and low 32 bits of the address. */
  private readonly known = new Map<number, { readonly high: number; readonly low: number }>();
  private last = 0;

  /** Takes in an IP packet in an Ethernet frame. */
  learn(packet: Packet, directory: Directory, h: Headers, owner: number): void {
    if (this.last === owner || this.known.has(owner)) return;
    if (directory.ownerOf(h.family, h.s0, h.s1, h.s2, h.s3) !== owner) return;
    this.known.set(owner, { high: high(packet), low: low(packet) });
    this.last = owner;
  }

  /** Whether `owner` sent this frame. Before its station is known, a frame to one station counts as sent. */
  isSender(packet: Packet, owner: number): boolean {
    if (packet.linkType !== 1 || packet.capturedEnd - packet.offset < 12) return true;
    const station = this.known.get(owner);
    if (station === undefined) return (packet.bytes[packet.offset]! & 1) === 0;
    return station.high === high(packet) && station.low === low(packet);
  }
}

const high = ({ bytes, offset }: Packet): number => (bytes[offset + 6]! << 8) | bytes[offset + 7]!;
const low = ({ bytes, offset }: Packet): number =>
  (bytes[offset + 8]! << 24) | (bytes[offset + 9]! << 16) | (bytes[offset + 10]! << 8) | bytes[offset + 11]!;
