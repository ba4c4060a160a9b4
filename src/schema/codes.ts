// The numbers of the contract: hooks, stages, verdicts, drop reasons, statuses, flags.
// Drop reasons, verdicts, trace points and reserved identities keep Cilium's numbers and names (v1.20).
// Invariant: a number, once published, keeps its meaning.

/** Where a packet enters the datapath. */
export const HOOK = {
  NONE: 0,
  XDP: 1,
  FROM_NETDEV: 2,
  TO_NETDEV: 3,
  FROM_HOST: 4,
  FROM_CONTAINER: 5,
  TO_CONTAINER: 6,
  FROM_OVERLAY: 7,
  TO_OVERLAY: 8,
  CONNECT: 9,
  SENDMSG: 10,
  RECVMSG: 11,
  GETPEERNAME: 12,
  /** What a node's own stack is about to get from a pod or the network: the host firewall. */
  TO_HOST: 13,
} as const;
/** A number of HOOK. */
export type Hook = (typeof HOOK)[keyof typeof HOOK];

/** Printed names of hooks, by number. */
export const HOOK_NAME: readonly string[] = [
  'none',
  'xdp',
  'from-netdev',
  'to-netdev',
  'from-host',
  'from-container',
  'to-container',
  'from-overlay',
  'to-overlay',
  'connect',
  'sendmsg',
  'recvmsg',
  'getpeername',
  'to-host',
];

/** The step of a hook in which a verdict fell. */
export const STAGE = { NONE: 0, PARSE: 1, SERVICE: 2, CONNTRACK: 3, POLICY: 4, NAT: 5, FORWARD: 6 } as const;
export type Stage = (typeof STAGE)[keyof typeof STAGE];

/** Printed names of stages, by number. */
export const STAGE_NAME: readonly string[] = ['none', 'parse', 'service', 'conntrack', 'policy', 'nat', 'forward'];

/** Verdicts, numbered as Hubble's `flow.Verdict`. */
export const VERDICT = {
  UNKNOWN: 0,
  FORWARDED: 1,
  DROPPED: 2,
  ERROR: 3,
  AUDIT: 4,
  REDIRECTED: 5,
  TRACED: 6,
  TRANSLATED: 7,
} as const;
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];

/** Printed names of verdicts, by number. */
export const VERDICT_NAME: readonly string[] = [
  'UNKNOWN',
  'FORWARDED',
  'DROPPED',
  'ERROR',
  'AUDIT',
  'REDIRECTED',
  'TRACED',
  'TRANSLATED',
];

/** What happens to the packet after the hook; each engine maps it to XDP_* or TC_ACT_* of the hook. */
export const ACTION = {
  /** Hand to the host's stack. */
  STACK: 0,
  /** Free the packet. */
  DROP: 1,
  /** Redirect to `outIfindex` (next-hop MACs in the record). */
  REDIRECT: 2,
  /** Transmit on the interface it came from (XDP_TX). */
  TX: 3,
  /** Deliver to a local endpoint: its `to-container` hook is next. */
  LOCAL: 4,
  /** Hand to a proxy on `proxyPort`. */
  PROXY: 5,
  /** Into the endpoint: `to-container` let it pass (TC_ACT_OK of that hook). */
  DELIVER: 6,
  /** To the node itself, which has a policy: its `to-host` hook is next. */
  HOST: 7,
} as const;
export type Action = (typeof ACTION)[keyof typeof ACTION];

/** Why the simulator answers UNKNOWN: the missing fact. 0 where the verdict is known. The kernel never writes these. */
export const UNKNOWN_REASON = {
  NONE: 0,
  /** A header was cut by the capture's snap length. */
  TRUNCATED: 1,
  /** The capture's link type is not one that Weir reads. */
  LINK_TYPE: 2,
  /** No manifests were given. */
  NO_MANIFESTS: 3,
  /** The connection began before the capture and its direction cannot be told. */
  BEGAN_BEFORE: 4,
  /** The source is masqueraded and no mapping is known. */
  MASQUERADED: 5,
  /** Neither end of the packet belongs to the cluster that the manifests describe. */
  NOT_OURS: 6,
  /** A rule depends on a DNS name that was never resolved in the capture. */
  DNS_NAME: 7,
} as const;

/** Sentences for UNKNOWN_REASON, by number. */
export const UNKNOWN_TEXT: readonly string[] = [
  '',
  'truncated capture',
  'unsupported link type',
  'no manifests',
  'began before the capture',
  'masqueraded source without a mapping',
  'no endpoint of the cluster at either end',
  'a name never resolved in the capture',
];

/** Conntrack lookup results (Cilium's numbers). */
export const CT_STATUS = { NEW: 0, ESTABLISHED: 1, REPLY: 2, RELATED: 3, NONE: 255 } as const;
/** Printed names of conntrack results, by number. */
export const CT_STATUS_NAME: readonly string[] = ['NEW', 'ESTABLISHED', 'REPLY', 'RELATED'];

/** Flags of a conntrack key. */
export const CT_KEY = {
  /** The owner (the pod whose hook this is, or the node) is the higher end of the tuple. */
  OWNER_HIGH: 1,
  /** Twin that lets ICMP errors between the two addresses pass (Cilium's TUPLE_F_RELATED). */
  RELATED: 2,
  /** The tuple's destination is a service frontend (Cilium's TUPLE_F_SERVICE). */
  SERVICE: 4,
  /** The owner is the node: NodePort and host connections. */
  NODE: 8,
} as const;

/** Flags of a conntrack entry. Bits 0..10 have Cilium's meaning. */
export const CT_FLAG = {
  RX_CLOSING: 1 << 0,
  TX_CLOSING: 1 << 1,
  LOOPBACK: 1 << 3,
  SEEN_NON_SYN: 1 << 4,
  NODE_PORT: 1 << 5,
  PROXY_REDIRECT: 1 << 6,
  DSR_INTERNAL: 1 << 7,
  FROM_L7LB: 1 << 8,
  FROM_TUNNEL: 1 << 10,
  /** The peer of the owner opened the connection (Cilium: TUPLE_F_IN); clear: the owner did (TUPLE_F_OUT). */
  INBOUND: 1 << 11,
  /** The other side has answered: the entry lives in the established map. */
  ANSWERED: 1 << 12,
  /** The verdict was passed by audit mode. */
  AUDITED: 1 << 13,
  /** Related twins only: both ends have opened connections, so errors in either direction are related. */
  BOTH_WAYS: 1 << 14,
} as const;

/** Match of a policy decision (Cilium's numbers). */
export const POLICY_MATCH = { NONE: 0, L3_ONLY: 1, L3_L4: 2, L4_ONLY: 3, ALL: 4, L3_PROTO: 5, PROTO_ONLY: 6 } as const;
/** Printed names of policy matches, by number, as Hubble prints them. */
export const POLICY_MATCH_NAME: readonly string[] = [
  'none',
  'L3-Only',
  'L3-L4',
  'L4-Only',
  'all',
  'L3-Proto',
  'Proto-Only',
];

/** Verdict byte of a policy precedence: the low 8 bits. */
export const PRECEDENCE = {
  PASS: 0,
  ALLOW: 1,
  REDIRECT_LOWEST: 2,
  REDIRECT_HIGHEST: 254,
  DENY: 255,
  TOP: 0xffffffff,
} as const;
/** Tiers of policy priority; precedence = (LOWEST - priority) << 8 | verdict byte. */
export const POLICY_TIER = { ADMIN: 100, NORMAL: 200, BASELINE: 250, DEFAULT: 255, LOWEST: 0xffffff } as const;

/** Ports of the proxy to which policies redirect, the first two of Cilium's range (`proxy-portrange` 10000-20000). */
export const PROXY_PORT = { INGRESS: 10000, EGRESS: 10001 } as const;

/** Direction bit of a policy key's shape byte. */
export const POLICY_DIRECTION = { INGRESS: 0, EGRESS: 0x80 } as const;

/** Flags of a policy's meta entry. */
export const POLICY_FLAG = {
  ENFORCE_INGRESS: 1,
  ENFORCE_EGRESS: 2,
  AUDIT: 4,
  /** A node's own policy: what may not leave a pod may leave it. */
  HOST: 8,
} as const;

/** Flags of a policy entry, besides the authentication type in bits 0..6. */
export const POLICY_ENTRY = {
  /** A denial that is only shown: the packet passes and counts as audited. */
  AUDIT: 1 << 8,
} as const;

/** Traffic directions, as in Cilium's metrics. */
export const DIRECTION = { UNKNOWN: 0, INGRESS: 1, EGRESS: 2, SERVICE: 3 } as const;

/** Service flags: low byte = Cilium's flags, high byte = flags2. */
export const SERVICE_FLAG = {
  EXTERNAL_IP: 0x0001,
  NODE_PORT: 0x0002,
  EXT_LOCAL: 0x0004,
  HOST_PORT: 0x0008,
  AFFINITY: 0x0010,
  LOAD_BALANCER: 0x0020,
  ROUTABLE: 0x0040,
  SOURCE_RANGE: 0x0080,
  LOCAL_REDIRECT: 0x0100,
  NAT46X64: 0x0200,
  L7LB: 0x0400,
  /** HostPort frontend that was asked for on a loopback address: reachable from the node itself only. */
  LOOPBACK: 0x0800,
  /** The same bit on other frontends: a proxy on this node takes the traffic where a backend is local (delegate-if-local). */
  L7_DELEGATE: 0x0800,
  INT_LOCAL: 0x1000,
  TWO_SCOPES: 0x2000,
  /** Master: source ranges deny. Slot: the backend is quarantined. */
  DENY_OR_QUARANTINED: 0x4000,
  /** On the master and every slot: the frontend's packets go out by direct server return (mode, or annotation). */
  FORWARD_DSR: 0x8000,
} as const;

/** Scope byte of a service key. */
export const SCOPE = { EXTERNAL: 0, INTERNAL: 1 } as const;
/** Load-balancing algorithms; 0 means the node's default. */
export const ALGORITHM = { DEFAULT: 0, RANDOM: 1, MAGLEV: 2, FIRST: 3 } as const;
/** Backend states; NONE marks an unused slot of the backend array. Active is 1 so that zeroed memory is no backend. */
export const BACKEND_STATE = { NONE: 0, ACTIVE: 1, TERMINATING: 2, QUARANTINED: 3, MAINTENANCE: 4 } as const;

/** Parts of a Maglev slot. */
export const MAGLEV_SLOT = { BACKEND: 0x7fffffff, MOVING: 0x80000000 } as const;
/** Flags of a next hop. */
export const NEXT_HOP = { KNOWN: 1 } as const;

/**
 * Answers that the datapath itself gives to the sender of a packet that it drops. ICMP type and code by family: NO_SERVICE 3/3,
 * 1/4; PROHIBITED 3/13, 1/1; TIME_EXCEEDED 11/0, 3/0; TOO_BIG 3/4, 2/0. RESET is a TCP reset. NEIGHBOUR is no answer to a drop but
 * to a neighbour solicitation.
 */
export const ANSWER = {
  NONE: 0,
  NO_SERVICE: 1,
  PROHIBITED: 2,
  RESET: 3,
  TIME_EXCEEDED: 4,
  TOO_BIG: 5,
  NEIGHBOUR: 6,
} as const;
/** What a bucket of the rate limit map is for. */
export const RATE_LIMIT_USAGE = { ANSWERS: 1 } as const;

/** Flags of an endpoint entry. */
export const ENDPOINT_FLAG = { HOST: 1, AT_HOST_NS: 2, SKIP_MASQUERADE: 4, NO_SOURCE_CHECK: 8, LIMITED: 16 } as const;
/** Flags of an ipcache entry (Cilium's). */
export const IPCACHE_FLAG = {
  SKIP_TUNNEL: 1,
  HAS_TUNNEL_ENDPOINT: 2,
  IPV6_TUNNEL_ENDPOINT: 4,
  REMOTE_CLUSTER: 8,
} as const;

/** Which half of a translation a NAT key is. */
export const NAT_WAY = {
  /** Original → what replaces its source. */
  OUT: 0,
  /** Answer → original. */
  BACK: 1,
} as const;
/** Flags of a NAT entry. */
export const NAT_FLAG = {
  /** The node's own connection: has a conntrack entry only for the sake of its mapping. */
  NEEDS_CT: 1,
  /** A client's connection through a frontend of the node to a backend on another one. */
  NODE_PORT: 2,
  /** Direct server return, at the backend's node: the pod answers as the frontend. There is no half that leads back. */
  DSR: 4,
} as const;
/** Why a pod keeps its address towards a destination, as masquerading found it. */
export const NO_MASQUERADE = {
  NONE: 0,
  /** `ipv4NativeRoutingCIDR`, or the pod networks where that is unset. */
  NATIVE_ROUTING: 1,
  /** A CIDR of ip-masq-agent, link-local addresses included. */
  AGENT: 2,
  /** A node of the cluster, natively routed. */
  NODE: 3,
  /** Another pod of the cluster. */
  POD: 4,
  /** The answer of a connection that was opened from outside. */
  ANSWER: 5,
  /** The endpoint is the host, or is exempt. */
  EXEMPT: 6,
  /** No address of the node is known. */
  NO_ADDRESS: 7,
} as const;
/** Bits of a route's flags. */
export const ROUTE_FLAG = {
  /** The destination itself is the next hop. */
  ON_LINK: 1,
  /** The node's own: for its stack. */
  LOCAL: 2,
  /** Behind the overlay: for the stack, too, whose overlay device it leaves by. */
  TUNNEL: 4,
} as const;
/** Of the skb mark: SNAT_DONE, the packet's source was translated already (Cilium's MARK_MAGIC_SNAT_DONE), under its mask. */
export const MARK = {
  MASK: 0x0f00,
  SNAT_DONE: 0x0300,
  /** A packet of the overlay, from the node itself (MARK_MAGIC_OVERLAY). */
  OVERLAY: 0x0400,
} as const;
/** Metrics reasons that are no drops: below 16 Cilium's, from 100 on Weir's own. */
export const METRIC = {
  /** A port that source NAT tried was another connection's. */
  NAT_COLLISION: 100,
  /** One half of a translation had been evicted and was made again from the other. */
  NAT_RESTORED: 101,
  /** A neighbour's question for an announced address was answered. */
  NEIGHBOUR_ANSWERED: 102,
} as const;

/** Bits of a decision record's flags. */
export const RECORD_FLAG = {
  /** The connection's first packet. */
  NEW: 1,
  /** Destination was translated from a frontend to a backend. */
  DNAT: 2,
  /** Source was translated back from a backend to its frontend (reverse NAT). */
  REVERSE_NAT: 4,
  /** Source was translated to the loopback address: a pod reaching itself through its service. */
  LOOPBACK: 8,
  /** Policy would have dropped, audit mode let it pass. */
  AUDITED: 16,
  /** A policy lookup was made; clear when a conntrack hit, reply or an unenforced direction decided. */
  POLICY_LOOKED_UP: 32,
  /** Direction enforced: a default deny applies to what no rule allows. */
  ENFORCED: 64,
  EGRESS: 128,
  IPV6: 256,
  SNAT: 512,
  /** Put into another packet: an IPIP packet towards its backend, or one of the overlay. */
  ENCAPSULATED: 1024,
  /** What leaves is the answer to the sender: an ICMP error or a TCP reset to what was dropped, or to a neighbour's question. */
  ANSWERED: 2048,
  /** Went through the overlay: put into one of its packets, or taken out of one. */
  OVERLAY: 4096,
  /** Taken out of an IPIP packet. */
  DECAPSULATED: 8192,
} as const;

/** Feature bits of the configuration; a clear bit costs a packet nothing. */
export const FEATURE = {
  IPV4: 1 << 0,
  IPV6: 1 << 1,
  SCTP: 1 << 2,
  FRAGMENTS_V4: 1 << 3,
  FRAGMENTS_V6: 1 << 4,
  SOURCE_CHECK: 1 << 5,
  EXTERNAL_CLUSTER_IP: 1 << 6,
  /** No backend at all: drop with 158 instead of handing the packet to the stack. */
  NO_BACKEND_DROP: 1 << 7,
  /** No backend at all: answer with an ICMP error. */
  NO_BACKEND_REJECT: 1 << 8,
  POLICY_DENY_ICMP: 1 << 9,
  AUDIT: 1 << 10,
  CT_ACCOUNTING: 1 << 11,
  ICMP_FRAG_NEEDED: 1 << 12,
  ICMP_RULES: 1 << 13,
  TUNNEL: 1 << 14,
  NODE_PORT: 1 << 15,
  /** At to-netdev: pods' IPv4 connections to the outside get the node's address. */
  MASQUERADE_V4: 1 << 16,
  VLAN_FILTER: 1 << 17,
  L7_PROXY: 1 << 18,
  EVENTS: 1 << 19,
  /** At xdp: packets of services whose backend is on another node go there inside IPIP, and the answer goes directly. */
  DSR_IPIP: 1 << 20,
  /** Denied TCP of pods is answered with a reset (other protocols with the ICMP error of POLICY_DENY_ICMP). */
  POLICY_DENY_RESET: 1 << 24,
  /** A packet over the MTU of its route is answered with "fragmentation needed" or "packet too big". */
  PMTU_DISCOVERY: 1 << 25,
  /** As MASQUERADE_V4 for IPv6. */
  MASQUERADE_V6: 1 << 21,
  /** The node's own traffic is policed (host policies). */
  HOST_FIREWALL: 1 << 27,
  /** At from-netdev: ARP requests and neighbour solicitations for announced addresses are answered. */
  L2_RESPONDER: 1 << 28,
  /** At to-netdev: what endpoints with a limit send leaves no faster. */
  BANDWIDTH: 1 << 29,
  /** Frontends with FORWARD_DSR: a backend on another node gets the frontend in an IP option, and answers as it; at both ends. */
  DSR_OPTION: 1 << 22,
  /** The same by a Geneve option: the packet goes to the backend's node through the overlay. */
  DSR_GENEVE: 1 << 23,
  /** What is behind a tunnel endpoint goes there inside a packet of the overlay, made here and not by the stack's device. */
  OVERLAY: 1 << 26,
  /** The overlay's packets are Geneve, not VXLAN. */
  GENEVE: 1 << 30,
  /** Both together: as DSR_IPIP, at from-netdev and by the route of the backend. */
  DSR_IPIP_NETDEV: (1 << 22) | (1 << 23),
  /** At from-netdev: IPIP packets around what is for a load-balancer frontend are opened. */
  IPIP_TERMINATION: 1 << 31,
} as const;

/** Features that only the simulator has: the kernel engine refuses a configuration with one of them (EOPNOTSUPP). */
export const SIMULATOR_FEATURES =
  FEATURE.DSR_OPTION | FEATURE.DSR_GENEVE | FEATURE.OVERLAY | FEATURE.GENEVE | FEATURE.IPIP_TERMINATION;

/** What each of them is, in words. */
export const SIMULATOR_FEATURE_TEXT: ReadonlyMap<number, string> = new Map([
  [FEATURE.DSR_OPTION, 'direct server return by option (loadBalancer.dsrDispatch: opt)'],
  [FEATURE.DSR_GENEVE, 'direct server return by Geneve (loadBalancer.dsrDispatch: geneve)'],
  [FEATURE.OVERLAY, 'packets of the overlay (routingMode: tunnel, with a topology)'],
  [FEATURE.GENEVE, 'Geneve (tunnelProtocol: geneve)'],
  [
    FEATURE.DSR_IPIP_NETDEV,
    'direct server return by IPIP behind xdp (loadBalancer.dsrDispatch: ipip, with a topology)',
  ],
  [FEATURE.IPIP_TERMINATION, 'opening of IPIP packets (enable-ipip-termination)'],
]);

/** Reserved security identities (Cilium's numeric identities). */
export const IDENTITY = {
  UNKNOWN: 0,
  HOST: 1,
  WORLD: 2,
  UNMANAGED: 3,
  HEALTH: 4,
  INIT: 5,
  REMOTE_NODE: 6,
  KUBE_APISERVER: 7,
  INGRESS: 8,
  WORLD_IPV4: 9,
  WORLD_IPV6: 10,
  AGGREGATE_CLUSTER: 11,
  AGGREGATE_CLUSTERMESH: 12,
  AGGREGATE_WORLD: 13,
  AGGREGATE_REMOTE_NODE: 14,
  /** First and last identity of the cluster's own pods. */
  CLUSTER_FIRST: 256,
  CLUSTER_LAST: 65535,
  /** Scope byte of node-local identities: CIDRs. */
  SCOPE_LOCAL: 0x01000000,
  /** Scope byte of identities for remote nodes with labels. */
  SCOPE_REMOTE_NODE: 0x02000000,
} as const;

/**
 * The aggregate of an identity: one number that stands for its class in policy keys (Cilium's aggregate identities).
 * Own cluster 11, other clusters 12, CIDR scope 13, remote-node scope 14, reserved (< 100) 0.
 */
export function aggregateOf(identity: number): number {
  const scope = identity >>> 24;
  if (scope === 1) return 13;
  if (scope === 2) return 14;
  if (identity < 100 && identity >= 0) return 0;
  return identity <= 65535 && identity >= 0 ? 11 : 12;
}
