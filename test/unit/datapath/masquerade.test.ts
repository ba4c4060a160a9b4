// Masquerading at the device, ICMP and errors through NAT. Vectors 17 and 19 are Cilium's tests' (bpf/tests/bpf_nat_tests,
// tc_nodeport_snat_conflict); the others follow its snat_v4_needs_masquerade row by row.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  CT_KEY,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  FEATURE,
  IDENTITY,
  IPCACHE_FLAG,
  NO_MASQUERADE,
  RECORD_FLAG,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, frame, internetChecksum, type PacketSpec, plainAddress } from '../../support/packets.ts';

const NODE = '10.0.10.1';
const POD = '10.0.1.7';
const WEB = '110.0.11.1';
const ROUTER = '198.51.100.1';
const NODE6 = 'fd00:a:0:0:0:0:0:1';
const POD6 = 'fd00:b:0:0:0:0:0:7';
const WEB6 = '2001:db8:0:0:0:0:0:1';

const be32 = (text: string): number => addressBytes(text).reduce((n, b) => n * 256 + b, 0);

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.MASQUERADE_V4, FEATURE.MASQUERADE_V6).node(1, NODE).node(1, NODE6);
  w.endpoint(NODE, { identity: IDENTITY.HOST, flags: ENDPOINT_FLAG.HOST });
  w.endpoint(POD, { ifindex: 25 }).endpoint(POD6, { ifindex: 26 });
});

const leaving = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: POD,
  destination: WEB,
  sourcePort: 50001,
  destinationPort: 80,
  ...more,
});
const send = (more: Partial<PacketSpec> = {}): Result => w.run('TO_NETDEV', leaving(more));
const answerTo = (sent: Result, more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: sent.protocol,
  source: sent.destination,
  destination: sent.source,
  sourcePort: sent.destinationPort,
  destinationPort: sent.sourcePort,
  ...more,
});

describe('pods', () => {
  test('to the outside a pod has the node’s address, and the answer finds it', () => {
    const out = send();
    assert.deepEqual([out.source, out.sourcePort, out.record.action], [NODE, 50001, ACTION.STACK]);
    assert.ok(out.checksumsRight);
    assert.equal(out.record.flags & RECORD_FLAG.SNAT, RECORD_FLAG.SNAT);
    const back = w.run('FROM_NETDEV', answerTo(out));
    assert.deepEqual([back.destination, back.destinationPort, back.record.action], [POD, 50001, ACTION.LOCAL]);
    assert.deepEqual([back.record.outIfindex, back.ttl, back.checksumsRight], [25, 63, true]);
  });
  test('IPv6 alike', () => {
    const out = send({ source: POD6, destination: WEB6 });
    assert.equal(out.source, plainAddress(NODE6));
    assert.ok(out.checksumsRight);
    const back = w.run('FROM_NETDEV', answerTo(out));
    assert.deepEqual([back.destination, back.record.outIfindex, back.checksumsRight], [plainAddress(POD6), 26, true]);
  });
  test('without the feature, and without an address of the node, nothing happens', () => {
    w.node(1, '0.0.0.0');
    assert.equal(send().source, POD);
    w.node(1, NODE).disable(FEATURE.MASQUERADE_V4);
    assert.equal(send().source, POD);
    assert.equal(send({ source: POD6, destination: WEB6 }).source, plainAddress(NODE6));
  });
  test('a low port gets one of the range; two pods with one port two of them', () => {
    assert.ok(send({ sourcePort: 1024 }).sourcePort >= 32768);
    w.endpoint('10.0.1.8');
    assert.equal(send().sourcePort, 50001);
    const other = send({ source: '10.0.1.8' });
    assert.notEqual(other.sourcePort, 50001);
    assert.equal(w.run('FROM_NETDEV', answerTo(other)).destination, '10.0.1.8');
  });
  test('answers to what came from outside keep the pod’s address, resets of what nobody answered included', () => {
    w.next('TO_CONTAINER', w.run('FROM_NETDEV', { ...leaving(), source: WEB, destination: POD }));
    for (const flags of ['R', 'SA']) {
      const pod = { ...leaving({ flags }), sourcePort: 80, destinationPort: 50001 };
      assert.equal(w.next('TO_NETDEV', w.run('FROM_CONTAINER', pod)).source, POD);
    }
  });
  const exceptions: readonly (readonly [string, () => void])[] = [
    ['a destination of the native routing range', () => exempt(WEB, 8, NO_MASQUERADE.NATIVE_ROUTING)],
    ['a destination of ip-masq-agent', () => exempt(WEB, 32, NO_MASQUERADE.AGENT)],
    ['a node, natively routed', () => void w.identity(WEB, IDENTITY.REMOTE_NODE, 2)],
    ['a labelled node', () => void w.identity(WEB, 0x02000007, 2)],
    ['the API server', () => void w.identity(WEB, IDENTITY.KUBE_APISERVER, 2)],
    ['a pod elsewhere', () => void w.identity(WEB, 1234, 2)],
    ['an endpoint that is exempt', () => void w.endpoint(POD, { flags: ENDPOINT_FLAG.SKIP_MASQUERADE })],
    ['another address of the host', () => void w.endpoint(POD, { flags: ENDPOINT_FLAG.HOST })],
  ];
  const exempt = (address: string, prefixLength: number, reason: number): void => {
    const network = (be32(address) & (-1 << (32 - prefixLength))) >>> 0;
    w.map('noMasquerade4').set({ prefixLength, address: network }, { reason });
  };
  for (const [name, arrange] of exceptions) {
    test(`no translation: ${name}`, () => {
      arrange();
      assert.equal(send().source, POD);
      assert.equal(w.sim.maps.nat4.size, 0);
    });
  }
  test('through a tunnel: a node is addressed by the node, a pod behind a tunnel endpoint as it is', () => {
    w.enable(FEATURE.TUNNEL).identity(WEB, IDENTITY.REMOTE_NODE, 2);
    assert.equal(send().source, NODE);
    const entry = { identity: 1234, nodeId: 0, key: 0, tunnelEndpoint: new Uint8Array(16) };
    const key = { prefixLength: 64, clusterId: 0, address: be32('110.0.11.2') };
    w.map('ipcache4').set(key, { ...entry, flags: IPCACHE_FLAG.HAS_TUNNEL_ENDPOINT });
    assert.equal(send({ destination: '110.0.11.2' }).source, POD);
    w.map('ipcache4').set(key, { ...entry, flags: IPCACHE_FLAG.HAS_TUNNEL_ENDPOINT | IPCACHE_FLAG.SKIP_TUNNEL });
    assert.equal(send({ destination: '110.0.11.2' }).source, NODE);
  });
  test('a connection that has a translation keeps it when an exception comes', () => {
    const out = send();
    exempt(WEB, 32, NO_MASQUERADE.AGENT);
    assert.equal(send({ flags: 'A' }).sourcePort, out.sourcePort);
    assert.equal(send({ sourcePort: 50002 }).source, POD);
  });
  test('a fragment without tracking: 157; with it both pieces are translated alike', () => {
    const piece = (offset: number): Partial<PacketSpec> => ({
      protocol: 'udp',
      sourcePort: 1024,
      fragment: { id: 9, offset, more: offset === 0 },
    });
    const first = send(piece(0));
    const second = send(piece(24));
    assert.deepEqual([first.source, second.source], [NODE, NODE]);
    w.disable(FEATURE.FRAGMENTS_V4);
    assert.equal(send(piece(0)).record.dropReason, DROP.FRAG_NO_SUPPORT);
  });
});

describe('the node itself', () => {
  test('19: UDP from a port of the range: untouched, its port reserved by a conntrack entry; a pod’s makes none', () => {
    const node = { protocol: 'udp', source: NODE } as const;
    const out = w.run('TO_NETDEV', leaving(node), { mark: 0xc00 });
    assert.deepEqual([out.source, out.sourcePort], [NODE, 50001]);
    assert.equal(out.record.flags & RECORD_FLAG.SNAT, 0);
    const entries = w.entries('ctAnyNew4');
    assert.equal(entries.length, 1);
    const key = entries[0]![0];
    assert.equal(key.flags & CT_KEY.NODE, CT_KEY.NODE);
    assert.deepEqual(new Set([key.lowPort, key.highPort]), new Set([50001, 80]));
    send({ protocol: 'udp', sourcePort: 50003 });
    assert.equal(w.entries('ctAnyNew4').length, 1);
  });
  test('its answer goes to the stack and lengthens the entry', () => {
    const node = { protocol: 'udp', source: NODE } as const;
    const out = w.run('TO_NETDEV', leaving(node));
    const back = w.run('FROM_NETDEV', answerTo(out));
    assert.deepEqual([back.destination, back.record.action], [NODE, ACTION.STACK]);
    assert.equal(back.record.ctStatus, CT_STATUS.REPLY);
    assert.ok(w.connection('ctAny4', CT_KEY.NODE));
  });
  test('a port that a pod has already: translated, and back', () => {
    send();
    const out = send({ source: NODE });
    assert.equal(out.source, NODE);
    assert.notEqual(out.sourcePort, 50001);
    const back = w.run('FROM_NETDEV', answerTo(out));
    assert.deepEqual([back.destination, back.destinationPort, back.record.action], [NODE, 50001, ACTION.STACK]);
  });
  test('a low port is never touched', () => {
    assert.equal(send({ source: NODE, sourcePort: 22 }).sourcePort, 22);
    assert.equal(w.sim.maps.nat4.size, 0);
  });
});

describe('ICMP', () => {
  test('an echo goes out by another id and its answer comes back by the pod’s', () => {
    const out = send({ protocol: 'icmp', type: 8, id: 7 });
    const id = (bytes: Uint8Array): number => (bytes[38]! << 8) | bytes[39]!;
    assert.equal(out.source, NODE);
    assert.ok(id(out.bytes) >= 32768);
    assert.ok(out.checksumsRight);
    const back = w.run('FROM_NETDEV', { protocol: 'icmp', type: 0, id: id(out.bytes), source: WEB, destination: NODE });
    assert.deepEqual([back.destination, id(back.bytes), back.checksumsRight], [POD, 7, true]);
  });
  test('IPv6 echo alike', () => {
    const out = send({ protocol: 'icmpv6', type: 128, id: 7, source: POD6, destination: WEB6 });
    const id = (bytes: Uint8Array): number => (bytes[58]! << 8) | bytes[59]!;
    assert.deepEqual([out.source, out.checksumsRight], [plainAddress(NODE6), true]);
    const answer = { protocol: 'icmpv6', type: 129, id: id(out.bytes), source: WEB6, destination: NODE6 } as const;
    const back = w.run('FROM_NETDEV', answer);
    assert.deepEqual([back.destination, id(back.bytes), back.checksumsRight], [plainAddress(POD6), 7, true]);
  });
  test('what NAT cannot tell apart: 168', () => {
    assert.equal(send({ protocol: 'icmp', type: 13, id: 7 }).record.dropReason, DROP.NAT_UNSUPPORTED_PROTOCOL);
  });
  test('17: fragmentation needed about what was sent: the original inside and as destination, every checksum right', () => {
    const node = '192.168.0.1';
    const pod = '10.0.10.1';
    w = new World();
    w.enable(FEATURE.MASQUERADE_V4).node(1, node).endpoint(pod, { ifindex: 9 });
    const out = w.run('TO_NETDEV', leaving({ source: pod, sourcePort: 3030, destination: '192.168.0.2' }));
    assert.deepEqual([out.source, out.sourcePort >= 32768], [node, true]);
    for (const length of [28, 40]) {
      const error = frame({
        protocol: 'icmp',
        type: 3,
        code: 4,
        source: '192.168.0.2',
        destination: node,
        payload: out.bytes.slice(14, 14 + length),
      });
      const back = w.runBytes('FROM_NETDEV', error);
      assert.deepEqual([back.destination, back.record.outIfindex, back.checksumsRight], [pod, 9, true]);
      const inner = back.bytes.slice(42);
      assert.deepEqual([...inner.slice(12, 16)], [...addressBytes(pod)]);
      assert.equal((inner[20]! << 8) | inner[21]!, 3030);
      assert.equal(internetChecksum(inner.slice(0, 20)), 0);
      // What is quoted is the packet as the pod sent it, byte for byte as far as it goes.
      const sent = frame(leaving({ source: pod, sourcePort: 3030, destination: '192.168.0.2' }));
      assert.deepEqual([...inner], [...sent.slice(14, 14 + length)]);
    }
  });
  test('an error of a router about a client’s connection: frontend inside, client as destination', () => {
    w.enable(FEATURE.NODE_PORT)
      .backend(2, '192.168.0.2', 8080)
      .service('172.16.10.2', 80, { backends: [2] });
    const request = leaving({ source: WEB, sourcePort: 111, destination: '172.16.10.2' });
    const there = w.run('FROM_NETDEV', request);
    assert.equal(there.source, NODE);
    for (const source of [ROUTER, '192.168.0.2']) {
      const payload = there.bytes.slice(14, 14 + 40);
      const error = frame({ protocol: 'icmp', type: 11, source, destination: NODE, payload });
      const back = w.runBytes('FROM_NETDEV', error);
      assert.deepEqual([back.source, back.destination], [source === ROUTER ? ROUTER : '172.16.10.2', WEB]);
      assert.ok(back.checksumsRight);
      assert.deepEqual([...back.bytes.slice(42)], [...frame(request).slice(14, 54)]);
    }
  });
  test('IPv6: packet too big about what was sent', () => {
    const spec = leaving({ source: POD6, destination: WEB6, protocol: 'udp', sourcePort: 99 });
    const out = w.run('TO_NETDEV', spec);
    const payload = out.bytes.slice(14, 14 + 48);
    const error = frame({ protocol: 'icmpv6', type: 2, source: WEB6, destination: NODE6, payload });
    const back = w.runBytes('FROM_NETDEV', error);
    assert.deepEqual([back.destination, back.checksumsRight], [plainAddress(POD6), true]);
    assert.deepEqual([...back.bytes.slice(62)], [...frame(spec).slice(14, 62)]);
  });
  test('an error that a pod sends about an answer: to the outside it is the node’s, about the packet that came', () => {
    const out = send({ protocol: 'udp', sourcePort: 99 });
    const came = answerTo(out);
    const given = w.run('FROM_NETDEV', came);
    const payload = given.bytes.slice(14, 14 + 28);
    const error = frame({ protocol: 'icmp', type: 3, code: 3, source: POD, destination: WEB, payload });
    const sent = w.runBytes('TO_NETDEV', error);
    assert.deepEqual([sent.source, sent.checksumsRight], [NODE, true]);
    const inner = sent.bytes.slice(42);
    const original = frame(came).slice(14, 42);
    // But for the hop that was taken on the way, and the header checksum with it.
    assert.deepEqual([...inner.slice(12)], [...original.slice(12)]);
    assert.equal(internetChecksum(inner.slice(0, 20)), 0);
  });
  test('a quote that is cut, of somebody else, or a later fragment stays as it is', () => {
    const out = send();
    const quote = out.bytes.slice(14, 54);
    const variants = [quote.slice(0, 27), quote.slice(0, 19), new Uint8Array(0)];
    const later = quote.slice();
    later[7] = 1;
    const other = quote.slice();
    other[15] = other[15]! ^ 1;
    for (const payload of [...variants, later, other]) {
      const error = frame({ protocol: 'icmp', type: 3, source: WEB, destination: NODE, payload });
      const result = w.runBytes('FROM_NETDEV', error);
      assert.deepEqual([result.destination, result.record.action], [NODE, ACTION.STACK]);
      assert.deepEqual(result.bytes, error);
    }
  });
});
