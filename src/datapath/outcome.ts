// The end of a run: decision record, counters, events. Input: the verdict and everything the stages left in the context.
// Output: `cx.record`, the metrics map, the event ring. Invariant: written once a run, whatever happened; a probe writes only
// the record. Twin: native/bpf/outcome.h.
import {
  CT_STATUS,
  DIRECTION,
  decisionRecord,
  eventKind,
  eventRecord,
  FEATURE,
  HOOK,
  RECORD_FLAG,
  VERDICT,
  ACTION,
} from '../schema/index.ts';
import type { Context } from './context.ts';
import * as jhash from './jhash.ts';
import * as metrics from './metrics.ts';
import type { Meta } from './packet.ts';
import type { Tables } from './tables.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { chance4, chance6 } = jhash;
const { count } = metrics;

const R = decisionRecord.at;
const R_ACTION = R.action >>> 2;
const R_FLAGS = R.flags >>> 2;
const R_SOURCE = R.sourceIdentity >>> 2;
const R_DESTINATION = R.destinationIdentity >>> 2;
const R_COOKIE = R.cookie >>> 2;
const R_BACKEND = R.backendId >>> 2;
const R_REVERSE_NAT = R.reverseNat >>> 2;
const R_IFINDEX = R.outIfindex >>> 2;
const R_ENDPOINT = R.endpointId >>> 2;
const R_MAC = R.destinationMac >>> 2;
const R_DEPARTURE = R.departureSeconds >>> 2;
const E = eventRecord.at;
const KIND = eventKind;

const { UNKNOWN, DROPPED, ERROR, AUDIT, FORWARDED } = VERDICT;
const { EVENTS } = FEATURE;
const { INGRESS, EGRESS } = DIRECTION;
const { NEW, NONE } = CT_STATUS;
const { TO_CONTAINER, TO_HOST, XDP } = HOOK;
const { NEW: NEW_FLAG, AUDITED, EGRESS: EGRESS_FLAG, IPV6: IPV6_FLAG, POLICY_LOOKED_UP } = RECORD_FLAG;
const { LOCAL, HOST, STACK } = ACTION;

/**
 * Cilium's trace observation points by ACTION, for a packet that passed. LOCAL and HOST have none: `to-container` and `to-host`
 * report it.
 */
const POINT = [3, 0, 11, 11, 0, 1, 0, 0] as const;
const TO_ENDPOINT = 0;
const TO_OWN_NODE = 2;
const AT_OVERLAY = 4;
const INTO_OVERLAY = RECORD_FLAG.ENCAPSULATED | RECORD_FLAG.OVERLAY;
/** Flips the sign bit, so that signed comparison orders as unsigned. */
const SIGN = -0x80000000;

/**
 * Ends a run: settles the verdict (audit mode), writes the record, counts, reports, gives the meta back.
 * @returns the VERDICT
 */
export function finish(cx: Context, tables: Tables, meta: Meta, given: number): number {
  const verdict = cx.audited !== 0 && given === FORWARDED ? AUDIT : given;
  let flags = cx.recordFlags;
  if (cx.ctStatus === NEW) flags |= NEW_FLAG;
  if (cx.audited !== 0) flags |= AUDITED;
  if (cx.egress !== 0) flags |= EGRESS_FLAG;
  if (cx.headers.family === 6) flags |= IPV6_FLAG;
  cx.recordFlags = flags;
  const { record } = cx;
  record[0] = verdict | (cx.dropReason << 8) | (cx.stage << 16) | (cx.hook << 24);
  record[R_ACTION] = cx.action | (cx.ctStatus << 8) | (cx.policyMatch << 16) | (cx.unknownReason << 24);
  record[R_FLAGS] = flags;
  record[R_SOURCE] = cx.sourceIdentity;
  record[R_DESTINATION] = cx.destinationIdentity;
  record[R_COOKIE] = cx.cookie;
  record[R_BACKEND] = cx.backendId;
  record[R_REVERSE_NAT] = cx.reverseNat | (cx.proxyPort << 16);
  record[R_IFINDEX] = cx.outIfindex;
  record[R_ENDPOINT] = cx.endpointId;
  record[R_MAC] = cx.mac0;
  record[R_MAC + 1] = cx.mac1;
  record[R_MAC + 2] = cx.mac2;
  record[R_DEPARTURE] = cx.departureSeconds;
  record[R_DEPARTURE + 1] = cx.departureNanoseconds;
  meta.mark = cx.mark;
  meta.cb0 = cx.aggregate;
  meta.xdpMetadata = cx.xdpMetadata;
  meta.flags = cx.metaFlags;
  if (cx.probe !== 0) return verdict;
  if (verdict !== UNKNOWN && verdict !== ERROR) count(cx, tables, cx.dropReason, cx.egress !== 0 ? EGRESS : INGRESS);
  if ((cx.features & EVENTS) !== 0) report(cx, tables, verdict);
  return verdict;
}

/**
 * Events of one run, aggregated as Cilium's "medium" level does: every drop; every decision that policy was asked for; of
 * packets that passed those that conntrack wants reported, or that have no connection.
 */
const report = (cx: Context, tables: Tables, verdict: number): void => {
  if (verdict === DROPPED) write(cx, tables, KIND.DROP, cx.dropReason);
  if ((cx.recordFlags & POLICY_LOOKED_UP) !== 0) write(cx, tables, KIND.VERDICT, cx.policyMatch);
  if (verdict === DROPPED || verdict === UNKNOWN || verdict === ERROR) return;
  if (cx.action === LOCAL || cx.action === HOST) return;
  // What merely passes xdp is for tc's hooks to tell.
  if (cx.monitor !== 0 || (cx.ctStatus === NONE && cx.hook !== XDP)) {
    write(cx, tables, KIND.TRACE, pointOf(cx));
  }
};

const pointOf = ({ hook, action, recordFlags }: Context): number => {
  if (hook === TO_CONTAINER) return TO_ENDPOINT;
  if ((recordFlags & INTO_OVERLAY) === INTO_OVERLAY) return AT_OVERLAY;
  return hook === TO_HOST && action === STACK ? TO_OWN_NODE : POINT[action]!;
};

const write = (cx: Context, tables: Tables, type: number, subtype: number): void => {
  const ring = tables.events;
  const at = ring.claim();
  const { words } = ring;
  const h = cx.headers;
  words[at] = type | (subtype << 8) | (cx.hook << 16) | (cx.stage << 24);
  writeTime(words, at + (E.timeLow >>> 2), cx.seconds, cx.nanoseconds);
  words[at + (E.flowHash >>> 2)] =
    h.family === 4
      ? chance4(h.s0, h.d0, cx.ports, h.protocol, 0, 0)
      : chance6(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, cx.ports, h.protocol, 0, 0);
  words[at + (E.sourceIdentity >>> 2)] = cx.sourceIdentity;
  words[at + (E.destinationIdentity >>> 2)] = cx.destinationIdentity;
  words[at + (E.cookie >>> 2)] = cx.cookie;
  words[at + (E.ifindex >>> 2)] = cx.outIfindex !== 0 ? cx.outIfindex : cx.ifindex;
  words[at + (E.family >>> 2)] = h.family | (h.protocol << 8) | (h.tcpFlags << 16) | (cx.ctStatus << 24);
  words[at + (E.sourcePort >>> 2)] = cx.ports;
  const source = at + (E.source >>> 2);
  words[source] = h.s0;
  words[source + 1] = h.s1;
  words[source + 2] = h.s2;
  words[source + 3] = h.s3;
  const destination = at + (E.destination >>> 2);
  words[destination] = h.d0;
  words[destination + 1] = h.d1;
  words[destination + 2] = h.d2;
  words[destination + 3] = h.d3;
  words[at + (E.endpointId >>> 2)] = cx.endpointId | (cx.recordFlags << 16);
  words[at + (E.wireBytes >>> 2)] = cx.wireBytes;
};

/** seconds · 10⁹ + nanoseconds as two words, low first, in 16-bit halves: 10⁹ = 0x3b9a·2¹⁶ + 0xca00. No float, no division. */
const writeTime = (words: Int32Array, at: number, seconds: number, nanoseconds: number): void => {
  const { imul } = Math;
  const low = seconds & 0xffff;
  const high = seconds >>> 16;
  const p0 = imul(low, 0xca00);
  const p1 = (imul(high, 0xca00) + (p0 >>> 16)) | 0;
  const p2 = (imul(low, 0x3b9a) + (p1 & 0xffff)) | 0;
  const bottom = (p2 << 16) | (p0 & 0xffff);
  const sum = (bottom + nanoseconds) | 0;
  const carry = (sum ^ SIGN) < (bottom ^ SIGN) ? 1 : 0;
  words[at] = sum;
  words[at + 1] = (imul(high, 0x3b9a) + (p1 >>> 16) + (p2 >>> 16) + carry) | 0;
};
