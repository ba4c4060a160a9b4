// When packets of a pod with a bandwidth limit leave. Input: packets at given times. Output: departures, drops, what is kept.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ACTION, DROP, ENDPOINT_FLAG, FEATURE, STAGE, TRACE, TRACE_AT, VERDICT } from '../../../src/schema/index.ts';
import { bandwidthWorld, departureOf, leaving, limitedPod, OUTSIDE } from '../../support/bandwidth-world.ts';
import type { World } from '../../support/datapath-world.ts';

const POD = '10.0.1.1';
const OTHER = '10.0.1.2';
const START = 100_000_000_000n;
const MS = 1_000_000n;
/** One packet of 1,000 bytes every millisecond. */
const RATE = 1_000_000n;

const limited = (rate = RATE, horizon?: bigint): World => {
  const w = bandwidthWorld();
  limitedPod(w, POD, 5, rate, horizon);
  w.endpoint(OTHER, { id: 6 });
  return w;
};

/** What the device says of a packet, as milliseconds behind the start; `drop` beyond the horizon. */
const delays = (w: World, times: readonly bigint[], bytes = 1000): (number | 'drop')[] =>
  times.map((ms) => {
    const at = START + ms * MS;
    const departure = departureOf(leaving(w, POD, at, bytes), at);
    return departure === undefined ? 'drop' : Number(departure - START) / 1e6;
  });

describe('a pod with a limit', () => {
  test('the first packet leaves at once, the others one after the other', () => {
    const w = limited();
    assert.deepEqual(delays(w, [0n, 0n, 0n, 1n, 10n, 10n]), [0, 1, 2, 3, 10, 11]);
  });
  test('the record has the departure, and zeros where there is none', () => {
    const w = limited();
    const first = leaving(w, POD, START, 1000).record;
    assert.deepEqual([first.departureSeconds, first.departureNanoseconds], [0, 0]);
    const second = leaving(w, POD, START + 999_999_999n, 1000).record;
    assert.deepEqual([second.verdict, second.action, second.departureSeconds], [VERDICT.FORWARDED, ACTION.STACK, 0]);
    const third = leaving(w, POD, START + 999_999_999n, 1000).record;
    assert.deepEqual([third.departureSeconds, third.departureNanoseconds], [101, 999_999]);
  });
  test('what would wait beyond the horizon is dropped (162), and costs the next one nothing', () => {
    const w = limited(1000n);
    const times = [0n, 0n, 0n, 0n, 0n, 1000n];
    assert.deepEqual(delays(w, times), [0, 1000, 'drop', 'drop', 'drop', 2000]);
    const { record } = leaving(w, POD, START + 1000n * MS, 1000);
    assert.deepEqual([record.dropReason, record.stage, record.action], [DROP.EDT_HORIZON, STAGE.FORWARD, ACTION.DROP]);
    assert.deepEqual(w.sim.metrics().find(({ reason }) => reason === DROP.EDT_HORIZON)?.packets, 4n);
  });
  test('a delay may be shorter than a nanosecond, or longer than a century', () => {
    assert.deepEqual(delays(limited(2n ** 53n - 1n), [0n, 0n, 0n]), [0, 0, 0]);
    assert.deepEqual(delays(limited(1n, 2n ** 53n - 1n), [0n, 0n], 3000), [2_900_000, 5_900_000]);
  });
  test('a horizon of zero drops whatever would wait', () => {
    assert.deepEqual(delays(limited(RATE, 0n), [0n, 0n, 1n]), [0, 'drop', 1]);
  });
  test('when time goes back, departures do not', () => {
    const w = limited();
    assert.deepEqual(delays(w, [5000n, 5000n, 4999n, 3000n, 0n]), [5000, 5001, 5002, 5003, 5004]);
  });
  test('a clock that began anew far before the last departure drops for no longer than it takes to catch up', () => {
    const w = limited();
    w.map('departures').set({ endpointId: 5 }, { seconds: 0x7fffffff, nanoseconds: 0 });
    assert.deepEqual(delays(w, [0n]), ['drop']);
    w.map('departures').set({ endpointId: 5 }, { seconds: 0xf0000000, nanoseconds: 0 });
    assert.deepEqual(delays(w, [0n]), [0]);
  });
  test('a probe keeps nothing', () => {
    const w = limited();
    const sent = leaving(w, POD, START, 1000);
    const probed = w.runBytes('TO_NETDEV', sent.bytes, { cb0: 5, flags: 2 });
    assert.equal(probed.record.departureNanoseconds, 1_000_000);
    assert.deepEqual(delays(w, [0n]), [1]);
  });
  test('the trace tells the limit and the departure', () => {
    const w = limited();
    w.sim.trace.enabled = true;
    leaving(w, POD, START, 1000);
    const { words } = w.sim.trace;
    const at = words.subarray(TRACE_AT.KIND).indexOf(TRACE.LIMIT);
    assert.deepEqual([words[at + TRACE_AT.RESULT], words[at + TRACE_AT.KEY], words[at + TRACE_AT.VALUE]], [1, 5, 1e6]);
  });
});

describe('whom it concerns', () => {
  test('a pod without a limit is never delayed, and has no lookup', () => {
    const w = limited(1n);
    w.map('limits').set({ endpointId: 6 }, { bytesPerSecond: 1n, horizon: 1n });
    for (let i = 0; i < 3; i++) {
      const result = leaving(w, OTHER, START, 1000);
      assert.equal(departureOf(result, START), START);
    }
    assert.deepEqual(w.map('departures').get({ endpointId: 6 }), { seconds: 0, nanoseconds: 0 });
  });
  test('the flag without a limit delays nothing', () => {
    assert.deepEqual(delays(limited(0n), [0n, 0n]), [0, 0]);
  });
  test('without the feature nothing is limited', () => {
    const w = limited(1n);
    w.disable(FEATURE.BANDWIDTH);
    assert.deepEqual(delays(w, [0n, 0n]), [0, 0]);
  });
  test('only what leaves: between pods of the node there is no limit', () => {
    const w = limited(1n);
    const spec = { protocol: 'udp', source: POD, destination: OTHER, sourcePort: 1, destinationPort: 2 } as const;
    for (let i = 0; i < 3; i++) {
      const sent = w.run('FROM_CONTAINER', spec);
      assert.deepEqual([sent.record.action, w.meta.cb0], [ACTION.LOCAL, 0]);
      assert.equal(w.next('TO_CONTAINER', sent).record.dropReason, 0);
    }
  });
  test('who sent is known by from-container, whatever the source is by then', () => {
    const w = limited();
    leaving(w, POD, START, 1000);
    assert.equal(w.meta.cb0, 5);
    assert.equal(departureOf(leaving(w, POD, START, 1000, 'device'), START), START);
  });
  test('what comes from elsewhere with an endpoint’s number has that endpoint’s limit; out of range it has none', () => {
    const w = limited();
    for (const cb0 of [-1, 64, 0x7fffffff]) {
      const { record } = w.run('TO_NETDEV', { protocol: 'udp', source: POD, destination: OUTSIDE }, { cb0 });
      assert.deepEqual([record.dropReason, record.departureNanoseconds], [0, 0]);
    }
  });
  test('a dropped packet leaves no translation behind', () => {
    const w = limited(RATE, 0n);
    w.enable(FEATURE.MASQUERADE_V4).node(1, '10.0.0.1');
    leaving(w, POD, START, 1000);
    assert.equal(w.sim.maps.nat4.size, 2);
    const spec = { protocol: 'udp', source: POD, destination: '192.0.2.8', sourcePort: 1, destinationPort: 2 } as const;
    const { record } = w.run('TO_NETDEV', spec, { cb0: 5 });
    assert.deepEqual([record.dropReason, w.sim.maps.nat4.size], [DROP.EDT_HORIZON, 2]);
  });
  test('flags besides the limit do not hide it', () => {
    const w = limited();
    w.endpoint(POD, { id: 5, flags: ENDPOINT_FLAG.LIMITED | ENDPOINT_FLAG.NO_SOURCE_CHECK });
    assert.deepEqual(delays(w, [0n, 0n]), [0, 1]);
  });
});
