// The lint: each rule id by the smallest manifests that call for it, and manifests that call for none.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  Findings,
  lint,
  LINT_RULES,
  type LintFinding,
  type LintRule,
  PolicyWorld,
  problemFindings,
} from '../../../src/analysis/index.ts';
import { Compiler } from '../../../src/control/compile.ts';
import { readManifests } from '../../../src/control/manifest/index.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import type { Config } from '../../../src/control/config/index.ts';
import { configWith } from '../../support/policy-world.ts';
import { ROOT } from '../../support/repository.ts';
import { SHOP } from '../../support/shop-cluster.ts';

function lintOf(policies: string, policyMapMax = 16384, changes: Partial<Config> = {}): LintFinding[] {
  const { state, problems } = readManifests(
    [
      { file: 'shop.yaml', text: SHOP },
      { file: 'p.yaml', text: policies },
    ],
    { keepRefused: true },
  );
  assert.ok(state !== undefined, problems.map(({ message }) => message).join('\n'));
  const config = configWith(changes);
  const compiled = new Compiler(config).compile(state);
  const world = new PolicyWorld({ state, settings: settingsOf(config, state), compiled, dnsKnown: false });
  return lint(world, [...problems, ...compiled.problems], { policyMapMax });
}

let names = 0;
const np = (spec: string, namespace = 'shop'): string =>
  `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p${++names}, namespace: ${namespace}}, spec: {${spec}}}\n---\n`;
const cnp = (spec: string): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p${++names}, namespace: shop}, spec: {${spec}}}\n---\n`;
const ccnp = (spec: string): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: p${++names}}, spec: {${spec}}}\n---\n`;
const admin = (tier: string, priority: number, rules: string): string =>
  `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: p${++names}}, spec: {tier: ${tier}, priority: ${priority}, subject: {namespaces: {}}, ${rules}}}\n---\n`;
const API = 'podSelector: {matchLabels: {app: api}}';
const WEB = 'podSelector: {matchLabels: {app: web}}';
const C_API = 'endpointSelector: {matchLabels: {app: api}}';

/** Rule → manifests that call for it. Rules of the loader and of maps that are full have tests of their own. */
const CASES: Partial<Record<LintRule, string>> = {
  'egress-isolates-ingress': np(`${API}, egress: [{}]`),
  'empty-list-no-effect':
    np(`${API}, ingress: [{}], egress: []`) + cnp(`${C_API}, ingress: [{fromEntities: [all]}], egress: []`),
  'unlisted-direction': np(`${API}, policyTypes: [Ingress], ingress: [{}], egress: [{to: [{${WEB}}]}]`),
  'empty-rule-allows-all': np(`${API}, ingress: [{}]`),
  'empty-rule-allows-nobody': cnp(`${C_API}, ingress: [{}]`),
  'empty-peer-list': cnp(`${C_API}, ingress: [{fromEndpoints: [], toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]`),
  'no-peer-is-everybody': cnp(`${C_API}, ingress: [{toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}]`),
  'own-namespace-only': np(`${API}, ingress: [{from: [{podSelector: {}}]}]`),
  'pods-only': ccnp(`${C_API}, ingress: [{fromEndpoints: [{}]}]`),
  'every-namespace': cnp(
    `${C_API}, ingress: [{fromEndpoints: [{matchExpressions: [{key: "k8s:io.kubernetes.pod.namespace", operator: Exists}]}]}]`,
  ),
  'or-not-and': np(`${API}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}, {${WEB}}]}]`),
  'not-in-matches-missing': np(
    `${API}, ingress: [{from: [{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}}]}]`,
  ),
  'except-reopened': np(
    `${API}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}, {ipBlock: {cidr: 192.0.0.0/16}}]}]`,
  ),
  'port-is-one-protocol': np(`${API}, ingress: [{from: [{${WEB}}], ports: [{}]}]`),
  'protocol-is-any': cnp(`${C_API}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "8080"}]}]}]`),
  'deny-isolates': cnp(`${C_API}, ingressDeny: [{fromEntities: [world]}]`),
  'host-is-own-node': cnp(`${C_API}, egress: [{toEntities: [host]}]`),
  'admin-does-not-isolate': admin('Admin', 5, 'ingress: [{action: Accept, from: [{namespaces: {}}]}]'),
  'selects-nobody': np('podSelector: {matchLabels: {app: apu}}'),
  'selects-host-network-pod':
    np('podSelector: {matchLabels: {app: agent}}') +
    '{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: shop, labels: {app: agent}}, spec: {nodeName: n1, hostNetwork: true, containers: [{name: c}]}, status: {podIP: 172.18.0.11}}\n---\n',
  'peer-selects-nobody': np(`${API}, ingress: [{from: [{podSelector: {matchLabels: {app: wep}}}]}]`),
  'label-not-in-identity': cnp(
    `${C_API}, ingress: [{fromEndpoints: [{matchLabels: {statefulset.kubernetes.io/pod-name: web-0}}]}]`,
  ),
  'namespace-overwritten': cnp(
    'endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": other, app: api}}, ingress: [{fromEntities: [all]}]',
  ),
  'cidr-covers-cluster': np(`${API}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/16}}]}]`),
  'cidr-covers-service': cnp(`endpointSelector: {}, egress: [{toCIDR: [10.96.0.10/32]}, {toEntities: [cluster]}]`),
  'service-port': np(`${API}, ingress: [{from: [{${WEB}}], ports: [{port: 80}]}]`),
  'named-port-unknown': np(`${API}, ingress: [{from: [{${WEB}}], ports: [{port: metrics}]}]`),
  'shadowed-by-deny':
    cnp(`${C_API}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]`) +
    cnp(`${C_API}, ingressDeny: [{fromEntities: [cluster]}]`),
  'shadowed-by-tier':
    np(`${API}, ingress: [{from: [{${WEB}}]}]`) +
    admin('Admin', 5, 'ingress: [{action: Deny, from: [{namespaces: {}}]}]'),
  redundant:
    np(`${API}, ingress: [{from: [{${WEB}}]}, {from: [{${WEB}}], ports: [{port: 8080}]}]`) +
    cnp(
      `${C_API}, ingress: [{fromEntities: [all], toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{}]}}]}]`,
    ),
  'equal-priority':
    admin('Admin', 5, 'ingress: [{action: Deny, from: [{namespaces: {}}]}]') +
    admin('Admin', 5, 'ingress: [{action: Accept, from: [{namespaces: {}}]}]'),
  'name-never-learnt': cnp(
    `endpointSelector: {matchLabels: {app: web}}, egress: [{toEntities: [cluster]}, {toFQDNs: [{matchName: a.example}]}]`,
  ),
  'egress-blocks-dns': np(`${WEB}, policyTypes: [Egress], egress: [{to: [{${API}}]}]`),
  'host-lock-out': ccnp(
    'nodeSelector: {}, ingress: [{fromEntities: [all], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}]',
  ),
  rejected: cnp(`${C_API}, ingress: [{fromEntities: [mars]}]`),
};

for (const [rule, manifests] of Object.entries(CASES)) {
  test(`lint: ${rule}`, () => {
    const found = lintOf(manifests);
    const own = found.filter((finding) => finding.rule === rule);
    assert.notEqual(
      own.length,
      0,
      `found only ${found.map((finding) => `${finding.rule}: ${finding.message}`).join('\n')}`,
    );
    assert.ok(own.every(({ file, line, column }) => file === 'p.yaml' && line > 0 && column > 0));
  });
}

const told = (found: readonly LintFinding[], rule: LintRule): string[] =>
  found
    .filter((one) => one.rule === rule)
    .map(({ severity, file, line, column, message }) => `${severity} ${file}:${line}:${column} ${message}`);

/** What is said about manifests that have no state, since an object is refused. */
function refused(text: string): LintFinding[] {
  const { state, problems } = readManifests([{ file: 'p.yaml', text }], { keepRefused: true });
  assert.equal(state, undefined);
  const findings = new Findings();
  problemFindings(problems, findings);
  return findings.list();
}

test('lint: invalid is what the API server refuses, an error', () => {
  const [one, ...more] = told(refused(np(`${API}, ingress: [{from: [{}]}]`)), 'invalid');
  assert.match(one ?? '', /^error p\.yaml:1:\d+ .*from\[0\]/);
  assert.deepEqual(more, []);
  const [number] = told(refused(np(`${API}, ingress: [{ports: [{port: 70000}]}]`)), 'invalid');
  assert.match(number ?? '', /70000/);
  assert.deepEqual(told(lintOf(np(`${API}, ingress: [{ports: [{port: 7000}]}]`)), 'invalid'), []);
});

test('lint: manifest is what is taken otherwise than written, a warning', () => {
  const own = (spec: string): string[] =>
    told(lintOf(np(spec)), 'manifest').filter((text) => text.includes(' p.yaml:'));
  const [one, ...more] = own('podSelector: {}, ingress: [], ingres: []');
  assert.match(one ?? '', /^warning p\.yaml:1:\d+ .*ingres\b/);
  assert.deepEqual(more, []);
  assert.deepEqual(own('podSelector: {}, ingress: []'), []);
});

test('lint: not-enforced names the part of a policy that is left out', () => {
  const peer = 'fromEndpoints: [{matchLabels: {app: web}}]';
  const [mode] = told(lintOf(cnp(`${C_API}, ingress: [{${peer}, authentication: {mode: required}}]`)), 'not-enforced');
  assert.match(mode ?? '', /^info p\.yaml:1:\d+ .*authentication mode required is not enforced/);
  const [host] = told(lintOf(ccnp(`nodeSelector: {}, ingress: [{fromEntities: [all]}]`)), 'not-enforced');
  assert.match(host ?? '', /host policies are not enforced/);
  const tls = 'toPorts: [{ports: [{port: "443", protocol: TCP}], terminatingTLS: {secret: {name: s, namespace: x}}}]';
  const [content] = told(lintOf(cnp(`${C_API}, ingress: [{${peer}, ${tls}}]`)), 'not-enforced');
  assert.match(content ?? '', /TLS interception: the connection is redirected, its content is not judged/);
  assert.deepEqual(told(lintOf(cnp(`${C_API}, ingress: [{${peer}}]`)), 'not-enforced'), []);
});

test('lint: host-lock-out asks what all host policies together let in and out, for every identity there is', () => {
  const on = { 'hostFirewall.enabled': true } as const;
  const lockedOut = (policies: string, changes: Partial<Config> = {}): string[] =>
    told(lintOf(policies, 16384, { ...on, ...changes }), 'host-lock-out');
  const ssh = ccnp(
    'nodeSelector: {}, ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}]',
  );
  const rest = ccnp(
    'nodeSelector: {}, ingress: [{fromEntities: [cluster], toPorts: [{ports: [{port: "6443"}, {port: "2379", endPort: 2380}, {port: "10250"}, {port: "8472", protocol: UDP}]}]}]',
  );
  const [one, ...more] = lockedOut(ssh);
  assert.match(one ?? '', /^error p\.yaml:1:1 CiliumClusterwideNetworkPolicy p\d+ isolates node n1 on ingress/);
  assert.match(one ?? '', /6443 .*2379 .*2380 .*10250 .*8472 \(the overlay's tunnel\)/);
  assert.doesNotMatch(one ?? '', /ssh/);
  assert.deepEqual(more, [], 'nodes with one policy are told once');
  assert.deepEqual(lockedOut(ssh + rest), [], 'another policy opens what this one shuts');
  const [denied] = lockedOut(
    ssh + rest + ccnp('nodeSelector: {}, ingressDeny: [{fromEntities: [all], toPorts: [{ports: [{port: "22"}]}]}]'),
  );
  assert.match(denied ?? '', /22 \(ssh\)$/, 'and a deny shuts what is allowed');
  const [out] = lockedOut(
    ccnp('nodeSelector: {}, egress: [{toEntities: [cluster], toPorts: [{ports: [{port: "6443", protocol: TCP}]}]}]'),
  );
  assert.match(out ?? '', /on egress, and no rule lets out: 53 \(DNS\), 8472/);
  assert.deepEqual(lockedOut(ssh + rest, { routingMode: 'native' }), []);
  assert.doesNotMatch(lockedOut(ssh, { routingMode: 'native' }).join(), /8472/);
  // What health checks and pods may do keeps nobody from being locked out; pods may be the DNS.
  for (const peer of ['fromEntities: [health]', 'fromEndpoints: [{matchLabels: {app: web}}]']) {
    const alone = ccnp(`nodeSelector: {}, ingress: [{${peer}}]`);
    assert.match(lockedOut(alone).join(), /on ingress, and no rule lets in: 22 \(ssh\), 6443/, peer);
    assert.match(told(lintOf(alone), 'host-lock-out').join(), /no rule lets in: 22 \(ssh\), 6443/, peer);
  }
  const toPods = ccnp('nodeSelector: {}, egress: [{toEndpoints: [{}]}]');
  assert.match(lockedOut(toPods, { routingMode: 'native' }).join(), /no rule lets out: 6443 \(the API server\)$/);
  assert.match(told(lintOf(toPods), 'host-lock-out').join(), /no rule lets out: 6443 \(the API server\)$/);
  const nodes = ccnp('nodeSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"reserved:remote-node": ""}}]}]');
  assert.deepEqual([lockedOut(nodes), told(lintOf(nodes), 'host-lock-out')], [[], []]);
  // Nobody is shut out while it is off, but will be.
  assert.match(told(lintOf(ssh), 'host-lock-out').join(), /^error .*6443/);
});

test('lint: rules of host policies that select no node, or never decide', () => {
  const on = { 'hostFirewall.enabled': true } as const;
  const none = told(
    lintOf(ccnp('nodeSelector: {matchLabels: {role: db}}, ingress: [{fromEntities: [all]}]'), 16384, on),
    'selects-nobody',
  );
  assert.match(none.join(), /no node has .*role=db/);
  const twice = ccnp(
    'nodeSelector: {}, ingress: [{fromEntities: [all]}, {fromEntities: [world], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}], ingressDeny: [{fromEntities: [world]}]',
  );
  assert.match(told(lintOf(twice, 16384, on), 'shadowed-by-deny').join(), /never decides: denied by/);
});

test('lint: named-port-ambiguous, where pods of one identity disagree about a name', () => {
  const api3 = (port: number, name = 'http'): string =>
    `{apiVersion: v1, kind: Pod, metadata: {name: api-3, namespace: shop, labels: {app: api}}, spec: {nodeName: n1, containers: [{name: c, ports: [{name: ${name}, containerPort: ${port}}]}]}, status: {podIP: 10.244.1.13}}\n---\n`;
  const policy = cnp(
    `endpointSelector: {matchLabels: {app: web}}, egress: [{toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: http, protocol: TCP}]}]}]`,
  );
  const [one, ...more] = told(lintOf(api3(9090) + policy), 'named-port-ambiguous');
  assert.match(one ?? '', /^warning p\.yaml:3:\d+ port name http means different numbers on pods of identity \d+/);
  assert.deepEqual(more, []);
  assert.deepEqual(told(lintOf(api3(8080) + policy), 'named-port-ambiguous'), []);
  assert.deepEqual(told(lintOf(api3(9090, 'other') + policy), 'named-port-ambiguous'), [], 'another name');
});

test('lint: map-full, where a map has fewer places than are needed', () => {
  const kubeProxyReplacement = true;
  const [one] = told(lintOf('', 16384, { kubeProxyReplacement, 'bpf-lb-service-map-max': 1 }), 'map-full');
  assert.match(one ?? '', /^error .* has 1 places; \d+ are needed/);
  assert.deepEqual(told(lintOf('', 16384, { kubeProxyReplacement }), 'map-full'), []);
});

test('lint: policies without a fault have no finding', () => {
  const found = lintOf(
    np(`${API}, policyTypes: [Ingress], ingress: [{from: [{${WEB}}], ports: [{port: 8080}]}]`) +
      np(
        `${WEB}, policyTypes: [Egress], egress: [{to: [{${API}}], ports: [{port: 8080}]}, {to: [{namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": kube-system}}}], ports: [{protocol: UDP, port: 53}]}]`,
      ),
  );
  assert.deepEqual(
    found.filter(({ file }) => file === 'p.yaml').map(({ rule, message }) => `${rule}: ${message}`),
    [],
  );
});

test('lint: nodes of an admin policy are somebody where one node has the labels, as own node or another', () => {
  const denyNodes = (pool: string): string =>
    `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: nodes}, spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {pool: ${pool}}}}]}]}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: extra, labels: {pool: spare}}, status: {addresses: [{type: InternalIP, address: 172.18.0.99}]}}`;
  assert.deepEqual(told(lintOf(denyNodes('spare')), 'peer-selects-nobody'), []);
  assert.notEqual(told(lintOf(denyNodes('sparse')), 'peer-selects-nobody').length, 0);
});

test('lint: name-never-learnt, unless a DNS rule of any policy is about every pod that the rule selects', () => {
  const rule = (selector: string, egress: string): string =>
    cnp(`endpointSelector: {${selector}}, egress: [${egress}]`);
  const web = 'matchLabels: {app: web}';
  const ask =
    '{toEntities: [cluster], toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*"}]}}]}';
  const names = '{toFQDNs: [{matchName: a.example}]}';
  const said = (policies: string): string[] => told(lintOf(policies), 'name-never-learnt');
  assert.deepEqual(said(rule(web, `${ask}, ${names}`)), []);
  assert.deepEqual(said(rule(web, names) + rule('', ask)), []);
  const [one, ...more] = said(rule('', names) + rule(web, ask));
  assert.match(one ?? '', /no rules\.dns lets shop\/api-1 ask .* addresses of a\.example are never learnt/);
  assert.deepEqual(more, []);
});

test('lint: entries against bpf.policyMapMax', () => {
  const policy = np(`${API}, ingress: [{from: [{${WEB}}], ports: [{port: 1, endPort: 65534}]}]`);
  const rules = (max: number): string[] => lintOf(policy, max).map(({ rule }) => rule);
  assert.ok(rules(10).includes('policy-map-full'));
  assert.ok(rules(34).includes('policy-map-pressure'));
  assert.ok(!rules(1000).some((rule) => rule.startsWith('policy-map')));
});

test('every rule is documented, and nothing else is', () => {
  const text = readFileSync(join(ROOT, 'docs', 'lint.md'), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z-]+)` \| (\w+) \|/gm)].map(([, id, severity]) => `${id} ${severity}`);
  assert.deepEqual(
    documented.sort(),
    Object.entries(LINT_RULES)
      .map(([id, [severity]]) => `${id} ${severity}`)
      .sort(),
  );
});
