// Keys of Cilium's chart and agent that do not change what happens to a packet: images, probes, operators, Hubble …
// In: a key. Out: whether it is known to be neutral. Invariant: only keys that cannot change a verdict are listed here;
// whatever is in neither this list nor the table of options is reported as unknown.

const chartSections = new Set(
  `operator hubble image imagePullSecrets resources affinity nodeSelector tolerations podAnnotations podLabels podSecurityContext
  priorityClassName serviceAccounts securityContext updateStrategy terminationGracePeriodSeconds extraEnv extraVolumes extraVolumeMounts
  extraContainers extraInitContainers extraHostPathMounts initResources startupProbe livenessProbe readinessProbe rbac prometheus dashboards
  debug logOptions logSystemLoad namespaceOverride upgradeCompatibility preflight tls certgen clustermesh ipam k8s k8sServiceHost
  k8sServicePort k8sServiceHostRef k8sServiceLookupConfigMapName k8sServiceLookupNamespace k8sClientRateLimit kubeConfigPath cni envoy healthPort
  healthChecking endpointHealthChecking waitForKubeProxy annotateK8sNode autoDirectNodeRoutes directRoutingSkipUnreachable
  installNoConntrackIptablesRules l2NeighDiscovery pprof dnsProxy dnsPolicyUnloadOnShutdown nat eni azure gke alibabacloud
  aksbyocni nodeinit etcd identityAllocationMode identityManagementMode identityChangeGracePeriod
  crdWaitTimeout cleanState cleanBpfState cgroup customCalls bpfClockProbe disableEndpointCRD ciliumEndpointSlice enableCiliumEndpointSlice
  enableLBIPAM defaultLBServiceIPAM bgpControlPlane bgp l2podAnnouncements nodeIPAM scheduling dnsPolicy secretsNamespaceAnnotations
  secretsNamespaceLabels global commonLabels agent name rollOutCiliumPods agentNotReadyTaintKey apiRateLimit iptablesRandomFully iptablesLockTimeout
  enableXTSocketFallback synchronizeK8sNodes monitor enableIPv4BIGTCP enableIPv6BIGTCP enableTunnelBIGTCP forceDeviceDetection devices hostNetwork
  keepDeprecatedLabels keepDeprecatedProbes kubeProxyReplacementHealthzBindAddr wellKnownIdentities authentication standaloneDnsProxy enableIdentityMark
  connectivityProbeFrequencyRatio tmpVolume configDriftDetection healthCheckICMPFailureThreshold resourceQuotas egressMasqueradeInterfaces
  enableMasqueradeRouteSource disableEnvoyVersionCheck enableCriticalPriorityClass clusterHealthPort endpointLockdownOnMapOverflow tunnelSourcePortRange
  disableIptablesFeederRules sleepAfterInit minReadySeconds hostAliases autoscaling enableRuntimeDeviceDetection serviceMonitor readSecretsOnlyFromSecretsNamespace`.split(
    /\s+/,
  ),
);

/** Keys within sections whose other keys are options; a final dot stands for everything below. */
const chartPrefixes = [
  'bpf.events.',
  'bpf.policyMapPressureMetricsThreshold',
  'bpf.monitorTraceIPOption',
  'bpf.autoMount.',
  'bandwidthManager.bbr',
  'bandwidthManager.bbrHostNamespaceOnly',
  'daemon.runPath',
  'daemon.configSources',
  'daemon.allowedConfigOverrides',
  'daemon.blockedConfigOverrides',
  'egressGateway.reconciliationTriggerInterval',
  'egressGateway.maxPolicyEntries',
  'egressGateway.installRoutes',
  'encryption.',
  'envoyConfig.',
  'gatewayAPI.',
  'hostPort.enabled',
  'ingressController.',
  'ipMasqAgent.config',
  'l2announcements.leaseDuration',
  'l2announcements.leaseRenewDeadline',
  'l2announcements.leaseRetryPeriod',
  'loadBalancer.l7.ports',
  'loadBalancer.l7.algorithm',
  'localRedirectPolicies.addressMatcherCIDRs',
  'nodePort.enabled',
  'socketLB.terminatePodConnections',
  'socketLB.tracing',
  'vtep.endpoint',
  'vtep.cidr',
  'vtep.mask',
  'vtep.mac',
];

const agentPrefixes =
  `hubble- operator- ingress- enforce-ingress- enable-ingress- gateway-api- enable-gateway-api- enable-hubble envoy- proxy- http- mesh-auth- bgp- enable-bgp-
  eni- aws- ec2- azure- alibabacloud- ipam cluster-pool- multi-pool- ces- k8s- kvstore etcd- cni- clustermesh- enable-clustermesh identity- tofqdns- dnsproxy- dns-
  wireguard- ipsec- enable-ipsec- encrypt encryption- enable-encryption- iptables- install- l2- enable-l2- nat-map- bpf-events- prometheus- metrics controller-group-metrics
  pprof operator unmanaged- debug log- custom-cni-conf write-cni-conf read-cni-conf auto-create- auto-direct- direct-routing- api-rate-limit annotate- agent- arping-
  bpf-lb-sock-terminate bpf-policy-map-pressure bpf-root cgroup- cilium-endpoint-gc conntrack-gc cluster-health- crd-wait default-lb- devices disable-endpoint-crd
  disable-envoy disable-iptables egress-gateway- egress-masquerade- enable-auto enable-bbr enable-bpf-clock enable-cilium-endpoint-slice enable-drift enable-dynamic-config
  enable-endpoint-health enable-endpoint-lockdown enable-health-checking enable-identity-mark enable-ipv4-big enable-ipv6-big enable-tunnel-big enable-ipip
  enable-k8s enable-lb-ipam enable-local-node-route enable-masquerade-to-route enable-metrics enable-node-ipam enable-pmtu enable-policy-secrets enable-remote-node
  enable-route-mtu enable-runtime-device enable-standalone-dns enable-svc-source enable-tcx enable-unreachable-routes enable-well-known enable-xt-socket enable-ztunnel enable-internal-traffic
  endpoint- external-envoy force-device health-check- ipv4-native- ipv6-native- ip-masq ip-tracing- limit- local-router loadbalancer-l7- lrp- max-connected max-identit monitor-queue
  node-encryption nodes-gc packetization- pod-restart- policy-default-local policy-secrets policy-queue prepend- procfs remove-cilium- set-cilium- skip-crd skip-cnp standalone-dns- static-cnp subnet- instance-tags
  synchronize-k8s trace- tunnel-source- vtep- verify- wait- clean-cilium kube-proxy-replacement-healthz bpf-lb-source-range-map bpf-lb-service-map bpf-lb-service-backend bpf-lb-affinity-map bpf-lb-maglev-map bpf-lb-rev-nat connectivity-probe- container-ip-`.split(
    /\s+/,
  );

/** True for a Helm key that cannot change a verdict. */
export function isNeutralChartKey(key: string): boolean {
  const dot = key.indexOf('.');
  return (
    chartSections.has(dot < 0 ? key : key.slice(0, dot)) ||
    chartPrefixes.some((prefix) => key === prefix || (prefix.endsWith('.') && key.startsWith(prefix)))
  );
}

/** True for an agent key that cannot change a verdict. */
export function isNeutralAgentKey(key: string): boolean {
  return agentPrefixes.some((prefix) => key.startsWith(prefix));
}
