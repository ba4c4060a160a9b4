// Source NAT between processors: what another one does at the worst moment is done by the program itself (fixtures/races), so
// that each case comes out the same every time. Input: a pod that is masqueraded. Output: packets as if nothing had come in
// between. Invariant: a connection has one translation, and keeps it.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { createXdp, type Xdp } from '../../src/dataplane/xdp/index.ts';
import { typedMap } from '../../src/maps/index.ts';
import { ENDPOINT_FLAG, FEATURE, HOOK, IDENTITY, MAPS, NAT_WAY, VERDICT } from '../../src/schema/index.ts';
import { SMALL, World } from '../support/datapath-world.ts';
import { frame, type PacketSpec, seen } from '../support/packets.ts';
import { compileFixture, copyMaps, skipFixture } from './kernel.ts';

const NAT_SAME = 4;
const NAT_OTHER = 5;
const HOSTS = {
  4: { node: '10.0.10.1', pod: '10.0.1.7', web: '110.0.11.1' },
  6: { node: 'fd00:a:0:0:0:0:0:1', pod: 'fd00:b:0:0:0:0:0:7', web: '2001:db8:0:0:0:0:0:1' },
} as const;
const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, { maxEntries, ...spec }]) => [
    name,
    {
      maxEntries: Math.min(maxEntries, 1024),
      ...('innerEntries' in spec ? { innerEntries: 251 } : {}),
      ...SMALL[name as keyof typeof MAPS],
    },
  ]),
);

describe('source NAT, with another processor in between', { skip: skipFixture() }, () => {
  let kernel: Xdp;
  before(() => {
    kernel = createXdp({ object: compileFixture('races'), specs });
  });
  after(() => {
    kernel.close();
  });

  for (const family of [4, 6] as const) {
    const { node, pod, web } = HOSTS[family];
    const nat = () => typedMap(MAPS[`nat${family}`] as never, kernel.maps[`nat${family}`]);
    const halves = (way: number) =>
      ([...nat()] as [{ flags: number }, { port: number }][]).filter(([key]) => key.flags === way);

    beforeEach(() => {
      const world = new World();
      world.enable(FEATURE.MASQUERADE_V4, FEATURE.MASQUERADE_V6).node(1, node);
      world.endpoint(node, { identity: IDENTITY.HOST, flags: ENDPOINT_FLAG.HOST }).endpoint(pod);
      for (const [key] of [...kernel.maps[`nat${family}`].entries()]) kernel.maps[`nat${family}`].delete(key);
      copyMaps(world.sim, kernel);
    });

    const run = (hook: keyof typeof HOOK, spec: PacketSpec, moment = 0) => {
      const packet = new Packet().set(frame(spec), 100);
      const meta = new Meta();
      meta.cb0 = moment;
      assert.equal(kernel.run(HOOK[hook], packet, meta), VERDICT.FORWARDED);
      assert.equal(kernel.runErrno, 0);
      return { ...seen(packet.bytes.slice(packet.offset, packet.capturedEnd)), interfered: meta.xdpMetadata };
    };
    const out: PacketSpec = { protocol: 'udp', source: pod, destination: web, sourcePort: 50001, destinationPort: 80 };
    const answer: PacketSpec = {
      protocol: 'udp',
      source: web,
      destination: node,
      sourcePort: 80,
      destinationPort: 50001,
    };

    test(`IPv${family}: two processors that translate a connection for the first time choose one port`, () => {
      const first = run('TO_NETDEV', out, NAT_SAME);
      assert.deepEqual([first.interfered, first.sourcePort], [1, 50001]);
      assert.deepEqual([halves(NAT_WAY.OUT).length, halves(NAT_WAY.BACK).length], [1, 1]);
    });

    test(`IPv${family}: two that make the lost half of the answers again keep the port`, () => {
      // The pod has the node's port while the node's own connection begins, so that it gets another.
      run('TO_NETDEV', out);
      const own = { ...out, source: node };
      const { sourcePort } = run('TO_NETDEV', own);
      assert.notEqual(sourcePort, 50001);
      for (const [key] of halves(NAT_WAY.BACK)) nat().delete(key as never);
      const again = run('TO_NETDEV', own, NAT_SAME);
      assert.deepEqual([again.interfered, again.sourcePort], [1, sourcePort]);
      assert.equal(halves(NAT_WAY.BACK).length, 1);
    });

    test(`IPv${family}: an answer does not undo the half that another processor has just made`, () => {
      run('TO_NETDEV', out);
      for (const [key] of halves(NAT_WAY.OUT)) nat().delete(key as never);
      const back = run('FROM_NETDEV', answer, NAT_OTHER);
      assert.deepEqual([back.interfered, back.destinationPort], [1, 50001]);
      assert.deepEqual(
        halves(NAT_WAY.OUT).map(([, { port }]) => port),
        [50000],
      );
    });
  }
});
