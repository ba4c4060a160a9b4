// A composed document of the `yaml` package to a tree with positions. In: the package's nodes. Out: TreeNode, issues.
// Invariant: aliases become shared nodes and are bounded by what they would expand to, so a "bomb" costs nothing; keys
// are only ever data; never throws.
// An aliased value stands where its alias is written; what is inside it stands where it was anchored.
import { isAlias, isMap, isScalar, isSeq, type Pair, type Scalar } from 'yaml';
import { KeyGuard, type InputLimits, type MapNode, type ScalarNode, type SyntaxIssue, type TreeNode } from './tree.ts';

/** A converted node and the number of values that it stands for with its aliases expanded. */
interface Sized {
  readonly node: TreeNode;
  readonly size: number;
}

/** Makes the tree of one document; a list may be handed over in parts before the rest. */
export class TreeBuilder {
  /** What was found wrong, in the order of the text. */
  readonly issues: SyntaxIssue[] = [];
  readonly #limits: InputLimits;
  readonly #anchors = new Map<string, Sized | 'open'>();
  /** Items that came before the rest of the document, by the offset of the list that they are the start of. */
  readonly #early = new Map<number, TreeNode[]>();
  #aliased = 0;
  #stopped = false;

  constructor(limits: InputLimits) {
    this.#limits = limits;
  }

  /** Takes the next items of the list that starts at `offset`, `depth` levels under the root, and that has no anchor. */
  addItems(part: unknown, offset: number, depth: number): void {
    if (!isSeq(part)) return;
    let early = this.#early.get(offset);
    if (early === undefined) this.#early.set(offset, (early = []));
    this.#items(part.items, offset, depth, early);
  }

  /** True when items of the list at `offset` were added. */
  hasItemsOf(offset: number): boolean {
    return this.#early.has(offset);
  }

  /** The tree of the document's contents, early items included; undefined when an issue makes it worthless. */
  build(contents: unknown): TreeNode | undefined {
    if (contents === null) return undefined;
    const sized = this.#node(contents, 0, 0);
    return this.#stopped ? undefined : sized.node;
  }

  #stop(offset: number, message: string): Sized {
    if (!this.#stopped) this.issues.push({ severity: 'error', offset, message });
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
    if (isAlias(node)) return this.#alias(node.source, node.range?.[0] ?? 0);
    if (!isMap(node) && !isSeq(node))
      return { node: { kind: 'scalar', offset: whereEmpty, value: null, plain: true }, size: 1 };
    const offset = node.range?.[0] ?? 0;
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
    const offset = empty ? whereEmpty : (node.range?.[0] ?? 0);
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return { kind: 'scalar', offset, value, plain };
    // Tags such as !!binary or !!timestamp make other values; their text is what the manifest says.
    return { kind: 'scalar', offset, value: node.source ?? '', plain };
  }

  #sequence(items: readonly unknown[], offset: number, depth: number): Sized {
    const nodes = this.#early.get(offset) ?? [];
    // What early items stand for does not count: no alias can stand for a list that is handed over in parts.
    const size = 1 + this.#items(items, offset, depth, nodes);
    return { node: { kind: 'sequence', offset, items: nodes }, size };
  }

  /** Appends the items of a list to `nodes`; returns their size. */
  #items(items: readonly unknown[], offset: number, depth: number, nodes: TreeNode[]): number {
    let size = 0;
    for (const item of items) {
      const sized = this.#node(item, depth + 1, offset);
      nodes.push(sized.node);
      size += sized.size;
    }
    return size;
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
        this.issues.push({
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
      at = node.range?.[0] ?? 0;
      const target = this.#alias(node.source, at).node;
      if (target.kind === 'scalar') return { text: String(target.value), offset: at, merge: false };
      this.#stop(at, 'a key must be a string');
      return undefined;
    }
    if (!isScalar(node)) {
      const range = isMap(node) || isSeq(node) ? node.range : undefined;
      this.#stop(range ? range[0] : at, 'a key must be a string');
      return undefined;
    }
    const scalar: Scalar = node;
    node = scalar.value;
    if (scalar.range) at = scalar.range[0];
    if (scalar.anchor !== undefined) this.#anchors.set(scalar.anchor, { node: this.#scalar(scalar, at), size: 1 });
    // A number or boolean as a key is its text, as JSON has only strings there.
    const text = typeof node === 'string' ? node : (scalar.source ?? String(node));
    return { text, offset: at, merge: text === '<<' && scalar.type === 'PLAIN' };
  }
}
