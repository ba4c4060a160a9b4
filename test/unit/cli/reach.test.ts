// `weir reach` and `weir diff`, as a user calls them: formats, scopes, exit codes, hostile names.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { namedRows, reachCsv, reachDot, reachJson, reachSvg, reachText } from '../../../src/analysis/index.ts';
import { type EndClass, endClasses } from '../../../src/analysis/end-classes.ts';
import type { EndUnit } from '../../../src/analysis/end-units.ts';
import { ANSWER, PROTOCOLS } from '../../../src/analysis/side-functions.ts';
import { scratchFolder } from '../../support/run-cli.ts';
import { runInProcess } from '../../support/run-program.ts';
import { SHOP, SHOP_POLICIES } from '../../support/shop-cluster.ts';

function put(t: TestContext, files: Readonly<Record<string, string>>): (name: string) => string {
  const folder = scratchFolder(t);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return (name) => join(folder, name);
}

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('reach tells each class with its ports', async (t) => {
  const at = put(t, { 'shop.yaml': SHOP, 'policies.yaml': SHOP_POLICIES });
  const run = await runInProcess(['reach', '-m', at('shop.yaml'), '-m', at('policies.yaml')]);
  assert.equal(run.code, 0, run.stderr);
  const text = run.stdout.replace(/ +/g, ' ');
  assert.match(text, /to shop\/api \(2 pods\)\n from own node any\n from shop\/web TCP 8080 \(through a proxy\)\n/);
  assert.match(text, /to kube-system\/dns\n from other\/stranger, shop\/api \(3 pods\) any\n from shop\/web UDP 53\n/);
  assert.match(text, /to api\.example\.com \(DNS\)\n from shop\/web TCP 443 \(once resolved\)\n/);
});

test('reach to one pod in JSON: a line for each range, nothing beyond the scope', async (t) => {
  const at = put(t, { 'shop.yaml': SHOP, 'policies.yaml': SHOP_POLICIES });
  const args = ['reach', '-m', at('shop.yaml'), '-m', at('policies.yaml'), '--to', 'pod:shop/api-2', '-o', 'json'];
  const { stdout } = await runInProcess(args);
  const found = lines(stdout);
  assert.ok(found.every((line) => JSON.stringify(line['to']).includes('shop/api-2')));
  const web = found.filter((line) => JSON.stringify(line['from']).includes('shop/web'));
  assert.deepEqual(
    web.map(({ protocol, ports, verdict, redirected }) => [protocol, ports, verdict, redirected]),
    [['TCP', '8080', 'allowed', true]],
  );
  const denied = lines((await runInProcess([...args, '--verdict', 'denied'])).stdout);
  assert.ok(denied.some(({ protocol, ports }) => protocol === 'TCP' && ports === '0-8079'));
  assert.ok(denied.every(({ verdict }) => verdict === 'denied'));
});

test('reach of what nobody is: one sentence, exit code 2', async (t) => {
  const at = put(t, { 'shop.yaml': SHOP });
  for (const end of ['pod:no/body', 'namespace:empty', 'ip:x', 'entity:health']) {
    const run = await runInProcess(['reach', '-m', at('shop.yaml'), '--to', end]);
    assert.equal(run.code, 2, end);
    assert.equal(run.stdout, '');
    assert.match(run.stderr, new RegExp(end));
  }
});

test('names that would break a format do not', () => {
  // The loader refuses such names; the printers do not rely on it.
  const evil = '=cmd()"<script>alert(1)</script>, &\u001b[31m';
  const unit: EndUnit = {
    kind: 'pod',
    name: `x/${evil}`,
    workload: `=x/${evil}`,
    families: 1,
    facts: [{ policyId: 1, identity: 300, node: undefined }],
    example: 'pod:x/a',
  };
  const [one] = endClasses([unit], []) as [EndClass];
  const ports = PROTOCOLS.map(({ last }) => [{ first: 0, last, answer: ANSWER.ALLOWED }]);
  const picture = { rows: [{ from: [one], to: [one], families: 1, ports }], units: [unit] };
  const svg = reachSvg(picture, 8472);
  assert.ok('svg' in svg);
  assert.match(svg.svg, /^<svg [^\n]*>\n/);
  assert.doesNotMatch(svg.svg, /<script|\u001b/);
  assert.equal(svg.svg.match(/</g)!.length, svg.svg.match(/>/g)!.length);
  const rows = namedRows(picture);
  const csv = [...reachCsv(rows, 'allowed')];
  assert.ok(
    csv.slice(1).every((line) => /^"x\/=cmd\(\)""<script>/.test(line)),
    csv[1],
  );
  for (const text of [csv, reachDot(rows, 8472), reachText(rows, 8472, false), reachJson(rows, 'all')]) {
    assert.doesNotMatch([...text].join(''), /\u001b/);
  }
});

test('diff: nothing changed is 0, something is 1, with example and rules of both sides', async (t) => {
  const at = put(t, {
    'shop.yaml': SHOP,
    'a.yaml': SHOP_POLICIES,
    'b.yaml': SHOP_POLICIES.replace('{port: 8080}', '{port: 8081}'),
  });
  const run = (before: string, after: string, format: string): ReturnType<typeof runInProcess> =>
    runInProcess([
      ...['diff', '-m', at('shop.yaml'), '-m', at(before)],
      ...['--after', at('shop.yaml'), '--after', at(after), '-o', format],
    ]);
  const none = await run('a.yaml', 'a.yaml', 'json');
  assert.equal(none.code, 0);
  assert.equal(none.stdout, '');
  const some = await run('a.yaml', 'b.yaml', 'json');
  assert.equal(some.code, 1);
  // web may only leave for 8080, so nothing replaces what api no longer takes.
  const found = lines(some.stdout);
  assert.equal(found.length, 1);
  const [line] = found as [Record<string, unknown>];
  assert.equal(line['change'], 'newly-denied');
  assert.equal(line['ports'], '8080');
  assert.deepEqual(line['example'], { from: 'pod:shop/web', to: 'pod:shop/api-1', protocol: 'TCP', port: 8080 });
  const by = line['by'] as Record<'before' | 'after', { name: string; rule: string; line: number }[]>;
  assert.deepEqual(
    by.after.map(({ name, rule, line: n }) => [name, rule, n]),
    [['api', 'ingress', 2]],
  );
  assert.deepEqual(by.before.map(({ name }) => name).sort(), ['api', 'web']);
  const back = lines((await run('b.yaml', 'a.yaml', 'json')).stdout);
  assert.deepEqual(
    back.map(({ change }) => change),
    ['newly-allowed'],
  );
  assert.match((await run('a.yaml', 'b.yaml', 'github')).stdout, /^::error file=.*b\.yaml,line=2,title=newly denied::/);
  assert.match((await run('a.yaml', 'b.yaml', 'markdown')).stdout, /^\| change \| from \|/);
});

test('diff: a pod that appears or goes is a change, too', async (t) => {
  const less = SHOP.split('\n---\n')
    .filter((document) => !document.includes('name: stranger'))
    .join('\n---\n');
  const at = put(t, { 'a.yaml': SHOP, 'b.yaml': less });
  const { stdout, code } = await runInProcess(['diff', '-m', at('b.yaml'), '--after', at('a.yaml'), '-o', 'json']);
  assert.equal(code, 1);
  const found = lines(stdout);
  assert.ok(
    found.every((line) => line['change'] === 'newly-allowed' && line['missing'] === 'other/stranger is not there'),
  );
});
