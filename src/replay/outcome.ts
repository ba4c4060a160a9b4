// Outcome: what a replay says of one packet, as numbers. Made once and filled again for each packet.
// Input: decision records of the hooks passed. Output: fields for counters and for describe.ts, which gives them names.
// Invariant: every field is an int32; `reset` clears all.
import { VERDICT } from '../schema/index.ts';

/** Verdicts of a replay, numbered as FLOW_VERDICTS orders their names. */
export const OUTCOME = { FORWARDED: 0, REDIRECTED: 1, AUDIT: 2, DROPPED: 3, UNKNOWN: 4, OBSERVED: 5 } as const;

/** Verdict by the datapath's number; ERROR counts as dropped, what traces say as forwarded. */
const OF_DATAPATH = new Int32Array(8);
OF_DATAPATH[VERDICT.UNKNOWN] = OUTCOME.UNKNOWN;
OF_DATAPATH[VERDICT.FORWARDED] = OUTCOME.FORWARDED;
OF_DATAPATH[VERDICT.DROPPED] = OUTCOME.DROPPED;
OF_DATAPATH[VERDICT.ERROR] = OUTCOME.DROPPED;
OF_DATAPATH[VERDICT.AUDIT] = OUTCOME.AUDIT;
OF_DATAPATH[VERDICT.REDIRECTED] = OUTCOME.REDIRECTED;
OF_DATAPATH[VERDICT.TRACED] = OUTCOME.FORWARDED;
OF_DATAPATH[VERDICT.TRANSLATED] = OUTCOME.FORWARDED;
export const outcomeOf = (verdict: number): number => OF_DATAPATH[verdict & 7]!;

/** Weight of a verdict where one of several must stand for all: a drop outweighs everything. By OUTCOME number. */
export const WEIGHT = Int32Array.of(3, 4, 5, 6, 2, 1);

/** Values of `observed`. */
export const OBSERVED_AS = { NO: 0, OUTPUT: 1, COPY: 2 } as const;
/** Values of `direction`. */
export const WAY = { UNKNOWN: 0, FORWARD: 1, REPLY: 2 } as const;

/** See the head of this file. */
export class Outcome {
  /** OUTCOME number. */
  verdict = 0;
  /** DROP number, 0 = not dropped. */
  drop = 0;
  /** UNKNOWN_REASON number. */
  unknown = 0;
  /** HOOK where the verdict fell; of a packet that went through, where it entered; 0 = no hook was asked. */
  hook = 0;
  /** Hooks passed, four bits each, the first lowest. */
  path = 0;
  /** CT_STATUS, 255 = not asked. */
  ct = 255;
  sourceIdentity = 0;
  destinationIdentity = 0;
  /** Rule sets, 0 = none. */
  egressCookie = 0;
  ingressCookie = 0;
  /** Backend id and reverse NAT index, 0 = none. */
  backend = 0;
  reverseNat = 0;
  /** POLICY_MATCH + 1 of the last policy lookup, 0 = there was none; and the hook that made it. */
  match = 0;
  matchHook = 0;
  /** ACTION of the last hook. */
  action = 0;
  /** Raw be16. */
  proxyPort = 0;
  /** When a bandwidth limit lets the packet leave, since the replay's start; both 0 = at once. */
  departureSeconds = 0;
  departureNanoseconds = 0;
  /** RECORD_FLAG bits of all hooks passed. */
  flags = 0;
  /** 1 = the verdict is that of the connection's opening. */
  counterfactual = 0;
  /** OBSERVED_AS number. */
  observed = 0;
  /** WAY number. */
  direction = 0;
  /** Number of the connection's record, 0 = none. */
  connection = 0;
  /** WIRE status of the packet. */
  wire = 0;

  /** Clears everything. */
  reset(): void {
    this.verdict = 0;
    this.drop = 0;
    this.unknown = 0;
    this.hook = 0;
    this.path = 0;
    this.ct = 255;
    this.sourceIdentity = 0;
    this.destinationIdentity = 0;
    this.egressCookie = 0;
    this.ingressCookie = 0;
    this.backend = 0;
    this.reverseNat = 0;
    this.match = 0;
    this.matchHook = 0;
    this.action = 0;
    this.proxyPort = 0;
    this.departureSeconds = 0;
    this.departureNanoseconds = 0;
    this.flags = 0;
    this.counterfactual = 0;
    this.observed = 0;
    this.direction = 0;
    this.connection = 0;
    this.wire = 0;
  }
}
