// The bounded ring of events: drops, traces, policy verdicts, as fixed-size records of schema/record.ts.
// Input: words, one event at a time. Output: events in order, to whoever polls. Invariant: memory is fixed; when nobody
// reads, the oldest unread events are overwritten and counted as lost.
import { BOUND, eventRecord } from '../schema/index.ts';

/** Words of one event. */
export const EVENT_WORDS = eventRecord.bytes >>> 2;

/** The simulator's `weir_events`. */
export class EventRing {
  /** Events that fit. */
  readonly capacity: number;
  /** Memory of the ring, EVENT_WORDS a slot. */
  readonly words: Int32Array;
  /** Unread events that were overwritten. */
  lost = 0;
  private readonly bytes: Uint8Array;
  private next = 0;
  private unread = 0;

  constructor(capacity: number = BOUND.EVENTS) {
    this.capacity = capacity;
    this.words = new Int32Array(capacity * EVENT_WORDS);
    this.bytes = new Uint8Array(this.words.buffer);
  }

  /** Events waiting. */
  get size(): number {
    return this.unread;
  }

  /** Word offset of a slot, which holds an older event: the caller writes every word. The event counts as written at once. */
  claim(): number {
    const at = this.next * EVENT_WORDS;
    this.next = this.next + 1 === this.capacity ? 0 : this.next + 1;
    if (this.unread === this.capacity) this.lost = (this.lost + 1) | 0;
    else this.unread++;
    return at;
  }

  /** Copies the oldest unread event to the front of `out` (at least `eventRecord.bytes` long) and forgets it; false when there is none. */
  poll(out: Uint8Array): boolean {
    if (this.unread === 0 || out.length < EVENT_WORDS * 4) return false;
    const slot = this.next - this.unread + (this.next < this.unread ? this.capacity : 0);
    const from = slot * EVENT_WORDS * 4;
    for (let i = 0; i < EVENT_WORDS * 4; i++) out[i] = this.bytes[from + i]!;
    this.unread--;
    return true;
  }
}
