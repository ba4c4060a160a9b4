// The `labels` option: which labels are part of identities, what policies that select by others are told, and that no
// expression can take long.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compiler } from '../../../src/control/compile.ts';
import { resolveConfig } from '../../../src/control/config/index.ts';
import {
  identityLabel,
  labelFilter,
  labelFilterProblem,
  loadLabelExpressions,
} from '../../../src/control/label-filter.ts';
import { ipcacheValue } from '../../../src/schema/index.ts';
import { configWith, lookupIdentity, sideVerdict, stateOf } from '../../support/policy-world.ts';

const KEYS = [
  'app',
  'app-team',
  'job-name',
  'app.kubernetes.io/name',
  'io.kubernetes.pod.namespace',
  'io.kubernetes.x',
  'io.cilium.k8s.namespace.labels.team',
  'io.cilium.k8s.policy.serviceaccount',
  'kubernetes.io/x',
  'failure-domain.beta.kubernetes.io/zone',
  'annotationX',
  'pod-template-hash',
  'statefulset.kubernetes.io/pod-name',
];
const kept = (text: string, source = 'k8s'): string[] => KEYS.filter((key) => labelFilter(text)(source, key));

const ALWAYS = [
  'app.kubernetes.io/name',
  'io.kubernetes.pod.namespace',
  'io.cilium.k8s.namespace.labels.team',
  'io.cilium.k8s.policy.serviceaccount',
];

test('without the option: everything but what varies with each pod', () => {
  assert.deepEqual(kept('').sort(), ['app', 'app-team', 'job-name', ...ALWAYS].sort());
  assert.equal(identityLabel('reserved', 'host'), true);
  assert.equal(identityLabel('k8s', 'io.cilium.k8s.namespace.labels.beta.kubernetes.io/x'), false);
});

test('a pattern that includes leaves only what is included, with what Cilium adds', () => {
  assert.deepEqual(kept('k8s:app').sort(), ['app', 'app-team', ...ALWAYS].sort());
  assert.deepEqual(kept('k8s:app any:job').sort(), ['app', 'app-team', 'job-name', ...ALWAYS].sort());
  assert.equal(labelFilter('k8s:app')('reserved', 'host'), true);
  assert.deepEqual(kept('cidr:app').sort(), [...ALWAYS].sort(), 'another source’s');
});

test('a pattern that ignores takes away; the longer match wins, a tie ignores', () => {
  assert.deepEqual(kept('!job-name k8s:!app-').sort(), ['app', ...ALWAYS].sort());
  assert.deepEqual(kept('!io\\.cilium\\.k8s\\.policy\\.serviceaccount').includes(ALWAYS[3]!), false);
  assert.deepEqual(kept('!app app-team').sort(), ['app-team', ...ALWAYS].sort());
  // Of those that ignore, the shortest counts.
  assert.deepEqual(kept('!app !app-team app-t').sort(), ['app-team', ...ALWAYS].sort());
  assert.deepEqual(
    kept('statefulset\\.kubernetes\\.io/pod-name').sort(),
    [...ALWAYS].sort(),
    'as long as what ignores it',
  );
});

test('points are any character, escaped ones are themselves; matches begin at the start', () => {
  const filter = labelFilter('a.c x\\.y');
  assert.deepEqual(
    ['abc', 'acc', 'ab', 'x.y', 'xzy', 'zabc'].map((key) => filter('k8s', key)),
    [true, true, false, true, false, false],
  );
});

test('expressions are RE2’s, and refused where it is not loaded', async () => {
  // Tests run in a process for each file, so nobody has loaded it before.
  assert.match(labelFilterProblem('k8s:(a|b)') ?? '', /loadLabelExpressions/);
  await loadLabelExpressions();
  assert.equal(labelFilterProblem('k8s:(a|b)'), undefined);
  assert.deepEqual(
    ['ax', 'b', 'cb', 'team-7', 'team-x'].map((key) => labelFilter('k8s:(a|b) team-[0-9]+$')('k8s', key)),
    [true, true, false, true, false],
  );
  assert.equal(labelFilter('.*example\\.com')('k8s', 'x.example.com/y'), true);
  assert.equal(labelFilter('!.*-id')('k8s', 'build-id'), false);
  for (const [text, wrong] of [
    ['k8s:(', /"k8s:\(": /],
    ['k8s:', /names no label/],
    ['(?=a)', /"\(\?=a\)"/],
    ['(a{1000}){1000}', /"\(a/],
    [`(${'a'.repeat(5000)})`, /longer than 4096/],
    ['a '.repeat(40000), /at most 65536/],
  ] as const) {
    assert.match(labelFilterProblem(text) ?? '', wrong, text.slice(0, 20));
    // A text that is no filter changes nothing.
    assert.equal(labelFilter(text)('k8s', 'app'), true);
  }
});

test('an expression that drives a backtracking engine mad is answered at once', async () => {
  await loadLabelExpressions();
  const key = 'a'.repeat(300);
  assert.equal(labelFilter('!(a+)+b')('k8s', key), true);
  assert.equal(labelFilter(`!${'.*a'.repeat(50)}b`)('k8s', key), true);
});

test('any text is a filter or a problem, never an exception', async () => {
  await loadLabelExpressions();
  fc.assert(
    fc.property(fc.string({ maxLength: 30 }), fc.constantFrom(...KEYS), (text, key) => {
      assert.equal(typeof labelFilter(text)('k8s', key), 'boolean');
    }),
    { numRuns: 300 },
  );
});

test('plain patterns say what RE2 says', async () => {
  await loadLabelExpressions();
  const part = fc.constantFrom('a', 'b', '.', '\\.', '-', '/', '\\-');
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('')),
      fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '/'), maxLength: 8 }),
      (text, key) => {
        // A group makes it an expression.
        for (const sign of ['', '!']) {
          assert.equal(labelFilter(sign + text)('k8s', key), labelFilter(`any:${sign}(${text})`)('k8s', key));
        }
      },
    ),
    { numRuns: 500, examples: [['a.\\.', 'ab.']] },
  );
});

const pod = (name: string, ip: string, labels: string): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: x, labels: ${labels}}, spec: {containers: [{name: c}]}, status: {podIP: ${ip}}}\n---\n`;
const WORLD =
  pod('a', '10.0.0.1', '{app: a, build: "1"}') +
  pod('b', '10.0.0.2', '{app: a, build: "2"}') +
  pod('c', '10.0.0.3', '{app: c, build: "1"}') +
  '{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: x}, spec: {endpointSelector: {matchLabels: {app: c}}, ingress: [{fromEndpoints: [{matchLabels: {build: "1"}}]}]}}\n';

test('identities, selectors and their warnings go by the option', () => {
  const all = new Compiler(configWith()).compile(stateOf(WORLD));
  const identity = (compiled: typeof all, ip: string): number => lookupIdentity(compiled, ip)!.identity;
  const allows = (compiled: typeof all): string => sideVerdict(compiled, '10.0.0.3', '10.0.0.1', false, 6, 80).verdict;
  assert.notEqual(identity(all, '10.0.0.1'), identity(all, '10.0.0.2'));
  assert.equal(allows(all), 'allowed');
  for (const labels of ['k8s:app', 'k8s:!build']) {
    const some = new Compiler(configWith({ labels })).compile(stateOf(WORLD));
    assert.equal(identity(some, '10.0.0.1'), identity(some, '10.0.0.2'), labels);
    assert.notEqual(identity(some, '10.0.0.1'), identity(some, '10.0.0.3'), labels);
    assert.equal(allows(some), 'denied', labels);
    assert.deepEqual(
      some.problems.filter(({ message }) => message.includes('no part of')).map(({ message }) => message),
      ["label build is no part of Cilium's identities: nothing carries it"],
    );
    // NetworkPolicy by its own specification knows no identities.
    const plain = new Compiler(configWith({ labels }), { semantics: 'kubernetes' }).compile(stateOf(WORLD));
    assert.notEqual(identity(plain, '10.0.0.1'), identity(plain, '10.0.0.2'), labels);
  }
});

test('the plane of single pods goes by the option, too', () => {
  const config = configWith({ labels: 'k8s:app' });
  const compiler = new Compiler(config);
  const state = stateOf(`{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n---\n${WORLD}`);
  const before = compiler.compile({ ...state, pods: state.pods.slice(0, 1) });
  const plane = compiler.plane();
  const changes = plane?.change(undefined, state.pods[1]);
  assert.ok(changes !== undefined);
  // The same labels but for what is filtered: no policy of another pod changes.
  assert.equal(changes.get('policy')?.length ?? 0, 0);
  const rows = changes.get('ipcache4') ?? [];
  assert.deepEqual(
    rows.map(({ after }) => ipcacheValue.decode(after!).identity),
    [lookupIdentity(before, '10.0.0.1')!.identity],
  );
});

test('Helm key and agent flag', () => {
  const agent = '{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config}, data: {labels: "k8s:app k8s:!x"}}';
  for (const valuesText of ['labels: "k8s:app k8s:!x"\n', agent]) {
    const { config, problems } = resolveConfig({ valuesText });
    assert.equal(config.labels, 'k8s:app k8s:!x');
    assert.deepEqual(problems, []);
  }
  const { problems } = resolveConfig({ valuesText: 'labels: "k8s:"\n' });
  assert.deepEqual(
    problems.map(({ severity, line, column, message }) => `${severity} ${line}:${column} ${message}`),
    ['error 1:9 labels: expected label filters ("k8s:" names no label), got "k8s:"'],
  );
});
