// The Maglev seed: twelve bytes in base64, three numbers. Input: text. Output: seeds, or what is wrong with the text.

/** Seeds of one node; every node of a cluster must have the same. */
export interface MaglevSeed {
  /** Seed of the permutations (MurmurHash3). */
  readonly murmur: number;
  /** Seed of the tuple hash (jhash) for IPv4, `hashSeed4` of the configuration. */
  readonly hash4: number;
  /** Seed of the tuple hash (jhash) for IPv6. */
  readonly hash6: number;
}

/** Cilium's default of `maglev.hashSeed`. */
export const DEFAULT_MAGLEV_SEED = 'JLfvgnHc2kaSUFaI';

/** Sizes that Cilium accepts for `maglev.tableSize`: primes near powers of two. */
export const MAGLEV_SIZES: readonly number[] = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071];

/** Cilium's default table size. */
export const DEFAULT_MAGLEV_SIZE = 16381;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Reads a seed; a string result is the sentence that says what is wrong. Twelve bytes, three big-endian words (pkg/maglev). */
export function parseMaglevSeed(text: string): MaglevSeed | string {
  if (text.length !== 16) {
    return `maglev.hashSeed must be 12 bytes in base64, that is 16 characters, not ${text.length}`;
  }
  const bytes: number[] = [];
  for (let i = 0; i < 16; i += 4) {
    let word = 0;
    for (let j = 0; j < 4; j++) {
      const digit = ALPHABET.indexOf(text[i + j]!);
      if (digit < 0) return `maglev.hashSeed is not base64: unexpected ${JSON.stringify(text[i + j])}`;
      word = (word << 6) | digit;
    }
    bytes.push((word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff);
  }
  const at = (i: number): number =>
    ((bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!) >>> 0;
  return { murmur: at(0), hash4: at(4), hash6: at(8) };
}

/** What is wrong with a table size, or undefined. */
export function maglevSizeProblem(size: number): string | undefined {
  if (MAGLEV_SIZES.includes(size)) return undefined;
  return `maglev.tableSize must be one of ${MAGLEV_SIZES.join(', ')}, not ${size}`;
}
