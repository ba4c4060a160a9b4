// A cluster whose pods come, go and change one by one: the plane's writes are those between two whole compiles, and no more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Step, walk } from '../../support/plane-walk.ts';
import { asText, cluster, policies, tieredPolicies } from '../../support/policy-arbitraries.ts';
import { stateOf } from '../../support/policy-world.ts';

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    pod: fc.nat(9),
    kind: fc.constantFrom('add', 'add', 'remove', 'label', 'move', 'end'),
    value: fc.constantFrom('a', 'b', 'c', 'd'),
    node: fc.constantFrom('n1', 'n2'),
  }),
  { minLength: 1, maxLength: 12 },
);

/** A world in which each step changes policies of others: a label that a rule asks for comes, moves on and goes. */
const pod = (name: string, label: string, ip: string): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'x', labels: { pod: label } },
  spec: { nodeName: 'n1', containers: [{ name: 'c' }] },
  status: { podIP: ip },
});
const EXAMPLE: [Record<string, unknown>[], Record<string, unknown>[], Step[], undefined] = [
  [
    ...['n1', 'n2'].map((name, i) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: `172.18.0.1${i + 1}` }] },
    })),
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } },
    pod('pod0', 'a', '10.244.1.10'),
    pod('pod1', 'b', '10.244.1.11'),
  ],
  [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'p0', namespace: 'x' },
      spec: {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { tier: 'a' } } }], ports: [{ port: 80, endPort: 90 }] }],
        egress: [{ to: [{ podSelector: { matchLabels: { tier: 'b' } } }] }],
      },
    },
  ],
  (
    [
      ['label', 1, 'a'],
      ['label', 1, 'b'],
      ['add', 0, 'c'],
      ['label', 2, 'a'],
      ['remove', 1, 'a'],
      ['label', 0, 'a'],
      ['end', 0, 'a'],
      ['move', 0, 'a'],
    ] as const
  ).map(([kind, at, value]) => ({ kind, pod: at, value, node: 'n2' })),
  undefined,
];

/** A pod goes that a pass was about: what the pass covered raises entries of its whole class. */
const PASS_EXAMPLE: typeof EXAMPLE = [
  [
    ...EXAMPLE[0].slice(0, 2),
    ...['x', 'y'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ns: name } } })),
    pod('pod0', 'a', '10.244.1.10'),
    { ...pod('pod1', 'a', '10.244.2.11'), metadata: { name: 'pod1', namespace: 'y', labels: { pod: 'a' } } },
    pod('pod3', 'b', '10.244.2.13'),
  ],
  [
    {
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: { name: 'p0' },
      spec: {
        tier: 'Admin',
        priority: 0,
        subject: { namespaces: { matchLabels: { ns: 'y' } } },
        ingress: [
          { action: 'Pass', from: [{ pods: { podSelector: { matchLabels: { pod: 'b' } } } }] },
          { action: 'Accept', from: [{ pods: { podSelector: {} } }] },
        ],
      },
    },
    {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNetworkPolicy',
      metadata: { namespace: 'y', name: 'p1', annotations: { 'weir.dev/policy-audit-mode': 'enabled' } },
      spec: { endpointSelector: {}, ingress: [{ toPorts: [] }] },
    },
  ],
  [{ kind: 'remove', pod: 2, value: 'a', node: 'n1' }],
  undefined,
];

const RUNS = Number(process.env['WEIR_RUNS'] ?? 60);

test('pod by pod is the same as whole compiles, write for write', () => {
  let taken = 0;
  fc.assert(
    fc.property(
      cluster,
      fc.oneof(policies, tieredPolicies),
      steps,
      fc.constantFrom(undefined, undefined, 'n1'),
      (world, rules, list, node) => {
        taken += walk(stateOf(asText([...world, ...rules])), list, node).filter((through) => through).length;
      },
    ),
    { numRuns: RUNS, examples: [EXAMPLE, PASS_EXAMPLE] },
  );
  assert.ok(taken > RUNS, `only ${taken} steps went through the plane`);
});
