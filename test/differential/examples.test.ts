// The committed counterexamples, and a few random sequences, through the simulator and the kernel's programs.
// Where the kernel engine cannot run, its tests are skipped and name what is missing (REQUIRE_KERNEL=1: they fail); then a
// second simulator still shows that every sequence can be run. Input: examples.ts. Output: no difference.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Dataplane } from '../../src/dataplane/index.ts';
import { createSim } from '../../src/dataplane/sim/index.ts';
import { engineB, missing, simulator } from '../support/differential/engines.ts';
import { Histogram } from '../support/differential/histogram.ts';
import { Pair } from '../support/differential/pair.ts';
import { Run } from '../support/differential/run.ts';
import { SPAN } from '../support/differential/traffic.ts';
import { encodeEntry, SIZES } from '../support/differential/world.ts';
import { EXAMPLES } from './examples.ts';

const lacking = missing(undefined);
const strict = process.env['REQUIRE_KERNEL'] === '1';
const skip = lacking === undefined || strict ? false : `missing: ${lacking}`;

for (const [number, { name, sequence }] of EXAMPLES.entries()) {
  test(`can be run: ${name}`, () => {
    const pair = new Pair(simulator(), createSim({ specs: SIZES, seed: 2 }));
    assert.equal(pair.replay(sequence, SPAN * number), undefined);
    const writes = [...sequence.tables, ...sequence.world].map((entry) => encodeEntry(entry, 0));
    assert.deepEqual(simulator().apply(writes), { applied: writes.length });
    assert.ok(sequence.steps.some((step) => 'bytes' in step));
  });
}

test('the kernel does what the simulator does', { skip }, async (t) => {
  assert.equal(lacking, undefined);
  const pairs = new Map<number, Pair>();
  after(() => {
    for (const pair of pairs.values()) pair.close();
  });
  for (const [number, { name, sequence }] of EXAMPLES.entries()) {
    await t.test(name, () => {
      let pair = pairs.get(sequence.loaded);
      if (pair === undefined) pairs.set(sequence.loaded, (pair = new Pair(simulator(), kernel(sequence.loaded))));
      assert.equal(pair.replay(sequence, SPAN * number), undefined);
    });
  }
  await t.test('in random sequences', () => {
    const run = new Run(8, simulator, kernel, new Histogram());
    for (let index = 0; index < 40; index++) assert.equal(run.sequence(index).difference, undefined);
    run.reset();
  });
});

function kernel(loaded: number): Dataplane {
  return engineB('xdp', undefined)(loaded);
}
