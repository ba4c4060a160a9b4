// Events from the kernel's ring, and the count of those it had no room for. Input: the ring's map. Output: Events.
// Invariant: events come out in the order in which the kernel took them; none is read twice.
import { eventRecord } from '../../schema/index.ts';
import type { Events } from '../dataplane.ts';
import type { BpfAddon, Handle } from './addon.ts';
import { checked } from './error.ts';
import type { KernelMap } from './kernel-map.ts';

/** Bytes taken from the ring at once. */
const BUFFER = 1 << 16;
const HEADER = 4;
const LOST_KEY = new Uint8Array(4);

/** The ring as Events; `watch` tells when there are new ones. */
export class RingEvents implements Events {
  private readonly addon: BpfAddon;
  private readonly ring: Handle;
  private readonly lostMap: KernelMap;
  private readonly buffer = new Uint8Array(BUFFER);
  private readonly view = new DataView(this.buffer.buffer);
  private readonly count = new Uint8Array(8);
  private at = 0;
  private end = 0;
  private closed = false;

  /** Throws BpfError where the map is no ring. `lostMap` stays the caller's. */
  constructor(addon: BpfAddon, map: Handle, lostMap: KernelMap) {
    this.addon = addon;
    this.lostMap = lostMap;
    this.ring = checked(addon.ringOpen(map), 'open ring', 'weir_events');
  }

  poll(out: Uint8Array): boolean {
    if (out.length < eventRecord.bytes) return false;
    for (;;) {
      if (this.at >= this.end && !this.refill()) return false;
      const bytes = this.view.getUint32(this.at, true);
      const from = this.at + HEADER;
      this.at = from + ((bytes + 3) & ~3);
      // A record of another size is none of ours.
      if (bytes !== eventRecord.bytes) continue;
      for (let i = 0; i < eventRecord.bytes; i++) out[i] = this.buffer[from + i]!;
      return true;
    }
  }

  private refill(): boolean {
    this.at = 0;
    this.end = this.closed ? 0 : Math.max(0, this.addon.ringConsume(this.ring, this.buffer));
    return this.end > 0;
  }

  get lost(): number {
    this.count.fill(0);
    this.lostMap.lookup(LOST_KEY, this.count);
    return Number(new DataView(this.count.buffer).getBigUint64(0, true));
  }

  /**
   * Calls back from the event loop when there may be events to poll; again, if some are left.
   * @param keepAlive whether the process waits for them
   * @returns stops it
   */
  watch(callback: () => void, keepAlive = false): () => void {
    checked(this.addon.ringWatch(this.ring, callback, keepAlive), 'watch', 'weir_events');
    return () => {
      this.addon.ringUnwatch(this.ring);
    };
  }

  close(): void {
    this.closed = true;
    this.at = 0;
    this.end = 0;
    this.addon.close(this.ring);
  }
}
