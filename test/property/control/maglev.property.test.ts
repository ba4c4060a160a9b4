// Properties of Maglev tables: balance, independence of the input's order, and how little a removal moves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type MaglevBackend, maglevTable } from '../../../src/control/maglev/index.ts';

const backends = (max: number): fc.Arbitrary<MaglevBackend[]> =>
  fc
    .uniqueArray(
      fc.record({ a: fc.nat(255), b: fc.nat(255), port: fc.integer({ min: 1, max: 65535 }), v6: fc.boolean() }),
      {
        minLength: 1,
        maxLength: max,
        selector: ({ a, b, port, v6 }) => `${a} ${b} ${port} ${v6}`,
      },
    )
    .map((list) =>
      list.map(({ a, b, port, v6 }, i) => ({
        id: i + 1,
        address: v6 ? `fd00::${a.toString(16)}:${(b + 1).toString(16)}` : `10.1.${a}.${b}`,
        port,
        protocol: 'TCP',
      })),
    );
const seeds = fc.integer({ min: 0, max: 0xffffffff });

test('equal weights: slot counts differ by at most one', () => {
  fc.assert(
    fc.property(backends(40), seeds, fc.constantFrom(251, 509, 1021), (list, seed, size) => {
      const counts = new Map<number, number>();
      for (const id of maglevTable(list, { size, seed })) counts.set(id, (counts.get(id) ?? 0) + 1);
      const each = list.map(({ id }) => counts.get(id) ?? 0);
      assert.equal(
        each.reduce((a, b) => a + b, 0),
        size,
      );
      assert.ok(Math.max(...each) - Math.min(...each) <= 1);
    }),
  );
});

test('the order of the input does not matter', () => {
  fc.assert(
    fc.property(
      backends(12).chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
      seeds,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 12, maxLength: 12 }),
      ([list, shuffled], seed, weights) => {
        const weighted = (given: readonly MaglevBackend[]): MaglevBackend[] =>
          given.map((b) => ({ ...b, weight: weights[b.id - 1]! }));
        const options = { size: 251, seed };
        assert.deepEqual(maglevTable(weighted(shuffled), options), maglevTable(weighted(list), options));
      },
    ),
  );
});

test('every backend with a weight has a share, and more weight is no fewer slots', () => {
  fc.assert(
    fc.property(
      backends(10),
      seeds,
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 10, maxLength: 10 }),
      (list, seed, weights) => {
        const size = 4093;
        const table = maglevTable(
          list.map((b, i) => ({ ...b, weight: weights[i]! })),
          { size, seed },
        );
        const counts = new Map<number, number>();
        for (const id of table) counts.set(id, (counts.get(id) ?? 0) + 1);
        const used = list.map((b, i) => ({ weight: weights[i]!, slots: counts.get(b.id) ?? 0 }));
        const total = used.reduce((sum, { weight }) => sum + weight, 0);
        if (Math.floor(total / list.length) <= 1) return;
        for (const { weight, slots } of used)
          assert.ok(Math.abs(slots - (size * weight) / total) <= size / 50, `${weight}: ${slots}`);
      },
    ),
  );
});

test('a removal at M = 16381 with 100 backends moves all its slots and few others', () => {
  const options = { size: 16381, seed: 0x24b7ef82 };
  const list: MaglevBackend[] = Array.from({ length: 300 }, (_, i) => ({
    id: i + 1,
    address: `10.${i % 7}.${i >>> 4}.${i}`,
    port: 8080,
    protocol: 'TCP',
  }));
  const shares: number[] = [];
  for (const start of [0, 100, 200]) {
    const hundred = list.slice(start, start + 100);
    const before = maglevTable(hundred, options);
    for (let gone = 0; gone < (start === 200 ? 66 : 67); gone++) {
      const { id } = hundred[gone]!;
      const after = maglevTable(
        hundred.filter((b) => b.id !== id),
        options,
      );
      let moved = 0;
      for (let slot = 0; slot < options.size; slot++) {
        assert.notEqual(after[slot], id);
        if (before[slot] !== id && before[slot] !== after[slot]) moved++;
      }
      shares.push(moved / options.size);
    }
  }
  assert.equal(shares.length, 200);
  const mean = shares.reduce((a, b) => a + b, 0) / shares.length;
  assert.ok(mean < 0.02, `mean ${mean}`);
  assert.ok(Math.max(...shares) < 0.03, `worst ${Math.max(...shares)}`);
});
