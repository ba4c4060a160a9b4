// What each packet is: replay.md, "Each packet, in order", rule by rule, with hand-made packets through the real datapath.
// Expected verdicts were worked out by hand from CLUSTER and POLICIES: a may reach web on 8080, c may send nothing, nobody
// may reach a or c.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { MAPS } from '../../../src/schema/index.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { makeWorld, replayed, type Step } from '../../support/replay-world.ts';

const A = '10.0.1.1';
const C = '10.0.1.3';
const D = '10.0.2.4';
const WEB1 = '10.0.2.1';
const WEB2 = '10.0.2.2';
const VIP = '10.96.0.1';
const DNS = '10.96.0.53';
const OUT = '203.0.113.7';

const tcp = (from: string, to: string, flags: string, more: Partial<PacketSpec> = {}): Uint8Array => {
  const [source, sourcePort] = from.split(':');
  const [destination, destinationPort] = to.split(':');
  return frame({
    protocol: 'tcp',
    source: source!,
    destination: destination!,
    sourcePort: Number(sourcePort),
    destinationPort: Number(destinationPort),
    flags,
    payload: new Uint8Array(0),
    ...more,
  });
};
const udp = (from: string, to: string, more: Partial<PacketSpec> = {}): Uint8Array =>
  tcp(from, to, '', { protocol: 'udp', ...more });
const steps = (...frames: Uint8Array[]): Step[] => frames.map((one) => ({ frame: one }));
const brief = ({ verdict, hook, drop, ct, unknown }: PacketRecord): string =>
  [verdict, hook, drop?.code, ct, unknown].filter((part) => part !== undefined).join(' ');
const briefs = (packets: readonly PacketRecord[]): string[] => packets.map(brief);

/** Which backend a's connection from this port gets: asked of the simulator itself. */
async function backendOf(port: number): Promise<string> {
  const { packets } = await replayed(makeWorld(), [steps(tcp(`${A}:${port}`, `${VIP}:80`, 'S'))], { at: 'pod:x/a' });
  return packets[0]!.service!.backend!.split(':')[0]!;
}

describe('rule 1: the datapath’s own output', () => {
  it('at the pod: the answer from the service address is output, and makes the connection answered', async () => {
    const world = makeWorld();
    const { packets } = await replayed(
      world,
      [
        steps(
          tcp(`${A}:40000`, `${VIP}:80`, 'S'),
          tcp(`${VIP}:80`, `${A}:40000`, 'SA'),
          tcp(`${A}:40000`, `${VIP}:80`, 'A'),
        ),
      ],
      { at: 'pod:x/a' },
    );
    assert.deepEqual(briefs(packets), [
      'FORWARDED from-container NEW',
      'OBSERVED',
      'FORWARDED from-container ESTABLISHED',
    ]);
    assert.deepEqual(packets[0]!.path, ['from-container', 'to-container']);
    assert.equal(packets[1]!.observed, 'output');
    assert.equal(packets[1]!.source.pod, packets[0]!.destination.pod);
    // Both pods' entries were promoted, and the service's: nothing is left among the unanswered.
    assert.equal(world.sim.maps.ctTcpNew4.size, 0);
    assert.ok(world.sim.maps.ctTcp4.size >= 2);
  });

  it('on any: the translated packet is output, the untranslated answer is input, its translation output', async () => {
    const backend = await backendOf(40000);
    const { packets } = await replayed(
      makeWorld(),
      [
        [
          { frame: tcp(`${A}:40000`, `${VIP}:80`, 'S'), on: 'lxc-a' },
          { frame: tcp(`${A}:40000`, `${backend}:8080`, 'S', { ttl: 63 }), on: 'eth0' },
          { frame: tcp(`${backend}:8080`, `${A}:40000`, 'SA'), on: 'eth0' },
          { frame: tcp(`${VIP}:80`, `${A}:40000`, 'SA', { ttl: 63 }), on: 'lxc-a' },
        ],
      ],
      { at: 'any' },
    );
    assert.deepEqual(briefs(packets), [
      'FORWARDED from-container NEW',
      'OBSERVED',
      'FORWARDED from-container REPLY',
      'OBSERVED',
    ]);
    assert.deepEqual(
      packets.map((p) => p.reply),
      [false, false, true, true],
    );
  });

  it('a NodePort’s answer is output at the node, and its backend’s hook is refreshed', async () => {
    const world = makeWorld();
    const { packets } = await replayed(
      world,
      [steps(tcp(`${OUT}:5000`, '192.168.0.2:30080', 'S'), tcp('192.168.0.2:30080', `${OUT}:5000`, 'SA'))],
      { at: 'node:n2' },
    );
    // Nobody but a may reach web: the opening is dropped, so the answer is counterfactual.
    assert.deepEqual(briefs(packets), ['DROPPED to-container 133 NEW', 'DROPPED to-container 133']);
    const open = makeWorld({ policies: POLICY_FREE });
    const free = await replayed(
      open,
      [steps(tcp(`${OUT}:5000`, '192.168.0.2:30080', 'S'), tcp('192.168.0.2:30080', `${OUT}:5000`, 'SA'))],
      { at: 'node:n2' },
    );
    assert.deepEqual(briefs(free.packets), ['FORWARDED xdp NEW', 'OBSERVED']);
    assert.deepEqual(free.packets[0]!.path, ['xdp', 'from-netdev', 'to-container']);
  });

  it('adopts the backend that the capture shows, if it is one of the service', async () => {
    const chosen = await backendOf(40001);
    const other = chosen === WEB1 ? WEB2 : WEB1;
    const world = makeWorld();
    const { packets, result } = await replayed(
      world,
      [
        [
          { frame: tcp(`${A}:40001`, `${VIP}:80`, 'S'), on: 'lxc-a' },
          { frame: tcp(`${A}:40001`, `${other}:8080`, 'S'), on: 'eth0' },
          { frame: tcp(`${other}:8080`, `${A}:40001`, 'SA'), on: 'eth0' },
          { frame: tcp(`${VIP}:80`, `${A}:40001`, 'SA'), on: 'lxc-a' },
          { frame: tcp(`${A}:40001`, `${VIP}:80`, 'A'), on: 'lxc-a' },
          { frame: tcp(`${A}:40001`, `${other}:8080`, 'A'), on: 'eth0' },
        ],
      ],
      { at: 'any' },
    );
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'OBSERVED', 'FORWARDED', 'OBSERVED', 'FORWARDED', 'OBSERVED'],
    );
    assert.equal(result.adoptions, 1);
    assert.equal(result.flows, 1);
    assert.equal(packets[4]!.service!.backend, `${other}:8080`);
  });

  it('adopts it whatever became of the connection recorded before', async () => {
    // The record of c's datagram, whose denial names a rule, comes to mean d's, which no rule of d denies.
    const chosen = await backendOf(40001);
    const other = chosen === WEB1 ? WEB2 : WEB1;
    const { result } = await replayed(
      makeWorld(),
      [
        [
          {
            frame: frame({ protocol: 'udp', source: C, destination: D, sourcePort: 5000, destinationPort: 6000 }),
            ms: 0,
          },
          { frame: tcp(`${A}:40001`, `${VIP}:80`, 'S'), ms: 30_000 },
          {
            frame: frame({ protocol: 'udp', source: D, destination: C, sourcePort: 6000, destinationPort: 5000 }),
            ms: 70_000,
          },
          { frame: tcp(`${A}:40001`, `${other}:8080`, 'S'), ms: 70_001, on: 'eth1' },
        ],
      ],
      { at: 'any' },
    );
    assert.equal(result.adoptions, 1);
  });

  it('adopts no stranger: a packet to a pod that is no backend is an input of its own', async () => {
    const { packets, result } = await replayed(
      makeWorld(),
      [
        [
          { frame: tcp(`${A}:40001`, `${VIP}:80`, 'S'), on: 'lxc-a' },
          { frame: tcp(`${A}:40001`, `${D}:8080`, 'S'), on: 'eth0' },
        ],
      ],
      { at: 'any' },
    );
    assert.equal(result.adoptions, 0);
    assert.equal(packets[1]!.verdict, 'FORWARDED');
    assert.equal(result.flows, 2);
  });
});

describe('rule 2: answers of dropped connections', () => {
  it('have the drop and the rules of the opening', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [
        steps(
          tcp(`${C}:40000`, `${WEB1}:8080`, 'S'),
          tcp(`${WEB1}:8080`, `${C}:40000`, 'SA'),
          tcp(`${C}:40000`, `${WEB1}:8080`, 'A'),
        ),
      ],
      { at: 'pod:x/c' },
    );
    assert.deepEqual(briefs(packets), [
      'DROPPED from-container 133 NEW',
      'DROPPED from-container 133',
      'DROPPED from-container 133 NEW',
    ]);
    assert.deepEqual(
      packets.map((p) => p.counterfactual),
      [undefined, true, undefined],
    );
    assert.deepEqual(packets[1]!.by, packets[0]!.by);
    assert.deepEqual(
      packets[0]!.by.map((rule) => [rule.name, rule.rule, rule.file, rule.line]),
      [['mute', 'egress', 'policies.yaml', 8]],
    );
  });

  it('through a service, too: from the service address, and from the backend', async () => {
    const world = makeWorld();
    const { packets } = await replayed(
      world,
      [steps(tcp(`${C}:40000`, `${VIP}:80`, 'S'), tcp(`${VIP}:80`, `${C}:40000`, 'SA'))],
      { at: 'any' },
    );
    assert.deepEqual(
      packets.map((p) => [p.verdict, p.counterfactual]),
      [
        ['DROPPED', undefined],
        ['DROPPED', true],
      ],
    );
    const backend = packets[0]!.service!.backend!;
    const again = await replayed(
      makeWorld(),
      [steps(tcp(`${C}:40000`, `${VIP}:80`, 'S'), tcp(backend, `${C}:40000`, 'SA'))],
      { at: 'any' },
    );
    assert.deepEqual(
      again.packets.map((p) => [p.verdict, p.counterfactual]),
      [
        ['DROPPED', undefined],
        ['DROPPED', true],
      ],
    );
  });

  it('a SYN the other way is no answer, but a connection of its own', async () => {
    const { packets, result } = await replayed(
      makeWorld(),
      [steps(tcp(`${C}:40000`, `${D}:50000`, 'S'), tcp(`${D}:50000`, `${C}:40000`, 'S'))],
      { at: 'any' },
    );
    assert.deepEqual(briefs(packets), ['DROPPED from-container 133 NEW', 'DROPPED to-container 133 NEW']);
    assert.equal(packets[1]!.counterfactual, undefined);
    assert.equal(result.flows, 2);
  });
});

describe('rule 3: copies on any', () => {
  const sent = (on: string, ms: number, more: Partial<PacketSpec> = {}): Step => ({
    frame: tcp(`${A}:40000`, `${D}:9000`, 'S', more),
    on,
    ms,
  });
  it('the same bytes on another interface within 10 ms', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [[sent('lxc-a', 0), sent('eth0', 10, { ttl: 63 }), sent('vxlan', 10)]],
      { at: 'any' },
    );
    assert.deepEqual(
      packets.map((p) => [p.verdict, p.observed]),
      [
        ['FORWARDED', undefined],
        ['OBSERVED', 'copy'],
        ['OBSERVED', 'copy'],
      ],
    );
  });
  it('not after 10 ms, not on the same interface, not with another sequence number', async () => {
    for (const second of [sent('eth0', 11), sent('lxc-a', 1), sent('eth0', 1, { sequence: 77 })]) {
      // A third interface keeps "one interface only" from applying.
      const { packets } = await replayed(
        makeWorld(),
        [[sent('lxc-a', 0), { frame: udp(`${A}:1`, `${D}:2`), on: 'eth0', ms: 0 }, second]],
        { at: 'any' },
      );
      assert.equal(packets[2]!.verdict, 'FORWARDED');
    }
  });
  it('a cooked v2 capture tells its interfaces apart itself', async () => {
    const cooked = (ifindex: number): Uint8Array => {
      const ip = tcp(`${A}:40000`, `${D}:9000`, 'S').subarray(14);
      return Uint8Array.from([8, 0, 0, 0, 0, 0, 0, ifindex, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, ...ip]);
    };
    const { packets } = await replayed(makeWorld(), [
      [
        { frame: cooked(3), link: 276 },
        { frame: cooked(4), link: 276 },
        { frame: cooked(3), link: 276 },
      ],
    ]);
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'OBSERVED', 'FORWARDED'],
    );
  });
  it('a cooked v1 capture does not: then the interface does not count', async () => {
    const cooked = (): Uint8Array =>
      Uint8Array.from([
        0,
        0,
        0,
        1,
        0,
        6,
        2,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        8,
        0,
        ...tcp(`${A}:40000`, `${D}:9000`, 'S').subarray(14),
      ]);
    const { packets } = await replayed(makeWorld(), [
      [
        { frame: cooked(), link: 113, ms: 0 },
        { frame: cooked(), link: 113, ms: 5 },
        { frame: cooked(), link: 113, ms: 40 },
      ],
    ]);
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'OBSERVED', 'FORWARDED'],
    );
  });
  it('elsewhere than on any the same bytes are a retransmission', async () => {
    const { packets } = await replayed(makeWorld(), [[sent('eth0', 0), sent('eth0', 1)]], { at: 'pod:x/a' });
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'FORWARDED'],
    );
  });
});

describe('rules 4 and 5: inputs', () => {
  it('a pod receives: to-container alone, and its answer ends at its own hook', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [steps(tcp(`${A}:40000`, `${WEB1}:8080`, 'S'), tcp(`${WEB1}:8080`, `${A}:40000`, 'SA'))],
      { at: 'pod:x/web-1' },
    );
    assert.deepEqual(briefs(packets), ['FORWARDED to-container NEW', 'FORWARDED from-container REPLY']);
    assert.deepEqual(
      packets.map((p) => p.path),
      [['to-container'], ['from-container']],
    );
  });
  it('a pod sends: the destination’s ingress on another node is asked, and the first drop wins', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [steps(tcp(`${D}:40000`, `${WEB1}:8080`, 'S'), tcp(`${C}:40000`, `${WEB1}:8080`, 'S'))],
      { at: 'any' },
    );
    assert.deepEqual(briefs(packets), ['DROPPED to-container 133 NEW', 'DROPPED from-container 133 NEW']);
    assert.deepEqual(
      packets.map((p) => p.path),
      [['from-container', 'to-container'], ['from-container']],
    );
  });
  it('node: a local pod’s packet to a backend skips service lookup, what arrives enters by xdp', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [steps(tcp(`${A}:40000`, `${WEB1}:8080`, 'S'), tcp(`${WEB1}:8080`, `${A}:40000`, 'SA'))],
      { at: 'node:n1' },
    );
    assert.deepEqual(briefs(packets), ['FORWARDED from-container NEW', 'FORWARDED xdp REPLY']);
    assert.deepEqual(packets[1]!.path, ['xdp', 'from-netdev', 'to-container']);
  });
  it('node: a masqueraded source without a mapping is unknown, an unmasqueraded one is the host', async () => {
    const capture = [steps(tcp('192.168.0.1:40000', `${OUT}:443`, 'S'), tcp('192.168.0.1:40000', `${WEB1}:8080`, 'S'))];
    const on = await replayed(makeWorld(), capture, { at: 'node:n1', masquerade: { ipv4: true, ipv6: true } });
    assert.equal(brief(on.packets[0]!), 'UNKNOWN masqueraded source without a mapping');
    assert.equal(on.packets[1]!.path![0], 'from-host');
    const off = await replayed(makeWorld(), capture, { at: 'node:n1' });
    assert.equal(off.packets[0]!.verdict, 'FORWARDED');
    assert.equal(off.packets[0]!.hook, 'from-host');
  });
  it('neither end of the cluster: unknown', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [
        steps(
          tcp(`${OUT}:40000`, '198.51.100.1:443', 'S'),
          tcp('198.51.100.1:443', `${OUT}:40000`, 'SA'),
          tcp(`${OUT}:1`, '198.51.100.1:2', 'A'),
        ),
      ],
      { at: 'any' },
    );
    for (const one of packets) assert.equal(brief(one), 'UNKNOWN no endpoint of the cluster at either end');
  });
});

describe('rule 6: connections that began before the capture', () => {
  it('a SYN-ACK gives the direction reversed', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [steps(tcp(`${WEB1}:8080`, `${A}:40000`, 'SA'), tcp(`${A}:40000`, `${WEB1}:8080`, 'A'))],
      { at: 'any' },
    );
    assert.deepEqual(briefs(packets), ['FORWARDED from-container REPLY', 'FORWARDED from-container ESTABLISHED']);
    const service = await replayed(makeWorld(), [steps(tcp(`${VIP}:80`, `${A}:40000`, 'SA'))], { at: 'pod:x/a' });
    assert.deepEqual(briefs(service.packets), ['OBSERVED']);
    const dropped = await replayed(makeWorld(), [steps(tcp(`${WEB1}:8080`, `${C}:40000`, 'SA'))], { at: 'pod:x/c' });
    assert.deepEqual(
      dropped.packets.map((p) => [brief(p), p.counterfactual]),
      [['DROPPED from-container 133', true]],
    );
  });
  it('a port declared at one end only: the server is there', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [steps(tcp(`${WEB1}:8080`, `${A}:40000`, 'A'), tcp(`${A}:40000`, `${WEB1}:8080`, 'A'))],
      { at: 'any' },
    );
    assert.deepEqual(briefs(packets), ['FORWARDED from-container REPLY', 'FORWARDED from-container ESTABLISHED']);
  });
  it('equal verdicts both ways: that verdict', async () => {
    // d and a stranger outside: neither direction is restricted.
    const { packets } = await replayed(
      makeWorld(),
      [steps(tcp(`${D}:40000`, `${OUT}:50000`, 'A'), tcp(`${OUT}:50000`, `${D}:40000`, 'A'))],
      { at: 'pod:x/d' },
    );
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'FORWARDED'],
    );
    // c may neither send nor be reached.
    const both = await replayed(makeWorld(), [steps(tcp(`${C}:40000`, `${OUT}:50000`, 'A'))], { at: 'pod:x/c' });
    assert.deepEqual(briefs(both.packets), ['DROPPED from-container 133 NEW']);
  });
  it('else unknown, until a SYN', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [
        steps(
          tcp(`${A}:40000`, `${OUT}:50000`, 'A'),
          tcp(`${OUT}:50000`, `${A}:40000`, 'A'),
          tcp(`${A}:40000`, `${OUT}:50000`, 'S'),
        ),
      ],
      { at: 'pod:x/a' },
    );
    assert.deepEqual(briefs(packets), [
      'UNKNOWN began before the capture',
      'UNKNOWN began before the capture',
      'FORWARDED from-container NEW',
    ]);
  });
  it('the questions change no map', async () => {
    const world = makeWorld();
    await replayed(world, [steps(tcp(`${A}:40000`, `${OUT}:50000`, 'A'))], { at: 'pod:x/a' });
    for (const name of ['ctTcp4', 'ctTcpNew4'] as const) assert.equal(world.sim.maps[name].size, 0, MAPS[name].name);
  });
  it('UDP: the port rule, else the first sender', async () => {
    const { packets } = await replayed(
      makeWorld(),
      [
        steps(
          udp(`${DNS}:53`, `${A}:40000`),
          udp(`${A}:40000`, `${DNS}:53`),
          udp(`${A}:40001`, `${OUT}:9`),
          udp(`${OUT}:9`, `${A}:40001`),
          udp(`${OUT}:9`, `${A}:40002`),
        ),
      ],
      { at: 'pod:x/a' },
    );
    assert.deepEqual(briefs(packets), [
      'OBSERVED',
      'FORWARDED from-container ESTABLISHED',
      'FORWARDED from-container NEW',
      'FORWARDED to-container REPLY',
      'DROPPED to-container 133 NEW',
    ]);
  });
  it('an echo reply answers an echo request', async () => {
    const icmp = (source: string, destination: string, type: number): Uint8Array =>
      frame({ protocol: 'icmp', source, destination, type, id: 7 });
    const { packets } = await replayed(makeWorld(), [steps(icmp(OUT, A, 0), icmp(A, OUT, 8), icmp(OUT, A, 8))], {
      at: 'pod:x/a',
    });
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'FORWARDED', 'FORWARDED'],
    );
    const fresh = await replayed(makeWorld(), [steps(icmp(OUT, A, 8))], { at: 'pod:x/a' });
    assert.deepEqual(briefs(fresh.packets), ['DROPPED to-container 133 NEW']);
  });
});

const POLICY_FREE = `apiVersion: v1
kind: Namespace
metadata: { name: unused }
`;
