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
    return { ids, refused };
  }

  /** The number of one more name, as {@link assign} would give it; undefined when the range is full. */
  claim(name: string): number | undefined {
    const known = this.current.get(name);
    if (known !== undefined) return known;
    if (this.current.size > this.last - this.first) return undefined;
    const taken = new Set(this.current.values());
    while (taken.has(this.next)) this.advance();
    const number = this.next;
    this.current.set(name, number);
    this.advance();
    return number;
  }

  /** Takes the number of a name that is gone. */
  release(name: string): void {
    this.current.delete(name);
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
  private readonly known = new Map<string, number>();
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
    const resting = new Set(this.known.values()); // of names that are gone: used again only when nothing else is left
    const refused: string[] = [];
    for (const name of wanted) {
      if (ids.has(name)) continue;
      const number = this.probe(name, taken, resting) ?? this.probe(name, taken, new Set());
      if (number === undefined) {
        refused.push(name);
        continue;
      }
      ids.set(name, number);
      taken.add(number);
    }
    for (const [name, number] of this.known) if (!ids.has(name) && taken.has(number)) this.known.delete(name);
    this.used.clear();
    for (const [name, number] of ids) {
      this.known.set(name, number);
      this.used.set(number, name);
    }
    return { ids, refused };
  }

  /** The number of one more name, as {@link assign} would give it; undefined when the range is full. */
  claim(name: string): number | undefined {
    const own = this.known.get(name);
    if (own !== undefined && this.used.get(own) === name) return own;
    const taken = new Set(this.used.keys());
    const free = own !== undefined && !taken.has(own) ? own : undefined;
    const resting = new Set(this.known.values());
    const number = free ?? this.probe(name, taken, resting) ?? this.probe(name, taken, new Set());
    if (number === undefined) return undefined;
    for (const [other, id] of this.known) if (id === number && other !== name) this.known.delete(other);
    this.known.set(name, number);
    this.used.set(number, name);
    return number;
  }

  /** Takes the number of a name that is gone; the name keeps it in mind until somebody else needs it. */
  release(name: string): void {
    const number = this.known.get(name);
    if (number !== undefined && this.used.get(number) === name) this.used.delete(number);
  }

  private probe(name: string, taken: ReadonlySet<number>, resting: ReadonlySet<number>): number | undefined {
    const room = this.last - this.first + 1;
    if (taken.size >= room) return undefined;
    const start = hashText(name) % room;
    for (let i = 0; i < room; i++) {
      const number = this.first + ((start + i) % room);
      if (!taken.has(number) && !resting.has(number)) return number;
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
