// Numbers that stay: the same name keeps its number from compile to compile, a freed number is not handed out again at once.
// Input: the names in use. Output: a number each. Invariant: for a fresh allocator the numbers do not depend on the order
// in which names are given (new names are numbered in bytewise order by a counter that only moves forward).

/** What a batch of names got. */
export interface AssignedIds {
  readonly ids: ReadonlyMap<string, number>;
  /** Names that the range had no number for. */
  readonly refused: readonly string[];
}

/** Allocates from `first`..`last`, both included. */
export class StickyIds {
  private readonly first: number;
  private readonly last: number;
  private next: number;
  private current = new Map<string, number>();
  private taken = new Set<number>();

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
    this.next = first;
  }

  /** Numbers for exactly these names; names that are not among them lose theirs. Doubles count once. */
  assign(names: Iterable<string>): AssignedIds {
    const wanted = [...new Set(names)].sort();
    const ids = new Map<string, number>();
    const taken = new Set<number>();
    const fresh: string[] = [];
    for (const name of wanted) {
      const known = this.current.get(name);
      if (known === undefined) {
        fresh.push(name);
        continue;
      }
      ids.set(name, known);
      taken.add(known);
    }
    const refused: string[] = [];
    const room = this.last - this.first + 1;
    for (const name of fresh) {
      if (taken.size >= room) {
        refused.push(name);
        continue;
      }
      while (taken.has(this.next)) this.advance();
      ids.set(name, this.next);
      taken.add(this.next);
      this.advance();
    }
    this.current = ids;
    this.taken = taken;
    return { ids, refused };
  }

  /** The number of one more name, as {@link assign} would give it; undefined when the range is full. */
  claim(name: string): number | undefined {
    const known = this.current.get(name);
    if (known !== undefined) return known;
    if (this.current.size > this.last - this.first) return undefined;
    while (this.taken.has(this.next)) this.advance();
    const number = this.next;
    this.current.set(name, number);
    this.taken.add(number);
    this.advance();
    return number;
  }

  /** Takes the number of a name that is gone. */
  release(name: string): void {
    const number = this.current.get(name);
    if (number === undefined) return;
    this.current.delete(name);
    this.taken.delete(number);
  }

  private advance(): void {
    this.next = this.next === this.last ? this.first : this.next + 1;
  }
}

/**
 * Identity numbers by hash: the same label set has the same number in every process, whatever else is there, but for
 * collisions, which go to the next free number in the order of the names.
 */
export class HashedIds {
  private readonly first: number;
  private readonly last: number;
  /** Names and their numbers, those that are gone included: at most as many as there are numbers. */
  private readonly known = new Map<string, number>();
  /** The same the other way round. */
  private readonly names = new Map<number, string>();
  /** Names in use, by number. */
  private readonly used = new Map<number, string>();

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
  }

  /** Numbers for these names. `fixed` names have theirs from elsewhere (a CiliumIdentity), and win over any other claim. */
  assign(names: Iterable<string>, fixed: ReadonlyMap<string, number>): AssignedIds {
    const wanted = [...new Set(names)].sort();
    const ids = new Map<string, number>();
    const taken = new Set<number>();
    for (const name of wanted) {
      const number = fixed.get(name);
      if (number === undefined || taken.has(number)) continue;
      ids.set(name, number);
      taken.add(number);
    }
    for (const name of wanted) {
      const number = this.known.get(name);
      if (ids.has(name) || number === undefined || taken.has(number)) continue;
      ids.set(name, number);
      taken.add(number);
    }
    // Numbers of names that are gone are used again only when nothing else is left.
    const rests = (number: number): boolean => this.names.has(number);
    const refused: string[] = [];
    for (const name of wanted) {
      if (ids.has(name)) continue;
      const number = this.probe(name, taken, rests) ?? this.probe(name, taken, () => false);
      if (number === undefined) {
        refused.push(name);
        continue;
      }
      ids.set(name, number);
      taken.add(number);
    }
    this.used.clear();
    for (const [name, number] of ids) this.note(name, number);
    return { ids, refused };
  }

  /** The number of one more name, as {@link assign} would give it; undefined when the range is full. */
  claim(name: string): number | undefined {
    const own = this.known.get(name);
    if (own !== undefined && this.used.get(own) === name) return own;
    const { used } = this;
    const free = own !== undefined && !used.has(own) ? own : undefined;
    const rests = (number: number): boolean => this.names.has(number);
    const number = free ?? this.probe(name, used, rests) ?? this.probe(name, used, () => false);
    if (number !== undefined) this.note(name, number);
    return number;
  }

  /** A name has a number from now on. Who had it before has none. */
  private note(name: string, number: number): void {
    const before = this.names.get(number);
    if (before !== undefined && before !== name) this.known.delete(before);
    const old = this.known.get(name);
    if (old !== undefined && old !== number && this.names.get(old) === name) this.names.delete(old);
    this.known.set(name, number);
    this.names.set(number, name);
    this.used.set(number, name);
  }

  /** Takes the number of a name that is gone; the name keeps it in mind until somebody else needs it. */
  release(name: string): void {
    const number = this.known.get(name);
    if (number !== undefined && this.used.get(number) === name) this.used.delete(number);
  }

  private probe(
    name: string,
    taken: { readonly size: number; has(number: number): boolean },
    rests: (number: number) => boolean,
  ): number | undefined {
    const room = this.last - this.first + 1;
    if (taken.size >= room) return undefined;
    const start = hashText(name) % room;
    for (let i = 0; i < room; i++) {
      const number = this.first + ((start + i) % room);
      if (!taken.has(number) && !rests(number)) return number;
    }
    return undefined;
  }
}

/** FNV-1a over the UTF-16 units, low byte first, with a final mix; u32. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    h = Math.imul(h ^ (unit & 0xff), 0x01000193);
    h = Math.imul(h ^ (unit >>> 8), 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
