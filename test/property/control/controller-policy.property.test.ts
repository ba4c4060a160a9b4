// A running control plane while pods, namespaces, nodes and policies come, go and change: after each settle the content is what a
// fresh compile of the objects has but for numbers: as many entries in every map, the same address for everybody, and the same
// answer, with the same rules, to every connection. The writes lead there, and none of them leaves anything dangling.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Compiled, Compiler } from '../../../src/control/compile.ts';
import type { Config } from '../../../src/control/config/index.ts';
import { Controller, controlKey } from '../../../src/control/controller.ts';
import { Provenance } from '../../../src/control/provenance.ts';
import type { ClusterObject, ClusterState } from '../../../src/control/state.ts';
import { emptyState } from '../../../src/control/state.ts';
import {
  asText,
  cluster,
  OUTSIDE,
  policies,
  policiesWithHosts,
  tieredPolicies,
} from '../../support/policy-arbitraries.ts';
import { MapContent } from '../../support/map-content.ts';
import { configWith, rulesBehind, sideVerdict, stateOf } from '../../support/policy-world.ts';

type Document = Record<string, unknown>;
interface Step {
  readonly kind: 'pod' | 'pods' | 'namespace' | 'policies' | 'all';
  readonly world: readonly Document[];
  readonly rules: readonly Document[];
  readonly at: number;
  readonly label: string;
}
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('pod', 'pod', 'pod', 'pods', 'namespace', 'namespace', 'policies', 'all'),
  world: cluster,
  rules: fc.oneof(policies, tieredPolicies, policiesWithHosts),
  at: fc.nat(20),
  label: fc.constantFrom('x', 'y', 'z'),
});

/** Every object of a state that policy is about. */
const objectsOf = (state: ClusterState): ClusterObject[] => [
  ...state.namespaces,
  ...state.nodes,
  ...state.pods,
  ...state.networkPolicies,
  ...state.adminPolicies,
  ...state.ciliumPolicies,
];

class Lab {
  readonly provenance = new Provenance();
  readonly controller: Controller;
  readonly objects = new Map<string, ClusterObject>();
  readonly content = new MapContent();
  /** Writes of the last settle, without the services'. */
  writes = 0;
  private readonly config: Config;

  constructor(changes: Partial<Config>) {
    this.config = configWith({ 'ipv6.enabled': true, ...changes });
    this.controller = new Controller(this.config, {}, this.provenance);
  }

  put(object: ClusterObject): void {
    this.objects.set(`${object.kind} ${controlKey(object)}`, object);
    this.controller.upsert(object);
  }

  drop(object: ClusterObject): void {
    this.objects.delete(`${object.kind} ${controlKey(object)}`);
    this.controller.remove(object.kind, controlKey(object));
  }

  of<K extends ClusterObject['kind']>(...kinds: K[]): Extract<ClusterObject, { kind: K }>[] {
    return [...this.objects.values()].filter((object): object is never => kinds.includes(object.kind as K));
  }

  settle(): void {
    const { writes, problems } = this.controller.settle();
    assert.deepEqual(
      problems.filter(({ severity }) => severity === 'error'),
      [],
    );
    this.writes = writes.length;
    for (const write of writes) {
      this.content.apply(write);
      assert.equal(this.content.dangling(), undefined, `after ${write.op} of ${write.map}`);
    }
    const desired = this.controller.content();
    assert.deepEqual(
      this.controller.prune(this.content.dumpOf(Object.keys(desired))),
      [],
      'the writes lead to what is desired',
    );
    this.compare({ maps: desired, provenance: this.provenance } as unknown as Compiled);
  }

  /** Against a compile that knows nothing of the history. */
  private compare(now: Compiled): void {
    const state: ClusterState = {
      ...emptyState(),
      namespaces: this.of('Namespace'),
      nodes: this.of('Node'),
      pods: this.of('Pod'),
      networkPolicies: this.of('NetworkPolicy'),
      adminPolicies: this.of('ClusterNetworkPolicy'),
      ciliumPolicies: this.of('CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy'),
    };
    const fresh = new Compiler(this.config).compile(state);
    const sizes = ({ maps }: Compiled): unknown =>
      (['policy', 'policyMeta', 'endpoints4', 'endpoints6', 'ipcache4', 'ipcache6'] as const).map((n) => maps[n].size);
    assert.deepEqual(sizes(now), sizes(fresh));
    const pods = state.pods.flatMap((p) => (p.hostNetwork ? [] : p.podIPs.map((ip) => ip.text)));
    const ends = [...pods, ...OUTSIDE];
    for (const own of ends) {
      for (const peer of ends) {
        if (own === peer || own.includes(':') !== peer.includes(':')) continue;
        for (const egress of [false, true]) {
          for (const [protocol, port] of [
            [6, 80],
            [6, 81],
            [17, 443],
            [own.includes(':') ? 58 : 1, 8],
          ] as const) {
            const said = (compiled: Compiled): unknown => {
              const side = sideVerdict(compiled, own, peer, egress, protocol, port);
              return [side.verdict, side.reason, rulesBehind(compiled, side).sort()];
            };
            assert.deepEqual(said(now), said(fresh), `${own} ${egress ? '->' : '<-'} ${peer} ${protocol} ${port}`);
          }
        }
      }
    }
  }
}

function take(lab: Lab, { kind, world, rules, at, label }: Step): void {
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
  if (kind === 'namespace') {
    const namespace = pick(lab.of('Namespace'));
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

/** Counts whole compiles of everything but services. */
let compiles = 0;
const { compileCluster } = Compiler.prototype;
Compiler.prototype.compileCluster = function (...given) {
  compiles++;
  return compileCluster.apply(this, given);
};

test('any history of pods, namespaces and policies leads to what a fresh compile has but for numbers', () => {
  let planned = 0;
  const runs = Number(process.env['WEIR_RUNS'] ?? 25);
  fc.assert(
    fc.property(
      cluster,
      policies,
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(false, false, true),
      (world, rules, list, hosts) => {
        const lab = new Lab({ 'hostFirewall.enabled': hosts });
        for (const object of objectsOf(stateOf(asText([...world, ...rules])))) lab.put(object);
        lab.settle();
        for (const one of list) {
          take(lab, one);
          const before = compiles;
          lab.settle();
          // The comparison compiles once.
          if (lab.writes > 0 && compiles === before + 1) planned++;
          lab.settle();
          assert.equal(lab.writes, 0, 'nothing is left to do');
        }
      },
    ),
    { numRuns: runs },
  );
  // Nobody takes pods alone as long as that is off (Controller.takesPodsAlone); then it has to happen, in a third of the runs.
  assert.equal(planned, 0);
});
