// The one internal form of every policy rule: who is selected, in which direction, who is on the other side, which ports,
// what happens. Input: nothing (types). Invariant: nothing here knows from which kind of policy it came.
import type { RuleRef } from '../provenance.ts';
import type { Selector } from '../selector.ts';
import type { CiliumEntity, CiliumPortRule, IpPrefix, Origin } from '../state.ts';

/** Seen from the subject: who may reach it, or whom it may reach. */
export type Direction = 'ingress' | 'egress';
export type RuleVerdict = 'allow' | 'deny' | 'redirect';

/** Who is on the other side. */
export type Peer =
  /** Identities by label. `required`: the subject's `fromRequires` / `toRequires` narrow it. */
  | { readonly kind: 'selector'; readonly selector: Selector; readonly required: boolean }
  /** Addresses outside the cluster. `block`: an ipBlock, which may match pods and nodes in Kubernetes' semantics. */
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
  readonly direction: Direction;
  readonly verdict: RuleVerdict;
  /** `everybody`, or any of these; an empty list is nobody. */
  readonly peers: 'everybody' | readonly Peer[];
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
  readonly direction: Direction;
}

/** `fromRequires` / `toRequires`: narrows the endpoint peers of every rule that selects the subject. */
export interface Requires {
  readonly subject: Selector;
  readonly direction: Direction;
  readonly selector: Selector;
}

/** All policies in one form. Lists are in a deterministic order: by kind, namespace, name, position. */
export interface NormalPolicies {
  readonly rules: readonly PolicyRule[];
  readonly isolations: readonly Isolation[];
  readonly requires: readonly Requires[];
}
