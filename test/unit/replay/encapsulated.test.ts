// North–south traffic that a balancer sends on inside IPIP (direct server return): forwarded, and told with its backend.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CaptureReader, memorySource } from '../../../src/capture/index.ts';
import { Compiler } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import { readManifests, resolveConfig } from '../../../src/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { replay } from '../../../src/replay/index.ts';
import { frame } from '../../support/packets.ts';
import { captureOf } from '../../support/replay-world.ts';

const CLUSTER = `
apiVersion: v1
kind: Node
metadata: { name: balancer }
status: { addresses: [{ type: InternalIP, address: 10.77.0.2 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.80
  ports: [{ port: 80, targetPort: 8080, protocol: TCP }]
status: { loadBalancer: { ingress: [{ ip: 203.0.113.80 }] } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080, protocol: TCP }]
endpoints: [{ addresses: [10.77.0.21], conditions: { ready: true } }, { addresses: [10.77.0.22], conditions: { ready: true } }]
`;
const SETS = [
  'kubeProxyReplacement=true',
  'routingMode=native',
  'loadBalancer.mode=dsr',
  'loadBalancer.dsrDispatch=ipip',
  'loadBalancer.algorithm=maglev',
  'maglev.tableSize=251',
];

describe('replay of what a balancer encapsulates', () => {
  it('is forwarded, each connection to one backend, which is told', async () => {
    const { state } = readManifests([{ file: 'cluster.yaml', text: CLUSTER }]);
    const compiled = new Compiler(resolveConfig({ sets: SETS }).config).compile(state!);
    const innerEntries = compiled.maps.maglev4.spec.innerEntries!;
    const sim = createSim({ specs: { maglev4: { innerEntries }, maglev6: { innerEntries } } });
    assert.equal(sim.apply(diff(undefined, compiled.maps)).failed, undefined);
    const steps = Array.from({ length: 40 }, (_, i) => ({
      frame: frame({
        protocol: 'tcp',
        source: '198.51.100.9',
        destination: '203.0.113.80',
        sourcePort: 40000 + (i >> 1),
        destinationPort: 80,
        flags: i % 2 === 0 ? 'S' : 'A',
      }),
      ms: i,
    }));
    const records: PacketRecord[] = [];
    await replay(
      {
        captures: [{ path: 'a', source: new CaptureReader(memorySource([captureOf(steps)])) }],
        dataplane: sim,
        state,
        at: 'node:balancer',
      },
      { packet: (judged) => records.push(judged.record()) },
    );
    assert.equal(records.length, 40);
    const backends = new Set<string>();
    records.forEach((record, i) => {
      assert.equal(record.verdict, 'FORWARDED', JSON.stringify(record));
      const { backend, frontend, name } = record.service!;
      assert.deepEqual([name, frontend], ['web', '203.0.113.80:80']);
      assert.match(backend!, /^10\.77\.0\.2[12]:8080$/);
      backends.add(backend!);
      if (i % 2 === 1) assert.equal(backend, records[i - 1]!.service!.backend);
    });
    assert.equal(backends.size, 2);
  });
});
