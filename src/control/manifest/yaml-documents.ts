// YAML text to the trees of its documents, by the `yaml` package: its lexer, its parser and its composer, one document
// at a time; of a list directly under the root, as `kubectl get -o yaml` prints it, some items at a time. So only a few
// objects are ever held in the package's form, which takes some 70 times the text. In: text. Out: ParsedText.
// Invariant: never throws; depth is bounded before anything recurses; in parts or as a whole a list reads alike.
import { Composer, Lexer, Parser, type CST, type Document } from 'yaml';
import type { InputLimits, ParsedText, SyntaxIssue, TreeNode } from './tree.ts';
import { TreeBuilder } from './yaml-tree.ts';

/** Problems that one document may list before the rest of its syntax errors is left out. */
const ERRORS_PER_DOCUMENT = 10;
/** Items of a list before it is read in parts. Larger parts outlive the young generation: half as fast at 64. */
const PART_ITEMS = 4;
/** Lexemes between two looks at the parser's stack, less one; a Pod has some 500. */
const LEXEMES_MASK = 255;

const composing = {
  version: '1.2',
  schema: 'core',
  // The package compares each key with each other; TreeBuilder finds duplicates in linear time.
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'silent',
  keepSourceTokens: false,
} as const;

/** Parses every document of `text`. */
export function parseYaml(text: string, limits: InputLimits): ParsedText {
  const reading = new Reading(limits);
  // Directives and explicit document ends tie documents together, and a lone CR is no line end to everybody. Otherwise
  // each document is parsed by itself, so that a quote that is never closed cannot swallow the documents behind it.
  const tied = /^(?:%|\.\.\.(?:\s|$))|\r(?!\n)/m.test(text);
  for (let start = 0; start < text.length && !reading.full;) {
    const end = tied ? text.length : nextMarker(text, start);
    parsePiece(text.slice(start, end), start, reading);
    start = end;
  }
  return reading.result();
}

/** Offset of the next line that starts with `---` as a marker, after the one that `from` may stand on; or the text's end. */
function nextMarker(text: string, from: number): number {
  for (let at = text.indexOf('\n---', from); at >= 0; at = text.indexOf('\n---', at + 4)) {
    const after = text.charAt(at + 4);
    if (after === '' || after === ' ' || after === '\n' || after === '\r' || after === '\t') return at + 1;
  }
  return text.length;
}

function parsePiece(piece: string, start: number, reading: Reading): void {
  const lexer = new Lexer();
  const parser = new Parser();
  parser.offset = start;
  let lexemes = 0;
  for (const lexeme of lexer.lex(piece)) {
    // Anchors, tags and directives before a list's items would have to be known with its first part.
    if (lexeme.startsWith('&') || lexeme.startsWith('!') || lexeme.startsWith('%')) reading.whole = true;
    for (const token of parser.next(lexeme)) reading.token(token);
    if ((++lexemes & LEXEMES_MASK) === 0) {
      if (reading.full) return;
      reading.part(parser.stack);
    }
  }
  for (const token of parser.end()) reading.token(token);
  reading.end();
}

/** What is known about a document while it is on its way through the composer. */
interface Assembly {
  readonly start: number;
  readonly builder: TreeBuilder;
  /** Syntax errors of its parts, the first ones by place. */
  readonly errors: SyntaxIssue[];
  tooDeep: SyntaxIssue | undefined;
}

class Reading {
  readonly #limits: InputLimits;
  readonly #roots: TreeNode[] = [];
  readonly #issues: SyntaxIssue[] = [];
  readonly #composer = new Composer(composing);
  /** Documents in the composer, which gives one out when it has met the next. */
  readonly #composed: Assembly[] = [];
  /** The document that is being parsed, once a part of it was taken. */
  #partial: Assembly | undefined;
  #full = false;
  /** Set when no other list may be read in parts: anchors have to be met in their order. */
  whole = false;

  constructor(limits: InputLimits) {
    this.#limits = limits;
  }

  /** True once there are too many documents: what follows is not wanted. */
  get full(): boolean {
    return this.#full;
  }

  result(): ParsedText {
    return { roots: this.#roots, issues: this.#issues };
  }

  /** Takes what the parser has finished: a document, or something between documents. */
  token(token: CST.Token): void {
    if (token.type === 'document') {
      const assembly = this.#partial ?? this.#assembly(token.offset);
      this.#partial = undefined;
      this.#composed.push(assembly);
      if (this.#shallow(assembly, token.value, 0)) this.#compose(this.#composer.next(token));
      else this.#compose(this.#composer.next({ type: 'document', offset: token.offset, start: [] }));
    } else this.#compose(this.#composer.next(token));
  }

  end(): void {
    this.#compose(this.#composer.end());
  }

  /** Takes finished items off a long list directly under the root of the document that is being parsed. */
  part(stack: readonly CST.Token[]): void {
    const [document, root, below] = stack;
    const list = root?.type === 'block-map' ? below : root;
    if (document?.type !== 'document' || list?.type !== 'block-seq' || list.items.length <= PART_ITEMS) return;
    // Where something is wrong the list may be on its way to become a key, or a value that is never looked at.
    const pair = root?.type === 'block-map' ? root.items.at(-1) : undefined;
    const isValue = pair?.value === undefined && pair?.sep?.some(({ type }) => type === 'map-value-ind') === true;
    if (pair !== undefined && !isValue) return;
    const level = pair === undefined ? 0 : 1;
    if (this.whole && this.#partial?.builder.hasItemsOf(list.offset) !== true) return;
    const count = finished(list);
    if (count === 0) return;
    const assembly = (this.#partial ??= this.#assembly(document.offset));
    const items = list.items.splice(0, count);
    const offset = items[0]?.start[0]?.offset ?? list.offset;
    const part: CST.BlockSequence = { type: 'block-seq', offset, indent: list.indent, items };
    if (assembly.tooDeep !== undefined || !this.#shallow(assembly, part, level)) return;
    const composer = new Composer(composing);
    for (const token of [...composer.next({ type: 'document', offset, start: [], value: part }), ...composer.end()]) {
      addErrors(assembly.errors, token);
      if (assembly.errors.length === 0) assembly.builder.addItems(token.contents, list.offset, level);
    }
  }

  #assembly(start: number): Assembly {
    return { start, builder: new TreeBuilder(this.#limits), errors: [], tooDeep: undefined };
  }

  /**
   * The composer recurses: deep nesting would exhaust the stack, in the worst case inside the regular-expression
   * compiler, which ends the process. So depth is measured first, on the flat token tree.
   */
  #shallow(assembly: Assembly, token: CST.Token | undefined, level: number): boolean {
    const { depth } = this.#limits;
    const offset = token === undefined ? undefined : offsetBeyond(token, level, depth);
    if (offset !== undefined)
      assembly.tooDeep ??= { severity: 'error', offset, message: `nested deeper than ${depth} levels` };
    return assembly.tooDeep === undefined;
  }

  #compose(documents: Iterable<Document.Parsed>): void {
    for (const document of documents) {
      const assembly = this.#composed.shift();
      if (assembly !== undefined && !this.#full) this.#finish(document, assembly);
    }
  }

  #finish(document: Document.Parsed, { start, builder, errors, tooDeep }: Assembly): void {
    if (this.#roots.length >= this.#limits.documents) {
      this.#full = true;
      const message = `more than ${this.#limits.documents} documents in one file`;
      this.#issues.push({ severity: 'error', offset: start, message });
      return;
    }
    if (tooDeep !== undefined) {
      this.#issues.push(tooDeep);
      return;
    }
    addErrors(errors, document);
    if (errors.length > 0) {
      for (const error of errors) this.#issues.push(error);
      return;
    }
    const root = builder.build(document.contents);
    for (const issue of builder.issues) this.#issues.push(issue);
    if (root !== undefined && !(root.kind === 'scalar' && root.value === null)) this.#roots.push(root);
  }
}

/** How many items may be taken off a list: the parser still looks at the last two, and what is left begins with a dash. */
function finished({ items }: CST.BlockSequence): number {
  // An item without a dash is an error that stands where the item before it ends, so it has to stay with that one.
  const least = Math.max(1, items.length - 8);
  for (let count = items.length - 2; count >= least; count--)
    if (items[count]?.start.some(({ type }) => type === 'seq-item-ind') === true) return count;
  return 0;
}

/** Adds the errors of a document, or of a part of it; the first ones by their place in the text are kept. */
function addErrors(errors: SyntaxIssue[], document: Document.Parsed): void {
  if (document.errors.length === 0) return;
  for (const { pos, message } of document.errors)
    errors.push({ severity: 'error', offset: pos[0], message: message.charAt(0).toLowerCase() + message.slice(1) });
  errors.sort((a, b) => a.offset - b.offset || (a.message < b.message ? -1 : 1));
  errors.length = Math.min(errors.length, ERRORS_PER_DOCUMENT);
}

/** Offset of the first collection that is nested deeper than `depth`, `root` being at `level`; walks with its own stack. */
function offsetBeyond(root: CST.Token, level: number, depth: number): number | undefined {
  const stack: { token: CST.Token; level: number }[] = [{ token: root, level }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { token, level } = top;
    if (token.type === 'block-map' || token.type === 'block-seq' || token.type === 'flow-collection') {
      if (level > depth) return token.offset;
      for (const item of token.items) {
        if (item.key) stack.push({ token: item.key, level: level + 1 });
        if (item.value) stack.push({ token: item.value, level: level + 1 });
      }
    }
  }
  return undefined;
}
