// The syntax tree that JSON and YAML share: values with the offset of their first character in the file's text.
// In: nothing. Out: node types, the bounds that every parser keeps, and LineIndex (offset → line and column).
// Invariant: a tree holds plain data only, keys are strings in arrays (never property names), and its depth is bounded.

/** A value in a document. */
export type TreeNode = ScalarNode | MapNode | SequenceNode;

/** A scalar. `plain` is true for unquoted YAML text, whose type was guessed from its form. */
export interface ScalarNode {
  readonly kind: 'scalar';
  readonly offset: number;
  readonly value: string | number | boolean | null;
  readonly plain: boolean;
}

/** A mapping; the three arrays run in parallel and no key occurs twice. */
export interface MapNode {
  readonly kind: 'map';
  readonly offset: number;
  readonly keys: string[];
  readonly keyOffsets: number[];
  readonly values: TreeNode[];
}

/** A sequence. */
export interface SequenceNode {
  readonly kind: 'sequence';
  readonly offset: number;
  readonly items: TreeNode[];
}

/** A syntax problem at an offset of the text. */
export interface SyntaxIssue {
  readonly severity: 'error' | 'warning';
  readonly offset: number;
  readonly message: string;
}

/** What a parser hands back: one root per document that is not empty. */
export interface ParsedText {
  readonly roots: TreeNode[];
  readonly issues: SyntaxIssue[];
}

/** Bounds on input. Reaching one is an error that names it. */
export interface InputLimits {
  /** Bytes of one file (or of standard input). */
  readonly fileBytes: number;
  /** Documents of one file. */
  readonly documents: number;
  /** Nesting of maps and lists. */
  readonly depth: number;
  /** Values that the aliases of one YAML document may stand for, all together. */
  readonly aliasedValues: number;
  /** Files found in one directory. */
  readonly files: number;
  /** Errors listed, and warnings listed; the rest is counted. */
  readonly problems: number;
}

/** Bounds used unless a caller gives others. */
export const defaultLimits: InputLimits = {
  fileBytes: 256 * 1024 * 1024,
  documents: 500_000,
  depth: 100,
  aliasedValues: 100_000,
  files: 100_000,
  problems: 1000,
};

/** The value under `key`, or undefined. */
export function mapValue(map: MapNode, key: string): TreeNode | undefined {
  const index = map.keys.indexOf(key);
  return index < 0 ? undefined : map.values[index];
}

/** Turns offsets of one text into 1-based lines and columns (UTF-16 units); lines end at LF. */
export class LineIndex {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  /** Line and column of an offset; offsets beyond the end count on the last line. */
  locate(offset: number): { line: number; column: number } {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - starts[low]! + 1 };
  }
}

/** Remembers the keys of one map while it is parsed; a Set is made only for large maps. */
export class KeyGuard {
  #seen: Set<string> | undefined;

  /** True when `key` is already among `keys`; call before adding it. */
  repeats(keys: readonly string[], key: string): boolean {
    if (keys.length < 24) return keys.includes(key);
    if (this.#seen === undefined) this.#seen = new Set(keys);
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    return false;
  }
}
