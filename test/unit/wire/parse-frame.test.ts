// parseFrame: link types, VLAN tags, IPv4 and IPv6 with their L4 headers, and each status.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Headers, parseFrame, WIRE, wireStatusName } from '../../../src/wire/index.ts';
import { ECHO, ECHO6, ethernet, hex, ipv4, ipv6, join, placed, SCTP_INIT, TCP_SYN, UDP_DATA } from './frames.ts';

const AT = 7;

/** Parses a whole frame placed at an odd offset. */
function parse(frame: Uint8Array, linkType = 1, wire = frame.length): { status: number; h: Headers } {
  const h = new Headers();
  for (const key of Object.keys(h)) (h as unknown as Record<string, number>)[key] = 77;
  const status = parseFrame(h, linkType, placed(frame, AT), AT, AT + frame.length, AT + wire);
  return { status, h };
}

/** Expects a status, and that the named fields have the given values; offsets are relative to the frame. */
function expect(
  frame: Uint8Array,
  status: number,
  fields: Partial<Headers> = {},
  linkType = 1,
  wire?: number,
): Headers {
  const result = parse(frame, linkType, wire);
  assert.equal(wireStatusName(result.status), wireStatusName(status));
  const h = result.h;
  for (const key of ['l3', 'l4', 'payload', 'l4ChecksumOffset'] as const) if (h[key] !== 0) h[key] -= AT;
  for (const [key, value] of Object.entries(fields)) assert.equal(h[key as keyof Headers], value, key);
  assert.ok(
    Object.values(h).every((value) => value !== 77 || Object.values(fields).includes(77)),
    'every field was set',
  );
  return h;
}

describe('parseFrame on Ethernet', () => {
  it('reads IPv4 TCP, every field', () => {
    const h = expect(ethernet(0x0800, ipv4(6, TCP_SYN)), WIRE.OK);
    const zero = new Headers();
    assert.deepEqual(
      { ...h },
      {
        ...zero,
        linkHeaderBytes: 14,
        etherType: 0x0800,
        l3: 14,
        l4: 34,
        payload: 54,
        family: 4,
        protocol: 6,
        s0: 0x0100000a,
        d0: 0x0200000a,
        ports: 0x5000_3412,
        tcpFlags: 2,
        fragId: 0x3412,
        ttl: 64,
        ipHeaderBytes: 20,
        l3Length: 44,
        l4ChecksumOffset: 50,
      },
    );
  });

  it('reads IPv6 UDP, every field', () => {
    const packet = ipv6(17, UDP_DATA);
    packet[0] = 0x6b;
    packet[1] = 0x85;
    const h = expect(ethernet(0x86dd, packet), WIRE.OK);
    const zero = new Headers();
    assert.deepEqual(
      { ...h },
      {
        ...zero,
        linkHeaderBytes: 14,
        etherType: 0x86dd,
        l3: 14,
        l4: 54,
        payload: 62,
        family: 6,
        protocol: 17,
        s0: 0xfd,
        s3: 0x01000000,
        d0: 0xfd,
        d3: 0x02000000,
        ports: 0x3500_3412,
        ttl: 64,
        tos: 0xb8,
        ipHeaderBytes: 40,
        l3Length: 52,
        l4ChecksumOffset: 60,
      },
    );
  });

  it('reads each byte of IPv6 addresses into its own place', () => {
    const packet = ipv6(17, UDP_DATA);
    for (let i = 0; i < 32; i++) packet[8 + i] = i + 1;
    expect(ethernet(0x86dd, packet), WIRE.OK, {
      s0: 0x04030201,
      s1: 0x08070605,
      s2: 0x0c0b0a09,
      s3: 0x100f0e0d,
      d0: 0x14131211,
      d1: 0x18171615,
      d2: 0x1c1b1a19,
      d3: 0x201f1e1d,
    });
  });

  it('leaves 0 in whatever a failing layer would have filled', () => {
    const zero = new Headers();
    assert.deepEqual({ ...expect(hex('ff'), WIRE.BAD_LINK) }, { ...zero });
    assert.deepEqual({ ...expect(ethernet(0x8100, hex('00')), WIRE.BAD_LINK) }, { ...zero });
    assert.deepEqual({ ...expect(hex('ff'), WIRE.UNSUPPORTED_LINK_TYPE, {}, 147) }, { ...zero });
    const link = { linkHeaderBytes: 14, etherType: 0x0800, l3: 14 };
    assert.deepEqual({ ...expect(ethernet(0x0800, hex('45')), WIRE.BAD_IP) }, { ...zero, ...link });
    const network = { family: 4, s0: 0x0100000a, d0: 0x0200000a, ttl: 64, fragId: 0x3412, ipHeaderBytes: 20 };
    for (const [protocol, payload, status] of [
      [47, TCP_SYN, WIRE.UNKNOWN_L4],
      [6, TCP_SYN.slice(0, 19), WIRE.BAD_L4],
    ] as const) {
      const h = expect(ethernet(0x0800, ipv4(protocol, payload)), status);
      const length = 20 + payload.length;
      assert.deepEqual({ ...h }, { ...zero, ...link, ...network, protocol, l4: 34, payload: 34, l3Length: length });
    }
  });

  it('needs its own header and no more', () => {
    expect(ethernet(0x0806, hex('')), WIRE.NOT_IP, { l3: 14 });
    expect(ethernet(0x0800, hex('')), WIRE.BAD_IP, { l3: 14 });
    expect(ethernet(0x0800, hex('')).slice(0, 13), WIRE.CUT, {}, 1, 14);
    expect(ethernet(0x8100, hex('0064 08')), WIRE.CUT, {}, 1, 18);
    expect(ethernet(0x8100, hex('0064 08')), WIRE.BAD_LINK, {}, 1, 17);
    expect(ethernet(0x8100, hex('0064 0806')), WIRE.NOT_IP, { l3: 18 });
  });

  it('keeps every field an int32 when the top bit is set', () => {
    const packet = ipv4(17, hex('ffff ffff 000c 0000 00000000'));
    packet.fill(0xff, 12, 20);
    const h = expect(ethernet(0x0800, packet), WIRE.OK, { s0: -1, d0: -1, ports: -1 });
    for (const value of Object.values(h)) assert.equal(value, value | 0);
  });

  it('reads ICMP, ICMPv6 and SCTP', () => {
    const echo = { icmpType: 8, icmpCode: 0, icmpId: 0xefbe, ports: 0, payload: 42, l4ChecksumOffset: 36 };
    expect(ethernet(0x0800, ipv4(1, ECHO)), WIRE.OK, echo);
    const echo6 = { icmpType: 128, icmpId: 0xefbe, ports: 0, payload: 62, l4ChecksumOffset: 56 };
    expect(ethernet(0x86dd, ipv6(58, ECHO6)), WIRE.OK, echo6);
    expect(ethernet(0x0800, ipv4(132, SCTP_INIT)), WIRE.OK, { ports: 0x50003412, payload: 46, l4ChecksumOffset: 0 });
    expect(ethernet(0x86dd, ipv6(132, SCTP_INIT)), WIRE.OK, { ports: 0x50003412, payload: 66 });
  });

  it('reads one and two VLAN tags of each type, and refuses a third', () => {
    const packet = join(hex('0800'), ipv4(17, UDP_DATA));
    for (const type of [0x8100, 0x88a8, 0x9100]) {
      const one = { vlanCount: 1, vlanTci0: 0xa064, vlanTci1: 0, linkHeaderBytes: 18, l3: 18, etherType: 0x0800 };
      expect(ethernet(type, join(hex('a064'), packet)), WIRE.OK, one);
    }
    const two = { vlanCount: 2, vlanTci0: 0x0064, vlanTci1: 0x00c8, linkHeaderBytes: 22, l3: 22, l4: 42 };
    expect(ethernet(0x88a8, join(hex('0064 8100 00c8'), packet)), WIRE.OK, two);
    const three = { vlanCount: 2, family: 0, l3: 22, etherType: 0x8100 };
    expect(ethernet(0x88a8, join(hex('0064 8100 00c8 8100 0001'), packet)), WIRE.TOO_MANY_VLAN_TAGS, three);
    expect(ethernet(0x8100, hex('0064 08')), WIRE.BAD_LINK, { vlanCount: 0, l3: 0 });
    expect(ethernet(0x8100, hex('0064 0026')), WIRE.BAD_ETHERTYPE, { vlanCount: 1, etherType: 0x26 });
  });

  it('names what is not IP', () => {
    expect(ethernet(0x0806, new Uint8Array(28)), WIRE.NOT_IP, { etherType: 0x0806, l3: 14, family: 0 });
    expect(ethernet(0x0600, new Uint8Array(28)), WIRE.NOT_IP, { etherType: 0x0600 });
    expect(ethernet(0x05ff, new Uint8Array(28)), WIRE.BAD_ETHERTYPE, { etherType: 0x05ff });
    expect(hex('ffff'), WIRE.BAD_LINK);
    expect(new Uint8Array(0), WIRE.BAD_LINK);
    expect(hex('ffff'), WIRE.CUT, { l3: 0 }, 1, 60);
  });

  it('ignores Ethernet padding', () => {
    const padded = join(ethernet(0x0800, ipv4(17, UDP_DATA)), new Uint8Array(14));
    expect(padded, WIRE.OK, { l3Length: 32, payload: 42 });
    // The ports would lie in the padding: the IP packet ends before them.
    const empty = join(ethernet(0x0800, ipv4(6, new Uint8Array(0))), new Uint8Array(26));
    expect(empty, WIRE.BAD_L4, { ports: 0, l4: 34, s0: 0x0100000a });
    const empty6 = join(ethernet(0x86dd, ipv6(6, new Uint8Array(0))), new Uint8Array(26));
    expect(empty6, WIRE.BAD_L4, { l3Length: 40 });
  });

  it('takes a wire length below the captured one as the captured one', () => {
    expect(ethernet(0x0800, ipv4(6, TCP_SYN)), WIRE.OK, { ports: 0x50003412 }, 1, 10);
    expect(hex('ff'), WIRE.BAD_LINK, {}, 1, 0);
  });
});

describe('parseFrame on other link types', () => {
  const four = ipv4(17, UDP_DATA);
  const six = ipv6(17, UDP_DATA);

  it('reads raw IP of either family', () => {
    for (const linkType of [12, 14, 101]) {
      expect(four, WIRE.OK, { family: 4, l3: 0, etherType: 0, linkHeaderBytes: 0, ports: 0x35003412 }, linkType);
      expect(six, WIRE.OK, { family: 6, ports: 0x35003412 }, linkType);
      expect(hex('50'), WIRE.BAD_IP, { family: 0 }, linkType);
      expect(hex(''), WIRE.BAD_IP, {}, linkType);
      expect(hex(''), WIRE.CUT, {}, linkType, 40);
    }
    expect(four, WIRE.OK, { family: 4 }, 228);
    expect(six, WIRE.OK, { family: 6 }, 229);
    expect(six, WIRE.BAD_IP, { family: 0 }, 228);
    expect(join(four, new Uint8Array(20)), WIRE.BAD_IP, { family: 0 }, 229);
  });

  it('reads BSD loopback in both byte orders', () => {
    for (const linkType of [0, 108]) {
      for (const family of ['02000000', '00000002']) {
        expect(join(hex(family), four), WIRE.OK, { family: 4, linkHeaderBytes: 4, l3: 4, etherType: 0 }, linkType);
      }
      for (const family of ['18000000', '1c000000', '1e000000', '00000018', '0000001c', '0000001e']) {
        expect(join(hex(family), six), WIRE.OK, { family: 6 }, linkType);
      }
      expect(join(hex('07000000'), four), WIRE.NOT_IP, { family: 0, l3: 4 }, linkType);
      expect(join(hex('02000002'), four), WIRE.NOT_IP, {}, linkType);
      expect(hex('020000'), WIRE.BAD_LINK, {}, linkType);
      expect(hex('020000'), WIRE.CUT, {}, linkType, 4);
      expect(hex('02000000'), WIRE.BAD_IP, { l3: 4 }, linkType);
    }
  });

  it('reads Linux cooked captures', () => {
    const v1 = (type: string): Uint8Array => hex(`0004 0001 0006 020000000001 0000 ${type}`);
    const v2 = (type: string): Uint8Array => hex(`${type} 0000 00000003 0001 04 06 020000000001 0000`);
    for (const [linkType, header, size] of [
      [113, v1, 16],
      [276, v2, 20],
    ] as const) {
      const fields = { etherType: 0x0800, linkHeaderBytes: size, l3: size, family: 4, vlanTci0: 0, vlanTci1: 0 };
      expect(join(header('0800'), four), WIRE.OK, fields, linkType);
      expect(join(header('86dd'), six), WIRE.OK, { family: 6 }, linkType);
      const tagged = { vlanCount: 1, vlanTci0: 5, linkHeaderBytes: size + 4, l3: size + 4 };
      expect(join(header('8100'), hex('0005 0800'), four), WIRE.OK, tagged, linkType);
      expect(join(header('0004'), four), WIRE.BAD_ETHERTYPE, {}, linkType);
      expect(join(header('0806'), four), WIRE.NOT_IP, { etherType: 0x0806 }, linkType);
      expect(header('0800').slice(0, -1), WIRE.BAD_LINK, {}, linkType);
      expect(header('0800').slice(0, -1), WIRE.CUT, {}, linkType, size);
      expect(header('0800'), WIRE.BAD_IP, { l3: size }, linkType);
    }
  });

  it('refuses the others by number', () => {
    for (const linkType of [105, 127, 147, 2, -1, 65535, 1000]) {
      expect(four, WIRE.UNSUPPORTED_LINK_TYPE, { l3: 0 }, linkType);
    }
  });
});

describe('parseFrame on IPv4', () => {
  const expect4 = (packet: Uint8Array, status: number, fields: Partial<Headers> = {}, wire?: number): Headers =>
    expect(packet, status, fields, 228, wire);

  it('skips options', () => {
    const packet = ipv4(17, join(new Uint8Array(40), UDP_DATA));
    packet[0] = 0x4f;
    expect4(packet, WIRE.OK, { l4: 60, ipHeaderBytes: 60, ports: 0x35003412, payload: 68 });
    expect4(packet.slice(0, 40), WIRE.CUT, { s0: 0x0100000a, protocol: 17, ports: 0, l4: 60 }, packet.length);
  });

  it('refuses wrong versions and lengths', () => {
    const change = (at: number, value: number): Uint8Array => {
      const packet = ipv4(17, UDP_DATA);
      packet[at] = value;
      return packet;
    };
    expect4(change(0, 0x44), WIRE.BAD_IP, { family: 4, s0: 0 });
    expect4(change(0, 0x40), WIRE.BAD_IP);
    expect4(change(0, 0x65), WIRE.BAD_IP, { family: 0 });
    expect4(change(0, 0x4f), WIRE.BAD_IP);
    expect4(change(3, 19), WIRE.BAD_IP);
    expect4(change(3, 33), WIRE.BAD_IP);
    expect4(ipv4(17, UDP_DATA).slice(0, 19), WIRE.BAD_IP);
    expect4(ipv4(17, UDP_DATA).slice(0, 19), WIRE.CUT, { family: 0, s0: 0 }, 20);
    expect4(ipv4(17, UDP_DATA).slice(0, 31), WIRE.BAD_IP);
    expect4(ipv4(17, UDP_DATA).slice(0, 31), WIRE.OK, {}, 32);
  });

  it('takes the wire length for a total length of 0', () => {
    expect4(ipv4(6, TCP_SYN, { total: 0 }), WIRE.OK, { l3Length: 44, ports: 0x50003412 });
    expect4(ipv4(6, TCP_SYN, { total: 0 }), WIRE.OK, { l3Length: 70000 }, 70000);
  });

  it('tells first and later fragments', () => {
    expect4(ipv4(17, UDP_DATA, { fragment: 0x4000 }), WIRE.OK, { fragment: 0, ports: 0x35003412 });
    expect4(ipv4(17, UDP_DATA, { fragment: 0x8000 }), WIRE.OK, { fragment: 0 });
    expect4(ipv4(17, UDP_DATA, { fragment: 0x2000 }), WIRE.OK, { fragment: 1, ports: 0x35003412, fragId: 0x3412 });
    const later = { fragment: 2, ports: 0, l4ChecksumOffset: 0, l4: 20, payload: 20, protocol: 17 };
    expect4(ipv4(17, UDP_DATA, { fragment: 0x0001 }), WIRE.OK, later);
    expect4(ipv4(17, UDP_DATA, { fragment: 0x2001 }), WIRE.OK, later);
    expect4(ipv4(17, hex('00'), { fragment: 0x1fff }), WIRE.OK, later);
    expect4(ipv4(6, hex('00'), { fragment: 0x0003 }), WIRE.OK, { fragment: 2, tcpFlags: 0 });
    expect4(ipv4(1, hex('00'), { fragment: 0x0003 }), WIRE.OK, { fragment: 2, icmpType: 0 });
    expect4(ipv4(47, hex('00'), { fragment: 0x0003 }), WIRE.UNKNOWN_L4, { fragment: 2 });
  });

  it('asks for the whole fixed L4 header', () => {
    for (const [protocol, header] of [
      [6, TCP_SYN.slice(0, 20)],
      [17, UDP_DATA.slice(0, 8)],
      [1, ECHO.slice(0, 8)],
      [132, SCTP_INIT.slice(0, 12)],
    ] as const) {
      expect4(ipv4(protocol, header), WIRE.OK);
      for (let cut = 1; cut <= header.length; cut++) {
        const short = ipv4(protocol, header.slice(0, -cut));
        expect4(short, WIRE.BAD_L4, { ports: 0, protocol, l4: 20, payload: 20 });
        const snapped = ipv4(protocol, header).slice(0, 20 + header.length - cut);
        const ports = protocol !== 1 && header.length - cut >= 4 ? { d0: 0x0200000a } : { ports: 0 };
        expect4(snapped, WIRE.CUT, ports, 20 + header.length);
      }
    }
    // Ports that were captured are kept.
    expect4(ipv4(6, TCP_SYN).slice(0, 24), WIRE.CUT, { ports: 0x50003412, tcpFlags: 0 }, 44);
  });

  it('checks the TCP data offset', () => {
    const withOffset = (dataOffset: number, fragment = 0, size = TCP_SYN.length): Uint8Array => {
      const segment = TCP_SYN.slice(0, size);
      segment[12] = dataOffset << 4;
      return ipv4(6, segment, { fragment });
    };
    expect4(withOffset(4), WIRE.BAD_L4, { ports: 0, tcpFlags: 0, payload: 20 });
    expect4(withOffset(6), WIRE.OK, { payload: 44 });
    expect4(withOffset(7), WIRE.BAD_L4);
    expect4(withOffset(15, 0x2000), WIRE.OK, { payload: 44, fragment: 1 });
    expect4(withOffset(4, 0x2000), WIRE.BAD_L4, { fragment: 1 });
  });

  it('leaves protocols that connection tracking does not know', () => {
    for (const protocol of [0, 2, 4, 41, 43, 44, 47, 50, 51, 58, 59, 60, 136, 255]) {
      const fields = { protocol, s0: 0x0100000a, d0: 0x0200000a, l4: 20, payload: 20, ports: 0 };
      expect4(ipv4(protocol, UDP_DATA), WIRE.UNKNOWN_L4, fields);
    }
  });
});

describe('parseFrame on IPv6', () => {
  const expect6 = (packet: Uint8Array, status: number, fields: Partial<Headers> = {}, wire?: number): Headers =>
    expect(packet, status, fields, 229, wire);
  const options = (next: number, units = 0): Uint8Array =>
    join(Uint8Array.from([next, units]), new Uint8Array(6 + 8 * units));

  it('walks up to four extension headers', () => {
    expect6(ipv6(0, join(options(17), UDP_DATA)), WIRE.OK, {
      l4: 48,
      protocol: 17,
      extensionHeaders: 1,
      ipHeaderBytes: 48,
    });
    const chain = (...kinds: number[]): Uint8Array => {
      const parts = kinds.map((_, i) => options(kinds[i + 1] ?? 17));
      return ipv6(kinds[0]!, join(...parts, UDP_DATA));
    };
    expect6(chain(0, 60, 43, 60), WIRE.OK, { extensionHeaders: 4, l4: 72, ports: 0x35003412, l4ChecksumOffset: 78 });
    expect6(chain(0, 60, 43, 60, 60), WIRE.BAD_EXTENSION, { extensionHeaders: 4, ports: 0, protocol: 60, s0: 0xfd });
    expect6(ipv6(60, join(options(6, 2), TCP_SYN)), WIRE.OK, { l4: 64, tcpFlags: 2 });
  });

  it('measures the authentication header in 4-byte units', () => {
    const authentication = join(Uint8Array.from([17, 4]), new Uint8Array(22));
    expect6(ipv6(51, join(authentication, UDP_DATA)), WIRE.OK, { l4: 64, ports: 0x35003412, extensionHeaders: 1 });
  });

  it('refuses what overruns or ends without a header', () => {
    expect6(ipv6(0, options(17).slice(0, 7)), WIRE.BAD_EXTENSION);
    expect6(ipv6(60, join(options(17, 200).slice(0, 64))), WIRE.BAD_EXTENSION);
    const long = ipv6(60, join(options(17, 200), UDP_DATA));
    expect6(long.slice(0, 50), WIRE.CUT, { s0: 0xfd, l4: 40 + 1608, ports: 0 }, long.length);
    expect6(ipv6(60, options(17)).slice(0, 47), WIRE.CUT, { protocol: 60 }, 60);
    expect6(ipv6(59, new Uint8Array(8)), WIRE.BAD_EXTENSION, { protocol: 59 });
    expect6(ipv6(60, join(options(59), new Uint8Array(8))), WIRE.BAD_EXTENSION, { protocol: 59, extensionHeaders: 1 });
  });

  it('tells fragments', () => {
    const fragment = (next: number, field: string): Uint8Array =>
      hex(`${next.toString(16).padStart(2, '0')}00 ${field} 01020304`);
    const first = { fragment: 1, fragId: 0x04030201, ports: 0x35003412, l4: 48, extensionHeaders: 1 };
    expect6(ipv6(44, join(fragment(17, '0001'), UDP_DATA)), WIRE.OK, first);
    const later = { fragment: 2, ports: 0, l4: 48, payload: 48, protocol: 17, l4ChecksumOffset: 0, fragId: 0x04030201 };
    expect6(ipv6(44, join(fragment(17, '0009'), UDP_DATA)), WIRE.OK, later);
    expect6(ipv6(44, join(fragment(17, '0008'), hex('00'))), WIRE.OK, later);
    // An atomic fragment is a whole packet (RFC 6946); its reserved bits do not count.
    expect6(ipv6(44, join(fragment(17, '0006'), UDP_DATA)), WIRE.OK, { fragment: 0, ports: 0x35003412 });
    expect6(ipv6(44, join(fragment(58, '0001'), ECHO6)), WIRE.OK, { fragment: 1, icmpType: 128 });
    // Behind a later fragment's header there are no more headers, whatever it names.
    expect6(ipv6(44, join(fragment(60, '0010'), hex('11000000'))), WIRE.UNKNOWN_L4, { fragment: 2, protocol: 60 });
    // An atomic header behind a first one does not undo it.
    const two = join(fragment(44, '0001'), hex('1100 0000 05050505'), UDP_DATA);
    expect6(ipv6(44, two), WIRE.OK, { fragment: 1, fragId: 0x04030201, extensionHeaders: 2 });
  });

  it('checks lengths and takes the wire length for jumbograms', () => {
    expect6(ipv6(17, UDP_DATA, 13), WIRE.BAD_IP, { family: 6, s0: 0 });
    expect6(ipv6(17, UDP_DATA).slice(0, 39), WIRE.BAD_IP, { family: 0 });
    expect6(ipv6(17, UDP_DATA).slice(0, 39), WIRE.CUT, {}, 52);
    expect6(ipv6(17, UDP_DATA, 0), WIRE.BAD_L4, { l3Length: 40 });
    expect6(ipv6(17, UDP_DATA, 0), WIRE.OK, { l3Length: 70000, ports: 0x35003412 }, 70000);
    expect6(ipv6(0, join(options(17), UDP_DATA), 0), WIRE.OK, { l3Length: 60, ports: 0x35003412 });
    expect6(ipv6(0, join(options(17), UDP_DATA), 0), WIRE.OK, { l3Length: 70000 }, 70000);
  });

  it('leaves protocols that connection tracking does not know', () => {
    for (const protocol of [1, 2, 4, 41, 47, 50, 135, 139]) {
      expect6(ipv6(protocol, UDP_DATA), WIRE.UNKNOWN_L4, { protocol, l4: 40, payload: 40, ports: 0, s0: 0xfd });
    }
  });
});

describe('wireStatusName', () => {
  it('names every status by its number', () => {
    for (const [name, number] of Object.entries(WIRE)) assert.equal(wireStatusName(number), name);
    assert.equal(wireStatusName(99), '99');
  });
});
