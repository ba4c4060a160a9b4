// What tools print is read without the package: the same trees, offsets included, and nothing that the package refuses or reads
// otherwise. Input: printed values, in the package's styles, and the same texts with edits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { readPlainYaml } from '../../../src/control/manifest/plain-yaml.ts';
import { defaultLimits, type TreeNode } from '../../../src/control/manifest/tree.ts';
import { parseYaml, parseYamlByPackage } from '../../../src/control/manifest/yaml-documents.ts';

const runs = Number(process.env['WEIR_RUNS'] ?? 400);

const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    ...[
      'a',
      'a b',
      '',
      '80',
      'true',
      'null',
      '~',
      'a: b',
      '- a',
      '-a',
      '#c',
      'a #b',
      "it's",
      'say "x"',
      '10.0.1.1',
      '1e3',
    ],
    ...[
      '.5',
      '0x10',
      '0o7',
      '+1',
      '-0',
      '1_000',
      '.inf',
      'a\nb',
      'a\n\n b\n',
      ' x ',
      'x\n',
      'a:b',
      '::1',
      '?',
      ':',
      '*a',
      'é',
    ],
    ...[
      '{"a":1}\n',
      '{}',
      '[]',
      '|',
      'a,b',
      '<<',
      '=',
      'yes',
      '0b1',
      '12345678901234567890',
      '2026-01-02',
      'a\\nb',
      '%a',
      '@a',
    ],
  ),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ maxLength: 12 }),
  fc.lorem({ maxCount: 30 }),
);
const key = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'kind',
    'items',
    '__proto__',
    'k8s:app',
    'app.kubernetes.io/name',
    '80',
    'true',
    '<<',
    'a b',
    '-',
    '',
  ),
  fc.string({ maxLength: 6 }),
);
const value = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(key, tie('node'), { maxKeys: 4 }),
  ),
})).node;
const style = fc.record({
  indentSeq: fc.boolean(),
  indent: fc.constantFrom(2, 3, 4),
  lineWidth: fc.constantFrom(0, 20, 80),
  defaultStringType: fc.constantFrom('PLAIN' as const, 'QUOTE_DOUBLE' as const, 'QUOTE_SINGLE' as const),
  nullStr: fc.constantFrom('null', '', '~'),
});
const printed = fc
  .tuple(fc.oneof(fc.dictionary(key, value, { maxKeys: 6 }), fc.array(value, { maxLength: 5 })), style)
  .map(([object, options]) => stringify(object, { aliasDuplicateObjects: false, ...options }));
const documents = fc.array(printed, { minLength: 1, maxLength: 3 }).map((texts) => texts.join('---\n'));

/** Whether the text is read plainly, all of it; in any case it is read as the package reads it. */
function agree(text: string): boolean {
  const plain = readPlainYaml(text, 0, text.length, defaultLimits);
  const by = parseYamlByPackage(text, defaultLimits);
  assert.deepEqual(parseYaml(text, defaultLimits), by, JSON.stringify(text));
  if (plain === undefined) return false;
  assert.deepEqual({ roots: [plain], issues: [] }, by, JSON.stringify(text));
  return true;
}

test('printed documents read as the package reads them', () => {
  let plain = 0;
  fc.assert(
    fc.property(printed, (text) => {
      if (agree(text)) plain++;
    }),
    { numRuns: runs },
  );
  assert.ok(plain > runs / 10, `${plain} of ${runs} were read plainly`);
});

test('so do several in one text', () => {
  fc.assert(
    fc.property(documents, (text) => void agree(text)),
    { numRuns: runs / 2 },
  );
});

const bits = [
  '- ',
  '-',
  '\n',
  '\n- ',
  '\n  ',
  ' ',
  '  ',
  '# c\n',
  ' #',
  'k: ',
  'k:',
  ':',
  ': ',
  '"',
  "'",
  '{',
  ']',
  '|',
  '|-',
  '\t',
].concat([
  '\r',
  '\r\n',
  '\n---\n',
  '\n...\n',
  '&a ',
  '*a',
  '!t ',
  '>',
  '? ',
  '%',
  '~',
  '0',
  '.',
  ',',
  '\\',
  '\n\n',
  'é',
  '\u0085',
]);

test('with edits, too, errors included', () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom(...bits)), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(printed, edits, (source, changes) => {
      let text = source;
      for (const [at, cut, bit] of changes) {
        const from = at % (text.length + 1);
        text = text.slice(0, from) + bit + text.slice(from + cut);
      }
      agree(text);
    }),
    { numRuns: runs * 2 },
  );
});

test('lines put together at random', () => {
  const line = fc
    .tuple(
      fc.nat({ max: 4 }),
      fc.constantFrom('', '- ', '- - '),
      fc.constantFrom(
        'a:',
        'b: 1',
        'a: x',
        'x',
        '"q"',
        'a: |',
        'b: |-',
        'c: {}',
        'd: []',
        '',
        '-',
        "'k': v",
        'a: b: c',
        'x:',
        'x y',
        'k: "a" b',
      ),
      fc.constantFrom('', ' ', '  '),
    )
    .map(([indent, dash, text, tail]) => ' '.repeat(indent) + dash + text + tail);
  let plain = 0;
  const text = fc.tuple(fc.array(line, { minLength: 1, maxLength: 7 }), fc.boolean());
  fc.assert(
    fc.property(text, ([lines, ended]) => {
      if (agree(lines.join('\n') + (ended ? '\n' : ''))) plain++;
    }),
    { numRuns: runs * 5 },
  );
  assert.ok(plain > runs / 20, `${plain} were read plainly`);
});

test('depth is bounded, and a bound on documents holds', () => {
  const deep = Array.from({ length: 120 }, (_, i) => `${' '.repeat(i)}a:`).join('\n');
  assert.equal(readPlainYaml(deep, 0, deep.length, defaultLimits), undefined);
  assert.equal(parseYaml(deep, defaultLimits).issues.length, 1);
  const many = Array.from({ length: 5 }, (_, i) => `a: ${i}\n`).join('---\n');
  const { roots, issues } = parseYaml(many, { ...defaultLimits, documents: 3 });
  assert.deepEqual([roots.length, issues], [3, parseYamlByPackage(many, { ...defaultLimits, documents: 3 }).issues]);
});

test('what kubectl prints is of the plain form', () => {
  const text = `apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"v1","kind":"Pod"}
    labels:
      app.kubernetes.io/name: web
    uid: 6f9a6a5e-6a2c-4f0e-9a0e-0d6a4f0a1b2c
  spec:
    containers:
    - args:
      - --port=8080
      - -v
      image: registry.example/web:1.0
      resources: {}
    nodeName: n1
  status:
    conditions:
    - lastProbeTime: null
      status: "True"
    podIPs:
    - ip: 10.0.1.1
kind: List
metadata:
  resourceVersion: ""
`;
  const root = readPlainYaml(text, 0, text.length, defaultLimits) as Extract<TreeNode, { kind: 'map' }>;
  assert.deepEqual(root.keys, ['apiVersion', 'items', 'kind', 'metadata']);
  agree(text);
});
