// How large the configuration wants the maps. Input: Config. Output: entries by map, for both engines, and what cannot be.
// Bounds are Cilium's (pkg/option, pkg/loadbalancer): conntrack and NAT tables from 1024 entries, and NAT no larger than conntrack.
// Invariant: only maps whose size an option sets are named; all others have the schema's size.
import { MAPS, type MapName, type MapSpec } from '../schema/index.ts';
import type { Config } from './config/index.ts';
import { options } from './config/options.ts';

/** Bounds of maps that differ from the schema's: what an engine takes as `specs`. */
export type MapSizes = Readonly<
  Partial<Record<MapName, { readonly maxEntries: number; readonly innerEntries?: number }>>
>;

/** Of the conntrack tables, the part for connections that nobody has answered. */
const UNANSWERED_PART = 4;
/** A reverse NAT index has 16 bits. */
const REVERSE_NAT_MAX = 65536;
const DEFAULT_NAT_MAX = options['bpf.natMax'].initial;

/** The sizes that a configuration asks for. */
export function mapSizes(config: Config): MapSizes {
  const all = config['bpf.lbMapMax'];
  // Its own option, or that of all service maps.
  const service = (own: number): { maxEntries: number } => ({ maxEntries: own === 0 ? all : own });
  const services = service(config['bpf-lb-service-map-max']);
  const backends = service(config['bpf-lb-service-backend-map-max']);
  const reverseNat = {
    maxEntries: Math.min(service(config['bpf-lb-rev-nat-map-max']).maxEntries, REVERSE_NAT_MAX),
  };
  const affinity = service(config['bpf-lb-affinity-map-max']);
  const sourceRange = service(config['bpf-lb-source-range-map-max']);
  const maglev = { ...service(config['bpf-lb-maglev-map-max']), innerEntries: config['maglev.tableSize'] };
  const tcp = { maxEntries: config['bpf.ctTcpMax'] };
  const tcpNew = { maxEntries: Math.floor(tcp.maxEntries / UNANSWERED_PART) };
  const any = { maxEntries: config['bpf.ctAnyMax'] };
  const anyNew = { maxEntries: Math.floor(any.maxEntries / UNANSWERED_PART) };
  const nat = { maxEntries: natEntries(config) };
  const fragments = { maxEntries: config['bpf-fragments-map-max'] };
  const neighbours = { maxEntries: config['bpf.neighMax'] };
  return {
    services4: services,
    services6: services,
    backends4: backends,
    backends6: backends,
    nextHops4: backends,
    nextHops6: backends,
    reverseNat4: reverseNat,
    reverseNat6: reverseNat,
    maglev4: maglev,
    maglev6: maglev,
    maglevPrevious4: maglev,
    maglevPrevious6: maglev,
    affinity4: affinity,
    affinity6: affinity,
    affinityMatch: affinity,
    sourceRange4: sourceRange,
    sourceRange6: sourceRange,
    ctTcp4: tcp,
    ctTcp6: tcp,
    ctTcpNew4: tcpNew,
    ctTcpNew6: tcpNew,
    ctAny4: any,
    ctAny6: any,
    ctAnyNew4: anyNew,
    ctAnyNew6: anyNew,
    nat4: nat,
    nat6: nat,
    fragments4: fragments,
    fragments6: fragments,
    neighbours4: neighbours,
    neighbours6: neighbours,
  };
}

const conntrackEntries = (config: Config): number => config['bpf.ctTcpMax'] + config['bpf.ctAnyMax'];

/** The default shrinks with the conntrack tables, to two thirds of them. */
function natEntries(config: Config): number {
  const asked = config['bpf.natMax'];
  const tracked = conntrackEntries(config);
  return asked > tracked && asked === DEFAULT_NAT_MAX ? Math.floor((tracked * 2) / 3) : asked;
}

/** Sizes that do not go together; a line each. */
export function sizeProblems(config: Config): string[] {
  const tracked = conntrackEntries(config);
  if (natEntries(config) <= tracked) return [];
  return [
    `bpf.natMax: ${config['bpf.natMax']} entries are more than bpf.ctTcpMax and bpf.ctAnyMax have together (${tracked})`,
  ];
}

/** A map's spec with its configured size. */
export const sizedSpec = (name: MapName, sizes: MapSizes): MapSpec => ({ ...MAPS[name], ...sizes[name] });
