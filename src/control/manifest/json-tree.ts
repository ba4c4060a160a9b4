// JSON text to trees with positions: one value, or several one after the other (JSON lines, concatenated output).
// In: text. Out: ParsedText. Invariant: never throws, recursion is bounded by the depth limit, and the first syntax
// error ends the parse (what follows it cannot be placed with confidence).
import { KeyGuard, type InputLimits, type MapNode, type ParsedText, type SyntaxIssue, type TreeNode } from './tree.ts';

const numberForm = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const wordBoundary = /[A-Za-z0-9_.+-]/;

/** Parses a text that holds JSON values; RFC 8259, with any white space (or none) between values. */
export function parseJson(text: string, limits: InputLimits): ParsedText {
  const parser = new JsonParser(text, limits);
  return parser.all();
}

class JsonParser {
  readonly #text: string;
  readonly #limits: InputLimits;
  readonly #issues: SyntaxIssue[] = [];
  #at = 0;
  #failed = false;

  constructor(text: string, limits: InputLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  all(): ParsedText {
    const roots: TreeNode[] = [];
    for (;;) {
      this.#blank();
      if (this.#failed || this.#at >= this.#text.length) break;
      if (roots.length >= this.#limits.documents) {
        this.#fail(this.#at, `more than ${this.#limits.documents} documents in one file`);
        break;
      }
      const root = this.#value(0);
      if (root === undefined) break;
      if (!(root.kind === 'scalar' && root.value === null)) roots.push(root);
    }
    return { roots, issues: this.#issues };
  }

  #fail(offset: number, message: string): undefined {
    if (!this.#failed) this.#issues.push({ severity: 'error', offset, message });
    this.#failed = true;
    return undefined;
  }

  #blank(): void {
    const text = this.#text;
    for (; this.#at < text.length; this.#at++) {
      const c = text.charCodeAt(this.#at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
    }
  }

  #value(depth: number): TreeNode | undefined {
    const offset = this.#at;
    if (depth > this.#limits.depth) return this.#fail(offset, `nested deeper than ${this.#limits.depth} levels`);
    const c = this.#text.charCodeAt(offset);
    if (c === 0x7b) return this.#object(depth);
    if (c === 0x5b) return this.#array(depth);
    if (c === 0x22) {
      const value = this.#string();
      return value === undefined ? undefined : { kind: 'scalar', offset, value, plain: false };
    }
    if (c === 0x2d || (c >= 0x30 && c <= 0x39)) return this.#number();
    if (this.#word('true')) return { kind: 'scalar', offset, value: true, plain: false };
    if (this.#word('false')) return { kind: 'scalar', offset, value: false, plain: false };
    if (this.#word('null')) return { kind: 'scalar', offset, value: null, plain: false };
    return this.#fail(offset, this.#unexpected('a JSON value'));
  }

  #unexpected(wanted: string): string {
    const code = this.#text.codePointAt(this.#at);
    return code === undefined
      ? `expected ${wanted}, got the end of the file`
      : `expected ${wanted}, got ${JSON.stringify(String.fromCodePoint(code))}`;
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    const next = this.#text.charAt(this.#at + word.length);
    if (next !== '' && wordBoundary.test(next)) return false;
    this.#at += word.length;
    return true;
  }

  #number(): TreeNode | undefined {
    const offset = this.#at;
    numberForm.lastIndex = offset;
    const form = numberForm.exec(this.#text)?.[0];
    const next = form === undefined ? '' : this.#text.charAt(offset + form.length);
    if (form === undefined || (next !== '' && wordBoundary.test(next))) return this.#fail(offset, 'not a JSON number');
    this.#at += form.length;
    return { kind: 'scalar', offset, value: Number(form), plain: false };
  }

  #string(): string | undefined {
    const text = this.#text;
    const start = this.#at;
    let end = text.indexOf('"', start + 1);
    for (; end >= 0; end = text.indexOf('"', end + 1)) {
      let slashes = 0;
      while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
      if ((slashes & 1) === 0) break;
    }
    if (end < 0) return this.#fail(start, 'string without an end');
    let simple = true;
    for (let i = start + 1; i < end; i++) {
      const c = text.charCodeAt(i);
      if (c < 0x20) return this.#fail(i, 'control character in a string');
      if (c === 0x5c) simple = false;
    }
    this.#at = end + 1;
    if (simple) return text.slice(start + 1, end);
    try {
      return JSON.parse(text.slice(start, end + 1)) as string;
    } catch {
      return this.#fail(start, 'bad escape in a string');
    }
  }

  #object(depth: number): TreeNode | undefined {
    const node: MapNode = { kind: 'map', offset: this.#at, keys: [], keyOffsets: [], values: [] };
    const guard = new KeyGuard();
    this.#at++;
    this.#blank();
    if (this.#text.charCodeAt(this.#at) === 0x7d) {
      this.#at++;
      return node;
    }
    for (;;) {
      this.#blank();
      const keyOffset = this.#at;
      if (this.#text.charCodeAt(keyOffset) !== 0x22)
        return this.#fail(keyOffset, this.#unexpected('a key in double quotes'));
      const key = this.#string();
      if (key === undefined) return undefined;
      this.#blank();
      if (this.#text.charCodeAt(this.#at) !== 0x3a) return this.#fail(this.#at, this.#unexpected('":"'));
      this.#at++;
      this.#blank();
      const value = this.#value(depth + 1);
      if (value === undefined) return undefined;
      if (guard.repeats(node.keys, key)) {
        this.#issues.push({ severity: 'error', offset: keyOffset, message: `duplicate key ${JSON.stringify(key)}` });
      } else {
        node.keys.push(key);
        node.keyOffsets.push(keyOffset);
        node.values.push(value);
      }
      this.#blank();
      const c = this.#text.charCodeAt(this.#at);
      if (c === 0x7d) break;
      if (c !== 0x2c) return this.#fail(this.#at, this.#unexpected('"," or "}"'));
      this.#at++;
    }
    this.#at++;
    return node;
  }

  #array(depth: number): TreeNode | undefined {
    const offset = this.#at;
    const items: TreeNode[] = [];
    this.#at++;
    this.#blank();
    if (this.#text.charCodeAt(this.#at) === 0x5d) {
      this.#at++;
      return { kind: 'sequence', offset, items };
    }
    for (;;) {
      this.#blank();
      const item = this.#value(depth + 1);
      if (item === undefined) return undefined;
      items.push(item);
      this.#blank();
      const c = this.#text.charCodeAt(this.#at);
      if (c === 0x5d) break;
      if (c !== 0x2c) return this.#fail(this.#at, this.#unexpected('"," or "]"'));
      this.#at++;
    }
    this.#at++;
    return { kind: 'sequence', offset, items };
  }
}
