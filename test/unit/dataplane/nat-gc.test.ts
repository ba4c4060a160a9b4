// Translations whose connection is gone go with it, both halves in one pass; those that live stay, of every protocol and family.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { collectTranslations, ConntrackGc } from '../../../src/dataplane/index.ts';
import { ENDPOINT_FLAG, FEATURE, IDENTITY } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const NODE = '10.0.10.1';
const POD = '10.0.1.7';
const WEB = '110.0.11.1';
const NODE6 = 'fd00:a::1';
const POD6 = 'fd00:b::7';
const WEB6 = '2001:db8::1';

function masquerading(): World {
  const w = new World();
  w.enable(FEATURE.MASQUERADE_V4, FEATURE.MASQUERADE_V6).node(1, NODE).node(1, NODE6);
  w.endpoint(NODE, { identity: IDENTITY.HOST, flags: ENDPOINT_FLAG.HOST });
  return w.endpoint(POD).endpoint(POD6);
}
const leave = (w: World, packet: PacketSpec): void => {
  assert.notEqual(w.run('FROM_CONTAINER', packet).record.dropReason, 1);
  w.run('TO_NETDEV', packet);
};
const kinds: readonly (readonly [string, PacketSpec, 'nat4' | 'nat6'])[] = [
  [
    'TCP',
    { protocol: 'tcp', source: POD, destination: WEB, sourcePort: 50001, destinationPort: 80, flags: 'S' },
    'nat4',
  ],
  [
    'UDP, the pod the higher end',
    { protocol: 'udp', source: POD, destination: '9.0.0.1', sourcePort: 1, destinationPort: 53 },
    'nat4',
  ],
  ['ICMP echo', { protocol: 'icmp', source: POD, destination: WEB, type: 8, id: 77 }, 'nat4'],
  ['UDP, IPv6', { protocol: 'udp', source: POD6, destination: WEB6, sourcePort: 7, destinationPort: 53 }, 'nat6'],
];

describe('translations', () => {
  for (const [name, packet, map] of kinds) {
    test(`${name}: both halves stay while the connection lives, and go in the pass after it`, () => {
      const w = masquerading();
      leave(w, packet);
      assert.equal(w.sim.maps[map].size, 2);
      const gc = new ConntrackGc(w.sim);
      assert.equal(gc.collect(w.now + 59).translations, 0);
      assert.equal(w.sim.maps[map].size, 2);
      assert.equal(gc.collect(w.now + 61).translations, 2);
      assert.equal(w.sim.maps[map].size, 0);
      assert.deepEqual([gc.total.passes, gc.total.translations], [2, 2]);
    });
  }
  test('an expired connection that conntrack still holds keeps nothing', () => {
    const w = masquerading();
    leave(w, kinds[1]![1]);
    assert.equal(collectTranslations(w.sim, w.now + 60), 0);
    assert.equal(collectTranslations(w.sim, w.now + 61), 2);
  });
  test('one that was made a moment ago stays without a connection', () => {
    const w = masquerading();
    w.run('TO_NETDEV', kinds[0]![1]);
    assert.equal(collectTranslations(w.sim, w.now + 9), 0);
    assert.equal(collectTranslations(w.sim, w.now + 10), 2);
  });
  test('a connection that goes on keeps its port through any number of passes', () => {
    const w = masquerading();
    const packet = kinds[1]![1];
    leave(w, packet);
    const gc = new ConntrackGc(w.sim, { interval: 10 });
    const first = w.run('TO_NETDEV', packet).sourcePort;
    for (let i = 0; i < 20; i++) {
      w.now += 30;
      gc.collect(w.now);
      w.run('FROM_CONTAINER', packet);
      assert.equal(w.run('TO_NETDEV', packet).sourcePort, first);
    }
    assert.equal(gc.total.translations, 0);
  });
});
