// A node port whose backend is on another node, as that one node's dataplane sees it: the client's packet goes on in the node's
// name, its answer is translated back. Expected by hand: n1 is 192.168.0.1, web's pods are on n2.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CaptureReader, memorySource } from '../../../src/capture/index.ts';
import { Compiler } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import { readManifests, resolveConfig } from '../../../src/control/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { replay, type ReplayResult } from '../../../src/replay/index.ts';
import { frame } from '../../support/packets.ts';
import { captureOf, CLUSTER, type Step } from '../../support/replay-world.ts';

const N1 = '192.168.0.1';
const OUT = '203.0.113.7';

const tcp = (
  source: string,
  sourcePort: number,
  destination: string,
  destinationPort: number,
  flags: string,
): Step => ({
  frame: frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort, flags }),
});

async function atN1(steps: readonly Step[], masquerade: boolean): Promise<[PacketRecord[], ReplayResult]> {
  const { state } = readManifests([{ file: 'cluster.yaml', text: CLUSTER }]);
  const sets = ['kubeProxyReplacement=true', 'routingMode=native', `bpf.masquerade=${masquerade}`];
  const compiled = new Compiler(resolveConfig({ sets }).config, { node: 'n1' }).compile(state!);
  const dataplane = createSim({ specs: compiled.sizes, seed: 1 });
  assert.equal(dataplane.apply(diff(undefined, compiled.maps)).failed, undefined);
  const source = new CaptureReader(memorySource([captureOf(steps)]));
  const packets: PacketRecord[] = [];
  const result = await replay(
    { captures: [{ path: 'a', source }], dataplane, state, seed: 1, at: 'node:n1', node: 'n1' },
    { packet: (judged) => void packets.push(judged.record()) },
  );
  return [packets, result];
}

for (const masquerade of [true, false]) {
  for (const [what, port, adopted] of [
    ['the port that the simulator chooses', 51000, 0],
    ['another port', 50123, 1],
  ] as const) {
    it(`the node sends from ${what}, bpf.masquerade ${masquerade}`, async () => {
      const request = tcp(OUT, 51000, N1, 30080, 'S');
      const [[first]] = await atN1([request], masquerade);
      const backend = first!.service!.backend!.split(':')[0]!;
      const [packets, result] = await atN1(
        [
          request,
          tcp(N1, port, backend, 8080, 'S'),
          tcp(backend, 8080, N1, port, 'SA'),
          tcp(N1, 30080, OUT, 51000, 'SA'),
        ],
        masquerade,
      );
      assert.deepEqual(
        packets.map(({ verdict }) => verdict),
        ['FORWARDED', 'OBSERVED', 'FORWARDED', 'OBSERVED'],
      );
      const path = masquerade ? ['xdp', 'from-netdev', 'to-netdev'] : ['xdp', 'from-netdev'];
      assert.deepEqual([packets[0]!.path, packets[2]!.path], [path, path]);
      assert.equal(result.portAdoptions, adopted);
    });
  }
}
