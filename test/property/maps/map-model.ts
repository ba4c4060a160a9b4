// Random operations on a ByteMap beside a plain Map of strings, compared after every operation.
// Input: a map, a model's rules, operations. Invariant: what a rule does not allow is a failure; LRU maps may forget.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ByteMap } from '../../../src/maps/index.ts';
import { ERRNO, UPDATE, valueBytes, type UpdateFlag } from '../../../src/schema/map-spec.ts';
import { textOf } from '../../support/maps/specs.ts';

/** One operation; keys and values are numbers that the run turns into bytes. */
export type Operation =
  | { readonly op: 'update'; readonly key: number; readonly value: number; readonly flags: UpdateFlag }
  | { readonly op: 'delete' | 'lookup' | 'next'; readonly key: number }
  | { readonly op: 'entries'; readonly remove: number; readonly add: number }
  | { readonly op: 'drain'; readonly count: number };

/** Sequences over `keys` different keys: many updates, some walks that change the map under way. */
export const operations = (keys: number, maxLength = 120): fc.Arbitrary<Operation[]> => {
  const key = fc.nat(keys - 1);
  return fc.array(
    fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          op: fc.constant('update' as const),
          key,
          value: fc.nat(0xffff),
          flags: fc.constantFrom<UpdateFlag>(UPDATE.ANY, UPDATE.ANY, UPDATE.NOEXIST, UPDATE.EXIST),
        }),
      },
      {
        weight: 6,
        arbitrary: fc.record({ op: fc.constantFrom('delete' as const, 'lookup' as const, 'next' as const), key }),
      },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('entries' as const), remove: key, add: key }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('drain' as const), count: fc.nat(5) }) },
    ),
    { maxLength, size: 'max' },
  );
};

/** What the map under test is expected to do. */
export interface ModelRules {
  readonly maxEntries: number;
  /** Errno of an insertion into a full map, or undefined for one that evicts. */
  readonly full: number | undefined;
  /** Keys are indices below maxEntries, and updates know no flag but ANY. */
  readonly indexed?: boolean;
  keyOf(n: number): Uint8Array;
  valueOf(n: number): Uint8Array;
}

const read = (map: ByteMap, key: Uint8Array): string | undefined => {
  const out = new Uint8Array(valueBytes(map.spec)).fill(0xa5);
  return map.lookup(key, out) ? textOf(out) : undefined;
};

/** Runs operations on map and model; ends with a full comparison. */
export function runAgainstModel(map: ByteMap, rules: ModelRules, ops: readonly Operation[]): void {
  const model = new Map<string, string>();
  const forgetful = rules.full === undefined;
  let evicted = 0;

  const isBeyond = (key: Uint8Array): boolean => {
    const index = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
    return rules.indexed === true && index >= rules.maxEntries;
  };
  /** Lets the model forget what an LRU map evicted, which it may only have done when full. */
  const settle = (): void => {
    if (!forgetful || map.stats.evicted === evicted) return;
    for (const key of [...model.keys()]) if (read(map, bytesOf(key)) === undefined) model.delete(key);
    evicted = map.stats.evicted;
    assert.equal(map.size, rules.maxEntries, 'a map evicts only when it is full, and no more than it must');
  };
  const update = (n: number, value: number, flags: UpdateFlag): void => {
    const key = rules.keyOf(n);
    const bytes = rules.valueOf(value);
    const present = model.has(textOf(key));
    const got = map.update(key, bytes, flags);
    if (rules.indexed === true && flags !== UPDATE.ANY) assert.equal(got, ERRNO.EINVAL);
    else if (isBeyond(key)) assert.equal(got, ERRNO.E2BIG);
    else if (present && flags === UPDATE.NOEXIST) assert.equal(got, ERRNO.EEXIST);
    else if (!present && flags === UPDATE.EXIST) assert.equal(got, ERRNO.ENOENT);
    else if (!present && !forgetful && model.size >= rules.maxEntries) assert.equal(got, rules.full);
    else {
      assert.equal(got, 0);
      model.set(textOf(key), textOf(bytes));
      settle();
      assert.equal(read(map, key), textOf(bytes), 'what was just written is there');
    }
  };
  const remove = (key: Uint8Array): void => {
    const absent = isBeyond(key) ? ERRNO.E2BIG : ERRNO.ENOENT;
    assert.equal(map.delete(key), model.delete(textOf(key)) ? 0 : absent);
    assert.equal(read(map, key), undefined);
  };

  for (const operation of ops) {
    switch (operation.op) {
      case 'update':
        update(operation.key, operation.value, operation.flags);
        break;
      case 'delete':
        remove(rules.keyOf(operation.key));
        break;
      case 'lookup':
        assert.equal(read(map, rules.keyOf(operation.key)), model.get(textOf(rules.keyOf(operation.key))));
        break;
      case 'next': {
        const after = rules.keyOf(operation.key);
        const out = new Uint8Array(after.length);
        const more = map.nextKey(after, out);
        if (more) assert.ok(model.has(textOf(out)), 'the next key is in the map');
        else if (rules.indexed === true)
          assert.ok(!isBeyond(after) || model.size === 0, 'behind the last index the walk begins again');
        else assert.ok(model.size === 0 || model.has(textOf(after)), 'only a key of the map can be the last one');
        break;
      }
      case 'entries': {
        const untouched = new Set(model.keys());
        const touch = (n: number): void => void untouched.delete(textOf(rules.keyOf(n)));
        touch(operation.remove);
        touch(operation.add);
        const seen = new Set<string>();
        let step = 0;
        for (const [key, value] of map.entries()) {
          const name = textOf(key);
          assert.ok(!seen.has(name), 'seen twice');
          seen.add(name);
          assert.equal(textOf(value), model.get(name));
          if (step === 1) remove(rules.keyOf(operation.remove));
          if (step === 2) update(operation.add, step, UPDATE.ANY);
          step++;
        }
        for (const name of untouched)
          assert.ok(seen.has(name) || (forgetful && !model.has(name)), `${name} was not seen`);
        break;
      }
      case 'drain': {
        // The kernel's way of deleting while walking: the next key is asked for first.
        let current = new Uint8Array(map.spec.key.bytes);
        let next = new Uint8Array(map.spec.key.bytes);
        let more = map.nextKey(undefined, current);
        for (let i = 0; more && i < operation.count; i++) {
          more = map.nextKey(current, next);
          remove(current);
          [current, next] = [next, current];
        }
        break;
      }
    }
    assert.equal(map.size, model.size);
  }
  compareAll(map, model);
}

function compareAll(map: ByteMap, model: ReadonlyMap<string, string>): void {
  const walked = new Map<string, string | undefined>();
  const out = new Uint8Array(map.spec.key.bytes);
  for (let after: Uint8Array | undefined; map.nextKey(after, out);) {
    after = out.slice();
    assert.ok(!walked.has(textOf(after)), 'the walk goes in circles');
    walked.set(textOf(after), read(map, after));
  }
  assert.deepEqual([...walked].sort(), [...model].sort());
  assert.deepEqual(Array.from(map.entries(), ([k, v]) => [textOf(k), textOf(v)]).sort(), [...model].sort());
}

const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
