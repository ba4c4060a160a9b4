// Packets of the overlay between nodes (VXLAN, Geneve): where the pod's own packet is inside. Input: a captured packet.
// Output: the inner frame's place and its network identifier. Invariant: only what nodes of the cluster send each other to the
// configured port is looked into, since anybody can write such a header; allocates nothing; a packet that is no UDP costs a byte or two.
import { FEATURE } from '../schema/index.ts';
import { readBe16, readBe24, readRaw32 } from '../wire/index.ts';
import type { Directory } from './directory.ts';

const UDP = 17;
const ETHERNET = 1;
const TUNNEL = FEATURE.TUNNEL;
/** Bytes of the link header by LINKTYPE: null, Ethernet, raw IP, cooked v1, raw IPv4, raw IPv6, cooked v2. */
const LINK_BYTES: Readonly<Record<number, number>> = { 1: 14, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20 };
const VXLAN_VALID = 0x08;
const BRIDGED = 0x6558;

/** See the head of this file. */
export class Overlay {
  /** Absolute offset of the inner frame; it is an Ethernet frame. */
  offset = 0;
  /** Captured and wire bytes of it. */
  capturedBytes = 0;
  wireBytes = 0;
  /** Network identifier: the sender's identity. */
  vni = 0;
  private readonly directory: Directory;
  /** UDP port, host order; -1: no overlay. */
  private readonly port: number;

  /**
   * @param features of the configuration
   * @param port UDP port of the overlay, host order
   */
  constructor(directory: Directory, features: number, port: number) {
    this.directory = directory;
    this.port = (features & TUNNEL) !== 0 ? port : -1;
  }

  /** Whether the packet is one of the overlay; then the fields say where the inner frame is. Bytes are read within the captured ones. */
  unwrap(bytes: Uint8Array, offset: number, capturedBytes: number, wireBytes: number, linkType: number): boolean {
    if (this.port < 0) return false;
    const link = LINK_BYTES[linkType];
    if (link === undefined) return false;
    const l3 = offset + link;
    const end = offset + capturedBytes;
    if (l3 + 20 > end) return false;
    const version = bytes[l3]! >>> 4;
    const four = version === 4;
    if (bytes[l3 + (four ? 9 : 6)] !== UDP || (!four && version !== 6)) return false;
    // A fragment has no whole frame inside.
    if (four && ((bytes[l3 + 6]! & 0x3f) | bytes[l3 + 7]!) !== 0) return false;
    const udp = l3 + (four ? (bytes[l3]! & 15) << 2 : 40);
    if (udp + 16 > end || udp < l3 + 20 || readBe16(bytes, udp + 2) !== this.port) return false;
    if (!this.isBetweenNodes(bytes, l3, four)) return false;
    const length = readBe16(bytes, udp + 4);
    const header = udp + 8;
    const inner = innerFrame(bytes, header);
    const innerEnd = udp + length;
    const wireEnd = offset + wireBytes;
    if (inner === 0 || length < inner - udp || innerEnd > wireEnd || inner > end) return false;
    this.offset = inner;
    this.capturedBytes = (innerEnd < end ? innerEnd : end) - inner;
    this.wireBytes = innerEnd - inner;
    this.vni = readBe24(bytes, header + 4);
    return true;
  }

  private isBetweenNodes(bytes: Uint8Array, l3: number, four: boolean): boolean {
    return this.isNode(bytes, l3 + (four ? 12 : 8), four) && this.isNode(bytes, l3 + (four ? 16 : 24), four);
  }

  private isNode(bytes: Uint8Array, at: number, four: boolean): boolean {
    const { directory } = this;
    const owner = four
      ? directory.ownerOf(4, readRaw32(bytes, at), 0, 0, 0)
      : directory.ownerOf(
          6,
          readRaw32(bytes, at),
          readRaw32(bytes, at + 4),
          readRaw32(bytes, at + 8),
          readRaw32(bytes, at + 12),
        );
    return directory.owners[owner]?.kind === 'node';
  }
}

/** Offset of the Ethernet frame behind a VXLAN (RFC 7348) or Geneve header (RFC 8926); 0: neither. The two differ in bytes 2 and 3. */
function innerFrame(bytes: Uint8Array, header: number): number {
  const type = readBe16(bytes, header + 2);
  if (type === BRIDGED) return bytes[header]! >>> 6 === 0 ? header + 8 + ((bytes[header]! & 63) << 2) : 0;
  return (bytes[header]! & VXLAN_VALID) !== 0 && type === 0 ? header + 8 : 0;
}

/** Link type of the inner frame. */
export const OVERLAY_LINK_TYPE = ETHERNET;
