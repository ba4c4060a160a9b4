// Arbitraries of the wire room: values for each header, and frames from well-formed to random.
// Not a test. Invariant: the well-formed frames parse OK; mutations make the rest.

import fc from 'fast-check';
import {
  emitEthernet,
  emitGeneve,
  emitGre,
  emitIcmp,
  emitIpv4,
  emitIpv6,
  emitIpv6Extension,
  emitIpv6Fragment,
  emitSctp,
  emitTcp,
  emitUdp,
  emitVlan,
  emitVxlan,
  type Ipv6Words,
} from '../../../src/wire/index.ts';

/** Link types: all that are read, and two that are not. */
export const LINK_TYPES = [1, 12, 14, 101, 228, 229, 0, 108, 113, 276, 127, 99999] as const;

export const u8 = fc.integer({ min: 0, max: 0xff });
export const u16 = fc.oneof(
  fc.constantFrom(0, 1, 0xff, 0x100, 0x7fff, 0x8000, 0xffff),
  fc.integer({ min: 0, max: 0xffff }),
);
export const u24 = fc.integer({ min: 0, max: 0xffffff });
export const u32 = fc.oneof(fc.constantFrom(0, 1, 0x80000000, 0xffffffff), fc.integer({ min: 0, max: 0xffffffff }));
export const int32 = u32.map((value) => value | 0);
export const words: fc.Arbitrary<Ipv6Words> = fc.tuple(int32, int32, int32, int32);
export const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });

/** Bytes whose length is a multiple of 4 up to a maximum. */
export function wordBytes(maxWords: number): fc.Arbitrary<Uint8Array> {
  return fc
    .integer({ min: 0, max: maxWords })
    .chain((count) => fc.uint8Array({ minLength: 4 * count, maxLength: 4 * count }));
}

type Emit = (out: Uint8Array, at: number) => number;

/** What one emitter writes, as bytes of its own. */
function written(emit: Emit): Uint8Array {
  const out = new Uint8Array(2200);
  return out.slice(0, emit(out, 0));
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const port = fc.oneof(fc.constantFrom(80, 4789, 8472, 6081), u16);
const data = fc.uint8Array({ maxLength: 24 });

const tcp = fc
  .record({
    sourcePort: port,
    destinationPort: port,
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    window: u16,
    checksum: u16,
    urgentPointer: u16,
    options: wordBytes(10),
  })
  .map((repr) => written((out, at) => emitTcp(out, at, repr)));
const udpOf = (sourcePort: number, destinationPort: number, body: Uint8Array): Uint8Array =>
  concat(
    written((out, at) => emitUdp(out, at, { sourcePort, destinationPort, length: 8 + body.length, checksum: 0 })),
    body,
  );
const sctp = fc
  .record({ sourcePort: port, destinationPort: port, verificationTag: u32, checksum: int32 })
  .map((repr) => written((out, at) => emitSctp(out, at, repr)));

/** A protocol number of the IP layer and the bytes behind the IP header. */
interface Segment {
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

const { packet } = fc.letrec<{ packet: PacketBytes; segment: Segment; icmp: Segment; tunnel: Segment }>((tie) => ({
  icmp: fc
    .record({
      six: fc.boolean(),
      type: fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 11, 12, 128, 129, 135),
      code: u8,
      identifier: u16,
      sequence: u16,
      quote: tie('packet'),
      cut: fc.nat(40),
    })
    .map(({ six, quote, cut, ...repr }) => ({
      protocol: six ? 58 : 1,
      bytes: concat(
        written((out, at) => emitIcmp(out, at, { ...repr, checksum: 0 })),
        quote.bytes.slice(0, Math.max(0, quote.bytes.length - cut)),
      ),
    })),
  tunnel: fc
    .record({ inner: tie('packet'), kind: fc.integer({ min: 0, max: 5 }), vni: u24, options: wordBytes(6), extra: u8 })
    .map(({ inner, kind, vni, options, extra }) => {
      const type = inner.family === 4 ? 0x0800 : 0x86dd;
      const frame = concat(
        written((out, at) =>
          emitEthernet(out, at, { destination: new Uint8Array(6), source: new Uint8Array(6), etherType: type }),
        ),
        inner.bytes,
      );
      const geneve = (protocol: number): Uint8Array =>
        written((out, at) => emitGeneve(out, at, { control: false, critical: false, protocol, vni, options }));
      const gre = (protocol: number): Uint8Array =>
        written((out, at) =>
          emitGre(out, at, {
            protocol,
            checksum: (extra & 1) !== 0 ? extra : undefined,
            key: (extra & 2) !== 0 ? vni : undefined,
            sequence: (extra & 4) !== 0 ? vni : undefined,
          }),
        );
      const vxlan = written((out, at) => emitVxlan(out, at, { vni }));
      if (kind === 0) return { protocol: 17, bytes: udpOf(1, (extra & 1) !== 0 ? 8472 : 4789, concat(vxlan, frame)) };
      if (kind === 1) return { protocol: 17, bytes: udpOf(1, 6081, concat(geneve(0x6558), frame)) };
      if (kind === 2) return { protocol: 17, bytes: udpOf(1, 6081, concat(geneve(type), inner.bytes)) };
      if (kind === 3) return { protocol: 47, bytes: concat(gre(type), inner.bytes) };
      if (kind === 4) return { protocol: 47, bytes: concat(gre(0x6558), frame) };
      return { protocol: inner.family === 4 ? 4 : 41, bytes: inner.bytes };
    }),
  segment: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tcp.map((bytes) => ({ protocol: 6, bytes })),
    fc.tuple(port, port, data).map(([a, b, body]) => ({ protocol: 17, bytes: udpOf(a, b, body) })),
    sctp.map((bytes) => ({ protocol: 132, bytes })),
    fc.record({ protocol: u8, bytes: data }),
    tie('icmp'),
    tie('tunnel'),
  ),
  packet: fc
    .record({
      four: fc.boolean(),
      segment: tie('segment'),
      options: fc.oneof(fc.constant(new Uint8Array(0)), wordBytes(10)),
      fragment: fc.constantFrom(0, 0, 0, 0, 1, 2, 3),
      extensions: fc.array(fc.constantFrom(0, 43, 51, 60), { maxLength: 5 }),
      source: words,
      destination: words,
      ttl: u8,
    })
    .map(buildPacket),
}));

interface PacketBytes {
  readonly family: number;
  readonly bytes: Uint8Array;
}

function buildPacket(x: {
  four: boolean;
  segment: Segment;
  options: Uint8Array;
  fragment: number;
  extensions: number[];
  source: Ipv6Words;
  destination: Ipv6Words;
  ttl: number;
}): PacketBytes {
  const fragmentOffset = x.fragment > 1 ? 8 : 0;
  const moreFragments = (x.fragment & 1) !== 0;
  if (x.four) {
    const head = written((out, at) =>
      emitIpv4(out, at, {
        source: x.source[0],
        destination: x.destination[0],
        protocol: x.segment.protocol,
        ttl: x.ttl,
        tos: 0,
        identification: x.ttl,
        dontFragment: false,
        moreFragments,
        fragmentOffset,
        options: x.options,
        payloadBytes: x.segment.bytes.length,
      }),
    );
    return { family: 4, bytes: concat(head, x.segment.bytes) };
  }
  let next = x.segment.protocol;
  let body = x.segment.bytes;
  if (x.fragment !== 0) {
    const nextHeader = next;
    const repr = { nextHeader, fragmentOffset, moreFragments, identification: x.ttl };
    body = concat(
      written((out, at) => emitIpv6Fragment(out, at, repr)),
      body,
    );
    next = 44;
  }
  for (const kind of x.extensions) {
    const nextHeader = next;
    body = concat(
      written((out, at) => emitIpv6Extension(out, at, { nextHeader, body: new Uint8Array(6) }, kind)),
      body,
    );
    next = kind;
  }
  const head = written((out, at) =>
    emitIpv6(out, at, {
      source: x.source,
      destination: x.destination,
      nextHeader: next,
      hopLimit: x.ttl,
      trafficClass: 0,
      flowLabel: 0,
      payloadBytes: body.length,
    }),
  );
  return { family: 6, bytes: concat(head, body) };
}

/** A well-formed Ethernet frame with 0 to 3 VLAN tags. */
const ethernetFrame = fc.record({ packet, tags: fc.array(u16, { maxLength: 3 }), mac }).map((x) => {
  const type = x.packet.family === 4 ? 0x0800 : 0x86dd;
  const etherType = x.tags.length === 0 ? type : 0x8100;
  const tags = x.tags.map((tci, i) =>
    written((out, at) =>
      emitVlan(out, at, { priority: 0, dropEligible: 0, id: tci, etherType: i + 1 === x.tags.length ? type : 0x8100 }),
    ),
  );
  const head = written((out, at) => emitEthernet(out, at, { destination: x.mac, source: x.mac, etherType }));
  return concat(head, ...tags, x.packet.bytes);
});

/** A frame and the link type that it was made for, or now and then another one. */
export interface LinkFrame {
  readonly frame: Uint8Array;
  readonly linkType: number;
}

const headed = fc.tuple(packet, fc.constantFrom(0, 108, 113, 276)).map(([{ family, bytes }, linkType]) => {
  const head = new Uint8Array(linkType === 113 ? 16 : linkType === 276 ? 20 : 4);
  const type = family === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  if (head.length === 4) head[linkType === 0 ? 0 : 3] = family === 4 ? 2 : 30;
  else head.set(type, linkType === 113 ? 14 : 0);
  return { linkType, frame: concat(head, bytes) };
});

const wellFormed: fc.Arbitrary<LinkFrame> = fc.oneof(
  { weight: 3, arbitrary: ethernetFrame.map((frame) => ({ linkType: 1, frame })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(packet, fc.constantFrom(12, 14, 101, 0))
      .map(([{ family, bytes }, raw]) => ({ linkType: raw || (family === 4 ? 228 : 229), frame: bytes })),
  },
  { weight: 1, arbitrary: headed },
);

const mutated = fc
  .tuple(wellFormed, fc.array(fc.tuple(fc.nat(90), u8), { maxLength: 3 }), data)
  .map(([{ frame, linkType }, edits, pad]) => {
    const changed = concat(frame, pad);
    for (const [at, value] of edits) if (at < changed.length) changed[at] = value;
    return { linkType, frame: changed };
  });

const random = fc.record({ frame: fc.uint8Array({ maxLength: 120 }), linkType: fc.constantFrom(...LINK_TYPES) });

const mistaken = fc
  .tuple(wellFormed, fc.constantFrom(...LINK_TYPES))
  .map(([{ frame }, linkType]) => ({ frame, linkType }));

/** Frames: well-formed ones, ones with a few bytes changed or padding added, under a wrong link type, and random bytes. */
export const anyFrame: fc.Arbitrary<LinkFrame> = fc.oneof(
  { weight: 5, arbitrary: wellFormed },
  { weight: 4, arbitrary: mutated },
  { weight: 1, arbitrary: mistaken },
  { weight: 1, arbitrary: random },
);
