// Vantage inference, rule by rule: packets in, the place and its evidence out. Expected values follow replay.md,
// "The vantage point", and were told by hand from the addresses in CLUSTER.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Directory, parseVantage, VantageObserver } from '../../../src/replay/index.ts';
import { Headers, parseFrame } from '../../../src/wire/index.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { makeWorld, replayed } from '../../support/replay-world.ts';

const world = makeWorld();
const maps = new Map(Object.values(world.sim.maps).map((map) => [map.spec.name, map]));
const directory = new Directory(world.state, maps);

type Brief = readonly [source: string, destination: string, more?: Partial<PacketSpec>];

function infer(briefs: readonly Brief[], linkType = 1): ReturnType<VantageObserver['infer']> {
  const observer = new VantageObserver(directory, linkType);
  const h = new Headers();
  for (const [source, destination, more] of briefs) {
    const bytes = frame({
      protocol: 'tcp',
      source,
      destination,
      sourcePort: 40000,
      destinationPort: 80,
      flags: 'A',
      ...more,
    });
    parseFrame(h, 1, bytes, 0, bytes.length, bytes.length);
    observer.observe(h);
  }
  return observer.infer();
}

const A = '10.0.1.1';
const WEB1 = '10.0.2.1';
const VIP = '10.96.0.1';
const OUT = '203.0.113.7';
const many = (n: number, brief: Brief): Brief[] => Array.from({ length: n }, () => brief);

describe('vantage inference', () => {
  const table: { name: string; packets: Brief[]; link?: number; at: string; evidence?: RegExp; warning?: RegExp }[] = [
    { name: 'rule 1: cooked v1', packets: many(3, [A, VIP]), link: 113, at: 'any', evidence: /cooked/ },
    { name: 'rule 1: cooked v2', packets: many(3, [A, VIP]), link: 276, at: 'any', evidence: /v2/ },
    {
      name: 'rule 2: one pod at every packet',
      packets: [
        [A, VIP],
        [VIP, A],
        [OUT, A],
      ],
      at: 'pod:x/a',
      evidence: /3 of 3/,
    },
    {
      name: 'rule 2: at 99 of 100',
      packets: [...many(99, [A, OUT]), ['10.0.1.3', OUT]],
      at: 'pod:x/a',
      evidence: /99 of 100/,
    },
    {
      name: 'rule 2: not at 98 of 100; both pods are on one node',
      packets: [...many(98, [A, OUT]), ...many(2, ['10.0.1.3', OUT])],
      at: 'node:n1',
    },
    {
      name: 'rule 2: both families of a pod count together',
      packets: [
        [A, OUT],
        ['fd00:1::1', '2001:db8::1'],
      ],
      at: 'pod:x/a',
    },
    {
      name: 'rule 2: tie, one talks to a service',
      packets: [...many(100, [A, WEB1]), [A, VIP]],
      at: 'pod:x/a',
      evidence: /service address/,
    },
    {
      name: 'rule 2: tie, the TTL of one is initial',
      packets: [
        [A, WEB1, { ttl: 63 }],
        [WEB1, A, { ttl: 64 }],
        [A, WEB1, { ttl: 63 }],
      ],
      at: 'pod:x/web-1',
      evidence: /initial TTL/,
    },
    {
      name: 'rule 2: tie, the TCP initiator, with a warning',
      packets: [
        [WEB1, A, { flags: 'SA' }],
        [A, WEB1, { flags: 'S' }],
        [A, WEB1],
      ],
      at: 'pod:x/a',
      warning: /opens the TCP connections/,
    },
    {
      name: 'rule 2: tie without a SYN: who sent first',
      packets: [
        [WEB1, A],
        [A, WEB1],
      ],
      at: 'pod:x/web-1',
      warning: /sent first/,
    },
    {
      name: 'rule 3: the node’s addresses and pod networks',
      packets: [
        [A, OUT],
        ['10.0.1.3', OUT],
        [OUT, '192.168.0.1'],
      ],
      at: 'node:n1',
      evidence: /3 of 3/,
    },
    {
      name: 'rule 3: an address of the pod network that no pod has',
      packets: [
        ['10.0.1.77', OUT],
        ['10.0.1.3', OUT],
      ],
      at: 'node:n1',
    },
    {
      name: 'rule 4: service addresses, no pods',
      packets: [
        [OUT, VIP],
        [VIP, OUT],
        ['203.0.113.9', VIP],
      ],
      at: 'edge',
      evidence: /3 of 3/,
    },
    {
      name: 'rule 5: pods of both nodes and a service',
      packets: [
        [A, OUT],
        ['10.0.2.4', OUT],
        [OUT, VIP],
      ],
      at: 'any',
    },
    { name: 'rule 5: strangers', packets: [[OUT, '198.51.100.1']], at: 'any' },
    { name: 'no IP packets', packets: [], at: 'any', evidence: /no IP packets/ },
  ];
  for (const { name, packets, link, at, evidence, warning } of table) {
    it(name, () => {
      const found = infer(packets, link);
      assert.equal(found.text, at);
      if (evidence !== undefined) assert.match(found.evidence, evidence);
      if (warning === undefined) assert.equal(found.warning, undefined);
      else assert.match(found.warning ?? '', warning);
    });
  }

  it('is any without manifests', async () => {
    const { result } = await replayed(undefined, [
      [{ frame: frame({ protocol: 'tcp', source: A, destination: VIP }) }],
    ]);
    assert.equal(result.vantages[0]!.vantage.text, 'any');
    assert.equal(result.vantages[0]!.vantage.evidence, 'no manifests');
  });

  it('is inferred for each interface of a capture apart, also for one that begins late', async () => {
    const of = (source: string, destination: string): Uint8Array =>
      frame({ protocol: 'udp', source, destination, sourcePort: 40000, destinationPort: 9 });
    const early = Array.from({ length: 10_050 }, () => ({ frame: of(A, OUT), on: 'one', ms: 0 }));
    const { result, packets } = await replayed(world, [
      [...early, { frame: of('10.0.2.4', OUT), on: 'two', ms: 1 }, { frame: of(OUT, '10.0.2.4'), on: 'two', ms: 2 }],
    ]);
    assert.deepEqual(
      result.vantages.map((v) => [v.interface, v.vantage.text]),
      [
        ['one', 'pod:x/a'],
        ['two', 'pod:x/d'],
      ],
    );
    assert.match(result.vantages[0]!.vantage.evidence, /of 10000 packets/);
    assert.equal(packets.length, 10_052);
    assert.equal(packets.at(-1)!.at, 'pod:x/d');
  });
});

describe('--at', () => {
  it('names a place', () => {
    assert.equal(parseVantage('auto', directory), undefined);
    for (const text of ['edge', 'any', 'pod:x/a', 'node:n2']) {
      const vantage = parseVantage(text, directory);
      assert.ok(vantage !== undefined && 'text' in vantage && vantage.text === text);
    }
  });
  it('refuses what is not there, in one line', () => {
    for (const text of ['pod:x/nobody', 'node:n9', 'pod:a', 'somewhere', 'pod:', '']) {
      const answer = parseVantage(text, directory);
      assert.ok(answer !== undefined && 'error' in answer, text);
      assert.doesNotMatch(answer.error, /\n/);
    }
  });
});
