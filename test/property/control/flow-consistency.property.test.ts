// Consistency over random histories, Controller and simulator together: a flow that was seen keeps its backend unless that left,
// at every hook that chooses backends; each break has a cause that is known and allowed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type BackendState, type Entry, FlowHistory, LIFETIME, type Step } from '../../support/flow-history.ts';

const FLOWS = 12;
const state = fc.constantFrom<BackendState>('absent', 'ready', 'ready', 'ready', 'draining', 'idle');
const backends = fc.record({
  kind: fc.constant('backends' as const),
  states: fc.array(state, { minLength: 0, maxLength: 6 }),
  heavy: fc.integer({ min: 1, max: 4 }),
});
const flow = fc.nat(FLOWS - 1);
const step = fc.oneof(
  { weight: 14, arbitrary: fc.record({ kind: fc.constant('packet' as const), flow }) },
  { weight: 3, arbitrary: backends },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('evict' as const), flow }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: LIFETIME }) }),
  },
);
/** All flows are seen once, then things happen, then all are seen again. */
const everyone: Step[] = Array.from({ length: FLOWS }, (_, i) => ({ kind: 'packet', flow: i }));
const history = fc
  .tuple(backends, fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }))
  .map(([first, steps]): Step[] => [first, ...everyone, ...steps, ...everyone]);

const packets = (...flows: number[]): Step[] => flows.map((number) => ({ kind: 'packet', flow: number }));
const to = (...states: BackendState[]): Step => ({ kind: 'backends', states });
const weighted = (heavy: number, ...states: BackendState[]): Step => ({ kind: 'backends', states, heavy });
const wait = (seconds: number): Step => ({ kind: 'wait', seconds });
const restart: Step = { kind: 'restart' };
const evict = (flow: number): Step => ({ kind: 'evict', flow });
/** Histories that this property once stumbled over. */
const EXAMPLES: [boolean, Step[]][] = [
  // A backend that left for a while and came back.
  [false, [to('ready'), ...everyone, to(), to('ready', 'ready'), ...everyone]],
  [false, [to('ready'), ...everyone, to(), to('draining', 'ready'), ...everyone]],
  // A flow that opened while its slot was on the move, and was forgotten.
  [false, [to(), to('ready'), ...packets(0), restart, to('ready', 'ready'), ...packets(6), evict(6), ...everyone]],
  // A new connection of old ports is served by the entry of the old one, until that is evicted.
  [
    true,
    [
      ...[to('ready'), ...everyone, to('absent', 'absent', 'draining'), ...packets(3)],
      ...[to('ready', 'absent', 'ready'), ...packets(3), restart, evict(3), ...everyone],
    ],
  ],
  // The same where a restart has made the slot's motion last longer.
  [
    false,
    [
      ...[to('absent', 'ready'), ...everyone, to('ready'), to('draining', 'ready'), wait(48), ...packets(0, 1)],
      ...[evict(0), restart, wait(53), ...packets(0), evict(0), ...everyone],
    ],
  ],
  // What an older connection of the same ports left while its slot moved counts when the slot moves again.
  [
    false,
    [
      ...[to('absent', 'absent', 'absent', 'ready'), ...everyone, to('absent', 'absent', 'draining')],
      ...[weighted(3, 'absent', 'ready', 'ready'), wait(8), ...packets(9), wait(93), ...packets(9)],
      ...[weighted(1, 'absent', 'ready', 'ready'), ...packets(0), wait(1), ...everyone],
    ],
  ],
  // A connection that an older one's entry serves outlives the change that the older one saw, not the last one.
  [
    true,
    [
      ...[
        to('draining', 'absent', 'idle'),
        ...everyone,
        weighted(4, 'draining', 'idle', 'ready', 'ready', 'draining', 'ready'),
      ],
      ...[...everyone, weighted(1, 'ready', 'ready', 'ready'), wait(34), ...packets(9)],
      ...[weighted(3, 'ready', 'ready', 'ready'), ...packets(9), wait(77), ...packets(9)],
    ],
  ],
  // From one backend to two and back, across a restart.
  [false, [to('ready'), ...everyone, restart, to('ready', 'ready'), ...everyone, to('ready', 'draining'), ...everyone]],
  // Drained for longer than both tables are kept, then its old slot's new owner drains too, and is the one that is asked.
  [
    false,
    [
      ...[to(), to('absent', 'ready'), ...packets(9), to('ready', 'draining')],
      ...[wait(18), ...packets(9), wait(83), to('draining', 'draining'), ...everyone],
    ],
  ],
  // An entry from before a restart names a number of nobody: a newcomer got it, as the allocator had forgotten that it rests.
  [
    false,
    [
      ...[to('idle', 'draining', 'ready'), ...packets(0), to('ready', 'ready'), to('idle'), to('ready'), restart],
      ...[...packets(0, 0, 0), to('draining', 'ready'), to('ready'), wait(1), to('ready', 'draining'), ...everyone],
    ],
  ],
];

for (const entry of ['XDP', 'FROM_NETDEV', 'FROM_CONTAINER'] as const satisfies readonly Entry[]) {
  describe(entry, () => {
    test('each break is explained', () => {
      const kinds = new Map<string, number>();
      fc.assert(
        fc.property(fc.boolean(), history, (six, steps) => {
          for (const { kind, cause, text } of new FlowHistory(entry, six).run(steps).fates) {
            assert.notEqual(cause, 'unexplained', text);
            const name = cause === undefined ? kind : `${kind}: ${cause}`;
            kinds.set(name, (kinds.get(name) ?? 0) + 1);
          }
        }),
        { numRuns: Number(process.env['WEIR_RUNS'] ?? 60), includeErrorInReport: true, examples: EXAMPLES },
      );
      assert.ok((kinds.get('kept') ?? 0) > 100);
    });
  });
}
