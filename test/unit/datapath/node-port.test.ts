// North–south: frontends reachable from outside, at XDP and at the device, and the way back. Vectors are Cilium's tests'
// (bpf/tests/tc_nodeport_*, xdp_nodeport_*): client 110.0.11.1:111, pod 192.168.0.1:8080, services 172.16.10.x:80.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  CT_FLAG,
  CT_KEY,
  CT_STATUS,
  DIRECTION,
  DROP,
  ENDPOINT_FLAG,
  FEATURE,
  META_FLAG,
  RECORD_FLAG,
  SERVICE_FLAG,
  STAGE,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, type PacketSpec } from '../../support/packets.ts';

const CLIENT = '110.0.11.1';
const POD = '192.168.0.1';
const REMOTE_POD = '192.168.0.2';
const V1 = '172.16.10.1';
const V2 = '172.16.10.2';
const V3 = '172.16.10.3';
const { ROUTABLE, EXT_LOCAL, SOURCE_RANGE, DENY_OR_QUARANTINED, HOST_PORT } = SERVICE_FLAG;

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.NODE_PORT);
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
  const nodeMac = Uint8Array.of(2, 0, 0, 0, 0, 8);
  w.endpoint(POD, { ifindex: 25, mac, nodeMac }).backend(1, POD, 8080).backend(2, REMOTE_POD, 8080);
});

const request = (destination = V1, more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: CLIENT,
  destination,
  sourcePort: 111,
  destinationPort: 80,
  ...more,
});
const answer: PacketSpec = {
  protocol: 'tcp',
  source: POD,
  destination: CLIENT,
  sourcePort: 8080,
  destinationPort: 111,
  flags: 'SA',
};
const fromNetdev = (more: Partial<PacketSpec> = {}): Result => w.run('FROM_NETDEV', request(V1, more));

describe('vectors', () => {
  test('1: at XDP to a local pod: the stack’s, unchanged, without metadata: the device’s hook translates', () => {
    w.service(V1, 80, { backends: [1] });
    const result = w.run('XDP', request());
    assert.deepEqual([result.verdict, result.record.action], [VERDICT.FORWARDED, ACTION.STACK]);
    assert.deepEqual([result.destination, result.destinationPort, w.meta.xdpMetadata], [V1, 80, 0]);
    const next = w.next('FROM_NETDEV', result);
    assert.deepEqual([next.destination, next.destinationPort, next.l4Checksum], [POD, 8080, 0x3771]);
  });
  test('2: at XDP a frontend for local backends only passes unchanged, without metadata', () => {
    w.service(V3, 80, { backends: [2], flags: ROUTABLE | EXT_LOCAL });
    const result = w.run('XDP', request(V3));
    assert.deepEqual([result.verdict, result.record.action, w.meta.xdpMetadata], [VERDICT.FORWARDED, ACTION.STACK, 0]);
    assert.equal(result.destination, V3);
  });
  test('6: at the device to a local pod: redirect 25, MACs, one hop taken, checksums as in Cilium', () => {
    w.service(V1, 80, { backends: [1] });
    const result = fromNetdev();
    assert.deepEqual([result.record.action, result.record.outIfindex], [ACTION.LOCAL, 25]);
    assert.deepEqual([result.destinationMac, result.sourceMac], ['02:00:00:00:00:09', '02:00:00:00:00:08']);
    assert.deepEqual([result.ttl, result.ipChecksum, result.l4Checksum], [63, 0x4212, 0x3771]);
    assert.deepEqual([...result.record.destinationMac], [2, 0, 0, 0, 0, 9]);
    assert.deepEqual([...result.record.sourceMac], [2, 0, 0, 0, 0, 8]);
  });
  test('7: the answer at the device: source V1:80, checksum as in Cilium', () => {
    w.service(V1, 80, { backends: [1] });
    fromNetdev();
    const result = w.run('TO_NETDEV', { ...answer, flags: 'S' });
    assert.deepEqual([result.source, result.sourcePort, result.ipChecksum], [V1, 80, 0x4baa]);
    assert.ok(result.checksumsRight);
    assert.equal(result.record.ctStatus, CT_STATUS.REPLY);
  });
  test('14: another port, or another protocol, of an address with a wildcard: dropped, unchanged', () => {
    w.service(V2, 443, { backends: [1] });
    w.wildcard(V2);
    for (const other of [{ destinationPort: 444 }, { destinationPort: 443, protocol: 'udp' as const }]) {
      const result = w.run('FROM_NETDEV', request(V2, { sourcePort: 22330, ...other }));
      assert.equal(result.record.dropReason, DROP.NO_SERVICE);
      assert.equal(result.destination, V2);
    }
  });
  test('15: affinity beats the algorithm (the remembered backend is local here)', () => {
    w.endpoint('10.0.3.1').backend(42, '10.0.3.1', 8080);
    const reverseNat = w.service(V1, 80, { backends: [1, 42], affinitySeconds: 100, algorithm: 3 });
    w.map('affinity4').set(
      { client: [new DataView(addressBytes(CLIENT).buffer).getUint32(0, true), 0], reverseNat, isCookie: 0 },
      { lastUsed: w.now, backendId: 42 },
    );
    const result = fromNetdev({ sourcePort: 23445 });
    assert.deepEqual([result.destination, result.destinationPort], ['10.0.3.1', 8080]);
  });
  test('16: UDP twice, the second with count 0 and the backend terminating: both to the pod', () => {
    w.service(V1, 80, { backends: [1], protocol: 'udp', reverseNat: 4 });
    const first = fromNetdev({ protocol: 'udp' });
    w.backend(1, POD, 8080, 2);
    w.service(V1, 80, { backends: [], protocol: 'udp', reverseNat: 4 });
    const second = fromNetdev({ protocol: 'udp' });
    for (const result of [first, second]) {
      assert.deepEqual([result.destination, result.destinationPort, result.record.outIfindex], [POD, 8080, 25]);
      assert.deepEqual([result.ipChecksum, result.l4Checksum], [0x4213, 0x699a]);
    }
  });
  test('18: two TCP fragments are translated alike; both counted as fragments of the service lookup', () => {
    w.backend(3, POD, 22331).service(V1, 80, { backends: [3] });
    const fragments = { id: 256, sourcePort: 22330, payload: new Uint8Array(12) };
    const first = fromNetdev({ ...fragments, fragment: { id: 256, offset: 0, more: true } });
    const second = fromNetdev({ ...fragments, fragment: { id: 256, offset: 32, more: false } });
    assert.deepEqual([first.destination, first.destinationPort], [POD, 22331]);
    assert.equal(second.destination, POD);
    const metric = w.sim.metrics().find((m) => m.reason === 9)!;
    assert.deepEqual([metric.direction, metric.packets], [DIRECTION.SERVICE, 2n]);
    const entry = w.connection('ctTcpNew4', CT_KEY.SERVICE | CT_KEY.NODE);
    assert.ok(entry);
  });
});

describe('refusals', () => {
  test('without FEATURE.NODE_PORT no frontend is looked up', () => {
    w.disable(FEATURE.NODE_PORT).service(V1, 80, { backends: [1] });
    assert.deepEqual([fromNetdev().destination, fromNetdev().record.action], [V1, ACTION.STACK]);
  });
  test('a frontend that is not routable is a ClusterIP: 174', () => {
    w.service(V1, 80, { backends: [1], flags: 0 });
    assert.equal(fromNetdev().record.dropReason, DROP.IS_CLUSTER_IP);
  });
  test('source ranges: outside 177, inside passes; deny ranges the other way round', () => {
    const reverseNat = w.service(V1, 80, { backends: [1], flags: ROUTABLE | SOURCE_RANGE });
    assert.equal(fromNetdev().record.dropReason, DROP.NOT_IN_SOURCE_RANGE);
    w.map('sourceRange4').set({ prefixLength: 32 + 8, reverseNat, address: 0x6e000000 }, { present: 1 });
    assert.equal(fromNetdev().verdict, VERDICT.FORWARDED);
    w.service(V1, 80, { backends: [1], flags: ROUTABLE | SOURCE_RANGE | DENY_OR_QUARANTINED, reverseNat });
    assert.equal(fromNetdev({ sourcePort: 5 }).record.dropReason, DROP.NOT_IN_SOURCE_RANGE);
    assert.equal(fromNetdev({ sourcePort: 5, source: '111.0.0.1' }).verdict, VERDICT.FORWARDED);
  });
  test('source ranges come before routability, and only count with their flag', () => {
    const reverseNat = w.service(V1, 80, { backends: [1], flags: SOURCE_RANGE });
    assert.equal(fromNetdev().record.dropReason, DROP.NOT_IN_SOURCE_RANGE);
    w.service(V1, 80, { backends: [1], reverseNat });
    assert.equal(fromNetdev().verdict, VERDICT.FORWARDED);
  });
  test('nothing behind the frontend: 158', () => {
    w.service(V1, 80);
    assert.equal(fromNetdev().record.dropReason, DROP.NO_SERVICE);
  });
  test('a backend elsewhere needs source NAT; without an address of the node: dropped (191), never forwarded untranslated', () => {
    w.service(V1, 80, { backends: [2] });
    const result = fromNetdev();
    assert.deepEqual([result.record.dropReason, result.record.stage], [DROP.SNAT_NO_MAP_FOUND, STAGE.NAT]);
    assert.equal(result.destination, V1);
  });
  test('a HostPort whose backend is elsewhere: 134', () => {
    w.service(V1, 80, { backends: [2], flags: ROUTABLE | HOST_PORT });
    assert.equal(fromNetdev().record.dropReason, DROP.INVALID);
  });
  test('what XDP, or the caller, has looked up is not looked up again', () => {
    w.service(V1, 80, { backends: [1] });
    const delivered = w.run('FROM_NETDEV', request(POD), { xdpMetadata: 1 });
    assert.deepEqual([delivered.record.action, delivered.ttl], [ACTION.LOCAL, 63]);
    assert.equal(w.sim.context.probesService, 0);
    assert.equal(w.run('FROM_NETDEV', request(), { flags: META_FLAG.SKIP_SERVICE }).destination, V1);
  });
});

describe('delivery without a service', () => {
  test('to a local pod: one hop taken, its to-container is next', () => {
    const result = w.run('FROM_NETDEV', request(POD));
    assert.deepEqual([result.record.action, result.ttl, result.record.ctStatus], [ACTION.LOCAL, 63, CT_STATUS.NONE]);
  });
  test('to anybody else, the host included: the stack', () => {
    assert.equal(w.run('FROM_NETDEV', request('192.0.2.7')).record.action, ACTION.STACK);
    w.endpoint('10.9.9.9', { flags: ENDPOINT_FLAG.HOST });
    const host = w.run('FROM_NETDEV', request('10.9.9.9'));
    assert.deepEqual([host.record.action, host.ttl], [ACTION.STACK, 64]);
  });
});

describe('the whole way and back', () => {
  const there = (more: Partial<PacketSpec> = {}): Result => w.next('TO_CONTAINER', fromNetdev(more));

  test('the pod’s entry remembers the frontend, and the pod’s own hook translates back', () => {
    const reverseNat = w.service(V1, 80, { backends: [1] });
    const delivered = there();
    assert.equal(delivered.verdict, VERDICT.FORWARDED);
    const pod = w.connection('ctTcpNew4')!;
    assert.equal(pod.flags & (CT_FLAG.NODE_PORT | CT_FLAG.INBOUND), CT_FLAG.NODE_PORT | CT_FLAG.INBOUND);
    assert.equal(pod.reverseNat, reverseNat);
    const back = w.run('FROM_CONTAINER', answer);
    assert.deepEqual([back.source, back.sourcePort, back.record.action], [V1, 80, ACTION.STACK]);
    assert.ok(back.checksumsRight);
    assert.equal(back.record.flags & RECORD_FLAG.REVERSE_NAT, RECORD_FLAG.REVERSE_NAT);
    // Nothing is left for the device's hook to do.
    const left = w.next('TO_NETDEV', back);
    assert.deepEqual([left.source, left.record.flags & RECORD_FLAG.REVERSE_NAT], [V1, 0]);
  });
  test('the first answer moves the node’s entries, too', () => {
    w.service(V1, 80, { backends: [1] });
    there();
    for (const flags of [0, CT_KEY.NODE, CT_KEY.NODE | CT_KEY.SERVICE]) assert.ok(w.connection('ctTcpNew4', flags));
    w.run('FROM_CONTAINER', answer);
    for (const flags of [0, CT_KEY.NODE, CT_KEY.NODE | CT_KEY.SERVICE]) {
      assert.ok(w.connection('ctTcp4', flags), `${flags}`);
    }
    assert.equal(w.sim.maps.ctTcpNew4.size, 0);
    const more = there({ flags: 'A' });
    assert.equal(more.record.ctStatus, CT_STATUS.ESTABLISHED);
  });
  test('a pod that lost its entry midway still finds the node’s answered one', () => {
    w.service(V1, 80, { backends: [1] });
    there();
    w.run('FROM_CONTAINER', answer);
    for (const [key] of w.entries('ctTcp4')) {
      if ((key.flags & (CT_KEY.NODE | CT_KEY.SERVICE)) === 0) w.map('ctTcp4').delete(key);
    }
    assert.equal(there({ flags: 'A' }).record.ctStatus, CT_STATUS.NEW);
    assert.equal(w.run('FROM_CONTAINER', answer).source, V1);
  });
  test('a direct connection to the pod is no node port’s', () => {
    w.service(V1, 80, { backends: [1] });
    w.next('TO_CONTAINER', w.run('FROM_NETDEV', request(POD, { destinationPort: 8080 })));
    assert.equal(w.connection('ctTcpNew4')!.flags & CT_FLAG.NODE_PORT, 0);
    assert.equal(w.run('FROM_CONTAINER', answer).source, POD);
  });
  for (const protocol of ['tcp', 'udp'] as const) {
    test(`${protocol}: one client port directly, then through one frontend, then another: each answered as asked`, () => {
      w.service(V1, 80, { backends: [1], protocol, reverseNat: 4 });
      w.service(V2, 80, { backends: [1], protocol, reverseNat: 5 });
      const ways = [
        [POD, 8080],
        [V1, 80],
        [V2, 80],
      ] as const;
      for (const [destination, destinationPort] of ways) {
        const sent = w.run('FROM_NETDEV', request(destination, { protocol, destinationPort }));
        w.next('TO_CONTAINER', sent);
        assert.equal(w.run('FROM_CONTAINER', { ...answer, protocol }).source, destination);
      }
    });
  }
});

test('what begins at the node makes the pod forget a connection of that tuple, what goes on does not', () => {
  w.service(V1, 80, { backends: [1] });
  w.next('TO_CONTAINER', fromNetdev({ flags: 'S' }));
  const lose = (): void => {
    for (const [key] of w.entries('ctTcpNew4')) if ((key.flags & CT_KEY.NODE) !== 0) w.map('ctTcpNew4').delete(key);
  };
  const ofPod = (): boolean => w.connection('ctTcpNew4') !== undefined;
  assert.equal(ofPod(), true);
  lose();
  assert.equal(fromNetdev({ flags: 'A' }).record.ctStatus, CT_STATUS.NEW);
  assert.equal(ofPod(), true);
  lose();
  assert.equal(fromNetdev({ flags: 'S' }).record.ctStatus, CT_STATUS.NEW);
  assert.equal(ofPod(), false);
});
