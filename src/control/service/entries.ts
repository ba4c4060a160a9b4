// Frontends and backends → the entries of the service maps. Input: a Frontend with its numbers. Output: entries as bytes.
// Invariant: pure; entries of a frontend depend on nothing but the frontend, its number, and its backends' ids and weights.
import type { LazyBytes } from '../../maps/map-write.ts';
import {
  affinityMatchKey,
  ALGORITHM,
  BACKEND_STATE,
  backendKey,
  backendValue4,
  backendValue6,
  maglevKey,
  presence,
  reverseNatKey,
  reverseNatValue4,
  reverseNatValue6,
  scaleToZeroKey,
  SCOPE,
  SERVICE_FLAG,
  serviceKey4,
  serviceKey6,
  serviceValue,
  sourceRangeKey4,
  sourceRangeKey6,
} from '../../schema/index.ts';
import { be32Of } from '../manifest/address.ts';
import { PROTOCOL_NUMBER } from '../policy/rule.ts';
import type { IpAddress } from '../state.ts';
import type { ServiceBackend } from './backends.ts';
import type { Frontend } from './frontend.ts';
import type { MaglevTables, SharedTable } from './maglev-tables.ts';

/** The maps that services live in. */
export const SERVICE_MAPS = [
  'services4',
  'services6',
  'backends4',
  'backends6',
  'reverseNat4',
  'reverseNat6',
  'maglev4',
  'maglev6',
  'affinityMatch',
  'sourceRange4',
  'sourceRange6',
  'scaleToZero',
  'maglevPrevious4',
  'maglevPrevious6',
] as const;
/** Name of one of them. */
export type ServiceMapName = (typeof SERVICE_MAPS)[number];

/** One entry of a map. A Maglev table's bytes are made when they are asked for. */
export interface Entry {
  readonly map: ServiceMapName;
  readonly key: Uint8Array;
  readonly value: Uint8Array | LazyBytes;
}

const PRESENT = presence.encode({ present: 1 });
/** Bits of a master entry that mean something else in a slot. */
const MASTER_ONLY = SERVICE_FLAG.SOURCE_RANGE | SERVICE_FLAG.DENY_OR_QUARANTINED;

/** The entries of a frontend but for its Maglev table, whose use the caller has to give back, and its selectable backends. */
export function frontendEntries(
  frontend: Frontend,
  reverseNat: number,
  idOf: (key: string) => number | undefined,
  tables: MaglevTables,
  quarantined: ReadonlySet<string>,
): { readonly entries: Entry[]; readonly table: SharedTable | undefined; readonly selectable: readonly number[] } {
  const { address, port, scope, flags } = frontend;
  const four = address.family === 4;
  const protocol = PROTOCOL_NUMBER[frontend.protocol];
  const withIds = (list: readonly ServiceBackend[]): { id: number; backend: ServiceBackend }[] =>
    list.flatMap((backend) => {
      const id = idOf(backend.key);
      return id === undefined ? [] : [{ id, backend }];
    });
  const selectable = withIds(frontend.backends);
  const draining = withIds(frontend.draining);
  const entries: Entry[] = [];

  const slotFlags = flags & ~MASTER_ONLY;
  [...selectable, ...draining].forEach(({ id, backend }, i) => {
    const sick = quarantined.has(backend.key) ? SERVICE_FLAG.DENY_OR_QUARANTINED : 0;
    const value = { target: id, count: 0, reverseNat, flags: slotFlags | sick, drainCount: 0 };
    entries.push(serviceEntry(address, port, protocol, scope, i + 1, value));
  });
  const algorithm = frontend.algorithm === ALGORITHM.DEFAULT ? 0 : frontend.algorithm * 0x1000000;
  entries.push(
    serviceEntry(address, port, protocol, scope, 0, {
      target: algorithm + frontend.affinitySeconds,
      count: selectable.length,
      reverseNat,
      flags,
      drainCount: draining.length,
    }),
  );

  const index = reverseNatKey.encode({ index: reverseNat });
  entries.push(
    four
      ? {
          map: 'reverseNat4',
          key: index,
          value: reverseNatValue4.encode({ address: be32Of(address.bytes), port, flags: 1 }),
        }
      : { map: 'reverseNat6', key: index, value: reverseNatValue6.encode({ address: address.bytes, port, flags: 1 }) },
  );

  let table: SharedTable | undefined;
  if (frontend.maglev && selectable.length > 0) {
    table = tables.acquire(
      selectable.map(({ id, backend }) => ({
        id,
        address: backend.address.text,
        port: backend.port,
        protocol: backend.protocol,
        weight: backend.weight,
      })),
    );
  }
  if (frontend.affinitySeconds > 0) {
    // What only stands in while it terminates takes no clients; what is in quarantine is active, and keeps those that it has.
    for (const { id, backend } of [...selectable, ...draining])
      if (backend.state === BACKEND_STATE.ACTIVE)
        entries.push({
          map: 'affinityMatch',
          key: affinityMatchKey.encode({ backendId: id, reverseNat }),
          value: PRESENT,
        });
  }
  for (const { bytes, prefixLen } of frontend.sourceRanges) {
    const prefixLength = 32 + prefixLen;
    entries.push(
      four
        ? {
            map: 'sourceRange4',
            key: sourceRangeKey4.encode({ prefixLength, reverseNat, address: be32Of(bytes) }),
            value: PRESENT,
          }
        : {
            map: 'sourceRange6',
            key: sourceRangeKey6.encode({ prefixLength, reverseNat, address: bytes }),
            value: PRESENT,
          },
    );
  }
  if (frontend.scaleToZero)
    entries.push({ map: 'scaleToZero', key: scaleToZeroKey.encode({ reverseNat }), value: PRESENT });
  return { entries, table, selectable: selectable.map(({ id }) => id) };
}

/** The entries of a frontend's Maglev table and, while flows move, of the one before. */
export function maglevEntries(
  family: 4 | 6,
  reverseNat: number,
  table: LazyBytes | undefined,
  previous: LazyBytes | undefined,
): Entry[] {
  const key = maglevKey.encode({ reverseNat });
  const entries: Entry[] = [];
  if (table !== undefined) entries.push({ map: family === 4 ? 'maglev4' : 'maglev6', key, value: table });
  if (previous !== undefined)
    entries.push({ map: family === 4 ? 'maglevPrevious4' : 'maglevPrevious6', key, value: previous });
  return entries;
}

/** The entry that swallows what no frontend of an address takes. */
export const wildcardEntry = (address: IpAddress, flags: number): Entry =>
  serviceEntry(address, 0, 0, SCOPE.EXTERNAL, 0, { target: 0, count: 0, reverseNat: 0, flags, drainCount: 0 });

/** A backend's entry. */
export function backendEntry(id: number, backend: ServiceBackend, nodeId: number, zone: number): Entry {
  const { address, port, state } = backend;
  const common = { port, protocol: PROTOCOL_NUMBER[backend.protocol], state, nodeId, zone, flags: 0 };
  const key = backendKey.encode({ id });
  return address.family === 4
    ? { map: 'backends4', key, value: backendValue4.encode({ address: be32Of(address.bytes), ...common }) }
    : { map: 'backends6', key, value: backendValue6.encode({ address: address.bytes, ...common }) };
}

interface SlotValue {
  readonly target: number;
  readonly count: number;
  readonly reverseNat: number;
  readonly flags: number;
  readonly drainCount: number;
}

/** A master entry (slot 0) or a slot. */
function serviceEntry(
  address: IpAddress,
  port: number,
  protocol: number,
  scope: number,
  slot: number,
  slotValue: SlotValue,
): Entry {
  const rest = { port, slot, protocol, scope };
  const value = serviceValue.encode(slotValue);
  return address.family === 4
    ? { map: 'services4', key: serviceKey4.encode({ address: be32Of(address.bytes), ...rest }), value }
    : { map: 'services6', key: serviceKey6.encode({ address: address.bytes, ...rest }), value };
}
