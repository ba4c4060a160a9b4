// Fixed cases of CaptureReader: bounds, tolerance as Wireshark's, exact times, clear errors.
import { deepStrictEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { CaptureReader, memorySource, MergedCapture } from '../../../src/capture/index.ts';
import {
  encodeBlock,
  encodePcap,
  encodePcapng,
  joined,
  optionNumber,
  type SectionDescription,
  textOption,
} from '../../support/capture-encoder.ts';
import { readAll, readerOf } from '../../support/capture-reading.ts';

const data = Uint8Array.of(1, 2, 3, 4, 5);
const pcap = { littleEndian: true, nanoseconds: false, linkType: 1, snapLength: 96 };
const one = { data, extraWire: 0, seconds: 10, fraction: 20 };

function section(part: Partial<SectionDescription>): SectionDescription {
  return { littleEndian: true, interfaces: [{ linkType: 1, snapLength: 0 }], items: [], ...part };
}

/** The message of the error that reading these bytes ends with. */
async function messageFor(file: Uint8Array): Promise<string> {
  return (await readAll(readerOf(file))).error?.message ?? 'no error';
}

test('what is not a capture says so in one line', async () => {
  equal(await messageFor(new Uint8Array(0)), 'the file is empty (at byte 0)');
  match(await messageFor(Uint8Array.of(1, 2, 3)), /ends within its header: 3 of 4 bytes/);
  match(await messageFor(new TextEncoder().encode('{"hello": 1}')), /^not a capture: it begins with 7b226865/);
  match(await messageFor(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0)), /zstd-compressed data, which is not supported/);
  match(await messageFor(Uint8Array.of(0x1f, 0x8b, 8, 0, 0)), /gzip-compressed/);
  match(await messageFor(joined(encodePcap({ ...pcap, packets: [] })).subarray(0, 23)), /its header: 23 of 24/);
});

test('a record that claims more than a packet can have is damage, and costs no memory', async () => {
  for (const claimed of [262_145, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const file = joined(encodePcap({ ...pcap, packets: [one, one] }));
    const second = 24 + 16 + data.length;
    new DataView(file.buffer).setUint32(second + 8, claimed, true);
    const reader = readerOf(file);
    const { packets, error } = await readAll(reader);
    equal(packets.length, 1);
    equal(error?.offset, second);
    match(error?.message ?? '', new RegExp(`packet 2: it claims ${claimed} captured bytes, but at most 262144`));
    ok(reader.window.bytes.length <= 128);
  }
});

test('a block that claims gigabytes is damage, or a cut file; memory grows with what is there', async () => {
  const file = joined(encodePcapng([section({ items: [{ kind: 'other', type: 5, body: data }] })]));
  const at = file.length - 20;
  for (const claimed of [0, 8, 11, 0xfffffff0, 0x10000004]) {
    new DataView(file.buffer).setUint32(at + 4, claimed, true);
    const { error } = await readAll(readerOf(file));
    deepStrictEqual([error?.offset, error?.message.includes(`cannot be ${claimed} bytes`)], [at, true]);
  }
  new DataView(file.buffer).setUint32(at + 4, 0x0ffffff0, true);
  const reader = readerOf(file);
  match((await readAll(reader)).error?.message ?? '', /ends within a block of type 0x5: 20 of 268435440/);
  ok(reader.window.bytes.length <= 256);
});

test('pcap: longer than the wire or the snap length, fractions beyond a second, trailing bits: as capinfos', async () => {
  const file = joined(
    encodePcap({ ...pcap, snapLength: 2, packets: [{ ...one, extraWire: -3, fraction: 3_999_999 }] }),
  );
  const { packets, error } = await readAll(readerOf(file));
  equal(error, undefined);
  deepStrictEqual(packets, [
    { data, wireBytes: 2, seconds: 13, nanoseconds: 999_999_000, linkType: 1, interfaceId: 0 },
  ]);
  const withFcs = joined(encodePcap({ ...pcap, linkType: 0x44000001, packets: [] }));
  const reader = readerOf(withFcs);
  await readAll(reader);
  deepStrictEqual([reader.error, reader.interfaces[0]?.linkType], [undefined, 1]);
  match(await messageFor(joined(encodePcap({ ...pcap, linkType: 0x00300001, packets: [] }))), /reserved bits/);
});

test('pcap before 2.3 has its lengths swapped; 2.3 where they must be', async () => {
  for (const [minor, extra, expected] of [
    [2, 0, 5],
    [3, 0, 5],
    [3, -2, 3],
  ] as const) {
    // The first length of the record is the data's; `extra` makes the second smaller.
    const file = joined(encodePcap({ ...pcap, packets: [{ ...one, extraWire: extra }] }));
    new DataView(file.buffer).setUint16(6, minor, true);
    const { packets } = await readAll(readerOf(file.subarray(0, file.length + extra)));
    deepStrictEqual([packets[0]?.data.length, packets[0]?.wireBytes], [expected, 5], `minor ${minor}, ${extra}`);
  }
});

test('pcapng: lengths that are not multiples of 4 are rounded up, as Wireshark does', async () => {
  const file = joined(encodePcapng([section({ items: [{ kind: 'simple', data }] })]));
  const at = file.length - 24;
  new DataView(file.buffer).setUint32(at + 4, 21, true);
  new DataView(file.buffer).setUint32(file.length - 4, 21, true);
  deepStrictEqual(
    (await readAll(readerOf(file))).packets.map((packet) => packet.data),
    [data],
  );
});

test('pcapng: a simple packet is as long as its block, its wire length and its snap length let it be', async () => {
  for (const [wire, snapLength, captured] of [
    [5, 0, 5],
    [5, 3, 3],
    [900, 0, 8],
    [900, 6, 6],
    [0, 0, 0],
  ] as const) {
    const on = { linkType: 1, snapLength };
    const records = encodePcapng([section({ interfaces: [on] })]);
    const body = Uint8Array.of(wire & 255, wire >> 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8);
    const { packets, error } = await readAll(readerOf(joined([...records, { bytes: encodeBlock(true, 3, body) }])));
    deepStrictEqual([error, packets[0]?.data.length, packets[0]?.wireBytes], [undefined, captured, wire]);
  }
});

test('pcapng: a block too short for what it is, is damage', async () => {
  const most = [
    [6, 28],
    [2, 28],
    [3, 12],
    [1, 16],
  ] as const;
  for (const [type, enough] of most) {
    for (let body = 0; body < enough - 8; body += 4) {
      // Zeros follow, so that what is missing would be read as a good packet.
      const records = [...encodePcapng([section({})]), { bytes: encodeBlock(true, type, new Uint8Array(body)) }];
      const offset = joined(records).length - 12 - body;
      const { packets, error } = await readAll(readerOf(joined([...records, { bytes: new Uint8Array(64) }])));
      equal(packets.length, 0, `type ${type}, body ${body}`);
      deepStrictEqual([error?.offset, error?.message.includes(`cannot be ${12 + body} bytes`)], [offset, true]);
    }
  }
  const header = encodeBlock(true, 0x0a0d0d0a, Uint8Array.of(0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0, 0, 0, 0));
  match(await messageFor(header), /a section header: its block cannot be 24 bytes long/);
});

test('pcapng: damage is named', async () => {
  const item = { kind: 'enhanced' as const, on: 0, data, extraWire: 0, units: 0n, options: [] };
  const good = joined(encodePcapng([section({ items: [item, item] })]));
  const last = good.length - 40;
  const damage = async (at: number, value: number): Promise<string> => {
    const file = good.slice();
    new DataView(file.buffer).setUint32(last + at, value, true);
    const { packets, error } = await readAll(readerOf(file));
    equal(packets.length, 1);
    equal(error?.offset, last);
    return error?.message ?? '';
  };
  match(await damage(36, 44), /packet 2: its two lengths differ/);
  match(await damage(8, 1), /packet 2: its interface 1 is not described/);
  match(await damage(8, 0xffffffff), /packet 2: its interface 4294967295 is not described/);
  match(await damage(20, 9), /packet 2: it is longer than its block/);
  match(await damage(20, 0xffffffff), /packet 2: it is longer than its block/);
  match(await damage(0, 0x0a0d0d0a), /section header: its byte-order magic is wrong/);
  const version = joined(encodePcapng([section({})]));
  version[12] = 2;
  match(await messageFor(version), /pcapng version 2\.0 is not supported/);
});

test('an interface of an earlier section cannot be used', async () => {
  const item = { kind: 'enhanced' as const, on: 0, data, extraWire: 0, units: 7n, options: [] };
  const records = encodePcapng([section({ items: [item] })]);
  const alone = encodePcapng([section({ interfaces: [], items: [] })]);
  match(
    await messageFor(joined([...records, ...alone, records.at(-1)!])),
    /packet 2: its interface 0 is not described/,
  );
});

test('times are exact in every resolution', async () => {
  const cases: [number | undefined, bigint, bigint, number, number][] = [
    [undefined, 1_700_000_000_123_456n, 0n, 1_700_000_000, 123_456_000],
    [9, 1_700_000_000_123_456_789n, 0n, 1_700_000_000, 123_456_789],
    [9, 2n ** 64n - 1n, 0n, 18_446_744_073, 709_551_615],
    [9, 999_999_999n, 0n, 0, 999_999_999],
    [0, 2n ** 53n - 1n, 0n, 2 ** 53 - 1, 0],
    [6, 0n, -1n, -1, 0],
    [6, 1n, -1_000_000n, -1_000_000, 1000],
    [12, 1_700_000_000_999_999_999n, 0n, 1_700_000, 999_999],
    [19, 2n ** 64n - 1n, 0n, 1, 844_674_407],
    [127, 2n ** 64n - 1n, 0n, 0, 0],
    [0x80, 12n, 0n, 12, 0],
    [0x8a, 1023n, 0n, 0, 999_023_437],
    [0x96, 4_194_303n, 0n, 0, 999_999_761],
    [0xa0, 2n ** 32n + 2n ** 31n, 0n, 1, 500_000_000],
    [0xb0, 2n ** 50n - 1n, 0n, 3, 999_999_999],
    [0xbc, 2n ** 62n - 1n, 0n, 3, 999_999_999],
    [0xbf, 2n ** 64n - 1n, 5n, 6, 999_999_999],
    [0xff, 2n ** 64n - 1n, 0n, 0, 0],
  ];
  for (const [resolution, units, offsetSeconds, seconds, nanoseconds] of cases) {
    const on = { linkType: 1, snapLength: 0, offsetSeconds, ...(resolution === undefined ? {} : { resolution }) };
    const item = { kind: 'enhanced' as const, on: 0, data, extraWire: 0, units, options: [] };
    const { packets } = await readAll(readerOf(joined(encodePcapng([section({ interfaces: [on], items: [item] })]))));
    deepStrictEqual([packets[0]?.seconds, packets[0]?.nanoseconds], [seconds, nanoseconds], `${resolution}: ${units}`);
  }
});

test('options of packets and interfaces, in both byte orders; lists that lie end there', async () => {
  for (const littleEndian of [true, false]) {
    const options = [
      textOption(1, 'first, é'),
      { code: 2, value: optionNumber(littleEndian, 0x80000001, 4) },
      { code: 3, value: Uint8Array.of(2, 0xaa, 0xbb) },
      { code: 4, value: optionNumber(littleEndian, 2n ** 63n, 8) },
      { code: 5, value: optionNumber(littleEndian, 6, 8) },
      { code: 6, value: optionNumber(littleEndian, 3, 4) },
      { code: 7, value: Uint8Array.of(2, ...optionNumber(littleEndian, 1, 8)) },
      { code: 7, value: Uint8Array.of(0, 9, 9) },
      textOption(1, 'second\0\0'),
      { code: 4, value: Uint8Array.of(1) },
    ];
    const item = { kind: 'enhanced' as const, on: 0, data, extraWire: 0, units: 0n, options };
    const file = joined(encodePcapng([section({ littleEndian, items: [item, { kind: 'simple', data }] })]));
    const reader = readerOf(file, [], 4096);
    await reader.fill();
    ok(reader.next());
    deepStrictEqual(reader.packetOptions(), {
      comments: ['first, é', 'second'],
      flags: 0x80000001,
      hashes: [{ algorithm: 2, value: Uint8Array.of(0xaa, 0xbb) }],
      dropCount: 2n ** 63n,
      packetId: 6n,
      queue: 3,
      verdicts: [
        { type: 2, value: optionNumber(littleEndian, 1, 8), code: 1n },
        { type: 0, value: Uint8Array.of(9, 9) },
      ],
    });
    ok(reader.next());
    deepStrictEqual(reader.packetOptions(), { comments: [], hashes: [], verdicts: [] });
  }
  const cut = { code: 1, value: new Uint8Array(4) };
  const item = {
    kind: 'enhanced' as const,
    on: 0,
    data,
    extraWire: 0,
    units: 0n,
    options: [textOption(1, 'kept'), cut],
  };
  const file = joined(encodePcapng([section({ items: [item] })]));
  // The last option before the end mark (4 bytes, and 4 of the mark) says that it is longer than the block.
  for (const length of [9, 12, 60_000]) {
    new DataView(file.buffer).setUint16(file.length - 4 - 4 - 6, length, true);
    const reader = readerOf(file, [], 4096);
    await reader.fill();
    ok(reader.next());
    deepStrictEqual(reader.packetOptions().comments, ['kept']);
  }
});

test('a packet may be rewritten in place without changing what follows', async () => {
  const reader = readerOf(
    joined(encodePcap({ ...pcap, packets: [one, { ...one, data: Uint8Array.of(9) }] })),
    [],
    4096,
  );
  await reader.fill();
  ok(reader.next());
  reader.bytes.fill(0xff, reader.offset, reader.offset + reader.capturedBytes);
  ok(reader.next());
  deepStrictEqual([reader.capturedBytes, reader.bytes[reader.offset]], [1, 9]);
});

test('a source that fails ends the packets with its message', async () => {
  const file = joined(encodePcap({ ...pcap, packets: [one, one] }));
  let reads = 0;
  const reader = new CaptureReader({
    read(into, at) {
      if (reads++ > 0) return Promise.reject(new Error('input/output error'));
      into.set(file.subarray(0, 50), at);
      return Promise.resolve(50);
    },
    close: () => Promise.resolve(),
  });
  const { packets, error } = await readAll(reader);
  deepStrictEqual([packets.length, error], [1, { offset: 45, capture: 0, message: 'input/output error (at byte 45)' }]);
});

test('more interfaces than the limit is damage', async () => {
  const head = encodePcapng([section({ interfaces: [] })]);
  const block = encodeBlock(true, 1, new Uint8Array(8));
  const reader = new CaptureReader(
    memorySource([joined(head), joined(Array.from({ length: 65_537 }, () => ({ bytes: block })))]),
  );
  const { error } = await readAll(reader);
  match(error?.message ?? '', /more than 65536 interfaces/);
  equal(reader.interfaces.length, 65_536);
});

test('merging: a damaged capture ends by itself, the others go on', async () => {
  const packets = [1, 3, 5].map((seconds) => ({ ...one, seconds }));
  const whole = joined(encodePcap({ ...pcap, packets: packets.map((p) => ({ ...p, seconds: p.seconds + 1 })) }));
  const cut = joined(encodePcap({ ...pcap, packets })).subarray(0, -1);
  const merged = new MergedCapture([readerOf(whole), readerOf(cut), readerOf(new Uint8Array(0))]);
  const found = await readAll(merged);
  deepStrictEqual(
    found.packets.map((packet) => packet.seconds),
    [1, 2, 3, 4, 6],
  );
  deepStrictEqual(merged.errors.map((error) => error.capture).sort(), [1, 2]);
  equal(found.error, merged.errors[0]);
  deepStrictEqual(await readAll(new MergedCapture([])), { packets: [], error: undefined });
});
