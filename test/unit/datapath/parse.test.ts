// What each hook says of frames that are not plain IP with a known L4 header, and of fragments. Numbers are Cilium's.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  CT_STATUS,
  DIRECTION,
  DROP,
  FEATURE,
  type HOOK,
  STAGE,
  UNKNOWN_REASON,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const POD_HOOKS = ['FROM_CONTAINER', 'TO_CONTAINER'] as const;
const NODE_HOOKS = ['XDP', 'FROM_NETDEV', 'TO_NETDEV', 'FROM_HOST'] as const;
const HOOKS = [...POD_HOOKS, ...NODE_HOOKS];

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(A).endpoint(B).endpoint('fd00::1').endpoint('fd00::2').enable(FEATURE.NODE_PORT);
});

const tcp = (more: Partial<PacketSpec> = {}): Uint8Array =>
  frame({ protocol: 'tcp', source: A, destination: B, sourcePort: 1, destinationPort: 2, ...more });
const tcp6 = (more: Partial<PacketSpec> = {}): Uint8Array =>
  tcp({ source: 'fd00::1', destination: 'fd00::2', ...more });
const edit = (bytes: Uint8Array, at: number, ...values: number[]): Uint8Array => {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
};

function drops(bytes: Uint8Array, reason: number, hooks: readonly (keyof typeof HOOK)[]): void {
  for (const hook of hooks) {
    const { verdict, record } = w.runBytes(hook, bytes);
    assert.deepEqual([verdict, record.dropReason, record.stage], [VERDICT.DROPPED, reason, STAGE.PARSE], hook);
  }
}
function passes(bytes: Uint8Array, hooks: readonly (keyof typeof HOOK)[]): void {
  for (const hook of hooks) {
    const { verdict, record } = w.runBytes(hook, bytes);
    const action = hook === 'TO_CONTAINER' ? ACTION.DELIVER : ACTION.STACK;
    assert.deepEqual([verdict, record.action, record.dropReason], [VERDICT.FORWARDED, action, 0], hook);
  }
}

describe('frames that are not IP', () => {
  test('LLC (a length for a type): 166 at pods, the stack’s business elsewhere', () => {
    const llc = edit(tcp(), 12, 0, 46);
    drops(llc, DROP.UNSUPPORTED_L2, POD_HOOKS);
    passes(llc, NODE_HOOKS);
  });
  test('another EtherType: 139 at pods, the stack’s business elsewhere', () => {
    const lldp = tcp({ etherType: 0x88cc });
    drops(lldp, DROP.UNKNOWN_L3, POD_HOOKS);
    passes(lldp, NODE_HOOKS);
  });
  test('ARP passes everywhere', () => {
    passes(tcp({ etherType: 0x0806 }), HOOKS);
  });
  test('a third VLAN tag counts as not IP', () => {
    drops(tcp({ vlan: [1, 2, 3] }), DROP.UNKNOWN_L3, POD_HOOKS);
  });
  test('a family that is switched off counts as not IP', () => {
    w.disable(FEATURE.IPV6);
    drops(tcp6(), DROP.UNKNOWN_L3, POD_HOOKS);
    passes(tcp6(), NODE_HOOKS);
    w.enable(FEATURE.IPV6).disable(FEATURE.IPV4);
    drops(tcp(), DROP.UNKNOWN_L3, POD_HOOKS);
    passes(tcp(), NODE_HOOKS);
  });
  test('neighbour discovery passes at pods, from any source', () => {
    const ndp = { protocol: 'icmpv6', source: 'fe80::1', destination: 'ff02::1', type: 135, ttl: 255 } as const;
    passes(frame(ndp), POD_HOOKS);
  });
  test('neighbour discovery that was routed, or pretends to be, is policed like anything else', () => {
    for (const type of [133, 134, 135, 136, 137]) {
      const routed = frame({ protocol: 'icmpv6', source: '2001:db8::bad', destination: 'fd00::2', type, ttl: 254 });
      drops(routed, DROP.INVALID_SOURCE_IP, ['FROM_CONTAINER']);
    }
  });
  test('a frame shorter than its link header: 134', () => {
    drops(new Uint8Array(9), DROP.INVALID, HOOKS);
  });
});

describe('malformed IP', () => {
  test('a header length below 20, or a total length beyond the frame: 134', () => {
    drops(edit(tcp(), 14, 0x44), DROP.INVALID, HOOKS);
    drops(edit(tcp(), 16, 0xff, 0xff), DROP.INVALID, HOOKS);
    drops(edit(tcp6(), 18, 0xff, 0xff), DROP.INVALID, HOOKS);
  });
  test('an L4 header that does not fit: 135', () => {
    drops(edit(tcp(), 16, 0, 30), DROP.CT_INVALID_HEADER, HOOKS);
  });
  test('IPv6 without a next header, or more than four extension headers: 156', () => {
    drops(edit(tcp6(), 20, 59), DROP.INVALID_EXTENSION_HEADER, HOOKS);
    const payload = new Uint8Array(60);
    for (let i = 0; i < 5; i++) payload[i * 8] = 60;
    drops(frame({ protocol: 60, source: 'fd00::1', destination: 'fd00::2', payload }), 156, HOOKS);
  });
  test('an L4 protocol that conntrack does not know: 137 at pods, the stack’s business elsewhere', () => {
    const gre = tcp({ protocol: 47 });
    drops(gre, DROP.CT_UNKNOWN_PROTOCOL, POD_HOOKS);
    passes(gre, NODE_HOOKS);
  });
  test('SCTP that is switched off is such a protocol', () => {
    w.disable(FEATURE.SCTP);
    drops(tcp({ protocol: 'sctp' }), DROP.CT_UNKNOWN_PROTOCOL, POD_HOOKS);
    passes(tcp({ protocol: 'sctp' }), NODE_HOOKS);
  });
  test('a wrong checksum never drops', () => {
    const wrong = edit(edit(tcp(), 24, 0, 0), 50, 1, 1);
    assert.equal(w.runBytes('FROM_CONTAINER', wrong).verdict, VERDICT.FORWARDED);
    assert.equal(w.runBytes('TO_CONTAINER', wrong).verdict, VERDICT.FORWARDED);
  });
  test('a VLAN-tagged frame is IP; at the device it is for the stack, or a filter drops it (182)', () => {
    assert.equal(w.runBytes('FROM_CONTAINER', tcp({ vlan: [7] })).verdict, VERDICT.FORWARDED);
    const tags = [[7], [0], [7, 8], [1, 2, 3]];
    for (const vlan of tags) {
      for (const bytes of [tcp({ vlan }), edit(tcp({ vlan }), 14 + 4 * vlan.length, 0x95)]) {
        const { record, bytes: out } = w.runBytes('FROM_NETDEV', bytes);
        const { verdict, action, stage, dropReason, destinationIdentity } = record;
        assert.deepEqual([verdict, action, stage], [VERDICT.FORWARDED, ACTION.STACK, STAGE.PARSE]);
        assert.deepEqual([dropReason, destinationIdentity], [0, 0]);
        assert.deepEqual(out, bytes, 'no pod gets it');
      }
    }
    w.enable(FEATURE.VLAN_FILTER);
    for (const vlan of tags.filter(([id]) => id !== 0)) drops(tcp({ vlan }), DROP.VLAN_FILTERED, ['FROM_NETDEV']);
  });
});

describe('unknown is a verdict', () => {
  const cut = (hook: number, bytes: Uint8Array, end: number): number => {
    w.meta.reset();
    return w.sim.run(hook, w.packet.view(bytes.slice(0, end), 0, end, bytes.length, 1, 0, 0), w.meta);
  };
  test('a header that the snap length cut is UNKNOWN: truncated, never 134 or 135', () => {
    for (const end of [13, 20, 33, 40]) {
      assert.equal(cut(5, tcp(), end), VERDICT.UNKNOWN, `${end}`);
      const { unknownReason, dropReason } = w.sim.decision();
      assert.deepEqual([unknownReason, dropReason], [UNKNOWN_REASON.TRUNCATED, 0]);
    }
  });
  test('cut behind the L4 header nothing is missing', () => {
    assert.equal(cut(5, tcp(), 54), VERDICT.FORWARDED);
  });
  test('a link type without a reader is UNKNOWN: link type', () => {
    const bytes = tcp();
    w.sim.run(5, w.packet.set(bytes, 0, 0, 105), w.meta.reset());
    assert.equal(w.sim.decision().unknownReason, UNKNOWN_REASON.LINK_TYPE);
    assert.equal(w.sim.decision().verdict, VERDICT.UNKNOWN);
  });
  test('an unknown packet is not counted', () => {
    cut(5, tcp(), 20);
    assert.deepEqual(w.sim.metrics(), []);
  });
});

describe('fragments', () => {
  const payload = Uint8Array.from({ length: 24 }, (_, i) => i);
  const udp = { protocol: 'udp', source: A, destination: B, sourcePort: 7, destinationPort: 53, payload } as const;
  const first: PacketSpec = { ...udp, fragment: { id: 9, offset: 0, more: true } };
  const later: PacketSpec = { ...udp, fragment: { id: 9, offset: 32, more: false } };
  const six = { source: 'fd00::1', destination: 'fd00::2' };
  const metric = (reason: number): bigint[] =>
    w.sim
      .metrics()
      .filter((m) => m.reason === reason)
      .map((m) => m.packets);

  for (const [family, more] of [
    ['IPv4', {}],
    ['IPv6', six],
  ] as const) {
    test(`${family}: the first records the ports, the later find them and are of the same connection`, () => {
      assert.equal(w.run('FROM_CONTAINER', { ...first, ...more }).record.ctStatus, CT_STATUS.NEW);
      const result = w.run('FROM_CONTAINER', { ...later, ...more });
      assert.deepEqual([result.verdict, result.record.ctStatus], [VERDICT.FORWARDED, CT_STATUS.ESTABLISHED]);
      assert.deepEqual(metric(9), [2n]);
      assert.equal(w.sim.metrics().find((m) => m.reason === 9)!.direction, DIRECTION.EGRESS);
    });
    test(`${family}: a later one whose first was not seen: 175; from the world 207`, () => {
      drops(frame({ ...later, ...more }), DROP.FRAG_NOT_FOUND, ['FROM_CONTAINER', 'TO_CONTAINER']);
      const world = family === 'IPv4' ? { source: '192.0.2.1' } : { ...six, source: '2001:db8::1' };
      drops(frame({ ...later, ...world }), DROP.FRAG_NOT_FOUND_FROM_WORLD, ['TO_CONTAINER']);
    });
    test(`${family}: tracking off, a pod sends no fragment (157)`, () => {
      w.disable(FEATURE.FRAGMENTS_V4, FEATURE.FRAGMENTS_V6);
      drops(frame({ ...first, ...more }), DROP.FRAG_NO_SUPPORT, ['FROM_CONTAINER']);
      drops(frame({ ...later, ...more }), DROP.FRAG_NO_SUPPORT, ['FROM_CONTAINER']);
    });
    test(`${family}: tracking off, a later fragment matches only rules without a port (157 when none does)`, () => {
      const to = family === 'IPv4' ? B : 'fd00::2';
      const run = (): Result => w.run('TO_CONTAINER', { ...later, ...more });
      w.disable(FEATURE.FRAGMENTS_V4, FEATURE.FRAGMENTS_V6).changeEndpoint(to, { policyId: 3 });
      w.policy(3, { ingress: [{ protocol: 'udp', port: 53 }] });
      assert.deepEqual([run().record.dropReason, run().record.stage], [DROP.FRAG_NO_SUPPORT, STAGE.POLICY]);
      w.policy(3, { ingress: [{ protocol: 'udp' }] });
      assert.equal(run().verdict, VERDICT.FORWARDED);
    });
  }
  test('a fragment of ICMP: 134 at pods, the stack’s business elsewhere', () => {
    const ping = frame({ ...first, protocol: 'icmp', type: 8 });
    drops(ping, DROP.INVALID, POD_HOOKS);
    passes(ping, ['XDP']);
  });
  test('another datagram id, protocol or pair of addresses is another datagram', () => {
    w.run('FROM_CONTAINER', first);
    drops(frame({ ...later, fragment: { id: 10, offset: 32, more: false } }), 175, ['FROM_CONTAINER']);
    drops(frame({ ...later, destination: '10.0.2.3' }), 175, ['FROM_CONTAINER']);
    drops(frame({ ...later, protocol: 'tcp' }), 175, ['FROM_CONTAINER']);
  });
  test('later fragments are translated in their addresses only', () => {
    w.backend(1, B, 5353).service('172.16.0.1', 53, { backends: [1], protocol: 'udp' });
    const vip = { destination: '172.16.0.1' };
    const one = w.run('FROM_CONTAINER', { ...first, ...vip });
    assert.deepEqual([one.destination, one.destinationPort], [B, 5353]);
    const two = w.run('FROM_CONTAINER', { ...later, ...vip });
    assert.equal(two.destination, B);
    assert.ok(two.checksumsRight);
    assert.deepEqual(two.bytes.slice(34), frame(later).slice(34));
    assert.equal(two.record.backendId, 1);
  });
});
