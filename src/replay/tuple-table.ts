// The tuples of connections: which record each means. Both directions of a connection meet in one slot.
// Input: tuples as packets have them, or as a record holds them (raw words). Output: record numbers and roles.
// Invariants: a slot holds no tuple of its own, only its hash: whose tuple it is, its record tells, so a record's tuple is taken
// out before it changes; linear probing, at most half full, no tombstones; as many entries as told.
import { MIX, multipliersFor } from '../maps/hash-key.ts';
import { AT, INT_STRIDE, ROLE } from './connection-record.ts';

// A slot is two words (a table that a processor's cache can hold, where slots with tuples in them would take four times as
// much): the hash, never 0, and what it means: the record's number, then these bits.
const NUMBER_SHIFT = 4;
/** The tuple is the record's translated one, not the one that was asked for. */
const OUTPUT = 1;
const SIX = 2;
const TCP_BIT = 4;
const UDP_BIT = 8;
/** What a tuple and its slot have to agree in; TCP and UDP are told by it, other protocols by the record. */
const KIND = SIX | TCP_BIT | UDP_BIT;
const TCP = 6;
const UDP = 17;

const FIRST_SLOTS_LOG2 = 10;
/** Offsets of destination and ports behind a source, in a record (AT) as among words that are like one. */
const TO_DESTINATION = AT.DESTINATION - AT.SOURCE;
const TO_PORTS = AT.PORTS - AT.SOURCE;
const { imul } = Math;

const turnedOf = (ports: number): number => (ports << 16) | (ports >>> 16);
const swap = (word: number): number => (word << 16) | (word >>> 16);
const kindOf = (six: boolean, protocol: number): number =>
  (six ? SIX : 0) | (protocol === TCP ? TCP_BIT : protocol === UDP ? UDP_BIT : 0);

/** See the head of this file. Its users hand in `int`, the records' words (Connections.int), since they grow. */
export class TupleTable {
  /** Of the last find: ROLE; and whether source and destination are in the record's order. */
  role: number = ROLE.NONE;
  forward = false;
  /** Tuples in the table. */
  count = 0;
  /** Tuples that found no room. */
  refused = 0;
  private slots: Int32Array;
  private shift: number;
  private limit: number;
  private readonly maxEntries: number;
  private expected = 0;
  /** Two a word: four of one end, four of the other, ports, protocol. */
  private readonly multipliers: Int32Array;
  private readonly a0: number;
  private readonly b0: number;
  private readonly a4: number;
  private readonly b4: number;
  private readonly a8: number;
  private readonly b8: number;
  private readonly a9: number;
  /** Words of the tuple that is asked for, as in a record. */
  private readonly asked = new Int32Array(TO_PORTS + 1);

  /** @param seed of the hash; without one it is random */
  constructor(maxEntries: number, seed: number | undefined) {
    this.maxEntries = maxEntries;
    const m = (this.multipliers = multipliersFor(10, seed === undefined ? {} : { seed }));
    this.a0 = m[0]!;
    this.b0 = m[1]!;
    this.a4 = m[8]!;
    this.b4 = m[9]!;
    this.a8 = m[16]!;
    this.b8 = m[17]!;
    this.a9 = m[18]!;
    this.slots = new Int32Array(2 << FIRST_SLOTS_LOG2);
    this.shift = 32 - FIRST_SLOTS_LOG2;
    this.limit = Math.min(maxEntries, 1 << (FIRST_SLOTS_LOG2 - 1));
  }

  /** How many entries are to come, roughly. */
  expect(entries: number): void {
    this.expected = Math.min(entries, this.maxEntries);
  }

  /** Record that an IPv4 tuple means, or 0. Sets `role` and `forward`. */
  find4(int: Int32Array, s: number, d: number, ports: number, protocol: number): number {
    const at = this.seek4(int, s, d, ports, protocol);
    return at < 0 ? 0 : this.slots[at + 1]! >> NUMBER_SHIFT;
  }

  /** The same for IPv6: source words, destination words. */
  find6(
    int: Int32Array,
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
  ): number {
    const { asked } = this;
    asked[0] = s0;
    asked[1] = s1;
    asked[2] = s2;
    asked[3] = s3;
    asked[TO_DESTINATION] = d0;
    asked[TO_DESTINATION + 1] = d1;
    asked[TO_DESTINATION + 2] = d2;
    asked[TO_DESTINATION + 3] = d3;
    asked[TO_PORTS] = ports;
    const at = this.seek6(int, asked, 0, protocol);
    return at < 0 ? 0 : this.slots[at + 1]! >> NUMBER_SHIFT;
  }

  /**
   * Enters the tuple of record `number` that begins at `source` in it (AT.SOURCE or AT.OUT_SOURCE), whatever it meant before.
   * False when there is no room.
   */
  enter(int: Int32Array, six: boolean, number: number, source: number): boolean {
    const base = number * INT_STRIDE;
    const protocol = int[base + AT.PROTOCOL]!;
    let at = this.seekAt(int, six, base + source, protocol);
    if (at < 0) {
      if (this.count >= this.limit && !this.grow()) {
        this.refused++;
        return false;
      }
      const { slots } = this;
      const hash = this.hashAt(int, six, base + source, protocol);
      at = (hash >>> this.shift) << 1;
      while (slots[at] !== 0) at = (at + 2) & (slots.length - 1);
      slots[at] = hash;
      this.count++;
    }
    const output = source === AT.OUT_SOURCE ? OUTPUT : 0;
    this.slots[at + 1] = (number << NUMBER_SHIFT) | kindOf(six, protocol) | output;
    return true;
  }

  /** Takes the tuple that begins at `source` in record `number` out, unless it means another record. */
  leave(int: Int32Array, six: boolean, number: number, source: number): void {
    const base = number * INT_STRIDE;
    const at = this.seekAt(int, six, base + source, int[base + AT.PROTOCOL]!);
    if (at >= 0 && this.slots[at + 1]! >> NUMBER_SHIFT === number) this.remove(at);
  }

  private seekAt(int: Int32Array, six: boolean, at: number, protocol: number): number {
    if (six) return this.seek6(int, int, at, protocol);
    return this.seek4(int, int[at]!, int[at + TO_DESTINATION]!, int[at + TO_PORTS]!, protocol);
  }

  private hashAt(int: Int32Array, six: boolean, at: number, protocol: number): number {
    if (six) return this.hash6(int, at, protocol);
    return this.hash4(int[at]!, int[at + TO_DESTINATION]!, int[at + TO_PORTS]!, protocol);
  }

  private seek4(int: Int32Array, s: number, d: number, ports: number, protocol: number): number {
    const { slots } = this;
    const hash = this.hash4(s, d, ports, protocol);
    const kind = kindOf(false, protocol);
    const last = slots.length - 1;
    for (let at = (hash >>> this.shift) << 1; ; at = (at + 2) & last) {
      const stored = slots[at]!;
      if (stored === 0) return this.nothing();
      if (stored !== hash) continue;
      const meaning = slots[at + 1]!;
      if ((meaning & KIND) !== kind) continue;
      const base = imul(meaning >> NUMBER_SHIFT, INT_STRIDE);
      if ((kind & (TCP_BIT | UDP_BIT)) === 0 && int[base + AT.PROTOCOL] !== protocol) continue;
      const from = base + ((meaning & OUTPUT) === 0 ? AT.SOURCE : AT.OUT_SOURCE);
      const source = int[from]!;
      const destination = int[from + TO_DESTINATION]!;
      const own = int[from + TO_PORTS]!;
      const forward = ((source ^ s) | (destination ^ d) | (own ^ ports)) === 0;
      if (!forward && ((source ^ d) | (destination ^ s) | (own ^ turnedOf(ports))) !== 0) continue;
      this.forward = forward;
      this.role = (meaning & OUTPUT) === 0 ? ROLE.ASKED : ROLE.OUTPUT;
      return at;
    }
  }

  /** The tuple is at `x` of `words`, as in a record. */
  private seek6(int: Int32Array, words: Int32Array, x: number, protocol: number): number {
    const { slots } = this;
    const hash = this.hash6(words, x, protocol);
    const kind = kindOf(true, protocol);
    const last = slots.length - 1;
    for (let at = (hash >>> this.shift) << 1; ; at = (at + 2) & last) {
      const stored = slots[at]!;
      if (stored === 0) return this.nothing();
      if (stored !== hash) continue;
      const meaning = slots[at + 1]!;
      if ((meaning & KIND) !== kind) continue;
      const base = imul(meaning >> NUMBER_SHIFT, INT_STRIDE);
      if ((kind & (TCP_BIT | UDP_BIT)) === 0 && int[base + AT.PROTOCOL] !== protocol) continue;
      const from = base + ((meaning & OUTPUT) === 0 ? AT.SOURCE : AT.OUT_SOURCE);
      const own = int[from + TO_PORTS]!;
      const ports = words[x + TO_PORTS]!;
      const forward =
        own === ports && sameEnd(int, from, words, x) && sameEnd(int, from + TO_DESTINATION, words, x + TO_DESTINATION);
      const turned =
        !forward &&
        own === turnedOf(ports) &&
        sameEnd(int, from, words, x + TO_DESTINATION) &&
        sameEnd(int, from + TO_DESTINATION, words, x);
      if (!forward && !turned) continue;
      this.forward = forward;
      this.role = (meaning & OUTPUT) === 0 ? ROLE.ASKED : ROLE.OUTPUT;
      return at;
    }
  }

  private nothing(): number {
    this.role = ROLE.NONE;
    this.forward = false;
    return -1;
  }

  /** The same for both directions: the lower end goes first. Of maps/hash-key.ts's family. */
  private hash4(s: number, d: number, ports: number, protocol: number): number {
    const low = s < d || (s === d && (ports & 0xffff) <= ports >>> 16);
    const x = low ? s : d;
    const y = low ? d : s;
    const p = low ? ports : turnedOf(ports);
    const t0 = (imul(x, this.a0) + imul(swap(x), this.b0)) | 0;
    const t1 = (imul(y, this.a4) + imul(swap(y), this.b4)) | 0;
    const t2 = (imul(p, this.a8) + imul(swap(p), this.b8)) | 0;
    return mixed((t0 + t1 + t2 + imul(protocol, this.a9)) | 0);
  }

  private hash6(words: Int32Array, at: number, protocol: number): number {
    const { multipliers: m } = this;
    const ports = words[at + TO_PORTS]!;
    let order = 0;
    for (let i = 0; order === 0 && i < 4; i++) {
      const s = words[at + i]!;
      const d = words[at + TO_DESTINATION + i]!;
      order = s < d ? -1 : s > d ? 1 : 0;
    }
    const low = order < 0 || (order === 0 && (ports & 0xffff) <= ports >>> 16);
    const x = low ? at : at + TO_DESTINATION;
    const y = low ? at + TO_DESTINATION : at;
    const p = low ? ports : turnedOf(ports);
    let sum = (imul(p, m[16]!) + imul(swap(p), m[17]!) + imul(protocol, m[18]!)) | 0;
    for (let i = 0; i < 4; i++) {
      const one = words[x + i]!;
      const other = words[y + i]!;
      sum = (sum + imul(one, m[2 * i]!) + imul(swap(one), m[2 * i + 1]!)) | 0;
      sum = (sum + imul(other, m[8 + 2 * i]!) + imul(swap(other), m[9 + 2 * i]!)) | 0;
    }
    return mixed(sum);
  }

  /** Makes room for one more, or says that there is none. */
  private grow(): boolean {
    if (this.count >= this.maxEntries) return false;
    const { slots } = this;
    let length = slots.length * 2;
    while (length < 4 * this.expected) length *= 2;
    const grown = new Int32Array(length);
    const shift = Math.clz32(length >>> 1) + 1;
    for (let from = 0; from < slots.length; from += 2) {
      const hash = slots[from]!;
      if (hash === 0) continue;
      let to = (hash >>> shift) << 1;
      while (grown[to] !== 0) to = (to + 2) & (length - 1);
      grown[to] = hash;
      grown[to + 1] = slots[from + 1]!;
    }
    this.slots = grown;
    this.shift = shift;
    this.limit = Math.min(this.maxEntries, length >>> 2);
    return true;
  }

  /** Empties a slot, moving later ones of the run back so that no probe is cut short. */
  private remove(at: number): void {
    const { slots, shift } = this;
    const last = slots.length - 1;
    let hole = at;
    for (let next = (at + 2) & last; slots[next] !== 0; next = (next + 2) & last) {
      const home = (slots[next]! >>> shift) << 1;
      if (((next - home) & last) < ((next - hole) & last)) continue;
      slots[hole] = slots[next]!;
      slots[hole + 1] = slots[next + 1]!;
      hole = next;
    }
    slots[hole] = 0;
    slots[hole + 1] = 0;
    this.count--;
  }
}

/** Never 0, which means an empty slot. */
function mixed(sum: number): number {
  return imul(sum ^ (sum >>> 16), MIX) | 1;
}

function sameEnd(a: Int32Array, at: number, b: Int32Array, to: number): boolean {
  return ((a[at]! ^ b[to]!) | (a[at + 1]! ^ b[to + 1]!) | (a[at + 2]! ^ b[to + 2]!) | (a[at + 3]! ^ b[to + 3]!)) === 0;
}
