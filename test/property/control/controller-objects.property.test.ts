// The running control plane under objects of every kind that come, change, go and come again in any order: its maps are those of a
// fresh compile, but for numbers. And after a restart from damaged maps, too. Input: random objects. Output: map content.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compiler } from '../../../src/control/compile.ts';
import type { CompiledMapName, DesiredMaps } from '../../../src/control/desired-map.ts';
import { Controller } from '../../../src/control/controller.ts';
import { controlKey } from '../../../src/control/object-kinds.ts';
import type { ClusterObject, ClusterState } from '../../../src/control/state.ts';
import { backendValue4, backendValue6 } from '../../../src/schema/index.ts';
import { ControllerWorld } from '../../support/controller-world.ts';
import { type Manifest, manifest } from '../../support/object-arbitraries.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { services } from '../../support/service-arbitraries.ts';
import { serviceLinesOf } from '../../support/service-view.ts';

const runs = Number(process.env['WEIR_RUNS'] ?? 300);
const OPTIONS = { kubeProxyReplacement: true, 'maglev.tableSize': 251 } as const;

type Step =
  | { readonly does: 'put'; readonly what: Manifest }
  /** An object that is there: taken away, or told again. None there: one that nobody knows is taken away. */
  | { readonly does: 'remove' | 'repeat'; readonly which: number }
  | { readonly does: 'settle' };
const put = (what: Manifest): Step => ({ does: 'put', what });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: manifest.map(put) },
  { weight: 3, arbitrary: fc.nat().map((which): Step => ({ does: 'remove', which })) },
  { weight: 1, arbitrary: fc.nat().map((which): Step => ({ does: 'repeat', which })) },
  { weight: 2, arbitrary: fc.constant<Step>({ does: 'settle' }) },
);

const objectsOf = (state: ClusterState): ClusterObject[] =>
  Object.values(state).flatMap((list: unknown) => (Array.isArray(list) ? (list as ClusterObject[]) : []));
const keyOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

type Maps = Partial<DesiredMaps>;
/** What can be compared where numbers are others: keys, sizes, and backends with the names of their nodes. */
function factsOf(maps: Maps, nodes: ReadonlyMap<number, string>): unknown {
  const keys = (name: CompiledMapName): string[] =>
    Array.from({ length: maps[name]!.size }, (_, i) => maps[name]!.keyAt(i).join('.')).sort();
  const backends = (['backends4', 'backends6'] as const).flatMap((name) =>
    Array.from({ length: maps[name]!.size }, (_, i) => {
      const type = name === 'backends4' ? backendValue4 : backendValue6;
      const { address, port, protocol, state, nodeId } = type.decode(maps[name]!.valueAt(i));
      return `${String(address)} ${port} ${protocol} ${state} ${nodes.get(nodeId) ?? '-'}`;
    }),
  );
  const sizes = (['policy', 'policyMeta', 'nodes4', 'nodes6'] as const).map((name) => [name, maps[name]!.size]);
  return {
    services: serviceLinesOf(maps as DesiredMaps),
    endpoints: [...keys('endpoints4'), ...keys('endpoints6')],
    ipcache: [...keys('ipcache4'), ...keys('ipcache6')],
    backends: backends.sort(),
    sizes,
  };
}

const lone = (kind: string, name: string, more: object): Manifest =>
  ({ kind, metadata: { name }, ...more }) as Manifest;
const nodeObject = (name: string, address: string): Manifest =>
  lone('Node', name, { apiVersion: 'v1', status: { addresses: [{ type: 'InternalIP', address }] } });
const podObject = (nodeName: string, ip: string, spec: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'x' },
  spec: { nodeName, containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 9999 }] }], ...spec },
  status: { phase: 'Running', podIPs: [{ ip }] },
});
const sliceObject = (of: string, nodeName: string, namespace = 'default'): Manifest => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'e', namespace, labels: { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  ports: [{ name: '', port: 6443, protocol: 'TCP' }],
  endpoints: [{ addresses: ['10.0.0.3'], nodeName }],
});
const chosen: Manifest = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's', namespace: 'x', annotations: { 'service.cilium.io/node-selector': 'zone=a' } },
  spec: { type: 'ClusterIP', clusterIP: '10.96.0.1', ports: [{ port: 80 }] },
};
const zoned = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { zone: 'a' } },
});
const settle: Step = { does: 'settle' };

test('whatever comes and goes, the maps are those of a fresh compile', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.constantFrom(undefined, 'n1'),
      (steps, nodeName) => {
        const config = configWith(OPTIONS);
        const options = nodeName === undefined ? {} : { node: nodeName };
        const controller = new Controller(config, options);
        const there = new Map<string, Manifest>();
        const each = (what: Manifest, does: (object: ClusterObject) => void): void =>
          objectsOf(stateOf(JSON.stringify(what))).forEach(does);
        for (const step of steps) {
          if (step.does === 'settle') controller.settle();
          else if (step.does === 'put') {
            there.set(keyOf(step.what), step.what);
            each(step.what, (object) => controller.upsert(object));
          } else if (there.size === 0) controller.remove('Service', 'x/nobody');
          else {
            const what = [...there.values()][step.which % there.size]!;
            if (step.does === 'remove') there.delete(keyOf(what));
            each(what, (object) => {
              if (step.does === 'remove') controller.remove(object.kind, controlKey(object));
              else controller.upsert(object);
            });
          }
        }
        controller.settle();
        const state = stateOf([...there.values()].map((what) => JSON.stringify(what)).join('\n---\n'));
        const fresh = new Compiler(config, options).compile(state);
        if (fresh.problems.some(({ severity }) => severity === 'error')) return;
        const { nodeNumbers } = controller as unknown as { readonly nodeNumbers: ReadonlyMap<string, number> };
        const names = new Map([...nodeNumbers].map(([name, id]) => [id, name]));
        assert.deepEqual(factsOf(controller.content(), names), factsOf(fresh.maps, fresh.names.nodes));
        assert.deepEqual(controller.settle().writes, []);
      },
    ),
    {
      numRuns: runs,
      examples: [
        // An admin policy was no kind that the running control plane knew.
        [
          [
            put(
              lone('AdminNetworkPolicy', 'a', {
                apiVersion: 'policy.networking.k8s.io/v1alpha1',
                spec: {
                  priority: 5,
                  subject: { namespaces: {} },
                  ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }],
                },
              }),
            ),
            put(podObject('n1', '10.0.0.1')),
          ],
          undefined,
        ],
        // A node that only a pod names was taken for one whose labels are known; and the first of several nodes for all.
        [[put(chosen), put(podObject('n1', '198.18.0.1', { hostNetwork: true })), settle, put(zoned('n1'))], undefined],
        [[put(chosen), put(nodeObject('n1', '198.18.0.1')), settle, put(zoned('n2'))], undefined],
        // The last slice that named a node went, and the node stayed.
        [
          [put(nodeObject('n1', '198.18.0.1')), put(sliceObject('s', 'n2', 'x')), settle, { does: 'remove', which: 1 }],
          undefined,
        ],
        // A slice that was the API server's became another's.
        [
          [put(sliceObject('kubernetes', 'n1')), put(podObject('n1', '10.0.0.1')), settle, put(sliceObject('s', 'n1'))],
          undefined,
        ],
        // An address of a node that a pod has, too; one that a node had.
        [[put(nodeObject('n1', '10.0.0.2')), settle, put(podObject('n2', '10.0.0.2'))], undefined],
        [
          [
            put(nodeObject('n1', '10.0.0.2')),
            put(podObject('', '10.0.0.2')),
            settle,
            put(nodeObject('n1', '10.0.0.4')),
          ],
          undefined,
        ],
      ],
    },
  );
});

/** Something wrong with a dump: an entry that is missing, cut, flipped, all zero, or in another map as well. */
const damage = fc.record({
  map: fc.nat(),
  entry: fc.nat(),
  how: fc.constantFrom(
    'drop' as const,
    'cut key' as const,
    'cut value' as const,
    'flip' as const,
    'zero' as const,
    'elsewhere' as const,
  ),
  at: fc.nat(),
  bit: fc.integer({ min: 0, max: 7 }),
});

test('a restart from damaged maps ends with the same maps, and nothing left to write', () => {
  fc.assert(
    fc.property(
      services,
      services,
      fc.array(damage, { maxLength: 8 }),
      fc.boolean(),
      (before, after, damages, maglev) => {
        const config = { ...OPTIONS, ...(maglev ? { 'loadBalancer.algorithm': 'maglev' as const } : {}) };
        const state = (documents: readonly object[]): ClusterState =>
          stateOf(documents.map((document) => JSON.stringify(document)).join('\n---\n'));
        const world = new ControllerWorld(config);
        world.controller.replaceAll(state(before));
        world.settle();
        const dump = Object.entries(world.dump()).map(
          ([name, entries]) => [name, [...entries]] as [string, [Uint8Array, Uint8Array][]],
        );
        for (const { map, entry, how, at, bit } of damages) {
          const filled = dump.filter(([, entries]) => entries.length > 0);
          const found = filled[map % Math.max(1, filled.length)];
          if (found === undefined) break;
          const entries = found[1];
          const i = entry % entries.length;
          const [key, value] = entries[i]!;
          const flipped = Uint8Array.from(value);
          flipped[at % flipped.length]! ^= 1 << bit;
          if (how === 'drop') entries.splice(i, 1);
          else if (how === 'cut key') entries[i] = [key.slice(0, at % key.length), value];
          else if (how === 'cut value') entries[i] = [key, value.slice(0, at % value.length)];
          else if (how === 'flip') entries[i] = [key, flipped];
          else if (how === 'zero') entries[i] = [key, new Uint8Array(value.length)];
          else dump[at % dump.length]![1].push([key, value]);
        }
        const controller = new Controller(configWith(config));
        controller.restore(Object.fromEntries(dump));
        controller.replaceAll(state(after));
        controller.settle();
        controller.prune(Object.fromEntries(dump));
        const fresh = new Compiler(configWith(config)).compile(state(after));
        const lines = serviceLinesOf(controller.content() as DesiredMaps).join('\n');
        if (!lines.includes('quarantined')) assert.equal(lines, serviceLinesOf(fresh.maps).join('\n'));
        assert.deepEqual(controller.prune(controller.content() as never), []);
        assert.deepEqual(controller.settle().writes, []);
      },
    ),
    { numRuns: runs / 3 },
  );
});
