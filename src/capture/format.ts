// Tells by a file's first bytes what it is, and hands over to the decoder of that format.
// Input: the first 4 bytes. Output: reader.decoder replaced, or an error that names what the file seems to be.
import { type FormatDecoder, NO_OPTIONS } from './decoder.ts';
import type { PacketOptions } from './packet-source.ts';
import { PcapDecoder, pcapVariant } from './pcap.ts';
import { PcapngDecoder, SECTION_HEADER } from './pcapng.ts';
import type { CaptureReader } from './reader.ts';

/** First four bytes, as a big-endian number, of formats that are told apart only to say what to do. */
const refused: readonly { readonly mask: number; readonly magic: number; readonly what: string }[] = [
  { mask: 0xffff0000, magic: 0x1f8b0000, what: 'gzip-compressed data: decompress it first' },
  {
    mask: 0xffffffff,
    magic: 0x28b52ffd,
    what: 'zstd-compressed data, which is not supported: decompress it first (zstd -d)',
  },
  {
    mask: 0xffffffff,
    magic: 0x04224d18,
    what: 'lz4-compressed data, which is not supported: decompress it first (lz4 -d)',
  },
  {
    mask: 0xffffffff,
    magic: 0xfd377a58,
    what: 'xz-compressed data, which is not supported: decompress it first (xz -d)',
  },
  {
    mask: 0xffffff00,
    magic: 0x425a6800,
    what: 'bzip2-compressed data, which is not supported: decompress it first (bzip2 -d)',
  },
  {
    mask: 0xffffffff,
    magic: 0x736e6f6f,
    what: 'a snoop capture, which is not supported: convert it first (editcap -F pcapng)',
  },
  {
    mask: 0xffffffff,
    magic: 0x474d4255,
    what: 'a Network Monitor capture, which is not supported: convert it first (editcap -F pcapng)',
  },
];

/** The decoder of a file not looked at yet. */
export class FormatDetector implements FormatDecoder {
  next(reader: CaptureReader): boolean {
    const { view, start, end } = reader.window;
    if (end - start < 4) return reader.want(4, 'its header');
    const magic = view.getUint32(start, false);
    const variant = pcapVariant(magic);
    if (magic === SECTION_HEADER) reader.decoder = new PcapngDecoder();
    else if (variant !== undefined) reader.decoder = new PcapDecoder(variant);
    else {
      const known = refused.find((format) => (magic & format.mask) >>> 0 === format.magic);
      const hex = magic.toString(16).padStart(8, '0');
      return reader.damage(
        known ? `this is ${known.what}` : `not a capture: it begins with ${hex}, and neither pcap nor pcapng does`,
      );
    }
    return reader.decoder.next(reader);
  }

  packetOptions(): PacketOptions {
    return NO_OPTIONS;
  }
}
