// Packets of the overlay, put together and taken apart by hand. Input: a frame and what the outer headers say. Output: outer frames;
// what an outer frame says. Shares no code with the product.
import { addressBytes, addressText, internetChecksum } from './packets.ts';

/** What the headers around a frame say. */
export interface Outer {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly port: number;
  readonly vni: number;
  readonly geneve: boolean;
  /** Geneve's option bytes. */
  readonly options?: Uint8Array;
  readonly tos?: number;
}

/** The option about direct return (class 0x014b, type 0x81). */
export function directReturnOption(frontend: string, port: number): Uint8Array {
  const address = addressBytes(frontend);
  return Uint8Array.from([0x01, 0x4b, 0x81, (address.length + 4) / 4, ...address, port >> 8, port & 0xff, 0, 0]);
}

/** The frame in its outer packet, behind an Ethernet header with zero MACs. `innerBytes`: bytes of the frame without padding. */
export function inOverlay(frame: Uint8Array, outer: Outer, innerBytes = frame.length): Uint8Array {
  const source = addressBytes(outer.source);
  const destination = addressBytes(outer.destination);
  const four = source.length === 4;
  const options = outer.options ?? new Uint8Array(0);
  const vni = [outer.vni >> 16, (outer.vni >> 8) & 0xff, outer.vni & 0xff, 0];
  const tunnel = outer.geneve
    ? [options.length / 4, options.length > 0 ? 0x40 : 0, 0x65, 0x58, ...vni, ...options]
    : [8, 0, 0, 0, ...vni];
  const udpLength = 8 + tunnel.length + innerBytes;
  const udp = [...be16(outer.sourcePort), ...be16(outer.port), ...be16(udpLength), 0, 0];
  const tos = outer.tos ?? 0;
  let ip: Uint8Array;
  if (four) {
    ip = Uint8Array.from([0x45, tos, ...be16(20 + udpLength), 0, 0, 0, 0, 64, 17, 0, 0, ...source, ...destination]);
    ip.set(be16(internetChecksum(ip)), 10);
  } else {
    ip = Uint8Array.from([
      0x60 | (tos >> 4),
      (tos & 15) << 4,
      0,
      0,
      ...be16(udpLength),
      17,
      64,
      ...source,
      ...destination,
    ]);
  }
  const link = [...new Uint8Array(12), ...(four ? [8, 0] : [0x86, 0xdd])];
  return Uint8Array.from([...link, ...ip, ...udp, ...tunnel, ...frame]);
}

/** What the outer headers of a frame say, and the frame inside. */
export function outerOf(bytes: Uint8Array): Outer & { readonly inner: Uint8Array; readonly checksumRight: boolean } {
  const four = bytes[14]! >> 4 === 4;
  const udp = four ? 34 : 54;
  const at16 = (i: number): number => (bytes[i]! << 8) | bytes[i + 1]!;
  const header = udp + 8;
  const geneve = at16(header + 2) === 0x6558;
  const options = geneve ? (bytes[header]! & 63) * 4 : 0;
  return {
    source: addressText(four ? bytes.slice(26, 30) : bytes.slice(22, 38)),
    destination: addressText(four ? bytes.slice(30, 34) : bytes.slice(38, 54)),
    sourcePort: at16(udp),
    port: at16(udp + 2),
    vni: (bytes[header + 4]! << 16) | at16(header + 5),
    geneve,
    options: bytes.slice(header + 8, header + 8 + options),
    inner: bytes.slice(header + 8 + options, udp + at16(udp + 4)),
    checksumRight: !four || internetChecksum(bytes.slice(14, 34)) === 0,
  };
}

const be16 = (n: number): [number, number] => [(n >> 8) & 0xff, n & 0xff];
