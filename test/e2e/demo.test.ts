// The demo's captures against the table made by hand beside them: every connection's verdict, service, backend, drop reason and
// deciding rule, down to file and line.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ROOT, weir } from '../support/run-cli.ts';

interface Rule {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly rule?: string;
  readonly file?: string;
  readonly line?: number;
}

interface Side {
  readonly verdict: 'allowed' | 'denied' | string;
  readonly by: readonly Rule[];
}

interface Expected {
  readonly source: { readonly ip: string; readonly port?: number };
  readonly destination: { readonly ip: string; readonly port?: number };
  readonly protocol: string;
  readonly verdict: string;
  readonly drop?: number;
  readonly service?: string;
  readonly backend?: string;
  readonly egress?: Side;
  readonly ingress?: Side;
  readonly why: string;
}

interface Flow extends Omit<Expected, 'drop' | 'service'> {
  readonly at?: string;
  readonly drop: { readonly code: number } | null;
  readonly service?: { readonly namespace: string; readonly name: string; readonly backend?: string };
  readonly by: readonly Rule[];
}

const end = (e: { ip: string; port?: number }): string => `${e.ip} ${e.port ?? 0}`;
const keyOf = (f: Pick<Expected, 'protocol' | 'source' | 'destination'>): string =>
  `${f.protocol} ${end(f.source)} > ${end(f.destination)}`;

const expected = JSON.parse(readFileSync(join(ROOT, 'fixtures/demo/expected.json'), 'utf8')) as Record<
  string,
  { readonly at: string; readonly connections: readonly Expected[] }
>;

describe('the demo', () => {
  for (const [file, { at, connections }] of Object.entries(expected)) {
    it(`${file}: every connection as tabled, seen from ${at}`, async () => {
      const run = await weir([
        'replay',
        `fixtures/demo/${file}`,
        '-m',
        'fixtures/demo/manifests',
        '--values',
        'fixtures/demo/values.yaml',
        '--per',
        'flow',
        '-o',
        'json',
      ]);
      assert.equal(run.code, 0, run.stderr);

      const flows = run.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Flow);
      const byKey = new Map(flows.map((flow) => [keyOf(flow), flow]));
      assert.equal(flows[0]!.at, at);
      for (const want of connections) {
        const name = `${keyOf(want)} (${want.why})`;
        const flow = byKey.get(keyOf(want));
        assert.ok(flow !== undefined, `${name} is missing; there are\n${[...byKey.keys()].join('\n')}`);
        assert.equal(flow.verdict, want.verdict, name);
        assert.equal(flow.drop?.code, want.drop, name);
        assert.equal(
          flow.service === undefined ? undefined : `${flow.service.namespace}/${flow.service.name}`,
          want.service,
          name,
        );
        if (want.backend !== undefined) assert.equal(flow.service?.backend, want.backend, name);
        // Of a drop the hook that dropped is told, otherwise both sides.
        const sides = [want.egress, want.ingress].filter((side) => side !== undefined);
        const denied = sides.find((side) => side.verdict === 'denied');
        const rules = denied === undefined ? sides.flatMap((side) => side.by) : denied.by;
        const told = flow.by.map((rule) => ruleKey(rule, rules[0]?.line !== undefined));
        assert.deepEqual(told.sort(), rules.map((rule) => ruleKey(rule, rules[0]?.line !== undefined)).sort(), name);
      }
      assert.equal(flows.length, connections.length, 'no further connections');
      assert.doesNotMatch(run.stderr, /warning/);
    });
  }
});

/** What identifies a rule; isolating policies are tabled without rule and line. */
function ruleKey(rule: Rule, exact: boolean): string {
  const file = rule.file?.replace('fixtures/demo/manifests/', '');
  return exact
    ? `${rule.kind} ${rule.namespace}/${rule.name} ${rule.rule} ${file}:${rule.line}`
    : `${rule.kind} ${rule.namespace}/${rule.name}`;
}
