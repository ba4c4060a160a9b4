// Runs one packet its whole known way through the hooks of a dataplane.
// Input: a packet, the hook it enters by. Output: an Outcome; the packet is rewritten in place.
// Invariant: the first drop wins and ends the way; at most MAX_HOOKS hooks; allocates nothing.
import { type Packet, Meta } from '../datapath/index.ts';
import type { Dataplane } from '../dataplane/index.ts';
import { ACTION, CT_STATUS, decisionRecord, HOOK, type Hook, META_FLAG, RECORD_FLAG } from '../schema/index.ts';
import type { Departure } from './departure.ts';
import { OUTCOME, type Outcome, outcomeOf, WEIGHT } from './outcome.ts';

const { at } = decisionRecord;
/** Word offsets of a decision record; the first eight bytes are bytes. */
const HEAD0 = at.verdict >> 2;
const HEAD1 = at.action >> 2;
const FLAGS = at.flags >> 2;
const SOURCE_IDENTITY = at.sourceIdentity >> 2;
const DESTINATION_IDENTITY = at.destinationIdentity >> 2;
const COOKIE = at.cookie >> 2;
const BACKEND = at.backendId >> 2;
const REVERSE_NAT = at.reverseNat >> 2;
const DEPARTURE = at.departureSeconds >> 2;

const MAX_HOOKS = 4;
const DROPPED = OUTCOME.DROPPED;
const UNKNOWN = OUTCOME.UNKNOWN;
const LOCAL = ACTION.LOCAL;
const HOST = ACTION.HOST;
const STACK = ACTION.STACK;
const PROXY = ACTION.PROXY;
const REDIRECT = ACTION.REDIRECT;
const XDP = HOOK.XDP;
const FROM_NETDEV = HOOK.FROM_NETDEV;
const TO_NETDEV = HOOK.TO_NETDEV;
const FROM_CONTAINER = HOOK.FROM_CONTAINER;
const TO_CONTAINER = HOOK.TO_CONTAINER;
const TO_HOST = HOOK.TO_HOST;
const POLICY_LOOKED_UP = RECORD_FLAG.POLICY_LOOKED_UP;
const EGRESS = RECORD_FLAG.EGRESS;
const SNAT = RECORD_FLAG.SNAT;

/** How a way is run. */
export const RUN = {
  /** Change no map: META_FLAG.PROBE. */
  PROBE: META_FLAG.PROBE,
  SKIP_SERVICE: META_FLAG.SKIP_SERVICE,
  /** Stop before the hook of the pod that the packet goes to: it never saw this connection's opening. */
  FIRST_ONLY: 256,
  /** A proxy takes the packet on to a pod of the cluster: its ingress hook is asked, too. */
  TO_POD: 512,
} as const;

/** RUN bits in two bits of a cached entry. */
export const packRun = (run: number): number =>
  ((run & RUN.SKIP_SERVICE) !== 0 ? 1 : 0) | ((run & RUN.TO_POD) !== 0 ? 2 : 0);
/** What packRun has packed. */
export const RUN_OF = Int32Array.of(0, RUN.SKIP_SERVICE, RUN.TO_POD, RUN.SKIP_SERVICE | RUN.TO_POD);

/** What a way is run for. */
export const PURPOSE = {
  /** The captured packet itself. */
  INPUT: 0,
  /** The opening of its connection, which was not captured. */
  OPENING: 1,
  /** A question: which way round was the connection opened? Changes nothing. */
  PROBE: 2,
  /** The original of a packet that is the datapath's own output. */
  ORIGINAL: 3,
} as const;

/** Called behind each hook: what `weir explain` reads the trace with. `purpose` is a PURPOSE. */
export type AfterHook = (hook: Hook, purpose: number) => void;

/** See the head of this file. */
export class Way {
  /** Set to look at each hook's record and trace. */
  afterHook: AfterHook | undefined = undefined;
  /** PURPOSE of the runs to come; told to `afterHook`. */
  purpose: number = PURPOSE.INPUT;
  private readonly dataplane: Dataplane;
  private readonly meta = new Meta();
  /** Interface that the packet arrived on, 0 = unknown. Of packets whose hook asks for it only. */
  ifindex = 0;
  /** Undefined: nothing is masqueraded or limited, so `to-netdev` has nothing to say. */
  private readonly departure: Departure | undefined;

  constructor(dataplane: Dataplane, departure?: Departure) {
    this.dataplane = dataplane;
    this.departure = departure?.asked === true ? departure : undefined;
  }

  /**
   * Runs `packet` from `hook` on and fills `out`'s decision (the rest of `out` stays as it is).
   * @param run RUN bits
   */
  run(hook: Hook, packet: Packet, run: number, out: Outcome): void {
    const { dataplane, meta } = this;
    const { bytes, offset, capturedEnd, wireEnd, linkType } = packet;
    meta.reset();
    meta.flags = run & 0xff;
    meta.ifindex = this.ifindex;
    let next: Hook | 0 = hook;
    let shift = 0;
    let weight = 0;
    out.hook = hook;
    out.path = 0;
    for (let i = 0; next !== 0 && i < MAX_HOOKS; i++) {
      const now: Hook = next;
      dataplane.run(now, packet, meta);
      const words = dataplane.recordWords;
      if (this.afterHook !== undefined) this.afterHook(now, this.purpose);
      out.path |= now << shift;
      shift += 4;
      const verdict = outcomeOf(words[HEAD0]! & 0xff);
      this.take(now, words, out);
      const heavier = WEIGHT[verdict]!;
      if (heavier > weight) {
        weight = heavier;
        out.verdict = verdict;
        out.unknown = verdict === UNKNOWN ? (words[HEAD1]! >>> 24) & 0xff : 0;
      }
      if (verdict === DROPPED) {
        out.hook = now;
        out.unknown = 0;
        out.drop = (words[HEAD0]! >>> 8) & 0xff;
        const ct = (words[HEAD1]! >>> 8) & 0xff;
        if (ct !== 255) out.ct = ct;
        return;
      }
      // What was put around it, or into it, is the wire's: the packet itself stands rewritten where it was.
      const longer = packet.bytes !== bytes;
      if (longer) packet.view(bytes, offset, capturedEnd, wireEnd, linkType, packet.seconds, packet.nanoseconds);
      // The hook leaves in `meta` what the next one is to know. Nothing translates what is inside another packet.
      next = longer ? 0 : this.after(now, words[HEAD1]! & 0xff, words[FLAGS]!, packet, run);
    }
  }

  /** The hook behind `now`, 0 when the way ends. */
  private after(now: number, action: number, flags: number, packet: Packet, run: number): Hook | 0 {
    if (now === XDP && action === STACK) return FROM_NETDEV;
    if (this.departure !== undefined && (action === STACK || action === REDIRECT)) {
      // Of what arrives at a node only what it sends on in its own name leaves it.
      const sends =
        now === FROM_CONTAINER || (now === FROM_NETDEV && this.departure.masquerading && (flags & SNAT) !== 0);
      return sends && this.departure.leaves(packet) ? TO_NETDEV : 0;
    }
    if (now === TO_CONTAINER || now === TO_HOST || (run & RUN.FIRST_ONLY) !== 0) return 0;
    if (action === HOST) return TO_HOST;
    return action === LOCAL || (action === PROXY && (run & RUN.TO_POD) !== 0) ? TO_CONTAINER : 0;
  }

  /** Takes over what a hook's record adds: the first answer stands, but for policy lookups, where the last does. */
  private take(now: number, words: Int32Array, out: Outcome): void {
    const flags = words[FLAGS]!;
    out.flags |= flags;
    out.action = words[HEAD1]! & 0xff;
    const ct = (words[HEAD1]! >>> 8) & 0xff;
    if (out.ct === 255 || (out.ct === CT_STATUS.NEW && ct !== 255 && out.hook === XDP)) out.ct = ct;
    if (out.sourceIdentity === 0) out.sourceIdentity = words[SOURCE_IDENTITY]!;
    if (words[DESTINATION_IDENTITY] !== 0) out.destinationIdentity = words[DESTINATION_IDENTITY]!;
    if (out.backend === 0) out.backend = words[BACKEND]!;
    const reverseNat = words[REVERSE_NAT]!;
    if (out.reverseNat === 0) out.reverseNat = reverseNat & 0xffff;
    if (out.proxyPort === 0) out.proxyPort = reverseNat >>> 16;
    out.departureSeconds = words[DEPARTURE]!;
    out.departureNanoseconds = words[DEPARTURE + 1]!;
    const cookie = words[COOKIE]!;
    if (cookie !== 0) {
      if ((flags & EGRESS) !== 0) out.egressCookie = cookie;
      else out.ingressCookie = cookie;
    }
    if ((flags & POLICY_LOOKED_UP) !== 0) {
      out.match = ((words[HEAD1]! >>> 16) & 0xff) + 1;
      out.matchHook = now;
    }
  }
}
