// The compiler as a whole: configuration, endpoints that share policies, epochs, provenance, bounds, what a change costs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capacityProblems, type Compiled, Compiler } from '../../../src/control/compile.ts';
import { MapBuilder } from '../../../src/control/desired-map.ts';
import { diff } from '../../../src/control/diff.ts';
import { Provenance } from '../../../src/control/provenance.ts';
import { configValue, FEATURE, MAPS } from '../../../src/schema/index.ts';
import { configWith, endpointOf, rulesBehind, sideVerdict, stateOf } from '../../support/policy-world.ts';
import { ADDRESS, ciliumPolicy, clusterPolicy, networkPolicy, TrapWorld } from '../../support/trap-world.ts';

const pod = (i: number, labels: string, more = ''): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: p${i}, namespace: x, labels: ${labels}}, spec: {nodeName: n${i % 2}, containers: [{name: c${more}}]}, status: {podIP: 10.0.${i >> 8}.${i & 255}}}`;
const PORT = (name: string, port: number): string => `, ports: [{name: ${name}, containerPort: ${port}}]`;
const join = (...list: string[]): string => list.join('\n---\n');
const configOf = (compiled: Compiled): ReturnType<typeof configValue.decode> =>
  configValue.decode(compiled.maps.config.valueAt(0));

test('the configuration value: features, seeds, lifetimes, loopback', () => {
  const config = configOf(
    new Compiler(configWith({ 'loadBalancer.algorithm': 'maglev', 'sctp.enabled': true })).compile(stateOf('')),
  );
  assert.equal(config.hashSeed4, 0x71dcda46);
  assert.equal(config.hashSeed6, 0x92505688);
  assert.equal(config.maglevSize, 16381);
  assert.equal(config.algorithm, 2);
  assert.equal(config.loopback4, 0xa9fe2a01);
  assert.equal(config.ctTcpLifetime, 8000);
  assert.equal(config.tunnelPort, 8472);
  assert.equal(config.nodePortLast, 32767);
  assert.equal(config.features & (FEATURE.IPV4 | FEATURE.IPV6 | FEATURE.SCTP), FEATURE.IPV4 | FEATURE.SCTP);
});

test('endpoints with equal labels share a policy; named ports part them only where a rule names ports', () => {
  const pods = join(pod(1, '{app: a}', PORT('http', 80)), pod(2, '{app: a}', PORT('http', 81)), pod(3, '{app: b}'));
  const ids = (policy: string): (number | undefined)[] => {
    const compiled = new Compiler(configWith()).compile(stateOf(join(pods, policy)));
    return [1, 2, 3].map((i) => endpointOf(compiled, `10.0.0.${i}`)?.policyId);
  };
  const [a, b, c] = ids(networkPolicy('{podSelector: {}, ingress: [{ports: [{port: 80}]}]}'));
  assert.ok(a !== 0 && a === b && c !== a);
  const named = ids(networkPolicy('{podSelector: {}, ingress: [{ports: [{port: http}]}]}'));
  assert.equal(new Set(named).size, 3);
  assert.deepEqual(ids(networkPolicy('{podSelector: {matchLabels: {app: c}}}')), [0, 0, 0]);
});

test('an epoch moves when the endpoint’s policy changes, and only then', () => {
  const compiler = new Compiler(configWith());
  const pods = join(pod(1, '{app: a}'), pod(2, '{app: b}'));
  const policyA = (port: number): string =>
    networkPolicy(`{podSelector: {matchLabels: {app: a}}, ingress: [{ports: [{port: ${port}}]}]}`, 'pa');
  const epochs = (...list: string[]): [number, number, number] => {
    const compiled = compiler.compile(stateOf(join(pods, ...list)));
    return [
      endpointOf(compiled, '10.0.0.1')!.epoch,
      endpointOf(compiled, '10.0.0.2')!.epoch,
      configOf(compiled).globalEpoch,
    ];
  };
  const start = epochs(policyA(80));
  assert.deepEqual(epochs(policyA(80)), start);
  const changed = epochs(policyA(81));
  assert.ok(changed[0] > start[0]);
  assert.deepEqual(changed.slice(1), start.slice(1));
  const isolated = epochs(policyA(81), networkPolicy('{podSelector: {matchLabels: {app: b}}}', 'pb'));
  assert.equal(isolated[0], changed[0]);
  assert.ok(isolated[1] > changed[1]);
  const removed = epochs(policyA(81));
  assert.ok(removed[1] > isolated[1]);
});

test('every endpoint’s epoch moves when an address changes identity, and never goes back for an address', () => {
  const compiler = new Compiler(configWith());
  const policy = networkPolicy('{podSelector: {}, ingress: [{}]}');
  const sum = (...list: string[]): number => {
    const compiled = compiler.compile(stateOf(join(policy, ...list)));
    return (endpointOf(compiled, '10.0.0.1')?.epoch ?? 0) + configOf(compiled).globalEpoch;
  };
  const first = sum(pod(1, '{app: a}'), pod(2, '{app: b}'));
  const relabelled = sum(pod(1, '{app: a}'), pod(2, '{app: c}'));
  assert.ok(relabelled > first);
  sum(pod(2, '{app: c}'));
  const again = sum(pod(1, '{app: a}'), pod(2, '{app: c}'));
  assert.ok(again > relabelled);
});

test('the change of a pod costs what the pod touches', () => {
  const compiler = new Compiler(configWith());
  const policies = join(
    ...Array.from({ length: 20 }, (_, i) =>
      networkPolicy(
        `{podSelector: {matchLabels: {app: a${i}}}, ingress: [{from: [{podSelector: {matchLabels: {app: a${(i + 1) % 20}}}}]}]}`,
        `p${i}`,
      ),
    ),
  );
  const pods = Array.from({ length: 400 }, (_, i) => pod(i + 1, `{app: a${i % 20}}`));
  const maps = (list: readonly string[]): Compiled['maps'] => compiler.compile(stateOf(join(policies, ...list))).maps;
  const all = maps(pods);
  const count = (from: Compiled['maps'], to: Compiled['maps']): string =>
    diff(from, to)
      .map(({ map, op }) => `${op} ${map.replace('weir_', '')}`)
      .join(', ');
  const without = maps(pods.slice(1));
  assert.equal(count(all, without), 'delete endpoints4, delete ipcache4, update config');
  const back = maps(pods);
  assert.equal(count(without, back), 'update ipcache4, update endpoints4, update config');
  // A new label set: its identity in the one policy that selects it by namespace-less label, its own policy, its addresses.
  const relabelled = maps([pod(1, '{app: a0, extra: "1"}'), ...pods.slice(1)]);
  assert.ok(diff(back, relabelled).length <= 30, `${diff(back, relabelled).length} writes`);
});

test('provenance: the rules behind verdicts, with the lines on which they begin', () => {
  const text = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: np
  namespace: x
spec:
  podSelector: {}
  ingress:
    - from:
        - podSelector: {}
    - ports:
        - port: 443
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: cnp
  namespace: x
specs:
  - endpointSelector: {}
    ingress:
      - fromEndpoints:
          - matchLabels:
              pod: b
  - endpointSelector: {}
    ingressDeny:
      - fromEntities:
          - remote-node
`;
  const { compiled } = new TrapWorld(text);
  const before = stateOf(text).networkPolicies[0]!.origin.line;
  const behind = (from: string, port = 80): string[] => {
    const side = sideVerdict(compiled, ADDRESS['x/a']!, ADDRESS[from]!, false, 6, port);
    return compiled.provenance
      .rulesOf(side.cookie)
      .map((r) => `${r.kind} ${r.namespace ?? ''}/${r.name} ${r.rule} +${r.line - offset}`);
  };
  const offset = compiled.provenance.toJSON().rules.find((r) => r.name === 'np')!.line - before;
  assert.deepEqual(behind('x/b'), [
    'NetworkPolicy x/np ingress[0] +10',
    'CiliumNetworkPolicy x/cnp specs[0].ingress[0] +23',
  ]);
  assert.deepEqual(behind('y/a', 443), ['NetworkPolicy x/np ingress[1] +12']);
  assert.deepEqual(behind('n2'), ['CiliumNetworkPolicy x/cnp specs[1].ingressDeny[0] +28']);
  assert.deepEqual(behind('world'), [
    `NetworkPolicy x/np ingress +${before}`,
    'CiliumNetworkPolicy x/cnp specs[0].ingress +15',
    'CiliumNetworkPolicy x/cnp specs[1].ingress +15',
  ]);
  assert.deepEqual(
    behind('n1').map((t) => t.split(' ')[1]),
    ['/allow-localhost'],
  );
});

test('cookies stay when a rule moves to another line, and are never given out again', () => {
  const compiler = new Compiler(configWith());
  const step = (text: string): Compiled => compiler.compile(stateOf(`${pod(1, '{app: a}')}\n---\n${text}`));
  const first = step(networkPolicy('{podSelector: {}, ingress: [{}]}'));
  const cookie = sideVerdict(first, '10.0.0.1', '8.8.8.8', false, 6, 80).cookie;
  const line = first.provenance.rulesOf(cookie)[0]!.line;
  const moved = step(`# a comment\n\n${networkPolicy('{podSelector: {}, ingress: [{}]}')}`);
  assert.deepEqual(diff(first.maps, moved.maps), []);
  assert.equal(moved.provenance.rulesOf(cookie)[0]!.line, line + 2);
  const other = step(networkPolicy('{podSelector: {}, ingress: [{}]}', 'q'));
  assert.notEqual(sideVerdict(other, '10.0.0.1', '8.8.8.8', false, 6, 80).cookie, cookie);
  assert.equal(other.provenance.rulesOf(cookie)[0]!.name, 'p');
});

test('provenance survives as JSON', () => {
  const { compiled } = new TrapWorld(clusterPolicy('{endpointSelector: {}, ingress: [{fromEntities: [world]}]}'));
  const side = sideVerdict(compiled, ADDRESS['x/a']!, ADDRESS['world']!, false, 6, 80);
  const taken = Provenance.from(JSON.parse(JSON.stringify(compiled.provenance)) as ReturnType<Provenance['toJSON']>);
  assert.deepEqual(taken.rulesOf(side.cookie), compiled.provenance.rulesOf(side.cookie));
  assert.equal(taken.rulesOf(side.cookie)[0]?.namespace, undefined);
  const fresh = taken.cookieOf([taken.register({ kind: 'builtin', name: 'new', rule: '', file: '', line: 0 })]);
  assert.deepEqual(compiled.provenance.rulesOf(fresh), []);
});

test('an implicit allow has the lowest precedence: a rule that also allows is named', () => {
  const world = new TrapWorld(
    ciliumPolicy('{endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEntities: [world]}]}'),
  );
  const behind = (from: string): string[] =>
    rulesBehind(world.compiled, sideVerdict(world.compiled, ADDRESS['x/a']!, ADDRESS[from]!, false, 6, 80));
  assert.deepEqual(behind('world'), ['p ingress[0]']);
  assert.deepEqual(behind('x/b'), ['no-default-deny ingress']);
});

test('for one node: its pods are endpoints, everybody has an identity', () => {
  const text = join(pod(1, '{app: a}'), pod(2, '{app: b}'), networkPolicy('{podSelector: {}}'));
  const compiled = new Compiler(configWith(), { node: 'n1' }).compile(stateOf(text));
  assert.equal(compiled.maps.endpoints4.size, 1);
  assert.equal(compiled.summary.policies, 1);
  assert.equal(configOf(compiled).nodeId, endpointOf(compiled, '10.0.0.1')?.nodeId);
  assert.equal(compiled.maps.ipcache4.size, 3);
  const stranger = new Compiler(configWith(), { node: 'n9' }).compile(stateOf(text));
  assert.deepEqual(
    stranger.problems.map((p) => `${p.severity} ${p.file} ${p.message}`),
    ['error --node no node is named n9'],
  );
});

test('what does not fit a map is an error that names the map and its option', () => {
  const builder = new MapBuilder({ ...MAPS.endpoints4, maxEntries: 1 });
  for (const i of [1, 2]) builder.set(Uint8Array.of(10, 0, 0, i), new Uint8Array(MAPS.endpoints4.value.bytes));
  assert.deepEqual(
    capacityProblems([builder.finish()]).map((p) => `${p.severity} ${p.message}`),
    ['error weir_endpoints4 (cilium_lxc) has 1 places; 2 are needed'],
  );
});

test('a Maglev seed or size that cannot be is a problem, not an exception', () => {
  const { problems } = new Compiler(configWith({ 'maglev.hashSeed': 'short', 'maglev.tableSize': 100 })).compile(
    stateOf(''),
  );
  assert.deepEqual(
    problems.map((p) => p.severity),
    ['error', 'error'],
  );
});
