// Whether an engine's hooks put events into its ring: a bit of the configuration that they read for each packet.
// Input: an engine with a configuration applied. Output: the bit, or the same configuration without it.
import { configKey, configValue, FEATURE } from '../schema/index.ts';
import type { Dataplane } from './dataplane.ts';

/** The configuration as it is in the map; undefined where nothing was applied yet. */
function readConfig(dataplane: Dataplane): ReturnType<typeof configValue.decode> | undefined {
  const value = new Uint8Array(configValue.bytes);
  return dataplane.maps.config.lookup(new Uint8Array(configKey.bytes), value) ? configValue.decode(value) : undefined;
}

/** Whether events are reported. */
export function reportsEvents(dataplane: Dataplane): boolean {
  return ((readConfig(dataplane)?.features ?? 0) & FEATURE.EVENTS) !== 0;
}

/** Reports none from here on: for whoever judges captures and reads each packet's record. */
export function silenceEvents(dataplane: Dataplane): void {
  const config = readConfig(dataplane);
  if (config === undefined) return;
  const features = (config.features & ~FEATURE.EVENTS) >>> 0;
  dataplane.maps.config.update(new Uint8Array(configKey.bytes), configValue.encode({ ...config, features }));
}
