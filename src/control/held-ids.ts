// Numbers for names that come and go one by one: a name keeps its number while it is held, a freed number rests.
// Input: names, numbers found in old maps. Output: numbers. Invariant: a number has one name at most; numbers that nobody had
// are given out first, by a counter that goes round once, then those that rest, the longest free first. Numbers found in old
// maps stay reserved until somebody claims them or they are given up.

/** Allocates from `first`..`last`, both included. */
export class HeldIds {
  private readonly first: number;
  private readonly last: number;
  private next: number;
  /** Numbers that the counter has still to look at. */
  private ahead: number;
  private readonly byName = new Map<string, number>();
  private readonly taken = new Set<number>();
  /** Free, but something may still name them. */
  private readonly resting = new Set<number>();
  /** The same in the order in which they were freed, from `head` on. */
  private queue: number[] = [];
  private head = 0;
  /** Names found in old maps that nobody has claimed yet. */
  private readonly unclaimed = new Set<string>();

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
    this.next = first;
    this.ahead = last - first + 1;
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
    const number = this.fresh() ?? this.rested();
    if (number === undefined) return undefined;
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
    this.lay(number);
  }

  /** A number found in old maps. Refused (false) when the name or the number is held, the number rests or is out of range. */
  restore(name: string, number: number): boolean {
    if (!this.isFresh(number) || this.byName.has(name)) return false;
    this.byName.set(name, number);
    this.taken.add(number);
    this.unclaimed.add(name);
    this.goBehind(number);
    return true;
  }

  /** Nobody has this number, but something from before still names it. Nothing happens when it is held or out of range. */
  rest(number: number): void {
    if (!this.isFresh(number)) return;
    this.lay(number);
    this.goBehind(number);
  }

  /** Frees what was restored and never claimed. */
  giveUpUnclaimed(): void {
    for (const name of [...this.unclaimed]) this.release(name);
  }

  private isFresh(number: number): boolean {
    return number >= this.first && number <= this.last && !this.taken.has(number) && !this.resting.has(number);
  }

  private lay(number: number): void {
    this.resting.add(number);
    this.queue.push(number);
  }

  /** The counter goes on behind a number of a process before, as that one's did, and round again. */
  private goBehind(number: number): void {
    if (number >= this.next) this.next = number === this.last ? this.first : number + 1;
    this.ahead = this.last - this.first + 1;
  }

  private fresh(): number | undefined {
    while (this.ahead > 0) {
      const number = this.next;
      this.next = number === this.last ? this.first : number + 1;
      this.ahead--;
      if (this.isFresh(number)) return number;
    }
    return undefined;
  }

  private rested(): number | undefined {
    const number = this.queue[this.head];
    if (number === undefined) return undefined;
    this.head++;
    if (this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    this.resting.delete(number);
    return number;
  }
}
