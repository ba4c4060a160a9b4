// What a restart finds in the maps of the process before: numbers that must stay, slots in quarantine, entries that may be
// there already. Input: map content. Output: numbers by name, quarantines by frontend, entries by key.
// Invariant: nothing is believed beyond its form; what makes no sense is only content to be pruned.
import type { StructType, ValueOf } from '../../layout/index.ts';
import {
  backendValue4,
  backendValue6,
  maglevKey,
  MAPS,
  SERVICE_FLAG,
  serviceKey4,
  serviceKey6,
  serviceValue,
} from '../../schema/index.ts';
import { formatAddress } from '../manifest/address.ts';
import { backendKeyOf } from './backends.ts';
import { type Entry, SERVICE_MAPS, type ServiceMapName } from './entries.ts';
import { frontendKey } from './frontend.ts';

/** Content of maps, by the schema's names (`services4`). Entries of arrays that are all zero count as absent. */
export type MapDump = Partial<Readonly<Record<ServiceMapName, Iterable<readonly [Uint8Array, Uint8Array]>>>>;

/** See the head of this file. */
export interface Restored {
  /** Frontend key → reverse NAT index. */
  readonly frontends: ReadonlyMap<string, number>;
  /** Backend key → id. */
  readonly backends: ReadonlyMap<string, number>;
  /** Frontend key → backend keys. */
  readonly quarantined: ReadonlyMap<string, ReadonlySet<string>>;
  /** Map and key → value. */
  readonly entries: InheritedEntries;
}

/** A key's bytes as a text. */
export const bytesText = (bytes: Uint8Array): string => {
  let text = '';
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!);
  return text;
};

/** Entries of the process before that nobody has claimed yet. */
export class InheritedEntries {
  private readonly maps = new Map<ServiceMapName, Map<string, readonly [Uint8Array, Uint8Array]>>();

  add(map: ServiceMapName, key: Uint8Array, value: Uint8Array): void {
    let entries = this.maps.get(map);
    if (entries === undefined) this.maps.set(map, (entries = new Map()));
    entries.set(bytesText(key), [key.slice(), value.slice()]);
  }

  /** The value of an entry, which is nobody's any more. */
  take(map: ServiceMapName, key: Uint8Array): Uint8Array | undefined {
    const entries = this.maps.get(map);
    if (entries === undefined) return undefined;
    const text = bytesText(key);
    const found = entries.get(text);
    if (found === undefined) return undefined;
    entries.delete(text);
    if (entries.size === 0) this.maps.delete(map);
    return found[1];
  }

  /** The value of an entry that nobody has claimed yet. */
  peek(map: ServiceMapName, key: Uint8Array): Uint8Array | undefined {
    return this.maps.get(map)?.get(bytesText(key))?.[1];
  }

  get isEmpty(): boolean {
    return this.maps.size === 0;
  }

  *[Symbol.iterator](): IterableIterator<readonly [ServiceMapName, Uint8Array, Uint8Array]> {
    for (const [map, entries] of this.maps) for (const [key, value] of entries.values()) yield [map, key, value];
  }
}

/** A frontend's slots as a process before left them; one backend id (0: none) where it had no table. */
export interface InheritedSlots {
  readonly slots: Uint32Array | number;
  readonly previous: Uint32Array | undefined;
}

/** Finds them by the frontend's number and by the entries that it is to have; undefined: the frontend was not there. */
export function inheritedSlots(
  inherited: InheritedEntries,
  family: 4 | 6,
  reverseNat: number,
  entries: readonly Entry[],
): InheritedSlots | undefined {
  if (inherited.isEmpty) return undefined;
  const words = (map: ServiceMapName): Uint32Array | undefined => {
    const bytes = inherited.peek(map, maglevKey.encode({ reverseNat }));
    return bytes === undefined ? undefined : new Uint32Array(bytes.slice(0, bytes.length & ~3).buffer);
  };
  const table = words(family === 4 ? 'maglev4' : 'maglev6');
  if (table !== undefined)
    return { slots: table, previous: words(family === 4 ? 'maglevPrevious4' : 'maglevPrevious6') };
  const services = family === 4 ? 'services4' : 'services6';
  const { at } = family === 4 ? serviceKey4 : serviceKey6;
  const key = entries.find(({ map }) => map === services)?.key.slice();
  if (key === undefined) return undefined;
  const valueOf = (slot: number): ValueOf<typeof serviceValue> | undefined => {
    key[at.slot] = slot;
    key[at.slot + 1] = 0;
    const value = inherited.peek(services, key);
    return value?.length === serviceValue.bytes ? serviceValue.decode(value) : undefined;
  };
  const master = valueOf(0);
  if (master === undefined || master.count > 1) return undefined;
  return { slots: master.count === 0 ? 0 : (valueOf(1)?.target ?? 0), previous: undefined };
}

const PROTOCOL: Readonly<Record<number, string>> = { 0: 'ANY', 6: 'TCP', 17: 'UDP', 132: 'SCTP' };
const protocolText = (protocol: number): string => PROTOCOL[protocol] ?? `${protocol}`;
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

const addressText = (address: number | Uint8Array): string =>
  typeof address === 'number'
    ? formatAddress(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address))
    : formatAddress(address);

/** Decodes an entry; undefined where its bytes have another length. */
function decode<K extends StructType, V extends StructType>(
  keyType: K,
  valueType: V,
  key: Uint8Array,
  value: Uint8Array,
): { readonly key: ValueOf<K>; readonly value: ValueOf<V> } | undefined {
  if (key.length !== keyType.bytes || value.length !== valueType.bytes) return undefined;
  return { key: keyType.decode(key) as ValueOf<K>, value: valueType.decode(value) as ValueOf<V> };
}

/** Reads maps. */
export function readMaps(dump: MapDump): Restored {
  const frontends = new Map<string, number>();
  const backends = new Map<string, number>();
  const quarantined = new Map<string, Set<string>>();
  const entries = new InheritedEntries();
  for (const map of SERVICE_MAPS) {
    const isArray = MAPS[map].kind === 'array';
    for (const [key, value] of dump[map] ?? []) {
      if (key.length !== MAPS[map].key.bytes || (isArray && isZero(value))) continue;
      entries.add(map, key, value);
    }
  }
  const backendOfId = { 4: new Map<number, string>(), 6: new Map<number, string>() };
  for (const [map, key, value] of entries) {
    if (map !== 'backends4' && map !== 'backends6') continue;
    const decoded = decode(MAPS[map].key, map === 'backends4' ? backendValue4 : backendValue6, key, value);
    if (decoded === undefined) continue;
    const { address, port, protocol } = decoded.value;
    const name = backendKeyOf(addressText(address), port, protocolText(protocol));
    backends.set(name, decoded.key.id);
    backendOfId[map === 'backends4' ? 4 : 6].set(decoded.key.id, name);
  }
  for (const [map, key, value] of entries) {
    if (map !== 'services4' && map !== 'services6') continue;
    const decoded = decode(map === 'services4' ? serviceKey4 : serviceKey6, serviceValue, key, value);
    if (decoded === undefined) continue;
    const { address, port, protocol, scope, slot } = decoded.key;
    if (port === 0) continue;
    const name = frontendKey(addressText(address), port, protocolText(protocol), scope);
    const { reverseNat, target, flags } = decoded.value;
    if (slot === 0) frontends.set(name, reverseNat);
    else if ((flags & SERVICE_FLAG.DENY_OR_QUARANTINED) !== 0) {
      const backend = backendOfId[map === 'services4' ? 4 : 6].get(target);
      if (backend === undefined) continue;
      const of = quarantined.get(name);
      if (of === undefined) quarantined.set(name, new Set([backend]));
      else of.add(backend);
    }
  }
  return { frontends, backends, quarantined, entries };
}
