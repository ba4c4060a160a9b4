// Properties of the writers: what they write is read back; and a merge is a stable sort of sorted captures.
import { deepStrictEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CaptureReader,
  memorySource,
  MergedCapture,
  type PacketAnnotations,
  PcapngWriter,
  PcapWriter,
  type VerdictToWrite,
} from '../../../src/capture/index.ts';
import { readAll } from '../../support/capture-reading.ts';

const packets = fc.array(
  fc.record({
    data: fc.uint8Array({ maxLength: 700 }),
    before: fc.nat(9),
    extraWire: fc.nat(70_000),
    seconds: fc.oneof(fc.nat(4_294_967_295), fc.constantFrom(0, 1, 65_535, 65_536, 4_294_967_295)),
    nanoseconds: fc.nat(999_999_999),
  }),
  { maxLength: 12 },
);

/** A sink that keeps what was written. */
function memorySink(): { write(bytes: Uint8Array): void; chunks: Uint8Array[] } {
  const chunks: Uint8Array[] = [];
  return { chunks, write: (bytes) => void chunks.push(bytes.slice()) };
}

test('pcap: written is read', async () => {
  await fc.assert(
    fc.asyncProperty(packets, fc.nat(65_535), async (list, linkType) => {
      const sink = memorySink();
      const writer = new PcapWriter(sink, { linkType });
      const expected = list.map(({ data, before, extraWire, seconds, nanoseconds }) => {
        const bytes = Uint8Array.of(...new Uint8Array(before).fill(0xa5), ...data, 0xa5);
        const wireBytes = data.length + extraWire;
        writer.packet(bytes, before, data.length, wireBytes, seconds, nanoseconds);
        return { data, wireBytes, seconds, nanoseconds, linkType, interfaceId: 0 };
      });
      writer.flush();
      equal(writer.timesClamped, 0);
      deepStrictEqual(await readAll(new CaptureReader(memorySource(sink.chunks))), {
        packets: expected,
        error: undefined,
      });
    }),
  );
});

const text = fc.string({ maxLength: 40, unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));
const verdict: fc.Arbitrary<VerdictToWrite> = fc.oneof(
  fc.record(
    { type: fc.constantFrom(1 as const, 2 as const), code: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
    { noNullPrototype: true },
  ),
  fc.record({ type: fc.constantFrom(0, 3, 255), value: fc.uint8Array({ maxLength: 20 }) }, { noNullPrototype: true }),
);
const annotations: fc.Arbitrary<PacketAnnotations> = fc.record(
  {
    comments: fc.array(text, { maxLength: 3 }),
    flags: fc.nat(0xffffffff),
    hashes: fc.array(
      fc.record({ algorithm: fc.nat(255), value: fc.uint8Array({ maxLength: 20 }) }, { noNullPrototype: true }),
      { maxLength: 2 },
    ),
    verdicts: fc.array(verdict, { maxLength: 3 }),
    dropCount: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    packetId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    queue: fc.nat(0xffffffff),
  },
  { requiredKeys: [], noNullPrototype: true },
);

/** The eight bytes of a verdict's code, little-endian. */
function codeBytes(code: bigint): Uint8Array {
  return Uint8Array.from({ length: 8 }, (_, i) => Number((code >> BigInt(8 * i)) & 0xffn));
}

test('pcapng: written is read, with interfaces, comments and verdicts', async () => {
  const described = fc.array(
    fc.record(
      { linkType: fc.nat(65_535), snapLength: fc.nat(0xffffffff), name: text, description: text },
      { requiredKeys: ['linkType', 'snapLength'], noNullPrototype: true },
    ),
    { minLength: 1, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(
      described,
      packets,
      fc.array(annotations, { maxLength: 12 }),
      async (interfaces, list, options) => {
        const sink = memorySink();
        const writer = new PcapngWriter(sink, { comment: 'of the section' });
        interfaces.forEach((on, id) => equal(writer.addInterface(on), id));
        list.forEach(({ data, extraWire, seconds, nanoseconds }, i) => {
          const on = i % interfaces.length;
          writer.packet(on, data, 0, data.length, data.length + extraWire, seconds, nanoseconds, options[i]);
        });
        writer.flush();
        const reader = new CaptureReader(memorySource(sink.chunks));
        let count = 0;
        do {
          while (reader.next()) {
            const { data, extraWire, seconds, nanoseconds } = list[count]!;
            deepStrictEqual(reader.bytes.slice(reader.offset, reader.offset + reader.capturedBytes), data);
            deepStrictEqual(
              [reader.wireBytes, reader.seconds, reader.nanoseconds, reader.interfaceId],
              [data.length + extraWire, seconds, nanoseconds, count % interfaces.length],
            );
            const given = options[count++] ?? {};
            const verdicts = (given.verdicts ?? []).map((one) =>
              'code' in one && one.code !== undefined
                ? { type: one.type, value: codeBytes(one.code), code: one.code }
                : one,
            );
            deepStrictEqual(reader.packetOptions(), { comments: [], hashes: [], ...given, verdicts });
          }
        } while (await reader.fill());
        equal(reader.error, undefined);
        equal(count, list.length);
        // An interface without packets is listed, too.
        deepStrictEqual(
          reader.interfaces,
          interfaces.map((on, id) => ({
            id,
            capture: 0,
            section: 0,
            resolution: { base: 10, exponent: 9 },
            offsetSeconds: 0n,
            ...on,
          })),
        );
      },
    ),
  );
});

test('a merge is the stable sort of its captures', async () => {
  const times = fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(times, { maxLength: 6 }),
      fc.integer({ min: 64, max: 200 }),
      async (captures, bufferBytes) => {
        const sorted = captures.map((list) => list.toSorted(([s, n], [t, m]) => s - t || n - m));
        const readers = sorted.map((list, capture) => {
          const sink = memorySink();
          const writer = new PcapWriter(sink, { linkType: 100 + capture });
          list.forEach(([seconds, nanoseconds], i) =>
            writer.packet(Uint8Array.of(capture, i), 0, 2, 2, seconds, nanoseconds),
          );
          writer.flush();
          return new CaptureReader(memorySource(sink.chunks), { bufferBytes });
        });
        const expected = sorted
          .flatMap((list, capture) => list.map(([seconds, nanoseconds], i) => ({ capture, i, seconds, nanoseconds })))
          .sort((a, b) => a.seconds - b.seconds || a.nanoseconds - b.nanoseconds);
        const merged = new MergedCapture(readers);
        const { packets: found, error } = await readAll(merged);
        equal(error, undefined);
        deepStrictEqual(
          found.map(({ data, seconds, nanoseconds, linkType }) => ({
            data: [...data],
            seconds,
            nanoseconds,
            linkType,
          })),
          expected.map(({ capture, i, seconds, nanoseconds }) => ({
            data: [capture, i],
            seconds,
            nanoseconds,
            linkType: 100 + capture,
          })),
        );
        for (const on of merged.interfaces) equal(on.linkType, 100 + on.capture);
      },
    ),
  );
});
