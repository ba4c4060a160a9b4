// Bandwidth limits of pods: the annotation `kubernetes.io/egress-bandwidth`, bits a second as a Kubernetes quantity. Input: pods,
// settings. Output: bytes a second by pod, and the limits map. Invariant: what cannot be read limits nothing and is a warning;
// pods on the host's network have no endpoint, and so no limit.
import { limitKey, limitValue, MAPS } from '../schema/index.ts';
import { type DesiredMap, MapBuilder } from './desired-map.ts';
import type { PodIdentity } from './identity.ts';
import { objectKey } from './pods.ts';
import type { Problem } from './problem.ts';
import { parseQuantity } from './quantity.ts';
import type { CompileSettings } from './settings.ts';

const EGRESS = 'kubernetes.io/egress-bandwidth';
const INGRESS = 'kubernetes.io/ingress-bandwidth';
/** Cilium's drop horizon: two seconds. */
const HORIZON_NS = 2_000_000_000n;
/** The greatest rate: doubles count bytes exactly up to here. */
const MOST_BYTES = Number.MAX_SAFE_INTEGER;

/** `namespace/name` of a pod → bytes a second. */
export type Limits = ReadonlyMap<string, number>;

/** Reads the limits; none while `bandwidthManager.enabled` is off. */
export function readLimits(pods: readonly PodIdentity[], settings: CompileSettings, problems: Problem[]): Limits {
  const limits = new Map<string, number>();
  if (!settings.bandwidthManager) return limits;
  for (const { pod } of pods) {
    const key = objectKey(pod);
    const warn = (message: string): void =>
      void problems.push({ severity: 'warning', ...pod.origin, message: `Pod ${key}: ${message}` });
    if (pod.annotations.has(INGRESS)) warn(`${INGRESS} is not honoured: only what pods send is limited`);
    const text = pod.annotations.get(EGRESS);
    if (text === undefined) continue;
    const bits = parseQuantity(text);
    if (bits === undefined)
      warn(`${EGRESS}: ${JSON.stringify(text)} is no quantity of bits a second; nothing is limited`);
    else if (bits < 8) warn(`${EGRESS}: ${JSON.stringify(text)} is less than a byte a second; nothing is limited`);
    else limits.set(key, Math.min(Math.floor(bits / 8), MOST_BYTES));
  }
  return limits;
}

/** The limits map. `idOf`: the endpoint of a pod, undefined where it has none. */
export function buildLimits(limits: Limits, idOf: (pod: string) => number | undefined): DesiredMap {
  const builder = new MapBuilder(MAPS.limits);
  for (const [pod, rate] of limits) {
    const endpointId = idOf(pod);
    if (endpointId === undefined) continue;
    builder.set(
      limitKey.encode({ endpointId }),
      limitValue.encode({ bytesPerSecond: BigInt(rate), horizon: HORIZON_NS }),
    );
  }
  return builder.finish();
}
