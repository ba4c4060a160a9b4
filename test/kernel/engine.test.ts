// The kernel engine over small programs that say what they were given: runs, meta, records, events, metrics, writes, close.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveConfig } from '../../src/control/index.ts';
import { mapSizes } from '../../src/control/map-sizes.ts';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { createXdp, FRAME_BOUNDS, type Xdp, type XdpOptions } from '../../src/dataplane/xdp/index.ts';
import { applyWrites, createMap, type MapWrite } from '../../src/maps/index.ts';
import {
  ACTION,
  configValue,
  ERRNO,
  eventRecord,
  FEATURE,
  HOOK,
  MAPS,
  SIMULATOR_FEATURE_TEXT,
  VERDICT,
} from '../../src/schema/index.ts';
import { canonicalPrefix, prefixKey } from '../support/maps/specs.ts';
import { compileFixture, skipFixture } from './kernel.ts';

const skip = skipFixture();
let object: Uint8Array | undefined;

/** Small, so that a test loads in milliseconds. */
const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, spec]) => [
    name,
    {
      maxEntries: Math.min(spec.maxEntries, name === 'events' ? 64 : 1024),
      ...('innerEntries' in spec ? { innerEntries: 7 } : {}),
    },
  ]),
);

function withEngine(body: (engine: Xdp) => void | Promise<void>, options: XdpOptions = {}): void | Promise<void> {
  object ??= compileFixture('echo');
  const engine = createXdp({ object, specs, ...options });
  const result = body(engine);
  if (result === undefined) engine.close();
  return result?.finally(() => {
    engine.close();
  });
}

const frame = (bytes: number, first = 0): Uint8Array => {
  const out = Uint8Array.from({ length: bytes }, (_, i) => i);
  out[0] = first;
  return out;
};

describe('kernel engine', { skip }, () => {
  test('a run hands time and meta over and brings packet, record and meta back', () => {
    void withEngine((engine) => {
      const meta = new Meta();
      meta.ifindex = 12;
      meta.mark = 41;
      meta.cb4 = 99;
      meta.flags = 2;
      meta.gsoSize = 1400;
      const packet = new Packet().set(frame(60), 1000, 5);
      assert.equal(engine.run(HOOK.XDP, packet, meta), VERDICT.FORWARDED);
      assert.equal(engine.runErrno, 0);
      const decision = engine.decision();
      assert.equal(decision.hook, HOOK.XDP);
      assert.equal(decision.sourceIdentity, 1000);
      assert.equal(decision.destinationIdentity, 5);
      assert.equal(decision.outIfindex, 12);
      assert.equal(decision.cookie, 60);
      assert.equal(decision.backendId, 99);
      assert.equal(decision.flags, 0xffffffff);
      assert.deepEqual([meta.mark, meta.xdpMetadata, meta.flags, meta.gsoSize, meta.ifindex], [42, 7, 6, 1400, 12]);
      assert.equal(packet.bytes[13], 13 ^ 0xff);
      assert.deepEqual([packet.offset, packet.capturedEnd, packet.wireEnd], [0, 60, 60]);
      assert.deepEqual(new Uint8Array(engine.recordWords.buffer, 0, engine.record.length), engine.record);

      assert.equal(engine.run(HOOK.FROM_CONTAINER, packet, meta.reset()), VERDICT.FORWARDED);
      assert.equal(packet.bytes[0], 0x11);
      assert.equal(engine.decision().hook, HOOK.FROM_CONTAINER);
    });
  });

  test('a packet inside a buffer: only its bytes are read and written; a longer one moves out of it', () => {
    void withEngine((engine) => {
      const buffer = new Uint8Array(200).fill(0xa5);
      buffer.set(frame(60), 50);
      const packet = new Packet().view(buffer, 50, 110, 115, 1, 0, 0);
      engine.run(HOOK.XDP, packet, new Meta());
      assert.equal(packet.bytes, buffer);
      assert.deepEqual([packet.offset, packet.capturedEnd, packet.wireEnd], [50, 110, 115]);
      const expected = new Uint8Array(200).fill(0xa5);
      expected.set(frame(60), 50);
      expected[63]! ^= 0xff;
      assert.deepEqual(buffer, expected);

      buffer[50] = 0x42;
      const before = buffer.slice();
      engine.run(HOOK.XDP, packet, new Meta());
      assert.deepEqual(buffer, before, 'left as it was');
      assert.deepEqual([packet.offset, packet.capturedEnd, packet.wireEnd], [0, 80, 85]);
      const grown = new Uint8Array(80).fill(0xee);
      grown.set(before.subarray(50, 110), 20);
      grown[33]! ^= 0xff;
      assert.deepEqual(packet.bytes.slice(0, 80), grown);
      assert.equal(engine.run(HOOK.FROM_CONTAINER, packet, new Meta()), VERDICT.FORWARDED, 'it can go on from there');
      assert.equal(packet.bytes[0], 0x11);

      const longest = new Packet().set(frame(FRAME_BOUNDS.XDP.most, 0x42));
      assert.equal(engine.run(HOOK.XDP, longest, new Meta()), VERDICT.FORWARDED);
      assert.equal(longest.capturedEnd, FRAME_BOUNDS.XDP.most + 20);
    });
  });

  test('what a test run does not take is an error, with a record that says so', () => {
    void withEngine((engine) => {
      const refused = (hook: number, packet: Packet): void => {
        engine.recordWords.fill(-1);
        assert.equal(engine.run(hook, packet, new Meta()), VERDICT.ERROR);
        assert.ok(engine.runErrno < 0);
        const { verdict, hook: at, action, ctStatus, cookie } = engine.decision();
        assert.deepEqual([verdict, at, action, ctStatus, cookie], [VERDICT.ERROR, hook, ACTION.STACK, 255, 0]);
      };
      refused(HOOK.XDP, new Packet().set(frame(FRAME_BOUNDS.XDP.least - 1)));
      refused(HOOK.XDP, new Packet().set(frame(FRAME_BOUNDS.XDP.most + 1)));
      refused(HOOK.FROM_CONTAINER, new Packet().set(frame(FRAME_BOUNDS.TC.least - 1)));
      refused(HOOK.FROM_CONTAINER, new Packet().set(frame(FRAME_BOUNDS.TC.most + 1)));
      refused(HOOK.XDP, new Packet().set(frame(60), 0, 0, 101));
      refused(HOOK.TO_NETDEV, new Packet().set(frame(60)));
      refused(HOOK.CONNECT, new Packet().set(frame(60)));
      refused(200, new Packet().set(frame(60)));
      for (const { hook, bounds } of [
        { hook: HOOK.XDP, bounds: FRAME_BOUNDS.XDP },
        { hook: HOOK.FROM_CONTAINER, bounds: FRAME_BOUNDS.TC },
      ]) {
        for (const bytes of [bounds.least, bounds.most]) {
          assert.equal(engine.run(hook, new Packet().set(frame(bytes)), new Meta()), VERDICT.FORWARDED);
          assert.equal(engine.decision().cookie, bytes, 'the program sees the whole frame');
        }
      }
    });
  });

  test('events in order, those without room counted; metrics summed over CPUs', () => {
    void withEngine((engine) => {
      const out = new Uint8Array(eventRecord.bytes);
      assert.equal(engine.events.poll(out), false);
      const meta = new Meta();
      for (let n = 0; n < 40; n++) engine.run(HOOK.XDP, new Packet().set(frame(20 + n)), meta);
      for (let n = 0; n < 40; n++) {
        assert.equal(engine.events.poll(out.subarray(1)), false, 'no room for an event');
        assert.equal(engine.events.poll(out), true);
        assert.equal(eventRecord.decode(out).wireBytes, 20 + n);
      }
      assert.equal(engine.events.poll(out), false);
      assert.equal(engine.events.lost, 0);
      for (let n = 0; n < 1000; n++) engine.run(HOOK.XDP, new Packet().set(frame(60)), meta);
      let taken = 0;
      while (engine.events.poll(out)) taken++;
      assert.ok(taken >= 64, `${taken} events in a ring for 64`);
      assert.equal(taken + engine.events.lost, 1000);
      const [metric, ...others] = engine.metrics();
      assert.deepEqual(others, []);
      assert.deepEqual([metric?.reason, metric?.direction, metric?.packets], [1, 0, 1040n]);
    });
  });

  test('the event loop is told of events', () =>
    withEngine(async (engine) => {
      const out = new Uint8Array(eventRecord.bytes);
      let got = 0;
      let calls = 0;
      const stop = await new Promise<() => void>((resolve) => {
        const end = engine.watchEvents(() => {
          calls++;
          while (engine.events.poll(out)) got++;
          if (got === 6) resolve(end);
          else if (got === 3) three();
        }, true);
        const three = (): void => {
          for (let n = 0; n < 3; n++) engine.run(HOOK.XDP, new Packet().set(frame(60)), new Meta());
        };
        three();
      });
      assert.ok(calls >= 2);
      assert.throws(() => engine.watchEvents(() => undefined), /EALREADY/);
      stop();
      stop();
      engine.run(HOOK.XDP, new Packet().set(frame(60)), new Meta());
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(got, 6, 'not called after it was stopped');
      engine.watchEvents(() => undefined)();
    }));

  test('close: maps gone, runs errors, memory of the record still there', () => {
    void withEngine((engine) => {
      engine.run(HOOK.XDP, new Packet().set(frame(60)), new Meta());
      const before = engine.addon.openHandles();
      const { record } = engine;
      engine.close();
      engine.close();
      assert.ok(engine.addon.openHandles() < before);
      assert.equal(engine.run(HOOK.XDP, new Packet().set(frame(60)), new Meta()), VERDICT.ERROR);
      assert.equal(engine.runErrno, ERRNO.EBADF);
      assert.equal(record.length, engine.record.length);
      assert.deepEqual(engine.decision().verdict, VERDICT.ERROR);
      assert.deepEqual(engine.apply([]), { applied: 0, failed: { index: 0, errno: ERRNO.EBADF } });
      assert.equal(engine.maps.policy.update(new Uint8Array(12), new Uint8Array(12)), ERRNO.EBADF);
      assert.equal(engine.events.poll(new Uint8Array(eventRecord.bytes)), false);
      assert.deepEqual(engine.metrics(), []);
    });
  });

  test('constants and sizes of the load', () => {
    void withEngine(
      (engine) => {
        engine.run(HOOK.XDP, new Packet().set(frame(60)), new Meta());
        assert.equal(engine.decision().flags, 5);
        assert.deepEqual([...engine.programs.keys()], [HOOK.XDP]);
        const info = new Int32Array(8);
        engine.addon.mapInfo(engine.kernelMaps.policy!.handle, info);
        assert.equal(info[3], 1024);
      },
      { features: 5, hooks: [HOOK.XDP] },
    );
  });
});

describe('kernel engine: writes', { skip }, () => {
  /** xorshift32: which writes there are must not change from run to run. */
  const random = (seed: number) => (bound: number) => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % bound;
  };

  test('any list of writes does what single writes to memory do, and stops at the same one', () => {
    void withEngine(
      (engine) => {
        const names = ['services4', 'policy', 'backends4', 'ipcache4', 'maglev4', 'metrics', 'ctTcp4'] as const;
        let failures = 0;
        for (let seed = 1; seed <= 60; seed++) {
          const next = random(seed * 7919);
          const memory = new Map(
            Object.entries(engine.kernelMaps).map(([, map]) => [map.spec.name, createMap(map.spec, { seed: 1 })]),
          );
          for (const map of Object.values(engine.kernelMaps)) {
            const { count, keys } = map.dump();
            if (map.spec.kind !== 'array' && map.spec.kind !== 'percpu-array')
              map.deleteMany(keys, count, new Int32Array(1));
            else
              for (let n = 0; n < count; n++)
                map.update(keys.subarray(n * 4, n * 4 + 4), new Uint8Array(map.spec.value.bytes));
          }
          const writes: MapWrite[] = [];
          const length = 1 + next(60);
          let name = names[0] as (typeof names)[number];
          while (writes.length < length) {
            if (next(4) === 0) name = names[next(names.length)]!;
            const { spec } = engine.kernelMaps[name]!;
            const array = spec.kind === 'array' || spec.kind === 'percpu-array';
            const key = new Uint8Array(spec.key.bytes);
            // Bits behind the prefix are none of the contract: the kernel keeps them, memory clears them.
            if (spec.kind === 'lpm-trie') key.set(canonicalPrefix(prefixKey(next(70), [0, 0, 0, 0, next(8), 0, 0, 0])));
            else key[0] = next(array ? 18 : 12);
            const value = new Uint8Array(spec.value.bytes * (spec.innerEntries ?? 1)).fill(next(256));
            const wrong = next(50);
            if (wrong === 0) writes.push({ map: 'weir_nothing', op: 'update', key, value });
            else if (wrong === 1) writes.push({ map: spec.name, op: 'update', key: key.subarray(1), value });
            else if (wrong === 2) writes.push({ map: spec.name, op: 'update', key });
            else if (next(3) === 0 && !array) writes.push({ map: spec.name, op: 'delete', key });
            else writes.push({ map: spec.name, op: 'update', key, value });
          }
          const expected = applyWrites(memory, writes);
          assert.deepEqual(engine.apply(writes), expected, `seed ${seed}`);
          if (expected.failed !== undefined) failures++;
          for (const map of Object.values(engine.kernelMaps)) {
            const content = (entries: Iterable<[Uint8Array, Uint8Array]>): string[] =>
              Array.from(entries, ([k, v]) => `${k.join()}=${v.join()}`).sort();
            assert.deepEqual(content(map.entries()), content(memory.get(map.spec.name)!.entries()), `seed ${seed}`);
          }
        }
        assert.ok(failures >= 10, `${failures} lists that fail`);
      },
      {
        specs: Object.fromEntries(
          Object.entries(specs).map(([name, spec]) => [name, { ...spec, maxEntries: name === 'events' ? 64 : 16 }]),
        ),
      },
    );
  });

  test('long lists are written in order', () => {
    void withEngine((engine) => {
      const value = (n: number): Uint8Array => new Uint8Array(MAPS.backends4.value.bytes).fill(n);
      const key = (n: number): Uint8Array => new Uint8Array(Uint32Array.of(n).buffer);
      const writes = Array.from({ length: 5000 }, (_, n): MapWrite => {
        return { map: 'weir_backends4', op: 'update', key: key(n % 1000), value: value(n >>> 4) };
      });
      assert.deepEqual(engine.apply(writes), { applied: 5000 });
      const out = value(0);
      for (const n of [0, 1, 999]) {
        engine.maps.backends4.lookup(key(n), out);
        assert.deepEqual(out, value((4000 + n) >>> 4));
      }
    });
  });

  test('a configuration with features of the simulator alone is refused, and what comes before it is done', () => {
    void withEngine((engine) => {
      const config = (features: number): MapWrite => {
        const value = configValue.encode({ ...configValue.decode(new Uint8Array(configValue.bytes)), features });
        return { map: MAPS.config.name, op: 'update', key: new Uint8Array(4), value };
      };
      const vlan: MapWrite = {
        map: MAPS.vlans.name,
        op: 'update',
        key: new Uint8Array(MAPS.vlans.key.bytes),
        value: new Uint8Array(MAPS.vlans.value.bytes),
      };
      for (const bit of SIMULATOR_FEATURE_TEXT.keys()) {
        assert.deepEqual(engine.apply([vlan, config(FEATURE.IPV4 | bit), vlan]), {
          applied: 1,
          failed: { index: 1, errno: ERRNO.EOPNOTSUPP },
        });
      }
      assert.equal(engine.maps.vlans.size, 1);
      assert.deepEqual(engine.apply([config(FEATURE.IPV4)]), { applied: 1 });
    });
  });
  test('the configuration’s map sizes are the kernel’s', () => {
    const { config } = resolveConfig({ sets: ['bpf.lbMapMax=5', 'bpf.ctTcpMax=2048', 'bpf.ctAnyMax=1024'] });
    void withEngine(
      ({ maps }) => {
        const { services4, ctAny4, ctTcpNew4 } = maps;
        assert.equal(ctTcpNew4.spec.maxEntries, 512);
        const value = new Uint8Array(services4.spec.value.bytes);
        const key = new Uint8Array(services4.spec.key.bytes);
        for (let i = 1; i <= 6; i++) assert.equal(services4.update(key.fill(i), value), i === 6 ? ERRNO.E2BIG : 0);
        // A hash for connections evicts instead.
        const tuple = new Uint8Array(ctAny4.spec.key.bytes);
        const entry = new Uint8Array(ctAny4.spec.value.bytes);
        for (let i = 0; i < 2000; i++) {
          new DataView(tuple.buffer).setUint32(0, i);
          assert.equal(ctAny4.update(tuple, entry), 0);
        }
        const { size } = ctAny4;
        assert.ok(size > 256 && size <= 1024, `${size} entries`);
      },
      { specs: { ...specs, ...mapSizes(config), maglev4: specs['maglev4']!, maglev6: specs['maglev6']! } },
    );
  });
});
