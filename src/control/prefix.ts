// Prefixes: their order, and which members of a set cover an address. Input: IpPrefix and IpAddress of the state.
// Invariant: families never cross; host bits are already masked off by whoever made the prefix.
import type { IpAddress, IpPrefix } from './state.ts';

/** The address as a prefix of full length. */
export function hostPrefix(address: IpAddress): IpPrefix {
  const prefixLen = address.bytes.length * 8;
  return { family: address.family, text: `${address.text}/${prefixLen}`, bytes: address.bytes, prefixLen };
}

/** Total order: family, then bytes, then length. */
export function comparePrefixes(a: IpPrefix, b: IpPrefix): number {
  if (a.family !== b.family) return a.family - b.family;
  for (let i = 0; i < a.bytes.length; i++) {
    const difference = a.bytes[i]! - b.bytes[i]!;
    if (difference !== 0) return difference;
  }
  return a.prefixLen - b.prefixLen;
}

/** The first `length` bits of an address as a string that can be compared; other bits are zero. */
function maskedKey(bytes: Uint8Array, length: number): string {
  let key = '';
  for (let i = 0; i < bytes.length; i++) {
    const bits = Math.min(8, Math.max(0, length - i * 8));
    key += String.fromCharCode(bytes[i]! & (0xff00 >> bits) & 0xff);
  }
  return key;
}

/** A set of prefixes that tells which of its members cover an address. At most 33 or 129 look-ups a question. */
export class PrefixSet {
  private readonly byLength = new Map<number, Map<string, IpPrefix>>();
  private readonly lengths: number[] = [];
  private readonly texts = new Set<string>();

  get size(): number {
    return this.texts.size;
  }

  add(prefix: IpPrefix): void {
    if (this.texts.has(prefix.text)) return;
    this.texts.add(prefix.text);
    const slot = prefix.family * 256 + prefix.prefixLen;
    let members = this.byLength.get(slot);
    if (members === undefined) {
      members = new Map();
      this.byLength.set(slot, members);
      this.lengths.push(slot);
      this.lengths.sort((a, b) => a - b);
    }
    members.set(maskedKey(prefix.bytes, prefix.prefixLen), prefix);
  }

  has(prefix: IpPrefix): boolean {
    return this.texts.has(prefix.text);
  }

  /** Members that contain `prefix`, itself included if it is a member; the shortest first. */
  covering(prefix: IpPrefix): IpPrefix[] {
    const found: IpPrefix[] = [];
    const first = prefix.family * 256;
    for (const slot of this.lengths) {
      if (slot < first) continue;
      if (slot > first + prefix.prefixLen) break;
      const member = this.byLength.get(slot)!.get(maskedKey(prefix.bytes, slot - first));
      if (member !== undefined) found.push(member);
    }
    return found;
  }

  /** Every member, in the order of comparePrefixes. */
  members(): IpPrefix[] {
    const all: IpPrefix[] = [];
    for (const members of this.byLength.values()) for (const member of members.values()) all.push(member);
    return all.sort(comparePrefixes);
  }
}
