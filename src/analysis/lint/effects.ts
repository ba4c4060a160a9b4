// Rules without effect: what selects nobody, what names ports that nobody has, and what never decides. Input: normal form of the
// policies, identities, compiled policy. Output: findings. Invariant: "never decides" is asked of every policy, every identity
// and every border of ports, by the datapath's own lookups; it is no guess.
import { podPorts } from '../../control/policy/named-ports.ts';
import { peerIdentities, peersHoldHost } from '../../control/policy/peers.ts';
import { portWords } from '../../control/policy/ports.ts';
import type { NormalPolicies, Peer, PolicyRule } from '../../control/policy/rule.ts';
import type { PodIdentity } from '../../control/identity.ts';
import { containsAddress } from '../../control/manifest/index.ts';
import type { IpPrefix, Service } from '../../control/index.ts';
import { hostSubjects, type HostSubject } from '../../control/policy/subject.ts';
import type { RuleRef } from '../../control/provenance.ts';
import { EVERYTHING, LabelIndex, type Selector, selectorOf, selects } from '../../control/selector.ts';
import { IDENTITY } from '../../schema/index.ts';
import type { PolicyWorld } from '../policy-world.ts';
import { shortRule } from '../rule-text.ts';
import { requirementText, selectorText } from '../selector-text.ts';
import { PlainFunctions, SideFunctions } from '../side-functions.ts';
import type { Findings } from './finding.ts';

const keyOf = ({ kind, namespace, name, rule }: RuleRef): string => JSON.stringify([kind, namespace, name, rule]);

/** Checks the rules of one world. */
export class RuleEffects {
  private readonly world: PolicyWorld;
  private readonly normal: NormalPolicies;
  private readonly findings: Findings;
  private readonly pods: readonly PodIdentity[];
  /** Nodes whose own policies are enforced. */
  private readonly hosts: readonly HostSubject[];
  private readonly index = new LabelIndex();
  /** Pods whose lookups go through the DNS proxy. */
  private askers: ReadonlySet<PodIdentity> | undefined;
  private readonly selected = new Map<string, readonly PodIdentity[]>();

  constructor(world: PolicyWorld, normal: NormalPolicies, findings: Findings) {
    this.world = world;
    this.normal = normal;
    this.findings = findings;
    this.pods = world.view.pods;
    this.hosts = hostSubjects(world.view.nodes, world.settings);
    this.pods.forEach(({ labels }, i) => this.index.add(i, labels));
  }

  check(): void {
    if (this.pods.length + this.hosts.length === 0) return;
    this.subjects();
    const decided = this.decidingRules();
    const reopened = new Set<string>();
    for (const rule of this.normal.rules) {
      this.peers(rule);
      this.ports(rule);
      this.decides(rule, decided);
      this.reopened(rule, reopened);
      this.names(rule);
    }
  }

  /** Cilium learns a name's addresses from lookups that go through its DNS proxy, which needs a `dns` rule of its own. */
  private names({ fqdns, tier, host, subject, origin }: PolicyRule): void {
    const [name] = fqdns;
    if (name === undefined || tier !== 'normal' || host === true) return;
    const askers = (this.askers ??= new Set(
      this.normal.rules.filter(({ inspected }) => inspected?.l7 === 'dns').flatMap((rule) => this.podsOf(rule.subject)),
    ));
    const deaf = this.podsOf(subject).find((pod) => !askers.has(pod));
    if (deaf === undefined) return;
    const { namespace, name: podName } = deaf.pod;
    this.findings.add(
      'name-never-learnt',
      origin,
      `no rules.dns lets ${namespace}/${podName} ask through the DNS proxy, so the addresses of ${name.pattern} are never learnt`,
    );
  }

  private podsOf(selector: Selector): readonly PodIdentity[] {
    let pods = this.selected.get(selector.text);
    if (pods === undefined) {
      pods = this.index.select(selector).map((i) => this.pods[i]!);
      this.selected.set(selector.text, pods);
    }
    return pods;
  }

  private hostsOf(selector: Selector): readonly HostSubject[] {
    return this.hosts.filter(({ labels }) => selects(selector, labels));
  }

  /** Policies that select nobody, each policy or spec once. */
  private subjects(): void {
    const { networkPolicies, ciliumPolicies, adminPolicies } = this.world.state;
    const origins = new Map(
      [...networkPolicies, ...ciliumPolicies, ...adminPolicies].map((policy) => [
        JSON.stringify([policy.kind, policy.namespace, policy.name]),
        policy,
      ]),
    );
    const said = new Set<string>();
    for (const { subject, ref, host } of [...this.normal.isolations, ...this.normal.rules]) {
      const policy = origins.get(JSON.stringify([ref.kind, ref.namespace, ref.name]));
      const spec = /^specs\[\d+\]/.exec(ref.rule)?.[0] ?? '';
      const key = `${ref.kind} ${ref.namespace} ${ref.name} ${spec} ${subject.text}`;
      const selected = host === true ? this.hostsOf(subject) : this.podsOf(subject);
      const unknown = host === true ? this.hosts.length === 0 : this.pods.length === 0;
      if (policy === undefined || said.has(key) || selected.length > 0 || unknown) continue;
      said.add(key);
      if (host === true) {
        this.findings.add('selects-nobody', policy.origin, `no node has ${selectorText(subject)}`);
        continue;
      }
      this.findings.add(
        'selects-nobody',
        policy.origin,
        `no pod has ${selectorText(subject)}${this.nearMiss(subject)}`,
      );
      this.hostNetwork(subject, policy.origin);
    }
  }

  /** The pod that fails only one condition. */
  private nearMiss(subject: Selector): string {
    for (const requirement of subject.requirements) {
      const rest = { requirements: subject.requirements.filter((r) => r !== requirement), text: '' };
      if (rest.requirements.length === 0) continue;
      const pod = this.pods.slice(0, 20_000).find(({ labels }) => selects(rest, labels));
      if (pod === undefined) continue;
      const found = pod.labels.find(requirement.source, requirement.key).map(({ value }) => value);
      const has = found.length === 0 ? `no ${requirement.key}` : `${requirement.key}=${found.join()}`;
      return `; ${pod.pod.namespace}/${pod.pod.name} only lacks ${requirementText(requirement)} (it has ${has})`;
    }
    return '';
  }

  private hostNetwork(subject: Selector, origin: { file: string; line: number; column: number }): void {
    const wanted = subject.requirements.filter(({ key, operator }) => operator === 'In' && !key.startsWith('io.'));
    if (wanted.length === 0) return;
    const pod = this.world.state.pods.find(
      ({ hostNetwork, labels }) =>
        hostNetwork && wanted.every(({ key, values }) => values.includes(labels.get(key) ?? '')),
    );
    if (pod === undefined) return;
    const message = `${pod.namespace}/${pod.name} has these labels, but a hostNetwork pod is its node: only host policies see it`;
    this.findings.add('selects-host-network-pod', origin, message);
  }

  private peers({ peers, origin, ref }: PolicyRule): void {
    if (peers === 'everybody') return;
    for (const peer of peers) {
      if (peer.kind === 'selector') this.selectorPeer(peer.selector, origin);
      else if (peer.kind === 'cidr' && !peer.block && peer.prefix.prefixLen > 0)
        this.cidrPeer(peer.prefix, origin, ref);
    }
  }

  private selectorPeer(selector: Selector, origin: PolicyRule['origin']): void {
    if (this.world.view.index.select(selector).length === 0) {
      // A peer that means nodes is two selectors: each pod's own node, and the others.
      if (this.meansSomeNode(selector)) return;
      this.findings.add(
        'peer-selects-nobody',
        origin,
        `nobody has ${selectorText(selector)}${this.nearMiss(selector)}`,
      );
      this.hostNetwork(selector, origin);
      return;
    }
    for (const requirement of selector.requirements) {
      if (requirement.operator !== 'NotIn') continue;
      const without = this.podsOf(selector).filter(
        ({ labels }) => labels.find(requirement.source, requirement.key).length === 0,
      );
      if (without.length === 0) continue;
      const [{ pod }] = without as [PodIdentity];
      const message = `${requirementText(requirement)} also selects pods without this label (${without.length} of them, ${pod.namespace}/${pod.name} for one)`;
      this.findings.add('not-in-matches-missing', origin, message);
    }
  }

  private meansSomeNode({ requirements }: Selector): boolean {
    const isNode = ({ source, key }: Selector['requirements'][number]): boolean =>
      source === 'reserved' && (key === 'host' || key === 'remote-node');
    if (!requirements.some(isNode)) return false;
    const rest = selectorOf(requirements.filter((requirement) => !isNode(requirement)));
    return this.world.view.nodes.some(({ hostLabels }) => selects(rest, hostLabels));
  }

  private cidrPeer(prefix: IpPrefix, origin: PolicyRule['origin'], ref: RuleRef): void {
    if (ref.kind === 'NetworkPolicy' && this.world.settings.semantics === 'kubernetes') return;
    const pod = this.pods.find(({ addresses }) => addresses.some((address) => containsAddress(prefix, address)));
    const matchNodes = this.world.settings.cidrMatchNodes;
    const node = matchNodes
      ? undefined
      : this.world.view.nodes.find(({ addresses }) =>
          addresses.some(({ address }) => containsAddress(prefix, address)),
        );
    if (pod !== undefined || node !== undefined) {
      const who = pod === undefined ? `node ${node!.name}` : `pod ${pod.pod.namespace}/${pod.pod.name}`;
      const instead = pod === undefined ? 'entities host and remote-node' : 'label selectors';
      const message = `${prefix.text} covers the address of ${who}, but CIDR rules never match pods or nodes; use ${instead}`;
      this.findings.add('cidr-covers-cluster', origin, message);
    }
    const service = this.world.state.services.find(({ clusterIPs }) =>
      clusterIPs.some((ip) => containsAddress(prefix, ip)),
    );
    if (service !== undefined) {
      const message = `${prefix.text} covers the ClusterIP of Service ${service.namespace}/${service.name}; policy sees the backends' addresses only`;
      this.findings.add('cidr-covers-service', origin, message);
    }
  }

  /** Pods on the destination's side of a rule. */
  private destinations({ direction, subject, peers, host }: PolicyRule): readonly PodIdentity[] {
    if (direction === 'ingress') return host === true ? [] : this.podsOf(subject);
    if (peers === 'everybody') return this.pods;
    const pods = new Set(peers.flatMap((peer) => (peer.kind === 'selector' ? [...this.podsOf(peer.selector)] : [])));
    const everyone = peers.some(
      (peer) => peer.kind === 'entity' && (peer.entity === 'all' || peer.entity === 'cluster'),
    );
    return everyone ? this.pods : [...pods];
  }

  private ports(rule: PolicyRule): void {
    if (rule.ports.every(({ kind }) => kind === 'all' || kind === 'icmp')) return;
    const pods = this.destinations(rule);
    if (pods.length === 0) return;
    for (const match of rule.ports) {
      if (match.kind === 'named') {
        const hit = pods.some(({ pod }) => match.protocols.some((p) => [...podPorts(pod)(match.name, p)].length > 0));
        if (!hit)
          this.findings.add(
            'named-port-unknown',
            rule.origin,
            `no destination has a port named ${match.name} for ${match.protocols.join('/')}`,
          );
      } else if (match.kind === 'ports' && match.first === match.last) {
        this.servicePort(rule, pods, match.protocol, match.first);
      }
    }
  }

  private servicePort({ origin }: PolicyRule, pods: readonly PodIdentity[], protocol: number, port: number): void {
    const name = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' }[protocol];
    const listens = pods.some(({ pod }) => pod.ports.some((p) => p.protocol === name && p.containerPort === port));
    if (listens) return;
    const selectsSome = ({ selector, namespace }: Service): boolean =>
      selector !== undefined &&
      selector.size > 0 &&
      pods.some(
        ({ pod }) =>
          pod.namespace === namespace && [...selector].every(([key, value]) => pod.labels.get(key) === value),
      );
    for (const service of this.world.state.services) {
      const hit = service.ports.find((p) => p.port === port && p.protocol === name && p.targetPort !== port);
      if (hit === undefined || service.headless || !selectsSome(service)) continue;
      const message = `${port}/${name} is the port of Service ${service.namespace}/${service.name}; policy sees its target port ${hit.targetPort}`;
      this.findings.add('service-port', origin, message);
      return;
    }
  }

  /** Every rule that decides about anything, as keys. */
  private decidingRules(): ReadonlySet<string> {
    const functions = new SideFunctions(this.world, new PlainFunctions());
    functions.computeAll([...this.world.view.labels.keys(), IDENTITY.HOST]);
    const cookies = new Set(
      functions.functions.flatMap((lists) => lists.flatMap((list) => list.map(({ cookie }) => cookie))),
    );
    return new Set([...cookies].flatMap((cookie) => this.world.rulesOf(cookie).map(keyOf)));
  }

  private decides(rule: PolicyRule, decided: ReadonlySet<string>): void {
    const { verdict, ref, subject, peers, direction, origin } = rule;
    if (
      verdict === 'pass' ||
      rule.audited ||
      decided.has(keyOf(ref)) ||
      this.world.settings.policyEnforcement === 'never'
    )
      return;
    const [pod] = rule.host === true ? this.hostsOf(subject) : this.podsOf(subject);
    if (pod === undefined) return;
    const identities = peerIdentities(peers, EVERYTHING, this.world.view);
    const host = peersHoldHost(peers, EVERYTHING, pod.node?.hostLabels ?? pod.labels);
    const identity = identities[0] ?? (host ? IDENTITY.HOST : undefined);
    if (identity === undefined) return;
    const destination = direction === 'ingress' ? pod : undefined;
    const named = destination?.pod === undefined ? (): number[] => [] : podPorts(destination.pod);
    const [word] = rule.ports.flatMap((match) => portWords(match, direction, named));
    const address = pod.pod === undefined ? pod.node.addresses[0]?.address : pod.addresses[0];
    const policyId = address === undefined ? 0 : (this.world.endpointAt(address)?.policyId ?? 0);
    if (word === undefined || policyId <= 0) return;
    const peer =
      identity === IDENTITY.AGGREGATE_CLUSTER ? this.pods.find((p) => p !== pod)?.identities[0]?.identity : identity;
    const protocol = (word >>> 16) & 0xff;
    const port = ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
    const { questions } = this.world;
    questions.byIdentity(direction === 'egress', 4, policyId, peer ?? identity, protocol === 0 ? 6 : protocol, port);
    const others = this.world.rulesOf(questions.cookie);
    const by = others.slice(0, 2).map(shortRule).join(', ');
    const tiers = new Set(
      this.normal.rules.filter(({ ref: r }) => others.some((o) => keyOf(o) === keyOf(r))).map(({ tier }) => tier),
    );
    if (tiers.size > 0 && !tiers.has(rule.tier)) {
      this.findings.add('shadowed-by-tier', origin, `never decides: ${by} stands in another tier and comes first`);
    } else if (questions.byte === 255 && verdict !== 'deny') {
      this.findings.add('shadowed-by-deny', origin, `never decides: denied by ${by}`);
    } else if (others.length > 0) {
      this.findings.add('redundant', origin, `never decides: ${by} ${others.length === 1 ? 'says' : 'say'} the same`);
    }
  }

  /** Exceptions that another CIDR of the same subjects covers. */
  private reopened(rule: PolicyRule, said: Set<string>): void {
    const { peers, subject, direction, verdict, origin } = rule;
    if (peers === 'everybody' || verdict !== 'allow') return;
    const holes = peers.flatMap((peer) => (peer.kind === 'cidr' ? peer.except.map((hole) => ({ hole, peer })) : []));
    if (holes.length === 0) return;
    const same = this.normal.rules.filter(
      (other) =>
        other.subject.text === subject.text &&
        other.host === rule.host &&
        other.direction === direction &&
        other.verdict === 'allow' &&
        other.peers !== 'everybody',
    );
    for (const { hole, peer } of holes) {
      for (const other of same) {
        const cover = (other.peers as readonly Peer[]).find(
          (p) => p !== peer && p.kind === 'cidr' && within(hole, p.prefix) && !p.except.some((e) => within(hole, e)),
        );
        if (cover?.kind !== 'cidr') continue;
        const key = `${origin.file} ${origin.line} ${hole.text}`;
        if (said.has(key)) continue;
        said.add(key);
        const where = other === rule ? 'another item of this rule' : shortRule(other.ref);
        this.findings.add(
          'except-reopened',
          origin,
          `except ${hole.text} has no effect: ${where} allows ${cover.prefix.text}`,
        );
      }
    }
  }
}

function within(inner: IpPrefix, outer: IpPrefix): boolean {
  if (inner.family !== outer.family || inner.prefixLen < outer.prefixLen) return false;
  return containsAddress(outer, { family: inner.family, bytes: inner.bytes });
}
