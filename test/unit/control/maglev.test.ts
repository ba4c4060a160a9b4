// Maglev against Cilium's vectors: hash, permutation, weights, whole tables; seeds and sizes; and its cost-free answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEFAULT_MAGLEV_SEED,
  type MaglevBackend,
  maglevChange,
  maglevLookup,
  maglevName,
  maglevPermutation,
  maglevSizeProblem,
  maglevTable,
  murmur3x64128,
  parseMaglevSeed,
  suggestedSize,
} from '../../../src/control/maglev/index.ts';

const SEED = 0x24b7ef82;
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const halves = (hash: Uint32Array): bigint[] => [0, 2].map((i) => (BigInt(hash[i + 1]!) << 32n) | BigInt(hash[i]!));
const backend = (octet: number, more: Partial<MaglevBackend> = {}): MaglevBackend => ({
  id: octet,
  address: `0.0.0.${octet}`,
  port: octet,
  protocol: 'TCP',
  ...more,
});

function counts(table: Uint32Array): Record<number, number> {
  const found: Record<number, number> = {};
  for (const id of table) found[id] = (found[id] ?? 0) + 1;
  return found;
}

function runs(table: Uint32Array): string {
  const found: string[] = [];
  for (let i = 0, j = 0; i < table.length; i = j) {
    while (j < table.length && table[j] === table[i]) j++;
    found.push(`${table[i]}(${j - i})`);
  }
  return found.join(',');
}

test('the default seed is three big-endian words', () => {
  assert.deepEqual(parseMaglevSeed(DEFAULT_MAGLEV_SEED), { murmur: 0x24b7ef82, hash4: 0x71dcda46, hash6: 0x92505688 });
});

test('a seed that is not twelve bytes of base64 is told as a sentence', () => {
  assert.match(parseMaglevSeed('JLfvgnHc2kaSUFa') as string, /16 characters, not 15/);
  assert.match(parseMaglevSeed('JLfvgnHc2kaSUFa=') as string, /unexpected "="/);
  assert.match(parseMaglevSeed('JLfvgnHc2kaSUF-I') as string, /unexpected "-"/);
  assert.match(maglevSizeProblem(1000) as string, /one of 251, 509/);
  assert.equal(maglevSizeProblem(16381), undefined);
});

test('murmur3 x64 128: Cilium’s vector and every tail length', () => {
  assert.deepEqual(halves(murmur3x64128(ascii('[0.0.0.1:1/TCP,State:active]'), SEED)), [
    16547947091327308854n,
    6047843010194048566n,
  ]);
  // Public vectors of the reference implementation, seed 0.
  assert.deepEqual(halves(murmur3x64128(ascii(''), 0)), [0n, 0n]);
  assert.deepEqual(halves(murmur3x64128(ascii('hello'), 0)), [0xcbd8a7b341bd9b02n, 0x5b1e906a48ae1d19n]);
  assert.deepEqual(halves(murmur3x64128(ascii('hello, world'), 0)), [0x342fac623a5ebc8en, 0x4cdcbc079642414dn]);
  assert.deepEqual(halves(murmur3x64128(ascii('The quick brown fox jumps over the lazy dog.'), 0)), [
    0xcd99481f9ee902c9n,
    0x695da1a38987b6e7n,
  ]);
  const seen = new Set<string>();
  for (let length = 0; length <= 40; length++) seen.add(halves(murmur3x64128(ascii('x'.repeat(length)), SEED)).join());
  assert.equal(seen.size, 41);
});

test('names of backends', () => {
  assert.equal(maglevName(backend(1)), '[0.0.0.1:1/TCP,State:active]');
  assert.equal(maglevName(backend(1, { internal: true, protocol: 'UDP' })), '[0.0.0.1:1/UDP/i,State:active]');
  assert.equal(maglevName(backend(80, { address: 'fd00::1' })), '[[fd00::1]:80/TCP,State:active]');
});

test('offset and skip at M = 251', () => {
  const options = { size: 251, seed: SEED };
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((i) => Object.values(maglevPermutation(maglevName(backend(i)), options))),
    [
      [129, 67],
      [2, 59],
      [122, 225],
      [166, 219],
      [100, 52],
    ],
  );
});

test('weights at M = 1021', () => {
  const weights = [2, 13, 111, 10];
  const table = maglevTable(
    weights.map((weight, i) => backend(i + 1, { weight })),
    { size: 1021, seed: SEED },
  );
  assert.deepEqual(counts(table), { 1: 16, 2: 98, 3: 832, 4: 75 });
  const scenario = [70, 70, 30, 30].map((weight, i) => ({
    id: i,
    address: `10.61.2.${[12, 13, 22, 23][i]}`,
    port: 8090,
    protocol: 'TCP',
    weight,
  }));
  assert.deepEqual(counts(maglevTable(scenario, { size: 1021, seed: SEED })), { 0: 358, 1: 357, 2: 153, 3: 153 });
});

test('TestReproducible: the whole table by run lengths', () => {
  const table = maglevTable(
    [1, 3, 4, 5].map((octet, id) => backend(octet, { id, weight: [2, 13, 111, 10][id]! })),
    { size: 251, seed: SEED },
  );
  assert.equal(
    runs(table),
    '2(5),3(1),2(3),1(1),2(2),0(1),2(1),3(1),2(1),3(1),2(1),1(1),2(7),1(1),2(14),3(1),2(1),1(2),2(12),3(1),2(3),1(1),2(4),3(1),2(8),3(1),2(2),1(1),2(16),1(2),2(3),3(1),2(11),1(2),2(4),3(1),2(3),1(1),2(4),3(1),2(1),0(1),1(1),2(8),1(1),2(7),1(1),2(4),3(1),2(1),3(1),2(9),1(2),2(5),1(1),2(7),3(1),2(1),3(1),1(1),2(8),1(1),2(4),0(1),2(1),1(1),2(5),3(1),2(3),1(1),2(4),3(1),2(3),1(1),2(12),0(1),3(1),2(3),3(1),2(4),3(1),2(2),1(1),2(7)',
  );
});

test('equal weights at M = 251', () => {
  const table = maglevTable(
    [1, 2, 3].map((i) => backend(i)),
    { size: 251, seed: SEED },
  );
  assert.deepEqual(counts(table), { 1: 84, 2: 84, 3: 83 });
  assert.deepEqual([...table.slice(0, 12)], [3, 2, 2, 1, 1, 3, 3, 3, 3, 3, 2, 2]);
});

test('removal at M = 1021 moves less than one slot in a hundred of the others', () => {
  const options = { size: 1021, seed: SEED };
  const before = maglevTable(
    [1, 2, 3].map((i) => backend(i)),
    options,
  );
  const after = maglevTable(
    [1, 3].map((i) => backend(i)),
    options,
  );
  const moved = before.filter((id, i) => id !== 2 && after[i] !== id).length;
  assert.ok(moved < 1021 / 100, `${moved} moved`);
});

test('no backend, one backend, weight 0, equal names', () => {
  const options = { size: 251, seed: SEED };
  assert.equal(maglevTable([], options).length, 0);
  assert.equal(maglevTable([backend(1, { weight: 0 })], options).length, 0);
  assert.deepEqual(counts(maglevTable([backend(1), backend(2, { weight: 0 })], options)), { 1: 251 });
  assert.deepEqual(counts(maglevTable([backend(1, { id: 9 }), backend(1, { id: 4 })], options)), { 4: 251 });
});

test('a client’s slot is its hash modulo the size', () => {
  const table = Uint32Array.from({ length: 20 }, (_, i) => i + 1);
  assert.deepEqual(maglevLookup(table, 0xffffffff), { slot: 4294967295 % 20, backendId: (4294967295 % 20) + 1 });
  assert.deepEqual(maglevLookup(table, -1), maglevLookup(table, 0xffffffff));
  assert.equal(maglevLookup(new Uint32Array(0), 1), undefined);
});

test('a change of backends: what moves, what had to move, and how large a table should be', () => {
  const backends = (...hosts: number[]) =>
    hosts.map((host, id) => ({ id, address: `10.0.0.${host}`, port: 80, protocol: 'TCP' }));
  const options = { size: 1021, seed: 0x24b7ef82 };
  const three = backends(1, 2, 3);
  assert.deepEqual(maglevChange(three, backends(3, 1, 2), options), { size: 1021, moved: 0, share: 0, unavoidable: 0 });
  const gone = maglevChange(three, backends(1, 2), options);
  assert.ok(Math.abs(gone.unavoidable - 1 / 3) < 1e-9);
  assert.ok(gone.share >= gone.unavoidable - 1 / 1021 && gone.share < gone.unavoidable + 0.02, `${gone.share}`);
  assert.deepEqual(maglevChange([], three, options), { size: 1021, moved: 1021, share: 1, unavoidable: 1 });
  assert.deepEqual(maglevChange([], [], options), { size: 1021, moved: 0, share: 0, unavoidable: 0 });
  const heavy = backends(1, 2).map((backend, i) => ({ ...backend, weight: i === 0 ? 30 : 10 }));
  assert.ok(Math.abs(maglevChange(backends(1, 2), heavy, options).unavoidable - 0.25) < 1e-9);
  assert.deepEqual([0, 2, 3, 100, 163, 164, 5000].map(suggestedSize), [251, 251, 509, 16381, 16381, 32749, 131071]);
});
