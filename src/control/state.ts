// ClusterState: the manifests as loaded, as plain read-only data. In: nothing (types and two constructors of empty values).
// Out: what the compiler, the lint and the printers read. Invariant: normalised where the API server would have filled
// a default, but "absent" (undefined) and "empty" ([]) of lists in policies stay apart, because they mean different things.
import type { AdminPolicy, CiliumPolicy, LabelSelector, NetworkPolicy } from './state-policy.ts';

export type * from './state-policy.ts';

/** Where an item stands in the input: 1-based line and column of its own first character. `file` is as the user gave it, `/`-separated; `-` is stdin. */
export interface Origin {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Anything that can be pointed at. A map item's origin is its first key's; a list item's is the item's, not the dash's. */
export interface Located {
  readonly origin: Origin;
}

/** An IPv4 or IPv6 address. `text` is canonical (RFC 5952), `bytes` are 4 or 16 bytes in network order; treat them as frozen. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** A prefix. Host bits are masked off in `bytes` and `text` (canonical, `10.0.0.0/8`); `prefixLen` is 0–32 or 0–128. */
export interface IpPrefix {
  readonly family: 4 | 6;
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly prefixLen: number;
}

/** Label or annotation key → value. A Map, so that a key such as `__proto__` is only a key. */
export type Labels = ReadonlyMap<string, string>;

/** Layer-4 protocol of a Kubernetes port. */
export type L4Protocol = 'TCP' | 'UDP' | 'SCTP';

/** What every object carries. Cluster-scoped objects have no `namespace`; a namespaced one without it is in `default`. */
export interface ObjectBase extends Located {
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
}

/** A namespaced object; `namespace` is `default` where the manifest gives none. */
export interface NamespacedBase extends ObjectBase {
  readonly namespace: string;
}

/** v1 Namespace. `labels` always hold `kubernetes.io/metadata.name` = `name`, as the API server enforces. */
export interface Namespace extends ObjectBase {
  readonly kind: 'Namespace';
}

/** v1 Node. */
export interface Node extends ObjectBase {
  readonly kind: 'Node';
  /** `status.addresses` that are IP addresses, in order. */
  readonly addresses: readonly NodeAddress[];
  /** `spec.podCIDRs`, or `spec.podCIDR` alone. */
  readonly podCIDRs: readonly IpPrefix[];
}

/** One entry of `status.addresses`. */
export interface NodeAddress extends Located {
  readonly type: 'InternalIP' | 'ExternalIP' | 'CiliumInternalIP' | string;
  readonly address: IpAddress;
}

/** v1 Pod. */
export interface Pod extends NamespacedBase {
  readonly kind: 'Pod';
  /** `metadata.creationTimestamp` as written; undefined where the manifest has none. */
  readonly created?: string;
  readonly uid?: string;
  readonly nodeName?: string;
  /** `status.podIPs`, or `status.podIP` alone; empty while none is assigned. */
  readonly podIPs: readonly IpAddress[];
  readonly hostNetwork: boolean;
  /** `spec.serviceAccountName`, `default` where absent. */
  readonly serviceAccount: string;
  readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  /** The Ready condition; undefined where the manifest holds none. */
  readonly ready?: boolean;
  /** `metadata.deletionTimestamp` is set. */
  readonly terminating: boolean;
  /** Ports of containers and of native sidecars (init containers with `restartPolicy: Always`); plain init containers' are left out. */
  readonly ports: readonly ContainerPort[];
}

/** One container port. */
export interface ContainerPort extends Located {
  readonly container: string;
  readonly sidecar: boolean;
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol: L4Protocol;
  readonly hostPort?: number;
  readonly hostIP?: IpAddress;
}

/** v1 Service. */
export interface Service extends NamespacedBase {
  readonly kind: 'Service';
  /** `metadata.creationTimestamp` as written (RFC 3339, UTC); undefined where the manifest has none. */
  readonly created?: string;
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** `clusterIP: None`. */
  readonly headless: boolean;
  /** `spec.clusterIPs`, or `spec.clusterIP` alone; empty for headless and not yet allocated. */
  readonly clusterIPs: readonly IpAddress[];
  readonly ports: readonly ServicePort[];
  /** undefined: absent or null (endpoints are managed by somebody else). An empty map also selects nothing. */
  readonly selector?: Labels;
  readonly externalIPs: readonly IpAddress[];
  readonly loadBalancerIngress: readonly LoadBalancerIngress[];
  readonly loadBalancerIP?: IpAddress;
  readonly loadBalancerClass?: string;
  /** undefined: absent. Prefixes as the API server reads them (surrounding blanks cut). */
  readonly loadBalancerSourceRanges?: readonly IpPrefix[];
  readonly allocateLoadBalancerNodePorts?: boolean;
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly healthCheckNodePort?: number;
  readonly sessionAffinity: 'None' | 'ClientIP';
  /** `sessionAffinityConfig.clientIP.timeoutSeconds`, seconds; 10800 where absent. */
  readonly sessionAffinityTimeoutSeconds: number;
  readonly publishNotReadyAddresses: boolean;
  readonly ipFamilies?: readonly ('IPv4' | 'IPv6')[];
  readonly ipFamilyPolicy?: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
  readonly externalName?: string;
  /** `PreferClose`, `PreferSameZone`, `PreferSameNode`. */
  readonly trafficDistribution?: string;
}

/** One port of a Service. */
export interface ServicePort extends Located {
  /** Empty where absent. */
  readonly name: string;
  readonly protocol: L4Protocol;
  readonly port: number;
  /** Number, or a container-port name; equals `port` where absent. */
  readonly targetPort: number | string;
  readonly nodePort?: number;
  readonly appProtocol?: string;
}

/** One entry of `status.loadBalancer.ingress`. */
export interface LoadBalancerIngress extends Located {
  readonly ip?: IpAddress;
  readonly hostname?: string;
  readonly ipMode?: 'VIP' | 'Proxy';
}

/** discovery.k8s.io EndpointSlice (v1 or v1beta1). */
export interface EndpointSlice extends NamespacedBase {
  readonly kind: 'EndpointSlice';
  /** Label `kubernetes.io/service-name`. */
  readonly serviceName?: string;
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly EndpointPort[];
  /** Annotation `service.cilium.io/weight`, 0–65535; 0 is maintenance. */
  readonly weight?: number;
}

/** One endpoint of a slice. */
export interface SliceEndpoint extends Located {
  /** Empty for FQDN slices. */
  readonly addresses: readonly IpAddress[];
  /** undefined as written: absent `ready` means ready, absent `serving` means as `ready`, absent `terminating` means not. */
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly hostname?: string;
  readonly targetRef?: ObjectRef;
  /** undefined: no hints. */
  readonly hints?: { readonly forZones?: readonly string[]; readonly forNodes?: readonly string[] };
}

/** A reference to the object behind an address. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

/** A port of a slice or of Endpoints. */
export interface EndpointPort extends Located {
  /** Empty where absent. */
  readonly name: string;
  readonly protocol: L4Protocol;
  /** undefined: every port (slices only). */
  readonly port?: number;
  readonly appProtocol?: string;
}

/** v1 Endpoints, the older form. Named like the Service it belongs to. */
export interface Endpoints extends NamespacedBase {
  readonly kind: 'Endpoints';
  readonly subsets: readonly EndpointSubset[];
}

/** Cartesian product of addresses and ports. */
export interface EndpointSubset extends Located {
  readonly addresses: readonly EndpointsAddress[];
  readonly notReadyAddresses: readonly EndpointsAddress[];
  readonly ports: readonly EndpointPort[];
}

/** One address of a subset. */
export interface EndpointsAddress extends Located {
  readonly ip: IpAddress;
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly targetRef?: ObjectRef;
}

/** cilium.io CiliumEndpoint: named like its pod. */
export interface CiliumEndpoint extends NamespacedBase {
  readonly kind: 'CiliumEndpoint';
  /** `status.id`, the node-local endpoint number. */
  readonly endpointId?: number;
  /** `status.identity.id`. */
  readonly identity?: number;
  /** `status.identity.labels`, `source:key=value` each. */
  readonly identityLabels?: readonly string[];
  readonly addresses: readonly IpAddress[];
  readonly nodeIP?: IpAddress;
  readonly namedPorts: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

/** cilium.io CiliumIdentity: its name is the number. */
export interface CiliumIdentity extends ObjectBase {
  readonly kind: 'CiliumIdentity';
  readonly id: number;
  /** `security-labels`: `source:key` → value. */
  readonly securityLabels: Labels;
}

/** cilium.io CiliumCIDRGroup. */
export interface CiliumCIDRGroup extends ObjectBase {
  readonly kind: 'CiliumCIDRGroup';
  readonly externalCIDRs: readonly LocatedPrefix[];
}

/** cilium.io CiliumL2AnnouncementPolicy: which Services' addresses which nodes announce, and where. */
export interface L2AnnouncementPolicy extends ObjectBase {
  readonly kind: 'CiliumL2AnnouncementPolicy';
  /** undefined: every Service. */
  readonly serviceSelector?: LabelSelector;
  /** undefined: every node. */
  readonly nodeSelector?: LabelSelector;
  /** Expressions (RE2) over names of interfaces; empty: all. */
  readonly interfaces: readonly string[];
  readonly externalIPs: boolean;
  readonly loadBalancerIPs: boolean;
}

/** coordination.k8s.io Lease of a Service's announcement, `cilium-l2announce-NAMESPACE-NAME`. */
export interface AnnouncementLease extends NamespacedBase {
  readonly kind: 'Lease';
  /** The node that announces; undefined: nobody does yet. */
  readonly holder?: string;
}

/** A prefix with its place. */
export interface LocatedPrefix extends IpPrefix, Located {}

/** Any object that a state holds. */
export type ClusterObject =
  | Namespace
  | Node
  | Pod
  | Service
  | EndpointSlice
  | Endpoints
  | NetworkPolicy
  | AdminPolicy
  | CiliumPolicy
  | CiliumEndpoint
  | CiliumIdentity
  | CiliumCIDRGroup
  | L2AnnouncementPolicy
  | AnnouncementLease;

/** The `cilium-config` ConfigMap where the manifests hold one. */
export interface CiliumConfigMap extends Located {
  readonly namespace: string;
  readonly name: string;
  /** Kebab-case agent key → text and place of the value. */
  readonly data: ReadonlyMap<string, { readonly value: string; readonly origin: Origin }>;
}

/** What was learnt outside the manifests. */
export interface Facts {
  /** Lower-case DNS name without the final dot → addresses that the DNS proxy has learnt. */
  readonly dnsNames: ReadonlyMap<string, readonly IpAddress[]>;
  /** Canonical address text → further reserved entities that it carries (`kube-apiserver`, `health`, …). */
  readonly entities: ReadonlyMap<string, readonly string[]>;
}

/** Everything loaded, each list in the order of the input (files in the order given, directories bytewise). */
export interface ClusterState {
  readonly namespaces: readonly Namespace[];
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly endpoints: readonly Endpoints[];
  readonly networkPolicies: readonly NetworkPolicy[];
  /** ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy together. */
  readonly adminPolicies: readonly AdminPolicy[];
  /** CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy together. */
  readonly ciliumPolicies: readonly CiliumPolicy[];
  readonly ciliumEndpoints: readonly CiliumEndpoint[];
  readonly ciliumIdentities: readonly CiliumIdentity[];
  readonly ciliumCIDRGroups: readonly CiliumCIDRGroup[];
  readonly l2AnnouncementPolicies: readonly L2AnnouncementPolicy[];
  /** Of announcements only. */
  readonly leases: readonly AnnouncementLease[];
  readonly ciliumConfig?: CiliumConfigMap;
  /** `apiVersion/kind` that Weir does not read → how many objects of it were met. */
  readonly unknownKinds: ReadonlyMap<string, number>;
  readonly facts: Facts;
}

/** Facts before anything was learnt. */
export function emptyFacts(): Facts {
  return { dnsNames: new Map(), entities: new Map() };
}

/** A state without objects. */
export function emptyState(): ClusterState {
  return {
    namespaces: [],
    nodes: [],
    pods: [],
    services: [],
    endpointSlices: [],
    endpoints: [],
    networkPolicies: [],
    adminPolicies: [],
    ciliumPolicies: [],
    ciliumEndpoints: [],
    ciliumIdentities: [],
    ciliumCIDRGroups: [],
    l2AnnouncementPolicies: [],
    leases: [],
    unknownKinds: new Map(),
    facts: emptyFacts(),
  };
}
