// Translation: hairpin, partial checksums, UDP's rules, ICMP errors behind a service. Oracle: full recomputation.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  BACKEND_STATE,
  CT_FLAG,
  CT_KEY,
  CT_STATUS,
  META_FLAG,
  RECORD_FLAG,
  VERDICT,
} from '../../../src/schema/index.ts';
import { LOOPBACK4, LOOPBACK6, World } from '../../support/datapath-world.ts';
import { frame, internetChecksum, type PacketSpec, plainAddress } from '../../support/packets.ts';

const P1 = '10.0.1.1';
const P2 = '10.0.2.2';
const VIP = '172.16.10.1';

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(P1, { id: 1, ifindex: 11, policyId: 3 }).endpoint(P2, { id: 2, ifindex: 12 });
  w.policy(3, { ingress: [], egress: [] });
});

describe('a pod that reaches itself through its service', () => {
  const flow = { protocol: 'tcp', sourcePort: 22330, destinationPort: 80 } as const;

  test('walk: request, delivery, answer, restored — under policies that allow nothing', () => {
    const reverseNat = w.backend(1, P1, 8080).service(VIP, 80, { backends: [1] });
    // 1. The request: source becomes the loopback address, destination the pod's own port.
    const request = w.run('FROM_CONTAINER', { ...flow, source: P1, destination: VIP });
    assert.deepEqual([request.source, request.sourcePort], [LOOPBACK4, 22330]);
    assert.deepEqual([request.destination, request.destinationPort], [P1, 8080]);
    assert.ok(request.checksumsRight);
    assert.deepEqual([request.record.action, request.record.outIfindex], [ACTION.LOCAL, 11]);
    assert.deepEqual([request.record.sourceIdentity, request.record.destinationIdentity], [1001, 1001]);
    const both = RECORD_FLAG.LOOPBACK | RECORD_FLAG.DNAT;
    assert.equal(request.record.flags & both, both);
    // One service entry, and the connection's, owned by the pod as the backend.
    assert.ok(w.connection('ctTcpNew4', CT_KEY.SERVICE));
    const entry = w.connection('ctTcpNew4')!;
    assert.equal(entry.flags & (CT_FLAG.LOOPBACK | CT_FLAG.INBOUND), CT_FLAG.LOOPBACK | CT_FLAG.INBOUND);
    assert.equal(entry.reverseNat, reverseNat);
    // 2. Its own to-container: established, policy not asked.
    const delivered = w.next('TO_CONTAINER', request);
    assert.deepEqual([delivered.verdict, delivered.record.ctStatus], [VERDICT.FORWARDED, CT_STATUS.ESTABLISHED]);
    assert.equal(delivered.source, LOOPBACK4);
    assert.equal(w.sim.context.probesPolicy, 0);
    // 3. The answer: both addresses restored, straight back to the pod past its ingress policy.
    const answer = w.run('FROM_CONTAINER', {
      protocol: 'tcp',
      source: P1,
      destination: LOOPBACK4,
      sourcePort: 8080,
      destinationPort: 22330,
      flags: 'SA',
    });
    assert.deepEqual([answer.source, answer.sourcePort], [VIP, 80]);
    assert.deepEqual([answer.destination, answer.destinationPort], [P1, 22330]);
    assert.ok(answer.checksumsRight);
    assert.deepEqual([answer.record.action, answer.record.outIfindex], [ACTION.REDIRECT, 11]);
    // 4. The connection and its service entry are answered now; the next request finds them.
    assert.ok(w.connection('ctTcp4', CT_KEY.SERVICE));
    assert.ok(w.connection('ctTcp4'));
    const next = w.run('FROM_CONTAINER', { ...flow, source: P1, destination: VIP, flags: 'A' });
    assert.equal(next.record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.ok(w.sim.context.probesConntrack <= 3);
  });
  test('IPv6', () => {
    w.endpoint('fd00::1')
      .backend(1, 'fd00::1', 8080)
      .service('fd00:1::1', 80, { backends: [1] });
    const request = w.run('FROM_CONTAINER', { ...flow, source: 'fd00::1', destination: 'fd00:1::1' });
    assert.equal(request.source, LOOPBACK6);
    assert.ok(request.checksumsRight);
    assert.equal(w.next('TO_CONTAINER', request).verdict, VERDICT.FORWARDED);
    const answer = w.run('FROM_CONTAINER', {
      protocol: 'tcp',
      source: 'fd00::1',
      destination: LOOPBACK6,
      sourcePort: 8080,
      destinationPort: 22330,
      flags: 'SA',
    });
    assert.deepEqual([answer.source, answer.destination], [plainAddress('fd00:1::1'), plainAddress('fd00::1')]);
    assert.ok(answer.checksumsRight);
  });
  test('vectors 11 and 12, byte for byte: 192.168.0.1:22330 to 172.16.10.1:80 and back to itself', () => {
    const pod = '192.168.0.1';
    const macs = { destinationMac: '02:00:00:00:00:09', sourceMac: '02:00:00:00:00:08' };
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
    w.endpoint(pod, { id: 5, ifindex: 25, mac, nodeMac: Uint8Array.of(2, 0, 0, 0, 0, 8) });
    w.backend(1, pod, 80).service(VIP, 80, { backends: [1] });
    const request = w.run('FROM_CONTAINER', { ...flow, source: pod, destination: VIP });
    assert.deepEqual(
      request.bytes,
      frame({ ...flow, source: LOOPBACK4, destination: pod, destinationPort: 80, ttl: 63, ...macs }),
    );
    assert.deepEqual([request.record.action, request.record.outIfindex], [ACTION.LOCAL, 25]);
    assert.ok(w.connection('ctTcpNew4', CT_KEY.SERVICE));
    assert.ok((w.connection('ctTcpNew4')!.flags & CT_FLAG.LOOPBACK) !== 0);
    // Delivered as it is: the pod sees the loopback address.
    assert.deepEqual(w.next('TO_CONTAINER', request).bytes, request.bytes);
    const answer = { protocol: 'tcp', sourcePort: 80, destinationPort: 22330, flags: 'SA' } as const;
    const restored = w.run('FROM_CONTAINER', { ...answer, source: pod, destination: LOOPBACK4 });
    assert.deepEqual(restored.bytes, frame({ ...answer, source: VIP, destination: pod, ttl: 63, ...macs }));
    assert.deepEqual([restored.record.action, restored.record.outIfindex], [ACTION.REDIRECT, 25]);
  });

  test('the loopback address without the pod’s connection is an address like any other', () => {
    const spoofed = w.run('TO_CONTAINER', { ...flow, source: LOOPBACK4, destination: P1 });
    assert.equal(spoofed.verdict, VERDICT.DROPPED);
  });
});

describe('checksums', () => {
  const service = (backendPort = 8080): void => {
    w.changeEndpoint(P1, { policyId: 0 });
    w.backend(1, P2, backendPort);
    w.service(VIP, 80, { backends: [1] });
    w.service(VIP, 80, { backends: [1], protocol: 'udp' });
  };
  const udp: PacketSpec = { protocol: 'udp', source: P1, destination: VIP, sourcePort: 5, destinationPort: 80 };

  test('a wrong checksum stays wrong', () => {
    service();
    const bytes = frame({ ...udp, protocol: 'tcp' });
    bytes[50]! ^= 0x55;
    assert.equal(w.runBytes('FROM_CONTAINER', bytes).checksumsRight, false);
  });
  test('UDP without a checksum has none afterwards', () => {
    service();
    const result = w.run('FROM_CONTAINER', { ...udp, noChecksum: true });
    assert.equal(result.destinationPort, 8080);
    assert.equal(result.l4Checksum, 0);
  });
  test('a UDP checksum that becomes 0 is sent as 0xffff', () => {
    service();
    // Search a payload with which the translated datagram sums to 0.
    for (let word = 0; word < 0x10000; word++) {
      const payload = Uint8Array.of(word >> 8, word & 0xff);
      const after = frame({ ...udp, destination: P2, destinationPort: 8080, payload });
      if (((after[40]! << 8) | after[41]!) !== 0xffff) continue;
      const result = w.run('FROM_CONTAINER', { ...udp, payload });
      assert.equal(result.l4Checksum, 0xffff);
      assert.ok(result.checksumsRight);
      return;
    }
    assert.fail('no payload sums to zero');
  });
  test('a partial checksum stays the sum of the pseudo-header, ports left out', () => {
    service();
    const pseudo = (bytes: Uint8Array): number => {
      const length = bytes.length - 34;
      const header = Uint8Array.of(...bytes.slice(26, 34), 0, 6, length >> 8, length & 0xff);
      return ~internetChecksum(header) & 0xffff;
    };
    const bytes = frame({ ...udp, protocol: 'tcp' });
    const before = pseudo(bytes);
    bytes[50] = before >> 8;
    bytes[51] = before & 0xff;
    const result = w.runBytes('FROM_CONTAINER', bytes, { flags: META_FLAG.PARTIAL_CHECKSUM });
    assert.equal(result.destinationPort, 8080);
    assert.equal(result.l4Checksum, pseudo(result.bytes));
  });
  test('a frontend that changes nothing but the address leaves the port’s bytes alone', () => {
    service(80);
    const result = w.run('FROM_CONTAINER', { ...udp, protocol: 'tcp' });
    assert.deepEqual([result.destination, result.destinationPort, result.checksumsRight], [P2, 80, true]);
  });
  test('a backend with port 0 keeps the frontend’s port', () => {
    service(0);
    assert.equal(w.run('FROM_CONTAINER', udp).destinationPort, 80);
  });
});

describe('reverse translation', () => {
  const request: PacketSpec = { protocol: 'tcp', source: P1, destination: VIP, sourcePort: 5, destinationPort: 80 };
  const reply: PacketSpec = {
    protocol: 'tcp',
    source: P2,
    destination: P1,
    sourcePort: 8080,
    destinationPort: 5,
    flags: 'SA',
  };
  beforeEach(() => {
    w.changeEndpoint(P1, { policyId: 0 });
    w.backend(1, P2, 8080);
  });

  test('works after the service and its backend are gone, while the frontend’s index lives', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1] });
    w.run('FROM_CONTAINER', request);
    w.backend(1, P2, 8080, BACKEND_STATE.NONE);
    w.map('services4').delete({ address: 0xac100a01, port: 80, slot: 0, protocol: 6, scope: 0 });
    const result = w.run('TO_CONTAINER', reply);
    assert.deepEqual([result.source, result.sourcePort], [VIP, 80]);
    assert.equal(result.record.reverseNat, reverseNat);
  });
  test('without the index the reply arrives untranslated, as in Cilium', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1] });
    w.run('FROM_CONTAINER', request);
    w.map('reverseNat4').set({ index: reverseNat }, { address: 0, port: 0, flags: 0 });
    const result = w.run('TO_CONTAINER', reply);
    assert.deepEqual([result.verdict, result.source], [VERDICT.FORWARDED, P2]);
    assert.equal(result.record.flags & RECORD_FLAG.REVERSE_NAT, 0);
  });
  test('of an ICMP error about a service only the outer source changes', () => {
    w.service(VIP, 80, { backends: [1] });
    w.run('FROM_CONTAINER', request);
    const error = { protocol: 'icmp', source: P2, destination: P1, type: 3, code: 3 } as const;
    const result = w.run('TO_CONTAINER', error);
    assert.deepEqual([result.verdict, result.record.ctStatus], [VERDICT.FORWARDED, CT_STATUS.RELATED]);
    assert.equal(result.source, VIP);
    assert.ok(result.checksumsRight);
    assert.deepEqual(result.bytes.slice(34), frame(error).slice(34));
  });
});
