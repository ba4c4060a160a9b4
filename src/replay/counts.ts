// Counters of a replay: packets and bytes, verdicts, drops by reason and by what denied.
// Input: outcomes. Output: numbers. Invariant: counting allocates nothing but for the first drop of a kind.
import { HOOK } from '../schema/index.ts';
import { OUTCOME, type Outcome } from './outcome.ts';

/** What was denied how often, by drop reason and rule set. */
export interface Denied {
  readonly drop: number;
  readonly cookie: number;
  readonly packets: number;
}

/** See the head of this file. */
export class Counts {
  packets = 0;
  /** Bytes on the wire. */
  bytes = 0;
  /** Packets by OUTCOME. */
  readonly verdicts = new Float64Array(6);
  /** Packets by DROP number. */
  readonly drops = new Float64Array(256);
  /** Packets by UNKNOWN_REASON number. */
  readonly unknown = new Float64Array(256);
  counterfactual = 0;
  private readonly denied = new Map<number, number>();

  /** Counts one packet. */
  add(out: Outcome, wireBytes: number): void {
    this.packets++;
    this.bytes += wireBytes;
    this.verdicts[out.verdict]! += 1;
    if (out.verdict === OUTCOME.UNKNOWN) this.unknown[out.unknown]! += 1;
    if (out.verdict !== OUTCOME.DROPPED) return;
    this.drops[out.drop]! += 1;
    if (out.counterfactual === 1) this.counterfactual++;
    const egress = out.hook === HOOK.FROM_CONTAINER || out.hook === HOOK.FROM_HOST || out.hook === HOOK.TO_NETDEV;
    const key = (egress ? out.egressCookie : out.ingressCookie) * 256 + out.drop;
    this.denied.set(key, (this.denied.get(key) ?? 0) + 1);
  }

  /** Counts one packet that went through, or was output: `verdict` is FORWARDED or OBSERVED. */
  addPassed(verdict: number, wireBytes: number): void {
    this.packets++;
    this.bytes += wireBytes;
    this.verdicts[verdict]! += 1;
  }

  /** Counts many such packets. */
  addRun(forwarded: number, observed: number, bytes: number): void {
    this.packets += forwarded + observed;
    this.bytes += bytes;
    this.verdicts[OUTCOME.FORWARDED]! += forwarded;
    this.verdicts[OUTCOME.OBSERVED]! += observed;
  }

  /** What denied most, the most frequent first. */
  topDenied(limit: number): Denied[] {
    return [...this.denied]
      .map(([key, packets]) => ({ drop: key % 256, cookie: Math.floor(key / 256), packets }))
      .sort((a, b) => b.packets - a.packets || a.cookie - b.cookie || a.drop - b.drop)
      .slice(0, limit);
  }
}
