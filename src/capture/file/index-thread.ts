// A thread that reads a large pcap file ahead and indexes its packets: a SlotFiller (index-worker.ts is its program).
// Input: an open file. Output: filled slots with their index. Invariant: where the thread cannot run, or ends, whoever asked is
// told so, and reads by itself.
import { Worker } from 'node:worker_threads';
import { INDEX_WORDS, type PlainPcap } from '../packet-index.ts';
import type { FillAnswer, FillRequest, IndexTask, NewBuffer } from './index-worker.ts';
import { Slot, type SlotFiller } from './read-ahead.ts';

/** Packets that an index has room for, in bytes of a chunk each: smaller ones on average, and the last have no index. */
const BYTES_A_PACKET = 64;

/** A slot whose memory both threads see. */
class SharedSlot extends Slot {
  readonly number: number;
  readonly words: Int32Array;

  constructor(number: number, headroom: number, size: number) {
    super(headroom, new SharedArrayBuffer(headroom + size));
    this.number = number;
    this.words = new Int32Array(new SharedArrayBuffer(Math.ceil(size / BYTES_A_PACKET) * INDEX_WORDS * 4));
  }
}

/** See the head of this file. */
export class IndexThread implements SlotFiller {
  private readonly slots: SharedSlot[] = [];
  private readonly waiting = new Map<number, (filled: boolean) => void>();
  private readonly task: IndexTask;
  private worker: Worker | undefined;

  /** The thread starts with the first slot. */
  constructor(descriptor: number, file: PlainPcap) {
    this.task = { descriptor, file };
  }

  slot(headroom: number, size: number): Slot {
    if (this.slots.length === 0) this.start();
    const slot = new SharedSlot(this.slots.length, headroom, size);
    this.slots.push(slot);
    const buffer: NewBuffer = { bytes: slot.bytes, start: slot.start, words: slot.words };
    this.worker?.postMessage(buffer);
    return slot;
  }

  fill(slot: Slot, position: number): Promise<boolean> {
    const { worker } = this;
    if (worker === undefined) return Promise.resolve(false);
    const { number } = slot as SharedSlot;
    return new Promise((resolve) => {
      this.waiting.set(number, resolve);
      const request: FillRequest = { slot: number, position };
      worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
    this.gone();
  }

  private start(): void {
    // Beside this module in every form that it comes in: source, compiled, bundled.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    try {
      const worker = new Worker(new URL(`./index-worker.${extension}`, import.meta.url), {
        workerData: this.task,
        // It allocates next to nothing.
        resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
      });
      worker.on('message', (answer: FillAnswer) => this.filled(answer));
      worker.on('error', () => this.gone());
      worker.on('exit', () => this.gone());
      this.worker = worker;
    } catch {
      // Threads are forbidden, say.
    }
  }

  private filled({ slot: number, end, count, failure }: FillAnswer): void {
    const slot = this.slots[number]!;
    slot.end = end;
    slot.index = { words: slot.words, count };
    slot.failure = failure === undefined ? undefined : new Error(failure);
    this.waiting.get(number)?.(true);
    this.waiting.delete(number);
  }

  private gone(): void {
    this.worker = undefined;
    for (const resolve of this.waiting.values()) resolve(false);
    this.waiting.clear();
  }
}
