// npm run bench -- capture: writes the benchmark's capture and manifests into a folder.
// Usage: node dist/bench/make-capture.js FOLDER [BYTES] [FLOWS] [CONCURRENT]
import { closeSync, mkdirSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { DEFAULT_SIZE, makeWorld } from './world/cluster.ts';
import { DEFAULT_TRAFFIC, writeTraffic, type TrafficSize } from './world/traffic.ts';

/** Where the benchmark's inputs are. */
export interface BenchInputs {
  readonly capture: string;
  readonly manifests: string;
  readonly values: string;
}

/** Writes capture, manifests and values into `folder`, unless a capture of that size is there already. */
export function makeInputs(folder: string, traffic: TrafficSize = DEFAULT_TRAFFIC): BenchInputs {
  mkdirSync(folder, { recursive: true });
  const paths = {
    capture: join(folder, `traffic-${traffic.bytes}-${traffic.flows}-${traffic.concurrent}.pcap`),
    manifests: join(folder, 'cluster.json'),
    values: join(folder, 'values.yaml'),
  };
  const world = makeWorld(DEFAULT_SIZE);
  writeFileSync(paths.manifests, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: world.manifests }, null, 1));
  writeFileSync(
    paths.values,
    'loadBalancer: {algorithm: maglev}\nbpf: {lbExternalClusterIP: true}\nkubeProxyReplacement: true\n',
  );
  const present = statSync(paths.capture, { throwIfNoEntry: false });
  if (present === undefined || present.size < traffic.bytes) {
    const fd = openSync(paths.capture, 'w', 0o600);
    writeTraffic(world, traffic, (chunk) => {
      for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done);
    });
    closeSync(fd);
  }
  return paths;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = '.', bytes, flows, concurrent] = process.argv.slice(2);
  const inputs = makeInputs(folder, {
    ...DEFAULT_TRAFFIC,
    ...(bytes === undefined ? {} : { bytes: Number(bytes) }),
    ...(flows === undefined ? {} : { flows: Number(flows) }),
    ...(concurrent === undefined ? {} : { concurrent: Number(concurrent) }),
  });
  process.stdout.write(`${JSON.stringify(inputs)}\n`);
}
