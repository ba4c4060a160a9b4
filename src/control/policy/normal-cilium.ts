// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy → normal form. Input: the policy, and what its peers refer to.
// Output: rules, isolations, requirements; a Problem for each part that Weir does not enforce.
// Invariant: a rule that the agent would refuse enforces nothing; an item's peers are a union, its peers and ports an intersection.
import { POD_NAMESPACE } from '../labels.ts';
import type { Problem } from '../problem.ts';
import type { RuleRef } from '../provenance.ts';
import { bothSelectors, ciliumSelector, inNamespace, type Selector } from '../selector.ts';
import type { CiliumPolicy, CiliumRule, CiliumRuleItem, LabelRequirement, Labels, Origin } from '../state.ts';
import { isAudited } from './audit.ts';
import { type CiliumReferences, referencedPeers } from './cilium-peers.ts';
import { portGroups } from './cilium-ports.ts';
import { peerSelector } from './cilium-scope.ts';
import type { Direction, Isolation, PolicyRule, Requires } from './rule.ts';

/** What normalising adds to. */
export interface NormalSink {
  readonly rules: PolicyRule[];
  readonly isolations: Isolation[];
  readonly requires: Requires[];
  readonly problems: Problem[];
  nodeLabels: boolean;
}

/** Whom a rule is about. */
type Subject = Pick<PolicyRule, 'subject' | 'host'>;

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** Adds one policy to the normal form. */
export function normaliseCiliumPolicy(policy: CiliumPolicy, references: CiliumReferences, sink: NormalSink): void {
  for (const rule of policy.rules) {
    if (rule.rejected.length > 0) {
      warn(sink, rule.origin, `${title(policy)} ${rule.path} enforces nothing: ${rule.rejected.join('; ')}`);
      continue;
    }
    if (rule.nodeSelector !== undefined && !references.hostFirewall) {
      const message = 'selects nodes: host policies are not enforced without hostFirewall.enabled';
      warn(sink, rule.origin, `${title(policy)} ${rule.path} ${message}`);
      continue;
    }
    const subject: Subject =
      rule.nodeSelector === undefined
        ? { subject: subjectOf(policy, rule, sink) }
        : { subject: ciliumSelector(rule.nodeSelector), host: true };
    for (const direction of DIRECTIONS) normaliseDirection(policy, rule, subject, direction, references, sink);
  }
}

const title = (policy: CiliumPolicy): string =>
  policy.namespace === undefined
    ? `${policy.kind} ${policy.name}`
    : `${policy.kind} ${policy.namespace}/${policy.name}`;

const warn = (sink: { readonly problems: Problem[] }, origin: Origin, message: string): void =>
  void sink.problems.push({
    severity: 'warning',
    file: origin.file,
    line: origin.line,
    column: origin.column,
    message,
  });

/** `specs[0].ingress[0]`; the only spec of most policies goes without saying. */
const rulePath = (path: string): string => (path.startsWith('spec.') ? path.slice(5) : path);

/**
 * The pods that a rule selects. A namespaced policy forces its namespace in: a `k8s:` namespace among the matchLabels is
 * overwritten; in an expression or under another source it stays, and may leave nobody.
 */
function subjectOf(policy: CiliumPolicy, rule: CiliumRule, sink: NormalSink): Selector {
  const written: { matchLabels?: Labels; matchExpressions?: readonly LabelRequirement[] } = rule.endpointSelector ?? {};
  if (policy.namespace === undefined) return ciliumSelector(written);
  const forced = `k8s:${POD_NAMESPACE}`;
  const kept = new Map(written.matchLabels);
  const overwritten = kept.get(forced);
  if (overwritten !== undefined && overwritten !== policy.namespace) {
    warn(sink, rule.origin, `${title(policy)} ${rule.path}: namespace ${overwritten} in endpointSelector is ignored`);
  }
  kept.delete(forced);
  const selector = ciliumSelector({ ...written, matchLabels: kept });
  return bothSelectors(inNamespace(policy.namespace), selector);
}

function normaliseDirection(
  policy: CiliumPolicy,
  rule: CiliumRule,
  subject: Subject,
  direction: Direction,
  references: CiliumReferences,
  sink: NormalSink,
): void {
  const allows = rule[direction] ?? [];
  const denies = rule[`${direction}Deny`] ?? [];
  if (allows.length + denies.length === 0) return;
  const ref = (name: string, line: number): RuleRef => ({
    kind: policy.kind,
    ...(policy.namespace !== undefined && { namespace: policy.namespace }),
    name: policy.name,
    rule: rulePath(name),
    file: rule.origin.file,
    line,
  });
  const isolates = (direction === 'ingress' ? rule.defaultDenyIngress : rule.defaultDenyEgress) !== false;
  if (isolates) {
    sink.isolations.push({
      ref: ref(`${rule.path}.${direction}`, policy.origin.line),
      ...subject,
      direction,
      audited: isAudited(policy),
    });
  }
  for (const item of [...allows, ...denies]) {
    const narrows = item.deny ? 'deny' : 'allow';
    for (const required of item.requires ?? []) {
      sink.requires.push({ ...subject, direction, selector: peerSelector(policy, required), narrows });
    }
    normaliseItem(policy, item, subject, ref(item.path, item.origin.line), references, sink);
  }
}

function normaliseItem(
  policy: CiliumPolicy,
  item: CiliumRuleItem,
  subject: Subject,
  ref: RuleRef,
  references: CiliumReferences,
  sink: NormalSink,
): void {
  const complain = (message: string): void => {
    warn(sink, item.origin, `${title(policy)} ${item.path}: ${message}`);
  };
  if (item.authenticationMode !== undefined && item.authenticationMode !== 'disabled') {
    complain(`authentication mode ${item.authenticationMode} is not enforced`);
  }
  const groups = portGroups(item, complain);
  const { peers, fqdns } = peersOf(policy, item, references, complain);
  const { origin, direction, index: position } = item;
  const audited = isAudited(policy);
  for (const group of groups) {
    const standing = { tier: 'normal', priority: 0, audited, position } as const;
    sink.rules.push({ ref, origin, ...subject, direction, ...standing, peers, fqdns, ...group });
  }
}

/** The peers of an item. Without any peer field: everybody where ports or ICMP types are named, else nobody. */
function peersOf(
  policy: CiliumPolicy,
  item: CiliumRuleItem,
  references: CiliumReferences,
  complain: (message: string) => void,
): { readonly peers: PolicyRule['peers']; readonly fqdns: PolicyRule['fqdns'] } {
  const { endpoints, cidrs, cidrSets, entities, nodes, groups, services, fqdns } = item;
  const named = [endpoints, cidrs, cidrSets, entities, nodes, groups, services, fqdns];
  if (named.every((list) => list === undefined)) {
    const l4 = (item.toPorts?.length ?? 0) > 0 || (item.icmps?.length ?? 0) > 0;
    return { peers: l4 && (item.requires?.length ?? 0) === 0 ? 'everybody' : [], fqdns: [] };
  }
  const referenced = referencedPeers(item, references, complain);
  const own = (endpoints ?? []).map((selector) => ({
    kind: 'selector' as const,
    selector: peerSelector(policy, selector),
    required: true,
  }));
  return { peers: [...own, ...referenced.peers], fqdns: referenced.fqdns };
}
