// The packet that would have opened a connection: a SYN, an empty datagram, an echo request. Raw IP, in a scratch buffer.
// Input: a tuple (raw words). Output: a Packet over reused bytes. Invariant: checksums are zero: nothing here checks them.
import { Packet } from '../datapath/index.ts';

/** LINKTYPE_RAW. */
const RAW = 101;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;
const SCTP = 132;

/** Bytes of the L4 header that opens a connection. */
const l4Bytes = (protocol: number): number => (protocol === TCP ? 20 : protocol === SCTP ? 12 : 8);

/** Makes opening packets. */
export class Opening {
  readonly packet = new Packet();
  private readonly bytes = new Uint8Array(64);
  private readonly view = new DataView(this.bytes.buffer);

  /**
   * An IPv4 or IPv6 opening from source `s` to destination `d`, `ports` as Headers has them (ICMP: the echo id twice).
   * @param seconds time since start, with `nanoseconds`
   */
  make(
    family: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
    seconds: number,
    nanoseconds: number,
  ): Packet {
    const { bytes, view } = this;
    bytes.fill(0);
    const l4 = family === 4 ? 20 : 40;
    const length = l4 + l4Bytes(protocol);
    if (family === 4) {
      bytes[0] = 0x45;
      view.setUint16(2, length);
      bytes[8] = 64;
      bytes[9] = protocol;
      view.setInt32(12, s0, true);
      view.setInt32(16, d0, true);
    } else {
      bytes[0] = 0x60;
      view.setUint16(4, length - 40);
      bytes[6] = protocol;
      bytes[7] = 64;
      view.setInt32(8, s0, true);
      view.setInt32(12, s1, true);
      view.setInt32(16, s2, true);
      view.setInt32(20, s3, true);
      view.setInt32(24, d0, true);
      view.setInt32(28, d1, true);
      view.setInt32(32, d2, true);
      view.setInt32(36, d3, true);
    }
    if (protocol === ICMP || protocol === ICMPV6) {
      bytes[l4] = protocol === ICMP ? 8 : 128;
      view.setUint16(l4 + 4, ports & 0xffff, true);
    } else {
      view.setInt32(l4, ports, true);
      if (protocol === TCP) {
        bytes[l4 + 12] = 0x50;
        bytes[l4 + 13] = 2;
      } else if (protocol === UDP) view.setUint16(l4 + 4, 8);
    }
    return this.packet.view(bytes, 0, length, length, RAW, seconds, nanoseconds);
  }
}
