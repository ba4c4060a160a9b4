// The process that the fuzz test watches: calls every export of the addon with whatever can be a JavaScript value, and with
// what almost fits. Input: arguments mode, seed, calls, folder of a BPF file system, object files. Output: a line with what was
// reached; exit code 0. Invariant: runs in a network namespace of its own; nothing outside it and the folder is touched.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadAddon } from '../../src/dataplane/xdp/index.ts';

interface Job {
  readonly seed: number;
  readonly calls: number;
  readonly folder: string;
  readonly objects: readonly string[];
}
/** A handle and, of a map, its sizes and id. */
interface Known {
  readonly number: number;
  readonly kind: string;
  readonly key: number;
  readonly value: number;
  readonly id: number;
}
type Anything = (...values: unknown[]) => unknown;

/** xorshift32. */
const randomOf = (seed: number) => (bound: number) => {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % bound;
};

/** What an argument ought to be, one letter each; see `plausible`. */
const SIGNATURES: Readonly<Record<string, string>> = {
  close: 'h',
  openHandles: '',
  libbpfVersion: '',
  cpus: '',
  isBpfFs: 'f',
  unpin: 'f',
  mapCreate: 'tsnnnnM',
  mapOpen: 'f',
  mapById: 'i',
  mapSetInner: 'M2443n',
  mapInfo: 'Mw',
  mapPin: 'Mf',
  mapLookup: 'Mkv',
  mapLookupSum: 'Mkv',
  mapUpdate: 'Mkvn',
  mapDelete: 'Mk',
  mapNext: 'Mkk',
  mapMemory: 'M',
  mapCount: 'M',
  mapBatch: 'MpBBn',
  mapUpdateBatch: 'MBBnnw',
  mapDeleteBatch: 'MBnw',
  mapUpdateInner: 'Mkxn',
  mapUpdateInnerBatch: 'MBBnw',
  mapLookupInner: 'Mkx',
  objectOpen: 'osn',
  lastLog: '',
  objectNames: 'On',
  objectSetMax: 'Omn',
  objectSetInner: 'Omn',
  objectSetConstant: 'Omc',
  objectReuse: 'OmM',
  objectAutoload: 'Omy',
  objectAttachType: 'Omn',
  objectLoad: 'O',
  objectMap: 'Om',
  objectProgram: 'Om',
  programOpen: 'f',
  programPin: 'Pf',
  programInfo: 'Pw',
  programRun: 'PBBuurzw',
  programRunInPlace: 'PB0nBw',
  linkXdp: 'Pdne',
  linkTcx: 'Pdye',
  linkClsact: 'Pdye',
  tcFilters: 'e',
  linkUpdate: 'LP',
  linkDetach: 'L',
  linkPin: 'Lf',
  linkOpen: 'f',
  linkInfo: 'Lw',
  interfaceIndex: 'se',
  ringOpen: 'M',
  ringConsume: 'RB',
  ringWatch: 'Rqy',
  ringUnwatch: 'R',
};
/** What an answer above zero is a handle of. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/^(mapCreate|mapOpen|mapById|objectMap)$/, 'M'],
  [/^objectOpen$/, 'O'],
  [/^(programOpen|objectProgram)$/, 'P'],
  [/^link(Xdp|Tcx|Clsact|Open)$/, 'L'],
  [/^ringOpen$/, 'R'],
];
/** Map types without those that allocate by their own measure. */
const TYPES = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 22, 23, 27, 30, 99];
const NUMBERS = [0, 1, 2, 3, 4, 8, 12, 16, 60, 255, 1000, 4096];
const ODD_NUMBERS = [
  -1,
  -22,
  0.5,
  NaN,
  Infinity,
  -Infinity,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  -(2 ** 63),
  1e308,
  -0,
];
const SIZES = [0, 1, 3, 4, 5, 7, 8, 12, 13, 16, 17, 24, 60, 64, 100, 192];
const MOST_HANDLES = 500;

async function fuzz(job: Job): Promise<string> {
  const addon = loadAddon();
  if (addon instanceof Error) throw addon;
  const exports = addon as unknown as Readonly<Record<string, Anything>>;
  const unknownExports = Object.keys(exports).filter((name) => !(name in SIGNATURES));
  if (unknownExports.length > 0) throw new Error(`no signature: ${unknownExports.join(', ')}`);
  const names = Object.keys(SIGNATURES);
  const next = randomOf(job.seed);
  const pick = <T>(list: readonly T[]): T => list[next(list.length)]!;
  const files = job.objects.map((path) => new Uint8Array(readFileSync(path)));
  const handles: Known[] = [];
  let last: Known | undefined;
  const memories: Uint8Array[] = [];

  const bytes = (size: number): Uint8Array => {
    const out = new Uint8Array(size);
    if (next(2) === 0) for (let i = 0; i < size; i++) out[i] = next(8) === 0 ? next(256) : 0;
    return out;
  };
  const detached = (): Uint8Array => {
    const out = new Uint8Array(64);
    structuredClone(out.buffer, { transfer: [out.buffer] });
    return out;
  };
  const garbage = (): unknown => {
    switch (next(27)) {
      case 0:
        return undefined;
      case 1:
        return null;
      case 2:
        return pick(ODD_NUMBERS);
      case 3:
        return pick(NUMBERS);
      case 4:
        return BigInt(next(1000));
      case 5:
        return Symbol('s');
      case 6:
        return pick(['', 'x', 'a\0b', '\ud800', 'ä'.repeat(200), '/'.repeat(5000), '../../x', '%s%n']);
      case 7:
        return {};
      case 8:
        return [1, 2, 3];
      case 9:
        return () => undefined;
      case 10:
        return new Proxy(new Uint8Array(8), {
          get: () => {
            throw new Error('trap');
          },
        });
      case 11:
        return Object.create(Uint8Array.prototype);
      case 12:
        return Object.setPrototypeOf(new Uint8Array(pick(SIZES)), Float64Array.prototype);
      case 13:
        return detached();
      case 14:
        return new Uint8Array(new SharedArrayBuffer(pick(SIZES)));
      case 15:
        return new ArrayBuffer(8);
      case 16:
        return new DataView(new ArrayBuffer(8));
      case 17:
        return new Float64Array(8);
      case 18:
        return new BigUint64Array(2);
      case 19:
        return new Int32Array(next(10));
      case 20:
        return { valueOf: () => 4, [Symbol.toPrimitive]: () => 4, length: 8 };
      case 21:
        return Object(4) as unknown;
      case 22:
        return new Date(0);
      case 23:
        return pick([true, false]);
      case 24:
        return memories.length > 0 ? pick(memories) : undefined;
      case 25:
        return new Proxy(() => undefined, {});
      default:
        return exports;
    }
  };
  const callback = (): (() => void) => {
    const kind = next(4);
    return () => {
      if (kind === 0) throw new Error('from a callback');
      if (kind === 1) for (const { number } of handles.slice(0, 5)) exports['close']!(number);
      if (kind === 2)
        for (const { number, kind: what } of handles)
          if (what === 'R') exports['ringConsume']!(number, new Uint8Array(4096));
    };
  };
  const plausible = (letter: string): unknown => {
    switch (letter) {
      case 'h':
        return handles.length > 0 && next(10) > 0 ? pick(handles).number : next(200);
      case 'M':
      case 'O':
      case 'P':
      case 'L':
      case 'R': {
        const fitting = handles.filter(({ kind }) => kind === letter);
        last = fitting.length > 0 ? pick(fitting) : undefined;
        return last !== undefined && next(20) > 0 ? last.number : plausible('h');
      }
      case 'k':
        return bytes(last !== undefined && next(8) > 0 ? last.key : pick(SIZES));
      case 'v':
        return bytes(last !== undefined && next(8) > 0 ? last.value : pick(SIZES));
      case 'x':
        return bytes(next(4) > 0 ? 12 : pick(SIZES));
      case 'i':
        return last !== undefined && next(2) === 0 ? last.id : next(100);
      case 'c':
        return bytes(pick([8, 8, 8, 4, 16]));
      case 'd':
        return 1 + next(3);
      case 'r':
        return pick([1, 1, 10, 1000]);
      case 'z':
        return pick([-1, -1, 0, 1, 1023]);
      case '0':
        return pick([0, 0, 8, 100]);
      case '3':
        return 3;
      case 'u':
        return pick([undefined, undefined, undefined, bytes(24), bytes(192)]);
      case 'n':
        return next(12) === 0 ? pick(ODD_NUMBERS) : pick(NUMBERS);
      case 't':
        return pick(TYPES);
      case '2':
        return 2;
      case '4':
        return 4;
      case 's':
        return pick(['', 'weir_x', 'v0', 'v1', 'lo', 'a name that is too long for the kernel']);
      case 'm':
        return pick([
          'tiny_hash',
          'tiny_array',
          'tiny_tables',
          'tiny_ring',
          'tiny_xdp',
          'tiny_tc',
          'tiny_constants',
          '.rodata',
          '',
        ]);
      case 'f':
        return pick([
          `${job.folder}/a`,
          `${job.folder}/b`,
          `${job.folder}/c/d`,
          job.folder,
          '/proc/self/exe',
          '/nowhere/at/all',
        ]);
      case 'e':
        return pick([undefined, undefined, '', '/proc/self/ns/net', '/proc/self/ns/mnt', '/nowhere']);
      case 'b':
        return bytes(pick(SIZES));
      case 'B':
        return bytes(pick([0, 60, 60, 1000, 5000]));
      case 'p':
        return new Uint8Array(pick([5, 9, 13, 17]));
      case 'w':
        return new Int32Array(pick([1, 4, 6, 8, 8]));
      case 'y':
        return next(2) === 0;
      case 'q':
        return callback();
      case 'o': {
        const file = pick(files);
        if (next(4) > 0) return file;
        const damaged = file.slice(0, next(10) === 0 ? next(file.length) : file.length);
        for (let k = 1 + next(4); k > 0 && damaged.length > 0; k--) damaged[next(damaged.length)] = next(256);
        return damaged;
      }
      default:
        throw new Error(letter);
    }
  };

  const words = new Int32Array(8);
  const known = (kind: string, number: number): Known => {
    words.fill(0);
    if (kind === 'M') addon.mapInfo(number, words);
    return { number, kind, key: words[1]!, value: words[6]! & 0xffff, id: words[5]! };
  };
  const reached = new Set<string>();
  for (let n = 0; n < job.calls; n++) {
    const name = pick(names);
    const letters = SIGNATURES[name]!;
    const wild = next(3) === 0;
    const values: unknown[] = Array.from(letters, (letter) => (wild && next(2) === 0 ? garbage() : plausible(letter)));
    if (wild && next(5) === 0) values.length = next(values.length + 1);
    if (wild && next(5) === 0) values.push(garbage(), garbage(), garbage(), garbage(), garbage(), garbage());
    if (process.env['WEIR_FUZZ_TRACE'] === '1') process.stderr.write(`${n} ${name} ${values.map(text).join(' ')}\n`);
    const result = Reflect.apply(exports[name]!, next(20) === 0 ? garbage() : exports, values);
    if (typeof result === 'number' && result >= 0) reached.add(name);
    if (typeof result === 'string' || result instanceof ArrayBuffer) reached.add(name);
    if (result !== undefined && !['number', 'string'].includes(typeof result) && !(result instanceof ArrayBuffer))
      throw new Error(`${name} answered a ${typeof result}`);
    if (typeof result === 'number' && !Number.isInteger(result)) throw new Error(`${name} answered ${result}`);
    if (result instanceof ArrayBuffer) {
      const memory = new Uint8Array(result);
      memory.fill(next(256));
      memories.push(memory);
      if (memories.length > 20) memories.splice(0, 10);
    }
    if (typeof result === 'number' && result > 0) {
      const made = KINDS.find(([pattern]) => pattern.test(name))?.[1];
      if (made !== undefined) handles.push(known(made, result));
    }
    if (handles.length > MOST_HANDLES) {
      for (const { number } of handles.splice(0, MOST_HANDLES / 2)) exports['close']!(number);
    }
    if (n % 200 === 0) {
      for (const set of [
        () => addon.mapCreate(pick([1, 2, 6, 9]), '', 4, pick([4, 8, 12]), 16, 0, 0),
        () => addon.mapCreate(2, '', 4, 8, 16, 1024, 0),
        () => addon.mapCreate(11, '', 8, 4, 16, 1, 0),
        () => addon.mapCreate(27, '', 0, 0, 4096, 0, 0),
      ])
        handles.push(known('M', set()));
      const object = addon.objectOpen(files[0]!, 'tiny', 0);
      handles.push(known('O', object));
      if (next(3) > 0 && addon.objectLoad(object) === 0) {
        for (const map of ['tiny_hash', 'tiny_tables', 'tiny_ring'])
          handles.push(known('M', addon.objectMap(object, map)));
        for (const program of ['tiny_xdp', 'tiny_tc']) handles.push(known('P', addon.objectProgram(object, program)));
      }
    }
    for (const memory of memories) memory[0] = memory[0]! + 1;
    if (n % 500 === 0) {
      await turn();
      if (n % 5000 === 0) globalThis.gc?.();
    }
  }
  const missed = names.filter((name) => !reached.has(name));
  for (const { number } of handles) exports['close']!(number);
  return `calls ${job.calls}, never succeeded: ${missed.join(', ') || 'none'}`;
}

const text = (value: unknown): string => {
  if (value instanceof Uint8Array || value instanceof Int32Array) {
    try {
      return `${value.constructor.name}(${value.length})`;
    } catch {
      return 'trap';
    }
  }
  return typeof value === 'object' || typeof value === 'function' ? typeof value : String(value);
};

process.on('uncaughtException', (error) => {
  if (error.message === 'from a callback') return;
  process.stderr.write(`${error.stack ?? error.message}\n`);
  process.exit(1);
});

if (!isMainThread) {
  const job = workerData as Job;
  parentPort?.postMessage('began');
  for (let round = 0; ; round++) await fuzz({ ...job, seed: job.seed + round * 7919 + 1 });
} else {
  const [mode, seed, calls, folder, ...objects] = process.argv.slice(2);
  const job: Job = { seed: Number(seed), calls: Number(calls), folder: folder ?? '', objects };
  if (mode === 'main') {
    process.stdout.write(`${await fuzz(job)}\n`);
    // Watchers that keep the process alive must not keep it from ending.
    process.exit(0);
  }
  const next = randomOf(job.seed);
  let ended = 0;
  await Promise.all(
    Array.from({ length: 3 }, async (_, lane) => {
      for (let round = 0; round < 8; round++) {
        const worker = new Worker(new URL(import.meta.url), {
          workerData: { ...job, seed: job.seed + lane * 1000 + round, calls: 1e9 },
          execArgv: process.execArgv.filter((arg) => arg !== '--expose-gc'),
        });
        await new Promise((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
        await new Promise((resolve) => setTimeout(resolve, 20 + next(300)));
        await worker.terminate();
        ended++;
      }
    }),
  );
  process.stdout.write(`workers ended midway: ${ended}\n`);
  process.exit(0);
}
