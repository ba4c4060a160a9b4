// Which rules a proxy has to ask about a connection. In: policies in normal form, identities. Out: for a subject, a peer and a port the
// rules that redirect, and whether another rule lets the same port pass unseen. Invariant: who a rule selects is worked out once;
// the order is that of the rules.
import { aggregateOf, IDENTITY } from '../../schema/index.ts';
import type { IdentityView, PodIdentity } from '../identity.ts';
import { LabelSet, reservedLabel } from '../labels.ts';
import { selects, type Selector } from '../selector.ts';
import { podPorts } from './named-ports.ts';
import { peerIdentities, peersHoldHost, requireAll, requiredOf } from './peers.ts';
import { type Direction, type NormalPolicies, type PolicyRule, type PortMatch, PROTOCOL_NUMBER } from './rule.ts';

/** A connection as one of its two gates sees it. */
export interface InspectedConnection {
  /** The pod whose policy it is: an address of it, canonical. */
  readonly subject: string;
  readonly direction: Direction;
  /** Identity of the other end. */
  readonly peer: number;
  /** An address of the pod at the other end, where it is one: named ports on egress are its. */
  readonly peerAddress: string;
  /** IP protocol and destination port behind translation. */
  readonly protocol: number;
  readonly port: number;
}

/** What a gate asks. */
export interface InspectedRules {
  /** Rules with `inspected`, each of which may let a request pass; empty: the gate does not look. */
  readonly rules: readonly PolicyRule[];
  /** A rule that lets the same peer use the port without inspection: every request passes. */
  readonly lifted: PolicyRule | undefined;
}

const PLAIN_HOST = new LabelSet([reservedLabel('host')]);

/** See the head of this file. */
export class InspectedRuleTable {
  private readonly policies: NormalPolicies;
  private readonly view: IdentityView;
  private readonly pods = new Map<string, PodIdentity>();
  private readonly peers = new Map<string, ReadonlySet<number>>();

  constructor(policies: NormalPolicies, view: IdentityView) {
    this.policies = policies;
    this.view = view;
    for (const pod of view.pods) for (const { text } of pod.addresses) this.pods.set(text, pod);
  }

  /** Whether any rule redirects at all. */
  get empty(): boolean {
    return !this.policies.rules.some(({ inspected }) => inspected !== undefined);
  }

  /** The rules for a connection. */
  find(connection: InspectedConnection): InspectedRules {
    const subject = this.pods.get(connection.subject);
    if (subject === undefined) return { rules: [], lifted: undefined };
    const { direction } = connection;
    const required = requireAll(
      this.policies.requires.filter(
        (requires) =>
          requires.direction === direction && requires.host !== true && selects(requires.subject, subject.labels),
      ),
    );
    const named = direction === 'ingress' ? subject : this.pods.get(connection.peerAddress);
    const fitting = this.policies.rules.filter(
      (rule) =>
        rule.direction === direction &&
        rule.ports.some((match) => covers(match, connection, named)) &&
        rule.host !== true &&
        selects(rule.subject, subject.labels) &&
        this.holds(rule, requiredOf(rule, required), connection.peer, subject),
    );
    const rules = fitting.filter(({ inspected }) => inspected !== undefined);
    // An allow for every protocol and port does not lift an inspection of one port (docs/compatibility.md).
    const lifted = fitting.find(
      ({ verdict, ports }) =>
        verdict === 'allow' && ports.some((match) => match.kind !== 'all' && covers(match, connection, named)),
    );
    return { rules, lifted: rules.length === 0 ? undefined : lifted };
  }

  private holds(rule: PolicyRule, required: Selector, peer: number, subject: PodIdentity): boolean {
    const identities = this.identitiesOf(rule, required);
    if (identities.has(IDENTITY.UNKNOWN)) return true;
    if (peer === IDENTITY.HOST) return peersHoldHost(rule.peers, required, subject.node?.hostLabels ?? PLAIN_HOST);
    return identities.has(peer) || identities.has(aggregateOf(peer));
  }

  private identitiesOf(rule: PolicyRule, required: Selector): ReadonlySet<number> {
    const key = `${this.policies.rules.indexOf(rule)}\0${required.text}`;
    let identities = this.peers.get(key);
    if (identities === undefined) {
      identities = new Set(peerIdentities(rule.peers, required, this.view));
      this.peers.set(key, identities);
    }
    return identities;
  }
}

function covers(match: PortMatch, { protocol, port }: InspectedConnection, named: PodIdentity | undefined): boolean {
  switch (match.kind) {
    case 'all':
      return true;
    case 'ports':
      return match.protocol === protocol && match.first <= port && port <= match.last;
    case 'named':
      return (
        named !== undefined &&
        match.protocols.some(
          (name) => PROTOCOL_NUMBER[name] === protocol && [...podPorts(named.pod)(match.name, name)].includes(port),
        )
      );
    case 'icmp':
      return false;
  }
}
