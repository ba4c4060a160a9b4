// The traps of the admin tiers, each named by its number, and policies in audit mode.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rulesBehind, sideVerdict } from '../../support/policy-world.ts';
import { ADDRESS, ciliumPolicy, networkPolicy, tierPolicy, TrapWorld } from '../../support/trap-world.ts';

const ALL = 'subject: {namespaces: {}}';
const A = 'subject: {pods: {podSelector: {matchLabels: {pod: a}}}}';
const EVERYBODY = 'x/b y/a y/b n1 n2 world';
const FROM_Y = 'from: [{namespaces: {matchLabels: {ns: y}}}]';
const FROM_B = 'from: [{pods: {podSelector: {matchLabels: {pod: b}}}}]';
const ANYBODY = 'from: [{namespaces: {}}]';
const join = (...list: string[]): string => list.join('---\n');

test('T-40 a pass skips what is left of its tier, rules of other objects included', () => {
  const pass = tierPolicy(
    `{tier: Admin, priority: 1, ${A}, ingress: [{action: Pass, ${FROM_Y}}, {action: Deny, ${ANYBODY}}]}`,
  );
  const deny = tierPolicy(`{tier: Admin, priority: 2, ${A}, ingress: [{action: Deny, ${FROM_Y}}]}`, 'q');
  assert.equal(new TrapWorld(join(pass, deny)).reaching('x/a'), 'y/a y/b n1 n2 world');
  const isolated = networkPolicy(
    '{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}]}',
  );
  assert.equal(new TrapWorld(join(pass, deny, isolated)).reaching('x/a'), 'y/b n1');
  const baseline = tierPolicy(`{tier: Baseline, priority: 1, ${A}, ingress: [{action: Deny, ${FROM_B}}]}`, 'r');
  assert.equal(new TrapWorld(join(pass, deny, baseline)).reaching('x/a'), 'y/a n1 n2 world');
});

test('T-40 behind a pass the default deny of who is isolated drops, whatever the rest of the tier would allow', () => {
  const tier = tierPolicy(
    `{tier: Admin, priority: 1, ${A}, ingress: [{action: Pass, ${FROM_Y}}, {action: Accept, ${ANYBODY}}]}`,
  );
  const isolated = networkPolicy('{podSelector: {}, ingress: []}', 'n');
  const world = new TrapWorld(join(tier, isolated));
  assert.equal(world.reaching('x/a'), 'x/b n1');
  const side = sideVerdict(world.compiled, ADDRESS['x/a']!, ADDRESS['y/a']!, false, 6, 80);
  assert.deepEqual([side.verdict, rulesBehind(world.compiled, side)], ['denied', ['n ingress']]);
});

test('T-40 a pass of some ports leaves the others to the tier; in Baseline it falls to the default', () => {
  const world = new TrapWorld(
    tierPolicy(
      `{tier: Admin, priority: 1, ${A}, ingress: [{action: Pass, ${ANYBODY}, protocols: [{tcp: {destinationPort: {range: {start: 80, end: 90}}}}]}, {action: Deny, ${ANYBODY}}]}`,
    ),
  );
  assert.deepEqual(
    ['79', '80', '90', '91', '80/UDP'].map((port) => world.allows('y/a', 'x/a', port)),
    [false, true, true, false, false],
  );
  const baseline = new TrapWorld(
    tierPolicy(`{tier: Baseline, priority: 1, ${A}, ingress: [{action: Pass, ${FROM_Y}}, {action: Deny, ${ANYBODY}}]}`),
  );
  assert.equal(baseline.reaching('x/a'), 'y/a y/b n1 n2 world');
});

test('T-41 a pod that a NetworkPolicy isolates never sees the Baseline tier', () => {
  const open = tierPolicy(`{tier: Baseline, priority: 1, ${ALL}, ingress: [{action: Accept, ${ANYBODY}}]}`);
  const shut = tierPolicy(`{tier: Baseline, priority: 1, ${ALL}, ingress: [{action: Deny, ${ANYBODY}}]}`);
  const isolated = networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: []}', 'n');
  const world = new TrapWorld(join(open, isolated));
  assert.equal(world.reaching('x/a'), 'n1');
  const side = sideVerdict(world.compiled, ADDRESS['x/a']!, ADDRESS['y/a']!, false, 6, 80);
  assert.deepEqual([side.reason, rulesBehind(world.compiled, side)], ['default', ['n ingress']]);
  const allowed = networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: [{}]}', 'n');
  assert.equal(new TrapWorld(join(shut, allowed)).reaching('x/a'), EVERYBODY);
  assert.equal(new TrapWorld(join(shut, allowed)).reaching('x/b'), 'n2 world'.replace('n2', 'n1 n2'));
});

test('T-42 selecting a pod does not isolate it', () => {
  const world = new TrapWorld(tierPolicy(`{tier: Admin, priority: 1, ${A}, ingress: [{action: Accept, ${FROM_Y}}]}`));
  assert.equal(world.reaching('x/a'), EVERYBODY);
});

test('T-43 networks match pods and nodes, too', () => {
  const networks = (list: string, name = 'p'): string =>
    tierPolicy(`{tier: Admin, priority: 1, ${A}, egress: [{action: Deny, to: [{networks: [${list}]}]}]}`, name);
  assert.equal(new TrapWorld(networks('10.244.2.0/24')).reachedBy('x/a'), 'x/b n1 n2 world');
  assert.equal(new TrapWorld(networks('172.18.0.0/16, 203.0.113.0/24')).reachedBy('x/a'), 'x/b y/a y/b');
  assert.equal(new TrapWorld(networks('0.0.0.0/0')).reachedBy('x/a'), '');
  // A prefix of a Cilium rule beside it still means the world alone.
  const both = join(
    networks('10.244.2.11/32'),
    ciliumPolicy('{endpointSelector: {}, egress: [{toCIDR: [10.244.0.0/16]}]}', 'c'),
  );
  assert.equal(new TrapWorld(both).reachedBy('x/a'), '');
});

test('the admin tiers: the lowest priority first, then the order of the rules, before and after NetworkPolicies', () => {
  const first = tierPolicy(
    `{tier: Admin, priority: 5, ${A}, ingress: [{action: Deny, ${FROM_B}}, {action: Accept, ${ANYBODY}}]}`,
  );
  const later = tierPolicy(`{tier: Admin, priority: 6, ${A}, ingress: [{action: Accept, ${FROM_B}}]}`, 'q');
  const isolated = networkPolicy('{podSelector: {}, ingress: []}', 'n');
  assert.equal(new TrapWorld(join(later, first, isolated)).reaching('x/a'), 'y/a n1');
  assert.equal(
    new TrapWorld(join(first, later.replace('priority: 6', 'priority: 4'), isolated)).reaching('x/a'),
    'x/b y/a y/b n1',
  );
  const admin = `{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: old}, spec: {priority: 9, ${A}, ingress: [{action: Allow, ${FROM_Y}, ports: [{portNumber: {port: 80}}, {portRange: {protocol: UDP, start: 1, end: 9}}, {namedPort: http}]}]}}\n`;
  const world = new TrapWorld(join(admin, isolated));
  assert.deepEqual(
    ['80', '81', '5/UDP', '5'].map((port) => world.allows('y/b', 'x/a', port)),
    [true, false, true, false],
  );
  const baseline = `{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default}, spec: {${A}, ingress: [{action: Deny, ${FROM_Y}}]}}\n`;
  assert.equal(new TrapWorld(baseline).reaching('x/a'), 'x/b n1 n2 world');
  assert.equal(new TrapWorld(join(first, first.replace('name: p', 'name: twin'))).compiled.problems.length, 1);
});

test('the admin tiers: nodes by label, domain names, an accept ends its own direction alone', () => {
  const nodes = tierPolicy(
    `{tier: Admin, priority: 1, ${ALL}, egress: [{action: Deny, to: [{nodes: {matchLabels: {pool: n2}}}]}]}`,
  );
  assert.equal(new TrapWorld(nodes).reachedBy('x/a'), 'x/b y/a y/b n1 world');
  assert.equal(new TrapWorld(nodes).reachedBy('x/b'), 'x/a y/a y/b n1 world');
  const names = tierPolicy(
    `{tier: Admin, priority: 1, ${A}, egress: [{action: Accept, to: [{domainNames: ["*.example.org"]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]}`,
  );
  const dnsNames = new Map([
    ['a.b.example.org', [{ family: 4 as const, text: '203.0.113.9', bytes: Uint8Array.of(203, 0, 113, 9) }]],
    ['example.org', [{ family: 4 as const, text: '198.51.100.7', bytes: Uint8Array.of(198, 51, 100, 7) }]],
  ]);
  const world = new TrapWorld(names, {}, {}, { dnsNames });
  assert.equal(world.reachedBy('x/a', '443', ['y/a', 'world', 'elsewhere']), 'world');
  assert.deepEqual([...new Set(world.compiled.namedRules.map(({ pattern }) => pattern))], ['**.example.org']);
  const accept = tierPolicy(`{tier: Admin, priority: 1, ${ALL}, egress: [{action: Accept, to: [{namespaces: {}}]}]}`);
  const isolated = networkPolicy('{podSelector: {}, policyTypes: [Ingress, Egress]}', 'n');
  assert.equal(new TrapWorld(join(accept, isolated)).reachedBy('x/a'), 'y/a y/b');
});

test('the admin tiers: a peer that Weir does not know fails closed', () => {
  const rule = (action: string): string =>
    new TrapWorld(
      join(
        tierPolicy(
          `{tier: Admin, priority: 1, ${A}, ingress: [{action: ${action}, from: [{clusters: {}}, {namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 81}}}]}]}`,
        ),
        networkPolicy('{podSelector: {}, ingress: []}', 'n'),
      ),
    ).reaching('x/a', '81');
  assert.equal(rule('Accept'), 'n1');
  const open = (action: string): string =>
    new TrapWorld(
      tierPolicy(
        `{tier: Admin, priority: 1, ${A}, ingress: [{action: ${action}, from: [{clusters: {}}], protocols: [{tcp: {destinationPort: {number: 81}}}]}]}`,
      ),
    ).reaching('x/a', '80');
  assert.equal(open('Accept'), EVERYBODY);
  assert.equal(open('Deny'), 'n1');
  assert.equal(open('Pass'), 'n1');
});

const AUDITED = (policy: string): string =>
  policy.replace('metadata: {', 'metadata: {annotations: {weir.dev/policy-audit-mode: enabled}, ');
const from = (world: TrapWorld, name: string, port = 80): string => {
  const side = sideVerdict(world.compiled, ADDRESS['x/a']!, ADDRESS[name]!, false, 6, port);
  return `${side.verdict} ${rulesBehind(world.compiled, side).join()}`;
};

test('a policy in audit mode: its default deny is shown, what it allows is not', () => {
  const world = new TrapWorld(
    AUDITED(networkPolicy('{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}', 'shown')),
  );
  assert.equal(from(world, 'x/b'), 'allowed no-default-deny ingress');
  assert.equal(from(world, 'y/b'), 'audited shown ingress');
  assert.equal(world.allows('y/b', 'x/a'), true);
});

test('a policy in audit mode opens nothing that an enforced one closes, and its denials never do', () => {
  const enforced = networkPolicy(
    '{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}',
    'hard',
  );
  const opens = AUDITED(networkPolicy('{podSelector: {}, ingress: [{}]}', 'soft'));
  const both = new TrapWorld(join(enforced, opens));
  assert.equal(from(both, 'x/b'), 'allowed hard ingress[0]');
  assert.equal(from(both, 'y/b'), 'denied hard ingress');
  const denies = AUDITED(ciliumPolicy('{endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}', 'soft'));
  const shown = new TrapWorld(join(enforced, denies));
  assert.equal(from(shown, 'x/b'), 'audited soft ingressDeny[0]');
  assert.equal(from(shown, 'y/b'), 'denied hard ingress');
  const hard = ciliumPolicy(
    '{endpointSelector: {}, ingressDeny: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "80"}]}]}]}',
    'deny',
  );
  const deny = new TrapWorld(join(enforced, denies, hard));
  assert.equal(from(deny, 'x/b'), 'denied deny ingressDeny[0]');
  assert.equal(from(deny, 'x/b', 81), 'audited soft ingressDeny[0]');
});

test('a policy in audit mode: the annotation takes two values', () => {
  const policy = networkPolicy('{podSelector: {}, ingress: []}', 'p').replace(
    'metadata: {',
    'metadata: {annotations: {weir.dev/policy-audit-mode: "true"}, ',
  );
  const { problems } = new TrapWorld(policy).compiled;
  assert.match(problems.map(({ message }) => message).join(), /"true" is neither enabled nor disabled/);
  assert.equal(new TrapWorld(policy).reaching('x/a'), 'n1');
});

test('v1alpha1: an empty list of ports filters no port', () => {
  const admin = `{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: old}, spec: {priority: 9, ${A}, ingress: [{action: Deny, ${FROM_Y}, ports: []}]}}\n`;
  const world = new TrapWorld(admin);
  assert.deepEqual([world.reaching('x/a'), world.allows('y/a', 'x/a', '8/ICMP')], ['x/b n1 n2 world', false]);
});
