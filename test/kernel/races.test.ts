// Conntrack between processors: what another one does at the worst moment is done by the program itself (fixtures/races), so
// that each case comes out the same every time. Input: a small world. Output: records and entries as if nothing had come in
// between. Invariant: an established connection is never NEW, keeps its backend, and has one entry.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { createXdp, type Xdp } from '../../src/dataplane/xdp/index.ts';
import type { ValueOf } from '../../src/layout/index.ts';
import { typedMap } from '../../src/maps/index.ts';
import { CT_FLAG, CT_KEY, CT_STATUS, type ctEntry, type ctKey4, HOOK, MAPS, VERDICT } from '../../src/schema/index.ts';
import { SMALL, World } from '../support/datapath-world.ts';
import { frame, type PacketSpec } from '../support/packets.ts';
import { compileFixture, copyMaps, skipFixture } from './kernel.ts';

const MOVE = 1;
const MOVE_CONNECTION = 2;
const STORE = 3;
const PUBLISHED_EARLY = 0x100;
const OTHER_BACKEND = 2;

const A = '10.0.1.1';
const B = '10.0.2.2';
const C = '10.0.2.3';
const VIP = '172.16.0.1';
const UNANSWERED = ['ctTcpNew4', 'ctAnyNew4'] as const;
const ANSWERED = ['ctTcp4', 'ctAny4'] as const;
type Connections = (typeof UNANSWERED | typeof ANSWERED)[number];

const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, { maxEntries, ...spec }]) => [
    name,
    {
      maxEntries: Math.min(maxEntries, 1024),
      ...('innerEntries' in spec ? { innerEntries: 251 } : {}),
      ...SMALL[name as keyof typeof MAPS],
    },
  ]),
);

const skip = skipFixture();

describe('conntrack, with another processor in between', { skip }, () => {
  let kernel: Xdp;
  let world: World;
  let now = 100;

  before(() => {
    kernel = createXdp({ object: compileFixture('races'), specs });
  });
  after(() => {
    kernel.close();
  });
  beforeEach(() => {
    world = new World();
    world.endpoint(A, { policyId: 3, identity: 1001 }).endpoint(B, { identity: 1002 }).endpoint(C, { identity: 1002 });
    world.backend(1, B, 8080).backend(OTHER_BACKEND, C, 8080);
    world.policy(3, { egress: [{ identity: 1002, cookie: 44 }], egressCookie: 99 });
    world.service(VIP, 80, { backends: [1] });
    world.service(VIP, 80, { backends: [1], protocol: 'udp', reverseNat: 1 });
    now += 10_000;
    take();
  });

  /** Puts the world's maps into the kernel. */
  const take = (): void => {
    copyMaps(world.sim, kernel);
  };
  const run = (hook: keyof typeof HOOK, spec: PacketSpec, moment = 0) => {
    const packet = new Packet().set(frame(spec), now);
    const meta = new Meta();
    meta.cb0 = moment;
    const verdict = kernel.run(HOOK[hook], packet, meta);
    assert.equal(kernel.runErrno, 0);
    assert.equal(verdict, kernel.decision().verdict);
    return { ...kernel.decision(), interfered: meta.xdpMetadata };
  };
  const there = (destination: string, port: number, protocol: 'tcp' | 'udp', flags: string): PacketSpec => ({
    ...{ protocol, source: A, destination, sourcePort: 1000, destinationPort: port },
    ...(protocol === 'tcp' ? { flags } : {}),
  });
  const back = (port: number, protocol: 'tcp' | 'udp'): PacketSpec => ({
    ...{ protocol, source: B, destination: A, sourcePort: port, destinationPort: 1000 },
    ...(protocol === 'tcp' ? { flags: 'SA' } : {}),
  });
  /** Entries that this test has made, but for the twins of ICMP errors. */
  const entries = (names: readonly Connections[]): [ValueOf<typeof ctKey4>, ValueOf<typeof ctEntry>][] =>
    names
      .flatMap((name) => [...typedMap(MAPS[name] as never, kernel.maps[name])] as [never, never][])
      .filter(([key, value]: [ValueOf<typeof ctKey4>, ValueOf<typeof ctEntry>]) => {
        return (key.flags & CT_KEY.RELATED) === 0 && value.lifetime >= now;
      });

  for (const protocol of ['tcp', 'udp'] as const) {
    test(`${protocol}: a connection that moves between two looks is still found, from either end`, () => {
      run('FROM_CONTAINER', there(B, 80, protocol, 'S'));
      assert.equal(entries(UNANSWERED).length, 1);
      const forward = run('FROM_CONTAINER', there(B, 80, protocol, 'A'), MOVE);
      assert.ok(forward.interfered > 0);
      assert.deepEqual(
        [forward.verdict, forward.ctStatus, forward.cookie],
        [VERDICT.FORWARDED, CT_STATUS.ESTABLISHED, 44],
      );
      assert.deepEqual([entries(UNANSWERED).length, entries(ANSWERED).length], [0, 1]);

      now += 10_000;
      run('FROM_CONTAINER', there(B, 80, protocol, 'S'));
      const reply = run('TO_CONTAINER', back(80, protocol), MOVE);
      assert.ok(reply.interfered > 0);
      assert.deepEqual([reply.verdict, reply.ctStatus], [VERDICT.FORWARDED, CT_STATUS.REPLY]);
      assert.deepEqual([entries(UNANSWERED).length, entries(ANSWERED).length], [0, 1]);
    });

    for (const [how, moment] of [
      ['with its service entry', MOVE],
      ['alone', MOVE_CONNECTION],
    ] as const) {
      test(`${protocol}: a connection through a service that moves, ${how}, is still found`, () => {
        run('FROM_CONTAINER', there(VIP, 80, protocol, 'S'));
        assert.equal(entries(UNANSWERED).length, 2);
        // Whoever looked anew would choose another one now.
        world.service(VIP, 80, { backends: [OTHER_BACKEND], protocol, reverseNat: 1 });
        take();
        const forward = run('FROM_CONTAINER', there(VIP, 80, protocol, 'A'), moment);
        assert.ok(forward.interfered > 0);
        assert.deepEqual([forward.ctStatus, forward.backendId], [CT_STATUS.ESTABLISHED, 1]);
        assert.deepEqual([entries(UNANSWERED).length, entries(ANSWERED).length], [0, 2], 'no second entry');
      });
    }

    test(`${protocol}: two processors that begin a connection at once agree on its backend`, () => {
      const first = run('FROM_CONTAINER', there(VIP, 80, protocol, 'S'), STORE);
      assert.ok(first.interfered >= 2);
      assert.equal(first.backendId, OTHER_BACKEND);
      assert.equal(entries(UNANSWERED).length, 2);
      assert.equal(run('FROM_CONTAINER', there(VIP, 80, protocol, 'A')).backendId, OTHER_BACKEND);
    });
  }

  test('of two processors that begin a connection, the slower one undoes nothing', () => {
    assert.ok(run('FROM_CONTAINER', there(B, 80, 'tcp', 'S'), STORE).interfered > 0);
    const [entry] = entries(UNANSWERED);
    assert.ok((entry![1].flags & CT_FLAG.TX_CLOSING) !== 0);
  });

  test('of two processors that move a connection, the slower one undoes nothing', () => {
    run('FROM_CONTAINER', there(B, 80, 'tcp', 'S'));
    const reply = run('TO_CONTAINER', back(80, 'tcp'), STORE);
    assert.ok(reply.interfered > 0);
    const [entry] = entries(ANSWERED);
    assert.ok((entry![1].flags & CT_FLAG.TX_CLOSING) !== 0);
  });

  test('a decision gets its epoch when it is whole', () => {
    run('FROM_CONTAINER', there(B, 80, 'tcp', 'S'));
    for (const audit of [true, false]) {
      world.policy(3, {
        egress: [{ identity: 1002, cookie: audit ? 45 : 46, verdict: audit ? 'deny' : 'allow' }],
        audit,
      });
      world.configure({ globalEpoch: world.config.globalEpoch + 1 });
      take();
      const decided = run('FROM_CONTAINER', there(B, 80, 'tcp', 'A'));
      assert.equal(decided.interfered & PUBLISHED_EARLY, 0);
      const [[, entry]] = entries(UNANSWERED) as [[unknown, ValueOf<typeof ctEntry>]];
      const { cookie, policyEpoch, flags } = entry;
      assert.deepEqual([cookie, policyEpoch], [audit ? 45 : 46, 1 + world.config.globalEpoch]);
      assert.equal((flags & CT_FLAG.AUDITED) !== 0, audit);
    }
  });
});
