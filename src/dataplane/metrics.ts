// Decodes `weir_metrics` for people. Input: the map as bytes. Output: the counters that are not zero.
import type { ByteMap } from '../maps/index.ts';
import { metricsKey, metricsValue } from '../schema/index.ts';
import type { Metric } from './dataplane.ts';

/** Counters that are not zero, ordered by reason, then direction. */
export function readMetrics(map: ByteMap): Metric[] {
  const metrics: Metric[] = [];
  for (const [key, value] of map.entries()) {
    const { packets, bytes } = metricsValue.decode(value);
    if (packets === 0n && bytes === 0n) continue;
    const { index } = metricsKey.decode(key);
    metrics.push({ reason: index >>> 2, direction: index & 3, packets, bytes });
  }
  return metrics;
}
