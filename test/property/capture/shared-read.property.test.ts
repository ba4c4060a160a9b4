// Properties of reading with two threads: the same packets and the same error as from memory, whatever the sizes, while packets are
// rewritten in place, when the thread goes, and when the source is closed in between.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { ReadThread } from '../../../src/capture/file/read-thread.ts';
import { SharedRead } from '../../../src/capture/file/shared-read.ts';
import { type CaptureError, CaptureReader } from '../../../src/capture/index.ts';
import { encodePcap, encodePcapng, type EncodedRecord, joined } from '../../support/capture-encoder.ts';
import { pcapFiles, pcapngFiles, readAll, readerOf } from '../../support/capture-reading.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-shared-read-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const path = join(dir, 'capture');

const files: fc.Arbitrary<EncodedRecord[]> = fc.oneof(pcapFiles.map(encodePcap), pcapngFiles.map(encodePcapng));
const sizes = fc.record({ chunk: fc.integer({ min: 1, max: 700 }), piece: fc.integer({ min: 1, max: 60 }) });

interface Watched {
  readonly reader: CaptureReader;
  readonly thread: ReadThread;
  /** `late`: pieces that were read once the file was closed, or closed while the thread had its job. */
  readonly state: { closed: number; pieces: number; late: number };
}

/**
 * A reader that shares the reading of `file` with the thread.
 * @param early the thread begins at the first byte; else where it is when it is there, which short files do not wait for
 * @param failAt pieces from this byte on are refused; chunks are not
 */
function sharing(
  file: Uint8Array,
  size: { readonly chunk: number; readonly piece: number },
  early: boolean,
  failAt = Infinity,
): Watched {
  writeFileSync(path, file);
  const descriptor = openSync(path, 'r');
  const thread = ReadThread.lend();
  ok(thread !== undefined, 'the last one gave it back');
  const state = { closed: 0, pieces: 0, late: 0 };
  const source = new SharedRead(
    descriptor,
    (into, at, length, position) => {
      // What is thrown here would be a failure of reading.
      if (state.closed > 0) state.late++;
      state.pieces++;
      into.fill(0xa5, at, at + length);
      if (position >= failAt) throw new Error('input/output error');
      return readSync(descriptor, into, at, Math.min(length, failAt - position), position);
    },
    () => {
      const free = ReadThread.lend();
      if (free === undefined) state.late++;
      free?.release();
      closeSync(descriptor);
      state.closed++;
      return Promise.resolve();
    },
    thread,
    size,
  );
  if (early) source.begin();
  return { reader: new CaptureReader(source), thread, state };
}

test('the same packets and error as from memory, also of damaged files', async () => {
  const edits = fc.array(fc.tuple(fc.nat(4000), fc.integer({ min: 0, max: 255 })), { maxLength: 2 });
  let pieces = 0;
  await fc.assert(
    fc.asyncProperty(files, sizes, fc.boolean(), edits, async (records, size, early, changes) => {
      const file = joined(records);
      for (const [at, value] of changes) file[at % file.length] = value;
      const { reader, state } = sharing(file, size, early);
      deepStrictEqual(await readAll(reader), await readAll(readerOf(file)));
      equal(state.closed, 1);
      if (early) pieces += state.pieces;
    }),
    { numRuns: 150 },
  );
  ok(pieces > 0, 'both read a share');
});

test('packets rewritten in place do not change what follows', async () => {
  await fc.assert(
    fc.asyncProperty(files, sizes, fc.boolean(), async (records, size, early) => {
      const { reader } = sharing(joined(records), size, early);
      const found: Uint8Array[] = [];
      do {
        while (reader.next()) {
          found.push(reader.bytes.slice(reader.offset, reader.offset + reader.capturedBytes));
          reader.bytes.fill(0xff, reader.offset, reader.offset + reader.capturedBytes);
        }
      } while (await reader.fill());
      await reader.close();
      equal(reader.error, undefined);
      deepStrictEqual(
        found,
        records.flatMap(({ packet }) => (packet ? [packet.data] : [])),
      );
    }),
    { numRuns: 100 },
  );
});

test('a piece that cannot be read: every whole packet before it, then its message at the record that was cut', async () => {
  await fc.assert(
    fc.asyncProperty(files, sizes, fc.nat(4000), async (records, size, at) => {
      const file = joined(records);
      const failAt = at % file.length;
      let boundary = 0;
      let whole = 0;
      while (boundary + records[whole]!.bytes.length <= failAt) boundary += records[whole++]!.bytes.length;
      const watched = sharing(file, size, false, failAt);
      // Alone, the reader reads all of it.
      await watched.thread.terminate();
      const { packets, error } = await readAll(watched.reader);
      deepStrictEqual(
        packets,
        records.slice(0, whole).flatMap(({ packet }) => (packet ? [packet] : [])),
      );
      const message = `input/output error (at byte ${boundary})`;
      deepStrictEqual(error, { offset: boundary, capture: 0, message } satisfies CaptureError);
    }),
    { numRuns: 20 },
  );
});

test('a thread that goes at any time leaves the reading to its reader', async () => {
  await fc.assert(
    fc.asyncProperty(files, sizes, fc.nat(12), fc.boolean(), async (records, size, fills, byItself) => {
      const file = joined(records);
      const { reader, thread, state } = sharing(file, size, true);
      const found: Uint8Array[] = [];
      for (let i = 0, more = true; more; i++) {
        while (reader.next()) found.push(reader.bytes.slice(reader.offset, reader.offset + reader.capturedBytes));
        if (i === fills && byItself) void (thread as unknown as { readonly worker: Worker }).worker.terminate();
        else if (i === fills) await thread.terminate();
        more = await reader.fill();
      }
      await reader.close();
      deepStrictEqual([reader.error, state.closed], [undefined, 1]);
      deepStrictEqual(
        found,
        records.flatMap(({ packet }) => (packet ? [packet.data] : [])),
      );
    }),
    { numRuns: 20 },
  );
});

test('closing at any point waits for the thread, closes once, gives the thread back and ends the packets', async () => {
  await fc.assert(
    fc.asyncProperty(
      files,
      sizes,
      fc.nat(8),
      fc.boolean(),
      fc.boolean(),
      async (records, size, fills, early, meanwhile) => {
        const { reader, state } = sharing(joined(records), size, early);
        for (let i = 0; i < fills; i++) {
          while (reader.next()) continue;
          await reader.fill();
        }
        const { error } = reader;
        const filling = meanwhile ? reader.fill() : undefined;
        await Promise.all([reader.close(), reader.close()]);
        equal(state.closed, 1);
        if (filling !== undefined) await filling;
        equal(await reader.fill(), false);
        await setImmediate();
        deepStrictEqual([state.closed, state.late, reader.error], [1, 0, error]);
      },
    ),
    { numRuns: 150 },
  );
});
