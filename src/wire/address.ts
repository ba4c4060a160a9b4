// Addresses as text: IPv4, IPv6 (RFC 5952), MAC; and back, from text to raw words.
// Input and output of the raw side: int32 words in memory order. Bad text is `undefined`, never an exception.
// Invariant: parse(format(x)) = x for every x, and format(parse(t)) is t's canonical form.

import { type Ipv6Words, readBe16, swap16, swap32 } from './bytes.ts';

/** Dotted decimal of a raw IPv4 address. */
export function formatIpv4(raw: number): string {
  return `${raw & 255}.${(raw >>> 8) & 255}.${(raw >>> 16) & 255}.${raw >>> 24}`;
}

/**
 * RFC 5952 text of a raw IPv6 address: lower case, no leading zeros, the longest run of at least two zero groups (the
 * first of equals) as `::`. IPv4-mapped addresses end in dotted decimal (§5).
 */
export function formatIpv6(w0: number, w1: number, w2: number, w3: number): string {
  if (w0 === 0 && w1 === 0 && w2 === MAPPED_WORD) return `::ffff:${formatIpv4(w3)}`;
  const groups: number[] = [];
  for (const word of [w0, w1, w2, w3]) groups.push(swap16(word & 0xffff), swap16(word >>> 16));
  let bestStart = 8;
  let bestCount = 1;
  let start = 0;
  for (let i = 0; i <= 8; i++) {
    if (i < 8 && groups[i] === 0) continue;
    if (i - start > bestCount) {
      bestStart = start;
      bestCount = i - start;
    }
    start = i + 1;
  }
  if (bestStart === 8) return hexGroups(groups);
  return `${hexGroups(groups.slice(0, bestStart))}::${hexGroups(groups.slice(bestStart + bestCount))}`;
}
/** Third raw word of ::ffff:0:0/96: bytes 00 00 ff ff. */
const MAPPED_WORD = 0xffff0000 | 0;

function hexGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/**
 * Raw IPv4 address of dotted decimal: four decimals 0–255 without leading zeros (Go `netip.ParseAddr`'s rule, since
 * some readers take a leading zero as octal). `undefined` for anything else.
 */
export function parseIpv4(text: string): number | undefined {
  let raw = 0;
  let at = 0;
  for (let i = 0; i < 4; i++) {
    if (i > 0 && text.charCodeAt(at++) !== DOT) return undefined;
    const first = at;
    let value = 0;
    while (at < text.length && at - first < 3) {
      const digit = text.charCodeAt(at) - DIGIT_0;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      at++;
    }
    const digits = at - first;
    if (digits === 0 || value > 255 || (digits > 1 && text.charCodeAt(first) === DIGIT_0)) return undefined;
    raw |= value << (8 * i);
  }
  return at === text.length ? raw : undefined;
}
const DOT = 46;
const DIGIT_0 = 48;

/**
 * Raw words of an IPv6 address in any form of RFC 4291 §2.2, dotted decimal in the last two groups included.
 * `undefined` for anything else; a zone (`%eth0`), a prefix length and brackets are something else.
 */
export function parseIpv6(text: string): Ipv6Words | undefined {
  const gap = text.indexOf('::');
  const head = gap < 0 ? text : text.slice(0, gap);
  const tail = gap < 0 ? '' : text.slice(gap + 2);
  const groups = parseGroups(head, gap < 0);
  const last = gap < 0 ? [] : parseGroups(tail, true);
  if (groups === undefined || last === undefined) return undefined;
  const missing = 8 - groups.length - last.length;
  if (gap < 0 ? missing !== 0 : missing < 1) return undefined;
  for (let i = 0; i < missing; i++) groups.push(0);
  groups.push(...last);
  const words: number[] = [];
  for (let i = 0; i < 8; i += 2) words.push(swap16(groups[i]!) | (swap16(groups[i + 1]!) << 16));
  return [words[0]!, words[1]!, words[2]!, words[3]!];
}

/** Host-order groups of colon-separated hexadecimal; at the end a dotted decimal counts as two when it is allowed. */
function parseGroups(text: string, mayEndDotted: boolean): number[] | undefined {
  const groups: number[] = [];
  if (text === '') return groups;
  // An address has at most 8 groups; a longer text is refused before it is split.
  if (text.length > 45) return undefined;
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (mayEndDotted && i === parts.length - 1 && part.includes('.')) {
      const raw = parseIpv4(part);
      if (raw === undefined) return undefined;
      const value = swap32(raw);
      groups.push(value >>> 16, value & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** Colon-separated lower-case hexadecimal of the 6 bytes at `at`. */
export function formatMac(bytes: Uint8Array, at: number): string {
  const groups = [readBe16(bytes, at), readBe16(bytes, at + 2), readBe16(bytes, at + 4)];
  return groups.map((group) => `${hexByte(group >>> 8)}:${hexByte(group & 255)}`).join(':');
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** The 6 bytes of a MAC address written with colons or hyphens; `undefined` for anything else. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(/[:-]/), (part) => Number.parseInt(part, 16));
}
