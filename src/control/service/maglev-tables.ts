// Maglev tables as they are kept: one for each list of backends, a byte or two a slot. Input: backends with ids and weights.
// Output: SharedTable, whose bytes are made when they are asked for. Invariant: equal lists share one table; a table nobody
// uses is let go of.
import { fillMaglevTable, type MaglevBackend } from '../maglev/index.ts';

/** A table in small. */
export class SharedTable {
  readonly signature: string;
  /** Frontends that have it. */
  users = 0;
  private readonly ids: Uint32Array;
  private readonly slots: Uint8Array | Uint16Array;

  constructor(signature: string, ids: Uint32Array, slots: Uint8Array | Uint16Array) {
    this.signature = signature;
    this.ids = ids;
    this.slots = slots;
  }

  /** Slots. */
  get size(): number {
    return this.slots.length;
  }

  /** The backend id in a slot. */
  backendOf(slot: number): number {
    return this.ids[this.slots[slot]!]!;
  }

  /** The value of the map: a u32 a slot. Made anew with each call. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(4 * this.slots.length);
    this.copyTo(bytes);
    return bytes;
  }

  /** The same into an array of the caller's: see LazyBytes. */
  copyTo(out: Uint8Array): boolean {
    const { ids, slots } = this;
    if (out.length !== 4 * slots.length) return false;
    const words = new Uint32Array(out.buffer, out.byteOffset, slots.length);
    for (let i = 0; i < words.length; i++) words[i] = ids[slots[i]!]!;
    return true;
  }
}

/** All tables of one configuration. */
export class MaglevTables {
  private readonly tables = new Map<string, SharedTable>();
  private size: number;
  private seed: number;
  /** Working memory of the tables' making. */
  private taken = new Uint8Array(0);
  /** The slots of every table with one backend. */
  private single = new Uint8Array(0);

  constructor(size: number, seed: number) {
    this.size = size;
    this.seed = seed;
  }

  /** Another size or seed; tables made before stay as they are until they are let go of. */
  configure(size: number, seed: number): void {
    this.size = size;
    this.seed = seed;
  }

  /** Distinct tables. */
  get count(): number {
    return this.tables.size;
  }

  /** The table of these backends, counted as used once more. */
  acquire(backends: readonly MaglevBackend[]): SharedTable {
    const { size, seed } = this;
    const list = backends.map(
      ({ id, address, port, protocol, weight }) => `${id}=${address}|${port}|${protocol}*${weight}`,
    );
    const signature = `${size}|${seed}|${list.join(',')}`;
    let table = this.tables.get(signature);
    if (table === undefined) {
      const slots = backends.length === 1 ? this.singleSlots() : this.fill(backends);
      table = new SharedTable(
        signature,
        Uint32Array.from(backends, ({ id }) => id),
        slots,
      );
      this.tables.set(signature, table);
    }
    table.users++;
    return table;
  }

  /** One backend has every slot, whatever its weight: nothing is worked out, and nobody writes here. */
  private singleSlots(): Uint8Array {
    if (this.single.length !== this.size) this.single = new Uint8Array(this.size);
    return this.single;
  }

  private fill(backends: readonly MaglevBackend[]): Uint8Array | Uint16Array {
    const { size, seed } = this;
    const slots = backends.length <= 256 ? new Uint8Array(size) : new Uint16Array(size);
    if (this.taken.length !== size) this.taken = new Uint8Array(size);
    const numbered = backends.map((backend, index) => ({ ...backend, id: index }));
    fillMaglevTable(numbered, { size, seed }, slots, this.taken);
    return slots;
  }

  release(table: SharedTable): void {
    if (--table.users === 0) this.tables.delete(table.signature);
  }
}
