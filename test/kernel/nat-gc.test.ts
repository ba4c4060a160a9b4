// Garbage collection of translations on the kernel's own maps: what it takes there is what it takes in the simulator. Input: pods that
// leave the node by masquerading, in both engines. Output: entries of the NAT maps, pass by pass.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConntrackGc, Meta, Packet } from '../../src/dataplane/index.ts';
import { createXdp } from '../../src/dataplane/xdp/index.ts';
import { ENDPOINT_FLAG, FEATURE, HOOK, IDENTITY } from '../../src/schema/index.ts';
import { World } from '../support/datapath-world.ts';
import { frame, type PacketSpec } from '../support/packets.ts';
import { SIZES } from '../support/differential/world.ts';
import { copyMaps, skipMaps } from './kernel.ts';

const NODE = '10.0.10.1';
const NODE6 = 'fd00:a::1';
const udp = (source: string, destination: string, sourcePort: number): PacketSpec => ({
  protocol: 'udp',
  source,
  destination,
  sourcePort,
  destinationPort: 53,
});

test('expired translations go from the kernel’s maps, both halves, and no others', { skip: skipMaps() }, () => {
  const w = new World({ specs: SIZES });
  w.enable(FEATURE.MASQUERADE_V4, FEATURE.MASQUERADE_V6).node(1, NODE).node(1, NODE6);
  w.endpoint(NODE, { identity: IDENTITY.HOST, flags: ENDPOINT_FLAG.HOST }).endpoint('10.0.1.7').endpoint('fd00:b::7');
  const engine = createXdp({ specs: SIZES });
  try {
    copyMaps(w.sim, engine);
    const meta = new Meta();
    const leave = (packet: PacketSpec, now: number): void => {
      w.now = now;
      w.run('FROM_CONTAINER', packet);
      w.run('TO_NETDEV', packet);
      for (const hook of [HOOK.FROM_CONTAINER, HOOK.TO_NETDEV])
        engine.run(hook, new Packet().set(frame(packet), now), meta.reset());
    };
    for (let i = 0; i < 40; i++) {
      leave(udp('10.0.1.7', `110.0.11.${1 + i}`, 5000 + i), 100);
      leave(udp('fd00:b::7', `2001:db8::${1 + i}`, 5000 + i), 100);
    }
    // Some go on.
    for (let i = 0; i < 10; i++) leave(udp('10.0.1.7', `110.0.11.${1 + i}`, 5000 + i), 150);
    const sizes = ({ maps }: Pick<typeof engine, 'maps'>): number[] => [maps.nat4.size, maps.nat6.size];
    assert.deepEqual(sizes(engine), [80, 80]);
    const passes = [w.sim, engine].map((of) => new ConntrackGc(of));
    for (const [now, left, translations] of [
      [160, [80, 80], 0],
      [161, [20, 0], 140],
      [210, [20, 0], 0],
      [211, [0, 0], 20],
    ] as const) {
      const [sim, kernel] = passes.map((gc) => gc.collect(now));
      assert.equal(kernel?.translations, translations, `at ${now}`);
      assert.equal(kernel?.deleted, sim?.deleted);
      assert.deepEqual([sizes(engine), sizes(w.sim)], [left, left]);
    }
  } finally {
    engine.close();
  }
});
