// Rules that the agent would refuse for what their layer-7 parts say (an expression that is none, say). Input: a cluster state.
// Output: the state with these rules marked, and what is wrong with them. Invariant: what the manifests' reader has refused is left
// alone; a refused rule enforces nothing, in neither direction.
import type { CiliumPolicy, CiliumRule, ClusterState, Problem } from '../control/index.ts';
import { l7Rules, RuleProblems } from './rules.ts';

/** See the head of this file. The problems are warnings: such objects are in live clusters, and change nothing there. */
export function markRefusedRules(state: ClusterState): {
  readonly state: ClusterState;
  readonly problems: readonly Problem[];
} {
  const problems: Problem[] = [];
  const ciliumPolicies = state.ciliumPolicies.map((policy): CiliumPolicy => {
    const rules = policy.rules.map((rule) => marked(policy, rule, problems));
    return rules.every((rule, i) => rule === policy.rules[i]) ? policy : { ...policy, rules };
  });
  return { state: problems.length === 0 ? state : { ...state, ciliumPolicies }, problems };
}

function marked(policy: CiliumPolicy, rule: CiliumRule, problems: Problem[]): CiliumRule {
  if (rule.rejected.length > 0) return rule;
  const found = new RuleProblems();
  for (const { path, toPorts = [] } of [...(rule.ingress ?? []), ...(rule.egress ?? [])])
    toPorts.forEach((item, i) => l7Rules(item, `${path}.toPorts[${i}]`, found));
  if (found.list.length === 0) return rule;
  const { kind, namespace, name } = policy;
  const subject = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  for (const problem of found.list) {
    const message = `${subject}: ${problem.message}; Cilium refuses the rule, it enforces nothing`;
    problems.push({ ...problem, severity: 'warning', message });
  }
  return { ...rule, rejected: found.list.map(({ message }) => message) };
}
