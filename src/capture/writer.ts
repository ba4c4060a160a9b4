// Writers of captures: classic pcap and pcapng, little-endian, in nanoseconds.
// Input: packets as ranges of bytes. Output: pieces of the file, handed to the caller's sink.
// Invariants: memory is one buffer; a packet without options is written without allocating; the last `flush()` is the caller's.
import { OptionList } from './option-list.ts';
import type { PacketOptions, PacketVerdict } from './packet-source.ts';

/** Takes pieces of the file in order. The bytes are the writer's buffer: use or copy them before returning. */
export interface ByteSink {
  /** Takes the next bytes, which are only its own until it returns. */
  write(bytes: Uint8Array): void;
}

const BUFFER_BYTES = 256 << 10;
const MAX_SECONDS = 0xffffffff;

/** A buffer that hands itself to the sink when full, and grows for a larger record. */
class Output {
  bytes = new Uint8Array(BUFFER_BYTES);
  view = new DataView(this.bytes.buffer);
  at = 0;
  private readonly sink: ByteSink;

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  /** Makes `length` bytes writable from `at` on. */
  reserve(length: number): void {
    if (this.at + length <= this.bytes.length) return;
    this.flush();
    if (length <= this.bytes.length) return;
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
  }

  flush(): void {
    if (this.at === 0) return;
    this.sink.write(this.bytes.subarray(0, this.at));
    this.at = 0;
  }

  u16(value: number): void {
    this.view.setUint16(this.at, value, true);
    this.at += 2;
  }

  u32(value: number): void {
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  /** Copies a range. A loop for short ones: it beats making a view. */
  copy(from: Uint8Array, offset: number, length: number): void {
    const bytes = this.bytes;
    const at = this.at;
    if (length > 256) bytes.set(from.subarray(offset, offset + length), at);
    else for (let i = 0; i < length; i++) bytes[at + i] = from[offset + i]!;
    this.at = at + length;
  }

  /** Zeros up to a multiple of 4, `length` bytes after one. */
  pad(length: number): void {
    for (let i = length; (i & 3) !== 0; i++) this.bytes[this.at++] = 0;
  }
}

/** Settings of a PcapWriter. */
export interface PcapWriterOptions {
  /** LINKTYPE_ number. */
  readonly linkType: number;
  /** Most bytes captured per packet, as the header says it; 262,144 unless told. */
  readonly snapLength?: number;
}

/** Writes classic pcap with nanoseconds (magic a1b23c4d). */
export class PcapWriter {
  /** Packets whose time does not fit (before 1970, or after 2106): written at the nearest time that does. */
  timesClamped = 0;
  private readonly output: Output;

  constructor(sink: ByteSink, options: PcapWriterOptions) {
    const output = new Output(sink);
    this.output = output;
    output.u32(0xa1b23c4d);
    output.u16(2);
    output.u16(4);
    output.u32(0);
    output.u32(0);
    output.u32(options.snapLength ?? 262_144);
    output.u32(options.linkType);
  }

  /** Appends `captured` bytes from `offset` of `bytes`. `nanoseconds` is 0..999,999,999. */
  packet(
    bytes: Uint8Array,
    offset: number,
    captured: number,
    wire: number,
    seconds: number,
    nanoseconds: number,
  ): void {
    const output = this.output;
    output.reserve(16 + captured);
    const fits = seconds >= 0 && seconds <= MAX_SECONDS;
    if (!fits) this.timesClamped++;
    output.u32(fits ? seconds : seconds < 0 ? 0 : MAX_SECONDS);
    output.u32(fits ? nanoseconds : seconds < 0 ? 0 : 999_999_999);
    output.u32(captured);
    output.u32(wire);
    output.copy(bytes, offset, captured);
  }

  /** Hands everything written so far to the sink. */
  flush(): void {
    this.output.flush();
  }
}

/** An interface to describe in a pcapng file. CaptureInterface fits; its resolution and offset do not count. */
export interface InterfaceToWrite {
  readonly linkType: number;
  readonly snapLength?: number;
  readonly name?: string;
  readonly description?: string;
}

/** What decided on a packet: see PacketVerdict. For type 1 and 2 the code alone is enough. */
export type VerdictToWrite = PacketVerdict | { readonly type: 1 | 2; readonly code: bigint };

/** Options of a packet to write; PacketOptions as read fit. */
export interface PacketAnnotations {
  /** One opt_comment each, cut to 65,535 bytes of UTF-8. */
  readonly comments?: readonly string[];
  /** epb_flags. */
  readonly flags?: number;
  /** One epb_hash each. */
  readonly hashes?: PacketOptions['hashes'];
  /** One epb_verdict each; `code`, where given, is written in place of `value`. Values are cut to 65,534 bytes. */
  readonly verdicts?: readonly VerdictToWrite[];
  /** epb_dropcount. */
  readonly dropCount?: bigint;
  /** epb_packetid. */
  readonly packetId?: bigint;
  /** epb_queue. */
  readonly queue?: number;
}

/** Settings of a PcapngWriter. */
export interface PcapngWriterOptions {
  /** shb_userappl; `weir` unless told. */
  readonly application?: string;
  /** opt_comment of the section. */
  readonly comment?: string;
}

/** Seconds up to which nanoseconds since 1970 fit 64 bits. */
const MAX_NANO_SECONDS = 18_446_744_072;
const EMPTY = new Uint8Array(0);

/** Writes one section of pcapng: interfaces when they are first known, packets as Enhanced Packet Blocks. */
export class PcapngWriter {
  /** Packets whose time does not fit 64 bits of nanoseconds since 1970: written at the nearest second that does. */
  timesClamped = 0;
  private readonly output: Output;
  private readonly options = new OptionList();
  private interfaceCount = 0;

  constructor(sink: ByteSink, options: PcapngWriterOptions = {}) {
    this.output = new Output(sink);
    const list = this.options;
    if (options.comment !== undefined) list.text(1, options.comment);
    list.text(4, options.application ?? 'weir');
    const output = this.output;
    const total = this.begin(0x0a0d0d0a, 16);
    output.u32(0x1a2b3c4d);
    output.u16(1);
    output.u16(0);
    // Section length: not stated.
    output.u32(0xffffffff);
    output.u32(0xffffffff);
    this.end(total);
  }

  /** Describes an interface; returns its number for `packet`. */
  addInterface(description: InterfaceToWrite): number {
    const list = this.options;
    if (description.name !== undefined) list.text(2, description.name);
    if (description.description !== undefined) list.text(3, description.description);
    // if_tsresol: 10^-9.
    list.typed(9, 9, EMPTY);
    const output = this.output;
    const total = this.begin(1, 8);
    output.u16(description.linkType);
    output.u16(0);
    output.u32(description.snapLength ?? 0);
    this.end(total);
    return this.interfaceCount++;
  }

  /**
   * Appends `captured` bytes from `offset` of `bytes` as a packet of an interface that was added. `nanoseconds` is
   * 0..999,999,999.
   */
  packet(
    interfaceId: number,
    bytes: Uint8Array,
    offset: number,
    captured: number,
    wire: number,
    seconds: number,
    nanoseconds: number,
    annotations?: PacketAnnotations,
  ): void {
    if (annotations !== undefined) annotate(this.options, annotations);
    const output = this.output;
    const total = this.begin(6, 20 + ((captured + 3) & ~3));
    output.u32(interfaceId);
    this.time(seconds, nanoseconds);
    output.u32(captured);
    output.u32(wire);
    output.copy(bytes, offset, captured);
    output.pad(captured);
    this.end(total);
  }

  /** Hands everything written so far to the sink. */
  flush(): void {
    this.output.flush();
  }

  /** Begins a block with `body` bytes before the options in `this.options`; returns its total length, for `end`. */
  private begin(type: number, body: number): number {
    this.options.finish();
    const total = 12 + body + this.options.length;
    this.output.reserve(total);
    this.output.u32(type);
    this.output.u32(total);
    return total;
  }

  private end(total: number): void {
    const list = this.options;
    if (list.length !== 0) {
      this.output.copy(list.bytes, 0, list.length);
      list.clear();
    }
    this.output.u32(total);
  }

  /** seconds · 10^9 + nanoseconds in two words, every intermediate below 2^53. */
  private time(seconds: number, nanoseconds: number): void {
    let whole = seconds;
    if (seconds < 0 || seconds > MAX_NANO_SECONDS) {
      this.timesClamped++;
      whole = seconds < 0 ? 0 : MAX_NANO_SECONDS;
    }
    const upper = Math.floor(whole / 65536);
    const product = upper * 1e9;
    const low = (product % 65536) * 65536 + (whole - upper * 65536) * 1e9 + nanoseconds;
    this.output.u32(Math.floor(product / 65536) + Math.floor(low / 4294967296));
    this.output.u32(low % 4294967296);
  }
}

function annotate(list: OptionList, annotations: PacketAnnotations): void {
  for (const comment of annotations.comments ?? []) list.text(1, comment);
  if (annotations.flags !== undefined) list.u32(2, annotations.flags);
  for (const hash of annotations.hashes ?? []) list.typed(3, hash.algorithm, hash.value);
  if (annotations.dropCount !== undefined) list.u64(4, annotations.dropCount);
  if (annotations.packetId !== undefined) list.u64(5, annotations.packetId);
  if (annotations.queue !== undefined) list.u32(6, annotations.queue);
  for (const verdict of annotations.verdicts ?? []) list.typed(7, verdict.type, verdictValue(verdict));
}

/** The bytes after the type: for the eBPF kinds the program's return code, unsigned, 64 bits. */
function verdictValue(verdict: VerdictToWrite): Uint8Array {
  if (!('code' in verdict) || verdict.code === undefined) return 'value' in verdict ? verdict.value : EMPTY;
  const value = new Uint8Array(8);
  new DataView(value.buffer).setBigUint64(0, verdict.code, true);
  return value;
}
