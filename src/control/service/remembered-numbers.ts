// Numbers of backends and frontends that the datapath's memory names: connections, translations, affinity, xdp's flows.
// Input: content of those maps. Output: each number found, doubles included. Invariant: an entry counts whether it is live or not;
// an entry that moves from the unanswered to the answered connections during the walk is seen.
import { affinityKey4, affinityKey6, affinityValue, CT_KEY, ctEntry, ctKey4, ctKey6 } from '../../schema/index.ts';
import { flowValue, MAPS, type MapName, natEntry4, natEntry6 } from '../../schema/index.ts';

/** Maps whose entries name backends or frontends by number, in the order in which they have to be read. */
export const MEMORY_MAPS = [
  'ctTcpNew4',
  'ctAnyNew4',
  'ctTcpNew6',
  'ctAnyNew6',
  'ctTcp4',
  'ctAny4',
  'ctTcp6',
  'ctAny6',
  'affinity4',
  'affinity6',
  'flows4',
  'flows6',
  'nat4',
  'nat6',
] as const satisfies readonly MapName[];
/** Schema name of such a map. */
export type MemoryMapName = (typeof MEMORY_MAPS)[number];

/** Content of these maps. They are walked once, and may change meanwhile. */
export type MemoryDump = Partial<Readonly<Record<MemoryMapName, Iterable<readonly [Uint8Array, Uint8Array]>>>>;

/** What takes the numbers. */
export interface NumberTaker {
  /** Takes one, which may make no sense. */
  rest(number: number): void;
}

type Reader = (key: Uint8Array, value: Uint8Array, backends: NumberTaker, frontends: NumberTaker) => void;

const u16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
const u32 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

const connection =
  (flagsAt: number): Reader =>
  (key, value, backends, frontends) => {
    // Only a service entry's word is a backend; elsewhere it is part of an address.
    if ((key[flagsAt]! & CT_KEY.SERVICE) !== 0) backends.rest(u32(value, ctEntry.at.backend));
    frontends.rest(u16(value, ctEntry.at.reverseNat));
  };
const affinity =
  (reverseNatAt: number): Reader =>
  (key, value, backends, frontends) => {
    backends.rest(u32(value, affinityValue.at.backendId));
    frontends.rest(u16(key, reverseNatAt));
  };
const flow: Reader = (_key, value, backends) => backends.rest(u32(value, flowValue.at.backendId));
const translation =
  (reverseNatAt: number): Reader =>
  (_key, value, _backends, frontends) =>
    frontends.rest(u16(value, reverseNatAt));

const connection4 = connection(ctKey4.at.flags);
const connection6 = connection(ctKey6.at.flags);
const READERS: Readonly<Record<MemoryMapName, Reader>> = {
  ctTcpNew4: connection4,
  ctAnyNew4: connection4,
  ctTcpNew6: connection6,
  ctAnyNew6: connection6,
  ctTcp4: connection4,
  ctAny4: connection4,
  ctTcp6: connection6,
  ctAny6: connection6,
  affinity4: affinity(affinityKey4.at.reverseNat),
  affinity6: affinity(affinityKey6.at.reverseNat),
  flows4: flow,
  flows6: flow,
  nat4: translation(natEntry4.at.reverseNat),
  nat6: translation(natEntry6.at.reverseNat),
};

/** Reads the maps of a dump; what has another form is passed over. */
export function readMemory(dump: MemoryDump, backends: NumberTaker, frontends: NumberTaker): void {
  for (const map of MEMORY_MAPS) {
    const { key: keyType, value: valueType } = MAPS[map];
    const read = READERS[map];
    for (const [key, value] of dump[map] ?? [])
      if (key.length === keyType.bytes && value.length === valueType.bytes) read(key, value, backends, frontends);
  }
}
