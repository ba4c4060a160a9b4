// Properties of CaptureReader: what was encoded is read; however the bytes arrive; up to any damage; and nothing throws.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodePcap, encodePcapng, joined, type EncodedRecord } from '../../support/capture-encoder.ts';
import { pcapFiles, pcapngFiles, readAll, readerOf } from '../../support/capture-reading.ts';

const files: fc.Arbitrary<EncodedRecord[]> = fc.oneof(pcapFiles.map(encodePcap), pcapngFiles.map(encodePcapng));
const cuts = fc.array(fc.nat(4000), { maxLength: 12 });
const packetsOf = (records: readonly EncodedRecord[]) => records.flatMap(({ packet }) => (packet ? [packet] : []));

test('every packet is read as it was encoded, in however many chunks it arrives', async () => {
  await fc.assert(
    fc.asyncProperty(files, cuts, fc.constantFrom(64, 200, 1 << 16), async (records, places, bufferBytes) => {
      const { packets, error } = await readAll(readerOf(joined(records), places, bufferBytes));
      equal(error, undefined);
      deepStrictEqual(packets, packetsOf(records));
    }),
    { numRuns: 400 },
  );
});

test('one byte at a time gives the same packets', async () => {
  await fc.assert(
    fc.asyncProperty(files, async (records) => {
      const file = joined(records);
      const { packets, error } = await readAll(readerOf(file, [...file.keys()]));
      equal(error, undefined);
      deepStrictEqual(packets, packetsOf(records));
    }),
    { numRuns: 60 },
  );
});

test('cut anywhere: the whole packets before, and one error at the record that was cut', async () => {
  await fc.assert(
    fc.asyncProperty(files, async (records) => {
      const file = joined(records);
      let whole = 0;
      let boundary = 0;
      const before: EncodedRecord[] = [];
      for (let length = 0; length < file.length; length++) {
        while (boundary + records[whole]!.bytes.length <= length) {
          before.push(records[whole]!);
          boundary += records[whole++]!.bytes.length;
        }
        const { packets, error } = await readAll(readerOf(file.subarray(0, length)));
        deepStrictEqual(packets, packetsOf(before));
        if (length === boundary && length > 0) equal(error, undefined, `cut at a boundary, ${length}`);
        else equal(error?.offset, boundary, `cut at ${length}`);
      }
    }),
    { numRuns: 25 },
  );
});

test('bytes overwritten at random never throw, and end with an error inside the file or none', async () => {
  const edits = fc.array(fc.tuple(fc.nat(4000), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(files, edits, cuts, async (records, changes, places) => {
      const file = joined(records);
      for (const [at, value] of changes) file[at % file.length] = value;
      const first = await readAll(readerOf(file, places));
      const second = await readAll(readerOf(file, [], 1 << 16));
      deepStrictEqual(first, second);
      ok(first.error === undefined || first.error.offset <= file.length);
      ok(first.error === undefined || !first.error.message.includes('\n'));
    }),
    { numRuns: 600 },
  );
});

test('garbage never throws; behind each magic number, too', async () => {
  const magics = [
    [],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xcd, 0x34],
    [0x0a, 0x0d, 0x0d, 0x0a],
    [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...magics), fc.uint8Array({ maxLength: 300 }), async (magic, rest) => {
      const { packets, error } = await readAll(readerOf(Uint8Array.of(...magic, ...rest)));
      ok(packets.length > 0 || error !== undefined || magic.length > 0);
    }),
    { numRuns: 600 },
  );
});

test('the buffer grows for a record larger than it, and for nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(files, cuts, async (records, places) => {
      const largest = Math.max(64, ...records.map(({ bytes }) => bytes.length));
      const reader = readerOf(joined(records), places, largest);
      await readAll(reader);
      equal(reader.window.bytes.length, largest);
    }),
  );
});

test('times are exact from one packet to the next, about seconds and about 2^32 units', async () => {
  const around = (step: bigint) =>
    fc.tuple(fc.bigInt({ min: 1n, max: 9n }), fc.bigInt({ min: -2n, max: 2n })).map(([n, d]) => n * step + d);
  const cases = fc.constantFrom(0, 1, 6, 9, 0x81, 0x8a, 0x9e).chain((resolution) => {
    const perSecond = (resolution & 0x80 ? 2n : 10n) ** BigInt(resolution & 0x7f);
    const unit = fc.oneof(around(perSecond), around(2n ** 32n), fc.bigInt({ min: 0n, max: 4n * perSecond }));
    return fc.tuple(fc.constant(resolution), fc.array(unit, { maxLength: 20 }));
  });
  await fc.assert(
    fc.asyncProperty(cases, async ([resolution, list]) => {
      const packet = { kind: 'enhanced' as const, on: 0, data: new Uint8Array(1), extraWire: 0, options: [] };
      const items = list.map((units) => ({ ...packet, units: units < 0n ? 0n : units }));
      const interfaces = [{ linkType: 1, snapLength: 0, resolution, offsetSeconds: -7n }];
      const records = encodePcapng([{ littleEndian: true, interfaces, items }]);
      deepStrictEqual((await readAll(readerOf(joined(records)))).packets, packetsOf(records));
    }),
    { numRuns: 400 },
  );
});
