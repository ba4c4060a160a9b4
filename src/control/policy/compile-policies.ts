// Normal form → the policy of each endpoint. Input: policies, identities, the pods to compile for. Output: PolicyBlocks, which
// pod has which, names that verdicts may depend on. Invariant: the result does not depend on the order of the input; what a
// rule says about a peer is worked out once, however many subjects it selects.
import { BOUND, IDENTITY, PRECEDENCE } from '../../schema/index.ts';
import { type IdentityView, type PodIdentity, WHOLE_CLUSTER } from '../identity.ts';
import { LabelSet, reservedLabel } from '../labels.ts';
import type { Problem } from '../problem.ts';
import { type Provenance, type RuleRef, RuleSets } from '../provenance.ts';
import { LabelIndex, type Selector, selects } from '../selector.ts';
import type { CompileSettings } from '../settings.ts';
import type { StickyIds } from '../sticky-ids.ts';
import { ENTRY_WORDS, EntrySet, type PolicyBlock, ShapeTable, withinProbeBudget } from './entries.ts';
import { Ladder, type Layer, precedenceOf, type Rung } from './ladder.ts';
import { NamedPortTable, podPorts } from './named-ports.ts';
import { peerIdentities, peersHoldHost, peersSelect, requireAll, requiredOf } from './peers.ts';
import { anyProtocolWord, portWords } from './ports.ts';
import type { Region } from './region.ts';
import { hasNames, RuleTable } from './rule-table.ts';
import type { Direction, FqdnPeer, Isolation, NormalPolicies, PolicyRule } from './rule.ts';
import { rungsOf } from './rungs.ts';
import { DIRECTIONS, emptySides, forget, isEnforced, type Sides, type SubjectSide } from './subject-sides.ts';
import { type PolicySubject, subjectName } from './subject.ts';

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
  /** Policy id of a subject, by its place in the given list; 0 = nothing enforced. */
  readonly policyIds: readonly number[];
  readonly names: readonly NamedRule[];
}

/** Above every tier: recent Cilium lets a pod's own node in whatever policies say. */
const TOP_ALLOW = precedenceOf(0, PRECEDENCE.ALLOW);

const builtin = (name: string, direction: Direction): RuleRef => ({
  kind: 'builtin',
  name,
  rule: direction,
  file: '',
  line: 0,
});

const PLAIN_HOST = new LabelSet([reservedLabel('host')]);
const INIT_TEXT = new LabelSet([reservedLabel('init')]).text;

/** Compiles policies for a list of pods and nodes. */
export class PolicyCompiler {
  private readonly view: IdentityView;
  readonly table: RuleTable;
  private readonly settings: CompileSettings;
  private readonly provenance: Provenance;
  private readonly problems: Problem[];
  /** What the policies of one compile share while it lasts. */
  private shared: { readonly shapes: ShapeTable; readonly sets: RuleSets } | undefined;
  /** Has to be told of pods that come and go. */
  readonly namedPorts: NamedPortTable;
  /** By rule: regions and identities that were worked out, which a new identity may change. */
  private readonly pairs = new Map<number, Map<string, Region>>();
  private readonly identities = new Map<number, Map<string, readonly number[]>>();

  constructor(
    view: IdentityView,
    normal: NormalPolicies,
    settings: CompileSettings,
    provenance: Provenance,
    problems: Problem[],
  ) {
    this.view = view;
    this.table = new RuleTable(normal);
    this.settings = settings;
    this.provenance = provenance;
    this.problems = problems;
    this.namedPorts = new NamedPortTable(view.pods);
  }

  compile(pods: readonly PolicySubject[], numbers: StickyIds): CompiledPolicies {
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
    this.shared = { shapes: new ShapeTable(), sets: new RuleSets() };
    for (const key of [...podByKey.keys()].sort()) {
      const policyId = ids.get(key);
      if (policyId === undefined) continue;
      const pod = podByKey.get(key)!;
      built.set(key, this.build(policyId, pod, sides.get(pod.labels.text)!, names));
    }
    this.shared = undefined;
    const blocks = [...built.values()].sort((a, b) => a.policyId - b.policyId);
    return { blocks, policyIds: keys.map((key) => ids.get(key) ?? 0), names };
  }

  /**
   * Takes up an identity that the view has got, or has lost, since. Returns the rules that may speak about it; what was worked
   * out for them is forgotten.
   * @param namesPorts whether its pods name ports
   */
  touch(labels: LabelSet, namesPorts: boolean): readonly number[] {
    const touched: number[] = [];
    const narrowed = this.table.requires.length > 0;
    this.table.forEach((rule, index) => {
      const byName = namesPorts && rule.direction === 'egress' && hasNames(rule);
      if (!byName && !peersSelect(rule, labels, narrowed)) return;
      touched.push(index);
      this.pairs.delete(index);
      this.identities.delete(index);
    });
    return touched;
  }

  /** Forgets what rules mean to a pod with named ports of its own. */
  forgetPorts(rules: readonly number[], { namedPorts }: PodIdentity): void {
    if (namedPorts === '') return;
    for (const index of rules) if (hasNames(this.table.at(index))) this.pairs.delete(index);
  }

  /**
   * True when a pass may be about an identity with these labels. What a pass covers raises entries of whole classes, so that such
   * an identity, coming or going, changes more than its own entries.
   */
  meetsPass(labels: LabelSet): boolean {
    let meets = false;
    if (this.table.hasPasses)
      this.table.forEach((rule) => {
        if (rule.verdict === 'pass' && peersSelect(rule, labels, false)) meets = true;
      });
    return meets;
  }

  /** True when the pods of an identity name their ports as this one does, or nobody asks. */
  knowsPorts(identity: number, namedPorts: string): boolean {
    return this.namedPorts.knows(identity, namedPorts) || !this.table.namesPorts;
  }

  /** Every rule and isolation of every policy, as provenance has it. */
  *refs(): IterableIterator<RuleRef> {
    for (const { ref } of this.table.isolations()) yield ref;
    for (const { ref } of this.table.rules()) yield ref;
  }

  private complain(message: string): void {
    this.problems.push({ severity: 'error', file: WHOLE_CLUSTER, line: 0, column: 0, message });
  }

  /** Which rules select which label sets. */
  selectSubjects(pods: readonly PolicySubject[]): Map<string, Sides> {
    const index = new LabelIndex();
    const sides: Sides[] = [];
    const byText = new Map<string, Sides>();
    const hosts: boolean[] = [];
    for (const { labels, pod } of pods) {
      if (byText.has(labels.text)) continue;
      const side = emptySides();
      index.add(sides.length, labels);
      sides.push(side);
      hosts.push(pod === undefined);
      byText.set(labels.text, side);
    }
    const each = (
      { subject, host, direction }: Pick<PolicyRule, 'subject' | 'host' | 'direction'>,
      take: (side: SubjectSide) => void,
    ): void => {
      for (const at of index.select(subject)) if (hosts[at] === (host === true)) take(sides[at]![direction]);
    };
    this.table.forEach((rule, i) => {
      each(rule, (side) => side.rules.push(i));
    });
    for (const isolation of this.table.isolations()) {
      each(isolation, (side) => this.isolationsOf(side, isolation).push(this.provenance.register(isolation.ref)));
    }
    for (const requires of this.table.requires) each(requires, (side) => side.requires.push(requires));
    this.isolateAlways(byText);
    return byText;
  }

  private isolationsOf = (side: SubjectSide, { audited }: Isolation): number[] =>
    audited ? side.audited : side.isolations;

  /** Takes a policy (see policyName) away, also from the sides of the pods that it selected. */
  dropPolicy(policy: string, all: Iterable<Sides>): void {
    const { rules, isolations } = this.table.remove(policy);
    this.view.index.forgetAnswers();
    for (const index of rules) {
      this.pairs.delete(index);
      this.identities.delete(index);
    }
    const numbers = new Set(rules);
    const ids = new Set(isolations.map(({ ref }) => this.provenance.register(ref)));
    for (const sides of all) forget(sides, numbers, ids);
  }

  /** Takes a policy up, also into the sides of the pods that it selects. */
  takePolicy(normal: NormalPolicies, subjects: Iterable<{ readonly labels: LabelSet; readonly sides: Sides }>): void {
    const numbers = this.table.add(normal);
    for (const { labels, sides } of subjects) {
      const selected = ({ subject, host }: Pick<PolicyRule, 'subject' | 'host'>): boolean =>
        host !== true && selects(subject, labels);
      normal.rules.forEach((rule, i) => {
        if (selected(rule)) sides[rule.direction].rules.push(numbers[i]!);
      });
      for (const isolation of normal.isolations) {
        if (selected(isolation))
          this.isolationsOf(sides[isolation.direction], isolation).push(this.provenance.register(isolation.ref));
      }
    }
  }

  /** Isolation that no policy asks for: enforcement mode `always`, and `init` endpoints, which are enforced in any mode. */
  private isolateAlways(byText: ReadonlyMap<string, Sides>): void {
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
  policyKey(pod: PolicySubject, side: Sides): string {
    const enforced = DIRECTIONS.some((d) => isEnforced(side[d]));
    if (!enforced) return '';
    const named = side.ingress.rules.some((rule) => hasNames(this.table.at(rule))) ? pod.namedPorts : '';
    return `${pod.labels.text}\0${named}\0${(pod.node?.hostLabels ?? PLAIN_HOST).text}`;
  }

  /** The policy of a pod; `only`: its entries for one identity, with what they add to the meta entry. */
  build(policyId: number, pod: PolicySubject, sides: Sides, names: NamedRule[], only?: number): PolicyBlock {
    const { shapes, sets } = this.shared ?? { shapes: new ShapeTable(), sets: new RuleSets() };
    const entries = new EntrySet(shapes, sets, only);
    const enforced = { ingress: false, egress: false };
    const cookies = { ingress: 0, egress: 0 };
    for (const direction of DIRECTIONS) {
      const side = sides[direction];
      if (!isEnforced(side)) continue;
      enforced[direction] = true;
      cookies[direction] = this.provenance.cookieOf(side.isolations);
      if (pod.pod !== undefined) this.addOwnNode(entries, direction);
      const ladder = new Ladder(this.rungsOf(side, direction, pod), (...entry) => {
        entries.add(...entry);
      });
      if (!ladder.build()) {
        this.complain(`${subjectName(pod)}: too many rules of the admin tiers at one priority`);
      }
      for (const index of side.rules) this.addNames(index, policyId, names);
    }
    const block = entries.finish(policyId, cookies, { ...enforced, host: pod.pod === undefined }, this.provenance);
    if (only === undefined && !withinProbeBudget(block)) {
      this.complain(`the policy of ${subjectName(pod)} needs more than ${BOUND.POLICY_PROBES} probes`);
    }
    const count = block.words.length / ENTRY_WORDS;
    const { policyMapMax } = this.settings;
    if (count > policyMapMax) {
      this.complain(
        `the policy of ${subjectName(pod)} has ${count} entries, more than bpf.policyMapMax (${policyMapMax})`,
      );
    }
    return block;
  }

  private addOwnNode(entries: EntrySet, direction: Direction): void {
    const { semantics, allowLocalhost } = this.settings;
    if (semantics === 'kubernetes' || (direction === 'ingress' && allowLocalhost !== 'policy')) {
      const name = semantics === 'kubernetes' ? 'allow-own-node' : 'allow-localhost';
      const shapes = [anyProtocolWord(direction)];
      const rules = [this.provenance.register(builtin(name, direction))];
      entries.add([{ identities: [IDENTITY.HOST], shapes }], TOP_ALLOW, rules, 0);
    }
  }

  /** The rules of a direction in the order in which they decide. */
  private rungsOf(side: SubjectSide, direction: Direction, pod: PolicySubject): Rung[] {
    const required = requireAll(side.requires);
    const rules = side.rules.map((index) => {
      const rule = this.table.at(index);
      return { index, rule, layer: this.layerOf(index, pod, requiredOf(rule, required)) };
    });
    const open = (): number => this.provenance.register(builtin('no-default-deny', direction));
    return rungsOf(rules, side, direction, open, (a, b) => this.table.compare(a.index, b.index));
  }

  private layerOf(index: number, pod: PolicySubject, required: Selector): Layer {
    const rule = this.table.at(index);
    const region = [...this.pairsOf(index, pod, required)];
    if (peersHoldHost(rule.peers, required, pod.node?.hostLabels ?? PLAIN_HOST)) {
      // The node itself has no container ports: names mean nothing to it on egress.
      const shapes = this.shapesOf(rule, rule.direction === 'ingress' ? pod : undefined);
      region.push({ identities: [IDENTITY.HOST], shapes });
    }
    return { region, verdict: rule.verdict, rules: [this.provenance.register(rule.ref)], audited: rule.audited };
  }

  private addNames(index: number, policyId: number, names: NamedRule[]): void {
    const rule = this.table.at(index);
    for (const fqdn of rule.fqdns) {
      names.push({ ...fqdn, policyId, rule: rule.ref, shapes: this.shapesOf(rule, undefined) });
    }
  }

  /** Shape words of a rule; names as on `pod`, or as nothing. */
  private shapesOf(rule: PolicyRule, pod: PolicySubject | undefined): number[] {
    const named = pod?.pod === undefined ? (): number[] => [] : podPorts(pod.pod);
    return [...new Set(rule.ports.flatMap((match) => portWords(match, rule.direction, named)))];
  }

  private pairsOf(index: number, pod: PolicySubject, required: Selector): Region {
    const rule = this.table.at(index);
    const named = hasNames(rule);
    const key = `${required.text}\0${named && rule.direction === 'ingress' ? pod.namedPorts : ''}`;
    const known = ofRule(this.pairs, index);
    let pairs = known.get(key);
    if (pairs === undefined) {
      const identities = this.identitiesOf(index, required);
      pairs =
        named && rule.direction === 'egress'
          ? this.egressNamedPairs(rule, identities)
          : [{ identities, shapes: this.shapesOf(rule, pod) }];
      known.set(key, pairs);
    }
    return pairs;
  }

  private identitiesOf(index: number, required: Selector): readonly number[] {
    const known = ofRule(this.identities, index);
    let identities = known.get(required.text);
    if (identities === undefined) {
      identities = peerIdentities(this.table.at(index).peers, required, this.view);
      known.set(required.text, identities);
    }
    return identities;
  }

  /** On egress a name is the destination's: numbered ports for every peer, named ones for each peer's own. */
  private egressNamedPairs(rule: PolicyRule, identities: readonly number[]): Region {
    const pairs = [{ identities, shapes: this.shapesOf(rule, undefined) }];
    for (const identity of this.namedPorts.candidates(identities)) {
      const ports = this.namedPorts.of(identity);
      const words = rule.ports
        .filter(({ kind }) => kind === 'named')
        .flatMap((match) => portWords(match, 'egress', (name, protocol) => ports.get(`${name}/${protocol}`) ?? []));
      if (words.length > 0) {
        pairs.push({ identities: [identity], shapes: [...new Set(words)] });
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

function ofRule<V>(byRule: Map<number, Map<string, V>>, index: number): Map<string, V> {
  let known = byRule.get(index);
  if (known === undefined) byRule.set(index, (known = new Map()));
  return known;
}
