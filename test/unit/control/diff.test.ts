// The order of writes, seen on one change at a time; and desired maps as sorted tables.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compiler } from '../../../src/control/compile.ts';
import { MapBuilder } from '../../../src/control/desired-map.ts';
import { diff } from '../../../src/control/diff.ts';
import { MAPS } from '../../../src/schema/index.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { networkPolicy } from '../../support/trap-world.ts';

const POD =
  '{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {nodeName: n, containers: [{name: c}]}, status: {podIP: 10.0.0.1}}';
const SERVICE =
  '{apiVersion: v1, kind: Service, metadata: {name: s, namespace: x}, spec: {clusterIP: 10.96.0.1, sessionAffinity: ClientIP, ports: [{port: 80}]}}';
const slice = (...hosts: number[]): string =>
  `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s1, namespace: x, labels: {kubernetes.io/service-name: s}}, addressType: IPv4, endpoints: [${hosts.map((h) => `{addresses: [10.0.0.${h}]}`).join(', ')}], ports: [{port: 8080}]}`;

function steps(...texts: string[]): string[] {
  const compiler = new Compiler(
    configWith({ 'loadBalancer.algorithm': 'maglev', 'bpf.lbExternalClusterIP': true, 'maglev.tableSize': 251 }),
  );
  const maps = texts.map((text) => compiler.compile(stateOf(text)).maps);
  return diff(maps.at(-2), maps.at(-1)!).map(({ map, op, value }) => {
    const zero = /backends|reverse_nat|policy_meta/.test(map) && op === 'update' && value!.every((byte) => byte === 0);
    return `${zero ? 'zero' : op} ${map.replace('weir_', '')}`;
  });
}
const all = (...list: string[]): string => list.join('\n---\n');

test('first load: policies, who is who, endpoints, backends to frontends, the configuration last', () => {
  const order = [...new Set(steps(all(POD, SERVICE, slice(1, 2), networkPolicy('{podSelector: {}, ingress: [{}]}'))))];
  assert.deepEqual(order, [
    'update policy',
    'update policy_meta',
    'update ipcache4',
    'update ipcache6',
    'update endpoints4',
    'update backends4',
    'update services4',
    'update maglev4',
    'update reverse_nat4',
    'update affinity_match',
    'update config',
  ]);
});

test('a frontend that goes: master, wildcard, what it used, backends overwritten with zeros', () => {
  assert.deepEqual(steps(all(SERVICE, slice(1, 2)), ''), [
    'delete services4',
    'delete services4',
    'delete affinity_match',
    'delete affinity_match',
    'delete maglev4',
    'delete services4',
    'delete services4',
    'zero reverse_nat4',
    'zero backends4',
    'zero backends4',
  ]);
});

test('a backend that goes: slot and table first, then the count, then what is left over', () => {
  assert.deepEqual(steps(all(SERVICE, slice(1, 2, 3)), all(SERVICE, slice(2, 3))), [
    'update services4',
    'update services4',
    'update maglev4',
    'update services4',
    'delete affinity_match',
    'delete services4',
    'zero backends4',
  ]);
});

test('a rule that goes: its entry before the epoch; a policy that goes: after the endpoint has let go of it', () => {
  const policy = (rules: string): string => all(POD, networkPolicy(`{podSelector: {}, ingress: [${rules}]}`));
  assert.deepEqual(steps(policy('{ports: [{port: 80}]}, {ports: [{port: 81}]}'), policy('{ports: [{port: 80}]}')), [
    'delete policy',
    'update endpoints4',
  ]);
  assert.deepEqual(steps(policy(''), POD), ['update endpoints4', 'zero policy_meta', 'delete policy']);
});

test('a desired map is sorted, searched by key, and keeps the last of equal keys', () => {
  const builder = new MapBuilder(MAPS.endpoints4);
  const value = (n: number): Uint8Array => new Uint8Array(MAPS.endpoints4.value.bytes).fill(n);
  for (let i = 40; i > 0; i--) builder.set(Uint8Array.of(10, 0, 0, i), value(i));
  builder.set(Uint8Array.of(10, 0, 0, 7), value(99));
  const map = builder.finish();
  assert.equal(map.size, 40);
  assert.equal(map.get(Uint8Array.of(10, 0, 0, 7))?.[0], 99);
  assert.equal(map.get(Uint8Array.of(10, 0, 0, 40))?.[0], 40);
  assert.equal(map.get(Uint8Array.of(10, 0, 0, 41)), undefined);
  assert.deepEqual(
    [...map].map(([key]) => key[3]),
    Array.from({ length: 40 }, (_, i) => i + 1),
  );
});
