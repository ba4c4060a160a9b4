// The contract between captures and what reads them: a cursor of packets over reused bytes.
// Owns the types only. CaptureReader (one capture) and MergedCapture (several, by time) implement PacketSource.
// Invariant: nothing here is allocated per packet; a packet's bytes stay where they are until the next fill().

import type { PacketIndex } from './packet-index.ts';

/**
 * A cursor over the packets of a capture. The fields describe the packet that the last `next()` reached.
 *
 * ```ts
 * for (;;) {
 *   while (source.next()) use(source.bytes, source.offset, source.capturedBytes);
 *   if (!(await source.fill())) break;
 * }
 * if (source.error) report(source.error);
 * await source.close();
 * ```
 */
export interface PacketSource {
  /**
   * The buffer that holds the packet. It may be another object after `fill()` (and, when merging, after `next()`), and over shared
   * memory (SharedArrayBuffer): what refuses that, such as WebCrypto, wants a copy (`slice`).
   */
  readonly bytes: Uint8Array;
  /** Index in `bytes` of the packet's first byte (its link-layer header). */
  readonly offset: number;
  /** Bytes present in the capture, from `offset`. May be 0. */
  readonly capturedBytes: number;
  /** Length of the packet on the wire as the file says it; normally ≥ `capturedBytes`, but files exist where it is less. */
  readonly wireBytes: number;
  /** Whole seconds since 1970 (floor), exact within ±2^53; 0 for blocks that carry no time (Simple Packet Block). */
  readonly seconds: number;
  /** 0..999,999,999 after `seconds`, also before 1970. Finer resolutions are cut, not rounded. */
  readonly nanoseconds: number;
  /** LINKTYPE_ number as in the file (tcpdump.org/linktypes.html), FCS bits removed. */
  readonly linkType: number;
  /** Index into `interfaces`. */
  readonly interfaceId: number;
  /** 1-based number of the packet, as capinfos and Wireshark count. */
  readonly number: number;
  /** Packets that are indexed (packet-index.ts), INDEX_WORDS each: the next ones in a row from `indexed()` to `indexEnd`. */
  readonly index: Int32Array;
  readonly indexEnd: number;
  /** All interfaces met so far; grows while reading. A classic pcap file has one. */
  readonly interfaces: readonly CaptureInterface[];
  /** Set once, when reading ended early. Every whole packet before the damage was delivered. */
  readonly error: CaptureError | undefined;

  /**
   * Goes to the next packet among the bytes in memory. False: call `fill()`. Never throws, never allocates.
   * The packet may be rewritten in place: `bytes` from `offset`, `capturedBytes` long.
   */
  next(): boolean;
  /** Where in `index` the words of the next packet are; -1: it is not indexed. */
  indexed(): number;
  /** Goes past the packets before the one at `at` of the index, and so to the last of them, without its fields but `number`. */
  pass(at: number): void;
  /** Reads more. All packets handed out before become invalid. False: the end, or damage (see `error`). Never rejects. */
  fill(): Promise<boolean>;
  /** Options of the current packet (pcapng), decoded now; empty for pcap. Call before the next `next()`. */
  packetOptions(): PacketOptions;
  /** Releases the file. Safe to call twice, and before the end. */
  close(): Promise<void>;
}

/** Where packets were captured: an Interface Description Block, or the one header of a pcap file. */
export interface CaptureInterface {
  /** Index in `PacketSource.interfaces`: unique over all sections of the file. */
  readonly id: number;
  /** Which of the merged captures it belongs to, in the order given; 0 when reading one. */
  readonly capture: number;
  /** 0-based section of the pcapng file. */
  readonly section: number;
  /** LINKTYPE_ number. */
  readonly linkType: number;
  /** Most bytes captured per packet; 0 = no limit stated. Files exceed it at times. */
  readonly snapLength: number;
  /** if_name, such as `eth0`. */
  readonly name?: string;
  /** if_description. */
  readonly description?: string;
  /** Timestamp units, as if_tsresol: each unit is `base` to the power of `-exponent` seconds. */
  readonly resolution: { readonly base: 2 | 10; readonly exponent: number };
  /** if_tsoffset: seconds added to each timestamp (already applied to `seconds`). */
  readonly offsetSeconds: bigint;
}

/** Why reading ended early. */
export interface CaptureError {
  /** Byte offset in the (decompressed) file of the record that could not be read. */
  readonly offset: number;
  /** One line, ready to print. */
  readonly message: string;
  /** Which of the merged captures, in the order given; 0 when reading one. */
  readonly capture: number;
}

/** Options of one packet (pcapng EPB, draft-ietf-opsawg-pcapng §4.3.1). Values are copies. */
export interface PacketOptions {
  /** opt_comment (1), each. */
  readonly comments: readonly string[];
  /** epb_flags (2): direction in bits 0-1 (1 inbound, 2 outbound); link-layer errors above. An unsigned 32-bit number. */
  readonly flags?: number;
  /** epb_hash (3), each: algorithm and raw value. */
  readonly hashes: readonly { readonly algorithm: number; readonly value: Uint8Array }[];
  /** epb_dropcount (4): packets lost between this one and the one before. */
  readonly dropCount?: bigint;
  /** epb_packetid (5). */
  readonly packetId?: bigint;
  /** epb_queue (6). */
  readonly queue?: number;
  /** epb_verdict (7), each. */
  readonly verdicts: readonly PacketVerdict[];
}

/**
 * epb_verdict (7): what decided on the packet. type 0 = hardware (opaque), 1 = Linux_eBPF_TC, 2 = Linux_eBPF_XDP; for
 * 1 and 2 the value is the program's return code as an unsigned 64-bit number in the section's byte order (decoded
 * into `code`).
 */
export interface PacketVerdict {
  readonly type: number;
  readonly value: Uint8Array;
  readonly code?: bigint;
}

/** Where a CaptureReader gets bytes from: a file, a pipe, memory. */
export interface ByteSource {
  /**
   * Puts 1..`length` bytes into `into` from index `at` and resolves to their number; 0 = end. Rejects when the bytes cannot
   * be read (I/O, broken compression): the reader turns the error's message into its `error`.
   */
  read(into: Uint8Array, at: number, length: number): Promise<number>;
  /** Releases what the source holds; safe to call twice. */
  close(): Promise<void>;
}

/** A piece of a file in a buffer that its ChunkSource owns: `bytes[start]` to `bytes[end - 1]`. */
export interface Chunk {
  readonly bytes: Uint8Array;
  /** Over all of `bytes`. */
  readonly view: DataView;
  /** Bytes before `start` are free: the reader puts there what it has left of the chunk before. */
  readonly start: number;
  readonly end: number;
  /** Where its records are, if that is known. */
  readonly index?: PacketIndex | undefined;
}

/** Where a CaptureReader gets whole buffers from, so that a source can fill the next while one is decoded. */
export interface ChunkSource {
  /**
   * Resolves to the next piece of the file, 1 byte or more; undefined = end. The chunk is the caller's to read and rewrite
   * until it recycles it; it may hold two at a time. Rejects as ByteSource.read does.
   */
  nextChunk(): Promise<Chunk | undefined>;
  /** Gives a chunk back: the source may overwrite it from now on. */
  recycle(chunk: Chunk): void;
  /** Waits for reads that are under way and releases what the source holds; safe to call twice. */
  close(): Promise<void>;
}
