// Map specs of any size for tests: keys and values are plain byte fields, so that tests decide every byte.
// Input: kind and sizes. Output: a MapSpec; and keys and values made from numbers.
import { bytes, struct, u32 } from '../../../src/layout/index.ts';
import type { MapKind, MapSpec } from '../../../src/schema/map-spec.ts';

let made = 0;

/** A spec with `keyBytes`/`valueBytes` bytes; LPM keys begin with a u32 prefix length, arrays have a u32 key. */
export function specOf(
  kind: MapKind,
  keyBytes: number,
  valueSize: number,
  maxEntries: number,
  innerEntries?: number,
): MapSpec {
  const name = `weir_test_${++made}`;
  const key =
    kind === 'lpm-trie'
      ? struct('weir_test_key', 'Test key.', { prefixLen: u32('bits'), data: bytes(keyBytes - 4, 'data') })
      : kind === 'array' || kind === 'percpu-array' || kind === 'array-of-arrays'
        ? struct('weir_test_key', 'Test key.', { index: u32('number') })
        : struct('weir_test_key', 'Test key.', { data: bytes(keyBytes, 'data') });
  const value =
    innerEntries === undefined
      ? struct('weir_test_value', 'Test value.', { data: bytes(valueSize, 'data') })
      : struct('weir_test_value', 'Test value.', { word: u32('word') });
  return {
    name,
    kind,
    doc: 'Test map.',
    key,
    value,
    maxEntries,
    ...(innerEntries === undefined ? {} : { innerEntries }),
  };
}

/** `size` bytes that begin with `n` as a little-endian u32 (cut to the size); the rest depends on n, too. */
export function fromNumber(n: number, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = i < 4 ? n >>> (8 * i) : n * 31 + i;
  return out;
}

/** An LPM key: u32 prefix length, then data bytes (padded with zero to `size`). */
export function prefixKey(prefixLen: number, data: readonly number[], size = 4 + data.length): Uint8Array {
  const out = new Uint8Array(size);
  new DataView(out.buffer).setUint32(0, prefixLen, true);
  out.set(data, 4);
  return out;
}

/** The key with all bits behind its prefix cleared: how two LPM keys are compared. */
export function canonicalPrefix(key: Uint8Array): Uint8Array {
  const out = key.slice();
  const bits = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
  for (let i = 4; i < out.length; i++) {
    const left = bits - (i - 4) * 8;
    if (left < 8) out[i]! &= left <= 0 ? 0 : 0xff << (8 - left);
  }
  return out;
}

/** Bytes as a string that can key a Map. */
export const textOf = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
