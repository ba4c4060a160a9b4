// The clock of a replay: the time of the packets since the first one, and what is done by it (garbage collection, upkeep).
// Input: the time of each packet. Output: seconds and nanoseconds since the start. Invariant: it never runs backwards.
import { ConntrackGc, type Dataplane, type GcOptions } from '../dataplane/index.ts';

/** The last second that an int32 holds. */
export const MAX_SECONDS = 0x7fffffff;

/** See the head of this file. */
export class ReplayClock {
  /** Since the start. */
  seconds = 0;
  nanoseconds = 0;
  /** Whole seconds of the first packet; undefined before it. */
  start: number | undefined = undefined;
  /** Packets whose time was before an earlier packet's. */
  clamped = 0;
  private readonly gc: ConntrackGc;
  private readonly collecting: boolean;
  private readonly everySecond: ((seconds: number) => void) | undefined;

  /**
   * @param collecting whether expired conntrack entries are taken out of their maps
   * @param everySecond told each second in which there is a packet, before it
   */
  constructor(
    dataplane: Dataplane,
    collecting: boolean,
    gc: GcOptions | undefined,
    everySecond: ((seconds: number) => void) | undefined,
  ) {
    this.gc = new ConntrackGc(dataplane, gc);
    this.collecting = collecting;
    this.everySecond = everySecond;
  }

  /** What garbage collection took so far. */
  get collected(): ConntrackGc['total'] {
    return this.gc.total;
  }

  /** Goes on to the time of a packet. */
  advance(seconds: number, nanoseconds: number): void {
    if (this.start === undefined) {
      this.start = seconds;
      this.everySecond?.(0);
    }
    const since = Math.min(seconds - this.start, MAX_SECONDS);
    if (since < this.seconds || (since === this.seconds && nanoseconds < this.nanoseconds)) {
      this.clamped++;
      return;
    }
    if (since !== this.seconds) {
      if (this.collecting) this.gc.tick(since);
      this.everySecond?.(since);
    }
    this.seconds = since;
    this.nanoseconds = nanoseconds;
  }
}
