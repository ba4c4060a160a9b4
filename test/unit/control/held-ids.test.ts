// Numbers that are held, given back and rest: who gets which, also after a restart. Input: claims and releases, old numbers.
// Output: numbers. Invariant: see src/control/held-ids.ts, told once more as a naive model.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HeldIds } from '../../../src/control/held-ids.ts';

describe('HeldIds', () => {
  test('a number that is freed just before the counter comes to it again waits for all others', () => {
    const ids = new HeldIds(1, 4);
    for (const name of ['a', 'b', 'c', 'd']) ids.claim(name);
    for (const name of ['b', 'a', 'c']) ids.release(name);
    assert.deepEqual(
      ['e', 'f', 'g', 'h'].map((name) => ids.claim(name)),
      [2, 1, 3, undefined],
    );
  });

  test('after a restart numbers that something names come last', () => {
    const ids = new HeldIds(1, 6);
    ids.restore('old', 2);
    for (const named of [3, 2, 3, 0, 7, 0xffffffff, 1]) ids.rest(named);
    assert.deepEqual(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ids.claim(name)),
      [4, 5, 6, 3, 1, undefined],
    );
    ids.giveUpUnclaimed();
    assert.equal(ids.claim('f'), 2);
  });

  test('whatever comes and goes: unused numbers first, then the one that is free for longest', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g');
    const step = fc.record({ name, does: fc.constantFrom('claim' as const, 'release' as const) });
    const number = fc.integer({ min: 0, max: 8 });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, number), { selector: ([, id]) => id, maxLength: 3 }),
        fc.array(number, { maxLength: 4 }),
        fc.array(step, { maxLength: 60 }),
        (old, named, steps) => {
          const ids = new HeldIds(1, 6);
          const held = new Map<string, number>();
          /** When each number was last in use or named, by order; absent: never. */
          const used = new Map<number, number>();
          let now = 0;
          for (const [owner, id] of old) if (ids.restore(owner, id)) held.set(owner, id);
          for (const id of named) {
            ids.rest(id);
            if (id >= 1 && id <= 6 && ![...held.values()].includes(id) && !used.has(id)) used.set(id, now++);
          }
          for (const { name: who, does } of steps) {
            if (does === 'release') {
              ids.release(who);
              const id = held.get(who);
              if (id !== undefined) used.set(id, now++);
              held.delete(who);
              continue;
            }
            const got = ids.claim(who);
            if (held.has(who)) {
              assert.equal(got, held.get(who));
              continue;
            }
            const taken = new Set(held.values());
            const free = [1, 2, 3, 4, 5, 6].filter((id) => !taken.has(id));
            const unused = free.filter((id) => !used.has(id));
            if (free.length === 0) assert.equal(got, undefined);
            else if (unused.length > 0) assert.ok(unused.includes(got!), `${got} of ${unused.join()}`);
            else
              assert.equal(
                got,
                free.reduce((a, b) => (used.get(a)! < used.get(b)! ? a : b)),
              );
            if (got !== undefined) held.set(who, got);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
