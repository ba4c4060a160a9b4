// A cluster whose pods come, go and change one by one: the plane's writes are those between two whole compiles, and no more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RowChanges } from '../../../src/control/cluster-plane.ts';
import { type Compiled, Compiler, type CompiledMapName } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import type { Provenance } from '../../../src/control/provenance.ts';
import type { ClusterState, Pod } from '../../../src/control/state.ts';
import { MAPS, policyMeta, policyValue } from '../../../src/schema/index.ts';
import { asText, cluster, policies, tieredPolicies } from '../../support/policy-arbitraries.ts';
import { address, configWith, stateOf } from '../../support/policy-world.ts';

/** What becomes of a pod. */
interface Step {
  readonly pod: number;
  readonly kind: 'add' | 'remove' | 'label' | 'move' | 'end';
  readonly value: string;
  readonly node: string;
}

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    pod: fc.nat(9),
    kind: fc.constantFrom('add', 'add', 'remove', 'label', 'move', 'end'),
    value: fc.constantFrom('a', 'b', 'c', 'd'),
    node: fc.constantFrom('n1', 'n2'),
  }),
  { minLength: 1, maxLength: 12 },
);

/** The pods after a step, and the pod before and after; undefined: the step does nothing. */
function take(pods: readonly Pod[], step: Step, count: number): { pods: Pod[]; before?: Pod; after?: Pod } | undefined {
  const own = pods.filter(({ hostNetwork }) => !hostNetwork);
  const before = own[step.pod % Math.max(1, own.length)];
  if (before === undefined) return undefined;
  if (step.kind === 'add') {
    const name = `more${count}`;
    const labels = new Map([['pod', step.value], ...(step.pod > 5 ? [['zone', step.value] as const] : [])]);
    const podIPs = [address(`10.244.9.${count}`), address(`fd00::9:${count}`)].slice(0, (step.pod % 2) + 1);
    const http = step.value === 'a' ? 80 : 81;
    const ports = before.ports.map((port) => (port.name === 'http' ? { ...port, containerPort: http } : port));
    const after: Pod = { ...before, name, labels, podIPs, ports, nodeName: step.node };
    return { pods: [...pods, after], after };
  }
  const others = pods.filter((pod) => pod !== before);
  if (step.kind === 'remove') return { pods: others, before };
  const after: Pod = {
    ...before,
    ...(step.kind === 'label' && { labels: new Map([...before.labels, ['tier', step.value]]) }),
    ...(step.kind === 'move' && { nodeName: step.node }),
    ...(step.kind === 'end' && { phase: 'Succeeded' as const }),
  };
  return { pods: [...others, after], before, after };
}

/** Map, key and value; cookies by the rules that they stand for, since their numbers hang on the order of the work. */
function line(map: string, key: Uint8Array, value: Uint8Array | undefined, provenance: Provenance): string {
  const rules = (cookie: number): string =>
    provenance
      .rulesOf(cookie)
      .map((r) => `${r.name} ${r.rule}`)
      .sort()
      .join();
  const name = map.replace('weir_', '');
  if (value === undefined) return `${name} ${key.join()} deleted`;
  if (name === 'policy') {
    const entry = policyValue.decode(value);
    return `${name} ${key.join()} ${JSON.stringify({ ...entry, cookie: rules(entry.cookie) })}`;
  }
  if (name === 'policy_meta') {
    const meta = policyMeta.decode(value);
    const cookies = { ingressCookie: rules(meta.ingressCookie), egressCookie: rules(meta.egressCookie) };
    return `${name} ${key.join()} ${JSON.stringify({ ...meta, ...cookies })}`;
  }
  return `${name} ${key.join()} ${value.join()}`;
}

function linesOf(changes: RowChanges, provenance: Provenance): string[] {
  const lines: string[] = [];
  for (const [map, rows] of changes) {
    const { name, kind, value } = MAPS[map as CompiledMapName];
    for (const { key, after } of rows) {
      // Arrays cannot delete: zeros.
      lines.push(line(name, key, after ?? (kind === 'array' ? new Uint8Array(value.bytes) : undefined), provenance));
    }
  }
  return lines.sort();
}

function walk(start: ClusterState, list: readonly Step[], node: string | undefined): number {
  const options = node === undefined ? {} : { node };
  const slow = new Compiler(configWith({ 'ipv6.enabled': true }), options);
  const fast = new Compiler(configWith({ 'ipv6.enabled': true }), options);
  let state = start;
  let whole: Compiled = slow.compile(state);
  fast.compile(state);
  let plane = fast.plane();
  let taken = 0;
  list.forEach((step, i) => {
    const change = take(state.pods, step, i + 1);
    if (change === undefined) return;
    state = { ...state, pods: change.pods };
    const next = slow.compile(state);
    const changes = plane?.change(change.before, change.after);
    if (changes === undefined) {
      fast.compile(state);
      plane = fast.plane();
    } else {
      taken++;
      const expected = diff(whole.maps, next.maps).map(({ map, key, value }) =>
        line(map, key, value as Uint8Array | undefined, slow.provenance),
      );
      assert.deepEqual(linesOf(changes, fast.provenance), expected.sort(), `step ${i}: ${step.kind}`);
    }
    whole = next;
  });
  return taken;
}

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
        taken += walk(stateOf(asText([...world, ...rules])), list, node);
      },
    ),
    { numRuns: RUNS, examples: [EXAMPLE, PASS_EXAMPLE] },
  );
  assert.ok(taken > RUNS, `only ${taken} steps went through the plane`);
});
