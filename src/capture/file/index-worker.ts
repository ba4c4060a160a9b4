// The program of the thread that reads a pcap file ahead and indexes its packets (index-thread.ts is its other end).
// Input: buffers, then requests to fill one from a position on, in file order. Output: an answer each.
// Invariant: a buffer is touched only between its request and its answer.
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { PlainPcap } from '../packet-index.ts';
import { type Filled, IndexedFile } from './indexed-file.ts';

/** What the thread is made with. */
export interface IndexTask {
  readonly descriptor: number;
  readonly file: PlainPcap;
}

/** A buffer of the ring; its number is how many came before. */
export interface NewBuffer {
  readonly bytes: Uint8Array;
  /** Data begins here. */
  readonly start: number;
  readonly words: Int32Array;
}

/** Asks for a buffer to be filled. */
export interface FillRequest {
  readonly slot: number;
  readonly position: number;
}

/** What came of it. */
export interface FillAnswer extends Filled {
  readonly slot: number;
}

const { descriptor, file } = workerData as IndexTask;
const port = parentPort!;
const buffers: NewBuffer[] = [];
const indexed = new IndexedFile((into, at, length, position) => readSync(descriptor, into, at, length, position), file);

port.on('message', (message: NewBuffer | FillRequest) => {
  if ('words' in message) {
    buffers.push(message);
    return;
  }
  const { slot, position } = message;
  const { bytes, start, words } = buffers[slot]!;
  const answer: FillAnswer = { slot, ...indexed.fill(bytes, start, words, position) };
  port.postMessage(answer);
});
