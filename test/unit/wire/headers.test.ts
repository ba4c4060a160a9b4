// Each protocol from one byte constant: readers, parse, emit into guarded 0xa5 buffers, and what is refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as wire from '../../../src/wire/index.ts';
import { emitted, hex, join, placed } from './frames.ts';

const MAC_A = hex('020000000001');
const MAC_B = hex('020000000002');

/** parse(constant) = value, emit(value) = constant, and parse refuses a constant that is one byte short. */
function constant<T>(
  bytes: Uint8Array,
  value: T,
  parse: (bytes: Uint8Array, at: number, end: number) => T | undefined,
  emit: (out: Uint8Array, at: number, value: T) => number,
): void {
  const buffer = placed(bytes, 5);
  assert.deepEqual(parse(buffer, 5, 5 + bytes.length), value);
  for (let short = 0; short < bytes.length; short++) assert.equal(parse(buffer, 5, 5 + short), undefined);
  assert.deepEqual(
    emitted(bytes.length, (out, at) => emit(out, at, value)),
    bytes,
  );
}

describe('Ethernet and VLAN', () => {
  it('parse and emit', () => {
    const bytes = hex('020000000002 020000000001 88a8');
    constant(bytes, { destination: MAC_B, source: MAC_A, etherType: 0x88a8 }, wire.parseEthernet, wire.emitEthernet);
    assert.equal(wire.readEtherType(bytes, 0), 0x88a8);
    constant(
      hex('b064 86dd'),
      { priority: 5, dropEligible: 1, id: 100, etherType: 0x86dd },
      wire.parseVlan,
      wire.emitVlan,
    );
    assert.equal(wire.vlanId(0xb064), 100);
    assert.equal(wire.vlanPriority(0xb064), 5);
  });

  it('refuse a MAC of another length', () => {
    const out = new Uint8Array(20).fill(0xa5);
    assert.equal(wire.emitEthernet(out, 0, { destination: hex('01'), source: MAC_A, etherType: 0 }), 0);
    assert.equal(wire.emitEthernet(out, 0, { destination: MAC_A, source: new Uint8Array(7), etherType: 0 }), 0);
    assert.ok(out.every((byte) => byte === 0xa5));
  });
});

describe('ARP', () => {
  const request = hex('0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a0000fe');
  const value: wire.ArpRepr = {
    operation: wire.ARP.REQUEST,
    senderMac: MAC_A,
    senderAddress: 0x0100000a,
    targetMac: new Uint8Array(6),
    targetAddress: 0xfe00000a | 0,
  };

  it('parses and emits', () => {
    constant(request, value, wire.parseArp, wire.emitArp);
    assert.equal(wire.readArpOperation(request, 0), 1);
    assert.equal(wire.formatIpv4(wire.readArpTargetAddress(request, 0)), '10.0.0.254');
  });

  it('refuses other hardware and protocols', () => {
    for (const at of [0, 1, 2, 3, 4, 5]) {
      const other = request.slice();
      other[at] = other[at]! ^ 1;
      assert.equal(wire.parseArp(other, 0, other.length), undefined);
    }
  });
});

describe('IPv4', () => {
  const header = hex('46 b8 0024 1234 4000 40 11 14bf 0a000001 0a000002 9404 0000');
  const value: wire.Ipv4Repr = {
    source: 0x0100000a,
    destination: 0x0200000a,
    protocol: 17,
    ttl: 64,
    tos: 0xb8,
    identification: 0x1234,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    options: hex('94040000'),
    payloadBytes: 12,
  };

  it('parses and emits with the right checksum', () => {
    wire.writeChecksum(header, 0, 24, 10, 0, false);
    constant(header, value, wire.parseIpv4Header, wire.emitIpv4);
    assert.ok(wire.isIpv4ChecksumRight(header, 0));
    assert.equal(wire.readIpv4HeaderBytes(header, 0), 24);
    assert.equal(wire.readIpv4TotalLength(header, 0), 36);
    assert.equal(wire.readIpv4FragmentOffset(header, 0), 0);
    assert.equal(wire.readIpv4Checksum(header, 0), header[10]! | (header[11]! << 8));
  });

  it('keeps flags and offset apart', () => {
    const fragment = { ...value, dontFragment: false, moreFragments: true, fragmentOffset: 65528 };
    const bytes = emitted(24, (out, at) => wire.emitIpv4(out, at, fragment));
    assert.deepEqual(bytes.slice(6, 8), hex('3fff'));
    assert.equal(wire.readIpv4FragmentOffset(bytes, 0), 65528);
  });

  it('refuses values that a header cannot hold', () => {
    const out = new Uint8Array(100);
    const bad: Partial<wire.Ipv4Repr>[] = [
      { options: new Uint8Array(44) },
      { options: new Uint8Array(3) },
      { fragmentOffset: 4 },
      { fragmentOffset: 65536 },
      { payloadBytes: 65536 - 24 },
      { payloadBytes: -1 },
    ];
    for (const change of bad) assert.equal(wire.emitIpv4(out, 0, { ...value, ...change }), 0);
    assert.equal(wire.emitIpv4(out, -1, value), 0);
    assert.ok(out.every((byte) => byte === 0));
  });

  it('finds options and stays inside the header', () => {
    const options = (bytes: string): Uint8Array => join(hex('4b'), new Uint8Array(19), hex(bytes), hex('9a08ffff'));
    const dsr = options('01 01 9404 0000 9a08 1f90 0a000001 00 000000 0000 0000 0000');
    assert.equal(wire.findIpv4Option(dsr, 0, 0x9a), 26);
    assert.equal(wire.findIpv4Option(dsr, 0, 0x94), 22);
    assert.equal(wire.findIpv4Option(dsr, 0, 1), 20);
    assert.equal(wire.findIpv4Option(dsr, 0, 7), -1);
    const behind = join(hex('45'), new Uint8Array(19), hex('9a08 0000 00000000'));
    assert.equal(wire.findIpv4Option(behind, 0, 0x9a), -1);
    for (const bad of ['9400', '9401', '9429', '9a29', '00 9a08']) {
      const header = options(bad + '00'.repeat(24 - hex(bad).length));
      assert.equal(wire.findIpv4Option(header, 0, 0x9a), -1, bad);
    }
    const last = join(hex('46'), new Uint8Array(19), hex('010101 9a'));
    assert.equal(wire.findIpv4Option(last, 0, 0x9a), -1);
  });
});

describe('IPv6', () => {
  const header = hex(`6b812345 0014 2c 40 fd000000000000000000000000000001 20010db8000000000000000000000002`);

  it('parses and emits', () => {
    const value: wire.Ipv6Repr = {
      source: [0xfd, 0, 0, 0x01000000],
      destination: [0xb80d0120 | 0, 0, 0, 0x02000000],
      nextHeader: 44,
      hopLimit: 64,
      trafficClass: 0xb8,
      flowLabel: 0x12345,
      payloadBytes: 20,
    };
    constant(header, value, wire.parseIpv6Header, wire.emitIpv6);
    assert.equal(wire.readIpv6FlowLabel(header, 0), 0x12345);
    assert.equal(wire.readIpv6PayloadLength(header, 0), 20);
    assert.equal(wire.emitIpv6(new Uint8Array(40), 0, { ...value, payloadBytes: 65536 }), 0);
  });

  it('parses and emits the fragment header', () => {
    const value = { nextHeader: 17, fragmentOffset: 1448, moreFragments: true, identification: 0xdeadbeef };
    constant(hex('1100 05a9 deadbeef'), value, wire.parseIpv6Fragment, wire.emitIpv6Fragment);
    assert.equal(wire.emitIpv6Fragment(new Uint8Array(8), 0, { ...value, fragmentOffset: 1447 }), 0);
  });

  it('parses and emits the others, and finds their options', () => {
    // Cilium's DSR option: padding, then 0x1b with 20 bytes.
    const bytes = hex(`06 02 1b14 ${'00'.repeat(14)} 0a000001 1f90`);
    const value = { nextHeader: 6, body: bytes.slice(2) };
    const parse = (b: Uint8Array, at: number, end: number): wire.Ipv6ExtensionRepr | undefined =>
      wire.parseIpv6Extension(b, at, end, 60);
    constant(bytes, value, parse, (out, at, x) => wire.emitIpv6Extension(out, at, x, 60));
    assert.equal(wire.findIpv6Option(bytes, 0, 24, 0x1b), 2);
    assert.equal(wire.findIpv6Option(bytes, 0, 23, 0x1b), -1);
    assert.equal(wire.findIpv6Option(bytes, 0, 24, 0x05), -1);
    assert.equal(wire.findIpv6Option(hex('0600 0000 0100 1b00'), 0, 8, 0x1b), 6);
    assert.equal(wire.findIpv6Option(hex('0600 0000 0100 001b'), 0, 8, 0x1b), -1);
    const authentication = hex('1104 0000 00000001 00000002 aabbccdd eeff0011 22334455');
    const parsed = wire.parseIpv6Extension(authentication, 0, 24, 51);
    assert.equal(parsed?.body.length, 22);
    assert.equal(wire.emitIpv6Extension(new Uint8Array(24), 0, parsed!, 51), 24);
    assert.equal(wire.emitIpv6Extension(new Uint8Array(24), 0, { nextHeader: 0, body: new Uint8Array(7) }, 60), 0);
    assert.equal(wire.emitIpv6Extension(new Uint8Array(24), 0, { nextHeader: 0, body: new Uint8Array(0) }, 60), 0);
    assert.equal(wire.emitIpv6Extension(new Uint8Array(4000), 0, { nextHeader: 0, body: new Uint8Array(2054) }, 60), 0);
  });
});

describe('TCP', () => {
  const header = hex('1f90 0050 89abcdef 00000001 8012 7210 beef 0000 020405b4 01 030307 04020101');

  it('parses and emits', () => {
    const value: wire.TcpRepr = {
      sourcePort: 8080,
      destinationPort: 80,
      sequence: 0x89abcdef,
      acknowledgement: 1,
      flags: wire.TCP_FLAG.SYN | wire.TCP_FLAG.ACK,
      window: 0x7210,
      checksum: 0xefbe,
      urgentPointer: 0,
      options: header.slice(20),
    };
    constant(header, value, wire.parseTcp, wire.emitTcp);
    assert.equal(wire.readTcpHeaderBytes(header, 0), 32);
    assert.equal(wire.readTcpSequence(header, 0), 0x89abcdef | 0);
    assert.equal(wire.readTcpAcknowledgement(header, 0), 1);
    assert.equal(wire.emitTcp(new Uint8Array(80), 0, { ...value, options: new Uint8Array(44) }), 0);
    assert.equal(wire.emitTcp(new Uint8Array(80), 0, { ...value, options: new Uint8Array(2) }), 0);
    const short = header.slice();
    short[12] = 0x40;
    assert.equal(wire.parseTcp(short, 0, short.length), undefined);
  });

  it('finds options and stays inside the header and the capture', () => {
    const find = (kind: number, end = 32): number => wire.findTcpOption(header, 0, end, kind);
    assert.equal(find(wire.TCP_OPTION.MSS), 20);
    assert.equal(find(wire.TCP_OPTION.WINDOW_SCALE), 25);
    assert.equal(find(wire.TCP_OPTION.SACK_PERMITTED), 28);
    assert.equal(find(wire.TCP_OPTION.NOP), 24);
    assert.equal(find(wire.TCP_OPTION.TIMESTAMPS), -1);
    assert.equal(find(wire.TCP_OPTION.WINDOW_SCALE, 27), -1);
    for (const bad of ['02010101', '02000000', '01010102', '020801010301', '00020405']) {
      const bytes = join(header.slice(0, 20), hex(bad), new Uint8Array(20));
      bytes[12] = 0x60;
      assert.equal(wire.findTcpOption(bytes, 0, bytes.length, wire.TCP_OPTION.MSS), -1, bad);
    }
  });
});

describe('UDP, ICMP, ICMPv6, SCTP', () => {
  it('parse and emit', () => {
    const udp = { sourcePort: 53, destinationPort: 0xfffe, length: 12, checksum: 0x3412 };
    constant(hex('0035 fffe 000c 1234'), udp, wire.parseUdp, wire.emitUdp);
    assert.equal(wire.readUdpLength(hex('0035 fffe 000c 1234'), 0), 12);
    const needed = hex('0304 1234 0000 05dc');
    const icmp = { type: 3, code: 4, checksum: 0x3412, identifier: 0, sequence: 1500 };
    constant(needed, icmp, wire.parseIcmp, wire.emitIcmp);
    assert.equal(wire.readIcmpMtu(needed, 0), 1500);
    const tooBig = hex('0200 1234 00010500');
    const icmpv6 = { type: 2, code: 0, checksum: 0x3412, identifier: 1, sequence: 0x500 };
    constant(tooBig, icmpv6, wire.parseIcmpv6, wire.emitIcmpv6);
    assert.equal(wire.readIcmpv6Mtu(tooBig, 0), 0x10500);
    const sctp = { sourcePort: 1, destinationPort: 2, verificationTag: 0xfedcba98, checksum: 0x44332211 };
    constant(hex('0001 0002 fedcba98 11223344'), sctp, wire.parseSctp, wire.emitSctp);
  });

  it('tell errors from the rest', () => {
    const errors = Array.from({ length: 256 }, (_, type) => type);
    assert.deepEqual(errors.filter(wire.isIcmpError), [3, 4, 5, 11, 12]);
    assert.deepEqual(errors.filter(wire.isIcmpv6Error), [1, 2, 3, 4]);
  });
});

describe('neighbour discovery', () => {
  const target: wire.Ipv6Words = [0xfd, 0, 0, 0x02000000];
  const link = { kind: wire.NDP_OPTION.SOURCE_LINK_ADDRESS, body: MAC_A };

  it('parses and emits each message', () => {
    const solicitation = hex(`8700 0000 00000000 fd000000000000000000000000000002 0101 020000000001`);
    const parsed = wire.parseNdp(solicitation, 0, solicitation.length);
    assert.deepEqual(parsed, { type: 135, target, options: [link] });
    assert.deepEqual(
      emitted(32, (out, at) => wire.emitNdp(out, at, parsed!)),
      solicitation,
    );
    const advertisement = hex(`8800 0000 60000000 fd000000000000000000000000000002 0201 020000000001`);
    const option = { kind: wire.NDP_OPTION.TARGET_LINK_ADDRESS, body: MAC_A };
    const answer = {
      type: 136,
      flags: wire.NDP_FLAG.SOLICITED | wire.NDP_FLAG.OVERRIDE,
      target,
      options: [option],
    } as const;
    assert.deepEqual(wire.parseNdp(advertisement, 0, 32), answer);
    assert.deepEqual(
      emitted(32, (out, at) => wire.emitNdp(out, at, answer)),
      advertisement,
    );
    const router = hex(`8600 0000 40c0 0708 00000001 80000000 0501 0000 000005dc`);
    const routerValue = {
      type: 134,
      hopLimit: 64,
      flags: 0xc0,
      lifetimeSeconds: 1800,
      reachableMs: 1,
      retransmitMs: 0x80000000,
      options: [{ kind: wire.NDP_OPTION.MTU, body: hex('0000000005dc') }],
    } as const;
    constant<wire.NdpRepr>(router.slice(0, 16), { ...routerValue, options: [] }, wire.parseNdp, wire.emitNdp);
    assert.deepEqual(wire.parseNdp(router, 0, 24), routerValue);
    assert.deepEqual(wire.parseNdp(hex('8500 0000 00000000'), 0, 8), { type: 133, options: [] });
  });

  it('finds options without allocating, and refuses bad ones', () => {
    const bytes = hex(`8700 0000 00000000 fd000000000000000000000000000002 0501000000000001 0101 020000000001`);
    assert.equal(wire.findNdpOption(bytes, 0, 40, 135, 1), 32);
    assert.equal(wire.findNdpOption(bytes, 0, 39, 135, 1), -1);
    assert.equal(wire.findNdpOption(bytes, 0, 40, 135, 2), -1);
    assert.equal(wire.findNdpOption(bytes, 0, 40, 128, 1), -1);
    bytes[25] = 0;
    assert.equal(wire.findNdpOption(bytes, 0, 40, 135, 1), -1);
    assert.equal(wire.parseNdp(bytes, 0, 40), undefined);
    assert.equal(wire.parseNdp(hex('8000 0000 00000000'), 0, 8), undefined);
    const out = new Uint8Array(4000);
    assert.equal(wire.emitNdp(out, 0, { type: 133, options: [{ kind: 1, body: new Uint8Array(5) }] }), 0);
    assert.equal(wire.emitNdp(out, 0, { type: 133, options: [{ kind: 1, body: new Uint8Array(2046) }] }), 0);
    assert.equal(wire.emitNdp(out, 0, { type: 133, options: Array.from({ length: 33 }, () => link) }), 0);
    assert.equal(wire.emitNdp(out, 0, { type: 133, options: [{ kind: 1, body: new Uint8Array(2038) }] }), 2048);
    const late = join(
      hex('8500 0000 00000000'),
      ...Array.from({ length: 32 }, () => hex('0101020000000001')),
      hex('0501000000000001'),
    );
    assert.equal(wire.findNdpOption(late, 0, late.length, 133, 5), -1);
    assert.equal(wire.findNdpOption(late.subarray(8), 0, late.length - 8, 133, 5), 256);
    const many = join(hex('8500 0000 00000000'), ...Array.from({ length: 33 }, () => hex('0101020000000001')));
    assert.equal(wire.parseNdp(many, 0, many.length), undefined);
  });
});

describe('VXLAN, Geneve, GRE', () => {
  it('parse and emit', () => {
    constant(hex('08000000 123456 00'), { vni: 0x123456 }, wire.parseVxlan, wire.emitVxlan);
    assert.equal(wire.parseVxlan(hex('00000000 123456 00'), 0, 8), undefined);
    const options = hex('014b 81 02 1f900000 0a000001');
    const geneve = { control: false, critical: true, protocol: 0x6558, vni: 2, options };
    const bytes = join(hex('0340 6558 000002 00'), options);
    constant(bytes, geneve, wire.parseGeneve, wire.emitGeneve);
    assert.equal(wire.parseGeneve(hex('4000 6558 000002 00'), 0, 8), undefined);
    assert.equal(wire.emitGeneve(new Uint8Array(400), 0, { ...geneve, options: new Uint8Array(256) }), 0);
    assert.equal(wire.emitGeneve(new Uint8Array(400), 0, { ...geneve, options: new Uint8Array(3) }), 0);
    assert.equal(wire.findGeneveOption(bytes, 0, 20, 0x014b, 0x81), 8);
    assert.equal(wire.findGeneveOption(bytes, 0, 19, 0x014b, 0x81), -1);
    assert.equal(wire.findGeneveOption(bytes, 0, 20, 0x014b, 0x01), -1);
    assert.equal(wire.findGeneveOption(bytes, 0, 20, 0x014c, 0x81), -1);
    const gre = { protocol: 0x0800, checksum: 0x3412, key: 0xfffffffe, sequence: 7 };
    constant(hex('b000 0800 1234 0000 fffffffe 00000007'), gre, wire.parseGre, wire.emitGre);
    const plain = { protocol: 0x86dd, checksum: undefined, key: undefined, sequence: undefined };
    constant(hex('0000 86dd'), plain, wire.parseGre, wire.emitGre);
    assert.equal(wire.parseGre(hex('4000 0800 00000000'), 0, 8), undefined);
    assert.equal(wire.parseGre(hex('2001 880b 0000 0000'), 0, 8), undefined);
  });
});

describe('Linux cooked captures', () => {
  it('say type and interface', () => {
    const v1 = hex('0004 0001 0006 020000000001 0000 0800');
    assert.equal(wire.readCookedPacketType(placed(v1, 3), 3, 113), wire.COOKED_PACKET.OUTGOING);
    assert.equal(wire.readCookedInterface(v1, 0, 113), 0);
    const v2 = hex('0800 0000 00000103 0001 04 06 020000000001 0000');
    assert.equal(wire.readCookedPacketType(placed(v2, 3), 3, 276), wire.COOKED_PACKET.OUTGOING);
    assert.equal(wire.readCookedInterface(placed(v2, 3), 3, 276), 0x103);
  });
});
