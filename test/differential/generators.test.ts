// The generators: frames are what their description says (read by the tests' own reader), checksums right, chance repeatable,
// worlds whole. Input: many draws. Output: what holds for each of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSim } from '../../src/dataplane/sim/index.ts';
import { MAPS, type MapSpec } from '../../src/schema/index.ts';
import { ICMP, ICMPV6, SCTP, TCP, UDP } from '../support/differential/cast.ts';
import { frame, type FrameSpec, PLAIN, transport } from '../support/differential/frame.ts';
import { LONGEST, mutated, noise, SHORTEST } from '../support/differential/mutate.ts';
import { FEATURE_SETS, featuresOf, ALL_FEATURES } from '../support/differential/random-config.ts';
import { orderOf, randomState } from '../support/differential/random-state.ts';
import { randomTables, randomWorld } from '../support/differential/random-world.ts';
import { Random } from '../support/differential/random.ts';
import { answer, icmpError, parsed, toZeroChecksum } from '../support/differential/replies.ts';
import { encodeEntry, SIZES } from '../support/differential/world.ts';
import { addressText, internetChecksum, seen } from '../support/packets.ts';

/** Random descriptions without tags, options or extensions, which the tests' reader knows. */
function description(random: Random): FrameSpec {
  const four = random.chance(50);
  const address = (): Uint8Array => random.fill(new Uint8Array(four ? 4 : 16));
  return {
    ...PLAIN,
    source: address(),
    destination: address(),
    protocol: random.pick([TCP, UDP, SCTP, four ? ICMP : ICMPV6]),
    sourcePort: random.below(65536),
    destinationPort: random.below(65536),
    tcpFlags: random.below(256),
    type: random.below(256),
    code: random.below(256),
    id: random.below(65536),
    payload: random.fill(new Uint8Array(random.below(50))),
    ttl: random.below(256),
    padding: random.below(3),
  };
}

test('frames say what they are to say, with right checksums', () => {
  const random = new Random(1);
  for (let i = 0; i < 500; i++) {
    const spec = description(random);
    const bytes = frame(spec);
    const told = seen(bytes);
    assert.ok(told.checksumsRight);
    assert.equal(told.source, addressText(spec.source));
    assert.equal(told.destination, addressText(spec.destination));
    assert.equal(told.protocol, spec.protocol);
    assert.equal(told.ttl, spec.ttl);
    const icmp = spec.protocol === ICMP || spec.protocol === ICMPV6;
    if (!icmp) assert.deepEqual([told.sourcePort, told.destinationPort], [spec.sourcePort, spec.destinationPort]);
    assert.notEqual(parsed(bytes), undefined);
  }
});

test('pieces of a datagram put together are the datagram', () => {
  const random = new Random(2);
  for (let i = 0; i < 200; i++) {
    const spec = { ...description(random), padding: 0 };
    const l4 = transport(spec);
    const joined: number[] = [];
    const header = spec.source.length === 4 ? 34 : 62;
    for (let offset = 0; offset < l4.length; offset += 16) {
      const bytes = frame(spec, l4, { id: 5, offset, more: offset + 16 < l4.length }, 16);
      joined.push(...bytes.subarray(header));
      const at = spec.source.length === 4 ? 20 : 56;
      const field = (bytes[at]! << 8) | bytes[at + 1]!;
      assert.equal(spec.source.length === 4 ? (field & 0x1fff) * 8 : field & 0xfff8, offset);
      if (spec.source.length === 4) assert.equal(internetChecksum(bytes.slice(14, 34)), 0);
    }
    assert.deepEqual(joined, [...l4]);
  }
});

test('tags, options and extension headers parse, up to the bounds', () => {
  const random = new Random(3);
  const source = Uint8Array.of(10, 0, 0, 1);
  const six = random.fill(new Uint8Array(16));
  const plain = { ...PLAIN, protocol: UDP, sourcePort: 1, destinationPort: 2 };
  const tagged = frame({
    ...plain,
    source,
    destination: source,
    tags: [
      [0x88a8, 5],
      [0x8100, 6],
    ],
  });
  assert.deepEqual([parsed(tagged)?.vlanCount, parsed(tagged)?.ports], [2, 0x02000100]);
  const optioned = frame({ ...plain, source, destination: source, options: new Uint8Array(40) });
  assert.equal(parsed(optioned)?.ipHeaderBytes, 60);
  assert.equal(internetChecksum(optioned.slice(14, 74)), 0);
  for (const extensions of [[0], [43, 60], [44, 51], [0, 43, 44, 51]]) {
    const bytes = frame({ ...plain, source: six, destination: six, extensions });
    assert.deepEqual([parsed(bytes)?.extensionHeaders, parsed(bytes)?.ports], [extensions.length, 0x02000100]);
  }
  assert.equal(parsed(frame({ ...plain, source: six, destination: six, extensions: [0, 0, 0, 0, 0] })), undefined);
});

test('an answer goes back where its packet came from; an error quotes it', () => {
  const random = new Random(4);
  let answers = 0;
  let strange = 0;
  for (let i = 0; i < 500; i++) {
    const spec = description(random);
    const bytes = frame(spec);
    const back = answer(random, bytes);
    if (back !== undefined) {
      answers++;
      assert.deepEqual([back.source, back.destination], [spec.destination, spec.source]);
      assert.ok(seen(frame(back)).checksumsRight);
      if (spec.protocol === TCP || spec.protocol === UDP) {
        assert.deepEqual([back.sourcePort, back.destinationPort], [spec.destinationPort, spec.sourcePort]);
      }
    }
    const error = icmpError(random, bytes, []);
    assert.ok(error !== undefined);
    assert.deepEqual(error.destination, spec.source);
    // Word for word, but for the few that quote an echo that nobody sent: its protocol and type.
    const quoted = bytes.subarray(14, 14 + error.payload.length);
    const changed = [...error.payload.keys()].filter((at) => error.payload[at] !== quoted[at]);
    if (changed.length > 0) strange++;
    assert.ok(
      changed.every((at) => at === (spec.source.length === 4 ? 9 : 6) || [8, 128].includes(error.payload[at]!)),
    );
    assert.ok(changed.length <= 2);
    assert.ok(seen(frame(error)).checksumsRight);
  }
  assert.ok(answers > 200);
  assert.ok(strange > 10 && strange < 100, `${strange}`);
});

test('a UDP packet is made again so that its translation has the checksum zero', () => {
  const random = new Random(9);
  let made = 0;
  for (let i = 0; i < 500; i++) {
    const spec = { ...description(random), protocol: UDP, payload: random.fill(new Uint8Array(8)), noChecksum: false };
    const sent = frame(spec);
    const other = { ...spec, destinationPort: spec.destinationPort ^ 0x55 };
    const again = toZeroChecksum(sent, frame(other));
    if (again === undefined) continue;
    made++;
    const { l4 } = parsed(again)!;
    assert.ok(seen(again).checksumsRight);
    assert.equal(again.length, sent.length);
    const translated = transport({ ...other, payload: again.subarray(l4 + 8, l4 + 16) });
    assert.deepEqual([...translated.subarray(6, 8)], [0xff, 0xff]);
  }
  assert.ok(made > 200, `${made}`);
  assert.equal(toZeroChecksum(frame({ ...description(random), protocol: TCP }), new Uint8Array(60)), undefined);
});

test('what is made wrong stays within the lengths of a test run, and its original as it was', () => {
  const random = new Random(5);
  for (let i = 0; i < 2000; i++) {
    const bytes = frame(description(random));
    const copy = bytes.slice();
    const wrong = mutated(random, bytes, frame(description(random)));
    assert.ok(wrong.length >= SHORTEST && wrong.length <= LONGEST);
    assert.deepEqual(bytes, copy);
    assert.ok(noise(random).length >= SHORTEST);
  }
});

test('every world is taken by an engine whole', () => {
  const named = new Set<string>();
  for (let i = 0; i < 150; i++) {
    const random = new Random(6, i);
    const world = randomWorld(random, featuresOf(6, i % FEATURE_SETS));
    const entries = [
      ...world.entries,
      ...randomState(random, world).entries,
      ...(i % 30 === 0 ? randomTables(random) : []),
    ];
    for (const entry of entries) named.add(entry.map);
    const writes = entries.map((entry) => encodeEntry(entry, 1000));
    assert.deepEqual(createSim({ specs: SIZES, seed: 1 }).apply(writes), { applied: writes.length });
  }
  const missing = Object.entries(MAPS as Readonly<Record<string, MapSpec>>)
    .map(([name]) => name)
    .filter((name) => !named.has(name));
  // Metrics and fragments are the datapath's alone; scaleToZero is not read yet.
  assert.deepEqual(missing, ['fragments4', 'fragments6', 'scaleToZero', 'metrics', 'events']);
});

test('each feature is on in some set and off in another', () => {
  let on = 0;
  let off = 0;
  for (let set = 0; set < FEATURE_SETS; set++) {
    on |= featuresOf(1, set);
    off |= ~featuresOf(1, set);
  }
  assert.equal(on & ALL_FEATURES, ALL_FEATURES);
  assert.equal(off & ALL_FEATURES, ALL_FEATURES);
});

test('addresses are ordered as signed little-endian words', () => {
  assert.ok(orderOf(Uint8Array.of(1, 0, 0, 0x80), Uint8Array.of(0, 0, 0, 0)) < 0);
  assert.ok(orderOf(Uint8Array.of(2, 0, 0, 1), Uint8Array.of(1, 0, 0, 1)) > 0);
  assert.equal(orderOf(new Uint8Array(16), new Uint8Array(16)), 0);
});

test('chance is repeatable and even', () => {
  const a = new Random(1, 2, 3);
  const b = new Random(1, 2, 3);
  const buckets = new Int32Array(16);
  for (let i = 0; i < 16_000; i++) {
    const n = a.u32();
    assert.equal(n, b.u32());
    buckets[n >>> 28]!++;
  }
  for (const count of buckets) assert.ok(count > 800 && count < 1200);
  assert.notEqual(new Random(1, 2, 4).u32(), new Random(1, 2, 3).u32());
  // As committed seeds name sequences, the stream must stay what it is.
  const stream = new Random(1, 2, 3);
  assert.deepEqual([stream.u32(), stream.u32(), stream.u32()], [2335030380, 3591063960, 2951107767]);
});
