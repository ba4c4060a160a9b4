// IP addresses and prefixes from text, as strictly as Kubernetes' newer validation reads them.
// In: text. Out: IpAddress / IpPrefix (bytes in network order) or a sentence saying what is wrong.
// Invariant: no leading zeros, no zones, no IPv4-mapped IPv6 (two spellings of one address would never match each other).
import { Address6 } from 'ip-address';
import type { IpAddress, IpPrefix } from '../state.ts';

/** A parsed value, or why there is none. */
export type AddressResult<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

const octet = '(0|[1-9][0-9]{0,2})';
const dottedForm = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`);
const colonForm = /^[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?:\.?[0-9]+){0,4}$/;

function fail(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

/** One address without a prefix length. */
export function parseAddress(text: string): AddressResult<IpAddress> {
  const bytes = addressBytes(text);
  if (typeof bytes === 'string') return fail(bytes);
  return { ok: true, value: { family: bytes.length === 4 ? 4 : 6, text: formatAddress(bytes), bytes } };
}

/** `address/length`; with `bareAllowed` an address alone is a full-length prefix. Host bits are masked off. */
export function parsePrefix(text: string, bareAllowed: boolean): AddressResult<IpPrefix> {
  const slash = text.indexOf('/');
  if (slash < 0 && !bareAllowed) return fail(`${quote(text)} is not a CIDR: it has no /length`);
  const bytes = addressBytes(slash < 0 ? text : text.slice(0, slash));
  if (typeof bytes === 'string') return fail(bytes);
  const bits = bytes.length * 8;
  let prefixLen = bits;
  if (slash >= 0) {
    const length = text.slice(slash + 1);
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > bits)
      return fail(`${quote(text)} has a bad prefix length (0–${bits})`);
    prefixLen = Number(length);
  }
  for (let i = 0; i < bytes.length; i++) {
    const kept = prefixLen - 8 * i;
    if (kept < 8) bytes[i] = kept <= 0 ? 0 : bytes[i]! & (0xff00 >> kept);
  }
  return {
    ok: true,
    value: { family: bytes.length === 4 ? 4 : 6, text: `${formatAddress(bytes)}/${prefixLen}`, bytes, prefixLen },
  };
}

/** True when every address of `inner` is in `outer`; families never cross. */
export function containsPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  return outer.prefixLen <= inner.prefixLen && containsAddress(outer, inner);
}

/** True when the address lies in the prefix; families never cross. */
export function containsAddress(
  outer: IpPrefix,
  inner: { readonly family: 4 | 6; readonly bytes: Uint8Array },
): boolean {
  if (outer.family !== inner.family) return false;
  for (let i = 0; i * 8 < outer.prefixLen; i++) {
    const kept = outer.prefixLen - 8 * i;
    const mask = kept >= 8 ? 0xff : (0xff00 >> kept) & 0xff;
    if ((inner.bytes[i]! & mask) !== outer.bytes[i]!) return false;
  }
  return true;
}

/** Canonical text of 4 or 16 bytes (RFC 5952 §4 for IPv6). */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) [bestStart, bestLength] = [i, length];
    i += length;
  }
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':');
  return bestStart < 0
    ? hex(groups)
    : `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function addressBytes(text: string): Uint8Array | string {
  const dotted = dottedForm.exec(text);
  if (dotted !== null) {
    const bytes = new Uint8Array(4);
    for (let i = 0; i < 4; i++) {
      const value = Number(dotted[i + 1]);
      if (value > 255) return `${quote(text)} is not an IP address`;
      bytes[i] = value;
    }
    return bytes;
  }
  if (/^[0-9]+(?:\.[0-9]+){3}$/.test(text)) return `${quote(text)} is not an IP address: leading zeros are not allowed`;
  if (text.includes('%')) return `${quote(text)} is not an IP address: zones are not allowed`;
  if (text.length > 45 || !colonForm.test(text)) return `${quote(text)} is not an IP address`;
  const tail = text.slice(text.lastIndexOf(':') + 1);
  if (tail.includes('.') && !dottedForm.test(tail)) return `${quote(text)} is not an IP address`;
  let parsed: Address6;
  try {
    parsed = new Address6(text);
  } catch {
    return `${quote(text)} is not an IP address`;
  }
  const bytes = new Uint8Array(16);
  parsed.parsedAddress.forEach((group, i) => {
    const value = Number.parseInt(group, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value & 0xff;
  });
  const mapped = bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((b) => b === 0);
  return mapped ? `${quote(text)} is an IPv4-mapped IPv6 address; write the IPv4 address` : bytes;
}

/** An IPv4 address as the number that be32 fields take. */
export const be32Of = (address: Uint8Array): number =>
  ((address[0]! << 24) | (address[1]! << 16) | (address[2]! << 8) | address[3]!) >>> 0;
