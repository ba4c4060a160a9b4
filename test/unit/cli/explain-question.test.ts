// `weir explain --from --to --port`: the ladder of a gate, and for a default deny the rule that comes nearest with the first
// condition that fails.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../../support/run-cli.ts';
import { runInProcess } from '../../support/run-program.ts';
import { SHOP, SHOP_POLICIES } from '../../support/shop-cluster.ts';

async function explain(
  t: TestContext,
  from: string,
  to: string,
  port: string,
  policies = SHOP_POLICIES,
  more: readonly string[] = [],
): Promise<string> {
  const folder = scratchFolder(t);
  writeFileSync(join(folder, 'shop.yaml'), SHOP);
  writeFileSync(join(folder, 'policies.yaml'), policies);
  const manifests = ['-m', join(folder, 'shop.yaml'), '-m', join(folder, 'policies.yaml')];
  const run = await runInProcess(['explain', ...manifests, '--from', from, '--to', to, '--port', port, ...more]);
  assert.equal(run.code, 0, run.stderr);
  return run.stdout;
}

const RULE = 'NetworkPolicy shop\\/api ingress\\[0\\] \\(.*policies\\.yaml:6\\)';

test('the entry that decides is marked, with its rule and whom it matches', async (t) => {
  const text = await explain(t, 'pod:shop/web', 'pod:shop/api-1', '8080');
  assert.match(text, new RegExp(`ingress of shop\\/api-1: allowed, by ${RULE}`));
  assert.match(text, new RegExp(`> 1\\. identity \\d+, TCP 8080: policies: allows, ${RULE}`));
  assert.match(text, /selects k8s:app=api, k8s:io\.kubernetes\.pod\.namespace=shop: shop\/api-1, shop\/api-2/);
});

test('a node as the subject: its gate, whom the rule selects, and the nearest rule of a default deny', async (t) => {
  const policy = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nodes}
spec: {nodeSelector: {}, ingress: [
  {fromEntities: [world], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}
  ]}
`;
  const on = ['--set', 'hostFirewall.enabled=true'];
  const open = await explain(t, 'ip:203.0.113.9', 'node:n1', '22', policy, on);
  assert.match(
    open,
    /ingress of n1: allowed, by CiliumClusterwideNetworkPolicy nodes ingress\[0\] \(.*policies\.yaml:5\)/,
  );
  assert.match(open, /: node n1, node n2/);
  const shut = await explain(t, 'pod:shop/web', 'node:n1', '22', policy, on);
  assert.match(shut, /ingress of n1: denied/);
  assert.match(shut, /nearest rule: .*nodes ingress\[0\][^]*fails on peer: shop\/web is not entity world/);
  const off = await explain(t, 'pod:shop/web', 'node:n1', '22', policy);
  assert.match(off, /ingress of n1: allowed, it is no endpoint with a policy/);
});

const allowFrom = (peer: string, port = '[{port: 8080}]'): string =>
  `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [
  {from: [${peer}], ports: ${port}}
  ]}
`;

const MISSES: readonly [name: string, from: string, port: string, policies: string, expected: RegExp][] = [
  [
    'namespace',
    'pod:other/stranger',
    '8080',
    SHOP_POLICIES,
    /fails on namespace: other\/stranger has io\.kubernetes\.pod\.namespace=other; the rule wants k8s:io\.kubernetes\.pod\.namespace=shop/,
  ],
  [
    'port',
    'pod:shop/web',
    '9090',
    allowFrom('{podSelector: {matchLabels: {app: web}}}'),
    /fails on port: the rule says port 8080, this is port 9090/,
  ],
  [
    'protocol',
    'pod:shop/web',
    '8080/UDP',
    allowFrom('{podSelector: {matchLabels: {app: web}}}'),
    /fails on protocol: the rule says TCP, this is UDP/,
  ],
  [
    'peer label',
    'pod:shop/api-2',
    '8080',
    allowFrom('{podSelector: {matchLabels: {app: web}}}'),
    /fails on peer: shop\/api-2 has app=api; the rule wants k8s:app=web/,
  ],
  [
    'CIDR',
    'pod:shop/web',
    '8080',
    allowFrom('{ipBlock: {cidr: 10.244.0.0/16}}'),
    /fails on peer: shop\/web is a pod \(identity \d+\), so CIDR rules do not see it/,
  ],
  [
    'named port',
    'pod:shop/web',
    '9090',
    allowFrom('{podSelector: {}}', '[{port: http}]'),
    /fails on port: the rule says port http, which is 8080 there; this is port 9090/,
  ],
  [
    'direction',
    'pod:shop/web',
    '8080',
    allowFrom('{podSelector: {matchLabels: {app: none}}}').replace(
      'policyTypes: [Ingress],',
      'policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}],',
    ),
    /fails on direction: the rule is about egress/,
  ],
  [
    'subject',
    'pod:shop/web',
    '8080',
    // api is isolated by a policy that allows nobody; the rule that would do belongs to another one.
    `${allowFrom('{podSelector: {matchLabels: {app: none}}}')}---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: meant, namespace: shop}
spec: {podSelector: {matchLabels: {app: apu}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]}
`,
    /NetworkPolicy shop\/meant ingress\[0\].*\n?.*fails on subject: the policy selects pods with k8s:app=apu; shop\/api-1 has app=api/,
  ],
  [
    'what another policy requires of everybody',
    'pod:shop/web',
    '8080',
    `${allowFrom('').replace('from: [], ', '')}---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: narrow, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: api}}, ingress: [{fromRequires: [{matchLabels: {app: db}}]}]}
`,
    /NetworkPolicy shop\/api ingress\[0\][^]*fails on peer: shop\/web has app=web; the rule wants app=db/,
  ],
];
for (const [name, from, port, policies, expected] of MISSES) {
  test(`nearest rule: ${name}`, async (t) => {
    assert.match(await explain(t, from, 'pod:shop/api-1', port, policies), expected);
  });
}

test('a Service’s port in a rule: after translation it is another', async (t) => {
  const text = await explain(
    t,
    'pod:shop/web',
    'service:shop/api',
    '80',
    allowFrom('{podSelector: {}}', '[{port: 80}]'),
  );
  assert.match(text, /fails on port: the rule says port 80, after translation the port is 8080/);
});

test('a deny that wins says why', async (t) => {
  const deny = `${SHOP_POLICIES}---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {endpointSelector: {matchLabels: {app: api}}, ingressDeny: [{fromEntities: [cluster]}]}
`;
  const text = await explain(t, 'pod:shop/web', 'pod:shop/api-1', '8080', deny);
  assert.match(
    text,
    /> \d+\. any pod of the cluster, any protocol: policies: denies, CiliumNetworkPolicy shop\/deny ingressDeny\[0\]/,
  );
  assert.match(text, /it wins by precedence: a deny stands above what allows/);
});

test('a pass is told, with the rule that passes on', async (t) => {
  const policies = `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: admin}, spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 81}}}]}]}}
---
${allowFrom('podSelector: {matchLabels: {app: web}}')}`;
  const text = await explain(t, 'pod:shop/web', 'pod:shop/api-1', '81', policies);
  assert.match(text, /> .*: policies, behind a pass: denies, NetworkPolicy shop\/api ingress /);
  assert.match(text, /ClusterNetworkPolicy admin ingress\[0\] \(.*:1\) passes it on/);
  assert.doesNotMatch(text, /it wins by/);
  assert.match(text, /nearest rule: NetworkPolicy shop\/api ingress\[0\].*\n +fails on port: the rule says port 8080/);
  const open = await explain(t, 'pod:other/stranger', 'pod:shop/web', '81', policies);
  assert.match(open, /> .*: behind a pass: allows, policies select it, but none isolates it/);
});

test('the rule that a verdict waits for comes first, with its names', async (t) => {
  const text = await explain(t, 'pod:shop/web', 'ip:203.0.113.8', '443');
  assert.match(text, /egress of shop\/web: unknown, addresses of api\.example\.com are not known/);
  assert.match(
    text,
    /nearest rule: .*\n +fails on peer: 203\.0\.113\.8 is not known to be an address of api\.example\.com/,
  );
  assert.match(text, /peer DNS name api\.example\.com: no address known/);
  const other = await explain(t, 'pod:shop/web', 'ip:203.0.113.8', '444');
  assert.match(other, /nearest rule: .*\n +fails on port: the rule says port 443, this is port 444/);
});

test('what audit mode would deny is not said to be denied', async (t) => {
  const policies = allowFrom('podSelector: {matchLabels: {app: nobody}}').replace(
    'namespace: shop}',
    'namespace: shop, annotations: {weir.dev/policy-audit-mode: enabled}}',
  );
  const text = await explain(t, 'pod:shop/web', 'pod:shop/api-1', '8080', policies);
  assert.match(text, /ingress of shop\/api-1: allowed, no rule allows it; isolated by .* \(audit mode: not enforced\)/);
  assert.match(text, /> .*: policies: would deny, NetworkPolicy shop\/api ingress/);
  assert.doesNotMatch(text, /: denies/);
});
