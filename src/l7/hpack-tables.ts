// The constants of HPACK: the static table (RFC 7541 appendix A) and the lengths of the Huffman codes (appendix B).
// The codes themselves follow from their lengths: within a length they ascend with the symbol, shorter before longer.

/** Static table, index 1 first: name, value. */
export const STATIC_TABLE: readonly (readonly [string, string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range content-type ' +
    'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after ' +
    'server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'
  )
    .split(' ')
    .map((name): readonly [string, string] => [name, '']),
];

/** Length in bits of each symbol's code, symbols 0 to 255 and the end of string (256), 32 a line. */
const LENGTHS = `
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30`;

/** The symbol that ends a string; it must not be encoded. */
export const END_OF_STRING = 256;
/** Longest code, bits. */
export const LONGEST_CODE = 30;

/** Canonical decoding tables. */
export interface HuffmanTables {
  /** By length: the first code of that length. */
  readonly first: Int32Array;
  /** By length: how many codes have it. */
  readonly count: Int32Array;
  /** By length: where its symbols begin in `symbols`. */
  readonly start: Int32Array;
  /** Symbols by length, then by number. */
  readonly symbols: Uint16Array;
}

/** Builds the decoding tables. */
export function huffmanTables(): HuffmanTables {
  const lengths = LENGTHS.trim().split(/\s+/).map(Number);
  const first = new Int32Array(LONGEST_CODE + 1);
  const count = new Int32Array(LONGEST_CODE + 1);
  const start = new Int32Array(LONGEST_CODE + 1);
  const symbols = new Uint16Array(lengths.length);
  for (const length of lengths) count[length]! += 1;
  let code = 0;
  let at = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    code = (code + count[length - 1]!) << 1;
    first[length] = code;
    start[length] = at;
    lengths.forEach((own, symbol) => {
      if (own === length) symbols[at++] = symbol;
    });
  }
  return { first, count, start, symbols };
}
