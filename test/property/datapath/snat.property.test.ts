// Source NAT over random histories: clients, pods and the node itself open connections and are answered, while halves of
// translations disappear and maps are too small. Oracle: who opened what, kept in the test alone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ENDPOINT_FLAG, FEATURE, IDENTITY, RECORD_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { frame, type PacketSpec, plainAddress } from '../../support/packets.ts';

interface Names {
  readonly node: string;
  readonly pods: readonly string[];
  readonly clients: readonly string[];
  readonly front: string;
  readonly backends: readonly string[];
}
const FOUR: Names = {
  node: '10.0.10.1',
  pods: ['10.0.1.1', '10.0.1.128'],
  clients: ['110.0.11.1', '203.0.113.200'],
  front: '172.16.10.2',
  backends: ['192.168.0.2', '192.168.0.200'],
};
const SIX: Names = {
  node: 'fd00:a:0:0:0:0:0:1',
  pods: ['fd00:b:0:0:0:0:0:1', 'fd00:b:0:0:0:0:0:80'],
  clients: ['2001:db8:0:0:0:0:0:1', '2001:db8:0:0:0:0:0:ff'],
  front: 'fd00:10:0:0:0:0:0:2',
  backends: ['fd00:c:0:0:0:0:0:2', 'fd00:c:0:0:0:0:0:c8'],
};
const PORTS = [1024, 32768, 32769];
const PROTOCOLS = ['tcp', 'udp'] as const;

type Step =
  | { readonly kind: 'pod' | 'client' | 'node'; readonly who: number; readonly to: number; readonly port: number }
  | { readonly kind: 'answer'; readonly which: number }
  | { readonly kind: 'lose'; readonly which: number }
  | { readonly kind: 'wait'; readonly seconds: number };

const index = fc.nat({ max: 1000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('pod', 'client', 'node'), who: index, to: index, port: index }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('answer' as const), which: index }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('lose' as const), which: index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(1, 30, 100) }) },
);
const history = fc.record({
  steps: fc.array(step, { minLength: 5, maxLength: 60 }),
  protocol: fc.constantFrom(...PROTOCOLS),
  /** Ports of source NAT, and entries of its map. */
  last: fc.constantFrom(32769, 32769, 32775, 65535),
  entries: fc.constantFrom(8, 64, 1024),
});

/** A half is lost and somebody else takes its port: what a translation without the check of both halves gets wrong. */
const LOST_HALVES: [{ steps: Step[]; protocol: 'tcp' | 'udp'; last: number; entries: number }][] = [
  [
    {
      steps: [
        { kind: 'pod', who: 0, to: 51, port: 82 },
        { kind: 'lose', which: 0 },
        { kind: 'pod', who: 0, to: 31, port: 0 },
        { kind: 'pod', who: 0, to: 0, port: 0 },
        { kind: 'pod', who: 0, to: 9, port: 4 },
        { kind: 'answer', which: 0 },
      ],
      protocol: 'tcp',
      last: 32769,
      entries: 8,
    },
  ],
  [
    {
      steps: [
        { kind: 'node', who: 0, to: 0, port: 71 },
        { kind: 'lose', which: 0 },
        { kind: 'pod', who: 0, to: 0, port: 203 },
        { kind: 'node', who: 0, to: 0, port: 152 },
        { kind: 'lose', which: 250 },
        { kind: 'answer', which: 0 },
        { kind: 'pod', who: 0, to: 0, port: 0 },
        { kind: 'pod', who: 0, to: 0, port: 0 },
      ],
      protocol: 'tcp',
      last: 32769,
      entries: 8,
    },
  ],
];

/** What a sender sees itself as sending, and what left the node for it. */
interface Opened {
  readonly spec: PacketSpec;
  readonly out: Result;
}

const of = <T>(list: readonly T[], n: number): T => list[n % list.length]!;
const ends = (r: Pick<Result, 'source' | 'destination' | 'sourcePort' | 'destinationPort'>): string =>
  `${r.source} ${r.sourcePort} ${r.destination} ${r.destinationPort}`;

function run(
  names: Names,
  h: { steps: readonly Step[]; protocol: 'tcp' | 'udp'; last: number; entries: number },
): void {
  const specs = { nat4: { maxEntries: h.entries }, nat6: { maxEntries: h.entries } };
  const w = new World({ specs }, { natPortFirst: 32768, natPortLast: h.last });
  w.enable(FEATURE.NODE_PORT, FEATURE.MASQUERADE_V4, FEATURE.MASQUERADE_V6).node(1, names.node);
  w.endpoint(names.node, { identity: IDENTITY.HOST, flags: ENDPOINT_FLAG.HOST });
  for (const pod of names.pods) w.endpoint(pod);
  names.backends.forEach((address, i) => w.backend(i + 1, address, 8080));
  w.service(names.front, 80, { backends: [1, 2], protocol: h.protocol });
  const map = names === FOUR ? w.map('nat4') : w.map('nat6');
  /** The last packet of each connection, by its opener’s view; and who had a tuple outside last. */
  const opened: Opened[] = [];
  const holders = new Map<string, string>();

  const open = (kind: 'pod' | 'client' | 'node', who: number, to: number, port: number): void => {
    const pod = kind === 'pod';
    const spec: PacketSpec = {
      protocol: h.protocol,
      source: kind === 'node' ? names.node : of(pod ? names.pods : names.clients, who),
      destination: kind === 'client' ? names.front : of(names.clients, to),
      sourcePort: of(PORTS, port),
      destinationPort: 80,
    };
    const out = w.run(kind === 'client' ? 'FROM_NETDEV' : 'TO_NETDEV', spec);
    if (out.verdict === VERDICT.DROPPED) {
      assert.equal(out.record.dropReason, 167);
      return;
    }
    assert.ok(out.checksumsRight, 'checksums');
    assert.equal(out.source, plainAddress(names.node));
    if ((out.record.flags & RECORD_FLAG.SNAT) !== 0) assert.ok(out.sourcePort >= 32768 && out.sourcePort <= h.last);
    // As long as nothing was lost, nobody gets what another connection leaves by.
    holders.set(ends(out), ends(spec as Result));
    opened.push({ spec, out });
  };

  for (const s of h.steps) {
    if (s.kind === 'wait') w.now += s.seconds;
    else if (s.kind === 'lose') {
      const keys = [...map].map(([key]) => key);
      if (keys.length > 0) map.delete(of(keys, s.which) as never);
    } else if (s.kind === 'answer') {
      if (opened.length === 0) continue;
      const { spec, out } = of(opened, s.which);
      const back = w.run('FROM_NETDEV', {
        protocol: h.protocol,
        source: out.destination,
        destination: out.source,
        sourcePort: out.destinationPort,
        destinationPort: out.sourcePort,
        flags: 'A',
      });
      assert.ok(back.checksumsRight, 'checksums of the answer');
      // The node's own low ports are translated by nobody.
      if (back.destination === plainAddress(names.node)) continue;
      const answered = `${back.destination} ${back.destinationPort} ${back.source} ${back.sourcePort}`;
      assert.equal(answered, holders.get(ends(out)), `answer of ${ends(spec as Result)}`);
    } else open(s.kind, s.who, s.to, s.port);
    checkHalves();
  }

  /** No two originals by one tuple outside: each half that leads back is the image of one that leads out, or nobody's. */
  function checkHalves(): void {
    const backs = new Map<string, string>();
    const text = (value: unknown): string => String(value);
    for (const [key, value] of map) {
      const k = key as unknown as Record<string, unknown>;
      const v = value as unknown as Record<string, unknown>;
      if (k.flags !== 1) continue;
      backs.set(
        [k.destination, k.destinationPort, k.source, k.sourcePort].map(text).join(),
        [v.address, v.port].map(text).join(),
      );
    }
    const used = new Map<string, string>();
    for (const [key, value] of map) {
      const k = key as unknown as Record<string, unknown>;
      const v = value as unknown as Record<string, unknown>;
      if (k.flags !== 0) continue;
      const outer = [v.address, v.port, k.destination, k.destinationPort].map(text).join();
      const original = [k.source, k.sourcePort].map(text).join();
      // A half that leads out counts while the other agrees.
      if (backs.get(outer) !== original) continue;
      assert.equal(used.get(outer), undefined, 'one tuple, two originals');
      used.set(outer, original);
    }
  }
}

describe('source NAT over random histories', () => {
  for (const [name, names] of [
    ['IPv4', FOUR],
    ['IPv6', SIX],
  ] as const) {
    test(`${name}: answers reach who asked last by that tuple, checksums stay right, no tuple serves two`, () => {
      fc.assert(
        fc.property(history, (h) => {
          run(names, h);
        }),
        { numRuns: 250, examples: LOST_HALVES },
      );
    });
  }
  test('partial checksums and UDP without one survive the way out and back', () => {
    fc.assert(
      fc.property(fc.constantFrom(...PORTS), fc.constantFrom('tcp', 'udp'), fc.boolean(), (port, protocol, none) => {
        const w = new World();
        w.enable(FEATURE.MASQUERADE_V4).node(1, FOUR.node).endpoint(FOUR.pods[0]!);
        const spec: PacketSpec = {
          protocol,
          source: FOUR.pods[0]!,
          destination: FOUR.clients[0]!,
          sourcePort: port,
          destinationPort: 80,
          noChecksum: none && protocol === 'udp',
        };
        const plain = w.run('TO_NETDEV', spec);
        // A partial checksum holds the pseudo-header's sum: what the device adds later gives the whole one's.
        const bytes = frame(spec);
        const at = protocol === 'tcp' ? 50 : 40;
        const pseudo = partialOf(bytes, at);
        const partial = w.runBytes('TO_NETDEV', pseudo, { flags: 1, gsoSize: 1400 });
        if (none && protocol === 'udp') {
          assert.equal(plain.l4Checksum, 0);
          return;
        }
        const wanted = partialOf(plain.bytes, at);
        assert.deepEqual([...partial.bytes.slice(at, at + 2)], [...wanted.slice(at, at + 2)]);
      }),
      { numRuns: 60 },
    );
  });
});

/** The frame with the folded sum of its IPv4 pseudo-header in the checksum field. */
function partialOf(bytes: Uint8Array, at: number): Uint8Array {
  const out = bytes.slice();
  const l4 = out.length - 34;
  let sum = out[23]! + l4;
  for (let i = 26; i < 34; i += 2) sum += (out[i]! << 8) | out[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  out[at] = sum >>> 8;
  out[at + 1] = sum & 0xff;
  return out;
}
