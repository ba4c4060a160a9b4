// The one table of configuration options that Weir knows: Helm key, agent key, type, default, and whether it is honoured.
// In: nothing. Out: `options`, and Config, whose fields are the table's Helm keys (agent keys where the chart has none).
// Invariant: defaults are those of Cilium's chart, or the agent's where the chart leaves a key unset; the only exception
// is `ipv6.enabled`, which is 'auto' (on when the manifests hold IPv6 addresses) until somebody sets it.
import {
  autoFlag,
  duration,
  flag,
  integer,
  integers,
  labelFilters,
  looseFlag,
  oneInteger,
  portRange,
  prefix,
  prefixes,
  ratio,
  text,
  texts,
  word,
  type OptionSpec,
} from './option-types.ts';

const MAX = 0x7fffffff;
/** Entries of a conntrack or NAT table. Cilium's bounds, but one entry less at the top: an entry's number has 24 bits. */
const TABLE_MIN = 1 << 10;
const TABLE_MAX = (1 << 24) - 1;

/** Every option, by its key. */
export const options = {
  // Families and kube-proxy replacement
  'ipv4.enabled': flag('enable-ipv4', 'honoured', true),
  'ipv6.enabled': autoFlag('enable-ipv6', 'honoured'),
  kubeProxyReplacement: looseFlag('kube-proxy-replacement', 'honoured', false),
  'enable-external-ips': flag('enable-external-ips', 'honoured', true),
  'nodePort.range': portRange('node-port-range', 'honoured', [30000, 32767]),
  'nodePort.addresses': prefixes('nodeport-addresses', 'honoured'),
  'nodePort.enableHealthCheck': flag('enable-health-check-nodeport', 'honoured', true),
  'nodePort.enableHealthCheckLoadBalancerIP': flag('enable-health-check-loadbalancer-ip', 'not-yet', false),
  'nodePort.bindProtection': flag('node-port-bind-protection', 'neutral', true),
  'nodePort.autoProtectPortRange': flag('enable-auto-protect-node-port-range', 'neutral', true),
  'nodePort.directRoutingDevice': text('direct-routing-device', 'neutral', ''),
  'socketLB.enabled': flag('bpf-lb-sock', 'not-yet', false),
  'socketLB.hostNamespaceOnly': flag('bpf-lb-sock-hostns-only', 'not-yet', false),
  'k8s.serviceProxyName': text('k8s-service-proxy-name', 'honoured', ''),

  // Load balancing
  'loadBalancer.algorithm': word('bpf-lb-algorithm', 'honoured', 'random', ['random', 'maglev']),
  'loadBalancer.mode': word('bpf-lb-mode', 'honoured', 'snat', ['snat', 'dsr', 'hybrid']),
  'loadBalancer.acceleration': word('bpf-lb-acceleration', 'not-yet', 'disabled', [
    'disabled',
    'native',
    'best-effort',
    'generic',
    'testing-only',
  ]),
  'loadBalancer.dsrDispatch': word('bpf-lb-dsr-dispatch', 'honoured', 'opt', ['opt', 'ipip', 'geneve']),
  'enable-ipip-termination': flag('enable-ipip-termination', 'honoured', false),
  'bpf-lb-rss-ipv4-src-cidr': prefix('bpf-lb-rss-ipv4-src-cidr', 'honoured', 4, 1),
  'bpf-lb-rss-ipv6-src-cidr': prefix('bpf-lb-rss-ipv6-src-cidr', 'honoured', 6, 96),
  'loadBalancer.serviceTopology': flag('enable-service-topology', 'honoured', false),
  'loadBalancer.standalone': flag('bpf-lb-only', 'not-yet', false),
  'loadBalancer.l7.backend': word('loadbalancer-l7', 'not-yet', 'disabled', ['disabled', 'envoy']),
  'maglev.tableSize': oneInteger(
    'bpf-lb-maglev-table-size',
    'honoured',
    16381,
    [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071],
  ),
  'maglev.hashSeed': text(
    'bpf-lb-maglev-hash-seed',
    'honoured',
    'JLfvgnHc2kaSUFaI',
    /^[A-Za-z0-9+/]{16}$/,
    '12 bytes in base64 (16 characters)',
  ),
  'bpf.lbExternalClusterIP': flag('bpf-lb-external-clusterip', 'honoured', false),
  'bpf.lbAlgorithmAnnotation': flag('bpf-lb-algorithm-annotation', 'honoured', false),
  'bpf.lbModeAnnotation': flag('bpf-lb-mode-annotation', 'honoured', false),
  'bpf.lbSourceRangeAllTypes': flag('bpf-lb-source-range-all-types', 'honoured', false),
  'bpf-lb-enable-wildcard-entries': flag('bpf-lb-enable-wildcard-entries', 'honoured', true),
  'enable-scale-to-zero': flag('enable-scale-to-zero', 'honoured', false),
  'bpf.disableExternalIPMitigation': flag('disable-external-ip-mitigation', 'not-yet', false),
  enableNoServiceEndpointsRoutable: flag('enable-no-service-endpoints-routable', 'honoured', true),
  serviceNoBackendResponse: word('service-no-backend-response', 'honoured', 'reject', ['reject', 'drop']),

  // Map sizes (entries)
  'bpf.lbMapMax': integer('bpf-lb-map-max', 'honoured', 65536, 1, TABLE_MAX),
  // 0: as bpf.lbMapMax.
  'bpf-lb-service-map-max': integer('bpf-lb-service-map-max', 'honoured', 0, 0, TABLE_MAX),
  'bpf-lb-service-backend-map-max': integer('bpf-lb-service-backend-map-max', 'honoured', 0, 0, TABLE_MAX),
  'bpf-lb-rev-nat-map-max': integer('bpf-lb-rev-nat-map-max', 'honoured', 0, 0, TABLE_MAX),
  'bpf-lb-affinity-map-max': integer('bpf-lb-affinity-map-max', 'honoured', 0, 0, TABLE_MAX),
  'bpf-lb-source-range-map-max': integer('bpf-lb-source-range-map-max', 'honoured', 0, 0, TABLE_MAX),
  'bpf-lb-maglev-map-max': integer('bpf-lb-maglev-map-max', 'honoured', 0, 0, TABLE_MAX),
  'bpf.ctTcpMax': integer('bpf-ct-global-tcp-max', 'honoured', 524288, TABLE_MIN, TABLE_MAX),
  'bpf.ctAnyMax': integer('bpf-ct-global-any-max', 'honoured', 262144, TABLE_MIN, TABLE_MAX),
  'bpf.natMax': integer('bpf-nat-global-max', 'honoured', 524288, TABLE_MIN, TABLE_MAX),
  'bpf.neighMax': integer('bpf-neigh-global-max', 'honoured', 524288, 1, TABLE_MAX),
  'bpf.nodeMapMax': integer('bpf-node-map-max', 'neutral', 16384, 1, MAX),
  'bpf.policyMapMax': integer('bpf-policy-map-max', 'honoured', 16384, 256, 65536),
  'bpf.policyStatsMapMax': integer('bpf-policy-stats-map-max', 'neutral', 65536, 1, MAX),
  'bpf.authMapMax': integer('bpf-auth-map-max', 'neutral', 524288, 1, MAX),
  'bpf-fragments-map-max': integer('bpf-fragments-map-max', 'honoured', 8192, 256, 65536),
  'bpf-sock-rev-map-max': integer('bpf-sock-rev-map-max', 'not-yet', 262144, 1, MAX),
  'bpf.mapDynamicSizeRatio': ratio('bpf-map-dynamic-size-ratio', 'neutral', 0.0025),
  'bpf.preallocateMaps': flag('preallocate-bpf-maps', 'neutral', false),
  'bpf.distributedLRU.enabled': flag('bpf-distributed-lru', 'neutral', false),

  // Conntrack (seconds)
  'bpf-ct-timeout-regular-tcp': duration('bpf-ct-timeout-regular-tcp', 'honoured', 8000),
  'bpf-ct-timeout-regular-any': duration('bpf-ct-timeout-regular-any', 'honoured', 60),
  'bpf-ct-timeout-service-tcp': duration('bpf-ct-timeout-service-tcp', 'honoured', 8000),
  'bpf-ct-timeout-service-any': duration('bpf-ct-timeout-service-any', 'honoured', 60),
  'bpf-ct-timeout-regular-tcp-syn': duration('bpf-ct-timeout-regular-tcp-syn', 'honoured', 60),
  'bpf-ct-timeout-regular-tcp-fin': duration('bpf-ct-timeout-regular-tcp-fin', 'honoured', 10),
  'bpf-ct-timeout-service-tcp-grace': duration('bpf-ct-timeout-service-tcp-grace', 'honoured', 60),
  /** 0: by what each pass finds. */
  conntrackGCInterval: duration('conntrack-gc-interval', 'honoured', 0),
  /** 0: twelve hours. */
  conntrackGCMaxInterval: duration('conntrack-gc-max-interval', 'honoured', 0),
  'bpf.ctAccounting': flag('bpf-conntrack-accounting', 'honoured', false),
  fragmentTracking: flag('enable-ipv4-fragment-tracking', 'honoured', true),
  'enable-ipv6-fragment-tracking': flag('enable-ipv6-fragment-tracking', 'honoured', false),

  // Policy
  policyEnforcementMode: word('enable-policy', 'honoured', 'default', ['default', 'always', 'never']),
  policyAuditMode: flag('policy-audit-mode', 'honoured', false),
  policyCIDRMatchMode: texts('policy-cidr-match-mode', 'honoured', [], ['nodes']),
  /** Of what pods send. `reset` is Weir's own: TCP gets a reset, other protocols the ICMP error. */
  policyDenyResponse: word('policy-deny-response', 'honoured', 'none', ['none', 'icmp', 'reset']),
  'allow-localhost': word('allow-localhost', 'honoured', 'auto', ['auto', 'always', 'policy']),
  'k8sNetworkPolicy.enabled': flag('enable-k8s-networkpolicy', 'not-yet', true),
  'k8sClusterNetworkPolicy.enabled': flag('enable-k8s-cluster-network-policy', 'not-yet', false),
  enableNonDefaultDenyPolicies: flag('enable-non-default-deny-policies', 'not-yet', true),
  'enable-icmp-rules': flag('enable-icmp-rules', 'honoured', true),
  'sctp.enabled': flag('enable-sctp', 'honoured', false),
  'hostFirewall.enabled': flag('enable-host-firewall', 'honoured', false),
  nodeSelectorLabels: flag('enable-node-selector-labels', 'honoured', false),
  l7Proxy: flag('enable-l7-proxy', 'not-yet', true),
  labels: labelFilters('labels', 'honoured'),
  nodeLabels: text('node-labels', 'not-yet', ''),
  'cluster.name': text(
    'cluster-name',
    'honoured',
    'default',
    /^[a-z0-9](?:[-a-z0-9]{0,30}[a-z0-9])?$/,
    "a cluster name (at most 32 lower-case letters, digits and '-')",
  ),
  'cluster.id': integer('cluster-id', 'not-yet', 0, 0, 511),

  // Routing and device programs
  /** Decides whether pods may send to the tunnel's port, and, with a topology, whether packets to other nodes go in packets of the overlay. */
  routingMode: word('routing-mode', 'honoured', 'tunnel', ['tunnel', 'native']),
  tunnelProtocol: word('tunnel-protocol', 'honoured', 'vxlan', ['vxlan', 'geneve']),
  /** 0: the protocol's own, 8472 for VXLAN and 6081 for Geneve. */
  tunnelPort: integer('tunnel-port', 'honoured', 0, 0, 65535),
  underlayProtocol: word('underlay-protocol', 'not-yet', 'ipv4', ['ipv4', 'ipv6', 'auto']),
  'pmtuDiscovery.enabled': flag('enable-pmtu-discovery', 'honoured', false),
  MTU: integer('mtu', 'not-yet', 0, 0, 65535),
  /** A replay knows by these two where a node's address may stand for a pod's. */
  enableIPv4Masquerade: flag('enable-ipv4-masquerade', 'honoured', true),
  enableIPv6Masquerade: flag('enable-ipv6-masquerade', 'honoured', true),
  /** Off: the stack masquerades, which no program sees; on: to-netdev does. */
  'bpf.masquerade': flag('enable-bpf-masquerade', 'honoured', false),
  /** Unset: the pod networks of the nodes. */
  ipv4NativeRoutingCIDR: prefix('ipv4-native-routing-cidr', 'honoured', 4, 0),
  ipv6NativeRoutingCIDR: prefix('ipv6-native-routing-cidr', 'honoured', 6, 0),
  'ipMasqAgent.enabled': flag('enable-ip-masq-agent', 'honoured', false),
  /** Empty: the agent's own list of private and documentation networks. */
  'ipMasqAgent.config.nonMasqueradeCIDRs': texts(undefined, 'honoured', []),
  'ipMasqAgent.config.masqLinkLocal': flag(undefined, 'honoured', false),
  'ipMasqAgent.config.masqLinkLocalIPv6': flag(undefined, 'honoured', false),
  'endpointRoutes.enabled': flag('enable-endpoint-routes', 'not-yet', false),
  'daemon.enableSourceIPVerification': flag('enable-source-ip-verification', 'honoured', true),
  /** 0 and, unlike in Cilium, an empty list stand for every VLAN. */
  'bpf.vlanBypass': integers('vlan-bpf-bypass', 'honoured', [], 0, 4094),
  'bpf.datapathMode': word('datapath-mode', 'not-yet', 'veth', ['veth', 'netkit', 'netkit-l2', 'lb-only']),
  'bpf.hostLegacyRouting': flag('enable-host-legacy-routing', 'neutral', false),
  'bpf.tproxy': flag('enable-bpf-tproxy', 'neutral', false),
  'bpf.enableTCX': flag('enable-tcx', 'neutral', true),
  'bpf.root': text('bpf-root', 'neutral', '/sys/fs/bpf'),
  'cni.chainingMode': text('cni-chaining-mode', 'not-yet', 'none'),
  'nat46x64Gateway.enabled': flag('enable-nat46x64-gateway', 'not-yet', false),
  'egressGateway.enabled': flag('enable-egress-gateway', 'not-yet', false),
  'localRedirectPolicies.enabled': flag('enable-local-redirect-policy', 'not-yet', false),
  'envoyConfig.enabled': flag('enable-envoy-config', 'not-yet', false),
  'ingressController.enabled': flag('enable-ingress-controller', 'not-yet', false),
  'gatewayAPI.enabled': flag('enable-gateway-api', 'not-yet', false),
  /** Of what pods send (`kubernetes.io/egress-bandwidth`). */
  'bandwidthManager.enabled': flag('enable-bandwidth-manager', 'honoured', false),
  'l2announcements.enabled': flag('enable-l2-announcements', 'honoured', false),
  'vtep.enabled': flag('enable-vtep', 'not-yet', false),
  'encryption.enabled': flag(undefined, 'not-yet', false),
  'encryption.type': word(undefined, 'neutral', 'ipsec', ['ipsec', 'wireguard', 'ztunnel']),
  'enable-ipsec': flag('enable-ipsec', 'not-yet', false),
  'enable-wireguard': flag('enable-wireguard', 'not-yet', false),
  'clustermesh.useAPIServer': flag(undefined, 'not-yet', false),

  // Monitor
  'bpf.monitorAggregation': word('monitor-aggregation', 'not-yet', 'medium', [
    'none',
    'disabled',
    'lowest',
    'low',
    'medium',
    'max',
    'maximum',
  ]),
  'bpf.monitorInterval': duration('monitor-aggregation-interval', 'honoured', 5),
  'bpf.monitorFlags': text('monitor-aggregation-flags', 'not-yet', 'all'),
} as const satisfies {
  readonly [key: string]:
    OptionSpec<never> | OptionSpec<unknown> | OptionSpec<boolean> | OptionSpec<number> | OptionSpec<string>;
};

/** Key of an option: the Helm key, or the agent's where the chart has none. */
export type OptionKey = keyof typeof options;

/** A complete configuration. Durations are in seconds. */
export type Config = { readonly [K in OptionKey]: (typeof options)[K] extends OptionSpec<infer T> ? T : never };

/** All keys, in the table's order. */
export const optionKeys = Object.keys(options) as OptionKey[];

/** Agent key → option key. */
export const agentKeys: ReadonlyMap<string, OptionKey> = new Map(
  optionKeys.flatMap((key) => (options[key].agent === undefined ? [] : [[options[key].agent, key] as const])),
);

/** Older spellings that charts and agents still take: key as written → option key. */
export const aliases: ReadonlyMap<string, OptionKey> = new Map<string, OptionKey>([
  ['externalIPs.enabled', 'enable-external-ips'],
  ['localRedirectPolicy', 'localRedirectPolicies.enabled'],
  ['bpf-lb-external-cluster-ip', 'bpf.lbExternalClusterIP'],
]);
