// Where packets that may pass go: endpoints, routes, the stack; hops and MACs. Input: one pod, some routes.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ACTION, DROP, ENDPOINT_FLAG, FEATURE, STAGE, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, frame, type PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const FAR = '192.0.2.7';

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(A).endpoint('fd00::1');
});
const send = (destination: string, more: Partial<PacketSpec> = {}): Result =>
  w.run('FROM_CONTAINER', {
    protocol: 'udp',
    source: destination.includes(':') ? 'fd00::1' : A,
    destination,
    sourcePort: 1,
    destinationPort: 2,
    ...more,
  });

describe('to an endpoint', () => {
  test('one hop is taken, the header checksum adjusted', () => {
    w.endpoint(B, { ifindex: 12 });
    const result = send(B);
    assert.deepEqual([result.record.action, result.record.outIfindex, result.ttl], [ACTION.LOCAL, 12, 63]);
    assert.ok(result.checksumsRight);
  });
  test('IPv6 has a hop limit', () => {
    w.endpoint('fd00::2');
    assert.equal(send('fd00::2').ttl, 63);
  });
  test('no hop left: 196', () => {
    w.endpoint(B).endpoint('fd00::2');
    for (const to of [B, 'fd00::2']) {
      for (const ttl of [0, 1]) {
        const result = send(to, { ttl });
        assert.deepEqual([result.record.dropReason, result.record.stage], [DROP.TTL_EXCEEDED, STAGE.FORWARD]);
      }
      assert.equal(send(to, { ttl: 2 }).verdict, VERDICT.FORWARDED);
    }
  });
  test('MACs are written where the endpoint has any', () => {
    w.endpoint(B);
    assert.equal(send(B).destinationMac, '02:00:00:00:00:02');
    w.endpoint(B, { mac: Uint8Array.of(2, 1, 2, 3, 4, 5), nodeMac: Uint8Array.of(2, 9, 8, 7, 6, 5) });
    const result = send(B);
    assert.deepEqual([result.destinationMac, result.sourceMac], ['02:01:02:03:04:05', '02:09:08:07:06:05']);
    w.endpoint(B, { mac: Uint8Array.of(2, 1, 2, 3, 4, 5) });
    assert.equal(send(B).sourceMac, '02:00:00:00:00:01');
  });
  test('a packet without a link header is not written before its IP header', () => {
    w.endpoint(B, { mac: Uint8Array.of(2, 1, 2, 3, 4, 5) });
    const bytes = frame({ protocol: 'udp', source: A, destination: B, sourcePort: 1, destinationPort: 2 });
    const before = bytes.slice(0, 14);
    w.sim.run(5, w.packet.view(bytes, 14, bytes.length, bytes.length, 101, 0, 0), w.meta.reset());
    assert.equal(w.sim.decision().verdict, VERDICT.FORWARDED);
    assert.deepEqual(bytes.slice(0, 14), before);
    assert.equal(bytes[14], 0x45);
  });
  test('the host’s own address → the stack, no hop taken', () => {
    w.endpoint(B, { flags: ENDPOINT_FLAG.HOST });
    assert.deepEqual([send(B).record.action, send(B).ttl], [ACTION.STACK, 64]);
  });
});

describe('by route', () => {
  const route = (more: Partial<{ mtu: number; flags: number; gateway: string; ifindex: number }> = {}): void => {
    const gateway = new Uint8Array(16);
    if (more.gateway !== undefined) gateway.set(addressBytes(more.gateway));
    const value = { ifindex: more.ifindex ?? 3, mtu: more.mtu ?? 0, flags: more.flags ?? 0, gateway };
    w.map('routes4').set({ prefixLength: 24, address: 0xc0000200 }, value);
  };
  const neighbour = (address: number): void => {
    const macs = { destination: Uint8Array.of(2, 1, 1, 1, 1, 1), source: Uint8Array.of(2, 2, 2, 2, 2, 2) };
    w.map('neighbours4').set({ ifindex: 3, address }, macs);
  };
  test('no routes at all → the stack, without a lookup', () => {
    assert.equal(send(FAR).record.action, ACTION.STACK);
    assert.equal(w.sim.context.probesRoute, 0);
  });
  test('a gateway that is known: redirect, MACs, one hop taken', () => {
    route({ gateway: '10.0.0.254' });
    neighbour(0x0a0000fe);
    const result = send(FAR);
    assert.deepEqual([result.record.action, result.record.outIfindex, result.ttl], [ACTION.REDIRECT, 3, 63]);
    assert.deepEqual([result.destinationMac, result.sourceMac], ['02:01:01:01:01:01', '02:02:02:02:02:02']);
    assert.ok(result.checksumsRight);
    assert.ok(w.sim.context.probesRoute <= 2);
  });
  test('on link the next hop is the destination', () => {
    route();
    neighbour(0xc0000207);
    assert.equal(send(FAR).record.action, ACTION.REDIRECT);
  });
  test('no route, no neighbour, a local or tunnel route, or too big for it → the stack, unchanged', () => {
    route({ gateway: '10.0.0.254' });
    assert.equal(send('198.51.100.1').record.action, ACTION.STACK);
    assert.deepEqual([send(FAR).record.action, send(FAR).ttl], [ACTION.STACK, 64]);
    neighbour(0x0a0000fe);
    for (const flags of [2, 4]) {
      route({ gateway: '10.0.0.254', flags });
      assert.equal(send(FAR).record.action, ACTION.STACK);
    }
    route({ gateway: '10.0.0.254', mtu: 47 });
    assert.equal(send(FAR).record.action, ACTION.STACK);
    route({ gateway: '10.0.0.254', mtu: 48 });
    assert.equal(send(FAR).record.action, ACTION.REDIRECT);
  });
  test('of a GSO packet the segments count, not the whole', () => {
    route({ gateway: '10.0.0.254', mtu: 1500 });
    neighbour(0x0a0000fe);
    const big = frame({
      protocol: 'udp',
      source: A,
      destination: FAR,
      sourcePort: 1,
      destinationPort: 2,
      payload: new Uint8Array(9000),
    });
    assert.equal(w.runBytes('FROM_CONTAINER', big).record.action, ACTION.STACK);
    assert.equal(w.runBytes('FROM_CONTAINER', big, { gsoSize: 1400 }).record.action, ACTION.REDIRECT);
    assert.equal(w.runBytes('FROM_CONTAINER', big, { gsoSize: 1473 }).record.action, ACTION.STACK);
  });
  test('IPv6', () => {
    const gateway = addressBytes('fe80::1');
    w.map('routes6').set({ prefixLength: 0, address: new Uint8Array(16) }, { ifindex: 3, mtu: 0, flags: 0, gateway });
    assert.equal(send('2001:db8::1').record.action, ACTION.STACK);
    const macs = { destination: Uint8Array.of(2, 1, 1, 1, 1, 1), source: Uint8Array.of(2, 2, 2, 2, 2, 2) };
    w.map('neighbours6').set({ ifindex: 3, address: gateway }, macs);
    const result = send('2001:db8::1');
    assert.deepEqual([result.record.action, result.ttl], [ACTION.REDIRECT, 63]);
  });
});

describe('VLAN filter', () => {
  const tagged = (...vlan: number[]) =>
    w.run('FROM_NETDEV', { protocol: 'udp', source: FAR, destination: A, sourcePort: 1, destinationPort: 2, vlan });
  test('off: every tagged frame is the stack’s', () => {
    assert.equal(tagged(7).record.action, ACTION.STACK);
  });
  test('on: listed VLANs pass untouched, others are dropped (182); a priority tag is none, and the stack’s', () => {
    w.enable(FEATURE.VLAN_FILTER);
    w.map('vlans').set({ id: 7 }, { present: 1 });
    const passed = tagged(7);
    assert.deepEqual([passed.verdict, passed.record.action, passed.ttl], [VERDICT.FORWARDED, ACTION.STACK, passed.ttl]);
    assert.equal(tagged(7, 9).record.action, ACTION.STACK);
    for (const ids of [[8], [9, 7], [4094]]) {
      assert.deepEqual(
        [tagged(...ids).record.dropReason, tagged(...ids).record.stage],
        [DROP.VLAN_FILTERED, STAGE.PARSE],
      );
    }
    assert.equal(tagged(0).record.action, ACTION.STACK);
    assert.equal(tagged(0xe000).record.action, ACTION.STACK);
    assert.equal(tagged(0xe007).record.action, ACTION.STACK);
    assert.equal(tagged().record.action, ACTION.LOCAL);
  });
  test('what would not parse passes a listed VLAN, too', () => {
    w.enable(FEATURE.VLAN_FILTER);
    w.map('vlans').set({ id: 7 }, { present: 1 });
    const bytes = frame({ protocol: 'udp', source: FAR, destination: A, vlan: [7] });
    bytes[18] = 0x15;
    const result = w.runBytes('FROM_NETDEV', bytes);
    assert.deepEqual(
      [result.verdict, result.record.dropReason, result.record.action],
      [VERDICT.FORWARDED, 0, ACTION.STACK],
    );
  });
});
