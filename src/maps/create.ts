// Makes in-memory maps from specs. Input: a MapSpec, options. Output: the kind's class for the key's size.
// Invariant: a spec that no class can hold is refused when the map is made, with the map's name.
import type { MapSpec } from '../schema/map-spec.ts';
import { ArrayMap } from './array-map.ts';
import { ArrayOfArrays } from './array-of-arrays.ts';
import { HASHES } from './hash.gen.ts';
import { LPMS } from './lpm.gen.ts';
import { LRUS } from './lru.gen.ts';
import { type MapOptions, type WordMap, refuseSpec, wordsFor } from './word-map.ts';

/**
 * An in-memory map for a spec of any kind but `ring`. Where the hot tier is wanted with its static type, call the class
 * itself (`new Lru4(spec)`, which checks that the spec fits) or narrow the result with `asKind`.
 */
export function createMap(spec: MapSpec, options: MapOptions = {}): WordMap {
  const words = wordsFor(spec.key.bytes);
  switch (spec.kind) {
    case 'hash': {
      const Kind = HASHES[words];
      return Kind === undefined ? refuseSpec(spec, `no class for keys of ${words} words`) : new Kind(spec, options);
    }
    case 'lru-hash': {
      const Kind = LRUS[words];
      return Kind === undefined ? refuseSpec(spec, `no class for keys of ${words} words`) : new Kind(spec, options);
    }
    case 'lpm-trie': {
      const Kind = LPMS[words - 1];
      return Kind === undefined ? refuseSpec(spec, `no class for ${words - 1} data words`) : new Kind(spec, options);
    }
    case 'array':
    case 'percpu-array':
      return new ArrayMap(spec);
    case 'array-of-arrays':
      return new ArrayOfArrays(spec);
    case 'ring':
      return refuseSpec(spec, 'a ring holds events, not entries');
  }
}

/** In-memory maps for all specs that hold entries, by name; rings are left out. Each gets its own seed from `options.seed`. */
export function createMaps(specs: Iterable<MapSpec>, options: MapOptions = {}): Map<string, WordMap> {
  const maps = new Map<string, WordMap>();
  let number = 0;
  for (const spec of specs) {
    number++;
    if (spec.kind === 'ring') continue;
    maps.set(
      spec.name,
      createMap(spec, options.seed === undefined ? options : { ...options, seed: options.seed + number }),
    );
  }
  return maps;
}

/** The map as its class, for static types: `asKind(maps.get('weir_ct4'), Lru4)`. Throws when it is something else. */
export function asKind<M extends WordMap>(
  map: WordMap | undefined,
  Kind: new (spec: MapSpec, options?: MapOptions) => M,
): M {
  if (map instanceof Kind) return map;
  throw new TypeError(
    map === undefined ? `no such map (${Kind.name} wanted)` : `map ${map.spec.name} is not a ${Kind.name}`,
  );
}
