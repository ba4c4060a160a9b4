// Maglev tables as they are kept: one for each list of backends, a byte or two a slot. Input: backends with ids and weights.
// Output: SharedTable, which is worked out when somebody reads it: of most services a replay meets no packet.
// Invariant: equal lists share one table; a table nobody uses is let go of.
import type { LazyBytes } from '../../maps/map-write.ts';
import { fillMaglevTable, type MaglevBackend, type MaglevOptions } from '../maglev/index.ts';

/** What the making of tables shares. */
class Workspace {
  private taken = new Uint8Array(0);
  private single = new Uint8Array(0);

  /** Working memory: see fillMaglevTable. */
  takenOf(size: number): Uint8Array {
    if (this.taken.length !== size) this.taken = new Uint8Array(size);
    return this.taken;
  }

  /** The slots of every table with one backend, which has them all, whatever its weight. Nobody writes here. */
  singleOf(size: number): Uint8Array {
    if (this.single.length !== size) this.single = new Uint8Array(size);
    return this.single;
  }
}

/** A table in small. */
export class SharedTable implements LazyBytes {
  readonly signature: string;
  /** Frontends that have it. */
  users = 0;
  private readonly backends: readonly MaglevBackend[];
  private readonly options: MaglevOptions;
  private readonly workspace: Workspace;
  /** For each slot the place in `backends`. */
  private slots: Uint8Array | Uint16Array | undefined;

  constructor(signature: string, backends: readonly MaglevBackend[], options: MaglevOptions, workspace: Workspace) {
    this.signature = signature;
    this.backends = backends;
    this.options = options;
    this.workspace = workspace;
  }

  /** Slots. */
  get size(): number {
    return this.options.size;
  }

  /** Bytes of the map's value. */
  get length(): number {
    return 4 * this.options.size;
  }

  /** The backend id in a slot. */
  backendOf(slot: number): number {
    return this.backends[(this.slots ??= this.make())[slot]!]!.id;
  }

  /** The value of the map: a u32 a slot. */
  copyTo(out: Uint8Array): void {
    const slots = (this.slots ??= this.make());
    const ids = Uint32Array.from(this.backends, ({ id }) => id);
    const words = new Uint32Array(out.buffer, out.byteOffset, slots.length);
    for (let i = 0; i < words.length; i++) words[i] = ids[slots[i]!]!;
  }

  private make(): Uint8Array | Uint16Array {
    const { backends, options, workspace } = this;
    const { size } = options;
    if (backends.length === 1) return workspace.singleOf(size);
    const slots = backends.length <= 256 ? new Uint8Array(size) : new Uint16Array(size);
    const numbered = backends.map((backend, index) => ({ ...backend, id: index }));
    fillMaglevTable(numbered, options, slots, workspace.takenOf(size));
    return slots;
  }
}

/** All tables of one configuration. */
export class MaglevTables {
  private readonly tables = new Map<string, SharedTable>();
  private size: number;
  private seed: number;
  private readonly workspace = new Workspace();

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
      table = new SharedTable(signature, backends, { size, seed }, this.workspace);
      this.tables.set(signature, table);
    }
    table.users++;
    return table;
  }

  release(table: SharedTable): void {
    if (--table.users === 0) this.tables.delete(table.signature);
  }
}
