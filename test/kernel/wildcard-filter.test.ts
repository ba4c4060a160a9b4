// The filter of wildcard entries against the maps that it stands for: every wildcard has its bit, whatever is written and
// removed, alone or many at once; and bits go when many entries have gone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createKernelMap, KernelMap, WildcardFilter } from '../../src/dataplane/xdp/index.ts';
import { MAPS, WILDCARD_BITS } from '../../src/schema/index.ts';
import { Random } from '../support/differential/random.ts';
import { skipMaps, theAddon } from './kernel.ts';

const PRIME = 0x9e3779b1;
/** As plain_service.h computes it, in big numbers. */
const bitOf = (address: Uint8Array): number => {
  const words = new Uint32Array(address.slice().buffer);
  const factors = [PRIME, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f];
  let hash = 0n;
  for (const [i, word] of words.entries()) hash += BigInt(word) * BigInt(factors[i]!);
  return Number((hash & 0xffffffffn) >> BigInt(32 - WILDCARD_BITS));
};

describe('filter of wildcard entries', { skip: skipMaps() }, () => {
  for (const name of ['services4', 'services6'] as const) {
    test(name, () => {
      const random = new Random(1, name.length, name === 'services4' ? 4 : 6);
      const memory = new ArrayBuffer(2 ** WILDCARD_BITS / 8);
      const filter = new WildcardFilter(memory);
      const bytes = new Uint8Array(memory);
      const bare = createKernelMap(theAddon(), { ...MAPS[name], maxEntries: 4096 });
      let told = 0;
      const watch = filter.watch(bare.spec.key.bytes, () => void told++);
      const map = new KernelMap(theAddon(), bare.spec, bare.handle, watch);
      filter.guard(map);
      try {
        const size = map.spec.key.bytes;
        const keyOf = (wildcard: boolean): Uint8Array => {
          const key = random.fill(new Uint8Array(size));
          key.fill(0, size - 8);
          if (!wildcard) key[size - random.pick([4, 8, 7, 6, 5])] = 1 + random.below(255);
          return key;
        };
        const value = new Uint8Array(map.spec.value.bytes);
        const done = new Int32Array(1);
        const isSet = (key: Uint8Array): boolean => {
          const bit = bitOf(key.subarray(0, size - 8));
          return ((bytes[bit >>> 3]! >>> (bit & 7)) & 1) === 1;
        };
        const live: Uint8Array[] = [];
        for (let round = 0; round < 40; round++) {
          const fresh = Array.from({ length: 64 }, () => keyOf(random.chance(50)));
          if (random.chance(50)) for (const key of fresh) assert.equal(map.update(key, value), 0);
          else {
            const keys = new Uint8Array(64 * size);
            for (const [i, key] of fresh.entries()) keys.set(key, i * size);
            assert.equal(map.updateMany(keys, new Uint8Array(64 * value.length), 64, done), 0);
          }
          live.push(...fresh);
          for (const key of live.splice(0, random.below(64))) assert.equal(map.delete(key), 0);
          for (const key of live) {
            const last = key.subarray(size - 8);
            if (last.every((byte) => byte === 0)) assert.ok(isSet(key), 'a wildcard without its bit');
          }
        }
        assert.ok(bytes.some((byte) => byte !== 0));
        assert.ok(told > 40);
        for (const key of live) map.delete(key);
        // Absent ones count, too: in the end the bits are made anew.
        for (let n = 0; n < 1024; n++) map.delete(keyOf(true));
        assert.ok(bytes.every((byte) => byte === 0));
      } finally {
        map.close();
      }
    });
  }
});
