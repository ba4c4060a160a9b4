// No allocation per packet: the heap after many packets is where it was, give or take far less than one object a packet.
// Input: warm paths. Not timed. One small object a packet would show as 160,000 bytes or more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FEATURE, HOOK, VERDICT } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
/** Few enough that even an allocating round would seldom meet a collection of the young generation. */
const PACKETS = 10_000;
const BOUND = 60_000;

function world(): World {
  const w = new World({ specs: { ctTcpNew4: { maxEntries: 64 }, ctAnyNew4: { maxEntries: 64 } } });
  w.endpoint(A, { policyId: 3 }).endpoint(B).backend(5, B, 8080);
  w.policy(3, { egress: [{ protocol: 'tcp' }], ingress: [] });
  w.service('172.16.0.1', 80, { backends: [5], affinitySeconds: 1000 });
  return w;
}
const request: PacketSpec = {
  protocol: 'tcp',
  source: A,
  destination: '172.16.0.1',
  sourcePort: 1000,
  destinationPort: 80,
};
const answer: PacketSpec = {
  protocol: 'tcp',
  source: B,
  destination: A,
  sourcePort: 8080,
  destinationPort: 1000,
  flags: 'SA',
};

/** Bytes that the heap grew by while `PACKETS` packets ran: the median of nine rounds, since one may meet a collection. */
function growth(w: World, hook: number, packets: readonly Uint8Array[], verdict: number): number {
  const buffer = new Uint8Array(packets[0]!.length);
  const round = (count: number): number => {
    let wrong = 0;
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < count; i++) {
      buffer.set(packets[i % packets.length]!);
      if (w.sim.run(hook, w.packet.set(buffer, w.now), w.meta.reset()) !== verdict) wrong++;
    }
    const after = process.memoryUsage().heapUsed;
    assert.equal(wrong, 0);
    return after - before;
  };
  round(6 * PACKETS);
  return Array.from({ length: 9 }, () => round(PACKETS)).sort((a, b) => a - b)[4]!;
}

const many = (spec: PacketSpec, field: 'sourcePort' | 'destinationPort'): Uint8Array[] =>
  Array.from({ length: 997 }, (_, i) => frame({ ...spec, [field]: 2000 + i }));

test('an established connection through a service', () => {
  const w = world();
  w.run('FROM_CONTAINER', request);
  w.run('TO_CONTAINER', answer);
  const bytes = frame({ ...request, flags: 'A' });
  assert.ok(growth(w, HOOK.FROM_CONTAINER, [bytes], VERDICT.FORWARDED) < BOUND);
});

test('answers, translated back', () => {
  const w = world();
  w.run('FROM_CONTAINER', request);
  assert.ok(growth(w, HOOK.TO_CONTAINER, [frame(answer)], VERDICT.FORWARDED) < BOUND);
});

test('new connections in full maps: choice, affinity, eviction, creation', () => {
  const w = world();
  assert.ok(growth(w, HOOK.FROM_CONTAINER, many(request, 'sourcePort'), VERDICT.FORWARDED) < BOUND);
});

test('drops by policy, with events and accounting on', () => {
  const w = world();
  w.enable(FEATURE.EVENTS, FEATURE.CT_ACCOUNTING);
  assert.ok(growth(w, HOOK.TO_CONTAINER, many(answer, 'destinationPort'), VERDICT.DROPPED) < BOUND);
});

test('malformed frames', () => {
  const w = world();
  const bytes = frame(request);
  bytes[14] = 0x41;
  assert.ok(growth(w, HOOK.FROM_CONTAINER, [bytes], VERDICT.DROPPED) < BOUND);
});
