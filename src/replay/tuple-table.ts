// The tuples of connections: both directions of one meet on one key, the lower end first.
// Input: tuples as packets have them (raw words), alone or among the words of a record. Output: word offsets of their values.
// Invariant: at most as many entries as told; a value is the caller's, two words.
import { be16, be32, bytes, struct, u32, u8 } from '../layout/index.ts';
import { Hash10, Hash4 } from '../maps/index.ts';
import type { MapSpec } from '../schema/index.ts';

const tupleValue = struct('weir_replay_tuple', 'Connection of a tuple', {
  connection: u32('number of the record'),
  role: u32('ROLE, bit 2: the initiator is the lower end'),
  pad: u32('makes a slot of an IPv4 tuple half a cache line'),
});
const tupleKey4 = struct('weir_replay_tuple_key4', 'Canonical tuple', {
  low: be32('lower address'),
  high: be32('higher address'),
  lowPort: be16('port'),
  highPort: be16('port'),
  protocol: u32('protocol'),
});
const tupleKey6 = struct('weir_replay_tuple_key6', 'Canonical tuple', {
  low: bytes(16, 'lower address'),
  high: bytes(16, 'higher address'),
  lowPort: be16('port'),
  highPort: be16('port'),
  protocol: u8('protocol'),
  pad1: u8('zero'),
  pad2: be16('zero'),
});

const spec = (name: string, key: MapSpec['key'], maxEntries: number): MapSpec => ({
  name: `weir_replay_${name}`,
  kind: 'hash',
  doc: 'tuples of a replay',
  key,
  value: tupleValue,
  maxEntries,
});

const turnedOf = (ports: number): number => (ports << 16) | (ports >>> 16);

/** See the head of this file. */
export class TupleTable {
  /** Whether the source of the last tuple is the lower end. */
  low = false;
  private readonly four: Hash4;
  private readonly six: Hash10;

  /** @param seed of the hashes; without one it is random */
  constructor(maxEntries: number, seed: number | undefined) {
    const options = seed === undefined ? {} : { seed };
    this.four = new Hash4(spec('tuples4', tupleKey4, maxEntries), options);
    this.six = new Hash10(spec('tuples6', tupleKey6, maxEntries), options);
  }

  /** How many entries are to come, roughly. */
  expect(entries: number): void {
    this.four.expect(entries);
    this.six.expect(entries);
  }

  /** Where values of a family lie, until the next insertion. */
  wordsOf(six: boolean): Int32Array {
    return six ? this.six.words : this.four.words;
  }

  /** Offset of an IPv4 tuple's value, or -1. */
  find4(s: number, d: number, ports: number, protocol: number): number {
    const low = s < d || (s === d && (ports & 0xffff) <= ports >>> 16);
    this.low = low;
    return low ? this.four.find(s, d, ports, protocol) : this.four.find(d, s, turnedOf(ports), protocol);
  }

  /** The same for IPv6: source words, destination words. */
  find6(
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
    const low = lower6(s0, s1, s2, s3, d0, d1, d2, d3, ports);
    this.low = low;
    return low
      ? this.six.find(s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol)
      : this.six.find(d0, d1, d2, d3, s0, s1, s2, s3, turnedOf(ports), protocol);
  }

  /** The same for a tuple among other words: its ends at the offsets `s` and `d` of `int`, four words each. */
  findAt(six: boolean, int: Int32Array, s: number, d: number, ports: number, protocol: number): number {
    const low = this.order(six, int, s, d, ports);
    const a = low ? s : d;
    const b = low ? d : s;
    const p = low ? ports : turnedOf(ports);
    if (!six) return this.four.find(int[a]!, int[b]!, p, protocol);
    return this.six.find(
      int[a]!,
      int[a + 1]!,
      int[a + 2]!,
      int[a + 3]!,
      int[b]!,
      int[b + 1]!,
      int[b + 2]!,
      int[b + 3]!,
      p,
      protocol,
    );
  }

  /** Offset of the value of such a tuple, entered if it is not there; negative when there is no room. */
  insertAt(six: boolean, int: Int32Array, s: number, d: number, ports: number, protocol: number): number {
    const low = this.order(six, int, s, d, ports);
    const a = low ? s : d;
    const b = low ? d : s;
    const p = low ? ports : turnedOf(ports);
    if (!six) return this.four.insert(int[a]!, int[b]!, p, protocol);
    return this.six.insert(
      int[a]!,
      int[a + 1]!,
      int[a + 2]!,
      int[a + 3]!,
      int[b]!,
      int[b + 1]!,
      int[b + 2]!,
      int[b + 3]!,
      p,
      protocol,
    );
  }

  /** Takes such a tuple out. */
  removeAt(six: boolean, int: Int32Array, s: number, d: number, ports: number, protocol: number): void {
    const low = this.order(six, int, s, d, ports);
    const a = low ? s : d;
    const b = low ? d : s;
    const p = low ? ports : turnedOf(ports);
    if (!six) this.four.remove(int[a]!, int[b]!, p, protocol);
    else {
      this.six.remove(
        int[a]!,
        int[a + 1]!,
        int[a + 2]!,
        int[a + 3]!,
        int[b]!,
        int[b + 1]!,
        int[b + 2]!,
        int[b + 3]!,
        p,
        protocol,
      );
    }
  }

  private order(six: boolean, int: Int32Array, s: number, d: number, ports: number): boolean {
    this.low = six
      ? lower6(int[s]!, int[s + 1]!, int[s + 2]!, int[s + 3]!, int[d]!, int[d + 1]!, int[d + 2]!, int[d + 3]!, ports)
      : int[s]! < int[d]! || (int[s] === int[d] && (ports & 0xffff) <= ports >>> 16);
    return this.low;
  }
}

/** Whether the source is the lower end: addresses word by word as signed numbers, then ports. */
function lower6(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  ports: number,
): boolean {
  if (s0 !== d0) return s0 < d0;
  if (s1 !== d1) return s1 < d1;
  if (s2 !== d2) return s2 < d2;
  if (s3 !== d3) return s3 < d3;
  return (ports & 0xffff) <= ports >>> 16;
}
