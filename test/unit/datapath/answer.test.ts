// What the datapath itself answers: no backend, denied by policy; what it must never answer; the rate limit.
// Answers are compared with bytes put together by the tests' own encoder. Vectors are those of Cilium's tests.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  BACKEND_STATE,
  DROP,
  FEATURE,
  RECORD_FLAG,
  STAGE,
  TRACE,
  TRACE_WORDS,
  VERDICT,
} from '../../../src/schema/index.ts';
import { traceSentence } from '../../../src/flow/trace-text.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressText, frame, internetChecksum, type PacketSpec } from '../../support/packets.ts';

const C = '110.0.11.1';
const C6 = 'fd11::1';
const V1 = '172.16.10.1';
const V2 = '172.16.10.2';
const V6 = 'fd10::2';
const P1 = '192.168.0.1';

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.NODE_PORT, FEATURE.NO_BACKEND_REJECT);
  w.endpoint(C, { ifindex: 24 }).endpoint(C6, { ifindex: 26 });
});

const request = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: C,
  destination: V2,
  sourcePort: 111,
  destinationPort: 80,
  ...more,
});
const request6 = (more: Partial<PacketSpec> = {}): PacketSpec => request({ source: C6, destination: V6, ...more });

/** The ICMP error that quotes `quoted` bytes of a frame's IP packet, as the tests' encoder makes it. */
function icmpAnswer(original: Uint8Array, spec: PacketSpec, type: number, code: number, quoted: number): Uint8Array {
  const six = spec.source.includes(':');
  const quote = original.slice(14, Math.min(original.length, 14 + quoted));
  const answer = frame({
    protocol: six ? 'icmpv6' : 'icmp',
    source: spec.destination,
    destination: spec.source,
    type,
    code,
    payload: quote,
    ttl: 64,
    destinationMac: '02:00:00:00:00:01',
    sourceMac: '02:00:00:00:00:02',
  });
  // The encoder writes a sequence number of 1 where an error has zeros: 1 more in the sum.
  const at = six ? 54 : 34;
  answer[at + 7] = 0;
  answer[at + 2] = 0;
  answer[at + 3] = 0;
  const pseudo = six
    ? [...answer.slice(22, 54), 0, 0, (answer.length - at) >> 8, (answer.length - at) & 255, 0, 0, 0, 58]
    : [];
  const sum = internetChecksum(Uint8Array.from(pseudo), answer.slice(at));
  answer[at + 2] = sum >> 8;
  answer[at + 3] = sum & 255;
  return answer;
}

const answered = (result: Result): boolean => (result.record.flags & RECORD_FLAG.ANSWERED) !== 0;

function isNoService(result: Result, hook: string): void {
  assert.equal(result.verdict, VERDICT.DROPPED, hook);
  assert.deepEqual(
    [result.record.dropReason, result.record.stage, result.record.action, result.record.outIfindex],
    [DROP.NO_SERVICE, STAGE.SERVICE, ACTION.TX, 0],
  );
  assert.ok(answered(result));
}

describe('no backend, answered', () => {
  test('vector 13: at a pod, count 1 and no slot: ICMP 3/3 from the frontend, checksum 0x2c3f over 60 bytes', () => {
    w.service(V2, 80, { backends: [9] });
    w.map('services4').delete({ address: 0xac100a02, port: 80, slot: 1, protocol: 6, scope: 0 });
    const spec = request();
    const result = w.run('FROM_CONTAINER', spec, { ifindex: 24 });
    isNoService(result, 'from-container');
    assert.deepEqual(result.bytes, icmpAnswer(frame(spec), spec, 3, 3, 64));
    assert.deepEqual([result.source, result.destination, result.ttl, result.l4Checksum], [V2, C, 64, 0x2c3f]);
    assert.equal(result.bytes.length, 14 + 28 + 60);
    assert.ok(result.checksumsRight);
  });
  test('at the device; an xdp program leaves it to the device', () => {
    w.enable(FEATURE.DSR_IPIP);
    w.service(V2, 80, { backends: [] });
    const spec = request();
    isNoService(w.run('FROM_NETDEV', spec), 'from-netdev');
    const early = w.run('XDP', spec);
    assert.deepEqual([early.verdict, early.record.action], [VERDICT.FORWARDED, ACTION.STACK]);
    assert.deepEqual(early.bytes, frame(spec));
  });
  test('at most 64 bytes are quoted, of IPv6 1232', () => {
    w.service(V2, 80, { backends: [], protocol: 'udp' });
    w.service(V6, 80, { backends: [], protocol: 'udp' });
    for (const size of [0, 1, 35, 36, 37, 1183, 1184, 1185, 1400]) {
      const payload = Uint8Array.from({ length: size }, (_, i) => i * 7);
      const four = request({ protocol: 'udp', payload });
      const result = w.run('FROM_CONTAINER', four);
      isNoService(result, `${size}`);
      assert.deepEqual(result.bytes, icmpAnswer(frame(four), four, 3, 3, 64));
      const six = request6({ protocol: 'udp', payload });
      const result6 = w.run('FROM_CONTAINER', six);
      isNoService(result6, `${size}`);
      assert.deepEqual(result6.bytes, icmpAnswer(frame(six), six, 1, 4, 1232));
      assert.ok(result6.checksumsRight && result6.bytes.length <= 14 + 1280);
    }
  });
  test('a tagged frame is answered with its tags', () => {
    w.service(V2, 80, { backends: [] });
    const result = w.run('FROM_CONTAINER', request({ vlan: [5, 6] }));
    assert.equal(result.bytes.length, 22 + 28 + 60);
    assert.deepEqual([...result.bytes.slice(12, 22)], [0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0]);
    assert.equal(addressText(result.bytes.slice(22 + 16, 22 + 20)), C);
  });
  test('`drop` drops without a word; neither bit hands the packet to the stack', () => {
    w.service(V2, 80, { backends: [] });
    w.disable(FEATURE.NO_BACKEND_REJECT);
    const spec = request();
    const result = w.run('FROM_CONTAINER', spec);
    assert.deepEqual([result.record.dropReason, result.record.action], [DROP.NO_SERVICE, ACTION.DROP]);
    assert.deepEqual(result.bytes, frame(spec));
    w.disable(FEATURE.NO_BACKEND_DROP);
    assert.equal(w.run('FROM_CONTAINER', spec).record.action, ACTION.STACK);
  });
  test('vector 14: a port that the wildcard of an address covers is dropped, unchanged, without an answer', () => {
    w.service(V2, 443, { backends: [] });
    w.wildcard(V2);
    for (const hook of ['XDP', 'FROM_NETDEV'] as const) {
      for (const [protocol, destinationPort] of [
        ['tcp', 444],
        ['udp', 443],
      ] as const) {
        const spec = request({ protocol, destinationPort, sourcePort: 22330 });
        const result = w.run(hook, spec);
        assert.deepEqual([result.verdict, result.record.dropReason], [VERDICT.DROPPED, DROP.NO_SERVICE]);
        assert.equal(result.record.action, ACTION.DROP);
        assert.deepEqual(result.bytes, frame(spec));
      }
    }
  });
  test('vector 16: a flow stays with its backend while that terminates and the count is 0', () => {
    w.endpoint(P1, { ifindex: 25, mac: Uint8Array.of(2, 0, 0, 0, 0, 9), nodeMac: Uint8Array.of(2, 0, 0, 0, 0, 8) });
    w.backend(7, P1, 8080, BACKEND_STATE.ACTIVE, 'udp');
    w.service(V1, 80, { backends: [7], protocol: 'udp', reverseNat: 5 });
    const spec = request({ destination: V1, protocol: 'udp' });
    const first = w.run('FROM_NETDEV', spec);
    w.backend(7, P1, 8080, BACKEND_STATE.TERMINATING, 'udp');
    w.service(V1, 80, { backends: [], protocol: 'udp', reverseNat: 5 });
    const second = w.run('FROM_NETDEV', spec);
    for (const result of [first, second]) {
      assert.deepEqual([result.record.action, result.record.outIfindex], [ACTION.LOCAL, 25]);
      assert.deepEqual([result.destination, result.destinationPort, result.ttl], [P1, 8080, 63]);
      assert.deepEqual([result.ipChecksum, result.l4Checksum], [0x4213, 0x699a]);
    }
    isNoService(w.run('FROM_NETDEV', { ...spec, sourcePort: 112 }), 'another client');
  });
});

describe('denied by policy', () => {
  const denied = (more: Partial<PacketSpec> = {}): PacketSpec => request({ destination: '10.9.9.9', ...more });
  beforeEach(() => {
    w.policy(3, { egress: [] }).changeEndpoint(C, { policyId: 3 }).changeEndpoint(C6, { policyId: 3 });
  });
  test('vector 20 and `none`: nothing is answered', () => {
    const result = w.run('FROM_CONTAINER', denied({ destinationPort: 222 }));
    assert.deepEqual([result.record.dropReason, result.record.action], [DROP.POLICY, ACTION.DROP]);
  });
  test('`icmp`: administratively prohibited', () => {
    w.enable(FEATURE.POLICY_DENY_ICMP);
    const spec = denied();
    const result = w.run('FROM_CONTAINER', spec);
    assert.deepEqual(
      [result.verdict, result.record.dropReason, result.record.action],
      [VERDICT.DROPPED, DROP.POLICY, ACTION.TX],
    );
    assert.deepEqual(result.bytes, icmpAnswer(frame(spec), spec, 3, 13, 64));
    const six = request6({ destination: 'fd99::9' });
    assert.deepEqual(w.run('FROM_CONTAINER', six).bytes, icmpAnswer(frame(six), six, 1, 1, 1232));
  });
  test('the quote is what the pod sent: before its service was translated', () => {
    w.enable(FEATURE.POLICY_DENY_ICMP);
    w.backend(7, P1, 8080).service(V1, 80, { backends: [7] });
    w.backend(8, 'fd77::1', 8080).service(V6, 80, { backends: [8] });
    const spec = request({ destination: V1 });
    assert.deepEqual(w.run('FROM_CONTAINER', spec).bytes, icmpAnswer(frame(spec), spec, 3, 13, 64));
    const six = request6();
    assert.deepEqual(w.run('FROM_CONTAINER', six).bytes, icmpAnswer(frame(six), six, 1, 1, 1232));
  });
  test('`reset`: TCP gets a reset that acknowledges what it sent, or takes its acknowledgement over', () => {
    w.enable(FEATURE.POLICY_DENY_ICMP, FEATURE.POLICY_DENY_RESET);
    const tcp = (result: Result): number[] => {
      const view = new DataView(result.bytes.buffer, result.bytes.byteOffset);
      const at = result.bytes[14]! >> 4 === 4 ? 34 : 54;
      return [view.getUint32(at + 4), view.getUint32(at + 8), result.bytes[at + 13]!];
    };
    for (const spec of [denied(), request6({ destination: 'fd99::9' })]) {
      for (const [flags, expected] of [
        ['S', [0, 123456 + 21, 0x14]],
        ['F', [0, 123456 + 21, 0x14]],
        ['', [0, 123456 + 20, 0x14]],
        ['A', [0, 0, 0x04]],
      ] as const) {
        const result = w.run('FROM_CONTAINER', { ...spec, flags });
        assert.deepEqual(tcp(result), expected, flags);
        assert.ok(result.checksumsRight);
        assert.deepEqual(
          [result.source, result.sourcePort, result.destinationPort],
          [addressOf(spec.destination), 80, 111],
        );
        assert.equal(result.bytes.length, spec.source === C ? 54 : 74);
      }
      const udp = w.run('FROM_CONTAINER', { ...spec, protocol: 'udp' });
      assert.ok([1, 58].includes(udp.protocol));
    }
  });
  test('a sequence number that wraps', () => {
    w.enable(FEATURE.POLICY_DENY_RESET);
    const result = w.run('FROM_CONTAINER', denied({ sequence: 0xffffffff }));
    assert.equal(new DataView(result.bytes.buffer).getUint32(42), 20);
  });
  test('ingress is not answered', () => {
    w.enable(FEATURE.POLICY_DENY_ICMP, FEATURE.POLICY_DENY_RESET);
    w.policy(4, { ingress: [] }).endpoint(P1, { policyId: 4 });
    const result = w.run('TO_CONTAINER', request({ destination: P1 }));
    assert.deepEqual([result.record.dropReason, result.record.action], [DROP.POLICY, ACTION.DROP]);
  });
});

const addressOf = (text: string): string => (text.includes(':') ? 'fd99:0:0:0:0:0:0:9' : text);

describe('never answered', () => {
  const quiet = (spec: PacketSpec, why: string): void => {
    const bytes = frame(spec);
    const result = w.run('FROM_CONTAINER', spec);
    assert.equal(result.verdict, VERDICT.DROPPED, why);
    assert.equal(result.record.action, ACTION.DROP, why);
    assert.ok(!answered(result), why);
    assert.deepEqual(result.bytes, bytes, why);
  };
  beforeEach(() => {
    w.enable(FEATURE.POLICY_DENY_ICMP, FEATURE.POLICY_DENY_RESET);
    w.policy(3, { egress: [] }).changeEndpoint(C, { policyId: 3 }).changeEndpoint(C6, { policyId: 3 });
  });
  test('errors, echo replies and other ICMP', () => {
    for (const type of [3, 11, 12, 0, 5, 13]) quiet(request({ protocol: 'icmp', type }), `type ${type}`);
    for (const type of [1, 2, 3, 4, 129, 200]) quiet(request6({ protocol: 'icmpv6', type }), `type ${type}`);
    assert.ok(answered(w.run('FROM_CONTAINER', request({ protocol: 'icmp', type: 8 }))));
    assert.ok(answered(w.run('FROM_CONTAINER', request6({ protocol: 'icmpv6', type: 128 }))));
  });
  test('a reset', () => {
    for (const flags of ['R', 'RA']) quiet(request({ flags }), flags);
  });
  test('groups and broadcasts', () => {
    for (const destination of ['224.0.0.1', '255.255.255.255']) quiet(request({ destination }), destination);
    quiet(request6({ destination: 'ff02::1' }), 'a group');
    quiet(request({ destinationMac: 'ff:ff:ff:ff:ff:ff' }), 'a broadcast frame');
    quiet(request({ destinationMac: '01:00:5e:00:00:01' }), 'a group frame');
  });
  test('sources that are nobody', () => {
    for (const source of ['0.0.0.0', '127.0.0.1', '239.1.1.1', '255.255.255.255']) {
      w.endpoint(source, { policyId: 3 });
      quiet(request({ source }), source);
    }
    for (const source of ['::0', '::1', 'ff02::9']) {
      w.endpoint(source.replace('::0', '::'), { policyId: 3 });
      quiet(request6({ source: source.replace('::0', '::') }), source);
    }
  });
  test('a later fragment', () => {
    const fragment = { id: 5, more: true };
    w.run('FROM_CONTAINER', request({ protocol: 'udp', fragment: { ...fragment, offset: 0 } }));
    quiet(request({ protocol: 'udp', fragment: { ...fragment, offset: 24 } }), 'later');
    quiet(request({ fragment: { ...fragment, offset: 0 } }), 'a reset to a part of a segment');
  });
});

describe('rate limit', () => {
  beforeEach(() => {
    w.service(V2, 80, { backends: [] });
  });
  const burst = (count: number, ifindex = 24): number => {
    let sent = 0;
    for (let i = 0; i < count; i++) if (answered(w.run('FROM_CONTAINER', request(), { ifindex }))) sent++;
    return sent;
  };
  test('100 at first, 100 a second, 1000 at most', () => {
    assert.equal(burst(150), 100);
    w.now += 1;
    assert.equal(burst(150), 100);
    w.now += 3;
    assert.equal(burst(400), 300);
    w.now += 5000;
    assert.equal(burst(1200), 1000);
  });
  test('an interface has its own bucket, and what is limited keeps its reason and is counted as 198', () => {
    w.disable(FEATURE.SOURCE_CHECK);
    assert.equal(burst(101, 24), 100);
    assert.equal(burst(1, 25), 1);
    const result = w.run('FROM_CONTAINER', request(), { ifindex: 24 });
    assert.deepEqual([result.record.dropReason, result.record.action], [DROP.NO_SERVICE, ACTION.DROP]);
    assert.deepEqual(result.bytes, frame(request()));
    assert.equal(w.sim.metrics().find(({ reason }) => reason === DROP.RATE_LIMITED)?.packets, 2n);
  });
  test('a probe takes no token', () => {
    for (let i = 0; i < 300; i++) {
      assert.ok(answered(w.run('FROM_CONTAINER', request(), { ifindex: 24, flags: 2 })));
    }
    assert.equal(burst(101), 100);
  });
  test('time that went back does not fill a bucket', () => {
    assert.equal(burst(100), 100);
    w.now -= 50;
    assert.equal(burst(5), 0);
  });
});

describe('routing', () => {
  const ROUTER = '10.0.0.254';
  const ROUTER6 = 'fd00:0:0:0:0:0:0:fe';
  const B = '10.0.2.2';
  const quoteOf = (result: Result): Uint8Array => result.bytes.slice(result.bytes[14]! >> 4 === 4 ? 42 : 62);
  beforeEach(() => {
    w.endpoint(B).endpoint('fd00::2');
  });
  test('no hop left: time exceeded from the node’s own address, at the pod and at the device', () => {
    for (const hook of ['FROM_CONTAINER', 'FROM_NETDEV'] as const) {
      const four = request({ destination: B, ttl: 1 });
      const result = w.run(hook, four);
      assert.deepEqual([result.record.dropReason, result.record.action], [DROP.TTL_EXCEEDED, ACTION.TX], hook);
      assert.deepEqual([result.source, result.destination, result.bytes[34], result.bytes[35]], [ROUTER, C, 11, 0]);
      assert.ok(result.checksumsRight);
      assert.deepEqual(quoteOf(result), frame(four).slice(14, 78));
      const six = request6({ destination: 'fd00::2', ttl: 0 });
      const result6 = w.run(hook, six);
      assert.deepEqual([result6.source, result6.bytes[54], result6.bytes[55]], [ROUTER6, 3, 0]);
      assert.ok(result6.checksumsRight);
      assert.deepEqual(quoteOf(result6), frame(six).slice(14));
    }
  });
  test('of a translated packet the quote is what the client sent', () => {
    w.backend(7, B, 8080).service(V1, 80, { backends: [7] });
    const spec = request({ destination: V1, ttl: 1 });
    assert.deepEqual(quoteOf(w.run('FROM_NETDEV', spec)), frame(spec).slice(14, 78));
  });
  test('a node without an address says nothing; nor does the host’s own traffic get an answer', () => {
    assert.equal(w.run('FROM_HOST', request({ destination: B, ttl: 1 })).record.action, ACTION.DROP);
    w.configure({ routerAddress4: 0, routerAddress6: new Uint8Array(16) });
    assert.equal(w.run('FROM_CONTAINER', request({ destination: B, ttl: 1 })).record.action, ACTION.DROP);
    assert.equal(w.run('FROM_CONTAINER', request6({ destination: 'fd00::2', ttl: 1 })).record.action, ACTION.DROP);
  });
  describe('over the MTU of a route', () => {
    const FAR = '192.0.2.7';
    beforeEach(() => {
      w.enable(FEATURE.PMTU_DISCOVERY);
      const gateway = new Uint8Array(16);
      w.map('routes4').set({ prefixLength: 0, address: 0 }, { ifindex: 3, mtu: 100, flags: 1, gateway });
      w.map('routes6').set({ prefixLength: 0, address: gateway }, { ifindex: 3, mtu: 1280, flags: 1, gateway });
    });
    const big = (more: Partial<PacketSpec>, dontFragment = true): Uint8Array => {
      const bytes = frame({ ...request({ destination: FAR, protocol: 'udp' }), ...more });
      if (bytes[14]! >> 4 === 4 && dontFragment) {
        bytes[20] = 0x40;
        bytes.set([0, 0], 24);
        const sum = internetChecksum(bytes.slice(14, 34));
        bytes.set([sum >> 8, sum & 255], 24);
      }
      return bytes;
    };
    test('“fragmentation needed” with the MTU, only to who may not be fragmented', () => {
      const bytes = big({ payload: new Uint8Array(73) });
      const result = w.runBytes('FROM_CONTAINER', bytes);
      assert.deepEqual([result.record.dropReason, result.record.action], [DROP.FRAG_NEEDED, ACTION.TX]);
      assert.deepEqual([...result.bytes.slice(34, 36), ...result.bytes.slice(38, 42)], [3, 4, 0, 0, 0, 100]);
      assert.ok(result.checksumsRight);
      assert.deepEqual(quoteOf(result), bytes.slice(14, 78));
      assert.equal(w.runBytes('FROM_CONTAINER', big({ payload: new Uint8Array(72) })).record.action, ACTION.STACK);
      assert.equal(
        w.runBytes('FROM_CONTAINER', big({ payload: new Uint8Array(73) }, false)).record.action,
        ACTION.STACK,
      );
    });
    test('“packet too big” over IPv6', () => {
      const spec = { source: C6, destination: '2001:db8::7', payload: new Uint8Array(1300) };
      const result = w.runBytes('FROM_CONTAINER', big(spec));
      assert.deepEqual([...result.bytes.slice(54, 56), ...result.bytes.slice(58, 62)], [2, 0, 0, 0, 5, 0]);
      assert.ok(result.checksumsRight);
      assert.equal(result.bytes.length, 14 + 1280);
    });
    test('of a GSO packet the segments count', () => {
      const bytes = big({ payload: new Uint8Array(500) });
      assert.equal(w.runBytes('FROM_CONTAINER', bytes, { gsoSize: 72 }).record.action, ACTION.STACK);
      assert.equal(w.runBytes('FROM_CONTAINER', bytes, { gsoSize: 73 }).record.dropReason, DROP.FRAG_NEEDED);
    });
    test('without path MTU discovery the stack gets it', () => {
      w.disable(FEATURE.PMTU_DISCOVERY);
      assert.equal(w.runBytes('FROM_CONTAINER', big({ payload: new Uint8Array(500) })).record.action, ACTION.STACK);
    });
  });
});

test('the trace tells the answer, or why there is none', () => {
  w.service(V2, 80, { backends: [] });
  w.sim.trace.enabled = true;
  const names = { address: (words: readonly number[]) => words.join(), identity: () => undefined, rules: () => [] };
  const last = (): string => {
    const { count, words } = w.sim.trace;
    return traceSentence(words, (count - 1) * TRACE_WORDS, names).text;
  };
  w.run('FROM_CONTAINER', request());
  assert.match(last(), /^answered: ICMP “port unreachable” from /);
  assert.equal(w.sim.trace.words[(w.sim.trace.count - 1) * TRACE_WORDS], TRACE.ANSWER);
  w.run('FROM_CONTAINER', request({ destinationMac: 'ff:ff:ff:ff:ff:ff' }));
  assert.match(last(), /is not sent: nobody/);
  for (let i = 0; i < 120; i++) w.run('FROM_CONTAINER', request());
  assert.match(last(), /is not sent: too many/);
});
