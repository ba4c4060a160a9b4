// Frontends → the service maps. Input: Frontends, the numbers of the previous compile. Output: entries of the services,
// backends, reverse NAT, Maglev, affinity-match and source-range maps; names for printers.
// Invariant: a frontend keeps its number while it exists, even without backends; equal Maglev tables are one array.
import {
  affinityMatchKey,
  ALGORITHM,
  backendKey,
  backendValue4,
  backendValue6,
  maglevKey,
  presence,
  reverseNatKey,
  reverseNatValue4,
  reverseNatValue6,
  SCOPE,
  SERVICE_FLAG,
  serviceKey4,
  serviceKey6,
  serviceValue,
  sourceRangeKey4,
  sourceRangeKey6,
} from '../../schema/index.ts';
import { MapBuilder } from '../desired-map.ts';
import { maglevTable } from '../maglev/index.ts';
import { type MapSizes, sizedSpec } from '../map-sizes.ts';
import { PROTOCOL_NUMBER } from '../policy/rule.ts';
import type { IpAddress } from '../state.ts';
import { StickyIds } from '../sticky-ids.ts';
import type { ServiceBackend } from './backends.ts';
import type { Frontend, Frontends } from './frontends.ts';

/** The numbers that stay from compile to compile, and tables worth keeping. */
export class ServiceNumbers {
  readonly frontends: StickyIds;
  readonly backends: StickyIds;
  /** Maglev tables of the last compile, by what they were made of. */
  tables: ReadonlyMap<string, Uint8Array> = new Map();

  /** Numbers are places in arrays, whose first one is nobody's. */
  constructor(sizes: MapSizes = {}) {
    this.frontends = new StickyIds(1, sizedSpec('reverseNat4', sizes).maxEntries - 1);
    this.backends = new StickyIds(1, sizedSpec('backends4', sizes).maxEntries - 1);
  }
}

/** What a reverse NAT index stands for. */
export interface FrontendName {
  readonly namespace: string;
  readonly name: string;
  /** `10.96.0.10:80`. */
  readonly frontend: string;
}

/** The service maps' content. */
export interface ServiceTables {
  readonly builders: ServiceBuilders;
  readonly reverseNatNames: ReadonlyMap<number, FrontendName>;
  /** Backend id → `10.244.2.12:8080`. */
  readonly backendNames: ReadonlyMap<number, string>;
  /** Frontends and backends that got no number. */
  readonly refused: readonly string[];
}

const SERVICE_MAPS = [
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
] as const;

/** Builders by map name. */
export type ServiceBuilders = { readonly [M in (typeof SERVICE_MAPS)[number]]: MapBuilder };

/** `address:port`, IPv6 in brackets. */
export const endpointText = (address: IpAddress, port: number): string =>
  address.family === 4 ? `${address.text}:${port}` : `[${address.text}]:${port}`;

/** An IPv4 address as the number that be32 fields take. */
export const be32Of = (address: Uint8Array): number =>
  ((address[0]! << 24) | (address[1]! << 16) | (address[2]! << 8) | address[3]!) >>> 0;

/** Which node hosts a backend: 0 = unknown. */
export type NodeOf = (backend: ServiceBackend) => number;

/** Builds the maps. `seed`: MaglevSeed.murmur. */
export function buildServiceTables(
  { frontends, wildcards }: Frontends,
  numbers: ServiceNumbers,
  maglev: { readonly size: number; readonly seed: number },
  sizes: MapSizes,
  nodeOf: NodeOf,
): ServiceTables {
  const builders = Object.fromEntries(
    SERVICE_MAPS.map((map) => [map, new MapBuilder(sizedSpec(map, sizes))]),
  ) as ServiceBuilders;
  const backends = usedBackends(frontends);
  const frontendIds = numbers.frontends.assign(frontends.map(({ key }) => key));
  const backendIds = numbers.backends.assign(backends.keys());
  const zones = zoneNumbers(backends.values());
  const writer = new TableWriter(builders, frontendIds.ids, backendIds.ids, numbers.tables, maglev);
  for (const [key, backend] of backends) writer.backend(key, backend, nodeOf(backend), zones.get(backend.zone) ?? 0);
  for (const frontend of frontends) writer.frontend(frontend);
  for (const { address, flags } of wildcards) {
    writer.slot(address, 0, 0, SCOPE.EXTERNAL, 0, { target: 0, count: 0, reverseNat: 0, flags, drainCount: 0 });
  }
  numbers.tables = writer.madeTables;
  return {
    builders,
    reverseNatNames: writer.reverseNatNames,
    backendNames: writer.backendNames,
    refused: [...frontendIds.refused, ...backendIds.refused],
  };
}

/** Backends that some frontend uses, by key; of several readings of one the best state counts. */
function usedBackends(frontends: readonly Frontend[]): Map<string, ServiceBackend> {
  const used = new Map<string, ServiceBackend>();
  for (const { backends, draining, idle } of frontends) {
    for (const backend of [...backends, ...draining, ...idle]) {
      const known = used.get(backend.key);
      if (known === undefined || backend.state < known.state) used.set(backend.key, backend);
    }
  }
  return used;
}

/** Zones, numbered in the order of their names; 255 is the last. */
function zoneNumbers(backends: Iterable<ServiceBackend>): Map<string | undefined, number> {
  const names = [...new Set([...backends].flatMap(({ zone }) => (zone === undefined ? [] : [zone])))].sort();
  return new Map(names.slice(0, 255).map((name, i) => [name, i + 1]));
}

interface SlotValue {
  readonly target: number;
  readonly count: number;
  readonly reverseNat: number;
  readonly flags: number;
  readonly drainCount: number;
}

class TableWriter {
  readonly reverseNatNames = new Map<number, FrontendName>();
  readonly backendNames = new Map<number, string>();
  readonly madeTables = new Map<string, Uint8Array>();
  private readonly builders: ServiceBuilders;
  private readonly frontendIds: ReadonlyMap<string, number>;
  private readonly backendIds: ReadonlyMap<string, number>;
  private readonly oldTables: ReadonlyMap<string, Uint8Array>;
  private readonly maglev: { readonly size: number; readonly seed: number };

  constructor(
    builders: ServiceBuilders,
    frontendIds: ReadonlyMap<string, number>,
    backendIds: ReadonlyMap<string, number>,
    oldTables: ReadonlyMap<string, Uint8Array>,
    maglev: { readonly size: number; readonly seed: number },
  ) {
    this.builders = builders;
    this.frontendIds = frontendIds;
    this.backendIds = backendIds;
    this.oldTables = oldTables;
    this.maglev = maglev;
  }

  backend(key: string, backend: ServiceBackend, nodeId: number, zone: number): void {
    const id = this.backendIds.get(key);
    if (id === undefined) return;
    const { address, port, state } = backend;
    const common = { port, protocol: PROTOCOL_NUMBER[backend.protocol], state, nodeId, zone, flags: 0 };
    const k = backendKey.encode({ id });
    if (address.family === 4) {
      this.builders.backends4.set(k, backendValue4.encode({ address: be32Of(address.bytes), ...common }));
    } else {
      this.builders.backends6.set(k, backendValue6.encode({ address: address.bytes, ...common }));
    }
    this.backendNames.set(id, endpointText(address, port));
  }

  frontend(frontend: Frontend): void {
    const reverseNat = this.frontendIds.get(frontend.key);
    if (reverseNat === undefined) return;
    const { address, port, service, scope } = frontend;
    const protocol = PROTOCOL_NUMBER[frontend.protocol];
    const numbered = (list: readonly ServiceBackend[]): { id: number; backend: ServiceBackend }[] =>
      list.flatMap((backend) => {
        const id = this.backendIds.get(backend.key);
        return id === undefined ? [] : [{ id, backend }];
      });
    const selectable = numbered(frontend.backends);
    const draining = numbered(frontend.draining);

    const k = reverseNatKey.encode({ index: reverseNat });
    if (address.family === 4) {
      this.builders.reverseNat4.set(k, reverseNatValue4.encode({ address: be32Of(address.bytes), port, flags: 1 }));
    } else {
      this.builders.reverseNat6.set(k, reverseNatValue6.encode({ address: address.bytes, port, flags: 1 }));
    }
    this.reverseNatNames.set(reverseNat, {
      namespace: service.namespace,
      name: service.name,
      frontend: endpointText(address, port),
    });

    const slotFlags = frontend.flags & ~(SERVICE_FLAG.SOURCE_RANGE | SERVICE_FLAG.DENY_OR_QUARANTINED);
    [...selectable, ...draining].forEach(({ id }, i) => {
      this.slot(address, port, protocol, scope, i + 1, {
        target: id,
        count: 0,
        reverseNat,
        flags: slotFlags,
        drainCount: 0,
      });
    });
    this.slot(address, port, protocol, scope, 0, {
      target:
        (frontend.algorithm === ALGORITHM.DEFAULT ? 0 : frontend.algorithm * 0x1000000) + frontend.affinitySeconds,
      count: selectable.length,
      reverseNat,
      flags: frontend.flags,
      drainCount: draining.length,
    });
    if (frontend.maglev && selectable.length > 1) this.table(frontend, reverseNat, selectable);
    if (frontend.affinitySeconds > 0) {
      for (const { id } of selectable) {
        this.builders.affinityMatch.set(affinityMatchKey.encode({ backendId: id, reverseNat }), PRESENT);
      }
    }
    for (const { bytes, prefixLen } of frontend.sourceRanges) {
      const prefixLength = 32 + prefixLen;
      if (address.family === 4) {
        const key = sourceRangeKey4.encode({ prefixLength, reverseNat, address: be32Of(bytes) });
        this.builders.sourceRange4.set(key, PRESENT);
      } else {
        this.builders.sourceRange6.set(sourceRangeKey6.encode({ prefixLength, reverseNat, address: bytes }), PRESENT);
      }
    }
  }

  /** A master entry (slot 0) or a slot. */
  slot(address: IpAddress, port: number, protocol: number, scope: number, slot: number, value: SlotValue): void {
    const rest = { port, slot, protocol, scope };
    const v = serviceValue.encode(value);
    if (address.family === 4)
      this.builders.services4.set(serviceKey4.encode({ address: be32Of(address.bytes), ...rest }), v);
    else this.builders.services6.set(serviceKey6.encode({ address: address.bytes, ...rest }), v);
  }

  /** A Maglev table, made once for each list of backends and kept while it is wanted. */
  private table(
    frontend: Frontend,
    reverseNat: number,
    list: readonly { id: number; backend: ServiceBackend }[],
  ): void {
    const { size, seed } = this.maglev;
    const made = `${size}|${seed}|${list.map(({ id, backend }) => `${id}=${backend.key}*${backend.weight}`).join(',')}`;
    let bytes = this.madeTables.get(made) ?? this.oldTables.get(made);
    if (bytes === undefined) {
      const table = maglevTable(
        list.map(({ id, backend: { address, port, protocol, weight } }) => ({
          id,
          address: address.text,
          port,
          protocol,
          weight,
        })),
        this.maglev,
      );
      bytes = new Uint8Array(table.buffer);
    }
    this.madeTables.set(made, bytes);
    const map = frontend.address.family === 4 ? this.builders.maglev4 : this.builders.maglev6;
    map.set(maglevKey.encode({ reverseNat }), bytes);
  }
}

const PRESENT = presence.encode({ present: 1 });
