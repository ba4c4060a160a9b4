// Counting only, a replay leaves out the hooks of packets that can change nothing. That must show in no counter and in no
// conntrack entry: the same capture with and without the shortcut, over conversations in which the interesting things (FINs,
// resets, new openings, expiry of seconds, TTLs, other interfaces, denied pods) happen often.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  CaptureReader,
  INDEX_WORDS,
  memorySource,
  PacketIndexer,
  PcapWriter,
  plainPcap,
} from '../../../src/capture/index.ts';
import { silenceEvents } from '../../../src/dataplane/index.ts';
import { replay } from '../../../src/replay/index.ts';
import { Settled } from '../../../src/replay/settled.ts';
import { CT_FLAG, CT_KEY, ctEntry, ctKey4 } from '../../../src/schema/index.ts';
import { frame } from '../../support/packets.ts';
import { captureOf, makeWorld, type Step } from '../../support/replay-world.ts';

const A = '10.0.1.1';
const C = '10.0.1.3';
const VIP = '10.96.0.1';
const BACKENDS = ['10.0.2.1', '10.0.2.2'];
/** IPv6 goes without a service: these two pods talk directly. */
const A6 = 'fd00:1::1';
const PEER6 = 'fd00:2::1';
/** Somebody outside, whom pods reach as their node where it masquerades. */
const OUT = '203.0.113.7';
const N1 = '192.168.0.1';

const one = fc.record({
  client: fc.constantFrom(A, A, A, C, N1),
  peer: fc.constantFrom(VIP, VIP, VIP, PEER6, PEER6, OUT, OUT, OUT, ...BACKENDS),
  port: fc.constantFrom(40000, 40001),
  forward: fc.boolean(),
  flags: fc.constantFrom('S', 'SA', 'A', 'A', 'A', 'PA', 'PA', 'A', 'FA', 'R'),
  ttl: fc.constantFrom(64, 64, 64, 64, 1),
  gap: fc.constantFrom(0, 0, 1, 1, 5, 400, 1100),
  on: fc.constantFrom('eth0', 'eth0', 'eth0', 'eth1'),
});
interface Drawn {
  readonly client: string;
  readonly peer: string;
  readonly port: number;
  readonly forward: boolean;
  readonly flags: string;
  readonly ttl: number;
  /** Milliseconds since the packet before. */
  readonly gap: number;
  readonly on: string;
}

/** A capture of an answered connection, and what was drawn behind it. */
function conversationOf(drawn: readonly Drawn[]): Step[] {
  const steps: Step[] = [];
  let ms = 0;
  const push = (
    source: string,
    sourcePort: number,
    destination: string,
    destinationPort: number,
    flags: string,
    ttl: number,
    on: string,
  ): void => {
    steps.push({
      frame: frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort, flags, ttl }),
      ms,
      on,
    });
  };
  // An answered connection to begin with, so that there is something to settle.
  for (const [client, peer, port] of [
    [A, VIP, 80],
    [A6, PEER6, 8080],
    [A, OUT, 8080],
  ] as const) {
    for (const flags of ['S', 'SA', 'A']) {
      if (flags === 'SA') push(peer, port, client, 40000, flags, 64, 'eth0');
      else push(client, 40000, peer, port, flags, 64, 'eth0');
    }
  }
  for (const { client: client4, peer, port, forward, flags, ttl, gap, on } of drawn) {
    const client = peer === PEER6 ? A6 : client4;
    ms += gap;
    const service = peer === VIP ? 80 : 8080;
    if (forward) push(client, port, peer, service, flags, ttl, on);
    else push(peer, service, client, port, flags, ttl, on);
  }
  return steps;
}
const conversation = fc.array(one, { minLength: 5, maxLength: 80 }).map(conversationOf);

/** Found by this property: captures on which the shortcut once differed. */
const FOUND: [Step[], string, boolean][] = [
  // An answer whose TTL had run out reached no hook of its pod, so it settled nothing.
  [
    conversationOf([
      { client: A, peer: VIP, port: 40001, forward: true, flags: 'A', ttl: 64, gap: 0, on: 'eth0' },
      { client: A, peer: VIP, port: 40001, forward: false, flags: 'PA', ttl: 1, gap: 0, on: 'eth0' },
      { client: A, peer: VIP, port: 40001, forward: false, flags: 'PA', ttl: 64, gap: 0, on: 'eth0' },
    ]),
    'pod:x/a',
    true,
  ],
  // An output in the next second, whose original was seen just before, refreshed nothing; the one behind it must.
  [
    conversationOf([
      { client: A, peer: '10.0.2.1', port: 40000, forward: false, flags: 'A', ttl: 64, gap: 998, on: 'eth0' },
      { client: A, peer: VIP, port: 40000, forward: false, flags: 'A', ttl: 64, gap: 5, on: 'eth0' },
      { client: A, peer: VIP, port: 40000, forward: false, flags: 'A', ttl: 64, gap: 400, on: 'eth0' },
    ]),
    'node:n1',
    true,
  ],
  // Found by planted faults: flags that matter must reach the hooks, whatever passed in the same second.
  ...['FA', 'R', 'S'].map((flags): [Step[], string, boolean] => [
    conversationOf(
      ['A', 'PA', flags, 'A'].flatMap((each) =>
        [true, false].map((forward) => ({
          client: A,
          peer: VIP,
          port: 40000,
          forward,
          flags: each,
          ttl: 64,
          gap: 0,
          on: 'eth0',
        })),
      ),
    ),
    'node:n1',
    false,
  ]),
];

const ENTRY = ctEntry.at;
/** From the end of a key, in both families. */
const KEY_FLAGS = ctKey4.bytes - ctKey4.at.flags;

/**
 * A conntrack entry as text. Without events the shortcut need not keep what only reports read: flags seen but SYN, FIN and RST,
 * and the times of the last report (which a service entry reads again, once it has been closed).
 */
function entryText(key: Uint8Array, value: Uint8Array, reporting: boolean): string {
  if (!reporting) {
    value[ENTRY.txFlags]! &= 7;
    value[ENTRY.rxFlags]! &= 7;
    const service = (key[key.length - KEY_FLAGS]! & CT_KEY.SERVICE) !== 0;
    const closed = (value[ENTRY.flags]! & (CT_FLAG.RX_CLOSING | CT_FLAG.TX_CLOSING)) !== 0;
    if (!service || !closed) value.fill(0, ENTRY.lastTxReport, ENTRY.lastTxReport + 8);
  }
  return `${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString('hex')}`;
}

/** The same packets as a pcap file, which has one interface. */
function pcapOf(steps: readonly Step[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapWriter({ write: (bytes) => parts.push(bytes.slice()) }, { linkType: 1, snapLength: 262_144 });
  for (const { frame: bytes, ms = 0 } of steps)
    writer.packet(bytes, 0, bytes.length, bytes.length, 1_700_000_000 + Math.floor(ms / 1000), (ms % 1000) * 1e6);
  writer.flush();
  return new Uint8Array(Buffer.concat(parts));
}

/** A reader of a pcap file that is indexed, as a large file is. */
function indexedReader(file: Uint8Array): CaptureReader {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const words = new Int32Array(1000 * INDEX_WORDS);
  const indexer = new PacketIndexer(plainPcap(file)!);
  const count = indexer.index(file, 0, file.length, 0, words, 0);
  const chunks = [{ bytes: file, view, start: 0, end: file.length, index: { words, count } }];
  return new CaptureReader({
    nextChunk: () => Promise.resolve(chunks.pop()),
    recycle: () => undefined,
    close: () => Promise.resolve(),
  });
}

async function counted(
  steps: readonly Step[],
  at: string,
  everyPacket: boolean,
  reporting: boolean,
  masquerading = false,
  form: 'pcapng' | 'pcap' | 'indexed' = 'pcapng',
): Promise<unknown> {
  const world = makeWorld(masquerading ? { sets: ['bpf.masquerade=true'] } : {});
  if (!reporting) silenceEvents(world.sim);
  const source =
    form === 'indexed'
      ? indexedReader(pcapOf(steps))
      : new CaptureReader(memorySource([form === 'pcap' ? pcapOf(steps) : captureOf(steps)]));
  const result = await replay({
    captures: [{ path: 'a', source }],
    dataplane: world.sim,
    state: world.state,
    at,
    seed: 1,
    everyPacket,
  });
  const { ctTcp4, ctTcpNew4, ctAny4, ctAnyNew4, ctTcp6, ctTcpNew6, nat4 } = world.sim.maps;
  return {
    verdicts: [...result.counts.verdicts],
    drops: [...result.counts.drops],
    unknown: [...result.counts.unknown],
    denied: result.counts.topDenied(10),
    flows: result.flows,
    adoptions: result.adoptions,
    ports: result.portAdoptions,
    translations: [...nat4.entries()].map((entry) => Buffer.concat(entry).toString('hex')).sort(),
    entries: [ctTcp4, ctTcpNew4, ctAny4, ctAnyNew4, ctTcp6, ctTcpNew6].map((map) =>
      [...map.entries()].map(([key, value]) => entryText(key, value, reporting)).sort(),
    ),
  };
}

describe('packets that change nothing', () => {
  it('are counted as if their hooks had run, and leave conntrack as it would be', async () => {
    let lasting = 0;
    await fc.assert(
      fc.asyncProperty(
        conversation,
        fc.constantFrom('pod:x/a', 'node:n1', 'any', 'edge'),
        fc.boolean(),
        fc.boolean(),
        async (steps, at, reporting, masquerading) => {
          const quick = await counted(steps, at, false, reporting, masquerading);
          assert.deepEqual(quick, await counted(steps, at, true, reporting, masquerading));
          const indexed = await counted(steps, at, false, reporting, masquerading, 'indexed');
          assert.deepEqual(indexed, await counted(steps, at, true, reporting, masquerading, 'pcap'));
          lasting += steps.length;
        },
      ),
      {
        numRuns: Number(process.env['WEIR_RUNS'] ?? 60),
        examples: FOUND.flatMap(([steps, at, reporting]) => [
          [steps, at, reporting, false],
          [steps, at, reporting, true],
        ]),
      },
    );
    assert.ok(lasting > 60);
  });

  /** An opening, and what the other side sends first: the flags, who sends them, the interface. */
  const greeting = (peer: string, interfaces: number, client = A, port = 40001): Step[] =>
    conversationOf(
      (['S', 'SA', 'A', 'PA', 'A'] as const).map((flags, i) => ({
        client,
        peer,
        port,
        forward: i === 0 || i === 2,
        flags,
        ttl: 64,
        gap: 0,
        on: ((interfaces >>> i) & 1) === 0 ? 'eth0' : 'eth1',
      })),
    );

  it('are told behind a handshake, too, at whatever interfaces it was', async () => {
    for (const peer of [VIP, OUT, PEER6, BACKENDS[0]!])
      for (const at of ['node:n1', 'edge'])
        for (let interfaces = 0; interfaces < 16; interfaces++) {
          const steps = greeting(peer, interfaces);
          const masquerading = (interfaces & 1) === 0;
          const quick = await counted(steps, at, false, false, masquerading);
          assert.deepEqual(quick, await counted(steps, at, true, false, masquerading), `${peer} ${at} ${interfaces}`);
        }
  });

  it('are told where whoever opens is a frontend, too: what answers it may open another connection', async () => {
    for (const [client, port] of [
      [VIP, 80],
      [N1, 30080],
      [OUT, 40001],
    ] as const)
      for (const peer of [A, BACKENDS[0]!])
        for (const at of ['node:n1', 'edge', 'pod:x/a']) {
          const steps = greeting(peer, 0, client, port);
          const quick = await counted(steps, at, false, false);
          assert.deepEqual(quick, await counted(steps, at, true, false), `${client} ${peer} ${at}`);
        }
  });

  it('are the other side’s first ones behind a handshake', async () => {
    let passed = 0;
    const { passRun } = Settled.prototype;
    Settled.prototype.passRun = function (run, ...args) {
      passRun.call(this, run, ...args);
      passed += run.forwarded + run.observed;
    };
    try {
      await counted(greeting(VIP, 0), 'node:n1', false, false, false, 'indexed');
      assert.equal(passed, 2);
      // Where events are reported, the first packet with a flag is one: the second one brings none that is new.
      passed = 0;
      await counted(greeting(VIP, 0), 'node:n1', false, true, false, 'indexed');
      assert.equal(passed, 1);
    } finally {
      Settled.prototype.passRun = passRun;
    }
  });

  it('go the short way in both families', async () => {
    let short = 0;
    const { shortWay, passRun } = Settled.prototype;
    Settled.prototype.shortWay = function (...args) {
      const verdict = shortWay.apply(this, args);
      if (verdict >= 0) short++;
      return verdict;
    };
    Settled.prototype.passRun = function (run, ...args) {
      passRun.call(this, run, ...args);
      glanced += run.forwarded + run.observed;
    };
    let glanced = 0;
    try {
      for (const peer of [VIP, PEER6]) {
        short = 0;
        const steady = { client: A, peer, port: 40000, flags: 'A', ttl: 64, gap: 0, on: 'eth0' };
        const drawn = Array.from({ length: 40 }, (_, i) => ({ ...steady, forward: i % 2 === 0 }));
        await counted(conversationOf(drawn), 'node:n1', false, true);
        assert.ok(short >= 30, `${short} of 40 to ${peer}`);
        // An index spares IPv4 that way, too.
        short = glanced = 0;
        await counted(conversationOf(drawn), 'node:n1', false, true, false, 'indexed');
        assert.ok(peer === VIP ? glanced >= 30 && short < 10 : short >= 30, `${glanced}, ${short} of 40 to ${peer}`);
      }
    } finally {
      Settled.prototype.shortWay = shortWay;
      Settled.prototype.passRun = passRun;
    }
  });
});
