// Option lists of pcapng blocks (draft-ietf-opsawg-pcapng §3.5), decoded into plain values.
// Input: a range of bytes and its byte order. Output: interface descriptions and packet options.
// Invariant: a list that is cut or lies about a length ends there; what came before it counts. Never throws.
import type { PacketOptions, PacketVerdict } from './packet-source.ts';

const text = new TextDecoder();

/** Called per option: its code and the range [at, at + length) of its value, without padding. */
type OptionVisitor = (code: number, at: number, length: number) => void;

/** Visits the options in [at, end) up to opt_endofopt (0). */
function eachOption(view: DataView, at: number, end: number, littleEndian: boolean, visit: OptionVisitor): void {
  let from = at;
  while (end - from >= 4) {
    const code = view.getUint16(from, littleEndian);
    const length = view.getUint16(from + 2, littleEndian);
    if (code === 0 || length > end - from - 4) return;
    visit(code, from + 4, length);
    from += 4 + ((length + 3) & ~3);
  }
}

/** UTF-8, replacement characters for what is not; trailing zeros, which some writers count in, are left out. */
function textAt(bytes: Uint8Array, at: number, length: number): string {
  let end = at + length;
  while (end > at && bytes[end - 1] === 0) end--;
  return text.decode(bytes.subarray(at, end));
}

/** What the options of an Interface Description Block say. */
export interface InterfaceOptions {
  name?: string;
  description?: string;
  resolution: { base: 2 | 10; exponent: number };
  offsetSeconds: bigint;
}

/** Decodes the options of an Interface Description Block; without if_tsresol, time is in microseconds. */
export function interfaceOptions(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  littleEndian: boolean,
): InterfaceOptions {
  const found: InterfaceOptions = { resolution: { base: 10, exponent: 6 }, offsetSeconds: 0n };
  eachOption(view, at, end, littleEndian, (code, valueAt, length) => {
    if (code === 2) found.name = textAt(bytes, valueAt, length);
    else if (code === 3) found.description = textAt(bytes, valueAt, length);
    else if (code === 9 && length >= 1) {
      const resolution = view.getUint8(valueAt);
      found.resolution = { base: resolution & 0x80 ? 2 : 10, exponent: resolution & 0x7f };
    } else if (code === 14 && length >= 8) found.offsetSeconds = view.getBigInt64(valueAt, littleEndian);
  });
  return found;
}

/** Decodes the options of an Enhanced Packet Block (or an obsolete Packet Block, whose codes 1 to 3 agree). */
export function decodePacketOptions(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  littleEndian: boolean,
): PacketOptions {
  const comments: string[] = [];
  const hashes: { algorithm: number; value: Uint8Array }[] = [];
  const verdicts: PacketVerdict[] = [];
  const found: { flags?: number; dropCount?: bigint; packetId?: bigint; queue?: number } = {};
  eachOption(view, at, end, littleEndian, (code, valueAt, length) => {
    if (code === 1) comments.push(textAt(bytes, valueAt, length));
    else if (code === 2 && length >= 4) found.flags = view.getUint32(valueAt, littleEndian);
    else if (code === 3 && length >= 1) {
      hashes.push({ algorithm: view.getUint8(valueAt), value: bytes.slice(valueAt + 1, valueAt + length) });
    } else if (code === 4 && length >= 8) found.dropCount = view.getBigUint64(valueAt, littleEndian);
    else if (code === 5 && length >= 8) found.packetId = view.getBigUint64(valueAt, littleEndian);
    else if (code === 6 && length >= 4) found.queue = view.getUint32(valueAt, littleEndian);
    else if (code === 7 && length >= 1) {
      const type = view.getUint8(valueAt);
      const value = bytes.slice(valueAt + 1, valueAt + length);
      const known = (type === 1 || type === 2) && length === 9;
      verdicts.push(known ? { type, value, code: view.getBigUint64(valueAt + 1, littleEndian) } : { type, value });
    }
  });
  return { comments, hashes, verdicts, ...found };
}
