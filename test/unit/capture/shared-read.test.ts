// Reading with two threads: who gets the thread, files that end early or are none, and processes that forget to close.
import { deepStrictEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ReadThread } from '../../../src/capture/file/read-thread.ts';
import { readNow } from '../../../src/capture/file/read-ahead.ts';
import { SharedRead } from '../../../src/capture/file/shared-read.ts';
import { CaptureReader, PcapWriter } from '../../../src/capture/index.ts';
import { openCapture } from '../../../src/capture/file/index.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-shared-read-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const PACKETS = 70_000;
/** Above 64 MiB: 70,000 packets of 1,000 bytes. */
const large = join(dir, 'large.pcap');
writeFileSync(large, written());

function written(): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter({ write: (bytes) => parts.push(bytes.slice()) }, { linkType: 1, snapLength: 262_144 });
  const data = new Uint8Array(1000);
  for (let i = 0; i < PACKETS; i++) writer.packet(data, 0, 1000, 1000, i, 0);
  writer.flush();
  return new Uint8Array(Buffer.concat(parts));
}

/** Runs a module as a process: from a file, for threads do not start where `--input-type` is given. */
function run(program: string): SpawnSyncReturns<string> {
  const path = join(dir, 'program.mjs');
  writeFileSync(path, program);
  return spawnSync(process.execPath, [path], { encoding: 'utf8', timeout: 60_000 });
}

async function count(reader: CaptureReader): Promise<number> {
  let seconds = 0;
  do while (reader.next()) equal(reader.seconds, seconds++);
  while (await reader.fill());
  await reader.close();
  return seconds;
}

test('large files are read with the thread, one at a time; others meanwhile without', async () => {
  const first = await openCapture(large, { early: true });
  equal(ReadThread.lend(), undefined, 'it is lent');
  const second = await openCapture(large, { early: true });
  deepStrictEqual(await Promise.all([count(first), count(second)]), [PACKETS, PACKETS]);
  deepStrictEqual([first.error, second.error], [undefined, undefined]);
  const thread = ReadThread.lend();
  ok(thread?.alive === true, 'it is kept for the next');
  thread.release();
  equal(await count(await openCapture(large)), PACKETS);
});

test('without memory for shared chunks a file is read without the thread, which stays free', async () => {
  const buffers = mock.method(ReadThread.prototype, 'buffers', () => {
    throw new RangeError('Array buffer allocation failed');
  });
  try {
    equal(await count(await openCapture(large)), PACKETS);
    equal(buffers.mock.callCount(), 1);
  } finally {
    buffers.mock.restore();
  }
  const thread = ReadThread.lend();
  ok(thread !== undefined);
  thread.release();
});

test('a thread that nobody lends for a while ends; the next capture gets another', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const thread = ReadThread.lend();
    ok(thread !== undefined);
    thread.release();
    mock.timers.tick(4999);
    equal(ReadThread.lend(), thread, 'lent in time');
    mock.timers.tick(60_000);
    ok(thread.alive, 'not while it is lent');
    thread.release();
    mock.timers.tick(5000);
    ok(!thread.alive);
    const next = ReadThread.lend();
    ok(next !== undefined && next !== thread);
    next.release();
  } finally {
    mock.timers.reset();
  }
});

test('a thread that ended keeps no memory', async () => {
  const thread = ReadThread.lend();
  ok(thread !== undefined);
  const [before] = thread.buffers(1, 64);
  equal(thread.buffers(1, 64)[0], before, 'used again');
  await thread.terminate();
  notEqual(thread.buffers(1, 64)[0], before);
});

test('a packet stays what it is after its capture was closed, whoever reads next', async () => {
  const reader = await openCapture(large, { early: true });
  ok((await reader.fill()) && reader.bytes.buffer instanceof SharedArrayBuffer, 'the first chunk is the thread’s');
  ok(reader.next());
  await reader.close();
  const { bytes, offset } = reader;
  const before = bytes.slice(offset - 16, offset);
  equal(await count(await openCapture(large, { early: true })), PACKETS);
  deepStrictEqual(bytes.slice(offset - 16, offset), before);
});

test('the event loop gets its turn while a reader is alone', async () => {
  const descriptor = openSync(large, 'r');
  const thread = ReadThread.lend();
  ok(thread !== undefined);
  await thread.terminate();
  const source = new SharedRead(descriptor, readNow(descriptor), () => Promise.resolve(closeSync(descriptor)), thread, {
    chunk: 1 << 20,
  });
  let turned = false;
  setImmediate(() => (turned = true));
  equal(await count(new CaptureReader(source)), PACKETS);
  ok(turned);
});

test('other threads can use the library: it leaves their messages alone', async () => {
  const door = new URL('../../../src/capture/file/index.js', import.meta.url);
  const program = `
    import { parentPort } from 'node:worker_threads';
    import ${JSON.stringify(door.href)};
    parentPort.postMessage(parentPort.listenerCount('message'));
    parentPort.close();
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
  deepStrictEqual(await once(worker, 'message'), [0]);
});

test('a file that loses its end meanwhile ends where it ends now, with the record that is cut named', async () => {
  const path = join(dir, 'shrinking.pcap');
  writeFileSync(path, written());
  const descriptor = openSync(path, 'r+');
  const reader = await openCapture(path, { early: true });
  ok(await reader.fill());
  ftruncateSync(descriptor, 40_000_000);
  closeSync(descriptor);
  const packets = await count(reader);
  ok(packets >= Math.floor((40_000_000 - 24) / 1016), `${packets}`);
  match(reader.error?.message ?? '', /^the file ends within packet \d+: \d+ of \d+ bytes are there \(at byte \d+\)$/);
});

test('what the thread cannot read is told in the order of the bytes', async () => {
  const descriptor = openSync(dir, 'r'); // a folder
  const thread = ReadThread.lend();
  ok(thread !== undefined);
  const source = new SharedRead(
    descriptor,
    (into, at, length, position) => readSync(descriptor, into, at, length, position),
    () => Promise.resolve(closeSync(descriptor)),
    thread,
  );
  source.begin();
  const reader = new CaptureReader(source);
  equal(await reader.fill(), false);
  match(reader.error?.message ?? '', /EISDIR/);
  await reader.close();
  const next = await openCapture(large, { early: true });
  deepStrictEqual([await count(next), next.error], [PACKETS, undefined], 'the next file has nothing to do with it');
});

test('no process is kept alive by a capture that nobody closed', () => {
  const door = new URL('../../../src/capture/file/index.js', import.meta.url);
  const program = `
    import { openCapture } from ${JSON.stringify(door.href)};
    const reader = await openCapture(${JSON.stringify(large)}, { early: true });
    await reader.fill();
    let packets = 0;
    while (reader.next()) packets++;
    process.stdout.write(String(packets > 0 && reader.bytes.buffer instanceof SharedArrayBuffer));
  `;
  const { status, stdout, stderr } = run(program);
  deepStrictEqual([status, stdout, stderr], [0, 'true', '']);
});

test('the kept thread keeps no process alive', () => {
  const folder = new URL('../../../src/capture/file/', import.meta.url).href;
  const program = `
    import { openCapture } from '${folder}index.js';
    import { ReadThread } from '${folder}read-thread.js';
    const reader = await openCapture(${JSON.stringify(large)}, { early: true });
    await reader.fill();
    await reader.close();
    const thread = ReadThread.lend();
    thread.release();
    process.on('exit', () => process.stdout.write('thread ' + (thread.alive ? 'kept' : 'waited for')));
  `;
  const { status, stdout, stderr } = run(program);
  deepStrictEqual([status, stdout, stderr], [0, 'thread kept', '']);
});
