// The JSON reader against JSON.parse: the same texts accepted, the same values, and positions that are the text's.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseJson } from '../../../src/control/manifest/json-tree.ts';
import { defaultLimits, type TreeNode } from '../../../src/control/manifest/tree.ts';

const runs = Number(process.env['WEIR_RUNS'] ?? 3000);

/** The value of a tree; every offset must be where the value's own text starts. */
function valueOf(node: TreeNode, text: string): unknown {
  const first = text.charAt(node.offset);
  if (node.kind === 'sequence') {
    assert.equal(first, '[');
    return node.items.map((item) => valueOf(item, text));
  }
  if (node.kind === 'map') {
    assert.equal(first, '{');
    const entries = node.keys.map((key, i) => {
      assert.equal(text.charAt(node.keyOffsets[i]!), '"');
      return [key, valueOf(node.values[i]!, text)] as const;
    });
    // Object.fromEntries defines properties, so `__proto__` is a key here as it is in JSON.parse.
    return Object.fromEntries(entries);
  }
  if (typeof node.value === 'number') assert.match(first, /[-0-9]/);
  else assert.equal(first, typeof node.value === 'string' ? '"' : String(node.value).charAt(0));
  return node.value;
}

function oracle(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

test('printed JSON is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      const { roots, issues } = parseJson(text, defaultLimits);
      assert.deepEqual(issues, []);
      // A null document is an empty one.
      if (value === null) assert.deepEqual(roots, []);
      else assert.deepEqual(valueOf(roots[0]!, text), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

const bits = [
  ...[
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '"a"',
    '"b":',
    '"',
    '\\',
    '\\u00',
    '\\q',
    '"\\ud800"',
    '\u0001',
    '\n',
    '\r',
    '\t',
    ' ',
  ],
  ...[
    '0',
    '1',
    '-',
    '.',
    'e',
    '+',
    '1.5',
    '01',
    '1e5',
    'true',
    'null',
    'nulls',
    '//c\n',
    '/*c*/',
    '\u00a0',
    '\ufeff',
    'é',
  ],
];

test('one value is accepted exactly where JSON.parse accepts it', () => {
  let accepted = 0;
  // A whole value with something put into it, so that many are nearly right.
  const edited = fc
    .tuple(
      fc.constantFrom('{"a": [1, "x"]}', '[]', '[true, {"b": null}]', '""', '-0.5'),
      fc.nat(),
      fc.constantFrom(...bits),
    )
    .map(([text, at, bit]) => text.slice(0, at % (text.length + 1)) + bit + text.slice(at % (text.length + 1)));
  const loose = fc.array(fc.constantFrom(...bits), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(edited, loose), (text) => {
      const { roots, issues } = parseJson(text, defaultLimits);
      const expected = oracle(text);
      // Several values one after the other, or one key twice, are no JSON.parse matter.
      if (roots.length > 1 || issues.some(({ message }) => message.startsWith('duplicate'))) return;
      if (expected === undefined) {
        // White space alone is an empty file, and `null` with another value behind it leaves one root.
        if (issues.length === 0) assert.match(text, /^[ \t\r\n]*$|null/);
        return;
      }
      accepted++;
      assert.deepEqual(issues, [], text);
      if (expected.value !== null) assert.deepEqual(valueOf(roots[0]!, text), expected.value);
    }),
    // Numbers whose text is not the value's own.
    { numRuns: runs, examples: [['1e501'], ['-0']] },
  );
  assert.ok(accepted > runs / 20, `${accepted} of ${runs} were accepted`);
});
