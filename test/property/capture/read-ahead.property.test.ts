// Reading ahead passes the suite of chunk sources, however its reads are cut and delayed.
import { equal, ok } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { type PositionalRead, ReadAhead } from '../../../src/capture/file/read-ahead.ts';
import { CaptureReader } from '../../../src/capture/index.ts';
import { type OpenedChunks, runChunkSourceSuite } from '../../conformance/chunk-source.ts';

interface Manner {
  readonly chunkBytes: number;
  /** Reads one after the other: turns of the event loop that one takes, and the most bytes that it gives. */
  readonly reads: readonly (readonly [number, number])[];
}

const manners: fc.Arbitrary<Manner> = fc.record({
  chunkBytes: fc.integer({ min: 1, max: 700 }),
  reads: fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 400 })), { minLength: 1, maxLength: 12 }),
});

function open(file: Uint8Array, { chunkBytes, reads }: Manner, failAt = Infinity): Promise<OpenedChunks> {
  let closed = 0;
  let reading = 0;
  let count = 0;
  let late = 0;
  const readAt: PositionalRead = async (into, at, length, position) => {
    const [turns, most] = reads[count++ % reads.length]!;
    ok(at + length <= into.length && length > 0);
    if (closed > 0) late++;
    // The system may write whenever it likes: what is still in use must not be here.
    into.fill(0xa5, at, at + length);
    reading++;
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    reading--;
    if (position >= failAt) throw new Error('input/output error');
    const part = file.subarray(position, Math.min(position + Math.min(length, most), failAt));
    into.set(part, at);
    return part.length;
  };
  const closeFile = (): Promise<void> => {
    equal(reading, 0, 'closed while reading');
    closed++;
    return Promise.resolve();
  };
  const reader = new CaptureReader(new ReadAhead(readAt, closeFile, chunkBytes));
  return Promise.resolve({ reader, closed: () => closed, late: () => late + reading });
}

runChunkSourceSuite({ manners, runs: 200, open });
