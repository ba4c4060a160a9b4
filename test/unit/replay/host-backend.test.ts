// A node port of pods that use their node's network, in a capture at that node: nothing is translated but the port. The cluster as a
// whole and the node alone, with and without a host firewall. Expected by hand: the backend is 192.168.0.2:8443.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { frame } from '../../support/packets.ts';
import { makeWorld, replayed, type Step } from '../../support/replay-world.ts';

const N2 = '192.168.0.2';
const OUT = '203.0.113.7';
const GATE = `
apiVersion: v1
kind: Pod
metadata: { name: gate, namespace: x, labels: { app: gate } }
spec: { nodeName: n2, hostNetwork: true, containers: [{ name: c }] }
status: { phase: Running, podIPs: [{ ip: ${N2} }] }
---
apiVersion: v1
kind: Service
metadata: { name: gate, namespace: x }
spec:
  type: NodePort
  clusterIP: 10.96.0.2
  clusterIPs: [10.96.0.2]
  selector: { app: gate }
  ports: [{ port: 443, targetPort: 8443, nodePort: 30090, protocol: TCP }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: gate-1, namespace: x, labels: { kubernetes.io/service-name: gate } }
addressType: IPv4
ports: [{ name: "", port: 8443, protocol: TCP }]
endpoints: [{ addresses: [${N2}], nodeName: n2, conditions: { ready: true } }]
`;
const step = (
  source: string,
  sourcePort: number,
  destination: string,
  destinationPort: number,
  flags: string,
): Step => ({
  frame: frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort, flags }),
});
const CAPTURE = [
  step(OUT, 5000, N2, 30090, 'S'),
  step(N2, 30090, OUT, 5000, 'SA'),
  step(OUT, 5000, N2, 30090, 'A'),
  step(N2, 30090, OUT, 5000, 'A'),
];

for (const node of [undefined, 'n2']) {
  for (const firewall of [false, true]) {
    describe(`${node ?? 'the cluster'}, host firewall ${firewall ? 'on' : 'off'}`, () => {
      it('the client’s packets go to the process, its answers are the node’s output', async () => {
        const world = makeWorld({
          policies: GATE,
          sets: [`hostFirewall.enabled=${firewall}`],
          ...(node === undefined ? {} : { compile: { node } }),
        });
        const { packets } = await replayed(world, [CAPTURE], {
          at: 'node:n2',
          ...(node === undefined ? {} : { node }),
        });
        assert.deepEqual(
          packets.map(({ verdict }) => verdict),
          ['FORWARDED', 'OBSERVED', 'FORWARDED', 'OBSERVED'],
        );
        assert.equal(packets[0]!.service?.backend, `${N2}:8443`);
        assert.equal(world.sim.maps.nat4.size, 0);
      });
    });
  }
}
