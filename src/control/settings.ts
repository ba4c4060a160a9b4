// What the compiler is told besides the objects: the part of the configuration that decides over map content.
// Input: whatever reads values.yaml. Output: CompileSettings. Defaults are those of Cilium's Helm chart.
import { ALGORITHM, FEATURE } from '../schema/index.ts';
import { type Config, ipv6Enabled, isDsrBy } from './config/index.ts';
import { type LabelFilter, labelFilter } from './label-filter.ts';
import { parsePrefix } from './manifest/address.ts';
import type { ClusterState, IpPrefix } from './state.ts';
import type { Topology } from './topology.ts';

/** Settings of a compile. Helm keys are in the comments. */
export interface CompileSettings {
  /** `kubernetes`: NetworkPolicy as its own suite reads it: an ipBlock may match pods and nodes, a pod's own node is always allowed. */
  readonly semantics: 'cilium' | 'kubernetes';
  /** The node that is compiled for; undefined: every pod of the cluster is an endpoint. */
  readonly node: string | undefined;
  /** The surroundings of `node`; undefined: no route is known, the stack decides. */
  readonly topology: Topology | undefined;
  /** `routingMode` is `tunnel`. */
  readonly tunnel: boolean;
  /** Most entries that the policy of one endpoint may have. */
  readonly policyMapMax: number;
  /** `cluster.name` */
  readonly clusterName: string;
  /** `labels`: which labels are part of identities. */
  readonly labelFilter: LabelFilter;
  /** `ipv4.enabled`, `ipv6.enabled` */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** `policyEnforcementMode` */
  readonly policyEnforcement: 'default' | 'always' | 'never';
  /** `policyCIDRMatchMode` contains `nodes` */
  readonly cidrMatchNodes: boolean;
  /** `nodeSelectorLabels` */
  readonly nodeSelectorLabels: boolean;
  /** `hostFirewall.enabled`: nodes are endpoints with policies of their own. */
  readonly hostFirewall: boolean;
  /** Agent flag `allow-localhost`: `auto` and `always` let a pod's own node in on ingress. */
  readonly allowLocalhost: 'auto' | 'always' | 'policy';
  /** `kubeProxyReplacement` */
  readonly kubeProxyReplacement: boolean;
  /** Agent flag `enable-external-ips` */
  readonly externalIPs: boolean;
  /** `bpf.lbExternalClusterIP` */
  readonly externalClusterIP: boolean;
  /** `loadBalancer.algorithm` */
  readonly algorithm: 'random' | 'maglev';
  /** `bpf.lbAlgorithmAnnotation` */
  readonly algorithmAnnotation: boolean;
  /** `loadBalancer.mode`; `bpf.lbModeAnnotation` */
  readonly mode: 'snat' | 'dsr' | 'hybrid';
  readonly modeAnnotation: boolean;
  /** `loadBalancer.serviceTopology` */
  readonly serviceTopology: boolean;
  /** `k8s.serviceProxyName` */
  readonly serviceProxyName: string;
  /** Agent flag `enable-scale-to-zero` */
  readonly scaleToZero: boolean;
  /** `nodePort.enableHealthCheck` */
  readonly healthCheckNodePort: boolean;
  /** `nodePort.addresses`; empty: every InternalIP and ExternalIP. */
  readonly nodePortAddresses: readonly IpPrefix[];
  /** `bpf.lbSourceRangeAllTypes` */
  readonly sourceRangeAllTypes: boolean;
  /** Agent flag `bpf-lb-enable-wildcard-entries` */
  readonly wildcardEntries: boolean;
  /** `maglev.tableSize`, `maglev.hashSeed` */
  readonly maglevSize: number;
  readonly maglevSeed: string;
  /** Agent flag `node-port-range` */
  readonly nodePortFirst: number;
  readonly nodePortLast: number;
  /** FEATURE bits besides IPV4, IPV6 and those that other settings imply. */
  readonly features: number;
  /** Conntrack lifetimes in seconds (`bpf-ct-timeout-*`). */
  readonly ctTcpLifetime: number;
  readonly ctAnyLifetime: number;
  readonly ctServiceTcpLifetime: number;
  readonly ctServiceAnyLifetime: number;
  readonly ctSynLifetime: number;
  readonly ctCloseLifetime: number;
  readonly ctServiceGrace: number;
  /** `bpf.monitorInterval`, seconds. */
  readonly reportInterval: number;
  /** `bpf.vlanBypass`: VLANs that pass the devices; empty: all do. */
  readonly vlans: readonly number[];
  /** `tunnelPort` */
  readonly tunnelPort: number;
  /** Seconds that xdp remembers a flow: what conntrack gives a service's TCP connection. */
  readonly flowLifetime: number;
  /** Outer source of IPIP and how many of its bits are kept: `bpf-lb-rss-ipv4-src-cidr`, else the node's address, whole. */
  readonly encapSource4: number;
  readonly encapSource6: Uint8Array;
  readonly encapPrefix4: number;
  readonly encapPrefix6: number;
  /** Source of ICMP errors about routing: the InternalIPs of the node that is compiled for; zero: none. */
  readonly routerAddress4: number;
  readonly routerAddress6: Uint8Array;
  /** First port that source NAT gives out: behind the NodePort range. */
  readonly natPortFirst: number;
  /** `bpf.masquerade` with `enableIPv4Masquerade` or `enableIPv6Masquerade`. */
  readonly masquerade4: boolean;
  readonly masquerade6: boolean;
  /** `ipv4NativeRoutingCIDR`, `ipv6NativeRoutingCIDR`: prefixes in text. */
  readonly nativeRouting: readonly string[];
  /** `ipMasqAgent.enabled`, and what it exempts: prefixes in text. */
  readonly masqueradeAgent: boolean;
  readonly masqueradeExempt: readonly string[];
  /** `l2announcements.enabled` */
  readonly l2Announcements: boolean;
  /** `bandwidthManager.enabled` */
  readonly bandwidthManager: boolean;
}

/** How a compile is asked for, besides the configuration. */
export interface CompileOptions {
  /** `cilium` where absent. */
  readonly semantics?: CompileSettings['semantics'];
  /** The node to compile for; absent: every pod of the cluster is an endpoint. */
  readonly node?: string;
  /** What is around that node. */
  readonly topology?: Topology;
}

/** The settings of a configuration; the state decides over what the configuration leaves to be found out (`ipv6.enabled`). */
export function settingsOf(config: Config, state: ClusterState, options: CompileOptions = {}): CompileSettings {
  const [nodePortFirst, nodePortLast] = config['nodePort.range'] as readonly [number, number];
  return {
    semantics: options.semantics ?? 'cilium',
    node: options.node,
    topology: options.topology,
    tunnel: config.routingMode === 'tunnel',
    policyMapMax: config['bpf.policyMapMax'],
    clusterName: config['cluster.name'],
    labelFilter: labelFilter(config.labels),
    ipv4: config['ipv4.enabled'],
    ipv6: ipv6Enabled(config, state),
    policyEnforcement: config.policyEnforcementMode,
    cidrMatchNodes: config.policyCIDRMatchMode.includes('nodes'),
    nodeSelectorLabels: config.nodeSelectorLabels,
    hostFirewall: config['hostFirewall.enabled'],
    allowLocalhost: config['allow-localhost'],
    kubeProxyReplacement: config.kubeProxyReplacement,
    externalIPs: config['enable-external-ips'],
    externalClusterIP: config['bpf.lbExternalClusterIP'],
    algorithm: config['loadBalancer.algorithm'],
    algorithmAnnotation: config['bpf.lbAlgorithmAnnotation'],
    mode: config['loadBalancer.mode'],
    modeAnnotation: config['bpf.lbModeAnnotation'],
    serviceTopology: config['loadBalancer.serviceTopology'],
    serviceProxyName: config['k8s.serviceProxyName'],
    scaleToZero: config['enable-scale-to-zero'],
    healthCheckNodePort: config['nodePort.enableHealthCheck'],
    nodePortAddresses: config['nodePort.addresses'].flatMap((text) => {
      const prefix = parsePrefix(text, true);
      return prefix.ok ? [prefix.value] : [];
    }),
    sourceRangeAllTypes: config['bpf.lbSourceRangeAllTypes'],
    wildcardEntries: config['bpf-lb-enable-wildcard-entries'],
    maglevSize: config['maglev.tableSize'],
    maglevSeed: config['maglev.hashSeed'],
    nodePortFirst,
    nodePortLast,
    features: configuredFeatures(config) | overlayFeatures(config, options),
    ctTcpLifetime: config['bpf-ct-timeout-regular-tcp'],
    ctAnyLifetime: config['bpf-ct-timeout-regular-any'],
    ctServiceTcpLifetime: config['bpf-ct-timeout-service-tcp'],
    ctServiceAnyLifetime: config['bpf-ct-timeout-service-any'],
    ctSynLifetime: config['bpf-ct-timeout-regular-tcp-syn'],
    ctCloseLifetime: config['bpf-ct-timeout-regular-tcp-fin'],
    ctServiceGrace: config['bpf-ct-timeout-service-tcp-grace'],
    reportInterval: config['bpf.monitorInterval'],
    vlans: allowedVlans(config),
    tunnelPort: config.tunnelPort || (isGeneve(config) ? 6081 : 8472),
    flowLifetime: config['bpf-ct-timeout-service-tcp'],
    natPortFirst: Math.min(nodePortLast + 1, 65535),
    masquerade4: config['bpf.masquerade'] && config.enableIPv4Masquerade,
    masquerade6: config['bpf.masquerade'] && config.enableIPv6Masquerade,
    nativeRouting: [config.ipv4NativeRoutingCIDR, config.ipv6NativeRoutingCIDR].filter((text) => text !== ''),
    masqueradeAgent: config['ipMasqAgent.enabled'],
    masqueradeExempt: exemptByAgent(config),
    l2Announcements: config['l2announcements.enabled'],
    bandwidthManager: config['bandwidthManager.enabled'],
    ...encapsulation(config, state, options.node),
    ...routerAddresses(state, options.node),
  };
}

/** What ip-masq-agent exempts where its configuration names nothing: its own defaults. */
const AGENT_DEFAULTS =
  '10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4';

function exemptByAgent(config: Config): string[] {
  const named = config['ipMasqAgent.config.nonMasqueradeCIDRs'];
  return [
    ...(named.length > 0 ? named : AGENT_DEFAULTS.split(' ')),
    ...(config['ipMasqAgent.config.masqLinkLocal'] ? [] : ['169.254.0.0/16']),
    ...(config['ipMasqAgent.config.masqLinkLocalIPv6'] ? [] : ['fe80::/10']),
  ];
}

/** VLANs in the list; none where the list has 0, which stands for all, or is empty. */
function allowedVlans(config: Config): readonly number[] {
  const ids = config['bpf.vlanBypass'];
  return ids.includes(0) ? [] : [...new Set(ids)].sort((a, b) => a - b);
}

function routerAddresses(
  state: ClusterState,
  nodeName: string | undefined,
): Pick<CompileSettings, 'routerAddress4' | 'routerAddress6'> {
  const node = state.nodes.find(({ name }) => name === nodeName);
  const own = (family: 4 | 6): Uint8Array =>
    node?.addresses.find(({ type, address }) => type === 'InternalIP' && address.family === family)?.address.bytes ??
    new Uint8Array(family === 4 ? 4 : 16);
  return { routerAddress4: own(4).reduce((number, byte) => number * 256 + byte, 0), routerAddress6: own(6) };
}

/** Outer sources: the configured prefixes, else the InternalIPs of the node that is compiled for, else nothing. */
function encapsulation(
  config: Config,
  state: ClusterState,
  nodeName: string | undefined,
): Pick<CompileSettings, 'encapSource4' | 'encapSource6' | 'encapPrefix4' | 'encapPrefix6'> {
  const node = state.nodes.find(({ name }) => name === nodeName);
  const source = (family: 4 | 6, text: string): { readonly bytes: Uint8Array; readonly bits: number } => {
    const prefix = text === '' ? undefined : parsePrefix(text, false);
    if (prefix?.ok === true) return { bytes: prefix.value.bytes, bits: prefix.value.prefixLen };
    const own = node?.addresses.find(({ type, address }) => type === 'InternalIP' && address.family === family);
    const length = family === 4 ? 4 : 16;
    return { bytes: own?.address.bytes ?? new Uint8Array(length), bits: 8 * length };
  };
  const four = source(4, config['bpf-lb-rss-ipv4-src-cidr']);
  const six = source(6, config['bpf-lb-rss-ipv6-src-cidr']);
  return {
    encapSource4: four.bytes.reduce((number, byte) => number * 256 + byte, 0),
    encapSource6: six.bytes,
    encapPrefix4: four.bits,
    encapPrefix6: six.bits,
  };
}

function configuredFeatures(config: Config): number {
  const bit = (on: boolean, feature: number): number => (on ? feature : 0);
  // Otherwise the stack gets what has no backend: neither bit.
  const answered = config.enableNoServiceEndpointsRoutable;
  return (
    FEATURE.ICMP_FRAG_NEEDED |
    FEATURE.EVENTS |
    bit(config['enable-icmp-rules'], FEATURE.ICMP_RULES) |
    bit(config['sctp.enabled'], FEATURE.SCTP) |
    bit(config.fragmentTracking, FEATURE.FRAGMENTS_V4) |
    bit(config['enable-ipv6-fragment-tracking'], FEATURE.FRAGMENTS_V6) |
    bit(config['daemon.enableSourceIPVerification'], FEATURE.SOURCE_CHECK) |
    bit(answered && config.serviceNoBackendResponse === 'reject', FEATURE.NO_BACKEND_REJECT) |
    bit(answered && config.serviceNoBackendResponse === 'drop', FEATURE.NO_BACKEND_DROP) |
    bit(config.policyDenyResponse !== 'none', FEATURE.POLICY_DENY_ICMP) |
    bit(config.policyDenyResponse === 'reset', FEATURE.POLICY_DENY_RESET) |
    bit(config['pmtuDiscovery.enabled'], FEATURE.PMTU_DISCOVERY) |
    bit(allowedVlans(config).length > 0, FEATURE.VLAN_FILTER) |
    bit(config.policyAuditMode, FEATURE.AUDIT) |
    bit(config['bpf.ctAccounting'], FEATURE.CT_ACCOUNTING) |
    bit(config.routingMode === 'tunnel', FEATURE.TUNNEL) |
    bit(config['enable-ipip-termination'], FEATURE.IPIP_TERMINATION) |
    bit(isDsrBy(config, 'ipip'), FEATURE.DSR_IPIP) |
    bit(isDsrBy(config, 'opt'), FEATURE.DSR_OPTION)
  );
}

/**
 * Packets of the overlay, and IPIP at tc, are made where there is a topology to route them by, else the stack's device makes them. Direct return by
 * Geneve goes through it in any case.
 */
function overlayFeatures(config: Config, { topology }: CompileOptions): number {
  const overlay = config.routingMode === 'tunnel' && topology !== undefined ? FEATURE.OVERLAY : 0;
  const direct = isDsrBy(config, 'geneve') ? FEATURE.DSR_GENEVE : 0;
  const geneve = (overlay | direct) !== 0 && isGeneve(config) ? FEATURE.GENEVE : 0;
  const ipip = isDsrBy(config, 'ipip') && topology !== undefined ? FEATURE.DSR_IPIP_NETDEV : 0;
  return overlay | direct | geneve | ipip;
}

/** Whether the overlay's packets are Geneve: by `tunnelProtocol`, or because nothing else can carry what direct return tells. */
const isGeneve = (config: Config): boolean => config.tunnelProtocol === 'geneve' || isDsrBy(config, 'geneve');

/** Whether addresses on other nodes have tunnel endpoints in the ipcache: it is one node's view, like its routes. */
export const hasTunnels = (settings: CompileSettings): boolean =>
  settings.node !== undefined && (settings.features & (FEATURE.OVERLAY | FEATURE.DSR_GENEVE)) !== 0;

/** The feature bits of the configuration value. */
export function featureBits(settings: CompileSettings): number {
  let bits = settings.features;
  if (settings.ipv4) bits |= FEATURE.IPV4;
  if (settings.ipv6) bits |= FEATURE.IPV6;
  if (settings.externalClusterIP) bits |= FEATURE.EXTERNAL_CLUSTER_IP;
  if (settings.kubeProxyReplacement) bits |= FEATURE.NODE_PORT;
  if (settings.hostFirewall) bits |= FEATURE.HOST_FIREWALL;
  if (settings.masquerade4) bits |= FEATURE.MASQUERADE_V4;
  if (settings.masquerade6) bits |= FEATURE.MASQUERADE_V6;
  if (settings.l2Announcements) bits |= FEATURE.L2_RESPONDER;
  if (settings.bandwidthManager) bits |= FEATURE.BANDWIDTH;
  return bits >>> 0;
}

/** The node's default algorithm as a number of the contract. */
export const defaultAlgorithm = (settings: CompileSettings): number =>
  settings.algorithm === 'maglev' ? ALGORITHM.MAGLEV : ALGORITHM.RANDOM;
