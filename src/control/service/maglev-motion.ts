// A frontend's Maglev table while flows move from what it said before to what it says now. Input: both, slot by slot, and time.
// Output: the table with MAGLEV_SLOT.MOVING where older flows are still about, and the table before. Invariant: immutable; a
// slot is on the move for a flow's lifetime after its last change; the table before names only backends that are still there.
import type { LazyBytes } from '../../maps/map-write.ts';
import { MAGLEV_SLOT } from '../../schema/index.ts';
import { SharedTable } from './maglev-tables.ts';

/** What all slots say: a table, a backend id for each, or one backend id for all (0: nothing is behind the frontend). */
export type SlotContent = SharedTable | Uint32Array | number;

/** What a step of a motion depends on. Times in seconds. */
export interface MotionStep {
  readonly size: number;
  readonly now: number;
  /** How long a flow is remembered: `flowLifetime` of the configuration. */
  readonly lifetime: number;
  /** Ids of the frontend's backends, those that drain included. */
  readonly held: ReadonlySet<number>;
  /** True where a backend that is not held may only not be known yet (a process that starts). */
  readonly mayReturn: boolean;
}

/** In place of the backend before: nothing is on the move. */
const SETTLED = 0xffffffff;

const backendOf = (content: SlotContent, slot: number): number => {
  if (typeof content === 'number') return content;
  return content instanceof SharedTable ? content.backendOf(slot) : content[slot]!;
};

/** The value of a map, by what each slot says. */
const lazyWords = (slots: number, wordOf: (slot: number) => number): LazyBytes => ({
  length: 4 * slots,
  copyTo: (out) => {
    const words = new Uint32Array(out.buffer, out.byteOffset, slots);
    for (let slot = 0; slot < slots; slot++) words[slot] = wordOf(slot);
  },
});

/** See the head of this file. */
export class MaglevMotion {
  /** Slots on the move. */
  readonly moving: number;
  /** Value of `maglev4/6`. */
  readonly table: LazyBytes;
  /** Value of `maglevPrevious4/6`. */
  readonly previous: LazyBytes;
  /** Backend before the change by slot, 0: none that may serve; SETTLED. */
  private readonly before: Uint32Array;
  /** When the slot changed last. */
  private readonly since: Uint32Array;
  private readonly oldest: number;

  private constructor(
    content: SlotContent,
    before: Uint32Array,
    since: Uint32Array,
    { held }: Pick<MotionStep, 'held'>,
  ) {
    this.before = before;
    this.since = since;
    let moving = 0;
    let oldest = Infinity;
    for (let slot = 0; slot < before.length; slot++) {
      if (before[slot] === SETTLED) continue;
      moving++;
      if (since[slot]! < oldest) oldest = since[slot]!;
    }
    this.moving = moving;
    this.oldest = oldest;
    this.table = lazyWords(
      before.length,
      (slot) => backendOf(content, slot) + (before[slot] === SETTLED ? 0 : MAGLEV_SLOT.MOVING),
    );
    this.previous = lazyWords(before.length, (slot) => {
      const old = before[slot]!;
      if (old === SETTLED) return backendOf(content, slot);
      return held.has(old) ? old : 0;
    });
  }

  /** Whether some slot has been on the move for a lifetime. */
  isDue(now: number, lifetime: number): boolean {
    return now - this.oldest > lifetime;
  }

  /**
   * From `old` and what is on the move to `content`; undefined where nothing is on the move (any more). A slot whose backend left
   * settles at once: nobody can stay. One that changes again keeps the first backend: flows seen since are remembered.
   */
  static step(
    motion: MaglevMotion | undefined,
    old: SlotContent,
    content: SlotContent,
    step: MotionStep,
  ): MaglevMotion | undefined {
    const { size, now, lifetime, held, mayReturn } = step;
    const known = motion?.before.length === size ? motion : undefined;
    if (known === undefined && old === content) return undefined;
    const before = known === undefined ? new Uint32Array(size).fill(SETTLED) : known.before.slice();
    const since = known === undefined ? new Uint32Array(size) : known.since.slice();
    let moving = 0;
    for (let slot = 0; slot < size; slot++) {
      let was = before[slot]!;
      if (was !== SETTLED && now - since[slot]! > lifetime) was = SETTLED;
      const from = backendOf(old, slot);
      if (from !== backendOf(content, slot)) {
        if (was === SETTLED && from !== 0 && (mayReturn || held.has(from))) was = from;
        since[slot] = now;
      }
      if (was !== SETTLED && !mayReturn && !held.has(was)) was = 0;
      before[slot] = was;
      if (was !== SETTLED) moving++;
    }
    return moving === 0 ? undefined : new MaglevMotion(content, before, since, step);
  }

  /** Goes on from the words of both maps, as a process before left them: what it had on the move is so from now on. */
  static resumed(
    words: Uint32Array,
    previous: Uint32Array | undefined,
    step: MotionStep,
  ): { readonly motion: MaglevMotion | undefined; readonly content: Uint32Array } {
    const content = words.map((word) => word & MAGLEV_SLOT.BACKEND);
    const before = words.map((word, slot) => (word > MAGLEV_SLOT.BACKEND ? (previous?.[slot] ?? 0) : SETTLED));
    const since = new Uint32Array(words.length).fill(step.now);
    const motion = new MaglevMotion(content, before, since, step);
    return { motion: motion.moving === 0 ? undefined : motion, content };
  }
}
