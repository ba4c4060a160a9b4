// Encodes pcapng option lists (draft-ietf-opsawg-pcapng §3.5), little-endian.
// Input: options one by one. Output: `bytes` up to `length`, to be copied into a block.
// Invariant: each value is padded to 4 bytes and at most 65,535 long; the list grows as needed and is reused.

const MAX_VALUE_BYTES = 65_535;
const encoder = new TextEncoder();

/** A reusable list of encoded options. */
export class OptionList {
  bytes = new Uint8Array(1024);
  length = 0;
  private view = new DataView(this.bytes.buffer);

  /** Forgets all options. */
  clear(): void {
    this.length = 0;
  }

  /** Appends text as UTF-8, cut at a character's edge to 65,535 bytes. */
  text(code: number, value: string): void {
    // A UTF-16 unit becomes at most 3 bytes.
    const at = this.room(Math.min(value.length * 3, MAX_VALUE_BYTES));
    const { written } = encoder.encodeInto(value, this.bytes.subarray(at, at + MAX_VALUE_BYTES));
    this.head(code, written);
  }

  /** Appends an unsigned 32-bit value. */
  u32(code: number, value: number): void {
    this.view.setUint32(this.room(4), value, true);
    this.head(code, 4);
  }

  /** Appends an unsigned 64-bit value. */
  u64(code: number, value: bigint): void {
    this.view.setBigUint64(this.room(8), value, true);
    this.head(code, 8);
  }

  /** Appends a type byte and a value, cut to 65,534 bytes: epb_hash, epb_verdict. */
  typed(code: number, type: number, value: Uint8Array): void {
    const part = value.subarray(0, MAX_VALUE_BYTES - 1);
    const at = this.room(1 + part.length);
    this.bytes[at] = type;
    this.bytes.set(part, at + 1);
    this.head(code, 1 + part.length);
  }

  /** Appends opt_endofopt, unless there are no options. */
  finish(): void {
    if (this.length === 0) return;
    this.room(0);
    this.head(0, 0);
  }

  /** Makes room for an option's header and `most` bytes with padding; returns where the value goes. */
  private room(most: number): number {
    const needed = this.length + 4 + most + 3;
    if (needed > this.bytes.length) {
      const bigger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      bigger.set(this.bytes.subarray(0, this.length));
      this.bytes = bigger;
      this.view = new DataView(bigger.buffer);
    }
    return this.length + 4;
  }

  /** Writes the header of the value just put, and its padding. */
  private head(code: number, valueBytes: number): void {
    this.view.setUint16(this.length, code, true);
    this.view.setUint16(this.length + 2, valueBytes, true);
    let end = this.length + 4 + valueBytes;
    while ((end & 3) !== 0) this.bytes[end++] = 0;
    this.length = end;
  }
}
