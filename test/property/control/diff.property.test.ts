// Properties of diff: nothing dangles after any single write, the writes lead exactly to the wanted content, no change is no
// write, and epochs never stand still when something that they guard has changed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compiler } from '../../../src/control/compile.ts';
import type { DesiredMaps } from '../../../src/control/desired-map.ts';
import type { Config } from '../../../src/control/config/index.ts';
import { diff } from '../../../src/control/diff.ts';
import { MapContent, contentOf } from '../../support/map-content.ts';
import { asText, cluster, policies } from '../../support/policy-arbitraries.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { services } from '../../support/service-arbitraries.ts';

const world = fc.tuple(cluster, policies, services).map((parts) => asText(parts.flat()));
const config: fc.Arbitrary<Partial<Config>> = fc.record({
  kubeProxyReplacement: fc.boolean(),
  'bpf.lbExternalClusterIP': fc.boolean(),
  'loadBalancer.algorithm': fc.constantFrom('random' as const, 'maglev' as const),
  'maglev.tableSize': fc.constant(251),
});

function step(content: MapContent, old: DesiredMaps | undefined, next: DesiredMaps): void {
  for (const write of diff(old, next)) {
    content.apply(write);
    const lost = content.dangling();
    assert.equal(lost, undefined, `after ${write.op} of ${write.map}: ${lost}`);
  }
  assert.deepEqual(content.dump(), contentOf(next));
}

test('no write leaves a dangling reference, and the writes lead to the wanted content', () => {
  fc.assert(
    fc.property(
      config,
      fc.constantFrom(undefined, 'n1'),
      fc.array(world, { minLength: 2, maxLength: 3 }),
      (changes, node, texts) => {
        const compiler = new Compiler(configWith(changes), node === undefined ? {} : { node });
        const content = new MapContent();
        let old: DesiredMaps | undefined;
        for (const text of texts) {
          const { maps, problems } = compiler.compile(stateOf(text));
          assert.deepEqual(
            problems.filter((p) => p.severity === 'error'),
            [],
          );
          step(content, old, maps);
          old = maps;
        }
      },
    ),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 15) },
  );
});

test('the same state compiled again is no write', () => {
  fc.assert(
    fc.property(config, world, (changes, text) => {
      const compiler = new Compiler(configWith(changes));
      const first = compiler.compile(stateOf(text)).maps;
      assert.deepEqual(diff(first, first), []);
      assert.deepEqual(diff(first, compiler.compile(stateOf(text)).maps), []);
    }),
    { numRuns: 20 },
  );
});
