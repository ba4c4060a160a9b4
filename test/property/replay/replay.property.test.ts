// Whatever a capture holds: every packet ends in exactly one record, in order, with a legal verdict; and the same capture
// gives the same output again. Packets are drawn among known addresses, broken bytes, cut captures and every vantage point.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compactPrinter, FLOW_VERDICTS, jsonpbPrinter, jsonPrinter } from '../../../src/flow/index.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { makeWorld, replayed, type Step } from '../../support/replay-world.ts';

const address = fc.constantFrom(
  '10.0.1.1',
  '10.0.1.3',
  '10.0.2.1',
  '10.0.2.2',
  '10.0.2.4',
  '10.96.0.1',
  '10.96.0.53',
  '192.168.0.1',
  '192.168.0.2',
  '203.0.113.7',
  '10.0.1.99',
  '224.0.0.251',
);
const port = fc.constantFrom(1, 53, 80, 8080, 30080, 40000, 40001);
const spec: fc.Arbitrary<PacketSpec> = fc.record({
  protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'icmp' as const, 'sctp' as const, 47),
  source: address,
  destination: address,
  sourcePort: port,
  destinationPort: port,
  flags: fc.constantFrom('S', 'SA', 'A', 'FA', 'R', 'RA', ''),
  type: fc.constantFrom(0, 3, 8, 11),
  ttl: fc.constantFrom(1, 63, 64),
  payload: fc.uint8Array({ maxLength: 60 }),
});
const step: fc.Arbitrary<Step> = fc
  .record({
    bytes: fc.oneof(
      { weight: 6, arbitrary: spec.map((one) => frame(one)) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }) },
    ),
    flip: fc.option(fc.tuple(fc.nat(60), fc.nat(255)), { freq: 4 }),
    cut: fc.option(fc.nat(70), { freq: 6 }),
    gap: fc.constantFrom(0, 1, 20, 3000, 70_000),
    on: fc.constantFrom('eth0', 'eth1'),
  })
  .map(({ bytes, flip, cut, gap, on }) => {
    const whole = bytes.slice();
    if (flip !== null && flip[0] < whole.length) whole[flip[0]]! ^= flip[1];
    const kept = cut === null ? whole : whole.subarray(0, Math.min(cut, whole.length));
    return { frame: kept, wire: whole.length, ms: gap, on };
  });

const places = ['auto', 'pod:x/a', 'pod:x/web-1', 'node:n1', 'edge', 'any'];

describe('a replay', () => {
  it('gives each packet one record, in order, and the same output twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.constantFrom(...places), async (drawn, at) => {
        let ms = 0;
        const steps = drawn.map((one) => ({ ...one, ms: (ms += one.ms ?? 0) }));
        const text = async (): Promise<string> => {
          const { packets, connections, result } = await replayed(makeWorld(), [steps], { at });
          assert.deepEqual(
            packets.map((one) => one.number),
            steps.map((_, i) => i + 1),
          );
          assert.equal(result.counts.packets, steps.length);
          let counted = 0;
          for (const one of packets) {
            assert.ok(FLOW_VERDICTS.includes(one.verdict));
            assert.equal(one.verdict === 'DROPPED', one.drop !== undefined);
            assert.equal(one.verdict === 'UNKNOWN', one.unknown !== undefined);
            assert.equal(one.verdict === 'OBSERVED', one.observed !== undefined);
            if (one.drop !== undefined) assert.ok(one.drop.code >= 130 && !/^\d+$/.test(one.drop.name), one.drop.name);
          }
          for (const one of connections) counted += one.packets.forward + one.packets.reply;
          assert.ok(counted <= steps.length);
          const printers = [jsonPrinter(), compactPrinter(), jsonpbPrinter()];
          const lines = [...packets, ...connections].flatMap((record) =>
            printers.map((printer) => printer.record(record)),
          );
          for (const line of lines)
            assert.ok(
              line.endsWith('\n') && line.indexOf('\n') === line.length - 1 && !/undefined|NaN/.test(line),
              line,
            );
          return lines.join('');
        };
        assert.equal(await text(), await text());
      }),
      { numRuns: 60 },
    );
  });
});
