// Reads whole captures into plain values, and makes random ones, for tests of capture/.
// Input: a PacketSource, or bytes and how to cut them into chunks. Output: packets as copies, and the error.
import fc from 'fast-check';
import { CaptureReader, type CaptureError, memorySource, type PacketSource } from '../../src/capture/index.ts';
import type {
  ExpectedPacket,
  InterfaceDescription,
  ItemDescription,
  PcapDescription,
  SectionDescription,
} from './capture-encoder.ts';

/** All packets of a source, copied, and how reading ended. Checks what holds for any source. */
export async function readAll(
  source: PacketSource,
): Promise<{ packets: ExpectedPacket[]; error: CaptureError | undefined }> {
  const packets: ExpectedPacket[] = [];
  for (;;) {
    while (source.next()) {
      const { bytes, offset, capturedBytes, wireBytes, seconds, nanoseconds, linkType, interfaceId } = source;
      packets.push({
        data: bytes.slice(offset, offset + capturedBytes),
        wireBytes,
        seconds,
        nanoseconds,
        linkType,
        interfaceId,
      });
      if (source.number !== packets.length) throw new Error(`packet ${packets.length} has number ${source.number}`);
      if (source.interfaces[interfaceId]?.linkType !== linkType)
        throw new Error(`interface ${interfaceId} does not agree`);
    }
    if (!(await source.fill())) break;
  }
  if (source.next()) throw new Error('a packet came after the end');
  await source.close();
  return { packets, error: source.error };
}

/** Cuts `file` at the given places (taken modulo its length). */
export function chunksOf(file: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (file.length + 1)))].sort((a, b) => a - b);
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const to of [...places, file.length]) {
    chunks.push(file.subarray(from, to));
    from = to;
  }
  return chunks;
}

/** A reader over bytes in memory, with a small buffer so that it moves and grows. */
export function readerOf(file: Uint8Array, cuts: readonly number[] = [], bufferBytes = 64): CaptureReader {
  return new CaptureReader(memorySource(chunksOf(file, cuts)), { bufferBytes });
}

const data = fc.uint8Array({ maxLength: 90 });
const extraWire = fc.oneof(fc.constant(0), fc.nat(70_000));
const u32 = fc.integer({ min: 0, max: 0xffffffff });

/** Random classic pcap files. */
export const pcapFiles: fc.Arbitrary<PcapDescription> = fc.record({
  littleEndian: fc.boolean(),
  nanoseconds: fc.boolean(),
  modified: fc.boolean(),
  linkType: fc.nat(65_535),
  snapLength: u32,
  packets: fc.array(fc.record({ data, extraWire, seconds: u32, fraction: fc.nat(2_000_000_000) }), { maxLength: 8 }),
});

const resolution = fc.oneof(fc.constantFrom(0, 3, 6, 9, 0x80, 0x8a, 0xa0), fc.integer({ min: 0, max: 255 }));
const interfaces: fc.Arbitrary<InterfaceDescription> = fc.record(
  {
    linkType: fc.nat(65_535),
    snapLength: fc.oneof(fc.constant(0), fc.nat(120)),
    name: fc.string({ maxLength: 12, unit: 'grapheme' }).map((text) => text.replaceAll('\0', '')),
    resolution,
    offsetSeconds: fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }),
  },
  { requiredKeys: ['linkType', 'snapLength'] },
);
const options = fc.array(
  fc.record({ code: fc.integer({ min: 1, max: 40_000 }), value: fc.uint8Array({ maxLength: 20 }) }),
  { maxLength: 3 },
);
const items: fc.Arbitrary<ItemDescription> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('enhanced' as const, 'obsolete' as const),
      on: fc.nat(5),
      data,
      extraWire,
      // Seconds beyond 2^53 are not exact, by the interface's word: with a resolution of 1 s, stay below.
      units: fc.bigInt({ min: 0n, max: 2n ** 53n - 2n ** 41n }),
      options,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('simple' as const), data }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('other' as const),
      // Name resolution, statistics, journal, secrets, custom blocks, and unknown ones.
      type: fc.constantFrom(4, 5, 7, 8, 9, 10, 0xbad, 0x40000bad, 0x12345678, 0xffffffff),
      body: fc.uint8Array({ maxLength: 64 }),
    }),
  },
);

/** Random pcapng files: one to three sections. */
export const pcapngFiles: fc.Arbitrary<SectionDescription[]> = fc.array(
  fc.record({
    littleEndian: fc.boolean(),
    interfaces: fc.array(interfaces, { maxLength: 3 }),
    items: fc.array(items, { maxLength: 6 }),
  }),
  { minLength: 1, maxLength: 3 },
);
