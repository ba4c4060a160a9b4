// Frontends, backends, affinity and service entries: Cilium's per-packet load balancing row by row.
// Input: one client, a few backends. Output: verdicts, destinations, entries.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { tupleHash4 } from '../../../src/datapath/index.ts';
import {
  ACTION,
  ALGORITHM,
  BACKEND_STATE,
  CT_FLAG,
  CT_KEY,
  CT_STATUS,
  DROP,
  FEATURE,
  RECORD_FLAG,
  SERVICE_FLAG,
  STAGE,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, type PacketSpec, plainAddress } from '../../support/packets.ts';

const CLIENT = '10.0.1.1';
const VIP = '172.16.0.1';
const BACKENDS = ['10.0.2.1', '10.0.2.2', '10.0.2.3'];
const SVC = CT_KEY.SERVICE;

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(CLIENT);
  BACKENDS.forEach((address, i) => w.endpoint(address).backend(i + 1, address, 8080));
});

const packet = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: CLIENT,
  destination: VIP,
  sourcePort: 1000,
  destinationPort: 80,
  ...more,
});
const go = (more: Partial<PacketSpec> = {}): Result => w.run('FROM_CONTAINER', packet(more));
/** The answer of whoever served. */
const answer = (sent: Result, flags = 'SA'): Result =>
  w.run('TO_CONTAINER', {
    protocol: sent.protocol,
    source: sent.destination,
    destination: sent.source,
    sourcePort: sent.destinationPort,
    destinationPort: sent.sourcePort,
    flags,
  });
const entryNew = (): ReturnType<World['connection']> => w.connection('ctTcpNew4', SVC);
const entryAnswered = (): ReturnType<World['connection']> => w.connection('ctTcp4', SVC);

describe('lookup', () => {
  test('no frontend: the packet goes on untouched, without a conntrack probe more', () => {
    const result = go();
    assert.equal(result.destination, VIP);
    assert.equal(result.record.backendId, 0);
    assert.equal(w.sim.context.probesConntrack, 2);
  });
  test('an exact frontend translates address and port, checksums right, and the record says so', () => {
    const reverseNat = w.service(VIP, 80, { backends: [2] });
    const result = go();
    assert.deepEqual([result.destination, result.destinationPort], ['10.0.2.2', 8080]);
    assert.ok(result.checksumsRight);
    assert.equal(result.record.backendId, 2);
    assert.equal(result.record.reverseNat, reverseNat);
    assert.equal(result.record.flags & RECORD_FLAG.DNAT, RECORD_FLAG.DNAT);
  });
  test('another port, protocol or address is another frontend', () => {
    w.service(VIP, 80, { backends: [1] });
    assert.equal(go({ destinationPort: 81 }).destination, VIP);
    assert.equal(go({ protocol: 'udp' }).destination, VIP);
    assert.equal(go({ destination: '172.16.0.2' }).destination, '172.16.0.2');
  });
  test('a wildcard entry means nothing to a pod', () => {
    w.wildcard(VIP);
    assert.equal(go().verdict, VERDICT.FORWARDED);
    assert.equal(go().destination, VIP);
  });
  test('two scopes: pods get the internal one', () => {
    w.service(VIP, 80, { backends: [1], flags: SERVICE_FLAG.TWO_SCOPES, reverseNat: 4 });
    w.service(VIP, 80, { backends: [2], scope: 1, reverseNat: 4 });
    assert.equal(go().destination, '10.0.2.2');
  });
  test('two scopes without an internal entry: no service', () => {
    w.service(VIP, 80, { backends: [1], flags: SERVICE_FLAG.TWO_SCOPES });
    assert.equal(go().destination, VIP);
  });
  test('UDP and SCTP are balanced, ICMP is not', () => {
    w.service(VIP, 80, { backends: [1], protocol: 'udp' });
    w.backend(9, '10.0.2.1', 80);
    w.service(VIP, 80, { backends: [9], protocol: 'sctp' });
    assert.equal(go({ protocol: 'udp' }).destination, '10.0.2.1');
    assert.equal(go({ protocol: 'sctp' }).destination, '10.0.2.1');
    assert.equal(go({ protocol: 'icmp' }).destination, VIP);
  });
  test('SCTP with another port behind the frontend cannot keep its checksum: 154', () => {
    w.service(VIP, 80, { backends: [1], protocol: 'sctp' });
    const result = go({ protocol: 'sctp' });
    assert.equal(result.record.dropReason, DROP.CSUM_L4);
    assert.equal(result.destination, VIP);
  });
  test('META SKIP_SERVICE skips the stage', () => {
    w.service(VIP, 80, { backends: [1] });
    assert.equal(w.run('FROM_CONTAINER', packet(), { flags: 4 }).destination, VIP);
  });
  test('IPv6', () => {
    w.endpoint('fd00::1').backend(7, 'fd00::7', 8080);
    w.service('fd00:1::1', 80, { backends: [7] });
    const result = go({ source: 'fd00::1', destination: 'fd00:1::1' });
    assert.deepEqual([result.destination, result.destinationPort], [plainAddress('fd00::7'), 8080]);
    assert.ok(result.checksumsRight);
  });
  test('a frontend of the L7 proxy redirects, past policy, the destination kept', () => {
    w.policy(3, { egress: [] }).changeEndpoint(CLIENT, { policyId: 3 });
    w.service(VIP, 80, { flags: SERVICE_FLAG.L7LB, target: 10001, reverseNat: 0 });
    const result = go();
    assert.equal(result.verdict, VERDICT.REDIRECTED);
    assert.equal(result.record.action, ACTION.PROXY);
    assert.equal(result.record.proxyPort, 10001);
    assert.equal(result.destination, VIP);
    // Who the frontend is, not the pod.
    w.identity(VIP, 4711);
    assert.equal(go({ sourcePort: 1001 }).record.destinationIdentity, 4711);
  });
});

describe('nothing behind a frontend', () => {
  test('serviceNoBackendResponse: drop → 158 in stage service', () => {
    w.service(VIP, 80);
    const result = go();
    assert.equal(result.record.dropReason, DROP.NO_SERVICE);
    assert.equal(result.record.stage, STAGE.SERVICE);
  });
  test('reject drops as well (the ICMP answer is not built)', () => {
    w.disable(FEATURE.NO_BACKEND_DROP).enable(FEATURE.NO_BACKEND_REJECT).service(VIP, 80);
    assert.equal(go().record.dropReason, DROP.NO_SERVICE);
  });
  test('not routable: to the stack at once, past conntrack and policy', () => {
    w.disable(FEATURE.NO_BACKEND_DROP);
    w.policy(3, { egress: [] }).changeEndpoint(CLIENT, { policyId: 3 });
    w.service(VIP, 80);
    const result = go();
    assert.deepEqual([result.verdict, result.record.action], [VERDICT.FORWARDED, ACTION.STACK]);
    assert.equal(result.record.ctStatus, CT_STATUS.NONE);
  });
  test('not routable, but for local backends only → 158', () => {
    w.disable(FEATURE.NO_BACKEND_DROP).service(VIP, 80, { flags: SERVICE_FLAG.INT_LOCAL });
    assert.equal(go().record.dropReason, DROP.NO_SERVICE);
  });
  test('a slot that is missing, or names no backend → 158, and nothing is remembered', () => {
    w.service(VIP, 80, { backends: [60] });
    assert.equal(go().record.dropReason, DROP.NO_SERVICE);
    assert.equal(entryNew(), undefined);
  });
});

describe('service entries', () => {
  test('the choice is remembered among the unanswered, and moves with the first answer', () => {
    w.service(VIP, 80, { backends: [1, 2, 3] });
    const sent = go();
    assert.equal(entryNew()!.backend, sent.record.backendId);
    const got = answer(sent);
    assert.deepEqual([got.source, got.sourcePort], [VIP, 80]);
    assert.ok(got.checksumsRight);
    assert.equal(got.record.flags & RECORD_FLAG.REVERSE_NAT, RECORD_FLAG.REVERSE_NAT);
    assert.equal(entryNew(), undefined);
    assert.equal(entryAnswered()!.backend, sent.record.backendId);
    assert.equal(entryAnswered()!.flags & CT_FLAG.ANSWERED, CT_FLAG.ANSWERED);
  });
  test('a remembered active backend is kept although the slots have changed', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    go();
    w.service(VIP, 80, { backends: [2], reverseNat: 4 });
    assert.equal(go({ flags: 'A' }).record.backendId, 1);
    assert.equal(go({ flags: 'S' }).record.backendId, 1);
  });
  test('a terminating backend drains: kept for packets that do not open, chosen anew for a SYN', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    answer(go());
    w.backend(1, BACKENDS[0]!, 8080, BACKEND_STATE.TERMINATING);
    w.service(VIP, 80, { backends: [2], reverseNat: 4 });
    assert.equal(go({ flags: 'A' }).record.backendId, 1);
    assert.equal(go({ flags: 'S' }).record.backendId, 2);
    assert.equal(entryAnswered()!.backend, 2);
    assert.equal(go({ flags: 'A' }).record.backendId, 2);
  });
  test('a backend that is gone is replaced in place, whatever the packet', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    answer(go());
    w.backend(1, BACKENDS[0]!, 8080, BACKEND_STATE.NONE);
    w.service(VIP, 80, { backends: [2], reverseNat: 4 });
    assert.equal(go({ flags: 'A' }).record.backendId, 2);
    assert.equal(entryAnswered()!.backend, 2);
    assert.equal(entryNew(), undefined);
  });
  test('a terminating backend and a SYN while nothing else is there → 158', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    go();
    w.backend(1, BACKENDS[0]!, 8080, BACKEND_STATE.TERMINATING);
    w.service(VIP, 80, { backends: [], reverseNat: 4 });
    assert.equal(go({ flags: 'A' }).record.backendId, 1);
    assert.equal(go({ flags: 'S' }).record.dropReason, DROP.NO_SERVICE);
  });
  test('UDP stays on a terminating backend although the frontend has none (count 0)', () => {
    w.service(VIP, 80, { backends: [1], protocol: 'udp', reverseNat: 4 });
    assert.equal(go({ protocol: 'udp' }).destination, '10.0.2.1');
    w.backend(1, BACKENDS[0]!, 8080, BACKEND_STATE.TERMINATING);
    w.service(VIP, 80, { backends: [], protocol: 'udp', reverseNat: 4 });
    assert.equal(go({ protocol: 'udp' }).destination, '10.0.2.1');
  });
  test('FIN or RST closes a service entry both ways', () => {
    w.service(VIP, 80, { backends: [1] });
    for (const flags of ['FA', 'R']) {
      go({ sourcePort: 5000, flags: 'S' });
      go({ sourcePort: 5000, flags });
      const entry = entryNew()!;
      assert.equal(entry.flags & 3, 3, flags);
      assert.equal(entry.lifetime, w.now + 10);
      w.now += 100;
    }
  });
  test('SYN on a closing entry within the grace period keeps the backend and reopens the entry', () => {
    w.configure({ ctCloseLifetime: 1000 });
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    go();
    go({ flags: 'FA' });
    w.service(VIP, 80, { backends: [2], reverseNat: 4 });
    w.now += 59;
    assert.equal(go({ flags: 'S' }).record.backendId, 1);
    const entry = entryNew()!;
    assert.equal(entry.flags & 3, 0);
    assert.equal(entry.lifetime, w.now + 60);
    assert.equal(entry.txFlags, 2, 'the flags seen before are forgotten');
  });
  test('SYN on a closing entry after the grace period is a new connection with a new choice', () => {
    w.configure({ ctCloseLifetime: 1000 });
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    answer(go());
    go({ flags: 'FA' });
    w.service(VIP, 80, { backends: [2], reverseNat: 4 });
    w.now += 60;
    assert.equal(go({ flags: 'S' }).record.backendId, 2);
    assert.equal(entryAnswered(), undefined);
    assert.equal(entryNew()!.backend, 2);
    assert.equal(entryNew()!.flags & 3, 0);
  });
  test('an entry of another frontend under the same tuple is absent', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    go();
    w.service(VIP, 80, { backends: [2], reverseNat: 5 });
    assert.equal(go({ flags: 'A' }).record.backendId, 2);
    assert.equal(entryNew()!.reverseNat, 5);
  });
  test('an expired service entry is absent', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    go();
    w.service(VIP, 80, { backends: [2], reverseNat: 4 });
    w.now += 61;
    assert.equal(go().record.backendId, 2);
  });
  test('service entries have their own lifetimes', () => {
    w.configure({ ctServiceTcpLifetime: 500, ctServiceAnyLifetime: 33 });
    w.service(VIP, 80, { backends: [1] });
    go();
    assert.equal(entryNew()!.lifetime, w.now + 60);
    go({ flags: 'A' });
    assert.equal(entryNew()!.lifetime, w.now + 500);
    w.service(VIP, 80, { backends: [1], protocol: 'udp' });
    go({ protocol: 'udp' });
    assert.equal(w.connection('ctAnyNew4', SVC)!.lifetime, w.now + 33);
  });
  test('an established connection that now comes through another frontend is made anew', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    answer(go());
    assert.equal(w.connection('ctTcp4')!.reverseNat, 4);
    w.service('172.16.0.9', 80, { backends: [1], reverseNat: 9 });
    const other = go({ destination: '172.16.0.9', flags: 'A' });
    assert.equal(other.record.ctStatus, CT_STATUS.NEW);
    assert.equal(w.connection('ctTcp4'), undefined);
    assert.equal(w.connection('ctTcpNew4')!.reverseNat, 9);
    assert.equal(answer(other).source, '172.16.0.9');
  });
  test('what was just sent to a backend is no answer to a connection that the backend opened', () => {
    w.service(VIP, 80, { backends: [1] });
    const opened = { source: '10.0.2.1', destination: CLIENT, sourcePort: 8080, destinationPort: 1000 };
    w.run('TO_CONTAINER', packet(opened));
    const sent = go();
    assert.equal(sent.record.ctStatus, CT_STATUS.NEW);
    assert.equal(answer(sent).source, VIP);
  });
  test('a lost service entry is made anew beside its answered connection, which goes on', () => {
    w.service(VIP, 80, { backends: [1] });
    answer(go());
    w.map('ctTcp4').delete(w.entries('ctTcp4').find(([key]) => (key.flags & SVC) !== 0)![0]);
    for (let i = 0; i < 3; i++) assert.equal(go({ flags: 'A' }).record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.equal(entryNew(), undefined);
    assert.equal(entryAnswered()!.backend, 1);
  });
  test('an answered connection beside an unanswered service entry is found, not made twice, and the service entry follows it', () => {
    w.service(VIP, 80, { backends: [1] });
    go();
    const [key, entry] = w.entries('ctTcpNew4').find(([k]) => (k.flags & (SVC | CT_KEY.RELATED)) === 0)!;
    w.map('ctTcpNew4').delete(key);
    w.map('ctTcp4').set(key, entry);
    assert.equal(go({ flags: 'A' }).record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.ok(w.connection('ctTcp4') !== undefined && w.connection('ctTcp4', SVC) !== undefined);
    assert.deepEqual([w.connection('ctTcpNew4'), w.connection('ctTcpNew4', SVC)], [undefined, undefined]);
  });
  test('a direct connection to the same backend, port by port, is another one too', () => {
    w.service(VIP, 80, { backends: [1], reverseNat: 4 });
    answer(go());
    const direct = go({ destination: '10.0.2.1', destinationPort: 8080 });
    assert.equal(direct.record.ctStatus, CT_STATUS.NEW);
    assert.equal(answer(direct).source, '10.0.2.1');
  });
});

describe('choice', () => {
  const chosen = (n: number): Set<number> =>
    new Set(Array.from({ length: n }, (_, i) => go({ sourcePort: 2000 + i }).record.backendId));

  test('at random every backend is used, and one flow always gets the same', () => {
    w.service(VIP, 80, { backends: [1, 2, 3], algorithm: ALGORITHM.RANDOM });
    assert.deepEqual([...chosen(60)].sort(), [1, 2, 3]);
    const first = go({ sourcePort: 7 }).record.backendId;
    w.now += 1000;
    assert.equal(go({ sourcePort: 7 }).record.backendId, first);
  });
  test('another seed gives other choices', () => {
    const draw = (seed: number): string => {
      const world = new World({}, { randomSeed: seed });
      world.endpoint(CLIENT);
      BACKENDS.forEach((address, i) => world.backend(i + 1, address, 8080));
      world.service(VIP, 80, { backends: [1, 2, 3] });
      return Array.from(
        { length: 40 },
        (_, i) => world.run('FROM_CONTAINER', packet({ sourcePort: 2000 + i })).record.backendId,
      ).join('');
    };
    assert.equal(draw(1), draw(1));
    assert.notEqual(draw(1), draw(2));
  });
  test('FIRST takes slot 1', () => {
    w.service(VIP, 80, { backends: [3, 1], algorithm: ALGORITHM.FIRST });
    assert.deepEqual([...chosen(20)], [3]);
  });
  test('algorithm 0 is the node’s default', () => {
    w.configure({ algorithm: ALGORITHM.FIRST }).service(VIP, 80, { backends: [3, 1] });
    assert.deepEqual([...chosen(20)], [3]);
  });
  test('Maglev: the table’s entry at Cilium’s index, not a slot', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1], algorithm: ALGORITHM.MAGLEV });
    const ids = [2, 3, 1];
    w.maglev(reverseNat, ids);
    const raw = new DataView(addressBytes(CLIENT).buffer).getInt32(0, true);
    const port = (n: number): number => ((n & 0xff) << 8) | (n >> 8);
    for (let sport = 2000; sport < 2030; sport++) {
      const index = (tupleHash4(raw, port(sport) | (port(80) << 16), 6, 0x71dcda46) >>> 0) % 251;
      assert.equal(go({ sourcePort: sport }).record.backendId, ids[index % 3]);
    }
  });
  test('Maglev with affinity ignores the source port', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1, 2, 3], algorithm: ALGORITHM.MAGLEV, affinitySeconds: 0 });
    w.maglev(reverseNat, [2, 3, 1]);
    assert.equal(chosen(30).size, 1);
  });
  test('Maglev without a table: one backend is that backend, several are balanced at random', () => {
    w.service(VIP, 80, { backends: [2], algorithm: ALGORITHM.MAGLEV });
    assert.deepEqual([...chosen(5)], [2]);
    w.service('172.16.0.2', 80, { backends: [1, 2, 3], algorithm: ALGORITHM.MAGLEV });
    const ids = new Set(
      Array.from({ length: 60 }, (_, i) => go({ destination: '172.16.0.2', sourcePort: 2000 + i }).record.backendId),
    );
    assert.equal(ids.size, 3);
  });
  test('Maglev slot 0 names no backend → 158', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1], algorithm: ALGORITHM.MAGLEV });
    w.maglev(reverseNat, [0]);
    assert.equal(go().record.dropReason, DROP.NO_SERVICE);
  });
  test('Maglev IPv6', () => {
    w.endpoint('fd00::1').backend(7, 'fd00::7', 8080).backend(8, 'fd00::8', 8080);
    const reverseNat = w.service('fd00:1::1', 80, { backends: [7], algorithm: ALGORITHM.MAGLEV });
    w.maglev(reverseNat, [8], 6);
    assert.equal(go({ source: 'fd00::1', destination: 'fd00:1::1' }).destination, plainAddress('fd00::8'));
  });
});

describe('affinity', () => {
  const affinity = (): { lastUsed: number; backendId: number } | undefined =>
    [...w.map('affinity4')].map(([, value]) => value)[0];

  test('beats the algorithm; kept over source ports, refreshed by each packet', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1, 2, 3], algorithm: ALGORITHM.FIRST, affinitySeconds: 100 });
    w.map('affinity4').set(
      { client: [new DataView(addressBytes(CLIENT).buffer).getUint32(0, true), 0], reverseNat, isCookie: 0 },
      { lastUsed: w.now - 50, backendId: 3 },
    );
    assert.equal(go({ sourcePort: 1 }).record.backendId, 3);
    assert.equal(affinity()!.lastUsed, w.now);
    w.now += 99;
    assert.equal(go({ sourcePort: 2 }).record.backendId, 3);
  });
  test('valid until just before last use + timeout', () => {
    w.service(VIP, 80, { backends: [1, 2, 3], affinitySeconds: 100, algorithm: ALGORITHM.FIRST, reverseNat: 4 });
    go({ sourcePort: 1 });
    w.service(VIP, 80, { backends: [2, 1, 3], affinitySeconds: 100, algorithm: ALGORITHM.FIRST, reverseNat: 4 });
    w.now += 99;
    assert.equal(go({ sourcePort: 2 }).record.backendId, 1);
    w.now += 100;
    assert.equal(go({ sourcePort: 3 }).record.backendId, 2);
  });
  test('without the match entry the backend is not kept', () => {
    const reverseNat = w.service(VIP, 80, { backends: [1, 2], affinitySeconds: 100, algorithm: ALGORITHM.FIRST });
    go({ sourcePort: 1 });
    w.map('affinityMatch').delete({ backendId: 1, reverseNat });
    w.service(VIP, 80, { backends: [2], affinitySeconds: 100, algorithm: ALGORITHM.FIRST, reverseNat });
    w.map('affinityMatch').delete({ backendId: 1, reverseNat });
    assert.equal(go({ sourcePort: 2 }).record.backendId, 2);
    assert.equal(affinity()!.backendId, 2);
  });
  test('a backend that is gone is not kept', () => {
    w.service(VIP, 80, { backends: [1, 2], affinitySeconds: 100, algorithm: ALGORITHM.FIRST, reverseNat: 4 });
    go({ sourcePort: 1 });
    w.backend(1, BACKENDS[0]!, 8080, BACKEND_STATE.NONE);
    w.service(VIP, 80, { backends: [2], affinitySeconds: 100, algorithm: ALGORITHM.FIRST, reverseNat: 4 });
    assert.equal(go({ sourcePort: 2 }).record.backendId, 2);
  });
  test('a live service entry beats affinity, which follows it', () => {
    w.service(VIP, 80, { backends: [1], affinitySeconds: 100, reverseNat: 4 });
    go({ sourcePort: 1 });
    w.map('affinity4').set([...w.map('affinity4')][0]![0], { lastUsed: w.now, backendId: 2 });
    assert.equal(go({ sourcePort: 1, flags: 'A' }).record.backendId, 1);
    assert.equal(affinity()!.backendId, 1);
  });
  test('without the flag nothing is remembered', () => {
    w.service(VIP, 80, { backends: [1] });
    go();
    assert.equal(affinity(), undefined);
  });
  test('IPv6', () => {
    w.endpoint('fd00::1').backend(7, 'fd00::7', 8080).backend(8, 'fd00::8', 8080);
    const more = { affinitySeconds: 100, algorithm: ALGORITHM.FIRST, reverseNat: 4 };
    w.service('fd00:1::1', 80, { ...more, backends: [7, 8] });
    go({ source: 'fd00::1', destination: 'fd00:1::1', sourcePort: 1 });
    w.service('fd00:1::1', 80, { ...more, backends: [8, 7] });
    const result = go({ source: 'fd00::1', destination: 'fd00:1::1', sourcePort: 2 });
    assert.equal(result.destination, plainAddress('fd00::7'));
  });
});
