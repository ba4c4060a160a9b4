// Map content as a plain store, writes applied one by one, and a check that nothing in it refers to something that is missing.
// Input: MapWrites. Output: content, complaints. Invariant: applies a write as the kernel's map kinds would (arrays never delete).
import type { DesiredMaps } from '../../src/control/desired-map.ts';
import type { MapWrite } from '../../src/maps/map-write.ts';
import {
  affinityMatchKey,
  endpointValue,
  ipcacheKey4,
  ipcacheKey6,
  MAPS,
  policyKey,
  policyMeta,
  policyMetaKey,
  SERVICE_FLAG,
  serviceKey4,
  serviceKey6,
  serviceValue,
} from '../../src/schema/index.ts';

const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const unhex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const kinds = new Map<string, string>(Object.values(MAPS).map((spec) => [spec.name, spec.kind]));
const u32 = (value: number): string =>
  hex(Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24));

/** A store of maps by name. */
export class MapContent {
  private readonly maps = new Map<string, Map<string, Uint8Array>>();

  apply({ map, op, key, value }: MapWrite): void {
    let entries = this.maps.get(map);
    if (entries === undefined) this.maps.set(map, (entries = new Map()));
    if (op === 'update') {
      if (value === undefined) throw new Error(`${map}: update without a value`);
      // A zeroed slot of an array is an absent one.
      if (kinds.get(map) === 'array' && value.every((byte) => byte === 0)) entries.delete(hex(key));
      else entries.set(hex(key), value.slice());
      return;
    }
    if (kinds.get(map) === 'array') throw new Error(`${map}: arrays cannot delete`);
    if (!entries.delete(hex(key))) throw new Error(`${map}: deletes ${hex(key)}, which is not there`);
  }

  /** Whether a write would change anything. */
  differs({ map, op, key, value }: MapWrite): boolean {
    const before = this.of(map).get(hex(key));
    if (op === 'delete') return before !== undefined;
    const absent = kinds.get(map) === 'array' && value!.every((byte) => byte === 0);
    return absent ? before !== undefined : before === undefined || hex(before) !== hex(value!);
  }

  of(map: string): ReadonlyMap<string, Uint8Array> {
    return this.maps.get(map) ?? new Map();
  }

  /** Everything, for comparison. */
  dump(): Record<string, string[]> {
    const all: Record<string, string[]> = {};
    for (const [name, entries] of this.maps) {
      if (entries.size > 0) all[name] = [...entries].map(([key, value]) => `${key} ${hex(value)}`).sort();
    }
    return all;
  }

  /** Keys and values of some maps, by the schema's names (`policyMeta`). */
  dumpOf(names: Iterable<string>): Record<string, (readonly [Uint8Array, Uint8Array])[]> {
    const all: Record<string, (readonly [Uint8Array, Uint8Array])[]> = {};
    for (const name of names) {
      const entries = this.maps.get(MAPS[name as keyof typeof MAPS].name) ?? new Map<string, Uint8Array>();
      all[name] = [...entries].map(([key, value]) => [unhex(key), value] as const);
    }
    return all;
  }

  /** The first thing that refers to something missing, or undefined. */
  dangling(): string | undefined {
    return this.danglingService(4) ?? this.danglingService(6) ?? this.danglingPolicy();
  }

  private backend(family: 4 | 6, id: number): boolean {
    return this.of(`weir_backends${family}`).has(u32(id));
  }

  private danglingService(family: 4 | 6): string | undefined {
    const services = this.of(`weir_services${family}`);
    const layout = family === 4 ? serviceKey4 : serviceKey6;
    for (const [key, bytes] of services) {
      const k = layout.decode(unhex(key));
      const v = serviceValue.decode(bytes);
      const at = `services${family} ${key}`;
      if (k.slot !== 0) {
        if (!this.backend(family, v.target)) return `${at}: backend ${v.target}`;
        continue;
      }
      if (k.protocol === 0) continue;
      if (!this.of(`weir_reverse_nat${family}`).has(u32(v.reverseNat))) return `${at}: reverse NAT ${v.reverseNat}`;
      for (let slot = 1; slot <= v.count + v.drainCount; slot++) {
        if (!services.has(hex(layout.encode({ ...k, slot } as never)))) return `${at}: slot ${slot}`;
      }
      // External IPs have the external scope alone.
      const two = (v.flags & (SERVICE_FLAG.TWO_SCOPES | SERVICE_FLAG.EXTERNAL_IP)) === SERVICE_FLAG.TWO_SCOPES;
      if (two && !services.has(hex(layout.encode({ ...k, scope: 1 } as never)))) {
        return `${at}: internal scope`;
      }
      if ((v.flags & SERVICE_FLAG.SOURCE_RANGE) !== 0) {
        const rows = [...this.of(`weir_source_range${family}`).keys()].map((row) => unhex(row));
        if (!rows.some((row) => (row[4]! | (row[5]! << 8)) === v.reverseNat)) return `${at}: source ranges`;
      }
    }
    for (const [key, bytes] of this.of(`weir_maglev${family}`)) {
      const words = new Uint32Array(bytes.slice().buffer);
      const before = this.of(`weir_maglev_previous${family}`).get(key);
      if (before === undefined && words.some((word) => word >>> 31 === 1))
        return `maglev${family} ${key}: table before`;
      // While it changes, a table may say of a slot that there is no backend; the one before may at any time.
      const ids = new Set(words.map((word) => word & 0x7fffffff));
      if (before !== undefined) ids.delete(0);
      const lost = [...ids].find((id) => !this.backend(family, id));
      if (lost !== undefined) return `maglev${family} ${key}: backend ${lost}`;
    }
    for (const [key, bytes] of this.of(`weir_maglev_previous${family}`)) {
      const lost = [...new Set(new Uint32Array(bytes.slice().buffer))].find(
        (id) => id !== 0 && !this.backend(family, id),
      );
      if (lost !== undefined) return `maglevPrevious${family} ${key}: backend ${lost}`;
    }
    for (const key of this.of('weir_affinity_match').keys()) {
      const { backendId, reverseNat } = affinityMatchKey.decode(unhex(key));
      if (!this.backend(4, backendId) && !this.backend(6, backendId)) return `affinity match: backend ${backendId}`;
      const known = [4, 6].some((f) => this.of(`weir_reverse_nat${f}`).has(u32(reverseNat)));
      if (!known) return `affinity match: reverse NAT ${reverseNat}`;
    }
    return undefined;
  }

  private danglingPolicy(): string | undefined {
    for (const family of [4, 6] as const) {
      for (const [key, bytes] of this.of(`weir_endpoints${family}`)) {
        const { policyId } = endpointValue.decode(bytes);
        if (policyId !== 0 && !this.of('weir_policy_meta').has(u32(policyId)))
          return `endpoint ${key}: policy ${policyId}`;
        const address = unhex(key);
        const common = { prefixLength: 32 + address.length * 8, clusterId: 0 };
        const cacheKey =
          family === 4
            ? ipcacheKey4.encode({ ...common, address: new DataView(address.buffer).getUint32(0) })
            : ipcacheKey6.encode({ ...common, address });
        // Which identity it says is no reference: a pod that changes its labels has its new one there a write earlier.
        if (!this.of(`weir_ipcache${family}`).has(hex(cacheKey))) return `endpoint ${key}: ipcache`;
      }
    }
    const shapes = new Set<string>();
    for (const key of this.of('weir_policy').keys()) {
      const { policyId, identity, shape } = policyKey.decode(unhex(key));
      const group = identity === 0 ? 2 : identity >= 11 && identity <= 14 ? 1 : 0;
      shapes.add(`${policyId} ${shape >>> 7} ${group} ${shape & 0x7f}`);
    }
    for (const [key, bytes] of this.of('weir_policy_meta')) {
      const { policyId } = policyMetaKey.decode(unhex(key));
      const meta = policyMeta.decode(bytes);
      for (const [direction, bitmaps] of [meta.ingressShapes, meta.egressShapes].entries()) {
        for (const [group, bits] of bitmaps.entries()) {
          for (let shape = 0; shape < 18; shape++) {
            if ((bits & (1 << shape)) !== 0 && !shapes.has(`${policyId} ${direction} ${group} ${shape}`)) {
              return `policy meta ${policyId}: shape ${shape}`;
            }
          }
        }
      }
    }
    return undefined;
  }
}

/** The content that desired maps stand for. */
export function contentOf(maps: DesiredMaps): Record<string, string[]> {
  const content = new MapContent();
  for (const map of Object.values(maps)) {
    for (const [key, value] of map) content.apply({ map: map.spec.name, op: 'update', key, value });
  }
  return content.dump();
}
