// The program of the thread that reads chunks of a large file (shared-read.ts is its other end): one file after the other.
// Input: a ReadJob. Output: chunks in its slots, told by Atomics on `control`; a message where somebody waits for one, and at the end.
// Invariants: a slot is touched only while it is free; nothing is read once the last message of a job is out.
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { CONTROL, type ReadJob, type ReadNews } from './read-job.ts';

const { HERE, GO, STOP, WAITED_FOR, SHARE, RETURNED, FILLED } = CONTROL;
/** Looks at a word before this thread sleeps: some hundred microseconds. Sleeping and waking takes longer where processors are virtual. */
const LOOKS = 20_000;

/** Waits until a word is another than `while_`; false: it is to stop. */
function waitFor(control: Int32Array, word: number, while_: number): boolean {
  for (let looks = 0; Atomics.load(control, word) === while_; looks++) {
    if (Atomics.load(control, STOP) !== 0) return false;
    if (looks > LOOKS) Atomics.wait(control, word, while_);
  }
  return Atomics.load(control, STOP) === 0;
}

/** A slot that is free, which may take a while; -1: it is to stop. */
function freeSlot(control: Int32Array, free: Int32Array): number {
  for (;;) {
    const returned = Atomics.load(control, RETURNED);
    for (let number = 0; number < free.length; number++) if (Atomics.exchange(free, number, 0) === 1) return number;
    if (!waitFor(control, RETURNED, returned)) return -1;
  }
}

/** Reads a file to its end, or until it is to stop. */
function run(job: ReadJob, tell: (news: ReadNews) => void): void {
  const { descriptor, control, positions, ends, slots, free, start } = job;
  Atomics.store(control, HERE, 1);
  if (!waitFor(control, GO, 0)) return tell({ over: true });
  let position = positions[0]!;
  for (let filled = 0; ; filled = (filled + 1) % slots.length) {
    const number = freeSlot(control, free);
    if (number < 0) return tell({ over: true });
    const bytes = slots[number]!;
    let at = start;
    let failure: string | undefined;
    try {
      for (let count = 1; count > 0 && at < bytes.length; at += count)
        count = readSync(descriptor, bytes, at, bytes.length - at, position + at - start);
    } catch (cause) {
      failure = cause instanceof Error ? cause.message : String(cause);
    }
    position += bytes.length - start + Atomics.load(control, SHARE);
    positions[1 + number] = position;
    ends[number] = at;
    Atomics.store(control, FILLED + filled, number + 1);
    if (at < bytes.length) return tell(failure === undefined ? { over: true } : { over: true, failure });
    if (Atomics.load(control, STOP) !== 0) return tell({ over: true });
    if (Atomics.exchange(control, WAITED_FOR, 0) !== 0) tell({ over: false });
  }
}

parentPort?.on('message', (job: ReadJob) => run(job, (news) => parentPort!.postMessage(news)));
