// Answers to what is dropped: whole, right checksums, to who sent; the quote is what was sent; never an answer to an answer.
// Input: packets of pods and of the network that nothing serves or nobody allows. Output: what leaves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ACTION, FEATURE, RECORD_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { frame, type PacketSpec, plainAddress } from '../../support/packets.ts';

const pods = { 4: '10.0.1.1', 6: 'fd00::1' } as const;
const served = { 4: '172.16.0.1', 6: 'fd10::1' } as const;

const packets = fc.record({
  family: fc.constantFrom(4, 6),
  hook: fc.constantFrom('FROM_CONTAINER', 'FROM_NETDEV'),
  protocol: fc.constantFrom('tcp', 'udp', 'sctp', 'echo'),
  sourcePort: fc.nat(65535),
  destinationPort: fc.constantFrom(80, 81, 8080),
  flags: fc.constantFrom('S', 'A', 'PA', 'F', 'SF', 'R', 'RA', ''),
  sequence: fc.oneof(fc.nat(), fc.constantFrom(0xffffffff, 0x80000000)),
  ttl: fc.constantFrom(0, 1, 2, 64),
  payload: fc.uint8Array({ maxLength: 1400 }),
  far: fc.boolean(),
});

test('answers are whole and right, and nothing answers them', () => {
  let answers = 0;
  fc.assert(
    fc.property(fc.array(packets, { maxLength: 20 }), fc.boolean(), fc.boolean(), (list, reset, translated) => {
      const w = new World();
      w.enable(FEATURE.NODE_PORT, FEATURE.NO_BACKEND_REJECT, FEATURE.POLICY_DENY_ICMP, FEATURE.PMTU_DISCOVERY);
      if (reset) w.enable(FEATURE.POLICY_DENY_RESET);
      w.policy(3, { egress: [] });
      for (const family of [4, 6] as const) {
        w.endpoint(pods[family], { policyId: 3 });
        w.backend(7, pods[family], 8080);
        for (const protocol of ['tcp', 'udp'] as const) {
          w.service(served[family], 80, { backends: [], protocol });
          w.service(served[family], 81, { backends: translated ? [7] : [], protocol });
        }
      }
      for (const p of list) {
        const family = p.family as 4 | 6;
        const icmp = p.protocol === 'echo';
        const spec: PacketSpec = {
          protocol: icmp ? (family === 4 ? 'icmp' : 'icmpv6') : (p.protocol as 'tcp'),
          type: family === 4 ? 8 : 128,
          source: p.hook === 'FROM_CONTAINER' ? pods[family] : family === 4 ? '203.0.113.9' : '2001:db8::9',
          destination: p.far ? (family === 4 ? '192.0.2.1' : '2001:db8:2::1') : served[family],
          sourcePort: p.sourcePort,
          destinationPort: p.destinationPort,
          flags: p.flags,
          sequence: p.sequence,
          ttl: p.ttl,
          payload: p.payload,
        };
        const sent = frame(spec);
        const result = w.runBytes(p.hook as 'FROM_NETDEV', sent);
        if ((result.record.flags & RECORD_FLAG.ANSWERED) === 0) continue;
        answers++;
        assert.deepEqual([result.verdict, result.record.action], [VERDICT.DROPPED, ACTION.TX]);
        assert.ok(result.checksumsRight);
        assert.equal(result.destination, plainAddress(spec.source));
        assert.deepEqual([result.destinationMac, result.sourceMac], ['02:00:00:00:00:01', '02:00:00:00:00:02']);
        const l3 = result.bytes.length - 14;
        const header = family === 4 ? 20 : 40;
        assert.ok(l3 <= (family === 4 ? header + 8 + 64 : 1280));
        if (result.protocol === 6) {
          assert.equal(l3, header + 20);
          assert.ok(!p.flags.includes('R') && spec.protocol === 'tcp');
          assert.deepEqual([result.sourcePort, result.destinationPort], [p.destinationPort, p.sourcePort]);
        } else {
          const quote = result.bytes.slice(14 + header + 8);
          assert.deepEqual(quote, sent.slice(14, 14 + quote.length));
          assert.equal(quote.length, Math.min(sent.length - 14, family === 4 ? 64 : 1232));
        }
        for (const hook of ['FROM_CONTAINER', 'FROM_NETDEV'] as const) {
          const again = w.runBytes(hook, result.bytes);
          if (result.protocol === 6) continue;
          assert.equal(again.record.flags & RECORD_FLAG.ANSWERED, 0);
        }
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(answers > 300, `only ${answers} answers`);
});
