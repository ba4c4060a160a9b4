// IPIP packets the long way, for comparison with what the datapath makes of a frame: numbers as bigints, checksums by the book.
// Input: a frame, the outer addresses and MACs. Output: the encapsulated frame. Shares no code with src/.
import { internetChecksum } from './packets.ts';

/** What the outer packet is made of. Addresses as bytes, 4 or 16; MACs of six bytes. */
export interface Outer {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly sourceMac: Uint8Array;
  /** Bytes of the link header with its tags. */
  readonly linkBytes: number;
}

/** RFC 2003 (4 in 4) or RFC 2473 without options (6 in 6): TTL 64, traffic class copied, don't fragment, identification 0. */
export function encapsulated(frame: Uint8Array, outer: Outer): Uint8Array {
  const inner = frame.slice(outer.linkBytes);
  const link = [...outer.destinationMac, ...outer.sourceMac, ...frame.slice(12, outer.linkBytes)];
  return Uint8Array.from([
    ...link,
    ...(outer.source.length === 4 ? header4(inner, outer) : header6(inner, outer)),
    ...inner,
  ]);
}

function header4(inner: Uint8Array, { source, destination }: Outer): Uint8Array {
  const total = (inner[2]! << 8) + inner[3]! + 20;
  const header = Uint8Array.from([
    ...[0x45, inner[1]!, total >> 8, total & 255],
    ...[0, 0, 0x40, 0],
    ...[64, 4, 0, 0],
    ...source,
    ...destination,
  ]);
  const sum = internetChecksum(header);
  header[10] = sum >> 8;
  header[11] = sum & 255;
  return header;
}

function header6(inner: Uint8Array, { source, destination }: Outer): Uint8Array {
  const payload = (inner[4]! << 8) + inner[5]! + 40;
  const trafficClass = ((inner[0]! & 15) << 4) | (inner[1]! >> 4);
  const first = [0x60 | (trafficClass >> 4), (trafficClass & 15) << 4, 0, 0];
  return Uint8Array.from([...first, payload >> 8, payload & 255, 41, 64, ...source, ...destination]);
}

/**
 * The outer source: `kept` leading bits of a prefix, then the upper bits of (client's last word xor ports) · 0x61c88647. Words
 * count as the little-endian machine loads them, and the hash is stored in network order.
 */
export function spreadSource(prefix: Uint8Array, kept: number, client: Uint8Array, ports: Uint8Array): Uint8Array {
  const bits = BigInt(prefix.length * 8 - kept);
  if (bits === 0n) return prefix;
  const little = (bytes: Uint8Array): bigint => bytes.reduceRight((n, byte) => n * 256n + BigInt(byte), 0n);
  const value = little(client.slice(-4)) ^ little(ports);
  const hash = ((value * 0x61c88647n) & 0xffffffffn) >> (32n - bits);
  const word = prefix.slice(-4).reduce((n, byte) => n * 256n + BigInt(byte), 0n);
  const mixed = ((word >> bits) << bits) | hash;
  const last = [24n, 16n, 8n, 0n].map((shift) => Number((mixed >> shift) & 255n));
  return Uint8Array.from([...prefix.slice(0, -4), ...last]);
}
