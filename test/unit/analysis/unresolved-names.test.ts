// DNS names that nobody has resolved, in verdict, reach and diff: each name has its own rows, a name that no rule of a world
// speaks of is the world there, and a denial that stands above the rule about the name leaves no doubt.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../../support/run-cli.ts';
import { runInProcess } from '../../support/run-program.ts';

const pod = (name: string, address: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: x, labels: {app: ${name}}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {podIP: ${address}}
`;
const CLUSTER = [
  '{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {ns: x}}}',
  '{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 172.18.0.11}]}}',
  pod('a', '10.244.1.11'),
  pod('b', '10.244.1.12'),
].join('\n---\n');

const cilium = (app: string, spec: string): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ${app}, namespace: x}, spec: {endpointSelector: {matchLabels: {app: ${app}}}, ${spec}}}`;
const names = (app: string, name: string, port: number): string =>
  cilium(app, `egress: [{toFQDNs: [{matchName: ${name}}], toPorts: [{ports: [{port: "${port}", protocol: TCP}]}]}]`);
const admin = (tier: string, rules: string, name = 'admin'): string =>
  `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: ${name}}, spec: {tier: ${tier}, priority: 10, subject: {namespaces: {}}, egress: [${rules}]}}`;
const DENY_NET = '{action: Deny, to: [{networks: [0.0.0.0/0]}]}';
const ACCEPT_NAME = '{action: Accept, to: [{domainNames: ["*.example.com"]}]}';

function files(t: TestContext, given: Readonly<Record<string, readonly string[]>>): (name: string) => string {
  const folder = scratchFolder(t);
  for (const [name, documents] of Object.entries(given)) {
    writeFileSync(join(folder, name), [CLUSTER, ...documents].join('\n---\n'));
  }
  return (name) => join(folder, name);
}

const rows = (stdout: string): Record<string, unknown>[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const nameOf = (end: unknown): string => (end as { name: string }).name;

test('reach: two names, two pods: each may ask for its own', async (t) => {
  const at = files(t, { 'p.yaml': [names('a', 'one.example', 443), names('b', 'two.example', 80)] });
  const { stdout } = await runInProcess(['reach', '-m', at('p.yaml'), '--to', 'entity:world']);
  assert.match(stdout, /to one\.example \(DNS\)\n +from x\/a +TCP 443 \(once resolved\)\n/);
  assert.match(stdout, /to two\.example \(DNS\)\n +from x\/b +TCP 80 \(once resolved\)/);
});

test('diff: a rule about a name where everything was open only takes away', async (t) => {
  const at = files(t, { 'before.yaml': [], 'after.yaml': [names('a', 'one.example', 443)] });
  const change = async (before: string, after: string): Promise<Record<string, unknown>[]> =>
    rows((await runInProcess(['diff', '-m', at(before), '--after', at(after), '-o', 'json'])).stdout);
  const found = await change('before.yaml', 'after.yaml');
  assert.ok(found.length > 0);
  for (const { change: kind, from } of found) assert.deepEqual([kind, nameOf(from)], ['newly-denied', 'x/a']);
  const back = await change('after.yaml', 'before.yaml');
  for (const { change: kind, from } of back) assert.deepEqual([kind, nameOf(from)], ['newly-allowed', 'x/a']);
  assert.equal(back.length, found.length);
});

test('diff: a second name is nothing to who has no rule about it', async (t) => {
  const at = files(t, {
    'before.yaml': [names('a', 'one.example', 443), cilium('b', 'egress: [{toEntities: [cluster]}]')],
    'after.yaml': [names('a', 'one.example', 443), names('b', 'two.example', 80)],
  });
  const { stdout } = await runInProcess(['diff', '-m', at('before.yaml'), '--after', at('after.yaml'), '-o', 'json']);
  const found = rows(stdout);
  const allowed = found.filter(({ change }) => change === 'newly-allowed');
  assert.deepEqual(
    allowed.map(({ from, to, ports }) => [nameOf(from), nameOf(to), ports]),
    [['x/b', 'two.example (DNS)', '80']],
  );
  assert.ok(found.every(({ from }) => nameOf(from) === 'x/b'));
});

const verdictOf = async (
  t: TestContext,
  documents: readonly string[],
  question: readonly string[],
): Promise<string> => {
  const at = files(t, { 'p.yaml': documents });
  const args = ['verdict', '-m', at('p.yaml'), '--from', 'pod:x/a', ...question, '-o', 'json'];
  return rows((await runInProcess(args)).stdout)[0]!['verdict'] as string;
};
const reachOf = async (t: TestContext, documents: readonly string[], to: string, port: number): Promise<string> => {
  const at = files(t, { 'p.yaml': documents });
  const args = ['reach', '-m', at('p.yaml'), '--from', 'pod:x/a', '--to', to, '--verdict', 'all', '-o', 'json'];
  const found = rows((await runInProcess(args)).stdout).filter(({ protocol, ports }) => {
    const [first, last = first] = String(ports).split('-').map(Number) as [number, number?];
    return protocol === 'TCP' && port >= first && port <= last!;
  });
  assert.equal(found.length, 1, JSON.stringify(found));
  return found[0]!['verdict'] as string;
};

const TIERS: readonly (readonly [title: string, documents: readonly string[], port: number, verdict: string])[] = [
  [
    'an accept by name above a denial of its own policy',
    [admin('Admin', `${ACCEPT_NAME}, ${DENY_NET}`)],
    443,
    'unknown',
  ],
  ['a denial above the accept by name', [admin('Admin', `${DENY_NET}, ${ACCEPT_NAME}`)], 443, 'denied'],
  [
    'a denial of the Baseline tier under a rule of a policy',
    [
      cilium('a', 'egress: [{toFQDNs: [{matchName: one.example}]}], enableDefaultDeny: {egress: false}'),
      admin('Baseline', DENY_NET),
    ],
    443,
    'unknown',
  ],
  [
    'a deny rule beside the rule about the name',
    [
      names('a', 'one.example', 443),
      cilium('a', 'egressDeny: [{toEntities: [world]}]').replace('name: a,', 'name: no,'),
    ],
    443,
    'denied',
  ],
  [
    'a Baseline rule that who is isolated never comes to',
    [cilium('a', 'egress: [{toEntities: [cluster]}]'), admin('Baseline', ACCEPT_NAME)],
    443,
    'denied',
  ],
  [
    'a policy in audit mode, which denies nothing',
    [
      names('a', 'one.example', 443).replace(
        'name: a,',
        'annotations: {weir.dev/policy-audit-mode: enabled}, name: a,',
      ),
    ],
    443,
    'allowed',
  ],
  ['another port', [names('a', 'one.example', 443)], 80, 'denied'],
  ['the port of the rule', [names('a', 'one.example', 443)], 443, 'unknown'],
];
for (const [title, documents, port, expected] of TIERS) {
  test(`what hangs on a name: ${title}`, async (t) => {
    assert.equal(await verdictOf(t, documents, ['--to', 'ip:203.0.113.9', '--port', String(port)]), expected);
    assert.equal(await reachOf(t, documents, 'ip:203.0.113.9', port), expected);
  });
}

test('diff: the example of a change in IPv6 alone is in IPv6', async (t) => {
  const both = (name: string, last: number): string =>
    pod(name, `10.244.1.${last}`).replace(
      '{podIP:',
      `{podIPs: [{ip: 10.244.1.${last}}, {ip: "fd00::${last}"}], podIP:`,
    );
  const block = (cidrs: string): string =>
    `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {podSelector: {matchLabels: {app: d}}, ingress: [{from: [${cidrs}]}]}}`;
  const at = files(t, {
    'before.yaml': [both('c', 21), both('d', 22), block('{ipBlock: {cidr: 0.0.0.0/0}}')],
    'after.yaml': [both('c', 21), both('d', 22), block('{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}')],
  });
  const args = ['-m', at('before.yaml'), '--after', at('after.yaml'), '--semantics', 'kubernetes', '-o', 'json'];
  const found = rows((await runInProcess(['diff', ...args])).stdout).filter(({ from }) => nameOf(from).includes('x/c'));
  assert.ok(found.length > 0);
  for (const { example } of found) assert.equal((example as { from: string }).from, 'ip:fd00::21');
});
