// How large each part of the benchmark is: as figures are quoted (FULL), and as small as it can be and still do all that it
// does (SMOKE: a test's, its times mean nothing). Input: none. Output: sizes of worlds, rounds, times.
import type { BenchOptions } from './harness.ts';
import { NODE, type PacketSizes } from './world/packets.ts';
import { POLICY_SIZE, type PolicySize } from './world/policies.ts';
import { type ClusterSize, LARGE } from './world/policy-cluster.ts';
import { DEFAULT_TRAFFIC, type TrafficSize } from './world/traffic.ts';

/** Sizes of the pipeline suites. */
export interface PipelineSizes {
  readonly maglevSize: number;
  readonly cold: PacketSizes;
  readonly hot: PacketSizes;
  readonly objects: PacketSizes;
}

/** Size of the cluster of services; backends of each. */
export interface ServicesSize {
  readonly services: number;
  readonly backends: number;
}

/** Everything that is a size, and not a question. */
export interface BenchSizes {
  /** How the harness measures; left out: as it does by itself. */
  readonly harness: BenchOptions;
  /** Entries of the maps, and of the one that is set against JavaScript's own. */
  readonly maps: readonly number[];
  readonly mapPeers: number;
  readonly pipeline: PipelineSizes;
  readonly policy: { readonly rounds: number; readonly questions: number; readonly cluster: ClusterSize };
  readonly cluster: { readonly rounds: number; readonly size: PolicySize };
  readonly services: { readonly changes: number; readonly size: ServicesSize };
  readonly captureRounds: number;
  readonly replayRounds: number;
  readonly traffic: TrafficSize;
}

/** What the figures are quoted for. */
export const FULL: BenchSizes = {
  harness: {},
  maps: [1000, 10_000, 100_000, 1_000_000],
  mapPeers: 100_000,
  pipeline: {
    maglevSize: NODE.maglevSize,
    cold: { packets: 1_000_000, flows: 100_000, mixed: true },
    hot: { packets: 300_000, flows: 1000, mixed: false },
    objects: { packets: 250_000, flows: 100_000, mixed: true },
  },
  policy: { rounds: 9, questions: 100_000, cluster: LARGE },
  cluster: { rounds: 5, size: POLICY_SIZE },
  services: { changes: 200, size: { services: 10_000, backends: 10 } },
  captureRounds: 11,
  replayRounds: 9,
  traffic: DEFAULT_TRAFFIC,
};

/** Whether everything still runs, and everything that must agree agrees. */
export const SMOKE: BenchSizes = {
  harness: { rounds: 1, warmUp: 0, cycleSeconds: 1e-9, judged: false },
  maps: [1000],
  mapPeers: 1000,
  pipeline: {
    maglevSize: 251,
    cold: { packets: 5000, flows: 500, mixed: true },
    hot: { packets: 2000, flows: 100, mixed: false },
    objects: { packets: 2000, flows: 500, mixed: true },
  },
  policy: { rounds: 1, questions: 500, cluster: { namespaces: 10, podsEach: 20, policiesEach: 4, nodes: 4 } },
  cluster: { rounds: 1, size: { nodes: 4, namespaces: 10, pods: 200, policies: 40 } },
  services: { changes: 3, size: { services: 20, backends: 10 } },
  captureRounds: 1,
  replayRounds: 1,
  traffic: { bytes: 1_000_000, flows: 200, concurrent: 50, seed: 1 },
};
