// The trace of one run: fixed-size records that stages append when tracing is on (schema/trace.ts has the layout).
// Input: words, one by one. Output: `words`, `count` records, and how many did not fit.
// Invariant: never grows; records behind the bound are counted and written to a spare place that nobody reads.
import { BOUND, TRACE_AT, TRACE_WORDS } from '../schema/index.ts';

const MAX = BOUND.TRACE_RECORDS;
const WORDS = TRACE_WORDS;
const { KIND, STAGE, RESULT, KEY_WORDS, VALUE_WORDS, KEY, VALUE, MAP } = TRACE_AT;

/** A bounded list of trace records. Made once; each run begins with `reset`. */
export class TraceBuffer {
  /** Records back to back, TRACE_WORDS int32 words each. */
  readonly words = new Int32Array((MAX + 1) * WORDS);
  /** Records of the last run. */
  count = 0;
  /** Records of the last run that did not fit. */
  lost = 0;
  private base = MAX * WORDS;

  /** Forgets the run before. */
  reset(): void {
    this.count = 0;
    this.lost = 0;
  }

  /**
   * Begins a record; `key` and `value` fill it.
   * @param kind TRACE number
   * @param stage STAGE number
   * @param result see TRACE
   * @param map number of the map that was asked (`traceMapNumber`), 0 = none
   */
  open(kind: number, stage: number, result: number, map: number): this {
    let base = this.count * WORDS;
    if (this.count === MAX) {
      this.lost++;
      base = MAX * WORDS;
    } else this.count++;
    this.base = base;
    const { words } = this;
    words.fill(0, base, base + WORDS);
    words[base + KIND] = kind;
    words[base + STAGE] = stage;
    words[base + RESULT] = result;
    words[base + MAP] = map;
    return this;
  }

  /** Appends a key word; ignored when the record has all it can hold. */
  key(word: number): this {
    const { words, base } = this;
    const n = words[base + KEY_WORDS]!;
    if (n < VALUE - KEY) {
      words[base + KEY + n] = word;
      words[base + KEY_WORDS] = n + 1;
    }
    return this;
  }

  /** Appends a value word; ignored when the record has all it can hold. */
  value(word: number): this {
    const { words, base } = this;
    const n = words[base + VALUE_WORDS]!;
    if (n < MAP - VALUE) {
      words[base + VALUE + n] = word;
      words[base + VALUE_WORDS] = n + 1;
    }
    return this;
  }

  /** Appends `n` value words of a map's memory, when `at` is an offset (not negative). */
  values(from: Int32Array, at: number, n: number): this {
    if (at >= 0) for (let i = 0; i < n; i++) this.value(from[at + i]!);
    return this;
  }
}
