// Typed reading of a tree: fields of maps as strings, integers, lists … In: trees and the file they come from.
// Out: values, or undefined with a problem that names object, field path, what was expected, and the place.
// Invariant: nothing throws; null counts as absent everywhere; all problems of a file are collected, not only the first.
import type { Problem } from '../problem.ts';
import type { IpAddress, IpPrefix, LocatedPrefix, Origin, PlainData } from '../state.ts';
import { parseAddress, parsePrefix } from './address.ts';
import { LineIndex, mapValue, type MapNode, type TreeNode } from './tree.ts';

/** The JSON word for what a node is, as the API server says it. */
export function typeName(node: TreeNode): string {
  if (node.kind === 'map') return 'object';
  if (node.kind === 'sequence') return 'list';
  return node.value === null ? 'null' : typeof node.value;
}

function isNull(node: TreeNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}

function article(word: string): string {
  return /^[aeio]/.test(word) ? `an ${word}` : `a ${word}`;
}

/** The path of a field; the root's path is empty. */
function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Reads the trees of one file. `subject` is what problems are about (`Pod x/a`), set object by object. */
export class Reader {
  readonly file: string;
  readonly #lines: LineIndex;
  readonly #report: (problem: Problem) => void;
  subject = '';
  /** While set, errors make the rule that is being read a refused one instead of failing the load. */
  refusals: string[] | undefined;

  constructor(file: string, text: string, report: (problem: Problem) => void) {
    this.file = file;
    this.#lines = new LineIndex(text);
    this.#report = report;
  }

  origin(offset: number): Origin {
    const { line, column } = this.#lines.locate(offset);
    return { file: this.file, line, column };
  }

  error(offset: number, message: string): undefined {
    if (this.refusals !== undefined) {
      this.refusals.push(message);
      this.#add('warning', offset, `${message}; Cilium refuses the rule, it enforces nothing`);
    } else this.#add('error', offset, message);
    return undefined;
  }

  warning(offset: number, message: string): undefined {
    this.#add('warning', offset, message);
    return undefined;
  }

  #add(severity: 'error' | 'warning', offset: number, message: string): void {
    const { line, column } = this.#lines.locate(offset);
    this.#report({
      severity,
      file: this.file,
      line,
      column,
      message: this.subject === '' ? message : `${this.subject}: ${message}`,
    });
  }

  /** Field `key`, with null as absent. */
  field(map: MapNode, key: string): TreeNode | undefined {
    const node = mapValue(map, key);
    return node === undefined || isNull(node) ? undefined : node;
  }

  #wrong(node: TreeNode, path: string, expected: string): undefined {
    return this.error(node.offset, `${path}: expected ${article(expected)}, got ${typeName(node)}`);
  }

  asText(node: TreeNode, path: string): string | undefined {
    if (node.kind !== 'scalar' || typeof node.value !== 'string') return this.#wrong(node, path, 'string');
    if (node.plain && node.value.length <= 3 && /^(?:yes|no|on|off)$/i.test(node.value)) {
      this.warning(
        node.offset,
        `${path}: unquoted ${node.value} is a string here, but kubectl reads it as a boolean; quote it`,
      );
    }
    return node.value;
  }

  asMap(node: TreeNode, path: string): MapNode | undefined {
    return node.kind === 'map' ? node : this.#wrong(node, path, 'object');
  }

  asInteger(node: TreeNode, path: string, min: number, max: number): number | undefined {
    if (node.kind !== 'scalar' || typeof node.value !== 'number' || !Number.isInteger(node.value)) {
      return this.error(
        node.offset,
        `${path}: expected an integer, got ${node.kind === 'scalar' && typeof node.value === 'number' ? String(node.value) : typeName(node)}`,
      );
    }
    if (node.value < min || node.value > max)
      return this.error(node.offset, `${path}: ${node.value} is not in ${min}–${max}`);
    return node.value;
  }

  text(map: MapNode, key: string, path: string): string | undefined {
    const node = this.field(map, key);
    return node === undefined ? undefined : this.asText(node, join(path, key));
  }

  /** Like text(), but "" counts as absent, as Go's `omitempty` has it. */
  name(map: MapNode, key: string, path: string): string | undefined {
    const text = this.text(map, key, path);
    return text === '' ? undefined : text;
  }

  flag(map: MapNode, key: string, path: string): boolean | undefined {
    const node = this.field(map, key);
    if (node === undefined) return undefined;
    if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
    return this.#wrong(node, join(path, key), 'boolean');
  }

  integer(map: MapNode, key: string, path: string, min: number, max: number): number | undefined {
    const node = this.field(map, key);
    return node === undefined ? undefined : this.asInteger(node, join(path, key), min, max);
  }

  child(map: MapNode, key: string, path: string): MapNode | undefined {
    const node = this.field(map, key);
    return node === undefined ? undefined : this.asMap(node, join(path, key));
  }

  /** The items of a list field; undefined where it is absent or no list. */
  items(map: MapNode, key: string, path: string): TreeNode[] | undefined {
    const node = this.field(map, key);
    if (node === undefined) return undefined;
    return node.kind === 'sequence' ? node.items : this.#wrong(node, join(path, key), 'list');
  }

  /** Reads each item of a list field; items that `read` gives up on are left out (it has reported why). */
  each<T>(
    map: MapNode,
    key: string,
    path: string,
    read: (node: TreeNode, path: string, index: number) => T | undefined,
  ): T[] | undefined {
    const items = this.items(map, key, path);
    if (items === undefined) return undefined;
    const out: T[] = [];
    for (let i = 0; i < items.length; i++) {
      const value = read(items[i]!, `${join(path, key)}[${i}]`, i);
      if (value !== undefined) out.push(value);
    }
    return out;
  }

  /** Like each(), for lists of objects. */
  eachMap<T>(
    map: MapNode,
    key: string,
    path: string,
    read: (node: MapNode, path: string, index: number) => T | undefined,
  ): T[] | undefined {
    return this.each(map, key, path, (node, itemPath, index) => {
      const item = this.asMap(node, itemPath);
      return item === undefined ? undefined : read(item, itemPath, index);
    });
  }

  /** A list of strings. */
  texts(map: MapNode, key: string, path: string): string[] | undefined {
    return this.each(map, key, path, (node, itemPath) => this.asText(node, itemPath));
  }

  /** One of a fixed set of words. */
  choice<T extends string>(map: MapNode, key: string, path: string, choices: readonly T[]): T | undefined {
    const node = this.field(map, key);
    return node === undefined ? undefined : this.asChoice(node, join(path, key), choices);
  }

  asChoice<T extends string>(node: TreeNode, path: string, choices: readonly T[]): T | undefined {
    const text = this.asText(node, path);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    return found ?? this.error(node.offset, `${path}: ${JSON.stringify(text)} is not one of ${choices.join(', ')}`);
  }

  asAddress(node: TreeNode, path: string): IpAddress | undefined {
    const text = this.asText(node, path);
    if (text === undefined) return undefined;
    const result = parseAddress(text);
    return result.ok ? result.value : this.error(node.offset, `${path}: ${result.reason}`);
  }

  asPrefix(node: TreeNode, path: string, bareAllowed: boolean): LocatedPrefix | undefined {
    const text = this.asText(node, path);
    if (text === undefined) return undefined;
    const result = parsePrefix(text, bareAllowed);
    return result.ok
      ? { ...result.value, origin: this.origin(node.offset) }
      : this.error(node.offset, `${path}: ${result.reason}`);
  }

  address(map: MapNode, key: string, path: string): IpAddress | undefined {
    const node = this.field(map, key);
    return node === undefined || (node.kind === 'scalar' && node.value === '')
      ? undefined
      : this.asAddress(node, join(path, key));
  }

  prefix(map: MapNode, key: string, path: string): IpPrefix | undefined {
    const node = this.field(map, key);
    return node === undefined ? undefined : this.asPrefix(node, join(path, key), false);
  }

  /** A string-to-string map. */
  strings(
    map: MapNode,
    key: string,
    path: string,
    check?: (key: string, value: string, node: TreeNode, keyOffset: number, path: string) => void,
  ): Map<string, string> | undefined {
    const node = this.child(map, key, path);
    if (node === undefined) return undefined;
    const out = new Map<string, string>();
    for (let i = 0; i < node.keys.length; i++) {
      const name = node.keys[i]!;
      const value = node.values[i]!;
      // Null as a value is the empty string to the API server's decoder.
      const text = isNull(value) ? '' : this.asText(value, `${join(path, key)}.${name}`);
      if (text === undefined) continue;
      out.set(name, text);
      check?.(name, text, value, node.keyOffsets[i]!, join(path, key));
    }
    return out;
  }

  /** Warns about fields that the API does not have; the nearest known name is proposed. */
  onlyFields(map: MapNode, path: string, known: readonly string[]): void {
    map.keys.forEach((key, i) => {
      if (known.includes(key)) return;
      const near = nearest(key, known);
      this.warning(
        map.keyOffsets[i]!,
        `${join(path, key)}: unknown field, it has no effect${near === undefined ? '' : ` (did you mean ${near}?)`}`,
      );
    });
  }

  /** A subtree as plain data; objects get no prototype. */
  data(node: TreeNode): PlainData {
    if (node.kind === 'scalar') return node.value;
    if (node.kind === 'sequence') return node.items.map((item) => this.data(item));
    const out = Object.create(null) as Record<string, PlainData>;
    node.keys.forEach((key, i) => {
      out[key] = this.data(node.values[i]!);
    });
    return out;
  }
}

/** The known word at most two edits away, if any. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  let best: string | undefined;
  let bestDistance = Math.min(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance, with swapped neighbours as one edit; `limit` or more is reported as `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) value = Math.min(value, before[j - 2]! + 1);
      row.push(value);
    }
    before = previous;
    previous = row;
  }
  return Math.min(previous[b.length]!, limit);
}
