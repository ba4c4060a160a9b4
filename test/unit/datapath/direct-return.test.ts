// Direct server return by option: the balancer's end and the backend's, vectors of Cilium's tests (bpf/tests/tc_nodeport_lb*_dsr_*)
// and what their sources say of bounds. Frames are compared with bytes put together here, sums computed the long way.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  CT_FLAG,
  CT_KEY,
  CT_STATUS,
  DROP,
  FEATURE,
  MARK,
  META_FLAG,
  NAT_FLAG,
  RECORD_FLAG,
  SERVICE_FLAG,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { optionOf, withExtensions, withIpOptions, withOption } from '../../support/direct-return.ts';
import { addressBytes, frame, type PacketSpec, plainAddress } from '../../support/packets.ts';

const CLIENT = '110.0.11.1';
const POD = '192.168.0.1';
const REMOTE = '192.168.0.2';
const V1 = '172.16.10.1';
const V2 = '172.16.10.2';
const { ROUTABLE, FORWARD_DSR } = SERVICE_FLAG;
const be32 = (text: string): number => addressBytes(text).reduce((n, b) => n * 256 + b, 0);

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.NODE_PORT, FEATURE.DSR_OPTION).node(1, '10.0.10.1');
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
  const nodeMac = Uint8Array.of(2, 0, 0, 0, 0, 8);
  w.endpoint(POD, { ifindex: 25, mac, nodeMac }).backend(1, POD, 8080).backend(2, REMOTE, 8080);
});

const request = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: CLIENT,
  destination: V1,
  sourcePort: 111,
  destinationPort: 80,
  ...more,
});
/** What a balancer sends to the backend's node. */
const told = (more: Partial<PacketSpec> = {}, frontend = V1, port = 80): Uint8Array =>
  withOption(frame(request({ destination: POD, destinationPort: 8080, ...more })), frontend, port);
const answer = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: POD,
  destination: CLIENT,
  sourcePort: 8080,
  destinationPort: 111,
  flags: 'S',
  ...more,
});

describe('vectors', () => {
  test('8: C → P1:8080 with the option: redirected, the packet kept; a connection of direct return, a translation to V1:80', () => {
    const sent = told();
    const result = w.runBytes('FROM_NETDEV', sent);
    assert.deepEqual(
      [result.verdict, result.record.action, result.record.outIfindex],
      [VERDICT.FORWARDED, ACTION.LOCAL, 25],
    );
    assert.equal(result.bytes.length, sent.length);
    assert.deepEqual(optionOf(result.bytes), { address: V1, port: 80 });
    // Behind the MACs and the hop nothing has changed.
    assert.deepEqual([...result.bytes.subarray(26)], [...sent.subarray(26)]);
    assert.equal(result.bytes[22], 63);
    const entry = w.connection('ctTcpNew4', CT_KEY.NODE)!;
    assert.ok(entry.flags & CT_FLAG.DSR_INTERNAL);
    const nat = [...w.map('nat4')];
    assert.equal(nat.length, 1);
    const [key, value] = nat[0]!;
    assert.deepEqual(
      [key.source, key.sourcePort, key.destination, key.destinationPort, key.protocol, key.flags],
      [be32(POD), 8080, be32(CLIENT), 111, 6, 0],
    );
    assert.deepEqual([value.address, value.port, value.flags], [be32(V1), 80, NAT_FLAG.DSR]);
  });
  test('9: its answer at the device: source V1:80, checksums as in Cilium', () => {
    w.runBytes('FROM_NETDEV', told());
    const result = w.run('TO_NETDEV', answer());
    assert.deepEqual([result.source, result.sourcePort, result.destination], [V1, 80, CLIENT]);
    assert.deepEqual([result.ttl, result.ipChecksum], [64, 0x4baa]);
    assert.ok(result.checksumsRight);
    assert.equal(result.record.ctStatus, CT_STATUS.REPLY);
    // Cilium's vector has the older generator's sequence number, little-endian.
    const older = w.run('TO_NETDEV', answer({ sequence: 0x40e20100 }));
    assert.equal(older.l4Checksum, 0x01a9);
  });
});

describe('the balancer', () => {
  const send = (more: Partial<PacketSpec> = {}): Result => w.run('FROM_NETDEV', request({ destination: V2, ...more }));
  beforeEach(() => {
    w.service(V2, 80, { backends: [2], flags: ROUTABLE | FORWARD_DSR });
  });

  test('tells it in the SYN and in no other packet of TCP', () => {
    for (const [flags, tells] of [
      ['S', true],
      ['SA', true],
      ['A', false],
      ['FA', false],
      ['R', false],
    ] as const) {
      const result = send({ flags });
      assert.deepEqual(optionOf(result.bytes), tells ? { address: V2, port: 80 } : undefined, flags);
      assert.deepEqual([result.source, result.destination, result.destinationPort], [CLIENT, REMOTE, 8080]);
      assert.ok(result.checksumsRight);
    }
  });
  test('leaves the mark that keeps to-netdev away, and nothing in the NAT map', () => {
    const sent = send();
    assert.equal(w.meta.mark & MARK.MASK, MARK.SNAT_DONE);
    const out = w.next('TO_NETDEV', sent);
    assert.deepEqual([out.source, w.map('nat4').size], [CLIENT, 0]);
    assert.equal(out.record.flags & RECORD_FLAG.SNAT, 0);
  });
  test('a frontend without the flag, and any without the feature, is source NAT’s', () => {
    w.service(V2, 80, { backends: [2] });
    assert.equal(send({ sourcePort: 7 }).source, '10.0.10.1');
    w.service(V2, 80, { backends: [2], flags: ROUTABLE | FORWARD_DSR });
    w.disable(FEATURE.DSR_OPTION);
    assert.equal(send({ sourcePort: 8 }).source, '10.0.10.1');
  });
  test('no room among the IPv4 options: 135', () => {
    const options = new Uint8Array(40).fill(1);
    for (const [bytes, verdict] of [
      [32, VERDICT.FORWARDED],
      [36, VERDICT.DROPPED],
      [40, VERDICT.DROPPED],
    ] as const) {
      const result = w.runBytes(
        'FROM_NETDEV',
        withIpOptions(frame(request({ destination: V2 })), options.slice(0, bytes)),
      );
      assert.equal(result.verdict, verdict, String(bytes));
      assert.equal(result.record.dropReason, verdict === VERDICT.DROPPED ? DROP.CT_INVALID_HEADER : 0);
      if (verdict === VERDICT.FORWARDED) assert.ok(result.checksumsRight);
    }
  });
  test('a fifth extension header nobody would read: 156', () => {
    const six = { source: '2001:db8::11', destination: 'fd10::2' } as const;
    w.backend(3, 'fd02::2', 8080).service('fd10::2', 80, { backends: [3], flags: ROUTABLE | FORWARD_DSR });
    for (const headers of [0, 1, 3, 4]) {
      const result = w.runBytes('FROM_NETDEV', withExtensions(frame(request(six)), headers));
      assert.equal(result.record.dropReason, headers === 4 ? DROP.INVALID_EXTENSION_HEADER : 0, String(headers));
    }
  });
  for (const family of [4, 6] as const) {
    test(`IPv${family}: over the MTU of its route: 136, answered with what fits where path MTU discovery is on`, () => {
      const [client, vip, pod] =
        family === 4 ? [CLIENT, V2, REMOTE] : (['2001:db8::11', 'fd10::2', 'fd02::2'] as const);
      if (family === 6) w.backend(3, pod, 8080).service(vip, 80, { backends: [3], flags: ROUTABLE | FORWARD_DSR });
      const more = family === 4 ? 8 : 24;
      const header = family === 4 ? 20 : 40;
      const mtu = 1400;
      const route = { ifindex: 3, mtu, flags: 1, gateway: new Uint8Array(16) };
      const macs = { destination: Uint8Array.of(2, 0, 0, 0, 1, 1), source: Uint8Array.of(2, 0, 0, 0, 1, 2) };
      if (family === 4) {
        w.map('routes4').set({ prefixLength: 0, address: 0 }, route);
        w.map('neighbours4').set({ ifindex: 3, address: be32(pod) }, macs);
      } else {
        w.map('routes6').set({ prefixLength: 0, address: new Uint8Array(16) }, route);
        w.map('neighbours6').set({ ifindex: 3, address: addressBytes(pod) }, macs);
      }
      const sized = (bytes: number): Result =>
        w.run('FROM_NETDEV', {
          ...request({ source: client, destination: vip }),
          payload: new Uint8Array(bytes - header - 20),
        });
      const fits = sized(mtu - more);
      assert.deepEqual([fits.verdict, fits.record.action], [VERDICT.FORWARDED, ACTION.REDIRECT]);
      assert.equal(fits.bytes.length, 14 + mtu);
      assert.equal(fits.ttl, 63);
      for (const discovery of [false, true]) {
        if (discovery) w.enable(FEATURE.PMTU_DISCOVERY);
        const result = sized(mtu - more + 1);
        assert.equal(result.record.dropReason, DROP.FRAG_NEEDED);
        assert.equal(result.record.action, discovery ? ACTION.TX : ACTION.DROP);
        if (!discovery) continue;
        assert.ok(result.checksumsRight);
        const told = family === 4 ? 14 + 20 + 6 : 14 + 40 + 6;
        assert.equal((result.bytes[told]! << 8) | result.bytes[told + 1]!, mtu - more);
        // The quote is what the client sent: to the frontend.
        const quote = told + 2 + (family === 4 ? 16 : 24);
        assert.deepEqual([...result.bytes.subarray(quote, quote + (family === 4 ? 4 : 16))], [...addressBytes(vip)]);
      }
      // What tells nothing fits.
      assert.equal(
        w.run('FROM_NETDEV', {
          ...request({ source: client, destination: vip, flags: 'A' }),
          payload: new Uint8Array(mtu - more + 1 - header - 20),
        }).verdict,
        VERDICT.FORWARDED,
      );
    });
  }
  test('longer than a length field can say: 136', () => {
    const long = (bytes: number): Result => send({ protocol: 'tcp', payload: new Uint8Array(bytes - 40) });
    assert.equal(long(0xffff - 8).verdict, VERDICT.FORWARDED);
    assert.equal(long(0xffff - 7).record.dropReason, DROP.FRAG_NEEDED);
  });
  test('a port that SCTP cannot change: 154', () => {
    w.service(V2, 81, { backends: [2], protocol: 'sctp', flags: ROUTABLE | FORWARD_DSR });
    assert.equal(send({ protocol: 'sctp', destinationPort: 81 }).record.dropReason, DROP.CSUM_L4);
  });
  test('fragments of UDP tell it, each', () => {
    w.service(V2, 80, { backends: [2], protocol: 'udp', flags: ROUTABLE | FORWARD_DSR });
    for (const offset of [0, 32]) {
      const result = send({
        protocol: 'udp',
        fragment: { id: 5, offset, more: offset === 0 },
        payload: new Uint8Array(24),
      });
      assert.deepEqual(optionOf(result.bytes), { address: V2, port: 80 });
      assert.deepEqual([result.destination, result.checksumsRight], [REMOTE, true]);
    }
  });
  test('an acknowledged connection keeps its backend through a flood of SYNs', () => {
    w = new World({ specs: { ctTcpNew4: { maxEntries: 64 }, ctTcp4: { maxEntries: 256 } } });
    w.enable(FEATURE.NODE_PORT, FEATURE.DSR_OPTION).backend(2, REMOTE, 8080).backend(3, '192.168.0.3', 8080);
    w.service(V2, 80, { backends: [2], flags: ROUTABLE | FORWARD_DSR, reverseNat: 9 });
    const ports = Array.from({ length: 64 }, (_, i) => 1000 + i);
    for (const sourcePort of ports) {
      send({ sourcePort });
      send({ sourcePort, flags: 'A' });
    }
    // From now on everything new goes elsewhere: whoever is forgotten is seen.
    w.service(V2, 80, { backends: [3], flags: ROUTABLE | FORWARD_DSR, reverseNat: 9 });
    for (let i = 0; i < 640; i++) send({ sourcePort: 10000 + i });
    for (const sourcePort of ports)
      assert.equal(send({ sourcePort, flags: 'A' }).destination, REMOTE, String(sourcePort));
  });
  test('a probe changes nothing', () => {
    const before = w.snapshot();
    const bytes = frame(request({ destination: V2 }));
    assert.deepEqual(optionOf(w.runBytes('FROM_NETDEV', bytes, { flags: META_FLAG.PROBE }).bytes), {
      address: V2,
      port: 80,
    });
    assert.equal(w.snapshot(), before);
  });
});

describe('the backend’s node', () => {
  const deliver = (bytes: Uint8Array): Result => w.next('TO_CONTAINER', w.runBytes('FROM_NETDEV', bytes));
  const plain = (more: Partial<PacketSpec> = {}): Uint8Array =>
    frame(request({ destination: POD, destinationPort: 8080, ...more }));
  const answered = (more: Partial<PacketSpec> = {}): string => {
    const result = w.run('FROM_CONTAINER', answer({ flags: 'SA', ...more }));
    assert.ok(result.checksumsRight);
    return `${result.source}:${result.sourcePort}`;
  };

  test('the pod answers as the frontend, from its own hook on; its entries move to the answered', () => {
    deliver(told());
    assert.equal(answered(), `${V1}:80`);
    for (const flags of [0, CT_KEY.NODE]) {
      assert.ok(w.connection('ctTcp4', flags)!.flags & CT_FLAG.DSR_INTERNAL, String(flags));
    }
    const more = w.runBytes('FROM_NETDEV', plain({ flags: 'A' }));
    assert.equal(more.record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.equal(w.sim.maps.ctTcpNew4.size, 0);
  });
  test('IPv6: every word of the frontend is kept in the node’s and the pod’s entry, and read from there', () => {
    const pod = 'fd02::2';
    const frontend = 'fd10:1:2:3:4:5:6:7';
    const client = '2001:db8::11';
    w.endpoint(pod);
    deliver(withOption(frame(request({ source: client, destination: pod, destinationPort: 8080 })), frontend, 80));
    for (const flags of [0, CT_KEY.NODE]) {
      const { backend, natAddress, natPort } = w.connection('ctTcpNew6', flags)!;
      const first = new DataView(new ArrayBuffer(4));
      first.setUint32(0, backend, true);
      const kept = [...new Uint8Array(first.buffer), ...natAddress];
      assert.deepEqual([kept, natPort], [[...addressBytes(frontend)], 80], String(flags));
    }
    assert.equal(answered({ source: pod, destination: client }), `${plainAddress(frontend)}:80`);
  });
  test('a SYN again changes nothing, another frontend’s does', () => {
    deliver(told());
    const before = w.connection('ctTcpNew4', CT_KEY.NODE);
    deliver(told());
    assert.deepEqual(w.connection('ctTcpNew4', CT_KEY.NODE), before);
    deliver(told({}, V2, 81));
    assert.equal(answered(), `${V2}:81`);
    deliver(told({}, V1, 82));
    // Nobody has answered this one yet: what was answered is another connection's.
    for (const flags of [0, CT_KEY.NODE]) assert.equal(w.connection('ctTcp4', flags), undefined);
    assert.equal(answered(), `${V1}:82`);
  });
  test('UDP: the last frontend that was asked answers', () => {
    deliver(told({ protocol: 'udp' }));
    assert.equal(answered({ protocol: 'udp' }), `${V1}:80`);
    deliver(told({ protocol: 'udp' }, V2, 81));
    assert.equal(answered({ protocol: 'udp' }), `${V2}:81`);
  });
  test('a SYN that tells nothing ends it: the pod answers as itself', () => {
    deliver(told());
    assert.equal(answered(), `${V1}:80`);
    deliver(plain());
    assert.equal(answered(), `${POD}:8080`);
  });
  test('direct connections are not touched, and none is made', () => {
    deliver(plain());
    assert.equal(answered(), `${POD}:8080`);
    assert.equal(w.connection('ctTcpNew4', CT_KEY.NODE), undefined);
    assert.equal(w.map('nat4').size, 0);
  });
  test('TCP is asked for it in SYNs alone', () => {
    deliver(told({ flags: 'A' }));
    assert.equal(w.connection('ctTcpNew4', CT_KEY.NODE), undefined);
    assert.equal(answered({ flags: 'A' }), `${POD}:8080`);
  });
  test('an option of another kind or length is none', () => {
    for (const [at, value] of [
      [34, 0x9b],
      [35, 7],
    ] as const) {
      const bytes = told();
      bytes[at] = value;
      deliver(bytes);
      assert.equal(w.map('nat4').size, 0);
    }
    w.disable(FEATURE.DSR_OPTION);
    deliver(told());
    assert.equal(answered(), `${POD}:8080`);
  });
  test('for what is no endpoint here nothing is kept', () => {
    w.runBytes('FROM_NETDEV', told({ destination: '192.168.0.99' }));
    assert.equal(w.sim.maps.ctTcpNew4.size, 0);
    assert.equal(w.map('nat4').size, 0);
  });
  test('an answer whose connection was lost still leaves as the frontend, by its translation', () => {
    deliver(told());
    for (const name of ['ctTcpNew4', 'ctTcp4'] as const) {
      for (const [key] of w.entries(name)) w.map(name).delete(key);
    }
    const out = w.next('TO_NETDEV', w.run('FROM_CONTAINER', answer({ flags: 'A' })));
    assert.deepEqual([out.source, out.sourcePort, out.checksumsRight], [V1, 80, true]);
  });
  test('an ICMP error of the pod comes from the frontend, about the packet as the client sent it', () => {
    deliver(told({ protocol: 'udp' }));
    const asked = (more: Partial<PacketSpec>): Uint8Array => frame(request({ protocol: 'udp', ...more })).slice(14, 42);
    const quote = asked({ destination: POD, destinationPort: 8080 });
    const error = { protocol: 'icmp', source: POD, destination: CLIENT, type: 3, code: 3 } as const;
    const result = w.run('FROM_CONTAINER', { ...error, payload: quote });
    assert.equal(result.record.ctStatus, CT_STATUS.RELATED);
    assert.deepEqual([result.source, result.checksumsRight], [V1, true]);
    // Addresses and ports of what is quoted, and its own header's checksum.
    const expected = asked({});
    assert.deepEqual([...result.bytes.subarray(42, 42 + 24)], [...expected.subarray(0, 24)]);
  });
  test('a backend in the node’s own network answers at the device', () => {
    const host = '10.0.10.9';
    w.endpoint(host, { identity: 1, flags: 1, ifindex: 2 });
    const bytes = withOption(frame(request({ destination: host, destinationPort: 8080 })), V1, 80);
    assert.equal(w.runBytes('FROM_NETDEV', bytes).record.action, ACTION.STACK);
    const out = w.run('TO_NETDEV', answer({ source: host }));
    assert.deepEqual([out.source, out.sourcePort], [V1, 80]);
  });
  test('a probe changes nothing', () => {
    const before = w.snapshot();
    w.runBytes('FROM_NETDEV', told(), { flags: META_FLAG.PROBE });
    assert.equal(w.snapshot(), before);
    deliver(told());
    const there = w.snapshot();
    w.runBytes('FROM_NETDEV', plain(), { flags: META_FLAG.PROBE });
    assert.equal(w.snapshot(), there);
  });
  test('three conntrack probes at most', () => {
    for (const bytes of [told(), told(), plain({ flags: 'A' }), plain(), told({ protocol: 'udp' })]) {
      w.runBytes('FROM_NETDEV', bytes);
      assert.ok(w.sim.context.probesConntrack <= 3);
    }
  });
});
