// The fast YAML path against the full parser: whatever it accepts, both must read alike, positions included.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { parsePlainYaml } from '../../../src/control/manifest/plain-yaml.ts';
import { parseYamlText } from '../../../src/control/manifest/documents.ts';
import { parseYaml } from '../../../src/control/manifest/yaml-tree.ts';
import { defaultLimits, type TreeNode } from '../../../src/control/manifest/tree.ts';

/** The tree without the offsets of nulls: an empty value stands nowhere in particular. */
function comparable(node: TreeNode): unknown {
  if (node.kind === 'scalar')
    return node.value === null
      ? { value: null }
      : { offset: node.offset, value: Object.is(node.value, -0) ? 0 : node.value, plain: node.plain };
  if (node.kind === 'sequence') return { offset: node.offset, items: node.items.map(comparable) };
  return { offset: node.offset, keys: node.keys, keyOffsets: node.keyOffsets, values: node.values.map(comparable) };
}

/** Compares the text split and sent down the fast path with the full parser on the whole. True when the fast path took it. */
function agree(text: string): boolean {
  const full = parseYaml(text, 0, defaultLimits);
  const fast = parseYamlText(text);
  assert.equal(
    fast.issues.length > 0,
    full.issues.length > 0,
    `accepted by one only: ${JSON.stringify(text)} ${JSON.stringify([fast.issues, full.issues])}`,
  );
  if (full.issues.length === 0)
    assert.deepEqual(fast.roots.map(comparable), full.roots.map(comparable), JSON.stringify(text));
  return parsePlainYaml(text, 0, text.length, defaultLimits) !== undefined;
}

const word = fc.constantFrom(
  'app',
  'web',
  'k8s:app',
  'a b',
  '',
  '80',
  'true',
  'null',
  '~',
  '1e3',
  '0x1f',
  '0o7',
  '-1',
  '1.5',
  '.5',
  'yes',
  '- a',
  'a: b',
  'a #b',
  '#c',
  "it's",
  '"q"',
  'tab\tx',
  'é',
  'a\nb',
  'a\n\n b\n',
  ' lead',
  'trail ',
  '10.0.0.0/8',
  'fd00::/8',
  '{}',
  '[]',
  '*',
  '&a',
  '!t',
  '|',
  '>',
  '%',
  '@',
  '`',
  '?',
  ':',
  '-',
  '---',
  '__proto__',
);
const scalar = fc.oneof(
  word,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true }),
  fc.string({ maxLength: 12 }),
);
const value = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.array(tie('node'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.oneof(word, fc.string({ maxLength: 6 })), tie('node')), { maxLength: 4 })
      .map((pairs) => new Map(pairs)),
  ),
})).node;

const printed = fc
  .record({
    value,
    indent: fc.constantFrom(2, 4),
    indentSeq: fc.boolean(),
    lineWidth: fc.constantFrom(0, 30),
    quote: fc.constantFrom(
      'PLAIN' as const,
      'QUOTE_DOUBLE' as const,
      'QUOTE_SINGLE' as const,
      'BLOCK_LITERAL' as const,
    ),
    crlf: fc.boolean(),
  })
  .map(({ value, indent, indentSeq, lineWidth, quote, crlf }) => {
    const text = stringify(value, { indent, indentSeq, lineWidth, defaultStringType: quote, defaultKeyType: 'PLAIN' });
    return crlf ? text.replaceAll('\n', '\r\n') : text;
  });

test('printed values read alike on both paths', () => {
  let taken = 0;
  fc.assert(
    fc.property(printed, (text) => void (taken += agree(text) ? 1 : 0)),
    { numRuns: 600 },
  );
  assert.ok(taken > 60, `the fast path took only ${taken} of 600`);
});

const bits = [
  'a',
  'k: ',
  'k:',
  ':',
  ' ',
  '  ',
  '    ',
  '\n',
  '\n',
  '\n  ',
  '\n    ',
  '- ',
  '-',
  '"',
  "'",
  '#',
  ' # c',
  '|',
  '|-',
  '|+',
  '>',
  '{}',
  '[]',
  '{',
  '}',
  '[',
  ']',
  ',',
  '&a ',
  '*a',
  '!!str ',
  '\t',
  '\r\n',
  '\r',
  '\\',
  '\\n',
  '\u00e9',
  '\ufeff',
  '\u2028',
  '\u0085',
  '\ud800',
  '80',
  'true',
  '~',
  '?',
  '? ',
  '%',
  '@',
  '`',
  '---',
  '<<: ',
  "''",
  '""',
  '"b": ',
  "'c': ",
  '0x',
  '.5',
  '=',
  '\u0000',
  'k8s:app: ',
];
/** Found once: a marker, and a lone carriage return behind one. */
const examples: [string[]][] = [[['---']], [['---', '\r']]];

test('arbitrary YAML-like text reads alike wherever the fast path takes it', () => {
  let taken = 0;
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...bits), { maxLength: 14 }),
      (parts) => void (taken += agree(parts.join('')) ? 1 : 0),
    ),
    { numRuns: Number(process.env['WEIR_FUZZ_RUNS'] ?? 6000), examples },
  );
  assert.ok(taken > 100, `the fast path took only ${taken}`);
});

test('a printed value with one edit reads alike wherever the fast path takes it', () => {
  let taken = 0;
  const edit = fc.tuple(printed, fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...bits)).map(([text, at, cut, bit]) => {
    const from = text.length === 0 ? 0 : at % text.length;
    return text.slice(0, from) + bit + text.slice(from + cut);
  });
  fc.assert(
    fc.property(edit, (text) => void (taken += agree(text) ? 1 : 0)),
    { numRuns: Number(process.env['WEIR_FUZZ_RUNS'] ?? 1500) },
  );
  assert.ok(taken > 100, `the fast path took only ${taken}`);
});
