// Hubble's own JSON: one GetFlowsResponse a line, readable by `hubble observe --input-file`.
// Input: records. Output: NDJSON in protobuf's JSON mapping: proto field names in their order, enum names, scalars of
// value zero left out. UNKNOWN and OBSERVED have no Hubble verdict: VERDICT_UNKNOWN (left out) and TRACED.
import { isoTime, protobufTime } from './flow-time.ts';
import { l4Summary, TCP_FLAGS } from './l4-summary.ts';
import { reservedIdentityName } from './identity-name.ts';
import { type FlowPrinter, linePrinter } from './printer.ts';
import { type FlowEnd, type FlowRecord, type FlowRequest, type FlowRule, isConnection } from './record.ts';
import { requestSummary, requestUrl } from './request-text.ts';
import { jsonLine } from './terminal-text.ts';

/** Names of flow.DropReason where they are not the printed name in capitals. Codes as Cilium's. */
const DROP_ENUM: Readonly<Record<number, string>> = {
  132: 'INVALID_SOURCE_IP',
  133: 'POLICY_DENIED',
  134: 'INVALID_PACKET_DROPPED',
  135: 'CT_TRUNCATED_OR_INVALID_HEADER',
  136: 'CT_MISSING_TCP_ACK_FLAG',
  137: 'CT_UNKNOWN_L4_PROTOCOL',
  139: 'UNSUPPORTED_L3_PROTOCOL',
  140: 'MISSED_TAIL_CALL',
  141: 'ERROR_WRITING_TO_PACKET',
  142: 'UNKNOWN_L4_PROTOCOL',
  143: 'UNKNOWN_ICMPV4_CODE',
  144: 'UNKNOWN_ICMPV4_TYPE',
  145: 'UNKNOWN_ICMPV6_CODE',
  146: 'UNKNOWN_ICMPV6_TYPE',
  147: 'ERROR_RETRIEVING_TUNNEL_KEY',
  150: 'UNKNOWN_L3_TARGET_ADDRESS',
  151: 'STALE_OR_UNROUTABLE_IP',
  153: 'ERROR_WHILE_CORRECTING_L3_CHECKSUM',
  154: 'ERROR_WHILE_CORRECTING_L4_CHECKSUM',
  155: 'CT_MAP_INSERTION_FAILED',
  156: 'INVALID_IPV6_EXTENSION_HEADER',
  157: 'IP_FRAGMENTATION_NOT_SUPPORTED',
  158: 'SERVICE_BACKEND_NOT_FOUND',
  160: 'NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT',
  161: 'FAILED_TO_INSERT_INTO_PROXYMAP',
  162: 'REACHED_EDT_RATE_LIMITING_DROP_HORIZON',
  163: 'UNKNOWN_CONNECTION_TRACKING_STATE',
  164: 'LOCAL_HOST_IS_UNREACHABLE',
  165: 'NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION',
  166: 'UNSUPPORTED_L2_PROTOCOL',
  167: 'NO_MAPPING_FOR_NAT_MASQUERADE',
  168: 'UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE',
  169: 'FIB_LOOKUP_FAILED',
  170: 'ENCAPSULATION_TRAFFIC_IS_PROHIBITED',
  171: 'INVALID_IDENTITY',
  172: 'UNKNOWN_SENDER',
  173: 'NAT_NOT_NEEDED',
  174: 'IS_A_CLUSTERIP',
  175: 'FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND',
  176: 'FORBIDDEN_ICMPV6_MESSAGE',
  177: 'DENIED_BY_LB_SRC_RANGE_CHECK',
  178: 'SOCKET_LOOKUP_FAILED',
  179: 'SOCKET_ASSIGN_FAILED',
  180: 'PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL',
  181: 'POLICY_DENY',
  182: 'VLAN_FILTERED',
  183: 'INVALID_VNI',
  184: 'INVALID_TC_BUFFER',
  185: 'NO_SID',
  187: 'NAT46',
  188: 'NAT64',
  189: 'AUTH_REQUIRED',
  190: 'CT_NO_MAP_FOUND',
  191: 'SNAT_NO_MAP_FOUND',
  192: 'INVALID_CLUSTER_ID',
  193: 'UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP',
  194: 'NO_EGRESS_GATEWAY',
  195: 'UNENCRYPTED_TRAFFIC',
  196: 'TTL_EXCEEDED',
  197: 'NO_NODE_ID',
  198: 'DROP_RATE_LIMITED',
  199: 'IGMP_HANDLED',
  200: 'IGMP_SUBSCRIBED',
  201: 'MULTICAST_HANDLED',
  202: 'DROP_HOST_NOT_READY',
  203: 'DROP_EP_NOT_READY',
  204: 'DROP_NO_EGRESS_IP',
  205: 'DROP_PUNT_PROXY',
};

/** Observation points that Hubble has, as flow.TraceObservationPoint names and numbers (event_type.sub_type; to-endpoint is 0). */
const POINTS: Readonly<Record<string, readonly [name: string, subType: number]>> = {
  'to-endpoint': ['TO_ENDPOINT', 0],
  'to-proxy': ['TO_PROXY', 1],
  'to-host': ['TO_HOST', 2],
  'to-stack': ['TO_STACK', 3],
  'to-overlay': ['TO_OVERLAY', 4],
  'to-network': ['TO_NETWORK', 11],
};
const MATCHES: readonly string[] = ['none', 'L3-Only', 'L3-L4', 'L4-Only', 'all', 'L3-Proto', 'Proto-Only'];
const POLICY_VERDICT_EVENT = 5;
const DROP_EVENT = 1;
const TRACE_EVENT = 4;
const L7_EVENT = 129;

/** The `-o jsonpb` printer. */
export const jsonpbPrinter = (): FlowPrinter =>
  linePrinter((record) => {
    const node = record.node === undefined ? undefined : `default/${record.node}`;
    const response = (flow: unknown): string =>
      // Go's encoder escapes these for HTML; readers do not care, comparisons do.
      jsonLine({ flow, node_name: node, time: timeOf(record) }).replace(
        /[<>&]/g,
        (c) => `\\u00${c.charCodeAt(0).toString(16)}`,
      );
    const line = response(flowOf(record, node));
    if (isConnection(record) || record.l7 === undefined) return line;
    return [line, ...record.l7.map((request) => response(requestFlow(record, request, node)))].join('\n');
  });

/** A request as Hubble tells it: a flow of its own, of type L7. */
function requestFlow(record: FlowRecord, request: FlowRequest, node: string | undefined): Record<string, unknown> {
  const { http, dns, kafka } = request;
  return {
    time: timeOf(record),
    verdict: request.verdict === 'UNKNOWN' ? undefined : request.verdict,
    IP: ipOf(record),
    l4: l4Of(record),
    source: endpointOf(record.source),
    destination: endpointOf(record.destination),
    Type: 'L7',
    node_name: node,
    l7: {
      type: 'REQUEST',
      dns: dns === undefined ? undefined : { query: `${dns.name}.`, observation_source: 'proxy', qtypes: [dns.type] },
      http:
        http === undefined
          ? undefined
          : {
              method: http.method,
              url: requestUrl(http),
              protocol: http.version,
              headers: http.headers.map(([key, value]) => ({ key, value })),
            },
      kafka:
        kafka === undefined
          ? undefined
          : { api_version: kafka.apiVersion, api_key: kafka.api, topic: kafka.topics?.join(',') },
    },
    event_type: { type: L7_EVENT },
    destination_service: serviceOf(record, false),
    traffic_direction: directionOf(record),
    is_reply: false,
    Summary: requestSummary(request),
  };
}

/** protojson refuses times that RFC 3339 cannot hold: they are left out. */
const timeOf = (record: FlowRecord): string | undefined =>
  isoTime(record.time).endsWith('Z') ? protobufTime(record.time) : undefined;

function flowOf(record: FlowRecord, node: string | undefined): Record<string, unknown> {
  const { drop, policy, source, destination } = record;
  const denied = record.verdict === 'DROPPED' || record.verdict === 'AUDIT';
  const side = policy === undefined ? undefined : policy.direction === 'EGRESS' ? 'egress' : 'ingress';
  const decided = record.by.length === 0 ? undefined : record.by.map(policyOf);
  const reply =
    policy !== undefined && record.counterfactual !== true ? false : drop === undefined ? record.reply : undefined;
  return {
    time: timeOf(record),
    verdict: verdictOf(record),
    drop_reason: drop?.code,
    ethernet: source.mac === undefined ? undefined : { source: source.mac, destination: destination.mac },
    IP: ipOf(record),
    l4: l4Of(record),
    source: endpointOf(source),
    destination: endpointOf(destination),
    Type: 'L3_L4',
    node_name: node,
    reply: reply === true ? true : undefined,
    event_type: eventOf(record),
    destination_service: serviceOf(record, false),
    source_service: serviceOf(record, true),
    traffic_direction: policy?.direction ?? directionOf(record),
    policy_match_type: policy === undefined ? undefined : MATCHES.indexOf(policy.match) || undefined,
    trace_observation_point: drop === undefined && policy === undefined ? POINTS[record.point ?? '']?.[0] : undefined,
    drop_reason_desc: drop === undefined ? undefined : (DROP_ENUM[drop.code] ?? 'DROP_REASON_UNKNOWN'),
    is_reply: reply,
    proxy_port: record.proxyPort,
    Summary: isConnection(record) ? record.protocol : l4Summary(record.protocol, record.l4),
    egress_allowed_by: side === 'egress' && !denied ? decided : undefined,
    ingress_allowed_by: side === 'ingress' && !denied ? decided : undefined,
    egress_denied_by: side === 'egress' && denied ? decided : undefined,
    ingress_denied_by: side === 'ingress' && denied ? decided : undefined,
  };
}

function verdictOf(record: FlowRecord): string | undefined {
  if (record.verdict === 'UNKNOWN') return undefined;
  return record.verdict === 'OBSERVED' ? 'TRACED' : record.verdict;
}

function directionOf(record: FlowRecord): string | undefined {
  if (record.hook === 'from-container') return 'EGRESS';
  return record.hook === 'to-container' || record.hook === 'to-host' ? 'INGRESS' : undefined;
}

function eventOf(record: FlowRecord): Record<string, unknown> {
  if (record.policy !== undefined) return { type: POLICY_VERDICT_EVENT };
  if (record.drop !== undefined) return { type: DROP_EVENT, sub_type: record.drop.code };
  return { type: TRACE_EVENT, sub_type: POINTS[record.point ?? '']?.[1] || undefined };
}

function ipOf(record: FlowRecord): unknown {
  const source = record.source.behind?.ip ?? record.source.ip;
  const destination = record.destination.behind?.ip ?? record.destination.ip;
  if (source === undefined || destination === undefined) return undefined;
  return { source, destination, ipVersion: source.includes(':') ? 'IPv6' : 'IPv4' };
}

function l4Of(record: FlowRecord): unknown {
  const { l4 } = record;
  if (l4 === undefined) return undefined;
  const source = record.source.behind?.port ?? record.source.port;
  const destination = record.destination.behind?.port ?? record.destination.port;
  const ports = { source_port: source || undefined, destination_port: destination || undefined };
  if (l4.number === 6) {
    const set = TCP_FLAGS.filter(([, bit]) => ((l4.tcpFlags ?? 0) & bit) !== 0).map(([name]) => [name, true] as const);
    // Proto order: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
    const order = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
    set.sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]));
    return { TCP: { ...ports, flags: set.length === 0 ? undefined : Object.fromEntries(set) } };
  }
  if (l4.number === 17) return { UDP: ports };
  if (l4.number === 132) return { SCTP: ports };
  if (l4.icmpType === undefined) return undefined;
  const icmp = { type: l4.icmpType || undefined, code: l4.icmpCode || undefined };
  return l4.number === 58 ? { ICMPv6: icmp } : { ICMPv4: icmp };
}

function endpointOf(end: FlowEnd): unknown {
  if (end.ip === undefined) return undefined;
  const reserved = end.identity === undefined ? undefined : reservedIdentityName(end.identity);
  const labels = end.labels ?? (reserved === undefined ? undefined : [`reserved:${reserved}`]);
  return {
    identity: end.identity || undefined,
    cluster_name: end.pod === undefined ? undefined : 'default',
    namespace: end.pod === undefined ? undefined : end.namespace,
    labels,
    pod_name: end.pod,
  };
}

function serviceOf(record: FlowRecord, ofReply: boolean): unknown {
  const { service } = record;
  if (service?.name === undefined || (record.reply === true) !== ofReply) return undefined;
  return { name: service.name, namespace: service.namespace };
}

const policyOf = (rule: FlowRule): unknown => ({ name: rule.name, namespace: rule.namespace, kind: rule.kind });
