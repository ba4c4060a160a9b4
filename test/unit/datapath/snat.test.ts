// Source NAT: clients whose backend is on another node, and the way back. Vectors are Cilium's tests' (bpf/tests/xdp_nodeport_*,
// tc_nodeport_lb4_nat_*), which translate at XDP: here the device's hook does, with the same bytes.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ACTION, CT_KEY, DROP, FEATURE, METRIC, RECORD_FLAG, STAGE, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, type PacketSpec, plainAddress } from '../../support/packets.ts';

const CLIENT = '110.0.11.1';
const NODE = '10.0.10.1';
const POD = '192.168.0.1';
const REMOTE = '192.168.0.2';
const V2 = '172.16.10.2';
const ROUTER_MAC = Uint8Array.of(2, 0, 0, 0, 1, 1);
const OWN_MAC = Uint8Array.of(2, 0, 0, 0, 1, 2);

const be32 = (text: string): number => addressBytes(text).reduce((n, b) => n * 256 + b, 0);

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.NODE_PORT).node(1, NODE);
  w.endpoint(NODE, { identity: 1, flags: 1, ifindex: 2 });
  w.endpoint(POD, { ifindex: 25 }).backend(1, POD, 8080).backend(2, REMOTE, 8080);
});

/** A default route by interface 3, and whoever is to be reached there. */
function routed(): void {
  w.map('routes4').set(
    { prefixLength: 0, address: 0 },
    { ifindex: 3, mtu: 1500, flags: 1, gateway: Uint8Array.of(10, 0, 10, 254, ...new Uint8Array(12)) },
  );
  w.map('neighbours4').set({ ifindex: 3, address: be32('10.0.10.254') }, { destination: ROUTER_MAC, source: OWN_MAC });
}

const request = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: CLIENT,
  destination: V2,
  sourcePort: 111,
  destinationPort: 80,
  ...more,
});
/** The answer to what a run gave. */
const answerTo = (sent: Result, more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: sent.protocol,
  source: sent.destination,
  destination: sent.source,
  sourcePort: sent.destinationPort,
  destinationPort: sent.sourcePort,
  ...more,
});
const send = (more: Partial<PacketSpec> = {}): Result => w.run('FROM_NETDEV', request(more));
const collisions = (): number =>
  Number(w.sim.metrics().find(({ reason }) => reason === METRIC.NAT_COLLISION)?.packets ?? 0n);
const restored = (): number =>
  w.sim
    .metrics()
    .filter(({ reason }) => reason === METRIC.NAT_RESTORED)
    .reduce((sum, { packets }) => sum + Number(packets), 0);

describe('vectors', () => {
  test('3: to a remote backend: the node’s address, a port of the range, one hop taken, checksums as in Cilium', () => {
    routed();
    w.service(V2, 80, { backends: [2] });
    const result = send();
    assert.deepEqual([result.verdict, result.record.action, result.record.outIfindex], [VERDICT.FORWARDED, 2, 3]);
    assert.deepEqual([result.source, result.destination, result.destinationPort], [NODE, REMOTE, 8080]);
    assert.ok(result.sourcePort !== 111 && result.sourcePort >= 32768);
    assert.deepEqual([result.ttl, result.ipChecksum], [63, 0xa711]);
    assert.deepEqual([result.destinationMac, result.sourceMac], ['02:00:00:00:01:01', '02:00:00:00:01:02']);
    assert.ok(result.checksumsRight);
    assert.equal(result.record.flags & (RECORD_FLAG.SNAT | RECORD_FLAG.DNAT), RECORD_FLAG.SNAT | RECORD_FLAG.DNAT);
  });
  test('4: its answer: from the frontend to the client, checksums as in Cilium', () => {
    routed();
    w.service(V2, 80, { backends: [2] });
    const result = w.run('FROM_NETDEV', answerTo(send()));
    assert.deepEqual([result.source, result.sourcePort], [V2, 80]);
    assert.deepEqual([result.destination, result.destinationPort], [CLIENT, 111]);
    assert.deepEqual([result.ttl, result.ipChecksum, result.l4Checksum], [63, 0x4ca9, 0x6148]);
    assert.deepEqual([result.record.action, result.record.outIfindex], [ACTION.REDIRECT, 3]);
  });
  test('5: without a neighbour the stack resolves it: the same bytes but for the hop that the stack takes', () => {
    w.service(V2, 80, { backends: [2] });
    const result = w.run('FROM_NETDEV', answerTo(send()));
    assert.deepEqual([result.source, result.destination, result.l4Checksum], [V2, CLIENT, 0x6148]);
    assert.deepEqual([result.record.action, result.ttl], [ACTION.STACK, 64]);
  });
});

describe('remote backends', () => {
  for (const protocol of ['tcp', 'udp'] as const) {
    test(`${protocol}: there and back, both halves and the node’s connection kept`, () => {
      w.service(V2, 80, { backends: [2], protocol });
      const there = send({ protocol });
      assert.deepEqual([there.source, there.destination], [NODE, REMOTE]);
      const back = w.run('FROM_NETDEV', answerTo(there));
      assert.deepEqual([back.source, back.sourcePort, back.destination], [V2, 80, CLIENT]);
      assert.ok(back.checksumsRight);
      assert.equal(w.sim.maps.nat4.size, 2);
      const map = protocol === 'tcp' ? 'ctTcp4' : 'ctAny4';
      assert.ok(w.connection(map, CT_KEY.NODE));
      const again = send({ protocol, flags: 'A' });
      assert.equal(again.sourcePort, there.sourcePort);
      assert.equal(w.sim.maps.nat4.size, 2);
    });
  }
  test('the mark tells to-netdev that it is done', () => {
    w.service(V2, 80, { backends: [2] });
    const there = send();
    assert.equal(w.meta.mark & 0xf00, 0x300);
    const out = w.next('TO_NETDEV', there);
    assert.deepEqual([out.source, out.sourcePort], [there.source, there.sourcePort]);
  });
  test('IPv6: there and back', () => {
    const [client, node, front, remote] = ['2001:db8::1', 'fd00:a::1', 'fd00:10::1', 'fd00:b::2'];
    w.node(1, node)
      .backend(7, remote, 8080)
      .service(front, 80, { backends: [7] });
    w.endpoint(node, { identity: 1, flags: 1 });
    const there = send({ source: client, destination: front });
    assert.deepEqual([there.source, there.destination], [plainAddress(node), plainAddress(remote)]);
    assert.ok(there.checksumsRight);
    const back = w.run('FROM_NETDEV', answerTo(there));
    assert.deepEqual([back.source, back.sourcePort, back.destination], [plainAddress(front), 80, plainAddress(client)]);
    assert.ok(back.checksumsRight);
  });
  test('a port of the range is kept when it is free; two clients never share one', () => {
    w.service(V2, 80, { backends: [2] });
    assert.equal(send({ sourcePort: 40000 }).sourcePort, 40000);
    const other = send({ sourcePort: 40000, source: '110.0.11.2' });
    assert.notEqual(other.sourcePort, 40000);
    assert.equal(collisions(), 1);
    assert.equal(w.run('FROM_NETDEV', answerTo(other)).destination, '110.0.11.2');
  });
  test('every port taken: 167 after 32 attempts, each counted', () => {
    w.configure({ natPortFirst: 40000, natPortLast: 40001 }).service(V2, 80, { backends: [2] });
    for (const [i, sourcePort] of [40000, 40001].entries()) assert.equal(send({ sourcePort }).sourcePort, 40000 + i);
    const refused = send({ sourcePort: 7 });
    assert.deepEqual([refused.record.dropReason, refused.record.stage], [DROP.NAT_NO_MAPPING, STAGE.NAT]);
    assert.equal(collisions(), 32);
    assert.equal(w.sim.context.probesNat, 33);
  });
  test('SCTP keeps its port, or is dropped: its checksum covers the ports', () => {
    w.service(V2, 80, { backends: [2], protocol: 'sctp' });
    w.backend(2, REMOTE, 80);
    assert.equal(send({ protocol: 'sctp', sourcePort: 40000 }).sourcePort, 40000);
    assert.equal(send({ protocol: 'sctp', sourcePort: 7 }).record.dropReason, DROP.CSUM_L4);
    const taken = send({ protocol: 'sctp', sourcePort: 40000, source: '110.0.11.2' });
    assert.equal(taken.record.dropReason, DROP.CSUM_L4);
  });
  test('one half evicted: made again from the other, in either direction', () => {
    w.service(V2, 80, { backends: [2] });
    const there = send();
    for (const way of [0, 1]) {
      const map = w.map('nat4');
      for (const [key] of [...map]) if (key.flags === way) map.delete(key);
      const back = (): Result => w.run('FROM_NETDEV', answerTo(there, { flags: 'A' }));
      if (way === 0) assert.equal(back().destination, CLIENT);
      else assert.equal(send({ flags: 'A' }).sourcePort, there.sourcePort);
      assert.equal(w.sim.maps.nat4.size, 2);
      assert.equal(back().destination, CLIENT);
    }
    assert.equal(restored(), 2);
  });
  test('a half whose port somebody else has by now is given up, and its answers go to the new owner alone', () => {
    w.configure({ natPortFirst: 40000, natPortLast: 49999 }).service(V2, 80, { backends: [2] });
    const first = send({ sourcePort: 40000 });
    const map = w.map('nat4');
    for (const [key] of [...map]) if (key.flags === 1) map.delete(key);
    const second = send({ sourcePort: 40000, source: '110.0.11.2' });
    assert.equal(second.sourcePort, 40000);
    const again = send({ sourcePort: 40000, flags: 'A' });
    assert.notEqual(again.sourcePort, first.sourcePort);
    assert.equal(w.run('FROM_NETDEV', answerTo(second)).destination, '110.0.11.2');
    assert.equal(w.run('FROM_NETDEV', answerTo(again)).destination, CLIENT);
  });
  test('an answer whose connection was lost is still translated back: the translation knows its frontend', () => {
    w.service(V2, 80, { backends: [2] });
    const there = send();
    for (const name of ['ctTcp4', 'ctTcpNew4'] as const) for (const [key] of w.entries(name)) w.map(name).delete(key);
    const back = w.run('FROM_NETDEV', answerTo(there));
    assert.deepEqual([back.source, back.sourcePort, back.destination], [V2, 80, CLIENT]);
  });
  test('a probe changes nothing', () => {
    w.service(V2, 80, { backends: [2] });
    const before = w.snapshot();
    assert.equal(w.run('FROM_NETDEV', request(), { flags: 2 }).source, NODE);
    assert.equal(w.snapshot(), before);
  });
  test('what cannot be an answer is not looked up', () => {
    w.run('FROM_NETDEV', request({ destination: NODE, destinationPort: 22 }));
    assert.equal(w.sim.context.probesNat, 0);
    w.run('FROM_NETDEV', request({ destination: POD, destinationPort: 40000 }));
    assert.equal(w.sim.context.probesNat, 0);
    w.run('FROM_NETDEV', request({ destination: NODE, destinationPort: 40000 }));
    assert.equal(w.sim.context.probesNat, 1);
  });
});
