// A running control plane and the objects that it was told: after each settle content and problems are those of a fresh compile of
// the objects but for numbers; the writes lead there, none of them leaves anything dangling or says what is there already, and no
// cached decision looks current that is not. Input: objects. Output: assertions.
import assert from 'node:assert/strict';
import { Compiler } from '../../src/control/compile.ts';
import type { Config } from '../../src/control/config/index.ts';
import { Controller } from '../../src/control/controller.ts';
import { controlKey } from '../../src/control/object-kinds.ts';
import { formatProblem, type Problem } from '../../src/control/problem.ts';
import { Provenance } from '../../src/control/provenance.ts';
import type { CompileOptions } from '../../src/control/settings.ts';
import { type ClusterObject, type ClusterState, emptyState } from '../../src/control/state.ts';
import type { MapWrite } from '../../src/maps/map-write.ts';
import { configValue, MAPS, policyKey, policyMetaKey } from '../../src/schema/index.ts';
import { MapContent } from './map-content.ts';
import { decisionsByEpoch, namedContent, type NamedEndpoint, namedParts, type PolicyMaps } from './named-content.ts';
import { configWith } from './policy-world.ts';

/** Every object of a state that policy is about. */
export const objectsOf = (state: ClusterState): ClusterObject[] => [
  ...state.namespaces,
  ...state.nodes,
  ...state.pods,
  ...state.networkPolicies,
  ...state.adminPolicies,
  ...state.ciliumPolicies,
  ...state.ciliumCIDRGroups,
  ...state.services,
  ...state.endpointSlices,
];

/** See the head of this file. */
export class PolicyHistory {
  /** Forgets what is out of use almost at once. */
  readonly provenance = new Provenance(1);
  readonly controller: Controller;
  readonly objects = new Map<string, ClusterObject>();
  readonly content = new MapContent();
  /** Writes of the last settle, without the services'. */
  writes = 0;
  /** Whether the last settle compiled the whole. */
  wasWhole = false;
  private endpoints: ReadonlyMap<string, NamedEndpoint> = new Map();
  private decisions: ReturnType<typeof decisionsByEpoch> = new Map();
  private readonly config: Config;
  private readonly options: CompileOptions;

  constructor(changes: Partial<Config>, node: string | undefined) {
    this.config = configWith({ 'ipv6.enabled': true, ...changes });
    this.options = node === undefined ? {} : { node };
    this.controller = new Controller(this.config, this.options, this.provenance);
  }

  /** Takes an object. */
  put(object: ClusterObject): void {
    this.objects.set(`${object.kind} ${controlKey(object)}`, object);
    this.controller.upsert(object);
  }

  /** Takes an object away. */
  drop(object: ClusterObject): void {
    this.objects.delete(`${object.kind} ${controlKey(object)}`);
    this.controller.remove(object.kind, controlKey(object));
  }

  /** Objects of some kinds. */
  of<K extends ClusterObject['kind']>(...kinds: K[]): Extract<ClusterObject, { kind: K }>[] {
    return [...this.objects.values()].filter((object): object is never => kinds.includes(object.kind as K));
  }

  /**
   * Settles and checks everything.
   * @param onlyPolicies nothing but policies has changed: without a whole compile, which may part identities by prefixes, those whom
   * they say nothing new about must not be touched
   */
  settle(onlyPolicies = false): void {
    const before = compiles;
    const { writes, problems } = this.controller.settle();
    this.wasWhole = compiles > before;
    assert.deepEqual(
      problems.filter(({ severity }) => severity === 'error'),
      [],
    );
    this.writes = writes.length;
    const written = new Set<string>();
    for (const write of writes) {
      const at = `${write.map} ${write.key.join('.')}`;
      assert.ok(!written.has(at), `${at} is written twice`);
      written.add(at);
      assert.ok(this.content.differs(write), `${at} holds what is written already`);
      this.content.apply(write);
      assert.equal(this.content.dangling(), undefined, `after ${write.op} of ${write.map}`);
    }
    const desired = this.controller.content();
    assert.deepEqual(
      this.controller.prune(this.content.dumpOf(Object.keys(desired))),
      [],
      'the writes lead to what is desired',
    );
    this.compare(desired as PolicyMaps, problems);
    const { endpoints } = namedParts(desired as PolicyMaps, this.provenance);
    if (onlyPolicies && !this.wasWhole) this.checkReach(writes, endpoints);
    this.endpoints = endpoints;
    const { globalEpoch } = configValue.decode(desired.config!.valueAt(0));
    const decisions = decisionsByEpoch(desired as PolicyMaps, globalEpoch);
    for (const [address, { sum, policy }] of decisions) {
      const before = this.decisions.get(address);
      if (before?.sum === sum) assert.equal(before.policy, policy, `${address}: other decisions in the same epoch`);
      else if (before !== undefined) assert.ok(sum > before.sum, `${address}: an epoch went back`);
    }
    this.decisions = decisions;
  }

  /**
   * Neither rows nor policies of endpoints about which everything is as it was. Whether ports' names part endpoints that else have
   * one policy hangs on all rules that select them, so that the same policy may have another number.
   */
  private checkReach(writes: readonly MapWrite[], endpoints: ReadonlyMap<string, NamedEndpoint>): void {
    const same = [...endpoints].filter(([key, { line, policyId }]) => {
      const before = this.endpoints.get(key);
      return before?.line === line && before.policyId === policyId;
    });
    const keys = new Set(same.map(([key]) => key));
    const policies = new Set(same.map(([, { policyId }]) => policyId));
    for (const { map, key } of writes) {
      if (ENDPOINT_MAPS.has(map)) assert.ok(!keys.has(key.join('.')), `endpoint ${key.join('.')} has what it had`);
      else if (map === MAPS.policy.name)
        assert.ok(!policies.has(policyKey.decode(key).policyId), 'a policy is as it was');
      else if (map === MAPS.policyMeta.name)
        assert.ok(!policies.has(policyMetaKey.decode(key).policyId), 'so is its meta entry');
      else assert.fail(`${map} is none of a policy's maps`);
    }
  }

  /** Against a compile that knows nothing of the history. */
  private compare(maps: PolicyMaps, problems: readonly Problem[]): void {
    const state: ClusterState = {
      ...emptyState(),
      namespaces: this.of('Namespace'),
      nodes: this.of('Node'),
      pods: this.of('Pod'),
      networkPolicies: this.of('NetworkPolicy'),
      adminPolicies: this.of('ClusterNetworkPolicy', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy'),
      ciliumPolicies: this.of('CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy'),
      ciliumCIDRGroups: this.of('CiliumCIDRGroup'),
      services: this.of('Service'),
      endpointSlices: this.of('EndpointSlice'),
    };
    const fresh = new Compiler(this.config, this.options).compile(state);
    assert.deepEqual(namedContent(maps, this.provenance), namedContent(fresh.maps, fresh.provenance));
    assert.deepEqual(textsOf(problems), textsOf(fresh.problems));
  }
}

const ENDPOINT_MAPS: ReadonlySet<string> = new Set([MAPS.endpoints4.name, MAPS.endpoints6.name]);

const textsOf = (problems: readonly Problem[]): string[] => problems.map(formatProblem).sort();

/** Whole compiles of everything but services so far. */
export const wholeCompiles = (): number => compiles;
let compiles = 0;
const { compileCluster } = Compiler.prototype;
Compiler.prototype.compileCluster = function (...given) {
  compiles++;
  return compileCluster.apply(this, given);
};
