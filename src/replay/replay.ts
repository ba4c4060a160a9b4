// Replays captures through a dataplane: reads, judges every packet, hands the results on.
// Input: open captures, a loaded dataplane, the cluster's objects. Output: calls of a sink in the order of the packets, counters.
// Invariants: every packet reaches the sink exactly once; time never runs backwards; only file reading waits.
import { type CaptureError, MergedCapture, type PacketSource } from '../capture/index.ts';
import type { ClusterState } from '../control/index.ts';
import type { RuleRef } from '../control/provenance.ts';
import { Packet } from '../datapath/index.ts';
import { ConntrackGc, type Dataplane } from '../dataplane/index.ts';
import type { ConnectionRecord, FlowRequest, PacketRecord } from '../flow/index.ts';
import type { ByteMap } from '../maps/index.ts';
import { configValue } from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import { backendTexts } from './backend-text.ts';
import { Counts } from './counts.ts';
import { Describer, type PacketFacts } from './describe.ts';
import { Directory } from './directory.ts';
import { Judge } from './judge.ts';
import type { PayloadInspection } from './payload-inspection.ts';
import { NamedDoubt, type NameLearning } from './name-learning.ts';
import { Overlay, OVERLAY_LINK_TYPE } from './overlay.ts';
import type { Outcome } from './outcome.ts';
import { Requests } from './requests.ts';
import { ServiceNames } from './service-names.ts';
import { parseVantage, type Vantage } from './vantage.ts';
import { VantageSource } from './vantage-source.ts';
import type { AfterHook } from './way.ts';

/** A capture to replay. */
export interface ReplayCapture {
  /** As it is to be named in records. */
  readonly path: string;
  readonly source: PacketSource;
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

const LINK_BYTES = 20;
const MAX_SECONDS = 0x7fffffff;

/** A dataplane's maps by the names of their specs. */
function mapsOf(dataplane: Dataplane): ReadonlyMap<string, ByteMap> {
  return new Map(Object.values(dataplane.maps).map((map) => [map.spec.name, map]));
}

/** The configuration in the dataplane's maps; all zero where none is. */
function configOf(dataplane: Dataplane): ReturnType<typeof configValue.decode> {
  const value = new Uint8Array(configValue.bytes);
  dataplane.maps.config.lookup(new Uint8Array(4), value);
  return configValue.decode(value);
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

/** One replay in progress. */
class Run implements JudgedPacket {
  readonly outcome: Outcome;
  readonly headers: Headers;
  vantage!: Vantage;
  interfaceNumber = 0;
  original: Uint8Array = new Uint8Array(0);
  originalBytes = 0;
  readonly facts = {
    capture: 0,
    number: 0,
    seconds: 0,
    nanoseconds: 0,
    linkType: 0,
    bytes: new Uint8Array(LINK_BYTES) as Uint8Array,
    offset: 0,
    capturedBytes: 0,
    wireBytes: 0,
  };
  private readonly options: ReplayOptions;
  private readonly sink: ReplaySink;
  private readonly directory: Directory;
  private readonly told: Vantage | undefined;
  private readonly judge: Judge;
  private readonly overlay: Overlay;
  private readonly describer: Describer;
  private readonly requests: Requests | undefined;
  private readonly counts = new Counts();
  private readonly packet = new Packet();
  private readonly vantages: InterfaceVantage[] = [];
  private readonly byInterface: Vantage[] = [];
  private readonly errors: (CaptureError & { readonly path: string })[] = [];
  private start: number | undefined = undefined;
  private lastSeconds = 0;
  private lastNanoseconds = 0;
  private clamped = 0;
  private readonly gc: ConntrackGc;
  private fileBytes = 0;

  constructor(
    options: ReplayOptions,
    sink: ReplaySink,
    directory: Directory,
    told: Vantage | undefined,
    maps: ReadonlyMap<string, ByteMap>,
  ) {
    this.options = options;
    this.gc = new ConntrackGc(options.dataplane);
    this.sink = sink;
    this.directory = directory;
    this.told = told;
    const { inspection, learning } = options;
    this.requests = inspection === undefined ? undefined : new Requests(inspection, learning);
    const forgotten =
      sink.connection === undefined && inspection === undefined ? undefined : (number: number) => this.forget(number);
    const { features, tunnelPort } = configOf(options.dataplane);
    this.judge = new Judge({
      dataplane: options.dataplane,
      maps,
      directory,
      features,
      ...(options.masquerade === undefined ? {} : { masquerade: options.masquerade }),
      ...(options.node === undefined ? {} : { node: options.node }),
      ...(options.maxConnections === undefined ? {} : { maxConnections: options.maxConnections }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      ...(forgotten === undefined ? {} : { onForgotten: forgotten }),
      ...(learning === undefined ? {} : { doubt: new NamedDoubt(learning, options.dataplane) }),
    });
    this.overlay = new Overlay(directory, features, tunnelPort);
    this.outcome = this.judge.outcome;
    this.headers = this.judge.headers;
    this.describer = new Describer({
      directory,
      services: new ServiceNames(options.state),
      connections: this.judge.connections,
      rulesOf: options.rulesOf ?? (() => []),
      backendText: backendTexts(maps),
      captures: options.captures.map(({ path }) => path),
      start: () => this.start ?? 0,
      vantageOf: (interfaceNumber) => this.byInterface[interfaceNumber],
    });
  }

  record(): PacketRecord {
    const record = this.describer.packet(this.outcome, this.headers, this.facts, this.vantage);
    const found = this.requests?.found ?? [];
    return found.length === 0 ? record : { ...record, l7: found };
  }

  private connectionRecord(number: number): ConnectionRecord {
    const record = this.describer.connection(number);
    const requests = this.requests?.of(number);
    return requests === undefined ? record : { ...record, requests };
  }

  private forget(number: number): void {
    this.sink.connection?.(this.connectionRecord(number));
    this.requests?.forget(number);
  }

  async all(): Promise<ReplayResult> {
    const { captures, merge } = this.options;
    if (merge === true && captures.length > 1) {
      const merged = new MergedCapture(captures.map(({ source }) => source));
      await this.source(merged, 0, 0, true);
      for (const error of merged.errors) this.errors.push({ ...error, path: captures[error.capture]!.path });
    } else {
      let interfaces = 0;
      for (const [index, { source, path }] of captures.entries()) {
        await this.source(source, index, interfaces, false);
        interfaces += source.interfaces.length;
        if (source.error !== undefined) this.errors.push({ ...source.error, capture: index, path });
      }
    }
    const { connections } = this.judge;
    if (this.sink.connection !== undefined) {
      for (const number of connections.numbers()) {
        this.sink.connection(this.connectionRecord(number));
        const wait = this.sink.pause?.();
        if (wait !== undefined) await wait;
      }
    }
    return {
      counts: this.counts,
      flows: connections.begun,
      adoptions: this.judge.adoptions,
      portAdoptions: this.judge.portAdoptions,
      forgotten: connections.evicted,
      clamped: this.clamped,
      vantages: this.vantages,
      errors: this.errors,
      directory: this.directory,
      describer: this.describer,
      requests: this.requests?.counts ?? {},
      collected: this.gc.total,
    };
  }

  private async source(source: PacketSource, capture: number, firstInterface: number, merged: boolean): Promise<void> {
    const { captures } = this.options;
    const numbers = new Float64Array(captures.length);
    const packets = new VantageSource(source, this.directory, this.told, (interfaceId, vantage) => {
      const description = source.interfaces[interfaceId];
      const index = merged ? (description?.capture ?? 0) : capture;
      const found = {
        capture: captures[index]!.path,
        ...(description?.name === undefined ? {} : { interface: description.name }),
        interfaceNumber: firstInterface + interfaceId,
        vantage,
      };
      this.byInterface[found.interfaceNumber] = vantage;
      this.vantages.push(found);
      this.sink.vantage?.(found);
    });
    for (;;) {
      this.judge.settling = this.maySettle();
      while (packets.next()) {
        const index = merged ? packets.capture : capture;
        // Merged captures count their packets together; a packet's number is the one in its own capture.
        const number = merged ? (numbers[index]! += 1) : packets.number;
        this.step(packets, source, index, firstInterface + packets.interfaceId, number);
      }
      this.sink.progress?.(this.counts.packets, this.fileBytes);
      const wait = this.sink.pause?.();
      if (wait !== undefined) await wait;
      if (!(await packets.fill())) return;
    }
  }

  /**
   * Whether packets that change nothing need not be run again: nobody looks at single packets or connections, nothing counts
   * in the maps, and every conntrack entry stays until it expires.
   */
  private maySettle(): boolean {
    const { sink, options } = this;
    if (sink.packet !== undefined || sink.connection !== undefined || options.explain !== undefined) return false;
    if (options.everyPacket === true || options.inspection !== undefined || options.learning !== undefined)
      return false;
    const { maps } = options.dataplane;
    return ![
      maps.ctTcp4,
      maps.ctTcpNew4,
      maps.ctAny4,
      maps.ctAnyNew4,
      maps.ctTcp6,
      maps.ctTcpNew6,
      maps.ctAny6,
      maps.ctAnyNew6,
      maps.nat4,
      maps.nat6,
    ].some((map) => map.stats.evicted > 0);
  }

  private step(
    from: VantageSource,
    source: PacketSource,
    capture: number,
    interfaceNumber: number,
    number: number,
  ): void {
    const { bytes, offset, capturedBytes, linkType } = from;
    const wireBytes = Math.max(from.wireBytes, capturedBytes);
    this.clock(from.seconds, from.nanoseconds);
    this.fileBytes += capturedBytes + 16;
    const { judge, overlay } = this;
    // Of a packet between nodes the pod's own packet inside is judged.
    const inside = overlay.unwrap(bytes, offset, capturedBytes, wireBytes, linkType);
    const at = inside ? overlay.offset : offset;
    const captured = inside ? overlay.capturedBytes : capturedBytes;
    const onWire = inside ? overlay.wireBytes : wireBytes;
    const link = inside ? OVERLAY_LINK_TYPE : linkType;
    const quick = judge.quickly(
      bytes,
      at,
      captured,
      onWire,
      link,
      from.vantage,
      interfaceNumber,
      this.lastSeconds,
      this.lastNanoseconds,
    );
    if (quick >= 0) {
      this.counts.addPassed(quick, wireBytes);
      return;
    }
    const wireEnd = Math.min(at + onWire, MAX_SECONDS);
    this.packet.view(bytes, at, at + captured, wireEnd, link, this.lastSeconds, this.lastNanoseconds);
    const { sink, options } = this;
    if (sink.packet !== undefined) this.keep(bytes, offset, capturedBytes);
    // Cooked captures of version 2 say in each packet on which interface it was.
    const cooked = linkType === 276 && capturedBytes >= 20;
    const copyInterface = cooked
      ? (bytes[offset + 4]! << 24) | (bytes[offset + 5]! << 16) | (bytes[offset + 6]! << 8) | bytes[offset + 7]!
      : interfaceNumber | 0x40000000;
    const blind = linkType === 113 || (!cooked && source.interfaces.length < 2);
    const { vantage } = from;
    const explained = this.options.explain?.number === number && capture === 0;
    if (explained) this.watch(true);
    options.learning?.clock(this.lastSeconds);
    judge.judge(this.packet, vantage, interfaceNumber, copyInterface, blind, capture, number);
    // A hook may have put its own packet in place: what follows is about the captured one.
    if (this.packet.bytes !== bytes)
      this.packet.view(bytes, at, at + captured, wireEnd, link, this.lastSeconds, this.lastNanoseconds);
    this.requests?.look(judge, this.packet, this.describer, this.lastSeconds);
    if (explained) this.watch(false);
    this.counts.add(judge.outcome, wireBytes);
    if (sink.packet === undefined) return;
    const { facts } = this;
    facts.capture = capture;
    facts.number = number;
    facts.seconds = from.seconds;
    facts.nanoseconds = from.nanoseconds;
    facts.linkType = linkType;
    facts.capturedBytes = capturedBytes;
    facts.wireBytes = wireBytes;
    this.vantage = vantage;
    this.interfaceNumber = interfaceNumber;
    sink.packet(this);
  }

  private watch(on: boolean): void {
    const { trace } = this.options.dataplane;
    if (trace !== undefined) trace.enabled = on;
    this.judge.way.afterHook = on ? this.options.explain?.afterHook : undefined;
  }

  /** The link header is kept for names of stations, the whole packet where the sink wants it: hooks write in place. */
  private keep(bytes: Uint8Array, offset: number, length: number): void {
    const link = this.facts.bytes;
    for (let i = 0; i < LINK_BYTES && i < length; i++) link[i] = bytes[offset + i]!;
    if (this.sink.originals !== true) return;
    if (this.original.length < length)
      this.original = new Uint8Array(Math.max(length, 2 * this.original.length, 1 << 16));
    this.original.set(bytes.subarray(offset, offset + length));
    this.originalBytes = length;
  }

  /** Time since the first packet, never backwards. */
  private clock(seconds: number, nanoseconds: number): void {
    this.start ??= seconds;
    const since = Math.min(seconds - this.start, MAX_SECONDS);
    if (since < this.lastSeconds || (since === this.lastSeconds && nanoseconds < this.lastNanoseconds)) {
      this.clamped++;
      return;
    }
    if (since !== this.lastSeconds && this.options.collect !== false) this.gc.tick(since);
    this.lastSeconds = since;
    this.lastNanoseconds = nanoseconds;
  }
}
