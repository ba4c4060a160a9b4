// Rules that the agent refuses for their layer-7 parts: one row a mistake, with its place, and that such a rule enforces nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markRefusedRules } from '../../../src/l7/index.ts';
import { stateOf } from '../../support/policy-world.ts';
import { ciliumPolicy } from '../../support/trap-world.ts';

const http = (rule: string): string =>
  `{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}, ${rule}]}}]}]}`;
const other = (kind: string, rule: string): string =>
  `{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "53", protocol: TCP}], rules: {${kind}: [${rule}]}}]}]}`;

const REFUSED: readonly (readonly [spec: string, said: RegExp])[] = [
  [http('{path: "("}'), /ingress\[0\]\.toPorts\[0\]\.rules\.http\[1\]: path: "\(" is not an expression/],
  [http('{method: "[z-a]"}'), /http\[1\]: method: /],
  // Go's expressions have neither.
  [http('{path: "(?=x)"}'), /http\[1\]: path: /],
  [http('{host: "(a)\\\\1"}'), /http\[1\]: host: /],
  [other('dns', '{}'), /egress\[0\]\.toPorts\[0\]\.rules\.dns\[0\]: needs matchName or matchPattern/],
  [other('dns', '{matchName: a.b, matchPattern: "*.b"}'), /matchName and matchPattern cannot both be given/],
  [other('kafka', '{role: produce, apiKey: fetch}'), /role and apiKey cannot both be given/],
  [other('kafka', '{role: both}'), /"both" is neither produce nor consume/],
  [other('kafka', '{apiKey: eat}'), /apiKey: "eat" is not one of produce/],
  [other('kafka', '{apiVersion: one}'), /apiVersion: "one" is not a number/],
  [other('kafka', '{topic: "a b"}'), /topic: "a b" is not a topic/],
  [other('kafka', `{topic: ${'t'.repeat(256)}}`), /topic: "t+" is not a topic/],
];
for (const [spec, said] of REFUSED) {
  test(`refused for ${String(said).slice(0, 60)}`, () => {
    const { state, problems } = markRefusedRules(stateOf(ciliumPolicy(spec)));
    const [problem] = problems;
    assert.deepEqual(
      [problems.length, problem!.severity, problem!.file, problem!.line],
      [1, 'warning', 'file1.yaml', 1],
    );
    assert.match(problem!.message, /^CiliumNetworkPolicy x\/p: .*; Cilium refuses the rule, it enforces nothing$/);
    assert.match(problem!.message, said);
    const [rule] = state.ciliumPolicies[0]!.rules;
    assert.equal(rule!.rejected.length, 1);
    assert.match(rule!.rejected[0]!, said);
  });
}

test('what is fine stays as it is, down to the object', () => {
  const fine = [
    http('{path: "/v1/.*", headers: ["X-A: b"]}'),
    other('kafka', '{role: Produce, topic: a.b_c-9}'),
    other('dns', '{matchPattern: "*"}'),
  ];
  const state = stateOf(...fine.map((spec, i) => ciliumPolicy(spec, `p${i}`)));
  const marked = markRefusedRules(state);
  assert.deepEqual(marked.problems, []);
  assert.equal(marked.state, state);
});

test('of several rules only the bad one is refused, with all that is wrong with it', () => {
  const bad =
    '{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: "("}, {host: ")"}]}}]}]}';
  const text = `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: x}, specs: [${http('{}')}, ${bad}]}`;
  const { state, problems } = markRefusedRules(stateOf(text));
  assert.equal(problems.length, 2);
  assert.deepEqual(
    state.ciliumPolicies[0]!.rules.map(({ rejected }) => rejected.length),
    [0, 2],
  );
});
