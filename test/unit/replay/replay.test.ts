// What is not a policy question, and the replay itself: damage, clock, several captures, bounds, fragments, ICMP errors.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CaptureReader, memorySource } from '../../../src/capture/index.ts';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { replay } from '../../../src/replay/index.ts';
import { addressBytes, frame, type PacketSpec } from '../../support/packets.ts';
import { captureOf, makeWorld, replayed, type Step } from '../../support/replay-world.ts';

const A = '10.0.1.1';
const C = '10.0.1.3';
const D = '10.0.2.4';
const WEB1 = '10.0.2.1';
const VIP = '10.96.0.1';
const DNS = '10.96.0.53';
const OUT = '203.0.113.7';
const EMPTY = new Uint8Array(0);

const packet = (
  protocol: PacketSpec['protocol'],
  source: string,
  destination: string,
  more: Partial<PacketSpec> = {},
): Uint8Array =>
  frame({ protocol, source, destination, sourcePort: 40000, destinationPort: 9, payload: EMPTY, ...more });
const steps = (...frames: Uint8Array[]): Step[] => frames.map((one) => ({ frame: one }));
const brief = ({ verdict, drop, unknown, protocol }: PacketRecord): string =>
  [verdict, drop?.code, unknown, protocol].filter((x) => x !== undefined).join(' ');
/** An Ethernet frame that is no IP: destination, source, type, 46 bytes. */
const other = (etherType: number, from = 1, to = 2): Uint8Array =>
  Uint8Array.from([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, etherType >> 8, etherType & 0xff, ...new Uint8Array(46)]);

describe('without manifests', () => {
  it('IP is unknown, malformed headers drop with their number, the rest goes to the stack', async () => {
    const short = packet('tcp', A, D, { flags: 'S' });
    short[14 + 3] = 30; // total length leaves no room for a TCP header
    const version = packet('udp', A, D);
    version[14] = 0x75;
    const { packets } = await replayed(undefined, [
      steps(
        packet('tcp', A, D),
        packet('udp', 'fd00:1::1', 'fd00:2::1'),
        packet(47, A, D),
        short,
        version,
        other(0x0806),
        other(0x88cc),
        other(0x0026),
      ),
    ]);
    assert.deepEqual(packets.map(brief), [
      'UNKNOWN no manifests TCP',
      'UNKNOWN no manifests UDP',
      'UNKNOWN no manifests GRE',
      'DROPPED 135 TCP',
      'DROPPED 134 IPv4',
      'FORWARDED ARP',
      'FORWARDED LLDP',
      'FORWARDED LLC',
    ]);
    for (const one of packets) assert.equal(one.at, 'any');
  });
});

describe('not a policy question', () => {
  it('no IP: forwarded to the stack at a node, judged by Cilium’s rules at a pod', async () => {
    const frames = steps(packet('udp', A, OUT), other(0x0806), other(0x88cc), other(0x0026));
    const node = await replayed(makeWorld(), [frames], { at: 'node:n1' });
    assert.deepEqual(node.packets.slice(1).map(brief), ['FORWARDED ARP', 'FORWARDED LLDP', 'FORWARDED LLC']);
    const pod = await replayed(makeWorld(), [frames], { at: 'pod:x/a' });
    assert.deepEqual(pod.packets.slice(1).map(brief), ['FORWARDED ARP', 'DROPPED 139 LLDP', 'DROPPED 166 LLC']);
    // The pod's station is learnt from its own packet.
    assert.equal(pod.packets[1]!.hook, 'from-container');
    const towards = await replayed(makeWorld(), [steps(packet('udp', A, OUT), other(0x88cc, 2, 1))], { at: 'pod:x/a' });
    assert.equal(towards.packets[1]!.hook, 'to-container');
  });
  it('a header cut by the snap length is unknown, never 134 or 135', async () => {
    const whole = packet('tcp', A, WEB1, { flags: 'S', destinationPort: 8080 });
    for (const length of [0, 10, 14, 20, 33, 34, 40, 53]) {
      const { packets } = await replayed(makeWorld(), [[{ frame: whole.subarray(0, length), wire: whole.length }]], {
        at: 'any',
      });
      assert.equal(packets[0]!.verdict, 'UNKNOWN', `${length}`);
      assert.equal(packets[0]!.unknown, 'truncated capture');
    }
  });
  it('an unsupported link type is unknown and named by its number', async () => {
    const { packets } = await replayed(makeWorld(), [[{ frame: Uint8Array.from([1, 2, 3]), link: 105 }]]);
    assert.equal(brief(packets[0]!), 'UNKNOWN unsupported link type 105 link type 105');
  });
  it('a bad checksum changes nothing', async () => {
    const good = packet('tcp', A, WEB1, { flags: 'S', destinationPort: 8080 });
    const bad = good.slice();
    bad[24] = bad[24]! ^ 0xff;
    bad[50] = bad[50]! ^ 0xff;
    for (const one of [good, bad]) {
      const { packets } = await replayed(makeWorld(), [steps(one)], { at: 'pod:x/a' });
      assert.equal(brief(packets[0]!), 'FORWARDED TCP');
    }
  });
});

describe('fragments', () => {
  const first = (source: string, destination: string, ports: readonly [number, number], id: number): Uint8Array =>
    packet('udp', source, destination, {
      sourcePort: ports[0],
      destinationPort: ports[1],
      payload: new Uint8Array(64),
      fragment: { id, offset: 0, more: true },
    });
  const later = (source: string, destination: string, id: number): Uint8Array =>
    packet('udp', source, destination, { payload: new Uint8Array(40), fragment: { id, offset: 72, more: false } });
  it('later ones share the fate of the first: input, output, answer of a dropped connection', async () => {
    const world = makeWorld({ sets: ['fragmentTracking=true'] });
    const { packets, result } = await replayed(
      world,
      [
        steps(
          first(A, DNS, [40000, 53], 1),
          later(A, DNS, 1),
          first(DNS, A, [53, 40000], 2),
          later(DNS, A, 2),
          first(C, D, [1, 2], 3),
          first(D, C, [2, 1], 4),
          later(D, C, 4),
        ),
      ],
      { at: 'any' },
    );
    assert.deepEqual(
      packets.map((p) => [p.verdict, p.counterfactual ?? false]),
      [
        ['FORWARDED', false],
        ['FORWARDED', false],
        ['OBSERVED', false],
        ['OBSERVED', false],
        ['DROPPED', false],
        ['DROPPED', true],
        ['DROPPED', true],
      ],
    );
    assert.equal(result.flows, 2);
  });
});

describe('ICMP errors', () => {
  /** Port unreachable from `source` to `destination` about the UDP packet `about` (an IP packet). */
  const unreachable = (source: string, destination: string, about: Uint8Array): Uint8Array =>
    packet('icmp', source, destination, { type: 3, code: 3, payload: about.subarray(14) });
  it('about an untranslated connection are judged as related', async () => {
    const sent = packet('udp', A, D);
    const { packets } = await replayed(makeWorld(), [steps(sent, unreachable(D, A, sent))], { at: 'pod:x/a' });
    assert.deepEqual(
      packets.map((p) => [p.verdict, p.ct]),
      [
        ['FORWARDED', 'NEW'],
        ['FORWARDED', 'RELATED'],
      ],
    );
  });
  it('at the server: end at its own hook, since the client’s never saw the opening', async () => {
    const sent = packet('udp', A, D);
    const { packets } = await replayed(makeWorld(), [steps(sent, unreachable(D, A, sent))], { at: 'pod:x/d' });
    assert.deepEqual(
      packets.map((p) => p.verdict),
      ['FORWARDED', 'FORWARDED'],
    );
    assert.deepEqual(packets[1]!.path, ['from-container']);
  });
  it('about a dropped connection would not exist', async () => {
    const sent = packet('udp', C, D);
    const { packets } = await replayed(makeWorld(), [steps(sent, unreachable(D, C, sent))], { at: 'pod:x/c' });
    assert.deepEqual(
      packets.map((p) => [p.verdict, p.counterfactual ?? false]),
      [
        ['DROPPED', false],
        ['DROPPED', true],
      ],
    );
  });
});

describe('the replay', () => {
  it('runs captures in the order given, or merged by time, and numbers packets in their own capture', async () => {
    const one = [
      { frame: packet('udp', A, OUT), ms: 0 },
      { frame: packet('udp', A, OUT), ms: 20 },
    ];
    const two = [{ frame: packet('udp', A, OUT), ms: 10 }];
    const inOrder = await replayed(makeWorld(), [one, two], { at: 'pod:x/a' });
    assert.deepEqual(
      inOrder.packets.map((p) => [p.capture, p.number]),
      [
        ['a.pcapng', 1],
        ['a.pcapng', 2],
        ['b.pcapng', 1],
      ],
    );
    assert.equal(inOrder.result.clamped, 1);
    const merged = await replayed(makeWorld(), [one, two], { at: 'pod:x/a', merge: true });
    assert.deepEqual(
      merged.packets.map((p) => [p.capture, p.number]),
      [
        ['a.pcapng', 1],
        ['b.pcapng', 1],
        ['a.pcapng', 2],
      ],
    );
    assert.equal(merged.result.clamped, 0);
  });
  it('prints each packet’s own time, though its clock never runs backwards', async () => {
    const { packets, result } = await replayed(
      makeWorld(),
      [
        [
          { frame: packet('udp', A, OUT), ms: 5000 },
          { frame: packet('udp', A, OUT), ms: 1 },
        ],
      ],
      { at: 'pod:x/a' },
    );
    assert.equal(result.clamped, 1);
    assert.ok(packets[1]!.time.seconds < packets[0]!.time.seconds);
  });
  it('reports all whole packets before damage, then one error with its offset', async () => {
    const bytes = captureOf(steps(packet('udp', A, OUT), packet('udp', A, OUT)));
    const world = makeWorld();
    const numbers: number[] = [];
    const source = new CaptureReader(memorySource([bytes.subarray(0, bytes.length - 9)]));
    const result = await replay(
      { captures: [{ path: 'cut.pcapng', source }], dataplane: world.sim, state: world.state },
      { packet: ({ facts }) => void numbers.push(facts.number) },
    );
    assert.deepEqual(numbers, [1]);
    assert.equal(result.errors.length, 1);
    assert.equal(result.errors[0]!.path, 'cut.pcapng');
    assert.ok(result.errors[0]!.offset > 0);
  });
  it('rejects a place that is not there', async () => {
    const world = makeWorld();
    const source = new CaptureReader(memorySource([captureOf(steps(packet('udp', A, OUT)))]));
    await assert.rejects(
      replay({ captures: [{ path: 'a', source }], dataplane: world.sim, state: world.state, at: 'pod:x/nobody' }),
      RangeError,
    );
  });
  it('holds no more connections than told, counts what it forgot, and tells of each once', async () => {
    const many = Array.from({ length: 500 }, (_, i) => ({
      frame: packet('udp', A, OUT, { sourcePort: 1000 + i }),
      ms: i,
    }));
    const { connections, result } = await replayed(makeWorld(), [many], { at: 'pod:x/a', maxConnections: 50 });
    assert.equal(result.flows, 500);
    assert.equal(result.forgotten, 450);
    assert.equal(connections.length, 500);
    assert.equal(new Set(connections.map((c) => c.flow)).size, 500);
    assert.deepEqual(connections.map((c) => c.source.port).sort(), many.map((_, i) => 1000 + i).sort());
  });
  it('a connection’s record counts both ways and keeps its heaviest verdict', async () => {
    const tcp = (source: string, destination: string, ports: readonly [number, number], flags: string): Uint8Array =>
      packet('tcp', source, destination, { sourcePort: ports[0], destinationPort: ports[1], flags });
    const { connections } = await replayed(
      makeWorld(),
      [
        steps(
          tcp(A, VIP, [1, 80], 'S'),
          tcp(VIP, A, [80, 1], 'SA'),
          tcp(A, VIP, [1, 80], 'A'),
          tcp(C, D, [2, 3], 'S'),
          tcp(D, C, [3, 2], 'RA'),
        ),
      ],
      { at: 'any' },
    );
    const [web, denied] = connections;
    assert.deepEqual(
      [web!.verdict, web!.packets, web!.verdicts],
      ['FORWARDED', { forward: 2, reply: 1 }, { FORWARDED: 2, OBSERVED: 1 }],
    );
    assert.equal(web!.service!.name, 'web');
    assert.deepEqual(web!.bytes, { forward: 108, reply: 54 });
    assert.deepEqual([denied!.verdict, denied!.drop?.code, denied!.verdicts], ['DROPPED', 133, { DROPPED: 2 }]);
    assert.deepEqual(
      denied!.by.map((rule) => rule.name),
      ['mute'],
    );
  });
  it('a new SYN behind a closed connection is another connection', async () => {
    const tcp = (flags: string): Uint8Array => packet('tcp', A, OUT, { flags });
    const back = (flags: string): Uint8Array => packet('tcp', OUT, A, { sourcePort: 9, destinationPort: 40000, flags });
    const { result } = await replayed(
      makeWorld(),
      [steps(tcp('S'), back('SA'), tcp('FA'), back('FA'), tcp('A'), tcp('S'), back('RA'), tcp('S'), tcp('S'))],
      { at: 'pod:x/a' },
    );
    assert.equal(result.flows, 3);
  });
  it('writes addresses as RFC 5952 does', async () => {
    const texts = ['2001:db8::1', '2001:db8:0:1:1:1:1:1', '::1', 'fe80::', '2001:0:0:1::1', '1:2:3:4:5:6:7:8'];
    const { packets } = await replayed(undefined, [steps(...texts.map((text) => packet('udp', text, 'fd00:2::1')))]);
    assert.deepEqual(
      packets.map((p) => p.source.ip),
      texts,
    );
    assert.equal(addressBytes('::1').length, 16);
  });
});
