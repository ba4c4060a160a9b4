// What a node's devices do in a replay: a pod's bandwidth limit, and neighbours' questions for announced addresses.
// Expected by hand: pod e (10.0.1.5) on n1 may send 8,000 bits a second, 1,000 bytes; e's frames have 1,000 bytes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CaptureReader, memorySource } from '../../../src/capture/index.ts';
import { readTopology } from '../../../src/control/topology.ts';
import { replay } from '../../../src/replay/index.ts';
import { frame } from '../../support/packets.ts';
import { BEGAN, captureOf, makeWorld, replayed, type Step, type TestWorld } from '../../support/replay-world.ts';

const LIMITED = `apiVersion: v1
kind: Pod
metadata: { name: e, namespace: x, annotations: { kubernetes.io/egress-bandwidth: 8k } }
spec: { nodeName: n1, containers: [{ name: c }] }
status: { phase: Running, podIPs: [{ ip: 10.0.1.5 }] }
`;
const OUT = '203.0.113.7';
const udp = (source: string, destination: string, more: object = {}): Uint8Array =>
  frame({
    protocol: 'udp',
    source,
    destination,
    sourcePort: 9,
    destinationPort: 9,
    payload: new Uint8Array(958),
    ...more,
  });

describe('a bandwidth limit', () => {
  const world = (...sets: string[]): TestWorld =>
    makeWorld({ policies: LIMITED, sets: ['bandwidthManager.enabled=true', ...sets] });
  const sent = (source: string, ...times: number[]): Step[] => times.map((ms) => ({ frame: udp(source, OUT), ms }));

  it('delays what leaves, and drops what would wait for two seconds', async () => {
    const { packets } = await replayed(world(), [sent('10.0.1.5', 0, 100, 200, 1300)], { at: 'pod:x/e' });
    assert.deepEqual(
      packets.map(({ verdict, drop, departure, path }) => [
        verdict,
        drop?.code ?? (departure && `${departure.seconds - BEGAN}.${departure.nanoseconds}`),
        path?.join(),
      ]),
      [
        // The first second begins before the pod has sent anything, and at second 0 of the replay.
        ['FORWARDED', '1.0', 'from-container,to-netdev'],
        ['FORWARDED', '2.0', 'from-container,to-netdev'],
        ['DROPPED', 162, 'from-container,to-netdev'],
        ['FORWARDED', '3.0', 'from-container,to-netdev'],
      ],
    );
  });
  it('is another pod’s business, and nobody’s without the bandwidth manager', async () => {
    const other = await replayed(world(), [sent('10.0.1.1', 0, 0, 0)], { at: 'node:n1' });
    assert.ok(other.packets.every(({ verdict, departure }) => verdict === 'FORWARDED' && departure === undefined));
    const off = await replayed(makeWorld({ policies: LIMITED }), [sent('10.0.1.5', 0, 0, 0)], { at: 'pod:x/e' });
    assert.ok(off.packets.every(({ verdict, path }) => verdict === 'FORWARDED' && path?.length === 1));
  });
  it('together with masquerading counts each packet once', async () => {
    const { packets } = await replayed(world('bpf.masquerade=true'), [sent('10.0.1.5', 0, 100)], {
      at: 'pod:x/e',
      masquerade: { ipv4: true, ipv6: true },
    });
    assert.deepEqual(
      packets.map(({ departure }) => departure && departure.seconds - BEGAN),
      [1, 2],
    );
  });
  it('is not passed over where packets are only counted', async () => {
    const sim = world();
    const tcp = (source: string, destination: string, flags: string): Uint8Array =>
      udp(source, destination, { protocol: 'tcp', flags, payload: new Uint8Array(946) });
    // An answered connection's packets change nothing else, mostly.
    const steps: readonly Step[] = [
      { frame: tcp('10.0.1.5', OUT, 'S'), ms: 0 },
      { frame: tcp(OUT, '10.0.1.5', 'SA'), ms: 1 },
      ...Array.from({ length: 29 }, (_, i) => ({ frame: tcp('10.0.1.5', OUT, 'A'), ms: 2 + 100 * i })),
    ];
    const source = new CaptureReader(memorySource([captureOf(steps)]));
    const captures = [{ path: 'a.pcapng', source }];
    await replay({ captures, dataplane: sim.sim, state: sim.state, at: 'node:n1', seed: 1 });
    // Three seconds: the first two at once and a second later, then one a second.
    assert.equal(sim.sim.metrics().find(({ reason }) => reason === 162)?.packets, 26n);
  });
});

describe('announced addresses', () => {
  const TOPOLOGY = `node: n1
interfaces: [{ name: eth0, ifindex: 2, mac: 02:00:00:00:00:0a }, { name: eth1, ifindex: 3, mac: 02:00:00:00:00:0b }]
`;
  const ANNOUNCED = `apiVersion: v1
kind: Service
metadata: { name: ext, namespace: x }
spec: { type: LoadBalancer, clusterIP: 10.96.0.9, selector: { app: web }, ports: [{ port: 80 }] }
status: { loadBalancer: { ingress: [{ ip: 192.168.0.200 }, { ip: "fd0a::200" }] } }
---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: { name: p }
spec: { loadBalancerIPs: true, interfaces: [eth0] }
`;
  const arp = (target: number, source = 1): Uint8Array =>
    Uint8Array.of(
      ...[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, source, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
      ...[2, 0, 0, 0, 0, source, 192, 168, 0, 7, 0, 0, 0, 0, 0, 0, 192, 168, 0, target],
    );
  const solicitation = frame({
    protocol: 'icmpv6',
    source: 'fd0a::7',
    destination: 'ff02::1:ff00:200',
    type: 135,
    ttl: 255,
    payload: Uint8Array.of(0xfd, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1, 2, 0, 0, 0, 0, 1),
    sourceMac: '02:00:00:00:00:01',
    destinationMac: '33:33:ff:00:02:00',
  });
  const { topology } = readTopology(TOPOLOGY, 't.yaml');
  const interfaces = new Map([
    ['eth0', 2],
    ['eth1', 3],
  ]);
  const world = (...sets: string[]): TestWorld =>
    makeWorld({ policies: ANNOUNCED, sets, compile: { node: 'n1', topology: topology! } });
  const on = 'l2announcements.enabled=true';
  const answers = async (sim: TestWorld, steps: readonly Step[], more: object = {}): Promise<unknown[]> => {
    const { packets } = await replayed(sim, [steps], { at: 'node:n1', node: 'n1', interfaces, ...more });
    return packets.map(({ verdict, hook, answered }) => `${verdict} ${hook}${answered === true ? ' answered' : ''}`);
  };
  const steps: readonly Step[] = [
    { frame: arp(200) },
    { frame: arp(201) },
    { frame: arp(200), on: 'eth1' },
    { frame: arp(200, 10) },
    { frame: solicitation },
  ];

  it('are answered at the interface that they are announced at', async () => {
    assert.deepEqual(await answers(world(on), steps), [
      'FORWARDED from-netdev answered',
      'FORWARDED from-netdev',
      'FORWARDED from-netdev',
      'FORWARDED from-netdev',
      'FORWARDED from-netdev answered',
    ]);
  });
  it('without the option, or where the interface is not known, they are the stack’s', async () => {
    const all = Array<string>(5).fill('FORWARDED from-netdev');
    assert.deepEqual(await answers(world(), steps), all);
    assert.deepEqual(await answers(world(on), steps, { interfaces: new Map() }), all);
  });
});
