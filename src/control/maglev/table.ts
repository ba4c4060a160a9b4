// Maglev tables, bit for bit as Cilium fills them (pkg/maglev). Input: backends, a table size and the murmur seed.
// Output: a Uint32Array of backend ids, one a slot. Invariant: the order of the input does not matter.
import { murmur3x64128 } from './murmur3.ts';

/** One backend as the table sees it. */
export interface MaglevBackend {
  /** Number that the slots hold: the backend id (or any index of the caller's). */
  readonly id: number;
  /** Canonical address text; IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
  /** `TCP`, `UDP` or `SCTP`. */
  readonly protocol: string;
  /** True for the internal scope (`/i` after the protocol). */
  readonly internal?: boolean;
  /** 1 where absent. 0 keeps the backend out of the table. */
  readonly weight?: number;
}

/** Size and seed of a table. */
export interface MaglevOptions {
  /** Slots: a prime, see MAGLEV_SIZES. */
  readonly size: number;
  /** MaglevSeed.murmur. */
  readonly seed: number;
}

/** The name that is hashed: `[ip:port/PROTO,State:active]`. "State:active" is frozen in Cilium for compatibility. */
export function maglevName(backend: MaglevBackend): string {
  const host = backend.address.includes(':') ? `[${backend.address}]` : backend.address;
  return `[${host}:${backend.port}/${backend.protocol}${backend.internal === true ? '/i' : ''},State:active]`;
}

/** First slot and step of a name's permutation: slot j is (offset + j * skip) mod size. */
export function maglevPermutation(name: string, { size, seed }: MaglevOptions): { offset: number; skip: number } {
  const bytes = new Uint8Array(name.length);
  for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i); // names are ASCII
  const hash = murmur3x64128(bytes, seed);
  return {
    offset: remainder(hash[1]!, hash[0]!, size),
    skip: remainder(hash[3]!, hash[2]!, size - 1) + 1,
  };
}

/** (high * 2^32 + low) mod size, for size below 2^20. */
function remainder(high: number, low: number, size: number): number {
  return ((high % size) * (0x100000000 % size) + (low % size)) % size;
}

/**
 * The table of these backends: `size` backend ids, empty when there is no backend (of weight above 0).
 * Equal names are one backend: the lowest id stands for them.
 */
export function maglevTable(backends: readonly MaglevBackend[], options: MaglevOptions): Uint32Array {
  const { size } = options;
  const table = new Uint32Array(size);
  return fillMaglevTable(backends, options, table, new Uint8Array(size)) ? table : new Uint32Array(0);
}

/**
 * The same into an array of the caller's, whose elements hold every id. Who makes many tables gives the same `taken` each time,
 * `size` bytes of any content. False, and nothing is written, when there is no backend.
 */
export function fillMaglevTable(
  backends: readonly MaglevBackend[],
  options: MaglevOptions,
  table: Uint8Array | Uint16Array | Uint32Array,
  taken: Uint8Array,
): boolean {
  const size = options.size | 0;
  const sorted = sortByName(backends);
  const n = sorted.length;
  if (n === 0) return false;
  if (n === 1) {
    table.fill(sorted[0]!.id);
    return true;
  }

  const position = new Int32Array(n);
  const skip = new Int32Array(n);
  const weight = new Float64Array(n);
  let weightSum = 0;
  for (let i = 0; i < n; i++) {
    const permutation = maglevPermutation(sorted[i]!.name, options);
    position[i] = permutation.offset;
    skip[i] = permutation.skip;
    weight[i] = sorted[i]!.weight;
    weightSum += weight[i]!;
  }
  const weighted = Math.floor(weightSum / n) > 1;
  const credit = weight.map((w) => w / n);
  taken.fill(0);
  for (let turn = 0, next = 0; turn < size; turn++) {
    let i = next;
    next = next + 1 === n ? 0 : next + 1;
    if (weighted) {
      while ((turn + 1) * weight[i]! < Math.trunc(credit[i]!)) i = i + 1 === n ? 0 : i + 1;
      credit[i] = credit[i]! + weightSum;
    }
    let slot = position[i]!;
    const step = skip[i]!;
    // The remainder without a branch: whether a step passes the end is as good as chance, and most of the time goes by here.
    const back = (step - size) | 0;
    while (taken[slot] !== 0) {
      slot = (slot + back) | 0;
      slot = (slot + (size & (slot >> 31))) | 0;
    }
    taken[slot] = 1;
    table[slot] = sorted[i]!.id;
    slot += step;
    position[i] = slot >= size ? slot - size : slot;
  }
  return true;
}

interface NamedBackend {
  readonly name: string;
  readonly id: number;
  readonly weight: number;
}

function sortByName(backends: readonly MaglevBackend[]): NamedBackend[] {
  const named: NamedBackend[] = [];
  for (const backend of backends) {
    const weight = backend.weight ?? 1;
    if (weight > 0) named.push({ name: maglevName(backend), id: backend.id, weight });
  }
  named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id));
  return named.filter((backend, i) => i === 0 || named[i - 1]!.name !== backend.name);
}
