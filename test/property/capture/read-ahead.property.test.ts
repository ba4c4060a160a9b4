// Properties of reading ahead: the same packets and the same error as from memory, however reads are cut, delayed or fail, and
// while every packet is rewritten in place.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PositionalRead, ReadAhead } from '../../../src/capture/file/read-ahead.ts';
import { type CaptureError, CaptureReader } from '../../../src/capture/index.ts';
import { encodePcap, encodePcapng, type EncodedRecord, joined } from '../../support/capture-encoder.ts';
import { pcapFiles, pcapngFiles, readAll, readerOf } from '../../support/capture-reading.ts';

const files: fc.Arbitrary<EncodedRecord[]> = fc.oneof(pcapFiles.map(encodePcap), pcapngFiles.map(encodePcapng));
/** How reads go, one after the other: turns of the event loop that one takes, and the most bytes that it gives. */
const manners = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 400 })), { minLength: 1, maxLength: 12 });

interface Watched {
  readonly reader: CaptureReader;
  /** Calls of closeFile, and reads under way. */
  readonly state: { closed: number; reading: number; reads: number };
}

/** A reader that reads `file` ahead; from byte `failAt` on, reads are refused. */
function readingAhead(
  file: Uint8Array,
  chunkBytes: number,
  how: readonly (readonly [number, number])[],
  failAt = Infinity,
): Watched {
  const state = { closed: 0, reading: 0, reads: 0 };
  const readAt: PositionalRead = async (into, at, length, position) => {
    const [turns, most] = how[state.reads++ % how.length]!;
    ok(at + length <= into.length && length > 0 && state.closed === 0);
    // The system may write whenever it likes: what is still in use must not be here.
    into.fill(0xa5, at, at + length);
    state.reading++;
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    state.reading--;
    if (position >= failAt) throw new Error('input/output error');
    const part = file.subarray(position, Math.min(position + Math.min(length, most), failAt));
    into.set(part, at);
    return part.length;
  };
  const closeFile = (): Promise<void> => {
    equal(state.reading, 0, 'closed while reading');
    state.closed++;
    return Promise.resolve();
  };
  return { reader: new CaptureReader(new ReadAhead(readAt, closeFile, chunkBytes)), state };
}

test('the same packets and error as from memory, also of damaged files', async () => {
  const edits = fc.array(fc.tuple(fc.nat(4000), fc.integer({ min: 0, max: 255 })), { maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(files, fc.integer({ min: 1, max: 700 }), manners, edits, async (records, size, how, changes) => {
      const file = joined(records);
      for (const [at, value] of changes) file[at % file.length] = value;
      const { reader, state } = readingAhead(file, size, how);
      deepStrictEqual(await readAll(reader), await readAll(readerOf(file)));
      deepStrictEqual([state.closed, state.reading], [1, 0]);
    }),
    { numRuns: 300 },
  );
});

test('packets rewritten in place do not change what follows', async () => {
  await fc.assert(
    fc.asyncProperty(files, fc.integer({ min: 1, max: 700 }), manners, async (records, size, how) => {
      const { reader } = readingAhead(joined(records), size, how);
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
    { numRuns: 200 },
  );
});

test('a read that fails: every whole packet before it, then its message at the record that was cut', async () => {
  await fc.assert(
    fc.asyncProperty(files, fc.integer({ min: 1, max: 700 }), manners, fc.nat(4000), async (records, size, how, at) => {
      const file = joined(records);
      const failAt = at % file.length;
      let boundary = 0;
      let whole = 0;
      while (boundary + records[whole]!.bytes.length <= failAt) boundary += records[whole++]!.bytes.length;
      const { packets, error } = await readAll(readingAhead(file, size, how, failAt).reader);
      deepStrictEqual(
        packets,
        records.slice(0, whole).flatMap(({ packet }) => (packet ? [packet] : [])),
      );
      const expected: CaptureError = {
        offset: boundary,
        capture: 0,
        message: `input/output error (at byte ${boundary})`,
      };
      deepStrictEqual(error, expected);
    }),
    { numRuns: 200 },
  );
});

test('closing at any point waits for the reads under way, closes once, and ends the packets', async () => {
  await fc.assert(
    fc.asyncProperty(files, manners, fc.nat(8), fc.boolean(), async (records, how, fills, meanwhile) => {
      const { reader, state } = readingAhead(joined(records), 64, how);
      for (let i = 0; i < fills; i++) {
        while (reader.next()) continue;
        await reader.fill();
      }
      const error = reader.error;
      const filling = meanwhile ? reader.fill() : undefined;
      await Promise.all([reader.close(), reader.close()]);
      equal(state.closed, 1);
      if (filling !== undefined) await filling;
      equal(await reader.fill(), false);
      await setImmediate();
      deepStrictEqual([state.closed, state.reading], [1, 0]);
      equal(reader.error, error);
    }),
    { numRuns: 200 },
  );
});
