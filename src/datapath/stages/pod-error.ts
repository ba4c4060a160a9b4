// ICMP errors that reach or leave a pod, about connections through a frontend: who has talked to the frontend is told about
// the packet as it sent it. Input: an error (`cx.related`) that may pass. Output: the backend in what is quoted, and as the
// error's own source, replaced by the frontend. Invariant: the connection that is quoted decides; where the quote does not
// tell it, or it has ended, the source alone is translated, by the addresses' twin. Twin: native/bpf/pod_error.h.
import { CT_FLAG, CT_STATUS } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';
import * as entries from './conntrack-entry.ts';
import * as keys from './conntrack-key.ts';
import * as layout from './entry-layout.ts';
import * as nat from './nat.ts';
import * as errors from './nat-error.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { isExpired, takeFrontendOf } = entries;
const { ENTRY_FLAGS } = layout;
const { seekAnswered, seekUnanswered, setKey4, setKey6 } = keys;
const { translateFromBackend } = nat;
const { frontendInQuote, putFrontendInQuote, readQuote } = errors;

const { LOOPBACK, NODE_PORT, DSR_INTERNAL } = CT_FLAG;
const RELATED = CT_STATUS.RELATED;
const ICMP = 1;
const ICMPV6 = 58;
/** What is quoted is of no connection that is known: as for a hairpin, whose quote is left alone, the twin decides. */
const UNKNOWN = LOOPBACK;

/** Flags of the quoted connection's entry, its reverse NAT index in the upper half; the pod is one end of it. */
const quotedConnection = (cx: Context, tables: Tables): number => {
  const h = cx.headers;
  const out = cx.egress;
  const { quotedS0: s0, quotedS1: s1, quotedS2: s2, quotedS3: s3, quotedPorts: ports, quotedProtocol: protocol } = cx;
  const { quotedD0: d0, quotedD1: d1, quotedD2: d2, quotedD3: d3 } = cx;
  const four = h.family === 4;
  // Its own packet is quoted to a pod; a pod quotes what it was sent.
  let other = out !== 0 ? d0 ^ h.s0 : s0 ^ h.d0;
  if (!four && out !== 0) other |= (d1 ^ h.s1) | (d2 ^ h.s2) | (d3 ^ h.s3);
  if (!four && out === 0) other |= (s1 ^ h.d1) | (s2 ^ h.d2) | (s3 ^ h.d3);
  if (other !== 0) return UNKNOWN;
  // No service balances echoes.
  if (protocol === ICMP || protocol === ICMPV6) return 0;
  if (four) setKey4(cx, s0, d0, ports, protocol, out ^ 1, 0);
  else setKey6(cx, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol, out ^ 1, 0);
  let at = seekAnswered(cx, tables);
  if (at < 0 || isExpired(cx, cx.ctWords, at)) at = seekUnanswered(cx, tables);
  if (at < 0 || isExpired(cx, cx.ctWords, at)) return UNKNOWN;
  const flags = cx.ctWords[at + ENTRY_FLAGS]!;
  if ((flags & DSR_INTERNAL) !== 0) takeFrontendOf(cx, at);
  return flags;
};

/**
 * Translates an ICMP error at a pod's hook, behind policy: to a pod the frontend that it talks to, from a pod the frontend of
 * the node that it was reached through.
 */
export function translatePodError(cx: Context, tables: Tables): void {
  const wanted = cx.egress !== 0 ? NODE_PORT : 0;
  const quoted = readQuote(cx) ? quotedConnection(cx, tables) : UNKNOWN;
  if ((quoted & DSR_INTERNAL) !== 0) {
    // The client asked the frontend, by way of another node.
    if (cx.egress !== 0) putFrontendInQuote(cx, false, cx.nat0, cx.nat1, cx.nat2, cx.nat3, cx.natPort);
    return;
  }
  if ((quoted & LOOPBACK) === 0) {
    if (quoted >>> 16 !== 0 && (quoted & NODE_PORT) === wanted) frontendInQuote(cx, tables, quoted >>> 16, false);
    return;
  }
  if (cx.ctStatus !== RELATED) return;
  const { ctFlags } = cx;
  const through = ctFlags & (NODE_PORT | LOOPBACK);
  if (cx.egress !== 0 ? through !== 0 : through === 0 && ctFlags >>> 16 !== 0)
    translateFromBackend(cx, tables, ctFlags >>> 16, false);
}
