// Reading with two threads passes the suite of chunk sources, whatever the sizes, and goes on alone when its thread goes.
import { deepStrictEqual, ok } from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { ReadThread } from '../../../src/capture/file/read-thread.ts';
import { SharedRead } from '../../../src/capture/file/shared-read.ts';
import { CaptureReader } from '../../../src/capture/index.ts';
import { type OpenedChunks, packetBytes, runChunkSourceSuite, smallCaptures } from '../../conformance/chunk-source.ts';
import { joined } from '../../support/capture-encoder.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-shared-read-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const path = join(dir, 'capture');

/** Sizes in bytes. `early`: the thread begins at the first byte; else where it is when it is there, which short files do not wait for. */
interface Manner {
  readonly chunk: number;
  readonly piece: number;
  readonly early: boolean;
}

const sizes = { chunk: fc.integer({ min: 1, max: 700 }), piece: fc.integer({ min: 1, max: 60 }) };
const manners: fc.Arbitrary<Manner> = fc.record({ ...sizes, early: fc.boolean() });
/** Pieces that readers read whose thread had begun before. */
let shared = 0;

interface Sharing extends OpenedChunks {
  readonly thread: ReadThread;
}

/** Pieces from byte `failAt` on are refused; chunks are not. */
function sharing(file: Uint8Array, { early, ...size }: Manner, failAt = Infinity): Sharing {
  writeFileSync(path, file);
  const descriptor = openSync(path, 'r');
  const thread = ReadThread.lend();
  ok(thread !== undefined, 'the last one gave it back');
  let closed = 0;
  let late = 0;
  const source = new SharedRead(
    descriptor,
    (into, at, length, position) => {
      // What is thrown here would be a failure of reading.
      if (closed > 0) late++;
      if (early) shared++;
      into.fill(0xa5, at, at + length);
      if (position >= failAt) throw new Error('input/output error');
      return readSync(descriptor, into, at, Math.min(length, failAt - position), position);
    },
    () => {
      // Closed while the thread has its job would be too early.
      const free = ReadThread.lend();
      if (free === undefined) late++;
      free?.release();
      closeSync(descriptor);
      closed++;
      return Promise.resolve();
    },
    thread,
    size,
  );
  if (early) source.begin();
  return { reader: new CaptureReader(source), thread, closed: () => closed, late: () => late };
}

runChunkSourceSuite({
  manners,
  runs: 150,
  async open(file, how, failAt) {
    const opened = sharing(file, failAt === undefined ? how : { ...how, early: false }, failAt);
    // Alone, the reader reads all of it, and meets what cannot be read.
    if (failAt !== undefined) await opened.thread.terminate();
    return opened;
  },
});

test('both read a share', () => {
  ok(shared > 0);
});

test('a thread that goes at any time leaves the reading to its reader', async () => {
  await fc.assert(
    fc.asyncProperty(
      smallCaptures,
      fc.record(sizes),
      fc.nat(12),
      fc.boolean(),
      async (records, size, fills, byItself) => {
        const { reader, thread, closed } = sharing(joined(records), { ...size, early: true });
        const found: Uint8Array[] = [];
        for (let i = 0, more = true; more; i++) {
          while (reader.next()) found.push(reader.bytes.slice(reader.offset, reader.offset + reader.capturedBytes));
          if (i === fills && byItself) void (thread as unknown as { readonly worker: Worker }).worker.terminate();
          else if (i === fills) await thread.terminate();
          more = await reader.fill();
        }
        await reader.close();
        deepStrictEqual([reader.error, closed()], [undefined, 1]);
        deepStrictEqual(found, packetBytes(records));
      },
    ),
    { numRuns: 20 },
  );
});
