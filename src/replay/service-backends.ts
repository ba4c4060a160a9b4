// Which backends a service has, and how a connection's choice of one is changed: for captures in which another backend
// was chosen than the simulator would (replay.md, rule 1). Input: the dataplane's maps. Output: backend ids, map updates.
// Invariant: only a backend of the same frontend is ever put in place. Rare: may allocate.
import type { ByteMap } from '../maps/index.ts';
import { CT_KEY, ERRNO, MAPS, type MapSpec, UPDATE, valueBytes } from '../schema/index.ts';

type Maps = ReadonlyMap<string, ByteMap>;

const key = (family: number, address: readonly number[], port: number): string =>
  `${family} ${address.join(' ')} ${port}`;

/** See the head of this file. */
export class ServiceBackends {
  private readonly maps: Maps;
  /** By reverse NAT index, families apart: backend id by address and raw port. Read when first asked for. */
  private readonly known: { 4?: Map<number, Map<string, number>>; 6?: Map<number, Map<string, number>> } = {};

  constructor(maps: Maps) {
    this.maps = maps;
  }

  /** Id of the backend of a frontend (by its reverse NAT index) that has this address (four raw words) and raw port; 0 = none. */
  find(family: 4 | 6, reverseNat: number, address: readonly number[], port: number): number {
    return (this.known[family] ??= this.read(family)).get(reverseNat)?.get(key(family, address, port)) ?? 0;
  }

  private read(family: 4 | 6): Map<number, Map<string, number>> {
    const known = new Map<number, Map<string, number>>();
    const services = family === 4 ? MAPS.services4 : MAPS.services6;
    const backends = family === 4 ? MAPS.backends4 : MAPS.backends6;
    const backendMap = this.maps.get(backends.name);
    if (backendMap === undefined) return known;
    const { at: value } = services.value;
    const { at: backend } = backends.value;
    const id = new Uint8Array(4);
    const found = new Uint8Array(valueBytes(backends));
    for (const [k, v] of this.maps.get(services.name)?.entries() ?? []) {
      const view = new DataView(v.buffer, v.byteOffset, v.byteLength);
      const slot = k[services.key.at.slot]! | (k[services.key.at.slot + 1]! << 8);
      if (slot === 0) continue;
      const number = view.getUint32(value.target, true);
      const reverseNat = view.getUint16(value.reverseNat, true);
      new DataView(id.buffer).setUint32(0, number, true);
      if (!backendMap.lookup(id, found) || found[backend.state] === 0) continue;
      const fields = new DataView(found.buffer);
      const address = [0, 0, 0, 0];
      for (let i = 0; i < (family === 4 ? 1 : 4); i++) address[i] = fields.getInt32(backend.address + 4 * i, true);
      let of = known.get(reverseNat);
      if (of === undefined) known.set(reverseNat, (of = new Map<string, number>()));
      of.set(key(family, address, fields.getUint16(backend.port, true)), number);
    }
    return known;
  }

  /**
   * Puts `backend` into the service conntrack entries of a connection. `low` and `high` are its ends as conntrack orders
   * them, each one or four raw words and a raw port. Returns how many entries were changed.
   */
  choose(
    family: 4 | 6,
    low: { readonly address: readonly number[]; readonly port: number },
    high: { readonly address: readonly number[]; readonly port: number },
    protocol: number,
    backend: number,
  ): number {
    const tables: readonly MapSpec[] =
      family === 4
        ? protocol === 6
          ? [MAPS.ctTcp4, MAPS.ctTcpNew4]
          : [MAPS.ctAny4, MAPS.ctAnyNew4]
        : protocol === 6
          ? [MAPS.ctTcp6, MAPS.ctTcpNew6]
          : [MAPS.ctAny6, MAPS.ctAnyNew6];
    let changed = 0;
    for (const spec of tables) {
      const map = this.maps.get(spec.name);
      if (map === undefined) continue;
      for (const flags of [0, CT_KEY.OWNER_HIGH, CT_KEY.NODE, CT_KEY.NODE | CT_KEY.OWNER_HIGH]) {
        if (replaceBackend(map, spec, family, low, high, protocol, flags | CT_KEY.SERVICE, backend)) changed++;
      }
    }
    return changed;
  }
}

function replaceBackend(
  map: ByteMap,
  spec: MapSpec,
  family: number,
  low: { readonly address: readonly number[]; readonly port: number },
  high: { readonly address: readonly number[]; readonly port: number },
  protocol: number,
  flags: number,
  backend: number,
): boolean {
  const k = new Uint8Array(spec.key.bytes);
  const view = new DataView(k.buffer);
  const at = spec.key.at as (typeof MAPS.ctTcp4)['key']['at'];
  const words = family === 4 ? 1 : 4;
  for (let i = 0; i < words; i++) {
    view.setInt32(at.lowAddress + 4 * i, low.address[i]!, true);
    view.setInt32(at.highAddress + 4 * i, high.address[i]!, true);
  }
  view.setUint16(at.lowPort, low.port, true);
  view.setUint16(at.highPort, high.port, true);
  k[at.protocol] = protocol;
  k[at.flags] = flags;
  const entry = new Uint8Array(spec.value.bytes);
  if (!map.lookup(k, entry)) return false;
  new DataView(entry.buffer).setUint32((spec.value.at as (typeof MAPS.ctTcp4)['value']['at']).backend, backend, true);
  return map.update(k, entry, UPDATE.EXIST) !== ERRNO.ENOENT;
}
