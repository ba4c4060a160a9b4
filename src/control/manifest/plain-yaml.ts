// YAML as tools print it, without the general parser: block maps and lists, scalars on lines of their own. In: one document's
// text. Out: its tree, the very one that the general parser and TreeBuilder make, or undefined: then the document goes to them.
// Invariant: whatever is not plainly of this form (comments, anchors, tags, flow collections, folded text, escapes, errors) is
// refused, never guessed; linear in the text; depth is bounded.
import { KeyGuard, type InputLimits, type MapNode, type ScalarNode, type SequenceNode, type TreeNode } from './tree.ts';

/** Anything that is not printable ASCII, and comments: not for this reader. */
const FOREIGN = /[^\n\x20-\x7e]|(?:^|\s)#/;
const KEY = /(?:([\w$./][\w$./:@-]*?)|"([^"\\\n]*)"|'([^'\n]*)'):(?= |$)/my;
const DOUBLE = /"([^"\\\n]*)"/y;
const SINGLE = /'([^'\n]*)'/y;
/** Characters that a plain scalar cannot begin with. */
const INDICATORS = ',[]{}#&*!|>\'"%@`?:';
const INTEGER = /^-?(?:0|[1-9]\d{0,14})$/;
/** Whatever may be a number in the core schema besides. */
const NUMBER =
  /^(?:[-+]?\d+|0o[0-7]+|0x[\da-fA-F]+|[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
const KEYWORDS: ReadonlyMap<string, boolean | null> = new Map<string, boolean | null>([
  ['~', null],
  ...['null', 'Null', 'NULL'].map((text) => [text, null] as const),
  ...['true', 'True', 'TRUE'].map((text) => [text, true] as const),
  ...['false', 'False', 'FALSE'].map((text) => [text, false] as const),
]);
/** Longest key that YAML lets stand before its colon without a mark. */
const MOST_KEY = 1000;
const SPACE = 32;
const DASH = 45;

/** Reads the document between two offsets; undefined when it is not of the plain form. */
export function readPlainYaml(text: string, start: number, end: number, limits: InputLimits): TreeNode | undefined {
  const piece = start === 0 && end === text.length ? text : text.slice(start, end);
  if (FOREIGN.test(piece)) return undefined;
  return new PlainReader(piece, start, limits.depth).read();
}

class PlainReader {
  private readonly text: string;
  private readonly base: number;
  private readonly most: number;
  /** The current line: where it begins, its first character that is no blank, the end of its content, its end. */
  private line = 0;
  private at = 0;
  private contentEnd = 0;
  private eol = -1;
  /** Column of `at`; -1 = behind the last line. */
  private column = -1;
  /** Blank lines were passed over before this line. */
  private blank = false;

  constructor(text: string, base: number, most: number) {
    this.text = text;
    this.base = base;
    this.most = most;
  }

  read(): TreeNode | undefined {
    this.advance();
    if (this.column < 0) return undefined;
    if (this.text.startsWith('---', this.at)) {
      if (this.contentEnd - this.at !== 3 || this.column !== 0) return undefined;
      this.advance();
      if (this.column < 0) return undefined;
    }
    const root = this.block(0);
    return this.column < 0 ? root : undefined;
  }

  /** Goes to the next line that is not blank. */
  private advance(): void {
    const { text } = this;
    this.blank = false;
    for (let line = this.eol + 1; line < text.length;) {
      let eol = text.indexOf('\n', line);
      if (eol < 0) eol = text.length;
      let at = line;
      while (at < eol && text.charCodeAt(at) === SPACE) at++;
      if (at < eol) {
        let last = eol;
        while (text.charCodeAt(last - 1) === SPACE) last--;
        this.line = line;
        this.at = at;
        this.column = at - line;
        this.contentEnd = last;
        this.eol = eol;
        return;
      }
      this.blank = true;
      line = eol + 1;
    }
    this.column = -1;
    this.eol = text.length;
  }

  /** Whether a list's dash stands at `at`. */
  private isItem(): boolean {
    const { text, at } = this;
    return text.charCodeAt(at) === DASH && (at + 1 === this.contentEnd || text.charCodeAt(at + 1) === SPACE);
  }

  /** A collection that begins at `at`. */
  private block(depth: number): TreeNode | undefined {
    if (depth > this.most) return undefined;
    return this.isItem() ? this.sequence(this.column, depth) : this.map(this.column, depth);
  }

  private sequence(column: number, depth: number): SequenceNode | undefined {
    if (depth > this.most) return undefined;
    const node: SequenceNode = { kind: 'sequence', offset: this.base + this.at, items: [] };
    do {
      let at = this.at + 1;
      if (at >= this.contentEnd) return undefined;
      while (this.text.charCodeAt(at) === SPACE) at++;
      this.column = column + at - this.at;
      this.at = at;
      const item = this.isItem() || this.isKey() ? this.block(depth + 1) : this.value(column);
      if (item === undefined || this.column > column) return undefined;
      node.items.push(item);
    } while (this.column === column && this.isItem());
    return node;
  }

  private isKey(): boolean {
    KEY.lastIndex = this.at;
    return KEY.test(this.text);
  }

  private map(column: number, depth: number): MapNode | undefined {
    const { text, base } = this;
    const node: MapNode = { kind: 'map', offset: base + this.at, keys: [], keyOffsets: [], values: [] };
    const guard = new KeyGuard();
    do {
      KEY.lastIndex = this.at;
      const found = KEY.exec(text);
      const key = found?.[1] ?? found?.[2] ?? found?.[3];
      if (key === undefined || key.length > MOST_KEY || guard.repeats(node.keys, key)) return undefined;
      const offset = base + this.at;
      let at = KEY.lastIndex;
      while (at < this.contentEnd && text.charCodeAt(at) === SPACE) at++;
      const value = at < this.contentEnd ? this.inline(at, column) : this.below(column, offset, depth);
      if (value === undefined || this.column > column) return undefined;
      node.keys.push(key);
      node.keyOffsets.push(offset);
      node.values.push(value);
    } while (this.column === column);
    return node;
  }

  private inline(at: number, column: number): TreeNode | undefined {
    this.at = at;
    return this.value(column);
  }

  /** The value of a key whose line holds no more. */
  private below(column: number, keyOffset: number, depth: number): TreeNode | undefined {
    this.advance();
    if (this.column > column) return this.block(depth + 1);
    if (this.column === column && this.isItem()) return this.sequence(column, depth + 1);
    return { kind: 'scalar', offset: keyOffset, value: null, plain: true };
  }

  /** A value that begins at `at` and ends with its line, or with lines further in than `column`. */
  private value(column: number): TreeNode | undefined {
    const { text, at, contentEnd } = this;
    const offset = this.base + at;
    switch (text[at]) {
      case '"':
        return this.quoted(DOUBLE);
      case "'":
        return this.quoted(SINGLE);
      case '{':
        return this.whole('{}', { kind: 'map', offset, keys: [], keyOffsets: [], values: [] }, column);
      case '[':
        return this.whole('[]', { kind: 'sequence', offset, items: [] }, column);
      case '|':
        return contentEnd - at === 1 || (contentEnd - at === 2 && text[at + 1] === '-')
          ? this.literal(column)
          : undefined;
      default:
        return this.plain(column);
    }
  }

  private whole(word: string, node: TreeNode, column: number): TreeNode | undefined {
    if (this.contentEnd - this.at !== word.length || !this.text.startsWith(word, this.at)) return undefined;
    this.advance();
    return this.column > column ? undefined : node;
  }

  private quoted(form: RegExp): ScalarNode | undefined {
    form.lastIndex = this.at;
    const found = form.exec(this.text);
    if (found === null || form.lastIndex !== this.contentEnd) return undefined;
    const offset = this.base + this.at;
    this.advance();
    return { kind: 'scalar', offset, value: found[1]!, plain: false };
  }

  /** A plain scalar; lines further in go on with it. */
  private plain(column: number): ScalarNode | undefined {
    const offset = this.base + this.at;
    let value = this.plainLine();
    if (value === undefined) return undefined;
    this.advance();
    let lines = 1;
    for (; this.column > column; this.advance(), lines++) {
      const more = this.blank ? undefined : this.plainLine();
      if (more === undefined) return undefined;
      value += ` ${more}`;
    }
    if (lines > 1) return { kind: 'scalar', offset, value, plain: true };
    const resolved = resolve(value);
    return resolved === undefined ? undefined : { kind: 'scalar', offset, value: resolved, plain: true };
  }

  private plainLine(): string | undefined {
    const { text, at, contentEnd } = this;
    if (INDICATORS.includes(text[at]!) || this.isItem()) return undefined;
    const line = text.slice(at, contentEnd);
    return line.includes(': ') || line.endsWith(':') ? undefined : line;
  }

  /** A literal block: every line as it stands, from the column of the first one on. */
  private literal(column: number): ScalarNode | undefined {
    const { text } = this;
    const offset = this.base + this.at;
    const keepsEnd = this.contentEnd - this.at === 1;
    const lines: string[] = [];
    this.advance();
    const from = this.column;
    if (from <= column) return undefined;
    for (; this.column >= from; this.advance()) {
      if (this.blank || this.eol === text.length) return undefined;
      lines.push(text.slice(this.line + from, this.eol));
    }
    if (this.blank || this.column > column) return undefined;
    return { kind: 'scalar', offset, value: lines.join('\n') + (keepsEnd ? '\n' : ''), plain: false };
  }
}

/** What a plain scalar is in the core schema; undefined for numbers that are not plainly integers. */
function resolve(text: string): string | number | boolean | null | undefined {
  const keyword = KEYWORDS.get(text);
  if (keyword !== undefined) return keyword;
  const code = text.charCodeAt(0);
  if (code > 57 || code < 43) return text;
  if (INTEGER.test(text)) return Number(text);
  return NUMBER.test(text) ? undefined : text;
}
