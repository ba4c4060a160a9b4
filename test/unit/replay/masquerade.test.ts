// Masquerading in a replay: pods' packets leave by `to-netdev` of their node, the output is predicted, a port that the capture
// shows instead is adopted, answers to the node's address are translated back, drops fall at that hook.
// Expected by hand: a (10.0.1.1) is on n1 (192.168.0.1); ports of source NAT are 32768 to 65535, one in the range is kept.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { makeWorld, replayed, type Step, type TestWorld } from '../../support/replay-world.ts';

const A = '10.0.1.1';
const N1 = '192.168.0.1';
const OUT = '203.0.113.7';
const EMPTY = new Uint8Array(0);
const BOTH = { masquerade: { ipv4: true, ipv6: true } };

const packet = (from: string, to: string, flags: string, more: Partial<PacketSpec> = {}): Uint8Array => {
  const [source, sourcePort] = from.split(':');
  const [destination, destinationPort] = to.split(':');
  return frame({
    protocol: 'tcp',
    source: source!,
    destination: destination!,
    sourcePort: Number(sourcePort),
    destinationPort: Number(destinationPort),
    flags,
    payload: EMPTY,
    ...more,
  });
};
const udp = (from: string, to: string, text: string): Uint8Array =>
  packet(from, to, '', { protocol: 'udp', payload: new TextEncoder().encode(text) });
const on = (name: string, bytes: Uint8Array): Step => ({ frame: bytes, on: name });
const brief = ({ verdict, hook, drop, observed, unknown }: PacketRecord): string =>
  [verdict, hook, drop?.code, observed, unknown].filter((part) => part !== undefined).join(' ');
const briefs = (packets: readonly PacketRecord[]): string[] => packets.map(brief);
const masquerading = (...more: string[]): TestWorld => makeWorld({ sets: ['bpf.masquerade=true', ...more] });
const steps = (...frames: Uint8Array[]): Step[] => frames.map((one) => ({ frame: one }));

describe('a pod’s packets to the outside', () => {
  it('leave by to-netdev; at the pod the answer is output; without bpf.masquerade nothing changes', async () => {
    const capture = [
      steps(
        packet(`${A}:40000`, `${OUT}:443`, 'S'),
        packet(`${OUT}:443`, `${A}:40000`, 'SA'),
        packet(`${A}:40000`, `${OUT}:443`, 'A'),
      ),
    ];
    const world = masquerading();
    const { packets, connections } = await replayed(world, capture, { at: 'pod:x/a', ...BOTH });
    assert.deepEqual(briefs(packets), ['FORWARDED from-container', 'OBSERVED output', 'FORWARDED from-container']);
    assert.deepEqual(packets[0]!.path, ['from-container', 'to-netdev']);
    assert.deepEqual(
      packets.map(({ ct }) => ct),
      ['NEW', undefined, 'ESTABLISHED'],
    );
    assert.equal(connections.length, 1);
    // The answer went its whole way in the simulator: it moved the pod's entry among the answered ones.
    assert.equal([...world.sim.maps.ctTcp4.entries()].length, 1);
    assert.equal([...world.sim.maps.nat4.entries()].length, 2);
    const off = await replayed(makeWorld(), capture, { at: 'pod:x/a', ...BOTH });
    assert.deepEqual(off.packets[0]!.path, ['from-container']);
    assert.equal(off.packets[1]!.verdict, 'FORWARDED');
  });

  it('on any: the translated packet is output, its answer input, translated back at from-netdev', async () => {
    const { packets, connections, result } = await replayed(
      masquerading(),
      [
        [
          on('lxc', packet(`${A}:40000`, `${OUT}:443`, 'S')),
          on('eth0', packet(`${N1}:40000`, `${OUT}:443`, 'S')),
          on('eth0', packet(`${OUT}:443`, `${N1}:40000`, 'SA')),
          on('lxc', packet(`${OUT}:443`, `${A}:40000`, 'SA')),
        ],
      ],
      { at: 'any', ...BOTH },
    );
    assert.deepEqual(briefs(packets), [
      'FORWARDED from-container',
      'OBSERVED output',
      'FORWARDED xdp',
      'OBSERVED output',
    ]);
    assert.deepEqual(packets[2]!.path, ['xdp', 'from-netdev', 'to-container']);
    assert.equal(packets[2]!.ct, 'REPLY');
    assert.equal(connections.length, 1);
    assert.equal(result.portAdoptions, 0);
  });

  for (const [protocol, sent, output, answer] of [
    [
      'TCP',
      packet(`${A}:40000`, `${OUT}:443`, 'S', { sequence: 77 }),
      packet(`${N1}:50123`, `${OUT}:443`, 'S', { sequence: 77 }),
      packet(`${OUT}:443`, `${N1}:50123`, 'SA'),
    ],
    [
      'UDP',
      udp(`${A}:53000`, `${OUT}:53`, 'who'),
      udp(`${N1}:50123`, `${OUT}:53`, 'who'),
      udp(`${OUT}:53`, `${N1}:50123`, 'me'),
    ],
    [
      'UDP with a port below the range',
      udp(`${A}:1000`, `${OUT}:53`, 'who'),
      udp(`${N1}:50123`, `${OUT}:53`, 'who'),
      udp(`${OUT}:53`, `${N1}:50123`, 'me'),
    ],
  ] as const) {
    it(`another port in the capture than the simulator's is adopted: ${protocol}`, async () => {
      // Something before, so that the output is close behind its input and not run again.
      const first = packet(`${A}:40001`, `${OUT}:80`, 'S');
      const { packets, result, connections } = await replayed(
        masquerading(),
        [
          [
            on('lxc', first),
            on('lxc', sent),
            on('eth0', output),
            on('eth0', answer),
            on('lxc', sent),
            on('eth0', output),
          ],
        ],
        { at: 'any', ...BOTH },
      );
      assert.deepEqual(briefs(packets.slice(1)), [
        'FORWARDED from-container',
        'OBSERVED output',
        'FORWARDED xdp',
        'FORWARDED from-container',
        'OBSERVED output',
      ]);
      assert.deepEqual(packets[3]!.path, ['xdp', 'from-netdev', 'to-container']);
      assert.equal(result.portAdoptions, 1);
      assert.equal(connections.length, 2);
    });
  }

  for (const [order, first, second] of [
    ['in order', 0, 1],
    ['the other way round', 1, 0],
  ] as const) {
    it(`two pods whose ports the capture has exchanged, ${order}: each keeps what was seen`, async () => {
      const sent = (address: string, port: number, who: number, flags = 'S'): Uint8Array =>
        packet(`${address}:${port}`, `${OUT}:443`, flags, { sequence: 1000 * who + (flags === 'S' ? 0 : 1) });
      // The simulator keeps a's 40000 and gives c another; the capture gave a 50000, and 40000 to c.
      const ports = [50000, 40000];
      const pods = [A, '10.0.1.3'];
      const answer = (who: number): Uint8Array => packet(`${OUT}:443`, `${N1}:${ports[who]}`, 'SA', { sequence: who });
      const capture = [
        on('lxc', packet(`${A}:40001`, `${OUT}:80`, 'S')),
        on('lxc', sent(A, 40000, 0)),
        on('lxc', sent('10.0.1.3', 40000, 1)),
        ...[first, second].map((who) => on('eth0', sent(N1, ports[who]!, who))),
        ...[first, second].map((who) => on('eth0', answer(who))),
        ...[first, second].map((who) => on('lxc', sent(pods[who]!, 40000, who, 'A'))),
        ...[first, second].map((who) => on('eth0', sent(N1, ports[who]!, who, 'A'))),
      ];
      const world = makeWorld({ policies: '', sets: ['bpf.masquerade=true'] });
      const { packets, connections, result } = await replayed(world, [capture], { at: 'any', ...BOTH });
      assert.deepEqual(
        packets.slice(3).map(({ verdict }) => verdict),
        [...Array(2).fill('OBSERVED'), ...Array(4).fill('FORWARDED'), ...Array(2).fill('OBSERVED')],
      );
      for (const one of packets.slice(5, 7)) assert.deepEqual(one.path, ['xdp', 'from-netdev', 'to-container']);
      assert.equal(connections.length, 3);
      assert.equal(result.portAdoptions, 2);
      // Two translations of both halves each, and the first packet's.
      assert.equal([...world.sim.maps.nat4.entries()].length, 6);
    });
  }

  it('two pods that send the same: predicted ports are recognised, others belong to neither', async () => {
    const world = makeWorld({ policies: '', sets: ['bpf.masquerade=true'] });
    const C = '10.0.1.3';
    const sent = [udp(`${A}:53000`, `${OUT}:53`, 'who'), udp(`${C}:53001`, `${OUT}:53`, 'who')];
    const { packets, result } = await replayed(
      world,
      [
        [
          ...sent.map((one) => on('lxc', one)),
          on('eth0', udp(`${N1}:50000`, `${OUT}:53`, 'who')),
          on('eth0', udp(`${N1}:53000`, `${OUT}:53`, 'who')),
          on('eth0', udp(`${N1}:53001`, `${OUT}:53`, 'who')),
        ],
      ],
      { at: 'node:n1', ...BOTH },
    );
    assert.deepEqual(
      packets.slice(2).map(({ verdict }) => verdict),
      ['UNKNOWN', 'OBSERVED', 'OBSERVED'],
    );
    assert.equal(result.portAdoptions, 0);
  });

  it('a node without an address of the family leaves pods theirs', async () => {
    const [a6, n6, out6] = ['fd00:1::1', 'fd00:9::1', '2001:db8::7'];
    const manifests = makeWorld({ sets: ['bpf.masquerade=true', 'ipv6.enabled=true'] });
    const tcp = (source: string, destination: string, sourcePort: number, destinationPort: number, flags: string) =>
      frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort, flags });
    // n1 has no IPv6 address in CLUSTER: nothing can be put in place, and the pod's packet leaves as it is.
    const { packets } = await replayed(
      manifests,
      [[on('lxc', tcp(a6, out6, 40000, 443, 'S')), on('eth0', tcp(n6, out6, 40000, 443, 'S'))]],
      { at: 'any', ...BOTH },
    );
    assert.deepEqual(packets[0]!.path, ['from-container', 'to-netdev']);
    assert.equal(packets[0]!.verdict, 'FORWARDED');
    assert.notEqual(packets[1]!.verdict, 'OBSERVED');
  });

  it('IPv6, through a service whose backend is outside: another port is adopted, the answer goes back to the frontend', async () => {
    const more = `
apiVersion: v1
kind: Node
metadata: { name: n3 }
spec: { podCIDRs: ["fd00:3::/64"] }
status: { addresses: [{ type: InternalIP, address: "fd00:9::3" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: e, namespace: x }
spec: { nodeName: n3, containers: [{ name: c }] }
status: { phase: Running, podIPs: [{ ip: "fd00:3::5" }] }
---
apiVersion: v1
kind: Service
metadata: { name: far, namespace: x }
spec: { clusterIP: "fd00:96::1", clusterIPs: ["fd00:96::1"], ipFamilies: [IPv6], ports: [{ port: 80, targetPort: 443 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: far-1, namespace: x, labels: { kubernetes.io/service-name: far } }
addressType: IPv6
ports: [{ name: "", port: 443, protocol: TCP }]
endpoints: [{ addresses: ["2001:db8::7"], conditions: { ready: true } }]
`;
    const [pod, node, far, vip] = ['fd00:3::5', 'fd00:9::3', '2001:db8::7', 'fd00:96::1'];
    const tcp = (
      source: string,
      sourcePort: number,
      destination: string,
      destinationPort: number,
      flags: string,
    ): Uint8Array => frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort, flags });
    const world = makeWorld({ policies: more, sets: ['bpf.masquerade=true', 'ipv6.enabled=true'] });
    const { packets, result, connections } = await replayed(
      world,
      [
        [
          on('lxc', tcp(pod, 40001, far, 1, 'S')),
          on('lxc', tcp(pod, 40000, vip, 80, 'S')),
          on('eth0', tcp(node, 50123, far, 443, 'S')),
          on('eth0', tcp(far, 443, node, 50123, 'SA')),
          on('lxc', tcp(vip, 80, pod, 40000, 'SA')),
          on('lxc', tcp(pod, 40000, vip, 80, 'A')),
          on('eth0', tcp(node, 50123, far, 443, 'A')),
        ],
      ],
      { at: 'any', ...BOTH },
    );
    assert.deepEqual(
      packets.slice(1).map(({ verdict }) => verdict),
      ['FORWARDED', 'OBSERVED', 'FORWARDED', 'OBSERVED', 'FORWARDED', 'OBSERVED'],
    );
    assert.deepEqual(packets[3]!.path, ['xdp', 'from-netdev', 'to-container']);
    assert.deepEqual([result.portAdoptions, connections.length], [1, 2]);
  });

  it('an output that is like no input stays what it was: the node’s own, or unknown at the node', async () => {
    const capture = [
      [
        on('lxc', udp(`${A}:53000`, `${OUT}:53`, 'who')),
        on('eth0', udp(`${N1}:50123`, `${OUT}:53`, 'why')),
        on('eth0', udp(`${N1}:50124`, `${OUT}:54`, 'who')),
      ],
    ];
    const { packets, result } = await replayed(masquerading(), capture, { at: 'node:n1', ...BOTH });
    assert.deepEqual(briefs(packets), [
      'FORWARDED from-container',
      'UNKNOWN masqueraded source without a mapping',
      'UNKNOWN masqueraded source without a mapping',
    ]);
    assert.equal(result.portAdoptions, 0);
  });

  it('a pod’s capture and then the node’s: the node’s packets are output and answers', async () => {
    const { packets } = await replayed(
      masquerading(),
      [
        [on('eth0', packet(`${A}:40000`, `${OUT}:443`, 'S'))],
        [on('eth0', packet(`${N1}:40000`, `${OUT}:443`, 'S')), on('eth0', packet(`${OUT}:443`, `${N1}:40000`, 'SA'))],
      ],
      { at: 'any', ...BOTH },
    );
    assert.deepEqual(briefs(packets), ['FORWARDED from-container', 'OBSERVED output', 'FORWARDED xdp']);
  });

  it('what cannot be translated is dropped at to-netdev; multicast stays on its link', async () => {
    // SCTP's checksum covers its ports: one that cannot be kept is refused (154).
    const sctp = packet(`${A}:1000`, `${OUT}:1`, '', { protocol: 'sctp' });
    const group = packet(`${A}:1`, '224.0.0.22:1', '');
    group[14 + 9] = 2;
    const { packets } = await replayed(masquerading('sctp.enabled=true'), [steps(sctp, group)], {
      at: 'pod:x/a',
      ...BOTH,
    });
    assert.deepEqual(
      packets.map(({ verdict }) => verdict),
      ['DROPPED', packets[1]!.verdict],
    );
    assert.equal(packets[0]!.hook, 'to-netdev');
    assert.equal(packets[0]!.drop!.code, 154);
    assert.notEqual(packets[1]!.hook, 'to-netdev');
  });

  it('pods of the cluster see pods as they are, and so do nodes where pods are routed', async () => {
    const capture = [
      steps(
        packet(`${A}:40000`, '192.168.0.2:22', 'S'),
        packet('192.168.0.2:22', `${A}:40000`, 'SA'),
        packet(`${A}:40000`, '192.168.0.1:22', 'S'),
        packet(`${A}:40001`, '10.0.2.1:8080', 'S'),
      ),
    ];
    const native = masquerading('routingMode=native', 'ipv4NativeRoutingCIDR=10.0.0.0/16');
    const { packets } = await replayed(native, capture, { at: 'pod:x/a', ...BOTH });
    assert.deepEqual(
      packets.map(({ path }) => path!.join(' ')),
      ['from-container to-netdev', 'to-container', 'from-container', 'from-container to-container'],
    );
    const tunnel = await replayed(masquerading(), capture, { at: 'pod:x/a', ...BOTH });
    assert.equal(tunnel.packets[1]!.verdict, 'OBSERVED');
  });

  it('an echo and its answer, ids chosen by somebody else', async () => {
    const echo = (source: string, destination: string, type: number, id: number): Uint8Array =>
      frame({
        protocol: 'icmp',
        source,
        destination,
        type,
        id,
        payload: new TextEncoder().encode('ping'),
      });
    const { packets, result } = await replayed(
      masquerading(),
      [
        [
          on('lxc', echo(A, OUT, 8, 7)),
          on('eth0', echo(N1, OUT, 8, 40007)),
          on('eth0', echo(OUT, N1, 0, 40007)),
          on('lxc', echo(OUT, A, 0, 7)),
        ],
      ],
      { at: 'any', ...BOTH },
    );
    assert.deepEqual(briefs(packets), [
      'FORWARDED from-container',
      'OBSERVED output',
      'FORWARDED xdp',
      'OBSERVED output',
    ]);
    assert.equal(result.portAdoptions, 1);
  });
});
