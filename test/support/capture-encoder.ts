// Encodes pcap and pcapng in every form that the reader knows, for tests: both byte orders, all blocks and options.
// Input: a description of a file. Output: its records, each with the packet (if any) that a reader must find in it.
// Independent of src/capture: its own arithmetic is BigInt.

/** A packet as a reader must report it. */
export interface ExpectedPacket {
  readonly data: Uint8Array;
  readonly wireBytes: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly linkType: number;
  readonly interfaceId: number;
}

/** One record of a file: a header, a packet, a block. */
export interface EncodedRecord {
  readonly bytes: Uint8Array;
  readonly packet?: ExpectedPacket;
}

/** A little writer of numbers in a chosen byte order. */
class Bytes {
  private readonly parts: number[] = [];
  private readonly littleEndian: boolean;
  constructor(littleEndian: boolean) {
    this.littleEndian = littleEndian;
  }
  number(value: bigint | number, width: number): this {
    const bytes = [];
    let rest = BigInt.asUintN(width * 8, BigInt(value));
    for (let i = 0; i < width; i++, rest >>= 8n) bytes.push(Number(rest & 0xffn));
    this.parts.push(...(this.littleEndian ? bytes : bytes.reverse()));
    return this;
  }
  raw(bytes: Iterable<number>, padTo = 1): this {
    this.parts.push(...bytes);
    while (this.parts.length % padTo !== 0) this.parts.push(0);
    return this;
  }
  done(): Uint8Array {
    return Uint8Array.from(this.parts);
  }
}

export interface PcapDescription {
  readonly littleEndian: boolean;
  readonly nanoseconds: boolean;
  /** Alexey Kuznetzov's patch: 24-byte record headers (microseconds only). */
  readonly modified?: boolean;
  readonly linkType: number;
  readonly snapLength: number;
  readonly packets: readonly { data: Uint8Array; extraWire: number; seconds: number; fraction: number }[];
}

/** A classic pcap file: its header, then a record per packet. `fraction` is in the file's units. */
export function encodePcap(file: PcapDescription): EncodedRecord[] {
  const le = file.littleEndian;
  const modified = file.modified === true;
  const magic = modified ? 0xa1b2cd34 : file.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4;
  const header = new Bytes(le).number(magic, 4).number(2, 2).number(4, 2).number(0, 4).number(0, 4);
  const records: EncodedRecord[] = [{ bytes: header.number(file.snapLength, 4).number(file.linkType, 4).done() }];
  for (const { data, extraWire, seconds, fraction } of file.packets) {
    const wireBytes = data.length + extraWire;
    const record = new Bytes(le).number(seconds, 4).number(fraction, 4).number(data.length, 4).number(wireBytes, 4);
    if (modified) record.number(7, 4).number(0x0800, 2).number(4, 1).number(0, 1);
    const perSecond = file.nanoseconds && !modified ? 1_000_000_000n : 1_000_000n;
    const nanos = BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * (1_000_000_000n / perSecond);
    records.push({
      bytes: record.raw(data).done(),
      packet: {
        data,
        wireBytes,
        seconds: Number(nanos / 1_000_000_000n),
        nanoseconds: Number(nanos % 1_000_000_000n),
        linkType: file.linkType,
        interfaceId: 0,
      },
    });
  }
  return records;
}

export interface OptionDescription {
  readonly code: number;
  readonly value: Uint8Array;
}

/** A pcapng block in `littleEndian`: type, length, body padded to 4, options with an end mark, length. */
export function encodeBlock(
  littleEndian: boolean,
  type: number,
  body: Uint8Array,
  options: readonly OptionDescription[] = [],
): Uint8Array {
  const list = new Bytes(littleEndian);
  for (const { code, value } of options) list.number(code, 2).number(value.length, 2).raw(value, 4);
  if (options.length > 0) list.number(0, 4);
  const content = new Bytes(littleEndian).raw(body, 4).raw(list.done()).done();
  const total = content.length + 12;
  return new Bytes(littleEndian).number(type, 4).number(total, 4).raw(content).number(total, 4).done();
}

/** A 64-bit or shorter number as an option's value. */
export function optionNumber(littleEndian: boolean, value: bigint | number, width: number): Uint8Array {
  return new Bytes(littleEndian).number(value, width).done();
}

/** An option whose value is text. */
export function textOption(code: number, text: string): OptionDescription {
  return { code, value: new TextEncoder().encode(text) };
}

export interface InterfaceDescription {
  readonly linkType: number;
  readonly snapLength: number;
  readonly name?: string;
  /** The byte of if_tsresol; absent = microseconds. */
  readonly resolution?: number;
  readonly offsetSeconds?: bigint;
}

export type ItemDescription =
  | {
      kind: 'enhanced' | 'obsolete';
      on: number;
      data: Uint8Array;
      extraWire: number;
      units: bigint;
      options: OptionDescription[];
    }
  | { kind: 'simple'; data: Uint8Array }
  | { kind: 'other'; type: number; body: Uint8Array };

export interface SectionDescription {
  readonly littleEndian: boolean;
  readonly interfaces: readonly InterfaceDescription[];
  readonly items: readonly ItemDescription[];
}

/** floor for BigInts: JavaScript's division cuts towards zero. */
function timeOf(units: bigint, on: InterfaceDescription): { seconds: number; nanoseconds: number } {
  const byte = on.resolution ?? 6;
  const perSecond = (byte & 0x80 ? 2n : 10n) ** BigInt(byte & 0x7f);
  const nanos = (units * 1_000_000_000n) / perSecond;
  const seconds = nanos / 1_000_000_000n + (on.offsetSeconds ?? 0n);
  return { seconds: Number(seconds), nanoseconds: Number(nanos % 1_000_000_000n) };
}

/** A pcapng file of sections; `on` of a packet counts within its section (taken modulo the interfaces there). */
export function encodePcapng(sections: readonly SectionDescription[]): EncodedRecord[] {
  const records: EncodedRecord[] = [];
  let first = 0;
  for (const { littleEndian: le, interfaces, items } of sections) {
    const header = new Bytes(le).number(0x1a2b3c4d, 4).number(1, 2).number(0, 2).number(-1, 8).done();
    records.push({ bytes: encodeBlock(le, 0x0a0d0d0a, header, [textOption(4, 'test')]) });
    for (const on of interfaces) {
      const body = new Bytes(le).number(on.linkType, 2).number(0, 2).number(on.snapLength, 4).done();
      const options: OptionDescription[] = [];
      if (on.name !== undefined) options.push(textOption(2, on.name));
      if (on.resolution !== undefined) options.push({ code: 9, value: Uint8Array.of(on.resolution) });
      if (on.offsetSeconds !== undefined) options.push({ code: 14, value: optionNumber(le, on.offsetSeconds, 8) });
      records.push({ bytes: encodeBlock(le, 1, body, options) });
    }
    for (const item of items) records.push(encodeItem(le, interfaces, first, item));
    first += interfaces.length;
  }
  return records;
}

function encodeItem(
  le: boolean,
  interfaces: readonly InterfaceDescription[],
  first: number,
  item: ItemDescription,
): EncodedRecord {
  if (item.kind === 'other' || interfaces.length === 0) {
    const [type, body] = item.kind === 'other' ? [item.type, item.body] : [5, item.data];
    return { bytes: encodeBlock(le, type, body) };
  }
  const { data } = item;
  if (item.kind === 'simple') {
    const on = interfaces[0]!;
    const captured = on.snapLength === 0 ? data.length : Math.min(on.snapLength, data.length);
    const kept = data.subarray(0, captured);
    const body = new Bytes(le).number(data.length, 4).raw(kept, 4).done();
    const packet = {
      data: kept,
      wireBytes: data.length,
      seconds: 0,
      nanoseconds: 0,
      linkType: on.linkType,
      interfaceId: first,
    };
    return { bytes: encodeBlock(le, 3, body), packet };
  }
  const local = item.on % interfaces.length;
  const on = interfaces[local]!;
  const wireBytes = data.length + item.extraWire;
  const body = new Bytes(le);
  if (item.kind === 'enhanced') body.number(local, 4);
  else body.number(local, 2).number(0xffff, 2);
  body.number(item.units >> 32n, 4).number(item.units & 0xffffffffn, 4);
  body.number(data.length, 4).number(wireBytes, 4).raw(data, 4);
  const packet = { data, wireBytes, ...timeOf(item.units, on), linkType: on.linkType, interfaceId: first + local };
  return { bytes: encodeBlock(le, item.kind === 'enhanced' ? 6 : 2, body.done(), item.options), packet };
}

/** The records one after the other. */
export function joined(records: readonly { readonly bytes: Uint8Array }[]): Uint8Array {
  const total = records.reduce((sum, record) => sum + record.bytes.length, 0);
  const file = new Uint8Array(total);
  let at = 0;
  for (const { bytes } of records) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}
