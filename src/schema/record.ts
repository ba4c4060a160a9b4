// What one call of a hook says: the decision record, events, metrics, the context that crosses tail calls, meta.
// Input: a packet's run. Output: fixed-size bytes, equal in both engines.
import { array, be16, be32, bytes, pad, struct, u16, u32, u64, u8 } from '../layout/index.ts';

/** What became of a packet at a hook, as both engines write it. */
export const decisionRecord = struct('weir_decision', 'Verdict of one run, compared byte for byte between engines', {
  verdict: u8('VERDICT'),
  dropReason: u8('DROP; 0 = not dropped'),
  stage: u8('STAGE in which the verdict fell'),
  hook: u8('HOOK'),
  action: u8('ACTION'),
  ctStatus: u8('CT_STATUS, 255 = conntrack was not asked'),
  policyMatch: u8('POLICY_MATCH'),
  unknownReason: u8('UNKNOWN_REASON; the kernel writes 0'),
  flags: u32('RECORD_FLAG'),
  sourceIdentity: u32('identity of the source'),
  destinationIdentity: u32('identity of the destination'),
  cookie: u32('rule set that decided; 0 = none'),
  backendId: u32('backend chosen or remembered; 0 = none'),
  reverseNat: u16('frontend by its reverse NAT index; 0 = none'),
  proxyPort: be16('proxy port of a redirect'),
  outIfindex: u32('interface of a redirect or local delivery'),
  endpointId: u16('local endpoint whose policy decided'),
  pad: pad(2),
  destinationMac: bytes(6, 'next-hop MAC; zero = unchanged'),
  sourceMac: bytes(6, 'own MAC; zero = unchanged'),
  departureSeconds: u32(
    'second since start before which a bandwidth limit lets the packet not leave; both 0 = at once',
  ),
  departureNanoseconds: u32('nanoseconds within it'),
});

export const eventKind = { DROP: 1, TRACE: 4, VERDICT: 5 } as const;
export const eventRecord = struct('weir_event', 'One event of the ring: a drop, a trace or a policy verdict', {
  type: u8('1 drop, 4 trace, 5 policy verdict (Cilium’s message types)'),
  subtype: u8('drop: reason; trace: observation point; verdict: policy match'),
  hook: u8('HOOK'),
  stage: u8('STAGE'),
  timeLow: u32('nanoseconds since start, low word'),
  timeHigh: u32('nanoseconds since start, high word'),
  flowHash: u32('hash of the 5-tuple'),
  sourceIdentity: u32('identity of the source'),
  destinationIdentity: u32('identity of the destination'),
  cookie: u32('rule set that decided'),
  ifindex: u32('interface'),
  family: u8('4 or 6'),
  protocol: u8('IP protocol number'),
  tcpFlags: u8('TCP flags'),
  ctStatus: u8('CT_STATUS'),
  sourcePort: be16('source port'),
  destinationPort: be16('destination port'),
  source: bytes(16, 'source address; IPv4 in the first four bytes'),
  destination: bytes(16, 'destination address; IPv4 in the first four bytes'),
  endpointId: u16('endpoint'),
  flags: u16('low 16 bits of RECORD_FLAG'),
  wireBytes: u32('length on the wire'),
});

export const metricsKey = struct('weir_metrics_key', 'reason * 4 + direction', {
  index: u32('reason * 4 + direction'),
});
export const metricsValue = struct('weir_metrics', 'Counters of one reason and direction', {
  packets: u64('packets'),
  bytes: u64('bytes'),
});

export const packetMeta = struct('weir_meta', 'What comes and goes with a packet besides its bytes', {
  ifindex: u32('interface it arrived on'),
  mark: u32('skb mark (Cilium: 0xC00 host, 0xF00 identity in the upper 16 bits)'),
  cb: array('u32', 5, 'skb control block; [0]: endpoint whose bandwidth limit applies (real traffic: queue mapping)'),
  xdpMetadata: u32('XDP metadata word; bit 0 = service lookup done'),
  gsoSize: u16('segment size of a GSO packet, 0 = none'),
  flags: u16(
    '1 = partial checksum, 2 = probe: change no map, 4 = service lookup done, 8 = from a host on the same node',
  ),
});

/** The kernel engine's clock and meta of a test run: one slot that the program reads, and into which it gives meta back. */
export const clockValue = struct('weir_clock', 'Time and meta of a test run', {
  seconds: u32('seconds since start'),
  nanoseconds: u32('nanoseconds within the second'),
  ifindex: u32('this and the next five: weir_meta'),
  mark: u32('in and out'),
  cb: array('u32', 5, 'skb control block'),
  xdpMetadata: u32('in and out'),
  gsoSize: u16('segment size'),
  flags: u16('META_FLAG; in and out'),
  latest: u32('the latest second seen: the program’s own, never to be written by the engine'),
});

/** Constants of one load of the kernel programs, alone in the object’s .rodata. */
export const loadConstants = struct('weir_load', 'Constants of one load', {
  features: u32('FEATURE bits whose code is there; a packet needs the configuration’s bit besides'),
  recording: u32('1 = each run writes its decision record to weir_record'),
  clockFromMap: u32('1 = time and meta come from weir_clock; 0 = jiffies and the packet’s own'),
  hz: u32('jiffies a second'),
  maglevSlots: u32('slots of each Maglev table as loaded; 0 = as the configuration says'),
  recentPlaces: u32('places of weir_recent4 for each processor, a power of two from 4; of weir_recent6 half; 0 = none'),
  wildcardFilter: u32('1 = weir_wildcards has the bit of every wildcard entry; 0 = it says nothing'),
});

export const lostValue = struct('weir_lost', 'Events for which the ring had no room', { events: u64('events') });

export const rateLimitKey = struct('weir_rate_limit_key', 'Who is limited', {
  usage: u32('RATE_LIMIT_USAGE'),
  ifindex: u32('interface of the packet'),
});
export const rateLimitValue = struct('weir_rate_limit', 'Token bucket', {
  lastTopUp: u32('second since start'),
  tokens: u32('answers that may be given'),
});

/** Per-CPU memory in which the kernel programs put an answer together. */
export const answerBuffer = struct('weir_answer', 'Quote of an answer, zero behind its end', {
  quote: array('u32', 308, 'leading bytes of the packet that is answered'),
});

/** Bits of `weir_meta.flags`. */
export const META_FLAG = { PARTIAL_CHECKSUM: 1, PROBE: 2, SKIP_SERVICE: 4, FROM_HOST: 8 } as const;

export const configKey = struct('weir_config_key', 'Always 0', { index: u32('0') });
export const configValue = struct(
  'weir_config',
  'What control tells the datapath; constants of a load, but for the epoch',
  {
    features: u32('FEATURE bits'),
    globalEpoch: u32('bumped when an address changes identity'),
    algorithm: u32('default ALGORITHM'),
    maglevSize: u32('slots of each Maglev table'),
    hashSeed4: u32('jhash seed for IPv4'),
    hashSeed6: u32('jhash seed for IPv6'),
    randomSeed: u32('seed of every chance'),
    ctTcpLifetime: u32('seconds'),
    ctAnyLifetime: u32('seconds'),
    ctServiceTcpLifetime: u32('seconds'),
    ctServiceAnyLifetime: u32('seconds'),
    ctSynLifetime: u32('seconds'),
    ctCloseLifetime: u32('seconds'),
    ctServiceGrace: u32('seconds that a closing service entry waits before a SYN reselects'),
    reportInterval: u32('seconds between reports of one connection'),
    nodePortFirst: u16('first port of the NodePort range'),
    nodePortLast: u16('last port of the NodePort range'),
    loopback4: be32('source of a pod that reaches itself through its service'),
    loopback6: bytes(16, 'the same for IPv6'),
    nodeId: u16('the node that this dataplane is; 0 = the whole cluster'),
    tunnelPort: be16('UDP port of the overlay'),
    flowLifetime: u32('seconds that xdp remembers a flow'),
    encapSource4: be32('outer source of what xdp encapsulates'),
    encapSource6: bytes(16, 'the same for IPv6'),
    encapPrefix4: u8('leading bits of encapSource4 that are kept, 1..32; the rest tells flows apart (RSS)'),
    encapPrefix6: u8('leading bits of encapSource6 that are kept, 96..128'),
    pad: pad(2),
    natPortFirst: u16('first port that source NAT gives out; lower ones are never translated'),
    natPortLast: u16('last one'),
    routerAddress4: be32('own address in ICMP errors about routing; 0 = none: such errors are not sent'),
    routerAddress6: bytes(16, 'the same for IPv6'),
  },
);
