// Packets for tests: built from text addresses, taken apart again, checksums computed the long way.
// Input: a description. Output: Ethernet frames, or what a frame says. Shares no code with src/wire, so that neither's
// mistakes hide the other's.

/** What a packet is to be. Addresses as text, `a.b.c.d` or IPv6; ports in host order. */
export interface PacketSpec {
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6' | number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** TCP flags as letters of FSRPAU; default S. */
  readonly flags?: string;
  readonly sequence?: number;
  readonly ttl?: number;
  readonly payload?: Uint8Array;
  readonly type?: number;
  readonly code?: number;
  /** ICMP identifier. */
  readonly id?: number;
  /** Fragment: identification, offset in bytes, more to follow. Behind offset 0 the payload is what follows the IP header. */
  readonly fragment?: { readonly id: number; readonly offset: number; readonly more: boolean };
  readonly vlan?: readonly number[];
  readonly etherType?: number;
  /** UDP over IPv4: leave the checksum 0. */
  readonly noChecksum?: boolean;
  readonly sourceMac?: string;
  readonly destinationMac?: string;
}

const NUMBER = { tcp: 6, udp: 17, sctp: 132, icmp: 1, icmpv6: 58 } as const;
const FLAGS = 'FSRPAU';

/** Bytes of an address. */
export function addressBytes(text: string): Uint8Array {
  if (!text.includes(':')) return Uint8Array.from(text.split('.').map(Number));
  const [head = '', tail] = text.split('::');
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((w) => Number.parseInt(w, 16)));
  const front = words(head);
  const back = tail === undefined ? [] : words(tail);
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(all.flatMap((w) => [w >> 8, w & 0xff]));
}

/** Text of an address. IPv6 without zero compression, so that two texts are equal when the addresses are. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return [...bytes].join('.');
  return Array.from({ length: 8 }, (_, i) => ((bytes[i * 2]! << 8) | bytes[i * 2 + 1]!).toString(16)).join(':');
}

/** The same IPv6 or IPv4 address in the form of {@link addressText}. */
export const plainAddress = (text: string): string => addressText(addressBytes(text));

const macBytes = (text: string): number[] => text.split(':').map((b) => Number.parseInt(b, 16));

/** One's complement sum of big-endian 16-bit words, odd bytes padded, complemented: RFC 1071 by the book. */
export function internetChecksum(...parts: Uint8Array[]): number {
  let sum = 0;
  const all = parts.flatMap((p) => [...p]);
  for (let i = 0; i < all.length; i += 2) sum += (all[i]! << 8) | (all[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function pseudoHeader(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): Uint8Array {
  const tail =
    source.length === 4
      ? [0, protocol, length >> 8, length & 0xff]
      : [0, 0, length >> 8, length & 0xff, 0, 0, 0, protocol];
  return Uint8Array.from([...source, ...destination, ...tail]);
}

/** Builds an Ethernet frame with right checksums. */
export function frame(spec: PacketSpec): Uint8Array {
  const source = addressBytes(spec.source);
  const destination = addressBytes(spec.destination);
  const four = source.length === 4;
  const protocol = typeof spec.protocol === 'number' ? spec.protocol : NUMBER[spec.protocol];
  const payload = spec.payload ?? new TextEncoder().encode('Should not change!!\0');
  const later = spec.fragment !== undefined && spec.fragment.offset > 0;
  const l4 = later ? payload : transport(spec, protocol, payload);
  const check = CHECKSUM_AT[protocol];
  if (!later && check !== undefined && !(protocol === 1 && !four)) {
    const pseudo = protocol === 1 ? new Uint8Array(0) : pseudoHeader(source, destination, protocol, l4.length);
    let sum = internetChecksum(pseudo, l4);
    if (protocol === 17 && sum === 0) sum = 0xffff;
    if (spec.noChecksum === true) sum = 0;
    l4[check] = sum >> 8;
    l4[check + 1] = sum & 0xff;
  }
  const ip = four ? ipv4(spec, source, destination, protocol, l4) : ipv6(spec, source, destination, protocol, l4);
  const tags = (spec.vlan ?? []).flatMap((id) => [0x81, 0x00, id >> 8, id & 0xff]);
  const etherType = spec.etherType ?? (four ? 0x0800 : 0x86dd);
  const link = [
    ...macBytes(spec.destinationMac ?? '02:00:00:00:00:02'),
    ...macBytes(spec.sourceMac ?? '02:00:00:00:00:01'),
    ...tags,
    etherType >> 8,
    etherType & 0xff,
  ];
  return Uint8Array.from([...link, ...ip]);
}

const CHECKSUM_AT: Readonly<Record<number, number>> = { 6: 16, 17: 6, 1: 2, 58: 2 };

function transport(spec: PacketSpec, protocol: number, payload: Uint8Array): Uint8Array {
  const sport = spec.sourcePort ?? 0;
  const dport = spec.destinationPort ?? 0;
  const ports = [sport >> 8, sport & 0xff, dport >> 8, dport & 0xff];
  if (protocol === 6) {
    const flags = [...(spec.flags ?? 'S')].reduce((bits, letter) => bits | (1 << FLAGS.indexOf(letter)), 0);
    const seq = spec.sequence ?? 123456;
    const header = [...ports, seq >>> 24, (seq >> 16) & 0xff, (seq >> 8) & 0xff, seq & 0xff, 0, 0, 0, 0];
    return Uint8Array.from([...header, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0, ...payload]);
  }
  if (protocol === 17) {
    const length = payload.length + 8;
    return Uint8Array.from([...ports, length >> 8, length & 0xff, 0, 0, ...payload]);
  }
  if (protocol === 132) return Uint8Array.from([...ports, 0, 0, 0, 1, 1, 2, 3, 4, ...payload]);
  if (protocol === 1 || protocol === 58) {
    const id = spec.id ?? 0;
    return Uint8Array.from([spec.type ?? 8, spec.code ?? 0, 0, 0, id >> 8, id & 0xff, 0, 1, ...payload]);
  }
  return payload.slice();
}

function ipv4(
  spec: PacketSpec,
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  l4: Uint8Array,
): number[] {
  const length = 20 + l4.length;
  const id = spec.fragment?.id ?? 0;
  const field = spec.fragment === undefined ? 0 : (spec.fragment.offset >> 3) | (spec.fragment.more ? 0x2000 : 0);
  const header = Uint8Array.from([
    ...[0x45, 0, length >> 8, length & 0xff, id >> 8, id & 0xff, field >> 8, field & 0xff, spec.ttl ?? 64, protocol],
    ...[0, 0, ...source, ...destination],
  ]);
  const sum = internetChecksum(header);
  header[10] = sum >> 8;
  header[11] = sum & 0xff;
  return [...header, ...l4];
}

function ipv6(
  spec: PacketSpec,
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  l4: Uint8Array,
): number[] {
  const f = spec.fragment;
  const field = f === undefined ? 0 : (f.offset & 0xfff8) | (f.more ? 1 : 0);
  const extension =
    f === undefined ? [] : [protocol, 0, field >> 8, field & 0xff, 0, 0, (f.id >> 8) & 0xff, f.id & 0xff];
  const length = extension.length + l4.length;
  const next = f === undefined ? protocol : 44;
  const header = [0x60, 0, 0, 0, length >> 8, length & 0xff, next, spec.ttl ?? 64];
  return [...header, ...source, ...destination, ...extension, ...l4];
}

/** What a frame says, read independently of the product. */
export interface Seen {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly protocol: number;
  readonly ttl: number;
  readonly ipChecksum: number;
  readonly l4Checksum: number;
  /** Every checksum there is equals its full recomputation (a UDP field of 0 over IPv4 counts as right). */
  readonly checksumsRight: boolean;
  readonly destinationMac: string;
  readonly sourceMac: string;
}

const macText = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(':');

/** Takes an untagged Ethernet frame of IPv4, or of IPv6 with fragment and options headers at most, apart. */
export function seen(bytes: Uint8Array): Seen {
  const four = bytes[14]! >> 4 === 4;
  const at16 = (i: number): number => (bytes[i]! << 8) | bytes[i + 1]!;
  const source = four ? bytes.slice(26, 30) : bytes.slice(22, 38);
  const destination = four ? bytes.slice(30, 34) : bytes.slice(38, 54);
  let protocol = four ? bytes[23]! : bytes[20]!;
  let l4 = four ? 14 + (bytes[14]! & 15) * 4 : 54;
  const end = four ? 14 + at16(16) : 54 + at16(18);
  let field = four ? at16(20) & 0x3fff : 0;
  while (!four && (protocol === 44 || protocol === 60) && l4 + 8 <= bytes.length) {
    if (protocol === 44) field = at16(l4 + 2) & 0xfff9;
    const size = protocol === 44 ? 8 : (bytes[l4 + 1]! + 1) * 8;
    protocol = bytes[l4]!;
    l4 += size;
  }
  const check = CHECKSUM_AT[protocol];
  let right = !four || internetChecksum(bytes.slice(14, l4)) === 0;
  if (check !== undefined && field === 0) {
    const pseudo = protocol === 1 ? new Uint8Array(0) : pseudoHeader(source, destination, protocol, end - l4);
    const unused = protocol === 17 && four && at16(l4 + check) === 0;
    right &&= unused || internetChecksum(pseudo, bytes.slice(l4, end)) === 0;
  }
  const ported = protocol === 6 || protocol === 17 || protocol === 132;
  return {
    source: addressText(source),
    destination: addressText(destination),
    sourcePort: ported ? at16(l4) : 0,
    destinationPort: ported ? at16(l4 + 2) : 0,
    protocol,
    ttl: four ? bytes[22]! : bytes[21]!,
    ipChecksum: four ? at16(24) : 0,
    l4Checksum: check === undefined || l4 + check + 2 > bytes.length ? 0 : at16(l4 + check),
    checksumsRight: right,
    destinationMac: macText(bytes.slice(0, 6)),
    sourceMac: macText(bytes.slice(6, 12)),
  };
}
