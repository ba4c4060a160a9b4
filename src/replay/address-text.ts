// Addresses as text. Input: raw words. Output: dotted IPv4, or IPv6 as RFC 5952 writes it.

/** Text of an address given as four raw words (of IPv4 only the first counts). */
export function addressText(family: number, a0: number, a1: number, a2: number, a3: number): string {
  if (family === 4) return `${a0 & 0xff}.${(a0 >>> 8) & 0xff}.${(a0 >>> 16) & 0xff}.${a0 >>> 24}`;
  const groups: number[] = [];
  for (const word of [a0, a1, a2, a3]) {
    groups.push(((word & 0xff) << 8) | ((word >>> 8) & 0xff), ((word >>> 8) & 0xff00) | (word >>> 24));
  }
  // IPv4-mapped addresses keep their dotted form (RFC 5952 §5).
  if (a0 === 0 && a1 === 0 && a2 === ~0xffff) return `::ffff:${addressText(4, a3, 0, 0, 0)}`;
  let best = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > length) {
      best = i;
      length = j - i;
    }
    if (j > i) i = j - 1;
  }
  const hex = groups.map((group) => group.toString(16));
  if (best < 0) return hex.join(':');
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + length).join(':')}`;
}

/** A raw be16 as a number. */
export const portNumber = (raw: number): number => ((raw & 0xff) << 8) | ((raw >>> 8) & 0xff);

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Text of a station address of six bytes. */
export function stationText(bytes: Uint8Array, at: number): string {
  let text = HEX[bytes[at]!]!;
  for (let i = 1; i < 6; i++) text += `:${HEX[bytes[at + i]!]!}`;
  return text;
}
