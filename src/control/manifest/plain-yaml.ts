// The fast path for the YAML that tools print: block maps and lists, plain and quoted scalars, literal blocks, `{}` and `[]`.
// In: one document's range of the text. Out: the same tree that yaml-tree.ts makes, or undefined for "use the other one".
// Invariant: accepts only what both read alike (tests compare them); anything unusual, and every error, is left to
// yaml-tree.ts, which also words the message. Never throws; recursion is bounded by the depth limit.
import { closingQuote, decodeQuoted, isUnusual, resolvePlain, startsPlain } from './plain-scalar.ts';
import { KeyGuard, type InputLimits, type MapNode, type ScalarNode, type TreeNode } from './tree.ts';

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const HASH = 0x23;
const COLON = 0x3a;
const DASH = 0x2d;

/** Longest key that YAML allows on one line is 1024; keep well below. */
const MAX_KEY = 1000;

/** Characters of a plain key: label keys with a source prefix included. Index = code. */
const keyChar = new Uint8Array(128);
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-:') keyChar[c.charCodeAt(0)] = 1;
/** Parses text[start, end) as one document without its `---`; undefined when the form is not a plain one. */
export function parsePlainYaml(
  text: string,
  start: number,
  end: number,
  limits: InputLimits,
): TreeNode | 'empty' | undefined {
  return new PlainParser(text, start, end, limits.depth).document();
}

class PlainParser {
  readonly #text: string;
  readonly #end: number;
  readonly #maxDepth: number;
  /** Offset of the current content, its column, and whether there is any left. */
  #at: number;
  #indent = 0;
  #done = false;
  /** Set once the document turned out not to be plain. */
  #odd = false;

  constructor(text: string, start: number, end: number, maxDepth: number) {
    this.#text = text;
    this.#at = start;
    this.#end = end;
    this.#maxDepth = maxDepth;
  }

  document(): TreeNode | 'empty' | undefined {
    this.#nextLine(this.#at);
    if (this.#odd) return undefined;
    if (this.#done) return 'empty';
    const c = this.#text.charCodeAt(this.#at);
    if (this.#indent !== 0 || (c !== DASH && this.#keyEnd() < 0)) return undefined;
    const root = this.#block(0);
    return this.#odd || !this.#done ? undefined : root;
  }

  #giveUp(): undefined {
    this.#odd = true;
    return undefined;
  }

  /** Moves to the first content at or after a line start. */
  #nextLine(lineStart: number): void {
    const text = this.#text;
    const end = this.#end;
    let at = lineStart;
    while (at < end) {
      let content = at;
      while (content < end && text.charCodeAt(content) === SPACE) content++;
      const c = content < end ? text.charCodeAt(content) : LF;
      if (c === LF || (c === CR && text.charCodeAt(content + 1) === LF)) {
        at = text.indexOf('\n', content) + 1;
        if (at === 0) break;
      } else if (c === HASH) {
        at = text.indexOf('\n', content) + 1;
        if (at === 0) break;
      } else {
        if (c === TAB || c === CR) this.#odd = true;
        this.#at = content;
        this.#indent = content - at;
        return;
      }
    }
    this.#at = end;
    this.#indent = -1;
    this.#done = true;
  }

  /** After a value: only blanks or a comment may follow on the line. Moves to the next content. */
  #finishLine(from: number): boolean {
    const text = this.#text;
    let at = from;
    while (at < this.#end && text.charCodeAt(at) === SPACE) at++;
    const c = at < this.#end ? text.charCodeAt(at) : LF;
    const ends = c === LF || (c === CR && text.charCodeAt(at + 1) === LF) || (c === HASH && at > from);
    if (!ends) {
      this.#odd = true;
      return false;
    }
    const lineEnd = text.indexOf('\n', at);
    this.#nextLine(lineEnd < 0 ? this.#end : lineEnd + 1);
    return !this.#odd;
  }

  /** End of the content's line, without CR. */
  #lineEnd(from: number): number {
    const at = this.#text.indexOf('\n', from);
    const end = at < 0 || at > this.#end ? this.#end : at;
    return end > from && this.#text.charCodeAt(end - 1) === CR ? end - 1 : end;
  }

  /** Offset of the `:` that ends a plain key at the current content; -1: no key here; -2: something unusual. */
  #keyEnd(): number {
    const text = this.#text;
    const lineEnd = this.#lineEnd(this.#at);
    for (let at = this.#at; at < lineEnd; at++) {
      const c = text.charCodeAt(at);
      if (c === COLON && (at + 1 === lineEnd || text.charCodeAt(at + 1) === SPACE))
        return at - this.#at > MAX_KEY ? -2 : at;
      if (c >= 128 || keyChar[c] === 0) return this.#laterColon(at, lineEnd) ? -2 : -1;
    }
    return -1;
  }

  /** True when a `:` that could end a key follows on the line, before any comment. */
  #laterColon(from: number, lineEnd: number): boolean {
    const text = this.#text;
    for (let at = from; at < lineEnd; at++) {
      const c = text.charCodeAt(at);
      if (c === COLON && (at + 1 === lineEnd || text.charCodeAt(at + 1) === SPACE)) return true;
      if (c === HASH && text.charCodeAt(at - 1) === SPACE) return false;
    }
    return false;
  }

  /** A block node whose content starts at the current position. */
  #block(depth: number): TreeNode | undefined {
    if (depth > this.#maxDepth) return this.#giveUp();
    const c = this.#text.charCodeAt(this.#at);
    if (c === DASH && this.#isDash()) return this.#sequence(this.#indent, depth);
    if (c === 0x22 || c === 0x27) {
      const keyEnd = this.#quotedKeyEnd();
      if (keyEnd === -2) return this.#giveUp();
      return keyEnd >= 0 ? this.#map(this.#indent, depth) : this.#scalarOn(this.#at, this.#indent);
    }
    const keyEnd = this.#keyEnd();
    if (keyEnd === -2) return this.#giveUp();
    return keyEnd >= 0 ? this.#map(this.#indent, depth) : this.#scalarOn(this.#at, this.#indent);
  }

  #isDash(): boolean {
    const next = this.#at + 1;
    if (next >= this.#end) return true;
    const c = this.#text.charCodeAt(next);
    return c === SPACE || c === LF || c === CR;
  }

  #map(indent: number, depth: number): TreeNode | undefined {
    const node: MapNode = { kind: 'map', offset: this.#at, keys: [], keyOffsets: [], values: [] };
    const guard = new KeyGuard();
    while (!this.#done && this.#indent === indent) {
      const keyOffset = this.#at;
      const first = this.#text.charCodeAt(keyOffset);
      if (first === DASH) return this.#giveUp();
      let key: string | undefined;
      let colon: number;
      if (first === 0x22 || first === 0x27) {
        colon = this.#quotedKeyEnd();
        key = colon < 0 ? undefined : decodeQuoted(this.#text.slice(keyOffset, colon));
      } else {
        colon = this.#keyEnd();
        key = colon < 0 ? undefined : this.#text.slice(keyOffset, colon);
      }
      if (key === undefined || key === '' || first === COLON || guard.repeats(node.keys, key)) return this.#giveUp();
      const value = this.#mapValue(colon + 1, indent, keyOffset, depth);
      if (value === undefined) return undefined;
      node.keys.push(key);
      node.keyOffsets.push(keyOffset);
      node.values.push(value);
    }
    return !this.#done && this.#indent > indent ? this.#giveUp() : node;
  }

  #mapValue(from: number, indent: number, keyOffset: number, depth: number): TreeNode | undefined {
    let at = from;
    while (at < this.#end && this.#text.charCodeAt(at) === SPACE) at++;
    const c = at < this.#end ? this.#text.charCodeAt(at) : LF;
    if (c !== LF && c !== CR && !(c === HASH && at > from)) return this.#scalarOn(at, indent);
    if (!this.#finishLine(from)) return undefined;
    const nested =
      !this.#done &&
      (this.#indent > indent ||
        (this.#indent === indent && this.#text.charCodeAt(this.#at) === DASH && this.#isDash()));
    return nested ? this.#block(depth + 1) : { kind: 'scalar', offset: keyOffset, value: null, plain: true };
  }

  #sequence(indent: number, depth: number): TreeNode | undefined {
    const items: TreeNode[] = [];
    const offset = this.#at;
    while (!this.#done && this.#indent === indent && this.#text.charCodeAt(this.#at) === DASH && this.#isDash()) {
      const dash = this.#at;
      let at = dash + 1;
      while (at < this.#end && this.#text.charCodeAt(at) === SPACE) at++;
      const c = at < this.#end ? this.#text.charCodeAt(at) : LF;
      let item: TreeNode | undefined;
      if (c === LF || c === CR || c === HASH) {
        if (!this.#finishLine(dash + 1)) return undefined;
        item =
          !this.#done && this.#indent > indent
            ? this.#block(depth + 1)
            : { kind: 'scalar', offset: dash, value: null, plain: true };
      } else if (c === TAB) {
        return this.#giveUp();
      } else {
        this.#at = at;
        this.#indent = indent + (at - dash);
        item = this.#itemBlock(indent, depth + 1);
      }
      if (item === undefined) return undefined;
      items.push(item);
    }
    return !this.#done && this.#indent > indent ? this.#giveUp() : { kind: 'sequence', offset, items };
  }

  /** Content on the dash's own line: a scalar here may be continued by lines deeper than the dash, not than itself. */
  #itemBlock(dashIndent: number, depth: number): TreeNode | undefined {
    const c = this.#text.charCodeAt(this.#at);
    if (c === DASH && this.#isDash()) return this.#block(depth);
    const keyEnd = c === 0x22 || c === 0x27 ? this.#quotedKeyEnd() : this.#keyEnd();
    if (keyEnd === -2) return this.#giveUp();
    return keyEnd >= 0 ? this.#block(depth) : this.#scalarOn(this.#at, dashIndent);
  }

  /** A scalar (or empty collection) at `at`; lines deeper than `indent` continue it. */
  #scalarOn(at: number, indent: number): TreeNode | undefined {
    const text = this.#text;
    const c = text.charCodeAt(at);
    if (c === 0x22 || c === 0x27) {
      return this.#quoted(at, indent);
    }
    if (c === 0x7b && text.charCodeAt(at + 1) === 0x7d)
      return this.#closed({ kind: 'map', offset: at, keys: [], keyOffsets: [], values: [] }, at + 2, indent);
    if (c === 0x5b && text.charCodeAt(at + 1) === 0x5d)
      return this.#closed({ kind: 'sequence', offset: at, items: [] }, at + 2, indent);
    if (c === 0x7c) return this.#literal(at, indent);
    return this.#plain(at, indent);
  }

  #closed(node: TreeNode, end: number, indent: number): TreeNode | undefined {
    if (!this.#finishLine(end)) return undefined;
    return !this.#done && this.#indent > indent ? this.#giveUp() : node;
  }

  /** A plain scalar, possibly folded over lines deeper than `indent`. */
  #plain(at: number, indent: number): ScalarNode | undefined {
    const text = this.#text;
    let lineEnd = this.#lineEnd(at);
    const first = text.charCodeAt(at);
    const second = at + 1 < lineEnd ? text.charCodeAt(at + 1) : SPACE;
    if (first === DASH ? second === SPACE || second === TAB : !startsPlain(first)) return this.#giveUp();
    let end = this.#plainEnd(at + 1, lineEnd);
    if (end < 0) return this.#giveUp();
    let source = this.#trimmed(at, end);
    let next = this.#afterLine(end);
    while (end === lineEnd && next < this.#end) {
      let content = next;
      lineEnd = this.#lineEnd(next);
      while (content < lineEnd && text.charCodeAt(content) === SPACE) content++;
      if (content === lineEnd || content - next <= indent || text.charCodeAt(content) === HASH) break;
      end = this.#plainEnd(content, lineEnd);
      if (end < 0) return this.#giveUp();
      source += ` ${this.#trimmed(content, end)}`;
      next = this.#afterLine(end);
    }
    this.#nextLine(next);
    // A deeper line would continue the scalar, or be an error behind a comment.
    if (this.#odd || (!this.#done && this.#indent > indent)) return this.#giveUp();
    return { kind: 'scalar', offset: at, value: resolvePlain(source), plain: true };
  }

  /** Where a plain scalar's text on one line ends: at a comment or the line's end; -1 for what is not plain. */
  #plainEnd(from: number, lineEnd: number): number {
    const text = this.#text;
    for (let i = from; i < lineEnd; i++) {
      const c = text.charCodeAt(i);
      if (c === HASH && text.charCodeAt(i - 1) === SPACE) return i;
      if (c === COLON && (i + 1 === lineEnd || text.charCodeAt(i + 1) === SPACE)) return -1;
      if (isUnusual(c)) return -1;
    }
    return lineEnd;
  }

  #trimmed(from: number, end: number): string {
    let at = end;
    while (at > from && this.#text.charCodeAt(at - 1) === SPACE) at--;
    return this.#text.slice(from, at);
  }

  #afterLine(from: number): number {
    const at = this.#text.indexOf('\n', from);
    return at < 0 || at >= this.#end ? this.#end : at + 1;
  }

  /** For a quoted scalar at the current content: offset of the `:` right behind it when it is a key; -1 when it is none; -2 unusual. */
  #quotedKeyEnd(): number {
    const text = this.#text;
    const close = closingQuote(text, this.#at, this.#at + 1, this.#lineEnd(this.#at));
    if (close === -1) return -1;
    if (close < 0 || close - this.#at > MAX_KEY) return -2;
    let at = close + 1;
    while (at < this.#end && text.charCodeAt(at) === SPACE) at++;
    if (at >= this.#end || text.charCodeAt(at) !== COLON) return -1;
    const next = at + 1 < this.#end ? text.charCodeAt(at + 1) : LF;
    return at === close + 1 && (next === SPACE || next === LF || next === CR) ? at : -2;
  }

  /** A quoted scalar, possibly folded over lines deeper than `indent`. */
  #quoted(at: number, indent: number): TreeNode | undefined {
    const text = this.#text;
    const firstEnd = this.#lineEnd(at);
    let close = closingQuote(text, at, at + 1, firstEnd);
    if (close === -2) return this.#giveUp();
    let source: string | undefined;
    if (close >= 0) source = text.slice(at, close + 1);
    else {
      // `joined` is the scalar as one line: a line end is a blank, or nothing after a backslash.
      let joined = this.#foldedLine(at, firstEnd);
      let pos = this.#afterLine(firstEnd);
      while (joined !== undefined) {
        if (pos >= this.#end) return this.#giveUp();
        const lineEnd = this.#lineEnd(pos);
        let content = pos;
        while (content < lineEnd && text.charCodeAt(content) === SPACE) content++;
        // Empty lines are line feeds in the value: rare, and left to the full parser.
        if (content === lineEnd || content - pos <= indent) return this.#giveUp();
        close = closingQuote(text, at, content, lineEnd);
        if (close === -2) return this.#giveUp();
        if (close >= 0) {
          source = joined + text.slice(content, close + 1);
          break;
        }
        const line = this.#foldedLine(content, lineEnd);
        joined = line === undefined ? undefined : joined + line;
        pos = this.#afterLine(lineEnd);
      }
    }
    const value = source === undefined ? undefined : decodeQuoted(source);
    if (value === undefined) return this.#giveUp();
    return this.#closed({ kind: 'scalar', offset: at, value, plain: false }, close + 1, indent);
  }

  /** One line of a folded quoted scalar with what its end stands for; undefined when that is not simple. */
  #foldedLine(from: number, lineEnd: number): string | undefined {
    const line = this.#text.slice(from, lineEnd);
    const trimmed = line.replace(/ +$/, '');
    let slashes = 0;
    while (trimmed.charCodeAt(trimmed.length - 1 - slashes) === 0x5c) slashes++;
    if (slashes === 0) return `${trimmed} `;
    // Only an escaped line end, in double quotes, right at the end of the line.
    if (slashes !== 1 || trimmed.length !== line.length) return undefined;
    return trimmed.slice(0, -1);
  }

  /** A literal block (`|`, `|-`, `|+`) whose indentation its first line gives. */
  #literal(at: number, indent: number): ScalarNode | undefined {
    const text = this.#text;
    const headerEnd = this.#lineEnd(at);
    const header = text.slice(at, headerEnd);
    if (header !== '|' && header !== '|-' && header !== '|+') return this.#giveUp();
    const lines: string[] = [];
    let contentIndent = -1;
    let pos = this.#afterLine(headerEnd);
    let lastContent = 0;
    while (pos < this.#end) {
      const lineEnd = this.#lineEnd(pos);
      let content = pos;
      while (content < lineEnd && text.charCodeAt(content) === SPACE) content++;
      if (content === lineEnd) {
        if (contentIndent < 0) return this.#giveUp();
        lines.push(text.slice(Math.min(pos + contentIndent, lineEnd), lineEnd));
        // A blank line longer than the indentation is content of spaces.
        if (lineEnd - pos > contentIndent) lastContent = lines.length;
      } else {
        if (contentIndent < 0) {
          contentIndent = content - pos;
          if (contentIndent <= indent || text.charCodeAt(content) === TAB) return this.#giveUp();
        }
        if (content - pos < contentIndent) break;
        const line = text.slice(pos + contentIndent, lineEnd);

        if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ud800-\uffff]/.test(line)) return this.#giveUp();
        lines.push(line);
        lastContent = lines.length;
      }
      pos = this.#afterLine(lineEnd);
    }
    if (contentIndent < 0) return this.#giveUp();
    const closed = lines.length > 0 && (text.charCodeAt(this.#end - 1) === LF || pos < this.#end);
    if (!closed) return this.#giveUp();
    const body = lines.slice(0, lastContent).join('\n');
    const tail = header === '|-' ? '' : header === '|' ? '\n' : '\n'.repeat(1 + lines.length - lastContent);
    this.#nextLine(pos);
    if (this.#odd || (!this.#done && this.#indent > indent)) return this.#giveUp();
    return { kind: 'scalar', offset: at, value: body + tail, plain: false };
  }
}
