// What JavaScript could do to the addon's memory and threads, case by case, each in a process of its own: buffers that shrink
// or move away, memory of maps in other threads, paths that are no namespaces, everything after its end. Input: the built addon.
// Output: what the process said; it must end by itself. What chance finds is fuzz.test.ts's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, describe, test } from 'node:test';
import { builtFile } from '../../src/dataplane/xdp/index.ts';
import { compileFixture, run, skipFixture } from './kernel.ts';

const skip = skipFixture();
/** A process that waits for ever is told from one on a slow machine. */
const PATIENCE_MS = 120_000;
const GIB = 2 ** 30;

const PRELUDE = `
  const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
  const assert = require('node:assert/strict');
  const [file, objectFile, folder] = process.argv.slice(2);
  const addon = require(file);
  const [HASH, ARRAY, PERCPU_ARRAY, RING, MMAPABLE] = [1, 2, 6, 27, 1024];
  const [EBADF, EINVAL, E2BIG, ENOENT] = [-9, -22, -7, -2];
  const hash = () => addon.mapCreate(HASH, '', 8, 8, 16, 0, 0);
  const memory = () => addon.mapCreate(ARRAY, '', 4, 8, 512, MMAPABLE, 0);
  const ring = () => addon.mapCreate(RING, '', 0, 0, 4096, 0, 0);
  const loaded = () => {
    const object = addon.objectOpen(new Uint8Array(require('node:fs').readFileSync(objectFile)), 'tiny', 0);
    assert.equal(addon.objectLoad(object), 0);
    return object;
  };
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

describe('no misuse ends or stops the process', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-misuse-'));
  const object = join(folder, 'tiny.o');
  if (skip === false) writeFileSync(object, compileFixture('tiny'));
  after(() => rmSync(folder, { recursive: true }));

  const child = (body: string): string => {
    const script = join(folder, 'case.cjs');
    writeFileSync(script, `${PRELUDE}(async () => {${body}})().then(() => process.stdout.write(' done'));`);
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--expose-gc', script, builtFile('weir_bpf.node') ?? '', object, folder],
      { encoding: 'utf8', timeout: PATIENCE_MS, killSignal: 'SIGKILL' },
    );
    assert.deepEqual([status, signal], [0, null], stderr.slice(-3000));
    assert.match(stdout, / done$/);
    return stdout;
  };

  test('buffers that shrink under their views, are taken away, or grow', () => {
    child(`
      const shrunk = (Type) => {
        const buffer = new ArrayBuffer(65536, { maxByteLength: 131072 });
        const views = [new Type(buffer), new Type(buffer, 32768), new Type(buffer, 32768, 64), new Type(buffer, 0, 64)];
        buffer.resize(0);
        return views;
      };
      const moved = (Type) => {
        const view = new Type(64);
        structuredClone(view.buffer, { transfer: [view.buffer] });
        return [view];
      };
      const grown = (Type) => {
        const shared = new SharedArrayBuffer(8, { maxByteLength: 131072 });
        const view = new Type(shared);
        shared.grow(131072);
        const own = new ArrayBuffer(8, { maxByteLength: 131072 });
        const other = new Type(own);
        own.resize(131072);
        return [view, other];
      };
      const wasm = new WebAssembly.Memory({ initial: 1, maximum: 4 });
      const gone = new Uint8Array(wasm.buffer, 65000);
      wasm.grow(2);
      const map = hash();
      const array = addon.mapCreate(ARRAY, '', 4, 8, 16, 0, 0);
      const percpu = addon.mapCreate(PERCPU_ARRAY, '', 4, 8, 4, 0, 0);
      const reading = addon.ringOpen(ring());
      const program = addon.objectProgram(loaded(), 'tiny_xdp');
      const key = new Uint8Array(8);
      const value = new Uint8Array(4096);
      addon.mapUpdate(map, key, new Uint8Array(8), 0);
      for (const make of [shrunk, moved, grown, () => [gone]]) {
        const bytes = make(Uint8Array);
        const words = make === grown || make === moved || make === shrunk ? make(Int32Array) : [new Int32Array(0)];
        for (const b of bytes) {
          const none = b.length === 0;
          const told = [
            addon.mapLookup(map, b, value),
            addon.mapLookup(map, key, b),
            addon.mapUpdate(map, b, new Uint8Array(8), 0),
            addon.mapUpdate(map, key, b, 0),
            addon.mapDelete(map, b),
            addon.mapNext(map, undefined, b),
            addon.mapNext(map, b, value),
            addon.mapLookupSum(percpu, new Uint8Array(4), b),
            addon.mapBatch(map, b, value, value, 1),
            addon.mapBatch(map, new Uint8Array(9), b, value, 1),
            addon.mapBatch(map, new Uint8Array(9), value, b, 1),
            addon.mapUpdateBatch(map, b, value, 1, 0, new Int32Array(1)),
            addon.mapUpdateBatch(map, value, b, 1, 0, new Int32Array(1)),
            addon.mapDeleteBatch(map, b, 1, new Int32Array(1)),
            addon.programRun(program, b, undefined, undefined, undefined, 1, -1, new Int32Array(4)),
            addon.programRunInPlace(program, b, 0, 60, value, new Int32Array(4)),
            addon.objectOpen(b, 'x', 0),
          ];
          // Not: a result with nowhere to go, an empty ring that has nothing to write.
          for (const [i, number] of told.entries()) assert.ok(!none || number < 0, String(i) + ' ' + String(number));
          addon.ringConsume(reading, b);
          addon.programRun(program, new Uint8Array(60), b, undefined, undefined, 1, -1, new Int32Array(4));
          addon.programRunInPlace(program, new Uint8Array(60), 0, 60, b, new Int32Array(4));
        }
        for (const w of words) {
          const told = [
            addon.mapInfo(map, w),
            addon.programInfo(program, w),
            addon.mapUpdateBatch(map, key, new Uint8Array(8), 1, 0, w),
            addon.mapDeleteBatch(map, key, 1, w),
            addon.programRun(program, new Uint8Array(60), undefined, undefined, undefined, 1, -1, w),
            addon.programRunInPlace(program, new Uint8Array(60), 0, 60, value, w),
          ];
          for (const [i, number] of told.entries()) assert.ok(w.length > 0 || number === EINVAL, String(i) + ' ' + String(number));
        }
      }
      addon.close(array);
    `);
  });

  test('memory of a map stays with its thread, and outlives handle, map and garbage collection', () => {
    child(`
      const map = memory();
      const buffer = addon.mapMemory(map);
      const view = new Uint8Array(buffer);
      // Were it moved, it would be unmapped when the other thread ends.
      const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
      // Versions of Node copy it, or refuse.
      for (const move of [() => worker.postMessage(buffer, [buffer]), () => structuredClone(buffer, { transfer: [buffer] })]) {
        try {
          move();
        } catch (error) {
          assert.equal(error.name, 'DataCloneError');
        }
        assert.equal(buffer.byteLength, 4096);
      }
      await worker.terminate();
      addon.close(map);
      addon.close(map);
      gc();
      view.fill(7);
      assert.equal(view[4095], 7);
      // A copy is no mapping.
      const copy = structuredClone(buffer);
      view[0] = 9;
      assert.equal(new Uint8Array(copy)[0], 7);
      // Thousands of them come and go.
      for (let n = 0; n < 3000; n++) {
        const one = memory();
        new Uint8Array(addon.mapMemory(one))[8] = 1;
        addon.close(one);
        if (n % 500 === 0) gc();
      }
    `);
  });

  test('a thread that ends leaves nothing of its memory to touch', () => {
    child(`
      for (let n = 0; n < 20; n++) {
        const worker = new Worker(
          "const { workerData, parentPort } = require('node:worker_threads'); const addon = require(workerData);" +
            "const map = addon.mapCreate(2, '', 4, 8, 512, 1024, 0); const view = new Uint8Array(addon.mapMemory(map));" +
            "parentPort.postMessage(1); for (let i = 0; ; i = (i + 1) % 4096) view[i]++;",
          { eval: true, workerData: file },
        );
        await new Promise((resolve) => worker.once('message', resolve));
        await sleep(n);
        await worker.terminate();
      }
    `);
  });

  test('a thread that ends while its ring fills', () => {
    child(`
      const object = loaded();
      const map = addon.objectMap(object, 'tiny_ring');
      const words = new Int32Array(8);
      addon.mapInfo(map, words);
      const program = addon.objectProgram(object, 'tiny_xdp');
      const packet = new Uint8Array(60).fill(1);
      for (let n = 0; n < 20; n++) {
        const worker = new Worker(
          "const { workerData, parentPort } = require('node:worker_threads'); const addon = require(workerData.file);" +
            "const ring = addon.ringOpen(addon.mapById(workerData.id)); const out = new Uint8Array(4096); let n = 0;" +
            "addon.ringWatch(ring, () => { addon.ringConsume(ring, out); if (++n % 3 === 0) { addon.ringUnwatch(ring); again(); } }, true);" +
            "function again() { addon.ringWatch(ring, () => addon.ringConsume(ring, out), n % 2 === 0); }" +
            "parentPort.postMessage(1);",
          { eval: true, workerData: { file, id: words[5] } },
        );
        await new Promise((resolve) => worker.once('message', resolve));
        const ended = sleep(n % 7).then(() => worker.terminate());
        for (let k = 0; k < 40; k++) {
          addon.programRun(program, packet, undefined, undefined, undefined, 50, -1, words);
          await new Promise(setImmediate);
        }
        await ended;
      }
    `);
  });

  test('everything after its end, and while the process ends', () => {
    child(`
      const map = hash();
      const object = loaded();
      const program = addon.objectProgram(object, 'tiny_xdp');
      const reading = addon.ringOpen(ring());
      addon.ringWatch(reading, () => {}, true);
      for (const handle of [map, object, program, reading]) assert.equal(addon.close(handle), 0);
      for (const handle of [map, object, program, reading]) assert.equal(addon.close(handle), 0);
      const [b, w] = [new Uint8Array(64), new Int32Array(8)];
      for (const [name, call] of Object.entries(addon)) {
        if (!/^(map|object|program|ring|link)[A-Z]/.test(name) || /^(mapCreate|mapOpen|mapById|objectOpen|programOpen|linkOpen)$/.test(name)) continue;
        for (const handle of [map, object, program, reading, 2 ** 53 - 1])
          assert.equal(call(handle, b, b, b, 1, 1, b, w), EBADF, name);
      }
      assert.equal(addon.openHandles(), 1);
      process.on('exit', () => {
        const late = hash();
        assert.ok(late > 0);
        const other = addon.ringOpen(ring());
        assert.equal(addon.ringWatch(other, () => {}, true), 0);
        addon.close(late);
      });
      setTimeout(() => process.exit(0), 50);
    `);
  });

  test('a path that is no network namespace is refused, and not opened', () => {
    run('mkfifo', join(folder, 'pipe'));
    child(`
      const program = addon.objectProgram(loaded(), 'tiny_xdp');
      for (const [path, errno] of [[folder + '/pipe', EINVAL], ['/dev/null', EINVAL], [objectFile, EINVAL], ['/nowhere', ENOENT], ['/proc/self/ns/mnt', EINVAL]]) {
        assert.equal(addon.interfaceIndex('lo', path), errno, path);
        assert.equal(addon.linkXdp(program, 1, 2, path), errno, path);
        assert.equal(addon.linkTcx(program, 1, false, path), errno, path);
        assert.equal(addon.linkClsact(program, 1, false, path), errno, path);
        assert.equal(addon.tcFilters(path), errno, path);
      }
      assert.equal(addon.interfaceIndex('lo', '/proc/self/ns/net'), 1);
    `);
  });

  const room = freemem() > 6 * GIB ? false : 'needs 6 GB of free memory';
  test('an array that is too long for a buffer is refused', { skip: room }, () => {
    // From some length on, which depends on its version, Node frees what it cannot make a buffer of.
    child(`
      const map = addon.mapCreate(ARRAY, '', 4, 2 ** 20, 1025, MMAPABLE, 0);
      assert.ok(map > 0, String(map));
      assert.equal(addon.mapMemory(map), E2BIG);
      addon.close(map);
    `);
  });

  test('lengths that no buffer has', () => {
    child(`
      const map = hash();
      const huge = new Uint8Array(2 ** 32);
      const value = new Uint8Array(8);
      assert.equal(addon.mapLookup(map, huge, value), EINVAL);
      assert.equal(addon.mapUpdate(map, new Uint8Array(8), huge, 0), EINVAL);
      assert.equal(addon.mapLookup(map, new Uint8Array(8), huge), ENOENT);
      assert.equal(addon.mapUpdateBatch(map, huge, huge, 2 ** 32 - 1, 0, new Int32Array(1)), EINVAL);
      assert.equal(addon.mapUpdateBatch(map, huge, huge, 2, 0, new Int32Array(1)), 0);
      assert.equal(addon.mapBatch(map, new Uint8Array(9), huge, huge, 2 ** 29), 1);
      const program = addon.objectProgram(loaded(), 'tiny_xdp');
      assert.equal(addon.programRun(program, huge, undefined, undefined, undefined, 1, -1, new Int32Array(4)), EINVAL);
      assert.equal(addon.programRun(program, new Uint8Array(60), huge, huge, huge, 1, -1, new Int32Array(4)), EINVAL);
      assert.equal(addon.programRun(program, new Uint8Array(60), huge, undefined, huge, 1, -1, new Int32Array(4)), 0);
      assert.equal(addon.programRunInPlace(program, huge, 2 ** 31 - 61, 2 ** 31 - 1, huge, new Int32Array(4)), 0);
      assert.equal(addon.programRunInPlace(program, huge, 60, 0, huge, new Int32Array(4)), EINVAL);
      assert.equal(addon.objectOpen(huge, 'x', 0), EINVAL);
      assert.equal(addon.mapCreate(ARRAY, 'x'.repeat(2 ** 20), 4, 8, 1, 0, 0), EINVAL);
      assert.equal(addon.mapOpen('/'.repeat(2 ** 20)), EINVAL);
      for (const [type, key, size, entries] of [[HASH, 2 ** 32 - 1, 8, 1], [ARRAY, 4, 2 ** 32 - 1, 1], [ARRAY, 4, 8, 2 ** 32 - 1], [HASH, 8, 2 ** 31, 2 ** 31], [RING, 0, 0, 2 ** 31]])
        assert.ok(addon.mapCreate(type, '', key, size, entries, 0, 0) < 0);
    `);
  });
});
