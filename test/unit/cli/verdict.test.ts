// `weir verdict`, as a user calls it: forms of ends, services, facts, formats, exit codes.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../../support/run-cli.ts';
import { runInProcess } from '../../support/run-program.ts';
import { SHOP, SHOP_POLICIES } from '../../support/shop-cluster.ts';

interface Line {
  readonly id: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly egress: { verdict: string; redirected?: boolean; by: { name: string; rule?: string; line?: number }[] };
  readonly ingress: {
    verdict: string;
    by: { kind: string; name: string; rule?: string; file?: string; line?: number }[];
  };
  readonly points?: { to: { name: string }; port: number; verdict: string }[];
}

function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = scratchFolder(t);
  for (const [name, text] of Object.entries({ 'shop.yaml': SHOP, 'policies.yaml': SHOP_POLICIES, ...files })) {
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

async function ask(
  t: TestContext,
  from: string,
  to: string,
  port: string,
  more: readonly string[] = [],
): Promise<Line> {
  const folder = folderWith(t, { 'dns.json.txt': '{"api.example.com":["203.0.113.7"]}' });
  const run = await runInProcess([
    ...['verdict', '-m', join(folder, 'shop.yaml'), '-m', join(folder, 'policies.yaml')],
    ...['--from', from, '--to', to, '--port', port, '-o', 'json'],
    ...more.map((arg) => arg.replace('FOLDER', folder)),
  ]);
  assert.equal(run.code, 0, run.stderr);
  return JSON.parse(run.stdout) as Line;
}

test('a rule that allows is named with its line; a proxy rule says so', async (t) => {
  const line = await ask(t, 'pod:shop/web', 'pod:shop/api-1', '8080/TCP');
  assert.equal(line.verdict, 'allowed');
  assert.equal(line.egress.redirected, true);
  assert.equal(line.egress.by[0]!.rule, 'egress[0]');
  assert.match(line.ingress.by[0]!.file!, /policies\.yaml$/);
  assert.deepEqual(
    { ...line.ingress.by[0], file: '' },
    { kind: 'NetworkPolicy', namespace: 'shop', name: 'api', rule: 'ingress[0]', file: '', line: 6 },
  );
});

test('a rule that the agent refuses for its layer-7 part enforces nothing, and that is said', async (t) => {
  const bad = `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: bad, namespace: shop}, spec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: "("}]}}]}]}}`;
  const folder = folderWith(t, { 'bad.yaml': bad });
  const manifests = ['-m', join(folder, 'shop.yaml'), '-m', join(folder, 'bad.yaml')];
  const question = ['--from', 'pod:other/stranger', '--to', 'pod:shop/web', '--port', '81', '-o', 'json'];
  const run = await runInProcess(['verdict', ...manifests, ...question]);
  assert.equal(run.code, 0, run.stderr);
  assert.equal((JSON.parse(run.stdout) as Line).verdict, 'allowed');
  assert.match(run.stderr, /bad\.yaml:1:\d+.*http\[0\]: path: "\(" is not an expression.*it enforces nothing/);
  const lint = await runInProcess(['lint', ...manifests]);
  assert.equal(lint.code, 1);
  assert.match(lint.stdout, /bad\.yaml:1:\d+: error: .*enforces nothing.* \[rejected\]/);
});

test('a default deny names the policies that isolate', async (t) => {
  const line = await ask(t, 'pod:other/stranger', 'pod:shop/api-1', '8080');
  assert.equal(line.verdict, 'denied');
  assert.equal(line.egress.verdict, 'allowed');
  assert.deepEqual(line.egress.by, []);
  assert.deepEqual(
    line.ingress.by.map(({ name, rule, line: at }) => [name, rule, at]),
    [['api', 'ingress', 2]],
  );
});

test('a Service is translated to each backend, named target ports included', async (t) => {
  const line = await ask(t, 'pod:shop/web', 'service:shop/api', '80/TCP');
  assert.equal(line.verdict, 'allowed');
  assert.deepEqual(
    line.points!.map(({ to, port }) => [to.name, port]),
    [
      ['shop/api-1', 8080],
      ['shop/api-2', 8080],
    ],
  );
});

test('a service address is translated, too; its other ports are not', async (t) => {
  const line = await ask(t, 'pod:shop/web', 'ip:10.96.0.10', '80/TCP');
  assert.deepEqual([line.verdict, line.points?.length, line.points?.[0]?.port], ['allowed', 2, 8080]);
  assert.equal((await ask(t, 'pod:shop/web', 'ip:10.96.0.10', '81/TCP')).points, undefined);
});

test('a name that nobody resolved is unknown; once resolved, other addresses are denied', async (t) => {
  const open = await ask(t, 'pod:shop/web', 'ip:203.0.113.7', '443/TCP');
  assert.equal(open.verdict, 'unknown');
  assert.match(open.reason!, /api\.example\.com/);
  assert.equal((await ask(t, 'pod:shop/web', 'ip:203.0.113.7', '80/TCP')).verdict, 'denied', 'no rule for this port');
  const dns = ['--dns', join('FOLDER', 'dns.json.txt')];
  assert.equal((await ask(t, 'pod:shop/web', 'ip:203.0.113.7', '443/TCP', dns)).verdict, 'allowed');
  assert.equal((await ask(t, 'pod:shop/web', 'ip:203.0.113.8', '443/TCP', dns)).verdict, 'denied');
});

test('entities and nodes: the own node may enter, another may not', async (t) => {
  assert.equal((await ask(t, 'entity:host', 'pod:shop/api-1', '8080')).verdict, 'allowed');
  assert.equal((await ask(t, 'node:n1', 'pod:shop/api-1', '8080')).verdict, 'allowed', 'its own node');
  assert.equal((await ask(t, 'node:n2', 'pod:shop/api-1', '8080')).verdict, 'denied');
  assert.equal((await ask(t, 'entity:remote-node', 'pod:shop/api-1', '8080')).verdict, 'denied');
  assert.equal((await ask(t, 'entity:world', 'pod:shop/api-1', '8080')).verdict, 'denied');
  assert.equal((await ask(t, 'entity:world', 'pod:other/stranger', '8080')).verdict, 'allowed');
  assert.equal((await ask(t, 'entity:all', 'pod:shop/api-1', '8080')).verdict, 'unknown', 'it depends');
});

test('entity host has the gates of the pod’s own node, where host policies are enforced', async (t) => {
  const host = (spec: string): string =>
    `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: nodes}, spec: {nodeSelector: {}, ${spec}}}`;
  const rules = 'ingress: [{toPorts: [{ports: [{port: "22", protocol: TCP}]}]}], egress: [{toEntities: [world]}]';
  const folder = folderWith(t, { 'nodes.yaml': host(rules) });
  const verdict = async (from: string, to: string, port: string, ...set: string[]): Promise<string> => {
    const args = ['-m', join(folder, 'shop.yaml'), '-m', join(folder, 'nodes.yaml'), ...set];
    const run = await runInProcess(['verdict', ...args, '--from', from, '--to', to, '--port', port, '-o', 'json']);
    return (JSON.parse(run.stdout) as Line).verdict;
  };
  const on = ['--set', 'hostFirewall.enabled=true'];
  assert.equal(await verdict('pod:shop/web', 'entity:host', '22', ...on), 'allowed');
  assert.equal(await verdict('pod:shop/web', 'entity:host', '23', ...on), 'denied');
  assert.equal(await verdict('entity:host', 'pod:shop/web', '80', ...on), 'denied', 'the node’s egress');
  assert.equal(await verdict('pod:shop/web', 'entity:host', '23'), 'allowed');
});

test('mistakes are told at once, with exit code 2', async (t) => {
  const folder = folderWith(t, {});
  const run = (...args: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(['verdict', '-m', join(folder, 'shop.yaml'), ...args]);
  const cases: [string[], RegExp][] = [
    [['--from', 'pod:shop/wep', '--to', 'pod:shop/web', '--port', '80'], /no such pod.*did you mean shop\/web/],
    [['--from', 'shop/web', '--to', 'pod:shop/web', '--port', '80'], /an end is pod:NS\/NAME/],
    [['--from', 'ip:1.2.3', '--to', 'pod:shop/web', '--port', '80'], /ip:1\.2\.3/],
    [['--from', 'pod:shop/web', '--to', 'service:shop/api', '--port', '81'], /has no port 81\/TCP: it has 80\/TCP/],
    [['--from', 'pod:shop/web', '--to', 'pod:shop/web', '--port', '70000'], /port 70000/],
    [['--from', 'pod:shop/web', '--to', 'pod:shop/web'], /--port/],
    [['--from', 'entity:mars', '--to', 'pod:shop/web', '--port', '80'], /an entity is one of/],
    [['--from', '__proto__', '--to', 'constructor', '--port', '80'], /an end is/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await run(...args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /at .*\.ts:/);
  }
});

test('an entity that nobody knows, or that no fact can give to an address, is refused, not forgotten', async (t) => {
  for (const entity of ['kube-api-server', 'host', 'world']) {
    const folder = folderWith(t, { 'e.json.txt': JSON.stringify({ '203.0.113.7': [entity] }) });
    const question = ['--from', 'pod:shop/web', '--to', 'ip:203.0.113.7', '--port', '443'];
    const facts = ['-m', join(folder, 'shop.yaml'), '--entities', join(folder, 'e.json.txt')];
    const { code, stdout, stderr } = await runInProcess(['verdict', ...facts, ...question]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.ok(
      stderr.includes(`203.0.113.7: "${entity}" is not one of kube-apiserver, health, ingress, init, unmanaged`),
      stderr,
    );
  }
});

test('probes: answers in order, expectations decide over the exit code, formats', async (t) => {
  const probes = [
    { id: 'a', from: 'pod:shop/web', to: 'pod:shop/api-1', protocol: 'TCP', port: 8080, expect: 'allowed' },
    { id: 'b', from: 'pod:other/stranger', to: 'pod:shop/api-1', protocol: 'TCP', port: 8080 },
    { from: 'pod:other/stranger', to: 'pod:shop/api-1', protocol: 'ICMP', icmpType: 8, expect: 'allowed' },
  ];
  const folder = folderWith(t, { 'probes.txt': JSON.stringify(probes), 'bad.txt': '[{"id":1},{"from":"x","to":3}]' });
  const run = (...args: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(['verdict', '-m', join(folder, 'shop.yaml'), '-m', join(folder, 'policies.yaml'), ...args]);
  const json = await run('--probes', join(folder, 'probes.txt'), '-o', 'json');
  assert.equal(json.code, 1, 'the third probe expects what is not');
  assert.deepEqual(
    json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
      .map(({ id, verdict }) => [id, verdict]),
    [
      ['a', 'allowed'],
      ['b', 'denied'],
      ['3', 'denied'],
    ],
  );
  const junit = await run('--probes', join(folder, 'probes.txt'), '-o', 'junit');
  assert.match(junit.stdout, /tests="3" failures="2"/);
  assert.match(junit.stdout, /<failure [^>]*>denied .*\n {2}egress .*\n {2}ingress .*<\/failure>/);
  const compact = await run('--probes', join(folder, 'probes.txt'));
  assert.match(compact.stdout, /^b: other\/stranger -> shop\/api-1:8080\/TCP DENIED {2}ingress: no rule allows it/m);
  assert.match((await run('--probes', join(folder, 'probes.txt'), '-o', 'github')).stdout, /^::error file=.*,line=2,/m);
  const bad = await run('--probes', join(folder, 'bad.txt'));
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /item 1: .*\n.*item 2: /);
});
