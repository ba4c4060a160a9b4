// ByteSources over files, descriptors and streams.
// Input: an open handle or stream. Output: reads straight into the reader's buffer (streams: copied from their chunks).
// Invariant: at most one chunk of a stream is held.
import { closeSync, readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { ByteSource } from '../packet-source.ts';

/**
 * Reads a regular file from its current position; closing closes the descriptor when `owned`. Reads are synchronous: waiting
 * for another thread costs more than a small read takes. Large files have ReadAhead.
 */
export function fileDescriptorSource(descriptor: number, owned: boolean): ByteSource {
  let open = true;
  return {
    read: (into, at, length) => {
      try {
        return Promise.resolve(open ? readSync(descriptor, into, at, length, null) : 0);
      } catch (cause) {
        return Promise.reject(cause);
      }
    },
    close() {
      if (open && owned) closeSync(descriptor);
      open = false;
      return Promise.resolve();
    },
  };
}

/** Reads a byte stream; closing destroys it. */
export function streamSource(stream: Readable): ByteSource {
  const iterator = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  return {
    async read(into, at, length) {
      while (rest.length === 0) {
        const step = await iterator.next();
        if (step.done === true) return 0;
        rest = step.value;
      }
      const part = rest.subarray(0, length);
      into.set(part, at);
      rest = rest.subarray(part.length);
      return part.length;
    },
    close() {
      stream.destroy();
      return Promise.resolve();
    },
  };
}

/** Gives `prefix` first, then what `source` gives. */
export function prefixedSource(prefix: Uint8Array, source: ByteSource): ByteSource {
  let rest = prefix;
  return {
    read(into, at, length) {
      if (rest.length === 0) return source.read(into, at, length);
      const part = rest.subarray(0, length);
      into.set(part, at);
      rest = rest.subarray(part.length);
      return Promise.resolve(part.length);
    },
    close: () => source.close(),
  };
}
