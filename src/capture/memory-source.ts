// Bytes in memory as a ByteSource, for captures that were not read from a file (tests, a browser's upload).
// Input: chunks. Output: reads of what fits. Invariant: the chunks are not changed.
import type { ByteSource } from './packet-source.ts';

/** A source that gives the chunks one after the other, at most one chunk per read; empty ones are passed over. */
export function memorySource(chunks: Iterable<Uint8Array>): ByteSource {
  const iterator = chunks[Symbol.iterator]();
  let rest: Uint8Array = new Uint8Array(0);
  return {
    read(into, at, length) {
      while (rest.length === 0) {
        const step = iterator.next();
        if (step.done === true) return Promise.resolve(0);
        rest = step.value.subarray();
      }
      const part = rest.subarray(0, length);
      into.set(part, at);
      rest = rest.subarray(part.length);
      return Promise.resolve(part.length);
    },
    close: () => Promise.resolve(),
  };
}
