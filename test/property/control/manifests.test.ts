// Manifests as a whole: notations that mean the same give the same state, origins are exact, and nothing throws.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LineCounter, parseDocument, stringify, type Node as YamlNode } from 'yaml';
import { decodeText } from '../../../src/control/load/input-text.ts';
import { readManifests, type LoadResult } from '../../../src/control/manifest/index.ts';
import { formatProblem } from '../../../src/control/problem.ts';
import type { ClusterState, Origin } from '../../../src/control/state.ts';
import { ciliumRule, networkPolicySpec, objects, type Plain } from '../../support/manifest-arbitraries.ts';

function load(text: string): LoadResult {
  return readManifests([{ file: 'f', text }]);
}

function loaded(text: string): ClusterState {
  const { state, problems } = load(text);
  assert.ok(state !== undefined, problems.map(formatProblem).join('\n'));
  return state;
}

/** The state without places. */
function meaning(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (value instanceof Map) return [...value].map(meaning);
  if (Array.isArray(value)) return value.map(meaning);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => (key === 'origin' ? [] : [[key, meaning(part)]])),
  );
}

const yamlOf = (all: readonly Plain[], indent = 2, indentSeq = true): string =>
  all
    .map((object) => stringify(object, { indent, indentSeq, lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n');

test('multi-document YAML, a List, JSON, JSON lines and CRLF mean the same', () => {
  fc.assert(
    fc.property(objects, (all) => {
      const yaml = yamlOf(all);
      const expected = meaning(loaded(yaml));
      const list = { apiVersion: 'v1', kind: 'List', items: all };
      const notations = {
        list: stringify(list, { aliasDuplicateObjects: false }),
        folded: all
          .map((object) =>
            stringify(object, { lineWidth: 20, defaultStringType: 'QUOTE_DOUBLE', aliasDuplicateObjects: true }),
          )
          .join('...\n---\n'),
        json: JSON.stringify(list, null, 3),
        lines: all.map((object) => JSON.stringify(object)).join('\n'),
        concatenated: all.map((object) => JSON.stringify(object)).join(''),
        array: JSON.stringify(all),
        flow: stringify(list, { collectionStyle: 'flow', aliasDuplicateObjects: false }),
        crlf: yaml.replaceAll('\n', '\r\n'),
        mark: `\ufeff${yaml}`,
        padded: `# head\n\n---\n---\n${yaml}\n---\n# tail\n`,
      };
      for (const [name, text] of Object.entries(notations)) assert.deepEqual(meaning(loaded(text)), expected, name);
    }),
    { numRuns: 30 },
  );
});

/** Where the package's own tree has the node at `path`. */
function place(
  document: ReturnType<typeof parseDocument>,
  lines: LineCounter,
  path: readonly (string | number)[],
): { line: number; column: number } {
  const node = document.getIn(path, true) as YamlNode;
  const { line, col } = lines.linePos(node.range![0]);
  return { line, column: col };
}

const printed = (spec: Plain, kind: string, apiVersion: string, style: number): string => {
  const object = { apiVersion, kind, metadata: { name: 'p', namespace: 'x' }, spec };
  if (style === 0) return JSON.stringify(object, null, 2);
  if (style === 1) return JSON.stringify(object);
  return yamlOf([object], style === 2 ? 2 : 4, style !== 3);
};

test('every origin of a NetworkPolicy is where its item starts', () => {
  fc.assert(
    fc.property(networkPolicySpec, fc.integer({ min: 0, max: 4 }), (spec, style) => {
      const text = printed(spec, 'NetworkPolicy', 'networking.k8s.io/v1', style);
      const lines = new LineCounter();
      const document = parseDocument(text, { lineCounter: lines });
      const at = (origin: Origin, ...path: (string | number)[]): void => {
        assert.deepEqual(origin, { file: 'f', ...place(document, lines, path) }, `${path.join('.')} in\n${text}`);
      };
      const policy = loaded(text).networkPolicies[0]!;
      at(policy.origin);
      at(policy.podSelector.origin, 'spec', 'podSelector');
      for (const rule of [...(policy.ingress ?? []), ...(policy.egress ?? [])]) {
        const path = ['spec', rule.direction, rule.index];
        at(rule.origin, ...path);
        rule.peers?.forEach((peer, i) => {
          const peerPath = [...path, rule.direction === 'ingress' ? 'from' : 'to', i];
          at(peer.origin, ...peerPath);
          if (peer.ipBlock) at(peer.ipBlock.origin, ...peerPath, 'ipBlock');
          peer.ipBlock?.except.forEach((except, j) => {
            at(except.origin, ...peerPath, 'ipBlock', 'except', j);
          });
          peer.podSelector?.matchExpressions?.forEach((item, j) => {
            at(item.origin, ...peerPath, 'podSelector', 'matchExpressions', j);
          });
        });
        rule.ports?.forEach((port, i) => {
          at(port.origin, ...path, 'ports', i);
        });
      }
    }),
    { numRuns: 80 },
  );
});

test('every origin of a Cilium policy is where its item starts', () => {
  fc.assert(
    fc.property(ciliumRule, fc.integer({ min: 0, max: 4 }), (spec, style) => {
      const text = printed(spec, 'CiliumNetworkPolicy', 'cilium.io/v2', style);
      const lines = new LineCounter();
      const document = parseDocument(text, { lineCounter: lines });
      const at = (origin: Origin, ...path: (string | number)[]): void => {
        assert.deepEqual(origin, { file: 'f', ...place(document, lines, path) }, `${path.join('.')} in\n${text}`);
      };
      const rule = loaded(text).ciliumPolicies[0]!.rules[0]!;
      at(rule.origin, 'spec');
      for (const list of ['ingress', 'ingressDeny', 'egress', 'egressDeny'] as const) {
        rule[list]?.forEach((item, i) => {
          const path = ['spec', list, i];
          const prefix = list.startsWith('ingress') ? 'from' : 'to';
          assert.equal(item.path, `spec.${list}[${i}]`);
          at(item.origin, ...path);
          item.endpoints?.forEach((peer, j) => {
            at(peer.origin, ...path, `${prefix}Endpoints`, j);
          });
          item.cidrs?.forEach((peer, j) => {
            at(peer.origin, ...path, `${prefix}CIDR`, j);
          });
          item.cidrSets?.forEach((peer, j) => {
            at(peer.origin, ...path, `${prefix}CIDRSet`, j);
          });
          item.entities?.forEach((peer, j) => {
            at(peer.origin, ...path, `${prefix}Entities`, j);
          });
          item.toPorts?.forEach((ports, j) => {
            at(ports.origin, ...path, 'toPorts', j);
            ports.ports?.forEach((port, k) => {
              at(port.origin, ...path, 'toPorts', j, 'ports', k);
            });
          });
          item.icmps?.forEach((icmp, j) => {
            at(icmp.origin, ...path, 'icmps', j);
            icmp.fields.forEach((field, k) => {
              at(field.origin, ...path, 'icmps', j, 'fields', k);
            });
          });
        });
      }
    }),
    { numRuns: 80 },
  );
});

const junk = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constant([]),
  fc.constant({}),
  fc.constant(['x', 1, null]),
  fc.constant({ matchLabels: { a: 1 } }),
  fc.constant(1e99),
  fc.constant(-1),
);

/** Puts junk at one place of a tree. */
function spoil(value: unknown, steps: readonly number[], replacement: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined || typeof value !== 'object' || value === null || Object.keys(value).length === 0)
    return replacement;
  const keys = Object.keys(value);
  const key = keys[step % keys.length]!;
  const copy: Plain | unknown[] = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as Plain) };
  (copy as Plain)[key] = spoil((value as Plain)[key], rest, replacement);
  return copy;
}

test('a tree with junk anywhere never throws, and every problem has a place', () => {
  let errors = 0;
  fc.assert(
    fc.property(
      objects,
      fc.array(fc.nat({ max: 20 }), { maxLength: 9 }),
      junk,
      fc.boolean(),
      (all, steps, replacement, keepRefused) => {
        const text = stringify(spoil(all, steps, replacement), { aliasDuplicateObjects: false });
        const lines = text.split('\n');
        const { state, problems } = readManifests([{ file: 'f', text }], { keepRefused });
        const failed = problems.some((p) => p.severity === 'error');
        assert.equal(state === undefined, failed);
        if (failed) errors++;
        for (const { line, column, message } of problems) {
          assert.ok(
            line >= 1 && line <= lines.length && column >= 1 && column <= lines[line - 1]!.length + 1,
            `${line}:${column}`,
          );
          assert.ok(message.length > 0 && !message.includes('undefined') && !message.includes('[object'), message);
        }
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(errors > 50, `only ${errors} of 400 had errors`);
});

test('arbitrary text never throws', () => {
  const pieces = fc
    .array(
      fc.constantFrom(
        'a: ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        '"',
        "'",
        '&a ',
        '*a',
        '!!map ',
        '<<: ',
        '\n',
        '  ',
        '\t',
        ':',
        ',',
        '|',
        '>',
        '---\n',
        '...\n',
        '%YAML 1.2\n',
        'kind: Pod\n',
        'apiVersion: v1\n',
        '\u0000',
        '\ud800',
        '1',
        '? ',
        '#',
      ),
      { maxLength: 30 },
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), pieces), (text) => {
      const { state, problems } = load(text);
      assert.equal(
        state === undefined,
        problems.some((p) => p.severity === 'error'),
      );
    }),
    { numRuns: 1000 },
  );
});

test('arbitrary bytes decode or are refused, never altered', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const decoded = decodeText(bytes);
      if (!decoded.ok) assert.ok(decoded.line >= 1 && decoded.column >= 1);
      else if (!(bytes[0] === 0xff && bytes[1] === 0xfe) && !(bytes[0] === 0xfe && bytes[1] === 0xff)) {
        const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
        assert.deepEqual(new TextEncoder().encode(decoded.text), bytes.slice(marked ? 3 : 0));
      }
    }),
    { numRuns: 1000 },
  );
});
