// One replay in progress: reads, judges every packet, hands the results on.
// Input: the options of a replay, its sink. Output: calls of the sink in the order of the packets; the result.
// Invariants: every packet reaches the sink exactly once; only file reading waits.
import { type CaptureError, MergedCapture, type PacketSource } from '../capture/index.ts';
import { Packet } from '../datapath/index.ts';
import type { Dataplane } from '../dataplane/index.ts';
import type { ConnectionRecord, PacketRecord } from '../flow/index.ts';
import type { ByteMap } from '../maps/index.ts';
import { configValue, FEATURE } from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import { backendTexts } from './backend-text.ts';
import { Counts } from './counts.ts';
import { Describer } from './describe.ts';
import type { Directory } from './directory.ts';
import type { PacketAt } from './held-packets.ts';
import { Judge } from './judge.ts';
import { NamedDoubt } from './name-learning.ts';
import type { Outcome } from './outcome.ts';
import { Overlay, OVERLAY_LINK_TYPE } from './overlay.ts';
import type { InterfaceVantage, JudgedPacket, ReplayOptions, ReplayResult, ReplaySink } from './replay.ts';
import { MAX_SECONDS, ReplayClock } from './replay-clock.ts';
import { Requests } from './requests.ts';
import { SettledRun } from './settled.ts';
import { ServiceNames } from './service-names.ts';
import type { Vantage } from './vantage.ts';
import { VantageSource } from './vantage-source.ts';

const LINK_BYTES = 20;
/** What a connection adds to a capture, roughly: only how tables grow depends on it. */
const BYTES_A_CONNECTION = 10_000;

/** The configuration in the dataplane's maps; all zero where none is. */
function configOf(dataplane: Dataplane): ReturnType<typeof configValue.decode> {
  const value = new Uint8Array(configValue.bytes);
  dataplane.maps.config.lookup(new Uint8Array(4), value);
  return configValue.decode(value);
}

/** What is being read: a capture, or several merged. */
interface Reading {
  readonly source: PacketSource;
  readonly packets: VantageSource;
  /** Index of the capture. */
  readonly capture: number;
  readonly firstInterface: number;
  readonly merged: boolean;
  /** Packets of each capture so far, where they are merged. */
  readonly numbers: Float64Array;
}

/** One replay in progress. */
export class Run implements JudgedPacket {
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
  private readonly ifindexes: number[] = [];
  /** Each packet of a pod may put off the next. */
  private readonly limiting: boolean;
  private readonly errors: (CaptureError & { readonly path: string })[] = [];
  private readonly clock: ReplayClock;
  private readonly passed = new SettledRun();
  private fileBytes = 0;

  constructor(
    options: ReplayOptions,
    sink: ReplaySink,
    directory: Directory,
    told: Vantage | undefined,
    maps: ReadonlyMap<string, ByteMap>,
  ) {
    this.options = options;
    this.clock = new ReplayClock(options.dataplane, options.collect !== false, options.gc, options.everySecond);
    this.sink = sink;
    this.directory = directory;
    this.told = told;
    const { inspection, learning } = options;
    this.requests = inspection === undefined ? undefined : new Requests(inspection, learning);
    const forgotten =
      sink.connection === undefined && inspection === undefined ? undefined : (number: number) => this.forget(number);
    const { features, tunnelPort } = configOf(options.dataplane);
    this.limiting = (features & FEATURE.BANDWIDTH) !== 0;
    const expected = Math.floor(
      options.captures.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0) / BYTES_A_CONNECTION,
    );
    options.dataplane.expect?.(expected);
    this.judge = new Judge({
      dataplane: options.dataplane,
      maps,
      directory,
      features,
      ifindexOf: (interfaceNumber) => this.ifindexes[interfaceNumber] ?? 0,
      expected,
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
      start: () => this.clock.start ?? 0,
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
      clamped: this.clock.clamped,
      vantages: this.vantages,
      errors: this.errors,
      directory: this.directory,
      describer: this.describer,
      requests: this.requests?.counts ?? {},
      collected: this.clock.collected,
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
      this.ifindexes[found.interfaceNumber] = this.ifindexOf(description?.name);
      this.vantages.push(found);
      this.sink.vantage?.(found);
    });
    const from: Reading = { source, packets, capture, firstInterface, merged, numbers };
    for (;;) {
      this.judge.settling = this.maySettle();
      this.takeRead(from);
      this.sink.progress?.(this.counts.packets, this.fileBytes);
      const wait = this.sink.pause?.();
      if (wait !== undefined) await wait;
      if (!(await packets.fill())) return;
    }
  }

  /** Judges the packets in memory. */
  private takeRead(from: Reading): void {
    const { source, packets, firstInterface } = from;
    for (;;) {
      const seen = this.passRun(source, packets, firstInterface);
      if (!packets.next()) return;
      if (packets.holding) this.takeHeld(from);
      else this.take(from, packets.packet, packets.vantage, seen);
    }
  }

  /** Judges what was held while a vantage point was inferred. Not in the same loop: it is another kind of object. */
  private takeHeld(from: Reading): void {
    const { packets } = from;
    do this.take(from, packets.packet, packets.vantage, false);
    while (packets.holding && packets.next());
  }

  private take(from: Reading, packet: PacketAt, vantage: Vantage, seen: boolean): void {
    const { source, capture, firstInterface, merged, numbers } = from;
    this.clock.advance(packet.seconds, packet.nanoseconds);
    this.fileBytes += packet.capturedBytes + 16;
    const index = merged ? (packet.capture ?? 0) : capture;
    // Merged captures count their packets together; a packet's number is the one in its own capture.
    const number = merged ? (numbers[index]! += 1) : packet.number;
    const interfaceNumber = firstInterface + packet.interfaceId;
    this.step(packet, vantage, source.interfaces.length, index, interfaceNumber, number, seen);
  }

  /** A capture without names was on the only interface, where there is but one. */
  private ifindexOf(name: string | undefined): number {
    const { interfaces } = this.options;
    if (name !== undefined) return interfaces?.get(name) ?? 0;
    return interfaces?.size === 1 ? [...interfaces.values()][0]! : 0;
  }

  /**
   * Whether packets that change nothing need not be run again: nobody looks at single packets or connections, nothing counts
   * in the maps, and every conntrack entry stays until it expires.
   */
  private maySettle(): boolean {
    const { sink, options } = this;
    if (sink.packet !== undefined || sink.connection !== undefined || options.explain !== undefined) return false;
    if (this.limiting) return false;
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

  /**
   * Goes past the packets that come next as long as an index shows that they can change nothing, and counts them. Whether it
   * shows of the next one that it is plain TCP and may change something.
   */
  private passRun(source: PacketSource, packets: VantageSource, firstInterface: number): boolean {
    const at = source.indexed();
    // Files that are indexed have one interface.
    const vantage = packets.vantages[0];
    if (at < 0 || vantage === undefined || packets.holding) return false;
    const { passed, clock } = this;
    passed.at = at;
    passed.nanoseconds = clock.nanoseconds;
    const second = ((clock.start ?? 0) + clock.seconds) | 0;
    if (!this.judge.passRun(passed, source.index, source.indexEnd, vantage, firstInterface, second, clock.seconds))
      return false;
    if (passed.at > at) {
      source.pass(passed.at);
      clock.nanoseconds = passed.nanoseconds;
      this.counts.addRun(passed.forwarded, passed.observed, passed.bytes);
      this.fileBytes += passed.fileBytes;
    }
    return passed.seen;
  }

  private step(
    from: PacketAt,
    vantage: Vantage,
    interfaces: number,
    capture: number,
    interfaceNumber: number,
    number: number,
    seen: boolean,
  ): void {
    const { bytes, offset, capturedBytes, linkType } = from;
    const wireBytes = Math.max(from.wireBytes, capturedBytes);
    const { judge, overlay } = this;
    const { seconds, nanoseconds } = this.clock;
    let at = offset;
    let captured = capturedBytes;
    let onWire = wireBytes;
    let link = linkType;
    // Plain TCP that may change something is neither a packet between nodes (they are UDP) nor one that passes.
    if (!seen) {
      // Of a packet between nodes the pod's own packet inside is judged.
      if (overlay.unwrap(bytes, offset, capturedBytes, wireBytes, linkType)) {
        at = overlay.offset;
        captured = overlay.capturedBytes;
        onWire = overlay.wireBytes;
        link = OVERLAY_LINK_TYPE;
      }
      const quick = judge.quickly(bytes, at, captured, onWire, link, vantage, interfaceNumber, seconds, nanoseconds);
      if (quick >= 0) {
        this.counts.addPassed(quick, wireBytes);
        return;
      }
    }
    const wireEnd = Math.min(at + onWire, MAX_SECONDS);
    this.packet.view(bytes, at, at + captured, wireEnd, link, seconds, nanoseconds);
    const { sink, options } = this;
    if (sink.packet !== undefined) this.keep(bytes, offset, capturedBytes);
    // Cooked captures of version 2 say in each packet on which interface it was.
    const cooked = linkType === 276 && capturedBytes >= 20;
    const copyInterface = cooked
      ? (bytes[offset + 4]! << 24) | (bytes[offset + 5]! << 16) | (bytes[offset + 6]! << 8) | bytes[offset + 7]!
      : interfaceNumber | 0x40000000;
    const blind = linkType === 113 || (!cooked && interfaces < 2);
    const explained = this.options.explain?.number === number && capture === 0;
    if (explained) this.watch(true);
    options.learning?.clock(seconds);
    judge.judge(this.packet, vantage, interfaceNumber, copyInterface, blind, capture, number);
    // A hook may have put its own packet in place: what follows is about the captured one.
    if (this.packet.bytes !== bytes) this.packet.view(bytes, at, at + captured, wireEnd, link, seconds, nanoseconds);
    this.requests?.look(judge, this.packet, this.describer, seconds);
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
}
