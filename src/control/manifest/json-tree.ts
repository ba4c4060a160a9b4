// JSON text to trees with positions: one value, or several one after the other (JSON lines, concatenated output).
// In: text; jsonc-parser's scanner makes the tokens. Out: ParsedText. Invariant: RFC 8259 and no more (no comments, no
// trailing commas); never throws; no recursion; the first syntax error ends the parse (what follows has no sure place).
import { createScanner, type JSONScanner } from 'jsonc-parser';
import {
  KeyGuard,
  type InputLimits,
  type MapNode,
  type ParsedText,
  type ScalarNode,
  type SequenceNode,
  type SyntaxIssue,
  type TreeNode,
} from './tree.ts';

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

/** jsonc-parser's ScanError for a string that the line or the file ends. */
const CUT_STRING = 2;

/** What may not follow a number without a blank: the scanner reads `01` as two numbers. */
const wordCharacter = /[A-Za-z0-9_.+-]/;

/** Parses a text that holds JSON values; RFC 8259, with any white space (or none) between values. */
export function parseJson(text: string, limits: InputLimits): ParsedText {
  return new JsonParser(text, limits).all();
}

/** A collection that is still open. */
type Frame =
  | { readonly node: MapNode; readonly guard: KeyGuard; key: string; keyOffset: number }
  | { readonly node: SequenceNode; readonly guard?: undefined };

class JsonParser {
  readonly #text: string;
  readonly #limits: InputLimits;
  readonly #scanner: JSONScanner;
  readonly #issues: SyntaxIssue[] = [];
  readonly #open: Frame[] = [];
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
    for (;;) {
      let node = this.#value();
      if (node === undefined) return undefined;
      const kind = node.kind === 'scalar' ? 'scalar' : this.#start(node);
      if (kind === 'failed') return undefined;
      if (kind === 'open') continue;
      // A value is complete: it goes into the innermost open collection, which may be complete with it, and so on.
      for (;;) {
        const frame = this.#open.at(-1);
        if (frame === undefined) return node;
        this.#add(frame, node);
        const after = this.#after(frame);
        if (after === 'failed') return undefined;
        if (after === 'open') break;
        this.#open.pop();
        node = frame.node;
      }
    }
  }

  /** A scalar, or an empty collection whose opening token this is. */
  #value(): TreeNode | undefined {
    const offset = this.#scanner.getTokenOffset();
    if (this.#open.length > this.#limits.depth) return this.#fail(`nested deeper than ${this.#limits.depth} levels`);
    switch (this.#token) {
      case TOKEN.OPEN_BRACE:
        return { kind: 'map', offset, keys: [], keyOffsets: [], values: [] };
      case TOKEN.OPEN_BRACKET:
        return { kind: 'sequence', offset, items: [] };
      case TOKEN.STRING: {
        const value = this.#string();
        return value === undefined ? undefined : scalar(offset, value);
      }
      case TOKEN.NUMBER: {
        const glued = wordCharacter.test(this.#text.charAt(this.#scanner.getPosition()));
        if (glued || this.#scanner.getTokenError() !== 0) return this.#fail('not a JSON number');
        return scalar(offset, Number(this.#scanner.getTokenValue()));
      }
      case TOKEN.TRUE:
        return scalar(offset, true);
      case TOKEN.FALSE:
        return scalar(offset, false);
      case TOKEN.NULL:
        return scalar(offset, null);
      default:
        return this.#text.charAt(offset) === '-' ? this.#fail('not a JSON number') : this.#unexpected('a JSON value');
    }
  }

  /** Steps into a collection: to its first value, or over its end when it is empty. */
  #start(node: MapNode | SequenceNode): 'open' | 'closed' | 'failed' {
    const next = this.#next();
    if (node.kind === 'sequence') {
      if (next === TOKEN.CLOSE_BRACKET) return 'closed';
      this.#open.push({ node });
      return 'open';
    }
    if (next === TOKEN.CLOSE_BRACE) return 'closed';
    const frame = { node, guard: new KeyGuard(), key: '', keyOffset: 0 };
    this.#open.push(frame);
    return this.#key(frame) ? 'open' : 'failed';
  }

  /** Reads `"key":` at the current token and moves to the value. */
  #key(frame: { key: string; keyOffset: number }): boolean {
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
    if (frame.guard === undefined) frame.node.items.push(value);
    else if (frame.guard.repeats(frame.node.keys, frame.key)) {
      const message = `duplicate key ${JSON.stringify(frame.key)}`;
      this.#issues.push({ severity: 'error', offset: frame.keyOffset, message });
    } else {
      frame.node.keys.push(frame.key);
      frame.node.keyOffsets.push(frame.keyOffset);
      frame.node.values.push(value);
    }
  }

  /** After a value of a collection: to the next value, or over the end. */
  #after(frame: Frame): 'open' | 'closed' | 'failed' {
    const next = this.#next();
    if (frame.guard === undefined) {
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
