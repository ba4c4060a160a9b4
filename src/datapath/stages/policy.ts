// Stage "policy": whether the endpoint's policy lets the packet pass, from a conntrack entry where one still knows, else by
// probing the shapes that its policy has. Input: the endpoint, the other end's identity, tuple. Output: `cx.cookie`,
// `cx.policyMatch`, `cx.proxyPort`, `cx.audited`; CONTINUE or a drop. Invariant: at most BOUND.POLICY_PROBES probes.
// Twin: native/bpf/policy.h.
import {
  ANSWER,
  aggregateOf,
  CT_FLAG,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  FEATURE,
  POLICY_DIRECTION,
  POLICY_ENTRY,
  POLICY_FLAG,
  POLICY_MATCH,
  policyMeta,
  policyValue,
  RECORD_FLAG,
  SHAPE_ANY_PROTOCOL,
  STAGE,
  TRACE,
  traceMapNumber,
} from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';
import * as entries from './conntrack-entry.ts';
import * as identities from './identity.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { swap16 } = wire;
const { CONFIG_NODE } = config;
const { CONTINUE, drop } = verdicts;
const { ENTRY_COOKIE, ENTRY_EPOCH, ENTRY_FLAGS, ENTRY_IDENTITY } = entries;
const { identityOfDestination, identityOfSource } = identities;

const POLICY = STAGE.POLICY;
const { ESTABLISHED, REPLY, RELATED } = CT_STATUS;
const { PROXY_REDIRECT, AUDITED, LOOPBACK } = CT_FLAG;
const EGRESS = POLICY_DIRECTION.EGRESS;
const { ENFORCE_INGRESS, ENFORCE_EGRESS, AUDIT: AUDIT_POLICY } = POLICY_FLAG;
const { AUDIT, ICMP_FRAG_NEEDED, ICMP_RULES, TUNNEL, POLICY_DENY_ICMP, POLICY_DENY_RESET } = FEATURE;
const IS_HOST = ENDPOINT_FLAG.HOST;
const ANSWERS = POLICY_DENY_ICMP | POLICY_DENY_RESET;
const { POLICY_LOOKED_UP, ENFORCED } = RECORD_FLAG;
const META = policyMeta.at;
const META_FLAGS = META.flags >>> 2;
const META_INGRESS = META.ingressShapes >>> 2;
const META_EGRESS = META.egressShapes >>> 2;
const META_INGRESS_COOKIE = META.ingressCookie >>> 2;
const META_EGRESS_COOKIE = META.egressCookie >>> 2;
const META_WORDS = policyMeta.bytes >>> 2;
const PRECEDENCE = policyValue.at.precedence >>> 2;
const COOKIE = policyValue.at.cookie >>> 2;
/** Low half raw proxy port, high half flags. */
const PROXY = policyValue.at.proxyPort >>> 2;
const VALUE_WORDS = policyValue.bytes >>> 2;
const AUTHENTICATION = 0x7f << 16;
const AUDIT_ENTRY = POLICY_ENTRY.AUDIT << 16;
const ANY_BIT = 1 << SHAPE_ANY_PROTOCOL;
const ANY_SHAPE = SHAPE_ANY_PROTOCOL;
/** Shapes that do not look at the port: any protocol, and an exact protocol with a prefix of 0 bits. */
const PORTLESS_SHAPES = ANY_BIT | 1;
const SHAPES = ANY_BIT | 0x1ffff;
const SIGN = -0x80000000;
const DENY = 255;
const META_MAP = traceMapNumber('policyMeta');
const POLICY_MAP = traceMapNumber('policy');

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;

/**
 * Decides. Replies and related packets pass; so does a pod that reaches itself through its service. An established
 * connection whose entry carries the current epoch keeps its decision, identity and cookie without a lookup; one with an old
 * epoch is decided again, so that a revoked rule cuts it, and a rule that still allows renews the entry.
 */
export function policy(cx: Context, tables: Tables): number {
  const { ctStatus: status, ctAt: at } = cx;
  if (at >= 0) {
    const words = cx.ctWords;
    const kept = status === REPLY || status === RELATED || (cx.ctFlags & LOOPBACK) !== 0;
    const settled = status === ESTABLISHED && isSettled(cx);
    if (kept || (settled && words[at + ENTRY_EPOCH] === cx.epoch)) {
      cx.remoteIdentity = words[at + ENTRY_IDENTITY]!;
      cx.remoteKnown = 1;
      cx.cookie = words[at + ENTRY_COOKIE]!;
      if (!kept && (cx.ctFlags & AUDITED) !== 0) cx.audited = 1;
      return CONTINUE;
    }
  }
  if (cx.loopback !== 0 || cx.l7Port !== 0) {
    cx.remoteIdentity = cx.loopback !== 0 ? cx.endpointIdentity : remote(cx, tables);
    cx.remoteKnown = 1;
    return CONTINUE;
  }
  cx.remoteIdentity = remote(cx, tables);
  cx.remoteKnown = 1;
  const verdict = evaluate(cx, tables);
  if (verdict === CONTINUE && at >= 0 && cx.related === 0 && cx.probe === 0) renew(cx, at);
  return verdict;
}

/**
 * Whether the entry can answer for every packet of the connection. Not for a redirect, whose proxy port is not in it; nor for
 * an ICMP error, which is no packet of the connection; nor where rules tell ICMP types apart, which the tuple does not.
 */
const isSettled = (cx: Context): boolean => {
  const { protocol } = cx.headers;
  if (cx.related !== 0 || (cx.ctFlags & PROXY_REDIRECT) !== 0) return false;
  return (cx.features & ICMP_RULES) === 0 || (protocol !== ICMP && protocol !== ICMPV6);
};

const remote = (cx: Context, tables: Tables): number => {
  return cx.egress !== 0 ? identityOfDestination(cx, tables) : identityOfSource(cx, tables);
};

/** Writes the decision into the entry of an established connection. */
const renew = (cx: Context, at: number): void => {
  const words = cx.ctWords;
  words[at + ENTRY_IDENTITY] = cx.remoteIdentity;
  words[at + ENTRY_EPOCH] = cx.epoch;
  words[at + ENTRY_COOKIE] = cx.cookie;
  let flags = words[at + ENTRY_FLAGS]! & ~(AUDITED | PROXY_REDIRECT);
  if (cx.audited !== 0) flags |= AUDITED;
  if (cx.proxyPort !== 0) flags |= PROXY_REDIRECT;
  words[at + ENTRY_FLAGS] = flags;
};

/** The endpoint's policy in the packet's direction for `cx.remoteIdentity`: CONTINUE, or the drop. Asks no connection. */
export const evaluate = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  const egress = cx.egress !== 0;
  if (h.protocol === ICMP && h.icmpType === 3 && h.icmpCode === 4 && (cx.features & ICMP_FRAG_NEEDED) !== 0) {
    return CONTINUE;
  }
  if (egress && h.protocol === UDP && (cx.features & TUNNEL) !== 0 && (cx.endpointFlags & IS_HOST) === 0) {
    // Nobody but the node itself may inject into the overlay (Cilium's policy_can_egress).
    if (cx.ports >>> 16 === tables.config.words[CONFIG_NODE]! >>> 16) return drop(cx, DROP.ENCAP_PROHIBITED, POLICY);
  }
  // Policy 0 enforces nothing, by definition; one that is not in the map must not pass for it.
  if (cx.endpointPolicy === 0) return CONTINUE;
  const at = tables.policyMeta.find(cx.endpointPolicy);
  const meta = tables.policyMeta.words;
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.POLICY_META, POLICY, at >= 0 ? 1 : 0, META_MAP).key(cx.endpointPolicy);
    cx.trace.values(meta, at, META_WORDS);
  }
  if (at < 0) return drop(cx, DROP.ENDPOINT_NOT_READY, POLICY);
  const flags = meta[at + META_FLAGS]!;
  if ((flags & (egress ? ENFORCE_EGRESS : ENFORCE_INGRESS)) === 0) return CONTINUE;
  cx.recordFlags |= POLICY_LOOKED_UP | ENFORCED;
  const best = search(cx, tables, meta, at + (egress ? META_EGRESS : META_INGRESS), egress ? EGRESS : 0);
  return best >= 0
    ? decide(cx, tables, best, flags)
    : refuse(
        cx,
        cx.portless !== 0 ? DROP.FRAG_NO_SUPPORT : DROP.POLICY,
        flags,
        meta[at + (egress ? META_EGRESS_COOKIE : META_INGRESS_COOKIE)]!,
        0,
      );
};

/**
 * Word offset of the winning entry in `tables.policy.words`, or -1. Only shapes that exist are probed, for the identity, its
 * aggregate and 0; the highest precedence wins, then the longer port prefix, then the more specific identity.
 * Entries whose verdict byte is 0 (pass) decide nothing: control has resolved them.
 */
const search = (cx: Context, tables: Tables, meta: Int32Array, shapesAt: number, direction: number): number => {
  const h = cx.headers;
  const { protocol } = h;
  let port = swap16(cx.ports >>> 16);
  let usable = SHAPES;
  if (protocol === ICMP || protocol === ICMPV6) {
    port = h.icmpType;
    if ((cx.features & ICMP_RULES) === 0) usable = PORTLESS_SHAPES;
  } else if (cx.portless !== 0) usable = PORTLESS_SHAPES;
  const identity = cx.remoteIdentity;
  const aggregate = aggregateOf(identity);
  let best = -1;
  let bestRank = -1;
  let bestPrecedence = 0;
  for (let kind = 0; kind < 3; kind++) {
    // A kind that names identity 0 is left to the last, so that nothing is probed twice.
    const peer = kind === 0 ? identity : kind === 1 ? aggregate : 0;
    if (kind !== 2 && peer === 0) continue;
    let shapes = meta[shapesAt + kind]! & usable;
    while (shapes !== 0) {
      // Port prefixes from the longest to none, then any protocol.
      const exact = shapes & ~ANY_BIT;
      const shape = exact !== 0 ? 31 - Math.clz32(exact) : ANY_SHAPE;
      shapes &= ~(1 << shape);
      const at = probe(cx, tables, peer, shape, port, protocol, direction);
      if (at < 0) continue;
      const precedence = tables.policy.words[at + PRECEDENCE]!;
      if ((precedence & 0xff) === 0) continue;
      const rank = shape === ANY_SHAPE ? 0 : shape + 1;
      const ordered = precedence ^ SIGN;
      if (best < 0 || ordered > bestPrecedence || (ordered === bestPrecedence && rank > bestRank)) {
        best = at;
        bestRank = rank;
        bestPrecedence = ordered;
        cx.policyMatch = matchOf(peer !== 0, shape);
      }
    }
  }
  return best;
};

/** One probe: the entry of this peer and shape, its offset in `tables.policy.words`, or -1. */
const probe = (
  cx: Context,
  tables: Tables,
  peer: number,
  shape: number,
  port: number,
  protocol: number,
  direction: number,
): number => {
  cx.probesPolicy = (cx.probesPolicy + 1) | 0;
  let target = (shape | direction) << 24;
  if (shape !== ANY_SHAPE) target |= swap16(port & (0xffff << (16 - shape))) | (protocol << 16);
  const at = tables.policy.find(cx.endpointPolicy, peer, target);
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.POLICY_PROBE, POLICY, at >= 0 ? 1 : 0, POLICY_MAP);
    cx.trace.key(cx.endpointPolicy).key(peer).key(target).values(tables.policy.words, at, VALUE_WORDS);
  }
  return at;
};

/** POLICY_MATCH of an entry: named peer or not, and what of the L4 header its shape looks at. */
const matchOf = (named: boolean, shape: number): number => {
  if (shape === ANY_SHAPE) return named ? POLICY_MATCH.L3_ONLY : POLICY_MATCH.ALL;
  if (shape === 0) return named ? POLICY_MATCH.L3_PROTO : POLICY_MATCH.PROTO_ONLY;
  return named ? POLICY_MATCH.L3_L4 : POLICY_MATCH.L4_ONLY;
};

/** What the winning entry says. No authentication map exists, so a rule that wants it is never satisfied (189). */
const decide = (cx: Context, tables: Tables, best: number, flags: number): number => {
  const { words } = tables.policy;
  const precedence = words[best + PRECEDENCE]!;
  const cookie = words[best + COOKIE]!;
  const proxy = words[best + PROXY]!;
  if ((precedence & 0xff) === DENY) {
    if ((proxy & AUDIT_ENTRY) !== 0) flags |= AUDIT_POLICY;
    return refuse(cx, DROP.POLICY_DENY, flags, cookie, precedence);
  }
  if ((proxy & AUTHENTICATION) !== 0) return refuse(cx, DROP.POLICY_AUTH_REQUIRED, flags, cookie, precedence);
  const port = proxy & 0xffff;
  const { protocol } = cx.headers;
  if (port !== 0 && protocol !== TCP && protocol !== UDP) {
    return refuse(cx, DROP.PROXY_UNKNOWN_PROTOCOL, flags, cookie, precedence);
  }
  cx.cookie = cookie;
  cx.proxyPort = port;
  if (cx.tracing !== 0) traceVerdict(cx, 0, precedence);
  return CONTINUE;
};

/** A drop by policy; in audit mode the packet passes and says so. */
const refuse = (cx: Context, reason: number, flags: number, cookie: number, precedence: number): number => {
  cx.cookie = cookie;
  if ((cx.features & AUDIT) !== 0 || (flags & AUDIT_POLICY) !== 0) cx.audited = 1;
  if (cx.tracing !== 0) traceVerdict(cx, reason, precedence);
  if (cx.audited !== 0) return CONTINUE;
  if ((cx.features & ANSWERS) !== 0 && cx.egress !== 0) askForAnswer(cx);
  return drop(cx, reason, POLICY);
};

/** `policyDenyResponse`: what a pod may not send is answered, TCP by a reset where that is asked for. */
const askForAnswer = (cx: Context): void => {
  const h = cx.headers;
  const resets = h.protocol === TCP && (cx.features & POLICY_DENY_RESET) !== 0;
  cx.answer = resets ? ANSWER.RESET : ANSWER.PROHIBITED;
};

const traceVerdict = (cx: Context, reason: number, precedence: number): void => {
  const t = cx.trace.open(TRACE.POLICY_VERDICT, POLICY, reason, 0);
  t.key(cx.endpointPolicy)
    .key(cx.remoteIdentity)
    .key(swap16(cx.ports >>> 16));
  t.key(cx.headers.protocol).key(cx.egress !== 0 ? 1 : 0);
  t.value(precedence).value(cx.cookie).value(cx.policyMatch).value(cx.audited);
};
