// Garbage collection on capture time shows in no record: the same capture with and without it, with pauses that let connections
// expire and passes come due.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CaptureReader, memorySource } from '../../../src/capture/index.ts';
import { replay } from '../../../src/replay/index.ts';
import { frame } from '../../support/packets.ts';
import { captureOf, makeWorld, type Step } from '../../support/replay-world.ts';

const drawn = fc.array(
  fc.record({
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    peer: fc.constantFrom('10.96.0.1', '10.0.2.1', '10.0.2.4'),
    port: fc.constantFrom(40000, 40001),
    forward: fc.boolean(),
    flags: fc.constantFrom('S', 'SA', 'A', 'FA', 'R'),
    /** Seconds since the packet before. */
    gap: fc.constantFrom(0, 0, 1, 10, 59, 61, 300, 9000),
  }),
  { minLength: 5, maxLength: 60 },
);

test('records and counters are the same with and without', async () => {
  let passes = 0;
  let connections = 0;
  await fc.assert(
    fc.asyncProperty(drawn, fc.constantFrom('any', 'node:n1', 'pod:x/a'), async (packets, at) => {
      let ms = 0;
      const steps = packets.map(({ protocol, peer, port, forward, flags, gap }): Step => {
        ms += 1000 * gap + 1;
        const service = peer === '10.96.0.1' ? 80 : 8080;
        const [source, sourcePort, destination, destinationPort] = forward
          ? (['10.0.1.1', port, peer, service] as const)
          : ([peer, service, '10.0.1.1', port] as const);
        return { frame: frame({ protocol, source, destination, sourcePort, destinationPort, flags }), ms };
      });
      const run = async (collect: boolean): Promise<unknown> => {
        const { sim: dataplane, state } = makeWorld();
        const source = new CaptureReader(memorySource([captureOf(steps)]));
        const records: unknown[] = [];
        const result = await replay(
          { captures: [{ path: 'a', source }], dataplane, state, at, collect },
          { packet: (judged) => void records.push(judged.record()) },
        );
        passes += result.collected.passes;
        connections += result.collected.connections;
        assert.ok(collect || result.collected.passes === 0);
        return { records, verdicts: result.counts.verdicts, flows: result.flows };
      };
      assert.deepEqual(await run(true), await run(false));
    }),
    { numRuns: 60 },
  );
  assert.ok(passes > 20 && connections > 20, `${passes} passes took ${connections} connections`);
});
