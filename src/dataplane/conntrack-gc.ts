// Garbage collection of the conntrack maps, and how full the datapath's maps are. Input: an engine's maps, the second that it is.
// Output: expired entries removed, counts, the next interval. Invariant: never needed for a right verdict, since an expired entry
// is absent to the datapath; an entry that was used meanwhile stays. Clock and schedule are the caller's.
import type { StoredMapName } from '../datapath/index.ts';
import type { ByteMap, MapWrite } from '../maps/index.ts';
import { ctEntry, MAPS, type MapSpec } from '../schema/index.ts';
import type { Dataplane } from './dataplane.ts';
import { collectTranslations } from './nat-gc.ts';

/** The maps that are collected. */
export const CONNTRACK_MAPS = [
  'ctTcp4',
  'ctAny4',
  'ctTcpNew4',
  'ctAnyNew4',
  'ctTcp6',
  'ctAny6',
  'ctTcpNew6',
  'ctAnyNew6',
] as const satisfies readonly StoredMapName[];

/** Cilium's bounds of the interval in seconds: first, least, most (pkg/maps/ctmap/gc). */
export const GC_INTERVAL = { FIRST: 300, LEAST: 10, MOST: 43_200 } as const;
/** Deletes that are held at once. */
const BATCH = 4096;
const LIFETIME = ctEntry.at.lifetime;

/** What one pass did. */
export interface CollectedEntries {
  readonly scanned: number;
  readonly deleted: number;
  /** Deleted ones by map. */
  readonly byMap: Readonly<Partial<Record<StoredMapName, number>>>;
}

/** What one pass of a {@link ConntrackGc} did. */
export interface CollectedPass extends CollectedEntries {
  /** Halves of translations whose connection is gone. */
  readonly translations: number;
}

/** What is collected besides expired entries. */
export interface CollectOptions {
  /** Whether an address (4 or 16 bytes) was an endpoint that is gone: entries with it at either end go. */
  readonly isGone?: (address: Uint8Array) => boolean;
}

/**
 * One pass over every conntrack map: deletes what expired before second `now` of the engine's clock, and what belongs to
 * endpoints that are gone. The comparison is signed, as the datapath's is.
 */
export function collectConntrack(
  dataplane: Pick<Dataplane, 'maps' | 'apply'>,
  now: number,
  options: CollectOptions = {},
): CollectedEntries {
  let scanned = 0;
  let deleted = 0;
  const byMap: Partial<Record<StoredMapName, number>> = {};
  for (const name of CONNTRACK_MAPS) {
    const map = dataplane.maps[name];
    const again = new Uint8Array(ctEntry.bytes);
    let batch: MapWrite[] = [];
    let here = 0;
    const flush = (): void => {
      dataplane.apply(batch);
      batch = [];
    };
    for (const [key, value] of map.entries()) {
      scanned++;
      const gone = options.isGone !== undefined && hasGone(map, key, options.isGone);
      if (!gone && !isExpired(value, now)) continue;
      // A packet may have come since the walk read the entry.
      if (!gone && (!map.lookup(key, again) || !isExpired(again, now))) continue;
      here++;
      batch.push({ map: map.spec.name, op: 'delete', key });
      if (batch.length === BATCH) flush();
    }
    flush();
    if (here > 0) byMap[name] = here;
    deleted += here;
  }
  return { scanned, deleted, byMap };
}

const isExpired = (entry: Uint8Array, now: number): boolean =>
  (entry[LIFETIME]! | (entry[LIFETIME + 1]! << 8) | (entry[LIFETIME + 2]! << 16) | (entry[LIFETIME + 3]! << 24)) <
  (now | 0);

function hasGone(map: ByteMap, key: Uint8Array, isGone: (address: Uint8Array) => boolean): boolean {
  const { lowAddress, highAddress } = map.spec.key.at as Readonly<Record<string, number>>;
  const bytes = highAddress! - lowAddress!;
  return (
    isGone(key.subarray(lowAddress, lowAddress! + bytes)) || isGone(key.subarray(highAddress, highAddress! + bytes))
  );
}

/**
 * The interval behind a pass (Cilium's calculateInterval): more than a quarter deleted shortens it by that share, at most to a
 * tenth of itself; less than a twentieth lengthens it by half.
 * @param interval seconds that were waited for
 * @param deletedShare deleted entries of those that a full map would hold or that were scanned, 0..1
 * @param waited seconds since the pass before; a pass that was woken early counts as if it had taken that share further
 * @param most the longest interval
 */
export function nextGcInterval(
  interval: number,
  deletedShare: number,
  waited = interval,
  most: number = GC_INTERVAL.MOST,
): number {
  const share = waited > 0 && waited < interval ? Math.min(1, (deletedShare * interval) / waited) : deletedShare;
  if (share > 0.25)
    return Math.max(Math.min(GC_INTERVAL.LEAST, most), Math.round(interval * (1 - Math.min(share, 0.9))));
  if (share < 0.05) return Math.min(most, Math.round(interval * 1.5));
  return interval;
}

/** How often passes are made; both in seconds. */
export interface GcOptions {
  /** `conntrackGCInterval`: fixed; 0 = by what is found. */
  readonly interval?: number;
  /** `conntrackGCMaxInterval`: the longest, where it is by what is found; 0 = twelve hours. */
  readonly maxInterval?: number;
}

/** Passes at an interval that follows what they find. Time is told by the caller: capture time, or an engine's clock. */
export class ConntrackGc {
  /** Seconds until the next pass is due, counted from the last. */
  interval: number;
  private readonly dataplane: Pick<Dataplane, 'maps' | 'apply'>;
  private readonly fixed: boolean;
  private readonly most: number;
  private last: number | undefined;
  /** Over all passes: how many there were, connections and halves of translations that went. */
  readonly total = { passes: 0, connections: 0, translations: 0 };

  constructor(dataplane: Pick<Dataplane, 'maps' | 'apply'>, { interval = 0, maxInterval = 0 }: GcOptions = {}) {
    this.dataplane = dataplane;
    this.fixed = interval > 0;
    this.most = maxInterval > 0 ? maxInterval : GC_INTERVAL.MOST;
    this.interval = this.fixed ? interval : Math.min(GC_INTERVAL.FIRST, this.most);
  }

  /** Whether a pass is due at second `now`. The first call begins the count. Time that went back is never due. */
  isDue(now: number): boolean {
    this.last ??= now;
    return now - this.last >= this.interval;
  }

  /** One pass, due or not (a full map wakes it early); sets the interval to the next. */
  collect(now: number, options: CollectOptions = {}): CollectedPass {
    const waited = this.last === undefined ? this.interval : now - this.last;
    const connections = collectConntrack(this.dataplane, now, options);
    const result = { ...connections, translations: collectTranslations(this.dataplane, now) };
    this.total.passes++;
    this.total.connections += result.deleted;
    this.total.translations += result.translations;
    this.last = now;
    if (!this.fixed) {
      const share = result.scanned > 0 ? result.deleted / result.scanned : 0;
      this.interval = nextGcInterval(this.interval, share, waited, this.most);
    }
    return result;
  }

  /** A pass if one is due. */
  tick(now: number): CollectedPass | undefined {
    return this.isDue(now) ? this.collect(now) : undefined;
  }
}

/** How full one map is. */
export interface MapPressure {
  readonly map: string;
  readonly entries: number;
  readonly maxEntries: number;
  /** entries / maxEntries, 0..1. */
  readonly pressure: number;
  /** LRU entries given up, and insertions refused, as far as the engine knows. */
  readonly evicted: number;
  readonly refused: number;
}

/** Pressure of every map that can fill, fullest first (Cilium: `bpf_map_pressure`). Arrays are always full and left out. */
export function mapPressure(dataplane: Pick<Dataplane, 'maps'>): MapPressure[] {
  const found: MapPressure[] = [];
  for (const name of Object.keys(MAPS) as (keyof typeof MAPS)[]) {
    if (name === 'events') continue;
    const map = dataplane.maps[name];
    const { kind, maxEntries } = map.spec as MapSpec;
    if (kind !== 'hash' && kind !== 'lru-hash' && kind !== 'lpm-trie') continue;
    const { refused, evicted } = map.stats;
    const entries = map.size;
    found.push({ map: map.spec.name, entries, maxEntries, pressure: entries / maxEntries, evicted, refused });
  }
  return found.sort((a, b) => b.pressure - a.pressure || (a.map < b.map ? -1 : 1));
}
