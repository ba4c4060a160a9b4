// The one internal form of every policy rule: who is selected, in which direction, who is on the other side, which ports,
// what happens. Input: nothing (types). Invariant: nothing here knows from which kind of policy it came.
import type { RuleRef } from '../provenance.ts';
import type { Selector } from '../selector.ts';
import type { CiliumEntity, CiliumPortRule, IpPrefix, Origin } from '../state.ts';

/** Seen from the subject: who may reach it, or whom it may reach. */
export type Direction = 'ingress' | 'egress';
/** `pass` leaves the tier to the next one. */
export type RuleVerdict = 'allow' | 'deny' | 'redirect' | 'pass';
/** Tiers in the order of evaluation; `normal` holds NetworkPolicies and Cilium's policies. */
export type RuleTier = 'admin' | 'normal' | 'baseline';

/** Who is on the other side. */
export type Peer =
  /** Identities by label. `required`: the subject's `fromRequires` / `toRequires` narrow it. */
  | { readonly kind: 'selector'; readonly selector: Selector; readonly required: boolean }
  /** Addresses outside the cluster. `block`: also pods and nodes (an ipBlock in Kubernetes' semantics, `networks` of the admin tiers). */
  | { readonly kind: 'cidr'; readonly prefix: IpPrefix; readonly except: readonly IpPrefix[]; readonly block: boolean }
  | { readonly kind: 'entity'; readonly entity: CiliumEntity };

/** Which connections, by their destination port or ICMP type. */
export type PortMatch =
  /** Any protocol, any port, ICMP included. */
  | { readonly kind: 'all' }
  /** Ports `first`..`last` of an IP protocol. 0..65535: every port. */
  | { readonly kind: 'ports'; readonly protocol: number; readonly first: number; readonly last: number }
  /** A container-port name, lower case, of the destination pod, for any of these protocols. */
  | { readonly kind: 'named'; readonly name: string; readonly protocols: readonly NamedProtocol[] }
  | { readonly kind: 'icmp'; readonly family: 4 | 6; readonly type: number };

/** Transport protocols that ports are of. */
export type NamedProtocol = 'TCP' | 'UDP' | 'SCTP';

/** IP protocol numbers of what policies name. */
export const PROTOCOL_NUMBER = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58, VRRP: 112, IGMP: 2 } as const;

/** A name of a `toFQDNs` peer: what a verdict may depend on that no manifest tells. */
export interface FqdnPeer {
  /** `matchName` or `matchPattern` as written. */
  readonly pattern: string;
  /** How many addresses the facts know for it. */
  readonly addresses: number;
}

/** One rule. */
export interface PolicyRule {
  readonly ref: RuleRef;
  readonly origin: Origin;
  readonly subject: Selector;
  /** Selects nodes, not pods. */
  readonly host?: true;
  readonly direction: Direction;
  readonly verdict: RuleVerdict;
  readonly tier: RuleTier;
  /** Within `admin` and `baseline`: 0..1000, the lowest decides first; then the order of `compareRules`. 0 in `normal`. */
  readonly priority: number;
  /** The policy is in audit mode: what it denies is shown, not dropped. */
  readonly audited: boolean;
  /** Index in its policy's list of this direction. */
  readonly position: number;
  /** `everybody`, or any of these; an empty list is nobody. */
  readonly peers: 'everybody' | readonly Peer[];
  /** `everybody` as the agent says it, by a selector without requirements: `fromRequires` / `toRequires` narrow it, too. */
  readonly everybodyBySelector?: true;
  /** Any of these; never empty. */
  readonly ports: readonly PortMatch[];
  readonly fqdns: readonly FqdnPeer[];
  /** Of a redirect: what a proxy has to look at. */
  readonly inspected?: CiliumPortRule;
}

/** A policy that isolates its subjects in a direction: what no rule allows is denied. */
export interface Isolation {
  readonly ref: RuleRef;
  readonly subject: Selector;
  readonly host?: true;
  readonly direction: Direction;
  /** The policy is in audit mode. */
  readonly audited: boolean;
}

/**
 * `fromRequires` / `toRequires`: narrows the endpoint peers of every rule that selects the subject, NetworkPolicies included.
 * What a deny rule requires narrows deny rules, what another requires narrows the others.
 */
export interface Requires {
  readonly subject: Selector;
  readonly host?: true;
  readonly direction: Direction;
  readonly selector: Selector;
  readonly narrows: 'allow' | 'deny';
}

/** What orders rules within a tier. */
export interface RuleOrder {
  readonly priority: number;
  readonly ref: Pick<RuleRef, 'kind' | 'name'>;
  readonly position: number;
}

/** Rules as the tiers order them: by priority, policy name and position. In `normal` the order says nothing. */
export const compareRules = (a: RuleOrder, b: RuleOrder): number =>
  a.priority - b.priority ||
  compareText(a.ref.kind, b.ref.kind) ||
  compareText(a.ref.name, b.ref.name) ||
  a.position - b.position;

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** All policies in one form. Lists are in a deterministic order: by kind, namespace, name, position. */
export interface NormalPolicies {
  readonly rules: readonly PolicyRule[];
  readonly isolations: readonly Isolation[];
  readonly requires: readonly Requires[];
  /** Some rule selects nodes by their labels whatever the configuration says. */
  readonly nodeLabels: boolean;
}
