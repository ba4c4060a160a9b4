// Tunnel endpoints in the ipcache, and the features of the overlay: only where a node and what is around it are known.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compiler } from '../../../src/control/compile.ts';
import { readManifests, resolveConfig } from '../../../src/control/index.ts';
import { readTopology } from '../../../src/control/topology.ts';
import { configValue, FEATURE, ipcacheKey4, ipcacheKey6, ipcacheValue } from '../../../src/schema/index.ts';
import { addressText } from '../../support/packets.ts';

const node = (name: string, n: number): string => `apiVersion: v1
kind: Node
metadata: { name: ${name} }
spec: { podCIDRs: [10.77.${n}.0/24, "fd77:${n}::/64"] }
status:
  addresses:
    - { type: InternalIP, address: 192.0.2.${n} }
    - { type: InternalIP, address: "2001:db8::${n}" }
    - { type: CiliumInternalIP, address: 10.77.${n}.254 }
`;
const pod = (name: string, at: string, n: number): string => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec: { nodeName: ${at}, containers: [{ name: c, image: c }] }
status: { phase: Running, podIP: 10.77.${n}.9, podIPs: [{ ip: 10.77.${n}.9 }, { ip: "fd77:${n}::9" }] }
`;
const TOPOLOGY = `node: red
interfaces: [{ name: eth0, ifindex: 2, mac: 02:00:00:00:00:01, mtu: 1500, addresses: [192.0.2.1/24] }]
`;
const CLUSTER = [node('red', 1), node('blue', 2), pod('a', 'red', 1), pod('b', 'blue', 2)].join('---\n');

function compiled(sets: readonly string[], around: boolean) {
  const { state } = readManifests([{ file: 'cluster.yaml', text: CLUSTER }]);
  const { topology } = readTopology(TOPOLOGY, 'topology.yaml');
  const options = around ? { node: 'red', topology: topology! } : {};
  const { maps, problems } = new Compiler(resolveConfig({ sets }).config, options).compile(state!);
  assert.deepEqual(problems, []);
  const tunnels = new Map<string, string>();
  for (const [name, layout] of [
    ['ipcache4', ipcacheKey4],
    ['ipcache6', ipcacheKey6],
  ] as const) {
    const map = maps[name];
    for (let i = 0; i < map.size; i++) {
      const { flags, tunnelEndpoint } = ipcacheValue.decode(map.valueAt(i));
      const { address } = layout.decode(map.keyAt(i));
      const text =
        typeof address === 'number'
          ? [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
          : addressText(address);
      if (flags !== 0) tunnels.set(text, `${flags} ${addressText(tunnelEndpoint.slice(0, 4))}`);
    }
  }
  const { features } = configValue.decode(maps.config.valueAt(0));
  return {
    tunnels: Object.fromEntries(tunnels),
    features: features & (FEATURE.OVERLAY | FEATURE.GENEVE | FEATURE.DSR_GENEVE),
  };
}
const BEHIND = { '10.77.2.9': '2 192.0.2.2', '10.77.2.254': '2 192.0.2.2', 'fd77:2:0:0:0:0:0:9': '2 192.0.2.2' };

test('with a topology and an overlay: pods of other nodes, and those nodes’ addresses inside, but not their own', () => {
  assert.deepEqual(compiled([], true), { tunnels: BEHIND, features: FEATURE.OVERLAY });
  assert.deepEqual(compiled(['tunnelProtocol=geneve'], true).features, FEATURE.OVERLAY | FEATURE.GENEVE);
});

test('natively routed there is none, but for direct return by Geneve', () => {
  assert.deepEqual(compiled(['routingMode=native'], true), { tunnels: {}, features: 0 });
  const geneve = [
    'routingMode=native',
    'tunnelProtocol=geneve',
    'loadBalancer.mode=dsr',
    'loadBalancer.dsrDispatch=geneve',
  ];
  assert.deepEqual(compiled(geneve, true), { tunnels: BEHIND, features: FEATURE.DSR_GENEVE | FEATURE.GENEVE });
});

test('for the whole cluster nothing is behind a tunnel', () => {
  assert.deepEqual(compiled([], false), { tunnels: {}, features: 0 });
});
