// Lists of the service maps: `weir service list`, `weir bpf lb list`, `weir bpf maglev list`, `weir bpf affinity list`.
// Input: maps. Output: listings in the order of addresses. Invariant: what refers to something missing is shown, not hidden.
import {
  ALGORITHM,
  affinityKey4,
  affinityKey6,
  affinityValue,
  backendKey,
  backendValue4,
  backendValue6,
} from '../../schema/index.ts';
import { MAGLEV_SLOT, maglevKey, SERVICE_FLAG, serviceKey4, serviceKey6, serviceValue } from '../../schema/index.ts';
import type { Listing, ListRow } from './listing.ts';
import type { MapSource } from './source.ts';
import { addressText, BACKEND_STATE_TEXT, protocolText, serviceFlags, serviceType, socketText } from './texts.ts';

interface Backend {
  readonly text: string;
  readonly state: string;
}

interface Slot {
  readonly slot: number;
  readonly target: number;
  readonly reverseNat: number;
  readonly flags: number;
  readonly count: number;
  readonly drainCount: number;
}

interface Service {
  readonly family: 4 | 6;
  /** `10.96.0.1:80/TCP`, `…/i`. */
  readonly text: string;
  readonly order: string;
  readonly slots: readonly Slot[];
}

const FAMILIES = [
  [4, 'services4', serviceKey4],
  [6, 'services6', serviceKey6],
] as const;

function readBackends(source: MapSource): ReadonlyMap<string, Backend> {
  const backends = new Map<string, Backend>();
  for (const [family, map, layout] of [
    [4, 'backends4', backendValue4],
    [6, 'backends6', backendValue6],
  ] as const) {
    for (const [key, value] of source.entries(map)) {
      const { address, port, protocol, state } = layout.decode(value);
      const text = `${socketText(address, port)}/${protocolText(protocol)}`;
      backends.set(`${family} ${backendKey.decode(key).id}`, { text, state: BACKEND_STATE_TEXT[state] ?? `${state}` });
    }
  }
  return backends;
}

function readServices(source: MapSource): Service[] {
  const services: Service[] = [];
  for (const [family, map, layout] of FAMILIES) {
    const found = new Map<string, { text: string; order: string; slots: Slot[] }>();
    for (const [key, value] of source.entries(map)) {
      const { address, port, protocol, scope, slot } = layout.decode(key);
      const text = `${socketText(address, port)}/${protocolText(protocol)}${scope === 0 ? '' : '/i'}`;
      let service = found.get(text);
      if (service === undefined) {
        const bytes =
          typeof address === 'number'
            ? [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255]
            : [...address];
        const order = [...bytes, port >>> 8, port & 255, protocol, scope]
          .map((byte) => String.fromCharCode(byte))
          .join('');
        found.set(text, (service = { text, order, slots: [] }));
      }
      service.slots.push({ slot, ...serviceValue.decode(value) });
    }
    for (const { text, order, slots } of found.values())
      services.push({ family, text, order, slots: slots.sort((a, b) => a.slot - b.slot) });
  }
  return services.sort((a, b) => a.family - b.family || (a.order < b.order ? -1 : 1));
}

const SEEN_QUARANTINED = SERVICE_FLAG.DENY_OR_QUARANTINED;

/** Frontends with their slots, as `cilium-dbg bpf lb list`. */
export function lbListing(source: MapSource): Listing {
  const backends = readBackends(source);
  const rows: ListRow[] = [];
  for (const { family, text, slots } of readServices(source)) {
    const nothing = family === 4 ? '0.0.0.0:0' : '[::]:0';
    for (const { slot, target, reverseNat, flags, count, drainCount } of slots) {
      const address = `${text} (${slot})`;
      if (slot === 0) {
        const words = serviceFlags(flags);
        const cell = `${nothing} (${reverseNat}) (0) [${words.join(', ')}]`;
        const algorithm =
          (flags & SERVICE_FLAG.L7LB) === 0 && target >>> 24 !== 0 ? ALGORITHM_TEXT[target >>> 24] : undefined;
        const affinity = (flags & SERVICE_FLAG.AFFINITY) !== 0 ? { affinitySeconds: target & 0xffffff } : {};
        rows.push({
          cells: [address, cell],
          object: {
            service: text,
            slot,
            revNat: reverseNat,
            count,
            drainCount,
            flags: words,
            ...(algorithm === undefined ? {} : { algorithm }),
            ...affinity,
          },
        });
        continue;
      }
      const backend = backends.get(`${family} ${target}`);
      const sick = (flags & SEEN_QUARANTINED) !== 0;
      const name = backend?.text ?? `${nothing} (backend ${target} is missing)`;
      rows.push({
        cells: [address, `${name} (${reverseNat}) (${slot})${sick ? ' [quarantined]' : ''}`],
        object: {
          service: text,
          slot,
          revNat: reverseNat,
          backendId: target,
          ...(backend === undefined ? {} : { backend: backend.text, state: sick ? 'quarantined' : backend.state }),
        },
      });
    }
  }
  return { head: ['SERVICE ADDRESS', 'BACKEND ADDRESS (REVNAT_ID) (SLOT)'], widths: [30], rows };
}

const ALGORITHM_TEXT: Readonly<Record<number, string>> = {
  [ALGORITHM.RANDOM]: 'random',
  [ALGORITHM.MAGLEV]: 'maglev',
  [ALGORITHM.FIRST]: 'first',
};

/** Frontends with their backends, as `cilium-dbg service list`. */
export function serviceListing(source: MapSource): Listing {
  const backends = readBackends(source);
  const rows: ListRow[] = [];
  for (const { family, text, slots } of readServices(source)) {
    const master = slots.find(({ slot }) => slot === 0);
    if (master === undefined || master.reverseNat === 0) continue;
    const list = slots.flatMap(({ slot, target, flags }) => {
      if (slot === 0) return [];
      const backend = backends.get(`${family} ${target}`);
      const state = (flags & SEEN_QUARANTINED) !== 0 ? 'quarantined' : (backend?.state ?? 'missing');
      return [{ backend: backend?.text ?? `backend ${target}`, state }];
    });
    const type = serviceType(master.flags);
    const lines = list.map(({ backend, state }, i) => `${i + 1} => ${backend} (${state})`);
    const object = {
      id: master.reverseNat,
      frontend: text,
      type,
      flags: serviceFlags(master.flags).slice(1),
      backends: list,
    };
    rows.push({ cells: [String(master.reverseNat), text, type, lines[0] ?? ''], object });
    for (const line of lines.slice(1)) rows.push({ cells: ['', '', '', line], object: NO_OBJECT });
  }
  return { head: ['ID', 'Frontend', 'Service Type', 'Backend'], rows };
}

/** Object of a row that only continues the one before. */
const NO_OBJECT = {};

/** Without the rows that only continue others: what JSON and YAML print. */
export const objectsOnly = (listing: Listing): Listing => ({
  ...listing,
  rows: listing.rows.filter(({ object }) => object !== NO_OBJECT),
});

/** Maglev tables, as `cilium-dbg bpf lb maglev list`. */
export function maglevListing(source: MapSource): Listing {
  const rows: ListRow[] = [];
  for (const [family, map] of [
    [4, 'maglev4'],
    [6, 'maglev6'],
  ] as const) {
    const tables = source.entries(map).map(([key, value]) => ({ id: maglevKey.decode(key).reverseNat, value }));
    for (const { id, value } of tables.sort((a, b) => a.id - b.id)) {
      const words = new Uint32Array(value.slice().buffer);
      const table = Array.from(words, (word) => word & MAGLEV_SLOT.BACKEND);
      const counts = new Map<number, number>();
      for (const backend of table) counts.set(backend, (counts.get(backend) ?? 0) + 1);
      const shares = Object.fromEntries([...counts].sort(([a], [b]) => a - b));
      const moving = words.reduce((sum, word) => sum + (word >>> 31), 0);
      rows.push({
        cells: [String(id), `[${table.join(' ')}]`],
        object: { service: id, family, size: table.length, slots: shares, ...(moving > 0 ? { moving } : {}), table },
      });
    }
  }
  return { head: ['SVC ID', 'LOOKUP TABLE'], rows };
}

/** Session affinity. */
export function affinityListing(source: MapSource): Listing {
  const rows: ListRow[] = [];
  for (const [map, layout] of [
    ['affinity4', affinityKey4],
    ['affinity6', affinityKey6],
  ] as const) {
    for (const [key, value] of source.entries(map)) {
      const { reverseNat, isCookie } = layout.decode(key);
      const { backendId, lastUsed } = affinityValue.decode(value);
      const client =
        isCookie === 1
          ? `cookie ${new DataView(key.slice().buffer).getBigUint64(0, true)}`
          : addressText(key.slice(0, map === 'affinity4' ? 4 : 16));
      rows.push({
        cells: [client, String(reverseNat), String(backendId), String(lastUsed)],
        object: { client, revNat: reverseNat, backendId, lastUsed },
      });
    }
  }
  rows.sort((a, b) =>
    a.cells[0]! < b.cells[0]! ? -1 : a.cells[0]! > b.cells[0]! ? 1 : Number(a.cells[1]) - Number(b.cells[1]),
  );
  return { head: ['CLIENT', 'SVC ID', 'BACKEND ID', 'LAST USED'], rows };
}
