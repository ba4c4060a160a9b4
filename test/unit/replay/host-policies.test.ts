// Host policies in replays: packets between pods, nodes and the world whose end is a node, with hand-made packets. Node n1 lets in
// ssh from the world and 9100 from pod a, and sends to pods and DNS only; n2 has no policy. Worked out by hand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { frame } from '../../support/packets.ts';
import { makeWorld, replayed, type Step, type TestWorld } from '../../support/replay-world.ts';

const A = '10.0.1.1';
const N1 = '192.168.0.1';
const N2 = '192.168.0.2';
const OUT = '203.0.113.7';
const POLICY = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: guard}
spec:
  nodeSelector: {matchLabels: {role: guarded}}
  ingress:
    - {fromEntities: [world], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}
    - {fromEndpoints: [{matchLabels: {app: a}}], toPorts: [{ports: [{port: "9100", protocol: TCP}]}]}
  egress:
    - {toEndpoints: [{}]}
    - {toEntities: [world], toPorts: [{ports: [{port: "53", protocol: TCP}]}]}
`;

const guarded = (on = true): TestWorld => makeWorld({ policies: POLICY, sets: [`hostFirewall.enabled=${on}`] });

const tcp = (source: string, destination: string, port: number, flags = 'S', sourcePort = 40000): Step => ({
  frame: frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort: port, flags }),
});
const brief = ({ verdict, hook, drop, path, by }: PacketRecord): string =>
  [verdict, `${hook}`, drop?.code, (path ?? []).join('>'), by.map((rule) => rule.rule).join()]
    .filter(Boolean)
    .join(' ');

async function seen(steps: readonly Step[], at?: string, world = guarded()): Promise<string[]> {
  const { packets } = await replayed(world, [steps], at === undefined ? {} : { at });
  return packets.map(brief);
}

test('from outside and from a pod of the node: to-host decides, with its rule', async () => {
  assert.deepEqual(await seen([tcp(OUT, N1, 22), tcp(OUT, N1, 23), tcp(A, N1, 9100), tcp(A, N1, 22)]), [
    'FORWARDED xdp xdp>from-netdev>to-host ingress[0]',
    'DROPPED to-host 133 xdp>from-netdev>to-host ingress',
    'FORWARDED from-container from-container>to-host ingress[1]',
    'DROPPED to-host 133 from-container>to-host ingress',
  ]);
});

test('from the node: from-host decides; answers pass both ways', async () => {
  const answer = tcp(N1, OUT, 40000, 'SA', 22);
  assert.deepEqual(
    await seen([tcp(OUT, N1, 22), answer, tcp(N1, OUT, 53), tcp(OUT, N1, 40000, 'SA', 53), tcp(N1, OUT, 80)]),
    [
      'FORWARDED xdp xdp>from-netdev>to-host ingress[0]',
      'FORWARDED from-host from-host ingress[0]',
      'FORWARDED from-host from-host egress[1]',
      'FORWARDED xdp xdp>from-netdev>to-host egress[1]',
      'DROPPED from-host 133 from-host egress',
    ],
  );
});

test('between nodes: each by its own policy', async () => {
  assert.deepEqual(await seen([tcp(N2, N1, 22), tcp(N1, N2, 22), tcp(N1, A, 80)]), [
    'DROPPED to-host 133 xdp>from-netdev>to-host ingress',
    'DROPPED from-host 133 from-host egress',
    'FORWARDED from-host from-host>to-container egress[0]',
  ]);
});

test('off: the node is the stack’s', async () => {
  assert.deepEqual(await seen([tcp(OUT, N1, 23), tcp(N1, OUT, 80)], undefined, guarded(false)), [
    'FORWARDED xdp xdp>from-netdev',
    'FORWARDED from-host from-host',
  ]);
});
