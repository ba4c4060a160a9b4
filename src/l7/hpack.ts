// HPACK decoding (RFC 7541). In: the header block of one request, in the order in which blocks were sent. Out: its fields, or undefined
// for a block that is broken, after which the table is lost. Invariant: nothing throws; the dynamic table holds at most
// MOST_TABLE bytes and a block's fields at most MOST_FIELDS bytes.
import { END_OF_STRING, huffmanTables, LONGEST_CODE, STATIC_TABLE } from './hpack-tables.ts';

/** Most that an encoder may ask of the dynamic table, bytes. */
export const MOST_TABLE = 64 * 1024;
/** Most bytes of names and values in one block. */
export const MOST_FIELDS = 64 * 1024;
/** What RFC 7541 §4.1 adds to each entry. */
const ENTRY_OVERHEAD = 32;
const DEFAULT_TABLE = 4096;

/** A header field: name, value. */
export type HeaderField = readonly [string, string];

const { first, count, start, symbols } = huffmanTables();

/** See the head of this file. */
export class HpackDecoder {
  /** Newest first. */
  private readonly table: HeaderField[] = [];
  private tableBytes = 0;
  private limit = DEFAULT_TABLE;
  private block: Uint8Array = new Uint8Array(0);
  private at = 0;
  private ok = true;

  /** Bytes of the dynamic table. */
  get held(): number {
    return this.tableBytes;
  }

  /** Decodes one whole block; undefined where it is broken. */
  decode(block: Uint8Array): HeaderField[] | undefined {
    this.block = block;
    this.at = 0;
    const fields: HeaderField[] = [];
    let bytes = 0;
    while (this.ok && this.at < block.length) {
      const byte = block[this.at]!;
      let field: HeaderField | undefined;
      if ((byte & 0x80) !== 0) field = this.entry(this.integer(7));
      else if ((byte & 0x40) !== 0) {
        field = this.literal(6);
        if (field !== undefined) this.add(field);
      } else if ((byte & 0x20) !== 0) {
        // A change of the table's size stands before the first field only (§4.2).
        const size = this.integer(5);
        if (size > MOST_TABLE || fields.length > 0) this.ok = false;
        this.limit = size;
        this.evict();
        continue;
      } else field = this.literal(4);
      if (field === undefined) this.ok = false;
      else {
        bytes += field[0].length + field[1].length + ENTRY_OVERHEAD;
        if (bytes > MOST_FIELDS) this.ok = false;
        fields.push(field);
      }
    }
    return this.ok ? fields : undefined;
  }

  /** §5.1; values above 2^24 are refused, nothing here is that long. */
  private integer(prefix: number): number {
    const mask = (1 << prefix) - 1;
    let value = this.block[this.at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.block[this.at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    this.ok = false;
    return 0;
  }

  private entry(index: number): HeaderField | undefined {
    if (index === 0) return undefined;
    return index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.table[index - STATIC_TABLE.length - 1];
  }

  private literal(prefix: number): HeaderField | undefined {
    const index = this.integer(prefix);
    const name = index === 0 ? this.text() : this.entry(index)?.[0];
    const value = this.text();
    return this.ok && name !== undefined && value !== undefined ? [name, value] : undefined;
  }

  private text(): string | undefined {
    if (!this.ok || this.at >= this.block.length) return undefined;
    const coded = (this.block[this.at]! & 0x80) !== 0;
    const length = this.integer(7);
    if (!this.ok || this.at + length > this.block.length) return undefined;
    const bytes = this.block.subarray(this.at, this.at + length);
    this.at += length;
    return coded ? huffmanText(bytes) : plainText(bytes);
  }

  private add(field: HeaderField): void {
    this.table.unshift(field);
    this.tableBytes += sizeOf(field);
    this.evict();
  }

  private evict(): void {
    while (this.tableBytes > this.limit && this.table.length > 0) this.tableBytes -= sizeOf(this.table.pop()!);
  }
}

const sizeOf = ([name, value]: HeaderField): number => name.length + value.length + ENTRY_OVERHEAD;

function plainText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** A Huffman-coded string (§5.2); undefined for a code that does not exist, an end symbol, or padding that is no prefix of it. */
export function huffmanText(bytes: Uint8Array): string | undefined {
  let text = '';
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1);
      length++;
      const offset = code - first[length]!;
      if (offset >= 0 && offset < count[length]!) {
        const symbol = symbols[start[length]! + offset]!;
        if (symbol === END_OF_STRING) return undefined;
        text += String.fromCharCode(symbol);
        code = 0;
        length = 0;
      } else if (length === LONGEST_CODE) return undefined;
    }
  }
  return length < 8 && code === (1 << length) - 1 ? text : undefined;
}
