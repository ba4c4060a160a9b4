// The Dataplane interface: an engine that owns the maps of the contract and runs the datapath over packets.
// Input: map writes, packets. Output: verdicts, one decision record a run, events, counters.
// Invariant: engines differ in how they run, never in what they answer; what only one of them can do is undefined in the other.
import type { Meta, Packet, StoredMapName } from '../datapath/index.ts';
import type { ValueOf } from '../layout/index.ts';
import type { AppliedWrites, ByteMap, MapWrite } from '../maps/index.ts';
import type { decisionRecord } from '../schema/index.ts';

/** A decoded decision record. Addresses and MACs are bytes, ports numbers. */
export type Decision = ValueOf<typeof decisionRecord>;

/** One counter of `weir_metrics` that is not zero. */
export interface Metric {
  /** 0 = forwarded, below 130 a metrics reason, otherwise a DROP number. */
  readonly reason: number;
  /** DIRECTION number. */
  readonly direction: number;
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** Events in order, oldest first (`weir_event` records). */
export interface Events {
  /** Copies the oldest unread event to the front of `out`, which holds at least `eventRecord.bytes`; false when there is none. */
  poll(out: Uint8Array): boolean;
  /** Events overwritten before anybody read them. */
  readonly lost: number;
}

/** What the stages of the last run looked up and found; only the simulator has it. Records: schema/trace.ts. */
export interface Trace {
  /** Off at the start. While off, a run costs one comparison a stage. */
  enabled: boolean;
  /** Records of the last run. */
  readonly count: number;
  /** Records of the last run that did not fit. */
  readonly lost: number;
  /** Records back to back, TRACE_WORDS int32 words each; overwritten by the next run. */
  readonly words: Int32Array;
}

/** An engine. Everything it was asked after `close` answers with an error value; nothing throws. */
export interface Dataplane {
  /** `sim` or `xdp`. */
  readonly name: string;
  /** Maps that hold entries, by their name in MAPS. */
  readonly maps: Readonly<Record<StoredMapName, ByteMap>>;
  /** Applies writes in order, stops at the first that fails; EBADF for a map that is none, or when closed. */
  apply(writes: Iterable<MapWrite>): AppliedWrites;
  /**
   * Runs one packet through one hook. The packet's bytes and the meta are rewritten in place.
   * @param hook HOOK number
   * @returns VERDICT number; ERROR for a hook that the engine does not have, or when closed
   */
  run(hook: number, packet: Packet, meta: Meta): number;
  /** The decision record of the last run, `decisionRecord.bytes` long; overwritten by the next. */
  readonly record: Uint8Array;
  /** The same memory as words. */
  readonly recordWords: Int32Array;
  /** The decision record of the last run, decoded. Allocates. */
  decision(): Decision;
  /** Tracing, where the engine can. */
  readonly trace: Trace | undefined;
  readonly events: Events;
  /** Counters that are not zero, by reason and direction. */
  metrics(): Metric[];
  /** Says how many connections are to come, roughly: for engines whose tables grow. */
  expect?(connections: number): void;
  /** Lets go of everything. Further calls are harmless. */
  close(): void;
}
