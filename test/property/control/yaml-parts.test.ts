// A long list directly under the root is read in parts: it must read as it does in one piece, offsets included.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { defaultLimits, type TreeNode } from '../../../src/control/manifest/tree.ts';
import { parseYaml } from '../../../src/control/manifest/yaml-documents.ts';

const runs = Number(process.env['WEIR_RUNS'] ?? 30);

/** With an anchor before them, lists are read as a whole; what follows it stands this much further back. */
const ANCHOR = '&root\n';

function shifted(node: TreeNode, by: number): unknown {
  // An empty value stands where its parent does: nowhere at all under an empty root.
  const offset = node.kind === 'scalar' && node.value === null ? 0 : node.offset + by;
  if (node.kind === 'scalar') return { ...node, offset };
  if (node.kind === 'sequence') return { offset, items: node.items.map((item) => shifted(item, by)) };
  return {
    offset,
    keys: node.keys,
    keyOffsets: node.keyOffsets.map((at) => at + by),
    values: node.values.map((value) => shifted(value, by)),
  };
}

/** Compares parts and whole; false when the text is in error. */
function agree(text: string): boolean {
  const parts = parseYaml(text, defaultLimits);
  const whole = parseYaml(ANCHOR + text, defaultLimits);
  const context = () => `${JSON.stringify(text)} ${JSON.stringify([parts.issues, whole.issues])}`;
  // The package forgets what came before some errors, and with it the errors in there: only parts tell those.
  assert.equal(parts.issues.length > 0, whole.issues.length > 0, `accepted in one form only: ${context()}`);
  if (parts.issues.length > 0) return false;
  const shiftedBy = (roots: readonly TreeNode[], by: number) => roots.map((root) => shifted(root, by));
  assert.deepEqual(shiftedBy(parts.roots, ANCHOR.length), shiftedBy(whole.roots, 0), context());
  return true;
}

const scalar = fc.oneof(
  fc.constantFrom('a', 'a b', '', '80', 'true', 'null', 'a: b', '- a', '#c', "it's", 'a\nb', 'a\n\n b\n', ' x '),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
);
const item = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'kind', 'items', '__proto__', 'k8s:app'), tie('node'), { maxKeys: 4 }),
  ),
})).node;
const items = fc.array(item, { minLength: 100, maxLength: 130, size: 'max' });
const rest = fc.oneof(
  fc.constant({}),
  fc.constant({ metadata: { resourceVersion: '' } }),
  fc.array(item, { maxLength: 40, size: 'max' }),
);

const printed = fc
  .tuple(items, rest, rest, fc.boolean(), fc.boolean(), fc.boolean())
  .map(([list, before, after, bare, indentSeq, crlf]) => {
    const object = bare ? list : { before, items: list, after, kind: 'List' };
    const text = stringify(object, { indentSeq, aliasDuplicateObjects: false, lineWidth: 40 });
    return crlf ? text.replaceAll('\n', '\r\n') : text;
  });

test('printed lists read alike in parts and as a whole', () => {
  fc.assert(
    fc.property(printed, (text) => assert.ok(agree(text), text)),
    { numRuns: runs },
  );
});

const bits = [
  '- ',
  '-',
  '\n',
  '\n- ',
  '\n  ',
  '  ',
  '# c\n',
  ' # c',
  'k: ',
  ':',
  '"',
  "'",
  '{',
  ']',
  '|',
  '\t',
  '\n---\n',
];

test('lists with edits read alike in parts and as a whole, errors included', () => {
  let failed = 0;
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...bits)), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(printed, edits, (source, changes) => {
      let text = source;
      for (const [at, cut, bit] of changes) {
        // Behind the start, which the anchor must stay the start of.
        const from = 12 + (at % (text.length - 12));
        text = text.slice(0, from) + bit + text.slice(from + cut);
      }
      if (!agree(text)) failed++;
    }),
    { numRuns: runs },
  );
  assert.ok(failed > runs / 10 && failed < runs, `${failed} of ${runs} were in error`);
});
