// What the receiver of a packet sends back: answers of every protocol, resets, ICMP errors that quote the packet.
// Input: chance, the frame as it was delivered. Output: descriptions of frames, or undefined when nobody would answer.
// Invariant: addresses and ports come out of the frame itself, so that what the datapath translated is what is answered.
import { Headers, parseFrame, WIRE } from '../../../src/wire/index.ts';
import { four, type Family, ICMP, ICMPV6, SCTP, six, TCP, UDP } from './cast.ts';
import { frame, type FrameSpec, PLAIN } from './frame.ts';
import type { Random } from './random.ts';

const h = new Headers();

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

/** The IP packet and L4 header of a frame that parses, or undefined. Valid until the next call. */
export function parsed(bytes: Uint8Array): Headers | undefined {
  return parseFrame(h, 1, bytes, 0, bytes.length, bytes.length) === WIRE.OK ? h : undefined;
}

const addressAt = (bytes: Uint8Array, at: number, family: number): Uint8Array =>
  bytes.slice(at, at + (family === 4 ? 4 : 16));

/** Source and destination address of a parsed frame, copied. */
export function ends(bytes: Uint8Array, headers: Headers): readonly [Uint8Array, Uint8Array] {
  const { l3, family } = headers;
  return family === 4
    ? [addressAt(bytes, l3 + 12, 4), addressAt(bytes, l3 + 16, 4)]
    : [addressAt(bytes, l3 + 8, 6), addressAt(bytes, l3 + 24, 6)];
}

/** The flags that answer a segment; 0 = silence. */
function answeringFlags(random: Random, flags: number): number {
  if ((flags & RST) !== 0) return random.chance(5) ? SYN : 0;
  if ((flags & (SYN | ACK)) === SYN)
    return random.pick([SYN | ACK, SYN | ACK, SYN | ACK, SYN | ACK, SYN | ACK, RST | ACK, RST, 0, ACK, SYN]);
  if ((flags & (SYN | ACK)) === (SYN | ACK)) return random.pick([ACK, ACK, ACK, ACK | PSH, RST, FIN | ACK]);
  if ((flags & FIN) !== 0) return random.pick([FIN | ACK, FIN | ACK, ACK, RST | ACK, 0]);
  return random.pick([ACK, ACK, ACK | PSH, ACK | PSH, FIN | ACK, FIN | ACK, RST, RST | ACK, 0, SYN, SYN | 0x40, 0xff]);
}

/** A payload of some length, mostly short. */
export function payload(random: Random): Uint8Array {
  const length = random.chance(2) ? 1400 : random.pick([0, 0, 1, 3, 8, 20, 64]);
  return random.fill(new Uint8Array(length));
}

/** The answer to a delivered packet, or undefined. */
export function answer(random: Random, bytes: Uint8Array): FrameSpec | undefined {
  const headers = parsed(bytes);
  if (headers === undefined || headers.fragment === 2) return undefined;
  const { protocol, icmpType } = headers;
  const [source, destination] = ends(bytes, headers);
  const at16 = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  const back = { ...PLAIN, source: destination, destination: source, protocol, payload: payload(random) };
  if (protocol === ICMP || protocol === ICMPV6) {
    const reply = icmpType === 8 ? 0 : icmpType === 128 ? 129 : -1;
    return reply < 0 ? undefined : { ...back, type: reply, id: at16(headers.l4 + 4) };
  }
  if (protocol !== TCP && protocol !== UDP && protocol !== SCTP) return undefined;
  const ported = { ...back, sourcePort: at16(headers.l4 + 2), destinationPort: at16(headers.l4) };
  if (protocol !== TCP) return { ...ported, type: 2 };
  const tcpFlags = answeringFlags(random, headers.tcpFlags);
  return tcpFlags === 0 ? undefined : { ...ported, tcpFlags };
}

/**
 * A UDP packet again, with a payload such that the checksum of what comes of it is zero, which is written as 0xffff (RFC 768): by chance
 * one in 65,536 is. Undefined where it does not apply. `came`: what came of `sent`.
 */
export function toZeroChecksum(sent: Uint8Array, came: Uint8Array): Uint8Array | undefined {
  const headers = parsed(sent);
  if (headers?.protocol !== UDP || headers.fragment !== 0 || sent.length !== came.length) return undefined;
  const { l4 } = headers;
  const out = new DataView(sent.slice().buffer);
  const length = out.getUint16(l4 + 4);
  const before = out.getUint16(l4 + 6);
  const after = new DataView(came.buffer, came.byteOffset).getUint16(l4 + 6);
  if (before === 0 || after === 0 || before === after || length < 10 || l4 + length > sent.length) return undefined;
  const added = (a: number, b: number): number => ((a + b) & 0xffff) + ((a + b) >>> 16);
  out.setUint16(l4 + 8, added(out.getUint16(l4 + 8), after));
  const check = added(before, ~after & 0xffff);
  out.setUint16(l4 + 6, check === 0 ? 0xffff : check);
  return new Uint8Array(out.buffer);
}

/** An ICMP error about a frame: from its receiver, or from a router on the way. */
export function icmpError(random: Random, bytes: Uint8Array, routers: readonly Uint8Array[]): FrameSpec | undefined {
  const headers = parsed(bytes);
  if (headers === undefined) return undefined;
  const { family, l3, l4 } = headers;
  const [source, destination] = ends(bytes, headers);
  const way = routers.filter((router) => router.length === source.length);
  const from = random.chance(60) || way.length === 0 ? destination : random.pick(way);
  const quoted = bytes.slice(l3, Math.min(bytes.length, l4 + random.pick([8, 8, 20, 4, 0])));
  // An echo that nobody sent, between ends that know each other: their connections' twin is met, and is not what is quoted.
  if (random.chance(8) && quoted.length > l4 - l3) {
    quoted[family === 4 ? 9 : 6] = family === 4 ? ICMP : ICMPV6;
    quoted[l4 - l3] = family === 4 ? 8 : 128;
  }
  const type = family === 4 ? random.pick([3, 3, 3, 11, 12, 4, 5]) : random.pick([1, 1, 2, 3, 4]);
  const code = type === 3 && family === 4 ? random.pick([0, 1, 3, 4, 4, 13]) : random.below(2);
  return {
    ...PLAIN,
    source: from,
    destination: source,
    protocol: family === 4 ? ICMP : ICMPV6,
    type,
    code,
    id: random.chance(80) ? 0 : 1400,
    payload: quoted,
  };
}

/** Neighbour discovery, or ARP: what a pod's interface sees besides. */
export function neighbourFrame(random: Random, source: Uint8Array, destination: Uint8Array): FrameSpec {
  const family: Family = source.length === 4 ? 4 : 6;
  const target = family === 6 ? destination : six(0xff, 2, 0, 1);
  const from = family === 6 ? source : six(0xfe, 0x80, 0, 1);
  return {
    ...PLAIN,
    source: from,
    destination: target,
    protocol: ICMPV6,
    type: random.pick([133, 134, 135, 135, 136, 137, 138, 130, 143]),
    ttl: random.pick([255, 255, 255, 254, 64]),
    payload: random.fill(new Uint8Array(random.pick([0, 16, 24]))),
  };
}

/** An ARP frame. */
export function arpFrame(random: Random): Uint8Array {
  return arpQuestion(random, four(10, 0, 1, 1), random.fill(new Uint8Array(4)));
}

/** Stations that questions are sent to, and that send them. */
const askedMac = (random: Random): number[] =>
  random.pick([
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [2, 0, 0, 0, 0, 2],
    [2, 0, 0, 0, 0, 2],
    [2, 0, 0, 0, 0, 3],
    [0x33, 0x33, 0xff, 0, 0, 1],
  ]);
const askingMac = (random: Random, group = 6): number[] => [
  random.chance(group) ? 3 : 2,
  0,
  0,
  0,
  0,
  random.pick([1, 1, 2]),
];

/** Who has `target`? Mostly a sound request, at times what looks like one. */
export function arpQuestion(random: Random, sender: Uint8Array, target: Uint8Array): Uint8Array {
  const out = random.fill(new Uint8Array(random.pick([42, 42, 60, 41, 30])));
  const fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0, random.pick([1, 1, 1, 2])];
  if (random.chance(8)) fixed[random.below(fixed.length)] = random.pick([0, 1, 2, 8]);
  const from = askingMac(random);
  const message = [...askedMac(random), ...from, ...fixed, ...(random.chance(80) ? from : askingMac(random, 40))];
  const asks = [
    ...(random.chance(8) ? four(0, 0, 0, 0) : random.chance(15) ? target : sender),
    0,
    0,
    0,
    0,
    0,
    0,
    ...target,
  ];
  [...message, ...asks].forEach((byte, i) => (out[i] = byte));
  return out;
}

/** A neighbour solicitation for `target`, as sound as the request above. */
export function solicitation(random: Random, sender: Uint8Array, target: Uint8Array): Uint8Array {
  const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13]!, target[14]!, target[15]!);
  const wrong = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  const option = random.pick([[1, 1, 2, 0, 0, 0, 0, 1], [], [1, 1, 2, 0, 0, 0, 0, 1, 14, 1, 1, 2, 3, 4, 5, 6]]);
  const source = random.chance(25) ? new Uint8Array(16) : random.chance(8) ? target : random.chance(5) ? wrong : sender;
  const out = frame({
    ...PLAIN,
    source,
    destination: random.chance(75) ? group : random.pick([target, target, wrong, sender]),
    protocol: ICMPV6,
    type: random.chance(95) ? 135 : 136,
    code: random.chance(4) ? 1 : 0,
    ttl: random.chance(94) ? 255 : 64,
    payload: Uint8Array.from([...target, ...option]).subarray(0, random.chance(95) ? 32 : 12),
    extensions: random.chance(5) ? [60] : [],
    padding: random.chance(10) ? 5 : 0,
  });
  out.set([...askedMac(random), ...askingMac(random)]);
  return out;
}
