// The running control plane against a fresh compile: whatever the history of objects, the maps are the same but for numbers;
// no write on the way leaves a dangling reference; a restart in the middle changes nothing; pruning what is right is no write.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compiler } from '../../../src/control/compile.ts';
import type { Config } from '../../../src/control/config/index.ts';
import type { ClusterObject } from '../../../src/control/state.ts';
import { ControllerWorld } from '../../support/controller-world.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { services } from '../../support/service-arbitraries.ts';
import { node } from '../../support/service-objects.ts';
import { serviceLinesOf } from '../../support/service-view.ts';

const config: fc.Arbitrary<Partial<Config>> = fc.record({
  kubeProxyReplacement: fc.boolean(),
  'bpf.lbExternalClusterIP': fc.boolean(),
  'loadBalancer.algorithm': fc.constantFrom('random' as const, 'maglev' as const),
  'maglev.tableSize': fc.constant(251),
});
const sick = fc.record({ host: fc.integer({ min: 1, max: 6 }), healthy: fc.boolean() });
const history = fc.array(fc.tuple(services, fc.array(sick, { maxLength: 2 }), fc.constantFrom('go on', 'restart')), {
  minLength: 2,
  maxLength: 4,
});

test('any history leads to what a fresh compile has', () => {
  fc.assert(
    fc.property(config, history, (changes, steps) => {
      const world = new ControllerWorld(changes, 'n1');
      const ids = new Map<string, number>();
      for (const [documents, facts, what] of steps) {
        if (what === 'restart') world.restart(changes);
        const nodeText = node(['198.18.0.1', 'fd00:18::1']).replace('"home"', '"n1"');
        const state = stateOf([nodeText, ...documents.map((document) => JSON.stringify(document))].join('\n---\n'));
        for (const { host, healthy } of facts)
          world.controller.learn({
            namespace: 'x',
            name: 's0',
            address: `10.244.9.${host}`,
            port: 8080,
            protocol: 'TCP',
            healthy,
          });
        world.controller.replaceAll(state);
        world.settle();
        if (what === 'restart') world.prune();
        // Quarantines are facts that no manifest tells: they are left out of the comparison with a compile.
        const lines = world.lines;
        if (!lines.includes('quarantined')) {
          const fresh = new Compiler(configWith(changes), { node: 'n1' }).compile(state);
          assert.equal(lines, serviceLinesOf(fresh.maps).join('\n'));
        }
        // What stays keeps its number, through restarts as well.
        const now = world.frontendIds;
        for (const [name, id] of ids) if (name in now) assert.equal(now[name], id, name);
        ids.clear();
        for (const [name, id] of Object.entries(now)) ids.set(name, id);
        world.prune();
        assert.deepEqual(world.writes, []);
      }
      const none: readonly ClusterObject[] = [];
      for (const kind of ['Service', 'EndpointSlice'] as const) world.controller.replace(kind, none);
      world.settle();
      assert.equal(world.lines, '');
    }),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 25) },
  );
});

test('the order of objects within a batch does not matter, and a batch twice is nothing', () => {
  fc.assert(
    fc.property(config, services, fc.infiniteStream(fc.nat()), (changes, documents, order) => {
      const state = stateOf(documents.map((document) => JSON.stringify(document)).join('\n---\n'));
      const objects = [...state.services, ...state.endpointSlices];
      const one = new ControllerWorld(changes);
      for (const object of objects) one.controller.upsert(object);
      one.settle();
      const other = new ControllerWorld(changes);
      const left = [...objects];
      while (left.length > 0) other.controller.upsert(left.splice(order.next().value! % left.length, 1)[0]!);
      other.settle();
      assert.deepEqual(other.content.dump(), one.content.dump());
      for (const object of objects) one.controller.upsert(object);
      one.settle();
      assert.deepEqual(one.writes, []);
    }),
    { numRuns: 30 },
  );
});
