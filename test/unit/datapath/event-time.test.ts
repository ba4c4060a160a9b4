// The time in events: two words that are exactly seconds · 10⁹ + nanoseconds, wherever the words carry.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Meta, Packet } from '../../../src/dataplane/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { configValue, eventRecord, FEATURE, HOOK, MAPS } from '../../../src/schema/index.ts';

test('events carry the packet’s time to the nanosecond', () => {
  const sim = createSim({ seed: 1 });
  const config = new Uint8Array(configValue.bytes);
  new DataView(config.buffer).setUint32(configValue.at.features, FEATURE.EVENTS | FEATURE.IPV4, true);
  const write = { map: MAPS.config.name, op: 'update', key: new Uint8Array(4), value: config } as const;
  assert.equal(sim.apply([write]).failed, undefined);
  const event = new Uint8Array(eventRecord.bytes);
  const frame = new Uint8Array(60).fill(0xff); // no Ethernet type that a pod may send: a drop, and its event
  const packet = new Packet();
  const check = (seconds: number, nanoseconds: number): void => {
    sim.run(HOOK.FROM_CONTAINER, packet.set(frame, seconds, nanoseconds), new Meta());
    assert.ok(sim.events.poll(event));
    const { timeLow, timeHigh } = eventRecord.decode(event);
    assert.equal((BigInt(timeHigh) << 32n) | BigInt(timeLow), BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
    assert.ok(!sim.events.poll(event));
  };
  const seconds = fc.oneof(fc.nat(100), fc.nat(0x7fffffff));
  fc.assert(fc.property(seconds, fc.nat(999_999_999), check), {
    examples: [
      [0, 0],
      [4, 294_967_295],
      [4, 294_967_296],
      [0x7fffffff, 999_999_999],
      [0xffff, 0],
      [0x10000, 1],
    ],
  });
});

test('a slot of the ring keeps nothing of the event that was there before', () => {
  const sim = createSim({ specs: { events: { maxEntries: 1 } }, seed: 1 });
  const config = new Uint8Array(configValue.bytes);
  new DataView(config.buffer).setUint32(configValue.at.features, FEATURE.EVENTS | FEATURE.IPV4, true);
  sim.apply([{ map: MAPS.config.name, op: 'update', key: new Uint8Array(4), value: config }]);
  const packet = new Packet();
  const frame = new Uint8Array(60).fill(0xff);
  const [first, again] = [new Uint8Array(eventRecord.bytes), new Uint8Array(eventRecord.bytes)];
  sim.run(HOOK.FROM_CONTAINER, packet.set(frame), new Meta());
  assert.ok(sim.events.poll(first));
  const { words } = sim.events as unknown as { words: Int32Array };
  words.fill(-1);
  sim.run(HOOK.FROM_CONTAINER, packet.set(frame), new Meta());
  assert.ok(sim.events.poll(again));
  assert.deepEqual(again, first);
});
