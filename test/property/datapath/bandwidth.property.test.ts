// Bandwidth limits against a model with big integers: departures, and what leaves until any time. Input: random rates, horizons,
// sizes and arrival times, going back now and then.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bandwidthWorld, departureOf, leaving, limitedPod } from '../../support/bandwidth-world.ts';

const SECOND = 1_000_000_000n;
const POD = '10.0.1.1';
const FREE = '10.0.1.2';

const step = fc.record({
  /** Nanoseconds since the packet before. */
  after: fc.oneof(
    fc.bigInt({ min: 0n, max: 2_000_000n }),
    fc.bigInt({ min: 0n, max: 5n * SECOND }),
    fc.bigInt({ min: -3n * SECOND, max: 0n }),
  ),
  bytes: fc.integer({ min: 42, max: 9000 }),
  free: fc.boolean(),
});

test('departures are the model’s, and no window holds more than the limit and one packet', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.bigInt({ min: 1n, max: 1_000_000n }), fc.bigInt({ min: 1n, max: 2n ** 53n - 1n })),
      fc.bigInt({ min: 0n, max: 4n * SECOND }),
      fc.array(step, { minLength: 1, maxLength: 40 }),
      (rate, horizon, steps) => {
        const w = bandwidthWorld();
        limitedPod(w, POD, 5, rate, horizon);
        w.endpoint(FREE, { id: 6 });
        let clock = 1000n * SECOND;
        let latest = 0n;
        let last = 0n;
        const left: { at: bigint; bytes: number }[] = [];
        for (const { after, bytes, free } of steps) {
          clock += after;
          // The datapath's own time: a second that was never goes back, and begins anew for what comes late.
          const second = clock / SECOND;
          const now = second < latest ? latest * SECOND : clock;
          if (second > latest) latest = second;
          const departure = departureOf(leaving(w, free ? FREE : POD, clock, bytes), now);
          if (free) {
            assert.equal(departure, now);
            continue;
          }
          const due = last + (BigInt(bytes) * SECOND) / rate;
          if (due <= now) {
            assert.equal(departure, now);
            last = now;
          } else if (due - now >= horizon) {
            assert.equal(departure, undefined);
            continue;
          } else {
            assert.equal(departure, due);
            last = due;
          }
          left.push({ at: last, bytes });
        }
        // From any departure to any later one: all but the first of them have waited their turn.
        for (let i = 0; i < left.length; i++) {
          let sum = 0n;
          for (let j = i + 1; j < left.length; j++) {
            sum += BigInt(left[j]!.bytes);
            // A delay is rounded down: a nanosecond a packet.
            assert.ok(sum * SECOND <= (left[j]!.at - left[i]!.at + BigInt(j - i)) * rate);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
