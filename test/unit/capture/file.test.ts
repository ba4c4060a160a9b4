// Opening captures: files, gzip, standard input, and what must be refused; and writing to files.
import { deepStrictEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { CaptureOpenError, createSink, openCapture } from '../../../src/capture/file/index.ts';
import { PcapWriter } from '../../../src/capture/index.ts';
import { encodePcap, type ExpectedPacket, joined } from '../../support/capture-encoder.ts';
import { readAll } from '../../support/capture-reading.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-capture-'));
after(() => rmSync(dir, { recursive: true, force: true }));

/** Bytes that do not compress to nothing. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed | 1;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1103515245) + 12345) >>> 24);
}

const records = encodePcap({
  littleEndian: true,
  nanoseconds: true,
  linkType: 1,
  snapLength: 65_535,
  packets: Array.from({ length: 300 }, (_, i) => ({ data: noise(i * 3, i), extraWire: i, seconds: i, fraction: i })),
});
const plain = joined(records);
const expected = records.flatMap(({ packet }) => (packet ? [packet] : []));

function fileOf(name: string, bytes: Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
}

async function read(path: string): Promise<{ packets: ExpectedPacket[]; message: string | undefined }> {
  const { packets, error } = await readAll(await openCapture(path, { bufferBytes: 4096 }));
  return { packets, message: error?.message };
}

test('a file, and a link to it', async () => {
  const path = fileOf('plain.pcap', plain);
  deepStrictEqual(await read(path), { packets: expected, message: undefined });
  symlinkSync(path, join(dir, 'link'));
  equal((await read(join(dir, 'link'))).packets.length, 300);
});

test('gzip, in one member and in several, with an empty one, zeros or garbage at the end', async () => {
  const members = [plain.subarray(0, 1000), plain.subarray(1000, 1001), new Uint8Array(0), plain.subarray(1001)];
  for (const bytes of [
    gzipSync(plain),
    Buffer.concat(members.map((part) => gzipSync(part))),
    Buffer.concat([gzipSync(plain), new Uint8Array(512)]),
    Buffer.concat([gzipSync(plain), Buffer.from('garbage')]),
  ]) {
    deepStrictEqual(await read(fileOf('a.pcap.gz', bytes)), { packets: expected, message: undefined });
  }
});

test('gzip cut anywhere: the packets before, then one error', async () => {
  const whole = gzipSync(plain);
  for (let length = 2; length < whole.length; length += 997) {
    const { packets, message } = await read(fileOf('cut.gz', whole.subarray(0, length)));
    match(message ?? 'no error', /^the gzip data ends early \(at byte \d+\)$/);
    deepStrictEqual(packets, expected.slice(0, packets.length));
    // What zlib itself can get out of the bytes that are there must have been read.
    const out = spawnSync('gzip', ['-dc'], { input: whole.subarray(0, length), maxBuffer: 1 << 28 }).stdout;
    const { packets: there } = await read(fileOf('there.pcap', out));
    ok(packets.length >= there.length, `${packets.length} of ${there.length} at ${length}`);
  }
});

test('damaged gzip: packets before, then one error', async () => {
  const damaged = gzipSync(plain);
  // The checksum at the end.
  damaged[damaged.length - 8]! ^= 1;
  const { packets, message } = await read(fileOf('damaged.gz', damaged));
  match(message ?? 'no error', /^the gzip data is damaged: its checksum is wrong/);
  equal(packets.length, 300);
  deepStrictEqual(packets, expected.slice(0, packets.length));
});

test('gzip headers with every optional field, and a wrong length at the end', async () => {
  const simple = gzipSync(plain);
  const fields = [3, 1, ...new Uint8Array(259), ...Buffer.from('name\0'), ...Buffer.from('comment\0'), 0xab, 0xcd];
  const header = Buffer.from(simple.subarray(0, 10));
  header[3] = 0x1e;
  const full = Buffer.concat([header, Buffer.from(fields), simple.subarray(10)]);
  deepStrictEqual(await read(fileOf('fields.gz', full)), { packets: expected, message: undefined });
  simple[simple.length - 4]! ^= 1;
  const { packets, message } = await read(fileOf('length.gz', simple));
  match(message ?? 'no error', /its length is wrong/);
  equal(packets.length, 300);
});

test('a little gzip that expands to a lot is read in little memory', async () => {
  const packet = new Uint8Array(16 + 200_000);
  new DataView(packet.buffer).setUint32(8, 200_000, true);
  new DataView(packet.buffer).setUint32(12, 200_000, true);
  const parts = [plain.subarray(0, 24), ...Array.from({ length: 300 }, () => packet)];
  const reader = await openCapture(fileOf('bomb.gz', gzipSync(Buffer.concat(parts))));
  let count = 0;
  do while (reader.next()) count++;
  while (await reader.fill());
  await reader.close();
  equal(count, 300);
  ok(reader.window.bytes.length <= 4 << 20);
});

test('what is not a file is refused in one line, and never waited for', async () => {
  const refused = async (path: string, reason: CaptureOpenError['reason'], message: RegExp): Promise<void> =>
    rejects(openCapture(path), (error) => {
      ok(error instanceof CaptureOpenError);
      equal(error.reason, reason);
      match(error.message, message);
      ok(error.message.startsWith(path) && !error.message.includes('\n'));
      return true;
    });
  await refused(join(dir, 'missing.pcap'), 'not-found', /no such file/);
  await refused(dir, 'not-a-file', /is a directory/);
  if (process.platform === 'win32') return;
  if (spawnSync('mkfifo', [join(dir, 'fifo')]).status === 0) {
    await refused(join(dir, 'fifo'), 'not-a-file', /not a regular file; to read a pipe, give -/);
  }
  await refused('/dev/zero', 'not-a-file', /not a regular file/);
});

test('an empty file, and one that is cut while it is read', async () => {
  deepStrictEqual(await read(fileOf('empty.pcap', new Uint8Array(0))), {
    packets: [],
    message: 'the file is empty (at byte 0)',
  });
  const path = fileOf('cut.pcap', plain);
  const reader = await openCapture(path, { bufferBytes: 64 });
  while (!reader.next()) ok(await reader.fill());
  truncateSync(path, 100);
  do while (reader.next()) continue;
  while (await reader.fill());
  match(reader.error?.message ?? 'no error', /ends within packet/);
  await reader.close();
  await reader.close();
});

test('standard input: a pipe, a pipe of gzip, and a redirected file', () => {
  const support = fileURLToPath(new URL(`../../support/capture-count${extname(import.meta.url)}`, import.meta.url));
  const run = (options: Parameters<typeof spawnSync>[2]): string => {
    const done = spawnSync(process.execPath, [...process.execArgv, support], { encoding: 'utf8', ...options });
    return String(done.stdout) + String(done.stderr);
  };
  equal(run({ input: plain }), '300 undefined\n');
  equal(run({ input: gzipSync(plain) }), '300 undefined\n');
  equal(
    run({ input: plain.subarray(0, -1) }),
    `299 the file ends within packet 300: 912 of 913 bytes are there (at byte ${plain.length - 913})\n`,
  );
  equal(run({ input: '' }), '0 the file is empty (at byte 0)\n');
  equal(run({ stdio: [openSync(join(dir, 'plain.pcap'), 'r'), 'pipe', 'pipe'] }), '300 undefined\n');
});

test('a capture written to a file is read back', async () => {
  const path = join(dir, 'written.pcap');
  const sink = createSink(path);
  const writer = new PcapWriter(sink, { linkType: 1, snapLength: 65_535 });
  for (const { data, wireBytes, seconds, nanoseconds } of expected) {
    writer.packet(data, 0, data.length, wireBytes, seconds, nanoseconds);
  }
  writer.flush();
  sink.close();
  sink.close();
  deepStrictEqual(new Uint8Array(readFileSync(path)), plain);
});
