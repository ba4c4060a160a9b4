// A slow and obvious evaluator of L3/L4 policies: one connection, every rule, straight from the rules' wording. Input:
// ClusterState, a connection, options. Output: whether each side lets it pass. Invariant: shares no code with the compiler;
// no identities, no maps, no caches.
import type {
  AdminPods,
  AdminPolicy,
  AdminRule,
  CiliumPolicy,
  CiliumRule,
  CiliumRuleItem,
  ClusterState,
  IpAddress,
  IpPrefix,
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyRule,
  Pod,
} from '../../src/control/state.ts';

/** One new connection. `port` is the ICMP type for ICMP and ICMPv6. */
export interface NaiveConnection {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6';
  readonly port: number;
}

/** How to read the policies. */
export interface NaiveOptions {
  readonly kubernetes: boolean;
  readonly enforcement: 'default' | 'always' | 'never';
  /** Nodes have policies of their own. */
  readonly hostFirewall?: boolean;
}

type Label = readonly [source: string, key: string, value: string];

/** An end of a connection as one pod sees it. */
interface Party {
  readonly kind: 'pod' | 'own-node' | 'other-node' | 'world' | 'reserved';
  readonly address: IpAddress;
  readonly pod?: Pod;
  readonly labels: readonly Label[];
}

const number = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);

function inPrefix(address: IpAddress, prefix: IpPrefix): boolean {
  if (address.family !== prefix.family) return false;
  const shift = BigInt(address.bytes.length * 8 - prefix.prefixLen);
  return number(address.bytes) >> shift === number(prefix.bytes) >> shift;
}

const NS = 'io.kubernetes.pod.namespace';
const NS_LABELS = 'io.cilium.k8s.namespace.labels.';

function namespaceLabels(state: ClusterState, name: string): [string, string][] {
  const namespace = state.namespaces.find((n) => n.name === name);
  return namespace === undefined ? [['kubernetes.io/metadata.name', name]] : [...namespace.labels];
}

function podLabels(state: ClusterState, pod: Pod): Label[] {
  return [
    ...[...pod.labels].map(([key, value]): Label => ['k8s', key, value]),
    ...namespaceLabels(state, pod.namespace).map(([key, value]): Label => ['k8s', NS_LABELS + key, value]),
    ['k8s', NS, pod.namespace],
    ['k8s', 'io.cilium.k8s.policy.serviceaccount', pod.serviceAccount],
    ['k8s', 'io.cilium.k8s.policy.cluster', 'default'],
  ];
}

/** The pod that owns an address and has a policy. */
function ownerOf(state: ClusterState, address: IpAddress): Pod | undefined {
  return state.pods.find((pod) => !pod.hostNetwork && pod.podIPs.some((ip) => ip.text === address.text));
}

function nodeOf(state: ClusterState, address: IpAddress): string | undefined {
  const node = state.nodes.find((n) => n.addresses.some((a) => a.address.text === address.text));
  return (
    node?.name ?? state.pods.find((p) => p.hostNetwork && p.podIPs.some((ip) => ip.text === address.text))?.nodeName
  );
}

/** The other end as somebody on a node sees it. */
function partyOf(state: ClusterState, own: string | undefined, address: IpAddress): Party {
  const extra = (state.facts.entities.get(address.text) ?? []).map((name): Label => ['reserved', name, '']);
  const pod = ownerOf(state, address);
  if (pod !== undefined) return { kind: 'pod', address, pod, labels: podLabels(state, pod) };
  const node = nodeOf(state, address);
  if (node !== undefined && node === own) {
    return { kind: 'own-node', address, labels: [['reserved', 'host', ''], ...extra] };
  }
  if (node !== undefined) return { kind: 'other-node', address, labels: [['reserved', 'remote-node', ''], ...extra] };
  const reserved = extra.filter(([, name]) => name !== 'kube-apiserver');
  if (reserved.length > 0) return { kind: 'reserved', address, labels: reserved };
  return {
    kind: 'world',
    address,
    labels: [['reserved', 'world', ''], ['reserved', `world-ipv${address.family}`, ''], ...extra],
  };
}

/** All conditions of a selector over labels; `place` says which source and key a written key means. */
function selected(
  selector: LabelSelector,
  labels: readonly Label[],
  place: (key: string) => readonly [source: string, key: string],
): boolean {
  const values = (written: string): string[] => {
    const [source, key] = place(written);
    return labels.filter(([s, k]) => k === key && (source === 'any' || source === s)).map(([, , value]) => value);
  };
  for (const [key, value] of selector.matchLabels ?? []) if (!values(key).includes(value)) return false;
  for (const { key, operator, values: wanted } of selector.matchExpressions ?? []) {
    const have = values(key);
    const hit = have.some((value) => wanted.includes(value));
    if (operator === 'In' && !hit) return false;
    if (operator === 'NotIn' && hit) return false;
    if (operator === 'Exists' && have.length === 0) return false;
    if (operator === 'DoesNotExist' && have.length > 0) return false;
  }
  return true;
}

const plain = (key: string): readonly [string, string] => ['k8s', key];
const sourced = (key: string): readonly [string, string] => {
  const colon = key.indexOf(':');
  return colon < 0 ? ['any', key] : [key.slice(0, colon), key.slice(colon + 1)];
};

/** `destination` is the pod on whose ports names are looked up. */
function namedPort(destination: Pod | undefined, name: string, { protocol, port }: NaiveConnection): boolean {
  return (destination?.ports ?? []).some((p) => p.name === name && p.protocol === protocol && p.containerPort === port);
}

// ---- NetworkPolicy ----

function kubernetesPorts(rule: NetworkPolicyRule, destination: Pod | undefined, c: NaiveConnection): boolean {
  if (rule.ports === undefined || rule.ports.length === 0) return true;
  return rule.ports.some(({ protocol, port, endPort }) => {
    if (protocol !== c.protocol) return false;
    if (port === undefined) return true;
    if (typeof port === 'string') return namedPort(destination, port, c);
    return c.port >= port && c.port <= (endPort ?? port);
  });
}

function kubernetesPeer(
  state: ClusterState,
  policy: NetworkPolicy,
  peer: NetworkPolicyPeer,
  party: Party,
  all: boolean,
): boolean {
  if (peer.ipBlock !== undefined) {
    if (!all && party.kind !== 'world') return false;
    const { cidr, except } = peer.ipBlock;
    return inPrefix(party.address, cidr) && !except.some((hole) => inPrefix(party.address, hole));
  }
  const { pod } = party;
  if (pod === undefined) return false;
  if (peer.namespaceSelector === undefined) {
    if (pod.namespace !== policy.namespace) return false;
  } else {
    const labels = namespaceLabels(state, pod.namespace).map(([key, value]): Label => ['k8s', key, value]);
    if (!selected(peer.namespaceSelector, labels, plain)) return false;
  }
  const own = [...pod.labels].map(([key, value]): Label => ['k8s', key, value]);
  return peer.podSelector === undefined || selected(peer.podSelector, own, plain);
}

// ---- Cilium ----

/** Whether a rule selects a node: by its labels, as far as Cilium makes them part of identities. */
function ciliumNode(state: ClusterState, rule: CiliumRule, name: string): boolean {
  if (rule.rejected.length > 0 || rule.nodeSelector === undefined) return false;
  const labels = [...(state.nodes.find((node) => node.name === name)?.labels ?? [])]
    .filter(([key]) => !key.startsWith('kubernetes.io'))
    .map(([key, value]): Label => ['k8s', key, value]);
  return selected(rule.nodeSelector, [...labels, ['reserved', 'host', '']], sourced);
}

function ciliumSubject(state: ClusterState, policy: CiliumPolicy, rule: CiliumRule, subject: Pod): boolean {
  if (rule.rejected.length > 0 || rule.endpointSelector === undefined) return false;
  const { endpointSelector } = rule;
  const labels = podLabels(state, subject);
  if (policy.namespace === undefined) return selected(endpointSelector, labels, sourced);
  if (subject.namespace !== policy.namespace) return false;
  const kept = new Map(endpointSelector.matchLabels ?? []);
  kept.delete(`k8s:${NS}`);
  return selected({ ...endpointSelector, matchLabels: kept }, labels, sourced);
}

function endpointPeer(policy: CiliumPolicy, selector: LabelSelector, party: Party): boolean {
  if (!selected(selector, party.labels, sourced)) return false;
  const keys = [...(selector.matchLabels?.keys() ?? []), ...(selector.matchExpressions ?? []).map((e) => e.key)].map(
    sourced,
  );
  if (keys.some(([source]) => source === 'reserved')) return true;
  const namespaces = keys.filter(([source]) => source === 'k8s' || source === 'any').map(([, key]) => key);
  if (namespaces.includes(NS)) return true;
  if (policy.namespace === undefined) return party.pod !== undefined;
  if (namespaces.some((key) => key.startsWith(NS_LABELS))) return true;
  return party.pod?.namespace === policy.namespace;
}

function entityPeer(entity: string, party: Party): boolean {
  const carries = (name: string): boolean =>
    party.labels.some(([source, key]) => source === 'reserved' && key === name);
  switch (entity) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'world':
      return party.kind === 'world';
    case 'cluster':
      return party.kind !== 'world' || carries('kube-apiserver');
    case 'host':
      return party.kind === 'own-node';
    case 'remote-node':
      return party.kind === 'other-node';
    default:
      return carries(entity);
  }
}

function ciliumPeer(state: ClusterState, policy: CiliumPolicy, item: CiliumRuleItem, party: Party): boolean {
  const { endpoints, cidrs, cidrSets, entities, nodes, groups, services, fqdns } = item;
  if ([endpoints, cidrs, cidrSets, entities, nodes, groups, services, fqdns].every((list) => list === undefined)) {
    if ((item.requires?.length ?? 0) > 0) return false;
    return (item.toPorts?.length ?? 0) + (item.icmps?.length ?? 0) > 0;
  }
  if ((endpoints ?? []).some((selector) => endpointPeer(policy, selector, party))) return true;
  if ((entities ?? []).some(({ entity }) => entityPeer(entity, party))) return true;
  if (party.kind !== 'world') return false;
  if ((cidrs ?? []).some((prefix) => inPrefix(party.address, prefix))) return true;
  return (cidrSets ?? []).some(({ cidr, cidrGroupRef, except }) => {
    const groupCidrs = state.ciliumCIDRGroups.filter((g) => g.name === cidrGroupRef).flatMap((g) => g.externalCIDRs);
    const inside = (cidr === undefined ? groupCidrs : [cidr]).some((prefix) => inPrefix(party.address, prefix));
    return inside && !except.some((hole) => inPrefix(party.address, hole));
  });
}

function ciliumPorts(item: CiliumRuleItem, destination: Pod | undefined, c: NaiveConnection): boolean {
  const { toPorts = [], icmps = [] } = item;
  if (toPorts.length + icmps.length === 0) return true;
  if (c.protocol === 'ICMP' || c.protocol === 'ICMPv6') {
    const family = c.protocol === 'ICMP' ? 4 : 6;
    return icmps.some(({ fields }) => fields.some((field) => field.family === family && field.type === c.port));
  }
  return toPorts.some(({ ports = [] }) =>
    ports.some(({ port, endPort, name, protocol }) => {
      if (protocol !== 'ANY' && protocol !== c.protocol) return false;
      if (name !== undefined) return namedPort(destination, name, c);
      return port === undefined || port === 0 || (c.port >= port && c.port <= Math.max(port, endPort ?? 0));
    }),
  );
}

// ---- the admin tiers ----

function adminPods(state: ClusterState, { namespaceSelector, podSelector }: AdminPods, pod: Pod | undefined): boolean {
  if (pod === undefined) return false;
  const namespace = namespaceLabels(state, pod.namespace).map(([key, value]): Label => ['k8s', key, value]);
  const own = [...pod.labels].map(([key, value]): Label => ['k8s', key, value]);
  if (namespaceSelector !== undefined && !selected(namespaceSelector, namespace, plain)) return false;
  return podSelector === undefined || selected(podSelector, own, plain);
}

function adminRule(
  state: ClusterState,
  rule: AdminRule,
  party: Party,
  destination: Pod | undefined,
  c: NaiveConnection,
): boolean {
  // Fails closed: nothing is accepted, everything denied.
  if (rule.peers.some(({ kind }) => kind === 'unknown')) return rule.action !== 'accept';
  const peer = rule.peers.some((p) => {
    if (p.kind === 'pods') return adminPods(state, p.pods, party.pod);
    if (p.kind === 'networks') return p.networks.some((prefix) => inPrefix(party.address, prefix));
    if (p.kind !== 'nodes') return false;
    const node = state.nodes.find(({ name }) => name === nodeOf(state, party.address));
    const labels = [...(node?.labels ?? [])].map(([key, value]): Label => ['k8s', key, value]);
    return nodeOf(state, party.address) !== undefined && selected(p.selector, labels, plain);
  });
  if (!peer) return false;
  if (rule.peers.every(({ kind }) => kind !== 'unknown') && rule.ports === undefined) return true;
  return (rule.ports ?? []).some((port) => {
    if (port.kind === 'named') return namedPort(destination, port.name, c);
    return port.protocol === c.protocol && c.port >= port.first && c.port <= port.last;
  });
}

/** The first rule of a tier that matches: what it does, or undefined. */
function adminTier(
  state: ClusterState,
  policies: readonly AdminPolicy[],
  tier: AdminPolicy['tier'],
  direction: 'ingress' | 'egress',
  subject: Pod,
  party: Party,
  destination: Pod | undefined,
  c: NaiveConnection,
): { action: AdminRule['action']; policy: AdminPolicy } | undefined {
  const order = (p: AdminPolicy): string => `${p.kind} ${p.name}`;
  const sorted = policies
    .filter((policy) => policy.tier === tier && adminPods(state, policy.subject, subject))
    .sort((a, b) => a.priority - b.priority || (order(a) < order(b) ? -1 : 1));
  for (const policy of sorted) {
    for (const rule of policy[direction]) {
      if (!adminRule(state, rule, party, destination, c)) continue;
      const closed = rule.peers.some(({ kind }) => kind === 'unknown');
      return { action: closed ? 'deny' : rule.action, policy };
    }
  }
  return undefined;
}

// ---- one side ----

const AUDIT = 'weir.dev/policy-audit-mode';

/** A side's say. `audit`: it passes, and would not if the policies in audit mode were enforced. */
export type NaiveSide = 'allow' | 'deny' | 'audit';

/**
 * Policies in audit mode are left out for the verdict; with them in, a verdict that turns to deny is shown. A tier that ends
 * in a pass is walked with the same question.
 */
function side(
  state: ClusterState,
  c: NaiveConnection,
  direction: 'ingress' | 'egress',
  options: NaiveOptions,
): NaiveSide {
  const shown = (policy: { annotations: ReadonlyMap<string, string> }): boolean =>
    policy.annotations.get(AUDIT) === 'enabled';
  const without = {
    ...state,
    networkPolicies: state.networkPolicies.filter((p) => !shown(p)),
    adminPolicies: state.adminPolicies.filter((p) => !shown(p)),
    ciliumPolicies: state.ciliumPolicies.filter((p) => !shown(p)),
  };
  if (!passes(without, c, direction, options)) return 'deny';
  return passes(state, c, direction, options) ? 'allow' : 'audit';
}

/** Whether the end of a direction lets a connection pass. */
function passes(
  state: ClusterState,
  c: NaiveConnection,
  direction: 'ingress' | 'egress',
  options: NaiveOptions,
): boolean {
  const [own, other] = direction === 'ingress' ? [c.destination, c.source] : [c.source, c.destination];
  if (options.enforcement === 'never') return true;
  const subject = ownerOf(state, own);
  if (subject === undefined) return hostPasses(state, c, direction, options);
  const party = partyOf(state, subject.nodeName, other);
  const destination = direction === 'ingress' ? subject : party.pod;
  if (party.kind === 'own-node' && (options.kubernetes || direction === 'ingress')) return true;

  const first = adminTier(state, state.adminPolicies, 'admin', direction, subject, party, destination, c);
  if (first !== undefined && first.action !== 'pass') return first.action === 'accept';

  let isolated = options.enforcement === 'always';
  let allowed = false;
  const selects: CiliumSelects = (policy, rule) => ciliumSubject(state, policy, rule, subject);
  const required = (): boolean => options.kubernetes || meetsRequires(state, direction, selects, party, false);
  for (const policy of state.networkPolicies) {
    if (policy.namespace !== subject.namespace) continue;
    if (
      !selected(
        policy.podSelector,
        [...subject.labels].map(([k, v]): Label => ['k8s', k, v]),
        plain,
      )
    )
      continue;
    const types = policy.policyTypes ?? [];
    const wanted = direction === 'ingress' ? 'Ingress' : 'Egress';
    const listed =
      types.length > 0 ? types.includes(wanted) : direction === 'ingress' || (policy.egress?.length ?? 0) > 0;
    if (!listed) continue;
    isolated = true;
    for (const rule of policy[direction] ?? []) {
      const peers = rule.peers ?? [];
      const met =
        (peers.length === 0 && required()) ||
        peers.some(
          (peer) =>
            kubernetesPeer(state, policy, peer, party, options.kubernetes) &&
            (peer.ipBlock !== undefined || required()),
        );
      if (met && kubernetesPorts(rule, destination, c)) allowed = true;
    }
  }
  const cilium = ciliumSays(state, c, direction, selects, party, destination);
  isolated ||= cilium.isolated;
  allowed ||= cilium.allowed;
  const { denied } = cilium;
  if (denied || allowed || isolated) return !denied && allowed;
  const last = adminTier(state, state.adminPolicies, 'baseline', direction, subject, party, destination, c);
  return last?.action !== 'deny';
}

type CiliumSelects = (policy: CiliumPolicy, rule: CiliumRule) => boolean;

/** Whether the other end is what the subject's allow rules, or its deny rules, require of it. */
function meetsRequires(
  state: ClusterState,
  direction: 'ingress' | 'egress',
  selects: CiliumSelects,
  party: Party,
  deny: boolean,
): boolean {
  return state.ciliumPolicies.every((policy) =>
    policy.rules
      .filter((rule) => selects(policy, rule))
      .flatMap((rule) => rule[deny ? (`${direction}Deny` as const) : direction] ?? [])
      .every(({ requires = [] }) => requires.every((selector) => endpointPeer(policy, selector, party))),
  );
}

/** What the Cilium policies that select the subject say. */
function ciliumSays(
  state: ClusterState,
  c: NaiveConnection,
  direction: 'ingress' | 'egress',
  selects: CiliumSelects,
  party: Party,
  destination: Pod | undefined,
): { readonly isolated: boolean; readonly allowed: boolean; readonly denied: boolean } {
  let isolated = false;
  let allowed = false;
  let denied = false;
  const selecting = state.ciliumPolicies.flatMap((policy) =>
    policy.rules.filter((rule) => selects(policy, rule)).map((rule) => ({ policy, rule })),
  );
  for (const { policy, rule } of selecting) {
    const allows = rule[direction] ?? [];
    const denies = rule[`${direction}Deny`] ?? [];
    const flag = direction === 'ingress' ? rule.defaultDenyIngress : rule.defaultDenyEgress;
    if (allows.length + denies.length > 0 && flag !== false) isolated = true;
    const hits = (item: CiliumRuleItem): boolean =>
      (item.endpoints === undefined || meetsRequires(state, direction, selects, party, item.deny)) &&
      ciliumPeer(state, policy, item, party) &&
      ciliumPorts(item, destination, c);
    if (allows.some(hits)) allowed = true;
    if (denies.some(hits)) denied = true;
  }
  return { isolated, allowed, denied };
}

/** Whether a node lets a connection pass, or anybody else who has no policy. */
function hostPasses(
  state: ClusterState,
  c: NaiveConnection,
  direction: 'ingress' | 'egress',
  options: NaiveOptions,
): boolean {
  const [own, other] = direction === 'ingress' ? [c.destination, c.source] : [c.source, c.destination];
  const node = nodeOf(state, own);
  if (options.hostFirewall !== true || node === undefined) return true;
  const party = partyOf(state, node, other);
  // What a node sends to itself passes no hook.
  if (party.kind === 'own-node') return true;
  const destination = direction === 'ingress' ? undefined : party.pod;
  const selects = (_: CiliumPolicy, rule: CiliumRule): boolean => ciliumNode(state, rule, node);
  const { isolated, allowed, denied } = ciliumSays(state, c, direction, selects, party, destination);
  if (denied || allowed || isolated || options.enforcement === 'always') return !denied && allowed;
  return true;
}

/** Both sides of a connection. */
export function naiveVerdict(
  state: ClusterState,
  c: NaiveConnection,
  options: NaiveOptions,
): { egress: NaiveSide; ingress: NaiveSide } {
  return { egress: side(state, c, 'egress', options), ingress: side(state, c, 'ingress', options) };
}
