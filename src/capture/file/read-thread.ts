// The thread that reads large files for their readers: one a process, lent to one source at a time, kept a while for the next.
// Input: a ReadJob. Output: its news. Invariants: it keeps no process alive but while somebody waits for it; who has it learns when
// it ends; nobody's thread ends, and its memory with it, after KEPT_MS.
import { Worker } from 'node:worker_threads';
import type { ReadJob, ReadNews } from './read-job.ts';

/** Files are often read one after the other, and a thread takes tens of milliseconds to start. */
const KEPT_MS = 5000;

/** See the head of this file. */
export class ReadThread {
  private static kept: ReadThread | undefined;

  alive = true;
  /** Why the job that is over could not be read to its end. */
  failure: Error | undefined = undefined;
  private lent = true;
  private done: Promise<void> = Promise.resolve();
  /** Of the last job: a page's first use costs more than its second. */
  private memory: SharedArrayBuffer[] = [];
  private readonly worker: Worker;
  private ended: (() => void) | undefined = undefined;
  private waiting: (() => void)[] = [];
  /** Who waits for it, and so keeps the process alive. */
  private waiters = 0;
  private idle: NodeJS.Timeout | undefined = undefined;

  /** The thread, if nobody has it and threads may be made; `release` gives it back. */
  static lend(): ReadThread | undefined {
    const { kept } = ReadThread;
    if (kept?.alive === true) {
      if (kept.lent) return undefined;
      kept.lent = true;
      clearTimeout(kept.idle);
      return kept;
    }
    try {
      return (ReadThread.kept = new ReadThread());
    } catch {
      return undefined; // threads are forbidden, say
    }
  }

  private constructor() {
    // Beside this module in every form that it comes in: source, compiled, bundled.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.worker = new Worker(new URL(`./read-worker.${extension}`, import.meta.url), {
      // It allocates next to nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32 },
    });
    this.worker.on('message', (news: ReadNews) => {
      if (news.over) {
        if (news.failure !== undefined) this.failure = new Error(news.failure);
        this.end();
      }
      this.wake();
    });
    this.worker.on('error', () => this.gone());
    this.worker.on('exit', () => this.gone());
    this.worker.unref();
  }

  /** Memory for chunks, of any content. */
  buffers(count: number, bytes: number): readonly SharedArrayBuffer[] {
    this.memory = this.memory.filter(({ byteLength }) => byteLength === bytes).slice(0, count);
    while (this.memory.length < count) this.memory.push(new SharedArrayBuffer(bytes));
    return this.memory;
  }

  /** Begins a job. */
  start(job: ReadJob): void {
    this.failure = undefined;
    if (!this.alive) return;
    this.done = new Promise((resolve) => (this.ended = resolve));
    this.worker.postMessage(job);
  }

  /** Resolves when the job is over, and nothing is being read any more. */
  over(): Promise<void> {
    return this.during(this.done);
  }

  /** Resolves with the next news, or when there will be none, or now if `already` says so once news would be heard. */
  async news(already: () => boolean): Promise<void> {
    if (!this.alive) return;
    const told = new Promise<void>((resolve) => this.waiting.push(resolve));
    if (!already()) await this.during(told);
  }

  /** Gives it back; its job is over. `kept`: memory that somebody looks at still, and so nobody else may fill. */
  release(kept: ReadonlySet<ArrayBufferLike> = new Set()): void {
    this.lent = false;
    this.memory = this.memory.filter((buffer) => !kept.has(buffer));
    this.idle = setTimeout(() => void this.terminate(), KEPT_MS).unref();
  }

  /** Only while somebody waits for it the thread keeps the process alive. */
  private async during(promise: Promise<void>): Promise<void> {
    if (this.waiters++ === 0) this.worker.ref();
    await promise;
    if (--this.waiters === 0) this.worker.unref();
  }

  /** Ends it: whoever has it goes on alone. */
  async terminate(): Promise<void> {
    this.alive = false;
    await this.worker.terminate();
    this.gone();
  }

  private gone(): void {
    this.alive = false;
    this.memory = [];
    this.end();
    this.wake();
  }

  private end(): void {
    this.ended?.();
    this.ended = undefined;
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
