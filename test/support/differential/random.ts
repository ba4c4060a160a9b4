// Chance for differential runs: numbers that depend on a seed and on names of what they are for, and on nothing else.
// Input: 32-bit parts. Output: a stream of u32. Invariant: the same parts give the same stream on every machine and Node.

/** A generator of 32-bit numbers (sfc32), seeded by splitmix32 over its parts. */
export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private counter = 1;

  /** @param parts what the stream is for: seed, purpose, index; taken as 32-bit numbers in order */
  constructor(...parts: readonly number[]) {
    let state = 0x9e3779b9;
    const mix = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    for (const part of parts) state = (mix() ^ part) | 0;
    this.a = mix();
    this.b = mix();
    this.c = mix();
    for (let i = 0; i < 8; i++) this.u32();
  }

  /** 0 .. 2³² − 1. */
  u32(): number {
    const t = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + t;
    this.c |= 0;
    return t >>> 0;
  }

  /** 0 .. n − 1. */
  below(n: number): number {
    return this.u32() % n;
  }

  /** low .. high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.u32() % 1000 < percent * 10;
  }

  /** One element of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Fills bytes. */
  fill(bytes: Uint8Array): Uint8Array {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32() >>> 11;
    return bytes;
  }
}
