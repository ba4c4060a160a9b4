// Numbers for names that come and go one by one: a name keeps its number while it is held, a freed number is not handed out
// again at once. Input: names. Output: numbers. Invariant: a number has one name at most; numbers found in old maps stay
// reserved until somebody claims them or they are given up.

/** Allocates from `first`..`last`, both included. */
export class HeldIds {
  private readonly first: number;
  private readonly last: number;
  private next: number;
  private readonly byName = new Map<string, number>();
  private readonly taken = new Set<number>();
  /** Names found in old maps that nobody has claimed yet. */
  private readonly unclaimed = new Set<string>();

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
    this.next = first;
  }

  get(name: string): number | undefined {
    return this.byName.get(name);
  }

  /** The name's number, a new one if it has none; undefined when the range is full. */
  claim(name: string): number | undefined {
    const known = this.byName.get(name);
    if (known !== undefined) {
      this.unclaimed.delete(name);
      return known;
    }
    if (this.taken.size >= this.last - this.first + 1) return undefined;
    while (this.taken.has(this.next)) this.advance();
    const number = this.next;
    this.advance();
    this.byName.set(name, number);
    this.taken.add(number);
    return number;
  }

  /** Gives an unclaimed name's number to another name, if that has none. */
  inherit(name: string, from: string): void {
    const number = this.byName.get(from);
    if (number === undefined || !this.unclaimed.has(from) || this.byName.has(name)) return;
    this.byName.delete(from);
    this.unclaimed.delete(from);
    this.byName.set(name, number);
    this.unclaimed.add(name);
  }

  release(name: string): void {
    const number = this.byName.get(name);
    if (number === undefined) return;
    this.byName.delete(name);
    this.unclaimed.delete(name);
    this.taken.delete(number);
  }

  /** A number found in old maps. Refused (false) when the name or the number is held, or out of range. */
  restore(name: string, number: number): boolean {
    if (number < this.first || number > this.last || this.byName.has(name) || this.taken.has(number)) return false;
    this.byName.set(name, number);
    this.taken.add(number);
    this.unclaimed.add(name);
    if (number >= this.next) this.next = number === this.last ? this.first : number + 1;
    return true;
  }

  /** Frees what was restored and never claimed. */
  giveUpUnclaimed(): void {
    for (const name of [...this.unclaimed]) this.release(name);
  }

  private advance(): void {
    this.next = this.next >= this.last ? this.first : this.next + 1;
  }
}
