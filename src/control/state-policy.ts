// The policy objects of ClusterState: networking.k8s.io NetworkPolicy, the admin tiers of policy.networking.k8s.io, and
// cilium.io (Clusterwide)NetworkPolicy.
// Types only. Invariant: a list field that the manifest leaves out (or sets to null) is undefined, a list written as []
// is an empty array; the two mean different things (`ingress: []` and `fromEndpoints: []` above all).
import type { IpPrefix, L4Protocol, Labels, Located, LocatedPrefix, NamespacedBase, ObjectBase } from './state.ts';

/** metav1.LabelSelector. No keys at all (`{}`) selects everything. For Cilium selectors the keys stay as written, source prefix included. */
export interface LabelSelector extends Located {
  /** undefined: absent. */
  readonly matchLabels?: Labels;
  /** undefined: absent. */
  readonly matchExpressions?: readonly LabelRequirement[];
}

/** One match expression. `values` is empty for Exists and DoesNotExist, not empty for In and NotIn. */
export interface LabelRequirement extends Located {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

// ---- networking.k8s.io/v1 ----

/** networking.k8s.io/v1 NetworkPolicy. */
export interface NetworkPolicy extends NamespacedBase {
  readonly kind: 'NetworkPolicy';
  readonly podSelector: LabelSelector;
  /** undefined: absent; then Ingress always, and Egress iff there is at least one egress rule. An empty list means the same. */
  readonly policyTypes?: readonly ('Ingress' | 'Egress')[];
  /** undefined: absent (means the same as []). */
  readonly ingress?: readonly NetworkPolicyRule[];
  readonly egress?: readonly NetworkPolicyRule[];
}

/** One item of `ingress` or `egress`. */
export interface NetworkPolicyRule extends Located {
  readonly direction: 'ingress' | 'egress';
  /** Index in its list: `ingress[0]`. */
  readonly index: number;
  /** `from` / `to`. undefined or []: any peer. */
  readonly peers?: readonly NetworkPolicyPeer[];
  /** undefined or []: any port of any protocol. */
  readonly ports?: readonly NetworkPolicyPort[];
}

/** One peer: an ipBlock alone, or selectors. */
export interface NetworkPolicyPeer extends Located {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: IpBlock;
}

/** `ipBlock`: `cidr` minus `except`, each `except` inside `cidr`. */
export interface IpBlock extends Located {
  readonly cidr: IpPrefix;
  readonly except: readonly LocatedPrefix[];
}

/** One port item. */
export interface NetworkPolicyPort extends Located {
  /** TCP where absent. */
  readonly protocol: L4Protocol;
  /** undefined: every port of the protocol. A string is a container-port name of the destination pod. */
  readonly port?: number | string;
  /** Inclusive upper bound; only with a numeric port. */
  readonly endPort?: number;
}

// ---- policy.networking.k8s.io ----

/**
 * ClusterNetworkPolicy (v1alpha2), AdminNetworkPolicy or BaselineAdminNetworkPolicy (v1alpha1): ordered rules above or below
 * the NetworkPolicies.
 */
export interface AdminPolicy extends ObjectBase {
  readonly kind: 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy';
  readonly namespace?: never;
  readonly tier: 'admin' | 'baseline';
  /** 0–1000, the lowest first. A BaselineAdminNetworkPolicy has none and comes last: 1000. */
  readonly priority: number;
  readonly subject: AdminPods;
  readonly ingress: readonly AdminRule[];
  readonly egress: readonly AdminRule[];
}

/** Pods by namespace and label; hostNetwork pods never. */
export interface AdminPods extends Located {
  /** undefined: absent, which means every namespace. */
  readonly namespaceSelector?: LabelSelector;
  /** undefined: every pod. */
  readonly podSelector?: LabelSelector;
}

/** One rule; of the rules of a tier the first that matches decides. */
export interface AdminRule extends Located {
  readonly direction: 'ingress' | 'egress';
  /** Index in its list: `egress[0]`. */
  readonly index: number;
  readonly name?: string;
  /** `pass` leaves the tier. */
  readonly action: 'accept' | 'deny' | 'pass';
  /** At least one. */
  readonly peers: readonly AdminPeer[];
  /** undefined: every protocol, ICMP included. */
  readonly ports?: readonly AdminPort[];
}

/** One peer. `unknown`: an object without any field that Weir knows; the rule then fails closed. */
export type AdminPeer = Located &
  (
    | { readonly kind: 'pods'; readonly pods: AdminPods }
    | { readonly kind: 'nodes'; readonly selector: LabelSelector }
    | { readonly kind: 'networks'; readonly networks: readonly LocatedPrefix[] }
    | { readonly kind: 'domains'; readonly names: readonly string[] }
    | { readonly kind: 'unknown' }
  );

/** One port item. A name means any transport protocol of the destination pod's container port. */
export type AdminPort = Located &
  (
    | { readonly kind: 'ports'; readonly protocol: L4Protocol; readonly first: number; readonly last: number }
    | { readonly kind: 'named'; readonly name: string }
  );

// ---- cilium.io/v2 ----

/** CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy. */
export type CiliumPolicy = CiliumNetworkPolicy | CiliumClusterwideNetworkPolicy;

/** cilium.io/v2 CiliumNetworkPolicy. */
export interface CiliumNetworkPolicy extends NamespacedBase {
  readonly kind: 'CiliumNetworkPolicy';
  /** `spec` first, then each of `specs`. */
  readonly rules: readonly CiliumRule[];
}

/** cilium.io/v2 CiliumClusterwideNetworkPolicy. */
export interface CiliumClusterwideNetworkPolicy extends ObjectBase {
  readonly kind: 'CiliumClusterwideNetworkPolicy';
  readonly namespace?: never;
  readonly rules: readonly CiliumRule[];
}

/** One `spec` or one of `specs[]` (api.Rule). */
export interface CiliumRule extends Located {
  /** `spec` or `specs[N]`. */
  readonly path: string;
  /** Exactly one of the two selectors is set (unless `rejected` is not empty). */
  readonly endpointSelector?: LabelSelector;
  readonly nodeSelector?: LabelSelector;
  /** Lists: undefined = absent, [] = empty; both have no effect in their direction. */
  readonly ingress?: readonly CiliumRuleItem[];
  readonly ingressDeny?: readonly CiliumRuleItem[];
  readonly egress?: readonly CiliumRuleItem[];
  readonly egressDeny?: readonly CiliumRuleItem[];
  /** `enableDefaultDeny`; undefined per direction: on iff the direction has rules. */
  readonly defaultDenyIngress?: boolean;
  readonly defaultDenyEgress?: boolean;
  readonly description?: string;
  /** `log.value`, copied into flow logs. */
  readonly logValue?: string;
  /** Why Cilium's agent would refuse this rule; a refused rule enforces nothing. Always empty unless the loader was told to keep refused rules. */
  readonly rejected: readonly string[];
}

/**
 * One item of `ingress`, `ingressDeny`, `egress` or `egressDeny`; `from…`/`to…` lose their prefix here.
 * Every peer list: undefined = absent, [] = present but empty (selects nobody).
 */
export interface CiliumRuleItem extends Located {
  readonly direction: 'ingress' | 'egress';
  readonly deny: boolean;
  /** Index in its list. */
  readonly index: number;
  /** `spec.ingress[0]`, `specs[1].egressDeny[2]`: the text for provenance. */
  readonly path: string;
  /** `fromEndpoints` / `toEndpoints`. */
  readonly endpoints?: readonly LabelSelector[];
  /** `fromRequires` / `toRequires` (deprecated). */
  readonly requires?: readonly LabelSelector[];
  /** `fromCIDR` / `toCIDR`; a bare address is a full-length prefix. */
  readonly cidrs?: readonly LocatedPrefix[];
  /** `fromCIDRSet` / `toCIDRSet`. */
  readonly cidrSets?: readonly CiliumCidrSet[];
  /** `fromEntities` / `toEntities`. */
  readonly entities?: readonly CiliumEntityPeer[];
  /** `fromNodes` / `toNodes`. */
  readonly nodes?: readonly LabelSelector[];
  /** `fromGroups` / `toGroups`: cloud groups, kept as data. */
  readonly groups?: readonly CiliumData[];
  /** `toServices` (egress). */
  readonly services?: readonly CiliumServicePeer[];
  /** `toFQDNs` (egress allow). */
  readonly fqdns?: readonly CiliumFqdnPeer[];
  /** undefined or []: every protocol and port, ICMP included. */
  readonly toPorts?: readonly CiliumPortRule[];
  readonly icmps?: readonly CiliumIcmpRule[];
  readonly authenticationMode?: 'disabled' | 'required' | 'test-always-fail';
}

/** One of `cidr`, `cidrGroupRef`, `cidrGroupSelector`. */
export interface CiliumCidrSet extends Located {
  readonly cidr?: IpPrefix;
  readonly cidrGroupRef?: string;
  readonly cidrGroupSelector?: LabelSelector;
  readonly except: readonly LocatedPrefix[];
}

/** Names of `fromEntities` / `toEntities`. */
export type CiliumEntity =
  | 'all'
  | 'world'
  | 'world-ipv4'
  | 'world-ipv6'
  | 'cluster'
  | 'host'
  | 'init'
  | 'ingress'
  | 'unmanaged'
  | 'remote-node'
  | 'health'
  | 'none'
  | 'kube-apiserver';

/** One entity. */
export interface CiliumEntityPeer extends Located {
  readonly entity: CiliumEntity;
}

/** One item of `toServices`: either a name or a selector. `namespace` undefined: as Cilium reads it (the policy's for a CNP name; any for a selector). */
export interface CiliumServicePeer extends Located {
  readonly serviceName?: string;
  readonly selector?: LabelSelector;
  readonly namespace?: string;
}

/** One item of `toFQDNs`; names are lower case without the final dot. */
export interface CiliumFqdnPeer extends Located {
  readonly matchName?: string;
  readonly matchPattern?: string;
}

/** One item of `toPorts`. */
export interface CiliumPortRule extends Located {
  /** undefined: absent; [] : empty. Both mean every port in the versions that accept them. */
  readonly ports?: readonly CiliumPort[];
  /** Which layer-7 rules are there; the L4 verdict is then allow and redirect. */
  readonly l7?: 'http' | 'dns' | 'kafka' | 'l7';
  /** `rules` as data. */
  readonly rules?: CiliumData;
  readonly serverNames?: readonly string[];
  /** `listener`, `terminatingTLS` and `originatingTLS` as data. */
  readonly listener?: CiliumData;
  readonly terminatingTLS?: CiliumData;
  readonly originatingTLS?: CiliumData;
}

/** One item of `toPorts[].ports`. */
export interface CiliumPort extends Located {
  /** 0–65535 (0 = every port), or undefined when `name` is set or no port is written (then every port). */
  readonly port?: number;
  /** Container-port name, lower case. */
  readonly name?: string;
  /** Inclusive; only where larger than `port`. */
  readonly endPort?: number;
  /** `ANY` where absent or empty: TCP, UDP and SCTP. */
  readonly protocol: 'ANY' | 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'ICMPv6' | 'VRRP' | 'IGMP';
}

/** One item of `icmps`. */
export interface CiliumIcmpRule extends Located {
  readonly fields: readonly CiliumIcmpField[];
}

/** One ICMP type. */
export interface CiliumIcmpField extends Located {
  readonly family: 4 | 6;
  readonly type: number;
}

/** Input kept as plain data (null-prototype objects), with its place. */
export interface CiliumData extends Located {
  readonly value: PlainData;
}

/** JSON-like data; objects have no prototype. */
export type PlainData = null | boolean | number | string | readonly PlainData[] | { readonly [key: string]: PlainData };
