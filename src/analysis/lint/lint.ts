// The lint: everything that can be said about manifests before any packet. Input: what the loader said, a world. Output:
// findings by file, line and column. Invariant: pure; the same input gives the same findings in the same order.
import { normalisePolicies } from '../../control/policy/normalise.ts';
import type { Problem } from '../../control/problem.ts';
import { selects } from '../../control/selector.ts';
import type { IpAddress, Origin } from '../../control/index.ts';
import type { PolicyWorld } from '../policy-world.ts';
import { RuleEffects } from './effects.ts';
import { Findings, type LintFinding, type LintRule } from './finding.ts';
import { hostGuard } from './host-guard.ts';
import { adminPolicyShape, ciliumPolicyShape, hostLockOut, networkPolicyShape } from './shapes.ts';

/** Bounds of the configuration that the lint compares with. */
export interface LintLimits {
  /** `bpf.policyMapMax`: entries of one endpoint's policy in Cilium. */
  readonly policyMapMax: number;
}

/** Which rule a problem of the loader or the compiler is. */
const PROBLEMS: readonly (readonly [RegExp, LintRule])[] = [
  [/ enforces nothing: /, 'rejected'],
  [/is no part of Cilium's identities/, 'label-not-in-identity'],
  [/in endpointSelector is ignored/, 'namespace-overwritten'],
  [/nobody is(?: selected)?$/, 'peer-selects-nobody'],
  [/means different numbers on pods/, 'named-port-ambiguous'],
  [/ has \d+ places; \d+ are needed|^no room for|needs more than \d+ probes/, 'map-full'],
  [/no ingress or egress rules, so it has no effect/, 'empty-list-no-effect'],
  [/is that of .*, too; which decides first/, 'equal-priority'],
  [/is not enforced|are not enforced|is not judged|is redirected|not honoured/, 'not-enforced'],
];

/** Findings of what the loader and the compiler said. */
export function problemFindings(problems: readonly Problem[], findings: Findings): void {
  for (const { severity, file, line, column, message } of problems) {
    const known = PROBLEMS.find(([pattern]) => pattern.test(message))?.[1];
    const place: Origin = { file, line, column };
    findings.add(known ?? (severity === 'error' ? 'invalid' : 'manifest'), place, message);
  }
}

/** Lints a world. */
export function lint(world: PolicyWorld, problems: readonly Problem[], limits: LintLimits): LintFinding[] {
  const findings = new Findings();
  problemFindings(problems, findings);
  const { networkPolicies, ciliumPolicies, adminPolicies } = world.state;
  for (const policy of networkPolicies) networkPolicyShape(policy, findings);
  for (const policy of ciliumPolicies) {
    ciliumPolicyShape(policy, findings);
    if (!world.settings.hostFirewall) hostLockOut(policy, findings);
  }
  for (const policy of adminPolicies) adminPolicyShape(policy, findings);
  const normal = normalisePolicies(world.state, world.settings, []);
  new RuleEffects(world, normal, findings).check();
  mapPressure(world, limits, findings);
  dnsGuard(world, normal, findings);
  hostGuard(world, normal, findings);
  return findings.list();
}

/** Entries of each policy against what Cilium gives one endpoint. */
function mapPressure(world: PolicyWorld, { policyMapMax }: LintLimits, findings: Findings): void {
  const counts = new Map<number, number>();
  const { policy } = world.compiled.maps;
  for (let i = 0; i < policy.size; i++) {
    const key = policy.keyAt(i);
    const id = new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const said = new Set<number>();
  const report = (name: string, origin: Origin, address: IpAddress | undefined): void => {
    const policyId = address === undefined ? 0 : (world.endpointAt(address)?.policyId ?? 0);
    const count = counts.get(policyId) ?? 0;
    if (said.has(policyId) || count <= policyMapMax * 0.8) return;
    said.add(policyId);
    const message = `the policy of ${name} needs ${count} entries; bpf.policyMapMax is ${policyMapMax}`;
    findings.add(count > policyMapMax ? 'policy-map-full' : 'policy-map-pressure', origin, message);
  };
  for (const { pod, addresses } of world.view.pods) {
    report(`pod ${pod.namespace}/${pod.name}`, pod.origin, addresses[0]);
  }
  for (const { name, node, addresses } of world.view.nodes) {
    if (node !== undefined) report(`node ${name}`, node.origin, addresses[0]?.address);
  }
}

const DNS_APPS = new Set(['kube-dns', 'coredns', 'node-local-dns']);

/** Pods that are isolated on egress, and no rule of theirs lets UDP 53 out to the cluster's DNS. */
function dnsGuard(world: PolicyWorld, normal: ReturnType<typeof normalisePolicies>, findings: Findings): void {
  const { questions, view, settings } = world;
  if (settings.policyEnforcement === 'never') return;
  const servers = view.pods.filter(({ pod }) => DNS_APPS.has(pod.labels.get('k8s-app') ?? pod.labels.get('app') ?? ''));
  const asked = new Map<number, boolean>();
  for (const subject of view.pods) {
    const address = subject.addresses[0];
    const policyId = address === undefined ? 0 : (world.endpointAt(address)?.policyId ?? 0);
    if (policyId === 0 || asked.has(policyId) || servers.includes(subject)) continue;
    asked.set(policyId, true);
    const isolations = normal.isolations.filter(
      (one) => one.direction === 'egress' && !one.audited && one.host !== true && selects(one.subject, subject.labels),
    );
    if (isolations.length === 0) continue;
    const open =
      servers.length > 0
        ? servers.some(({ identities }) => {
            questions.byIdentity(true, 4, policyId, identities[0]!.identity, 17, 53);
            return questions.allowed;
          })
        : normal.rules.some(
            (rule) =>
              rule.direction === 'egress' &&
              rule.host !== true &&
              (rule.verdict === 'allow' || rule.verdict === 'redirect') &&
              selects(rule.subject, subject.labels) &&
              rule.ports.some(
                (match) =>
                  match.kind === 'all' ||
                  (match.kind === 'ports' && match.protocol === 17 && match.first <= 53 && match.last >= 53),
              ),
          );
    if (open) continue;
    const { file, line, name, kind } = isolations[0]!.ref;
    const { namespace, name: podName } = subject.pod;
    const whom = servers.length > 0 ? `${servers[0]!.pod.namespace}/${servers[0]!.pod.name}` : 'any DNS server';
    const message = `${kind} ${name} isolates ${namespace}/${podName} on egress, and nothing lets it ask ${whom} (UDP 53): names will not resolve`;
    findings.add('egress-blocks-dns', { file, line, column: 1 }, message);
  }
}
