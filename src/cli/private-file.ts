// Files that a command writes: readable by their owner only. Input: a path and text or bytes. Output: the file.
// Invariant: an error of the system becomes one line that names the path.
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CommandFailure, messageOf } from './failure.ts';

const OWNER_ONLY = 0o600;

/** Creates or empties a file with mode 0600; devices and pipes are only opened. */
export function preparePrivateFile(path: string): void {
  try {
    const descriptor = openSync(path, 'w', OWNER_ONLY);
    const isFile = fstatSync(descriptor).isFile();
    closeSync(descriptor);
    // What was there before keeps its mode otherwise.
    if (isFile) chmodSync(path, OWNER_ONLY);
  } catch (cause) {
    throw new CommandFailure(`${path}: cannot be written: ${reason(cause)}`);
  }
}

/** Writes a whole file with mode 0600. */
export function writePrivateFile(path: string, content: string | Uint8Array): void {
  preparePrivateFile(path);
  try {
    const descriptor = openSync(path, 'w', OWNER_ONLY);
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
    closeSync(descriptor);
  } catch (cause) {
    throw new CommandFailure(`${path}: cannot be written: ${reason(cause)}`);
  }
}

/** Removes a file or a link, where there is one. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return;
    const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    throw new CommandFailure(`${path}: cannot be written: ${isFolder ? REASONS['EISDIR'] : reason(cause)}`);
  }
}

/** Makes a directory with mode 0700, and those that it is to be in, where there is none. */
export function preparePrivateFolder(path: string): void {
  try {
    makeFolder(path);
  } catch (cause) {
    throw new CommandFailure(`${path}: cannot be made: ${reason(cause)}`);
  }
}

/** One by one: where a file system makes no folders and says ENOENT (procfs), Node's `recursive` never ends. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path && !existsSync(parent)) makeFolder(parent);
  mkdirSync(path, { mode: 0o700 });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'its parent is not a directory',
  EEXIST: 'it exists and is no directory',
  ENOSPC: 'no space left',
  EROFS: 'the file system is read-only',
};

function reason(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return REASONS[code] ?? messageOf(cause);
}
