// DNS names during a replay: answers become facts and map content, stale ones go, and a drop that hangs on a name nobody asked for yet is
// told apart. In: answers that policy let pass, the time. Out: a compile asked for, a cookie of the rules in doubt.
// Invariant: an address stays while a connection to it lives, as Cilium keeps it; nothing is done for a packet before something is due.
import type { DnsFacts } from '../control/dns-facts.ts';
import { namePattern } from '../control/index.ts';
import type { NamedRule } from '../control/policy/compile-policies.ts';
import type { RuleRef } from '../control/provenance.ts';
import type { IpAddress } from '../control/state.ts';
import type { Dataplane } from '../dataplane/index.ts';
import type { ByteMap } from '../maps/index.ts';
import {
  aggregateOf,
  ctEntry,
  ctKey4,
  ctKey6,
  endpointKey4,
  endpointKey6,
  endpointValue,
  IDENTITY,
  SHAPE_ANY_PROTOCOL,
} from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import { addressText } from './address-text.ts';
import type { NameAnswer } from './payload-inspection.ts';

/** What a replay needs of the cluster to take up names. */
export interface NameCompiler {
  /** Rules about names, as of the last compile. */
  readonly namedRules: readonly NamedRule[];
  /** Compiles with these names and brings the maps up to date. */
  relearn(names: ReadonlyMap<string, readonly IpAddress[]>): void;
  /** The cookie of a set of rules. */
  cookieOf(rules: readonly RuleRef[]): number;
  /** Whether a rule about a name would win over the rules behind a cookie, which refuse. */
  mayOverrule(rule: RuleRef, cookie: number): boolean;
}

/** See the head of this file. */
export class NameLearning {
  private readonly facts: DnsFacts;
  private readonly compiler: NameCompiler;
  private readonly dataplane: Dataplane;
  /** Second of the last look at what is stale. */
  private looked = -1;

  constructor(facts: DnsFacts, compiler: NameCompiler, dataplane: Dataplane) {
    this.facts = facts;
    this.compiler = compiler;
    this.dataplane = dataplane;
  }

  get namedRules(): readonly NamedRule[] {
    return this.compiler.namedRules;
  }

  /** Time has come this far: what is stale goes. */
  clock(second: number): void {
    if (this.facts.due > second || this.looked === second) return;
    this.looked = second;
    if (this.facts.expire(second, (addresses) => this.inUse(addresses, second))) this.compile();
  }

  /** An answer; names that no rule is about are not kept. */
  learn({ name, addresses, ttl }: NameAnswer, second: number): void {
    if (!this.namedRules.some(({ pattern }) => namePattern(pattern).matches(name))) return;
    if (this.facts.learn(name, addresses, second + ttl)) this.compile();
  }

  /** The cookie of a set of rules, as provenance knows it. */
  cookieOf(rules: readonly RuleRef[]): number {
    return this.compiler.cookieOf(rules);
  }

  /** Whether a rule about a name would win over the rules behind a cookie, which refuse. */
  mayOverrule(rule: RuleRef, cookie: number): boolean {
    return this.compiler.mayOverrule(rule, cookie);
  }

  private compile(): void {
    this.compiler.relearn(this.facts.toMap());
  }

  /** Which of these are an end of a connection that lives. */
  private inUse(addresses: ReadonlySet<string>, second: number): Set<string> {
    const used = new Set<string>();
    const { maps } = this.dataplane;
    const look = (map: ByteMap, family: 4 | 6): void => {
      const key = family === 4 ? ctKey4 : ctKey6;
      const { lowAddress, highAddress } = key.at;
      for (const [bytes, value] of map.entries()) {
        if (ctEntry.decode(value).lifetime < second) continue;
        for (const at of [lowAddress, highAddress]) {
          const view = new DataView(bytes.buffer, bytes.byteOffset + at);
          const word = (i: number): number => (family === 4 && i > 0 ? 0 : view.getInt32(4 * i, true));
          const text = addressText(family, word(0), word(1), word(2), word(3));
          if (addresses.has(text)) used.add(text);
        }
      }
    };
    for (const map of [maps.ctTcp4, maps.ctTcpNew4, maps.ctAny4, maps.ctAnyNew4]) look(map, 4);
    for (const map of [maps.ctTcp6, maps.ctTcpNew6, maps.ctAny6, maps.ctAnyNew6]) look(map, 6);
    return used;
  }
}

/** Whether a policy drop hangs on a name. */
export class NamedDoubt {
  private readonly learning: NameLearning;
  private readonly dataplane: Dataplane;
  private readonly value = new Uint8Array(endpointValue.bytes);

  constructor(learning: NameLearning, dataplane: Dataplane) {
    this.learning = learning;
    this.dataplane = dataplane;
  }

  /**
   * The cookie of the rules about names that might have let a packet of this source pass, or 0 where none could have.
   * @param identity of the destination: names mean addresses outside the cluster only
   * @param denying cookie of the rules that refuse it
   */
  cookie(h: Headers, identity: number, denying: number): number {
    const outside =
      aggregateOf(identity) === IDENTITY.AGGREGATE_WORLD ||
      identity === IDENTITY.WORLD ||
      identity === IDENTITY.WORLD_IPV4 ||
      identity === IDENTITY.WORLD_IPV6;
    if (!outside || this.learning.namedRules.length === 0) return 0;
    const policyId = this.policyOf(h);
    if (policyId === 0) return 0;
    const port = ((h.ports >>> 24) & 0xff) | ((h.ports >>> 8) & 0xff00);
    const rules = this.learning.namedRules.filter(
      (rule) =>
        rule.policyId === policyId &&
        // A name that was resolved, to other addresses, leaves no doubt; a pattern may mean names that were not.
        (rule.addresses === 0 || rule.pattern.includes('*')) &&
        rule.shapes.some((word) => fits(word, h.protocol, port)) &&
        this.learning.mayOverrule(rule.rule, denying),
    );
    return rules.length === 0 ? 0 : this.learning.cookieOf(rules.map(({ rule }) => rule));
  }

  private policyOf(h: Headers): number {
    const { maps } = this.dataplane;
    const key = new Uint8Array(h.family === 4 ? endpointKey4.bytes : endpointKey6.bytes);
    const view = new DataView(key.buffer);
    view.setInt32(0, h.s0, true);
    if (h.family === 6) {
      view.setInt32(4, h.s1, true);
      view.setInt32(8, h.s2, true);
      view.setInt32(12, h.s3, true);
    }
    const map = h.family === 4 ? maps.endpoints4 : maps.endpoints6;
    return map.lookup(key, this.value) ? endpointValue.decode(this.value).policyId : 0;
  }
}

/** Whether the third word of a policy key covers a protocol and a port. */
function fits(word: number, protocol: number, port: number): boolean {
  const shape = (word >>> 24) & 0x7f;
  if (shape === SHAPE_ANY_PROTOCOL) return true;
  if (((word >>> 16) & 0xff) !== protocol) return false;
  const own = ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
  return own === (port & (0xffff << (16 - shape)) & 0xffff);
}
