// Objects, programs, links and rings through the addon: errors with their log, reuse of maps, traffic in a network namespace.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import {
  BpfError,
  builtFile,
  createXdp,
  errnoName,
  kernelHz,
  kernelUnavailable,
  loadObject,
  MAP_FLAG,
  MAP_TYPE,
  openAttachment,
  type Xdp,
} from '../../src/dataplane/xdp/index.ts';
import { ERRNO, eventRecord, HOOK, MAPS, VERDICT } from '../../src/schema/index.ts';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { compileFixture, makeNamespace, mountBpfFs, run, skipFixture, skipNamespace, theAddon } from './kernel.ts';

const skip = skipFixture();
const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, spec]) => [
    name,
    { maxEntries: Math.min(spec.maxEntries, 64), ...('innerEntries' in spec ? { innerEntries: 7 } : {}) },
  ]),
);
const constants = {
  features: 0,
  recording: 1,
  clockFromMap: 1,
  hz: 0,
  maglevSlots: 7,
  recentPlaces: 0,
  wildcardFilter: 0,
};

const refusal = (body: () => unknown): BpfError => {
  try {
    body();
  } catch (error) {
    assert.ok(error instanceof BpfError);
    return error;
  }
  assert.fail('it was not refused');
};

describe('objects', { skip }, () => {
  test('what is no object is refused, at any length', () => {
    const addon = theAddon();
    const object = compileFixture('refused');
    assert.equal(addon.objectOpen(new Uint8Array(0), 'none', 0), -8);
    assert.equal(addon.objectOpen(new Uint8Array(1000).fill(0x7f), 'none', 0), -8);
    assert.ok(addon.objectOpen(object.subarray(0, 64), 'short', 0) < 0);
    assert.ok(addon.objectOpen(object.subarray(0, object.length >>> 1), 'half', 0) < 0);
  });

  test('the verifier’s whole log is in the error, its reason in the message', () => {
    const addon = theAddon();
    const object = addon.objectOpen(compileFixture('refused'), 'refused', 0);
    assert.ok(object > 0);
    assert.equal(addon.objectNames(object, 1), 'reads_too_far\nis_fine\n');
    assert.equal(addon.objectMap(object, 'none'), -16, 'not loaded yet');
    const errno = addon.objectLoad(object);
    assert.equal(errno, -13);
    const error = new BpfError('load', 'refused.o', errno, addon.lastLog());
    assert.equal(error.code, 'EACCES');
    assert.match(error.log, /BEGIN PROG LOAD LOG[^]*invalid access to packet[^]*END PROG LOAD LOG/);
    assert.match(error.message, /^load refused\.o: EACCES: R\d offset is outside of the packet$/);
    assert.equal(addon.objectLoad(object), -16, 'one attempt');
    addon.close(object);

    const other = addon.objectOpen(compileFixture('refused'), 'refused', 4);
    assert.equal(addon.objectAutoload(other, 'reads_too_far', false), 0);
    assert.equal(addon.objectAutoload(other, 'nothing', false), ERRNO.ENOENT);
    assert.equal(addon.objectLoad(other), 0);
    assert.match(addon.lastLog(), /processed \d+ insns/);
    assert.equal(addon.objectProgram(other, 'reads_too_far'), ERRNO.ENOENT);
    const program = addon.objectProgram(other, 'is_fine');
    assert.ok(program > 0);
    addon.close(other);
    const info = new Int32Array(6);
    assert.equal(addon.programInfo(program, info), 0, 'it outlives its object');
    assert.equal(info[0], 6);
    assert.ok(info[2]! > 0 && info[3]! > 0 && info[4]! > 0);
    addon.close(program);
  });

  test('an object that lacks a map or a constant of the contract is refused by name', () => {
    const object = compileFixture('refused');
    const before = theAddon().openHandles();
    const error = refusal(() => loadObject(theAddon(), { object, specs, constants }));
    assert.deepEqual([error.code, error.object], ['ENOENT', 'weir_config']);
    assert.equal(theAddon().openHandles(), before, 'nothing is left open');
  });

  test('maps are reused where they are the same, and refused where they are not', () => {
    const addon = theAddon();
    const object = compileFixture('echo');
    const first = createXdp({ object, specs });
    const key = new Uint8Array(MAPS.services4.key.bytes).fill(3);
    const value = new Uint8Array(MAPS.services4.value.bytes).fill(4);
    first.maps.services4.update(key, value);
    const reuse = new Map([['weir_services4', first.kernelMaps.services4!.handle]]);
    const second = createXdp({ object, specs, reuse });
    first.close();
    const out = new Uint8Array(value.length);
    assert.equal(second.maps.services4.lookup(key, out), true);
    assert.deepEqual(out, value);
    second.close();

    const other = addon.mapCreate(MAP_TYPE.HASH, 'weir_services4', key.length, value.length, 63, 0, 0);
    const error = refusal(() => createXdp({ object, specs, reuse: new Map([['weir_services4', other]]) }));
    assert.deepEqual([error.operation, error.object, error.code], ['reuse', 'weir_services4', 'EINVAL']);
    addon.close(other);
  });

  test('errno names; nothing is missing here; jiffies a second', () => {
    assert.equal(errnoName(-2), 'ENOENT');
    assert.equal(errnoName(524), 'ENOTSUPP');
    assert.equal(errnoName(-9999), 'errno 9999');
    assert.equal(kernelUnavailable('maps'), undefined);
    const hz = kernelHz();
    assert.ok(hz === undefined || [100, 250, 300, 1000].includes(hz), String(hz));
  });
});

describe('test runs', { skip }, () => {
  test('data out, context out, repeat, CPU', () => {
    const addon = theAddon();
    const engine = createXdp({ object: compileFixture('echo'), specs });
    const program = engine.programs.get(HOOK.XDP)!;
    const data = new Uint8Array(60);
    data[0] = 0x42;
    const result = new Int32Array(4);
    const out = new Uint8Array(80);
    assert.equal(addon.programRun(program, data, out, undefined, undefined, 1, -1, result), 0);
    assert.deepEqual([result[0], result[1]], [3, 80]);
    assert.deepEqual([...out.subarray(18, 22)], [0xee, 0xee, 0x42, 0]);
    assert.equal(data[13], 0, 'the input is not written');
    assert.equal(
      addon.programRun(program, data, out.subarray(0, 70), undefined, undefined, 1, -1, result),
      ERRNO.ENOSPC,
    );
    assert.equal(result[1], 80);
    assert.equal(addon.programRun(program, new Uint8Array(60), undefined, undefined, undefined, 1000, 0, result), 0);
    assert.ok(result[3]! < 1e6, 'nanoseconds a repeat');
    assert.equal(addon.programRun(program, data, undefined, undefined, undefined, 1, 1023, result), ERRNO.EINVAL);

    // struct __sk_buff: 192 bytes; mark at 8, priority at 32, cb at 48.
    const tc = engine.programs.get(HOOK.FROM_CONTAINER)!;
    const context = new Uint8Array(192);
    new DataView(context.buffer).setUint32(8, 0xf00, true);
    const contextOut = new Uint8Array(192);
    assert.equal(addon.programRun(tc, data, out, context, contextOut, 1, -1, result), 0);
    assert.deepEqual([result[0], result[1], result[2]], [0, 60, 192]);
    assert.equal(new DataView(contextOut.buffer).getUint32(8, true), 0xf00);
    assert.equal(out[0], 0x11);
    engine.close();
  });
});

const skipNet = skipNamespace();

describe('links', { skip: skipNet }, () => {
  /** Something that makes v0 send: an address that nobody has answers for. */
  const knock = (name: string): void => {
    const script = `const s=require('dgram').createSocket('udp4');s.send('x',9,'10.99.0.2',()=>s.close())`;
    run('ip', 'netns', 'exec', name, process.execPath, '-e', script);
  };
  const packets = (engine: Xdp): bigint => engine.metrics().reduce((sum, metric) => sum + metric.packets, 0n);
  const counted = async (engine: Xdp, name: string): Promise<boolean> => {
    const before = packets(engine);
    for (let n = 0; n < 20; n++) {
      knock(name);
      await sleep(20);
      if (packets(engine) > before) return true;
    }
    return false;
  };

  for (const [title, hook, options, kind] of [
    ['xdp in the stack', HOOK.XDP, { mode: 'GENERIC' }, 'xdp'],
    ['xdp in the driver', HOOK.XDP, { mode: 'NATIVE' }, 'xdp'],
    ['tcx', HOOK.FROM_CONTAINER, { tc: 'tcx' }, 'tcx'],
    ['clsact', HOOK.FROM_CONTAINER, { tc: 'clsact' }, 'clsact'],
    ['tcx or clsact', HOOK.FROM_CONTAINER, {}, undefined],
  ] as const) {
    test(`${title}: attached, replaced, taken off`, async () => {
      const object = compileFixture('echo');
      const space = makeNamespace();
      const first = createXdp({ object, specs, recording: false });
      const second = createXdp({ object, specs, recording: false });
      try {
        run('ip', '-n', space.name, 'addr', 'add', '10.99.0.1/24', 'dev', 'v0');
        const attachment = first.attach(hook, { device: 'v1', netns: space.path, ...options });
        if (kind !== undefined) assert.equal(attachment.kind, kind);
        assert.equal(await counted(first, space.name), true, 'it sees packets');
        if (attachment.kind !== 'clsact') assert.equal(attachment.info().ifindex, attachment.ifindex);
        attachment.replace(second.programs.get(hook)!);
        assert.equal(await counted(second, space.name), true, 'the other one does');
        const before = packets(first);
        knock(space.name);
        assert.equal(packets(first), before, 'this one no more');
        attachment.close();
        attachment.close();
        const after = packets(second);
        for (let n = 0; n < 5; n++) knock(space.name);
        assert.equal(packets(second), after, 'nobody does');
        assert.throws(() => {
          attachment.replace(first.programs.get(hook)!);
        }, /EBADF/);
      } finally {
        first.close();
        second.close();
        space.remove();
      }
    });
  }

  test('what cannot be attached says what and where', () => {
    const engine = createXdp({ object: compileFixture('echo'), specs, recording: false });
    const space = makeNamespace();
    try {
      const error = refusal(() => engine.attach(HOOK.XDP, { device: 'v9', netns: space.path }));
      assert.deepEqual([error.operation, error.object, error.code], ['find interface', 'v9', 'ENODEV']);
      assert.equal(refusal(() => engine.attach(HOOK.XDP, { device: 99999, netns: space.path })).code, 'EINVAL');
      assert.equal(
        refusal(() => engine.attach(HOOK.XDP, { device: 'v0', netns: '/run/netns/nothing' })).code,
        'ENOENT',
      );
      assert.equal(refusal(() => engine.attach(HOOK.TO_NETDEV, { device: 'v0', netns: space.path })).code, 'EBADF');
      engine.attach(HOOK.XDP, { device: 'v0', netns: space.path });
      const busy = refusal(() => engine.attach(HOOK.XDP, { device: 'v0', netns: space.path }));
      assert.deepEqual([busy.operation, busy.object, busy.code], ['attach', 'weir_xdp on v0', 'EBUSY']);
    } finally {
      engine.close();
      space.remove();
    }
  });

  test('clsact: a filter that somebody left is replaced, and nobody takes off another one’s', () => {
    const object = compileFixture('echo');
    const addon = theAddon();
    const [first, second] = [0, 1].map(() => createXdp({ object, specs, recording: false }));
    let space = makeNamespace();
    const filters = (): string[][] =>
      String(addon.tcFilters(space.path))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' '));
    const put = (engine = first!): { close(): void } =>
      engine.attach(HOOK.FROM_CONTAINER, { device: 'v0', netns: space.path, tc: 'clsact' });
    const programId = (engine = first!): string => {
      const words = new Int32Array(6);
      addon.programInfo(engine.programs.get(HOOK.FROM_CONTAINER)!, words);
      return `${words[1]! >>> 0}`;
    };
    try {
      assert.deepEqual(filters(), []);
      const left = put();
      const [filter] = filters();
      assert.deepEqual(
        [filter?.[0], filter?.[1], filter?.[4], filter?.[5]],
        ['v0', 'ingress', programId(), 'weir_from_conta'],
      );
      // Another filter, which is none of ours, stays.
      run(
        'ip',
        'netns',
        'exec',
        space.name,
        'tc',
        'filter',
        'add',
        'dev',
        'v0',
        'ingress',
        'pref',
        '5',
        'u32',
        'match',
        'u32',
        '0',
        '0',
      );
      const taken = put(second);
      assert.deepEqual(
        filters().map((words) => words[4]),
        [programId(second)],
        'one, and the new one',
      );
      left.close();
      assert.deepEqual(
        filters().map((words) => words[4]),
        [programId(second)],
        'the older link leaves it alone',
      );
      taken.close();
      assert.deepEqual(filters(), []);
      assert.match(run('ip', 'netns', 'exec', space.name, 'tc', 'filter', 'show', 'dev', 'v0', 'ingress'), /u32/);

      // The path of a namespace leads to another one by the time that a filter is taken off.
      const gone = put();
      const { name } = space;
      space.remove();
      space = makeNamespace(name);
      const kept = put();
      gone.close();
      assert.equal(filters().length, 1);
      kept.close();
      assert.deepEqual(filters(), []);
      assert.equal(addon.tcFilters('/run/netns/nothing'), ERRNO.ENOENT);
    } finally {
      first!.close();
      second!.close();
      space.remove();
    }
  });

  test('a pinned link outlives its engine, and is found again', async () => {
    const object = compileFixture('echo');
    const space = makeNamespace();
    const fs = mountBpfFs();
    const addon = theAddon();
    const engine = createXdp({ object, specs, recording: false });
    try {
      for (const [hook, kind] of [
        [HOOK.XDP, 'xdp'],
        [HOOK.FROM_CONTAINER, 'tcx'],
      ] as const) {
        const path = `${fs.path}/weir_link_${kind}`;
        const attachment = engine.attach(hook, { device: 'v1', netns: space.path });
        assert.equal(attachment.kind, kind);
        attachment.pin(path);
        const { linkId } = attachment.info();
        attachment.close();
        const again = openAttachment(addon, path);
        assert.deepEqual([again.kind, again.info().linkId, again.ifindex], [kind, linkId, attachment.ifindex]);
        if (hook === HOOK.XDP) {
          run('ip', '-n', space.name, 'addr', 'add', '10.99.0.1/24', 'dev', 'v0');
          assert.equal(await counted(engine, space.name), true);
        }
        again.detach();
        assert.equal(addon.unpin(path), 0);
      }
    } finally {
      engine.close();
      fs.remove();
      space.remove();
    }
  });
});

describe('rings', { skip }, () => {
  test('consumes in pieces, in order; a record larger than the buffer is said', () => {
    const addon = theAddon();
    const loaded = loadObject(addon, { object: compileFixture('echo'), specs, constants });
    const ring = addon.ringOpen(loaded.events);
    const program = loaded.programs.get('weir_xdp')!;
    const result = new Int32Array(4);
    for (let n = 0; n < 10; n++)
      addon.programRun(program, new Uint8Array(60 + n), undefined, undefined, undefined, 1, -1, result);
    const record = 4 + eventRecord.bytes;
    const out = new Uint8Array(3 * record + 1).fill(0xa5);
    assert.equal(addon.ringConsume(ring, out.subarray(0, record - 1)), ERRNO.ENOSPC);
    const lengths: number[] = [];
    for (const wanted of [3, 3, 3, 1, 0]) {
      const bytes = addon.ringConsume(ring, out);
      assert.equal(bytes, wanted * record);
      for (let at = 0; at < bytes; at += record) {
        assert.equal(new DataView(out.buffer).getUint32(at, true), eventRecord.bytes);
        lengths.push(eventRecord.decode(out, at + 4).wireBytes);
      }
    }
    assert.deepEqual(lengths, [60, 61, 62, 63, 64, 65, 66, 67, 68, 69]);
    assert.equal(out.at(-1), 0xa5);
    addon.close(ring);
    loaded.close();
  });

  test('a ring outlives its map’s handle; what is no ring is refused', () => {
    const addon = theAddon();
    const map = addon.mapCreate(MAP_TYPE.RINGBUF, 'weir_ring', 0, 0, 4096, 0, 0);
    const reader = addon.ringOpen(map);
    assert.ok(reader > 0);
    assert.equal(addon.close(map), 0);
    assert.equal(addon.ringConsume(reader, new Uint8Array(100)), 0);
    assert.equal(addon.close(reader), 0);
    assert.equal(addon.ringConsume(reader, new Uint8Array(100)), ERRNO.EBADF);
    const array = addon.mapCreate(MAP_TYPE.ARRAY, '', 4, 4, 1, MAP_FLAG.MMAPABLE, 0);
    assert.equal(addon.ringOpen(array), ERRNO.EINVAL);
    addon.close(array);
  });

  test('a watcher goes with its worker, wherever it is stopped', async () => {
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      const addon = require(workerData.addon);
      const ring = addon.ringOpen(addon.mapCreate(27, '', 0, 0, 4096, 0, 0));
      addon.ringWatch(ring, () => {}, true);
      parentPort.postMessage('watching');
    `;
    for (let n = 0; n < 10; n++) {
      const worker = new Worker(source, { eval: true, workerData: { addon: builtFile('weir_bpf.node') } });
      await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      await worker.terminate();
    }
  });

  test('an unread ring does not keep the run from its verdict', () => {
    const engine = createXdp({ object: compileFixture('echo'), specs });
    for (let n = 0; n < 500; n++)
      assert.equal(engine.run(HOOK.XDP, new Packet().set(new Uint8Array(60)), new Meta()), VERDICT.FORWARDED);
    assert.ok(engine.events.lost > 0);
    engine.close();
  });
});

describe('maps of maps', { skip }, () => {
  test('an inner map that is another than was declared is refused, not read past the caller’s bytes', () => {
    const addon = theAddon();
    const inner = addon.mapCreate(MAP_TYPE.ARRAY, 'inner', 4, 4096, 16, 0, 0);
    const outer = addon.mapCreate(MAP_TYPE.HASH_OF_MAPS, 'outer', 4, 4, 4, 0, inner);
    const key = new Uint8Array(4);
    assert.equal(addon.mapUpdateInner(outer, key, new Uint8Array(65536).fill(0x41), 0), 0);
    assert.equal(addon.mapSetInner(outer, MAP_TYPE.ARRAY, 4, 1, 16, 0), 0);
    const memory = new Uint8Array(70_000);
    assert.equal(addon.mapLookupInner(outer, key, memory.subarray(0, 16)), ERRNO.EINVAL);
    assert.ok(memory.every((byte) => byte === 0));
    addon.close(outer);
    addon.close(inner);
  });
});

describe('an engine that records', { skip: skip || skipNamespace() }, () => {
  test('is not attached to traffic', () => {
    const xdp = createXdp({ specs, hooks: [HOOK.XDP] });
    try {
      const error = refusal(() => xdp.attach(HOOK.XDP, { device: 'lo' }));
      assert.equal(error.errno, ERRNO.EINVAL);
    } finally {
      xdp.close();
    }
  });
});
