// Conntrack against a model that keeps connections as text keys and plain objects. Input: random packets of two pods and
// steps of time, forwards and backwards. Output: equal statuses after each packet, equal entries at the end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BOUND, CT_FLAG, CT_KEY, CT_STATUS, VERDICT } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';

interface Entry {
  opener: string;
  lifetime: number;
  answered: boolean;
  closing: Set<string>;
  seen: Record<string, string>;
  nonSyn: boolean;
}

/** What reference §3 says, for one pod that owns its entries; directions are named by who sends. */
class Model {
  now = 0;
  readonly entries = new Map<string, Entry>();

  step(
    owner: string,
    sender: string,
    receiver: string,
    sport: number,
    dport: number,
    tcp: boolean,
    flags: string,
  ): number {
    const ends = [`${sender}:${sport}`, `${receiver}:${dport}`];
    const key = `${tcp ? 'tcp' : 'udp'} ${owner === sender ? ends[0] : ends[1]} ${[...ends].sort().join(' ')}`;
    const opens = tcp && flags.includes('S') && !/[AFR]/.test(flags);
    let entry = this.entries.get(key);
    if (entry !== undefined && entry.lifetime < this.now) entry = undefined;
    const fresh = (): number => {
      this.entries.set(key, {
        opener: ends[0]!,
        lifetime: this.now + 60,
        answered: false,
        closing: new Set(),
        seen: { [ends[0]!]: tcp ? 'S' : '' },
        nonSyn: false,
      });
      return CT_STATUS.NEW;
    };
    if (entry === undefined) return fresh();
    const forward = entry.opener === ends[0];
    const reopened = tcp && entry.closing.size > 0 && opens;
    if (reopened) return fresh();
    if (!forward && !(tcp && flags.includes('R'))) entry.answered = true;
    const refresh = (): void => {
      if (tcp && !flags.includes('S')) entry.nonSyn = true;
      entry.lifetime = this.now + (!tcp ? 60 : entry.nonSyn ? 8000 : 60);
    };
    if (entry.closing.size < 2) refresh();
    if (entry.closing.size < 2 || /[FR]/.test(flags)) entry.seen[ends[0]!] = (entry.seen[ends[0]!] ?? '') + flags;
    if (tcp && /[FR]/.test(flags)) {
      const bothSyns = (entry.seen[ends[0]!] ?? '').includes('S') && (entry.seen[ends[1]!] ?? '').includes('S');
      entry.closing.add(ends[0]!);
      if (flags.includes('R') && !bothSyns) entry.closing.add(ends[1]!);
      if (entry.closing.size === 2) entry.lifetime = this.now + 10;
    }
    return forward ? CT_STATUS.ESTABLISHED : CT_STATUS.REPLY;
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('packet' as const),
      owner: fc.constantFrom(A, B),
      sends: fc.boolean(),
      mine: fc.constantFrom(1000, 2000),
      theirs: fc.constantFrom(80, 1000),
      tcp: fc.boolean(),
      flags: fc.constantFrom('S', 'SA', 'A', 'FA', 'RA', 'R', 'PA', 'SF'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('time' as const), by: fc.constantFrom(1, 5, 9, 11, 60, 61, 7990, -50) }),
  },
);

test('every packet has the status that the model says, and the maps end with the model’s entries', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new World();
      world.endpoint(A).endpoint(B);
      const model = new Model();
      for (const s of steps) {
        if (s.kind === 'time') {
          world.now += s.by;
          continue;
        }
        // Time never runs backwards, and only packets tell it.
        model.now = Math.max(model.now, world.now);
        const peer = s.owner === A ? B : A;
        const [source, destination, sport, dport] = s.sends
          ? [s.owner, peer, s.mine, s.theirs]
          : [peer, s.owner, s.theirs, s.mine];
        const result = world.run(s.sends ? 'FROM_CONTAINER' : 'TO_CONTAINER', {
          protocol: s.tcp ? 'tcp' : 'udp',
          source,
          destination,
          sourcePort: sport,
          destinationPort: dport,
          flags: s.flags,
        });
        const expected = model.step(s.owner, source, destination, sport, dport, s.tcp, s.flags);
        assert.equal(result.record.ctStatus, expected);
        assert.ok(world.sim.context.probesConntrack <= BOUND.CT_PROBES);
      }
      const told = (name: 'ctTcp4' | 'ctAny4' | 'ctTcpNew4' | 'ctAnyNew4'): string[] =>
        world
          .entries(name)
          .filter(([key, entry]) => (key.flags & CT_KEY.RELATED) === 0 && entry.lifetime >= model.now)
          .map(([, entry]) => {
            const answered = (entry.flags & CT_FLAG.ANSWERED) !== 0;
            assert.equal(answered, !name.includes('New'));
            return `${answered} ${entry.lifetime} ${bits(entry.flags & 3)} ${(entry.flags & CT_FLAG.SEEN_NON_SYN) !== 0}`;
          });
      const bits = (closing: number): number => (closing & 1) + (closing >> 1);
      const actual = [...told('ctTcp4'), ...told('ctAny4'), ...told('ctTcpNew4'), ...told('ctAnyNew4')].sort();
      const wanted = [...model.entries.values()]
        .filter((e) => e.lifetime >= model.now)
        .map((e) => `${e.answered} ${e.lifetime} ${e.closing.size} ${e.nonSyn}`)
        .sort();
      assert.deepEqual(actual, wanted);
    }),
    { numRuns: 300 },
  );
});

test('with full maps every packet still gets a verdict, bounds hold, and a flood never evicts an answered connection', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.record({ port: fc.integer({ min: 1, max: 65535 }), tcp: fc.boolean(), answer: fc.boolean() }), {
        maxLength: 200,
      }),
      (bound, flows) => {
        const maxEntries = bound;
        const world = new World({
          specs: {
            ctTcpNew4: { maxEntries },
            ctAnyNew4: { maxEntries },
            ctTcp4: { maxEntries: 512 },
            ctAny4: { maxEntries: 1024 },
          },
        });
        world.endpoint(A).endpoint(B);
        const live = new Set<string>();
        for (const { port, tcp, answer } of flows) {
          const protocol = tcp ? 'tcp' : 'udp';
          const there = { protocol, source: A, destination: B, sourcePort: port, destinationPort: 80 } as const;
          const back = {
            protocol,
            source: B,
            destination: A,
            sourcePort: 80,
            destinationPort: port,
            flags: 'SA',
          } as const;
          assert.equal(world.run('FROM_CONTAINER', there).verdict, VERDICT.FORWARDED);
          if (answer && world.run('TO_CONTAINER', back).record.ctStatus === CT_STATUS.REPLY)
            live.add(`${protocol} ${port}`);
          assert.ok(world.sim.maps.ctTcpNew4.size <= bound && world.sim.maps.ctAnyNew4.size <= bound);
        }
        for (const flow of live) {
          const [protocol, port] = flow.split(' ') as ['tcp' | 'udp', string];
          const again = {
            protocol,
            source: A,
            destination: B,
            sourcePort: Number(port),
            destinationPort: 80,
            flags: 'A',
          };
          assert.equal(world.run('FROM_CONTAINER', again).record.ctStatus, CT_STATUS.ESTABLISHED);
        }
      },
    ),
    { numRuns: 60 },
  );
});
