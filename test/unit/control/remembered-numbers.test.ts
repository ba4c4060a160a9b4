// Which numbers a restart finds in what the datapath remembers. Input: one entry in one map. Output: the numbers that newcomers
// get. Invariant: every map that names a backend or a frontend by number is read, at the right place.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MEMORY_MAPS, type MemoryDump, type MemoryMapName } from '../../../src/control/service/remembered-numbers.ts';
import { CT_KEY, MAPS } from '../../../src/schema/index.ts';
import { ControllerWorld } from '../../support/controller-world.ts';
import { KPR } from '../../support/service-scenario.ts';
import { eps, svc } from '../../support/service-objects.ts';

/** Fields of every struct that hold a number. */
const BACKEND_FIELDS = ['backend', 'backendId'] as const;
const FRONTEND_FIELD = 'reverseNat';
type Placed = { readonly bytes: number; readonly at: Readonly<Record<string, number>> };

/** An entry of one map that names backend and frontend 1, as far as the map's entries name any. */
function naming(map: MemoryMapName, flags: number): [Uint8Array, Uint8Array] {
  const keyType: Placed = MAPS[map].key;
  const valueType: Placed = MAPS[map].value;
  const key = new Uint8Array(keyType.bytes);
  const value = new Uint8Array(valueType.bytes);
  for (const [type, bytes] of [
    [keyType, key],
    [valueType, value],
  ] as const)
    for (const field of [...BACKEND_FIELDS, FRONTEND_FIELD]) if (field in type.at) bytes[type.at[field]!] = 1;
  if (map.startsWith('ct')) key[keyType.at['flags']!] = flags;
  return [key, value];
}

/** Numbers of the first backend and the first frontend behind a restart. */
function firstNumbers(memory: MemoryDump): { backend: number; frontend: number } {
  const world = new ControllerWorld().restart(KPR, memory).put(svc(), eps(['10.20.1.1']));
  return {
    backend: Math.min(...Object.values(world.backendIds)),
    frontend: Math.min(...Object.values(world.frontendIds)),
  };
}

describe('numbers that the datapath remembers', () => {
  test('every map whose entries name a backend or a frontend is read', () => {
    const has = (map: keyof typeof MAPS, fields: readonly string[]): boolean => {
      const spec: { readonly key: Placed; readonly value: Placed } = MAPS[map];
      return fields.some((field) => field in spec.key.at || field in spec.value.at);
    };
    const learned = (Object.keys(MAPS) as (keyof typeof MAPS)[]).filter(
      (map) => MAPS[map].kind === 'lru-hash' && has(map, [...BACKEND_FIELDS, FRONTEND_FIELD]),
    );
    assert.deepEqual([...MEMORY_MAPS].sort(), learned.sort());
  });

  for (const map of MEMORY_MAPS)
    test(map, () => {
      const at = (field: string): boolean => field in MAPS[map].value.at || field in MAPS[map].key.at;
      const entry = naming(map, CT_KEY.SERVICE | CT_KEY.NODE);
      const found = firstNumbers({ [map]: [entry] });
      assert.equal(found.backend, BACKEND_FIELDS.some(at) ? 2 : 1);
      assert.equal(found.frontend, at(FRONTEND_FIELD) ? 2 : 1);
    });

  test('a connection of no service names no backend: the word is part of an address there', () => {
    assert.deepEqual(firstNumbers({ ctTcp4: [naming('ctTcp4', CT_KEY.OWNER_HIGH)] }), { backend: 1, frontend: 2 });
  });

  test('entries of another form, and numbers that cannot be, are passed over', () => {
    const [key, value] = naming('flows4', 0);
    const huge = value.slice().fill(0xff);
    const memory = { flows4: [[key.slice(1), value] as const, [key, value.slice(1)] as const, [key, huge] as const] };
    assert.deepEqual(firstNumbers(memory), { backend: 1, frontend: 1 });
  });

  test('unanswered connections are read before the answered, where an entry may move to meanwhile', () => {
    const read: string[] = [];
    const watched = (map: MemoryMapName): Iterable<readonly [Uint8Array, Uint8Array]> => ({
      *[Symbol.iterator]() {
        read.push(map);
        yield* [];
      },
    });
    firstNumbers(Object.fromEntries(MEMORY_MAPS.map((map) => [map, watched(map)])));
    for (const answered of ['ctTcp4', 'ctAny4', 'ctTcp6', 'ctAny6'] as const) {
      const unanswered = `${answered.slice(0, -1)}New${answered.slice(-1)}`;
      assert.ok(read.indexOf(unanswered) >= 0 && read.indexOf(unanswered) < read.indexOf(answered));
    }
  });
});
