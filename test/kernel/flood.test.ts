// A flood of SYNs against the kernel's own LRU maps: established connections keep their backend and their verdict.
// Input: connections that fill half of their table, then distinct SYNs ten times its size. Output: what the connections get.
// Whom an LRU map of the kernel gives up is its own business; that these maps are not asked for room is ours.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Meta, Packet, type StoredMapName } from '../../src/datapath/index.ts';
import { collectConntrack } from '../../src/dataplane/index.ts';
import { createXdp, kernelUnavailable, type Xdp } from '../../src/dataplane/xdp/index.ts';
import type { MapWrite } from '../../src/maps/index.ts';
import { CT_STATUS, FEATURE, HOOK, type MapSpec, VERDICT } from '../../src/schema/index.ts';
import { SMALL, World } from '../support/datapath-world.ts';
import { frame, type PacketSpec, seen } from '../support/packets.ts';
import { skipFor } from './kernel.ts';

const skip = skipFor(kernelUnavailable());
const CAPACITY = 4096;
/** Connections. */
const COUNT = Math.floor(CAPACITY / 6);
const specs = Object.fromEntries(
  [4, 6].flatMap((family) => [
    [`ctTcp${family}`, { maxEntries: CAPACITY }],
    [`ctTcpNew${family}`, { maxEntries: CAPACITY / 4 }],
    [`ctAny${family}`, { maxEntries: CAPACITY / 2 }],
    [`ctAnyNew${family}`, { maxEntries: CAPACITY / 8 }],
  ]),
);

/** What control has written into a world, as writes. */
function contentOf(w: World): MapWrite[] {
  const writes: MapWrite[] = [];
  for (const name of Object.keys(w.sim.maps) as StoredMapName[]) {
    const map = w.sim.maps[name];
    const { kind } = map.spec as MapSpec;
    if (kind === 'percpu-array' || name.startsWith('maglev')) continue;
    for (const [key, value] of map.entries()) {
      if (kind === 'array' && value.every((byte) => byte === 0)) continue;
      writes.push({ map: map.spec.name, op: 'update', key, value });
    }
  }
  return writes;
}

describe('established connections outlive a flood in the kernel', { skip }, () => {
  for (const family of [4, 6] as const) {
    describe(`IPv${family}`, () => {
      const four = family === 4;
      const client = four ? '10.0.1.1' : 'fd00::1';
      const vip = four ? '172.16.0.1' : 'fd10::1';
      const pods = four ? ['10.0.3.1', '10.0.3.2'] : ['fd00::31', 'fd00::32'];
      const packet = new Packet();
      const meta = new Meta();
      let w: World;
      let engine: Xdp;
      const run = (hook: keyof typeof HOOK, bytes: Uint8Array): Uint8Array => {
        engine.run(HOOK[hook], packet.set(bytes, 100), meta.reset());
        return packet.bytes.slice(packet.offset, packet.capturedEnd);
      };
      const send = (hook: keyof typeof HOOK, spec: PacketSpec): Uint8Array => run(hook, frame(spec));
      const request = (sourcePort: number, flags: string): Uint8Array =>
        send('FROM_CONTAINER', {
          protocol: 'tcp',
          source: client,
          destination: vip,
          sourcePort,
          destinationPort: 80,
          flags,
        });
      const reply = (pod: string, port: number, flags: string): Uint8Array => {
        const answer: PacketSpec = {
          protocol: 'tcp',
          source: pod,
          destination: client,
          sourcePort: 8080,
          destinationPort: port,
          flags,
        };
        return run('TO_CONTAINER', send('FROM_CONTAINER', answer));
      };
      before(() => {
        w = new World({ specs });
        w.enable(FEATURE.NODE_PORT);
        w.policy(3, { ingress: [] }).endpoint(client, { policyId: 3 });
        pods.forEach((pod, i) => w.endpoint(pod).backend(i + 1, pod, 8080));
        w.service(vip, 80, { backends: [1, 2], reverseNat: 5 });
        engine = createXdp({ specs: { ...SMALL, ...specs } });
        assert.equal(engine.apply(contentOf(w)).failed, undefined);
      });
      after(() => {
        engine.close();
      });
      test('none loses its backend or its verdict', () => {
        // Three entries a connection (the client's, the service's, the backend's): together half of the table.
        const ports = Array.from({ length: COUNT }, (_, i) => 1000 + i);
        const chosen = ports.map((port) => {
          const syn = request(port, 'S');
          const { backendId } = engine.decision();
          run('TO_CONTAINER', syn);
          reply(seen(syn).destination, port, 'SA');
          return backendId;
        });
        assert.equal(new Set(chosen).size, 2);
        // From now on a new choice is another one.
        w.service(vip, 80, { backends: [2, 1], reverseNat: 5 });
        assert.equal(engine.apply(contentOf(w)).failed, undefined);
        for (let i = 0; i < 10 * CAPACITY; i++) request(10_000 + i, 'S');
        for (let i = 0; i < 10 * CAPACITY; i++) {
          const source = four ? `203.0.${(i >> 8) & 255}.${i & 255}` : `2001:db8::${i.toString(16)}`;
          send('FROM_NETDEV', {
            protocol: 'tcp',
            source,
            destination: vip,
            sourcePort: 1024 + (i % 60_000),
            destinationPort: 80,
          });
        }
        const found = ports.map((port) => {
          const next = request(port, 'A');
          const there = engine.decision();
          reply(seen(next).destination, port, 'A');
          const back = engine.decision();
          return [there.verdict, there.ctStatus, there.backendId, back.verdict, back.ctStatus];
        });
        const { FORWARDED } = VERDICT;
        const wanted = chosen.map((id) => [FORWARDED, CT_STATUS.ESTABLISHED, id, FORWARDED, CT_STATUS.REPLY]);
        assert.deepEqual(found, wanted);
      });
      test('collection empties the tables of what expired', () => {
        const answered = engine.maps[four ? 'ctTcp4' : 'ctTcp6'];
        assert.equal(answered.size, 3 * COUNT);
        const first = collectConntrack(engine, 100 + 61);
        assert.ok(first.deleted > CAPACITY / 8, `${first.deleted}`);
        assert.equal(answered.size, 3 * COUNT);
        collectConntrack(engine, 100 + 8001);
        assert.equal(answered.size, 0);
      });
    });
  }
});
