// networking.k8s.io NetworkPolicy → normal form. Input: the policy, the semantics. Output: rules and isolations.
// Invariant: a rule under a direction that `policyTypes` does not list has no effect; selectors never reach beyond pods.
import { NAMESPACE_LABEL_PREFIX } from '../labels.ts';
import type { RuleRef } from '../provenance.ts';
import { ANY_POD, bothSelectors, inNamespace, kubernetesSelector } from '../selector.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule } from '../state.ts';
import { isAudited } from './audit.ts';
import { type Direction, type Isolation, type Peer, type PolicyRule, type PortMatch, PROTOCOL_NUMBER } from './rule.ts';

/** The directions that a policy isolates: Ingress always when nothing is listed, Egress then only with an egress rule. */
export function isolatedDirections(policy: NetworkPolicy): readonly Direction[] {
  const types = policy.policyTypes ?? [];
  if (types.length === 0) return (policy.egress?.length ?? 0) > 0 ? ['ingress', 'egress'] : ['ingress'];
  const directions: Direction[] = [];
  if (types.includes('Ingress')) directions.push('ingress');
  if (types.includes('Egress')) directions.push('egress');
  return directions;
}

/**
 * Adds one policy to the normal form. `kubernetes`: in Kubernetes' own semantics, where an ipBlock may match pods and nodes, and
 * nothing that a Cilium policy requires narrows the peers.
 */
export function normaliseNetworkPolicy(
  policy: NetworkPolicy,
  kubernetes: boolean,
  out: { rules: PolicyRule[]; isolations: Isolation[] },
): void {
  const { kind, namespace, name, origin } = policy;
  const audited = isAudited(policy);
  const subject = bothSelectors(inNamespace(namespace), kubernetesSelector(policy.podSelector));
  for (const direction of isolatedDirections(policy)) {
    const ref = (rule: string, line: number): RuleRef => ({ kind, namespace, name, rule, file: origin.file, line });
    out.isolations.push({ ref: ref(direction, origin.line), subject, direction, audited });
    for (const rule of policy[direction] ?? []) {
      out.rules.push({
        ref: ref(`${direction}[${rule.index}]`, rule.origin.line),
        origin: rule.origin,
        subject,
        direction,
        verdict: 'allow',
        tier: 'normal',
        priority: 0,
        audited,
        position: rule.index,
        ...peersOf(rule, namespace, kubernetes),
        ports: portsOf(rule),
        fqdns: [],
      });
    }
  }
}

function peersOf(
  { peers = [] }: NetworkPolicyRule,
  namespace: string,
  kubernetes: boolean,
): Pick<PolicyRule, 'peers' | 'everybodyBySelector'> {
  if (peers.length > 0) return { peers: peers.map((peer) => peerOf(peer, namespace, kubernetes)) };
  return { peers: 'everybody', ...(!kubernetes && { everybodyBySelector: true }) };
}

function peerOf(
  { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer,
  namespace: string,
  kubernetes: boolean,
): Peer {
  if (ipBlock !== undefined) {
    return { kind: 'cidr', prefix: ipBlock.cidr, except: ipBlock.except, block: kubernetes };
  }
  const scope =
    namespaceSelector === undefined
      ? inNamespace(namespace)
      : bothSelectors(ANY_POD, kubernetesSelector(namespaceSelector, NAMESPACE_LABEL_PREFIX));
  const selector = podSelector === undefined ? scope : bothSelectors(scope, kubernetesSelector(podSelector));
  return { kind: 'selector', selector, required: !kubernetes };
}

function portsOf(rule: NetworkPolicyRule): readonly PortMatch[] {
  if (rule.ports === undefined || rule.ports.length === 0) return [{ kind: 'all' }];
  return rule.ports.map(portOf);
}

function portOf({ protocol, port, endPort }: NetworkPolicyPort): PortMatch {
  if (typeof port === 'string') return { kind: 'named', name: port.toLowerCase(), protocols: [protocol] };
  const number = PROTOCOL_NUMBER[protocol];
  if (port === undefined) return { kind: 'ports', protocol: number, first: 0, last: 65535 };
  return { kind: 'ports', protocol: number, first: port, last: Math.max(port, endPort ?? port) };
}
