// The kernel engine: the contract's maps in the kernel and the loaded programs, run on packets by BPF_PROG_TEST_RUN, or
// attached to interfaces. Input: sizes, constants of the load. Output: a Dataplane.
// Invariant: with recording on, time and meta come from the caller alone: the same writes and packets give the simulator's
// records. A run allocates nothing.
import type { Meta, Packet, SizeOverrides, StoredMapName } from '../../datapath/index.ts';
import type { AppliedWrites, ByteMap, MapWrite } from '../../maps/index.ts';
import {
  ACTION,
  CT_STATUS,
  ERRNO,
  HOOK,
  MAPS,
  META_FLAG,
  RECORD_FLAG,
  SIMULATOR_FEATURES,
  VERDICT,
  clockValue,
  configValue,
  decisionRecord,
} from '../../schema/index.ts';
import { ClosedMap } from '../closed-map.ts';
import type { Dataplane, Decision, Events, Metric } from '../dataplane.ts';
import { readMetrics } from '../metrics.ts';
import { type BpfAddon, builtObject, type Handle, loadAddon, TEST_RUN } from './addon.ts';
import { type Attachment, attach, attachTypes, type AttachOptions, HOOK_PLACES } from './attachment.ts';
import { KernelUnavailableError, kernelUnavailable } from './availability.ts';
import { WriteBatch } from './batched-writes.ts';
import { BpfError } from './error.ts';
import { kernelHz } from './kernel-hz.ts';
import type { KernelMap } from './kernel-map.ts';
import { type LoadedObject, loadObject, recentPlaces, sized } from './object.ts';
import { RingEvents } from './ring-events.ts';

/** How to load the kernel engine. */
export interface XdpOptions {
  /** Bounds that differ from the schema's, by map name. */
  readonly specs?: SizeOverrides;
  /** The object file; by default the one of the native build. */
  readonly object?: Uint8Array;
  /** FEATURE bits whose code is kept at load; by default all. A feature must be on in the configuration, too. */
  readonly features?: number;
  /** Write decision records, and take time and meta from the caller (default). False: for real traffic. */
  readonly recording?: boolean;
  /** Hooks to load programs for, HOOK numbers; by default all that the object has. */
  readonly hooks?: readonly number[];
  /** Maps to use instead of new ones, by spec name: handles that stay the caller's. */
  readonly reuse?: ReadonlyMap<string, Handle>;
  /**
   * Others write to its maps, too: another engine, or who opens their pins. Then it keeps nothing that follows its own
   * writes and programs alone: no filter of wildcard entries, no ways of packets before. By default where it uses maps
   * instead of new ones.
   */
  readonly shared?: boolean;
  /** Of the verifier: 0 nothing unless it refuses (default), 1 and 2 everything, 4 statistics. */
  readonly logLevel?: number;
}

/** The kernel engine. */
export interface Xdp extends Dataplane {
  readonly name: 'xdp';
  readonly maps: Readonly<Record<StoredMapName, ByteMap>>;
  /** The same maps with what only the kernel's have. Empty after close. */
  readonly kernelMaps: Partial<Readonly<Record<StoredMapName, KernelMap>>>;
  readonly addon: BpfAddon;
  /** Loaded programs by HOOK number. */
  readonly programs: ReadonlyMap<number, Handle>;
  /** What libbpf and the verifier said at load. */
  readonly log: string;
  /** Negative errno of the last run, 0 = it ran: why its verdict is ERROR. */
  readonly runErrno: number;
  /** Puts a hook's program on an interface. Throws BpfError; EINVAL for an engine that records, which is for test runs. */
  attach(hook: number, options: AttachOptions): Attachment;
  /** Calls back from the event loop when there may be events to poll. Returns what stops it. */
  watchEvents(callback: () => void, keepAlive?: boolean): () => void;
}

/**
 * Sizes of frames that a test run takes whole, in bytes: the kernel refuses shorter ones and, for tc, longer ones; an XDP
 * program sees no more than the first page's share of a longer one (4 KiB pages, kernel 6.18).
 */
export const FRAME_BOUNDS = { XDP: { least: 14, most: 3520 }, TC: { least: 14, most: 3712 } } as const;

/**
 * Bytes that a test run wants of a frame at least. For tc the kernel refuses frames whose Ethernet type says IP but that cannot
 * hold its header (EINVAL, kernel 6.18); behind a VLAN tag it does not look.
 * @param etherType of the frame itself, host order
 */
export const leastBytes = (hook: number, etherType: number): number => {
  if (hook === HOOK.XDP) return FRAME_BOUNDS.XDP.least;
  const header = etherType === ETHERTYPE_IPV4 ? IPV4_HEADER : etherType === ETHERTYPE_IPV6 ? IPV6_HEADER : 0;
  return FRAME_BOUNDS.TC.least + header;
};

/** Whether a test run takes the Ethernet frame between two offsets at a hook. */
export const runnable = (hook: number, bytes: Uint8Array, from: number, to: number): boolean => {
  const { least, most } = hook === HOOK.XDP ? FRAME_BOUNDS.XDP : FRAME_BOUNDS.TC;
  const length = to - from;
  if (length < least || length > most) return false;
  return length >= leastBytes(hook, (bytes[from + 12]! << 8) | bytes[from + 13]!);
};

const LINKTYPE_ETHERNET = 1;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
/** The longest frame that a test run takes, and what may be put in front of it. */
const GROWN_BYTES = 4096;
const C = clockValue.at;
const C_SECONDS = C.seconds >>> 2;
const C_NANOSECONDS = C.nanoseconds >>> 2;
const C_IFINDEX = C.ifindex >>> 2;
const C_MARK = C.mark >>> 2;
const C_CB = C.cb >>> 2;
const C_XDP = C.xdpMetadata >>> 2;
/** Segment size in the low half, flags in the high half. */
const C_GSO = C.gsoSize >>> 2;
const R_ACTION = decisionRecord.at.action >>> 2;
const { ERROR } = VERDICT;
const R_FLAGS = decisionRecord.at.flags >>> 2;
const { PARTIAL_CHECKSUM, PROBE } = META_FLAG;
const { ANSWERED } = RECORD_FLAG;
const NO_EVENTS: Events = { poll: () => false, lost: 0 };

class XdpDataplane implements Xdp {
  readonly name = 'xdp';
  readonly trace = undefined;
  readonly addon: BpfAddon;
  readonly record: Uint8Array;
  readonly recordWords: Int32Array;
  readonly log: string;
  runErrno = 0;
  private readonly recording: boolean;
  private readonly clock: Int32Array;
  private readonly result = new Int32Array(3);
  /**
   * Flags of tc's probes: a packet comes with a device's sum of it, so that a store that forgets it is an error (EBADMSG). Only of
   * probes, which can be run again: they change nothing.
   */
  private summed: number = TEST_RUN.SKB_CHECKSUM_COMPLETE;
  /** Where a packet that was made longer is, until the next one is. */
  private readonly grown = new Uint8Array(GROWN_BYTES);
  private readonly attachments = new Set<Attachment>();
  /** Program of each HOOK number, 0 = none. */
  private readonly byHook = new Array<number>(HOOK.TO_HOST + 1).fill(0);
  private loaded: LoadedObject | undefined;
  private current: Record<StoredMapName, ByteMap>;
  private ring: RingEvents | undefined;
  private writes: WriteBatch | undefined;

  constructor(addon: BpfAddon, loaded: LoadedObject, recording: boolean) {
    this.recording = recording;
    this.addon = addon;
    this.loaded = loaded;
    this.log = loaded.log;
    this.current = { ...loaded.maps };
    const record = memoryOf(addon, loaded.own.record);
    this.record = new Uint8Array(record, 0, decisionRecord.bytes);
    this.recordWords = new Int32Array(record, 0, decisionRecord.bytes >>> 2);
    this.clock = new Int32Array(memoryOf(addon, loaded.own.clock), 0, clockValue.bytes >>> 2);
    this.ring = new RingEvents(addon, loaded.events, loaded.own.eventsLost);
    this.writes = new WriteBatch(new Map(Object.values(loaded.maps).map((map) => [map.spec.name, map])));
    for (const { hook, program } of HOOK_PLACES) this.byHook[hook] = loaded.programs.get(program) ?? 0;
  }

  get maps(): Readonly<Record<StoredMapName, ByteMap>> {
    return this.current;
  }

  get kernelMaps(): Partial<Readonly<Record<StoredMapName, KernelMap>>> {
    return this.loaded?.maps ?? {};
  }

  get programs(): ReadonlyMap<number, Handle> {
    return new Map(this.byHook.flatMap((program, hook) => (program === 0 ? [] : [[hook, program] as const])));
  }

  get events(): Events {
    return this.ring ?? NO_EVENTS;
  }

  apply(writes: Iterable<MapWrite>): AppliedWrites {
    if (this.writes === undefined) return { applied: 0, failed: { index: 0, errno: ERRNO.EBADF } };
    const refused = new Refusal(writes);
    const done = this.writes.apply(refused);
    return refused.refuses ? { applied: done.applied, failed: done.failed ?? refused.failure(done) } : done;
  }

  run(hook: number, packet: Packet, meta: Meta): number {
    const program = this.byHook[hook] ?? 0;
    if (this.loaded === undefined || program === 0) return this.failed(hook, ERRNO.EBADF);
    const { bytes } = packet;
    let end = packet.capturedEnd | 0;
    if (end > bytes.length) end = bytes.length;
    const offset = packet.offset < 0 ? 0 : packet.offset | 0;
    if (end < offset || packet.linkType !== LINKTYPE_ETHERNET || !runnable(hook, bytes, offset, end))
      return this.failed(hook, ERRNO.EINVAL);
    const { clock, grown, result } = this;
    clock[C_SECONDS] = packet.seconds;
    clock[C_NANOSECONDS] = packet.nanoseconds;
    clock[C_IFINDEX] = meta.ifindex;
    clock[C_MARK] = meta.mark;
    clock[C_CB] = meta.cb0;
    clock[C_CB + 1] = meta.cb1;
    clock[C_CB + 2] = meta.cb2;
    clock[C_CB + 3] = meta.cb3;
    clock[C_CB + 4] = meta.cb4;
    clock[C_XDP] = meta.xdpMetadata;
    clock[C_GSO] = (meta.gsoSize & 0xffff) | (meta.flags << 16);
    const flags = hook !== HOOK.XDP && (meta.flags & (PROBE | PARTIAL_CHECKSUM)) === PROBE ? this.summed : 0;
    let errno = this.addon.programRunInPlace(program, bytes, offset, end, grown, result, flags);
    if (flags !== 0 && errno < 0) {
      const again = this.addon.programRunInPlace(program, bytes, offset, end, grown, result);
      // A kernel before 6.16 does not know the flag; or the packet itself is not taken.
      if (errno === ERRNO.EINVAL && again >= 0) this.summed = 0;
      // Answers: of one that is longer than the packet the kernel gives the sum up, and that of an ICMP error is zero, which has
      // two forms; it takes both for an error.
      if (errno === ERRNO.EINVAL || (this.recordWords[R_FLAGS]! & ANSWERED) !== 0) errno = again;
    }
    if (errno < 0) return this.failed(hook, errno);
    this.runErrno = 0;
    if (result[2] !== 0) {
      // As the simulator does it: a packet of another length moves into a buffer of the engine.
      const length = result[1]!;
      packet.bytes = grown;
      packet.wireEnd = (packet.wireEnd - end + length) | 0;
      packet.offset = 0;
      packet.capturedEnd = length;
    }
    meta.mark = clock[C_MARK]!;
    meta.cb0 = clock[C_CB]!;
    meta.xdpMetadata = clock[C_XDP]!;
    meta.flags = clock[C_GSO]! >>> 16;
    return this.recordWords[0]! & 0xff;
  }

  /** A run that could not be: as the simulator answers for a hook that it does not have. */
  private failed(hook: number, errno: number): number {
    this.runErrno = errno;
    this.recordWords.fill(0);
    this.recordWords[0] = this.loaded === undefined ? ERROR : ERROR | (hook << 24);
    if (this.loaded !== undefined) this.recordWords[R_ACTION] = ACTION.STACK | (CT_STATUS.NONE << 8);
    return ERROR;
  }

  decision(): Decision {
    return decisionRecord.decode(this.record);
  }

  metrics(): Metric[] {
    return readMetrics(this.current.metrics);
  }

  attach(hook: number, options: AttachOptions): Attachment {
    const place = HOOK_PLACES.find((one) => one.hook === hook);
    const program = this.byHook[hook] ?? 0;
    if (place === undefined || program === 0 || this.loaded === undefined)
      throw new BpfError('attach', `hook ${hook}`, ERRNO.EBADF);
    // Programs that record take their time from the caller and redirect nothing: traffic would be lost.
    if (this.recording) throw new BpfError('attach', `hook ${hook} of an engine that records`, ERRNO.EINVAL);
    const attachment = attach(this.addon, place, program, options);
    this.attachments.add(attachment);
    return attachment;
  }

  watchEvents(callback: () => void, keepAlive = false): () => void {
    if (this.ring === undefined) throw new BpfError('watch', 'weir_events', ERRNO.EBADF);
    return this.ring.watch(callback, keepAlive);
  }

  close(): void {
    if (this.loaded === undefined) return;
    for (const attachment of this.attachments) attachment.close();
    this.attachments.clear();
    this.ring?.close();
    this.ring = undefined;
    this.writes = undefined;
    this.byHook.fill(0);
    this.current = Object.fromEntries(
      Object.entries(this.current).map(([name, map]) => [name, new ClosedMap(map.spec)]),
    ) as unknown as Record<StoredMapName, ByteMap>;
    this.loaded.close();
    this.loaded = undefined;
  }
}

/** Writes up to the first that asks for what the programs do not have: a configuration with features of the simulator alone. */
class Refusal implements Iterable<MapWrite> {
  refuses = false;
  private readonly writes: Iterable<MapWrite>;

  constructor(writes: Iterable<MapWrite>) {
    this.writes = writes;
  }

  *[Symbol.iterator](): Iterator<MapWrite> {
    for (const write of this.writes) {
      const { map, value } = write;
      if (map === MAPS.config.name && value !== undefined && value.length === configValue.bytes) {
        this.refuses = (configValue.decode(value).features & SIMULATOR_FEATURES) !== 0;
        if (this.refuses) return;
      }
      yield write;
    }
  }

  failure({ applied }: AppliedWrites): { readonly index: number; readonly errno: number } {
    return { index: applied, errno: ERRNO.EOPNOTSUPP };
  }
}

function memoryOf(addon: BpfAddon, map: KernelMap): ArrayBuffer {
  const memory = addon.mapMemory(map.handle);
  if (typeof memory === 'number') throw new BpfError('map into memory', map.spec.name, memory);
  return memory;
}

/** Constants of what the engine keeps besides the maps. */
function keptBesides(addon: BpfAddon, options: XdpOptions): { wildcardFilter: number; recentPlaces: number } {
  if (options.shared ?? (options.reuse?.size ?? 0) > 0) return { wildcardFilter: 0, recentPlaces: 0 };
  const connections = sized('ctTcp4', options.specs).maxEntries;
  return { wildcardFilter: 1, recentPlaces: recentPlaces(connections, addon.cpus()) };
}

/**
 * Loads the programs with empty maps (those of `reuse` apart). Throws KernelUnavailableError where it cannot run at all, and
 * BpfError, with the verifier's whole log, where the kernel refuses.
 */
export function createXdp(options: XdpOptions = {}): Xdp {
  const missing = kernelUnavailable(options.object === undefined ? 'engine' : 'maps');
  if (missing !== undefined) throw new KernelUnavailableError(missing);
  const addon = loadAddon() as BpfAddon;
  const object = options.object ?? builtObject() ?? new Uint8Array(0);
  const recording = options.recording ?? true;
  const hz = recording ? 0 : kernelHz();
  if (hz === undefined) {
    // With a clock that stands still no connection would ever expire.
    throw new KernelUnavailableError({
      feature: 'the kernel’s HZ',
      reason:
        'The kernel tells nowhere how many jiffies a second has (/proc/config.gz, /boot/config-*, /proc/schedstat)',
      command: undefined,
    });
  }
  const loaded = loadObject(addon, {
    object,
    constants: {
      features: (options.features ?? 0xffffffff) >>> 0,
      recording: recording ? 1 : 0,
      clockFromMap: recording ? 1 : 0,
      hz,
      maglevSlots: sized('maglev4', options.specs).innerEntries ?? 0,
      ...keptBesides(addon, options),
    },
    attachTypes: attachTypes(),
    ...(options.specs === undefined ? {} : { specs: options.specs }),
    ...(options.hooks === undefined ? {} : { programs: programsOf(options.hooks) }),
    ...(options.reuse === undefined ? {} : { reuse: options.reuse }),
    ...(options.logLevel === undefined ? {} : { logLevel: options.logLevel }),
  });
  try {
    return new XdpDataplane(addon, loaded, recording);
  } catch (error) {
    loaded.close();
    throw error;
  }
}

const programsOf = (hooks: readonly number[]): string[] =>
  HOOK_PLACES.filter(({ hook }) => hooks.includes(hook)).map(({ program }) => program);
