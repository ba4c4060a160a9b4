// What the lint says: one finding, and the list of everything that it can say. Input: none. Output: types, LINT_RULES.
// Invariant: each id is documented in docs/lint.md (a test compares the two).
import type { Origin } from '../../control/index.ts';

export type Severity = 'error' | 'warning' | 'info';

/** One finding; line and column are 1-based, 0 where it is about the file (or the cluster) as a whole. */
export interface LintFinding extends Origin {
  readonly severity: Severity;
  readonly message: string;
  readonly rule: LintRule;
}

/** Rule id → severity and what it is about, in a few words. */
export const LINT_RULES = {
  invalid: ['error', 'the object is refused by the API server'],
  rejected: ['error', 'the agent refuses the rule: it enforces nothing'],
  'map-full': ['error', 'more entries than a map has places'],
  'policy-map-full': ['error', 'a policy needs more entries than bpf.policyMapMax'],
  'policy-map-pressure': ['warning', 'a policy needs most of bpf.policyMapMax'],
  manifest: ['warning', 'something in the manifests that Weir or Cilium does not take as written'],
  'not-enforced': ['info', 'a part of a policy that Weir does not enforce'],
  'equal-priority': ['warning', 'two policies of a tier with one priority: their order is undefined'],
  'selects-nobody': ['warning', 'a policy that selects no pod'],
  'selects-host-network-pod': ['warning', 'a selector that fits a hostNetwork pod, which has no identity of its own'],
  'peer-selects-nobody': ['warning', 'a peer that selects nobody'],
  'label-not-in-identity': ['warning', 'a selector by a label that is no part of identities'],
  'namespace-overwritten': ['warning', 'a namespace in endpointSelector that is ignored'],
  'cidr-covers-cluster': ['warning', 'a CIDR peer that covers pods or nodes, which CIDR rules never match'],
  'cidr-covers-service': ['warning', 'a CIDR peer that covers service addresses, which policy never sees'],
  'service-port': ['warning', 'a rule with a Service’s port where its target port is needed'],
  'named-port-unknown': ['warning', 'a port name that no destination has'],
  'named-port-ambiguous': ['warning', 'a port name that means different numbers on pods of one identity'],
  'shadowed-by-deny': ['warning', 'a rule that never decides, because a deny does'],
  'shadowed-by-tier': ['warning', 'a rule that never decides, because a higher tier does'],
  redundant: ['info', 'a rule that never decides, because others say the same'],
  'egress-isolates-ingress': ['warning', 'egress rules without policyTypes isolate on ingress, too'],
  'empty-list-no-effect': ['warning', 'an empty list of rules that does nothing'],
  'unlisted-direction': ['warning', 'rules under a direction that policyTypes does not list'],
  'empty-rule-allows-all': ['info', 'a rule {} of a NetworkPolicy, which allows everything'],
  'empty-rule-allows-nobody': ['warning', 'a rule {} of a Cilium policy, which allows nobody'],
  'empty-peer-list': ['warning', 'a peer list that is present but empty, which selects nobody'],
  'no-peer-is-everybody': ['info', 'ports without a peer: everybody, the world included'],
  'own-namespace-only': ['info', 'an empty selector that means the policy’s own namespace only'],
  'pods-only': ['info', 'an empty selector of a cluster-wide policy: any pod, no node, no world'],
  'every-namespace': ['info', 'a namespace label that only has to exist: every namespace'],
  'or-not-and': ['warning', 'two list items that were probably meant as one: OR where AND was meant'],
  'not-in-matches-missing': ['info', 'NotIn also selects pods that lack the label'],
  'except-reopened': ['warning', 'an exception that another block of the same subject covers'],
  'port-is-one-protocol': ['info', 'a port item without a port: every port of one protocol only'],
  'protocol-is-any': ['info', 'a Cilium port without a protocol: TCP, UDP and SCTP'],
  'deny-isolates': ['warning', 'deny rules alone also deny everything else'],
  'host-is-own-node': ['info', 'entity host is the pod’s own node only'],
  'admin-does-not-isolate': ['info', 'an admin policy that only accepts changes nothing where nothing isolates'],
  'egress-blocks-dns': ['warning', 'pods that are isolated on egress and cannot ask the cluster’s DNS'],
  'name-never-learnt': ['warning', 'a toFQDNs rule of pods whose lookups no DNS rule sends through the proxy'],
  'host-lock-out': ['error', 'a host policy that shuts out ssh, the API server, etcd, the kubelet or DNS'],
} as const satisfies Readonly<Record<string, readonly [Severity, string]>>;

export type LintRule = keyof typeof LINT_RULES;

/** Takes findings. */
export class Findings {
  private readonly found = new Map<string, LintFinding>();

  /** Adds one; the same words at the same place once. */
  add(rule: LintRule, { file, line, column }: Origin, message: string): void {
    const severity = LINT_RULES[rule][0];
    const key = `${file}\0${line}\0${column}\0${rule}\0${message}`;
    this.found.set(key, { file, line, column, severity, message, rule });
  }

  /** All, by place. */
  list(): LintFinding[] {
    const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
    return [...this.found.values()].sort(
      (a, b) =>
        compare(a.file, b.file) ||
        a.line - b.line ||
        a.column - b.column ||
        compare(a.rule, b.rule) ||
        compare(a.message, b.message),
    );
  }
}
