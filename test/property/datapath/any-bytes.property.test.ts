// Whatever arrives, wherever: no exception, one verdict, one count, nothing written outside the frame.
// Input: random and mutated frames, random meta, random places in a larger buffer. Output: invariants of the record.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ACTION,
  CT_STATUS,
  FEATURE,
  HOOK,
  RECORD_FLAG,
  SERVICE_FLAG,
  TRACE_WORDS,
  VERDICT,
} from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { withOption } from '../../support/direct-return.ts';
import { encapsulated } from '../../support/ipip-encoder.ts';
import { directReturnOption, inOverlay } from '../../support/overlay-encoder.ts';
import { addressBytes, frame, type PacketSpec } from '../../support/packets.ts';

const four = {
  source: fc.constantFrom('10.0.1.1', '10.0.2.2', '203.0.113.7', '169.254.42.1'),
  destination: fc.constantFrom('10.0.1.1', '10.0.2.2', '172.16.0.1', '172.16.0.2', '203.0.113.7', '10.0.3.3'),
};
const six = {
  source: fc.constantFrom('fd00::1', 'fd00::2', '2001:db8::1'),
  destination: fc.constantFrom('fd00::1', 'fd00::2', 'fd00:1::1', 'fd00:1::2', 'fd00:3::3'),
};
const rest = {
  protocol: fc.constantFrom<PacketSpec['protocol']>('tcp', 'udp', 'sctp', 'icmp', 'icmpv6', 47, 0, 43, 60),
  sourcePort: fc.constantFrom(80, 1000, 8080),
  destinationPort: fc.constantFrom(80, 81, 1000, 8080),
  flags: fc.constantFrom('S', 'SA', 'A', 'FA', 'R', ''),
  ttl: fc.constantFrom<number>(0, 1, 2, 64),
  type: fc.nat(255),
  code: fc.nat(255),
  id: fc.constantFrom<number>(0, 7),
  payload: fc.uint8Array({ maxLength: 40 }),
  vlan: fc.constantFrom<number[] | undefined>(undefined, [5], [5, 6], [5, 6, 7]),
  fragment: fc.constantFrom(undefined, { id: 3, offset: 0, more: true }, { id: 3, offset: 32, more: false }),
};
const specs = fc.oneof(fc.record({ ...four, ...rest }), fc.record({ ...six, ...rest }));
const clean = (spec: object): PacketSpec =>
  Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as unknown as PacketSpec;
const mutated = fc
  .tuple(
    specs,
    fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 3 }),
    fc.option(fc.nat(100), { nil: undefined }),
  )
  .map(([spec, edits, cut]) => {
    const bytes = frame(clean(spec));
    for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
    return cut === undefined ? bytes : bytes.slice(0, cut);
  });
/** The same inside a packet of the overlay or of IPIP, or with the option of a balancer; a byte of it may be wrong. */
const wrapped = fc
  .tuple(mutated, fc.nat(4), fc.constantFrom<number>(0, 1, 2, 6, 3000), fc.nat(110), fc.option(fc.nat(255)))
  .map(([inner, how, vni, at, value]) => {
    const outer = { source: '10.0.9.2', destination: '10.0.9.1', sourcePort: 40000, port: 8472, vni };
    const ends = { destinationMac: new Uint8Array(6), sourceMac: new Uint8Array(6), linkBytes: 14 };
    const short = inner.length < 54;
    const six = !short && inner[14]! >> 4 === 6;
    const [source, destination] = [
      addressBytes(six ? 'fd00:9::2' : '10.0.9.2'),
      addressBytes(six ? 'fd00::2' : '10.0.2.2'),
    ];
    const options = directReturnOption(six ? 'fd00:1::2' : '172.16.0.2', 80);
    const bytes = [
      () => inOverlay(inner, { ...outer, geneve: false }),
      () => inOverlay(inner, { ...outer, geneve: true }),
      () => inOverlay(inner, { ...outer, geneve: true, options }),
      () => (short ? inner : encapsulated(inner, { source, destination, ...ends })),
      () => (short ? inner : withOption(inner, six ? 'fd00:1::2' : '172.16.0.2', 80)),
    ][how]!();
    if (value !== null && at < bytes.length) bytes[at] = value;
    return bytes;
  });
const input = fc.record({
  hook: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...Object.values(HOOK)) }, fc.integer()),
  bytes: fc.oneof(
    { weight: 8, arbitrary: mutated },
    { weight: 4, arbitrary: wrapped },
    fc.uint8Array({ maxLength: 120 }),
  ),
  before: fc.nat(20),
  after: fc.nat(20),
  cutBehind: fc.constantFrom<number>(0, 0, 0, 1, 20, 2000),
  linkType: fc.oneof(
    { weight: 8, arbitrary: fc.constant(1) },
    fc.constantFrom<number>(0, 101, 113, 276, 228, 229, 105),
  ),
  seconds: fc.oneof(fc.nat(200), fc.constantFrom<number>(-1, 0x7fffffff)),
  meta: fc.record({
    ifindex: fc.constantFrom<number>(0, 11, 99, -1),
    mark: fc.constantFrom<number>(0, 0xc00, 0xf00, 0x03e90f00, -1),
    flags: fc.nat(15),
    gsoSize: fc.constantFrom<number>(0, 1400, 65535),
    xdpMetadata: fc.constantFrom<number>(0, 1),
  }),
});

function build(features: number): World {
  const w = new World({
    specs: { ctTcpNew4: { maxEntries: 8 }, ctAnyNew4: { maxEntries: 8 }, fragments4: { maxEntries: 2 } },
  });
  w.endpoint('10.0.1.1', { policyId: 3 }).endpoint('10.0.2.2').endpoint('fd00::1', { policyId: 3 }).endpoint('fd00::2');
  w.policy(3, {
    ingress: [{ protocol: 'tcp' }],
    egress: [
      { protocol: 'tcp', port: 80 },
      { protocol: 'tcp', port: 8080, verdict: 'redirect', proxyPort: 9 },
    ],
  });
  w.backend(1, '10.0.2.2', 8080).backend(2, 'fd00::2', 8080).backend(3, '10.0.1.1', 80);
  w.service('172.16.0.1', 80, { backends: [1, 3], affinitySeconds: 5 });
  w.service('172.16.0.1', 81, { backends: [1], protocol: 'udp' });
  w.service('172.16.0.1', 1000, { backends: [] });
  w.service('fd00:1::1', 80, { backends: [2] });
  w.wildcard('172.16.0.1');
  const direct = SERVICE_FLAG.ROUTABLE | SERVICE_FLAG.FORWARD_DSR | SERVICE_FLAG.LOAD_BALANCER;
  w.backend(4, '10.0.3.3', 8080).backend(5, 'fd00:3::3', 8080);
  w.service('172.16.0.2', 80, { backends: [4], flags: direct });
  w.service('172.16.0.2', 81, { backends: [4], flags: direct, protocol: 'udp' });
  w.service('fd00:1::2', 80, { backends: [5], flags: direct });
  w.identity('10.0.3.3', 3000, 2, '10.0.9.2').identity('fd00:3::3', 3000, 2, 'fd00:9::2');
  w.node(1, '10.0.9.1').node(1, 'fd00:9::1');
  w.map('routes4').set(
    { prefixLength: 0, address: 0 },
    { ifindex: 3, mtu: 1500, flags: 0, gateway: new Uint8Array(16) },
  );
  return w.enable(FEATURE.NODE_PORT, features);
}

const TRUNCATED_BEHIND_TAG = {
  hook: HOOK.FROM_NETDEV,
  bytes: Uint8Array.of(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 129, 0, 0, 5, 129, 0, 0, 6, 134, 221),
  before: 0,
  after: 0,
  cutBehind: 2000,
  linkType: 1,
  seconds: 0,
  meta: { ifindex: 0, mark: 0, flags: 0, gsoSize: 0, xdpMetadata: 0 },
};

test('any bytes at any hook: one verdict, a consistent record, one count, nothing outside the frame touched', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.boolean(), fc.nat(0x3fffffff), fc.array(input, { maxLength: 12 }), (tracing, features, inputs) => {
      const w = build(features);
      w.sim.trace.enabled = tracing;
      for (const p of inputs) {
        const buffer = new Uint8Array(p.before + p.bytes.length + p.after).fill(0xa5);
        buffer.set(p.bytes, p.before);
        const end = p.before + p.bytes.length;
        w.packet.view(buffer, p.before, end, end + p.cutBehind, p.linkType, p.seconds, 5);
        Object.assign(w.meta.reset(), p.meta);
        const before = w.counted();
        const verdict = w.sim.run(p.hook, w.packet, w.meta);
        const record = w.sim.decision();
        assert.equal(record.verdict, verdict);
        assert.ok([0, 1, 2, 3, 4, 5].includes(verdict), `verdict ${verdict}`);
        assert.equal(record.dropReason !== 0, verdict === VERDICT.DROPPED);
        assert.equal(record.unknownReason !== 0, verdict === VERDICT.UNKNOWN);
        // A dropped packet may have become the answer to its sender.
        const answered = (record.flags & RECORD_FLAG.ANSWERED) !== 0;
        assert.ok(!answered || (verdict === VERDICT.DROPPED && record.action !== ACTION.DROP));
        assert.equal(record.action === ACTION.DROP, verdict === VERDICT.DROPPED && !answered);
        assert.equal(record.action === ACTION.PROXY, verdict === VERDICT.REDIRECTED);
        assert.ok([0, 1, 2, 3, CT_STATUS.NONE].includes(record.ctStatus));
        const counted = verdict !== VERDICT.UNKNOWN && verdict !== VERDICT.ERROR && (p.meta.flags & 2) === 0;
        assert.equal(w.counted() - before, counted ? 1 : 0);
        assert.ok(buffer.subarray(0, p.before).every((b) => b === 0xa5));
        assert.ok(buffer.subarray(end).every((b) => b === 0xa5));
        assert.ok(w.sim.trace.count * TRACE_WORDS <= w.sim.trace.words.length);
        const reached = `${record.hook} ${verdict} ${record.dropReason}`;
        seen.set(reached, (seen.get(reached) ?? 0) + 1);
      }
    }),
    {
      numRuns: 400,
      examples: [
        // A truncated frame behind a VLAN tag, with the VLAN filter on: dropped, and then not unknown as well.
        [false, 131072, [TRUNCATED_BEHIND_TAG]],
      ],
    },
  );
  // The inputs must reach far: many different (hook, verdict, reason).
  assert.ok(seen.size > 40, `only ${seen.size} different outcomes`);
});

test('offsets that make no sense are clamped, not followed', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(HOOK)),
      fc.uint8Array({ maxLength: 60 }),
      fc.integer(),
      fc.integer(),
      fc.integer(),
      (hook, bytes, offset, capturedEnd, wireEnd) => {
        const w = build(0);
        const verdict = w.sim.run(hook, w.packet.view(bytes, offset, capturedEnd, wireEnd, 1, 0, 0), w.meta.reset());
        assert.ok(verdict >= 0 && verdict <= 5);
      },
    ),
    { numRuns: 100 },
  );
});
