// The one reused context of a run: headers, tuple, what stages found and decided, counters, trace, decision record.
// Input: packet and meta, by `begin`. Output: fields that the next stage reads. Twin: struct weir_context and the C locals.
// Invariant: made once; every numeric field is an int32 that V8 keeps as a small integer; no field outlives its run
// except `clock` (time never runs backwards) and the trace switch.
import { CT_STATUS, decisionRecord, META_FLAG } from '../schema/index.ts';
import { Headers } from '../wire/index.ts';
import type { Meta, Packet } from './packet.ts';
import type { Tables } from './tables.ts';
import { TraceBuffer } from './trace-buffer.ts';
import * as config from './config.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_FEATURES } = config;

const PROBE = META_FLAG.PROBE;
const PARTIAL = META_FLAG.PARTIAL_CHECKSUM;
const CT_NONE = CT_STATUS.NONE;

/** Words of a decision record. */
export const RECORD_WORDS = decisionRecord.bytes >>> 2;

/** Where the service conntrack entry of a packet was found; tells the conntrack stage where to look. */
export const SERVICE_ENTRY = { NOT_ASKED: 0, ANSWERED: 1, UNANSWERED: 2, ABSENT: 3 } as const;

/** State of one run. */
export class Context {
  readonly headers = new Headers();
  readonly trace = new TraceBuffer();
  /** The decision record of the last run, as words (`weir_decision`). */
  readonly record = new Int32Array(RECORD_WORDS);
  /** A conntrack entry on its way from one map to another. */
  readonly scratch = new Int32Array(16);
  /** Non-zero: stages append trace records. */
  tracing = 0;
  /** The latest time seen, seconds since start. */
  clock = 0;

  // The packet.
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  capturedEnd = 0;
  wireEnd = 0;
  linkType = 0;
  /** Seconds since start, never before an earlier packet's. */
  now = 0;
  /** Seconds and nanoseconds as the packet has them, for events. */
  seconds = 0;
  nanoseconds = 0;
  wireBytes = 0;

  // Meta in and out.
  ifindex = 0;
  mark = 0;
  metaFlags = 0;
  xdpMetadata = 0;
  gsoSize = 0;
  /** Non-zero: no map may change. */
  probe = 0;
  /** Non-zero: the L4 checksum field holds a pseudo-header sum. */
  partial = 0;

  /** Where a packet goes that a hook makes longer: from its first byte on. Made at the first such packet. */
  grown: Uint8Array = new Uint8Array(0);
  /** Bytes by which the packet grew into `grown`; 0 = it is where it was, as between runs. */
  grownBytes = 0;
  /** Non-zero: the packet is another part of the same bytes now; zero between runs. */
  moved = 0;
  /** ANSWER that the drop asks for. */
  answer = 0;
  /** MTU that it tells. */
  answerMtu = 0;

  /** Endpoint whose bandwidth limit applies at to-netdev, 0 = none: `Meta.cb0`. */
  aggregate = 0;
  /** When a bandwidth limit lets the packet leave; both 0 = at once. */
  departureSeconds = 0;
  departureNanoseconds = 0;

  // The hook and its configuration.
  hook = 0;
  /** Non-zero at hooks where the endpoint sends. */
  egress = 0;
  features = 0;

  // The tuple as conntrack sees it; addresses are in `headers`.
  /** Raw ports, source in the low half; ICMP echo: the id twice; other ICMP: 0; later fragments: the first one's. */
  ports = 0;
  /** Non-zero: an ICMP error, matched on its outer addresses. */
  related = 0;
  /** Non-zero: a fragment whose ports nobody tracked. */
  portless = 0;

  // The endpoint whose hook this is.
  endpointIdentity = 0;
  endpointId = 0;
  endpointIfindex = 0;
  endpointNode = 0;
  endpointPolicy = 0;
  endpointFlags = 0;
  /** Endpoint epoch + global epoch, read before any policy probe. */
  epoch = 0;
  /** Identity of the other end. */
  remoteIdentity = 0;
  /** Non-zero: `remoteIdentity` is set. */
  remoteKnown = 0;

  // Service.
  backendId = 0;
  reverseNat = 0;
  serviceFlags = 0;
  /** SERVICE_ENTRY. */
  serviceEntry = 0;
  /** Raw proxy port of an L7 frontend, 0 = none. */
  l7Port = 0;
  /** Non-zero: the backend is the client itself. */
  loopback = 0;
  /** Non-zero: the connection that is made is one of direct server return; its frontend is in `nat0…3` and `natPort`. */
  directReturn = 0;
  /** Word offset of the frontend's master entry that `frontendFromOutside` found, or -1. */
  frontendAt = -1;

  // Source NAT.
  /** The address that it puts in place (raw; words 1..3 are IPv6's), and the raw port. */
  nat0 = 0;
  nat1 = 0;
  nat2 = 0;
  nat3 = 0;
  natPort = 0;
  /** NAT_FLAG of the translation found. */
  natFlags = 0;
  /** Reverse NAT index of the translation found. */
  natReverse = 0;

  // The overlay's packet that this one was in: network identifier; absolute offset of its option about direct return, or 0;
  // its traffic class.
  tunnelId = 0;
  tunnelOption = 0;
  tunnelTos = 0;
  /** MTU of the way that `findWay` found, 0 = unlimited or unknown. */
  wayMtu = 0;

  // The packet that an ICMP error quotes: offsets, tuple (an echo's id as NAT has it), offset of its L4 checksum or 0.
  quotedL3 = 0;
  quotedL4 = 0;
  quotedProtocol = 0;
  quotedPorts = 0;
  quotedChecksum = 0;
  quotedS0 = 0;
  quotedS1 = 0;
  quotedS2 = 0;
  quotedS3 = 0;
  quotedD0 = 0;
  quotedD1 = 0;
  quotedD2 = 0;
  quotedD3 = 0;

  // Conntrack.
  /** Key words of the last `set…Key`: 4 for IPv4, 10 for IPv6. */
  k0 = 0;
  k1 = 0;
  k2 = 0;
  k3 = 0;
  k4 = 0;
  k5 = 0;
  k6 = 0;
  k7 = 0;
  k8 = 0;
  k9 = 0;
  /** Non-zero: the packet's source is the owner of the entry. */
  ownerIsSource = 0;
  /** CT_KEY flags of the owner: 0 = a pod, NODE. */
  ownerFlags = 0;
  ctStatus: number = CT_NONE;
  /** Words of the map that `ctAt` points into, valid until that map is written. */
  ctWords: Int32Array = new Int32Array(0);
  /** Word offset of the entry found, or -1. */
  ctAt = -1;
  /** Non-zero: the last insertion made a new entry. */
  ctCreated = 0;
  /** CT_FLAG of the entry found, its reverse NAT index in the high half. */
  ctFlags = 0;
  /** Non-zero: an entry of this key in the answered map must go when a new one is made. */
  ctStale = 0;
  /** Non-zero: the connection wants to be reported (new, closing, a new TCP flag, or the interval passed). */
  monitor = 0;

  // Policy.
  cookie = 0;
  policyMatch = 0;
  /** Raw proxy port of a redirect, 0 = none. */
  proxyPort = 0;
  audited = 0;

  // The outcome.
  stage = 0;
  action = 0;
  dropReason = 0;
  unknownReason = 0;
  recordFlags = 0;
  sourceIdentity = 0;
  destinationIdentity = 0;
  outIfindex = 0;
  mac0 = 0;
  mac1 = 0;
  mac2 = 0;

  // Lookups of this run by class of map; tests assert the budget of each path.
  probesConntrack = 0;
  probesService = 0;
  probesBackend = 0;
  probesAffinity = 0;
  probesEndpoint = 0;
  probesSourceIdentity = 0;
  probesDestinationIdentity = 0;
  probesPolicy = 0;
  probesFragment = 0;
  probesRoute = 0;
  probesFlow = 0;
  /** Lookups in the NAT maps, attempts to find a port included. */
  probesNat = 0;

  /** @internal Forgets the run before and takes in the next packet. Offsets outside the buffer are clamped to it. */
  begin(hook: number, packet: Packet, meta: Meta, tables: Tables): void {
    const { bytes } = packet;
    let offset = packet.offset | 0;
    let end = packet.capturedEnd | 0;
    // A length may be no int32, but one that is below an int32 is.
    if (end > bytes.length) end = bytes.length | 0;
    if (offset < 0) offset = 0;
    if (offset > end) offset = end < 0 ? 0 : end;
    if (end < offset) end = offset;
    let wireEnd = packet.wireEnd | 0;
    if (wireEnd < end) wireEnd = end;
    this.bytes = bytes;
    this.offset = offset;
    this.capturedEnd = end;
    this.wireEnd = wireEnd;
    this.wireBytes = (wireEnd - offset) | 0;
    this.linkType = packet.linkType | 0;
    this.seconds = packet.seconds | 0;
    this.nanoseconds = packet.nanoseconds | 0;

    this.hook = hook;
    this.ifindex = meta.ifindex | 0;
    this.mark = meta.mark | 0;
    this.metaFlags = meta.flags | 0;
    this.xdpMetadata = meta.xdpMetadata | 0;
    this.gsoSize = meta.gsoSize | 0;
    this.aggregate = meta.cb0 | 0;
    this.departureSeconds = 0;
    this.departureNanoseconds = 0;
    this.probe = meta.flags & PROBE;
    this.partial = meta.flags & PARTIAL;
    this.now = this.seconds > this.clock ? this.seconds : this.clock;
    if (this.probe === 0) this.clock = this.now;
    this.features = tables.config.words[CONFIG_FEATURES]!;

    this.egress = 0;
    this.ports = 0;
    this.related = 0;
    this.portless = 0;
    this.endpointIdentity = 0;
    this.endpointId = 0;
    this.endpointIfindex = 0;
    this.endpointNode = 0;
    this.endpointPolicy = 0;
    this.endpointFlags = 0;
    this.epoch = 0;
    this.remoteIdentity = 0;
    this.remoteKnown = 0;
    this.backendId = 0;
    this.reverseNat = 0;
    this.serviceFlags = 0;
    this.serviceEntry = 0;
    this.l7Port = 0;
    this.loopback = 0;
    this.directReturn = 0;
    this.ownerIsSource = 0;
    this.ownerFlags = 0;
    this.ctStatus = CT_NONE;
    this.ctAt = -1;
    this.ctFlags = 0;
    this.ctStale = 0;
    this.monitor = 0;
    this.cookie = 0;
    this.policyMatch = 0;
    this.proxyPort = 0;
    this.audited = 0;
    this.answer = 0;
    this.stage = 0;
    this.action = 0;
    this.dropReason = 0;
    this.unknownReason = 0;
    this.recordFlags = 0;
    this.sourceIdentity = 0;
    this.destinationIdentity = 0;
    this.outIfindex = 0;
    this.mac0 = 0;
    this.mac1 = 0;
    this.mac2 = 0;
    this.probesConntrack = 0;
    this.probesService = 0;
    this.probesBackend = 0;
    this.probesAffinity = 0;
    this.probesEndpoint = 0;
    this.probesSourceIdentity = 0;
    this.probesDestinationIdentity = 0;
    this.probesPolicy = 0;
    this.probesFragment = 0;
    this.probesRoute = 0;
    this.probesNat = 0;
    if (this.tracing !== 0) this.trace.reset();
  }
}
