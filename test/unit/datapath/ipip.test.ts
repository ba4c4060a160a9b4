// IPIP at from-netdev, both ends: Cilium's vector (bpf/tests/tc_nodeport_lb4_dsr_ipip_*), bounds, and what a receiving node opens.
// Outer packets are compared with bytes put together by the tests' own encoder.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ACTION, DROP, FEATURE, META_FLAG, RECORD_FLAG, SERVICE_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { encapsulated } from '../../support/ipip-encoder.ts';
import { addressBytes, frame, type PacketSpec, plainAddress } from '../../support/packets.ts';

const { ROUTABLE, FORWARD_DSR, LOAD_BALANCER, EXT_LOCAL } = SERVICE_FLAG;
const CLIENT = { 4: '110.0.11.1', 6: '2001:db8::11' } as const;
const VIP = { 4: '172.16.10.2', 6: 'fd10::2' } as const;
const LOCAL = { 4: '192.168.0.1', 6: 'fd01::1' } as const;
const REMOTE = { 4: '192.168.0.2', 6: 'fd02::2' } as const;
const SOURCE = { 4: '10.0.10.1', 6: 'fd0a::1' } as const;
const FAMILIES = [4, 6] as const;
type Family = 4 | 6;
const MACS = { destination: Uint8Array.of(2, 0, 0, 0, 1, 1), source: Uint8Array.of(2, 0, 0, 0, 1, 2) };

let w: World;
beforeEach(() => {
  w = new World(
    {},
    { encapPrefix4: 32, encapPrefix6: 128, encapSource4: 0x0a000a01, encapSource6: addressBytes(SOURCE[6]) },
  );
  w.enable(FEATURE.NODE_PORT, FEATURE.DSR_IPIP_NETDEV);
  for (const family of FAMILIES) {
    const id = family === 4 ? 0 : 10;
    w.endpoint(LOCAL[family], { ifindex: 25 });
    w.backend(id + 1, LOCAL[family], 8080).backend(id + 2, REMOTE[family], 8080);
    w.service(VIP[family], 80, { backends: [id + 2], flags: ROUTABLE | LOAD_BALANCER | FORWARD_DSR, reverseNat: 7 });
  }
});

const request = (family: Family, more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: CLIENT[family],
  destination: VIP[family],
  sourcePort: 111,
  destinationPort: 80,
  ...more,
});

function routed(family: Family, mtu: number): void {
  const value = { ifindex: 3, mtu, flags: 1, gateway: new Uint8Array(16) };
  if (family === 4) {
    w.map('routes4').set({ prefixLength: 0, address: 0 }, value);
    w.map('neighbours4').set({ ifindex: 3, address: 0xc0a80002 }, MACS);
  } else {
    w.map('routes6').set({ prefixLength: 0, address: new Uint8Array(16) }, value);
    w.map('neighbours6').set({ ifindex: 3, address: addressBytes(REMOTE[6]) }, MACS);
  }
}

const around = (inner: Uint8Array, family: Family, destination: string): Uint8Array =>
  encapsulated(inner, {
    source: addressBytes(SOURCE[family]),
    destination: addressBytes(destination),
    destinationMac: MACS.destination,
    sourceMac: MACS.source,
    linkBytes: 14,
  });

describe('the balancer', () => {
  for (const family of FAMILIES) {
    test(`vector 10, IPv${family}: to the backend, id 0, TTL 64; the inner packet as it came, checksums as in Cilium`, () => {
      routed(family, 1500);
      const sent = frame(request(family));
      const result = w.runBytes('FROM_NETDEV', sent);
      assert.deepEqual([result.record.action, result.record.outIfindex], [ACTION.REDIRECT, 3]);
      assert.deepEqual(result.bytes, around(sent, family, REMOTE[family]));
      assert.equal(result.record.flags & (RECORD_FLAG.ENCAPSULATED | RECORD_FLAG.DNAT), RECORD_FLAG.ENCAPSULATED);
      if (family === 6) return;
      const at16 = (i: number): number => (result.bytes[i]! << 8) | result.bytes[i + 1]!;
      assert.deepEqual([at16(18), result.bytes[22]], [0, 64]);
      assert.deepEqual([at16(34 + 10), at16(54 + 16)], [0x4ba9, 0x6148]);
    });
    test(`IPv${family}: over the MTU: 136, answered with what fits where path MTU discovery is on`, () => {
      const outer = family === 4 ? 20 : 40;
      routed(family, 1400);
      const sized = (bytes: number): Result =>
        w.run('FROM_NETDEV', request(family, { payload: new Uint8Array(bytes - outer - 20) }));
      assert.equal(sized(1400 - outer).bytes.length, 14 + 1400);
      assert.deepEqual(
        [sized(1401 - outer).record.dropReason, sized(1401 - outer).record.action],
        [DROP.FRAG_NEEDED, ACTION.DROP],
      );
      w.enable(FEATURE.PMTU_DISCOVERY);
      const result = sized(1401 - outer);
      assert.equal(result.record.action, ACTION.TX);
      const told = 14 + outer + 6;
      assert.equal((result.bytes[told]! << 8) | result.bytes[told + 1]!, 1400 - outer);
    });
  }
  test('without a way the stack sends the outer packet; to-netdev leaves it alone', () => {
    const result = w.run('FROM_NETDEV', request(4));
    assert.equal(result.record.action, ACTION.STACK);
    assert.deepEqual(w.next('TO_NETDEV', result).bytes, result.bytes);
    assert.equal(w.map('nat4').size, 0);
  });
  test('longer than a length field can say: 136', () => {
    const sized = (bytes: number): Result => w.run('FROM_NETDEV', request(4, { payload: new Uint8Array(bytes - 40) }));
    assert.equal(sized(0xffff - 20).verdict, VERDICT.FORWARDED);
    assert.equal(sized(0xffff - 19).record.dropReason, DROP.FRAG_NEEDED);
  });
  test('a backend here, or a frontend without the flag, is not put into anything', () => {
    w.service(VIP[4], 80, { backends: [1], flags: ROUTABLE | FORWARD_DSR, reverseNat: 7 });
    assert.equal(w.run('FROM_NETDEV', request(4)).destination, LOCAL[4]);
    w.node(1, '10.0.10.1').service(VIP[4], 80, { backends: [2], flags: ROUTABLE, reverseNat: 7 });
    assert.equal(w.run('FROM_NETDEV', request(4, { sourcePort: 5 })).source, '10.0.10.1');
  });
});

describe('the receiving node', () => {
  beforeEach(() => {
    w.enable(FEATURE.IPIP_TERMINATION);
    for (const family of FAMILIES) {
      const flags = ROUTABLE | LOAD_BALANCER | FORWARD_DSR;
      w.service(VIP[family], 80, { backends: [family === 4 ? 1 : 11], flags, reverseNat: 7 });
    }
  });
  const arrives = (bytes: Uint8Array): Result => w.runBytes('FROM_NETDEV', bytes);

  for (const family of FAMILIES) {
    test(`IPv${family}: opens it, balances what is inside, and the pod answers as the frontend`, () => {
      const result = arrives(around(frame(request(family)), family, LOCAL[family]));
      assert.deepEqual([result.record.action, result.record.outIfindex], [ACTION.LOCAL, 25]);
      assert.deepEqual(
        [result.source, result.destination, result.destinationPort, result.ttl, result.checksumsRight],
        [plainAddress(CLIENT[family]), plainAddress(LOCAL[family]), 8080, 63, true],
      );
      assert.deepEqual([result.destinationMac, result.sourceMac], ['02:00:00:00:01:01', '02:00:00:00:01:02']);
      assert.equal(result.record.flags & RECORD_FLAG.DECAPSULATED, RECORD_FLAG.DECAPSULATED);
      assert.equal(w.next('TO_CONTAINER', result).verdict, VERDICT.FORWARDED);
      const back = w.run('FROM_CONTAINER', {
        protocol: 'tcp',
        source: LOCAL[family],
        destination: CLIENT[family],
        sourcePort: 8080,
        destinationPort: 111,
        flags: 'SA',
      });
      assert.deepEqual([back.source, back.sourcePort, back.checksumsRight], [plainAddress(VIP[family]), 80, true]);
    });
  }
  test('anything else stays as it is, the stack’s', () => {
    const same = (bytes: Uint8Array): void => {
      const result = arrives(bytes);
      assert.deepEqual([result.record.action, result.record.dropReason], [ACTION.STACK, 0]);
      assert.deepEqual(result.bytes, bytes);
    };
    const whole = around(frame(request(4)), 4, LOCAL[4]);
    // Not for a frontend; for one that is no load balancer's; broken inside; cut off; a fragment.
    same(around(frame(request(4, { destinationPort: 81 })), 4, LOCAL[4]));
    same(around(frame(request(4, { protocol: 'icmp' })), 4, LOCAL[4]));
    const inner = frame(request(4));
    inner[14] = 0x41;
    same(around(inner, 4, LOCAL[4]));
    for (let n = 34; n < whole.length - 20; n++) {
      w.packet.view(whole.slice(), 0, n, whole.length, 1, w.now, 0);
      w.sim.run(2, w.packet, w.meta.reset());
      assert.notEqual(w.sim.decision().verdict, VERDICT.ERROR);
    }
    const fragment = whole.slice();
    fragment[20] = 0x20;
    same(fragment);
    w.service(VIP[4], 80, { backends: [1], flags: ROUTABLE | EXT_LOCAL, reverseNat: 7 });
    same(whole);
    w.disable(FEATURE.IPIP_TERMINATION);
    w.service(VIP[4], 80, { backends: [1], flags: ROUTABLE | LOAD_BALANCER, reverseNat: 7 });
    same(whole);
  });
  test('what is inside that is not for its sender is dropped for what it is', () => {
    w.service(VIP[4], 80, { backends: [], flags: ROUTABLE | LOAD_BALANCER, reverseNat: 7 });
    assert.equal(arrives(around(frame(request(4)), 4, LOCAL[4])).record.dropReason, DROP.NO_SERVICE);
  });
  test('a probe changes nothing', () => {
    const before = w.snapshot();
    w.runBytes('FROM_NETDEV', around(frame(request(4)), 4, LOCAL[4]), { flags: META_FLAG.PROBE });
    assert.equal(w.snapshot(), before);
  });
});
