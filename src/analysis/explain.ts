// One connection explained: who the ends are, what each gate looked up in which order, which entry won and why, and for a
// default deny what isolates and which rule comes nearest. Input: a world, a question. Output: lines of text.
// Invariant: the ladder is the trace of the policy stage itself; near misses are only comments on it.
import { LabelSet } from '../control/labels.ts';
import type { RuleRef } from '../control/provenance.ts';
import type { Direction, PolicyRule } from '../control/policy/rule.ts';
import { hostSubjects, type HostSubject } from '../control/policy/subject.ts';
import { selects } from '../control/selector.ts';
import { identityText, ipProtocolName } from '../flow/index.ts';
import { IDENTITY, POLICY_TIER, SHAPE_ANY_PROTOCOL, TRACE, TRACE_AT, TRACE_WORDS } from '../schema/index.ts';
import type { Point } from './ends.ts';
import { type Gate, NearestRules } from './nearest.ts';
import type { PolicyWorld } from './policy-world.ts';
import { isIsolation, questionText, sideText } from './print-verdict.ts';
import { shortRule } from './rule-text.ts';
import { peerText, selectorText } from './selector-text.ts';
import type { Judge, PointAnswer, Question, SideAnswer } from './verdict.ts';

const MOST_POINTS = 8;

/** Explains verdicts of one world. */
export class Explainer {
  private readonly world: PolicyWorld;
  private readonly judge: Judge;
  private nearest: NearestRules | undefined;

  constructor(world: PolicyWorld, judge: Judge) {
    this.world = world;
    this.judge = judge;
  }

  /** The whole story, or what is wrong with the question. */
  explain(question: Question): { readonly lines: readonly string[] } | { readonly problem: string } {
    const result = this.judge.ask(question);
    if ('problem' in result) return result;
    const { answer } = result;
    const lines = [`${questionText(question)}: ${answer.verdict}`];
    if (answer.points.length === 0) return { lines: [...lines, `  ${answer.reason ?? ''}`] };
    const translated = answer.points.some(({ to }) => to.port !== undefined);
    if (translated) {
      const places = answer.points.map(({ to, port }) => `${to.name}:${port}`);
      lines.push(`  the Service is translated before policy is asked: ${places.slice(0, 6).join(', ')}`);
    }
    for (const point of answer.points.slice(0, MOST_POINTS)) lines.push('', ...this.point(point, question));
    if (answer.points.length > MOST_POINTS) lines.push('', `and ${answer.points.length - MOST_POINTS} more`);
    return { lines };
  }

  /** The rules nearest to letting one gate open: lines for a default deny. */
  nearMisses(point: PointAnswer, direction: Direction, question: Question): string[] {
    const gate = this.gateOf(point, direction, question);
    if (gate === undefined) return [];
    this.nearest ??= new NearestRules(this.world);
    const misses = this.nearest.find(gate);
    if (misses.length === 0) return ['  no rule comes near: none that selects it names such a peer or port'];
    return misses.flatMap(({ ref, rule, condition, text }, i) => [
      `  ${i === 0 ? 'nearest rule' : 'next'}: ${shortRule(ref)}`,
      `    fails on ${condition}: ${text}`,
      ...(i === 0 ? this.ruleLines(rule) : []),
    ]);
  }

  private point(point: PointAnswer, question: Question): string[] {
    const { from, to, port, egress, ingress } = point;
    const lines = [`${this.who(from, to)}`, `  -> ${this.who(to, from)}, port ${port}`];
    lines.push(...this.gate(point, 'egress', egress, question), ...this.gate(point, 'ingress', ingress, question));
    return lines;
  }

  /** `shop/web 10.244.1.10, identity 2001: k8s:app=web, …`. */
  private who(point: Point, other: Point): string {
    const { address, name } = point;
    const identity = this.identityOf(point, other);
    const labels = this.labelsOf(identity, point);
    const shown = labels.labels
      .filter(({ key }) => !key.startsWith('io.cilium.k8s.policy.') && !key.endsWith('kubernetes.io/metadata.name'))
      .map(({ source, key, value }) => (value === '' ? `${source}:${key}` : `${source}:${key}=${value}`));
    const where = address === undefined || address.text === name ? '' : ` ${address.text}`;
    const more = shown.length > 6 ? ', …' : '';
    return `${name}${where}, identity ${identity} ${identityText(identity).includes('reserved') ? `(${identityText(identity)})` : `(${shown.slice(0, 6).join(', ')}${more})`}`;
  }

  private identityOf(point: Point, other: Point): number {
    if (point.identity !== undefined) return point.identity === 'own-node' ? IDENTITY.HOST : point.identity;
    const { identity, nodeId } = this.world.identityAt(point.address!);
    const endpoint = other.address === undefined ? undefined : this.world.endpointAt(other.address);
    const isNode = identity === IDENTITY.REMOTE_NODE || identity === IDENTITY.KUBE_APISERVER || identity >>> 24 === 2;
    return isNode && nodeId !== 0 && nodeId === endpoint?.nodeId ? IDENTITY.HOST : identity;
  }

  private labelsOf(identity: number, { address }: Point): LabelSet {
    if (identity === IDENTITY.HOST && address !== undefined) {
      const node = this.world.view.nodes.find((n) => n.addresses.some((a) => a.address.text === address.text));
      if (node !== undefined) return node.hostLabels;
    }
    return this.world.view.labels.get(identity) ?? new LabelSet([]);
  }

  private gate(point: PointAnswer, direction: Direction, side: SideAnswer, question: Question): string[] {
    const own = direction === 'egress' ? point.from : point.to;
    const endpoint = own.address === undefined ? undefined : this.world.endpointAt(own.address);
    const head = `${direction} of ${own.name}: ${side.verdict}`;
    if (endpoint === undefined) return [`${head}, it is no endpoint with a policy`];
    const lines = [`${head}, ${sideText(side)}`];
    if (endpoint.policyId === 0) return lines;
    const { from, to, port } = point;
    const number = protocolNumber(question.protocol, from, to);
    this.judge.side(direction === 'egress', from, to, familyOf(from, to), number, port);
    const passed = this.passedOn(point, direction, question, side);
    lines.push(...this.ladder(passed !== undefined, side.audit === true), ...(passed ?? []));
    const defaultDeny =
      side.verdict !== 'allowed' &&
      (this.world.questions.byte === 0 || (side.by.length > 0 && side.by.every(isIsolation)));
    if (defaultDeny) {
      lines.push(...this.nearMisses(point, direction, question));
    } else {
      for (const ref of side.by.slice(0, 3)) {
        const rule = this.ruleOf(ref);
        if (rule !== undefined) lines.push(...this.ruleLines(rule));
      }
    }
    return lines;
  }

  /** The passes that led to what decided: rules whose tier had no more say. */
  private passedOn(
    point: PointAnswer,
    direction: Direction,
    question: Question,
    { by }: SideAnswer,
  ): string[] | undefined {
    const { adminPolicies } = this.world.state;
    const decided = by.map(({ kind, name }) => adminPolicies.find((p) => p.kind === kind && p.name === name)?.tier);
    const gate = adminPolicies.length === 0 ? undefined : this.gateOf(point, direction, question);
    if (gate === undefined || decided.includes('admin')) return undefined;
    this.nearest ??= new NearestRules(this.world);
    const ends = by.some(({ kind }) => kind === 'builtin');
    const passes = [this.nearest.passed(gate, 'admin'), ends ? this.nearest.passed(gate, 'baseline') : undefined];
    const lines = passes.flatMap((rule) =>
      rule === undefined ? [] : [`      ${shortRule(rule.ref)} passes it on: what is left of its tier has no say`],
    );
    return lines.length === 0 ? undefined : lines;
  }

  /** The entries that were asked, in order, and the one that decided. `passed`: a pass led there; `audited`: it is only shown. */
  private ladder(passed: boolean, audited: boolean): string[] {
    const { words, count } = this.world.questions.trace;
    interface Rung {
      readonly text: string;
      readonly precedence: number;
      readonly rank: number;
      readonly cookie: number;
      readonly found: boolean;
    }
    const rungs: Rung[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * TRACE_WORDS;
      if (words[at + TRACE_AT.KIND] !== TRACE.POLICY_PROBE) continue;
      const identity = words[at + TRACE_AT.KEY + 1]! >>> 0;
      const target = words[at + TRACE_AT.KEY + 2]!;
      const shape = (target >>> 24) & 0x7f;
      const found = words[at + TRACE_AT.RESULT] === 1;
      const precedence = found ? words[at + TRACE_AT.VALUE]! >>> 0 : 0;
      rungs.push({
        text: `${this.peerWords(identity)}, ${shapeWords(target, shape)}`,
        precedence,
        rank: shape === SHAPE_ANY_PROTOCOL ? 0 : shape + 1,
        cookie: found ? words[at + TRACE_AT.VALUE + 1]! >>> 0 : 0,
        found,
      });
    }
    if (rungs.length === 0) return ['  nothing was looked up: no policy is enforced in this direction'];
    const hits = rungs.filter(({ found, precedence }) => found && (precedence & 0xff) !== 0);
    const best = hits.reduce<Rung | undefined>(
      (top, rung) =>
        top === undefined ||
        rung.precedence > top.precedence ||
        (rung.precedence === top.precedence && rung.rank > top.rank)
          ? rung
          : top,
      undefined,
    );
    const lines = rungs.map((rung, i) => {
      const says = rung.found
        ? `${this.tierText(rung)} ${audited && rung === best ? 'would deny' : verdictWords(rung.precedence)}${this.rulesText(rung.cookie)}`
        : 'no entry';
      return `  ${rung === best ? '>' : ' '}${String(i + 1).padStart(2)}. ${rung.text}: ${says}`;
    });
    if (best !== undefined && hits.length > 1 && !passed && !audited)
      lines.push(`      it wins by ${whyText(best, hits)}`);
    return lines;
  }

  /** The tier that an entry decides for; one that a pass has put there belongs to a later tier. */
  private tierText({ precedence, cookie }: { readonly precedence: number; readonly cookie: number }): string {
    const own = tierWords(precedence);
    const rules = this.world.rulesOf(cookie);
    const isAdmin = rules.some(({ kind }) => kind === 'ClusterNetworkPolicy' || kind.endsWith('AdminNetworkPolicy'));
    if (isAdmin || rules.length === 0 || (own !== 'admin tier:' && own !== 'baseline tier:')) return own;
    return rules.some(({ kind }) => kind === 'builtin') ? 'behind a pass:' : 'policies, behind a pass:';
  }

  private rulesText(cookie: number): string {
    const rules = this.world.rulesOf(cookie);
    return rules.length === 0 ? '' : `, ${rules.slice(0, 2).map(shortRule).join(', ')}${rules.length > 2 ? ', …' : ''}`;
  }

  private peerWords(identity: number): string {
    switch (identity) {
      case 0:
        return 'anybody';
      case IDENTITY.AGGREGATE_CLUSTER:
        return 'any pod of the cluster';
      case IDENTITY.AGGREGATE_WORLD:
        return 'any address of the world';
      case IDENTITY.AGGREGATE_REMOTE_NODE:
        return 'any other node';
      default:
        return `identity ${identity}`;
    }
  }

  private ruleOf(ref: RuleRef): PolicyRule | undefined {
    this.nearest ??= new NearestRules(this.world);
    return this.nearest.normal.rules.find(
      (rule) =>
        rule.ref.kind === ref.kind &&
        rule.ref.namespace === ref.namespace &&
        rule.ref.name === ref.name &&
        rule.ref.rule === ref.rule,
    );
  }

  /** The normalised selectors of a rule, and whom they match. */
  private ruleLines({ subject, peers, host, fqdns }: PolicyRule): string[] {
    const { pods, nodes } = this.world.view;
    const names =
      host === true
        ? nodes.filter(({ endpointLabels }) => selects(subject, endpointLabels)).map(({ name }) => `node ${name}`)
        : pods.filter(({ labels }) => selects(subject, labels)).map(({ pod }) => `${pod.namespace}/${pod.name}`);
    const lines = [`    selects ${selectorText(subject)}: ${few(names)}`];
    if (peers === 'everybody') return [...lines, '    peers: everybody'];
    for (const peer of peers.slice(0, 4)) {
      const matched =
        peer.kind === 'selector'
          ? `: ${few(
              pods
                .filter(({ labels }) => selects(peer.selector, labels))
                .map(({ pod }) => `${pod.namespace}/${pod.name}`),
            )}`
          : '';
      lines.push(`    peer ${peerText(peer)}${matched}`);
    }
    if (peers.length > 4) lines.push(`    and ${peers.length - 4} more peers`);
    for (const { pattern, addresses } of fqdns.slice(0, 4)) {
      lines.push(`    peer DNS name ${pattern}: ${addresses === 0 ? 'no address known' : `${addresses} known`}`);
    }
    return lines;
  }

  private gateOf(point: PointAnswer, direction: Direction, question: Question): Gate | undefined {
    const [own, other] = direction === 'egress' ? [point.from, point.to] : [point.to, point.from];
    const pod = this.podOf(own) ?? this.nodeOf(own);
    if (pod === undefined) return undefined;
    const identity = this.identityOf(other, own);
    const peer = this.podOf(other);
    return {
      direction,
      subject: {
        name: own.name,
        labels: pod.labels,
        pod: pod.pod,
        host: pod.node?.hostLabels ?? new LabelSet([]),
      },
      other: {
        name: other.name,
        identity,
        labels: peer?.labels ?? this.labelsOf(identity, other),
        ...(peer === undefined ? {} : { pod: peer.pod }),
      },
      protocol: protocolNumber(question.protocol, point.from, point.to),
      port: point.port,
      ...(point.to.port === undefined ? {} : { servicePort: question.port }),
    };
  }

  /** A node as the subject of host policies. */
  private nodeOf({ address }: Point): HostSubject | undefined {
    return hostSubjects(this.world.view.nodes, this.world.settings).find(({ node }) =>
      node.addresses.some((one) => one.address.text === address?.text),
    );
  }

  private podOf({ address }: Point): ReturnType<PolicyWorld['pods']['get']> {
    const owner = address === undefined ? undefined : this.world.compiled.names.pods.get(address.text);
    return owner === undefined ? undefined : this.world.pods.get(`${owner.namespace}/${owner.pod}`);
  }
}

const few = (names: readonly string[]): string =>
  names.length === 0
    ? 'nobody'
    : names.length <= 4
      ? names.join(', ')
      : `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`;

const familyOf = (from: Point, to: Point): 4 | 6 =>
  from.address?.family ?? to.address?.family ?? from.family ?? to.family ?? 4;

function protocolNumber(protocol: string, from: Point, to: Point): number {
  const name = protocol.toUpperCase();
  if (name.startsWith('ICMP')) return familyOf(from, to) === 4 ? 1 : 58;
  return { TCP: 6, UDP: 17, SCTP: 132 }[name] ?? 6;
}

function shapeWords(target: number, shape: number): string {
  if (shape === SHAPE_ANY_PROTOCOL) return 'any protocol';
  const protocol = ipProtocolName((target >>> 16) & 0xff);
  if (shape === 0) return `${protocol}, any port`;
  const first = ((target & 0xff) << 8) | ((target >>> 8) & 0xff);
  const last = first + 2 ** (16 - shape) - 1;
  return first === last ? `${protocol} ${first}` : `${protocol} ${first}-${last}`;
}

const verdictWords = (precedence: number): string => {
  const byte = precedence & 0xff;
  return byte === 255 ? 'denies' : byte === 1 ? 'allows' : byte === 0 ? 'passes on' : 'redirects to a proxy';
};

/** The tier that a precedence belongs to. */
function tierWords(precedence: number): string {
  const tier = Math.floor((POLICY_TIER.LOWEST - Math.floor(precedence / 256)) / 0x10000);
  if (precedence >= POLICY_TIER.LOWEST * 256) return 'above all tiers:';
  if (tier >= POLICY_TIER.DEFAULT) return 'behind all tiers:';
  if (tier >= POLICY_TIER.BASELINE) return 'baseline tier:';
  return tier >= POLICY_TIER.NORMAL ? 'policies:' : 'admin tier:';
}

function whyText(
  best: { readonly precedence: number; readonly rank: number },
  hits: readonly { readonly precedence: number; readonly rank: number }[],
): string {
  const others = hits.filter((hit) => hit !== best);
  if (others.every(({ precedence }) => precedence < best.precedence)) {
    return (best.precedence & 0xff) === 255 ? 'precedence: a deny stands above what allows' : 'its higher precedence';
  }
  const equal = others.filter(({ precedence }) => precedence === best.precedence);
  return equal.every(({ rank }) => rank < best.rank)
    ? 'naming the ports more narrowly; precedence is equal'
    : 'naming the peer more narrowly; precedence and ports are equal';
}
