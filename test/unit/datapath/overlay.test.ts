// The overlay's bounds: what a header must be, what does not fit, who must not come through it; and what stays outside of it.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  DROP,
  FEATURE,
  IPCACHE_FLAG,
  MARK,
  META_FLAG,
  RECORD_FLAG,
  STAGE,
  UNKNOWN_REASON,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { directReturnOption, inOverlay, type Outer, outerOf } from '../../support/overlay-encoder.ts';
import { addressBytes, frame, internetChecksum, type PacketSpec } from '../../support/packets.ts';

const NODE = '10.0.10.1';
const OTHER = '10.0.10.2';
const POD = '192.168.1.7';
const REMOTE = '192.168.2.1';
const be32 = (text: string): number => addressBytes(text).reduce((n, b) => n * 256 + b, 0);

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.TUNNEL, FEATURE.OVERLAY, FEATURE.NODE_PORT).node(1, NODE);
  w.endpoint(POD, { identity: 4000, ifindex: 25 }).endpoint(NODE, { identity: 1, flags: 1, ifindex: 2 });
  w.identity(REMOTE, 3000, 2, OTHER).identity(OTHER, 6, 2);
});

const out = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: POD,
  destination: REMOTE,
  sourcePort: 5555,
  destinationPort: 8080,
  ...more,
});
const back = (more: Partial<PacketSpec> = {}): Uint8Array => frame(out({ source: REMOTE, destination: POD, ...more }));
const outer = (more: Partial<Outer> = {}): Outer => ({
  source: OTHER,
  destination: NODE,
  sourcePort: 40000,
  port: 8472,
  vni: 3000,
  geneve: false,
  ...more,
});
const send = (more: Partial<PacketSpec> = {}): Result => w.run('FROM_CONTAINER', out(more));
const receive = (more: Partial<Outer> = {}, inner = back()): Result =>
  w.runBytes('FROM_OVERLAY', inOverlay(inner, outer(more)));

/** A default route by interface 3, with an MTU. */
function routed(mtu: number): void {
  const gateway = Uint8Array.of(10, 0, 10, 254, ...new Uint8Array(12));
  w.map('routes4').set({ prefixLength: 0, address: 0 }, { ifindex: 3, mtu, flags: 0, gateway });
  const macs = { destination: Uint8Array.of(2, 0, 0, 0, 1, 1), source: Uint8Array.of(2, 0, 0, 0, 1, 2) };
  w.map('neighbours4').set({ ifindex: 3, address: be32('10.0.10.254') }, macs);
}

describe('into the overlay', () => {
  test('by route and neighbour of the tunnel endpoint; without them the stack sends the outer packet', () => {
    assert.deepEqual([send().record.action, send().record.outIfindex], [ACTION.STACK, 0]);
    assert.equal(w.meta.mark & MARK.MASK, MARK.OVERLAY);
    routed(1500);
    const result = send();
    assert.deepEqual([result.record.action, result.record.outIfindex], [ACTION.REDIRECT, 3]);
    assert.deepEqual([result.destinationMac, result.sourceMac], ['02:00:00:00:01:01', '02:00:00:00:01:02']);
    assert.equal(result.record.flags & RECORD_FLAG.OVERLAY, RECORD_FLAG.OVERLAY);
    // The inner packet has lost no hop yet.
    assert.deepEqual(outerOf(result.bytes).inner, frame(out()));
    assert.ok(outerOf(result.bytes).checksumRight);
  });
  test('one flow, one source port; others spread', () => {
    const ports = new Set<number>();
    for (let sourcePort = 1000; sourcePort < 1100; sourcePort++) {
      const port = outerOf(send({ sourcePort }).bytes).sourcePort;
      assert.equal(outerOf(send({ sourcePort, flags: 'A' }).bytes).sourcePort, port);
      assert.ok(port >= 32768 && port < 61000);
      ports.add(port);
    }
    assert.ok(ports.size > 90);
  });
  test('policy decides before', () => {
    w.policy(5, { egress: [] }).changeEndpoint(POD, { policyId: 5, epoch: 2 });
    const result = send();
    assert.equal(result.record.dropReason, DROP.POLICY);
    assert.deepEqual(result.bytes, frame(out()));
  });
  test('not where the entry says so, nor to nodes, nor without the feature', () => {
    const entry = { prefixLength: 64, clusterId: 0, address: be32(REMOTE) };
    w.map('ipcache4').set(entry, {
      ...w.map('ipcache4').get(entry)!,
      flags: IPCACHE_FLAG.HAS_TUNNEL_ENDPOINT | IPCACHE_FLAG.SKIP_TUNNEL,
    });
    assert.equal(send().record.flags & RECORD_FLAG.ENCAPSULATED, 0);
    w.identity(REMOTE, 3000, 2, OTHER);
    assert.equal(send({ destination: OTHER }).record.flags & RECORD_FLAG.ENCAPSULATED, 0);
    w.disable(FEATURE.OVERLAY);
    assert.equal(send().record.flags & RECORD_FLAG.ENCAPSULATED, 0);
  });
  test('without an own address, or an Ethernet header, the stack’s device does it', () => {
    w.configure({ nodeId: 9 });
    assert.deepEqual(send().bytes, frame(out()));
    assert.equal(send().record.action, ACTION.STACK);
  });
  test('marks of congestion: the outer header gets what RFC 6040 says', () => {
    for (const [inner, expected] of [
      [0, 0],
      [0xb8, 0],
      [1, 1],
      [2, 2],
      [3, 2],
      [0xbb, 2],
    ] as const) {
      const bytes = frame(out());
      bytes[15] = inner;
      assert.equal(w.runBytes('FROM_CONTAINER', bytes).bytes[15], expected);
    }
  });
  test('over the MTU: fragmented outside; 136 and an answer where the sender is to discover it', () => {
    routed(1500);
    const sized = (bytes: number, dontFragment: boolean): Result => {
      const made = frame(out({ payload: new Uint8Array(bytes - 40) }));
      if (dontFragment) {
        made[20] = 0x40;
        made[24] = 0;
        made[25] = 0;
      }
      return w.runBytes('FROM_CONTAINER', made);
    };
    assert.equal(sized(1450, true).record.action, ACTION.REDIRECT);
    assert.equal(sized(1450, true).bytes.length, 14 + 1500);
    const fragmented = sized(1451, true).record;
    assert.deepEqual([fragmented.action, fragmented.outIfindex], [ACTION.STACK, 0]);
    w.enable(FEATURE.PMTU_DISCOVERY);
    assert.equal(sized(1451, false).record.action, ACTION.STACK);
    const result = sized(1451, true);
    assert.deepEqual([result.record.dropReason, result.record.action], [DROP.FRAG_NEEDED, ACTION.TX]);
    assert.equal((result.bytes[40]! << 8) | result.bytes[41]!, 1450);
  });
  test('longer than a length field can say: 136', () => {
    const most = 0xffff - 50;
    const sized = (bytes: number): Result => send({ payload: new Uint8Array(bytes - 40) });
    assert.equal(sized(most).verdict, VERDICT.FORWARDED);
    assert.equal(sized(most + 1).record.dropReason, DROP.FRAG_NEEDED);
  });
  test('from the host as another node; what its stack leaves to the device alike', () => {
    const host = out({ source: NODE });
    for (const hook of ['FROM_HOST', 'TO_OVERLAY'] as const) {
      const result = w.run(hook, host, { mark: 0xc00 });
      assert.deepEqual([outerOf(result.bytes).vni, outerOf(result.bytes).inner], [6, frame(host)], hook);
    }
    const lost = w.run('TO_OVERLAY', { ...host, destination: '192.0.2.9' }, { mark: 0xc00 });
    assert.deepEqual([lost.record.dropReason, lost.record.stage], [DROP.NO_TUNNEL_ENDPOINT, STAGE.FORWARD]);
    assert.equal(w.run('FROM_HOST', { ...host, destination: '192.0.2.9' }).record.action, ACTION.STACK);
  });
  test('identities that mean nothing elsewhere', () => {
    for (const [identity, vni] of [
      [9, 2],
      [10, 2],
      [0x01000005, 2],
      [0x02000005, 6],
      [7, 7],
      [0x00abcdef, 0x00abcdef],
    ] as const) {
      w.endpoint(POD, { identity, ifindex: 25 });
      assert.equal(outerOf(send({ sourcePort: identity & 0xffff }).bytes).vni, vni);
    }
  });
  test('to-netdev leaves it alone, also where the node reserves its ports', () => {
    w.enable(FEATURE.MASQUERADE_V4);
    const wire = w.next('TO_NETDEV', send());
    assert.equal(wire.record.action, ACTION.STACK);
    assert.equal(w.map('nat4').size, 0);
  });
  test('a probe changes nothing', () => {
    const before = w.snapshot();
    w.run('FROM_CONTAINER', out(), { flags: META_FLAG.PROBE });
    assert.equal(w.snapshot(), before);
  });
});

describe('out of the overlay', () => {
  test('to the pod, with the sender’s identity, whatever the ipcache says', () => {
    const result = receive({ vni: 0x123456 });
    assert.deepEqual([result.record.action, result.record.outIfindex, result.ttl], [ACTION.LOCAL, 25, 63]);
    assert.equal(result.record.sourceIdentity, 0x123456);
    assert.equal(w.next('TO_CONTAINER', result).record.sourceIdentity, 0x123456);
    assert.equal(w.packet.linkType, 1);
  });
  test('the host’s own identity must not come: 171', () => {
    assert.equal(receive({ vni: 1 }).record.dropReason, DROP.INVALID_IDENTITY);
  });
  test('the world and nodes are asked for by address', () => {
    const from = (vni: number, source: string): number => receive({ vni }, back({ source })).record.sourceIdentity;
    w.identity('203.0.113.0/24', 0x01000007).identity('10.0.10.3', 7, 3).identity('10.0.10.4', 0x02000001, 4);
    assert.equal(from(2, '198.51.100.1'), 9);
    assert.equal(from(2, '203.0.113.9'), 0x01000007);
    // Source NAT hides the world behind a node; a pod is never behind the world.
    assert.equal(from(2, OTHER), 9);
    assert.equal(from(2, REMOTE), 9);
    assert.equal(from(6, OTHER), 6);
    assert.equal(from(6, '10.0.10.3'), 7);
    assert.equal(from(6, '10.0.10.4'), 0x02000001);
    assert.equal(from(6, '198.51.100.1'), 6);
    w.disable(FEATURE.IPV6);
    assert.equal(from(2, '198.51.100.1'), 2);
  });
  test('to the node itself with the sender’s identity, too, where the node is policed', () => {
    w.enable(FEATURE.HOST_FIREWALL);
    const result = receive({}, back({ destination: NODE }));
    assert.equal(result.record.action, ACTION.HOST);
    assert.equal(w.next('TO_HOST', result).record.sourceIdentity, 3000);
  });
  test('padding behind the inner packet is no part of it', () => {
    const bytes = Uint8Array.from([...inOverlay(back(), outer()), 1, 2, 3]);
    assert.deepEqual(w.runBytes('FROM_OVERLAY', bytes).bytes.length, back().length);
    assert.equal(w.packet.wireEnd - w.packet.offset, back().length);
  });
  test('a header that is none: 147', () => {
    const bad = (at: number, value: number, geneve = false): number => {
      const bytes = inOverlay(
        back(),
        outer({ geneve, options: geneve ? directReturnOption('172.16.10.1', 80) : new Uint8Array(0) }),
      );
      bytes[at] = value;
      return w.runBytes('FROM_OVERLAY', bytes).record.dropReason;
    };
    assert.equal(bad(42, 0), DROP.NO_TUNNEL_KEY);
    // UDP lengths: too long for the packet, too short for a header.
    assert.equal(bad(38, 0xff), DROP.NO_TUNNEL_KEY);
    w.enable(FEATURE.GENEVE);
    assert.equal(bad(42, 0x43, true), DROP.NO_TUNNEL_KEY);
    assert.equal(bad(44, 0x08, true), DROP.NO_TUNNEL_KEY);
    assert.equal(bad(42, 63, true), DROP.NO_TUNNEL_KEY);
    assert.equal(bad(42, 3, true), 0);
    // VXLAN where Geneve is spoken.
    assert.equal(receive().record.dropReason, DROP.NO_TUNNEL_KEY);
  });
  test('short UDP: 147', () => {
    const bytes = inOverlay(back(), outer());
    bytes[38] = 0;
    bytes[39] = 15;
    assert.equal(w.runBytes('FROM_OVERLAY', bytes).record.dropReason, DROP.NO_TUNNEL_KEY);
  });
  test('cut by the capture: unknown, never a drop', () => {
    const bytes = inOverlay(back(), outer());
    for (let cut = 42; cut < 50; cut++) {
      w.packet.view(bytes.slice(), 0, cut, bytes.length, 1, w.now, 0);
      assert.equal(w.sim.run(7, w.packet, w.meta.reset()), VERDICT.UNKNOWN, String(cut));
      assert.equal(w.sim.decision().unknownReason, UNKNOWN_REASON.TRUNCATED);
    }
  });
  test('another port, a fragment, no UDP: the stack’s, as it came', () => {
    assert.equal(receive({ port: 4789 }).record.action, ACTION.STACK);
    const bytes = inOverlay(back(), outer());
    bytes[20] = 0x20;
    const fragment = w.runBytes('FROM_OVERLAY', bytes);
    assert.deepEqual([fragment.record.action, fragment.bytes], [ACTION.STACK, bytes]);
    assert.equal(w.runBytes('FROM_OVERLAY', back()).record.action, ACTION.STACK);
    w.disable(FEATURE.OVERLAY);
    assert.equal(receive().record.action, ACTION.STACK);
  });
  test('what is inside may be broken', () => {
    const inner = back();
    inner[14] = 0x41;
    assert.equal(receive({}, inner).record.dropReason, DROP.INVALID);
    assert.equal(receive({}, new Uint8Array(0)).verdict, VERDICT.DROPPED);
    for (let n = 1; n < back().length; n++) assert.notEqual(receive({}, back().slice(0, n)).verdict, VERDICT.ERROR);
  });
  test('not for an endpoint here: the stack’s, taken out', () => {
    const result = receive({}, back({ destination: '192.168.1.99' }));
    assert.deepEqual([result.record.action, result.destination], [ACTION.STACK, '192.168.1.99']);
  });
});

describe('direct return by Geneve', () => {
  beforeEach(() => w.enable(FEATURE.GENEVE, FEATURE.DSR_GENEVE));

  test('no tunnel endpoint: 160; no own address: 160', () => {
    w.backend(1, '192.168.9.9', 8080).service('172.16.10.1', 80, { backends: [1], flags: 0x8040 });
    const request = out({ source: '110.0.11.1', destination: '172.16.10.1', destinationPort: 80 });
    assert.equal(w.run('FROM_NETDEV', request).record.dropReason, DROP.NO_TUNNEL_ENDPOINT);
    w.identity('192.168.9.9', 3000, 2, OTHER).configure({ nodeId: 7 });
    assert.equal(w.run('FROM_NETDEV', request).record.dropReason, DROP.NO_TUNNEL_ENDPOINT);
  });
  test('over the MTU: 136, answered with what fits', () => {
    routed(1500);
    w.enable(FEATURE.PMTU_DISCOVERY)
      .backend(1, REMOTE, 8080)
      .service('172.16.10.1', 80, { backends: [1], flags: 0x8040 });
    const sized = (bytes: number): Result =>
      w.run(
        'FROM_NETDEV',
        out({
          source: '110.0.11.1',
          destination: '172.16.10.1',
          destinationPort: 80,
          payload: new Uint8Array(bytes - 40),
        }),
      );
    assert.equal(sized(1500 - 62).record.action, ACTION.REDIRECT);
    const result = sized(1500 - 61);
    assert.deepEqual([result.record.dropReason, result.record.action], [DROP.FRAG_NEEDED, ACTION.TX]);
    assert.equal((result.bytes[40]! << 8) | result.bytes[41]!, 1500 - 62);
  });
  test('an option that is cut short, of the other family, or of another kind is none', () => {
    const four = directReturnOption('172.16.10.1', 80);
    const six = directReturnOption('fd10::1', 80);
    const changed = (at: number, value: number): Uint8Array =>
      Uint8Array.from(four, (byte, i) => (i === at ? value : byte));
    for (const options of [six, four.slice(0, 8), changed(1, 0x4c), changed(2, 0x80), changed(3, 1), changed(3, 31)]) {
      receive({ geneve: true, options });
      assert.equal(w.map('nat4').size, 0);
    }
    w.endpoint('fd01::7', { ifindex: 26 });
    const six6 = frame(out({ source: '2001:db8::1', destination: 'fd01::7' }));
    for (const options of [six.slice(0, 12), six.slice(0, 20), four]) receive({ geneve: true, options }, six6);
    assert.equal(w.map('nat6').size, 0);
    receive({ geneve: true, options: six }, six6);
    receive({ geneve: true, options: four });
    assert.deepEqual([w.map('nat4').size, w.map('nat6').size], [1, 1]);
  });
});

describe('an answer of the node itself to a client behind the overlay', () => {
  const VIP = '172.16.10.1';
  for (const hook of ['FROM_HOST', 'TO_OVERLAY'] as const) {
    for (const firewall of [false, true]) {
      test(`${hook}, host firewall ${firewall ? 'on' : 'off'}: the frontend is its source inside`, () => {
        if (firewall) w.enable(FEATURE.HOST_FIREWALL);
        w.backend(1, NODE, 8080, 1, 'tcp', 1).service(VIP, 80, { backends: [1] });
        const asked = receive({}, frame(out({ source: REMOTE, destination: VIP, destinationPort: 80 })));
        assert.deepEqual([asked.destination, asked.destinationPort, asked.source], [NODE, 8080, REMOTE]);
        const answer = out({ source: NODE, sourcePort: 8080, destinationPort: 5555, flags: 'SA' });
        const result = w.run(hook, answer, { mark: 0xc00 });
        const { inner } = outerOf(result.bytes);
        assert.deepEqual(inner, frame({ ...answer, source: VIP, sourcePort: 80 }));
        // What it opens itself is not.
        const own = out({ source: NODE, sourcePort: 8081 });
        assert.deepEqual(outerOf(w.run(hook, own, { mark: 0xc00 }).bytes).inner, frame(own));
      });
    }
  }
});

describe('marks of congestion (RFC 6040, figure 4)', () => {
  // By inner marks: what becomes of it under an outer Not-ECT, ECT(1), ECT(0), CE. -1: lost.
  const FATES = [
    [0, 0, 0, -1],
    [1, 1, 1, 3],
    [2, 1, 2, 3],
    [3, 3, 3, 3],
  ];
  const withClass = (bytes: Uint8Array, tos: number): Uint8Array => {
    const ip = bytes.subarray(14);
    if (ip[0]! >> 4 === 6) ip.set([0x60 | (tos >> 4), (tos & 15) << 4]);
    else {
      ip[1] = tos;
      ip.set([0, 0], 10);
      const sum = internetChecksum(ip.subarray(0, 20));
      ip.set([sum >> 8, sum & 0xff], 10);
    }
    return bytes;
  };
  const at = { 4: [POD, REMOTE], 6: ['fd01::7', 'fd02::1'] } as const;
  for (const family of [4, 6] as const) {
    for (const dscp of [0, 0xb8]) {
      test(`IPv${family}, traffic class ${dscp}`, () => {
        const [destination, source] = at[family];
        w.endpoint(destination, { identity: 4000, ifindex: 25 });
        for (const [inner, fates] of FATES.entries()) {
          for (const [mark, fate] of fates.entries()) {
            const sent = withClass(frame(out({ source, destination })), dscp | inner);
            const result = receive({ tos: mark | 0x40 }, sent);
            const what = `inner ${inner}, outer ${mark}`;
            if (fate < 0) {
              assert.deepEqual([result.record.dropReason, result.record.stage], [DROP.INVALID, STAGE.PARSE], what);
              continue;
            }
            assert.equal(result.verdict, VERDICT.FORWARDED, what);
            assert.ok(result.checksumsRight, what);
            const ip = result.bytes.subarray(14);
            const tos = family === 4 ? ip[1]! : ((ip[0]! & 15) << 4) | (ip[1]! >> 4);
            assert.equal(tos, dscp | fate, what);
          }
        }
      });
    }
  }
});
