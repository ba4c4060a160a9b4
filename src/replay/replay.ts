// Replays captures through a dataplane: what a replay is given, what it hands out, what it comes to. run.ts does it.
// Input: open captures, a loaded dataplane, the cluster's objects. Output: calls of a sink in the order of the packets, counters.
// Invariants: every packet reaches the sink exactly once; time never runs backwards.
import type { CaptureError, PacketSource } from '../capture/index.ts';
import type { ClusterState } from '../control/index.ts';
import type { RuleRef } from '../control/provenance.ts';
import type { ConntrackGc, Dataplane, GcOptions } from '../dataplane/index.ts';
import type { ConnectionRecord, FlowRequest, PacketRecord } from '../flow/index.ts';
import type { ByteMap } from '../maps/index.ts';
import type { Headers } from '../wire/index.ts';
import type { Counts } from './counts.ts';
import type { Describer, PacketFacts } from './describe.ts';
import { Directory } from './directory.ts';
import type { NameLearning } from './name-learning.ts';
import type { Outcome } from './outcome.ts';
import type { PayloadInspection } from './payload-inspection.ts';
import { Run } from './run.ts';
import { parseVantage, type Vantage } from './vantage.ts';
import type { AfterHook } from './way.ts';

/** A capture to replay. */
export interface ReplayCapture {
  /** As it is to be named in records. */
  readonly path: string;
  readonly source: PacketSource;
  /** Size of the file, where it is known: tables then grow in fewer steps. */
  readonly bytes?: number;
}

/** Settings of a replay. */
export interface ReplayOptions {
  /** In the order in which they run. The caller closes them. */
  readonly captures: readonly ReplayCapture[];
  /** Its maps filled in by the compiler. */
  readonly dataplane: Dataplane;
  /** The cluster's objects; undefined: no manifests, then every IP packet is UNKNOWN. */
  readonly state: ClusterState | undefined;
  /** Rules behind a cookie. */
  readonly rulesOf?: (cookie: number) => readonly RuleRef[];
  /** Whether nodes put their own address in place of a pod's towards the outside. */
  readonly masquerade?: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** `auto` (default), `pod:NS/NAME`, `node:NAME`, `edge`, `any`. */
  readonly at?: string;
  /** Sort the packets of all captures by time. */
  readonly merge?: boolean;
  /** The node that the dataplane was compiled for; undefined: the whole cluster. */
  readonly node?: string;
  /** Interfaces of the node by name (topology): where announced addresses are asked for. */
  readonly interfaces?: ReadonlyMap<string, number>;
  /** One packet to look at closely: tracing is on for it, and `afterHook` is called behind each hook that runs for it. */
  readonly explain?: { readonly number: number; readonly afterHook: AfterHook };
  /**
   * Runs every packet through its hooks even where only counters are asked for, and a packet could change nothing but the
   * datapath's own metrics and accounting: for those who read the dataplane's maps afterwards.
   */
  readonly everyPacket?: boolean;
  /** Looks into connections that policy hands to a proxy. */
  readonly inspection?: PayloadInspection;
  /** Takes up what DNS answers teach. */
  readonly learning?: NameLearning;
  /** Connections held at once; 1,000,000 unless told. */
  readonly maxConnections?: number;
  /** Off: expired conntrack entries stay in their maps. They are absent to the datapath either way. */
  readonly collect?: boolean;
  /** How often the garbage collection passes. */
  readonly gc?: GcOptions;
  /**
   * Told each second of the replay in which a packet is, before its first packet: who keeps the maps up to date as time passes
   * (Upkeep). Seconds since the first packet.
   */
  readonly everySecond?: (seconds: number) => void;
  /** Seed of the replay's own tables. */
  readonly seed?: number;
}

/** One judged packet, reused: read it within the call. */
export interface JudgedPacket {
  readonly outcome: Outcome;
  /** Headers as captured. */
  readonly headers: Headers;
  readonly facts: PacketFacts;
  readonly vantage: Vantage;
  /** Index of the interface among all captures. */
  readonly interfaceNumber: number;
  /** The packet's bytes as captured; only where the sink has `originals`. */
  readonly original: Uint8Array;
  readonly originalBytes: number;
  /** The record for printers, made when asked for. */
  record(): PacketRecord;
}

/** Where results go. All optional: without `packet` and `connection` a replay only counts. */
export interface ReplaySink {
  /** Each packet, in order. */
  packet?(judged: JudgedPacket): void;
  /** Set: `JudgedPacket.original` holds the bytes before translation. */
  readonly originals?: boolean;
  /** Each connection, when it is forgotten or at the end, in the order in which they were first seen where memory suffices. */
  connection?(record: ConnectionRecord): void;
  /** An interface's vantage point, once, before its first packet. */
  vantage?(found: InterfaceVantage): void;
  /** Behind each piece of a capture that was read: packets so far, and bytes of the files they took, roughly. */
  progress?(packets: number, bytes: number): void;
  /** Called when the event loop may run: a slow reader of the output holds the replay up here. */
  pause?(): Promise<void> | undefined;
}

/** An interface and where it was. */
export interface InterfaceVantage {
  readonly capture: string;
  /** if_name, where the file has one. */
  readonly interface?: string;
  readonly interfaceNumber: number;
  readonly vantage: Vantage;
}

/** What a replay came to. */
export interface ReplayResult {
  readonly counts: Counts;
  /** Connections met. */
  readonly flows: number;
  readonly adoptions: number;
  /** Connections whose port behind source NAT was the capture's, not the simulator's. */
  readonly portAdoptions: number;
  /** Connections forgotten because more than `maxConnections` were alive. */
  readonly forgotten: number;
  /** Packets whose time was before an earlier packet's. */
  readonly clamped: number;
  readonly vantages: readonly InterfaceVantage[];
  readonly errors: readonly (CaptureError & { readonly path: string })[];
  readonly directory: Directory;
  readonly describer: Describer;
  /** Requests within connections that policy hands to a proxy, by verdict. */
  readonly requests: Readonly<Partial<Record<FlowRequest['verdict'], number>>>;
  /** What garbage collection of conntrack took: passes, entries of connections, halves of translations. */
  readonly collected: ConntrackGc['total'];
}

/** A dataplane's maps by the names of their specs. */
function mapsOf(dataplane: Dataplane): ReadonlyMap<string, ByteMap> {
  return new Map(Object.values(dataplane.maps).map((map) => [map.spec.name, map]));
}

/** Replays. Rejects only for `at` that names nothing (a RangeError with a line to print); captures' damage is in the result. */
export async function replay(options: ReplayOptions, sink: ReplaySink = {}): Promise<ReplayResult> {
  const maps = mapsOf(options.dataplane);
  const directory = new Directory(options.state, maps);
  const told = parseVantage(options.at ?? 'auto', directory);
  if (told !== undefined && 'error' in told) throw new RangeError(told.error);
  const run = new Run(options, sink, directory, told, maps);
  return run.all();
}
