// A running control plane while pods, namespaces, nodes and policies come, go and change: after each settle content and problems are
// those of a fresh compile of the objects but for numbers. The writes lead there, none of them leaves anything dangling, and no
// cached decision looks current that is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ClusterObject, Pod } from '../../../src/control/state.ts';
import {
  asText,
  cluster,
  policies,
  policiesWithHosts,
  PREFIXES,
  tieredPolicies,
} from '../../support/policy-arbitraries.ts';
import { objectsOf, PolicyHistory } from '../../support/policy-history.ts';
import { address, stateOf } from '../../support/policy-world.ts';

type Document = Record<string, unknown>;
interface Step {
  readonly kind: 'pod' | 'twist' | 'pods' | 'namespace' | 'policy' | 'move' | 'named' | 'policies' | 'all';
  readonly world: readonly Document[];
  readonly rules: readonly Document[];
  readonly at: number;
  readonly label: string;
}
const OFTEN = ['pod', 'policy', 'twist', 'namespace', 'policy'] as const;
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...OFTEN, ...OFTEN, 'twist', 'pods', 'namespace', 'move', 'named', 'named', 'policies', 'all'),
  world: cluster,
  rules: fc.oneof(policies, tieredPolicies, policiesWithHosts),
  at: fc.nat(20),
  label: fc.constantFrom('x', 'y', 'z'),
});

/** What becomes of a pod besides labels. */
const TWISTS: readonly Partial<Pod>[] = [
  { phase: 'Succeeded' },
  { phase: 'Running' },
  { podIPs: [] },
  { podIPs: [address('10.244.1.10')] },
  { podIPs: [address('203.0.113.9')] },
  { podIPs: [address('172.18.0.11')] },
  { podIPs: [address('10.244.1.11'), address('10.244.1.11')] },
  { terminating: true },
  { terminating: false },
  { hostNetwork: true },
  { hostNetwork: false },
  { nodeName: 'n1' },
  { nodeName: 'n2' },
  { nodeName: 'nowhere' },
  { ports: [] },
  { serviceAccount: 'other' },
];

/** What policies name that is no pod, and policies that name it. */
const NAMED: readonly Document[] = [
  ...['a', 'b'].map((pod, i) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace: 'x' },
    spec: { type: 'ClusterIP', clusterIP: `10.96.0.${i + 1}`, selector: { pod }, ports: [{ port: 80 }] },
  })),
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace: 'x' },
    spec: { type: 'ClusterIP', clusterIP: '10.96.0.1', ports: [{ port: 80 }] },
  },
  ...['203.0.113.9', '203.0.113.77'].map((ip) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'e', namespace: 'x', labels: { 'kubernetes.io/service-name': 's' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
    endpoints: [{ addresses: [ip] }],
  })),
  ...['203.0.113.0/24', '198.51.100.0/24'].map((cidr) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumCIDRGroup',
    metadata: { name: 'g' },
    spec: { externalCIDRs: [cidr] },
  })),
  ...[
    { toServices: [{ k8sService: { serviceName: 's', namespace: 'x' } }] },
    { toCIDRSet: [{ cidrGroupRef: 'g' }] },
  ].map((item, i) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `naming${i}`, namespace: 'x' },
    spec: { endpointSelector: {}, egress: [item] },
  })),
];

/** Policies that name every prefix that the others may name, and stay: no other is the first or the last of a prefix then. */
const GROUND: readonly Document[] = [
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'ground', namespace: 'nowhere' },
    spec: { podSelector: {}, egress: [{ to: PREFIXES.map(({ cidr, except }) => ({ ipBlock: { cidr, except } })) }] },
  },
  {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name: 'ground' },
    spec: {
      tier: 'Admin',
      priority: 5,
      subject: { namespaces: { matchLabels: { no: 'namespace' } } },
      egress: [{ action: 'Accept', to: [{ networks: PREFIXES.map(({ cidr }) => cidr) }] }],
    },
  },
];

const isPolicy = ({ kind, name }: ClusterObject): boolean => kind.endsWith('NetworkPolicy') && name !== 'ground';

/** The same, some lines further down in its file. */
function moved<T>(value: T, lines: number): T {
  if (Array.isArray(value)) return value.map((item: unknown) => moved(item, lines)) as T;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const items = Object.entries(value).map(([name, item]: [string, unknown]) => [
    name,
    name === 'line' && typeof item === 'number' ? item + lines : moved(item, lines),
  ]);
  return Object.fromEntries(items) as T;
}

function take(lab: PolicyHistory, { kind, world, rules, at, label }: Step): void {
  const next = objectsOf(stateOf(asText([...world, ...rules])));
  const pick = <T>(list: readonly T[]): T | undefined => list[at % Math.max(1, list.length)];
  if (kind === 'all') {
    for (const object of [...lab.objects.values()]) if (object.name !== 'ground') lab.drop(object);
    for (const object of next) lab.put(object);
    return;
  }
  if (kind === 'pod') {
    const one = pick(lab.of('Pod').filter(({ hostNetwork }) => !hostNetwork));
    const other = pick(next.filter((object) => object.kind === 'Pod' && !object.hostNetwork));
    if (at % 3 === 0 && one !== undefined) lab.drop(one);
    else if (at % 3 === 1 && one !== undefined) lab.put({ ...one, labels: new Map([['pod', label]]) });
    else if (other !== undefined) lab.put({ ...other, name: `more${at}` } as typeof other);
    return;
  }
  if (kind === 'twist') {
    const pod = pick(lab.of('Pod'));
    if (pod !== undefined) lab.put({ ...pod, ...TWISTS[(at + label.charCodeAt(0)) % TWISTS.length]! });
    return;
  }
  if (kind === 'namespace') {
    const namespace = pick(lab.of('Namespace'));
    if (at % 5 === 4 && namespace !== undefined) lab.drop(namespace);
    else if (at % 5 === 3) for (const one of next) if (one.kind === 'Namespace') lab.put(one);
    if (at % 5 >= 3) return;
    if (namespace !== undefined) lab.put({ ...namespace, labels: new Map([...namespace.labels, ['ns', label]]) });
    return;
  }
  if (kind === 'policy') {
    const one = pick([...lab.objects.values()].filter(isPolicy));
    const other = pick(next.filter(isPolicy));
    if (at % 3 === 0 && one !== undefined) lab.drop(one);
    else if (other !== undefined) lab.put(at % 3 === 1 ? other : ({ ...other, name: `more${at}` } as typeof other));
    return;
  }
  if (kind === 'move') {
    const one = pick([...lab.objects.values()].filter(isPolicy));
    if (one !== undefined) lab.put(moved(one, at));
    return;
  }
  if (kind === 'named') {
    const [one] = objectsOf(stateOf(asText([pick(NAMED)!])));
    if (label === 'x') lab.drop(one!);
    else lab.put(one!);
    return;
  }
  // Some of those that are there go, some of the others come.
  const wanted = (object: ClusterObject): boolean => (kind === 'pods' ? object.kind === 'Pod' : isPolicy(object));
  const own = [...lab.objects.values()].filter(wanted);
  own.forEach((object, i) => {
    if ((i + at) % 2 === 0) lab.drop(object);
  });
  next.filter(wanted).forEach((object, i) => {
    if ((i + at) % 3 !== 0) lab.put(object);
  });
}

const RUNS = Number(process.env['WEIR_RUNS'] ?? 25);

/** Changes that led to writes without a whole compile. */
interface Alone {
  policies: number;
  others: number;
}

/** Takes and checks step after step. */
function run(lab: PolicyHistory, start: readonly Document[], steps: readonly Step[], alone: Alone): void {
  for (const object of objectsOf(stateOf(asText(start)))) lab.put(object);
  lab.settle();
  for (const one of steps) {
    const onlyPolicies = ['policy', 'move', 'policies'].includes(one.kind);
    take(lab, one);
    lab.settle(onlyPolicies);
    if (lab.writes > 0 && !lab.wasWhole) alone[onlyPolicies ? 'policies' : 'others']++;
    lab.settle();
    assert.equal(lab.writes, 0, 'nothing is left to do');
  }
}

test('any history of pods, namespaces and policies leads to what a fresh compile has but for numbers', () => {
  const alone: Alone = { policies: 0, others: 0 };
  fc.assert(
    fc.property(
      cluster,
      policies,
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(false, false, false, true),
      fc.constantFrom(undefined, undefined, 'n1'),
      fc.boolean(),
      (world, rules, list, hosts, node, ground) => {
        const lab = new PolicyHistory({ 'hostFirewall.enabled': hosts }, node);
        run(lab, [...world, ...rules, ...(ground ? GROUND : [])], list, alone);
      },
    ),
    { numRuns: RUNS, includeErrorInReport: true },
  );
  // How many there are is chance (few runs may well have none); none at all would be a plane that refuses everything.
  assert.ok(RUNS < 25 || alone.others > RUNS / 25, `only ${alone.others} changes of pods went without a whole compile`);
});

test('single policies and pods that come, change and go', () => {
  const alone: Alone = { policies: 0, others: 0 };
  const single = fc.record({
    kind: fc.constantFrom('policy', 'policy', 'policy', 'policy', 'move', 'pod'),
    world: cluster,
    rules: fc.oneof(policies, tieredPolicies),
    at: fc.nat(20),
    label: fc.constantFrom('a', 'b', 'c'),
  });
  fc.assert(
    fc.property(
      cluster,
      policies,
      fc.array(single, { minLength: 1, maxLength: 10 }),
      fc.constantFrom(undefined, 'n1'),
      fc.constantFrom('default', 'default', 'always'),
      (world, rules, list, node, policyEnforcementMode) => {
        const lab = new PolicyHistory({ policyEnforcementMode }, node);
        run(lab, [...world, ...rules, ...GROUND], list, alone);
      },
    ),
    { numRuns: RUNS, includeErrorInReport: true },
  );
  assert.ok(
    RUNS < 25 || alone.policies > RUNS / 10,
    `only ${alone.policies} changes of policies went without a whole compile`,
  );
});
