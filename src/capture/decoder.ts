// What the format decoders share: their interface, the packet bound, and the options of a packet that has none.
// Owns no state. pcap.ts and pcapng.ts implement FormatDecoder; reader.ts calls it.
import type { PacketOptions } from './packet-source.ts';
import type { CaptureReader } from './reader.ts';

/**
 * Decodes one format. `next` consumes from `reader.window` and fills the reader's packet fields; when it returns false it
 * has called `reader.want` (more bytes are needed) or `reader.damage`.
 */
export interface FormatDecoder {
  /** Goes to the next packet; false: wanting more bytes, or damaged. */
  next(reader: CaptureReader): boolean;
  /** Comments, hashes and verdicts of the packet that the reader is at. */
  packetOptions(reader: CaptureReader): PacketOptions;
}

/** The options of a packet that has none. */
export const NO_OPTIONS: PacketOptions = { comments: [], hashes: [], verdicts: [] };

/** Most bytes that a packet of a link type may have: as libpcap and Wireshark, so that damage is told from data alike. */
export function maxPacketBytes(linkType: number): number {
  // D-Bus messages and USBPcap transfers are whole objects, not frames.
  return linkType === 231 || linkType === 249 ? 128 << 20 : 262_144;
}
