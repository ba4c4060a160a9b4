// A node with pods that have bandwidth limits, and packets that leave it. Input: limits, times, sizes. Output: departures.
import { ENDPOINT_FLAG, FEATURE } from '../../src/schema/index.ts';
import { type Result, World } from './datapath-world.ts';

/** Where packets go that leave the node. */
export const OUTSIDE = '192.0.2.7';

/** A world with the feature on. */
export function bandwidthWorld(): World {
  return new World().enable(FEATURE.BANDWIDTH);
}

/** A pod with a limit in bytes a second (0: flagged, but without one) and a drop horizon in nanoseconds. */
export function limitedPod(w: World, address: string, id: number, rate: bigint, horizon = 2_000_000_000n): void {
  w.endpoint(address, { id, flags: ENDPOINT_FLAG.LIMITED });
  w.map('limits').set({ endpointId: id }, { bytesPerSecond: rate, horizon });
}

/** The pod sends `bytes` (42 at least) on the wire at a time in nanoseconds: what the device makes of it. */
export function leaving(w: World, source: string, at: bigint, bytes: number, hook: 'both' | 'device' = 'both'): Result {
  w.now = Number(at / 1_000_000_000n);
  w.nanoseconds = Number(at % 1_000_000_000n);
  const spec = { protocol: 'udp', source, destination: OUTSIDE, sourcePort: 9, destinationPort: 9 } as const;
  const packet = { ...spec, payload: new Uint8Array(bytes - 42) };
  const sent = w.run('FROM_CONTAINER', packet);
  if (hook === 'device') return w.runBytes('TO_NETDEV', sent.bytes);
  return w.next('TO_NETDEV', sent);
}

/** The departure of a packet, nanoseconds since start; `at` where it leaves at once, undefined where it is dropped. */
export function departureOf({ record }: Result, at: bigint): bigint | undefined {
  if (record.dropReason !== 0) return undefined;
  const { departureSeconds, departureNanoseconds } = record;
  return departureSeconds === 0 && departureNanoseconds === 0
    ? at
    : BigInt(departureSeconds) * 1_000_000_000n + BigInt(departureNanoseconds);
}
