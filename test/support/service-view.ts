// The service maps as text, in the notation of load-balancer scenarios. Input: compiled maps. Output: lines, sorted.
// `fe A T flags : b1 b2 | b3`, `maglev A : b=n`, `wild A T`, `aff A : b`, `src A : C`, `be b state`. Left out, as there:
// what goes without saying (routable set, algorithm 0, state active).
import type { Compiled } from '../../src/control/compile.ts';
import type { DesiredMaps } from '../../src/control/desired-map.ts';
import type { DesiredMap } from '../../src/control/desired-map.ts';
import { formatAddress } from '../../src/control/manifest/address.ts';
import {
  affinityMatchKey,
  backendValue4,
  backendValue6,
  reverseNatKey,
  SERVICE_FLAG,
  serviceKey4,
  serviceKey6,
  serviceValue,
  sourceRangeKey4,
  sourceRangeKey6,
} from '../../src/schema/index.ts';

const F = SERVICE_FLAG;
const PROTOCOL: Record<number, string> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };
const STATE = ['none', 'active', 'terminating', 'quarantined', 'maintenance'];

const numberBytes = (n: number): Uint8Array => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
const host = (address: number | Uint8Array): string =>
  typeof address === 'number' ? formatAddress(numberBytes(address)) : `[${formatAddress(address)}]`;

function typeOf(flags: number): string {
  if ((flags & F.NODE_PORT) !== 0) return 'NodePort';
  if ((flags & F.HOST_PORT) !== 0) return 'HostPort';
  if ((flags & F.LOAD_BALANCER) !== 0) return 'LoadBalancer';
  return (flags & F.EXTERNAL_IP) !== 0 ? 'ExternalIPs' : 'ClusterIP';
}

/** Lines of one family. */
function family(maps: DesiredMaps, four: boolean): string[] {
  const services: DesiredMap = four ? maps.services4 : maps.services6;
  const layout = four ? serviceKey4 : serviceKey6;
  const lines: string[] = [];
  const backends = new Map<number, { text: string; state: number }>();
  for (const [key, value] of four ? maps.backends4 : maps.backends6) {
    const b = four ? backendValue4.decode(value) : backendValue6.decode(value);
    const text = `${host(b.address)}:${b.port}`;
    backends.set(new DataView(key.buffer, key.byteOffset).getUint32(0, true), { text, state: b.state });
    if (b.state !== 1) lines.push(`be ${text} ${STATE[b.state]}`);
  }
  const text = (id: number): string => backends.get(id)?.text ?? `?${id}`;
  const frontends = new Map<number, string>();
  for (const [key, value] of services) {
    const k = layout.decode(key);
    const v = serviceValue.decode(value);
    if (k.slot !== 0) continue;
    if (k.protocol === 0) {
      lines.push(`wild ${host(k.address)} ${typeOf(v.flags)}`);
      continue;
    }
    const name = `${host(k.address)}:${k.port}/${PROTOCOL[k.protocol]}${k.scope === 1 ? '/i' : ''}`;
    frontends.set(v.reverseNat, name);
    const words = [
      (v.flags & F.ROUTABLE) === 0 && 'nr',
      (v.flags & F.EXT_LOCAL) !== 0 && 'local',
      (v.flags & F.INT_LOCAL) !== 0 && 'ilocal',
      (v.flags & F.TWO_SCOPES) !== 0 && 'two',
      (v.flags & F.SOURCE_RANGE) !== 0 && 'src',
      (v.flags & F.DENY_OR_QUARANTINED) !== 0 && 'src-deny',
      (v.flags & F.FORWARD_DSR) !== 0 && 'dsr',
      (v.flags & F.L7_DELEGATE) !== 0 && ((v.flags & F.HOST_PORT) !== 0 ? 'loopback' : 'deleg'),
      (v.flags & F.AFFINITY) !== 0 && `aff=${v.target & 0xffffff}s`,
      v.target >>> 24 !== 0 && `alg=${v.target >>> 24}`,
    ].filter((word) => word !== false);
    const slot = (i: number): string => {
      const slotValue = services.get(layout.encode({ ...k, slot: i } as never));
      if (slotValue === undefined) return '?';
      const { target, flags, reverseNat, count, drainCount } = serviceValue.decode(slotValue);
      const repeated = v.flags & ~(F.SOURCE_RANGE | F.DENY_OR_QUARANTINED);
      const odd = flags === (repeated | F.DENY_OR_QUARANTINED) ? '(quarantined)' : flags === repeated ? '' : '(flags!)';
      const master = reverseNat === v.reverseNat && count === 0 && drainCount === 0 ? '' : '(!)';
      return `${text(target)}${odd}${master}`;
    };
    const slots = Array.from({ length: v.count + v.drainCount }, (_, i) => slot(i + 1));
    const tail = v.drainCount > 0 ? ['|', ...slots.slice(v.count)] : [];
    lines.push(['fe', name, typeOf(v.flags), ...words, ':', ...slots.slice(0, v.count), ...tail].join(' '));
  }
  for (const [key, value] of four ? maps.maglev4 : maps.maglev6) {
    const counts = new Map<string, number>();
    for (const id of new Uint32Array(value.slice().buffer)) counts.set(text(id), (counts.get(text(id)) ?? 0) + 1);
    const { index } = reverseNatKey.decode(key);
    const shares = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([b, n]) => `${b}=${n}`);
    lines.push(`maglev ${frontends.get(index)} : ${shares.join(' ')}`);
  }
  for (const [key] of maps.affinityMatch) {
    const { backendId, reverseNat } = affinityMatchKey.decode(key);
    const frontend = frontends.get(reverseNat);
    // One map for both families: a row belongs to the family that has its frontend.
    if (frontend !== undefined) lines.push(`aff ${frontend} : ${text(backendId)}`);
  }
  for (const [key] of four ? maps.sourceRange4 : maps.sourceRange6) {
    const { prefixLength, reverseNat, address } = (four ? sourceRangeKey4 : sourceRangeKey6).decode(key);
    lines.push(`src ${frontends.get(reverseNat)} : ${host(address)}/${prefixLength - 32}`);
  }
  return lines;
}

/** Every line, sorted. */
export const serviceLinesOf = (maps: DesiredMaps): string[] => [...family(maps, true), ...family(maps, false)].sort();

/** Every line of a compile, sorted. */
export const serviceLines = (compiled: Compiled): string[] => serviceLinesOf(compiled.maps);

/** `address:port/PROTO` → reverse NAT index of each frontend. */
export const frontendIds = (compiled: Compiled): Record<string, number> => frontendIdsOf(compiled.maps);

/** The same of maps. */
export function frontendIdsOf(maps: DesiredMaps): Record<string, number> {
  const ids: Record<string, number> = {};
  for (const [map, layout] of [
    [maps.services4, serviceKey4],
    [maps.services6, serviceKey6],
  ] as const) {
    for (const [key, value] of map) {
      const k = layout.decode(key);
      if (k.slot !== 0 || k.protocol === 0) continue;
      ids[`${host(k.address)}:${k.port}/${PROTOCOL[k.protocol]}${k.scope === 1 ? '/i' : ''}`] =
        serviceValue.decode(value).reverseNat;
    }
  }
  return ids;
}

/** `address:port` → id of each backend. */
export const backendIds = (compiled: Compiled): Record<string, number> =>
  Object.fromEntries([...compiled.names.backends].map(([id, text]) => [text, id]));

/** The same of maps: two backends that differ in protocol alone are told apart by it. */
export function backendIdsOf(maps: DesiredMaps): Record<string, number> {
  const ids: Record<string, number> = {};
  for (const [map, layout] of [
    [maps.backends4, backendValue4],
    [maps.backends6, backendValue6],
  ] as const) {
    for (const [key, value] of map) {
      const { address, port, protocol } = layout.decode(value);
      const name = `${host(address)}:${port}${protocol === 6 ? '' : `/${PROTOCOL[protocol]}`}`;
      ids[name] = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
    }
  }
  return ids;
}
