// All policies of a state in one form, in an order that does not depend on the input's. Input: ClusterState, settings.
// Output: NormalPolicies, the prefixes that they name, problems.
import type { LabelFilter } from '../label-filter.ts';
import { NAMESPACE_LABEL_PREFIX, NAMESPACE_NAME } from '../labels.ts';
import { objectKey } from '../pods.ts';
import { PrefixSet } from '../prefix.ts';
import type { Problem } from '../problem.ts';
import type { Requirement, Selector } from '../selector.ts';
import type { CompileSettings } from '../settings.ts';
import type { AdminPolicy, CiliumPolicy, ClusterState, IpPrefix, NetworkPolicy, Origin } from '../state.ts';
import { auditProblem } from './audit.ts';
import { type CiliumReferences, ciliumReferences } from './cilium-peers.ts';
import { normaliseAdminPolicy } from './normal-admin.ts';
import { type NormalSink, normaliseCiliumPolicy } from './normal-cilium.ts';
import { normaliseNetworkPolicy } from './normal-kubernetes.ts';
import type { NormalPolicies, PolicyRule } from './rule.ts';

/** The normal form of a state's policies. */
export function normalisePolicies(state: ClusterState, settings: CompileSettings, problems: Problem[]): NormalPolicies {
  const sink: NormalSink = { rules: [], isolations: [], requires: [], problems, nodeLabels: false };
  const kubernetes = settings.semantics === 'kubernetes';
  for (const policy of [...state.networkPolicies].sort(byName)) normaliseNetworkPolicy(policy, kubernetes, sink);
  for (const policy of [...state.adminPolicies].sort(byName)) normaliseAdminPolicy(policy, state.facts, sink);
  warnAboutEqualPriorities(state, sink);
  warnAboutAudit([...state.networkPolicies, ...state.adminPolicies, ...state.ciliumPolicies], sink);
  const references = ciliumReferences(state, settings);
  for (const policy of [...state.ciliumPolicies].sort(byName)) normaliseCiliumPolicy(policy, references, sink);
  if (settings.semantics === 'cilium') warnAboutFilteredLabels(sink, settings.labelFilter);
  warnAboutUnknownNamespaces(state, sink);
  return sink;
}

/** A policy of any kind. */
export type AnyPolicy = NetworkPolicy | AdminPolicy | CiliumPolicy;

/** True for the kinds of the admin tiers. */
export const isAdminPolicy = (policy: AnyPolicy): policy is AdminPolicy => 'tier' in policy;

/** The normal form of one policy, with what is wrong with it whatever other policies there are. */
export function normalisePolicy(
  policy: AnyPolicy,
  settings: CompileSettings,
  references: CiliumReferences,
): NormalPolicies & { readonly problems: readonly Problem[] } {
  const sink: NormalSink = { rules: [], isolations: [], requires: [], problems: [], nodeLabels: false };
  if (policy.kind === 'NetworkPolicy') normaliseNetworkPolicy(policy, settings.semantics === 'kubernetes', sink);
  else if (isAdminPolicy(policy)) normaliseAdminPolicy(policy, references.state.facts, sink);
  else normaliseCiliumPolicy(policy, references, sink);
  warnAboutAudit([policy], sink);
  if (settings.semantics === 'cilium') warnAboutFilteredLabels(sink, settings.labelFilter);
  return sink;
}

/** No two policies have the same kind, namespace and name. */
function byName(
  a: { readonly kind: string; readonly namespace?: string; readonly name: string },
  b: { readonly kind: string; readonly namespace?: string; readonly name: string },
): number {
  const left = `${a.kind} ${objectKey(a)}`;
  const right = `${b.kind} ${objectKey(b)}`;
  return left < right ? -1 : 1;
}

/** Every prefix that rules name, `except` included; `blocks`: those that also tell pods and nodes apart. */
export function policyPrefixes({ rules }: NormalPolicies): { readonly all: PrefixSet; readonly blocks: PrefixSet } {
  const all = new PrefixSet();
  const blocks = new PrefixSet();
  for (const { prefix, block } of rules.flatMap(rulePrefixes)) {
    all.add(prefix);
    if (block) blocks.add(prefix);
  }
  return { all, blocks };
}

/** Every prefix that a rule names, `except` included, as often as it does. */
export const rulePrefixes = ({ peers }: PolicyRule): { readonly prefix: IpPrefix; readonly block: boolean }[] =>
  peers === 'everybody'
    ? []
    : peers.flatMap((peer) =>
        peer.kind === 'cidr' ? [peer.prefix, ...peer.except].map((prefix) => ({ prefix, block: peer.block })) : [],
      );

function warnAboutAudit(policies: readonly AnyPolicy[], { problems }: NormalSink): void {
  for (const policy of policies) {
    const message = auditProblem(policy);
    if (message === undefined) continue;
    const { file, line, column } = policy.origin;
    problems.push({ severity: 'warning', file, line, column, message: `${policy.kind} ${policy.name}: ${message}` });
  }
}

/** Where the rules of an admin policy stand: policies with the same place are warned about. */
export const priorityPlace = ({ tier, priority }: Pick<AdminPolicy, 'tier' | 'priority'>): string =>
  `${tier} ${priority}`;

/** Policies of one tier with one priority: the API leaves their order open, so Weir's choice is said. */
function warnAboutEqualPriorities({ adminPolicies }: ClusterState, { problems }: NormalSink): void {
  const first = new Map<string, string>();
  for (const { kind, name, tier, priority, origin } of [...adminPolicies].sort(byName)) {
    const place = priorityPlace({ tier, priority });
    const other = first.get(place);
    if (other === undefined) {
      first.set(place, `${kind} ${name}`);
      continue;
    }
    const message = `${kind} ${name}: priority ${priority} is that of ${other}, too; which decides first is undefined, Weir goes by kind and name`;
    problems.push({ severity: 'warning', file: origin.file, line: origin.line, column: origin.column, message });
  }
}

/** A policy that selects by a label which is no part of identities selects nobody by it: said once for each rule and label. */
function warnAboutFilteredLabels({ rules, problems }: NormalSink, keeps: LabelFilter): void {
  const said = new Set<string>();
  for (const { subject, peers, origin, ref } of rules) {
    for (const key of filteredKeys(selectorsOf(subject, peers), keeps)) {
      const text = `${ref.kind} ${ref.namespace ?? ''}/${ref.name} ${key}`;
      if (said.has(text)) continue;
      said.add(text);
      problems.push(filteredLabel(origin, key));
    }
  }
}

/** A rule that selects by namespace labels, while pods are in namespaces that no manifest holds: said at the first such rule. */
function warnAboutUnknownNamespaces(state: ClusterState, { rules, problems }: NormalSink): void {
  const declared = new Set(state.namespaces.map(({ name }) => name));
  const missing = [...new Set(state.pods.map(({ namespace }) => namespace))]
    .filter((name) => !declared.has(name))
    .sort();
  if (missing.length === 0) return;
  const byLabel = ({ key }: Requirement): boolean =>
    key.startsWith(NAMESPACE_LABEL_PREFIX) && key !== NAMESPACE_LABEL_PREFIX + NAMESPACE_NAME;
  const rule = rules.find(({ subject, peers }) =>
    selectorsOf(subject, peers).some((s) => s.requirements.some(byLabel)),
  );
  if (rule === undefined) return;
  const { file, line, column } = rule.origin;
  const message = `selects by namespace labels, but these namespaces are not among the manifests: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}`;
  problems.push({ severity: 'warning', file, line, column, message });
}

const selectorsOf = (subject: Selector, peers: PolicyRule['peers']): Selector[] => [
  subject,
  ...(peers === 'everybody' ? [] : peers.flatMap((peer) => (peer.kind === 'selector' ? [peer.selector] : []))),
];

const filteredKeys = (selectors: readonly Selector[], keeps: LabelFilter): string[] =>
  selectors.flatMap(({ requirements }) => requirements.filter((one) => isFiltered(one, keeps)).map(({ key }) => key));

const isFiltered = ({ source, key }: Requirement, keeps: LabelFilter): boolean =>
  (source === 'k8s' || source === 'any') && !keeps('k8s', key);

const filteredLabel = ({ file, line, column }: Origin, key: string): Problem => ({
  severity: 'warning',
  file,
  line,
  column,
  message: `label ${key} is no part of Cilium's identities: nothing carries it`,
});
