// Opens captures: a path or standard input, plain or gzip, as a CaptureReader.
// Input: a path, or '-'. Output: a reader; or a CaptureOpenError whose message is one line.
// Invariants: only regular files are read by path (a FIFO or device is never waited for); memory is constant.
// Files above 12 MiB are read ahead in three chunks, the largest together with a thread; small ones, standard input and gzip in one buffer.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { ByteSource } from '../packet-source.ts';
import { plainPcap } from '../pcap.ts';
import { CaptureReader, type CaptureReaderOptions } from '../reader.ts';
import { GunzipSource } from './gunzip-source.ts';
import { IndexThread } from './index-thread.ts';
import { positionalRead, READ_AHEAD_BYTES, ReadAhead, readNow } from './read-ahead.ts';
import { ReadThread } from './read-thread.ts';
import { SharedRead } from './shared-read.ts';
import { fileDescriptorSource, prefixedSource, streamSource } from './sources.ts';

const PIPE = 'is not a regular file; to read a pipe, give - and redirect it';

/** Why a capture could not be opened. `message` names the path and is one line. */
export class CaptureOpenError extends Error {
  readonly reason: 'not-found' | 'denied' | 'not-a-file' | 'unreadable';
  readonly path: string;

  constructor(reason: CaptureOpenError['reason'], path: string, message: string) {
    super(`${path}: ${message}`);
    this.name = 'CaptureOpenError';
    this.reason = reason;
    this.path = path;
  }
}

/** Settings of a capture that is opened by path. */
export interface OpenCaptureOptions extends CaptureReaderOptions {
  /**
   * A large file is read from now on, not from the first `fill()`: for whoever has other work before the packets, as long as
   * the buffers of all captures that are open (three chunks each) may exist at once.
   */
  readonly early?: boolean;
  /**
   * A large pcap file is read by a thread that indexes its packets and glances at each (PacketSource.index), where the machine has more than
   * one processor: for whoever can do with a glance at most of them.
   */
  readonly indexed?: boolean;
}

/** From this size on a thread of its own is worth its start. */
const THREAD_FROM_BYTES = 64 << 20;
/** A chunk of an indexed file: what it is indexed by comes besides. */
const INDEXED_CHUNK_BYTES = 4 << 20;

/** Opens a capture: `-` is standard input. Rejects with a CaptureOpenError; what the file holds is found by reading. */
export async function openCapture(path: string, options: OpenCaptureOptions = {}): Promise<CaptureReader> {
  const opened: OpenedFile = path === '-' ? { source: standardInput() } : openFile(path);
  const raw = opened.source;
  // Two bytes tell gzip. A source that fails here fails again in fill(), where the reader reports it.
  const head = new Uint8Array(2);
  let have = 0;
  try {
    for (let count = 1; have < 2 && count > 0; have += count) count = await raw.read(head, have, 2 - have);
  } catch (cause) {
    await raw.close();
    throw new CaptureOpenError('unreadable', path, messageOf(cause));
  }
  if (have === 2 && head[0] === 0x1f && head[1] === 0x8b) {
    return new CaptureReader(new GunzipSource(prefixedSource(head, raw)), options);
  }
  const thread = options.indexed === true ? indexThread(opened.file) : undefined;
  const chunkBytes = Math.max(
    64,
    options.bufferBytes ?? (thread === undefined ? READ_AHEAD_BYTES : INDEXED_CHUNK_BYTES),
  );
  if (opened.file !== undefined && opened.file.bytes > 2 * chunkBytes) {
    const { descriptor } = opened.file;
    const closeFile = (): Promise<void> => raw.close();
    const shares = thread === undefined && options.bufferBytes === undefined;
    const chunks =
      (shares ? sharedRead(opened.file, closeFile) : undefined) ??
      new ReadAhead(positionalRead(descriptor), closeFile, chunkBytes, thread);
    if (options.early === true) chunks.begin();
    return new CaptureReader(chunks);
  }
  return new CaptureReader(prefixedSource(head.subarray(0, have), raw), options);
}

/** The file, read together with a thread; undefined where that would not pay, there is no memory for it, or another capture has the thread. */
function sharedRead({ descriptor, bytes }: RegularFile, closeFile: () => Promise<void>): SharedRead | undefined {
  const thread = bytes < THREAD_FROM_BYTES || availableParallelism() < 2 ? undefined : ReadThread.lend();
  if (thread === undefined) return undefined;
  try {
    return new SharedRead(descriptor, readNow(descriptor), closeFile, thread);
  } catch {
    thread.release();
    return undefined;
  }
}

/** A thread that indexes the file; undefined where that would not pay, or the file is of another kind. */
function indexThread(file: RegularFile | undefined): IndexThread | undefined {
  if (file === undefined || file.bytes < THREAD_FROM_BYTES || availableParallelism() < 2) return undefined;
  const head = new Uint8Array(24);
  try {
    const plain = plainPcap(head.subarray(0, readSync(file.descriptor, head, 0, head.length, 0)));
    return plain === undefined ? undefined : new IndexThread(file.descriptor, plain);
  } catch {
    return undefined; // what cannot be read is reported by the reader
  }
}

function standardInput(): ByteSource {
  try {
    // A redirected file is read like a file; process.stdin would read it in pieces of 64 KiB.
    if (fstatSync(0).isFile()) return fileDescriptorSource(0, false);
  } catch {
    // Closed or strange: the stream below says what is wrong.
  }
  return streamSource(process.stdin);
}

/** A regular file as a source, and what reading ahead needs to know of it. */
interface OpenedFile {
  readonly source: ByteSource;
  readonly file?: RegularFile;
}

interface RegularFile {
  readonly descriptor: number;
  readonly bytes: number;
}

function openFile(path: string): OpenedFile {
  let descriptor = -1;
  try {
    // Without O_NONBLOCK, opening a FIFO waits for a writer.
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(descriptor);
    if (stat.isFile()) {
      return { source: fileDescriptorSource(descriptor, true), file: { descriptor, bytes: stat.size } };
    }
    const what = stat.isDirectory() ? 'is a directory, not a capture' : PIPE;
    throw new CaptureOpenError('not-a-file', path, what);
  } catch (cause) {
    if (descriptor >= 0) closeSync(descriptor);
    throw cause instanceof CaptureOpenError ? cause : openError(path, cause);
  }
}

function openError(path: string, cause: unknown): CaptureOpenError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new CaptureOpenError('not-found', path, 'no such file');
  if (code === 'EACCES' || code === 'EPERM') return new CaptureOpenError('denied', path, 'permission denied');
  if (code === 'EISDIR') return new CaptureOpenError('not-a-file', path, 'is a directory, not a capture');
  if (code === 'ENXIO') return new CaptureOpenError('not-a-file', path, PIPE);
  return new CaptureOpenError('unreadable', path, messageOf(cause));
}

function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\s+/g, ' ');
}
