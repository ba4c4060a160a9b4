// JSON text to trees with positions: one value, or several one after the other (JSON lines, concatenated output).
// In: text; jsonc-parser's scanner makes the tokens. Out: ParsedText. Invariant: RFC 8259 and no more (no comments, no
// trailing commas); never throws; no recursion; the first syntax error ends the parse (what follows has no sure place).
import { createScanner, type JSONScanner } from 'jsonc-parser';
import type { InputLimits, MapNode, ParsedText, ScalarNode, SequenceNode, SyntaxIssue, TreeNode } from './tree.ts';

/** jsonc-parser's SyntaxKind, which is a const enum: its names do not exist for a compiler that sees one file at a time. */
const TOKEN = {
  OPEN_BRACE: 1,
  CLOSE_BRACE: 2,
  OPEN_BRACKET: 3,
  CLOSE_BRACKET: 4,
  COMMA: 5,
  COLON: 6,
  NULL: 7,
  TRUE: 8,
  FALSE: 9,
  STRING: 10,
  NUMBER: 11,
  LINE_BREAK: 14,
  SPACE: 15,
  END: 17,
} as const;

/** From here on a set tells whether a key repeats. */
const MANY_KEYS = 24;

/** jsonc-parser's ScanError for a string that the line or the file ends. */
const CUT_STRING = 2;

/** What may not follow a number without a blank: the scanner reads `01` as two numbers. */
const wordCharacter = /[A-Za-z0-9_.+-]/;

/** Parses a text that holds JSON values; RFC 8259, with any white space (or none) between values. */
export function parseJson(text: string, limits: InputLimits): ParsedText {
  return new JsonParser(text, limits).all();
}

/** A collection that is still open: what it holds so far is on the parser's stacks, from `from` on. */
interface Frame {
  map: boolean;
  offset: number;
  from: number;
  keysFrom: number;
  /** Its keys, once there are many. */
  seen: Set<string> | undefined;
  key: string;
  keyOffset: number;
}

class JsonParser {
  readonly #text: string;
  readonly #limits: InputLimits;
  readonly #scanner: JSONScanner;
  readonly #issues: SyntaxIssue[] = [];
  /** By depth, used anew; `#depth` of them are open. */
  readonly #frames: Frame[] = [];
  #depth = 0;
  // What open collections hold, theirs alone when they are closed: arrays of the length that they need, where arrays that
  // grow have room for seventeen.
  readonly #values: TreeNode[] = [];
  #valuesEnd = 0;
  readonly #keys: string[] = [];
  readonly #keyOffsets: number[] = [];
  #keysEnd = 0;
  #token: number = TOKEN.END;
  #failed = false;

  constructor(text: string, limits: InputLimits) {
    this.#text = text;
    this.#limits = limits;
    // Not told to skip trivia: that would skip comments, too.
    this.#scanner = createScanner(text, false);
  }

  all(): ParsedText {
    const roots: TreeNode[] = [];
    while (this.#next() !== TOKEN.END) {
      if (roots.length >= this.#limits.documents) {
        this.#fail(`more than ${this.#limits.documents} documents in one file`);
        break;
      }
      const root = this.#root();
      if (root === undefined) break;
      if (!(root.kind === 'scalar' && root.value === null)) roots.push(root);
    }
    return { roots, issues: this.#issues };
  }

  /** Moves to the next token that is not white space. */
  #next(): number {
    do this.#token = this.#scanner.scan();
    while (this.#token === TOKEN.LINE_BREAK || this.#token === TOKEN.SPACE);
    return this.#token;
  }

  #fail(message: string, offset: number = this.#scanner.getTokenOffset()): undefined {
    if (!this.#failed) this.#issues.push({ severity: 'error', offset, message });
    this.#failed = true;
    return undefined;
  }

  #unexpected(wanted: string): undefined {
    const code = this.#text.codePointAt(this.#scanner.getTokenOffset());
    return this.#fail(
      code === undefined
        ? `expected ${wanted}, got the end of the file`
        : `expected ${wanted}, got ${JSON.stringify(String.fromCodePoint(code))}`,
    );
  }

  /** The value that starts at the current token, to its end. */
  #root(): TreeNode | undefined {
    this.#depth = 0;
    this.#valuesEnd = 0;
    this.#keysEnd = 0;
    for (;;) {
      let node = this.#value();
      if (node === 'failed') return undefined;
      if (node === 'open') continue;
      // A value is complete: it goes into the innermost open collection, which may be complete with it, and so on.
      for (;;) {
        if (this.#depth === 0) return node;
        const frame = this.#frames[this.#depth - 1]!;
        this.#add(frame, node);
        const after = this.#after(frame);
        if (after === 'failed') return undefined;
        if (after === 'open') break;
        node = this.#close(frame);
      }
    }
  }

  /** A scalar, an empty collection, or a step into one that is not empty: to its first value. */
  #value(): TreeNode | 'open' | 'failed' {
    const offset = this.#scanner.getTokenOffset();
    if (this.#depth > this.#limits.depth)
      return this.#fail(`nested deeper than ${this.#limits.depth} levels`) ?? 'failed';
    switch (this.#token) {
      case TOKEN.OPEN_BRACE:
        if (this.#next() === TOKEN.CLOSE_BRACE) return { kind: 'map', offset, keys: [], keyOffsets: [], values: [] };
        return this.#key(this.#push(true, offset)) ? 'open' : 'failed';
      case TOKEN.OPEN_BRACKET:
        if (this.#next() === TOKEN.CLOSE_BRACKET) return { kind: 'sequence', offset, items: [] };
        this.#push(false, offset);
        return 'open';
      case TOKEN.STRING: {
        const value = this.#string();
        return value === undefined ? 'failed' : scalar(offset, value);
      }
      case TOKEN.NUMBER: {
        const glued = wordCharacter.test(this.#text.charAt(this.#scanner.getPosition()));
        if (glued || this.#scanner.getTokenError() !== 0) return this.#fail('not a JSON number') ?? 'failed';
        return scalar(offset, Number(this.#scanner.getTokenValue()));
      }
      case TOKEN.TRUE:
        return scalar(offset, true);
      case TOKEN.FALSE:
        return scalar(offset, false);
      case TOKEN.NULL:
        return scalar(offset, null);
      default:
        return (
          (this.#text.charAt(offset) === '-' ? this.#fail('not a JSON number') : this.#unexpected('a JSON value')) ??
          'failed'
        );
    }
  }

  #push(map: boolean, offset: number): Frame {
    const frame = (this.#frames[this.#depth] ??= {
      map,
      offset,
      from: 0,
      keysFrom: 0,
      seen: undefined,
      key: '',
      keyOffset: 0,
    });
    frame.map = map;
    frame.offset = offset;
    frame.from = this.#valuesEnd;
    frame.keysFrom = this.#keysEnd;
    frame.seen = undefined;
    this.#depth++;
    return frame;
  }

  /** The innermost collection, which is complete. */
  #close({ map, offset, from, keysFrom }: Frame): MapNode | SequenceNode {
    const values = this.#values.slice(from, this.#valuesEnd);
    const keysEnd = this.#keysEnd;
    this.#depth--;
    this.#valuesEnd = from;
    if (!map) return { kind: 'sequence', offset, items: values };
    this.#keysEnd = keysFrom;
    const keys = this.#keys.slice(keysFrom, keysEnd);
    return { kind: 'map', offset, keys, keyOffsets: this.#keyOffsets.slice(keysFrom, keysEnd), values };
  }

  /** Reads `"key":` at the current token and moves to the value. */
  #key(frame: Frame): boolean {
    if (this.#token !== TOKEN.STRING) return this.#unexpected('a key in double quotes') ?? false;
    frame.keyOffset = this.#scanner.getTokenOffset();
    const key = this.#string();
    if (key === undefined) return false;
    frame.key = key;
    if (this.#next() !== TOKEN.COLON) return this.#unexpected('":"') ?? false;
    this.#next();
    return true;
  }

  #add(frame: Frame, value: TreeNode): void {
    if (frame.map) {
      if (this.#repeats(frame)) {
        const message = `duplicate key ${JSON.stringify(frame.key)}`;
        this.#issues.push({ severity: 'error', offset: frame.keyOffset, message });
        return;
      }
      this.#keys[this.#keysEnd] = frame.key;
      this.#keyOffsets[this.#keysEnd++] = frame.keyOffset;
    }
    this.#values[this.#valuesEnd++] = value;
  }

  #repeats(frame: Frame): boolean {
    const keys = this.#keys;
    const { key, keysFrom } = frame;
    if (this.#keysEnd - keysFrom >= MANY_KEYS) {
      const seen = (frame.seen ??= new Set(keys.slice(keysFrom, this.#keysEnd)));
      if (seen.has(key)) return true;
      seen.add(key);
      return false;
    }
    for (let i = keysFrom; i < this.#keysEnd; i++) if (keys[i] === key) return true;
    return false;
  }

  /** After a value of a collection: to the next value, or over the end. */
  #after(frame: Frame): 'open' | 'closed' | 'failed' {
    const next = this.#next();
    if (!frame.map) {
      if (next === TOKEN.CLOSE_BRACKET) return 'closed';
      if (next !== TOKEN.COMMA) return this.#unexpected('"," or "]"') ?? 'failed';
      this.#next();
      return 'open';
    }
    if (next === TOKEN.CLOSE_BRACE) return 'closed';
    if (next !== TOKEN.COMMA) return this.#unexpected('"," or "}"') ?? 'failed';
    this.#next();
    return this.#key(frame) ? 'open' : 'failed';
  }

  /** The text of the string at the current token. */
  #string(): string | undefined {
    const scanner = this.#scanner;
    if (scanner.getTokenError() === 0) return scanner.getTokenValue();
    const start = scanner.getTokenOffset();
    const end = scanner.getPosition();
    // The scanner ends a string at a line end, and goes on over other control characters.
    const cut = scanner.getTokenError() === CUT_STRING;
    if (cut && !this.#text.includes('"', end)) return this.#fail('string without an end');
    const control = this.#text.slice(start, cut ? end + 1 : end).search(/[\u0000-\u001f]/);
    return control < 0
      ? this.#fail('bad escape in a string')
      : this.#fail('control character in a string', start + control);
  }
}

function scalar(offset: number, value: ScalarNode['value']): ScalarNode {
  return { kind: 'scalar', offset, value, plain: false };
}
