// Every map of the contract. Sizes are Cilium's chart defaults; control overrides them from the configuration.
// Invariant: names begin with weir_; a map that both families need exists twice, with 4 and 6 in the name.
import type { StructType } from '../layout/index.ts';
import { BOUND } from './bounds.ts';
import {
  ctEntry,
  ctKey4,
  ctKey6,
  fragmentKey4,
  fragmentKey6,
  fragmentValue,
  natEntry4,
  natEntry6,
  natKey4,
  natKey6,
  nodeKey,
  nodeValue4,
  nodeValue6,
  noMasqueradeKey4,
  noMasqueradeKey6,
  noMasqueradeValue,
} from './conntrack.ts';
import { announcedKey4, announcedKey6, announcedValue, departureValue, limitKey, limitValue } from './device.ts';
import type { MapKind, MapSpec } from './map-spec.ts';
import {
  endpointKey4,
  endpointKey6,
  endpointValue,
  ipcacheKey4,
  ipcacheKey6,
  ipcacheValue,
  neighbourKey4,
  neighbourKey6,
  neighbourValue,
  policyKey,
  policyMeta,
  policyMetaKey,
  policyValue,
  routeKey4,
  routeKey6,
  routeValue,
  vlanKey,
} from './policy.ts';
import {
  answerBuffer,
  clockValue,
  configKey,
  configValue,
  decisionRecord,
  eventRecord,
  lostValue,
  metricsKey,
  metricsValue,
  rateLimitKey,
  rateLimitValue,
} from './record.ts';
import {
  disturbedValue,
  generationValue,
  recent4,
  recent6,
  recentRecord,
  WILDCARD_BITS,
  wildcardBits,
} from './recent.ts';
import { runContext } from './run-context.ts';
import {
  affinityKey4,
  affinityKey6,
  affinityMatchKey,
  affinityValue,
  backendKey,
  backendValue4,
  backendValue6,
  flowKey4,
  flowKey6,
  flowValue,
  maglevKey,
  maglevSlot,
  nextHopValue,
  presence,
  reverseNatKey,
  reverseNatValue4,
  reverseNatValue6,
  scaleToZeroKey,
  serviceKey4,
  serviceKey6,
  serviceValue,
  sourceRangeKey4,
  sourceRangeKey6,
} from './service.ts';

const spec = <K extends StructType, V extends StructType>(
  name: string,
  kind: MapKind,
  key: K,
  value: V,
  maxEntries: number,
  doc: string,
  more: { innerEntries?: number; cilium?: string } = {},
): MapSpec<K, V> => ({ name: `weir_${name}`, kind, key, value, maxEntries, doc, ...more });

/** Default size of every service map (Cilium: bpf.lbMapMax). */
export const SERVICE_MAP_MAX = 65536;

export const MAPS = {
  config: spec('config', 'array', configKey, configValue, 1, 'the datapath’s configuration'),
  services4: spec('services4', 'hash', serviceKey4, serviceValue, SERVICE_MAP_MAX, 'frontends and slots', {
    cilium: 'cilium_lb4_services_v2 [bpf.lbMapMax]',
  }),
  services6: spec('services6', 'hash', serviceKey6, serviceValue, SERVICE_MAP_MAX, 'frontends and slots', {
    cilium: 'cilium_lb6_services_v2 [bpf.lbMapMax]',
  }),
  backends4: spec('backends4', 'array', backendKey, backendValue4, SERVICE_MAP_MAX, 'backends by id', {
    cilium: 'cilium_lb4_backends_v3 [bpf.lbMapMax]',
  }),
  backends6: spec('backends6', 'array', backendKey, backendValue6, SERVICE_MAP_MAX, 'backends by id', {
    cilium: 'cilium_lb6_backends_v3 [bpf.lbMapMax]',
  }),
  reverseNat4: spec('reverse_nat4', 'array', reverseNatKey, reverseNatValue4, 65536, 'frontend by index', {
    cilium: 'cilium_lb4_reverse_nat',
  }),
  reverseNat6: spec('reverse_nat6', 'array', reverseNatKey, reverseNatValue6, 65536, 'frontend by index', {
    cilium: 'cilium_lb6_reverse_nat',
  }),
  maglev4: spec('maglev4', 'array-of-arrays', maglevKey, maglevSlot, SERVICE_MAP_MAX, 'Maglev tables', {
    innerEntries: 16381,
    cilium: 'cilium_lb4_maglev',
  }),
  maglev6: spec('maglev6', 'array-of-arrays', maglevKey, maglevSlot, SERVICE_MAP_MAX, 'Maglev tables', {
    innerEntries: 16381,
    cilium: 'cilium_lb6_maglev',
  }),
  maglevPrevious4: spec(
    'maglev_previous4',
    'array-of-arrays',
    maglevKey,
    maglevSlot,
    SERVICE_MAP_MAX,
    'Maglev tables before a change, while flows move',
    { innerEntries: 16381 },
  ),
  maglevPrevious6: spec(
    'maglev_previous6',
    'array-of-arrays',
    maglevKey,
    maglevSlot,
    SERVICE_MAP_MAX,
    'Maglev tables before a change, while flows move',
    { innerEntries: 16381 },
  ),
  flows4: spec('flows4', 'lru-hash', flowKey4, flowValue, 262144, 'flows that xdp must remember'),
  flows6: spec('flows6', 'lru-hash', flowKey6, flowValue, 262144, 'flows that xdp must remember'),
  nextHops4: spec('next_hops4', 'array', backendKey, nextHopValue, SERVICE_MAP_MAX, 'next hop by backend'),
  nextHops6: spec('next_hops6', 'array', backendKey, nextHopValue, SERVICE_MAP_MAX, 'next hop by backend'),
  affinity4: spec('affinity4', 'lru-hash', affinityKey4, affinityValue, SERVICE_MAP_MAX, 'session affinity', {
    cilium: 'cilium_lb4_affinity',
  }),
  affinity6: spec('affinity6', 'lru-hash', affinityKey6, affinityValue, SERVICE_MAP_MAX, 'session affinity', {
    cilium: 'cilium_lb6_affinity',
  }),
  affinityMatch: spec(
    'affinity_match',
    'hash',
    affinityMatchKey,
    presence,
    SERVICE_MAP_MAX,
    'backends that may be remembered',
    { cilium: 'cilium_lb_affinity_match' },
  ),
  sourceRange4: spec('source_range4', 'lpm-trie', sourceRangeKey4, presence, SERVICE_MAP_MAX, 'source ranges', {
    cilium: 'cilium_lb4_source_range',
  }),
  sourceRange6: spec('source_range6', 'lpm-trie', sourceRangeKey6, presence, SERVICE_MAP_MAX, 'source ranges', {
    cilium: 'cilium_lb6_source_range',
  }),
  ctTcp4: spec('ct_tcp4', 'lru-hash', ctKey4, ctEntry, 524288, 'answered TCP connections', {
    cilium: 'cilium_ct4_global [bpf.ctTcpMax]',
  }),
  ctAny4: spec('ct_any4', 'lru-hash', ctKey4, ctEntry, 262144, 'answered connections of other protocols', {
    cilium: 'cilium_ct_any4_global [bpf.ctAnyMax]',
  }),
  ctTcpNew4: spec('ct_tcp_new4', 'lru-hash', ctKey4, ctEntry, 131072, 'TCP connections nobody has answered', {
    cilium: 'cilium_ct4_global [bpf.ctTcpMax / 4]',
  }),
  ctAnyNew4: spec('ct_any_new4', 'lru-hash', ctKey4, ctEntry, 65536, 'other connections nobody has answered', {
    cilium: 'cilium_ct_any4_global [bpf.ctAnyMax / 4]',
  }),
  ctTcp6: spec('ct_tcp6', 'lru-hash', ctKey6, ctEntry, 524288, 'answered TCP connections', {
    cilium: 'cilium_ct6_global [bpf.ctTcpMax]',
  }),
  ctAny6: spec('ct_any6', 'lru-hash', ctKey6, ctEntry, 262144, 'answered connections of other protocols', {
    cilium: 'cilium_ct_any6_global [bpf.ctAnyMax]',
  }),
  ctTcpNew6: spec('ct_tcp_new6', 'lru-hash', ctKey6, ctEntry, 131072, 'TCP connections nobody has answered', {
    cilium: 'cilium_ct6_global [bpf.ctTcpMax / 4]',
  }),
  ctAnyNew6: spec('ct_any_new6', 'lru-hash', ctKey6, ctEntry, 65536, 'other connections nobody has answered', {
    cilium: 'cilium_ct_any6_global [bpf.ctAnyMax / 4]',
  }),
  policy: spec('policy', 'hash', policyKey, policyValue, 1048576, 'every policy entry of the node', {
    cilium: 'cilium_policy_v3_<endpoint> [bpf.policyMapMax each]',
  }),
  policyMeta: spec(
    'policy_meta',
    'array',
    policyMetaKey,
    policyMeta,
    BOUND.POLICIES,
    'shapes and enforcement by policy id',
  ),
  ipcache4: spec('ipcache4', 'lpm-trie', ipcacheKey4, ipcacheValue, 512000, 'identity of an address', {
    cilium: 'cilium_ipcache_v2',
  }),
  ipcache6: spec('ipcache6', 'lpm-trie', ipcacheKey6, ipcacheValue, 512000, 'identity of an address', {
    cilium: 'cilium_ipcache_v2',
  }),
  endpoints4: spec('endpoints4', 'hash', endpointKey4, endpointValue, 65535, 'local endpoints', {
    cilium: 'cilium_lxc',
  }),
  endpoints6: spec('endpoints6', 'hash', endpointKey6, endpointValue, 65535, 'local endpoints', {
    cilium: 'cilium_lxc',
  }),
  nat4: spec('nat4', 'lru-hash', natKey4, natEntry4, 524288, 'source NAT, both halves', {
    cilium: 'cilium_snat_v4_external [bpf.natMax]',
  }),
  nat6: spec('nat6', 'lru-hash', natKey6, natEntry6, 524288, 'source NAT, both halves', {
    cilium: 'cilium_snat_v6_external [bpf.natMax]',
  }),
  nodes4: spec('nodes4', 'array', nodeKey, nodeValue4, 16384, 'addresses that nodes put in place of others'),
  nodes6: spec('nodes6', 'array', nodeKey, nodeValue6, 16384, 'addresses that nodes put in place of others'),
  noMasquerade4: spec(
    'no_masq4',
    'lpm-trie',
    noMasqueradeKey4,
    noMasqueradeValue,
    16384,
    'destinations that see pods as they are',
    { cilium: 'cilium_ipmasq_v4' },
  ),
  noMasquerade6: spec(
    'no_masq6',
    'lpm-trie',
    noMasqueradeKey6,
    noMasqueradeValue,
    16384,
    'destinations that see pods as they are',
    { cilium: 'cilium_ipmasq_v6' },
  ),
  fragments4: spec('fragments4', 'lru-hash', fragmentKey4, fragmentValue, 8192, 'ports of fragmented datagrams', {
    cilium: 'cilium_ipv4_frag_datagrams [bpf-fragments-map-max]',
  }),
  fragments6: spec('fragments6', 'lru-hash', fragmentKey6, fragmentValue, 8192, 'ports of fragmented datagrams', {
    cilium: 'cilium_ipv6_frag_datagrams',
  }),
  routes4: spec('routes4', 'lpm-trie', routeKey4, routeValue, 16384, 'routes of the node'),
  routes6: spec('routes6', 'lpm-trie', routeKey6, routeValue, 16384, 'routes of the node'),
  neighbours4: spec('neighbours4', 'lru-hash', neighbourKey4, neighbourValue, 16384, 'next-hop MACs', {
    cilium: 'cilium_nodeport_neigh4 [bpf.neighMax]',
  }),
  neighbours6: spec('neighbours6', 'lru-hash', neighbourKey6, neighbourValue, 16384, 'next-hop MACs', {
    cilium: 'cilium_nodeport_neigh6',
  }),
  announced4: spec('announced4', 'hash', announcedKey4, announcedValue, 4096, 'service addresses answered for', {
    cilium: 'cilium_l2_responder_v4',
  }),
  announced6: spec('announced6', 'hash', announcedKey6, announcedValue, 4096, 'service addresses answered for', {
    cilium: 'cilium_l2_responder_v6',
  }),
  limits: spec('limits', 'array', limitKey, limitValue, 65536, 'bandwidth limits by endpoint id', {
    cilium: 'cilium_throttle',
  }),
  departures: spec('departures', 'array', limitKey, departureValue, 65536, 'last departures by endpoint id', {
    cilium: 'cilium_throttle',
  }),
  vlans: spec('vlans', 'hash', vlanKey, presence, 4096, 'VLANs that pass the devices untouched [bpf.vlanBypass]'),
  rateLimit: spec('rate_limit', 'lru-hash', rateLimitKey, rateLimitValue, 1024, 'token buckets of answers', {
    cilium: 'cilium_ratelimit',
  }),
  scaleToZero: spec(
    'scale_to_zero',
    'hash',
    scaleToZeroKey,
    presence,
    4096,
    'frontends whose first packet should wake their Service up',
  ),
  metrics: spec(
    'metrics',
    'percpu-array',
    metricsKey,
    metricsValue,
    1024,
    'packets and bytes by reason and direction',
    { cilium: 'cilium_metrics' },
  ),
  events: spec('events', 'ring', configKey, eventRecord, BOUND.EVENTS, 'drops, traces, policy verdicts', {
    cilium: 'cilium_events',
  }),
} as const;

/** Names of the maps as code uses them. */
export type MapName = keyof typeof MAPS;

/**
 * Maps of the kernel object that are no part of the contract: the simulator has none of them. `record` and `clock` can be
 * mapped into memory (BPF_F_MMAPABLE) and serve test runs; `context` is where state lives that C functions share.
 */
export const OBJECT_MAPS = {
  record: spec('record', 'array', configKey, decisionRecord, 1, 'decision record of the last run'),
  clock: spec('clock', 'array', configKey, clockValue, 1, 'time and meta of the next run'),
  eventsLost: spec('events_lost', 'percpu-array', configKey, lostValue, 1, 'events for which the ring had no room'),
  answers: spec('answers', 'percpu-array', configKey, answerBuffer, 1, 'where an answer is put together'),
  context: spec('contexts', 'percpu-array', configKey, runContext, 1, 'state of the run on this processor'),
  recent4: spec('recent4', 'array', configKey, recent4, 4, 'what just passed, IPv4: places of each processor'),
  recent6: spec('recent6', 'array', configKey, recent6, 2, 'what just passed, IPv6: places of each processor'),
  recentTold4: spec('recent_told4', 'array', configKey, recentRecord, 4, 'the same for decision records, IPv4'),
  recentTold6: spec('recent_told6', 'array', configKey, recentRecord, 2, 'the same for decision records, IPv6'),
  generation: spec('generation', 'array', configKey, generationValue, 1, 'changes of maps from outside the programs'),
  wildcards: spec('wildcards', 'array', configKey, wildcardBits, 2 ** WILDCARD_BITS / 64, 'addresses with wildcards'),
  disturbed: spec('disturbed', 'array', configKey, disturbedValue, 4096, 'disturbances by a hash of the client'),
} as const;
