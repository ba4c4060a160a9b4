// YAML documents of any form to trees with positions, by the `yaml` package's own nodes.
// In: the text of one or more documents. Out: ParsedText. Invariant: aliases become shared nodes and are bounded by what
// they would expand to, so a "bomb" costs nothing; keys are only ever data; never throws.
// An aliased value stands where its alias is written; what is inside it stands where it was anchored.
import { Composer, isAlias, isMap, isScalar, isSeq, Parser, type CST, type Pair, type Scalar } from 'yaml';
import {
  KeyGuard,
  type InputLimits,
  type MapNode,
  type ParsedText,
  type ScalarNode,
  type SyntaxIssue,
  type TreeNode,
} from './tree.ts';

/** Problems that one document may list before the rest of its syntax errors is left out. */
const ERRORS_PER_DOCUMENT = 10;

/** Parses every document of `text`; `base` is the offset of `text` in its file. */
export function parseYaml(text: string, base: number, limits: InputLimits): ParsedText {
  const roots: TreeNode[] = [];
  const issues: SyntaxIssue[] = [];
  const tokens = [...new Parser().parse(text)];
  // The composer recurses: deep nesting would exhaust the stack, in the worst case inside the regular-expression
  // compiler, which ends the process. So depth is measured first, on the flat token tree.
  for (const token of tokens) {
    const tooDeep = offsetBeyond(token, limits.depth);
    if (tooDeep !== undefined)
      return {
        roots,
        issues: [{ severity: 'error', offset: base + tooDeep, message: `nested deeper than ${limits.depth} levels` }],
      };
  }
  // uniqueKeys compares each key with each other; duplicates are found below, in linear time.
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
    keepSourceTokens: false,
  });
  const documents = [...composer.compose(tokens, false, text.length)];
  for (const document of documents) {
    if (roots.length >= limits.documents) {
      issues.push({
        severity: 'error',
        offset: base + (document.range[0] ?? 0),
        message: `more than ${limits.documents} documents in one file`,
      });
      break;
    }
    for (const error of document.errors.slice(0, ERRORS_PER_DOCUMENT))
      issues.push({ severity: 'error', offset: base + error.pos[0], message: sentence(error.message) });
    if (document.errors.length > 0 || document.contents === null) continue;
    const root = new Converter(base, limits, issues).convert(document.contents);
    if (root !== undefined && !(root.kind === 'scalar' && root.value === null)) roots.push(root);
  }
  return { roots, issues };
}

/** Offset of the first collection that is nested deeper than `depth`; walks with its own stack. */
function offsetBeyond(root: CST.Token, depth: number): number | undefined {
  const stack: { token: CST.Token; level: number }[] = [{ token: root, level: 0 }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { token, level } = top;
    if (token.type === 'document') {
      if (token.value !== undefined) stack.push({ token: token.value, level });
    } else if (token.type === 'block-map' || token.type === 'block-seq' || token.type === 'flow-collection') {
      if (level > depth) return token.offset;
      for (const item of token.items) {
        if (item.key) stack.push({ token: item.key, level: level + 1 });
        if (item.value) stack.push({ token: item.value, level: level + 1 });
      }
    }
  }
  return undefined;
}

function sentence(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}

/** A converted node and the number of values that it stands for with its aliases expanded. */
interface Sized {
  readonly node: TreeNode;
  readonly size: number;
}

class Converter {
  readonly #base: number;
  readonly #limits: InputLimits;
  readonly #issues: SyntaxIssue[];
  readonly #anchors = new Map<string, Sized | 'open'>();
  #aliased = 0;
  #stopped = false;

  constructor(base: number, limits: InputLimits, issues: SyntaxIssue[]) {
    this.#base = base;
    this.#limits = limits;
    this.#issues = issues;
  }

  convert(root: unknown): TreeNode | undefined {
    const sized = this.#node(root, 0, this.#base);
    return this.#stopped ? undefined : sized.node;
  }

  #stop(offset: number, message: string): Sized {
    if (!this.#stopped) this.#issues.push({ severity: 'error', offset, message });
    this.#stopped = true;
    return { node: { kind: 'scalar', offset, value: null, plain: false }, size: 1 };
  }

  #node(node: unknown, depth: number, whereEmpty: number): Sized {
    if (this.#stopped) return this.#stop(whereEmpty, '');
    if (isScalar(node)) {
      const value = this.#scalar(node, whereEmpty);
      const sized = { node: value, size: 1 };
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, sized);
      return sized;
    }
    if (isAlias(node)) return this.#alias(node.source, this.#base + (node.range?.[0] ?? 0));
    if (!isMap(node) && !isSeq(node))
      return { node: { kind: 'scalar', offset: whereEmpty, value: null, plain: true }, size: 1 };
    const offset = this.#base + (node.range?.[0] ?? 0);
    if (depth > this.#limits.depth) return this.#stop(offset, `nested deeper than ${this.#limits.depth} levels`);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, 'open');
    const sized = isMap(node) ? this.#map(node.items, offset, depth) : this.#sequence(node.items, offset, depth);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, sized);
    return sized;
  }

  #alias(name: string, offset: number): Sized {
    const target = this.#anchors.get(name);
    if (target === undefined) return this.#stop(offset, `alias *${name} has no anchor before it`);
    if (target === 'open') return this.#stop(offset, `alias *${name} stands inside its own anchor`);
    this.#aliased += target.size;
    if (this.#aliased > this.#limits.aliasedValues)
      return this.#stop(
        offset,
        `the aliases of this document stand for more than ${this.#limits.aliasedValues} values`,
      );
    return { node: { ...target.node, offset }, size: target.size };
  }

  #scalar(node: Scalar, whereEmpty: number): ScalarNode {
    const value: unknown = node.value;
    const plain = node.type === 'PLAIN';
    const empty =
      value === null && (node.range === undefined || node.range === null || node.range[0] === node.range[1]);
    const offset = empty ? whereEmpty : this.#base + (node.range?.[0] ?? 0);
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return { kind: 'scalar', offset, value, plain };
    // Tags such as !!binary or !!timestamp make other values; their text is what the manifest says.
    return { kind: 'scalar', offset, value: node.source ?? '', plain };
  }

  #sequence(items: readonly unknown[], offset: number, depth: number): Sized {
    const nodes: TreeNode[] = [];
    let size = 1;
    for (const item of items) {
      const sized = this.#node(item, depth + 1, offset);
      nodes.push(sized.node);
      size += sized.size;
    }
    return { node: { kind: 'sequence', offset, items: nodes }, size };
  }

  #map(items: readonly Pair[], offset: number, depth: number): Sized {
    const node: MapNode = { kind: 'map', offset, keys: [], keyOffsets: [], values: [] };
    const guard = new KeyGuard();
    const merged: MapNode[] = [];
    let size = 1;
    for (const pair of items) {
      const name = this.#key(pair.key, offset);
      if (name === undefined) continue;
      const sized = this.#node(pair.value, depth + 1, name.offset);
      size += sized.size;
      if (name.merge) this.#merge(sized.node, merged);
      else if (guard.repeats(node.keys, name.text))
        this.#issues.push({
          severity: 'error',
          offset: name.offset,
          message: `duplicate key ${JSON.stringify(name.text)}`,
        });
      else {
        node.keys.push(name.text);
        node.keyOffsets.push(name.offset);
        node.values.push(sized.node);
      }
    }
    for (const source of merged) {
      source.keys.forEach((key, index) => {
        if (guard.repeats(node.keys, key)) return;
        node.keys.push(key);
        node.keyOffsets.push(source.keyOffsets[index]!);
        node.values.push(source.values[index]!);
      });
    }
    return { node, size };
  }

  #merge(value: TreeNode, into: MapNode[]): void {
    const sources = value.kind === 'sequence' ? value.items : [value];
    for (const source of sources) {
      if (source.kind === 'map') into.push(source);
      else this.#stop(value.offset, 'a merge key (<<) needs a map or a list of maps');
    }
  }

  #key(key: unknown, mapOffset: number): { text: string; offset: number; merge: boolean } | undefined {
    let node: unknown = key;
    let at = mapOffset;
    if (isAlias(node)) {
      at = this.#base + (node.range?.[0] ?? 0);
      const target = this.#alias(node.source, at).node;
      if (target.kind === 'scalar') return { text: String(target.value), offset: at, merge: false };
      this.#stop(at, 'a key must be a string');
      return undefined;
    }
    if (!isScalar(node)) {
      const range = isMap(node) || isSeq(node) ? node.range : undefined;
      this.#stop(range ? this.#base + range[0] : at, 'a key must be a string');
      return undefined;
    }
    const scalar: Scalar = node;
    node = scalar.value;
    if (scalar.range) at = this.#base + scalar.range[0];
    if (scalar.anchor !== undefined) this.#anchors.set(scalar.anchor, { node: this.#scalar(scalar, at), size: 1 });
    // A number or boolean as a key is its text, as JSON has only strings there.
    const text = typeof node === 'string' ? node : (scalar.source ?? String(node));
    return { text, offset: at, merge: text === '<<' && scalar.type === 'PLAIN' };
  }
}
