// Garbage collection of conntrack, its interval, map pressure; and that established connections outlive a flood.
// Input: a simulator with small maps. Output: what is left in them, and what packets get afterwards.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  collectConntrack,
  ConntrackGc,
  GC_INTERVAL,
  mapPressure,
  nextGcInterval,
} from '../../../src/dataplane/index.ts';
import type { ByteMap } from '../../../src/maps/index.ts';
import { CT_STATUS, FEATURE, VERDICT } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { addressBytes } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const udp = (source: string, destination: string, sourcePort: number, destinationPort = 53) =>
  ({ protocol: 'udp', source, destination, sourcePort, destinationPort }) as const;

describe('collection', () => {
  test('what is past its lifetime goes, what lives stays, in every map and family', () => {
    const w = new World();
    w.endpoint(A).endpoint('fd00::1');
    w.run('FROM_CONTAINER', udp(A, B, 1));
    w.run('FROM_CONTAINER', udp('fd00::1', 'fd00::2', 1));
    w.run('FROM_CONTAINER', { ...udp(A, B, 2), protocol: 'tcp' });
    w.now += 30;
    w.run('FROM_CONTAINER', udp(A, B, 3));
    // The two connections and one related twin of a pair each; the twin of A and B was refreshed by the last.
    assert.deepEqual(collectConntrack(w.sim, w.now + 30), { scanned: 6, deleted: 0, byMap: {} });
    const { deleted, byMap } = collectConntrack(w.sim, w.now + 31);
    assert.deepEqual({ deleted, byMap }, { deleted: 4, byMap: { ctAnyNew4: 1, ctTcpNew4: 1, ctAnyNew6: 2 } });
    assert.equal(w.sim.maps.ctAnyNew4.size, 2);
    assert.equal(w.now + 31 > w.now, true);
  });
  test('a packet that runs afterwards sees no difference', () => {
    for (const collected of [false, true]) {
      const w = new World();
      w.endpoint(A);
      w.run('FROM_CONTAINER', udp(A, B, 1));
      w.now += 61;
      if (collected) assert.equal(collectConntrack(w.sim, w.now).deleted, 2);
      assert.equal(w.run('FROM_CONTAINER', udp(A, B, 1)).record.ctStatus, CT_STATUS.NEW);
      assert.equal(w.entries('ctAnyNew4').length, 2);
    }
  });
  test('entries of an endpoint that is gone go whatever their lifetime', () => {
    const w = new World();
    w.endpoint(A).endpoint(B).endpoint('fd00::1');
    w.run('FROM_CONTAINER', udp(A, '10.9.9.9', 1));
    w.run('FROM_CONTAINER', udp(B, '10.9.9.9', 1));
    w.run('FROM_CONTAINER', udp('fd00::1', 'fd00::9', 1));
    const gone = new Set([addressBytes(A).join(), addressBytes('fd00::1').join()]);
    const { deleted } = collectConntrack(w.sim, w.now, { isGone: (address) => gone.has(address.join()) });
    assert.equal(deleted, 4);
    assert.equal(w.entries('ctAnyNew4').length, 2);
  });
  test('more than one batch', () => {
    const w = new World({ specs: { ctAnyNew4: { maxEntries: 16384 } } });
    w.endpoint(A);
    for (let i = 0; i < 9000; i++) w.run('FROM_CONTAINER', udp(A, B, 1 + i));
    assert.equal(collectConntrack(w.sim, w.now + 100).deleted, 9001);
    assert.equal(w.sim.maps.ctAnyNew4.size, 0);
  });
  test('an entry that is used between the walk and the delete stays', () => {
    const w = new World();
    w.endpoint(A);
    w.run('FROM_CONTAINER', udp(A, B, 1));
    const at = w.now + 61;
    w.now += 60;
    const map = w.sim.maps.ctAnyNew4;
    const racing: ByteMap = {
      spec: map.spec,
      size: map.size,
      stats: map.stats,
      lookup: (key, value) => map.lookup(key, value),
      update: (key, value, flags) => map.update(key, value, flags),
      delete: (key) => map.delete(key),
      nextKey: (after, out) => map.nextKey(after, out),
      *entries() {
        for (const entry of [...map.entries()]) {
          // A packet as late as the walk allows: behind the read, before the delete.
          w.now = at - 1;
          w.run('FROM_CONTAINER', udp(A, B, 1));
          yield entry;
        }
      },
    };
    const maps = { ...w.sim.maps, ctAnyNew4: racing };
    // The related twin, which only errors prolong, goes.
    assert.equal(collectConntrack({ maps, apply: (writes) => w.sim.apply(writes) }, at).deleted, 1);
    assert.notEqual(w.connection('ctAnyNew4'), undefined);
  });
});

describe('interval', () => {
  test('Cilium’s rule, by share deleted', () => {
    assert.deepEqual(
      [0, 0.04, 0.05, 0.25, 0.26, 0.5, 0.9, 1].map((share) => nextGcInterval(300, share)),
      [450, 450, 300, 300, 222, 150, 30, 30],
    );
    assert.equal(nextGcInterval(12, 1), GC_INTERVAL.LEAST);
    assert.equal(nextGcInterval(40_000, 0), GC_INTERVAL.MOST);
    // Woken after a third of the time: a tenth counts as three tenths.
    assert.equal(nextGcInterval(300, 0.1, 100), 210);
    assert.equal(nextGcInterval(300, 0.1, 0), 300);
  });
  test('passes when due, on the caller’s time, which may go back', () => {
    const w = new World();
    const gc = new ConntrackGc(w.sim);
    assert.equal(gc.tick(1000), undefined);
    assert.equal(gc.tick(900), undefined);
    assert.equal(gc.tick(1299), undefined);
    assert.deepEqual(gc.tick(1300), { scanned: 0, deleted: 0, byMap: {}, translations: 0 });
    assert.equal(gc.interval, 450);
    assert.equal(gc.tick(1749), undefined);
    assert.notEqual(gc.tick(1750), undefined);
    const fixed = new ConntrackGc(w.sim, { interval: 7 });
    fixed.tick(0);
    for (let now = 7; now < 70; now += 7) {
      assert.notEqual(fixed.tick(now), undefined);
      assert.equal(fixed.interval, 7);
    }
  });
  test('a longest interval bounds the first one and what grows; a fixed one knows no bound', () => {
    const w = new World();
    const gc = new ConntrackGc(w.sim, { maxInterval: 100 });
    assert.equal(gc.interval, 100);
    gc.collect(0);
    assert.equal(gc.interval, 100);
    assert.equal(nextGcInterval(8, 1, 8, 5), 5);
    const grows = new ConntrackGc(w.sim, { maxInterval: 500 });
    for (const expected of [450, 500, 500]) {
      grows.collect(0);
      assert.equal(grows.interval, expected);
    }
    assert.equal(new ConntrackGc(w.sim, { interval: 7, maxInterval: 3 }).interval, 7);
  });
  test('many deleted ones make it short', () => {
    const w = new World();
    w.endpoint(A);
    const gc = new ConntrackGc(w.sim);
    gc.isDue(w.now);
    for (let i = 0; i < 100; i++) w.run('FROM_CONTAINER', udp(A, B, 1 + i));
    assert.equal(gc.tick(w.now + 300)?.deleted, 101);
    assert.equal(gc.interval, 30);
  });
});

test('pressure: fullest first, what was given up is counted', () => {
  const w = new World({ specs: { ctAnyNew4: { maxEntries: 32 } } });
  w.endpoint(A);
  for (let i = 0; i < 100; i++) w.run('FROM_CONTAINER', udp(A, B, 1 + i));
  const [first, second] = mapPressure(w.sim);
  assert.deepEqual(first, {
    map: 'weir_ct_any_new4',
    entries: 32,
    maxEntries: 32,
    pressure: 1,
    evicted: 69,
    refused: 0,
  });
  assert.ok(second!.pressure < 1);
});

describe('established connections outlive a flood of SYNs ten times the size of the table', () => {
  const CAPACITY = 1024;
  const specs = {
    ctTcp4: { maxEntries: CAPACITY },
    ctTcp6: { maxEntries: CAPACITY },
    ctTcpNew4: { maxEntries: CAPACITY / 4 },
    ctTcpNew6: { maxEntries: CAPACITY / 4 },
    ctAny4: { maxEntries: CAPACITY / 2 },
    ctAny6: { maxEntries: CAPACITY / 2 },
    ctAnyNew4: { maxEntries: CAPACITY / 8 },
    ctAnyNew6: { maxEntries: CAPACITY / 8 },
  };
  for (const family of [4, 6] as const) {
    for (const from of ['a pod', 'outside'] as const) {
      test(`IPv${family}, from ${from}`, () => {
        const four = family === 4;
        const client = four ? A : 'fd00::1';
        const far = (n: number): string =>
          four
            ? `203.0.${(n >> 8) & 255}.${n & 255}`
            : `2001:db8::${(n >> 16).toString(16)}:${(n & 0xffff).toString(16)}`;
        const vip = four ? '172.16.0.1' : 'fd10::1';
        const pods = four ? ['10.0.3.1', '10.0.3.2'] : ['fd00::31', 'fd00::32'];
        const w = new World({ specs });
        w.enable(FEATURE.NODE_PORT);
        w.policy(3, { ingress: [] }).endpoint(client, { policyId: 3 });
        pods.forEach((pod, i) => w.endpoint(pod).backend(i + 1, pod, 8080));
        w.service(vip, 80, { backends: [1, 2], reverseNat: 5 });
        // Half of the table: a connection through a service has three entries there (the client's, the service's, the backend's).
        const count = Math.floor(CAPACITY / 6);
        const chosen: number[] = [];
        const ports = Array.from({ length: count }, (_, i) => 1000 + i);
        const request = (sourcePort: number, flags: string) =>
          w.run('FROM_CONTAINER', {
            protocol: 'tcp',
            source: client,
            destination: vip,
            sourcePort,
            destinationPort: 80,
            flags,
          });
        for (const port of ports) {
          const syn = request(port, 'S');
          chosen.push(syn.record.backendId);
          w.next('TO_CONTAINER', syn);
          const reply = {
            protocol: 'tcp',
            source: syn.destination,
            destination: client,
            sourcePort: 8080,
            destinationPort: port,
          } as const;
          w.next('TO_CONTAINER', w.run('FROM_CONTAINER', { ...reply, flags: 'SA' }));
          assert.equal(request(port, 'A').record.ctStatus, CT_STATUS.ESTABLISHED);
        }
        assert.equal(new Set(chosen).size, 2);
        // A new choice would be another backend, a new reply is denied.
        w.service(vip, 80, { backends: [2, 1], reverseNat: 5 });
        for (let i = 0; i < 10 * CAPACITY; i++) {
          const common = { protocol: 'tcp', destination: vip, destinationPort: 80, flags: 'S' } as const;
          if (from === 'a pod') w.run('FROM_CONTAINER', { ...common, source: client, sourcePort: 10_000 + i });
          else w.run('FROM_NETDEV', { ...common, source: far(i), sourcePort: 1024 + (i % 60_000) });
        }
        const evicted = w.sim.maps[four ? 'ctTcpNew4' : 'ctTcpNew6'].stats.evicted;
        assert.ok(evicted > 9 * CAPACITY, `the flood was no flood: ${evicted}`);
        ports.forEach((port, i) => {
          const next = request(port, 'A');
          assert.deepEqual(
            [next.verdict, next.record.ctStatus, next.record.backendId],
            [VERDICT.FORWARDED, CT_STATUS.ESTABLISHED, chosen[i]],
          );
          const back = w.next(
            'TO_CONTAINER',
            w.run('FROM_CONTAINER', {
              protocol: 'tcp',
              source: next.destination,
              destination: client,
              sourcePort: 8080,
              destinationPort: port,
              flags: 'A',
            }),
          );
          assert.deepEqual([back.verdict, back.record.ctStatus], [VERDICT.FORWARDED, CT_STATUS.REPLY]);
          assert.equal(back.sourcePort, 80);
        });
      });
    }
  }
});
