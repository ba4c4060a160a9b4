// The suite that every ChunkSource passes, under a CaptureReader: the same packets and error as from memory, while packets are rewritten
// in place, when the file cannot be read further, and when it is closed in between. Input: a way to open bytes as chunks.
// Output: registered node:test tests.
import { deepStrictEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import type { CaptureError, CaptureReader } from '../../src/capture/index.ts';
import { encodePcap, encodePcapng, type EncodedRecord, joined } from '../support/capture-encoder.ts';
import { pcapFiles, pcapngFiles, readAll, readerOf } from '../support/capture-reading.ts';

/** A capture that is read in chunks. */
export interface OpenedChunks {
  readonly reader: CaptureReader;
  /** Calls of closeFile so far. */
  closed(): number;
  /** Reads that are under way, or that came once the file was closed. */
  late(): number;
}

/** What the suite needs of a source. `H` is how it reads: sizes, and whatever may differ between runs. */
export interface ChunkSourceSuite<H> {
  readonly manners: fc.Arbitrary<H>;
  readonly runs: number;
  /** Opens bytes; those from `failAt` on cannot be read: `input/output error`. */
  open(file: Uint8Array, how: H, failAt?: number): Promise<OpenedChunks>;
}

/** Small captures of both formats, as their records. */
export const smallCaptures: fc.Arbitrary<EncodedRecord[]> = fc.oneof(
  pcapFiles.map(encodePcap),
  pcapngFiles.map(encodePcapng),
);

/** The bytes of the packets among records. */
export const packetBytes = (records: readonly EncodedRecord[]): Uint8Array[] =>
  records.flatMap(({ packet }) => (packet ? [packet.data] : []));

/** Registers the suite. */
export function runChunkSourceSuite<H>({ manners, runs, open }: ChunkSourceSuite<H>): void {
  test('the same packets and error as from memory, also of damaged files', async () => {
    const edits = fc.array(fc.tuple(fc.nat(4000), fc.integer({ min: 0, max: 255 })), { maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(smallCaptures, manners, edits, async (records, how, changes) => {
        const file = joined(records);
        for (const [at, value] of changes) file[at % file.length] = value;
        const opened = await open(file, how);
        deepStrictEqual(await readAll(opened.reader), await readAll(readerOf(file)));
        deepStrictEqual([opened.closed(), opened.late()], [1, 0]);
      }),
      { numRuns: runs },
    );
  });

  test('packets rewritten in place do not change what follows', async () => {
    await fc.assert(
      fc.asyncProperty(smallCaptures, manners, async (records, how) => {
        const { reader } = await open(joined(records), how);
        const found: Uint8Array[] = [];
        do {
          while (reader.next()) {
            found.push(reader.bytes.slice(reader.offset, reader.offset + reader.capturedBytes));
            reader.bytes.fill(0xff, reader.offset, reader.offset + reader.capturedBytes);
          }
        } while (await reader.fill());
        await reader.close();
        equal(reader.error, undefined);
        deepStrictEqual(found, packetBytes(records));
      }),
      { numRuns: runs },
    );
  });

  test('a read that fails: every whole packet before it, then its message at the record that was cut', async () => {
    await fc.assert(
      fc.asyncProperty(smallCaptures, manners, fc.nat(4000), async (records, how, at) => {
        const file = joined(records);
        const failAt = at % file.length;
        let boundary = 0;
        let whole = 0;
        while (boundary + records[whole]!.bytes.length <= failAt) boundary += records[whole++]!.bytes.length;
        const { packets, error } = await readAll((await open(file, how, failAt)).reader);
        deepStrictEqual(
          packets,
          records.slice(0, whole).flatMap(({ packet }) => (packet ? [packet] : [])),
        );
        const message = `input/output error (at byte ${boundary})`;
        deepStrictEqual(error, { offset: boundary, capture: 0, message } satisfies CaptureError);
      }),
      { numRuns: runs },
    );
  });

  test('closing at any point waits for the reads under way, closes once, and ends the packets', async () => {
    await fc.assert(
      fc.asyncProperty(smallCaptures, manners, fc.nat(8), fc.boolean(), async (records, how, fills, meanwhile) => {
        const { reader, closed, late } = await open(joined(records), how);
        for (let i = 0; i < fills; i++) {
          while (reader.next()) continue;
          await reader.fill();
        }
        const { error } = reader;
        const filling = meanwhile ? reader.fill() : undefined;
        await Promise.all([reader.close(), reader.close()]);
        equal(closed(), 1);
        if (filling !== undefined) await filling;
        equal(await reader.fill(), false);
        await setImmediate();
        deepStrictEqual([closed(), late(), reader.error], [1, 0, error]);
      }),
      { numRuns: runs },
    );
  });
}
