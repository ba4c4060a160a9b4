// Frames for differential runs, built from numbers: Ethernet, tags, IPv4 with options, IPv6 with extension headers, L4.
// Input: a description. Output: bytes, checksums right unless asked otherwise. Shares no code with src/wire.
// Invariant: whatever the description says, a frame comes out; lies about lengths are made afterwards (mutate.ts).
import { ICMP, ICMPV6, SCTP, TCP, UDP } from './cast.ts';

/** Part of a datagram: offset in bytes of its L4 data (a multiple of 8), and whether more follow. */
export interface Piece {
  readonly id: number;
  readonly offset: number;
  readonly more: boolean;
}

/** What a packet is. Ports in host order; `id` is the ICMP identifier. */
export interface FrameSpec {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tcpFlags: number;
  readonly type: number;
  readonly code: number;
  readonly id: number;
  readonly payload: Uint8Array;
  readonly ttl: number;
  readonly tos: number;
  /** 802.1Q and 802.1ad tags: Ethernet type and tag, outer first. */
  readonly tags: readonly (readonly [number, number])[];
  /** IPv4 options, a multiple of 4 bytes. */
  readonly options: Uint8Array;
  /** IPv6 extension headers before the L4 header, by number; 44 makes an atomic fragment. */
  readonly extensions: readonly number[];
  readonly noChecksum: boolean;
  readonly dontFragment: boolean;
  /** The IP header says length 0: a segmentation-offloaded packet, or with a hop-by-hop header a jumbogram. */
  readonly zeroLength: boolean;
  /** Bytes behind the IP packet, as Ethernet's minimum length makes them. */
  readonly padding: number;
  /** TCP options, a multiple of 4 bytes. */
  readonly tcpOptions: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** A plain packet, to be changed by spreading. */
export const PLAIN: Omit<FrameSpec, 'source' | 'destination' | 'protocol'> = {
  sourcePort: 0,
  destinationPort: 0,
  tcpFlags: 0,
  type: 0,
  code: 0,
  id: 0,
  payload: NOTHING,
  ttl: 64,
  tos: 0,
  tags: [],
  options: NOTHING,
  extensions: [],
  noChecksum: false,
  dontFragment: false,
  zeroLength: false,
  padding: 0,
  tcpOptions: NOTHING,
};

const put16 = (out: Uint8Array, at: number, value: number): void => {
  out[at] = value >>> 8;
  out[at + 1] = value;
};

const sum16 = (bytes: Uint8Array, start: number, end: number, sum: number): number => {
  for (let i = start; i < end; i += 2) sum += (bytes[i]! << 8) | (i + 1 < end ? bytes[i + 1]! : 0);
  return sum;
};

const folded = (sum: number): number => {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

/** Offset of the checksum in the L4 header, or -1. */
const checksumAt = (protocol: number): number =>
  protocol === TCP ? 16 : protocol === UDP ? 6 : protocol === ICMP || protocol === ICMPV6 ? 2 : -1;

/** Header and payload of the transport layer, with its checksum. */
export function transport(spec: FrameSpec): Uint8Array {
  const { protocol, payload, tcpOptions } = spec;
  const header =
    protocol === TCP ? 20 + tcpOptions.length : protocol === SCTP ? 16 : [UDP, ICMP, ICMPV6].includes(protocol) ? 8 : 0;
  const out = new Uint8Array(header + payload.length);
  out.set(payload, header);
  if (protocol === TCP || protocol === UDP || protocol === SCTP) {
    put16(out, 0, spec.sourcePort);
    put16(out, 2, spec.destinationPort);
  }
  if (protocol === TCP) {
    put16(out, 6, 1000 + spec.id);
    put16(out, 10, 2000);
    out[12] = header << 2;
    out[13] = spec.tcpFlags;
    put16(out, 14, 0xffff);
    out.set(tcpOptions, 20);
  } else if (protocol === UDP) put16(out, 4, out.length);
  else if (protocol === SCTP) out[12] = spec.type;
  else if (protocol === ICMP || protocol === ICMPV6) {
    out[0] = spec.type;
    out[1] = spec.code;
    put16(out, 4, spec.id);
    put16(out, 6, 1);
  }
  const at = checksumAt(protocol);
  if (at < 0 || (spec.noChecksum && protocol === UDP)) return out;
  let sum = 0;
  if (protocol !== ICMP) {
    sum = sum16(spec.source, 0, spec.source.length, sum16(spec.destination, 0, spec.destination.length, 0));
    sum += protocol + out.length;
  }
  const check = folded(sum16(out, 0, out.length, sum));
  put16(out, at, protocol === UDP && check === 0 ? 0xffff : check);
  return out;
}

/** Bytes of one extension header of 8 bytes (12 for authentication) that names `next`. */
function extension(kind: number, next: number): Uint8Array {
  if (kind === 51) return Uint8Array.of(next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1);
  if (kind === 44) return Uint8Array.of(next, 0, 0, 0, 0, 0, 0, 9);
  return Uint8Array.of(next, 0, 1, 4, 0, 0, 0, 0);
}

/** The frame of one packet, or of one piece of it. `l4` is the whole datagram's transport layer. */
export function frame(
  spec: FrameSpec,
  l4: Uint8Array = transport(spec),
  piece?: Piece,
  length = l4.length,
): Uint8Array {
  const from = piece?.offset ?? 0;
  const data = l4.subarray(from, Math.min(l4.length, from + length));
  const ip = spec.source.length === 4 ? ipv4(spec, data, piece) : ipv6(spec, data, piece);
  const tags = spec.tags.length * 4;
  const out = new Uint8Array(14 + tags + ip.length + spec.padding);
  out.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
  let at = 12;
  for (const [type, tag] of spec.tags) {
    put16(out, at, type);
    put16(out, at + 2, tag);
    at += 4;
  }
  put16(out, at, spec.source.length === 4 ? 0x0800 : 0x86dd);
  out.set(ip, at + 2);
  for (let i = out.length - spec.padding; i < out.length; i++) out[i] = 0xee;
  return out;
}

function ipv4(spec: FrameSpec, data: Uint8Array, piece?: Piece): Uint8Array {
  const header = 20 + spec.options.length;
  const out = new Uint8Array(header + data.length);
  out[0] = 0x40 | (header >>> 2);
  out[1] = spec.tos;
  put16(out, 2, spec.zeroLength ? 0 : out.length);
  put16(out, 4, piece?.id ?? (spec.id ^ 0x1234) & 0xffff);
  put16(out, 6, (spec.dontFragment ? 0x4000 : 0) | ((piece?.offset ?? 0) >>> 3) | (piece?.more === true ? 0x2000 : 0));
  out[8] = spec.ttl;
  out[9] = spec.protocol;
  out.set(spec.source, 12);
  out.set(spec.destination, 16);
  out.set(spec.options, 20);
  put16(out, 10, folded(sum16(out, 0, header, 0)));
  out.set(data, header);
  return out;
}

function ipv6(spec: FrameSpec, data: Uint8Array, piece?: Piece): Uint8Array {
  const parts: Uint8Array[] = [];
  let next = spec.protocol;
  if (piece !== undefined) {
    const field = piece.offset | (piece.more ? 1 : 0);
    const id = piece.id;
    parts.push(Uint8Array.of(next, 0, field >>> 8, field, id >>> 24, id >>> 16, id >>> 8, id));
    next = 44;
  }
  for (const kind of [...spec.extensions].reverse()) {
    parts.unshift(extension(kind, next));
    next = kind;
  }
  const extra = parts.reduce((n, part) => n + part.length, 0);
  const out = new Uint8Array(40 + extra + data.length);
  out[0] = 0x60 | (spec.tos >>> 4);
  out[1] = (spec.tos & 15) << 4;
  put16(out, 4, spec.zeroLength ? 0 : extra + data.length);
  out[6] = next;
  out[7] = spec.ttl;
  out.set(spec.source, 8);
  out.set(spec.destination, 24);
  let at = 40;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  out.set(data, at);
  return out;
}
