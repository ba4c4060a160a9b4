// A running control plane while pods, namespaces, nodes and policies come, go and change: after each settle content and problems are
// those of a fresh compile of the objects but for numbers. The writes lead there, none of them leaves anything dangling, and no
// cached decision looks current that is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ClusterObject, Pod } from '../../../src/control/state.ts';
import { asText, cluster, policies, policiesWithHosts, tieredPolicies } from '../../support/policy-arbitraries.ts';
import { objectsOf, PolicyHistory } from '../../support/policy-history.ts';
import { address, stateOf } from '../../support/policy-world.ts';

type Document = Record<string, unknown>;
interface Step {
  readonly kind: 'pod' | 'twist' | 'pods' | 'namespace' | 'policies' | 'all';
  readonly world: readonly Document[];
  readonly rules: readonly Document[];
  readonly at: number;
  readonly label: string;
}
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('pod', 'pod', 'pod', 'twist', 'twist', 'pods', 'namespace', 'namespace', 'policies', 'all'),
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

function take(lab: PolicyHistory, { kind, world, rules, at, label }: Step): void {
  const next = objectsOf(stateOf(asText([...world, ...rules])));
  const pick = <T>(list: readonly T[]): T | undefined => list[at % Math.max(1, list.length)];
  if (kind === 'all') {
    for (const object of [...lab.objects.values()]) lab.drop(object);
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
  // Some of those that are there go, some of the others come.
  const wanted = (object: ClusterObject): boolean =>
    kind === 'pods' ? object.kind === 'Pod' : !['Pod', 'Node', 'Namespace'].includes(object.kind);
  const own = [...lab.objects.values()].filter(wanted);
  own.forEach((object, i) => {
    if ((i + at) % 2 === 0) lab.drop(object);
  });
  next.filter(wanted).forEach((object, i) => {
    if ((i + at) % 3 !== 0) lab.put(object);
  });
}

test('any history of pods, namespaces and policies leads to what a fresh compile has but for numbers', () => {
  let planned = 0;
  const runs = Number(process.env['WEIR_RUNS'] ?? 25);
  fc.assert(
    fc.property(
      cluster,
      policies,
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(false, false, false, true),
      fc.constantFrom(undefined, undefined, 'n1'),
      (world, rules, list, hosts, node) => {
        const lab = new PolicyHistory({ 'hostFirewall.enabled': hosts }, node);
        for (const object of objectsOf(stateOf(asText([...world, ...rules])))) lab.put(object);
        lab.settle();
        for (const one of list) {
          take(lab, one);
          lab.settle();
          if (lab.writes > 0 && !lab.wasWhole) planned++;
          lab.settle();
          assert.equal(lab.writes, 0, 'nothing is left to do');
        }
      },
    ),
    { numRuns: runs, includeErrorInReport: true },
  );
  assert.ok(planned > runs / 2, `only ${planned} settles went without a whole compile`);
});
