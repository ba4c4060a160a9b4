// Tunnels and quoted packets: where the inner packet is, what it says, and what is refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  decapsulate,
  Headers,
  MAX_TUNNELS,
  parseFrame,
  parseIcmpInner,
  parseInner,
  Tunnel,
  TUNNEL,
  WIRE,
  wireStatusName,
} from '../../../src/wire/index.ts';
import { ECHO, ECHO6, ethernet, hex, ipv4, ipv6, join, placed, SCTP_INIT, TCP_SYN, UDP_DATA } from './frames.ts';

const AT = 5;
const inner4 = ipv4(6, TCP_SYN);
const inner6 = ipv6(17, UDP_DATA);
const frame4 = ethernet(0x0800, inner4);

/** A UDP datagram to a port. */
function udp(port: number, payload: Uint8Array, length = payload.length + 8): Uint8Array {
  return join(Uint8Array.from([0xc0, 0, port >>> 8, port, length >>> 8, length, 0, 0]), payload);
}

/** Parses a raw IP packet and one tunnel layer of it; offsets in the result are relative to the packet. */
function open(
  packet: Uint8Array,
  captured = packet.length,
): { status: number; tunnel: Tunnel; inner: Headers; innerStatus: number } {
  const outer = new Headers();
  const bytes = placed(packet.slice(0, captured), AT);
  parseFrame(outer, 101, bytes, AT, AT + captured, AT + packet.length);
  const tunnel = new Tunnel();
  tunnel.key = 99;
  tunnel.hasKey = 99;
  tunnel.kind = 99;
  const status = decapsulate(tunnel, outer, bytes, AT + captured);
  const inner = new Headers();
  const innerStatus = status === WIRE.OK ? parseInner(inner, tunnel, bytes, AT + captured) : -1;
  return { status, tunnel, inner, innerStatus };
}

/** Expects a tunnel whose inner packet is at `offset` and parses OK. */
function opens(
  packet: Uint8Array,
  kind: number,
  linkType: number,
  offset: number,
  key: number | undefined,
  ports: number,
): void {
  const { status, tunnel, inner, innerStatus } = open(packet);
  assert.equal(wireStatusName(status), 'OK');
  assert.equal(wireStatusName(innerStatus), 'OK');
  assert.deepEqual([tunnel.kind, tunnel.linkType, tunnel.offset - AT], [kind, linkType, offset]);
  assert.deepEqual([tunnel.hasKey, tunnel.key], key === undefined ? [0, 0] : [1, key]);
  assert.equal(tunnel.end, AT + packet.length);
  assert.equal(inner.ports, ports);
  for (let captured = 0; captured < packet.length; captured++) {
    const cut = open(packet, captured);
    const bad: number[] = [WIRE.BAD_TUNNEL, WIRE.BAD_IP, WIRE.BAD_L4, WIRE.BAD_LINK, WIRE.BAD_EXTENSION];
    assert.ok(!bad.includes(cut.status) && !bad.includes(cut.innerStatus), `captured ${captured}`);
  }
}

const TCP_PORTS = 0x50003412;
const UDP_PORTS = 0x35003412;

describe('decapsulate', () => {
  const vxlan = hex('08000000 abcdef 00');

  it('opens VXLAN on both ports, in both families', () => {
    for (const port of [8472, 4789]) {
      opens(ipv4(17, udp(port, join(vxlan, frame4))), TUNNEL.VXLAN, 1, 36, 0xabcdef, TCP_PORTS);
      opens(ipv6(17, udp(port, join(vxlan, frame4))), TUNNEL.VXLAN, 1, 56, 0xabcdef, TCP_PORTS);
    }
    // Only the destination port says so.
    const reply = join(hex('2118 1234 0040 0000'), vxlan, frame4);
    assert.equal(open(ipv4(17, reply)).status, WIRE.NO_INNER);
    assert.equal(open(ipv4(6, join(hex('1234 2118'), TCP_SYN.slice(4)))).status, WIRE.NO_INNER);
  });

  it('opens Geneve with options, with a frame or a packet', () => {
    const options = hex('014b 81 01 12345678');
    opens(ipv4(17, udp(6081, join(hex('0000 6558 000002 00'), frame4))), TUNNEL.GENEVE, 1, 36, 2, TCP_PORTS);
    opens(ipv4(17, udp(6081, join(hex('0240 6558 000002 00'), options, frame4))), TUNNEL.GENEVE, 1, 44, 2, TCP_PORTS);
    opens(ipv4(17, udp(6081, join(hex('0000 0800 000002 00'), inner4))), TUNNEL.GENEVE, 228, 36, 2, TCP_PORTS);
    opens(ipv6(17, udp(6081, join(hex('0000 86dd 000002 00'), inner6))), TUNNEL.GENEVE, 229, 56, 2, UDP_PORTS);
  });

  it('opens IP in IP in all four combinations', () => {
    opens(ipv4(4, inner4), TUNNEL.IP, 228, 20, undefined, TCP_PORTS);
    opens(ipv4(41, inner6), TUNNEL.IP, 229, 20, undefined, UDP_PORTS);
    opens(ipv6(4, inner4), TUNNEL.IP, 228, 40, undefined, TCP_PORTS);
    opens(ipv6(41, inner6), TUNNEL.IP, 229, 40, undefined, UDP_PORTS);
    opens(ipv6(60, join(hex('2900 000000000000'), inner6)), TUNNEL.IP, 229, 48, undefined, UDP_PORTS);
  });

  it('opens GRE with each optional field', () => {
    opens(ipv4(47, join(hex('0000 0800'), inner4)), TUNNEL.GRE, 228, 24, undefined, TCP_PORTS);
    opens(ipv4(47, join(hex('0000 86dd'), inner6)), TUNNEL.GRE, 229, 24, undefined, UDP_PORTS);
    opens(ipv6(47, join(hex('0000 6558'), frame4)), TUNNEL.GRE, 1, 44, undefined, TCP_PORTS);
    opens(ipv4(47, join(hex('2000 0800 00000007'), inner4)), TUNNEL.GRE, 228, 28, 7, TCP_PORTS);
    opens(ipv4(47, join(hex('8000 0800 11111111'), inner4)), TUNNEL.GRE, 228, 28, undefined, TCP_PORTS);
    opens(ipv4(47, join(hex('1000 0800 11111111'), inner4)), TUNNEL.GRE, 228, 28, undefined, TCP_PORTS);
    opens(ipv4(47, join(hex('b000 0800 11111111 fffffffe 22222222'), inner4)), TUNNEL.GRE, 228, 36, -2, TCP_PORTS);
    opens(ipv4(47, join(hex('a000 0800 11111111 00000009'), inner4)), TUNNEL.GRE, 228, 32, 9, TCP_PORTS);
  });

  it('refuses forms that it does not read, and headers that do not fit', () => {
    const bad = [
      ipv4(17, udp(4789, join(hex('00000000 abcdef 00'), frame4))),
      ipv4(17, udp(4789, vxlan.slice(0, 7))),
      ipv4(17, udp(6081, join(hex('4000 6558 000002 00'), frame4))),
      ipv4(17, udp(6081, join(hex('0000 8847 000002 00'), frame4))),
      ipv4(17, udp(6081, hex('0100 6558 000002 00 0000'))),
      ipv4(17, udp(6081, hex('0000 6558 000002'))),
      ipv4(47, join(hex('4000 0800 00000000'), inner4)),
      ipv4(47, join(hex('3001 880b 00000000'), inner4)),
      ipv4(47, hex('2000 0800 0000')),
      ipv4(47, hex('0000 08')),
      ipv4(47, join(hex('0000 88be'), frame4)),
    ];
    for (const packet of bad) {
      const { status, tunnel } = open(packet);
      assert.equal(wireStatusName(status), 'BAD_TUNNEL');
      assert.deepEqual({ ...tunnel }, { ...new Tunnel() });
    }
  });

  it('ends the inner packet where the outer one ends', () => {
    // UDP says less than IP: the rest is not the tunnel's.
    const short = ipv4(17, udp(4789, join(vxlan, frame4), 16 + frame4.length - 1));
    assert.equal(wireStatusName(open(short).innerStatus), 'BAD_IP');
    // UDP lengths that cannot be (0 in a BIG TCP packet, or more than IP holds) do not count.
    for (const length of [0, 7, 60_000]) {
      assert.equal(wireStatusName(open(ipv4(17, udp(4789, join(vxlan, frame4), length))).innerStatus), 'OK');
    }
    const padded = join(ipv4(4, inner4.slice(0, 30)), inner4.slice(30));
    assert.equal(wireStatusName(open(padded).innerStatus), 'BAD_IP');
  });

  it('does not look into fragments', () => {
    for (const fragment of [0x2000, 0x2001, 0x0001]) {
      for (const protocol of [4, 41, 47])
        assert.equal(open(ipv4(protocol, inner4, { fragment })).status, WIRE.NO_INNER);
      assert.equal(open(ipv4(17, udp(4789, join(vxlan, frame4)), { fragment })).status, WIRE.NO_INNER);
    }
  });

  it('can be repeated, as deep as the caller likes', () => {
    let packet: Uint8Array = inner4;
    for (let i = 0; i < MAX_TUNNELS; i++) packet = ipv4(4, packet);
    const bytes = placed(packet, AT);
    const end = AT + packet.length;
    let h = new Headers();
    parseFrame(h, 228, bytes, AT, end, end);
    const tunnel = new Tunnel();
    let depth = 0;
    while (depth < MAX_TUNNELS && decapsulate(tunnel, h, bytes, end) === WIRE.OK) {
      h = new Headers();
      parseInner(h, tunnel, bytes, end);
      depth++;
    }
    assert.equal(depth, MAX_TUNNELS);
    assert.equal(h.ports, TCP_PORTS);
  });
});

describe('parseIcmpInner', () => {
  /** Parses an error packet and what it quotes. */
  function quoted(packet: Uint8Array, captured = packet.length): { status: number; inner: Headers } {
    const outer = new Headers();
    const inner = new Headers();
    inner.ports = 99;
    const bytes = placed(packet.slice(0, captured), AT);
    parseFrame(outer, 101, bytes, AT, AT + captured, AT + packet.length);
    const status = parseIcmpInner(inner, outer, bytes, AT + captured, AT + packet.length);
    return { status, inner };
  }
  const error4 = (type: number, quote: Uint8Array): Uint8Array =>
    ipv4(1, join(Uint8Array.from([type, 1, 0, 0, 0, 0, 0, 0]), quote));
  const error6 = (type: number, quote: Uint8Array): Uint8Array =>
    ipv6(58, join(Uint8Array.from([type, 1, 0, 0, 0, 0, 0, 0]), quote));

  it('reads the connection that each error is about', () => {
    for (const type of [3, 4, 5, 11, 12]) {
      const { status, inner } = quoted(error4(type, inner4.slice(0, 28)));
      assert.equal(wireStatusName(status), 'OK');
      const fields = {
        family: 4,
        protocol: 6,
        s0: 0x0100000a,
        d0: 0x0200000a,
        ports: TCP_PORTS,
        tcpFlags: 0,
        l3Length: 44,
      };
      const offsets = { l3: AT + 28, l4: AT + 48, payload: AT + 56, l4ChecksumOffset: 0 };
      for (const [key, value] of Object.entries({ ...fields, ...offsets }))
        assert.equal(inner[key as keyof Headers], value, key);
    }
    for (const type of [1, 2, 3, 4]) {
      const { status, inner } = quoted(error6(type, inner6.slice(0, 48)));
      assert.equal(wireStatusName(status), 'OK');
      assert.deepEqual([inner.family, inner.ports, inner.s0, inner.d3], [6, UDP_PORTS, 0xfd, 0x02000000]);
      assert.equal(inner.l4ChecksumOffset, AT + 40 + 8 + 40 + 6);
    }
  });

  it('gives flags and checksum as far as the quote goes', () => {
    assert.deepEqual([quoted(error4(3, inner4.slice(0, 33))).inner.tcpFlags], [0]);
    const some = quoted(error4(3, inner4.slice(0, 34))).inner;
    assert.deepEqual([some.tcpFlags, some.l4ChecksumOffset], [2, 0]);
    const all = quoted(error4(3, inner4.slice(0, 38))).inner;
    assert.deepEqual([all.tcpFlags, all.l4ChecksumOffset], [2, AT + 28 + 20 + 16]);
    // Captured less than the quote: the same, without reading behind the capture.
    const cut = quoted(error4(3, inner4), 28 + 28);
    assert.deepEqual(
      [cut.status, cut.inner.ports, cut.inner.tcpFlags, cut.inner.l4ChecksumOffset],
      [0, TCP_PORTS, 0, 0],
    );
  });

  it('reads quoted echoes, SCTP, fragments, options and extension headers', () => {
    const echo = quoted(error4(3, ipv4(1, ECHO).slice(0, 28))).inner;
    assert.deepEqual([echo.icmpType, echo.icmpId, echo.l4ChecksumOffset], [8, 0xefbe, AT + 50]);
    const echo6 = quoted(error6(1, ipv6(58, ECHO6).slice(0, 48))).inner;
    assert.deepEqual([echo6.icmpType, echo6.icmpId], [128, 0xefbe]);
    assert.equal(quoted(error4(3, ipv4(132, SCTP_INIT).slice(0, 28))).inner.ports, TCP_PORTS);
    const later = quoted(error4(11, ipv4(17, UDP_DATA, { fragment: 1 }).slice(0, 28)));
    assert.deepEqual([later.status, later.inner.fragment, later.inner.ports], [WIRE.OK, 2, 0]);
    const options = ipv4(17, join(new Uint8Array(8), UDP_DATA));
    options[0] = 0x47;
    assert.equal(quoted(error4(3, options)).inner.ports, UDP_PORTS);
    const extended = ipv6(60, join(hex('1100 000000000000'), UDP_DATA));
    assert.equal(quoted(error6(3, extended)).inner.ports, UDP_PORTS);
    assert.equal(quoted(error4(3, ipv4(47, UDP_DATA))).status, WIRE.UNKNOWN_L4);
  });

  it('tells cut from bad', () => {
    const packet = error4(3, inner4.slice(0, 28));
    for (let captured = 0; captured < packet.length; captured++) {
      const { status } = quoted(packet, captured);
      assert.ok(status === WIRE.CUT || (captured < 28 && status === WIRE.NO_INNER), `captured ${captured}`);
    }
    const names = (quote: Uint8Array): string => wireStatusName(quoted(error4(3, quote)).status);
    assert.equal(names(inner4.slice(0, 27)), 'BAD_L4');
    assert.equal(names(inner4.slice(0, 20)), 'BAD_L4');
    assert.equal(names(inner4.slice(0, 19)), 'BAD_IP');
    assert.equal(names(new Uint8Array(0)), 'BAD_IP');
    assert.equal(names(inner6), 'BAD_IP');
    const long = inner4.slice(0, 28);
    long[0] = 0x4f;
    assert.equal(names(long), 'BAD_IP');
    long[0] = 0x44;
    assert.equal(names(long), 'BAD_IP');
    assert.equal(wireStatusName(quoted(error6(3, ipv6(60, hex('1100 0000')))).status), 'BAD_EXTENSION');
    assert.equal(wireStatusName(quoted(error6(3, inner6.slice(0, 40))).status), 'BAD_L4');
    assert.equal(wireStatusName(quoted(error6(3, inner6.slice(0, 39))).status), 'BAD_IP');
    for (const [packet, header] of [
      [error4(3, inner4), 28],
      [error6(1, inner6), 48],
    ] as const) {
      const outer = packet.slice(0, header);
      assert.equal(wireStatusName(quoted(join(outer, packet.slice(header)), header).status), 'CUT');
      assert.equal(quoted(packet).inner.l3Length, packet.length - header);
    }
    assert.equal(wireStatusName(quoted(error6(3, inner4)).status), 'BAD_IP');
    // The quote ends with the outer packet: padding behind it does not count.
    const padded = join(error4(3, inner4.slice(0, 27)), new Uint8Array(20));
    assert.equal(wireStatusName(quoted(padded).status), 'BAD_L4');
  });

  it('gives nothing for what is no error', () => {
    for (const packet of [
      error4(0, inner4),
      error4(8, inner4),
      error6(128, inner6),
      error6(135, inner6),
      error6(5, inner6),
      inner4,
    ]) {
      const { status, inner } = quoted(packet);
      assert.equal(wireStatusName(status), 'NO_INNER');
      assert.deepEqual({ ...inner }, { ...new Headers() });
    }
    const fragment = ipv4(1, join(hex('0301 0000 00000000'), inner4), { fragment: 0x2000 });
    assert.equal(quoted(fragment).status, WIRE.NO_INNER);
  });
});
