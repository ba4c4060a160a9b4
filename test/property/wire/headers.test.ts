// Properties of the emitters: parse(emit(x)) = x for every header, at any offset, and nothing else is touched.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  emitArp,
  emitEthernet,
  emitGeneve,
  emitGre,
  emitIcmp,
  emitIcmpv6,
  emitIpv4,
  emitIpv6,
  emitIpv6Extension,
  emitIpv6Fragment,
  emitNdp,
  emitSctp,
  emitTcp,
  emitUdp,
  emitVlan,
  emitVxlan,
  type Ipv6ExtensionRepr,
  isIpv4ChecksumRight,
  type NdpRepr,
  parseArp,
  parseEthernet,
  parseGeneve,
  parseGre,
  parseIcmp,
  parseIcmpv6,
  parseIpv4Header,
  parseIpv6Extension,
  parseIpv6Fragment,
  parseIpv6Header,
  parseNdp,
  parseSctp,
  parseTcp,
  parseUdp,
  parseVlan,
  parseVxlan,
} from '../../../src/wire/index.ts';
import { int32, mac, u16, u24, u32, u8, wordBytes, words } from './arbitraries.ts';

const offset = fc.integer({ min: 0, max: 4096 });
const bit = fc.integer({ min: 0, max: 1 });
const fragmentOffset = fc.nat(8191).map((units) => units * 8);

/** parse(emit(x)) = x; emit into the exact room works, into one byte less does nothing; parse of one byte less refuses. */
function roundTrip<T>(
  name: string,
  values: fc.Arbitrary<T>,
  emit: (out: Uint8Array, at: number, value: T) => number,
  parse: (bytes: Uint8Array, at: number, end: number) => T | undefined,
  alsoTrue?: (out: Uint8Array, at: number) => boolean,
): void {
  it(name, () => {
    fc.assert(
      fc.property(values, fc.nat(9), (made, at) => {
        // fast-check makes some objects without a prototype; the parsers never do.
        const value = structuredClone(made);
        const big = new Uint8Array(at + 2200).fill(0xa5);
        const size = emit(big, at, value);
        assert.ok(size > 0);
        assert.deepEqual(parse(big, at, at + size), value);
        assert.equal(parse(big, at, at + size - 1), undefined);
        assert.ok(
          big.subarray(0, at).every((byte) => byte === 0xa5) && big.subarray(at + size).every((byte) => byte === 0xa5),
        );
        assert.ok(alsoTrue === undefined || alsoTrue(big, at));
        const exact = new Uint8Array(at + size).fill(0x5a);
        assert.equal(emit(exact, at, value), size);
        assert.deepEqual(exact.subarray(at), big.subarray(at, at + size), 'no bit of the old buffer shows');
        const short = new Uint8Array(at + size - 1).fill(0xa5);
        assert.equal(emit(short, at, value), 0);
        assert.ok(short.every((byte) => byte === 0xa5));
      }),
    );
  });
}

describe('parse(emit(x)) = x', () => {
  roundTrip('Ethernet', fc.record({ destination: mac, source: mac, etherType: u16 }), emitEthernet, parseEthernet);
  roundTrip(
    'VLAN',
    fc.record({ priority: fc.nat(7), dropEligible: bit, id: fc.nat(4095), etherType: u16 }),
    emitVlan,
    parseVlan,
  );
  roundTrip(
    'ARP',
    fc.record({ operation: u16, senderMac: mac, senderAddress: int32, targetMac: mac, targetAddress: int32 }),
    emitArp,
    parseArp,
  );
  roundTrip(
    'IPv4',
    fc.record({
      source: int32,
      destination: int32,
      protocol: u8,
      ttl: u8,
      tos: u8,
      identification: u16,
      dontFragment: fc.boolean(),
      moreFragments: fc.boolean(),
      fragmentOffset,
      options: wordBytes(10),
      payloadBytes: fc.nat(65535 - 60),
    }),
    emitIpv4,
    parseIpv4Header,
    isIpv4ChecksumRight,
  );
  roundTrip(
    'IPv6',
    fc.record({
      source: words,
      destination: words,
      nextHeader: u8,
      hopLimit: u8,
      trafficClass: u8,
      flowLabel: fc.nat(0xfffff),
      payloadBytes: u16,
    }),
    emitIpv6,
    parseIpv6Header,
  );
  roundTrip(
    'IPv6 fragment header',
    fc.record({ nextHeader: u8, fragmentOffset, moreFragments: fc.boolean(), identification: u32 }),
    emitIpv6Fragment,
    parseIpv6Fragment,
  );
  for (const [kind, unit] of [
    [0, 8],
    [43, 8],
    [60, 8],
    [51, 4],
  ] as const) {
    const body = fc
      .integer({ min: 8 / unit, max: 1024 / unit })
      .chain((units) => fc.uint8Array({ minLength: units * unit - 2, maxLength: units * unit - 2 }));
    roundTrip<Ipv6ExtensionRepr>(
      `IPv6 extension header ${kind}`,
      fc.record({ nextHeader: u8, body }),
      (out, at, value) => emitIpv6Extension(out, at, value, kind),
      (bytes, at, end) => parseIpv6Extension(bytes, at, end, kind),
    );
  }
  roundTrip(
    'TCP',
    fc.record({
      sourcePort: u16,
      destinationPort: u16,
      sequence: u32,
      acknowledgement: u32,
      flags: u8,
      window: u16,
      checksum: u16,
      urgentPointer: u16,
      options: wordBytes(10),
    }),
    emitTcp,
    parseTcp,
  );
  roundTrip('UDP', fc.record({ sourcePort: u16, destinationPort: u16, length: u16, checksum: u16 }), emitUdp, parseUdp);
  const icmp = fc.record({ type: u8, code: u8, checksum: u16, identifier: u16, sequence: u16 });
  roundTrip('ICMP', icmp, emitIcmp, parseIcmp);
  roundTrip('ICMPv6', icmp, emitIcmpv6, parseIcmpv6);
  roundTrip(
    'SCTP',
    fc.record({ sourcePort: u16, destinationPort: u16, verificationTag: u32, checksum: int32 }),
    emitSctp,
    parseSctp,
  );
  roundTrip('VXLAN', fc.record({ vni: u24 }), emitVxlan, parseVxlan);
  roundTrip(
    'Geneve',
    fc.record({ control: fc.boolean(), critical: fc.boolean(), protocol: u16, vni: u24, options: wordBytes(63) }),
    emitGeneve,
    parseGeneve,
  );
  const optional = fc.option(u32, { nil: undefined });
  roundTrip(
    'GRE',
    fc.record({ protocol: u16, checksum: fc.option(u16, { nil: undefined }), key: optional, sequence: optional }),
    emitGre,
    parseGre,
  );
  const options = fc.array(
    fc.record({
      kind: u8,
      body: fc.integer({ min: 1, max: 8 }).chain((n) => fc.uint8Array({ minLength: 8 * n - 2, maxLength: 8 * n - 2 })),
    }),
    { maxLength: 4 },
  );
  const flags = fc.nat(7).map((three) => three << 5);
  const ndp: fc.Arbitrary<NdpRepr> = fc.oneof(
    fc.record({ type: fc.constant(133 as const), options }),
    fc.record({
      type: fc.constant(134 as const),
      hopLimit: u8,
      flags: u8,
      lifetimeSeconds: u16,
      reachableMs: u32,
      retransmitMs: u32,
      options,
    }),
    fc.record({ type: fc.constant(135 as const), target: words, options }),
    fc.record({ type: fc.constant(136 as const), flags, target: words, options }),
  );
  // One byte less is only refused because an option or the fixed part is cut, never because of a count.
  roundTrip('neighbour discovery', ndp, emitNdp, parseNdp);
});

describe('parsers of single headers', () => {
  it('never throw on any bytes, and what they accept survives emit and parse', () => {
    const cases: [
      (b: Uint8Array, at: number, end: number) => unknown,
      (o: Uint8Array, at: number, x: never) => number,
    ][] = [
      [parseArp, emitArp],
      [parseIpv4Header, emitIpv4],
      [parseIpv6Header, emitIpv6],
      [parseTcp, emitTcp],
      [parseGeneve, emitGeneve],
      [parseGre, emitGre],
      [parseNdp, emitNdp],
      [parseVxlan, emitVxlan],
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), offset, (bytes, where) => {
        const at = where % (bytes.length + 1);
        for (const [parse, emit] of cases) {
          const value = parse(bytes, at, bytes.length);
          if (value === undefined) continue;
          const out = new Uint8Array(2200);
          const size = emit(out, 0, value as never);
          assert.ok(size > 0);
          assert.deepEqual(parse(out, 0, size), value);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
