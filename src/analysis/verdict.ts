// Verdicts of single connections: both gates, asked of the datapath's policy stage. Input: a world, two ends, protocol, port.
// Output: Answer: allowed, denied or unknown, each side with the rules that decided (of a default deny, what isolates).
// Invariant: replies and related errors are no questions; a side outside the cluster has no gate.
import { mayOverrule } from '../control/name-doubt.ts';
import type { RuleRef } from '../control/provenance.ts';
import { DROP, dropName, IDENTITY, SHAPE_ANY_PROTOCOL } from '../schema/index.ts';
import { type End, Ends, type Point } from './ends.ts';
import { addressWords, type PolicyWorld } from './policy-world.ts';

export type Verdict = 'allowed' | 'denied' | 'unknown';

/** What one gate says. */
export interface SideAnswer {
  readonly verdict: Verdict;
  readonly by: readonly RuleRef[];
  /** Allowed so far: a proxy looks at the content. */
  readonly redirected?: true;
  /** Refused by policy, but audit mode lets it pass. */
  readonly audit?: true;
  /** Of a denial the drop's name; of `unknown` the missing fact. */
  readonly reason?: string;
  /** Nothing that any policy says was asked: no endpoint, or nobody isolates it. */
  readonly open?: true;
}

/** One connection between two points. */
export interface PointAnswer {
  readonly from: Point;
  readonly to: Point;
  readonly port: number;
  readonly verdict: Verdict;
  readonly egress: SideAnswer;
  readonly ingress: SideAnswer;
}

/** The answer to a question. Where ends stand for several points, all of them in `points`; sides and verdict are then joint. */
export interface Answer {
  readonly verdict: Verdict;
  readonly egress: SideAnswer;
  readonly ingress: SideAnswer;
  readonly reason?: string;
  readonly points: readonly PointAnswer[];
}

/** A question as a user writes it. */
export interface Question {
  readonly from: string;
  readonly to: string;
  /** `TCP`, `UDP`, `SCTP`, `ICMP`, `ICMPv6`. */
  readonly protocol: string;
  /** Destination port, or ICMP type. */
  readonly port: number;
}

const PROTOCOL_NUMBER: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPV6: 58 };
const NO_GATE: SideAnswer = { verdict: 'allowed', by: [], open: true };
const MOST_POINTS = 100_000;

/** Asks a world. */
export class Judge {
  readonly ends: Ends;
  private readonly world: PolicyWorld;
  private readonly words = new WeakMap<object, Int32Array>();
  private readonly sides = new Map<number, SideAnswer>();

  constructor(world: PolicyWorld) {
    this.world = world;
    this.ends = new Ends(world);
  }

  /** The answer, or what is wrong with the question. */
  ask({ from, to, protocol, port }: Question): { readonly answer: Answer } | { readonly problem: string } {
    const upper = protocol.toUpperCase();
    if (PROTOCOL_NUMBER[upper] === undefined) {
      return { problem: `protocol ${protocol}: one of TCP, UDP, SCTP, ICMP, ICMPv6` };
    }
    const icmp = upper.startsWith('ICMP');
    if (!Number.isInteger(port) || port < 0 || port > (icmp ? 255 : 65535)) {
      return { problem: icmp ? `ICMP type ${port}: 0 to 255` : `port ${port}: 0 to 65535` };
    }
    if (icmp && to.startsWith('service:')) return { problem: `${to}: a Service has no ICMP; ask for its pods` };
    const source = this.ends.resolve(from, upper, port);
    if ('problem' in source) return source;
    const destination = this.ends.resolve(to, upper, port);
    if ('problem' in destination) return destination;
    return { answer: this.between(source.end, destination.end, upper, port) };
  }

  private between(from: End, to: End, protocol: string, port: number): Answer {
    if (from.points.length === 1 && to.points.length === 1) {
      // Nearly every question: nothing to pair.
      const [source] = from.points as [Point];
      const [destination] = to.points as [Point];
      const family = source.address?.family ?? source.family ?? destination.address?.family ?? destination.family ?? 4;
      if (speaks(source, family) && speaks(destination, family) && (protocol !== 'ICMPV6' || family === 6)) {
        return alone(this.point(source, destination, family, protocol, destination.port ?? port));
      }
    }
    if (from.missing !== undefined || to.missing !== undefined) {
      const reason = from.missing ?? to.missing!;
      if (from.missing === undefined && to.service !== undefined) return same('denied', reason);
      return same('unknown', reason);
    }
    const answers: PointAnswer[] = [];
    for (const [source, destination, family] of pairs(from, to, protocol)) {
      if (answers.length >= MOST_POINTS) break;
      answers.push(this.point(source, destination, family, protocol, destination.port ?? port));
    }
    if (answers.length === 0) return same('unknown', 'the two ends have no address family in common');
    if (answers.length === 1) return alone(answers[0]!);
    return join(answers);
  }

  /** One connection. */
  point(source: Point, destination: Point, family: 4 | 6, protocol: string, port: number): PointAnswer {
    const from = this.asNode(source, destination, family);
    const to = this.asNode(destination, source, family);
    const number = protocol.startsWith('ICMP') ? (family === 4 ? 1 : 58) : PROTOCOL_NUMBER[protocol]!;
    const egress = this.side(true, from, to, family, number, port);
    const ingress = this.side(false, from, to, family, number, port);
    return { from, to, port, verdict: worst(egress.verdict, ingress.verdict), egress, ingress };
  }

  /** One gate: on egress the source's, else the destination's. */
  side(egress: boolean, from: Point, to: Point, family: 4 | 6, protocol: number, port: number): SideAnswer {
    const { questions } = this.world;
    const own = egress ? from : to;
    const other = egress ? to : from;
    if (own.address === undefined || this.isItself(own, other)) return NO_GATE;
    if (other.address !== undefined) {
      questions.byAddress(egress, family, this.wordsOf(from.address!), this.wordsOf(to.address!), protocol, port);
    } else {
      const endpoint = this.world.endpointAt(own.address);
      if (endpoint === undefined || (endpoint.host && endpoint.policyId === 0)) return NO_GATE;
      const identity = other.identity === 'own-node' ? IDENTITY.HOST : other.identity!;
      questions.byIdentity(egress, family, endpoint.policyId, identity, protocol, port);
    }
    if (questions.policyId < 0) return NO_GATE;
    return this.answerOf(egress, protocol, port);
  }

  /** A pod's own node as that node, which has a gate of its own where host policies are enforced. */
  private asNode(point: Point, { address }: Point, family: 4 | 6): Point {
    const { settings, view } = this.world;
    if (point.identity !== 'own-node' || !settings.hostFirewall || address === undefined) return point;
    const endpoint = this.world.endpointAt(address);
    if (endpoint === undefined || endpoint.host) return point;
    const node = view.nodes.find(({ id }) => id === endpoint.nodeId);
    const own = node?.addresses.find((one) => one.address.family === family);
    return own === undefined ? point : { name: point.name, address: own.address };
  }

  /** Whether a node talks to itself, which passes no hook. */
  private isItself(own: Point, other: Point): boolean {
    if (!this.world.settings.hostFirewall) return false;
    const endpoint = this.world.endpointAt(own.address!);
    if (endpoint?.host !== true) return false;
    if (other.address === undefined) return other.identity === 'own-node';
    const peer = this.world.endpointAt(other.address);
    return peer?.host === true && peer.nodeId === endpoint.nodeId;
  }

  private wordsOf(address: NonNullable<Point['address']>): Int32Array {
    let words = this.words.get(address);
    if (words === undefined) this.words.set(address, (words = addressWords(address)));
    return words;
  }

  /** What the last question came to. */
  private answerOf(egress: boolean, protocol: number, port: number): SideAnswer {
    const { allowed, audited, byte, cookie, reason, policyId, remoteIdentity } = this.world.questions;
    if (!allowed && egress && isPolicyDrop(reason) && !this.world.dnsKnown && isWorld(remoteIdentity)) {
      const denying = this.world.rulesOf(cookie);
      const waiting = this.world
        .namedRulesOf(policyId)
        .filter(
          ({ addresses, shapes, rule }) =>
            addresses === 0 &&
            shapes.some((word) => covers(word, protocol, port)) &&
            mayOverrule(this.world.state, rule, denying),
        );
      if (waiting.length > 0) {
        const names = [...new Set(waiting.map(({ pattern }) => pattern))].join(', ');
        return {
          verdict: 'unknown',
          by: waiting.map(({ rule }) => rule),
          reason: `addresses of ${names} are not known (--dns tells them)`,
        };
      }
    }
    const flags = (allowed ? 1 : 0) + (audited === 0 ? 0 : 2);
    const key = (cookie >>> 0) * 0x100000 + flags * 0x40000 + (byte & 0xff) * 0x200 + reason;
    let answer = this.sides.get(key);
    if (answer === undefined) {
      const by = this.world.rulesOf(cookie);
      answer = {
        verdict: allowed ? 'allowed' : 'denied',
        by,
        ...(allowed && audited === 0 && byte > 1 && byte < 255 ? { redirected: true as const } : {}),
        ...(audited === 0 ? {} : { audit: true as const }),
        ...(reason === 0 ? {} : { reason: dropName(reason) }),
        ...(allowed && by.length === 0 ? { open: true as const } : {}),
      };
      this.sides.set(key, answer);
    }
    return answer;
  }
}

/** Whether a drop is what policies say: by default or by a rule. */
export const isPolicyDrop = (reason: number): boolean => reason === DROP.POLICY || reason === DROP.POLICY_DENY;

/** Identities of addresses outside the cluster: what a DNS name may stand for. */
const isWorld = (identity: number): boolean =>
  identity === IDENTITY.WORLD ||
  identity === IDENTITY.WORLD_IPV4 ||
  identity === IDENTITY.WORLD_IPV6 ||
  identity >>> 24 === 1;

/** Whether the third word of a policy key covers a protocol and port. */
export function covers(word: number, protocol: number, port: number): boolean {
  const shape = (word >>> 24) & 0x7f;
  if (shape === SHAPE_ANY_PROTOCOL) return true;
  if (((word >>> 16) & 0xff) !== protocol) return false;
  const first = ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
  return (port & (0xffff << (16 - shape)) & 0xffff) === first;
}

const worst = (a: Verdict, b: Verdict): Verdict =>
  a === 'denied' || b === 'denied' ? 'denied' : a === 'unknown' || b === 'unknown' ? 'unknown' : 'allowed';

/** The only point's answer. */
function alone(point: PointAnswer): Answer {
  const { verdict, egress, ingress } = point;
  // What audit mode would deny is told by the side.
  const telling = [egress, ingress].find((side) => verdict !== 'allowed' && side.verdict === verdict && side.reason);
  const reason = telling?.reason;
  const points = [point];
  return reason === undefined ? { verdict, egress, ingress, points } : { verdict, egress, ingress, reason, points };
}

function same(verdict: Verdict, reason: string): Answer {
  const side: SideAnswer = { verdict, by: [], reason };
  return { verdict, egress: side, ingress: side, reason, points: [] };
}

/** Pairs of points that can have a connection, IPv4 before IPv6; of two single things only one pair. */
function pairs(from: End, to: End, protocol: string): [Point, Point, 4 | 6][] {
  const families: readonly (4 | 6)[] = protocol === 'ICMPV6' ? [6] : [4, 6];
  const found: [Point, Point, 4 | 6][] = [];
  const seen = new Set<string>();
  for (const family of families) {
    for (const source of from.points) {
      if (!speaks(source, family)) continue;
      for (const destination of to.points) {
        if (!speaks(destination, family)) continue;
        const key = `${source.name}\0${destination.name}\0${destination.port ?? ''}`;
        if (seen.has(key)) continue;
        seen.add(key);
        found.push([source, destination, family]);
      }
    }
  }
  return found;
}

const speaks = ({ address, family }: Point, wanted: 4 | 6): boolean =>
  address === undefined ? family === undefined || family === wanted : address.family === wanted;

/** Several points as one answer: what they agree on; `unknown` where they do not. */
function join(points: readonly PointAnswer[]): Answer {
  const side = (of: (point: PointAnswer) => SideAnswer): SideAnswer => {
    const verdicts = new Set(points.map((point) => of(point).verdict));
    const verdict = verdicts.size === 1 ? of(points[0]!).verdict : 'unknown';
    const by = [...new Map(points.flatMap((p) => of(p).by).map((rule) => [JSON.stringify(rule), rule])).values()];
    const redirected = points.some((point) => of(point).redirected === true);
    const audit = points.some((point) => of(point).audit === true);
    const reasons = new Set(points.flatMap((point) => of(point).reason ?? []));
    return {
      verdict,
      by,
      ...(redirected ? { redirected: true as const } : {}),
      ...(audit ? { audit: true as const } : {}),
      ...(reasons.size === 1 ? { reason: [...reasons][0]! } : {}),
      ...(points.every((point) => of(point).open === true) ? { open: true as const } : {}),
    };
  };
  const count = (verdict: Verdict): number => points.filter((point) => point.verdict === verdict).length;
  const verdicts = new Set(points.map(({ verdict }) => verdict));
  const egress = side((point) => point.egress);
  const ingress = side((point) => point.ingress);
  if (verdicts.size === 1) return { verdict: points[0]!.verdict, egress, ingress, points };
  const parts = (['allowed', 'denied', 'unknown'] as const).filter((v) => count(v) > 0).map((v) => `${count(v)} ${v}`);
  return { verdict: 'unknown', egress, ingress, reason: `it depends: ${parts.join(', ')} of ${points.length}`, points };
}
