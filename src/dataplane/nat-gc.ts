// Garbage collection of source NAT: translations whose connection conntrack does not know any more. Input: an engine's maps, the
// second that it is. Output: entries removed, a count. Invariant: either half names its connection, so both halves of one go
// in the same pass; a translation that was made a moment ago stays, since its connection may be entered only now.
import type { ByteMap, MapWrite } from '../maps/index.ts';
import { CT_KEY, ctEntry, ctKey4, ctKey6, NAT_WAY, natEntry4, natEntry6, natKey4, natKey6 } from '../schema/index.ts';
import type { Dataplane } from './dataplane.ts';

/** Seconds that a translation stays without a connection. */
const GRACE = 10;
/** Deletes that are held at once. */
const BATCH = 4096;
const TCP = 6;
const ICMP = 1;
const ICMPV6 = 58;
const OWNERS = [0, CT_KEY.OWNER_HIGH, CT_KEY.NODE, CT_KEY.NODE | CT_KEY.OWNER_HIGH];

const FAMILIES = [
  {
    nat: 'nat4',
    bytes: 4,
    key: natKey4.at,
    entry: natEntry4.at,
    ct: ctKey4,
    tcp: ['ctTcp4', 'ctTcpNew4'],
    any: ['ctAny4', 'ctAnyNew4'],
  },
  {
    nat: 'nat6',
    bytes: 16,
    key: natKey6.at,
    entry: natEntry6.at,
    ct: ctKey6,
    tcp: ['ctTcp6', 'ctTcpNew6'],
    any: ['ctAny6', 'ctAnyNew6'],
  },
] as const;
type Family = (typeof FAMILIES)[number];

/** One pass over both NAT maps. @returns entries (halves) that were deleted */
export function collectTranslations(dataplane: Pick<Dataplane, 'maps' | 'apply'>, now: number): number {
  let deleted = 0;
  for (const family of FAMILIES) {
    const map = dataplane.maps[family.nat];
    let batch: MapWrite[] = [];
    const tuple = new Uint8Array(family.ct.bytes);
    for (const [key, value] of map.entries()) {
      const { created } = family.entry;
      if (((now - word(value, created)) | 0) < GRACE) continue;
      if (lives(dataplane, family, key, value, tuple, now)) continue;
      batch.push({ map: map.spec.name, op: 'delete', key });
      deleted++;
      if (batch.length === BATCH) {
        dataplane.apply(batch);
        batch = [];
      }
    }
    if (batch.length > 0) dataplane.apply(batch);
  }
  return deleted;
}

/** Whether conntrack has the connection of a NAT entry, whoever owns it there. */
function lives(
  { maps }: Pick<Dataplane, 'maps'>,
  family: Family,
  key: Uint8Array,
  value: Uint8Array,
  tuple: Uint8Array,
  now: number,
): boolean {
  const { bytes, key: at, entry } = family;
  const protocol = key[at.protocol]!;
  const out = key[at.flags] === NAT_WAY.OUT;
  const source = out
    ? key.subarray(at.source, at.source + bytes)
    : value.subarray(entry.address, entry.address + bytes);
  const remote = out ? at.destination : at.source;
  const sourcePort = out ? half(key, at.sourcePort) : half(value, entry.port);
  const echo = protocol === ICMP || protocol === ICMPV6;
  const remotePort = echo ? sourcePort : half(key, out ? at.destinationPort : at.sourcePort);
  canonical(family, source, key.subarray(remote, remote + bytes), sourcePort, remotePort, tuple);
  tuple[family.ct.at.protocol] = protocol;
  const found = new Uint8Array(ctEntry.bytes);
  for (const name of protocol === TCP ? family.tcp : family.any) {
    const map: ByteMap = maps[name];
    for (const flags of OWNERS) {
      tuple[family.ct.at.flags] = flags;
      if (map.lookup(tuple, found) && word(found, ctEntry.at.lifetime) >= (now | 0)) return true;
    }
  }
  return false;
}

/** Addresses and ports of a conntrack key (schema/conntrack.ts): the lower end first, word by word as signed loads. */
function canonical(
  { bytes, ct }: Family,
  a: Uint8Array,
  b: Uint8Array,
  aPort: number,
  bPort: number,
  into: Uint8Array,
): void {
  let order = 0;
  for (let i = 0; i < bytes && order === 0; i += 4) order = Math.sign(word(a, i) - word(b, i));
  if (order === 0) order = aPort <= bPort ? -1 : 1;
  const [low, high, lowPort, highPort] = order < 0 ? [a, b, aPort, bPort] : [b, a, bPort, aPort];
  into.fill(0);
  into.set(low, ct.at.lowAddress);
  into.set(high, ct.at.highAddress);
  putHalf(into, ct.at.lowPort, lowPort);
  putHalf(into, ct.at.highPort, highPort);
}

const half = (from: Uint8Array, at: number): number => from[at]! | (from[at + 1]! << 8);
const word = (from: Uint8Array, at: number): number => half(from, at) | (half(from, at + 2) << 16);
function putHalf(into: Uint8Array, at: number, value: number): void {
  into[at] = value & 0xff;
  into[at + 1] = value >>> 8;
}
