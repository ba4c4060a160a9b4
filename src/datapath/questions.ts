// Questions to the policy stage without a packet: what an endpoint's policy says about a new connection. Input: addresses or
// identities as numbers, protocol, port. Output: scalar fields, valid until the next question; the stage's own trace.
// Invariant: endpoint, identity and policy lookups are the hooks' own functions; no map changes.
import {
  BOUND,
  ENDPOINT_FLAG,
  HOOK,
  META_FLAG,
  POLICY_FLAG,
  policyMeta,
  TRACE,
  TRACE_AT,
  TRACE_WORDS,
} from '../schema/index.ts';
import { Context } from './context.ts';
import { Meta, Packet } from './packet.ts';
import * as identities from './stages/identity.ts';
import * as policies from './stages/policy.ts';
import type { Tables } from './tables.ts';
import type { TraceBuffer } from './trace-buffer.ts';
import * as verdicts from './verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONTINUE } = verdicts;
const { KIND, RESULT, VALUE } = TRACE_AT;
const WORDS = TRACE_WORDS;
const MAX = BOUND.TRACE_RECORDS;
const { FROM_CONTAINER, TO_CONTAINER } = HOOK;
const { findDestinationEndpoint, findSourceEndpoint, takeEndpoint } = identities;
const { evaluate, policy } = policies;

const ICMP = 1;
const ICMPV6 = 58;
const { POLICY_VERDICT } = TRACE;
const META_FLAGS = policyMeta.at.flags >>> 2;

/** Asks; made once for a set of tables. */
export class PolicyQuestions {
  /** Whether the connection may pass on the side that was asked. */
  allowed = true;
  /** DROP number of a refusal, also where audit mode lets it pass; 0 otherwise. */
  reason = 0;
  /** Rule set that decided, or that isolates; 0 = none. */
  cookie = 0;
  /** Verdict byte of the deciding entry's precedence: 255 deny, 2..254 redirect, 1 allow; 0 where no entry decided. */
  byte = 0;
  /** Precedence of the deciding entry, u32; 0 where none decided. */
  precedence = 0;
  /** Non-zero: refused, but audit mode lets it pass. */
  audited = 0;
  /** Identity of the other end as the endpoint sees it. */
  remoteIdentity = 0;
  /** Policy of the endpoint that was asked, 0 = nothing enforced; -1: the address is no endpoint's. */
  policyId = 0;
  private readonly cx = new Context();
  private readonly tables: Tables;
  private readonly packet = new Packet();
  private readonly meta = new Meta();

  constructor(tables: Tables) {
    this.tables = tables;
    this.cx.tracing = 1;
    this.meta.flags = META_FLAG.PROBE;
  }

  /** What the last question looked up. */
  get trace(): TraceBuffer {
    return this.cx.trace;
  }

  /**
   * Asks one side of a connection by addresses: on egress the source's endpoint, else the destination's. Addresses are raw
   * words, four each, of IPv4 the first; `port` is the destination port or the ICMP type, host order.
   */
  byAddress(
    egress: boolean,
    family: 4 | 6,
    source: ArrayLike<number>,
    destination: ArrayLike<number>,
    protocol: number,
    port: number,
  ): void {
    this.begin(egress, family, protocol, port);
    const { cx, tables } = this;
    const h = cx.headers;
    h.s0 = source[0]! | 0;
    h.d0 = destination[0]! | 0;
    const six = family === 6;
    h.s1 = six ? source[1]! | 0 : 0;
    h.s2 = six ? source[2]! | 0 : 0;
    h.s3 = six ? source[3]! | 0 : 0;
    h.d1 = six ? destination[1]! | 0 : 0;
    h.d2 = six ? destination[2]! | 0 : 0;
    h.d3 = six ? destination[3]! | 0 : 0;
    const at = egress ? findSourceEndpoint(cx, tables) : findDestinationEndpoint(cx, tables);
    if (at < 0) {
      this.policyId = -1;
      return;
    }
    takeEndpoint(cx, tables, at);
    this.end(policy(cx, tables));
  }

  /** Asks a policy about an identity, as an endpoint with that policy would. */
  byIdentity(egress: boolean, family: 4 | 6, policyId: number, identity: number, protocol: number, port: number): void {
    this.begin(egress, family, protocol, port);
    const { cx, tables } = this;
    const meta = tables.policyMeta.find(policyId);
    const host = meta >= 0 && (tables.policyMeta.words[meta + META_FLAGS]! & POLICY_FLAG.HOST) !== 0;
    cx.endpointFlags = host ? ENDPOINT_FLAG.HOST : 0;
    cx.endpointPolicy = policyId;
    cx.remoteIdentity = identity;
    cx.remoteKnown = 1;
    this.end(evaluate(cx, tables));
  }

  private begin(egress: boolean, family: 4 | 6, protocol: number, port: number): void {
    const { cx } = this;
    cx.begin(egress ? FROM_CONTAINER : TO_CONTAINER, this.packet, this.meta, this.tables);
    const h = cx.headers;
    h.family = family;
    h.protocol = protocol;
    cx.egress = egress ? 1 : 0;
    const icmp = protocol === ICMP || protocol === ICMPV6;
    h.icmpType = icmp ? port & 0xff : 0;
    h.icmpCode = 0;
    cx.ports = icmp ? 0 : ((port & 0xff) << 24) | ((port & 0xff00) << 8);
    this.allowed = true;
    this.reason = 0;
    this.cookie = 0;
    this.byte = 0;
    this.precedence = 0;
    this.audited = 0;
    this.remoteIdentity = 0;
    this.policyId = 0;
  }

  private end(verdict: number): void {
    const { cx } = this;
    this.allowed = verdict === CONTINUE;
    this.reason = cx.dropReason;
    this.cookie = cx.cookie;
    this.audited = cx.audited;
    this.remoteIdentity = cx.remoteIdentity;
    this.policyId = cx.endpointPolicy;
    const { words, count } = cx.trace;
    // A refusal's last record is the drop; the verdict stands right before it.
    for (let i = count - 1; i >= 0 && i >= count - 2 && i < MAX; i--) {
      const at = i * WORDS;
      if (words[at + KIND] !== POLICY_VERDICT) continue;
      this.precedence = words[at + VALUE]! >>> 0;
      this.byte = this.precedence & 0xff;
      if (this.reason === 0) this.reason = words[at + RESULT]!;
      break;
    }
  }
}
