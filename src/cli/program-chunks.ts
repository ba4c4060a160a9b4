// Loads the bundled program, CommonJS chunks beside this file, with the code that V8 compiled when they were built.
// Input: a folder of chunks. Output: the program's exports, and its script. Invariant: a cache that is missing, of another
// Node.js, of other sources or damaged changes nothing but the time; nothing is written here.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';
import type { runProgram } from './program.ts';

/** The chunk that the cache is for. */
const MAIN = './program.cjs';
/** Before the compiled code: CRC-32 of the chunk, CRC-32 of the code, both little-endian. */
const HEADER_BYTES = 8;

/** The program, and what a cache of it is made from. */
export interface LoadedProgram {
  readonly runProgram: typeof runProgram;
  readonly script: Script;
  /** Bytes of the chunk. */
  readonly source: Uint8Array;
  /** True when V8 took the cache. */
  readonly cached: boolean;
}

/** Where the cache of a folder's program is: V8 takes only what the same version made. */
export function cachePath(folder: string): string {
  return `${folder}/program-${process.version}-${process.platform}-${process.arch}.cache`;
}

/** A cache file: what V8 compiled of `source`, bound to it. */
export function cacheFile(source: Uint8Array, code: Uint8Array): Uint8Array {
  const file = new Uint8Array(HEADER_BYTES + code.length);
  const view = new DataView(file.buffer);
  view.setUint32(0, crc32(source), true);
  view.setUint32(4, crc32(code), true);
  file.set(code, HEADER_BYTES);
  return file;
}

/** The compiled code of a cache file; undefined where there is none for `source`. */
function cachedCode(folder: string, source: Uint8Array): Buffer | undefined {
  let file: Buffer;
  try {
    file = readFileSync(cachePath(folder));
  } catch {
    return undefined;
  }
  if (file.length <= HEADER_BYTES || file.readUInt32LE(0) !== crc32(source)) return undefined;
  const code = file.subarray(HEADER_BYTES);
  return file.readUInt32LE(4) === crc32(code) ? code : undefined;
}

/** Loads the program of `folder`. Throws as reading and running it do. */
export function loadProgram(folder: string): LoadedProgram {
  const outside = createRequire(`${folder}/`);
  const loaded = new Map<string, { exports: unknown }>();
  const run = (id: string, cachedData?: Buffer, source?: Buffer): { script: Script; exports: unknown } => {
    const filename = `${folder}/${id.slice(2)}`;
    // Chunks are ASCII: one byte a character is read and kept.
    const text = (source ?? readFileSync(filename)).toString('latin1');
    const wrapped = `(function (exports, require, module, __filename, __dirname) {${text}\n})`;
    const script = new Script(wrapped, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
    const module = { exports: {} as unknown };
    loaded.set(id, module);
    type Wrapper = (exports: unknown, require: unknown, module: unknown, filename: string, folder: string) => void;
    (script.runInThisContext() as Wrapper)(module.exports, require, module, filename, folder);
    return { script, exports: module.exports };
  };
  const require = (id: string): unknown => {
    if (!id.startsWith('./') || !id.endsWith('.cjs')) return outside(id) as unknown;
    return (loaded.get(id) ?? run(id)).exports;
  };
  const source = readFileSync(`${folder}/${MAIN.slice(2)}`);
  const code = cachedCode(folder, source);
  const { script, exports } = run(MAIN, code, source);
  const cached = code !== undefined && script.cachedDataRejected === false;
  return { ...(exports as { runProgram: typeof runProgram }), script, source, cached };
}
