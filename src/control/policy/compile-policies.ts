// Normal form → the policy of each endpoint. Input: policies, identities, the pods to compile for. Output: PolicyBlocks, which
// pod has which, names that verdicts may depend on. Invariant: the result does not depend on the order of the input; what a
// rule says about a peer is worked out once, however many subjects it selects.
import { BOUND, IDENTITY, POLICY_TIER, PRECEDENCE } from '../../schema/index.ts';
import { type IdentityView, type PodIdentity, WHOLE_CLUSTER } from '../identity.ts';
import { LabelSet, reservedLabel } from '../labels.ts';
import type { Problem } from '../problem.ts';
import { type Provenance, type RuleRef, RuleSets } from '../provenance.ts';
import { LabelIndex, type Selector } from '../selector.ts';
import type { CompileSettings } from '../settings.ts';
import type { StickyIds } from '../sticky-ids.ts';
import { EntrySet, type PolicyBlock, ShapeTable, withinProbeBudget } from './entries.ts';
import { NamedPortTable, podPorts } from './named-ports.ts';
import { peerIdentities, peersHoldHost, requireAll } from './peers.ts';
import { anyProtocolWord, portWords } from './ports.ts';
import type { Direction, FqdnPeer, NormalPolicies, PolicyRule, RuleVerdict } from './rule.ts';

/** A rule about DNS names: what it grants depends on answers that may not be known. */
export interface NamedRule extends FqdnPeer {
  readonly policyId: number;
  readonly rule: RuleRef;
  /** Third words of the policy keys that the rule would have (see shapeWord). */
  readonly shapes: readonly number[];
}

/** The policies of a compile. */
export interface CompiledPolicies {
  /** By policy id, ascending. */
  readonly blocks: readonly PolicyBlock[];
  /** Policy id of a pod, by `namespace/name`'s place in the given list; 0 = nothing enforced. */
  readonly policyIds: readonly number[];
  readonly names: readonly NamedRule[];
}

/** Precedence of a verdict in a tier (see weir_policy.precedence), u32. */
export const precedenceOf = (tier: number, verdict: number): number => (POLICY_TIER.LOWEST - tier) * 256 + verdict;

const VERDICT_BYTE: { readonly [V in RuleVerdict]: number } = {
  allow: PRECEDENCE.ALLOW,
  // Cilium gives listeners priorities within 2..254; Weir has no proxy of its own, and one number keeps redirects equal.
  redirect: 128,
  deny: PRECEDENCE.DENY,
};

/** Above every tier: recent Cilium lets a pod's own node in whatever policies say. */
const TOP_ALLOW = precedenceOf(0, PRECEDENCE.ALLOW);
const DEFAULT_ALLOW = precedenceOf(POLICY_TIER.DEFAULT, PRECEDENCE.ALLOW);

const builtin = (name: string, direction: Direction): RuleRef => ({
  kind: 'builtin',
  name,
  rule: direction,
  file: '',
  line: 0,
});

const PLAIN_HOST = new LabelSet([reservedLabel('host')]);
const INIT_TEXT = new LabelSet([reservedLabel('init')]).text;
const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** Everything that holds for all subjects with the same labels, in one direction. */
interface SubjectSide {
  readonly rules: number[];
  readonly isolations: number[];
  readonly requires: Selector[];
}

/** Identities and shapes for which a rule speaks. */
type Pairs = readonly { readonly identities: readonly number[]; readonly shapes: readonly number[] }[];

/** Compiles policies for a list of pods. One use. */
export class PolicyCompiler {
  private readonly view: IdentityView;
  private readonly normal: NormalPolicies;
  private readonly settings: CompileSettings;
  private readonly provenance: Provenance;
  private readonly problems: Problem[];
  private readonly shapes = new ShapeTable();
  private readonly sets = new RuleSets();
  private readonly namedPorts: NamedPortTable;
  private readonly pairs = new Map<string, Pairs>();
  private readonly identities = new Map<string, readonly number[]>();

  constructor(
    view: IdentityView,
    normal: NormalPolicies,
    settings: CompileSettings,
    provenance: Provenance,
    problems: Problem[],
  ) {
    this.view = view;
    this.normal = normal;
    this.settings = settings;
    this.provenance = provenance;
    this.problems = problems;
    this.namedPorts = new NamedPortTable(view.pods);
  }

  compile(pods: readonly PodIdentity[], numbers: StickyIds): CompiledPolicies {
    if (this.settings.policyEnforcement === 'never') {
      numbers.assign([]);
      return { blocks: [], policyIds: pods.map(() => 0), names: [] };
    }
    const sides = this.selectSubjects(pods);
    const keys = pods.map((pod) => this.policyKey(pod, sides.get(pod.labels.text)!));
    const { ids, refused } = numbers.assign(keys.filter((key) => key !== ''));
    if (refused.length > 0) {
      this.complain(`no room for ${refused.length} more policies: at most ${BOUND.POLICIES - 1} sets of endpoints`);
    }
    const built = new Map<string, PolicyBlock>();
    const names: NamedRule[] = [];
    const podByKey = new Map(keys.map((key, i) => [key, pods[i]!]));
    for (const key of [...podByKey.keys()].sort()) {
      const policyId = ids.get(key);
      if (policyId === undefined) continue;
      const pod = podByKey.get(key)!;
      built.set(key, this.build(policyId, pod, sides.get(pod.labels.text)!, names));
    }
    const blocks = [...built.values()].sort((a, b) => a.policyId - b.policyId);
    return { blocks, policyIds: keys.map((key) => ids.get(key) ?? 0), names };
  }

  private complain(message: string): void {
    this.problems.push({ severity: 'error', file: WHOLE_CLUSTER, line: 0, column: 0, message });
  }

  /** Which rules select which label sets. */
  private selectSubjects(pods: readonly PodIdentity[]): Map<string, Record<Direction, SubjectSide>> {
    const index = new LabelIndex();
    const sides: Record<Direction, SubjectSide>[] = [];
    const byText = new Map<string, Record<Direction, SubjectSide>>();
    for (const { labels } of pods) {
      if (byText.has(labels.text)) continue;
      const side = { ingress: emptySide(), egress: emptySide() };
      index.add(sides.length, labels);
      sides.push(side);
      byText.set(labels.text, side);
    }
    const each = <T extends { subject: Selector; direction: Direction }>(
      list: readonly T[],
      take: (side: SubjectSide, item: T, i: number) => void,
    ): void => {
      list.forEach((item, i) => {
        for (const subject of index.select(item.subject)) take(sides[subject]![item.direction], item, i);
      });
    };
    const { rules, isolations, requires } = this.normal;
    each(rules, (side, _, i) => side.rules.push(i));
    each(isolations, (side, { ref }) => side.isolations.push(this.provenance.register(ref)));
    each(requires, (side, { selector }) => side.requires.push(selector));
    this.isolateAlways(byText);
    return byText;
  }

  /** Isolation that no policy asks for: enforcement mode `always`, and `init` endpoints, which are enforced in any mode. */
  private isolateAlways(byText: ReadonlyMap<string, Record<Direction, SubjectSide>>): void {
    for (const [text, side] of byText) {
      const name =
        this.settings.policyEnforcement === 'always' ? 'enforcement-always' : text === INIT_TEXT ? 'init' : undefined;
      if (name === undefined) continue;
      for (const direction of DIRECTIONS) {
        side[direction].isolations.push(this.provenance.register(builtin(name, direction)));
      }
    }
  }

  /** Pods with the same key have the same policy; empty where nothing is enforced. */
  private policyKey(pod: PodIdentity, side: Record<Direction, SubjectSide>): string {
    const enforced = DIRECTIONS.some((d) => side[d].rules.length + side[d].isolations.length > 0);
    if (!enforced) return '';
    const named = side.ingress.rules.some((rule) => hasNames(this.normal.rules[rule]!)) ? pod.namedPorts : '';
    return `${pod.labels.text}\0${named}\0${(pod.node?.hostLabels ?? PLAIN_HOST).text}`;
  }

  private build(
    policyId: number,
    pod: PodIdentity,
    sides: Record<Direction, SubjectSide>,
    names: NamedRule[],
  ): PolicyBlock {
    const entries = new EntrySet(this.shapes, this.sets);
    const enforced = { ingress: false, egress: false };
    const cookies = { ingress: 0, egress: 0 };
    for (const direction of DIRECTIONS) {
      const side = sides[direction];
      if (side.rules.length + side.isolations.length === 0) continue;
      enforced[direction] = true;
      cookies[direction] = this.provenance.cookieOf(side.isolations);
      this.addBuiltins(entries, direction, side.isolations.length > 0);
      const required = requireAll(side.requires);
      for (const rule of side.rules) this.addRule(entries, rule, pod, required, policyId, names);
    }
    const block = entries.finish(policyId, cookies, enforced, this.provenance);
    if (!withinProbeBudget(block)) {
      this.complain(
        `the policy of pod ${pod.pod.namespace}/${pod.pod.name} needs more than ${BOUND.POLICY_PROBES} probes`,
      );
    }
    return block;
  }

  private addBuiltins(entries: EntrySet, direction: Direction, isolated: boolean): void {
    const every = [this.shapes.index(anyProtocolWord(direction))];
    const { semantics, allowLocalhost } = this.settings;
    if (semantics === 'kubernetes' || (direction === 'ingress' && allowLocalhost !== 'policy')) {
      const name = semantics === 'kubernetes' ? 'allow-own-node' : 'allow-localhost';
      entries.add([IDENTITY.HOST], every, TOP_ALLOW, this.provenance.register(builtin(name, direction)));
    }
    if (!isolated) {
      entries.add(
        [IDENTITY.UNKNOWN],
        every,
        DEFAULT_ALLOW,
        this.provenance.register(builtin('no-default-deny', direction)),
      );
    }
  }

  private addRule(
    entries: EntrySet,
    index: number,
    pod: PodIdentity,
    required: Selector,
    policyId: number,
    names: NamedRule[],
  ): void {
    const rule = this.normal.rules[index]!;
    const precedence = precedenceOf(POLICY_TIER.NORMAL, VERDICT_BYTE[rule.verdict]);
    const number = this.provenance.register(rule.ref);
    for (const { identities, shapes } of this.pairsOf(index, pod, required)) {
      entries.add(identities, shapes, precedence, number);
    }
    const host = pod.node?.hostLabels ?? PLAIN_HOST;
    if (peersHoldHost(rule.peers, required, host)) {
      // The node itself has no container ports: names mean nothing to it on egress.
      const shapes = this.shapesOf(rule, rule.direction === 'ingress' ? pod : undefined);
      entries.add([IDENTITY.HOST], shapes, precedence, number);
    }
    for (const fqdn of rule.fqdns) {
      const shapes = this.shapesOf(rule, undefined).map((shape) => this.shapes.words[shape]!);
      names.push({ ...fqdn, policyId, rule: rule.ref, shapes });
    }
  }

  /** Shape indices of a rule; names as on `pod`, or as nothing. */
  private shapesOf(rule: PolicyRule, pod: PodIdentity | undefined): number[] {
    const named = pod === undefined ? (): number[] => [] : podPorts(pod.pod);
    const words = rule.ports.flatMap((match) => portWords(match, rule.direction, named));
    return [...new Set(words)].map((word) => this.shapes.index(word));
  }

  private pairsOf(index: number, pod: PodIdentity, required: Selector): Pairs {
    const rule = this.normal.rules[index]!;
    const named = hasNames(rule);
    const key = `${index}\0${required.text}\0${named && rule.direction === 'ingress' ? pod.namedPorts : ''}`;
    let pairs = this.pairs.get(key);
    if (pairs === undefined) {
      const identities = this.identitiesOf(index, required);
      pairs =
        named && rule.direction === 'egress'
          ? this.egressNamedPairs(rule, identities)
          : [{ identities, shapes: this.shapesOf(rule, pod) }];
      this.pairs.set(key, pairs);
    }
    return pairs;
  }

  private identitiesOf(index: number, required: Selector): readonly number[] {
    const key = `${index}\0${required.text}`;
    let identities = this.identities.get(key);
    if (identities === undefined) {
      identities = peerIdentities(this.normal.rules[index]!.peers, required, this.view);
      this.identities.set(key, identities);
    }
    return identities;
  }

  /** On egress a name is the destination's: numbered ports for every peer, named ones for each peer's own. */
  private egressNamedPairs(rule: PolicyRule, identities: readonly number[]): Pairs {
    const numbered = { ...rule, ports: rule.ports.filter(({ kind }) => kind !== 'named') };
    const pairs = [{ identities, shapes: this.shapesOf(numbered, undefined) }];
    for (const identity of this.namedPorts.candidates(identities)) {
      const ports = this.namedPorts.of(identity);
      const words = rule.ports
        .filter(({ kind }) => kind === 'named')
        .flatMap((match) => portWords(match, 'egress', (name, protocol) => ports.get(`${name}/${protocol}`) ?? []));
      if (words.length > 0) {
        pairs.push({ identities: [identity], shapes: [...new Set(words)].map((word) => this.shapes.index(word)) });
      }
    }
    this.warnAboutAmbiguousNames(rule, identities);
    return pairs;
  }

  private warnAboutAmbiguousNames(rule: PolicyRule, identities: readonly number[]): void {
    for (const match of rule.ports) {
      if (match.kind !== 'named') continue;
      const unlike = this.namedPorts.ambiguous(identities, match.name, match.protocols);
      if (unlike === undefined) continue;
      const { file, line, column } = rule.origin;
      const message = `port name ${match.name} means different numbers on pods of identity ${unlike}: each of them is meant`;
      this.problems.push({ severity: 'warning', file, line, column, message });
    }
  }
}

const emptySide = (): SubjectSide => ({ rules: [], isolations: [], requires: [] });

const hasNames = (rule: PolicyRule): boolean => rule.ports.some(({ kind }) => kind === 'named');
