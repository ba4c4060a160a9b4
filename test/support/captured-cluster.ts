// A cluster made from a capture: every address that a packet carries becomes a pod of one namespace, isolated both ways.
// Input: a capture's path. Output: manifests as text, and a simulator that holds them.
import assert from 'node:assert/strict';
import { openCapture } from '../../src/capture/file/index.ts';
import { Compiler } from '../../src/control/compile.ts';
import { diff } from '../../src/control/diff.ts';
import { type ClusterState, hasErrors, readManifests, resolveConfig } from '../../src/control/index.ts';
import { createSim, type Sim } from '../../src/dataplane/sim/index.ts';
import { formatIpv4, formatIpv6, Headers, parseFrame } from '../../src/wire/index.ts';

/** Bounds that keep a simulator small: thousands of them are made. */
export const SMALL = Object.fromEntries(
  ['backends4', 'backends6', 'reverseNat4', 'reverseNat6', 'policyMeta'].map((name) => [name, { maxEntries: 4096 }]),
);

/** Addresses of a capture that a pod may have: no wildcard, multicast, broadcast or loopback address. */
export async function unicastAddresses(path: string): Promise<string[]> {
  const found = new Set<string>();
  const headers = new Headers();
  const reader = await openCapture(path, { bufferBytes: 65536 });
  do {
    while (reader.next()) {
      const { offset } = reader;
      parseFrame(
        headers,
        reader.linkType,
        reader.bytes,
        offset,
        offset + reader.capturedBytes,
        offset + reader.wireBytes,
      );
      if (headers.family === 4) {
        for (const raw of [headers.s0, headers.d0]) {
          const first = raw & 0xff;
          if (first !== 0 && first !== 127 && first < 224) found.add(formatIpv4(raw));
        }
      } else if (headers.family === 6) {
        for (const [a, b, c, d] of [
          [headers.s0, headers.s1, headers.s2, headers.s3],
          [headers.d0, headers.d1, headers.d2, headers.d3],
        ] as const) {
          const text = formatIpv6(a, b, c, d);
          const mapped = a === 0 && b === 0;
          if ((a & 0xff) !== 0xff && !mapped) found.add(text);
        }
      }
    }
  } while (await reader.fill());
  await reader.close();
  return [...found].sort();
}

/** One pod an address in namespace `cap`, with a default deny for both directions. */
export function isolatedPods(addresses: readonly string[]): string {
  const pods = addresses.map((ip, i) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${i}`, namespace: 'cap', labels: { app: 'cap' } },
    spec: { nodeName: 'n1', containers: [{ name: 'c' }] },
    status: { podIP: ip, podIPs: [{ ip }] },
  }));
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'deny', namespace: 'cap' },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'cap' } }, ...pods, policy],
  });
}

/** A simulator with the manifests of `text`, which must be without a fault. */
export function simulate(text: string, values = ''): { dataplane: Sim; state: ClusterState } {
  const { state, problems } = readManifests([{ file: 'capture.json', text }]);
  assert.ok(state !== undefined && !hasErrors(problems), JSON.stringify(problems[0]));
  const { config } = resolveConfig({ valuesText: values });
  const compiled = new Compiler(config).compile(state);
  assert.ok(!hasErrors(compiled.problems), JSON.stringify(compiled.problems[0]));
  const dataplane = createSim({ seed: 1, specs: SMALL });
  const applied = dataplane.apply(diff(undefined, compiled.maps));
  assert.equal(applied.failed, undefined);
  return { dataplane, state };
}
