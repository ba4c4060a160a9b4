// The differential run finds what it is for: every kind of difference, in few packets, and makes it small.
// Input: a simulator against one that is wrong in one way. Output: the difference, its kind, a counterexample that fails alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFunction } from 'node:vm';
import { createSim } from '../../src/dataplane/sim/index.ts';
import { CT_FLAG, ctEntry, decisionRecord, DROP, HOOK, VERDICT } from '../../src/schema/index.ts';
import { type Fault, FaultyDataplane } from '../support/differential/faulty-dataplane.ts';
import { Histogram } from '../support/differential/histogram.ts';
import { sequenceText } from '../support/differential/literal.ts';
import { type Difference, Pair } from '../support/differential/pair.ts';
import { Run } from '../support/differential/run.ts';
import { shrink } from '../support/differential/shrink.ts';
import { NO_META, type Sequence } from '../support/differential/step.ts';
import { SPAN } from '../support/differential/traffic.ts';
import { config, hex, SIZES } from '../support/differential/world.ts';

const sim = () => createSim({ specs: SIZES, seed: 1 });
const R = decisionRecord.at;

/** Runs sequences until one differs, and cuts it down. */
function hunt(fault: () => Fault): { difference: Difference; small: Sequence; again: Difference } {
  const run = new Run(5, sim, () => new FaultyDataplane(sim(), fault()), new Histogram());
  for (let index = 0; index < 120; index++) {
    const { sequence, difference } = run.sequence(index);
    if (difference === undefined) continue;
    let attempts = 0;
    const pair = new Pair(sim(), new FaultyDataplane(sim(), fault()));
    const replay = (candidate: Sequence): Difference | undefined => pair.replay(candidate, SPAN * ++attempts);
    const small = shrink(sequence, (candidate) => replay(candidate) !== undefined);
    return { difference, small, again: replay(small)! };
  }
  assert.fail('no difference in 120 sequences');
}

const FAULTS: readonly (readonly [string, Difference['what'], () => Fault])[] = [
  [
    'a field of the record',
    'record',
    () => ({
      afterRun(engine, _hook, _packet, _meta, verdict) {
        if (engine.record[R.dropReason] === DROP.NO_SERVICE) engine.record[R.reverseNat]! ^= 1;
        return verdict;
      },
    }),
  ],
  [
    'another verdict',
    'verdict',
    () => ({
      afterRun: (engine, _hook, _packet, _meta, verdict) =>
        engine.record[R.dropReason] === DROP.POLICY_DENY ? VERDICT.FORWARDED : verdict,
    }),
  ],
  [
    'a byte of the packet',
    'bytes',
    () => ({
      afterRun(_engine, hook, packet, _meta, verdict) {
        if (hook === HOOK.TO_CONTAINER && verdict === VERDICT.FORWARDED) packet.bytes[packet.capturedEnd - 1]! ^= 1;
        return verdict;
      },
    }),
  ],
  [
    'a frame that is shorter',
    'bytes',
    () => ({
      afterRun(_engine, hook, packet, _meta, verdict) {
        if (hook === HOOK.XDP && verdict === VERDICT.FORWARDED) packet.capturedEnd--;
        return verdict;
      },
    }),
  ],
  [
    'the mark',
    'meta',
    () => ({
      afterRun(_engine, _hook, _packet, meta, verdict) {
        if (meta.mark !== 0) meta.mark ^= 0x100;
        return verdict;
      },
    }),
  ],
  ['an event that does not come', 'event', () => ({ event: (bytes) => bytes[0] !== 5 })],
  [
    'a byte of an event',
    'event',
    () => ({
      event(bytes) {
        if (bytes[0] === 1) bytes[20]! ^= 1;
        return true;
      },
    }),
  ],
  [
    'the content of a conntrack entry',
    'map',
    () => ({
      afterRun(engine, _hook, _packet, _meta, verdict) {
        for (const [key, value] of engine.maps.ctTcp4.entries()) {
          // A byte that nothing reads again; set and not turned, or an even number of packets would hide it.
          value[ctEntry.at.natAddress] = 1;
          engine.maps.ctTcp4.update(key, value);
        }
        return verdict;
      },
    }),
  ],
  [
    'an entry too many',
    'map',
    () => ({
      afterRun(engine, hook, _packet, _meta, verdict) {
        if (hook === HOOK.TO_NETDEV) engine.maps.fragments6.update(new Uint8Array(40).fill(9), new Uint8Array(4));
        return verdict;
      },
    }),
  ],
  [
    'an entry too few',
    'map',
    () => ({
      afterRun(engine, _hook, _packet, _meta, verdict) {
        for (const [key, value] of engine.maps.ctAnyNew4.entries()) {
          if ((value[ctEntry.at.flags]! & CT_FLAG.LOOPBACK) !== 0) engine.maps.ctAnyNew4.delete(key);
        }
        return verdict;
      },
    }),
  ],
  [
    'a counter',
    'metrics',
    () => ({
      afterRun(engine, _hook, packet, _meta, verdict) {
        if (engine.record[R.dropReason] !== DROP.INVALID) return verdict;
        const key = new Uint8Array(4);
        const value = new Uint8Array(16);
        new DataView(key.buffer).setUint32(0, DROP.INVALID * 4 + 1, true);
        engine.maps.metrics.lookup(key, value);
        value[8]! ^= packet.nanoseconds > 0 ? 1 : 2;
        engine.maps.metrics.update(key, value);
        return verdict;
      },
    }),
  ],
  [
    'a write of control that is not done',
    'map',
    () => ({ writes: (write) => write.map !== 'weir_neighbours6' || write.op === 'delete' }),
  ],
];

for (const [name, what, fault] of FAULTS) {
  test(`finds ${name}`, () => {
    const { small, again } = hunt(fault);
    assert.equal(again.what, what);
    assert.ok(small.steps.length <= 4, `${small.steps.length} steps are left`);
    assert.ok(small.world.length <= 12, `${small.world.length} entries are left`);
    assert.ok(again.detail.length > 0);
    // The printed text is the sequence.
    const text = sequenceText(small);
    const read = compileFunction(`return ${text}`, ['hex', 'config', 'NO_META'])(hex, config, NO_META) as Sequence;
    assert.deepEqual(structuredClone(read), structuredClone(small));
  });
}

test('two simulators do the same, and a sequence is the same alone as among others', () => {
  const run = new Run(9, sim, sim, new Histogram());
  const among = Array.from({ length: 40 }, (_, index) => run.sequence(index));
  for (const { difference } of among) assert.equal(difference, undefined);
  for (const index of [3, 17, 39]) {
    const alone = new Run(9, sim, sim, new Histogram()).sequence(index);
    assert.equal(sequenceText(alone.sequence), sequenceText(among[index]!.sequence));
  }
});

test('a pair holds nothing after a sequence but its tables', () => {
  const a = sim();
  const b = sim();
  const run = new Run(
    2,
    () => a,
    () => b,
    new Histogram(),
  );
  // Set 0 and the next four share one pair of engines.
  for (let index = 0; index < 5; index++) run.sequence(index);
  for (const engine of [a, b]) {
    for (const [name, map] of Object.entries(engine.maps)) {
      if (name.startsWith('maglev') || map.spec.kind === 'percpu-array') continue;
      if (map.spec.kind === 'array')
        for (const [, value] of map.entries()) assert.ok(value.every((byte) => byte === 0));
      else assert.equal(map.size, 0, name);
    }
  }
});
