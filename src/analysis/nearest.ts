// Why no rule allows a connection: the rules that come nearest, each with the first condition that fails. Input: the normal form
// of the policies, one gate of a connection. Output: NearMiss[], the nearest first. Invariant: who a rule's peers are and which
// ports it covers is asked of the compiler's own functions; here is only what to say about it.
import type { LabelSet } from '../control/labels.ts';
import { podPorts } from '../control/policy/named-ports.ts';
import { normalisePolicies } from '../control/policy/normalise.ts';
import { ANYBODY, peerIdentities, peersHoldHost, requireAll, requiredOf } from '../control/policy/peers.ts';
import { portWords } from '../control/policy/ports.ts';
import {
  compareRules,
  type Direction,
  type NormalPolicies,
  type Peer,
  type PolicyRule,
  type PortMatch,
} from '../control/policy/rule.ts';
import type { RuleRef } from '../control/provenance.ts';
import { bothSelectors, EVERYTHING, selects, type Selector } from '../control/selector.ts';
import type { Pod } from '../control/index.ts';
import { aggregateOf, IDENTITY } from '../schema/index.ts';
import type { PolicyWorld } from './policy-world.ts';
import { failures, instead, isNamespaceKey, peerText, requirementText } from './selector-text.ts';
import { covers } from './verdict.ts';

/** One gate: the endpoint that is asked, and who is on the other side. */
export interface Gate {
  readonly direction: Direction;
  /** `pod` undefined: the node itself. `host`: labels of its own node. */
  readonly subject: {
    readonly name: string;
    readonly labels: LabelSet;
    readonly pod: Pod | undefined;
    readonly host: LabelSet;
  };
  readonly other: { readonly name: string; readonly identity: number; readonly labels: LabelSet; readonly pod?: Pod };
  readonly protocol: number;
  readonly port: number;
  /** The port that was asked for before a Service translated it. */
  readonly servicePort?: number;
}

export type Condition = 'direction' | 'subject' | 'namespace' | 'peer' | 'protocol' | 'port';

/** A rule that almost allows. */
export interface NearMiss {
  readonly rule: PolicyRule;
  readonly ref: RuleRef;
  readonly condition: Condition;
  readonly text: string;
}

const NAMES: Readonly<Record<number, string>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP', 1: 'ICMP', 58: 'ICMPv6' };

/** Finds near misses in one world. */
export class NearestRules {
  private readonly world: PolicyWorld;
  readonly normal: NormalPolicies;
  private readonly holders = new Map<PolicyRule['peers'], ReadonlySet<number>>();

  constructor(world: PolicyWorld) {
    this.world = world;
    this.normal = normalisePolicies(world.state, world.settings, []);
  }

  /** The nearest first, at most `most`. */
  find(gate: Gate, most = 3): NearMiss[] {
    const required = requireAll(
      this.normal.requires.filter(
        (one) => one.direction === gate.direction && isAbout(one, gate) && selects(one.subject, gate.subject.labels),
      ),
    );
    const scored: { miss: NearMiss; score: number }[] = [];
    for (const rule of this.normal.rules) {
      if (rule.verdict === 'deny' || rule.verdict === 'pass' || !isAbout(rule, gate)) continue;
      const found = this.judge(rule, gate, requiredOf(rule, required));
      if (found !== undefined) scored.push(found);
    }
    scored.sort((a, b) => b.score - a.score);
    return scored.slice(0, most).map(({ miss }) => miss);
  }

  /** The pass of a tier that a connection meets before any other rule of that tier. */
  passed(gate: Gate, tier: 'admin' | 'baseline'): PolicyRule | undefined {
    const [first] = this.normal.rules
      .filter(
        (rule) =>
          rule.tier === tier &&
          rule.direction === gate.direction &&
          isAbout(rule, gate) &&
          selects(rule.subject, gate.subject.labels) &&
          this.peerFailure(rule, gate, EVERYTHING) === undefined &&
          portFailure(rule.ports, gate, rule.direction) === undefined,
      )
      .sort(compareRules);
    return first?.verdict === 'pass' ? first : undefined;
  }

  /** The first condition of a rule that fails; undefined where nothing connects the rule with the gate. */
  private judge(rule: PolicyRule, gate: Gate, required: Selector): { miss: NearMiss; score: number } | undefined {
    const { subject, other } = gate;
    const miss = (condition: Condition, text: string, score: number): { miss: NearMiss; score: number } => ({
      miss: { rule, ref: rule.ref, condition, text },
      score,
    });
    const peer = this.peerFailure(rule, gate, rule.direction === gate.direction ? required : EVERYTHING);
    const port = portFailure(rule.ports, gate, rule.direction);
    const isSubject = selects(rule.subject, subject.labels);
    if (rule.direction !== gate.direction) {
      if (!isSubject || peer !== undefined || port !== undefined) return undefined;
      const says = rule.direction === 'ingress' ? `who may reach ${subject.name}` : `whom ${subject.name} may reach`;
      return miss('direction', `the rule is about ${rule.direction}, it says ${says}; this is ${gate.direction}`, 60);
    }
    if (!isSubject) {
      if (peer !== undefined || port !== undefined) return undefined;
      const [failed] = failures(rule.subject, subject.labels);
      const where = failed !== undefined && isNamespaceKey(failed.key) ? 20 : 50;
      const text = `the policy selects ${rule.host === true ? 'nodes' : 'pods'} with ${failed === undefined ? '' : requirementText(failed)}; ${subject.name} ${failed === undefined ? '' : instead(failed, subject.labels)}`;
      return miss('subject', text, where);
    }
    // Of a name nobody knows the addresses of, the port is what certainly fails.
    if (peer !== undefined && (peer.count > 0 || port === undefined)) {
      const score = 70 - 10 * Math.min(5, peer.count) + (port === undefined ? 15 : 0);
      return miss(peer.condition, `${other.name} ${peer.text}`, score);
    }
    return port === undefined ? undefined : miss(port.condition, port.text, port.condition === 'port' ? 100 : 90);
  }

  /** Why no peer of a rule is the other end; undefined where one is. */
  private peerFailure(
    { peers, fqdns }: PolicyRule,
    { subject, other }: Gate,
    required: Selector,
  ): { readonly condition: 'peer' | 'namespace'; readonly text: string; readonly count: number } | undefined {
    if (peers === 'everybody' && required === EVERYTHING) return undefined;
    if (other.identity === IDENTITY.HOST) {
      if (peersHoldHost(peers, required, subject.host)) return undefined;
      return { condition: 'peer', text: `is the pod’s own node, which only entity host or cluster names`, count: 1 };
    }
    if (this.holds(peers, required, other.identity)) return undefined;
    const all = (peers === 'everybody' ? ANYBODY : peers).map((peer) => this.onePeer(peer, other, required));
    if (fqdns.length > 0) all.push(this.names(fqdns, other));
    if (all.length === 0) return { condition: 'peer', text: 'cannot match: the rule names nobody', count: 3 };
    return all.sort((a, b) => a.count - b.count)[0]!;
  }

  private holds(peers: PolicyRule['peers'], required: Selector, identity: number): boolean {
    let set = required.text === '' ? this.holders.get(peers) : undefined;
    if (set === undefined) {
      set = new Set(peerIdentities(peers, required, this.world.view));
      if (required.text === '') this.holders.set(peers, set);
    }
    return set.has(identity) || set.has(0) || set.has(aggregateOf(identity));
  }

  private onePeer(
    peer: Peer,
    other: Gate['other'],
    required: Selector,
  ): { readonly condition: 'peer' | 'namespace'; readonly text: string; readonly count: number } {
    if (peer.kind === 'entity') {
      return { condition: 'peer', text: `is not entity ${peer.entity}`, count: 2 };
    }
    if (peer.kind === 'cidr') {
      const who = other.labels.has('reserved', 'world') ? undefined : this.identityWords(other);
      const text =
        who === undefined
          ? `is not in ${peerText(peer)}`
          : `is ${who}, so CIDR rules do not see it (${peer.prefix.text})`;
      return { condition: 'peer', text, count: 2 };
    }
    const failed = failures(peer.required ? bothSelectors(peer.selector, required) : peer.selector, other.labels);
    const [first] = failed;
    if (first === undefined) return { condition: 'peer', text: 'is not selected', count: 1 };
    return {
      condition: isNamespaceKey(first.key) ? 'namespace' : 'peer',
      text: `${instead(first, other.labels)}; the rule wants ${requirementText(first)}`,
      count: failed.length,
    };
  }

  /** Why an end is none of a rule's DNS names. */
  private names(
    fqdns: PolicyRule['fqdns'],
    other: Gate['other'],
  ): { readonly condition: 'peer'; readonly text: string; readonly count: number } {
    const names = fqdns.map(({ pattern }) => pattern).join(', ');
    if (!other.labels.has('reserved', 'world')) {
      return {
        condition: 'peer',
        text: `is ${this.identityWords(other)}, which no DNS name means (${names})`,
        count: 2,
      };
    }
    return this.world.dnsKnown
      ? { condition: 'peer', text: `is no address of ${names}`, count: 1 }
      : { condition: 'peer', text: `is not known to be an address of ${names}`, count: 0 };
  }

  private identityWords({ identity, pod }: Gate['other']): string {
    if (pod !== undefined) return `a pod (identity ${identity})`;
    return identity === IDENTITY.HOST || identity === IDENTITY.REMOTE_NODE || identity >>> 24 === 2
      ? `a node (identity ${identity})`
      : `identity ${identity}`;
  }
}

/** Whether a rule is about what the gate belongs to: pods, or nodes. */
const isAbout = ({ host }: Pick<PolicyRule, 'host'>, { subject }: Gate): boolean =>
  (host === true) === (subject.pod === undefined);

/** Why no port of a rule covers the connection; undefined where one does. */
function portFailure(
  ports: readonly PortMatch[],
  { subject, other, protocol, port, servicePort }: Gate,
  direction: Direction,
): { readonly condition: 'protocol' | 'port'; readonly text: string } | undefined {
  const destination = direction === 'ingress' ? subject.pod : other.pod;
  const named = destination === undefined ? (): number[] => [] : podPorts(destination);
  const hit = ports.some((match) => portWords(match, direction, named).some((word) => covers(word, protocol, port)));
  if (hit) return undefined;
  const name = NAMES[protocol] ?? String(protocol);
  const own = ports.filter((match) => protocolsOf(match).includes(protocol));
  if (own.length === 0) {
    const says = [...new Set(ports.flatMap(protocolsOf))].map((number) => NAMES[number] ?? number).join(', ');
    return { condition: 'protocol', text: `the rule says ${says}, this is ${name}` };
  }
  const says = own.map(portText).join(', ');
  const translated =
    servicePort !== undefined && servicePort !== port && own.some((match) => holdsPort(match, servicePort))
      ? `the rule says port ${servicePort}, after translation the port is ${port}`
      : `the rule says ${says}, this is ${name.startsWith('ICMP') ? 'type' : 'port'} ${port}`;
  const unnamed = own.find((match) => match.kind === 'named');
  if (unnamed?.kind !== 'named') return { condition: 'port', text: translated };
  const numbers = unnamed.protocols.flatMap((p) => [...named(unnamed.name, p)]);
  const known =
    numbers.length === 0
      ? `${destination === undefined ? 'which only pods have' : 'which the destination does not have'}`
      : `which is ${numbers.join(', ')} there`;
  return { condition: 'port', text: `the rule says port ${unnamed.name}, ${known}; this is port ${port}` };
}

function protocolsOf(match: PortMatch): number[] {
  switch (match.kind) {
    case 'all':
      return [6, 17, 132, 1, 58];
    case 'ports':
      return [match.protocol];
    case 'icmp':
      return [match.family === 4 ? 1 : 58];
    case 'named':
      return match.protocols.map((name) => ({ TCP: 6, UDP: 17, SCTP: 132 })[name]);
  }
}

const holdsPort = (match: PortMatch, port: number): boolean =>
  match.kind === 'ports' && port >= match.first && port <= match.last;

function portText(match: PortMatch): string {
  if (match.kind === 'ports') {
    return match.first === match.last ? `port ${match.first}` : `ports ${match.first}-${match.last}`;
  }
  return match.kind === 'icmp' ? `type ${match.type}` : match.kind === 'named' ? `port ${match.name}` : 'any port';
}
