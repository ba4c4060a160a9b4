// The dataplane room's door. The engines have doors of their own: ./sim/index.ts and ./xdp/index.ts.
export type { Dataplane, Decision, Events, Metric, Trace } from './dataplane.ts';
export { reportsEvents, silenceEvents } from './events.ts';
export { readMetrics } from './metrics.ts';
export { ClosedMap } from './closed-map.ts';
export { Packet, Meta, type StoredMapName } from '../datapath/index.ts';
export {
  collectConntrack,
  type CollectedEntries,
  type CollectedPass,
  type CollectOptions,
  CONNTRACK_MAPS,
  ConntrackGc,
  GC_INTERVAL,
  type GcOptions,
  mapPressure,
  type MapPressure,
  nextGcInterval,
} from './conntrack-gc.ts';
export { collectTranslations } from './nat-gc.ts';
