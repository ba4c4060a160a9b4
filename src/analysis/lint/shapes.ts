// Traps that show in one policy object alone. Input: policies as loaded. Output: findings.
// Invariant: nothing here looks at other objects; what a field means is as the policy's kind reads it.
import type {
  AdminPolicy,
  CiliumPolicy,
  CiliumRule,
  CiliumRuleItem,
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyRule,
} from '../../control/index.ts';
import type { Findings } from './finding.ts';
import { DNS_PORT, HOST_DOORS } from './host-doors.ts';

const isEmpty = (selector: LabelSelector | undefined): boolean =>
  selector !== undefined && (selector.matchLabels?.size ?? 0) + (selector.matchExpressions?.length ?? 0) === 0;

/** NetworkPolicy. */
export function networkPolicyShape(policy: NetworkPolicy, findings: Findings): void {
  const { policyTypes = [], ingress, egress, origin, namespace } = policy;
  if (policyTypes.length === 0 && (egress?.length ?? 0) > 0 && (ingress?.length ?? 0) === 0) {
    const message =
      'policyTypes is absent and there are egress rules: ingress is isolated, too; list policyTypes: [Egress] if only egress is meant';
    findings.add('egress-isolates-ingress', origin, message);
  }
  if (policyTypes.length === 0 && egress !== undefined && egress.length === 0) {
    findings.add(
      'empty-list-no-effect',
      origin,
      'egress: [] without policyTypes leaves egress open; list policyTypes: [Egress] to deny all',
    );
  }
  for (const [type, rules] of [
    ['Ingress', ingress],
    ['Egress', egress],
  ] as const) {
    for (const rule of rules ?? []) {
      if (policyTypes.length > 0 && !policyTypes.includes(type)) {
        findings.add('unlisted-direction', rule.origin, `policyTypes does not list ${type}: this rule has no effect`);
      }
      networkRuleShape(rule, namespace, findings);
    }
  }
}

function networkRuleShape(rule: NetworkPolicyRule, namespace: string, findings: Findings): void {
  const { peers = [], ports = [], origin } = rule;
  if (peers.length === 0 && ports.length === 0) {
    findings.add('empty-rule-allows-all', origin, 'an empty rule allows everybody on every port, the world included');
  }
  const only = (i: number, key: 'podSelector' | 'namespaceSelector'): boolean => {
    const peer = peers[i];
    const other = key === 'podSelector' ? peer?.namespaceSelector : peer?.podSelector;
    return peer?.[key] !== undefined && other === undefined;
  };
  peers.forEach((peer, i) => {
    if (only(i, 'namespaceSelector') && only(i + 1, 'podSelector') && !isEmpty(peers[i + 1]!.podSelector)) {
      const message = `this is a list item of its own: any pod with these labels in ${namespace}, OR any pod of the namespaces before; drop the dash for AND`;
      findings.add('or-not-and', peers[i + 1]!.origin, message);
    }
    if (only(i, 'podSelector') && only(i + 1, 'namespaceSelector') && !isEmpty(peer.podSelector)) {
      const message = `this is a list item of its own: any pod of these namespaces, OR pods of ${namespace} with the labels before; drop the dash for AND`;
      findings.add('or-not-and', peers[i + 1]!.origin, message);
    }
    if (only(i, 'podSelector') && isEmpty(peer.podSelector)) {
      findings.add(
        'own-namespace-only',
        peer.origin,
        `podSelector: {} means every pod of namespace ${namespace}, not of all namespaces`,
      );
    }
  });
  for (const port of ports) {
    if (port.port === undefined) {
      findings.add(
        'port-is-one-protocol',
        port.origin,
        `no port: every ${port.protocol} port, but no other protocol and no ICMP`,
      );
    }
  }
}

const LISTS = ['ingress', 'ingressDeny', 'egress', 'egressDeny'] as const;

/** CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy. */
export function ciliumPolicyShape(policy: CiliumPolicy, findings: Findings): void {
  for (const rule of policy.rules) {
    if (rule.rejected.length > 0) continue;
    for (const name of LISTS) {
      if (rule[name]?.length === 0) {
        findings.add(
          'empty-list-no-effect',
          rule.origin,
          `${name}: [] does nothing; ${name.replace('Deny', '')}: [{}] denies all`,
        );
      }
      for (const item of rule[name] ?? []) ciliumItemShape(policy, rule, item, findings);
    }
    for (const direction of ['ingress', 'egress'] as const) denyIsolates(rule, direction, findings);
  }
}

function denyIsolates(rule: CiliumRule, direction: 'ingress' | 'egress', findings: Findings): void {
  const denies = rule[`${direction}Deny`] ?? [];
  const kept = direction === 'ingress' ? rule.defaultDenyIngress : rule.defaultDenyEgress;
  if (denies.length === 0 || (rule[direction]?.length ?? 0) > 0 || kept === false) return;
  const message = `only ${direction}Deny rules: everything else on ${direction} is denied, too; set enableDefaultDeny.${direction}: false to deny only this`;
  findings.add('deny-isolates', denies[0]!.origin, message);
}

function ciliumItemShape(policy: CiliumPolicy, rule: CiliumRule, item: CiliumRuleItem, findings: Findings): void {
  const { endpoints, cidrs, cidrSets, entities, nodes, groups, services, fqdns, requires, toPorts, icmps, origin } =
    item;
  const lists = { endpoints, cidrs, cidrSets, entities, nodes, groups, services, fqdns };
  const prefix = item.direction === 'ingress' ? 'from' : 'to';
  const none = Object.values(lists).every((list) => list === undefined);
  const level4 = (toPorts?.length ?? 0) + (icmps?.length ?? 0) > 0;
  if (none && requires === undefined) {
    if (!level4) {
      const does = item.deny ? 'denies nobody by name' : 'allows nobody';
      findings.add(
        'empty-rule-allows-nobody',
        origin,
        `an empty rule ${does}: its only effect is the default deny (use ${prefix}Entities: [all] for everybody)`,
      );
    } else if (!item.deny) {
      const who = item.direction === 'ingress' ? 'may come in' : 'may be reached';
      findings.add(
        'no-peer-is-everybody',
        origin,
        `no ${prefix}… field: everybody ${who} on these ports, nodes and the world included`,
      );
    }
  }
  const present = Object.values(lists).filter((list) => list !== undefined);
  if (present.length > 0 && present.every((list) => list.length === 0)) {
    findings.add(
      'empty-peer-list',
      origin,
      `the peer list is present but empty: it selects nobody (leave it out to mean everybody)`,
    );
  }
  for (const selector of endpoints ?? []) {
    if (isEmpty(selector)) {
      if (policy.namespace === undefined) {
        findings.add(
          'pods-only',
          selector.origin,
          '{} means any pod of the cluster; nodes and the world are not among them',
        );
      } else {
        const message = `{} means every pod of namespace ${policy.namespace}, not of all namespaces`;
        findings.add('own-namespace-only', selector.origin, message);
      }
    }
    for (const { key, operator, origin: at } of selector.matchExpressions ?? []) {
      if (operator === 'Exists' && /^(?:k8s:|any:)?io\.kubernetes\.pod\.namespace$/.test(key)) {
        findings.add('every-namespace', at, 'the namespace only has to exist: every pod of every namespace');
      }
    }
  }
  const named = new Set((entities ?? []).map(({ entity }) => entity));
  if (named.has('host') && !named.has('remote-node') && !named.has('cluster') && !named.has('all') && !item.deny) {
    const at = entities!.find(({ entity }) => entity === 'host')!.origin;
    if (rule.nodeSelector === undefined) {
      findings.add('host-is-own-node', at, 'host is the node that the pod runs on; other nodes are remote-node');
    }
  }
  for (const { ports = [] } of toPorts ?? []) {
    for (const port of ports) {
      if (port.protocol === 'ANY') {
        findings.add(
          'protocol-is-any',
          port.origin,
          'protocol ANY (or none): TCP, UDP and SCTP, where a NetworkPolicy would mean TCP',
        );
      }
    }
  }
}

/** ClusterNetworkPolicy and its predecessors. */
export function adminPolicyShape(policy: AdminPolicy, findings: Findings): void {
  const rules = [...policy.ingress, ...policy.egress];
  if (rules.length > 0 && rules.every(({ action }) => action === 'accept')) {
    const message = 'only Accept rules: selecting pods isolates nobody, so this matters only where other policies deny';
    findings.add('admin-does-not-isolate', policy.origin, message);
  }
}

/** Host policies that shut their own operators out. */
export function hostLockOut(policy: CiliumPolicy, findings: Findings): void {
  for (const rule of policy.rules) {
    if (rule.nodeSelector === undefined || rule.rejected.length > 0) continue;
    const guard = (direction: 'ingress' | 'egress'): void => {
      const allows = rule[direction] ?? [];
      const isolates = direction === 'ingress' ? rule.defaultDenyIngress : rule.defaultDenyEgress;
      if (isolates === false || allows.length + (rule[`${direction}Deny`]?.length ?? 0) === 0) return;
      const shut = HOST_DOORS[direction].filter(
        ({ port, protocol }) => !allows.some((item) => opens(item, port, protocol, port === DNS_PORT)),
      );
      if (shut.length === 0) return;
      const ports = shut.map(({ port, what }) => `${port} (${what})`).join(', ');
      const side = direction === 'ingress' ? 'in' : 'out';
      findings.add(
        'host-lock-out',
        rule.origin,
        `nodes are isolated on ${direction} and no rule lets ${side}: ${ports}`,
      );
    };
    guard('ingress');
    guard('egress');
  }
}

const NOBODY_OUTSIDE: readonly string[] = ['none', 'host', 'health', 'init', 'ingress', 'unmanaged'];

/** Whether an allow item covers a port for a node or somebody in the world; `pods`: or for a pod. */
function opens(item: CiliumRuleItem, port: number, protocol: string, pods: boolean): boolean {
  const { toPorts = [], icmps = [], entities = [], endpoints = [] } = item;
  const peers = [item.endpoints, item.cidrs, item.cidrSets, item.entities, item.nodes, item.services, item.fqdns];
  const someone =
    [item.cidrs, item.cidrSets, item.nodes, item.services, item.fqdns].some((list) => (list?.length ?? 0) > 0) ||
    entities.some(({ entity }) => !NOBODY_OUTSIDE.includes(entity)) ||
    endpoints.some((selector) => pods || namesReserved(selector));
  if (toPorts.length === 0) return icmps.length === 0 && someone;
  if (!someone && peers.some((list) => list !== undefined)) return false;
  return toPorts.some(
    ({ ports = [] }) =>
      ports.length === 0 ||
      ports.some(
        (p) =>
          (p.protocol === 'ANY' || p.protocol === protocol) &&
          p.name === undefined &&
          (p.port === undefined || p.port === 0 || (port >= p.port && port <= (p.endPort ?? p.port))),
      ),
  );
}

const namesReserved = ({ matchLabels, matchExpressions = [] }: LabelSelector): boolean =>
  [...(matchLabels?.keys() ?? []), ...matchExpressions.map(({ key }) => key)].some((key) => key.startsWith('reserved'));
