// What a differential sequence is made of: packets for hooks, and writes of control in between. Plain data.
// Input: none. Output: types. Invariant: a sequence replayed from its data alone does what it did when it was made.
import type { Meta } from '../../../src/datapath/index.ts';
import type { TableEntry, WorldEntry } from './world.ts';

/** What goes with a packet: `Meta` without its methods. */
export interface MetaValues {
  readonly ifindex: number;
  readonly mark: number;
  readonly cb: readonly [number, number, number, number, number];
  readonly xdpMetadata: number;
  readonly gsoSize: number;
  readonly flags: number;
}

export const NO_META: MetaValues = { ifindex: 0, mark: 0, cb: [0, 0, 0, 0, 0], xdpMetadata: 0, gsoSize: 0, flags: 0 };

/** One packet for one hook. */
export interface PacketStep {
  readonly hook: number;
  /** A whole Ethernet frame, not to be changed. */
  readonly bytes: Uint8Array;
  /** Since the sequence began. */
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly meta: MetaValues;
}

/** Something that control changes meanwhile. */
export interface WriteStep {
  readonly writes: readonly WorldEntry[];
}

export type Step = PacketStep | WriteStep;

/** A whole sequence, enough to run it again. */
export interface Sequence {
  /** FEATURE bits that the kernel's programs are loaded with. */
  readonly loaded: number;
  readonly tables: readonly TableEntry[];
  readonly world: readonly WorldEntry[];
  readonly steps: readonly Step[];
}

/** What an engine made of a packet. */
export interface Outcome {
  readonly verdict: number;
  readonly action: number;
  /** The frame as it is now; valid until the next run. */
  readonly bytes: Uint8Array;
  readonly meta: MetaValues;
}

/** Fills a Meta. */
export function fillMeta(meta: Meta, values: MetaValues): Meta {
  meta.ifindex = values.ifindex;
  meta.mark = values.mark;
  meta.cb0 = values.cb[0];
  meta.cb1 = values.cb[1];
  meta.cb2 = values.cb[2];
  meta.cb3 = values.cb[3];
  meta.cb4 = values.cb[4];
  meta.xdpMetadata = values.xdpMetadata;
  meta.gsoSize = values.gsoSize;
  meta.flags = values.flags;
  return meta;
}

/** The values of a Meta, copied. */
export const metaValues = (meta: Meta): MetaValues => ({
  ifindex: meta.ifindex,
  mark: meta.mark,
  cb: [meta.cb0, meta.cb1, meta.cb2, meta.cb3, meta.cb4],
  xdpMetadata: meta.xdpMetadata,
  gsoSize: meta.gsoSize,
  flags: meta.flags,
});
