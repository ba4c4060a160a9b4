// What a reader (shared-read.ts) and the thread that reads for it (read-worker.ts) share: a job, and the words they tell each other by.
// Apart from the thread's program: who imports that one listens to its own parent's messages.

/** Words of `control`; from FILLED on one for each slot. */
export const CONTROL = {
  /** The thread has the job: 1. */
  HERE: 0,
  /** It may begin, at positions[0]: 1. */
  GO: 1,
  /** It is to stop: 1. */
  STOP: 2,
  /** Somebody waits for a message when the next slot is FULL: 1. */
  WAITED_FOR: 3,
  /** Bytes behind a chunk that the reader reads by itself. */
  SHARE: 4,
  /** Slots that came back so far. */
  RETURNED: 5,
  /** The number of a filled slot + 1, in the order in which they are filled, or 0: it was taken. */
  FILLED: 8,
} as const;

/** A file to read. All memory is shared. */
export interface ReadJob {
  readonly descriptor: number;
  readonly control: Int32Array;
  /** Where the next chunk begins in the file, then for each slot where what is behind its chunk ends. */
  readonly positions: Float64Array;
  /** For each slot where its data ends. */
  readonly ends: Int32Array;
  readonly slots: readonly Uint8Array[];
  /** For each slot 1 while it is the thread's to fill. */
  readonly free: Int32Array;
  /** Where data begins in a slot. */
  readonly start: number;
}

/** `failure`: why no more could be read. */
export type ReadNews = { readonly over: false } | { readonly over: true; readonly failure?: string };
