// Reading files ahead: records larger than a chunk, files that grow or shrink, errors in order; and that large files use it.
import { deepStrictEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openCapture } from '../../../src/capture/file/index.ts';
import { IndexThread } from '../../../src/capture/file/index-thread.ts';
import { type PositionalRead, ReadAhead } from '../../../src/capture/file/read-ahead.ts';
import { CaptureReader, PcapWriter, plainPcap } from '../../../src/capture/index.ts';
import { readAll } from '../../support/capture-reading.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-read-ahead-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const sizes = [0, 1, 100_000, 3, 262_144, 0, 262_144, 17, 5000, 600, 600, 600];
const expected = sizes.map((size, i) => ({
  data: Uint8Array.from({ length: size }, (_, at) => at * 7 + i),
  wireBytes: size,
  seconds: i,
  nanoseconds: i,
  linkType: 1,
  interfaceId: 0,
}));
const file = written();

function written(): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter({ write: (bytes) => parts.push(bytes.slice()) }, { linkType: 1, snapLength: 262_144 });
  for (const { data, wireBytes, seconds, nanoseconds } of expected) {
    writer.packet(data, 0, data.length, wireBytes, seconds, nanoseconds);
  }
  writer.flush();
  return new Uint8Array(Buffer.concat(parts));
}

const closeFile = (): Promise<void> => Promise.resolve();

/** Reads of bytes in memory. */
function readsOf(bytes: () => Uint8Array): PositionalRead {
  return (into, at, length, position) => {
    const part = bytes().subarray(position, position + length);
    into.set(part, at);
    return Promise.resolve(part.length);
  };
}

test('records much larger than a chunk and the room before it', async () => {
  for (const chunkBytes of [64, 1000, 99_999, 262_144, 300_000, 10_000_000]) {
    const { packets, error } = await readAll(
      new CaptureReader(
        new ReadAhead(
          readsOf(() => file),
          closeFile,
          chunkBytes,
        ),
      ),
    );
    deepStrictEqual([packets, error], [expected, undefined], `chunks of ${chunkBytes}`);
  }
  const short = file.subarray(0, 24 + 16 + 16 + 1);
  const { packets } = await readAll(
    new CaptureReader(
      new ReadAhead(
        readsOf(() => short),
        closeFile,
        1,
      ),
    ),
  );
  equal(packets.length, 2);
});

test('after a large record, the window is a chunk again', async () => {
  const reader = new CaptureReader(
    new ReadAhead(
      readsOf(() => file),
      closeFile,
      1000,
    ),
  );
  let largest = 0;
  do {
    while (reader.next()) continue;
    largest = Math.max(largest, reader.window.bytes.length);
  } while (await reader.fill());
  await reader.close();
  ok(largest >= 262_160 && largest <= 2 * 262_160 + 2000, `${largest}`);
  equal(reader.window.bytes.length, 2000);
});

test('at most three chunks, whatever the length of the file', async () => {
  const buffers = new Set<ArrayBufferLike>();
  const read = readsOf(() => file);
  const source = new ReadAhead(
    (into, ...rest) => {
      buffers.add(into.buffer);
      return read(into, ...rest);
    },
    closeFile,
    64,
  );
  await readAll(new CaptureReader(source));
  equal(buffers.size, 3);
});

test('a file that grows while it is read ends where its end was met first: no gap', async () => {
  let there = file.subarray(0, 150);
  const source = new ReadAhead(
    readsOf(() => there),
    closeFile,
    64,
  );
  const lengths: number[] = [];
  for (let chunk = await source.nextChunk(); chunk !== undefined; chunk = await source.nextChunk()) {
    lengths.push(chunk.end - chunk.start);
    there = file;
    source.recycle(chunk);
  }
  await source.close();
  deepStrictEqual(lengths, [64, 64, 22]);
});

test('a thread reads the file and glances at its packets; one that is gone leaves the reading to others', async () => {
  const path = join(dir, 'thread.pcap');
  writeFileSync(path, file);
  for (const ends of [false, true]) {
    const descriptor = openSync(path, 'r');
    const thread = new IndexThread(descriptor, plainPcap(file)!);
    let closed = 0;
    const close = (): Promise<void> => {
      closeSync(descriptor);
      closed++;
      return Promise.resolve();
    };
    const reader = new CaptureReader(
      new ReadAhead(
        readsOf(() => file),
        close,
        300_000,
        thread,
      ),
    );
    if (ends) {
      ok(await reader.fill());
      await thread.close();
    }
    let glances = 0;
    const next = reader.next.bind(reader);
    reader.next = () => {
      if (reader.indexed() >= 0) glances++;
      return next();
    };
    const { packets, error } = await readAll(reader);
    deepStrictEqual([packets, error, closed], [expected, undefined, 1]);
    if (!ends) ok(glances >= 6, `${glances}`);
  }
});

test('a thread that cannot read says so in the order of the bytes', async () => {
  const descriptor = openSync(dir, 'r'); // a folder: reading it fails
  const thread = new IndexThread(descriptor, plainPcap(file)!);
  const reader = new CaptureReader(
    new ReadAhead(
      readsOf(() => file),
      closeFile,
      1000,
      thread,
    ),
  );
  equal(await reader.fill(), false);
  match(reader.error?.message ?? '', /EISDIR/);
  await reader.close();
  closeSync(descriptor);
});

test('an error keeps its place, is not unhandled while it waits, and ends the source', async () => {
  const read = readsOf(() => file);
  const failing: PositionalRead = (into, at, length, position) =>
    position >= 100
      ? Promise.reject(new Error(`no ${position}`))
      : read(into, at, Math.min(length, 100 - position), position);
  const source = new ReadAhead(failing, closeFile, 64);
  const first = await source.nextChunk();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const second = await source.nextChunk();
  deepStrictEqual([first!.end - first!.start, second!.end - second!.start], [64, 36]);
  await rejects(source.nextChunk(), /^Error: no 100$/);
  source.recycle(first!);
  source.recycle(second!);
  await source.close();
});

test('files above twice the buffer are read ahead; with what they lose meanwhile reported', async () => {
  const path = join(dir, 'large.pcap');
  for (const bufferBytes of [4096, 65_536, file.length, undefined]) {
    writeFileSync(path, file);
    const options = bufferBytes === undefined ? {} : { bufferBytes };
    const { packets, error } = await readAll(await openCapture(path, options));
    deepStrictEqual([packets, error], [expected, undefined]);
  }
  const reader = await openCapture(path, { bufferBytes: 4096 });
  ok(await reader.fill());
  truncateSync(path, 110_000);
  let count = 0;
  do while (reader.next()) count++;
  while (await reader.fill());
  await reader.close();
  equal(count, 4);
  match(reader.error?.message ?? 'no error', /ends within packet 5/);
});

test('a file that is opened early is read before its first packet is asked for, and may be closed unread', async () => {
  const path = join(dir, 'early.pcap');
  writeFileSync(path, file);
  const reads = async (early: boolean): Promise<number> => {
    const reader = await openCapture(path, { bufferBytes: 32_768, early });
    // What is read by now stays, whatever becomes of the file.
    await new Promise((resolve) => setTimeout(resolve, 200));
    truncateSync(path, 0);
    const { packets } = await readAll(reader);
    writeFileSync(path, file);
    return packets.length;
  };
  equal(await reads(false), 0);
  ok((await reads(true)) > 0);
  const { packets, error } = await readAll(await openCapture(path, { bufferBytes: 4096, early: true }));
  deepStrictEqual([packets, error], [expected, undefined]);
  const unread = await openCapture(path, { bufferBytes: 4096, early: true });
  await unread.close();
  equal(unread.next(), false);
});
