// A file to write a capture to.
// Input: a path, or '-' for standard output. Output: a ByteSink that writes at once.
// Invariant: when `write` returns, all bytes were taken.
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ByteSink } from '../writer.ts';

/** A ByteSink over a descriptor. `write` throws the system's error (disk full, closed pipe). */
export interface FileSink extends ByteSink {
  /** Closes the file (never standard output); safe to call twice. */
  close(): void;
}

/** Creates `path`, or empties what is there; `-` is standard output. Throws the system's error. */
export function createSink(path: string): FileSink {
  let descriptor = path === '-' ? 1 : openSync(path, 'w');
  return {
    write(bytes) {
      for (let at = 0; at < bytes.length;) at += writeSome(descriptor, bytes, at);
    },
    close() {
      if (descriptor > 1) closeSync(descriptor);
      descriptor = -1;
    },
  };
}

const clock = new Int32Array(new SharedArrayBuffer(4));

/** Writes what fits. A pipe that someone set to non-blocking is full at times: wait a millisecond then. */
function writeSome(descriptor: number, bytes: Uint8Array, at: number): number {
  try {
    return writeSync(descriptor, bytes, at);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EAGAIN')) throw cause;
    Atomics.wait(clock, 0, 0, 1);
    return 0;
  }
}
