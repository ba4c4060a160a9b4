// `--set` assignments in Helm's syntax (pkg/strvals): `a.b=c,d[0]=1,e={x,y}` with `\` escapes. In: the assignments.
// Out: one tree of values (offset = which assignment), or problems. Invariant: later assignments win; a null value
// takes a key back to its default; types are Helm's: true, false, null, whole numbers without a leading zero, else text.
import type { MapNode, ScalarNode, SequenceNode, SyntaxIssue, TreeNode } from '../manifest/tree.ts';

/** Longest list that an index may ask for (Helm has the same bound). */
const MAX_INDEX = 65536;
/** Nesting of keys (Helm: 30). */
const MAX_DEPTH = 30;

type Step = string | number;

/** Parses assignments; every node's offset is the index of the assignment that set it. */
export function parseSets(sets: readonly string[]): { root: MapNode; issues: SyntaxIssue[] } {
  const root: MapNode = { kind: 'map', offset: 0, keys: [], keyOffsets: [], values: [] };
  const issues: SyntaxIssue[] = [];
  sets.forEach((source, offset) => {
    const problem = new SetParser(source, offset, root).run();
    if (problem !== undefined) issues.push({ severity: 'error', offset, message: problem });
  });
  return { root, issues };
}

/** The type that Helm gives to a bare value. */
export function typedValue(source: string): string | number | boolean | null {
  if (source.toLowerCase() === 'true') return true;
  if (source.toLowerCase() === 'false') return false;
  if (source.toLowerCase() === 'null') return null;
  if (/^(?:0|-?[1-9][0-9]*)$/.test(source) && Number.isSafeInteger(Number(source))) return Number(source);
  return source;
}

class SetParser {
  readonly #source: string;
  readonly #offset: number;
  readonly #root: MapNode;
  #at = 0;

  constructor(source: string, offset: number, root: MapNode) {
    this.#source = source;
    this.#offset = offset;
    this.#root = root;
  }

  run(): string | undefined {
    if (this.#source.trim() === '') return 'expected key=value';
    while (this.#at < this.#source.length) {
      const path = this.#path();
      if (typeof path === 'string') return path;
      const value = this.#value();
      if (typeof value === 'string') return value;
      const problem = assign(this.#root, path, value, this.#offset);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** Text up to one of the stop characters, escapes resolved. */
  #until(stops: string): { text: string; stop: string } {
    let text = '';
    while (this.#at < this.#source.length) {
      const c = this.#source[this.#at++]!;
      if (c === '\\' && this.#at < this.#source.length) text += this.#source[this.#at++]!;
      else if (stops.includes(c)) return { text, stop: c };
      else text += c;
    }
    return { text, stop: '' };
  }

  #path(): Step[] | string {
    const path: Step[] = [];
    for (;;) {
      const { text, stop } = this.#until('.[=,');
      const afterIndex = typeof path.at(-1) === 'number' && text === '' && stop !== ',' && stop !== '';
      if (!afterIndex) {
        if (text === '') return 'a key is empty';
        path.push(text);
      }
      if (path.length > MAX_DEPTH) return `keys are nested deeper than ${MAX_DEPTH} levels`;
      if (stop === '=') return path;
      if (stop === '' || stop === ',') return `key ${JSON.stringify(text)} has no value`;
      if (stop === '[') {
        const index = this.#until(']');
        if (index.stop !== ']' || !/^[0-9]{1,6}$/.test(index.text)) return `bad list index [${index.text}`;
        if (Number(index.text) > MAX_INDEX) return `list index ${index.text} is larger than ${MAX_INDEX}`;
        path.push(Number(index.text));
      }
    }
  }

  #value(): TreeNode | string {
    const scalar = (source: string): ScalarNode => ({
      kind: 'scalar',
      offset: this.#offset,
      value: typedValue(source),
      plain: false,
    });
    if (this.#source[this.#at] !== '{') return scalar(this.#until(',').text);
    this.#at++;
    const list: SequenceNode = { kind: 'sequence', offset: this.#offset, items: [] };
    for (;;) {
      const { text, stop } = this.#until(',}');
      if (stop === '') return 'list must end with }';
      if (!(stop === '}' && text === '' && list.items.length === 0)) list.items.push(scalar(text));
      if (stop === '}') break;
    }
    if (this.#at < this.#source.length && this.#source[this.#at++] !== ',') return 'unexpected text behind }';
    return list;
  }
}

function assign(root: MapNode, path: readonly Step[], value: TreeNode, offset: number): string | undefined {
  let node: TreeNode = root;
  for (let i = 0; i < path.length; i++) {
    const step = path[i]!;
    const next: Step | undefined = path[i + 1];
    const fresh = (): TreeNode =>
      next === undefined
        ? value
        : typeof next === 'number'
          ? { kind: 'sequence', offset, items: [] }
          : { kind: 'map', offset, keys: [], keyOffsets: [], values: [] };
    const wanted = next === undefined ? undefined : typeof next === 'number' ? 'sequence' : 'map';
    if (typeof step === 'string') {
      if (node.kind !== 'map') return `key ${JSON.stringify(step)} is set inside something that is no map`;
      let index: number = node.keys.indexOf(step);
      if (index < 0) index = node.keys.push(step) - 1;
      node.keyOffsets[index] = offset;
      const before: TreeNode | undefined = node.values[index];
      if (wanted === undefined || before?.kind !== wanted) node.values[index] = fresh();
      node = node.values[index]!;
    } else {
      if (node.kind !== 'sequence') return `[${step}] is set inside something that is no list`;
      while (node.items.length <= step) node.items.push({ kind: 'scalar', offset, value: null, plain: false });
      const before: TreeNode | undefined = node.items[step];
      if (wanted === undefined || before?.kind !== wanted) node.items[step] = fresh();
      node = node.items[step]!;
    }
  }
  return undefined;
}
