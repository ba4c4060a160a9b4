// Fixed cases of the writers: long comments, times that do not fit, records larger than the buffer, the header's bytes.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type PacketAnnotations, PcapngWriter, PcapWriter } from '../../../src/capture/index.ts';
import { joined } from '../../support/capture-encoder.ts';
import { readAll, readerOf } from '../../support/capture-reading.ts';

/** What `write` gives to its sink, in one piece. */
function written(write: (sink: { write(bytes: Uint8Array): void }) => void): Uint8Array {
  const chunks: { bytes: Uint8Array }[] = [];
  write({ write: (bytes) => void chunks.push({ bytes: bytes.slice() }) });
  return joined(chunks);
}

/** A file with one packet that carries these annotations. */
function annotated(annotations: PacketAnnotations): Uint8Array {
  return written((sink) => {
    const writer = new PcapngWriter(sink);
    writer.packet(writer.addInterface({ linkType: 1 }), Uint8Array.of(1), 0, 1, 1, 2, 3, annotations);
    writer.flush();
  });
}

test('comments of any length are kept, or cut between characters', async () => {
  for (const [comment, kept] of [
    ['é'.repeat(5000), 'é'.repeat(5000)],
    ['x'.repeat(65_535), 'x'.repeat(65_535)],
    ['x'.repeat(65_536), 'x'.repeat(65_535)],
    ['é'.repeat(40_000), 'é'.repeat(32_767)],
    ['', ''],
  ] as const) {
    const reader = readerOf(annotated({ comments: [comment, 'second'], flags: 1 }), [], 1 << 18);
    while (!reader.next()) ok(await reader.fill());
    const { comments, flags } = reader.packetOptions();
    ok(comments[0] === kept, `${comment.length} characters became ${comments[0]?.length}`);
    deepStrictEqual([comments[1], flags], ['second', 1]);
    deepStrictEqual([reader.capturedBytes, reader.seconds, reader.nanoseconds], [1, 2, 3]);
  }
});

test('times that do not fit are clamped and counted', async () => {
  const bytes = Uint8Array.of(1);
  const times = [-1, 0, 4_294_967_295, 4_294_967_296, 18_446_744_072, 18_446_744_073, 2 ** 53];
  let clamped = 0;
  const pcap = written((sink) => {
    const writer = new PcapWriter(sink, { linkType: 1 });
    for (const seconds of times) writer.packet(bytes, 0, 1, 1, seconds, 5);
    writer.flush();
    clamped = writer.timesClamped;
  });
  equal(clamped, 5);
  const most = 4_294_967_295;
  deepStrictEqual(
    (await readAll(readerOf(pcap))).packets.map((packet) => packet.seconds),
    [0, 0, most, ...Array(4).fill(most)],
  );
  const pcapng = written((sink) => {
    const writer = new PcapngWriter(sink);
    writer.addInterface({ linkType: 1 });
    for (const seconds of times) writer.packet(0, bytes, 0, 1, 1, seconds, 5);
    writer.flush();
    clamped = writer.timesClamped;
  });
  equal(clamped, 3);
  const found = (await readAll(readerOf(pcapng))).packets;
  deepStrictEqual(
    found.map((packet) => packet.seconds),
    [0, ...times.slice(1, 5), times[4], times[4]],
  );
  deepStrictEqual(new Set(found.map((packet) => packet.nanoseconds)), new Set([5]));
});

test('packets larger than the buffer, and many small ones, come out in order', async () => {
  const large = new Uint8Array(300_000).fill(7);
  const file = written((sink) => {
    const writer = new PcapngWriter(sink);
    writer.addInterface({ linkType: 231 });
    for (let i = 0; i < 3000; i++) {
      const length = i % 1000 === 999 ? 300_000 : i % 300;
      writer.packet(0, large, 0, length, length, i, 0);
    }
    writer.flush();
    writer.flush();
  });
  const { packets, error } = await readAll(readerOf(file, [], 1 << 20));
  equal(error, undefined);
  deepStrictEqual(
    packets.map(({ data, seconds }) => [data.length, seconds]),
    Array.from({ length: 3000 }, (_, i) => [i % 1000 === 999 ? 300_000 : i % 300, i]),
  );
});

test('a section begins as the format says', () => {
  const file = written((sink) => new PcapngWriter(sink).flush());
  deepStrictEqual(
    [...file],
    [
      [0x0a, 0x0d, 0x0d, 0x0a, 40, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
      [255, 255, 255, 255, 255, 255, 255, 255, 4, 0, 4, 0, 0x77, 0x65, 0x69, 0x72, 0, 0, 0, 0, 40, 0, 0, 0],
    ].flat(),
  );
});
